"""
Which end of a growing text may still become part of a value that the rules look for.

A text can be sent up to the place this finds, and no value found later will have begun before it. What is held back,
by the shape of a rule's values:

- one run without white space (keys, addresses, JWTs, card numbers, passwords): that run;
- several runs (grouped cards and IBANs, telephone numbers, disguised addresses, quoted local parts, the head of a
  private key): they have a digit, a sign, capitals or a quote in them, or stand around "at" and "dot": all neighbours
  of that kind, and the plain word before them;
- a number with its name behind it ("123456789 (SSN)"): until `AHEAD` characters have followed it.

In prose that is two words; whatever it is, never more than `WINDOW` characters.
"""

import re
from collections.abc import Iterator

from middleware.guard.normalise import normalise

WINDOW = 256
"""
Characters held back at most. The longest beginning of a value that no rule matches yet are the 207 characters of a
1Password service token; after that the value is found and its end need not be waited for.
"""
KEPT = 192
"""Characters still held when `WINDOW` is full: it slides in steps, or each token of code would cost a scan."""
AHEAD = 24
"""Characters behind a number in which a rule looks for its name."""
_QUOTED = 96
"""Characters of a quoted beginning of an address, or of a quoted password."""

_RUN = re.compile(r"\S+")
_DIGIT = re.compile(r"\d")
_PLAIN = re.compile(r"[(\[“‘]?[A-Za-z]?[a-z]*(?:['’][a-z]{1,2})?[.,;:!?)\]…”’]*")
_EDGES = "([“‘.,;:!?)]…”’"
_JOINTS = frozenset({"at", "dot"})
"""Words that stand for signs of an address."""
_SENTENCE_END = re.compile(r"[.!?:…。！？][)\]”’]*\s*\Z|\n\s*\Z")


def finished(text: str) -> bool:
    """Whether it is nothing but words of prose and ends as a sentence does: no value would begin so."""
    return _SENTENCE_END.search(text) is not None and '"' not in text and all(map(_is_plain, text.split()))


def settled(text: str, start: int) -> int:
    """Where what may still become part of a value begins: at least `start`, at most the end of the text."""
    low = max(start, len(text) - WINDOW)
    held = _held(text, low)
    if held > low or low == start:
        return held
    return max(start, len(text) - KEPT)


def _held(text: str, low: int) -> int:
    runs = [(match.start(), match.group()) for match in _RUN.finditer(text, low)]
    held, plain_words = len(text), 0
    for begin, run in reversed(runs):
        if begin + len(run) == len(text) or not _is_plain(run):
            plain_words = 0
        else:
            plain_words += 1
            if plain_words > 1 and not _DIGIT.search(text, max(low, len(text) - AHEAD), held):
                break
        held = begin
    else:
        return low
    return min((held, *_open_quotes(text, low, runs[-1][0])))


def _is_plain(run: str) -> bool:
    """A word of prose with its punctuation, in any script."""
    if run.isascii():
        return _PLAIN.fullmatch(run) is not None and run.strip(_EDGES).lower() not in _JOINTS
    word = run.strip(_EDGES)
    return word.isalpha() and not word.isupper() and normalise(run) is run


def _open_quotes(text: str, low: int, last: int) -> Iterator[int]:
    """The quote that is open at the last run, if it may be the beginning of an address."""
    low = max(low, len(text) - _QUOTED, text.rfind("\n", low) + 1)
    if text.count('"', low, last) % 2:
        yield text.rfind('"', low, last)
