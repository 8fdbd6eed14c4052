"""The section `policies` of the configuration file: what the guards do, by a name that keys and tenants give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import re2

from gateway.key_records import DEFAULT_POLICY
from middleware.guard.automaton import Automaton
from middleware.guard.guard import Action
from providers.entries import Entry, shown

Unmasked = Literal["block", "flag", "off"]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_NAMED = "a name has at most 63 of a-z, 0-9, '-' and '_' and begins with one of a-z and 0-9"
MAX_PATTERNS = 100
MAX_PATTERN_CHARS = 1_000
_FIELDS = (
    *("injection", "pii", "secrets", "sql", "unread", "output", "safety", "toxicity_threshold"),
    *("monitor", "allow", "patterns"),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One policy. What is None is as in the policy `default`, whose own come from the variables (`INJECTION_ACTION` and
    its like).

    `unread`: what is done about parts that no layer can read, such as images. `monitor`: findings are recorded, and
    nothing is refused or masked. `allow`: values that are no finding, in questions and answers, whoever sends them.
    `patterns`: the operator's own, RE2 by name; a text that holds one is refused.
    """

    injection: Unmasked | None = None
    pii: Action | None = None
    secrets: Action | None = None
    sql: Unmasked | None = None
    unread: Unmasked | None = None
    output: Action | None = None
    safety: Unmasked | None = None
    toxicity_threshold: float | None = None
    monitor: bool = False
    allow: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()


def read_policies(top: Entry, problems: list[str]) -> Mapping[str, Policy]:
    """By name, `default` always among them. What is wrong goes to `problems`."""
    found = {DEFAULT_POLICY: Policy()}
    section = top.map("policies") or {}
    reader = Entry(section, top.at("policies"), problems)
    for name in section:
        if not NAME.fullmatch(name):
            reader.wrong(shown(name), _NAMED)
            continue
        found[name] = _policy(Entry(reader.map(name) or {}, reader.at(name), problems), problems)
    return found


def _policy(entry: Entry, problems: list[str]) -> Policy:
    entry.check_keys(_FIELDS)
    actions: tuple[Action, ...] = get_args(Action)
    unmasked: tuple[Unmasked, ...] = get_args(Unmasked)
    return Policy(
        injection=entry.choice("injection", unmasked),
        pii=entry.choice("pii", actions),
        secrets=entry.choice("secrets", actions),
        sql=entry.choice("sql", unmasked),
        unread=entry.choice("unread", unmasked),
        output=entry.choice("output", actions),
        safety=entry.choice("safety", unmasked),
        toxicity_threshold=entry.share("toxicity_threshold"),
        monitor=entry.flag("monitor") or False,
        allow=entry.texts("allow", "must be a list of values"),
        patterns=_patterns(entry, problems),
    )


def _patterns(entry: Entry, problems: list[str]) -> tuple[tuple[str, str], ...]:
    given = entry.map("patterns") or {}
    if len(given) > MAX_PATTERNS:
        entry.wrong("patterns", f"must be at most {MAX_PATTERNS}")
        return ()
    reader = Entry(given, entry.at("patterns"), problems)
    found = []
    for name in given:
        if not NAME.fullmatch(name):
            reader.wrong(shown(name), _NAMED)
            continue
        pattern = reader.text(
            name, _is_pattern, f"must be an RE2 pattern of at most {MAX_PATTERN_CHARS} characters that needs some text"
        )
        if pattern is not None:
            found.append((name, pattern))
    return tuple(found)


def _is_pattern(text: str) -> bool:
    """One that matched nothing at all would be found in every text."""
    if len(text) > MAX_PATTERN_CHARS:
        return False
    try:
        return Automaton(text).spans(b"") is None
    except re2.error:
        return False
