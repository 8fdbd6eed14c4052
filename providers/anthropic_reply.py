"""
What Anthropic answers: a message, a stream of events, an error.

Source: Claude API reference (Messages, streaming, errors); `anthropic` 2.11.0 (`raw_message_stream_event.py`).
"""

import re
from collections.abc import Mapping, Sequence

from providers import statuses
from providers.chat import Chunk, Completion, FinishReason, Thinking, ToolCall, ToolCallPiece, Usage
from providers.errors import ContextLengthExceeded, MalformedReply, ProviderError, UnsupportedParameter
from providers.fields import count, mapping, parse, sentence, sequence, string
from providers.retry_after import retry_after_s
from providers.sse import Event
from providers.translation import arguments_text


def completion(message: dict[str, object], http_status: int | None = None) -> Completion:
    """A whole message. Blocks of other types (a server's tools and their results) are skipped: the API adds some."""
    usage = mapping(message.get("usage"))
    counted = _usage(usage) if usage else None
    check_refused(message, counted)
    text: list[str] = []
    calls: list[ToolCall] = []
    thoughts: list[Thinking] = []
    for block in map(mapping, sequence(message.get("content"))):
        match block.get("type"):
            case "text":
                text.append(string(block.get("text")))
            case "tool_use":
                arguments = arguments_text(block.get("input"))
                calls.append(ToolCall(string(block.get("id")), string(block.get("name")), arguments))
            case "thinking":
                thoughts.append(Thinking(string(block.get("thinking")), string(block.get("signature"))))
            case "redacted_thinking":
                thoughts.append(Thinking(redacted=string(block.get("data"))))
    answer = "".join(text)
    stop_reason = message.get("stop_reason")
    if not answer and not calls:
        raise _empty(stop_reason, thought=bool(thoughts), http_status=http_status)
    return Completion(
        answer,
        string(message.get("model")),
        _finish(stop_reason) or ("tool_calls" if calls else "stop"),
        counted,
        tool_calls=tuple(calls),
        thinking=tuple(thoughts),
        stop_sequence=_stop_sequence(message),
    )


class Decoder:
    """
    Reads one stream. Events, blocks and deltas of types not known here are skipped: the API adds some.

    `index` of an event counts all blocks; a caller's tool calls are counted apart.
    """

    __slots__ = ("_calls", "_said", "_thought", "_unsaid", "_usage")

    def __init__(self) -> None:
        self._usage: dict[str, object] = {}
        self._calls: dict[int, int] = {}
        self._unsaid: dict[int, str] = {}
        self._said = False
        self._thought = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        body = parse(event.data)
        match string(body.get("type")) or event.name:
            case "content_block_delta":
                return self._delta(count(body.get("index")), mapping(body.get("delta")))
            case "content_block_start":
                return self._start(count(body.get("index")), mapping(body.get("content_block")))
            case "content_block_stop":
                # Arguments came whole with the start, or there are none.
                index = count(body.get("index"))
                arguments = self._unsaid.pop(index, "")
                return _call(ToolCallPiece(self._calls[index], arguments)) if arguments else ()
            case "message_start":
                message = mapping(body.get("message"))
                return (Chunk(model=string(message.get("model")) or None, usage=self._count(message.get("usage"))),)
            case "message_delta":
                return self._end(mapping(body.get("delta")), body.get("usage"))
            case "message_stop":
                return (Chunk(end=True),)
            case "error":
                raise failure(body, None, {})
        return ()

    def _start(self, index: int, block: dict[str, object]) -> Sequence[Chunk]:
        match block.get("type"):
            case "text":
                return self._text(string(block.get("text")))
            case "tool_use":
                self._said = True
                number = self._calls[index] = len(self._calls)
                self._unsaid[index] = arguments_text(block.get("input"))
                return _call(ToolCallPiece(number, id=string(block.get("id")), name=string(block.get("name"))))
            case "thinking":
                return self._thinking(Thinking(string(block.get("thinking")), string(block.get("signature"))))
            case "redacted_thinking":
                return self._thinking(Thinking(redacted=string(block.get("data"))))
        return ()

    def _delta(self, index: int, delta: dict[str, object]) -> Sequence[Chunk]:
        match delta.get("type"):
            case "text_delta":
                return self._text(string(delta.get("text")))
            case "input_json_delta":
                arguments = string(delta.get("partial_json"))
                if not arguments or index not in self._calls:  # a server's tool is no call of ours
                    return ()
                self._unsaid.pop(index, None)
                return _call(ToolCallPiece(self._calls[index], arguments))
            case "thinking_delta":
                return self._thinking(Thinking(string(delta.get("thinking"))))
            case "signature_delta":
                return self._thinking(Thinking(signature=string(delta.get("signature"))))
        return ()

    def _text(self, text: str) -> Sequence[Chunk]:
        self._said = self._said or bool(text)
        return (Chunk(text),) if text else ()

    def _thinking(self, thought: Thinking) -> Sequence[Chunk]:
        self._thought = True
        return (Chunk(thinking=thought),) if thought != _NO_THOUGHT else ()

    def _end(self, delta: dict[str, object], usage: object) -> Sequence[Chunk]:
        counted = self._count(usage)
        check_refused(delta, counted)
        stop_reason = delta.get("stop_reason")
        finish = _finish(stop_reason)
        if finish is not None and not self._said:
            raise _empty(stop_reason, thought=self._thought)
        return (Chunk(finish_reason=finish, usage=counted, stop_sequence=_stop_sequence(delta)),)

    def _count(self, usage: object) -> Usage | None:
        """Input tokens come first, output tokens last and cumulative: later fields replace earlier ones."""
        self._usage.update({name: value for name, value in mapping(usage).items() if value is not None})
        return _usage(self._usage) if self._usage else None


_NO_THOUGHT = Thinking()


def _call(piece: ToolCallPiece) -> Sequence[Chunk]:
    return (Chunk(tool_calls=(piece,)),)


def _usage(usage: dict[str, object]) -> Usage:
    """`input_tokens` counts only what neither came from the cache nor went into it."""
    cached = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    output = count(usage.get("output_tokens"))
    details = mapping(usage.get("output_tokens_details"))
    thinking = count(details.get("thinking_tokens")) or count(details.get("reasoning_tokens"))
    return Usage(
        count(usage.get("input_tokens")) + written + cached,
        output,
        cached,
        min(thinking, output),
        cache_write_tokens=written,
    )


def check_refused(message: dict[str, object], usage: Usage | None) -> None:
    """A refusal withholds the whole answer, the part already written included."""
    if message.get("stop_reason") == "refusal":
        said = sentence(mapping(message.get("stop_details")).get("explanation"))
        raise statuses.blocked(said, 200, "refusal", usage)


def _empty(stop_reason: object, *, thought: bool, http_status: int | None = None) -> MalformedReply:
    if thought and stop_reason == "max_tokens":
        return MalformedReply("the limit of tokens was spent on thinking", http_status=http_status)
    return MalformedReply("the provider's answer is empty", http_status=http_status)


def _stop_sequence(message: dict[str, object]) -> str | None:
    return string(message.get("stop_sequence")) or None if message.get("stop_reason") == "stop_sequence" else None


_FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


def _finish(reason: object) -> FinishReason | None:
    if not isinstance(reason, str) or not reason:
        return None
    return _FINISH.get(reason, "stop")  # end_turn, stop_sequence, pause_turn, and what is not known yet


_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def failure(body: object, status: int | None, headers: Mapping[str, str]) -> ProviderError:
    """`{"type": "error", "error": {type, message, details?}}`. `status` None: it came inside a stream or a 200."""
    error = mapping(mapping(body).get("error"))
    kind = string(error.get("type"))
    if status is None:
        status = _STATUS_OF_TYPE.get(kind, 500)
    detail = string(mapping(error.get("details")).get("error_code"))
    code = sentence(detail or kind) or None
    said = sentence(error.get("message"))
    if status in (400, 429) and detail.endswith("_spend_limit_reached"):
        return statuses.quota_exhausted(status, code)
    if status == 400:
        # One type for all of these, and no code: the sentence is all there is.
        if _SPENT_TEXT.search(said):
            return statuses.quota_exhausted(status, code)
        if _CONTEXT_TEXT.search(said):
            return ContextLengthExceeded(said, http_status=status, code=code)
        if _SAMPLING_TEXT.match(said) or _MODEL_TEXT.search(said):
            return UnsupportedParameter(said, http_status=status, code=code)
    return statuses.error_for(status, sentence=said, code=code, retry_after_s=retry_after_s(headers))


_SPENT_TEXT = re.compile(r"credit balance is too low|API usage limits|spend limit", re.I)
"""Prepaid money gone; a workspace's monthly limit reached. Both 400."""
_CONTEXT_TEXT = re.compile(r"prompt is too long|exceed context limit|context window", re.I)
_SAMPLING_TEXT = re.compile(r"[`'\"]?temperature\b", re.I)
"""The value is in range, so a sentence that begins with it says that this model takes none."""
_MODEL_TEXT = re.compile(r"(?:not supported|deprecated) (?:for|on|by|with) this model", re.I)
"""`"thinking.type.disabled" is not supported for this model.`: another model may take it."""
