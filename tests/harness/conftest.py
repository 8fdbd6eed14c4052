"""One upstream and a client on it."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import UpstreamFactory
from tests.harness.vendors import Client
from tests.upstream import Upstream


@pytest.fixture
async def up(upstream: UpstreamFactory) -> Upstream:
    return await upstream()


@pytest.fixture
async def client(up: Upstream) -> AsyncIterator[Client]:
    client = Client(up)
    async with client.http:
        yield client
