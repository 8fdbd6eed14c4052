"""The budget of retries: a fifth of the calls and ten a second, however many replicas there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.retry_budget import CREDIT_LIFE_S, PER_SECOND, REQUESTS_PER_RETRY, RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(budget: RetryBudget, asked: int) -> int:
    return sum(budget.take() for _ in range(asked))


def test_ten_a_second_for_nothing() -> None:
    """Without calls: ten at once, then ten a second, and no more for having waited longer."""
    clock = Clock()
    budget = RetryBudget(clock=clock)
    assert taken(budget, 50) == 10
    clock.now += 0.5
    assert taken(budget, 50) == 5
    clock.now += 60
    assert taken(budget, 50) == 10


def test_a_fifth_of_the_calls() -> None:
    """Besides, one for five calls of the last ten seconds."""
    clock = Clock()
    budget = RetryBudget(clock=clock)
    for _ in range(100):
        budget.asked()
    assert taken(budget, 100) == 10 + 20
    for _ in range(100):
        budget.asked()
    clock.now += CREDIT_LIFE_S + 1
    assert taken(budget, 100) == 10


@pytest.mark.parametrize("replicas", [2, 5, 10])
def test_replicas_share_the_ten(replicas: int) -> None:
    """Together they may make what one may, whatever falls to each."""
    clock = Clock()
    budgets = [RetryBudget(replicas=lambda: replicas, clock=clock) for _ in range(replicas)]
    total = sum(taken(budget, 50) for budget in budgets)
    for _ in range(10):
        clock.now += 1
        total += sum(taken(budget, 50) for budget in budgets)
    assert total == pytest.approx(110, abs=replicas)


@given(st.lists(st.tuples(st.sampled_from(["call", "retry", "wait"]), st.integers(1, 40)), max_size=80))
def test_never_more_than_the_budget(events: list[tuple[str, int]]) -> None:
    """Any schedule: in every span from a call on, retries ≤ 20 % of the calls of it and of a credit's life before."""
    clock = Clock()
    budget = RetryBudget(clock=clock)
    calls: list[float] = []
    retries: list[float] = []
    for event, number in events:
        if event == "wait":
            clock.now += number / 10
        elif event == "call":
            for _ in range(number):
                budget.asked()
                calls.append(clock.now)
        else:
            retries += [clock.now] * taken(budget, number)
    for start in {*retries}:
        span = clock.now - start
        earning = sum(called > start - CREDIT_LIFE_S - 1 for called in calls)
        assert sum(at >= start for at in retries) <= earning / REQUESTS_PER_RETRY + PER_SECOND * (span + 1) + 1e-6
