"""The circuit breaker: against a small model, and rule by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.base import Target
from providers.breaker import MAX_BREAKERS, PROBE_LEASE_S, BreakerSettings, Denied, LocalBreakers, Permit
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
    TimedOut,
    Unavailable,
)
from providers.openai_compatible import OpenAICompatible

SETTINGS = BreakerSettings(failure_rate=0.5, window_s=30, min_calls=4, open_s=5, max_open_s=20)


def target(service: str = "a", model: str = "m") -> Target:
    return Target(service, model, OpenAICompatible(), "http://127.0.0.1", SecretStr("k"))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> LocalBreakers:
    return LocalBreakers(SETTINGS, clock=clock)


async def permit(breakers: LocalBreakers, at: Target | None = None) -> Permit:
    admission = await breakers.admit(at or target())
    assert isinstance(admission, Permit)
    return admission


async def fail(breakers: LocalBreakers, times: int = 1, error: ProviderError | None = None) -> None:
    for _ in range(times):
        breakers.failed(await permit(breakers), error or Unavailable())


async def test_opens_on_the_rate(breakers: LocalBreakers) -> None:
    """Half of at least four calls."""
    breakers.succeeded(await permit(breakers))
    breakers.succeeded(await permit(breakers))
    await fail(breakers, 1)
    assert breakers.state(target()) == "closed"
    await fail(breakers, 1)
    assert breakers.state(target()) == "open"
    denied = await breakers.admit(target())
    assert isinstance(denied, Denied)
    assert denied.reason == "open"
    assert 4 <= denied.retry_after_s <= 6


async def test_old_calls_are_forgotten(breakers: LocalBreakers, clock: Clock) -> None:
    """Failures that left the window open nothing."""
    await fail(breakers, 3)
    clock.now += 31
    await fail(breakers, 3)
    assert breakers.state(target()) == "closed"


async def test_one_probe(breakers: LocalBreakers, clock: Clock) -> None:
    """After the pause one call goes, the others wait; a good one closes, a bad one doubles the pause."""
    await fail(breakers, 4)
    clock.now += 7
    probe = await permit(breakers)
    assert breakers.state(target()) == "half_open"
    assert isinstance(await breakers.admit(target()), Denied)
    breakers.failed(probe, Unavailable())
    clock.now += 7
    denied = await breakers.admit(target())
    assert isinstance(denied, Denied)
    clock.now += 6
    breakers.succeeded(await permit(breakers))
    assert breakers.state(target()) == "closed"


async def test_a_dead_probe_frees_its_place(breakers: LocalBreakers, clock: Clock) -> None:
    """A probe that never reports holds the breaker for its lease only; its late word counts for nothing."""
    await fail(breakers, 4)
    clock.now += 7
    lost = await permit(breakers)
    clock.now += PROBE_LEASE_S + 0.1
    second = await permit(breakers)
    breakers.failed(lost, Unavailable())
    assert breakers.state(target()) == "half_open"
    breakers.succeeded(second)
    assert breakers.state(target()) == "closed"


async def test_an_abandoned_probe_frees_its_place(breakers: LocalBreakers, clock: Clock) -> None:
    """A caller that left says nothing about the target."""
    await fail(breakers, 4)
    clock.now += 7
    breakers.abandoned(await permit(breakers))
    breakers.succeeded(await permit(breakers))
    assert breakers.state(target()) == "closed"


async def test_pauses_are_capped(breakers: LocalBreakers, clock: Clock) -> None:
    """Doubling ends at the longest pause, jitter aside."""
    await fail(breakers, 4)
    for _ in range(6):
        clock.now += 25
        breakers.failed(await permit(breakers), Unavailable())
    denied = await breakers.admit(target())
    assert isinstance(denied, Denied)
    assert 15 <= denied.retry_after_s <= 24


@pytest.mark.parametrize("error", [RejectedRequest(), ContentBlocked(), ModelNotFound(), RateLimited(retry_after_s=0)])
async def test_what_is_not_the_targets_fault(breakers: LocalBreakers, error: ProviderError) -> None:
    """The caller's mistakes and rate limits open no breaker."""
    await fail(breakers, 20, error)
    assert breakers.state(target()) == "closed"


async def test_connection_faults_count_for_the_service(breakers: LocalBreakers) -> None:
    """No connection for one model is no connection for any; a slow model is its own affair."""
    await fail(breakers, 4, ConnectionFailed())
    assert breakers.state(target(model="other")) == "open"
    assert breakers.state(target("b")) == "closed"


async def test_timeouts_count_for_the_target(breakers: LocalBreakers) -> None:
    """Other models of the service may still answer."""
    await fail(breakers, 4, TimedOut("request"))
    assert (breakers.state(target()), breakers.state(target(model="other"))) == ("open", "closed")


@pytest.mark.parametrize(
    ("error", "reason", "pause_s"),
    [
        (RateLimited(retry_after_s=30), "rate_limited", 30),
        (RateLimited(), "rate_limited", 1),
        (RateLimited(retry_after_s=1e12), "rate_limited", 3600),
        (QuotaExhausted(), "quota_exhausted", 600),
        (QuotaExhausted(retry_after_s=20), "quota_exhausted", 20),
        (BadCredentials(), "bad_credentials", 60),
        (Overloaded(retry_after_s=12), "overloaded", 12),
    ],
)
async def test_put_aside(
    breakers: LocalBreakers, clock: Clock, error: ProviderError, reason: str, pause_s: float
) -> None:
    """All models of the service rest until its time, then are asked again."""
    await fail(breakers, 1, error)
    denied = await breakers.admit(target(model="other"))
    assert denied == Denied(reason, pause_s)  # type: ignore[arg-type]
    assert breakers.aside_s(target()) == pause_s
    assert isinstance(await breakers.admit(target("b")), Permit)
    clock.now += pause_s
    assert isinstance(await breakers.admit(target()), Permit)


async def test_repeated_refusals_rest_longer(breakers: LocalBreakers, clock: Clock) -> None:
    """429s without a time and refused keys double the pause; a success begins anew."""
    for pause_s in (1, 2, 4, 8, 16, 32, 60, 60):
        await fail(breakers, 1, RateLimited())
        assert breakers.aside_s(target()) == pause_s
        clock.now += pause_s
    breakers.succeeded(await permit(breakers))
    await fail(breakers, 1, RateLimited())
    assert breakers.aside_s(target()) == 1


@pytest.mark.parametrize(
    ("error", "pauses_s"),
    [
        (RateLimited(), (1, 2, 4)),
        (BadCredentials(), (60, 120, 240)),
        # One that names its time holds to it, however often.
        (RateLimited(retry_after_s=5), (5, 5, 5)),
        (QuotaExhausted(), (600, 600, 600)),
        (Overloaded(retry_after_s=5), (5, 5, 5)),
    ],
)
async def test_refusals_at_once_are_one(clock: Clock, error: ProviderError, pauses_s: tuple[float, ...]) -> None:
    """Calls that were under way together say the same thing; only one that comes after a pause lengthens the next."""
    breakers = LocalBreakers(BreakerSettings(min_calls=1000), clock=clock)
    for pause_s in pauses_s:
        together = [await permit(breakers) for _ in range(8)]
        for admitted in together:
            breakers.failed(admitted, error)
            clock.now += 0.01
        assert breakers.aside_s(target()) == pytest.approx(pause_s, abs=0.1)
        clock.now += pause_s


@pytest.mark.parametrize("error", [QuotaExhausted(), BadCredentials()])
async def test_a_day_of_refusals(breakers: LocalBreakers, clock: Clock, error: ProviderError) -> None:
    """A service that refuses our key or our account all day is asked with less than one of a hundred calls."""
    asked, day_s = 0, 24 * 3600
    for _ in range(day_s):
        admission = await breakers.admit(target())
        if isinstance(admission, Permit):
            asked += 1
            breakers.failed(admission, error)
        clock.now += 1
    assert 20 < asked < day_s / 500


async def test_stated_pauses_lengthen_no_other(breakers: LocalBreakers, clock: Clock) -> None:
    """Eight 429s at once are one also for the pause after them, whether they name a time or not."""
    for admitted in [await permit(breakers) for _ in range(8)]:
        breakers.failed(admitted, RateLimited(retry_after_s=5))
    clock.now += 5
    await fail(breakers, 1, RateLimited())
    assert breakers.aside_s(target()) == 2


async def test_the_longest_stated_pause_counts(breakers: LocalBreakers) -> None:
    """Of several at once, whichever comes first."""
    first, second, third = [await permit(breakers) for _ in range(3)]
    breakers.failed(first, RateLimited())
    breakers.failed(second, RateLimited(retry_after_s=30))
    breakers.failed(third, RateLimited(retry_after_s=10))
    assert breakers.aside_s(target()) == 30


@pytest.mark.parametrize("error", [RateLimited(), RateLimited(retry_after_s=9), BadCredentials(), QuotaExhausted()])
async def test_a_key_rests_alone(breakers: LocalBreakers, error: ProviderError) -> None:
    """What is said of one key, and its success too, is nothing to its sibling; an overload is to both."""
    one, other = target(), Target("a", "m", OpenAICompatible(), "http://127.0.0.1", SecretStr("l"), key_slot=1)
    breakers.failed(await permit(breakers, one), error)
    assert breakers.aside_s(one) > 0
    assert breakers.aside_s(other) == 0
    sibling = await permit(breakers, other)
    breakers.succeeded(sibling)
    assert breakers.aside_s(one) > 0
    breakers.failed(sibling, Overloaded(retry_after_s=7200))
    assert breakers.aside_s(one) == breakers.aside_s(other) == 3600


async def test_invented_models_do_not_fill_the_memory(breakers: LocalBreakers) -> None:
    """The table is bounded, and open breakers stay in it."""
    await fail(breakers, 4)
    for number in range(MAX_BREAKERS + 100):
        breakers.succeeded(await permit(breakers, target("a", f"invented-{number}")))
    assert len(breakers._breakers) <= MAX_BREAKERS
    assert breakers.state(target()) == "open"


EVENT = st.sampled_from(["ask", "ok", "bad", "leave", "wait"])


@given(st.lists(st.tuples(EVENT, st.integers(0, 3)), max_size=60))
async def test_agrees_with_a_state_machine(events: list[tuple[str, int]]) -> None:
    """For any schedule: no call passes an open breaker, and never two probes within a lease."""
    clock = Clock()
    breakers = LocalBreakers(SETTINGS, clock=clock)
    running: list[tuple[Permit, float, str]] = []
    for event, which in events:
        if event == "wait":
            clock.now += (1, 4, 8, 15)[which]
        elif event == "ask":
            state = breakers.state(target())
            admission = await breakers.admit(target())
            probes = [since for _, since, kind in running if kind == "probe" and clock.now - since < PROBE_LEASE_S]
            if state == "closed":
                assert isinstance(admission, Permit)
                running.append((admission, clock.now, "call"))
            elif isinstance(admission, Permit):
                assert breakers.state(target()) == "half_open"
                assert not probes, "two probes at once"
                running.append((admission, clock.now, "probe"))
            else:
                assert admission.retry_after_s > 0
        elif running:
            given_permit, _, _ = running.pop(which % len(running))
            if event == "ok":
                breakers.succeeded(given_permit)
            elif event == "bad":
                breakers.failed(given_permit, Unavailable())
            else:
                breakers.abandoned(given_permit)
