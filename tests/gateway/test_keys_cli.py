"""`llm-gateway keys …`: the same store from the command line."""

import asyncio
import io
import os
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import httpx
import orjson
import pytest

from gateway.cli import main
from gateway.keys import new_id
from tests.redis_client import redis_client
from tests.serving import CLIENT_KEY, Finished, Replica, environment, run_gateway
from tests.upstream import free_port

ALWAYS = {"SERVICE_API_KEY": CLIENT_KEY}


def run(*arguments: str, **variables: str) -> Finished:
    """The command in this process, which need not start again for each: nothing but these variables, and no `.env`."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with patch.dict(os.environ, variables, clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            main(["keys", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


async def keys(url: str, *arguments: str, **variables: str) -> Finished:
    return await asyncio.to_thread(run, *arguments, **ALWAYS, REDIS_URL=url, **variables)


async def test_a_key_from_beginning_to_end(redis_url: str) -> None:
    """Made, listed, shown, rotated and revoked here, and a running gateway knows it."""
    variables = environment({}, redis_url=redis_url)
    async with Replica(variables) as replica, httpx.AsyncClient(base_url=replica.url) as client:

        async def status(key: str) -> int:
            return (await client.get("/v1/models", headers={"X-API-Key": key})).status_code

        options = (
            *("--name", "CI", "--scopes", "models,chat", "--rate-limit", "60/minute;1000/day"),
            *("--tokens-per-minute", "9000", "--concurrency", "2", "--budget-day", "0.10", "--budget-month", "5"),
            *("--allowed-models", "demo, other/*", "--policy", "default", "--strict"),
            *("--expires-at", "2099-01-01T00:00:00Z", "--metadata", "team=blue", "--metadata", "x=a=b"),
        )
        made = await run_gateway("keys", "create", *options, "--json", variables=ALWAYS | {"REDIS_URL": redis_url})
        assert (made.code, made.stderr) == (0, "")
        record = orjson.loads(made.stdout)
        key, key_id = record.pop("key"), record["id"]
        assert record == {
            "id": key_id,
            "name": "CI",
            "tenant": "default",
            "scopes": ["models", "chat"],
            "rate_limit": "60/minute;1000/day",
            "tokens_per_minute": 9000,
            "concurrency": 2,
            "budget_usd": {"day": 0.1, "month": 5},
            "allowed_models": ["demo", "other/*"],
            "policy": "default",
            "strict": True,
            "disabled": False,
            "metadata": {"team": "blue", "x": "a=b"},
            "expires_at": "2099-01-01T00:00:00Z",
            "old_secret_until": None,
            "created_at": record["created_at"],
            "updated_at": record["created_at"],
        }
        assert await status(key) == 200

        shown = await keys(redis_url, "show", key_id, "--json")
        assert orjson.loads(shown.stdout) == record
        second = orjson.loads((await keys(redis_url, "create", "--disabled", "--json")).stdout)
        page = orjson.loads((await keys(redis_url, "list", "--limit", "1", "--json")).stdout)
        assert page["keys"] == [record]
        rest = await keys(redis_url, "list", "--cursor", page["next_cursor"])
        assert rest.stdout == f"{second['id']}  default  disabled  \n"

        rotated = await keys(redis_url, "rotate", key_id, "--grace-s", "0")
        [fresh] = re.findall(r"^key: (gw_\w+)$", rotated.stdout, re.MULTILINE)
        assert [await status(each) for each in (key, fresh)] == [401, 200]
        revoked = await keys(redis_url, "revoke", key_id)
        assert (revoked.code, revoked.stdout, await status(fresh)) == (0, f"revoked: {key_id}\n", 401)
    async with redis_client(redis_url) as redis:
        assert await redis.zcard("gw:{keys}:index") == 1


async def test_refusals(redis_url: str) -> None:
    """Exit 2 and a line for each problem of the input or the configuration, 1 for what is not there."""
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("create", "--tenant", "nobody"), 2, "tenant: there is no such tenant\n"),
        (("create", "--policy", "nothing"), 2, "policy: there is no such policy\n"),
        (("create", "--budget-day", "much"), 2, "budget_usd.day: must be an amount of dollars from 0 to 1000000000\n"),
        (("rotate", new_id(), "--grace-s", "-1"), 2, "grace_s: Input should be greater than or equal to 0\n"),
        (("show", new_id()), 1, "there is no such key\n"),
        (("rotate", new_id()), 1, "there is no such key\n"),
        (("revoke", "*"), 1, "there is no such key\n"),
    ]
    for arguments, code, stderr in cases:
        finished = await keys(redis_url, *arguments)
        assert (finished.code, finished.stderr, finished.stdout) == (code, stderr, ""), arguments
    several = await keys(redis_url, "create", "--scopes", "chat,root", "--rate-limit", "x")
    assert (several.code, [line.partition(":")[0] for line in several.stderr.splitlines()]) == (
        2,
        ["rate_limit", "scopes.1"],
    )
    async with redis_client(redis_url) as redis:
        assert await redis.zcard("gw:{keys}:index") == 0


async def test_redis_is_needed() -> None:
    """Exit 2: the embedded store would die with the command, and a Redis that is away is named."""
    unset = await asyncio.to_thread(run, "list", **ALWAYS)
    why = "REDIS_URL: required, as the embedded store lives and dies with its process\n"
    assert (unset.code, unset.stderr, unset.stdout) == (2, why, "")
    away = await keys(f"redis://:password@127.0.0.1:{free_port()}/0", "create")
    assert (away.code, away.stderr, away.stdout) == (2, "REDIS_URL: Redis does not answer\n", "")


async def test_tenants_of_the_file_are_known(redis_url: str, tmp_path: Path) -> None:
    """A key of a tenant that only GATEWAY_CONFIG has can be made; a bad file is named."""
    file = tmp_path / "gateway.yaml"
    file.write_text("tenants: {acme: {rate_limit: 5/minute}}\n")
    made = await keys(redis_url, "create", "--tenant", "acme", GATEWAY_CONFIG=str(file))
    assert (made.code, "tenant: acme\n" in made.stdout) == (0, True), made.stderr
    file.write_text("tenants: {acme: {rate_limit: much}}\n")
    bad = await keys(redis_url, "create", "--tenant", "acme", GATEWAY_CONFIG=str(file))
    assert (bad.code, bad.stderr.partition(": must")[0]) == (2, "GATEWAY_CONFIG: tenants.acme.rate_limit")


@pytest.mark.parametrize("command", ["", "create", "list", "show", "rotate", "revoke"])
def test_help(command: str) -> None:
    """Every command tells of itself."""
    finished = run(*([command] if command else []), "--help")
    assert (finished.code, finished.stderr) == (0, "")
    assert finished.stdout.startswith(f"usage: llm-gateway keys {command}".rstrip())
