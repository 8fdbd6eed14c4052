"""
The main job through an upstream that nobody here wrote: PyPI's llmock, on a real socket.

Its deviations from the vendors: it has no embeddings but OpenAI's, of one length; Anthropic's `output_config` does not
make it answer in JSON; Mistral's streams have usage only if asked (Mistral sends it always and knows no such field).
"""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import orjson
import pytest
from llmock.scenarios import Reply, ToolCall

from tests.gateway.conftest import answered, connected, events
from tests.gateway.tour import SURFACES, address, anthropic_client, openai_client

ASK = {"prompt": "Why is the sky blue?"}
TEXT = "Because of Rayleigh scattering, which bends short waves most."


@pytest.fixture
async def client(llmock: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway whose Gemini, Groq and Anthropic are all llmock."""
    variables = {f"{name.upper()}_BASE_URL": llmock.base_url(name) for name in ("gemini", "groq", "anthropic")}
    variables |= dict.fromkeys(("GEMINI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY"), "k")
    variables |= dict.fromkeys(("FIRST_TOKEN_TIMEOUT", "STREAM_IDLE_TIMEOUT", "REQUEST_TIMEOUT"), "1")
    async with connected(variables) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["gemini", "groq", "anthropic"])
async def test_answers(client: httpx.AsyncClient, llmock: Any, provider: str, stream: bool) -> None:
    """Each wire, whole and streamed; what was asked is what llmock received."""
    llmock.reply(TEXT)
    answer = await answered(client, {**ASK, "stream": stream, "provider": provider, "system": "Be brief."})
    assert (answer["response"], answer["provider"], answer["status"]) == (TEXT, provider, "success")
    assert answer["usage"]["completion_tokens"] > 0
    [request] = llmock.requests
    assert request.status == 200
    llmock.assert_resilient()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (("fail", (500,), {"times": None}), "unavailable"),
        (("fail", (503,), {"times": None}), "unavailable"),
        (("fail", (401,), {"times": None}), "bad_credentials"),
        (("rate_limit", (), {"times": None, "retry_after": 20}), "rate_limited"),
        (("context_overflow", (), {"times": None}), "context_length_exceeded"),
        (("delay", (3,), {"times": None}), "timeout"),
    ],
    ids=["500", "503", "401", "429", "context", "silence"],
)
async def test_cascades(
    client: httpx.AsyncClient,
    llmock: Any,
    fault: tuple[str, tuple[Any, ...], dict[str, Any]],
    reason: str,
    stream: bool,
) -> None:
    """Gemini breaks in llmock's ways, Groq answers, and llmock finds no fault with how we behaved."""
    name, arguments, options = fault
    getattr(llmock, name)(*arguments, provider="gemini", **options)
    answer = await answered(client, {**ASK, "stream": stream})
    assert (answer["provider"], answer["status"]) == ("groq", "success")
    path = [(entry["provider"], entry["reason"]) for entry in answer["cascade_path"]]
    assert path[0] == ("gemini", reason)
    assert path[-1] == ("groq", None)
    llmock.assert_resilient()


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt", "stall"])
async def test_broken_streams(client: httpx.AsyncClient, llmock: Any, fault: str) -> None:
    """A stream that breaks is rescued by the next provider's same answer, or ends in an error: never in a false end."""
    llmock.reply(TEXT, times=None)
    getattr(llmock, fault)(after_chunks=3, provider="gemini")
    reply = await client.post("/query", json={**ASK, "stream": True})
    *tokens, (name, last) = events(reply.text)
    text = "".join(data["text"] for _, data in tokens)
    if fault == "corrupt":
        # one event cannot be read: it is skipped, the rest arrives
        assert (name, last["response"]) == ("done", text)
        assert text != TEXT
        assert len(text) >= len(TEXT) - 20
    elif name == "done":
        assert last["response"] == text == TEXT
    else:
        assert name == "error"
        assert TEXT.startswith(text)
        assert text != TEXT


# The surfaces of other APIs, through the official SDKs

MODELS = {
    "openai": "gpt-4o",
    "groq": "llama-3.3-70b-versatile",
    "gemini": "gemini-2.5-flash",
    "anthropic": "claude-haiku-4-5",
    "mistral": "mistral-small-latest",
}
QUESTION = "What is the weather in Oslo?"
each_model = pytest.mark.parametrize("provider", MODELS)
each_surface = pytest.mark.parametrize("surface", SURFACES)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
async def url(llmock: Any) -> AsyncIterator[str]:
    """A gateway whose providers are all llmock."""
    variables = {f"{name.upper()}_BASE_URL": llmock.base_url(name) for name in MODELS}
    variables |= {f"{name.upper()}_API_KEY": "k" for name in MODELS}
    async with connected({**variables, "MAX_RETRIES": "0"}) as client:
        yield address(client)


@whole_and_streamed
@each_model
@each_surface
async def test_words(url: str, llmock: Any, surface: str, provider: str, stream: bool) -> None:
    """Text, its end and its usage, from every wire on every surface."""
    ask = SURFACES[surface]
    llmock.reply(TEXT)
    said = await ask(url, f"{provider}/{MODELS[provider]}", QUESTION, stream=stream)
    assert (said.text, said.calls, said.stopped) == (TEXT, [], ask.stopped)
    assert said.output_tokens > 0 or (provider == "mistral" and stream)
    [request] = llmock.requests
    assert (request.provider, request.status, request.stream) == (provider, 200, stream)
    llmock.assert_resilient()


@whole_and_streamed
@each_model
@each_surface
async def test_tools(url: str, llmock: Any, surface: str, provider: str, stream: bool) -> None:
    """A call with its arguments; then its result, and words."""
    ask, model = SURFACES[surface], f"{provider}/{MODELS[provider]}"
    llmock.call_tool("weather", {"city": "Oslo"})
    said = await ask(url, model, QUESTION, stream=stream, tools=["time", "weather"])
    [call] = said.calls
    assert call[1:] == ("weather", {"city": "Oslo"})
    assert said.stopped == ask.called
    llmock.reply("It rains.")
    said = await ask(url, model, QUESTION, stream=stream, tools=["time", "weather"], done=[(call, "rain")])
    assert (said.text, said.calls, said.stopped) == ("It rains.", [], ask.stopped)
    assert [request.status for request in llmock.requests] == [200, 200]


@whole_and_streamed
@each_model
@each_surface
async def test_parallel_tools(url: str, llmock: Any, surface: str, provider: str, stream: bool) -> None:
    """Two calls at once stay apart, streamed too, and go back with two results."""
    ask, model = SURFACES[surface], f"{provider}/{MODELS[provider]}"
    llmock.add(Reply(tool_calls=(ToolCall("time", {"city": "Oslo"}), ToolCall("weather", {"city": "Bergen"}))))
    said = await ask(url, model, QUESTION, stream=stream, tools=["time", "weather"])
    assert [call[1:] for call in said.calls] == [("time", {"city": "Oslo"}), ("weather", {"city": "Bergen"})]
    assert len({call[0] for call in said.calls}) == 2
    llmock.reply("Noon, and rain.")
    done = list(zip(said.calls, ("noon", "rain"), strict=True))
    said = await ask(url, model, QUESTION, stream=stream, tools=["time", "weather"], done=done)
    assert (said.text, said.calls) == ("Noon, and rain.", [])
    assert [request.status for request in llmock.requests] == [200, 200]


@whole_and_streamed
@each_model
@each_surface
async def test_json(url: str, llmock: Any, surface: str, provider: str, stream: bool) -> None:
    """The schema reaches the provider in its own words; where llmock knows them, the answer fits it."""
    said = await SURFACES[surface](url, f"{provider}/{MODELS[provider]}", QUESTION, stream=stream, schema=True)
    assert said.stopped == SURFACES[surface].stopped
    [request] = llmock.requests
    assert '"city"' in orjson.dumps(request.body).decode()
    if provider != "anthropic":
        assert isinstance(orjson.loads(said.text)["city"], str)


@whole_and_streamed
@each_surface
async def test_another_provider_answers(url: str, llmock: Any, surface: str, stream: bool) -> None:
    """`a|b`: the first is down, the second answers."""
    llmock.outage(provider="gemini")
    llmock.reply(TEXT, provider="groq", times=None)
    model = f"gemini/{MODELS['gemini']}|groq/{MODELS['groq']}"
    assert (await SURFACES[surface](url, model, QUESTION, stream=stream)).text == TEXT
    assert [(request.provider, request.status) for request in llmock.requests] == [("gemini", 503), ("groq", 200)]


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (("fail", (400,), {}), 400, "invalid_request_error"),
        (("fail", (401,), {}), 502, "api_error"),
        (("fail", (500,), {}), 502, "api_error"),
        (("rate_limit", (), {"retry_after": 20}), 429, "rate_limit_error"),
    ],
    ids=["400", "401", "500", "429"],
)
@whole_and_streamed
@each_surface
async def test_errors(
    url: str, llmock: Any, surface: str, stream: bool, fault: tuple[str, tuple[Any, ...], Any], status: int, kind: str
) -> None:
    """What a provider refuses or fails at reaches each SDK as an error of its own kind."""
    name, arguments, options = fault
    getattr(llmock, name)(*arguments, times=None, **options)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as refused:
        await SURFACES[surface](url, f"openai/{MODELS['openai']}", QUESTION, stream=stream)
    assert isinstance(refused.value, openai.APIStatusError | anthropic.APIStatusError)
    assert refused.value.status_code == status
    if isinstance(refused.value, anthropic.APIStatusError):
        assert refused.value.type == kind


async def test_embeddings(url: str, llmock: Any) -> None:
    """Vectors for one and several texts; the SDK asks for base64 unless told."""
    async with openai_client(url) as sdk:
        one = await sdk.embeddings.create(model="openai/text-embedding-3-small", input="Oslo")
        two = await sdk.embeddings.create(
            model="openai/text-embedding-3-small", input=["Oslo", "Bergen"], dimensions=64, encoding_format="float"
        )
    assert len(one.data) == 1
    assert [each.index for each in two.data] == [0, 1]
    assert two.data[0].embedding != two.data[1].embedding
    assert llmock.requests[1].body["dimensions"] == 64
    assert one.usage.prompt_tokens > 0
    assert [request.status for request in llmock.requests] == [200, 200]


async def test_models(url: str) -> None:
    """Models of all of them, in both SDKs."""
    async with openai_client(url) as sdk:
        listed = [model async for model in sdk.models.list()]
        first = await sdk.models.retrieve(listed[0].id)
    assert first.id == listed[0].id
    assert {model.owned_by for model in listed} > {"openai"}
    assert all(model.object == "model" for model in listed)
    async with anthropic_client(url) as other:
        ids = [model.id async for model in other.models.list()]
    assert ids == [model.id for model in listed]
