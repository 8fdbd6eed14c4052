"""How OpenAI's imitators differ: Groq, OpenRouter, Ollama and Google's compatible endpoint."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from tests.upstream import google_errors
from tests.upstream.behaviours import Answer, Chat, Ordinary, ReasoningField
from tests.upstream.openai import OpenAIWire
from tests.upstream.openai_schema import (
    AssistantMessage,
    AudioPart,
    ChatBody,
    FilePart,
    FunctionCall,
    GoogleCompatibleChat,
    GroqChat,
    UserMessage,
)
from tests.upstream.recorded import Request
from tests.upstream.signatures import is_signed, signature
from tests.upstream.wire import Call, Event, Json, Refused, Reply, Rules, Script, ToolCall, Turn, fit


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
    schema: ClassVar[type[ChatBody]] = GroqChat
    whole_calls: ClassVar[bool] = True
    reasoning_field: ClassVar[ReasoningField] = "reasoning"

    def check_parameters(self, chat: ChatBody) -> None:
        super().check_parameters(chat)
        self.require(chat.n in (None, 1), "'n' : number must be at most 1")
        for name in ("logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty"):
            self.require(not getattr(chat, name), f"property '{name}' is not supported")
        for index, message in enumerate(chat.messages):
            named = "name" in message.model_fields_set
            self.require(not named, f"'messages.{index}' : property 'name' is unsupported")

    def check_part(self, part: object, where: str) -> None:
        super().check_part(part, where)
        self.require(not isinstance(part, AudioPart | FilePart), f"'{where}' : value is not one of the allowed types")

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

    def usage(self, call: Call, turn: Turn) -> Json:
        times = {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.06, "total_time": 0.062}
        return {**super().usage(call, turn), **times}

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        return {**super().whole(call, ordinary), "x_groq": {"id": f"req_{call.hex}"}}

    def script(self, call: Call, chat: Chat) -> Script:
        script = super().script(call, chat)
        first, last = script.head[0].data, script.tail[0].data
        assert isinstance(first, dict)
        assert isinstance(last, dict)
        first["x_groq"] = {"id": f"req_{call.hex}"}
        last["x_groq"] = {"id": f"req_{call.hex}", "usage": self.usage(call, fit(call, chat))}
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
    takes_unknown: ClassVar[bool] = True
    always_usage: ClassVar[bool] = True
    reasoning_field: ClassVar[ReasoningField] = "reasoning"

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        kind, text = self.words.get(status, ("unmapped", "The request failed."))
        metadata: Json = {"error_type": code or kind}
        if code == "content_policy_violation":
            metadata |= {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenInference"}
        return Reply(status, {"error": {"code": status, "message": message or text, "metadata": metadata}})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def base(self, call: Call, turn: Turn, kind: str) -> Json:
        return {**super().base(call, turn, kind), "id": f"gen-{call.hex}", "provider": "OpenInference"}

    def usage(self, call: Call, turn: Turn) -> Json:
        cost = {} if turn.cost_usd is None else {"cost": turn.cost_usd, "is_byok": False}
        return {**super().usage(call, turn), **cost}

    def thought(self, turn: Turn, text: str) -> Json:
        found = super().thought(turn, text)
        if found:
            found["reasoning_details"] = [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]
        return found

    def script(self, call: Call, chat: Chat) -> Script:
        script = super().script(call, chat)
        return replace(script, head=(Event(b"", name=": OPENROUTER PROCESSING"), *script.head))

    def failure(self, call: Call) -> Event:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        body = self.error(502).body
        assert isinstance(body, dict)
        return Event({**self.chunk(call, fit(call, Answer()), []), **body, "choices": [choice]})


class OllamaWire(OpenAIWire):
    """
    Ollama: no key, no `n`, no likelihoods, `max_tokens` only, and a tool call whole in one delta.

    Source: its openai/openai.go, which passes over fields it does not know. Its real path is OpenAI's own, so here it
    is under `/ollama/v1`.
    """

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        **OpenAIWire.faults,
        "model": (404, "", 'model "{model}" not found, try pulling it first'),
    }
    takes_unknown: ClassVar[bool] = True
    whole_calls: ClassVar[bool] = True
    reasoning_field: ClassVar[ReasoningField] = "reasoning"

    def check_key(self, request: Request, rules: Rules) -> None:
        """There is none to check."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        return replace(super().read(request, rules, number), choices=1, logprobs=None)

    def limit(self, chat: ChatBody) -> int | None:
        return chat.max_tokens

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
        text = message or "The request failed."
        return Reply(status, {"error": {"message": text, "type": kind, "param": None, "code": None}})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def base(self, call: Call, turn: Turn, kind: str) -> Json:
        return {**super().base(call, turn, kind), "system_fingerprint": "fp_ollama"}


class GoogleCompatibleWire(OpenAIWire):
    """
    Google's OpenAI-compatible endpoint: the request is OpenAI's, an error is Google's, in a list of one.

    A Gemini 3 model's thought signature travels in the first tool call's `extra_content` and must come back there.
    """

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = google_errors.FAULTS
    schema: ClassVar[type[ChatBody]] = GoogleCompatibleChat
    takes_extra_content: ClassVar[bool] = True
    whole_calls: ClassVar[bool] = True

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return Reply(status, [google_errors.body(status, message, code=code)])

    def limited(self, status: int, retry_after_s: float) -> Reply:
        return Reply(status, [google_errors.limited(status, retry_after_s)])

    def blocked(self, call: Call) -> Reply:
        return self.error(400, "The prompt was blocked.")

    def headers(self, call: Call) -> Mapping[str, str]:
        return {}

    def failure(self, call: Call) -> Event:
        return Event(google_errors.body(500))

    def unrecognized(self, name: str) -> str:
        return google_errors.unknown(name)

    def check_model(self, model: str, rules: Rules) -> None:
        super().check_model(model.removeprefix("models/"), rules)

    def check_turns(self, chat: ChatBody) -> None:
        super().check_turns(chat)
        if not is_signed(chat.model):
            return
        last_user = max((at for at, one in enumerate(chat.messages) if isinstance(one, UserMessage)), default=0)
        for message in chat.messages[last_user:]:
            if isinstance(message, AssistantMessage) and message.tool_calls:
                first = message.tool_calls[0]
                if not isinstance(first, FunctionCall):
                    raise Refused(self.error(400, "Only function tool calls are supported."))
                google = (first.extra_content or {}).get("google")
                sent = google.get("thought_signature") if isinstance(google, dict) else None
                problem = google_errors.signature_problem(sent, first.function.name)
                self.require(problem is None, problem or "")

    def tool_call(self, call: Call, choice: int, index: int, tool: ToolCall) -> Json:
        found = super().tool_call(call, choice, index, tool)
        if index == 0 and is_signed(call.model):
            found["extra_content"] = {"google": {"thought_signature": signature(tool.name)}}
        return found
