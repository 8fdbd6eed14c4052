"""`POST /query`: a prompt in, an answer out, through the cascade; whole or streamed."""

import math
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.schema import QueryBody
from middleware.guard.restore import Restorer
from middleware.input_guard import MASKED
from middleware.record import RECORD, Record, Served
from middleware.refusal import Refusal, screened
from middleware.scope import PROMPT
from providers.base import ChatRequest, Message, Target, Usage
from providers.cascade import Answer, Attempt, Cascade, CascadeFailed, Journey
from providers.routing import Router

_STATUS = {"rate_limited": 429, "unavailable": 503, "timeout": 504, "broken": 502}
_MESSAGE = {
    "rate_limited": "every provider is rate limited",
    "unavailable": "no provider is available now",
    "timeout": "every provider timed out",
    "broken": "every provider failed",
}
_UNSAFE = re.compile(r"[^\x21-\x7e]")
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on its way through the endpoint."""

    body: QueryBody
    targets: Sequence[Target]
    journey: Journey
    record: Record
    masked: Mapping[str, str]
    scope: Scope
    receive: Receive
    send: Send


class Query:
    """Reads PROMPT (a `QueryBody`), MASKED and RECORD; nothing is sent before the first token of some target."""

    def __init__(self, cascade: Cascade, router: Router) -> None:
        self.cascade = cascade
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        if not isinstance(body, QueryBody):
            raise TypeError("the route of Query must parse a QueryBody")
        targets = self.router.targets(body.model, body.provider)
        if not targets:
            await NO_SUCH_MODEL(scope, receive, send)
            return
        record = RECORD.require(scope)
        exchange = Exchange(body, targets, Journey(), record, MASKED.get(scope) or {}, scope, receive, send)
        try:
            await (self._stream if body.stream else self._whole)(exchange)
        except ClientLeft:
            record.status = 499
        finally:
            account(record, exchange.journey)

    async def _whole(self, exchange: Exchange) -> None:
        journey, record = exchange.journey, exchange.record
        try:
            async with while_client_stays(exchange.receive):
                answer = await self.cascade.complete(chat_request(exchange.body), exchange.targets, journey)
        except CascadeFailed as failure:
            await refuse(failure, exchange)
            return
        account(record, journey, answer)
        text = Restorer(exchange.masked).restore(answer.completion.text)
        payload = orjson.dumps(answered(answer, text, journey, record))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(payload)),
            *answer_headers(answer.target.service, answer.completion.model, journey),
        ]
        if answer.cost_usd is not None:
            headers.append((b"x-gateway-cost-usd", f"{answer.cost_usd:f}".encode()))
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": payload})

    async def _stream(self, exchange: Exchange) -> None:
        journey, record, send = exchange.journey, exchange.record, exchange.send
        restorer = Restorer(exchange.masked)
        started = False

        async def send_event(name: str, data: dict[str, Any]) -> None:
            event = b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
            await send({"type": "http.response.body", "body": event, "more_body": True})

        async def send_token(text: str) -> None:
            if text:
                await send_event("token", {"text": text})

        try:
            async with (
                while_client_stays(exchange.receive),
                aclosing(self.cascade.stream(chat_request(exchange.body), exchange.targets, journey)) as pieces,
            ):
                async for piece in pieces:
                    if isinstance(piece, Answer):
                        account(record, journey, piece)
                        await send_token(restorer.close())
                        text = restorer.restore(piece.completion.text)
                        await send_event("done", answered(piece, text, journey, record))
                        continue
                    if not started:
                        started = True
                        account(record, journey)
                        headers = [*_STREAM_HEADERS, *_leading_headers(journey)]
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send_token(restorer.feed(piece))
        except CascadeFailed as failure:
            if not started:
                await refuse(failure, exchange)
                return
            account(record, journey)
            await send_event("error", failed(failure, journey, record))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


NO_SUCH_MODEL = Refusal(404, "not_found", "no service has this model")


def chat_request(body: QueryBody) -> ChatRequest:
    messages = [] if body.system is None else [Message("system", body.system)]
    messages.append(Message("user", body.prompt))
    return ChatRequest(tuple(messages), max_tokens=body.max_tokens, temperature=body.temperature)


def account(record: Record, journey: Journey, answer: Answer | None = None) -> None:
    """Write what the cascade did into the record; may be called as often as there is news."""
    record.attempts = journey.attempts
    record.upstream_s = journey.upstream_s
    record.skipped_events = journey.skipped_events
    if journey.first_token_at is not None:
        record.first_token_s = journey.first_token_at - record.started
    if answer is not None:
        record.served.append(served(answer))


def served(answer: Answer) -> Served:
    """The account of one answer, under the model that was asked for: providers may name it by a dated version."""
    counted = answer.completion.usage or Usage(0, 0)
    target = answer.target
    return Served(target.service, target.model, counted.input_tokens, counted.output_tokens, answer.cost_usd)


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


def answered(answer: Answer, text: str, journey: Journey, record: Record) -> dict[str, Any]:
    """The body of a success."""
    return {
        "response": text,
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
        "error": _MESSAGE.get(failure.kind) or _reason(failure),
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


async def refuse(failure: CascadeFailed, exchange: Exchange) -> None:
    """Answer for a cascade that gave nothing, before anything was sent."""
    journey, record, send = exchange.journey, exchange.record, exchange.send
    account(record, journey)
    if failure.kind in ("not_found", "rejected"):
        refusal = NO_SUCH_MODEL if failure.kind == "not_found" else screened_by_provider(failure)
        await refusal(exchange.scope, exchange.receive, send)
        return
    payload = orjson.dumps(failed(failure, journey, record))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(payload)),
        (b"x-gateway-attempts", b"%d" % _calls(journey)),
    ]
    if failure.kind in ("rate_limited", "unavailable"):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(failure.retry_after_s or 1))))
    await send({"type": "http.response.start", "status": _STATUS[failure.kind], "headers": headers})
    await send({"type": "http.response.body", "body": payload})


def screened_by_provider(failure: CascadeFailed) -> Refusal:
    """A provider refused what the request says: its reason reaches the caller."""
    reason = failure.error.reason if failure.error is not None else ""
    if reason == "content_policy_violation":
        return screened("content_policy_violation", _reason(failure).removeprefix("content_policy_violation: "))
    return Refusal(422, "upstream_error", _reason(failure))


def _reason(failure: CascadeFailed) -> str:
    error = failure.error
    if error is None:
        return failure.kind
    return error.reason if error.message == error.reason else f"{error.reason}: {error.message}"


def answer_headers(service: str, model: str, journey: Journey) -> list[tuple[bytes, bytes]]:
    """Names come from the operator and from upstream: what is not printable ASCII never reaches a header."""
    return [
        (b"x-gateway-provider", service.encode("ascii")),
        (b"x-gateway-model", _UNSAFE.sub("?", model)[:128].encode("ascii")),
        (b"x-gateway-attempts", b"%d" % _calls(journey)),
        (b"x-gateway-cache", b"off"),
    ]


def _leading_headers(journey: Journey) -> list[tuple[bytes, bytes]]:
    """Headers of a stream: those of the target whose first token is about to go out."""
    target = journey.current
    if target is None:
        raise RuntimeError("a stream began without a target")
    return answer_headers(target.service, target.model, journey)


def _calls(journey: Journey) -> int:
    """Calls made, the running one included."""
    made = sum(attempt.status != "skipped" for attempt in journey.attempts)
    return made + (journey.current is not None)


def _elapsed_ms(record: Record) -> int:
    return int((time.perf_counter() - record.started) * 1000)
