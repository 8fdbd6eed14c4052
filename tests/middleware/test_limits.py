"""Requests, tokens, requests at once and money in one decision: exact, all or nothing, and nothing held for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, cast

import pytest
from fakeredis import FakeAsyncRedis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeout
from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.accounts import NOTHING, Accounts, Reservation, Used
from middleware.body import BodyMiddleware
from middleware.claim import Claim, Estimate, claim_of
from middleware.degrading import DegradingLimiter
from middleware.degrading_accounts import DegradingAccounts
from middleware.limits import Limits, Window
from middleware.quota import LimiterUnavailable, Quota
from middleware.rate_limit import RateLimitMiddleware, SlidingWindow
from middleware.record import RECORD, RecordMiddleware, Served
from middleware.scope import PRINCIPAL, PROMPT, Principal
from tests.middleware.asgi import Inner, ask
from tests.redis_client import all_keys_on_one_server, redis_client

WINDOWS = (Window(100, 60),)
NANO = 1_000_000_000


@pytest.fixture(params=["redis", "embedded"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Typed as anything: redis-py declares every command to return two things."""
    if request.param == "embedded":
        client: Any = FakeAsyncRedis()
    else:
        client = redis_client(request.getfixturevalue("redis_url"))
    yield client
    await client.aclose()


@asynccontextmanager
async def accounts_on(redis: Any, *, lease_s: float = 10.0) -> AsyncIterator[Accounts]:
    accounts = Accounts(redis, lease_s=lease_s, name=lambda served: f"{served.provider}/{served.model}")
    try:
        yield accounts
    finally:
        await accounts.aclose()


def claim(limits: Limits, shared: Limits = Limits(), *, id: str = "a", tenant: str = "default") -> Claim:  # noqa: B008
    return claim_of(Principal(id, tenant, limits=limits, tenant_limits=shared), WINDOWS)


def used(tokens: int, nano: int = 0) -> Used:
    return Used([Served("s", "m", tokens, 0, Decimal(nano) / NANO)])


async def reserve(
    accounts: Accounts, holder: Claim, tokens: int = 0, nano: int = 0, *, cost: int = 1
) -> tuple[Quota, Reservation]:
    reservation = Reservation.of(holder, Estimate(tokens, nano))
    return await accounts.reserve(holder, cost=cost, reservation=reservation), reservation


async def stored(redis: Any, *, but: str = "batch") -> dict[str, Any]:
    """All that Redis holds, by key."""
    found: dict[str, Any] = {}
    for name in await redis.keys():
        text = name.decode()
        kind = (await redis.type(name)).decode()
        if but in text:
            continue
        match kind:
            case "zset":
                found[text] = dict(await redis.zrange(name, 0, -1, withscores=True))
            case "hash":
                found[text] = await redis.hgetall(name)
            case "list":
                found[text] = await redis.lrange(name, 0, -1)
            case "set":
                found[text] = await redis.smembers(name)
            case _:
                raise AssertionError(kind)
    return found


FULL = Limits((Window(3, 60),), tokens_per_minute=100, concurrency=3, budget_day_usd=Decimal("0.001"))
REFUSED_BY: dict[str, tuple[Limits, Limits, int, int, int]] = {
    # what refuses: limits of the key, of the tenant, then tokens, nano-USD and units asked for
    "window": (replace(FULL, windows=(Window(3, 60),)), Limits(), 10, 10, 4),
    "tokens": (FULL, Limits(), 101, 10, 1),
    "budget": (FULL, Limits(), 10, 1_000_001, 1),
    "slots": (replace(FULL, concurrency=0), Limits(), 10, 10, 1),
    "tenant's window": (FULL, Limits((Window(0, 60),)), 10, 10, 1),
    "tenant's tokens": (FULL, Limits(tokens_per_minute=9), 10, 10, 1),
    "tenant's month": (FULL, Limits(budget_month_usd=Decimal(0)), 10, 10, 1),
}


@pytest.mark.parametrize("what", list(REFUSED_BY))
async def test_all_or_nothing(redis: Any, what: str) -> None:
    """L9: whichever limit refuses, and whoever's it is, the refused request takes nothing of the others."""
    own, shared, tokens, nano, units = REFUSED_BY[what]
    holder = claim(own, shared, tenant="acme")
    async with accounts_on(redis) as accounts:
        # Something is there to be spoilt.
        quota, _ = await reserve(accounts, claim(FULL, tenant="acme"), 5, 5)
        assert quota.allowed
        before = await stored(redis)
        for _ in range(3):
            refused, _ = await reserve(accounts, holder, tokens, nano, cost=units)
            assert not refused.allowed
        assert await stored(redis) == before
        assert (refused.spent is not None) == (what in ("budget", "tenant's month"))


async def test_reserved_then_settled(redis: Any) -> None:
    """What is held counts until it is settled, then what was used counts, at the time of admission; once."""
    holder = claim(FULL)
    async with accounts_on(redis) as accounts:
        quota, reservation = await reserve(accounts, holder, 60, 600_000)
        assert [figure.remaining for figure in quota.figures] == [40, 2, 400]
        refused, _ = await reserve(accounts, holder, 60, 1)
        assert (refused.allowed, refused.retry_after_s) == (False, 60)
        held, _ = await reserve(accounts, holder, 1, 600_000)
        # The budget would do but for what is held: that is worth a wait.
        assert (held.allowed, held.spent, held.retry_after_s) == (False, None, 1)
        accounts.settle(holder, reservation, used(10, 300_000), stamp=quota.stamp)
        await accounts.flush()
        after, other = await reserve(accounts, holder, 60, 700_000)
        assert [figure.remaining for figure in after.figures] == [30, 2, 0]
        [(_, score)] = [
            item for item in await redis.zrange("gw:{key-a}:tokens", 0, -1, withscores=True) if b"10:" in item[0]
        ]
        assert score == int(quota.stamp)
        accounts.settle(holder, other, NOTHING)
        await accounts.flush()
        nothing = await accounts.reserve(holder)
        assert [figure.remaining for figure in nothing.figures] == [90, 3, 700]
        day = datetime.fromtimestamp(int(quota.stamp) / 1e6, UTC).strftime("%Y%m%d")
        assert await redis.hgetall(f"gw:{{key-a}}:usage:a:{day}") == {
            b"s/m|requests": b"1", b"s/m|input_tokens": b"10", b"s/m|cost_nano_usd": b"300000",
        }  # fmt: skip


async def test_a_replica_that_is_no_more(redis: Any) -> None:
    """L10, L11: what a killed replica held is free when its leases end, what is under way elsewhere is not."""
    holder = claim(replace(FULL, windows=WINDOWS, concurrency=2))
    async with accounts_on(redis, lease_s=0.6) as alive:
        killed = Accounts(redis, lease_s=0.6)
        _, running = await reserve(alive, holder, 10, 10)
        quota, orphan = await reserve(killed, holder, 50, 500_000)
        assert quota.allowed
        killed._running.clear()
        began = time.monotonic()
        refused, _ = await reserve(alive, holder, 1, 1)
        assert (refused.allowed, refused.figures[1].remaining) == (False, 0)
        async with asyncio.timeout(5):
            while not (quota := await alive.reserve(holder)).figures[1].remaining:  # noqa: ASYNC110 - asking tells
                await asyncio.sleep(0.02)
        assert 0.3 < time.monotonic() - began < 3
        assert [figure.remaining for figure in quota.figures] == [90, 1, 999]
        # It was only slow: what it did is counted late, and nothing is given back twice.
        killed.settle(holder, orphan, used(20, 100_000))
        await killed.aclose()
        assert [figure.remaining for figure in (await alive.reserve(holder)).figures] == [70, 1, 899]
        await asyncio.sleep(0.8)
        assert (await alive.reserve(holder)).figures[1].remaining == 1
        alive.settle(holder, running, NOTHING)


async def test_a_hundred_at_once(redis_url: str) -> None:
    """A hundred requests at two replicas, five at once: never more than five under way, and all are answered."""
    holder = claim(Limits((Window(10_000, 60),), concurrency=5))
    async with redis_client(redis_url) as redis, accounts_on(redis) as one, accounts_on(redis) as two:
        under_way, most, admitted = 0, 0, 0

        async def request(accounts: Accounts) -> None:
            nonlocal under_way, most, admitted
            while True:
                quota, reservation = await reserve(accounts, holder)
                if quota.allowed:
                    break
                await asyncio.sleep(0.01)
            under_way += 1
            most = max(most, under_way)
            admitted += 1
            await asyncio.sleep(0.001)
            under_way -= 1
            accounts.settle(holder, reservation, NOTHING)

        async with asyncio.timeout(20):
            await asyncio.gather(*(request((one, two)[number % 2]) for number in range(100)))
        assert (most, admitted) == (5, 100)
        assert await one.flush()
        assert await two.flush()
        assert await redis.zrange("gw:{key-a}:leases", 0, -1) == []


# The model


class Unsure:
    """A Redis whose answers get lost: the wire between, told what to do with the next commands."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.fate: Literal["heard", "unheard", "lost"] = "heard"

    async def execute_command(self, *arguments: Any) -> Any:
        if self.fate == "lost":
            raise RedisTimeout
        answer = await self._redis.execute_command(*arguments)
        if self.fate == "unheard":
            raise RedisTimeout
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)


@dataclass
class Held:
    reservation: Reservation
    replica: int
    ends: int
    nano: int
    admitted: int
    released: bool = False
    crashed: bool = False


@dataclass
class Model:
    """One subject, as lists."""

    limits: Limits
    requests: list[int] = field(default_factory=list)
    tokens: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    spent_day: int = 0
    spent_month: int = 0

    def sweep(self, now: int) -> None:
        for id, held in self.held.items():
            if not held.released and held.ends <= now:
                held.released = True
                self.tokens.pop(id, None)
        self.tokens = {id: entry for id, entry in self.tokens.items() if entry[0] > now - 60_000_000}

    def figures(self, now: int) -> list[int]:
        """What is left of each limit that there is."""
        self.sweep(now)
        limits, reserved = self.limits, [held for held in self.held.values() if not held.released]
        money = sum(held.nano for held in reserved)
        left = [
            w.limit - sum(stamp > now - w.seconds * 1_000_000 for stamp in self.requests) for w in limits.windows or ()
        ]
        if limits.tokens_per_minute is not None:
            left.append(limits.tokens_per_minute - sum(amount for _, amount in self.tokens.values()))
        if limits.concurrency is not None:
            left.append(limits.concurrency - len(reserved))
        for budget, spent in ((limits.budget_day_usd, self.spent_day), (limits.budget_month_usd, self.spent_month)):
            if budget is not None:
                left.append(int(budget * NANO) - spent - money)
        return left

    def fits(self, now: int, tokens: int, nano: int) -> bool:
        limits = self.limits
        asks = [1] * len(limits.windows or ())
        asks += [tokens] * (limits.tokens_per_minute is not None) + [1] * (limits.concurrency is not None)
        asks += [nano] * ((limits.budget_day_usd is not None) + (limits.budget_month_usd is not None))
        spent = [(limits.budget_day_usd, self.spent_day), (limits.budget_month_usd, self.spent_month)]
        return all(left >= wanted for left, wanted in zip(self.figures(now), asks, strict=True)) and not any(
            budget is not None and amount >= int(budget * NANO) for budget, amount in spent
        )


LOOSE = Limits((Window(20, 60), Window(9, 7)), 200, 4, Decimal("0.0000006"), Decimal("0.000002"))
SOME_LIMITS = st.one_of(
    st.just(LOOSE),
    st.builds(
        Limits,
        windows=st.sampled_from([(Window(a, 60), Window(b, 7)) for a, b in ((20, 9), (6, 4), (3, 0))]),
        tokens_per_minute=st.sampled_from([100, None, 40, 0]),
        concurrency=st.sampled_from([4, 2, 1]),
        budget_day_usd=st.sampled_from([Decimal("0.0000004"), None, Decimal("0.0000001")]),
        budget_month_usd=st.sampled_from([Decimal("0.0000005"), None, Decimal(0)]),
    ),
)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example takes a quarter of a second: thousands of them would take longer than to read the first."""
FATES = st.sampled_from(["heard", "unheard", "lost"])
ASK = st.tuples(st.just("ask"), st.integers(0, 1), st.integers(0, 60), st.sampled_from([0, 90, 150, 260]))
SETTLE = st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 60), st.integers(0, 150), FATES)
STEPS = st.lists(
    st.one_of(
        ASK,
        SETTLE,
        ASK,
        SETTLE,
        ASK,
        st.tuples(st.just("pass"), st.sampled_from([713, 4137, 11391, 23877, 61753])),
        st.tuples(st.just("crash"), st.integers(0, 5)),
        st.tuples(st.just("limits"), SOME_LIMITS, SOME_LIMITS),
        st.sampled_from([("day",), ("flush all",)]),
    ),
    min_size=20,
    max_size=50,
)


@settings(
    max_examples=60, deadline=None, phases=NO_SHRINKING, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(own=SOME_LIMITS, steps=STEPS)
async def test_agrees_with_a_model(redis_url: str, own: Limits, steps: list[tuple[Any, ...]]) -> None:
    """L15: whatever is asked, settled, lost, crashed, changed, flushed: every decision and figure is the model's."""
    async with redis_client(redis_url) as client:
        redis: Any = client
        await redis.flushdb()
        wires = [Unsure(redis), Unsure(redis)]
        replicas = [Accounts(cast(Any, wire)) for wire in wires]
        models = [Model(own), Model(LOOSE)]
        names = ["gw:{t-acme}:key-a", "gw:{t-acme}:tenant"]

        async def travel(ms: int) -> None:
            """Time passes by moving what is stored into the past."""
            us = ms * 1000
            for name, model in zip(names, models, strict=True):
                stamps = [int(stamp) - us for stamp in await redis.lrange(f"{name}:rate", 0, -1)]
                if stamps:
                    await redis.delete(f"{name}:rate")
                    await redis.rpush(f"{name}:rate", *stamps)
                for kind in ("tokens", "leases"):
                    for member, score in await redis.zrange(f"{name}:{kind}", 0, -1, withscores=True):
                        if score > 0:
                            await redis.zadd(f"{name}:{kind}", {member: score - us})
                model.requests = [stamp - us for stamp in model.requests]
                model.tokens = {id: (at - us, amount) for id, (at, amount) in model.tokens.items()}
                for held in model.held.values():
                    held.ends -= us
                    held.admitted -= us
                    held.reservation = replace(held.reservation, admitted=held.reservation.admitted - ms / 1000)

        async def tell(replica: int) -> None:
            """Let Redis hear it, and if only at the second time."""
            await replicas[replica].flush()
            wires[replica].fate = "heard"
            assert await replicas[replica].flush()

        for step in steps:
            match step:
                case "ask", replica, tokens, nano:
                    holder = claim(models[0].limits, models[1].limits, tenant="acme")
                    quota, reservation = await reserve(replicas[replica], holder, tokens, nano)
                    now = int(quota.stamp)
                    assert quota.allowed == all(model.fits(now, tokens, nano) for model in models)
                    if quota.allowed:
                        for model in models:
                            model.requests.append(now)
                            if tokens:
                                model.tokens[reservation.id] = now, tokens
                            model.held[reservation.id] = Held(reservation, replica, now + 10_000_000, nano, now)
                    for model, owner in zip(models, ("", "tenant-"), strict=True):
                        told = [state.remaining for state in quota.states if state.owner == owner]
                        own_figures = [f for f in quota.figures if f.name.startswith("tenant-") == bool(owner)]
                        told += [figure.remaining for figure in own_figures]
                        budgets = (model.limits.budget_day_usd, model.limits.budget_month_usd)
                        in_nano = sum(budget is not None for budget in budgets)
                        left = [max(0, amount) for amount in model.figures(now)]
                        place = len(left) - in_nano
                        assert told == left[:place] + [amount // 1000 for amount in left[place:]]
                case "settle", index, tokens, nano, fate:
                    open_ones = [held for held in models[0].held.values() if not held.crashed]
                    if not open_ones:
                        continue
                    held = open_ones[index % len(open_ones)]
                    id = held.reservation.id
                    accounts = replicas[held.replica]
                    holder = held.reservation.claim
                    wires[held.replica].fate = fate
                    accounts.settle(holder, held.reservation, used(tokens, nano))
                    await tell(held.replica)
                    for name, model in zip(names, models, strict=True):
                        score = await redis.zscore(f"{name}:tokens", f"{tokens}:{id}") if tokens else None
                        entry = model.tokens.pop(id, None)
                        mine = model.held.pop(id)
                        seconds, micros = await redis.time()
                        if entry is not None and tokens and entry[0] > seconds * 10**6 + micros - 59_999_000:
                            assert score == entry[0]
                        if score is not None:
                            # Put back where it was admitted, by this process's clock.
                            assert abs(score - mine.admitted) < 200_000
                            model.tokens[id] = int(score), tokens
                        model.spent_day += nano
                        model.spent_month += nano
                case "crash", index:
                    open_ones = [held for held in models[0].held.values() if not held.crashed]
                    if open_ones:
                        held = open_ones[index % len(open_ones)]
                        replicas[held.replica]._running.pop(held.reservation.id)
                        for model in models:
                            model.held[held.reservation.id].crashed = True
                case "pass", ms:
                    await travel(ms)
                case ("day",):
                    for name, model in zip(names, models, strict=True):
                        for found in await redis.hkeys(f"{name}:money"):
                            if len(found) == 8:
                                await redis.hdel(f"{name}:money", found)
                        model.spent_day = 0
                case "limits", own, shared:
                    models[0].limits, models[1].limits = own, shared
                case ("flush all",):
                    await redis.flushall()
                    for model in models:
                        model.requests, model.tokens, model.spent_day, model.spent_month = [], {}, 0, 0
                        for held in model.held.values():
                            held.released = True
        for name in await redis.keys("*:tokens"):
            assert await redis.zscore(name, "sum") is None or await redis.zscore(name, "sum") <= 0
        for replica in (0, 1):
            wires[replica].fate = "heard"
            await replicas[replica].aclose()


# What else may happen to a store


async def test_clock_set_back(redis: Any) -> None:
    """L3: entries from the future count for a minute, leases for one lease; nobody is locked out for longer."""
    holder = claim(FULL)
    async with accounts_on(redis) as accounts:
        _, running = await reserve(accounts, holder, 50, 0)
        for kind in ("tokens", "leases"):
            for member, score in await redis.zrange(f"gw:{{key-a}}:{kind}", 0, -1, withscores=True):
                if score > 0:
                    await redis.zadd(f"gw:{{key-a}}:{kind}", {member: score + 3600e6})
        refused, _ = await reserve(accounts, holder, 60, 0)
        assert (refused.allowed, refused.retry_after_s) == (False, 60)
        [lease] = await redis.zrange("gw:{key-a}:leases", 0, -1, withscores=True)
        assert abs(lease[1] - int(refused.stamp) - 10e6) < 1e6
        accounts.settle(holder, running, NOTHING)
        await accounts.flush()
        assert (await reserve(accounts, holder, 60, 0))[0].allowed


async def test_obeying_retry_after_succeeds(redis: Any) -> None:
    """L12: whoever waits as long as told is let in, whatever mixture of tokens there is."""
    holder = claim(Limits((Window(500, 60),), tokens_per_minute=1000))
    async with accounts_on(redis) as accounts:
        for number in range(60):
            quota, reservation = await reserve(accounts, holder, 1 + number * 7 % 97)
            while not quota.allowed:
                for name in ("tokens", "leases"):
                    for member, score in await redis.zrange(f"gw:{{key-a}}:{name}", 0, -1, withscores=True):
                        if score > 0:
                            await redis.zadd(f"gw:{{key-a}}:{name}", {member: score - quota.retry_after_s * 1e6})
                again, reservation = await reserve(accounts, holder, 1 + number * 7 % 97)
                assert again.allowed
                quota = again
            accounts.settle(holder, reservation, used(1 + number * 5 % 89))
            await accounts.flush()
            for member, score in await redis.zrange("gw:{key-a}:tokens", 0, -1, withscores=True):
                if score > 0:
                    await redis.zadd("gw:{key-a}:tokens", {member: score - 700_000})


@pytest.mark.parametrize("kind", ["tokens", "leases", "money"])
async def test_a_poisoned_key(redis: Any, kind: str) -> None:
    """A key of another type costs a moment of this key's: 503 once, then it is sound again."""
    holder = claim(FULL)
    async with accounts_on(redis) as accounts:
        await redis.set(f"gw:{{key-a}}:{kind}", "poison")
        with pytest.raises(LimiterUnavailable):
            await reserve(accounts, holder, 1, 1)
        assert await accounts.flush()
        assert (await reserve(accounts, holder, 1, 1))[0].allowed


@all_keys_on_one_server
async def test_names_of_keys(redis: Any) -> None:
    """L6, L13: no id chooses a slot or a name; every key has a time to live, and all of one decision a hash tag."""
    hostile = ["}{x}", "a:rate", "*", "\n", "é", "x" * 999, "{t-acme}:tenant"]
    async with accounts_on(redis) as accounts:
        for number, id in enumerate(hostile):
            holder = claim(FULL, Limits(tokens_per_minute=9), id=id, tenant=hostile[-number])
            quota, reservation = await reserve(accounts, holder, 1, 1)
            accounts.settle(holder, reservation, used(1, 1))
            assert quota.allowed
        await accounts.flush()
        names = [name.decode() for name in await redis.keys()]
        tags = {name.split("{")[1].split("}")[0] for name in names if "{" in name}
        assert len(tags) == len(hostile)
        assert all(tag.startswith("t-d") and tag[3:].isalnum() for tag in tags)
        assert [name for name in names if "{" not in name] == ["gw:usage-slots"]
        ttls = {name: await redis.pttl(name) for name in names}
        assert min(ttls.values()) > 0
        assert max(ttl for name, ttl in ttls.items() if name.endswith(("rate", "tokens", "leases"))) <= 120_000


@all_keys_on_one_server
async def test_a_large_minute_costs_little(redis_url: str) -> None:
    """L14: with fifty thousand requests in the minute a decision takes Redis about as long as with ten."""
    holder = claim(Limits((Window(10**6, 60),), tokens_per_minute=10**9, concurrency=10**6))
    async with redis_client(redis_url) as client, accounts_on(client) as accounts:
        redis: Any = client

        async def cost_us() -> float:
            await redis.config_resetstat()
            for _ in range(100):
                assert (await accounts.reserve(holder, reservation=Reservation.of(holder, Estimate(1, 0)))).allowed
            stats = (await redis.info("commandstats"))["cmdstat_evalsha"]
            assert stats["calls"] == 100
            return float(stats["usec_per_call"])

        small = await cost_us()
        now = time.time() * 1e6
        for start in range(0, 50_000, 1000):
            many = {f"1:{number}": now - number for number in range(start, start + 1000)}
            await redis.zadd("gw:{key-a}:tokens", many)
            await redis.lpush("gw:{key-a}:rate", *[int(now)] * 1000)
        await redis.zincrby("gw:{key-a}:tokens", -50_000, "sum")
        large = await cost_us()
        assert (await accounts.reserve(holder)).figures[0].remaining == 10**9 - 50_200
        assert large < 3 * small, (small, large)
        accounts._running.clear()


# The layer


def identified(app: ASGIApp, principal: Principal) -> ASGIApp:
    """Stands where AuthMiddleware would."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        PRINCIPAL.put(scope, principal)
        await app(scope, receive, send)

    return call


@dataclass
class Batch:
    units: int
    texts: Sequence[str] = ()
    unread: Sequence[str] = ()

    def with_texts(self, texts: Sequence[str]) -> "Batch":
        return self

    def to_bytes(self) -> bytes:
        return b"{}"


def layers(
    inner: ASGIApp, accounts: Any, principal: Principal, *, estimate: Callable[[Scope], Estimate] | None
) -> ASGIApp:
    """As the gateway mounts it: around the layer that reads the body, and inside it."""
    limiter = SlidingWindow(FakeAsyncRedis())

    def layer(app: ASGIApp) -> ASGIApp:
        return RateLimitMiddleware(
            app, limiter=limiter, windows=WINDOWS, accounts=accounts, estimate=estimate, body=True
        )

    body = BodyMiddleware(layer(inner), parse=lambda value: Batch(value["units"]), max_bytes=100)
    return RecordMiddleware(identified(layer(body), principal))


def one_token_each(scope: Scope) -> Estimate:
    return Estimate(PROMPT.require(scope).units, 0)


async def test_a_batch_is_worth_its_units(redis: Any) -> None:
    """L16: twenty where five are left are refused whole, and nothing is consumed."""
    inner = Inner()
    principal = Principal("a", limits=Limits((Window(5, 60),), tokens_per_minute=50))
    async with accounts_on(redis) as accounts:
        app = layers(inner, accounts, principal, estimate=one_token_each)
        refused = await ask(app, body=b'{"units": 20}')
        assert (refused.status, refused.json()) == (429, {"detail": "too many requests"})
        assert (inner.calls, await stored(redis)) == (0, {})
        taken = await ask(app, body=b'{"units": 5}')
        assert (taken.status, taken.headers["x-ratelimit-remaining"]) == (200, "0")
        assert taken.headers["ratelimit"].endswith('"tokens";r=45;t=60')


async def test_what_is_refused_on_the_way_counts_one(redis: Any) -> None:
    """A body that is too large or not sound counts as a request, and is told 429 when there was none left."""
    inner = Inner()
    principal = Principal("a", limits=Limits((Window(2, 60),), tokens_per_minute=50))
    async with accounts_on(redis) as accounts:
        app = layers(inner, accounts, principal, estimate=one_token_each)
        large, broken = await ask(app, body=b"x" * 101), await ask(app, body=b"{")
        assert [large.status, broken.status] == [413, 400]
        assert [reply.headers["x-ratelimit-remaining"] for reply in (large, broken)] == ["1", "0"]
        over = await ask(app, body=b"x" * 101)
        assert (over.status, over.json()) == (429, {"detail": "too many requests"})
        assert over.headers["connection"] == "close"
        assert 58 <= int(over.headers["retry-after"]) <= 60
        assert over.headers["content-length"] == str(len(over.body))
        assert inner.calls == 0
        assert await redis.keys("*tokens") == await redis.keys("*leases") == []


@all_keys_on_one_server
@pytest.mark.parametrize("how", ["crashes", "is cancelled"])
async def test_a_handler_that_does_not_end_well(redis: Any, how: str) -> None:
    """Whatever becomes of the request, its slot is free afterwards and what it used is written down."""
    started = asyncio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        RECORD.require(scope).served.append(Served("s", "m", 7, 5, Decimal("0.000001")))
        started.set()
        if how == "crashes":
            raise ZeroDivisionError
        await asyncio.Event().wait()

    principal = Principal("a", limits=Limits(tokens_per_minute=50, concurrency=1))
    async with accounts_on(redis) as accounts:
        app = layers(inner, accounts, principal, estimate=lambda scope: Estimate(40, 0))
        request = asyncio.create_task(ask(app, body=b'{"units": 1}'))
        await started.wait()
        request.cancel()
        with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
            await request
        await accounts.flush()
        figures = (await accounts.reserve(claim_of(principal, WINDOWS))).figures
        assert [figure.remaining for figure in figures] == [38, 1]
        [ledger] = await redis.keys("*:usage:a:*")
        assert (await redis.hgetall(ledger))[b"s/m|output_tokens"] == b"5"


# Without the store


class Switched(Accounts):
    """A store that can be taken away."""

    away = False

    async def reserve(self, claim: Claim, *, cost: int = 1, reservation: Reservation | None = None) -> Quota:
        if self.away:
            raise LimiterUnavailable
        return await super().reserve(claim, cost=cost, reservation=reservation)


async def test_shares_without_the_store(redis: Any) -> None:
    """Each replica holds floor(L/R), all or nothing; what was used is told to the store when it is back."""
    store = Switched(redis)
    store.away = True
    limiter = DegradingLimiter(SlidingWindow(Redis.from_url("redis://127.0.0.1:1/0", retry=None)))
    accounts = DegradingAccounts(store, limiter, replicas=lambda: 2)
    holder = claim(Limits((Window(9, 60),), tokens_per_minute=100, concurrency=5))
    one, two = Reservation.of(holder, Estimate(30, 0)), Reservation.of(holder, Estimate(30, 0))
    first = await accounts.reserve(holder, reservation=one)
    assert (first.allowed, first.degraded, first.states[0].remaining) == (True, True, 8)
    assert [(figure.limit, figure.remaining) for figure in first.figures] == [(50, 20), (2, 1)]
    refused = await accounts.reserve(holder, reservation=two)
    assert (refused.allowed, refused.degraded, refused.retry_after_s) == (False, True, 60)
    assert refused.states[0].remaining == 8
    accounts.settle(holder, one, used(10))
    second = await accounts.reserve(holder, reservation=two)
    assert (second.allowed, second.figures[0].remaining, second.figures[1].remaining) == (True, 10, 1)
    third = await accounts.reserve(holder, reservation=Reservation.of(holder, Estimate(0, 0)))
    fourth = await accounts.reserve(holder, reservation=Reservation.of(holder, Estimate(0, 0)))
    assert (third.allowed, fourth.allowed, fourth.retry_after_s) == (True, False, 1)
    accounts.settle(holder, two, used(20))
    assert await store.flush()
    store.away = False
    back = await store.reserve(holder)
    assert back.figures[0].remaining == 70
    await store.aclose()
    await limiter.aclose()


@pytest.mark.parametrize(
    "limits",
    [
        (Limits(strict=True), Limits()),
        (Limits(), Limits(strict=True)),
        (Limits(budget_day_usd=Decimal(1)), Limits()),
        (Limits(), Limits(budget_month_usd=Decimal(1))),
    ],
    ids=["strict", "strict tenant", "budget", "tenant's budget"],
)
async def test_strict_and_budgets_without_the_store(limits: tuple[Limits, Limits]) -> None:
    """503 with a time to come back, never 429, 402 or 500, and the endpoint is not called."""
    inner, gone = Inner(), Redis.from_url("redis://127.0.0.1:1/0", retry=None)
    store, limiter = Accounts(gone), DegradingLimiter(SlidingWindow(gone))
    principal = Principal("a", "acme", limits=limits[0], tenant_limits=limits[1])
    app = layers(inner, DegradingAccounts(store, limiter), principal, estimate=one_token_each)
    for body, _ in ((b'{"units": 1}', "decided"), (b"{", "counted on the way out")):
        reply = await ask(app, body=body)
        assert (reply.status, reply.json()) == (503, {"detail": "the rate limiter's store does not answer"})
        assert reply.headers["retry-after"] == "1"
        assert "x-ratelimit-mode" not in reply.headers
    assert inner.calls == 0
    await store.aclose()
    await limiter.aclose()
