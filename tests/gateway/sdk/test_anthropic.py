"""A tour with Anthropic's SDK: told nothing but the gateway's address, it finds Anthropic there, whoever answers."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message, MessageParam, ToolParam

from tests.gateway.matrix.asks import PIXEL
from tests.gateway.sdk.conftest import MODELS, Gateway, Run, gather
from tests.serving import CLIENT_KEY
from tests.upstream import (
    SIXTY_WORDS,
    Answer,
    Behaviour,
    Blocked,
    ContextTooLong,
    DieAfter,
    Garbage,
    Silence,
    Status,
    Thinking,
    ToolCalls,
)

KIND = pytest.mark.parametrize("kind", MODELS)
ASK: list[MessageParam] = [{"role": "user", "content": "Tell me about lighthouses."}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TWO_CALLS = ToolCalls(
    (("weather", {"city": "Brest"}), ("weather", {"city": "Kiel"})), text="Let me see.", output_tokens=8
)


def model(kind: str) -> str:
    return f"{kind}/{MODELS[kind]}"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(gateway: Gateway) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.url, auth_token=CLIENT_KEY, max_retries=0) as client:
        yield client


@KIND
def test_messages(client: Anthropic, gateway: Gateway, kind: str) -> None:
    """A plain question, with what comes from a cache counted apart."""
    gateway.ups[kind].answers.push(Answer("The light turns.", output_tokens=3, input_tokens=40, cached_tokens=30))
    message = client.messages.create(model=model(kind), max_tokens=100, messages=ASK, system="Be brief.")
    [block] = message.content
    assert block.type == "text"
    assert (block.text, message.stop_reason, message.model) == ("The light turns.", "end_turn", MODELS[kind])
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (10, 30, 3)


@KIND
def test_stream_helper(client: Anthropic, gateway: Gateway, kind: str) -> None:
    """The SDK's accumulator: text as it comes, and the message it comes to."""
    gateway.ups[kind].answers.push(Answer(SIXTY_WORDS))
    with client.messages.stream(model=model(kind), max_tokens=100, messages=ASK) as stream:
        came = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(came) == SIXTY_WORDS
    assert len(came) > 1
    assert [block.text for block in final.content if block.type == "text"] == [SIXTY_WORDS]
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 12, 60)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@KIND
def test_tools(client: Anthropic, gateway: Gateway, kind: str, stream: bool) -> None:
    """Two calls at once, and the message sent back as the SDK holds it, with both results."""
    gateway.ups[kind].answers.push(TWO_CALLS, Answer("Mild in both."))
    if stream:
        with client.messages.stream(model=model(kind), max_tokens=100, messages=ASK, tools=[WEATHER]) as told:
            first: Message = told.get_final_message()
    else:
        first = client.messages.create(model=model(kind), max_tokens=100, messages=ASK, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Brest"}, {"city": "Kiel"}]
    back: Any = first.content
    results: Any = [{"type": "tool_result", "tool_use_id": call.id, "content": "12 °C"} for call in calls]
    turns: list[MessageParam] = [*ASK, {"role": "assistant", "content": back}, {"role": "user", "content": results}]
    second = client.messages.create(model=model(kind), max_tokens=100, messages=turns, tools=[WEATHER])
    assert [block.text for block in second.content if block.type == "text"] == ["Mild in both."]
    assert not gateway.ups[kind].refused


@KIND
def test_vision(client: Anthropic, gateway: Gateway, kind: str) -> None:
    """A picture in the request reaches the vendor."""
    gateway.ups[kind].answers.push(Answer("One pixel."))
    message = client.messages.create(
        model=model(kind),
        max_tokens=100,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ],
    )
    assert [block.text for block in message.content if block.type == "text"] == ["One pixel."]
    assert PIXEL.encode() in gateway.ups[kind].requests[0].body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@KIND
def test_thinking(client: Anthropic, gateway: Gateway, kind: str, stream: bool) -> None:
    """Thoughts before a call go back to Anthropic signed, as it demands; others have none to give."""
    thinks: Any = {"type": "enabled", "budget_tokens": 1024}
    gateway.ups[kind].answers.push(
        Thinking("Which city?", ToolCalls((("weather", {"city": "Brest"}),), output_tokens=4)), Answer("Mild.")
    )
    asked: dict[str, Any] = {"model": model(kind), "max_tokens": 2000, "tools": [WEATHER], "thinking": thinks}
    if stream:
        with client.messages.stream(messages=ASK, **asked) as told:
            first = told.get_final_message()
    else:
        first = client.messages.create(messages=ASK, **asked)
    thought, call = first.content
    assert thought.type == "thinking"
    assert call.type == "tool_use"
    assert (thought.thinking, bool(thought.signature)) == ("Which city?", kind == "anthropic")
    details = first.usage.output_tokens_details
    assert details is not None
    assert (details.thinking_tokens, first.usage.output_tokens) == (2, 6)
    back: Any = first.content
    result: Any = [{"type": "tool_result", "tool_use_id": call.id, "content": "12 °C"}]
    turns: list[MessageParam] = [*ASK, {"role": "assistant", "content": back}, {"role": "user", "content": result}]
    second = client.messages.create(messages=turns, **asked)
    assert [block.text for block in second.content if block.type == "text"] == ["Mild."]
    assert not gateway.ups[kind].refused


@KIND
async def test_async(aclient: AsyncAnthropic, gateway: Gateway, kind: str) -> None:
    """The same with the asynchronous client."""
    gateway.ups[kind].answers.push(Answer("One."), Answer("Two words."))
    message = await aclient.messages.create(model=model(kind), max_tokens=100, messages=ASK)
    assert [block.text for block in message.content if block.type == "text"] == ["One."]
    async with aclient.messages.stream(model=model(kind), max_tokens=100, messages=ASK) as stream:
        assert "".join([text async for text in stream.text_stream]) == "Two words."


@KIND
def test_count_tokens(client: Anthropic, gateway: Gateway, kind: str) -> None:
    """Counted by the vendor where it can (a word is a token here), else estimated, and said so."""
    raw = client.messages.with_raw_response.count_tokens(model=model(kind), messages=ASK)
    counts = kind in ("anthropic", "gemini")
    assert raw.parse().input_tokens == (4 if counts else 7)
    assert raw.headers.get("x-gateway-estimated") == (None if counts else "input_tokens")


def test_models(client: Anthropic) -> None:
    """The list in Anthropic's form, and one of it."""
    page = client.models.list()
    listed = {entry.id: entry for entry in page.data}
    assert {"some-model", "other-model"} <= listed.keys()
    assert (page.first_id, page.last_id, page.has_more) == (page.data[0].id, page.data[-1].id, False)
    assert client.models.retrieve("some-model").type == "model"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


KEYS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # arguments of the client, and headers it is given beside
    "api_key": ({"api_key": CLIENT_KEY}, {}),
    "auth_token": ({"auth_token": CLIENT_KEY}, {}),
    "both": ({"auth_token": CLIENT_KEY}, {"x-api-key": CLIENT_KEY}),
}


@pytest.mark.parametrize("name", KEYS)
def test_keys(gateway: Gateway, name: str) -> None:
    """However the SDK shows the key, the gateway takes it, and the vendor gets the operator's own."""
    arguments: Any
    arguments, headers = KEYS[name]
    gateway.ups["anthropic"].answers.push(Answer("Yes."))
    with Anthropic(base_url=gateway.url, max_retries=0, default_headers=headers, **arguments) as client:
        client.messages.create(model=model("anthropic"), max_tokens=9, messages=ASK)
    [request] = gateway.ups["anthropic"].requests
    assert CLIENT_KEY not in str(request.headers)


# Errors.


def client_of(gateway: Gateway, key: str = CLIENT_KEY, headers: dict[str, str] | None = None) -> Anthropic:
    return Anthropic(base_url=gateway.url, api_key=key, max_retries=0, default_headers=headers)


def fails(
    gateway: Gateway, *, key: str = CLIENT_KEY, headers: dict[str, str] | None = None, max_tokens: int = 9
) -> anthropic.APIStatusError:
    """The error of one question; streamed it must be the same one."""
    found: list[anthropic.APIStatusError] = []
    with client_of(gateway, key, headers) as client:
        for stream in (False, True):
            with pytest.raises(anthropic.APIStatusError) as caught:
                client.messages.create(model="m", max_tokens=max_tokens, messages=ASK, stream=stream)
            found.append(caught.value)
    assert type(found[0]) is type(found[1])
    assert kind_of(found[0]) == kind_of(found[1])
    return found[0]


def kind_of(error: anthropic.APIStatusError) -> tuple[int, str]:
    """Its status, and the type that the body says."""
    body: Any = error.body
    return error.status_code, body["error"]["type"]


REFUSALS: dict[str, tuple[Behaviour, str, int, str]] = {
    # what the provider does: the SDK's error, its status and type
    "too long": (ContextTooLong(), "BadRequestError", 400, "invalid_request_error"),
    "not a model": (Status(404), "NotFoundError", 404, "not_found_error"),
    "limited": (Status(429, retry_after_s=40), "RateLimitError", 429, "rate_limit_error"),
    "broken": (Garbage(), "InternalServerError", 502, "api_error"),
    "failing": (Status(500), "InternalServerError", 502, "api_error"),
    "silent": (Silence(), "GatewayTimeoutError", 504, "timeout_error"),
}


@pytest.mark.parametrize("name", REFUSALS)
@KIND
def test_what_a_provider_does(run: Run, kind: str, name: str) -> None:
    """Each failure of a provider is the SDK's error for it."""
    behaviour, error, *wanted = REFUSALS[name]
    gateway = run(kind, REQUEST_TIMEOUT="0.1", FIRST_TOKEN_TIMEOUT="0.1")
    gateway.ups[kind].default = behaviour
    caught = fails(gateway)
    assert (type(caught).__name__, *kind_of(caught)) == (error, *wanted)


def test_what_the_gateway_does(run: Run) -> None:
    """A wrong key, a right one without the right, a wrong request, one too many, and nobody left to ask."""
    gateway = run("anthropic")
    caught = fails(gateway, key="wrong")
    assert (type(caught), kind_of(caught)) == (anthropic.AuthenticationError, (401, "authentication_error"))
    caught = fails(gateway, headers={"X-Gateway-Explain": "1"})
    assert (type(caught), kind_of(caught)) == (anthropic.PermissionDeniedError, (403, "permission_error"))
    caught = fails(gateway, max_tokens=0)
    assert (type(caught), kind_of(caught)) == (anthropic.BadRequestError, (400, "invalid_request_error"))
    limited = run("anthropic", RATE_LIMIT="1/minute")
    with client_of(limited) as client:
        client.messages.create(model="m", max_tokens=9, messages=ASK)
    caught = fails(limited)
    assert (type(caught), kind_of(caught)) == (anthropic.RateLimitError, (429, "rate_limit_error"))
    assert 50 <= int(caught.response.headers["retry-after"]) <= 60
    closed = run("anthropic", BREAKER_MIN_CALLS="1", BREAKER_OPEN_S="60")
    closed.ups["anthropic"].default = Status(529)
    with client_of(closed) as client, pytest.raises(anthropic.InternalServerError):
        client.messages.create(model="m", max_tokens=9, messages=ASK)
    caught = fails(closed)
    assert (isinstance(caught, anthropic.APIStatusError), kind_of(caught)) == (True, (503, "overloaded_error"))


@KIND
def test_a_stream_that_breaks(run: Run, kind: str) -> None:
    """The SDK yields what came, then raises the gateway's error."""
    gateway = run(kind)
    gateway.ups[kind].default = DieAfter(tokens=3, answer=Answer(SIXTY_WORDS))
    came: list[str] = []
    with client_of(gateway) as client, client.messages.stream(model="m", max_tokens=100, messages=ASK) as stream:
        with pytest.raises(anthropic.APIStatusError) as caught:
            gather(stream.text_stream, came)
        assert "".join(came) == "Every morning the"
        assert kind_of(caught.value)[1] == "api_error"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@KIND
def test_withheld(client: Anthropic, gateway: Gateway, kind: str, stream: bool) -> None:
    """What a provider's filter refuses is an answer that says so, as Anthropic's clients expect."""
    gateway.ups[kind].answers.push(Blocked())
    if stream:
        with client.messages.stream(model=model(kind), max_tokens=9, messages=ASK) as told:
            message: Message = told.get_final_message()
    else:
        message = client.messages.create(model=model(kind), max_tokens=9, messages=ASK)
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None
    assert message.stop_details.explanation
