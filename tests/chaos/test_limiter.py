"""The exact window under attack: RELIABILITY's H1, L1 and L13."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from redis import Redis

from tests.chaos.figures import Figures
from tests.redis_server import RedisServer
from tests.serving import CLIENT_KEY, ROOT, Replica, environment

REPLICAS, WINDOW_S, WINDOWS, SEEDS = 4, 6, 3, 3
CALLERS = 12


@dataclass(slots=True)
class Decisions:
    """Every decision as Redis itself saw it, in microseconds of its clock."""

    asked: list[int] = field(default_factory=list)
    """When each script began."""
    admitted: list[int] = field(default_factory=list)
    """The stamps that were written."""
    refused: list[int] = field(default_factory=list)

    def most_in_a_window(self, window_us: int) -> int:
        stamps, most, first = sorted(self.admitted), 0, 0
        for last, stamp in enumerate(stamps):
            while stamps[first] <= stamp - window_us:
                first += 1
            most = max(most, last - first + 1)
        return most

    def refused_with_room(self, limit: int, window_us: int, *, slack_us: int) -> int:
        """Refusals while fewer than `limit` were younger than the window; `slack_us` for Redis's two clocks."""
        stamps = sorted(self.admitted)
        return sum(
            sum(at - window_us - slack_us < stamp <= at + slack_us for stamp in stamps) < limit for at in self.refused
        )


@contextmanager
def watched(url: str, key: str = ":rate") -> Iterator[Decisions]:
    """Listen to MONITOR for decisions about keys with this in their name: a script that pushed nothing has refused."""
    seen = Decisions()
    with Redis.from_url(url) as redis, Redis.from_url(url) as other, redis.monitor() as monitor:

        def listen() -> None:
            asked: int | None = None
            for command in monitor.listen():
                words = command["command"].split()
                if words[0] == "LPUSH" and key in words[1]:
                    seen.admitted.append(int(words[2].strip('"')))
                    asked = None
                elif words[0] in ("EVALSHA", "EVAL") or words == ["ECHO", "end"]:
                    if asked is not None:
                        seen.refused.append(asked)
                    asked = None
                    if words[0] == "ECHO":
                        return
                    if key in command["command"]:
                        asked = int(command["time"] * 1e6)
                        seen.asked.append(asked)

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield seen
        finally:
            other.echo("end")
            listener.join(timeout=30)


@pytest.mark.parametrize("limit", [60, 600])
async def test_window_is_exact(own_redis: RedisServer, figures: Figures, limit: int) -> None:
    """Four replicas, three windows, callers that never wait and bursts at the windows' edges: none over, none under."""
    variables = environment(
        {}, redis_url=own_redis.url, RATE_LIMIT=f"{limit}/{WINDOW_S}s", REDIS_TIMEOUT_MS="5000", ENABLE_SAFETY="false"
    )
    most, wrongly_refused, answers = 0, 0, 0
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(Replica(variables)) for _ in range(REPLICAS)]
        with Redis.from_url(own_redis.url) as redis:
            redis.script_load((ROOT / "middleware" / "rate_limit.lua").read_text())
        for seed in range(SEEDS):
            with watched(own_redis.url) as seen:
                answers += await _attack(replicas, random.Random(seed))
            most = max(most, seen.most_in_a_window(WINDOW_S * 1_000_000))
            wrongly_refused += seen.refused_with_room(limit, WINDOW_S * 1_000_000, slack_us=2_000)
            assert len(seen.admitted) >= limit * WINDOWS
            assert seen.refused
            with Redis.from_url(own_redis.url) as redis:
                redis.flushdb()
        what = f"{limit} in {WINDOW_S} s, {REPLICAS} replicas"
        figures.at_least("L1", f"{what}: requests tried", answers, 10_000)
        figures.at_most("L1", f"{what}: most admitted in any window, over the limit", max(0, most - limit), 0)
        figures.at_most("L1", f"{what}: most admitted in any window, under the limit", max(0, limit - most), 0)
        figures.at_most("L1", f"{what}: refused below the limit", wrongly_refused, 0)


async def _attack(replicas: list[Replica], rng: random.Random) -> int:
    """Callers that ask without end, pausing together so that the next burst falls upon the edge of a window."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    end = start + WINDOW_S * WINDOWS + 1.0
    edges = [start + WINDOW_S * number + rng.uniform(-0.3, 0.3) for number in range(1, WINDOWS + 1)]
    count = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number: int) -> None:
            nonlocal count
            url = replicas[number % REPLICAS].url + "/v1/models"
            while (now := loop.time()) < end:
                edge = next((edge for edge in edges if edge - 0.8 < now < edge), None)
                if edge is not None:
                    await asyncio.sleep(edge - now)
                async with session.get(url, headers={"X-API-Key": CLIENT_KEY}) as reply:
                    await reply.read()
                    assert reply.status in (200, 429)
                count += 1
                await asyncio.sleep(rng.uniform(0, 0.01))

        await asyncio.gather(*(call(number) for number in range(CALLERS)))
    return count
