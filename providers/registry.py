"""
The providers, as rows of data, and the services a configuration makes of them.

A provider that speaks a known wire is one row here. A service is a provider with an address, a key and models; most
gateways have one per provider, `ROUTER_SERVICES` and a configuration file may name several.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from providers.anthropic import Anthropic
from providers.base import Adapter, Target
from providers.entries import UNREADABLE, Entry, shown
from providers.gemini import Gemini
from providers.openai_compatible import OpenAICompatible
from providers.openai_dialects import (
    AZURE,
    CEREBRAS,
    DEEPINFRA,
    DEEPSEEK,
    FIREWORKS,
    GROQ,
    MISTRAL,
    OLLAMA,
    OPENAI,
    OPENROUTER,
    TOGETHER,
    XAI,
    azure_classic,
)
from providers.pricing import context_window

UNNAMED_MODEL = "default"
"""Asked of a service nobody gave a model: servers of a single model take any name, others say that they lack it."""


class ConfigProblem(ValueError):
    """A configuration that cannot be used. `problems`: one line each, naming a variable or key, never a value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Provider:
    """
    One row. Names of variables in order of precedence, `NAME_API_KEY`, `NAME_BASE_URL` and `NAME_MODEL` if none given.

    `version` is the path that an address of this provider ends with, and `mend` what `mend_base_url` does about it:
    `complete` adds what is missing, `drop` removes it (the adapter adds its own), `keep` trusts what is written.
    `started_by` tells whether a key or an address turns the provider on. `key_required`: without one it cannot work.
    """

    name: str
    adapter: Adapter
    base_url: str | None
    model: str | None
    prices_id: str | None
    version: str = "/v1"
    mend: Literal["complete", "drop", "keep"] = "complete"
    started_by: Literal["key", "address"] = "key"
    key_required: bool = True
    key_names: tuple[str, ...] = ()
    base_url_names: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    api_version_names: tuple[str, ...] = ()

    def variables(self, what: Literal["API_KEY", "BASE_URL", "MODEL"]) -> tuple[str, ...]:
        given = {"API_KEY": self.key_names, "BASE_URL": self.base_url_names, "MODEL": self.model_names}[what]
        return given or (f"{self.name.upper()}_{what}",)


PROVIDERS: tuple[Provider, ...] = (
    # The shipped order of the cascade. Models: the vendors' small ones of November 2026.
    Provider(
        "gemini",
        Gemini(),
        "https://generativelanguage.googleapis.com",
        "gemini-3.5-flash-lite",
        "google",
        version="/v1beta",
        mend="drop",
        key_names=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    Provider(
        "groq",
        OpenAICompatible(GROQ),
        "https://api.groq.com/openai/v1",
        "openai/gpt-oss-20b",
        "groq",
        version="/openai/v1",
    ),
    Provider(
        "openrouter",
        OpenAICompatible(OPENROUTER),
        "https://openrouter.ai/api/v1",
        "openrouter/free",
        "openrouter",
        version="/api/v1",
    ),
    Provider("openai", OpenAICompatible(OPENAI), "https://api.openai.com/v1", "gpt-5.4-mini", "openai"),
    Provider(
        "anthropic",
        Anthropic(),
        "https://api.anthropic.com",
        "claude-haiku-4-5",
        "anthropic",
        mend="drop",
    ),
    Provider("cerebras", OpenAICompatible(CEREBRAS), "https://api.cerebras.ai/v1", "gpt-oss-120b", "cerebras"),
    Provider(
        "deepinfra",
        OpenAICompatible(DEEPINFRA),
        "https://api.deepinfra.com/v1/openai",
        "openai/gpt-oss-20b",
        None,  # no list prices known; each answer brings its own estimate
        version="/v1/openai",
        key_names=("DEEPINFRA_TOKEN", "DEEPINFRA_API_KEY"),
    ),
    Provider("mistral", OpenAICompatible(MISTRAL), "https://api.mistral.ai/v1", "mistral-small-latest", "mistral"),
    Provider("deepseek", OpenAICompatible(DEEPSEEK), "https://api.deepseek.com/v1", "deepseek-flash", "deepseek"),
    Provider("together", OpenAICompatible(TOGETHER), "https://api.together.ai/v1", "openai/gpt-oss-120b", "together"),
    Provider("xai", OpenAICompatible(XAI), "https://api.x.ai/v1", "grok-4.3", "x-ai"),
    Provider(
        "fireworks",
        OpenAICompatible(FIREWORKS),
        "https://api.fireworks.ai/inference/v1",
        "accounts/fireworks/models/gpt-oss-20b",
        "fireworks",
        version="/inference/v1",
    ),
    Provider(
        "azure",
        OpenAICompatible(AZURE),
        None,
        None,
        "azure",
        version="/openai/v1",
        key_names=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        base_url_names=("AZURE_OPENAI_ENDPOINT", "AZURE_BASE_URL"),
        model_names=("AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_MODEL", "AZURE_MODEL"),
        api_version_names=("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION"),
    ),
    Provider(
        "ollama",
        OpenAICompatible(OLLAMA),
        "http://localhost:11434/v1",
        None,
        None,
        started_by="address",
        key_required=False,
    ),
    Provider("vllm", OpenAICompatible(), None, None, None, started_by="address", key_required=False),
    Provider("custom", OpenAICompatible(), None, None, None, mend="keep", started_by="address", key_required=False),
)

_BY_NAME = {row.name: row for row in PROVIDERS}


@dataclass(frozen=True, slots=True)
class Model:
    """
    What a service calls a model, and what is known of it.

    `context_window` in tokens; None: as the price list says, if it does. `tools` and `vision` None: nobody said.
    """

    upstream: str
    context_window: int | None = None
    tools: bool | None = None
    vision: bool | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """
    A provider at an address. Several may share a provider.

    `api_keys` are used in turn; empty: none is sent. `models` are by the names callers use; empty means that none are
    listed and any may be asked for. `default_model` is a caller's name. `priority`: lower is asked first; equal ones
    share by `weight`, at least 1. `rate_limit_requests` in `rate_limit_window` seconds is what the provider is said to
    admit.
    """

    name: str
    backend_type: str
    base_url: str
    adapter: Adapter
    default_model: str
    api_keys: tuple[SecretStr, ...] = field(default=(), repr=False)
    models: Mapping[str, Model] = field(default_factory=dict)
    priority: int = 0
    weight: int = 1
    timeout_s: float | None = None
    max_retries: int | None = None
    allow_fields: frozenset[str] = frozenset()
    prefill: bool = False
    prices_id: str | None = None
    rate_limit_requests: int | None = None
    rate_limit_window: int | None = None

    @property
    def api_key(self) -> SecretStr | None:
        """The first key, for what takes only one."""
        return self.api_keys[0] if self.api_keys else None

    def targets(self, model: str | None) -> tuple[Target, ...]:
        """A target for each key, by slot; one if there is no key. They have the same name."""
        return tuple(self.target(model, slot) for slot in range(max(1, len(self.api_keys))))

    def target(self, model: str | None, slot: int = 0) -> Target:
        """`model` as a caller names it, None for the default. Whether it is listed is the router's question."""
        name = self.default_model if model is None else model
        known = self.models.get(name) or Model(name)
        return Target(
            service=self.name,
            model=known.upstream,
            adapter=self.adapter,
            base_url=self.base_url,
            api_key=self.api_keys[slot] if self.api_keys else None,
            prices_id=self.prices_id,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            prefill=self.prefill,
            key_slot=slot,
            allow_fields=self.allow_fields,
            context_window=known.context_window or context_window(self.prices_id, known.upstream),
            tools=known.tools,
            vision=known.vision,
        )


# Addresses


def mend_base_url(row: Provider, url: str) -> str:
    """
    The address as the adapter wants it: no trailing slash, the version path once.

    Official SDKs disagree on where a base URL ends, so operators write all of `https://host`, `https://host/openai/v1`
    and, by joining two of them, `https://host/openai/v1/openai/v1`. A path that has some other version segment, as a
    proxy's may, is left as written. Raises `ValueError`, without the value, for what is no plain http(s) address.
    """
    if not url.isascii() or any(char.isspace() or not char.isprintable() for char in url) or "\\" in url:
        raise ValueError("must be a URL without spaces or control characters")
    if "?" in url or "#" in url:
        raise ValueError("must have no query and no fragment")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL with a valid host and port") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must hold no user name or password")
    if not host or port == 0:
        raise ValueError("must be a URL with a valid host and port")
    segments = [segment for segment in parts.path.split("/") if segment]
    version = row.version.split("/")[1:]
    if row.mend == "drop":
        while segments and segments[-1] in ("v1", "v1beta"):
            segments.pop()
    elif row.mend == "complete":
        segments = _completed(segments, version)
    elif not segments:
        segments = version
    return urlunsplit((parts.scheme, parts.netloc, "".join(f"/{segment}" for segment in segments), "", ""))


_VERSION_SEGMENT = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?", re.ASCII)


def _completed(path: list[str], version: list[str]) -> list[str]:
    while len(path) > 1 and path[-1] == path[-2] and _VERSION_SEGMENT.fullmatch(path[-1]):
        path = path[:-1]
    length = len(version)
    for begun in range(length, 0, -1):  # "/openai" is the beginning of "/openai/v1"
        if path[-begun:] == version[:begun]:
            path = path + version[begun:]
            break
    else:
        if any(_VERSION_SEGMENT.fullmatch(segment) for segment in path):
            return path
        path = path + version
    while path[-2 * length :] == version * 2:
        path = path[:-length]
    return path


def _placed(row: Provider, url: str, environment: Mapping[str, str]) -> tuple[str, Adapter]:
    """
    The mended address and the adapter for it.

    Azure has two wires: `…/openai/v1`, and, where an API version is configured and the address does not say v1, the
    classic one with deployments.
    """
    api_version = _given(environment, row.api_version_names)
    if api_version is None or urlsplit(url).path.rstrip("/").endswith(row.version):
        return mend_base_url(row, url), row.adapter
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(?:-preview)?", api_version[1], re.ASCII):
        raise ValueError(f"cannot be used with {api_version[0]}, which must be a date such as 2024-10-21")
    return mend_base_url(row, url).removesuffix(row.version), OpenAICompatible(azure_classic(api_version[1]))


# From the environment


def services_from_environment(environment: Mapping[str, str], order: Sequence[str] | None = None) -> list[Service]:
    """
    A service for each provider that is turned on, in the order they are asked: `order` first, then the rest.

    Raises `ConfigProblem` with everything that is wrong.
    """
    problems: list[str] = []
    names = list(dict.fromkeys(name.strip().lower() for name in order or ()))
    if not set(names) <= _BY_NAME.keys():
        problems.append(f"PROVIDER_ORDER: names a provider that is not one of {', '.join(_BY_NAME)}")
        names = [name for name in names if name in _BY_NAME]
    services: list[Service] = []
    for name in dict.fromkeys([*names, *_BY_NAME]):
        try:
            service = service_from_environment(name, environment, priority=len(services))
        except ConfigProblem as error:
            problems += error.problems
            continue
        if service is not None:
            services.append(service)
    if problems:
        raise ConfigProblem(problems)
    return services


def service_from_environment(name: str, environment: Mapping[str, str], *, priority: int = 0) -> Service | None:
    """
    The service of a provider of `PROVIDERS`, None if it is not turned on. Its key variable may hold several, separated
    by commas. Raises `ConfigProblem`.
    """
    row = _BY_NAME[name]
    key = _given(environment, row.variables("API_KEY"))
    address = _given(environment, row.variables("BASE_URL"))
    model = _given(environment, row.variables("MODEL"))
    if (key if row.started_by == "key" else address) is None:
        return None
    problems: list[str] = []
    base_url, adapter = "", row.adapter
    place, url = address or (row.variables("BASE_URL")[0], row.base_url)
    if url is None:
        problems.append(f"{place}: required for {row.name}")
    else:
        try:
            base_url, adapter = _placed(row, url, environment)
        except ValueError as error:
            problems.append(f"{place}: {error}")
    keys = () if key is None else _separated(key[1])
    if key is not None and not _are_keys(keys):
        problems.append(f"{key[0]}: {_NOT_HEADER_TEXT}")
    model_place, model_name = model or (row.variables("MODEL")[0], row.model)
    if model_name is None:
        problems.append(f"{model_place}: required for {row.name}")
    elif not is_model(model_name):
        problems.append(f"{model_place}: {NOT_MODEL}")
    if problems or model_name is None:
        raise ConfigProblem(problems)
    return Service(
        name=row.name,
        backend_type=row.name,
        base_url=base_url,
        adapter=adapter,
        default_model=model_name,
        api_keys=tuple(map(SecretStr, keys)),
        priority=priority,
        prices_id=row.prices_id,
    )


def _given(environment: Mapping[str, str], names: Sequence[str]) -> tuple[str, str] | None:
    """The first of the variables that is set to something: its name and its value."""
    for name in names:
        value = environment.get(name, "").strip()
        if value:
            return name, value
    return None


# From ROUTER_SERVICES or a configuration file


def services_from_json(text: str, environment: Mapping[str, str]) -> list[Service]:
    """The services of a JSON list, by `services_from_entries`. Raises `ConfigProblem` with everything that is wrong."""
    try:
        entries = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ConfigProblem([f"{_PLACE}: must be JSON without repeated keys"]) from None
    problems: list[str] = []
    services = services_from_entries(entries, _PLACE, environment, problems)
    if problems:
        raise ConfigProblem(problems)
    return services


def services_from_entries(
    entries: object, place: str, environment: Mapping[str, str], problems: list[str]
) -> list[Service]:
    """
    The services of a parsed list, by priority, which is the place in the list where none is given.

    Of each, `name` and `backend_type` are required; address, key and model default to those of its provider in the
    environment, an empty `api_key` means none. A provider that needs no key gets the environment's only at the
    environment's address. What is wrong goes to `problems`, and what is returned is then not all.
    """
    if entries is UNREADABLE:
        return []
    if not isinstance(entries, list) or not entries:
        problems.append(f"{place}: must be a list of at least one service")
        return []
    services: list[Service] = []
    places: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if entry is UNREADABLE:
            continue
        if not isinstance(entry, dict):
            problems.append(f"{place}[{index}]: must be an object")
            continue
        reader = Entry(entry, f"{place}[{index}]", problems)
        service = _service(reader, environment, problems, priority=index)
        name = entry.get("name")
        if isinstance(name, str) and places.setdefault(name, index) != index:
            reader.wrong("name", f"is that of {place}[{places[name]}] already")
        if service is not None:
            services.append(service)
    return sorted(services, key=lambda service: service.priority)


_PLACE = "ROUTER_SERVICES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NOT_NAME = "must be 1 to 64 letters, digits, '.', '_' or '-'"
_NOT_HEADER_TEXT = "must hold visible ASCII characters only, without spaces"
_NOT_KEYS = f"must be a list of keys, each of which {_NOT_HEADER_TEXT}"
_NOT_MODELS = "must be a list of names, or an object of names or of objects, and not empty"
NOT_MODEL = "must be a model's name, without spaces or '|'"
_KEYS = frozenset(
    {
        *("name", "backend_type", "base_url", "api_key", "api_keys", "models", "allow_fields", "prefill"),
        *("priority", "weight", "timeout_s", "max_retries", "rate_limit_requests", "rate_limit_window"),
    }
)
_MODEL_KEYS = frozenset({"model", "context_window", "tools", "vision"})
MAX_WEIGHT = MAX_PRIORITY = 1_000_000


def _service(entry: Entry, environment: Mapping[str, str], problems: list[str], *, priority: int) -> Service | None:
    """None when the entry cannot be one; some problem says why."""
    entry.check_keys(_KEYS)
    name = entry.text("name", lambda text: _NAME.fullmatch(text) is not None, _NOT_NAME, required=True)
    backend = entry.text("backend_type", _BY_NAME.__contains__, f"must be one of {', '.join(_BY_NAME)}", required=True)
    url = entry.text("base_url", bool, "must be a URL")
    keys = _keys(entry)
    models = _models(entry, problems)
    given_priority = entry.whole("priority", -MAX_PRIORITY, MAX_PRIORITY)
    weight = entry.whole("weight", 1, MAX_WEIGHT)
    timeout_s = entry.seconds("timeout_s")
    max_retries = entry.whole("max_retries", 0, 10)
    allow_fields = entry.texts("allow_fields")
    prefill = entry.flag("prefill")
    limit = entry.whole("rate_limit_requests", 1, 1_000_000_000)
    window = entry.whole("rate_limit_window", 1, 31_536_000)
    if name is None or backend is None:
        return None
    row = _BY_NAME[backend]
    address = _given(environment, row.variables("BASE_URL"))
    if keys is None and url is None:
        # Only for the provider's own address: a key from elsewhere must not reach a host it was not meant for.
        found = _given(environment, row.variables("API_KEY"))
        if found is not None and _are_keys(_separated(found[1])):
            keys = _separated(found[1])
        elif row.key_required:
            entry.wrong("api_key", f"required, here or as {row.variables('API_KEY')[0]}")
    url = url or (address[1] if address else row.base_url)
    if url is None:
        entry.wrong("base_url", f"required for {row.name}")
        return None
    try:
        base_url, adapter = _placed(row, url, environment)
    except ValueError as error:
        entry.wrong("base_url", str(error))
        return None
    model = _given(environment, row.variables("MODEL"))
    default_model = next(iter(models), None) or (model[1] if model else row.model) or UNNAMED_MODEL
    return Service(
        name=name,
        backend_type=backend,
        base_url=base_url,
        adapter=adapter,
        default_model=default_model,
        api_keys=tuple(map(SecretStr, keys or ())),
        models=models,
        priority=priority if given_priority is None else given_priority,
        weight=weight or 1,
        timeout_s=timeout_s,
        max_retries=max_retries,
        allow_fields=frozenset(allow_fields),
        prefill=prefill is True,
        prices_id=row.prices_id,
        rate_limit_requests=limit,
        rate_limit_window=window,
    )


def _keys(entry: Entry) -> tuple[str, ...] | None:
    """The keys of `api_key`, one or several, or of `api_keys`; None when neither stands there, empty for no key."""
    if "api_key" in entry and "api_keys" in entry:
        entry.wrong("api_keys", "cannot stand beside api_key")
        return None
    if "api_keys" in entry or isinstance(entry.get("api_key"), list):
        key = "api_keys" if "api_keys" in entry else "api_key"
        keys = tuple(dict.fromkeys(entry.texts(key, _NOT_KEYS)))
        if not _are_keys(keys):
            entry.wrong(key, _NOT_KEYS)
        return keys
    text = entry.text("api_key", lambda text: not text or _are_keys(_separated(text)), _NOT_HEADER_TEXT)
    return None if text is None else _separated(text)


def _models(entry: Entry, problems: list[str]) -> dict[str, Model]:
    value = entry.get("models")
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = {item: item for item in value}
    if not isinstance(value, dict) or not value:
        entry.wrong("models", _NOT_MODELS)
        return {}
    models: dict[str, Model] = {}
    for public, known in value.items():
        if known is UNREADABLE:
            continue
        if isinstance(known, dict):
            reader = Entry(known, f"{entry.at('models')}.{shown(public)}", problems)
            reader.check_keys(_MODEL_KEYS)
            upstream = reader.text("model", is_model, NOT_MODEL)
            window = reader.whole("context_window", 1, 1_000_000_000)
            model = Model(upstream or public, window, reader.flag("tools"), reader.flag("vision"))
        elif isinstance(known, str):
            model = Model(known)
        else:
            entry.wrong("models", _NOT_MODELS)
            continue
        if not is_model(public) or not is_model(model.upstream):
            entry.wrong("models", f"each {NOT_MODEL}")
        models[public] = model
    return models


def _separated(text: str) -> tuple[str, ...]:
    """Keys separated by commas, which no provider's own hold; each once."""
    return tuple(dict.fromkeys(key for part in text.split(",") if (key := part.strip(" "))))


def _are_keys(keys: Sequence[str]) -> bool:
    """A key goes into a header: a line break there would begin another one."""
    return bool(keys) and all(key.isascii() and all("!" <= char <= "~" for char in key) for key in keys)


def is_model(name: str) -> bool:
    """`|` separates alternatives in a request's `model`."""
    return 0 < len(name) <= 256 and name.isprintable() and not any(char.isspace() or char == "|" for char in name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError("not a JSON number")
