"""Four replicas, 20 000 mixed requests, replicas killed, callers leaving: what the limits and the ledger say."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.figures import Figures
from tests.chaos.test_limiter import watched
from tests.redis_server import RedisServer
from tests.serving import Replica, environment
from tests.upstream import Answer, Upstream

ADMIN = "admin-key-of-the-tests-0123456789"
REPLICAS, REQUESTS, CALLERS = 4, 20_000, 24
KILL_EVERY_S = 1.0
LEASE_S = 10.0
WINDOW_S, LIMIT = 3, 40
BUDGET_USD = 0.25
CONCURRENCY = 10
ANSWER = "One two three four five six seven eight."


@dataclass(slots=True)
class Tally:
    statuses: Counter[int] = field(default_factory=Counter)
    """0: no answer, as the replica was killed or the caller left."""
    costs: dict[str, float] = field(default_factory=dict)
    """What whole answers said that they cost, by key."""
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0


async def test_mixed_requests_with_kills(own_redis: RedisServer, figures: Figures, tmp_path: Path) -> None:
    """No window is exceeded, no slot stays taken, no budget is exceeded, and the ledger is what was spent."""
    async with Upstream() as up, AsyncExitStack() as stack:
        up.default = Answer(ANSWER)
        config = tmp_path / "gateway.yaml"
        service = {"name": "up", "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": "k", "models": ["m"]}
        prices = {"up/m": {"input_per_mtok": 10, "output_per_mtok": 40}}
        config.write_text(json.dumps({"services": [service], "prices": prices}))
        variables = environment(
            redis_url=own_redis.url,
            GATEWAY_CONFIG=str(config),
            ENABLE_SAFETY="false",
            ADMIN_API_KEY=ADMIN,
            REDIS_TIMEOUT_MS="2000",
            BREAKER_MIN_CALLS="1000",
        )
        replicas = [await stack.enter_async_context(Replica(variables)) for _ in range(REPLICAS)]
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        admin = _Admin(session, replicas[0].url)
        windowed, windowed_id = await admin.key(name="windowed", rate_limit=f"{LIMIT}/{WINDOW_S}s")
        await admin.tenant(id="team", concurrency=2 * CONCURRENCY)
        plenty = "1000000/minute"
        slots, _ = await admin.key(name="slots", tenant="team", concurrency=CONCURRENCY, rate_limit=plenty)
        money, _ = await admin.key(name="money", rate_limit=plenty, budget_usd={"day": BUDGET_USD}, concurrency=50)
        keys = {"windowed": windowed, "slots": slots, "money": money}
        tally = Tally()
        with watched(own_redis.url, f"{{key-{windowed_id}}}:rate") as seen:
            over = asyncio.Event()
            killer = asyncio.create_task(_kill_in_turn(replicas, tally, over))
            await _ask(session, replicas, keys, tally)
            over.set()
            await killer
        # One lease after the last kill whatever the dead held is free again.
        await asyncio.sleep(LEASE_S + 2)
        what = f"{REPLICAS} replicas, mixed requests, kill -9 after kill -9"
        figures.at_least("H1", f"{what}: requests tried", sum(tally.statuses.values()), REQUESTS)
        figures.at_least("H1", f"{what}: replicas killed", tally.kills, 5)
        excess = seen.most_in_a_window(WINDOW_S * 1_000_000) - LIMIT
        figures.at_most("H1", f"{what}: most in a window, over the limit", max(0, excess), 0)
        figures.at_most("H1", f"{what}: most in a window, under the limit", max(0, -excess), 0)
        figures.at_most("H1", f"{what}: answers of 5xx", sum(n for s, n in tally.statuses.items() if s >= 500), 0)
        left = await _left(session, replicas[1].url, slots)
        figures.at_most("L11", f"{what}: slots still taken one lease later", CONCURRENCY - left["concurrency"], 0)
        tenant_left = left["tenant-concurrency"]
        figures.at_most("L11", f"{what}: the tenant's still taken one lease later", 2 * CONCURRENCY - tenant_left, 0)
        left = await _left(session, replicas[2].url, money)
        spent = BUDGET_USD - left["budget-day"] / 1e6
        figures.at_most("L10", f"{what}: spent over the budget", max(0.0, spent - BUDGET_USD), 0, "USD")
        ledger = await admin.usage()
        noted = sum(row["cost_usd"] + row["unheard_usd"] for row in ledger["money"])
        figures.at_most("L10", f"{what}: ledger less money spent", abs(round(noted - spent, 5)), 0, "USD")
        for name, row in ledger.items():
            answers = sum(entry["requests"] for entry in row)
            missing = max(0, tally.answers[name] - answers)
            if name == "windowed":
                # What no limit depends on is told within a second: that of the killed replica is lost.
                lost = missing / tally.kills
                claim = f"{what}: whole answers missing in the ledger per kill, key without a budget"
                figures.at_most("L10", claim, lost, LIMIT / WINDOW_S)
            else:
                figures.at_most("L10", f"{what}: whole answers missing in the ledger, key {name}", missing, 0)
        assert tally.statuses[402] > 0, tally.statuses
        assert tally.statuses[429] > 0
        assert tally.statuses[200] > 1000


class _Admin:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._names: dict[str, str] = {}

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(self._url + path, json=body, headers={"X-API-Key": ADMIN}) as reply:
            made: dict[str, Any] = await reply.json()
            assert reply.status == 201, made
            return made

    async def key(self, **fields: Any) -> tuple[str, str]:
        made = await self._post("/admin/keys", fields)
        self._names[made["id"]] = fields["name"]
        return made["key"], made["id"]

    async def tenant(self, **fields: Any) -> None:
        await self._post("/admin/tenants", fields)

    async def usage(self) -> dict[str, list[dict[str, Any]]]:
        """The ledger's rows by the names of the keys."""
        async with self._session.get(f"{self._url}/admin/usage", headers={"X-API-Key": ADMIN}) as reply:
            assert reply.status == 200
            rows = (await reply.json())["usage"]
        return {name: [row for row in rows if row["key"] == id] for id, name in self._names.items()}


async def _ask(session: aiohttp.ClientSession, replicas: list[Replica], keys: dict[str, str], tally: Tally) -> None:
    """All requests, by callers that never wait; one of five leaves before the end."""
    numbers, rng = iter(range(REQUESTS)), random.Random(1)

    async def call() -> None:
        for _ in numbers:
            name = rng.choice(list(keys))
            replica = rng.choice(replicas)
            stream = rng.random() < 0.4
            body = {"prompt": "hello", "model": "m", "max_tokens": 60, "stream": stream}
            leaves = stream and rng.random() < 0.5
            try:
                async with session.post(f"{replica.url}/query", json=body, headers={"X-API-Key": keys[name]}) as reply:
                    if leaves:
                        await reply.content.read(1)
                        reply.close()
                        tally.statuses[0] += 1
                        continue
                    text = await reply.text()
            except (aiohttp.ClientError, ConnectionError):
                tally.statuses[0] += 1
                await asyncio.sleep(0.02)
                continue
            tally.statuses[reply.status] += 1
            if reply.status == 200 and (not stream or "event: done" in text):
                tally.answers[name] += 1

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def _kill_in_turn(replicas: list[Replica], tally: Tally, over: asyncio.Event) -> None:
    """One after the other, until it is over; each is back before the next is killed."""
    for replica in itertools.cycle(replicas):
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), KILL_EVERY_S)
        if over.is_set():
            return
        await replica.kill()
        tally.kills += 1
        await replica.start()


async def _left(session: aiohttp.ClientSession, url: str, key: str) -> dict[str, float]:
    """What is left of each limit, as an answer that costs nothing says."""
    deadline = time.monotonic() + 5
    while True:
        async with session.get(f"{url}/v1/models", headers={"X-API-Key": key}) as reply:
            if reply.status == 200:
                items = [item.split(";") for item in reply.headers["RateLimit"].split(", ")]
                return {name.strip('"'): float(left.removeprefix("r=")) for name, left, *_ in items}
            assert time.monotonic() < deadline, await reply.text()
        await asyncio.sleep(0.1)
