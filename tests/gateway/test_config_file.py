"""The configuration file: what it says, everything that can be wrong with it, and how a change is taken up."""

import asyncio
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.config_file import FileConfig, read_config
from gateway.live import GuardActions, LiveConfig, PolicyTerms, Routing
from gateway.policies import Policy
from gateway.services import configured_services
from gateway.settings import SettingsError, load_settings
from gateway.yaml_reader import MAX_ALIASES, MAX_BYTES
from middleware.safety import SafetyTerms
from providers.catalogue import AliasTarget
from providers.chat import Usage
from providers.latencies import MovingLatencies
from providers.pricing import Price
from providers.registry import Model
from providers.routing import Wish
from tests.serving import ROOT, serve

HOST = "http://127.0.0.1:9"
TICK_S = 0.02

WHOLE = """
services:
  - name: fast
    backend_type: groq
    api_key: ["${KEY_ONE}", "${KEY_TWO}"]
    models:
      small: openai/gpt-oss-20b
      big: {model: openai/gpt-oss-120b, context_window: 8192, tools: false, vision: true}
    priority: ${PRIORITY:-2}
    timeout_s: ${TIMEOUT}
    prefill: ${PREFILL}
  - name: own
    backend_type: custom
    base_url: http://${HOST_NAME:-127.0.0.1}:9/v1
    api_key: ${SEVERAL}
models:
  one: fast/small
  list: [fast/big, own/x]
  shared:
    - {target: fast/small, weight: 3}
    - {target: own/small, weight: 1}
    - {target: list, priority: 5}
    - own/last
prices:
  fast/small: {input_per_mtok: 0.1, output_per_mtok: 2, cached_input_per_mtok: 0}
  own/x: {input_per_mtok: 1, output_per_mtok: 1.5}
router: {strategy: least-latency, sticky: off, unsupported: refuse}
policies:
  default: {injection: flag, pii: mask, secrets: off, sql: off}
  watched:
    pii: off
    monitor: true
    allow: [support@acme.example, +1 202 555 0143]
    patterns: {projects: '(?i)\\bproject (?:titan|atlas)\\b'}
tenants:
  acme: {policy: watched}
"""
WHOLE_ENVIRONMENT = {
    "KEY_ONE": "k1",
    "KEY_TWO": "k2",
    "SEVERAL": "s1,s2",
    "TIMEOUT": "7.5",
    "PREFILL": "true",
}

SERVICES = f"""
services:
  - {{name: a, backend_type: custom, base_url: {HOST}, models: [m]}}
  - {{name: b, backend_type: custom, base_url: {HOST}, models: [m, n]}}
"""


def read(tmp_path: Path, text: str | bytes, environment: Mapping[str, str] | None = None) -> FileConfig:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    given_environment = environment or {}
    return read_config(
        path, given_environment, lambda: configured_services(load_settings(given_environment), given_environment)
    )


def problems(tmp_path: Path, text: str | bytes, environment: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, environment)
    return caught.value.problems


# What it says


def test_whole(tmp_path: Path) -> None:
    """Every section, with variables as text, parts of text and numbers; `off` is a word."""
    config = read(tmp_path, WHOLE, WHOLE_ENVIRONMENT)
    own, fast = config.services
    assert (own.name, own.base_url, [key.get_secret_value() for key in own.api_keys]) == (
        "own",
        f"{HOST}/v1",
        ["s1", "s2"],
    )
    assert (fast.priority, fast.timeout_s, fast.prefill) == (2, 7.5, True)
    assert [key.get_secret_value() for key in fast.api_keys] == ["k1", "k2"]
    assert fast.models == {
        "small": Model("openai/gpt-oss-20b"),
        "big": Model("openai/gpt-oss-120b", 8192, False, True),
    }
    assert config.aliases == {
        "one": (AliasTarget("fast/small"),),
        "list": (AliasTarget("fast/big", 0), AliasTarget("own/x", 1)),
        "shared": (
            AliasTarget("fast/small", 0, 3),
            AliasTarget("own/small", 0, 1),
            AliasTarget("list", 5, 1),
            AliasTarget("own/last", 3, 1),
        ),
    }
    assert config.prices == {
        "fast/openai/gpt-oss-20b": Price(Decimal("0.1"), Decimal(2), Decimal(0)),
        "own/x": Price(Decimal(1), Decimal("1.5")),
    }
    assert (config.strategy, config.sticky, config.unsupported) == ("least-latency", "off", "refuse")
    assert config.policies == {
        "default": Policy("flag", "mask", "off", "off"),
        "watched": Policy(
            pii="off",
            monitor=True,
            allow=("support@acme.example", "+1 202 555 0143"),
            patterns=(("projects", r"(?i)\bproject (?:titan|atlas)\b"),),
        ),
    }
    assert config.tenants["acme"].policy == "watched"


@pytest.mark.parametrize("text", ["{}", "services:\nmodels:\nrouter:\n", "policies: {default: }", "\ufeff{}"])
def test_what_is_left_out_stays(tmp_path: Path, text: str) -> None:
    """The environment's services and the defaults."""
    config = read(tmp_path, text, {"GROQ_API_KEY": "k"})
    assert [service.name for service in config.services] == ["groq"]
    assert config == FileConfig(config.services)


def test_keys_of_the_environment_are_for_the_providers_own_addresses(tmp_path: Path) -> None:
    """As in ROUTER_SERVICES; without services of its own or any key, there is the demo."""
    config = read(tmp_path, "services: [{name: x, backend_type: groq}]", {"GROQ_API_KEY": "k"})
    assert [key.get_secret_value() for key in config.services[0].api_keys] == ["k"]
    assert [service.name for service in read(tmp_path, "models: {x: demo}").services] == ["demo"]


def test_a_value_cannot_become_yaml(tmp_path: Path) -> None:
    """What a variable holds stays one text, and is not expanded again."""
    hostile = "a\n  - {name: evil}: [&x ${HOME}]"
    environment = {"NAME": hostile, "KEY": "${OTHER}"}
    [problem] = problems(tmp_path, SERVICES.replace("name: b", "name: '${NAME}'"), environment)
    assert problem.startswith("GATEWAY_CONFIG: services[1].name: must be")
    config = read(tmp_path, SERVICES.replace("name: b", 'name: b, api_key: "${KEY}$${x}"'), environment)
    assert config.services[1].api_keys[0].get_secret_value() == "${OTHER}${x}"


def test_anchors_within_bounds(tmp_path: Path) -> None:
    """An anchor may stand for a value in several places."""
    text = "prices: {demo/a: &p {input_per_mtok: 1, output_per_mtok: 1}, demo/b: *p}"
    assert read(tmp_path, text).prices.keys() == {"demo/a", "demo/b"}


# What can be wrong

AT = "GATEWAY_CONFIG: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # no document
        ("", ["must be a map"]),
        ("hidden", ["must be a map"]),
        ("[services]", ["must be a map"]),
        ("services: [", ["is not YAML (line 1)"]),
        ("services:\n  - a\n b: hidden", ["is not YAML (line 3)"]),
        ("a: 1\n---\nb: 2", ["is not YAML (line 2)"]),
        ("a: 1\nb: \x01hidden", ["is not YAML (line 2)"]),
        (b"a: 1\nb: \xffhidden", ["is not YAML (line 2): it must be UTF-8"]),
        ("a: *hidden", ["is not YAML (line 1)"]),
        ("[" * 20_000, ["is not YAML that can be read: it is nested too deeply"]),
        ("#" * (MAX_BYTES + 1), [f"the file is larger than {MAX_BYTES} bytes"]),
        # not only data
        ("a: &a 1\nb: [" + "*a, " * (MAX_ALIASES + 1) + "]", [f"has more than {MAX_ALIASES} aliases"]),
        ("router: &r {strategy: *r}", ["router.strategy: stands within itself"]),
        ("router: !!python/object/apply:os.system [hidden]", ["router: has a tag"]),
        ("router: {strategy: !hidden x}", ["router.strategy: has a tag"]),
        ("router: !!set {a}", ["router: has a tag"]),
        ("? [hidden]\n: 1\n? {a: b}\n: 2", ["line 1: has a key that is not text", "line 3: has a key"]),
        ("router: {}\nmodels: {}\nrouter: {}", ["router: stands twice"]),
        ("router: {strategy: priority, strategy: priority}", ["router.strategy: stands twice"]),
        ("router: {<<: {strategy: priority}}", ["router.<<: unknown key"]),
        # variables
        ("router: {strategy: '${UNSET_ONE}'}", ["router.strategy: UNSET_ONE is not set"]),
        ("router: {strategy: '${EMPTY}'}", ["router.strategy: EMPTY is not set"]),
        ("router: {strategy: '${1X}'}", ["router.strategy: holds '${' without a name and '}'"]),
        ("router: {strategy: '${X'}", ["router.strategy: holds '${' without a name and '}'"]),
        (
            "services: [{name: '${A}', backend_type: custom, base_url: '${B}${C}', models: ['${D}']}]",
            [
                "services[0].name: A is not set",
                "services[0].base_url: B is not set",
                "services[0].base_url: C is not set",
                "services[0].models[0]: D is not set",
            ],
        ),
        # sections
        ("service: []", ["service: unknown key"]),
        ("tenants: [acme]", ["tenants: must be a map"]),
        (
            "tenants: {Acme: {}, default: {}, a b: {}}",
            [f"tenants.{x}: an id" for x in ("Acme", "default", "a b")],
        ),
        ("tenants: {acme: hidden}", ["tenants.acme: must be a map"]),
        (
            "tenants: {acme: {rate_limit: hidden, tokens_per_minute: -1, concurrency: x, budget_usd: {day: a, year: 1},"
            " allowed_models: hidden, policy: hidden, strict: 1, disabled: x, metadata: {a: 1}, scopes: [chat]}}",
            [
                "tenants.acme.scopes: unknown key",
                "tenants.acme.budget_usd.year: unknown key",
                "tenants.acme.rate_limit: must be like 60/minute",
                "tenants.acme.tokens_per_minute: must be a whole number",
                "tenants.acme.concurrency: must be a whole number",
                "tenants.acme.budget_usd.day: must be a number",
                "tenants.acme.allowed_models: must be a list of names",
                "tenants.acme.policy: must be one of default",
                "tenants.acme.strict: must be true or false",
                "tenants.acme.disabled: must be true or false",
                "tenants.acme.metadata.a: must be text",
            ],
        ),
        ("tenants: {acme: {allowed_models: ['a|b']}}", ["tenants.acme.allowed_models: String should match pattern"]),
        ("router: [priority]", ["router: must be a map"]),
        ("models: hidden", ["models: must be a map"]),
        ("prices: 1", ["prices: must be a map"]),
        ("policies: []", ["policies: must be a map"]),
        ("services: {}", ["services: must be a list"]),
        ("services: []", ["services: must be a list"]),
        # services
        ("services: [hidden]", ["services[0]: must be an object"]),
        (
            "services: ['${X_UNSET}', {name: a}]",
            ["services[0]: X_UNSET is not set", "services[1].backend_type: required"],
        ),
        ("services: !hidden []", ["services: has a tag"]),
        ("models: {x: ['${X_UNSET}']}", ["models.x[0]: X_UNSET is not set"]),
        ("prices: {demo/x: !hidden {}}", ["prices.demo/x: has a tag"]),
        (
            f"services: [{{name: a, backend_type: custom, base_url: {HOST}}}, {{name: a, base_url: hidden, x: 1}}]",
            [
                "services[1].x: unknown key",
                "services[1].backend_type: required",
                "services[1].name: is that of GATEWAY_CONFIG: services[0] already",
            ],
        ),
        (
            "services: [{name: a, backend_type: custom, base_url: ftp://hidden}]",
            ["services[0].base_url: must begin with http:// or https://"],
        ),
        ("services: [{name: a, backend_type: groq}]", ["services[0].api_key: required, here or as GROQ_API_KEY"]),
        (
            f"services: [{{name: a, backend_type: vllm, base_url: {HOST}, api_key: 12345, weight: '3', prefill: no}}]",
            ["services[0].api_key: must", "services[0].weight: must", "services[0].prefill: must"],
        ),
        (
            f"services: [{{name: a, backend_type: custom, base_url: {HOST}, weight: '${{TEXT}}'}}]",
            ["services[0].weight: must be a whole number"],
        ),
        # aliases
        (
            SERVICES + "models: {x: 1, y: [], z: [[m]], w: , v: [m, 2]}",
            [f"models.{x}: must be a model" for x in "xyzwv"],
        ),
        (SERVICES + "models: {x: {model: m}}", ["models.x[0].model: unknown key", "models.x[0].target: required"]),
        (SERVICES + "models: {x: 'm|n'}", ["models.x[0].target: must be a model's name"]),
        (SERVICES + "models: {x y: m}", ["models.x y: the name must be a model's name"]),
        (
            SERVICES + "models: {x: [{target: m, weight: 0}, {target: 7, priority: hidden}]}",
            ["models.x[0].weight: must", "models.x[1].target: must", "models.x[1].priority: must"],
        ),
        (SERVICES + "models: {x: [m, hidden, a/n]}", ["models.x[1]: names what no", "models.x[2]: names what no"]),
        (SERVICES + "models: {x: y, y: [m, x]}", ["models.x: stands for itself", "models.y: stands for itself"]),
        # prices
        (SERVICES + "prices: {m: {input_per_mtok: 1}}", ["prices.m: must be named service/model"]),
        (SERVICES + "prices: {'a/': {}}", ["prices.a/: must be named service/model"]),
        (
            SERVICES + "prices: {hidden/m: {input_per_mtok: 1, output_per_mtok: 1}}",
            ["prices.hidden/m: names no service that is configured"],
        ),
        (SERVICES + "prices: {a/m: 1}", ["prices.a/m: must be a map"]),
        (
            SERVICES + "prices: {a/m: {input_per_mtok: -1, cached_input_per_mtok: '1', usd: 1}}",
            [
                "prices.a/m.usd: unknown key",
                "prices.a/m.input_per_mtok: must be a number",
                "prices.a/m.output_per_mtok: required",
                "prices.a/m.cached_input_per_mtok: must be a number",
            ],
        ),
        (
            SERVICES + "prices: {a/m: {input_per_mtok: 1e999, output_per_mtok: .inf}}",
            ["prices.a/m.input_per_mtok: must be a number", "prices.a/m.output_per_mtok: must be a number"],
        ),
        # router and policies
        (
            "router: {strategy: hidden, sticky: true, unsupported: 1, mode: x}",
            [
                "router.mode: unknown key",
                "router.strategy: must be one of priority, least-latency, least-cost",
                "router.sticky: must be one of off, session, prefix",
                "router.unsupported: must be one of drop, refuse",
            ],
        ),
        ("policies: {Strict: {}, 'a b': {}}", [f"policies.{x}: a name has at most 63" for x in ("Strict", "a b")]),
        (
            "policies: {p: {monitor: hidden, allow: hidden, patterns: {X: a, ok: a+, open: '(hidden', any: 'a*',"
            f" back: '(a)\\1', long: {'a' * 1001}}}}}}}",
            [
                "policies.p.monitor: must be true or false",
                "policies.p.allow: must be a list of values",
                "policies.p.patterns.X: a name has at most 63",
                *(f"policies.p.patterns.{x}: must be an RE2 pattern" for x in ("open", "any", "back", "long")),
            ],
        ),
        (
            f"policies: {{p: {{patterns: {{{', '.join(f'p{i}: a' for i in range(101))}}}}}}}",
            ["policies.p.patterns: must be at most 100"],
        ),
        ("policies: {default: block}", ["policies.default: must be a map"]),
        (
            "policies: {default: {injection: mask, pii: hidden, secrets: [], sql: mask, unread: mask, output: x,"
            " safety: mask, toxicity_threshold: 0, role: user}}",
            [
                "policies.default.role: unknown key",
                "policies.default.injection: must be one of block, flag, off",
                "policies.default.pii: must be one of block, mask, flag, off",
                "policies.default.secrets: must be one of block, mask, flag, off",
                "policies.default.sql: must be one of block, flag, off",
                "policies.default.unread: must be one of block, flag, off",
                "policies.default.output: must be one of block, mask, flag, off",
                "policies.default.safety: must be one of block, flag, off",
                "policies.default.toxicity_threshold: must be a number above 0, at most 1",
            ],
        ),
        # several sections at once
        (
            "services: []\nmodels: []\nrouter: {x: 1}\ntenants: {a: 1}",
            ["services: must", "models: must", "router.x: unknown", "tenants.a: must"],
        ),
    ],
)
def test_problems(tmp_path: Path, text: str | bytes, expected: list[str]) -> None:
    """All of them, in one line each, by the place of the key and without a value."""
    found = problems(tmp_path, text, {"EMPTY": "", "TEXT": "hidden"})
    assert [line[: len(AT + begun)] for line, begun in zip(found, expected, strict=True)] == [AT + e for e in expected]
    assert not any("hidden" in line.replace("prices.hidden/m", "") for line in found)
    assert not any("\n" in line for line in found)


def test_problems_of_the_environment_are_told_too(tmp_path: Path) -> None:
    """Those of its services, if the file has none."""
    environment = {"GROQ_API_KEY": "k", "GROQ_BASE_URL": "ftp://hidden"}
    assert [line.partition(": ")[0] for line in problems(tmp_path, "x: 1", environment)] == [
        "GATEWAY_CONFIG",
        "GROQ_BASE_URL",
    ]
    assert len(problems(tmp_path, SERVICES + "x: 1", environment)) == 1


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, os.mkfifo], ids=["nothing", "folder", "pipe"])
def test_no_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """What is no file that can be read is one problem, and nobody waits for a pipe's writer."""
    path = tmp_path / "hidden"
    make(path)
    with pytest.raises(SettingsError) as caught:
        read_config(path, {}, list)
    [problem] = caught.value.problems
    assert problem.startswith("GATEWAY_CONFIG: the file cannot be read (")
    assert "hidden" not in problem


def test_nested_anchors_are_built_once(tmp_path: Path) -> None:
    """A billion laughs cost what ten do."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert len(problems(tmp_path, "\n".join(lines))) == 10


@given(st.text(alphabet="ab:{}[]-&*!${}\"'\n #|>%@`?,~01\t", max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Nothing but a `SettingsError` comes out, whatever stands in the file."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    with suppress(SettingsError):
        read_config(path, {}, list)


# Changes


def live_config(path: Path | None, **environment: str) -> LiveConfig:
    return LiveConfig(load_settings(environment), environment, path)


def served(routing: Routing) -> list[str]:
    return [service.name for service in routing.router.services]


def one_service(name: str) -> str:
    return f"services: [{{name: {name}, backend_type: custom, base_url: '{HOST}'}}]\n"


async def until(holds: Callable[[], object]) -> None:
    """A thread reads the file; nothing tells when it has."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within five seconds")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_folder(path: Path, text: str) -> None:
    path.rmdir()
    path.write_text(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(one_service("old"))
    return path


def test_without_a_file() -> None:
    """The environment alone; a reload makes the same again."""
    live = live_config(None, GROQ_API_KEY="k")
    first = live.current
    assert (served(first), first.unsupported, first.generation) == (["groq"], "drop", 1)
    assert first.policies["default"].terms == PolicyTerms(
        GuardActions(injection="block", pii="block", secrets="block", sql="flag", unread="flag"),
        output="flag",
        safety=SafetyTerms("block", 0.7),
    )
    assert live.reload() is live.current
    assert live.current.policies["default"] is first.policies["default"]
    assert (served(live.current), live.current.generation) == (["groq"], 2)


def test_prices_and_policy(path: Path) -> None:
    """Prices reach the router and the accounts; what a policy leaves out the variables say."""
    prices = "prices: {old/m: {input_per_mtok: 1, output_per_mtok: 1}}\nrouter: {unsupported: refuse}\n"
    write(path, one_service("old") + prices + "policies: {default: {pii: mask}}")
    live = live_config(path, SQL_ACTION="block", ENABLE_PROMPT_INJECTION_CHECK="false")
    routing = live.current
    assert routing.policies["default"].terms.actions == GuardActions(
        injection="off", pii="mask", secrets="block", sql="block", unread="flag"
    )
    assert routing.policies["default"].guard.inspect(["write to ada@example.com"]).outcome == "mask"
    assert routing.unsupported == "refuse"
    [target] = routing.router.plan(Wish("m")).targets
    assert routing.prices.cost_usd(target, "m", Usage(1_000_000, 0)) == 1
    path.write_text(one_service("old") + "policies: {default: {pii: off}}")
    assert live.reload().policies["default"].guard.inspect(["write to ada@example.com"]).outcome == "pass"
    assert routing.policies["default"].guard.inspect(["write to ada@example.com"]).outcome == "mask"


def test_a_bad_start_is_refused(path: Path) -> None:
    """There is nothing yet that could stay."""
    write(path, "x: 1")
    with pytest.raises(SettingsError, match="x: unknown key"):
        live_config(path)


def test_a_good_reload(path: Path) -> None:
    """Swapped whole; who has the old keeps it; measured latencies stay."""
    latencies = MovingLatencies()
    text = (
        "services: [{name: %s, backend_type: custom, base_url: '%s', models: [m]}]\nrouter: {strategy: least-latency}"
    )
    write(path, text % ("old", HOST))
    live = LiveConfig(load_settings({}), {}, path, latencies=latencies)
    old, loaded = live.current, live.last_loaded
    latencies.observe("new/m", 0.25)
    write(path, text % ("new", HOST))
    assert live.reload() is live.current
    assert (served(old), served(live.current), live.current.generation) == (["old"], ["new"], 2)
    assert old.router.plan(Wish("m")).targets[0].service == "old"
    [candidate] = live.current.router.plan(Wish("m")).candidates
    assert candidate.reasons == ("priority 0", "latency 250 ms")
    assert (live.last_error, live.last_loaded >= loaded) == ((), True)


def test_a_bad_reload(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The old one stays, each problem is logged once and remembered until a good load, no value anywhere."""
    live = live_config(path)
    old, loaded = live.current, live.last_loaded
    write(path, "services: [{name: a, backend_type: secret, api_key: 'secret key'}]\nx: secret")
    with caplog.at_level(logging.ERROR), pytest.raises(SettingsError) as caught:
        live.reload()
    assert live.current is old
    assert (live.last_error, live.last_loaded) == (tuple(caught.value.problems), loaded)
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == caught.value.problems
    assert "secret" not in caplog.text
    write(path, one_service("new"))
    live.reload()
    assert (live.last_error, live.current.generation) == ((), 2)


@pytest.mark.parametrize("how", ["written", "replaced", "link"])
async def test_a_changed_file(path: Path, how: str) -> None:
    """Written in place, replaced, or behind a link that now leads elsewhere."""
    other = path.with_name("other.yaml")
    link = path.with_name("link.yaml")
    link.symlink_to(path)
    live = live_config(link)
    async with live.watch(interval_s=TICK_S):
        await asyncio.sleep(4 * TICK_S)
        assert live.current.generation == 1
        if how == "written":
            write(path, one_service("new"))
        else:
            other.write_text(one_service("new"))
            if how == "replaced":
                other.replace(path)
            else:
                link.unlink()
                link.symlink_to(other)
        await until(lambda: served(live.current) == ["new"])
        await asyncio.sleep(4 * TICK_S)
        assert live.current.generation == 2


async def test_a_change_before_the_watch(path: Path) -> None:
    """What changed between the load and the watch is seen."""
    live = live_config(path)
    write(path, one_service("newer"))
    async with live.watch(interval_s=TICK_S):
        await until(lambda: served(live.current) == ["newer"])


async def test_a_half_written_file(path: Path) -> None:
    """While it grows it is not read."""
    live = live_config(path)
    async with live.watch(interval_s=0.3):
        with path.open("w") as file:
            for piece in ["serv", "ices: [{name: new, backend_type: cus", f"tom, base_url: '{HOST}'", "}]", "\n"]:
                file.write(piece)
                file.flush()
                await asyncio.sleep(0.05)
        await until(lambda: served(live.current) == ["new"])
    assert live.last_error == ()
    assert live.current.generation == 2


async def test_a_bad_file_is_tried_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Refused with one line for each problem, and taken up when it is mended; so is one that went and came back."""
    live = live_config(path)
    async with live.watch(interval_s=TICK_S):
        write(path, "x: 1")
        await until(lambda: live.last_error)
        await asyncio.sleep(6 * TICK_S)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        await asyncio.to_thread(path.unlink)
        await until(lambda: "cannot be read" in live.last_error[0])
        assert served(live.current) == ["old"]
        write(path, one_service("new"))
        await until(lambda: served(live.current) == ["new"])


async def test_a_file_that_cannot_be_looked_at_twice(path: Path) -> None:
    """Nothing but the end of the watch ends it."""
    live = live_config(path)
    async with live.watch(interval_s=TICK_S):
        replace_by_folder(path)
        await until(lambda: live.last_error)
        replace_folder(path, one_service("new"))
        await until(lambda: served(live.current) == ["new"])
    write(path, one_service("newer"))
    await asyncio.sleep(5 * TICK_S)
    assert served(live.current) == ["new"]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_hangup(path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """SIGHUP reloads at once, a bad file changes nothing, and afterwards the signal is its former owner's."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))

    async def main() -> None:
        live = live_config(path)
        async with live.watch(interval_s=60):
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: live.current.generation == 2)
            write(path, "x: 1")
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: live.last_error)
            write(path, one_service("new"))
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: served(live.current) == ["new"])
        assert heard == []
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: heard == [signal.SIGHUP])

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_without_a_file_a_hangup_is_not_ours() -> None:
    """There would be nothing to read, and a closed terminal must end its processes."""
    before = signal.getsignal(signal.SIGHUP)
    async with live_config(None).watch():
        assert signal.getsignal(signal.SIGHUP) is before


def test_outside_the_main_thread(path: Path) -> None:
    """No signal can be heard there; the file is watched all the same."""

    async def main() -> None:
        live = live_config(path)
        async with live.watch(interval_s=TICK_S):
            write(path, one_service("newer"))
            await until(lambda: served(live.current) == ["newer"])
        done.append(True)

    done: list[bool] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert done == [True]


async def test_under_uvicorn(path: Path) -> None:
    """From the lifespan of an app that is being served, by file and by signal; a request keeps what it began with."""
    live = live_config(path)
    waiting, go = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> PlainTextResponse:
        routing = live.current
        if request.url.path == "/slow":
            waiting.set()
            await go.wait()
        return PlainTextResponse(routing.router.plan(Wish()).targets[0].service)

    app = Starlette(
        routes=[Route("/", answer), Route("/slow", answer)], lifespan=lambda _: live.watch(interval_s=TICK_S)
    )
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        slow = asyncio.create_task(client.get("/slow"))
        await waiting.wait()
        write(path, one_service("new"))
        await until(lambda: live.current.generation == 2)
        assert (await client.get("/")).text == "new"
        go.set()
        assert (await slow).text == "old"
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: live.current.generation == 3)


async def test_reloads_at_once(path: Path) -> None:
    """From several threads: each is a generation of its own."""
    live = live_config(path)
    routings = await asyncio.gather(*(asyncio.to_thread(live.reload) for _ in range(8)))
    assert sorted(routing.generation for routing in routings) == list(range(2, 10))
    assert live.current.generation == 9


def test_readme_example(tmp_path: Path) -> None:
    """The README's file is one the gateway takes, and means what it says."""
    [example] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "gateway.yaml"
    path.write_text(example)
    config = read_config(path, {"CEREBRAS_KEY_A": "key-a", "CEREBRAS_KEY_B": "key-b"}, list)
    fast, local = config.services
    assert (len(fast.api_keys), fast.rate_limit_requests, local.models["llama"].vision) == (2, 30, False)
    assert set(config.aliases) == {"default", "canary"}
    assert (config.strategy, config.sticky, config.unsupported) == ("priority", "session", "drop")
    assert config.policies["default"] == Policy("block", "mask", "block", "flag", output="flag")
