"""
Anthropic's Messages.

Source: Claude API reference (Messages, streaming, errors, versioning). Version 2023-06-01 is sent because 2026-10-21
refuses `temperature` with 400, even at its default.
"""

import re
from collections.abc import Mapping

import orjson

from providers import statuses
from providers.base import ChatRequest, Chunk, Completion, FinishReason, HttpReply, HttpRequest, Target, Usage
from providers.errors import ContextLengthExceeded, MalformedReply, ProviderError, UnsupportedParameter
from providers.fields import count, loose, mapping, parse, sentence, sequence, string
from providers.retry_after import retry_after_s
from providers.sse import Event
from providers.turns import alternating

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
"""`max_tokens` is required; this is what every Claude model since 3 can write."""


class Anthropic:
    """The Messages wire."""

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        system, turns = alternating(request.messages)
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        if turns[-1].role == "assistant":
            messages[-1]["content"] = turns[-1].text.rstrip()  # a prefill that ends in white space is refused
        body: dict[str, object] = {
            "model": target.model,
            "max_tokens": DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens,
            "messages": messages,
        }
        if system:
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = min(request.temperature, 1.0)  # their range is 0..1, our callers' 0..2
        if stream:
            body["stream"] = True
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            "anthropic-version": VERSION,
        }
        if target.api_key is not None:
            headers["x-api-key"] = target.api_key.get_secret_value()
        return HttpRequest(f"{target.base_url}/v1/messages", headers, orjson.dumps(body))

    def decode(self, reply: HttpReply) -> Completion:
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the provider's answer is not JSON", http_status=reply.status) from error
        if "error" in body:
            raise _failure(body, None, reply.headers)
        _check_refused(body)
        blocks = [mapping(block) for block in sequence(body.get("content"))]
        text = "".join(string(block.get("text")) for block in blocks if block.get("type") == "text")
        if not text and not any(block.get("type") == "tool_use" for block in blocks):
            raise MalformedReply("the provider's answer is empty", http_status=reply.status)
        usage = mapping(body.get("usage"))
        return Completion(
            text,
            string(body.get("model")),
            _finish(body.get("stop_reason")) or "stop",
            _usage(usage) if usage else None,
        )

    def decoder(self) -> "Decoder":
        return Decoder()

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return _failure(loose(reply.body), reply.status, reply.headers)


class Decoder:
    """Reads one stream. Events and deltas of types not known here are skipped: the API adds some."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, object] = {}

    def feed(self, event: Event) -> Chunk | None:
        body = parse(event.data)
        match string(body.get("type")) or event.name:
            case "content_block_delta":
                delta = mapping(body.get("delta"))
                text = string(delta.get("text")) if delta.get("type") == "text_delta" else ""
                return Chunk(text) if text else None
            case "content_block_start":
                block = mapping(body.get("content_block"))
                text = string(block.get("text")) if block.get("type") == "text" else ""
                return Chunk(text) if text else None
            case "message_start":
                message = mapping(body.get("message"))
                return Chunk(model=string(message.get("model")) or None, usage=self._count(message.get("usage")))
            case "message_delta":
                delta = mapping(body.get("delta"))
                _check_refused(delta)
                return Chunk(finish_reason=_finish(delta.get("stop_reason")), usage=self._count(body.get("usage")))
            case "message_stop":
                return Chunk(end=True)
            case "error":
                raise _failure(body, None, {})
        return None

    def _count(self, usage: object) -> Usage | None:
        """Input tokens come first, output tokens last and cumulative: later fields replace earlier ones."""
        self._usage.update({name: value for name, value in mapping(usage).items() if value is not None})
        return _usage(self._usage) if self._usage else None


def _usage(usage: dict[str, object]) -> Usage:
    """`input_tokens` counts only what neither came from the cache nor went into it."""
    cached = count(usage.get("cache_read_input_tokens"))
    total = count(usage.get("input_tokens")) + count(usage.get("cache_creation_input_tokens")) + cached
    output = count(usage.get("output_tokens"))
    details = mapping(usage.get("output_tokens_details"))
    thinking = count(details.get("thinking_tokens")) or count(details.get("reasoning_tokens"))
    return Usage(total, output, cached, min(thinking, output))


def _check_refused(message: dict[str, object]) -> None:
    """A refusal withholds the whole answer, the part already written included."""
    if message.get("stop_reason") == "refusal":
        said = sentence(mapping(message.get("stop_details")).get("explanation"))
        raise statuses.blocked(said, 200, "refusal")


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


def _failure(body: object, status: int | None, headers: Mapping[str, str]) -> ProviderError:
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
        if _SAMPLING_TEXT.match(said):
            return UnsupportedParameter(said, http_status=status, code=code)
    return statuses.error_for(status, sentence=said, code=code, retry_after_s=retry_after_s(headers))


_SPENT_TEXT = re.compile(r"credit balance is too low|API usage limits|spend limit", re.I)
"""Prepaid money gone; a workspace's monthly limit reached. Both 400."""
_CONTEXT_TEXT = re.compile(r"prompt is too long|exceed context limit|context window", re.I)
_SAMPLING_TEXT = re.compile(r"[`'\"]?temperature\b", re.I)
"""The value is in range, so a sentence that begins with it says that this model takes none."""
