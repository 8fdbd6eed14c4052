"""
Makes `injection.model`: `python -m middleware.guard.train DATA [FILE]`, some minutes on one core.

DATA is a folder of JSON lines: records of `text`, `label` ("attack" or "benign"), `source` and `kind`. Those of
`corpus` are added. The same data, seed and versions of Python, numpy and zlib give the same file.

Logistic regression by AdaGrad (Duchi et al. 2011) on the forms a reader would see: of an attack the last form, of a
harmless text every form, so that an encoded text as such is no attack. The threshold comes from texts of sources that
the model of their fold was not trained on.
"""

import hashlib
import json
import re
import sys
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from middleware.guard import corpus
from middleware.guard.decode import forms
from middleware.guard.features import SIZE, SPEC, grams, prepare
from middleware.guard.model import WEIGHTS, Header, Model, norm

SEED = 20_250_601

VERSION = 1

_INJECTIONS = ("injection.jsonl", "obfuscated.jsonl")
"""Files whose attacks are injections. Attacks of the others are another check's, and neither one nor the other here."""

_OTHERS = ("sqlcmd.jsonl", "secrets.jsonl", "pii.jsonl", "moderation.jsonl")

_READ = 2_400
"""Characters of a text that are learned from."""

_MADE = 14_000
"""Texts drawn of each kind of `corpus`; of everyday ones a quarter, or all that is long would look like an attack."""

_WRITTEN = Path(__file__).with_name("written.jsonl")
"""
Texts written one by one for this project, attacks and harmless ones of the same forms: lines of `text` and `label`.
"""
_TIMES = 4
"""
How often each of them is shown for once that another text is: no two are alike. With six thousand of them recall on
sources left out was 38 % where 0.8 % of harmless texts are flagged, with twenty-five thousand 46 %, most of it by the
harmless ones among them: what is shipped finds as much as its false alarms allow.
"""

_NAMES = {"example": "com", "test": "org", "invalid": "net"}
_RESERVED = re.compile(rf"\.({'|'.join(_NAMES)})\b")
"""Reserved names (RFC 2606), all that a written text may have, are no sign of an attack."""

_EPOCHS, _BATCH, _RATE, _DECAY = 6, 128, 0.2, 1e-5

_DROPPED = 0.5
"""
Share of a text's n-grams left out whenever it is learned (Srivastava et al., "Dropout", 2014): wordings are then known
by many signs instead of the few that tell one collection from another. Recall on sources left out rises by a tenth.
"""

_LEVELS = 7
"""Steps of a weight to either side of zero."""
_DROPPED_WEIGHTS, _WHOLE_WEIGHTS = 0.5, 0.998
"""Shares of the weights: those that become zero, and those that are not cut."""

FALSE_ALARMS = 0.008
"""Of harmless texts from sources left out, which are harder for a model than sources it knows the like of."""

DISGUISED_FALSE_ALARMS = 0.05
"""Of the same texts, were all of them disguised. Few are, by definition of `decode.DISGUISES`."""
LARGEST_MARGIN = 0.5
"""By a larger one words that only look disguised were flagged."""

FOLDS: tuple[tuple[str, ...], ...] = (
    ("ai-seclists", "presidio-research-v2"),
    ("neuralchemy", "fuzzdb"),
    ("inthewild-verazuo", "self-reminder-itw", "compass-zh", "garak", "gpteacher-roleplay", "sqlglot-fixtures"),
    ("cyberseceval", "tldr-pages", "davidson"),
    ("mt-bench", "self-instruct", "awesome-chatgpt-prompts", "bipia", "gitleaks", "openai-moderation"),
)  # fmt: skip
"""Sources left out together, by how their names begin."""


@dataclass(frozen=True, slots=True)
class Example:
    text: str = ""
    attack: bool = False
    source: str = ""
    kind: str = ""
    language: str = "en"
    times: int = 1
    """How often it is shown in an epoch."""


def read(folder: Path) -> list[Example]:
    """All examples of the folder that say something of injections."""
    examples = []
    for name in (*_INJECTIONS, *_OTHERS):
        for line in (folder / name).read_text("utf-8").split("\n"):
            if not line:
                continue
            record = json.loads(line)
            attack = record["label"] == "attack"
            if attack and name in _OTHERS:
                continue
            source = record["source"].removeprefix("obf:")
            kind = f"{record['kind']}/{record['sub']}" if name == "obfuscated.jsonl" else record["kind"]
            examples.append(Example(record["text"], attack, source, kind, record.get("lang", "en")))
    return examples


def made(seed: int = SEED) -> list[Example]:
    """Examples of this project's own, and of Python's documentation."""
    return [
        *(Example(text, True, "made", "made-attack") for text in corpus.attacks(_MADE, seed)),
        *(Example(text, False, "made", "made-trigger-words") for text in corpus.harmless(_MADE, seed + 1)),
        *(Example(text, False, "made", "made-everyday") for text in corpus.everyday(_MADE // 4, seed + 2)),
        *(Example(text, False, "made", "made-documentation") for text in dict.fromkeys(corpus.documentation())),
        *written(),
    ]


def written() -> Iterator[Example]:
    for line in _WRITTEN.read_text("utf-8").split("\n"):
        if line:
            record = json.loads(line)
            attack = record["label"] == "attack"
            text = _RESERVED.sub(lambda found: _NAMES[found[1]], record["text"])
            kind = "written-attack" if attack else "written-harmless"
            yield Example(text, attack, "written", kind, times=_TIMES)


def seen(example: Example) -> Iterator[str]:
    """The forms of an example to be learned."""
    texts = [form.text for form in forms(example.text[:_READ])]
    yield from texts[-1:] if example.attack else texts


@dataclass(frozen=True, slots=True)
class Counted:
    """
    The forms of examples as features: `owners[i]` is the number of the example that form i is of, `times[i]` how often
    it is shown in an epoch.
    """

    buckets: Sequence[NDArray[np.intp]]
    attack: NDArray[np.bool_]
    times: NDArray[np.intp]
    owners: NDArray[np.intp]


def counted(examples: Sequence[Example]) -> Counted:
    rows = [
        (grams(f"{prepare(text)[:_READ]} ").buckets, i) for i, example in enumerate(examples) for text in seen(example)
    ]
    owners = np.array([i for _, i in rows])
    attack = np.array([example.attack for example in examples])
    times = np.array([example.times for example in examples])
    return Counted([b for b, _ in rows], attack[owners], times[owners], owners)


def fit(data: Counted, use: NDArray[np.bool_], seed: int = SEED) -> Model:
    """A model of the forms in `use` (shape of `owners`); its threshold is still 0."""
    random = np.random.default_rng(seed)
    weights, bias = np.zeros(SIZE), 0.0
    squares, bias_squares = np.full(SIZE, 1e-3), 1e-3
    rows = np.repeat(np.flatnonzero(use), data.times[use])
    target = data.attack.astype(np.float64)
    shares = np.array([1 / norm(len(buckets)) for buckets in data.buckets])
    for _ in range(_EPOCHS):
        random.shuffle(rows)
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            kept = [data.buckets[i][random.random(len(data.buckets[i])) >= _DROPPED] for i in batch]
            buckets = np.concatenate(kept)
            row = np.repeat(np.arange(len(batch)), [len(found) for found in kept])
            scores = np.bincount(row, weights[buckets], minlength=len(batch)) * shares[batch] + bias
            errors = 1 / (1 + np.exp(-scores)) - target[batch]
            slopes = np.bincount(buckets, (errors * shares[batch])[row], minlength=SIZE)
            hit = np.flatnonzero(slopes)
            steps = slopes[hit] + _DECAY * len(batch) * weights[hit]
            squares[hit] += steps * steps
            weights[hit] -= _RATE * steps / np.sqrt(squares[hit])
            bias_squares += errors.sum() ** 2
            bias -= _RATE * errors.sum() / np.sqrt(bias_squares)
    return _quantised(weights, bias)


def _quantised(weights: NDArray[np.float64], bias: float) -> Model:
    """
    Weights in steps, the smaller half of them zero: what is left compresses to a third of a megabyte, and finds more
    than all of them did. The largest few are cut: they are some thousandths, and would cost the others precision.
    """
    sizes = np.abs(weights)
    least, most = np.quantile(sizes[sizes > 0], (_DROPPED_WEIGHTS, _WHOLE_WEIGHTS))
    scale = float(most) / _LEVELS
    small = np.clip(np.rint(np.where(sizes < least, 0, weights) / scale), -_LEVELS, _LEVELS).astype(np.int8)
    digest = hashlib.sha256(small.tobytes()).hexdigest()
    return Model(Header(VERSION, SPEC, "", "", scale, float(bias), 0.0, 0.0, digest), small)


def left_out(examples: Sequence[Example], fold: Collection[str]) -> NDArray[np.bool_]:
    return np.array([example.source.startswith(tuple(fold)) for example in examples])


def cross_fitted(examples: Sequence[Example], data: Counted) -> Iterator[tuple[NDArray[np.bool_], Model]]:
    """For each fold: which examples were left out, and the model of all others."""
    for fold in FOLDS:
        out = left_out(examples, fold)
        yield out, fit(data, ~out[data.owners])


def calibrated(model: Model, scores: NDArray[np.float64]) -> Model:
    """With the threshold that the scores of harmless texts from sources left out give."""
    threshold = float(np.quantile(scores, 1 - FALSE_ALARMS))
    margin = min(LARGEST_MARGIN, threshold - float(np.quantile(scores, 1 - DISGUISED_FALSE_ALARMS)))
    return replace(model, header=replace(model.header, threshold=threshold, margin=margin))


def harmless_scores(examples: Sequence[Example], out: NDArray[np.bool_], model: Model) -> NDArray[np.float64]:
    """Of the harmless texts that were left out, each the largest of its forms'."""
    texts = [example.text for example, left in zip(examples, out, strict=True) if left and not example.attack]
    return np.array([max(model.score(form.text) for form in forms(text)) for text in texts])


def train(folder: Path) -> Model:
    examples = [*read(folder), *made()]
    data = counted(examples)
    scores = np.concatenate([harmless_scores(examples, out, model) for out, model in cross_fitted(examples, data)])
    model = calibrated(fit(data, np.ones(len(data.owners), dtype=bool)), scores)
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.attack}\t{example.text}\n".encode("utf-8", "replace"))
    trained = datetime.now(UTC).date().isoformat()
    return replace(model, header=replace(model.header, trained=trained, data=digest.hexdigest()))


def save(model: Model, path: Path) -> None:
    path.write_bytes(json.dumps(asdict(model.header)).encode() + b"\n" + zlib.compress(model.weights.tobytes(), 9))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(f"usage: python -m middleware.guard.train DATA [{WEIGHTS.name}]")
    result = train(Path(sys.argv[1]))
    save(result, Path(sys.argv[2]) if len(sys.argv) == 3 else WEIGHTS)
    sys.stdout.write(json.dumps(asdict(result.header), indent=1) + "\n")
