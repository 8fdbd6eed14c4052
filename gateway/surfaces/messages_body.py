"""
`POST /v1/messages` and `/v1/messages/count_tokens`: the request.

Source: Claude API reference, Messages; the types of Anthropic's Python SDK (`types/message_create_params.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag

from gateway.exchange import UnsupportedField
from gateway.surfaces.chat_body import NO_SUCH_TOOL
from gateway.surfaces.prompt import Api, Items, Request
from middleware.refusal import FieldError
from providers.chat import (
    ChatRequest,
    File,
    Image,
    Message,
    OutputFormat,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)

Id = Annotated[str, Field(min_length=1, max_length=512)]


# Content blocks


class TextBlock(Api):
    type: Literal["text"]
    text: str


Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/_-]+={0,2}$")]


class Base64Source(Api):
    type: Literal["base64"]
    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+$")]
    data: Base64


class Base64Image(Base64Source):
    media_type: Annotated[str, Field(pattern=r"^image/[\w.+-]+$")]


class UrlSource(Api):
    type: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]


class PlainTextSource(Api):
    type: Literal["text"]
    media_type: Literal["text/plain"] = "text/plain"
    data: str


class ContentSource(Api):
    type: Literal["content"]
    content: str | Items[TextBlock]


class FileSource(Api):
    type: Literal["file"]
    file_id: Id


ImageSource = Annotated[Base64Image | UrlSource | FileSource, Field(discriminator="type")]
DocumentSource = Annotated[
    Base64Source | UrlSource | PlainTextSource | ContentSource | FileSource, Field(discriminator="type")
]


class ImageBlock(Api):
    type: Literal["image"]
    source: ImageSource


class DocumentBlock(Api):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None
    context: str | None = None


class ToolUseBlock(Api):
    type: Literal["tool_use"]
    id: Id
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: dict[str, Any]


ResultContent = Annotated[TextBlock | ImageBlock | DocumentBlock, Field(discriminator="type")]


class ToolResultBlock(Api):
    type: Literal["tool_result"]
    tool_use_id: Id
    content: str | Items[ResultContent] = ""
    is_error: bool | None = None


class ThinkingBlock(Api):
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Api):
    type: Literal["redacted_thinking"]
    data: str


Block = Annotated[
    TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock,
    Field(discriminator="type"),
]


class MessageParam(Api):
    role: Literal["user", "assistant", "system"]
    content: str | Items[Block]


# Tools


class CustomTool(Api):
    type: Literal["custom"] | None = None
    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class ServerTool(Api):
    """A tool that Anthropic's own servers run or define, such as `web_search_20250305`."""

    type: Annotated[str, Field(pattern=r"^[a-z0-9_]+_\d{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=128)]


def _kind_of_tool(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return "custom" if kind in (None, "custom") else "server"


AnyTool = Annotated[
    Annotated[CustomTool, Tag("custom")] | Annotated[ServerTool, Tag("server")], Discriminator(_kind_of_tool)
]


class ModeChoice(Api):
    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Api):
    type: Literal["tool"]
    name: Annotated[str, Field(max_length=128)]
    disable_parallel_tool_use: bool | None = None


AnyChoice = Annotated[ModeChoice | NamedChoice, Field(discriminator="type")]


class JsonSchemaFormat(Api):
    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Api):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonSchemaFormat | None = None


class ThinkingConfig(Api):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class Metadata(Api):
    user_id: Annotated[str, Field(max_length=512)] | None = None


class CountTokensRequest(Request):
    """What is counted: everything that becomes the prompt."""

    messages: Annotated[Items[MessageParam], Field(min_length=1)]
    system: str | Items[TextBlock] | None = None
    tools: Items[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    cache_control: dict[str, Any] | None = None

    def problems(self) -> Iterator[FieldError]:
        choice = self.tool_choice
        if isinstance(choice, NamedChoice) and choice.name not in {tool.name for tool in self.tools or ()}:
            yield FieldError(("tool_choice", "name"), NO_SUCH_TOOL, "value_error")


class MessagesRequest(CountTokensRequest):
    """Every field of Anthropic's request."""

    max_tokens: Annotated[int, Field(ge=1)]
    stop_sequences: Items[Annotated[str, Field(min_length=1)]] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


def chat_request(body: CountTokensRequest, *, max_tokens: int | None = None) -> ChatRequest:
    """
    The internal form; `max_tokens` is the most anybody may ask for. Raises `UnsupportedField` for files kept at
    Anthropic: which of several keys and providers answers is not known when they are uploaded.
    """
    messages = [] if not body.system else [Message("system", _texts(body.system))]
    for message in body.messages:
        messages += _messages(message)
    choice = body.tool_choice
    output = body.output_config or OutputConfig()
    asked = ChatRequest(
        tuple(messages),
        tools=tuple(map(_tool, body.tools or ())),
        tool_choice=None if choice is None else _tool_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        output=None if output.format is None else OutputFormat(output.format.schema_, strict=True),
        reasoning_effort=output.effort,
        options=_options(body),
        unknown=body.unknown,
    )
    if not isinstance(body, MessagesRequest):
        return asked
    limit = body.max_tokens if max_tokens is None else min(body.max_tokens, max_tokens)
    stop = tuple(body.stop_sequences or ())
    return ChatRequest(
        asked.messages,
        limit,
        body.temperature,
        stop,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        output=asked.output,
        reasoning_effort=asked.reasoning_effort,
        options=asked.options,
        unknown=asked.unknown,
    )


def _options(body: CountTokensRequest) -> dict[str, object]:
    options: dict[str, object] = {}
    if body.thinking is not None:
        options["thinking"] = body.thinking.model_dump(exclude_unset=True)
    if body.cache_control is not None:
        options["cache_control"] = body.cache_control
    if isinstance(body, MessagesRequest):
        if body.metadata is not None and body.metadata.user_id is not None:
            options["user"] = body.metadata.user_id
        if body.service_tier == "standard_only":  # "auto" is what all do anyway
            options["service_tier"] = "standard_only"
        for name in ("top_p", "top_k"):
            if getattr(body, name) is not None:
                options[name] = getattr(body, name)
    return options


def _messages(message: MessageParam) -> list[Message]:
    """A user turn may hold the results of tools beside its own words: they are messages of their own, and first."""
    if isinstance(message.content, str):
        return [Message(message.role, message.content)]
    results: list[Message] = []
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for block in message.content:
        match block:
            case ToolResultBlock():
                results.append(
                    Message(
                        "tool",
                        _result(block.content),
                        tool_call_id=block.tool_use_id,
                        failed=block.is_error is True,
                        extra=block.unknown,
                    )
                )
            case ToolUseBlock():
                arguments = orjson.dumps(block.input).decode()
                calls.append(ToolCall(block.id, block.name, arguments, extra=block.unknown))
            case _:
                parts += _parts(block)
    if parts or calls:
        content: str | tuple[Part, ...] = tuple(parts)
        if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].extra:
            content = parts[0].text
        return [*results, Message(message.role, content, tool_calls=tuple(calls))]
    return results


def _result(content: str | Sequence[ResultContent]) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    return tuple(part for block in content for part in _parts(block))


def _texts(content: str | Sequence[TextBlock]) -> str | tuple[Part, ...]:
    return content if isinstance(content, str) else tuple(Text(block.text, block.unknown) for block in content)


def _parts(
    block: TextBlock | ImageBlock | DocumentBlock | ThinkingBlock | RedactedThinkingBlock,
) -> list[Part]:
    match block:
        case TextBlock():
            return [Text(block.text, block.unknown)]
        case ImageBlock(source=source):
            return [Image(_address(source), extra=block.unknown)]
        case DocumentBlock(source=ContentSource(content=content)):
            texts = [content] if isinstance(content, str) else [text.text for text in content]
            return [Text(text) for text in (block.title, block.context, *texts) if text]
        case DocumentBlock(source=PlainTextSource(data=data)):
            return [Text(text) for text in (block.title, block.context, data) if text]
        case DocumentBlock(source=source):
            file = File(_address(source), filename=block.title, extra=block.unknown)
            return [Text(block.context), file] if block.context else [file]
        case ThinkingBlock():
            return [Thinking(block.thinking, block.signature)]
        case RedactedThinkingBlock():
            return [Thinking(redacted=block.data)]


def _address(source: object) -> str:
    match source:
        case Base64Source():
            return f"data:{source.media_type};base64,{source.data}"
        case UrlSource():
            return source.url
    raise UnsupportedField("messages", "files kept at a provider are not supported: send the content itself")


def _tool(tool: CustomTool | ServerTool) -> Tool:
    if isinstance(tool, ServerTool):
        return Tool(tool.name, native=("anthropic", tool.model_dump(exclude_unset=True)))
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, extra=tool.unknown)


_CHOICES: Mapping[str, Literal["auto", "required", "none"]] = {"auto": "auto", "any": "required", "none": "none"}


def _tool_choice(choice: AnyChoice) -> ToolChoice:
    if isinstance(choice, NamedChoice):
        return ToolChoice("required", (choice.name,))
    return ToolChoice(_CHOICES[choice.type])
