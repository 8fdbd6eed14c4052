"""
A small classifier inside the gateway, so that there is always a verdict: the floor of the chain, not its measure.

Linear models over hashed words, read from `local.model`, which `train_local` makes: one for each category, which
alone can say 0.7 and more, and one for harm of any kind, which ranks what is below. It knows abuse, slurs and
explicit words; of harm asked for in plain words it flags one text in eight and ranks four of five rightly (AUC about
0.8), and it reads English first. Put a service before it wherever there is one.

Features are hashed as in K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009).
"""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from providers.classifiers.base import CATEGORIES, Assessment

MODEL = Path(__file__).with_name("local.model")
BUCKETS = 1 << 16
HEADS = (*CATEGORIES, "any")
DOUBT = 0.69
"""
The most that harm of no known kind scores: enough for an operator who lowers the threshold, too little for the usual
one.
"""
WINDOW = 160
"""Words judged together: harm in one paragraph must not be diluted by the rest."""
STRIDE = 120
FEWEST = 8
INLINE_CHARS = 2_000
"""Longer texts take more than a millisecond and are judged in a thread."""

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[^\W\d_a-z]")
"""Latin words whole, other letters one by one: pairs of those are the words of scripts without spaces."""
_STEM = 5


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def features(tokens: Sequence[str]) -> set[int]:
    """
    The buckets of a window's words and of their beginnings, and of pairs of letters that are words in scripts
    without spaces.
    """
    found: set[int] = set()
    last = ""
    for word in tokens:
        found.add(zlib.crc32(word.encode()) % BUCKETS)
        if len(word) > _STEM:
            found.add(zlib.crc32(f"{word[:_STEM]}*".encode()) % BUCKETS)
        if not word.isascii() and not last.isascii():
            found.add(zlib.crc32(f"{last} {word}".encode()) % BUCKETS)
        last = word
    return found


def norm(found: Collection[int]) -> float:
    """What a window's sum is divided by: a single word is little evidence, however much it weighs."""
    return math.sqrt(max(FEWEST, len(found)))


def windows(tokens: list[str]) -> Iterator[list[str]]:
    yield tokens[:WINDOW]
    for start in range(STRIDE, len(tokens) - WINDOW + STRIDE, STRIDE):
        yield tokens[start : start + WINDOW]


class LocalClassifier:
    """
    Judges without a call. `scores` are 0 to 1 and 0.7 is the point at which one harmless text in some hundreds is
    over it; `flagged`
    is left to the threshold.

    Raises `ValueError` when the model's file is not whole.
    """

    name = "local"

    def __init__(self, path: Path = MODEL) -> None:
        head, _, packed = path.read_bytes().partition(b"\n")
        try:
            facts = json.loads(head)
            weights = zlib.decompress(packed)
            whole = (
                facts["heads"] == list(HEADS)
                and len(weights) == BUCKETS * len(HEADS)
                and hashlib.sha256(weights).hexdigest() == facts["sha256"]
            )
            self._scales = tuple(float(scale) for scale in facts["scales"])
            self._biases = tuple(float(bias) for bias in facts["biases"])
            self.version = str(facts["version"])
        except (KeyError, TypeError, ValueError, zlib.error):
            whole = False
        if not whole:
            raise ValueError(f"{path.name} is damaged or of another version: make it again with train_local")
        self._weights = np.frombuffer(weights, dtype=np.int8).reshape(len(HEADS), BUCKETS)

    def assess(self, text: str) -> Assessment:
        """The highest score of each category over the windows of the text. Linear in its length."""
        best = [-math.inf] * len(HEADS)
        for tokens in windows(words(text)):
            found = features(tokens)
            root = norm(found)
            buckets = np.fromiter(found, dtype=np.intp, count=len(found))
            totals = self._weights.take(buckets, axis=1).sum(axis=1, dtype=np.int64).tolist()
            margins = (b + s * total / root for b, s, total in zip(self._biases, self._scales, totals, strict=True))
            best = [max(pair) for pair in zip(best, margins, strict=True)]
        *scores, harm = map(_probability, best)
        likeliest = scores.index(max(scores))
        scores[likeliest] = max(scores[likeliest], round(DOUBT * harm, 4))
        return Assessment(dict(zip(CATEGORIES, scores, strict=True)), self.name)


def _probability(margin: float) -> float:
    return round(1 / (1 + math.exp(-max(-30.0, min(30.0, margin)))), 4)
