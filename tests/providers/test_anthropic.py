"""Anthropic's Messages: what goes out, and what its replies mean."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.anthropic import Anthropic
from providers.base import CountsTokens, Embeds, HttpReply, HttpRequest, ListedModel, ListsModels, Target
from providers.chat import (
    FITS,
    Audio,
    ChatRequest,
    Chunk,
    Completion,
    File,
    Fit,
    Image,
    Message,
    OutputFormat,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolCallPiece,
    ToolChoice,
    Usage,
)
from providers.errors import (
    BadCredentials,
    ContentBlocked,
    ContextLengthExceeded,
    MalformedReply,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    Unavailable,
    UnsupportedParameter,
)
from providers.sse import Event
from tests.providers.conversations import Conversation, Item, assembled, conversations, split, stream, whole

TARGET = Target("anthropic", "claude-haiku-4-5", Anthropic(), "https://api.anthropic.com", SecretStr("sk-ant-1"))


def reply(body: object, status: int = 200, **headers: str) -> HttpReply:
    return HttpReply(status, headers, body if isinstance(body, bytes) else orjson.dumps(body))


def test_encode() -> None:
    """System apart, neighbours merged, temperature within 0..1, the version that takes it, the key in its header."""
    request = ChatRequest(
        (
            Message("system", "Be brief."),
            Message("user", "One"),
            Message("user", "Two"),
            Message("assistant", "Three"),
            Message("user", "Four"),
        ),
        max_tokens=64,
        temperature=1.7,
    )
    out = Anthropic().encode(request, TARGET, stream=True)
    assert out.url == "https://api.anthropic.com/v1/messages"
    assert out.headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-ant-1",
    }
    assert orjson.loads(out.body) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "One\n\nTwo"},
            {"role": "assistant", "content": "Three"},
            {"role": "user", "content": "Four"},
        ],
        "temperature": 1.0,
        "stream": True,
    }


def test_encode_least() -> None:
    """`max_tokens` is required, so it is always sent; a prefill loses its trailing white space."""
    out = Anthropic().encode(ChatRequest((Message("user", "Hi"), Message("assistant", "So: \n"))), TARGET, stream=False)
    assert orjson.loads(out.body) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "So:"}],
    }


def answer(*blocks: object, stop: object = "end_turn", **top: object) -> dict[str, object]:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(blocks)}
    return {**body, "stop_reason": stop, "stop_sequence": None, **top}


TEXT = {"type": "text", "text": "Hello"}
USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "output_tokens_details": {"thinking_tokens": 2},
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answer(TEXT, usage=USAGE), Completion("Hello", "claude-x", "stop", Usage(17, 5, 4, 2, 3))),
        (
            answer({"type": "thinking", "thinking": "hm", "signature": "s"}, TEXT, {"type": "text", "text": "!"}),
            Completion("Hello!", "claude-x", "stop", thinking=(Thinking("hm", "s"),)),
        ),
        (
            answer({"type": "redacted_thinking", "data": "x"}, TEXT, {"type": "server_tool_use", "id": "srvtoolu_1"}),
            Completion("Hello", "claude-x", "stop", thinking=(Thinking(redacted="x"),)),
        ),
        (
            answer(TEXT, stop="stop_sequence", stop_sequence="END"),
            Completion("Hello", "claude-x", "stop", stop_sequence="END"),
        ),
        (answer(TEXT, stop="stop_sequence"), Completion("Hello", "claude-x", "stop")),
        (answer(TEXT, stop="pause_turn"), Completion("Hello", "claude-x", "stop")),
        (answer(TEXT, stop="max_tokens"), Completion("Hello", "claude-x", "length")),
        (answer(TEXT, stop="model_context_window_exceeded"), Completion("Hello", "claude-x", "length")),
        (answer(TEXT, stop="novel"), Completion("Hello", "claude-x", "stop")),
        (
            answer({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, "é"]}}, stop="tool_use"),
            Completion("", "claude-x", "tool_calls", tool_calls=(ToolCall("toolu_1", "f", '{"a":[1,"é"]}'),)),
        ),
        # What is cut off is not called whole.
        (
            answer({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}, stop="max_tokens"),
            Completion("", "claude-x", "length", tool_calls=(ToolCall("toolu_1", "f", "{}"),)),
        ),
    ],
)
def test_decode(body: object, expected: Completion) -> None:
    """Answers."""
    assert Anthropic().decode(reply(body)) == expected


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answer(), MalformedReply),
        (answer(stop="max_tokens"), MalformedReply),
        (answer({"type": "thinking", "thinking": "hm"}), MalformedReply),
        ({}, MalformedReply),
        (b"", MalformedReply),
        (b"<html>", MalformedReply),
        (answer(stop="refusal"), ContentBlocked),
        (answer(TEXT, stop="refusal"), ContentBlocked),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, Unavailable),
    ],
)
def test_decode_failures(body: object, kind: type[ProviderError]) -> None:
    """No answer, and answers withheld."""
    with pytest.raises(ProviderError) as caught:
        Anthropic().decode(reply(body))
    assert type(caught.value) is kind


def test_refusal_is_explained_in_anthropics_words() -> None:
    """The reason reaches the caller, when there is one."""
    with pytest.raises(ContentBlocked) as caught:
        Anthropic().decode(reply(answer(stop="refusal", stop_details={"explanation": "It asks\nfor X."})))
    assert caught.value.message == "It asks for X."


def test_thinking_that_left_no_room() -> None:
    """It is said why the answer is empty."""
    with pytest.raises(MalformedReply, match="spent on thinking"):
        Anthropic().decode(reply(answer({"type": "thinking", "thinking": "hm"}, stop="max_tokens")))
    with pytest.raises(MalformedReply, match="spent on thinking"):
        decoded(
            START,
            delta(type="thinking_delta", thinking="hm"),
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        )


def decoded(*events: dict[str, object]) -> list[Sequence[Chunk]]:
    decoder = Anthropic().decoder()
    return [decoder.feed(Event(str(event["type"]), orjson.dumps(event))) for event in events]


START: dict[str, object] = {
    "type": "message_start",
    "message": {"model": "claude-x", "content": [], "usage": {"input_tokens": 10, "cache_read_input_tokens": 4}},
}


def delta(**fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def test_stream() -> None:
    """Named events: input tokens at the start, output tokens at the end, pings are nothing."""
    assert decoded(
        START,
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta(type="thinking_delta", thinking="hm"),
        delta(type="signature_delta", signature="s"),
        delta(type="text_delta", text="Hel"),
        delta(type="text_delta", text="lo"),
        delta(type="novel_delta", text="?"),
        {"type": "content_block_stop", "index": 0},
        {"type": "novel_event"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ) == [
        (Chunk(model="claude-x", usage=Usage(14, 0, 4)),),
        (),
        (),
        (Chunk(thinking=Thinking("hm")),),
        (Chunk(thinking=Thinking(signature="s")),),
        (Chunk("Hel"),),
        (Chunk("lo"),),
        (),
        (),
        (),
        (Chunk(finish_reason="stop", usage=Usage(14, 5, 4)),),
        (Chunk(end=True),),
    ]


def test_stream_text_at_block_start() -> None:
    """A block may begin with text already."""
    assert decoded({"type": "content_block_start", "content_block": TEXT}) == [(Chunk("Hello"),)]


def test_stream_type_by_event_name() -> None:
    """The `event:` line stands in for a missing type."""
    assert Anthropic().decoder().feed(Event("message_stop", b"{}")) == (Chunk(end=True),)


@pytest.mark.parametrize(
    ("kind_of_error", "kind"),
    [
        ("overloaded_error", Unavailable),
        ("api_error", Unavailable),
        ("timeout_error", Unavailable),
        ("rate_limit_error", RateLimited),
        ("authentication_error", BadCredentials),
        ("billing_error", QuotaExhausted),
        ("novel_error", Unavailable),
    ],
)
def test_stream_errors(kind_of_error: str, kind: type[ProviderError]) -> None:
    """A failure as an event has the meaning of its type."""
    with pytest.raises(ProviderError) as caught:
        decoded(START, {"type": "error", "error": {"type": kind_of_error, "message": "m"}})
    assert type(caught.value) is kind


def test_stream_refusal() -> None:
    """A refusal at the end of a stream is no finish reason: the answer is withheld."""
    with pytest.raises(ContentBlocked):
        decoded(
            START, delta(type="text_delta", text="Hi"), {"type": "message_delta", "delta": {"stop_reason": "refusal"}}
        )


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null"])
def test_unreadable_events(data: bytes) -> None:
    """Skipped and counted by the cascade."""
    with pytest.raises(ValueError):  # noqa: PT011 (whose text is the JSON library's)
        Anthropic().decoder().feed(Event("content_block_delta", data))


def error(kind: str, message: str = "m", code: str | None = None) -> dict[str, object]:
    details = {"details": {"error_code": code}} if code is not None else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, error("invalid_request_error", "messages: bad"), RejectedRequest, "messages: bad"),
        (400, error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), ContextLengthExceeded, None),
        (
            400,
            error("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
            ContextLengthExceeded,
            None,
        ),
        (
            400,
            error("invalid_request_error", "temperature: Extra inputs are not permitted"),
            UnsupportedParameter,
            None,
        ),
        (400, error("invalid_request_error", "`temperature` is deprecated for this model"), UnsupportedParameter, None),
        (400, error("invalid_request_error", "Your credit balance is too low"), QuotaExhausted, None),
        (
            400,
            error("invalid_request_error", "You have reached your specified API usage limits."),
            QuotaExhausted,
            None,
        ),
        (401, error("authentication_error", "invalid x-api-key"), BadCredentials, None),
        (402, error("billing_error"), QuotaExhausted, None),
        (403, error("permission_error"), BadCredentials, None),
        (404, error("not_found_error", "model: x"), ModelNotFound, None),
        (409, error("conflict_error"), Unavailable, None),
        (413, error("request_too_large", "Too large."), RejectedRequest, "Too large."),
        (429, error("rate_limit_error"), RateLimited, None),
        (429, error("rate_limit_error", "m", "ramp_limit_exceeded"), RateLimited, None),
        (429, error("rate_limit_error", "m", "enforced_spend_limit_reached"), QuotaExhausted, None),
        (429, error("rate_limit_error", "m", "contract_spend_limit_reached"), QuotaExhausted, None),
        (500, error("api_error"), Unavailable, None),
        (504, error("timeout_error"), Unavailable, None),
        (529, error("overloaded_error"), Unavailable, None),
        (502, b"<html>", Unavailable, None),
        (400, b"", RejectedRequest, None),
    ],
)
def test_errors(status: int, body: object, kind: type[ProviderError], message: str | None) -> None:
    """Anthropic's errors, by status, type and the codes of spent money."""
    found = Anthropic().decode_error(reply(body, status))
    assert type(found) is kind
    assert found.http_status == status
    if message is not None:
        assert found.message == message
    elif not issubclass(kind, RejectedRequest):
        assert found.message not in str(body)


def test_waits() -> None:
    """Retry-After of 429 and of 529."""
    limited = Anthropic().decode_error(reply(error("rate_limit_error"), 429, **{"retry-after": "12"}))
    assert isinstance(limited, RateLimited)
    assert (limited.retry_after_s, limited.code) == (12.0, "rate_limit_error")
    overloaded = Anthropic().decode_error(reply(error("overloaded_error"), 529, **{"retry-after": "3"}))
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after_s == 3.0


# What goes out

ADAPTIVE = replace(TARGET, model="claude-sonnet-4-6")
ALWAYS = replace(TARGET, model="claude-opus-5-5")
HI = (Message("user", "Hi"),)
WEATHER = Tool("weather", "Tells it.", {"properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOCK = Tool("clock")
MARK: dict[str, object] = {"cache_control": {"type": "ephemeral"}}


def sent(request: ChatRequest, target: Target = TARGET) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(Anthropic().encode(request, target, stream=False).body)
    return body


def content(*parts: Part) -> Any:
    return sent(ChatRequest((Message("user", parts),)))["messages"][0]["content"]


def test_protocols() -> None:
    """Anthropic counts tokens and lists models; it has no vectors."""
    assert isinstance(Anthropic(), CountsTokens)
    assert isinstance(Anthropic(), ListsModels)
    assert not isinstance(Anthropic(), Embeds)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("a", MARK), {"type": "text", "text": "a", **MARK}),
        (
            Image("data:image/jpg;base64,aGk=", extra=MARK),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}, **MARK},
        ),
        (Image("https://x/y"), {"type": "image", "source": {"type": "url", "url": "https://x/y"}}),
        (
            File("data:application/pdf;base64,aGk=", filename="a.pdf", extra={"citations": {"enabled": True}, "x": 1}),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                "title": "a.pdf",
                "citations": {"enabled": True},
            },
        ),
        (
            File("data:text/plain;charset=utf-8;base64,w6k="),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (File("https://x/y.pdf"), {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}),
        (
            File("data:image/png;base64,aGk="),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ),
    ],
)
def test_parts(part: Part, block: dict[str, object]) -> None:
    """Parts as blocks, with Anthropic's own keys and no others."""
    assert content(part) == [block]
    assert Anthropic().fit(ChatRequest((Message("user", (part,)),)), TARGET) == FITS


@pytest.mark.parametrize(
    "part",
    [
        Image("data:image/svg+xml;base64,aGk="),
        Image("http://x/y"),
        Image("data:image/png,raw"),
        Audio("aGk=", "wav"),
        File(file_id="file-1"),
        File("data:application/zip;base64,aGk="),
    ],
)
def test_parts_refused(part: Part) -> None:
    """What has no block is not left out in silence."""
    request = ChatRequest((Message("user", (Text("a"), part)),))
    assert Anthropic().fit(request, TARGET) == Fit(refused=("messages",))
    with pytest.raises(UnsupportedParameter):
        sent(request)


def test_unreadable_text_file() -> None:
    """Only its bytes tell."""
    with pytest.raises(RejectedRequest):
        content(File("data:text/plain;base64,/w=="))


def test_tools_and_their_results() -> None:
    """Arguments become an object, ids are made legal, results lead their turn, marks are kept."""
    calls = (
        ToolCall("functions.f:0", "f", '{"a": 1}', extra=MARK),
        ToolCall("b", "g", ""),
        ToolCall("c", "h", "[1"),
    )
    messages = (
        *HI,
        Message("assistant", (Thinking("hm", "sig"), Thinking("unsigned"), Text("I will.")), tool_calls=calls),
        Message("user", "Well?"),
        Message("tool", (Text("seen"), Image("https://x/y")), tool_call_id="c"),
        Message("tool", "", tool_call_id="b", failed=True, extra=MARK),
        Message("tool", "fine", tool_call_id="functions.f:0"),
    )
    assert sent(ChatRequest(messages))["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "text", "text": "I will."},
                {"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {"a": 1}, **MARK},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                {"type": "tool_use", "id": "c", "name": "h", "input": {"arguments": "[1"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "functions_f_0", "content": "fine"},
                {"type": "tool_result", "tool_use_id": "b", "content": "failed", "is_error": True, **MARK},
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [
                        {"type": "text", "text": "seen"},
                        {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
                    ],
                },
                {"type": "text", "text": "Well?"},
            ],
        },
    ]


def test_redacted_thoughts_and_marked_instructions() -> None:
    """Both go back as they came."""
    body = sent(
        ChatRequest(
            (
                Message("system", (Text("S", MARK),)),
                Message("system", "T"),
                *HI,
                Message("assistant", (Thinking(redacted="x"), Text("Ho"))),
                Message("user", "Hm", extra=MARK),
            )
        )
    )
    assert body["system"] == [{"type": "text", "text": "S", **MARK}, {"type": "text", "text": "T"}]
    assert body["messages"][1]["content"][0] == {"type": "redacted_thinking", "data": "x"}
    assert body["messages"][2]["content"] == [{"type": "text", "text": "Hm", **MARK}]


WEATHER_SENT = {
    "name": "weather",
    "description": "Tells it.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CLOCK_SENT = {"name": "clock", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("choice", "parallel", "tools", "said"),
    [
        (None, None, [WEATHER_SENT, CLOCK_SENT], None),
        (None, True, [WEATHER_SENT, CLOCK_SENT], None),
        (None, False, [WEATHER_SENT, CLOCK_SENT], {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), False, [WEATHER_SENT, CLOCK_SENT], {"type": "none"}),
        (ToolChoice("auto"), None, [WEATHER_SENT, CLOCK_SENT], {"type": "auto"}),
        (ToolChoice("auto", ("clock",)), None, [CLOCK_SENT], {"type": "auto"}),
        (ToolChoice("required"), None, [WEATHER_SENT, CLOCK_SENT], {"type": "any"}),
        (ToolChoice("required", ("clock",)), None, [WEATHER_SENT, CLOCK_SENT], {"type": "tool", "name": "clock"}),
        (
            ToolChoice("required", ("clock", "weather")),
            False,
            [WEATHER_SENT, CLOCK_SENT],
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, tools: object, said: object) -> None:
    """The choice among tools; where names have no field, the tools are fewer."""
    request = ChatRequest(HI, tools=(WEATHER, CLOCK), tool_choice=choice, parallel_tool_calls=parallel)
    body = sent(request)
    assert (body["tools"], body.get("tool_choice")) == (tools, said)
    assert Anthropic().fit(request, TARGET) == FITS


def test_tools_of_vendors() -> None:
    """Anthropic's own pass as they are, with their marks; others' cannot be said."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    strict = Tool("f", strict=True, extra={**MARK, "defer_loading": True, "x": 1})
    assert sent(ChatRequest(HI, tools=(Tool("web_search", native=("anthropic", search)), strict)))["tools"] == [
        search,
        {"name": "f", "input_schema": {"type": "object"}, "strict": True, **MARK, "defer_loading": True},
    ]
    custom = ChatRequest(HI, tools=(Tool("x", native=("openai", {"type": "custom"})),))
    assert Anthropic().fit(custom, TARGET) == Fit(refused=("tools",))


@pytest.mark.parametrize(
    ("request_", "target", "fit"),
    [
        (ChatRequest(HI, n=2), TARGET, Fit(refused=("n",))),
        (ChatRequest(HI, output=OutputFormat()), TARGET, Fit(refused=("response_format",))),
        (
            ChatRequest(HI, tools=(CLOCK,), tool_choice=ToolChoice("auto", ("x",))),
            TARGET,
            Fit(refused=("tool_choice",)),
        ),
        (ChatRequest(HI, tools=(CLOCK,), tool_choice=ToolChoice("required")), ALWAYS, Fit(refused=("tool_choice",))),
        (ChatRequest(HI, tool_choice=ToolChoice("auto")), TARGET, Fit(dropped=("tool_choice",))),
        (ChatRequest(HI, tool_choice=ToolChoice("none")), TARGET, FITS),
        (ChatRequest(HI, parallel_tool_calls=False), TARGET, Fit(dropped=("parallel_tool_calls",))),
        (ChatRequest(HI, stop=(" ", "END")), TARGET, Fit(dropped=("stop",))),
        (ChatRequest(HI, temperature=0.5), ALWAYS, Fit(dropped=("temperature",))),
        (ChatRequest(HI, temperature=1), ALWAYS, FITS),
        (ChatRequest(HI, temperature=0.5, options={"top_p": 0.9}), TARGET, Fit(dropped=("top_p",))),
        (ChatRequest(HI, options={"seed": None}), TARGET, FITS),
        (ChatRequest(HI, options={"service_tier": "flex"}), TARGET, Fit(dropped=("service_tier",))),
        (ChatRequest(HI, options={"thinking": True}), TARGET, Fit(dropped=("thinking",))),
        (ChatRequest(HI, options={"user": "u", "safety_identifier": "s"}), TARGET, Fit(dropped=("user",))),
        (
            ChatRequest(HI, unknown={"model": "x"}),
            replace(TARGET, allow_fields=frozenset({"model"})),
            Fit((), ("model",)),
        ),
    ],
)
def test_fit(request_: ChatRequest, target: Target, fit: Fit) -> None:
    """What is refused, what is dropped."""
    assert Anthropic().fit(request_, target) == fit


@pytest.mark.parametrize(
    ("model", "effort", "max_tokens", "expected"),
    [
        ("claude-sonnet-4-6", None, None, ({}, 4096)),
        ("claude-sonnet-4-6", "high", None, ({"thinking": {"type": "adaptive"}, "effort": "high"}, 16_384)),
        ("claude-haiku-5-5", "xhigh", 100, ({"thinking": {"type": "adaptive"}, "effort": "xhigh"}, 100)),
        ("claude-haiku-5-5", "none", None, ({"thinking": {"type": "disabled"}}, 4096)),
        ("claude-haiku-5-5", None, None, ({}, 16_384)),
        ("claude-opus-5-5", "minimal", None, ({"effort": "low"}, 16_384)),
        ("claude-haiku-4-5-20251001", "low", None, ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 5120)),
        ("claude-opus-4-20250514", "medium", 6000, ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, 6000)),
        ("claude-haiku-4-5", "high", 1500, ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 1500)),
        ("claude-haiku-4-5", "none", None, ({}, 4096)),
        ("claude-haiku-4-5", "high", 1024, None),
        ("claude-3-5-haiku-latest", "high", None, None),
        ("claude-sonnet-4-6", "default", None, None),
    ],
)
def test_effort(model: str, effort: str | None, max_tokens: int | None, expected: tuple[object, int] | None) -> None:
    """Adaptive where the model knows it, else a budget below the limit; None: dropped, and said so."""
    target = replace(TARGET, model=model)
    request = ChatRequest(HI, max_tokens=max_tokens, reasoning_effort=effort)
    body = sent(request, target)
    told = {name: body[name] for name in ("thinking",) if name in body} | body.get("output_config", {})
    if expected is None:
        assert told == {}
        assert Anthropic().fit(request, target) == Fit(dropped=("reasoning_effort",))
    else:
        assert (told, body["max_tokens"]) == expected
        assert Anthropic().fit(request, target) == FITS


def test_thinking_beside_other_wishes() -> None:
    """Where thinking is refused beside something else, the rest of what was asked is done."""
    options = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "top_p": 0.97, "top_k": 5}
    own = ChatRequest(HI, temperature=0.5, reasoning_effort="high", options=options)
    body = sent(own)
    assert (body["thinking"], body["top_p"], body["max_tokens"]) == (options["thinking"], 0.97, 6096)
    assert Anthropic().fit(own, TARGET).dropped == ("reasoning_effort", "temperature", "top_k")
    assert sent(own, ADAPTIVE)["output_config"] == {"effort": "high"}
    assert sent(own, ADAPTIVE)["thinking"] == options["thinking"]
    own = replace(own, options={"thinking": {"type": "adaptive"}, **MARK})
    assert sent(own, ADAPTIVE)["output_config"] == {"effort": "high"}
    assert sent(own, ADAPTIVE)["cache_control"] == MARK["cache_control"]
    assert Anthropic().fit(own, TARGET).dropped == ("reasoning_effort", "temperature")

    forced = ChatRequest(HI, tools=(CLOCK,), tool_choice=ToolChoice("required"), reasoning_effort="high")
    assert Anthropic().fit(forced, TARGET) == Fit(dropped=("reasoning_effort",))
    assert "thinking" not in sent(forced, ADAPTIVE)
    assert sent(forced, ADAPTIVE)["output_config"] == {"effort": "high"}

    call = ToolCall("a", "clock", "{}")
    for thought, dropped in ((Thinking("hm", "sig"), ()), (Thinking("hm"), ("reasoning_effort",))):
        loop = (*HI, Message("assistant", (thought,), tool_calls=(call,)), Message("tool", "12", tool_call_id="a"))
        assert Anthropic().fit(ChatRequest(loop, tools=(CLOCK,), reasoning_effort="low"), TARGET).dropped == dropped
    prefill = ChatRequest((*HI, Message("assistant", "So")), reasoning_effort="low")
    assert Anthropic().fit(prefill, TARGET).dropped == ("reasoning_effort",)


PATHS: Mapping[str, Sequence[str]] = {
    "temperature": ("temperature",),
    "stop": ("stop_sequences",),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "response_format": ("output_config.format",),
    "reasoning_effort": ("thinking", "output_config.effort"),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "thinking": ("thinking",),
    "service_tier": ("service_tier",),
    "user": ("metadata",),
    "mine": ("mine",),
    "theirs": ("theirs",),
}
REQUESTS = st.builds(
    ChatRequest,
    st.just(HI),
    max_tokens=st.sampled_from([None, 64, 1500]),
    temperature=st.sampled_from([None, 0.3, 1.5]),
    stop=st.sampled_from([(), ("END",)]),
    n=st.sampled_from([1, 1, 1, 2]),
    tools=st.sampled_from([(), (CLOCK, WEATHER)]),
    tool_choice=st.sampled_from([None, ToolChoice("auto"), ToolChoice("required", ("clock",))]),
    output=st.sampled_from([None, OutputFormat({"type": "object"})]),
    reasoning_effort=st.sampled_from([None, "low", "high"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "top_p": st.sampled_from([0.5, 0.97]),
            "top_k": st.just(3),
            "service_tier": st.sampled_from(["auto", "flex"]),
            "user": st.just("u"),
            "thinking": st.sampled_from([{"type": "adaptive"}, {"type": "disabled"}]),
            "seed": st.just(7),
            "logprobs": st.just(True),
            "presence_penalty": st.just(1),
            "metadata": st.just({"a": "b"}),
        },
    ),
    unknown=st.sampled_from([{}, {"mine": 1}, {"mine": 1, "theirs": 2}]),
)
MODELS = ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-5-5", "claude-3-5-haiku-latest"]


def asked(request: ChatRequest) -> set[str]:
    """The names of what the request says, in OpenAI's words."""
    fields = {
        "temperature": request.temperature is not None,
        "stop": bool(request.stop),
        "n": request.n != 1,
        "tools": bool(request.tools),
        "tool_choice": request.tool_choice is not None,
        "response_format": request.output is not None,
        "reasoning_effort": request.reasoning_effort is not None,
    }
    return {name for name, said in fields.items() if said} | {*request.options, *request.unknown}


@given(REQUESTS, st.sampled_from(MODELS))
def test_fit_and_encode_agree(request_: ChatRequest, model: str) -> None:
    """What is dropped is not sent, what is not dropped is, and what is refused is not even tried."""
    target = replace(TARGET, model=model, allow_fields=frozenset({"mine"}))
    fit = Anthropic().fit(request_, target)
    names = asked(request_)
    assert {*fit.dropped, *fit.refused} <= names
    if fit.refused:
        with pytest.raises(UnsupportedParameter):
            sent(request_, target)
        return
    body = sent(request_, target)
    config = {f"output_config.{name}": value for name, value in body.get("output_config", {}).items()}
    found = {*body, *config}
    for name in names:
        if name in fit.dropped:
            said_by_another = name == "reasoning_effort" and "thinking" in names
            assert said_by_another or not found.intersection(PATHS.get(name, ())), name
        else:
            assert found.intersection(PATHS[name]), name
    allowed = {*(path.partition(".")[0] for name in names for path in PATHS.get(name, ()))}
    assert {*body} <= allowed | {"model", "max_tokens", "messages"}


# Read back


def read(body: dict[str, Any]) -> list[Item]:
    """What Anthropic reads, by its schema: unknown keys, blank texts and turns out of order are refused there."""
    items: list[Item] = []
    awaited: list[str] = []
    names: dict[str, str] = {}
    for number, message in enumerate(body["messages"]):
        assert message.keys() == {"role", "content"}
        role = message["role"]
        assert role == ("user", "assistant")[number % 2]
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert results == awaited
        assert all(block["type"] == "tool_result" for block in blocks[: len(results)])
        awaited = []
        for block in blocks:
            match block:
                case {"type": "text", "text": str(text), **rest} if text.strip():
                    items.append((role, "text", text))
                case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}, **rest}:
                    items.append((role, "image", f"data:{kind};base64,{data}"))
                case {"type": "tool_use", "id": str(id), "name": str(name), "input": dict(given), **rest}:
                    awaited.append(id)
                    items.append((role, "call", id, name, given))
                    names[id] = name
                case {"type": "tool_result", "tool_use_id": str(id), "content": str(text), **rest}:
                    failed = rest.pop("is_error", False)
                    items.append((role, "result", id, names[id], failed, text))
                case _:
                    raise AssertionError(block)
            assert not rest
    return items


@given(conversations())
def test_a_conversation_is_read_back(conversation: Conversation) -> None:
    """Nothing is lost or moved between the internal form and Anthropic's."""
    assert read(sent(ChatRequest(conversation.messages))) == conversation.items


# Streams


def test_stream_equals_the_whole() -> None:
    """However its bytes are split."""
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Né 🌤"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Köln", "n": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
        {"type": "tool_use", "id": "toolu_3", "name": "h", "input": {"at": "once"}},
    ]
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 9}
    start = {"type": "message_start", "message": {"model": "claude-x", "usage": {**usage, "output_tokens": 1}}}
    events: list[dict[str, Any]] = [start, {"type": "ping"}]
    for index, block in enumerate(blocks):
        deltas: list[dict[str, Any]] = []
        begun = dict(block)
        match block:
            case {"type": "thinking"}:
                begun = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in ("Let me", " see.")]
                deltas.append({"type": "signature_delta", "signature": "c2ln"})
            case {"type": "text"}:
                begun = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": piece} for piece in ("Né", " 🌤")]
            case {"id": "toolu_1" | "srvtoolu_1"}:
                begun["input"] = {}
                arguments = orjson.dumps(block["input"]).decode()
                deltas = [
                    {"type": "input_json_delta", "partial_json": piece} for piece in ("", arguments[:5], arguments[5:])
                ]
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": step} for step in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    events += [{"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}}, {"type": "message_stop"}]
    data = stream((event["type"], event) for event in events)
    expected = Anthropic().decode(reply(answer(*blocks, stop="tool_use", usage=usage)))
    assert [call.arguments for call in expected.tool_calls] == ['{"city":"Köln","n":1}', "{}", '{"at":"once"}']
    for pieces in split(data):
        assert assembled(whole(pieces, Anthropic().decoder())) == expected


def test_stream_of_a_call() -> None:
    """Steps come as they come; calls are counted apart from blocks; a stop sequence is named."""
    assert decoded(
        {"type": "content_block_start", "index": 4, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_stop", "index": 4},
        {"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}},
    ) == [
        (Chunk(tool_calls=(ToolCallPiece(0, id="t", name="f"),)),),
        (Chunk(tool_calls=(ToolCallPiece(0, "{"),)),),
        (),
        (Chunk(finish_reason="stop", stop_sequence="END"),),
    ]


# The rest of the wire


def test_count() -> None:
    """Only the fields that endpoint knows, and whatever the answer would not be, can still be counted."""
    request = ChatRequest(HI, max_tokens=5, temperature=0.5, n=2, tools=(CLOCK,))
    out = Anthropic().encode_count(request, TARGET)
    assert (out.url, out.method) == ("https://api.anthropic.com/v1/messages/count_tokens", "POST")
    assert orjson.loads(out.body) == {
        "model": "claude-haiku-4-5",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [CLOCK_SENT],
    }
    assert Anthropic().decode_count(reply({"input_tokens": 12})) == 12
    with pytest.raises(MalformedReply):
        Anthropic().decode_count(reply({}))


def test_models() -> None:
    """A list with dates."""
    assert Anthropic().encode_models(TARGET) == HttpRequest(
        "https://api.anthropic.com/v1/models?limit=1000",
        {"accept": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "sk-ant-1"},
        method="GET",
    )
    data = [
        {"id": "claude-x", "type": "model", "created_at": "2026-10-07T00:00:00Z"},
        {"id": "claude-y", "created_at": "?"},
        {"type": "model"},
    ]
    assert Anthropic().decode_models(reply({"data": data, "has_more": False})) == [
        ListedModel("claude-x", "anthropic", 1_791_331_200),
        ListedModel("claude-y", "anthropic", 0),
    ]
    with pytest.raises(Unavailable):
        Anthropic().decode_models(reply(error("api_error")))
