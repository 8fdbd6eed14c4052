"""
A conversation as Anthropic and Google want it: instructions apart, then turns that alternate and start with the user's.

OpenAI's wire takes messages in any order, so callers send them in any order. Both vendors refuse empty and blank texts,
and want the results of tools at the head of the turn that follows the calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from providers.chat import Extra, Message, Part, Text, Thinking, ToolCall
from providers.errors import RejectedRequest

OPENING = "Please continue."
"""Stands in for the user where the caller begins with the assistant's words: both vendors refuse that."""

Speaker = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the tool `name` answered to the call `call_id`; `name` is empty where no such call came before."""

    call_id: str
    name: str
    parts: tuple[Part, ...]
    failed: bool = False
    extra: Extra = field(default_factory=dict)


Piece = Part | ToolCall | ToolResult


class Turn(NamedTuple):
    """Never empty; no text in it is blank; an assistant's calls come last, a user's tool results first."""

    role: Speaker
    pieces: tuple[Piece, ...]


def alternating(messages: Sequence[Message], *, thoughts: bool = False) -> tuple[list[Text], list[Turn]]:
    """
    Return the instructions (empty: none) and the turns.

    Leading system messages are the instructions; a later one opens the user turn that follows it, keeping its place.
    Neighbours of one role are one turn: texts of different messages are joined with a blank line, unless a vendor's own
    keys hang on one of them. Tool results stand in the order of the calls. Thoughts are kept only with `thoughts`, and
    only those that a vendor has signed. With instructions only, they are the user's turn. Raises `RejectedRequest` when
    nothing is left.
    """
    system: list[Text] = []
    spoken: list[tuple[Speaker, list[Piece]]] = []
    names: dict[str, str] = {}
    for message in messages:
        pieces = list(_pieces(message, names, thoughts=thoughts))
        if not pieces:
            continue
        if message.role == "system" and not spoken:
            texts = [piece for piece in pieces if isinstance(piece, Text)]
            if len(texts) == len(pieces):
                system += texts
                continue
        role: Speaker = "assistant" if message.role == "assistant" else "user"
        if spoken and spoken[-1][0] == role:
            spoken[-1][1].extend(pieces)
        else:
            spoken.append((role, pieces))
        names.update((call.id, call.name) for call in message.tool_calls)
    if not spoken:
        if not system:
            raise RejectedRequest("the request holds no text")
        spoken, system = [("user", [*system])], []
    if spoken[0][0] == "assistant":
        spoken.insert(0, ("user", [Text(OPENING)]))
    turns: list[Turn] = []
    for role, pieces in spoken:
        if role == "user" and len(pieces) > 1:
            pieces = _results_first(pieces, turns[-1].pieces if turns else ())
        turns.append(Turn(role, tuple(_joined(pieces, "\n\n"))))
    return system, turns


def _pieces(message: Message, names: dict[str, str], *, thoughts: bool) -> Iterable[Piece]:
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        name = names.get(call_id) or message.name or ""
        parts = tuple(part for part in _said(message.parts) if not isinstance(part, Thinking | ToolCall | ToolResult))
        yield ToolResult(call_id, name, parts, message.failed, message.extra)
        return
    if isinstance(message.content, str):
        if message.content.strip():
            yield Text(message.content, message.extra)
    else:
        for piece in _said(message.content):
            if not isinstance(piece, Thinking) or (thoughts and (piece.signature or piece.redacted)):
                yield piece
    yield from message.tool_calls


def _said(parts: Sequence[Part]) -> Iterable[Piece]:
    """Texts of one message follow one another with nothing between them, so a blank one belongs to its neighbour."""
    return (part for part in _joined(parts, "") if not isinstance(part, Text) or part.text.strip())


def _joined(pieces: Iterable[Piece], between: str) -> list[Piece]:
    found: list[Piece] = []
    run: list[str] = []
    for piece in pieces:
        if isinstance(piece, Text) and not piece.extra:
            run.append(piece.text)
            continue
        if run:
            found.append(Text(between.join(run)))
            run = []
        found.append(piece)
    return [*found, Text(between.join(run))] if run else found


def _results_first(pieces: list[Piece], asked: Sequence[Piece]) -> list[Piece]:
    """The sort is stable: what answers no call of the turn before, and all that is no result, keeps its order."""
    place = {piece.id: number for number, piece in enumerate(asked) if isinstance(piece, ToolCall)}
    last = len(asked)
    return sorted(
        pieces, key=lambda piece: place.get(piece.call_id, last) if isinstance(piece, ToolResult) else last + 1
    )
