"""What a classifier makes of a text that is still being written."""

from collections.abc import Callable, Sequence

Judge = Callable[[str], Sequence[str]]
"""The categories in which a text is unsafe, however long it is; none if it is safe."""

STEP = 240
"""Characters after which it is asked again: some 60 tokens, so that no more than those can be out before its word."""
SIGHT = 720
"""Characters before those that it is shown again: harm is seen in a paragraph."""


class Harm:
    """
    One text of an answer.

    A classifier weighs whole wordings, so there is no longest match to wait for, and nothing is held back for it.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._text = ""
        self._unjudged = 0

    def feed(self, piece: str) -> Sequence[str]:
        """The next piece; the categories of what is unsafe up to its end."""
        self._text += piece
        self._unjudged += len(piece)
        return self.flush() if self._unjudged >= STEP else ()

    def flush(self) -> Sequence[str]:
        """The categories of what was not judged yet. More may follow."""
        if not self._unjudged:
            return ()
        text, self._text, self._unjudged = self._text, self._text[-SIGHT:], 0
        return self._judge(text)
