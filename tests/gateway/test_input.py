"""Hostile and mistaken input against the served gateway: a clear answer each time, and never a 500."""

import asyncio
import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import Start
from tests.middleware.test_strict_json import REFUSED
from tests.serving import CLIENT_KEY

JSON = {"Content-Type": "application/json"}


async def raw(url: str, *parts: bytes, limit_s: float = 10) -> bytes:
    """Send bytes as they are; return what comes back until the server closes or has answered."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(limit_s):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read(65536)
    finally:
        writer.close()


def request(*headers: str, method: str = "POST", target: str = "/query", key: bool = True) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *headers]
    if not any(header.lower().startswith("host:") for header in headers):
        lines.append("Host: test")
    if key:
        lines.append(f"X-API-Key: {CLIENT_KEY}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
async def test_json_that_is_not_strict(gateway: Start, body: bytes) -> None:
    """Every malformed body is 400 with one sentence and no echo (I4)."""
    client = await gateway()
    reply = await client.post("/query", content=body, headers=JSON)
    assert reply.status_code == 400
    assert set(reply.json()) == {"detail"}
    assert len(reply.json()["detail"]) < 80
    assert reply.headers["x-ratelimit-limit"] == "100000"


FIELDS: dict[str, tuple[Any, list[tuple[list[Any], str]]]] = {
    # body, and where it is wrong with which type
    "missing": ({}, [(["prompt"], "missing")]),
    "scalar": ("text", [([], "model_type")]),
    "list": ([], [([], "model_type")]),
    "null": (None, [([], "model_type")]),
    "empty prompt": ({"prompt": ""}, [(["prompt"], "string_too_short")]),
    "long prompt": ({"prompt": "x" * 4001}, [(["prompt"], "string_too_long")]),
    "prompt of another type": ({"prompt": 7}, [(["prompt"], "string_type")]),
    "unknown field": ({"prompt": "x", "api_base": "http://evil"}, [(["api_base"], "extra_forbidden")]),
    "privilege": (
        {"prompt": "x", "tenant": "a", "scopes": []},
        [(["tenant"], "extra_forbidden"), (["scopes"], "extra_forbidden")],
    ),
    "tokens negative": ({"prompt": "x", "max_tokens": -1}, [(["max_tokens"], "greater_than_equal")]),
    "tokens zero": ({"prompt": "x", "max_tokens": 0}, [(["max_tokens"], "greater_than_equal")]),
    "tokens too many": ({"prompt": "x", "max_tokens": 2049}, [(["max_tokens"], "less_than_equal")]),
    "tokens as text": ({"prompt": "x", "max_tokens": "9"}, [(["max_tokens"], "int_type")]),
    "tokens as boolean": ({"prompt": "x", "max_tokens": True}, [(["max_tokens"], "int_type")]),
    "tokens as fraction": ({"prompt": "x", "max_tokens": 1.5}, [(["max_tokens"], "int_type")]),
    "temperature high": ({"prompt": "x", "temperature": 2.1}, [(["temperature"], "less_than_equal")]),
    "temperature as text": ({"prompt": "x", "temperature": "0.7"}, [(["temperature"], "float_type")]),
    "temperature as boolean": ({"prompt": "x", "temperature": True}, [(["temperature"], "float_type")]),
    "stream as text": ({"prompt": "x", "stream": "false"}, [(["stream"], "bool_type")]),
    "stream as number": ({"prompt": "x", "stream": 1}, [(["stream"], "bool_type")]),
    "model of 10 KB": ({"prompt": "x", "model": "m" * 10_000}, [(["model"], "string_too_long")]),
    "model with CRLF": ({"prompt": "x", "model": "a\r\nX: 1"}, [(["model"], "string_pattern_mismatch")]),
    "model not Latin": ({"prompt": "x", "model": "模型"}, [(["model"], "string_pattern_mismatch")]),
    "provider empty": ({"prompt": "x", "provider": ""}, [(["provider"], "string_too_short")]),
    "three at once": (
        {"max_tokens": 0, "n": 5},
        [(["prompt"], "missing"), (["max_tokens"], "greater_than_equal"), (["n"], "extra_forbidden")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "wrong"), FIELDS.values(), ids=FIELDS.keys())
async def test_fields(gateway: Start, body: Any, wrong: list[tuple[list[Any], str]]) -> None:
    """Every wrong field is named at once, with its type, and no value comes back (I6)."""
    client = await gateway()
    reply = await client.post("/query", content=json.dumps(body), headers=JSON)
    assert reply.status_code == 422
    details = reply.json()["detail"]
    assert [(detail["loc"], detail["type"]) for detail in details] == [(["body", *loc], kind) for loc, kind in wrong]
    assert all(set(detail) == {"loc", "msg", "type"} and detail["msg"] for detail in details)
    assert "evil" not in reply.text
    assert len(reply.text) < 1000


async def test_bounds_of_fields(gateway: Start) -> None:
    """The largest and smallest that are allowed are allowed."""
    client = await gateway()
    for body in (
        {"prompt": "x" * 4000, "max_tokens": 2048, "temperature": 2},
        {"prompt": "x", "max_tokens": 1, "temperature": 0},
        {"prompt": "👍" * 4000},
        {"prompt": "x", "system": None, "model": None, "provider": None, "stream": False},
    ):
        assert (await client.post("/query", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (None, None),
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
        ("multipart/form-data; boundary=x", None),
        ("application/json; charset=utf-16", None),
        ("application/json", "gzip"),
        ("application/json", "br"),
        ("application/json", "zstd"),
    ],
)
async def test_media_types(gateway: Start, content_type: str | None, encoding: str | None) -> None:
    """JSON only, identity only (I5)."""
    client = await gateway()
    headers = {name: value for name, value in (("Content-Type", content_type), ("Content-Encoding", encoding)) if value}
    reply = await client.post("/query", content=b'{"prompt":"x"}', headers=headers)
    assert reply.status_code == 415
    assert set(reply.json()) == {"detail"}


async def test_large_bodies(gateway: Start) -> None:
    """Above the limit is 413 and the connection closes, by declared length and by chunks without one (I1)."""
    client = await gateway(MAX_BODY_BYTES="2048")
    url = str(client.base_url).rstrip("/")
    declared = await raw(url, request("Content-Type: application/json", "Content-Length: 2049"), b"x" * 100)
    assert declared.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in declared.lower()
    assert declared.endswith(b'{"detail":"the body is larger than 2048 bytes"}')
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    chunked = await raw(
        url, request("Content-Type: application/json", "Transfer-Encoding: chunked"), chunk, chunk, chunk
    )
    assert chunked.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in chunked.lower()
    reply = await client.post("/query", content=orjson.dumps({"prompt": "x", "system": "y" * 1900}), headers=JSON)
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # framing
        (request("Content-Length: 2", "Transfer-Encoding: chunked"), 400),
        (request("Content-Type: application/json", "Transfer-Encoding: gzip, chunked"), 400),
        (request("Content-Length: +2"), 400),
        (request("Content-Length: 2", "Content-Length: 3"), 400),
        # hosts
        (request("Host: a", "Host: b", method="GET", target="/health"), 400),
        (request("Host: x/#@y", method="GET", target="/health"), 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        # targets
        (request(method="GET", target="//health"), 404),
        (request(method="GET", target="/v1/%2e%2e/health"), 404),
        (request(method="GET", target="/health%2flive"), 404),
        # headers
        (request("X: " + "y" * 40_000, method="GET", target="/health"), 431),
        (request(*(f"X{n}: 1" for n in range(200)), method="GET", target="/health"), 431),
        (request("X: a\x00b", method="GET", target="/health"), 400),
    ],
)
async def test_http_that_is_not_clean(gateway: Start, head: bytes, status: int) -> None:
    """Ambiguous requests are refused, and what is smuggled behind them is never answered."""
    client = await gateway()
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"
    answer = await raw(str(client.base_url).rstrip("/"), head, smuggled if status != 404 else b"")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b'{"status":"healthy"}' not in answer


@pytest.mark.parametrize(
    "sent", ["abc_DEF-123", "x" * 64, "x" * 65, "a b", "a;b", "é", "<script>", "../../etc", ""], ids=repr
)
async def test_request_ids(gateway: Start, sent: str) -> None:
    """A well-formed id comes back; any other is replaced, never echoed (I9)."""
    client = await gateway()
    reply = await client.get("/health/live", headers=[(b"X-Request-ID", sent.encode("latin-1"))])
    echoed = reply.headers["x-request-id"]
    if sent in ("abc_DEF-123", "x" * 64):
        assert echoed == sent
    else:
        assert len(echoed) == 32
        assert echoed.isalnum()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "BREW"])
async def test_methods(gateway: Start, method: str) -> None:
    """405 with what is allowed, for every method a route does not have."""
    client = await gateway()
    reply = await client.request(method, "/query")
    assert (reply.status_code, reply.headers.get("allow")) == (405, "POST") or (
        method == "BREW" and reply.status_code == 400
    )


async def test_unknown_paths(gateway: Start) -> None:
    """404 with a key, 401 without: what exists is not told to strangers."""
    client = await gateway()
    reply = await client.get("/nothing/here")
    assert (reply.status_code, reply.json()) == (404, {"detail": "not found"})
    reply = await client.get("/nothing/here", headers={"X-API-Key": ""})
    assert reply.status_code == 401


async def test_unknown_paths_of_openai_clients(gateway: Start) -> None:
    """Under /v1 the same, in OpenAI's envelope."""
    client = await gateway()
    known, stranger = await client.post("/v1/nothing"), await client.get("/v1/models", headers={"X-API-Key": ""})
    assert (known.status_code, known.json()) == (
        404,
        {"error": {"message": "not found", "type": "invalid_request_error", "param": None, "code": "not_found"}},
    )
    assert (stranger.status_code, stranger.json()) == (
        401,
        {
            "error": {
                "message": "missing or invalid API key",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_api_key",
            }
        },
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
FIELD = st.sampled_from(
    ["prompt", "max_tokens", "temperature", "model", "provider", "system", "stream", "prompts", "text"]
)
PATHS = ["/query", "/batch/security", "/batch/resilience", "/check-toxicity"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(FIELD, ANYTHING, max_size=5), path=st.sampled_from(PATHS))
async def test_no_body_makes_a_500(gateway: Start, body: dict[str, Any], path: str) -> None:
    """Whatever values stand in whatever fields: an answer, or a refusal in the route's form."""
    client = await shared(gateway)
    reply = await client.post(path, content=json.dumps(body), headers=JSON)
    assert reply.status_code in (200, 400, 422)
    assert reply.status_code == 200 or set(reply.json()) == {"detail"}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), path=st.sampled_from(PATHS))
async def test_no_bytes_make_a_500(gateway: Start, body: bytes, path: str) -> None:
    """Bytes are no better than values."""
    client = await shared(gateway)
    reply = await client.post(path, content=body, headers=JSON)
    assert reply.status_code in (200, 400, 422)


_shared: dict[Start, httpx.AsyncClient] = {}


async def shared(gateway: Start) -> httpx.AsyncClient:
    """One gateway for all examples of a property."""
    if gateway not in _shared:
        _shared.clear()
        _shared[gateway] = await gateway()
    return _shared[gateway]
