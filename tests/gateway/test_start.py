"""Starting: what is refused, what is printed, and the commands around it."""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import httpx
import pytest

from gateway.keys import new_key
from gateway.settings import Settings
from tests.serving import CLIENT_KEY, ROOT, Replica, run_gateway
from tests.upstream import free_port

SERVICES = (
    '[{"name":"a","backend_type":"custom","base_url":"http://127.0.0.1:9/v1","api_key":"secret-of-a","priority":1}]'
)

PROBLEMS: dict[str, tuple[dict[str, str], list[str]]] = {
    # variables, and the names that the lines begin with
    "empty key": ({"SERVICE_API_KEY": ""}, ["SERVICE_API_KEY"]),
    "well-known key": ({"SERVICE_API_KEY": "your_secure_api_key_here"}, ["SERVICE_API_KEY"]),
    "changeme": ({"SERVICE_API_KEY": "changeme"}, ["SERVICE_API_KEY"]),
    "short key": ({"AUTH_KEY_07": "fifteen-chars-x"}, ["AUTH_KEY_07"]),
    "short admin key": ({"ADMIN_API_KEY": "short"}, ["ADMIN_API_KEY"]),
    "key no header can carry": ({"SERVICE_API_KEY": "a key with spaces in it"}, ["SERVICE_API_KEY"]),
    "services are not JSON": ({"ROUTER_SERVICES": "[{secret-value"}, ["ROUTER_SERVICES"]),
    "services are no list": ({"ROUTER_SERVICES": "{}"}, ["ROUTER_SERVICES"]),
    "unknown service key": ({"ROUTER_SERVICES": SERVICES.replace("priority", "prio")}, ["ROUTER_SERVICES"]),
    "unknown backend": ({"ROUTER_SERVICES": SERVICES.replace("custom", "secret-value")}, ["ROUTER_SERVICES"]),
    "rate limit": ({"RATE_LIMIT": "ten a minute"}, ["RATE_LIMIT"]),
    "order": ({"PROVIDER_ORDER": "gemini,secret-value"}, ["PROVIDER_ORDER"]),
    "proxies": ({"TRUSTED_PROXIES": "10.0.0.1/8"}, ["TRUSTED_PROXIES"]),
    "address": ({"GEMINI_API_KEY": "x", "GEMINI_BASE_URL": "ftp://secret-value"}, ["GEMINI_BASE_URL"]),
    "workers": ({"WORKERS": "2"}, ["WORKERS"]),
    "not a number": ({"REQUEST_TIMEOUT": "secret-value"}, ["REQUEST_TIMEOUT"]),
    "not an action": ({"PII_ACTION": "secret-value"}, ["PII_ACTION"]),
    "store": ({"REDIS_URL": "http://secret-value"}, ["REDIS_URL"]),
    "several at once": (
        {"SERVICE_API_KEY": "x", "RATE_LIMIT": "x", "MAX_RETRIES": "-1"},
        ["MAX_RETRIES", "RATE_LIMIT", "SERVICE_API_KEY"],
    ),
}


@pytest.mark.parametrize(
    ("variables", "named", "command"),
    [*((*problem, "check") for problem in PROBLEMS.values()), (*PROBLEMS["several at once"], "serve")],
    ids=[*PROBLEMS, "several at once, by serve"],
)
async def test_refusals(variables: dict[str, str], named: list[str], command: str) -> None:
    """Exit 2, a line for each problem that names its variable, and never a value."""
    finished = await run_gateway(command, variables={"SERVICE_API_KEY": CLIENT_KEY, **variables})
    assert finished.code == 2, finished.stderr
    lines = finished.stderr.splitlines()
    assert sorted({re.split(r"[:\[]", line)[0] for line in lines}) == named
    assert "secret-value" not in finished.stderr
    assert "secret-of-a" not in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""


async def test_unreachable_redis() -> None:
    """Exit 2 after five seconds, unless Redis is declared optional."""
    url = f"redis://:password@127.0.0.1:{free_port()}/0"
    finished = await run_gateway("serve", variables={"SERVICE_API_KEY": CLIENT_KEY, "REDIS_URL": url})
    assert (finished.code, finished.stderr) == (2, "REDIS_URL: Redis does not answer\n")
    variables = {"SERVICE_API_KEY": CLIENT_KEY, "REDIS_URL": url, "REDIS_REQUIRED": "false"}
    async with Replica(variables) as replica, httpx.AsyncClient(base_url=replica.url) as client:
        assert (await client.get("/health")).json()["status"] == "degraded"
        assert "password" not in (await client.get("/health")).text
        assert "password" not in replica.stderr


async def test_check_accepts_a_good_configuration() -> None:
    """Exit 0 and one line."""
    finished = await run_gateway("check", variables={"ROUTER_SERVICES": SERVICES})
    assert (finished.code, finished.stdout, finished.stderr) == (0, "configuration is valid\n", "")


STAND_IN = "no classifier of SAFETY_PROVIDERS has a key: the local one judges"
NOBODY = "no classifier is configured: texts pass unjudged"


@pytest.mark.parametrize(("mode", "note"), [("closed", STAND_IN), ("open", NOBODY)])
async def test_classifiers_without_keys(mode: str, note: str) -> None:
    """A line of `check`, which is content all the same, and one in the log of a start."""
    variables = {"ROUTER_SERVICES": SERVICES, "SERVICE_API_KEY": CLIENT_KEY}
    variables |= {"SAFETY_PROVIDERS": "lakera", "SAFETY_FAIL_MODE": mode}
    finished = await run_gateway("check", variables=variables)
    assert (finished.code, finished.stdout) == (0, "configuration is valid\n")
    assert finished.stderr == f"warning: {note}\n"
    async with Replica(variables) as replica:
        [line] = [line for line in replica.stderr.splitlines() if note in line]
        assert '"WARNING"' in line.upper()
    off = await run_gateway("check", variables={**variables, "ENABLE_SAFETY": "false"})
    assert (off.code, off.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["check", "--help"], ["bench", "--help"]])
async def test_help(arguments: list[str]) -> None:
    """Help everywhere."""
    finished = await run_gateway(*arguments, variables={})
    assert (finished.code, finished.stderr) == (0, "")
    assert finished.stdout.startswith("usage: llm-gateway")


async def test_a_first_run_makes_a_key() -> None:
    """Without any key one is printed once, on a line of its own, and it opens the gateway."""
    async with Replica({}) as replica, httpx.AsyncClient(base_url=replica.url) as client:
        lines = replica.stdout.splitlines()
        key = lines[lines.index("API key for this run:") + 1]
        assert re.fullmatch(r"gw_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}", key)
        assert replica.stdout.count("gw_") == 1
        assert key not in replica.stderr
        reply = await client.post("/query", json={"prompt": "hello"}, headers={"Authorization": f"Bearer {key}"})
        assert (reply.status_code, reply.json()["provider"]) == (200, "demo")
        assert (await client.post("/query", json={"prompt": "hello"})).status_code == 401
        assert "server" not in reply.headers
        assert await replica.terminate() == 0


async def test_workers_share_one_key_and_one_limit(redis_url: str) -> None:
    """Two workers: one printed key for both, one limit over both."""
    variables = {"REDIS_URL": redis_url, "RATE_LIMIT": "6/minute"}
    async with Replica(variables, "--workers", "2") as replica:
        assert replica.stdout.count("gw_") == 1
        key = replica.stdout.splitlines()[1]
        statuses = []
        for _ in range(9):
            async with httpx.AsyncClient(base_url=replica.url, headers={"X-API-Key": key}) as client:
                statuses.append((await client.post("/query", json={"prompt": "hello"})).status_code)
        assert statuses == [200] * 6 + [429] * 3


def test_under_a_plain_asgi_server() -> None:
    """`uvicorn gateway.asgi:app` serves the same app, and refuses a bad configuration with the same lines."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "uvicorn", "gateway.asgi:app", "--port", str(port)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SERVICE_API_KEY": CLIENT_KEY}
        bad = subprocess.run(
            command, env={**environment, "RATE_LIMIT": "x"}, cwd=folder, capture_output=True, text=True, timeout=30
        )
        assert (bad.returncode, bad.stderr.splitlines()[-1].partition(":")[0]) == (2, "RATE_LIMIT")
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)
        try:
            transport = httpx.HTTPTransport(retries=8)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
                reply = client.post("/query", json={"prompt": "x"}, headers={"X-API-Key": CLIENT_KEY})
                assert reply.status_code == 200
        finally:
            process.terminate()
            process.wait()


def test_env_file(tmp_path: Path) -> None:
    """`.env` of the working directory is read; the environment wins over it."""
    (tmp_path / ".env").write_text("RATE_LIMIT=nonsense\nSERVICE_API_KEY=a-key-from-the-env-file\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gateway", "check"]
    bad = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    good = subprocess.run(
        command, cwd=tmp_path, env={**environment, "RATE_LIMIT": "5/minute"}, capture_output=True, text=True
    )
    assert (bad.returncode, bad.stderr.partition(":")[0]) == (2, "RATE_LIMIT")
    assert (good.returncode, good.stderr) == (0, "")


def test_new_keys_differ_and_carry_a_checksum() -> None:
    """A hundred keys, a hundred different ids and secrets."""
    keys = [new_key().split("_") for _ in range(100)]
    assert len({key[1] for key in keys}) == len({key[2] for key in keys}) == 100
    assert {(key[0], len(key[2])) for key in keys} == {("gw", 32)}


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Three packages with their types, scripts and licence; no tests, no other top level, no code in .pth files."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(ROOT)], check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    [wheel] = tmp_path.glob("llm_secure_gateway-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "gateway",
        "middleware",
        "providers",
    }
    for needed in ("gateway/py.typed", "middleware/py.typed", "providers/py.typed", "middleware/rate_limit.lua"):
        assert needed in names
    assert not [name for name in names if name.endswith((".pth", ".env"))]


def test_env_example_lists_every_variable() -> None:
    """`.env.example` and the README's table name every variable of the settings, and the example starts."""
    variables = {str(f.validation_alias) for f in Settings.model_fields.values() if f.validation_alias}
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert variables - listed == set()
    readme = (ROOT / "README.md").read_text()
    assert {name for name in variables if f"`{name}`" not in readme} == set()
