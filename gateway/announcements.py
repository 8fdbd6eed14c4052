"""Short messages to all replicas at once: a key was revoked, a breaker has opened."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

RECONNECT_S = 0.2
SILENCE_S = 1.0
"""After such a silence the connection has to answer a PING within as long, or it is given up: bytes may vanish."""

CLOSE_S = 3.0
"""The longest that the end of listening is waited for."""


class Announcements:
    """
    Publishes to every replica and hears what the others publish.

    Channel: `{prefix}:announcements`. A message may be lost (Redis keeps none), so each is only a hint to look sooner:
    whoever relies on one has another way to learn of the change, and is told when messages may have been missed.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis: Any = redis  # `publish` and `pubsub` are untyped
        self._channel = f"{prefix}:announcements"
        self._handlers: dict[str, list[Callable[[str], None]]] = {}
        self._gap_handlers: list[Callable[[], None]] = []
        self._over = False

    def on(self, kind: str, handler: Callable[[str], None]) -> None:
        """Call `handler` with the text of each announcement of this kind, those of this process too."""
        self._handlers.setdefault(kind, []).append(handler)

    def on_gap(self, handler: Callable[[], None]) -> None:
        """Call `handler` when announcements may have been missed: after each connection that was lost."""
        self._gap_handlers.append(handler)

    async def announce(self, kind: str, text: str) -> bool:
        """Tell all replicas, this one at once; False when the others could not be told."""
        self._hear(kind, text)
        try:
            await self._redis.publish(self._channel, f"{kind} {text}")
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    def _hear(self, kind: str, text: str) -> None:
        for handler in self._handlers.get(kind, ()):
            handler(text)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        self._over = False
        task = asyncio.create_task(self._listen_for_ever())
        try:
            yield
        finally:
            # redis-py may take the cancellation of its own wait for that alone: it must not go on all the same.
            self._over = True
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_S)
            if task.done() and not task.cancelled():
                task.result()

    async def _listen_for_ever(self) -> None:
        while not self._over:
            with suppress(RedisError, OSError, TimeoutError):
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(self._channel)
                    for handler in self._gap_handlers:
                        handler()
                    await self._listen(pubsub)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, pubsub: Any) -> None:
        """Hear what is published until the connection is lost. Raises `TimeoutError` when it is silent for too long."""
        asked = False
        while not self._over:
            message = await pubsub.get_message(timeout=SILENCE_S)
            if message is not None:
                asked = False
                if message["type"] == "message":
                    kind, _, text = bytes(message["data"]).decode("utf-8", "replace").partition(" ")
                    self._hear(kind, text)
            elif asked:
                raise TimeoutError
            else:
                asked = True
                await pubsub.ping()
