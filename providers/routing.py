"""Which targets a request may go to, in which order, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, Protocol

from providers.base import CountsTokens, Embeds, Target
from providers.catalogue import AliasTarget, Catalogue, Group, Leaf, Offer, leaves
from providers.chat import ChatRequest, Image
from providers.draw import Chance, Draw, Rendezvous, beginning, drawn
from providers.pricing import Prices
from providers.registry import Service

Strategy = Literal["priority", "least-latency", "least-cost"]
Sticky = Literal["off", "session", "prefix"]
Need = Literal["tools", "vision", "embeddings", "count_tokens"]

CHARS_PER_TOKEN = 4
"""
Of English prose; other languages and code have fewer. The estimate is low, so that nobody is refused who might fit: it
is held against a window that is known, and where no window is large enough the providers themselves have the word.
"""
NAMES_KEPT = 256
"""Callers may invent model names: what they stand for is remembered of so many, none longer than `LONGEST_KEPT`."""
LONGEST_KEPT = 512
MAX_TARGETS = 32
"""Of one plan, keys not counted: `a|b|c` of names that many services may have must not become hundreds of calls."""

_FIELDS: Mapping[Need, str] = {
    "tools": "tools",
    "vision": "image_url",
    "embeddings": "embeddings",
    "count_tokens": "count_tokens",
}
"""What a caller is told when nobody meets a need: the field that has it, else what was asked for."""
_NOTHING: frozenset[Need] = frozenset()
_TOOLS: frozenset[Need] = frozenset({"tools"})
_VISION: frozenset[Need] = frozenset({"vision"})


class Latencies(Protocol):
    """`MovingLatencies`, or what else knows."""

    def latency_s(self, target: Target) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What a caller wants: a model, a service, or neither.

    With `request`, targets that cannot do it fall out; `needs` are those it does not show. `session` is what a caller
    calls a conversation that should stay with one target.
    """

    model: str | None = None
    service: str | None = None
    request: ChatRequest | None = None
    session: str | None = None
    needs: frozenset[Need] = _NOTHING


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A target that was considered, and why it was chosen or not.

    Reasons, chosen: `priority N`, `weight N`, `sticky`, `latency N ms` or `unmeasured`, `cost N` (USD per million
    tokens of input and of output together) or `unpriced`. Not chosen: `no_` and a need, `unsupported:` and a field of
    OpenAI's request, `context_window`.
    """

    service: str
    model: str
    chosen: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Targets in the order they are to be asked, all keys of one side by side; candidates likewise, then those left out.

    `unsupported`: the fields because of which every target fell out. No targets and none of them: nobody has the model.
    """

    targets: tuple[Target, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What a model name stands for. `plan` when neither lots nor keys nor measurements can change it."""

    alternatives: tuple[Group, ...]
    leaves: tuple[Leaf, ...]
    candidates: Mapping[str, Candidate]
    abilities: Mapping[str, frozenset[Need]]
    lots: frozenset[str]
    common: frozenset[Need]
    smallest_window: int | None
    plan: Plan | None


class Router:
    """
    Plans requests over services and aliases; keeps whose turn it is among a service's keys.

    `strategy` orders the targets of one alternative: by priority and in one by weight; or by their latency, those not
    measured first; or by their list price, those without last. `sticky` fixes for a session what is drawn by lots and
    which key comes first, so that a provider's prompt cache finds it again: `session` for those that callers name,
    `prefix` also for conversations that begin alike. Raises `ConfigProblem` for aliases that cannot be.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        aliases: Mapping[str, Sequence[AliasTarget]] | None = None,
        strategy: Strategy = "priority",
        sticky: Sticky = "off",
        latencies: Latencies | None = None,
        prices: Prices | None = None,
    ) -> None:
        self._catalogue = Catalogue(services, aliases or {})
        self.services = self._catalogue.services
        self._strategy: Strategy = strategy
        self._sticky: Sticky = sticky
        self._latencies = latencies
        self._prices = prices or Prices()
        self._chance = Chance()
        self._remembered: dict[tuple[str | None, str | None], _Known] = {}
        self._reached: dict[frozenset[str], frozenset[str]] = {}

    def plan(self, wish: Wish) -> Plan:
        """Whom to ask. Costs a few µs, as most requests find their model's plan made."""
        known = self._remembered.get((wish.model, wish.service)) or self._look_up(wish.model, wish.service)
        out = self._unfit(known, wish)
        if not out and known.plan is not None:
            return known.plan
        if len(out) == len(known.leaves):
            return self._nobody(known, out)
        session = self._session(wish)
        draw: Draw = self._chance if session is None else Rendezvous(session)
        chosen = {leaf.name: leaf for leaf in self._ordered(known, draw)}
        chosen = {name: leaf for name, leaf in chosen.items() if name in known.candidates and name not in out}
        targets: list[Target] = []
        for leaf in chosen.values():
            rotations = leaf.rotations
            targets += rotations[draw.slot(leaf) if len(rotations) > 1 else 0]
        candidates = [self._explained(leaf, known, sticky=session is not None) for leaf in chosen.values()]
        return Plan(tuple(targets), (*candidates, *_left_out(known, out)))

    def stands_for(self, model: str, service: str | None = None) -> tuple[Target, ...]:
        """Every target that the name may lead to, one for each model at each service, in no order to rely on."""
        groups = self._catalogue.alternatives(model, service)
        return tuple(leaf.target for group in groups for leaf in leaves(group))

    def reached(self, models: frozenset[str]) -> frozenset[str]:
        """The names (`service/model`) of all targets that any of these stands for."""
        found = self._reached.get(models)
        if found is None:
            found = frozenset(target.name for model in models for target in self.stands_for(model))
            if len(self._reached) >= NAMES_KEPT:
                del self._reached[next(iter(self._reached))]
            self._reached[models] = found
        return found

    def standing_for(self, model: str | None, service: str | None = None) -> Iterator[Target]:
        """All targets that a plan for this name chooses from, without taking anybody's turn."""
        known = self._remembered.get((model, service)) or self._look_up(model, service)
        return (leaf.target for leaf in known.leaves)

    def service(self, name: str) -> Service | None:
        return self._catalogue.by_name.get(name)

    def models(self) -> tuple[Offer, ...]:
        """What callers may name: aliases, listed models and default models."""
        return self._catalogue.offers()

    def unlisted(self) -> tuple[Service, ...]:
        """Services that list no models: what they have, only they know."""
        return tuple(service for service in self.services if not service.models)

    def _look_up(self, model: str | None, service: str | None) -> _Known:
        alternatives = tuple(self._catalogue.alternatives(model, service))
        leaves: dict[str, Leaf] = {}
        candidates: dict[str, Candidate] = {}
        lots: set[str] = set()
        for group in alternatives:
            for leaf, reasons, is_drawn in _explained_leaves(group):
                if len(leaves) >= MAX_TARGETS and leaf.name not in leaves:
                    continue
                leaves.setdefault(leaf.name, leaf)
                target = leaf.target
                candidates.setdefault(leaf.name, Candidate(target.service, target.model, True, reasons))
                if is_drawn or len(leaf.rotations) > 1:
                    lots.add(leaf.name)
        abilities = {name: _abilities(leaf.target) for name, leaf in leaves.items()}
        windows = [leaf.target.context_window for leaf in leaves.values() if leaf.target.context_window is not None]
        fixed = self._strategy == "priority" and not lots
        known = _Known(
            alternatives=alternatives,
            leaves=tuple(leaves.values()),
            candidates=candidates,
            abilities=abilities,
            lots=frozenset(lots),
            common=frozenset(_FIELDS).intersection(*abilities.values()),
            smallest_window=min(windows, default=None),
            plan=Plan(tuple(leaf.target for leaf in leaves.values()), tuple(candidates.values())) if fixed else None,
        )
        if len(model or "") <= LONGEST_KEPT and len(service or "") <= LONGEST_KEPT:
            if len(self._remembered) >= NAMES_KEPT:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[model, service] = known
        return known

    def _unfit(self, known: _Known, wish: Wish) -> Mapping[str, tuple[str, ...]]:
        """Reasons by the name of each target that falls out; all of them only if none can do it."""
        request, needs = wish.request, wish.needs
        if request is not None:
            if request.tools and "tools" not in known.common:
                needs |= _TOOLS
            if "vision" not in known.common and _has_images(request):
                needs |= _VISION
        out: dict[str, tuple[str, ...]] = {}
        for leaf in known.leaves:
            refused = () if request is None else leaf.target.adapter.fit(request, leaf.target).refused
            lacking = needs - known.abilities[leaf.name] if needs else needs
            if refused or lacking:
                reasons = dict.fromkeys([f"no_{need}" for need in sorted(lacking)])
                out[leaf.name] = (*reasons, *(f"unsupported:{name}" for name in refused))
        if request is None or known.smallest_window is None:
            return out
        tokens = sum(len(message.text) for message in request.messages) // CHARS_PER_TOKEN + (request.max_tokens or 0)
        if tokens > known.smallest_window:
            left = [leaf for leaf in known.leaves if leaf.name not in out]
            narrow = [leaf.name for leaf in left if tokens > (leaf.target.context_window or tokens)]
            if len(narrow) < len(left):
                out.update(dict.fromkeys(narrow, ("context_window",)))
        return out

    def _nobody(self, known: _Known, out: Mapping[str, tuple[str, ...]]) -> Plan:
        words = dict.fromkeys(word for leaf in known.leaves for word in out[leaf.name])
        fields: dict[str, None] = dict.fromkeys(_field_of(word) for word in words)
        return Plan((), tuple(_left_out(known, out)), tuple(fields))

    def _session(self, wish: Wish) -> str | None:
        if self._sticky == "off":
            return None
        if wish.session:
            return wish.session
        if self._sticky == "prefix" and wish.request is not None:
            return beginning(wish.request)
        return None

    def _ordered(self, known: _Known, draw: Draw) -> Iterator[Leaf]:
        for group in known.alternatives:
            leaves = drawn(group, draw.lot)
            if self._strategy == "least-latency":
                yield from sorted(leaves, key=self._latency_s)
            elif self._strategy == "least-cost":
                yield from sorted(leaves, key=self._cost)
            else:
                yield from leaves

    def _latency_s(self, leaf: Leaf) -> float:
        latency_s = None if self._latencies is None else self._latencies.latency_s(leaf.target)
        return -1.0 if latency_s is None else latency_s

    def _cost(self, leaf: Leaf) -> Decimal:
        price = self._prices.list_price(leaf.target, leaf.target.model)
        return Decimal("Infinity") if price is None else sum(price, Decimal(0))

    def _explained(self, leaf: Leaf, known: _Known, *, sticky: bool) -> Candidate:
        candidate = known.candidates[leaf.name]
        words: list[str] = []
        if sticky and leaf.name in known.lots:
            words.append("sticky")
        if self._strategy == "least-latency":
            latency_s = self._latency_s(leaf)
            words.append("unmeasured" if latency_s < 0 else f"latency {latency_s * 1000:.0f} ms")
        elif self._strategy == "least-cost":
            cost = self._cost(leaf)
            words.append(f"cost {cost.normalize():f}" if cost.is_finite() else "unpriced")
        return replace(candidate, reasons=(*candidate.reasons, *words)) if words else candidate


def _explained_leaves(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[Leaf, tuple[str, ...], bool]]:
    """Each leaf with its place in words, and whether lots decide it. A group of one says nothing that is not known."""
    alone = sum(map(len, group)) == 1
    for tier in group:
        shared = len(tier) > 1
        for item in tier:
            words = [*path]
            if not (alone and path):
                words.append(f"priority {item.priority}")
            if shared:
                words.append(f"weight {item.weight}")
            if isinstance(item.of, Leaf):
                yield item.of, tuple(words), shared
            else:
                for leaf, reasons, is_drawn in _explained_leaves(item.of, tuple(words)):
                    yield leaf, reasons, shared or is_drawn


def _abilities(target: Target) -> frozenset[Need]:
    found: set[Need] = set()
    if target.tools is not False:
        found.add("tools")
    if target.vision is not False:
        found.add("vision")
    if isinstance(target.adapter, Embeds):
        found.add("embeddings")
    if isinstance(target.adapter, CountsTokens):
        found.add("count_tokens")
    return frozenset(found)


def _has_images(request: ChatRequest) -> bool:
    return any(
        isinstance(part, Image)
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )


def _field_of(reason: str) -> str:
    kind, _, name = reason.partition(":")
    return name or next(word for need, word in _FIELDS.items() if kind == f"no_{need}")


def _left_out(known: _Known, out: Mapping[str, tuple[str, ...]]) -> Iterator[Candidate]:
    for leaf in known.leaves:
        if leaf.name in out:
            yield Candidate(leaf.target.service, leaf.target.model, False, out[leaf.name])
