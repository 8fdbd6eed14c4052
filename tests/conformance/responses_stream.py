"""The order of a stream of the Responses API, event by event."""

from collections.abc import Sequence
from typing import Any

from tests.conformance.checker import check_openai
from tests.conformance.frames import Frame

Event = dict[str, Any]

OPENING = ["response.created", "response.in_progress"]
STATUS = {
    "response.created": "in_progress",
    "response.in_progress": "in_progress",
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
# The field of the response that is filled in at that end, and only then.
REASON = {"response.incomplete": "incomplete_details", "response.failed": "error"}

# A family of part events: the item's list that the part is in, and the event's index into it.
PARTS = {"content_part": ("content", "content_index"), "reasoning_summary_part": ("summary", "summary_index")}
# A family of text events: the type of the part it fills, and the field that holds the text.
TEXTS = {
    "output_text": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning_text", "text"),
    "reasoning_summary_text": ("summary_text", "text"),
}


def check_responses_stream(frames: Sequence[Frame], *, failed: bool) -> None:
    """
    Named frames, numbered from 0: created, in_progress, the items one by one, and one end.

    The end is completed or incomplete, and its output is what the items were when they were done; or, with `failed`,
    it is response.failed or error, and an item may be left open. All of them speak of one response.
    """
    events = [read_event(frame) for frame in frames]
    assert events, "no frames"
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(events))), f"sequence numbers are {numbers}"
    *body, last = events
    ends = ("response.failed", "error") if failed else ("response.completed", "response.incomplete")
    assert last["type"] in ends, f"the stream ends with {last['type']}"
    opening = [event["type"] for event in body[:2]]
    assert opening == (OPENING[: len(opening)] if failed else OPENING), f"the stream opens with {opening}"

    output = Output()
    for event in body[2:]:
        output.hear(event)
    told = [event for event in events if "response" in event]
    for event in told:
        check_envelope(event)
    for key in ("id", "created_at", "model"):
        values = {event["response"][key] for event in told}
        assert len(values) <= 1, f"{key} changes on the way: {values}"
    if not failed:
        assert output.item is None, "an item is left open"
        assert last["response"]["output"] == output.items, "the output at the end is not what the items were"


def read_event(frame: Frame) -> Event:
    """The frame as a sound event under its own name."""
    value: Event = frame.json()
    check_openai("ResponseStreamEvent", value)
    assert frame.event == value["type"], f"event {frame.event!r} carries {value['type']!r}"
    return value


def check_envelope(event: Event) -> None:
    """Pass if the response in an event is in the state that the event announces."""
    name, response = event["type"], event["response"]
    assert response["status"] == STATUS[name], f"{name} with status {response['status']!r}"
    for key in ("incomplete_details", "error"):
        assert (response[key] is not None) == (REASON.get(name) == key), f"{name} with {key} {response[key]!r}"
    if name in OPENING:
        assert response["output"] == [], f"{name} has output already"
        assert response.get("usage") is None, f"{name} has usage already"


class Output:
    """The items so far: at most one is open, in it at most one part, and each ends as its deltas told it."""

    def __init__(self) -> None:
        self.items: list[Event] = []
        self.item: Event | None = None
        self.parts: dict[str, list[Event]] = {}
        self.part: Event | None = None
        self.into = ""
        self.pieces: list[str] = []
        self.whole: str | None = None

    def hear(self, event: Event) -> None:
        """Take in the next event between the opening and the end."""
        family, _, step = event["type"].removeprefix("response.").rpartition(".")
        assert event.get("output_index") == len(self.items), f"{event['type']} with another output_index"
        if (family, step) == ("output_item", "added"):
            self.open_item(event["item"])
            return
        assert self.item is not None, f"{event['type']} outside an item"
        assert event.get("item_id", self.item["id"]) == self.item["id"], f"{event['type']} with another item_id"
        if family == "output_item":
            self.close_item(self.item, event["item"])
        elif family in PARTS:
            into, index = PARTS[family]
            assert event[index] == len(self.parts[into]), f"{event['type']} with another {index}"
            if step == "added":
                self.open_part(into, event["part"])
            else:
                self.close_part(into, event["part"])
        elif family in TEXTS:
            self.hear_text(family, step, event)
        elif family == "function_call_arguments":
            assert self.item["type"] == "function_call", f"arguments of a {self.item['type']}"
            assert event.get("name", self.item["name"]) == self.item["name"], "the name of the function changes"
            self.hear_piece(step, event, "arguments")
        else:
            raise AssertionError(f"{event['type']} is not expected here")

    def open_item(self, item: Event) -> None:
        """An item begins, empty."""
        assert self.item is None, "an item inside an item"
        assert item.get("id"), "an item without an id"
        assert item["id"] not in {done["id"] for done in self.items}, f"two items have the id {item['id']}"
        assert item.get("status", "in_progress") == "in_progress", f"an item begins with status {item['status']!r}"
        for field in ("content", "summary", "arguments"):
            assert not item.get(field), f"an item begins with {field}"
        self.item, self.parts, self.pieces, self.whole = item, {"content": [], "summary": []}, [], None

    def close_item(self, begun: Event, item: Event) -> None:
        """An item ends; it is what its parts were."""
        assert self.part is None, "an item ends inside a part"
        for field in ("id", "type", "role", "call_id", "name"):
            assert item.get(field) == begun.get(field), f"an item's {field} changes"
        assert item.get("status", "completed") in {"completed", "incomplete"}, f"an item ends {item['status']!r}"
        for field, parts in self.parts.items():
            assert item.get(field, []) == parts, f"an item's {field} is not what its parts were"
        if item["type"] == "function_call":
            assert item["arguments"] == self.whole, "an item's arguments are not those told"
        self.items.append(item)
        self.item = None

    def open_part(self, into: str, part: Event) -> None:
        """A part begins, empty."""
        assert self.part is None, "a part inside a part"
        field = text_field(part)
        assert part[field] == "", f"a part begins with {field}"
        self.part, self.into, self.pieces, self.whole = part, into, [], None

    def close_part(self, into: str, part: Event) -> None:
        """A part ends; it is what its text was."""
        assert self.part is not None, "a part ends that was not begun"
        assert part["type"] == self.part["type"], "a part's type changes"
        assert part[text_field(part)] == self.whole, "a part's text is not the one told"
        self.parts[into].append(part)
        self.part = None

    def hear_text(self, family: str, step: str, event: Event) -> None:
        """A piece of the open part's text, or all of it."""
        wanted, field = TEXTS[family]
        assert self.part is not None, f"{event['type']} outside a part"
        assert self.part["type"] == wanted, f"{event['type']} in a part {self.part['type']}"
        index = next(index for into, index in PARTS.values() if into == self.into)
        assert event.get(index) == len(self.parts[self.into]), f"{event['type']} with another {index}"
        self.hear_piece(step, event, field)

    def hear_piece(self, step: str, event: Event, field: str) -> None:
        """Deltas, then all of them once."""
        assert self.whole is None, f"{event['type']} after the text was done"
        if step == "delta":
            self.pieces.append(event["delta"])
        else:
            self.whole = event[field]
            assert self.whole == "".join(self.pieces), f"{event['type']} is not what the deltas were"


def text_field(part: Event) -> str:
    """The field of a part that holds its text."""
    return next(field for kind, field in TEXTS.values() if kind == part["type"])
