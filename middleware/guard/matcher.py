"""
Which rules hit a text, and where: one RE2 set over the whole text, then only the patterns whose trigger it saw.

RE2 reads a text in linear time whatever the text (R. Cox, "Regular Expression Matching in the Wild", 2010).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import re2

from middleware.guard import warm_up
from middleware.guard.automaton import Automaton
from middleware.guard.rule import CONTEXT, Kind, Rule
from middleware.guard.rules import RULES

_SET_MEMORY = 12 << 20
"""
Bytes for the set's program and its states. RE2 discards states when they are full, so this bounds memory, not what
is found.
"""

MAX_VALUES = 1_000
"""Values of one rule reported from one text, unless all are to be masked: a refusal needs no full count."""

MAX_CHECKS = 1_000
"""
Candidates of one rule looked at in one text. Further ones are believed: a flood of near misses must not buy time or
a pass.
"""

_SHORT = 64
"""
Bytes of a refused number inside which another may begin ("5555 4111 1111 1111 1111"); longer ones, and words, are
skipped whole.
"""


class MatchError(RuntimeError):
    """RE2 could not read a text. The guard has no verdict then, and no verdict is never a pass."""


@dataclass(frozen=True, slots=True)
class Hit:
    """
    `start` and `end` are character offsets into the text that was read; -1 where only the fact counts (injection,
    sql).
    """

    rule: Rule
    start: int = -1
    end: int = -1
    value: str = ""


class Matcher:
    """
    Some rules, compiled. Safe to share between threads: RE2 objects are.

    One for each kind is faster than one for all: the states of RE2's automaton, made as texts call for them, multiply
    where rules that look for different things are in one set. A text of 4 KB with words it has not seen takes 0.5 ms
    then instead of 1.2.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        options = re2.Options()
        options.max_mem = _SET_MEMORY
        options.log_errors = False
        self._set = re2.Set.SearchSet(options)
        self._rules: list[list[tuple[Rule, Automaton]]] = []
        slots: dict[str, int] = {}
        for rule in rules:
            trigger = rule.trigger or rule.pattern
            if trigger not in slots:
                slots[trigger] = self._set.Add(trigger)
                self._rules.append([])
            self._rules[slots[trigger]].append((rule, Automaton(rule.pattern)))
        # The end of the text always matches: an empty answer can only mean that RE2 gave up, which it says no other
        # way.
        self._sentinel = self._set.Add(r"\z")
        self._set.Compile()
        self._match = self._set._set.Match

    def hits(self, text: str, data: bytes, *, every: bool = False) -> list[Hit]:
        """
        Raises `MatchError`. Values in order of rule, then place; injection, sql and own rules report once. `data` is
        `encoded(text)`. `every`: without the bound of MAX_VALUES.
        """
        found = self._match(data)
        if not found:
            raise MatchError("the rule set gave no answer")
        if len(found) == 1:
            return []
        hits: list[Hit] = []
        for slot in sorted(found):
            if slot != self._sentinel:
                for rule, pattern in self._rules[slot]:
                    hits.extend(islice(_located(rule, pattern, data, text), None if every else MAX_VALUES))
        return hits


def encoded(text: str) -> bytes:
    """A lone surrogate becomes "?", one character for one."""
    return text.encode("utf-8", "replace")


def _located(rule: Rule, pattern: Automaton, data: bytes, text: str) -> Iterator[Hit]:
    once = rule.kind in ("injection", "sql", "own")
    position, checks, ascii_only = 0, 0, len(data) == len(text)
    bytes_seen = chars_seen = 0

    def piece(start: int, end: int) -> str:
        return text[start:end] if ascii_only else data[start:end].decode("utf-8", "ignore")

    while (spans := pattern.spans(data, position)) is not None:
        first, last = spans[0]
        start, end = next((span for span in spans[1:] if span[0] >= 0), spans[0])
        value = piece(start, end)
        if rule.trim is not None:
            value = rule.trim(value)
            end = start + len(value.encode())
        checks += 1
        if (
            rule.check is None
            or checks > MAX_CHECKS
            or rule.check(value, piece(max(0, start - CONTEXT), start), piece(end, end + CONTEXT))
        ):
            if once:
                yield Hit(rule)
                return
            if ascii_only:
                yield Hit(rule, start, end, value)
            else:
                chars_seen += len(data[bytes_seen:start].decode("utf-8"))
                bytes_seen = start
                yield Hit(rule, chars_seen, chars_seen + len(value), value)
            position = max(end, first + 1)
        elif last - first <= _SHORT and data[first : first + 1].isdigit():
            position = first + 1
        else:
            position = max(last, first + 1)
        if position > len(data):
            return


@cache
def matcher_of(kind: Kind) -> Matcher:
    """The matcher of all rules of this kind, warmed up. Made once a process: it takes tens of milliseconds."""
    matcher = Matcher(tuple(rule for rule in RULES if rule.kind == kind))
    for text in warm_up.texts():
        matcher.hits(text, encoded(text))
    return matcher
