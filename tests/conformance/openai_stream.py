"""Is a stream of frames what OpenAI's API would have sent? The rules that join one frame to the next."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDeltaToolCall
from pydantic import TypeAdapter

from tests.conformance.checker import check_openai
from tests.conformance.frames import Frame
from tests.conformance.responses_stream import check_responses_stream
from tests.conformance.strict import strictly

CHUNK = TypeAdapter(ChatCompletionChunk)


def check_openai_stream(
    route: Literal["/v1/chat/completions", "/v1/responses"],
    frames: Sequence[Frame],
    *,
    include_usage: bool = False,
    failed: bool = False,
) -> None:
    """
    Pass if the frames are one whole stream of the route; AssertionError says what is not.

    include_usage: what the request said in `stream_options`; of no meaning for Responses, which always tell it.
    failed: the stream is to end with an error in the route's own form; without it, an error is no pass.
    """
    if route == "/v1/chat/completions":
        check_chat_stream(frames, include_usage=include_usage, failed=failed)
    else:
        check_responses_stream(frames, failed=failed)


def check_chat_stream(frames: Sequence[Frame], *, include_usage: bool, failed: bool) -> None:
    """
    Unnamed frames of chunks with one id, created and model; then [DONE], or an error alone.

    With include_usage, the last chunk has usage and no choices, and every other says `usage: null`; without it, none
    has usage. Each choice is told as `Told` says, and indexes count from 0.
    """
    assert frames, "no frames"
    assert {frame.event for frame in frames} == {None}, "a chunk of chat completions has no event name"
    *body, last = frames
    if failed:
        check_openai("ErrorResponse", last.json())
    else:
        assert last.data == "[DONE]", f"the last frame is {last.data[:200]!r}, not [DONE]"

    chunks = [read_chunk(frame) for frame in body]
    for key in ("id", "created", "model"):
        values = {getattr(chunk, key) for chunk in chunks}
        assert len(values) <= 1, f"{key} changes on the way: {values}"

    if include_usage and not failed:
        assert chunks, "no chunks"
        last_chunk = chunks.pop()
        assert last_chunk.usage is not None, "usage was asked for; the last chunk has none"
        assert last_chunk.choices == [], "the chunk with usage has choices"
    choices: dict[int, Told] = {}
    for chunk in chunks:
        assert chunk.usage is None, "usage where none belongs"
        assert not include_usage or "usage" in chunk.model_fields_set, "`usage: null` is missing from a chunk"
        assert chunk.choices, "a chunk without choices"
        for choice in chunk.choices:
            choices.setdefault(choice.index, Told()).hear(choice)
    assert sorted(choices) == list(range(len(choices))), f"choices are numbered {sorted(choices)}"
    if not failed:
        assert choices, "no choices"
        for told in choices.values():
            told.check_end()


def read_chunk(frame: Frame) -> ChatCompletionChunk:
    """The frame as a sound chunk."""
    value = frame.json()
    check_openai("CreateChatCompletionStreamResponse", value)
    return strictly(CHUNK, value)


@dataclass(slots=True)
class Told:
    """
    One choice so far.

    The role is in the first delta only; id, type and name of a tool call are in its first piece only (the SDK joins
    strings that are repeated), and calls begin in the order of their indexes; after the finish reason comes nothing.
    """

    started: bool = False
    finish_reason: str | None = None
    arguments: list[str] = field(default_factory=list)
    ids: set[str | None] = field(default_factory=set)

    def hear(self, choice: Choice) -> None:
        """Take in the next delta."""
        assert self.finish_reason is None, f"choice {choice.index} goes on after its finish reason"
        if self.started:
            assert choice.delta.role is None, f"choice {choice.index} says its role twice"
        else:
            assert choice.delta.role == "assistant", f"the first delta of choice {choice.index} has no role"
        self.started = True
        for call in choice.delta.tool_calls or []:
            self.hear_call(call)
        self.finish_reason = choice.finish_reason

    def hear_call(self, call: ChoiceDeltaToolCall) -> None:
        """Take in the next piece of a tool call."""
        function = call.function
        assert function is not None, f"tool call {call.index} has no function"
        if call.index == len(self.arguments):
            begun = (call.id, call.type, function.name)
            assert all(begun), f"tool call {call.index} begins with {begun}"
            assert call.id not in self.ids, f"two tool calls have the id {call.id}"
            self.ids.add(call.id)
            self.arguments.append("")
        else:
            assert 0 <= call.index < len(self.arguments), f"tool call {call.index} is out of order"
            assert (call.id, function.name) == (None, None), f"tool call {call.index} repeats its id or name"
        self.arguments[call.index] += function.arguments or ""

    def check_end(self) -> None:
        """Pass if the choice was finished; tool calls that were not cut off are JSON objects."""
        assert self.finish_reason is not None, "a choice without a finish reason"
        if self.finish_reason == "tool_calls":
            assert self.arguments, "finish reason tool_calls, and no tool call"
            for arguments in self.arguments:
                check_arguments(arguments)


def check_arguments(text: str) -> None:
    """Pass if a tool call's arguments are the text of a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        raise AssertionError(f"arguments are not JSON: {text[:200]!r}") from None
    assert isinstance(value, dict), f"arguments are not an object: {text[:200]!r}"
