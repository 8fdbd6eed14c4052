"""
`POST /v1/responses`: the answer, whole and streamed. Nothing is stored, whatever the caller asks.

Sources: OpenAI's OpenAPI document, schemas `Response` and `ResponseStreamEvent`; the types of OpenAI's Python SDK
3.52.0 (`types/responses/response.py`, `response_stream_event.py`).
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway.exchange import Asked, Exchange, refusal_of
from gateway.surfaces.prompt import ApiPrompt
from gateway.surfaces.responses_body import ResponsesRequest, chat_request, dropped, seal
from middleware.refusal import Code, OpenAIDialect
from providers.base import Target
from providers.cascade import Answer, CascadeFailed
from providers.chat import Chunk, Completion, Extra, FinishReason, Thinking, ToolCallPiece, Usage
from providers.fields import is_object, mapping, sequence, string

DIALECT = OpenAIDialect()

_CUT: Mapping[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete; the other reasons complete it."""

_NAMES: Mapping[str, str] = {
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}

_FAILURES: Mapping[Code, str] = {
    "rate_limited": "rate_limit_exceeded",
    "insufficient_quota": "rate_limit_exceeded",
    "content_policy_violation": "invalid_prompt",
    "context_length_exceeded": "invalid_prompt",
}
"""`ResponseErrorCode` is a closed list; what is not here is a `server_error`."""


class ResponsesSurface:
    """OpenAI's Responses. `max_tokens`: the limit for those who name none, and the most anybody may ask for."""

    withheld_is_answer = False
    shows_thoughts = True

    def __init__(self, *, max_tokens: int | None = None) -> None:
        self._max_tokens = max_tokens

    def asked(self, prompt: ApiPrompt[ResponsesRequest]) -> Asked:
        body = prompt.body
        request = chat_request(body, max_tokens=self._max_tokens)
        return Asked(request, body.model, body.stream is True, dropped=dropped(body), names=_NAMES)

    def whole(self, answer: Answer, exchange: Exchange) -> object:
        done = answer.completion
        output: list[dict[str, Any]] = []
        if done.thinking:
            output.append(_reasoning(done.thinking))
        if done.text or not done.tool_calls:
            part = _refusal(done.text) if done.refused else _output_text(done.text, _logprobs(done.logprobs))
            output.append(_message() | {"content": [part]})
        for call in done.tool_calls:
            item = _call(call.id, call.name, call.extra, custom=call.custom)
            item["input" if call.custom else "arguments"] = call.arguments
            output.append(item)
        for item in output:
            _finish(item)
        if done.finish_reason in _CUT:
            _finish(output[-1], "incomplete")
        return _ended(_response(exchange, done.model), done, output)

    def stream(self, exchange: Exchange) -> "ResponsesStream":
        return ResponsesStream(exchange)

    def failed(self, failure: CascadeFailed, exchange: Exchange) -> object | None:
        return None


# The response


def _response(exchange: Exchange, model: str) -> dict[str, Any]:
    """A response that has just begun. What the caller asked is told as sent; what was not done is not claimed."""
    prompt = exchange.prompt
    if not isinstance(prompt, ApiPrompt) or not isinstance(prompt.body, ResponsesRequest):
        raise TypeError("the route of ResponsesSurface must parse a ResponsesRequest")
    body, sent = prompt.body, prompt.value
    text, reasoning = mapping(sent.get("text")), body.reasoning
    response = {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": exchange.created,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": exchange.asked.request.max_tokens,
        "max_tool_calls": None,
        "metadata": body.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        "store": False,
        "temperature": body.temperature,
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": sent.get("tool_choice") or "auto",
        "tools": [_echo(tool) for tool in sent.get("tools") or ()],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": body.user,
    }
    # The document has no null for these.
    keys = {"prompt_cache_key": body.prompt_cache_key, "safety_identifier": body.safety_identifier}
    return response | {name: value for name, value in keys.items() if value is not None}


def _echo(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as sent; `FunctionTool` requires two fields that callers may leave out."""
    return {"parameters": None, "strict": None, **tool} if tool["type"] == "function" else tool


def _ended(response: dict[str, Any], done: Completion, output: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The response with what came of it."""
    cut = _CUT.get(done.finish_reason)
    return response | {
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else int(time.time()),
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": None if done.usage is None else usage(done.usage),
    }


def usage(counted: Usage) -> dict[str, Any]:
    return {
        "input_tokens": counted.input_tokens,
        "input_tokens_details": {
            "cached_tokens": counted.cached_input_tokens,
            "cache_write_tokens": counted.cache_write_tokens,
        },
        "output_tokens": counted.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counted.reasoning_tokens},
        "total_tokens": counted.total_tokens,
    }


# Items and their parts


def _message() -> dict[str, Any]:
    return {"id": _new("msg"), "type": "message", "status": "in_progress", "role": "assistant", "content": []}


def _call(call_id: str, name: str, extra: Extra, *, custom: bool) -> dict[str, Any]:
    """A call without its arguments yet. `extra` are a vendor's own keys, which a client sends back with the item."""
    ids = {"id": _new("ctc" if custom else "fc"), "call_id": call_id or _new("call")}
    if custom:
        return {**extra, **ids, "type": "custom_tool_call", "name": name, "input": ""}
    return {**extra, **ids, "type": "function_call", "status": "in_progress", "name": name, "arguments": ""}


def _reasoning(thoughts: Sequence[Thinking]) -> dict[str, Any]:
    """A reasoning item. Each thought with a text is a part of the summary."""
    summary: list[dict[str, str]] = []
    sealed: list[tuple[int | None, str, str]] = []
    for thought in thoughts:
        sealed.append((len(summary) if thought.text else None, thought.signature, thought.redacted))
        if thought.text:
            summary.append(_summary_text(thought.text))
    item = _thoughts()
    item["summary"] = summary
    if content := seal(sealed):
        item["encrypted_content"] = content
    return item


def _thoughts() -> dict[str, Any]:
    return {"id": _new("rs"), "type": "reasoning", "summary": []}


def _output_text(text: str, logprobs: Sequence[object] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def _refusal(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def _summary_text(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


def _finish(item: dict[str, Any], status: str = "completed") -> None:
    """Reasoning items and custom calls have no status."""
    if "status" in item:
        item["status"] = status


def _logprobs(told: object) -> list[object]:
    """Chat completions' entries; `bytes` and `top_logprobs` may be null there and not here."""
    return [
        {**_logprob(entry), "top_logprobs": [_logprob(other) for other in sequence(mapping(entry).get("top_logprobs"))]}
        for entry in sequence(mapping(told).get("content"))
    ]


def _logprob(told: object) -> dict[str, object]:
    entry = mapping(told)
    token = string(entry.get("token"))
    return {"token": token, "logprob": entry.get("logprob"), "bytes": entry.get("bytes") or list(token.encode())}


def _new(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(24)}"


# The stream


class _Kind(NamedTuple):
    """A text that grows: the family of its events, the field of its last one, and what each delta ends with."""

    family: str
    field: str
    tail: bytes


_TAIL = b',"sequence_number":%d}\n\n'
_TEXT = _Kind("response.output_text", "text", b',"logprobs":[]' + _TAIL)
_REFUSAL = _Kind("response.refusal", "refusal", _TAIL)
_SUMMARY = _Kind("response.reasoning_summary_text", "text", _TAIL)
_ARGUMENTS = _Kind("response.function_call_arguments", "arguments", _TAIL)
_INPUT = _Kind("response.custom_tool_call_input", "input", _TAIL)


class _Growing:
    """
    A text as it is written, and where it belongs.

    Frames are put together from bytes: a delta's frame differs from the last one's in its text and number alone.
    """

    __slots__ = ("head", "kind", "logprobs", "pieces", "place")

    def __init__(self, kind: _Kind, place: Mapping[str, object]) -> None:
        self.kind = kind
        self.place = place
        self.pieces: list[str] = []
        self.logprobs: list[object] = []
        name = f"{kind.family}.delta"
        fields = orjson.dumps({"type": name, **place})
        self.head = b'event: %b\ndata: %b,"delta":' % (name.encode(), fields[:-1])

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class _Open:
    """An item that is being written and where it stands in the output; `growing` is the text that is open in it."""

    item: dict[str, Any]
    index: int
    growing: _Growing | None = None
    sealed: list[tuple[int | None, str, str]] = field(default_factory=list)

    @property
    def place(self) -> dict[str, object]:
        return {"item_id": self.item["id"], "output_index": self.index}


@dataclass(slots=True)
class _OpenCall:
    item: dict[str, Any]
    index: int
    growing: _Growing

    @property
    def is_whole(self) -> bool:
        """An object of JSON can only be followed by white space; of a custom call's input nobody knows."""
        return self.growing.kind is _ARGUMENTS and is_object(self.growing.text)


class ResponsesStream:
    """
    Writes one stream; nothing is held back.

    Words and thoughts are closed before another item opens, and so is a call whose arguments are whole. Calls whose
    pieces come in turns are open side by side, told apart by `output_index`.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._response: dict[str, Any] = {}
        self._number = 0
        self._opened = 0
        self._done: dict[int, dict[str, Any]] = {}
        self._words: _Open | None = None
        self._calls: dict[int, _OpenCall] = {}
        self._whole_calls: set[int] = set()

    def chunks(self, chunks: Sequence[Chunk], target: Target) -> bytes:
        frames: list[bytes] = []
        if not self._response and chunks:
            frames.append(self._begin(next((chunk.model for chunk in chunks if chunk.model), target.model)))
        for chunk in chunks:
            if chunk.thinking is not None:
                frames.append(self._thinking(chunk.thinking))
            if chunk.text:
                frames.append(self._text(chunk))
            frames += map(self._piece, chunk.tool_calls)
        return b"".join(frames)

    def end(self, answer: Answer) -> bytes:
        done = answer.completion
        frames = [] if self._response else [self._begin(done.model)]
        if not (done.text or done.tool_calls):
            # As when it is sent whole: an answer without words is a message without words.
            frames.append(self._speaking(_TEXT)[1])
        status = "incomplete" if done.finish_reason in _CUT else "completed"
        frames += [self._close_words(status), *(self._close_call(call, status) for call in self._calls.values())]
        response = _ended(self._response, done, self._output())
        frames.append(self._event(f"response.{status}", {"response": response}))
        return b"".join(frames)

    def failed(self, failure: CascadeFailed) -> bytes:
        """What is open is left open: a call that is said to be done would be made."""
        refusal = refusal_of(failure)
        error = mapping(mapping(DIALECT.body(refusal)).get("error"))
        told = {name: error.get(name) for name in ("code", "message", "param")}
        response = self._response | {
            "status": "failed",
            "error": {"code": _FAILURES.get(refusal.code, "server_error"), "message": refusal.message},
            "output": self._output(),
        }
        return self._event("error", told) + self._event("response.failed", {"response": response})

    def _output(self) -> list[dict[str, Any]]:
        return [item for _, item in sorted(self._done.items())]

    # Events

    def _event(self, name: str, fields: Mapping[str, object]) -> bytes:
        data = orjson.dumps({"type": name, **fields, "sequence_number": self._number})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def _begin(self, model: str) -> bytes:
        self._response = _response(self._exchange, model)
        fields = {"response": self._response}
        return self._event("response.created", fields) + self._event("response.in_progress", fields)

    def _delta(self, growing: _Growing, delta: str) -> bytes:
        growing.pieces.append(delta)
        frame = growing.head + orjson.dumps(delta) + growing.kind.tail % self._number
        self._number += 1
        return frame

    def _all(self, growing: _Growing, **more: object) -> bytes:
        """The event that tells a text once more, when it has ended."""
        kind = growing.kind
        return self._event(f"{kind.family}.done", {**growing.place, kind.field: growing.text, **more})

    # Items

    def _add(self, item: dict[str, Any]) -> tuple[int, bytes]:
        """Open an item: return its place in the output."""
        frames = [self._close_words("completed")]
        for index, call in list(self._calls.items()):
            if call.is_whole:
                frames.append(self._close_call(call, "completed"))
                self._whole_calls.add(index)
                del self._calls[index]
        place = self._opened
        self._opened += 1
        frames.append(self._event("response.output_item.added", {"output_index": place, "item": item}))
        return place, b"".join(frames)

    def _close(self, place: int, item: dict[str, Any], status: str) -> bytes:
        _finish(item, status)
        self._done[place] = item
        return self._event("response.output_item.done", {"output_index": place, "item": item})

    # Words: a message or thoughts, one of them at a time

    def _text(self, chunk: Chunk) -> bytes:
        growing, begun = self._speaking(_REFUSAL if chunk.refused else _TEXT)
        logprobs = [] if chunk.logprobs is None else _logprobs(chunk.logprobs)
        if not logprobs:
            return begun + self._delta(growing, chunk.text)
        growing.pieces.append(chunk.text)
        growing.logprobs += logprobs
        fields = {**growing.place, "delta": chunk.text, "logprobs": logprobs}
        return begun + self._event(f"{growing.kind.family}.delta", fields)

    def _speaking(self, kind: _Kind) -> tuple[_Growing, bytes]:
        """The part of the open message that takes this kind of text, and the frames that open it."""
        words, frames = self._words, b""
        if words is None or words.item["type"] != "message":
            words, frames = self._begin_words(_message())
        if words.growing is not None and words.growing.kind is kind:
            return words.growing, frames
        frames += self._close_content(words)
        place = {**words.place, "content_index": len(words.item["content"])}
        words.growing = _Growing(kind, place)
        frames += self._event("response.content_part.added", {**place, "part": _part(words.growing)})
        return words.growing, frames

    def _close_content(self, words: _Open) -> bytes:
        growing = words.growing
        if growing is None:
            return b""
        words.growing = None
        part = _part(growing)
        words.item["content"].append(part)
        told = self._all(growing, logprobs=growing.logprobs) if growing.kind is _TEXT else self._all(growing)
        return told + self._event("response.content_part.done", {**growing.place, "part": part})

    def _thinking(self, thought: Thinking) -> bytes:
        words, frames = self._words, b""
        if words is None or words.item["type"] != "reasoning":
            words, frames = self._begin_words(_thoughts())
        if thought.redacted:
            frames += self._close_summary(words)
            words.sealed.append((None, "", thought.redacted))
        if thought.text:
            if words.growing is None:
                place = {**words.place, "summary_index": len(words.item["summary"])}
                words.growing = _Growing(_SUMMARY, place)
                fields = {**place, "part": _part(words.growing)}
                frames += self._event("response.reasoning_summary_part.added", fields)
            frames += self._delta(words.growing, thought.text)
        if thought.signature:
            frames += self._close_summary(words, thought.signature)
        return frames

    def _close_summary(self, words: _Open, signature: str = "") -> bytes:
        """A thought ends with its signature, which may be all there is of it."""
        growing = words.growing
        if growing is None:
            if signature:
                words.sealed.append((None, signature, ""))
            return b""
        words.growing = None
        part = _part(growing)
        words.sealed.append((len(words.item["summary"]), signature, ""))
        words.item["summary"].append(part)
        told = self._all(growing)
        return told + self._event("response.reasoning_summary_part.done", {**growing.place, "part": part})

    def _begin_words(self, item: dict[str, Any]) -> tuple[_Open, bytes]:
        place, frames = self._add(item)
        self._words = _Open(item, place)
        return self._words, frames

    def _close_words(self, status: str) -> bytes:
        words = self._words
        if words is None:
            return b""
        self._words = None
        if words.item["type"] == "message":
            frames = self._close_content(words)
        else:
            frames = self._close_summary(words)
            if content := seal(words.sealed):
                words.item["encrypted_content"] = content
        return frames + self._close(words.index, words.item, status)

    # Calls

    def _piece(self, piece: ToolCallPiece) -> bytes:
        call, frames = self._calls.get(piece.index), b""
        if call is None:
            if piece.index in self._whole_calls:
                return b""  # white space, or what would spoil arguments that are whole
            item = _call(piece.id, piece.name, piece.extra, custom=piece.custom)
            index, frames = self._add(item)
            kind = _INPUT if piece.custom else _ARGUMENTS
            growing = _Growing(kind, {"item_id": item["id"], "output_index": index})
            call = self._calls[piece.index] = _OpenCall(item, index, growing)
        elif piece.extra:
            call.item = {**piece.extra, **call.item}
        return frames + self._delta(call.growing, piece.arguments) if piece.arguments else frames

    def _close_call(self, call: _OpenCall, status: str) -> bytes:
        growing, item = call.growing, call.item
        item[growing.kind.field] = growing.text
        # The document requires the name here; the SDK's type does not know it.
        told = self._all(growing, name=item["name"]) if growing.kind is _ARGUMENTS else self._all(growing)
        return told + self._close(call.index, item, status)


def _part(growing: _Growing) -> dict[str, Any]:
    """The part as far as it is written."""
    if growing.kind is _TEXT:
        return _output_text(growing.text, growing.logprobs)
    return _refusal(growing.text) if growing.kind is _REFUSAL else _summary_text(growing.text)
