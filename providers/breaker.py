"""
Circuit breakers: whether a target may be asked now.

One breaker stands for each target (service and model) and one for each service's connections. The state machine is
the classic one (Nygard, "Release It!", 2007): closed, open, half-open with a single probe. It opens on a failure rate
over a sliding window once enough calls were seen, or on as many failures in a row.
"""

import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
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

State = Literal["closed", "open", "half_open"]

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
    """Times in seconds; `failure_rate` 0..1 over `window_s`, judged from `min_calls` calls on."""

    failure_rate: float = 0.5
    window_s: float = 30.0
    min_calls: int = 5
    open_s: float = 5.0
    max_open_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. The generations keep a late result from speaking for a newer state."""

    target: Target
    generation: int
    service_generation: int


@dataclass(frozen=True, slots=True)
class Denied:
    """`retry_after_s`: when asking again makes sense."""

    reason: Literal["open", "rate_limited", "overloaded", "bad_credentials", "quota_exhausted"]
    retry_after_s: float


class Breakers(Protocol):
    """What the cascade asks and tells."""

    async def admit(self, target: Target) -> Permit | Denied: ...

    def succeeded(self, permit: Permit) -> None: ...

    def failed(self, permit: Permit, error: ProviderError) -> None: ...

    def abandoned(self, permit: Permit) -> None:
        """The caller left before there was a result: counts as nothing, frees a probe."""
        ...

    def state(self, target: Target) -> State: ...

    def aside_s(self, service: str) -> float:
        """Seconds the service is still put aside, 0 when it is not."""
        ...


class _Breaker:
    """One state machine. `calls` holds (time, failed) inside the window."""

    __slots__ = ("calls", "failures", "generation", "in_a_row", "opened", "pause_s", "probe_until", "state", "trips")

    def __init__(self) -> None:
        self.state: State = "closed"
        self.calls: deque[tuple[float, bool]] = deque()
        self.failures = 0
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
            self.state = "half_open"
            self.generation += 1
            self.probe_until = now + PROBE_LEASE_S
        return self.generation

    def leave(self, generation: int) -> None:
        if self.state == "half_open" and generation == self.generation:
            self.probe_until = 0.0

    def record(self, generation: int, now: float, *, failed: bool, settings: BreakerSettings) -> None:
        if generation != self.generation:
            return
        if self.state == "half_open":
            if failed:
                self._trip(now, settings)
            else:
                self._close()
            return
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.calls.append((now, failed))
        self.failures += failed
        while self.calls[0][0] < now - settings.window_s:
            self.failures -= self.calls.popleft()[1]
        if not failed or len(self.calls) < settings.min_calls:
            return
        if self.failures >= settings.failure_rate * len(self.calls) or self.in_a_row >= settings.min_calls:
            self._trip(now, settings)

    def _trip(self, now: float, settings: BreakerSettings) -> None:
        pause = min(settings.open_s * 2.0**self.trips, settings.max_open_s)
        self.state = "open"
        self.trips += 1
        self.generation += 1
        self.opened = now
        # ±20 %, so that replicas and services do not knock in step.
        self.pause_s = pause * random.uniform(0.8, 1.2)  # noqa: S311 (no secret depends on it)
        self._forget()

    def _close(self) -> None:
        self.state = "closed"
        self.trips = 0
        self.generation += 1
        self._forget()

    def _forget(self) -> None:
        self.calls.clear()
        self.failures = 0
        self.in_a_row = 0


@dataclass(slots=True)
class _Aside:
    until: float
    reason: Literal["rate_limited", "overloaded", "bad_credentials", "quota_exhausted"]
    times: int


class LocalBreakers:
    """Breakers of this process. `clock` returns seconds and never goes back."""

    def __init__(self, settings: BreakerSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._breakers: OrderedDict[str, _Breaker] = OrderedDict()
        self._asides: dict[str, _Aside] = {}

    async def admit(self, target: Target) -> Permit | Denied:
        now = self._clock()
        aside = self._asides.get(target.service)
        if aside is not None and aside.until > now:
            return Denied(aside.reason, aside.until - now)
        of_service, of_target = self._breaker(target.service), self._breaker(target.name)
        wait_s = max(of_service.wait_s(now), of_target.wait_s(now))
        if wait_s > 0:
            return Denied("open", wait_s)
        return Permit(target, of_target.enter(now), of_service.enter(now))

    def succeeded(self, permit: Permit) -> None:
        self._asides.pop(permit.target.service, None)
        self._record(permit, target_failed=False, service_failed=False)

    def failed(self, permit: Permit, error: ProviderError) -> None:
        if isinstance(error, RateLimited | Overloaded | BadCredentials):
            self._put_aside(permit.target.service, error)
        if not error.counts_as_failure:
            self.abandoned(permit)
        else:
            disconnected = isinstance(error, ConnectionFailed)
            self._record(permit, target_failed=not disconnected, service_failed=disconnected)

    def abandoned(self, permit: Permit) -> None:
        self._breaker(permit.target.name).leave(permit.generation)
        self._breaker(permit.target.service).leave(permit.service_generation)

    def state(self, target: Target) -> State:
        states = {self._breakers[name].state for name in (target.service, target.name) if name in self._breakers}
        if "open" in states:
            return "open"
        return "half_open" if "half_open" in states else "closed"

    def aside_s(self, service: str) -> float:
        aside = self._asides.get(service)
        return max(0.0, aside.until - self._clock()) if aside is not None else 0.0

    def _record(self, permit: Permit, *, target_failed: bool, service_failed: bool) -> None:
        now = self._clock()
        of_target, of_service = self._breaker(permit.target.name), self._breaker(permit.target.service)
        if service_failed:
            of_target.leave(permit.generation)
        else:
            of_target.record(permit.generation, now, failed=target_failed, settings=self._settings)
        of_service.record(permit.service_generation, now, failed=service_failed, settings=self._settings)

    def _put_aside(self, service: str, error: RateLimited | Overloaded | BadCredentials) -> None:
        before = self._asides.get(service)
        times = before.times + 1 if before is not None else 0
        doubled = 2.0 ** min(times, 12)
        now = self._clock()
        if isinstance(error, BadCredentials):
            aside = _Aside(now + min(CREDENTIALS_ASIDE_S * doubled, MAX_ASIDE_S), "bad_credentials", times)
        elif isinstance(error, Overloaded):
            aside = _Aside(now + min(error.retry_after_s, MAX_ASIDE_S), "overloaded", times)
        elif isinstance(error, QuotaExhausted):
            aside = _Aside(now + min(error.retry_after_s or QUOTA_ASIDE_S, MAX_ASIDE_S), "quota_exhausted", times)
        else:
            stated = error.retry_after_s
            pause_s = min(60.0, RATE_LIMIT_ASIDE_S * doubled) if stated is None else stated
            aside = _Aside(now + min(pause_s, MAX_ASIDE_S), "rate_limited", times)
        if before is None or aside.until > before.until:
            self._asides[service] = aside
        else:
            before.times = times

    def _breaker(self, name: str) -> _Breaker:
        breaker = self._breakers.get(name)
        if breaker is None:
            breaker = self._breakers[name] = _Breaker()
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
