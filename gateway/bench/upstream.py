"""A provider that costs next to nothing: fixed answers in OpenAI's wire, and a Gemini classifier that finds nothing."""

import asyncio
import sys
from typing import cast

import orjson

TOKENS = 60
_TEXT = " ".join(f"word{index}" for index in range(TOKENS))
_USAGE = {"prompt_tokens": 50, "completion_tokens": TOKENS, "total_tokens": 50 + TOKENS}
_SAFE = {"sexual": 0.0, "hate": 0.0, "harassment": 0.0, "dangerous": 0.0, "civic": 0.0, "reason": "none"}


def _reply(body: bytes, content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (content_type, len(body), body)


def _completion() -> bytes:
    message = {"role": "assistant", "content": _TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1760000000, "model": "bench"}
    return _reply(orjson.dumps({**head, "choices": [choice], "usage": _USAGE}))


def _stream() -> bytes:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1760000000, "model": "bench"}
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": f"word{index} "}, None) for index in range(TOKENS)]
    deltas.append(({}, "stop"))
    events = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in deltas]
    events.append({**head, "choices": [], "usage": _USAGE})
    frames = [b"data: %b\n\n" % orjson.dumps(event) for event in events] + [b"data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
    head_bytes = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head_bytes + chunks + b"0\r\n\r\n"


def _classification() -> bytes:
    parts = [{"text": orjson.dumps(_SAFE).decode()}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return _reply(orjson.dumps({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}}))


COMPLETION, STREAM, CLASSIFICATION = _completion(), _stream(), _classification()


class _Server(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            if b":generateContent" in head:
                answer = CLASSIFICATION
            else:
                answer = STREAM if b'"stream":true' in body else COMPLETION
            self._transport.write(answer)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
