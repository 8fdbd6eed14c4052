"""Classifiers beside the upstream call, and what is done and seen when all of them are down."""

import asyncio
from typing import Any

import pytest

from providers.classifiers import chain
from tests.gateway.conftest import Start
from tests.gateway.test_output_guard import SURFACES, asked
from tests.upstream import Answer, Silence, SlowFirstByte, Status, Upstream, Verdict

ON = {"ENABLE_SAFETY": "true", "SAFETY_PROVIDERS": "openai"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", SURFACES)
async def test_unsafe_beside_the_call(gateway: Start, upstream: Any, path: str, stream: bool) -> None:
    """The provider is asked at once; the refusal closes its call, and not a word of it is heard."""
    up: Upstream = await upstream()
    up.default, up.default_verdict = Silence(), SlowFirstByte(0.2, Verdict(dangerous=0.9))
    client = await gateway({"openai": up}, SAFETY_MODE="parallel", **ON)
    reply = await client.post(path, json=asked(path, stream=stream))
    assert reply.status_code == (422 if path == "/query" else 400)
    assert "content_policy_violation" in reply.text
    assert len(up.chats) == 1
    await up.wait_for_disconnect()
    metrics = (await client.get("/metrics")).text
    assert 'gateway_blocked_total{layer="safety",reason="unsafe"} 1.0' in metrics
    assert "gateway_layer_errors_total{" not in metrics


async def test_the_first_byte_waits(gateway: Start, upstream: Any) -> None:
    """An answer that is there first is not heard before the verdict; together they take as long as the slower one."""
    up: Upstream = await upstream()
    up.default, up.default_verdict = Answer("Ready."), SlowFirstByte(0.5, Verdict())
    client = await gateway({"openai": up}, SAFETY_MODE="parallel", **ON)
    for path in SURFACES:
        started = asyncio.get_running_loop().time()
        async with client.stream("POST", path, json=asked(path, stream=True, said=f"Hello on {path}")) as reply:
            assert reply.status_code == 200
            assert asyncio.get_running_loop().time() - started >= 0.5
            assert float(reply.headers["x-gateway-overhead-ms"]) < 400
            assert "Ready." in (await reply.aread()).decode()


@pytest.mark.parametrize("mode", ["before", "parallel"])
@pytest.mark.parametrize(("fail_mode", "status"), [("closed", 503), ("open", 200)])
async def test_every_classifier_down(gateway: Start, upstream: Any, fail_mode: str, status: int, mode: str) -> None:
    """Closed answers 503, open passes and marks it; after three failures nobody waits; health and metrics say so."""
    up: Upstream = await upstream()
    up.default_verdict = Status(500)
    client = await gateway({"openai": up}, SAFETY_FAIL_MODE=fail_mode, SAFETY_MODE=mode, **ON)
    for number in range(5):
        reply = await client.post("/query", json={"prompt": f"Hello {number}"})
        assert reply.status_code == status
    assert len(up.verdict_requests) == chain.FAILURES
    metrics = (await client.get("/metrics")).text
    assert 'gateway_layer_errors_total{layer="safety",reason="no_verdict"} 5.0' in metrics
    health = (await client.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["details"]["safety"] == {
        "enabled": True,
        "classifiers": ["openai"],
        "mode": mode,
        "fail_mode": fail_mode,
        "breakers": {"openai": "open"},
    }


async def test_a_classifier_comes_back(gateway: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the pause one request tries it; a verdict closes its breaker."""
    monkeypatch.setattr(chain, "PAUSE_S", 0.3)
    up: Upstream = await upstream()
    up.verdicts.push(*[Status(500)] * chain.FAILURES)
    client = await gateway({"openai": up}, **ON)
    statuses = [(await client.post("/query", json={"prompt": f"Hello {n}"})).status_code for n in range(4)]
    assert statuses == [503] * 4
    assert len(up.verdict_requests) == chain.FAILURES
    await asyncio.sleep(0.35)
    assert (await client.get("/health")).json()["details"]["safety"]["breakers"] == {"openai": "closed"}
    assert (await client.post("/query", json={"prompt": "Hello again"})).status_code == 200
    assert (await client.get("/health")).json()["status"] == "healthy"


async def test_one_of_two_is_down(gateway: Start, upstream: Any) -> None:
    """The other judges, at once after three failures; the service is not degraded."""
    down, up = await upstream(), await upstream()
    down.default_verdict, up.default_verdict = Status(500), Verdict()
    variables = ON | {"SAFETY_PROVIDERS": "lakera,openai"}
    client = await gateway({"lakera": down, "openai": up}, **variables)
    for number in range(5):
        assert (await client.post("/query", json={"prompt": f"Hello {number}"})).status_code == 200
    assert (len(down.verdict_requests), len(up.verdict_requests)) == (chain.FAILURES, 5)
    health = (await client.get("/health")).json()
    assert health["status"] == "healthy"
    assert health["details"]["safety"]["breakers"] == {"lakera": "open", "openai": "closed"}
