"""What all vendors have in common: reading a request, cutting an answer to it, and the parts of a reply."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import orjson

from tests.upstream.behaviours import Answer, Chat, Ordinary, Plain, ReasoningField, Thinking, ToolCalls
from tests.upstream.recorded import Kind, Request

Json = dict[str, Any]
Finish = Literal["stop", "length", "content_filter", "tool_calls"]


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
    kind: Kind = "chat"
    stream: bool = False
    limit: int | None = None
    stop: tuple[str, ...] = ()
    prefill: str = ""
    include_usage: bool = False
    choices: int = 1
    logprobs: int | None = None
    """How many likely tokens to name beside each one sent. None: nothing is said about likelihood."""
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
    """A stream: what precedes the answer, the events of each token, what follows, and the end mark."""

    head: tuple[Event, ...]
    tokens: tuple[tuple[Event, ...], ...]
    tail: tuple[Event, ...]
    end: tuple[Event, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator of this host allows."""

    key: str | None
    requires_key: bool
    models: frozenset[str] | None
    prefill: bool

    @property
    def listed(self) -> list[str]:
        """The models to show. A host that takes any name shows two."""
        return sorted(self.models if self.models is not None else ("other-model", "some-model"))


# The answer.


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Mapping[str, object]

    @property
    def json(self) -> str:
        return orjson.dumps(self.arguments).decode()

    @property
    def pieces(self) -> list[str]:
        """The arguments as a stream cuts them: at most four pieces, anywhere."""
        text = self.json
        size = -(-len(text) // 4)
        return [text[start : start + size] for start in range(0, len(text), size)]


@dataclass(frozen=True, slots=True)
class Turn:
    """The model's turn as it is sent: cut as prefill, stop sequences and token limit demand."""

    model: str
    words: tuple[str, ...]
    finish: Finish
    input_tokens: int
    output_tokens: int
    thoughts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    stopped_by: str | None = None
    """The stop sequence that was met."""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    field: ReasoningField | None = None
    with_ids: bool = True

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def thought(self) -> str:
        return "".join(self.thoughts)


def _cut(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\s*\S+|\s+", text))


def fit(call: Call, chat: Chat) -> Turn:
    """Return the turn that answers this call."""
    answer = chat.then if isinstance(chat, Thinking) else chat
    thoughts = _cut(chat.thought) if isinstance(chat, Thinking) else ()
    calls = tuple(ToolCall(*each) for each in answer.calls) if isinstance(answer, ToolCalls) else ()
    finish: Finish = "tool_calls" if isinstance(answer, ToolCalls) else answer.finish
    text = answer.text
    prefill = call.prefill.rstrip()
    if prefill and text.startswith(prefill):
        text = text[len(call.prefill) :] if text.startswith(call.prefill) else text[len(prefill) :].lstrip()
    stopped_by = min((mark for mark in call.stop if mark in text), key=text.index, default=None)
    if stopped_by is not None:
        text, calls, finish = text.partition(stopped_by)[0], (), "stop"
    words = () if finish == "content_filter" else _cut(text)
    if call.limit is not None:
        left = call.limit - len(thoughts)
        if left <= 0 and thoughts:
            thoughts, words, calls, finish, stopped_by = thoughts[: call.limit], (), (), "length", None
        elif len(words) > left:
            words, calls, finish, stopped_by = words[:left], (), "length", None
        else:
            fitting = [n for n in range(len(calls) + 1) if len(words) + _pieces(calls[:n]) <= left]
            if len(fitting) <= len(calls):
                calls, finish = calls[: fitting[-1]], "length"
    tokens = len(words) + _pieces(calls)
    return Turn(
        model=answer.model or call.model,
        words=words,
        finish=finish,
        input_tokens=answer.input_tokens,
        output_tokens=tokens if answer.output_tokens is None else answer.output_tokens,
        thoughts=thoughts,
        calls=calls,
        stopped_by=stopped_by,
        cached_tokens=answer.cached_tokens,
        reasoning_tokens=answer.reasoning_tokens or len(thoughts),
        cost_usd=answer.cost_usd,
        field=chat.field if isinstance(chat, Thinking) else None,
        with_ids=not isinstance(answer, ToolCalls) or answer.with_ids,
    )


def _pieces(calls: tuple[ToolCall, ...]) -> int:
    return sum(len(call.pieces) for call in calls)


def chat_of(ordinary: Ordinary) -> Chat:
    """Return it if it is an answer to a chat. Raises `AssertionError`: the test pushed it to the wrong queue."""
    assert isinstance(ordinary, Answer | ToolCalls | Thinking), f"a chat was given a {type(ordinary).__name__.lower()}"
    return ordinary


# The request.


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


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

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        raise NotImplementedError

    def script(self, call: Call, chat: Chat) -> Script:
        raise NotImplementedError

    def blocked(self, call: Call) -> Reply:
        return self.fault("blocked", call) if "blocked" in self.faults else self.error(400)

    def blocked_script(self, call: Call) -> Script:
        """A refusal that is a 200: one event."""
        body = self.blocked(call).body
        assert isinstance(body, dict)
        return Script((), (), (Event(body),))

    def empty(self, call: Call) -> Json:
        return {}

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

    def require(self, holds: object, message: str, *, code: str | None = None) -> None:
        """Refuse the request with 400 unless it holds."""
        if not holds:
            raise Refused(self.error(400, message, code=code))

    def check_model(self, model: str, rules: Rules) -> None:
        if rules.models is not None and model not in rules.models:
            raise Refused(self.fault("model", Call(0, model)))

    def sent_key(self, request: Request) -> str:
        """The key, wherever this vendor looks for it. Empty: there is none."""
        return bearer(request)

    def check_key(self, request: Request, rules: Rules) -> None:
        key = self.sent_key(request)
        if rules.requires_key and not key:
            raise Refused(self.fault("no_key"))
        if rules.key is not None and key != rules.key:
            raise Refused(self.fault("bad_key"))


class Hosted(Wire):
    """Another endpoint of a host: never streamed, and it refuses in the host's words."""

    def __init__(self, host: Wire) -> None:
        self.host = host

    def sent_key(self, request: Request) -> str:
        return self.host.sent_key(request)

    def check_key(self, request: Request, rules: Rules) -> None:
        self.host.check_key(request, rules)

    def check_model(self, model: str, rules: Rules) -> None:
        self.host.check_model(model, rules)

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return self.host.error(status, message, code=code)

    def fault(self, name: str, call: Call | None = None) -> Reply:
        return self.host.fault(name, call)

    def limited(self, status: int, retry_after_s: float) -> Reply:
        return self.host.limited(status, retry_after_s)

    def headers(self, call: Call) -> Mapping[str, str]:
        return self.host.headers(call)

    def blocked(self, call: Call) -> Reply:
        return self.host.error(400)


class Missing(Hosted):
    """A path that other hosts have and this one has not."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        raise Refused(self.error(404))


def plain_of(ordinary: Ordinary) -> None:
    """Raise `AssertionError` if the test pushed something to the wrong queue."""
    assert isinstance(ordinary, Plain), f"a list or a count was given a {type(ordinary).__name__.lower()}"
