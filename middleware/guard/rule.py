"""What one rule of the guard is: a row of data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["injection", "secret", "pii", "sql", "own", "unread"]
"""`own`: the operator's patterns. `unread`: no text at all."""

Check = Callable[[str, str, str], bool]
"""
`check(value, before, after)`: is the candidate what its rule says? `before` and `after` are up to `CONTEXT` bytes
of text.
"""

CONTEXT = 48
"""Bytes of neighbouring text shown to a check: room for "my social security number is", not for a second sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    `pattern` and `trigger` are RE2. Only triggers enter the set that reads every text, so they are short and hold no
    counted gaps (those multiply the states of an automaton); the pattern runs on texts whose trigger was seen. Without
    a trigger the pattern is its own. If the pattern has a group, the first is the value; else the whole match is.

    `type` is the name under which a value is reported and masked (`email` becomes `[EMAIL_1]`). `trim` cuts what a
    greedy candidate took too much; it returns a prefix. `check` has the last word.
    """

    id: str
    kind: Kind
    pattern: str
    trigger: str = ""
    type: str = ""
    check: Check | None = None
    trim: Callable[[str], str] | None = None
