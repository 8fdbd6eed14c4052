"""
One internal form of a conversation: what a caller asks, what a model answers, a piece of an answer.

Surfaces turn what clients send into it and adapters turn it into what a vendor takes, so that every surface works with
every vendor. Names and units are OpenAI's where nothing else is said (OpenAI's OpenAPI document,
`CreateChatCompletionRequest`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Extra = Mapping[str, object]

NOTHING: Extra = {}


# Parts of a message. `extra` holds a vendor's own keys of that place, such as Anthropic's `cache_control` or Google's
# `extra_content`; an adapter passes on those its vendor knows.


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """`url` is an https address or a `data:` URL in base64."""

    url: str
    detail: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audio:
    """`data` in base64, `format` is `wav` or `mp3`."""

    data: str
    format: str


@dataclass(frozen=True, slots=True)
class File:
    """One of: `url` (a `data:` URL in base64, or https), or the id of a file kept at one provider."""

    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thinking:
    """
    What a model thought before it answered.

    `signature` is the vendor's proof that it did; `redacted` holds thoughts that only the vendor can read.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""


Part = Text | Image | Audio | File | Thinking


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is a string of JSON as the model wrote it; with `custom`, any text."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message. `content` is a string where it is text and nothing else.

    A `tool` message holds the result of the call `tool_call_id`; `failed` says that the tool raised an error.
    """

    role: Role
    content: str | tuple[Part, ...] = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    failed: bool = False
    extra: Extra = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts; an empty string is none."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return self.content

    @property
    def text(self) -> str:
        """The text parts, joined without anything between them."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """
    What the model may call. `parameters` is a JSON Schema, None for no arguments.

    `native` is a tool only one vendor has, in that vendor's own words (OpenAI's `custom`, Anthropic's `web_search_…`):
    `(vendor, definition)`.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, object] | None = None
    strict: bool | None = None
    native: tuple[Literal["openai", "anthropic"], Mapping[str, object]] | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`names` narrows the tools that `auto` or `required` may choose from; empty: all of them."""

    mode: Literal["none", "auto", "required"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """JSON instead of prose: any object (`schema` None) or one that a JSON Schema describes."""

    schema: Mapping[str, object] | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """
    What a caller wants of a model, in no vendor's words.

    `options` are the plain fields of OpenAI's request that need no translation (`top_p`, `seed`, `logit_bias`, …), and
    `top_k` and `thinking` as Anthropic has them; `unknown` are fields the surface's API does not have, for services
    whose configuration lets them pass.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    reasoning_effort: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    unknown: Mapping[str, object] = field(default_factory=dict)

    @property
    def effort(self) -> str | None:
        """`reasoning_effort`, or what Anthropic's `thinking` comes to for a vendor who knows levels only."""
        if self.reasoning_effort is not None or "thinking" not in self.options:
            return self.reasoning_effort
        thinking = self.options["thinking"]
        if not isinstance(thinking, Mapping):
            return None
        budget = thinking.get("budget_tokens")
        if thinking.get("type") == "disabled":
            return "none"
        if not isinstance(budget, int):
            return None
        return "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"


@dataclass(frozen=True, slots=True)
class Fit:
    """
    How a target would do a request: fields it cannot do without changing what is asked, and fields it does without.

    Names are those of OpenAI's request (`n`, `tools`, `messages`, …), so that they can be told to the caller.
    """

    refused: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


FITS = Fit()


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Tokens as the provider counted them.

    `input_tokens` includes those read from and written to a cache, `output_tokens` includes reasoning.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Choice:
    """
    One answer. `refused`: the text is the model's refusal. `logprobs` as OpenAI's schema has them.

    `stop_sequence` is the one that ended the answer, where the vendor says which.
    """

    text: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    refused: bool = False
    logprobs: object = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """
    A whole answer. `model` is the one that answered; `cost_usd` only where the provider reports its own charge.

    `others` are the further choices of a request with `n` above 1. `withheld` is the provider's own sentence on why it
    withheld its answer, with `content_filter`.
    """

    text: str
    model: str
    finish_reason: FinishReason
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    refused: bool = False
    logprobs: object = None
    stop_sequence: str | None = None
    others: tuple[Choice, ...] = ()
    withheld: str | None = None

    @property
    def choices(self) -> tuple[Choice, ...]:
        first = Choice(
            self.text,
            self.finish_reason,
            self.tool_calls,
            self.thinking,
            self.refused,
            self.logprobs,
            self.stop_sequence,
        )
        return (first, *self.others)


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """
    A step of a streamed tool call. `index` counts the calls of its choice from 0.

    `id` and `name` come with the first piece of a call; the `arguments` of all pieces are joined.
    """

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""
    custom: bool = False
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    One step of a streamed answer. Any field may be empty.

    `usage` is cumulative and replaces what came before. `end` is the wire's own end mark (`[DONE]`, `message_stop`).
    `thinking` is a step of a thought, whose `signature` may come in the same or in a later step; `choice` is the index
    of the answer that this belongs to, above 0 only with `n` above 1.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    model: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    end: bool = False
    choice: int = 0
    tool_calls: tuple[ToolCallPiece, ...] = ()
    thinking: Thinking | None = None
    refused: bool = False
    logprobs: object = None
    stop_sequence: str | None = None

    @property
    def says(self) -> bool:
        """Whether it holds anything of the answer itself: text, a tool call or a thought."""
        return bool(self.text or self.tool_calls or self.thinking)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts, or texts already cut into tokens, to be turned into vectors. `dimensions` None: the model's own."""

    inputs: Sequence[str] | Sequence[Sequence[int]]
    dimensions: int | None = None
    base64: bool = False
    user: str | None = None
    unknown: Mapping[str, object] = field(default_factory=dict)
    """Fields that OpenAI's API does not have, for services that allow them."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each input, in order: numbers, or little-endian float32 in base64."""

    vectors: tuple[Sequence[float] | str, ...]
    model: str
    usage: Usage | None = None
    cost_usd: Decimal | None = None
