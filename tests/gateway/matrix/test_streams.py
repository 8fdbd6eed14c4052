"""Streams of every API: many at once, cut anywhere, calls whose pieces come in turns, and streams that break."""

import asyncio
import json
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.checker import check_openai
from tests.gateway.matrix.asks import Ask, Call, Told, Usage
from tests.gateway.matrix.conftest import Got, Stage
from tests.gateway.matrix.surfaces import CHAT, MESSAGES, QUERY, RESPONSES, SURFACES, Surface
from tests.gateway.matrix.vendors import ANTHROPIC, GEMINI, GROQ, OPENAI, VENDORS, Vendor
from tests.upstream import SIXTY_WORDS, Answer, Behaviour, DieAfter, ErrorEventAfter, SplitBytes, ToolCalls

pytestmark = pytest.mark.asyncio(loop_scope="module")

SURFACE = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
TALKING = pytest.mark.parametrize(
    "surface", [each for each in SURFACES.values() if each is not QUERY], ids=[n for n in SURFACES if n != "query"]
)
VENDOR = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)

FEW = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# Many at once.


def marked(marker: int) -> str:
    return " ".join(f"m{marker:03d}w{word}" for word in range(25))


async def test_fifty_streams_never_mix(stage: Stage) -> None:
    """Fifty streams of all APIs and vendors at the same time: each client gets its own answer, whole and in order."""
    places = list(islice(cycle((surface, vendor) for vendor in VENDORS.values() for surface in SURFACES.values()), 50))
    for number, (_, vendor) in enumerate(places):
        stage.up(vendor).answers.push(Answer(marked(number), pause_s=0.001))

    async def one(number: int) -> Got:
        surface, vendor = places[number]
        return await stage.ask(surface, Ask((("user", (f"Question {number}.",)),)), vendor, stream=True)

    answers = await asyncio.gather(*map(one, range(50)))
    for vendor in VENDORS.values():
        # A fake's answers go out in the order in which the requests came in.
        mine = [number for number, (_, asked) in enumerate(places) if asked is vendor]
        for number, request in zip(mine, stage.up(vendor).requests, strict=True):
            [asker] = [n for n in mine if f"Question {n}.".encode() in request.body]
            surface, _ = places[asker]
            told = answers[asker].told()
            assert (told.text, answers[asker].reply.headers["x-gateway-provider"]) == (marked(number), vendor.name)
            assert told == surface.shows(Told(marked(number), Usage(12, 25)))


# Cut anywhere.

WORDS = st.text(min_size=1, max_size=40).map(str.strip).filter(bool)
SIZES = st.integers(min_value=1, max_value=80)
VALUES = st.dictionaries(st.text(max_size=6), st.none() | st.integers(-9, 9) | st.text(max_size=12), max_size=3)


async def whole_and_streamed(stage: Stage, surface: Surface, vendor: Vendor, ask: Ask, answer: Behaviour) -> list[Told]:
    found = []
    for stream in (False, True):
        stage.up(vendor).answers.push(answer)
        found.append((await stage.ask(surface, ask, vendor, stream=stream)).told())
    return found


@VENDOR
@SURFACE
@FEW
@given(text=WORDS, size=SIZES)
async def test_text_cut_anywhere(stage: Stage, surface: Surface, vendor: Vendor, text: str, size: int) -> None:
    """Wherever the network cuts the vendor's bytes, the streamed answer is the unstreamed one."""
    answer = SplitBytes(size, Answer(text, output_tokens=7))
    whole, streamed = await whole_and_streamed(stage, surface, vendor, Ask(), answer)
    assert whole == streamed == surface.shows(Told(text, Usage(12, 7)))


@VENDOR
@TALKING
@FEW
@given(arguments=st.lists(VALUES, min_size=1, max_size=3), size=SIZES)
async def test_calls_cut_anywhere(
    stage: Stage, surface: Surface, vendor: Vendor, arguments: list[dict[str, Any]], size: int
) -> None:
    """So are the tool calls: names, arguments and their order."""
    calls = tuple(("tides" if number % 2 else "weather", each) for number, each in enumerate(arguments))
    answer = SplitBytes(size, ToolCalls(calls, text="Let me see.", output_tokens=7))
    whole, streamed = await whole_and_streamed(stage, surface, vendor, Ask(tools=True), answer)
    for told in (whole, streamed):
        assert (told.text, told.finish, told.usage) == ("Let me see.", "tool_calls", Usage(12, 7))
        assert [(call.name, call.arguments) for call in told.calls] == list(calls)
        assert len({call.id for call in told.calls}) == len(calls)


# Calls whose pieces come in turns.

IN_TURNS = (
    ("call_a", "weather", '{"city":"Brest","days":[1,2]}'),
    ("call_b", "tides", '{"city":"Kiel"}'),
    ("call_c", "weather", "{}"),
)
TURNS_TOLD = tuple(Call(id, name, json.loads(arguments)) for id, name, arguments in IN_TURNS)


@pytest.mark.parametrize("vendor", [OPENAI, GROQ], ids=["openai", "groq"])
@pytest.mark.parametrize("surface", [CHAT, MESSAGES], ids=["chat", "messages"])
async def test_calls_in_turns(stage: Stage, surface: Surface, vendor: Vendor) -> None:
    """Pieces of three calls alternate: each call gets its own, also where one block must end before the next."""
    stage.up(vendor).answers.push(OPENAI.interleaved(IN_TURNS))
    got = await stage.ask(surface, Ask(tools=True), vendor, stream=True)
    assert got.told() == Told("", Usage(12, 3), "tool_calls", TURNS_TOLD)


async def test_calls_in_turns_of_responses(stage: Stage) -> None:
    """The items are open side by side: deltas belong to the item they name, and the end tells all of them whole."""
    stage.up(OPENAI).answers.push(OPENAI.interleaved(IN_TURNS))
    got = await stage.ask(RESPONSES, Ask(tools=True), OPENAI, stream=True)
    events = [frame.json() for frame in got.frames]
    for number, (frame, event) in enumerate(zip(got.frames, events, strict=True)):
        check_openai("ResponseStreamEvent", event)
        assert (frame.event, event["sequence_number"]) == (event["type"], number)
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == [0, 1, 2]
    for place, ((id, name, arguments), event) in enumerate(zip(IN_TURNS, added, strict=True)):
        item = event["item"]
        assert (item["call_id"], item["name"], item["arguments"]) == (id, name, "")
        deltas = [
            event["delta"]
            for event in events
            if event["type"] == "response.function_call_arguments.delta" and event["item_id"] == item["id"]
        ]
        assert "".join(deltas) == arguments
        [last] = [event["item"] for event in done if event["output_index"] == place]
        assert last == {**item, "arguments": arguments, "status": "completed"}
    assert events[-1]["type"] == "response.completed"
    assert RESPONSES.whole(events[-1]["response"]) == Told("", Usage(12, 3), "tool_calls", TURNS_TOLD)


# Streams that break.

CALLING = ToolCalls((("weather", {"city": "Brest", "unit": "celsius"}),), text="Let me see.")
BREAKS = {"died": DieAfter, "error": ErrorEventAfter}


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@TALKING
async def test_dies_in_a_call(stage: Stage, surface: Surface, vendor: Vendor, broken: str) -> None:
    """One error in the API's own form, and nothing that says the answer is whole; nobody else is asked."""
    other = ANTHROPIC if vendor is OPENAI else OPENAI
    stage.up(vendor).answers.push(BREAKS[broken](tokens=5, answer=CALLING))
    got = await stage.ask(surface, Ask(tools=True), vendor, other, stream=True)
    assert got.reply.status_code == 200
    assert got.gateway_headers() == {"provider": vendor.name, "model": vendor.model, "attempts": "1"}
    error = surface.broken(got.frames)
    assert error.message == "every provider failed"
    if surface is not MESSAGES:
        assert error.code == "upstream_error"
    assert surface.text(got.frames) == "Let me see."
    assert b"weather" in got.reply.content
    assert b"[DONE]" not in got.reply.content
    assert not stage.up(other).requests


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize(
    ("first", "second"),
    [(OPENAI, ANTHROPIC), (ANTHROPIC, GEMINI), (GEMINI, GROQ), (GROQ, OPENAI)],
    ids=["openai", "anthropic", "gemini", "groq"],
)
@SURFACE
async def test_dies_in_words(stage: Stage, surface: Surface, first: Vendor, second: Vendor, broken: str) -> None:
    """The next service's same answer is spliced on: one whole answer under one head, each word once."""
    stage.up(first).answers.push(BREAKS[broken](tokens=20, answer=Answer(SIXTY_WORDS)))
    stage.up(second).answers.push(Answer(SIXTY_WORDS))
    got = await stage.ask(surface, Ask(), first, second, stream=True)
    assert got.told() == surface.shows(Told(SIXTY_WORDS, Usage(12, 60)))
    assert got.gateway_headers() == {"provider": first.name, "model": first.model, "attempts": "1"}
    assert (len(stage.up(first).requests), len(stage.up(second).requests)) == (1, 1)


@SURFACE
async def test_dies_in_words_and_nobody_says_the_same(stage: Stage, surface: Surface) -> None:
    """Another answer is no continuation: what was sent stands, and one error ends the stream."""
    stage.up(OPENAI).answers.push(DieAfter(tokens=20, answer=Answer(SIXTY_WORDS)))
    stage.up(ANTHROPIC).answers.push(Answer("Something else altogether."))
    got = await stage.ask(surface, Ask(), OPENAI, ANTHROPIC, stream=True)
    assert surface.broken(got.frames).message == "every provider failed"
    assert surface.text(got.frames) == " ".join(SIXTY_WORDS.split()[:20])
