"""
The forms of a text: as it is, folded, decoded, and read otherwise. Made once, shared by all checks.

What replaces signs in place (base64, hex, percent, entities, escapes) is undone for the whole text at once, at most
`DEPTH` times over. What gives no sign of its own (rot13, reversed, leet, letters spaced out) is a guess: such a reading
is made only of texts whose words then look like words.

Every step reads the text once. Decoding never lengthens, so no form is longer than its text by more than
`normalise.GROWTH`.
"""

import base64
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import re2

from middleware.guard.normalise import normalise

Undone = Literal[
    "folded", "invisible", "tags", "lookalikes", "letters", "accents",
    "percent", "entities", "escapes", "hex", "binary", "base64",
    "spaced", "cut", "leet", "rot13", "reversed",
]  # fmt: skip

DEPTH = 2
"""Rounds of decoding: what is encoded three times over is beyond what models undo unasked."""

DISGUISES: frozenset[Undone] = frozenset(
    {"invisible", "tags", "lookalikes", "letters", "accents", "percent", "entities", "escapes", "hex", "binary",
     "base64", "spaced", "leet", "rot13", "reversed"}
)  # fmt: skip
"""
What has next to no honest use where it is reported here: plain ASCII letters written as escapes, invisible signs inside
Latin words, readable text in base64. Full-width letters have.
"""

_FEW = 3
"""Signs of one disguise before it counts as one."""


@dataclass(frozen=True, slots=True)
class Form:
    """
    `undone`: what was, in that order. `guess`: a reading that a reader must be told of or has to try, or that changes
    what words mean; only injections are looked for in it.
    """

    text: str
    undone: tuple[Undone, ...] = ()
    guess: bool = False

    @property
    def disguised(self) -> bool:
        return not DISGUISES.isdisjoint(self.undone)


def forms(text: str) -> Iterator[Form]:
    """The text itself first, then what differs from all before it: `forms_and_readings` in one."""
    made, readings = forms_and_readings(text)
    yield from made
    yield from readings


def forms_and_readings(text: str) -> tuple[list[Form], Iterator[Form]]:
    """
    The text itself, folded, without accents, and decoded; and the ways to read it otherwise, all guesses, made as they
    are asked for: who knows enough by then pays for none.
    """
    made = [Form(text)]
    form = normalise(text)
    undone = _signs(text) if form is not text else ()
    if form is not text:
        made.append(Form(form, undone))
    if not form.isascii():
        plain = strip_accents(form)
        if plain != form:
            if len(_MARKED.findall(unicodedata.normalize("NFC", form))) >= _FEW:
                undone = (*undone, "accents")
            made.append(Form(plain, undone, guess=True))
            form = plain if "accents" in undone else form
    seen = _SEEN.names(form)
    for _ in range(DEPTH):
        decoded, found = _decode(form, seen)
        if decoded == form:
            break
        form, undone = normalise(decoded), tuple(dict.fromkeys((*undone, *found)))
        seen = _SEEN.names(form)
        made.append(Form(form, undone))
    readings = _readings(form, seen)
    return made, (Form(reading, (*undone, name), guess=True) for name, reading in readings if reading != form)


_ACCENTED = re.compile("[\u00c0-\u024f\u0300-\u036f\u1e00-\u1eff]+")


def strip_accents(text: str) -> str:
    """Latin letters without their marks, and no combining marks of U+0300 to U+036F on any letter."""
    return text if text.isascii() else _ACCENTED.sub(_unaccented, text)


def _unaccented(run: re.Match[str]) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", run.group()) if not "\u0300" <= c <= "\u036f")


_MARKED = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff][\u0300-\u036f]")
_SPLIT = re.compile(
    "[A-Za-z][\u200b-\u200f\u2060-\u2064\u180e\ufeff\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f]{1,8}[A-Za-z]"
)
_TAGGED = re.compile("[\U000e0020-\U000e007e]{8}")
_STYLED = re.compile("[\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f130-\U0001f189]")
_MIXED = re.compile("[A-Za-z][\u0370-\u03ff\u0400-\u052f]+[A-Za-z]|[\u0400-\u052f][A-Za-z]+[\u0400-\u052f]")
# Each alternative of _MIXED is one class under plus between two single characters: runs are read at most twice.


def _signs(text: str) -> tuple[Undone, ...]:
    signs: list[Undone] = ["folded"]
    if len(_SPLIT.findall(text)) >= _FEW:
        signs.append("invisible")
    if _TAGGED.search(text):
        signs.append("tags")
    if len(_STYLED.findall(text)) >= 2 * _FEW:
        signs.append("letters")
    if len(_MIXED.findall(text)) >= _FEW:
        signs.append("lookalikes")
    return tuple(signs)


_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PERCENT_LETTER = re.compile(r"%(?:4[1-9A-Fa-f]|5[0-9Aa]|6[1-9A-Fa-f]|7[0-9Aa])")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_LETTER = re.compile(
    r"&#(?:0{0,3}(?:6[5-9]|[78][0-9]|90|9[7-9]|1[01][0-9]|12[0-2])|[xX]0{0,3}[4-7][0-9A-Fa-f]);"
)
_ESCAPE = re.compile(
    r"\\{1,4}(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|u\{([0-9A-Fa-f]{1,6})\})", re.ASCII
)
_HEX = re.compile(r"(?:0x)?[0-9A-Fa-f]{2}(?:[ ,:-]{0,2}(?:0x)?[0-9A-Fa-f]{2}){7,}")
_BINARY = re.compile(r"[01]{8}(?:[ ,]?[01]{8}){3,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{16,})*={0,2}")


def _decode(text: str, seen: frozenset[str]) -> tuple[str, tuple[Undone, ...]]:
    """The text with every encoded run replaced by what it says, and which encodings there were."""
    found: list[Undone] = []
    if "percent" in seen:
        found.append("percent" if len(_PERCENT_LETTER.findall(text)) >= _FEW else "folded")
        text = _PERCENT.sub(lambda run: bytes.fromhex(run.group().replace("%", "")).decode("utf-8", "replace"), text)
    if "entities" in seen:
        found.append("entities" if len(_ENTITY_LETTER.findall(text)) >= _FEW else "folded")
        text = _ENTITY.sub(lambda run: html.unescape(run.group()), text)
    if "escapes" in seen:
        letters = sum(65 <= int("".join(digits), 16) <= 122 for digits in _ESCAPE.findall(text))
        found.append("escapes" if letters >= _FEW else "folded")
        text = _ESCAPE.sub(_escaped, text)
    for name, pattern, read in _RUNS:
        if name in seen:
            decoded = pattern.sub(read, text)
            if decoded != text:
                text = decoded
                found.append(name)
    return text, tuple(dict.fromkeys(found))


def _escaped(match: re.Match[str]) -> str:
    code = int(next(digits for digits in match.groups() if digits), 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match.group()


_NOT_HEX = re.compile(r"0x|[ ,:-]")


def _hex(run: re.Match[str]) -> str:
    """The last letters of a word before it may be digits too."""
    digits = _NOT_HEX.sub("", run.group())
    return _readable(bytes.fromhex(digits), run.group(), whole=False) if len(digits) % 2 == 0 else run.group()


_MOST_BITS = 1 << 16
"""Digits of one run: a number of so many bits is still read in an instant."""


def _binary(run: re.Match[str]) -> str:
    digits = run.group().replace(" ", "").replace(",", "")
    return _readable(int(digits[:_MOST_BITS], 2).to_bytes(len(digits[:_MOST_BITS]) // 8, "big"), run.group())


def _base64(run: re.Match[str]) -> str:
    """Where what stands before is of the same letters, the groups of four begin anywhere."""
    digits = run.group().replace("\r", "").replace("\n", "").rstrip("=").replace("-", "+").replace("_", "/")
    if len(digits) % 4 != 1 and (text := _readable(base64.b64decode(digits + "=" * (-len(digits) % 4)), "")):
        return text
    for start in () if digits.islower() else range(4):  # of letters of both cases, if it says anything
        aligned = digits[start : start + (len(digits) - start) // 4 * 4]
        if text := _readable(base64.b64decode(aligned), "", whole=False):
            return f"{run.group()[:start]} {text}"
    return run.group()


_RUNS: tuple[tuple[Undone, re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    ("hex", _HEX, _hex),
    ("binary", _BINARY, _binary),
    ("base64", _BASE64, _base64),
)


_UNPRINTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")


_PRINTED = re.compile(rb"[\t\n\r -~]{16,}")
"""So many bytes drawn by lot are all printed once in ten million times."""


def _readable(data: bytes, run: str, *, whole: bool = True) -> str:
    """
    What the bytes say if they are text, else the run. A word of base64's alphabet decodes to bytes that are not.

    Not `whole`: what is text among them, if that is half, for a single odd byte must not hide the rest.
    """
    wide = len(data) > 8 and not data[3:9:2].strip(b"\0")
    text = data.removeprefix(codecs.BOM_UTF16_LE).decode("utf-16-le" if wide else "utf-8", "replace")
    if not _UNPRINTED.search(text):
        return text
    printed = b"" if whole else b" ".join(_PRINTED.findall(data))
    return printed.decode() if printed and 2 * len(printed) >= len(data) else run


_KNOWN: frozenset[str] = frozenset(
    [
        "the", "and", "you", "that", "was", "for", "are", "with", "his", "they", "this", "have", "from", "had",
        "not", "but", "what", "all", "were", "when", "your", "can", "said", "there", "use", "each", "which", "she",
        "how", "their", "will", "other", "about", "out", "many", "then", "them", "these", "some", "her", "would",
        "make", "like", "him", "into", "time", "has", "look", "two", "more", "write", "see", "number", "way",
        "could", "people", "than", "first", "been", "who", "its", "now", "find", "long", "down", "day", "did",
        "get", "come", "made", "may", "part", "ignore", "previous", "instructions", "instruction", "system",
        "prompt", "forget", "disregard", "override", "reveal", "rules", "above", "prior", "pretend", "bypass",
        "secret", "password", "everything", "unrestricted", "developer", "mode", "following", "print", "repeat",
        "safety", "guidelines", "filters", "restrictions", "assistant", "without", "any",
    ]
)  # fmt: skip
"""Words by which a reading is known for one: the most common of English, and those of attacks."""

_ROT13: frozenset[str] = frozenset(codecs.encode(word, "rot13") for word in _KNOWN) - _KNOWN
_REVERSED: frozenset[str] = (
    frozenset(word[::-1] for word in _KNOWN)
    - _KNOWN
    - {"saw", "dna", "era", "ton", "tub", "won", "emit", "trap", "yam", "yaw"}  # words either way
)
_ROT13_TABLE = str.maketrans({c: codecs.encode(c, "rot13") for c in map(chr, [*range(65, 91), *range(97, 123)])})
_LETTERS = re.compile(r"[A-Za-z]+")

_SPACED = re.compile(r"(?:\S {1,4}){5,}\S")
_WIDE = re.compile(r" {2,}")
_SEPARATED = {
    sign: re.compile(rf"(?:[^{re.escape(sign)}]{re.escape(sign)}){{5,}}[^{re.escape(sign)}]?") for sign in "-._*|/+,~·•"
}
_CUT = re.compile(r"(?<=[A-Za-z])[-.*|~^+\"·•]{1,3}(?=[A-Za-z])|\\(?=\S)")
_CUT_WORD = re.compile(r"[A-Za-z]++(?:[-.*|~^+\"·•]{1,3}[A-Za-z]++)++")
_LEET = re.compile(r"[A-Za-z][013457@$!€+][A-Za-z]|\b[013457@$!€+][A-Za-z]{2}|[A-Za-z]{2}[013457][13457]?\b")
_LEET_SIGNS = "0134578@$!9|€+"
_LEET_LETTERS = str.maketrans(_LEET_SIGNS, "oieastbasiglet")
_BETWEEN = r"\s\"'`(){}<>,;:"
_LEET_WORD = re.compile(rf"(?<![^{_BETWEEN}])[^{_BETWEEN}{_LEET_SIGNS}]*+[{_LEET_SIGNS}][^{_BETWEEN}]*+")
# Possessive, and begun only where a word begins: each sign is read once.


def _readings(text: str, seen: frozenset[str]) -> Iterator[tuple[Undone, str]]:
    """
    Ways to read a text that gives no sign of its own, where its words say so. Some signs are enough in a text of any
    length, for an attack may stand in a book.
    """
    joined = _joined(text, seen)
    if joined != text:
        yield "spaced", joined
    if "cut" in seen and (cuts := len(_CUT.findall(joined))) >= max(_FEW, min(len(joined) // 50, 10)):
        whole = {_CUT.sub("", word).lower() for word in _CUT_WORD.findall(joined)}
        if cuts >= len(joined) // 25 or _looks_like(_KNOWN, whole):
            joined = _CUT.sub("", joined)
            yield "cut", joined
    if "leet" in seen and len(_LEET.findall(joined)) >= max(_FEW, min(len(joined) // 100, 5)):
        plain = [word for leet in _LEET_WORD.findall(joined) if (word := _unleeted(leet)) != leet]
        if _looks_like(_KNOWN, _words(" ".join(plain))):
            yield "leet", _LEET_WORD.sub(lambda word: _unleeted(word.group()), joined)
    if "rot13" in seen and _looks_like(_ROT13, _words(text)):
        yield "rot13", text.translate(_ROT13_TABLE)
    if "reversed" in seen and _looks_like(_REVERSED, _words(text)):
        yield "reversed", text[::-1]
        yield "reversed", _LETTERS.sub(lambda match: match.group()[::-1], text)


def _words(text: str) -> set[str]:
    return set(_LETTERS.findall(text.lower()))


def _looks_like(signs: frozenset[str], words: set[str]) -> bool:
    seen = words & signs
    return len(seen) >= 2 or any(len(word) >= 6 for word in seen)


def _joined(text: str, seen: frozenset[str]) -> str:
    """Letters set apart by spaces, or by one sign between any two, brought together."""
    if "spaced" in seen:
        text = _SPACED.sub(_unspaced, text)
        seen = _SEEN.names(text)
    for sign, pattern in _SEPARATED.items():
        if sign in seen:
            text = pattern.sub(lambda match: match.group()[::2], text)
            seen = _SEEN.names(text)
    return text


def _unspaced(match: re.Match[str]) -> str:
    run = match.group()
    if "  " not in run:
        return run.replace(" ", "")
    return _WIDE.sub("\0", run).replace(" ", "").replace("\0", " ")


def _unleeted(token: str) -> str:
    if not _LETTERS.search(token):
        return token
    end = len(token) - len(token.rstrip("!"))
    word = token[: len(token) - end] if end else token
    return word.replace("11", "ll").translate(_LEET_LETTERS) + token[len(word) :]


class _Signs:
    """Which disguises a text may have: one RE2 set, so that a text without any is read once and fast."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        options = re2.Options()
        options.max_mem = 16 << 20
        options.log_errors = False
        self._set = re2.Set.SearchSet(options)
        for pattern in (*patterns.values(), r"\z"):
            self._set.Add(pattern)
        self._set.Compile()
        self._names = tuple(patterns)

    def names(self, text: str) -> frozenset[str]:
        found = self._set.Match(text.encode("utf-8", "replace"))
        # The end of the text always matches: an empty answer means that RE2 gave up, and then anything may be there.
        return frozenset(self._names[i] for i in found if i < len(self._names)) if found else frozenset(self._names)


_SEEN = _Signs(
    {
        "percent": r"%[0-9A-Fa-f]{2}",
        "entities": r"&#?[0-9A-Za-z]{1,31};",
        "escapes": r"\\(?:x[0-9A-Fa-f]{2}|[uU][0-9A-Fa-f{])",
        "hex": r"(?:[0-9A-Fa-f]{2}[ ,:-]{0,2}(?:0x)?){7}[0-9A-Fa-f]{2}",
        "binary": r"(?:[01]{8}[ ,]?){3}[01]{8}",
        "base64": r"[A-Za-z0-9+/_-]{16}",
        "spaced": r"(?:\S {1,4}){5}\S",
        **{sign: rf"(?:[^{re.escape(sign)}]{re.escape(sign)}){{5}}" for sign in _SEPARATED},
        "cut": r"[A-Za-z][-.*|~^+\"·•]{1,3}[A-Za-z]|\\\S",
        "leet": _LEET.pattern,
        "rot13": rf"(?i)\b(?:{'|'.join(sorted(_ROT13))})\b",
        "reversed": rf"(?i)\b(?:{'|'.join(sorted(_REVERSED))})\b",
    }
)
"""What a text must show for a step to be worth its time: never less than the step itself looks for."""
