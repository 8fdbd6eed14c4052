"""
What failures of the OpenAI wire mean, whatever their shape.

Sources: OpenAI's OpenAPI document (`Error`) and the vendors' API references for their own codes and shapes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from providers import statuses
from providers.errors import ContextLengthExceeded, ProviderError, UnsupportedParameter
from providers.fields import first, mapping, sentence, sequence, string
from providers.openai_dialects import Dialect
from providers.retry_after import reset_s, retry_after_s, told_s


def failure(body: object, status: int | None, headers: Mapping[str, str], dialect: Dialect) -> ProviderError:
    """
    What a failed reply means. `status` None: it was found inside a 200 or a stream, and the body must say what it is.
    """
    found = Reported.read(body)
    if status is None:
        status = found.status()
    code, said, words = found.code, found.sentence, found.words
    if status < 500 and words & _BLOCKED_CODES:
        return statuses.blocked(said, status, code)
    if status == 403 and found.moderated:
        return statuses.blocked(said, status, code)
    if status in (400, 402, 403, 429) and _is_quota(words):
        return statuses.quota_exhausted(status, code)
    if status in (400, 413, 422, 403) and words & _CONTEXT_CODES:
        return ContextLengthExceeded(said, http_status=status, code=code)
    if status == 403 and dialect.forbidden_is_context:
        return ContextLengthExceeded(said, http_status=status, code=code)
    if status == 413 and dialect.too_large_is_context:
        # Not in Groq's words: they name the operator's organisation.
        return ContextLengthExceeded("the request is too large for this model", http_status=status, code=code)
    if status in (400, 422) and words & _PARAMETER_CODES:
        return UnsupportedParameter(said, http_status=status, code=code)
    if status in (400, 403, 422) and words & _MODEL_CODES:
        return statuses.model_not_found(status, code)
    if status == 400 and words & _KEY_CODES:
        return statuses.bad_credentials(status, code)
    if status in (400, 413, 422):
        return _by_sentence(found, status)
    wait_s = retry_after_s(headers)
    if status in (429, 498):
        if _CAPACITY_TEXT.search(said):
            return statuses.unavailable(status, code)
        if wait_s is None:
            wait_s = told_s(said)
        if wait_s is None:
            wait_s = reset_s(headers)
    return statuses.error_for(status, sentence=said, code=code, retry_after_s=wait_s)


def failure_inside(body: dict[str, object], choice: dict[str, object]) -> object | None:
    """What reports a failure in a 200: OpenRouter at the top or in the choice, Groq in `x_groq`, vLLM flat."""
    if body.get("error"):
        return body
    if choice.get("error"):
        return choice
    if choice.get("finish_reason") in _BROKEN_OFF:
        return {}
    groq = mapping(body.get("x_groq"))
    if groq.get("error"):
        return groq
    return body if body.get("object") == "error" else None


_BROKEN_OFF = frozenset({"error", "abort", "insufficient_system_resource"})
"""Finish reasons that say the answer is not finished: OpenRouter and Mistral, vLLM and SGLang, DeepSeek."""


@dataclass(frozen=True, slots=True)
class Reported:
    """
    What a failure says of itself, whatever its shape.

    `words` are all its codes and types in lower case, `code` the one to show, `moderated` whether a moderation service
    gave its reasons.
    """

    sentence: str
    code: str | None
    words: frozenset[str]
    numbers: tuple[int, ...]
    moderated: bool

    @classmethod
    def read(cls, body: object) -> "Reported":
        """
        Shapes: OpenAI's `{"error": {…}}`; Google's list of one such; xAI's and Ollama's `{"error": "text"}`; FastAPI's
        `{"detail": …}` (vLLM, Mistral, DeepInfra); flat `{"message", "type", "code"}` (Mistral, Cerebras).
        """
        top = first(body) or mapping(body)
        error = top.get("error")
        if isinstance(error, dict):
            inner, text = error, error.get("message")
        elif isinstance(error, str):
            inner, text = top, error
        elif "detail" in top:
            detail = top["detail"]
            inner = first(detail) or mapping(detail)
            text = detail if isinstance(detail, str) else _detail_text(inner)
        else:
            inner, text = top, top.get("message")
        metadata = mapping(inner.get("metadata"))
        marks = [
            inner.get("code"),
            inner.get("type"),
            inner.get("status"),
            metadata.get("error_type"),
            metadata.get("provider_code"),
            mapping(inner.get("innererror")).get("code"),
            *(mapping(detail).get("reason") for detail in sequence(inner.get("details"))),
        ]
        words = [mark for mark in marks if isinstance(mark, str) and _CODE.fullmatch(mark)]
        numbers = [inner.get("code"), inner.get("raw_status_code")]
        said = sentence(text)
        if _XAI_MODERATED in said:
            said = _XAI_MODERATED  # what follows names the operator's team and key
        return cls(
            sentence=said,
            code=words[0] if words else None,
            words=frozenset(word.lower() for word in words),
            numbers=tuple(number for number in numbers if isinstance(number, int)),
            moderated=bool(metadata.get("reasons") or metadata.get("flagged_input") or said == _XAI_MODERATED),
        )

    def status(self) -> int:
        """The status that a failure inside a 200 would have had: 500 if it does not say."""
        for number in self.numbers:
            if 400 <= number <= 599:
                return number
        for word in self.words:
            if word.isdecimal() and 400 <= int(word) <= 599:
                return int(word)
        if self.words & (_BLOCKED_CODES | _CONTEXT_CODES | _PARAMETER_CODES):
            return 400
        if _is_quota(self.words) or self.words & {"rate_limit_exceeded", "rate_limit_error", "rate_limited"}:
            return 429
        return 500


def _detail_text(detail: dict[str, object]) -> str:
    place = ".".join(str(part) for part in sequence(detail.get("loc")) if isinstance(part, str | int))
    text = string(detail.get("msg")) or string(detail.get("error")) or string(detail.get("message"))
    return f"{place}: {text}" if place else text


def _is_quota(words: frozenset[str]) -> bool:
    return bool(words & _QUOTA_CODES) or any(word.endswith("_spend_limit_reached") for word in words)


def _by_sentence(found: Reported, status: int) -> ProviderError:
    """Last resort for vendors that answer 400 for everything and give no code for it."""
    said, code = found.sentence, found.code
    if _CONTEXT_TEXT.search(said):
        return ContextLengthExceeded(said, http_status=status, code=code)
    if status == 400 and _KEY_TEXT.search(said):
        return statuses.bad_credentials(status, code)
    if status == 400 and _MODEL_TEXT.search(said):
        return statuses.model_not_found(status, code)
    return statuses.error_for(status, sentence=said, code=code)


_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_BLOCKED_CODES = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "invalid_prompt"}
)
_QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "payment_required",
    }
)
_CONTEXT_CODES = frozenset({"context_length_exceeded", "context_window_exceeded", "exceed_context_size_error"})
_PARAMETER_CODES = frozenset({"unsupported_parameter", "unsupported_value"})
_MODEL_CODES = frozenset({"model_not_found", "model_not_available", "model_decommissioned", "invalid_model"})
_KEY_CODES = frozenset({"invalid_api_key", "api_key_invalid", "authentication_error"})

_CONTEXT_TEXT = re.compile(
    r"context (?:length|window|size)|maximum prompt length|(?:prompt|input) is too long|tokens\W{1,3} must be <=", re.I
)
"""vLLM, DeepSeek, Mistral, Ollama ("context length"), xAI, Fireworks, Together, in this order."""
_KEY_TEXT = re.compile(r"incorrect api key", re.I)
"""xAI: 400 for a wrong key, with a code it also gives for bad arguments."""
_MODEL_TEXT = re.compile(r"is not a valid model id", re.I)
"""OpenRouter: its `code` is the status once more."""
_CAPACITY_TEXT = re.compile(r"capacity exceeded", re.I)
"""Mistral: "Service tier capacity exceeded for this model.", an invalid_request_error: its overload, not our rate."""
_XAI_MODERATED = "Content violates usage guidelines"
"""xAI: a 403 whose code is that of a missing permission."""
