"""
How much a text reads like an injection: a linear model over hashed n-grams, its weights in `injection.model`.

The weights' file is one line of JSON, the header, then one signed byte per bucket, compressed (RFC 1950). `train`
makes it. A text's score is the sum of its n-grams' weights over their `norm`, plus the bias, so that neither a word nor
a book is flagged for its length; the score of a longer text is the largest of the whole's and its windows'.
"""

import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from middleware.guard.features import MOST, SIZE, SPEC, Grams, grams, prepare

WEIGHTS = Path(__file__).with_name("injection.model")

WINDOW = 320
"""Characters of a window: an order of one to three sentences, such as is put into a document."""

STEP = 80

SURCHARGE = 2.0
"""
What a window must have more than a whole text: the best of a hundred windows is high by chance. The windows are there
for orders inside long documents.
"""

FEWEST, MANY = 200, 600
"""N-grams of some 50 characters, which are little evidence, and of some 150, from which on evidence does not add up."""


def norm(number: int) -> float:
    """
    What the sum of so many weights is divided by: the root of their number, as if they were independent; of a short
    text as if there were `FEWEST`, of a long one in proportion to their number.

    On sources left out, with this and `SURCHARGE`, recall at 1 % false positives is 32 % instead of the root's 24 %.
    """
    return math.sqrt(max(number, FEWEST)) if number <= MANY else number / math.sqrt(MANY)


_REPEATED = 48
"""Bytes from which on a text may repeat itself."""

_FOLDED = 6
"""How many times shorter zlib makes a text that repeats itself; prose in any language becomes two to three times so."""


def _repeats(text: str) -> bool:
    """Whether the text is a few words over and over: each must then count once, or any word becomes evidence."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data) > _REPEATED and len(zlib.compress(data, 1)) * _FOLDED < len(data)


class ModelError(ValueError):
    """The file of weights cannot be used. A guard without its model must not start."""


@dataclass(frozen=True, slots=True)
class Header:
    """
    `threshold`: a text at or above it is an injection. `margin`: how much lower the threshold is for a text that was
    disguised. `data`: SHA-256 over the training texts and labels. `sha256`: of the weights.
    """

    version: int
    spec: str
    trained: str
    data: str
    scale: float
    bias: float
    threshold: float
    margin: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    header: Header
    weights: NDArray[np.int8]

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "Model":
        """Raises `ModelError` for a file that is absent, damaged, or counted in another way than this code counts."""
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
        try:
            header = Header(**json.loads(head))
        except (ValueError, TypeError) as error:
            raise ModelError(f"{path.name} has no header that this version reads") from error
        if header.spec != SPEC:
            raise ModelError(f"{path.name} was made for other features: {header.spec!r}, not {SPEC!r}")
        try:
            weights = zlib.decompress(body)
        except zlib.error:
            weights = b""
        if len(weights) != SIZE or hashlib.sha256(weights).hexdigest() != header.sha256:
            raise ModelError(f"{path.name} is damaged: its weights are not those of its header")
        numbers = (header.scale, header.bias, header.threshold, header.margin)
        if not all(isinstance(number, float) and math.isfinite(number) for number in numbers):
            raise ModelError(f"{path.name} is damaged: its header has no finite scale, bias, threshold and margin")
        return cls(header, np.frombuffer(weights, dtype=np.int8))

    def finds(self, text: str, *, disguised: bool = False, threshold: float | None = None) -> bool:
        """Whether the text is an injection, by `threshold` instead of the file's where given."""
        least = self.header.threshold if threshold is None else threshold
        return self.score(text) >= (least - self.header.margin if disguised else least)

    def score(self, text: str) -> float:
        """Of a text of any length; linear in it."""
        prepared = prepare(text)
        if len(prepared) <= MOST:
            return self._score(prepared)
        # Pieces overlap by a window, so that nothing is cut in all of them.
        starts = range(0, len(prepared) - WINDOW, MOST - WINDOW - 2)
        return max(self._score(f" {prepared[start : start + MOST - 2]} ") for start in starts)

    def _score(self, prepared: str) -> float:
        found = grams(prepared)
        if _repeats(prepared):
            weights = self.weights.take(np.unique(found.buckets))
            return self._normal(int(weights.sum(dtype=np.int64)), len(weights))
        weights = self.weights.take(found.buckets)
        score = self._normal(int(weights.sum(dtype=np.int64)), len(weights))
        if len(prepared) > WINDOW + STEP:
            score = max(score, self._best_window(found, weights, len(prepared)))
        return score

    def _normal(self, total: int, number: int) -> float:
        return self.header.bias + self.header.scale * total / norm(number)

    def _best_window(self, found: Grams, weights: NDArray[np.int8], length: int) -> float:
        steps = found.places() // STEP
        count = -(-length // STEP)
        sums = np.concatenate(([0.0], np.cumsum(np.bincount(steps, weights, minlength=count))))
        numbers = np.concatenate(([0], np.cumsum(np.bincount(steps, minlength=count))))
        width = WINDOW // STEP
        totals, ns = sums[width:] - sums[:-width], numbers[width:] - numbers[:-width]
        best = max(total / norm(number) for total, number in zip(totals.tolist(), ns.tolist(), strict=True))
        return float(self.header.bias + self.header.scale * best - SURCHARGE)


@cache
def shipped() -> Model:
    """The model of the package, read once a process. Raises `ModelError`."""
    model = Model.load()
    model.score("so " * _REPEATED)  # numpy imports what np.unique needs at its first call, and takes 40 ms for it
    return model
