"""
Every API in front of every upstream, whole and streamed: what is asked reaches the vendor in its own words, and the
answer, whole, reaches the client as its API would have said it. What cannot be said is refused, and nobody is asked.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.matrix.asks import QUESTION, Ask, Call, Told, Usage
from tests.gateway.matrix.conftest import Got, Stage
from tests.gateway.matrix.features import (
    ANSWER,
    FEATURES,
    FORECAST,
    LIGHT,
    NOT_IN_API,
    PLAIN,
    REFUSED,
    TOOLS_SENT,
    Feature,
)
from tests.gateway.matrix.surfaces import CHAT, MESSAGES, QUERY, SURFACES, Surface
from tests.gateway.matrix.vendors import ANTHROPIC, GEMINI, GROQ, HALF, OPENAI, VENDORS, OpenAI, Vendor, body_of, merged
from tests.upstream import Answer, Blocked, Thinking, ToolCalls
from tests.upstream.signatures import signature

pytestmark = pytest.mark.asyncio(loop_scope="module")

SURFACE = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
TALKING = pytest.mark.parametrize(
    "surface", [each for each in SURFACES.values() if each is not QUERY], ids=[n for n in SURFACES if n != "query"]
)
VENDOR = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def cells(*, refused: bool) -> list[Any]:
    """Those that can be said, or those that cannot."""
    return [
        pytest.param(surface, vendor, name, id=f"{surface_name}-{vendor.name}-{name}")
        for surface_name, surface in SURFACES.items()
        for vendor in VENDORS.values()
        for name, feature in FEATURES.items()
        if name not in NOT_IN_API[surface_name] and (vendor.name not in feature.sent) is refused
    ]


def expected(feature: Feature, surface: Surface, vendor: Vendor) -> Told:
    told = feature.vendors.get(vendor.name, feature.told)
    calls = tuple(replace(call, id=vendor.call_id(1, index)) for index, call in enumerate(told.calls))
    return surface.shows(replace(told, calls=calls))


def headers(surface: Surface, vendor: Vendor, *dropped: str) -> dict[str, str]:
    found = {"provider": vendor.name, "model": vendor.model, "attempts": "1"}
    if dropped:
        found["dropped"] = ", ".join(surface.names.get(name, name) for name in dropped)
    return found


def check_router(got: Got, vendor: Vendor) -> None:
    """The gateway's own addition to an unstreamed chat completion."""
    if got.surface is CHAT and not got.stream:
        requested = f"{vendor.name}/{vendor.model}"
        told = {"service": vendor.name, "requested_model": requested, "actual_model": vendor.model, "attempts": 1}
        assert got.reply.json()["router"] == told


def temperature_of(surface: Surface, vendor: Vendor) -> dict[str, Any]:
    """`/query` always says one."""
    return vendor.temperature(1.0) if surface is QUERY else {}


@STREAM
@pytest.mark.parametrize(("surface", "vendor", "name"), cells(refused=False))
async def test_cell(stage: Stage, surface: Surface, vendor: Vendor, name: str, stream: bool) -> None:
    """The vendor is sent exactly what was asked; the client gets exactly what was answered, as its API says it."""
    feature, up = FEATURES[name], stage.up(vendor)
    sent = feature.sent[vendor.name]
    up.answers.push(feature.answer)
    got = await stage.ask(surface, feature.ask, vendor, stream=stream)
    assert got.told() == expected(feature, surface, vendor)
    assert got.gateway_headers() == headers(surface, vendor, *sent.dropped)
    check_router(got, vendor)
    [request] = up.requests
    assert not up.refused
    wanted = merged(merged(vendor.plain(), sent.fields), temperature_of(surface, vendor))
    assert body_of(request, vendor, stream=stream) == wanted


@STREAM
@pytest.mark.parametrize(("surface", "vendor", "name"), cells(refused=True))
async def test_cell_that_cannot_be_said(
    stage: Stage, surface: Surface, vendor: Vendor, name: str, stream: bool
) -> None:
    """400 in the API's own form, naming its own field; the vendor is not asked."""
    param, _ = REFUSED[vendor.name, name]
    param = surface.names.get(param, param)
    got = await stage.ask(surface, FEATURES[name].ask, vendor, stream=stream)
    error = got.error(400)
    assert error.message == f"no service that has this model can do what '{param}' asks for"
    if surface is not MESSAGES:
        assert (error.code, error.param) == ("unsupported_parameter", param)
    assert got.gateway_headers() == {}
    assert not stage.up(vendor).requests


async def test_every_cell_has_its_reason() -> None:
    """A feature that a vendor has no words for stands in the table of what cannot be said, and nothing else does."""
    missing = {(vendor, name) for name, feature in FEATURES.items() for vendor in VENDORS.keys() - feature.sent.keys()}
    assert missing == REFUSED.keys()
    assert NOT_IN_API.keys() == SURFACES.keys()


UNKNOWN = [
    pytest.param(SURFACES[surface], field, id=f"{surface}-{field}")
    for surface, fields in NOT_IN_API.items()
    for field in fields.values()
    if field
]


@STREAM
@VENDOR
@pytest.mark.parametrize(("surface", "field"), UNKNOWN)
async def test_field_of_another_api(stage: Stage, surface: Surface, vendor: Vendor, field: str, stream: bool) -> None:
    """What an API has no field for is dropped and named, and the rest is answered."""
    value = {"n": 2, "stop": "turns", "logprobs": True, "response_format": {"type": "json_object"}}[field]
    stage.up(vendor).answers.push(ANSWER)
    got = await stage.ask(surface, Ask(), vendor, stream=stream, more={field: value})
    assert got.told() == surface.shows(PLAIN)
    assert got.gateway_headers() == {**headers(surface, vendor), "dropped": field}
    assert body_of(stage.up(vendor).requests[0], vendor, stream=stream) == vendor.plain()


@STREAM
@VENDOR
async def test_query_leaves_thoughts_out(stage: Stage, vendor: Vendor, stream: bool) -> None:
    """`/query` tells the answer alone; the thoughts are counted, and paid for."""
    stage.up(vendor).answers.push(Thinking("Lamps need height.", replace(ANSWER)))
    got = await stage.ask(QUERY, Ask(), vendor, stream=stream)
    assert got.told() == Told(LIGHT, Usage(12, 9, None, None), None)


# Skipped, where another can.

CAN: dict[str, Vendor] = {"two_answers": OPENAI, "any_json": OPENAI, "linked_image": ANTHROPIC, "pdf": ANTHROPIC}


@STREAM
@pytest.mark.parametrize(("surface", "vendor", "name"), cells(refused=True))
async def test_another_service_can(stage: Stage, surface: Surface, vendor: Vendor, name: str, stream: bool) -> None:
    """A service that cannot do it is passed over without a call, and without being counted as an attempt."""
    feature, able = FEATURES[name], CAN[name]
    stage.up(able).answers.push(feature.answer)
    got = await stage.ask(surface, feature.ask, vendor, able, stream=stream)
    assert got.told() == expected(feature, surface, able)
    assert got.gateway_headers() == headers(surface, able)
    assert not stage.up(vendor).requests
    assert len(stage.up(able).requests) == 1


# Tools: there and back.


def said_back(vendor: Vendor, results: tuple[str, str]) -> dict[str, Any]:
    """The second request, in the vendor's words: the calls of the first answer, as the vendor made them, answered."""
    ids = [vendor.call_id(1, index) for index in range(2)]
    calls = [("weather", {"city": "Brest"}), ("tides", {"city": "Kiel"})]
    if isinstance(vendor, OpenAI):
        arguments = ['{"city":"Brest"}', '{"city":"Kiel"}']
        made = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": text}}
            for id, (name, _), text in zip(ids, calls, arguments, strict=True)
        ]
        answers = [{"role": "tool", "tool_call_id": id, "content": text} for id, text in zip(ids, results, strict=True)]
        said = {"role": "assistant", "content": FORECAST, "tool_calls": made}
        return {"messages": [{"role": "user", "content": QUESTION}, said, *answers]}
    if vendor is GEMINI:
        parts: list[dict[str, Any]] = [
            {"functionCall": {"name": name, "args": arguments, "id": id}}
            for id, (name, arguments) in zip(ids, calls, strict=True)
        ]
        parts[0]["thoughtSignature"] = signature("weather")
        answered = [
            {"functionResponse": {"name": name, "response": {"output": text}, "id": id}}
            for id, (name, _), text in zip(ids, calls, results, strict=True)
        ]
        contents = [
            {"role": "user", "parts": [{"text": QUESTION}]},
            {"role": "model", "parts": [{"text": FORECAST}, *parts]},
            {"role": "user", "parts": answered},
        ]
        return {"contents": contents}
    uses = [
        {"type": "tool_use", "id": id, "name": name, "input": arguments}
        for id, (name, arguments) in zip(ids, calls, strict=True)
    ]
    told = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in zip(ids, results, strict=True)]
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": [{"type": "text", "text": FORECAST}, *uses]},
        {"role": "user", "content": told},
    ]
    return {"messages": messages}


@STREAM
@VENDOR
@TALKING
async def test_tools_there_and_back(stage: Stage, surface: Surface, vendor: Vendor, stream: bool) -> None:
    """The answer sent back as it came, with the tools' results: ids, arguments and Google's signature are unchanged."""
    up = stage.up(vendor)
    calls = (("weather", {"city": "Brest"}), ("tides", {"city": "Kiel"}))
    up.answers.push(ToolCalls(calls, text=FORECAST), ANSWER)
    first = (await stage.ask(surface, Ask(tools=True), vendor, stream=stream)).told()
    assert first.calls == tuple(Call(vendor.call_id(1, at), *call) for at, call in enumerate(calls))
    results = ("12 °C", '{"high": "04:10"}')
    back = Ask(tools=True, said=first, results=dict(zip((call.id for call in first.calls), results, strict=True)))
    got = await stage.ask(surface, back, vendor, stream=stream)
    assert got.told() == surface.shows(PLAIN)
    assert got.gateway_headers() == headers(surface, vendor)
    assert not up.refused
    wanted = merged(merged(vendor.plain(), TOOLS_SENT[vendor.name].fields), said_back(vendor, results))
    assert body_of(up.requests[1], vendor, stream=stream) == wanted


@STREAM
@TALKING
@pytest.mark.parametrize(
    ("maker", "taker"),
    [
        (GEMINI, ANTHROPIC),
        (GEMINI, OPENAI),
        (ANTHROPIC, GEMINI),
        (ANTHROPIC, GROQ),
        (OPENAI, GEMINI),
        (OPENAI, ANTHROPIC),
    ],
    ids=lambda vendor: vendor.name,
)
async def test_calls_of_another_vendor(
    stage: Stage, surface: Surface, maker: Vendor, taker: Vendor, stream: bool
) -> None:
    """A conversation may change vendors between a call and its result: none is sent what it would refuse."""
    stage.up(maker).answers.push(Thinking("Which city?", ToolCalls((("weather", {"city": "Brest"}),))))
    stage.up(taker).answers.push(ANSWER)
    first = (await stage.ask(surface, Ask(tools=True), maker, stream=stream)).told()
    back = Ask(tools=True, said=first, results={first.calls[0].id: "12 °C"})
    got = await stage.ask(surface, back, taker, stream=stream)
    assert got.told() == surface.shows(PLAIN)
    assert not stage.up(taker).refused


# Withheld.


@STREAM
@VENDOR
@SURFACE
async def test_withheld(stage: Stage, surface: Surface, vendor: Vendor, stream: bool) -> None:
    """A vendor's filter refuses before the first word: an error of what was asked, or at Anthropic's an answer."""
    stage.up(vendor).answers.push(Blocked())
    got = await stage.ask(surface, Ask(), vendor, stream=stream)
    if surface.withholds:
        # Told where the filter's answer is one that is counted, not where it is an error.
        counted = Usage(0, 0) if isinstance(vendor, OpenAI) else Usage(12, 0)
        assert got.told() == Told("", counted, "content_filter")
        assert got.gateway_headers() == headers(surface, vendor)
    else:
        error = got.error(422 if surface is QUERY else 400)
        assert error.code == "content_policy_violation"
        assert error.message
        assert got.gateway_headers() == {"attempts": "1"}
    assert len(stage.up(vendor).requests) == 1


@VENDOR
@SURFACE
async def test_withheld_midway(stage: Stage, surface: Surface, vendor: Vendor) -> None:
    """
    A vendor's filter steps in after the first words.

    OpenAI's ends the answer with a reason of its own. At the others all of it is withheld: an error, or at Anthropic's
    API the end that says so.
    """
    stage.up(vendor).answers.push(vendor.withheld_midway())
    got = await stage.ask(surface, Ask(), vendor, stream=True)
    assert got.gateway_headers() == headers(surface, vendor)
    assert surface.text(got.frames) == HALF
    if isinstance(vendor, OpenAI):
        assert got.told() == surface.shows(Told(HALF, Usage(12, 3), "content_filter"))
    elif surface.withholds:
        counted = Usage(12, 0 if vendor is GEMINI else 3)  # Google's event counts the prompt only
        assert got.told() == Told(HALF, counted, "content_filter")
    else:
        error = surface.broken(got.frames)
        assert error.code in (None, "content_policy_violation")
        assert error.message
    assert len(stage.up(vendor).requests) == 1


@STREAM
@pytest.mark.parametrize("vendor", [OPENAI, GROQ], ids=["openai", "groq"])
@SURFACE
async def test_refusal_of_the_model(stage: Stage, surface: Surface, vendor: OpenAI, stream: bool) -> None:
    """The model's own refusal: in its own field where the API has one, else the model's words."""
    stage.up(vendor).answers.push(vendor.refusing("I cannot help.", stream=stream))
    got = await stage.ask(surface, Ask(), vendor, stream=stream)
    told = Told("", Usage(12, 3), refusal="I cannot help.")
    assert got.told() == surface.shows(told)
    assert got.gateway_headers() == headers(surface, vendor)


@STREAM
@VENDOR
@SURFACE
async def test_a_withheld_answer_is_not_shopped_for(
    stage: Stage, surface: Surface, vendor: Vendor, stream: bool
) -> None:
    """Another service is not asked for what one has withheld."""
    other = ANTHROPIC if vendor is not ANTHROPIC else OPENAI
    stage.up(vendor).answers.push(Blocked())
    got = await stage.ask(surface, Ask(), vendor, other, stream=stream)
    assert got.gateway_headers()["attempts"] == "1"
    assert not stage.up(other).requests


@STREAM
@SURFACE
async def test_the_model_that_answers_is_told(stage: Stage, surface: Surface, stream: bool) -> None:
    """A provider may name a dated model: the answer and its header tell it, a stream's header what was asked for."""
    stage.up(OPENAI).answers.push(Answer(LIGHT, model="gpt-5.4-mini-2026-03-05"))
    got = await stage.ask(surface, Ask(), OPENAI, stream=stream)
    got.told()
    assert "gpt-5.4-mini-2026-03-05" in got.reply.text
    assert got.gateway_headers()["model"] == ("gpt-5.4-mini" if stream else "gpt-5.4-mini-2026-03-05")
