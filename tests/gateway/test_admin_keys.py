"""Keys and tenants over HTTP: the admin API, and what a key of the store may do with the gateway."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from redis import Redis

from gateway.keys import new_key
from tests.gateway.conftest import Start
from tests.redis_server import RedisServer
from tests.serving import CLIENT_KEY, Replica, environment
from tests.upstream import Upstream

Json = dict[str, Any]

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
ADMIN = {"X-API-Key": ADMIN_KEY}
DEFAULT_SCOPES = ["query", "chat", "embeddings", "models", "checks", "status"]
NOT_ALLOWED = "this key may not use this model"
UNAUTHORIZED = {"detail": "missing or invalid API key"}
CHAT: Json = {"messages": [{"role": "user", "content": "How do lighthouses work?"}]}


async def make(client: httpx.AsyncClient, **fields: Any) -> tuple[str, dict[str, str]]:
    """A key's id, and the header that presents it."""
    reply = await client.post("/admin/keys", json=fields, headers=ADMIN)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"], {"X-API-Key": reply.json()["key"]}


def problem(*loc: str | int, where: str = "body", **rest: str) -> Json:
    return {"detail": [{"loc": [where, *loc], **rest}]}


async def test_life_of_a_key(gateway: Start, redis_url: str) -> None:
    """Made, listed, shown, changed, rotated and revoked, with every field as the contract names it."""
    client = await gateway(redis_url=redis_url, ADMIN_API_KEY=ADMIN_KEY)
    fields = {
        "name": "Build server",
        "tenant": "default",
        "scopes": ["query", "chat"],
        "rate_limit": "60/minute;1000/day",
        "tokens_per_minute": 90000,
        "concurrency": 4,
        "budget_usd": {"day": 1.25, "month": "20"},
        "allowed_models": ["demo"],
        "policy": "default",
        "strict": True,
        "expires_at": "2099-01-31T12:00:00+02:00",
        "disabled": False,
        "metadata": {"team": "blue", "cost centre": 7},
    }
    made = await client.post("/admin/keys", json=fields, headers=ADMIN)
    body = made.json()
    key_id, key = body["id"], body.pop("key")
    assert (made.status_code, made.headers["location"]) == (201, f"/admin/keys/{key_id}")
    assert made.headers["cache-control"] == "private, no-store"
    assert re.fullmatch(rf"gw_{key_id}_[0-9A-Za-z]{{32}}", key)
    stamp = body["created_at"]
    record = {
        **fields,
        "budget_usd": {"day": 1.25, "month": 20},
        "expires_at": "2099-01-31T10:00:00Z",
        "id": key_id,
        "old_secret_until": None,
        "created_at": stamp,
        "updated_at": stamp,
    }
    assert body == record
    shown = await client.get(f"/admin/keys/{key_id}", headers=ADMIN)
    assert (shown.status_code, shown.json()) == (200, record)
    listed = await client.get("/admin/keys", headers=ADMIN)
    assert (listed.status_code, listed.json()) == (200, {"keys": [record], "next_cursor": None})
    assert (await client.post("/query", json={"prompt": "x"}, headers={"X-API-Key": key})).status_code == 200

    change = {"name": "CI", "budget_usd": {"day": None}, "tokens_per_minute": None, "scopes": ["models"]}
    changed = await client.patch(f"/admin/keys/{key_id}", json=change, headers=ADMIN)
    assert changed.status_code == 200
    record |= change | {"budget_usd": {"day": None, "month": 20}, "updated_at": changed.json()["updated_at"]}
    assert changed.json() == record
    assert (await client.post("/query", json={"prompt": "x"}, headers={"X-API-Key": key})).status_code == 403
    assert (await client.get("/v1/models", headers={"X-API-Key": key})).status_code == 200

    rotated = await client.post(f"/admin/keys/{key_id}/rotate", headers=ADMIN)
    until, second = rotated.json()["old_secret_until"], rotated.json()["key"]
    assert rotated.status_code == 200
    assert rotated.json() == record | {
        "key": second,
        "old_secret_until": until,
        "updated_at": rotated.json()["updated_at"],
    }
    assert until[:10] > stamp[:10]
    assert [(await client.get("/v1/models", headers={"X-API-Key": each})).status_code for each in (key, second)] == [
        *(200, 200)
    ]
    ended = await client.post(f"/admin/keys/{key_id}/rotate", json={"grace_s": 0}, headers=ADMIN)
    third = ended.json()["key"]
    assert ended.json()["old_secret_until"] is None
    statuses = [
        (await client.get("/v1/models", headers={"X-API-Key": each})).status_code for each in (key, second, third)
    ]
    assert statuses == [401, 401, 200]

    gone = await client.delete(f"/admin/keys/{key_id}", headers=ADMIN)
    assert (gone.status_code, gone.content, "content-type" in gone.headers) == (204, b"", False)
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        reply = await client.request(method, f"/admin/keys/{key_id}{path}", json={}, headers=ADMIN)
        assert (reply.status_code, reply.json()) == (404, {"detail": "not found"}), method
    assert (await client.get("/v1/models", headers={"X-API-Key": third})).status_code == 401
    assert (await client.get("/admin/keys", headers=ADMIN)).json() == {"keys": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("body", "place", "begins"),
    [
        ({"tenant": "nobody"}, ["tenant"], "there is no such tenant"),
        ({"tenant": "No Slug"}, ["tenant"], "String should match pattern"),
        ({"scopes": ["query", "root"]}, ["scopes", 1], "Input should be 'query', 'chat', 'embeddings', 'models', "),
        ({"scopes": []}, ["scopes"], "List should have at least 1 item"),
        ({"rate_limit": "ten a minute"}, ["rate_limit"], "expected N/second|minute|hour|day"),
        ({"rate_limit": ";".join(["1/minute"] * 9)}, ["rate_limit"], "at most 8 windows"),
        ({"tokens_per_minute": -1}, ["tokens_per_minute"], "Input should be greater than or equal to 0"),
        ({"tokens_per_minute": "5"}, ["tokens_per_minute"], "Input should be a valid integer"),
        ({"concurrency": 1.5}, ["concurrency"], "Input should be a valid integer"),
        ({"budget_usd": 5}, ["budget_usd"], "Input should be a valid dictionary"),
        ({"budget_usd": {"day": -1}}, ["budget_usd", "day"], "must be an amount of dollars"),
        ({"budget_usd": {"day": "1e5"}}, ["budget_usd", "day"], "must be an amount of dollars"),
        ({"budget_usd": {"month": 1e12}}, ["budget_usd", "month"], "must be an amount of dollars"),
        ({"budget_usd": {"month": True}}, ["budget_usd", "month"], "must be an amount of dollars"),
        ({"budget_usd": {"year": 1}}, ["budget_usd", "year"], "Extra inputs are not permitted"),
        ({"allowed_models": ["a|b"]}, ["allowed_models", 0], "String should match pattern"),
        ({"allowed_models": "demo"}, ["allowed_models"], "Input should be a valid list"),
        ({"policy": "lenient"}, ["policy"], "there is no such policy"),
        ({"expires_at": "2030-01-01"}, ["expires_at"], "must be a time as in RFC 3339"),
        ({"expires_at": "2030-13-01T00:00:00Z"}, ["expires_at"], "must be a time as in RFC 3339"),
        ({"expires_at": 5}, ["expires_at"], "must be a time as in RFC 3339"),
        ({"metadata": {"a": [1]}}, ["metadata", "a", "constrained-str"], "Input should be a valid string"),
        ({"strict": "yes"}, ["strict"], "Input should be a valid boolean"),
        ({"id": "mine"}, ["id"], "Extra inputs are not permitted"),
        ({"digest": "0" * 64}, ["digest"], "Extra inputs are not permitted"),
        ({"admin": True}, ["admin"], "Extra inputs are not permitted"),
    ],
)
async def test_what_is_no_key(gateway: Start, body: Json, place: list[Any], begins: str) -> None:
    """422 with the place and the reason, and no key is made."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    reply = await client.post("/admin/keys", json=body, headers=ADMIN)
    first = reply.json()["detail"][0]
    assert (reply.status_code, first["loc"], set(first)) == (422, ["body", *place], {"loc", "msg", "type"})
    assert first["msg"].startswith(begins)
    assert (await client.get("/admin/keys", headers=ADMIN)).json()["keys"] == []


async def test_lists_and_changes_that_cannot_be(gateway: Start) -> None:
    """A key stays with its tenant; pages are of a sound size; other methods are told the ones there are."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    ids = [(await make(client, name=str(number)))[0] for number in range(5)]
    moved = await client.patch(f"/admin/keys/{ids[0]}", json={"tenant": "default"}, headers=ADMIN)
    why = "the tenant of a key cannot be changed: make a new key"
    assert (moved.status_code, moved.json()) == (422, problem("tenant", msg=why, type="frozen_field"))
    too_long = await client.post(f"/admin/keys/{ids[0]}/rotate", json={"grace_s": 30 * 86400 + 1}, headers=ADMIN)
    assert (too_long.status_code, too_long.json()["detail"][0]["loc"]) == (422, ["body", "grace_s"])

    seen, query = [], "limit=2"
    for _ in range(3):
        page = (await client.get(f"/admin/keys?{query}", headers=ADMIN)).json()
        seen.append([key["id"] for key in page["keys"]])
        query = f"limit=2&cursor={page['next_cursor']}"
    assert (seen, page["next_cursor"]) == ([ids[:2], ids[2:4], ids[4:]], None)
    for query in ("limit=0", "limit=201", "limit=", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=-1", "cursor="):
        refused = await client.get(f"/admin/keys?{query}", headers=ADMIN)
        place = query.partition("=")[0]
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", place]), query

    for path, allow in (
        ("/admin/keys", "GET, HEAD, POST"),
        (f"/admin/keys/{ids[0]}", "DELETE, GET, HEAD, PATCH"),
        (f"/admin/keys/{ids[0]}/rotate", "POST"),
        ("/admin/tenants", "GET, HEAD, POST"),
        ("/admin/tenants/x", "DELETE, GET, HEAD, PATCH"),
    ):
        reply = await client.put(path, headers=ADMIN)
        assert (reply.status_code, reply.headers["allow"], reply.json()) == (
            405,
            allow,
            {"detail": "method not allowed"},
        )
    head = await client.head("/admin/keys", headers=ADMIN)
    assert (head.status_code, head.content) == (200, b"")


async def test_only_admins(gateway: Start) -> None:
    """Other keys are 403 and strangers 401 on every operation; a stored key with the scope is an admin, and no more."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    key_id, user = await make(client)
    operations = [
        *(("POST", "/admin/keys"), ("GET", "/admin/keys"), ("GET", f"/admin/keys/{key_id}")),
        *(("PATCH", f"/admin/keys/{key_id}"), ("DELETE", f"/admin/keys/{key_id}"), ("POST", "/admin/tenants")),
        *(("POST", f"/admin/keys/{key_id}/rotate"), ("GET", "/admin/tenants"), ("GET", "/admin/tenants/x")),
        *(("PATCH", "/admin/tenants/x"), ("DELETE", "/admin/tenants/x"), ("POST", "/admin/config/reload")),
    ]
    for method, path in operations:
        for headers, status, detail in (
            ({"X-API-Key": CLIENT_KEY}, 403, "this key may not do that"),
            (user, 403, "this key may not do that"),
            ({"X-API-Key": new_key()}, 401, "missing or invalid API key"),
        ):
            reply = await client.request(method, path, json={"scopes": ["admin"]}, headers=headers)
            assert (reply.status_code, reply.json()) == (status, {"detail": detail}), (method, path)
    _, boss = await make(client, scopes=["admin"])
    assert (await client.get(f"/admin/keys/{key_id}", headers=boss)).json()["scopes"] == DEFAULT_SCOPES
    assert (await client.get("/v1/models", headers=boss)).status_code == 403
    assert len((await client.get("/admin/keys", headers=boss)).json()["keys"]) == 2


async def test_scopes(gateway: Start) -> None:
    """403 in the dialect of each route outside the key's groups; routes without a key stay open to nobody's."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    asks: dict[str, list[tuple[str, str, Json]]] = {
        "query": [("POST", "/query", {"prompt": "x"}), ("POST", "/batch/resilience", {"prompts": ["x"]})],
        "chat": [
            ("POST", "/v1/chat/completions", {"model": "demo", **CHAT}),
            ("POST", "/v1/responses", {"model": "demo", "input": "x"}),
            ("POST", "/v1/messages", {"model": "demo", "max_tokens": 5, **CHAT}),
            ("POST", "/v1/messages/count_tokens", {"model": "demo", **CHAT}),
        ],
        "embeddings": [("POST", "/v1/embeddings", {"model": "demo", "input": "x"})],
        "models": [("GET", "/v1/models", {}), ("GET", "/v1/models/demo", {})],
        "checks": [
            ("POST", "/batch/security", {"prompts": ["x"]}),
            ("POST", "/check-toxicity", {"text": "x"}),
        ],
        "status": [
            ("GET", path, {})
            for path in (
                "/backend/info",
                "/router/stats",
                "/router/health",
                "/auth/status",
                "/auth/metrics",
                "/providers",
            )
        ],
    }
    assert set(asks) == set(DEFAULT_SCOPES)
    for scope in asks:
        _, key = await make(client, scopes=[scope])
        for other, requests in asks.items():
            for method, path, body in requests:
                reply = await client.request(method, path, json=body if method == "POST" else None, headers=key)
                assert reply.status_code == (200 if other == scope else 403), (scope, path, reply.text)
                if other == scope:
                    continue
                message, kind = "this key may not do that", "permission_error"
                if path.startswith("/v1/messages"):
                    assert reply.json() == {"type": "error", "error": {"type": kind, "message": message}}
                elif path.startswith("/v1/"):
                    error = {"message": message, "type": kind, "param": None, "code": "forbidden"}
                    assert reply.json() == {"error": error}
                else:
                    assert reply.json() == {"detail": message}
    del client.headers["x-api-key"]
    assert (await client.get("/providers")).status_code == 200


async def test_one_401_for_all_reasons(gateway: Start) -> None:
    """Unknown, mistyped, expired, disabled, revoked, of a disabled tenant: the same bytes but for the request's id."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    await client.post("/admin/tenants", json={"id": "acme"}, headers=ADMIN)
    _, expired = await make(client, expires_at="2020-01-01T00:00:00Z")
    _, disabled = await make(client, disabled=True)
    revoked_id, revoked = await make(client)
    _, of_tenant = await make(client, tenant="acme")
    await client.delete(f"/admin/keys/{revoked_id}", headers=ADMIN)
    assert (await client.get("/v1/models", headers=of_tenant)).status_code == 200
    off = await client.patch("/admin/tenants/acme", json={"disabled": True}, headers=ADMIN)
    assert (off.status_code, off.json()["disabled"]) == (200, True)
    mistyped = {"X-API-Key": disabled["X-API-Key"][:-1] + "-"}
    seen = set()
    for headers in (expired, disabled, revoked, of_tenant, mistyped, {"X-API-Key": new_key()}, {"X-API-Key": ""}):
        reply = await client.post("/query", json={"prompt": "x"}, headers=headers)
        named = {name: value for name, value in reply.headers.items() if name not in ("date", "x-request-id")}
        named.pop("x-gateway-overhead-ms")
        seen.add((reply.status_code, reply.content, tuple(sorted(named.items()))))
    assert len(seen) == 1
    [(status, content, headers_seen)] = seen
    assert (status, orjson.loads(content)) == (401, UNAUTHORIZED)
    assert ("www-authenticate", 'Bearer realm="gateway"') in headers_seen
    back = await client.patch("/admin/tenants/acme", json={"disabled": False}, headers=ADMIN)
    assert back.status_code == 200
    assert (await client.get("/v1/models", headers=of_tenant)).status_code == 200


# Tenants


async def test_life_of_a_tenant(gateway: Start, redis_url: str) -> None:
    """Made, listed, shown, changed, and dropped when it has no keys."""
    client = await gateway(redis_url=redis_url, ADMIN_API_KEY=ADMIN_KEY)
    made = await client.post("/admin/tenants", json={"id": "acme", "rate_limit": "5/minute"}, headers=ADMIN)
    stamp = made.json()["created_at"]
    record: Json = {
        "id": "acme",
        "name": "",
        "rate_limit": "5/minute",
        "tokens_per_minute": None,
        "concurrency": None,
        "budget_usd": {"day": None, "month": None},
        "allowed_models": None,
        "policy": None,
        "strict": False,
        "disabled": False,
        "metadata": {},
        "source": "store",
        "created_at": stamp,
        "updated_at": stamp,
    }
    assert (made.status_code, made.headers["location"], made.json()) == (201, "/admin/tenants/acme", record)
    taken = "there is a tenant with this id already"
    for body in ({"id": "acme"}, {"id": "default"}):
        again = await client.post("/admin/tenants", json=body, headers=ADMIN)
        assert (again.status_code, again.json()) == (409, {"detail": taken})
    changed = await client.patch("/admin/tenants/acme", json={"budget_usd": {"month": 9.5}}, headers=ADMIN)
    record |= {"budget_usd": {"day": None, "month": 9.5}, "updated_at": changed.json()["updated_at"]}
    assert (changed.status_code, changed.json()) == (200, record)
    assert (await client.get("/admin/tenants/acme", headers=ADMIN)).json() == record
    assert (await client.get("/admin/tenants", headers=ADMIN)).json() == {"tenants": [record], "next_cursor": None}
    renamed = await client.patch("/admin/tenants/acme", json={"id": "other"}, headers=ADMIN)
    assert (renamed.status_code, renamed.json()["detail"][0]["loc"]) == (422, ["body", "id"])

    key_id, _ = await make(client, tenant="acme")
    held = await client.delete("/admin/tenants/acme", headers=ADMIN)
    assert (held.status_code, held.json()) == (409, {"detail": "this tenant has keys: revoke them first"})
    await client.delete(f"/admin/keys/{key_id}", headers=ADMIN)
    assert (await client.delete("/admin/tenants/acme", headers=ADMIN)).status_code == 204
    for path in ("/admin/tenants/acme", "/admin/tenants/No-Slug"):
        for method in ("GET", "PATCH", "DELETE"):
            reply = await client.request(method, path, json={}, headers=ADMIN)
            assert (reply.status_code, reply.json()) == (404, {"detail": "not found"})


async def test_tenants_of_the_file(gateway: Start, tmp_path: Path, upstream: Any) -> None:
    """They win over stored ones, cannot be changed over HTTP, and change with the file."""
    up = await upstream(models=("m", "n"))
    service = {"name": "s", "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": "k", "models": ["m", "n"]}
    path = tmp_path / "gateway.yaml"

    def write(**tenants: Json) -> None:
        path.write_bytes(orjson.dumps({"services": [service], "tenants": tenants}))

    acme = {
        "name": "Acme",
        "rate_limit": "7/minute",
        "tokens_per_minute": 10,
        "concurrency": 2,
        "strict": True,
        "budget_usd": {"day": 0.1},
        "allowed_models": ["m"],
        "policy": "default",
        "metadata": {"a": "b"},
    }
    write(acme=acme)
    client = await gateway({}, GATEWAY_CONFIG=str(path), ADMIN_API_KEY=ADMIN_KEY)
    shown = await client.get("/admin/tenants/acme", headers=ADMIN)
    record = {
        **acme,
        "budget_usd": {"day": 0.1, "month": None},
        "id": "acme",
        "disabled": False,
        "source": "config",
        "created_at": None,
        "updated_at": None,
    }
    assert (shown.status_code, shown.json()) == (200, record)
    await client.post("/admin/tenants", json={"id": "beta"}, headers=ADMIN)
    listed = (await client.get("/admin/tenants?limit=1", headers=ADMIN)).json()
    assert listed == {"tenants": [record], "next_cursor": "beta"}
    rest = (await client.get("/admin/tenants?cursor=beta", headers=ADMIN)).json()
    assert [tenant["id"] for tenant in rest["tenants"]] == ["beta"]
    _, key = await make(client, tenant="acme")

    async def models() -> list[str]:
        return [entry["id"] for entry in (await client.get("/v1/models", headers=key)).json()["data"]]

    assert await models() == ["m"]
    of_file = {"detail": "this tenant is set by GATEWAY_CONFIG: change it there"}
    for method in ("PATCH", "DELETE"):
        refused = await client.request(method, "/admin/tenants/acme", json={}, headers=ADMIN)
        assert (refused.status_code, refused.json()) == (409, of_file)
    taken = await client.post("/admin/tenants", json={"id": "acme"}, headers=ADMIN)
    assert taken.status_code == 409
    write(acme={"allowed_models": ["n"]})
    assert (await client.post("/admin/config/reload", headers=ADMIN)).status_code == 200
    assert await models() == ["n"]
    write(acme={"disabled": True})
    assert (await client.post("/admin/config/reload", headers=ADMIN)).status_code == 200
    assert (await client.get("/v1/models", headers=key)).status_code == 401


# Models


@pytest.fixture
async def two_services(gateway: Start, upstream: Any, tmp_path: Path) -> tuple[httpx.AsyncClient, Upstream, Upstream]:
    """Services `a` (small, shared) and `b` (shared, big), and aliases over them."""
    a, b = await upstream(), await upstream()
    services = [
        {
            "name": name,
            "backend_type": "custom",
            "base_url": f"{up.url}/v1",
            "api_key": f"key-{name}",
            "models": models,
        }
        for name, up, models in (
            ("a", a, {"small": "up-small", "shared": "shared"}),
            ("b", b, {"shared": "shared", "big": "up-big"}),
        )
    ]
    aliases = {"fast": ["small"], "mixed": ["small", "big"]}
    path = tmp_path / "gateway.yaml"
    path.write_bytes(orjson.dumps({"services": services, "models": aliases}))
    client = await gateway({}, GATEWAY_CONFIG=str(path), ADMIN_API_KEY=ADMIN_KEY)
    return client, a, b


@pytest.mark.parametrize(
    ("allowed", "asked", "status", "services"),
    [
        # by the name itself
        (["small"], "small", 200, "a"),
        (["small"], "big", 403, ""),
        (["fast"], "fast", 200, "a"),
        (["mixed"], "mixed", 200, "a"),
        ([], "small", 403, ""),
        # the same target under another name
        (["small"], "fast", 200, "a"),
        (["small"], "a/small", 200, "a"),
        (["a/small"], "small", 200, "a"),
        (["up-small"], "small", 200, "a"),
        (["fast"], "small", 200, "a"),
        (["fast"], "big", 403, ""),
        # a service
        (["b/*"], "big", 200, "b"),
        (["b/*"], "small", 403, ""),
        (["b/*"], "shared", 200, "b"),
        (["a/shared"], "shared", 200, "a"),
        (["*"], "small", 403, ""),
        # part of an alias; every alternative
        (["big"], "mixed", 200, "b"),
        (["small", "big"], "small|big", 200, "a"),
        (["small"], "small|big", 403, ""),
        (["small"], "big|small", 403, ""),
        (["small"], "nobody-has-it|small", 200, "a"),
        (["small"], "nobody-has-it", 404, ""),
    ],
)
async def test_allowed_models(
    two_services: tuple[httpx.AsyncClient, Upstream, Upstream],
    allowed: list[str],
    asked: str,
    status: int,
    services: str,
) -> None:
    """A key reaches what its names stand for under whatever name, and nothing else is ever asked."""
    client, a, b = two_services
    _, key = await make(client, allowed_models=allowed)
    reply = await client.post("/v1/chat/completions", json={"model": asked, **CHAT}, headers=key)
    assert reply.status_code == status, reply.text
    assert (len(a.chats), len(b.chats)) == (services.count("a"), services.count("b"))
    if status == 403:
        error = {"message": NOT_ALLOWED, "type": "permission_error", "param": "model", "code": "model_not_allowed"}
        assert reply.json() == {"error": error}


async def test_allowed_models_on_every_route(two_services: tuple[httpx.AsyncClient, Upstream, Upstream]) -> None:
    """403 in each dialect; without a model only allowed targets are asked; the lists show what may be called."""
    client, a, b = two_services
    _, key = await make(client, allowed_models=["big"])
    plain, anthropic = (
        {"detail": NOT_ALLOWED},
        {
            "type": "error",
            "error": {"type": "permission_error", "message": NOT_ALLOWED},
        },
    )
    openai = {
        "error": {"message": NOT_ALLOWED, "type": "permission_error", "param": "model", "code": "model_not_allowed"}
    }
    for path, body, expected in (
        ("/query", {"prompt": "x", "model": "small"}, plain),
        ("/query", {"prompt": "x", "provider": "a"}, plain),
        ("/query", {"prompt": "x", "model": "shared", "stream": True}, plain),
        ("/v1/responses", {"model": "small", "input": "x"}, openai),
        ("/v1/embeddings", {"model": "small", "input": "x"}, openai),
        ("/v1/messages", {"model": "small", "max_tokens": 5, **CHAT}, anthropic),
        ("/v1/messages/count_tokens", {"model": "small", **CHAT}, anthropic),
    ):
        reply = await client.post(path, json=body, headers=key)
        assert (reply.status_code, reply.json()) == (403, expected), path
    assert len(a.requests) + len(b.requests) == 0
    # without a model each service answers with its default: of `b` that is not `big`
    for path, body in (("/query", {"prompt": "x"}), ("/batch/resilience", {"prompts": ["x", "y"]})):
        reply = await client.post(path, json=body, headers=key)
        assert (reply.status_code, reply.json()) == (403, plain), path
    _, of_b = await make(client, allowed_models=["b/*"])
    assert (await client.post("/query", json={"prompt": "x"}, headers=of_b)).json()["provider"] == "b"
    batch = await client.post("/batch/resilience", json={"prompts": ["x", "y"]}, headers=of_b)
    assert batch.json()["provider_usage"] == {"b": 2}
    assert len(a.requests) == 0
    listed = await client.get("/v1/models", headers=key)
    assert [entry["id"] for entry in listed.json()["data"]] == ["mixed", "big"]
    assert (await client.get("/v1/models/big", headers=key)).status_code == 200
    assert (await client.get("/v1/models/b/big", headers=key)).status_code == 200
    for hidden in ("small", "a/small", "fast", "nobody-has-it"):
        reply = await client.get(f"/v1/models/{hidden}", headers=key)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found"), hidden
    blocked = (await client.get("/metrics")).text
    assert 'gateway_blocked_total{layer="auth",reason="model_not_allowed"} 9.0' in blocked


async def test_a_tenants_models_hold_too(two_services: tuple[httpx.AsyncClient, Upstream, Upstream]) -> None:
    """What a key reaches is in its own list and in its tenant's, however either is written."""
    client, a, b = two_services
    await client.post("/admin/tenants", json={"id": "acme", "allowed_models": ["b/*"]}, headers=ADMIN)
    _, key = await make(client, tenant="acme", allowed_models=["shared", "small"])
    statuses = [
        (await client.post("/v1/chat/completions", json={"model": model, **CHAT}, headers=key)).status_code
        for model in ("shared", "small", "big")
    ]
    assert (statuses, len(a.chats), len(b.chats)) == ([200, 403, 403], 0, 1)


# Several replicas, and life without Redis


async def until(holds: Callable[[], Awaitable[bool]], limit_s: float) -> float:
    """Seconds until it holds."""
    start = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not await holds():  # noqa: ASYNC110 - a state of another process: only asking tells
            await asyncio.sleep(0.02)
    return time.monotonic() - start


@pytest.mark.parametrize("messages", ["heard", "blocked"])
async def test_revoked_on_every_replica(own_redis: RedisServer, messages: str) -> None:
    """Within a second, also when no announcement arrives: the replicas' users may not subscribe."""
    url = own_redis.url
    if messages == "blocked":
        with Redis.from_url(own_redis.socket_url) as redis:
            redis.acl_setuser("gateway", enabled=True, passwords=["+p"], keys=["*"], categories=["+@all"], reset=True)
        # channels: none
        url = url.replace("://", "://gateway:p@")
    variables = environment({}, redis_url=url, ADMIN_API_KEY=ADMIN_KEY)
    async with (
        Replica(variables) as one,
        Replica(variables) as two,
        httpx.AsyncClient(base_url=one.url) as here,
        httpx.AsyncClient(base_url=two.url) as there,
    ):
        key_id, key = await make(here)
        other_id, other = await make(here, scopes=["models"])

        async def refused(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> bool:
            return (await client.get("/v1/models", headers=headers)).status_code == status

        for client in (here, there):
            assert await refused(client, key, 200)
            assert await refused(client, other, 200)
        assert (await here.delete(f"/admin/keys/{key_id}", headers=ADMIN)).status_code == 204
        assert await refused(here, key, 401)
        assert await until(lambda: refused(there, key, 401), 5) < 1
        change = await here.patch(f"/admin/keys/{other_id}", json={"scopes": ["chat"]}, headers=ADMIN)
        assert change.status_code == 200
        assert await until(lambda: refused(there, other, 403), 5) < 1
        assert "Traceback" not in one.stderr + two.stderr


async def test_redis_stopped(gateway: Start, own_redis: RedisServer) -> None:
    """A known key is served, an unknown one 503, a malformed one 401, the environment's 200; the admin API is 503."""
    client = await gateway(redis_url=own_redis.url, ADMIN_API_KEY=ADMIN_KEY)
    key_id, key = await make(client)
    assert (await client.get("/v1/models", headers=key)).status_code == 200
    own_redis.kill()
    assert (await client.get("/v1/models", headers=key)).status_code == 200
    cold = await client.post("/query", json={"prompt": "x"}, headers={"X-API-Key": new_key()})
    assert (cold.status_code, cold.json()) == (503, {"detail": "the store of keys does not answer"})
    assert (cold.headers["retry-after"], "www-authenticate" in cold.headers) == ("1", False)
    # A wrong secret of a known key is one until it is noticed that Redis is away; from then on it may be a new one.
    wrong = {"X-API-Key": new_key(key_id)}

    async def uncertain() -> bool:
        return (await client.get("/v1/models", headers=wrong)).status_code == 503

    await until(uncertain, 5)
    openai = await client.post("/v1/chat/completions", json=CHAT, headers=wrong)
    message = "the store of keys does not answer"
    error = {"message": message, "type": "service_unavailable_error", "param": None, "code": "unavailable"}
    assert (openai.status_code, openai.json()) == (503, {"error": error})
    malformed = await client.get("/v1/models", headers={"X-API-Key": key["X-API-Key"] + "x"})
    assert malformed.status_code == 401
    assert (await client.get("/v1/models")).status_code == 200
    for method, path in (
        *(("POST", "/admin/keys"), ("GET", "/admin/keys"), ("DELETE", f"/admin/keys/{key_id}")),
        *(("POST", f"/admin/keys/{key_id}/rotate"), ("GET", "/admin/tenants"), ("PATCH", f"/admin/keys/{key_id}")),
    ):
        reply = await client.request(method, path, json={}, headers=ADMIN)
        assert (reply.status_code, reply.json(), reply.headers["retry-after"]) == (503, {"detail": message}, "1")
    status = (await client.get("/auth/status", headers=ADMIN)).json()
    assert ([entry["id"] for entry in status["keys"]], status["complete"]) == (
        ["admin-api-key", "service-api-key"],
        False,
    )


async def test_auth_status_shows_ids(gateway: Start) -> None:
    """An admin sees every key by its id; a tenant's key sees itself, and nothing of others."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY)
    await client.post("/admin/tenants", json={"id": "acme"}, headers=ADMIN)
    key_id, key = await make(client, tenant="acme")
    shown = {"id": key_id, "tenant": "acme", "admin": False}
    status = (await client.get("/auth/status", headers=ADMIN)).json()
    assert (status["keys"][-1], len(status["keys"]), status["complete"]) == (shown, 3, True)
    own = (await client.get("/auth/status", headers=key)).json()
    assert (own["key"], own["keys"], own["complete"]) == (shown, [], False)


async def test_other_origins_may_use_the_admin_api(gateway: Start) -> None:
    """A page of an allowed origin may change and revoke."""
    client = await gateway(ADMIN_API_KEY=ADMIN_KEY, ALLOWED_ORIGINS="https://admin.example")
    for method in ("PATCH", "DELETE"):
        asks = {"Origin": "https://admin.example", "Access-Control-Request-Method": method}
        reply = await client.options("/admin/keys/x", headers=asks)
        assert (reply.status_code, method in reply.headers["access-control-allow-methods"]) == (200, True)
