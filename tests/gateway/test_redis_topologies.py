"""The Redis client behind Sentinels and on a Cluster: it follows the primary, and keys that move."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError

from gateway.announcements import Announcements
from gateway.heartbeat import Heartbeat
from gateway.redis import GuardedRedis, connect
from gateway.redis_errors import FAILURES_TO_OPEN, StoreAway
from middleware.degrading import DegradingLimiter
from middleware.limits import Window
from middleware.rate_limit import SlidingWindow
from tests.redis_cluster import RedisCluster, ask, primaries
from tests.redis_cluster import until as until_so
from tests.redis_sentinel import RedisSentinel
from tests.redis_server import RedisServer

SCRIPT = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])"
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@asynccontextmanager
async def beating(url: str, *, timeout_ms: int = 200) -> AsyncIterator[tuple[GuardedRedis, Any]]:
    """A client with its heartbeat, as the gateway joins them, and the same without types."""
    redis = connect(url, timeout_ms=timeout_ms)
    assert isinstance(redis, GuardedRedis)
    limiter = DegradingLimiter(SlidingWindow(redis))
    heartbeat = Heartbeat(redis, prefix="gw", replay=limiter.replay)
    try:
        async with heartbeat.beating():
            yield redis, redis
    finally:
        await limiter.aclose()
        await redis.aclose()


async def until(check: Callable[[], Awaitable[bool]], *, limit_s: float = 15) -> float:
    """Seconds until it holds; an error means not yet."""
    start = time.monotonic()
    async with asyncio.timeout(limit_s):
        while True:
            with suppress(RedisError, OSError):
                if await check():
                    return time.monotonic() - start
            await asyncio.sleep(0.02)


def keys_of(cluster: RedisCluster, node: RedisServer) -> Iterator[str]:
    """Names whose slot this node was given."""
    return (name for number in range(1_000_000) if cluster.holder(name := f"gw:{{{number}}}:x") is node)


# Sentinel


async def test_failover_under_traffic() -> None:
    """The primary is killed: with the new one named, writes go on within a second; every reply is the asker's own."""
    with RedisSentinel() as sentinel:
        async with beating(sentinel.url) as (redis, client):
            heard: list[str] = []
            announcements = Announcements(redis, prefix="gw")
            announcements.on("k", heard.append)
            stop, served = asyncio.Event(), list[float]()

            async def traffic(name: int) -> None:
                number = 0
                while not stop.is_set():
                    number += 1
                    with suppress(RedisError, OSError):
                        reply = await client.eval(SCRIPT, 1, f"gw:{{{name}}}:n", f"{name}-{number}")
                        assert reply == f"{name}-{number}".encode()
                        served.append(time.monotonic())
                    await asyncio.sleep(0.01)

            async with announcements.listening():
                callers = [asyncio.create_task(traffic(name)) for name in range(8)]
                await until(lambda: _true(len(served) > 100))
                old = sentinel.primary_port()
                killed = time.monotonic()
                sentinel.servers[0].kill()
                await until(lambda: _moved(sentinel, old))
                promoted = time.monotonic()
                await until(lambda: _true(bool(served) and served[-1] > promoted and redis.up))
                assert next(when for when in served if when > killed) - promoted < 2
                assert ask(sentinel.servers[1], "ROLE")[0] == b"master"
                # a subscription follows, too
                other = connect(sentinel.url, timeout_ms=1000)
                publisher = Announcements(other, prefix="gw")

                async def arrives() -> bool:
                    await publisher.announce("k", "hello")
                    return "hello" in heard

                await until(arrives)
                await other.aclose()
                stop.set()
                await asyncio.gather(*callers)


async def _true(value: bool) -> bool:
    return value


async def _moved(sentinel: RedisSentinel, old: int) -> bool:
    return await asyncio.to_thread(sentinel.primary_port) != old


async def test_a_primary_that_lives_on() -> None:
    """One that was replaced without having failed is left as well; a sentinel that is frozen holds nobody up."""
    with RedisSentinel() as sentinel:
        async with beating(sentinel.url) as (_, client):
            assert await client.set("gw:x", "1")
            sentinel.pause_sentinel(0)
            sentinel.fail_over()

            async def written_there() -> bool:
                await client.set("gw:x", "2")
                return b"name=llm-gateway" in ask(sentinel.servers[1], "CLIENT", "LIST")

            await until(written_there)
            assert ask(sentinel.servers[1], "GET", "gw:x") == b"2"


async def test_no_sentinel_answers() -> None:
    """Then Redis is away, after no more than the deadline."""
    redis: Any = connect("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", timeout_ms=500)
    with pytest.raises(RedisError):
        await redis.ping()
    with pytest.raises(StoreAway):
        redis.pubsub()
    await redis.aclose()


# Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


async def test_every_key_on_its_node(cluster: RedisCluster) -> None:
    """Concurrent commands of all kinds reach the node of their key; those without a key any."""
    cluster.flush()
    async with beating(cluster.url) as (_, client):
        names = [f"gw:{{{number}}}:n" for number in range(60)]
        assert {cluster.holder(name).port for name in names} == {node.port for node in cluster.nodes}
        await asyncio.gather(*(client.eval(SCRIPT, 1, name, name) for name in names))
        replies = await asyncio.gather(*(client.evalsha(SHA, 1, name, name) for name in names))
        assert replies == [name.encode() for name in names]
        assert await asyncio.gather(*(client.get(name) for name in names)) == replies
        assert await client.ping() is True
        for name in names[:6]:
            assert ask(cluster.holder(name), "GET", name) == name.encode()
        limiter = SlidingWindow(client)
        quotas = await asyncio.gather(*(limiter.hit(f"{n % 10}", [Window(3, 60)]) for n in range(100)))
        assert sum(quota.allowed for quota in quotas) == 30


async def test_announcements_reach_all_nodes(cluster: RedisCluster) -> None:
    """Wherever one listens and another publishes."""
    listener, publisher = connect(cluster.url, timeout_ms=1000), connect(cluster.url, timeout_ms=1000)
    announcements, heard, ready = Announcements(listener, prefix="gw"), asyncio.Event(), asyncio.Event()
    announcements.on("k", lambda text: heard.set())
    announcements.on_gap(ready.set)
    async with asyncio.timeout(10), announcements.listening():
        await ready.wait()
        while not heard.is_set():
            assert await Announcements(publisher, prefix="gw").announce("k", "hello")
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.2)
    await listener.aclose()
    await publisher.aclose()


async def test_moved_and_asked(cluster: RedisCluster) -> None:
    """A slot on its way to another node: ASK is followed with ASKING, MOVED once and then known."""
    cluster.flush()
    source, target = cluster.nodes[0], cluster.nodes[1]
    source_id, target_id = (ask(node, "CLUSTER", "MYID") for node in (source, target))
    name = next(keys_of(cluster, source))
    slot = key_slot(name.encode())
    async with beating(cluster.url) as (_, client):
        assert await client.set(name, "there") is True
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        # Here as long as it exists here; what does not is asked for there, by scripts too.
        assert await client.get(name) == b"there"
        tagged = "gw:{" + name.partition("{")[2].partition("}")[0] + "}:new"
        limiter = SlidingWindow(client)
        for left in (2, 1, 0):
            quota = await limiter.hit(name.partition("{")[2].partition("}")[0], [Window(3, 60)])
            assert (quota.allowed, quota.states[0].remaining) == (True, left)
        replies = await asyncio.gather(client.set(tagged, "1"), client.get(name), client.set(f"{tagged}2", "2"))
        assert list(replies) == [True, b"there", True]
        ask(source, "MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        for node in (target, source, cluster.nodes[2]):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        assert await asyncio.gather(*(client.get(name) for _ in range(20))) == [b"there"] * 20
        assert await client.get(tagged) == b"1"
        await asyncio.sleep(0.3)  # the map has been read again
        redirected = [moved(node) for node in cluster.nodes]
        assert sum(redirected) > 0
        assert await client.get(name) == b"there"
        assert [moved(node) for node in cluster.nodes] == redirected, "its new place is known: nobody is redirected"
    # Back again, for the other tests.
    ask(target, "FLUSHALL")
    for node in (source, target, cluster.nodes[2]):
        ask(node, "CLUSTER", "SETSLOT", slot, "NODE", source_id)


def moved(node: RedisServer) -> int:
    """How often this node has answered MOVED."""
    lines = ask(node, "INFO", "errorstats").decode().split()
    return next((int(line.partition("count=")[2]) for line in lines if line.startswith("errorstat_MOVED:")), 0)


async def test_one_dead_node_costs_the_others_nothing() -> None:
    """Its keys fail at once after three failures, all others go on; it is found again when it is back."""
    with RedisCluster(cluster_require_full_coverage="no") as cluster:
        heart = cluster.holder("gw:replicas")
        dead = next(node for node in cluster.nodes if node is not heart)
        lost, kept = next(keys_of(cluster, dead)), next(keys_of(cluster, heart))
        async with beating(cluster.url) as (redis, client):
            assert await client.set(lost, "1") is await client.set(kept, "1") is True
            dead.pause()
            for _ in range(FAILURES_TO_OPEN):
                with pytest.raises(TimeoutError):
                    await client.get(lost)
            start = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreAway):
                    await client.get(lost)
                assert await client.get(kept) == b"1"
            assert time.monotonic() - start < 2
            assert redis.up
            dead.resume()

            async def found_again() -> bool:
                return bool(await client.get(lost) == b"1")

            await until(found_again)
            # Redis as a whole is away with the heartbeat's node, and back with it.
            heart.pause()
            await until(lambda: _true(not redis.up))
            with pytest.raises(StoreAway):
                await client.get(lost)
            heart.resume()
            await until(lambda: _true(redis.up))
            assert await client.get(lost) == b"1"


async def test_cluster_failover() -> None:
    """A primary is killed and its replica takes over: its keys are served again, from there."""
    with RedisCluster(replicas=1, cluster_require_full_coverage="no") as cluster:
        name = next(keys_of(cluster, cluster.nodes[0]))
        async with beating(cluster.url) as (redis, client):
            assert await client.set(name, "1") is True
            until_so(lambda: ask(cluster.replicas[0], "DBSIZE") > 0)
            cluster.nodes[0].kill()
            await until(lambda: _true(cluster.replicas[0].port in primaries(cluster.nodes[1])))

            async def served() -> bool:
                return bool(await client.get(name) == b"1")

            assert await until(served) < 5
            await until(lambda: _true(redis.up))


async def test_no_node_answers() -> None:
    """Then Redis is away, after no more than the deadline."""
    redis: Any = connect("redis+cluster://127.0.0.1:1,127.0.0.1:2", timeout_ms=500)
    with pytest.raises(RedisError):
        await redis.ping()
    await redis.aclose()
