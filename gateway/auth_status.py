"""Who may ask and who has: `/auth/status`, `/auth/metrics`, `/auth/reload-keys`, `/auth/reset-metrics`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.json_response import json_response
from gateway.key_records import principal_of
from gateway.key_store import KeyStore, StoreUnavailable
from gateway.settings import SettingsError
from gateway.tally import Tally
from middleware.record import Record
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL, Principal
from middleware.static_keys import StaticKeys

_REASONS = ("missing_key", "invalid_key", "ambiguous_key", "forbidden")


SHOWN_KEYS = 100


class LiveKeys:
    """A key store that can be read anew. `load` raises `SettingsError` for keys that cannot be."""

    def __init__(self, load: Callable[[], StaticKeys]) -> None:
        self._load = load
        self._keys = load()

    async def find(self, key: bytes) -> Principal | None:
        return await self._keys.find(key)

    def reload(self) -> None:
        """Raises `SettingsError`, and then nothing changes."""
        self._keys = self._load()

    @property
    def principals(self) -> Sequence[Principal]:
        return self._keys.principals


class AuthStats:
    """Counts who was let in and who was not, for the whole fleet; an observer of finished requests."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def observe(self, record: Record) -> None:
        for decision in record.decisions:
            if decision.layer != "auth":
                continue
            if decision.outcome == "pass" and record.key_id is not None:
                self.tally.add(f"key:{record.key_id}")
            elif decision.reason in _REASONS:
                self.tally.add(f"refused:{decision.reason}")


class AuthStatus:
    """
    `GET /auth/status`: whether keys are asked for, which there are by id, and whose this one is.

    The environment's keys of the caller's own tenant; an admin is shown all of them, and of the store's keys the first
    `SHOWN_KEYS`. Not `complete` if there may be more, or the store does not answer.
    """

    def __init__(self, keys: LiveKeys, store: KeyStore, *, enabled: bool, header_name: str) -> None:
        self.keys = keys
        self.store = store
        self.enabled = enabled
        self.headers = list(dict.fromkeys(("X-API-Key", "Authorization", header_name)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = PRINCIPAL.get(scope)
        body: dict[str, Any] = {
            "auth_enabled": self.enabled,
            "headers": self.headers,
            "key": None if principal is None else _shown(principal),
            "keys": [_shown(each) for each in self.keys.principals if _may_see(principal, each)],
            "complete": False,
        }
        if principal is not None and principal.admin:
            with suppress(StoreUnavailable):
                page = await self.store.page(limit=SHOWN_KEYS)
                body["keys"] += [_shown(principal_of(key)) for key in page.keys]
                body["complete"] = page.cursor is None
        await json_response(body)(scope, receive, send)


def _may_see(caller: Principal | None, other: Principal) -> bool:
    return caller is None or caller.admin or caller.tenant == other.tenant


def _shown(principal: Principal) -> dict[str, Any]:
    return {"id": principal.key_id, "tenant": principal.tenant, "admin": principal.admin}


class AuthMetrics:
    """`GET /auth/metrics`: requests by key id, and refusals by reason. Fleet-wide since the last reset."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counts = await self.tally.read()
        by_kind: dict[str, dict[str, int]] = {"key": {}, "refused": {}}
        for field, amount in sorted(counts.items()):
            kind, _, name = field.partition(":")
            by_kind[kind][name] = amount
        body = {
            "authenticated_requests": sum(by_kind["key"].values()),
            "refused_requests": sum(by_kind["refused"].values()),
            "by_key": by_kind["key"],
            "refused_by_reason": by_kind["refused"],
        }
        await json_response(body)(scope, receive, send)


class ReloadKeys:
    """`POST /auth/reload-keys`: read the keys of the environment and of `.env` again; this process alone."""

    def __init__(self, keys: LiveKeys) -> None:
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.keys.reload()
        except SettingsError as error:
            refusal = Refusal(422, "bad_request", "the keys stay as they are: " + "; ".join(error.problems))
            await refusal(scope, receive, send)
            return
        ids = [principal.key_id for principal in self.keys.principals]
        await json_response({"status": "reloaded", "keys": ids})(scope, receive, send)


class ReloadConfig:
    """`POST /admin/config/reload`: read `GATEWAY_CONFIG` again; a bad file changes nothing and is named."""

    def __init__(self, reload: Callable[[], Any]) -> None:
        self.reload = reload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            routing = await self.reload()
        except SettingsError as error:
            refusal = Refusal(422, "bad_request", "the configuration stays as it is: " + "; ".join(error.problems))
            await refusal(scope, receive, send)
            return
        await json_response({"status": "reloaded", "generation": routing.generation})(scope, receive, send)
