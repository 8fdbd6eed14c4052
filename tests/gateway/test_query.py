"""`POST /query` from outside: the cascade, its answers and its failures, over real sockets."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.conftest import Start, events
from tests.serving import CLIENT_KEY
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
    Garbage,
    HeadersThenSilence,
    Html502,
    LateFirstToken,
    MalformedEvent,
    NoDone,
    QuotaSpent,
    Reset,
    Silence,
    SilentAfter,
    SplitBytes,
    Status,
    TruncatedBody,
    Upstream,
    free_port,
)

GEMINI, GROQ = "gemini-3.5-flash-lite", "openai/gpt-oss-20b"
ASK = {"prompt": "Tell me about lighthouses."}


def step(provider: str, status: str, reason: str | None) -> dict[str, Any]:
    models = {"gemini": GEMINI, "groq": GROQ, "openrouter": "openrouter/free"}
    return {"provider": provider, "model": models[provider], "status": status, "reason": reason}


def walked(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The cascade path without its times, which are checked to be whole milliseconds."""
    for entry in body["cascade_path"]:
        latency = entry.pop("latency_ms")
        assert isinstance(latency, int)
        assert latency >= 0
    path: list[dict[str, Any]] = body["cascade_path"]
    return path


async def test_answers_from_gemini(gateway: Start, upstream: Any) -> None:
    """The whole answer, every field and header of it, and what Gemini was asked."""
    gemini, groq = await upstream(), await upstream()
    client = await gateway({"gemini": gemini, "groq": groq}, RATE_LIMIT="7/minute")
    reply = await client.post("/query", json={**ASK, "system": "Be brief."}, headers={"X-Request-ID": "abc-1"})
    assert reply.status_code == 200
    body = reply.json()
    assert isinstance(body.pop("latency_ms"), int)
    assert walked(body) == [step("gemini", "success", None)]
    assert body.pop("cascade_path")
    cost = body.pop("cost_estimate_usd")
    assert 0 < cost < 0.001
    assert body == {
        "response": SIXTY_WORDS,
        "provider": "gemini",
        "model": GEMINI,
        "status": "success",
        "error": None,
        "usage": {"prompt_tokens": 12, "completion_tokens": 60, "total_tokens": 72},
        "request_id": "abc-1",
    }
    headers = dict(reply.headers)
    assert float(headers.pop("x-gateway-overhead-ms")) < 1000
    assert float(headers.pop("x-gateway-cost-usd")) == cost
    assert headers.pop("date")
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(reply.content)),
        "x-request-id": "abc-1",
        "x-gateway-provider": "gemini",
        "x-gateway-model": GEMINI,
        "x-gateway-attempts": "1",
        "x-gateway-cache": "off",
        "x-ratelimit-limit": "7",
        "x-ratelimit-remaining": "6",
        "x-ratelimit-reset": "60",
        "ratelimit-policy": '"7-per-60s";q=7;w=60',
        "ratelimit": '"7-per-60s";r=6;t=60',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
        "vary": "Authorization",
    }
    assert len(gemini.requests) == 1
    assert groq.requests == []
    asked = gemini.requests[0]
    assert asked.json["contents"] == [{"role": "user", "parts": [{"text": ASK["prompt"]}]}]
    assert asked.json["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert asked.json["generationConfig"]["maxOutputTokens"] == 256
    assert "key" not in asked.query
    assert not any(CLIENT_KEY.encode() in value.encode() for values in asked.headers.values() for value in values)


TEN_WAYS: dict[str, tuple[Behaviour | None, str, str, int]] = {
    # how Gemini fails: behaviour, status and reason in the path, calls it gets
    "refused": (None, "failed", "connection_failed", 0),
    "reset": (Reset(), "failed", "connection_failed", 2),
    "429": (Status(429, retry_after_s=30), "failed", "rate_limited", 1),
    "500": (Status(500), "failed", "unavailable", 2),
    "503": (Status(503), "failed", "unavailable", 2),
    "400 with a bad key": (BadKey(), "failed", "bad_credentials", 1),
    "empty candidates": (EmptyCandidates(), "failed", "malformed_reply", 1),
    "truncated body": (TruncatedBody(), "failed", "stream_broken", 1),
    "garbage": (Garbage(), "failed", "malformed_reply", 1),
    "silence": (Silence(), "timeout", "timeout", 1),
    # and some more
    "quota spent": (QuotaSpent(), "failed", "quota_exhausted", 1),
    "HTML from a CDN": (Html502(), "failed", "unavailable", 2),
    "headers, then silence": (HeadersThenSilence(), "timeout", "timeout", 1),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("behaviour", "status", "reason", "calls"), TEN_WAYS.values(), ids=TEN_WAYS.keys())
async def test_gemini_fails_and_groq_answers(
    gateway: Start, upstream: Any, behaviour: Behaviour | None, status: str, reason: str, calls: int, stream: bool
) -> None:
    """However Gemini fails, the caller has Groq's whole answer and the path says what happened."""
    gemini, groq = await upstream(), await upstream()
    if behaviour is not None:
        gemini.default = behaviour
    origin = gemini if behaviour is not None else f"http://127.0.0.1:{free_port()}"
    client = await gateway(
        {"gemini": origin, "groq": groq}, REQUEST_TIMEOUT="0.5", FIRST_TOKEN_TIMEOUT="0.5", CONNECT_TIMEOUT="0.5"
    )
    reply = await client.post("/query", json={**ASK, "stream": stream})
    assert reply.status_code == 200
    if stream:
        *tokens, done = events(reply.text)
        assert "".join(data["text"] for name, data in tokens if name == "token") == SIXTY_WORDS
        assert [name for name, _ in tokens] == ["token"] * len(tokens)
        name, body = done
        assert name == "done"
        if reason in ("malformed_reply", "stream_broken"):
            # in a stream these are events that cannot be read, or a stream that ends too early
            reason = body["cascade_path"][0]["reason"]
            assert reason in ("malformed_reply", "stream_broken")
    else:
        body = reply.json()
    assert (body["response"], body["provider"], body["status"]) == (SIXTY_WORDS, "groq", "success")
    path = walked(body)
    failures, success = path[:-1], path[-1]
    assert success == step("groq", "success", None)
    assert failures == [step("gemini", status, reason)] * max(1, calls, 2 if behaviour is None else 0)
    assert len(gemini.requests) == calls
    assert len(groq.requests) == 1
    began = stream and isinstance(behaviour, TruncatedBody)
    assert reply.headers["x-gateway-provider"] == ("gemini" if began else "groq")
    assert reply.headers["x-gateway-attempts"] == ("1" if began else str(len(path)))
    gemini.release()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_block_does_not_move_on(gateway: Start, upstream: Any, stream: bool) -> None:
    """Gemini's SAFETY block is final and reaches the caller as what it is."""
    gemini, groq = await upstream(), await upstream()
    gemini.default = Blocked()
    client = await gateway({"gemini": gemini, "groq": groq})
    reply = await client.post("/query", json={**ASK, "stream": stream})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/json"
    detail = reply.json().pop("detail")
    assert detail.startswith("content_policy_violation: ")
    assert groq.requests == []
    assert len(gemini.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (Status(500), 502, "every provider failed"),
        (Reset(), 502, "every provider failed"),
        (Garbage(), 502, "every provider failed"),
        (BadKey(), 502, "every provider failed"),
        (Silence(), 504, "every provider timed out"),
        (Status(429, retry_after_s=30), 429, "every provider is rate limited"),
        (QuotaSpent(), 429, "the quota at every provider is spent"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_all_fail(
    gateway: Start, upstream: Any, behaviour: Behaviour, status: int, error: str, stream: bool
) -> None:
    """The status says why nobody answered; the body is the answer's shape; nothing was streamed."""
    ups = {name: await upstream() for name in ("gemini", "groq", "openrouter")}
    for up in ups.values():
        up.default = behaviour
    client = await gateway(dict(ups), REQUEST_TIMEOUT="0.4", FIRST_TOKEN_TIMEOUT="0.4")
    reply = await client.post("/query", json={**ASK, "stream": stream})
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json")
    body = reply.json()
    assert {entry["provider"] for entry in walked(body)} == set(ups)
    assert {key: body[key] for key in ("response", "provider", "model", "status", "error", "usage")} == {
        "response": None,
        "provider": None,
        "model": None,
        "status": "error",
        "error": error,
        "usage": None,
    }
    assert ("retry-after" in reply.headers) == (status == 429)
    if status == 429:
        assert int(reply.headers["retry-after"]) >= 1
    for up in ups.values():
        up.release()


async def test_open_breakers_are_503(gateway: Start, upstream: Any) -> None:
    """After enough failures the provider is left alone: 503 at once with a time to come back, and no further call."""
    gemini = await upstream()
    gemini.default = Status(500)
    client = await gateway({"gemini": gemini}, BREAKER_MIN_CALLS="2", BREAKER_OPEN_S="30", MAX_RETRIES="0")
    statuses = [(await client.post("/query", json=ASK)).status_code for _ in range(2)]
    assert statuses == [502, 502]
    reply = await client.post("/query", json=ASK)
    assert (reply.status_code, reply.json()["error"]) == (503, "no provider is available now")
    assert walked(reply.json()) == [step("gemini", "skipped", "open")]
    assert 20 <= int(reply.headers["retry-after"]) <= 40
    assert len(gemini.requests) == 2
    health = (await client.get("/health")).json()
    assert (health["status"], health["details"]["providers"]) == ("degraded", {"gemini": "open"})


async def test_breaker_closes_after_a_probe(gateway: Start, upstream: Any) -> None:
    """After the pause one call goes through; a good one closes the breaker."""
    gemini, groq = await upstream(), await upstream()
    gemini.default = Status(500)
    client = await gateway(
        {"gemini": gemini, "groq": groq}, BREAKER_MIN_CALLS="2", BREAKER_OPEN_S="0.2", MAX_RETRIES="0"
    )
    for _ in range(3):
        assert (await client.post("/query", json=ASK)).json()["provider"] == "groq"
    assert len(gemini.requests) == 2
    gemini.default = Answer()
    async with asyncio.timeout(5):
        while (await client.post("/query", json=ASK)).json()["provider"] != "gemini":
            continue
    assert len(gemini.requests) == 3
    assert (await client.get("/health")).json()["details"]["providers"]["gemini"] == "closed"


async def test_a_lone_target_is_waited_for(gateway: Start, upstream: Any) -> None:
    """With nobody else to ask, a short Retry-After is waited out; the second call comes no earlier."""
    gemini = await upstream()
    gemini.answers.push(Status(429, retry_after_s=1))
    client = await gateway({"gemini": gemini})
    reply = await client.post("/query", json=ASK)
    assert reply.status_code == 200
    assert walked(reply.json()) == [step("gemini", "failed", "rate_limited"), step("gemini", "success", None)]
    first, second = gemini.requests
    assert second.time - first.time >= 1


async def test_context_length_moves_on(gateway: Start, upstream: Any) -> None:
    """Another model may have a larger window; when none has, the caller is told."""
    gemini, groq = await upstream(), await upstream()
    gemini.default = ContextTooLong()
    client = await gateway({"gemini": gemini, "groq": groq})
    reply = await client.post("/query", json=ASK)
    assert walked(reply.json()) == [
        step("gemini", "failed", "context_length_exceeded"),
        step("groq", "success", None),
    ]
    groq.default = ContextTooLong()
    reply = await client.post("/query", json=ASK)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("context_length_exceeded")
    assert len(groq.requests) == 2


STREAM_FAULTS: dict[str, tuple[Behaviour, int]] = {
    # after the first token: what Gemini does, how many of its tokens the caller has by then
    "dies": (DieAfter(tokens=40), 40),
    "is reset": (DieAfter(tokens=40, reset=True), 40),
    "falls silent": (SilentAfter(tokens=20), 20),
    "sends an error": (ErrorEventAfter(tokens=20), 20),
}


@pytest.mark.parametrize(("behaviour", "sent"), STREAM_FAULTS.values(), ids=STREAM_FAULTS.keys())
async def test_a_broken_stream_is_spliced(gateway: Start, upstream: Any, behaviour: Behaviour, sent: int) -> None:
    """Where the next answer begins with what was sent, the caller has one whole answer and no doubled word."""
    gemini, groq = await upstream(), await upstream()
    gemini.default = behaviour
    client = await gateway({"gemini": gemini, "groq": groq}, STREAM_IDLE_TIMEOUT="0.4")
    reply = await client.post("/query", json={**ASK, "stream": True})
    *tokens, (name, done) = events(reply.text)
    assert "".join(data["text"] for _, data in tokens) == SIXTY_WORDS
    assert (name, done["response"], done["provider"]) == ("done", SIXTY_WORDS, "groq")
    assert [entry["status"] for entry in walked(done)] == [done["cascade_path"][0]["status"], "success"]
    assert groq.requests[0].json["messages"] == [{"role": "user", "content": ASK["prompt"]}]
    assert len(tokens) > sent
    gemini.release()


@pytest.mark.parametrize("recovery", ["splice", "continue", "off"])
async def test_a_stream_that_cannot_be_rescued(gateway: Start, upstream: Any, recovery: str) -> None:
    """Another answer is never glued on: the stream ends with one error event and no false end."""
    gemini, groq = await upstream(), await upstream()
    gemini.default = DieAfter(tokens=40)
    groq.default = Answer(text="Something else entirely.")
    client = await gateway({"gemini": gemini, "groq": groq}, STREAM_RECOVERY=recovery)
    reply = await client.post("/query", json={**ASK, "stream": True})
    assert reply.status_code == 200
    *tokens, (name, error) = events(reply.text)
    text = "".join(data["text"] for _, data in tokens)
    assert SIXTY_WORDS.startswith(text)
    assert len(text.split()) == 40
    assert (name, error["status"], error["response"]) == ("error", "error", None)
    assert "event: done" not in reply.text
    assert len(groq.requests) == (0 if recovery == "off" else 1)


async def test_a_failed_rescue_does_not_hide_the_fault(gateway: Start, upstream: Any) -> None:
    """The fallback's 400 is its own affair: the caller hears of the broken stream."""
    gemini, groq = await upstream(), await upstream()
    gemini.default, groq.default = DieAfter(tokens=40), Status(400)
    client = await gateway({"gemini": gemini, "groq": groq})
    *_, (name, error) = events((await client.post("/query", json={**ASK, "stream": True})).text)
    assert (name, error["error"]) == ("error", "every provider failed")
    assert [entry["reason"] for entry in error["cascade_path"]] == ["stream_broken", "bad_request"]


@pytest.mark.parametrize(
    "behaviour",
    [
        Answer(),
        SplitBytes(1),
        SplitBytes(7),
        MalformedEvent(at=10),
        NoDone(),
        NoDone(hold_open=True),
        LateFirstToken(seconds=0.1, preamble=True),
    ],
    ids=lambda behaviour: type(behaviour).__name__,
)
@pytest.mark.parametrize("provider", ["gemini", "groq", "anthropic"])
async def test_streams(gateway: Start, upstream: Any, provider: str, behaviour: Behaviour) -> None:
    """However the bytes come, the text is whole, the usage exact, and one provider was asked once."""
    up = await upstream()
    up.default = behaviour
    client = await gateway({provider: up})
    reply = await client.post("/query", json={**ASK, "stream": True})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-gateway-provider"] == provider
    assert "content-length" not in reply.headers
    *tokens, (name, done) = events(reply.text)
    assert {kind for kind, _ in tokens} == {"token"}
    assert "".join(data["text"] for _, data in tokens) == SIXTY_WORDS
    assert (name, done["response"], done["status"]) == ("done", SIXTY_WORDS, "success")
    if not isinstance(behaviour, NoDone):
        assert done["usage"] == {"prompt_tokens": 12, "completion_tokens": 60, "total_tokens": 72}
    assert len(up.requests) == 1
    up.release()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_client_leaves(gateway: Start, upstream: Any, stream: bool) -> None:
    """The upstream call is cancelled at once, and the provider is not blamed."""
    gemini = await upstream()
    gemini.default = SilentAfter(tokens=5) if stream else Silence()
    client = await gateway({"gemini": gemini}, BREAKER_MIN_CALLS="1")

    async def leave() -> None:
        async with client.stream("POST", "/query", json={**ASK, "stream": stream}) as reply:
            async for _ in reply.aiter_bytes():
                return

    leaving = asyncio.create_task(leave())
    await gemini.wait_for_requests(1)
    if stream:
        await leaving
    else:
        leaving.cancel()
    await gemini.wait_for_disconnect(1)
    health = (await client.get("/health")).json()
    assert health["details"]["providers"] == {"gemini": "closed"}
    async with asyncio.timeout(5):
        while 'status="499"' not in (text := (await client.get("/metrics")).text):
            continue
    assert 'gateway_requests_total{route="/query",status="499"} 1.0' in text


async def test_fifty_streams_do_not_mix(gateway: Start, upstream: Any) -> None:
    """Fifty callers at once, each with an answer of its own."""
    gemini = await upstream()
    client = await gateway({"gemini": gemini})
    texts = [f"This is the answer to caller number {number} and nobody else." for number in range(50)]

    async def one(number: int) -> tuple[str, str]:
        gemini.answers.push(Answer(text=texts[number]))
        reply = await client.post("/query", json={"prompt": f"caller {number}", "stream": True})
        *tokens, (_, done) = events(reply.text)
        return "".join(data["text"] for _, data in tokens), done["response"]

    results = await asyncio.gather(*(one(number) for number in range(50)))
    assert all(streamed == whole for streamed, whole in results)
    assert sorted(whole for _, whole in results) == sorted(texts)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, ["gemini", "groq"]),
        ({"provider": "groq"}, ["groq"]),
        ({"model": GROQ}, ["groq"]),
        ({"model": f"groq/{GROQ}"}, ["groq"]),
        ({"model": "groq/other-model"}, ["groq"]),
        ({"model": f"{GROQ}|{GEMINI}"}, ["groq", "gemini"]),
        ({"model": "nobody-lists-this"}, ["gemini", "groq"]),
    ],
)
async def test_routing(gateway: Start, upstream: Any, body: dict[str, str], asked: list[str]) -> None:
    """Who is asked, in order, when all fail."""
    ups = {"gemini": await upstream(), "groq": await upstream()}
    for up in ups.values():
        up.default = Garbage()
    client = await gateway(dict(ups))
    reply = await client.post("/query", json={**ASK, **body})
    assert reply.status_code == 502
    assert [entry["provider"] for entry in reply.json()["cascade_path"]] == asked


@pytest.mark.parametrize("body", [{"provider": "nobody"}, {"provider": "groq", "model": "gemini/x"}])
async def test_nobody_serves_it(gateway: Start, upstream: Any, body: dict[str, str]) -> None:
    """404 for a service that is not there; a name that merely looks like another service's goes to the named one."""
    groq = await upstream(models=(GROQ,))
    client = await gateway({"groq": groq})
    reply = await client.post("/query", json={**ASK, **body})
    assert (reply.status_code, reply.json()) == (404, {"detail": "no service has this model"})


async def test_masked_values_come_back(gateway: Start, upstream: Any) -> None:
    """The provider sees placeholders, the caller the values: whole and at every split of a stream."""
    gemini = await upstream()
    text = "Dear [EMAIL_1], we wrote to [EMAIL_2] and [EMAIL_1]."
    plain = "Dear a@example.org, we wrote to b@example.org and a@example.org."
    client = await gateway({"gemini": gemini}, PII_ACTION="mask")
    prompt = {"prompt": "Write to a@example.org and b@example.org."}
    gemini.default = Answer(text=text)
    assert (await client.post("/query", json=prompt)).json()["response"] == plain
    for size in (1, 2, 3, 50):
        gemini.default = SplitBytes(size, Answer(text=text))
        *tokens, (_, done) = events((await client.post("/query", json={**prompt, "stream": True})).text)
        assert "".join(data["text"] for _, data in tokens) == plain == done["response"]
    sent = gemini.requests[0].json["contents"][0]["parts"][0]["text"]
    assert sent == "Write to [EMAIL_1] and [EMAIL_2]."
    assert not any(b"example.org" in request.body for request in gemini.requests)


async def test_upstream_text_never_becomes_a_header(gateway: Start, upstream: Any) -> None:
    """A model name with line breaks is a name in the body and harmless in the header."""
    groq = await upstream()
    groq.default = Answer(model="evil\r\nX-Injected: 1\x00é")
    client = await gateway({"groq": groq})
    reply = await client.post("/query", json=ASK)
    assert reply.json()["model"] == "evil\r\nX-Injected: 1\x00é"
    assert reply.headers["x-gateway-model"] == "evil??X-Injected:?1??"
    assert "x-injected" not in reply.headers


async def test_demo_answers_when_nothing_is_configured(gateway: Start) -> None:
    """No provider, no key to one: the demo answers, says so, always alike, and repeats nothing."""
    client = await gateway()
    first, second = [(await client.post("/query", json=ASK)).json() for _ in range(2)]
    assert first["response"] == second["response"]
    assert "demo" in first["response"]
    assert "lighthouses" not in first["response"]
    assert (first["provider"], first["status"], first["cost_estimate_usd"]) == ("demo", "success", 0.0)
    *tokens, (_, done) = events((await client.post("/query", json={**ASK, "stream": True})).text)
    assert "".join(data["text"] for _, data in tokens) == first["response"] == done["response"]
    assert len(tokens) > 3


async def test_no_demo_beside_a_provider(gateway: Start) -> None:
    """A broken provider is never covered up by the demo."""
    client = await gateway({"gemini": f"http://127.0.0.1:{free_port()}"})
    reply = await client.post("/query", json=ASK)
    assert reply.status_code == 502
    assert {entry["provider"] for entry in reply.json()["cascade_path"]} == {"gemini"}


async def test_two_upstreams_are_told_apart(gateway: Start, upstream: Any) -> None:
    """No key of one provider ever reaches another."""
    gemini, groq = Upstream(key="gemini-only"), Upstream(key="groq-only")
    async with gemini, groq:
        gemini.default = Status(500)
        client = await gateway({"gemini": gemini, "groq": groq})
        assert (await client.post("/query", json=ASK)).json()["provider"] == "groq"
        assert gemini.requests[0].header("x-goog-api-key") == "gemini-only"
        assert gemini.requests[0].header("authorization") is None
        assert groq.requests[0].header("authorization") == "Bearer groq-only"
        assert not gemini.refused
        assert not groq.refused


async def test_total_timeout_bounds_the_cascade(gateway: Start, upstream: Any) -> None:
    """Three silent providers cost the total, not three times the limit of one."""
    ups = {name: await upstream() for name in ("gemini", "groq", "openrouter")}
    for up in ups.values():
        up.default = Silence()
    client = await gateway(dict(ups), REQUEST_TIMEOUT="5", TOTAL_TIMEOUT="0.5")
    started = asyncio.get_running_loop().time()
    reply = await client.post("/query", json=ASK)
    assert reply.status_code == 504
    assert asyncio.get_running_loop().time() - started < 4
    assert len(ups["gemini"].requests) == 1
    for up in ups.values():
        up.release()


async def test_redirects_are_not_followed(gateway: Start, upstream: Any) -> None:
    """A redirect would carry the key to another host."""
    other, gemini = await upstream(), await upstream()
    gemini.default = Status(307, body=b"", headers={"Location": other.url + "/v1beta/models/x:generateContent"})
    client = await gateway({"gemini": gemini})
    reply: httpx.Response = await client.post("/query", json=ASK)
    assert reply.status_code == 502
    assert other.requests == []


async def test_router_services(gateway: Start, upstream: Any) -> None:
    """A list of services replaces the automatic one: priorities, public names, an own limit of retries."""
    one, two, gemini = await upstream(key="key-of-one"), await upstream(key="key-of-two"), await upstream()
    one.default = Status(503)
    services = [
        {
            "name": "two",
            "backend_type": "custom",
            "base_url": f"{two.url}/v1",
            "api_key": "key-of-two",
            "priority": 2,
            "models": {"small": "upstream-small"},
        },
        {
            "name": "one",
            "backend_type": "openai",
            "base_url": one.url,
            "api_key": "key-of-one",
            "priority": 1,
            "max_retries": 0,
            "rate_limit_requests": 30,
            "rate_limit_window": 60,
        },
    ]
    client = await gateway({"gemini": gemini}, ROUTER_SERVICES=orjson.dumps(services).decode())
    body = (await client.post("/query", json=ASK)).json()
    assert [(e["provider"], e["model"], e["reason"]) for e in body["cascade_path"]] == [
        ("one", "gpt-5.4-mini", "unavailable"),
        ("two", "upstream-small", None),
    ]
    assert (len(one.requests), len(two.requests), gemini.requests) == (1, 1, [])
    assert two.requests[0].json["model"] == "upstream-small"
    assert body["cost_estimate_usd"] is None
    assert [s["name"] for s in (await client.get("/providers")).json()["providers"]] == ["one", "two"]
    assert (await client.post("/query", json={**ASK, "model": "two/small"})).json()["provider"] == "two"
    assert (
        'gateway_tokens_total{direction="output",model="upstream-small",provider="two"} 120.0'
        in (await client.get("/metrics")).text
    )


async def test_a_key_that_a_provider_quotes(gateway: Start, upstream: Any) -> None:
    """The provider's sentence about the request reaches the caller, the gateway's key in it does not."""
    groq = await upstream(key="gsk-secret-of-the-operator")
    said = {"error": {"message": "bad field; key gsk-secret-of-the-operator was used", "type": "invalid_request_error"}}
    groq.default = Status(400, body=said)
    client = await gateway({"groq": groq})
    for stream in (False, True):
        reply = await client.post("/query", json={**ASK, "stream": stream})
        assert (reply.status_code, reply.json()) == (422, {"detail": "bad_request: bad field; key [key] was used"})


async def test_unreadable_events_are_counted(gateway: Start, upstream: Any) -> None:
    """One event skipped, one counted."""
    groq = await upstream()
    groq.default = MalformedEvent(at=10)
    client = await gateway({"groq": groq})
    assert (await client.post("/query", json={**ASK, "stream": True})).status_code == 200
    assert "gateway_stream_events_skipped_total 1.0" in (await client.get("/metrics")).text
