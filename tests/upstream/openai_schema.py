"""
The OpenAI family's requests, written from OpenAI's specification (openai-openapi f85dbe2) and Groq's SDK.

What may be null is what the specification calls nullable.
"""

from typing import Annotated, Literal

from pydantic import Field

from tests.upstream.schema import Free, Shape

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
Number = float | None
Probability = Annotated[float, Field(ge=0, le=1)] | None
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
Limit = Annotated[int, Field(ge=1, le=2**31)] | None


# Messages.


class Part(Shape):
    prompt_cache_breakpoint: Free = Field(default_factory=dict)


class TextPart(Part):
    type: Literal["text"]
    text: str


class RefusalPart(Shape):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Shape):
    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class ImagePart(Part):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Shape):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Part):
    type: Literal["input_audio"]
    input_audio: InputAudio


class File(Shape):
    filename: str = ""
    file_data: str = ""
    file_id: str = ""


class FilePart(Part):
    type: Literal["file"]
    file: File


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
Text = str | Annotated[list[TextPart], Field(min_length=1)]


class CalledFunction(Shape):
    name: str
    arguments: str


class FunctionCall(Shape):
    id: str
    type: Literal["function"]
    function: CalledFunction
    extra_content: Free | None = None
    """Google's endpoint only: the thought signature."""


class CalledCustom(Shape):
    name: str
    input: str


class CustomCall(Shape):
    id: str
    type: Literal["custom"]
    custom: CalledCustom


AnyCall = Annotated[FunctionCall | CustomCall, Field(discriminator="type")]


class AudioId(Shape):
    id: str


class DeveloperMessage(Shape):
    role: Literal["developer"]
    content: Text
    name: str = ""


class SystemMessage(Shape):
    role: Literal["system"]
    content: Text
    name: str = ""


class UserMessage(Shape):
    role: Literal["user"]
    content: str | Annotated[list[UserPart], Field(min_length=1)]
    name: str = ""


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: str | Annotated[list[AssistantPart], Field(min_length=1)] | None = None
    refusal: str | None = None
    name: str = ""
    tool_calls: Annotated[list[AnyCall], Field(min_length=1)] = Field(default_factory=list)
    function_call: CalledFunction | None = None
    audio: AudioId | None = None


class ToolMessage(Shape):
    role: Literal["tool"]
    content: Text
    tool_call_id: str


class FunctionMessage(Shape):
    role: Literal["function"]
    content: str | None
    name: str


Message = Annotated[
    DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]


# Tools and formats.


class Function(Shape):
    name: Name
    description: str = ""
    parameters: Free = Field(default_factory=dict)
    strict: bool | None = None


class FunctionTool(Shape):
    type: Literal["function"]
    function: Function


class Custom(Shape):
    name: Name
    description: str = ""
    format: Free = Field(default_factory=dict)


class CustomTool(Shape):
    type: Literal["custom"]
    custom: Custom


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class Named(Shape):
    name: str


class NamedFunction(Shape):
    type: Literal["function"]
    function: Named


class NamedCustom(Shape):
    type: Literal["custom"]
    custom: Named


class Allowed(Shape):
    mode: Literal["auto", "required"]
    tools: list[Free]


class AllowedTools(Shape):
    type: Literal["allowed_tools"]
    allowed_tools: Allowed


ToolChoice = (
    Literal["none", "auto", "required"]
    | Annotated[NamedFunction | NamedCustom | AllowedTools, Field(discriminator="type")]
)


class TextFormat(Shape):
    type: Literal["text"]


class JsonObjectFormat(Shape):
    type: Literal["json_object"]


class JsonSchema(Shape):
    name: Name
    description: str = ""
    schema_: Free = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(Shape):
    include_usage: bool = False
    include_obfuscation: bool = True


class AudioOutput(Shape):
    voice: str | Free
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class Prediction(Shape):
    type: Literal["content"]
    content: Text


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class ChatBody(Shape):
    """What the whole family takes."""

    model: str
    messages: list[Message]
    audio: AudioOutput | None = None
    frequency_penalty: Penalty = None
    function_call: Literal["none", "auto"] | Named = "none"
    functions: Annotated[list[Function], Field(min_length=1, max_length=128)] = Field(default_factory=list)
    logit_bias: dict[Annotated[str, Field(pattern=r"^\d+$")], Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Limit = None
    max_tokens: Limit = None
    metadata: Metadata | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    moderation: Free | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    parallel_tool_calls: bool = True
    prediction: Prediction | None = None
    presence_penalty: Penalty = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Free = Field(default_factory=dict)
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    response_format: ResponseFormat = TextFormat(type="text")
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(min_length=1, max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tool_choice: ToolChoice = "auto"
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] = Field(default_factory=list)
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Probability = None
    user: str = ""
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: Free = Field(default_factory=dict)


class OpenAIChat(ChatBody):
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None


class GoogleCompatibleChat(OpenAIChat):
    extra_body: Free = Field(default_factory=dict)


class GroqChat(ChatBody):
    reasoning_effort: Literal["none", "default", "low", "medium", "high"] | None = None
    service_tier: Literal["auto", "on_demand", "flex", "performance"] | None = None
    citation_options: str | None = None
    disable_tool_validation: bool = False
    documents: list[Free] | None = None
    include_reasoning: bool | None = None
    reasoning_format: Literal["hidden", "raw", "parsed"] | None = None
    search_settings: Free | None = None


class EmbeddingBody(Shape):
    model: str
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
        | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2048)]
        | Annotated[
            list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]],
            Field(min_length=1, max_length=2048),
        ]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=3072)] | None = None
    user: str = ""
