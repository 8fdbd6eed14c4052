"""The provider of a gateway without providers."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from providers.base import Target
from providers.chat import ChatRequest, Completion, EmbeddingRequest, Image, Message, Text, ToolCall
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
            chunks += [chunk for event in parser.feed(data) for chunk in decoder.feed(event)]
    completion = await whole()
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [completion.usage]
    assert chunks[-1].end


async def test_parts_and_calls() -> None:
    """Contents that are parts, or nothing beside a call, count by their texts."""
    parts = Message("user", (Text("A secret"), Image("data:image/png;base64,AAAA"), Text("wish")))
    called = Message("assistant", "", tool_calls=(ToolCall("a", "f", "{}"),))
    asked = ChatRequest((parts, called, Message("tool", "no", tool_call_id="a")))
    completion = ADAPTER.decode(await DemoClient().send(ADAPTER.encode(asked, TARGET, stream=False)))
    assert "16 characters" in completion.text


@pytest.mark.parametrize("inputs", [("one",), ("one", "two", "one"), ((1, 2), (3,))])
async def test_embeddings(inputs: Sequence[str] | Sequence[Sequence[int]]) -> None:
    """A vector of length 1 for each input, the same for the same; of the size asked for, within bounds."""
    asked = EmbeddingRequest(inputs, dimensions=500)
    found = ADAPTER.decode_embeddings(await DemoClient().send(ADAPTER.encode_embeddings(asked, TARGET)))
    assert [sum(map(float, vector)) for vector in found.vectors] == [1.0] * len(inputs)
    assert {len(vector) for vector in found.vectors} == {500}
    assert found.vectors[0] == found.vectors[-1] or inputs[0] != inputs[-1]
    assert found.model == MODEL
    large = await DemoClient().send(ADAPTER.encode_embeddings(EmbeddingRequest(inputs, dimensions=2000), TARGET))
    assert large.status == 400
