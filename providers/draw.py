"""
Lots among equals: by chance, or fixed for a session.

Both are the weighted order without replacement of Efraimidis and Spirakis (2006): each draws u^(1/w), the largest goes
first. By chance u is random; for a session it is a hash of session and name, which makes it weighted rendezvous hashing
(Thaler and Ravishankar, 1998): when a service goes, only its own sessions move.
"""

import random
from collections.abc import Callable, Iterator
from hashlib import blake2b
from math import log
from typing import Protocol

from providers.catalogue import Group, Item, Leaf
from providers.chat import ChatRequest

PREFIX_CHARS = 2048
"""Of the first user message: providers cache whole prefixes, and longer beginnings differ more often."""

TURNS_KEPT = 4096
"""Callers may invent names of models: the one that came first makes room."""

_RANGE = 2**64


class Draw(Protocol):
    """Lots for items, the larger the earlier, and the key slot to begin with."""

    def lot(self, item: Item) -> float: ...

    def slot(self, leaf: Leaf) -> int: ...


class Chance:
    """Lots by chance; the keys of a service take turns."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}  # by target: a plan may hold several of one service, each with its own turn

    def lot(self, item: Item) -> float:
        # The logarithm of u^(1/w), which keeps its order and loses less when w is large. u is in (0, 1].
        return log(1.0 - random.random()) / item.weight  # noqa: S311 (spreads load)

    def slot(self, leaf: Leaf) -> int:
        turn = self._turns.get(leaf.name, 0)
        if turn == 0 and len(self._turns) >= TURNS_KEPT:
            del self._turns[next(iter(self._turns))]
        self._turns[leaf.name] = turn + 1
        return turn % len(leaf.rotations)


class Rendezvous:
    """Lots fixed by a text that stays the same through a session."""

    def __init__(self, session: str) -> None:
        # A caller's header or JSON may hold a lone surrogate.
        self._key = blake2b(session.encode("utf-8", "surrogatepass"), digest_size=32).digest()

    def lot(self, item: Item) -> float:
        return log((self._hash(item.label) + 0.5) / _RANGE) / item.weight

    def slot(self, leaf: Leaf) -> int:
        return max(range(len(leaf.rotations)), key=lambda slot: self._hash(f"{leaf.name}\0{slot}"))

    def _hash(self, name: str) -> int:
        return int.from_bytes(blake2b(name.encode(), digest_size=8, key=self._key).digest(), "big")


def drawn(group: Group, lot: Callable[[Item], float]) -> Iterator[Leaf]:
    """The leaves in the order they are to be asked."""
    for tier in group:
        for item in sorted(tier, key=lot, reverse=True) if len(tier) > 1 else tier:
            if isinstance(item.of, Leaf):
                yield item.of
            else:
                yield from drawn(item.of, lot)


def beginning(request: ChatRequest) -> str:
    """What a conversation's requests have in common: tools, system texts and the first user message's beginning."""
    parts = [tool.name for tool in request.tools]
    for message in request.messages:
        if message.role == "system":
            parts.append(message.text)
        elif message.role == "user":
            parts.append(message.text[:PREFIX_CHARS])
            break
    return "\x1f".join(parts)
