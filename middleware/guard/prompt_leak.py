"""
Does an answer repeat the instructions it was given? Words in a row that stand in a row in the system prompt.

Overlapping runs of words ("shingles") as in A. Broder, "On the resemblance and containment of documents" (1997).
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from middleware.guard.normalise import normalise

LEAK_WORDS = 12
"""So many words of the prompt in a row are a leak: longer than any set phrase, shorter than a sentence or two."""
LIKE_WORDS = 2
"""From so many on, an answer may be on its way to a leak: the first has not left when the second is read."""
PROBE_WORDS = LEAK_WORDS // 2
"""A leak holds one whole run of so many words that begins at a multiple of as many, wherever the leak begins."""
MAX_CHARS = 65_536
"""Of the instructions, this much is known again."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A character where words are written without spaces."""

Shingle = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What must not be repeated. Made once for a prompt, read by all answers to it."""

    likes: frozenset[Shingle] = frozenset()
    probes: frozenset[Shingle] = frozenset()
    leaks: frozenset[Shingle] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Instructions":
        likes: set[Shingle] = set()
        probes: set[Shingle] = set()
        leaks: set[Shingle] = set()
        for text in texts:
            words = _words(text[:MAX_CHARS])
            for size, found in ((LIKE_WORDS, likes), (PROBE_WORDS, probes), (LEAK_WORDS, leaks)):
                found.update(zip(*(words[start:] for start in range(size)), strict=False))
        return cls(frozenset(likes), frozenset(probes), frozenset(leaks)) if leaks else cls()

    def repeated(self, words: Sequence[str]) -> bool:
        """Whether the words hold a leak. Looks at every sixth word unless there is reason to look closer."""
        near = any(
            tuple(words[place : place + PROBE_WORDS]) in self.probes for place in range(0, len(words), PROBE_WORDS)
        )
        return near and any(tuple(words[place : place + LEAK_WORDS]) in self.leaks for place in range(len(words)))


def _words(text: str) -> list[str]:
    return _WORD.findall(normalise(text).lower())


@dataclass(slots=True)
class Repetition:
    """
    Follows one text as it grows. Places count the characters since its beginning.

    `leaks` are the repetitions found, as (start, end); the last one still grows while `open`.
    """

    instructions: Instructions
    leaks: list[tuple[int, int]] = field(default_factory=list)
    open: bool = False
    _read: int = 0
    _run: int = 0
    _words: deque[str] = field(default_factory=lambda: deque(maxlen=LEAK_WORDS))
    _starts: deque[int] = field(default_factory=lambda: deque(maxlen=LEAK_WORDS))

    def read(self, text: str, offset: int, *, last: bool) -> None:
        """Go on to the end of `text`, which begins at `offset`; a word that touches the end waits, unless `last`."""
        for match in _WORD.finditer(text, max(0, self._read - offset)):
            if match.end() == len(text) and not last:
                break
            word = match.group()
            self._word(word.lower() if word.isascii() else normalise(word).lower(), offset + match.start(), match.end())
            self._read = offset + match.end()
            if self.open:
                self.leaks[-1] = (self.leaks[-1][0], self._read)

    def skim(self, text: str, offset: int, *, last: bool) -> bool:
        """As `read`, for a text that is not held back: only whether there is a leak in it, and much cheaper."""
        start = max(0, self._read - offset)
        end = len(text) if last else text.rfind(" ", start) + 1 or len(text)
        words = [*self._words, *_words(text[start:end])]
        self._words.extend(words[-LEAK_WORDS + 1 :])
        self._read = offset + end
        return self.instructions.repeated(words)

    def _word(self, word: str, start: int, end: int) -> None:
        self._words.append(word)
        self._starts.append(start)
        words = tuple(self._words)
        if words[-LIKE_WORDS:] not in self.instructions.likes:
            self._run, self.open = 0, False
            return
        self._run = self._run + 1 if self._run else LIKE_WORDS
        if not self.open and words in self.instructions.leaks:
            self.open = True
            self.leaks.append((self._starts[0], end))

    @property
    def begun(self) -> int | None:
        """Where a repetition that is not over yet began, short as it may be."""
        if self.open:
            return self.leaks[-1][0]
        return self._starts[-min(self._run, len(self._starts))] if self._run else None
