"""The main job through npm's @copilotkit/aimock: `make aimock` (needs node; not part of `make test`)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from tests.gateway.conftest import events
from tests.serving import CLIENT_KEY, serve
from tests.upstream import free_port

FOLDER = Path(__file__).parent
ASK = {"prompt": "Why is the sky blue?"}
TEXT = "Because of Rayleigh scattering, which bends short waves most."


@asynccontextmanager
async def aimock(*options: str) -> AsyncIterator[str]:
    """A server of the package's own command line; yields its origin once it listens."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(FOLDER / "node_modules" / ".bin" / "llmock"),
        *("--port", str(port), "--fixtures", str(FOLDER / "fixtures.json"), "--log-level", "silent", *options),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=8)) as client:
            await client.get(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def gateway(gemini: str, others: str) -> AsyncIterator[httpx.AsyncClient]:
    environment = {
        "SERVICE_API_KEY": CLIENT_KEY,
        "RATE_LIMIT": "1000/minute",
        "ENABLE_SAFETY": "false",
        "GEMINI_API_KEY": "k",
        "GEMINI_BASE_URL": gemini,
        "GROQ_API_KEY": "k",
        "GROQ_BASE_URL": others,
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": others,
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": others,
    }
    async with (
        serve(create_app(environment)) as url,
        httpx.AsyncClient(base_url=url, headers={"X-API-Key": CLIENT_KEY}, timeout=30) as client,
    ):
        yield client


async def ask(client: httpx.AsyncClient, *, stream: bool, **body: Any) -> dict[str, Any]:
    reply = await client.post("/query", json={**ASK, **body, "stream": stream})
    assert reply.status_code == 200, reply.text
    if not stream:
        answer: dict[str, Any] = reply.json()
        return answer
    *tokens, (name, done) = events(reply.text)
    assert name == "done"
    assert "".join(data["text"] for _, data in tokens) == done["response"]
    result: dict[str, Any] = done
    return result


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["gemini", "groq", "openai", "anthropic"])
async def test_answers(provider: str, stream: bool) -> None:
    """Each wire, whole and streamed."""
    async with aimock() as origin, gateway(origin, origin) as client:
        answer = await ask(client, stream=stream, provider=provider)
    assert (answer["response"], answer["provider"], answer["status"]) == (TEXT, provider, "success")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["--chaos-drop", "--chaos-malformed", "--chaos-ratelimit", "--chaos-disconnect"])
async def test_cascades(fault: str, stream: bool) -> None:
    """Gemini breaks in aimock's ways, and Groq answers."""
    async with aimock(fault, "1") as broken, aimock() as healthy, gateway(broken, healthy) as client:
        answer = await ask(client, stream=stream)
    assert (answer["response"], answer["provider"]) == (TEXT, "groq")
    assert answer["cascade_path"][0]["status"] == "failed"
