"""Values that no placeholder can stand for, depth that cannot be written again, and what only an admin may do."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.gateway.conftest import Start
from tests.serving import CLIENT_KEY
from tests.upstream import Answer, RawStream, Status, Upstream

Json = dict[str, Any]

CARD, ADDRESS = "4111111111111111", "a@b.de"
CHAT, MESSAGES, COUNT, RESPONSES = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
)
HELLO = [{"role": "user", "content": "Hello"}]
SOUND: Mapping[str, Json] = {
    CHAT: {"model": "m", "messages": HELLO},
    MESSAGES: {"model": "m", "max_tokens": 9, "messages": HELLO},
    COUNT: {"model": "m", "messages": HELLO},
    RESPONSES: {"model": "m", "input": "Hello"},
}
DETECTED = "pii_detected", "the text contains personal data"


def user(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": [*parts]}]


def texts(*given: str, kind: str = "text") -> list[Json]:
    return user(*({"type": kind, "text": text} for text in given))


def picture(data: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


CUT: tuple[str, ...] = ("My card is 4111 1111", " 1111 1111.")
UNMASKABLE: list[tuple[str, str, Json]] = [
    # Names have their letters and their length, a placeholder has other ones.
    ("a tool's name", CHAT, {"tools": [{"type": "function", "function": {"name": CARD}}]}),
    ("a tool's name", MESSAGES, {"tools": [{"name": CARD, "input_schema": {"type": "object"}}]}),
    ("a tool's name", COUNT, {"tools": [{"name": CARD, "input_schema": {"type": "object"}}]}),
    ("a tool's name", RESPONSES, {"tools": [{"type": "function", "name": CARD}]}),
    ("too long with it", CHAT, {"safety_identifier": f"{ADDRESS} " * 9}),
    ("too long with it", RESPONSES, {"safety_identifier": f"{ADDRESS} " * 18}),
    # Base64 stays base64.
    ("a picture", MESSAGES, {"messages": user(picture(CARD))}),
    ("a picture", COUNT, {"messages": user(picture(CARD))}),
    # Half of it here, half of it there.
    ("cut in two", CHAT, {"messages": texts(*CUT)}),
    ("cut in two", MESSAGES, {"messages": texts(*CUT)}),
    ("cut in two", MESSAGES, {"system": [{"type": "text", "text": text} for text in CUT]}),
    ("cut in two", COUNT, {"messages": texts(*CUT)}),
    ("cut in two", RESPONSES, {"input": texts(*CUT, kind="input_text")}),
    ("cut in four", CHAT, {"messages": texts("My card: 4111", "1111", "1111", "1111")}),
    # Beside one that can be masked.
    ("cut in two", CHAT, {"messages": texts(f"Write to {ADDRESS}.", *CUT)}),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("path", "change"), [row[1:] for row in UNMASKABLE], ids=[" ".join(r[:2]) for r in UNMASKABLE])
async def test_what_cannot_be_masked_is_refused(
    gateway: Start, upstream: Any, path: str, change: Json, stream: bool
) -> None:
    """400 in the route's dialect, without the value; one decision, a block; no provider is asked."""
    up: Upstream = await upstream()
    client = await gateway({"anthropic": up, "openai": up}, PII_ACTION="mask")
    more = {"stream": True} if stream and path != COUNT else {}
    reply = await client.post(path, json={**SOUND[path], **change, **more})
    code, message = DETECTED
    expected: Json = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    if path in (MESSAGES, COUNT):
        error = {"type": "invalid_request_error", "message": f"{code}: {message}"}
        expected = {"type": "error", "error": error}
    found = reply.json()
    found.pop("request_id", None)
    assert (reply.status_code, found) == (400, expected)
    assert reply.headers["content-type"] == "application/json"
    assert "x-gateway-provider" not in reply.headers
    assert up.requests == []
    summary = (await client.get("/metrics", headers={"Accept": "application/json"})).json()
    assert (summary["pii_detections"], summary["blocked_requests"]) == (1, 1)
    metrics = (await client.get("/metrics")).text.splitlines()
    assert 'gateway_blocked_total{layer="input_guard",reason="pii"} 1.0' in metrics
    assert not any(line.startswith('gateway_flagged_total{layer="input_guard",reason="pii"') for line in metrics)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_cannot_be_masked_on_query(gateway: Start, upstream: Any, stream: bool) -> None:
    """There every text can hold a placeholder; a value in disguise cannot be replaced, and is 422."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    reply = await client.post(
        "/query", json={"prompt": "My card: 4111\u200b1111\u200b1111\u200b1111", "stream": stream}
    )
    assert (reply.status_code, reply.json()) == (422, {"detail": ": ".join(DETECTED)})
    assert up.requests == []


async def test_what_can_be_masked_is(gateway: Start, upstream: Any) -> None:
    """A value that one of several parts holds whole is masked there, and comes back."""
    up: Upstream = await upstream()
    up.default = Answer("To [EMAIL_1].")
    client = await gateway({"openai": up}, PII_ACTION="mask")
    body = {**SOUND[CHAT], "messages": texts(f"Write to {ADDRESS}", " and 4111 1111.")}
    reply = await client.post(CHAT, json=body)
    assert reply.json()["choices"][0]["message"]["content"] == f"To {ADDRESS}."
    assert up.chats[0].json["messages"] == texts("Write to [EMAIL_1]", " and 4111 1111.")


# Depth

DEEP = '{"a":' * 300 + "1" + "}" * 300
"""Three hundred levels: orjson reads a thousand, and writes 254."""


def asked_with(path: str) -> Json:
    """A request whose conversation holds a call with such arguments."""
    if path == RESPONSES:
        called = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": DEEP}
        result = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
        return {"model": "m", "input": [*HELLO, called, result]}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": DEEP}}
    tool = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    return {"model": "m", "messages": [*HELLO, {"role": "assistant", "tool_calls": [call]}, tool]}


@pytest.mark.parametrize("wire", ["openai", "mistral", "anthropic", "gemini"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("action", ["block", "mask"])
async def test_deep_arguments_from_a_caller(gateway: Start, upstream: Any, path: str, wire: str, action: str) -> None:
    """They reach the provider, as text where the wire wants an object; the answer is the provider's."""
    up: Upstream = await upstream()
    client = await gateway({wire: up}, PII_ACTION=action)
    for stream in (False, True):
        reply = await client.post(path, json={**asked_with(path), "stream": stream})
        assert reply.status_code == 200, reply.text
        assert "Every morning" in reply.text or stream
        assert DEEP.encode().replace(b'"', b'\\"') in up.chats[-1].body
    assert up.refused == []


def sse(*events: str) -> list[bytes]:
    return [b"data: %b\n\n" % event.encode() for event in events]


def written(value: Json) -> str:
    """As JSON, with `DEEP` wherever `...` stands."""
    return orjson.dumps(value).decode().replace('"..."', DEEP)


Called = tuple[str, list[bytes]]
"""A call of a tool, whole and streamed."""


def openai_call(arguments: str) -> Called:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}], "usage": usage}
    begun = {"choices": [{"index": 0, "delta": said, "finish_reason": None}]}
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": usage}
    return written(whole), sse(written(begun), written(ended), "[DONE]")


def gemini_call() -> Called:
    content = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": "..."}}]}
    body = written({"candidates": [{"index": 0, "content": content, "finishReason": "STOP"}], "modelVersion": "m"})
    return body, sse(body)


def anthropic_call() -> Called:
    block = {"type": "tool_use", "id": "c1", "name": "f", "input": "..."}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message: Json = {"type": "message", "role": "assistant", "model": "m", "usage": usage}
    events: tuple[Json, ...] = (
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    )
    return written({**message, "content": [block], "stop_reason": "tool_use"}), sse(*map(written, events))


ENDS = {CHAT: "data: [DONE]", MESSAGES: "event: message_stop", RESPONSES: "event: response.completed"}


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize(
    ("wire", "answer", "handed_on"),
    [
        ("openai", openai_call(DEEP), (True, True)),
        ("anthropic", anthropic_call(), (False, False)),
        ("gemini", gemini_call(), (False, False)),
        # An object where the API has a text: older versions of Ollama send it, and never in a stream.
        ("openai", openai_call("..."), (False, True)),
    ],
    ids=["openai", "anthropic", "gemini", "ollama"],
)
@pytest.mark.parametrize("said", ["Hello", f"I am {ADDRESS}"], ids=["plain", "masked"])
async def test_deep_arguments_from_a_model(
    gateway: Start, upstream: Any, path: str, wire: str, answer: Called, handed_on: tuple[bool, bool], said: str
) -> None:
    """Arguments that are text are handed on as they are, others are no reply; never a 500, nor a stream without end."""
    up: Upstream = await upstream()
    client = await gateway({wire: up}, PII_ACTION="mask", MAX_RETRIES="0", BREAKER_MIN_CALLS="1000")
    question = {"input": said} if path == RESPONSES else {"messages": texts(said)}
    whole, frames = answer
    up.answers.push(Status(200, whole.encode()), RawStream(tuple(frames)))
    for stream, handed in zip((False, True), handed_on, strict=True):
        reply = await client.post(path, json={**SOUND[path], **question, "stream": stream})
        assert reply.status_code == (200 if handed else 502), reply.text[:300]
        if not handed:
            assert "every provider failed" in reply.text
        elif whole.count(DEEP[:50]) == 0:
            assert DEEP.replace('"', '\\"') in reply.text
        if handed and stream:
            assert ENDS[path] in reply.text
    assert 'status="500"' not in (await client.get("/metrics")).text


# Without keys

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
ADMINS = ("/router/reset-stats", "/admin/config/reload", "/auth/reload-keys", "/auth/reset-metrics")


async def test_without_keys_nobody_is_an_admin(gateway: Start) -> None:
    """ENABLE_AUTH=false: what only admins may do is 404 for all, whatever key they show, and undocumented."""
    client = await gateway(ENABLE_AUTH="false", ADMIN_API_KEY=ADMIN_KEY)
    documented = (await client.get("/openapi.json")).json()["paths"]
    for path in ADMINS:
        for headers in ({}, {"X-API-Key": ADMIN_KEY}, {"Authorization": f"Bearer {ADMIN_KEY}"}):
            assert (await client.post(path, headers=headers)).status_code == 404
        assert path not in documented
    for path in ("/router/stats", "/auth/status", "/auth/metrics"):
        assert (await client.get(path)).status_code == 200
        assert path in documented
    explained = await client.post(CHAT, json=SOUND[CHAT], headers={"X-API-Key": ADMIN_KEY, "X-Gateway-Explain": "1"})
    assert explained.status_code == 403


async def test_with_keys_the_admin_is(gateway: Start) -> None:
    """The same routes are there: for the admin's key, and for no other."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    for path in ADMINS:
        statuses = [
            (await client.post(path, headers={"X-API-Key": key})).status_code for key in (CLIENT_KEY, ADMIN_KEY)
        ]
        assert statuses in ([403, 200], [403, 422]), path


async def test_a_refusal_counts_once(gateway: Start, upstream: Any) -> None:
    """Whatever else was found in it, under the reason of its code; what was only flagged is not called blocked."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, SQL_ACTION="flag")
    text = f"' OR 1=1; DROP TABLE users; -- write to {ADDRESS} with sk-proj-{'aB3dE6gH9jK2' * 4}"
    reply = await client.post("/query", json={"prompt": text})
    assert (reply.status_code, reply.json()["detail"].partition(":")[0]) == (422, "secret_detected")
    metrics = (await client.get("/metrics")).text.splitlines()
    guard = [line for line in metrics if 'layer="input_guard"' in line]
    assert guard == [
        'gateway_blocked_total{layer="input_guard",reason="secret"} 1.0',
        'gateway_flagged_total{layer="input_guard",reason="pii"} 1.0',
        'gateway_flagged_total{layer="input_guard",reason="sql"} 1.0',
    ]
    summary = (await client.get("/metrics", headers={"Accept": "application/json"})).json()
    assert (summary["pii_detections"], summary["blocked_requests"]) == (1, 1)
