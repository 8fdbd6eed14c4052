"""What a safety classifier is: pure functions around one HTTP round trip, like an adapter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from providers.base import HttpReply, HttpRequest

Category = Literal[
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
]


@dataclass(frozen=True, slots=True)
class Assessment:
    """`scores` 0..1 by `Category`; `flagged` is the classifier's own decision, None: a threshold decides."""

    scores: Mapping[str, float]
    source: str
    flagged: bool | None = None


class Classifier(Protocol):
    @property
    def name(self) -> str: ...

    def encode(self, text: str) -> HttpRequest: ...

    def decode(self, reply: HttpReply) -> Assessment:
        """Raises `ProviderError` for everything that is not a verdict."""
        ...
