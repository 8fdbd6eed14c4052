"""The store behind limits: one Redis client with short timeouts and no retries, or the embedded store."""

import asyncio
import time

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

START_PATIENCE_S = 5.0
MAX_CONNECTIONS = 256
"""One for each decision under way. redis-py's pool that waits for a free one costs half a decision more."""


def connect(url: str | None, *, timeout_ms: int) -> Redis:
    """
    A client for `url`; None is the embedded store, which lives and dies with this process.

    redis-py's own defaults (5 s and ten retries) would make every request wait for a Redis that is away.
    """
    if url is None:
        # Here and not above: 17 MB that a gateway on Redis need not hold.
        from fakeredis import FakeAsyncRedis

        return FakeAsyncRedis()
    timeout_s = timeout_ms / 1000
    return Redis.from_url(
        url,
        protocol=3,
        max_connections=MAX_CONNECTIONS,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        client_name="llm-gateway",
        driver_info=None,  # two commands less for each new connection
    )


async def wait_until_reachable(redis: Redis, *, patience_s: float = START_PATIENCE_S) -> bool:
    """Ping until an answer comes or the patience ends."""
    deadline = time.monotonic() + patience_s
    while not await answers(redis):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError, TimeoutError):
        return False
