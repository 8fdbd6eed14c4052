"""
Server-sent events from bytes.

Source: WHATWG HTML, "Server-sent events", 9.2.6 (parsing an event stream). Differences, both deliberate: a line and an
event are capped at `MAX_EVENT_BYTES`, and the last event may lack its blank line, since providers cut there.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """A line or an event exceeds `MAX_EVENT_BYTES`."""


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is the `event:` field, empty when there was none; `data` the joined `data:` lines."""

    name: str
    data: bytes


class EventParser:
    """
    Feed bytes split anywhere, get whole events; call `close()` for one that lacks its blank line.

    Work and memory are linear in the bytes fed, however they are split. After `EventTooLarge` the parser is spent.
    """

    __slots__ = ("_data", "_data_bytes", "_name", "_partial", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._skip_lf = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events completed by `chunk`. Raises `EventTooLarge`."""
        if self._skip_lf and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_lf = False
        if not self._started:
            chunk = bytes(self._partial) + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._partial[:] = chunk
                return []
            self._partial.clear()
            chunk = chunk.removeprefix(_BOM)
            self._started = True
        if b"\r" in chunk:
            # A CR at the very end may be half of a CRLF: it ends the line now, and the LF to come is dropped.
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events: list[Event] = []
        for line in lines:
            if self._partial:
                self._partial += line
                line = bytes(self._partial)
                self._partial.clear()
            event = self._line(line)
            if event is not None:
                events.append(event)
        self._partial += rest
        if len(self._partial) > MAX_EVENT_BYTES:
            raise EventTooLarge("event stream line too long")
        return events

    def close(self) -> list[Event]:
        """The stream has ended: return an event whose blank line never came. Raises `EventTooLarge`."""
        last = bytes(self._partial)
        self._partial.clear()
        if last:  # an empty line would dispatch the event here, and lose it
            self._line(last)
        event = self._dispatch()
        return [event] if event is not None else []

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        if len(line) > MAX_EVENT_BYTES:
            raise EventTooLarge("event stream line too long")
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1  # the newline that joins it: empty lines are not free
            if self._data_bytes > MAX_EVENT_BYTES:
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
        self._data_bytes = 0
        return Event(name, data)
