"""The exact sliding window: the same script on a real Redis and on the embedded store."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from fakeredis import FakeAsyncRedis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.body import BodyMiddleware
from middleware.limits import Window, parse_windows
from middleware.rate_limit import (
    LimiterUnavailable,
    Quota,
    RateLimitMiddleware,
    SlidingWindow,
    address_subject,
)
from middleware.scope import PRINCIPAL, Principal
from tests.middleware.asgi import Inner, ask
from tests.redis_client import all_keys_on_one_server, redis_client


@pytest.fixture(params=["redis", "embedded"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    if request.param == "embedded":
        client: Redis = FakeAsyncRedis()
    else:
        client = redis_client(request.getfixturevalue("redis_url"))
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("10/minute", (Window(10, 60),)),
        ("40/4s", (Window(40, 4),)),
        ("5/second; 1000/day", (Window(5, 1), Window(1000, 86400))),
        (" 7 / 2 h ;1/90m", (Window(7, 7200), Window(1, 5400))),
        ("3/1d", (Window(3, 86400),)),
    ],
)
def test_parse_windows(text: str, windows: tuple[Window, ...]) -> None:
    """Both spellings, several windows, spaces anywhere between."""
    assert parse_windows(text) == windows


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "/minute", "10/fortnight", "-1/minute", "1.5/s", "10/0s", "10/minute;"]
)
def test_parse_windows_refuses(text: str) -> None:
    """What is not a window is an error that does not quote it."""
    with pytest.raises(ValueError, match=r"expected N/|a window needs"):
        parse_windows(text)


async def test_admits_the_limit_and_no_more(redis: Redis) -> None:
    """Five of six, with what remains and what to wait for told each time."""
    limiter = SlidingWindow(redis)
    quotas = [await limiter.hit("k", [Window(5, 60)]) for _ in range(6)]
    assert [quota.allowed for quota in quotas] == [True] * 5 + [False]
    assert [quota.states[0].remaining for quota in quotas] == [4, 3, 2, 1, 0, 0]
    assert [quota.states[0].wait_s > 0 for quota in quotas] == [False] * 5 + [True]
    assert 55 < quotas[5].retry_after_s <= 60
    assert all(55 < quota.states[0].reset_s <= 60 for quota in quotas)


async def test_a_hundred_at_once(redis: Redis) -> None:
    """A hundred simultaneous hits on a limit of five admit five."""
    limiter = SlidingWindow(redis)
    quotas = await asyncio.gather(*(limiter.hit("k", [Window(5, 60)]) for _ in range(100)))
    assert sum(quota.allowed for quota in quotas) == 5


async def test_refusals_leave_no_trace(redis: Redis) -> None:
    """A refused request neither takes room nor writes a byte."""
    limiter = SlidingWindow(redis)
    await limiter.hit("k", [Window(1, 60)])
    before = await redis.lrange("gw:{k}:rate", 0, -1)
    for _ in range(20):
        assert not (await limiter.hit("k", [Window(1, 60)])).allowed
    assert await redis.lrange("gw:{k}:rate", 0, -1) == before


async def test_several_windows_are_all_or_nothing(redis: Redis) -> None:
    """When the second window refuses, the first has lost nothing."""
    limiter = SlidingWindow(redis)
    windows = [Window(10, 60), Window(2, 3600)]
    quotas = [await limiter.hit("k", windows) for _ in range(4)]
    assert [quota.allowed for quota in quotas] == [True, True, False, False]
    assert [[state.remaining for state in quota.states] for quota in quotas] == [[9, 1], [8, 0], [8, 0], [8, 0]]
    assert await redis.llen("gw:{k}:rate") == 2


async def test_cost_and_undo(redis: Redis) -> None:
    """A batch is admitted whole or not at all, and a refused one gives back the unit it came in with."""
    limiter = SlidingWindow(redis)
    first = await limiter.hit("k", [Window(10, 60)])
    rest = await limiter.hit("k", [Window(10, 60)], cost=4, undo=first.stamp)
    assert (rest.allowed, rest.states[0].remaining) == (True, 5)
    second = await limiter.hit("k", [Window(10, 60)])
    refused = await limiter.hit("k", [Window(10, 60)], cost=19, undo=second.stamp)
    assert not refused.allowed
    assert await redis.llen("gw:{k}:rate") == 5
    assert (await limiter.hit("k", [Window(10, 60)], cost=5)).allowed


@pytest.mark.parametrize("limit", [0, 1])
async def test_smallest_limits(redis: Redis, limit: int) -> None:
    """A limit of 0 admits nobody, a limit of 1 one."""
    limiter = SlidingWindow(redis)
    admitted = [(await limiter.hit("k", [Window(limit, 1)])).allowed for _ in range(3)]
    assert admitted == [limit == 1, False, False]


@all_keys_on_one_server
async def test_keys_expire_with_the_longest_window(redis: Redis) -> None:
    """Every key has a time to live, and only the documented key is written."""
    limiter = SlidingWindow(redis, prefix="p")
    await limiter.hit("k", [Window(1, 5), Window(9, 30)])
    assert await redis.keys() == [b"p:{k}:rate"]
    assert 29_000 < await redis.pttl("p:{k}:rate") <= 30_000


async def test_obeying_retry_after_succeeds(redis: Redis) -> None:
    """Whoever waits as long as told is let in."""
    limiter = SlidingWindow(redis)
    assert (await limiter.hit("k", [Window(1, 1)])).allowed
    refused = await limiter.hit("k", [Window(1, 1)])
    assert refused.retry_after_s == 1
    await asyncio.sleep(refused.retry_after_s)
    assert (await limiter.hit("k", [Window(1, 1)])).allowed


async def test_clock_set_back(redis: Redis) -> None:
    """Stamps from the future lock nobody out for longer than a window, and the limit still holds."""
    limiter = SlidingWindow(redis)
    future = int((time.time() + 3600) * 1e6)
    await redis.rpush("gw:{k}:rate", future, future - 500_000)
    quota = await limiter.hit("k", [Window(3, 2)])
    assert (quota.allowed, quota.states[0].remaining) == (True, 0)
    refused = await limiter.hit("k", [Window(3, 2)])
    assert not refused.allowed
    assert refused.retry_after_s <= 2
    assert 0 < await redis.pttl("gw:{k}:rate") <= 2000
    await asyncio.sleep(refused.retry_after_s)
    assert (await limiter.hit("k", [Window(3, 2)])).allowed


class Model:
    """The limiter as a plain list: what the script must agree with, given the times it stored."""

    def __init__(self) -> None:
        self.admitted: list[int] = []

    def allows(self, now: int, windows: Sequence[Window], cost: int) -> bool:
        return all(
            sum(stamp > now - window.seconds * 1_000_000 for stamp in self.admitted) + cost <= window.limit
            for window in windows
        )


STEP = st.tuples(st.integers(0, 3_000_000), st.integers(1, 3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    windows=st.lists(st.builds(Window, st.integers(0, 6), st.integers(1, 3)), min_size=1, max_size=3),
    steps=st.lists(STEP, min_size=1, max_size=25),
)
async def test_agrees_with_a_plain_list(redis_url: str, windows: list[Window], steps: list[tuple[int, int]]) -> None:
    """For any windows and any schedule of hits the script decides as a list of all admissions would."""
    redis = redis_client(redis_url)
    await redis.delete("gw:{k}:rate")
    limiter, model = SlidingWindow(redis), Model()
    for elapsed, cost in steps:
        # Time passes by moving what is stored into the past, not by waiting.
        stored = [int(stamp) - elapsed for stamp in await redis.lrange("gw:{k}:rate", 0, -1)]
        if stored:
            await redis.delete("gw:{k}:rate")
            await redis.rpush("gw:{k}:rate", *stored)
        model.admitted = [stamp - elapsed for stamp in model.admitted]
        quota = await limiter.hit("k", windows, cost=cost)
        now = int(quota.stamp)
        edges = [stamp + window.seconds * 1_000_000 - now for stamp in model.admitted for window in windows]
        assert quota.allowed == model.allows(now, windows, cost), (now, edges)
        if quota.allowed:
            model.admitted += [now] * cost
            used = [sum(s > now - w.seconds * 1_000_000 for s in model.admitted) for w in windows]
            assert [state.remaining for state in quota.states] == [
                w.limit - u for w, u in zip(windows, used, strict=True)
            ]
    await redis.aclose()


async def test_one_command_a_decision(single_redis_url: str) -> None:
    """One EVALSHA when the script is known, one more round trip after SCRIPT FLUSH, never a lost decision."""
    redis = Redis.from_url(single_redis_url)
    limiter = SlidingWindow(redis)
    await limiter.hit("k", [Window(9, 60)])
    await redis.config_resetstat()
    await limiter.hit("k", [Window(9, 60)])
    stats = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_eval" not in stats
    await redis.script_flush()
    assert (await limiter.hit("k", [Window(9, 60)])).states[0].remaining == 6
    await redis.aclose()


async def test_unreachable_store_is_its_own_error() -> None:
    """A store that does not answer is not a limit."""
    limiter = SlidingWindow(Redis.from_url("redis://127.0.0.1:1/0", retry=None))
    with pytest.raises(LimiterUnavailable):
        await limiter.hit("k", [Window(1, 1)])


def identified(app: ASGIApp, key_id: str) -> ASGIApp:
    """Stands where AuthMiddleware would."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        PRINCIPAL.put(scope, Principal(key_id))
        await app(scope, receive, send)

    return call


async def test_layer_headers_and_refusal(redis: Redis) -> None:
    """Every answer says what is left; the refusal says when to come back, and the endpoint is not called."""
    inner = Inner()
    app = identified(
        RateLimitMiddleware(inner, limiter=SlidingWindow(redis), windows=parse_windows("2/minute;100/day")), "a"
    )
    replies = [await ask(app) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert inner.calls == 2
    assert replies[0].body == b"inner"
    assert {name: replies[0].headers[name] for name in replies[0].headers if "ratelimit" in name} == {
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": "60",
        "ratelimit-policy": '"2-per-60s";q=2;w=60, "100-per-86400s";q=100;w=86400',
        "ratelimit": '"2-per-60s";r=1;t=60, "100-per-86400s";r=99;t=86400',
    }
    assert "retry-after" not in replies[0].headers
    refused = replies[2]
    assert refused.json() == {"detail": "too many requests"}
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["retry-after"] == refused.headers["x-ratelimit-reset"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_layer_counts_keys_apart_and_addresses_by_network(redis: Redis) -> None:
    """One key's spending is not another's; without a key an IPv6 /64 is one caller; routes have their own buckets."""
    limiter = SlidingWindow(redis)
    layer = RateLimitMiddleware(
        Inner(), limiter=limiter, windows=[Window(9, 60)], anonymous=[Window(1, 60)], bucket="a"
    )
    other = RateLimitMiddleware(
        Inner(), limiter=limiter, windows=[Window(9, 60)], anonymous=[Window(1, 60)], bucket="b"
    )
    assert [(await ask(identified(layer, key))).status for key in ("a", "a", "b")] == [200, 200, 200]
    assert (await ask(layer, client=("2001:db8::1", 1))).status == 200
    assert (await ask(layer, client=("2001:db8::ffff:1", 2))).status == 429
    assert (await ask(layer, client=("2001:db8:0:1::1", 2))).status == 200
    assert (await ask(other, client=("2001:db8::1", 1))).status == 200


async def test_layer_charges_a_batch(redis: Redis) -> None:
    """Mounted again inside the body layer it charges the rest, or refuses the whole and takes the first unit back."""
    limiter = SlidingWindow(redis)
    inner = Inner()

    class Batch:
        texts: Sequence[str] = ()
        unread: Sequence[str] = ()
        units = 4

        def with_texts(self, texts: Sequence[str]) -> "Batch":
            return self

        def to_bytes(self) -> bytes:
            return b"[]"

    charged = RateLimitMiddleware(inner, limiter=limiter, windows=[Window(6, 60)])
    app = RateLimitMiddleware(
        BodyMiddleware(charged, parse=lambda value: Batch()), limiter=limiter, windows=[Window(6, 60)]
    )
    first, second = await ask(app, body=b"[]"), await ask(app, body=b"[]")
    assert (first.status, first.headers["x-ratelimit-remaining"]) == (200, "2")
    assert second.status == 429
    assert inner.calls == 1
    subject = address_subject("192.0.2.1", "any")
    assert await redis.llen(f"gw:{{{subject}}}:rate") == 4


async def test_layer_without_a_store(redis: Redis) -> None:
    """A store that does not answer is 503 with a time to come back, never a pass and never a 500."""

    class Broken:
        async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota:
            raise LimiterUnavailable

    inner = Inner()
    reply = await ask(RateLimitMiddleware(inner, limiter=Broken(), windows=[Window(1, 1)]))
    assert (reply.status, reply.json()) == (503, {"detail": "the rate limiter's store does not answer"})
    assert reply.headers["retry-after"] == "1"
    assert "x-ratelimit-limit" not in reply.headers
    assert inner.calls == 0


@pytest.mark.parametrize("windows", [[], ()])
def test_layer_refuses_no_windows(windows: Sequence[Window]) -> None:
    """A limiter without a limit is a mistake."""
    with pytest.raises(ValueError, match="at least one window"):
        RateLimitMiddleware(Inner(), limiter=SlidingWindow(FakeAsyncRedis()), windows=windows)
