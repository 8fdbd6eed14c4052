"""How long targets have taken to answer of late."""

import math
import time
from collections.abc import Callable

from providers.base import Target

SHARE = 0.2
"""Of a new measurement in the average: about ten calls forget a change."""
HALF_LIFE_S = 60.0
"""An average nobody renews is halved in this time: a target that was slow once must be asked again some day."""
KEPT = 4096
"""Callers may invent model names: the one measured longest ago makes room."""


class MovingLatencies:
    """Moving averages by target, in this process. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, float]] = {}

    def observe(self, name: str, latency_s: float) -> None:
        """Count an answered call of the target of this name (`service/model`)."""
        before = self._known.pop(name, None)
        average = latency_s if before is None else before[0] + SHARE * (latency_s - before[0])
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[name] = (average, self._clock())

    def latency_s(self, target: Target) -> float | None:
        """None when it was not measured."""
        known = self._known.get(target.name)
        if known is None:
            return None
        average, measured = known
        return average * math.pow(0.5, (self._clock() - measured) / HALF_LIFE_S)
