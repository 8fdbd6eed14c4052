"""
The one way out: an HTTP round trip or stream, with transport errors in our own tree.

Addresses come from operator configuration only; those of webhooks are checked besides. No redirects, no environment
proxies, no cookies, one pool for all providers. aiohttp carries the calls because of its cost: see the README's table
of clients (`make bench`).
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from providers.base import HttpReply, HttpRequest
from providers.errors import ConnectionFailed, MalformedReply, ProviderError, StreamBroken, TimedOut

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""Decoded size at which a reply is refused: no chat answer comes near, a decompression bomb does."""

_url = lru_cache(maxsize=512)(URL)


class ByteStream(Protocol):
    """A reply whose body is still coming."""

    @property
    def reply(self) -> HttpReply:
        """Status and headers; the body is empty."""
        ...

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `StreamBroken`."""
        ...

    async def read_all(self) -> HttpReply:
        """The whole reply, for one that turned out not to be a stream."""
        ...


class Client(Protocol):
    """What the cascade needs of HTTP."""

    async def send(self, request: HttpRequest) -> HttpReply: ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[ByteStream]: ...


class HttpClient:
    """
    A pool of connections to the providers, open inside `async with`.

    `connect_timeout_s` bounds DNS, TCP and TLS together; every other limit of time is the caller's. `permits` says of
    an IP address whether it may be connected to: names are resolved once, and what was checked is what is connected to.
    """

    def __init__(self, *, connect_timeout_s: float, permits: Callable[[str], bool] | None = None) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._permits = permits
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=30,
                resolver=None if self._permits is None else _CheckedResolver(self._permits),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # `connect` also counts waiting for the pool, which has no limit: it is the time to a usable connection.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
            headers={"Accept-Encoding": "identity", "User-Agent": "llm-secure-gateway"},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError("the HTTP client is not open: use it inside `async with`")
        return self._opened

    async def send(self, request: HttpRequest) -> HttpReply:
        """
        Send and read the whole reply.

        Raises `ConnectionFailed`, `StreamBroken` (cut inside the body), `MalformedReply` (too large), `TimedOut`
        (connecting).
        """
        host = _url(request.url).host or ""
        if self._permits is not None and is_ip_address(host) and not self._permits(host):
            raise ConnectionFailed("the address is not permitted")  # an address is never resolved
        try:
            async with self._session.request(
                request.method,
                _url(request.url),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                return _reply(response, await _body(response))
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error) from error

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[ByteStream]:
        """POST and hand over the body as it comes. Leaving the block early closes the connection."""
        try:
            response = await self._session.post(
                _url(request.url), data=request.body, headers=request.headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error) from error
        try:
            yield _AiohttpStream(response)
        finally:
            response.close()


class _CheckedResolver(AbstractResolver):
    """Gives no address that is not permitted; one such among several is left out."""

    def __init__(self, permits: Callable[[str], bool]) -> None:
        self._permits = permits
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [each for each in await self._inner.resolve(host, port, family) if self._permits(each["host"])]
        if not found:
            raise OSError("no permitted address")
        return found

    async def close(self) -> None:
        await self._inner.close()


class _AiohttpStream:
    __slots__ = ("_response", "reply")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.reply = _reply(response, b"")

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error, started=True) from error

    async def read_all(self) -> HttpReply:
        try:
            return _reply(self._response, await _body(self._response))
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error, started=True) from error


def _reply(response: aiohttp.ClientResponse, body: bytes) -> HttpReply:
    return HttpReply(response.status, {name.lower(): value for name, value in response.headers.items()}, body)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_REPLY_BYTES and "Content-Encoding" not in response.headers:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_REPLY_BYTES:
            response.close()
            raise MalformedReply("the reply is larger than 32 MiB")
        parts.append(part)
    return b"".join(parts)


def _mapped(error: Exception, *, started: bool = False) -> ProviderError:
    if isinstance(error, aiohttp.ServerTimeoutError):
        return TimedOut("connect")
    if started or isinstance(error, aiohttp.ClientPayloadError):
        return StreamBroken("the reply broke off")
    if isinstance(error, aiohttp.ClientResponseError):
        return MalformedReply("the reply is not HTTP")
    return ConnectionFailed("no connection to the provider, or it was reset before a reply")
