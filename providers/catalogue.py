"""What callers may name, and which targets each name stands for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import NamedTuple

from providers.base import Target
from providers.entries import shown
from providers.registry import UNNAMED_MODEL, ConfigProblem, Service

MAX_ALTERNATIVES = 16
"""More in one `a|b|…` are no honest request: each is looked up, and some caller's body could hold a million."""


@dataclass(frozen=True, slots=True)
class AliasTarget:
    """One of those an alias stands for: `service/model`, a model, or another alias. `weight` at least 1."""

    target: str
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One model at one service with all its keys: `rotations[n]` begins with key slot n and goes round."""

    target: Target
    rotations: tuple[tuple[Target, ...], ...]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.target.name)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A leaf, or what a name within an alias stands for. `label` tells it from its equals when lots are drawn."""

    label: str
    priority: int
    weight: int
    of: "Leaf | Group"


Group = tuple[tuple[Item, ...], ...]
"""Tiers in the order they are asked; the items of one share by weight."""


class Offer(NamedTuple):
    """A name that callers may ask for, and who answers to it first."""

    id: str
    service: str
    model: str


class Catalogue:
    """
    Services and aliases by name. An alias wins over a model of the same name.

    A service that lists models is asked for those only; one that lists none may be asked for any model. Raises
    `ConfigProblem` for aliases that stand for themselves or for nothing; its lines begin with `models.`.
    """

    def __init__(self, services: Sequence[Service], aliases: Mapping[str, Sequence[AliasTarget]]) -> None:
        self.services = tuple(sorted(services, key=lambda service: service.priority))
        self._aliases = aliases
        self.by_name = {service.name: service for service in self.services}
        problems = list(self._problems())
        if problems:
            raise ConfigProblem(problems)

    def alternatives(self, model: str | None, service: str | None) -> list[Group]:
        """
        What `model` (None: each service's default) stands for, at `service` only if named. Empty: nobody serves it.

        `a|b` is a list of alternatives in order; `service/model` names a service, unless the whole is the name of an
        alias or of a model that a service lists (model names contain slashes too).
        """
        services = self.services if service is None else tuple(s for s in self.services if s.name == service)
        if model is None:
            return [_group([_item(s, None) for s in services])] if services else []
        if model.count("|") >= MAX_ALTERNATIVES:
            return []
        groups = [self._named(name.strip(), services) for name in model.split("|")]
        if service is not None:
            groups = [_at(group, service) for group in groups]
        return [group for group in groups if group]

    def offers(self) -> tuple[Offer, ...]:
        """Aliases, then listed and default models by priority of their services; a name is offered once."""
        found: dict[str, Offer] = {}
        for alias in self._aliases:
            first = next(leaves(self._named(alias, self.services)))
            found[alias] = Offer(alias, first.target.service, first.target.model)
        for service in self.services:
            for name in (*service.models, service.default_model):
                if name != UNNAMED_MODEL:
                    found.setdefault(name, Offer(name, service.name, service.target(name).model))
        return tuple(found.values())

    def _named(self, name: str, services: Sequence[Service]) -> Group:
        if not name:
            return ()
        alias = self._aliases.get(name)
        if alias is not None:
            # Of all services, or a target at one of them would be taken for a model of another.
            items = [
                Item(entry.target, entry.priority, entry.weight, self._named(entry.target, self.services))
                for entry in alias
            ]
            return _group([item for item in items if item.of])
        listed = [s for s in services if name in s.models or name == s.default_model]
        if listed:
            return _group([_item(s, name) for s in listed])
        prefix, slash, rest = name.partition("/")
        named = self.by_name.get(prefix)
        if slash and rest and named is not None and named in services and (not named.models or rest in named.models):
            return _group([_item(named, rest)])
        return _group([_item(s, name) for s in services if not s.models])

    def _problems(self) -> Iterator[str]:
        for alias, entries in self._aliases.items():
            if alias in self._reached(alias):
                yield f"models.{shown(alias)}: stands for itself, at once or by way of others"
                continue
            for index, entry in enumerate(entries):
                reached = self._reached(entry.target)
                circular = any(name in self._reached(name) for name in reached)
                if not circular and not self._named(entry.target, self.services):
                    yield f"models.{shown(alias)}[{index}]: names what no service has"

    def _reached(self, name: str) -> set[str]:
        """The names that the alias `name` stands for, by way of others too."""
        reached: set[str] = set()
        ahead = [name]
        while ahead:
            for entry in self._aliases.get(ahead.pop(), ()):
                if entry.target not in reached:
                    reached.add(entry.target)
                    ahead.append(entry.target)
        return reached


def leaves(group: Group) -> Iterator[Leaf]:
    """In order of configuration: as they are asked if no lots are drawn."""
    for tier in group:
        for item in tier:
            if isinstance(item.of, Leaf):
                yield item.of
            else:
                yield from leaves(item.of)


def _item(service: Service, model: str | None) -> Item:
    targets = service.targets(model)
    rotations = tuple(targets[slot:] + targets[:slot] for slot in range(len(targets)))
    leaf = Leaf(targets[0], rotations)
    return Item(leaf.name, service.priority, service.weight, leaf)


def _at(group: Group, service: str) -> Group:
    """What of the group is at this service."""
    items: list[Item] = []
    for item in chain.from_iterable(group):
        if not isinstance(item.of, Leaf):
            inner = _at(item.of, service)
            items += [replace(item, of=inner)] if inner else []
        elif item.of.target.service == service:
            items.append(item)
    return _group(items)


def _group(items: Sequence[Item]) -> Group:
    ranked = sorted(items, key=lambda item: item.priority)
    return tuple(tuple(tier) for _, tier in groupby(ranked, key=lambda item: item.priority))
