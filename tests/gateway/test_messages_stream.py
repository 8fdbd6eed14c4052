"""How one stream of Anthropic's Messages is written, whatever order a model's parts come in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.restoring import Restoring
from gateway.surfaces.messages import MessagesStream
from providers.base import Target
from providers.cascade import Answer
from providers.chat import Chunk, Completion, FinishReason, Thinking, ToolCallPiece, Usage
from providers.openai_compatible import OpenAICompatible
from tests.conformance.anthropic_messages import check_anthropic_stream
from tests.conformance.frames import read_frames

TARGET = Target("s", "m", OpenAICompatible(), "http://127.0.0.1:1")


def text(words: str) -> Chunk:
    return Chunk(words)


def thought(words: str) -> Chunk:
    return Chunk(thinking=Thinking(words))


def piece(index: int, arguments: str = "", *, begins: bool = False, custom: bool = False) -> Chunk:
    """A step of a call; the first one has its id and name."""
    id, name = (f"call_{index}", f"f{index}") if begins else ("", "")
    return Chunk(tool_calls=(ToolCallPiece(index, arguments, id, name, custom=custom),))


@dataclass
class Block:
    """One block, as a client puts it together. `said` is its text, thought or arguments."""

    kind: str
    name: str = ""
    id: str = ""
    said: str = ""

    @property
    def input(self) -> Any:
        return orjson.loads(self.said or "{}")


@dataclass
class Read:
    blocks: list[Block] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    stopped: Any = None

    def of(self, kind: str) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind]

    def said(self, kind: str) -> str:
        return "".join(block.said for block in self.of(kind))


def read(body: bytes) -> Read:
    found = Read()
    for frame in read_frames(body):
        value = frame.json()
        found.frames.append(value["type"])
        match value["type"]:
            case "content_block_start":
                block = value["content_block"]
                found.blocks.append(Block(block["type"], block.get("name", ""), block.get("id", "")))
                assert value["index"] == len(found.blocks) - 1
            case "content_block_delta":
                assert value["index"] == len(found.blocks) - 1
                delta = value["delta"]
                names = ("text", "thinking", "partial_json")
                found.blocks[-1].said += "".join(delta.get(name, "") for name in names)
            case "message_delta":
                found.stopped = value
    return found


def written(*groups: Sequence[Chunk], finish: FinishReason = "tool_calls", restoring: Restoring | None = None) -> Read:
    """The stream of these chunks, grouped as they were read; checked to be one of Anthropic's."""
    writer, body = MessagesStream(), b""
    for group in groups:
        body += writer.chunks(group if restoring is None else restoring.chunks(group), TARGET)
    if restoring is not None:
        body += writer.chunks(restoring.close(), TARGET)
    body += writer.end(Answer(TARGET, Completion("", "m", finish, Usage(1, 1)), None))
    check_anthropic_stream(read_frames(body))
    return read(body)


def test_text_between_the_pieces_of_a_call() -> None:
    """The call stays one; the text comes after it, in the order it was said."""
    found = written(
        [text("Let me see."), piece(0, '{"a":', begins=True)],
        [text("\n"), piece(0, "[1,"), text(" So")],
        [piece(0, "2]}")],
        [text(" be it."), text(" Done.")],
    )
    assert [(block.kind, block.said) for block in found.blocks] == [
        ("text", "Let me see."),
        ("tool_use", '{"a":[1,2]}'),
        ("text", "\n So be it. Done."),
    ]
    assert found.blocks[1].id == "call_0"


def test_text_after_a_whole_call_does_not_wait() -> None:
    """It is sent when it comes, and so is text before any call."""
    writer = MessagesStream()
    assert b"Hm" in writer.chunks([text("Hm")], TARGET)
    writer.chunks([piece(0, "{}", begins=True)], TARGET)
    assert b"So." in writer.chunks([text("So.")], TARGET)


def test_text_that_waited_goes_with_the_next() -> None:
    """As soon as the call is whole, not only at the end."""
    writer = MessagesStream()
    writer.chunks([piece(0, "{", begins=True), text("a"), piece(0, "}")], TARGET)
    frames = read_frames(writer.chunks([text("b")], TARGET))
    assert [frame.json()["delta"]["text"] for frame in frames if "delta" in frame.json()] == ["a", "b"]


def test_a_thought_between_the_pieces_of_a_call() -> None:
    """It waits like a text; the call is not begun twice."""
    found = written([piece(0, '{"a"', begins=True)], [thought("Hm"), text("So")], [piece(0, ":1}")])
    assert [(block.kind, block.said) for block in found.blocks] == [
        ("tool_use", '{"a":1}'),
        ("thinking", "Hm"),
        ("text", "So"),
    ]


@pytest.mark.parametrize("together", [True, False])
def test_calls_in_turns(together: bool) -> None:
    """Pieces of three calls that come mixed make three blocks, one after another, each with all of its own."""
    chunks = [
        piece(0, '{"a":', begins=True),
        piece(1, '{"b"', begins=True),
        piece(2, begins=True),
        piece(1, ":2}"),
        piece(0, "1"),
        piece(2, "{}"),
        piece(0, "}"),
    ]
    found = written(chunks) if together else written(*([chunk] for chunk in chunks))
    assert [(block.id, block.name, block.input) for block in found.blocks] == [
        ("call_0", "f0", {"a": 1}),
        ("call_1", "f1", {"b": 2}),
        ("call_2", "f2", {}),
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        [piece(0, begins=True), piece(1, begins=True), piece(2, begins=True)],
        [piece(0, begins=True), piece(1, '{"x":', begins=True), piece(2, begins=True), piece(1, "1}")],
        [piece(0, begins=True), text("and"), piece(1, begins=True), piece(2, "", begins=True), piece(2, "")],
    ],
)
def test_calls_without_arguments(chunks: list[Chunk]) -> None:
    """None is lost and none gets another's; what is said between them stays, too."""
    found = written(*([chunk] for chunk in chunks))
    calls = found.of("tool_use")
    assert [call.name for call in calls] == ["f0", "f1", "f2"]
    assert [call.input for call in calls] in ([{}, {}, {}], [{}, {"x": 1}, {}])
    assert found.said("text") == "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("late", ["", " ", "\n"])
def test_a_call_ends_once(late: str) -> None:
    """What may still come of a call whose arguments are whole begins no other."""
    found = written([piece(0, "{}", begins=True)], [text("So")], [piece(0, late)], [piece(1, "{}", begins=True)])
    assert [block.kind for block in found.blocks] == ["tool_use", "text", "tool_use"]
    assert [call.id for call in found.of("tool_use")] == ["call_0", "call_1"]


MASKED = {"[EMAIL_1]": "ada@example.org", "[EMAIL_2]": '"a"@b.c'}


def test_restored_calls() -> None:
    """Values stand for placeholders cut anywhere, as JSON has them in arguments and as they are in a text."""
    found = written(
        [piece(0, '{"to":"[EM', begins=True)],
        [piece(0, 'AIL_1]"}')],
        [text("For [EMA"), text("IL_1].")],
        [piece(1, '{"to":"[EMAIL_2]"}', begins=True)],
        restoring=Restoring(MASKED),
    )
    assert [call.input for call in found.of("tool_use")] == [{"to": "ada@example.org"}, {"to": '"a"@b.c'}]
    assert found.said("text") == "For ada@example.org."


def test_restored_custom_calls() -> None:
    """What is held back of a custom call's input is a custom call's when it leaves, and is no JSON."""
    restoring = Restoring(MASKED)
    chunks = restoring.chunks([piece(0, "to [EMAIL_2] [EM", begins=True, custom=True)])
    chunks += restoring.chunks([text("Hi")])
    chunks += restoring.chunks([piece(1, "[EMAIL_1", begins=True, custom=True)])
    chunks += restoring.close()
    pieces = [made for chunk in chunks for made in chunk.tool_calls]
    assert all(made.custom for made in pieces)
    said = ["".join(made.arguments for made in pieces if made.index == index) for index in (0, 1)]
    assert said == ['to "a"@b.c [EM', "[EMAIL_1"]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
PARTS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), WORDS),
        st.tuples(st.just("thought"), WORDS),
        st.tuples(st.just("call"), st.dictionaries(WORDS, WORDS | st.integers(-9, 9), max_size=2)),
    ),
    max_size=8,
)


@given(PARTS, st.data())
def test_any_order_of_parts(parts: list[tuple[str, Any]], data: st.DataObject) -> None:
    """However calls are cut and mixed with text: a sound stream, all that was said in its order, all calls whole."""
    queues: list[list[Chunk]] = []
    calls = 0
    for kind, said in parts:
        if kind == "text":
            queues.append([text(said)])
        elif kind == "thought":
            queues.append([thought(said)])
        else:
            arguments = orjson.dumps(said).decode() if said else ""
            cut = data.draw(st.integers(0, len(arguments)))
            queues.append([piece(calls, arguments[:cut], begins=True), piece(calls, arguments[cut:])])
            calls += 1
    chunks: list[Chunk] = []
    while queues:
        # Calls begin in the order of their numbers; their other pieces may come later than what follows them.
        chosen = data.draw(st.integers(0, min(2, len(queues) - 1)))
        chosen = next((n for n in range(chosen) if queues[n][0].tool_calls and queues[n][0].tool_calls[0].id), chosen)
        chunks.append(queues[chosen].pop(0))
        if not queues[chosen]:
            del queues[chosen]
    found = written(*([chunk] for chunk in chunks), finish="tool_calls" if calls else "stop")
    assert found.said("text") == "".join(chunk.text for chunk in chunks)
    assert found.said("thinking") == "".join(chunk.thinking.text for chunk in chunks if chunk.thinking)
    made = found.of("tool_use")
    expected = [said for kind, said in parts if kind == "call"]
    assert sorted(call.id for call in made) == sorted(f"call_{index}" for index in range(calls))
    assert {call.id: call.input for call in made} == {f"call_{n}": said for n, said in enumerate(expected)}
