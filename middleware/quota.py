"""What a limiter decided on one request, and the headers that tell the caller."""

import math
from dataclasses import dataclass
from typing import Literal

from middleware.limits import Window


class LimiterUnavailable(Exception):
    """The store did not answer, so nothing can be said."""


@dataclass(frozen=True, slots=True)
class WindowState:
    """
    `remaining` after this request, `wait_s` until a refused one fits, `reset_s` until the next entry leaves.

    `owner` is who the window is for, where that is not the caller alone: `tenant-`.
    """

    window: Window
    remaining: int
    wait_s: float
    reset_s: float
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """
    What is left of a limit that is not a window of requests: `tokens`, `concurrency`, `budget-day`, `budget-month`.

    Budgets are in millionths of a US dollar. `spent`: it will not do before the period's end.
    """

    name: str
    limit: int
    unit: Literal["tokens", "concurrent-requests", "micro-usd"]
    remaining: int
    wait_s: float
    reset_s: float
    window_s: int | None = None
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """
    What the limiter decided. `stamp` names the admission, so that it can be taken back.

    `degraded`: by this replica alone, at its share of the limits.
    """

    allowed: bool
    states: tuple[WindowState, ...]
    stamp: str = ""
    degraded: bool = False
    figures: tuple[Figure, ...] = ()

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a refused request fits, at least 1."""
        waits = [state.wait_s for state in self.states] + [figure.wait_s for figure in self.figures]
        return max(1, math.ceil(max(waits, default=0)))

    @property
    def spent(self) -> Figure | None:
        """The budget that refuses this request however long one waits."""
        return next((figure for figure in self.figures if figure.spent), None)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """
        `X-RateLimit-*` of the tightest window and the IETF fields for all limits
        (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` with q, w and qu, `RateLimit` with r and t).
        `X-RateLimit-Mode: degraded` when it is.
        """
        policy = [f'"{_name(s)}";q={s.window.limit};w={s.window.seconds}' for s in self.states]
        limits = [f'"{_name(s)}";r={s.remaining};t={_reset(s)}' for s in self.states]
        for figure in self.figures:
            window = "" if figure.window_s is None else f";w={figure.window_s}"
            policy.append(f'"{figure.name}";q={figure.limit}{window};qu="{figure.unit}"')
            limits.append(f'"{figure.name}";r={figure.remaining};t={_reset(figure)}')
        headers = [(b"x-ratelimit-mode", b"degraded")] if self.degraded else []
        if self.states:
            tightest = max(self.states, key=lambda state: (state.wait_s, -state.remaining))
            headers += [
                (b"x-ratelimit-limit", b"%d" % tightest.window.limit),
                (b"x-ratelimit-remaining", b"%d" % tightest.remaining),
                (b"x-ratelimit-reset", b"%d" % _reset(tightest)),
            ]
        if policy:
            headers += [(b"ratelimit-policy", ", ".join(policy).encode()), (b"ratelimit", ", ".join(limits).encode())]
        return headers


def _name(state: WindowState) -> str:
    return f"{state.owner}{state.window.limit}-per-{state.window.seconds}s"


def _reset(state: WindowState | Figure) -> int:
    return math.ceil(state.wait_s or state.reset_s)
