"""What the gateway says of itself: `/`, `/health`, `/providers`, `/metrics`."""

import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.json_response import json_response
from gateway.live import LiveConfig
from gateway.live_policies import LivePolicies
from gateway.metrics import Metrics
from gateway.redis import GuardedRedis, answers
from gateway.router_status import service_state
from middleware.auth import UNAUTHORIZED
from providers.breaker import Breakers
from providers.pricing import source
from providers.registry import Service

NAME = "llm-secure-gateway"
STORE_CHECK_S = 1.0
"""How long a look at the store is good for: health is asked often, by anybody."""


class Index:
    """`GET /`: name, version, links."""

    def __init__(self, version: str) -> None:
        names = ("docs", "redoc", "openapi.json", "health", "query", "v1/models", "providers", "metrics")
        links = {name.rpartition("/")[2].removesuffix(".json"): f"/{name}" for name in names}
        self._response = json_response({"name": NAME, "version": version, "links": links})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


class Store:
    """Whether the store answers. No look is needed while the client knows it is away."""

    def __init__(self, redis: Redis, *, embedded: bool) -> None:
        self.embedded = embedded
        self._redis = redis
        self._checked = float("-inf")
        self._up = True

    async def up(self) -> bool:
        now = time.monotonic()
        if isinstance(self._redis, GuardedRedis) and not self._redis.up:
            self._checked, self._up = float("-inf"), False
        elif now - self._checked >= STORE_CHECK_S:
            self._checked = now
            self._up = await answers(self._redis)
        return self._up


class Health:
    """
    `GET /health` and `/health/ready`: what works. No model is called.

    `degraded` means requests are served with less: the store does not answer, no service would be asked now, or no
    safety classifier.
    """

    def __init__(
        self,
        *,
        live: LiveConfig,
        policies: LivePolicies,
        breakers: Breakers,
        store: Store,
        facts: Mapping[str, Any],
        safety: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.live = live
        self.policies = policies
        self.breakers = breakers
        self.store = store
        self.facts = facts
        self.safety = safety
        self._started = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        store_up = await self.store.up()
        states = {
            service.name: service_state(service.targets(None), self.breakers)
            for service in self.live.current.router.services
        }
        available = [name for name, state in states.items() if state != "open" and state != "put_aside"]
        safety = self.safety()
        breakers = safety.get("breakers", {})
        judged = not breakers or "closed" in breakers.values()
        body = {
            "status": "healthy" if store_up and available and judged else "degraded",
            "provider": (available or list(states))[0],
            "timestamp": datetime.now(UTC).isoformat(),
            "details": {
                **self.facts,
                "safety": safety,
                "guard": self.policies.facts(),
                "uptime_s": round(time.monotonic() - self._started, 1),
                "store": {
                    "kind": "embedded" if self.store.embedded else "redis",
                    "up": store_up,
                    "mode": "normal" if store_up else "degraded",
                },
                "providers": states,
            },
        }
        await json_response(body)(scope, receive, send)


class Live:
    """`GET /health/live`: the process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await json_response({"status": "healthy"})(scope, receive, send)


class Providers:
    """`GET /providers`: services, models, prices, breakers; never a key or an address."""

    def __init__(self, live: LiveConfig, breakers: Breakers) -> None:
        self.live = live
        self.breakers = breakers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entries = [self._entry(service) for service in self.live.current.router.services]
        await json_response({"providers": entries, "prices": source()})(scope, receive, send)

    def _entry(self, service: Service) -> dict[str, Any]:
        models = list(service.models) or [service.default_model]
        targets = service.targets(None)
        return {
            "name": service.name,
            "type": service.backend_type,
            "priority": service.priority,
            "weight": service.weight,
            "default_model": service.default_model,
            "models": [
                {
                    "id": model,
                    "price_usd_per_mtok": self._price(service, model),
                    "breaker": self.breakers.state(service.targets(model)[0]),
                }
                for model in models
            ],
            "breaker": self.breakers.state(targets[0]),
            "put_aside_s": round(min(self.breakers.aside_s(target) for target in targets), 1),
        }

    def _price(self, service: Service, model: str) -> dict[str, float] | None:
        target = service.targets(model)[0]
        price = self.live.current.prices.list_price(target, target.model)
        return None if price is None else {"input": float(price[0]), "output": float(price[1])}


class MetricsEndpoint:
    """`GET /metrics`: Prometheus text or OpenMetrics by `Accept`, the JSON summary for `application/json`."""

    def __init__(self, metrics: Metrics, *, token: SecretStr | None) -> None:
        self.metrics = metrics
        self._expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        given = headers.get("authorization", "").encode("latin-1")
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            await UNAUTHORIZED(scope, receive, send)
            return
        await self.metrics.sync()
        accept = headers.get("accept", "")
        if accept.partition(",")[0].partition(";")[0].strip() == "application/json":
            response = json_response(self.metrics.summary())
        else:
            encode, content_type = choose_encoder(accept)
            response = Response(encode(self.metrics), media_type=content_type)
        await response(scope, receive, send)
