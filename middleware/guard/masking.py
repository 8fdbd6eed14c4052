"""
Values out, typed placeholders in: `[EMAIL_1]` for the first address of a request, the same one wherever it stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import re2

from middleware.guard.matcher import Hit

_PLACEHOLDER = re2.compile(r"\[[A-Z][A-Z_]*_[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text, to be replaced by a placeholder of this type."""

    start: int
    end: int
    type: str


def spans(hits: Iterable[Hit]) -> list[Span]:
    """
    Disjoint spans in order. Of overlapping ones the longest gives the type, the earlier if equal; the span covers them
    all, so that no end of a shorter value stays behind.
    """
    merged: list[tuple[Span, int]] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        length = hit.end - hit.start
        if merged and hit.start < merged[-1][0].end:
            last, longest = merged[-1]
            type = hit.rule.type if length > longest else last.type
            merged[-1] = (Span(last.start, max(last.end, hit.end), type), max(longest, length))
        else:
            merged.append((Span(hit.start, hit.end, hit.rule.type), length))
    return [span for span, _ in merged]


@dataclass(slots=True)
class Placeholders:
    """The placeholders of one request. `taken` are those that stand in its texts already and mean themselves."""

    taken: frozenset[str] = frozenset()
    originals: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def beside(cls, texts: Sequence[str]) -> "Placeholders":
        return cls(
            frozenset(
                found
                for text in texts
                if "[" in text
                for found in _PLACEHOLDER.findall(text.encode("utf-8", "replace").decode())
            )
        )

    def of(self, type: str, value: str) -> str:
        known = self._known.get((type, value))
        if known is not None:
            return known
        number = self._counts.get(type, 0) + 1
        while (placeholder := f"[{type.upper()}_{number}]") in self.taken:
            number += 1
        self._counts[type] = number
        self._known[type, value] = placeholder
        self.originals[placeholder] = value
        return placeholder

    def mask(self, text: str, hits: Iterable[Hit]) -> str:
        pieces: list[str] = []
        end = 0
        for span in spans(hits):
            pieces += (text[end : span.start], self.of(span.type, text[span.start : span.end]))
            end = span.end
        pieces.append(text[end:])
        return "".join(pieces)
