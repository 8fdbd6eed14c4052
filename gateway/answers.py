"""
What the gateway's own routes answer, for the readers of the OpenAPI document.

The routes write these bodies themselves; the tests hold what is served to these models, field by field.
"""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Breaker = Literal["closed", "open", "half_open"]


class IndexAnswer(BaseModel):
    name: str
    version: str
    links: dict[str, str]


class LiveAnswer(BaseModel):
    status: Literal["healthy"]


class HealthAnswer(BaseModel):
    """`degraded`: requests are served with less. `provider` is the first that would be asked now."""

    status: Literal["healthy", "degraded", "draining"]
    provider: str
    timestamp: datetime
    details: dict[str, Any]


class CascadeStep(BaseModel):
    """One call to one provider, or why there was none."""

    provider: str
    model: str
    status: Literal["success", "failed", "timeout", "skipped"]
    reason: str | None
    latency_ms: int = Field(ge=0)


class TokenUsage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    total_tokens: int = Field(ge=0)


class QueryAnswer(BaseModel):
    """`cost_estimate_usd` is null when unknown, never a guess."""

    response: str | None
    provider: str | None
    model: str | None
    latency_ms: int = Field(ge=0)
    status: Literal["success", "error"]
    error: str | None
    cascade_path: list[CascadeStep]
    cost_estimate_usd: float | None
    usage: TokenUsage | None
    request_id: str


class ResilienceAnswer(BaseModel):
    """`cascaded` counts the prompts that took more than one call."""

    total: int
    successful: int
    failed: int
    success_rate: float = Field(ge=0, le=1)
    average_latency_ms: float
    provider_usage: dict[str, int]
    cascaded: int
    results: list[QueryAnswer]


class SecurityFinding(BaseModel):
    """`prompt` is masked and then cut; `score` is an order between 0 and 1, not a probability."""

    prompt: str
    blocked: bool
    pii_detected: list[str]
    pii_matches: dict[str, int]
    injection_detected: bool
    secrets_detected: list[str]
    sql_detected: bool
    rules: list[str]
    score: float


class SecurityAnswer(BaseModel):
    total: int
    blocked: int
    passed: int
    pii_leaks_prevented: int
    injection_attempts_blocked: int
    results: list[SecurityFinding]


class ToxicityAnswer(BaseModel):
    """`is_toxic` is null when nobody gave a verdict; then `error` says why."""

    is_toxic: bool | None
    scores: dict[str, float]
    blocked_categories: list[str]
    error: str | None


class Price(BaseModel):
    input: float
    output: float


class ModelEntry(BaseModel):
    id: str
    price_usd_per_mtok: Price | None
    breaker: Breaker


class ProviderEntry(BaseModel):
    name: str
    type: str
    priority: int
    weight: int
    default_model: str
    models: list[ModelEntry]
    breaker: Breaker
    put_aside_s: float


class ProvidersAnswer(BaseModel):
    """`prices` names the list of prices and its version."""

    providers: list[ProviderEntry]
    prices: str


class MetricsSummary(BaseModel):
    """`latency_history` in milliseconds, the newest last."""

    total_requests: int
    successful_requests: int
    blocked_requests: int
    average_latency_ms: float
    provider_usage: dict[str, int]
    cascade_failures: int
    pii_detections: int
    injection_detections: int
    latency_history: list[float]


class ToolCallFunction(BaseModel):
    name: str
    arguments: str


class ChatToolCall(BaseModel):
    """`custom` in place of `function` for custom tools."""

    id: str
    type: Literal["function", "custom"]
    function: ToolCallFunction | None = None
    custom: dict[str, Any] | None = None


class ChatMessage(BaseModel):
    """`reasoning_content` are the model's thoughts, where its provider shows them."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str | None = None
    tool_calls: list[ChatToolCall] | None = None


class ChatChoice(BaseModel):
    index: int
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class RouterNote(BaseModel):
    """Who answered, and after how many calls."""

    service: str
    requested_model: str
    actual_model: str
    attempts: int


class ChatCompletion(BaseModel):
    """OpenAI's `CreateChatCompletionResponse`, and `router`. `usage` is absent when the provider did not tell."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage | None = None
    router: RouterNote


class MessagesUsage(BaseModel):
    """`output_tokens_details` has the `thinking_tokens`, if there are any."""

    input_tokens: int
    output_tokens: int
    output_tokens_details: dict[str, int] | None = None
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class MessagesAnswer(BaseModel):
    """Anthropic's `Message`."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]
    stop_sequence: str | None
    usage: MessagesUsage


class CountedTokens(BaseModel):
    """An estimate if the header `X-Gateway-Estimated` says so."""

    input_tokens: int


class ResponsesAnswer(BaseModel):
    """OpenAI's `Response`; nothing is stored."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed"]
    model: str
    output: list[dict[str, Any]]


class Embedding(BaseModel):
    """`embedding` holds numbers, or little-endian float32 in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """OpenAI's `CreateEmbeddingResponse`."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


class ListedModelAnswer(BaseModel):
    """OpenAI's `Model`, and the service that is asked first."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    service: str


class ModelsAnswer(BaseModel):
    object: Literal["list"]
    data: list[ListedModelAnswer]


ServiceStatus = Literal["closed", "open", "half_open", "put_aside"]


class BackendService(BaseModel):
    name: str
    backend_type: str
    priority: int
    weight: int
    default_model: str
    models: list[str]
    keys: int
    rate_limit_requests: int | None
    rate_limit_window: int | None
    status: ServiceStatus


class OfferedModel(BaseModel):
    id: str
    service: str
    model: str


class ConfigState(BaseModel):
    """`problems` are those of the newest load, if it was refused."""

    generation: int
    loaded_at: datetime
    problems: list[str]


class BackendAnswer(BaseModel):
    services: list[BackendService]
    models: list[OfferedModel]
    config: ConfigState


class ServiceStats(BaseModel):
    """`outcomes` counts failed and skipped calls by reason."""

    successes: int
    outcomes: dict[str, int]
    average_latency_ms: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float


class StatsAnswer(BaseModel):
    """Of the whole fleet, since the last reset."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    services: dict[str, ServiceStats]


class ServiceHealth(BaseModel):
    status: ServiceStatus
    breaker: Breaker
    put_aside_s: float


class RouterHealthAnswer(BaseModel):
    status: Literal["healthy", "degraded", "unavailable"]
    available: list[str]
    services: dict[str, ServiceHealth]
    timestamp: datetime


class ServiceAllowanceAnswer(BaseModel):
    """All null for a service without a limit."""

    limit: int | None
    window_s: int | None
    remaining: int | None
    reset_s: float | None


class RateLimitsAnswer(BaseModel):
    services: dict[str, ServiceAllowanceAnswer]
    timestamp: datetime


class KeyShown(BaseModel):
    id: str
    tenant: str
    admin: bool


class AuthStatusAnswer(BaseModel):
    """`key` is the one this request came with. `complete`: `keys` are all there are."""

    auth_enabled: bool
    headers: list[str]
    key: KeyShown | None
    keys: list[KeyShown]
    complete: bool


class AuthMetricsAnswer(BaseModel):
    """Of the whole fleet, since the last reset."""

    authenticated_requests: int
    refused_requests: int
    by_key: dict[str, int]
    refused_by_reason: dict[str, int]


class ResetAnswer(BaseModel):
    status: Literal["reset"]


class ReloadedKeys(BaseModel):
    status: Literal["reloaded"]
    keys: list[str]


class ReloadedConfig(BaseModel):
    status: Literal["reloaded"]
    generation: int


class BudgetShown(BaseModel):
    """US dollars in a UTC day and in a UTC month; null: no limit."""

    day: float | None
    month: float | None


class RightsShown(BaseModel):
    name: str
    rate_limit: str | None
    tokens_per_minute: int | None
    concurrency: int | None
    budget_usd: BudgetShown
    allowed_models: list[str] | None
    policy: str | None
    strict: bool
    disabled: bool
    metadata: dict[str, str | bool | int | float]


class KeyRecord(RightsShown):
    """Null: no limit, or that of the tenant. `old_secret_until`: when the last secret that was replaced ends."""

    id: str
    tenant: str
    scopes: list[str]
    expires_at: datetime | None
    old_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


class NewKeyRecord(KeyRecord):
    """`key` is told this once."""

    key: str


class KeyRecords(BaseModel):
    """`next_cursor`: where the next page begins, null at the end."""

    keys: list[KeyRecord]
    next_cursor: str | None


class TenantRecord(RightsShown):
    """`source`: `store`, or `config` for those of GATEWAY_CONFIG, which only the file can change."""

    id: str
    source: Literal["store", "config"]
    created_at: datetime | None
    updated_at: datetime | None


class TenantRecords(BaseModel):
    tenants: list[TenantRecord]
    next_cursor: str | None


class UsageTotal(BaseModel):
    """
    `cost_usd` is that of answers with a price. `unheard_…`: streams that did not come to their end, by what is known or
    estimated of them; their tokens are not among the others.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unheard_requests: int
    unheard_usd: float


class KeyUsage(UsageTotal):
    """`model` is `service/model`, `service/other` for a model that the configuration does not list."""

    key: str
    tenant: str
    day: date
    model: str


class UsageAnswer(BaseModel):
    usage: list[KeyUsage]
    total: UsageTotal
