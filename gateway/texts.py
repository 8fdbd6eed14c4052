"""
Every place of a JSON body that holds words, for the layers that judge them, and what holds none that can be read.

Surfaces differ in where words stand: contents, parts, tool results, tool descriptions, schemas, arguments that are JSON
inside JSON. One walk over the body as it was sent finds them all, also in fields nobody knows, because it lists what
is *not* words rather than what is. Of what a model would read and the walk cannot (pictures, sound, files, addresses
of such, token ids) it tells the kind.
"""

import base64
import codecs
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from middleware.guard.guard import Unread

Visit = Callable[[str], str]

_STRUCTURE = frozenset(
    {
        *("role", "type", "model", "id", "tool_call_id", "call_id", "tool_use_id", "previous_response_id"),
        *("detail", "format", "media_type", "encoding_format", "service_tier", "reasoning_effort", "verbosity"),
        *("effort", "signature", "encrypted_content", "status", "truncation", "tool_choice"),
    }
)
"""Fields whose value is a word of the API or an id of the provider's, not of a person or a model."""
_FREE = frozenset({"parameters", "input_schema", "input_examples", "schema", "metadata", "args", "response"})
"""Fields below which every name and every value is the caller's own."""
_JSON_INSIDE = frozenset({"arguments", "partial_json"})
_BYTES = re.compile(
    r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/_-]*={0,2}|[A-Za-z0-9+/_-]{32,}={0,2}", re.ASCII
)
"""An image, a sound, a file: base64 with or without the head of a data URL (RFC 2397)."""
_ID = re.compile(r"[\w.:/=+|-]*", re.ASCII)
"""What words of an API, ids and signatures are made of. Whatever else stands in their place may be a sentence."""
_NAME = re.compile(r"[A-Za-z_.$:/-]{0,28}\d{0,7}", re.ASCII)
"""What names of an API are made of, and numbers of tokens: no key, and no sentence of many words."""
_SCALAR = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{8,}')
"""A string, or a long number, within JSON that is known to be sound."""
_LONG_NUMBER = 10**8
"""From here on a number may be a card's, a person's or a telephone's."""
_WRITTEN = re.compile(
    r"text/|(?:application|image)/(?:[\w.-]+\+)?(?:json|xml|yaml|javascript)\b", re.IGNORECASE | re.ASCII
)
"""Media types of files that are words, whatever they are wrapped in. Others are, if their bytes say so."""
_CHARSET = re.compile(r";charset=([\w.-]+)", re.IGNORECASE | re.ASCII)
_HEAD = 1_024
"""Characters of base64 by which a file is told to be words: a picture or a PDF shows other bytes long before."""
_UNPRINTED = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_OPAQUE_IN = frozenset({"redacted", "thoughtSignature"})
"""Bytes that a provider has made and reads again; nobody else can make them."""
_BYTES_IN = frozenset({"url", "image_url", "data", "file_data", "file_url"})
_FILE_ID = "file_id"
_MEDIA: Mapping[str, Unread] = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "computer_screenshot": "image",
    "input_audio": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
"""Parts of a message that are no words, by their types in OpenAI's and Anthropic's APIs."""
_OPAQUE_TYPE = "redacted_thinking"
_TOKENS_IN = "input"


class Unmaskable(ValueError):
    """What is to be masked stands across several parts, in none of them as a whole."""


class Words(NamedTuple):
    """
    All words of a body, in a fixed order, and what kinds of parts hold none that can be read, each once.

    The text parts of one message are also given joined, as a model reads them: what is cut in two is whole there.
    """

    texts: Sequence[str]
    unread: Sequence[Unread]


def words_of(value: Any) -> Words:
    found: list[str] = []

    def visit(text: str) -> str:
        found.append(text)
        return text

    walk = _Walk(visit)
    walk.map(value)
    return Words(found, tuple(walk.unread))


def with_texts(value: Any, replacements: Sequence[str]) -> Any:
    """
    The body with other words in the same places; `replacements` in the order of `words_of`. Raises `Unmaskable`.
    """
    following: Iterator[str] = iter(replacements)
    return _Walk(lambda _: next(following)).map(value)


class _Walk:
    """One walk, which takes each text to `visit` and puts what that returns in its place."""

    __slots__ = ("unread", "visit")

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.unread: dict[Unread, None] = {}

    def map(self, value: Any, *, free: bool = False, media: Unread | None = None) -> Any:
        """`media`: the kind of the part that this is a piece of, if that is no words."""
        kind = type(value)  # of parsed JSON: nothing is a subclass of anything
        if kind is str:
            return self.visit(value)
        if kind is list:
            mapped = [self.map(item, free=free, media=media) for item in value]
            if len(value) > 1 and not free:
                self._visit_joined(value, mapped)
            return mapped
        if kind is dict:
            if free:
                return {self.visit(name): self.map(item, free=True) for name, item in value.items()}
            return self._object(value, media)
        if free and (kind is int or kind is float) and not -_LONG_NUMBER < value < _LONG_NUMBER:
            return self._number(value)
        return value

    def _object(self, value: Mapping[str, Any], media: Unread | None) -> Mapping[str, Any]:
        part = value.get("type")
        if type(part) is not str:
            part = None
        elif part in _MEDIA and (media is None or part != "file"):  # the source of a picture may be of type "file"
            media = _MEDIA[part]
        elif part == "text":  # a document whose `data` is what it looks like
            media = None
        written = value.get("media_type")
        return {
            self._name(name): self._string(name, item, part, written, media)
            if type(item) is str
            else self._nested(name, item, media)
            for name, item in value.items()
        }

    def _name(self, name: str) -> str:
        return name if _NAME.fullmatch(name) else self.visit(name)

    def _nested(self, name: str, value: Any, media: Unread | None) -> Any:
        kind = type(value)
        if kind is list:
            if name == _TOKENS_IN and _is_tokens(value):
                self.unread["tokens"] = None
                return value
        elif kind is not dict:
            return value
        elif name == "audio" and "id" in value:  # an answer in sound that the provider has kept
            self.unread["audio"] = None
        # The arguments of a call that are an object (Anthropic's `input`) are as free as those that are a string.
        return self.map(value, free=name in _FREE or (kind is dict and name == "input"), media=media)

    def _string(self, name: str, value: str, part: str | None, written: object, media: Unread | None) -> str:
        if name in _STRUCTURE:
            return value if _ID.fullmatch(value) else self.visit(value)
        if name == _FILE_ID:
            self.unread[media or "file"] = None
            return value if _ID.fullmatch(value) else self.visit(value)
        if part != "text" and name in _OPAQUE_IN and _BYTES.fullmatch(value):
            return value
        if part != "text" and name in _BYTES_IN:
            plainly = _BYTES.fullmatch(value) is not None
            declared = _is_written(written) or (written is not None and media == "file")
            if plainly or declared or _BYTES.fullmatch("".join(value.split())):
                kind = None if part == _OPAQUE_TYPE else media or "file"
                return self._file(value, written, kind, plainly=plainly)
            if media is not None:  # an address: what is there is for the provider to see
                self.unread[media] = None
        elif name in _JSON_INSIDE:
            return self._arguments(value)
        return self.visit(value)

    def _number(self, value: float) -> Any:
        """A number the caller chose is a text like any other: masked, it becomes one."""
        text = orjson.dumps(value).decode()
        changed = self.visit(text)
        return value if changed == text else changed

    def _visit_joined(self, parts: list[Any], mapped: list[Any]) -> None:
        """The texts of neighbouring parts as one. Nothing of it can be replaced but in the parts themselves."""
        before, after = ([text for part in of for text in _glued(part)] for of in (parts, mapped))
        if len(before) < 2:
            return
        joined = "".join(before)
        changed = self.visit(joined)
        if changed != joined and changed != "".join(after):
            raise Unmaskable("a value stands across several parts")

    def _arguments(self, value: str) -> str:
        """
        JSON inside JSON is read string by string, so that neither an escape nor a name that stands twice hides a word.
        All stays as written but the words that change; what is not JSON is a text.
        """
        try:
            inner = orjson.loads(value)
        except orjson.JSONDecodeError:
            return self.visit(value)
        if not isinstance(inner, dict | list):
            return self.visit(value)
        return _SCALAR.sub(lambda match: self._scalar(match[0]), value)

    def _scalar(self, token: str) -> str:
        text = orjson.loads(token) if token[0] == '"' else token
        changed = self.visit(text)
        return token if changed == text else orjson.dumps(changed).decode()

    def _file(self, value: str, written: object, kind: Unread | None, *, plainly: bool) -> str:
        """
        A file in base64: read where its media type, which stands before or beside it, or its bytes are words'.

        What is not `plainly` base64 is also read as it stands: words without a comma are of the same letters. What is
        said of its charset is believed beside the bytes, not instead of them.
        """
        changed = value if plainly else self.visit(value)
        head, comma, encoded = value.rpartition(",")
        encoded = encoded if plainly else "".join(encoded.split())
        encoded += "=" * (-len(encoded) % 4)
        altchars = b"-_" if "-" in encoded or "_" in encoded else None
        try:
            charset = _charset(base64.b64decode(encoded[:_HEAD], altchars, validate=True))
            if charset is None and not _is_written(head.removeprefix("data:") if comma else written):
                if kind is not None:
                    self.unread[kind] = None
                return changed
            data = base64.b64decode(encoded, altchars, validate=True)
        except ValueError:
            return self.visit(value) if plainly else changed  # nobody will read it as a file either
        charset = charset or "utf-8"
        for reading in dict.fromkeys((charset, _named(head) or charset)):
            text = data.decode(reading, "replace")
            masked = self.visit(text)
            if masked != text and changed == value:
                changed = f"{head}{comma}{base64.b64encode(masked.encode(reading, 'replace')).decode()}"
        return changed


def _named(head: str) -> str | None:
    """What the head of a data URL says of its words."""
    if named := _CHARSET.search(head):
        with suppress(LookupError, UnicodeError):  # Python has codecs that are no charsets
            return b"a".decode(named[1], "replace") and codecs.lookup(named[1]).name
    return None


def _charset(data: bytes) -> str | None:
    """How these first bytes of a file are words; None if they seem to be none."""
    charset = "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    elif 0 in data:  # of Latin letters, every second byte
        charset = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = codecs.getincrementaldecoder(charset)().decode(data)  # the last letter may be cut
    except UnicodeDecodeError:
        return None
    return None if _UNPRINTED.search(text) else charset


def _glued(part: Any) -> Iterator[str]:
    """The texts of a part that a provider may be sent in one with those of its neighbours."""
    if type(part) is not dict:
        return
    names = ("title", "context") if part.get("type") == "document" else ("text", "refusal")
    yield from (part[name] for name in names if type(part.get(name)) is str)
    source = part.get("source")
    if type(source) is dict and source.get("type") == "text" and type(source.get("data")) is str:
        yield source["data"]


def _is_written(media_type: object) -> bool:
    return isinstance(media_type, str) and _WRITTEN.match(media_type) is not None


def _is_tokens(value: Sequence[Any]) -> bool:
    """Whether an input is numbers of tokens, or lists of such (OpenAI, "Create embeddings")."""
    return bool(value) and all(type(item) is int or (type(item) is list and _is_tokens(item)) for item in value)
