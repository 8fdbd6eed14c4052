"""
Read untrusted JSON.

A reply is whatever some server sent. Each reader takes any value and answers with one of its type, an empty one where
the value is something else, so that adapters need no check per field and cannot fail on a strange one.
"""

import json
import unicodedata
from decimal import Decimal, InvalidOperation

import orjson

MAX_SENTENCE = 300
"""Characters of a provider's own sentence that are passed on."""

_MAX_COUNT = 10**12
_MOST_USD = 1_000_000


def parse(data: bytes) -> dict[str, object]:
    """The object in `data`; white space around it is legal. Raises `ValueError` for anything else."""
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def parse_unique(data: bytes) -> dict[str, object]:
    """The object in `data` if no name comes twice in one: readers differ about which counts. Else `ValueError`."""
    value = parse(data)
    try:
        json.loads(data, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def is_deep(value: object, levels: int = 64) -> bool:
    """Whether objects and lists stand in one another more than `levels` deep: readable, but not safe to write again."""
    level = [value]
    for _ in range(levels):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def is_object(text: str) -> bool:
    """Whether it is an object of JSON, and so whole: nothing but white space could follow."""
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def loose(data: bytes) -> object:
    """Any JSON value, None where there is none: a proxy's page of HTML, or nothing at all."""
    try:
        value: object = orjson.loads(data)
    except ValueError:
        return None
    return value


def mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def first(value: object) -> dict[str, object]:
    """The object that leads a list, an empty one if there is none."""
    return mapping(value[0]) if isinstance(value, list) and value else {}


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """A number of tokens: a whole number from 0 to 10^12, else 0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        return 0
    return value


def money(value: object) -> Decimal | None:
    """An amount in USD, None for what is not a number from 0 to a million."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= _MOST_USD else None


def sentence(value: object) -> str:
    """A provider's words on one line: no control, format or surrogate characters, at most `MAX_SENTENCE` long."""
    words = string(value)[: 4 * MAX_SENTENCE].split()
    line = "".join(char for char in " ".join(words) if not unicodedata.category(char).startswith("C"))
    return line if len(line) <= MAX_SENTENCE else line[: MAX_SENTENCE - 1] + "…"
