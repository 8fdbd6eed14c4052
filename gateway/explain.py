"""`X-Gateway-Explain: 1`: what the router would do with a request, told to an admin instead of being done."""

from starlette.types import ASGIApp, Scope

from gateway.json_response import json_response
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL
from providers.breaker import Breakers
from providers.routing import Plan

_ADMINS_ONLY = Refusal(403, "forbidden", "only an admin's key may ask for an explanation")


def wants_explanation(scope: Scope) -> bool:
    return (b"x-gateway-explain", b"1") in scope["headers"]


def explain(scope: Scope, model: str | None, plan: Plan, breakers: Breakers) -> ASGIApp:
    """The answer: targets in the order they would be asked, and what became of every candidate."""
    principal = PRINCIPAL.get(scope)
    if principal is None or not principal.admin:
        return _ADMINS_ONLY
    return json_response(
        {
            "model": model,
            "targets": [
                {
                    "service": target.service,
                    "model": target.model,
                    "key_slot": target.key_slot,
                    "breaker": breakers.state(target),
                    "put_aside_s": round(breakers.aside_s(target), 1),
                }
                for target in plan.targets
            ],
            "candidates": [
                {
                    "service": candidate.service,
                    "model": candidate.model,
                    "chosen": candidate.chosen,
                    "reasons": list(candidate.reasons),
                }
                for candidate in plan.candidates
            ],
            "unsupported": list(plan.unsupported),
        }
    )
