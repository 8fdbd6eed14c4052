"""The main job through npm's @copilotkit/aimock: `make aimock` (needs node; not part of `make test`)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import answered, connected
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


def pointing(gemini: str, others: str) -> dict[str, str]:
    """The variables of a gateway with Gemini at one address and everybody else at another."""
    variables = {f"{name}_BASE_URL": others for name in ("GROQ", "OPENAI", "ANTHROPIC")} | {"GEMINI_BASE_URL": gemini}
    return variables | {f"{name}_API_KEY": "k" for name in ("GEMINI", "GROQ", "OPENAI", "ANTHROPIC")}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["gemini", "groq", "openai", "anthropic"])
async def test_answers(provider: str, stream: bool) -> None:
    """Each wire, whole and streamed."""
    async with aimock() as origin, connected(pointing(origin, origin)) as client:
        answer = await answered(client, {**ASK, "stream": stream, "provider": provider})
    assert (answer["response"], answer["provider"], answer["status"]) == (TEXT, provider, "success")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["--chaos-drop", "--chaos-malformed", "--chaos-ratelimit", "--chaos-disconnect"])
async def test_cascades(fault: str, stream: bool) -> None:
    """Gemini breaks in aimock's ways, and Groq answers."""
    async with aimock(fault, "1") as broken, aimock() as healthy, connected(pointing(broken, healthy)) as client:
        answer = await answered(client, {**ASK, "stream": stream})
    assert (answer["response"], answer["provider"]) == (TEXT, "groq")
    assert answer["cascade_path"][0]["status"] == "failed"
