"""The fakes do what they say, seen through a client none of us wrote: what other tests rest on."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest
import redis
from starlette.types import Message, Receive, Scope, Send

from tests.conftest import UpstreamFactory
from tests.harness.vendors import (
    BEARER,
    CONTENTS,
    KEY,
    MESSAGES,
    VENDORS,
    Client,
    Json,
    Vendor,
    every_vendor,
    joined,
    read_into,
)
from tests.redis_server import RedisServer
from tests.serving import CLIENT_KEY, Replica, environment, run_gateway, serve
from tests.upstream import (
    SIXTY_WORDS,
    Answer,
    BadKey,
    Behaviour,
    Blocked,
    ContextTooLong,
    DieAfter,
    EmptyCandidates,
    ErrorEventAfter,
    ErrorIn200,
    Garbage,
    HeadersThenSilence,
    Html502,
    LateFirstToken,
    MalformedEvent,
    NoDone,
    QuotaSpent,
    RawStream,
    Reset,
    Silence,
    SilentAfter,
    SlowFirstByte,
    SplitBytes,
    Status,
    TruncatedBody,
    Upstream,
    Verdict,
    free_port,
)


@pytest.fixture
async def up(upstream: UpstreamFactory) -> Upstream:
    return await upstream()


@pytest.fixture
async def client(up: Upstream) -> AsyncIterator[Client]:
    client = Client(up)
    async with client.http:
        yield client


# Healthy answers.


def test_sixty_words() -> None:
    """The standard answer has sixty words, each once."""
    words = [word.strip(".,").lower() for word in SIXTY_WORDS.split()]
    assert len(words) == 60
    assert len(set(words)) == 60


@every_vendor
async def test_whole_answer(up: Upstream, client: Client, vendor: Vendor) -> None:
    """Each vendor answers in its own shape with the sixty words, and the request is on record."""
    response = await client.ask(vendor)

    assert response.status_code == 200
    assert vendor.text(response.json()) == SIXTY_WORDS
    [request] = up.chats
    assert (request.method, request.path, request.json) == ("POST", vendor.path, vendor.body)
    assert request.header("content-type") == "application/json"
    assert up.refused == []


@every_vendor
async def test_streamed_answer(client: Client, vendor: Vendor) -> None:
    """Each vendor streams the same sixty words, one event each."""
    events = await client.stream(vendor)

    assert joined(vendor, events) == SIXTY_WORDS
    assert sum(1 for data in events if data != "[DONE]" and vendor.text(orjson.loads(data))) == 60


async def test_openai_shape(client: Client) -> None:
    """A completion and its chunks have the fields of OpenAI's specification; usage only where it was asked for."""
    vendor = VENDORS["openai"]
    whole = (await client.ask(vendor)).json()
    assert whole["object"] == "chat.completion"
    assert whole["model"] == "some-model"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (12, 60)

    *chunks, done = await client.stream(vendor)
    assert done == "[DONE]"
    first, *_, finish, usage = [orjson.loads(chunk) for chunk in chunks]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["usage"] is None
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 72

    *plain, _ = await client.stream(vendor, stream_options=None)
    assert all("usage" not in orjson.loads(chunk) for chunk in plain)


async def test_groq_shape(client: Client) -> None:
    """Groq reports usage in `x_groq` of the finishing chunk without being asked."""
    *chunks, _ = await client.stream(VENDORS["groq"], stream_options=None)
    assert orjson.loads(chunks[-1])["x_groq"]["usage"]["completion_tokens"] == 60


async def test_openrouter_shape(up: Upstream, client: Client) -> None:
    """OpenRouter keeps the link alive with comments, names the model that answered and its charge."""
    up.default = Answer(model="openai/gpt-oss-20b:free", cost_usd=0.00025)
    vendor = VENDORS["openrouter"]
    response = await client.http.post(vendor.path, headers=vendor.headers, json=vendor.stream_body)

    assert response.text.startswith(": OPENROUTER PROCESSING\n\ndata: ")
    usage = orjson.loads(response.text.split("\n\n")[-3].removeprefix("data: "))
    assert usage["model"] == "openai/gpt-oss-20b:free"
    assert usage["usage"]["cost"] == 0.00025


async def test_gemini_shape(up: Upstream, client: Client) -> None:
    """Gemini's usage is cumulative, its finish reason in the last chunk, and thoughts are counted apart."""
    up.default = Answer(reasoning_tokens=7, cached_tokens=4)
    vendor = VENDORS["gemini"]
    whole = (await client.ask(vendor)).json()
    counts = {"promptTokenCount": 12, "candidatesTokenCount": 60, "thoughtsTokenCount": 7, "cachedContentTokenCount": 4}
    assert whole["usageMetadata"] == {**counts, "totalTokenCount": 79}
    assert whole["modelVersion"] == "gemini-x"

    chunks = [orjson.loads(data) for data in await client.stream(vendor)]
    assert [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in chunks] == [*range(1, 61), 60]
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None] * 60 + ["STOP"]


async def test_gemini_array(client: Client) -> None:
    """Without `alt=sse` Gemini streams one JSON array; `/v1` is served as `/v1beta` is."""
    path = "/v1/models/gemini-x:streamGenerateContent"
    response = await client.http.post(path, headers={"x-goog-api-key": KEY}, json=CONTENTS)
    assert response.headers["content-type"] == "application/json"
    assert "".join(VENDORS["gemini"].text(part) for part in response.json()) == SIXTY_WORDS


async def test_anthropic_shape(up: Upstream, client: Client) -> None:
    """Anthropic's events come in order and by name, without [DONE]; cached input is counted apart."""
    up.default = Answer(cached_tokens=4)
    vendor = VENDORS["anthropic"]
    whole = (await client.ask(vendor)).json()
    assert whole["stop_reason"] == "end_turn"
    assert (whole["usage"]["input_tokens"], whole["usage"]["cache_read_input_tokens"]) == (8, 4)

    response = await client.http.post(vendor.path, headers=vendor.headers, json=vendor.stream_body)
    names = [line.removeprefix("event: ") for line in response.text.split("\n") if line.startswith("event: ")]
    deltas = ["content_block_delta"] * 60
    ends = ["content_block_stop", "message_delta", "message_stop"]
    assert names == ["message_start", "content_block_start", "ping", *deltas, *ends]
    assert "[DONE]" not in response.text


@pytest.mark.parametrize(
    ("name", "changes", "finish"),
    [
        ("openai", {"max_tokens": 3}, "length"),
        ("openai", {"max_completion_tokens": 3}, "length"),
        ("openai", {"stop": " lighthouse"}, "stop"),
        ("gemini", {"generationConfig": {"maxOutputTokens": 3}}, "MAX_TOKENS"),
        ("gemini", {"generation_config": {"stop_sequences": [" lighthouse"]}}, "STOP"),
        ("anthropic", {"max_tokens": 3}, "max_tokens"),
    ],
)
async def test_limits(client: Client, name: str, changes: Json, finish: str) -> None:
    """Token limits and stop sequences cut the answer, and the finish reason says which."""
    vendor = VENDORS[name]
    body = (await client.ask(vendor, **changes)).json()
    words = SIXTY_WORDS.split()[: 3 if finish in {"length", "MAX_TOKENS", "max_tokens"} else 4]
    assert vendor.text(body) == " ".join(words)
    assert f'"{finish}"' in orjson.dumps(body).decode()


async def test_prefill(upstream: UpstreamFactory) -> None:
    """A trailing assistant turn is continued, or refused by an upstream that does not take it."""
    words = SIXTY_WORDS.split()
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": " ".join(words[:40])}]
    takes, refuses = await upstream(), await upstream(prefill=False)
    for up in (takes, refuses):
        client = Client(up)
        async with client.http:
            for name in ("openai", "anthropic"):
                response = await client.ask(VENDORS[name], messages=messages)
                if up is takes:
                    assert VENDORS[name].text(response.json()).split() == words[40:]
                else:
                    assert response.status_code == 400


# Strict where the vendor is strict.


@every_vendor
async def test_key(upstream: UpstreamFactory, vendor: Vendor) -> None:
    """A missing and a wrong key are refused in the vendor's way; the queue is not touched."""
    up = await upstream(key="another key")
    up.answers.push(Status(500))
    google = vendor in (VENDORS["gemini"], VENDORS["google-compatible"])
    async with httpx.AsyncClient(base_url=up.url, trust_env=False) as http:
        rest = {name: value for name, value in vendor.headers.items() if name == "anthropic-version"}
        missing = await http.post(vendor.path, headers=rest, json=vendor.body)
        wrong = await http.post(vendor.path, headers=vendor.headers, json=vendor.body)
        query = await http.post(f"{vendor.path}?key=another+key", headers=rest, json=vendor.body)

    assert missing.status_code == query.status_code == (403 if google else 401)
    assert wrong.status_code == (400 if google else 401)
    assert ("API_KEY_INVALID" in wrong.text) is google
    assert [refusal.status for refusal in up.refused] == [missing.status_code, wrong.status_code, query.status_code]
    assert len(up.answers) == 1


async def test_keyless(upstream: UpstreamFactory) -> None:
    """A local model server needs no key."""
    up = await upstream(requires_key=False)
    async with httpx.AsyncClient(base_url=up.url, trust_env=False) as http:
        response = await http.post("/v1/chat/completions", json=VENDORS["openai"].body)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        # OpenAI and its kin
        ("openai", {"model": None}, "Missing required parameter: 'model'"),
        ("openai", {"messages": []}, "Missing required parameter: 'messages'"),
        ("openai", {"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role"),
        ("openai", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("openai", {"surprise": 1}, "Unrecognized request argument supplied: surprise"),
        ("openai", {"temperature": 2.5}, "temperature"),
        ("openai", {"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
        ("openai", {"model": "gpt-5.4-mini", "max_tokens": 5}, "unsupported_parameter"),
        ("openai", {"model": "gpt-5.4-mini", "temperature": 0.5}, "unsupported_value"),
        ("groq", {"n": 2}, "'n'"),
        ("groq", {"logit_bias": {"1": 1}}, "logit_bias"),
        # Gemini
        ("gemini", {"contents": []}, "contents is not specified"),
        ("gemini", {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        ("gemini", {"surprise": 1}, 'Unknown name \\"surprise\\"'),
        ("gemini", {"generationConfig": {"surprise": 1}}, "generation_config.surprise"),
        # Anthropic
        ("anthropic", {"max_tokens": None}, "max_tokens: Field required"),
        ("anthropic", {"temperature": 1.5}, "temperature"),
        ("anthropic", {"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ("anthropic", {"messages": [{"role": "system", "content": "x"}]}, "Input should be 'user' or 'assistant'"),
        ("anthropic", {"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
        ("anthropic", {"messages": [{"role": "user", "content": ""}]}, "non-empty"),
    ],
)
async def test_strict(up: Upstream, client: Client, name: str, changes: Json, said: str) -> None:
    """What the vendor refuses is refused with 400 and noted."""
    response = await client.ask(VENDORS[name], **changes)
    assert response.status_code == 400
    assert said in response.text
    [refusal] = up.refused
    assert refusal.status == 400
    assert said in refusal.message


async def test_anthropic_version(client: Client) -> None:
    """Anthropic wants its version header; the new version refuses temperature; a bearer key is as good."""
    body = {**MESSAGES, "temperature": 1.0}
    bare = await client.http.post("/v1/messages", headers={"x-api-key": KEY}, json=body)
    new = await client.http.post("/v1/messages", headers={**BEARER, "anthropic-version": "2026-10-21"}, json=body)
    old = await client.http.post("/v1/messages", headers={**BEARER, "anthropic-version": "2023-06-01"}, json=body)
    assert (bare.status_code, "anthropic-version" in bare.text) == (400, True)
    assert (new.status_code, "temperature: Extra inputs" in new.text) == (400, True)
    assert old.status_code == 200


async def test_not_json(client: Client) -> None:
    """A body that is not JSON, or not called so, is the vendor's 400."""
    for vendor in VENDORS.values():
        json = {"content-type": "application/json"}
        broken = await client.http.post(vendor.path, headers={**vendor.headers, **json}, content=b"{")
        unnamed = await client.http.post(vendor.path, headers=vendor.headers, content=b"{}")
        assert (broken.status_code, unnamed.status_code) == (400, 400)


@every_vendor
async def test_unknown_model(upstream: UpstreamFactory, vendor: Vendor) -> None:
    """An upstream with a list of models knows no other."""
    client = Client(await upstream(models=("only-this",)))
    async with client.http:
        assert (await client.ask(vendor)).status_code == 404


async def test_unknown_path(up: Upstream, client: Client) -> None:
    """An unknown path is a 404, and on record."""
    response = await client.http.post("/v1/completions", headers=BEARER, json={})
    assert response.status_code == 404
    assert (await client.http.get("/v1/chat/completions")).status_code == 404
    assert [request.kind for request in up.requests] == ["unknown", "unknown"]
    assert len(up.refused) == 2


# Refusals on request.


@pytest.mark.parametrize(
    ("name", "behaviour", "status", "said"),
    [
        ("openai", Status(429), 429, {"type": "requests", "code": "rate_limit_exceeded"}),
        ("openai", QuotaSpent(), 429, {"type": "insufficient_quota", "code": "insufficient_quota"}),
        ("openai", BadKey(), 401, {"type": "invalid_request_error", "code": "invalid_api_key"}),
        ("openai", ContextTooLong(), 400, {"code": "context_length_exceeded"}),
        ("openai", Blocked(), 400, {"code": "content_policy_violation"}),
        ("openai", Status(500), 500, {"type": "server_error", "code": None, "param": None}),
        ("openai", Status(503), 503, {"code": "server_is_overloaded"}),
        ("groq", Status(429), 429, {"type": "tokens", "code": "rate_limit_exceeded"}),
        ("groq", Status(498), 498, {"code": "capacity_exceeded"}),
        ("openrouter", Status(502), 502, {"code": 502, "metadata": {"error_type": "provider_unavailable"}}),
        ("openrouter", QuotaSpent(), 402, {"code": 402}),
        ("openrouter", Blocked(), 403, {"code": 403}),
        ("gemini", Status(429), 429, {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
        ("gemini", Status(503), 503, {"status": "UNAVAILABLE"}),
        ("gemini", BadKey(), 400, {"status": "INVALID_ARGUMENT"}),
        ("gemini", ContextTooLong(), 400, {"status": "INVALID_ARGUMENT"}),
        ("anthropic", Status(429), 429, {"type": "rate_limit_error"}),
        ("anthropic", Status(529), 529, {"type": "overloaded_error"}),
        ("anthropic", BadKey(), 401, {"type": "authentication_error", "message": "invalid x-api-key"}),
        ("anthropic", QuotaSpent(), 429, {"details": {"error_code": "enforced_spend_limit_reached"}}),
    ],
)
async def test_error_bodies(
    up: Upstream, client: Client, name: str, behaviour: Behaviour, status: int, said: Json
) -> None:
    """Each refusal has the vendor's own status and words, streamed or not."""
    up.default = behaviour
    vendor = VENDORS[name]
    plain = await client.ask(vendor)
    streamed = await client.http.post(vendor.stream_path, headers=vendor.headers, json=vendor.stream_body)
    for response in (plain, streamed):
        assert response.status_code == status
        error = response.json()["error"]
        assert error | said == error
    assert up.refused == []


async def test_gemini_details(up: Upstream, client: Client) -> None:
    """Gemini's details name the wrong key, the day's quota, the wait; its compatible endpoint puts errors in a list."""
    up.answers.push(BadKey(), QuotaSpent(), Status(429, retry_after_s=2))
    key, quota, wait = [(await client.ask(VENDORS["gemini"])).json()["error"]["details"][0] for _ in range(3)]
    assert key["reason"] == "API_KEY_INVALID"
    assert "PerDay" in quota["violations"][0]["quotaId"]
    assert wait == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}

    up.answers.push(Status(503))
    [wrapped] = (await client.ask(VENDORS["google-compatible"])).json()
    assert wrapped["error"]["status"] == "UNAVAILABLE"


async def test_status(up: Upstream, client: Client) -> None:
    """A status may bring a body, headers and a Retry-After of the test's own; then the default answers again."""
    up.answers.push(
        Status(429, retry_after_s=2, headers={"x-test": "1"}),
        Status(418, body={"teapot": True}),
        Status(200, body=b"  \n{}"),
    )
    vendor = VENDORS["openai"]
    limited, teapot, blank, healthy = [await client.ask(vendor) for _ in range(4)]
    assert (limited.headers["retry-after"], limited.headers["x-test"]) == ("2", "1")
    assert (teapot.status_code, teapot.json()) == (418, {"teapot": True})
    assert blank.content == b"  \n{}"
    assert healthy.status_code == 200


async def test_blocked(up: Upstream, client: Client) -> None:
    """A block that is a 200: Gemini's promptFeedback without candidates, Anthropic's refusal, in streams too."""
    up.default = Blocked()
    gemini, anthropic = VENDORS["gemini"], VENDORS["anthropic"]
    whole = (await client.ask(gemini)).json()
    [event] = await client.stream(gemini)
    for body in (whole, orjson.loads(event)):
        assert body["promptFeedback"]["blockReason"] == "SAFETY"
        assert "candidates" not in body
    assert (await client.ask(anthropic)).json()["stop_reason"] == "refusal"
    events = [orjson.loads(event) for event in await client.stream(anthropic)]
    assert [event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"] == ["refusal"]


@every_vendor
async def test_empty(up: Upstream, client: Client, vendor: Vendor) -> None:
    """An empty answer is a 200 without a word, in streams too."""
    up.default = EmptyCandidates()
    response = await client.ask(vendor)
    assert response.status_code == 200
    assert vendor.text(response.json()) == ""
    assert joined(vendor, await client.stream(vendor)) == ""


@every_vendor
async def test_error_in_200(up: Upstream, client: Client, vendor: Vendor) -> None:
    """An error within a 200, as the body or as the first event."""
    up.default = ErrorIn200()
    body = (await client.ask(vendor)).json()
    assert "error" in (body[0] if isinstance(body, list) else body)
    [event] = await client.stream(vendor)
    assert "error" in orjson.loads(event)


async def test_nonsense(up: Upstream, client: Client) -> None:
    """A 200 that is not JSON, and a page with 502."""
    up.answers.push(Garbage(), Html502())
    garbage, page = await client.ask(VENDORS["openai"]), await client.ask(VENDORS["openai"])
    assert (garbage.status_code, garbage.headers["content-type"]) == (200, "application/json")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(garbage.content)
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert "<h1>502 Bad Gateway</h1>" in page.text


# Broken connections.


async def test_reset(up: Upstream, client: Client) -> None:
    """A reset before a byte, once; the next request is answered on a new connection."""
    up.answers.push(Reset())
    with pytest.raises(httpx.ReadError):
        await client.ask(VENDORS["openai"])
    assert (await client.ask(VENDORS["openai"])).status_code == 200
    assert up.connections_made == 2
    assert up.disconnects == []


async def test_refused() -> None:
    """Nobody listens on a free port."""
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{free_port()}/")


@pytest.mark.parametrize("behaviour", [TruncatedBody(), DieAfter(40), DieAfter(40, reset=True)], ids=repr)
async def test_cut_short(up: Upstream, client: Client, behaviour: Behaviour) -> None:
    """A body that ends too early is an error to the client, streamed or not."""
    up.default = behaviour
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.ask(VENDORS["openai"])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.stream(VENDORS["openai"])
    assert up.disconnects == []


@every_vendor
async def test_die_after(up: Upstream, client: Client, vendor: Vendor) -> None:
    """Forty words arrive, then the connection closes without an end."""
    up.default = DieAfter(tokens=40)
    seen: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        await read_into(seen, client.events(vendor))
    assert joined(vendor, seen).split() == SIXTY_WORDS.split()[:40]


@pytest.mark.parametrize("behaviour", [Silence(), HeadersThenSilence(), SilentAfter(20)], ids=repr)
async def test_silence(up: Upstream, client: Client, behaviour: Behaviour) -> None:
    """Silence lasts until the client leaves, which is noticed, or until it is released."""
    vendor = VENDORS["openai"]
    for call in (client.ask, client.stream):
        up.answers.push(behaviour)
        waiting = asyncio.create_task(call(vendor))
        await up.wait_for_requests(len(up.requests) + 1)
        waiting.cancel()
        left = await up.wait_for_disconnect(count=len(up.disconnects) + 1)
        assert left is up.requests[-1]
    await up.wait_for_connections(0)

    up.default = behaviour
    waiting_plain = asyncio.create_task(client.ask(vendor))
    waiting_stream = asyncio.create_task(client.stream(vendor))
    await up.wait_for_requests(4)
    await asyncio.sleep(0.05)
    assert not waiting_plain.done()
    assert not waiting_stream.done()
    up.release()
    assert vendor.text((await waiting_plain).json()) == SIXTY_WORDS
    assert joined(vendor, await waiting_stream) == SIXTY_WORDS
    assert len(up.disconnects) == 2


async def test_headers_then_silence(up: Upstream, client: Client) -> None:
    """Headers come at once although nothing follows."""
    up.default = HeadersThenSilence()
    vendor = VENDORS["openai"]
    async with client.http.stream("POST", vendor.path, headers=vendor.headers, json=vendor.stream_body) as response:
        assert response.status_code == 200


@pytest.mark.parametrize("behaviour", [SlowFirstByte(0.1), LateFirstToken(0.1), LateFirstToken(0.1, preamble=True)])
async def test_late(up: Upstream, client: Client, behaviour: Behaviour) -> None:
    """A late answer is late, streamed or not, and whole."""
    up.default = behaviour
    vendor = VENDORS["openai"]
    begin = time.monotonic()
    assert vendor.text((await client.ask(vendor)).json()) == SIXTY_WORDS
    assert joined(vendor, await client.stream(vendor)) == SIXTY_WORDS
    assert time.monotonic() - begin >= 0.2


async def test_pace(up: Upstream, client: Client) -> None:
    """A paced stream shows its words one by one."""
    up.default = Answer(text="one two three", pause_s=0.05)
    begin = time.monotonic()
    times = [time.monotonic() - begin async for data in client.events(VENDORS["openai"]) if '"content":"' in data]
    # The first is the role chunk, which is not held back.
    assert len(times) == 4
    assert all(at >= 0.05 * n for n, at in enumerate(times))


# Odd streams.


@every_vendor
async def test_malformed_event(up: Upstream, client: Client, vendor: Vendor) -> None:
    """One event is not JSON, and no word is lost to it."""
    up.default = MalformedEvent(at=10)
    events = await client.stream(vendor)
    broken = [data for data in events if data.startswith('{"choices": [{"delta": {"cont') and data[-1] != "}"]
    assert len(broken) == 1
    position = events.index(broken[0])
    assert joined(vendor, events[:position]).split() == SIXTY_WORDS.split()[:9]
    assert joined(vendor, [data for data in events if data not in broken]) == SIXTY_WORDS


@every_vendor
async def test_no_done(up: Upstream, client: Client, vendor: Vendor) -> None:
    """The end mark is missing, the words and the usage are not; the body may stay open as well."""
    up.default = NoDone()
    events = await client.stream(vendor)
    assert joined(vendor, events) == SIXTY_WORDS
    assert events[-1] != "[DONE]"
    assert '"message_stop"' not in events[-1]
    assert "usage" in events[-1]

    up.default = NoDone(hold_open=True)
    seen: list[str] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read_into(seen, client.events(vendor)), 0.2)
    assert len(seen) == len(events)
    await up.wait_for_disconnect()


@every_vendor
async def test_error_event(up: Upstream, client: Client, vendor: Vendor) -> None:
    """After twenty words an error event ends the stream, without a mark."""
    up.default = ErrorEventAfter(20)
    *before, last = await client.stream(vendor)
    assert joined(vendor, before).split() == SIXTY_WORDS.split()[:20]
    assert "error" in orjson.loads(last)


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_split_bytes(up: Upstream, client: Client, size: int) -> None:
    """A stream cut into pieces of any size is the same stream, and really comes in pieces."""
    up.default = SplitBytes(size, Answer(text="zażółć gęślą jaźń 🙂"))
    vendor = VENDORS["openai"]
    async with client.http.stream("POST", vendor.path, headers=vendor.headers, json=vendor.stream_body) as response:
        pieces = [piece async for piece in response.aiter_raw()]
    assert max(map(len, pieces)) == size
    lines = b"".join(pieces).decode().split("\n\n")
    assert joined(vendor, [line.removeprefix("data: ") for line in lines if line]) == "zażółć gęślą jaźń 🙂"
    assert vendor.text((await client.ask(vendor)).json()) == "zażółć gęślą jaźń 🙂"


async def test_raw_stream(up: Upstream, client: Client) -> None:
    """A stream of a test's own bytes."""
    up.default = RawStream((b": hello\n\n", b"data: 1\n\n"))
    response = await client.http.post("/v1/chat/completions", headers=BEARER, json=VENDORS["openai"].stream_body)
    assert response.content == b": hello\n\ndata: 1\n\n"


# Safety services.


def classification(schema: Json) -> Json:
    return {**CONTENTS, "generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}


async def test_gemini_classifier(up: Upstream, client: Client) -> None:
    """A request with a `responseSchema` is answered from the other queue, in the schema that was asked for."""
    scores = ["sexual", "hate", "harassment", "dangerous", "civic"]
    schema = {"type": "OBJECT", "properties": {**{n: {"type": "NUMBER"} for n in scores}, "reason": {"type": "STRING"}}}
    up.answers.push(Status(500))
    up.verdicts.push(Verdict(hate=0.9, reason="slur"), Answer(text="not JSON"), Status(503), EmptyCandidates())

    vendor, body = VENDORS["gemini"], classification(schema)
    replies = [await client.ask(vendor, **body) for _ in range(5)]

    no_scores = dict.fromkeys(scores, 0.0)
    assert orjson.loads(vendor.text(replies[0].json())) == {**no_scores, "hate": 0.9, "reason": "slur"}
    assert vendor.text(replies[1].json()) == "not JSON"
    assert replies[2].status_code == 503
    assert "candidates" not in replies[3].json()
    assert orjson.loads(vendor.text(replies[4].json())) == {**no_scores, "reason": ""}
    assert len(up.verdict_requests) == 5
    assert up.chats == []
    assert len(up.answers) == 1


async def test_lakera(up: Upstream, client: Client) -> None:
    """Lakera flags, and shows its detectors only when asked to; a policy may detect without flagging."""
    up.verdicts.push(
        Verdict(), Verdict(sexual=0.8), Verdict(flagged=False, detectors=("prompt_attack",)), Status(429), BadKey()
    )
    messages = [{"role": "user", "content": "hello"}]
    clean = await client.http.post("/v2/guard", headers=BEARER, json={"messages": messages})
    assert clean.json()["flagged"] is False
    assert "breakdown" not in clean.json()
    body = {"messages": messages, "breakdown": True, "payload": True}
    flagged, detected, limited, key = [await client.http.post("/v2/guard", headers=BEARER, json=body) for _ in range(4)]
    for reply, verdict, detector in ((flagged, True, "moderated_content/sexual"), (detected, False, "prompt_attack")):
        assert reply.json()["flagged"] is verdict
        assert [d["detector_type"] for d in reply.json()["breakdown"] if d["detected"]] == [detector]
    assert (limited.status_code, key.status_code) == (429, 401)
    assert (await client.http.post("/v2/guard", headers=BEARER, json={"messages": []})).status_code == 400
    assert (await client.http.post("/v2/guard", json=body)).status_code == 401


async def test_moderation(up: Upstream, client: Client) -> None:
    """Moderation judges each string, in thirteen categories."""
    up.default_verdict = Verdict(harassment=0.75)
    reply = await client.http.post("/v1/moderations", headers=BEARER, json={"input": ["one", "two"]})
    first, second = reply.json()["results"]
    assert first == second
    assert first["flagged"] is True
    assert len(first["categories"]) == len(first["category_scores"]) == 13
    assert [name for name, found in first["categories"].items() if found] == ["harassment"]
    assert (await client.http.post("/v1/moderations", headers=BEARER, json={})).status_code == 400


# The server itself.


async def test_keep_alive(up: Upstream, client: Client) -> None:
    """Connections are kept and counted; twenty at once get twenty answers."""
    for _ in range(3):
        assert (await client.ask(VENDORS["gemini"])).status_code == 200
        assert joined(VENDORS["gemini"], await client.stream(VENDORS["gemini"])) == SIXTY_WORDS
    assert (up.connections_made, up.open_connections) == (1, 1)

    up.default = Silence()
    calls = [asyncio.create_task(client.ask(VENDORS["gemini"])) for _ in range(20)]
    await up.wait_for_requests(26)
    assert up.open_connections == 20
    up.release()
    assert {reply.status_code for reply in await asyncio.gather(*calls)} == {200}


async def test_connection_close(up: Upstream, client: Client) -> None:
    """A client that asks for it has its connection closed."""
    vendor = VENDORS["openai"]
    response = await client.http.post(vendor.path, headers={**BEARER, "connection": "close"}, json=vendor.body)
    assert response.status_code == 200
    await up.wait_for_connections(0)


async def test_records(up: Upstream, client: Client) -> None:
    """Headers keep every value under lower-case names; the query is taken apart; the time is monotonic."""
    vendor = VENDORS["gemini"]
    headers = [*vendor.headers.items(), ("X-Twice", "1"), ("X-Twice", "2")]
    before = time.monotonic()
    await client.http.post(vendor.stream_path, headers=headers, json=CONTENTS)
    [request] = up.requests
    assert request.headers["x-twice"] == ("1", "2")
    assert request.query == {"alt": ("sse",)}
    assert request.header("absent") is None
    assert before <= request.time <= time.monotonic()
    with pytest.raises(AssertionError, match="sent 2 times"):
        request.header("X-Twice")


async def test_waiting_gives_up(up: Upstream) -> None:
    """Waiting for what does not come fails with what was seen."""
    with pytest.raises(AssertionError, match=r"no 1 requests within 0.01 s: 0 requests"):
        await up.wait_for_requests(1, 0.01)
    with pytest.raises(AssertionError, match="no 1 disconnects"):
        await up.wait_for_disconnect(0.01)


async def test_restart(up: Upstream, client: Client) -> None:
    """A closed upstream refuses; started again, it listens on the same port and remembers."""
    await client.ask(VENDORS["openai"])
    await up.close()
    with pytest.raises(httpx.ConnectError):
        await client.ask(VENDORS["openai"])
    await up.start()
    assert (await client.ask(VENDORS["openai"])).status_code == 200
    assert len(up.requests) == 2


async def test_misuse_shows() -> None:
    """A fake that is used wrongly fails the test that does so, not the code under test."""

    async def misuse() -> None:
        async with Upstream() as up:
            up.default = Verdict()
            client = Client(up)
            async with client.http:
                with pytest.raises(httpx.ReadError):
                    await client.ask(VENDORS["openai"])

    with pytest.raises(AssertionError, match="a chat was given a verdict"):
        await misuse()


# Redis.


def test_redis_is_flushed(redis_server: RedisServer, single_redis_url: str) -> None:
    """The shared server answers on both addresses; flushing forgets data and scripts."""
    with redis.Redis.from_url(single_redis_url) as tcp, redis.Redis.from_url(redis_server.socket_url) as unix:
        tcp.set("key", "value")
        script = tcp.script_load("return 1")
        assert unix.get("key") == b"value"
        redis_server.flush()
        assert unix.dbsize() == 0
        assert unix.script_exists(script) == [False]


def test_redis_can_fail(own_redis: RedisServer) -> None:
    """A server can be paused and resumed, killed and stopped, and comes back empty on the same port."""
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.1, retry=None) as client:
        client.set("key", "value")
        own_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.resume()
        assert client.get("key") == b"value"
        for end in (own_redis.kill, own_redis.stop):
            end()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            own_redis.start()
            assert client.dbsize() == 0


def test_redis_options_and_failure() -> None:
    """Settings reach the server; one it does not know is reported with its log."""
    with RedisServer(maxmemory="10mb") as server, redis.Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(10 * 1024 * 1024)}
    with pytest.raises(RuntimeError, match="did not start"), RedisServer(no_such_setting="1"):
        pass


# The gateway's servers.


class TinyApp:
    """Answers what it was asked; notes its lifespan."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.lifespan: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                message: Message = await receive()
                self.lifespan.append(message["type"])
                if self.fails:
                    raise OSError("no store")
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def test_serve() -> None:
    """Two applications run at once in the test's loop, from lifespan to lifespan."""
    one, two = TinyApp(), TinyApp()
    async with serve(one) as first, serve(two) as second, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{first}/one")).text == "/one"
        assert (await http.get(f"{second}/two")).text == "/two"
    assert one.lifespan == two.lifespan == ["lifespan.startup", "lifespan.shutdown"]


async def test_serve_reports_a_failed_start() -> None:
    """An application that cannot start is an exception, not a hang."""
    with pytest.raises(RuntimeError, match="lifespan failed to start"):
        async with serve(TinyApp(fails=True)):
            pass


def test_environment(tmp_path: Path) -> None:
    """Base URLs end where the vendors' own SDKs end theirs; overrides win."""
    up = Upstream(key="secret-of-gemini")
    up.port = 4711
    variables = environment(
        {"gemini": up, "groq": "http://127.0.0.1:1", "ollama": up}, data_dir=tmp_path, RATE_LIMIT="5/minute"
    )
    assert variables == {
        "SERVICE_API_KEY": CLIENT_KEY,
        "RATE_LIMIT": "5/minute",
        "GEMINI_BASE_URL": "http://127.0.0.1:4711",
        "GEMINI_API_KEY": "secret-of-gemini",
        "GROQ_BASE_URL": "http://127.0.0.1:1/openai/v1",
        "GROQ_API_KEY": "key-for-groq-0123456789",
        "OLLAMA_BASE_URL": "http://127.0.0.1:4711/v1",
        "DATA_DIR": str(tmp_path),
    }


STAND_IN = '''
"""Looks like a gateway from outside, so that the harness can be tried without one."""
import http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join(sorted(os.environ)).encode())

print(*sys.argv[1:], flush=True)
if "check" in sys.argv:
    sys.exit("PORT: not a number")
if "CHILD" in os.environ:
    subprocess.Popen(["sleep", "60"])
if "FAIL" in os.environ:
    sys.exit(2)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
'''


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    package = tmp_path / "gateway"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(tmp_path)}


async def test_replica(stand_in: dict[str, str]) -> None:
    """A replica starts with the given environment only, can be killed and started again, and leaves nothing."""
    async with Replica({**stand_in, "GIVEN": "1"}, "--workers", "1") as replica:
        async with httpx.AsyncClient(trust_env=False) as http:
            names = set((await http.get(replica.url)).text.split())
        # LC_CTYPE: Python's own, set when there is no locale (PEP 538).
        assert names - {"LC_CTYPE"} == {"GIVEN", "HOME", "PATH", "PYTHONPATH"}
        assert replica.stdout == f"serve --port {replica.port} --workers 1\n"
        await replica.kill()
        await replica.start()
        assert "GET /health/live" in replica.stderr
        directory, pid = replica.directory, replica.pid
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_replica_faults_show(stand_in: dict[str, str]) -> None:
    """A gateway that ends at once, and one that leaves a child behind, are reported."""
    with pytest.raises(RuntimeError, match="the gateway ended with 2:\nserve --port"):
        async with Replica({**stand_in, "FAIL": "1"}):
            pass
    with pytest.raises(AssertionError, match="left processes behind"):
        async with Replica({**stand_in, "CHILD": "1"}):
            pass


async def test_run_gateway(stand_in: dict[str, str]) -> None:
    """A command runs to its end; its code and both outputs are kept."""
    finished = await run_gateway("check", variables=stand_in)
    assert (finished.code, finished.stdout, finished.stderr) == (1, "check\n", "PORT: not a number\n")
