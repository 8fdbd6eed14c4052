"""The layer that looks at what a request says before anyone acts on it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.record import RECORD, Decision, Outcome
from middleware.refusal import Code, Refusal, screened
from middleware.scope import PROMPT, Prompt, ScopeKey

log = logging.getLogger(__name__)

_NO_VERDICT = Refusal(503, "unavailable", "the input guard gave no verdict", {"Retry-After": "1"})


class Verdict(Protocol):
    """
    What a guard found. `reasons` and `rules` come from closed sets; `code` is set when `outcome` is `block`.

    With `mask`, `texts` are the texts to go on with and `replacements` maps each placeholder to what it stands for.
    """

    @property
    def outcome(self) -> Outcome: ...

    @property
    def code(self) -> Code | None: ...

    @property
    def reason(self) -> str | None:
        """What a refusal is for; None without one."""
        ...

    @property
    def reasons(self) -> Sequence[str]: ...

    @property
    def rules(self) -> Sequence[str]: ...

    @property
    def texts(self) -> Sequence[str]: ...

    @property
    def replacements(self) -> Mapping[str, str]: ...


class TextGuard(Protocol):
    def inspect(self, texts: Sequence[str], unread: Sequence[str] = ()) -> Verdict: ...


_MESSAGES: Mapping[str, str] = {
    "prompt_injection": "the text tries to override instructions",
    "pii_detected": "the text contains personal data",
    "secret_detected": "the text contains a key or another secret",
    "sql_injection": "the text contains an SQL or command injection",
    "content_policy_violation": "the text holds what the operator does not allow",
}

_UNREAD = "the request holds what cannot be read: an image, a sound, a file or token ids"

LONG = 4_096
"""Characters of all texts above which they are inspected in a thread: others' requests must not wait for them."""

MASKED: ScopeKey[Mapping[str, str]] = ScopeKey("masked", put_by="InputGuardMiddleware")
"""Placeholders of this request and what they stand for. Whoever writes the answer puts the originals back."""


SENT: ScopeKey[Prompt] = ScopeKey("sent", put_by="InputGuardMiddleware")
"""The prompt before it was masked, for answers that tell the caller what it asked."""


class InputGuardMiddleware:
    """
    Refuse or mask texts that try to override instructions or carry personal data, secrets, SQL or shell injections.

    What the guard cannot read it is told of: whether that may pass is its to say.

    Reads PROMPT. When values are masked, replaces PROMPT and puts MASKED and SENT; a value that cannot be is refused.
    A guard that raises gave no verdict: 503, and the endpoint is not called.

    `choose`: which guard holds for a request, by its PRINCIPAL say; else `guard` does for all. If it raises, there is
    no verdict.
    """

    def __init__(self, app: ASGIApp, *, guard: TextGuard, choose: Callable[[Scope], TextGuard] | None = None) -> None:
        self.app = app
        self.guard = guard
        self.choose = choose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (PROMPT.get(scope) is None and scope["method"] in ("GET", "HEAD", "OPTIONS")):
            await self.app(scope, receive, send)
            return

        prompt = PROMPT.require(scope)
        record = RECORD.get(scope)
        try:
            guard = self.guard if self.choose is None else self.choose(scope)
            if sum(map(len, prompt.texts)) > LONG:
                verdict = await asyncio.to_thread(guard.inspect, prompt.texts, prompt.unread)
            else:
                verdict = guard.inspect(prompt.texts, prompt.unread)
            outcome, code, deciding = verdict.outcome, verdict.code, verdict.reason
        except Exception as error:
            log.error("the input guard gave no verdict: %s", type(error).__name__)
            if record is not None:
                record.decisions.append(Decision("input_guard", "error", "no_verdict"))
            await _NO_VERDICT(scope, receive, send)
            return
        masked = None
        if outcome == "mask":
            try:
                masked = prompt.with_texts(verdict.texts)
            except ValueError:
                # Where a placeholder cannot stand, the value cannot pass either.
                outcome, code, deciding = "block", "pii_detected", "pii"
                if "secret" in verdict.reasons:
                    code, deciding = "secret_detected", "secret"
        if record is not None:
            for reason in verdict.reasons or ("",):
                what = outcome if deciding in (None, reason) else "flag"
                record.decisions.append(Decision("input_guard", what, reason, tuple(verdict.rules)))
        if code is not None:
            await screened(code, _UNREAD if deciding == "unread" else _MESSAGES[code])(scope, receive, send)
            return
        if masked is not None:
            SENT.put(scope, prompt)
            PROMPT.put(scope, masked)
            MASKED.put(scope, verdict.replacements)
        await self.app(scope, receive, send)
