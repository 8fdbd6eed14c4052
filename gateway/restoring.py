"""Originals back in the place of placeholders, wherever a model may write one: text, thoughts, tool arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from middleware.guard.restore import Restorer
from providers.cascade import Answer
from providers.chat import Choice, Chunk, Thinking, ToolCall, ToolCallPiece

Place = tuple[str, int, int]
"""What is being written: `text`, `thought` or `call`, of which choice, and which call."""


class Restoring:
    """Undoes the masking of one request in its answer, whole or in chunks cut anywhere."""

    def __init__(self, masked: Mapping[str, str]) -> None:
        self._plain = dict(masked)
        # Arguments are JSON: there an original stands as it does inside quotes.
        self._quoted = {placeholder: orjson.dumps(text).decode()[1:-1] for placeholder, text in masked.items()}
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
        return replace(
            choice,
            text=plain.restore(choice.text),
            thinking=tuple(replace(thought, text=plain.restore(thought.text)) for thought in choice.thinking),
            tool_calls=tuple(_with_arguments(call, quoted, plain) for call in choice.tool_calls),
        )

    def chunks(self, group: Sequence[Chunk]) -> list[Chunk]:
        """
        The chunks as far as they are certain. What is held back of one place leaves before another place is written
        to, so that the order of an answer's parts stays as it was.
        """
        return [part for chunk in group for part in self._chunk(chunk)]

    def close(self) -> list[Chunk]:
        """What was held back: the answer ended inside what could have been a placeholder."""
        return self._others(None)

    def _chunk(self, chunk: Chunk) -> list[Chunk]:
        restored: list[Chunk] = []
        index = chunk.choice
        if chunk.thinking is not None:
            place = ("thought", index, 0)
            restored += self._others(place)
            thought = chunk.thinking
            text = self._feed(place, thought.text)
            if thought.signature:
                text += self._open[place].close()
            restored.append(Chunk(choice=index, thinking=replace(thought, text=text)))
        if chunk.text:
            place = ("text", index, 0)
            restored += self._others(place)
            restored.append(replace(chunk, text=self._feed(place, chunk.text), thinking=None, tool_calls=()))
        for piece in chunk.tool_calls:
            place = ("call", index, piece.index)
            restored += self._others(place)
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

    def _others(self, place: Place | None) -> list[Chunk]:
        """What other places of the same choice still hold back."""
        left: list[Chunk] = []
        for other, restorer in self._open.items():
            if other == place or (place is not None and other[1] != place[1]):
                continue
            held = restorer.close()
            if held:
                left.append(_held(other, held, custom=other in self._custom))
        return left


def _held(place: Place, text: str, *, custom: bool) -> Chunk:
    kind, choice, call = place
    match kind:
        case "text":
            return Chunk(text, choice=choice)
        case "thought":
            return Chunk(choice=choice, thinking=Thinking(text))
        case _:
            return Chunk(choice=choice, tool_calls=(ToolCallPiece(call, text, custom=custom),))


def _with_arguments(call: ToolCall, quoted: Restorer, plain: Restorer) -> ToolCall:
    restorer = plain if call.custom else quoted
    return replace(call, arguments=restorer.restore(call.arguments))
