"""
One request for a model's answer, whatever API it came in: routed, asked, accounted for, written back.

What is the same for every API stands here; how one API asks and answers is its `Surface`.
"""

import math
import re
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol, TypeVar

import orjson
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.estimate import chat_usage, estimate, prompt_tokens, text_tokens
from gateway.explain import explain, wants_explanation
from gateway.live import LiveConfig
from gateway.live_policies import LivePolicies
from gateway.output_guard import AnswerCheck, AnswerRefused
from gateway.permitted import plan_for
from gateway.restoring import Restoring
from middleware.claim import Estimate
from middleware.input_guard import MASKED, SENT
from middleware.record import RECORD, Decision, Record, Served
from middleware.refusal import Code, Refusal, screened
from middleware.scope import PROMPT, Prompt
from providers.base import Target
from providers.breaker import Breakers
from providers.cascade import Answer, Cascade, CascadeFailed, Journey
from providers.chat import FITS, ChatRequest, Chunk, Completion, Usage
from providers.errors import ContentBlocked
from providers.routing import Wish

_UNSAFE = re.compile(r"[^\x21-\x7e]")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MAX_DROPPED = 20
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a request comes to. `dropped` are fields that the surface itself cannot hand on, in the caller's names.

    `model` None: each service's default. `service`: the only one that may be asked. `names`: what this API calls fields
    of OpenAI's chat, where it has other names.
    """

    request: ChatRequest
    model: str | None
    stream: bool
    service: str | None = None
    dropped: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def named(self, fields: Sequence[str]) -> tuple[str, ...]:
        """Fields of OpenAI's chat in this API's words; those it does not know were sent under that name."""
        unknown = self.request.unknown
        return tuple(name if name in unknown else self.names.get(name, name) for name in fields)


@dataclass(slots=True)
class Exchange:
    """The request on its way. `prompt` as the caller sent it, before it was masked; `created` in Unix seconds."""

    asked: Asked
    prompt: Prompt
    record: Record
    targets: Sequence[Target]
    journey: Journey = field(default_factory=Journey)
    created: int = field(default_factory=lambda: int(time.time()))


P_contra = TypeVar("P_contra", bound=Prompt, contravariant=True)


class StreamWriter(Protocol):
    """Writes one stream, as bytes ready to be sent; an empty string where there is nothing to say."""

    def chunks(self, chunks: Sequence[Chunk], target: Target) -> bytes:
        """Chunks that came together. `target` is the one that is answering."""
        ...

    def end(self, answer: Answer) -> bytes: ...

    def failed(self, failure: CascadeFailed) -> bytes:
        """The stream broke and could not be rescued."""
        ...


class Surface(Protocol[P_contra]):
    """
    One API's way to ask and to answer. Holds nothing of a request.

    `withheld_is_answer`: a provider's refusal is an answer that says so, as this API's clients expect; else an error.
    `shows_thoughts`: what a model thinks before it answers is part of this API's stream.
    """

    withheld_is_answer: bool
    shows_thoughts: bool

    def asked(self, prompt: P_contra) -> Asked:
        """Raises `UnsupportedField` for what no target could be asked through this API."""
        ...

    def whole(self, answer: Answer, exchange: Exchange) -> object:
        """The body of a success, ready for JSON."""
        ...

    def stream(self, exchange: Exchange) -> StreamWriter: ...

    def failed(self, failure: CascadeFailed, exchange: Exchange) -> object | None:
        """The body when every provider failed; None: the dialect's own error."""
        ...


class UnsupportedField(ValueError):
    """A field asks for what cannot be had here. The message is for the caller."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class ChatEndpoint:
    """
    Reads PROMPT, MASKED, SENT and RECORD; nothing is sent before the first token of some target.

    `X-Gateway-Explain: 1` from an admin's key answers with what would be asked, and asks nobody.
    """

    def __init__(
        self, surface: Surface[Any], *, cascade: Cascade, live: LiveConfig, breakers: Breakers, policies: LivePolicies
    ) -> None:
        self.surface = surface
        self.policies = policies
        self.cascade = cascade
        self.live = live
        self.breakers = breakers

    def estimate(self, scope: Scope) -> Estimate:
        """What the request may come to, for whoever must reserve it."""
        try:
            asked = self.surface.asked(PROMPT.require(scope))
        except UnsupportedField:
            return Estimate(0, 0)  # it will be refused
        routing = self.live.current
        targets = routing.router.standing_for(asked.model, asked.service)
        return estimate(routing, targets, [chat_usage(asked.request)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prompt = PROMPT.require(scope)
        try:
            asked = self.surface.asked(prompt)
        except UnsupportedField as error:
            await unsupported(error.param, str(error))(scope, receive, send)
            return
        routing = self.live.current
        wish = Wish(asked.model, asked.service, asked.request, session_of(scope))
        plan = plan_for(scope, routing.router, wish)
        if isinstance(plan, Refusal):
            await plan(scope, receive, send)
            return
        record = RECORD.require(scope)
        if wants_explanation(scope):
            record.decisions.append(Decision("output", "pass"))  # no model says anything
            await explain(scope, asked.model, plan, self.breakers)(scope, receive, send)
            return
        targets: Sequence[Target] = plan.targets
        if routing.unsupported == "refuse":
            targets = [target for target in plan.targets if not dropped_fields(asked, target)]
        if not targets:
            found = undoable(dropped_fields(asked, plan.targets[0])) if plan.targets else None
            refusal = found or no_target(asked.named(plan.unsupported))
            await refusal(scope, receive, send)
            return
        exchange = Exchange(asked, SENT.get(scope) or prompt, record, targets)
        masked = MASKED.get(scope)
        restoring = Restoring(masked, json=asked.request.output is not None) if masked else None
        check = self.policies.output(scope).check(asked.request, record, masked, thoughts=self.surface.shows_thoughts)
        try:
            await (self._stream if asked.stream else self._whole)(exchange, check, restoring, scope, receive, send)
        except ClientLeft:
            record.status = 499
        finally:
            account(record, exchange.journey)
            if not record.served:
                record.unheard = self._unheard(exchange)

    def _unheard(self, exchange: Exchange) -> Served | None:
        """
        What a stream used that did not come to its end: as far as its provider had said, else estimated.

        Or else whoever leaves before the last word would have the rest for nothing.
        """
        begun = exchange.journey.begun
        if begun is None:
            return None
        told = begun.usage or Usage(prompt_tokens(exchange.asked.request), 0)
        used = replace(told, output_tokens=max(told.output_tokens, text_tokens(begun.text)))
        target = begun.target
        cost = self.cascade.cost_usd(target, target.model, used)
        return Served(target.service, target.model, used.input_tokens, used.output_tokens, cost)

    async def _whole(
        self,
        exchange: Exchange,
        check: AnswerCheck | None,
        restoring: Restoring | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        journey, record = exchange.journey, exchange.record
        try:
            async with while_client_stays(receive):
                answer = await self.cascade.complete(exchange.asked.request, exchange.targets, journey)
            account(record, journey, answer)
            if check is not None:
                answer = await check.answer(answer)
        except CascadeFailed as failure:
            withheld = self._withheld(failure, exchange)
            if withheld is None:
                await self._refuse(failure, exchange, scope, receive, send)
                return
            answer = withheld
            if check is not None:
                check.nothing_more()
        if restoring is not None:
            answer = restoring.answer(answer)
        payload = orjson.dumps(self.surface.whole(answer, exchange))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(payload)),
            *answer_headers(answer.target.service, answer.completion.model, journey),
            *dropped_header(dropped_fields(exchange.asked, answer.target)),
            *cost_header(answer.cost_usd),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _stream(
        self,
        exchange: Exchange,
        check: AnswerCheck | None,
        restoring: Restoring | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        journey, record = exchange.journey, exchange.record
        writer = self.surface.stream(exchange)
        started = False

        async def write(data: bytes, target: Target) -> None:
            nonlocal started
            if not data:
                return
            if not started:
                started = True
                account(record, journey)
                headers = [
                    *_STREAM_HEADERS,
                    *answer_headers(target.service, target.model, journey),
                    *dropped_header(dropped_fields(exchange.asked, target)),
                ]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": data, "more_body": True})

        refused: AnswerRefused | None = None
        try:
            async with (
                while_client_stays(receive),
                aclosing(self._groups(exchange)) as groups,
            ):
                async for group in groups:
                    try:
                        if isinstance(group, Answer):
                            account(record, journey, group)
                            await write(await _ending(group, writer, check, restoring), group.target)
                            continue
                        target = journey.current
                        if target is None:
                            raise RuntimeError("a stream goes on without a target")
                        if check is not None:
                            group = await check.chunks(group)
                        if restoring is not None:
                            group = restoring.chunks(group)
                        await write(writer.chunks(group, target), target)
                    except AnswerRefused as failure:
                        refused = failure
                        break  # nobody gets the rest: the call ends here, and what it has used is estimated
        except CascadeFailed as failure:
            withheld = self._withheld(failure, exchange)
            if withheld is not None:
                if check is not None:
                    check.nothing_more()
                await write(writer.end(withheld), withheld.target)
            elif not started:
                await self._refuse(failure, exchange, scope, receive, send)
                return
            else:
                account(record, journey)
                if check is not None:
                    check.nothing_more()
                await send({"type": "http.response.body", "body": writer.failed(failure), "more_body": True})
        if refused is not None:
            if not started:
                await self._refuse(refused, exchange, scope, receive, send)
                return
            await send({"type": "http.response.body", "body": writer.failed(refused), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _groups(self, exchange: Exchange) -> AsyncGenerator[Sequence[Chunk] | Answer]:
        return self.cascade.stream(
            exchange.asked.request, exchange.targets, exchange.journey, thoughts=self.surface.shows_thoughts
        )

    def _withheld(self, failure: CascadeFailed, exchange: Exchange) -> Answer | None:
        """Account for an answer that a provider withheld; return one that says so where the API has such answers."""
        error = failure.error
        if not isinstance(error, ContentBlocked):
            return None
        last = next(a for a in reversed(exchange.journey.attempts) if a.reason == error.reason)
        target = next(t for t in exchange.targets if (t.service, t.model) == (last.service, last.asked))
        cost = None if error.usage is None else self.cascade.cost_usd(target, target.model, error.usage)
        withheld = Completion("", last.model, "content_filter", error.usage, withheld=error.message)
        answer = Answer(target, withheld, cost)
        if error.usage is not None:  # it was paid for
            account(exchange.record, exchange.journey, answer)
        return answer if self.surface.withheld_is_answer else None

    async def _refuse(
        self, failure: CascadeFailed, exchange: Exchange, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer for a cascade that gave nothing, before anything was sent."""
        account(exchange.record, exchange.journey)
        refusal = refusal_of(failure, exchange.journey)
        await replace(refusal, written=self.surface.failed(failure, exchange))(scope, receive, send)


async def _ending(
    answer: Answer, writer: StreamWriter, check: AnswerCheck | None, restoring: Restoring | None
) -> bytes:
    """The last frames of a stream: what was held back, and its end."""
    rest: Sequence[Chunk] = ()
    if check is not None:
        rest, answer = await check.close(answer)
    if restoring is not None:
        rest = [*restoring.chunks(rest), *restoring.close()]
        answer = restoring.answer(answer)
    return (writer.chunks(rest, answer.target) if rest else b"") + writer.end(answer)


# What the caller is told


NO_SUCH_MODEL = Refusal(404, "model_not_found", "no service has this model", param="model")

_FAILED: Mapping[str, tuple[int, Code, str]] = {
    "rate_limited": (429, "rate_limited", "every provider is rate limited"),
    "quota_exhausted": (429, "insufficient_quota", "the quota at every provider is spent"),
    "unavailable": (503, "unavailable", "no provider is available now"),
    "timeout": (504, "timeout", "every provider timed out"),
    "broken": (502, "upstream_error", "every provider failed"),
}


def message_of(failure: CascadeFailed) -> str:
    """One sentence for the caller."""
    found = _FAILED.get(failure.kind)
    return reason_of(failure) if found is None else found[2]


def refusal_of(failure: CascadeFailed, journey: Journey | None = None) -> Refusal:
    """The error that says why nobody answered, and, in a header, after how many calls."""
    headers = {} if journey is None else {"X-Gateway-Attempts": str(calls(journey))}
    if isinstance(failure, AnswerRefused):
        return replace(failure.refusal, headers={**failure.refusal.headers, **headers})
    if failure.kind == "not_found":
        return replace(NO_SUCH_MODEL, headers=headers)
    if failure.kind == "rejected":
        return replace(_rejected(failure), headers=headers)
    status, code, message = _FAILED[failure.kind]
    if status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after_s or 1)))
    return Refusal(status, code, message, headers)


def _rejected(failure: CascadeFailed) -> Refusal:
    """A provider refused what the request says: its reason reaches the caller."""
    error = failure.error
    reason, message = (failure.kind, failure.kind) if error is None else (error.reason, error.message)
    if reason == "content_policy_violation":
        return screened("content_policy_violation", message)
    codes: Mapping[str, Code] = {
        "context_length_exceeded": "context_length_exceeded",
        "unsupported_parameter": "unsupported_parameter",
    }
    return Refusal(422, codes.get(reason, "bad_request"), message)


def reason_of(failure: CascadeFailed) -> str:
    if isinstance(failure, AnswerRefused):
        return f"{failure.refusal.code}: {failure.refusal.message}"
    error = failure.error
    if error is None:
        return failure.kind
    return error.reason if error.message == error.reason else f"{error.reason}: {error.message}"


def no_target(unsupported_fields: Sequence[str]) -> Refusal:
    """Nobody has the model, or nobody who has it can do what is asked."""
    if not unsupported_fields:
        return NO_SUCH_MODEL
    field = unsupported_fields[0]
    return unsupported(field, f"no service that has this model can do what '{field}' asks for")


def undoable(dropped: Sequence[str]) -> Refusal:
    """Under `unsupported: refuse`, the error when every target would drop some field: those of the first are given."""
    name = dropped[0]
    return unsupported(name, f"'{name}' is not supported by the service that has this model")


def unsupported(param: str, message: str) -> Refusal:
    return Refusal(422, "unsupported_parameter", message, param=param)


# Accounts


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


# Headers


def answer_headers(service: str, model: str, journey: Journey) -> list[tuple[bytes, bytes]]:
    """Names come from the operator and from upstream: what is not printable ASCII never reaches a header."""
    return [
        (b"x-gateway-provider", service.encode("ascii")),
        (b"x-gateway-model", _UNSAFE.sub("?", model)[:128].encode("ascii")),
        (b"x-gateway-attempts", b"%d" % calls(journey)),
        (b"x-gateway-cache", b"off"),
    ]


def cost_header(cost_usd: Decimal | None) -> list[tuple[bytes, bytes]]:
    return [] if cost_usd is None else [(b"x-gateway-cost-usd", f"{cost_usd:f}".encode())]


def dropped_fields(asked: Asked, target: Target) -> tuple[str, ...]:
    fit = target.adapter.fit(asked.request, target)
    return asked.dropped if fit is FITS else (*asked.dropped, *asked.named(fit.dropped))


def dropped_header(names: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """What the caller sent and the target was not given. Names of unknown fields are the caller's: plain ones only."""
    plain = [name if _FIELD_NAME.fullmatch(name) else "?" for name in islice(names, _MAX_DROPPED)]
    return [(b"x-gateway-dropped", ", ".join(dict.fromkeys(plain)).encode("ascii"))] if plain else []


def calls(journey: Journey) -> int:
    """Calls made, the running one included."""
    made = sum(attempt.status != "skipped" for attempt in journey.attempts)
    return made + (journey.current is not None)


def session_of(scope: Scope) -> str | None:
    """What the caller says belongs together; only ever hashed."""
    for name, value in scope["headers"]:
        if name == b"x-gateway-session":
            text: str = value.decode("latin-1")
            return text[:256] or None
    return None
