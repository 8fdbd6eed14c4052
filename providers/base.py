"""
What adapters and the cascade speak: one internal form of a request, an answer, a piece of an answer.

Adapters are pure: they turn a `ChatRequest` into an `HttpRequest` and bytes back into a `Completion`, and never touch a
socket. A provider is a row of `registry.py` that names its adapter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from pydantic import SecretStr

from providers.errors import ProviderError
from providers.sse import Event

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a caller wants of a model, in no vendor's words."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them. `input_tokens` includes cached ones, `output_tokens` includes reasoning."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. `model` is the one that answered; `cost_usd` only where the provider reports its own charge."""

    text: str
    model: str
    finish_reason: FinishReason
    usage: Usage | None = None
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    One step of a streamed answer. Any field may be empty.

    `usage` is cumulative and replaces what came before. `end` is the wire's own end mark (`[DONE]`, `message_stop`).
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    model: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    end: bool = False


@dataclass(frozen=True, slots=True)
class HttpRequest:
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpReply:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class EventDecoder(Protocol):
    """Reads one stream. Holds what must be remembered between events."""

    def feed(self, event: Event) -> Chunk | None:
        """
        Return what the event adds, None if nothing.

        Raises `ValueError` for an event that cannot be read (it is skipped and counted) and `ProviderError` for one
        that reports a failure.
        """
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """
    One model at one service: what the cascade asks, and what a breaker stands for.

    `base_url` has no trailing slash and carries its version segment; `prices_id` is the provider's id in genai-prices
    (None: this service has no list price).
    """

    service: str
    model: str
    adapter: "Adapter"
    base_url: str
    api_key: SecretStr | None = field(default=None, repr=False)
    prices_id: str | None = None
    timeout_s: float | None = None
    max_retries: int | None = None
    prefill: bool = False

    @property
    def name(self) -> str:
        return f"{self.service}/{self.model}"


class Adapter(Protocol):
    """One wire. Stateless; shared by all targets that speak it."""

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        """The call to make. The key goes into a header, never into the URL."""
        ...

    def decode(self, reply: HttpReply) -> Completion:
        """Read a 200. Raises `ProviderError` where it holds a failure, a block, or no answer."""
        ...

    def decoder(self) -> EventDecoder:
        """A reader for one stream."""
        ...

    def decode_error(self, reply: HttpReply) -> ProviderError:
        """Read any other status into the tree of errors."""
        ...
