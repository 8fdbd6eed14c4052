"""
Every place of a JSON body that holds words, for the layers that judge them.

Surfaces differ in where words stand: contents, parts, tool results, tool descriptions, schemas, arguments that are JSON
inside JSON. One walk over the body as it was sent finds them all, also in fields nobody knows, because it lists what
is *not* words rather than what is.
"""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

Visit = Callable[[str], str]

_STRUCTURE = frozenset(
    {
        *("role", "type", "model", "id", "tool_call_id", "call_id", "tool_use_id", "file_id", "previous_response_id"),
        *("detail", "format", "media_type", "encoding_format", "service_tier", "reasoning_effort", "verbosity"),
        *("effort", "signature", "encrypted_content", "status", "truncation", "tool_choice"),
    }
)
"""Fields whose value is a word of the API or an id of the provider's, not of a person or a model."""
_FREE = frozenset({"parameters", "input_schema", "schema", "metadata", "args", "response"})
"""Fields below which every name and every value is the caller's own."""
_JSON_INSIDE = frozenset({"arguments", "partial_json"})
_BYTES = re.compile(
    r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/_-]*={0,2}|[A-Za-z0-9+/_-]{32,}={0,2}", re.ASCII
)
"""An image, a sound, a file: base64 with or without the head of a data URL (RFC 2397)."""
_ID = re.compile(r"[\w.:/=+|-]*", re.ASCII)
"""What words of an API, ids and signatures are made of. Whatever else stands in their place may be a sentence."""
_NAME = re.compile(r"[\w.$:/-]{0,64}", re.ASCII)
"""What names of an API are made of."""
_SCALAR = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{8,}')
"""A string, or a long number, within JSON that is known to be sound."""
_LONG_NUMBER = 10**8
"""From here on a number may be a card's, a person's or a telephone's."""
_WRITTEN = re.compile(
    r"text/|(?:application|image)/(?:[\w.-]+\+)?(?:json|xml|yaml|javascript)\b", re.IGNORECASE | re.ASCII
)
"""Media types of files that are words, whatever they are wrapped in."""
_BYTES_IN = frozenset({"url", "image_url", "data", "file_data", "file_url", "redacted", "thoughtSignature"})


class Unmaskable(ValueError):
    """What is to be masked stands across several parts, in none of them as a whole."""


def texts(value: Any) -> list[str]:
    """
    All words of a body, in a fixed order.

    The text parts of one message are also given joined, as a model reads them: what is cut in two is whole there.
    """
    found: list[str] = []

    def visit(text: str) -> str:
        found.append(text)
        return text

    _map(value, visit, free=False)
    return found


def with_texts(value: Any, replacements: Sequence[str]) -> Any:
    """
    The body with other words in the same places; `replacements` in the order of `texts`. Raises `Unmaskable`.
    """
    following: Iterator[str] = iter(replacements)
    return _map(value, lambda _: next(following), free=False)


def _map(value: Any, visit: Visit, *, free: bool) -> Any:
    kind = type(value)  # of parsed JSON: nothing is a subclass of anything
    if kind is str:
        return visit(value)
    if kind is list:
        mapped = [_map(item, visit, free=free) for item in value]
        if len(value) > 1 and not free:
            _visit_joined(value, mapped, visit)
        return mapped
    if kind is dict:
        if free:
            return {visit(name): _map(item, visit, free=True) for name, item in value.items()}
        plain = value.get("type") == "text"  # a document whose `data` is what it looks like
        media = value.get("media_type")
        return {_name(name, visit): _field(name, item, visit, plain, media) for name, item in value.items()}
    if free and (kind is int or kind is float) and not -_LONG_NUMBER < value < _LONG_NUMBER:
        return _number(value, visit)
    return value


def _number(value: float, visit: Visit) -> Any:
    """A number the caller chose is a text like any other: masked, it becomes one."""
    text = orjson.dumps(value).decode()
    changed = visit(text)
    return value if changed == text else changed


def _visit_joined(parts: list[Any], mapped: list[Any], visit: Visit) -> None:
    """The texts of neighbouring parts as one. Nothing of it can be replaced but in the parts themselves."""
    before, after = (
        [part["text"] for part in of if type(part) is dict and type(part.get("text")) is str] for of in (parts, mapped)
    )
    if len(before) < 2:
        return
    joined = "".join(before)
    changed = visit(joined)
    if changed != joined and changed != "".join(after):
        raise Unmaskable("a value stands across several parts")


def _name(name: str, visit: Visit) -> str:
    return name if _NAME.fullmatch(name) else visit(name)


def _field(name: str, value: Any, visit: Visit, plain: bool, media: object) -> Any:
    kind = type(value)
    if kind is str:
        if name in _STRUCTURE:
            return value if _ID.fullmatch(value) else visit(value)
        if name in _BYTES_IN and not plain and (_is_written(media) or _BYTES.fullmatch(value)):
            return _file(value, visit, media)
        if name in _JSON_INSIDE:
            return _arguments(value, visit)
        return visit(value)
    if kind is not list and kind is not dict:
        return value
    # The arguments of a call that are an object (Anthropic's `input`) are as free as those that are a string.
    return _map(value, visit, free=name in _FREE or (kind is dict and name == "input"))


def _arguments(value: str, visit: Visit) -> str:
    """
    JSON inside JSON is read string by string, so that neither an escape nor a name that stands twice hides a word. All
    stays as written but the words that change; what is not JSON is a text.
    """
    try:
        inner = orjson.loads(value)
    except orjson.JSONDecodeError:
        return visit(value)
    if not isinstance(inner, dict | list):
        return visit(value)
    return _SCALAR.sub(lambda match: _scalar(match[0], visit), value)


def _scalar(token: str, visit: Visit) -> str:
    text = orjson.loads(token) if token[0] == '"' else token
    changed = visit(text)
    return token if changed == text else orjson.dumps(changed).decode()


def _is_written(media: object) -> bool:
    return isinstance(media, str) and _WRITTEN.match(media) is not None


def _file(value: str, visit: Visit, media: object) -> str:
    """A file in base64: read where it is words by its media type, which stands before or beside it."""
    head, comma, encoded = value.rpartition(",")
    kind = head.removeprefix("data:") if comma else media
    if not _is_written(kind):
        return value
    try:
        altchars = b"-_" if "-" in encoded or "_" in encoded else None
        text = base64.b64decode(encoded, altchars=altchars).decode("utf-8", "replace")
    except ValueError:
        return visit(value)  # nobody will read it as a file either
    changed = visit(text)
    return value if changed == text else f"{head}{comma}{base64.b64encode(changed.encode()).decode()}"
