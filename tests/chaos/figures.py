"""
What was claimed, what was measured, and the bound it was held to.

`python -m tests.chaos.figures` writes the README's table.
"""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.serving import ROOT

STORED = ROOT / "build" / "chaos.json"
BEGIN, END = "<!-- chaos: written by `make chaos` -->", "<!-- /chaos -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """`id` is the claim's in the test catalogue of the project; `relation` says how the figure stands to its bound."""

    id: str
    claim: str
    figure: float
    relation: str
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        return self.figure <= self.bound if self.relation == "≤" else self.figure >= self.bound

    def row(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"| {self.id} | {self.claim} | {self.figure:.4g}{unit} | {self.relation} {self.bound:.4g}{unit} |"


class Figures:
    """Collects the figures of a run. Each is kept before it is asserted, so that a broken claim shows too."""

    def __init__(self) -> None:
        self.found: list[Figure] = []

    def at_most(self, id: str, claim: str, figure: float, bound: float, unit: str = "") -> None:
        self._keep(Figure(id, claim, figure, "≤", bound, unit))

    def at_least(self, id: str, claim: str, figure: float, bound: float, unit: str = "") -> None:
        self._keep(Figure(id, claim, figure, "≥", bound, unit))

    def _keep(self, figure: Figure) -> None:
        self.found.append(figure)
        assert figure.holds, figure.row()

    def store(self) -> None:
        """Put this run's figures beside those of other runs, in place of older ones of the same claim."""
        figures = {(figure.id, figure.claim): figure for figure in (*stored(), *self.found)}
        STORED.parent.mkdir(exist_ok=True)
        STORED.write_text(json.dumps([asdict(figure) for figure in figures.values()], indent=1, ensure_ascii=False))


def stored() -> list[Figure]:
    if not STORED.exists():
        return []
    return [Figure(**entry) for entry in json.loads(STORED.read_text())]


def _order(figure: Figure) -> tuple[str, int, str]:
    letters = figure.id.rstrip("0123456789")
    return letters, int(figure.id[len(letters) :] or 0), figure.claim


def table(figures: Iterable[Figure]) -> str:
    rows = [figure.row() for figure in sorted(figures, key=_order)]
    return "\n".join(["| | claim | figure | bound |", "|---|---|---:|---:|", *rows])


FAULTS = "R2"
"""The id of claims that are made of each fault in turn: `fault: claim`."""


def by_fault(figures: Iterable[Figure]) -> str:
    """One row for each fault, one column for each claim: figure and bound."""
    cells: dict[str, dict[str, str]] = {}
    for figure in figures:
        fault, _, claim = figure.claim.partition(": ")
        unit = f" {figure.unit}" if figure.unit else ""
        cells.setdefault(fault, {})[claim] = f"{figure.figure:.3g} {figure.relation} {figure.bound:.3g}{unit}"
    claims = list(dict.fromkeys(claim for row in cells.values() for claim in row))
    rows = [f"| {fault} | {' | '.join(row.get(claim, '') for claim in claims)} |" for fault, row in cells.items()]
    return "\n".join([f"| Redis | {' | '.join(claims)} |", "|---" * (len(claims) + 1) + "|", *rows])


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {cpu}, Python {platform.python_version()}"


def main() -> None:
    """Write the stored figures into the README, between their marks."""
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md has no {BEGIN} … {END}")
    figures = stored()
    claims = table(figure for figure in figures if figure.id != FAULTS)
    faults = by_fault(figure for figure in figures if figure.id == FAULTS)
    readme.write_text(f"{before}{BEGIN}\n{machine()}:\n\n{claims}\n\n{faults}\n{END}{after}")


if __name__ == "__main__":
    main()
