"""No route answers without the verdicts it is to have: each layer taken out of each route, and each made silent."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.output_guard import AnswerCheck
from middleware.guard.guard import Guard
from providers.chat import Chunk
from tests.gateway.conftest import Start
from tests.gateway.test_output_guard import CHAT, MESSAGES, QUERY, RESPONSES, asked
from tests.upstream import Upstream, Verdict

COUNT, EMBEDDINGS, BATCH = "/v1/messages/count_tokens", "/v1/embeddings", "/batch/resilience"
BODIES: dict[str, dict[str, Any]] = {
    **{path: asked(path) for path in (QUERY, CHAT, MESSAGES, RESPONSES)},
    COUNT: {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
    EMBEDDINGS: {"model": "m", "input": "Hello"},
    BATCH: {"prompts": ["Hello"]},
}
"""A sound request of every screened route."""
SILENT = {"/batch/security", "/check-toxicity"}
"""Routes whose answer is the verdict itself."""


class Absent:
    """Stands where a screen would and does nothing, as if it were not mounted."""

    def __init__(self, app: ASGIApp, **_: object) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture
async def judge(upstream: Any) -> Upstream:
    """A provider that is a classifier, too."""
    up: Upstream = await upstream()
    up.default_verdict = Verdict()
    return up


async def metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


def unanswered(layer: str, count: int) -> str:
    return f'gateway_layer_errors_total{{layer="{layer}",reason="no_verdict"}} {count}.0'


def held_back(reply: httpx.Response) -> bool:
    """503 and not a word of the answer, or, of a stream that had begun, no end."""
    return reply.status_code == 503 and "gave no verdict" in reply.text and "Every morning" not in reply.text


ON = {"ENABLE_SAFETY": "true", "SAFETY_PROVIDERS": "openai"}


def requests() -> list[tuple[str, dict[str, Any]]]:
    streamed = [(path, BODIES[path] | {"stream": True}) for path in (QUERY, CHAT, MESSAGES, RESPONSES)]
    return [*BODIES.items(), *streamed]


async def test_all_layers_in_place(gateway: Start, judge: Upstream) -> None:
    """The tests below show what is missing, not a gateway that answers nobody."""
    client = await gateway({"openai": judge}, **ON)
    for path, body in requests():
        assert (await client.post(path, json=body)).status_code == 200, path
    assert "no_verdict" not in await metrics(client)


@pytest.mark.parametrize(("name", "layer"), [("InputGuardMiddleware", "input_guard"), ("SafetyMiddleware", "safety")])
async def test_a_screen_that_is_not_mounted(
    gateway: Start, judge: Upstream, monkeypatch: pytest.MonkeyPatch, name: str, layer: str
) -> None:
    """503 on every screened route, whole and streamed; counted under the layer that is missing."""
    monkeypatch.setattr(f"gateway.app.{name}", Absent)
    client = await gateway({"openai": judge}, **ON)
    for path, body in requests():
        assert held_back(await client.post(path, json=body)), path
    assert unanswered(layer, len(requests())) in await metrics(client)


async def test_a_guard_that_returns_nothing(gateway: Start, judge: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is no verdict, and no provider is asked."""
    monkeypatch.setattr(Guard, "inspect", lambda self, *given: None)
    client = await gateway({"openai": judge}, **ON)
    for path, body in requests():
        assert held_back(await client.post(path, json=body)), path
    assert judge.requests == []
    assert unanswered("input_guard", len(requests())) in await metrics(client)


async def test_an_endpoint_that_does_not_judge_answers(
    gateway: Start, judge: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check's verdict over the answer nothing leaves whole."""
    monkeypatch.setattr("gateway.output_guard.OutputGuard.check", lambda self, *given, **named: None)
    client = await gateway({"openai": judge}, **ON)
    answering = [each for each in requests() if each[0] not in (COUNT, EMBEDDINGS)]
    for path, body in answering:
        assert held_back(await client.post(path, json=body)), path
    assert unanswered("output", len(answering)) in await metrics(client)


async def passed_by(check: AnswerCheck, group: Sequence[Chunk]) -> Sequence[Chunk]:
    return group


async def test_a_stream_of_which_not_all_was_judged(
    gateway: Start, judge: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that is passed by sees fewer characters than the answer has: no verdict, no end."""
    monkeypatch.setattr(AnswerCheck, "chunks", passed_by)
    client = await gateway({"openai": judge}, **ON)
    for path in (QUERY, CHAT, MESSAGES, RESPONSES):
        assert held_back(await client.post(path, json=BODIES[path] | {"stream": True})), path


async def test_with_output_off_its_verdict_is_not_asked_for(gateway: Start, judge: Upstream) -> None:
    """And with safety off, not that of safety."""
    client = await gateway({"openai": judge}, OUTPUT_ACTION="off", ENABLE_SAFETY="false")
    for path, body in requests():
        assert (await client.post(path, json=body)).status_code == 200, path
