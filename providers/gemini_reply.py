"""
What Google answers: candidates, whole or in pieces, and errors.

Source: Gemini API reference (GenerateContentResponse, error model of google.rpc).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import uuid4

from providers import statuses
from providers.chat import Choice, Chunk, Completion, FinishReason, Thinking, ToolCall, ToolCallPiece, Usage
from providers.errors import ContextLengthExceeded, MalformedReply, ProviderError, UnsupportedParameter
from providers.fields import count, first, mapping, parse, sentence, sequence, string
from providers.retry_after import duration_s, retry_after_s
from providers.sse import Event
from providers.translation import arguments_text

WITHHELD = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"})
"""Finish reasons that say the text must not be shown, also the part already written."""
_STOPPED = frozenset({"RECITATION", "LANGUAGE"})
"""Finish reasons of a filter that leave the part already written usable. `IMAGE_…` are of this kind."""
_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""Finish reasons of a failure: what came before is no whole answer."""


class Said(NamedTuple):
    """What the parts of one candidate add up to."""

    text: str
    thought: str
    calls: tuple[ToolCall, ...]


def said(candidate: dict[str, object]) -> Said:
    """Parts of other kinds (images, code that ran at Google's) are skipped."""
    text: list[str] = []
    thought: list[str] = []
    calls: list[ToolCall] = []
    for part in map(mapping, sequence(mapping(candidate.get("content")).get("parts"))):
        if "functionCall" in part:
            calls.append(_call(mapping(part["functionCall"]), string(part.get("thoughtSignature"))))
        elif part.get("thought") is True:
            thought.append(string(part.get("text")))
        else:
            text.append(string(part.get("text")))
    return Said("".join(text), "".join(thought), tuple(calls))


def _call(call: dict[str, object], signature: str) -> ToolCall:
    """Google may give no id; the one made here comes back with the result."""
    return ToolCall(
        string(call.get("id")) or f"call_{uuid4().hex[:24]}",
        string(call.get("name")),
        arguments_text(call.get("args")),
        extra={"extra_content": {"google": {"thought_signature": signature}}} if signature else {},
    )


def completion(body: dict[str, object], http_status: int | None = None) -> Completion:
    """A whole answer. Raises `ProviderError` where the prompt is blocked, or a candidate withheld or broken off."""
    candidates = sorted(map(mapping, sequence(body.get("candidates"))), key=_index)
    choices: list[Choice] = []
    check_prompt(body)
    for candidate in candidates:
        text, thought, calls = said(candidate)
        reason = check_candidate(candidate, body, answered=bool(text or calls))
        finish = _finish(reason, called=bool(calls)) or ("tool_calls" if calls else "stop")
        choices.append(Choice(text, finish, calls, (Thinking(thought),) if thought else ()))
    if not any(choice.text or choice.tool_calls for choice in choices):
        raise _empty(first(candidates).get("finishReason"), body, http_status)
    answer, *others = choices
    return Completion(
        answer.text,
        string(body.get("modelVersion")),
        answer.finish_reason,
        _usage(body),
        tool_calls=answer.tool_calls,
        thinking=answer.thinking,
        others=tuple(others),
    )


class Decoder:
    """Reads one stream: every event is a whole GenerateContentResponse with the next piece; there is no end mark."""

    __slots__ = ("_answered", "_calls")

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._answered: set[int] = set()

    def feed(self, event: Event) -> Sequence[Chunk]:
        body = parse(event.data)
        if "error" in body:
            raise failure(body, None, {})
        check_prompt(body)
        model = string(body.get("modelVersion")) or None
        chunks: list[Chunk] = []
        for candidate in map(mapping, sequence(body.get("candidates"))):
            text, thought, calls = said(candidate)
            index = _index(candidate)
            begun = self._calls.get(index, 0)
            self._calls[index] = begun + len(calls)
            if text or calls:
                self._answered.add(index)
            reason = check_candidate(candidate, body, answered=index in self._answered)
            finish = _finish(reason, called=self._calls[index] > 0)
            if finish is not None and not self._answered and len(self._calls) == 1:
                raise _empty(reason, body, None)
            pieces = tuple(
                ToolCallPiece(number, call.arguments, call.id, call.name, extra=call.extra)
                for number, call in enumerate(calls, begun)
            )
            if text or thought or pieces or finish is not None:
                thinking = Thinking(thought) if thought else None
                chunks.append(Chunk(text, finish, model, choice=index, tool_calls=pieces, thinking=thinking))
        usage = _usage(body)
        if usage is not None:
            last = chunks.pop() if chunks else Chunk(model=model)
            chunks.append(replace(last, usage=usage))
        return tuple(chunks)


def _index(candidate: dict[str, object]) -> int:
    return count(candidate.get("index"))  # absent for the first: zero is not sent


def check_prompt(body: dict[str, object]) -> None:
    """Raise `ContentBlocked` for a blocked prompt, which is a 200 with `promptFeedback`."""
    reason = string(mapping(body.get("promptFeedback")).get("blockReason"))
    if reason and reason != "BLOCK_REASON_UNSPECIFIED":
        said = f"the provider blocked the prompt ({sentence(reason)})"
        raise statuses.blocked(said, 200, sentence(reason), _usage(body))


def check_candidate(candidate: dict[str, object], body: dict[str, object], *, answered: bool) -> str:
    """
    Return the finish reason of a candidate of `body`. Raises `ContentBlocked` for an answer withheld, `MalformedReply`
    for a broken one.
    """
    reason = string(candidate.get("finishReason"))
    if reason in WITHHELD or (not answered and _is_filter(reason)):
        said = f"the provider withheld its answer ({sentence(reason)})"
        raise statuses.blocked(said, 200, sentence(reason), _usage(body))
    if reason in _BROKEN:
        raise MalformedReply(f"the model broke its answer off ({sentence(reason)})", http_status=200)
    return reason


def _is_filter(finish: str) -> bool:
    return finish in _STOPPED or finish.startswith("IMAGE_")


def _empty(reason: object, body: dict[str, object], http_status: int | None) -> MalformedReply:
    if reason == "MAX_TOKENS" and mapping(body.get("usageMetadata")).get("thoughtsTokenCount"):
        return MalformedReply("the limit of tokens was spent on thinking", http_status=http_status)
    return MalformedReply("the provider's answer is empty", http_status=http_status)


def _finish(reason: str, *, called: bool) -> FinishReason | None:
    """Google ends tool calls with STOP. Reasons not listed, old and new, end what text there is."""
    if reason in ("", "FINISH_REASON_UNSPECIFIED"):
        return None
    if reason == "MAX_TOKENS":
        return "length"
    if _is_filter(reason):
        return "content_filter"
    return "tool_calls" if called else "stop"


def _usage(body: dict[str, object]) -> Usage | None:
    """Fields of value 0 may be absent. Thoughts are billed as output but not counted among the candidates' tokens."""
    found = mapping(body.get("usageMetadata"))
    if not found:
        return None
    prompt = count(found.get("promptTokenCount")) + count(found.get("toolUsePromptTokenCount"))
    thoughts = count(found.get("thoughtsTokenCount"))
    cached = min(count(found.get("cachedContentTokenCount")), prompt)
    return Usage(prompt, count(found.get("candidatesTokenCount")) + thoughts, cached, thoughts)


def failure(body: object, status: int | None, headers: Mapping[str, str]) -> ProviderError:
    """`{"error": {code, message, status, details}}`, or a list of one. `status` None: found inside a 200."""
    error = mapping((first(body) or mapping(body)).get("error"))
    if status is None:
        told = count(error.get("code"))
        status = told if 400 <= told <= 599 else 500
    code = sentence(error.get("status")) or None
    words = sentence(error.get("message"))
    details = [mapping(detail) for detail in sequence(error.get("details"))]
    if status == 400:
        reasons = {string(detail.get("reason")) for detail in details}
        if any(reason.startswith("API_KEY_") for reason in reasons) or code == "FAILED_PRECONDITION":
            # FAILED_PRECONDITION: no free tier in this country, or billing is off. The operator's to mend, too.
            return statuses.bad_credentials(status, code)
        if _CONTEXT_TEXT.search(words):
            return ContextLengthExceeded(words, http_status=status, code=code)
        if _MODEL_TEXT.search(words):
            return UnsupportedParameter(words, http_status=status, code=code)
    wait_s = retry_after_s(headers)
    if status == 429:
        violations = [mapping(item) for detail in details for item in sequence(detail.get("violations"))]
        if any("PerDay" in string(violation.get("quotaId")) for violation in violations):
            return statuses.quota_exhausted(status, code)
        for detail in details:
            if wait_s is None:
                wait_s = duration_s(string(detail.get("retryDelay")))
    return statuses.error_for(status, sentence=words, code=code, retry_after_s=wait_s)


_CONTEXT_TEXT = re.compile(r"exceeds the maximum number of tokens|maximum context length", re.I)
"""An INVALID_ARGUMENT like any other: "The input token count (…) exceeds the maximum number of tokens allowed (…)"."""
_MODEL_TEXT = re.compile(r"is not (?:enabled|supported) (?:for|by) (?:this model|models?/)", re.I)
"""`Penalty is not enabled for models/…`: another model may take it."""
