"""The OpenAI wire and its dialects: what goes out, byte for byte, and what each vendor's replies mean."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from providers.base import HttpReply, HttpRequest, Target
from providers.chat import (
    ChatRequest,
    Chunk,
    Completion,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolCallPiece,
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
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from providers.openai_compatible import OpenAICompatible
from providers.openai_dialects import (
    AZURE,
    CEREBRAS,
    COMMON,
    GROQ,
    MISTRAL,
    OPENAI,
    OPENROUTER,
    TOGETHER,
    Dialect,
    azure_classic,
)
from providers.sse import Event

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
TEXT = {"type": "text", "text": "Hi"}
THOUGHTFUL = Completion("Hi", "m-1", "stop", thinking=(Thinking("thoughts"),))
REQUEST = ChatRequest((Message("system", "Be brief."), Message("user", "Hi")), max_tokens=64, temperature=0.5)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def target(model: str = "m", base_url: str = "https://api.test/v1", key: str | None = "sk-1") -> Target:
    return Target("svc", model, OpenAICompatible(), base_url, None if key is None else SecretStr(key))


def reply(body: object, status: int = 200, **headers: str) -> HttpReply:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def sent(
    dialect: Dialect, to: Target, *, stream: bool = False, request: ChatRequest = REQUEST
) -> tuple[str, dict[str, str], Any]:
    out: HttpRequest = OpenAICompatible(dialect).encode(request, to, stream=stream)
    return out.url, dict(out.headers), orjson.loads(out.body)


# Requests


def test_encode_whole() -> None:
    """The common form: nothing but what was asked for."""
    assert sent(COMMON, target()) == (
        "https://api.test/v1/chat/completions",
        {"content-type": "application/json", "accept": "application/json", "authorization": "Bearer sk-1"},
        {"model": "m", "messages": MESSAGES, "max_tokens": 64, "temperature": 0.5},
    )


def test_encode_stream() -> None:
    """A stream always asks for its usage."""
    assert sent(COMMON, target(key=None), stream=True) == (
        "https://api.test/v1/chat/completions",
        {"content-type": "application/json", "accept": "text/event-stream"},
        {
            "model": "m",
            "messages": MESSAGES,
            "max_tokens": 64,
            "temperature": 0.5,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )


def test_encode_leaves_out_what_was_not_asked() -> None:
    """No limit, no temperature: the provider's defaults hold."""
    bare = ChatRequest((Message("user", "Hi"),))
    assert sent(COMMON, target(), request=bare)[2] == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("dialect", "model", "expected"),
    [
        (OPENAI, "gpt-5.4-mini", {"max_completion_tokens": 64}),
        (OPENAI, "gpt-6-luna", {"max_completion_tokens": 64}),
        (OPENAI, "gpt-10", {"max_completion_tokens": 64}),
        (OPENAI, "o3", {"max_completion_tokens": 64}),
        (OPENAI, "o4-mini", {"max_completion_tokens": 64}),
        (OPENAI, "ft:gpt-5-mini:org", {"max_completion_tokens": 64}),
        (AZURE, "gpt-5.4-mini", {"max_completion_tokens": 64}),
        (OPENAI, "gpt-4.1-mini", {"max_tokens": 64, "temperature": 0.5}),
        (OPENAI, "gpt-4o", {"max_tokens": 64, "temperature": 0.5}),
        (OPENAI, "gpt-oss-20b", {"max_tokens": 64, "temperature": 0.5}),
        (OPENAI, "omni", {"max_tokens": 64, "temperature": 0.5}),
        (CEREBRAS, "gpt-oss-120b", {"max_completion_tokens": 64, "temperature": 0.5, "reasoning_effort": "low"}),
        (GROQ, "openai/gpt-oss-20b", {"max_tokens": 64, "temperature": 0.5, "reasoning_effort": "low"}),
        (OPENROUTER, "openai/gpt-5.4-mini", {"max_tokens": 64, "temperature": 0.5}),
    ],
)
def test_limit_and_temperature(dialect: Dialect, model: str, expected: dict[str, object]) -> None:
    """OpenAI's newer models refuse `max_tokens` and any temperature; the rest is as each vendor documents."""
    assert sent(dialect, target(model))[2] == {"model": model, "messages": MESSAGES, **expected}


def test_mistral_is_not_sent_stream_options() -> None:
    """Mistral refuses unknown fields and sends its usage unasked."""
    body = sent(MISTRAL, target(), stream=True)[2]
    assert body == {"model": "m", "messages": MESSAGES, "max_tokens": 64, "temperature": 0.5, "stream": True}


def test_openrouter_names_the_application() -> None:
    """The title is the only header OpenRouter gets beyond the common ones."""
    headers = sent(OPENROUTER, target())[1]
    assert headers["x-openrouter-title"] == "LLM Security Gateway"
    assert set(headers) == {"content-type", "accept", "authorization", "x-openrouter-title"}


PICTURE, SCAN = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0="


@pytest.mark.parametrize("after", [(), (Message("user", "And?"),), (Message("assistant", "I see."),)])
def test_pictures_among_results(after: tuple[Message, ...]) -> None:
    """A tool's result is text on this wire: pictures follow as the user's, after the results of all parallel calls."""
    calls = tuple(ToolCall(id, "look", "{}") for id in ("c1", "c2", "c3"))
    request = ChatRequest(
        (
            Message("user", "Look."),
            Message("assistant", tool_calls=calls),
            Message("tool", (Text("A "), Image(PICTURE, detail="low"), Text("cat.")), tool_call_id="c1"),
            Message("tool", "Nothing.", tool_call_id="c2"),
            Message("tool", (Image("https://x.example/y.png"), File(SCAN, filename="scan.pdf")), tool_call_id="c3"),
            *after,
        )
    )
    shown = [
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}},
        {"type": "file", "file": {"file_data": SCAN, "filename": "scan.pdf"}},
    ]
    assert sent(OPENAI, target("gpt-4o"), request=request)[2]["messages"][2:] == [
        {"role": "tool", "content": "A cat.", "tool_call_id": "c1"},
        {"role": "tool", "content": "Nothing.", "tool_call_id": "c2"},
        {"role": "tool", "content": "", "tool_call_id": "c3"},
        {"role": "user", "content": shown},
        *({"role": message.role, "content": message.content} for message in after),
    ]


def test_pictures_of_each_turn() -> None:
    """They follow the results they came with, not those of a later turn; a result of text alone is followed by none."""
    turns: list[Message] = []
    for id, content in (("c1", (Image(PICTURE),)), ("c2", (Text("No."),)), ("c3", (Image(PICTURE),))):
        turns.append(Message("assistant", tool_calls=(ToolCall(id, "look", "{}"),)))
        turns.append(Message("tool", content, tool_call_id=id))
    messages = sent(MISTRAL, target(), request=ChatRequest((Message("user", "Look."), *turns)))[2]["messages"]
    picture = [{"type": "image_url", "image_url": {"url": PICTURE}}]
    assert [message["role"] for message in messages] == [
        *("user", "assistant", "tool", "user"),
        *("assistant", "tool"),
        *("assistant", "tool", "user"),
    ]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["Look.", picture, picture]


def test_azure_forms() -> None:
    """v1 has the plain path, the classic form the deployment, quoted, and a version; both take `api-key`."""
    url, headers, _ = sent(AZURE, target("dep", "https://r.openai.azure.com/openai/v1"))
    assert url == "https://r.openai.azure.com/openai/v1/chat/completions"
    assert headers == {"content-type": "application/json", "accept": "application/json", "api-key": "sk-1"}
    url, headers, body = sent(azure_classic("2024-10-21"), target("dep/../x?", "https://r.openai.azure.com"))
    path = "/openai/deployments/dep%2F..%2Fx%3F/chat/completions"
    assert url == f"https://r.openai.azure.com{path}?api-version=2024-10-21"
    assert headers["api-key"] == "sk-1"
    assert body["model"] == "dep/../x?"


# Answers


def answer(message: object = None, finish: object = "stop", **top: object) -> dict[str, object]:
    message = {"role": "assistant", "content": "Hello"} if message is None else message
    return {"id": "x", "model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **top}


def test_decode_whole() -> None:
    """All that is read of an answer."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    completion = OpenAICompatible().decode(reply(answer(usage=usage)))
    assert completion == Completion("Hello", "m-1", "stop", Usage(10, 7, 4, 3), None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Content: white space while DeepSeek queues, Mistral's chunks, refusals, calls.
        (b"\n\n  \n" + orjson.dumps(answer()), Completion("Hello", "m-1", "stop")),
        (
            answer({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}, "junk"]}),
            Completion("Hi", "m-1", "stop"),
        ),
        (answer({"content": None, "refusal": "I cannot."}), Completion("I cannot.", "m-1", "stop", refused=True)),
        (
            answer({"content": None, "tool_calls": [CALL | {"index": 0}]}, "tool_calls"),
            Completion("", "m-1", "tool_calls", tool_calls=(ToolCall("call_1", "f", '{"a":1}'),)),
        ),
        (  # Google's signature travels beside the call; a finish of "stop" is put right
            answer({"content": "Hm.", "tool_calls": [CALL | {"extra_content": {"google": {}}}]}),
            Completion(
                "Hm.",
                "m-1",
                "tool_calls",
                tool_calls=(ToolCall("call_1", "f", '{"a":1}', extra={"extra_content": {"google": {}}}),),
            ),
        ),
        (
            answer({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
            Completion("", "m-1", "tool_calls", tool_calls=(ToolCall("call_0", "f", "{}"),)),
        ),
        (
            answer({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, TEXT]}),
            Completion("Hi", "m-1", "stop", thinking=(Thinking("Hm"),)),
        ),
        (answer({"content": "Hi", "reasoning_content": "thoughts"}), THOUGHTFUL),
        (answer({"content": "Hi", "reasoning": "thoughts"}), THOUGHTFUL),
        # Finish reasons.
        (answer(finish="length"), Completion("Hello", "m-1", "length")),
        (answer(finish="model_length"), Completion("Hello", "m-1", "length")),
        (answer(finish="eos"), Completion("Hello", "m-1", "stop")),
        (answer(finish="function_call"), Completion("Hello", "m-1", "tool_calls")),
        (answer(finish="content_filter"), Completion("Hello", "m-1", "content_filter")),
        (answer(finish="novel"), Completion("Hello", "m-1", "stop")),
        (answer(finish=None), Completion("Hello", "m-1", "stop")),
        # Usage and cost.
        (answer(usage=None), Completion("Hello", "m-1", "stop")),
        (answer(usage={"total_tokens": 3}), Completion("Hello", "m-1", "stop")),
        (answer(usage="many"), Completion("Hello", "m-1", "stop")),
        (
            answer(usage={"prompt_tokens": -1, "completion_tokens": True, "prompt_tokens_details": None}),
            Completion("Hello", "m-1", "stop", Usage(0, 0)),
        ),
        (
            answer(usage={"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}),
            Completion("Hello", "m-1", "stop", Usage(9, 2, 8)),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}}),
            Completion("Hello", "m-1", "stop", Usage(3, 2, 3)),
        ),
        (
            answer(
                usage={
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 35,
                    "completion_tokens_details": {"reasoning_tokens": 20},
                }
            ),
            Completion("Hello", "m-1", "stop", Usage(10, 25, 0, 20)),
        ),
        (
            answer(x_groq={"id": "req", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
            Completion("Hello", "m-1", "stop", Usage(3, 2)),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.00014}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), Decimal("0.00014")),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), Decimal(0)),
        ),
        (
            answer(
                usage={
                    "prompt_tokens": 3,
                    "completion_tokens": 2,
                    "cost": 0.01,
                    "is_byok": True,
                    "cost_details": {"upstream_inference_cost": 0.2},
                }
            ),
            Completion("Hello", "m-1", "stop", Usage(3, 2), Decimal("0.21")),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.01, "is_byok": True}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), None),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "estimated_cost": 1.5e-06}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), Decimal("0.0000015")),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": -1}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), None),
        ),
        (
            answer(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": "free"}),
            Completion("Hello", "m-1", "stop", Usage(3, 2), None),
        ),
    ],
)
def test_decode(body: object, expected: Completion) -> None:
    """Vendors' answers, one peculiarity each."""
    assert OpenAICompatible().decode(reply(body)) == expected


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        # No answer.
        (b"", MalformedReply),
        (b"<html>ok</html>", MalformedReply),
        (b"[]", MalformedReply),
        (b'"text"', MalformedReply),
        (b'{"choices": [' + b"[" * 2000, MalformedReply),
        ({}, MalformedReply),
        (answer(choices=[]), MalformedReply),
        (answer(choices=None), MalformedReply),
        (answer(choices=[None]), MalformedReply),
        (answer(choices={"0": 1}), MalformedReply),
        (answer({"content": None}), MalformedReply),
        (answer({"content": ""}, "length"), MalformedReply),
        (answer({"content": [], "tool_calls": []}), MalformedReply),
        (answer({"content": 7}), MalformedReply),
        (answer("text"), MalformedReply),
        (answer({"content": ""}, "content_filter"), ContentBlocked),
        # A failure in a 200.
        ({"error": {"code": 502, "message": "Provider returned error"}}, Unavailable),
        ({"error": {"code": 429, "message": "slow down"}}, RateLimited),
        ({"error": {"code": "502", "message": "as text"}}, Unavailable),
        ({"error": {"code": 402, "message": "no credits"}}, QuotaExhausted),
        ({"error": {"code": 403, "message": "m", "metadata": {"reasons": ["violence"]}}}, ContentBlocked),
        ({"error": {"code": 400, "metadata": {"error_type": "context_length_exceeded"}}}, ContextLengthExceeded),
        ({"error": {"code": "context_length_exceeded", "message": "m"}}, ContextLengthExceeded),
        ({"error": {"code": "insufficient_quota", "message": "m"}}, QuotaExhausted),
        ({"error": {"type": "invalid_request_error", "message": "unexplained"}}, Unavailable),
        ({"error": "text"}, Unavailable),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, RejectedRequest),
        ({"choices": [{"error": {"code": 503, "message": "m"}, "finish_reason": "error"}]}, Unavailable),
        (answer(finish="error"), Unavailable),
        # An answer that says it is not finished: vLLM and SGLang, DeepSeek.
        (answer(finish="abort"), Unavailable),
        (answer({"content": "Half an ans"}, "insufficient_system_resource"), Unavailable),
        (answer(x_groq={"error": "over capacity"}), Unavailable),
    ],
)
def test_decode_failures(body: object, kind: type[ProviderError]) -> None:
    """What is no answer is never taken for one, and a failure keeps its meaning."""
    with pytest.raises(ProviderError) as caught:
        OpenAICompatible().decode(reply(body))
    assert type(caught.value) is kind


# Streams


def chunk(delta: object = None, finish: object = None, **top: object) -> bytes:
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return orjson.dumps({"id": "x", "model": "m-1", "choices": choices, **top})


def decoded(*events: bytes) -> list[Chunk | None]:
    """What each event adds, None for nothing."""
    decoder = OpenAICompatible().decoder()
    found: list[Chunk | None] = []
    for data in events:
        chunks = decoder.feed(Event("", data))
        assert len(chunks) <= 1
        found.append(chunks[0] if chunks else None)
    return found


def test_stream_as_openai_sends_it() -> None:
    """Role, pieces, finish, usage, end; the first event of Azure, with no choices, adds nothing."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert decoded(
        chunk(prompt_filter_results=[], usage=None),
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "Hel"}, usage=None, obfuscation="abc"),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        chunk(usage=usage),
        b"[DONE]",
    ) == [
        None,
        None,
        Chunk("Hel", model="m-1"),
        Chunk("lo", model="m-1"),
        Chunk(finish_reason="stop", model="m-1"),
        Chunk(model="m-1", usage=Usage(5, 2)),
        Chunk(end=True),
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (chunk({"reasoning_content": "Hm"}), Chunk(model="m-1", thinking=Thinking("Hm"))),
        (chunk({"reasoning": "Hm", "content": None}), Chunk(model="m-1", thinking=Thinking("Hm"))),
        (
            chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}),
            Chunk(model="m-1", tool_calls=(ToolCallPiece(0, "", "c", "f"),)),
        ),
        (chunk({"content": [{"type": "text", "text": "Hi"}]}), Chunk("Hi", model="m-1")),
        (chunk({"refusal": "No."}), Chunk("No.", model="m-1", refused=True)),
        (chunk({"content": "Hi"}, "length"), Chunk("Hi", "length", "m-1")),
        (chunk({"content": "Hi"}, ""), Chunk("Hi", None, "m-1")),
        (
            chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
            Chunk("", "stop", "m-1", Usage(3, 2)),
        ),
        (
            chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5}),
            Chunk("", None, "m-1", Usage(3, 2), Decimal("0.5")),
        ),
        (b" [DONE] ", Chunk(end=True)),
        (b"{}", None),
    ],
)
def test_stream_events(event: bytes, expected: Chunk | None) -> None:
    """Vendors' shapes are read alike."""
    assert decoded(event) == [expected]


@pytest.mark.parametrize("event", [b"", b"{", b"[1]", b"null", b'"x"', b"\xff", b"[DONE", b"{}{}"])
def test_unreadable_events(event: bytes) -> None:
    """An event that cannot be read is a `ValueError`, which the cascade skips and counts."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (that it is no ProviderError is the claim)
        decoded(event)
    assert not isinstance(caught.value, ProviderError)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (orjson.dumps({"error": {"message": "boom", "type": "server_error", "code": None}}), Unavailable),
        (orjson.dumps({"error": {"message": "m", "type": "BadRequestError", "code": 400}}), RejectedRequest),
        (orjson.dumps({"error": {"message": "m", "type": "rate_limit_error"}}), RateLimited),
        (chunk({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"}), Unavailable),
        (chunk({}, "error"), Unavailable),
        (chunk({}, "abort"), Unavailable),
        (chunk({"content": "ans"}, "insufficient_system_resource"), Unavailable),
        (chunk({}, None, x_groq={"error": "stopped"}), Unavailable),
        (chunk({}, "content_filter"), ContentBlocked),
    ],
)
def test_stream_failures(event: bytes, kind: type[ProviderError]) -> None:
    """A failure that comes as an event."""
    with pytest.raises(ProviderError) as caught:
        decoded(event)
    assert type(caught.value) is kind


def test_filter_after_text_ends_the_answer() -> None:
    """A filter that cuts a begun answer is its finish reason, not a failure."""
    assert decoded(chunk({"content": "Hi"}), chunk({}, "content_filter"))[1] == Chunk(
        finish_reason="content_filter", model="m-1"
    )


DEEP = b'{"a":' * 300 + b"1" + b"}" * 300
"""What can be read and not be written again."""


def deep(value: dict[str, object]) -> bytes:
    """The same with `DEEP` wherever 0 stands."""
    return orjson.dumps(value).replace(b":0", b":" + DEEP)


def test_depth_that_cannot_be_written_again() -> None:
    """Where nobody needs it, it is left out; arguments that are such an object (Ollama's older versions) are none."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": 0, "x": 1}
    choice = {"finish_reason": "stop", "logprobs": {"content": 0}}
    whole = deep({"choices": [{**choice, "message": {"content": "Hi", "tool_calls": [call]}}]})
    expected = ToolCall("c", "f", "{}", extra={"x": 1})
    completion = OpenAICompatible().decode(reply(whole))
    assert (completion.tool_calls, completion.logprobs) == ((expected,), None)
    [streamed] = decoded(deep({"choices": [{**choice, "delta": {"content": "Hi", "tool_calls": [call]}}]}))
    assert streamed is not None
    assert (streamed.tool_calls, streamed.logprobs) == ((ToolCallPiece(0, "{}", "c", "f", extra={"x": 1}),), None)
    call["function"] = {"name": "f", "arguments": 0}
    with pytest.raises(MalformedReply):
        OpenAICompatible().decode(reply(deep({"choices": [{"message": {"tool_calls": [call]}}]})))


VECTOR = "AACAPwAAAEA="


@pytest.mark.parametrize(
    "vector",
    [
        *([1.0, None], [1.0, "2"], [1.0, True], [1.0, 1e300], [1.0, -1e39], [[1.0]], [], None, {}, 1),
        *("!!!!", "AACAPwAAAE", VECTOR[:8], "AACAPw==\n", ""),
    ],
)
def test_vectors_that_are_none(vector: object) -> None:
    """Numbers that float32 cannot hold, and base64 that holds none: malformed, wherever in the list."""
    good = ([0.5, -3.4e38, 0], VECTOR)
    assert OpenAICompatible().decode_embeddings(reply({"data": [{"embedding": v} for v in good]})).vectors == good
    for data in ([*good, vector], [vector, *good], [vector]):
        with pytest.raises(MalformedReply):
            OpenAICompatible().decode_embeddings(reply({"data": [{"embedding": each} for each in data]}))


# Errors

ERROR_ROWS: list[tuple[Dialect, int, object, type[ProviderError], str | None]] = [
    # OpenAI
    (OPENAI, 400, {"error": {"message": "Bad.", "type": "invalid_request_error", "param": None, "code": None}},
     RejectedRequest, "invalid_request_error"),
    (OPENAI, 400, {"error": {"message": "m", "type": "invalid_request_error", "code": "unsupported_parameter"}},
     UnsupportedParameter, "unsupported_parameter"),
    (OPENAI, 400, {"error": {"message": "m", "type": "invalid_request_error", "code": "unsupported_value"}},
     UnsupportedParameter, "unsupported_value"),
    (OPENAI, 400, {"error": {"message": "m", "type": "invalid_request_error", "code": "context_length_exceeded"}},
     ContextLengthExceeded, "context_length_exceeded"),
    (OPENAI, 400, {"error": {"message": "m", "code": "content_policy_violation"}},
     ContentBlocked, "content_policy_violation"),
    (OPENAI, 400, {"error": {"message": "m", "code": "invalid_prompt"}}, ContentBlocked, "invalid_prompt"),
    (OPENAI, 401, {"error": {"message": "Incorrect API key provided: sk-1", "code": "invalid_api_key"}},
     BadCredentials, "invalid_api_key"),
    (OPENAI, 403, {"error": {"message": "m", "code": "unsupported_country_region_territory"}},
     BadCredentials, "unsupported_country_region_territory"),
    (OPENAI, 403, {"error": {"message": "m", "code": "model_not_found"}}, ModelNotFound, "model_not_found"),
    (OPENAI, 404, {"error": {"message": "m", "code": "model_not_found"}}, ModelNotFound, "model_not_found"),
    (OPENAI, 429, {"error": {"message": "m", "type": "requests", "code": "rate_limit_exceeded"}},
     RateLimited, "rate_limit_exceeded"),
    (OPENAI, 429, {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}},
     QuotaExhausted, "insufficient_quota"),
    (OPENAI, 429, {"error": {"message": "m", "type": "insufficient_quota", "code": "credit_balance_exhausted"}},
     QuotaExhausted, "credit_balance_exhausted"),
    (OPENAI, 429, {"error": {"message": "m", "type": "x", "code": "project_spend_limit_reached"}},
     QuotaExhausted, "project_spend_limit_reached"),
    (OPENAI, 500, {"error": {"message": "m", "type": "server_error", "code": None}}, Unavailable, "server_error"),
    (OPENAI, 503, {"error": {"message": "m", "type": "service_unavailable_error", "code": "slow_down"}},
     Unavailable, "slow_down"),
    # Azure
    (AZURE, 400, {"error": {"code": "content_filter", "message": "m", "status": 400,
                            "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, ContentBlocked, "content_filter"),
    (AZURE, 401, {"error": {"code": "401", "message": "m"}}, BadCredentials, "401"),
    (AZURE, 404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, ModelNotFound, "DeploymentNotFound"),
    (AZURE, 429, {"error": {"code": "429", "message": "m"}}, RateLimited, "429"),
    # Groq
    (GROQ, 413, {"error": {"message": "in organization `org_1` on TPM", "type": "tokens",
                           "code": "rate_limit_exceeded"}}, ContextLengthExceeded, "rate_limit_exceeded"),
    (GROQ, 400, {"error": {"message": "m", "type": "invalid_request_error", "code": "model_decommissioned"}},
     ModelNotFound, "model_decommissioned"),
    (GROQ, 424, {"error": {"message": "m", "type": "x"}}, Unavailable, "x"),
    (GROQ, 498, {"error": {"message": "m", "code": "capacity_exceeded"}}, RateLimited, "capacity_exceeded"),
    (GROQ, 499, {"error": {"message": "m"}}, Unavailable, None),
    # OpenRouter
    (OPENROUTER, 400, {"error": {"code": 400, "message": "x/y is not a valid model ID"}, "user_id": "u"},
     ModelNotFound, None),
    (OPENROUTER, 401, {"error": {"code": 401, "message": "No auth credentials found"}}, BadCredentials, None),
    (OPENROUTER, 402, {"error": {"code": 402, "message": "Insufficient credits"}}, QuotaExhausted, None),
    (OPENROUTER, 403, {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"],
                                                                                "flagged_input": "x"}}},
     ContentBlocked, None),
    (OPENROUTER, 403, {"error": {"code": 403, "message": "Key disabled"}}, BadCredentials, None),
    (OPENROUTER, 400, {"error": {"code": 400, "message": "m", "metadata": {"error_type": "context_length_exceeded"}}},
     ContextLengthExceeded, "context_length_exceeded"),
    (OPENROUTER, 408, {"error": {"code": 408, "message": "m"}}, TimedOut, None),
    (OPENROUTER, 413, {"error": {"code": 413, "message": "m"}}, RejectedRequest, None),
    (OPENROUTER, 524, {"error": {"code": 524, "message": "m"}}, Unavailable, None),
    (OPENROUTER, 529, {"error": {"code": 529, "message": "m"}}, Unavailable, None),
    # Cerebras: flat
    (CEREBRAS, 400, {"message": "Please reduce the length", "type": "invalid_request_error", "param": "messages",
                     "code": "context_length_exceeded"}, ContextLengthExceeded, "context_length_exceeded"),
    (CEREBRAS, 402, {"message": "m", "type": "payment_required"}, QuotaExhausted, "payment_required"),
    (CEREBRAS, 429, {"message": "m", "type": "too_many_requests_error", "code": "queue_exceeded"},
     RateLimited, "queue_exceeded"),
    # DeepInfra
    (COMMON, 429, {"error": {"message": "Model busy, retry later"}}, RateLimited, None),
    (COMMON, 401, {"detail": {"error": "Not authenticated"}}, BadCredentials, None),
    (COMMON, 422, {"detail": [{"loc": ["body", "messages", 0], "msg": "field required", "type": "missing"}]},
     RejectedRequest, "missing"),
    # Together
    (TOGETHER, 403, {"id": "x", "error": {"message": "m", "type": "invalid_request_error"}},
     ContextLengthExceeded, "invalid_request_error"),
    (TOGETHER, 422, {"error": {"message": "`inputs` tokens + `max_new_tokens` must be <= 8193"}},
     ContextLengthExceeded, None),
    # Mistral
    (MISTRAL, 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited",
                    "param": None, "code": "1300"}, RateLimited, "1300"),
    (MISTRAL, 429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
                    "type": "invalid_request_error", "code": "3505"}, Unavailable, "3505"),
    (MISTRAL, 400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
     ModelNotFound, "1500"),
    (MISTRAL, 400, {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
     ContextLengthExceeded, None),
    (MISTRAL, 401, {"detail": "Unauthorized"}, BadCredentials, None),
    # DeepSeek
    (COMMON, 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request"}},
     QuotaExhausted, "invalid_request"),
    # xAI
    (COMMON, 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***1."},
     BadCredentials, None),
    (COMMON, 400, {"code": "Client specified an invalid argument",
                   "error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."},
     ContextLengthExceeded, None),
    (COMMON, 403, {"code": "The caller does not have permission to execute the specified operation",
                   "error": "Content violates usage guidelines. Team: t-1, API key ID: k-1, Failed check: X"},
     ContentBlocked, None),
    (COMMON, 403, {"code": "The caller does not have permission", "error": "No."}, BadCredentials, None),
    # vLLM, Ollama, Google's OpenAI endpoint
    (COMMON, 400, {"error": {"message": "This model's maximum context length is 4096 tokens.",
                             "type": "BadRequestError", "param": None, "code": 400}},
     ContextLengthExceeded, "BadRequestError"),
    (COMMON, 401, {"error": "Unauthorized"}, BadCredentials, None),
    (COMMON, 404, {"error": {"message": "model \"x\" not found", "type": "not_found_error", "code": None}},
     ModelNotFound, "not_found_error"),
    (COMMON, 400, [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT",
                              "details": [{"reason": "API_KEY_INVALID"}]}}], BadCredentials, "INVALID_ARGUMENT"),
    (COMMON, 503, [{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}], Unavailable, "UNAVAILABLE"),
    # Not JSON: a proxy's page, or nothing; the status is all there is.
    *((COMMON, status, b"<html><h1>Bad gateway</h1></html>", Unavailable, None)
      for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 529)),
    (COMMON, 400, b"", RejectedRequest, None),
    (COMMON, 409, b"null", Unavailable, None),
    (COMMON, 410, b"", ModelNotFound, None),
    (COMMON, 413, b"<html>", RejectedRequest, None),
    (COMMON, 429, b"", RateLimited, None),
    (COMMON, 301, b"", MalformedReply, None),
    (COMMON, 204, b"", MalformedReply, None),
    (COMMON, 418, b"", MalformedReply, None),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "status", "body", "kind", "code"), ERROR_ROWS)
def test_errors(dialect: Dialect, status: int, body: object, kind: type[ProviderError], code: str | None) -> None:
    """Each vendor's own words for each failure."""
    error = OpenAICompatible(dialect).decode_error(reply(body, status))
    assert type(error) is kind
    assert (error.http_status, error.code) == (None if kind is TimedOut else status, code)


@pytest.mark.parametrize(("dialect", "status", "body", "kind", "code"), ERROR_ROWS)
def test_only_words_about_the_request_pass(
    dialect: Dialect, status: int, body: object, kind: type[ProviderError], code: str | None
) -> None:
    """A failure of the provider or of our key is told in our own words; organisation, team and key ids never."""
    message = OpenAICompatible(dialect).decode_error(reply(body, status)).message
    assert not any(secret in message for secret in ("sk-1", "org_1", "t-1", "k-1", "<html>"))
    if not issubclass(kind, RejectedRequest):
        said = orjson.dumps(body if not isinstance(body, bytes) else None).decode()
        assert message not in said


def test_sentences_are_cleaned() -> None:
    """Control and direction characters go, line breaks become spaces, length ends at 300."""
    body = {"error": {"message": "Bad\r\nvalue\x00\x1b[31m \u202efor 'x'" + " y" * 400}}
    message = OpenAICompatible().decode_error(reply(body, 400)).message
    assert message.startswith("Bad value[31m for 'x' y y")
    assert len(message) == 300
    assert message.endswith("…")


@pytest.mark.parametrize(
    ("status", "message", "headers", "wait_s"),
    [
        (429, "m", {"retry_after": "7"}, 7.0),
        (429, "Please try again in 11.455s", {}, 11.455),
        (429, "Please try again in 11.455s", {"retry_after_ms": "500"}, 0.5),
        (429, "m", {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "6m0s"}, 360.0),
        (429, "m", {"x_ratelimit_remaining_tokens": "5", "x_ratelimit_reset_tokens": "6m0s"}, None),
        (429, "m", {"retry_after": "junk"}, None),
        (402, "m", {"retry_after": "3"}, 3.0),  # OpenRouter: the budget is in use, not gone
    ],
)
def test_waits(status: int, message: str, headers: dict[str, str], wait_s: float | None) -> None:
    """Where the wait is read from, in order."""
    error = OpenAICompatible().decode_error(reply({"error": {"message": message}}, status, **headers))
    assert type(error) is RateLimited
    assert error.retry_after_s == wait_s


def test_overload_that_says_when() -> None:
    """A 503 with Retry-After must not be asked again at once; without one it may."""
    told = OpenAICompatible().decode_error(reply(b"", 503, retry_after="4"))
    assert isinstance(told, Overloaded)
    assert (told.retry_after_s, told.retry_same, told.counts_as_failure, told.reason) == (
        4.0,
        False,
        True,
        "unavailable",
    )
    assert OpenAICompatible().decode_error(reply(b"", 503)).retry_same is True
