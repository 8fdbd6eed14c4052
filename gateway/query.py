"""`POST /query`: a prompt in, an answer out; whole, or as events `token`, then `done` or `error`."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.exchange import Asked, Exchange, message_of
from gateway.schema import QueryBody
from middleware.record import Record
from providers.base import Target
from providers.cascade import Answer, Attempt, CascadeFailed, Journey
from providers.chat import ChatRequest, Chunk, Message, Usage
from providers.errors import ContentBlocked


class QuerySurface:
    """The gateway's own API. What a model thinks before it answers is left out."""

    withheld_is_answer = False
    shows_thoughts = False

    def asked(self, prompt: QueryBody) -> Asked:
        return Asked(chat_request(prompt), prompt.model, prompt.stream, prompt.provider)

    def whole(self, answer: Answer, exchange: Exchange) -> object:
        return answered(answer, exchange.journey, exchange.record)

    def stream(self, exchange: Exchange) -> "QueryStream":
        return QueryStream(exchange)

    def failed(self, failure: CascadeFailed, exchange: Exchange) -> object | None:
        if failure.kind == "rejected" and not isinstance(failure.error, ContentBlocked):
            return {"detail": message_of(failure)}  # with the reason, for which this API has no field of its own
        if failure.kind in ("not_found", "rejected"):
            return None
        return failed(failure, exchange.journey, exchange.record)


class QueryStream:
    """Writes one stream."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def chunks(self, chunks: Sequence[Chunk], target: Target) -> bytes:
        return b"".join(
            b'event: token\ndata: {"text":%b}\n\n' % orjson.dumps(chunk.text) for chunk in chunks if chunk.text
        )

    def end(self, answer: Answer) -> bytes:
        return _event(b"done", answered(answer, self._exchange.journey, self._exchange.record))

    def failed(self, failure: CascadeFailed) -> bytes:
        return _event(b"error", failed(failure, self._exchange.journey, self._exchange.record))


def _event(name: bytes, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, orjson.dumps(data))


def chat_request(body: QueryBody) -> ChatRequest:
    messages = [] if body.system is None else [Message("system", body.system)]
    messages.append(Message("user", body.prompt))
    return ChatRequest(tuple(messages), max_tokens=body.max_tokens, temperature=body.temperature)


def path(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [
        {
            "provider": attempt.service,
            "model": attempt.model,
            "status": attempt.status,
            "reason": attempt.reason,
            "latency_ms": int(attempt.latency_s * 1000),
        }
        for attempt in attempts
    ]


def answered(answer: Answer, journey: Journey, record: Record) -> dict[str, Any]:
    """The body of a success."""
    return {
        "response": answer.completion.text,
        "provider": answer.target.service,
        "model": answer.completion.model,
        "latency_ms": _elapsed_ms(record),
        "status": "success",
        "error": None,
        "cascade_path": path(journey.attempts),
        "cost_estimate_usd": None if answer.cost_usd is None else float(answer.cost_usd),
        "usage": usage(answer.completion.usage),
        "request_id": record.request_id,
    }


def failed(failure: CascadeFailed, journey: Journey, record: Record) -> dict[str, Any]:
    """The body when every provider failed."""
    return {
        "response": None,
        "provider": None,
        "model": None,
        "latency_ms": _elapsed_ms(record),
        "status": "error",
        "error": message_of(failure),
        "cascade_path": path(journey.attempts),
        "cost_estimate_usd": None,
        "usage": None,
        "request_id": record.request_id,
    }


def usage(counted: Usage | None) -> dict[str, int] | None:
    if counted is None:
        return None
    return {
        "prompt_tokens": counted.input_tokens,
        "completion_tokens": counted.output_tokens,
        "total_tokens": counted.total_tokens,
    }


def _elapsed_ms(record: Record) -> int:
    return int((time.perf_counter() - record.started) * 1000)
