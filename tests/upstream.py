"""
A provider that answers, refuses or breaks exactly as told: a real HTTP/1.1 server on a loopback port.

One `Upstream` is one provider's host. By path it speaks Gemini, the OpenAI family (Groq under `/openai/v1`, OpenRouter
under `/api/v1`, Google's compatible endpoint under `/v1beta/openai`), Anthropic, Lakera Guard and OpenAI moderation.
It is never more lenient than the vendor: what the vendor refuses is refused here in the vendor's words and noted in
`refused`. What it does with a sound request is taken from a queue, then from a default:

    async with Upstream() as up:
        up.answers.push(Status(429, retry_after_s=2), DieAfter(tokens=40))   # the first two calls; then up.default

Safety verdicts (Lakera, moderation, and Gemini asked with a `responseSchema`) come from `up.verdicts` in the same way.
"""

import asyncio
import re
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

import httptools
import orjson

Json = dict[str, Any]
Finish = Literal["stop", "length", "content_filter"]
Kind = Literal["chat", "verdict", "unknown"]

SIXTY_WORDS = (
    "Every morning the old lighthouse keeper climbs ninety narrow steps, polishes one great glass lens, winds a brass "
    "clock and writes down how wind, waves, clouds behaved overnight. Ships passing far below never learn his name, "
    "yet their captains trust that steady beam more than any chart, because someone patient has kept it burning "
    "through each long winter storm alone."
)
"""Sixty words, no two alike: a lost, doubled or reordered one shows."""


# What to do with a request.


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A whole, healthy answer; in a stream each word is one event.

    Cut as the request's stop sequences and token limit demand (a word is a token). If the request ends with an
    assistant turn that `text` begins with, only the rest is sent, as a model continues a prefill.
    """

    text: str = SIXTY_WORDS
    input_tokens: int = 12
    """Cached ones included."""
    output_tokens: int | None = None
    """Visible ones, without reasoning. None: as many as words were sent."""
    finish: Finish = "stop"
    model: str | None = None
    """None: the one that was asked for."""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """OpenRouter's `usage.cost`; the other wires have no place for it."""
    pause_s: float = 0.0
    """Before each word of a stream."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a safety service thinks: scores in 0..1. `flagged` (Lakera, moderation) None: some score is at least 0.5."""

    sexual: float = 0.0
    hate: float = 0.0
    harassment: float = 0.0
    dangerous: float = 0.0
    civic: float = 0.0
    reason: str = ""
    flagged: bool | None = None
    detectors: tuple[str, ...] = ()
    """Lakera detector types that say `detected`, besides those the scores imply."""

    @property
    def is_flagged(self) -> bool:
        if self.flagged is not None:
            return self.flagged
        return bool(self.detectors) or max(self.sexual, self.hate, self.harassment, self.dangerous, self.civic) >= 0.5


@dataclass(frozen=True, slots=True)
class Status:
    """
    An answer of that code. `body` None: the vendor's own error body for it; bytes are sent as they are.

    `retry_after_s` is told in the vendor's way: a Retry-After header, at Gemini a RetryInfo detail.
    """

    code: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class BadKey:
    """What the vendor says to a wrong key, whatever key was sent."""


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """What the vendor says to a prompt larger than the model's window."""


@dataclass(frozen=True, slots=True)
class QuotaSpent:
    """What the vendor says when money or the day's quota is gone."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The vendor's own filter refuses the prompt."""


@dataclass(frozen=True, slots=True)
class EmptyCandidates:
    """200, well formed, and no answer in it."""


@dataclass(frozen=True, slots=True)
class ErrorIn200:
    """200 whose body or first event is an error."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """200 whose body is not JSON, though it says so."""


@dataclass(frozen=True, slots=True)
class Html502:
    """502 with a page, as from a CDN."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST) before a byte."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing at all until `release()`; then the ordinary answer."""


@dataclass(frozen=True, slots=True)
class HeadersThenSilence:
    """Status and headers, then nothing until `release()`; then the ordinary answer."""


@dataclass(frozen=True, slots=True)
class SlowFirstByte:
    """Nothing for a while, then the answer."""

    seconds: float
    answer: Answer | Verdict | None = None


@dataclass(frozen=True, slots=True)
class TruncatedBody:
    """Less is sent than Content-Length (in a stream: the chunk size) promised, then the connection closes."""

    answer: Answer | Verdict | None = None


# The following are about streams; a request that is not streamed gets the nearest thing, as said.


@dataclass(frozen=True, slots=True)
class LateFirstToken:
    """Headers at once, the answer later. `preamble`: what precedes text (role chunk, ping) is sent at once, too."""

    seconds: float
    preamble: bool = False
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class DieAfter:
    """The connection closes (`reset`: is reset) after so many tokens; unstreamed: halfway through the body."""

    tokens: int = 40
    reset: bool = False
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class SilentAfter:
    """Nothing more after so many tokens until `release()`, then the rest; unstreamed: halfway through the body."""

    tokens: int = 20
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An event that is not JSON comes before that token (from 1), none is lost; unstreamed: `Garbage`."""

    at: int = 10
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class NoDone:
    """No end mark (`[DONE]`, `message_stop`; Gemini has none). `hold_open`: the body does not end either."""

    hold_open: bool = False
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class ErrorEventAfter:
    """After so many tokens an error event, then the end without a mark; unstreamed: `ErrorIn200`."""

    tokens: int = 20
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class SplitBytes:
    """So many bytes of the body at a time; in a stream each piece is a chunk of its own, however it cuts an event."""

    size: int
    answer: Answer | Verdict | None = None


@dataclass(frozen=True, slots=True)
class RawStream:
    """A stream of exactly these bytes, one chunk each: for what a vendor does and no other behaviour shows."""

    frames: tuple[bytes, ...]


Behaviour = (
    Answer
    | Verdict
    | Status
    | BadKey
    | ContextTooLong
    | QuotaSpent
    | Blocked
    | EmptyCandidates
    | ErrorIn200
    | Garbage
    | Html502
    | Reset
    | Silence
    | HeadersThenSilence
    | SlowFirstByte
    | TruncatedBody
    | LateFirstToken
    | DieAfter
    | SilentAfter
    | MalformedEvent
    | NoDone
    | ErrorEventAfter
    | SplitBytes
    | RawStream
)


class Queue:
    """Behaviours for the next requests, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Behaviour] = deque()

    def push(self, *behaviours: Behaviour) -> None:
        self._waiting.extend(behaviours)

    def take(self, default: Behaviour) -> Behaviour:
        return self._waiting.popleft() if self._waiting else default

    def clear(self) -> None:
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)


# What came in.


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. `headers` have lower-case names and every value; `time` is `time.monotonic()`."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    time: float
    kind: Kind

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the only value of a header. Raises `AssertionError` if it was sent twice."""
        values = self.headers.get(name.lower(), ())
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request the vendor would not take, and what it was told."""

    request: Request
    status: int
    message: str


# How each vendor says it.


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


class Refused(Exception):
    """The request breaks the vendor's rules."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.content.decode())
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Call:
    """A sound request, read."""

    number: int
    model: str
    stream: bool = False
    verdict: bool = False
    limit: int | None = None
    stop: tuple[str, ...] = ()
    prefill: str = ""
    include_usage: bool = False
    array: bool = False
    """Gemini without `alt=sse`: one JSON array instead of events."""
    body: Json = field(default_factory=dict)

    @property
    def hex(self) -> str:
        return f"{self.number:024x}"


@dataclass(frozen=True, slots=True)
class Event:
    data: Json | bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """A stream: what precedes the text, one event per token, what follows, and the end mark."""

    head: tuple[Event, ...]
    tokens: tuple[Event, ...]
    tail: tuple[Event, ...]
    end: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator of this host allows."""

    key: str | None
    requires_key: bool
    models: frozenset[str] | None
    prefill: bool


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def fit(call: Call, answer: Answer) -> tuple[list[str], Answer]:
    """Return the words to send, and the answer as it became by prefill, stop sequences and the token limit."""
    text, finish = answer.text, answer.finish
    prefill = call.prefill.rstrip()
    if prefill and text.startswith(prefill):
        text = text[len(call.prefill) :] if text.startswith(call.prefill) else text[len(prefill) :].lstrip()
    for mark in call.stop:
        text = text.partition(mark)[0]
    words = re.findall(r"\s*\S+|\s+", text)
    if call.limit is not None and len(words) > call.limit:
        words, finish = words[: call.limit], "length"
    if finish == "content_filter":
        words = []
    tokens = len(words) if answer.output_tokens is None else answer.output_tokens
    return words, replace(
        answer, text="".join(words), finish=finish, output_tokens=tokens, model=answer.model or call.model
    )


def bearer(request: Request) -> str:
    scheme, _, key = (request.header("authorization") or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def texts(content: object) -> Iterator[str]:
    """Yield the texts of a message's content: a string, or parts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


class Wire:
    """One vendor's way of reading and writing. Stateless."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {}
    """By name: status, the vendor's word for it, message."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        """Check as the vendor checks. Raises `Refused`."""
        raise NotImplementedError

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        """The vendor's body for a status."""
        raise NotImplementedError

    def fault(self, name: str, call: Call | None = None) -> Reply:
        status, code, message = self.faults[name]
        return self.error(status, message.format(model=call.model if call else ""), code=code)

    def limited(self, status: int, retry_after_s: float) -> Reply:
        reply = self.error(status)
        return replace(reply, headers={**reply.headers, "retry-after": f"{retry_after_s:g}"})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        raise NotImplementedError

    def script(self, call: Call, answer: Answer) -> Script:
        raise NotImplementedError

    def blocked(self, call: Call) -> Reply:
        return self.fault("blocked", call)

    def empty(self, call: Call) -> Json:
        raise NotImplementedError

    def empty_script(self, call: Call) -> Script:
        raise NotImplementedError

    def failure(self, call: Call) -> Event:
        """The event that reports a failure once a stream has begun."""
        body = self.error(500).body
        assert isinstance(body, dict)
        return Event(body)

    def load(self, request: Request) -> Json:
        if (request.header("content-type") or "").partition(";")[0].strip() != "application/json":
            raise Refused(self.error(400, "The content type must be application/json."))
        try:
            body = request.json
        except orjson.JSONDecodeError as error:
            raise Refused(self.error(400, f"The request body is not valid JSON: {error}")) from error
        if not isinstance(body, dict):
            raise Refused(self.error(400, "The request body must be a JSON object."))
        return body

    def check_key(self, key: str, rules: Rules) -> None:
        if rules.requires_key and not key:
            raise Refused(self.fault("no_key"))
        if rules.key is not None and key != rules.key:
            raise Refused(self.fault("bad_key"))

    def check_range(self, name: str, value: object, low: float, high: float) -> None:
        # bool is an int to Python but not to JSON.
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Refused(self.error(400, f"Invalid '{name}': must be a number from {low:g} to {high:g}."))


class OpenAIWire(Wire):
    """
    Chat completions as OpenAI's specification has them.

    Sources: CreateChatCompletionRequest, -Response and -StreamResponse; unknown arguments, and `max_tokens` and
    `temperature` for the reasoning models, are refused as the API refuses them.
    """

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "You didn't provide an API key. You need to provide it in an Authorization header."),
        "bad_key": (401, "invalid_api_key", "Incorrect API key provided."),
        "context": (
            400,
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        ),
        "blocked": (400, "content_policy_violation", "Your request was rejected as a result of our safety system."),
        "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
        "model": (404, "model_not_found", "The model `{model}` does not exist or you do not have access to it."),
    }
    types: ClassVar[Mapping[int, tuple[str, str | None, str]]] = {
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        403: ("request_forbidden", "unsupported_country_region_territory", "Country or region not supported."),
        404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
        429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
        500: ("server_error", None, "The server had an error while processing your request."),
        503: ("service_unavailable_error", "server_is_overloaded", "The server is currently overloaded."),
    }
    fields: ClassVar[frozenset[str] | None] = word_set(
        "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages "
        "metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
        "prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed "
        "service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
        "web_search_options"
    )
    always_usage: ClassVar[bool] = False

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(bearer(request), rules)
        body = self.load(request)
        for name in ("model", "messages"):
            if not body.get(name):
                raise Refused(
                    self.error(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter")
                )
        unknown = set() if self.fields is None else set(body) - self.fields
        if unknown:
            raise Refused(self.error(400, f"Unrecognized request argument supplied: {min(unknown)}"))
        self.check_messages(body["messages"])
        self.check_parameters(body)
        model = body["model"]
        if not isinstance(model, str):
            raise Refused(self.error(400, "Invalid type for 'model': expected a string.", code="invalid_type"))
        if rules.models is not None and model not in rules.models:
            raise Refused(self.fault("model", Call(number, model)))
        last = body["messages"][-1]
        prefill = "".join(texts(last.get("content"))) if last["role"] == "assistant" else ""
        if prefill and not rules.prefill:
            raise Refused(self.error(400, "The last message must have role 'user' or 'tool'."))
        stop = body.get("stop") or ()
        limit = body.get("max_completion_tokens")
        return Call(
            number,
            model,
            stream=body.get("stream") is True,
            limit=body.get("max_tokens") if limit is None else limit,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            prefill=prefill,
            include_usage=self.always_usage or bool((body.get("stream_options") or {}).get("include_usage")),
            body=body,
        )

    def check_messages(self, messages: object) -> None:
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise Refused(self.error(400, "Invalid type for 'messages': expected an array.", code="invalid_type"))
        for index, message in enumerate(messages):
            role, content = message.get("role"), message.get("content")
            if role not in {"developer", "system", "user", "assistant", "tool", "function"}:
                raise Refused(self.error(400, f"Invalid value for 'messages[{index}].role'.", code="invalid_value"))
            # Only an assistant turn, which may hold tool calls instead, can do without content.
            if not isinstance(content, str | list) and (role != "assistant" or content is not None):
                raise Refused(self.error(400, f"Invalid type for 'messages[{index}].content'.", code="invalid_type"))

    def check_parameters(self, body: Json) -> None:
        self.check_range("temperature", body.get("temperature"), 0, 2)
        self.check_range("top_p", body.get("top_p"), 0, 1)
        self.check_range("n", body.get("n"), 1, 128)
        for name in ("max_tokens", "max_completion_tokens"):
            self.check_range(name, body.get(name), 1, 2**31)
        if isinstance(body.get("stop"), list) and len(body["stop"]) > 4:
            raise Refused(self.error(400, "Invalid 'stop': array too long. Expected at most 4 items."))
        if body.get("stream_options") is not None and body.get("stream") is not True:
            raise Refused(self.error(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled."))
        if re.match(r"gpt-[5-9]|o\d", str(body.get("model"))):
            if body.get("max_tokens") is not None:
                message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
                raise Refused(self.error(400, message, code="unsupported_parameter"))
            if body.get("temperature") not in (None, 1):
                message = "Unsupported value: 'temperature'. Only the default (1) value is supported."
                raise Refused(self.error(400, message, code="unsupported_value"))

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        other = "server_error" if status >= 500 else "invalid_request_error"
        kind, usual, text = self.types.get(status, (other, None, "The request failed."))
        if code == "insufficient_quota":
            kind = code
        shown = (usual if not message else None) if code is None else code or None
        body = {"error": {"message": message or text, "type": kind, "param": None, "code": shown}}
        return Reply(status, body, {"x-request-id": "req_0123456789abcdef"})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            "x-request-id": f"req_{call.hex}",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms",
        }

    def usage(self, answer: Answer) -> Json:
        assert answer.output_tokens is not None
        completion = answer.output_tokens + answer.reasoning_tokens
        return {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": completion,
            "total_tokens": answer.input_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
        }

    def base(self, call: Call, answer: Answer, kind: str) -> Json:
        return {"id": f"chatcmpl-{call.hex}", "object": kind, "created": int(time.time()), "model": answer.model}

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        assert isinstance(answer, Answer), "a chat was given a verdict"
        _, answer = fit(call, answer)
        message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
        return {**self.base(call, answer, "chat.completion"), "choices": [choice], "usage": self.usage(answer)}

    def chunk(self, call: Call, answer: Answer, delta: Json | None, finish: str | None = None) -> Json:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        usage = {"usage": None} if call.include_usage else {}
        return {**self.base(call, answer, "chat.completion.chunk"), "choices": choices, **usage}

    def script(self, call: Call, answer: Answer) -> Script:
        words, answer = fit(call, answer)
        tail = [Event(self.chunk(call, answer, {}, answer.finish))]
        if call.include_usage:
            tail.append(Event({**self.chunk(call, answer, None), "usage": self.usage(answer)}))
        return Script(
            head=(Event(self.chunk(call, answer, {"role": "assistant", "content": ""})),),
            tokens=tuple(Event(self.chunk(call, answer, {"content": word})) for word in words),
            tail=tuple(tail),
            end=(Event(b"[DONE]"),),
        )

    def empty(self, call: Call) -> Json:
        return {**self.whole(call, Answer(text="")), "choices": []}

    def empty_script(self, call: Call) -> Script:
        _, answer = fit(call, Answer(text=""))
        return Script((), (), (Event(self.chunk(call, answer, None)),), (Event(b"[DONE]"),))


class GroqWire(OpenAIWire):
    """Groq: `x_groq`, arguments it does not support, and its statuses 413, 424 and 498."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        **OpenAIWire.faults,
        "no_key": (401, "invalid_api_key", "Invalid API Key"),
        "bad_key": (401, "invalid_api_key", "Invalid API Key"),
        "context": (400, "context_length_exceeded", "Please reduce the length of the messages or completion."),
    }
    types: ClassVar[Mapping[int, tuple[str, str | None, str]]] = {
        **OpenAIWire.types,
        401: ("invalid_request_error", "invalid_api_key", "Invalid API Key"),
        403: ("permissions_error", None, "Forbidden"),
        429: ("tokens", "rate_limit_exceeded", "Rate limit reached on tokens per minute (TPM): Limit 8000, Used 8000."),
        498: ("flex_capacity", "capacity_exceeded", "Flex tier capacity exceeded."),
        500: ("internal_server_error", None, "Internal Server Error"),
        503: ("internal_server_error", None, "Service Unavailable"),
    }
    fields: ClassVar[frozenset[str] | None] = (OpenAIWire.fields or frozenset()) | {
        "citation_options",
        "disable_tool_validation",
        "documents",
        "include_reasoning",
        "reasoning_format",
        "search_settings",
    }

    def check_parameters(self, body: Json) -> None:
        super().check_parameters(body)
        self.check_range("n", body.get("n"), 1, 1)
        for name in ("logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty"):
            if body.get(name):
                raise Refused(self.error(400, f"property '{name}' is not supported"))
        if any("name" in message for message in body["messages"]):
            raise Refused(self.error(400, "'messages.0' : property 'name' is unsupported"))

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        reply = super().error(status, message, code=code)
        assert isinstance(reply.body, dict)
        # Groq leaves out what it has nothing to say about.
        return replace(reply, body={"error": {k: v for k, v in reply.body["error"].items() if v is not None}})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            "x-request-id": f"req_{call.hex}",
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "8000",
            "x-ratelimit-remaining-requests": "14399",
            "x-ratelimit-remaining-tokens": "7900",
            "x-ratelimit-reset-requests": "6s",
            "x-ratelimit-reset-tokens": "750ms",
        }

    def usage(self, answer: Answer) -> Json:
        times = {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.06, "total_time": 0.062}
        return {**super().usage(answer), **times}

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        return {**super().whole(call, answer), "x_groq": {"id": f"req_{call.hex}"}}

    def script(self, call: Call, answer: Answer) -> Script:
        script = super().script(call, answer)
        _, answer = fit(call, answer)
        first, last = script.head[0].data, script.tail[0].data
        assert isinstance(first, dict)
        assert isinstance(last, dict)
        first["x_groq"] = {"id": f"req_{call.hex}"}
        last["x_groq"] = {"id": f"req_{call.hex}", "usage": self.usage(answer)}
        return script


class OpenRouterWire(OpenAIWire):
    """OpenRouter: integer codes with metadata, the charge in `usage.cost`, comments that keep the link alive."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "authentication", "No auth credentials found"),
        "bad_key": (401, "authentication", "User not found."),
        "context": (400, "context_length_exceeded", "This endpoint's maximum context length is 8192 tokens."),
        "blocked": (403, "content_policy_violation", "The input was flagged by moderation."),
        "quota": (402, "payment_required", "Insufficient credits. Add more using https://openrouter.ai/credits"),
        "model": (404, "not_found", "No endpoints found for {model}."),
    }
    words: ClassVar[Mapping[int, tuple[str, str]]] = {
        400: ("invalid_request", "Bad request"),
        401: ("authentication", "User not found."),
        402: ("payment_required", "Insufficient credits"),
        403: ("permission_denied", "Forbidden"),
        404: ("not_found", "No endpoints found."),
        408: ("timeout", "Request timed out"),
        429: ("rate_limit_exceeded", "Rate limit exceeded: free-models-per-min."),
        500: ("server", "Internal Server Error"),
        502: ("provider_unavailable", "Provider returned error"),
        503: ("provider_overloaded", "There is no available model provider that meets your routing requirements"),
        529: ("provider_overloaded", "Provider is overloaded"),
    }
    fields: ClassVar[frozenset[str] | None] = None
    always_usage: ClassVar[bool] = True

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        kind, text = self.words.get(status, ("unmapped", "The request failed."))
        metadata: Json = {"error_type": code or kind}
        if code == "content_policy_violation":
            metadata |= {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenInference"}
        return Reply(status, {"error": {"code": status, "message": message or text, "metadata": metadata}})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def base(self, call: Call, answer: Answer, kind: str) -> Json:
        return {**super().base(call, answer, kind), "id": f"gen-{call.hex}", "provider": "OpenInference"}

    def usage(self, answer: Answer) -> Json:
        cost = {} if answer.cost_usd is None else {"cost": answer.cost_usd, "is_byok": False}
        return {**super().usage(answer), **cost}

    def script(self, call: Call, answer: Answer) -> Script:
        script = super().script(call, answer)
        return replace(script, head=(Event(b"", name=": OPENROUTER PROCESSING"), *script.head))

    def failure(self, call: Call) -> Event:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        body = self.error(502).body
        assert isinstance(body, dict)
        return Event({**self.chunk(call, fit(call, Answer())[1], None), **body, "choices": [choice]})


class GoogleCompatibleWire(OpenAIWire):
    """Google's OpenAI-compatible endpoint: the request is OpenAI's, an error is Google's, in a list of one."""

    def fault(self, name: str, call: Call | None = None) -> Reply:
        return self.listed(GEMINI.fault(name, call))

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return self.listed(GEMINI.error(status, message, code=code))

    def listed(self, reply: Reply) -> Reply:
        return replace(reply, body=[reply.body])

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def failure(self, call: Call) -> Event:
        return GEMINI.failure(call)


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class GeminiWire(Wire):
    """generateContent. Field names may be written in camel or snake case, as Google's JSON parser takes both."""

    names: ClassVar[Mapping[int, tuple[str, str]]] = {
        400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403: ("PERMISSION_DENIED", "The caller does not have permission"),
        404: ("NOT_FOUND", "Requested entity was not found."),
        429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        500: ("INTERNAL", "An internal error has occurred."),
        503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
        504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    }
    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (403, "", "Method doesn't allow unregistered callers. Please use API Key."),
        "bad_key": (400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key."),
        "context": (400, "", "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
        "quota": (429, "PerDay", "You exceeded your current quota, please check your plan and billing details."),
        "model": (404, "", "models/{model} is not found for API version v1beta."),
    }
    fields: ClassVar[frozenset[str]] = word_set(
        "cachedContent contents generationConfig labels model safetySettings serviceTier store systemInstruction "
        "toolConfig tools"
    )
    config_fields: ClassVar[frozenset[str]] = word_set(
        "audioTimestamp candidateCount enableEnhancedCivicAnswers frequencyPenalty imageConfig logprobs "
        "maxOutputTokens mediaResolution presencePenalty responseJsonSchema responseLogprobs responseMimeType "
        "responseModalities responseSchema routingConfig seed speechConfig stopSequences temperature thinkingConfig "
        "topK topP"
    )
    finishes: ClassVar[Mapping[str, str]] = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        # A key in the query works at Google and leaks into every log on the way: here it is no key.
        self.check_key(request.header("x-goog-api-key") or "", rules)
        found = GEMINI_PATH.fullmatch(request.path)
        assert found, request.path
        model = unquote(found["model"])
        body = {camel(name): value for name, value in self.load(request).items()}
        config = {camel(name): value for name, value in (body.get("generationConfig") or {}).items()}
        for where, unknown in (("", set(body) - self.fields), ("generation_config.", set(config) - self.config_fields)):
            if unknown:
                message = f'Invalid JSON payload received. Unknown name "{where}{min(unknown)}": Cannot find field.'
                raise Refused(self.error(400, message))
        contents = body.get("contents")
        self.check_contents(contents)
        assert isinstance(contents, list)
        self.check_range("temperature", config.get("temperature"), 0, 2)
        self.check_range("maxOutputTokens", config.get("maxOutputTokens"), 1, 2**31)
        stop = config.get("stopSequences") or ()
        if len(stop) > 5:
            raise Refused(self.error(400, "The number of stop sequences must be at most 5."))
        if rules.models is not None and model not in rules.models:
            raise Refused(self.fault("model", Call(number, model)))
        last = contents[-1]
        prefill = "".join(texts(last["parts"])) if last.get("role") == "model" else ""
        if prefill and not rules.prefill:
            raise Refused(self.error(400, "Please ensure that multiturn requests end with a user turn."))
        stream = found["action"] == "streamGenerateContent"
        return Call(
            number,
            model,
            stream=stream,
            verdict="responseSchema" in config,
            limit=config.get("maxOutputTokens"),
            stop=tuple(stop),
            prefill=prefill,
            array=stream and request.query.get("alt") != ("sse",),
            body={**body, "generationConfig": config},
        )

    def check_contents(self, contents: object) -> None:
        if not isinstance(contents, list) or not contents:
            raise Refused(self.error(400, "* GenerateContentRequest.contents: contents is not specified"))
        for index, content in enumerate(contents):
            if content.get("role") not in {None, "user", "model"}:
                raise Refused(self.error(400, "Please use a valid role: user, model."))
            if not content.get("parts"):
                message = f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty."
                raise Refused(self.error(400, message))

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        name, text = self.names.get(status, ("UNKNOWN", "The request failed."))
        body: Json = {"code": status, "message": message or text, "status": name}
        if code == "API_KEY_INVALID":
            service = {"service": "generativelanguage.googleapis.com"}
            details = {"reason": code, "domain": "googleapis.com", "metadata": service}
            body["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **details}]
        elif code == "PerDay":
            quota = {
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                "quotaValue": "20",
            }
            body["details"] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]}]
        return Reply(status, {"error": body})

    def limited(self, status: int, retry_after_s: float) -> Reply:
        reply = self.error(status)
        assert isinstance(reply.body, dict)
        delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after_s:g}s"}
        return replace(reply, body={"error": {**reply.body["error"], "details": [delay]}})

    def part(self, call: Call, answer: Answer, text: str | None, finish: str | None, sent: int) -> Json:
        """One GenerateContentResponse: the whole answer, or a chunk whose usage counts what has been sent so far."""
        candidate: Json = {"index": 0}
        if text is not None:
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        if finish is not None:
            candidate["finishReason"] = finish
        usage: Json = {"promptTokenCount": answer.input_tokens}
        # Google leaves out counts of zero.
        for name, count in (
            ("candidatesTokenCount", sent),
            ("thoughtsTokenCount", answer.reasoning_tokens),
            ("cachedContentTokenCount", answer.cached_tokens),
        ):
            if count:
                usage[name] = count
        usage["totalTokenCount"] = answer.input_tokens + sent + answer.reasoning_tokens
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": answer.model,
            "responseId": call.hex,
        }

    def verdict(self, call: Call, verdict: Verdict) -> Answer:
        """Fill in the schema that was asked for: a number per category, a string for the reason."""
        schema = call.body["generationConfig"]["responseSchema"]
        properties: Json = schema.get("properties") or {}
        filled: Json = {}
        for name, kind in properties.items():
            wanted = str(kind.get("type", "")).upper()
            word = next((w for w in ("sexual", "hate", "harassment", "dangerous", "civic") if w in name.lower()), None)
            if wanted in {"NUMBER", "INTEGER"} and word:
                filled[name] = getattr(verdict, word)
            elif wanted == "BOOLEAN":
                filled[name] = verdict.is_flagged
            elif wanted == "STRING":
                filled[name] = verdict.reason
        return Answer(text=orjson.dumps(filled).decode())

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        _, answer = fit(call, self.verdict(call, answer) if isinstance(answer, Verdict) else answer)
        assert answer.output_tokens is not None
        return self.part(call, answer, answer.text or None, self.finishes[answer.finish], answer.output_tokens)

    def script(self, call: Call, answer: Answer) -> Script:
        words, answer = fit(call, answer)
        assert answer.output_tokens is not None
        last = "" if answer.text else None
        return Script(
            head=(),
            tokens=tuple(Event(self.part(call, answer, word, None, n)) for n, word in enumerate(words, 1)),
            tail=(Event(self.part(call, answer, last, self.finishes[answer.finish], answer.output_tokens)),),
        )

    def blocked(self, call: Call) -> Reply:
        ratings = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
        body = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}, **self.empty(call)}
        return Reply(200, body)

    def empty(self, call: Call) -> Json:
        _, answer = fit(call, Answer(text=""))
        body = self.part(call, answer, None, None, 0)
        del body["candidates"]
        return body

    def empty_script(self, call: Call) -> Script:
        return Script((), (), (Event(self.empty(call)),))


class AnthropicWire(Wire):
    """The Messages API, versions 2023-06-01 and 2026-10-21 (which refuses the sampling parameters)."""

    types: ClassVar[Mapping[int, tuple[str, str]]] = {
        400: ("invalid_request_error", "Invalid request."),
        401: ("authentication_error", "invalid x-api-key"),
        402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
        403: ("permission_error", "Your API key does not have permission to use the specified resource."),
        404: ("not_found_error", "Not found"),
        409: ("conflict_error", "Conflict"),
        413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
        429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
        500: ("api_error", "Internal server error"),
        504: ("timeout_error", "Request timed out"),
        529: ("overloaded_error", "Overloaded"),
    }
    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "x-api-key header is required"),
        "bad_key": (401, "", "invalid x-api-key"),
        "context": (400, "", "prompt is too long: 200001 tokens > 200000 maximum"),
        "quota": (429, "enforced_spend_limit_reached", "You have reached your specified API usage limits."),
        "model": (404, "", "model: {model}"),
    }
    fields: ClassVar[frozenset[str]] = word_set(
        "cache_control container context_management inference_geo max_tokens mcp_servers messages metadata model "
        "output_config service_tier stop_sequences stream system temperature thinking tool_choice tools top_k "
        "top_p"
    )
    finishes: ClassVar[Mapping[str, str]] = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        # Both are taken, and x-api-key wins.
        self.check_key(request.header("x-api-key") or bearer(request), rules)
        version = request.header("anthropic-version")
        if version not in {"2023-06-01", "2026-10-21"}:
            raise Refused(
                self.error(400, f"anthropic-version: {'header is required' if version is None else 'unknown'}")
            )
        body = self.load(request)
        for name in ("model", "max_tokens", "messages"):
            if body.get(name) is None:
                raise Refused(self.error(400, f"{name}: Field required"))
        forbidden = set(body) - self.fields
        if version == "2026-10-21":
            forbidden |= set(body) & {"temperature", "top_p", "top_k"}
        if forbidden:
            raise Refused(self.error(400, f"{min(forbidden)}: Extra inputs are not permitted"))
        self.check_range("max_tokens", body["max_tokens"], 1, 2**31)
        self.check_range("temperature", body.get("temperature"), 0, 1)
        model, messages = body["model"], body["messages"]
        self.check_messages(messages)
        if rules.models is not None and model not in rules.models:
            raise Refused(self.fault("model", Call(number, model)))
        prefill = "".join(texts(messages[-1]["content"])) if messages[-1]["role"] == "assistant" else ""
        if prefill and not rules.prefill:
            message = "This model does not support assistant message prefill. It must end with a user message."
            raise Refused(self.error(400, message))
        if prefill != prefill.rstrip():
            raise Refused(self.error(400, "messages: final assistant content cannot end with trailing whitespace"))
        return Call(
            number,
            model,
            stream=body.get("stream") is True,
            limit=body["max_tokens"],
            stop=tuple(body.get("stop_sequences") or ()),
            prefill=prefill,
            body=body,
        )

    def check_messages(self, messages: object) -> None:
        if not isinstance(messages, list) or not messages:
            raise Refused(self.error(400, "messages: at least one message is required"))
        for index, message in enumerate(messages):
            if message.get("role") not in {"user", "assistant"}:
                raise Refused(self.error(400, f"messages.{index}.role: Input should be 'user' or 'assistant'"))
            if not message.get("content"):
                raise Refused(self.error(400, f"messages.{index}: all messages must have non-empty content"))
            if isinstance(message["content"], list) and "" in texts(message["content"]):
                raise Refused(self.error(400, "messages: text content blocks must be non-empty"))
        if messages[0]["role"] != "user":
            raise Refused(self.error(400, "messages: first message must use the 'user' role"))

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        other = "api_error" if status >= 500 else "invalid_request_error"
        kind, text = self.types.get(status, (other, "The request failed."))
        error: Json = {"type": kind, "message": message or text}
        if code:
            error["details"] = {"error_code": code}
        body = {"type": "error", "error": error, "request_id": "req_0123456789abcdef"}
        return Reply(status, body, {"request-id": "req_0123456789abcdef"})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            "request-id": f"req_{call.hex}",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
        }

    def message(self, call: Call, answer: Answer, content: list[Json], stop: str | None, sent: int) -> Json:
        usage = {
            "input_tokens": answer.input_tokens - answer.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.cached_tokens,
            "output_tokens": sent,
        }
        return {
            "id": f"msg_{call.hex}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }

    def output(self, answer: Answer) -> int:
        assert answer.output_tokens is not None
        return answer.output_tokens + answer.reasoning_tokens

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        assert isinstance(answer, Answer), "a chat was given a verdict"
        _, answer = fit(call, answer)
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        return self.message(call, answer, content, self.finishes[answer.finish], self.output(answer))

    def event(self, name: str, **data: object) -> Event:
        return Event({"type": name, **data}, name)

    def script(self, call: Call, answer: Answer) -> Script:
        words, answer = fit(call, answer)
        head = [self.event("message_start", message=self.message(call, answer, [], None, 1))]
        tail = []
        if words:
            head.append(self.event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
            tail.append(self.event("content_block_stop", index=0))
        delta = {"stop_reason": self.finishes[answer.finish], "stop_sequence": None}
        return Script(
            head=(*head, self.event("ping")),
            tokens=tuple(
                self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words
            ),
            tail=(*tail, self.event("message_delta", delta=delta, usage={"output_tokens": self.output(answer)})),
            end=(self.event("message_stop"),),
        )

    def blocked(self, call: Call) -> Reply:
        return Reply(200, self.whole(call, Answer(finish="content_filter")))

    def empty(self, call: Call) -> Json:
        return self.whole(call, Answer(text=""))

    def empty_script(self, call: Call) -> Script:
        return self.script(call, Answer(text=""))

    def failure(self, call: Call) -> Event:
        body = self.error(529).body
        assert isinstance(body, dict)
        return Event(body, "error")


class LakeraWire(Wire):
    """Lakera Guard v2."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "Missing API key"),
        "bad_key": (401, "", "Invalid API key"),
        "quota": (429, "", "Monthly quota exceeded"),
    }
    detectors: ClassVar[Mapping[str, str]] = {
        "sexual": "moderated_content/sexual",
        "hate": "moderated_content/hate",
        "harassment": "moderated_content/hate",
        "dangerous": "moderated_content/crime",
        "civic": "moderated_content/custom",
    }

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(bearer(request), rules)
        body = self.load(request)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(self.error(400, "messages: a non-empty array is required"))
        for index, message in enumerate(messages):
            if message.get("role") not in {"system", "user", "assistant", "tool"} or "content" not in message:
                raise Refused(self.error(400, f"messages[{index}]: role and content are required"))
        unknown = set(body) - {"messages", "project_id", "breakdown", "payload", "dev_info", "metadata"}
        if unknown:
            raise Refused(self.error(400, f"{min(unknown)}: unknown field"))
        return Call(number, "lakera-guard", verdict=True, body=body)

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return Reply(status, {"message": message or "The request failed.", "request_id": "0123456789abcdef"})

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        assert isinstance(answer, Verdict), "a safety service was given an answer"
        found = {d for name, d in self.detectors.items() if getattr(answer, name) >= 0.5} | set(answer.detectors)
        body: Json = {"flagged": answer.is_flagged, "metadata": {"request_uuid": call.hex}}
        if call.body.get("payload"):
            body["payload"] = []
        if call.body.get("breakdown"):
            known = sorted({"prompt_attack", *self.detectors.values(), *found})
            body["breakdown"] = [
                {
                    "project_id": call.body.get("project_id", "project-default"),
                    "policy_id": "policy-lakera-default",
                    "detector_id": f"detector-{detector.replace('/', '-')}",
                    "detector_type": detector,
                    "detected": detector in found,
                    "message_id": len(call.body["messages"]) - 1,
                }
                for detector in known
            ]
        return body

    def empty(self, call: Call) -> Json:
        return {}


class ModerationWire(OpenAIWire):
    """OpenAI's moderation endpoint."""

    categories: ClassVar[Mapping[str, str | None]] = {
        "hate": "hate",
        "hate/threatening": None,
        "harassment": "harassment",
        "harassment/threatening": None,
        "illicit": "dangerous",
        "illicit/violent": None,
        "self-harm": None,
        "self-harm/intent": None,
        "self-harm/instructions": None,
        "sexual": "sexual",
        "sexual/minors": None,
        "violence": None,
        "violence/graphic": None,
    }

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(bearer(request), rules)
        body = self.load(request)
        if not body.get("input"):
            raise Refused(self.error(400, "Missing required parameter: 'input'.", code="missing_required_parameter"))
        return Call(number, body.get("model", "omni-moderation-latest"), verdict=True, body=body)

    def whole(self, call: Call, answer: Answer | Verdict) -> Json:
        assert isinstance(answer, Verdict), "a safety service was given an answer"
        scores = {name: getattr(answer, field) if field else 0.0 for name, field in self.categories.items()}
        result = {
            "flagged": answer.is_flagged,
            "categories": {name: score >= 0.5 for name, score in scores.items()},
            "category_scores": scores,
            "category_applied_input_types": {name: ["text"] for name in scores},
        }
        given = call.body["input"]
        # A list of strings is judged one by one, a list of parts as one message.
        count = len(given) if isinstance(given, list) and all(isinstance(item, str) for item in given) else 1
        return {"id": f"modr-{call.hex}", "model": call.model, "results": [result] * count}

    def empty(self, call: Call) -> Json:
        return {"id": f"modr-{call.hex}", "model": call.model, "results": []}


GEMINI = GeminiWire()
GEMINI_PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<action>generateContent|streamGenerateContent)")
WIRES: tuple[tuple[re.Pattern[str], Wire], ...] = (
    (GEMINI_PATH, GEMINI),
    (re.compile(r"/v1/messages"), AnthropicWire()),
    (re.compile(r"/v2/guard"), LakeraWire()),
    (re.compile(r".*/moderations"), ModerationWire()),
    (re.compile(r"/v1beta/openai/chat/completions"), GoogleCompatibleWire()),
    (re.compile(r"/openai/v1/chat/completions"), GroqWire()),
    (re.compile(r"/api/v1/chat/completions"), OpenRouterWire()),
    (re.compile(r".*/chat/completions"), OpenAIWire()),
)


# The server.


class Connection(asyncio.Protocol):
    """One client connection: reads requests with httptools, answers them in order, and can break in several ways."""

    def __init__(self, upstream: "Upstream") -> None:
        self.upstream = upstream
        self.current: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self.closed_here = False
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self._piece: int | None = None
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.upstream.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.upstream.lost(self)
        self._writable.set()
        if self.task is not None and not self.closed_here:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.upstream.broken.append(f"not HTTP: {error}")
            self.reset()

    # Called by httptools.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, tuple[str, ...]] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        self._headers[key] = (*self._headers.get(key, ()), value.decode("latin-1"))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url = urlsplit(self._url.decode("latin-1"))
        request = Request(
            method=self._parser.get_method().decode(),
            path=url.path,
            query={name: tuple(values) for name, values in parse_qs(url.query, keep_blank_values=True).items()},
            headers=self._headers,
            body=b"".join(self._body),
            time=time.monotonic(),
            kind="unknown",
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._answer_all())
            self.upstream.running(self.task)

    async def _answer_all(self) -> None:
        while self._waiting and not self.transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            self.current = request
            await self.upstream.answer(self, request)
            self.current = None
            if not keep_alive:
                self.close()

    # Called by behaviours.

    async def start(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        """Send status and headers. `length` None: chunks follow."""
        self._chunked = length is None
        framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in {**headers, **framing}.items())]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send(self, data: bytes, split: int | None = None) -> None:
        """Send a part of the body, `split` bytes at a time if told; the client may read between any two."""
        for start in range(0, len(data), split or len(data) or 1):
            piece = data[start : start + (split or len(data))]
            await self.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece)

    async def finish(self) -> None:
        if self._chunked:
            await self.write(b"0\r\n\r\n")

    async def write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()
        # A turn of the loop, so that a client in the same loop sees the pieces one by one.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close in order: what was written is delivered first."""
        self.closed_here = True
        self.transport.close()

    def reset(self) -> None:
        """Send a RST: with SO_LINGER at zero, closing does not wait for anything."""
        self.closed_here = True
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Upstream:
    """
    One provider's host.

    `key` None takes any key, but one must be sent unless `requires_key` is False (a local model server). `models` None
    takes any name. `prefill` False refuses a request whose last turn is the assistant's.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        requires_key: bool = True,
        models: Iterable[str] | None = None,
        prefill: bool = True,
    ) -> None:
        self.rules = Rules(key, requires_key, None if models is None else frozenset(models), prefill)
        self.answers = Queue()
        self.default: Behaviour = Answer()
        self.verdicts = Queue()
        self.default_verdict: Behaviour = Verdict()
        self.requests: list[Request] = []
        """Every request, refused ones too."""
        self.refused: list[Refusal] = []
        self.disconnects: list[Request] = []
        """Requests whose client left while they were being answered."""
        self.broken: list[str] = []
        """What went wrong in the fake itself or in its use; closing raises if there is anything."""
        self.connections_made = 0
        self.port = 0
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._released = asyncio.Event()

    # Life.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if error is None:
            assert not self.broken, self.broken

    async def start(self) -> None:
        """Listen; after a `close`, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection. Requests seen so far stay on record."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.closed_here = True
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wait_for_connections(0)
        await self._server.wait_closed()
        self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # What was seen.

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.kind == "chat"]

    @property
    def verdict_requests(self) -> list[Request]:
        return [request for request in self.requests if request.kind == "verdict"]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def wait_for_requests(self, count: int, timeout_s: float = 5.0, *, kind: Kind | None = None) -> list[Request]:
        """Wait until that many requests (of that kind) have come, and return them."""

        def seen() -> list[Request]:
            return [request for request in self.requests if kind in (None, request.kind)]

        await self._until(lambda: len(seen()) >= count, timeout_s, f"{count} requests")
        return seen()

    async def wait_for_disconnect(self, timeout_s: float = 5.0, *, count: int = 1) -> Request:
        """Wait until so many clients have left in the middle of an answer, and return the last one's request."""
        await self._until(lambda: len(self.disconnects) >= count, timeout_s, f"{count} disconnects")
        return self.disconnects[count - 1]

    async def wait_for_connections(self, count: int, timeout_s: float = 5.0) -> None:
        """Wait until exactly so many connections are open."""
        await self._until(lambda: self.open_connections == count, timeout_s, f"{count} open connections")

    async def _until(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            seen = f"{len(self.requests)} requests, {len(self.disconnects)} disconnects, {self.open_connections} open"
            raise AssertionError(f"no {what} within {timeout_s:g} s: {seen}") from None

    def release(self) -> None:
        """Let every answer that is held now go on; later ones are held again."""
        held, self._released = self._released, asyncio.Event()
        held.set()

    # Called by connections.

    def notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.connections_made += 1
        self.notify()

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection.current is not None and not connection.closed_here:
            self.disconnects.append(connection.current)
        self.notify()

    def running(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answer(self, connection: Connection, request: Request) -> None:
        """Record a request, check it as the vendor does, and do what the queue says."""
        wire = next((wire for pattern, wire in WIRES if pattern.fullmatch(request.path)), None)
        call, refusal = None, None
        try:
            if wire is None or request.method != "POST":
                message = f"Invalid URL ({request.method} {request.path})"
                raise Refused(Reply(404, {"error": {"message": message, "type": "invalid_request_error"}}))
            call = wire.read(request, self.rules, len(self.requests) + 1)
            request = replace(request, kind="verdict" if call.verdict else "chat")
        except Refused as error:
            refusal = error
        connection.current = request
        self.requests.append(request)
        if refusal is not None:
            self.refused.append(Refusal(request, refusal.reply.status, str(refusal)))
        self.notify()
        try:
            if wire is None or call is None or refusal is not None:
                assert refusal is not None
                await self._reply(connection, refusal.reply)
            else:
                queue, default = (self.verdicts, self.default_verdict) if call.verdict else (self.answers, self.default)
                await self._perform(connection, wire, call, queue.take(default))
        except Exception as error:
            # A fake that fails must not look like a provider that fails: closing reports it.
            self.broken.append(f"{request.method} {request.path}: {error!r}")
            connection.reset()

    # The behaviours.

    async def _reply(self, connection: Connection, reply: Reply, kind: str = "application/json") -> None:
        await connection.start(reply.status, {"content-type": kind, **reply.headers}, len(reply.content))
        await connection.send(reply.content)
        await connection.finish()

    async def _perform(self, connection: Connection, wire: Wire, call: Call, behaviour: Behaviour) -> None:
        match behaviour:
            case Status(code, None, headers, None):
                reply = wire.error(code)
                await self._reply(connection, replace(reply, headers={**reply.headers, **headers}))
            case Status(code, None, headers, float() | int() as seconds):
                reply = wire.limited(code, seconds)
                await self._reply(connection, replace(reply, headers={**reply.headers, **headers}))
            case Status(code, body, headers, seconds):
                wait = {} if seconds is None else {"retry-after": f"{seconds:g}"}
                await self._reply(connection, Reply(code, body, {**wait, **headers}))
            case BadKey():
                await self._reply(connection, wire.fault("bad_key", call))
            case ContextTooLong():
                await self._reply(connection, wire.fault("context", call))
            case QuotaSpent():
                await self._reply(connection, wire.fault("quota", call))
            case Blocked():
                reply = wire.blocked(call)
                if call.stream and reply.status == 200:
                    await self._events(connection, wire, call, self._blocked_script(wire, call, reply))
                else:
                    await self._reply(connection, reply)
            case EmptyCandidates():
                if call.stream:
                    await self._events(connection, wire, call, wire.empty_script(call))
                else:
                    await self._reply(connection, Reply(200, wire.empty(call), wire.headers(call)))
            case Garbage():
                await self._reply(connection, Reply(200, b"upstream connect error or disconnect/reset before headers"))
            case Html502():
                page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
                await self._reply(connection, Reply(502, page), "text/html")
            case Reset():
                connection.reset()
            case RawStream(frames):
                await connection.start(200, {"content-type": "text/event-stream"}, None)
                for frame in frames:
                    await connection.send(frame)
                await connection.finish()
            case Silence():
                await self._released.wait()
                await self._deliver(connection, wire, call, self._ordinary(call), behaviour)
            case SlowFirstByte(seconds, answer):
                await asyncio.sleep(seconds)
                await self._deliver(connection, wire, call, answer or self._ordinary(call), behaviour)
            case Answer() | Verdict():
                await self._deliver(connection, wire, call, behaviour, behaviour)
            case ErrorIn200() | HeadersThenSilence():
                await self._deliver(connection, wire, call, self._ordinary(call), behaviour)
            case _:
                await self._deliver(connection, wire, call, behaviour.answer or self._ordinary(call), behaviour)

    def _ordinary(self, call: Call) -> Answer | Verdict:
        return Verdict() if call.verdict else Answer()

    def _blocked_script(self, wire: Wire, call: Call, reply: Reply) -> Script:
        """A refusal that is a 200: at Anthropic an ordinary stream that ends so, at Gemini one chunk."""
        if isinstance(wire, AnthropicWire):
            return wire.script(call, Answer(finish="content_filter"))
        assert isinstance(reply.body, dict)
        return Script((), (), (Event(reply.body),))

    async def _deliver(
        self, connection: Connection, wire: Wire, call: Call, answer: Answer | Verdict, fault: Behaviour
    ) -> None:
        if not call.stream:
            await self._body(connection, wire, call, answer, fault)
            return
        assert isinstance(answer, Answer), "a stream was given a verdict"
        await self._events(connection, wire, call, wire.script(call, answer), fault, answer.pause_s)

    async def _body(
        self, connection: Connection, wire: Wire, call: Call, answer: Answer | Verdict, fault: Behaviour
    ) -> None:
        """A whole answer, and the faults that one can have."""
        headers = {"content-type": "application/json", **wire.headers(call)}
        if isinstance(fault, ErrorIn200 | ErrorEventAfter):
            # OpenRouter's 502 from a provider behind it is the well-known case.
            await self._reply(connection, Reply(200, wire.error(502).body, headers))
            return
        if isinstance(fault, MalformedEvent):
            await self._perform(connection, wire, call, Garbage())
            return
        body = orjson.dumps(wire.whole(call, answer))
        await connection.start(200, headers, len(body))
        match fault:
            case HeadersThenSilence():
                await self._released.wait()
            case LateFirstToken(seconds):
                await asyncio.sleep(seconds)
            case TruncatedBody() | DieAfter(reset=False):
                await connection.send(body[: len(body) // 2])
                connection.close()
                return
            case DieAfter():
                await connection.send(body[: len(body) // 2])
                connection.reset()
                return
            case SilentAfter():
                await connection.send(body[: len(body) // 2])
                await self._released.wait()
                body = body[len(body) // 2 :]
            case _:
                pass
        await connection.send(body, fault.size if isinstance(fault, SplitBytes) else None)
        await connection.finish()

    async def _events(
        self,
        connection: Connection,
        wire: Wire,
        call: Call,
        script: Script,
        fault: Behaviour | None = None,
        pause_s: float = 0.0,
    ) -> None:
        """A stream, and the faults that one can have."""
        kind = "application/json" if call.array else "text/event-stream"
        await connection.start(200, {"content-type": kind, **wire.headers(call)}, None)
        framing = Framing(array=call.array)
        split = fault.size if isinstance(fault, SplitBytes) else None

        async def send(*events: Event) -> None:
            for event in events:
                await connection.send(framing.encode(event), split)

        match fault:
            case HeadersThenSilence():
                await self._released.wait()
            case LateFirstToken(seconds, preamble=True):
                await send(*script.head)
                await asyncio.sleep(seconds)
                script = replace(script, head=())
            case LateFirstToken(seconds):
                await asyncio.sleep(seconds)
            case ErrorIn200():
                await send(wire.failure(call))
                await connection.send(framing.close())
                await connection.finish()
                return
            case _:
                pass
        await send(*script.head)
        # One step more than there are tokens: a fault may come after the last one, before the tail.
        for count in range(len(script.tokens) + 1):
            match fault:
                case DieAfter(tokens=tokens, reset=reset) if tokens == count:
                    if reset:
                        connection.reset()
                    else:
                        connection.close()
                    return
                case SilentAfter(tokens=tokens) if tokens == count:
                    await self._released.wait()
                case ErrorEventAfter(tokens=tokens) if tokens == count:
                    await send(wire.failure(call))
                    await connection.send(framing.close())
                    await connection.finish()
                    return
                case MalformedEvent(at=at) if at == count + 1:
                    await send(Event(b'{"choices": [{"delta": {"cont'))
                case TruncatedBody() if count == len(script.tokens) // 2:
                    await connection.write(b'1000\r\ndata: {"')
                    connection.close()
                    return
                case _:
                    pass
            if count < len(script.tokens):
                if pause_s:
                    await asyncio.sleep(pause_s)
                await send(script.tokens[count])
        await send(*script.tail)
        if isinstance(fault, NoDone):
            if fault.hold_open:
                await self._released.wait()
        else:
            await send(*script.end)
        await connection.send(framing.close(), split)
        await connection.finish()


class Framing:
    """Events as server-sent events, or as the elements of one JSON array."""

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._first = True

    def encode(self, event: Event) -> bytes:
        data = event.data if isinstance(event.data, bytes) else orjson.dumps(event.data)
        if self._array:
            opening, self._first = b"[" if self._first else b",\r\n", False
            return opening + data
        if event.name.startswith(":"):
            return event.name.encode() + b"\n\n"
        name = f"event: {event.name}\n".encode() if event.name else b""
        return name + b"data: " + data + b"\n\n"

    def close(self) -> bytes:
        if not self._array:
            return b""
        return b"[]" if self._first else b"]"


def free_port() -> int:
    """Return a port on which nobody listens: a refused connection, or a place for a server about to start."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
