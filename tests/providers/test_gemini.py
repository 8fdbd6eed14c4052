"""Google's generateContent: what goes out, and what its replies mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.base import CountsTokens, Embeds, HttpReply, HttpRequest, ListedModel, ListsModels, Target
from providers.chat import (
    FITS,
    Audio,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    EmbeddingRequest,
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
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    Unavailable,
    UnsupportedParameter,
)
from providers.gemini import Gemini
from providers.gemini_request import SKIP_SIGNATURE, thinking_config
from providers.sse import Event
from tests.providers.conversations import Conversation, Item, assembled, conversations, split, stream, whole

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


SIGNED = {"extra_content": {"google": {"thought_signature": "sig"}}}
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
            Completion("Hello", "gemini-x", "stop", Usage(12, 12, 4, 7), thinking=(Thinking("hm"),)),
        ),
        (answer({"text": "Hi"}, finish="MAX_TOKENS"), Completion("Hi", "gemini-x", "length")),
        (
            answer({"functionCall": {"id": "c1", "name": "f", "args": {"a": [1, "é"]}}, "thoughtSignature": "sig"}),
            Completion("", "gemini-x", "tool_calls", tool_calls=(ToolCall("c1", "f", '{"a":[1,"é"]}', extra=SIGNED),)),
        ),
        # What is cut off is not called whole.
        (
            answer({"functionCall": {"id": "c1", "name": "f"}}, finish="MAX_TOKENS"),
            Completion("", "gemini-x", "length", tool_calls=(ToolCall("c1", "f", "{}"),)),
        ),
        # Several candidates, the first of which has index 0 and does not say so.
        (
            {
                "candidates": [
                    {"index": 1, "content": {"parts": [{"text": "B"}]}, "finishReason": "MAX_TOKENS"},
                    {"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"},
                ]
            },
            Completion("A", "", "stop", others=(Choice("B", "length"),)),
        ),
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
        (answer({"text": "I will call"}, finish="MALFORMED_FUNCTION_CALL"), MalformedReply),
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


def test_thinking_that_left_no_room() -> None:
    """It is said why the answer is empty."""
    body = answer(finish="MAX_TOKENS", usageMetadata=USAGE)
    with pytest.raises(MalformedReply, match="spent on thinking"):
        Gemini().decode(reply(body))
    with pytest.raises(MalformedReply, match="spent on thinking"):
        decoded(body)


def test_a_call_without_an_id_gets_one() -> None:
    """Google need not give any; ours look like OpenAI's and differ."""
    call = {"functionCall": {"name": "f"}}
    first, second = Gemini().decode(reply(answer(call, call))).tool_calls
    assert first.id != second.id
    assert re.fullmatch(r"call_[0-9a-f]{24}", first.id)


def decoded(*bodies: object) -> list[Sequence[Chunk]]:
    decoder = Gemini().decoder()
    return [decoder.feed(Event("", body if isinstance(body, bytes) else orjson.dumps(body))) for body in bodies]


def test_stream() -> None:
    """Thoughts apart, cumulative usage, the finish reason in the last."""
    assert decoded(
        answer({"text": "hm", "thought": True}, finish=None),
        answer({"text": "Hel"}, finish=None, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1}),
        answer({"text": "lo"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2}),
    ) == [
        (Chunk(model="gemini-x", thinking=Thinking("hm")),),
        (Chunk("Hel", None, "gemini-x", Usage(3, 1)),),
        (Chunk("lo", "stop", "gemini-x", Usage(3, 2)),),
    ]


def test_stream_of_a_call() -> None:
    """A call ends with STOP, which may come in a later event."""
    call = {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"}
    assert decoded(answer(call, finish=None), answer(call, finish=None), answer()) == [
        (Chunk(model="gemini-x", tool_calls=(ToolCallPiece(0, '{"a":1}', "c1", "f", extra=SIGNED),)),),
        (Chunk(model="gemini-x", tool_calls=(ToolCallPiece(1, '{"a":1}', "c1", "f", extra=SIGNED),)),),
        (Chunk("", "tool_calls", "gemini-x"),),
    ]


def test_stream_of_candidates() -> None:
    """Each chunk says whose it is; usage, which is of all, comes once."""
    two = {
        "candidates": [
            {"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"},
            {"content": {"parts": [{"text": "B"}]}, "index": 1},
        ],
        "usageMetadata": {"promptTokenCount": 3},
    }
    assert decoded(two, {"candidates": [{"index": 1, "finishReason": "MAX_TOKENS"}]}) == [
        (Chunk("A", "stop"), Chunk("B", usage=Usage(3, 0), choice=1)),
        (Chunk(finish_reason="length", choice=1),),
    ]


def test_stream_of_usage_alone() -> None:
    """It may come after the end."""
    assert decoded({"usageMetadata": {"promptTokenCount": 3}}, {}) == [(Chunk(usage=Usage(3, 0)),), ()]


@pytest.mark.parametrize(
    ("bodies", "kind"),
    [
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], ContentBlocked),
        ([answer({"text": "Hi"}, finish=None), answer(finish="SAFETY")], ContentBlocked),
        ([answer(finish="RECITATION")], ContentBlocked),
        ([answer(finish="OTHER")], MalformedReply),
        ([answer({"text": "Hi"}, finish=None), answer(finish="MALFORMED_FUNCTION_CALL")], MalformedReply),
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
    assert decoded(answer({"text": "Hi"}, finish=None), answer(finish="RECITATION"))[1] == (
        Chunk("", "content_filter", "gemini-x"),
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
        (
            400,
            error(400, "INVALID_ARGUMENT", "Penalty is not enabled for models/gemini-x"),
            UnsupportedParameter,
            "Penalty is not enabled for models/gemini-x",
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


# What goes out

HI = (Message("user", "Hi"),)
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")
OLDER = target("gemini-2.5-flash")


def sent(request: ChatRequest, to: Target | None = None) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(Gemini().encode(request, to or target(), stream=False).body)
    return body


def test_protocols() -> None:
    """Google's wire has all there is."""
    assert isinstance(Gemini(), CountsTokens)
    assert isinstance(Gemini(), ListsModels)
    assert isinstance(Gemini(), Embeds)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Text("a", {"cache_control": {"type": "ephemeral"}}), {"text": "a"}),
        (Image("data:image/jpg;base64,aGk="), {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}}),
        (Audio("aGk=", "wav"), {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}),
        (Audio("aGk=", "mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "aGk="}}),
        (
            File("data:application/pdf;base64,aGk="),
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
        ),
    ],
)
def test_parts(part: Part, said: dict[str, object]) -> None:
    """What is at hand goes inline."""
    request = ChatRequest((Message("user", (part,)),))
    assert Gemini().fit(request, target()) == FITS
    assert sent(request)["contents"] == [{"role": "user", "parts": [said]}]


@pytest.mark.parametrize(
    "part",
    [
        Image("https://x/y"),
        Image("data:text/plain;base64,aGk="),
        Audio("aGk=", "ogg"),
        File("https://x/y.pdf"),
        File("data:application/zip;base64,aGk="),
        File(file_id="file-1"),
    ],
)
def test_parts_refused(part: Part) -> None:
    """What would have to be fetched is not left out in silence."""
    request = ChatRequest((Message("user", (Text("a"), part)),))
    assert Gemini().fit(request, target()) == Fit(refused=("messages",))
    with pytest.raises(UnsupportedParameter):
        sent(request)


CALLS = (
    ToolCall("a", "f", '{"x": 1}', extra=SIGNED),
    ToolCall("b", "g", "", extra={"cache_control": {}}),
    ToolCall("", "h", "[1"),
)


def called(*calls: ToolCall) -> ChatRequest:
    return ChatRequest((*HI, Message("assistant", (Thinking("hm", "sig"), Text("Ok")), tool_calls=calls)))


def test_tools_and_their_results() -> None:
    """Results stand in the order of the calls, in one content; what is no text follows them; thoughts stay here."""
    results = (
        Message("user", "Well?"),
        Message("tool", "no", tool_call_id="b", failed=True),
        Message("tool", (Text('{"y": 2}'), Image("data:image/png;base64,aGk=")), tool_call_id="a"),
    )
    body = sent(ChatRequest((*called(*CALLS).messages, *results)))
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Ok"},
                {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "sig"},
                {"functionCall": {"id": "b", "name": "g", "args": {}}},
                {"functionCall": {"name": "h", "args": {"arguments": "[1"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"output": '{"y": 2}'}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"error": "no"}}},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"text": "Well?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        ("gemini-3.5-flash-lite", SKIP_SIGNATURE),
        ("models/gemini-3-pro-preview", SKIP_SIGNATURE),
        ("gemini-flash-latest", SKIP_SIGNATURE),
        ("gemini-2.5-flash", None),
    ],
)
def test_calls_of_other_models_need_no_signature(model: str, signature: str | None) -> None:
    """The first call of a step is excused in Google's own words, where the model insists."""
    first, second = (part for part in sent(called(*CALLS[1:]), target(model))["contents"][1]["parts"][1:])
    assert first.get("thoughtSignature") == signature
    assert "thoughtSignature" not in second


WEATHER_SENT = {"name": "weather", "description": "Tells it.", "parametersJsonSchema": WEATHER.parameters}
CLOCK_SENT = {"name": "clock"}


@pytest.mark.parametrize(
    ("choice", "tools", "config"),
    [
        (None, [WEATHER_SENT, CLOCK_SENT], None),
        (ToolChoice("none"), [WEATHER_SENT, CLOCK_SENT], {"mode": "NONE"}),
        (ToolChoice("auto"), [WEATHER_SENT, CLOCK_SENT], {"mode": "AUTO"}),
        (ToolChoice("auto", ("clock",)), [CLOCK_SENT], {"mode": "AUTO"}),
        (ToolChoice("required"), [WEATHER_SENT, CLOCK_SENT], {"mode": "ANY"}),
        (
            ToolChoice("required", ("clock", "weather")),
            [WEATHER_SENT, CLOCK_SENT],
            {"mode": "ANY", "allowedFunctionNames": ["clock", "weather"]},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice | None, tools: object, config: object) -> None:
    """The choice among tools; names go with ANY only, so for AUTO the tools are fewer."""
    request = ChatRequest(HI, tools=(WEATHER, CLOCK), tool_choice=choice)
    body = sent(request)
    assert body["tools"] == [{"functionDeclarations": tools}]
    assert body.get("toolConfig") == (None if config is None else {"functionCallingConfig": config})
    assert Gemini().fit(request, target()) == FITS


@pytest.mark.parametrize(
    ("output", "config"),
    [
        (OutputFormat(), {"responseMimeType": "application/json"}),
        (OutputFormat({"a": 1}), {"responseMimeType": "application/json", "responseJsonSchema": {"a": 1}}),
    ],
)
def test_output(output: OutputFormat, config: dict[str, object]) -> None:
    """JSON of any kind, or by a schema."""
    assert sent(ChatRequest(HI, output=output), target("gemma-3-27b-it"))["generationConfig"] == config


@pytest.mark.parametrize(
    ("request_", "to", "fit"),
    [
        (ChatRequest(HI, n=9), target(), Fit(refused=("n",))),
        (ChatRequest(HI, stop=("1", "2", "3", "4", "5", "6")), target(), Fit(refused=("stop",))),
        (ChatRequest(HI, tools=(CLOCK,), output=OutputFormat()), OLDER, Fit(refused=("response_format",))),
        (ChatRequest(HI, tools=(CLOCK,), output=OutputFormat()), target(), FITS),
        (ChatRequest(HI, tools=(Tool("x", native=("anthropic", {})),)), target(), Fit(refused=("tools",))),
        (
            ChatRequest(HI, tools=(CLOCK,), tool_choice=ToolChoice("auto", ("x",))),
            target(),
            Fit(refused=("tool_choice",)),
        ),
        (ChatRequest(HI, tool_choice=ToolChoice("required")), target(), Fit(dropped=("tool_choice",))),
        (ChatRequest(HI, parallel_tool_calls=False), target(), Fit(dropped=("parallel_tool_calls",))),
        (ChatRequest(HI, parallel_tool_calls=True), target(), FITS),
        (ChatRequest(HI, reasoning_effort="high"), target("gemma-3-27b-it"), Fit(dropped=("reasoning_effort",))),
        (ChatRequest(HI, reasoning_effort="default"), target(), Fit(dropped=("reasoning_effort",))),
        (ChatRequest(HI, options={"seed": 2**31}), target(), Fit(dropped=("seed",))),
        (ChatRequest(HI, options={"seed": None}), target(), FITS),
        (ChatRequest(HI, options={"thinking": {"type": "adaptive"}}), target(), Fit(dropped=("thinking",))),
        (ChatRequest(HI, options={"thinking": {"type": "enabled"}}, reasoning_effort="low"), target(), FITS),
        (ChatRequest(HI, unknown={"contents": 1, "labels": {}}), target(), Fit(dropped=("contents", "labels"))),
    ],
)
def test_fit(request_: ChatRequest, to: Target, fit: Fit) -> None:
    """What is refused, what is dropped."""
    assert Gemini().fit(request_, to) == fit


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-3.8-flash", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-3.8-flash", "xhigh", {"thinkingLevel": "HIGH"}),
        ("gemini-3.5-pro", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3.5-pro", "max", {"thinkingLevel": "HIGH"}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("models/gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-3-pro-image", "high", None),
        ("gemma-3-27b-it", "high", None),
    ],
)
def test_effort(model: str, effort: str, expected: dict[str, object] | None) -> None:
    """Levels or tokens, by generation."""
    config = sent(ChatRequest(HI, reasoning_effort=effort), target(model)).get("generationConfig", {})
    assert config.get("thinkingConfig") == expected


PATHS: Mapping[str, Sequence[str]] = {
    "temperature": ("generationConfig.temperature",),
    "stop": ("generationConfig.stopSequences",),
    "n": ("generationConfig.candidateCount",),
    "tools": ("tools",),
    "tool_choice": ("toolConfig",),
    "response_format": ("generationConfig.responseMimeType",),
    "reasoning_effort": ("generationConfig.thinkingConfig",),
    "top_p": ("generationConfig.topP",),
    "top_k": ("generationConfig.topK",),
    "seed": ("generationConfig.seed",),
    "presence_penalty": ("generationConfig.presencePenalty",),
    "frequency_penalty": ("generationConfig.frequencyPenalty",),
    "mine": ("mine",),
    "theirs": ("theirs",),
}
REQUESTS = st.builds(
    ChatRequest,
    st.just(HI),
    max_tokens=st.sampled_from([None, 64]),
    temperature=st.sampled_from([None, 0.3, 1.5]),
    stop=st.sampled_from([(), ("END",), ("1", "2", "3", "4", "5", "6")]),
    n=st.sampled_from([1, 2, 9]),
    tools=st.sampled_from([(), (CLOCK, WEATHER)]),
    tool_choice=st.sampled_from([None, ToolChoice("auto"), ToolChoice("required", ("clock",))]),
    output=st.sampled_from([None, OutputFormat(), OutputFormat({"type": "object"})]),
    reasoning_effort=st.sampled_from([None, "none", "high"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "top_p": st.just(0.5),
            "top_k": st.just(3),
            "seed": st.sampled_from([7, 2**40]),
            "presence_penalty": st.just(1),
            "frequency_penalty": st.just(0),
            "logprobs": st.just(True),
            "top_logprobs": st.just(2),
            "user": st.just("u"),
            "thinking": st.just({"type": "adaptive"}),
            "metadata": st.just({"a": "b"}),
        },
    ),
    unknown=st.sampled_from([{}, {"mine": 1}, {"mine": 1, "theirs": 2}]),
)
MODELS = ["gemini-3.5-flash-lite", "gemini-3.5-pro", "gemini-2.5-flash", "gemma-3-27b-it"]


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
    to = Target("gemini", model, Gemini(), BASE, allow_fields=frozenset({"mine"}))
    fit = Gemini().fit(request_, to)
    names = asked(request_)
    assert {*fit.dropped, *fit.refused} <= names
    if fit.refused:
        with pytest.raises(UnsupportedParameter):
            sent(request_, to)
        return
    body = sent(request_, to)
    found = {*body} | {f"generationConfig.{name}" for name in body.get("generationConfig", {})}
    for name in names:
        if name in fit.dropped or name == "thinking":
            assert not found.intersection(PATHS.get(name, ())), name
        else:
            assert found.intersection(PATHS[name]), name
    allowed = {path for name in names for path in PATHS.get(name, ())}
    rest = {"contents", "generationConfig", "generationConfig.maxOutputTokens", "generationConfig.thinkingConfig"}
    assert found <= allowed | rest | {"generationConfig.responseJsonSchema"}


# Read back


def read(body: dict[str, Any]) -> list[Item]:
    """What Google reads, by its schema: unknown keys, blank texts and results in another number are refused there."""
    items: list[Item] = []
    awaited: list[tuple[str, str]] = []
    for number, turn in enumerate(body["contents"]):
        assert turn.keys() == {"role", "parts"}
        assert turn["role"] == ("user", "model")[number % 2]
        role = ("user", "assistant")[number % 2]
        results = [part["functionResponse"] for part in turn["parts"] if "functionResponse" in part]
        assert [(result["id"], result["name"]) for result in results] == awaited
        awaited = []
        signed = False
        for part in turn["parts"]:
            match part:
                case {"text": str(text), **rest} if text.strip():
                    items.append((role, "text", text))
                case {"inlineData": {"mimeType": kind, "data": data}, **rest}:
                    items.append((role, "image", f"data:{kind};base64,{data}"))
                case {"functionCall": {"id": str(id), "name": str(name), "args": dict(given)}, **rest}:
                    signed = signed or rest.pop("thoughtSignature", None) is not None
                    assert signed
                    awaited.append((id, name))
                    items.append((role, "call", id, name, given))
                case {"functionResponse": {"id": str(id), "name": str(name), "response": response}, **rest}:
                    [(key, text)] = response.items()
                    assert key in ("output", "error")
                    items.append((role, "result", id, name, key == "error", text))
                case _:
                    raise AssertionError(part)
            assert not rest
    return items


@given(conversations())
def test_a_conversation_is_read_back(conversation: Conversation) -> None:
    """Nothing is lost or moved between the internal form and Google's."""
    assert read(sent(ChatRequest(conversation.messages))) == conversation.items


# Streams


def test_stream_equals_the_whole() -> None:
    """However its bytes are split."""
    parts: list[dict[str, Any]] = [
        {"text": "Let me see.", "thought": True},
        {"text": "Né 🌤"},
        {"functionCall": {"id": "c1", "name": "f", "args": {"city": "Köln"}}, "thoughtSignature": "sig"},
        {"functionCall": {"id": "c2", "name": "g"}},
    ]
    bodies = [
        answer({"text": "Let me ", "thought": True}, finish=None),
        answer({"text": "see.", "thought": True}, {"text": "N"}, finish=None, usageMetadata={"promptTokenCount": 10}),
        answer({"text": "é 🌤"}, finish=None),
        answer(parts[2], finish=None),
        answer(parts[3], finish=None),
        answer({"text": ""}, usageMetadata=USAGE),
    ]
    data = stream(("", body) for body in bodies)
    expected = Gemini().decode(reply(answer(*parts, usageMetadata=USAGE)))
    assert [call.id for call in expected.tool_calls] == ["c1", "c2"]
    for pieces in split(data):
        assert assembled(whole(pieces, Gemini().decoder())) == expected


# The rest of the wire


def test_count() -> None:
    """The whole request, with the name of the model in it."""
    out = Gemini().encode_count(ChatRequest((Message("system", "S"), *HI), n=9, tools=(CLOCK,)), OLDER)
    assert out.url == f"{BASE}/v1beta/models/gemini-2.5-flash:countTokens"
    assert orjson.loads(out.body) == {
        "generateContentRequest": {
            "model": "models/gemini-2.5-flash",
            "systemInstruction": {"parts": [{"text": "S"}]},
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "tools": [{"functionDeclarations": [CLOCK_SENT]}],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
        }
    }
    assert Gemini().decode_count(reply({"totalTokens": 12})) == 12
    with pytest.raises(MalformedReply):
        Gemini().decode_count(reply({}))


def test_embeddings() -> None:
    """One call for all texts."""
    to = target("gemini-embedding-001")
    out = Gemini().encode_embeddings(EmbeddingRequest(["a", "b"], dimensions=2, base64=True, user="u"), to)
    assert (out.url, out.method) == (f"{BASE}/v1beta/models/gemini-embedding-001:batchEmbedContents", "POST")
    name = "models/gemini-embedding-001"
    assert orjson.loads(out.body) == {
        "requests": [
            {"model": name, "content": {"parts": [{"text": text}]}, "outputDimensionality": 2} for text in "ab"
        ]
    }
    found = Gemini().decode_embeddings(reply({"embeddings": [{"values": [1, 0.5]}, {"values": [0, 1]}]}))
    assert (found.vectors, found.usage) == (((1.0, 0.5), (0.0, 1.0)), None)
    counted = {"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": 3}}
    assert Gemini().decode_embeddings(reply(counted)).usage == Usage(3, 0)


def test_embeddings_refused() -> None:
    """Tokens, and more texts than one call takes, are for another provider."""
    for request in (EmbeddingRequest([[1, 2]]), EmbeddingRequest(["a"] * 101)):
        with pytest.raises(UnsupportedParameter):
            Gemini().encode_embeddings(request, target())


@pytest.mark.parametrize(
    "body",
    [{}, {"embeddings": []}, {"embeddings": [{"values": []}]}, {"embeddings": [{"values": [1, "x"]}]}, b"<html>"],
)
def test_no_vectors(body: object) -> None:
    """A vector that is none is no answer."""
    with pytest.raises(MalformedReply):
        Gemini().decode_embeddings(reply(body))


def test_models() -> None:
    """Those that answer or embed, without their prefix."""
    assert Gemini().encode_models(target()) == HttpRequest(
        f"{BASE}/v1beta/models?pageSize=1000",
        {"accept": "application/json", "x-goog-api-key": "AIza-1"},
        method="GET",
    )
    models = [
        {"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embed-x", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/aqa", "supportedGenerationMethods": ["generateAnswer"]},
        {"name": "models/unsaid"},
        {},
    ]
    assert Gemini().decode_models(reply({"models": models})) == [
        ListedModel("gemini-x", "google"),
        ListedModel("embed-x", "google"),
        ListedModel("unsaid", "google"),
    ]
