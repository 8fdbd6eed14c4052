"""The policies of the moment, as the layers ask for them: they may change with the configuration."""

from collections.abc import Mapping, Sequence

from starlette.types import Scope

from gateway.key_records import DEFAULT_POLICY
from gateway.live import LiveConfig, LivePolicy
from gateway.output_guard import OutputGuard
from middleware.guard.guard import Guard, Verdict
from middleware.safety import SafetyTerms
from middleware.scope import PRINCIPAL, ScopeKey

_POLICY: ScopeKey[LivePolicy] = ScopeKey("policy", put_by="LivePolicies")


class UnknownPolicy(LookupError):
    """A key or a tenant names a policy that the configuration no longer has."""


class LivePolicies:
    """
    What holds for who asks. A request has one policy from its first layer to its last, whatever is loaded meanwhile.

    `guard`, `output` and `safety` raise `UnknownPolicy`: what cannot be judged must not pass. As a guard itself it is
    that of the policy `default`.
    """

    def __init__(self, live: LiveConfig) -> None:
        self._live = live

    def guard(self, scope: Scope) -> Guard:
        return self._of(scope).guard

    def output(self, scope: Scope) -> OutputGuard:
        return self._of(scope).output

    def safety(self, scope: Scope) -> SafetyTerms:
        return self._of(scope).safety

    def inspect(self, texts: Sequence[str], unread: Sequence[str] = ()) -> Verdict:
        return self._live.current.policies[DEFAULT_POLICY].guard.inspect(texts, unread)

    def facts(self) -> Mapping[str, str]:
        """The actions of the policy `default`, for `/health`."""
        return self._live.current.policies[DEFAULT_POLICY].terms.actions._asdict()

    def _of(self, scope: Scope) -> LivePolicy:
        known = _POLICY.get(scope)
        if known is not None:
            return known
        principal = PRINCIPAL.get(scope)
        name = DEFAULT_POLICY if principal is None else principal.policy
        policy = self._live.current.policies.get(name)
        if policy is None:
            raise UnknownPolicy(f"there is no policy {name!r}")
        _POLICY.put(scope, policy)
        return policy
