"""JSON as it is written, read character by character: the words in it without their escapes, and where they stand."""

import re

_PIECE = re.compile(r'"|\\u[0-9a-fA-F]{4}|\\[^u]|[^"\\]+')
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LONGEST = 6
"""Characters of an escape, `\\u0041`."""


class JsonWords:
    """
    What `feed` has read, one entry for each character of `words`: how it was written, and whether outside a string.

    A quote that begins or ends a string is a line's end to whoever reads words: no value goes on past it, and the name
    before a value stays near it. What is no JSON is read all the same.
    """

    def __init__(self) -> None:
        self.written: list[str] = []
        self.outside: list[bool] = []
        self._inside = False
        self._rest = ""

    def feed(self, piece: str, *, last: bool = False) -> str:
        """The words of the next piece. The beginning of an escape waits for its end, unless this is the `last`."""
        text = self._rest + piece
        words: list[str] = []
        position = 0
        while position < len(text):
            match = _PIECE.match(text, position)
            if match is None:  # a backslash whose escape is not whole, or is none
                if len(text) - position < _LONGEST and not last:
                    break
                self._add(words, text[position], text[position])
                position += 1
                continue
            found = match.group()
            if found == '"':
                self._inside = not self._inside
                words.append("\n")
                self.written.append(found)
                self.outside.append(True)
            elif found[0] == "\\":
                plain = chr(int(found[2:], 16)) if found[1] == "u" else _SIMPLE.get(found[1], found[1])
                self._add(words, plain, found)
            else:
                words.append(found)
                self.written += found
                self.outside += [not self._inside] * len(found)
            position = match.end()
        self._rest = text[position:]
        return "".join(words)

    def _add(self, words: list[str], word: str, written: str) -> None:
        words.append(word)
        self.written.append(written)
        self.outside.append(not self._inside)

    def drop(self, count: int) -> None:
        del self.written[:count], self.outside[:count]
