"""
The provider of a gateway without providers: it answers at once, calls no model, and says so in every answer.

Lets one see the layers at work before the first key is bought. Answers are the same for the same request and never
repeat the prompt, so that what the guards let through cannot be read from here. It stands where the HTTP client stands
and speaks the OpenAI wire, so that cascade, adapter and accounts work as they do with a real provider.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self

import orjson

from providers.base import HttpReply, HttpRequest

SERVICE = "demo"
MODEL = "demo"
ADDRESS = "demo:"


class DemoClient:
    """A `Client` without a network. `max_tokens` counts words here, as does the usage."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def send(self, request: HttpRequest) -> HttpReply:
        words, finish, usage = _answer(request.body)
        message = {"role": "assistant", "content": " ".join(words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        body = {**_head("chat.completion"), "choices": [choice], "usage": usage}
        return HttpReply(200, {"content-type": "application/json"}, orjson.dumps(body))

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator["DemoStream"]:
        yield DemoStream(_frames(request.body))


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
    contents = [message["content"] for message in request["messages"]]
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
