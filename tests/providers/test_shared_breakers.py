"""The breakers of a fleet: several replicas on one real Redis behave as one."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.announcements import Announcements
from gateway.redis import connect
from providers.base import Target
from providers.breaker import MAX_BREAKERS, PROBE_LEASE_S, BreakerSettings, Denied, Permit
from providers.errors import (
    BadCredentials,
    ConnectionFailed,
    ContentBlocked,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    Unavailable,
)
from providers.openai_compatible import OpenAICompatible
from providers.shared_breakers import SharedBreakers
from tests.redis_server import RedisServer

SETTINGS = BreakerSettings(failure_rate=0.5, window_s=30, min_calls=4, open_s=5, max_open_s=20)
STATES, CALLS = "gw:{breakers}:states", "gw:{breakers}:calls"
KEY = "a-provider-key-that-nobody-may-read"
RECORD = re.compile(r"(\S+) (\d+) (\d+) (\d+)")


def target(service: str = "a", model: str = "m", **changed: object) -> Target:
    at = Target(service, model, OpenAICompatible(), "http://127.0.0.1", SecretStr(KEY))
    return replace(at, **changed)  # type: ignore[arg-type]


@dataclass
class Fleet:
    """Replicas that tell and look only when a test says so, and the clock they all have."""

    replicas: list[SharedBreakers]
    redis: Any  # typed as if it might decode
    now: float = 1000.0

    async def sync(self) -> None:
        """What each has to tell is told, then each knows it."""
        for _ in range(2):
            for replica in self.replicas:
                assert await replica.sync() is not None

    async def wait(self, seconds: float) -> None:
        """Time passes: on the replicas' clock, and in what Redis stores."""
        self.now += seconds
        for name, value in (await self.redis.hgetall(STATES)).items():
            found = RECORD.fullmatch(value.decode())
            if found is not None:
                word, generation, until, times = found.groups()
                shifted = int(until) - int(seconds * 1000)
                await self.redis.hset(STATES, name, f"{word} {generation} {shifted} {times}")

    def states(self, at: Target | None = None) -> list[str]:
        return [replica.state(at or target()) for replica in self.replicas]

    def asides_s(self, at: Target) -> list[float]:
        return [replica.aside_s(at) for replica in self.replicas]


@asynccontextmanager
async def fleet(url: str, size: int = 2, terms: BreakerSettings = SETTINGS) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        clients = [connect(url, timeout_ms=5000) for _ in range(size + 1)]
        for client in clients:
            stack.push_async_callback(client.aclose)
        made = Fleet([], clients[-1])
        for client in clients[:-1]:
            announcements = Announcements(client, prefix="gw")
            replica = SharedBreakers(terms, client, prefix="gw", announcements=announcements, clock=lambda: made.now)
            made.replicas.append(replica)
        yield made


async def permit(breakers: SharedBreakers, at: Target | None = None) -> Permit:
    admission = await breakers.admit(at or target())
    assert isinstance(admission, Permit), admission
    return admission


async def fail(
    breakers: SharedBreakers, times: int = 1, error: ProviderError | None = None, at: Target | None = None
) -> None:
    for _ in range(times):
        breakers.failed(await permit(breakers, at), error or Unavailable())


async def succeed(breakers: SharedBreakers, times: int = 1) -> None:
    for _ in range(times):
        breakers.succeeded(await permit(breakers))


async def denied(breakers: SharedBreakers, at: Target | None = None) -> Denied:
    admission = await breakers.admit(at or target())
    assert isinstance(admission, Denied), admission
    return admission


async def commands(redis: Any) -> int:
    """Script calls that Redis has seen."""
    stats = await redis.info("commandstats")
    return sum(int(found["calls"]) for name, found in stats.items() if name in ("cmdstat_eval", "cmdstat_evalsha"))


async def test_a_trip_is_everybodys(redis_url: str) -> None:
    """One replica's breaker opens at once; after a look so do the others', a new replica's too, until the same time."""
    async with fleet(redis_url, 3) as found:
        one, two, new = found.replicas
        await fail(one, 4)
        assert found.states() == ["open", "closed", "closed"]
        await one.sync()
        await two.sync()
        assert found.states() == ["open", "open", "closed"]
        waits = [(await denied(replica)).retry_after_s for replica in (one, two)]
        assert waits[0] == pytest.approx(waits[1], abs=0.5)
        await new.sync()
        assert (await denied(new)).reason == "open"


async def test_announced_at_once(redis_url: str) -> None:
    """With everything running, a trip reaches the others long before the next flush."""
    async with AsyncExitStack() as stack:
        replicas = []
        for _ in range(3):
            redis = connect(redis_url, timeout_ms=5000)
            stack.push_async_callback(redis.aclose)
            announcements = Announcements(redis, prefix="gw")
            replica = SharedBreakers(SETTINGS, redis, prefix="gw", announcements=announcements)
            await stack.enter_async_context(announcements.listening())
            await stack.enter_async_context(replica.syncing())
            replicas.append(replica)
        await asyncio.sleep(0.1)
        await fail(replicas[0], 4)
        loop = asyncio.get_running_loop()
        tripped = loop.time()
        async with asyncio.timeout(5):
            while [replica.state(target()) for replica in replicas] != ["open"] * 3:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        seen_s = loop.time() - tripped
        print(f"\nbreaker trip seen by siblings: {seen_s * 1000:.0f} ms (bound 200)")  # noqa: T201
        assert seen_s < 0.9  # a flush later would be 1 s


async def test_rates_of_the_fleet(redis_url: str) -> None:
    """Calls that are too few at each replica open the breaker together: failures of half of them, or all in a row."""
    async with fleet(redis_url, 3) as found:
        one, two, three = found.replicas
        await succeed(one)
        await fail(two)
        await found.sync()
        assert found.states() == ["closed"] * 3
        await succeed(two)
        await fail(three)
        await found.sync()
        assert found.states() == ["open"] * 3
        other = target(model="other")
        for replica in (one, one, two):
            await fail(replica, 1, at=other)
        await found.sync()
        assert found.states(other) == ["closed"] * 3
        await fail(three, 1, at=other)
        await found.sync()
        assert found.states(other) == ["open"] * 3


async def test_failures_in_a_row_over_the_fleet(redis_url: str) -> None:
    """As many as the minimum in a row open it, however good it was before; a success anywhere breaks the row."""
    async with fleet(redis_url, 2, replace(SETTINGS, failure_rate=0.9)) as found:
        one, two = found.replicas
        await succeed(one, 20)
        await fail(one, 2)
        await one.sync()
        await succeed(two)
        await fail(two, 2)
        await two.sync()
        await fail(one, 1)
        await found.sync()
        assert found.states() == ["closed"] * 2
        await fail(two, 1)
        await found.sync()
        assert found.states() == ["open"] * 2


async def test_trips_at_once_are_one(redis_url: str) -> None:
    """Of several replicas that trip together the first sets the pause."""
    async with fleet(redis_url) as found:
        for replica in found.replicas:
            await fail(replica, 4)
        await found.replicas[0].sync()
        record = await found.redis.hgetall(STATES)
        await found.sync()
        assert await found.redis.hgetall(STATES) == record


async def test_a_trip_while_redis_answers(redis_url: str) -> None:
    """What happens here after Redis was asked is newer than its answer."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 4)
        await one.sync()
        await found.wait(7)
        await succeed(one)
        await one.sync()
        await fail(two, 3)
        asking = asyncio.create_task(two.sync())
        await asyncio.sleep(0)
        await fail(two)
        assert not asking.done()
        await asking
        assert found.states() == ["closed", "open"]
        await found.sync()
        assert found.states() == ["open", "open"]
        assert (await denied(one)).retry_after_s > 3


async def test_good_calls_of_others_count(redis_url: str) -> None:
    """A success anywhere breaks the row; failures that left the window, or are fewer than the rate, open nothing."""
    terms = replace(SETTINGS, failure_rate=0.9, window_s=0.3)
    async with fleet(redis_url, 2, terms) as found:
        one, two = found.replicas
        for replica in (one, two):
            await fail(replica, 3)
            await replica.sync()
            await succeed(replica)
            await replica.sync()
        assert found.states() == ["closed"] * 2
        await fail(one, 3, at=target(model="old"))
        await one.sync()
        await asyncio.sleep(0.35)
        await two.sync()
        await fail(two, 1, at=target(model="old"))
        two.succeeded(await permit(two, target(model="old")))
        await two.sync()
        assert found.states(target(model="old")) == ["closed"] * 2


@pytest.mark.parametrize("rate", [0.5, 1.0])
async def test_slow_calls(redis_url: str, rate: float) -> None:
    """Answers that begin late open the breaker at their share, at one replica or over all; a slow probe is no good."""
    async with fleet(redis_url, 2, replace(SETTINGS, slow_call_s=2.0, slow_call_rate=rate)) as found:
        one, two = found.replicas
        quick = 2 if rate < 1 else 0
        for replica in (one, two):
            for first_s in [0.1] * (quick // 2) + [2.0] * (2 - quick // 2):
                replica.succeeded(await permit(replica), first_s)
        assert found.states() == ["closed"] * 2
        await found.sync()
        assert found.states() == ["open"] * 2
        await found.wait(7)
        one.succeeded(await permit(one), 3.0)
        assert one.state(target()) == "open"
        await found.sync()
        assert (await denied(two)).retry_after_s > 7
        alone = target(model="alone")
        for first_s in [0.1] * quick + [2.5] * (4 - quick):
            two.succeeded(await permit(two, alone), first_s)
        assert found.states(alone) == ["closed", "open"]


async def test_slow_calls_are_off_unless_set(redis_url: str) -> None:
    """Without a threshold nothing is slow."""
    async with fleet(redis_url) as found:
        for replica in found.replicas:
            for _ in range(10):
                replica.succeeded(await permit(replica), 1e6)
        await found.sync()
        assert found.states() == ["closed"] * 2


async def test_one_probe_for_the_fleet(redis_url: str) -> None:
    """After the pause one replica's call goes, whoever asks; a good one closes everybody's."""
    async with fleet(redis_url, 4) as found:
        await fail(found.replicas[0], 4)
        await found.sync()
        await found.wait(7)
        admissions = await asyncio.gather(*(replica.admit(target()) for replica in found.replicas * 5))
        permits = [admission for admission in admissions if isinstance(admission, Permit)]
        assert len(permits) == 1
        others = [admission for admission in admissions if isinstance(admission, Denied)]
        assert all(0 < other.retry_after_s <= PROBE_LEASE_S for other in others)
        await found.sync()
        assert found.states() == ["half_open"] * 4
        owner = next(replica for replica, asked in zip(found.replicas * 5, admissions, strict=True) if asked in permits)
        owner.succeeded(permits[0])
        await found.sync()
        assert found.states() == ["closed"] * 4


async def test_a_failed_probe_doubles_the_pause(redis_url: str) -> None:
    """Whichever replica probes: the pause grows for all, ±20 %, up to the longest."""
    async with fleet(redis_url, 3) as found:
        await fail(found.replicas[0], 4)
        await found.sync()
        for number, pause_s in enumerate((10, 20, 20, 20)):
            await found.wait(25)
            await fail(found.replicas[number % 3], 1)
            await found.sync()
            for replica in found.replicas:
                assert 0.8 * pause_s - 1 <= (await denied(replica)).retry_after_s <= 1.2 * pause_s


async def test_a_dead_owner(redis_url: str) -> None:
    """A probe that never reports holds the fleet for its lease only; its late word counts for nothing."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 4)
        await found.sync()
        await found.wait(7)
        lost = await permit(one)
        assert isinstance(await two.admit(target()), Denied)
        await found.wait(PROBE_LEASE_S - 1)
        assert isinstance(await two.admit(target()), Denied)
        await found.wait(1.1)
        second = await permit(two)
        one.failed(lost, Unavailable())
        await found.sync()
        assert found.states() == ["half_open"] * 2
        two.succeeded(second)
        one.failed(lost, Unavailable())
        await found.sync()
        assert found.states() == ["closed"] * 2


async def test_an_abandoned_probe(redis_url: str) -> None:
    """A caller that left says nothing, and another replica may probe at once."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 4)
        await found.sync()
        await found.wait(7)
        one.abandoned(await permit(one))
        await found.sync()
        two.succeeded(await permit(two))
        await found.sync()
        assert found.states() == ["closed"] * 2


async def test_a_claim_that_nobody_waits_for(redis_url: str) -> None:
    """A caller that leaves while the probe is claimed, at whatever moment, keeps nobody from probing."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 4)
        await found.sync()
        for turns in range(12):
            await found.wait(7)
            asking = asyncio.create_task(one.admit(target()))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not asking.cancel():
                one.abandoned(_permitted(asking.result()))
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.gather(*one._tasks)
            await found.sync()
            two.failed(await permit(two), Unavailable())
            await found.sync()
            await found.wait(30)


def _permitted(admission: Permit | Denied) -> Permit:
    assert isinstance(admission, Permit)
    return admission


async def test_connections_of_a_service(redis_url: str) -> None:
    """No connection for one model at one replica is no connection for any model at all of them, and one probe tells."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 4, ConnectionFailed())
        await found.sync()
        other = target(model="other")
        assert found.states(other) == ["open"] * 2
        await found.wait(7)
        probe = await permit(two, other)
        assert isinstance(await one.admit(target()), Denied)
        two.succeeded(probe)
        await found.sync()
        assert found.states() == found.states(other) == ["closed"] * 2


async def test_service_and_model_are_claimed_together(redis_url: str) -> None:
    """When both rest, a probe needs both: neither is taken by one that may not have the other."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        broken, unreachable = [await permit(one) for _ in range(4)], [await permit(one) for _ in range(4)]
        for admitted in unreachable:
            one.failed(admitted, ConnectionFailed())
        for admitted in broken:
            one.failed(admitted, Unavailable())
        await found.sync()
        await found.wait(7)
        first, second = await one.admit(target()), await two.admit(target())
        assert [isinstance(first, Permit), isinstance(second, Permit)] == [True, False]
        one.succeeded(_permitted(first))
        await found.sync()
        assert found.states() == ["closed"] * 2


@pytest.mark.parametrize(
    ("error", "reason", "pause_s"),
    [
        (RateLimited(retry_after_s=30), "rate_limited", 30),
        (RateLimited(), "rate_limited", 1),
        (RateLimited(retry_after_s=1e12), "rate_limited", 3600),
        (QuotaExhausted(), "quota_exhausted", 600),
        (BadCredentials(), "bad_credentials", 60),
        (Overloaded(retry_after_s=12), "overloaded", 12),
    ],
)
async def test_put_aside_for_all(redis_url: str, error: ProviderError, reason: str, pause_s: float) -> None:
    """One refusal is heard by all until its time; another key of the service only rests when the service does."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await fail(one, 1, error)
        await found.sync()
        other = target(model="other")
        assert (await denied(two, other)).reason == reason
        assert found.asides_s(other) == pytest.approx([pause_s] * 2, abs=0.5)
        sibling = target(key_slot=1, api_key=SecretStr("another key"))
        replaced = target(api_key=SecretStr("put in its stead"))
        whole = isinstance(error, Overloaded)
        for at in (sibling, replaced):
            assert [rest > 0 for rest in found.asides_s(at)] == [whole] * 2
        assert found.asides_s(target("b")) == found.asides_s(target(base_url="http://127.0.0.2")) == [0, 0]
        await found.wait(pause_s)
        await permit(two)
        assert found.states() == ["closed"] * 2


async def test_refusals_in_a_row_at_any_replica(redis_url: str) -> None:
    """Each further one doubles the pause for all; an answer anywhere begins anew."""
    async with fleet(redis_url) as found:
        for number, pause_s in enumerate((1, 2, 4, 8)):
            replica = found.replicas[number % 2]
            await fail(replica, 1, RateLimited())
            await found.sync()
            assert found.asides_s(target()) == pytest.approx([pause_s] * 2, abs=0.3)
            await found.wait(pause_s + 0.3)
        await succeed(found.replicas[0])
        await found.sync()
        await fail(found.replicas[1], 1, RateLimited())
        await found.sync()
        assert found.asides_s(target()) == pytest.approx([1, 1], abs=0.3)


async def test_an_earlier_call_lifts_no_pause(redis_url: str) -> None:
    """A success of a call that began before the 429 says nothing about it."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        before = await permit(two)
        await fail(one, 1, RateLimited(retry_after_s=30))
        await found.sync()
        two.succeeded(before)
        await found.sync()
        assert found.asides_s(target()) == pytest.approx([30, 30], abs=0.5)


@pytest.mark.parametrize("error", [RejectedRequest(), ContentBlocked(), ModelNotFound(), RateLimited(retry_after_s=0)])
async def test_what_is_not_the_targets_fault(redis_url: str, error: ProviderError) -> None:
    """The caller's mistakes, callers that leave, and rate limits count for no fleet either."""
    async with fleet(redis_url) as found:
        for replica in found.replicas:
            await fail(replica, 10, error)
            replica.abandoned(await permit(replica))
        await found.sync()
        assert found.states() == ["closed"] * 2
        assert await found.redis.exists(CALLS) == 0


async def test_another_address_is_another_breaker(redis_url: str) -> None:
    """What a reload changes the address of is not held to what the old one did."""
    async with fleet(redis_url) as found:
        await fail(found.replicas[0], 4)
        await fail(found.replicas[0], 4, ConnectionFailed(), target("b"))
        await found.sync()
        for service in ("a", "b"):
            moved = target(service, base_url="http://127.0.0.2")
            assert (found.states(target(service)), found.states(moved)) == (["open"] * 2, ["closed"] * 2)


async def test_asking_costs_nothing(redis_url: str) -> None:
    """No command while closed or open or put aside; one for a probe; one for a flush, whatever there is to tell."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        await found.sync()
        began = await commands(found.redis)
        await succeed(one, 20)
        await fail(one, 3, at=target(model="broken"))
        assert await commands(found.redis) == began
        await fail(one, 1, at=target(model="broken"))
        await fail(one, 1, RateLimited(retry_after_s=5), target("b"))
        for _ in range(20):
            await denied(one, target(model="broken"))
            await denied(one, target("b"))
        assert await commands(found.redis) == began
        await one.sync()
        assert await commands(found.redis) == began + 1
        await found.wait(7)
        await permit(one, target(model="broken"))
        assert await commands(found.redis) == began + 2
        await two.sync()


async def test_what_redis_holds(redis_url: str) -> None:
    """Two keys that expire, bounded however many models callers invent; no key, address or model's name in them."""
    async with fleet(redis_url) as found:
        one, two = found.replicas
        for number in range(MAX_BREAKERS + 300):
            invented = target(model=f"invented-{number}")
            await fail(one, 4 if number < 300 else 1, at=invented)
            if number % 100 == 99:
                await one.sync()
        await fail(two, 1, BadCredentials(), target("b"))
        await fail(two, 4, at=target(model="after"))
        await found.sync()
        assert two.state(target(model="after")) == "open"
        keys = [name.decode() for name in await found.redis.keys("*")]
        assert set(keys) == {STATES, CALLS}
        for name in keys:
            assert 0 < await found.redis.pttl(name) <= 3_700_000
            held = await found.redis.hgetall(name)
            assert len(held) <= MAX_BREAKERS + 1
            text = b" ".join([*held, *held.values()])
            assert not re.search(rb"invented|127\.0\.0\.1|" + KEY.encode(), text)
            assert all(re.fullmatch(rb"[0-9a-f]{16}|version", field) for field in held)


async def test_full_tables(redis_url: str) -> None:
    """Where the fleet's table is full, a replica's own breakers still hold, and closed ones make room."""
    async with fleet(redis_url) as found:
        one, _ = found.replicas
        await found.redis.hset(STATES, mapping={f"{n:016x}": "closed 1 1 0" for n in range(MAX_BREAKERS + 10)})
        await found.redis.hset(CALLS, mapping={f"{n:016x}": "0 1:1:1:0" for n in range(MAX_BREAKERS + 10)})
        await fail(one, 4)
        await fail(one, 1, at=target(model="b"))
        await found.sync()
        assert found.states() == ["open"] * 2
        assert await found.redis.hlen(STATES) == 2  # and the version
        assert await found.redis.hlen(CALLS) == 2  # the model's and its service's
        lasting = {f"{n:016x}": "open 1 9999999999999 1" for n in range(MAX_BREAKERS + 10)}
        await found.redis.hset(STATES, mapping=lasting)
        await fail(one, 4, at=target("b"))
        await one.sync()
        assert one.state(target("b")) == "open"
        assert await found.redis.hlen(STATES) == len(lasting) + 2


@pytest.mark.parametrize("key", [STATES, CALLS])
async def test_a_key_of_another_type(redis_url: str, key: str) -> None:
    """Whatever lies under our names is swept aside; a record that nobody wrote is not read."""
    async with fleet(redis_url) as found:
        await found.redis.set(key, "poison")
        await fail(found.replicas[0], 4)
        await fail(found.replicas[1], 1, at=target("b"))
        await found.sync()
        assert found.states() == ["open"] * 2
        await found.redis.hset(STATES, mapping={"version": 1, "0" * 16: "poison", "1" * 16: "open x y z"})
        await found.sync()
        assert found.states() == ["open"] * 2


async def test_redis_away_and_back(own_redis: RedisServer) -> None:
    """Without Redis each replica trips, probes and closes by itself; on return open wins, and one probe is enough."""
    async with fleet(own_redis.url) as found:
        one, two = found.replicas
        await fail(one, 4)
        await found.sync()
        own_redis.kill()
        found.now += 7
        for replica in found.replicas:
            assert await replica.sync() is None
        probe = await permit(one)
        one.succeeded(probe)
        two.failed(await permit(two), Unavailable())
        assert found.states() == ["closed", "open"]
        own_redis.start()
        await found.sync()
        assert found.states() == ["open", "open"]
        assert (await denied(one)).retry_after_s > 7
        await found.wait(12)
        one.succeeded(await permit(one))
        await found.sync()
        assert found.states() == ["closed", "closed"]


async def test_redis_forgets(redis_url: str) -> None:
    """What was open or put aside is told again to a Redis that has lost it; what was closed stays so."""
    async with fleet(redis_url, 3) as found:
        one, two, new = found.replicas
        await fail(one, 4)
        await fail(one, 1, RateLimited(retry_after_s=60), target("b"))
        await one.sync()
        await two.sync()
        await found.redis.flushall()
        await found.redis.script_flush()
        await two.sync()
        await two.sync()
        await new.sync()
        assert found.states() == ["open"] * 3
        assert found.asides_s(target("b")) == pytest.approx([60] * 3, abs=0.5)


async def test_what_could_not_be_told_is_told_later(own_redis: RedisServer) -> None:
    """A trip waits for Redis; calls do not: they are old by then."""
    async with fleet(own_redis.url) as found:
        one, two = found.replicas
        await found.sync()
        own_redis.kill()
        await fail(one, 4)
        await fail(two, 3, at=target(model="few"))
        for replica in found.replicas:
            assert await replica.sync() is None
        own_redis.start()
        await fail(one, 1, at=target(model="few"))
        await found.sync()
        assert found.states() == ["open"] * 2
        assert found.states(target(model="few")) == ["closed"] * 2


EVENT = st.sampled_from(["ask", "ok", "bad", "leave", "wait", "sync", "forget"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(EVENT, st.integers(0, 2), st.integers(0, 3)), max_size=50))
async def test_agrees_with_a_state_machine(redis_server: RedisServer, events: Sequence[tuple[str, int, int]]) -> None:
    """
    For any schedule over three replicas: no call passes a breaker known to be open; never two probes within a lease;
    late results change nothing; and once all have looked, all think the same, which is what Redis holds.
    """
    redis_server.flush()
    async with fleet(redis_server.url, 3) as found:
        running: list[tuple[int, Permit, float, bool]] = []
        for event, who, which in events:
            replica = found.replicas[who]
            if event == "wait":
                await found.wait((1, 4, 8, 15)[which])
            elif event == "sync":
                await replica.sync()
            elif event == "forget":
                await found.redis.delete(CALLS)
            elif event == "ask":
                state = replica.state(target())
                admission = await replica.admit(target())
                leased = [since for _, _, since, probe in running if probe and found.now - since < PROBE_LEASE_S]
                if state == "closed":
                    running.append((who, _permitted(admission), found.now, False))
                elif isinstance(admission, Permit):
                    probe = replica.state(target()) == "half_open"
                    assert not (probe and leased), "two probes at once"
                    running.append((who, admission, found.now, probe))
                else:
                    assert admission.reason == "open"
            elif running:
                who, given_permit, since, probe = running.pop(which % len(running))
                owner = found.replicas[who]
                before = owner.state(target())
                late = probe and found.now - since >= PROBE_LEASE_S and before != "half_open"
                if event == "ok":
                    owner.succeeded(given_permit)
                elif event == "bad":
                    owner.failed(given_permit, Unavailable())
                else:
                    owner.abandoned(given_permit)
                if late:
                    assert owner.state(target()) == before
                # a probe's result travels at once in a fleet that runs
                if probe:
                    await owner.sync()
        await found.sync()
        assert len(set(found.states())) == 1
        record = [
            value.decode().split()[0]
            for name, value in (await found.redis.hgetall(STATES)).items()
            if name != b"version"
        ]
        assert found.states()[0] in ([*record] or ["closed"])
