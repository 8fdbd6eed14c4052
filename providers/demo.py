"""
The provider of a gateway without providers: it answers at once, calls no model, and says so in every answer.

Lets one see the layers at work before the first key is bought. Answers are the same for the same request and never
repeat the prompt, so that what the guards let through cannot be read from here. It stands where the HTTP client stands
and speaks the OpenAI wire, so that cascade, adapter and accounts work as they do with a real provider.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import orjson

from providers.base import HttpReply, HttpRequest
from providers.client import ByteStream, Client

SERVICE = "demo"
MODEL = "demo"
ADDRESS = "demo:"
DIMENSIONS = 64
MAX_DIMENSIONS = 1536


class DemoClient:
    """A `Client` without a network. `max_tokens` counts words here, as does the usage."""

    async def send(self, request: HttpRequest) -> HttpReply:
        if request.url.endswith("/embeddings"):
            return _embeddings(request.body)
        words, finish, usage = _answer(request.body)
        message = {"role": "assistant", "content": " ".join(words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        body = {**_head("chat.completion"), "choices": [choice], "usage": usage}
        return _reply(body)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator["DemoStream"]:
        yield DemoStream(_frames(request.body))


class WithDemo:
    """A `Client` that leaves calls to the demo's address to the demo: a configuration may bring or end it any time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._demo = DemoClient()

    async def send(self, request: HttpRequest) -> HttpReply:
        return await self._for(request).send(request)

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[ByteStream]:
        return self._for(request).stream(request)

    def _for(self, request: HttpRequest) -> Client:
        return self._demo if request.url.startswith(ADDRESS) else self._client


class DemoStream:
    """A `ByteStream` of prepared frames."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self.reply = HttpReply(200, {"content-type": "text/event-stream"}, b"")

    async def read(self) -> bytes:
        return next(self._frames, b"")

    async def read_all(self) -> HttpReply:
        return HttpReply(200, self.reply.headers, b"".join(self._frames))


def _answer(body: bytes) -> tuple[list[str], Literal["stop", "length"], dict[str, Any]]:
    request = orjson.loads(body)
    contents = [_words(message.get("content")) for message in request["messages"]]
    text = (
        "This is the demo provider of the gateway: no model was called. "
        f"Your request of {sum(map(len, contents))} characters passed every layer. "
        "Set a provider's key, GEMINI_API_KEY for one, to get real answers."
    )
    words = text.split(" ")
    limit = request.get("max_tokens") or len(words)
    prompt_tokens = sum(len(content.split()) for content in contents)
    kept = words[:limit]
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(kept),
        "total_tokens": prompt_tokens + len(kept),
        "cost": 0,
    }
    return kept, "stop" if len(kept) == len(words) else "length", usage


def _words(content: Any) -> str:
    """Of a content that may be a text, parts of which some are texts, or nothing beside tool calls."""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or ())


def _embeddings(body: bytes) -> HttpReply:
    """Vectors of length 1 that mean nothing: each lies along an axis that its input's checksum names."""
    request = orjson.loads(body)
    given, size = request["input"], request.get("dimensions", DIMENSIONS)
    if size > MAX_DIMENSIONS:
        refusal = {"message": f"the demo has at most {MAX_DIMENSIONS} dimensions", "type": "invalid_request_error"}
        return _reply({"error": {**refusal, "param": "dimensions", "code": None}}, 400)
    inputs = [given] if isinstance(given, str) else given
    data = []
    for index, each in enumerate(inputs):
        vector = [0.0] * size
        vector[zlib.crc32(orjson.dumps(each)) % size] = 1.0
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(len(each.split() if isinstance(each, str) else each) for each in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _reply({"object": "list", "data": data, "model": MODEL, "usage": usage})


def _reply(body: dict[str, Any], status: int = 200) -> HttpReply:
    return HttpReply(status, {"content-type": "application/json"}, orjson.dumps(body))


def _frames(body: bytes) -> Iterator[bytes]:
    words, finish, usage = _answer(body)
    for index, word in enumerate(words):
        yield _frame([{"index": 0, "delta": {"content": word if index == 0 else f" {word}"}, "finish_reason": None}])
    yield _frame([{"index": 0, "delta": {}, "finish_reason": finish}])
    yield _frame([], usage)
    yield b"data: [DONE]\n\n"


def _frame(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
    return b"data: %b\n\n" % orjson.dumps({**_head("chat.completion.chunk"), "choices": choices, "usage": usage})


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 0, "model": MODEL}
