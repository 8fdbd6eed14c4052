"""
The OpenAI wire, as OpenAI, Azure, Groq, OpenRouter, Mistral and most others speak it: chat, embeddings, models.

Source: OpenAI's OpenAPI document (`CreateChatCompletionRequest`, `CreateChatCompletionStreamResponse`,
`CreateEmbeddingRequest`). What a vendor needs differently in a request is data, a `Dialect`.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import quote

import orjson

from providers import statuses
from providers.base import HttpReply, HttpRequest, ListedModel, Target
from providers.chat import (
    FITS,
    Audio,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    EmbeddingRequest,
    Embeddings,
    File,
    FinishReason,
    Fit,
    Image,
    Message,
    OutputFormat,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolCallPiece,
    ToolChoice,
    Usage,
)
from providers.errors import MalformedReply, ProviderError
from providers.fields import count, first, is_deep, loose, mapping, money, parse, sequence, string
from providers.openai_dialects import COMMON, Dialect
from providers.openai_errors import failure, failure_inside
from providers.sse import Event
from providers.translation import arguments_text


class OpenAICompatible:
    """One dialect of the wire."""

    def __init__(self, dialect: Dialect = COMMON) -> None:
        self._dialect = dialect

    # Requests

    def fit(self, request: ChatRequest, target: Target) -> Fit:
        dialect = self._dialect
        refused: list[str] = []
        dropped: list[str] = []
        if request.options:
            refused += [name for name in request.options if name in dialect.refuses]
            dropped += [name for name in request.options if self._drops(name)]
            if "thinking" in request.options and request.effort is None:
                dropped.append("thinking")  # Anthropic's own; as an effort it is said
        if request.unknown:
            dropped += [name for name in request.unknown if name not in target.allow_fields]
        if request.n != 1 and "n" in dialect.refuses:
            refused.append("n")
        if request.temperature not in (None, 1) and self._reasons(target.model):
            dropped.append("temperature")
        if request.tool_choice is not None and "tool_choice" in dialect.drops:
            dropped.append("tool_choice")
        if request.parallel_tool_calls is not None and "parallel_tool_calls" in dialect.drops:
            dropped.append("parallel_tool_calls")
        if any(not self._takes_tool(tool) for tool in request.tools):
            refused.append("tools")
        for message in request.messages:
            if message.name is not None and "messages.name" in dialect.drops and "messages.name" not in dropped:
                dropped.append("messages.name")
            if type(message.content) is tuple and not self._takes(message.content) and "messages" not in refused:
                refused.append("messages")
        return Fit(tuple(refused), tuple(dropped)) if refused or dropped else FITS

    def _reasons(self, model: str) -> bool:
        pattern = self._dialect.reasoning_models
        return pattern is not None and pattern.match(model) is not None

    def _drops(self, option: str) -> bool:
        return option in self._dialect.drops or option == "cache_control"

    def _takes_tool(self, tool: Tool) -> bool:
        return tool.native is None or (tool.native[0] == "openai" and self._dialect.native_tools)

    def _takes(self, parts: Sequence[object]) -> bool:
        for part in parts:
            if isinstance(part, File) and not (self._dialect.files and (part.url or "data:").startswith("data:")):
                return False
            if isinstance(part, Image) and not self._dialect.remote_images and not part.url.startswith("data:"):
                return False
        return True

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        dialect, model = self._dialect, target.model
        reasoning = self._reasons(model)
        body: dict[str, object] = {
            "model": model,
            "messages": self._messages(request.messages),
        }
        if request.max_tokens is not None:
            body["max_completion_tokens" if reasoning else dialect.max_tokens_field] = request.max_tokens
        if request.temperature is not None and (not reasoning or request.temperature == 1):
            body["temperature"] = request.temperature
        effort = request.effort
        if effort is not None:
            body["reasoning_effort"] = self._effort(effort, model)
        elif dialect.low_effort_models is not None and dialect.low_effort_models.match(model):
            body["reasoning_effort"] = "low"
        if request.stop:
            body["stop"] = list(request.stop)
        if request.n != 1:
            body["n"] = request.n
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            if request.tool_choice is not None and "tool_choice" not in dialect.drops:
                body["tool_choice"] = _tool_choice(request.tool_choice, request.tools)
            if request.parallel_tool_calls is not None and "parallel_tool_calls" not in dialect.drops:
                body["parallel_tool_calls"] = request.parallel_tool_calls
        if request.output is not None:
            body["response_format"] = _response_format(request.output)
        for name, value in request.options.items():
            if name != "thinking" and not self._drops(name):
                # "standard_only" is Anthropic's word for OpenAI's "default".
                body[dialect.renames.get(name, name)] = "default" if value == "standard_only" else value
        body |= {name: value for name, value in request.unknown.items() if name in target.allow_fields}
        if stream:
            body["stream"] = True
            if dialect.stream_options:
                body["stream_options"] = {"include_usage": True}
        return self._request(target, dialect.path, body, stream=stream)

    def _request(self, target: Target, path: str, body: dict[str, object], *, stream: bool = False) -> HttpRequest:
        accept = "text/event-stream" if stream else "application/json"
        headers = {"content-type": "application/json", "accept": accept, **self._headers(target)}
        return HttpRequest(self._url(target, path), headers, orjson.dumps(body))

    def _url(self, target: Target, path: str) -> str:
        path = path.replace("{model}", quote(target.model, safe=""))
        query = self._dialect.query
        return f"{target.base_url}{path}?{query}" if query else f"{target.base_url}{path}"

    def _headers(self, target: Target) -> dict[str, str]:
        headers = dict(self._dialect.headers)
        if target.api_key is not None:
            key = target.api_key.get_secret_value()
            name = self._dialect.key_header
            headers[name] = key if name == "api-key" else f"Bearer {key}"
        return headers

    def _effort(self, effort: str, model: str) -> str:
        """gpt-oss knows low, medium and high; what lies beyond is moved to the nearest."""
        low_effort = self._dialect.low_effort_models
        if low_effort is None or not low_effort.match(model):
            return effort
        return {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, object]]:
        """
        A tool's result is text here: images and files in it follow in the user's name, after the results of all calls.
        """
        written: list[dict[str, object]] = []
        shown: list[Part] = []
        for message in messages:
            if shown and message.role != "tool":
                written.append(self._message(Message("user", tuple(shown))))
                shown = []
            written.append(self._message(message))
            if message.role == "tool" and type(message.content) is tuple:
                shown += [part for part in message.content if isinstance(part, Image | Audio | File)]
        if shown:
            written.append(self._message(Message("user", tuple(shown))))
        return written

    def _message(self, message: Message) -> dict[str, object]:
        content = message.content
        if type(content) is str and message.role in ("user", "system") and message.name is None:
            return {"role": message.role, "content": content}
        dialect = self._dialect
        body: dict[str, object] = {
            "role": message.role,
            "content": content if isinstance(content, str) else self._content(message),
        }
        if message.name is not None and "messages.name" not in dialect.drops:
            body["name"] = message.name
        if message.tool_calls:
            body["tool_calls"] = [self._tool_call(call) for call in message.tool_calls]
            if not content:
                body["content"] = None
        if message.tool_call_id is not None:
            body["tool_call_id"] = self._tool_id(message.tool_call_id)
        body.update({name: value for name, value in message.extra.items() if name in dialect.message_fields})
        return body

    def _content(self, message: Message) -> object:
        parts = [_part(part, self._dialect) for part in message.parts if not isinstance(part, Thinking)]
        if message.role == "tool" or (len(parts) == 1 and parts[0].keys() == {"type", "text"}):
            return message.text  # most vendors take tool results and single texts as a string only
        return parts or None

    def _tool_call(self, call: ToolCall) -> dict[str, object]:
        kind = "custom" if call.custom else "function"
        inner = {"name": call.name, "input" if call.custom else "arguments": call.arguments}
        # Keys beyond OpenAI's are a vendor's, who wants them back (Google's signatures, for one); others refuse them.
        kept = call.extra if self._dialect.call_fields else {}
        extra = {name: value for name, value in kept.items() if name not in ("cache_control", "index")}
        return {**extra, "id": self._tool_id(call.id), "type": kind, kind: inner}

    def _tool_id(self, id: str) -> str:
        if not self._dialect.short_tool_ids or re.fullmatch(r"[A-Za-z0-9]{9}", id, re.ASCII):
            return id
        return hashlib.blake2b(id.encode(), digest_size=8).hexdigest()[:9]  # Mistral wants nine letters or digits

    def encode_embeddings(self, request: EmbeddingRequest, target: Target) -> HttpRequest:
        single = len(request.inputs) == 1 and isinstance(request.inputs[0], str)
        body: dict[str, object] = {
            "model": target.model,
            "input": request.inputs[0] if single else list(request.inputs),
        }
        if self._dialect.base64_embeddings:
            body["encoding_format"] = "base64" if request.base64 else "float"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if request.user is not None and not self._drops("user"):
            body["user"] = request.user
        body |= {name: value for name, value in request.unknown.items() if name in target.allow_fields}
        return self._request(target, self._dialect.path.replace("/chat/completions", "/embeddings"), body)

    def encode_models(self, target: Target) -> HttpRequest:
        path = "/openai/models" if self._dialect.query else "/models"
        headers = {"accept": "application/json", **self._headers(target)}
        return HttpRequest(self._url(target, path), headers, method="GET")

    # Replies

    def decode(self, reply: HttpReply) -> Completion:
        body = self._sound(reply)
        choices = sorted(
            (_choice(mapping(choice), reply.status) for choice in sequence(body.get("choices"))[:128]),
            key=lambda choice: choice[0],
        )
        if not choices or not any(choice.text or choice.tool_calls for _, choice in choices):
            if choices and choices[0][1].finish_reason == "content_filter":
                counted = _usage(_reported_usage(body))
                raise statuses.blocked("", reply.status, "content_filter", counted)
            raise MalformedReply("the provider's answer is empty", http_status=reply.status)
        leading, *others = (choice for _, choice in choices)
        usage = _reported_usage(body)
        return Completion(
            leading.text,
            string(body.get("model")),
            leading.finish_reason,
            _usage(usage),
            _cost(usage),
            leading.tool_calls,
            leading.thinking,
            leading.refused,
            leading.logprobs,
            others=tuple(others),
        )

    def _sound(self, reply: HttpReply) -> dict[str, object]:
        """The object of a 200 that reports no failure. Raises `ProviderError`."""
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the provider's answer is not JSON", http_status=reply.status) from error
        found = failure_inside(body, first(body.get("choices")))
        if found is not None:
            raise failure(found, None, reply.headers, self._dialect)
        return body

    def decoder(self) -> "Decoder":
        return Decoder(self)

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return failure(loose(reply.body), reply.status, reply.headers, self._dialect)

    def failure_in_stream(self, body: object) -> ProviderError:
        """An error that came as an event: status and headers are long gone."""
        return failure(body, None, {}, self._dialect)

    def decode_embeddings(self, reply: HttpReply) -> Embeddings:
        body = self._sound(reply)
        entries = [mapping(entry) for entry in sequence(body.get("data"))]
        entries.sort(key=lambda entry: count(entry.get("index")))
        vectors = [entry.get("embedding") for entry in entries]
        sound = [vector for vector in vectors if isinstance(vector, str | list) and _is_vector(vector)]
        if not sound or len(sound) != len(vectors):
            raise MalformedReply("the provider's answer holds no vectors", http_status=reply.status)
        usage = mapping(body.get("usage"))
        return Embeddings(tuple(sound), string(body.get("model")), _usage(usage), _cost(usage))

    def decode_models(self, reply: HttpReply) -> Sequence[ListedModel]:
        try:
            value = loose(reply.body)
            entries = value if isinstance(value, list) else parse(reply.body).get("data")  # Together: a bare list
        except ValueError as error:
            raise MalformedReply("the provider's list is not JSON", http_status=reply.status) from error
        found = (mapping(entry) for entry in sequence(entries))
        return [
            ListedModel(
                string(entry.get("id")).removeprefix("models/"),
                string(entry.get("owned_by")) or None,
                count(entry.get("created")),
            )
            for entry in found
            if string(entry.get("id"))
        ]


class Decoder:
    """Reads one stream."""

    __slots__ = ("_adapter", "_calls", "_text_seen")

    def __init__(self, adapter: OpenAICompatible) -> None:
        self._adapter = adapter
        self._text_seen = False
        self._calls: dict[int, list[tuple[int, str]]] = {}

    def feed(self, event: Event) -> Sequence[Chunk]:
        if event.data.strip() == b"[DONE]":
            return (Chunk(end=True),)
        body = parse(event.data)
        choices = sequence(body.get("choices"))
        leading = first(choices)  # Azure's first chunk and the one with the usage have an empty list
        found = failure_inside(body, leading)
        if found is not None:
            raise self._adapter.failure_in_stream(found)
        usage = _reported_usage(body)
        model = string(body.get("model")) or None
        if len(choices) > 1:
            chunks = [self._chunk(mapping(choice), model, {}) for choice in choices]
            return [chunk for chunk in (*chunks, self._chunk({}, model, usage)) if chunk is not None]
        chunk = self._chunk(leading, model, usage)
        return () if chunk is None else (chunk,)

    def _chunk(self, choice: dict[str, object], model: str | None, usage: dict[str, object]) -> Chunk | None:
        delta = mapping(choice.get("delta"))
        text = _text(delta.get("content"))
        refusal = string(delta.get("refusal"))
        index = count(choice.get("index"))
        calls = delta.get("tool_calls")
        pieces = self._pieces(index, sequence(calls)) if calls else ()
        thought = _thought(delta)
        if text or refusal or pieces:
            self._text_seen = True
        finish = _finish(choice.get("finish_reason"))
        if finish == "content_filter" and not self._text_seen:
            raise statuses.blocked("", 200, "content_filter", _usage(usage) if usage else None)
        if finish == "stop" and index in self._calls:
            finish = "tool_calls"
        logprobs = _logprobs(choice)
        if not text and not refusal and not pieces and thought is None and finish is None and not usage:
            return None
        return Chunk(
            text or refusal,
            finish,
            model,
            _usage(usage) if usage else None,
            _cost(usage) if usage else None,
            choice=index,
            tool_calls=pieces,
            thinking=thought,
            refused=bool(refusal),
            logprobs=logprobs,
        )

    def _pieces(self, choice: int, calls: Sequence[object]) -> tuple[ToolCallPiece, ...]:
        """
        Pieces with an index of our own: some vendors give every call the index 0, or none, and tell them apart by id.
        """
        known = self._calls.setdefault(choice, [])
        pieces = []
        for value in calls:
            call = mapping(value)
            kind = "custom" if "custom" in call else "function"
            inner = mapping(call.get(kind))
            theirs, id = count(call.get("index")), string(call.get("id"))
            ours = next((i for i in range(len(known) - 1, -1, -1) if known[i][0] == theirs), None)
            if ours is None or (id and known[ours][1] and id != known[ours][1]):
                ours = len(known)
                known.append((theirs, id))
            extra = _extra(call)
            arguments = string(inner.get("input" if kind == "custom" else "arguments"))
            pieces.append(ToolCallPiece(ours, arguments, id, string(inner.get("name")), kind == "custom", extra))
        return tuple(pieces)


_FLOAT32_MAX = 3.4028234663852886e38


def _is_vector(vector: str | list[object]) -> bool:
    """Numbers that fit float32, or float32 in base64."""
    if isinstance(vector, str):
        try:
            packed = base64.b64decode(vector, validate=True)
        except ValueError:
            return False
        return bool(packed) and len(packed) % 4 == 0
    return bool(vector) and all(
        type(number) in (int, float) and -_FLOAT32_MAX <= number <= _FLOAT32_MAX  # type: ignore[operator]
        for number in vector
    )


# Parts of requests


def _part(part: object, dialect: Dialect) -> dict[str, object]:
    match part:
        case Text(text, extra):
            body: dict[str, object] = {"type": "text", "text": text}
        case Image(url, detail, extra):
            image = {"url": url} if detail is None else {"url": url, "detail": detail}
            body = {"type": "image_url", "image_url": image}
        case Audio(data, format):
            return {"type": "input_audio", "input_audio": {"data": data, "format": format}}
        case File(url, file_id, filename, extra):
            fields = {"file_data": url, "file_id": file_id, "filename": filename}
            body = {"type": "file", "file": {name: value for name, value in fields.items() if value is not None}}
        case _:
            raise TypeError("a part that no OpenAI message holds")
    body.update({name: value for name, value in extra.items() if name in dialect.part_fields})
    return body


def _tool(tool: Tool) -> Mapping[str, object]:
    if tool.native is not None:
        return tool.native[1]
    fields = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": {name: value for name, value in fields.items() if value is not None}}


def _tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object:
    if not choice.names:
        return choice.mode
    native = {tool.name for tool in tools if tool.native is not None}
    named = [
        {"type": "custom", "custom": {"name": name}}
        if name in native
        else {"type": "function", "function": {"name": name}}
        for name in choice.names
    ]
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _response_format(output: OutputFormat) -> dict[str, object]:
    if output.schema is None:
        return {"type": "json_object"}
    fields = {
        "name": output.name,
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    return {
        "type": "json_schema",
        "json_schema": {name: value for name, value in fields.items() if value is not None},
    }


# Parts of replies

_CALL_KEYS = frozenset({"index", "id", "type", "function", "custom"})


def _choice(choice: dict[str, object], status: int) -> tuple[int, Choice]:
    message = mapping(choice.get("message"))
    text, refusal = _text(message.get("content")), string(message.get("refusal"))
    calls = tuple(_tool_call(mapping(call)) for call in sequence(message.get("tool_calls")))
    legacy = mapping(message.get("function_call"))
    if legacy and not calls:
        calls = (ToolCall("call_0", string(legacy.get("name")), string(legacy.get("arguments"))),)
    thought = _thought(message)
    finish = _finish(choice.get("finish_reason")) or "stop"
    if calls and finish == "stop":
        finish = "tool_calls"
    return count(choice.get("index")), Choice(
        text or refusal,
        finish,
        calls,
        () if thought is None else (thought,),
        refused=bool(refusal and not text),
        logprobs=_logprobs(choice),
    )


def _tool_call(call: dict[str, object]) -> ToolCall:
    kind = "custom" if "custom" in call else "function"
    inner = mapping(call.get(kind))
    arguments = inner.get("input" if kind == "custom" else "arguments")
    if isinstance(arguments, dict):  # Ollama's older versions
        arguments = arguments_text(arguments)
    extra = _extra(call)
    return ToolCall(string(call.get("id")), string(inner.get("name")), string(arguments), kind == "custom", extra)


def _extra(call: dict[str, object]) -> dict[str, object]:
    """A vendor's own keys of a call."""
    return {name: value for name, value in call.items() if name not in _CALL_KEYS and not is_deep(value)}


def _text(content: object) -> str:
    """A string, or Mistral's array of chunks, of which only `text` ones are the answer (`thinking` is not)."""
    if isinstance(content, str):
        return content
    parts = (mapping(part) for part in sequence(content))
    return "".join(string(part.get("text")) for part in parts if part.get("type") == "text")


def _logprobs(choice: dict[str, object]) -> object:
    logprobs = choice.get("logprobs")
    return None if logprobs is None or is_deep(logprobs) else logprobs


def _thought(message: dict[str, object]) -> Thinking | None:
    """`reasoning_content` (DeepSeek, vLLM), `reasoning` (Groq, OpenRouter, Cerebras, Ollama), Mistral's chunks."""
    text = string(message.get("reasoning_content")) or string(message.get("reasoning"))
    if not text and isinstance(message.get("content"), list):
        chunks = (mapping(part) for part in sequence(message["content"]))
        text = "".join(_text(chunk.get("thinking")) for chunk in chunks if chunk.get("type") == "thinking")
    return Thinking(text) if text else None


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


def _reported_usage(body: dict[str, object]) -> dict[str, object]:
    return mapping(body.get("usage")) or mapping(mapping(body.get("x_groq")).get("usage"))


def _usage(usage: dict[str, object]) -> Usage | None:
    if "prompt_tokens" not in usage and "completion_tokens" not in usage:
        return None
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    reasoning = count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if reasoning and count(usage.get("total_tokens")) == prompt + completion + reasoning:
        # xAI and Gemini's OpenAI endpoint count reasoning beside the completion, OpenAI inside it; both bill it.
        completion += reasoning
    details = mapping(usage.get("prompt_tokens_details"))
    cached = count(details.get("cached_tokens")) or count(usage.get("prompt_cache_hit_tokens"))  # DeepSeek
    cached = min(cached, prompt)
    written = min(count(details.get("cache_write_tokens")), prompt - cached)
    return Usage(prompt, completion, cached, min(reasoning, completion), written)


def _cost(usage: dict[str, object]) -> Decimal | None:
    """OpenRouter's `cost`, DeepInfra's `estimated_cost`, both in USD."""
    cost = money(usage.get("cost"))
    if cost is not None and usage.get("is_byok") is True:
        # With the operator's own key at the vendor, `cost` is OpenRouter's fee alone.
        upstream = money(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
        return None if upstream is None else cost + upstream
    return money(usage.get("estimated_cost")) if cost is None else cost
