"""
What adapters and the cascade agree on.

Adapters are pure: they turn a `ChatRequest` into an `HttpRequest` and bytes back into a `Completion`, and never touch a
socket. A provider is a row of `registry.py` that names its adapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from pydantic import SecretStr

from providers.chat import ChatRequest, Chunk, Completion, EmbeddingRequest, Embeddings, Fit
from providers.errors import ProviderError
from providers.sse import Event


@dataclass(frozen=True, slots=True)
class HttpRequest:
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: Literal["POST", "GET"] = "POST"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class EventDecoder(Protocol):
    """Reads one stream. Holds what must be remembered between events."""

    def feed(self, event: Event) -> Sequence[Chunk]:
        """
        Return what the event adds, nothing if nothing; several chunks only where it speaks of several choices.

        Raises `ValueError` for an event that cannot be read (it is skipped and counted) and `ProviderError` for one
        that reports a failure.
        """
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """
    One model at one service: what the cascade asks, and what a breaker stands for.

    `base_url` has no trailing slash and carries its version segment; `prices_id` is the provider's id in genai-prices
    (None: this service has no list price). `key_slot` is which of the service's several keys this is. `context_window`
    is in tokens; None, as with `tools` and `vision`, means that nobody said, and the target is taken to be able.
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
    key_slot: int = 0
    allow_fields: frozenset[str] = frozenset()
    context_window: int | None = None
    tools: bool | None = None
    vision: bool | None = None

    @property
    def name(self) -> str:
        return f"{self.service}/{self.model}"


class Adapter(Protocol):
    """One wire. Stateless; shared by all targets that speak it."""

    def fit(self, request: ChatRequest, target: Target) -> Fit:
        """What of the request this target cannot do. Cheap: asked for every target of every request."""
        ...

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        """The call to make, without what `fit` calls dropped. The key goes into a header, never into the URL."""
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


@runtime_checkable
class Embeds(Protocol):
    """An adapter whose wire turns texts into vectors."""

    def encode_embeddings(self, request: EmbeddingRequest, target: Target) -> HttpRequest: ...

    def decode_embeddings(self, reply: HttpReply) -> Embeddings:
        """Read a 200. Raises `ProviderError`."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """An adapter whose wire counts the tokens of a request without answering it."""

    def encode_count(self, request: ChatRequest, target: Target) -> HttpRequest: ...

    def decode_count(self, reply: HttpReply) -> int:
        """Read a 200. Raises `ProviderError`."""
        ...


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as its provider lists it. `created` in Unix seconds, 0 when not said."""

    id: str
    owned_by: str | None = None
    created: int = 0


@runtime_checkable
class ListsModels(Protocol):
    """An adapter whose wire lists the models of a service."""

    def encode_models(self, target: Target) -> HttpRequest: ...

    def decode_models(self, reply: HttpReply) -> Sequence[ListedModel]:
        """Read a 200: the models of the first page, which holds hundreds. Raises `ProviderError`."""
        ...
