"""
Limits that need more than a log of requests: tokens, requests at once, money; and the ledger of what was used.

What a request may come to is reserved before it and settled after it, with what it came to.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from middleware.claim import Claim, Estimate, Subject, redis_name
from middleware.quota import Figure, LimiterUnavailable, Quota, WindowState
from middleware.record import Served
from middleware.scripts import Script
from middleware.settlements import Hold, Settlements

LEASE_S = 10.0
"""How long a reservation outlives its replica. Renewed three times as often while the request is under way."""
MINUTE_S = 60
DAY_S = 86400
DAY_US = DAY_S * 1_000_000
NANO = 1_000_000_000
MOST = 10**15

_DECIDE = Script("sliding_log.lua", "reservations.lua", "limits.lua")


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is held for one request. `admitted` on this process's monotonic clock."""

    id: str
    estimate: Estimate
    claim: Claim
    admitted: float

    @classmethod
    def of(cls, claim: Claim, estimate: Estimate) -> "Reservation":
        # Above any limit, and within what Redis's scripts count exactly.
        estimate = Estimate(min(estimate.tokens, MOST), min(estimate.nano_usd, MOST))
        return cls(secrets.token_hex(8), estimate, claim, time.monotonic())


@dataclass(frozen=True, slots=True)
class Used:
    """
    What a request came to. `unheard`: an answer of which the end was never heard, by what is known or estimated of it.

    That counts against tokens and budgets, and stands in the ledger in fields of its own.
    """

    answers: Sequence[Served] = ()
    unheard: Served | None = None

    @property
    def anything(self) -> bool:
        return bool(self.answers) or self.unheard is not None

    @property
    def tokens(self) -> int:
        every = self.answers if self.unheard is None else (*self.answers, self.unheard)
        return sum(served.input_tokens + served.output_tokens for served in every)


NOTHING = Used()


class Accounts:
    """
    Decides in one script call and settles behind the requests' backs.

    Keys, and what they live: with the claim's hash tag `{prefix}:<subject>:rate` as those of `SlidingWindow`,
    `…:tokens` 61 s, `…:leases` 2 min, `…:money` 62 days; `{prefix}:{<slot>}:usage:<key id>:<day>`, the ledger, and
    `{prefix}:{<slot>}:usage-keys`, its index, 400 days; those of `Settlements`; and `{prefix}:usage-slots`, 400 days.
    Any `redis.asyncio` client will do; give it a timeout.

    `name` says under which name the ledger has an answer: from a closed set, as callers may invent models. Settlements
    of reservations leave at once, others within a second; `aclose` sends the rest. Those that Redis may or may not have
    heard are sent again and count once.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "gw",
        lease_s: float = LEASE_S,
        name: Callable[[Served], str] = lambda served: served.provider,
    ) -> None:
        if not 0 < lease_s <= MINUTE_S:
            raise ValueError("a lease lasts at most a minute")
        self._redis: Any = redis  # `execute_command` is untyped
        self._prefix = prefix
        self._lease_s = lease_s
        self._name = name
        self._running: dict[str, Reservation] = {}
        self._settlements = Settlements(redis, prefix=prefix, lease_s=lease_s, running=self._holds)
        self.flush = self._settlements.flush
        self.aclose = self._settlements.aclose

    async def reserve(self, claim: Claim, *, cost: int = 1, reservation: Reservation | None = None) -> Quota:
        """
        Admit a request worth `cost` requests, all or nothing.

        Without a reservation only its windows count: it asks for nothing that costs. Raises `LimiterUnavailable`.
        """
        subjects = [subject for subject in claim.subjects if subject.windows or subject.limits.reserves]
        keys: list[str] = []
        limits: list[str | int] = []
        for subject in subjects:
            name = redis_name(self._prefix, subject.name)
            keys += (f"{name}:rate", f"{name}:tokens", f"{name}:leases", f"{name}:money")
            limits += _limits(subject)
        id, estimate = ("", Estimate(0, 0)) if reservation is None else (reservation.id, reservation.estimate)
        head: list[str | int] = [
            len(keys),
            *keys,
            cost,
            id,
            estimate.tokens,
            estimate.nano_usd,
            int(self._lease_s * 1e6),
        ]
        try:
            reply = await _DECIDE.run(self._redis, [*head, *limits])
        except LimiterUnavailable as error:
            cause = error.__cause__
            if reservation is not None and isinstance(cause, TimeoutError | RedisTimeout):
                self.settle(claim, reservation, NOTHING)  # it may have arrived
            if isinstance(cause, RedisError) and "WRONGTYPE" in str(cause):
                self._settlements.mend(claim.slot, [key for key in keys if not key.endswith(":rate")])
            raise
        quota = _quota(reply, subjects)
        if reservation is not None and quota.allowed:
            self.hold(reservation)
        return quota

    def hold(self, reservation: Reservation) -> None:
        """Keep the lease of a request that is under way, also of one that was admitted without the store."""
        if reservation.claim.reserves:
            self._running[reservation.id] = reservation
            self._settlements.work()

    def settle(self, claim: Claim, reservation: Reservation | None, used: Used, *, stamp: str = "") -> None:
        """
        Write down what a request came to, and give back what was reserved for it. Sent in the background.

        `stamp` is that of its admission: the day on which it counts.
        """
        self._book(claim, used, stamp)
        if reservation is not None:
            self._running.pop(reservation.id, None)
            for hold in self._holds_of(reservation):
                self._settlements.settle(hold, used.tokens)

    def _book(self, claim: Claim, used: Used, stamp: str) -> None:
        if not used.anything:
            return
        day = _day(int(stamp) // DAY_US if stamp.isdecimal() else int(time.time()) // DAY_S)
        ledger = ledger_key(self._prefix, claim.slot, claim.key_id, day)
        amounts: list[tuple[str, str, int]] = [(index_key(self._prefix, claim.slot), claim.key_id, 1)]
        total = 0
        for served in used.answers:
            model, cost = self._name(served), nano_usd(served.cost_usd)
            total += cost
            amounts += (
                (ledger, f"{model}|requests", 1),
                (ledger, f"{model}|input_tokens", served.input_tokens),
                (ledger, f"{model}|output_tokens", served.output_tokens),
                (ledger, f"{model}|cost_nano_usd", cost),
            )
        if used.unheard is not None:
            model, cost = self._name(used.unheard), nano_usd(used.unheard.cost_usd)
            total += cost
            amounts += ((ledger, f"{model}|unheard_requests", 1), (ledger, f"{model}|unheard_nano_usd", cost))
        for subject in claim.subjects if total else ():
            money = f"{redis_name(self._prefix, subject.name)}:money"
            amounts += ((money, day, total), (money, day[:6], total))
        self._settlements.count(claim.slot, amounts)

    def _holds(self) -> Iterator[Hold]:
        for reservation in list(self._running.values()):
            yield from self._holds_of(reservation)

    def _holds_of(self, reservation: Reservation) -> Iterator[Hold]:
        estimate, claim = reservation.estimate, reservation.claim
        member = f"{estimate.tokens}:{estimate.nano_usd}:{reservation.id}"
        for subject in claim.subjects:
            if subject.limits.reserves:
                yield Hold(claim.slot, redis_name(self._prefix, subject.name), member, reservation.admitted)


def ledger_key(prefix: str, slot: str, key_id: str, day: str) -> str:
    """A hash of integers: `<name>|requests`, `|input_tokens`, `|output_tokens`, `|cost_nano_usd`, `|unheard_…`."""
    return f"{prefix}:{{{slot}}}:usage:{key_id}:{day}"


def index_key(prefix: str, slot: str) -> str:
    """A hash whose fields are the ids of the keys that have used anything."""
    return f"{prefix}:{{{slot}}}:usage-keys"


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    """A day since 1970 in UTC, as `20261121`."""
    return datetime.fromtimestamp(number * DAY_S, UTC).strftime("%Y%m%d")


def nano_usd(usd: Decimal | None) -> int:
    return 0 if usd is None else min(MOST, int((usd * NANO).to_integral_value()))


def _limits(subject: Subject) -> list[str | int]:
    limits = subject.limits
    budgets = (limits.budget_day_usd, limits.budget_month_usd)
    windows = [part for window in subject.windows for part in (window.limit, window.seconds * 1_000_000)]
    return [
        int(limits.reserves),
        *(-1 if limit is None else limit for limit in (limits.tokens_per_minute, limits.concurrency)),
        *(-1 if budget is None else nano_usd(budget) for budget in budgets),
        len(subject.windows),
        *windows,
    ]


def _quota(reply: Sequence[Any], subjects: Sequence[Subject]) -> Quota:
    states: list[WindowState] = []
    figures: list[Figure] = []
    answered = iter(reply[2:])
    for subject in subjects:
        for window in subject.windows:
            remaining, wait, reset = next(answered), next(answered), next(answered)
            states.append(WindowState(window, max(0, remaining), wait / 1e6, reset / 1e6, subject.owner))
        for figure in figures_of(subject):
            remaining, wait, reset = next(answered), next(answered), next(answered)
            money = figure.unit == "micro-usd"
            left = max(0, remaining // 1000 if money else remaining)
            waits = (max(0, wait) / 1e6, reset / 1e6)
            figures.append(Figure(figure.name, figure.limit, figure.unit, left, *waits, figure.window_s, wait < 0))
    stamp = reply[1].decode() if isinstance(reply[1], bytes) else str(reply[1])
    return Quota(bool(reply[0]), tuple(states), stamp, figures=tuple(figures))


def figures_of(subject: Subject) -> list[Figure]:
    """The limits of a subject beside its windows, all of them still whole."""
    limits, owner = subject.limits, subject.owner
    found: list[Figure] = []
    if limits.tokens_per_minute is not None:
        tokens = limits.tokens_per_minute
        found.append(Figure(f"{owner}tokens", tokens, "tokens", tokens, 0, MINUTE_S, MINUTE_S))
    if limits.concurrency is not None:
        slots = limits.concurrency
        found.append(Figure(f"{owner}concurrency", slots, "concurrent-requests", slots, 0, 0))
    for name, budget, window_s in (
        ("budget-day", limits.budget_day_usd, DAY_S),
        ("budget-month", limits.budget_month_usd, None),
    ):
        if budget is not None:
            micro = nano_usd(budget) // 1000
            found.append(Figure(f"{owner}{name}", micro, "micro-usd", micro, 0, 0, window_s))
    return found
