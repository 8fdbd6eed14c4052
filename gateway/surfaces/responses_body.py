"""
`POST /v1/responses`: the request.

Sources: OpenAI's OpenAPI document, schema `CreateResponse`; the types of OpenAI's Python SDK 3.52.0
(`types/responses/response_create_params.py`, `response_input_param.py`), which know fields the document does not yet.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, model_validator

from gateway.exchange import UnsupportedField
from gateway.surfaces.chat_body import NO_SUCH_TOOL, Id, ImageAddress, ToolName
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

Status = Literal["in_progress", "completed", "incomplete"]
CallName = Annotated[str, Field(max_length=256)]


def _text_or_list(value: Any) -> str:
    return "text" if isinstance(value, str) else "list"


TextOrList = Discriminator(_text_or_list)
"""Chooses the branch before it is checked, so that the problems of a list are told without "should be a string"."""


# Parts of messages and of results


class InputText(Api):
    type: Literal["input_text"]
    text: str


class InputImage(Api):
    type: Literal["input_image"]
    image_url: ImageAddress | None = None
    file_id: Id | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    @model_validator(mode="after")
    def _holds_one(self) -> Self:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("needs one of image_url and file_id")
        return self


class InputFile(Api):
    type: Literal["input_file"]
    file_data: str | None = None
    file_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    file_id: Id | None = None
    filename: str | None = None

    @model_validator(mode="after")
    def _holds_one(self) -> Self:
        if [self.file_data, self.file_url, self.file_id].count(None) != 2:
            raise ValueError("needs one of file_data, file_url and file_id")
        return self


class OutputText(Api):
    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(Api):
    type: Literal["refusal"]
    refusal: str


InputPart = Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]
AssistantPart = Annotated[InputText | OutputText | Refusal, Field(discriminator="type")]
InputContent = Annotated[
    Annotated[str, Tag("text")] | Annotated[Items[InputPart], Field(min_length=1), Tag("list")], TextOrList
]
AssistantContent = Annotated[Annotated[str, Tag("text")] | Annotated[Items[AssistantPart], Tag("list")], TextOrList]


# Items


class InputMessage(Api):
    """What a person or the application says, in the easy form or the full one."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer"]
    content: InputContent
    id: str | None = None
    status: Status | None = None
    phase: str | None = None


class AssistantMessage(Api):
    """What a model said before: as a client writes it, or as it stood in the output of an answer."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: AssistantContent
    id: str | None = None
    status: Status | None = None
    phase: str | None = None


class Call(Api):
    """What the two kinds of call share. Keys not known here are a vendor's own, and go back to it."""

    call_id: Id
    name: CallName
    id: str | None = None
    status: Status | None = None
    caller: dict[str, Any] | None = None
    namespace: str | None = None
    async_: Annotated[bool | None, Field(alias="async")] = None


class FunctionCall(Call):
    type: Literal["function_call"]
    arguments: str


class CustomToolCall(Call):
    type: Literal["custom_tool_call"]
    input: str


class CallOutput(Api):
    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: Id
    output: InputContent


class SummaryText(Api):
    type: Literal["summary_text"]
    text: str


class Reasoning(Api):
    """A model's thoughts. They go back to it only if `encrypted_content` is what `seal` wrote."""

    type: Literal["reasoning"]
    summary: Items[SummaryText] | None = None
    encrypted_content: str | None = None


class ItemReference(Api):
    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(Api):
    type: str


def _item(value: Any) -> str | None:
    """The branch of an item; `type` may be left out of messages and references."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind == "message" or (kind is None and "role" in value):
        return "assistant" if value.get("role") == "assistant" else "message"
    return _KINDS.get(kind, "other") if isinstance(kind, str) else "item_reference"


_KINDS: Mapping[str, str] = {
    "function_call": "function_call",
    "function_call_output": "output",
    "custom_tool_call": "custom_tool_call",
    "custom_tool_call_output": "output",
    "reasoning": "reasoning",
    "item_reference": "item_reference",
}

AnyItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[AssistantMessage, Tag("assistant")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[CustomToolCall, Tag("custom_tool_call")]
    | Annotated[CallOutput, Tag("output")]
    | Annotated[Reasoning, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_item),
]


# Tools


class FunctionTool(Api):
    type: Literal["function"]
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomTool(Api):
    type: Literal["custom"]
    name: ToolName
    description: str | None = None
    format: dict[str, Any] | None = None


class HostedTool(Api):
    """A tool that OpenAI runs itself."""

    type: str


class NamedChoice(Api):
    type: Literal["function", "custom"]
    name: ToolName


class AllowedChoice(Api):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Items[NamedChoice]


class HostedChoice(Api):
    type: str


def _tool_kind(value: Any) -> str | None:
    """The branch of a tool or of a choice of one."""
    if isinstance(value, str):
        return "mode"
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    return kind if kind in ("function", "custom", "allowed_tools") else "hosted"


AnyTool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[HostedTool, Tag("hosted")],
    Discriminator(_tool_kind),
]
AnyChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")]
    | Annotated[NamedChoice, Tag("function")]
    | Annotated[NamedChoice, Tag("custom")]
    | Annotated[AllowedChoice, Tag("allowed_tools")]
    | Annotated[HostedChoice, Tag("hosted")],
    Discriminator(_tool_kind),
]


# The rest


class TextFormat(Api):
    type: Literal["text"]


class JsonObjectFormat(Api):
    type: Literal["json_object"]


class JsonSchemaFormat(Api):
    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["json_schema"]
    name: ToolName
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


Format = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class TextOptions(Api):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Api):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class StreamOptions(Api):
    include_obfuscation: bool | None = None


class ResponsesRequest(Request):
    """Every field of OpenAI's request; what cannot be done here is refused or dropped and named, never silently."""

    input: Annotated[
        Annotated[str, Tag("text")] | Annotated[Items[AnyItem], Field(min_length=1), Tag("list")], TextOrList
    ]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Items[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: Items[str] | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    prompt: dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Items[dict[str, Any]] | None = None
    image: dict[str, Any] | None = None
    access_programs: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    moderation: dict[str, Any] | None = None

    def problems(self) -> Iterator[FieldError]:
        match self.tool_choice:
            case NamedChoice(name=name):
                chosen = {name}
            case AllowedChoice(tools=tools):
                chosen = {tool.name for tool in tools}
            case _:
                return
        offered = {tool.name for tool in self.tools or () if isinstance(tool, FunctionTool | CustomTool)}
        if not chosen <= offered:
            yield FieldError(("tool_choice",), NO_SUCH_TOOL, "value_error")


_PLAIN = (
    *("top_p", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "moderation"),
)
"""
Fields that go to the target as they are, or not at all. `metadata` is none of them: it belongs to the response, and
chat completions take it only together with `store`.
"""
_LOGPROBS = "message.output_text.logprobs"
_GIVEN = frozenset({_LOGPROBS, "reasoning.encrypted_content"})
"""Entries of `include` that an answer here can hold."""
_STATELESS = "this gateway keeps no responses: send the whole conversation in 'input'"


def chat_request(body: ResponsesRequest, *, max_tokens: int | None = None) -> ChatRequest:
    """
    The internal form; `max_tokens` is the limit where the caller names none, and the most of it otherwise.

    Raises `UnsupportedField` for what needs a store of responses, tools that OpenAI runs, or items of theirs.
    """
    for name in ("previous_response_id", "conversation"):
        if getattr(body, name) is not None:
            raise UnsupportedField(name, _STATELESS)
    if body.background:
        raise UnsupportedField("background", "this gateway keeps no responses: ask with stream, or wait for the answer")
    if body.prompt is not None:
        raise UnsupportedField("prompt", "templates kept at OpenAI are not supported: send 'instructions' and 'input'")
    messages = tuple(_messages(body))
    if not messages:
        raise UnsupportedField("input", "the input holds no message: reasoning of another service is not passed on")
    limits = [limit for limit in (body.max_output_tokens, max_tokens) if limit is not None]
    return ChatRequest(
        messages,
        max_tokens=min(limits, default=None),
        temperature=body.temperature,
        tools=tuple(map(_tool, body.tools or ())),
        tool_choice=_tool_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        output=_output(body.text.format) if body.text is not None else None,
        reasoning_effort=body.reasoning.effort if body.reasoning is not None else None,
        options=_options(body),
        unknown=body.unknown,
    )


def dropped(body: ResponsesRequest) -> tuple[str, ...]:
    """Fields that ask for an effect which no target can be asked for in the internal form."""
    reasoning = body.reasoning or ReasoningOptions()
    asked = {
        "include": not _GIVEN.issuperset(body.include or ()),
        "store": body.store,
        "truncation": body.truncation == "auto",
        "max_tool_calls": body.max_tool_calls,
        "reasoning.summary": reasoning.summary or reasoning.generate_summary,
        "reasoning.context": reasoning.context not in (None, "auto"),
        "reasoning.mode": reasoning.mode not in (None, "standard"),
        "stream_options.include_obfuscation": body.stream_options and body.stream_options.include_obfuscation,
        "context_management": body.context_management,
        "image": body.image,
        "access_programs": body.access_programs,
    }
    return tuple(name for name, value in asked.items() if value)


def _options(body: ResponsesRequest) -> dict[str, object]:
    sent = body.model_fields_set
    options = {name: value for name in _PLAIN if name in sent and (value := getattr(body, name)) is not None}
    if body.text is not None and body.text.verbosity is not None:
        options["verbosity"] = body.text.verbosity
    if body.top_logprobs or _LOGPROBS in (body.include or ()):
        options["logprobs"] = True
        if body.top_logprobs:
            options["top_logprobs"] = body.top_logprobs
    return options


# The conversation


@dataclass(slots=True)
class _Turn:
    """Items of one answer, as they are gathered into one message: its text, its thoughts and its calls."""

    parts: list[Part] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    extra: dict[str, object] = field(default_factory=dict)
    said: bool = False

    def message(self) -> Iterator[Message]:
        """The message, if there is one."""
        if self.parts or self.calls:
            yield Message("assistant", _content(self.parts), tool_calls=tuple(self.calls), extra=self.extra)


def _messages(body: ResponsesRequest) -> Iterator[Message]:
    if body.instructions:
        yield Message("system", body.instructions)
    if isinstance(body.input, str):
        yield Message("user", body.input)
        return
    turn = _Turn()
    for number, item in enumerate(body.input):
        match item:
            case AssistantMessage():
                # Words after words are a message of their own. Words after a call stay with it: nothing may stand
                # between calls and their results.
                if turn.said and not turn.calls:
                    yield from turn.message()
                    turn = _Turn()
                turn.said = True
                turn.parts += _said(item.content)
                turn.extra.update(item.unknown)
            case Reasoning():
                turn.parts += unsealed(item)
            case FunctionCall():
                turn.calls.append(ToolCall(item.call_id, item.name, item.arguments, extra=item.unknown))
            case CustomToolCall():
                turn.calls.append(ToolCall(item.call_id, item.name, item.input, custom=True, extra=item.unknown))
            case InputMessage() | CallOutput():
                yield from turn.message()
                turn = _Turn()
                yield _other(item)
            case ItemReference():
                raise UnsupportedField(f"input[{number}]", _STATELESS)
            case OtherItem():
                raise UnsupportedField(
                    f"input[{number}]", "of items, only messages, reasoning, calls and their outputs are supported"
                )
    yield from turn.message()


def _other(item: InputMessage | CallOutput) -> Message:
    if isinstance(item, CallOutput):
        return Message("tool", _input(item.output), tool_call_id=item.call_id, extra=item.unknown)
    return Message("user" if item.role == "user" else "system", _input(item.content))


def _content(parts: Sequence[Part]) -> str | tuple[Part, ...]:
    """A text alone is a string."""
    if not parts:
        return ""
    only = parts[0]
    return only.text if len(parts) == 1 and isinstance(only, Text) and not only.extra else tuple(parts)


def _said(content: str | Sequence[InputText | OutputText | Refusal]) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [Text(part.refusal) if isinstance(part, Refusal) else Text(part.text, part.unknown) for part in content]


def _input(content: str | Sequence[InputText | InputImage | InputFile]) -> str | tuple[Part, ...]:
    return content if isinstance(content, str) else tuple(map(_part, content))


def _part(part: InputText | InputImage | InputFile) -> Part:
    match part:
        case InputText():
            return Text(part.text, part.unknown)
        case InputImage(image_url=str(url)):
            return Image(url, part.detail, part.unknown)
        case InputImage():
            return File(file_id=part.file_id, extra=part.unknown)
        case InputFile():
            return File(part.file_data or part.file_url, part.file_id, part.filename, part.unknown)


# Thoughts that go back to their vendor

_SEAL = "gateway.1."
_SEALED: TypeAdapter[list[tuple[int | None, str, str]]] = TypeAdapter(list[tuple[int | None, str, str]])


def seal(thoughts: Sequence[tuple[int | None, str, str]]) -> str | None:
    """
    `encrypted_content`: what the vendors want back with a thought, which this API has no other place for.

    For each thought: which part of the summary is its text (None: it has none), its signature, and what is redacted.
    None where no vendor wants anything. Nothing is secret in it or needs our proof: each vendor checks its own.
    """
    if not any(signature or redacted for _, signature, redacted in thoughts):
        return None
    return _SEAL + base64.urlsafe_b64encode(orjson.dumps(thoughts)).decode()


def unsealed(item: Reasoning) -> list[Thinking]:
    """The thoughts of an item that came from here; none of one that did not, or that has been changed."""
    sealed = item.encrypted_content or ""
    if not sealed.startswith(_SEAL):
        return []
    texts = [part.text for part in item.summary or ()]
    try:
        thoughts = _SEALED.validate_json(base64.urlsafe_b64decode(sealed.removeprefix(_SEAL)))
    except ValueError:
        return []
    if any(index is not None and not 0 <= index < len(texts) for index, _, _ in thoughts):
        return []
    return [Thinking("" if at is None else texts[at], signature, redacted) for at, signature, redacted in thoughts]


# Tools and output


def _tool(tool: FunctionTool | CustomTool | HostedTool) -> Tool:
    match tool:
        case FunctionTool():
            return Tool(tool.name, tool.description, tool.parameters, tool.strict, extra=tool.unknown)
        case CustomTool():
            return Tool(tool.name, native=("openai", {"type": "custom", "custom": _custom(tool)}))
        case HostedTool():
            raise UnsupportedField(
                "tools",
                "tools that OpenAI runs itself (web_search, file_search, code_interpreter, computer, image_generation, "
                "mcp and the like) are not supported: only 'function' and 'custom' are",
            )


def _custom(tool: CustomTool) -> dict[str, object]:
    """As chat completions have it, where a grammar stands one level deeper (`ChatCompletionCustomToolParam`)."""
    custom = tool.model_dump(include={"name", "description", "format"}, exclude_none=True)
    if tool.format is not None and tool.format.get("type") == "grammar":
        grammar = {name: value for name, value in tool.format.items() if name != "type"}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return custom


def _tool_choice(choice: AnyChoice | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "none" | "auto" | "required":
            return ToolChoice(choice)
        case NamedChoice():
            return ToolChoice("required", (choice.name,))
        case AllowedChoice():
            return ToolChoice(choice.mode, tuple(tool.name for tool in choice.tools))
        case HostedChoice():
            raise UnsupportedField("tool_choice", "tools that OpenAI runs itself are not supported")


def _output(format: Format | None) -> OutputFormat | None:
    match format:
        case JsonSchemaFormat():
            return OutputFormat(format.schema_, format.name, format.description, format.strict)
        case JsonObjectFormat():
            return OutputFormat()
        case _:
            return None
