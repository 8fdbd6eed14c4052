"""Checks without an answer: `/check-toxicity`, `/batch/security`, `/batch/resilience`."""

import asyncio
from collections import Counter
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.json_response import json_response
from gateway.query import answered, failed, served
from gateway.schema import BatchBody, ToxicityBody
from middleware.guard.guard import Guard
from middleware.guard.restore import Restorer
from middleware.input_guard import MASKED
from middleware.record import RECORD
from middleware.safety import Classifier, unsafe_categories
from middleware.scope import PRINCIPAL, PROMPT
from providers.base import ChatRequest, Message
from providers.cascade import Answer, Cascade, CascadeFailed, Journey
from providers.routing import Router

SHOWN_CHARS = 50
_DEFAULT_MAX_TOKENS = 256
_DEFAULT_TEMPERATURE = 0.7


class CheckToxicity:
    """
    The verdict of the classifiers on one text.

    Without a key no paid classifier is asked. When nobody gives a verdict, `is_toxic` is null and `error` says why: an
    unknown is never shown as harmless.
    """

    def __init__(self, classifier: Classifier | None, *, threshold: float, needs_key: bool) -> None:
        self.classifier = classifier
        self.threshold = threshold
        self.needs_key = needs_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        if not isinstance(body, ToxicityBody):
            raise TypeError("the route of CheckToxicity must parse a ToxicityBody")
        response = await self._verdict(body, asks=not self.needs_key or PRINCIPAL.get(scope) is not None)
        await response(scope, receive, send)

    async def _verdict(self, body: ToxicityBody, *, asks: bool) -> Response:
        if self.classifier is None:
            return _no_verdict("no safety classifier is configured")
        if not asks:
            return _no_verdict("an API key is needed: without one no paid classifier is asked")
        assessment = await self.classifier.classify(body.texts)
        if assessment is None:
            return _no_verdict("no safety classifier gave a verdict")
        categories = unsafe_categories(assessment, self.threshold)
        return json_response(
            {
                "is_toxic": bool(categories),
                "scores": dict(assessment.scores),
                "blocked_categories": list(categories),
                "error": None,
            }
        )


def _no_verdict(error: str) -> Response:
    return json_response({"is_toxic": None, "scores": {}, "blocked_categories": [], "error": error})


class BatchSecurity:
    """What the input guard finds in each prompt. Calls no model. `prompt` is masked before it is cut."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        results = []
        for prompt in body.texts:
            report = self.guard.scan(prompt)
            verdict = self.guard.inspect((prompt,))
            results.append(
                {
                    "prompt": report.masked(prompt)[:SHOWN_CHARS],
                    "blocked": verdict.outcome == "block",
                    "pii_detected": sorted(report.pii),
                    "pii_matches": dict(report.pii),
                    "injection_detected": report.injection,
                    "secrets_detected": list(report.secrets),
                    "sql_detected": report.sql,
                    "rules": list(report.rules),
                    "score": report.score,
                }
            )
            await asyncio.sleep(0)  # a batch must not hold the loop for the sum of its scans
        blocked = sum(bool(result["blocked"]) for result in results)
        response = json_response(
            {
                "total": len(results),
                "blocked": blocked,
                "passed": len(results) - blocked,
                "pii_leaks_prevented": sum(bool(r["blocked"] and r["pii_detected"]) for r in results),
                "injection_attempts_blocked": sum(bool(r["blocked"] and r["injection_detected"]) for r in results),
                "results": results,
            }
        )
        await response(scope, receive, send)


class BatchResilience:
    """Every prompt through the cascade at once, and what became of them."""

    def __init__(self, cascade: Cascade, router: Router) -> None:
        self.cascade = cascade
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        if not isinstance(body, BatchBody):
            raise TypeError("the route of BatchResilience must parse a BatchBody")
        record = RECORD.require(scope)
        journeys = [Journey() for _ in body.prompts]
        try:
            async with while_client_stays(receive), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._ask(prompt, journey))
                    for prompt, journey in zip(body.prompts, journeys, strict=True)
                ]
        except ClientLeft:
            record.status = 499
            return
        finally:
            record.attempts = [attempt for journey in journeys for attempt in journey.attempts]
            record.upstream_s = max(journey.upstream_s for journey in journeys)

        restorer = Restorer(MASKED.get(scope) or {})
        results: list[dict[str, Any]] = []
        providers: Counter[str] = Counter()
        for task, journey in zip(tasks, journeys, strict=True):
            outcome = task.result()
            if isinstance(outcome, Answer):
                providers[outcome.target.service] += 1
                record.served.append(served(outcome))
                result = answered(outcome, restorer.restore(outcome.completion.text), journey, record)
            else:
                result = failed(outcome, journey, record)
            result["latency_ms"] = int(journey.upstream_s * 1000)
            results.append(result)
        succeeded = sum(providers.values())
        response = json_response(
            {
                "total": len(results),
                "successful": succeeded,
                "failed": len(results) - succeeded,
                "success_rate": succeeded / len(results),
                "average_latency_ms": sum(result["latency_ms"] for result in results) / len(results),
                "provider_usage": dict(providers),
                "cascaded": sum(sum(a.status != "skipped" for a in journey.attempts) > 1 for journey in journeys),
                "results": results,
            }
        )
        await response(scope, receive, send)

    async def _ask(self, prompt: str, journey: Journey) -> Answer | CascadeFailed:
        request = ChatRequest(
            (Message("user", prompt),), max_tokens=_DEFAULT_MAX_TOKENS, temperature=_DEFAULT_TEMPERATURE
        )
        try:
            return await self.cascade.complete(request, self.router.targets(), journey)
        except CascadeFailed as failure:
            return failure
