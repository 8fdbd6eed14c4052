"""
Server-sent events from bytes.

Source: WHATWG HTML, "Server-sent events", 9.2.6 (parsing an event stream). Differences, both deliberate: a line and an
event are capped at `MAX_EVENT_BYTES`, and the last event may lack its blank line, since providers cut there.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 1024 * 1024


class EventTooLarge(ValueError):
    """A line or an event exceeds `MAX_EVENT_BYTES`."""


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is the `event:` field, empty when there was none; `data` the joined `data:` lines."""

    name: str
    data: bytes


class EventParser:
    """Feed bytes split anywhere, get whole events; call `close()` for one that lacks its blank line."""

    __slots__ = ("_buffer", "_data", "_name", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._name = ""
        self._skip_lf = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events completed by `chunk`. Raises `EventTooLarge`."""
        if self._skip_lf and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_lf = False
        buffer = self._buffer + chunk
        if not self._started:
            if len(buffer) < 3 and b"\xef\xbb\xbf".startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        if b"\r" in buffer:
            # A CR at the very end may be half of a CRLF: it ends the line now, and the LF to come is dropped.
            self._skip_lf = buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = buffer.split(b"\n")
        self._buffer = lines.pop()
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise EventTooLarge("event stream line too long")
        events: list[Event] = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def close(self) -> list[Event]:
        """The stream has ended: return an event whose blank line never came."""
        last, self._buffer = self._buffer, b""
        self._line(last)
        event = self._dispatch()
        return [event] if event is not None else []

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            if len(self._data) > 1 and sum(map(len, self._data)) > MAX_EVENT_BYTES:
                raise EventTooLarge("event too long")
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        name, self._name = self._name, ""
        if not self._data:
            return None
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return Event(name, data)
