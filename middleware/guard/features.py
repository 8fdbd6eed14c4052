"""
The features of the injection model: n-grams of characters, words, and pairs of words close to one another.

Each is hashed and has its place in the text. Its number is a polynomial hash modulo 2**64, reduced to `SIZE` buckets
(Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009). All n-grams of a text are hashed at
once, in a few passes over arrays.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from middleware.guard.decode import strip_accents

SPEC = "no keys, characters 3 and 5, words, stem pairs 1-5, 2^20"
"""To be changed with anything here: weights fit one way of counting only."""

_BITS = 20
SIZE = 1 << _BITS
"""Buckets. With a quarter as many, n-grams that share one cost two attacks in a hundred."""

MOST = 1 << 13
"""Characters hashed at once."""

_ORDERS = (3, 5)
_STEM = 5
"""Characters of a word that count in a pair: "ignore" and "ignoring" are one."""
_REACH = 5
"""Words from the first of a pair to the second, at most; how many does not matter."""

_U64 = np.uint64
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_SPREAD, _FIRST, _WORD, _PAIR = map(
    _U64, (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3)
)  # any odd numbers; these are the multipliers of MurmurHash3 and wyhash


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(MOST + 1, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_POWERS, _INVERSES = _powers(_BASE), _powers(pow(_BASE, -1, 1 << 64))
_IN_WORD = np.ones(129, dtype=bool)
"""By code, 128 standing for all beyond ASCII."""
_IN_WORD[[code for code in range(128) if not (chr(code).isalnum() or chr(code) in "_'")]] = False


_KEY = 20
"""Letters and digits in a row from which on they are a key, a digest or an encoded run, and no wording."""
_LONG = re.compile(rf"[a-z0]{{{_KEY},}}")


def prepare(text: str) -> str:
    """
    Lower case, no accents, digits and keys as zeros, one space between words and before the first, two at the end.
    """
    plain = strip_accents(text.lower())
    for digit in "123456789":  # some twenty times faster than str.translate where not all is ASCII
        plain = plain.replace(digit, "0")
    words = [word if len(word) < _KEY else _LONG.sub(_shown, word) for word in plain.split()]
    return f" {' '.join(words)}  "


def _shown(run: re.Match[str]) -> str:
    return "0" if "0" in run.group() else run.group()


@dataclass(frozen=True, slots=True)
class Grams:
    """
    The n-grams of one text: `buckets`, shape (n,), numbers below `SIZE`. They come in runs; one run has `lengths[i]`
    n-grams whose first characters are at `starts[i]`, or at 0, 1, 2, … where that is None.
    """

    buckets: NDArray[np.intp]
    lengths: Sequence[int]
    starts: Sequence[NDArray[np.intp] | None]

    def places(self) -> NDArray[np.intp]:
        """Of each n-gram, shape (n,)."""
        runs = zip(self.starts, self.lengths, strict=True)
        return np.concatenate([np.arange(n) if starts is None else starts[:n] for starts, n in runs])


def grams(prepared: str) -> Grams:
    """Of a prepared text of at most `MOST` characters."""
    codes = np.frombuffer(prepared.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    runs: list[NDArray[np.uint64]] = []
    hashes = codes
    for order in range(2, _ORDERS[-1] + 1):
        hashes = hashes[:-1] * _U64(_BASE) + codes[order - 1 :]
        if order in _ORDERS:
            runs.append(hashes)
        if len(hashes) < 2:
            break
    starts: list[NDArray[np.intp] | None] = [None] * len(runs)
    edges = np.flatnonzero(np.diff(_IN_WORD[np.minimum(codes, 128).astype(np.intp)]))
    if len(edges) > 1:  # a prepared text has spaces at both ends, so words are between pairs of edges
        first, last = edges[::2] + 1, edges[1::2] + 1
        sums = np.cumsum(codes * _POWERS[: len(codes)])

        def word_hashes(end: NDArray[np.intp]) -> NDArray[np.uint64]:
            words = (sums[end - 1] - sums[first - 1]) * _INVERSES[first]
            return words ^ (words >> _U64(29))

        stems = word_hashes(np.minimum(last, first + _STEM))
        firsts = stems * _FIRST
        runs.append(word_hashes(last) * _WORD)
        runs += [(firsts[:-apart] + stems[apart:]) * _PAIR for apart in range(1, min(_REACH + 1, len(stems)))]
        starts += [first] * (len(runs) - len(starts))
    hashes = np.concatenate(runs) * _SPREAD >> _U64(64 - _BITS)
    return Grams(hashes.view(np.int64), [len(run) for run in runs], starts)
