"""Originals back in the place of placeholders, in a whole answer or in a stream cut anywhere."""

import re
from collections.abc import Mapping

_BRACKETED = re.compile(r"\[[^\[\]]+\]")
"""One class between two signs outside it: read in one pass by any engine."""


class Restorer:
    """
    Undoes a `Verdict`'s masking for one answer. Not shared: `feed` and `close` belong to one stream.

    An original is never searched again, so one that looks like a placeholder stays what it is.
    """

    def __init__(self, replacements: Mapping[str, str]) -> None:
        """Raises `ValueError` for a placeholder that is not `[…]` without brackets inside: such ones cannot overlap."""
        self._originals = dict(replacements)
        if not all(_BRACKETED.fullmatch(placeholder) for placeholder in self._originals):
            raise ValueError("a placeholder is text in square brackets")
        self._beginnings = frozenset(key[:size] for key in self._originals for size in range(1, len(key)))
        self._held = ""

    def restore(self, text: str) -> str:
        """A whole text at once; leaves the stream's state alone."""
        if not self._originals or "[" not in text:
            return text
        return _BRACKETED.sub(lambda match: self._originals.get(match.group(), match.group()), text)

    def feed(self, piece: str) -> str:
        """
        The next piece of a stream, restored as far as it is certain.

        Held back is only an end that could begin a placeholder: fewer characters than the longest placeholder has.
        """
        text = self._held + piece
        start = text.rfind("[")
        if start >= 0 and text[start:] in self._beginnings:
            self._held = text[start:]
            return self.restore(text[:start])
        self._held = ""
        return self.restore(text)

    def close(self) -> str:
        """What was held back: the stream ended inside what could have been a placeholder."""
        held, self._held = self._held, ""
        return held
