"""The checkers pass what is sound, and fail each way of breaking it."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any, Literal

import pytest

from tests.conformance import samples
from tests.conformance.anthropic_messages import check_anthropic_error, check_anthropic_message, check_anthropic_stream
from tests.conformance.checker import DOCUMENT, JudgingByTag, check_openai, check_openai_embeddings, tags
from tests.conformance.cut import ROOTS, cut
from tests.conformance.frames import Frame, read_frames
from tests.conformance.openai_stream import check_openai_stream

JSON = dict[str, Any]
Path = tuple[str | int, ...]
GONE = object()

VALUES: dict[str, Callable[[], JSON]] = {
    "CreateChatCompletionResponse": samples.completion,
    "CreateChatCompletionStreamResponse": lambda: samples.tool_chunks()[1],
    "CreateEmbeddingResponse": lambda: samples.embeddings([0.5, 1]),
    "Error": lambda: samples.ERROR["error"],
    "ErrorResponse": lambda: samples.ERROR,
    "ListModelsResponse": lambda: {"object": "list", "data": [samples.model()]},
    "Model": samples.model,
    "Response": samples.whole_response,
    "ResponseStreamEvent": lambda: samples.response_events()[10],
}


def broken(value: Any, path: Path, new: object) -> Any:
    """A copy of the value with another one at the path, or none."""
    value = json.loads(json.dumps(value))
    *steps, last = path
    place = value
    for step in steps:
        place = place[step]
    if new is GONE:
        del place[last]
    else:
        place[last] = new
    return value


def rejects(said: str) -> Any:
    """The checker must fail, and say this."""
    return pytest.raises(AssertionError, match=said)


# One value


@pytest.mark.parametrize("name", VALUES)
def test_sound_values_pass(name: str) -> None:
    """A sound value of each schema, with a key nobody knows."""
    check_openai(name, VALUES[name]())
    check_openai(name, {**VALUES[name](), "unheard_of": 1})


CHAT = "CreateChatCompletionResponse"
CHUNK = "CreateChatCompletionStreamResponse"
EVENT = "ResponseStreamEvent"


@pytest.mark.parametrize(
    ("name", "path", "new", "said"),
    [
        # a key the document requires
        *((CHAT, (key,), GONE, f"'{key}' is a required") for key in ("id", "object", "created", "model", "choices")),
        (CHAT, ("choices", 0, "message", "refusal"), GONE, r"\$\.choices\[0\]\.message: 'refusal' is a required"),
        (CHAT, ("choices", 0, "message", "content"), GONE, "'content' is a required"),
        (CHAT, ("choices", 0, "finish_reason"), GONE, "'finish_reason' is a required"),
        (CHAT, ("choices", 0, "logprobs"), GONE, "'logprobs' is a required"),
        (CHAT, ("choices", 0, "message", "tool_calls", 0, "id"), GONE, r"tool_calls\[0\]: 'id' is a required"),
        (CHAT, ("usage", "total_tokens"), GONE, "'total_tokens' is a required"),
        (CHUNK, ("choices", 0, "delta"), GONE, "'delta' is a required"),
        (CHUNK, ("choices", 0, "finish_reason"), GONE, "'finish_reason' is a required"),
        ("CreateEmbeddingResponse", ("usage",), GONE, "'usage' is a required"),
        *(("Error", (key,), GONE, f"'{key}' is a required") for key in ("message", "type", "param", "code")),
        ("ErrorResponse", ("error", "code"), GONE, r"\$\.error: 'code' is a required"),
        ("ErrorResponse", ("error",), "Slow down.", "is not of type 'object'"),
        ("ListModelsResponse", ("data", 0, "owned_by"), GONE, r"\$\.data\[0\]: 'owned_by' is a required"),
        *(("Response", (key,), GONE, f"'{key}' is a required") for key in ("output", "error", "metadata", "tools")),
        ("Response", ("output", 1, "content", 0, "annotations"), GONE, r"output\[1\]\.content\[0\]: 'annotations'"),
        ("Response", ("output", 2, "call_id"), GONE, r"\$\.output\[2\]: 'call_id' is a required"),
        (EVENT, ("item_id",), GONE, r"\$: 'item_id' is a required"),
        (EVENT, ("logprobs",), GONE, r"\$: 'logprobs' is a required"),
        # a key that only the newer SDK requires
        ("Response", ("usage", "input_tokens_details", "cache_write_tokens"), GONE, "cache_write_tokens: Field requ"),
        # a type
        (CHAT, ("created",), "1764000000", r"\$\.created: '1764000000' is not of type 'integer'"),
        (CHAT, ("created",), 1764000000.0, r"\$\.created: Input should be a valid integer"),
        (CHAT, ("created",), True, "True is not of type 'integer'"),
        (CHAT, ("choices", 0, "message", "content"), 5, r"message\.content: 5 is not valid"),
        (CHAT, ("choices", 0, "message", "tool_calls", 0, "function", "arguments"), {}, "{} is not of type 'string'"),
        (CHAT, ("choices",), {}, "{} is not of type 'array'"),
        (CHAT, ("usage",), None, "None is not of type 'object'"),
        (CHAT, ("created",), float("nan"), "nan"),
        (CHUNK, ("usage",), {}, r"\$\.usage: {} is not valid"),
        ("CreateEmbeddingResponse", ("data", 0, "embedding"), "AAAA", "'AAAA' is not of type 'array'"),
        ("Error", ("code",), 429, r"\$\.code: 429 is not valid"),
        ("Model", ("created",), "today", "'today' is not of type 'integer'"),
        ("Response", ("output",), None, "None is not of type 'array'"),
        (EVENT, ("sequence_number",), "4", "'4' is not of type 'integer'"),
        # a word
        (CHAT, ("object",), "chat.completion.chunk", r"\$\.object: 'chat.completion.chunk' is not one of"),
        (CHAT, ("choices", 0, "message", "role"), "model", "'model' is not one of"),
        (CHAT, ("choices", 0, "finish_reason"), "STOP", "'STOP' is not one of"),
        (CHAT, ("choices", 0, "finish_reason"), None, "None is not one of|None is not of type"),
        (CHUNK, ("choices", 0, "finish_reason"), "end_turn", "'end_turn' is not one of"),
        ("ListModelsResponse", ("object",), "models", "'models' is not one of"),
        ("Model", ("object",), "list", "'list' is not one of"),
        ("Response", ("status",), "done", "'done' is not one of"),
        # a tag of a union
        ("Response", ("output", 1, "type"), "text", r"\$\.output\[1\]: type 'text' is unknown here"),
        ("Response", ("output", 1, "content", 0, "type"), "text", r"content\[0\]: type 'text' is unknown here"),
        (EVENT, ("type",), "response.text.delta", r"\$: type 'response.text.delta' is unknown here"),
        (EVENT, ("type",), ["response.output_text.delta"], "is unknown here"),
        (EVENT, ("type",), GONE, r"\$: type None is unknown here"),
    ],
)
def test_broken_values_fail(name: str, path: Path, new: object, said: str) -> None:
    """One key gone or wrong is found, and its place told."""
    with rejects(said):
        check_openai(name, broken(VALUES[name](), path, new))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("value", [None, [], {}, "", 0])
def test_other_json_fails(name: str, value: object) -> None:
    """No schema takes everything."""
    with rejects(".*"):
        check_openai(name, value)


def test_every_problem_is_told() -> None:
    """Not only the first."""
    with rejects(r"(?s)created.*\n.*finish_reason|(?s:finish_reason.*\n.*created)"):
        check_openai(CHAT, broken(broken(samples.completion(), ("created",), ""), ("choices", 0, "finish_reason"), ""))


def test_unions_whose_members_share_a_tag_are_tried() -> None:
    """A tag that names two members leaves both."""
    member: JSON = {
        "type": "object",
        "properties": {"type": {"enum": ["a"]}, "n": {"type": "integer"}},
        "required": ["n"],
    }
    other = {**member, "properties": {**member["properties"], "n": {"type": "string"}}}
    union = JudgingByTag({"oneOf": [member, other], "discriminator": {"propertyName": "type"}})
    assert union.is_valid({"type": "a", "n": 1})
    assert union.is_valid({"type": "a", "n": "1"})
    assert not union.is_valid({"type": "a", "n": None})
    assert not union.is_valid({"type": "b", "n": 1})


def test_unknown_schema() -> None:
    """A name that is not in the document is a mistake of the test, not of the value."""
    with pytest.raises(KeyError):
        check_openai("ChatCompletion", {})


def test_every_discriminated_branch_has_tags() -> None:
    """A union that names its discriminator can be judged by it, and tells all its branches apart or tries them all."""

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if "discriminator" in node:
                key = node["discriminator"]["propertyName"]
                assert all(tags(branch, key) for branch in node.get("anyOf", []) + node.get("oneOf", []))
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(DOCUMENT["components"]["schemas"])


# The fixture


def test_fixture_is_what_the_roots_reach() -> None:
    """Nothing is missing, and nothing is left over."""
    schemas = DOCUMENT["components"]["schemas"]
    assert set(cut(schemas)) == set(schemas) >= set(ROOTS)


def test_cut() -> None:
    """Each step, on a document of its own."""
    prose: JSON = {"title": "T", "description": "D", "default": 1, "x-meta": 1}
    response: JSON = {"properties": {"usage": {"type": "object"}, "title": {"type": "string", **prose}}, **prose}
    tree: JSON = {"anyOf": [{"$recursiveRef": "#"}, {"type": "string"}], "$recursiveAnchor": True}
    schemas: dict[str, JSON] = {name: {"type": "object", **prose} for name in ROOTS}
    schemas |= {"Response": response, "Tree": tree, "Unreached": {"type": "null"}}
    schemas["Model"] = {"type": "array", "items": {"$ref": "#/components/schemas/Tree", "nullable": True}}
    tree_reference = {"$ref": "#/components/schemas/Tree"}
    assert cut(schemas) == {name: {"type": "object"} for name in ROOTS} | {
        "Response": {
            "type": "object",
            "properties": {"usage": {"anyOf": [{"type": "object"}, {"type": "null"}]}, "title": {"type": "string"}},
        },
        "Model": {"type": "array", "items": {"anyOf": [tree_reference, {"type": "null"}]}},
        "Tree": {"anyOf": [tree_reference, {"type": "string"}]},
    }


# Embeddings


def packed(*numbers: float) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_embeddings_pass() -> None:
    """Numbers and base64, one or several."""
    check_openai_embeddings(samples.embeddings([0.5, 1, -2]), dimensions=3)
    check_openai_embeddings(samples.embeddings(packed(0.5, 1), packed(2, 3)), dimensions=2)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (samples.embeddings(), "vectors of lengths"),
        (samples.embeddings([1.0], [1.0, 2.0]), "vectors of lengths"),
        (samples.embeddings([]), "vectors of length"),
        (samples.embeddings([1.0]), "vectors of length"),
        (samples.embeddings("not base64"), "not base64"),
        (samples.embeddings("AAAA"), "3 bytes"),
        (broken(samples.embeddings([1.0, 2.0]), ("data", 0, "index"), 1), "indexes"),
        ([], "is not of type 'object'"),
    ],
)
def test_broken_embeddings_fail(value: object, said: str) -> None:
    """Lengths, indexes and encoding."""
    with rejects(said):
        check_openai_embeddings(value, dimensions=None if value == samples.embeddings([]) else 2)


# Frames


def test_frames() -> None:
    """Names, comments, joined lines and every line end."""
    assert read_frames(b"") == []
    assert read_frames(b": hi\n\nevent: a\ndata: 1\ndata: 2\n\r\ndata:\xc3\xa9\r\r") == [
        Frame("a", "1\n2"),
        Frame(None, "é"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"data: 1",
        b"data: 1\n",
        b"event: a\n",
        b"event: a\n\n",
        b"event: a\n\ndata: 1\n\n",
        b"event: a\nevent: b\ndata: 1\n\n",
        b"{}\n\n",
    ],
)
def test_broken_frames_fail(body: bytes) -> None:
    """A cut body, a name without data, two names, no event stream at all."""
    with rejects(".*"):
        read_frames(body)


# Chat completions, streamed

ROUTE: Literal["/v1/chat/completions"] = "/v1/chat/completions"
LOST = '{"error": {"message": "Lost.", "type": "server_error", "param": null, "code": null}}'


def test_sound_chat_streams_pass() -> None:
    """Text, tools, usage, two choices, and an announced failure at any point."""
    check_openai_stream(ROUTE, samples.chat_frames(samples.text_chunks()))
    check_openai_stream(ROUTE, samples.chat_frames(samples.tool_chunks()))
    check_openai_stream(ROUTE, samples.chat_frames(samples.usage_chunks()), include_usage=True)
    second = [broken(chunk, ("choices", 0, "index"), 1) for chunk in samples.text_chunks()]
    both = [chunk for pair in zip(second, samples.text_chunks(), strict=True) for chunk in pair]
    check_openai_stream(ROUTE, samples.chat_frames(both))
    for count in range(5):
        check_openai_stream(ROUTE, samples.chat_frames(samples.text_chunks()[:count], end=LOST), failed=True)


def test_an_error_must_be_expected() -> None:
    """A stream that ends in an error is no pass of a test that wanted an answer, nor the reverse."""
    with rejects("not .DONE."):
        check_openai_stream(ROUTE, samples.chat_frames(samples.text_chunks(), end=LOST))
    with rejects("not JSON"):
        check_openai_stream(ROUTE, samples.chat_frames(samples.text_chunks()), failed=True)


@pytest.mark.parametrize(
    ("chunks", "end", "said"),
    [
        ([], "[DONE]", "no choices"),
        (samples.text_chunks(), "[done]", "not .DONE."),
        (samples.text_chunks(), '{"error": {}}', "not .DONE."),
        # the head of each chunk
        (broken(samples.text_chunks(), (2, "id"), "chatcmpl-2"), "[DONE]", "id changes"),
        (broken(samples.text_chunks(), (2, "created"), 1764000001), "[DONE]", "created changes"),
        (broken(samples.text_chunks(), (2, "model"), "gpt-6"), "[DONE]", "model changes"),
        (broken(samples.text_chunks(), (2, "object"), "chat.completion"), "[DONE]", "is not one of"),
        ([{"error": samples.ERROR["error"]}, *samples.text_chunks()], "[DONE]", "'choices' is a required"),
        # roles and finish reasons
        (samples.text_chunks()[1:], "[DONE]", "has no role"),
        (broken(samples.text_chunks(), (1, "choices", 0, "delta", "role"), "assistant"), "[DONE]", "role twice"),
        (samples.text_chunks()[:3], "[DONE]", "without a finish reason"),
        ([*samples.text_chunks(), samples.text_chunks()[3]], "[DONE]", "after its finish reason"),
        ([*samples.text_chunks(), samples.text_chunks()[1]], "[DONE]", "after its finish reason"),
        (broken(samples.text_chunks(), (3, "choices", 0, "finish_reason"), "tool_calls"), "[DONE]", "no tool call"),
        # choices
        ([broken(each, ("choices", 0, "index"), 1) for each in samples.text_chunks()], "[DONE]", "numbered"),
        ([*samples.text_chunks(), samples.chunk()], "[DONE]", "without choices"),
        # usage that was not asked for
        (samples.usage_chunks(), "[DONE]", "usage where none belongs"),
        (broken(samples.text_chunks(), (3, "usage"), samples.CHAT_USAGE), "[DONE]", "usage where none belongs"),
        # tool calls
        (samples.tool_chunks()[:1] + samples.tool_chunks()[2:], "[DONE]", "tool call 0 begins with"),
        (samples.tool_chunks()[:3] + samples.tool_chunks()[4:], "[DONE]", "arguments are not JSON"),
        (samples.tool_chunks()[:1] + samples.tool_chunks()[4:], "[DONE]", "tool call 1 is out of order"),
        (
            [*samples.tool_chunks()[:2], *samples.tool_chunks()[1:]],
            "[DONE]",
            "tool call 0 repeats",
        ),
        (
            broken(samples.tool_chunks(), (4, "choices", 0, "delta", "tool_calls", 0, "id"), "call_1"),
            "[DONE]",
            "two tool calls",
        ),
        (
            broken(samples.tool_chunks(), (4, "choices", 0, "delta", "tool_calls", 0, "function", "arguments"), "[]"),
            "[DONE]",
            "arguments are not an object",
        ),
        (
            broken(samples.tool_chunks(), (4, "choices", 0, "delta", "tool_calls", 0, "function"), GONE),
            "[DONE]",
            "has no function",
        ),
    ],
)
def test_broken_chat_streams_fail(chunks: list[JSON], end: str, said: str) -> None:
    """Each rule of the stream."""
    with rejects(said):
        check_openai_stream(ROUTE, samples.chat_frames(chunks, end=end))


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([], "no chunks"),
        (samples.text_chunks(), "the last chunk has none"),
        (samples.usage_chunks()[:-1], "the last chunk has none"),
        ([*samples.text_chunks(), samples.usage_chunks()[-1]], "`usage: null` is missing"),
        (samples.usage_chunks() + samples.usage_chunks()[-1:], "usage where none belongs"),
        (broken(samples.usage_chunks(), (4, "choices"), [samples.choice({})]), "has choices"),
    ],
)
def test_broken_usage_fails(chunks: list[JSON], said: str) -> None:
    """When it was asked for."""
    with rejects(said):
        check_openai_stream(ROUTE, samples.chat_frames(chunks), include_usage=True)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "no frames"),
        ([Frame("message", "{}"), *samples.chat_frames(samples.text_chunks())], "no event name"),
        ([*samples.chat_frames([]), *samples.chat_frames(samples.text_chunks())], "not JSON"),
        (samples.chat_frames(samples.text_chunks()) + samples.chat_frames([]), "not JSON"),
        (samples.chat_frames(samples.text_chunks())[:-1], "not .DONE."),
    ],
)
def test_broken_chat_frames_fail(frames: list[Frame], said: str) -> None:
    """Names and [DONE]."""
    with rejects(said):
        check_openai_stream(ROUTE, frames)


# Responses, streamed


def renumbered(events: list[JSON], *steps: tuple[Literal["drop", "twice"], int]) -> list[JSON]:
    """The events with one dropped or doubled, numbered anew."""
    for step, at in steps:
        events = events[:at] + ([events[at]] * 2 if step == "twice" else []) + events[at + 1 :]
    return samples.numbered(*events)


def test_sound_responses_streams_pass() -> None:
    """Reasoning, text and a call; cut short; failed in both ways, at any point."""
    check_openai_stream("/v1/responses", samples.named_frames(samples.response_events()))
    check_openai_stream("/v1/responses", samples.named_frames(samples.incomplete_events()))
    for failing in (samples.failed_events(), samples.error_events()):
        for count in range(len(failing)):
            events = samples.numbered(*failing[:count], failing[-1])
            check_openai_stream("/v1/responses", samples.named_frames(events), failed=True)


def test_a_failure_must_be_expected() -> None:
    """A failed stream is no pass of a test that wanted an answer, nor the reverse."""
    for failing in (samples.failed_events(), samples.error_events()):
        with rejects("the stream ends with"):
            check_openai_stream("/v1/responses", samples.named_frames(failing))
    with rejects("the stream ends with"):
        check_openai_stream("/v1/responses", samples.named_frames(samples.response_events()), failed=True)


def test_no_event_can_be_missed_or_doubled() -> None:
    """Each event of the sound stream but the deltas' own text is needed exactly once."""
    for at in range(len(samples.response_events())):
        for step in ("drop", "twice"):
            events = renumbered(samples.response_events(), (step, at))
            with rejects(".*"):
                check_openai_stream("/v1/responses", samples.named_frames(events))


def test_no_two_neighbours_can_change_places() -> None:
    """The order of the sound stream is the only one."""
    for at in range(len(samples.response_events()) - 1):
        events = samples.response_events()
        events[at], events[at + 1] = events[at + 1], events[at]
        with rejects(".*"):
            check_openai_stream("/v1/responses", samples.named_frames(samples.numbered(*events)))


@pytest.mark.parametrize(
    ("path", "new", "said"),
    [
        ((4, "sequence_number"), 5, "sequence numbers are"),
        ((0, "sequence_number"), 1, "sequence numbers are"),
        ((4, "sequence_number"), GONE, "'sequence_number' is a required"),
        # the envelope
        ((1, "response", "id"), "resp_2", "id changes"),
        ((20, "response", "created_at"), 1764000001, "created_at changes"),
        ((20, "response", "model"), "gpt-6", "model changes"),
        ((0, "response", "status"), "queued", "response.created with status 'queued'"),
        ((20, "response", "status"), "in_progress", "response.completed with status 'in_progress'"),
        ((20, "response", "error"), {"code": "server_error", "message": ""}, "response.completed with error"),
        ((20, "response", "incomplete_details"), {"reason": "content_filter"}, "with incomplete_details"),
        ((1, "response", "output"), [samples.reasoning([])], "has output already"),
        ((1, "response", "usage"), samples.RESPONSE_USAGE, "has usage already"),
        # where things belong
        ((2, "output_index"), 1, "another output_index"),
        ((10, "output_index"), 0, "another output_index"),
        ((10, "item_id"), "msg_2", "another item_id"),
        ((10, "content_index"), 1, "another content_index"),
        ((9, "content_index"), 1, "another content_index"),
        ((4, "summary_index"), 1, "another summary_index"),
        ((15, "item", "id"), "msg_1", "two items have the id"),
        ((15, "item", "id"), GONE, "an item without an id"),
        # beginnings
        ((8, "item", "status"), "completed", "begins with status"),
        ((8, "item", "content"), [samples.text_part("")], "begins with content"),
        ((15, "item", "arguments"), "{", "begins with arguments"),
        ((9, "part", "text"), "H", "begins with text"),
        # the text, at each of the places that tell it
        ((11, "delta"), " here", "is not what the deltas were"),
        ((12, "text"), "Hello here", "is not what the deltas were"),
        ((13, "part", "text"), "Hello here", "not the one told"),
        ((14, "item", "content", 0, "text"), "Hello here", "not what its parts were"),
        ((20, "response", "output", 1, "content", 0, "text"), "Hello here", "output at the end"),
        ((4, "delta"), "Ha.", "is not what the deltas were"),
        ((6, "part", "text"), "Ha.", "not the one told"),
        ((7, "item", "summary", 0, "text"), "Ha.", "not what its parts were"),
        ((17, "delta"), '"Rome"}', "is not what the deltas were"),
        ((18, "arguments"), "{}", "is not what the deltas were"),
        ((18, "name"), "clock", "the name of the function changes"),
        ((19, "item", "arguments"), "{}", "not those told"),
        ((20, "response", "output", 2, "arguments"), "{}", "output at the end"),
        ((20, "response", "output"), [], "output at the end"),
        # ends
        ((14, "item", "id"), "msg_2", "id changes"),
        ((14, "item", "status"), "in_progress", "an item ends 'in_progress'"),
        ((19, "item", "call_id"), "call_2", "call_id changes"),
        ((19, "item", "name"), "clock", "name changes"),
        ((13, "part"), {"type": "refusal", "refusal": "Hello there"}, "a part's type changes"),
        # kinds
        ((9, "part"), {"type": "refusal", "refusal": ""}, "in a part refusal"),
        (
            (10,),
            {**samples.response_events()[10], "type": "response.refusal.delta"},
            "in a part output_text",
        ),
        (
            (10,),
            {**samples.response_events()[10], "type": "response.web_search_call.searching"},
            "is not expected here",
        ),
    ],
)
def test_broken_responses_streams_fail(path: Path, new: object, said: str) -> None:
    """Numbers, places, and every text told alike everywhere."""
    with rejects(said):
        check_openai_stream("/v1/responses", samples.named_frames(broken(samples.response_events(), path, new)))


def without(events: list[JSON], *dropped: int) -> list[JSON]:
    """The events but those, numbered anew."""
    return samples.numbered(*(event for at, event in enumerate(events) if at not in dropped))


def test_what_is_begun_must_end() -> None:
    """And the reverse, even where the rest is told to fit."""
    events = samples.response_events()
    called_off = broken(without(events, 19), (19, "response", "output", 2), GONE)
    with rejects("an item is left open"):
        check_openai_stream("/v1/responses", samples.named_frames(called_off))
    unsaid = broken(without(events, 13), (13, "item", "content"), [])
    with rejects("an item ends inside a part"):
        check_openai_stream("/v1/responses", samples.named_frames(unsaid))
    with rejects("a part ends that was not begun"):
        check_openai_stream("/v1/responses", samples.named_frames(without(events, 9, 10, 11, 12)))
    arguments = {**events[16], "item_id": "msg_1", "output_index": 1, "sequence_number": 10}
    with rejects("arguments of a message"):
        check_openai_stream("/v1/responses", samples.named_frames(broken(events, (10,), arguments)))


def test_broken_responses_ends_fail() -> None:
    """An end tells its reason."""
    for events, key in ((samples.incomplete_events(), "incomplete_details"), (samples.failed_events(), "error")):
        frames = samples.named_frames(broken(events, (-1, "response", key), None))
        with rejects(f"with {key} None"):
            check_openai_stream("/v1/responses", frames, failed=key == "error")


def test_broken_responses_frames_fail() -> None:
    """Each frame has the name of its event, and there is no [DONE]."""
    frames = samples.named_frames(samples.response_events())
    for wrong in ([], [*frames, Frame(None, "[DONE]")], [Frame(None, frames[0].data), *frames[1:]]):
        with rejects("no frames|not JSON|carries"):
            check_openai_stream("/v1/responses", wrong)
    with rejects("event 'response.completed' carries"):
        check_openai_stream("/v1/responses", [Frame("response.completed", frames[0].data), *frames[1:]])


# Anthropic


def test_sound_messages_pass() -> None:
    """A Message of every kind of block, with a key nobody knows; one stopped by a sequence."""
    check_anthropic_message({**samples.anthropic_message(), "unheard_of": 1})
    check_anthropic_message({**samples.anthropic_message(), "stop_reason": "stop_sequence", "stop_sequence": "END"})


@pytest.mark.parametrize(
    ("path", "new", "said"),
    [
        *(
            ((key,), GONE, key)
            for key in ("id", "type", "role", "model", "content", "usage", "stop_reason", "stop_sequence")
        ),
        (("type",), "completion", r"\$\.type: Input should be 'message'"),
        (("role",), "model", r"\$\.role: Input should be 'assistant'"),
        (("id",), 1, r"\$\.id: Input should be a valid string"),
        (("content",), "Hello", r"\$\.content: Input should be a valid"),
        (("content", 0, "signature"), GONE, "signature: Field required"),
        (("content", 1, "text"), GONE, "text: Field required"),
        (("content", 1, "text"), None, "text: Input should be a valid string"),
        (("content", 1, "type"), "output_text", r"\$\.content\.1"),
        (("content", 2, "input"), '{"city": "Oslo"}', "input: Input should be"),
        (("content", 2, "id"), GONE, "id: Field required"),
        (("content", 2), GONE, "and no such block"),
        (("usage", "input_tokens"), GONE, "input_tokens: Field required"),
        (("usage", "output_tokens"), "4", "output_tokens: Input should be a valid integer"),
        (("usage", "output_tokens"), None, "output_tokens: Input should be a valid integer"),
        (("stop_reason",), "stop", "stop_reason"),
        (("stop_reason",), None, "no stop reason"),
        (("stop_reason",), "stop_sequence", "stop sequence None"),
        (("stop_sequence",), "END", "stop sequence 'END'"),
        (("usage", "input_tokens"), float("nan"), "not JSON"),
    ],
)
def test_broken_messages_fail(path: Path, new: object, said: str) -> None:
    """The SDK's types, that swallow all this when they are built by the SDK, reject it when read strictly."""
    with rejects(said):
        check_anthropic_message(broken(samples.anthropic_message(), path, new))


@pytest.mark.parametrize("value", [None, [], {}, "", 0, samples.completion(), samples.anthropic_error()])
def test_other_json_is_no_message(value: object) -> None:
    """Least of all OpenAI's."""
    with rejects(".*"):
        check_anthropic_message(value)


def test_sound_errors_pass() -> None:
    """Types of the SDK's union, and of the API's beyond it; request_id may be absent from an event."""
    for kind in ("invalid_request_error", "api_error", "request_too_large", "conflict_error"):
        check_anthropic_error(samples.anthropic_error(kind))
    check_anthropic_error(broken(samples.anthropic_error(), ("request_id",), GONE))


@pytest.mark.parametrize("kind", ["overloaded_error", "request_too_large"])
@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("type",), GONE),
        (("type",), "overloaded_error"),
        (("error",), GONE),
        (("error",), "Overloaded"),
        (("error", "type"), GONE),
        (("error", "type"), "server_error"),
        (("error", "type"), 529),
        (("error", "message"), GONE),
        (("error", "message"), None),
        (("request_id",), 1),
    ],
)
def test_broken_errors_fail(kind: str, path: Path, new: object) -> None:
    """The envelope, the type and the message."""
    with rejects("not as the SDK's type"):
        check_anthropic_error(broken(samples.anthropic_error(kind), path, new))


def test_openai_errors_are_not_anthropic_errors() -> None:
    """The envelopes differ, both ways."""
    with rejects("not as the SDK's type"):
        check_anthropic_error(samples.ERROR)
    with rejects("is a required property"):
        check_openai("ErrorResponse", samples.anthropic_error())


def test_sound_message_streams_pass() -> None:
    """Every kind of block; a tool without input; a failure at any point."""
    events = samples.anthropic_events()
    check_anthropic_stream(samples.named_frames(events))
    check_anthropic_stream(samples.named_frames([*events[:11], *events[13:]]))
    for count in range(len(events) - 1):
        failing = [*events[:count], samples.anthropic_error()]
        check_anthropic_stream(samples.named_frames(failing), failed=True)


def test_an_anthropic_failure_must_be_expected() -> None:
    """A failed stream is no pass of a test that wanted an answer, nor the reverse."""
    events = samples.anthropic_events()
    with rejects("not as the SDK's type"):
        check_anthropic_stream(samples.named_frames([*events[:9], samples.anthropic_error()]))
    with rejects("the stream ends with message_stop"):
        check_anthropic_stream(samples.named_frames(events), failed=True)


DELTAS = {at for at, event in enumerate(samples.anthropic_events()) if event["type"] in {"content_block_delta", "ping"}}


def test_no_anthropic_event_can_be_missed_or_doubled() -> None:
    """Each event is needed exactly once, but for pings and deltas, which may be any number."""
    for at in sorted(set(range(len(samples.anthropic_events()))) - DELTAS):
        events = samples.anthropic_events()
        for wrong in (events[:at] + events[at + 1 :], events[: at + 1] + events[at:]):
            with rejects(".*"):
                check_anthropic_stream(samples.named_frames(wrong))


def test_no_two_anthropic_neighbours_can_change_places() -> None:
    """But for neighbours that are both deltas or pings."""
    for at in range(len(samples.anthropic_events()) - 1):
        events = samples.anthropic_events()
        events[at], events[at + 1] = events[at + 1], events[at]
        if not {at, at + 1} <= DELTAS and events[at]["type"] != "ping" and events[at + 1]["type"] != "ping":
            with rejects(".*"):
                check_anthropic_stream(samples.named_frames(events))


@pytest.mark.parametrize(
    ("path", "new", "said"),
    [
        ((0, "message", "content"), [{"type": "text", "text": ""}], "message_start has content"),
        ((0, "message", "stop_reason"), "end_turn", "message_start has a stop reason"),
        ((0, "message", "stop_sequence"), GONE, "missing"),
        ((0, "message", "usage"), GONE, "usage: Field required"),
        ((1, "index"), 1, "block 1 is out of order"),
        ((6, "index"), 0, "block 0 is out of order"),
        ((7, "index"), 0, "a delta of block 0 in another"),
        ((9, "index"), 0, "block 0 ends in another"),
        ((9, "index"), "1", "index: Input should be a valid integer"),
        ((6, "content_block", "text"), "Hel", "begins with text"),
        ((10, "content_block", "input"), {"city": "Oslo"}, "begins with input"),
        ((10, "content_block", "input"), GONE, "input: Field required"),
        ((7, "delta", "type"), "output_text_delta", "Input should be"),
        ((7, "delta"), {"type": "input_json_delta", "partial_json": "{}"}, "input_json_delta in a block text"),
        ((11, "delta"), {"type": "text_delta", "text": "{"}, "text_delta in a block tool_use"),
        ((12, "delta", "partial_json"), '"Oslo"', "the input is not JSON"),
        ((2, "note"), "hi", "a ping carries"),
        ((14, "delta", "stop_reason"), None, "no stop reason"),
        ((14, "delta", "stop_reason"), "tool_calls", "stop_reason"),
        ((14, "delta", "stop_reason"), "stop_sequence", "stop sequence None"),
        ((14, "delta", "stop_sequence"), GONE, "lacks a stop reason or sequence"),
        ((14, "usage"), GONE, "usage: Field required"),
        ((14, "usage", "output_tokens"), None, "output_tokens: Input should be a valid integer"),
    ],
)
def test_broken_message_streams_fail(path: Path, new: object, said: str) -> None:
    """Indexes, kinds, beginnings and ends."""
    with rejects(said):
        check_anthropic_stream(samples.named_frames(broken(samples.anthropic_events(), path, new)))


def test_broken_message_frames_fail() -> None:
    """Each frame has the name of its event, and there is no [DONE]."""
    frames = samples.named_frames(samples.anthropic_events())
    for wrong in (
        [],
        [frames[2], *frames],
        [*frames, Frame(None, "[DONE]")],
        [Frame(None, frames[0].data), *frames[1:]],
    ):
        with rejects("no events|ping before|not JSON|carries"):
            check_anthropic_stream(wrong)


def test_blocks_end_before_the_message() -> None:
    """Even where the stop reason has no need of them."""
    *events, last, stop = broken(samples.anthropic_events(), (14, "delta", "stop_reason"), "end_turn")
    for wrong, said in (
        ([*events[:9], last, stop], "message_delta inside a block"),
        ([*events[:6], last, *events[6:], stop], "a block after message_delta"),
        ([*events[:6], events[5], last, stop], "a block ends that was not begun"),
    ):
        with rejects(said):
            check_anthropic_stream(samples.named_frames(wrong))


def test_a_tool_takes_an_object() -> None:
    """A list is none."""
    events = broken(samples.anthropic_events(), (11, "delta", "partial_json"), "[]")
    with rejects("the input is not an object"):
        check_anthropic_stream(samples.named_frames(events[:12] + events[13:]))


def test_tool_use_needs_its_block() -> None:
    """A stream that stops for a tool has named one."""
    events = samples.anthropic_events()
    with rejects("and no such block"):
        check_anthropic_stream(samples.named_frames([*events[:10], *events[14:]]))
