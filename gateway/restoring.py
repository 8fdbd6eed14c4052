"""Originals back in the place of placeholders, wherever a model may write one: text, thoughts, tool arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from middleware.guard.restore import Restorer
from providers.cascade import Answer
from providers.chat import Choice, Chunk, Thinking, ToolCall, ToolCallPiece

Place = tuple[str, int, int]
"""What is being written: `text`, `refusal`, `thought` or `call`, of which choice, and which call."""


class Restoring:
    """
    Undoes the masking of one request in its answer, whole or in chunks cut anywhere.

    `json`: the answer's text is JSON, as the arguments of calls are. A refusal is prose all the same.
    """

    def __init__(self, masked: Mapping[str, str], *, json: bool = False) -> None:
        self._plain = dict(masked)
        # In JSON an original stands as it does inside quotes.
        self._quoted = {placeholder: orjson.dumps(text).decode()[1:-1] for placeholder, text in masked.items()}
        self._json = json
        self._open: dict[Place, Restorer] = {}
        self._custom: set[Place] = set()

    def answer(self, answer: Answer) -> Answer:
        """A whole answer, restored."""
        done = answer.completion
        leading, *others = map(self._choice, done.choices)
        restored = replace(
            done,
            text=leading.text,
            tool_calls=leading.tool_calls,
            thinking=leading.thinking,
            others=tuple(others),
        )
        return replace(answer, completion=restored)

    def _choice(self, choice: Choice) -> Choice:
        plain, quoted = Restorer(self._plain), Restorer(self._quoted)
        words = quoted if self._json and not choice.refused else plain
        return replace(
            choice,
            text=words.restore(choice.text),
            thinking=tuple(replace(thought, text=plain.restore(thought.text)) for thought in choice.thinking),
            tool_calls=tuple(_with_arguments(call, quoted, plain) for call in choice.tool_calls),
        )

    def chunks(self, group: Sequence[Chunk]) -> list[Chunk]:
        """
        The chunks as far as they are certain. What could begin a placeholder is held back until its own place goes on,
        whatever is written to others meanwhile.
        """
        return [part for chunk in group for part in self._chunk(chunk)]

    def close(self) -> list[Chunk]:
        """What was held back: the answer ended inside what could have been a placeholder."""
        held = [(place, restorer.close()) for place, restorer in self._open.items()]
        return [_held(place, text, custom=place in self._custom) for place, text in held if text]

    def _chunk(self, chunk: Chunk) -> list[Chunk]:
        restored: list[Chunk] = []
        index = chunk.choice
        if chunk.thinking is not None:
            place = ("thought", index, 0)
            thought = chunk.thinking
            text = self._feed(place, thought.text)
            if thought.signature:
                text += self._open[place].close()
            restored.append(Chunk(choice=index, thinking=replace(thought, text=text)))
        if chunk.text:
            place = ("refusal" if chunk.refused else "text", index, 0)
            text = self._feed(place, chunk.text, quoted=self._json and not chunk.refused)
            restored.append(replace(chunk, text=text, thinking=None, tool_calls=()))
        for piece in chunk.tool_calls:
            place = ("call", index, piece.index)
            if piece.custom:
                self._custom.add(place)
            fed = replace(piece, arguments=self._feed(place, piece.arguments, quoted=not piece.custom))
            restored.append(Chunk(choice=index, tool_calls=(fed,)))
        return [part for part in restored if part.says]

    def _feed(self, place: Place, text: str, *, quoted: bool = False) -> str:
        restorer = self._open.get(place)
        if restorer is None:
            restorer = self._open[place] = Restorer(self._quoted if quoted else self._plain)
        return restorer.feed(text)


def _held(place: Place, text: str, *, custom: bool) -> Chunk:
    kind, choice, call = place
    match kind:
        case "thought":
            return Chunk(choice=choice, thinking=Thinking(text))
        case "call":
            return Chunk(choice=choice, tool_calls=(ToolCallPiece(call, text, custom=custom),))
        case _:
            return Chunk(text, choice=choice, refused=kind == "refusal")


def _with_arguments(call: ToolCall, quoted: Restorer, plain: Restorer) -> ToolCall:
    restorer = plain if call.custom else quoted
    return replace(call, arguments=restorer.restore(call.arguments))
