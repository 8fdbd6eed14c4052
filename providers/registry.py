"""
The providers, as rows of data, and the services an operator makes of them.

Default models and addresses are the vendors' own, read in November 2026. A provider that speaks the OpenAI wire is one
more row.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from providers import openai_compatible as openai
from providers.anthropic import Anthropic
from providers.base import Adapter, Target
from providers.gemini import Gemini
from providers.openai_compatible import OpenAICompatible


@dataclass(frozen=True, slots=True)
class Provider:
    """
    One row. `path` is what the base URL must end with, as the official SDK's does; `cut` lists endings that adapters
    add themselves. `keys` are the variables that may hold the key, the first preferred; none: it works without.
    """

    name: str
    adapter: Adapter
    origin: str
    path: str = ""
    model: str = ""
    keys: tuple[str, ...] = ()
    prices_id: str | None = None
    cut: tuple[str, ...] = ()

    @property
    def base_url(self) -> str:
        return self.origin + self.path

    @property
    def variable(self) -> str:
        """What its variables begin with."""
        return self.name.upper()


_COMMON = OpenAICompatible()

PROVIDERS: Mapping[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "gemini",
            Gemini(),
            "https://generativelanguage.googleapis.com",
            model="gemini-3.5-flash-lite",
            keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            prices_id="google",
            cut=("/v1beta", "/v1"),
        ),
        Provider(
            "groq",
            OpenAICompatible(openai.GROQ),
            "https://api.groq.com",
            "/openai/v1",
            "openai/gpt-oss-20b",
            ("GROQ_API_KEY",),
            "groq",
        ),
        Provider(
            "openrouter",
            OpenAICompatible(openai.OPENROUTER),
            "https://openrouter.ai",
            "/api/v1",
            "openrouter/free",
            ("OPENROUTER_API_KEY",),
            "openrouter",
        ),
        Provider(
            "openai",
            OpenAICompatible(openai.OPENAI),
            "https://api.openai.com",
            "/v1",
            "gpt-5.4-mini",
            ("OPENAI_API_KEY",),
            "openai",
        ),
        Provider(
            "anthropic",
            Anthropic(),
            "https://api.anthropic.com",
            model="claude-haiku-4-5",
            keys=("ANTHROPIC_API_KEY",),
            prices_id="anthropic",
            cut=("/v1",),
        ),
        Provider(
            "cerebras",
            OpenAICompatible(openai.CEREBRAS),
            "https://api.cerebras.ai",
            "/v1",
            "gpt-oss-120b",
            ("CEREBRAS_API_KEY",),
            "cerebras",
        ),
        Provider(
            "deepinfra",
            _COMMON,
            "https://api.deepinfra.com",
            "/v1/openai",
            "openai/gpt-oss-20b",
            ("DEEPINFRA_TOKEN", "DEEPINFRA_API_KEY"),
        ),
        Provider(
            "mistral",
            OpenAICompatible(openai.MISTRAL),
            "https://api.mistral.ai",
            "/v1",
            "mistral-small-latest",
            ("MISTRAL_API_KEY",),
            "mistral",
        ),
        Provider(
            "deepseek",
            _COMMON,
            "https://api.deepseek.com",
            "/v1",
            "deepseek-flash",
            ("DEEPSEEK_API_KEY",),
            "deepseek",
        ),
        Provider(
            "together",
            OpenAICompatible(openai.TOGETHER),
            "https://api.together.ai",
            "/v1",
            "openai/gpt-oss-120b",
            ("TOGETHER_API_KEY",),
            "together",
        ),
        Provider("xai", _COMMON, "https://api.x.ai", "/v1", "grok-4.3", ("XAI_API_KEY",), "x-ai"),
        Provider(
            "fireworks",
            _COMMON,
            "https://api.fireworks.ai",
            "/inference/v1",
            "accounts/fireworks/models/gpt-oss-20b",
            ("FIREWORKS_API_KEY",),
            "fireworks",
        ),
        Provider("azure", OpenAICompatible(openai.AZURE), "", "/openai/v1", "", ("AZURE_OPENAI_API_KEY",), "azure"),
        Provider("ollama", _COMMON, "http://localhost:11434", "/v1"),
        # What a self-hosted server serves, only its operator knows: `default` stands for "whatever you have".
        Provider("vllm", _COMMON, "http://localhost:8000", "/v1", "default", ("VLLM_API_KEY",)),
        Provider("custom", _COMMON, "", "/v1", "default"),
    )
}

_FROM_KEYS = tuple(name for name in PROVIDERS if name not in ("azure", "ollama", "vllm", "custom"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ConfigProblem(ValueError):
    """Everything that is wrong with the services; each line names a variable or key and never a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Service:
    """
    A provider as one operator uses it.

    `models` maps public to upstream names; empty: the service lists none and may be asked for any. `priority`: lower is
    asked first; `weight` shares among equals. `rate_limit_requests` in `rate_limit_window` seconds is the provider's
    own allowance, None for none.
    """

    name: str
    backend_type: str
    base_url: str
    adapter: Adapter
    api_key: SecretStr | None = field(default=None, repr=False)
    default_model: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    weight: int = 1
    timeout_s: float | None = None
    max_retries: int | None = None
    allow_fields: tuple[str, ...] = ()
    prefill: bool = False
    prices_id: str | None = None
    rate_limit_requests: int | None = None
    rate_limit_window: int | None = None

    def target(self, model: str | None) -> Target:
        """The target for a public model name, None for the default."""
        public = model or self.default_model
        return Target(
            self.name,
            self.models.get(public, public),
            self.adapter,
            self.base_url,
            self.api_key,
            self.prices_id,
            self.timeout_s,
            self.max_retries,
            self.prefill,
        )


def mend_base_url(provider: Provider, url: str) -> str:
    """
    The URL with the ending that this provider's paths are added to: a missing or doubled version segment is mended.

    Raises `ValueError` for anything but a plain http or https address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("expected an http or https address without credentials")
    if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f]", url.strip()):
        raise ValueError("expected an address without query and fragment")
    if parts.port == 0:
        raise ValueError("expected a port from 1 to 65535")
    path = parts.path.rstrip("/")
    for ending in provider.cut:
        while path.endswith(ending):
            path = path.removesuffix(ending).rstrip("/")
    if provider.path:
        path = _with_ending(path, provider)
    return f"{parts.scheme}://{parts.netloc}{path}"


def _with_ending(path: str, provider: Provider) -> str:
    wanted = provider.path
    if provider.name in ("custom", "vllm") and path:
        return path  # the operator's own server: only a bare host is completed
    while path.endswith(wanted + wanted):
        path = path.removesuffix(wanted)
    if path.endswith(wanted):
        return path
    # A part of the ending may be there already: `/openai` of `/openai/v1`, or `/v1` twice.
    segments = wanted.split("/")[1:]
    version = "/" + segments[-1]
    while path.endswith(version):
        path = path.removesuffix(version)
    for kept in range(len(segments), 0, -1):
        begun = "/" + "/".join(segments[:kept])
        if path.endswith(begun):
            path = path.removesuffix(begun)
            break
    return path + wanted


def services_from_environment(environment: Mapping[str, str], order: Sequence[str] | None = None) -> list[Service]:
    """
    A service for each provider that has a key (or, for Ollama, an address), in order.

    `order` comes first, then the registry's own. Raises `ConfigProblem`.
    """
    problems = [
        f"PROVIDER_ORDER: unknown provider at position {position}"
        for position, name in enumerate(order or (), 1)
        if name not in PROVIDERS
    ]
    services: dict[str, Service] = {}
    for name in (*_FROM_KEYS, "azure", "ollama"):
        try:
            service = service_from_environment(name, environment)
        except ConfigProblem as error:
            problems += error.problems
            continue
        if service is not None:
            services[name] = service
    if problems:
        raise ConfigProblem(problems)
    names = [*dict.fromkeys(name for name in order or () if name in services)]
    names += [name for name in services if name not in names]
    return [replace(services[name], priority=priority) for priority, name in enumerate(names)]


def service_from_environment(name: str, environment: Mapping[str, str]) -> Service | None:
    """The service of one provider, None when it has no key. Raises `ConfigProblem`."""
    provider = PROVIDERS[name]
    if provider.name == "azure":
        return _azure(provider, environment)
    key = _key(provider, environment)
    address = f"{provider.variable}_BASE_URL"
    if (provider.keys and key is None) or (not provider.keys and not environment.get(address, "").strip()):
        return None
    try:
        base_url = mend_base_url(provider, environment.get(address, "").strip() or provider.base_url)
    except ValueError as error:
        raise ConfigProblem([f"{address}: {error}"]) from None
    model = environment.get(f"{provider.variable}_MODEL", "").strip() or provider.model
    if not model:
        raise ConfigProblem([f"{provider.variable}_MODEL: needed, as this provider has no default"])
    return Service(
        provider.name,
        provider.name,
        base_url,
        provider.adapter,
        key,
        model,
        prices_id=provider.prices_id,
    )


def _azure(provider: Provider, environment: Mapping[str, str]) -> Service | None:
    """
    Azure OpenAI: with a dated API version its classic form (the deployment in the path), without one its v1 form.
    """
    key = _key(provider, environment)
    endpoint = environment.get("AZURE_OPENAI_ENDPOINT", "").strip()
    if key is None or not endpoint:
        return None
    names = ("AZURE_OPENAI_MODEL", "AZURE_OPENAI_DEPLOYMENT")
    model = next((environment[name].strip() for name in names if environment.get(name, "").strip()), "")
    versions = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
    version = next((environment[name].strip() for name in versions if environment.get(name, "").strip()), "")
    if not model:
        raise ConfigProblem(["AZURE_OPENAI_MODEL: needed: the name of the deployment"])
    try:
        base_url = mend_base_url(provider, endpoint)
    except ValueError as error:
        raise ConfigProblem([f"AZURE_OPENAI_ENDPOINT: {error}"]) from None
    adapter = provider.adapter
    if version:
        adapter = OpenAICompatible(openai.azure_classic(version))
        base_url = base_url.removesuffix(provider.path)
    return Service("azure", "azure", base_url, adapter, key, model, prices_id=provider.prices_id)


def _key(provider: Provider, environment: Mapping[str, str]) -> SecretStr | None:
    value = next((environment[name].strip() for name in provider.keys if environment.get(name, "").strip()), None)
    return SecretStr(value) if value is not None else None


class _Entry(BaseModel):
    """One entry of `ROUTER_SERVICES`."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=_NAME.pattern + "$")]
    backend_type: str
    base_url: str | None = None
    api_key: SecretStr | None = None
    priority: int = 0
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    rate_limit_requests: Annotated[int, Field(ge=1)] | None = None
    rate_limit_window: Annotated[int, Field(ge=1)] | None = None
    models: list[str] | dict[str, str] | None = None
    allow_fields: list[str] = []
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=5)] | None = None
    prefill: bool = False


def services_from_json(text: str, environment: Mapping[str, str] | None = None) -> list[Service]:
    """
    The services of `ROUTER_SERVICES`. A key that is not given is read from the backend type's own variable.

    Raises `ConfigProblem`, each line `ROUTER_SERVICES[index].key: what is wrong`.
    """
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ConfigProblem(["ROUTER_SERVICES: not valid JSON"]) from None
    if not isinstance(entries, list) or not entries:
        raise ConfigProblem(["ROUTER_SERVICES: expected a list of at least one service"])
    problems: list[str] = []
    services: list[Service] = []
    for index, entry in enumerate(entries):
        try:
            services.append(_from_entry(entry, environment or {}))
        except ConfigProblem as error:
            problems += [f"ROUTER_SERVICES[{index}]{problem}" for problem in error.problems]
    names = [service.name for service in services]
    if len(set(names)) < len(names):
        problems.append("ROUTER_SERVICES: two services have the same name")
    if problems:
        raise ConfigProblem(problems)
    return services


def _from_entry(value: Any, environment: Mapping[str, str]) -> Service:
    try:
        entry = _Entry.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False, include_context=False)
        raise ConfigProblem([f".{_place(item['loc'], item['type'])}: {item['msg']}" for item in items]) from None
    provider = PROVIDERS.get(entry.backend_type)
    if provider is None:
        raise ConfigProblem([".backend_type: unknown"])
    address = entry.base_url or provider.base_url
    problems = []
    base_url = ""
    try:
        base_url = mend_base_url(provider, address)
    except ValueError as error:
        problems.append(f".base_url: {error}")
    listed = entry.models or []
    models = dict(listed) if isinstance(listed, dict) else {name: name for name in listed}
    default = next(iter(models), "") or environment.get(f"{provider.variable}_MODEL", "").strip() or provider.model
    if not default:
        problems.append(".models: needed, as this backend type has no default model")
    if problems:
        raise ConfigProblem(problems)
    return Service(
        entry.name,
        entry.backend_type,
        base_url,
        provider.adapter,
        entry.api_key or _key(provider, environment),
        default,
        models,
        entry.priority,
        entry.weight,
        entry.timeout_s,
        entry.max_retries,
        tuple(entry.allow_fields),
        entry.prefill,
        provider.prices_id,
        entry.rate_limit_requests,
        entry.rate_limit_window,
    )


def _place(loc: tuple[str | int, ...], kind: str) -> str:
    """Where in an entry; the name of an unknown key may be a value gone astray, so it is not repeated."""
    if kind == "extra_forbidden":
        return "(unknown key)"
    return ".".join(map(str, loc)) or "(entry)"
