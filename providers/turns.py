"""
A conversation as Anthropic and Google want it: instructions apart, then turns that alternate and start with the user's.

OpenAI's wire takes messages in any order, so callers send them in any order.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from providers.base import Message
from providers.errors import RejectedRequest

OPENING = "Please continue."
"""Stands in for the user where the caller begins with the assistant's words: both vendors refuse that."""


class Turn(NamedTuple):
    role: Literal["user", "assistant"]
    text: str


def alternating(messages: Sequence[Message]) -> tuple[str, list[Turn]]:
    """
    Return the system text (empty: none) and the turns.

    Leading system messages are joined with blank lines; a later one opens the user turn that follows it, keeping its
    place. Messages without text are dropped, since both vendors refuse empty blocks. With instructions only, they are
    the user's turn. Raises `RejectedRequest` when nothing is left.
    """
    system: list[str] = []
    turns: list[tuple[Literal["user", "assistant"], list[str]]] = []
    for message in messages:
        if not message.content.strip():
            continue
        if message.role == "system" and not turns:
            system.append(message.content)
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1][0] == role:
            turns[-1][1].append(message.content)
        else:
            turns.append((role, [message.content]))
    if not turns:
        if not system:
            raise RejectedRequest("the request holds no text")
        turns, system = [("user", system)], []
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", [OPENING]))
    return "\n\n".join(system), [Turn(role, "\n\n".join(texts)) for role, texts in turns]
