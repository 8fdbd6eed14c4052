"""A classifier over a text that is still being written."""

import pytest

from middleware.guard.harm import SIGHT, STEP, Harm


@pytest.mark.parametrize("size", [1, 7, STEP - 1, STEP, STEP + 1, 10 * STEP])
def test_every_character_is_judged(size: int) -> None:
    """However it is cut: each part is shown with what stands before it, and no more than that."""
    text = "".join(f"{number:05}," for number in range(1_000))
    shown: list[str] = []

    def judge(sight: str) -> list[str]:
        shown.append(sight)
        return ["bad"] if "00777," in sight else []

    harm = Harm(judge)
    found = [bool(harm.feed(text[start : start + size])) for start in range(0, len(text), size)]
    harm.flush()
    assert max(map(len, shown)) < SIGHT + STEP + size
    read = 0
    for sight in shown:
        start = text.index(sight)
        assert start <= read
        assert start == max(0, read - SIGHT)
        read = start + len(sight)
    assert read == len(text)
    end = 6 * 778
    assert end - size <= found.index(True) * size < end + STEP


def test_what_is_left_is_judged_at_the_end() -> None:
    """Once."""
    harm = Harm(lambda text: ["bad"] if "x" in text else [])
    assert harm.feed("x") == ()
    assert harm.flush() == ["bad"]
    assert harm.flush() == ()
