"""The ACL file of deploy/: enough for all that the gateway does, and for nothing else."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from gateway.announcements import Announcements
from gateway.redis import connect, warn_of_eviction
from tests.gateway.conftest import Start
from tests.redis_server import RedisServer
from tests.serving import ROOT

SHIPPED = ROOT / "deploy" / "redis-users.acl"
SCRIPTS = sorted(path for package in ("gateway", "middleware", "providers") for path in (ROOT / package).glob("*.lua"))
OPERATOR = "user operator on nopass ~* &* +@all\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with the users of deploy/, and one who may look on."""
    users = tmp_path / "users.acl"
    users.write_text(SHIPPED.read_text() + OPERATOR)
    with RedisServer(aclfile=str(users)) as server:
        yield server


def gateway_url(server: RedisServer) -> str:
    return server.url.replace("redis://", "redis://gateway@")


async def test_enough(server: RedisServer, gateway: Start, upstream: Any) -> None:
    """A gateway under load of every kind is refused nothing."""
    gemini = await upstream()
    client = await gateway({"gemini": gemini}, redis_url=gateway_url(server), RATE_LIMIT="3/minute")
    statuses = [(await client.post("/query", json={"prompt": "hello"})).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    for path in ("/health/ready", "/metrics", "/v1/models"):
        await client.get(path)
    ready = (await client.get("/health/ready")).json()
    assert (ready["status"], ready["details"]["store"]["up"]) == ("healthy", True)
    redis = connect(gateway_url(server), timeout_ms=2000)
    await warn_of_eviction(redis)
    async with Announcements(redis, prefix="gw").listening():
        assert await Announcements(redis, prefix="gw").announce("kind", "text")
    await redis.aclose()
    with Redis(unix_socket_path=server.socket_path, username="operator", password="any") as operator:
        denied = [row for row in operator.acl_log() if row["username"] == "gateway"]
    assert denied == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_command_of_every_script(script: Path) -> None:
    """A script runs with the rights of its caller: each command that one calls is in the file."""
    called = sorted(set(re.findall(r"redis\.p?call\(\s*'(\w+)'", script.read_text())))
    assert called
    # As it is written: what a server lists may say the same in categories.
    rights = SHIPPED.read_text().split()
    missing = [name for name in called if f"+{name.lower()}" not in rights]
    assert missing == [], f"add these to {SHIPPED.name}"


@pytest.mark.parametrize(
    "command",
    [
        "KEYS gw:*",
        "SCAN 0",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET maxmemory",
        "CONFIG SET maxmemory 1",
        "ACL LIST",
        "CLIENT LIST",
        "SHUTDOWN NOSAVE",
        "REPLICAOF 127.0.0.1 1",
        "MONITOR",
        "SAVE",
        "GET other:key",
        "SET gwx 1",
        "EVAL 'return 1' 1 other:key",
        "PUBLISH other:channel x",
        "SUBSCRIBE other:channel",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
    ],
)
def test_nothing_else(server: RedisServer, command: str) -> None:
    """Neither other keys and channels nor commands that look at, change or stop the server."""
    with (
        Redis(unix_socket_path=server.socket_path, username="gateway", password="") as redis,
        pytest.raises(NoPermissionError),
    ):
        redis.execute_command(*shlex.split(command))


def test_scripts_reach_no_further(server: RedisServer) -> None:
    """A script cannot touch keys that its caller may not."""
    with (
        Redis(unix_socket_path=server.socket_path, username="gateway", password="") as redis,
        pytest.raises(Exception, match=r"can't access at least one of the keys|No permissions to access a key"),
    ):
        redis.eval("return redis.call('GET', 'other:key')", 0)
