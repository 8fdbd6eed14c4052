"""The store behind limits: one Redis client that fails fast and knows when Redis is away, or the embedded store."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline, PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.redis_cluster import Cluster
from gateway.redis_errors import FAILURES_TO_OPEN, StoreAway
from gateway.redis_pipe import Pipe
from gateway.redis_servers import Failed, OneServer, SentinelPrimary, Servers
from gateway.redis_url import RedisUrl, parse_redis_url

log = logging.getLogger(__name__)

START_PATIENCE_S = 5.0


class GuardedRedis(Redis):
    """
    A client that waits `timeout_s` for a command, connecting included, and for no command while Redis is away.

    All methods that end in one command may be used. Those of one turn of the event loop leave in one write on one
    connection (`gateway/redis_pipe.py`), so gathering them does what a pipeline would. `pubsub()` has a connection of
    its own. Nothing is tried twice but what a cluster redirects.

    Its circuit breaker opens after three failures in a row of the server, not of one key, and only if there is a
    watcher: the one task that still gets through then. What it learns closes the breaker (`gateway/heartbeat.py`). In a
    cluster this goes by the node of the watcher's own key (`gateway/redis_cluster.py`). Each change is one line in the
    log.
    """

    up = True
    _away_since = 0.0
    _watcher: "asyncio.Task[Any] | None" = None

    def __init__(self, url: RedisUrl, *, timeout_s: float) -> None:
        self._connection_options = dict(
            url.options,
            protocol=3,
            # For pub/sub, where redis-py waits: no step takes longer than a command may.
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            driver_info=None,  # two commands less for each new connection
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        super().__init__(connection_pool=ConnectionPool(**self._connection_options))
        self.timeout_s = timeout_s
        self._servers = _servers(url, timeout_s=timeout_s, failed=self._failed)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        probing = self._watcher is not None and asyncio.current_task() is self._watcher
        if not self.up and not probing:
            raise StoreAway("Redis is away")
        try:
            reply = await self._servers.ask(args, probing=probing)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        callback: Callable[..., Any] | None = self.response_callbacks.get(args[0])
        if callback is None:
            return reply
        for name in (NEVER_DECODE, EMPTY_RESPONSE, "keys"):  # redis-py's notes to its own connection
            options.pop(name, None)
        shaped = callback(reply, **options)
        return await shaped if inspect.isawaitable(shaped) else shaped

    def pubsub(self, **options: Any) -> PubSub:
        """A subscriber with a connection of its own. Raises `StoreAway` while no server is known to lead it to."""
        place = self._servers.place()
        if place is None:
            raise StoreAway("no server of Redis is known yet")
        where = {"path": place.path} if place.path else {"host": place.host, "port": place.port}
        return PubSub(ConnectionPool(**self._connection_options, **where), **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Not here: it would wait on a connection without a guard. Gather the commands, or write a script."""
        raise NotImplementedError("gather the commands: those of one turn of the loop leave in one write")

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self._servers.aclose()
        await super().aclose(close_connection_pool)

    def _failed(self, pipe: Pipe, error: Exception) -> None:
        if pipe is self._servers.heart and pipe.failures >= FAILURES_TO_OPEN:
            self.went_away(error)

    def watched_by(self, watcher: "asyncio.Task[Any] | None") -> None:
        """Let this task through whatever happens, and rely on it to find out when Redis is back."""
        self._watcher = watcher

    def went_away(self, error: Exception) -> None:
        """Redis is away: nobody waits for it any more."""
        if self.up and self._watcher is not None:
            self.up = False
            self._away_since = time.monotonic()
            log.warning("Redis is away (%s): this replica goes on alone", type(error).__name__)

    def came_back(self) -> None:
        """Redis is back."""
        if not self.up:
            self.up = True
            log.warning("Redis is back after %.1f s", time.monotonic() - self._away_since)


def _servers(url: RedisUrl, *, timeout_s: float, failed: Failed) -> Servers:
    match url.kind:
        case "server":
            return OneServer(url.places[0], url.login, timeout_s=timeout_s, failed=failed)
        case "sentinel":
            return SentinelPrimary(url.places, url.login, service=url.service, timeout_s=timeout_s, failed=failed)
        case "cluster":
            return Cluster(url.places, url.login, timeout_s=timeout_s, failed=failed)


def connect(url: str | None, *, timeout_ms: int) -> Redis:
    """
    A client for `url`, a `GuardedRedis`; None is the embedded store, which lives and dies with this process.

    Raises `ValueError` for a URL that is none.
    """
    if url is None:
        # Here and not above: 17 MB that a gateway on Redis need not hold.
        from fakeredis import FakeAsyncRedis

        return FakeAsyncRedis()
    return GuardedRedis(parse_redis_url(url), timeout_s=timeout_ms / 1000)


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


async def warn_of_eviction(redis: Redis) -> None:
    """Say so in the log if a full Redis would forget limits and budgets instead of refusing writes."""
    with suppress(RedisError, OSError):
        memory: dict[str, Any] = await redis.info("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            log.warning("Redis evicts keys when it is full (maxmemory-policy %s): set it to noeviction", policy)
