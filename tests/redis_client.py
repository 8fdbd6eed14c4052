"""A plain client for a test, whatever the topology the tests run on."""

import os

import pytest
from redis.asyncio import Redis

from gateway.redis import connect

PATIENCE_MS = 5000

all_keys_on_one_server = pytest.mark.skipif(
    os.environ.get("TEST_REDIS_TOPOLOGY") == "cluster", reason="each node of a cluster lists its own keys only"
)


def redis_client(url: str) -> Redis:
    """redis-py's own for one server, as those who use a single layer bring it; the gateway's for all others."""
    return connect(url, timeout_ms=PATIENCE_MS) if "+" in url.partition("://")[0] else Redis.from_url(url)
