"""Every part built once, and the walk: how a request passes through."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from gateway.allowance import ServiceAllowance
from gateway.announcements import Announcements
from gateway.auth_status import AuthStats, LiveKeys
from gateway.docs import ROUTES, documented
from gateway.heartbeat import Heartbeat
from gateway.key_store import KeyStore
from gateway.keys import environment_keys
from gateway.live import LiveConfig, Routing
from gateway.live_policies import LivePolicies
from gateway.metrics import Metrics
from gateway.openapi import Walk
from gateway.redis import GuardedRedis, connect, wait_until_reachable, warn_of_eviction
from gateway.router_status import RouterStats
from gateway.routes import NOT_FOUND, Endpoint, RouteMiddleware, Screen
from gateway.safety import local_chain, safety_chain, safety_facts
from gateway.settings import Settings, SettingsError, load_settings
from gateway.status import NAME, Health, Store
from gateway.stored_keys import InOrder, StoredKeys
from gateway.surfaces.models import ModelList
from gateway.table import NAMES_BELOW, OPENAI, STATUS_ROUTES, Parts, table
from gateway.tally import Tallies
from gateway.usage import LedgerNames, UsageReader
from gateway.webhook_address import is_public
from gateway.webhooks import WebhookMiddleware, Webhooks, signing_key
from middleware.accounts import Accounts
from middleware.address import ClientAddress
from middleware.auth import AuthMiddleware
from middleware.body import BodyMiddleware
from middleware.coverage import CoverageMiddleware
from middleware.crash import CrashMiddleware
from middleware.degrading import DegradingLimiter
from middleware.degrading_accounts import DegradingAccounts
from middleware.edge import EdgeMiddleware
from middleware.input_guard import InputGuardMiddleware
from middleware.limits import Window
from middleware.metrics import MetricsMiddleware
from middleware.rate_limit import RateLimitMiddleware, SlidingWindow, WrongKeyLimit
from middleware.record import Layer, RecordMiddleware
from middleware.refusal import PLAIN, Dialect
from middleware.safety import SafetyMiddleware
from middleware.static_keys import StaticKeys
from providers.breaker import BreakerSettings, LocalBreakers
from providers.cascade import Cascade, CascadeSettings
from providers.client import HttpClient
from providers.demo import WithDemo
from providers.latencies import MovingLatencies
from providers.retry_budget import RetryBudget
from providers.shared_breakers import SharedBreakers

ANONYMOUS = (Window(10, 60),)
"""What an address may ask for without a key, on each route that allows it."""
WRONG_KEYS = Window(20, 60)
EXPOSED = (
    "X-Request-ID",
    "Retry-After",
    *(f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset", "Mode")),
    *(
        f"X-Gateway-{name}"
        for name in ("Provider", "Model", "Attempts", "Cost-USD", "Overhead-Ms", "Cache", "Dropped", "Estimated")
    ),
)
"""Headers that a page of an allowed origin may read."""
ALLOWED = (
    *("Authorization", "Content-Type", "X-API-Key", "X-Request-ID"),
    *("X-Gateway-Session", "X-Gateway-Explain", "Anthropic-Version", "Anthropic-Beta"),
)
"""Headers that it may send."""


def create_app(environment: Mapping[str, str], *, reread: Callable[[], Mapping[str, str]] | None = None) -> Starlette:
    """
    The whole gateway as one ASGI application.

    `reread` makes the environment anew for `/auth/reload-keys`; without it, keys are those of `environment` for good.
    Raises `SettingsError` with every problem of the configuration. Nothing is connected before the lifespan starts;
    there an unreachable Redis is an error too, unless `REDIS_REQUIRED=false`.
    """
    settings = load_settings(environment)
    latencies = MovingLatencies()
    live = LiveConfig(settings, environment, settings.gateway_config, latencies=latencies)

    redis = connect(settings.redis_url, timeout_ms=settings.redis_timeout_ms)
    window = SlidingWindow(redis, prefix=settings.redis_prefix)

    def replicas() -> int:
        return 1 if heartbeat is None else heartbeat.replicas

    limiter = DegradingLimiter(window, replicas=replicas)
    ledger = Accounts(redis, prefix=settings.redis_prefix, name=LedgerNames(live))
    accounts = DegradingAccounts(ledger, limiter, replicas=replicas)
    address = ClientAddress(settings.trusted_proxies)
    announcements = Announcements(redis, prefix=settings.redis_prefix)
    keys = LiveKeys(lambda: _keys(environment if reread is None else reread()))
    key_store = KeyStore(redis, prefix=settings.redis_prefix, announcements=announcements)
    stored_keys = StoredKeys(key_store, announcements, file_tenants=lambda: live.current.tenants)
    all_keys = InOrder(keys, stored_keys)  # the environment's first: they need no Redis
    policies = LivePolicies(live)
    http = HttpClient(connect_timeout_s=settings.connect_timeout)
    terms = BreakerSettings(
        failure_rate=settings.breaker_failure_rate,
        window_s=settings.breaker_window_s,
        min_calls=settings.breaker_min_calls,
        open_s=settings.breaker_open_s,
        max_open_s=settings.breaker_max_open_s,
        slow_call_s=settings.breaker_slow_call_s,
        slow_call_rate=settings.breaker_slow_call_rate,
    )
    shared = None
    if settings.redis_url is not None:
        shared = SharedBreakers(terms, redis, prefix=settings.redis_prefix, announcements=announcements)
    breakers = shared or LocalBreakers(terms)
    allowance = ServiceAllowance(live, window)
    client = WithDemo(http)
    cascade = Cascade(
        client,
        breakers,
        # At the prices of the moment it ends: a reload in between is told from that moment on.
        price=lambda target, model, usage: live.current.prices.cost_usd(target, model, usage),
        settings=CascadeSettings(
            request_timeout_s=settings.request_timeout,
            first_token_timeout_s=settings.first_token_timeout,
            idle_timeout_s=settings.stream_idle_timeout,
            total_timeout_s=settings.total_timeout,
            max_retries=settings.max_retries,
            retry_after_max_wait_s=settings.retry_after_max_wait,
            recovery=settings.stream_recovery,
        ),
        allowance=allowance,
        retry_budget=RetryBudget(replicas=replicas),
    )

    async def replay() -> None:
        await limiter.replay()
        await ledger.flush()

    heartbeat = None
    if isinstance(redis, GuardedRedis):
        heartbeat = Heartbeat(redis, prefix=settings.redis_prefix, replay=replay)
    tallies = Tallies(redis, prefix=settings.redis_prefix)
    metrics = Metrics(live, breakers, tallies, replicas=replicas, uncounted=(*STATUS_ROUTES, *ROUTES))
    classifier = safety_chain(settings, environment, http, metrics.verdicts)
    router_tally, auth_tally = tallies.tally("router-stats"), tallies.tally("auth-stats")
    observers = (metrics, RouterStats(router_tally, latencies), AuthStats(auth_tally))
    store = Store(redis, embedded=settings.redis_url is None)
    facts = {"version": version(NAME)}

    async def reload() -> Routing:
        return await asyncio.to_thread(live.reload)

    webhooks = _webhooks(settings)

    rows = documented(
        table(
            Parts(
                settings=settings,
                live=live,
                reload=reload,
                cascade=cascade,
                breakers=breakers,
                allowance=allowance,
                models=ModelList(live, client),
                policies=policies,
                classifier=classifier,
                local_classifier=local_chain(settings, http, metrics.verdicts),
                metrics=metrics,
                health=Health(
                    live=live,
                    policies=policies,
                    breakers=breakers,
                    store=store,
                    facts=facts,
                    safety=partial(safety_facts, settings, classifier),
                ),
                keys=keys,
                key_store=key_store,
                router_tally=router_tally,
                auth_tally=auth_tally,
                usage=UsageReader(redis, ledger.flush, prefix=settings.redis_prefix),
            )
        ),
        version=version(NAME),
        walk=Walk(settings.enable_auth, settings.enable_safety, settings.auth_header_name),
    )

    def judges(endpoint: Endpoint) -> list[Layer]:
        """The layers without whose verdict no answer of this route leaves."""
        wanted: dict[Screen, tuple[Layer, bool]] = {
            "guard": ("input_guard", True),
            "safety": ("safety", settings.enable_safety),
            "output": ("output", True),
        }
        return [layer for screen, (layer, on) in wanted.items() if on and screen in endpoint.screens]

    def walk(endpoint: Endpoint) -> list[Middleware]:
        """The layers of one route, outermost first: cheap before dear, nobody's body before their key."""
        limit = Middleware(
            RateLimitMiddleware,
            limiter=limiter,
            windows=settings.rate_limit,
            anonymous=ANONYMOUS if settings.enable_auth else None,
            bucket=endpoint.path,
            address=address,
            accounts=accounts,
            estimate=endpoint.estimate,
            body=endpoint.parse is not None,
        )
        same_path = [method for row in rows if row.path == endpoint.path for method in row.methods]
        layers = [Middleware(RouteMiddleware, endpoint=endpoint, allowed=same_path)]  # which route? 405
        if endpoint.auth != "public" and settings.enable_auth:
            layers.append(  # who is asking? 401, 403
                Middleware(
                    AuthMiddleware,
                    keys=all_keys,
                    required=endpoint.auth,
                    scope=endpoint.scope,
                    header_name=settings.auth_header_name,
                    failures=WrongKeyLimit(limiter, window=WRONG_KEYS),
                    address=address,
                )
            )
        if endpoint.auth != "public":
            layers.append(limit)  # too often? 429
        if endpoint.parse is not None:
            max_bytes = settings.body_limit(images=endpoint.images)
            layers.append(  # what is asked? 400, 413, 422
                Middleware(BodyMiddleware, parse=endpoint.parse, max_bytes=max_bytes, optional=endpoint.optional_body)
            )
            if endpoint.auth != "public":
                layers.append(limit)  # worth several, or costly? 402, 429
        if judged := judges(endpoint):
            layers.append(Middleware(CoverageMiddleware, layers=judged))  # no verdict, no answer: 503
        if "guard" in endpoint.screens:
            layers.append(
                Middleware(InputGuardMiddleware, guard=policies, choose=policies.guard)
            )  # injection, PII? 422
        if "safety" in endpoint.screens and settings.enable_safety:
            layers.append(  # harmful? 422
                Middleware(
                    SafetyMiddleware,
                    classifier=classifier,
                    fail_mode=settings.safety_fail_mode,
                    mode=settings.safety_mode,
                    choose=policies.safety,
                )
            )
        return layers

    dialects = {row.path: row.dialect for row in rows}

    def dialect_of(path: str) -> Dialect:
        return dialects.get(path) or (OPENAI if path.startswith("/v1/") else PLAIN)

    def route(endpoint: Endpoint) -> Route:
        """Of rows that share a path each takes its own methods, and the last what none of them has."""
        is_last = endpoint is next(row for row in reversed(rows) if row.path == endpoint.path)
        methods = None if is_last else endpoint.methods
        return Route(endpoint.path, endpoint.app, methods=methods, middleware=walk(endpoint))

    def rest(prefix: str, dialect: Dialect) -> Mount:
        """Whatever the table does not name: 401 to strangers, 404 to those with a key."""
        return Mount(prefix, NOT_FOUND, middleware=walk(Endpoint("unmatched", (), "key", NOT_FOUND, dialect=dialect)))

    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[*ALLOWED, settings.auth_header_name],
        expose_headers=EXPOSED,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if settings.redis_url is not None and settings.redis_required and not await wait_until_reachable(redis):
            raise SettingsError(["REDIS_URL: Redis does not answer"])
        # What is built by now stays for good; and requests make no cycles worth looking for every 700 objects.
        # Measured: an eighth less CPU per request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            stack.push_async_callback(limiter.aclose)
            stack.push_async_callback(ledger.aclose)
            if heartbeat is not None:
                await stack.enter_async_context(heartbeat.beating())
                await stack.enter_async_context(announcements.listening())
                await stack.enter_async_context(stored_keys.following())
                await warn_of_eviction(redis)
            if shared is not None:
                await stack.enter_async_context(shared.syncing())
            if webhooks is not None:
                await stack.enter_async_context(webhooks.delivering())
            for part in (http, live.watch(), tallies.flushing()):
                await stack.enter_async_context(part)
            yield

    return Starlette(
        routes=[*map(route, rows), rest("/v1", OPENAI), rest("/", PLAIN)],
        middleware=[
            Middleware(RecordMiddleware),
            Middleware(MetricsMiddleware, observers=observers),
            *([] if webhooks is None else [Middleware(WebhookMiddleware, webhooks=webhooks)]),
            Middleware(CrashMiddleware),
            *([cors] if settings.allowed_origins else ()),
            Middleware(
                EdgeMiddleware,
                max_body_bytes=settings.body_limit(images=True),
                names_below=NAMES_BELOW,
                dialect_of=dialect_of,
            ),
        ],
        lifespan=lifespan,
    )


def _webhooks(settings: Settings) -> Webhooks | None:
    url, secret = settings.webhook_url, settings.webhook_secret
    if url is None or secret is None:
        return None
    return Webhooks(
        url.get_secret_value(),
        signing_key(secret.get_secret_value()),
        settings.data_dir / "webhooks",
        permits=None if settings.webhook_allow_private else is_public,
    )


def _keys(environment: Mapping[str, str]) -> StaticKeys:
    return environment_keys(load_settings(environment).client_keys())
