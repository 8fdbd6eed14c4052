"""What the router has done and can do: `/backend/info`, `/router/stats`, `/router/health`, `/router/rate-limits`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from gateway.allowance import DEFAULT_WINDOW_S, ServiceAllowance
from gateway.json_response import json_response
from gateway.live import LiveConfig
from gateway.tally import Tally
from middleware.record import Record
from middleware.refusal import Refusal
from providers.base import Target
from providers.breaker import Breakers
from providers.latencies import MovingLatencies
from providers.registry import Service

_NOT_RESET = Refusal(503, "unavailable", "the store does not answer", {"Retry-After": "1"})


class RouterStats:
    """
    Counts what became of every call to a service, for the whole fleet; an observer of finished requests.

    Also tells `latencies` how long answered calls took.
    """

    def __init__(self, tally: Tally, latencies: MovingLatencies) -> None:
        self.tally = tally
        self._latencies = latencies

    def observe(self, record: Record) -> None:
        attempts = record.attempts
        if not attempts:
            return
        add = self.tally.add
        add("requests")
        # Not by `served`: what counted tokens used none.
        add("successes" if any(attempt.status == "success" for attempt in attempts) else "failures")
        for attempt in attempts:
            service = attempt.service
            add(f"{service}:{attempt.reason or attempt.status}")
            if attempt.status == "success":
                add(f"{service}:latency_us", int(attempt.latency_s * 1e6))
                self._latencies.observe(f"{service}/{attempt.asked}", attempt.first_s or attempt.latency_s)
        for served in record.served:
            add(f"{served.provider}:input_tokens", served.input_tokens)
            add(f"{served.provider}:output_tokens", served.output_tokens)
            add(f"{served.provider}:cost_nano_usd", int((served.cost_usd or 0) * 1_000_000_000))


_NOT_OUTCOMES = frozenset({"success", "latency_us", "input_tokens", "output_tokens", "cost_nano_usd"})


class Stats:
    """`GET /router/stats`: requests and, by service, what became of the calls. Fleet-wide since the last reset."""

    def __init__(self, tally: Tally, live: LiveConfig) -> None:
        self.tally = tally
        self.live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counts = await self.tally.read()
        by_service: dict[str, dict[str, int]] = {service.name: {} for service in self.live.current.router.services}
        for field, amount in counts.items():
            service, colon, what = field.rpartition(":")
            if colon:
                by_service.setdefault(service, {})[what] = amount
        body = {
            "total_requests": counts.get("requests", 0),
            "successful_requests": counts.get("successes", 0),
            "failed_requests": counts.get("failures", 0),
            "services": {name: _service_stats(found) for name, found in by_service.items()},
        }
        await json_response(body)(scope, receive, send)


def _service_stats(counts: Mapping[str, int]) -> dict[str, Any]:
    succeeded = counts.get("success", 0)
    outcomes = {name: amount for name, amount in sorted(counts.items()) if name not in _NOT_OUTCOMES}
    return {
        "successes": succeeded,
        "outcomes": outcomes,
        "average_latency_ms": round(counts.get("latency_us", 0) / succeeded / 1000, 1) if succeeded else None,
        "input_tokens": counts.get("input_tokens", 0),
        "output_tokens": counts.get("output_tokens", 0),
        "cost_usd": counts.get("cost_nano_usd", 0) / 1_000_000_000,
    }


class ResetTally:
    """`POST /router/reset-stats`, `POST /auth/reset-metrics`: begin again at zero, on every replica."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.tally.reset()
        except (RedisError, OSError, TimeoutError):
            await _NOT_RESET(scope, receive, send)
            return
        await json_response({"status": "reset"})(scope, receive, send)


def service_state(targets: Sequence[Target], breakers: Breakers) -> str:
    """`put_aside` when every key of the service is, else the breaker's state."""
    if all(breakers.aside_s(target) > 0 for target in targets):
        return "put_aside"
    return breakers.state(targets[0])


class BackendInfo:
    """`GET /backend/info`: the services as configured; never a key or an address."""

    def __init__(self, live: LiveConfig, breakers: Breakers) -> None:
        self.live = live
        self.breakers = breakers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        routing = self.live.current
        body = {
            "services": [self._service(service) for service in routing.router.services],
            "models": [offer._asdict() for offer in routing.router.models()],
            "config": {
                "generation": routing.generation,
                "loaded_at": datetime.fromtimestamp(self.live.last_loaded, UTC).isoformat(),
                "problems": list(self.live.last_error),
            },
        }
        await json_response(body)(scope, receive, send)

    def _service(self, service: Service) -> dict[str, Any]:
        targets = service.targets(None)
        return {
            "name": service.name,
            "backend_type": service.backend_type,
            "priority": service.priority,
            "weight": service.weight,
            "default_model": service.default_model,
            "models": list(service.models),
            "keys": sum(target.api_key is not None for target in targets),
            "rate_limit_requests": service.rate_limit_requests,
            "rate_limit_window": service.rate_limit_window,
            "status": service_state(targets, self.breakers),
        }


class RouterHealth:
    """`GET /router/health`: which services would be asked now."""

    def __init__(self, live: LiveConfig, breakers: Breakers) -> None:
        self.live = live
        self.breakers = breakers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = {}
        for service in self.live.current.router.services:
            targets = service.targets(None)
            services[service.name] = {
                "status": service_state(targets, self.breakers),
                "breaker": self.breakers.state(targets[0]),
                "put_aside_s": round(min(self.breakers.aside_s(target) for target in targets), 1),
            }
        usable = [name for name, found in services.items() if found["status"] not in ("open", "put_aside")]
        body = {
            "status": "healthy" if len(usable) == len(services) else "degraded" if usable else "unavailable",
            "available": usable,
            "services": services,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        await json_response(body)(scope, receive, send)


class RateLimits:
    """`GET /router/rate-limits`: what each service may be asked, and what is left of it, fleet-wide."""

    def __init__(self, live: LiveConfig, allowance: ServiceAllowance) -> None:
        self.live = live
        self.allowance = allowance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = {}
        for service in self.live.current.router.services:
            left = await self.allowance.left(service)
            window_s = None if service.rate_limit_requests is None else service.rate_limit_window or DEFAULT_WINDOW_S
            services[service.name] = {
                "limit": service.rate_limit_requests,
                "window_s": window_s,
                "remaining": None if left is None else left.remaining,
                "reset_s": None if left is None else round(left.wait_s or left.reset_s, 1),
            }
        await json_response({"services": services, "timestamp": datetime.now(UTC).isoformat()})(scope, receive, send)
