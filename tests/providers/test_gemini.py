"""Google's generateContent: what goes out, and what its replies mean."""

from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from providers.base import ChatRequest, Chunk, Completion, HttpReply, Message, Target, Usage
from providers.errors import (
    BadCredentials,
    ContentBlocked,
    ContextLengthExceeded,
    MalformedReply,
    ModelNotFound,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    Unavailable,
)
from providers.gemini import Gemini, thinking_config
from providers.sse import Event

BASE = "https://generativelanguage.googleapis.com"


def target(model: str = "gemini-3.5-flash-lite") -> Target:
    return Target("gemini", model, Gemini(), BASE, SecretStr("AIza-1"))


def reply(body: object, status: int = 200, **headers: str) -> HttpReply:
    return HttpReply(status, headers, body if isinstance(body, bytes) else orjson.dumps(body))


def test_encode() -> None:
    """System apart, roles user and model, neighbours merged, the key in a header only."""
    request = ChatRequest(
        (
            Message("system", "Be brief."),
            Message("system", "Be kind."),
            Message("user", "One"),
            Message("user", "Two"),
            Message("assistant", "Three"),
            Message("system", "Now rhyme."),
            Message("user", "Four"),
        ),
        max_tokens=64,
        temperature=0.5,
    )
    out = Gemini().encode(request, target(), stream=False)
    assert out.url == f"{BASE}/v1beta/models/gemini-3.5-flash-lite:generateContent"
    assert out.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-goog-api-key": "AIza-1",
    }
    assert orjson.loads(out.body) == {
        "systemInstruction": {"parts": [{"text": "Be brief.\n\nBe kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "One\n\nTwo"}]},
            {"role": "model", "parts": [{"text": "Three"}]},
            {"role": "user", "parts": [{"text": "Now rhyme.\n\nFour"}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 64,
            "temperature": 0.5,
            "thinkingConfig": {"thinkingLevel": "MINIMAL"},
        },
    }


def test_encode_stream() -> None:
    """Streams are asked for as server-sent events; a model name cannot leave its place in the URL."""
    out = Gemini().encode(ChatRequest((Message("user", "Hi"),)), target("models/x/../y?key=1"), stream=True)
    assert out.url == f"{BASE}/v1beta/models/x%2F..%2Fy%3Fkey%3D1:streamGenerateContent?alt=sse"
    assert out.headers["accept"] == "text/event-stream"
    assert orjson.loads(out.body) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-3.5-flash-lite", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", {"thinkingLevel": "MINIMAL"}),
        ("models/gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}),
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 0}),
        # These refuse it, or do not think.
        ("gemini-3.5-pro", None),
        ("gemini-2.5-pro", None),
        ("gemini-2.5-flash-image", None),
        ("gemini-3.1-flash-tts", None),
        ("gemma-3-27b-it", None),
    ],
)
def test_thinking(model: str, expected: dict[str, object] | None) -> None:
    """Small models think as little as they can, since thinking is taken out of the answer's limit."""
    assert thinking_config(model) == expected


def answer(*parts: object, finish: str | None = "STOP", **top: object) -> dict[str, Any]:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x", **top}


USAGE = {
    "promptTokenCount": 10,
    "toolUsePromptTokenCount": 2,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 24,
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            answer({"text": "hm", "thought": True}, {"text": "Hel"}, {"text": "lo"}, usageMetadata=USAGE),
            Completion("Hello", "gemini-x", "stop", Usage(12, 12, 4, 7)),
        ),
        (answer({"text": "Hi"}, finish="MAX_TOKENS"), Completion("Hi", "gemini-x", "length")),
        (answer({"functionCall": {"name": "f", "args": {}}}), Completion("", "gemini-x", "tool_calls")),
        (answer({"text": "Hi"}, finish="RECITATION"), Completion("Hi", "gemini-x", "content_filter")),
        (answer({"text": "Hi"}, finish="OTHER"), Completion("Hi", "gemini-x", "stop")),
        (answer({"text": "Hi"}, finish="NOVEL_REASON"), Completion("Hi", "gemini-x", "stop")),
        (answer({"text": "Hi"}, finish=None), Completion("Hi", "gemini-x", "stop")),
        # Zero is not sent.
        (
            answer({"text": "Hi"}, usageMetadata={"promptTokenCount": 3}),
            Completion("Hi", "gemini-x", "stop", Usage(3, 0)),
        ),
        (
            answer({"text": "Hi"}, promptFeedback={"blockReason": "BLOCK_REASON_UNSPECIFIED"}),
            Completion("Hi", "gemini-x", "stop"),
        ),
    ],
)
def test_decode(body: object, expected: Completion) -> None:
    """Answers."""
    assert Gemini().decode(reply(body)) == expected


BLOCKS = ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE", "IMAGE_SAFETY", "IMAGE_OTHER")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *(({"candidates": [{"finishReason": reason, "index": 0}]}, ContentBlocked) for reason in BLOCKS),
        *(
            ({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 3}}, ContentBlocked)
            for reason in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "NEWER")
        ),
        # A part already written is withheld as well.
        (answer({"text": "Hi"}, finish="SAFETY"), ContentBlocked),
        (answer({"text": "Hi"}, finish="SPII"), ContentBlocked),
        # No answer.
        (answer(finish="MAX_TOKENS"), MalformedReply),
        (answer({"text": "only thought", "thought": True}), MalformedReply),
        (answer(finish="MALFORMED_FUNCTION_CALL"), MalformedReply),
        (answer(finish="OTHER"), MalformedReply),
        ({"candidates": []}, MalformedReply),
        ({"candidates": [{"content": {}}]}, MalformedReply),
        ({"candidates": [{"content": {"parts": "text"}}]}, MalformedReply),
        ({}, MalformedReply),
        (b"<html>", MalformedReply),
        (b"[]", MalformedReply),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, Unavailable),
    ],
)
def test_decode_failures(body: object, kind: type[ProviderError]) -> None:
    """Blocks, which come as 200, and empty answers are told apart."""
    with pytest.raises(ProviderError) as caught:
        Gemini().decode(reply(body))
    assert type(caught.value) is kind


def decoded(*bodies: object) -> list[Chunk | None]:
    decoder = Gemini().decoder()
    return [decoder.feed(Event("", body if isinstance(body, bytes) else orjson.dumps(body))) for body in bodies]


def test_stream() -> None:
    """Pieces without thoughts, cumulative usage, the finish reason in the last."""
    assert decoded(
        answer({"text": "hm", "thought": True}, finish=None),
        answer({"text": "Hel"}, finish=None, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1}),
        answer({"text": "lo"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2}),
    ) == [
        None,
        Chunk("Hel", None, "gemini-x", Usage(3, 1)),
        Chunk("lo", "stop", "gemini-x", Usage(3, 2)),
    ]


def test_stream_of_a_call() -> None:
    """A call ends with STOP, which may come in a later event."""
    assert decoded(answer({"functionCall": {"name": "f"}}, finish=None), answer()) == [
        None,
        Chunk("", "tool_calls", "gemini-x"),
    ]


@pytest.mark.parametrize(
    ("bodies", "kind"),
    [
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], ContentBlocked),
        ([answer({"text": "Hi"}, finish=None), answer(finish="SAFETY")], ContentBlocked),
        ([answer(finish="RECITATION")], ContentBlocked),
        ([answer({"text": "Hi"}, finish=None), {"error": {"code": 503, "status": "UNAVAILABLE"}}], Unavailable),
        ([{"error": {"message": "m"}}], Unavailable),
        ([b"{"], ValueError),
        ([b"[{}]"], ValueError),
    ],
)
def test_stream_failures(bodies: list[object], kind: type[Exception]) -> None:
    """Failures inside a stream."""
    with pytest.raises(kind):
        decoded(*bodies)


def test_recitation_after_text_ends_the_answer() -> None:
    """What was written before may be shown."""
    assert decoded(answer({"text": "Hi"}, finish=None), answer(finish="RECITATION"))[1] == Chunk(
        "", "content_filter", "gemini-x"
    )


def error(code: int, status: str, message: str = "m", details: list[object] | None = None) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "status": status, "details": details or []}}


def quota(quota_id: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, error(400, "INVALID_ARGUMENT", "Bad field."), RejectedRequest, "Bad field."),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid.", [INVALID_KEY]), BadCredentials, None),
        (400, error(400, "FAILED_PRECONDITION", "location is not supported"), BadCredentials, None),
        (
            400,
            error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            ContextLengthExceeded,
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        ),
        (402, error(402, "X"), QuotaExhausted, None),
        (403, error(403, "PERMISSION_DENIED"), BadCredentials, None),
        (404, error(404, "NOT_FOUND"), ModelNotFound, None),
        (429, error(429, "RESOURCE_EXHAUSTED"), RateLimited, None),
        (429, error(429, "RESOURCE_EXHAUSTED", "m", [quota("GenerateRequestsPerMinute-Free")]), RateLimited, None),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", "m", [RETRY, quota("GenerateRequestsPerDay-Free")]),
            QuotaExhausted,
            None,
        ),
        (500, error(500, "INTERNAL"), Unavailable, None),
        (503, error(503, "UNAVAILABLE"), Unavailable, None),
        (504, error(504, "DEADLINE_EXCEEDED"), Unavailable, None),
        (503, [error(503, "UNAVAILABLE")], Unavailable, None),
        (400, [error(400, "INVALID_ARGUMENT", "In a list.")], RejectedRequest, "In a list."),
        (502, b"<html>", Unavailable, None),
        (429, b"", RateLimited, None),
        (400, {"error": "text"}, RejectedRequest, None),
    ],
)
def test_errors(status: int, body: object, kind: type[ProviderError], message: str | None) -> None:
    """Google's error model; a list of one is unwrapped."""
    found = Gemini().decode_error(reply(body, status))
    assert type(found) is kind
    assert found.http_status == status
    assert found.message == message if message is not None else found.message != "m"


def test_wait() -> None:
    """RetryInfo, unless a header says it."""
    body = error(429, "RESOURCE_EXHAUSTED", "m", [{"@type": "Help"}, RETRY])
    told = Gemini().decode_error(reply(body, 429))
    assert isinstance(told, RateLimited)
    assert told.retry_after_s == pytest.approx(34.07)
    told = Gemini().decode_error(reply(body, 429, **{"retry-after": "2"}))
    assert isinstance(told, RateLimited)
    assert told.retry_after_s == 2
