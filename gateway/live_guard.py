"""The input guard of the moment: its policies may change with the configuration."""

from collections.abc import Mapping, Sequence

from starlette.types import Scope

from gateway.key_records import DEFAULT_POLICY
from gateway.live import LiveConfig
from middleware.guard.guard import Guard, Verdict
from middleware.scope import PRINCIPAL


class UnknownPolicy(LookupError):
    """A key or a tenant names a policy that the configuration no longer has."""


class LiveGuard:
    """
    Stands where a `Guard` stands, as that of the policy `default`; a request in flight keeps the verdict it has.
    """

    def __init__(self, live: LiveConfig) -> None:
        self._live = live

    def of(self, scope: Scope) -> Guard:
        """The guard that holds for who asks. Raises `UnknownPolicy`: what cannot be judged must not pass."""
        principal = PRINCIPAL.get(scope)
        name = DEFAULT_POLICY if principal is None else principal.policy
        guard = self._live.current.guards.get(name)
        if guard is None:
            raise UnknownPolicy(f"there is no policy {name!r}")
        return guard

    def inspect(self, texts: Sequence[str]) -> Verdict:
        return self._live.current.guard.inspect(texts)

    def facts(self) -> Mapping[str, str]:
        """The actions of the policy `default`, for `/health`."""
        return self._live.current.actions._asdict()
