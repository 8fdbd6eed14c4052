"""The way out: transport faults in our own tree, bounds, and nothing sent that should not be."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from providers.base import HttpRequest
from providers.client import MAX_REPLY_BYTES, HttpClient
from providers.errors import ConnectionFailed, MalformedReply, StreamBroken, TimedOut
from tests.upstream import free_port

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@asynccontextmanager
async def server(answer: bytes, *, hold: bool = False, seen: list[bytes] | None = None) -> AsyncIterator[str]:
    """Answers every connection with these bytes once a whole request head has come, then closes it."""
    held = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(head)
            writer.write(answer)
            await writer.drain()
            if hold:
                await held.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, which is what some tests are about
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"
    finally:
        held.set()
        listening.close()
        await listening.wait_closed()


def post(url: str) -> HttpRequest:
    return HttpRequest(url, {"content-type": "application/json", "authorization": "Bearer k"}, b"{}")


async def send(answer: bytes) -> bytes:
    async with server(answer) as url, HttpClient(connect_timeout_s=1) as client:
        return (await client.send(post(url))).body


async def test_whole_reply() -> None:
    """Status, lower-case headers, body; and on the wire just what was asked to be sent."""
    seen: list[bytes] = []
    answer = OK + b"X-Mixed: Case\r\ncontent-length: 2\r\n\r\n{}"
    async with server(answer, seen=seen) as url, HttpClient(connect_timeout_s=1) as client:
        reply = await client.send(post(url))
    assert (reply.status, reply.body, reply.headers["x-mixed"]) == (200, b"{}", "Case")
    names = {line.partition(b":")[0].lower() for line in seen[0].split(b"\r\n")[1:] if line}
    assert names == {
        b"host", b"content-type", b"authorization", b"accept-encoding", b"user-agent", b"accept", b"content-length",
    }  # fmt: skip
    assert b"Accept-Encoding: identity" in seen[0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionFailed),
        (b"HTTP/1.1 200 OK\r\ncontent-le", ConnectionFailed),
        (OK + b"content-length: 100\r\n\r\n{}", StreamBroken),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab", StreamBroken),
        (b"garbage that is no HTTP\r\n\r\n", MalformedReply),
        (OK + b"x: " + b"y" * 100_000 + b"\r\n\r\n{}", MalformedReply),
    ],
    ids=["closed", "half a head", "half a body", "half a chunk", "no HTTP", "endless header"],
)
async def test_faults(answer: bytes, error: type[Exception]) -> None:
    """Each transport fault is one of ours, with words of ours."""
    with pytest.raises(error) as caught:
        await send(answer)
    assert type(caught.value) is error
    assert "127.0.0.1" not in str(caught.value)


async def test_refused_and_unresolvable() -> None:
    """Nobody listens, or there is no such host."""
    async with HttpClient(connect_timeout_s=1) as client:
        for url in (f"http://127.0.0.1:{free_port()}/", "http://no-such-host.invalid/"):
            with pytest.raises((ConnectionFailed, TimedOut)):
                await client.send(post(url))


async def test_large_replies() -> None:
    """A reply above the cap is refused: declared, chunked, or a bomb that is small on the wire."""
    half = b"x" * (MAX_REPLY_BYTES // 2 + 1)
    chunk = b"%x\r\n%b\r\n" % (len(half), half)
    bomb = gzip.compress(b"\0" * (MAX_REPLY_BYTES + 1), 9)
    for answer in (
        OK + b"content-length: %d\r\n\r\n" % (MAX_REPLY_BYTES + 1) + half + half,
        OK + b"transfer-encoding: chunked\r\n\r\n" + chunk + chunk + b"0\r\n\r\n",
        OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb) + bomb,
    ):
        with pytest.raises((MalformedReply, StreamBroken)):
            await send(answer)


async def test_stream_and_early_leave() -> None:
    """Bytes come as they are sent; leaving early closes the connection, a cut is an error."""
    answer = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with (
        server(answer, hold=True) as url,
        HttpClient(connect_timeout_s=1) as client,
        client.stream(post(url)) as stream,
    ):
        assert (stream.reply.status, stream.reply.body) == (200, b"")
        assert await stream.read() == b"hello"
    async with server(answer) as url, HttpClient(connect_timeout_s=1) as client, client.stream(post(url)) as stream:
        assert await stream.read() == b"hello"
        with pytest.raises(StreamBroken):
            await stream.read()
    whole = OK + b"content-length: 2\r\n\r\n{}"
    async with server(whole) as url, HttpClient(connect_timeout_s=1) as client, client.stream(post(url)) as stream:
        assert (await stream.read_all()).body == b"{}"


async def test_closed_client() -> None:
    """Using it outside its block is a mistake, told as one."""
    client = HttpClient(connect_timeout_s=1)
    with pytest.raises(RuntimeError, match="not open"):
        await client.send(post("http://127.0.0.1:9/"))
