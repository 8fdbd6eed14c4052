"""What the router and the keys say of themselves: for the whole fleet, exactly, and without a secret."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import orjson
import pytest

from gateway.app import create_app
from tests.gateway.conftest import NO_SAFETY, Start
from tests.serving import CLIENT_KEY, Replica, environment, serve
from tests.upstream import Answer, Status, Upstream

Json = dict[str, Any]

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
OTHER_KEY = "other-key-of-the-tests-0123456789"
ADMIN = {"X-API-Key": ADMIN_KEY}
CHAT: Json = {"model": "m", "messages": [{"role": "user", "content": "How do lighthouses work?"}]}
PAGES = ("/backend/info", "/router/stats", "/router/health", "/router/rate-limits", "/auth/status", "/auth/metrics")
CHANGES = ("/router/reset-stats", "/auth/reload-keys", "/auth/reset-metrics", "/admin/config/reload")


def service(name: str, up: Upstream, **more: Any) -> Json:
    entry = {"name": name, "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": f"key-of-{name}"}
    return {**entry, **more}


def listed(*services: Json) -> str:
    return orjson.dumps(services).decode()


@asynccontextmanager
async def served(variables: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(create_app(variables)) as url, client_of(url) as client:
        yield client


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"X-API-Key": CLIENT_KEY}, timeout=30)


async def eventually(ask: Callable[[], Awaitable[Any]], expected: Any, limit_s: float = 4.0) -> None:
    """Counts reach the others within a flush interval, and nobody tells when."""
    found = None
    try:
        async with asyncio.timeout(limit_s):
            while found != expected:
                found = await ask()
    except TimeoutError:
        assert found == expected


def without_times(stats: Json) -> Json:
    """The stats of services, without what cannot be known beforehand."""
    return {name: {**found, "average_latency_ms": None} for name, found in stats["services"].items()}


async def test_backend_info(gateway: Start, upstream: Any) -> None:
    """Services and models as configured, in order; counts of keys, no addresses."""
    up = await upstream()
    client = await gateway(
        {},
        ROUTER_SERVICES=listed(
            service("b", up, priority=2, weight=3, rate_limit_requests=7, rate_limit_window=30),
            service("a", up, priority=1, api_key=["key-1", "key-2"], models={"m": "up-m", "n": "n"}),
        ),
    )
    up.answers.push(Status(429, retry_after_s=60), Status(429, retry_after_s=60))
    assert (await client.post("/v1/chat/completions", json={**CHAT, "model": "a/m"})).status_code == 429
    body = (await client.get("/backend/info")).json()
    loaded = datetime.fromisoformat(body["config"].pop("loaded_at"))
    assert loaded.tzinfo is not None
    first = {"name": "a", "backend_type": "custom", "priority": 1, "weight": 1, "default_model": "m", "keys": 2}
    second = {"name": "b", "backend_type": "custom", "priority": 2, "weight": 3, "default_model": "default", "keys": 1}
    none = {"rate_limit_requests": None, "rate_limit_window": None}
    limit = {"rate_limit_requests": 7, "rate_limit_window": 30}
    assert body == {
        "services": [
            {**first, "models": ["m", "n"], "status": "put_aside", **none},
            {**second, "models": [], "status": "closed", **limit},
        ],
        "models": [{"id": "m", "service": "a", "model": "up-m"}, {"id": "n", "service": "a", "model": "n"}],
        "config": {"generation": 1, "problems": []},
    }


def cluster(redis_url: str, *services: Json, **more: str) -> dict[str, str]:
    variables = {
        "ROUTER_SERVICES": listed(*services),
        "ADMIN_API_KEY": ADMIN_KEY,
        "MAX_RETRIES": "0",
        "BREAKER_MIN_CALLS": "3",
        "BREAKER_FAILURE_RATE": "1",
    }
    return environment({}, redis_url=redis_url) | NO_SAFETY | variables | more


async def test_stats_of_the_fleet(upstream: Any, redis_url: str) -> None:
    """Every call at either replica is in the counts of both, once: answers, failures, skips, tokens, cost."""
    broken, sound = await upstream(), await upstream()
    broken.default = Status(500)
    sound.default = Answer("One two three.", input_tokens=10, cost_usd=0.25)
    # OpenRouter's wire tells what it charged.
    entry = service("sound", sound, base_url=f"{sound.url}/api/v1", models=["m"])
    variables = cluster(redis_url, service("broken", broken, models=["m"]), entry)

    async def broken_at(client: httpx.AsyncClient) -> str:
        return str((await client.get("/router/health")).json()["services"]["broken"]["breaker"])

    async with served(variables) as one, served(variables) as two:
        for client in (one, two):
            for number in range(5):
                body = {**CHAT, "stream": number % 2 == 1}
                assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            # refused before any call, and never counted
            assert (await client.post("/v1/chat/completions", json={})).status_code == 400
            await eventually(lambda: broken_at(two), "open")
        assert (await one.post("/v1/chat/completions", json={**CHAT, "model": "broken/m"})).status_code == 503
        assert (await two.post("/v1/embeddings", json={"model": "sound/m", "input": "a b c"})).status_code == 200

        async def stats(client: httpx.AsyncClient) -> Json:
            body: Json = (await client.get("/router/stats")).json()
            return {**body, "services": without_times(body)}

        expected = {
            "total_requests": 12,
            "successful_requests": 11,
            "failed_requests": 1,
            "services": {
                # the breaker of both opens at the third failure
                "broken": service_stats(0, {"open": 8, "unavailable": 3}, 0, 0, 0.0),
                "sound": service_stats(11, {}, 103, 30, 2.5),
            },
        }
        await eventually(lambda: stats(one), expected)
        assert await stats(two) == expected
        found = (await two.get("/router/stats")).json()["services"]["sound"]["average_latency_ms"]
        assert 0 < found < 1000
        assert len(broken.chats) == 3

        refused = await two.post("/router/reset-stats")
        assert (refused.status_code, refused.json()) == (403, {"detail": "this key may not do that"})
        assert await stats(one) == expected
        reset = await two.post("/router/reset-stats", headers=ADMIN)
        assert (reset.status_code, reset.json()) == (200, {"status": "reset"})
        for client in (one, two):
            body = await stats(client)
            assert (body["total_requests"], body["services"]["sound"]["successes"]) == (0, 0)
        assert (await one.post("/v1/chat/completions", json=CHAT)).status_code == 200
        await eventually(lambda: _total(one), 1)
        assert await _total(two) == 1


def service_stats(successes: int, outcomes: Json, tokens_in: int, tokens_out: int, cost_usd: float) -> Json:
    calls = {"successes": successes, "outcomes": outcomes, "average_latency_ms": None}
    return {**calls, "input_tokens": tokens_in, "output_tokens": tokens_out, "cost_usd": cost_usd}


async def _total(client: httpx.AsyncClient) -> int:
    total: int = (await client.get("/router/stats")).json()["total_requests"]
    return total


async def test_counting_tokens_is_a_success(gateway: Start, upstream: Any) -> None:
    """A call that uses no tokens is no failure."""
    up = await upstream()
    entry = {**service("claude", up), "backend_type": "anthropic", "base_url": up.url}
    client = await gateway({}, ROUTER_SERVICES=listed(entry))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await client.post("/v1/messages/count_tokens", json=body)).status_code == 200
    await eventually(lambda: _total(client), 1)
    stats = (await client.get("/router/stats")).json()
    assert (stats["successful_requests"], stats["failed_requests"]) == (1, 0)
    assert stats["services"]["claude"]["successes"] == 1


async def test_a_replica_that_ends_leaves_its_counts(upstream: Any, redis_url: str) -> None:
    """SIGTERM right after the last answer: the other replica knows of every call and of who made it."""
    up = await upstream()
    variables = cluster(redis_url, service("a", up))
    async with Replica(variables) as one, served(variables) as two, client_of(one.url) as client:
        for _ in range(7):
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert await one.terminate() == 0
        stats = (await two.get("/router/stats")).json()
        assert (stats["total_requests"], stats["services"]["a"]["successes"]) == (7, 7)
        metrics = (await two.get("/auth/metrics", headers=ADMIN)).json()
        assert metrics["by_key"]["service-api-key"] == 8  # and the question for the stats


async def test_router_health(gateway: Start, upstream: Any) -> None:
    """Healthy, degraded or unavailable, by what may be asked now; each service with its breaker and its rest."""
    ups = {name: await upstream() for name in ("a", "b")}
    services = [service(name, up, max_retries=0) for name, up in ups.items()]
    client = await gateway({}, ROUTER_SERVICES=listed(*services), BREAKER_MIN_CALLS="1", BREAKER_OPEN_S="60")

    async def health() -> Json:
        body: Json = (await client.get("/router/health")).json()
        assert datetime.fromisoformat(body.pop("timestamp")).tzinfo is not None
        return body

    sound = {"status": "closed", "breaker": "closed", "put_aside_s": 0.0}
    assert await health() == {"status": "healthy", "available": ["a", "b"], "services": {"a": sound, "b": sound}}
    ups["a"].default = Status(429, retry_after_s=60)
    assert (await client.post("/query", json={"prompt": "Hello"})).json()["provider"] == "b"
    body = await health()
    assert (body["status"], body["available"], body["services"]["b"]) == ("degraded", ["b"], sound)
    rest = body["services"]["a"].pop("put_aside_s")
    assert (body["services"]["a"], 55 < rest <= 60) == ({"status": "put_aside", "breaker": "closed"}, True)
    ups["b"].default = Status(500)
    assert (await client.post("/query", json={"prompt": "Hello"})).status_code == 502
    body = await health()
    assert (body["status"], body["available"]) == ("unavailable", [])
    assert body["services"]["b"] == {"status": "open", "breaker": "open", "put_aside_s": 0.0}
    assert (await client.post("/query", json={"prompt": "Hello"})).status_code == 503


async def test_rate_limits(upstream: Any, redis_url: str) -> None:
    """Limits and what is left of them, the same at each replica; asking takes nothing; no window named is a minute."""
    up = await upstream()
    entries = (
        service("limited", up, rate_limit_requests=3, rate_limit_window=30),
        service("minute", up, rate_limit_requests=5),
        service("free", up),
    )
    variables = cluster(redis_url, *entries)
    async with served(variables) as one, served(variables) as two:
        free = {"limit": None, "window_s": None, "remaining": None, "reset_s": None}

        async def limits(client: httpx.AsyncClient) -> Json:
            body = (await client.get("/router/rate-limits")).json()
            assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
            found: Json = body["services"]
            return found

        untouched = {"limit": 3, "window_s": 30, "remaining": 3, "reset_s": 30.0}
        minute = {"limit": 5, "window_s": 60, "remaining": 5, "reset_s": 60.0}
        assert await limits(one) == await limits(two) == {"limited": untouched, "minute": minute, "free": free}
        for client in (one, two, one, two):
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        for client in (one, two):
            found = await limits(client)
            assert 28 < found["limited"].pop("reset_s") <= 30
            assert found["limited"] == {"limit": 3, "window_s": 30, "remaining": 0}
            assert found["minute"].pop("reset_s") <= 60
            assert found["minute"] == {"limit": 5, "window_s": 60, "remaining": 4}
        assert len(up.chats) == 4


async def test_auth_status_and_metrics(gateway: Start, redis_url: str) -> None:
    """Keys by id, whose this one is, and who has asked how often; refusals by reason."""
    client = await gateway(
        redis_url=redis_url, AUTH_KEY_01=OTHER_KEY, ADMIN_API_KEY=ADMIN_KEY, AUTH_HEADER_NAME="X-Team-Key"
    )
    reply = await client.get("/auth/status", headers={"X-API-Key": OTHER_KEY})
    shown = [
        {"id": "admin-api-key", "tenant": "default", "admin": True},
        {"id": "service-api-key", "tenant": "default", "admin": False},
        {"id": "auth-key-01", "tenant": "default", "admin": False},
    ]
    assert reply.json() == {
        "auth_enabled": True,
        "headers": ["X-API-Key", "Authorization", "X-Team-Key"],
        "key": shown[2],
        "keys": shown,
        "complete": False,
    }
    all_keys = (await client.get("/auth/status", headers=ADMIN)).json()
    assert (all_keys["keys"], all_keys["complete"]) == (shown, True)
    assert (await client.get("/auth/status", headers={"X-API-Key": "wrong"})).status_code == 401
    async with httpx.AsyncClient(base_url=client.base_url) as stranger:
        assert (await stranger.get("/auth/status")).status_code == 401
    two = {"X-API-Key": OTHER_KEY, "Authorization": f"Bearer {CLIENT_KEY}"}
    assert (await client.get("/auth/status", headers=two)).status_code == 400
    assert (await client.post("/auth/reset-metrics")).status_code == 403

    async def metrics() -> Json:
        body: Json = (await client.get("/auth/metrics", headers=ADMIN)).json()
        body["by_key"].pop("admin-api-key", None)
        return {name: body[name] for name in ("refused_requests", "by_key", "refused_by_reason")}

    expected = {
        "refused_requests": 4,
        "by_key": {"auth-key-01": 1},
        "refused_by_reason": {"ambiguous_key": 1, "forbidden": 1, "invalid_key": 1, "missing_key": 1},
    }
    await eventually(metrics, expected)
    body = (await client.get("/auth/metrics", headers=ADMIN)).json()
    assert body["authenticated_requests"] == sum(body["by_key"].values())
    reply = await client.post("/auth/reset-metrics", headers=ADMIN)
    assert (reply.status_code, reply.json()) == (200, {"status": "reset"})
    body = (await client.get("/auth/metrics", headers=ADMIN)).json()
    assert (body["refused_requests"], body["refused_by_reason"]) == (0, {})


async def test_keys_are_read_again(upstream: Any) -> None:
    """A changed `.env` of a running gateway: the new key works, the old one does not; a bad file changes nothing."""
    first, second = "first-key-of-the-env-file-0123", "second-key-of-the-env-file-0123"
    replica = Replica({"RATE_LIMIT": "1000/minute", **NO_SAFETY})
    env = replica.directory / ".env"
    env.write_text(f"SERVICE_API_KEY={first}\nADMIN_API_KEY={ADMIN_KEY}\n")
    async with replica, httpx.AsyncClient(base_url=replica.url) as client:

        async def status(key: str) -> int:
            return (await client.get("/auth/status", headers={"X-API-Key": key})).status_code

        async def reload(key: str = ADMIN_KEY) -> httpx.Response:
            return await client.post("/auth/reload-keys", headers={"X-API-Key": key})

        assert [await status(key) for key in (first, second)] == [200, 401]
        env.write_text(f"AUTH_KEY_07={second}\nADMIN_API_KEY={ADMIN_KEY}\n")
        assert [await status(key) for key in (first, second)] == [200, 401]  # not by itself
        assert (await reload(first)).status_code == 403
        reply = await reload()
        assert (reply.status_code, reply.json()) == (
            200,
            {"status": "reloaded", "keys": ["admin-api-key", "auth-key-07"]},
        )
        assert [await status(key) for key in (first, second, ADMIN_KEY)] == [401, 200, 200]
        for bad, problem in (
            (
                b"AUTH_KEY_07=short-secret\nADMIN_API_KEY=" + ADMIN_KEY.encode(),
                "AUTH_KEY_07: empty, well known or shorter than 16 characters",
            ),
            (b"SERVICE_API_KEY=\xff\xfe\n", ".env: cannot be read as UTF-8 text"),
        ):
            env.write_bytes(bad)
            reply = await reload()
            expected = {"detail": f"the keys stay as they are: {problem}"}
            assert (reply.status_code, reply.json()) == (422, expected)
            assert [await status(key) for key in (first, second, ADMIN_KEY)] == [401, 200, 200]
        assert not any(key in replica.stdout + replica.stderr for key in (first, second, ADMIN_KEY, "short-secret"))


async def test_keys_of_an_environment_that_cannot_change(gateway: Start) -> None:
    """An app made of a mapping has its keys from there for good."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    reply = await client.post("/auth/reload-keys", headers=ADMIN)
    expected = {"status": "reloaded", "keys": ["admin-api-key", "service-api-key"]}
    assert (reply.status_code, reply.json()) == (200, expected)
    assert (await client.get("/auth/status")).status_code == 200


async def test_who_may_ask(gateway: Start) -> None:
    """Nobody without a key; what changes something only an admin; and no other method."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    for path in PAGES:
        assert (await client.get(path)).status_code == 200
        assert (await client.post(path, headers=ADMIN)).status_code == 405
        assert (await client.get(path, headers={"X-API-Key": ""})).status_code == 401
    for path in CHANGES:
        assert (await client.post(path)).status_code == 403
        assert (await client.get(path, headers=ADMIN)).status_code == 405
        assert (await client.post(path, headers={"X-API-Key": ""})).status_code == 401
        assert (await client.post(path, headers=ADMIN)).status_code == 200


async def test_the_store_is_away(upstream: Any, own_redis: Any) -> None:
    """A reset that did not happen is 503; the others answer with what they know."""
    up = await upstream()
    async with served(cluster(own_redis.url, service("a", up, rate_limit_requests=5))) as client:
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        own_redis.kill()
        for path in ("/router/reset-stats", "/auth/reset-metrics"):
            # Today the limiter refuses first; whichever does, it is 503 and says when to come back.
            reply = await client.post(path, headers=ADMIN)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


SECRETS = ("secret-of-a-0123456789", "secret-of-b-0123456789", CLIENT_KEY, OTHER_KEY, ADMIN_KEY)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_secret_and_no_address(
    upstream: Any, own_redis: Any, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """After answers and failures of all kinds, no byte of any page, header or log is a key or leads to a provider."""
    a, b = await upstream(), await upstream(key="another")
    services = (
        service("a", a, api_key=["secret-of-a-0123456789"], rate_limit_requests=100),
        service("b", b, api_key="secret-of-b-0123456789"),
    )
    variables = cluster(own_redis.url, *services, AUTH_KEY=OTHER_KEY)
    caplog.set_level(logging.DEBUG)
    async with served(variables) as client:
        a.answers.push(Status(500), Status(400, body={"error": {"message": "wrong: secret-of-a-0123456789"}}))
        for _ in range(4):
            await client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
        await client.get("/auth/status", headers={"X-API-Key": OTHER_KEY + "x"})
        pages = [await client.get(path, headers=ADMIN) for path in PAGES]
        pages += [await client.post(path, headers=ADMIN) for path in CHANGES]
        pages += [await client.get(path) for path in ("/providers", "/health", "/metrics", "/v1/models", "/")]
        assert {page.status_code for page in pages} == {200}
        ours = [record for record in caplog.records if record.name.startswith(("gateway", "middleware", "providers"))]
        assert ours
        seen = b"".join(page.content + repr(page.headers.raw).encode() for page in pages)
        seen += "".join(record.getMessage() for record in ours).encode()
        places = ("127.0.0.1", "localhost", str(a.port), str(b.port), str(own_redis.port))
        assert not [word for word in (*SECRETS, *places) if word.encode() in seen]
