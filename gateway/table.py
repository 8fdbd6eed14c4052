"""The route table, row by row: what the gateway serves, to whom, and in which dialect."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from gateway import answers
from gateway.admin import (
    KEY_PAGING,
    TENANT_PAGING,
    Admin,
    AdminEndpoint,
    parse_key_change,
    parse_new_key,
    parse_new_tenant,
    parse_rotation,
    parse_tenant_change,
)
from gateway.allowance import ServiceAllowance
from gateway.auth_status import AuthMetrics, AuthStatus, LiveKeys, ReloadConfig, ReloadKeys
from gateway.checks import BatchResilience, BatchSecurity, CheckToxicity
from gateway.exchange import ChatEndpoint, Surface
from gateway.key_records import KeyChange, KeyScope, NewKey, NewTenant, Rotation, TenantChange
from gateway.key_store import KeyStore
from gateway.live import LiveConfig, Routing
from gateway.live_policies import LivePolicies
from gateway.metrics import Metrics
from gateway.query import QuerySurface
from gateway.router_status import BackendInfo, RateLimits, ResetTally, RouterHealth, Stats
from gateway.routes import ANSWERED, SCREENS, Endpoint, Screen
from gateway.schema import batch_body, parser, query_body, toxicity_body
from gateway.settings import Settings
from gateway.status import NAME, Health, Index, Live, MetricsEndpoint, Providers
from gateway.surfaces import prompt
from gateway.surfaces.chat import ChatSurface
from gateway.surfaces.chat_body import ChatCompletionRequest
from gateway.surfaces.embeddings import EmbeddingsEndpoint, EmbeddingsRequest
from gateway.surfaces.messages import CountTokens, MessagesSurface
from gateway.surfaces.messages_body import CountTokensRequest, MessagesRequest
from gateway.surfaces.models import ModelList, Models, OneModel
from gateway.surfaces.responses import ResponsesSurface
from gateway.surfaces.responses_body import ResponsesRequest
from gateway.tally import Tally
from gateway.usage import UsageReader, UsageReport
from middleware.refusal import PLAIN, AnthropicDialect, Dialect, OpenAIDialect
from middleware.scope import Prompt
from providers.breaker import Breakers
from providers.cascade import Cascade
from providers.classifiers.chain import ClassifierChain

MAX_SECURITY_PROMPTS = 20
MAX_RESILIENCE_PROMPTS = 10
STATUS_ROUTES = ("/", "/health", "/health/live", "/health/ready", "/metrics")
"""Asked by machines all the time: not counted among the requests."""
NAMES_BELOW = ("/v1/models/",)
"""Paths below which the rest is a model's name, in which a slash may be encoded."""

OPENAI = OpenAIDialect()
ANTHROPIC = AnthropicDialect()
EVENTS = ("text/event-stream",)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints are made of."""

    settings: Settings
    live: LiveConfig
    reload: Callable[[], Awaitable[Routing]]
    cascade: Cascade
    breakers: Breakers
    allowance: ServiceAllowance
    models: ModelList
    policies: LivePolicies
    classifier: ClassifierChain | None
    local_classifier: ClassifierChain
    metrics: Metrics
    health: Health
    keys: LiveKeys
    key_store: KeyStore
    router_tally: Tally
    auth_tally: Tally
    usage: UsageReader


def table(parts: Parts) -> list[Endpoint]:
    rows = [
        *(*_gateway(parts), *_openai(parts), *_anthropic(parts)),
        *(*_router(parts), *_auth(parts), *_admin(parts), *_status(parts)),
    ]
    # Without keys nobody is an admin: what only they may do is then not to be had, rather than to be had by all.
    return [row for row in rows if parts.settings.enable_auth or row.auth != "admin"]


def _gateway(parts: Parts) -> list[Endpoint]:
    """The gateway's own API."""
    settings = parts.settings
    chars = settings.max_prompt_chars
    asked = query_body(max_prompt_chars=chars, max_tokens=settings.max_tokens_query)
    toxicity = toxicity_body(max_chars=chars)
    security = batch_body("SecurityRequest", max_prompts=MAX_SECURITY_PROMPTS, max_chars=chars)
    resilience = batch_body("ResilienceRequest", max_prompts=MAX_RESILIENCE_PROMPTS, max_chars=chars)
    check_toxicity = CheckToxicity(
        parts.classifier or parts.local_classifier,
        unkeyed=parts.local_classifier if settings.enable_auth else None,
        policies=parts.policies,
    )
    query, batch = _chat(QuerySurface(), parts), BatchResilience(parts.cascade, parts.live, parts.policies)
    return [
        Endpoint(
            "/query",
            ("POST",),
            "key",
            query,
            parser(asked),
            ANSWERED,
            estimate=query.estimate,
            tag="Gateway",
            summary="A prompt in, an answer out, through the cascade",
            scope="query",
            body=asked,
            answers=dict.fromkeys((200, 429, 502, 503, 504), answers.QueryAnswer),
            media=EVENTS,
            asks=True,
            refuses=(403,),
        ),
        Endpoint(
            "/batch/resilience",
            ("POST",),
            "key",
            batch,
            parser(resilience),
            ANSWERED,
            batch=True,
            estimate=batch.estimate,
            tag="Gateway",
            summary="Several prompts through the cascade at once",
            scope="query",
            body=resilience,
            answers={200: answers.ResilienceAnswer},
            refuses=(403,),
        ),
        # Their answer is the verdict itself, so nothing may refuse the text before they see it.
        Endpoint(
            "/batch/security",
            ("POST",),
            "optional",
            BatchSecurity(parts.policies),
            parser(security),
            batch=True,
            tag="Checks",
            summary="What the input guard finds in each prompt",
            scope="checks",
            body=security,
            answers={200: answers.SecurityAnswer},
        ),
        Endpoint(
            "/check-toxicity",
            ("POST",),
            "optional",
            check_toxicity,
            parser(toxicity),
            tag="Checks",
            summary="The safety classifiers' verdict on a text",
            scope="checks",
            body=toxicity,
            answers={200: answers.ToxicityAnswer},
        ),
    ]


def _openai(parts: Parts) -> list[Endpoint]:
    limit = parts.settings.max_tokens_chat
    embeddings = EmbeddingsEndpoint(cascade=parts.cascade, live=parts.live, breakers=parts.breakers)
    return [
        _ask(
            "/v1/chat/completions",
            _chat(ChatSurface(max_tokens=limit), parts),
            ChatCompletionRequest,
            answers.ChatCompletion,
            "OpenAI",
            "OpenAI's chat completions, over any service",
        ),
        _ask(
            "/v1/responses",
            _chat(ResponsesSurface(max_tokens=limit), parts),
            ResponsesRequest,
            answers.ResponsesAnswer,
            "OpenAI",
            "OpenAI's Responses, stateless, over any service",
        ),
        _ask(
            "/v1/embeddings",
            embeddings,
            EmbeddingsRequest,
            answers.EmbeddingsAnswer,
            "OpenAI",
            "Texts in, vectors out",
            SCREENS,
            scope="embeddings",
            streams=False,
            images=False,
        ),
        _get(
            "/v1/models",
            Models(parts.models),
            "OpenAI",
            "What may be asked for",
            answers.ModelsAnswer,
            OPENAI,
            scope="models",
        ),
        _get(
            "/v1/models/{id:path}",
            OneModel(parts.models),
            "OpenAI",
            "One model; its id may hold '/' and ':'",
            answers.ListedModelAnswer,
            OPENAI,
            refuses=(404,),
            scope="models",
        ),
    ]


def _anthropic(parts: Parts) -> list[Endpoint]:
    return [
        _ask(
            "/v1/messages",
            _chat(MessagesSurface(max_tokens=parts.settings.max_tokens_chat), parts),
            MessagesRequest,
            answers.MessagesAnswer,
            "Anthropic",
            "Anthropic's Messages, over any service",
            dialect=ANTHROPIC,
        ),
        _ask(
            "/v1/messages/count_tokens",
            CountTokens(cascade=parts.cascade, live=parts.live, breakers=parts.breakers),
            CountTokensRequest,
            answers.CountedTokens,
            "Anthropic",
            "How many tokens a request would be",
            SCREENS,
            dialect=ANTHROPIC,
            streams=False,
        ),
    ]


def _router(parts: Parts) -> list[Endpoint]:
    live, breakers = parts.live, parts.breakers
    return [
        _get("/backend/info", BackendInfo(live, breakers), "Router", "Services as configured", answers.BackendAnswer),
        _get("/router/stats", Stats(parts.router_tally, live), "Router", "What became of calls", answers.StatsAnswer),
        _get(
            "/router/health",
            RouterHealth(live, breakers),
            "Router",
            "Which services would be asked now",
            answers.RouterHealthAnswer,
        ),
        _get(
            "/router/rate-limits",
            RateLimits(live, parts.allowance),
            "Router",
            "What services may be asked, and what is left",
            answers.RateLimitsAnswer,
        ),
        _do("/router/reset-stats", ResetTally(parts.router_tally), "Router", "Begin at 0", answers.ResetAnswer, (503,)),
        Endpoint(
            "/admin/usage",
            ("GET",),
            "admin",
            UsageReport(parts.usage),
            tag="Admin",
            summary="What keys have used, by day and model; query: key, tenant, from, to",
            answers={200: answers.UsageAnswer},
            refuses=(422, 503),
        ),
        _do(
            "/admin/config/reload",
            ReloadConfig(parts.reload),
            "Admin",
            "Read GATEWAY_CONFIG again",
            answers.ReloadedConfig,
            (422,),
        ),
    ]


def _auth(parts: Parts) -> list[Endpoint]:
    settings = parts.settings
    status = AuthStatus(
        parts.keys, parts.key_store, enabled=settings.enable_auth, header_name=settings.auth_header_name
    )
    return [
        _get("/auth/status", status, "Auth", "Which keys there are, by id", answers.AuthStatusAnswer),
        _get("/auth/metrics", AuthMetrics(parts.auth_tally), "Auth", "Who has asked", answers.AuthMetricsAnswer),
        _do(
            "/auth/reload-keys",
            ReloadKeys(parts.keys),
            "Auth",
            "Read the keys of the environment again",
            answers.ReloadedKeys,
            (422,),
        ),
        _do("/auth/reset-metrics", ResetTally(parts.auth_tally), "Auth", "Begin at 0", answers.ResetAnswer, (503,)),
    ]


def _admin(parts: Parts) -> list[Endpoint]:
    """Keys and tenants."""
    admin = Admin(parts.key_store, lambda: parts.live.current.tenants, lambda: parts.live.current.policies)
    key, keys, new_key = answers.KeyRecord, answers.KeyRecords, answers.NewKeyRecord
    tenant, tenants = answers.TenantRecord, answers.TenantRecords
    make_key, change_key, rotate = (NewKey, parse_new_key), (KeyChange, parse_key_change), (Rotation, parse_rotation)
    make_tenant, change_tenant = (NewTenant, parse_new_tenant), (TenantChange, parse_tenant_change)
    one_key, one_tenant = "/admin/keys/{id}", "/admin/tenants/{id}"
    return [
        _manage("POST", "/admin/keys", admin.create_key, "Make a key", {201: new_key}, make_key, (409,)),
        _manage("GET", "/admin/keys", admin.list_keys, "Keys, the oldest first", {200: keys}, parameters=KEY_PAGING),
        _manage("GET", one_key, admin.show_key, "One key", {200: key}, refuses=(404,)),
        _manage("PATCH", one_key, admin.change_key, "Change a key", {200: key}, change_key, (404, 409)),
        _manage("DELETE", one_key, admin.revoke_key, "Revoke a key for good", {204: None}, refuses=(404,)),
        _manage("POST", f"{one_key}/rotate", admin.rotate_key, "A new secret", {200: new_key}, rotate, (404, 409)),
        _manage("POST", "/admin/tenants", admin.create_tenant, "Make a tenant", {201: tenant}, make_tenant, (409,)),
        _manage("GET", "/admin/tenants", admin.list_tenants, "Tenants", {200: tenants}, parameters=TENANT_PAGING),
        _manage("GET", one_tenant, admin.show_tenant, "One tenant", {200: tenant}, refuses=(404,)),
        _manage("PATCH", one_tenant, admin.change_tenant, "Change a tenant", {200: tenant}, change_tenant, (404, 409)),
        _manage("DELETE", one_tenant, admin.drop_tenant, "Drop a tenant", {204: None}, refuses=(404, 409)),
    ]


def _status(parts: Parts) -> list[Endpoint]:
    token = parts.settings.metrics_token
    return [
        Endpoint(
            "/providers",
            ("GET",),
            "optional",
            Providers(parts.live, parts.breakers),
            tag="Status",
            summary="Services, models, prices and breakers",
            scope="status",
            answers={200: answers.ProvidersAnswer},
        ),
        *(
            Endpoint(path, ("GET",), "public", app, tag="Status", summary=summary, answers={200: answer})
            for path, app, summary, answer in (
                ("/health", parts.health, "What works", answers.HealthAnswer),
                ("/health/live", Live(), "The process answers", answers.LiveAnswer),
                ("/health/ready", parts.health, "What works, for load balancers", answers.HealthAnswer),
                ("/", Index(version(NAME)), "Name, version, links", answers.IndexAnswer),
            )
        ),
        Endpoint(
            "/metrics",
            ("GET",),
            "public",
            MetricsEndpoint(parts.metrics, token=token),
            tag="Status",
            summary="Prometheus text, OpenMetrics or a summary in JSON",
            answers={200: answers.MetricsSummary},
            media=("text/plain", "application/openmetrics-text"),
            refuses=() if token is None else (401,),
        ),
    ]


def _chat(surface: Surface[Any], parts: Parts) -> ChatEndpoint:
    return ChatEndpoint(
        surface, cascade=parts.cascade, live=parts.live, breakers=parts.breakers, policies=parts.policies
    )


def _ask(
    path: str,
    app: ASGIApp,
    body: type[prompt.Request],
    answer: type[BaseModel],
    tag: str,
    summary: str,
    screens: tuple[Screen, ...] = ANSWERED,
    *,
    dialect: Dialect = OPENAI,
    streams: bool = True,
    images: bool = True,
    scope: KeyScope = "chat",
) -> Endpoint:
    """A route of somebody else's API on which a model is asked."""
    parse = prompt.parser(body)
    return Endpoint(
        path,
        ("POST",),
        "key",
        app,
        parse,
        screens,
        dialect=dialect,
        images=images,
        scope=scope,
        estimate=getattr(app, "estimate", None),
        tag=tag,
        summary=summary,
        body=body,
        answers={200: answer},
        media=EVENTS if streams else (),
        asks=True,
        refuses=(403,),
    )


def _get(
    path: str,
    app: ASGIApp,
    tag: str,
    summary: str,
    answer: type[BaseModel],
    dialect: Dialect = PLAIN,
    refuses: Sequence[int] = (),
    *,
    scope: KeyScope = "status",
) -> Endpoint:
    return Endpoint(
        path,
        ("GET",),
        "key",
        app,
        dialect=dialect,
        scope=scope,
        tag=tag,
        summary=summary,
        answers={200: answer},
        refuses=tuple(refuses),
    )


def _do(
    path: str, app: ASGIApp, tag: str, summary: str, answer: type[BaseModel], refuses: Sequence[int] = ()
) -> Endpoint:
    """Something only an admin's key may do."""
    return Endpoint(
        path, ("POST",), "admin", app, tag=tag, summary=summary, answers={200: answer}, refuses=tuple(refuses)
    )


def _manage(
    method: str,
    path: str,
    act: Callable[[Scope], Awaitable[Response]],
    summary: str,
    answers: Mapping[int, type[BaseModel] | None],
    takes: tuple[type[BaseModel], Callable[[Any], Prompt]] | None = None,
    refuses: tuple[int, ...] = (),
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> Endpoint:
    """An operation on the store of keys. `takes`: the model of its body, and what parses it."""
    body, parse = takes or (None, None)
    return Endpoint(
        path,
        (method,),
        "admin",
        AdminEndpoint(act),
        parse,
        optional_body=body is Rotation,
        tag="Admin",
        summary=summary,
        body=body,
        answers=answers,
        refuses=(*refuses, 422) if parameters else refuses,
        parameters=parameters or {},
    )
