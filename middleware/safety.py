"""The layer that asks a classifier whether a text is harmful."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.record import RECORD, Decision
from middleware.refusal import Refusal, screened
from middleware.scope import PROMPT


class Assessment(Protocol):
    """A classifier's verdict. `scores` 0..1 by category, `flagged` its own decision if it makes one."""

    @property
    def scores(self) -> Mapping[str, float]: ...

    @property
    def flagged(self) -> bool | None: ...


class Classifier(Protocol):
    async def classify(self, texts: Sequence[str]) -> Assessment | None:
        """The verdict on the texts together; None when no classifier could give one in time."""
        ...


class SafetyTerms(NamedTuple):
    """What is done about a text that reaches the threshold, of 0..1. "flag": it passes, and the record says so."""

    action: Literal["block", "flag", "off"] = "block"
    threshold: float = 0.7


log = logging.getLogger(__name__)

_NO_VERDICT = Refusal(503, "unavailable", "no safety classifier gave a verdict", {"Retry-After": "5"})


def unsafe_categories(assessment: Assessment, threshold: float) -> tuple[str, ...]:
    """The categories that reach the threshold, highest score first; all that scored when only `flagged` says unsafe."""
    ranked = sorted(assessment.scores.items(), key=lambda item: -item[1])
    over = tuple(category for category, score in ranked if score >= threshold)
    if not over and assessment.flagged:
        return tuple(category for category, score in ranked if score > 0) or ("unspecified",)
    return over


class SafetyMiddleware:
    """
    Answer 422 (`content_policy_violation`) to a harmful text.

    Reads PROMPT. `classifier` None: nothing is asked, and the record says so. No verdict: 503 with
    `fail_mode="closed"`, a marked pass with `"open"`. `mode` "before": nobody is called before the verdict;
    "parallel": `app` begins at once, what it sends waits for the verdict, and a refusal cancels it.

    `choose`: which terms hold for a request, by its PRINCIPAL say; else all of the threshold given is blocked. If it
    raises, there is no verdict.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        classifier: Classifier | None,
        threshold: float = 0.7,
        fail_mode: Literal["closed", "open"] = "closed",
        mode: Literal["before", "parallel"] = "before",
        choose: Callable[[Scope], SafetyTerms] | None = None,
    ) -> None:
        if not 0 < threshold <= 1:
            raise ValueError("threshold must be above 0 and at most 1")
        if fail_mode not in ("closed", "open"):
            raise ValueError("fail_mode must be 'closed' or 'open'")
        if mode not in ("before", "parallel"):
            raise ValueError("mode must be 'before' or 'parallel'")
        self.app = app
        self.classifier = classifier
        self.terms = SafetyTerms("block", threshold)
        self.choose = choose
        self.fail_mode = fail_mode
        self.mode = mode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (PROMPT.get(scope) is None and scope["method"] in ("GET", "HEAD", "OPTIONS")):
            await self.app(scope, receive, send)
            return

        texts = PROMPT.require(scope).texts
        record = RECORD.get(scope)
        try:
            terms = self.terms if self.choose is None else self.choose(scope)
        except LookupError as error:
            log.error("safety gave no verdict: %s", type(error).__name__)
            if record is not None:
                record.decisions.append(Decision("safety", "error", "no_verdict"))
            await _NO_VERDICT(scope, receive, send)
            return
        if self.mode == "parallel" and self.classifier is not None and terms.action != "off":
            await self._beside(texts, terms, scope, receive, send)
            return
        started = time.perf_counter()
        decision, refusal = await self._judge(texts, terms)
        if record is not None:
            record.classifier_s = time.perf_counter() - started
            record.decisions.append(decision)
        await (refusal or self.app)(scope, receive, send)

    async def _beside(
        self, texts: Sequence[str], terms: SafetyTerms, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Ask the classifier while the app works; whichever ends first waits for the other, or ends it."""
        record = RECORD.get(scope)
        started = time.perf_counter()
        may_leave = asyncio.Event()

        async def send_after_verdict(message: Message) -> None:
            if not may_leave.is_set():
                waiting = time.perf_counter()
                await may_leave.wait()
                if record is not None:
                    record.classifier_s += time.perf_counter() - waiting
            await send(message)

        judging = asyncio.create_task(self._judge(texts, terms))
        working = asyncio.create_task(self._work(scope, receive, send_after_verdict))
        try:
            await asyncio.wait({judging, working}, return_when=asyncio.FIRST_COMPLETED)
            if not judging.done():  # the client has left, or the app has crashed: nothing was sent
                await working
                return
            decision, refusal = judging.result()
            if record is not None:
                record.decisions.append(decision)
            if refusal is None:
                may_leave.set()
                await working
                return
            working.cancel()
            await asyncio.wait({working})
            if record is not None:
                record.classifier_s = max(0.0, time.perf_counter() - started - record.upstream_s)
            await refusal(scope, receive, send)
        finally:
            await _end(judging, working)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    async def _judge(self, texts: Sequence[str], terms: SafetyTerms) -> tuple[Decision, Refusal | None]:
        if self.classifier is None or terms.action == "off":
            return Decision("safety", "off"), None
        if not any(text.strip() for text in texts):  # an image alone, say: classifiers refuse to judge no words
            return Decision("safety", "pass"), None
        assessment = await self.classifier.classify(texts)
        if assessment is None:
            decision = Decision("safety", "error", "no_verdict")
            refused = self.fail_mode == "closed" and terms.action == "block"
            return decision, _NO_VERDICT if refused else None
        categories = unsafe_categories(assessment, terms.threshold)
        if not categories:
            return Decision("safety", "pass"), None
        if terms.action == "flag":
            return Decision("safety", "flag", "unsafe", categories), None
        message = "the text was judged unsafe: " + ", ".join(categories)
        return Decision("safety", "block", "unsafe", categories), screened("content_policy_violation", message)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Leave nothing running."""
    left = {task for task in tasks if not task.done()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
