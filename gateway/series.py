"""Prometheus families over a tally: how a series is counted, and how the fleet's counts become samples."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

import orjson
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from gateway.tally import Tally

Labels = tuple[str, ...]
Series = Mapping[Labels, int]
"""Counts by the labels, for histograms by the bucket and the labels."""


def by_family(counts: Mapping[str, int]) -> Mapping[str, Series]:
    """
    Counts by family. A field is a JSON array of strings: the family, for histograms the bucket, then the labels.

    Other fields, such as another release's, belong to no family.
    """
    found: dict[str, dict[Labels, int]] = {}
    for field, amount in counts.items():
        family, *labels = _words(field)
        found.setdefault(family, {})[tuple(labels)] = amount
    return found


def _field(*words: str) -> str:
    return orjson.dumps(words).decode()


def _words(field: str) -> list[str]:
    """What `_field` was made of."""
    try:
        words = orjson.loads(field)
    except orjson.JSONDecodeError:
        return [field]
    return words if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else [field]


class FleetCounter:
    """A counter. Counted in whole numbers, of which `per_unit` make one of what the name says."""

    def __init__(self, tally: Tally, name: str, text: str, *labels: str, per_unit: int = 1) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._per_unit = per_unit
        self._tally = tally
        self._fields: dict[Labels, str] = {}

    def add(self, amount: int, *labels: str) -> None:
        field = self._fields.get(labels)
        if field is None:
            field = self._fields[labels] = _field(self._name, *labels)
        self._tally.add(field, amount)

    def series(self, families: Mapping[str, Series]) -> Series:
        """This counter's, in order; one without labels has its one series always."""
        found = families.get(self._name, {})
        none = {} if self._labels else {(): 0}
        return none | {labels: found[labels] for labels in sorted(found) if len(labels) == len(self._labels)}

    def total(self, families: Mapping[str, Series]) -> int:
        return sum(self.series(families).values())

    def family(self, families: Mapping[str, Series]) -> CounterMetricFamily:
        family = CounterMetricFamily(f"gateway_{self._name}", self._text, labels=self._labels)
        for labels, amount in self.series(families).items():
            family.add_metric(labels, amount / self._per_unit)
        return family


_SUM = "sum"
_MICRO = 1_000_000


class FleetHistogram:
    """A histogram of seconds. Each value is counted in its own bucket, and to the microsecond in the sum."""

    def __init__(self, tally: Tally, name: str, text: str, bounds: Iterable[float], *labels: str) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(map(float, bounds))
        self._buckets = (*map(str, self._bounds), "+Inf")
        self._tally = tally
        self._fields: dict[Labels, tuple[str, ...]] = {}

    def observe(self, value_s: float, *labels: str) -> None:
        fields = self._fields.get(labels)
        if fields is None:
            fields = tuple(_field(self._name, bucket, *labels) for bucket in (*self._buckets, _SUM))
            self._fields[labels] = fields
        add = self._tally.add
        add(fields[bisect_left(self._bounds, value_s)])
        add(fields[-1], int(value_s * _MICRO))

    def totals(self, families: Mapping[str, Series]) -> tuple[int, float]:
        """How many values, and their sum in seconds; of a histogram without labels."""
        series = families.get(self._name, {})
        return sum(series.get((bucket,), 0) for bucket in self._buckets), series.get((_SUM,), 0) / _MICRO

    def family(self, families: Mapping[str, Series]) -> HistogramMetricFamily:
        """In order; one without labels has its one series always."""
        family = HistogramMetricFamily(f"gateway_{self._name}", self._text, labels=self._labels)
        series = families.get(self._name, {})
        known = {labels[1:] for labels in series if len(labels) == 1 + len(self._labels)}
        for labels in sorted(known if self._labels else {()}):
            amounts = accumulate(series.get((bucket, *labels), 0) for bucket in self._buckets)
            sum_s = series.get((_SUM, *labels), 0) / _MICRO
            family.add_metric(labels, list(zip(self._buckets, amounts, strict=True)), sum_s)
        return family
