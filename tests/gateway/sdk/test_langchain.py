"""A tour with langchain-openai, which most agents ask through: told nothing but the gateway's address."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from tests.gateway.sdk.conftest import MODELS, Gateway
from tests.serving import CLIENT_KEY
from tests.upstream import SIXTY_WORDS, Answer, ToolCalls, embedding

KIND = pytest.mark.parametrize("kind", MODELS)


class Weather(BaseModel):
    """The weather in a city."""

    city: str


@pytest.fixture
async def chat(gateway: Gateway, kind: str) -> AsyncIterator[ChatOpenAI]:
    """With HTTP clients that end with the test: LangChain's own are shared, and outlive the test's loop."""
    async with httpx2.AsyncClient() as concurrent:
        with httpx2.Client() as blocking:
            yield ChatOpenAI(
                base_url=gateway.openai_url,
                api_key=SecretStr(CLIENT_KEY),
                model=f"{kind}/{MODELS[kind]}",
                max_retries=0,
                http_client=blocking,
                http_async_client=concurrent,
            )


@KIND
def test_invoke(chat: ChatOpenAI, gateway: Gateway, kind: str) -> None:
    """A plain question, and what it cost in tokens."""
    gateway.ups[kind].answers.push(Answer("The light turns.", output_tokens=3))
    answer = chat.invoke("Tell me about lighthouses.")
    assert answer.content == "The light turns."
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 3)
    assert answer.response_metadata["finish_reason"] == "stop"


@KIND
def test_stream(chat: ChatOpenAI, gateway: Gateway, kind: str) -> None:
    """Chunk by chunk."""
    gateway.ups[kind].answers.push(Answer(SIXTY_WORDS))
    chunks = list(chat.stream("Tell me about lighthouses."))
    assert "".join(str(chunk.content) for chunk in chunks) == SIXTY_WORDS
    assert len(chunks) > 2


@KIND
async def test_async(chat: ChatOpenAI, gateway: Gateway, kind: str) -> None:
    """The same with the asynchronous client."""
    gateway.ups[kind].answers.push(Answer("One."), Answer(SIXTY_WORDS))
    assert (await chat.ainvoke("Tell me about lighthouses.")).content == "One."
    chunks = [chunk async for chunk in chat.astream("Tell me about lighthouses.")]
    assert "".join(str(chunk.content) for chunk in chunks) == SIXTY_WORDS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@KIND
def test_tools(chat: ChatOpenAI, gateway: Gateway, kind: str, stream: bool) -> None:
    """Calls in parallel, there and back, as an agent does it."""
    calls = ToolCalls((("Weather", {"city": "Brest"}), ("Weather", {"city": "Kiel"})))
    gateway.ups[kind].answers.push(calls, Answer("Mild in both."))
    agent = chat.bind_tools([Weather])
    ask = HumanMessage("Weather in Brest and Kiel?")
    if stream:
        chunks: list[Any] = list(agent.stream([ask]))
        said: AIMessage = sum(chunks[1:], chunks[0])
    else:
        said = agent.invoke([ask])
    assert [(call["name"], call["args"]) for call in said.tool_calls] == [
        ("Weather", {"city": "Brest"}),
        ("Weather", {"city": "Kiel"}),
    ]
    results = [ToolMessage("12 °C", tool_call_id=call["id"]) for call in said.tool_calls]
    assert agent.invoke([ask, said, *results]).content == "Mild in both."
    assert not gateway.ups[kind].refused


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@KIND
def test_structured_output(chat: ChatOpenAI, gateway: Gateway, kind: str, method: str) -> None:
    """A pydantic model as the shape of the answer, by schema or by a forced call."""
    by_call = ToolCalls((("Weather", {"city": "Brest"}),))
    gateway.ups[kind].answers.push(by_call if method == "function_calling" else Answer('{"city": "Brest"}'))
    found = chat.with_structured_output(Weather, method=method).invoke("Which city?")  # type: ignore[arg-type]
    assert found == Weather(city="Brest")
    assert not gateway.ups[kind].refused


@pytest.mark.parametrize(("kind", "name"), [("openai", "text-embedding-3-small"), ("gemini", "gemini-embedding-001")])
def test_embeddings(gateway: Gateway, kind: str, name: str) -> None:
    """Documents and queries, as texts."""
    texts = ["the lens", "the lamp"]
    with httpx2.Client() as client:
        embeddings = OpenAIEmbeddings(
            base_url=gateway.openai_url,
            api_key=SecretStr(CLIENT_KEY),
            model=f"{kind}/{name}",
            max_retries=0,
            check_embedding_ctx_length=False,
            http_client=client,
        )
        for vector, text in zip(embeddings.embed_documents(texts), texts, strict=True):
            assert vector == pytest.approx(embedding(text, 8), abs=1e-6)
        assert embeddings.embed_query("the lens") == pytest.approx(embedding("the lens", 8), abs=1e-6)
