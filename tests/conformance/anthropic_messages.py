"""Is an answer what Anthropic's Messages API would have sent? By the official SDK's types, read strictly."""

import json
from collections.abc import Sequence
from typing import Any

from anthropic.types import (
    ContentBlock,
    Message,
    RawContentBlockDelta,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    RawMessageStreamEvent,
)
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from tests.conformance.frames import Frame
from tests.conformance.strict import strictly

MESSAGE = TypeAdapter(Message)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ERROR = TypeAdapter(ErrorResponse)

# What the SDK's types let be absent and the API's reference does not.
ALWAYS = {"stop_reason", "stop_sequence"}
# Error types of the API (the first of its errors page, the second of the SDK's ErrorType) that ErrorResponse lacks.
UNTYPED_ERRORS = {"request_too_large", "conflict_error"}
DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
}


def check_anthropic_message(value: object) -> None:
    """
    Pass if the value is a whole Message.

    Beyond the SDK's type: the stop reason is given, fits the content, and comes with a stop sequence if it is one.
    """
    message = strictly(MESSAGE, value)
    assert message.model_fields_set >= ALWAYS, f"missing: {sorted(ALWAYS - message.model_fields_set)}"
    check_stop(message.stop_reason, message.stop_sequence, [block.type for block in message.content])


def check_anthropic_error(value: object) -> None:
    """Pass if the value is an error body: type "error", and an error with a type of the API's and a message."""
    match value:
        case {"error": {"type": str(kind), **error}, **body} if kind in UNTYPED_ERRORS:
            strictly(ERROR, {**body, "error": {**error, "type": "api_error"}})
        case _:
            strictly(ERROR, value)


def check_anthropic_stream(events: Sequence[Frame], *, failed: bool = False) -> None:
    """
    Pass if the frames are one whole stream of a Message.

    Each is named as its type. message_start, empty; the blocks, one after another, numbered from 0; one message_delta;
    message_stop. Pings may stand anywhere after the start. failed: the stream is to end with an error event instead,
    wherever it had got to; without it, an error is no pass.
    """
    frames = [frame for frame in events if not is_ping(frame)]
    assert frames, "no events"
    assert failed or frames[0] is events[0], "a ping before message_start"
    if failed:
        *frames, last = frames
        assert last.event == "error", f"the stream ends with {last.event}"
        check_anthropic_error(last.json())
    told = Told()
    for frame in frames:
        value = frame.json()
        event = strictly(EVENT, value)
        assert frame.event == event.type, f"event {frame.event!r} carries {event.type!r}"
        told.hear(event)
    assert failed or told.stopped, "the stream does not end with message_stop"


def is_ping(frame: Frame) -> bool:
    """Whether the frame is a ping; one that carries something else fails."""
    if frame.event == "ping":
        assert frame.json() == {"type": "ping"}, f"a ping carries {frame.data[:200]!r}"
    return frame.event == "ping"


class Told:
    """The message so far."""

    def __init__(self) -> None:
        self.started = False
        self.blocks: list[str] = []
        self.block: ContentBlock | None = None
        self.pieces: list[str] = []
        self.closed = False
        self.stopped = False

    def hear(self, event: RawMessageStreamEvent) -> None:
        """Take in the next event."""
        assert not self.stopped, f"{event.type} after message_stop"
        assert self.started != isinstance(event, RawMessageStartEvent), f"{event.type} out of place"
        match event:
            case RawMessageStartEvent():
                self.start(event.message)
            case RawContentBlockStartEvent():
                assert self.block is None, "a block inside a block"
                assert not self.closed, "a block after message_delta"
                assert event.index == len(self.blocks), f"block {event.index} is out of order"
                self.open_block(event.content_block)
            case RawContentBlockDeltaEvent():
                assert self.block is not None, "a delta outside a block"
                assert event.index == len(self.blocks), f"a delta of block {event.index} in another"
                self.hear_delta(self.block, event.delta)
            case RawContentBlockStopEvent():
                assert self.block is not None, "a block ends that was not begun"
                assert event.index == len(self.blocks), f"block {event.index} ends in another"
                self.close_block(self.block)
            case RawMessageDeltaEvent():
                assert self.block is None, "message_delta inside a block"
                assert not self.closed, "message_delta twice"
                assert event.delta.model_fields_set >= ALWAYS, "message_delta lacks a stop reason or sequence"
                check_stop(event.delta.stop_reason, event.delta.stop_sequence, self.blocks)
                self.closed = True
            case RawMessageStopEvent():
                assert self.closed, "message_stop before message_delta"
                self.stopped = True

    def start(self, message: Message) -> None:
        """The message begins, empty."""
        assert message.model_fields_set >= ALWAYS, f"missing: {sorted(ALWAYS - message.model_fields_set)}"
        assert message.content == [], "message_start has content"
        assert (message.stop_reason, message.stop_sequence) == (None, None), "message_start has a stop reason"
        self.started = True

    def open_block(self, block: ContentBlock) -> None:
        """A block begins; what deltas can fill is empty."""
        for field in ("text", "thinking", "signature", "input"):
            assert not getattr(block, field, None), f"a block begins with {field}"
        self.block, self.pieces = block, []

    def hear_delta(self, block: ContentBlock, delta: RawContentBlockDelta) -> None:
        """A piece of the open block."""
        assert delta.type in DELTAS.get(block.type, set()), f"{delta.type} in a block {block.type}"
        if delta.type == "input_json_delta":
            self.pieces.append(delta.partial_json)

    def close_block(self, block: ContentBlock) -> None:
        """A block ends; the pieces of a tool's input, if there are any, make a JSON object."""
        if text := "".join(self.pieces):
            try:
                value = json.loads(text)
            except ValueError:
                raise AssertionError(f"the input is not JSON: {text[:200]!r}") from None
            assert isinstance(value, dict), f"the input is not an object: {text[:200]!r}"
        self.blocks.append(block.type)
        self.block = None


def check_stop(reason: str | None, sequence: str | None, blocks: Sequence[str]) -> None:
    """Pass if the stop reason is given and fits the stop sequence and the types of the blocks."""
    assert reason is not None, "no stop reason"
    assert (reason == "stop_sequence") == (sequence is not None), f"stop reason {reason}, stop sequence {sequence!r}"
    assert reason != "tool_use" or "tool_use" in blocks, "stop reason tool_use, and no such block"
