"""One gateway in front of four fake providers for all tests of a module."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest_asyncio

from gateway.app import create_app
from tests.conformance.frames import Frame, read_frames
from tests.gateway.conftest import NO_SAFETY
from tests.gateway.matrix.asks import Ask, Told
from tests.gateway.matrix.surfaces import Error, Surface
from tests.gateway.matrix.vendors import VENDORS, Vendor
from tests.serving import CLIENT_KEY, environment, serve
from tests.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came."""

    surface: Surface
    reply: httpx.Response
    stream: bool

    @property
    def frames(self) -> list[Frame]:
        assert self.reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        return read_frames(self.reply.content)

    def told(self) -> Told:
        assert self.reply.status_code == 200, self.reply.text
        if self.stream:
            return self.surface.streamed(self.frames)
        assert self.reply.headers["content-type"] == "application/json"
        return self.surface.whole(self.reply.json())

    def error(self, status: int) -> Error:
        """Of an answer that never began."""
        assert self.reply.status_code == status, self.reply.text
        assert self.reply.headers["content-type"] == "application/json"
        return self.surface.error(self.reply.json())

    def gateway_headers(self) -> dict[str, str]:
        """Who answered under which name, at which attempt, and what was dropped."""
        names = ("provider", "model", "attempts", "dropped")
        found = {name: self.reply.headers.get(f"x-gateway-{name}") for name in names}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Stage:
    """The gateway's client and the providers behind it, by vendor."""

    client: httpx.AsyncClient
    ups: Mapping[str, Upstream]

    def up(self, vendor: Vendor) -> Upstream:
        return self.ups[vendor.name]

    async def ask(
        self, surface: Surface, ask: Ask, *vendors: Vendor, stream: bool, more: Mapping[str, object] | None = None
    ) -> Got:
        """Ask these vendors, in this order, through this surface."""
        model = "|".join(f"{vendor.name}/{vendor.model}" for vendor in vendors)
        body = {**surface.body(ask, model, stream=stream), **(more or {})}
        return Got(surface, await self.client.post(surface.path, json=body), stream)

    def forget(self) -> None:
        for up in self.ups.values():
            assert not up.answers, "an answer was not asked for"
            up.answers.clear()
            up.requests.clear()
            up.refused.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        ups = {name: await stack.enter_async_context(Upstream()) for name in VENDORS}
        variables = environment(ups) | NO_SAFETY | {"MAX_RETRIES": "0", "BREAKER_MIN_CALLS": "100000"}
        url = await stack.enter_async_context(serve(create_app(variables)))
        client = httpx.AsyncClient(
            base_url=url, headers={"X-API-Key": CLIENT_KEY}, timeout=30, limits=httpx.Limits(max_connections=100)
        )
        yield Stage(await stack.enter_async_context(client), ups)


@pytest_asyncio.fixture(loop_scope="module")
async def stage(served: Stage) -> AsyncIterator[Stage]:
    """As new for each test: nothing seen, nothing queued; at its end no answer is left over."""
    for up in served.ups.values():
        up.answers.clear()
    served.forget()
    yield served
    served.forget()
