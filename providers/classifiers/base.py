"""What the chain of classifiers and the classifiers say to each other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from providers.base import HttpReply, HttpRequest
from providers.errors import MalformedReply

Category = Literal[
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
]
CATEGORIES: tuple[Category, ...] = get_args(Category)


@dataclass(frozen=True, slots=True)
class Assessment:
    """
    What a classifier thinks of a text.

    `scores` hold every category, 0 (harmless) to 1; one the classifier does not judge is 0. `flagged` is the
    classifier's own decision, None where it makes none and the threshold decides. `source` is its name.
    """

    scores: Mapping[str, float]  # by `Category`; typed wider because a mapping's keys are invariant to its readers
    source: str
    flagged: bool | None = None


class Classifier(Protocol):
    """One classifier. Pure and stateless, like an adapter."""

    @property
    def name(self) -> str: ...

    def encode(self, text: str) -> HttpRequest:
        """The call to make. The key goes into a header."""
        ...

    def decode(self, reply: HttpReply) -> Assessment:
        """Read a reply of any status. Raises `ProviderError` where it is no verdict; nothing else is ever harmless."""
        ...


def all_scores(found: Mapping[Category, float]) -> dict[str, float]:
    return {category: found.get(category, 0.0) for category in CATEGORIES}


def score(value: object) -> float:
    """A number from 0 to 1. Raises `MalformedReply` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise MalformedReply("the classifier's verdict holds a score that is no number from 0 to 1")
    return float(value)
