"""The exact window under attack: RELIABILITY's H1, H15, L1, L2, L13 and L14."""

import asyncio
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from gateway.redis import connect
from middleware.claim import redis_name
from middleware.limits import Window
from middleware.rate_limit import SlidingWindow
from tests.chaos.figures import Figures
from tests.redis_server import RedisServer
from tests.serving import CLIENT_KEY, Replica, environment

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
    await _measure("L1", f"{limit} in {WINDOW_S} s, {REPLICAS} replicas", own_redis, figures, limit, [{}] * REPLICAS)


FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
async def test_clocks_of_replicas(own_redis: RedisServer, figures: Figures) -> None:
    """The same while no two replicas agree on the time: Redis's clock alone counts."""
    wrong = {"LD_PRELOAD": str(FAKETIME[0]), "DONT_FAKE_MONOTONIC": "1"}
    clocks = [{}, *({**wrong, "FAKETIME": offset} for offset in ("-30s", "+30s", "+7s"))]
    await _measure("L2", "replicas' clocks 30 s apart, either way", own_redis, figures, 60, clocks)


async def _measure(
    id: str, what: str, redis: RedisServer, figures: Figures, limit: int, replicas: Sequence[Mapping[str, str]]
) -> None:
    """One attack per seed on replicas with these variables of their own."""
    variables = environment(
        {}, redis_url=redis.url, RATE_LIMIT=f"{limit}/{WINDOW_S}s", REDIS_TIMEOUT_MS="5000", ENABLE_SAFETY="false"
    )
    most, wrongly_refused, answers = 0, 0, 0
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(Replica({**variables, **own})) for own in replicas]
        async with aiohttp.ClientSession(headers={"X-API-Key": CLIENT_KEY}) as session:
            for replica in running:  # else the first call of the script, which Redis does not know yet, seems refused
                async with session.get(f"{replica.url}/v1/models") as reply:
                    assert reply.status == 200
        with Redis.from_url(redis.url) as client:
            client.flushdb()
        for seed in range(SEEDS):
            with watched(redis.url) as seen:
                answers += await _attack(running, random.Random(seed))
            most = max(most, seen.most_in_a_window(WINDOW_S * 1_000_000))
            wrongly_refused += seen.refused_with_room(limit, WINDOW_S * 1_000_000, slack_us=2_000)
            assert len(seen.admitted) >= limit * WINDOWS
            assert seen.refused
            with Redis.from_url(redis.url) as client:
                client.flushdb()
        figures.at_least(id, f"{what}: requests tried", answers, 10_000)
        figures.at_most(id, f"{what}: most admitted in any window, over the limit", max(0, most - limit), 0)
        figures.at_most(id, f"{what}: most admitted in any window, under the limit", max(0, limit - most), 0)
        figures.at_most(id, f"{what}: refused below the limit", wrongly_refused, 0)


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


async def test_keys_used_once(own_redis: RedisServer, figures: Figures) -> None:
    """100 000 keys, once each and never again: none without an end, and nothing left when their window is over."""
    count, window = 100_000, Window(100, 6)
    async with connect(own_redis.url, timeout_ms=5000) as redis:
        limiter = SlidingWindow(redis)
        begun = await redis.info("memory")
        endless = 0
        for start in range(0, count, 1000):
            await asyncio.gather(*(limiter.hit(str(key), [window]) for key in range(start, start + 1000)))
            names = [redis_name("gw", str(key)) for key in range(start, start + 1000)]
            ends = await asyncio.gather(*(redis.pttl(f"{name}:rate") for name in names))
            assert -2 not in ends
            endless += ends.count(-1)
            if start == 20_000:
                held, size = await redis.info("memory"), await redis.dbsize()
                each = (held["used_memory"] - begun["used_memory"]) / size
        figures.at_most("L13", f"{count} keys used once: keys without an end", endless, 0)
        figures.at_most("H15", "memory of a key that was used once", each, 300 + 12, "B")
        await asyncio.sleep(2 * window.seconds)
        left = [key async for key in redis.scan_iter(count=10_000)]
        figures.at_most("L13", f"{count} keys used once: left after two windows", len(left), 0)


async def test_a_full_log_costs_little(own_redis: RedisServer, figures: Figures) -> None:
    """What a decision costs Redis when the log holds all that its limit admits, and what the log takes."""
    async with AsyncRedis.from_url(own_redis.url) as redis:
        limiter = SlidingWindow(redis)
        for limit in (1_000, 10_000, 1_000_000):
            windows, key = [Window(limit, 3600)], f"full-{limit}"
            ages = range(limit)  # one a microsecond
            await limiter.replay(key, windows, list(ages)[: limit - 100])
            await redis.config_resetstat()
            for _ in range(100):
                assert (await limiter.hit(key, windows)).allowed
            for _ in range(100):
                assert not (await limiter.hit(key, windows)).allowed
            spent = (await redis.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"]
            figures.at_most("L14", f"Redis's own time for a decision, {limit} in the window", spent, 200, "µs")
            held = await redis.memory_usage(f"{redis_name('gw', key)}:rate", samples=0)
            assert held
            figures.at_most("H15", f"memory of a log of {limit}", held / 1024, (300 + 12 * limit) / 1024, "KiB")
