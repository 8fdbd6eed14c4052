"""What Redis, its operators and the network do, one after the other under load: the rows of RELIABILITY's §3.2."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.chaos.figures import Figures
from tests.chaos.load import steady
from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer
from tests.serving import Replica, environment

PER_SECOND = 60.0
HEALTHY_S, BROKEN_S, AFTER_S = 5.0, 8.0, 4.0

Break = Callable[[Any, RedisProxy], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """
    `breaks` holds for as long as it is entered; it is given a client that goes round the proxy. `share` of the answers
    may be given without Redis meanwhile; 1: it is an outage, and some must. `inherent_ms`: what the fault itself adds
    to every answer.
    """

    breaks: Break
    share: float = 1.0
    inherent_ms: float = 0.0


def commands(*breaks: object, mends: tuple[object, ...] = ()) -> Break:
    @asynccontextmanager
    async def during(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
        await redis.execute_command(*breaks)
        try:
            yield
        finally:
            if mends:
                await redis.execute_command(*mends)

    return during


def attributes(**values: Any) -> Break:
    @asynccontextmanager
    async def during(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
        before = {name: getattr(proxy, name) for name in values}
        for name, value in values.items():
            setattr(proxy, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(proxy, name, value)

    return during


def again_and_again(act: Callable[[Any, RedisProxy], Any], every_s: float) -> Break:
    @asynccontextmanager
    async def during(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
        async def repeat() -> None:
            while True:
                if (done := act(redis, proxy)) is not None:
                    await done
                await asyncio.sleep(every_s)

        repeating = asyncio.create_task(repeat())
        try:
            yield
        finally:
            repeating.cancel()
            with suppress(asyncio.CancelledError):
                await repeating

    return during


@asynccontextmanager
async def endless_script(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
    async with Redis.from_url(proxy.server.socket_url, socket_timeout=None) as patient:
        endless = asyncio.ensure_future(patient.eval("while true do end", 0))
        try:
            yield
        finally:
            await redis.script_kill()
            with suppress(ResponseError):
                await endless


@asynccontextmanager
async def no_more_clients(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
    await redis.config_set("maxclients", 1)
    proxy.reset()
    try:
        yield
    finally:
        await redis.config_set("maxclients", 1000)


def _cut(redis: Any, proxy: RedisProxy) -> None:
    proxy.cut_after = 3


def _away_or_back(redis: Any, proxy: RedisProxy) -> None:
    proxy.refuse = not proxy.refuse
    if proxy.refuse:
        proxy.reset()


@asynccontextmanager
async def flapping(redis: Any, proxy: RedisProxy) -> AsyncIterator[None]:
    try:
        async with again_and_again(_away_or_back, 1.0)(redis, proxy):
            yield
    finally:
        proxy.refuse = False


HIT = 0.2
"""
Where a request under way may be hit: its replica has admitted it without Redis, and tells Redis half a second later.
"""

LOADING = "LOADING Redis is loading the dataset in memory"

FAULTS: dict[str, Fault] = {
    "replies 5 ms late": Fault(attributes(delay_s=0.005), share=0, inherent_ms=5),
    "replies 50 ms late": Fault(attributes(delay_s=0.05), share=0, inherent_ms=50),
    "replies 200 ms late": Fault(attributes(delay_s=0.2)),
    "bytes vanish": Fault(attributes(black_hole=True)),
    "CLIENT PAUSE": Fault(commands("CLIENT", "PAUSE", int(BROKEN_S * 1000), "ALL")),
    "resets each second": Fault(again_and_again(lambda redis, proxy: proxy.reset(), 1.0), share=HIT),
    "half replies": Fault(again_and_again(_cut, 1.0), share=HIT),
    "idle connections closed": Fault(again_and_again(lambda redis, proxy: proxy.hang_up(), 1.0), share=HIT),
    "SCRIPT FLUSH each 100 ms": Fault(again_and_again(lambda redis, proxy: redis.script_flush(), 0.1), share=0),
    "FLUSHALL each second": Fault(again_and_again(lambda redis, proxy: redis.flushall(), 1.0), share=0),
    "READONLY": Fault(commands("REPLICAOF", "127.0.0.1", "1", mends=("REPLICAOF", "NO", "ONE"))),
    "out of memory": Fault(
        commands("CONFIG", "SET", "maxmemory", "1", mends=("CONFIG", "SET", "maxmemory", "0")),
    ),
    "LOADING": Fault(attributes(forged=dict.fromkeys(("EVALSHA", "EVAL", "PING", "INFO"), LOADING))),
    "BUSY": Fault(endless_script),
    "max clients reached": Fault(no_more_clients),
    "away each other second": Fault(flapping),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_redis_fault(figures: Figures, name: str) -> None:
    """No answer but 200 for an ordinary key, none late, and limits are shared again at once when it is over."""
    fault = FAULTS[name]
    with RedisServer(lua_time_limit="100") as server:
        async with RedisProxy(server) as proxy, Redis.from_url(server.socket_url) as redis:
            variables = environment({}, redis_url=proxy.url, ENABLE_SAFETY="false")
            async with Replica(variables) as one, Replica(variables) as two, Replica(variables) as three:
                replicas = [one, two, three]
                async with steady(replicas, per_second=PER_SECOND) as log:
                    await asyncio.sleep(2)  # every replica knows the others, and every connection stands
                    loop = asyncio.get_running_loop()
                    start = loop.time()
                    await asyncio.sleep(HEALTHY_S)
                    broken = loop.time()
                    async with fault.breaks(redis, proxy):
                        await asyncio.sleep(BROKEN_S)
                    back = loop.time()
                    await asyncio.sleep(AFTER_S)
                statuses = log.statuses()
                figures.at_most("R2", f"{name}: answers other than 200", statuses.total() - statuses[200], 0)
                healthy, meanwhile = log.between(start, broken), log.between(broken, back)
                added = meanwhile.took_ms(0.99) - healthy.took_ms(0.99)
                # What comes in before three answers have failed waits for its own: 100 ms at most.
                bound = fault.inherent_ms + (100 if fault.share == 1 else 25)
                figures.at_most("R2", f"{name}: added latency, p99", max(0.0, added), bound, "ms")
                figures.at_most("R2", f"{name}: longest answer", meanwhile.took_ms(1.0), 150 + fault.inherent_ms, "ms")
                degraded = sum(seen.degraded for seen in meanwhile.answers)
                if fault.share == 1:
                    assert degraded
                else:
                    share = degraded / len(meanwhile.answers)
                    figures.at_most("R2", f"{name}: share of answers without Redis", share, fault.share)
                late = max(
                    (seen.sent - back for seen in log.answers if seen.sent > back and seen.degraded), default=0.0
                )
                figures.at_most("R2", f"{name}: last degraded answer after its end", late, 2, "s")
                for replica in replicas:
                    assert "Traceback" not in replica.stderr
