"""Server-sent events from bytes, however they are cut."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sse import MAX_EVENT_BYTES, Event, EventParser, EventTooLarge


def parsed(pieces: list[bytes]) -> list[Event]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


CASES = {
    "plain": (b"data: a\n\n", [Event("", b"a")]),
    "named": (b"event: x\ndata: a\n\ndata: b\n\n", [Event("x", b"a"), Event("", b"b")]),
    "several lines of data": (b"data: a\ndata:\ndata: b\n\n", [Event("", b"a\n\nb")]),
    "no space after the colon, then two": (b"data:a\n\ndata:  b\n\n", [Event("", b"a"), Event("", b" b")]),
    "field without a colon": (b"data\n\n", [Event("", b"")]),
    "carriage returns": (b"data: a\r\rdata: b\r\r", [Event("", b"a"), Event("", b"b")]),
    "carriage returns and line feeds": (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event("", b"a"), Event("", b"b")]),
    "all line ends at once": (
        b"event: x\rdata: a\r\ndata: b\n\r\ndata: c\r\n\n",
        [Event("x", b"a\nb"), Event("", b"c")],
    ),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [Event("", b"a")]),
    "byte order mark inside": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("", b"a")]),
    "comments": (b": keep-alive\n\ndata: a\n: in between\ndata: b\n\n:\n", [Event("", b"a\nb")]),
    "fields we do not use": (b"id: 7\nretry: 10\nother: z\ndata: a\n\n", [Event("", b"a")]),
    "a name without data is no event": (b"event: x\n\ndata: a\n\n", [Event("", b"a")]),
    "last blank line missing": (b"data: a\n\ndata: [DONE]\n", [Event("", b"a"), Event("", b"[DONE]")]),
    "last line end missing": (b"data: a\n\ndata: [DONE]", [Event("", b"a"), Event("", b"[DONE]")]),
    "blank lines only": (b"\n\r\n\r\r\n", []),
    "nothing": (b"", []),
    "part of a mark": (b"\xef\xbb", []),
    "multi-byte text": ("data: żółć 🌍\n\n".encode(), [Event("", "żółć 🌍".encode())]),
    "a name that is not UTF-8": (b"event: \xff\ndata: \xff\n\n", [Event("\N{REPLACEMENT CHARACTER}", b"\xff")]),
}


@pytest.mark.parametrize("name", CASES)
def test_events_do_not_depend_on_the_cut(name: str) -> None:
    """Whole, byte by byte, and cut in two at every place: the same events."""
    data, expected = CASES[name]
    assert parsed([data]) == expected
    assert parsed([data[index : index + 1] for index in range(len(data))]) == expected
    for cut in range(len(data) + 1):
        assert parsed([data[:cut], b"", data[cut:]]) == expected


ALPHABET = st.sampled_from([b"data", b"event", b":", b" ", b"\r", b"\n", b"\r\n", b"a", b"\xef\xbb\xbf", b"\xc3\xa9"])


@given(st.lists(ALPHABET, max_size=40).map(b"".join), st.data())
def test_any_bytes_cut_anywhere(data: bytes, draw: st.DataObject) -> None:
    """For any bytes and any cuts the events are those of the uncut bytes."""
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert parsed(pieces) == parsed([data])


@pytest.mark.parametrize("size", [1, 4096, 3 * MAX_EVENT_BYTES])
def test_line_cap(size: int) -> None:
    """A line longer than the cap ends the stream, in one piece or in small ones; one of exactly the cap passes."""
    line = b"data:" + b"x" * (MAX_EVENT_BYTES - 5)

    def feed(data: bytes) -> list[Event]:
        parser = EventParser()
        return [event for at in range(0, len(data), size) for event in parser.feed(data[at : at + size])]

    assert feed(line + b"\n\n") == [Event("", line[5:])]
    with pytest.raises(EventTooLarge):
        feed(line + b"x\n\n")
    with pytest.raises(EventTooLarge):
        feed(line + b"x")


def test_event_cap() -> None:
    """Lines below the cap that make an event above it are refused, empty ones too: they would only cost memory."""
    half = b"data:" + b"x" * (MAX_EVENT_BYTES // 2) + b"\n"
    with pytest.raises(EventTooLarge):
        EventParser().feed(half + half)
    parser = EventParser()
    for _ in range(8):
        parser.feed(b"data:\n" * (MAX_EVENT_BYTES // 8))
    with pytest.raises(EventTooLarge):
        parser.feed(b"data:\n")


def test_cost_is_linear() -> None:
    """A line of 1 MiB in pieces of 16 bytes, and 100 000 lines of data: seconds at most, where quadratic is minutes."""
    started = time.perf_counter()
    parser = EventParser()
    for _ in range(MAX_EVENT_BYTES // 16 - 1):
        parser.feed(b"x" * 16)
    parser = EventParser()
    for _ in range(100_000):
        parser.feed(b"data: x\n")
    assert time.perf_counter() - started < 5
