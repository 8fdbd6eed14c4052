"""Classifiers beside the upstream call, and what is done and seen when all of them are down."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from providers.classifiers import chain
from tests.gateway.conftest import Start
from tests.gateway.test_output_guard import SURFACES, asked
from tests.upstream import Answer, BadKey, Behaviour, Garbage, Reset, Silence, SlowFirstByte, Status, Upstream, Verdict

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


CUT_OFF = Status(200, {"candidates": [{"content": {"parts": [{"text": '{"sexual":0'}]}, "finishReason": "MAX_TOKENS"}]})
OF_THE_TEXT: list[tuple[str, Behaviour]] = [
    ("gemini", CUT_OFF),
    ("gemini", Answer("It is harmless.")),
    ("gemini", Garbage()),
    *((name, Status(code)) for name in ("gemini", "lakera", "openai") for code in (400, 413, 422)),
]


@pytest.mark.parametrize(("name", "failure"), OF_THE_TEXT, ids=repr)
async def test_odd_texts_do_not_turn_a_classifier_off(
    gateway: Start, upstream: Any, name: str, failure: Behaviour
) -> None:
    """What a text may have caused is no verdict on it, and says nothing about the classifier: others are judged."""
    up: Upstream = await upstream()
    up.verdicts.push(*[failure] * (chain.FAILURES + 1))
    client = await gateway({name: up}, **ON | {"SAFETY_PROVIDERS": name})
    for number in range(chain.FAILURES + 1):
        odd = await client.post("/check-toxicity", json={"text": f"Odd {number}"})
        assert odd.json()["error"] == "no safety classifier gave a verdict"
    plain = await client.post("/check-toxicity", json={"text": "How do I bake bread?"})
    assert plain.json()["is_toxic"] is False
    assert (await client.get("/health")).json()["details"]["safety"]["breakers"] == {name: "closed"}


async def test_odd_texts_are_judged_by_the_next(gateway: Start, upstream: Any) -> None:
    """One classifier's trouble with a text leads to the other, however often."""
    gemini, lakera = await upstream(), await upstream()
    gemini.default_verdict, lakera.default_verdict = CUT_OFF, Verdict(hate=1.0)
    client = await gateway({"gemini": gemini, "lakera": lakera}, **ON | {"SAFETY_PROVIDERS": "gemini,lakera"})
    for number in range(5):
        assert (await client.post("/query", json={"prompt": f"Odd {number}"})).status_code == 422
    assert (len(gemini.verdict_requests), len(lakera.verdict_requests)) == (5, 5)


@pytest.mark.parametrize("failure", [Status(500), Status(429), BadKey(), Reset(), Silence()], ids=repr)
async def test_odd_texts_between_failures(gateway: Start, upstream: Any, failure: Behaviour) -> None:
    """They count neither for nor against: three of the classifier's own failures in a row open its breaker."""
    up: Upstream = await upstream()
    for _ in range(chain.FAILURES):
        up.verdicts.push(CUT_OFF, failure)
    client = await gateway({"gemini": up}, SAFETY_TIMEOUT_MS="200", **ON | {"SAFETY_PROVIDERS": "gemini"})
    for number in range(2 * chain.FAILURES + 2):
        assert (await client.post("/query", json={"prompt": f"Hello {number}"})).status_code == 503
    assert len(up.verdict_requests) == 2 * chain.FAILURES
    assert (await client.get("/health")).json()["details"]["safety"]["breakers"] == {"gemini": "open"}
    up.release()


@pytest.mark.parametrize("leaves", [False, True], ids=["odd", "left"])
async def test_a_probe_that_says_nothing(
    gateway: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """An odd text that tries a classifier after its pause, or a caller who leaves, does not prolong the pause."""
    monkeypatch.setattr(chain, "PAUSE_S", 0.5)
    up: Upstream = await upstream()
    up.verdicts.push(*[Status(500)] * chain.FAILURES, Silence() if leaves else CUT_OFF)
    client = await gateway({"gemini": up}, SAFETY_MODE="parallel", **ON | {"SAFETY_PROVIDERS": "gemini"})
    for number in range(chain.FAILURES):
        await client.post("/query", json={"prompt": f"Hello {number}"})
    await asyncio.sleep(0.55)
    monkeypatch.setattr(chain, "PAUSE_S", 60.0)
    up.default = SlowFirstByte(5)
    if leaves:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/query", json={"prompt": "Odd"}, timeout=0.3)
        await up.wait_for_disconnect()
    else:
        assert (await client.post("/query", json={"prompt": "Odd"})).status_code == 503
    up.default = Answer("Fine.")
    assert (await client.post("/query", json={"prompt": "Hello again"})).status_code == 200
    up.release()


async def verdicts(client: httpx.AsyncClient) -> dict[tuple[str, str], int]:
    """What `/metrics` says of the classifiers, by name and outcome."""
    text = (await client.get("/metrics")).text
    found = re.findall(r'^gateway_safety_verdicts_total\{classifier="(.+)",outcome="(.+)"\} (\d+)', text, re.MULTILINE)
    return {(name, outcome): int(count) for name, outcome, count in found}


@pytest.mark.parametrize("mode", ["before", "parallel"])
async def test_who_judged(gateway: Start, upstream: Any, mode: str) -> None:
    """Every classifier that was asked or passed over is counted, under what came of it; a remembered verdict is not."""
    gemini, openai = await upstream(), await upstream()
    gemini.verdicts.push(Status(500), CUT_OFF, *[Status(500)] * (chain.FAILURES - 1))
    openai.verdicts.push(Verdict(), Verdict(hate=0.9), Verdict(hate=0.4, flagged=True), Status(500))
    named = ON | {"SAFETY_PROVIDERS": "gemini,openai,local"}
    client = await gateway({"gemini": gemini, "openai": openai}, SAFETY_MODE=mode, **named)
    assert await verdicts(client) == {}
    prompts = ["one", "two", "three", "you are a stupid worthless idiot bitch", "five", "five"]
    statuses = [(await client.post("/query", json={"prompt": prompt})).status_code for prompt in prompts]
    assert statuses == [200, 422, 422, 422, 200, 200]
    expected = {
        ("gemini", "failed"): 4,
        ("gemini", "skipped"): 1,
        ("openai", "safe"): 2,
        ("openai", "unsafe"): 2,
        ("openai", "failed"): 1,
        ("local", "unsafe"): 1,
    }
    assert await verdicts(client) == expected
    client.headers.pop("x-api-key")
    await client.post("/check-toxicity", json={"text": "How do I bake bread?"})
    assert await verdicts(client) == expected | {("local", "safe"): 1}
