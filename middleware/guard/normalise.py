"""
The first, bounded form of a text: what a reader sees, without what only a matcher would stumble over.

Full-width and mathematical letters (NFKC), invisible characters, letters written as Unicode tags, and Cyrillic or Greek
look-alikes inside Latin words all become the plain text they stand for.
"""

import re
import unicodedata

GROWTH = 1 << 14
"""
Characters a form may have more than its text. One U+FDFA grows to 18 characters under NFKC, so growth must be
bounded.
"""

_CHUNK = 256
"""Characters folded at once; 18 × this is the most that exists beyond the bound while folding."""

_REMOVED = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels, invisible
    (0x180B, 0x180F),  # Mongolian selectors and vowel separator
    (0x200B, 0x200F),  # zero-width space, joiners, direction marks
    (0x202A, 0x202E),  # bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, isolates, deprecated controls
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE001F),  # language tag and unassigned
    (0xE007F, 0xE007F),  # cancel tag
    (0xE0100, 0xE01EF),  # variation selectors supplement
)
"""Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties), without the letters among the tags."""

_TAGS = range(0xE0020, 0xE007F)
"""Unicode tags mirror printable ASCII and render as nothing: text hidden in plain sight."""

_MESSAGE = re.compile(f"[{chr(_TAGS.start)}-{chr(_TAGS.stop - 1)}]{{8,}}")
"""
A run of tags longer than any flag's region is a message of its own: a space keeps its first word from the last one
in sight.
"""

_HIDDEN = re.compile(
    "[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _REMOVED) + chr(_TAGS.start) + "-" + chr(_TAGS.stop - 1) + "]"
)
_PADDING = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _REMOVED) + "]{64,}")
_PLAIN: dict[int, str | None] = {
    **{code: None for first, last in _REMOVED for code in range(first, last + 1)},
    **{code: chr(code - 0xE0000) for code in _TAGS},
}

_LOOKALIKES = str.maketrans(
    # Cyrillic
    "аАвВеЕёзЗкКмМнНоОрРсСтТуУхХіІїјЈѕЅһԁԛԝѡɡӏӀьԌҮүһԚԜ"
    # Greek
    "αΑΒεΕΖΗιΙκΚΜνΝοΟρΡτΤυΥχΧγωϲ",
    "aABBeEe33kKMMHHoOpPcCTTyYxXiIijJsShdqwwgllbGYyhQW"
    "aABeEZHiIkKMvNoOpPtTuYxXywc",
)  # fmt: skip
"""
Letters drawn like Latin ones: the single-letter rows for Latin of Unicode's confusables.txt (UTS #39) that are in
common use.
"""

_LATIN = re.compile(r"[A-Za-z]")
_OTHER = re.compile(r"[\u0261\u0370-\u03ff\u0400-\u052f]")
_EITHER = r"[A-Za-z\u0261\u0370-\u03ff\u0400-\u052f]"
_MIXED_WORD = re.compile(
    rf"(?<!{_EITHER})(?:{_LATIN.pattern}++{_OTHER.pattern}|{_OTHER.pattern}++{_LATIN.pattern}){_EITHER}*+"
)
# Possessive, and begun only where a word begins: the standard library's engine reads every letter once.


def _single(piece: str) -> dict[int, str]:
    """The characters of a piece whose form is one other character."""
    return {ord(c): form for c in set(piece) if len(form := unicodedata.normalize("NFKC", c)) == 1 and form != c}


def _compatible(text: str) -> str:
    """
    NFKC of the text, not longer than the text plus `GROWTH`; beyond that, characters that would grow stay as they
    are.
    """
    if unicodedata.is_normalized("NFKC", text):
        return text
    room, pieces = GROWTH, []
    for start in range(0, len(text), _CHUNK):
        piece = text[start : start + _CHUNK]
        folded = unicodedata.normalize("NFKC", piece) if room else piece.translate(_single(piece))
        if len(folded) - len(piece) > room:
            room = 0
            folded = piece.translate(_single(piece))
        room -= max(0, len(folded) - len(piece))
        pieces.append(folded)
    return "".join(pieces)


def shortened(text: str) -> str:
    """Without long runs of characters that render as nothing, which could part a word by more than a slice."""
    return text if text.isascii() else _PADDING.sub("\u200b", text)


def normalise(text: str) -> str:
    """
    The text itself, the same object, if it is ASCII or already in this form. Linear.

    At most `GROWTH` characters longer, and a quarter where it is hidden messages end to end.
    """
    if text.isascii():
        return text
    form = text
    if _HIDDEN.search(text):
        form = _MESSAGE.sub(lambda run: f" {run.group()} ", text).translate(_PLAIN)
    form = _compatible(form)
    if _OTHER.search(form) and _LATIN.search(form):
        form = _MIXED_WORD.sub(lambda word: word.group().translate(_LOOKALIKES), form)
    return text if form == text else form
