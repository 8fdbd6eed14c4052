"""What is said of a key and of a tenant: as an admin sends it, as it is stored, and as it is shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.schema import Body
from middleware.limits import UNLIMITED, Limits, parse_windows
from middleware.scope import Principal

KeyScope = Literal["query", "chat", "embeddings", "models", "checks", "status", "admin"]
"""Groups of routes. `admin` is what only admins may do."""
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
DEFAULT_SCOPES: tuple[KeyScope, ...] = tuple(scope for scope in SCOPES if scope != "admin")
DEFAULT_TENANT = "default"
"""Always there and without limits; also the tenant of the environment's keys."""
DEFAULT_POLICY = "default"

MAX_USD = 10**9
MAX_TOKENS = 10**12
MAX_CONCURRENCY = 10**6
MAX_WINDOWS = 8
MAX_MODELS = 200
TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_MICRO = Decimal("0.000001")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_COUNTED = r"[0-9]{1,9}/(second|minute|hour|day|[1-9][0-9]{0,5}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h|[1-9][0-9]?d)"


def is_windows(text: str) -> str:
    """The text, if it is a rate limit of at most `MAX_WINDOWS` windows. Raises `ValueError`."""
    if len(parse_windows(text)) > MAX_WINDOWS:
        raise ValueError(f"at most {MAX_WINDOWS} windows")
    return text


def _usd(value: object) -> object:
    """Money is exact: a number as it was written, or text; what is below a millionth of a dollar is cut off."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", value, re.ASCII):
        value = Decimal(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = Decimal(str(value))
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= MAX_USD:
        raise ValueError(f"must be an amount of dollars from 0 to {MAX_USD}")
    return value.quantize(_MICRO, ROUND_DOWN).normalize() + 0


def _time(value: object) -> object:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise ValueError("must be a time as in RFC 3339, such as 2030-01-31T12:00:00Z")


Windows = Annotated[
    str,
    Field(max_length=256),
    AfterValidator(is_windows),
    WithJsonSchema({"type": "string", "pattern": f"^{_COUNTED}(;{_COUNTED}){{0,{MAX_WINDOWS - 1}}}$"}),
]
Usd = Annotated[
    Decimal,
    BeforeValidator(_usd),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_USD},
                {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]
Time = Annotated[datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
TenantId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Allowed = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7b\x7d\x7e]+$")]
"""A model as callers write it, without `|`: `a|b` asks for two."""
MetadataName = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key, or all keys of a tenant together, may do. `allowed_models` None: all."""

    limits: Limits = UNLIMITED
    allowed_models: frozenset[str] | None = None
    policy: str | None = None
    disabled: bool = False


class AdminBody(Body):
    """Texts of an operator, which no model will read."""

    @property
    def texts(self) -> Sequence[str]:
        return ()

    def with_texts(self, texts: Sequence[str]) -> Self:
        return self


class Budget(Body):
    """US dollars in a UTC day and in a UTC month; null: no limit."""

    day: Usd | None = None
    month: Usd | None = None


class RightsFields(AdminBody):
    """What keys and tenants have in common."""

    name: Annotated[str, Field(max_length=200)] = ""
    rate_limit: Windows | None = None
    tokens_per_minute: Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None = None
    concurrency: Annotated[int, Field(ge=0, le=MAX_CONCURRENCY)] | None = None
    budget_usd: Budget | None = None
    allowed_models: Annotated[list[Allowed], Field(max_length=MAX_MODELS)] | None = None
    policy: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] | None = None
    strict: bool = False
    disabled: bool = False
    metadata: Annotated[dict[MetadataName, MetadataValue], Field(max_length=32)] = Field(default={})

    @property
    def rights(self) -> Rights:
        budget = self.budget_usd or Budget()
        limits = Limits(
            windows=None if self.rate_limit is None else parse_windows(self.rate_limit),
            tokens_per_minute=self.tokens_per_minute,
            concurrency=self.concurrency,
            budget_day_usd=budget.day,
            budget_month_usd=budget.month,
            strict=self.strict,
        )
        models = None if self.allowed_models is None else frozenset(self.allowed_models)
        return Rights(limits, models, self.policy, self.disabled)

    def changed_by(self, change: "RightsFields") -> dict[str, Any]:
        """The fields with those that the change was sent with in place; of the budget those amounts that were sent."""
        fields = {**self.model_dump(), **change.model_dump(exclude_unset=True)}
        if self.budget_usd is not None and change.budget_usd is not None:
            fields["budget_usd"] = self.budget_usd.model_dump() | change.budget_usd.model_dump(exclude_unset=True)
        return fields

    @property
    def shown_rights(self) -> dict[str, Any]:
        """Ready for JSON: amounts are numbers."""
        fields = self.model_dump(include=set(RightsFields.model_fields))
        budget = self.budget_usd or Budget()
        fields["budget_usd"] = {"day": _number(budget.day), "month": _number(budget.month)}
        return fields


class KeyChange(RightsFields):
    """`PATCH /admin/keys/{id}`: what is not sent stays as it is. The tenant of a key is for good."""

    scopes: Annotated[list[KeyScope], Field(min_length=1)] = Field(default=list(DEFAULT_SCOPES))
    expires_at: Time | None = None


class NewKey(KeyChange):
    """`POST /admin/keys`."""

    tenant: TenantId = DEFAULT_TENANT


class TenantChange(RightsFields):
    """`PATCH /admin/tenants/{id}`: what is not sent stays as it is."""


class NewTenant(RightsFields):
    """`POST /admin/tenants`. The operator chooses the id."""

    id: TenantId


class Rotation(AdminBody):
    """`POST /admin/keys/{id}/rotate`: seconds for which the old secret stays good; 0: it ends at once."""

    grace_s: Annotated[int, Field(ge=0, le=30 * 86400)] = 86400


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Retired(Body):
    """A secret that was replaced, by the digest of its key."""

    digest: Digest
    until: Time


_STORED = ConfigDict(extra="ignore")
"""A later version may have written more."""


class StoredKey(NewKey):
    """A key at rest. `digest` is the SHA-256 of the whole key, which has 154 random bits: there is nothing to guess."""

    model_config = _STORED

    v: Literal[1] = 1
    id: str
    digest: Digest
    retired: list[Retired] = Field(default=[])
    created_at: Time
    updated_at: Time

    @property
    def shown(self) -> dict[str, Any]:
        """For an admin, without any digest."""
        until = max((each.until for each in self.retired), default=None)
        return {
            "id": self.id,
            "tenant": self.tenant,
            "scopes": self.scopes,
            **self.shown_rights,
            "expires_at": _shown_time(self.expires_at),
            "old_secret_until": _shown_time(until if until is not None and until > datetime.now(UTC) else None),
            "created_at": _shown_time(self.created_at),
            "updated_at": _shown_time(self.updated_at),
        }


class StoredTenant(NewTenant):
    """A tenant at rest."""

    model_config = _STORED

    v: Literal[1] = 1
    created_at: Time
    updated_at: Time

    @property
    def shown(self) -> dict[str, Any]:
        times = {"created_at": _shown_time(self.created_at), "updated_at": _shown_time(self.updated_at)}
        return {"id": self.id, **self.shown_rights, "source": "store", **times}


def shown_file_tenant(tenant: NewTenant) -> dict[str, Any]:
    """A tenant of the configuration file, which only the file can change."""
    return {"id": tenant.id, **tenant.shown_rights, "source": "config", "created_at": None, "updated_at": None}


def principal_of(key: StoredKey) -> Principal:
    """The key's own rights, as yet without its tenant's; the policy is empty if the key has none."""
    own = key.rights
    return Principal(
        key.id,
        tenant=key.tenant,
        admin="admin" in key.scopes,
        scopes=frozenset(key.scopes),
        allowed_models=own.allowed_models,
        policy=own.policy or "",
        limits=own.limits,
    )


def under(own: Principal, tenant: Rights) -> Principal:
    """The same within what its tenant may do."""
    return replace(
        own,
        tenant_models=tenant.allowed_models,
        policy=own.policy or tenant.policy or DEFAULT_POLICY,
        limits=replace(own.limits, strict=own.limits.strict or tenant.limits.strict),
        tenant_limits=tenant.limits,
    )


def _number(amount: Decimal | None) -> float | int | None:
    if amount is None:
        return None
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _shown_time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
