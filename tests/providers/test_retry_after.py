"""How long providers ask us to wait: read from strangers' headers and sentences."""

import pytest

from providers.retry_after import MAX_WAIT_S, duration_s, reset_s, retry_after_s, told_s

NOW = 1_792_000_000.0  # Wed, 14 Oct 2026 17:46:40 GMT


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        # The finer one first, unless it is junk.
        ({"retry-after-ms": "250", "retry-after": "2"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        # Dates, in the three forms of RFC 9110; past ones mean now.
        ({"retry-after": "Wed, 14 Oct 2026 17:47:10 GMT"}, 30.0),
        ({"retry-after": "Wednesday, 14-Oct-26 17:47:10 GMT"}, 30.0),
        ({"retry-after": "Wed Oct 14 17:47:10 2026"}, 30.0),
        ({"retry-after": "Wed, 14 Oct 2026 17:47:10 -0000"}, 30.0),
        ({"retry-after": "Wed, 14 Oct 2026 17:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 01 Jan 2027 00:00:00 GMT"}, MAX_WAIT_S),
        # Out of range.
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1000000000000"}, MAX_WAIT_S),
        ({"retry-after-ms": "1000000000000"}, MAX_WAIT_S),
        # Junk says nothing.
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "in a while"}, None),
        ({"retry-after": "Wed, 99 Oct 2026 17:47:10 GMT"}, None),
        ({"retry-after": "Wed, 14 Oct 99999999999 17:47:10 GMT"}, None),
    ],
)
def test_headers(headers: dict[str, str], expected: float | None) -> None:
    """Seconds from 0 to an hour; None where nothing readable was said."""
    assert retry_after_s(headers, now=NOW) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120ms", 0.12),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1m30.5s", 90.5),
        ("2m59.56s", 179.56),
        ("34.07s", 34.07),
        ("0s", 0.0),
        ("12.5", 12.5),
        ("-3s", 0.0),
        ("8h", MAX_WAIT_S),
        ("", None),
        ("s", None),
        ("-", None),
        ("1m junk", None),
        ("junk 1m", None),
        ("1d", None),
        ("1s" * 100, None),
    ],
)
def test_durations(value: str, expected: float | None) -> None:
    """Go durations and plain seconds."""
    assert duration_s(value) == (None if expected is None else pytest.approx(expected))


def test_only_the_spent_limit_tells_the_wait() -> None:
    """The reset of a limit with something left does not matter; of several spent ones the longest does."""
    headers = {
        "x-ratelimit-remaining-requests": "14",
        "x-ratelimit-reset-requests": "2h",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    assert reset_s(headers) == pytest.approx(7.66)
    assert reset_s({**headers, "x-ratelimit-remaining-tokens": "3"}) is None
    assert reset_s({"x-ratelimit-remaining-tokens": "0"}) is None
    cerebras = {"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "33.011382"}
    assert reset_s({**headers, **cerebras}) == pytest.approx(33.011382)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Rate limit reached for model. Please try again in 11.455s. Need more?", 11.455),
        ("Please try again in 7m12.3s.", 432.3),
        ("try again in 250ms", 0.25),
        ("Try again later", None),
        ("", None),
    ],
)
def test_sentences(sentence: str, expected: float | None) -> None:
    """Groq's and OpenAI's way to say it when there is no header."""
    assert told_s(sentence) == expected
