"""Which models a key may ask for: the one place where plans are made for callers."""

from dataclasses import replace

from starlette.types import Scope

from middleware.record import RECORD, Decision
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL, Principal
from providers.base import Target
from providers.routing import Plan, Router, Wish

_NOT_ALLOWED = Refusal(403, "model_not_allowed", "this key may not use this model", param="model")


class Permit:
    """
    The targets that some caller may reach: those that each list of allowed names stands for.

    An allowed name is written as callers write one (a model, an alias, `service/model`) and stands for what it would
    stand for in a request; `service/*` for all of a service, the upstream's name of a model for this model wherever it
    is. With several lists a target must be in each.
    """

    def __init__(self, router: Router, principal: Principal | None) -> None:
        lists = () if principal is None else (principal.allowed_models, principal.tenant_models)
        self._router = router
        self._lists = [(names, router.reached(names)) for names in lists if names is not None]

    @property
    def is_for_all(self) -> bool:
        return not self._lists

    def allows(self, target: Target) -> bool:
        return all(
            target.name in targets or target.model in names or f"{target.service}/*" in names
            for names, targets in self._lists
        )

    def allows_name(self, name: str, service: str | None = None) -> bool:
        """Whether something is left of what `name` stands for. True also if it stands for nothing: that is a 404."""
        targets = self._router.stands_for(name, service)
        return not targets or any(map(self.allows, targets))


def plan_for(scope: Scope, router: Router, wish: Wish) -> Plan | Refusal:
    """
    Whom to ask for this caller: no target that the key may not use; a refusal if that leaves none.

    Of `a|b` each alternative must be allowed. Reads PRINCIPAL.
    """
    plan = router.plan(wish)
    permit = Permit(router, PRINCIPAL.get(scope))
    if permit.is_for_all or not plan.targets:
        return plan
    targets = tuple(target for target in plan.targets if permit.allows(target))
    names = () if wish.model is None else wish.model.split("|")
    if not targets or (len(names) > 1 and not all(permit.allows_name(name.strip(), wish.service) for name in names)):
        record = RECORD.get(scope)
        if record is not None:
            record.decisions.append(Decision("auth", "block", "model_not_allowed"))
        return _NOT_ALLOWED
    if len(targets) == len(plan.targets):
        return plan
    reached = {(target.service, target.model) for target in targets}
    candidates = (
        each
        if not each.chosen or (each.service, each.model) in reached
        else replace(each, chosen=False, reasons=("not_allowed",))
        for each in plan.candidates
    )
    return Plan(targets, tuple(candidates), plan.unsupported)
