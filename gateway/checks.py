"""Checks without an answer: `/check-toxicity`, `/batch/security`, `/batch/resilience`."""

import asyncio
from collections import Counter
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.estimate import chat_usage, estimate
from gateway.exchange import served
from gateway.json_response import json_response
from gateway.live import LiveConfig
from gateway.live_policies import LivePolicies
from gateway.output_guard import AnswerRefused
from gateway.permitted import plan_for
from gateway.query import answered, failed
from gateway.restoring import Restoring
from gateway.schema import BatchBody, ToxicityBody
from middleware.claim import Estimate
from middleware.input_guard import MASKED
from middleware.record import RECORD
from middleware.refusal import Refusal
from middleware.safety import Classifier, unsafe_categories
from middleware.scope import PRINCIPAL, PROMPT
from providers.cascade import Answer, Cascade, CascadeFailed, Journey
from providers.chat import ChatRequest, Message
from providers.routing import Plan, Wish

SHOWN_CHARS = 50
_DEFAULT_MAX_TOKENS = 256
_DEFAULT_TEMPERATURE = 0.7


class CheckToxicity:
    """
    The verdict of the classifiers on one text.

    A caller without a key is answered by `unkeyed`, which costs nothing; None: like any other. When nobody gives a
    verdict, `is_toxic` is null and `error` says so: an unknown is never shown as harmless.
    """

    def __init__(self, classifier: Classifier, *, unkeyed: Classifier | None, policies: LivePolicies) -> None:
        self.classifier = classifier
        self.unkeyed = unkeyed
        self.policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        if not isinstance(body, ToxicityBody):
            raise TypeError("the route of CheckToxicity must parse a ToxicityBody")
        free = self.unkeyed if PRINCIPAL.get(scope) is None else None
        try:
            threshold = self.policies.safety(scope).threshold
        except LookupError:
            response = _no_verdict("the policy of this key is not configured")
        else:
            response = await self._verdict(body, free or self.classifier, threshold)
        await response(scope, receive, send)

    async def _verdict(self, body: ToxicityBody, classifier: Classifier, threshold: float) -> Response:
        assessment = await classifier.classify(body.texts)
        if assessment is None:
            return _no_verdict("no safety classifier gave a verdict")
        categories = unsafe_categories(assessment, threshold)
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


_NO_VERDICT = Refusal(503, "unavailable", "the input guard gave no verdict", {"Retry-After": "1"})


class BatchSecurity:
    """What the input guard finds in each prompt. Calls no model. `prompt` is masked before it is cut."""

    def __init__(self, policies: LivePolicies) -> None:
        self.policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = PROMPT.require(scope)
        try:
            guard = self.policies.guard(scope)
        except LookupError:
            await _NO_VERDICT(scope, receive, send)
            return
        results = []
        for prompt in body.texts:
            report = guard.scan(prompt)
            verdict = guard.inspect((prompt,))
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

    def __init__(self, cascade: Cascade, live: LiveConfig, policies: LivePolicies) -> None:
        self.cascade = cascade
        self.policies = policies
        self.live = live

    def estimate(self, scope: Scope) -> Estimate:
        """What the batch may come to, for whoever must reserve it."""
        routing = self.live.current
        usages = [chat_usage(_question(prompt)) for prompt in _batch(scope).prompts]
        return estimate(routing, routing.router.standing_for(None), usages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _batch(scope)
        router = self.live.current.router
        plans: list[Plan] = []
        for _ in body.prompts:  # one for each: whose turn it is may be drawn by lots
            plan = plan_for(scope, router, Wish())
            if isinstance(plan, Refusal):
                await plan(scope, receive, send)
                return
            plans.append(plan)
        record = RECORD.require(scope)
        journeys = [Journey() for _ in body.prompts]
        tasks: list[asyncio.Task[Answer | CascadeFailed]] = []
        try:
            async with while_client_stays(receive), asyncio.TaskGroup() as group:
                for prompt, plan, journey in zip(body.prompts, plans, journeys, strict=True):
                    tasks.append(group.create_task(self._ask(prompt, plan, journey)))
        except ClientLeft:
            record.status = 499
            return
        finally:
            record.served += [served(answer) for answer in map(_answer_of, tasks) if answer is not None]
            record.attempts = [attempt for journey in journeys for attempt in journey.attempts]
            record.upstream_s = max(journey.upstream_s for journey in journeys)

        output = self.policies.output(scope)
        masked = MASKED.get(scope)
        restoring = Restoring(masked) if masked else None
        results: list[dict[str, Any]] = []
        providers: Counter[str] = Counter()
        for task, journey in zip(tasks, journeys, strict=True):
            outcome = task.result()
            check = output.check(_question(""), record, masked, thoughts=False)
            if isinstance(outcome, Answer):
                try:
                    answer = outcome if check is None else await check.answer(outcome)
                    answer = answer if restoring is None else restoring.answer(answer)
                    result = answered(answer, journey, record)
                    providers[outcome.target.service] += 1
                except AnswerRefused as refused:
                    result = failed(refused, journey, record)
            else:
                if check is not None:
                    check.nothing_more()
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

    async def _ask(self, prompt: str, plan: Plan, journey: Journey) -> Answer | CascadeFailed:
        try:
            return await self.cascade.complete(_question(prompt), plan.targets, journey)
        except CascadeFailed as failure:
            return failure


def _batch(scope: Scope) -> BatchBody:
    body = PROMPT.require(scope)
    if not isinstance(body, BatchBody):
        raise TypeError("the route of BatchResilience must parse a BatchBody")
    return body


def _question(prompt: str) -> ChatRequest:
    return ChatRequest((Message("user", prompt),), max_tokens=_DEFAULT_MAX_TOKENS, temperature=_DEFAULT_TEMPERATURE)


def _answer_of(task: "asyncio.Task[Answer | CascadeFailed]") -> Answer | None:
    """What came of it, also where the client left before the others were answered."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    outcome = task.result()
    return outcome if isinstance(outcome, Answer) else None
