"""Server-sent events as a client gets them, apart from the product's own reader."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its name, if it has one, and its data lines joined."""

    event: str | None
    data: str

    def json(self) -> Any:
        """The data as JSON; AssertionError if it is none."""
        try:
            return json.loads(self.data)
        except ValueError:
            raise AssertionError(f"not JSON: {self.data[:200]!r}") from None


def read_frames(body: bytes) -> list[Frame]:
    """
    The events of a whole body of text/event-stream (HTML, section 9.2.6), comments left out.

    Stricter than a browser: AssertionError for a field other than `event` and `data`, for an event without data or
    with two names, and for a body that ends inside an event.
    """
    frames: list[Frame] = []
    name: str | None = None
    data: list[str] = []
    for line in [raw.decode("utf-8") for raw in body.splitlines()]:
        field, _, value = line.partition(":")
        if field == "" and line:
            continue
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            assert name is None, f"two names in one event: {name!r} and {value!r}"
            name = value.removeprefix(" ")
        elif line:
            raise AssertionError(f"unknown field: {line[:200]!r}")
        elif data:
            frames.append(Frame(name, "\n".join(data)))
            name, data = None, []
        else:
            assert name is None, f"event {name!r} without data"
    assert (name, data) == (None, []), f"the body ends inside an event: {name!r} {data}"
    return frames
