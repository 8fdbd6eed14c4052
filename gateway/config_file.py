"""The configuration file: services, models, prices, routing, policies and tenants, every key checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from gateway.file_tenants import read_tenants
from gateway.key_records import DEFAULT_POLICY, NewTenant
from gateway.policies import Policy, read_policies
from gateway.settings import SettingsError
from gateway.yaml_reader import NotYaml, read_yaml
from providers.catalogue import AliasTarget, Catalogue
from providers.entries import Entry, shown
from providers.pricing import Price
from providers.registry import (
    MAX_PRIORITY,
    MAX_WEIGHT,
    NOT_MODEL,
    ConfigProblem,
    Service,
    is_model,
    services_from_entries,
)
from providers.routing import Sticky, Strategy

Unsupported = Literal["drop", "refuse"]
"""What is done about a field that a target would do without: `drop` it and say so, or `refuse` the request."""
_PLACE = "GATEWAY_CONFIG"
_SECTIONS = ("services", "models", "prices", "router", "policies", "tenants")
_MAX_PRICE = 1_000_000
_NOT_TARGETS = "must be a model, a list of models, or a list of {target, weight, priority}, and not empty"


@dataclass(frozen=True, slots=True)
class FileConfig:
    """`services`: the environment's where the file has none. `prices`: by `service/model`, in the provider's words."""

    services: tuple[Service, ...]
    aliases: Mapping[str, tuple[AliasTarget, ...]] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    strategy: Strategy = "priority"
    sticky: Sticky = "session"
    unsupported: Unsupported = "drop"
    policies: Mapping[str, Policy] = field(default_factory=lambda: {DEFAULT_POLICY: Policy()})
    tenants: Mapping[str, NewTenant] = field(default_factory=dict)


def read_config(path: Path, environment: Mapping[str, str], services: Callable[[], Sequence[Service]]) -> FileConfig:
    """
    Read and check the file. `services` makes those of the environment, and is called if the file has none.

    Raises `SettingsError` with every problem, each naming its key (`GATEWAY_CONFIG: services[1].base_url: …`) and never
    a value.
    """
    problems: list[str] = []
    try:
        document = read_yaml(path, environment, _PLACE, problems)
    except NotYaml as error:
        raise SettingsError([f"{_PLACE}: {error}"]) from None
    if not isinstance(document, dict):
        raise SettingsError(problems or [f"{_PLACE}: must be a map of {', '.join(_SECTIONS)}"])
    config = _Reader(document, environment, problems).config(services)
    if problems:
        raise SettingsError(problems)
    return config


class _Reader:
    """Reads one document. What is wrong goes to `problems`, and what is returned is then not all."""

    def __init__(self, document: Mapping[str, object], environment: Mapping[str, str], problems: list[str]) -> None:
        self._document = document
        self._top = Entry(document, f"{_PLACE}: ", problems)
        self._environment = environment
        self._problems = problems

    def config(self, services: Callable[[], Sequence[Service]]) -> FileConfig:
        self._top.check_keys(_SECTIONS)
        served = self._services(services)
        aliases = self._aliases()
        prices = self._prices(served)
        strategy, sticky, unsupported = self._router()
        policies = read_policies(self._top, self._problems)
        tenants = read_tenants(self._top, self._problems, policies)
        if served:  # else every name would seem to be nobody's
            try:
                Catalogue(served, aliases)
            except ConfigProblem as error:
                self._problems += [f"{_PLACE}: {problem}" for problem in error.problems]
        return FileConfig(
            services=served,
            aliases=aliases,
            prices=prices,
            strategy=strategy or "priority",
            sticky=sticky or "session",
            unsupported=unsupported or "drop",
            policies=policies,
            tenants=tenants,
        )

    def _services(self, otherwise: Callable[[], Sequence[Service]]) -> tuple[Service, ...]:
        """Empty when any of them is wrong."""
        before = len(self._problems)
        if "services" in self._top:
            place = self._top.at("services")
            # Not by `get`, for which a list with one bad item is no list.
            found = services_from_entries(self._document["services"], place, self._environment, self._problems)
            return tuple(found) if len(self._problems) == before else ()
        try:
            return tuple(otherwise())
        except SettingsError as error:
            self._problems += error.problems
            return ()

    def _aliases(self) -> dict[str, tuple[AliasTarget, ...]]:
        found: dict[str, tuple[AliasTarget, ...]] = {}
        section = self._top.map("models") or {}
        reader = Entry(section, self._top.at("models"), self._problems)
        for name in section:
            if not is_model(name):
                reader.wrong(shown(name), f"the name {NOT_MODEL}")
                continue
            value = reader.get(name)
            entries = value if isinstance(value, list) else [value]
            if not entries or not all(isinstance(entry, str | dict) for entry in entries):
                reader.wrong(name, _NOT_TARGETS)
                continue
            place = reader.at(shown(name))
            targets = [self._target(entry, f"{place}[{index}]", index) for index, entry in enumerate(entries)]
            found[name] = tuple(target for target in targets if target is not None)
        return found

    def _target(self, value: str | dict[str, object], place: str, index: int) -> AliasTarget | None:
        """With neither weight nor priority its place in the list is its priority; with a weight alone that is 0."""
        entry = Entry({"target": value} if isinstance(value, str) else value, place, self._problems)
        entry.check_keys(("target", "weight", "priority"))
        name = entry.text("target", is_model, NOT_MODEL, required=True)
        weight = entry.whole("weight", 1, MAX_WEIGHT)
        priority = entry.whole("priority", -MAX_PRIORITY, MAX_PRIORITY)
        if name is None:
            return None
        if priority is None:
            priority = index if weight is None else 0
        return AliasTarget(name, priority, weight or 1)

    def _prices(self, services: Sequence[Service]) -> dict[str, Price]:
        found: dict[str, Price] = {}
        by_name = {service.name: service for service in services}
        section = self._top.map("prices") or {}
        reader = Entry(section, self._top.at("prices"), self._problems)
        for name in section:
            service, slash, model = name.partition("/")
            if not slash or not is_model(model):
                reader.wrong(shown(name), "must be named service/model")
                continue
            if services and service not in by_name:
                reader.wrong(shown(name), "names no service that is configured")
            price = self._price(reader, name)
            if price is not None and service in by_name:
                found.setdefault(by_name[service].target(model).name, price)
        return found

    def _price(self, reader: Entry, name: str) -> Price | None:
        value = reader.get(name)
        if not isinstance(value, dict):
            reader.wrong(name, "must be a map")
            return None
        entry = Entry(value, reader.at(shown(name)), self._problems)
        entry.check_keys(("input_per_mtok", "output_per_mtok", "cached_input_per_mtok"))
        given = entry.amount("input_per_mtok", _MAX_PRICE, required=True)
        taken = entry.amount("output_per_mtok", _MAX_PRICE, required=True)
        cached = entry.amount("cached_input_per_mtok", _MAX_PRICE)
        return None if given is None or taken is None else Price(given, taken, cached)

    def _router(self) -> tuple[Strategy | None, Sticky | None, Unsupported | None]:
        entry = Entry(self._top.map("router") or {}, self._top.at("router"), self._problems)
        entry.check_keys(("strategy", "sticky", "unsupported"))
        strategies: tuple[Strategy, ...] = get_args(Strategy)
        stickies: tuple[Sticky, ...] = get_args(Sticky)
        ways: tuple[Unsupported, ...] = get_args(Unsupported)
        return entry.choice("strategy", strategies), entry.choice("sticky", stickies), entry.choice("unsupported", ways)
