"""The main job through an upstream that nobody here wrote: PyPI's llmock, on a real socket."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import answered, connected, events

ASK = {"prompt": "Why is the sky blue?"}
TEXT = "Because of Rayleigh scattering, which bends short waves most."


@pytest.fixture
async def client(llmock: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway whose Gemini, Groq and Anthropic are all llmock."""
    variables = {f"{name.upper()}_BASE_URL": llmock.base_url(name) for name in ("gemini", "groq", "anthropic")}
    variables |= dict.fromkeys(("GEMINI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY"), "k")
    variables |= dict.fromkeys(("FIRST_TOKEN_TIMEOUT", "STREAM_IDLE_TIMEOUT", "REQUEST_TIMEOUT"), "1")
    async with connected(variables) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["gemini", "groq", "anthropic"])
async def test_answers(client: httpx.AsyncClient, llmock: Any, provider: str, stream: bool) -> None:
    """Each wire, whole and streamed; what was asked is what llmock received."""
    llmock.reply(TEXT)
    answer = await answered(client, {**ASK, "stream": stream, "provider": provider, "system": "Be brief."})
    assert (answer["response"], answer["provider"], answer["status"]) == (TEXT, provider, "success")
    assert answer["usage"]["completion_tokens"] > 0
    [request] = llmock.requests
    assert request.status == 200
    llmock.assert_resilient()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (("fail", (500,), {"times": None}), "unavailable"),
        (("fail", (503,), {"times": None}), "unavailable"),
        (("fail", (401,), {"times": None}), "bad_credentials"),
        (("rate_limit", (), {"times": None, "retry_after": 20}), "rate_limited"),
        (("context_overflow", (), {"times": None}), "context_length_exceeded"),
        (("delay", (3,), {"times": None}), "timeout"),
    ],
    ids=["500", "503", "401", "429", "context", "silence"],
)
async def test_cascades(
    client: httpx.AsyncClient,
    llmock: Any,
    fault: tuple[str, tuple[Any, ...], dict[str, Any]],
    reason: str,
    stream: bool,
) -> None:
    """Gemini breaks in llmock's ways, Groq answers, and llmock finds no fault with how we behaved."""
    name, arguments, options = fault
    getattr(llmock, name)(*arguments, provider="gemini", **options)
    answer = await answered(client, {**ASK, "stream": stream})
    assert (answer["provider"], answer["status"]) == ("groq", "success")
    path = [(entry["provider"], entry["reason"]) for entry in answer["cascade_path"]]
    assert path[0] == ("gemini", reason)
    assert path[-1] == ("groq", None)
    llmock.assert_resilient()


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt", "stall"])
async def test_broken_streams(client: httpx.AsyncClient, llmock: Any, fault: str) -> None:
    """A stream that breaks is rescued by the next provider's same answer, or ends in an error: never in a false end."""
    llmock.reply(TEXT, times=None)
    getattr(llmock, fault)(after_chunks=3, provider="gemini")
    reply = await client.post("/query", json={**ASK, "stream": True})
    *tokens, (name, last) = events(reply.text)
    text = "".join(data["text"] for _, data in tokens)
    if fault == "corrupt":
        # one event cannot be read: it is skipped, the rest arrives
        assert (name, last["response"]) == ("done", text)
        assert text != TEXT
        assert len(text) >= len(TEXT) - 20
    elif name == "done":
        assert last["response"] == text == TEXT
    else:
        assert name == "error"
        assert TEXT.startswith(text)
        assert text != TEXT
