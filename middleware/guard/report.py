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
from collections.abc import Callable, Iterator, Mapping, Sequence
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

_LENGTHS = (4_096, 500, 32_768, 65_536)
"""Characters. First what there is a bound for: nothing has been read by then."""
_PIECES = 400
"""Texts of one length and sort, at most."""
_SORTS: Mapping[str, Callable[[Example], bool]] = {
    "harmless": lambda e: not e.attack and "/" not in e.kind and e.kind != "benign-secret-like",
    "attacks, end to end": lambda e: e.attack and "/" not in e.kind,
    "nothing but look-alikes of keys": lambda e: e.kind == "benign-secret-like",
}


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
class Time:
    """Milliseconds of one scan, median and 99th percentile over `number` texts of so many characters."""

    texts: str
    length: int
    number: int
    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Report:
    guard: Summary
    textbook: Summary
    kinds: Sequence[Row]
    sources: Sequence[Row]
    times: Sequence[Time]


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


def report(judgements: Sequence[Judged], times: Sequence[Time]) -> Report:
    return Report(
        _summary(judgements, lambda j: j.guard),
        _summary(judgements, lambda j: j.textbook),
        _rows(judgements, lambda e: (e.attack, e.kind, "")),
        _rows(judgements, lambda e: (e.attack, "", e.source)),
        times,
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


def timed(examples: Sequence[Example]) -> Iterator[Time]:
    """Of the shipped guard with every check on, as a process that has just started reads one new text after another."""
    scan = Guard(injection="block", pii="mask", secrets="block", sql="block").scan
    for name, among in _SORTS.items():
        joined = "\n".join(e.text for e in examples if among(e))
        for length in _LENGTHS:
            starts = range(0, len(joined) - length, max(length, (len(joined) - length) // _PIECES))
            if seconds := sorted(_seconds(scan, joined[start : start + length]) for start in starts):
                median, late = (1_000 * seconds[int(share * len(seconds))] for share in (0.5, 0.99))
                yield Time(name, length, len(seconds), round(median, 3), round(late, 3))


def _seconds(scan: Callable[[str], object], text: str) -> float:
    begun = time.perf_counter()
    scan(text)
    return time.perf_counter() - begun


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
    lines.append(f"{'milliseconds of a scan':46}{'texts':>7}{'median':>9}{'p99':>10}")
    for times in found.times:
        line(f"{times.length} characters, {times.texts}", times.number, f"{times.median:.2f}", f"{times.p99:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python -m middleware.guard.report DATA [JSON]")
    data = Path(sys.argv[1])
    times = list(timed(read(data)))
    result = report(list(judged(data)), times)
    sys.stdout.write(table(result) + "\n")
    if len(sys.argv) == 3:
        Path(sys.argv[2]).write_text(json.dumps(asdict(result), indent=1) + "\n", "utf-8")
