"""What an upstream can be told to do with a request, and the queue it is told through."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Finish = Literal["stop", "length", "content_filter"]

SIXTY_WORDS = (
    "Every morning the old lighthouse keeper climbs ninety narrow steps, polishes one great glass lens, winds a brass "
    "clock and writes down how wind, waves, clouds behaved overnight. Ships passing far below never learn his name, "
    "yet their captains trust that steady beam more than any chart, because someone patient has kept it burning "
    "through each long winter storm alone."
)
"""Sixty words, no two alike: a lost, doubled or reordered one shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A whole, healthy answer; in a stream each word is one event.

    Cut as the request's stop sequences and token limit demand (a word is a token). If the request ends with an
    assistant turn that `text` begins with, only the rest is sent, as a model continues a prefill.
    """

    text: str = SIXTY_WORDS
    input_tokens: int = 12
    """Cached ones included."""
    output_tokens: int | None = None
    """Visible ones, without reasoning. None: as many as words were sent."""
    finish: Finish = "stop"
    model: str | None = None
    """None: the one that was asked for."""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """OpenRouter's `usage.cost`; the other wires have no place for it."""
    pause_s: float = 0.0
    """Before each word of a stream."""


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """
    The model calls tools, several at once if told: `calls` are names and arguments, after `text` if there is any.

    Streamed, the arguments come in pieces where the vendor cuts them. A call that the token limit cuts is left out,
    and the finish reason says so.
    """

    calls: tuple[tuple[str, Mapping[str, object]], ...]
    text: str = ""
    with_ids: bool = True
    """Gemini may send calls without ids; the other wires always have them."""
    input_tokens: int = 12
    """Cached ones included."""
    output_tokens: int | None = None
    """Visible ones, without reasoning. None: as many as words and pieces of arguments were sent."""
    model: str | None = None
    """None: the one that was asked for."""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """OpenRouter's `usage.cost`; the other wires have no place for it."""
    pause_s: float = 0.0
    """Before each token of a stream."""


ReasoningField = Literal["reasoning_content", "reasoning"]


@dataclass(frozen=True, slots=True)
class Thinking:
    """
    Reasoning in sight, then the answer. It is shown whether or not the request asked to see it.

    The thought's words come out of the token limit first and, unless the answer says otherwise, are the reasoning
    tokens. A thought in hiding is `Answer(reasoning_tokens=...)`.
    """

    thought: str
    answer: str | Answer | ToolCalls = SIXTY_WORDS
    field: ReasoningField | None = None
    """Where the OpenAI family puts it. None: `reasoning` at Groq, OpenRouter and Ollama, else `reasoning_content`."""

    @property
    def then(self) -> Answer | ToolCalls:
        return Answer(self.answer) if isinstance(self.answer, str) else self.answer

    @property
    def pause_s(self) -> float:
        return self.then.pause_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a safety service thinks: scores in 0..1. `flagged` (Lakera, moderation) None: some score is at least 0.5."""

    sexual: float = 0.0
    hate: float = 0.0
    harassment: float = 0.0
    dangerous: float = 0.0
    civic: float = 0.0
    reason: str = ""
    flagged: bool | None = None
    detectors: tuple[str, ...] = ()
    """Lakera detector types that say `detected`, besides those the scores imply."""

    @property
    def is_flagged(self) -> bool:
        if self.flagged is not None:
            return self.flagged
        return bool(self.detectors) or max(self.sexual, self.hate, self.harassment, self.dangerous, self.civic) >= 0.5


@dataclass(frozen=True, slots=True)
class Vectors:
    """What an embedding endpoint answers: `embedding(text)` for each input, of `dimensions` unless asked otherwise."""

    dimensions: int = 8
    input_tokens: int | None = None
    """None: as many as there are words or token ids."""
    model: str | None = None
    """None: the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The one sound answer of an endpoint that has only one: a list of models, a count of tokens."""


Chat = Answer | ToolCalls | Thinking
Ordinary = Chat | Verdict | Vectors | Plain


@dataclass(frozen=True, slots=True)
class Status:
    """
    An answer of that code. `body` None: the vendor's own error body for it; bytes are sent as they are.

    `retry_after_s` is told in the vendor's way: a Retry-After header, at Gemini a RetryInfo detail.
    """

    code: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class BadKey:
    """What the vendor says to a wrong key, whatever key was sent."""


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """What the vendor says to a prompt larger than the model's window."""


@dataclass(frozen=True, slots=True)
class QuotaSpent:
    """What the vendor says when money or the day's quota is gone."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The vendor's own filter refuses the prompt."""


@dataclass(frozen=True, slots=True)
class EmptyCandidates:
    """200, well formed, and no answer in it."""


@dataclass(frozen=True, slots=True)
class ErrorIn200:
    """200 whose body or first event is an error."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """200 whose body is not JSON, though it says so."""


@dataclass(frozen=True, slots=True)
class Html502:
    """502 with a page, as from a CDN."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST) before a byte."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing at all until `release()`; then the ordinary answer."""


@dataclass(frozen=True, slots=True)
class HeadersThenSilence:
    """Status and headers, then nothing until `release()`; then the ordinary answer."""


@dataclass(frozen=True, slots=True)
class SlowFirstByte:
    """Nothing for a while, then the answer."""

    seconds: float
    answer: Ordinary | None = None


@dataclass(frozen=True, slots=True)
class TruncatedBody:
    """Less is sent than Content-Length (in a stream: the chunk size) promised, then the connection closes."""

    answer: Ordinary | None = None


# The following are about streams; a request that is not streamed gets the nearest thing, as said.


@dataclass(frozen=True, slots=True)
class LateFirstToken:
    """Headers at once, the answer later. `preamble`: what precedes text (role chunk, ping) is sent at once, too."""

    seconds: float
    preamble: bool = False
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class DieAfter:
    """The connection closes (`reset`: is reset) after so many tokens; unstreamed: halfway through the body."""

    tokens: int = 40
    reset: bool = False
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class SilentAfter:
    """Nothing more after so many tokens until `release()`, then the rest; unstreamed: halfway through the body."""

    tokens: int = 20
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An event that is not JSON comes before that token (from 1), none is lost; unstreamed: `Garbage`."""

    at: int = 10
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class NoDone:
    """No end mark (`[DONE]`, `message_stop`; Gemini has none). `hold_open`: the body does not end either."""

    hold_open: bool = False
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class ErrorEventAfter:
    """After so many tokens an error event, then the end without a mark; unstreamed: `ErrorIn200`."""

    tokens: int = 20
    answer: Chat | None = None


@dataclass(frozen=True, slots=True)
class SplitBytes:
    """So many bytes of the body at a time; in a stream each piece is a chunk of its own, however it cuts an event."""

    size: int
    answer: Ordinary | None = None


@dataclass(frozen=True, slots=True)
class RawStream:
    """A stream of exactly these bytes, one chunk each: for what a vendor does and no other behaviour shows."""

    frames: tuple[bytes, ...]


Behaviour = (
    Ordinary
    | Status
    | BadKey
    | ContextTooLong
    | QuotaSpent
    | Blocked
    | EmptyCandidates
    | ErrorIn200
    | Garbage
    | Html502
    | Reset
    | Silence
    | HeadersThenSilence
    | SlowFirstByte
    | TruncatedBody
    | LateFirstToken
    | DieAfter
    | SilentAfter
    | MalformedEvent
    | NoDone
    | ErrorEventAfter
    | SplitBytes
    | RawStream
)


class Queue:
    """Behaviours for the next requests, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Behaviour] = deque()

    def push(self, *behaviours: Behaviour) -> None:
        self._waiting.extend(behaviours)

    def take(self, default: Behaviour) -> Behaviour:
        return self._waiting.popleft() if self._waiting else default

    def clear(self) -> None:
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)
