"""What the gateway says of itself: `/`, `/health`, `/providers`, `/metrics`."""

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.json_response import json_response
from gateway.metrics import Metrics
from gateway.redis import answers
from middleware.auth import UNAUTHORIZED
from providers.breaker import Breakers
from providers.pricing import list_price, source
from providers.registry import Service
from providers.routing import Router

NAME = "llm-secure-gateway"
STORE_CHECK_S = 1.0
"""How long a look at the store is good for: health is asked often, by anybody."""


class Index:
    """`GET /`: name, version, links."""

    def __init__(self, version: str) -> None:
        links = {"health": "/health", "query": "/query", "providers": "/providers", "metrics": "/metrics"}
        self._response = json_response({"name": NAME, "version": version, "links": links})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


class Store:
    """Whether the store answers; also keeps the metric true."""

    def __init__(self, redis: Redis, metrics: Metrics, *, embedded: bool) -> None:
        self.embedded = embedded
        self._redis = redis
        self._metrics = metrics
        self._checked = float("-inf")
        self._up = True

    async def up(self) -> bool:
        now = time.monotonic()
        if now - self._checked >= STORE_CHECK_S:
            self._checked = now
            self._up = await answers(self._redis)
            self._metrics.redis_up.set(self._up)
        return self._up


class Health:
    """
    `GET /health` and `/health/ready`: what works. No model is called.

    `degraded` means requests are served with less: the store does not answer, or no service would be asked now.
    """

    def __init__(
        self,
        *,
        router: Router,
        breakers: Breakers,
        store: Store,
        facts: Mapping[str, Any],
    ) -> None:
        self.router = router
        self.breakers = breakers
        self.store = store
        self.facts = facts
        self._started = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        store_up = await self.store.up()
        states = {service.name: self._state(service) for service in self.router.services}
        available = [name for name, state in states.items() if state != "open" and state != "put_aside"]
        body = {
            "status": "healthy" if store_up and available else "degraded",
            "provider": (available or list(states))[0],
            "timestamp": datetime.now(UTC).isoformat(),
            "details": {
                **self.facts,
                "uptime_s": round(time.monotonic() - self._started, 1),
                "store": {"kind": "embedded" if self.store.embedded else "redis", "up": store_up},
                "providers": states,
            },
        }
        await json_response(body)(scope, receive, send)

    def _state(self, service: Service) -> str:
        if self.breakers.aside_s(service.name) > 0:
            return "put_aside"
        return self.breakers.state(service.target(None))


class Live:
    """`GET /health/live`: the process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await json_response({"status": "healthy"})(scope, receive, send)


class Providers:
    """`GET /providers`: services, models, prices, breakers; never a key or an address."""

    def __init__(self, router: Router, breakers: Breakers) -> None:
        self.router = router
        self.breakers = breakers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entries = [self._entry(service) for service in self.router.services]
        await json_response({"providers": entries, "prices": source()})(scope, receive, send)

    def _entry(self, service: Service) -> dict[str, Any]:
        models = list(service.models) or [service.default_model]
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
                    "breaker": self.breakers.state(service.target(model)),
                }
                for model in models
            ],
            "breaker": self.breakers.state(service.target(None)),
            "put_aside_s": round(self.breakers.aside_s(service.name), 1),
        }

    def _price(self, service: Service, model: str) -> dict[str, float] | None:
        price = list_price(service.prices_id, service.target(model).model)
        return None if price is None else {"input": float(price[0]), "output": float(price[1])}


class MetricsEndpoint:
    """`GET /metrics`: Prometheus text or OpenMetrics by `Accept`, the JSON summary for `application/json`."""

    def __init__(self, metrics: Metrics, store: Store, *, token: SecretStr | None) -> None:
        self.metrics = metrics
        self.store = store
        self._expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        given = headers.get("authorization", "").encode("latin-1")
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            await UNAUTHORIZED(scope, receive, send)
            return
        await self.store.up()
        accept = headers.get("accept", "")
        if accept.partition(",")[0].partition(";")[0].strip() == "application/json":
            response = json_response(self.metrics.summary())
        else:
            encode, content_type = choose_encoder(accept)
            response = Response(encode(self.metrics.registry), media_type=content_type)
        await response(scope, receive, send)
