"""
JSON as RFC 8259 and I-JSON (RFC 7493) mean it, and nothing a second parser could read differently.

orjson refuses NaN, Infinity, a BOM, other encodings than UTF-8, lone surrogates and trailing text. Added here:
duplicate names, NUL characters, numbers beyond ±2^53 and bounds on depth and number of names and values.
"""

import re
from typing import Any

import orjson

MAX_DEPTH = 64
MAX_NAMES = 10_000
MAX_VALUES = 500_000
"""Twenty megabytes of empty lists would take a gigabyte and hold the event loop for seconds."""
MAX_INTEGER = 2**53

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class InvalidJSON(ValueError):
    """The message says what is wrong, never what was sent."""


def loads(body: bytes) -> Any:
    """Parse a whole body. Raises `InvalidJSON`. Linear time."""
    # Before anything is built. Commas of texts count too: so many are more than any model reads.
    if body.count(b",") > 4 * MAX_VALUES:
        raise InvalidJSON(f"the body has more than {MAX_VALUES} values")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidJSON("the body is not valid JSON") from None
    names = _check(value)
    # Every name is followed by one colon outside strings. Equal counts prove that no name came twice; the others stand
    # inside strings, and are what the parsed strings hold unless one is written as an escape.
    colons = body.count(b":") - names
    if colons and (b"\\u003" in body or colons != _colons(value)) and _STRING.sub(b"", body).count(b":") != names:
        raise InvalidJSON("the body has duplicate names")
    return value


def _colons(root: Any) -> int:
    """Colons in all strings, names included."""
    found = 0
    left = [root]
    while left:
        value = left.pop()
        kind = type(value)
        if kind is str:
            found += value.count(":")
        elif kind is list:
            left += value
        elif kind is dict:
            left += value
            left += value.values()
    return found


def _check(root: Any) -> int:
    """Walk the value level by level; return how many names its objects have."""
    names = 0
    level = [root]
    for depth in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                if "\x00" in value:
                    raise InvalidJSON("strings may not contain NUL")
            elif kind is dict or kind is list:
                if depth == MAX_DEPTH:
                    raise InvalidJSON(f"the body is nested more than {MAX_DEPTH} deep")
                below += value
                if kind is dict:
                    names += len(value)
                    below += value.values()
                if names > MAX_NAMES:
                    raise InvalidJSON(f"the body has more than {MAX_NAMES} names")
            elif (kind is int or kind is float) and not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise InvalidJSON("numbers must lie within ±2^53")
        if len(below) > MAX_VALUES:
            raise InvalidJSON(f"the body has more than {MAX_VALUES} values")
        level = below
        if not level:
            break
    return names
