"""The store behind limits: one Redis client with short timeouts and no retries, or the embedded store."""

import asyncio
import time

from fakeredis import FakeAsyncRedis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

START_PATIENCE_S = 5.0
MAX_CONNECTIONS = 32
"""A burst waits for a free one, within the same limit of time, rather than greet Redis a hundred times."""


def connect(url: str | None, *, timeout_ms: int) -> Redis:
    """
    A client for `url`; None is the embedded store, which lives and dies with this process.

    redis-py's own defaults (5 s and ten retries) would make every request wait for a Redis that is away.
    """
    if url is None:
        return FakeAsyncRedis()
    timeout_s = timeout_ms / 1000
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=timeout_s,
        protocol=3,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        client_name="llm-gateway",
        driver_info=None,  # two commands less for each new connection
    )
    return Redis.from_pool(pool)


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
