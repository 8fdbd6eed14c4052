"""
The guard over a text that is still being written: nothing leaves before it is known to be clean.

What is held back is the end that may still become part of a value (`unsettled`) or a repetition of the instructions.
A text is read twice at most: what was sent stays in sight for `CONTEXT` characters, because what stands before a value
says what it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from middleware.guard.guard import Report
from middleware.guard.harm import Harm, Judge
from middleware.guard.json_words import JsonWords
from middleware.guard.masking import Placeholders, Span, spans
from middleware.guard.prompt_leak import Instructions, Repetition
from middleware.guard.unsettled import AHEAD, finished, settled

Action = Literal["block", "mask", "flag"]
Reason = Literal["secret", "pii", "prompt_leak", "unsafe"]
Scan = Callable[[str], Report]

CONTEXT = 256
"""Characters of what was sent that are read again before what follows: the names of values, and room for their gaps."""
BATCH = 2_048
"""Characters read at once where nothing is held back for them."""
MAX_OPEN = 16_384
"""
Characters of a value without an end that are held back to be masked; a longer one is refused. A private key of 16384
bits has 13 000.
"""
LEAKED_TYPE = "system_prompt"

_REASONS: dict[str, Reason] = {"secret": "secret", "pii": "pii"}


class Leak(Exception):
    """The answer holds what must not leave. `Findings` say what."""


@dataclass(slots=True)
class Findings:
    """What was found in an answer: ids of rules by reason. `masked`: something was taken out."""

    rules: dict[Reason, dict[str, None]] = field(default_factory=dict)
    masked: bool = False

    def add(self, reason: Reason, rule: str) -> None:
        self.rules.setdefault(reason, {})[rule] = None


class Watch:
    """
    One text of an answer: its words, a thought, or the arguments of one call (`quoted`: they are JSON). `judge` says in
    which categories its words are unsafe; None: nobody is asked. What is unsafe cannot be masked.

    `feed` and `flush` return what may leave. With `block`, and where nothing can be masked, they raise `Leak`, and
    nothing more may leave.
    """

    def __init__(
        self,
        scan: Scan,
        action: Action,
        findings: Findings,
        placeholders: Placeholders,
        instructions: Instructions,
        judge: Judge | None = None,
        *,
        quoted: bool = False,
    ) -> None:
        self._scan = scan
        self._action = action
        self._findings = findings
        self._placeholders = placeholders
        self._json = JsonWords() if quoted else None
        self._repetition = Repetition(instructions) if instructions.leaks else None
        self._harm = Harm(judge) if judge is not None else None
        self._text = ""
        self._dropped = 0
        self._sent = 0
        self._judged = 0
        self._patience = 0
        """Length below which a value without an end is not looked at again: not at each step, but a few times."""

    def feed(self, piece: str) -> str:
        """The next piece."""
        self._append(piece)
        if self._action == "flag":
            if len(self._text) - self._judged >= BATCH:
                self._flag(len(self._text) - AHEAD, last=False)
            return piece
        if len(self._text) < self._patience:
            return ""
        begun = self._begun(last=False)
        if begun is not None and self._action == "block" and self._leaked():
            raise Leak
        end = settled(self._text, self._sent)
        return self._release(end if begun is None else min(end, begun))

    @property
    def holds(self) -> bool:
        """Whether anything is held back."""
        return self._sent < len(self._text)

    def pause(self) -> str:
        """
        What may leave when another part of the answer begins after which this one seldom goes on: the end of a sentence
        with the values in it. What looks like the beginning of a value stays.
        """
        if self._action == "flag" or self._begun(last=False) is not None:
            return ""
        start = max(0, self._judged - CONTEXT)
        others, position = "", self._sent
        for span in spans(self._scan(self._text[start:]).hits):
            others += self._text[position : start + span.start]
            position = max(position, start + span.end)
        others += self._text[position:]
        return self._release(len(self._text)) if position < len(self._text) and finished(others) else ""

    def flush(self) -> str:
        """All that was held back: the text ends. More may be fed all the same."""
        return self._end("")

    def whole(self, text: str) -> str:
        """A text that is there at once."""
        return self._end(text)

    def _end(self, piece: str) -> str:
        self._append(piece, last=True)
        if self._harm is not None:
            self._harmful(self._harm.flush())
        if self._action == "flag":
            self._flag(len(self._text), last=True)
            return piece
        self._begun(last=True)
        return self._release(len(self._text))

    def _append(self, piece: str, *, last: bool = False) -> None:
        words = piece if self._json is None else self._json.feed(piece, last=last)
        self._text += words
        if self._harm is not None:
            self._harmful(self._harm.feed(words))

    def _harmful(self, categories: Sequence[str]) -> None:
        for category in categories:
            self._findings.add("unsafe", category)
        if categories and self._action != "flag":
            raise Leak

    def _begun(self, *, last: bool) -> int | None:
        if self._repetition is None:
            return None
        self._repetition.read(self._text, self._dropped, last=last)
        begun = None if last else self._repetition.begun
        return None if begun is None else begun - self._dropped

    # Flagging

    def _flag(self, end: int, *, last: bool) -> None:
        """Judge up to `end`, and note what is found. It has left already."""
        if end > self._judged:
            self._found(end)
            self._judged = end
        if self._repetition is not None and self._repetition.skim(self._text, self._dropped, last=last):
            self._findings.add("prompt_leak", LEAKED_TYPE)
        self._sent = end
        self._drop()

    def _found(self, end: int) -> list[Span]:
        """What is new in the text, of which the part up to `end` is settled; noted, as places."""
        start = max(0, self._judged - CONTEXT)
        report = self._scan(self._text[start:])
        new = [hit for hit in report.hits if start + hit.end > self._judged and start + hit.start < end]
        for hit in new:
            self._findings.add(_REASONS[hit.rule.kind], hit.rule.id)
        if report.disguised:
            # Places are those of another form of the text. A settled one is found without what is not settled, too.
            for hit in self._scan(self._text[start:end]).disguised:
                self._findings.add(_REASONS[hit.rule.kind], hit.rule.id)
                if self._action != "flag":
                    raise Leak
        return [Span(start + span.start, start + span.end, span.type) for span in spans(new)]

    def _leaked(self) -> bool:
        """Whether the instructions are repeated; noted."""
        if self._repetition is None or not self._repetition.leaks:
            return False
        self._findings.add("prompt_leak", LEAKED_TYPE)
        return True

    # Holding back

    def _release(self, end: int) -> str:
        if end <= self._sent:
            self._bound()
            return ""
        found = [span for span in map(self._within, self._found(end)) if span.end > self._sent]
        for start, stop in self._leaks(end):
            self._findings.add("prompt_leak", LEAKED_TYPE)
            found.append(Span(start, stop, LEAKED_TYPE))
        if found and self._action == "block":
            raise Leak
        settled_end, out, position = end, [], self._sent
        for span in _disjoint(found):
            if span.end > end:
                settled_end = max(self._sent, span.start)
                self._patience = len(self._text) + max(64, (len(self._text) - settled_end) // 4)
                break
            out.append(self._written(position, max(position, span.start)))
            out.append(self._placeholder(span))
            self._findings.masked = True
            position = max(position, span.end)
        else:
            self._patience = 0
        out.append(self._written(position, max(position, settled_end)))
        self._sent = self._judged = max(position, settled_end)
        self._bound()
        self._drop()
        return "".join(out)

    def _bound(self) -> None:
        if len(self._text) - self._sent > MAX_OPEN:
            self._leaked()
            raise Leak

    def _leaks(self, end: int) -> Iterable[tuple[int, int]]:
        if self._repetition is None:
            return
        for start, stop in self._repetition.leaks:
            if stop - self._dropped > self._judged and start - self._dropped < end:
                yield max(0, start - self._dropped), stop - self._dropped

    def _within(self, span: Span) -> Span:
        """Of JSON, a value goes on no further than its string, or its number."""
        if self._json is None:
            return span
        places = range(span.start, span.end)
        if self._json.outside[span.start]:
            ends = (place for place in places if not self._json.outside[place] or self._text[place] == "\n")
        else:
            ends = (place for place in places if self._json.outside[place])
        return Span(span.start, next(ends, span.end), span.type)

    def _placeholder(self, span: Span) -> str:
        placeholder = self._placeholders.of(span.type, self._text[span.start : span.end])
        return f'"{placeholder}"' if self._json is not None and self._json.outside[span.start] else placeholder

    def _written(self, start: int, end: int) -> str:
        return self._text[start:end] if self._json is None else "".join(self._json.written[start:end])

    def _drop(self) -> None:
        """Forget what is out of sight."""
        count = self._sent - CONTEXT
        if count < CONTEXT:
            return
        self._text = self._text[count:]
        if self._json is not None:
            self._json.drop(count)
        self._dropped += count
        self._sent -= count
        self._judged -= count
        self._patience = max(0, self._patience - count)


def _disjoint(found: Iterable[Span]) -> list[Span]:
    """In order; what overlaps is one."""
    merged: list[Span] = []
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end), merged[-1].type)
        else:
            merged.append(span)
    return merged
