"""The fleet's metrics: counted from the records of finished requests, told as Prometheus families or as a summary."""

import time
from collections.abc import Callable, Iterable
from decimal import Decimal

from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.live import LiveConfig, Routing
from gateway.series import FleetCounter, FleetHistogram, by_family
from gateway.tally import Tallies
from middleware.record import Record
from providers.breaker import Breakers

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OVERHEAD = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_NANO = 1_000_000_000
_STATES = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """
    Counts requests by closed sets of labels: route templates, statuses, configured services and models.

    A model name that no service is configured with is counted as `other`, so callers cannot make series. Counters and
    histograms are the fleet's, breakers and the store as this replica sees them. `replicas` tells how many are alive;
    routes of `uncounted` count as requests but not in the summary or the durations.

    An observer of finished requests, and a collector for prometheus_client's encoders.
    """

    def __init__(
        self,
        live: LiveConfig,
        breakers: Breakers,
        tallies: Tallies,
        *,
        replicas: Callable[[], int],
        uncounted: Iterable[str] = (),
    ) -> None:
        self._tallies = tallies
        self._tally = tally = tallies.tally("metrics")
        self._latencies_us = tallies.recent("latencies")
        self._replicas = replicas
        self._uncounted = frozenset(uncounted)
        self._live = live
        self._breakers = breakers
        self._routing: Routing | None = None
        self._models: frozenset[str] = frozenset()
        self.requests = FleetCounter(tally, "requests", "Requests by route template and status.", "route", "status")
        self.duration = FleetHistogram(
            tally, "request_duration_seconds", "From arrival to the end of the answer.", _SECONDS
        )
        self.overhead = FleetHistogram(tally, "overhead_seconds", "The gateway's own share of the duration.", _OVERHEAD)
        self.blocked = FleetCounter(tally, "blocked", "Requests refused by a security layer.", "layer", "reason")
        self.flagged = FleetCounter(tally, "flagged", "Findings that were let pass by policy.", "layer", "reason")
        self.errors = FleetCounter(
            tally, "layer_errors", "Security layers that could not give a verdict.", "layer", "reason"
        )
        self.verdicts = FleetCounter(
            tally, "safety_verdicts", "What safety classifiers said, by TOXICITY_THRESHOLD.", "classifier", "outcome"
        )
        self.skipped_events = FleetCounter(
            tally, "stream_events_skipped", "Events of provider streams that were unreadable."
        )
        self.rate_limited = FleetCounter(tally, "rate_limited", "Requests refused by the rate limiter.")
        self.attempts = FleetCounter(
            tally, "provider_attempts", "Calls to providers by outcome.", "provider", "outcome"
        )
        self.provider_latency = FleetHistogram(
            tally, "provider_latency_seconds", "Duration of answered calls to providers.", _SECONDS, "provider"
        )
        self.first_token = FleetHistogram(
            tally, "time_to_first_token_seconds", "From arrival to the first token of a stream.", _SECONDS, "provider"
        )
        self.tokens = FleetCounter(
            tally, "tokens", "Tokens as providers counted them.", "provider", "model", "direction"
        )
        self.cost = FleetCounter(tally, "cost_usd", "Cost of answers in USD.", "provider", "model", per_unit=_NANO)
        self.cache = FleetCounter(tally, "cache", "Requests for an answer by what the cache had.", "result")
        self._families = (
            *(self.requests, self.duration, self.overhead, self.blocked, self.flagged, self.errors),
            *(self.verdicts, self.skipped_events, self.rate_limited),
            *(self.attempts, self.provider_latency, self.first_token),
            *(self.tokens, self.cost, self.cache),
        )
        # For the summary alone.
        self._served = FleetCounter(tally, "served", "Answers by provider.", "provider")
        self._refused = FleetCounter(tally, "refused", "Requests that at least one layer refused.")
        self._failed = FleetCounter(tally, "cascade_failures", "Requests that no provider answered.")
        self._found = FleetCounter(tally, "found", "What the input guard found.", "reason")

    def observe(self, record: Record) -> None:
        now = time.perf_counter()
        elapsed_s = now - record.started
        self.requests.add(1, record.route, str(record.status))
        if record.route in self._uncounted:
            return
        self.duration.observe(elapsed_s)
        self.overhead.observe(record.own_s(now))
        self._latencies_us.add(int(elapsed_s * 1e6))
        self._observe_decisions(record)
        for attempt in record.attempts:
            self.attempts.add(1, attempt.service, attempt.reason or attempt.status)
            if attempt.status == "success":
                self.provider_latency.observe(attempt.latency_s, attempt.service)
        if record.skipped_events:
            self.skipped_events.add(record.skipped_events)
        if record.attempts:
            # No layer answers from a cache.
            self.cache.add(1, "off")
            if not record.served:
                self._failed.add(1)
        for served in record.served:
            provider = served.provider
            self._served.add(1, provider)
            model = served.model if served.model in self._configured_models() else "other"
            self.tokens.add(served.input_tokens, provider, model, "input")
            self.tokens.add(served.output_tokens, provider, model, "output")
            self.cost.add(int((served.cost_usd or Decimal(0)) * _NANO), provider, model)
            if record.first_token_s is not None:
                self.first_token.observe(record.first_token_s, provider)

    def _configured_models(self) -> frozenset[str]:
        """The upstream names of all models that the configuration of the moment lists."""
        routing = self._live.current
        if routing is not self._routing:
            self._routing = routing
            self._models = frozenset(
                target.model
                for service in routing.router.services
                for name in (None, *service.models)
                for target in service.targets(name)[:1]
            )
        return self._models

    def _observe_decisions(self, record: Record) -> None:
        blocked = False
        for decision in record.decisions:
            if decision.outcome == "pass":
                continue
            if decision.layer == "input_guard" and decision.reason in ("pii", "prompt_injection"):
                self._found.add(1, decision.reason)
            if decision.outcome == "block" and not blocked:
                blocked = True  # one refusal, whatever else would have been one
                self.blocked.add(1, decision.layer, decision.reason)
                if decision.layer == "rate_limit":
                    self.rate_limited.add(1)
            elif decision.outcome in ("flag", "mask", "block"):
                self.flagged.add(1, decision.layer, decision.reason)
            elif decision.outcome == "error":
                self.errors.add(1, decision.layer, decision.reason)
        if blocked:
            self._refused.add(1)

    async def sync(self) -> None:
        """Bring `collect` and `summary` up to date with the fleet: one round trip."""
        await self._tallies.sync()

    def collect(self) -> Iterable[Metric]:
        """Every family, those without samples too."""
        counted = by_family(self._tally.counts())
        for family in self._families:
            yield family.family(counted)
        yield GaugeMetricFamily("gateway_redis_up", "1 when the store answers.", self._tallies.up)
        yield GaugeMetricFamily("gateway_replicas", "Processes alive at the last heartbeat.", self._replicas())
        yield self._breaker_states()

    def _breaker_states(self) -> Metric:
        """The worst state among a service's known targets."""
        family = GaugeMetricFamily("gateway_breaker_state", "0 closed, 1 half-open, 2 open.", labels=["provider"])
        for service in self._live.current.router.services:
            state = self._breakers.state(service.targets(None)[0])
            family.add_metric([service.name], _STATES[state])
        return family

    def summary(self) -> dict[str, object]:
        """The JSON form of `/metrics`; latencies in milliseconds, the newest last."""
        counted = by_family(self._tally.counts())
        total, sum_s = self.duration.totals(counted)
        found = self._found.series(counted)
        return {
            "total_requests": total,
            "successful_requests": sum(
                amount
                for (route, status), amount in self.requests.series(counted).items()
                if route not in self._uncounted and status.startswith("2")
            ),
            "blocked_requests": self._refused.total(counted),
            "average_latency_ms": round(sum_s / total * 1000, 3) if total else 0.0,
            "provider_usage": {provider: amount for (provider,), amount in self._served.series(counted).items()},
            "cascade_failures": self._failed.total(counted),
            "pii_detections": found.get(("pii",), 0),
            "injection_detections": found.get(("prompt_injection",), 0),
            "latency_history": [latency_us / 1000 for latency_us in self._latencies_us.numbers()],
        }
