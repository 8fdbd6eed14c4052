"""
Long texts in pieces, each read as a text of its own.

What undoes disguises works in calls that keep Python's lock while they run: over a megabyte, long enough to hold up
every other request of the process.
"""

from collections.abc import Iterator

SLICE = 1 << 14
OVERLAP = 1 << 10
"""Characters of a piece that the next one has too: what is cut at the end of one is whole in the other."""

_ALIGNED = 64
"""
Where an encoded run is cut, in characters from its beginning: groups of base64 have 4, of hex 2, of binary 8, also
when one is inside the other.
"""
_BETWEEN = " \n\r\t\"'`,.:;<>(){}[]|!?&%\\"
"""Signs that no encoding of runs has among its own."""


def slices(text: str) -> Iterator[str]:
    """Pieces of at most `SLICE` characters that cover the text; the text itself where it is not longer."""
    start = 0
    while start + SLICE < len(text):
        yield text[start : start + SLICE]
        start = _begin(text, start, start + SLICE - OVERLAP)
    yield text[start:] if start else text


def _begin(text: str, start: int, end: int) -> int:
    """Where the next piece begins, at most at `end`: between words, or where an encoded run can be cut."""
    run = max(text.rfind(sign, start, end) for sign in _BETWEEN) + 1
    if run >= end - OVERLAP:
        return run
    run = max(run, start)
    return run + (end - run) // _ALIGNED * _ALIGNED
