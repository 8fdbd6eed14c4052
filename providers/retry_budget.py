"""
How many calls may be made again, so that an outage is not made worse by all who notice it.

Finagle's retry budget (finagle.github.io/blog/2016/02/08/retry-budgets): a fifth of the requests and ten a second
besides; credit that requests have earned lapses after ten seconds.
"""

import time
from collections import deque
from collections.abc import Callable

REQUESTS_PER_RETRY = 5
PER_SECOND = 10.0
CREDIT_LIFE_S = 10


class RetryBudget:
    """
    One replica's part of the fleet's budget: a fifth of its own requests, and ten a second divided by `replicas`.

    Nothing is asked of Redis: the parts of R replicas add up to the fleet's, which is exceeded by no more than the one
    retry that each may make at its start. `clock` returns seconds and never goes back.
    """

    def __init__(self, *, replicas: Callable[[], int] = lambda: 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._replicas = replicas
        self._clock = clock
        self._free = PER_SECOND
        self._refilled = clock()
        self._earned: deque[tuple[int, int]] = deque()
        """(second, requests of it that paid for no retry yet), the oldest first."""

    def asked(self) -> None:
        """A request goes to its first target: what follows it, there or elsewhere, earns nothing."""
        second = int(self._clock())
        if self._earned and self._earned[-1][0] == second:
            self._earned[-1] = second, self._earned[-1][1] + 1
        else:
            self._lapse(second)
            self._earned.append((second, 1))

    def take(self) -> bool:
        """Whether one more retry may be made, which is then paid for."""
        now = self._clock()
        rate = PER_SECOND / max(1, self._replicas())
        self._free = min(max(1.0, rate), self._free + (now - self._refilled) * rate)
        self._refilled = now
        if self._free >= 1:
            self._free -= 1
            return True
        self._lapse(int(now))
        if sum(requests for _, requests in self._earned) < REQUESTS_PER_RETRY:
            return False
        owed = REQUESTS_PER_RETRY
        while owed:
            second, requests = self._earned.popleft()
            if requests > owed:
                self._earned.appendleft((second, requests - owed))
            owed -= min(owed, requests)
        return True

    def _lapse(self, second: int) -> None:
        while self._earned and self._earned[0][0] <= second - CREDIT_LIFE_S:
            self._earned.popleft()
