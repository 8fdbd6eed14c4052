"""Counts of the whole fleet: kept in this process for a moment, added up in Redis."""

import asyncio
import hashlib
import itertools
import logging
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from gateway.redis_errors import is_outage

log = logging.getLogger(__name__)

FLUSH_S = 1.0
READ_EVERY = 10
"""Flushes. So often the fleet's counts are read if nobody asks, to be shown should Redis go away."""
REMEMBERED_S = 3600
"""How long a batch's number is known: a replica cut off for longer sends its counts once more or less."""
RECENT_KEPT = 100
LAST_TRIES = 3
"""How often what is left at the end is sent: one late answer loses nothing."""

_FULL = 2**63 - 1
"""HINCRBY refuses what would be more."""

_SCRIPT = (files("gateway") / "tally.lua").read_text()
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Tally:
    """
    Named counts, the same whichever replica is asked. Fields come from closed sets, amounts are whole numbers.

    `seen` are the fleet's as far as this process knows; what is in `batch` was sent and may have arrived; `pending`
    came after.
    """

    def __init__(self, tallies: "Tallies", key: str) -> None:
        self.tallies = tallies
        self.key = key
        self.seen: Counter[str] = Counter()
        self._mark: bytes | None = None
        self.batch: dict[str, int] = {}
        self.pending: defaultdict[str, int] = defaultdict(int)

    def add(self, field: str, amount: int = 1) -> None:
        if amount:
            self.pending[field] += amount

    def counts(self) -> Mapping[str, int]:
        """The fleet's counts as last read, and what this process has counted since: this never goes down."""
        return self.seen + Counter(self.batch) + Counter(self.pending)

    async def read(self) -> Mapping[str, int]:
        """The fleet's counts of this moment; when Redis does not answer, those that this process knows."""
        await self.tallies.sync()
        return self.counts()

    async def reset(self) -> None:
        """Begin again at zero. Raises `RedisError` or `OSError` when Redis does not answer."""
        await self.tallies.reset(self)

    def cut(self) -> None:
        self.batch, self.pending = self.pending, defaultdict(int)

    def forget(self) -> None:
        self.seen.clear()
        self.batch = {}
        self.pending.clear()

    def words(self) -> list[str | int]:
        return [word for item in self.batch.items() for word in item]

    def arrived(self) -> None:
        for field, amount in self.batch.items():
            if self.seen[field] + amount <= _FULL:
                self.seen[field] += amount
        self.batch = {}

    def told(self, words: Iterable[bytes]) -> None:
        """
        All of the hash: field, amount, …; what somebody else wrote there is no count.

        A crash or a failover may take Redis's last writes with it. Counts that went on from there must not be seen to
        go down, which Prometheus would take for a beginning at zero, and all that was counted for new.
        """
        flat = iter(words)
        found = dict(zip(flat, flat, strict=True))
        mark = found.pop(b"", None)
        counts: Counter[str] = Counter()
        for field, amount in found.items():
            with suppress(ValueError):
                counts[field.decode()] = int(amount)
        self.seen = self.seen | counts if mark is not None and mark == self._mark else counts
        self._mark = mark


class Recent:
    """The last `RECENT_KEPT` numbers of the fleet, in the order in which they reached Redis."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[int] = []
        self.batch: list[int] = []
        self.pending: deque[int] = deque(maxlen=RECENT_KEPT)

    def add(self, number: int) -> None:
        self.pending.append(number)

    def numbers(self) -> list[int]:
        """The newest last."""
        return [*self.seen, *self.batch, *self.pending][-RECENT_KEPT:]

    def cut(self) -> None:
        self.batch = list(self.pending)
        self.pending.clear()

    def words(self) -> list[int]:
        return self.batch

    def arrived(self) -> None:
        self.seen = [*self.seen, *self.batch][-RECENT_KEPT:]
        self.batch = []

    def told(self, words: Iterable[bytes]) -> None:
        self.seen = [int(word) for word in words if word.isdigit()]


class Tallies:
    """
    All that this process counts for the fleet. One script call adds what is new and can tell what all have counted.

    A batch that may or may not have arrived is sent again under its number, and counts once. As every replica adds to
    the same hash, totals outlive it: it has no share of its own that somebody would have to fold into a base.

    Keys, in one slot of a cluster: `{prefix}:{fleet}:<name>`, a hash per tally and a list per `Recent`, which never
    expire and are bounded by what can be counted; `{prefix}:{fleet}:batch:<replica>`, a number, for `REMEMBERED_S`.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._slot = f"{prefix}:{{fleet}}"
        self._batch_key = f"{self._slot}:batch:{secrets.token_hex(8)}"
        self._tallies: list[Tally] = []
        self._recents: list[Recent] = []
        self._number = 0
        self._asked = 0
        self._talking = asyncio.Lock()
        self.up = True
        """Whether Redis took the last batch."""

    def tally(self, name: str) -> Tally:
        tally = Tally(self, f"{self._slot}:{name}")
        self._tallies.append(tally)
        return tally

    def recent(self, name: str) -> Recent:
        recent = Recent(f"{self._slot}:{name}")
        self._recents.append(recent)
        return recent

    def _all(self) -> list[Tally | Recent]:
        """In the order of the script's keys."""
        return [*self._tallies, *self._recents]

    async def sync(self) -> bool:
        """
        Send what was counted and read what the fleet has; False, and everything is kept, when Redis does not answer.

        Who asks while another is being answered waits for the next answer, and shares it with all who wait.
        """
        asked = self._asked
        async with self._talking:
            if self._asked == asked:
                self._asked += 1
                await self._exchange(tell=True)
        return self.up

    async def flush(self) -> bool:
        """Send what was counted; False, and it is kept, when Redis does not answer."""
        async with self._talking:
            await self._exchange(tell=False)
        return not any(each.batch for each in self._all())

    async def reset(self, tally: Tally) -> None:
        async with self._talking:
            await self._exchange(tell=False)
            await self._redis.execute_command("DEL", tally.key)
            tally.forget()

    async def _exchange(self, *, tell: bool) -> None:
        try:
            if any(each.batch for each in self._all()):
                await self._send(tell=False)
            if any(each.pending for each in self._all()):
                self._number += 1
                for each in self._all():
                    each.cut()
            elif not tell:
                return
            await self._send(tell=tell)
        except (RedisError, OSError) as error:
            # An outage is told by the client, once for all.
            if self.up and not is_outage(error):
                log.warning("the fleet's counts cannot be sent (%s): they are kept", type(error).__name__)
            self.up = False
        else:
            self.up = True

    async def _send(self, *, tell: bool) -> None:
        parts = [each.words() for each in self._all()]
        args = (
            *(1 + len(parts), self._batch_key, *(each.key for each in self._all())),
            *(self._number, REMEMBERED_S, len(self._tallies), RECENT_KEPT, int(tell)),
            *(word for part in parts for word in (len(part), *part)),
        )
        try:
            found = await self._redis.execute_command("EVALSHA", _SHA, *args)
        except NoScriptError:
            found = await self._redis.execute_command("EVAL", _SCRIPT, *args)
        for each in self._all():
            each.arrived()
        if tell:
            for each, words in zip(self._all(), found, strict=True):
                each.told(words)

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Send every `FLUSH_S`, and all of it at the end."""
        task = asyncio.create_task(self._flush_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            for _ in range(LAST_TRIES):
                if await self.flush():
                    break
            else:
                log.warning("what this process counted last is lost: Redis does not answer")

    async def _flush_for_ever(self) -> None:
        for number in itertools.count():
            await (self.flush() if number % READ_EVERY else self.sync())
            await asyncio.sleep(FLUSH_S)
