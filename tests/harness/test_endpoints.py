"""Embeddings, lists of models and counts of tokens, and the faults they can have."""

import base64
import struct

import httpx
import pytest

from tests.conftest import UpstreamFactory
from tests.harness.vendors import ANTHROPIC_HEADERS, BEARER, CONTENTS, KEY, MESSAGES, Client, Json
from tests.upstream import (
    Garbage,
    Plain,
    QuotaSpent,
    Reset,
    Silence,
    Status,
    Upstream,
    Vectors,
    embedding,
)

GOOGLE = {"x-goog-api-key": KEY}
PREFIXES = ("/v1", "/openai/v1", "/api/v1", "/v1beta/openai", "/ollama/v1", "/v1/openai", "/inference/v1", "")
BODY = {"model": "embedder", "input": "one two"}


async def embed(client: Client, prefix: str = "/v1", **changes: object) -> httpx.Response:
    return await client.http.post(f"{prefix}/embeddings", headers=BEARER, json={**BODY, **changes})


def test_embedding() -> None:
    """The vector of a text is always the same, of length one, exact in float32 and another text's is another."""
    vector = embedding("one two")
    assert vector == embedding("one two")
    assert vector != embedding("one two three")
    assert len(vector) == 8
    assert sum(value * value for value in vector) == pytest.approx(1)
    assert list(struct.unpack("<8f", struct.pack("<8f", *vector))) == vector
    assert len(embedding("one two", 3)) == 3


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_embeddings(up: Upstream, client: Client, prefix: str) -> None:
    """Each host of the OpenAI family embeds a text, in OpenAI's shape; chats are not counted with it."""
    body = (await embed(client, prefix)).json()
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": embedding("one two")}],
        "model": "embedder",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    [request] = up.embedding_requests
    assert request.json == BODY
    assert up.chats == []


@pytest.mark.parametrize(
    ("given", "texts"),
    [("a b", ["a b"]), (["a b", "c"], ["a b", "c"]), ([1, 2], ["1 2"]), ([[1, 2], [3]], ["1 2", "3"])],
)
async def test_embedding_inputs(client: Client, given: object, texts: list[str]) -> None:
    """A text, texts, token ids and lists of them are each one vector or several; base64 says the same as numbers."""
    plain = (await embed(client, input=given)).json()
    packed = (await embed(client, input=given, encoding_format="base64")).json()
    assert [item["embedding"] for item in plain["data"]] == [embedding(text) for text in texts]
    assert plain["usage"] == packed["usage"]
    for item, text in zip(packed["data"], texts, strict=True):
        assert list(struct.unpack("<8f", base64.b64decode(item["embedding"]))) == embedding(text)


async def test_embedding_options(up: Upstream, client: Client) -> None:
    """The request's dimensions count before the behaviour's; the behaviour may name a model and a count."""
    up.default_embedding = Vectors(dimensions=3, input_tokens=40, model="embedder-002")
    body = (await embed(client)).json()
    assert body["data"][0]["embedding"] == embedding("one two", 3)
    assert (body["model"], body["usage"]["prompt_tokens"]) == ("embedder-002", 40)
    assert (await embed(client, dimensions=5)).json()["data"][0]["embedding"] == embedding("one two", 5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "Missing required parameter: 'model'"),
        ({"input": None}, "Missing required parameter: 'input'"),
        ({"input": ""}, "'input'"),
        ({"input": []}, "'input'"),
        ({"input": ["a", ""]}, "'input[1]'"),
        ({"input": ["a", 1]}, "'input[1]'"),
        ({"input": ["a"] * 2049}, "'input'"),
        ({"input": "a " * 8193}, "maximum context length is 8192"),
        ({"input": ["a " * 8000] * 38}, "maximum request size"),
        ({"encoding_format": "int8"}, "'encoding_format'"),
        ({"dimensions": 0}, "'dimensions'"),
        ({"dimensions": 4000}, "'dimensions'"),
        ({"model": "text-embedding-ada-002", "dimensions": 5}, "does not support specifying dimensions"),
        ({"input_type": "query"}, "Unrecognized request argument supplied: input_type"),
    ],
)
async def test_strict_embeddings(up: Upstream, client: Client, changes: Json, said: str) -> None:
    """What OpenAI refuses to embed is refused."""
    response = await embed(client, **changes)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]
    assert len(up.refused) == 1


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_gemini_embeddings(client: Client, version: str) -> None:
    """Gemini embeds one content or up to a hundred, each naming the model."""
    path = f"/{version}/models/embedder"
    one = {"content": {"parts": [{"text": "one two"}]}, "taskType": "RETRIEVAL_QUERY", "output_dimensionality": 4}
    reply = await client.http.post(f"{path}:embedContent", headers=GOOGLE, json=one)
    usage = {"usageMetadata": {"promptTokenCount": 2}}
    assert reply.json() == {"embedding": {"values": embedding("one two", 4)}, **usage}

    requests = [{**one, "model": "models/embedder"}] * 2
    reply = await client.http.post(f"{path}:batchEmbedContents", headers=GOOGLE, json={"requests": requests})
    assert reply.json()["embeddings"] == [{"values": embedding("one two", 4)}] * 2
    batches: list[list[Json]] = [[], [one], [{**one, "model": "models/other"}], requests * 51]
    for refused in batches:
        reply = await client.http.post(f"{path}:batchEmbedContents", headers=GOOGLE, json={"requests": refused})
        assert (reply.status_code, reply.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    reply = await client.http.post(f"{path}:embedContent", headers=GOOGLE, json={"content": {"parts": []}})
    assert reply.status_code == 400


async def test_anthropic_has_no_embeddings(client: Client) -> None:
    """Anthropic's host does not know the path."""
    reply = await client.http.post("/v1/embeddings", headers=ANTHROPIC_HEADERS, json=BODY)
    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found_error")


async def test_embedding_faults(up: Upstream, client: Client) -> None:
    """Embeddings have a queue of their own, and fail in the vendor's words, by reset, by nonsense and by silence."""
    up.answers.push(Status(500))
    up.embeddings.push(Status(429, retry_after_s=3), QuotaSpent(), Garbage(), Reset(), Silence())
    limited, spent, garbage = [await embed(client) for _ in range(3)]
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
    assert spent.json()["error"]["code"] == "insufficient_quota"
    assert garbage.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        garbage.json()
    with pytest.raises(httpx.ReadError):
        await embed(client)
    with pytest.raises(httpx.ReadTimeout):
        await client.http.post("/v1/embeddings", headers=BEARER, json=BODY, timeout=0.05)
    assert (await embed(client)).status_code == 200
    assert len(up.answers) == 1


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/models", "/v1beta/models", "/v1/messages/count_tokens"])
async def test_keys(upstream: UpstreamFactory, path: str) -> None:
    """Every endpoint wants the key in the vendor's header and says so in the vendor's way."""
    up = await upstream(key="another key")
    async with httpx.AsyncClient(base_url=up.url, trust_env=False) as http:
        method = "GET" if path.endswith("models") else "POST"
        missing = await http.request(method, path, json={})
        wrong = await http.request(method, path, headers={**BEARER, **GOOGLE} if "beta" in path else BEARER, json={})
    assert (missing.status_code, wrong.status_code) == ((403, 400) if "beta" in path else (401, 401))


# Lists of models.


async def test_openai_models(upstream: UpstreamFactory) -> None:
    """The list is the host's, in order; one entry is found by an id with slashes, and another is 404."""
    up = await upstream(models=("openai/gpt-oss-20b:free", "a-model"))
    async with httpx.AsyncClient(base_url=up.url, trust_env=False, headers=BEARER) as http:
        for prefix in ("/v1", "/openai/v1", "/api/v1", "/ollama/v1"):
            body = (await http.get(f"{prefix}/models")).json()
            assert body["object"] == "list"
            assert [entry["id"] for entry in body["data"]] == ["a-model", "openai/gpt-oss-20b:free"]
            one = await http.get(f"{prefix}/models/openai/gpt-oss-20b:free")
            assert one.json() == body["data"][1]
            assert (await http.get(f"{prefix}/models/other")).status_code == 404
        google = (await http.get("/v1beta/openai/models")).json()
        assert [entry["id"] for entry in google["data"]] == ["models/a-model", "models/openai/gpt-oss-20b:free"]
        assert (await http.get("/v1beta/openai/models/models/a-model")).json() == google["data"][0]


async def test_anthropic_models(upstream: UpstreamFactory) -> None:
    """Anthropic's list comes in pages, forwards and backwards, and needs the version header."""
    up = await upstream(models=("a", "b", "c"))
    async with httpx.AsyncClient(base_url=up.url, trust_env=False, headers=ANTHROPIC_HEADERS) as http:

        async def page(**query: str) -> tuple[list[str], bool, str | None, str | None]:
            body = (await http.get("/v1/models", params=query)).json()
            return [entry["id"] for entry in body["data"]], body["has_more"], body["first_id"], body["last_id"]

        assert await page() == (["a", "b", "c"], False, "a", "c")
        assert await page(limit="2") == (["a", "b"], True, "a", "b")
        assert await page(limit="2", after_id="b") == (["c"], False, "c", "c")
        assert await page(limit="1", before_id="c") == (["b"], True, "b", "b")
        assert await page(after_id="c") == ([], False, None, None)
        assert (await http.get("/v1/models?limit=0")).status_code == 400
        assert (await http.get("/v1/models?after_id=z")).status_code == 400
        assert (await http.get("/v1/models/b")).json()["display_name"] == "B"
        assert (await http.get("/v1/models/z")).status_code == 404
        http.headers.pop("anthropic-version")
        assert (await http.get("/v1/models")).status_code == 400


async def test_gemini_models(upstream: UpstreamFactory) -> None:
    """Google's list comes in pages, each naming the next; `/v1` serves it to whoever sends Google's key header."""
    up = await upstream(models=("a", "b", "c"))
    async with httpx.AsyncClient(base_url=up.url, trust_env=False, headers=GOOGLE) as http:
        for version in ("v1", "v1beta"):
            first = (await http.get(f"/{version}/models?pageSize=2")).json()
            assert [entry["name"] for entry in first["models"]] == ["models/a", "models/b"]
            query = {"pageSize": "2", "pageToken": first["nextPageToken"]}
            rest = (await http.get(f"/{version}/models", params=query)).json()
            assert [entry["name"] for entry in rest["models"]] == ["models/c"]
            assert "nextPageToken" not in rest
            assert (await http.get(f"/{version}/models/a")).json() == first["models"][0]
            assert (await http.get(f"/{version}/models/z")).status_code == 404
            assert (await http.get(f"/{version}/models?pageToken=z")).status_code == 400


async def test_any_model(up: Upstream, client: Client) -> None:
    """A host that takes any name lists two."""
    body = (await client.http.get("/v1/models", headers=BEARER)).json()
    assert [entry["id"] for entry in body["data"]] == ["other-model", "some-model"]
    assert [request.kind for request in up.requests] == ["models"]


# Counts of tokens.


async def test_counts(client: Client) -> None:
    """A word is a token, in the system prompt and the tools too; the count's request is as strict as the chat's."""
    tool = {"name": "get_time", "input_schema": {"type": "object"}}
    body = {"model": "claude", "system": "be brief", "messages": MESSAGES["messages"], "tools": [tool]}
    path = "/v1/messages/count_tokens"
    reply = await client.http.post(path, headers=ANTHROPIC_HEADERS, json=body)
    assert reply.json() == {"input_tokens": 5}
    extras: list[Json] = [{"max_tokens": 5}, {"stream": True}, {"messages": []}]
    for extra in extras:
        reply = await client.http.post(path, headers=ANTHROPIC_HEADERS, json={**body, **extra})
        assert reply.status_code == 400

    path = "/v1beta/models/gemini-x:countTokens"
    bare = await client.http.post(path, headers=GOOGLE, json=CONTENTS)
    assert bare.json()["totalTokens"] == 1
    request = {"model": "models/gemini-x", **CONTENTS, "systemInstruction": {"parts": [{"text": "be brief"}]}}
    whole = await client.http.post(path, headers=GOOGLE, json={"generateContentRequest": request})
    assert whole.json()["totalTokens"] == 3
    refusals: list[Json] = [
        {**CONTENTS, "tools": []},
        {**CONTENTS, "generateContentRequest": request},
        {"contents": []},
    ]
    for refused in refusals:
        assert (await client.http.post(path, headers=GOOGLE, json=refused)).status_code == 400


async def test_lookup_faults(up: Upstream, client: Client) -> None:
    """Lists and counts have a queue of their own."""
    up.lookups.push(Status(503), Plain())
    assert (await client.http.get("/v1/models", headers=ANTHROPIC_HEADERS)).status_code == 503
    assert (await client.http.get("/v1/models", headers=ANTHROPIC_HEADERS)).status_code == 200
    assert (await client.http.get("/v1/models", headers=BEARER)).status_code == 200
