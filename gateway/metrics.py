"""Prometheus metrics of this process, read from the records of finished requests."""

import time
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from middleware.record import Record
from providers.breaker import Breakers
from providers.routing import Router

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OVERHEAD = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
LATENCIES_KEPT = 100
_STATES = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """
    Counts requests by closed sets of labels: route templates, statuses, configured services and models.

    A model name that no service is configured with is counted as `other`, so callers cannot make series.
    """

    def __init__(self, router: Router, breakers: Breakers, *, uncounted: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._uncounted = frozenset(uncounted)
        self._models = {name for s in router.services for name in (s.target(None).model, *s.models.values())}
        self.requests = self._counter("requests", "Requests by route template and status.", "route", "status")
        self.duration = self._histogram("request_duration_seconds", "From arrival to the end of the answer.", _SECONDS)
        self.overhead = self._histogram("overhead_seconds", "The gateway's own share of the duration.", _OVERHEAD)
        self.blocked = self._counter("blocked", "Requests refused by a security layer.", "layer", "reason")
        self.flagged = self._counter("flagged", "Findings that were let pass by policy.", "layer", "reason")
        self.errors = self._counter("layer_errors", "Security layers that could not give a verdict.", "layer", "reason")
        self.skipped_events = self._counter("stream_events_skipped", "Events of provider streams that were unreadable.")
        self.rate_limited = self._counter("rate_limited", "Requests refused by the rate limiter.")
        self.attempts = self._counter("provider_attempts", "Calls to providers by outcome.", "provider", "outcome")
        self.provider_latency = self._histogram(
            "provider_latency_seconds", "Duration of answered calls to providers.", _SECONDS, "provider"
        )
        self.first_token = self._histogram(
            "time_to_first_token_seconds", "From arrival to the first token of a stream.", _SECONDS, "provider"
        )
        self.tokens = self._counter("tokens", "Tokens as providers counted them.", "provider", "model", "direction")
        self.cost = self._counter("cost_usd", "Cost of answers in USD.", "provider", "model")
        self.redis_up = Gauge("gateway_redis_up", "1 when the store answers.", registry=self.registry)
        self.redis_up.set(1)
        Gauge("gateway_replicas", "Replicas counted in these values.", registry=self.registry).set(1)
        self.registry.register(_BreakerStates(router, breakers))
        self._totals = dict.fromkeys(("total", "successful", "blocked", "failed", "pii", "injection"), 0)
        self._latency_sum_s = 0.0
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._usage: dict[str, int] = {}

    def _counter(self, name: str, text: str, *labels: str) -> "_Series[Counter]":
        return _Series(Counter(f"gateway_{name}", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> "_Series[Histogram]":
        return _Series(Histogram(f"gateway_{name}", text, labels, buckets=buckets, registry=self.registry))

    def observe(self, record: Record) -> None:
        now = time.perf_counter()
        elapsed_s = now - record.started
        self.requests(record.route, str(record.status)).inc()
        if record.route in self._uncounted:
            return
        self.duration().observe(elapsed_s)
        self.overhead().observe(record.own_s(now))
        totals = self._totals
        totals["total"] += 1
        totals["successful"] += 200 <= record.status < 300
        self._latency_sum_s += elapsed_s
        self._latencies.append(elapsed_s)
        self._observe_decisions(record)
        for attempt in record.attempts:
            self.attempts(attempt.service, attempt.reason or attempt.status).inc()
            if attempt.status == "success":
                self.provider_latency(attempt.service).observe(attempt.latency_s)
        self.skipped_events().inc(record.skipped_events)
        totals["failed"] += bool(record.attempts) and not record.served
        for served in record.served:
            self._usage[served.provider] = self._usage.get(served.provider, 0) + 1
            model = served.model if served.model in self._models else "other"
            self.tokens(served.provider, model, "input").inc(served.input_tokens)
            self.tokens(served.provider, model, "output").inc(served.output_tokens)
            self.cost(served.provider, model).inc(float(served.cost_usd or Decimal(0)))
            if record.first_token_s is not None:
                self.first_token(served.provider).observe(record.first_token_s)

    def _observe_decisions(self, record: Record) -> None:
        blocked = False
        for decision in record.decisions:
            if decision.outcome == "pass":
                continue
            if decision.layer == "input_guard":
                self._totals["pii"] += decision.reason == "pii"
                self._totals["injection"] += decision.reason == "prompt_injection"
            if decision.outcome == "block":
                blocked = True
                self.blocked(decision.layer, decision.reason).inc()
                if decision.layer == "rate_limit":
                    self.rate_limited().inc()
            elif decision.outcome in ("flag", "mask"):
                self.flagged(decision.layer, decision.reason).inc()
            elif decision.outcome == "error":
                self.errors(decision.layer, decision.reason).inc()
        self._totals["blocked"] += blocked

    def summary(self) -> dict[str, object]:
        """The JSON form of `/metrics`; latencies in milliseconds, the newest last."""
        total = self._totals["total"]
        return {
            "total_requests": total,
            "successful_requests": self._totals["successful"],
            "blocked_requests": self._totals["blocked"],
            "average_latency_ms": round(self._latency_sum_s / total * 1000, 3) if total else 0.0,
            "provider_usage": dict(self._usage),
            "cascade_failures": self._totals["failed"],
            "pii_detections": self._totals["pii"],
            "injection_detections": self._totals["injection"],
            "latency_history": [round(latency * 1000, 3) for latency in self._latencies],
        }


M = TypeVar("M", Counter, Histogram)


class _Series(Generic[M]):
    """A metric whose series are found by one look-up: `labels()` checks, converts and locks each time."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._known: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        series = self._known.get(labels)
        if series is None:
            series = self._known[labels] = self._metric.labels(*labels) if labels else self._metric
        return series


class _BreakerStates:
    """Reads the breakers when scraped: the worst state among a service's known targets."""

    def __init__(self, router: Router, breakers: Breakers) -> None:
        self._router = router
        self._breakers = breakers

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("gateway_breaker_state", "0 closed, 1 half-open, 2 open.", labels=["provider"])
        for service in self._router.services:
            state = self._breakers.state(service.target(None))
            family.add_metric([service.name], _STATES[state])
        yield family
