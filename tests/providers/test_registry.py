"""The rows, the addresses operators write, and the services that environment and JSON make."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import ChatRequest, Message
from providers.pricing import list_price
from providers.registry import (
    PROVIDERS,
    UNNAMED_MODEL,
    ConfigProblem,
    Model,
    Provider,
    Service,
    mend_base_url,
    service_from_environment,
    services_from_environment,
    services_from_json,
)

ROWS = {row.name: row for row in PROVIDERS}
HOST = "http://127.0.0.1:9000"

KEYS = {
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "deepinfra": "DEEPINFRA_TOKEN",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
}


def test_rows() -> None:
    """The providers of the contract, in the order they are asked."""
    assert [row.name for row in PROVIDERS] == [*KEYS, "azure", "ollama", "vllm", "custom"]


@pytest.mark.parametrize("row", [row for row in PROVIDERS if row.base_url], ids=lambda row: row.name)
def test_shipped_addresses_need_no_mending(row: Provider) -> None:
    """A row's own address is what mending would make of it."""
    assert row.base_url is not None
    assert mend_base_url(row, row.base_url) == row.base_url


@pytest.mark.parametrize("row", [row for row in PROVIDERS if row.model and row.prices_id], ids=lambda row: row.name)
def test_shipped_models_have_a_price(row: Provider) -> None:
    """A default model without a list price would show no cost, save OpenRouter's, which reports its own."""
    assert row.model is not None
    assert (list_price(row.prices_id, row.model) is not None) is (row.name != "openrouter")


# Addresses


@pytest.mark.parametrize(
    ("name", "written", "mended"),
    [
        # A missing, partial or doubled version path, and trailing slashes.
        ("groq", f"{HOST}", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai/v1", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai/v1//", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai/v1/openai/v1", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai/v1/openai/v1/openai/v1/", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/openai/v1/v1", f"{HOST}/openai/v1"),
        ("groq", f"{HOST}/proxy", f"{HOST}/proxy/openai/v1"),
        ("openrouter", f"{HOST}/api", f"{HOST}/api/v1"),
        ("openrouter", f"{HOST}/api/v1/api/v1", f"{HOST}/api/v1"),
        ("openai", f"{HOST}", f"{HOST}/v1"),
        ("openai", f"{HOST}/v1/v1", f"{HOST}/v1"),
        ("mistral", f"{HOST}/v1/", f"{HOST}/v1"),
        ("deepinfra", f"{HOST}/v1", f"{HOST}/v1/openai"),
        ("deepinfra", f"{HOST}/v1/openai", f"{HOST}/v1/openai"),
        ("fireworks", f"{HOST}/inference", f"{HOST}/inference/v1"),
        ("deepseek", "https://api.deepseek.com", "https://api.deepseek.com/v1"),
        ("ollama", "http://localhost:11434", "http://localhost:11434/v1"),
        ("azure", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"),
        # Another version is the operator's choice.
        ("openai", f"{HOST}/api/v3", f"{HOST}/api/v3"),
        ("openai", f"{HOST}/v1beta/openai", f"{HOST}/v1beta/openai"),
        ("groq", f"{HOST}/v1", f"{HOST}/v1"),
        # The adapters of these add the version themselves.
        ("gemini", f"{HOST}", HOST),
        ("gemini", f"{HOST}/v1beta/", HOST),
        ("gemini", f"{HOST}/v1", HOST),
        ("gemini", f"{HOST}/v1beta/v1beta", HOST),
        ("gemini", f"{HOST}/gemini/v1beta", f"{HOST}/gemini"),
        ("anthropic", f"{HOST}/v1", HOST),
        ("anthropic", f"{HOST}/anthropic/v1/", f"{HOST}/anthropic"),
        # A custom one is as written, but for a bare host.
        ("custom", f"{HOST}", f"{HOST}/v1"),
        ("custom", f"{HOST}/", f"{HOST}/v1"),
        ("custom", f"{HOST}/v1/", f"{HOST}/v1"),
        ("custom", f"{HOST}/llm", f"{HOST}/llm"),
        ("custom", "http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_addresses(name: str, written: str, mended: str) -> None:
    """What operators write, joined from vendors' different habits, all works."""
    assert mend_base_url(ROWS[name], written) == mended


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9000",
        "//host/v1",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://user@host",
        "http://user:secret@host/v1",
        "http://@host",
        "http://host/v1?key=secret",
        "http://host/v1?",
        "http://host/v1#part",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://[::1",
        "http://ho st/v1",
        "http://host/v1\r\nx: y",
        "http://host\\@evil/v1",
        "http://höst/v1",
    ],
)
@pytest.mark.parametrize("name", ["groq", "gemini", "custom"])
def test_bad_addresses(name: str, url: str) -> None:
    """Anything but a plain http(s) address is refused, and not repeated."""
    with pytest.raises(ValueError, match="must") as caught:
        mend_base_url(ROWS[name], url)
    assert not url or url not in str(caught.value)
    assert "secret" not in str(caught.value)


@given(
    st.sampled_from(PROVIDERS),
    st.lists(st.sampled_from(["v1", "v1beta", "openai", "api", "inference", "proxy", ""]), max_size=6),
)
def test_mending_is_done_once(row: Provider, segments: list[str]) -> None:
    """Mending what was mended changes nothing; no address ends with a slash."""
    once = mend_base_url(row, "/".join([HOST, *segments]))
    assert mend_base_url(row, once) == once
    assert not once.endswith("/")


# From the environment


def test_nothing_configured() -> None:
    """No key, no service; blank values are none."""
    assert services_from_environment({}) == []
    assert services_from_environment({"GROQ_API_KEY": " ", "OLLAMA_BASE_URL": "", "GEMINI_MODEL": "x"}) == []


def test_one_service_whole() -> None:
    """All that a key alone makes."""
    [service] = services_from_environment({"GROQ_API_KEY": " gsk-1 "})
    assert service == Service(
        name="groq",
        backend_type="groq",
        base_url="https://api.groq.com/openai/v1",
        adapter=ROWS["groq"].adapter,
        default_model="openai/gpt-oss-20b",
        api_keys=service.api_keys,
        prices_id="groq",
    )
    assert service.api_key is not None
    assert service.api_key.get_secret_value() == "gsk-1"
    assert "gsk-1" not in repr(service)
    target = service.target(None)
    assert (target.service, target.model, target.base_url, target.prices_id, target.prefill) == (
        "groq",
        "openai/gpt-oss-20b",
        "https://api.groq.com/openai/v1",
        "groq",
        False,
    )
    assert service.target("other").model == "other"


@pytest.mark.parametrize("name", KEYS)
def test_every_provider_by_its_variables(name: str) -> None:
    """Key, model and address of each are read from the variables the contract names."""
    upper = name.upper()
    environment = {KEYS[name]: "k-1", f"{upper}_MODEL": "some/model", f"{upper}_BASE_URL": HOST}
    [service] = services_from_environment(environment)
    assert (service.name, service.default_model) == (name, "some/model")
    assert service.base_url == mend_base_url(ROWS[name], HOST)
    sent = service.adapter.encode(ChatRequest((Message("user", "Hi"),)), service.target(None), stream=False)
    assert sent.url.startswith(HOST)
    assert "k-1" in "".join(sent.headers.values())
    assert "k-1" not in sent.url


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"GOOGLE_API_KEY": "b"}, "b"),
        ({"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}, "a"),
    ],
)
def test_key_aliases(environment: dict[str, str], key: str) -> None:
    """Google's own name for it counts as well, after ours."""
    service = service_from_environment("gemini", environment)
    assert service is not None
    assert service.api_key is not None
    assert service.api_key.get_secret_value() == key


def test_order() -> None:
    """The shipped order; a given one comes first and the rest follow."""
    environment = dict.fromkeys(reversed(KEYS.values()), "k")
    names = [service.name for service in services_from_environment(environment)]
    assert names == list(KEYS)
    services = services_from_environment(environment, ["mistral", "groq", "mistral", "azure"])
    assert [service.name for service in services][:3] == ["mistral", "groq", "gemini"]
    assert [service.priority for service in services] == list(range(len(KEYS)))


def test_ollama() -> None:
    """An address turns it on; no key is needed or sent."""
    [service] = services_from_environment({"OLLAMA_BASE_URL": "http://localhost:11434/", "OLLAMA_MODEL": "qwen3"})
    assert (service.base_url, service.default_model, service.api_key, service.prices_id) == (
        "http://localhost:11434/v1",
        "qwen3",
        None,
        None,
    )


AZURE = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"}


@pytest.mark.parametrize(
    ("extra", "url"),
    [
        ({"AZURE_OPENAI_DEPLOYMENT": "d"}, "https://r.openai.azure.com/openai/v1/chat/completions"),
        (
            {"AZURE_OPENAI_MODEL": "d", "OPENAI_API_VERSION": "2024-10-21"},
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            {"AZURE_OPENAI_MODEL": "d", "AZURE_OPENAI_API_VERSION": "2025-01-01-preview"},
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01-preview",
        ),
        (
            {
                "AZURE_OPENAI_MODEL": "d",
                "OPENAI_API_VERSION": "2024-10-21",
                "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/openai/v1/",
            },
            "https://r.openai.azure.com/openai/v1/chat/completions",
        ),
    ],
)
def test_azure(extra: dict[str, str], url: str) -> None:
    """A version makes the classic form, unless the address says v1."""
    [service] = services_from_environment({**AZURE, **extra})
    sent = service.adapter.encode(ChatRequest((Message("user", "Hi"),)), service.target(None), stream=False)
    assert (sent.url, sent.headers["api-key"]) == (url, "k")


@pytest.mark.parametrize(
    ("environment", "order", "places"),
    [
        ({"GROQ_API_KEY": "k", "GROQ_BASE_URL": "ftp://secret"}, None, ["GROQ_BASE_URL"]),
        ({"GROQ_API_KEY": "secret\nx"}, None, ["GROQ_API_KEY"]),
        ({"GROQ_API_KEY": "a,secret x"}, None, ["GROQ_API_KEY"]),
        ({"GROQ_API_KEY": ","}, None, ["GROQ_API_KEY"]),
        ({"GROQ_API_KEY": "sécret"}, None, ["GROQ_API_KEY"]),
        ({"GROQ_API_KEY": "k", "GROQ_MODEL": "secret model"}, None, ["GROQ_MODEL"]),
        ({"OLLAMA_BASE_URL": HOST}, None, ["OLLAMA_MODEL"]),
        ({"AZURE_OPENAI_API_KEY": "k"}, None, ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT"]),
        ({**AZURE, "AZURE_OPENAI_MODEL": "d", "OPENAI_API_VERSION": "secret"}, None, ["AZURE_OPENAI_ENDPOINT"]),
        ({"GROQ_API_KEY": "k"}, ["groq", "secret"], ["PROVIDER_ORDER"]),
        (
            {"GROQ_API_KEY": "a b", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "secret"},
            ["?"],
            ["PROVIDER_ORDER", "GROQ_API_KEY", "OPENAI_BASE_URL"],
        ),
    ],
)
def test_environment_problems(environment: dict[str, str], order: list[str] | None, places: list[str]) -> None:
    """Everything wrong is said at once, by variable, without a value."""
    with pytest.raises(ConfigProblem) as caught:
        services_from_environment(environment, order)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == places
    assert "secret" not in str(caught.value)


# From ROUTER_SERVICES


def made(*entries: object, **environment: str) -> list[Service]:
    return services_from_json(orjson.dumps(list(entries)).decode(), environment)


def test_json_entry_whole() -> None:
    """Every key."""
    [service] = made(
        {
            "name": "fast",
            "backend_type": "groq",
            "base_url": f"{HOST}/",
            "api_key": "k-1",
            "priority": 3,
            "rate_limit_requests": 30,
            "rate_limit_window": 60,
            "models": {
                "small": "openai/gpt-oss-20b",
                "big": {"model": "openai/gpt-oss-120b", "context_window": 8192, "tools": False, "vision": True},
            },
            "allow_fields": ["seed"],
            "weight": 2,
            "timeout_s": 7.5,
            "max_retries": 0,
            "prefill": True,
        }
    )
    assert service == Service(
        name="fast",
        backend_type="groq",
        base_url=f"{HOST}/openai/v1",
        adapter=ROWS["groq"].adapter,
        default_model="small",
        api_keys=service.api_keys,
        models={"small": Model("openai/gpt-oss-20b"), "big": Model("openai/gpt-oss-120b", 8192, False, True)},
        priority=3,
        weight=2,
        timeout_s=7.5,
        max_retries=0,
        allow_fields=frozenset({"seed"}),
        prefill=True,
        prices_id="groq",
        rate_limit_requests=30,
        rate_limit_window=60,
    )
    target = service.target(None)
    assert (target.name, target.timeout_s, target.max_retries, target.prefill, target.allow_fields) == (
        "fast/openai/gpt-oss-20b",
        7.5,
        0,
        True,
        frozenset({"seed"}),
    )
    assert (target.tools, target.vision) == (None, None)
    big = service.target("big")
    assert (big.model, big.context_window, big.tools, big.vision) == ("openai/gpt-oss-120b", 8192, False, True)


def test_context_window() -> None:
    """What the configuration says, else the price list; nobody knows an unlisted model's."""
    models = {"own": {"model": "openai/gpt-oss-20b", "context_window": 4096}, "listed": "openai/gpt-oss-20b", "x": "x"}
    [service] = made({**GOOD, "backend_type": "groq", "models": models})
    assert [service.target(name).context_window for name in models] == [4096, 131_072, None]
    [custom] = made({**GOOD, "models": ["openai/gpt-oss-20b"]})
    assert custom.target(None).context_window is None


def test_json_defaults() -> None:
    """Address, key and model come from the provider's own variables, else from its row; order from the list."""
    first, second, third = made(
        {"name": "a", "backend_type": "openai"},
        {"name": "b", "backend_type": "cerebras", "models": ["x", "y"]},
        {"name": "c", "backend_type": "custom", "base_url": f"{HOST}/v1", "api_key": None},
        OPENAI_API_KEY="k-openai",
        OPENAI_BASE_URL=HOST,
        CEREBRAS_API_KEY="k-cerebras",
    )
    assert (first.base_url, first.default_model, first.models, first.priority) == (f"{HOST}/v1", "gpt-5.4-mini", {}, 0)
    assert first.api_key is not None
    assert first.api_key.get_secret_value() == "k-openai"
    assert (second.base_url, second.default_model, second.models, second.priority) == (
        "https://api.cerebras.ai/v1",
        "x",
        {"x": Model("x"), "y": Model("y")},
        1,
    )
    assert (third.default_model, third.api_key, third.prices_id) == (UNNAMED_MODEL, None, None)


def test_json_order_is_by_priority() -> None:
    """Lower first; equal ones keep their place."""
    entry = {"backend_type": "custom", "base_url": HOST}
    services = made(
        {**entry, "name": "a", "priority": 2}, {**entry, "name": "b", "priority": 1}, {**entry, "name": "c"}
    )
    assert [(service.name, service.priority) for service in services] == [("b", 1), ("a", 2), ("c", 2)]


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"api_key": "a"}, ["a"]),
        ({"api_key": "a,b , c,a"}, ["a", "b", "c"]),
        ({"api_key": ["a", "b"]}, ["a", "b"]),
        ({"api_keys": ["a", "b", "a"]}, ["a", "b"]),
        ({"api_key": ""}, []),
        ({"api_key": None, "base_url": None}, ["env-key-1", "env-key-2"]),
    ],
)
def test_several_keys(given: dict[str, Any], keys: list[str]) -> None:
    """One, a list, or several in one text, as from the environment; each once and each a target."""
    [service] = made(
        {"name": "a", "backend_type": "openai", "base_url": HOST, **given}, OPENAI_API_KEY=" env-key-1,env-key-2,"
    )
    assert [key.get_secret_value() for key in service.api_keys] == keys
    targets = service.targets("m")
    assert [target.key_slot for target in targets] == list(range(max(1, len(keys))))
    assert [target.api_key for target in targets] == list(service.api_keys or [None])
    assert {target.name for target in targets} == {"a/m"}
    assert not any(key in repr(service) + repr(targets) for key in ["env-key-1", "env-key-2"])


def test_an_empty_key_means_none() -> None:
    """The environment's key does not go to a server that was said to need none."""
    [service] = made({"name": "a", "backend_type": "openai", "base_url": HOST, "api_key": ""}, OPENAI_API_KEY="k")
    assert service.api_key is None
    [service] = made({"name": "a", "backend_type": "vllm", "base_url": HOST}, VLLM_API_KEY="k")
    assert service.api_key is None
    [service] = made({"name": "a", "backend_type": "vllm"}, VLLM_API_KEY="k", VLLM_BASE_URL=HOST)
    assert service.api_key is not None


GOOD: dict[str, Any] = {"name": "a", "backend_type": "custom", "base_url": HOST, "api_key": "k"}
AT = "ROUTER_SERVICES[0]"


@pytest.mark.parametrize(
    ("entry", "places"),
    [
        ({}, [f"{AT}.name", f"{AT}.backend_type"]),
        ({**GOOD, "name": ""}, [f"{AT}.name"]),
        ({**GOOD, "name": "secret/x"}, [f"{AT}.name"]),
        ({**GOOD, "name": 7}, [f"{AT}.name"]),
        ({**GOOD, "name": "a" * 65}, [f"{AT}.name"]),
        ({**GOOD, "backend_type": "secret"}, [f"{AT}.backend_type"]),
        ({**GOOD, "backend_type": ["custom"]}, [f"{AT}.backend_type"]),
        ({**GOOD, "prio": 1}, [f"{AT}.prio"]),
        ({**GOOD, "base_url": "secret"}, [f"{AT}.base_url"]),
        ({**GOOD, "base_url": 1}, [f"{AT}.base_url"]),
        ({**GOOD, "base_url": None}, [f"{AT}.base_url"]),
        ({"name": "a", "backend_type": "groq"}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": "secret\r\n"}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": 5}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": "a,secret x"}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": ","}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": []}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": ["a", ""]}, [f"{AT}.api_key"]),
        ({**GOOD, "api_key": ["a", "secret\n"]}, [f"{AT}.api_key"]),
        ({**GOOD, "api_keys": ["a"]}, [f"{AT}.api_keys"]),
        ({**GOOD, "api_key": None, "api_keys": "secret"}, [f"{AT}.api_keys"]),
        ({**GOOD, "priority": "secret"}, [f"{AT}.priority"]),
        ({**GOOD, "priority": True}, [f"{AT}.priority"]),
        ({**GOOD, "priority": 1.5}, [f"{AT}.priority"]),
        ({**GOOD, "weight": 0}, [f"{AT}.weight"]),
        ({**GOOD, "timeout_s": 0}, [f"{AT}.timeout_s"]),
        ({**GOOD, "timeout_s": "secret"}, [f"{AT}.timeout_s"]),
        ({**GOOD, "max_retries": -1}, [f"{AT}.max_retries"]),
        ({**GOOD, "rate_limit_requests": 0}, [f"{AT}.rate_limit_requests"]),
        ({**GOOD, "rate_limit_window": "1m"}, [f"{AT}.rate_limit_window"]),
        ({**GOOD, "prefill": "yes"}, [f"{AT}.prefill"]),
        ({**GOOD, "allow_fields": "secret"}, [f"{AT}.allow_fields"]),
        ({**GOOD, "models": []}, [f"{AT}.models"]),
        ({**GOOD, "models": ["secret|x"]}, [f"{AT}.models"]),
        ({**GOOD, "models": {"a": 1}}, [f"{AT}.models"]),
        ({**GOOD, "models": {"a": {"model": "secret x"}}}, [f"{AT}.models.a.model"]),
        ({**GOOD, "models": {"a": {"context": 1}}}, [f"{AT}.models.a.context"]),
        ({**GOOD, "models": {"a": {"context_window": 0}}}, [f"{AT}.models.a.context_window"]),
        (
            {**GOOD, "models": {"a": {"tools": "secret", "vision": 1}}},
            [f"{AT}.models.a.tools", f"{AT}.models.a.vision"],
        ),
        ({**GOOD, "models": {"a b": {}}}, [f"{AT}.models"]),
        ({**GOOD, "models": "secret"}, [f"{AT}.models"]),
        (
            {**GOOD, "priority": "x", "weight": "y", "base_url": "z"},
            [f"{AT}.priority", f"{AT}.weight", f"{AT}.base_url"],
        ),
        ("secret", [AT]),
    ],
)
def test_json_problems(entry: object, places: list[str]) -> None:
    """Index and key of everything that is wrong, never a value."""
    with pytest.raises(ConfigProblem) as caught:
        made(entry)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == places
    assert "secret" not in str(caught.value)


def test_names_are_unique() -> None:
    """A second service of the same name is told where the first is."""
    with pytest.raises(ConfigProblem) as caught:
        made(GOOD, {**GOOD, "name": "b"}, GOOD)
    assert caught.value.problems == ["ROUTER_SERVICES[2].name: is that of ROUTER_SERVICES[0] already"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "[]",
        "null",
        '"secret"',
        "[NaN]",
        '[{"name": "a", "name": "b"}]',
        "[" * 100_000,
    ],
)
def test_json_that_is_no_list_of_services(text: str) -> None:
    """One problem, naming the variable."""
    with pytest.raises(ConfigProblem) as caught:
        services_from_json(text, {})
    [problem] = caught.value.problems
    assert problem.startswith("ROUTER_SERVICES: must be")
