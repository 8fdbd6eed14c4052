"""The gateway under a real server in front of providers on loopback ports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from gateway.app import create_app
from tests.serving import CLIENT_KEY, environment, serve
from tests.upstream import Upstream

Start = Callable[..., Awaitable[httpx.AsyncClient]]

NO_SAFETY = {"ENABLE_SAFETY": "false"}


@pytest.fixture
async def gateway() -> AsyncIterator[Start]:
    """
    `client = await gateway({"gemini": up, "groq": other}, RATE_LIMIT="5/minute")`: a served gateway, with its key.

    Safety is off unless a test turns it on, so that every request a provider sees is a question.
    """
    async with AsyncExitStack() as stack:

        async def start(
            upstreams: dict[str, Upstream | str] | None = None, *, redis_url: str | None = None, **variables: str
        ) -> httpx.AsyncClient:
            settings = environment(upstreams or {}, redis_url=redis_url) | NO_SAFETY | variables
            url = await stack.enter_async_context(serve(create_app(settings)))
            client = httpx.AsyncClient(
                base_url=url, headers={"X-API-Key": CLIENT_KEY}, timeout=30, transport=httpx.AsyncHTTPTransport()
            )
            return await stack.enter_async_context(client)

        yield start


def events(text: str) -> list[tuple[str, Any]]:
    """Server-sent events of a whole answer, as (name, data)."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))))
    return found


@asynccontextmanager
async def connected(variables: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A served gateway with exactly these variables and a client that has its key."""
    always = {"SERVICE_API_KEY": CLIENT_KEY, "RATE_LIMIT": "1000/minute", **NO_SAFETY}
    async with (
        serve(create_app(always | variables)) as url,
        httpx.AsyncClient(base_url=url, headers={"X-API-Key": CLIENT_KEY}, timeout=30) as client,
    ):
        yield client


async def answered(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """The answer's shape, whole or from the last event of a stream, which must agree with the streamed text."""
    reply = await client.post("/query", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any]
    if not body.get("stream"):
        answer = reply.json()
        return answer
    *tokens, (name, answer) = events(reply.text)
    assert name == "done"
    assert "".join(data["text"] for _, data in tokens) == answer["response"]
    return answer
