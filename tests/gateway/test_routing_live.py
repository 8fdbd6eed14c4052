"""Who is asked, with which key and how often: seen by the providers themselves."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.app import create_app
from tests.gateway.conftest import NO_SAFETY, Start
from tests.serving import CLIENT_KEY, environment, serve
from tests.upstream import Answer, QuotaSpent, SlowFirstByte, Status, Upstream
from tests.upstream.recorded import Request

Json = dict[str, Any]

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
ADMIN = {"X-API-Key": ADMIN_KEY}
CHAT: Json = {"model": "m", "messages": [{"role": "user", "content": "How do lighthouses work?"}], "max_tokens": 8}
IMAGE = "data:image/png;base64," + "iVBORw0KGgo" * 8
TOOL: Json = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
MESSAGES: Json = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
BODIES: dict[str, Json] = {
    "/query": {"prompt": "How do lighthouses work?", "model": "m"},
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/responses": {"model": "m", "input": "Hello"},
    "/v1/embeddings": {"model": "m", "input": "Hello"},
}


def service(name: str, up: Upstream, **more: Any) -> Json:
    entry = {"name": name, "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": f"key-of-{name}"}
    return {**entry, **more}


def listed(*services: Json) -> str:
    return orjson.dumps(services).decode()


def written(path: Path, **sections: Any) -> str:
    """A configuration file; JSON is YAML."""
    path.write_bytes(orjson.dumps(sections))
    return str(path)


async def chat(client: httpx.AsyncClient, model: str = "m", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return await client.post("/v1/chat/completions", json={**CHAT, "model": model, **more}, headers=headers)


async def services_of(client: httpx.AsyncClient, times: int, model: str = "m") -> Counter[str]:
    """Who answered so many requests, asked ten at a time."""
    found: Counter[str] = Counter()
    for start in range(0, times, 10):
        replies = await asyncio.gather(*(chat(client, model) for _ in range(min(10, times - start))))
        assert {reply.status_code for reply in replies} == {200}
        found.update(reply.headers["x-gateway-provider"] for reply in replies)
    return found


def keys_of(requests: list[Request]) -> list[str]:
    return [(request.header("authorization") or "").removeprefix("Bearer ") for request in requests]


# Names


async def test_priorities_and_weights(gateway: Start, upstream: Any) -> None:
    """Equal priorities share by weight; the next priority is asked when all of the first fail."""
    heavy, light, spare = await upstream(), await upstream(), await upstream()
    client = await gateway(
        {},
        ROUTER_SERVICES=listed(
            service("spare", spare, priority=2, weight=100),
            service("light", light, priority=1, weight=1),
            service("heavy", heavy, priority=1, weight=3, max_retries=0),
        ),
        MAX_RETRIES="0",
    )
    shares = await services_of(client, 200)
    # 150 expected, standard deviation 6.1: six of them either way.
    assert 110 <= shares["heavy"] <= 187
    assert shares == {"heavy": len(heavy.chats), "light": len(light.chats)}
    assert spare.requests == []
    heavy.default = light.default = Status(500)
    reply = await chat(client)
    assert (reply.status_code, reply.headers["x-gateway-provider"]) == (200, "spare")
    assert reply.headers["x-gateway-attempts"] == "3"
    router = {"service": "spare", "requested_model": "m", "actual_model": "m", "attempts": 3}
    assert reply.json()["router"] == router


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        # one service lists it: it alone, under its own name for it
        ("small", ["a/up-small"]),
        ("only-b", ["b/only-b"]),
        # several do: in order
        ("shared", ["a/shared", "b/shared"]),
        # one is named; its model may hold slashes
        ("b/shared", ["b/shared"]),
        ("b/org/x:1", ["b/org/x:1"]),
        ("any/org/never-heard-of", ["any/org/never-heard-of"]),
        # alternatives, in the caller's order
        ("only-b|small", ["b/only-b", "a/up-small"]),
        ("b/shared|a/shared|free", ["b/shared", "a/shared", "any/free"]),
        # nobody lists it: who lists none
        ("free", ["any/free"]),
        ("a/free", ["any/a/free"]),
    ],
)
async def test_names(gateway: Start, upstream: Any, model: str, asked: list[str]) -> None:
    """A name leads to these targets and no others, in this order."""
    ups = {name: await upstream() for name in ("a", "b", "any")}
    for up in ups.values():
        up.default = Status(500)
    client = await gateway(
        {},
        ROUTER_SERVICES=listed(
            service("a", ups["a"], models={"small": "up-small", "shared": "shared"}),
            service("b", ups["b"], models=["only-b", "shared", "org/x:1"]),
            service("any", ups["any"]),
        ),
        MAX_RETRIES="0",
    )
    reply = await chat(client, model)
    assert (reply.status_code, reply.headers["x-gateway-attempts"]) == (502, str(len(asked)))
    calls = sorted(
        (request.time, f"{name}/{request.json['model']}") for name, up in ups.items() for request in up.chats
    )
    assert [target for _, target in calls] == asked


NOT_FOUND = "no service has this model"
OPENAI_404 = {
    "error": {"message": NOT_FOUND, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
}


async def test_nobody_has_it(gateway: Start, upstream: Any) -> None:
    """404 in each route's dialect, streamed or not, and nobody is asked."""
    up = await upstream()
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, models=["m"])))
    for path, body in BODIES.items():
        for stream in (False, True) if path != "/v1/embeddings" else (False,):
            reply = await client.post(path, json={**body, "model": "a/never", **({"stream": True} if stream else {})})
            expected: Json = OPENAI_404
            if path == "/query":
                expected = {"detail": NOT_FOUND}
            if path == "/v1/messages":
                expected = {"type": "error", "error": {"type": "not_found_error", "message": NOT_FOUND}}
            assert (reply.status_code, reply.json()) == (404, expected), path
            assert reply.headers["x-request-id"]
            assert "x-gateway-provider" not in reply.headers
    assert up.requests == []


async def test_aliases(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """A string is one target, a list an order, weights are shares."""
    a, b = await upstream(), await upstream()
    config = written(
        tmp_path / "gateway.yaml",
        services=[service("a", a, models=["m"]), service("b", b, models=["n"])],
        models={
            "one": "b/n",
            "ordered": ["b/n", "a/m"],
            "shared": [{"target": "a/m", "weight": 1}, {"target": "b/n", "weight": 4}],
        },
    )
    client = await gateway({}, GATEWAY_CONFIG=config, MAX_RETRIES="0")
    reply = await chat(client, "one")
    router = {"service": "b", "requested_model": "one", "actual_model": "n", "attempts": 1}
    assert (reply.json()["model"], reply.json()["router"]) == ("n", router)
    shares = await services_of(client, 100, "shared")
    assert 56 <= shares["b"] <= 99  # 80 expected, standard deviation 4
    assert shares["a"] + shares["b"] == 100
    b.answers.push(Status(500))
    calls = len(b.chats)
    reply = await chat(client, "ordered")
    assert (reply.headers["x-gateway-provider"], reply.headers["x-gateway-attempts"]) == ("a", "2")
    assert len(b.chats) == calls + 1
    b.default = Status(500)
    assert (await chat(client, "one")).status_code == 502


# Several keys


async def test_keys_take_turns(gateway: Start, upstream: Any) -> None:
    """Each of a service's keys is used as often as the others."""
    up = await upstream()
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, api_key=["key-1", "key-2", "key-3"])))
    for _ in range(9):
        assert (await chat(client)).status_code == 200
    assert keys_of(up.chats) == ["key-1", "key-2", "key-3"] * 3


async def test_a_wrong_key_rests_alone(gateway: Start, upstream: Any) -> None:
    """The key that is refused is asked once; the other serves from then on, at its first call."""
    up = await upstream(key="key-good")
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, api_key=["key-bad", "key-good"])))
    attempts = [(await chat(client)).headers["x-gateway-attempts"] for _ in range(6)]
    assert attempts == ["2", "1", "1", "1", "1", "1"]
    assert keys_of(up.requests) == ["key-bad", *["key-good"] * 6]


@pytest.mark.parametrize(
    "refusal", [Status(429, retry_after_s=60), QuotaSpent(), Status(402)], ids=["rate", "quota", "402"]
)
async def test_a_limited_key_rests_alone(gateway: Start, upstream: Any, refusal: Any) -> None:
    """What a provider says of one key is no fault of the other, nor of the target."""
    up = await upstream()
    up.answers.push(refusal)
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, api_key=["key-1", "key-2"])))
    attempts = [(await chat(client)).headers["x-gateway-attempts"] for _ in range(6)]
    assert attempts == ["2", "1", "1", "1", "1", "1"]
    assert keys_of(up.requests) == ["key-1", *["key-2"] * 6]
    health = (await client.get("/router/health")).json()["services"]["a"]
    assert health == {"status": "closed", "breaker": "closed", "put_aside_s": 0.0}


async def test_all_keys_limited(gateway: Start, upstream: Any) -> None:
    """429 with the smallest Retry-After, in each dialect; and nobody is asked until then."""
    up = await upstream()
    up.answers.push(Status(429, retry_after_s=90), Status(429, retry_after_s=30))
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, api_key=["key-1", "key-2"])))
    message = "every provider is rate limited"
    openai = {"message": message, "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    reply = await chat(client)
    assert (reply.status_code, reply.json()) == (429, {"error": openai})
    assert (reply.headers["retry-after"], reply.headers["x-gateway-attempts"]) == ("30", "2")
    reply = await client.post("/v1/messages", json=MESSAGES)
    anthropic = {"type": "error", "error": {"type": "rate_limit_error", "message": message}}
    assert (reply.status_code, reply.json()) == (429, anthropic)
    assert 28 <= int(reply.headers["retry-after"]) <= 30
    assert reply.headers["x-gateway-attempts"] == "0"
    body = (await client.post("/query", json=BODIES["/query"])).json()
    assert (body["status"], body["error"]) == ("error", message)
    skipped = {"provider": "a", "model": "m", "status": "skipped", "reason": "rate_limited", "latency_ms": 0}
    assert body["cascade_path"] == [skipped, skipped]
    assert len(up.requests) == 2


async def test_all_keys_wrong(gateway: Start, upstream: Any) -> None:
    """502 when both were refused; then 503 with Retry-After, as nobody may be asked."""
    up = await upstream(key="another")
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, api_key=["key-1", "key-2"])))
    first, second = await chat(client), await chat(client)
    error = {"message": "every provider failed", "type": "upstream_error", "param": None, "code": "upstream_error"}
    assert (first.status_code, first.json(), first.headers["x-gateway-attempts"]) == (502, {"error": error}, "2")
    message = "no provider is available now"
    error = {"message": message, "type": "service_unavailable_error", "param": None, "code": "unavailable"}
    assert (second.status_code, second.json(), second.headers["x-gateway-attempts"]) == (503, {"error": error}, "0")
    assert 55 <= int(second.headers["retry-after"]) <= 60
    assert keys_of(up.requests) == ["key-1", "key-2"]


@pytest.mark.parametrize(("retries", "calls"), [("0", 1), ("1", 2), ("3", 4)])
@pytest.mark.parametrize("stream", [False, True])
async def test_another_key_is_no_further_try(
    gateway: Start, upstream: Any, retries: str, calls: int, stream: bool
) -> None:
    """A 500 is tried again so often as MAX_RETRIES says, with the same key, and not once more with another."""
    up = await upstream()
    up.default = Status(500)
    services = listed(service("a", up, api_key=["key-1", "key-2", "key-3"]))
    client = await gateway({}, ROUTER_SERVICES=services, MAX_RETRIES=retries)
    reply = await chat(client, stream=stream)
    assert (reply.status_code, reply.headers["x-gateway-attempts"]) == (502, str(calls))
    assert keys_of(up.requests) == ["key-1"] * calls


# What the operator lets a service be asked


async def test_a_service_limit_holds_over_replicas(upstream: Any, redis_url: str) -> None:
    """In no window is the provider called oftener, whoever calls; the next one takes what is left over."""
    limited, spare = await upstream(), await upstream()
    limit, window_s, lasting_s = 5, 1, 2.6
    variables = environment(
        {},
        redis_url=redis_url,
        ROUTER_SERVICES=listed(
            service("limited", limited, rate_limit_requests=limit, rate_limit_window=window_s), service("spare", spare)
        ),
        REDIS_TIMEOUT_MS="5000",
    )
    variables |= NO_SAFETY
    async with (
        serve(create_app(variables)) as one,
        serve(create_app(variables)) as two,
        httpx.AsyncClient(headers={"X-API-Key": CLIENT_KEY}, timeout=30) as client,
    ):
        loop = asyncio.get_running_loop()
        began = loop.time()
        statuses: Counter[int] = Counter()

        async def ask(number: int) -> None:
            while loop.time() < began + lasting_s:
                body = {**CHAT, "stream": number % 3 == 0}
                reply = await client.post(f"{(one, two)[number % 2]}/v1/chat/completions", json=body)
                statuses[reply.status_code] += 1

        await asyncio.gather(*map(ask, range(6)))
        lasted = loop.time() - began
    assert set(statuses) == {200}
    assert len(limited.chats) + len(spare.chats) == statuses[200]
    assert len(spare.chats) > len(limited.chats)
    times = [request.time for request in limited.chats]
    assert limit * int(lasting_s / window_s) <= len(times) <= limit * (int(lasted / window_s) + 1)
    # Redis counts when a call is admitted, the provider when it arrives: the one may be late by some milliseconds.
    assert max(sum(first <= time < first + window_s - 0.25 for time in times) for first in times) <= limit


async def test_a_service_limit_with_nobody_else(gateway: Start, upstream: Any) -> None:
    """429 with Retry-After, streamed or not, without a call; a second try at the provider counts as a call too."""
    up = await upstream()
    up.answers.push(Status(500))
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, rate_limit_requests=3, rate_limit_window=60)))
    assert (await chat(client)).headers["x-gateway-attempts"] == "2"
    assert (await chat(client, stream=True)).status_code == 200
    for stream in (False, True):
        reply = await chat(client, stream=stream)
        message = "every provider is rate limited"
        error = {"message": message, "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
        assert (reply.status_code, reply.json()) == (429, {"error": error})
        assert 55 <= int(reply.headers["retry-after"]) <= 60
        assert reply.headers["x-gateway-attempts"] == "0"
    path = (await client.post("/query", json=BODIES["/query"])).json()["cascade_path"]
    assert [(step["status"], step["reason"]) for step in path] == [("skipped", "service_limit")]
    assert len(up.requests) == 3


# What targets can do


def with_image() -> Json:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]}


@pytest.mark.parametrize(
    ("model", "changes", "param"),
    [
        ({"tools": False}, {"tools": [TOOL]}, "tools"),
        ({"vision": False}, with_image(), "image_url"),
        ({"context_window": 50}, {"messages": [{"role": "user", "content": "word " * 60}]}, None),
        ({"context_window": 50}, {"max_tokens": 60}, None),
    ],
    ids=["tools", "vision", "prompt", "max_tokens"],
)
async def test_who_cannot_is_not_asked(
    gateway: Start, upstream: Any, model: Json, changes: Json, param: str | None
) -> None:
    """A target that cannot do it is left out; if none can, 400 names the field. A window alone leaves nobody out."""
    weak, able = await upstream(), await upstream()
    weak_service = service("weak", weak, models={"m": model})
    client = await gateway({}, ROUTER_SERVICES=listed(weak_service, service("able", able, models=["m"])))
    assert (await chat(client)).headers["x-gateway-provider"] == "weak"
    reply = await chat(client, **changes)
    assert (reply.status_code, reply.headers["x-gateway-provider"]) == (200, "able")
    assert (reply.headers["x-gateway-attempts"], len(weak.requests), len(able.requests)) == ("1", 1, 1)
    reply = await chat(client, model="weak/m", **changes)
    if param is None:
        assert (reply.status_code, len(weak.requests)) == (200, 2)
        return
    message = f"no service that has this model can do what '{param}' asks for"
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_parameter"}
    assert (reply.status_code, reply.json(), len(weak.requests)) == (400, {"error": error}, 1)


async def test_services_without_embeddings_are_not_asked(gateway: Start, upstream: Any) -> None:
    """Anthropic has none: the next one is asked, and alone it is 400."""
    claude, other = await upstream(), await upstream()
    anthropic = {**service("claude", claude), "backend_type": "anthropic", "base_url": claude.url}
    client = await gateway({}, ROUTER_SERVICES=listed(anthropic, service("other", other)))
    reply = await client.post("/v1/embeddings", json=BODIES["/v1/embeddings"])
    assert (reply.status_code, reply.headers["x-gateway-provider"]) == (200, "other")
    reply = await client.post("/v1/embeddings", json={"model": "claude/m", "input": "Hello"})
    message = "no service that has this model can do what 'embeddings' asks for"
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": "embeddings",
        "code": "unsupported_parameter",
    }
    assert (reply.status_code, reply.json()) == (400, {"error": error})
    assert claude.requests == []


# Strategies


async def test_least_latency(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """Each is measured once; then the faster one is asked, whatever its priority, until it is slow."""
    slow, fast = await upstream(), await upstream()
    slow.default = SlowFirstByte(0.25)
    services = [service("slow", slow, models=["m"]), service("fast", fast, models=["m"])]
    config = written(tmp_path / "gateway.yaml", services=services, router={"strategy": "least-latency"})
    client = await gateway({}, GATEWAY_CONFIG=config)
    asked = [(await chat(client)).headers["x-gateway-provider"] for _ in range(8)]
    assert asked == ["slow", *["fast"] * 7]
    fast.default = SlowFirstByte(0.9)
    # A fifth of 0.9 s beside four fifths of nothing: 0.18 s is still less, after two calls it is not.
    asked = [(await chat(client)).headers["x-gateway-provider"] for _ in range(3)]
    assert asked == ["fast", "fast", "slow"]


async def test_least_cost(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """The cheapest first, those without a price last; a failure moves on to the next cheapest."""
    ups = {name: await upstream() for name in ("unpriced", "dear", "cheap")}
    config = written(
        tmp_path / "gateway.yaml",
        services=[service(name, up, models=["m"]) for name, up in ups.items()],
        prices={
            "dear/m": {"input_per_mtok": 2, "output_per_mtok": 8},
            "cheap/m": {"input_per_mtok": 0.5, "output_per_mtok": 1},
        },
        router={"strategy": "least-cost"},
    )
    client = await gateway({}, GATEWAY_CONFIG=config, MAX_RETRIES="0")
    reply = await chat(client)
    assert reply.headers["x-gateway-provider"] == "cheap"
    assert float(reply.headers["x-gateway-cost-usd"]) == 0.000014  # 12 tokens in, 8 out
    ups["cheap"].default = Status(500)
    assert (await chat(client)).headers["x-gateway-provider"] == "dear"
    ups["dear"].default = Status(500)
    reply = await chat(client)
    assert reply.headers["x-gateway-provider"] == "unpriced"
    assert "x-gateway-cost-usd" not in reply.headers


# Sessions


def places(ups: dict[str, Upstream], known: dict[str, int]) -> list[tuple[str, str]]:
    """Who was called with which key since the last look."""
    found = []
    for name, up in ups.items():
        found += [(name, key) for key in keys_of(up.chats[known.get(name, 0) :])]
        known[name] = len(up.chats)
    return found


async def test_sessions_stay(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """Every turn goes to one provider and key; when a service goes, only its own sessions move, and stay there."""
    ups = {name: await upstream() for name in ("a", "b", "c")}
    path = tmp_path / "gateway.yaml"

    def config(names: str) -> str:
        services = [service(name, ups[name], priority=0, api_key=[f"{name}1", f"{name}2"]) for name in names]
        return written(path, services=services)

    client = await gateway({}, GATEWAY_CONFIG=config("abc"), ADMIN_API_KEY=ADMIN_KEY)
    known: dict[str, int] = {}

    async def asked(session: str) -> tuple[str, str]:
        headers = {"X-Gateway-Session": session}
        for turn in range(3):
            assert (await chat(client, stream=turn == 1, headers=headers)).status_code == 200
        assert (await client.post("/v1/messages", json=MESSAGES, headers=headers)).status_code == 200
        found = set(places(ups, known))
        assert len(found) == 1, session
        return found.pop()

    sessions = [f"session {number}" for number in range(16)]
    before = {session: await asked(session) for session in sessions}
    assert len(set(before.values())) > 3, "lots were not drawn"
    config("ac")
    assert (await client.post("/admin/config/reload", headers=ADMIN)).status_code == 200
    after = {session: await asked(session) for session in sessions}
    moved = {session for session in sessions if after[session] != before[session]}
    assert moved == {session for session in sessions if before[session][0] == "b"}
    assert moved, "the one that went had no session"
    assert {session: await asked(session) for session in sessions} == after


async def test_prefixes_stay(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """Without a session's name: conversations that begin alike stay together, as they grow, on every surface."""
    ups = {name: await upstream() for name in ("a", "b", "c")}
    services = [service(name, up, priority=0, api_key=[f"{name}1", f"{name}2"]) for name, up in ups.items()]
    config = written(tmp_path / "gateway.yaml", services=services, router={"sticky": "prefix"})
    client = await gateway({}, GATEWAY_CONFIG=config)
    known: dict[str, int] = {}
    seen = set()
    for topic in range(12):
        system, first = "Answer in one word.", f"What is {topic} plus one?"
        turns: list[Json] = [{"role": "system", "content": system}, {"role": "user", "content": first}]
        for turn in range(3):
            assert (await chat(client, messages=turns)).status_code == 200
            turns = [*turns, {"role": "assistant", "content": "A number."}, {"role": "user", "content": f"And {turn}?"}]
        body = {"model": "m", "instructions": system, "input": first}
        assert (await client.post("/v1/responses", json=body)).status_code == 200
        told: Json = {**MESSAGES, "system": system, "messages": [{"role": "user", "content": first}]}
        assert (await client.post("/v1/messages", json=told)).status_code == 200
        found = set(places(ups, known))
        assert len(found) == 1
        seen |= found
    assert len(seen) > 3


# Fields


async def test_dropped_fields_are_named(gateway: Start, upstream: Any) -> None:
    """What the API or the provider does not know is left out and named, streamed or not; what is allowed goes on."""
    up = await upstream()
    lenient = {"base_url": f"{up.url}/api/v1"}  # OpenRouter takes fields that OpenAI refuses
    entry = service("a", up, allow_fields=["top_n", "input_type"], **lenient)
    client = await gateway({}, ROUTER_SERVICES=listed(entry, service("b", up)))
    more: Json = {"top_n": 3, "colour": "red", "a b": 1}
    for stream in (False, True):
        reply = await chat(client, stream=stream, **more)
        assert (reply.status_code, reply.headers["x-gateway-dropped"]) == (200, "colour, ?")
        sent = up.chats[-1].json
        assert (sent["top_n"], sent.keys() & {"colour", "a b"}) == (3, set())
    assert (await chat(client, "b/m", **more)).headers["x-gateway-dropped"] == "top_n, colour, ?"
    assert up.chats[-1].json.keys() & more.keys() == set()
    assert "x-gateway-dropped" not in (await chat(client, top_n=3)).headers
    body = {"model": "m", "input": "Hello", "input_type": "query", "colour": "red"}
    reply = await client.post("/v1/embeddings", json=body)
    assert reply.headers["x-gateway-dropped"] == "colour"
    sent = up.embedding_requests[-1].json
    assert (sent["input_type"], "colour" in sent) == ("query", False)


async def test_unsupported_refuse(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """400 instead of a dropped field, on each surface; a service that takes the field is asked, and it alone."""
    plain, able = await upstream(), await upstream()
    lenient = {"base_url": f"{able.url}/api/v1"}  # OpenRouter takes fields that OpenAI refuses
    taking = service("able", able, models=["m"], allow_fields=["top_n"], **lenient)
    services = [service("plain", plain, models=["m"]), taking]
    config = written(tmp_path / "gateway.yaml", services=services, router={"unsupported": "refuse"})
    client = await gateway({}, GATEWAY_CONFIG=config, MAX_RETRIES="0")
    message = "'colour' is not supported by the service that has this model"
    error = {"message": message, "type": "invalid_request_error", "param": "colour", "code": "unsupported_parameter"}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
        expected: Json = {"error": error}
        if path == "/v1/messages":
            expected = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        for stream in (False, True) if path != "/v1/embeddings" else (False,):
            more = {"stream": True} if stream else {}
            reply = await client.post(path, json={**BODIES[path], "colour": "red", **more})
            assert (reply.status_code, reply.json()) == (400, expected), path
            assert "x-gateway-dropped" not in reply.headers
    assert (plain.requests, able.requests) == ([], [])
    assert (await chat(client)).headers["x-gateway-provider"] == "plain"
    reply = await chat(client, top_n=3)
    assert (reply.status_code, reply.headers["x-gateway-provider"]) == (200, "able")
    assert (len(plain.requests), able.chats[0].json["top_n"]) == (1, 3)
    able.default = Status(500)
    reply = await chat(client, top_n=3)
    assert (reply.status_code, len(plain.requests)) == (502, 1)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"])
@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key"])
async def test_where_a_request_goes_is_not_the_callers(gateway: Start, upstream: Any, path: str, field: str) -> None:
    """400 in the route's dialect, whatever the value, and nothing is sent anywhere."""
    up, elsewhere = await upstream(), await upstream()
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, allow_fields=[field])))
    message = f"{field}: must not be sent: where a request goes is configured at the gateway"
    kind = "invalid_request_error"
    expected: Json = {
        "error": {"message": message, "type": kind, "param": field, "code": "unsupported_parameter"},
    }
    if path == "/v1/messages":
        expected = {"type": "error", "error": {"type": kind, "message": message}}
    values: tuple[Any, ...] = (elsewhere.url, None, {})
    for value in values:
        reply = await client.post(path, json={**BODIES[path], field: value})
        assert (reply.status_code, reply.json()) == (400, expected)
    assert (up.requests, elsewhere.requests) == ([], [])


# Explanations


@pytest.mark.parametrize("path", [*BODIES, "/v1/messages/count_tokens"])
async def test_explanations(gateway: Start, upstream: Any, path: str) -> None:
    """An admin learns who would be asked and why others would not; nobody is asked. Others: 403."""
    up = await upstream()
    client = await gateway(
        {},
        ROUTER_SERVICES=listed(
            service("a", up, api_key=["key-1", "key-2"], models={"m": "up-m"}),
            service("b", up, models=["m"], priority=7),
            service("c", up, models=["other"]),
        ),
        ADMIN_API_KEY=ADMIN_KEY,
    )
    explain = {"X-Gateway-Explain": "1"}
    body = BODIES[path.removesuffix("/count_tokens")]
    reply = await client.post(path, json=body, headers={**explain, **ADMIN})
    targets = [
        {"service": name, "model": model, "key_slot": slot, "breaker": "closed", "put_aside_s": 0.0}
        for name, model, slot in (("a", "up-m", 0), ("a", "up-m", 1), ("b", "m", 0))
    ]
    candidates = [
        {"service": "a", "model": "up-m", "chosen": True, "reasons": ["priority 0"]},
        {"service": "b", "model": "m", "chosen": True, "reasons": ["priority 7"]},
    ]
    expected = {"model": "m", "targets": targets, "candidates": candidates, "unsupported": []}
    assert (reply.status_code, reply.json()) == (200, expected)
    reply = await client.post(path, json={**body, "model": "nobodys"}, headers={**explain, **ADMIN})
    nothing: Json = {"model": "nobodys", "targets": [], "candidates": [], "unsupported": []}
    assert (reply.status_code, reply.json()) == (200, nothing)
    refused = await client.post(path, json=body, headers=explain)
    message = "only an admin's key may ask for an explanation"
    error: Json = {"error": {"message": message, "type": "permission_error", "param": None, "code": "forbidden"}}
    if path == "/query":
        error = {"detail": message}
    if path.startswith("/v1/messages"):
        error = {"type": "error", "error": {"type": "permission_error", "message": message}}
    assert (refused.status_code, refused.json()) == (403, error)
    assert up.requests == []


async def test_explanations_of_what_falls_out(gateway: Start, upstream: Any) -> None:
    """Reasons of those that are left out; keys that rest and breakers show."""
    up = await upstream()
    up.answers.push(Status(429, retry_after_s=60))
    client = await gateway(
        {},
        ROUTER_SERVICES=listed(
            service("a", up, models={"m": {"tools": False, "vision": False}}), service("b", up, models=["m"])
        ),
        ADMIN_API_KEY=ADMIN_KEY,
    )
    assert (await chat(client)).headers["x-gateway-provider"] == "b"
    headers = {"X-Gateway-Explain": "1", **ADMIN}
    body = (await chat(client, tools=[TOOL], headers=headers)).json()
    assert [target["service"] for target in body["targets"]] == ["b"]
    assert body["candidates"] == [
        {"service": "b", "model": "m", "chosen": True, "reasons": ["priority 1"]},
        {"service": "a", "model": "m", "chosen": False, "reasons": ["no_tools"]},
    ]
    [first, _] = (await chat(client, headers=headers)).json()["targets"]
    assert (first["service"], first["breaker"]) == ("a", "closed")
    assert 50 < first["put_aside_s"] <= 60
    body = (await chat(client, model="a/m", tools=[TOOL], headers=headers)).json()
    assert (body["targets"], body["unsupported"]) == ([], ["tools"])
    assert len(up.requests) == 2


async def test_answers_name_who_gave_them(gateway: Start, upstream: Any) -> None:
    """Provider, model and number of calls in the headers, whole and streamed, on each surface."""
    first, second = await upstream(), await upstream()
    first.default = Status(500)
    second.default = Answer("Yes.", model="m-2025-01-01")
    services = listed(service("first", first, max_retries=0), service("second", second))
    client = await gateway({}, ROUTER_SERVICES=services, BREAKER_MIN_CALLS="1000")
    for path in ("/query", "/v1/chat/completions", "/v1/messages", "/v1/responses"):
        for stream in (False, True):
            reply = await client.post(path, json={**BODIES[path], "stream": stream})
            assert reply.status_code == 200
            found = [reply.headers[f"x-gateway-{name}"] for name in ("provider", "model", "attempts")]
            assert found == ["second", "m" if stream else "m-2025-01-01", "2"]
