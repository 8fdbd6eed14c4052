"""
A provider that answers, refuses or breaks exactly as told: a real HTTP/1.1 server on a loopback port.

One `Upstream` is one provider's host. By path it speaks Gemini, the OpenAI family (Groq under `/openai/v1`, OpenRouter
under `/api/v1`, Google's compatible endpoint under `/v1beta/openai`, Ollama under `/ollama/v1`), Anthropic, Lakera
Guard and OpenAI moderation: chats, embeddings, lists of models and counts of tokens. It is never more lenient than the
vendor: what the vendor refuses is refused here in the vendor's words and noted in `refused`. What it does with a sound
request is taken from a queue, then from a default:

    async with Upstream() as up:
        up.answers.push(Status(429, retry_after_s=2), DieAfter(tokens=40))   # the first two calls; then up.default

Safety verdicts (Lakera, moderation, and Gemini asked for the five categories by a `responseSchema`) come from
`up.verdicts` in the same way, embeddings from `up.embeddings`, lists and counts from `up.lookups`.
"""

from tests.upstream.behaviours import (
    SIXTY_WORDS,
    Answer,
    BadKey,
    Behaviour,
    Blocked,
    ContextTooLong,
    DieAfter,
    EmptyCandidates,
    ErrorEventAfter,
    ErrorIn200,
    Garbage,
    HeadersThenSilence,
    Html502,
    LateFirstToken,
    MalformedEvent,
    NoDone,
    Plain,
    QuotaSpent,
    RawStream,
    Reset,
    Silence,
    SilentAfter,
    SlowFirstByte,
    SplitBytes,
    Status,
    Thinking,
    ToolCalls,
    TruncatedBody,
    Vectors,
    Verdict,
)
from tests.upstream.connection import free_port
from tests.upstream.embedding import embedding
from tests.upstream.server import Upstream
from tests.upstream.signatures import signature

__all__ = [
    "SIXTY_WORDS",
    "Answer",
    "BadKey",
    "Behaviour",
    "Blocked",
    "ContextTooLong",
    "DieAfter",
    "EmptyCandidates",
    "ErrorEventAfter",
    "ErrorIn200",
    "Garbage",
    "HeadersThenSilence",
    "Html502",
    "LateFirstToken",
    "MalformedEvent",
    "NoDone",
    "Plain",
    "QuotaSpent",
    "RawStream",
    "Reset",
    "Silence",
    "SilentAfter",
    "SlowFirstByte",
    "SplitBytes",
    "Status",
    "Thinking",
    "ToolCalls",
    "TruncatedBody",
    "Upstream",
    "Vectors",
    "Verdict",
    "embedding",
    "free_port",
    "signature",
]
