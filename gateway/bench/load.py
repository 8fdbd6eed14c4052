"""A load on one address: keep-alive connections over raw sockets, so that the load itself costs little."""

import asyncio
import time
from collections.abc import Callable
from typing import cast


class _Connection(asyncio.Protocol):
    """Sends one request at a time; knows a reply is whole by its length or by the last chunk."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiter: asyncio.Future[bytes] | None = None
        self._needed = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._needed < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._needed = end + 4 + int(length) if length else 0
        whole = len(self._buffer) >= self._needed if self._needed else self._buffer.endswith(b"0\r\n\r\n")
        if whole and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(bytes(self._buffer))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionError("closed"))

    async def ask(self, request: bytes) -> bytes:
        self._buffer.clear()
        self._needed = -1
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        self._transport.close()


async def saturate(port: int, build: Callable[[int], bytes], *, requests: int, connections: int) -> float:
    """Send `requests` as fast as answers come; return the seconds it took. Raises `RuntimeError` unless all are 200."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(requests))

    async def work() -> None:
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
        for number in numbers:
            _expect_ok(await connection.ask(build(number)))
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return time.perf_counter() - started


async def paced(port: int, build: Callable[[int], bytes], *, requests: int, per_second: float) -> list[float]:
    """Send at a fixed rate; return each latency in seconds, waiting in a queue included."""
    loop = asyncio.get_running_loop()
    free: list[_Connection] = []
    latencies: list[float] = []

    async def one(number: int) -> None:
        due = time.perf_counter()
        connection = free.pop() if free else (await loop.create_connection(_Connection, "127.0.0.1", port))[1]
        _expect_ok(await connection.ask(build(number)))
        latencies.append(time.perf_counter() - due)
        free.append(connection)

    start = time.perf_counter()
    tasks = []
    for number in range(requests):
        await asyncio.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return latencies


def _expect_ok(reply: bytes) -> None:
    if not reply.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the measured server answered {reply[:300]!r}")
