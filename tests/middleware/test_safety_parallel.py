"""The safety layer beside the app: nothing leaves before the verdict, and a refusal ends what was begun."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.body import BodyMiddleware
from middleware.record import RECORD, Record
from middleware.safety import SafetyMiddleware
from tests.middleware.asgi import Reply, ask
from tests.middleware.test_screens import Opinion

UNSAFE = Opinion({"HARM_CATEGORY_HARASSMENT": 0.9})
SAFE = Opinion({"HARM_CATEGORY_HARASSMENT": 0.1})


class Pending:
    """A classifier that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.verdict: asyncio.Future[Opinion | None] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def classify(self, texts: Sequence[str]) -> Opinion | None:
        self.asked.set()
        try:
            return await self.verdict
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Working:
    """An app that says when it begins, sends when it is told to, and notices how it ends."""

    def __init__(self) -> None:
        self.begun, self.may_send = asyncio.Event(), asyncio.Event()
        self.ended = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        try:
            await self.may_send.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"answer"})
            self.ended = "sent"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


def beside(app: ASGIApp, classifier: object, record: Record, **options: object) -> ASGIApp:
    layer = SafetyMiddleware(app, classifier=classifier, mode="parallel", **options)  # type: ignore[arg-type]
    body = BodyMiddleware(layer)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        RECORD.put(scope, record)
        await body(scope, receive, send)

    return call


async def run(app: ASGIApp) -> "asyncio.Task[Reply]":
    return asyncio.create_task(ask(app, body=b'"text"'))


def outcomes(record: Record) -> list[tuple[str, str]]:
    return [(decision.layer, decision.outcome) for decision in record.decisions]


async def test_the_app_works_before_the_verdict_and_is_heard_after() -> None:
    """An answer that is ready first waits; the wait is the classifier's time, not ours."""
    record, classifier, app = Record("r", 0.0), Pending(), Working()
    task = await run(beside(app, classifier, record))
    await asyncio.gather(app.begun.wait(), classifier.asked.wait())
    app.may_send.set()
    await asyncio.sleep(0.05)
    assert not task.done()
    assert app.ended == ""
    classifier.verdict.set_result(SAFE)
    reply = await task
    assert (reply.status, reply.body, app.ended) == (200, b"answer", "sent")
    assert outcomes(record) == [("safety", "pass")]
    assert 0.04 < record.classifier_s < 1


async def test_an_early_verdict_costs_nothing() -> None:
    """The answer that comes later leaves at once."""
    record, classifier, app = Record("r", 0.0), Pending(), Working()
    task = await run(beside(app, classifier, record))
    await classifier.asked.wait()
    classifier.verdict.set_result(SAFE)
    await app.begun.wait()
    await asyncio.sleep(0.02)
    assert outcomes(record) == [("safety", "pass")]
    app.may_send.set()
    assert (await task).status == 200
    assert record.classifier_s == 0


@pytest.mark.parametrize("ready", [False, True], ids=["working", "waiting to send"])
async def test_a_refusal_ends_the_work(ready: bool) -> None:
    """422, the app cancelled wherever it is, not a byte of its answer."""
    record, classifier, app = Record("r", 0.0), Pending(), Working()
    task = await run(beside(app, classifier, record))
    await app.begun.wait()
    if ready:
        app.may_send.set()
        await asyncio.sleep(0)
    classifier.verdict.set_result(UNSAFE)
    reply = await task
    detail = "content_policy_violation: the text was judged unsafe: HARM_CATEGORY_HARASSMENT"
    assert (reply.status, reply.json(), app.ended) == (422, {"detail": detail}, "cancelled")
    assert outcomes(record) == [("safety", "block")]


@pytest.mark.parametrize(("fail_mode", "status"), [("closed", 503), ("open", 200)])
async def test_no_verdict(fail_mode: str, status: int) -> None:
    """As without `parallel`: closed is 503, open a marked pass."""
    record, classifier, app = Record("r", 0.0), Pending(), Working()
    app.may_send.set()
    classifier.verdict.set_result(None)
    reply = await ask(beside(app, classifier, record, fail_mode=fail_mode), body=b'"text"')
    assert (reply.status, app.ended) == (status, "sent" if status == 200 else "cancelled")
    assert outcomes(record) == [("safety", "error")]


async def test_an_app_that_ends_without_an_answer_ends_the_question() -> None:
    """The client has left: the classifier is not waited for, and nothing is decided."""
    record, classifier = Record("r", 0.0), Pending()

    async def leaves(scope: Scope, receive: Receive, send: Send) -> None:
        await classifier.asked.wait()

    with pytest.raises(AssertionError):  # `ask` wants an answer
        await ask(beside(leaves, classifier, record), body=b'"text"')
    assert classifier.cancelled
    assert record.decisions == []


async def test_an_app_that_crashes_is_heard() -> None:
    """Its exception goes outward, and the question ends."""
    classifier = Pending()

    async def crashes(scope: Scope, receive: Receive, send: Send) -> None:
        await classifier.asked.wait()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(beside(crashes, classifier, Record("r", 0.0)), body=b'"text"')
    assert classifier.cancelled


async def test_a_classifier_that_crashes_is_no_pass() -> None:
    """Its exception goes outward, and the work ends."""
    app = Working()

    class Broken:
        async def classify(self, texts: Sequence[str]) -> Opinion | None:
            await app.begun.wait()
            raise ZeroDivisionError

    sent: list[Message] = []
    with pytest.raises(ZeroDivisionError):
        await ask(beside(app, Broken(), Record("r", 0.0)), body=b'"text"')
    assert app.ended == "cancelled"
    assert sent == []


async def test_the_caller_who_is_cancelled_leaves_nothing_behind() -> None:
    """At the server's stop both end."""
    classifier, app = Pending(), Working()
    task = await run(beside(app, classifier, Record("r", 0.0)))
    await asyncio.gather(app.begun.wait(), classifier.asked.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (app.ended, classifier.cancelled) == ("cancelled", True)


def test_an_unknown_mode() -> None:
    """Is a mistake of whoever mounts it."""
    with pytest.raises(ValueError, match="mode must be"):
        SafetyMiddleware(Working(), classifier=None, mode="beside")  # type: ignore[arg-type]
