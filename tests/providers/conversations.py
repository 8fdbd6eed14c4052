"""Conversations to send, and pieces of answers put together again: what the tests of the translating adapters share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson
from hypothesis import strategies as st

from providers.base import EventDecoder
from providers.chat import Chunk, Completion, FinishReason, Image, Message, Part, Text, Thinking, ToolCall, Usage
from providers.sse import Event, EventParser

Item = tuple[object, ...]
"""`(speaker, kind, …)`, of `text`, `image`, `call` (id, name, arguments) and `result` (id, name, failed, text)."""

WORDS = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
IMAGES = st.sampled_from(["data:image/png;base64,aGk=", "data:image/jpeg;base64,eW8="])
ARGUMENTS = st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.integers(-9, 9)), max_size=3)


@dataclass(frozen=True)
class Conversation:
    """What is sent, and what is to be read in it."""

    messages: tuple[Message, ...]
    items: list[Item]


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Questions with images, answers, calls whose results come in any order."""
    messages: list[Message] = []
    items: list[Item] = []
    ids = iter(f"call_{number}" for number in range(100))
    for _ in range(draw(st.integers(0, 3))):
        _ask(draw, messages, items)
        for _ in range(draw(st.integers(0, 2))):
            calls = [(next(ids), draw(st.sampled_from(["f", "g"])), draw(ARGUMENTS)) for _ in range(draw(CALLS))]
            written = tuple(ToolCall(id, name, orjson.dumps(given).decode()) for id, name, given in calls)
            thought = draw(st.sampled_from(["", "Let me see."]))
            messages.append(Message("assistant", thought, tool_calls=written))
            items += [("assistant", "text", thought)] * bool(thought)
            items += [("assistant", "call", *call) for call in calls]
            results = [(id, name, draw(st.booleans()), draw(WORDS)) for id, name, _ in calls]
            items += [("user", "result", *result) for result in results]
            for id, _, failed, text in draw(st.permutations(results)):
                messages.append(Message("tool", text, tool_call_id=id, failed=failed))
        text = draw(WORDS)
        messages.append(Message("assistant", text))
        items.append(("assistant", "text", text))
    _ask(draw, messages, items)
    return Conversation(tuple(messages), items)


CALLS = st.integers(1, 3)


def _ask(draw: st.DrawFn, messages: list[Message], items: list[Item]) -> None:
    text = draw(WORDS)
    parts: list[Part] = [Text(text)]
    found: list[Item] = [("user", "text", text)]
    for url in draw(st.lists(IMAGES, max_size=2)):
        parts.append(Image(url))
        found.append(("user", "image", url))
    if draw(st.booleans()):
        parts.reverse()
        found.reverse()
    messages.append(Message("user", text if len(parts) == 1 and draw(st.booleans()) else tuple(parts)))
    items += found


def stream(events: Iterable[tuple[str, object]]) -> bytes:
    """Server-sent events of JSON; an empty name has no `event:` line."""
    return b"".join(
        (f"event: {name}\n".encode() if name else b"") + b"data: " + orjson.dumps(body) + b"\n\n"
        for name, body in events
    )


def whole(pieces: Iterable[bytes], decoder: EventDecoder) -> list[Chunk]:
    """The chunks of a stream that comes in `pieces`."""
    parser = EventParser()
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return [chunk for event in [*events, *parser.close()] for chunk in decoder.feed(event)]


def assembled(chunks: Sequence[Chunk]) -> Completion:
    """The answer with index 0, as if it had not been streamed."""
    calls: list[ToolCall] = []
    thoughts: list[Thinking] = []
    usage: Usage | None = None
    finish: FinishReason | None = None
    for chunk in chunks:
        assert chunk.choice == 0
        for piece in chunk.tool_calls:
            if piece.id:
                assert piece.index == len(calls)
                calls.append(ToolCall(piece.id, piece.name, "", extra=piece.extra))
            call = calls[piece.index]
            calls[piece.index] = replace(call, arguments=call.arguments + piece.arguments)
        if chunk.thinking is not None:
            last = thoughts.pop() if thoughts and not (thoughts[-1].signature or thoughts[-1].redacted) else Thinking()
            step = chunk.thinking
            thoughts.append(Thinking(last.text + step.text, step.signature, step.redacted))
        usage = chunk.usage or usage
        finish = chunk.finish_reason or finish
    assert finish is not None
    return Completion(
        "".join(chunk.text for chunk in chunks),
        next(chunk.model for chunk in chunks if chunk.model),
        finish,
        usage,
        tool_calls=tuple(calls),
        thinking=tuple(thoughts),
        stop_sequence=next((chunk.stop_sequence for chunk in chunks if chunk.stop_sequence), None),
    )


def split(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """In two, at every byte."""
    return ((data[:place], data[place:]) for place in range(len(data) + 1))
