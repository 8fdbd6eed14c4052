"""Which server is asked: the one there is, or the primary that the sentinels name."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from redis.exceptions import ConnectionError, RedisError

from gateway.redis_pipe import Pipe
from gateway.redis_url import Login, Place

Failed = Callable[[Pipe, Exception], None]


class Servers(Protocol):
    """What `GuardedRedis` asks, whatever the topology."""

    @property
    def heart(self) -> Pipe | None:
        """The pipe whose failures mean that Redis is away."""

    def ask(self, args: Sequence[Any], *, probing: bool) -> Awaitable[Any]:
        """
        The reply to a command.

        `probing`: the watcher asks, who is let through to a server that did not answer just now.
        """

    def place(self) -> Place | None:
        """Where a connection of one's own may lead now; None while that is not known."""

    async def aclose(self) -> None: ...


class OneServer:
    """A server at a fixed place."""

    def __init__(self, place: Place, login: Login, *, timeout_s: float, failed: Failed) -> None:
        async def locate() -> Place:
            return place

        self._place = place
        self.heart = Pipe(locate, login, timeout_s=timeout_s, failed=failed)

    def ask(self, args: Sequence[Any], *, probing: bool) -> Awaitable[Any]:
        return self.heart.ask(*args)

    def place(self) -> Place | None:
        return self._place

    async def aclose(self) -> None:
        await self.heart.aclose()


class SentinelPrimary:
    """
    The primary called `service`, looked up for every new connection: after one was lost, and after READONLY. With each
    beat of the watcher the sentinels are asked in the background as well, as a primary that was replaced may live on.

    All sentinels are asked at once. Of those that answer within a quarter of the time, the latest configuration is
    believed, and a failover under way more than none; a server that then says it is no primary is left again.
    """

    def __init__(
        self, sentinels: Sequence[Place], login: Login, *, service: str, timeout_s: float, failed: Failed
    ) -> None:
        # Sentinels usually have no password, and no databases.
        theirs = replace(login, db=0, only_if_asked=True)
        self._sentinels = [_pipe_to(place, theirs, timeout_s) for place in sentinels]
        self._service = service
        self._patience_s = timeout_s / 4
        self._believed = (-1, False)
        """How recent the answer was that led to the connection there is."""
        self._look: asyncio.Task[None] | None = None
        self.heart = Pipe(self._locate, login, timeout_s=timeout_s, failed=failed, primary_only=True)

    def ask(self, args: Sequence[Any], *, probing: bool) -> Awaitable[Any]:
        if probing and self.heart.connected and (self._look is None or self._look.done()):
            self._look = asyncio.create_task(self._follow())
        return self.heart.ask(*args)

    def place(self) -> Place | None:
        return self.heart.place

    async def aclose(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait([self._look])
        await asyncio.gather(self.heart.aclose(), *(pipe.aclose() for pipe in self._sentinels))

    async def _locate(self) -> Place:
        epoch, promoted, place = await self._best()
        self._believed = epoch, promoted
        return place

    async def _follow(self) -> None:
        """Leave a server that is the primary no longer, whatever it says of itself."""
        with suppress(ConnectionError):
            epoch, promoted, place = await self._best()
            # A sentinel that has not heard of the last failover must not lead back.
            if self.heart.connected and (epoch, promoted) > self._believed and place != self.heart.place:
                self.heart.drop(ConnectionError("another server is the primary now"))

    async def _best(self) -> tuple[int, bool, Place]:
        asked = [asyncio.create_task(self._ask(pipe)) for pipe in self._sentinels]
        try:
            await asyncio.wait(asked, timeout=self._patience_s)
            answers = [task.result() for task in asked if task.done()]
            if not any(answers):
                for task in asyncio.as_completed(asked):
                    answers.append(await task)
                    if answers[-1]:
                        break
        finally:
            for task in asked:
                task.cancel()
        known = [answer for answer in answers if answer is not None]
        if not known:
            raise ConnectionError("no sentinel knows the primary")
        return max(known, key=lambda answer: answer[:2])

    async def _ask(self, sentinel: Pipe) -> tuple[int, bool, Place] | None:
        """(configuration epoch, whether another server is being promoted, the primary's place)"""
        try:
            # Both in one write. During a failover only the first tells of the new primary already.
            (host, port), known = await asyncio.gather(
                sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
                sentinel.ask("SENTINEL", "MASTER", self._service),
            )
            promoted = (host, port) != (known[b"ip"], known[b"port"])
            return int(known[b"config-epoch"]), promoted, Place(host.decode(), int(port))
        except (RedisError, OSError, TypeError, ValueError, KeyError):
            return None


def _pipe_to(place: Place, login: Login, timeout_s: float) -> Pipe:
    async def locate() -> Place:
        return place

    return Pipe(locate, login, timeout_s=timeout_s)
