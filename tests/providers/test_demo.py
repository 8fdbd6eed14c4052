"""The provider of a gateway without providers."""

from decimal import Decimal

import pytest

from providers.base import ChatRequest, Completion, Message, Target
from providers.demo import ADDRESS, MODEL, SERVICE, DemoClient
from providers.openai_compatible import OpenAICompatible
from providers.sse import EventParser

ADAPTER = OpenAICompatible()
TARGET = Target(SERVICE, MODEL, ADAPTER, ADDRESS)


def request(max_tokens: int | None = None) -> ChatRequest:
    return ChatRequest((Message("system", "Be brief."), Message("user", "A secret wish")), max_tokens)


async def whole(max_tokens: int | None = None) -> Completion:
    return ADAPTER.decode(await DemoClient().send(ADAPTER.encode(request(max_tokens), TARGET, stream=False)))


async def test_answer() -> None:
    """It says what it is, is the same each time, costs nothing and does not repeat the prompt, only its length."""
    completion = await whole()
    assert completion == await whole()
    assert "demo provider" in completion.text
    assert "no model was called" in completion.text
    assert "22 characters" in completion.text
    assert "secret" not in completion.text
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (5, len(completion.text.split()))
    assert (completion.model, completion.finish_reason, completion.cost_usd) == (MODEL, "stop", Decimal(0))


@pytest.mark.parametrize("max_tokens", [1, 5, 10_000])
async def test_limit(max_tokens: int) -> None:
    """The limit counts words."""
    full, cut = await whole(), await whole(max_tokens)
    assert cut.text == " ".join(full.text.split()[:max_tokens])
    assert cut.finish_reason == ("stop" if cut.text == full.text else "length")


async def test_stream() -> None:
    """The same answer in pieces, with its usage and its end."""
    client, decoder, parser = DemoClient(), ADAPTER.decoder(), EventParser()
    chunks = []
    async with client.stream(ADAPTER.encode(request(), TARGET, stream=True)) as stream:
        while data := await stream.read():
            chunks += [decoder.feed(event) for event in parser.feed(data)]
    told = [chunk for chunk in chunks if chunk is not None]
    completion = await whole()
    assert "".join(chunk.text for chunk in told) == completion.text
    assert [chunk.finish_reason for chunk in told if chunk.finish_reason] == ["stop"]
    assert [chunk.usage for chunk in told if chunk.usage] == [completion.usage]
    assert told[-1].end
