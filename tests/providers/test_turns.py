"""Any order of messages in, alternating turns out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Image, Message, Part, Text, Thinking, ToolCall
from providers.errors import RejectedRequest
from providers.turns import OPENING, ToolResult, Turn, alternating

TEXTS = st.sampled_from(["", " \n", "a", "b c", "d\n"])
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, TEXTS), st.just(Image("https://x/y.png")), st.just(Thinking("hm")), st.just(Thinking("hm", "sig"))
)
CALLS = st.lists(st.builds(ToolCall, st.sampled_from(["1", "2"]), st.just("f"), st.just("{}")), max_size=2)
MESSAGES = st.lists(
    st.one_of(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS),
        st.builds(Message, st.sampled_from(["user", "assistant"]), st.lists(PARTS, max_size=3).map(tuple)),
        st.builds(Message, st.just("assistant"), TEXTS, tool_calls=CALLS.map(tuple)),
        st.builds(Message, st.just("tool"), TEXTS, tool_call_id=st.sampled_from(["1", "2"])),
    ),
    max_size=8,
)


@given(MESSAGES, st.booleans())
def test_turns(messages: list[Message], thoughts: bool) -> None:
    """Turns alternate and begin with the user's; texts, calls and results are kept; nothing is empty or blank."""
    try:
        system, turns = alternating(messages, thoughts=thoughts)
    except RejectedRequest:
        assert not any(message.text.strip() or message.tool_calls or message.role == "tool" for message in messages)
        return
    assert [turn.role for turn in turns] == [("user", "assistant")[index % 2] for index in range(len(turns))]
    pieces = [*system, *(piece for turn in turns for piece in turn.pieces)]
    assert all(turn.pieces for turn in turns)
    assert all(piece.text.strip() for piece in pieces if isinstance(piece, Text))
    assert all(thoughts and piece.signature for piece in pieces if isinstance(piece, Thinking))

    def words(texts: list[str]) -> str:
        return "".join("".join(texts).split())

    kept = [piece.text for piece in pieces if isinstance(piece, Text) and piece.text != OPENING]
    results = [piece for piece in pieces if isinstance(piece, ToolResult)]
    assert words(kept) == words([message.text for message in messages if message.role != "tool"])
    assert len(results) == sum(message.role == "tool" for message in messages)
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert calls == [call for message in messages for call in message.tool_calls]
    assert sum(isinstance(piece, Image) for piece in pieces) == sum(
        isinstance(part, Image) for message in messages for part in message.parts
    )
    for turn in turns:
        first = [isinstance(piece, ToolResult) for piece in turn.pieces]
        assert first == sorted(first, reverse=True)


def test_neighbours() -> None:
    """Texts of two messages are parted by a blank line, those of one by nothing; a marked text stays by itself."""
    marked = Text("c", {"cache_control": {"type": "ephemeral"}})
    messages = [Message("user", (Text("a"), Text("\n"), Text("b"))), Message("user", "c"), Message("user", (marked,))]
    assert alternating(messages) == ([], [Turn("user", (Text("a\nb\n\nc"), marked))])


def test_later_instructions_keep_their_place() -> None:
    """They open the user's next turn."""
    messages = [Message("system", "S"), Message("user", "1"), Message("assistant", "2"), Message("system", "T")]
    assert alternating([*messages, Message("user", "3")]) == (
        [Text("S")],
        [Turn("user", (Text("1"),)), Turn("assistant", (Text("2"),)), Turn("user", (Text("T\n\n3"),))],
    )


def test_instructions_alone_are_the_question() -> None:
    """Both vendors want a user's turn."""
    messages = [Message("system", "Say"), Message("system", "hi.")]
    assert alternating(messages) == ([], [Turn("user", (Text("Say\n\nhi."),))])


def test_assistant_first() -> None:
    """A user's turn is put before it."""
    assert alternating([Message("assistant", "Hi")]) == (
        [],
        [Turn("user", (Text(OPENING),)), Turn("assistant", (Text("Hi"),))],
    )


def test_results_lead_in_the_order_of_their_calls() -> None:
    """Whatever was said between the calls and their results comes after; the name is that of the call."""
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    _, turns = alternating(
        [
            Message("user", "Go"),
            Message("assistant", "I will.", tool_calls=calls),
            Message("system", "Be quick."),
            Message("tool", "2", tool_call_id="b", failed=True),
            Message("tool", "", tool_call_id="a"),
            Message("user", "Well?"),
        ]
    )
    assert turns[1:] == [
        Turn("assistant", (Text("I will."), *calls)),
        Turn(
            "user",
            (
                ToolResult("a", "f", ()),
                ToolResult("b", "g", (Text("2"),), failed=True),
                Text("Be quick.\n\nWell?"),
            ),
        ),
    ]


def test_a_reused_id_means_the_last_call() -> None:
    """Some vendors count calls anew in every turn."""
    messages = [Message("user", "Go")]
    for name in ("f", "g"):
        messages += [
            Message("assistant", tool_calls=(ToolCall("0", name, ""),)),
            Message("tool", name, tool_call_id="0"),
        ]
    _, turns = alternating(messages)
    assert [turn.pieces[0].name for turn in turns if isinstance(turn.pieces[0], ToolResult)] == ["f", "g"]


@pytest.mark.parametrize("content", ["", " \n", (), (Text(" "),), (Thinking("hm"),)])
def test_nothing(content: str | tuple[Part, ...]) -> None:
    """Nothing to say is refused here."""
    with pytest.raises(RejectedRequest):
        alternating([Message("system", ""), Message("user", content)])


def test_many_messages_cost_what_they_are() -> None:
    """Joining is linear: four times the messages take four times as long, not sixteen; nine for a busy machine."""

    def timed(count: int) -> float:
        messages = [Message("user", "x" * 2000)] * count
        started = time.perf_counter()
        [turn] = alternating(messages)[1]
        spent_s = time.perf_counter() - started
        [joined] = turn.pieces
        assert isinstance(joined, Text)
        assert joined.text == "\n\n".join(["x" * 2000] * count)
        return spent_s

    few, many = (min(timed(count) for _ in range(3)) for count in (1250, 5000))
    assert many < 9 * few + 0.01
