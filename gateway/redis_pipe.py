"""One connection to one Redis server, shared by all who have a command for it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import hiredis
from redis._parsers.base import BaseParser
from redis.exceptions import AuthenticationError, ConnectionError, DataError, ReadOnlyError, RedisError, ResponseError

from gateway.redis_errors import is_outage
from gateway.redis_url import Login, Place

CLIENT_NAME = "llm-gateway"
MAX_WAITING = 10_000
"""Commands without an answer. A server that is away costs no more memory than these."""
MAX_UNSENT_BYTES = 32 * 1024 * 1024
GRACE_S = 0.002
"""Replies that have arrived while this process was busy are read before anything is called late."""

_NOTHING_YET = object()
_ASKING = hiredis.pack_command(("ASKING",))


class PipeFull(ConnectionError):
    """Too much waits for this server already."""


class Pipe:
    """
    Sends the commands of one turn of the event loop in one write and matches the replies in order (RESP3).

    Connects when first asked, to wherever `locate` says, and again after the connection was lost. Each command has
    `timeout_s` for everything, connecting included. When the oldest has waited for that long the connection is dropped
    and all that wait on it fail at once: replies that may still come are never read. A command whose caller has gone
    keeps its place in the queue, so its reply is nobody else's. Nothing is sent twice.

    Commands that block (BLPOP), and those that change what the connection is (SUBSCRIBE, MULTI, SELECT), would do it to
    everybody: they need a connection of their own.
    """

    def __init__(
        self,
        locate: Callable[[], Awaitable[Place]],
        login: Login,
        *,
        timeout_s: float,
        failed: Callable[["Pipe", Exception], None] | None = None,
        primary_only: bool = False,
    ) -> None:
        self.timeout_s = timeout_s
        self.failures = 0
        """In a row: lost connections that somebody waited on, and answers that are outages."""
        self.place: Place | None = None
        """Where the last connection led."""
        self._locate = locate
        self._login = login
        self._told = failed
        self._primary_only = primary_only
        self._unsent: deque[tuple[bytes, bool, asyncio.Future[Any], float]] = deque()
        self._unsent_bytes = 0
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._flush_due = False
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether a command asked now would be sent at once."""
        return self._connection is not None

    def ask(self, *args: Any, asking: bool = False) -> "asyncio.Future[Any]":
        """
        Queue one command, to be sent at the end of this turn of the loop, after ASKING if `asking`.

        The future ends with the reply as hiredis reads it, with an error of redis-py, or with `TimeoutError`. Raises
        `DataError` for what no command can hold and `PipeFull`.
        """
        packed = _pack(args)
        connection = self._connection
        waiting = len(self._unsent) + (0 if connection is None else len(connection.waiting))
        unsent = self._unsent_bytes + (0 if connection is None else connection.unsent_bytes())
        if waiting >= MAX_WAITING or unsent >= MAX_UNSENT_BYTES:
            raise PipeFull("too many commands wait for Redis")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        deadline = loop.time() + self.timeout_s
        self._unsent.append((packed, asking, future, deadline))
        self._unsent_bytes += len(packed)
        if connection is None:
            self._connect()
        elif not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush)
        if self._alarm is None:
            self._alarm = loop.call_at(deadline, self._late)
        return future

    def drop(self, error: Exception) -> None:
        """Leave the connection; whoever waits fails with such an error, at once."""
        connection, self._connection = self._connection, None
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        waited = bool(self._unsent)
        for _, _, future, _ in self._unsent:
            _fail(future, error)
        self._unsent.clear()
        self._unsent_bytes = 0
        if connection is not None:
            waited |= connection.fail(error)
        if waited:
            self.count(error)

    def count(self, error: Exception) -> None:
        """One more failure in a row."""
        self.failures += 1
        if self._told is not None:
            self._told(self, error)

    async def aclose(self) -> None:
        """Drop the connection and wait until it is gone."""
        connection, connecting, self._told = self._connection, self._connecting, None
        self.drop(ConnectionError("this client was closed"))
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if connecting is not None:
            await asyncio.wait([connecting])
        if connection is not None:
            await connection.closed.wait()

    def lost(self, connection: "_Connection", error: Exception, *, answered: bool = False) -> None:
        """
        A connection has ended by itself or is of no more use. What was not sent on it yet goes on another one.

        A failure if somebody waited, or was just `answered` with this error.
        """
        waited = connection.fail(error)
        if connection is self._connection:
            self._connection = None
            if waited or answered:
                self.count(error)
            if self._unsent:
                self._connect()

    def _flush(self) -> None:
        self._flush_due = False
        connection = self._connection
        if connection is None:
            return
        chunks = []
        for packed, asking, future, deadline in self._unsent:
            if future.done():
                continue
            if asking:
                chunks.append(_ASKING)
                connection.waiting.append((None, deadline))
            chunks.append(packed)
            connection.waiting.append((future, deadline))
        self._unsent.clear()
        self._unsent_bytes = 0
        if chunks:
            connection.write(b"".join(chunks))

    def _late(self, *, grace: bool = True) -> None:
        """The oldest command may have waited for too long."""
        self._alarm = None
        connection = self._connection
        if connection is not None and connection.waiting:
            deadline = connection.waiting[0][1]
        elif self._unsent:
            deadline = self._unsent[0][3]
        else:
            return
        loop = asyncio.get_running_loop()
        if deadline > loop.time():
            self._alarm = loop.call_at(deadline, self._late)
        elif grace:
            self._alarm = loop.call_later(GRACE_S, lambda: self._late(grace=False))
        else:
            self.drop(TimeoutError("Redis did not answer in time"))

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open())

    async def _open(self) -> None:
        connection = _Connection(self)
        try:
            self.place = place = await self._locate()
            await connection.open(place, self._login)
            role = await connection.greet(self._login)
            if self._primary_only and role != b"master":
                raise ConnectionError("this server is no primary")
        except (RedisError, OSError, ValueError) as error:
            connection.fail(error)
            self._connecting = None
            # Not with its own text: that of a resolver or of TLS names the host.
            self.drop(error if isinstance(error, RedisError) else ConnectionError(f"no way in: {type(error).__name__}"))
        except asyncio.CancelledError:
            connection.fail(ConnectionError("given up"))
            raise
        else:
            connection.greeted = True
            self._connecting = None
            self._connection = connection
            self._flush()


class _Connection(asyncio.Protocol):
    """One TCP, TLS or Unix connection: who waits for its replies, in order."""

    def __init__(self, pipe: Pipe) -> None:
        self.waiting: deque[tuple[asyncio.Future[Any] | None, float]] = deque()
        self.greeted = False
        self.closed = asyncio.Event()
        self._pipe = pipe
        self._transport: asyncio.Transport | None = None
        self._broken = False
        self._reader = hiredis.Reader(replyError=_error, notEnoughData=_NOTHING_YET)

    async def open(self, place: Place, login: Login) -> None:
        """Raises `OSError` and `ValueError`, the latter for a name that cannot be one."""
        loop = asyncio.get_running_loop()
        if place.path:
            await loop.create_unix_connection(lambda: self, place.path)
        else:
            await loop.create_connection(lambda: self, place.host, place.port, ssl=login.tls)

    async def greet(self, login: Login) -> bytes:
        """RESP3, credentials, name and database; returns the server's role."""
        credentials = ("AUTH", login.username or "default", login.password or "")
        wanted = login.username is not None or login.password is not None
        name = ("SETNAME", CLIENT_NAME)
        try:
            offered = credentials if wanted and not login.only_if_asked else ()
            facts = await self._say("HELLO", 3, *offered, *name)
        except AuthenticationError:
            if not (wanted and login.only_if_asked):
                raise
            facts = await self._say("HELLO", 3, *credentials, *name)
        if login.db:
            await self._say("SELECT", login.db)
        if not isinstance(facts, dict):
            raise ConnectionError("this server does not speak RESP3")
        return bytes(facts.get(b"role", b""))

    def _say(self, *args: Any) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        if self._broken:
            future.set_exception(ConnectionError("Redis closed the connection"))
        else:
            self.waiting.append((future, 0.0))
            self.write(hiredis.pack_command(args))
        return future

    def write(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - for mypy: nobody has it before
        self._transport.write(data)

    def unsent_bytes(self) -> int:
        """What this process still holds of what was written."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def fail(self, error: Exception) -> bool:
        """End it, and with it all that waits on it; whether anything did."""
        self._broken = True
        waited = bool(self.waiting)
        for future, _ in self.waiting:
            if future is not None:
                _fail(future, error)
        self.waiting.clear()
        if self._transport is not None:
            self._transport.abort()
        return waited

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._broken:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()
        self._pipe.lost(self, ConnectionError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while not self._broken and (reply := self._reader.gets()) is not _NOTHING_YET:
                if type(reply) is hiredis.PushNotification:
                    continue
                if not self.waiting:
                    # Such as "max number of clients reached", which is said before anything was asked.
                    unasked = reply if isinstance(reply, RedisError) else ConnectionError("a reply to nothing")
                    self._pipe.lost(self, unasked)
                    continue
                future, _ = self.waiting.popleft()
                if isinstance(reply, RedisError):
                    self._refused(future, reply)
                else:
                    if self.greeted:
                        self._pipe.failures = 0
                    if future is not None and not future.done():
                        future.set_result(reply)
        except hiredis.ProtocolError:
            self._pipe.lost(self, ConnectionError("what came from Redis is no reply"))

    def _refused(self, future: "asyncio.Future[Any] | None", error: RedisError) -> None:
        if future is not None and not future.done():
            future.set_exception(error)
        if not self.greeted:
            return
        if isinstance(error, ReadOnlyError):
            # The name may lead to another server by now.
            self._pipe.lost(self, error, answered=True)
        elif is_outage(error):
            self._pipe.count(error)
        else:
            self._pipe.failures = 0


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        # One of its own for each, or each that is raised would lengthen the traceback of all.
        future.set_exception(type(error)(*error.args))


def _pack(args: tuple[Any, ...]) -> bytes:
    name = args[0]
    if isinstance(name, str) and " " in name:
        args = (*name.split(), *args[1:])
    try:
        packed: bytes = hiredis.pack_command(args)
    except TypeError:
        raise DataError("a command holds bytes, str, int and float only") from None
    return packed


def _error(text: str) -> RedisError:
    try:
        error: RedisError = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    except ValueError:
        # MOVED and ASK are taken apart at once; what follows here is no place.
        return ResponseError(text)
    return error
