"""What happened to one request: written by the layers, read by metrics and audit outside them."""

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.refusal import DIALECT, PLAIN
from middleware.scope import ScopeKey

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

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


class Attempt(Protocol):
    """
    One call to one target, as the endpoint reports it; `model` as the provider says, `asked` as it was asked for.

    `latency_s` and `first_s`, until the answer began, in seconds.
    """

    @property
    def service(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def latency_s(self) -> float: ...

    @property
    def asked(self) -> str: ...

    @property
    def first_s(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Served:
    """One answer of a provider: what it used and, where known, what it cost."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


@dataclass(slots=True)
class Record:
    """
    The mutable account of one request. `upstream_s` and `classifier_s` are time spent waiting
    for providers and for safety classifiers, `first_token_s` the time from
    arrival to the first token of a stream, both in seconds. `status` stays 0 when the client left before an answer.
    """

    request_id: str
    started: float
    """`time.perf_counter()` at arrival."""
    route: str = "unmatched"
    status: int = 0
    key_id: str | None = None
    decisions: list[Decision] = field(default_factory=list)
    attempts: Sequence[Attempt] = ()
    served: list[Served] = field(default_factory=list)
    unheard: Served | None = None
    """
    An answer whose end was not heard, as the caller left, it broke off or was refused: what is known or estimated.
    """
    upstream_s: float = 0.0
    classifier_s: float = 0.0
    watched: set[Layer] = field(default_factory=set)
    """Layers that judge the answer while it is being sent: each owes its decision at the end."""
    skipped_events: int = 0
    """Events of a provider's stream that could not be read."""
    first_token_s: float | None = None

    def own_s(self, now: float) -> float:
        """Seconds from arrival to `now` less those spent waiting for others."""
        return max(0.0, now - self.started - self.upstream_s - self.classifier_s)


RECORD: ScopeKey[Record] = ScopeKey("record", put_by="RecordMiddleware")


class RecordMiddleware:
    """
    Give every request an id and a record.

    Puts RECORD. Adds `X-Request-ID` (the caller's own if it is well formed, under every name the route's API has for
    it) and `X-Gateway-Overhead-Ms`: the time from arrival to the first byte of the answer, less the time spent waiting
    for providers and classifiers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        record = Record(_incoming_id(scope) or secrets.token_hex(16), time.perf_counter())
        RECORD.put(scope, record)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                overhead_ms = record.own_s(time.perf_counter()) * 1000
                id = record.request_id.encode()
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name, id) for name in (DIALECT.get(scope) or PLAIN).request_id_names),
                    (b"x-gateway-overhead-ms", b"%.2f" % overhead_ms),
                ]
            await send(message)

        await self.app(scope, receive, send_with_id)


def _incoming_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None
