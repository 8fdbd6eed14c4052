"""
What the guard finds, measured: `python -m middleware.guard.report DATA [JSON]`, beside the nine textbook expressions.

Every text is judged by a guard whose model and threshold come, by the procedure of `train`, from other sources: those
of the text's fold are left out. Some minutes on one core.
"""

import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from middleware.guard.guard import Guard
from middleware.guard.model import Model
from middleware.guard.train import Example, calibrated, counted, cross_fitted, harmless_scores, made, read

_TEXTBOOK = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"ignore\s+(all\s+)?previous\s+instructions",
        r"disregard\s+(the\s+)?(above|previous)",
        r"forget\s+(everything|all)",
        r"you\s+are\s+now\s+a",
        r"new\s+instructions?\s*:",
        r"system\s*:",
        r"<\|im_start\|>",
        r"\[INST\]",
        r"reveal\s+your\s+system\s+prompt",
    )
)
"""As published in many a tutorial."""

_LENGTHS = (100, 500, 2_000, 4_096, 32_768, 65_536)


@dataclass(frozen=True, slots=True)
class Judged:
    example: Example
    guard: bool
    textbook: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of `number` texts that were found: recall where `attack`, else false positives."""

    attack: bool
    kind: str
    source: str
    number: int
    guard: float
    textbook: float


@dataclass(frozen=True, slots=True)
class Summary:
    recall: float
    false_positives: float
    f1: float


@dataclass(frozen=True, slots=True)
class Report:
    guard: Summary
    textbook: Summary
    kinds: Sequence[Row]
    sources: Sequence[Row]
    milliseconds: dict[int, float]


def judged(folder: Path) -> Iterator[Judged]:
    """Each example of the folder once."""
    examples = [*read(folder), *made()]
    folds = list(cross_fitted(examples, counted(examples)))
    scores = [harmless_scores(examples, out, model) for out, model in folds]
    for i, (out, model) in enumerate(folds):
        others = np.concatenate([s for j, s in enumerate(scores) if j != i])
        scan = guard(calibrated(model, others)).scan
        for number in np.flatnonzero(out):
            text = examples[number].text
            yield Judged(examples[number], scan(text).injection, any(p.search(text) for p in _TEXTBOOK))


def guard(model: Model | None = None) -> Guard:
    return Guard(model, injection="block", pii="off", secrets="off", sql="off")


def report(judgements: Sequence[Judged], milliseconds: dict[int, float]) -> Report:
    return Report(
        _summary(judgements, lambda j: j.guard),
        _summary(judgements, lambda j: j.textbook),
        _rows(judgements, lambda e: (e.attack, e.kind, "")),
        _rows(judgements, lambda e: (e.attack, "", e.source)),
        milliseconds,
    )


def _summary(judgements: Sequence[Judged], found: Callable[[Judged], bool]) -> Summary:
    hits = [found(j) for j in judgements if j.example.attack]
    alarms = [found(j) for j in judgements if not j.example.attack]
    missed = len(hits) - sum(hits)
    return Summary(_share(hits), _share(alarms), round(2 * sum(hits) / (2 * sum(hits) + sum(alarms) + missed), 4))


def _rows(judgements: Sequence[Judged], key: Callable[[Example], tuple[bool, str, str]]) -> list[Row]:
    groups: dict[tuple[bool, str, str], list[Judged]] = defaultdict(list)
    for judgement in judgements:
        groups[key(judgement.example)].append(judgement)
    return [
        Row(*name, len(group), _share([j.guard for j in group]), _share([j.textbook for j in group]))
        for name, group in sorted(groups.items(), key=lambda item: (not item[0][0], item[0]))
    ]


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0


def timed(texts: Sequence[str]) -> dict[int, float]:
    """Milliseconds of one scan by the shipped guard, by characters: the median of 21 texts, each read thrice."""
    scan, joined = guard().scan, "\n".join(texts)
    result = {}
    for length in _LENGTHS:
        best = []
        for i in range(21):
            start = i * (len(joined) - length) // 21
            seconds = []
            for attempt in range(3):
                text = f"{joined[start : start + length - 1]}{attempt}"  # a text that was read is remembered
                begun = time.perf_counter()
                scan(text)
                seconds.append(time.perf_counter() - begun)
            best.append(min(seconds))
        result[length] = round(1_000 * sorted(best)[10], 3)
    return result


def table(found: Report) -> str:
    lines = [f"{'':46}{'texts':>7}{'guard':>9}{'textbook':>10}"]

    def line(name: str, number: int | str, first: str, second: str) -> None:
        lines.append(f"{name[:46]:46}{number:>7}{first:>9}{second:>10}")

    for title, attack in (("recall", True), ("false positives", False)):
        for rows in (found.kinds, found.sources):
            lines.append("")
            for row in rows:
                if row.attack is attack:
                    line(f"{title}  {row.kind or row.source}", row.number, f"{row.guard:.1%}", f"{row.textbook:.1%}")
    lines.append("")
    line("recall, all", "", f"{found.guard.recall:.1%}", f"{found.textbook.recall:.1%}")
    line("false positives, all", "", f"{found.guard.false_positives:.2%}", f"{found.textbook.false_positives:.2%}")
    line("F1", "", f"{found.guard.f1:.1%}", f"{found.textbook.f1:.1%}")
    lines.append("")
    lines += [f"{length:>6} characters {ms:>9.3f} ms" for length, ms in found.milliseconds.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python -m middleware.guard.report DATA [JSON]")
    data = Path(sys.argv[1])
    result = report(
        list(judged(data)), timed([e.text for e in read(data) if not e.attack and e.kind == "benign-prompt"])
    )
    sys.stdout.write(table(result) + "\n")
    if len(sys.argv) == 3:
        Path(sys.argv[2]).write_text(json.dumps(asdict(result), indent=1) + "\n", "utf-8")
