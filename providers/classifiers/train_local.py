"""
Make `local.model` from labelled texts: `python -m providers.classifiers.train_local <folder of guard data>`.

Logistic regression for each head with Adagrad (J. Duchi et al., 2011), the texts in the same order each time, so that
the same data make the same file. The point called 0.7 is where `FALSE_ALARMS` of the harmless texts are flagged whose
sources the model has not seen.

It prints, for each source left out whole, how many of its texts reach 0.7, and how well its harmful ones are told from
harmless ones left out with it (AUC).
"""

import argparse
import hashlib
import json
import math
import random
import sys
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.classifiers.base import CATEGORIES, Category
from providers.classifiers.local import BUCKETS, DOUBT, HEADS, MODEL, WINDOW, features, norm, words

VERSION = "1"
FALSE_ALARMS = 0.003
EPOCHS = 8
RATE = 0.25
SMALLEST = 0.02
"""Errors of probability below this teach nothing new; leaving them out makes training five times faster."""

_SEXUAL, _HATE, _HARASSMENT, _DANGEROUS, _CIVIC = CATEGORIES
_KINDS: Mapping[str, Category] = {
    "sexual": _SEXUAL, "hate": _HATE, "harassment": _HARASSMENT, "dangerous": _DANGEROUS, "violence": _DANGEROUS,
    "self-harm": _DANGEROUS, "civic": _CIVIC,
}  # fmt: skip
_SUBJECTS: Sequence[tuple[str, Category]] = (
    ("Adult content", _SEXUAL), ("Sexual exploitation", _SEXUAL), ("Child abuse", _SEXUAL), ("Hate speech", _HATE),
    ("Discrimination", _HATE), ("Bullying", _HARASSMENT), ("misinformation", _CIVIC),
)  # fmt: skip
"""MultiJail files everything as dangerous and names the subject beside."""

_LANGUAGES = frozenset(("en", "it", "th"))
"""Languages of harmful texts of which the data holds harmless ones too; else the language itself would be the harm."""


@dataclass(frozen=True, slots=True)
class Example:
    source: str
    buckets: tuple[int, ...]
    harms: frozenset[str]
    """Of `HEADS`; "any" is among them if there are any."""


def examples(folder: Path) -> Iterator[Example]:
    for name in ("moderation", "injection", "obfuscated", "pii", "sqlcmd"):
        # not `splitlines`: a text may hold U+2028
        for line in (folder / f"{name}.jsonl").read_text().rstrip("\n").split("\n"):
            record = json.loads(line)
            harmful = record["label"] == "attack"
            if harmful and (name != "moderation" or record["lang"] not in _LANGUAGES):
                continue
            yield Example(
                record["source"],
                _buckets(record["text"]),
                frozenset((*_harms(record), "any")) if harmful else frozenset(),
            )
    for line in Path(__file__).with_name("harmless.txt").read_text().splitlines():
        yield Example("own", _buckets(line), frozenset())


def _buckets(text: str) -> tuple[int, ...]:
    return tuple(sorted(features(words(text)[:WINDOW])))


def _harms(record: Mapping[str, object]) -> Iterator[Category]:
    subject = str(record.get("sub"))
    named = [category for word, category in _SUBJECTS if word in subject] if record["source"] == "multijail" else []
    cats = record.get("cats")
    kinds = cats if isinstance(cats, list) and cats else [record["kind"]]
    yield from named or [_KINDS[kind] for kind in map(str, kinds) if kind in _KINDS]


Margins = dict[str, float]
"""By head: above 0 is harm."""


@dataclass(slots=True)
class Model:
    weights: dict[str, list[float]]
    biases: dict[str, float]

    def margins(self, buckets: Sequence[int]) -> Margins:
        root = norm(buckets)
        return {
            head: self.biases[head] + sum(map(weights.__getitem__, buckets)) / root
            for head, weights in self.weights.items()
        }


def train(data: Sequence[Example]) -> Model:
    model = Model({head: [0.0] * BUCKETS for head in HEADS}, dict.fromkeys(HEADS, -2.0))
    squares = {head: [1e-3] * BUCKETS for head in HEADS}
    order = random.Random(1)  # noqa: S311 (an order, not a secret)
    shuffled = list(data)
    for _ in range(EPOCHS):
        order.shuffle(shuffled)
        for example in shuffled:
            if not example.buckets:
                continue
            root = norm(example.buckets)
            for head, margin in model.margins(example.buckets).items():
                error = _probability(margin) - (head in example.harms)
                if abs(error) < SMALLEST:
                    continue
                step = error / root
                weights, seen, square = model.weights[head], squares[head], step * step
                for bucket in example.buckets:
                    seen[bucket] += square
                    weights[bucket] -= RATE * step / math.sqrt(seen[bucket])
                model.biases[head] -= 0.02 * error
    return model


@dataclass(frozen=True, slots=True)
class Judged:
    example: Example
    margins: Margins
    fold: int


def left_out(data: Sequence[Example]) -> list[Judged]:
    """
    Every text, judged by a model that has seen nothing of its source: one harmful source and some harmless ones
    are left out at a time.
    """
    sizes = Counter(_source(example) for example in data)
    harmless = [source for source, _ in sizes.most_common() if source not in _HARMFUL]
    judged = []
    for fold, source in enumerate(_HARMFUL):
        group = {source, *harmless[fold :: len(_HARMFUL)]}
        model = train([example for example in data if _source(example) not in group])
        judged += [
            Judged(example, model.margins(example.buckets), fold) for example in data if _source(example) in group
        ]
    return judged


def _source(example: Example) -> str:
    return example.source.removeprefix("obf:")


_HARMFUL = ("advbench", "catqa", "cyberseceval-interpreter", "davidson", "multijail", "openai-moderation")


def offsets(judged: Sequence[Judged]) -> Margins:
    """
    By head, what moves the margin at which `FALSE_ALARMS` of the unseen harmless texts lie, shared by the heads,
    to a probability of 0.7.
    """
    clean = [one.margins for one in judged if not one.example.harms and one.example.source not in _DISPUTED]
    allowed = {head: int(len(clean) * FALSE_ALARMS / (1 if head == "any" else len(CATEGORIES))) for head in HEADS}
    return {
        head: _LIMIT - sorted((margins[head] for margins in clean), reverse=True)[allowed[head]] - 1e-6
        for head in HEADS
    }


_LIMIT = math.log(0.7 / 0.3)
_DISPUTED = frozenset(("davidson", "openai-moderation"))
"""Their harmless texts were picked for being near harm, and are full of swearing: reported, not calibrated on."""


def save(model: Model, shift: Margins, path: Path) -> None:
    scales = {head: (max(map(abs, weights)) / 127 or 1.0) for head, weights in model.weights.items()}
    packed = b"".join(bytes(round(weight / scales[head]) & 0xFF for weight in model.weights[head]) for head in HEADS)
    facts = {
        "version": VERSION,
        "heads": list(HEADS),
        "scales": [round(scales[head], 8) for head in HEADS],
        "biases": [round(model.biases[head] + shift[head], 6) for head in HEADS],
        "sha256": hashlib.sha256(packed).hexdigest(),
    }
    path.write_bytes(json.dumps(facts).encode() + b"\n" + zlib.compress(packed, 9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL)
    arguments = parser.parse_args()
    data = list(examples(arguments.folder))
    judged = left_out(data)
    shift = offsets(judged)
    report(judged, shift)
    save(train(data), shift, arguments.out)


def report(judged: Sequence[Judged], shift: Margins) -> None:
    def score(one: Judged) -> float:
        margins = {head: one.margins[head] + shift[head] for head in HEADS}
        return max(*(_probability(margins[category]) for category in CATEGORIES), DOUBT * _probability(margins["any"]))

    sys.stdout.write(f"{'left out':28}{'texts':>7}{'at 0.7':>8}{'AUC':>7}\n")
    for source in sorted({one.example.source for one in judged}):
        for harmful in (False, True):
            rows = [one for one in judged if one.example.source == source and bool(one.example.harms) == harmful]
            if not rows:
                continue
            scores = [score(one) for one in rows]
            clean = sorted(
                score(one)
                for one in judged
                if one.fold == rows[0].fold and not one.example.harms and _source(one.example) != source
            )
            over = sum(value >= 0.7 for value in scores) / len(scores)
            name = f"{source:19.19}{' harmful' if harmful else '':9}"
            auc = f"{_auc(scores, clean):7.2f}" if harmful else ""
            sys.stdout.write(f"{name}{len(scores):7}{over:8.1%}{auc}\n")


def _probability(margin: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, margin))))


def _auc(scores: Sequence[float], clean: Sequence[float]) -> float:
    """The share of pairs in which the harmful text has the higher score (H. B. Mann, D. R. Whitney, 1947)."""
    return sum(bisect_left(clean, value) for value in scores) / (len(scores) * len(clean))


if __name__ == "__main__":
    main()
