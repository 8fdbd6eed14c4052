"""
A gateway as SDKs find it: at an address, in a loop and a thread of its own, so that blocking clients can call it.

Nothing of an SDK is told but the address and the key.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest

from gateway.app import create_app
from tests.gateway.conftest import NO_SAFETY
from tests.serving import environment, serve
from tests.upstream import Upstream

MODELS = {
    "openai": "gpt-5.4-mini",
    "groq": "openai/gpt-oss-20b",
    "gemini": "gemini-3.5-flash-lite",
    "anthropic": "claude-haiku-4-5",
}
ADMIN_KEY = "admin-key-of-the-tests-0123456789"

Run = Callable[..., "Gateway"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Its address, and the providers behind it by name."""

    url: str
    ups: Mapping[str, Upstream]

    @property
    def openai_url(self) -> str:
        """Where OpenAI's base URL ends."""
        return f"{self.url}/v1"


@asynccontextmanager
async def served(providers: tuple[str, ...], variables: Mapping[str, str]) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        ups = {name: await stack.enter_async_context(Upstream()) for name in providers}
        known = {"MAX_RETRIES": "0", "ADMIN_API_KEY": ADMIN_KEY, "PROVIDER_ORDER": ",".join(providers)}
        app = create_app({**environment(ups), **NO_SAFETY, **known, **variables})
        yield Gateway(await stack.enter_async_context(serve(app)), ups)


@contextmanager
def running(*providers: str, **variables: str) -> Iterator[Gateway]:
    """A gateway in front of these providers, asked in this order, in a thread that ends with the context."""
    context = served(providers, variables)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(20)
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def gather(texts: Iterable[str], into: list[str]) -> None:
    """One by one, so that those before an error are kept."""
    for text in texts:
        into.append(text)  # noqa: PERF402 (extend need not keep them)


@pytest.fixture(scope="package")
def all_providers() -> Iterator[Gateway]:
    with running(*MODELS) as gateway:
        yield gateway


@pytest.fixture
def gateway(all_providers: Gateway) -> Gateway:
    """In front of all four; nothing is seen or queued yet."""
    for up in all_providers.ups.values():
        up.answers.clear()
        up.requests.clear()
        up.refused.clear()
    return all_providers


@pytest.fixture
def run() -> Iterator[Run]:
    """`run("openai", RATE_LIMIT="1/minute")`: a gateway for this test alone."""
    with ExitStack() as stack:

        def start(*providers: str, **variables: str) -> Gateway:
            return stack.enter_context(running(*providers, **variables))

        yield start
