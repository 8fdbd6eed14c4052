"""Limits of tokens and of requests at once without the store: each replica holds its share, as it does of windows."""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from middleware.accounts import MINUTE_S, Accounts, Reservation, Used, figures_of
from middleware.claim import Claim, Subject
from middleware.degrading import MAX_SUBJECTS, DegradingLimiter
from middleware.quota import Figure, LimiterUnavailable, Quota, WindowState


@dataclass(slots=True)
class _Entry:
    admitted: float
    tokens: int
    counted: bool = True


@dataclass(slots=True)
class _Minute:
    """The tokens of one subject in the last minute, admitted here. Its entries are settled in place."""

    entries: deque[_Entry] = field(default_factory=deque)
    sum: int = 0

    def settle(self, entry: _Entry, tokens: int) -> None:
        if entry.counted:
            self.sum += tokens - entry.tokens
            entry.tokens = tokens

    def trim(self, now: float) -> int:
        while self.entries and self.entries[0].admitted <= now - MINUTE_S:
            entry = self.entries.popleft()
            entry.counted = False
            self.sum -= entry.tokens
        return self.sum


@dataclass(slots=True)
class _Admitted:
    """A reservation under way. `entries` where this replica admitted it alone."""

    subjects: tuple[Subject, ...]
    entries: tuple[tuple[_Minute, _Entry], ...] = ()


class DegradingAccounts:
    """
    Ask the store; when it cannot be asked, decide here, at this replica's share of each limit.

    Not for claims that are strict or have a budget: without the store nobody can tell what was spent, so they raise
    `LimiterUnavailable`. Shares are floor(limit / replicas), at least 1. Windows of requests are decided and replayed
    by `limiter`; tokens are told to the store when they are settled, slots when their leases are renewed.
    """

    def __init__(
        self,
        store: Accounts,
        limiter: DegradingLimiter,
        *,
        replicas: Callable[[], int] = lambda: 1,
        max_subjects: int = MAX_SUBJECTS,
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._replicas = replicas
        self._max_subjects = max_subjects
        self._running: Counter[str] = Counter()
        """Requests of each subject under way here, whoever admitted them."""
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()
        self._admitted: dict[str, _Admitted] = {}

    async def reserve(self, claim: Claim, *, cost: int = 1, reservation: Reservation | None = None) -> Quota:
        if claim.strict or not any(self._limiter.knows_more(subject.name) for subject in claim.subjects):
            try:
                quota = await self._store.reserve(claim, cost=cost, reservation=reservation)
            except LimiterUnavailable:
                if claim.strict:
                    raise
            else:
                if quota.allowed and reservation is not None:
                    self._begin(reservation, ())
                return quota
        return self._decide(claim, cost, reservation)

    def settle(self, claim: Claim, reservation: Reservation | None, used: Used, *, stamp: str = "") -> None:
        admitted = None if reservation is None else self._admitted.pop(reservation.id, None)
        if admitted is not None:
            for subject in admitted.subjects:
                self._running[subject.name] -= 1
                if not self._running[subject.name]:
                    del self._running[subject.name]
            for minute, entry in admitted.entries:
                minute.settle(entry, used.tokens)
        self._store.settle(claim, reservation, used, stamp=stamp)

    def _begin(self, reservation: Reservation, entries: tuple[tuple[_Minute, _Entry], ...]) -> None:
        subjects = tuple(subject for subject in reservation.claim.subjects if subject.limits.reserves)
        self._running.update(subject.name for subject in subjects)
        self._admitted[reservation.id] = _Admitted(subjects, entries)

    def _decide(self, claim: Claim, cost: int, reservation: Reservation | None) -> Quota:
        """All or nothing, by this replica alone."""
        now = time.monotonic()
        tokens = 0 if reservation is None else reservation.estimate.tokens
        figures = [
            figure
            for subject in claim.subjects
            for figure in self._figures(subject, now, tokens, reservation is not None)
        ]
        fits = not any(figure.wait_s for figure in figures)
        states: list[WindowState] = []
        taken: list[tuple[str, str]] = []
        for subject in claim.subjects:
            if not subject.windows:
                continue
            # Where another limit refuses, it is only asked what is left.
            quota = self._limiter.decide(subject.name, subject.windows, cost if fits else 0)
            states += [replace(state, owner=subject.owner) for state in quota.states]
            if quota.allowed and fits:
                taken.append((subject.name, quota.stamp))
            fits = fits and quota.allowed
        if not fits:
            for name, stamp in taken:
                for _ in range(cost):
                    self._limiter.take_back(name, stamp)
            return Quota(False, tuple(states), degraded=True, figures=tuple(figures))
        if reservation is not None and claim.reserves:
            self._begin(reservation, tuple(self._note(claim, now, tokens)))
            self._store.hold(reservation)
            figures = [_taken(figure, tokens) for figure in figures]
        return Quota(True, tuple(states), degraded=True, figures=tuple(figures))

    def _figures(self, subject: Subject, now: float, tokens: int, asks: bool) -> Iterator[Figure]:
        for figure in figures_of(subject):
            share = min(figure.limit, max(1, figure.limit // max(1, self._replicas())))
            if figure.unit == "tokens":
                minute = self._minutes.get(subject.name)
                used = 0 if minute is None else minute.trim(now)
                left = share - used
                wait_s = _wait_s(minute, now, left, tokens, share) if asks and tokens > left else 0.0
            else:
                left = share - self._running[subject.name]
                wait_s = 1.0 if asks and left < 1 else 0.0
            yield replace(figure, limit=share, remaining=max(0, left), wait_s=wait_s)

    def _note(self, claim: Claim, now: float, tokens: int) -> Iterator[tuple[_Minute, _Entry]]:
        for subject in claim.subjects:
            if subject.limits.tokens_per_minute is None:
                continue
            minute = self._minutes.setdefault(subject.name, _Minute())
            self._minutes.move_to_end(subject.name)
            if len(self._minutes) > self._max_subjects:
                self._minutes.popitem(last=False)
            entry = _Entry(now, tokens)
            minute.entries.append(entry)
            minute.sum += tokens
            yield minute, entry


def _taken(figure: Figure, tokens: int) -> Figure:
    return replace(figure, remaining=max(0, figure.remaining - (tokens if figure.unit == "tokens" else 1)))


def _wait_s(minute: _Minute | None, now: float, left: int, tokens: int, share: int) -> float:
    """Seconds until enough will have left; more than there ever is: a minute, which is as good as any."""
    if minute is None or tokens > share:
        return MINUTE_S
    for entry in minute.entries:
        left += entry.tokens
        if left >= tokens:
            return entry.admitted + MINUTE_S - now
    return MINUTE_S
