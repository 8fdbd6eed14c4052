"""
The main job through npm's @copilotkit/aimock: `make aimock` (needs node; not part of `make test`).

Its deviations from the vendors: Anthropic's and Gemini's usage is 0 unless the fixture says otherwise; of Gemini's
embeddings it has `embedContent`, not `batchEmbedContents`.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.conftest import answered, connected
from tests.gateway.tour import SURFACES, address, anthropic_client, openai_client
from tests.upstream import free_port

FOLDER = Path(__file__).parent
COMMAND = (
    str(FOLDER / "node_modules" / ".bin" / "llmock"),
    *("--fixtures", str(FOLDER / "fixtures.json"), "--log-level", "silent"),
)
ASK = {"prompt": "Why is the sky blue?"}
TEXT = "Because of Rayleigh scattering, which bends short waves most."


@asynccontextmanager
async def aimock(*options: str) -> AsyncIterator[str]:
    """A server of the package's own command line; yields its origin once it listens."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--port", str(port), *options),
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


# The surfaces of other APIs, through the official SDKs

MODELS = {"openai": "gpt-4o", "groq": "llama-3.3-70b", "gemini": "gemini-2.5-flash", "anthropic": "claude-haiku-4-5"}
each_model = pytest.mark.parametrize("provider", MODELS)
each_surface = pytest.mark.parametrize("surface", SURFACES)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """One aimock for all that need a healthy one."""
    port = free_port()
    with subprocess.Popen([*COMMAND, "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            client.get(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
async def url(mock: str) -> AsyncIterator[str]:
    """A gateway whose providers are all aimock."""
    async with connected(pointing(mock, mock)) as client:
        yield address(client)


@whole_and_streamed
@each_model
@each_surface
async def test_words(url: str, surface: str, provider: str, stream: bool) -> None:
    """Text and its end, from every wire on every surface."""
    ask = SURFACES[surface]
    said = await ask(url, f"{provider}/{MODELS[provider]}", ASK["prompt"], stream=stream)
    assert (said.text, said.calls, said.stopped) == (TEXT, [], ask.stopped)
    assert said.output_tokens > 0 or provider in ("gemini", "anthropic")


@whole_and_streamed
@each_model
@each_surface
@pytest.mark.parametrize(
    ("question", "calls", "words"),
    [
        ("What is the weather in Oslo?", [("weather", {"city": "Oslo"})], "It rains."),
        ("The time in Oslo?", [("time", {"city": "Oslo"}), ("weather", {"city": "Bergen"})], "Noon, and rain."),
    ],
    ids=["one", "parallel"],
)
async def test_tools(
    url: str, surface: str, provider: str, stream: bool, question: str, calls: list[tuple[str, Any]], words: str
) -> None:
    """Calls with their arguments, apart from one another; then their results, and words."""
    ask, model = SURFACES[surface], f"{provider}/{MODELS[provider]}"
    said = await ask(url, model, question, stream=stream, tools=["time", "weather"])
    assert [call[1:] for call in said.calls] == calls
    assert len({call[0] for call in said.calls}) == len(calls)
    assert said.stopped == ask.called
    done = [(call, "rain") for call in said.calls]
    said = await ask(url, model, question, stream=stream, tools=["time", "weather"], done=done)
    assert (said.text, said.calls, said.stopped) == (words, [], ask.stopped)


@whole_and_streamed
@each_model
@each_surface
async def test_json(url: str, surface: str, provider: str, stream: bool) -> None:
    """An answer asked for with a schema arrives as the JSON it is."""
    said = await SURFACES[surface](
        url, f"{provider}/{MODELS[provider]}", "Which city is it?", stream=stream, schema=True
    )
    assert orjson.loads(said.text) == {"city": "Oslo"}


@whole_and_streamed
@each_surface
@pytest.mark.parametrize("fault", ["--chaos-drop", "--chaos-malformed", "--chaos-ratelimit", "--chaos-disconnect"])
async def test_another_provider_answers(mock: str, surface: str, stream: bool, fault: str) -> None:
    """`a|b`: the first breaks in aimock's ways, the second answers."""
    model = f"gemini/{MODELS['gemini']}|groq/{MODELS['groq']}"
    async with aimock(fault, "1") as broken, connected(pointing(broken, mock)) as client:
        said = await SURFACES[surface](address(client), model, ASK["prompt"], stream=stream)
    assert said.text == TEXT


async def test_embeddings(url: str) -> None:
    """Vectors for one and several texts; the SDK asks for base64 unless told."""
    model = "openai/text-embedding-3-small"
    async with openai_client(url) as sdk:
        one = await sdk.embeddings.create(model=model, input="Oslo")
        two = await sdk.embeddings.create(model=model, input=["Oslo", "Bergen"], encoding_format="float")
    assert [each.index for each in two.data] == [0, 1]
    assert two.data[0].embedding == pytest.approx(one.data[0].embedding, rel=1e-6)
    assert two.data[0].embedding != two.data[1].embedding


async def test_models(url: str) -> None:
    """Models of all of them, in both SDKs."""
    async with openai_client(url) as sdk:
        listed = [model async for model in sdk.models.list()]
        first = await sdk.models.retrieve(listed[0].id)
    assert first.id == listed[0].id
    async with anthropic_client(url) as other:
        ids = [model.id async for model in other.models.list()]
    assert ids == [model.id for model in listed]
