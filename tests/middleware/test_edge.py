"""The HTTP edge: framing, headers, paths, media types."""

import pytest

from middleware.edge import EdgeMiddleware
from tests.middleware.asgi import Inner, ask

JSON = ("Content-Type", "application/json")
FRAMED = ("Content-Length", "2")
NOT_JSON = "the body must be application/json in UTF-8"
CODED = "content codings are not accepted"


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        # framing
        ([JSON, FRAMED, ("Transfer-Encoding", "chunked")], 400, "ambiguous message framing"),
        ([JSON, ("Transfer-Encoding", "gzip, chunked")], 400, "ambiguous message framing"),
        ([JSON, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], 400, "ambiguous message framing"),
        # host
        ([("Host", "a"), ("Host", "b")], 400, "exactly one Host header is needed"),
        ([("Host", "x/#@y")], 400, "malformed Host header"),
        ([("Host", "")], 400, "malformed Host header"),
        ([("Host", "a b")], 400, "malformed Host header"),
        # media type
        ([FRAMED], 415, NOT_JSON),
        ([FRAMED, ("Content-Type", "text/plain")], 415, NOT_JSON),
        ([FRAMED, ("Content-Type", "multipart/form-data; boundary=x")], 415, NOT_JSON),
        ([FRAMED, ("Content-Type", "application/x-www-form-urlencoded")], 415, NOT_JSON),
        ([FRAMED, ("Content-Type", "application/json; charset=utf-16")], 415, NOT_JSON),
        ([FRAMED, ("Content-Type", "application/jsonp")], 415, NOT_JSON),
        ([FRAMED, JSON, ("Content-Type", "text/plain")], 415, NOT_JSON),
        ([("Transfer-Encoding", "chunked")], 415, NOT_JSON),
        # codings: where decompression bombs die
        ([JSON, FRAMED, ("Content-Encoding", "gzip")], 415, CODED),
        ([JSON, FRAMED, ("Content-Encoding", "br")], 415, CODED),
        ([JSON, FRAMED, ("Content-Encoding", "identity"), ("Content-Encoding", "zstd")], 415, CODED),
        # size
        ([JSON, ("Content-Length", "1001")], 413, "the body is larger than 1000 bytes"),
        ([("X-Big", "x" * 33_000)], 431, "the request's headers are too large"),
        ([(f"X-{number}", "1") for number in range(100)], 431, "the request's headers are too large"),
    ],
)  # fmt: skip
async def test_refuses(headers: list[tuple[str, str]], status: int, detail: str) -> None:
    """Each with its status, and with the connection closed behind it."""
    inner = Inner()
    reply = await ask(EdgeMiddleware(inner, max_body_bytes=1000), headers=headers, body=b"{}")
    assert (reply.status, reply.json()) == (status, {"detail": detail})
    assert reply.headers["connection"] == "close"
    assert inner.calls == 0


@pytest.mark.parametrize(
    "path",
    ["//query", "/a//b", "/a/../query", "/a/./b", "/..", "/%2e%2e/query", "/a%2Fb", "/a%5cb", "/a\\b", "/query%00"],
)
async def test_alias_paths_are_404(path: str) -> None:
    """A path that some parser reads as another one is nobody's path."""
    inner = Inner()
    reply = await ask(EdgeMiddleware(inner, max_body_bytes=1000), method="GET", raw_path=path.encode())
    assert (reply.status, reply.json()) == (404, {"detail": "not found"})
    assert inner.calls == 0


async def test_targets_that_are_no_path() -> None:
    """Absolute and asterisk forms are for proxies and servers."""
    for target in (b"http://test/query", b"*"):
        reply = await ask(EdgeMiddleware(Inner(), max_body_bytes=1000), method="GET", raw_path=target)
        assert (reply.status, reply.json()) == (400, {"detail": "the request target must be a path"})


async def test_missing_host() -> None:
    """HTTP/1.1 needs a Host, HTTP/1.0 does not."""

    async def hostless(version: str) -> int:
        inner = EdgeMiddleware(Inner(), max_body_bytes=1000)

        async def app(scope, receive, send):  # type: ignore[no-untyped-def]
            scope["headers"] = []
            await inner(scope, receive, send)

        return (await ask(app, method="GET", http_version=version)).status

    assert [await hostless("1.1"), await hostless("1.0")] == [400, 200]


@pytest.mark.parametrize(
    "headers",
    [
        [JSON, FRAMED],
        [("Content-Type", "Application/JSON; Charset=UTF-8"), FRAMED],
        [("Content-Type", 'application/json;charset="utf-8"'), FRAMED],
        [JSON, ("Transfer-Encoding", "Chunked")],
        [JSON, FRAMED, ("Content-Encoding", "identity")],
        [("Host", "gateway.example:8000"), JSON, FRAMED],
        [("Host", "[::1]:8000"), JSON, FRAMED],
        [("Content-Length", "0")],
        [],
    ],
)
async def test_passes(headers: list[tuple[str, str]]) -> None:
    """Plain requests pass, and every answer forbids sniffing and caching."""
    inner = Inner()
    reply = await ask(EdgeMiddleware(inner, max_body_bytes=1000), headers=headers, body=b"{}")
    assert (reply.status, inner.calls) == (200, 1)
    assert reply.headers == {
        "content-type": "text/plain",
        "x-inner": "1",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
        "vary": "Authorization",
    }
