"""Anthropic's Messages: what goes out, and what its replies mean."""

import orjson
import pytest
from pydantic import SecretStr

from providers.anthropic import Anthropic
from providers.base import ChatRequest, Chunk, Completion, HttpReply, Message, Target, Usage
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
        (answer(TEXT, usage=USAGE), Completion("Hello", "claude-x", "stop", Usage(17, 5, 4, 2))),
        (
            answer({"type": "thinking", "thinking": "hm", "signature": "s"}, TEXT, {"type": "text", "text": "!"}),
            Completion("Hello!", "claude-x", "stop"),
        ),
        (answer(TEXT, stop="stop_sequence"), Completion("Hello", "claude-x", "stop")),
        (answer(TEXT, stop="pause_turn"), Completion("Hello", "claude-x", "stop")),
        (answer(TEXT, stop="max_tokens"), Completion("Hello", "claude-x", "length")),
        (answer(TEXT, stop="model_context_window_exceeded"), Completion("Hello", "claude-x", "length")),
        (answer(TEXT, stop="novel"), Completion("Hello", "claude-x", "stop")),
        (answer({"type": "tool_use", "id": "toolu_1"}, stop="tool_use"), Completion("", "claude-x", "tool_calls")),
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


def decoded(*events: dict[str, object]) -> list[Chunk | None]:
    decoder = Anthropic().decoder()
    return [decoder.feed(Event(str(event["type"]), orjson.dumps(event))) for event in events]


START: dict[str, object] = {
    "type": "message_start",
    "message": {"model": "claude-x", "content": [], "usage": {"input_tokens": 10, "cache_read_input_tokens": 4}},
}


def delta(**fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def test_stream() -> None:
    """Named events: input tokens at the start, output tokens at the end, thinking and pings are nothing."""
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
        Chunk(model="claude-x", usage=Usage(14, 0, 4)),
        None,
        None,
        None,
        None,
        Chunk("Hel"),
        Chunk("lo"),
        None,
        None,
        None,
        Chunk(finish_reason="stop", usage=Usage(14, 5, 4)),
        Chunk(end=True),
    ]


def test_stream_text_at_block_start() -> None:
    """A block may begin with text already."""
    assert decoded({"type": "content_block_start", "content_block": TEXT}) == [Chunk("Hello")]


def test_stream_type_by_event_name() -> None:
    """The `event:` line stands in for a missing type."""
    assert Anthropic().decoder().feed(Event("message_stop", b"{}")) == Chunk(end=True)


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
