"""Reading a map of a configuration, key by key, with every problem kept and no value repeated."""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, TypeVar

Word = TypeVar("Word", bound=str)

UNREADABLE: Final = object()
"""Stands where a value could not be made and its problem has been told."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)


class Expanded(str):
    """Text that a variable of the environment is part of: it may stand for a number or a truth value."""

    __slots__ = ()


def plain(text: str) -> str | int | float | bool | None:
    """
    What unquoted text means in YAML 1.2's core schema (§10.3.2), without octal, hex and infinities.

    Not YAML 1.1's, in which `off` is false, `1:30` is 90 and `2024-10-21` a date.
    """
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text[0] in "tT"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def shown(key: object) -> str:
    """A key as a problem may name it: short, without control characters."""
    return ascii(str(key)[:40])[1:-1]


class Entry:
    """
    One map. What is wrong goes to `problems` as `place.key: why`, and the key counts as absent.

    None counts as absent too. With a `place` that ends in a space there is no dot.
    """

    def __init__(self, entry: Mapping[str, object], place: str, problems: list[str]) -> None:
        self._entry = entry
        self._place = place
        self._problems = problems
        self._faulty: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._entry.get(key) is not None

    def at(self, key: str) -> str:
        return f"{self._place}{'' if self._place.endswith(' ') else '.'}{key}"

    def wrong(self, key: str, why: str) -> None:
        if key in self._faulty:
            return  # what is wrong with it was said; that it is then missing follows
        self._faulty.add(key)
        self._problems.append(f"{self.at(key)}: {why}")

    def check_keys(self, known: Iterable[str]) -> None:
        for key in sorted(self._entry.keys() - set(known)):
            self.wrong(shown(key), "unknown key")

    def get(self, key: str) -> object:
        value = self._entry.get(key)
        if value is UNREADABLE or (isinstance(value, list) and any(item is UNREADABLE for item in value)):
            self._faulty.add(key)
            return None
        return value

    def text(self, key: str, accepts: Callable[[str], bool], why: str, *, required: bool = False) -> str | None:
        value = self.get(key)
        if value is None:
            if required:
                self.wrong(key, "required")
            return None
        if not isinstance(value, str) or not accepts(value):
            self.wrong(key, why)
            return None
        return value

    def choice(self, key: str, words: Iterable[Word]) -> Word | None:
        value = self.get(key)
        if value is None:
            return None
        words = tuple(words)
        for word in words:
            if word == value:
                return word
        self.wrong(key, f"must be one of {', '.join(words)}")
        return None

    def whole(self, key: str, least: int, most: int) -> int | None:
        value = self._plain(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(key, f"must be a whole number from {least} to {most}")
            return None
        return value

    def seconds(self, key: str) -> float | None:
        value = self._plain(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
            self.wrong(key, "must be a number of seconds above 0, at most 3600")
            return None
        return float(value)

    def share(self, key: str) -> float | None:
        value = self._plain(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            self.wrong(key, "must be a number above 0, at most 1")
            return None
        return float(value)

    def amount(self, key: str, most: int, *, required: bool = False) -> Decimal | None:
        """Not negative. Exact as it was written, where a float of up to 15 digits is."""
        value = self._plain(key)
        if value is None:
            if required:
                self.wrong(key, "required")
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            self.wrong(key, f"must be a number from 0 to {most}")
            return None
        return Decimal(str(value))

    def flag(self, key: str) -> bool | None:
        value = self._plain(key)
        if value is None:
            return None
        if not isinstance(value, bool):
            self.wrong(key, "must be true or false")
            return None
        return value

    def texts(self, key: str, why: str = "must be a list of names") -> tuple[str, ...]:
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.wrong(key, why)
            return ()
        return tuple(value)

    def map(self, key: str) -> Mapping[str, object] | None:
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(key, "must be a map")
            return None
        return value

    def _plain(self, key: str) -> object:
        value = self.get(key)
        return plain(value) if isinstance(value, Expanded) else value
