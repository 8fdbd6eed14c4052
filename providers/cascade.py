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
from typing import Literal, Protocol, TypeVar

from providers.base import CountsTokens, Embeds, HttpReply, HttpRequest, Target
from providers.breaker import Breakers, Denied, Permit
from providers.chat import (
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    EmbeddingRequest,
    Embeddings,
    FinishReason,
    Message,
    Thinking,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from providers.client import ByteStream, Client
from providers.errors import (
    BadCredentials,
    ContentBlocked,
    ContextLengthExceeded,
    MalformedReply,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    StreamBroken,
    TimedOut,
    UnsupportedParameter,
)
from providers.fields import mapping
from providers.retry_budget import RetryBudget
from providers.sse import EventParser, EventTooLarge

log = logging.getLogger(__name__)

BACKOFF_S = (0.05, 0.15)
"""Range of the pause before the same target is asked again: long enough for a restarting socket, short for a person."""

Price = Callable[[Target, str, Usage], Decimal | None]
"""`(target, model that answered, usage)` to USD, None when no price is known."""

A = TypeVar("A")

FailureKind = Literal["rejected", "not_found", "rate_limited", "quota_exhausted", "unavailable", "timeout", "broken"]


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
    """
    One entry of `cascade_path`. `reason` is None on success, else a word of a closed set.

    `model` is the one that answered, as its provider names it; `asked` is the target's. `first_s`: seconds until the
    answer began, which of a whole one is when it came.
    """

    service: str
    model: str
    status: Literal["success", "failed", "timeout", "skipped"]
    reason: str | None
    latency_s: float
    asked: str = ""
    first_s: float | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream as far as it came: what was handed on, and what its last provider had said of its usage."""

    target: Target
    _shown: "_Shown"
    _ending: "_Ending"

    @property
    def text(self) -> str:
        return self._shown.text

    @property
    def usage(self) -> Usage | None:
        return self._ending.usage


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
    begun: "Begun | None" = None
    """The stream that has begun and did not come to its end."""

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


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors and whose they are."""

    target: Target
    embeddings: Embeddings
    cost_usd: Decimal | None


class Allowance(Protocol):
    """What the operator lets a service be asked."""

    async def take(self, target: Target) -> float:
        """Take one request from the service's allowance: 0, or the seconds until there is one again."""
        ...


class Cascade:
    """Holds what is shared by all requests: client, breakers, allowances, limits of time."""

    def __init__(
        self,
        client: Client,
        breakers: Breakers,
        *,
        price: Price,
        settings: CascadeSettings,
        allowance: Allowance | None = None,
        retry_budget: RetryBudget | None = None,
    ) -> None:
        self._client = client
        self._breakers = breakers
        self._price = price
        self._settings = settings
        self._allowance = allowance
        self._retry_budget = RetryBudget() if retry_budget is None else retry_budget

    async def complete(self, request: ChatRequest, targets: Sequence[Target], journey: Journey) -> Answer:
        """The first whole answer. Raises `CascadeFailed`."""
        walk = self._walk(targets, journey)
        while turn := await walk.next():
            with turn:
                adapter = turn.target.adapter
                call = adapter.encode(request, turn.target, stream=False)
                completion = await self._ask(call, turn, adapter.decode)
                if not completion.model:
                    completion = replace(completion, model=turn.target.model)
                answer = Answer(turn.target, completion, self._cost(turn.target, completion))
                turn.succeeded(completion.model)
                return answer
        raise walk.failure()

    async def embed(self, request: EmbeddingRequest, targets: Sequence[Target], journey: Journey) -> Embedded:
        """The first whole set of vectors; every target's adapter must be one that `Embeds`. Raises `CascadeFailed`."""
        walk = self._walk(targets, journey)
        while turn := await walk.next():
            with turn:
                adapter = turn.target.adapter
                if not isinstance(adapter, Embeds):
                    raise ModelNotFound("the provider has no embeddings")
                call = adapter.encode_embeddings(request, turn.target)
                embeddings = await self._ask(call, turn, adapter.decode_embeddings)
                if len(embeddings.vectors) != len(request.inputs):
                    raise MalformedReply("the provider's answer does not hold one vector for each input")
                if not embeddings.model:
                    embeddings = replace(embeddings, model=turn.target.model)
                embedded = Embedded(turn.target, embeddings, self._cost(turn.target, embeddings))
                turn.succeeded(embeddings.model)
                return embedded
        raise walk.failure()

    async def count_tokens(self, request: ChatRequest, targets: Sequence[Target], journey: Journey) -> int:
        """
        The tokens of a request as the first target that can tell counts them; every target's adapter must be one that
        `CountsTokens`. Raises `CascadeFailed`.
        """
        walk = self._walk(targets, journey)
        while turn := await walk.next():
            with turn:
                adapter = turn.target.adapter
                if not isinstance(adapter, CountsTokens):
                    raise ModelNotFound("the provider counts no tokens")
                tokens = await self._ask(adapter.encode_count(request, turn.target), turn, adapter.decode_count)
                turn.succeeded(turn.target.model)
                return tokens
        raise walk.failure()

    async def stream(
        self, request: ChatRequest, targets: Sequence[Target], journey: Journey, *, thoughts: bool = True
    ) -> AsyncGenerator[Sequence[Chunk] | Answer]:
        """
        Yield the chunks of the answer as they come, at last the `Answer` they make; thoughts only with `thoughts`.

        Chunks come in groups, those of one read from the network, each with something of the answer in it. Raises
        `CascadeFailed`: before the first group nobody could answer, after it the stream could not be rescued.
        A broken stream is rescued by `splice`: the next target is asked for the whole answer, and where its text begins
        with exactly what was sent, it goes on from there. `continue` also lets targets that declare `prefill` go on
        from the sent text. Nothing else would be an honest answer, and nothing can be done for an answer of which more
        than text was sent. Close the generator (`aclosing`) to end the calls.
        """
        walk = self._walk(targets, journey)
        shown = _Shown()
        spliceable = request.n == 1 and not request.options.get("logprobs")
        while turn := await walk.next():
            with turn:
                asked = request
                splice = None
                if shown.anything:
                    splice = _Splice(shown.text, refused=shown.refused)
                    # White space at the end is no good beginning for most models: what they write of it is cut.
                    begun = shown.text.rstrip()
                    if self._settings.recovery == "continue" and turn.target.prefill and begun:
                        asked = replace(request, messages=(*request.messages, Message("assistant", begun)))
                        splice = _Splice(shown.text[len(begun) :], refused=shown.refused, required=False)
                ending = _Ending(turn.target.model, request.n)
                async with aclosing(self._chunks(asked, turn, ending, thoughts=thoughts)) as groups:
                    async for group in groups:
                        chunks = group if splice is None else splice.through(group)
                        if chunks:
                            if journey.first_token_at is None:
                                journey.first_token_at = time.perf_counter()
                            for chunk in chunks:
                                shown.add(chunk)
                            if journey.begun is None or journey.begun.target is not turn.target:
                                journey.begun = Begun(turn.target, shown, ending)
                            yield chunks
                if splice is not None and not splice.done:
                    raise StreamBroken("the next provider's answer is shorter than what was sent")
                completion = shown.completion(ending)
                answer = Answer(turn.target, completion, self._cost(turn.target, completion))
                turn.succeeded(completion.model)
                journey.begun = None
                yield answer
                return
            if shown.anything and (self._settings.recovery == "off" or not spliceable or shown.more_than_text):
                break
        raise walk.failure()

    def _walk(self, targets: Sequence[Target], journey: Journey) -> "_Walk":
        return _Walk(self._breakers, self._allowance, self._retry_budget, self._settings, targets, journey)

    async def _ask(self, call: HttpRequest, turn: "_Turn", decode: Callable[[HttpReply], A]) -> A:
        """One whole call, within its limit of time, read by `decode`."""
        target = turn.target
        limit_s = target.timeout_s or self._settings.request_timeout_s
        try:
            async with asyncio.timeout(min(limit_s, turn.remaining_s)):
                reply = await self._client.send(call)
        except TimeoutError:
            raise TimedOut("request") from None
        if reply.status != 200:
            raise target.adapter.decode_error(reply)
        return decode(reply)

    async def _chunks(
        self, request: ChatRequest, turn: "_Turn", ending: "_Ending", *, thoughts: bool
    ) -> AsyncGenerator[list[Chunk]]:
        """
        Groups of one target's stream. Ends only after a finish reason; else raises `ProviderError`.

        Without `thoughts`, chunks that hold nothing else are left out; that a model thinks is a sign of life all the
        same.
        """
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
                    if ending.whole:
                        break
                    raise TimedOut("total" if deadline == overall else phase) from None
                except StreamBroken:
                    if ending.whole:
                        break
                    raise
                except EventTooLarge as error:
                    raise MalformedReply("an event of the stream is larger than 1 MiB") from error
                ended = not data
                group: list[Chunk] = []
                said = False
                failure: ProviderError | None = None
                for event in events:
                    try:
                        chunks = decoder.feed(event)
                    except ValueError:
                        turn.journey.skipped_events += 1
                        continue
                    except ProviderError as error:
                        failure = error  # after what came before it in the same read
                        break
                    for chunk in chunks:
                        ending.add(chunk)
                        ended = ended or chunk.end
                        if chunk.says:
                            said = True
                            if thoughts or chunk.text or chunk.tool_calls:
                                group.append(chunk)
                    if ended and data:
                        break
                if said:
                    if turn.first_s is None:
                        turn.first_s = time.perf_counter() - turn.journey.current_since
                    phase = "idle"
                if group:
                    yield group
                if said:
                    deadline = min(overall, loop.time() + settings.idle_timeout_s)
                if failure is not None:
                    if isinstance(failure, ContentBlocked) and failure.usage is None:
                        failure.usage = ending.usage
                    raise failure
                if ending.whole and not ended:
                    # The answer is whole; only usage or the end mark may follow, and they are not worth a long wait.
                    deadline = min(deadline, loop.time() + 1.0)
            if not ending.whole and not (ending.marked and ending.complete):
                raise StreamBroken("the stream ended before the answer did")
            if not ending.answered:
                raise MalformedReply("the answer is empty")
        finally:
            await connection.__aexit__(None, None, None)

    def cost_usd(self, target: Target, model: str, usage: Usage) -> Decimal | None:
        """The price of what `model` counted, or else of the model that was asked for; None when neither has one."""
        cost = self._price(target, model, usage)
        return self._price(target, target.model, usage) if cost is None and model != target.model else cost

    def _cost(self, target: Target, done: Completion | Embeddings) -> Decimal | None:
        if done.cost_usd is not None or done.usage is None:
            return done.cost_usd
        return self.cost_usd(target, done.model, done.usage)


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


class _Ending:
    """What one target's stream says beside its content: the model, the usage, and whether it came to its end."""

    __slots__ = ("answered", "choices", "cost_usd", "finishes", "marked", "model", "seen", "stop_sequence", "usage")

    def __init__(self, model: str, choices: int) -> None:
        self.model = model
        self.choices = choices
        self.finishes: dict[int, FinishReason] = {}
        self.stop_sequence: str | None = None
        self.usage: Usage | None = None
        self.cost_usd: Decimal | None = None
        self.answered = False
        self.marked = False
        self.seen: set[int] = set()

    def add(self, chunk: Chunk) -> None:
        if chunk.text or chunk.tool_calls:
            self.answered = True
        if chunk.choice:
            self.seen.add(chunk.choice)
        if chunk.end:
            self.marked = True
        if chunk.finish_reason is not None:
            self.finishes[chunk.choice] = chunk.finish_reason
            self.stop_sequence = chunk.stop_sequence
        if chunk.model:
            self.model = chunk.model
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.cost_usd is not None:
            self.cost_usd = chunk.cost_usd

    @property
    def whole(self) -> bool:
        return len(self.finishes) >= self.choices

    @property
    def complete(self) -> bool:
        """Every choice that began has ended: with an end mark, a server that gives fewer than asked for is done."""
        return 0 in self.finishes and self.seen <= self.finishes.keys()


class _ShownChoice:
    """What was handed on of one choice."""

    __slots__ = ("calls", "logprobs", "refused", "text", "thinking")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: dict[int, list[ToolCallPiece]] = {}
        self.thinking: list[Thinking] = []
        self.refused = False
        self.logprobs: list[object] = []

    def choice(self, finish: FinishReason, stop_sequence: str | None) -> Choice:
        return Choice(
            "".join(self.text),
            finish,
            tuple(_joined(pieces) for _, pieces in sorted(self.calls.items())),
            _thoughts(self.thinking),
            self.refused,
            _logprobs(self.logprobs),
            stop_sequence,
        )


class _Shown:
    """Gathers what was handed on, from whatever target, into a completion."""

    __slots__ = ("_choices", "anything", "more_than_text")

    def __init__(self) -> None:
        self._choices: dict[int, _ShownChoice] = {0: _ShownChoice()}
        self.anything = False
        self.more_than_text = False

    def add(self, chunk: Chunk) -> None:
        self.anything = True
        choice = self._choices.get(chunk.choice)
        if choice is None:
            choice = self._choices[chunk.choice] = _ShownChoice()
        if chunk.text:
            choice.text.append(chunk.text)
            choice.refused = choice.refused or chunk.refused
        if chunk.tool_calls:
            self.more_than_text = True
            for piece in chunk.tool_calls:
                choice.calls.setdefault(piece.index, []).append(piece)
        if chunk.thinking is not None:
            choice.thinking.append(chunk.thinking)
        if chunk.logprobs is not None:
            choice.logprobs.append(chunk.logprobs)

    @property
    def text(self) -> str:
        return "".join(self._choices[0].text)

    @property
    def refused(self) -> bool:
        return self._choices[0].refused

    def completion(self, ending: _Ending) -> Completion:
        leading, *others = (
            shown.choice(ending.finishes.get(index, "stop"), ending.stop_sequence)
            for index, shown in sorted(self._choices.items())
        )
        return Completion(
            leading.text,
            ending.model,
            leading.finish_reason,
            ending.usage,
            ending.cost_usd,
            leading.tool_calls,
            leading.thinking,
            leading.refused,
            leading.logprobs,
            leading.stop_sequence,
            tuple(others),
        )


def _joined(pieces: Sequence[ToolCallPiece]) -> ToolCall:
    extra: dict[str, object] = {}
    for piece in pieces:
        extra.update(piece.extra)
    return ToolCall(
        next((piece.id for piece in pieces if piece.id), ""),
        "".join(piece.name for piece in pieces),
        "".join(piece.arguments for piece in pieces),
        pieces[0].custom,
        extra,
    )


def _thoughts(steps: Sequence[Thinking]) -> tuple[Thinking, ...]:
    """Steps joined into whole thoughts: one ends with its signature."""
    thoughts: list[Thinking] = []
    text = ""
    for step in steps:
        if step.redacted:
            thoughts.append(step)
            continue
        text += step.text
        if step.signature:
            thoughts.append(Thinking(text, step.signature))
            text = ""
    if text:
        thoughts.append(Thinking(text))
    return tuple(thoughts)


def _logprobs(steps: Sequence[object]) -> object:
    """OpenAI's objects of lists (`content`, `refusal`), each list the pieces of all steps."""
    if not steps:
        return None
    joined: dict[str, object] = {}
    for step in steps:
        for name, entries in mapping(step).items():
            before = joined.get(name)
            joined[name] = [*before, *entries] if isinstance(before, list) and isinstance(entries, list) else entries
    return joined


_DIFFERS = "the next provider's answer differs from what was sent"


class _Splice:
    """
    Lets pass what the next target's answer adds to `sent`, the text that was handed on before the stream broke.

    Thoughts are kept back: those of the first target were handed on. `refused`: what was sent is a refusal, which no
    answer continues, nor the other way round. Not `required`: an answer that begins otherwise passes as it is.
    """

    __slots__ = ("_held", "_refused", "_required", "_sent", "done")

    def __init__(self, sent: str, *, refused: bool, required: bool = True) -> None:
        self._sent = sent
        self._refused = refused if sent else None
        self._required = required
        self._held = ""
        self.done = not sent

    def through(self, group: Sequence[Chunk]) -> list[Chunk]:
        """Raises `StreamBroken` where the answer differs from what was sent."""
        passed: list[Chunk] = []
        for chunk in group:
            if not self.done:
                if chunk.tool_calls and self._required:
                    raise StreamBroken(_DIFFERS)
                self._held += chunk.text
                if self._held.startswith(self._sent):
                    chunk = replace(chunk, text=self._held[len(self._sent) :])
                elif self._sent.startswith(self._held) and not chunk.tool_calls:
                    continue
                elif self._required:
                    raise StreamBroken(_DIFFERS)
                else:
                    chunk = replace(chunk, text=self._held)
                self.done = True
            if chunk.text and self._refused is not None and chunk.refused is not self._refused:
                raise StreamBroken(_DIFFERS)
            chunk = replace(chunk, thinking=None)
            if chunk.says:
                passed.append(chunk)
        return passed


class _Turn:
    """
    One call to one target.

    As a context it takes a `ProviderError` as the result of the call and lets the walk go on; any other exception, a
    cancelled caller above all, passes through and counts as nothing.
    """

    __slots__ = ("_done", "_permit", "_walk", "error", "first_s", "journey", "remaining_s", "retries", "target")

    def __init__(self, walk: "_Walk", target: Target, permit: Permit, retries: int, remaining_s: float) -> None:
        self._walk = walk
        self._permit = permit
        self._done = False
        self.target = target
        self.journey = walk.journey
        self.retries = retries
        self.remaining_s = remaining_s
        self.first_s: float | None = None
        self.error: ProviderError | None = None

    def succeeded(self, model: str) -> None:
        self._done = True
        self._walk.breakers.succeeded(self._permit, self._first_s())
        self._note("success", None, model)

    def _first_s(self) -> float:
        """Seconds until the answer began, or until now."""
        return time.perf_counter() - self.journey.current_since if self.first_s is None else self.first_s

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
        if self.journey.first_token_at is not None and self._walk.broken_by is None:
            self._walk.broken_by = error
        self._walk.breakers.failed(self._permit, error, self._first_s())
        self._note(error.status, error.reason, self.target.model)
        level = logging.ERROR if isinstance(error, BadCredentials | QuotaExhausted) else logging.INFO
        log.log(level, "provider attempt failed: service=%s reason=%s", self.target.service, error.reason)
        return True

    def _note(self, status: Literal["success", "failed", "timeout"], reason: str | None, model: str) -> None:
        latency_s = time.perf_counter() - self.journey.current_since
        self.journey.finished_s += latency_s
        self.journey.current = None
        first_s = self.first_s if self.first_s is not None or status != "success" else latency_s
        self.journey.attempts.append(
            Attempt(self.target.service, model, status, reason, latency_s, self.target.model, first_s)
        )


class _Walk:
    """The order of calls for one request."""

    def __init__(
        self,
        breakers: Breakers,
        allowance: Allowance | None,
        retry_budget: RetryBudget,
        settings: CascadeSettings,
        targets: Sequence[Target],
        journey: Journey,
    ) -> None:
        self.breakers = breakers
        self._allowance = allowance
        self._retry_budget = retry_budget
        self._spent: set[str] = set()
        """Targets not to be asked with another key."""
        self._failed: set[str] = set()
        """Targets not to be asked again however long one waits."""
        self.journey = journey
        self._settings = settings
        self._targets = targets
        self._next = 0
        self._turn: _Turn | None = None
        self.errors: list[ProviderError] = []
        self.broken_by: ProviderError | None = None
        """What ended a stream after its first token."""
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
            if not last.error.of_key:
                self._spent.add(last.target.name)
                if not isinstance(last.error, Overloaded):
                    self._failed.add(last.target.name)
        while self._next < len(self._targets):
            target = self._targets[self._next]
            self._next += 1
            if target.name in self._spent:
                continue  # another key would not help: the target itself failed
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
        if not self._retry_budget.take():
            return None  # so many are asked again that it is an outage: more calls would only feed it
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
            limited_s = await self._limited_s(target, admission)
            if limited_s <= 0:
                if self._turn is None:
                    self._retry_budget.asked()
                return _Turn(self, target, admission, retries, remaining_s)
            self.breakers.abandoned(admission)
            admission = Denied("service_limit", limited_s)
        if admission.reason in ("open", "overloaded", "service_limit"):
            self._spent.add(target.name)
        if note:
            self._denied.append(admission)
            self.journey.attempts.append(Attempt(target.service, target.model, "skipped", admission.reason, 0.0))
        return None

    async def _limited_s(self, target: Target, permit: Permit) -> float:
        """Take one call from the service's allowance: 0, or the seconds to wait. A probe is freed whatever happens."""
        if self._allowance is None:
            return 0.0
        try:
            return await self._allowance.take(target)
        except BaseException:
            self.breakers.abandoned(permit)
            raise

    async def _wait_out(self) -> _Turn | None:
        """Nobody else can answer: wait, once, for the target whose Retry-After ends soonest."""
        limit_s = 3.0 if self._settings.retry_after_max_wait_s is None else self._settings.retry_after_max_wait_s
        if self._waited or limit_s <= 0:
            return None
        self._waited = True
        targets = [target for target in self._targets if target.name not in self._failed]
        waits = [(self.breakers.aside_s(target), target) for target in targets]
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
        if self.broken_by is not None:
            # A stream broke: what broke it counts, not what went before or what a rescue ran into.
            return CascadeFailed("broken" if self.broken_by.try_next else "rejected", self.broken_by, None)
        final = next((error for error in errors if not error.try_next), None)
        if final is not None:
            return CascadeFailed("rejected", final, None)
        waits = [error.retry_after_s for error in errors if isinstance(error, RateLimited) and error.retry_after_s]
        waits += [denied.retry_after_s for denied in self._denied]
        retry_after_s = min(waits, default=None)
        limited = all(isinstance(error, RateLimited) for error in errors) and all(
            denied.reason in ("rate_limited", "quota_exhausted", "service_limit") for denied in self._denied
        )
        if limited and (errors or self._denied):
            spent = all(isinstance(error, QuotaExhausted) for error in errors) and all(
                denied.reason == "quota_exhausted" for denied in self._denied
            )
            kind: FailureKind = "quota_exhausted" if spent else "rate_limited"
            return CascadeFailed(kind, errors[0] if errors else None, retry_after_s)
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
