"""
`POST /v1/chat/completions`: the request.

Source: OpenAI's OpenAPI document, schema `CreateChatCompletionRequest`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from gateway.surfaces.prompt import Api, Items, Request
from middleware.refusal import FieldError
from providers.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    OutputFormat,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

Content = Annotated[str, Field()]
ToolName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
Id = Annotated[str, Field(min_length=1, max_length=512)]

NO_SUCH_TOOL = "names a tool that is not among the tools"


ImageAddress = Annotated[
    str, Field(pattern=r"^(?:https?://.|data:image/[\w.+-]+(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/_-]+={0,2}$)")
]


# Parts of a message


class TextPart(Api):
    type: Literal["text"]
    text: str


class RefusalPart(Api):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Api):
    url: ImageAddress
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Api):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Api):
    data: Annotated[str, Field(min_length=1)]
    format: Literal["wav", "mp3"]


class AudioPart(Api):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileContent(Api):
    file_data: str | None = None
    file_id: Id | None = None
    filename: str | None = None


class FilePart(Api):
    type: Literal["file"]
    file: FileContent


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
TextParts = Annotated[Items[TextPart], Field(min_length=1)]


# Messages


class FunctionCall(Api):
    name: Annotated[str, Field(max_length=256)]
    arguments: str


class CustomCall(Api):
    name: Annotated[str, Field(max_length=256)]
    input: str


class FunctionToolCall(Api):
    type: Literal["function"] = "function"
    id: Id
    function: FunctionCall


class CustomToolCall(Api):
    type: Literal["custom"]
    id: Id
    custom: CustomCall


def _kind_of_call(call: Any) -> str:
    kind = call.get("type") if isinstance(call, dict) else getattr(call, "type", None)
    return "custom call" if kind == "custom" else "function call"


AnyCall = Annotated[
    Annotated[FunctionToolCall, Tag("function call")] | Annotated[CustomToolCall, Tag("custom call")],
    Discriminator(_kind_of_call),
]


class InstructionMessage(Api):
    role: Literal["system", "developer"]
    content: str | TextParts
    name: str | None = None


class UserMessage(Api):
    role: Literal["user"]
    content: str | Annotated[Items[UserPart], Field(min_length=1)]
    name: str | None = None


class AssistantMessage(Api):
    role: Literal["assistant"]
    content: str | Items[AssistantPart] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: Items[AnyCall] | None = None
    function_call: FunctionCall | None = None
    audio: dict[str, Any] | None = None


class ToolMessage(Api):
    role: Literal["tool"]
    content: str | TextParts
    tool_call_id: Id


class FunctionMessage(Api):
    role: Literal["function"]
    content: str | None
    name: str


AnyMessage = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


# Tools


class FunctionDefinition(Api):
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Api):
    type: Literal["function"]
    function: FunctionDefinition


class CustomDefinition(Api):
    name: ToolName
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(Api):
    type: Literal["custom"]
    custom: CustomDefinition


class Named(Api):
    name: ToolName


class FunctionChoice(Api):
    type: Literal["function"]
    function: Named


class CustomChoice(Api):
    type: Literal["custom"]
    custom: Named


class AllowedTools(Api):
    mode: Literal["auto", "required"]
    tools: Items[Annotated[FunctionChoice | CustomChoice, Field(discriminator="type")]]


class AllowedChoice(Api):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


AnyTool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
AnyChoice = (
    Literal["none", "auto", "required"]
    | Annotated[FunctionChoice | CustomChoice | AllowedChoice, Field(discriminator="type")]
)


# The rest


class TextFormat(Api):
    type: Literal["text"]


class JsonObjectFormat(Api):
    type: Literal["json_object"]


class JsonSchema(Api):
    model_config = ConfigDict(serialize_by_alias=True)

    name: ToolName
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class JsonSchemaFormat(Api):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
Stop = Annotated[str, Field(min_length=1)]


class StreamOptions(Api):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatCompletionRequest(Request):
    """Every field of OpenAI's request; what a target cannot do is refused or dropped and named, never silently."""

    messages: Annotated[Items[AnyMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: int | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    stop: Stop | Annotated[Items[Stop], Field(min_length=1, max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Items[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    user: str | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    modalities: Items[Literal["text", "audio"]] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    functions: Items[FunctionDefinition] | None = None
    function_call: Literal["none", "auto"] | Named | None = None

    def problems(self) -> Iterator[FieldError]:
        choice = _tool_choice(self)
        if choice is not None and not {tool.name for tool in _tools(self)}.issuperset(choice.names):
            yield FieldError(("function_call" if self.legacy else "tool_choice",), NO_SUCH_TOOL, "value_error")

    @property
    def legacy(self) -> bool:
        """Asked with `functions`, the ancestor of `tools`: the answer calls with `function_call`."""
        return self.functions is not None and self.tools is None


_PLAIN = (
    *("top_p", "frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs", "top_logprobs"),
    *("verbosity", "service_tier", "metadata", "store", "user", "safety_identifier", "prompt_cache_key"),
    *("prompt_cache_options", "prompt_cache_retention", "modalities", "audio", "prediction", "web_search_options"),
    "moderation",
)
"""Fields that go to the target as they are, or not at all."""
_NEUTRAL: Mapping[str, object] = {"logprobs": False, "modalities": ["text"]}
"""Values that ask for nothing: saying them must not rule a target out."""


def chat_request(body: ChatCompletionRequest, *, max_tokens: int | None = None) -> ChatRequest:
    """The internal form; `max_tokens` is the limit for those who name none, and the most anybody may ask for."""
    asked = body.max_completion_tokens or body.max_tokens or max_tokens
    if asked is not None and max_tokens is not None:
        asked = min(asked, max_tokens)
    sent = body.model_fields_set
    options = {
        name: value
        for name in _PLAIN
        if name in sent and (value := getattr(body, name)) is not None and _NEUTRAL.get(name) != value
    }
    return ChatRequest(
        tuple(map(_message, body.messages)),
        max_tokens=asked,
        temperature=body.temperature,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        n=body.n or 1,
        tools=_tools(body) if body.tools or body.functions else (),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        output=_output(body.response_format),
        reasoning_effort=body.reasoning_effort,
        options=options,
        unknown=body.unknown,
    )


def _message(message: AnyMessage) -> Message:
    match message:
        case UserMessage(content=str(text)):
            return Message("user", text, message.name)
        case UserMessage(content=list(parts)):
            return Message("user", tuple(map(_part, parts)), message.name)
        case InstructionMessage():
            return Message("system", _texts(message.content), message.name)
        case AssistantMessage():
            content = _texts(message.content) if message.content else message.refusal or ""
            calls = tuple(map(_call, message.tool_calls or ()))
            if message.function_call is not None:
                legacy = message.function_call
                calls = (*calls, ToolCall(_legacy_id(legacy.name), legacy.name, legacy.arguments))
            return Message("assistant", content, message.name, calls, extra=message.unknown)
        case ToolMessage():
            return Message("tool", _texts(message.content), tool_call_id=message.tool_call_id)
        case FunctionMessage():
            return Message("tool", message.content or "", tool_call_id=_legacy_id(message.name))
        case _:
            raise TypeError("a message of no known role")


def _legacy_id(name: str) -> str:
    """Calls of `functions` have no id: one call stands open at a time, and its name tells which."""
    return f"call_{name}"[:40]


def _texts(content: str | Sequence[TextPart | RefusalPart]) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    return tuple(
        Text(part.text, part.unknown) if isinstance(part, TextPart) else Text(part.refusal) for part in content
    )


def _part(part: TextPart | ImagePart | AudioPart | FilePart) -> Part:
    match part:
        case TextPart():
            return Text(part.text, part.unknown)
        case ImagePart():
            return Image(part.image_url.url, part.image_url.detail, part.unknown)
        case AudioPart():
            return Audio(part.input_audio.data, part.input_audio.format)
        case FilePart():
            return File(part.file.file_data, part.file.file_id, part.file.filename, part.unknown)


def _call(call: FunctionToolCall | CustomToolCall) -> ToolCall:
    if isinstance(call, CustomToolCall):
        return ToolCall(call.id, call.custom.name, call.custom.input, custom=True, extra=call.unknown)
    return ToolCall(call.id, call.function.name, call.function.arguments, extra=call.unknown)


def _tools(body: ChatCompletionRequest) -> tuple[Tool, ...]:
    tools = []
    for tool in body.tools or ():
        if isinstance(tool, CustomTool):
            tools.append(Tool(tool.custom.name, native=("openai", tool.model_dump(exclude_unset=True))))
        else:
            tools.append(_function(tool.function, tool.unknown))
    return tuple(tools) if body.tools else tuple(_function(each, {}) for each in body.functions or ())


def _function(function: FunctionDefinition, extra: Mapping[str, object]) -> Tool:
    return Tool(function.name, function.description, function.parameters, function.strict, extra=extra)


def _tool_choice(body: ChatCompletionRequest) -> ToolChoice | None:
    choice = body.function_call if body.legacy else body.tool_choice
    match choice:
        case None:
            return None
        case "none" | "auto" | "required":
            return ToolChoice(choice)
        case Named():
            return ToolChoice("required", (choice.name,))
        case FunctionChoice() | CustomChoice():
            return ToolChoice("required", (_chosen(choice),))
        case AllowedChoice(allowed_tools=allowed):
            return ToolChoice(allowed.mode, tuple(map(_chosen, allowed.tools)))


def _chosen(choice: FunctionChoice | CustomChoice) -> str:
    return choice.function.name if isinstance(choice, FunctionChoice) else choice.custom.name


def _output(format: ResponseFormat | None) -> OutputFormat | None:
    match format:
        case JsonSchemaFormat(json_schema=schema):
            return OutputFormat(schema.schema_ or {}, schema.name, schema.description, schema.strict)
        case JsonObjectFormat():
            return OutputFormat()
        case _:
            return None
