"""A tour with OpenAI's own SDK: told nothing but the gateway's address, it finds OpenAI there, whoever answers."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel

from tests.gateway.matrix.asks import PHOTO, PIXEL
from tests.gateway.sdk.conftest import MODELS, Gateway, Run, gather
from tests.serving import CLIENT_KEY
from tests.upstream import (
    SIXTY_WORDS,
    Answer,
    Behaviour,
    ContextTooLong,
    DieAfter,
    Garbage,
    QuotaSpent,
    Silence,
    Status,
    Thinking,
    ToolCalls,
    embedding,
)

KIND = pytest.mark.parametrize("kind", MODELS)
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me about lighthouses."}]
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
WEATHER_ITEM: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TWO_CALLS = ToolCalls((("weather", {"city": "Brest"}), ("weather", {"city": "Kiel"})), output_tokens=8)


class Lighthouse(BaseModel):
    """What the model is to answer with."""

    name: str
    height_m: int


class City(BaseModel):
    """The arguments of the tool."""

    city: str


BUILT = Lighthouse(name="Phare de la Vieille", height_m=27)


def model(kind: str) -> str:
    return f"{kind}/{MODELS[kind]}"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


# Chat.


@KIND
def test_chat(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """A plain question; the raw answer's headers say who answered."""
    gateway.ups[kind].answers.push(Answer("The light turns.", output_tokens=3))
    raw = client.chat.completions.with_raw_response.create(model=model(kind), messages=ASK)
    answer = raw.parse()
    assert raw.headers["x-gateway-provider"] == kind
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("The light turns.", "stop")
    assert answer.model == MODELS[kind]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 3, 15)


@KIND
def test_chat_stream(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """Chunk by chunk, with the usage in the last one."""
    gateway.ups[kind].answers.push(Answer(SIXTY_WORDS))
    with client.chat.completions.create(
        model=model(kind), messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        *told, last = list(chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == SIXTY_WORDS
    assert [chunk.choices[0].finish_reason for chunk in told if chunk.choices[0].finish_reason] == ["stop"]
    assert last.usage is not None
    assert (last.choices, last.usage.total_tokens) == ([], 72)


@KIND
def test_chat_stream_helper(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """The SDK's accumulator: its events, and the completion they come to."""
    gateway.ups[kind].answers.push(Answer(SIXTY_WORDS))
    with client.chat.completions.stream(
        model=model(kind), messages=ASK, stream_options={"include_usage": True}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == SIXTY_WORDS == final.choices[0].message.content
    assert len(deltas) > 1
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.completion_tokens == 60


@KIND
def test_tools_in_parallel(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """Two calls, both answered; the message goes back as the SDK holds it."""
    gateway.ups[kind].answers.push(TWO_CALLS, Answer("Mild in both."))
    first = client.chat.completions.create(model=model(kind), messages=ASK, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls if call.type == "function"] == [
        {"city": "Brest"},
        {"city": "Kiel"},
    ]
    said: Any = first.message
    results: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call.id, "content": "12 °C"} for call in calls
    ]
    second = client.chat.completions.create(model=model(kind), messages=[*ASK, said, *results], tools=[WEATHER])
    assert second.choices[0].message.content == "Mild in both."
    assert not gateway.ups[kind].refused


@KIND
def test_tools_streamed(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """The accumulator puts the calls of a stream together; what it holds goes back and is taken."""
    gateway.ups[kind].answers.push(TWO_CALLS, Answer("Mild in both."))
    tool = openai.pydantic_function_tool(City, name="weather")
    with client.chat.completions.stream(model=model(kind), messages=ASK, tools=[tool]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.current_completion_snapshot.choices[0]
    assert [(event.index, event.name, json.loads(event.arguments)) for event in done] == [
        (0, "weather", {"city": "Brest"}),
        (1, "weather", {"city": "Kiel"}),
    ]
    assert final.finish_reason == "tool_calls"
    calls = final.message.tool_calls or []
    assert len({call.id for call in calls}) == 2
    assert [call.function.parsed_arguments for call in calls] == [City(city="Brest"), City(city="Kiel")]
    said: Any = final.message
    results: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call.id, "content": "12 °C"} for call in calls
    ]
    second = client.chat.completions.create(model=model(kind), messages=[*ASK, said, *results], tools=[WEATHER])
    assert second.choices[0].message.content == "Mild in both."
    assert not gateway.ups[kind].refused


@KIND
def test_vision(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """A picture in the request reaches the vendor."""
    gateway.ups[kind].answers.push(Answer("One pixel."))
    answer = client.chat.completions.create(
        model=model(kind),
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                ],
            }
        ],
    )
    assert answer.choices[0].message.content == "One pixel."
    assert PIXEL.encode() in gateway.ups[kind].requests[0].body


@KIND
def test_parse(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """A pydantic model as the shape of the answer, whole and streamed."""
    gateway.ups[kind].answers.push(*[Answer(BUILT.model_dump_json())] * 2)
    answer = client.chat.completions.parse(model=model(kind), messages=ASK, response_format=Lighthouse)
    assert answer.choices[0].message.parsed == BUILT
    with client.chat.completions.stream(model=model(kind), messages=ASK, response_format=Lighthouse) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == BUILT
    assert b"height_m" in gateway.ups[kind].requests[0].body


@KIND
async def test_async(aclient: AsyncOpenAI, gateway: Gateway, kind: str) -> None:
    """The same with the asynchronous client: whole, streamed, parsed."""
    gateway.ups[kind].answers.push(Answer("One."), Answer("Two words."), Answer(BUILT.model_dump_json()))
    answer = await aclient.chat.completions.create(model=model(kind), messages=ASK)
    assert answer.choices[0].message.content == "One."
    async with aclient.chat.completions.stream(model=model(kind), messages=ASK) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
    assert "".join(deltas) == "Two words."
    parsed = await aclient.chat.completions.parse(model=model(kind), messages=ASK, response_format=Lighthouse)
    assert parsed.choices[0].message.parsed == BUILT


# Responses.


@KIND
def test_responses(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """A thought, words; then a call there and back, with the output sent back as it came."""
    gateway.ups[kind].answers.push(
        Thinking("Which?", ToolCalls((("weather", {"city": "Brest"}),), text="Let me see.")), Answer("Mild.")
    )
    first = client.responses.create(model=model(kind), input="Weather?", tools=[WEATHER_ITEM], instructions="Be brief.")
    assert (first.status, first.output_text) == ("completed", "Let me see.")
    [call] = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Brest"}
    back: list[Any] = [
        {"role": "user", "content": "Weather?"},
        *first.output,
        {"type": "function_call_output", "call_id": call.call_id, "output": "12 °C"},
    ]
    second = client.responses.create(model=model(kind), input=back, tools=[WEATHER_ITEM])
    assert second.output_text == "Mild."
    assert second.usage is not None
    assert second.usage.total_tokens == second.usage.input_tokens + second.usage.output_tokens
    assert not gateway.ups[kind].refused


@KIND
def test_responses_stream(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """The accumulator of Responses: texts and calls."""
    gateway.ups[kind].answers.push(Answer(SIXTY_WORDS), TWO_CALLS)
    with client.responses.stream(model=model(kind), input="Lighthouses?") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == SIXTY_WORDS == final.output_text
    assert (final.status, final.model) == ("completed", MODELS[kind])
    with client.responses.stream(model=model(kind), input="Weather?", tools=[WEATHER_ITEM]) as stream:
        stream.until_done()
        calls = [item for item in stream.get_final_response().output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Brest"}, {"city": "Kiel"}]


@KIND
def test_responses_parse(client: OpenAI, gateway: Gateway, kind: str) -> None:
    """A pydantic model as the shape of a response."""
    gateway.ups[kind].answers.push(Answer(BUILT.model_dump_json()))
    answer = client.responses.parse(model=model(kind), input="Lighthouse?", text_format=Lighthouse)
    assert answer.output_parsed == BUILT


@KIND
async def test_responses_async(aclient: AsyncOpenAI, gateway: Gateway, kind: str) -> None:
    """The same with the asynchronous client."""
    gateway.ups[kind].answers.push(Answer("Two words."))
    async with aclient.responses.stream(model=model(kind), input="Hi") as stream:
        assert (await stream.get_final_response()).output_text == "Two words."


# Embeddings and models.


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("openai", "text-embedding-3-small"),
        ("groq", "nomic-embed-text"),
        ("gemini", "gemini-embedding-001"),
    ],
)
def test_embeddings(client: OpenAI, gateway: Gateway, kind: str, name: str) -> None:
    """By default the SDK asks for base64 and unpacks it; as numbers they are the same."""
    texts = ["the lens", "the lamp"]
    packed = client.embeddings.create(model=f"{kind}/{name}", input=texts)
    plain = client.embeddings.create(model=f"{kind}/{name}", input=texts, encoding_format="float")
    for found in (packed, plain):
        assert [entry.index for entry in found.data] == [0, 1]
        for entry, text in zip(found.data, texts, strict=True):
            assert entry.embedding == pytest.approx(embedding(text, 8), abs=1e-6)
    assert packed.model == name


def test_embeddings_nobody_has(client: OpenAI) -> None:
    """Anthropic has none: refused by name."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=model("anthropic"), input="the lens")
    assert caught.value.code == "unsupported_parameter"


def test_models(client: OpenAI) -> None:
    """The list has the models of all services, and each can be asked for by its id, slashes and colons in it too."""
    listed = {entry.id: entry for entry in client.models.list()}
    assert {"some-model", "other-model"} <= listed.keys()
    assert all(entry.object == "model" for entry in listed.values())
    found = client.models.retrieve("some-model")
    assert found == listed["some-model"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_models_with_slashes_and_colons(run: Run) -> None:
    """Ids such as OpenRouter's and Ollama's, listed in the configuration."""
    names = ["openai/gpt-oss-20b:free", "llama3.1:8b", "accounts/fireworks/models/x"]
    services = [
        {"name": "local", "backend_type": "custom", "base_url": "http://127.0.0.1:9/v1", "models": names},
    ]
    gateway = run(ROUTER_SERVICES=json.dumps(services))
    with OpenAI(base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0) as client:
        assert [entry.id for entry in client.models.list()] == names
        for name in names:
            assert client.models.retrieve(name).id == name


# Errors.


def fails(
    gateway: Gateway, *, key: str = CLIENT_KEY, headers: dict[str, str] | None = None, n: int = 1
) -> openai.APIStatusError:
    """The error of one question; streamed it must be the same one."""
    found: list[openai.APIStatusError] = []
    with OpenAI(base_url=gateway.openai_url, api_key=key, max_retries=0, default_headers=headers) as client:
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as caught:
                client.chat.completions.create(model="m", messages=ASK, n=n, stream=stream)
            found.append(caught.value)
    assert type(found[0]) is type(found[1])
    assert (found[0].code, found[0].status_code) == (found[1].code, found[1].status_code)
    return found[0]


REFUSALS: dict[str, tuple[Behaviour, type[openai.APIStatusError], int, str]] = {
    # what the provider does: the SDK's error, its status and code
    "too long": (ContextTooLong(), openai.BadRequestError, 400, "context_length_exceeded"),
    "not a model": (Status(404), openai.NotFoundError, 404, "model_not_found"),
    "broken": (Garbage(), openai.InternalServerError, 502, "upstream_error"),
    "failing": (Status(500), openai.InternalServerError, 502, "upstream_error"),
    "silent": (Silence(), openai.InternalServerError, 504, "timeout"),
}


@pytest.mark.parametrize("name", REFUSALS)
@KIND
def test_what_a_provider_does(run: Run, kind: str, name: str) -> None:
    """Each failure of a provider is the SDK's error for it."""
    behaviour, error, status, code = REFUSALS[name]
    gateway = run(kind, REQUEST_TIMEOUT="0.1", FIRST_TOKEN_TIMEOUT="0.1")
    gateway.ups[kind].default = behaviour
    caught = fails(gateway)
    assert (type(caught), caught.status_code, caught.code) == (error, status, code)
    assert caught.request_id


@KIND
def test_limits(run: Run, kind: str) -> None:
    """A provider's limit and its spent quota are 429 with the time to wait."""
    gateway = run(kind)
    gateway.ups[kind].default = Status(429, retry_after_s=40)
    caught = fails(gateway)
    assert (type(caught), caught.code) == (openai.RateLimitError, "rate_limit_exceeded")
    assert 30 <= int(caught.response.headers["retry-after"]) <= 40
    gateway = run(kind)
    gateway.ups[kind].default = QuotaSpent()
    assert type(fails(gateway)) is openai.RateLimitError


def test_what_the_gateway_does(run: Run) -> None:
    """A wrong key, a right one without the right, a wrong request, one too many, and nobody left to ask."""
    gateway = run("openai")
    caught = fails(gateway, key="wrong")
    assert (type(caught), caught.code) == (openai.AuthenticationError, "invalid_api_key")
    assert type(fails(gateway, headers={"X-Gateway-Explain": "1"})) is openai.PermissionDeniedError
    caught = fails(gateway, n=1000)
    assert (type(caught), caught.param) == (openai.BadRequestError, "n")
    caught = fails(run("anthropic"), n=2)
    assert (type(caught), caught.code, caught.param) == (openai.BadRequestError, "unsupported_parameter", "n")
    with pytest.raises(openai.NotFoundError), client_of(gateway) as client:
        client.get("/nowhere", cast_to=object)
    limited = run("openai", RATE_LIMIT="1/minute")
    with client_of(limited) as client:
        client.chat.completions.create(model="m", messages=ASK)
    caught = fails(limited)
    assert (type(caught), caught.code) == (openai.RateLimitError, "rate_limit_exceeded")
    assert 50 <= int(caught.response.headers["retry-after"]) <= 60
    closed = run("openai", BREAKER_MIN_CALLS="1", BREAKER_OPEN_S="60")
    closed.ups["openai"].default = Status(500)
    with client_of(closed) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=ASK)
    caught = fails(closed)
    assert (type(caught), caught.status_code, caught.code) == (openai.InternalServerError, 503, "unavailable")
    assert int(caught.response.headers["retry-after"]) >= 1


def client_of(gateway: Gateway) -> OpenAI:
    return OpenAI(base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0)


@KIND
def test_a_stream_that_breaks(run: Run, kind: str) -> None:
    """The SDK yields what came, then raises the gateway's error; of Responses, it tells the failure as an event."""
    gateway = run(kind)
    gateway.ups[kind].default = DieAfter(tokens=3, answer=Answer(SIXTY_WORDS))
    came: list[str] = []
    with client_of(gateway) as client:
        with (
            client.chat.completions.create(model="m", messages=ASK, stream=True) as chunks,
            pytest.raises(openai.APIError) as caught,
        ):
            gather((chunk.choices[0].delta.content or "" for chunk in chunks), came)
        assert (type(caught.value), caught.value.code) == (openai.APIError, "upstream_error")
        assert "".join(came) == "Every morning the"
        with client.responses.create(model="m", input="Hi", stream=True) as events:
            *_, error, last = list(events)
    assert error.type == "error"
    assert last.type == "response.failed"
    assert last.response.error is not None


def test_a_picture_by_its_address(client: OpenAI, gateway: Gateway) -> None:
    """Gemini cannot fetch it: refused to the caller before anybody is asked."""
    content: Any = [{"type": "image_url", "image_url": {"url": PHOTO}}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model("gemini"), messages=[{"role": "user", "content": content}])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "messages")
    assert not gateway.ups["gemini"].requests
