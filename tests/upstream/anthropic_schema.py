"""
The Messages API's requests, written from Anthropic's SDK 2.11.0 (`types/message_create_params.py`).

What may be null is what the SDK calls optional; a default stands for a field that is not there.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from tests.upstream.schema import Free, Shape


class CacheControl(Shape):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Shape):
    cache_control: CacheControl | None = None


class Text(Block):
    type: Literal["text"]
    text: str
    citations: list[Free] | None = None


class Base64Image(Shape):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Url(Shape):
    type: Literal["url"]
    url: Annotated[str, Field(pattern="^https?://[^/]+")]


class FileId(Shape):
    type: Literal["file"]
    file_id: str


class Image(Block):
    type: Literal["image"]
    source: Annotated[Base64Image | Url | FileId, Field(discriminator="type")]


class Base64Pdf(Shape):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Shape):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class ContentSource(Shape):
    type: Literal["content"]
    content: str | list[Annotated[Text | Image, Field(discriminator="type")]]


class CitationsConfig(Shape):
    enabled: bool


class Document(Block):
    type: Literal["document"]
    source: Annotated[Base64Pdf | PlainText | ContentSource | Url | FileId, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class SearchResult(Block):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[Text]
    citations: CitationsConfig | None = None


class ToolUse(Block):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: Free
    caller: Free = Field(default_factory=dict)
    toolset_name: str | None = None


class ToolResult(Block):
    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]+$")]
    content: str | list[Annotated[Text | Image | Document | SearchResult, Field(discriminator="type")]] = ""
    is_error: bool = False
    toolset_name: str | None = None


class Thought(Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThought(Shape):
    type: Literal["redacted_thinking"]
    data: str


AnyBlock = Annotated[
    Text | Image | Document | SearchResult | ToolUse | ToolResult | Thought | RedactedThought,
    Field(discriminator="type"),
]


class Message(Shape):
    role: Literal["user", "assistant"]
    content: str | list[AnyBlock]

    @property
    def blocks(self) -> list[AnyBlock]:
        return [Text(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class InputSchema(Shape, extra="allow"):
    type: Literal["object"]


class CustomTool(Shape):
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    input_schema: InputSchema
    type: Literal["custom"] | None = None
    allowed_callers: list[str] = Field(default_factory=list)
    cache_control: CacheControl | None = None
    defer_loading: bool = False
    description: str = ""
    eager_input_streaming: bool | None = None
    input_examples: list[Free] = Field(default_factory=list)
    strict: bool = False


class ServerTool(Shape, extra="allow"):
    """A tool that Anthropic runs itself, such as `web_search_20250305`; its fields are its own."""

    type: Annotated[str, Field(pattern=r"^[a-z_]+_\d{8}$")]
    name: str


def _tool_kind(tool: object) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "custom" if kind in {None, "custom"} else "server"


Tool = Annotated[Annotated[CustomTool, Tag("custom")] | Annotated[ServerTool, Tag("server")], Discriminator(_tool_kind)]


class ChoiceAuto(Shape):
    type: Literal["auto"]
    disable_parallel_tool_use: bool = False


class ChoiceAny(Shape):
    type: Literal["any"]
    disable_parallel_tool_use: bool = False


class ChoiceTool(Shape):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool = False


class ChoiceNone(Shape):
    type: Literal["none"]


ToolChoice = Annotated[ChoiceAuto | ChoiceAny | ChoiceTool | ChoiceNone, Field(discriminator="type")]


class ThinkingEnabled(Shape):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingAdaptive(Shape):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Shape):
    type: Literal["disabled"]


class ThinkingBetweenTools(Shape):
    type: Literal["between_tools"]


Thinking = Annotated[
    ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | ThinkingBetweenTools, Field(discriminator="type")
]


class OutputFormat(Shape):
    type: Literal["json_schema"]
    schema_: Free = Field(alias="schema")


class OutputConfig(Shape):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Metadata(Shape):
    user_id: Annotated[str, Field(max_length=256)] | None = None


class Counted(Shape):
    """What `/v1/messages/count_tokens` takes: all that the model reads."""

    model: Annotated[str, Field(min_length=1)]
    messages: list[Message]
    cache_control: CacheControl | None = None
    context_management: Free | None = None
    mcp_servers: list[Free] = Field(default_factory=list)
    output_config: OutputConfig = OutputConfig()
    speed: Literal["standard", "fast"] | None = None
    system: str | list[Text] = ""
    thinking: Thinking = ThinkingDisabled(type="disabled")
    tool_choice: ToolChoice = ChoiceAuto(type="auto")
    tools: list[Tool] = Field(default_factory=list)
    user_profile_id: str = ""
    workspace_id: str = ""


class Create(Counted):
    max_tokens: Annotated[int, Field(ge=1, le=2**31)]
    container: str | Free | None = None
    diagnostics: Free | None = None
    inference_geo: str | None = None
    metadata: Metadata = Metadata()
    service_tier: Literal["auto", "standard_only"] = "auto"
    stop_sequences: list[str] = Field(default_factory=list)
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=1)] = 1
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
