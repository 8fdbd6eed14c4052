"""Limits without the store: a replica's share, held exactly, and told to the store afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from fakeredis import FakeAsyncRedis
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from middleware.degrading import REPLAY_S, DegradingLimiter, LocalLog
from middleware.limits import Window
from middleware.rate_limit import LimiterUnavailable, Quota, RateLimitMiddleware, SlidingWindow
from tests.middleware.asgi import Inner, ask
from tests.redis_client import redis_client

WINDOWS = st.lists(st.builds(Window, st.integers(0, 6), st.integers(1, 3)), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.integers(0, 1_500_000), st.integers(0, 3), st.booleans()), min_size=1, max_size=40)


class Switched(SlidingWindow):
    """A store that can be taken away."""

    away = False

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota:
        if self.away:
            raise LimiterUnavailable
        return await super().hit(subject, windows, cost=cost, undo=undo)

    async def replay(self, subject: str, windows: Sequence[Window], ages_us: Sequence[int]) -> None:
        if self.away:
            raise LimiterUnavailable
        await super().replay(subject, windows, ages_us)


@pytest.fixture(params=["redis", "embedded"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    if request.param == "embedded":
        client: Redis = FakeAsyncRedis()
    else:
        client = redis_client(request.getfixturevalue("redis_url"))
    yield client
    await client.aclose()


@given(windows=WINDOWS, steps=STEPS)
def test_local_log_agrees_with_a_plain_list(windows: list[Window], steps: list[tuple[int, int, bool]]) -> None:
    """For any windows and any schedule it decides as a list of all admissions would; undo takes one of them back."""
    log, admitted, now = LocalLog(), list[int](), 10_000_000
    last: int | None = None
    for elapsed, cost, undoes in steps:
        now += elapsed
        undo = last if undoes else None
        used = [sum(stamp > now - w.seconds * 1_000_000 for stamp in admitted) for w in windows]
        fits = all(count + cost <= w.limit for count, w in zip(used, windows, strict=True))
        quota = log.hit(windows, cost=cost, undo=undo, now=now)
        assert quota.allowed == fits
        assert quota.degraded
        if fits:
            admitted += [now] * cost
            last = now if cost else last
            assert [s.remaining for s in quota.states] == [
                w.limit - u - cost for w, u in zip(windows, used, strict=True)
            ]
        else:
            # whoever waits as long as told is let in, unless the cost is above the limit for good
            later = now + round(max(state.wait_s for state in quota.states) * 1e6)
            if all(cost <= w.limit for w in windows):
                assert all(
                    sum(stamp > later - w.seconds * 1_000_000 for stamp in admitted) + cost <= w.limit for w in windows
                )
            if undo is not None and undo in admitted:
                admitted.remove(undo)
        assert len(log) <= max(w.limit for w in windows)
        assert 0 <= log.unsent <= len(log)


@given(windows=WINDOWS, steps=st.lists(st.integers(0, 3), min_size=1, max_size=12))
async def test_local_log_answers_as_the_script(windows: list[Window], steps: list[int]) -> None:
    """The same hits, at once: the same decisions and the same figures as from the script, to the tenth of a second."""
    log, store = LocalLog(), SlidingWindow(FakeAsyncRedis())
    for cost in steps:
        here, there = log.hit(windows, cost=cost, undo=None, now=1_000_000), await store.hit("k", windows, cost=cost)
        assert here.allowed == there.allowed
        for one, other in zip(here.states, there.states, strict=True):
            assert (one.window, one.remaining) == (other.window, other.remaining)
            assert one.wait_s == pytest.approx(other.wait_s, abs=0.5)
            assert one.reset_s == pytest.approx(other.reset_s, abs=0.5)


async def test_share_and_headers(redis: Redis) -> None:
    """While the store is away each replica admits floor(L/R); the answers say so, and say what they hold."""
    store = Switched(redis)
    store.away = True
    limiter = DegradingLimiter(store, replicas=lambda: 3)
    app = RateLimitMiddleware(Inner(), limiter=limiter, windows=[Window(10, 60), Window(2, 3600)])
    replies = [await ask(app) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    for reply in replies:
        assert reply.headers["x-ratelimit-mode"] == "degraded"
        assert reply.headers["ratelimit-policy"] == '"3-per-60s";q=3;w=60, "1-per-3600s";q=1;w=3600'
    assert 3590 < int(replies[1].headers["retry-after"]) <= 3600
    assert (await limiter.hit("none", [Window(0, 60)])).allowed is False
    store.away = False
    assert "x-ratelimit-mode" not in (await ask(app, client=("192.0.2.9", 1))).headers
    await limiter.aclose()


async def test_replayed_with_its_age(redis: Redis) -> None:
    """What was admitted here is merged into the store's log at its own time, once, and no more than a window of it."""
    store = Switched(redis)
    limiter = DegradingLimiter(store)
    windows = [Window(5, 2)]
    assert (await limiter.hit("k", windows)).allowed
    store.away = True
    assert [(await limiter.hit("k", windows)).degraded for _ in range(2)] == [True, True]
    assert not await limiter.replay()
    store.away = False
    # another replica's, younger than ours
    await asyncio.sleep(0.2)
    await store.hit("k", windows)
    # what the store does not have yet is not left out of a decision
    assert (await limiter.hit("k", windows, cost=0)).degraded
    assert await limiter.replay()
    stamps = [int(stamp) for stamp in await redis.lrange("gw:{k}:rate", 0, -1)]
    assert stamps == sorted(stamps, reverse=True)
    assert len(stamps) == 4
    assert 150_000 < stamps[0] - stamps[1] < 1_000_000
    assert stamps[1] - stamps[2] < 100_000
    quota = await limiter.hit("k", windows)
    assert (quota.allowed, quota.degraded, quota.states[0].remaining) == (True, False, 0)
    assert not (await limiter.hit("k", windows)).allowed
    assert 0 < await redis.pttl("gw:{k}:rate") <= 2000
    await store.replay("old", windows, [2_000_000, 5_000_000])
    assert await redis.keys("*old*") == []
    await limiter.aclose()


async def test_replays_by_itself(redis: Redis) -> None:
    """Nobody has to say that the store is back; a store that comes and goes does not renew the share."""
    store = Switched(redis)
    limiter = DegradingLimiter(store)
    windows = [Window(2, 60)]
    store.away = True
    assert [(await limiter.hit("k", windows)).allowed for _ in range(3)] == [True, True, False]
    store.away = False
    async with asyncio.timeout(4 * REPLAY_S):
        while (await limiter.hit("k", windows)).degraded:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)
    assert await redis.llen("gw:{k}:rate") == 2
    store.away = True
    await redis.flushall()
    assert not (await limiter.hit("k", windows)).allowed
    await limiter.aclose()


async def test_cost_and_undo_over_the_edge(redis: Redis) -> None:
    """A batch refused takes its first unit back, in whichever log that is."""
    store = Switched(redis)
    limiter = DegradingLimiter(store)
    windows = [Window(4, 60)]
    store.away = True
    first = await limiter.hit("k", windows)
    assert not (await limiter.hit("k", windows, cost=9, undo=first.stamp)).allowed
    assert (await limiter.hit("k", windows, cost=4)).allowed
    second = await limiter.hit("k2", windows)
    store.away = False
    await limiter.replay()
    assert not (await limiter.hit("k2", windows, cost=9, undo=second.stamp)).allowed
    assert (await limiter.hit("k2", windows, cost=3)).allowed
    await limiter.aclose()


async def test_bounded_memory() -> None:
    """Ten thousand subjects leave as many logs as allowed, each no longer than its share."""
    store = Switched(FakeAsyncRedis())
    store.away = True
    limiter = DegradingLimiter(store, max_subjects=50, replicas=lambda: 2)
    for number in range(10_000):
        await limiter.hit(f"k{number}", [Window(4, 60)])
    for _ in range(100):
        await limiter.hit("k9999", [Window(4, 60)])
    assert len(limiter._logs) == len(limiter._unsent) == 50
    assert len(limiter._logs["k9999"]) == 2
    await limiter.aclose()
    with pytest.raises(ValueError, match="at least one subject"):
        DegradingLimiter(store, max_subjects=0)


async def test_a_poisoned_key_degrades_itself_only(redis_url: str) -> None:
    """A key of another type costs its own subject a moment; then it is a log again."""
    async with redis_client(redis_url) as redis:
        limiter = DegradingLimiter(SlidingWindow(redis))
        await redis.set("gw:{bad}:rate", "poison")
        windows = [Window(3, 60)]
        bad, good = await limiter.hit("bad", windows), await limiter.hit("good", windows)
        assert (bad.allowed, bad.degraded, good.allowed, good.degraded) == (True, True, True, False)
        assert await limiter.replay()
        healed = await limiter.hit("bad", windows)
        assert (healed.degraded, healed.states[0].remaining) == (False, 1)
        await limiter.aclose()


async def test_scripts_flushed_all_the_time(redis_url: str) -> None:
    """SCRIPT FLUSH in a loop: the limit stays exact and nothing degrades."""
    async with redis_client(redis_url) as redis:
        limiter = DegradingLimiter(SlidingWindow(redis))

        over = asyncio.Event()

        async def flush() -> None:
            # Not ended by cancelling it: a client may take the cancellation of one command for that alone.
            while not over.is_set():
                await redis.script_flush()
                await asyncio.sleep(0.001)

        flushing = asyncio.create_task(flush())
        quotas = await asyncio.gather(*(limiter.hit("k", [Window(20, 60)]) for _ in range(80)))
        for _ in range(100):
            quotas.append(await limiter.hit("k", [Window(20, 60)]))
        over.set()
        await flushing
        assert sum(quota.allowed for quota in quotas) == 20
        assert not any(quota.degraded for quota in quotas)
        await limiter.aclose()
