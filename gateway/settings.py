"""Configuration: the environment, checked whole and turned into values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from gateway.redis_url import parse_redis_url
from gateway.webhook_address import checked_url
from gateway.webhooks import signing_key
from middleware.address import ClientAddress
from middleware.guard.guard import Action
from middleware.limits import Window, parse_windows

MIN_KEY_CHARS = 16
WELL_KNOWN_KEYS = frozenset({"changeme", "your_secure_api_key_here", "your-secure-api-key-here", "your_api_key_here"})
_NUMBERED_KEY = re.compile(r"AUTH_KEY(?:_(?:0[1-9]|[1-9][0-9]))?")


class SettingsError(Exception):
    """Every problem found, each a line that names the variable and never its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _windows(value: object) -> object:
    return parse_windows(value) if isinstance(value, str) else value


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < MIN_KEY_CHARS or text.lower() in WELL_KNOWN_KEYS:
        raise ValueError(f"empty, well known or shorter than {MIN_KEY_CHARS} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a key must be printable ASCII without spaces, or no header could carry it")
    return value


def _cidrs(value: tuple[str, ...]) -> tuple[str, ...]:
    ClientAddress(value)
    return value


def _redis_url(value: str) -> str:
    parse_redis_url(value)
    return value


Csv = Annotated[tuple[str, ...], BeforeValidator(_split)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]


def _field(name: str, default: Any) -> Any:
    return Field(default, validation_alias=name)


class Settings(BaseModel):
    """The values of the variables in the README's table. Times in seconds unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    enable_auth: bool = _field("ENABLE_AUTH", True)
    service_api_key: Key | None = _field("SERVICE_API_KEY", None)
    admin_api_key: Key | None = _field("ADMIN_API_KEY", None)
    auth_keys: Mapping[str, Key] = Field(default={})
    """`AUTH_KEY`, `AUTH_KEY_01` … `AUTH_KEY_99`, by variable name."""
    auth_header_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = _field(
        "AUTH_HEADER_NAME", "Authorization"
    )

    rate_limit: Annotated[tuple[Window, ...], BeforeValidator(_windows)] = _field("RATE_LIMIT", (Window(10, 60),))
    max_prompt_chars: PositiveInt = _field("MAX_PROMPT_CHARS", 4000)
    max_tokens_query: PositiveInt = _field("MAX_TOKENS_QUERY", 2048)
    max_tokens_chat: PositiveInt | None = _field("MAX_TOKENS_CHAT", None)
    max_body_bytes: Annotated[int, Field(ge=1024)] | None = _field("MAX_BODY_BYTES", None)
    trusted_proxies: Annotated[Csv, AfterValidator(_cidrs)] = _field("TRUSTED_PROXIES", ())

    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = _field("REDIS_URL", None)
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = _field("REDIS_PREFIX", "gw")
    redis_timeout_ms: PositiveInt = _field("REDIS_TIMEOUT_MS", 100)
    redis_required: bool = _field("REDIS_REQUIRED", True)

    provider_order: Csv | None = _field("PROVIDER_ORDER", None)
    gateway_config: Path | None = _field("GATEWAY_CONFIG", None)
    router_services: SecretStr | None = _field("ROUTER_SERVICES", None)
    request_timeout: Seconds = _field("REQUEST_TIMEOUT", 60.0)
    connect_timeout: Seconds = _field("CONNECT_TIMEOUT", 2.0)
    first_token_timeout: Seconds = _field("FIRST_TOKEN_TIMEOUT", 20.0)
    stream_idle_timeout: Seconds = _field("STREAM_IDLE_TIMEOUT", 30.0)
    total_timeout: Seconds = _field("TOTAL_TIMEOUT", 120.0)
    max_retries: Annotated[int, Field(ge=0, le=5)] = _field("MAX_RETRIES", 1)
    retry_after_max_wait: Annotated[float, Field(ge=0, le=60)] | None = _field("RETRY_AFTER_MAX_WAIT", None)
    stream_recovery: Literal["splice", "continue", "off"] = _field("STREAM_RECOVERY", "splice")
    breaker_failure_rate: Annotated[float, Field(gt=0, le=1)] = _field("BREAKER_FAILURE_RATE", 0.5)
    breaker_window_s: Seconds = _field("BREAKER_WINDOW_S", 30.0)
    breaker_min_calls: PositiveInt = _field("BREAKER_MIN_CALLS", 5)
    breaker_open_s: Seconds = _field("BREAKER_OPEN_S", 5.0)
    breaker_max_open_s: Seconds = _field("BREAKER_MAX_OPEN_S", 120.0)
    breaker_slow_call_s: Seconds | None = _field("BREAKER_SLOW_CALL_S", None)
    breaker_slow_call_rate: Annotated[float, Field(gt=0, le=1)] = _field("BREAKER_SLOW_CALL_RATE", 1.0)

    enable_prompt_injection_check: bool = _field("ENABLE_PROMPT_INJECTION_CHECK", True)
    injection_action: Literal["block", "flag", "off"] = _field("INJECTION_ACTION", "block")
    pii_action: Action = _field("PII_ACTION", "block")
    secrets_action: Action = _field("SECRETS_ACTION", "block")
    sql_action: Literal["block", "flag", "off"] = _field("SQL_ACTION", "flag")
    output_action: Action = _field("OUTPUT_ACTION", "flag")

    enable_safety: bool = _field("ENABLE_SAFETY", True)
    toxicity_threshold: Annotated[float, Field(gt=0, le=1)] = _field("TOXICITY_THRESHOLD", 0.7)
    lakera_api_key: SecretStr | None = _field("LAKERA_API_KEY", None)
    lakera_base_url: str | None = _field("LAKERA_BASE_URL", None)
    safety_providers: Csv = _field("SAFETY_PROVIDERS", ("gemini", "lakera", "openai", "local"))
    safety_timeout_ms: PositiveInt = _field("SAFETY_TIMEOUT_MS", 2000)
    safety_fail_mode: Literal["closed", "open"] = _field("SAFETY_FAIL_MODE", "closed")
    safety_mode: Literal["before", "parallel"] = _field("SAFETY_MODE", "before")

    allowed_origins: Csv = _field("ALLOWED_ORIGINS", ())
    metrics_token: SecretStr | None = _field("METRICS_TOKEN", None)
    webhook_url: SecretStr | None = _field("WEBHOOK_URL", None)
    webhook_secret: SecretStr | None = _field("WEBHOOK_SECRET", None)
    webhook_allow_private: bool = _field("WEBHOOK_ALLOW_PRIVATE", False)
    data_dir: Path = _field("DATA_DIR", Path("data"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _field("LOG_LEVEL", "INFO")
    log_format: Literal["json", "console"] = _field("LOG_FORMAT", "json")

    host: str = _field("HOST", "127.0.0.1")
    port: Annotated[int, Field(ge=0, le=65535)] = _field("PORT", 8000)
    workers: PositiveInt = _field("WORKERS", 1)
    reload: bool = _field("RELOAD", False)
    grace_s: Annotated[int, Field(ge=0, le=3600)] = _field("GRACE_S", 20)

    def body_limit(self, *, images: bool) -> int:
        """Bytes a body may have: 20 MiB where it may hold images, else 1 MiB, unless a limit for all is set."""
        return self.max_body_bytes or (20 if images else 1) * 1024 * 1024

    def client_keys(self) -> dict[str, SecretStr]:
        """All configured client keys by the variable that holds them, the admin key included."""
        keys = {"SERVICE_API_KEY": self.service_api_key, **self.auth_keys, "ADMIN_API_KEY": self.admin_api_key}
        return {name: key for name, key in keys.items() if key is not None}


def with_env_file(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` over the `.env` file of the working directory. Raises `SettingsError` if it cannot be read."""
    try:
        values = dotenv_values(Path(".env"), interpolate=False)
    except (OSError, UnicodeDecodeError):
        raise SettingsError([".env: cannot be read as UTF-8 text"]) from None
    return {**{name: value for name, value in values.items() if value is not None}, **environ}


NOT_YET = ("AUDIT_PROMPTS",)
"""Variables that later versions read. Whoever sets one is told that it does nothing here."""


def load_settings(environment: Mapping[str, str]) -> Settings:
    """
    Check everything and build the settings; raises `SettingsError` with all problems.

    An empty variable counts as unset, except keys: an empty key is a mistake that must not pass.
    """
    values: dict[str, Any] = {
        name: value.strip()
        for name, value in environment.items()
        if value.strip() or _NUMBERED_KEY.fullmatch(name) or name in ("SERVICE_API_KEY", "ADMIN_API_KEY")
    }
    values["auth_keys"] = {name: value for name, value in values.items() if _NUMBERED_KEY.fullmatch(name)}
    problems: list[str] = []
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False, include_context=False):
            name = next((str(part) for part in reversed(item["loc"]) if str(part).isupper()), str(item["loc"][0]))
            problems.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
        raise SettingsError(problems) from None
    if settings.workers > 1 and settings.redis_url is None:
        problems.append("WORKERS: more than one worker needs REDIS_URL, or every worker would keep its own limits")
    if not set(settings.safety_providers) <= {"gemini", "lakera", "openai", "local"}:
        problems.append("SAFETY_PROVIDERS: expected gemini, lakera, openai or local")
    problems += _webhook_problems(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _webhook_problems(settings: Settings) -> list[str]:
    problems: list[str] = []
    url, secret = settings.webhook_url, settings.webhook_secret
    if url is not None:
        try:
            checked_url(url.get_secret_value(), allow_private=settings.webhook_allow_private)
        except ValueError as error:
            problems.append(f"WEBHOOK_URL: {error}")
        if secret is None:
            problems.append("WEBHOOK_SECRET: WEBHOOK_URL needs one, or anybody could write what it receives")
    if secret is not None:
        try:
            signing_key(secret.get_secret_value())
        except ValueError as error:
            problems.append(f"WEBHOOK_SECRET: {error}")
    return problems
