"""Counts of the fleet: nothing counted twice, nothing lost, whatever Redis does meanwhile."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from gateway.redis import connect
from gateway.tally import REMEMBERED_S, Tallies, Tally
from tests.gateway.conftest import Start, events
from tests.redis_client import all_keys_on_one_server
from tests.redis_server import RedisServer
from tests.upstream import Answer, RawStream, SlowFirstByte, Status, Upstream


@asynccontextmanager
async def client_for(url: str | None) -> AsyncIterator[Redis]:
    redis = connect(url, timeout_ms=100)
    try:
        yield redis
    finally:
        await redis.aclose()


def tally_on(redis: Any, name: str = "test") -> Tally:
    return Tallies(redis, prefix="gw").tally(name)


async def test_one_count_for_all(single_redis_url: str) -> None:
    """Each replica reads what all have counted; other names are other counts; nothing is no count."""
    async with client_for(single_redis_url) as redis:
        one, two, other = tally_on(redis), tally_on(redis), tally_on(redis, "other")
        one.add("requests")
        one.add("a:tokens", 40)
        two.add("requests", 2)
        two.add("nothing", 0)
        other.add("requests", 100)
        assert await one.read() == {"requests": 1, "a:tokens": 40}
        assert await two.read() == {"requests": 3, "a:tokens": 40}
        assert await one.read() == {"requests": 3, "a:tokens": 40}
        assert await other.read() == {"requests": 100}
        # The counts stay, a replica's last number does not: it ends sooner or later.
        ages = {str(key, "ascii"): await redis.ttl(key) async for key in redis.scan_iter()}
        assert ages.pop("gw:{fleet}:test") == ages.pop("gw:{fleet}:other") == -1
        assert len(ages) == 3
        assert all(key.startswith("gw:{fleet}:batch:") for key in ages)
        assert all(REMEMBERED_S - 5 <= age <= REMEMBERED_S for age in ages.values())


@pytest.mark.parametrize("where", ["redis", "embedded"])
async def test_many_at_once(redis_url: str, where: str) -> None:
    """Counted, sent and read by many tasks at once, every count is there once."""
    async with client_for(redis_url if where == "redis" else None) as redis:
        tallies = [tally_on(redis) for _ in range(4)]

        async def count(number: int) -> None:
            tally = tallies[number % 4]
            for _ in range(25):
                tally.add("requests")
                await (tally.tallies.sync() if number % 3 else tally.read())

        await asyncio.gather(*map(count, range(20)))
        assert await tallies[0].read() == {"requests": 500}


async def test_an_answer_that_was_not_heard(own_redis: RedisServer) -> None:
    """A batch that arrived, though nobody was told, is sent again and counts once."""
    async with client_for(own_redis.url) as redis:
        tally = tally_on(redis)
        tally.add("requests", 3)
        await tally.tallies.sync()
        own_redis.pause()
        tally.add("requests", 4)
        await tally.tallies.sync()
        tally.add("requests", 5)
        await tally.tallies.sync()
        own_redis.resume()
        async with asyncio.timeout(5):
            # What it was sent while it slept it does when it wakes, before anything that comes later.
            while await redis.hget("gw:{fleet}:test", "requests") != b"7":
                pass
        assert await tally.read() == {"requests": 12}
        assert await tally_on(redis).read() == {"requests": 12}


async def test_redis_away_and_back(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """What is counted while it is away is kept, shown by this process, and sent once when Redis is back."""
    async with client_for(own_redis.url) as redis:
        one, two = tally_on(redis), tally_on(redis)
        own_redis.kill()
        for _ in range(3):
            one.add("requests", 2)
            await one.tallies.sync()
        two.add("requests")
        with caplog.at_level(logging.WARNING):
            assert await one.read() == {"requests": 6}
        assert not one.tallies.up
        assert caplog.messages == []
        own_redis.start()
        one.add("requests")
        await one.tallies.sync()
        assert await two.read() == {"requests": 8}
        assert await one.read() == {"requests": 8}


async def test_one_round_trip(redis_url: str) -> None:
    """Two tallies and a list leave in one command; those who read while another does share the next answer."""
    async with client_for(redis_url) as redis:
        wire = Unsure(redis)
        tallies = Tallies(wire, prefix="gw")  # type: ignore[arg-type]
        one, two, recent = tallies.tally("one"), tallies.tally("two"), tallies.recent("recent")
        await tallies.sync()  # the script is loaded
        for number in range(150):
            one.add("a")
            two.add("b", 2)
            recent.add(number)
        wire.commands = 0
        assert await tallies.flush()
        assert wire.commands == 1
        assert await tallies.flush()
        assert wire.commands == 1
        one.add("a")
        found = await asyncio.gather(*(one.read() for _ in range(50)))
        assert found == [{"a": 151}] * 50
        assert wire.commands == 3  # the first one's, and one for all that came while it was under way
        assert (two.counts(), recent.numbers()) == ({"b": 300}, [*range(50, 150)])
        other = Tallies(redis, prefix="gw")
        later = other.recent("recent")
        later.add(7)
        assert later.numbers() == [7]
        await other.sync()
        assert later.numbers() == [*range(51, 150), 7]


async def test_the_end_during_an_outage(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be sent is lost, and that is said; if there was nothing, so is nothing."""
    async with client_for(own_redis.url) as redis:
        idle, busy = tally_on(redis), tally_on(redis)
        with caplog.at_level(logging.WARNING):
            async with idle.tallies.flushing(), busy.tallies.flushing():
                await idle.read()
                own_redis.kill()
                busy.add("requests")
        assert caplog.messages == ["what this process counted last is lost: Redis does not answer"]


@all_keys_on_one_server
async def test_a_store_that_lost_its_last_writes(redis_url: str) -> None:
    """What was seen does not go down, and agrees again when the fleet has counted as much; empty, it begins anew."""
    async with client_for(redis_url) as redis:
        one, two = tally_on(redis), tally_on(redis)
        one.add("a", 10)
        await one.tallies.flush()
        await redis.hincrby("gw:{fleet}:test", "a", -3)
        two.add("b")
        assert await two.read() == {"a": 7, "b": 1}
        one.add("b", 2)
        assert await one.read() == {"a": 7, "b": 3}  # whose mark it sees for the first time
        await redis.hincrby("gw:{fleet}:test", "a", -3)
        assert await one.read() == await two.read() == {"a": 7, "b": 3}
        two.add("a", 5)
        assert await two.read() == {"a": 12, "b": 3}  # 7 and what it counted itself, which it would have shown at once
        assert await one.read() == {"a": 9, "b": 3}
        one.add("a", 4)
        assert await one.read() == await tally_on(redis).read() == {"a": 13, "b": 3}
        assert await two.read() == {"a": 13, "b": 3}
        await redis.flushall()
        one.add("a")
        assert await one.read() == await two.read() == {"a": 1}


async def test_reset(own_redis: RedisServer) -> None:
    """Everybody begins at zero; while Redis is away nothing is reset, and that is said."""
    async with client_for(own_redis.url) as redis:
        one, two = tally_on(redis), tally_on(redis)
        one.add("requests", 3)
        await two.read()
        await one.reset()
        assert await two.read() == await one.read() == {}
        two.add("requests", 4)
        assert await two.read() == {"requests": 4}
        own_redis.pause()
        one.add("requests", 5)
        with pytest.raises((RedisError, OSError, TimeoutError)):
            await one.reset()
        own_redis.resume()
        async with asyncio.timeout(5):
            while not await two.read():
                pass
        await one.reset()
        one.add("requests", 6)
        assert await one.read() == await two.read() == {"requests": 6}


async def test_flushing(redis_url: str) -> None:
    """What was counted leaves by itself, and all of it at the end, also when the end comes in the middle."""
    async with client_for(redis_url) as redis:
        one, two = tally_on(redis), tally_on(redis)
        async with one.tallies.flushing():
            one.add("requests", 2)
            async with asyncio.timeout(3):
                while await two.read() != {"requests": 2}:
                    pass
            one.add("requests", 3)
        assert await two.read() == {"requests": 5}
        async with one.tallies.flushing():
            one.add("requests", 4)
            flush = asyncio.create_task(one.tallies.sync())
            await asyncio.sleep(0)
            flush.cancel()
            one.add("requests", 5)
        assert await two.read() == {"requests": 14}


FULL = 2**63 - 1


@pytest.mark.parametrize("where", ["redis", "embedded"])
@pytest.mark.parametrize("amount", [1, FULL, 10**21], ids=["one more", "twice", "too long"])
async def test_an_amount_that_overflows(redis_url: str, where: str, amount: int) -> None:
    """The field that is full stays as it is; the others are counted, once, and so is what comes after."""
    async with client_for(redis_url if where == "redis" else None) as redis:
        await redis.flushall()
        one, two = tally_on(redis), tally_on(redis)
        one.add("cost", FULL)
        await one.tallies.sync()
        one.add("before")
        one.add("cost", amount)
        one.add("requests")
        for _ in range(3):
            await one.tallies.sync()
        assert await two.read() == await one.read() == {"cost": FULL, "before": 1, "requests": 1}
        one.add("requests")
        assert await one.read() == {"cost": FULL, "before": 1, "requests": 2}


class Unsure:
    """A Redis whose answers get lost: the wire between, told what to do with the next batches."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.fate: Literal["heard", "unheard", "lost"] = "heard"
        self.commands = 0

    async def execute_command(self, *arguments: Any) -> Any:
        self.commands += 1
        if self.fate == "lost":
            raise RedisTimeout
        answer = await self._redis.execute_command(*arguments)
        if self.fate == "unheard":
            raise RedisTimeout
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["add", "flush", "read", "heard", "unheard", "lost"]),
        st.sampled_from(["a", "b"]),
        st.integers(1, 5),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60)
def test_any_schedule(steps: list[tuple[int, str, str, int]]) -> None:
    """However batches and answers get lost, in the end every replica reads the sum of what was counted."""

    async def run() -> None:
        async with client_for(None) as redis:
            await redis.flushall()
            wires = [Unsure(redis) for _ in range(3)]
            tallies = [tally_on(wire) for wire in wires]
            counted: Counter[str] = Counter()
            for number, what, field, amount in steps:
                match what:
                    case "add":
                        tallies[number].add(field, amount)
                        counted[field] += amount
                    case "flush":
                        await tallies[number].tallies.sync()
                    case "read":
                        await tallies[number].read()
                    case "heard" | "unheard" | "lost":
                        wires[number].fate = what
                    case _:
                        raise AssertionError(what)
            for wire, tally in zip(wires, tallies, strict=True):
                wire.fate = "heard"
                await tally.tallies.sync()
            for tally in tallies:
                assert await tally.read() == counted

    asyncio.run(run())


# Over HTTP

Json = dict[str, Any]
CHAT, MESSAGES, RESPONSES, QUERY = "/v1/chat/completions", "/v1/messages", "/v1/responses", "/query"
SAID = "That is not to be written."


def sse(*data: Json) -> tuple[bytes, ...]:
    return tuple(b"data: %b\n\n" % orjson.dumps(each) for each in data)


def anthropic(begun: str) -> tuple[Json, tuple[bytes, ...]]:
    """Whole and streamed: a refusal, after some text if there is any."""
    ended = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None, "explanation": SAID}}
    message: Json = {"type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": 1000, "output_tokens": 500}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": begun}}
    steps: tuple[Json, ...] = (
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 1000, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *([delta] if begun else []),
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 500}},
        {"type": "message_stop"},
    )
    return {**message, **ended, "usage": usage}, sse(*steps)


def gemini(begun: str) -> tuple[Json, tuple[bytes, ...]]:
    content = {"role": "model", "parts": [{"text": begun}]} if begun else {}
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 500, "totalTokenCount": 1500}
    ended = {"candidates": [{"index": 0, "finishReason": "SAFETY"}], "usageMetadata": usage}
    return ended, sse(*([{"candidates": [{"index": 0, "content": content}]}] if begun else []), ended)


def openai(begun: str) -> tuple[Json, tuple[bytes, ...]]:
    assert not begun, "there it is an answer that was cut"
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    choice = {"index": 0, "finish_reason": "content_filter"}
    whole = {"choices": [{**choice, "message": {"role": "assistant", "content": ""}}], "usage": usage}
    return whole, sse({"choices": [{**choice, "delta": {}}], "usage": usage})


MODELS = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash", "openai": "gpt-4o-mini"}
WITHHELD = {"anthropic": anthropic, "gemini": gemini, "openai": openai}
SENTENCES = {
    "anthropic": SAID,
    "gemini": "the provider withheld its answer (SAFETY)",
    "openai": "the provider's content filter refused it",
}


def asked(path: str, model: str, said: str = "Hello") -> Json:
    match path:
        case "/v1/chat/completions":
            return {"model": model, "messages": [{"role": "user", "content": said}]}
        case "/v1/messages":
            return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
        case "/v1/responses":
            return {"model": model, "input": said}
        case _:
            return {"model": model, "prompt": said}


async def bill(client: httpx.AsyncClient, wire: str) -> tuple[float, float, float]:
    """Tokens in and out and USD, as `/metrics` and `/router/stats` agree on them."""
    samples = dict(line.rsplit(" ", 1) for line in (await client.get("/metrics")).text.splitlines())
    labels = f'model="{MODELS[wire]}",provider="{wire}"'
    tokens_in, tokens_out = (
        float(samples[f'gateway_tokens_total{{direction="{way}",{labels}}}']) for way in ("input", "output")
    )
    cost_usd = float(samples[f"gateway_cost_usd_total{{{labels}}}"])
    stats = (await client.get("/router/stats")).json()["services"][wire]
    assert (stats["input_tokens"], stats["output_tokens"]) == (tokens_in, tokens_out)
    assert stats["cost_usd"] == pytest.approx(cost_usd)
    return tokens_in, tokens_out, cost_usd


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, QUERY])
@pytest.mark.parametrize(
    ("wire", "stream", "begun"),
    [
        *((wire, stream, "") for wire in WITHHELD for stream in (False, True)),
        ("anthropic", True, "Sure"),
        ("gemini", True, "Sure"),
    ],
)
async def test_a_withheld_answer_is_paid_for(
    gateway: Start, upstream: Any, wire: str, stream: bool, begun: str, path: str
) -> None:
    """Once, whole and streamed; on `/v1/messages` it is an answer that says why, also when the request was masked."""
    up: Upstream = await upstream()
    client = await gateway({wire: up}, PII_ACTION="mask", **{f"{wire.upper()}_MODEL": MODELS[wire]})
    up.default = Answer(input_tokens=1000, output_tokens=500)
    assert (await client.post(path, json=asked(path, MODELS[wire]))).status_code == 200
    once = await bill(client, wire)
    assert once[:2] == (1000, 500)
    assert once[2] > 0
    whole, frames = WITHHELD[wire](begun)
    up.default = RawStream(frames) if stream else Status(200, whole)
    for times, said in ((2, "Hello"), (3, "I am ada@example.org")):
        reply = await client.post(path, json={**asked(path, MODELS[wire], said), "stream": stream})
        assert await bill(client, wire) == pytest.approx([times * amount for amount in once])
        assert len(up.requests) == times
        check_withheld(path, reply, SENTENCES[wire], begun)
        if path == MESSAGES and not stream:
            assert float(reply.headers["x-gateway-cost-usd"]) == pytest.approx(once[2])


def check_withheld(path: str, reply: httpx.Response, sentence: str, begun: str) -> None:
    """An answer on `/v1/messages`, else an error, after what had been sent."""
    if path != MESSAGES:
        if begun:
            assert reply.status_code == 200
            assert begun in reply.text
            assert "content_policy_violation" in reply.text
        elif path == QUERY:
            assert (reply.status_code, reply.json()) == (422, {"detail": f"content_policy_violation: {sentence}"})
        else:
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (400, "content_policy_violation")
            assert error["message"] == sentence
        return
    assert reply.status_code == 200
    if reply.headers["content-type"] == "application/json":
        ended, usage = reply.json(), reply.json()["usage"]
        assert ended["content"] == []
    else:
        *before, (_, delta), (last, _) = events(reply.text)
        ended, usage = delta["delta"], delta["usage"]
        assert last == "message_stop"
        assert "".join(data["delta"]["text"] for name, data in before if name == "content_block_delta") == begun
    details = {"type": "refusal", "category": None, "explanation": sentence}
    assert (ended["stop_reason"], ended["stop_details"]) == ("refusal", details)
    assert (usage["input_tokens"], usage["output_tokens"]) == (1000, 500)


async def test_latencies_are_learnt_under_the_name_that_was_asked(
    gateway: Start, upstream: Any, tmp_path: Path
) -> None:
    """Though providers answer under a dated one; and of a stream, the time to its first token is what counts."""
    late, long = await upstream(), await upstream()
    late.default = SlowFirstByte(0.3, Answer("Yes.", model="m-2026-01-01"))
    long.default = Answer("One two three four five six seven.", model="m-2026-01-01", pause_s=0.08)
    services = [
        {"name": name, "backend_type": "custom", "base_url": f"{up.url}/v1", "api_key": "k", "models": ["m"]}
        for name, up in (("late", late), ("long", long))
    ]
    config = tmp_path / "gateway.yaml"
    config.write_bytes(orjson.dumps({"services": services, "router": {"strategy": "least-latency"}}))
    admin = {"X-API-Key": "admin-key-of-the-tests-0123456789"}
    client = await gateway({}, GATEWAY_CONFIG=str(config), ADMIN_API_KEY=admin["X-API-Key"])
    body = {**asked(CHAT, "m"), "stream": True}
    providers = [(await client.post(CHAT, json=body)).headers["x-gateway-provider"] for _ in range(4)]
    assert providers == ["late", "long", "long", "long"]
    explained = (await client.post(CHAT, json=body, headers={**admin, "X-Gateway-Explain": "1"})).json()
    told = {candidate["service"]: candidate["reasons"][-1].split() for candidate in explained["candidates"]}
    assert [word for word, *_ in told.values()] == ["latency", "latency"]
    assert int(told["long"][1]) < 200 < int(told["late"][1])
