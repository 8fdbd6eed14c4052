"""What the operator lets a service be asked: exact over all replicas, and no more than a courtesy without a store."""

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from gateway.allowance import ServiceAllowance
from gateway.live import LiveConfig
from gateway.redis import connect
from gateway.settings import load_settings
from middleware.rate_limit import SlidingWindow
from providers.base import Target
from tests.redis_server import RedisServer


def write(path: Path, **limits: tuple[int, int | None] | None) -> None:
    entries: list[dict[str, Any]] = []
    for name, limit in limits.items():
        entry: dict[str, Any] = {"name": name, "backend_type": "custom", "base_url": "http://127.0.0.1:1/v1"}
        if limit is not None:
            entry |= {"rate_limit_requests": limit[0], "rate_limit_window": limit[1]}
        entries.append(entry)
    path.write_bytes(orjson.dumps({"services": entries}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def live_config(path: Path) -> LiveConfig:
    return LiveConfig(load_settings({}), {}, path)


def target(live: LiveConfig, name: str, model: str = "m") -> Target:
    service = live.current.router.service(name)
    assert service is not None
    return service.target(model)


async def test_exact_over_replicas(path: Path, redis_url: str) -> None:
    """A hundred at once at two replicas take what there is, whatever model they ask for; after the wait again."""
    write(path, a=(7, 1), b=(3, 3600))
    live = live_config(path)
    redis = connect(redis_url, timeout_ms=5000)
    replicas = [ServiceAllowance(live, SlidingWindow(redis)) for _ in range(2)]
    began = time.monotonic()
    waits = await asyncio.gather(*(replicas[n % 2].take(target(live, "a", f"m{n % 5}")) for n in range(100)))
    assert sum(wait == 0 for wait in waits) == 7
    lasted = time.monotonic() - began
    assert all(1 - lasted - 0.01 < wait <= 1 for wait in waits if wait > 0)
    # One service's spending is not another's.
    assert [await replicas[n % 2].take(target(live, "b")) for n in range(3)] == [0, 0, 0]
    assert 3500 < await replicas[0].take(target(live, "b")) <= 3600
    await asyncio.sleep(max(waits))
    assert await replicas[1].take(target(live, "a")) == 0
    await redis.aclose()


async def test_what_is_spent_is_not_asked_again(path: Path, single_redis_url: str) -> None:
    """One command a call; none for services without a limit, and none while the limit is known to be spent."""
    write(path, limited=(2, 60), free=None)
    live = live_config(path)
    redis: Redis = connect(single_redis_url, timeout_ms=5000)
    allowance = ServiceAllowance(live, SlidingWindow(redis))

    async def commands() -> int:
        stats: dict[str, dict[str, int]] = await redis.info("commandstats")
        return sum(found["calls"] for name, found in stats.items() if name in ("cmdstat_eval", "cmdstat_evalsha"))

    await allowance.take(target(live, "limited"))
    before = await commands()
    for _ in range(5):
        assert await allowance.take(target(live, "free")) == 0
    assert await commands() == before
    waits = [await allowance.take(target(live, "limited")) for _ in range(5)]
    assert (waits[0], await commands()) == (0, before + 2)
    assert 59 < waits[4] <= waits[1] <= 60
    await redis.aclose()


async def test_what_is_left(path: Path, redis_url: str) -> None:
    """The same at every replica, and looking takes nothing; a window that is not named is a minute."""
    write(path, limited=(2, None), free=None)
    live = live_config(path)
    redis = connect(redis_url, timeout_ms=5000)
    one, two = (ServiceAllowance(live, SlidingWindow(redis)) for _ in range(2))
    service, free = live.current.router.service("limited"), live.current.router.service("free")
    assert service is not None
    assert free is not None
    for remaining in (2, 1, 0, 0):
        for allowance in (one, two, one):
            left = await allowance.left(service)
            assert left is not None
            assert (left.remaining, left.window.limit, left.window.seconds) == (remaining, 2, 60)
        assert (await one.take(target(live, "limited")) == 0) is (remaining > 0)
    assert await one.left(free) is None
    await redis.aclose()


@pytest.mark.parametrize("new", [(100, 3600), (1, 1), None], ids=["more", "sooner", "none"])
async def test_a_reload_counts_at_once(path: Path, redis_url: str, new: tuple[int, int] | None) -> None:
    """A limit that was spent is forgotten with it: what the new one admits is admitted."""
    write(path, a=(1, 3600))
    live = live_config(path)
    redis = connect(redis_url, timeout_ms=5000)
    allowance = ServiceAllowance(live, SlidingWindow(redis))
    old = target(live, "a")
    assert await allowance.take(old) == 0
    assert await allowance.take(old) > 3500
    write(path, a=new)
    live.reload()
    wait = await allowance.take(target(live, "a"))
    assert wait <= 1
    if new == (100, 3600):
        assert wait == 0
    await redis.aclose()


async def test_a_service_that_is_gone(path: Path, redis_url: str) -> None:
    """A request that began before the reload is not held to a limit that nobody knows any more."""
    write(path, a=(1, 3600), b=None)
    live = live_config(path)
    redis = connect(redis_url, timeout_ms=5000)
    allowance = ServiceAllowance(live, SlidingWindow(redis))
    old = target(live, "a")
    await allowance.take(old)
    write(path, b=None)
    live.reload()
    assert await allowance.take(old) == 0
    await redis.aclose()


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_the_store_is_away(path: Path, own_redis: RedisServer, how: str) -> None:
    """Nothing is held back, nothing hangs, and what is left nobody can tell; back, it holds again."""
    write(path, a=(1, 3600))
    live = live_config(path)
    redis = connect(own_redis.url, timeout_ms=100)
    allowance = ServiceAllowance(live, SlidingWindow(redis))
    service = live.current.router.service("a")
    assert service is not None
    assert await allowance.take(target(live, "a")) == 0
    own_redis.kill() if how == "killed" else own_redis.pause()
    for _ in range(3):
        began = time.monotonic()
        assert await allowance.take(target(live, "a")) == 0
        assert await allowance.left(service) is None
        assert time.monotonic() - began < 0.5
    own_redis.start() if how == "killed" else own_redis.resume()
    async with asyncio.timeout(5):
        while await allowance.take(target(live, "a")) == 0:
            pass
    await redis.aclose()


async def test_the_embedded_store(path: Path) -> None:
    """Without Redis the limit is this process's."""
    write(path, a=(2, 60))
    live = live_config(path)
    redis = connect(None, timeout_ms=100)
    allowance = ServiceAllowance(live, SlidingWindow(redis))
    waits = [await allowance.take(target(live, "a")) for _ in range(3)]
    assert waits[:2] == [0, 0]
    assert 59 < waits[2] <= 60
    await redis.aclose()
