"""Announcements: heard by all, and a connection that went silent is noticed."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from gateway.announcements import SILENCE_S, Announcements
from gateway.redis import connect
from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer


async def within(what: Awaitable[Any], limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        await what


async def test_a_subscription_that_went_silent(own_redis: RedisServer) -> None:
    """Bytes that vanish are noticed by an unanswered PING: a new connection, and word that something may be missed."""
    async with RedisProxy(own_redis) as proxy:
        listener, publisher = connect(proxy.url, timeout_ms=200), connect(own_redis.url, timeout_ms=2000)
        announcements, heard, gap = Announcements(listener, prefix="gw"), asyncio.Queue[str](), asyncio.Event()
        announcements.on("k", heard.put_nowait)
        announcements.on_gap(gap.set)
        async with announcements.listening():
            await within(gap.wait(), 5)
            gap.clear()
            # Silence alone is no reason.
            await asyncio.sleep(2.5 * SILENCE_S)
            assert not gap.is_set()
            assert await Announcements(publisher, prefix="gw").announce("k", "one")
            await within(heard.get(), 5)
            proxy.black_hole = True
            await asyncio.sleep(2.5 * SILENCE_S)
            proxy.black_hole = False
            await within(gap.wait(), 5)
            assert await Announcements(publisher, prefix="gw").announce("k", "two")
            async with asyncio.timeout(5):
                assert await heard.get() == "two"
        await listener.aclose()
        await publisher.aclose()


async def test_leaving_a_frozen_redis(own_redis: RedisServer) -> None:
    """Neither the subscription nor the client waits for a server that does not answer."""
    redis = connect(own_redis.url, timeout_ms=200)
    announcements, gap = Announcements(redis, prefix="gw"), asyncio.Event()
    announcements.on_gap(gap.set)
    async with announcements.listening():
        await within(gap.wait(), 5)
        await redis.ping()
        own_redis.pause()
        # In the middle of a PING that is not answered, and of a new connection.
        await asyncio.sleep(2.2 * SILENCE_S)
        with suppress(TimeoutError):
            await redis.ping()
        start = time.monotonic()
    await redis.aclose()
    assert time.monotonic() - start < 2
    own_redis.resume()
