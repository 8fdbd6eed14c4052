"""What happened to one request: written by the layers, read by metrics and audit outside them."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from middleware.scope import ScopeKey

Layer = Literal["edge", "auth", "rate_limit", "body", "input_guard", "safety", "output"]
Outcome = Literal["pass", "flag", "mask", "block", "error", "off"]


@dataclass(frozen=True, slots=True)
class Decision:
    """
    One layer's verdict. `reason` comes from a closed set (`prompt_injection`, `pii`, `secret`, `sql`, `unsafe`,
    `missing_key`, …) and is used as a metric label; `detail` names rules or types, never text of the caller.
    """

    layer: Layer
    outcome: Outcome
    reason: str = ""
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one target, as the cascade reports it. Times in seconds."""

    service: str
    model: str
    status: Literal["success", "failed", "timeout", "skipped"]
    reason: str | None
    latency_s: float


@dataclass(slots=True)
class Record:
    """The mutable account of one request. `upstream_s` is time spent waiting for providers, in seconds."""

    request_id: str
    started: float
    """`time.perf_counter()` at arrival."""
    route: str = "unmatched"
    status: int = 0
    key_id: str | None = None
    decisions: list[Decision] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    provider: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    upstream_s: float = 0.0
    first_token_s: float | None = None


RECORD: ScopeKey[Record] = ScopeKey("record", put_by="RecordMiddleware")
