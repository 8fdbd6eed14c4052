"""Who may be asked, in which order, and why."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.anthropic import Anthropic
from providers.base import Adapter, Target
from providers.catalogue import AliasTarget
from providers.chat import FITS, ChatRequest, Fit, Image, Message, Text, Tool
from providers.latencies import HALF_LIFE_S, KEPT, MovingLatencies
from providers.openai_compatible import OpenAICompatible
from providers.pricing import Price, Prices
from providers.registry import UNNAMED_MODEL, ConfigProblem, Model, Service
from providers.routing import LONGEST_KEPT, NAMES_KEPT, Candidate, Need, Plan, Router, Sticky, Strategy, Wish


class Picky(OpenAICompatible):
    """Refuses fields by name, so that what the router makes of it can be seen alone."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.fit_of = Fit(refused) if refused else FITS

    def fit(self, request: ChatRequest, target: Target) -> Fit:
        return self.fit_of


WIRE = Picky()


def service(
    name: str,
    *,
    priority: int = 0,
    weight: int = 1,
    models: Sequence[str] | Mapping[str, Model] = (),
    default: str = "d",
    keys: int = 0,
    adapter: Adapter = WIRE,
) -> Service:
    listed = models if isinstance(models, Mapping) else {model: Model(f"up-{model}") for model in models}
    return Service(
        name=name,
        backend_type="custom",
        base_url="http://127.0.0.1/v1",
        adapter=adapter,
        default_model=next(iter(listed), default),
        api_keys=tuple(SecretStr(f"{name}-{number}") for number in range(keys)),
        models=listed,
        priority=priority,
        weight=weight,
    )


def names(plan: Plan) -> list[str]:
    return [target.name for target in plan.targets]


def asking(text: str = "Hi", *, max_tokens: int | None = None, tools: bool = False, image: bool = False) -> ChatRequest:
    content = (Text(text), Image("data:image/png;base64,AA==")) if image else text
    return ChatRequest((Message("user", content),), max_tokens=max_tokens, tools=(Tool("t"),) if tools else ())


# Names

SERVICES = (
    service("third", priority=3),
    service("first", priority=1, models=("a", "org/b")),
    service("second", priority=2, models=("a", "c")),
)
ALIASES = {
    "fast": [AliasTarget("second/c", 0), AliasTarget("third/t", 1)],
    "c": [AliasTarget("third/other")],
    "both": [AliasTarget("a", 1), AliasTarget("fast", 0)],
}


@pytest.mark.parametrize(
    ("model", "only", "found"),
    [
        (None, None, ["first/up-a", "second/up-a", "third/d"]),
        (None, "second", ["second/up-a"]),
        (None, "nobody", []),
        # listed models go to who lists them, under their upstream names
        ("a", None, ["first/up-a", "second/up-a"]),
        ("a", "second", ["second/up-a"]),
        # a service's name before the model; unless the whole is a model
        ("org/b", None, ["first/up-org/b"]),
        ("second/c", None, ["second/up-c"]),
        ("third/anything/at/all", None, ["third/anything/at/all"]),
        ("first/c", None, ["third/first/c"]),
        ("second/a", "first", []),
        # nobody lists it: who lists nothing
        ("x", None, ["third/x"]),
        ("x", "first", []),
        # alternatives, in order, each target once
        ("second/c|a", None, ["second/up-c", "first/up-a", "second/up-a"]),
        ("a | a||", None, ["first/up-a", "second/up-a"]),
        ("|".join("x" * 17), None, []),
        # aliases: in order, also of others, before a model of the same name, at one service only
        ("fast", None, ["second/up-c", "third/t"]),
        ("both", None, ["second/up-c", "third/t", "first/up-a", "second/up-a"]),
        ("c", None, ["third/other"]),
        ("fast", "third", ["third/t"]),
        ("fast", "first", []),
        ("fast|second/c|org/b", None, ["second/up-c", "third/t", "first/up-org/b"]),
    ],
)
def test_names(model: str | None, only: str | None, found: list[str]) -> None:
    """Targets by name, in the order they would be asked; the same when asked again."""
    router = Router(SERVICES, aliases=ALIASES)
    assert names(router.plan(Wish(model, only))) == found
    again = router.plan(Wish(model, only))
    assert names(again) == found
    assert again.unsupported == ()


def test_models() -> None:
    """Each name once, with who answers to it first: aliases, then by priority; an unnamed default is no name."""
    router = Router([*SERVICES, service("fourth", default=UNNAMED_MODEL, priority=4)], aliases=ALIASES)
    assert router.models() == (
        ("fast", "second", "up-c"),
        ("c", "third", "other"),
        ("both", "second", "up-c"),
        ("a", "first", "up-a"),
        ("org/b", "first", "up-org/b"),
        ("d", "third", "d"),
    )
    assert [service.name for service in router.unlisted()] == ["third", "fourth"]
    assert (router.service("first"), router.service("nobody")) == (SERVICES[1], None)


@pytest.mark.parametrize(
    ("aliases", "places"),
    [
        ({"x": ["x"]}, ["models.x"]),
        ({"x": ["y"], "y": ["z"], "z": ["first/a", "x"]}, ["models.x", "models.y", "models.z"]),
        ({"x": ["y"], "y": ["y"], "w": ["first/a", "x"]}, ["models.y"]),
        ({"x": ["first/a", "nobody", "first/q"]}, ["models.x[1]", "models.x[2]"]),
        ({"x": ["first/a", "y"], "y": ["nobody"]}, ["models.x[1]", "models.y[0]"]),
    ],
)
def test_aliases_that_cannot_be(aliases: dict[str, list[str]], places: list[str]) -> None:
    """Those that stand for themselves or for nothing are named, all at once."""
    with pytest.raises(ConfigProblem) as caught:
        Router([SERVICES[1]], aliases={name: [AliasTarget(t) for t in targets] for name, targets in aliases.items()})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == places


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefxyz"), min_size=1, max_size=4)))
def test_alias_circles(aliases: dict[str, list[str]]) -> None:
    """Refused exactly if some alias can be reached from itself, by a search of its own; never an endless loop."""

    def circular(name: str, path: tuple[str, ...] = ()) -> bool:
        return name in path or any(circular(target, (*path, name)) for target in aliases.get(name, ()))

    given_aliases = {name: [AliasTarget(target) for target in targets] for name, targets in aliases.items()}
    if any(circular(name) for name in aliases):
        with pytest.raises(ConfigProblem, match="stands for itself"):
            Router([service("s")], aliases=given_aliases)
    else:
        router = Router([service("s")], aliases=given_aliases)
        assert all(router.plan(Wish(name)).targets for name in aliases)


# Lots and sessions


def test_priorities_are_never_mixed() -> None:
    """Within a priority the first place goes by weight."""
    router = Router([service("heavy", weight=3), service("light"), service("last", priority=1)])
    firsts: Counter[str] = Counter()
    for _ in range(2000):
        order = [target.service for target in router.plan(Wish()).targets]
        assert order[2] == "last"
        firsts[order[0]] += 1
    assert 1300 < firsts["heavy"] < 1700


@settings(max_examples=15)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.booleans())
def test_shares(weights: list[int], sticky: bool) -> None:
    """First places are shared in proportion, of requests or of sessions, within six standard deviations."""
    aliases = {"x": [AliasTarget(f"s/m{number}", 0, weight) for number, weight in enumerate(weights)]}
    router = Router([service("s")], aliases=aliases, sticky="session" if sticky else "off")
    count = 1500
    firsts = Counter(router.plan(Wish("x", session=f"session {n}")).targets[0].model for n in range(count))
    for number, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(firsts[f"m{number}"] - count * share) < 6 * (count * share * (1 - share)) ** 0.5 + 1


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=6),
    st.data(),
    st.lists(st.text(max_size=20), min_size=1, max_size=60, unique=True),
)
def test_a_removed_service_moves_only_its_own_sessions(weights: list[int], data: st.DataObject, ids: list[str]) -> None:
    """The others stay where they were, and all orders stay as they were but for the one that went."""
    services = [service(f"s{number}", weight=weight) for number, weight in enumerate(weights)]
    gone = data.draw(st.sampled_from(services))
    before = Router(services, sticky="session")
    after = Router([kept for kept in services if kept is not gone], sticky="session")
    for session in filter(None, ids):
        order = names(before.plan(Wish(session=session)))
        assert names(before.plan(Wish(session=session))) == order
        assert names(after.plan(Wish(session=session))) == [name for name in order if name != f"{gone.name}/d"]


def test_keys_take_turns() -> None:
    """All keys of a target stand side by side, beginning with the one whose turn it is."""
    router = Router([service("a", keys=3), service("b", priority=1, keys=1)])
    orders = [[(target.service, target.key_slot) for target in router.plan(Wish()).targets] for _ in range(4)]
    assert orders == [[*(("a", (turn + n) % 3) for n in range(3)), ("b", 0)] for turn in range(4)]
    assert [target.api_key for target in router.plan(Wish(service="b")).targets] == [SecretStr("b-0")]


def test_keys_take_turns_for_each_model() -> None:
    """Also where every plan holds two models of one service, so that each plan takes two turns."""
    aliases = {"x": [AliasTarget("s/a", 0), AliasTarget("s/b", 1)]}
    router = Router([service("s", models=("a", "b"), keys=2)], aliases=aliases)
    plans = [router.plan(Wish("x")).targets for _ in range(100)]
    for place in (0, 2):  # the first key of each model
        assert Counter(targets[place].key_slot for targets in plans) == {0: 50, 1: 50}
    assert all([target.model for target in targets] == ["up-a", "up-a", "up-b", "up-b"] for targets in plans)


def test_a_session_keeps_its_key() -> None:
    """And sessions are spread over the keys."""
    router = Router([service("a", keys=3)], sticky="session")
    firsts = [{router.plan(Wish(session=f"s{n}")).targets[0].key_slot for _ in range(3)} for n in range(200)]
    assert all(len(slots) == 1 for slots in firsts)
    assert all(count > 30 for count in Counter(slot for slots in firsts for slot in slots).values())
    unnamed = [router.plan(Wish(request=asking())).targets[0].key_slot for _ in range(3)]
    assert unnamed == [0, 1, 2]


LONG = "x" * 3000


@pytest.mark.parametrize(
    ("messages", "same"),
    [
        ([Message("user", LONG + "other end")], True),
        ([Message("user", LONG), Message("assistant", "a"), Message("user", "more")], True),
        ([Message("user", LONG), Message("system", "late")], True),
        ([Message("system", "s"), Message("user", LONG)], False),
        ([Message("user", "y" + LONG)], False),
    ],
)
def test_conversations_that_begin_alike(messages: list[Message], same: bool) -> None:
    """With `prefix` they go the same way without being named, and a name goes before."""
    router = Router([service(f"s{n}") for n in range(50)], sticky="prefix")
    first = names(router.plan(Wish(request=ChatRequest((Message("user", LONG),)))))
    other = ChatRequest(tuple(messages))
    assert (names(router.plan(Wish(request=other))) == first) is same
    assert names(router.plan(Wish(request=other, session="named"))) == names(router.plan(Wish(session="named")))
    with_tools = ChatRequest((Message("user", LONG),), tools=(Tool("t"),))
    assert names(router.plan(Wish(request=with_tools))) != first


@pytest.mark.parametrize("sticky", ["off", "session"])
def test_nothing_is_sticky_unasked(sticky: Sticky) -> None:
    """Without the setting a name changes nothing, without a name a beginning does not."""
    router = Router([service(f"s{n}") for n in range(20)], sticky=sticky)
    wish = Wish(request=asking(), session="named" if sticky == "off" else None)
    assert len({tuple(names(router.plan(wish))) for _ in range(5)}) > 1


def test_a_session_may_hold_anything() -> None:
    """A header's bytes, a lone surrogate."""
    router = Router([service("a"), service("b")], sticky="session")
    for session in ("\x00\xff", "\ud800", "x" * 100_000):
        assert len(router.plan(Wish(session=session)).targets) == 2


# What targets can do

ABLE = service("able", models={"m": Model("m")})


@pytest.mark.parametrize(
    ("model", "request_", "reasons"),
    [
        (Model("m", tools=False), asking(tools=True), ("no_tools",)),
        (Model("m", tools=False), asking(), None),
        (Model("m", tools=True, vision=True), asking(tools=True, image=True), None),
        (Model("m", vision=False), asking(image=True), ("no_vision",)),
        (Model("m", vision=False), asking(tools=True), None),
        (Model("m", tools=False, vision=False), asking(tools=True, image=True), ("no_tools", "no_vision")),
        (Model("m", context_window=100), asking("x" * 404), ("context_window",)),
        (Model("m", context_window=100), asking("x" * 400), None),
        (Model("m", context_window=100), asking("x" * 360, max_tokens=11), ("context_window",)),
        (Model("m", context_window=100), asking("x" * 360, max_tokens=10), None),
    ],
)
def test_who_falls_out(model: Model, request_: ChatRequest, reasons: tuple[str, ...] | None) -> None:
    """The target that cannot, and only it; what nobody said is taken to be possible."""
    router = Router([service("first", models={"m": model}), service("second", priority=1, models={"m": Model("m")})])
    plan = router.plan(Wish("m", request=request_))
    chosen = [Candidate("first", "m", True, ("priority 0",)), Candidate("second", "m", True, ("priority 1",))]
    if reasons is None:
        assert (names(plan), plan.candidates) == (["first/m", "second/m"], tuple(chosen))
    else:
        assert (names(plan), plan.unsupported) == (["second/m"], ())
        assert plan.candidates == (chosen[1], Candidate("first", "m", False, reasons))
    # Another request is not told the same.
    assert names(router.plan(Wish("m", request=asking()))) == ["first/m", "second/m"]


def test_nobody_can() -> None:
    """No targets, and the fields because of which; a window too small by estimate is no reason."""
    services = [
        service("a", models={"m": Model("m", tools=False)}),
        service("b", priority=1, models={"m": Model("m", vision=False)}, adapter=Picky("n", "logprobs")),
    ]
    plan = Router(services).plan(Wish("m", request=asking(tools=True, image=True)))
    assert (plan.targets, plan.unsupported) == ((), ("tools", "image_url", "n", "logprobs"))
    assert plan.candidates == (
        Candidate("a", "m", False, ("no_tools",)),
        Candidate("b", "m", False, ("no_vision", "unsupported:n", "unsupported:logprobs")),
    )
    small = Model("m", context_window=10)
    router = Router([service("a", models={"m": small}), service("b", priority=1, models={"m": small})])
    assert names(router.plan(Wish("m", request=asking("x" * 1000)))) == ["a/m", "b/m"]
    # The last one that can do it is asked, whatever its window.
    services = [service("a", models={"m": small}), service("b", priority=1, models={"m": Model("m", tools=False)})]
    assert names(Router(services).plan(Wish("m", request=asking("x" * 1000, tools=True)))) == ["a/m"]


@pytest.mark.parametrize("strategy", ["priority", "least-cost"])
def test_nobody_has_it(strategy: Strategy) -> None:
    """No targets, no candidates and nothing unsupported."""
    assert Router([SERVICES[1]], strategy=strategy).plan(Wish("x", request=asking(tools=True))) == Plan()


@pytest.mark.parametrize(("need", "found"), [("tools", ["b/d", "c/d"]), ("count_tokens", ["c/d"])])
def test_needs(need: Need, found: list[str]) -> None:
    """What no request shows is asked of models and wires."""
    services = [
        service("a", models={"d": Model("d", tools=False)}),
        service("b", priority=1),
        service("c", priority=2, adapter=Anthropic()),
    ]
    plan = Router(services).plan(Wish("d", needs=frozenset({need})))
    assert names(plan) == found
    assert {c.reasons for c in plan.candidates if not c.chosen} == {(f"no_{need}",)}
    alone = Router(services[:1]).plan(Wish("d", needs=frozenset({need})))
    assert (alone.targets, alone.unsupported) == ((), (need,))


# Strategies


def test_least_latency() -> None:
    """Unmeasured first, then the quickest; across priorities, within each alternative."""
    latencies = MovingLatencies()
    services = [service(name, priority=n, models=("m", "n")) for n, name in enumerate("abc")]
    router = Router(services, strategy="least-latency", latencies=latencies)
    latencies.observe("a/up-m", 0.3)
    latencies.observe("b/up-m", 0.12)
    plan = router.plan(Wish("m|n"))
    assert names(plan) == ["c/up-m", "b/up-m", "a/up-m", "a/up-n", "b/up-n", "c/up-n"]
    assert [candidate.reasons for candidate in plan.candidates[:3]] == [
        ("priority 2", "unmeasured"),
        ("priority 1", "latency 120 ms"),
        ("priority 0", "latency 300 ms"),
    ]


def test_least_cost() -> None:
    """Ascending list price, the operator's own included; unknown last."""
    prices = Prices({"b/up-m": Price(Decimal("0.1"), Decimal("0.05")), "c/up-m": Price(Decimal(10), Decimal(20))})
    router = Router(
        [service(name, models=("m",)) for name in "abc"], strategy="least-cost", prices=prices, sticky="session"
    )
    plan = router.plan(Wish("m", session="s"))
    assert names(plan) == ["b/up-m", "c/up-m", "a/up-m"]
    assert [candidate.reasons for candidate in plan.candidates] == [
        ("priority 0", "weight 1", "sticky", "cost 0.15"),
        ("priority 0", "weight 1", "sticky", "cost 30"),
        ("priority 0", "weight 1", "sticky", "unpriced"),
    ]


def test_reasons_of_an_alias() -> None:
    """Its own priorities and weights, then those within what it names."""
    services = [service("a", models=("m",), weight=2), service("b", models=("m",)), service("c", models=("n",))]
    aliases = {"x": [AliasTarget("m", 0, 5), AliasTarget("c/n", 0), AliasTarget("c/n", 7)]}
    plan = Router(services, aliases=aliases).plan(Wish("x"))
    assert {(candidate.service, candidate.reasons) for candidate in plan.candidates} == {
        ("a", ("priority 0", "weight 5", "priority 0", "weight 2")),
        ("b", ("priority 0", "weight 5", "priority 0", "weight 1")),
        ("c", ("priority 0", "weight 1")),
    }


def test_moving_latencies() -> None:
    """A moving average that fades while nobody renews it, of a bounded number of targets."""
    now = 0.0
    latencies = MovingLatencies(lambda: now)
    target = service("s").target("m")
    assert latencies.latency_s(target) is None
    latencies.observe("s/m", 1.0)
    latencies.observe("s/m", 2.0)
    assert latencies.latency_s(target) == pytest.approx(1.2)
    now = HALF_LIFE_S
    assert latencies.latency_s(target) == pytest.approx(0.6)
    for number in range(KEPT):
        latencies.observe(f"s/invented-{number}", 1.0)
    assert latencies.latency_s(target) is None
    assert latencies.latency_s(service("s").target("invented-0")) is not None


# Cost


def test_invented_names_take_no_memory() -> None:
    """What is remembered of callers' model names is bounded in number and length."""
    router = Router([service("s")])
    for number in range(NAMES_KEPT + 500):
        assert names(router.plan(Wish(f"invented-{number}"))) == [f"s/invented-{number}"]
    router.plan(Wish("x" * (LONGEST_KEPT + 1)))
    assert len(router._remembered) == NAMES_KEPT
    assert max(len(model or "") for model, _ in router._remembered) <= LONGEST_KEPT


def test_few_names_are_kept() -> None:
    """256 of them, and of whose turn it is among the keys 4,096: a hostile caller gets no more than that."""
    router = Router([service("s", keys=2)])
    for number in range(5000):
        router.plan(Wish(f"invented-{number}"))
    assert len(router._remembered) == 256
    assert len(router._chance._turns) == 4096


@pytest.mark.parametrize("strategy", ["priority", "least-latency", "least-cost"])
@pytest.mark.parametrize("equal", [False, True], ids=["by priority", "drawn"])
@pytest.mark.parametrize("keys", [0, 3])
def test_a_plan_is_bounded(strategy: Strategy, equal: bool, keys: int) -> None:
    """However many services may have each of sixteen names: 32 targets, the first ones, each with all its keys."""
    services = [service(f"s{n:02}", priority=0 if equal else n, keys=keys) for n in range(20)]
    router = Router(services, strategy=strategy, latencies=MovingLatencies())
    plan = router.plan(Wish("|".join(f"m{n}" for n in range(16)), request=asking()))
    found = dict.fromkeys(names(plan))
    assert len(plan.targets) == 32 * max(1, keys)
    assert len(found) == len(plan.candidates) == 32
    expected = [f"s{n:02}/m{model}" for model in range(2) for n in range(20)][:32]
    assert (sorted(found) if equal else list(found)) == (sorted(expected) if equal else expected)
    assert [f"{candidate.service}/{candidate.model}" for candidate in plan.candidates] == list(found)


@pytest.mark.parametrize("equal", [False, True], ids=["by priority", "drawn"])
def test_cost_of_a_plain_request(equal: bool) -> None:
    """On the hot path: 5 µs for three services by priority, some more by lots; 60 leaves room for a busy machine."""
    router = Router([service(f"s{number}", priority=0 if equal else number, models=("m",)) for number in range(3)])
    wish = Wish("m", request=asking(max_tokens=256))

    def timed() -> float:
        started = time.perf_counter()
        for _ in range(500):
            router.plan(wish)
        return (time.perf_counter() - started) / 500

    assert min(timed() for _ in range(5)) < 60e-6
