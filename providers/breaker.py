"""
Circuit breakers: whether a target may be asked now.

One breaker stands for each target (service and model) and one for each service's connections. The state machine is
the classic one (Nygard, "Release It!", 2007): closed, open, half-open with a single probe. It opens on a failure rate
over a sliding window once enough calls were seen, on as many failures in a row, or on a rate of slow calls
(resilience4j's `slowCallRateThreshold`).
"""

import hmac
import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, Protocol

from providers.base import Target
from providers.errors import (
    BadCredentials,
    ConnectionFailed,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
)

log = logging.getLogger(__name__)

State = Literal["closed", "open", "half_open"]
Reason = Literal["rate_limited", "overloaded", "bad_credentials", "quota_exhausted"]
Outcome = Literal["counted", "tripped", "closed"]
"""What a result did to a breaker."""

MAX_BREAKERS = 2048
"""Targets remembered. A service that lists no models can be asked for any name, so callers could grow the table."""
PROBE_LEASE_S = 10.0
"""A probe that has not reported by then is taken for dead, and another may go."""
MAX_ASIDE_S = 3600.0
CREDENTIALS_ASIDE_S = 60.0
"""First pause after a refused key; doubles with each further refusal up to `MAX_ASIDE_S`."""
QUOTA_ASIDE_S = 600.0
RATE_LIMIT_ASIDE_S = 1.0
"""First pause after a 429 that names no time; doubles up to a minute while 429s follow one another."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """
    Times in seconds; `failure_rate` 0..1 over `window_s`, judged from `min_calls` calls on.

    A call is slow when its answer took `slow_call_s` to begin; None: none is. `slow_call_rate` 0..1 of such calls opens
    the breaker, and a slow probe is a failed one.
    """

    failure_rate: float = 0.5
    window_s: float = 30.0
    min_calls: int = 5
    open_s: float = 5.0
    max_open_s: float = 120.0
    slow_call_s: float | None = None
    slow_call_rate: float = 1.0

    def pause_s(self, trips: int) -> float:
        """How long it stays open after so many trips in a row, 0 the first, before jitter."""
        return min(self.open_s * 2.0 ** min(trips, 32), self.max_open_s)


def jitter() -> float:
    """±20 %, so that replicas and services do not knock in step."""
    return random.uniform(0.8, 1.2)  # noqa: S311 (no secret depends on it)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. The generations keep a late result from speaking for a newer state."""

    target: Target
    generation: int
    service_generation: int


@dataclass(frozen=True, slots=True)
class Denied:
    """`retry_after_s`: when asking again makes sense."""

    reason: Literal["open", "rate_limited", "overloaded", "bad_credentials", "quota_exhausted", "service_limit"]
    retry_after_s: float


class Breakers(Protocol):
    """What the cascade asks and tells."""

    async def admit(self, target: Target) -> Permit | Denied: ...

    def succeeded(self, permit: Permit, first_s: float = 0.0) -> None:
        """`first_s`: seconds until the answer began, which of a whole one is when it came."""
        ...

    def failed(self, permit: Permit, error: ProviderError, first_s: float = 0.0) -> None:
        """`first_s`: seconds until the answer began or, if it never did, until the failure."""
        ...

    def abandoned(self, permit: Permit) -> None:
        """The caller left before there was a result: counts as nothing, frees a probe."""
        ...

    def state(self, target: Target) -> State: ...

    def aside_s(self, target: Target) -> float:
        """Seconds the target's service, or the key it is asked with, is still put aside; 0 when neither is."""
        ...


class Breaker:
    """One state machine. `calls` holds (time, failed, slow) inside the window."""

    __slots__ = (
        *("calls", "failures", "generation", "in_a_row", "opened", "pause_s"),
        *("probe_until", "slow", "state", "trips"),
    )

    def __init__(self) -> None:
        self.state: State = "closed"
        self.calls: deque[tuple[float, bool, bool]] = deque()
        self.failures = 0
        self.slow = 0
        self.in_a_row = 0
        self.generation = 0
        self.opened = 0.0
        self.pause_s = 0.0
        self.trips = 0
        self.probe_until = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be made; takes nothing."""
        if self.state == "closed":
            return 0.0
        if self.state == "open":
            return max(0.0, self.opened + self.pause_s - now)
        return max(0.0, self.probe_until - now)

    def enter(self, now: float) -> int:
        """Take the leave that `wait_s` promised."""
        if self.state != "closed":
            self.probed(now, PROBE_LEASE_S)
        return self.generation

    def leave(self, generation: int) -> bool:
        """Free the probe's place, if it is still this one's."""
        if self.state != "half_open" or generation != self.generation:
            return False
        self.probe_until = 0.0
        return True

    def record(
        self, generation: int, now: float, *, failed: bool, slow: bool, settings: BreakerSettings
    ) -> Outcome | None:
        """Take in a result; None: it is late, and says nothing."""
        if generation != self.generation:
            return None
        if self.state == "half_open":
            if failed or slow:
                self._trip(now, settings)
                return "tripped"
            self.close()
            return "closed"
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.calls.append((now, failed, slow))
        self.failures += failed
        self.slow += slow
        while self.calls[0][0] < now - settings.window_s:
            _, was_failed, was_slow = self.calls.popleft()
            self.failures -= was_failed
            self.slow -= was_slow
        if (failed or slow) and len(self.calls) >= settings.min_calls:
            too_bad = self.failures >= settings.failure_rate * len(self.calls) or self.in_a_row >= settings.min_calls
            too_slow = self.slow >= settings.slow_call_rate * len(self.calls)
            if (failed and too_bad) or (slow and too_slow):
                self._trip(now, settings)
                return "tripped"
        return "counted"

    def _trip(self, now: float, settings: BreakerSettings) -> None:
        self.open(now, settings.pause_s(self.trips) * jitter(), self.trips + 1)

    def open(self, now: float, pause_s: float, trips: int) -> None:
        self._enter_state("open")
        self.trips = trips
        self.opened = now
        self.pause_s = pause_s

    def probed(self, now: float, lease_s: float) -> None:
        """Somebody probes, and has so long."""
        self._enter_state("half_open")
        self.probe_until = now + lease_s

    def close(self) -> None:
        self._enter_state("closed")
        self.trips = 0

    def _enter_state(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self.calls.clear()
        self.failures = self.slow = self.in_a_row = 0


@dataclass(slots=True)
class Aside:
    """`times`: how often in a row it was put aside before."""

    until: float
    reason: Reason
    times: int


@lru_cache(maxsize=2 * MAX_BREAKERS)
def breaker_id(service: str, base_url: str, model: str | None) -> str:
    """
    The name of a breaker, 16 hex digits: of a service's connections, or of one of its models.

    Of the address too: a breaker must not outlive, over a reload, the address it speaks of. A digest, since models may
    be named by callers and addresses are nobody's business.
    """
    return blake2b("\n".join((service, base_url, model or "")).encode(), digest_size=8).hexdigest()


def place_ids(target: Target) -> tuple[str, str]:
    """
    What can be put aside: the key a target is asked with, and its whole service.

    The first is a digest keyed with that key: what a reload puts in a refused key's stead is another place, and nobody
    who reads the name learns the key.
    """
    key = b"" if target.api_key is None else target.api_key.get_secret_value().encode()
    slot = "\n".join(("aside", target.service, target.base_url, str(target.key_slot))).encode()
    of_service = blake2b("\n".join(("aside", target.service, target.base_url)).encode(), digest_size=8).hexdigest()
    return hmac.digest(key, slot, "sha256")[:8].hex(), of_service


class LocalBreakers:
    """Breakers of this process. `clock` returns seconds and never goes back."""

    def __init__(self, settings: BreakerSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()
        self._asides: dict[str, Aside] = {}

    async def admit(self, target: Target) -> Permit | Denied:
        return self._decide(target)

    def _decide(self, target: Target) -> Permit | Denied:
        now = self._clock()
        aside = self._aside(target, now)
        if aside is not None:
            return Denied(aside.reason, aside.until - now)
        of_target, of_service = (self._breaker(name) for name in breaker_ids(target))
        wait_s = max(of_service.wait_s(now), of_target.wait_s(now))
        if wait_s > 0:
            return Denied("open", wait_s)
        return Permit(target, of_target.enter(now), of_service.enter(now))

    def succeeded(self, permit: Permit, first_s: float = 0.0) -> None:
        if self._asides:
            now = self._clock()
            for place in place_ids(permit.target):
                aside = self._asides.get(place)
                # One that still lasts was told of after this call began, which knows nothing about it.
                if aside is not None and aside.until <= now:
                    self._forgive(place)
        self._record(permit, target_failed=False, service_failed=False, slow=self._slow(first_s))

    def failed(self, permit: Permit, error: ProviderError, first_s: float = 0.0) -> None:
        if isinstance(error, RateLimited | Overloaded | BadCredentials):
            of_key, of_service = place_ids(permit.target)
            self._put_aside(of_service if isinstance(error, Overloaded) else of_key, error)
        if not error.counts_as_failure:
            self.abandoned(permit)
        else:
            disconnected = isinstance(error, ConnectionFailed)
            slow = self._slow(first_s)
            self._record(permit, target_failed=not disconnected, service_failed=disconnected, slow=slow)

    def abandoned(self, permit: Permit) -> None:
        of_target, of_service = breaker_ids(permit.target)
        self._leave(of_target, permit.generation)
        self._leave(of_service, permit.service_generation)

    def state(self, target: Target) -> State:
        states = {self._breakers[name].state for name in breaker_ids(target) if name in self._breakers}
        if "open" in states:
            return "open"
        return "half_open" if "half_open" in states else "closed"

    def aside_s(self, target: Target) -> float:
        now = self._clock()
        aside = self._aside(target, now)
        return aside.until - now if aside is not None else 0.0

    def _aside(self, target: Target, now: float) -> Aside | None:
        """What keeps the target aside for longest, None when nothing does."""
        if not self._asides:
            return None
        found = (self._asides.get(place) for place in place_ids(target))
        return max(
            (aside for aside in found if aside is not None and aside.until > now),
            key=lambda aside: aside.until,
            default=None,
        )

    def _slow(self, first_s: float) -> bool:
        return self._settings.slow_call_s is not None and first_s >= self._settings.slow_call_s

    def _record(self, permit: Permit, *, target_failed: bool, service_failed: bool, slow: bool) -> None:
        service = permit.target.service
        of_target, of_service = breaker_ids(permit.target)
        if service_failed:
            self._leave(of_target, permit.generation)
        else:
            outcome = self._report(of_target, permit.generation, failed=target_failed, slow=slow)
            _log_change(outcome, service, "a model")
        outcome = self._report(of_service, permit.service_generation, failed=service_failed, slow=False)
        _log_change(outcome, service, "its connections")

    def _report(self, name: str, generation: int, *, failed: bool, slow: bool) -> Outcome | None:
        now, settings = self._clock(), self._settings
        return self._breaker(name).record(generation, now, failed=failed, slow=slow, settings=settings)

    def _leave(self, name: str, generation: int) -> bool:
        return self._breaker(name).leave(generation)

    def _forgive(self, place: str) -> None:
        """Forget a pause that is over: the next one is a first one."""
        del self._asides[place]

    def _put_aside(self, place: str, error: RateLimited | Overloaded | BadCredentials) -> None:
        before = self._asides.get(place)
        now = self._clock()
        if before is not None and before.until > now and not isinstance(error, QuotaExhausted | Overloaded):
            stated = error.retry_after_s if isinstance(error, RateLimited) else None
            if stated is None:
                return  # a call that was under way when the pause began: it tells nothing new
        times = 0 if before is None else before.times + (before.until <= now)
        doubled = 2.0 ** min(times, 12)
        if isinstance(error, BadCredentials):
            aside = Aside(now + min(CREDENTIALS_ASIDE_S * doubled, MAX_ASIDE_S), "bad_credentials", times)
        elif isinstance(error, Overloaded):
            aside = Aside(now + min(error.retry_after_s, MAX_ASIDE_S), "overloaded", times)
        elif isinstance(error, QuotaExhausted):
            aside = Aside(now + min(error.retry_after_s or QUOTA_ASIDE_S, MAX_ASIDE_S), "quota_exhausted", times)
        else:
            stated = error.retry_after_s
            pause_s = min(60.0, RATE_LIMIT_ASIDE_S * doubled) if stated is None else stated
            aside = Aside(now + min(pause_s, MAX_ASIDE_S), "rate_limited", times)
        if before is None or aside.until > before.until:
            self._asides[place] = aside
        else:
            before.times = times

    def _breaker(self, name: str) -> Breaker:
        breaker = self._breakers.get(name)
        if breaker is None:
            breaker = self._breakers[name] = Breaker()
            if len(self._breakers) > MAX_BREAKERS:
                self._evict()
        else:
            self._breakers.move_to_end(name)
        return breaker

    def _evict(self) -> None:
        """Forget the closed breaker unused for longest; open ones are worth keeping."""
        for name, breaker in self._breakers.items():
            if breaker.state == "closed":
                del self._breakers[name]
                return


def breaker_ids(target: Target) -> tuple[str, str]:
    """Of the target's breaker and its service's."""
    service, base_url = target.service, target.base_url
    return breaker_id(service, base_url, target.model), breaker_id(service, base_url, None)


def _log_change(outcome: Outcome | None, service: str, subject: str) -> None:
    if outcome == "tripped":
        log.warning("breaker opened: service=%s, %s", service, subject)
    elif outcome == "closed":
        log.warning("breaker closed: service=%s, %s", service, subject)
