"""
generateContent's requests and those of the endpoints beside it, from google-genai 3.4.0 and Google's reference.

Field names may be in camel or snake case, as Google's JSON parser takes both.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.upstream.schema import Free, Shape


class GoogleShape(Shape):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Blob(GoogleShape):
    mime_type: str
    data: str
    display_name: str | None = None


class FileData(GoogleShape):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(GoogleShape):
    name: str
    id: str | None = None
    args: Free | None = None


class FunctionResponse(GoogleShape):
    name: str
    response: Free
    id: str | None = None
    parts: list[Free] | None = None
    scheduling: str | None = None
    will_continue: bool | None = None


class Part(GoogleShape):
    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Free | None = None
    code_execution_result: Free | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    video_metadata: Free | None = None
    media_resolution: Free | None = None

    @property
    def data(self) -> list[object]:
        """What of the one-of is set."""
        kinds = (self.text, self.inline_data, self.file_data, self.function_call, self.function_response)
        return [kind for kind in (*kinds, self.executable_code, self.code_execution_result) if kind is not None]


class Content(GoogleShape):
    role: str | None = None
    parts: list[Part] = Field(default_factory=list)


class Schema(GoogleShape):
    """The subset of OpenAPI's schema that `parameters` and `responseSchema` take."""

    type: str | None = Field(default=None, pattern="^(?i:string|number|integer|boolean|array|object|null)$")
    format: str | None = None
    title: str | None = None
    description: str | None = None
    nullable: bool | None = None
    enum: list[str] | None = None
    items: Self | None = None
    properties: dict[str, Self] | None = None
    required: list[str] | None = None
    any_of: list[Self] | None = None
    property_ordering: list[str] | None = None
    min_items: int | str | None = None
    max_items: int | str | None = None
    min_properties: int | str | None = None
    max_properties: int | str | None = None
    min_length: int | str | None = None
    max_length: int | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    example: object = None
    default: object = None


class FunctionDeclaration(GoogleShape):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$")]
    description: str | None = None
    parameters: Schema | None = None
    parameters_json_schema: Free | None = None
    response: Schema | None = None
    response_json_schema: Free | None = None
    behavior: str | None = None


class Tool(GoogleShape):
    function_declarations: list[FunctionDeclaration] = Field(default_factory=list)
    google_search: Free | None = None
    google_search_retrieval: Free | None = None
    code_execution: Free | None = None
    url_context: Free | None = None
    google_maps: Free | None = None
    file_search: Free | None = None
    computer_use: Free | None = None


class FunctionCallingConfig(GoogleShape):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = Field(default_factory=list)
    stream_function_call_arguments: bool | None = None


class ToolConfig(GoogleShape):
    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: Free | None = None


class ThinkingConfig(GoogleShape):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[int, Field(ge=-1)] | None = None
    thinking_level: Literal["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"] | None = None


class GenerationConfig(GoogleShape):
    audio_timestamp: bool | None = None
    candidate_count: Annotated[int, Field(ge=1, le=8)] | None = None
    enable_enhanced_civic_answers: bool | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, lt=2)] | None = None
    image_config: Free | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None
    media_resolution: str | None = None
    presence_penalty: Annotated[float, Field(ge=-2, lt=2)] | None = None
    response_json_schema: Free | None = None
    response_logprobs: bool | None = None
    response_mime_type: Literal["text/plain", "application/json", "text/x.enum"] | None = None
    response_modalities: list[Literal["TEXT", "IMAGE", "AUDIO"]] | None = None
    response_schema: Schema | None = None
    routing_config: Free | None = None
    seed: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    speech_config: Free | None = None
    stop_sequences: Annotated[list[str], Field(max_length=5)] = Field(default_factory=list)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    thinking_config: ThinkingConfig | None = None
    top_k: Annotated[float, Field(ge=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None


class SafetySetting(GoogleShape):
    category: Literal[
        "HARM_CATEGORY_HARASSMENT",
        "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT",
        "HARM_CATEGORY_DANGEROUS_CONTENT",
        "HARM_CATEGORY_CIVIC_INTEGRITY",
        "HARM_CATEGORY_JAILBREAK",
    ]
    threshold: Literal[
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
        "BLOCK_LOW_AND_ABOVE",
        "BLOCK_MEDIUM_AND_ABOVE",
        "BLOCK_ONLY_HIGH",
        "BLOCK_NONE",
        "OFF",
    ]


class GenerateContent(GoogleShape):
    contents: list[Content] = Field(default_factory=list)
    model: str | None = None
    cached_content: str | None = None
    generation_config: GenerationConfig = GenerationConfig()
    labels: dict[str, str] | None = None
    safety_settings: list[SafetySetting] = Field(default_factory=list)
    service_tier: str | None = None
    store: bool | None = None
    system_instruction: Content | None = None
    tool_config: ToolConfig | None = None
    tools: list[Tool] = Field(default_factory=list)


class CountTokens(GoogleShape):
    contents: list[Content] = Field(default_factory=list)
    generate_content_request: GenerateContent | None = None


class EmbedContent(GoogleShape):
    content: Content
    model: str | None = None
    task_type: Literal[
        "TASK_TYPE_UNSPECIFIED",
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    ] = "TASK_TYPE_UNSPECIFIED"
    title: str | None = None
    output_dimensionality: Annotated[int, Field(ge=1, le=3072)] | None = None


class BatchEmbedContents(GoogleShape):
    requests: list[EmbedContent] = Field(default_factory=list)
