"""
Ask targets in order until one answers.

One walk serves whole and streamed answers: `_Walk.next()` says whom to ask now, or None when there is nobody left. What
moves on, what is asked again and what ends the walk is read from the class of the error, never from a vendor.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from providers.base import ChatRequest, Chunk, Completion, FinishReason, Message, Target, Usage
from providers.breaker import Breakers, Denied, Permit
from providers.client import ByteStream, Client
from providers.errors import (
    BadCredentials,
    ContextLengthExceeded,
    MalformedReply,
    ModelNotFound,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    StreamBroken,
    TimedOut,
    UnsupportedParameter,
)
from providers.sse import EventParser, EventTooLarge

log = logging.getLogger(__name__)

BACKOFF_S = (0.05, 0.15)
"""Range of the pause before the same target is asked again: long enough for a restarting socket, short for a person."""

Price = Callable[[str | None, str, Usage], Decimal | None]
"""`(prices_id, model, usage)` to USD, None when no list price is known."""

FailureKind = Literal["rejected", "not_found", "rate_limited", "unavailable", "timeout", "broken"]


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """
    Times in seconds. `retry_after_max_wait_s` None: 0 while another target can answer, 3 when none can.

    `recovery` is what happens when a stream breaks after its first token: see `Cascade.stream`.
    """

    request_timeout_s: float = 60.0
    first_token_timeout_s: float = 20.0
    idle_timeout_s: float = 30.0
    total_timeout_s: float = 120.0
    max_retries: int = 1
    retry_after_max_wait_s: float | None = None
    recovery: Literal["splice", "continue", "off"] = "splice"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of `cascade_path`. `reason` is None on success, else a word of a closed set."""

    service: str
    model: str
    status: Literal["success", "failed", "timeout", "skipped"]
    reason: str | None
    latency_s: float


@dataclass(slots=True)
class Journey:
    """What the walk did so far; readable at any moment, also after a failure or a cancelled caller."""

    attempts: list[Attempt] = field(default_factory=list)
    current: Target | None = None
    """The target being asked right now."""
    current_since: float = 0.0
    finished_s: float = 0.0
    first_token_at: float | None = None
    """`time.perf_counter()` of the first token of a stream."""
    skipped_events: int = 0

    @property
    def upstream_s(self) -> float:
        """Seconds spent on calls, the running one included."""
        running = time.perf_counter() - self.current_since if self.current is not None else 0.0
        return self.finished_s + running


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer and whose it is. `cost_usd` is the provider's own charge, else its list price, else None."""

    target: Target
    completion: Completion
    cost_usd: Decimal | None


class CascadeFailed(Exception):
    """No target answered. `error` is the one the kind was read from, None when none was asked."""

    def __init__(self, kind: FailureKind, error: ProviderError | None, retry_after_s: float | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.error = error
        self.retry_after_s = retry_after_s


class Cascade:
    """Holds what is shared by all requests: client, breakers, limits of time."""

    def __init__(self, client: Client, breakers: Breakers, *, price: Price, settings: CascadeSettings) -> None:
        self._client = client
        self._breakers = breakers
        self._price = price
        self._settings = settings

    async def complete(self, request: ChatRequest, targets: Sequence[Target], journey: Journey) -> Answer:
        """The first whole answer. Raises `CascadeFailed`."""
        walk = _Walk(self._breakers, self._settings, targets, journey)
        while turn := await walk.next():
            with turn:
                completion = await self._ask(request, turn)
                answer = self._answer(turn.target, completion)
                turn.succeeded(completion.model)
                return answer
        raise walk.failure()

    async def stream(
        self, request: ChatRequest, targets: Sequence[Target], journey: Journey
    ) -> AsyncGenerator[str | Answer]:
        """
        Yield pieces of text as they come, at last the `Answer` they make.

        Raises `CascadeFailed`: before the first piece nobody could answer, after it the stream could not be rescued.
        A broken stream is rescued by `splice`: the next target is asked for the whole answer, and where that begins
        with exactly what was sent, it goes on from there. `continue` also lets targets that declare `prefill` go on
        from the sent text. Nothing else would be an honest answer. Close the generator (`aclosing`) to end the calls.
        """
        walk = _Walk(self._breakers, self._settings, targets, journey)
        sent = ""
        while turn := await walk.next():
            with turn:
                prefix, asked = sent, request
                if sent and self._settings.recovery == "continue" and turn.target.prefill:
                    asked = replace(request, messages=(*request.messages, _assistant(sent)))
                    prefix = ""
                held = ""
                whole = _Whole(turn.target.model)
                async with aclosing(self._chunks(asked, turn, whole)) as pieces:
                    async for piece in pieces:
                        held += piece
                        if prefix:
                            if len(held) < len(prefix) and prefix.startswith(held):
                                continue
                            if not held.startswith(prefix):
                                raise StreamBroken("the next provider's answer differs from what was sent")
                            held, prefix = held[len(prefix) :], ""
                        if held:
                            if journey.first_token_at is None:
                                journey.first_token_at = time.perf_counter()
                            sent += held
                            yield held
                            held = ""
                if prefix:
                    raise StreamBroken("the next provider's answer is shorter than what was sent")
                completion = replace(whole.completion(), text=sent)
                answer = self._answer(turn.target, completion)
                turn.succeeded(completion.model)
                yield answer
                return
            if sent and self._settings.recovery == "off":
                break
        raise walk.failure()

    async def _ask(self, request: ChatRequest, turn: "_Turn") -> Completion:
        target = turn.target
        adapter = target.adapter
        limit_s = target.timeout_s or self._settings.request_timeout_s
        try:
            async with asyncio.timeout(min(limit_s, turn.remaining_s)):
                reply = await self._client.send(adapter.encode(request, target, stream=False))
        except TimeoutError:
            raise TimedOut("request") from None
        if reply.status != 200:
            raise adapter.decode_error(reply)
        completion = adapter.decode(reply)
        return completion if completion.model else replace(completion, model=target.model)

    async def _chunks(self, request: ChatRequest, turn: "_Turn", whole: "_Whole") -> AsyncGenerator[str]:
        """Text pieces of one target's stream. Ends only after a finish reason; else raises `ProviderError`."""
        target, settings = turn.target, self._settings
        loop = asyncio.get_running_loop()
        overall = loop.time() + turn.remaining_s
        deadline = min(overall, loop.time() + settings.first_token_timeout_s)
        phase: Literal["first_token", "idle"] = "first_token"
        try:
            async with asyncio.timeout_at(deadline):
                connection = self._client.stream(target.adapter.encode(request, target, stream=True))
                stream = await connection.__aenter__()
        except TimeoutError:
            raise TimedOut("first_token") from None
        try:
            await _expect_events(stream, target, deadline)
            parser, decoder = EventParser(), target.adapter.decoder()
            ended = False
            while not ended:
                try:
                    async with asyncio.timeout_at(deadline):
                        data = await stream.read()
                    events = parser.feed(data) if data else parser.close()
                except TimeoutError:
                    if whole.finish_reason is not None:
                        break
                    raise TimedOut("total" if deadline == overall else phase) from None
                except StreamBroken:
                    if whole.finish_reason is not None:
                        break
                    raise
                except EventTooLarge as error:
                    raise MalformedReply("an event of the stream is larger than 1 MiB") from error
                ended = not data
                for event in events:
                    try:
                        chunk = decoder.feed(event)
                    except ValueError:
                        turn.journey.skipped_events += 1
                        continue
                    if chunk is None:
                        continue
                    whole.add(chunk)
                    if chunk.end:
                        ended = True
                        break
                    if chunk.text:
                        phase = "idle"
                        yield chunk.text
                        deadline = min(overall, loop.time() + settings.idle_timeout_s)
                if whole.finish_reason is not None and not ended:
                    # The answer is whole; only usage or the end mark may follow, and they are not worth a long wait.
                    deadline = min(deadline, loop.time() + 1.0)
            if whole.finish_reason is None:
                raise StreamBroken("the stream ended before the answer did")
            if not whole.text:
                raise MalformedReply("the answer is empty")
        finally:
            await connection.__aexit__(None, None, None)

    def _answer(self, target: Target, completion: Completion) -> Answer:
        cost = completion.cost_usd
        if cost is None and completion.usage is not None:
            cost = self._price(target.prices_id, completion.model, completion.usage)
            if cost is None and completion.model != target.model:
                cost = self._price(target.prices_id, target.model, completion.usage)
        return Answer(target, completion, cost)


async def _expect_events(stream: ByteStream, target: Target, deadline: float) -> None:
    """Raise what a reply that is not an event stream means."""
    head = stream.reply
    if head.status == 200 and head.headers.get("content-type", "text/event-stream").startswith("text/event-stream"):
        return
    try:
        async with asyncio.timeout_at(deadline):
            reply = await stream.read_all()
    except TimeoutError:
        raise TimedOut("first_token") from None
    if reply.status != 200:
        raise target.adapter.decode_error(reply)
    target.adapter.decode(reply)  # names an error that came with status 200
    raise MalformedReply("a stream was asked for and something else came")


class _Whole:
    """Gathers the chunks of one stream into a completion."""

    __slots__ = ("cost_usd", "finish_reason", "model", "parts", "usage")

    def __init__(self, model: str) -> None:
        self.model = model
        self.parts: list[str] = []
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.cost_usd: Decimal | None = None

    def add(self, chunk: Chunk) -> None:
        if chunk.text:
            self.parts.append(chunk.text)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
        if chunk.model:
            self.model = chunk.model
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.cost_usd is not None:
            self.cost_usd = chunk.cost_usd

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def completion(self) -> Completion:
        return Completion(self.text, self.model, self.finish_reason or "stop", self.usage, self.cost_usd)


class _Turn:
    """
    One call to one target.

    As a context it takes a `ProviderError` as the result of the call and lets the walk go on; any other exception, a
    cancelled caller above all, passes through and counts as nothing.
    """

    __slots__ = ("_done", "_permit", "_walk", "error", "journey", "remaining_s", "retries", "target")

    def __init__(self, walk: "_Walk", target: Target, permit: Permit, retries: int, remaining_s: float) -> None:
        self._walk = walk
        self._permit = permit
        self._done = False
        self.target = target
        self.journey = walk.journey
        self.retries = retries
        self.remaining_s = remaining_s
        self.error: ProviderError | None = None

    def succeeded(self, model: str) -> None:
        self._done = True
        self._walk.breakers.succeeded(self._permit)
        self._note("success", None, model)

    def __enter__(self) -> None:
        self.journey.current = self.target
        self.journey.current_since = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if self._done:
            return False
        if not isinstance(error, ProviderError):
            self._walk.breakers.abandoned(self._permit)
            self._note("failed", "cancelled", self.target.model)
            return False
        if self.target.api_key is not None:
            # The provider's own sentence may reach the caller; some quote the key they were given.
            error.message = error.message.replace(self.target.api_key.get_secret_value(), "[key]")
        self.error = error
        self._walk.errors.append(error)
        self._walk.breakers.failed(self._permit, error)
        self._note(error.status, error.reason, self.target.model)
        level = logging.ERROR if isinstance(error, BadCredentials | QuotaExhausted) else logging.INFO
        log.log(level, "provider attempt failed: service=%s reason=%s", self.target.service, error.reason)
        return True

    def _note(self, status: Literal["success", "failed", "timeout"], reason: str | None, model: str) -> None:
        latency_s = time.perf_counter() - self.journey.current_since
        self.journey.finished_s += latency_s
        self.journey.current = None
        self.journey.attempts.append(Attempt(self.target.service, model, status, reason, latency_s))


class _Walk:
    """The order of calls for one request."""

    def __init__(
        self, breakers: Breakers, settings: CascadeSettings, targets: Sequence[Target], journey: Journey
    ) -> None:
        self.breakers = breakers
        self.journey = journey
        self._settings = settings
        self._targets = targets
        self._next = 0
        self._turn: _Turn | None = None
        self.errors: list[ProviderError] = []
        self._denied: list[Denied] = []
        self._waited = False
        self._deadline = time.monotonic() + settings.total_timeout_s

    async def next(self) -> _Turn | None:
        """Whom to ask now; waits where waiting is right. None: the walk is over."""
        last = self._turn
        if last is not None and last.error is not None:
            if not last.error.try_next:
                return None
            turn = await self._again(last)
            if turn is not None:
                self._turn = turn
                return turn
        while self._next < len(self._targets):
            target = self._targets[self._next]
            self._next += 1
            turn = await self._admit(target, retries=0)
            if turn is not None:
                self._turn = turn
                return turn
            if self._remaining_s() <= 0:
                return None
        self._turn = await self._wait_out()
        return self._turn

    async def _again(self, last: _Turn) -> _Turn | None:
        """The same target once more, for a fault that looks passing."""
        allowed = self._settings.max_retries if last.target.max_retries is None else last.target.max_retries
        if last.error is None or not last.error.retry_same or last.retries >= allowed:
            return None
        if self.journey.first_token_at is not None:
            return None  # it had begun to answer and broke off: another one is likelier to finish
        await asyncio.sleep(random.uniform(*BACKOFF_S))  # noqa: S311 (jitter)
        return await self._admit(last.target, retries=last.retries + 1, note=False)

    async def _admit(self, target: Target, *, retries: int, note: bool = True) -> _Turn | None:
        remaining_s = self._remaining_s()
        if remaining_s <= 0:
            self.errors.append(TimedOut("total"))
            return None
        wait_s = self._settings.retry_after_max_wait_s
        admission = await self.breakers.admit(target)
        if (
            isinstance(admission, Denied)
            and admission.reason == "rate_limited"
            and wait_s is not None
            and admission.retry_after_s <= min(wait_s, remaining_s)
        ):
            # The operator prefers a short wait for this target over the next one.
            await asyncio.sleep(admission.retry_after_s)
            admission = await self.breakers.admit(target)
            remaining_s = self._remaining_s()
        if isinstance(admission, Permit):
            return _Turn(self, target, admission, retries, remaining_s)
        if note:
            self._denied.append(admission)
            self.journey.attempts.append(Attempt(target.service, target.model, "skipped", admission.reason, 0.0))
        return None

    async def _wait_out(self) -> _Turn | None:
        """Nobody else can answer: wait, once, for the target whose Retry-After ends soonest."""
        limit_s = 3.0 if self._settings.retry_after_max_wait_s is None else self._settings.retry_after_max_wait_s
        if self._waited or limit_s <= 0:
            return None
        self._waited = True
        waits = [(self.breakers.aside_s(target.service), target) for target in self._targets]
        due = min((wait for wait in waits if wait[0] > 0), key=lambda wait: wait[0], default=None)
        if due is None or due[0] > min(limit_s, self._remaining_s()):
            return None
        await asyncio.sleep(due[0])
        return await self._admit(due[1], retries=0)

    def _remaining_s(self) -> float:
        return self._deadline - time.monotonic()

    def failure(self) -> CascadeFailed:
        """What the caller is told, from everything that happened."""
        errors = self.errors
        if self.journey.first_token_at is not None:
            # A stream broke: what broke it counts, not what a rescue ran into.
            return CascadeFailed("broken" if errors[0].try_next else "rejected", errors[0], None)
        final = next((error for error in errors if not error.try_next), None)
        if final is not None:
            return CascadeFailed("rejected", final, None)
        waits = [error.retry_after_s for error in errors if isinstance(error, RateLimited) and error.retry_after_s]
        waits += [denied.retry_after_s for denied in self._denied]
        retry_after_s = min(waits, default=None)
        limited = all(isinstance(error, RateLimited) for error in errors) and all(
            denied.reason in ("rate_limited", "quota_exhausted") for denied in self._denied
        )
        if limited and (errors or self._denied):
            return CascadeFailed("rate_limited", errors[0] if errors else None, retry_after_s)
        if not errors:
            return CascadeFailed("unavailable", None, retry_after_s)
        kinds: tuple[tuple[FailureKind, tuple[type[ProviderError], ...]], ...] = (
            ("not_found", (ModelNotFound,)),
            ("rejected", (ContextLengthExceeded, UnsupportedParameter, RejectedRequest)),
            ("timeout", (TimedOut,)),
        )
        for kind, classes in kinds:
            if all(isinstance(error, classes) for error in errors):
                return CascadeFailed(kind, errors[0], retry_after_s)
        return CascadeFailed("broken", errors[-1], retry_after_s)


def _assistant(text: str) -> Message:
    return Message("assistant", text)
