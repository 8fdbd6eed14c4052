"""
What the checks for values find: `python -m middleware.guard.measure_values <folder of guard data>`.

Personal data by span, secrets and SQL or command injection by text, each by source, and the time they take. The rules
are written by hand with these texts in view, so no source is unseen, and none can be left out: the figures are an upper
bound for other sources. The harmless texts of kinds that have nothing to do with a check come nearest to unseen ones.
"""

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from middleware.guard.guard import Guard, Report
from middleware.guard.masking import spans

Json = Mapping[str, object]
Check = Literal["pii", "secrets", "sql"]

TYPES: Mapping[str, str] = {
    "phone": "phone", "email": "email", "credit_card": "credit_card", "ssn": "ssn", "national_id": "tax_id",
    "ip": "ip_address", "iban": "iban", "us_driver_license": "driver_license",
}  # fmt: skip
"""Names of the data's spans, and ours. Names, places, dates and domains are not looked for."""

LENGTHS = (500, 1_000, 4_096, 32_768, 65_536)
FLOODS: Mapping[str, str] = {
    "prose": "The quick brown fox jumps over the lazy dog. ",
    "cards": "4111 1111 1111 1111 ",
    "near cards": "4111 1111 1111 1112 ",
    "telephones": "+44 20 7946 0958 ",
    "addresses": "1.2.3.4 ",
    "e-mail": "a@b.example ",
    "keys": 'secret="a1b2c3d4e5f6g7h8" ',
    "passwords": "password=hunter22222 ",
    "quotes": "' or ",
    "escapes": "%27%20",
}
"""Texts made of one piece each: every candidate costs a look."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    `found` of `texts` with the given label; for personal data spans, `false` of which there are none. `f1` is theirs.
    """

    check: Check
    what: str
    source: str
    label: str
    texts: int
    found: int
    false: int = 0

    @property
    def share(self) -> float:
        return self.found / self.texts if self.texts else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.found / (self.found + self.false + self.texts) if self.texts + self.false else 0.0


def report(folder: Path) -> list[Row]:
    """Every row over the development data in `folder`."""
    guard = Guard(injection="off", pii="flag", secrets="flag", sql="flag")
    records = {name: list(_records(folder / f"{name}.jsonl")) for name in ("pii", "secrets", "sqlcmd", "injection")}
    benign = [record for record in records["injection"] if record["label"] == "benign"]
    return [
        *_spans(guard, records["pii"]),
        *_texts(guard, "secrets", lambda found: bool(found.secrets), [*records["secrets"], *benign]),
        *_texts(guard, "sql", lambda found: found.sql, [*records["sqlcmd"], *benign]),
    ]


def _records(path: Path) -> Iterator[Json]:
    with path.open() as lines:  # by line feed alone: a text may hold U+2028
        yield from map(json.loads, lines)


def _texts(guard: Guard, check: Check, hit: Callable[[Report], bool], records: Iterable[Json]) -> Iterator[Row]:
    counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        found = hit(guard.scan(str(record["text"])))
        label, kind, source = (str(record[name]) for name in ("label", "kind", "source"))
        for key in ((label, kind, source), (label, kind, "all"), (label, "all", "all")):
            counts[key][0] += 1
            counts[key][1] += found
    for (label, kind, source), (texts, hits) in sorted(counts.items()):
        yield Row(check, kind, source, label, texts, hits)


def _spans(guard: Guard, records: Iterable[Json]) -> Iterator[Row]:
    """
    By type and overlap, for a source marks whole sentences where others mark the number in them; and `exact`, by both
    ends.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for record in records:
        marked = record["spans"]
        assert isinstance(marked, list)  # noqa: S101 (the data's format)
        gold = {(s["start"], s["end"], TYPES[s["type"]]) for s in marked if s["type"] in TYPES}
        hits = [hit for hit in guard.scan(str(record["text"])).hits if hit.rule.kind == "pii"]
        found = {(span.start, span.end, span.type) for span in spans(hits)}
        source = str(record["source"])
        for type in {type for _, _, type in gold | found}:
            g, f = ({span for span in side if span[2] == type} for side in (gold, found))
            tallies = {
                type: Counter(gold=len(g), found=sum(_meets(s, f) for s in g), false=sum(not _meets(s, g) for s in f)),
                f"{type} exact": Counter(gold=len(g), found=len(g & f), false=len(f - g)),
            }
            for what, tally in tallies.items():
                everything = "all exact" if what.endswith("exact") else "all"
                for key in ((what, source), (what, "all"), (everything, source), (everything, "all")):
                    counts[key].update(tally)
    for (what, source), count in sorted(counts.items()):
        yield Row("pii", what, source, "attack", count["gold"], count["found"], count["false"])


def _meets(span: tuple[int, int, str], others: Iterable[tuple[int, int, str]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end, _ in others)


def times(lengths: Iterable[int] = LENGTHS) -> dict[tuple[str, int], float]:
    """Milliseconds of processor time for a text of one kind and length, the best of five."""
    guard = Guard(injection="off", pii="block", secrets="block", sql="flag")
    return {
        (name, length): min(
            # a text that was read is remembered
            _time(guard, f"{(piece * (length // len(piece) + 1))[: length - 1]}{attempt}")
            for attempt in range(5)
        )
        for name, piece in FLOODS.items()
        for length in lengths
    }


def _time(guard: Guard, text: str) -> float:
    started = time.process_time()
    guard.scan(text)
    return (time.process_time() - started) * 1e3


def main() -> None:
    write = sys.stdout.write
    write(f"{'check':9}{'what':24}{'source':34}{'label':8}{'number':>8}{'found':>7}{'share':>8}{'false':>7}{'F1':>8}\n")
    for row in report(Path(sys.argv[1])):
        line = f"{row.check:9}{row.what:24}{row.source:34}{row.label:8}{row.texts:8}{row.found:7}{row.share:8.1%}"
        write(line + (f"{row.false:7}{row.f1:8.1%}\n" if row.check == "pii" else "\n"))
    measured = times()
    write(f"\n{'milliseconds':14}" + "".join(f"{length:>9}" for length in LENGTHS) + "\n")
    for name in FLOODS:
        write(f"{name:14}" + "".join(f"{measured[name, length]:9.2f}" for length in LENGTHS) + "\n")


if __name__ == "__main__":
    main()
