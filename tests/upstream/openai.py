"""Chat completions as OpenAI has them."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import ValidationError

from tests.upstream.behaviours import Answer, Chat, Ordinary, ReasoningField
from tests.upstream.openai_schema import (
    AssistantMessage,
    AudioPart,
    ChatBody,
    FilePart,
    FunctionCall,
    FunctionTool,
    ImagePart,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedCustom,
    NamedFunction,
    OpenAIChat,
    ToolMessage,
    UserMessage,
)
from tests.upstream.recorded import Request
from tests.upstream.schema import DATA_URL, Problem, deepest, dotted, is_base64, objects
from tests.upstream.wire import (
    Call,
    Event,
    Json,
    Refused,
    Reply,
    Rules,
    Script,
    ToolCall,
    Turn,
    Wire,
    chat_of,
    fit,
    texts,
)

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"})


class OpenAIWire(Wire):
    """
    Chat completions as OpenAI's specification has them.

    Sources: CreateChatCompletionRequest, -Response and -StreamResponse; unknown arguments, and `max_tokens` and
    `temperature` for the reasoning models, are refused as the API refuses them.
    """

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "You didn't provide an API key. You need to provide it in an Authorization header."),
        "bad_key": (401, "invalid_api_key", "Incorrect API key provided."),
        "context": (
            400,
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        ),
        "blocked": (400, "content_policy_violation", "Your request was rejected as a result of our safety system."),
        "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
        "model": (404, "model_not_found", "The model `{model}` does not exist or you do not have access to it."),
    }
    types: ClassVar[Mapping[int, tuple[str, str | None, str]]] = {
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        403: ("request_forbidden", "unsupported_country_region_territory", "Country or region not supported."),
        404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
        429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
        500: ("server_error", None, "The server had an error while processing your request."),
        503: ("service_unavailable_error", "server_is_overloaded", "The server is currently overloaded."),
    }
    schema: ClassVar[type[ChatBody]] = OpenAIChat
    takes_unknown: ClassVar[bool] = False
    """Fields that are not in the schema are passed over, at any depth."""
    takes_extra_content: ClassVar[bool] = False
    """Tool calls that are sent back may carry Google's `extra_content`."""
    always_usage: ClassVar[bool] = False
    whole_calls: ClassVar[bool] = False
    """A stream sends each tool call in one delta."""
    reasoning_field: ClassVar[ReasoningField] = "reasoning_content"

    # Reading.

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        body = self.load(request)
        for name in ("model", "messages"):
            message = f"Missing required parameter: '{name}'."
            self.require(body.get(name), message, code="missing_required_parameter")
        try:
            chat = self.schema.model_validate(body, extra="ignore" if self.takes_unknown else None)
        except ValidationError as error:
            raise Refused(self.misfit(deepest(error, body))) from error
        self.check_content(chat)
        self.check_turns(chat)
        self.check_tools(chat)
        self.check_parameters(chat)
        self.check_model(chat.model, rules)
        last = chat.messages[-1]
        prefill = "".join(texts(body["messages"][-1].get("content"))) if isinstance(last, AssistantMessage) else ""
        if prefill:
            self.require(rules.prefill, "The last message must have role 'user' or 'tool'.")
        stop = chat.stop or ()
        asked = chat.stream_options is not None and chat.stream_options.include_usage
        return Call(
            number,
            chat.model,
            stream=chat.stream is True,
            limit=self.limit(chat),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            prefill=prefill,
            include_usage=self.always_usage or asked,
            choices=chat.n or 1,
            logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
            body=body,
        )

    def limit(self, chat: ChatBody) -> int | None:
        return chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens

    def misfit(self, problem: Problem) -> Reply:
        """What the API says of a body that is not what its specification says."""
        where = dotted(problem.path)
        match problem.kind:
            case "missing":
                message, code = f"Missing required parameter: '{where}'.", "missing_required_parameter"
            case "extra_forbidden" if len(problem.path) == 1:
                message, code = self.unrecognized(where), ""
            case "extra_forbidden":
                message, code = f"Unknown parameter: '{where}'.", "unknown_parameter"
            case "literal_error" | "union_tag_invalid" | "union_tag_not_found":
                expected = problem.context.get("expected") or problem.context.get("expected_tags") or "a known type"
                message, code = f"Invalid value for '{where}'. Supported values are: {expected}.", "invalid_value"
            case kind if kind.endswith("_type"):
                message, code = f"Invalid type for '{where}': {problem.message}.", "invalid_type"
            case _:
                message, code = f"Invalid '{where}': {problem.message}.", "invalid_value"
        return self.error(400, message, code=code)

    def unrecognized(self, name: str) -> str:
        return f"Unrecognized request argument supplied: {name}"

    def check_content(self, chat: ChatBody) -> None:
        for index, message in enumerate(chat.messages):
            if isinstance(message, AssistantMessage):
                says = message.content is not None or message.refusal is not None or message.audio is not None
                self.require(
                    says or message.tool_calls or message.function_call,
                    f"Invalid type for 'messages[{index}].content': expected a string, but got null instead.",
                    code="invalid_type",
                )
                for at, call in enumerate(message.tool_calls):
                    foreign = isinstance(call, FunctionCall) and call.extra_content is not None
                    where = f"messages[{index}].tool_calls[{at}].extra_content"
                    allowed = self.takes_unknown or self.takes_extra_content
                    self.require(allowed or not foreign, f"Unknown parameter: '{where}'.", code="unknown_parameter")
            elif isinstance(message, UserMessage) and not isinstance(message.content, str):
                for at, part in enumerate(message.content):
                    self.check_part(part, f"messages[{index}].content[{at}]")

    def check_part(self, part: object, where: str) -> None:
        match part:
            case ImagePart():
                url = part.image_url.url
                data = DATA_URL.fullmatch(url)
                if data is None:
                    message = f"Invalid '{where}.image_url.url'. Expected a base64-encoded data URL or a http(s) URL."
                    self.require(re.match(r"https?://[^/\s]+", url), message, code="invalid_value")
                else:
                    message = "You uploaded an unsupported image. Use one of ['png', 'jpeg', 'gif', 'webp']."
                    self.require(data["type"] in IMAGE_TYPES, message, code="invalid_image_format")
                    self.require(is_base64(data["data"]), "Invalid base64 image_url.", code="invalid_base64")
            case AudioPart():
                message = f"Invalid '{where}.input_audio.data': not base64."
                self.require(is_base64(part.input_audio.data), message, code="invalid_value")
            case FilePart():
                file = part.file
                message = f"Missing required parameter: '{where}.file.file_id'."
                one = bool(file.file_id) is not bool(file.file_data)
                self.require(one, message, code="missing_required_parameter")
                data = DATA_URL.fullmatch(file.file_data)
                sound = not file.file_data or (data is not None and is_base64(data["data"]))
                message = f"Invalid '{where}.file.file_data'. Expected a base64-encoded data URL with a MIME type."
                self.require(sound, message, code="invalid_value")

    def check_turns(self, chat: ChatBody) -> None:
        """Every call is answered right after it, and nothing else is."""
        open_calls: list[str] = []
        for index, message in enumerate(chat.messages):
            if isinstance(message, ToolMessage):
                self.require(
                    message.tool_call_id in open_calls,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    f"'tool_calls' (messages[{index}]).",
                )
                open_calls.remove(message.tool_call_id)
                continue
            self.check_answered(open_calls)
            open_calls = [call.id for call in message.tool_calls] if isinstance(message, AssistantMessage) else []
            twice = len(set(open_calls)) < len(open_calls)
            self.require(not twice, f"Duplicate value for 'tool_call_id' in messages[{index}].")
        self.check_answered(open_calls)

    def check_answered(self, open_calls: Sequence[str]) -> None:
        self.require(
            not open_calls,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
        )

    def check_tools(self, chat: ChatBody) -> None:
        for name in ("tool_choice", "parallel_tool_calls"):
            message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
            self.require(chat.tools or name not in chat.model_fields_set, message)
        functions = [tool.function for tool in chat.tools if isinstance(tool, FunctionTool)] + chat.functions
        names = {tool.function.name if isinstance(tool, FunctionTool) else tool.custom.name for tool in chat.tools}
        choice = chat.tool_choice
        if isinstance(choice, NamedFunction | NamedCustom):
            wanted = (choice.function if isinstance(choice, NamedFunction) else choice.custom).name
            message = f"Invalid value for 'tool_choice': tool '{wanted}' not found in 'tools'."
            self.require(wanted in names, message, code="invalid_value")
        for function in functions:
            if function.parameters:
                kind = function.parameters.get("type")
                message = f"Invalid schema for function '{function.name}': schema must be of 'type: \"object\"', "
                self.require(kind == "object", f"{message}got {kind!r}.", code="invalid_function_parameters")
            if function.strict:
                self.check_strict(function.parameters, f"function '{function.name}'", "invalid_function_parameters")
        if isinstance(chat.response_format, JsonSchemaFormat) and chat.response_format.json_schema.strict:
            wanted_schema = chat.response_format.json_schema
            self.check_strict(wanted_schema.schema_, f"response_format '{wanted_schema.name}'", "invalid_json_schema")

    def check_strict(self, schema: object, what: str, code: str) -> None:
        """Structured outputs want every property required and no other allowed."""
        for one in objects(schema):
            message = f"Invalid schema for {what}: 'additionalProperties' is required to be supplied and to be false."
            self.require(one.get("additionalProperties") is False, message, code=code)
            properties, required = one.get("properties"), one.get("required")
            names = set(properties) if isinstance(properties, dict) else set()
            wanted = set(map(str, required)) if isinstance(required, list) else set()
            message = f"Invalid schema for {what}: 'required' is required to include every key in properties."
            self.require(names == wanted, message, code=code)

    def check_parameters(self, chat: ChatBody) -> None:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        self.require(chat.stream_options is None or chat.stream is True, message)
        message = "Invalid value for 'top_logprobs': it is only allowed when 'logprobs' is enabled."
        self.require(chat.top_logprobs is None or chat.logprobs is True, message)
        if isinstance(chat.response_format, JsonObjectFormat):
            message = "'messages' must contain the word 'json' in some form, to use 'response_format' 'json_object'."
            self.require("json" in chat.model_dump_json(include={"messages"}).lower(), message)
        if re.match(r"gpt-[34]", chat.model) and "reasoning_effort" in chat.model_fields_set:
            raise Refused(self.error(400, self.unrecognized("reasoning_effort")))
        if re.match(r"o3|o4-mini", chat.model):
            message = "Unsupported parameter: 'stop' is not supported with this model."
            self.require(chat.stop is None, message, code="unsupported_parameter")
        if re.match(r"gpt-[5-9]|o\d", chat.model):
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            self.require(chat.max_tokens is None, message, code="unsupported_parameter")
            message = "Unsupported value: 'temperature'. Only the default (1) value is supported."
            self.require(chat.temperature in (None, 1), message, code="unsupported_value")

    # Refusing.

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        other = "server_error" if status >= 500 else "invalid_request_error"
        kind, usual, text = self.types.get(status, (other, None, "The request failed."))
        if code == "insufficient_quota":
            kind = code
        shown = (usual if not message else None) if code is None else code or None
        body = {"error": {"message": message or text, "type": kind, "param": None, "code": shown}}
        return Reply(status, body, {"x-request-id": "req_0123456789abcdef"})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            "x-request-id": f"req_{call.hex}",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms",
        }

    # Answering.

    def usage(self, call: Call, turn: Turn) -> Json:
        # Every choice is paid for, the prompt once.
        completion = (turn.output_tokens + turn.reasoning_tokens) * call.choices
        return {
            "prompt_tokens": turn.input_tokens,
            "completion_tokens": completion,
            "total_tokens": turn.input_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": turn.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": turn.reasoning_tokens * call.choices,
                "audio_tokens": 0,
            },
        }

    def base(self, call: Call, turn: Turn, kind: str) -> Json:
        return {"id": f"chatcmpl-{call.hex}", "object": kind, "created": int(time.time()), "model": turn.model}

    def call_id(self, call: Call, choice: int, index: int) -> str:
        return f"call_{call.number:016x}{choice:04x}{index:04x}"

    def tool_call(self, call: Call, choice: int, index: int, tool: ToolCall) -> Json:
        function = {"name": tool.name, "arguments": tool.json}
        return {"id": self.call_id(call, choice, index), "type": "function", "function": function}

    def thought(self, turn: Turn, text: str) -> Json:
        """The piece of a message or delta that holds reasoning."""
        return {turn.field or self.reasoning_field: text} if text else {}

    def logprobs(self, call: Call, words: Sequence[str]) -> Json | None:
        if call.logprobs is None:
            return None

        def entry(token: str, rank: int = 0) -> Json:
            return {"token": token, "logprob": -0.125 - rank, "bytes": list(token.encode())}

        def likely(word: str) -> list[Json]:
            return [entry(word if rank == 0 else f"{word}~{rank}", rank) for rank in range(call.logprobs or 0)]

        return {"content": [{**entry(word), "top_logprobs": likely(word)} for word in words], "refusal": None}

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        turn = fit(call, chat_of(ordinary))
        choices = []
        for index in range(call.choices):
            message: Json = {"role": "assistant", "content": turn.text or None, "refusal": None, "annotations": []}
            message |= self.thought(turn, turn.thought)
            if turn.calls:
                message["tool_calls"] = [self.tool_call(call, index, at, tool) for at, tool in enumerate(turn.calls)]
            logprobs = self.logprobs(call, turn.words)
            choices.append({"index": index, "message": message, "logprobs": logprobs, "finish_reason": turn.finish})
        return {**self.base(call, turn, "chat.completion"), "choices": choices, "usage": self.usage(call, turn)}

    def chunk(self, call: Call, turn: Turn, choices: list[Json]) -> Json:
        usage = {"usage": None} if call.include_usage else {}
        return {**self.base(call, turn, "chat.completion.chunk"), "choices": choices, **usage}

    def delta(
        self, call: Call, turn: Turn, choice: int, delta: Json, word: str | None = None, finish: str | None = None
    ) -> Event:
        logprobs = None if word is None else self.logprobs(call, [word])
        one = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return Event(self.chunk(call, turn, [one]))

    def deltas(self, call: Call, choice: int, turn: Turn) -> list[tuple[Json, str | None]]:
        """What one choice says, token by token; beside each visible word the word."""
        found: list[tuple[Json, str | None]] = [(self.thought(turn, word), None) for word in turn.thoughts]
        found += [({"content": word}, word) for word in turn.words]
        for index, tool in enumerate(turn.calls):
            whole = {"index": index, **self.tool_call(call, choice, index, tool)}
            if self.whole_calls:
                found.append(({"tool_calls": [whole]}, None))
                continue
            first, *rest = tool.pieces
            opening = {**whole, "function": {"name": tool.name, "arguments": first}}
            pieces = [{"index": index, "function": {"arguments": piece}} for piece in rest]
            found += [({"tool_calls": [piece]}, None) for piece in (opening, *pieces)]
        return found

    def script(self, call: Call, chat: Chat) -> Script:
        """Several choices are interleaved, token by token."""
        turn = fit(call, chat)
        choices = range(call.choices)
        spoken = [self.deltas(call, choice, turn) for choice in choices]
        tail = [self.delta(call, turn, choice, {}, finish=turn.finish) for choice in choices]
        if call.include_usage:
            tail.append(Event({**self.chunk(call, turn, []), "usage": self.usage(call, turn)}))
        opening = {"role": "assistant", "content": ""}
        return Script(
            head=tuple(self.delta(call, turn, choice, opening) for choice in choices),
            tokens=tuple(
                tuple(self.delta(call, turn, choice, delta, word) for choice, (delta, word) in enumerate(step))
                for step in zip(*spoken, strict=True)
            ),
            tail=tuple(tail),
            end=(Event(b"[DONE]"),),
        )

    def empty(self, call: Call) -> Json:
        return {**self.whole(call, Answer(text="")), "choices": []}

    def empty_script(self, call: Call) -> Script:
        return Script((), (), (Event(self.chunk(call, fit(call, Answer(text="")), [])),), (Event(b"[DONE]"),))
