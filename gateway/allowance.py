"""What the operator lets each service be asked: `rate_limit_requests` in `rate_limit_window` seconds, fleet-wide."""

import time

from gateway.live import LiveConfig
from middleware.limits import Window
from middleware.rate_limit import Limiter, LimiterUnavailable, WindowState
from providers.base import Target
from providers.registry import Service

DEFAULT_WINDOW_S = 60


class ServiceAllowance:
    """
    Holds services to their limits with the same exact window that holds callers to theirs.

    One round trip for each call to a service that has a limit, none while it is known to be spent. When the store does
    not answer, nothing is held back: a provider still refuses what it will not bear.
    """

    def __init__(self, live: LiveConfig, limiter: Limiter) -> None:
        self._live = live
        self._limiter = limiter
        self._spent: dict[str, tuple[tuple[Window, ...], float]] = {}
        """By service: the windows that are spent, and until when. A reload may bring others."""

    async def take(self, target: Target) -> float:
        """Take one call: 0, or the seconds until the service may be asked again."""
        windows = self._windows(self._service(target.service))
        if not windows:
            return 0.0
        now = time.monotonic()
        spent, until = self._spent.get(target.service, ((), 0.0))
        if spent == windows and until > now:
            return until - now
        try:
            quota = await self._limiter.hit(_subject(target.service), windows)
        except LimiterUnavailable:
            return 0.0
        if quota.allowed:
            return 0.0
        wait_s = max(state.wait_s for state in quota.states)
        self._spent[target.service] = windows, now + wait_s
        return max(wait_s, 0.001)

    async def left(self, service: Service) -> WindowState | None:
        """What is left of a service's allowance; None where it has none, or nobody can tell."""
        windows = self._windows(service)
        if not windows:
            return None
        try:
            quota = await self._limiter.hit(_subject(service.name), windows, cost=0)
        except LimiterUnavailable:
            return None
        return quota.states[0]

    def _service(self, name: str) -> Service | None:
        return self._live.current.router.service(name)

    def _windows(self, service: Service | None) -> tuple[Window, ...]:
        if service is None or service.rate_limit_requests is None:
            return ()
        return (Window(service.rate_limit_requests, service.rate_limit_window or DEFAULT_WINDOW_S),)


def _subject(name: str) -> str:
    """A service's name is the operator's, of letters, digits, `.`, `_` and `-`: fit for a key name."""
    return f"service-{name}"
