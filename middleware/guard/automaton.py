"""
One RE2 pattern over bytes, asked without the objects that `re2.search` makes of each match: they cost more than it.
"""

from collections.abc import Sequence

import re2
from re2 import _re2

_MEMORY = 8 << 20
"""Bytes for one pattern, RE2's default: the largest counted repetitions here need half."""

_NOWHERE = (-1, -1)


class Automaton:
    """Raises `re2.error` for what is no RE2 pattern. Safe to share between threads."""

    __slots__ = ("_match",)

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        compiled = re2.compile(pattern, options)
        self._match = compiled._regexp.Match

    def spans(self, data: bytes, start: int = 0) -> Sequence[tuple[int, int]] | None:
        """
        Of the first match from `start` on, and of its groups, (-1, -1) for one that took no part; None if there is no
        match.
        """
        spans: Sequence[tuple[int, int]] = self._match(_re2.RE2.Anchor.UNANCHORED, data, start, len(data))
        return None if spans[0] == _NOWHERE else spans

    def fits(self, data: bytes) -> bool:
        """Is the whole of it a match?"""
        return bool(self._match(_re2.RE2.Anchor.ANCHOR_BOTH, data, 0, len(data))[0] != _NOWHERE)
