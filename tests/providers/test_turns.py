"""Any order of messages in, alternating turns out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import Message
from providers.errors import RejectedRequest
from providers.turns import OPENING, Turn, alternating

MESSAGES = st.lists(
    st.builds(
        Message, st.sampled_from(["system", "user", "assistant"]), st.sampled_from(["", " \n", "a", "b c", "d\n"])
    )
)


@given(MESSAGES)
def test_turns(messages: list[Message]) -> None:
    """Turns alternate and begin with the user's; every text is kept, in order of its kind; nothing is empty."""
    texts = [message.content for message in messages if message.content.strip()]
    if not texts:
        with pytest.raises(RejectedRequest):
            alternating(messages)
        return
    system, turns = alternating(messages)
    assert [turn.role for turn in turns] == [("user", "assistant")[index % 2] for index in range(len(turns))]
    assert all(turn.text.strip() for turn in turns)
    kept = [turn.text for turn in turns if turn.text != OPENING]
    assert "\n\n".join(([system] if system else []) + kept) == "\n\n".join(texts)


def test_later_instructions_keep_their_place() -> None:
    """They open the user's next turn."""
    messages = [Message("system", "S"), Message("user", "1"), Message("assistant", "2"), Message("system", "T")]
    assert alternating([*messages, Message("user", "3")]) == (
        "S",
        [Turn("user", "1"), Turn("assistant", "2"), Turn("user", "T\n\n3")],
    )


def test_instructions_alone_are_the_question() -> None:
    """Both vendors want a user's turn."""
    assert alternating([Message("system", "Say hi.")]) == ("", [Turn("user", "Say hi.")])


def test_assistant_first() -> None:
    """A user's turn is put before it."""
    assert alternating([Message("assistant", "Hi")]) == ("", [Turn("user", OPENING), Turn("assistant", "Hi")])
