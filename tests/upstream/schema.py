"""Requests written down as types, and what is wrong with one that does not fit."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

Free = dict[str, object]
"""An object whose keys are nobody's business but the sender's, such as a JSON Schema."""


class Shape(BaseModel):
    """An object with these fields and no other; a string is no number, nor the other way round."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: pydantic's word for it, where it is in the body, where it is with the names of variants."""

    kind: str
    path: tuple[str | int, ...]
    tagged: tuple[str | int, ...]
    message: str
    given: object
    context: Mapping[str, object]


def deepest(error: ValidationError, body: object) -> Problem:
    """Of all that is wrong, what lies deepest: a variant that fits almost says more than one that does not at all."""
    problems: list[Problem] = []
    for one in error.errors(include_url=False):
        context, tagged = one.get("ctx", {}), one["loc"]
        if one["type"] == "missing":
            path = (*_in_body(tagged[:-1], body, one["input"]), tagged[-1])
        else:
            path = _in_body(tagged, body, one["input"])
        if one["type"].startswith("union_tag"):
            path = (*path, str(context["discriminator"]).strip("'"))
        problems.append(Problem(one["type"], path, tagged, one["msg"], one["input"], context))
    return max(problems, key=lambda problem: len(problem.path))


def _in_body(loc: tuple[str | int, ...], body: object, given: object) -> tuple[str | int, ...]:
    """Leave out of pydantic's location the names of variants, which are no places in the body, by where they lead."""
    greedy = next(path for path, _ in _ways(loc, body))
    return next((path for path, value in _ways(loc, body) if value is given), greedy)


def _ways(loc: tuple[str | int, ...], body: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Yield each place that the location can mean: a step is a key or an index first, then the name of a variant."""
    if not loc:
        yield (), body
        return
    step, rest = loc[0], loc[1:]
    match body, step:
        case dict(), _ if step in body:
            for path, value in _ways(rest, body[step]):
                yield (step, *path), value
        case list(), int() if step < len(body):
            for path, value in _ways(rest, body[step]):
                yield (step, *path), value
            return
    yield from _ways(rest, body)


def dotted(path: tuple[str | int, ...]) -> str:
    """`("messages", 0, "role")` as `messages[0].role`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)


def objects(schema: object) -> Iterator[Free]:
    """Yield the schema of every object inside a JSON Schema, itself included."""
    if isinstance(schema, list):
        for item in schema:
            yield from objects(item)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for name, inner in schema.items():
            # Under these the keys are names of properties or definitions, not keywords.
            if name in {"properties", "$defs", "definitions"} and isinstance(inner, dict):
                yield from objects(list(inner.values()))
            elif name not in {"enum", "const", "default", "examples"}:
                yield from objects(inner)


def words_in(value: object) -> int:
    """How many words there are in all the strings of a value: what the fakes call tokens."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, dict):
        return sum(words_in(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(words_in(inner) for inner in value)
    return 0
