"""The pulse of this replica in Redis: who is alive, and whether Redis is."""

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from gateway.redis import GuardedRedis

BEAT_S = 1.0
PROBE_S = 0.5
"""Between two looks for a Redis that is away: they decide how long after its return all replicas are normal again."""
JITTER = 0.2
LIFE_S = 3.5
"""A replica unheard of for this long is gone; with the beat that notices it, within 5 s of its end."""
SETTLE_S = 0.75
"""
How old an empty store must be before limits rely on it, unless all have beaten: any replica that looked for it has
found it by then.
"""
SETTLE_STEP_S = 0.1
REPLAY_BUDGET_S = 0.5
"""The longest that replaying delays the return; what is left then is replayed in the background."""

_SCRIPT = (files("gateway") / "heartbeat.lua").read_text()
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Heartbeat:
    """
    Beats once a second: one script call, which counts the replicas, and while Redis is away is the probe for it.

    Key: `{prefix}:replicas`, a hash that expires. `replay` is called before the breaker closes, and after it.
    """

    def __init__(self, redis: GuardedRedis, *, prefix: str, replay: Callable[[], Awaitable[object]]) -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._guard = redis
        self._key = f"{prefix}:replicas"
        self._name = secrets.token_hex(8)
        self._replay = replay
        self.replicas = 1
        """Alive at the last beat; stays as it was while Redis is away."""
        self._away = float("-inf")
        """When Redis was last known to be away."""

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat until the end, the first time before this returns; say goodbye at the end."""
        first = asyncio.Event()
        task = asyncio.create_task(self._beat_for_ever(first))
        self._guard.watched_by(task)
        try:
            await first.wait()
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._guard.watched_by(None)
            if self._guard.up:
                with suppress(RedisError, OSError):
                    await self._beat(alive=False)

    async def _beat_for_ever(self, first: asyncio.Event) -> None:
        while True:
            try:
                count, age_s = await self._beat()
                if not self._guard.up:
                    await self._return(count, age_s)
            except (RedisError, OSError) as error:
                # Whoever starts without Redis knows at once; later one missed beat is no outage.
                if not first.is_set():
                    self._guard.went_away(error)
            first.set()
            pause_s = BEAT_S if self._guard.up else PROBE_S
            await asyncio.sleep(pause_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311

    async def _beat(self, *, alive: bool = True) -> tuple[int, float]:
        """How many this store knows to be alive, and the seconds since the first beat that it remembers."""
        args = (1, self._key, self._name, int(LIFE_S * 1e6), int(alive))
        try:
            count, age_us = await self._redis.execute_command("EVALSHA", _SHA, *args)
        except NoScriptError:
            count, age_us = await self._redis.execute_command("EVAL", _SCRIPT, *args)
        age_s = float(age_us / 1e6)
        now = time.monotonic()
        if not self._guard.up:
            self._away = now
        # A store that was away or has forgotten everything has not heard of all replicas yet.
        if count > self.replicas or min(age_s, now - self._away) > LIFE_S:
            self.replicas = max(1, count)
        return count, age_s

    async def _return(self, count: int, age_s: float) -> None:
        """
        Redis answers again. If it is empty, what it has forgotten and what others have yet to replay would add up to
        three limits in one window: so each replica holds its share until all have had the time to replay.
        """
        settled = time.monotonic() + SETTLE_S - age_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPLAY_BUDGET_S):
                    await self._replay()
            if count >= self.replicas or time.monotonic() >= settled:
                break
            await asyncio.sleep(SETTLE_STEP_S)
            count, _ = await self._beat()
        self._guard.came_back()
        with suppress(TimeoutError):
            async with asyncio.timeout(REPLAY_BUDGET_S):
                await self._replay()
