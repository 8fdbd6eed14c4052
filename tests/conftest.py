"""Fixtures all tests share: a real Redis, providers on loopback ports, an environment for a gateway that uses them."""

import atexit
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import certifi
import pytest
from hypothesis import settings

from tests.redis_cluster import RedisCluster
from tests.redis_sentinel import RedisSentinel
from tests.redis_server import RedisServer
from tests.serving import environment
from tests.upstream import Upstream

# Clients of the tests speak plain HTTP to loopback. To read 140 root certificates for each of them, as httpx does, took
# a sixth of the suite's time.
_ROOT = Path(tempfile.mkdtemp()) / "root.pem"
atexit.register(shutil.rmtree, _ROOT.parent)
_ROOT.write_text(certifi.contents().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
os.environ["SSL_CERT_FILE"] = str(_ROOT)

# A slow machine is no failure, and a run that gates a change tries the same examples every time.
settings.register_profile("here", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "here")

collect_ignore = ["aimock", "chaos"]
"""Needs node, and many minutes: `make aimock` and `make chaos` name the folders themselves."""


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server all tests share. One that breaks it takes `own_redis` instead."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_topology(request: pytest.FixtureRequest) -> Iterator[RedisServer | RedisCluster | RedisSentinel]:
    """What `TEST_REDIS_TOPOLOGY` says: `single` (the shared server), `cluster` or `sentinel`."""
    match os.environ.get("TEST_REDIS_TOPOLOGY", "single"):
        case "single":
            yield request.getfixturevalue("redis_server")
        case "cluster":
            with RedisCluster() as cluster:
                yield cluster
        case "sentinel":
            with RedisSentinel() as sentinel:
                yield sentinel
        case _:
            raise ValueError("TEST_REDIS_TOPOLOGY: expected single, cluster or sentinel")


@pytest.fixture
def redis_url(redis_topology: RedisServer | RedisCluster | RedisSentinel) -> str:
    """The address of the shared Redis, without data and scripts: `tests.redis_client` makes a client of it."""
    redis_topology.flush()
    return redis_topology.url


@pytest.fixture
def single_redis_url(redis_server: RedisServer) -> str:
    """One server whatever the topology, for tests that watch the server itself; without data and scripts."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server for this test alone, to be stopped, killed or paused."""
    with RedisServer() as server:
        yield server


class UpstreamFactory(Protocol):
    """`await upstream()`: a provider of its own per call; arguments as for `Upstream`."""

    def __call__(
        self,
        *,
        key: str | None = None,
        requires_key: bool = True,
        models: tuple[str, ...] | None = None,
        prefill: bool = True,
    ) -> Awaitable[Upstream]: ...


@pytest.fixture
async def upstream() -> AsyncIterator[UpstreamFactory]:
    async with AsyncExitStack() as stack:

        async def start(
            *,
            key: str | None = None,
            requires_key: bool = True,
            models: tuple[str, ...] | None = None,
            prefill: bool = True,
        ) -> Upstream:
            fake = Upstream(key=key, requires_key=requires_key, models=models, prefill=prefill)
            return await stack.enter_async_context(fake)

        yield start


@pytest.fixture
def gateway_environment(tmp_path: Path) -> Callable[..., Mapping[str, str]]:
    """`serving.environment` with a data directory of this test's own."""
    return partial(environment, data_dir=tmp_path / "data")
