"""
The OpenAI chat wire, as OpenAI, Azure, Groq, OpenRouter, Mistral and most others speak it.

Sources: OpenAI's OpenAPI document (`CreateChatCompletionRequest`, `CreateChatCompletionStreamResponse`, `Error`), the
vendors' API references for what each adds. What a vendor needs differently in a request is data, a `Dialect`; what
differs in replies is read wherever it shows up, since the shapes do not contradict each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from urllib.parse import quote

import orjson

from providers import statuses
from providers.base import ChatRequest, Chunk, Completion, FinishReason, HttpReply, HttpRequest, Target, Usage
from providers.errors import ContextLengthExceeded, MalformedReply, ProviderError, UnsupportedParameter
from providers.fields import count, first, loose, mapping, money, parse, sentence, sequence, string
from providers.retry_after import reset_s, retry_after_s, told_s
from providers.sse import Event


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    How a vendor's request differs from the common form.

    `path` may hold `{model}`. `strip` names body fields the vendor answers with 400. A model that `reasoning_models`
    matches takes its limit as `max_completion_tokens` and no temperature; one that `low_effort_models` matches reasons
    by default out of that limit and is asked for little of it, or a short answer would be none. The last two say what
    a status means there and nowhere else.
    """

    path: str = "/chat/completions"
    query: str = ""
    key_header: Literal["authorization", "api-key"] = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning_models: re.Pattern[str] | None = None
    low_effort_models: re.Pattern[str] | None = None
    strip: frozenset[str] = frozenset()
    forbidden_is_context: bool = False
    too_large_is_context: bool = False


_OPENAI_REASONING = re.compile(r"(?:ft:)?(?:gpt-(?:[5-9]|[1-9]\d)|o[1-9])(?![a-z])")
"""gpt-5 and later and the o-series refuse `max_tokens` and any temperature but 1 with 400. Not gpt-4o, not gpt-oss."""

_GPT_OSS = re.compile(r"(?:openai/)?gpt-oss-")

COMMON = Dialect()
OPENAI = Dialect(reasoning_models=_OPENAI_REASONING)
CEREBRAS = Dialect(max_tokens_field="max_completion_tokens", low_effort_models=_GPT_OSS)
GROQ = Dialect(
    low_effort_models=_GPT_OSS,
    # "Not yet supported" in Groq's reference: answered with 400.
    strip=frozenset({"logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty"}),
    # Larger than a minute's tokens: waiting does not help, another provider may.
    too_large_is_context=True,
)
MISTRAL = Dialect(strip=frozenset({"stream_options", "logit_bias", "logprobs", "seed"}))  # usage is sent unasked
OPENROUTER = Dialect(headers=(("x-openrouter-title", "LLM Security Gateway"),))
TOGETHER = Dialect(forbidden_is_context=True)
AZURE = Dialect(key_header="api-key", reasoning_models=_OPENAI_REASONING)


def azure_classic(api_version: str) -> Dialect:
    """Azure's older form: the deployment in the path, a dated `api-version` in the query."""
    return Dialect(
        path="/openai/deployments/{model}/chat/completions",
        query=f"api-version={quote(api_version, safe='')}",
        key_header="api-key",
        reasoning_models=_OPENAI_REASONING,
    )


class OpenAICompatible:
    """One dialect of the wire."""

    def __init__(self, dialect: Dialect = COMMON) -> None:
        self._dialect = dialect

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        dialect, model = self._dialect, target.model
        reasoning = dialect.reasoning_models is not None and dialect.reasoning_models.match(model) is not None
        body: dict[str, object] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        }
        if request.max_tokens is not None:
            body["max_completion_tokens" if reasoning else dialect.max_tokens_field] = request.max_tokens
        if request.temperature is not None and not reasoning:
            body["temperature"] = request.temperature
        if dialect.low_effort_models is not None and dialect.low_effort_models.match(model):
            body["reasoning_effort"] = "low"
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        for field in dialect.strip:
            body.pop(field, None)
        path = dialect.path.replace("{model}", quote(model, safe=""))
        url = f"{target.base_url}{path}?{dialect.query}" if dialect.query else f"{target.base_url}{path}"
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(dialect.headers)
        if target.api_key is not None:
            key = target.api_key.get_secret_value()
            headers[dialect.key_header] = key if dialect.key_header == "api-key" else f"Bearer {key}"
        return HttpRequest(url, headers, orjson.dumps(body))

    def decode(self, reply: HttpReply) -> Completion:
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the provider's answer is not JSON", http_status=reply.status) from error
        choice = first(body.get("choices"))
        failure = _failure_inside(body, choice)
        if failure is not None:
            raise self._failure(failure, None, reply.headers)
        message = mapping(choice.get("message"))
        text = _text(message.get("content")) or string(message.get("refusal"))
        finish = _finish(choice.get("finish_reason"))
        if not text:
            if finish == "content_filter":
                raise statuses.blocked("", reply.status, "content_filter")
            if not message.get("tool_calls") and not message.get("function_call"):
                raise MalformedReply("the provider's answer is empty", http_status=reply.status)
        usage = mapping(body.get("usage")) or mapping(mapping(body.get("x_groq")).get("usage"))
        return Completion(text, string(body.get("model")), finish or "stop", _usage(usage), _cost(usage))

    def decoder(self) -> "Decoder":
        return Decoder(self)

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return self._failure(loose(reply.body), reply.status, reply.headers)

    def failure_in_stream(self, body: object) -> ProviderError:
        """An error that came as an event: status and headers are long gone."""
        return self._failure(body, None, {})

    def _failure(self, body: object, status: int | None, headers: Mapping[str, str]) -> ProviderError:
        """`status` None: the failure was found inside a 200, and the body must say what it is."""
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
        if status == 403 and self._dialect.forbidden_is_context:
            return ContextLengthExceeded(said, http_status=status, code=code)
        if status == 413 and self._dialect.too_large_is_context:
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


class Decoder:
    """Reads one stream."""

    __slots__ = ("_adapter", "_text_seen")

    def __init__(self, adapter: OpenAICompatible) -> None:
        self._adapter = adapter
        self._text_seen = False

    def feed(self, event: Event) -> Chunk | None:
        if event.data.strip() == b"[DONE]":
            return Chunk(end=True)
        body = parse(event.data)
        # Azure's first chunk and the one with the usage have an empty list of choices.
        choice = first(body.get("choices"))
        failure = _failure_inside(body, choice)
        if failure is not None:
            raise self._adapter.failure_in_stream(failure)
        delta = mapping(choice.get("delta"))
        text = _text(delta.get("content")) or string(delta.get("refusal"))
        if text:
            self._text_seen = True
        finish = _finish(choice.get("finish_reason"))
        if finish == "content_filter" and not self._text_seen:
            raise statuses.blocked("", 200, "content_filter")
        usage = mapping(body.get("usage")) or mapping(mapping(body.get("x_groq")).get("usage"))
        if not text and finish is None and not usage:
            return None
        model = string(body.get("model")) or None
        if not usage:
            return Chunk(text, finish, model)
        return Chunk(text, finish, model, _usage(usage), _cost(usage))


# Answers


def _text(content: object) -> str:
    """A string, or Mistral's array of chunks, of which only `text` ones are the answer (`thinking` is not)."""
    if isinstance(content, str):
        return content
    parts = (mapping(part) for part in sequence(content))
    return "".join(string(part.get("text")) for part in parts if part.get("type") == "text")


def _finish(reason: object) -> FinishReason | None:
    """None for none. A word nobody documents ends the answer like `stop`: what text there is counts."""
    if not isinstance(reason, str) or not reason:
        return None
    return _FINISH.get(reason, "stop")


_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "model_length": "length",  # Mistral: the window is full
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def _usage(usage: dict[str, object]) -> Usage | None:
    if "prompt_tokens" not in usage and "completion_tokens" not in usage:
        return None
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    reasoning = count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if reasoning and count(usage.get("total_tokens")) == prompt + completion + reasoning:
        # xAI and Gemini's OpenAI endpoint count reasoning beside the completion, OpenAI inside it; both bill it.
        completion += reasoning
    cached = count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens")) or count(
        usage.get("prompt_cache_hit_tokens")  # DeepSeek
    )
    return Usage(prompt, completion, min(cached, prompt), min(reasoning, completion))


def _cost(usage: dict[str, object]) -> Decimal | None:
    """OpenRouter's `cost`, DeepInfra's `estimated_cost`, both in USD."""
    cost = money(usage.get("cost"))
    if cost is not None and usage.get("is_byok") is True:
        # With the operator's own key at the vendor, `cost` is OpenRouter's fee alone.
        upstream = money(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
        return None if upstream is None else cost + upstream
    return money(usage.get("estimated_cost")) if cost is None else cost


# Failures


def _failure_inside(body: dict[str, object], choice: dict[str, object]) -> object | None:
    """What reports a failure in a 200: OpenRouter at the top or in the choice, Groq in `x_groq`, vLLM flat."""
    if body.get("error"):
        return body
    if choice.get("error"):
        return choice
    if choice.get("finish_reason") == "error":  # OpenRouter, Mistral
        return {}
    groq = mapping(body.get("x_groq"))
    if groq.get("error"):
        return groq
    return body if body.get("object") == "error" else None


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
