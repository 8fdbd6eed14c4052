"""
What a model may say: personal data, secrets, the caller's own instructions and harm in its answer, whole or streamed.

The check stands between the cascade and whoever writes the answer, so it is the same for every API. It sees the model's
words before masked values of the request are put back: what the caller sent is no leak. Harm is the local
classifier's to see: an answer leaves as it is written, and is nobody else's to read.
"""

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NoReturn, TypeVar, get_args

from middleware.guard.guard import Action, Guard
from middleware.guard.harm import Judge
from middleware.guard.masking import Placeholders
from middleware.guard.prompt_leak import LEAK_WORDS, Instructions
from middleware.guard.watch import Findings, Leak, Reason, Watch
from middleware.record import Decision, Outcome, Record
from middleware.refusal import Code, Refusal, screened
from providers.cascade import Answer, CascadeFailed
from providers.chat import ChatRequest, Choice, Chunk, Thinking, ToolCall, ToolCallPiece
from providers.fields import is_object

log = logging.getLogger(__name__)

T = TypeVar("T")
Place = tuple[str, int, int]
"""What is being written: `text`, `thought` or `call`, of which choice, and which call."""

THREAD_CHARS = 8_192
"""An answer, or a piece of one, from this size on is read in a thread: nobody else waits for it."""
KNOWN_PROMPTS = 64
"""System prompts whose shingles are kept: many requests share one."""

_REFUSALS: Mapping[Reason, tuple[Code, str]] = {
    "secret": ("secret_detected", "the answer contains a key or another secret"),
    "pii": ("pii_detected", "the answer contains personal data"),
    "prompt_leak": ("content_policy_violation", "the answer repeats the instructions it was given"),
    "unsafe": ("content_policy_violation", "the answer was judged unsafe"),
}
"""In the order of precedence: a refusal has one code."""
_NO_VERDICT = Refusal(503, "unavailable", "the output guard gave no verdict", {"Retry-After": "1"})
_NOTHING = Instructions()


class AnswerRefused(CascadeFailed):
    """The answer must not reach the caller. It was given all the same, and is paid for."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("rejected", None, None)
        self.refusal = refusal


class OutputGuard:
    """
    Makes a check for each answer. `action` "off": there is none, and the record says so. What is unsafe cannot be
    masked: "mask" blocks it.

    `allow`: values that are no finding. `judge` says in which categories a text is unsafe; None: nobody is asked.
    Raises `ValueError` for an unknown action.
    """

    def __init__(self, action: Action, *, allow: Sequence[str] = (), judge: Judge | None = None) -> None:
        if action not in get_args(Action):
            raise ValueError(f"unknown action {action!r}")
        self.action = action
        kept: Action = "mask" if action == "mask" else "flag"
        guard = partial(Guard, injection="off", pii=kept, secrets=kept, sql="off", allow=allow)
        self._guard = guard() if action != "off" else None
        self._judge = judge
        self._digest_key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, Instructions] = OrderedDict()

    def check(
        self, request: ChatRequest, record: Record, masked: Mapping[str, str] | None, *, thoughts: bool = True
    ) -> "AnswerCheck | None":
        """
        A check for the answer to this request; `masked` are its placeholders, which the answer's own must differ from.
        Without `thoughts` they are not shown and not looked at.
        """
        if self._guard is None or self.action == "off":
            record.decisions.append(Decision("output", "off"))
            return None
        return AnswerCheck(
            self._guard,
            self.action,
            self._instructions(request),
            record,
            frozenset(masked or ()),
            self._judge,
            thoughts=thoughts,
        )

    def _instructions(self, request: ChatRequest) -> Instructions:
        texts = [message.text for message in request.messages if message.role == "system"]
        if not texts or sum(map(len, texts)) < LEAK_WORDS:
            return _NOTHING
        digest = hashlib.blake2b(
            "\0".join(texts).encode("utf-8", "replace"), key=self._digest_key, digest_size=16
        ).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = Instructions.of(texts)
            if len(self._known) > KNOWN_PROMPTS:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        return known


@dataclass(slots=True)
class _Written:
    """
    A place of an answer: its watch, and how what is held back must be labelled when it leaves.

    `step`: when it was last written to. `paused`: a thought after which something else came. Of a call, `name` is what
    came of its name, `said` of its arguments, and `late` are pieces that wait: for the beginning of the arguments, or,
    if the call `follows` words that are held back, for the answer's end.
    """

    watch: Watch
    custom: bool = False
    refused: bool = False
    step: int = 0
    paused: bool = False
    name: str = ""
    said: list[str] = field(default_factory=list)
    begun: bool = False
    follows: bool = False
    late: list[ToolCallPiece] = field(default_factory=list)


class AnswerCheck:
    """
    The check of one answer: `answer` for a whole one, or `chunks` … `close` for a stream.

    All raise `AnswerRefused`: by policy, or because the guard gave no verdict. The verdict is put into the record: with
    the refusal, else by `answer` and `close`. A stream's first piece may leave as soon as the record says that it is
    watched.
    """

    def __init__(
        self,
        guard: Guard,
        action: Literal["block", "mask", "flag"],
        instructions: Instructions,
        record: Record,
        taken: frozenset[str],
        judge: Judge | None,
        *,
        thoughts: bool,
    ) -> None:
        self._guard = guard
        self._action = action
        self._instructions = instructions
        self._record = record
        self._thoughts = thoughts
        self._placeholders = Placeholders(taken)
        self._judge = judge
        self._findings = Findings()
        self._places: dict[Place, _Written] = {}
        self._decided = False
        self._steps = 0
        self._seen = 0
        """Characters of the choices' texts."""

    # Whole

    async def answer(self, answer: Answer) -> Answer:
        """The answer as it may leave."""
        checked = await self._at_leisure(_size(answer), lambda: self._answer(answer))
        self._decide(self._outcome)
        return checked

    def _answer(self, answer: Answer) -> Answer:
        leading, *others = (self._choice(index, choice) for index, choice in enumerate(_choices(answer)))
        if not self._findings.masked:
            return answer
        done = replace(
            answer.completion,
            text=leading.text,
            tool_calls=leading.tool_calls,
            thinking=leading.thinking,
            logprobs=leading.logprobs,
            others=tuple(others),
        )
        return replace(answer, completion=done)

    def _choice(self, index: int, choice: Choice) -> Choice:
        text = self._watch().whole(choice.text) if choice.text else ""
        thinking = choice.thinking
        if self._thoughts and thinking:
            thinking = tuple(replace(each, text=self._watch().whole(each.text)) for each in thinking)
        calls = tuple(self._call(call) for call in choice.tool_calls)
        logprobs = choice.logprobs if text == choice.text else None  # they spell the text out
        return replace(choice, text=text, thinking=thinking, tool_calls=calls, logprobs=logprobs)

    def _call(self, call: ToolCall) -> ToolCall:
        self._label(call.name)
        self._label(call.id)
        return replace(call, arguments=self._watch(quoted=not call.custom).whole(call.arguments))

    # Streamed

    async def chunks(self, group: Sequence[Chunk]) -> Sequence[Chunk]:
        """The chunks as far as they may leave, in their order."""
        self._record.watched.add("output")
        self._seen += sum(len(chunk.text) for chunk in group)
        size = sum(map(_size_of_chunk, group))
        return await self._at_leisure(
            size, lambda: [part for chunk in group for part in self._chunk(chunk) if part.says]
        )

    async def close(self, answer: Answer) -> tuple[Sequence[Chunk], Answer]:
        """What was held back, and the answer as it was let through. The verdict is over all of it, or there is none."""
        if self._seen != sum(len(choice.text) for choice in _choices(answer)):
            self._refuse_without_verdict("it has not seen all of the answer")
        rest = self._judged(self._rest)
        if self._findings.masked:
            said = answer
            answer = await self._at_leisure(_size(said), lambda: self._answer(said))
        self._decide(self._outcome)
        return rest, answer

    def _chunk(self, chunk: Chunk) -> list[Chunk]:
        """
        What is held back of a place stays there until it goes on or the answer ends, whatever other places say: a value
        does not end where another part of the answer comes between. Only what can be no part of one leaves before.
        """
        if self._action == "flag":
            self._read(chunk)
            return [chunk]
        left: list[Chunk] = []
        index = chunk.choice
        thought = chunk.thinking
        if thought is not None:
            place = ("thought", index, 0)
            left += self._ended(place)
            watch = self._written(place).watch
            text = watch.feed(thought.text) if self._thoughts else thought.text
            if thought.signature and self._thoughts:
                text += watch.flush()
            if text or thought.signature or thought.redacted:
                left.append(Chunk(choice=index, thinking=replace(thought, text=text)))
        if chunk.text:
            place = ("text", index, 0)
            left += self._ended(place)
            written = self._written(place)
            written.refused = chunk.refused
            # Without what spells the held words out.
            said = replace(chunk, text=written.watch.feed(chunk.text), thinking=None, tool_calls=(), logprobs=None)
            left.append(said)
        for piece in chunk.tool_calls:
            left += self._piece(index, piece)
        return left

    def _piece(self, choice: int, piece: ToolCallPiece) -> list[Chunk]:
        """
        A call leaves after the words before it, as in a whole answer; words that come later are joined to those. It
        begins with its arguments: by then its name is whole.
        """
        place = ("call", choice, piece.index)
        left = self._ended(place)
        follows = place not in self._places and self._holds_words(choice)
        written = self._written(place, custom=piece.custom)
        written.follows = written.follows or follows
        self._label_piece(written, piece)
        fed = replace(piece, arguments=written.watch.feed(piece.arguments), name="" if written.begun else piece.name)
        written.said.append(piece.arguments)
        written.late.append(fed)
        if written.follows or not (written.begun or piece.arguments):
            return left
        written.begun = True
        return [*left, _late(choice, written)]

    def _ended(self, place: Place) -> list[Chunk]:
        """What leaves when this place is first written to: the end of a thought, and of calls that are whole."""
        if place in self._places:
            return []
        left: list[Chunk] = []
        choice = place[1]
        for (kind, index, call), written in self._places.items():
            if index != choice:
                continue
            if kind == "thought" and not written.paused:
                written.paused = True
                if held := written.watch.pause():
                    left.append(Chunk(choice=choice, thinking=Thinking(held)))
            elif kind == "call" and written.begun and not written.custom and is_object("".join(written.said)):
                written.said.clear()
                if held := written.watch.flush():
                    left.append(Chunk(choice=choice, tool_calls=(ToolCallPiece(call, held),)))
        return left

    def _holds_words(self, choice: int) -> bool:
        return any(
            written.watch.holds for place, written in self._places.items() if place[0] != "call" and place[1] == choice
        )

    def _read(self, chunk: Chunk) -> None:
        """Where nothing is held back, places need no order."""
        if chunk.thinking is not None and self._thoughts:
            self._written(("thought", chunk.choice, 0)).watch.feed(chunk.thinking.text)
        if chunk.text:
            self._written(("text", chunk.choice, 0)).watch.feed(chunk.text)
        for piece in chunk.tool_calls:
            written = self._written(("call", chunk.choice, piece.index), custom=piece.custom)
            self._label_piece(written, piece)
            written.watch.feed(piece.arguments)

    def _written(self, place: Place, *, custom: bool = False) -> _Written:
        written = self._places.get(place)
        if written is None:
            quoted = place[0] == "call" and not custom
            written = self._places[place] = _Written(self._watch(quoted=quoted), custom)
        self._steps += 1
        written.step = self._steps
        return written

    def _rest(self) -> list[Chunk]:
        """
        What is still held back when the answer ends: of calls that have begun, of the words written last, whose part of
        the answer is still open, of other words, and then the calls that follow them.
        """
        left: list[Chunk] = []
        words = sorted((item for item in self._places.items() if item[0][0] != "call"), key=lambda item: -item[1].step)
        calls = [item for item in self._places.items() if item[0][0] == "call"]
        begun, others = ([item for item in calls if item[1].begun is is_begun] for is_begun in (True, False))
        for (kind, choice, call), written in (*begun, *words, *others):
            held = written.watch.flush()
            if kind == "call" and (held or written.late):
                written.late.append(ToolCallPiece(call, held, custom=written.custom))
                left.append(_late(choice, written))
            elif held and kind == "text":
                left.append(Chunk(held, choice=choice, refused=written.refused))
            elif held:
                left.append(Chunk(choice=choice, thinking=Thinking(held)))
        return left

    # Names and ids

    def _label_piece(self, written: _Written, piece: ToolCallPiece) -> None:
        if piece.name:
            written.name += piece.name
            self._label(written.name)
        self._label(piece.id)

    def _label(self, label: str) -> None:
        """
        A call's name or id, in which nothing can be masked. Ids are random, and digits among them now and then those of
        a card or a telephone: only secrets and addresses count.
        """
        if not label:
            return
        report = self._guard.scan(label)
        for hit in (*report.hits, *report.disguised):
            if hit.rule.kind == "secret" or hit.rule.type == "email":
                self._findings.add("secret" if hit.rule.kind == "secret" else "pii", hit.rule.id)
                if self._action != "flag":
                    raise Leak

    # The verdict

    def nothing_more(self) -> None:
        """The provider gave no answer, withheld it or broke off: what was found so far is all there is."""
        if not self._decided:
            self._decide(self._outcome)

    def _watch(self, *, quoted: bool = False) -> Watch:
        return Watch(
            self._guard.scan,
            self._action,
            self._findings,
            self._placeholders,
            self._instructions,
            self._judge,
            quoted=quoted,
        )

    async def _at_leisure(self, size: int, judge: Callable[[], T]) -> T:
        """What `judge` says of so many characters, in a thread if they are many."""
        if size < THREAD_CHARS:
            return self._judged(judge)
        return await asyncio.to_thread(self._judged, judge)

    def _judged(self, judge: Callable[[], T]) -> T:
        try:
            return judge()
        except Leak:
            self._decide("block")
            found = [_REFUSALS[reason] for reason in _REFUSALS if reason in self._findings.rules]
            raise AnswerRefused(screened(*found[0])) from None
        except Exception as error:
            self._refuse_without_verdict(type(error).__name__)

    def _refuse_without_verdict(self, why: str) -> NoReturn:
        log.error("the output guard gave no verdict: %s", why)
        self._decided = True
        self._record.decisions.append(Decision("output", "error", "no_verdict"))
        raise AnswerRefused(_NO_VERDICT) from None

    @property
    def _outcome(self) -> Outcome:
        return "mask" if self._findings.masked else "flag"

    def _decide(self, outcome: Outcome) -> None:
        self._decided = True
        found = [
            Decision("output", outcome, reason, tuple(self._findings.rules[reason]))
            for reason in _REFUSALS
            if reason in self._findings.rules
        ]
        self._record.decisions += found or [Decision("output", "pass")]


def _choices(answer: Answer) -> tuple[Choice, ...]:
    return answer.completion.choices


def _size(answer: Answer) -> int:
    return sum(
        len(choice.text)
        + sum(len(call.arguments) for call in choice.tool_calls)
        + sum(len(thought.text) for thought in choice.thinking or ())
        for choice in _choices(answer)
    )


def _size_of_chunk(chunk: Chunk) -> int:
    thought = 0 if chunk.thinking is None else len(chunk.thinking.text)
    return len(chunk.text) + thought + sum(len(piece.arguments) for piece in chunk.tool_calls)


def _late(choice: int, written: _Written) -> Chunk:
    """The pieces of a call that waited, as one."""
    pieces, written.late = written.late, []
    extra: dict[str, object] = {}
    for piece in pieces:
        extra.update(piece.extra)
    joined = replace(
        pieces[0],
        arguments="".join(piece.arguments for piece in pieces),
        id=next((piece.id for piece in pieces if piece.id), ""),
        name="".join(piece.name for piece in pieces),
        extra=extra,
    )
    return Chunk(choice=choice, tool_calls=(joined,))
