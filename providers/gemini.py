"""
Google's generateContent.

Source: Gemini API reference (generateContent, streamGenerateContent, GenerateContentResponse, error model of
google.rpc). Sent to `/v1beta`, which has every field used here; `/v1` lags behind it.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

import orjson

from providers import statuses
from providers.base import ChatRequest, Chunk, Completion, FinishReason, HttpReply, HttpRequest, Target, Usage
from providers.errors import ContextLengthExceeded, MalformedReply, ProviderError
from providers.fields import count, first, loose, mapping, parse, sentence, sequence, string
from providers.retry_after import duration_s, retry_after_s
from providers.sse import Event
from providers.turns import alternating

_NO_THINKING_VARIANTS = r"(?!.*(?:image|tts|audio|live))"
_GEMINI_3_FLASH = re.compile(rf"gemini-3[\w.-]*flash{_NO_THINKING_VARIANTS}")
_GEMINI_25_FLASH = re.compile(rf"gemini-2\.5-flash{_NO_THINKING_VARIANTS}")

WITHHELD = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"})
"""Finish reasons that say the text must not be shown, also the part already written."""
_STOPPED = frozenset({"RECITATION", "LANGUAGE"})
"""Finish reasons of a filter that leave the part already written usable. `IMAGE_…` are of this kind."""


def thinking_config(model: str) -> dict[str, object] | None:
    """
    The least thinking a small model allows.

    Thinking tokens are taken out of maxOutputTokens: with a small limit the answer may otherwise be cut before its
    first word. Flash models of generation 3 know levels and cannot switch thinking off, those of 2.5 know budgets;
    the others keep their default, since Pro models refuse MINIMAL and 0.
    """
    name = model.removeprefix("models/")
    if _GEMINI_3_FLASH.match(name):
        return {"thinkingLevel": "MINIMAL"}
    if _GEMINI_25_FLASH.match(name):
        return {"thinkingBudget": 0}
    return None


def model_url(base_url: str, model: str, method: str) -> str:
    return f"{base_url}/v1beta/models/{quote(model.removeprefix('models/'), safe='')}:{method}"


class Gemini:
    """The native wire."""

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        system, turns = alternating(request.messages)
        body: dict[str, object] = {
            "contents": [
                {"role": "user" if turn.role == "user" else "model", "parts": [{"text": turn.text}]} for turn in turns
            ]
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        config: dict[str, object] = {}
        if request.max_tokens is not None:
            config["maxOutputTokens"] = request.max_tokens
        if request.temperature is not None:
            config["temperature"] = request.temperature
        thinking = thinking_config(target.model)
        if thinking is not None:
            config["thinkingConfig"] = thinking
        if config:
            body["generationConfig"] = config
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        if target.api_key is not None:
            headers["x-goog-api-key"] = target.api_key.get_secret_value()
        return HttpRequest(model_url(target.base_url, target.model, method), headers, orjson.dumps(body))

    def decode(self, reply: HttpReply) -> Completion:
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the provider's answer is not JSON", http_status=reply.status) from error
        if "error" in body:
            raise failure(body, None, reply.headers)
        candidate = first(body.get("candidates"))
        text, called = answer_text(candidate)
        check_blocked(body, candidate, has_text=bool(text))
        if not text and not called:
            raise MalformedReply("the provider's answer is empty", http_status=reply.status)
        finish = _finish(candidate.get("finishReason"), called=called) or "stop"
        return Completion(text, string(body.get("modelVersion")), finish, _usage(body))

    def decoder(self) -> "Decoder":
        return Decoder()

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return failure(loose(reply.body), reply.status, reply.headers)


class Decoder:
    """Reads one stream: every event is a whole GenerateContentResponse with the next piece; there is no end mark."""

    __slots__ = ("_called", "_text_seen")

    def __init__(self) -> None:
        self._called = False
        self._text_seen = False

    def feed(self, event: Event) -> Chunk | None:
        body = parse(event.data)
        if "error" in body:
            raise failure(body, None, {})
        candidate = first(body.get("candidates"))
        text, called = answer_text(candidate)
        self._text_seen = self._text_seen or bool(text)
        self._called = self._called or called
        check_blocked(body, candidate, has_text=self._text_seen)
        finish = _finish(candidate.get("finishReason"), called=self._called)
        usage = _usage(body)
        if not text and finish is None and usage is None:
            return None
        return Chunk(text, finish, string(body.get("modelVersion")) or None, usage)


def answer_text(candidate: dict[str, object]) -> tuple[str, bool]:
    """The text without thoughts, and whether a function is called."""
    parts = [mapping(part) for part in sequence(mapping(candidate.get("content")).get("parts"))]
    text = "".join(string(part.get("text")) for part in parts if part.get("thought") is not True)
    return text, any("functionCall" in part for part in parts)


def check_blocked(body: dict[str, object], candidate: dict[str, object], *, has_text: bool) -> None:
    """Raise `ContentBlocked` for a blocked prompt (a 200 with `promptFeedback`) or a withheld answer."""
    reason = string(mapping(body.get("promptFeedback")).get("blockReason"))
    if reason and reason != "BLOCK_REASON_UNSPECIFIED":
        raise statuses.blocked(f"the provider blocked the prompt ({sentence(reason)})", 200, sentence(reason))
    finish = string(candidate.get("finishReason"))
    if finish in WITHHELD or (not has_text and _is_filter(finish)):
        raise statuses.blocked(f"the provider withheld its answer ({sentence(finish)})", 200, sentence(finish))


def _is_filter(finish: str) -> bool:
    return finish in _STOPPED or finish.startswith("IMAGE_")


def _finish(reason: object, *, called: bool) -> FinishReason | None:
    """Google ends tool calls with STOP. Reasons not listed, old and new, end what text there is."""
    if not isinstance(reason, str) or reason in ("", "FINISH_REASON_UNSPECIFIED"):
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
    said = sentence(error.get("message"))
    details = [mapping(detail) for detail in sequence(error.get("details"))]
    if status == 400:
        reasons = {string(detail.get("reason")) for detail in details}
        if any(reason.startswith("API_KEY_") for reason in reasons) or code == "FAILED_PRECONDITION":
            # FAILED_PRECONDITION: no free tier in this country, or billing is off. The operator's to mend, too.
            return statuses.bad_credentials(status, code)
        if _CONTEXT_TEXT.search(said):
            return ContextLengthExceeded(said, http_status=status, code=code)
    wait_s = retry_after_s(headers)
    if status == 429:
        violations = [mapping(item) for detail in details for item in sequence(detail.get("violations"))]
        if any("PerDay" in string(violation.get("quotaId")) for violation in violations):
            return statuses.quota_exhausted(status, code)
        for detail in details:
            if wait_s is None:
                wait_s = duration_s(string(detail.get("retryDelay")))
    return statuses.error_for(status, sentence=said, code=code, retry_after_s=wait_s)


_CONTEXT_TEXT = re.compile(r"exceeds the maximum number of tokens|maximum context length", re.I)
"""An INVALID_ARGUMENT like any other: "The input token count (…) exceeds the maximum number of tokens allowed (…)"."""
