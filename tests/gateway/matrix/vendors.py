"""The four upstreams: what each is sent for a plain question, and what it does that no behaviour of the fakes shows."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from tests.gateway.matrix.asks import JSON, QUESTION
from tests.upstream import RawStream, Status
from tests.upstream.recorded import Request

HALF = "Half an answer"


class Vendor(Protocol):
    """One upstream. `name` is that of its service; `model` is asked of it."""

    name: str
    model: str

    def plain(self) -> JSON:
        """What it is sent for `QUESTION` and 300 tokens at most."""
        ...

    def says_stream(self, request: Request, *, stream: bool) -> None:
        """Assert that the request asks for a stream, or for none; what says so is taken out of the body."""
        ...

    def temperature(self, value: float) -> JSON:
        """How it is told."""
        ...

    def call_id(self, number: int, index: int) -> str:
        """The id that the fake gives to a call: which request to it, which call of the answer."""
        ...

    def withheld_midway(self) -> RawStream:
        """`HALF`, and then its filter steps in."""
        ...


def sse(*values: object) -> tuple[bytes, ...]:
    return tuple(b"data: %b\n\n" % (value if isinstance(value, bytes) else orjson.dumps(value)) for value in values)


def body_of(request: Request, vendor: Vendor, *, stream: bool) -> Any:
    """The body without what asks for a stream, which is asserted."""
    vendor.says_stream(request, stream=stream)
    return {name: value for name, value in request.json.items() if name not in ("stream", "stream_options")}


def merged(base: JSON, more: Mapping[str, object]) -> JSON:
    """`more` laid over `base`: objects key by key, anything else replaced."""
    found = dict(base)
    for name, value in more.items():
        before = found.get(name)
        found[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


class OpenAI:
    """OpenAI itself, with a model that reasons."""

    name = "openai"
    model = "gpt-5.4-mini"
    prefix = "call_"

    def plain(self) -> JSON:
        messages = [{"role": "user", "content": QUESTION}]
        return {"model": self.model, "messages": messages, "max_completion_tokens": 300}

    def says_stream(self, request: Request, *, stream: bool) -> None:
        body = request.json
        assert body.get("stream") == (True if stream else None)
        assert body.get("stream_options") == ({"include_usage": True} if stream else None)

    def temperature(self, value: float) -> JSON:
        return {"temperature": value}

    def call_id(self, number: int, index: int) -> str:
        return f"call_{number:016x}{0:04x}{index:04x}"

    def chunks(self, *steps: tuple[JSON, str | None]) -> tuple[bytes, ...]:
        """A stream of these deltas and finish reasons, then the usage and the end mark."""
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        values = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}
            for delta, finish in steps
        ]
        usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
        return sse(*values, {**head, "choices": [], "usage": usage}, b"[DONE]")

    def withheld_midway(self) -> RawStream:
        return RawStream(self.chunks(({"role": "assistant", "content": HALF}, None), ({}, "content_filter")))

    def refusing(self, words: str, *, stream: bool) -> RawStream | Status:
        """The model's own refusal, in the field that is for it."""
        if stream:
            first, *rest = words.partition(" ")
            deltas = [({"refusal": word}, None) for word in (first, *rest)]
            return RawStream(self.chunks(({"role": "assistant", "content": None}, None), *deltas, ({}, "stop")))
        message = {"role": "assistant", "content": None, "refusal": words}
        return Status(
            200,
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": self.model,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
                "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
            },
        )

    def interleaved(self, calls: Sequence[tuple[str, str, str]]) -> RawStream:
        """Tool calls, by id, name and arguments, whose pieces come in turns, one character each."""
        steps: list[tuple[JSON, str | None]] = [
            (
                {
                    "tool_calls": [
                        {"index": i, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
                    ]
                },
                None,
            )
            for i, (id, name, _) in enumerate(calls)
        ]
        for at in range(max(len(arguments) for _, _, arguments in calls)):
            steps += [
                ({"tool_calls": [{"index": i, "function": {"arguments": arguments[at]}}]}, None)
                for i, (_, _, arguments) in enumerate(calls)
                if at < len(arguments)
            ]
        return RawStream(self.chunks(({"role": "assistant", "content": None}, None), *steps, ({}, "tool_calls")))


class Groq(OpenAI):
    """An OpenAI-compatible one, with less than OpenAI has."""

    name = "groq"
    model = "openai/gpt-oss-20b"

    def plain(self) -> JSON:
        messages = [{"role": "user", "content": QUESTION}]
        return {"model": self.model, "messages": messages, "max_tokens": 300, "reasoning_effort": "low"}


class Gemini:
    """Google's generateContent, third generation: calls are signed."""

    name = "gemini"
    model = "gemini-3.5-flash-lite"

    def plain(self) -> JSON:
        return {
            "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
            "generationConfig": {"maxOutputTokens": 300, "thinkingConfig": {"thinkingLevel": "MINIMAL"}},
        }

    def says_stream(self, request: Request, *, stream: bool) -> None:
        method = "streamGenerateContent" if stream else "generateContent"
        assert request.path == f"/v1beta/models/{self.model}:{method}"
        assert request.query.get("alt") == (("sse",) if stream else None)

    def temperature(self, value: float) -> JSON:
        return {"generationConfig": {"temperature": value}}

    def call_id(self, number: int, index: int) -> str:
        return f"{number:06x}{index:02x}"

    def withheld_midway(self) -> RawStream:
        said = {"role": "model", "parts": [{"text": HALF}]}
        tail = {"usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12}, "modelVersion": self.model}
        return RawStream(
            sse(
                {"candidates": [{"index": 0, "content": said}], **tail},
                {"candidates": [{"index": 0, "finishReason": "SAFETY"}], **tail},
            )
        )


class Anthropic:
    """Anthropic's Messages."""

    name = "anthropic"
    model = "claude-haiku-4-5"

    def plain(self) -> JSON:
        return {"model": self.model, "max_tokens": 300, "messages": [{"role": "user", "content": QUESTION}]}

    def says_stream(self, request: Request, *, stream: bool) -> None:
        assert request.json.get("stream") == (True if stream else None)
        assert "stream_options" not in request.json

    def temperature(self, value: float) -> JSON:
        return {"temperature": value}

    def call_id(self, number: int, index: int) -> str:
        return f"toolu_{number:020x}{index:04x}"

    def withheld_midway(self) -> RawStream:
        message: JSON = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 1}}
        events: list[JSON] = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": HALF}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "refusal", "stop_sequence": None},
                "usage": {"output_tokens": 3},
            },
            {"type": "message_stop"},
        ]
        return RawStream(tuple(b"event: %b\n%b" % (e["type"].encode(), *sse(e)) for e in events))


OPENAI, GROQ, GEMINI, ANTHROPIC = OpenAI(), Groq(), Gemini(), Anthropic()
VENDORS: Mapping[str, Vendor] = {vendor.name: vendor for vendor in (OPENAI, GROQ, GEMINI, ANTHROPIC)}
