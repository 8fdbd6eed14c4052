"""What may be asked for: `/v1/models`, merged from the configuration and the providers' own lists."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.conftest import Start
from tests.upstream import Garbage, Reset, Silence, Status, Upstream
from tests.upstream.models import CREATED
from tests.upstream.recorded import Request

Json = dict[str, Any]

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
VERSION = {"anthropic-version": "2023-06-01"}


def service(name: str, up: Upstream, **more: Any) -> Json:
    entry = {"name": name, "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": f"key-of-{name}"}
    return {**entry, **more}


def listed(*services: Json) -> str:
    return orjson.dumps(services).decode()


def lists(up: Upstream) -> list[Request]:
    return [request for request in up.requests if request.kind == "models"]


async def ids(client: httpx.AsyncClient) -> dict[str, str]:
    """Each model's service, in order."""
    reply = await client.get("/v1/models")
    assert reply.status_code == 200
    return {entry["id"]: entry["service"] for entry in reply.json()["data"]}


async def test_merged(gateway: Start, upstream: Any, tmp_path: Path) -> None:
    """Aliases, then listed and default models by priority, then what services have that list none; each once."""
    a, b, c = await upstream(), await upstream(models=("shared", "b-own")), await upstream(models=("c-own", "b-own"))
    services = [
        service("a", a, models={"small": "up-small", "shared": "up-shared"}),
        service("b", b),
        {**service("c", c), "backend_type": "groq", "base_url": f"{c.url}/openai/v1"},
    ]
    path = tmp_path / "gateway.yaml"
    path.write_bytes(orjson.dumps({"services": services, "models": {"fast": ["small", "c/c-own"]}}))
    started = int(time.time())
    client = await gateway({}, GATEWAY_CONFIG=str(path), GROQ_MODEL="groq-default")
    reply = await client.get("/v1/models")
    body = reply.json()
    for entry in body["data"][:4]:
        assert started <= entry["created"] <= time.time()
        entry["created"] = 0
    assert body == {
        "object": "list",
        "data": [
            {"id": id, "object": "model", "created": created, "owned_by": owner, "service": name}
            for id, created, owner, name in (
                ("fast", 0, "custom", "a"),
                ("small", 0, "custom", "a"),
                ("shared", 0, "custom", "a"),
                ("groq-default", 0, "groq", "c"),
                ("b-own", CREATED, "upstream", "b"),
                ("c-own", CREATED, "upstream", "c"),
            )
        ],
    }
    assert reply.headers["content-type"] == "application/json"
    assert a.requests == []
    # All that is shown can be asked for.
    for name in ("fast", "small", "shared", "b-own", "c-own"):
        request = {"model": name, "messages": [{"role": "user", "content": "Hello"}]}
        assert (await client.post("/v1/chat/completions", json=request)).status_code == 200, name


WIRES: dict[str, tuple[str, str]] = {
    "openai": ("openai", "/v1"),
    "groq": ("groq", "/openai/v1"),
    "openrouter": ("openrouter", "/api/v1"),
    "ollama": ("ollama", "/ollama/v1"),
    "anthropic": ("anthropic", ""),
    "gemini": ("gemini", ""),
    "google-compatible": ("custom", "/v1beta/openai"),
}


@pytest.mark.parametrize("wire", WIRES)
async def test_lists_of_every_wire(gateway: Start, upstream: Any, wire: str) -> None:
    """A service that lists no models shows its provider's, under the names a caller uses."""
    backend, path = WIRES[wire]
    names = ("some/model:1", "alpha") if backend not in ("gemini", "anthropic") else ("model-1", "alpha")
    up = await upstream(key="the-key", models=names)
    entry = {"name": "only", "backend_type": backend, "base_url": up.url + path, "api_key": "the-key"}
    client = await gateway({}, ROUTER_SERVICES=listed(entry), **{f"{backend.upper()}_MODEL": "the-default"})
    found = (await client.get("/v1/models")).json()["data"]
    assert [entry["id"] for entry in found] == ["the-default", *sorted(names)]
    assert {entry["service"] for entry in found} == {"only"}
    assert all(entry["owned_by"] and entry["created"] > 0 for entry in found)
    assert (len(lists(up)), up.refused) == (1, [])
    one = (await client.get("/v1/models/alpha")).json()
    assert one == next(entry for entry in found if entry["id"] == "alpha")


async def test_cached(gateway: Start, upstream: Any) -> None:
    """One call upstream for many requests, also for those that come while it is under way."""
    up = await upstream()
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up)))
    up.lookups.push(Silence())
    waiting = [asyncio.create_task(client.get("/v1/models")) for _ in range(8)]
    await up.wait_for_requests(1)
    up.release()
    replies = await asyncio.gather(*waiting)
    replies += [await client.get("/v1/models") for _ in range(8)]
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert (await client.get("/v1/models/some-model")).status_code == 200
    assert (await client.get("/v1/models/never")).status_code == 404
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [Status(500), Status(401), Status(404), Status(429), Garbage(), Reset(), Status(200, body={"data": 7})],
    ids=["500", "401", "404", "429", "garbage", "reset", "strange"],
)
async def test_a_list_that_fails(gateway: Start, upstream: Any, fault: Any) -> None:
    """The default model is shown all the same, the others' too, and the service is not put aside for it."""
    broken, sound = await upstream(), await upstream(models=("own",))
    broken.default_lookup = fault
    entry = {**service("broken", broken), "backend_type": "openai"}
    client = await gateway({}, ROUTER_SERVICES=listed(entry, service("sound", sound)), OPENAI_MODEL="the-default")
    assert await ids(client) == {"the-default": "broken", "own": "sound"}
    reply = await client.get("/v1/models/the-default")
    assert (reply.status_code, reply.json()["service"]) == (200, "broken")
    reply = await client.post("/query", json={"prompt": "Hello"})
    assert (reply.status_code, reply.json()["provider"]) == (200, "broken")


async def test_a_list_that_comes_later(gateway: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is not remembered for as long as a list is; a list that cannot be renewed stays."""
    monkeypatch.setattr("gateway.surfaces.models.RETRY_S", 0.0)
    up = await upstream(models=("own",))
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up)))
    up.lookups.push(Status(500))
    assert await ids(client) == {}
    async with asyncio.timeout(5):
        while await ids(client) != {"own": "a"}:
            pass
    assert len(lists(up)) == 2
    monkeypatch.setattr("gateway.surfaces.models.FRESH_S", 0.0)
    later = await gateway({}, ROUTER_SERVICES=listed(service("a", up)))
    assert await ids(later) == {"own": "a"}
    up.default_lookup = Status(500)
    for _ in range(3):
        assert await ids(later) == {"own": "a"}
    await up.wait_for_requests(5)


async def test_a_list_that_does_not_come(gateway: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent provider is waited for only so long, by the first to ask alone."""
    monkeypatch.setattr("gateway.surfaces.models.PATIENCE_S", 0.3)
    silent, sound = await upstream(), await upstream(models=("own",))
    silent.default_lookup = Silence()
    client = await gateway({}, ROUTER_SERVICES=listed(service("silent", silent), service("sound", sound)))
    for _ in range(3):
        assert await ids(client) == {"own": "sound"}
    assert len(lists(silent)) == 1
    silent.release()


@pytest.mark.parametrize(
    ("id", "spelled"),
    [
        ("org/model:free", ("org/model:free", "org%2Fmodel:free", "org%2fmodel%3Afree", "org/model%3afree")),
        ("accounts/x/models/y", ("accounts/x/models/y", "accounts%2Fx%2Fmodels%2Fy", "accounts/x%2fmodels/y")),
        ("plain-1.5", ("plain-1.5", "plain%2D1.5")),
    ],
)
async def test_ids_in_paths(gateway: Start, upstream: Any, id: str, spelled: tuple[str, ...]) -> None:
    """An id may hold slashes and colons, encoded or not; with its service before it too."""
    up = await upstream()
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up, models=["m", id])))
    [entry] = [entry for entry in (await client.get("/v1/models")).json()["data"] if entry["id"] == id]
    for spelling in spelled:
        reply = await client.get(f"/v1/models/{spelling}")
        assert (reply.status_code, reply.json()) == (200, entry), spelling
        reply = await client.get(f"/v1/models/a%2F{spelling}")
        assert (reply.status_code, reply.json()) == (200, {**entry, "id": f"a/{id}"}), spelling
    assert str(reply.url).endswith(spelled[-1]), "the client changed the spelling"


UNKNOWN = {
    "error": {
        "message": "no service has this model",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
}


@pytest.mark.parametrize("id", ["never", "a/never", "nobody/m", "b/m", "m/", "M", "a%2F", "a%2Fm%2F", "%20", "m|m"])
async def test_unknown(gateway: Start, upstream: Any, id: str) -> None:
    """404 in OpenAI's envelope."""
    up = await upstream()
    services = listed(service("a", up, models=["m"]), service("b", up))
    client = await gateway({}, ROUTER_SERVICES=services)
    reply = await client.get(f"/v1/models/{id}")
    assert (reply.status_code, reply.json()) == (404, UNKNOWN)


async def test_anthropic_form(gateway: Start, upstream: Any) -> None:
    """Callers that speak Anthropic's API get its page of models, and its entries."""
    up = await upstream(models=("claude-x", "claude-y"))
    entry = {"name": "claude", "backend_type": "anthropic", "base_url": up.url, "api_key": "k"}
    client = await gateway({}, ROUTER_SERVICES=listed(entry), ANTHROPIC_MODEL="claude-x")
    plain = (await client.get("/v1/models")).json()["data"]
    body = (await client.get("/v1/models", headers=VERSION)).json()

    def created_at(entry: Json) -> str:
        return datetime.fromtimestamp(entry["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    entries = [
        {**entry, "type": "model", "display_name": entry["id"], "created_at": created_at(entry)} for entry in plain
    ]
    assert [entry["id"] for entry in entries] == ["claude-x", "claude-y"]
    page = {"object": "list", "data": entries, "has_more": False, "first_id": "claude-x", "last_id": "claude-y"}
    assert body == page
    one = await client.get("/v1/models/claude-y", headers=VERSION)
    assert (one.status_code, one.json()) == (200, entries[1])


async def test_nothing_to_show(gateway: Start, upstream: Any) -> None:
    """A service without a name for its model whose list is empty: no entries, in both forms."""
    up = await upstream(models=())
    client = await gateway({}, ROUTER_SERVICES=listed(service("a", up)))
    assert (await client.get("/v1/models")).json() == {"object": "list", "data": []}
    page = {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}
    assert (await client.get("/v1/models", headers=VERSION)).json() == page


async def test_the_demo(gateway: Start) -> None:
    """What a gateway without providers offers."""
    assert await ids(await gateway()) == {"demo": "demo"}
