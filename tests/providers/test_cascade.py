"""Who is asked next and what becomes of a stream that breaks, seen from a wire of this file's own making."""

import asyncio
import base64
import struct
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.anthropic import Anthropic
from providers.base import Adapter, HttpReply, HttpRequest, Target
from providers.breaker import BreakerSettings, LocalBreakers, Permit
from providers.cascade import Allowance, Answer, Cascade, CascadeFailed, CascadeSettings, Journey
from providers.chat import ChatRequest, Chunk, EmbeddingRequest, Message, Usage
from providers.client import ByteStream, Client
from providers.errors import (
    ConnectionFailed,
    ContentBlocked,
    Overloaded,
    ProviderError,
    RateLimited,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from providers.gemini import Gemini
from providers.openai_compatible import OpenAICompatible

Json = dict[str, Any]
Step = bytes | float | ProviderError
"""Of a stream: data of one read, a pause in seconds, what breaks it."""
Reply = HttpReply | ProviderError | Sequence[Step]


class Asked(NamedTuple):
    """One call, as the wire saw it."""

    host: str
    key: str
    body: Json


class Wire:
    """Answers the calls to each host with its replies in turn, the last one for ever."""

    def __init__(self, **replies: Sequence[Reply]) -> None:
        self._replies = {host: deque(given) for host, given in replies.items()}
        self.asked: list[Asked] = []

    @property
    def hosts(self) -> list[str]:
        return [call.host for call in self.asked]

    async def send(self, request: HttpRequest) -> HttpReply:
        reply = self._reply(request)
        assert isinstance(reply, HttpReply), "a stream for a call that is none"
        return reply

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[ByteStream]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: HttpRequest) -> AsyncIterator[ByteStream]:
        yield Stream(self._reply(request))

    def _reply(self, request: HttpRequest) -> HttpReply | Sequence[Step]:
        host = request.url.split("/")[2]
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append(Asked(host, key, orjson.loads(request.body)))
        replies = self._replies[host]
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        if isinstance(reply, ProviderError):
            raise reply
        return reply


class Stream:
    """A reply that is read step by step."""

    def __init__(self, reply: HttpReply | Sequence[Step]) -> None:
        self._steps: deque[Step]
        if isinstance(reply, HttpReply):
            self.reply, self._steps = replace(reply, body=b""), deque([reply.body])
        else:
            self.reply, self._steps = HttpReply(200, {"content-type": "text/event-stream"}, b""), deque(reply)

    async def read(self) -> bytes:
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, ProviderError):
                raise step
            if isinstance(step, bytes):
                return step
            await asyncio.sleep(step)
        return b""

    async def read_all(self) -> HttpReply:
        return replace(self.reply, body=await self.read())


def json_reply(body: object, status: int = 200) -> HttpReply:
    return HttpReply(status, {"content-type": "application/json"}, orjson.dumps(body))


LIMITED = json_reply({"error": {"message": "slow down"}}, 429)
DONE = b"data: [DONE]\n\n"
CUT = StreamBroken("cut")


def part(finish: str | None = None, *, choice: int = 0, **delta: object) -> bytes:
    """One event of an OpenAI stream."""
    return b"data: %b\n\n" % orjson.dumps({"choices": [{"index": choice, "delta": delta, "finish_reason": finish}]})


def call(arguments: str, *, index: int = 0, **more: object) -> list[Json]:
    return [{"index": index, **more, "function": {"name": "f" if more else "", "arguments": arguments}}]


def said(*texts: str) -> list[Step]:
    """A whole OpenAI stream."""
    return [*(part(content=text) for text in texts), part("stop"), DONE]


def anthropic(text: str, stop_reason: str = "end_turn") -> list[Step]:
    """A whole Anthropic stream."""
    events: tuple[Json, ...] = (
        {"type": "message_start", "message": {"model": "x", "usage": {"input_tokens": 7}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    )
    return [b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events]


def gemini(text: str, reason: str) -> list[Step]:
    """Google's stream: a piece of text, then a reason to end it."""
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 3}
    events: tuple[Json, ...] = (
        {"candidates": [{"index": 0, "content": content}]},
        {"candidates": [{"index": 0, "finishReason": reason}], "usageMetadata": usage},
    )
    return [b"data: %b\n\n" % orjson.dumps(event) for event in events]


def target(
    host: str, *, adapter: Adapter | None = None, model: str = "m", key: int | None = None, **more: Any
) -> Target:
    secret = None if key is None else SecretStr(f"key-{key}")
    return Target(host, model, adapter or OpenAICompatible(), f"http://{host}", secret, key_slot=key or 0, **more)


def cascade(
    wire: Client, breakers: LocalBreakers | None = None, allowance: Allowance | None = None, **settings: Any
) -> Cascade:
    return Cascade(
        wire,
        breakers or LocalBreakers(BreakerSettings()),
        price=lambda target, model, usage: Decimal(usage.total_tokens) if model == "m" else None,
        settings=CascadeSettings(**settings),
        allowance=allowance,
    )


ASK = ChatRequest((Message("user", "Hi"),))


@dataclass
class Told:
    """All a caller heard: chunks, and the answer or the failure that ended them."""

    chunks: list[Chunk] = field(default_factory=list)
    answer: Answer | None = None
    failure: CascadeFailed | None = None
    journey: Journey = field(default_factory=Journey)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def whole(self) -> str:
        """The text of the answer, which must be what was streamed."""
        assert self.failure is None, (self.failure.kind, self.failure.error)
        assert self.answer is not None
        assert self.answer.completion.text == "".join(chunk.text for chunk in self.chunks if not chunk.choice)
        return self.answer.completion.text

    @property
    def path(self) -> list[str]:
        return [attempt.reason or attempt.status for attempt in self.journey.attempts]

    def broke(self, kind: str, error: type[ProviderError]) -> bool:
        assert self.answer is None
        assert self.failure is not None
        assert (self.failure.kind, type(self.failure.error)) == (kind, error)
        return True


async def stream(by: Cascade, targets: Sequence[Target], request: ChatRequest = ASK, **more: bool) -> Told:
    told = Told()
    try:
        async for group in by.stream(request, targets, told.journey, **more):
            if isinstance(group, Answer):
                told.answer = group
            else:
                assert all(chunk.says for chunk in group)
                told.chunks += group
    except CascadeFailed as failure:
        told.failure = failure
    return told


# What broke a stream


@pytest.mark.parametrize("before", [LIMITED, json_reply({}, 401), json_reply({}, 500), ConnectionFailed()])
async def test_a_broken_stream_tells_what_broke_it(before: Reply) -> None:
    """Not what another target had said before, nor what a rescue ran into after."""
    wire = Wire(a=[before], b=[[part(content="Once"), CUT]], c=[LIMITED])
    by = cascade(wire, max_retries=0, retry_after_max_wait_s=0)
    told = await stream(by, [target("a"), target("b"), target("c")])
    assert told.broke("broken", StreamBroken)
    assert (told.text, told.failure and told.failure.error) == ("Once", CUT)
    assert wire.hosts == ["a", "b", "c"]


@pytest.mark.parametrize("before", [[], [LIMITED]], ids=["first", "after a 429"])
@pytest.mark.parametrize(
    ("adapter", "withheld"),
    [(Anthropic(), anthropic("Sure", "refusal")), (Gemini(), gemini("Sure", "SAFETY"))],
    ids=["anthropic", "gemini"],
)
async def test_a_refusal_midway_is_a_refusal(adapter: Adapter, withheld: Reply, before: list[Reply]) -> None:
    """It ends the walk under its own kind, with what it counted, whoever had failed before."""
    wire = Wire(a=before, b=[withheld], c=[said("Sure")])
    targets = [*(target("a") for _ in before), target("b", adapter=adapter), target("c")]
    told = await stream(cascade(wire), targets)
    assert told.broke("rejected", ContentBlocked)
    assert told.text == "Sure"
    assert wire.hosts == [*("a" for _ in before), "b"]
    assert isinstance(told.failure and told.failure.error, ContentBlocked)
    assert told.failure.error.usage == Usage(7, 3)  # type: ignore[union-attr]


async def test_nothing_was_sent_and_nobody_can() -> None:
    """Before the first token the kind is read from all targets: here both are limited."""
    told = await stream(cascade(Wire(a=[LIMITED], b=[LIMITED]), retry_after_max_wait_s=0), [target("a"), target("b")])
    assert told.broke("rate_limited", RateLimited)


# Probes


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def half_open(at: Target) -> LocalBreakers:
    """Breakers that have failed once and would let one call through."""
    clock = Clock()
    breakers = LocalBreakers(BreakerSettings(min_calls=1, open_s=1), clock=clock)
    permit = await breakers.admit(at)
    assert isinstance(permit, Permit)
    breakers.failed(permit, Unavailable())
    clock.now += 10
    return breakers


class Slow:
    """An allowance that says nothing for a long time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def take(self, target: Target) -> float:
        self.asked.set()
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")


class Silent:
    """An allowance whose store has failed."""

    async def take(self, target: Target) -> float:
        raise RuntimeError("the store is away")


class Spent:
    """An allowance that has nothing left for one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.asked: list[int] = []

    async def take(self, target: Target) -> float:
        if target.service != self.service:
            return 0.0
        self.asked.append(target.key_slot)
        return 7.0


async def test_a_caller_who_leaves_frees_the_probe() -> None:
    """Also while the service's allowance is asked for: the next caller may probe at once."""
    at, allowance = target("a"), Slow()
    breakers = await half_open(at)
    wire = Wire(a=[said("Hi")])
    leaving = asyncio.create_task(stream(cascade(wire, breakers, allowance), [at]))
    await allowance.asked.wait()
    assert not isinstance(await breakers.admit(at), Permit)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert isinstance(await breakers.admit(at), Permit)
    assert wire.asked == []


async def test_an_allowance_that_fails_frees_the_probe() -> None:
    """What it raises goes on; the next caller may probe at once."""
    at = target("a")
    breakers = await half_open(at)
    with pytest.raises(RuntimeError, match="the store is away"):
        await cascade(Wire(), breakers, Silent()).complete(ASK, [at], Journey())
    assert isinstance(await breakers.admit(at), Permit)


async def test_a_spent_allowance() -> None:
    """It frees the probe, and is one service's: its other keys are not tried, the next service is."""
    keys = [target("a", key=0), target("a", key=1), target("a", key=2)]
    breakers, allowance = await half_open(keys[0]), Spent("a")
    wire = Wire(b=[said("Hi")])
    told = await stream(cascade(wire, breakers, allowance), [*keys, target("b")])
    assert (told.whole, wire.hosts, allowance.asked) == ("Hi", ["b"], [0])
    assert told.path == ["service_limit", "success"]
    assert isinstance(await breakers.admit(keys[0]), Permit)
    told = await stream(cascade(wire, allowance=allowance), keys)
    assert told.failure is not None
    assert (told.failure.kind, told.failure.retry_after_s, told.failure.error) == ("rate_limited", 7.0, None)
    assert told.path == ["service_limit"]


# Waiting


async def resting(at: Target, error: ProviderError) -> LocalBreakers:
    breakers = LocalBreakers(BreakerSettings())
    permit = await breakers.admit(at)
    assert isinstance(permit, Permit)
    breakers.failed(permit, error)
    return breakers


@pytest.mark.parametrize("fault", [CUT, json_reply({}, 500), TimedOut("first_token"), json_reply({}, 404)])
async def test_nobody_waits_for_who_failed_of_its_own(fault: Reply) -> None:
    """A second key that will soon be free is none the less a key to what has just failed."""
    keys = [target("a", key=0), target("a", key=1)]
    breakers = await resting(keys[1], RateLimited(retry_after_s=0.1))
    wire = Wire(a=[fault, said("Hi")])
    told = await stream(cascade(wire, breakers, max_retries=0), keys)
    assert told.failure is not None
    assert [call.key for call in wire.asked] == ["key-0"]


@pytest.mark.parametrize("limit", [RateLimited(retry_after_s=0.1), Overloaded(retry_after_s=0.1)])
async def test_who_is_only_busy_is_waited_for(limit: ProviderError) -> None:
    """Once, for the one that is free soonest, while nobody else can answer."""
    busy = target("a", key=0)
    breakers = await resting(busy, limit)
    wire = Wire(a=[said("Hi")], b=[json_reply({}, 500)])
    told = await stream(cascade(wire, breakers, max_retries=0), [busy, target("b")])
    assert (told.whole, wire.hosts) == ("Hi", ["b", "a"])


# Thoughts that nobody is shown


THINKS = part(reasoning_content="Hm")


@pytest.mark.parametrize("recovery", ["off", "splice", "continue"])
@pytest.mark.parametrize("fault", [CUT, json_reply({}, 500)], ids=["cut", "ended"])
async def test_a_thinker_that_breaks_is_replaced(recovery: str, fault: Step | HttpReply) -> None:
    """While nothing was shown, the next target is asked as if the first had said nothing."""
    broken: list[Step] = [THINKS, fault] if isinstance(fault, ProviderError) else [THINKS]
    wire = Wire(a=[broken], b=[[THINKS, *said("Hi")]])
    by = cascade(wire, recovery=recovery, max_retries=0)
    told = await stream(by, [target("a"), target("b")], thoughts=False)
    assert (told.whole, wire.hosts, told.path) == ("Hi", ["a", "b"], ["stream_broken", "success"])
    assert all(chunk.thinking is None or chunk.text for chunk in told.chunks)
    assert wire.asked[1].body["messages"] == [{"role": "user", "content": "Hi"}]


async def test_thoughts_that_are_shown_are_an_answer_begun() -> None:
    """Without recovery, a stream that broke after them is broken."""
    wire = Wire(a=[[THINKS, CUT]], b=[said("Hi")])
    told = await stream(cascade(wire, recovery="off"), [target("a"), target("b")])
    assert told.broke("broken", StreamBroken)
    assert wire.hosts == ["a"]


async def test_a_silent_thinker_times_out() -> None:
    """Alone it is a timeout; else the next one answers."""
    wire = Wire(a=[[THINKS, 60.0]], b=[said("Hi")])
    by = cascade(wire, first_token_timeout_s=5, idle_timeout_s=0.1, max_retries=0)
    assert (await stream(by, [target("a")], thoughts=False)).broke("timeout", TimedOut)
    told = await stream(by, [target("a"), target("b")], thoughts=False)
    assert (told.whole, told.path) == ("Hi", ["timeout", "success"])


async def test_thinking_is_a_sign_of_life() -> None:
    """From the first thought on the idle limit holds, not that of the first token, shown or not."""
    slow: list[Step] = [THINKS, 0.15, THINKS, 0.15, *said("Hi")]
    for thoughts in (False, True):
        by = cascade(Wire(a=[slow]), first_token_timeout_s=0.1, idle_timeout_s=5)
        told = await stream(by, [target("a")], thoughts=thoughts)
        assert (told.whole, told.path) == ("Hi", ["success"])
        assert any(chunk.thinking for chunk in told.chunks) is thoughts
        [attempt] = told.journey.attempts
        assert (attempt.first_s or 1) < 0.1 < attempt.latency_s
        silent = cascade(Wire(a=[[0.3, *said("Hi")]]), first_token_timeout_s=0.1, idle_timeout_s=5, max_retries=0)
        assert (await stream(silent, [target("a")], thoughts=thoughts)).broke("timeout", TimedOut)


# Rescues


@given(st.text(min_size=1, max_size=30), st.integers(1, 30), st.lists(st.integers(0, 30), max_size=4))
def test_any_cut_is_spliced(text: str, sent: int, cuts: list[int]) -> None:
    """Wherever the first stream broke and however the second is cut, the caller reads the answer once."""
    begun = text[:sent]
    ends = [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    again = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    wire = Wire(a=[[part(content=begun), CUT]], b=[said(*again)])
    assert asyncio.run(stream(cascade(wire), [target("a"), target("b")])).whole == text


@pytest.mark.parametrize("after", ["Help", "hello", "Hel"])
async def test_another_answer_is_no_rescue(after: str) -> None:
    """One that begins otherwise, ends before what was sent does, or calls a tool before it was said."""
    made: list[Step] = [part(content="He"), part(tool_calls=call("{}", id="c1")), part(content="llo"), part("stop")]
    for again in (said(after), made):
        wire = Wire(a=[[part(content="Hello"), CUT]], b=[again])
        told = await stream(cascade(wire), [target("a"), target("b")])
        assert told.broke("broken", StreamBroken)
        assert (told.text, [chunk.tool_calls for chunk in told.chunks]) == ("Hello", [()])


@pytest.mark.parametrize(
    ("sent", "begun", "goes_on", "whole"),
    [
        ("Hello ", "Hello", " world", "Hello world"),
        ("Hello ", "Hello", "world", "Hello world"),
        ("Hello \n", "Hello", " \nworld", "Hello \nworld"),
        ("Hello", "Hello", " world", "Hello world"),
        ("Hello", "Hello", "Hello", "HelloHello"),
    ],
)
@pytest.mark.parametrize("cut", [1, 100])
async def test_going_on_doubles_no_white_space(sent: str, begun: str, goes_on: str, whole: str, cut: int) -> None:
    """The target is asked to go on from the last word; white space that it writes again is not said twice."""
    pieces = [goes_on[start : start + cut] for start in range(0, len(goes_on), cut)]
    wire = Wire(a=[[part(content=sent), CUT]], b=[said(*pieces)])
    told = await stream(cascade(wire, recovery="continue"), [target("a"), target("b", prefill=True)])
    assert wire.asked[1].body["messages"][1:] == [{"role": "assistant", "content": begun}]
    assert told.whole == whole


async def test_there_is_no_going_on_from_white_space() -> None:
    """When nothing else was sent, the target is asked for the whole answer, and what was sent is not said twice."""
    wire = Wire(a=[[part(content="\n"), CUT]], b=[said("\nHi")])
    told = await stream(cascade(wire, recovery="continue"), [target("a"), target("b", prefill=True)])
    assert (told.whole, len(wire.asked[1].body["messages"])) == ("\nHi", 1)


@pytest.mark.parametrize(("first", "then"), [("content", "refusal"), ("refusal", "content")])
@pytest.mark.parametrize("pieces", [("I", " cannot"), ("I cannot",)])
async def test_a_refusal_does_not_continue_an_answer(first: str, then: str, pieces: tuple[str, ...]) -> None:
    """Nor the other way round, though the words agree."""

    def said_as(field: str, text: str) -> bytes:
        return part(content=text) if field == "content" else part(refusal=text)

    again: list[Step] = [*(said_as(then, piece) for piece in pieces), part("stop"), DONE]
    wire = Wire(a=[[said_as(first, "I"), CUT]], b=[again])
    told = await stream(cascade(wire), [target("a"), target("b")])
    assert told.broke("broken", StreamBroken)
    assert told.text == "I"
    assert {chunk.refused for chunk in told.chunks} == {first == "refusal"}


async def test_a_refusal_continues_a_refusal() -> None:
    """And stays one."""
    again: list[Step] = [part(refusal="I cannot"), part("stop"), DONE]
    wire = Wire(a=[[part(refusal="I can"), CUT]], b=[again])
    told = await stream(cascade(wire), [target("a"), target("b")])
    assert told.whole == "I cannot"
    assert all(chunk.refused for chunk in told.chunks)


@pytest.mark.parametrize("text", ["Hello", "Hello, world"])
async def test_calls_after_the_text_are_kept(text: str) -> None:
    """A rescue that says what was sent and then calls a tool hands on the call, whole."""
    again: list[Step] = [
        part(content=text),
        part(tool_calls=call('{"a":', id="c1")),
        part(tool_calls=call("1}")),
        part("tool_calls"),
        DONE,
    ]
    wire = Wire(a=[[part(content="Hello"), CUT]], b=[again])
    told = await stream(cascade(wire), [target("a"), target("b")])
    assert told.whole == text
    assert told.answer is not None
    [made] = told.answer.completion.tool_calls
    assert (made.id, made.name, made.arguments) == ("c1", "f", '{"a":1}')
    assert told.answer.completion.finish_reason == "tool_calls"


@pytest.mark.parametrize("recovery", ["splice", "continue"])
@pytest.mark.parametrize(
    ("sent", "request_"),
    [
        ([part(tool_calls=call("{", id="c1"))], ASK),
        ([part(content="Hi"), part(tool_calls=call("{", id="c1"))], ASK),
        ([part(content="Hi")], replace(ASK, n=2)),
        ([part(content="Hi")], replace(ASK, options={"logprobs": True})),
    ],
    ids=["a call", "text and a call", "several choices", "logprobs"],
)
async def test_what_cannot_be_spliced(sent: list[Step], request_: ChatRequest, recovery: str) -> None:
    """Of an answer of which more than one text was sent nothing is asked again."""
    wire = Wire(a=[[*sent, CUT]], b=[said("Hi, you")])
    by = cascade(wire, recovery=recovery)
    told = await stream(by, [target("a"), target("b", prefill=True)], request_)
    assert told.broke("broken", StreamBroken)
    assert wire.hosts == ["a"]


# Several choices


TWO = replace(ASK, n=2)


async def test_fewer_choices_than_asked_for() -> None:
    """A server that knows no `n` is done when it says so."""
    told = await stream(cascade(Wire(a=[said("Hi")])), [target("a")], TWO)
    assert (told.whole, told.path) == ("Hi", ["success"])
    assert told.answer is not None
    assert len(told.answer.completion.choices) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [part(content="Hi"), part("stop")],
        [part(content="Hi"), part("stop"), CUT],
        [part(content="Hi"), part("stop"), part(content="Ho", choice=1), DONE],
        [part(content="Ho", choice=1), part("stop", choice=1), DONE],
    ],
    ids=["ended without the mark", "cut", "the second cut", "the first missing"],
)
async def test_choices_that_are_missing(steps: list[Step]) -> None:
    """Without the mark, or with a choice begun and not ended, the stream is broken."""
    told = await stream(cascade(Wire(a=[steps])), [target("a")], TWO)
    assert told.broke("broken", StreamBroken)


# Whole answers


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_says_it_is_unfinished(reason: str, streamed: bool) -> None:
    """Is none: the next target answers, or goes on from what was sent."""
    wire: Wire
    if streamed:
        wire = Wire(a=[[part(content="Half"), part(reason), DONE]], b=[said("Half", " done")])
        told = await stream(cascade(wire, max_retries=0), [target("a"), target("b")])
        assert told.whole == "Half done"
        journey = told.journey
    else:
        choices = [{"index": 0, "message": {"content": "Half"}, "finish_reason": reason}]
        other = [{"index": 0, "message": {"content": "Half done"}, "finish_reason": "stop"}]
        wire = Wire(a=[json_reply({"choices": choices})], b=[json_reply({"choices": other})])
        journey = Journey()
        answer = await cascade(wire, max_retries=0).complete(ASK, [target("a"), target("b")], journey)
        assert answer.completion.text == "Half done"
    assert [attempt.reason for attempt in journey.attempts] == ["unavailable", None]


async def test_attempts_tell_what_was_asked_and_when_it_began() -> None:
    """The target's name for the model beside the provider's; the first token of a stream, the whole of what is not."""
    dated = {"model": "m-2026-01-01", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    steps: list[Step] = [b"data: %b\n\n" % orjson.dumps(dated), 0.2, part("stop"), DONE]
    told = await stream(cascade(Wire(a=[LIMITED], b=[steps])), [target("a"), target("b")])
    failed, answered = told.journey.attempts
    assert (failed.asked, failed.model, failed.first_s) == ("m", "m", None)
    assert (answered.asked, answered.model) == ("m", "m-2026-01-01")
    assert answered.first_s is not None
    assert answered.first_s < 0.2 <= answered.latency_s
    whole = json_reply({"model": "m-2026-01-01", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    journey = Journey()
    await cascade(Wire(a=[whole])).complete(ASK, [target("a")], journey)
    [answered] = journey.attempts
    assert (answered.asked, answered.model) == ("m", "m-2026-01-01")
    assert answered.first_s == answered.latency_s


# Embeddings


def vectors(*found: object) -> HttpReply:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(found)]
    return json_reply({"model": "m", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}})


PACKED = base64.b64encode(struct.pack("<2f", 1.0, 2.0)).decode()


@pytest.mark.parametrize(
    "found",
    [
        ([0.1, None], [0.1, 0.2]),
        ([0.1, "0.2"], [0.1, 0.2]),
        ([0.1, True], [0.1, 0.2]),
        ([0.1, 1e300], [0.1, 0.2]),
        ([0.1, -1e39], [0.1, 0.2]),
        ([[0.1], [0.2]], [0.1, 0.2]),
        ([], [0.1, 0.2]),
        (None, [0.1, 0.2]),
        ({"0": 0.1}, [0.1, 0.2]),
        ("!!!!", PACKED),
        (PACKED[:-5], PACKED),
        ("", PACKED),
        ([0.1, 0.2],),
        ([0.1, 0.2], [0.1, 0.2], [0.1, 0.2]),
        (),
    ],
    ids=lambda found: str(found)[:40],
)
async def test_vectors_that_are_none(found: Sequence[object]) -> None:
    """The next target is asked, and its vectors are the answer."""
    wire = Wire(a=[vectors(*found)], b=[vectors([0.5, 1], PACKED)])
    journey = Journey()
    by = cascade(wire)
    embedded = await by.embed(EmbeddingRequest(("x", "y")), [target("a"), target("b")], journey)
    assert embedded.embeddings.vectors == ([0.5, 1], PACKED)
    assert [attempt.reason for attempt in journey.attempts] == ["malformed_reply", None]
    with pytest.raises(CascadeFailed) as caught:
        await by.embed(EmbeddingRequest(("x", "y")), [target("a")], Journey())
    assert caught.value.kind == "broken"
