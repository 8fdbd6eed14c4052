"""The layer that asks a classifier whether a text is harmful."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

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
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        classifier: Classifier | None,
        threshold: float = 0.7,
        fail_mode: Literal["closed", "open"] = "closed",
        mode: Literal["before", "parallel"] = "before",
    ) -> None:
        if not 0 < threshold <= 1:
            raise ValueError("threshold must be above 0 and at most 1")
        if fail_mode not in ("closed", "open"):
            raise ValueError("fail_mode must be 'closed' or 'open'")
        if mode not in ("before", "parallel"):
            raise ValueError("mode must be 'before' or 'parallel'")
        self.app = app
        self.classifier = classifier
        self.threshold = threshold
        self.fail_mode = fail_mode
        self.mode = mode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (PROMPT.get(scope) is None and scope["method"] in ("GET", "HEAD", "OPTIONS")):
            await self.app(scope, receive, send)
            return

        texts = PROMPT.require(scope).texts
        if self.mode == "parallel" and self.classifier is not None:
            await self._beside(texts, scope, receive, send)
            return
        started = time.perf_counter()
        decision, refusal = await self._judge(texts)
        record = RECORD.get(scope)
        if record is not None:
            record.classifier_s = time.perf_counter() - started
            record.decisions.append(decision)
        await (refusal or self.app)(scope, receive, send)

    async def _beside(self, texts: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
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

        judging = asyncio.create_task(self._judge(texts))
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

    async def _judge(self, texts: Sequence[str]) -> tuple[Decision, Refusal | None]:
        if self.classifier is None:
            return Decision("safety", "off"), None
        if not any(text.strip() for text in texts):  # an image alone, say: classifiers refuse to judge no words
            return Decision("safety", "pass"), None
        assessment = await self.classifier.classify(texts)
        if assessment is None:
            decision = Decision("safety", "error", "no_verdict")
            if self.fail_mode == "open":
                return decision, None
            return decision, Refusal(503, "unavailable", "no safety classifier gave a verdict", {"Retry-After": "5"})
        categories = unsafe_categories(assessment, self.threshold)
        if not categories:
            return Decision("safety", "pass"), None
        message = "the text was judged unsafe: " + ", ".join(categories)
        return Decision("safety", "block", "unsafe", categories), screened("content_policy_violation", message)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Leave nothing running."""
    left = {task for task in tasks if not task.done()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
