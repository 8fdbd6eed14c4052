"""Placeholders back to values, at any split of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.guard.restore import Restorer

REPLACEMENTS = {"[EMAIL_1]": "a@example.com", "[EMAIL_12]": "b@example.com", "[SSN_1]": "[EMAIL_1]"}
LONGEST = max(map(len, REPLACEMENTS))

pieces = st.lists(
    st.one_of(
        st.sampled_from([*REPLACEMENTS, "[", "]", "[EMAIL_", "[EMAIL_1", "EMAIL_1]", "[[", "é", "[EMAIL_3]", "1]"]),
        st.text(max_size=4),
    ),
    max_size=12,
).map("".join)


@given(pieces, st.data())
def test_every_split_gives_the_whole(text: str, data: st.DataObject) -> None:
    """
    Fed in any pieces, the answer is that of the whole text; little is held, and only what may begin a placeholder.
    """
    restorer = Restorer(REPLACEMENTS)
    whole = restorer.restore(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    out = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += restorer.feed(text[start:end])
        held = restorer._held
        assert len(held) < LONGEST
        assert held == "" or any(key.startswith(held) for key in REPLACEMENTS)
        assert whole.startswith(out)
    assert out + restorer.close() == whole


@pytest.mark.parametrize("size", range(1, 40))
def test_every_piece_size(size: int) -> None:
    """Also one character at a time."""
    text = "Dear [EMAIL_1], [EMAIL_12] and [EMAIL_1"
    restorer = Restorer(REPLACEMENTS)
    out = "".join(restorer.feed(text[i : i + size]) for i in range(0, len(text), size))
    assert out + restorer.close() == "Dear a@example.com, b@example.com and [EMAIL_1"


def test_an_original_is_not_searched_again() -> None:
    """A value that looks like a placeholder stays what it is."""
    assert Restorer(REPLACEMENTS).restore("[SSN_1]") == "[EMAIL_1]"


def test_text_flows_at_once() -> None:
    """Nothing is held that cannot begin a placeholder."""
    restorer = Restorer(REPLACEMENTS)
    assert restorer.feed("hello [world") == "hello [world"
    assert restorer.feed("] [EM") == "] "
    assert restorer.feed("OJI]") == "[EMOJI]"
    assert restorer.close() == ""


def test_without_replacements() -> None:
    """Nothing masked, nothing touched."""
    restorer = Restorer({})
    assert restorer.feed("[EMAIL_1") == "[EMAIL_1"
    assert restorer.close() == ""


@pytest.mark.parametrize("placeholder", ["", "x", "[", "[]", "[a]b]", "[[a]"])
def test_placeholders_are_bracketed(placeholder: str) -> None:
    """Others could overlap, and a stream could not decide between them."""
    with pytest.raises(ValueError, match="brackets"):
        Restorer({placeholder: "x"})
