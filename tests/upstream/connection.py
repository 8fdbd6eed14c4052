"""HTTP/1.1 by hand, so that it can break in any way."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import httptools

from tests.upstream.recorded import Request


class Host(Protocol):
    """What a connection tells whoever accepted it."""

    broken: list[str]

    def opened(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...

    def running(self, task: asyncio.Task[None]) -> None: ...

    async def answer(self, connection: "Connection", request: Request) -> None: ...


class Connection(asyncio.Protocol):
    """One client connection: reads requests with httptools, answers them in order, and can break in several ways."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.current: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self.closed_here = False
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self._piece: int | None = None
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.host.lost(self)
        self._writable.set()
        if self.task is not None and not self.closed_here:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.host.broken.append(f"not HTTP: {error}")
            self.reset()

    # Called by httptools.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, tuple[str, ...]] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        self._headers[key] = (*self._headers.get(key, ()), value.decode("latin-1"))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url = urlsplit(self._url.decode("latin-1"))
        request = Request(
            method=self._parser.get_method().decode(),
            path=url.path,
            query={name: tuple(values) for name, values in parse_qs(url.query, keep_blank_values=True).items()},
            headers=self._headers,
            body=b"".join(self._body),
            time=time.monotonic(),
            kind="unknown",
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._answer_all())
            self.host.running(self.task)

    async def _answer_all(self) -> None:
        while self._waiting and not self.transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            self.current = request
            await self.host.answer(self, request)
            self.current = None
            if not keep_alive:
                self.close()

    # Called by behaviours.

    async def start(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        """Send status and headers. `length` None: chunks follow."""
        self._chunked = length is None
        framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in {**headers, **framing}.items())]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send(self, data: bytes, split: int | None = None) -> None:
        """Send a part of the body, `split` bytes at a time if told; the client may read between any two."""
        for start in range(0, len(data), split or len(data) or 1):
            piece = data[start : start + (split or len(data))]
            await self.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece)

    async def finish(self) -> None:
        if self._chunked:
            await self.write(b"0\r\n\r\n")

    async def write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()
        # A turn of the loop, so that a client in the same loop sees the pieces one by one.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close in order: what was written is delivered first."""
        self.closed_here = True
        self.transport.close()

    def reset(self) -> None:
        """Send a RST: with SO_LINGER at zero, closing does not wait for anything."""
        self.closed_here = True
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def free_port() -> int:
    """Return a port on which nobody listens: a refused connection, or a place for a server about to start."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
