"""The internal form of a conversation."""

import pytest

from providers.chat import ChatRequest, Image, Message, Text


@pytest.mark.parametrize(
    ("effort", "thinking", "expected"),
    [
        (None, None, None),
        ("high", None, "high"),
        ("high", {"type": "enabled", "budget_tokens": 1024}, "high"),
        (None, {"type": "disabled"}, "none"),
        (None, {"type": "adaptive"}, None),
        (None, {"type": "enabled", "budget_tokens": 4096}, "low"),
        (None, {"type": "enabled", "budget_tokens": 4097}, "medium"),
        (None, {"type": "enabled", "budget_tokens": 16385}, "high"),
        (None, "much", None),
    ],
)
def test_effort(effort: str | None, thinking: object, expected: str | None) -> None:
    """What is said in levels counts; Anthropic's own words are put into levels for those who know no others."""
    options = {} if thinking is None else {"thinking": thinking}
    assert ChatRequest((), reasoning_effort=effort, options=options).effort == expected


def test_content() -> None:
    """A string and its parts say the same; an empty string is no part."""
    parts = (Text("a"), Image("https://x.test/i.png"), Text("b"))
    assert Message("user", "ab").text == Message("user", parts).text == "ab"
    assert Message("user", "ab").parts == (Text("ab"),)
    assert Message("user", "").parts == ()
    assert Message("user", parts).parts == parts
