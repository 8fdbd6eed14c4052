"""What a classifier makes of a text that is still being written."""

from collections.abc import Callable, Sequence

Judge = Callable[[str], Sequence[str]]
"""The categories in which a text is unsafe; none if it is safe."""

STEP = 240
"""Characters after which it is asked again: some 60 tokens, so that no more than those can be out before its word."""
SIGHT = 960
"""Characters it is shown: harm is seen in a paragraph, and a paragraph must not be diluted by the page."""


class Harm:
    """
    One text of an answer. A text longer than `SIGHT` is judged in pieces that overlap.

    A classifier weighs whole wordings, so there is no longest match to wait for, and nothing is held back for it.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._text = ""
        self._unjudged = 0

    def feed(self, piece: str) -> Sequence[str]:
        """The next piece; the categories of what is unsafe up to its end."""
        found: dict[str, None] = {}
        for start in range(0, len(piece), STEP):
            part = piece[start : start + STEP]
            self._text = (self._text + part)[-SIGHT:]
            self._unjudged += len(part)
            if self._unjudged >= STEP:
                found |= dict.fromkeys(self.flush())
        return tuple(found)

    def flush(self) -> Sequence[str]:
        """No more follows: the categories of what was not judged yet."""
        if not self._unjudged:
            return ()
        self._unjudged = 0
        return self._judge(self._text)
