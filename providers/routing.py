"""Which targets a request may go to, in which order."""

import random
from collections.abc import Sequence

from providers.base import Target
from providers.registry import Service


class Router:
    """
    Services by priority (lower first), and within a priority in an order drawn by weight.

    A service that lists models is asked for those only; one that lists none may be asked for any model.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.services = tuple(sorted(services, key=lambda service: service.priority))
        self._by_name = {service.name: service for service in self.services}
        priorities = [service.priority for service in self.services]
        self._drawn = len(set(priorities)) < len(priorities)

    def targets(self, model: str | None = None, service: str | None = None) -> list[Target]:
        """
        Targets for `model` (None: each service's default), at `service` only if named. Empty: nobody serves it.

        `a|b` is a list of alternatives in order; `service/model` names a service, unless the whole is the name of a
        model that a service lists (model names contain slashes too).
        """
        services = self._ordered() if service is None else [s for s in self.services if s.name == service]
        if model is None:
            return [s.target(None) for s in services]
        targets: list[Target] = []
        for name in model.split("|"):
            targets += [target for target in self._alternatives(name.strip(), services) if target not in targets]
        return targets

    def _alternatives(self, model: str, services: Sequence[Service]) -> list[Target]:
        if not model:
            return []
        listed = [s.target(model) for s in services if model in s.models or model == s.default_model]
        if listed:
            return listed
        prefix, slash, rest = model.partition("/")
        named = self._by_name.get(prefix)
        if slash and rest and named is not None and named in services and (not named.models or rest in named.models):
            return [named.target(rest)]
        return [s.target(model) for s in services if not s.models]

    def _ordered(self) -> Sequence[Service]:
        if not self._drawn:
            return self.services
        # Weighted order without replacement: Efraimidis and Spirakis, 2006 (key u^(1/w), largest first).
        keyed = [
            (service.priority, -(random.random() ** (1 / service.weight)), index, service)  # noqa: S311 (spreads load)
            for index, service in enumerate(self.services)
        ]
        return [service for *_, service in sorted(keyed, key=lambda item: item[:3])]
