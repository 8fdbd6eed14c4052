"""
Between a client and a Redis server: does to their conversation what networks do, and what servers say on bad days.

Every fault holds for connections that are open and for those to come, until it is taken back.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import hiredis

from tests.redis_server import RedisServer

CHUNK = 65536


class RedisProxy:
    """
    `async with RedisProxy(server) as proxy:` listens on `proxy.url`; what it does is set by its attributes:

    - `delay_s`: every piece of a reply comes later by this.
    - `black_hole`: bytes vanish, in both directions; connections stay open and new ones are accepted.
    - `refuse`: new connections are closed at once.
    - `cut_after`: so many bytes of replies more are passed on; then the connection they came on is closed, once.
    - `forged`: commands, by their names in capitals, and the error the server gives instead of running them.
    """

    def __init__(self, server: RedisServer) -> None:
        self.delay_s = 0.0
        self.black_hole = False
        self.refuse = False
        self.cut_after: int | None = None
        self.forged: Mapping[str, str] = {}
        self.accepted = 0
        """Connections so far, refused ones included."""
        self.reads: list[bytes] = []
        """What clients sent, piece by piece."""
        self.port = 0
        self.server = server
        self._clients: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[object]] = set()
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def open(self) -> int:
        """Connections that clients hold now."""
        return len(self._clients)

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        self.reset()
        await self._listener.wait_closed()
        # Their handlers end a moment after their connections.
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def reset(self) -> None:
        """RST on every connection."""
        for client in self._clients:
            sock: socket.socket = client.get_extra_info("socket")
            if sock.fileno() < 0:
                continue  # it has just ended by itself
            # RFC 9293 §3.10.7.4 by way of SO_LINGER 0: closing sends a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.transport.abort()

    def hang_up(self) -> None:
        """FIN on every connection, as a server does that has found it idle."""
        for client in self._clients:
            client.close()

    async def deserted(self) -> None:
        """Wait until every client has left by itself."""
        await asyncio.gather(*self._handlers)

    def inject(self, data: bytes) -> None:
        """Say this to every client, out of turn."""
        for client in self._clients:
            client.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuse:
            writer.close()
            return
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        self._clients.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self.server.socket_path)
            try:
                there = asyncio.create_task(self._requests(reader, server_writer))
                back = asyncio.create_task(self._replies(server_reader, writer))
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
            finally:
                server_writer.transport.abort()
        except OSError:
            # The server is away: what its clients see is a closed connection.
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(CHUNK):
            if self.black_hole:
                continue
            self.reads.append(data)
            commands.feed(data)
            # Parsed always, so that what is forged may change in the middle of a connection.
            while (command := commands.gets()) is not False:
                error = self.forged.get(command[0].decode().upper())
                if error is not None:
                    # The server itself says it, so it comes in its turn.
                    command = ("EVAL", "return redis.error_reply(ARGV[1])", 0, error)
                server.write(hiredis.pack_command(tuple(command)))

    async def _replies(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        # Late is not slow: what comes while a piece waits is late by as much, and no later.
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        passing = asyncio.create_task(self._pass_on(due, client))
        clock = asyncio.get_running_loop().time
        try:
            while data := await server.read(CHUNK):
                due.put_nowait((clock() + self.delay_s, data))
            due.put_nowait((clock(), b""))
            await passing
        finally:
            passing.cancel()

    async def _pass_on(self, due: asyncio.Queue[tuple[float, bytes]], client: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            at, data = await due.get()
            if at > clock():
                await asyncio.sleep(at - clock())
            if not data:
                return
            if self.black_hole:
                continue
            left = self.cut_after
            if left is not None and len(data) >= left:
                self.cut_after = None
                client.write(data[:left])
                await client.drain()
                client.close()
                return
            if left is not None:
                self.cut_after = left - len(data)
            client.write(data)
