"""Who may be asked, in which order."""

from collections import Counter

import pytest

from providers.openai_compatible import OpenAICompatible
from providers.registry import Service
from providers.routing import Router


def service(
    name: str, *, priority: int = 0, weight: int = 1, models: tuple[str, ...] = (), default: str = "d"
) -> Service:
    return Service(
        name=name,
        backend_type="custom",
        base_url="http://127.0.0.1/v1",
        adapter=OpenAICompatible(),
        default_model=models[0] if models else default,
        models={model: f"up-{model}" for model in models},
        priority=priority,
        weight=weight,
    )


ROUTER = Router(
    [
        service("third", priority=3),
        service("first", priority=1, models=("a", "org/b")),
        service("second", priority=2, models=("a", "c")),
    ]
)


@pytest.mark.parametrize(
    ("model", "only", "names"),
    [
        (None, None, ["first/up-a", "second/up-a", "third/d"]),
        (None, "second", ["second/up-a"]),
        (None, "nobody", []),
        # listed models go to who lists them, under their upstream names
        ("a", None, ["first/up-a", "second/up-a"]),
        ("c", None, ["second/up-c"]),
        ("a", "second", ["second/up-a"]),
        ("c", "first", []),
        # a service's name before the model; unless the whole is a model
        ("org/b", None, ["first/up-org/b"]),
        ("second/a", None, ["second/up-a"]),
        ("third/anything/at/all", None, ["third/anything/at/all"]),
        ("first/c", None, ["third/first/c"]),
        ("second/a", "first", []),
        # nobody lists it: who lists nothing
        ("x", None, ["third/x"]),
        ("x", "first", []),
        # alternatives, in order, each target once
        ("c|a", None, ["second/up-c", "first/up-a", "second/up-a"]),
        ("a | a||", None, ["first/up-a", "second/up-a"]),
    ],
)
def test_targets(model: str | None, only: str | None, names: list[str]) -> None:
    """Targets by name, in the order they would be asked."""
    assert [target.name for target in ROUTER.targets(model, only)] == names


def test_weights_share_among_equals() -> None:
    """Within a priority the first place goes by weight; priorities are never mixed."""
    router = Router([service("heavy", weight=3), service("light"), service("last", priority=1)])
    firsts: Counter[str] = Counter()
    for _ in range(2000):
        order = [target.service for target in router.targets()]
        assert order[2] == "last"
        firsts[order[0]] += 1
    assert 1300 < firsts["heavy"] < 1700
