"""The admin API of keys and tenants: `/admin/keys…` and `/admin/tenants…`."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.json_response import json_response
from gateway.key_records import (
    TENANT_ID,
    KeyChange,
    NewKey,
    NewTenant,
    RightsFields,
    Rotation,
    TenantChange,
    shown_file_tenant,
)
from gateway.key_store import Conflict, KeyStore, NotFound, StoreUnavailable, UnknownTenant
from gateway.schema import parser
from middleware.body import InvalidBody
from middleware.refusal import FieldError, Refusal
from middleware.scope import PROMPT, Prompt

DEFAULT_PAGE, MAX_PAGE = 50, 200
_LIMIT_SCHEMA: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}
KEY_PAGING: Mapping[str, Mapping[str, Any]] = {
    "limit": _LIMIT_SCHEMA,
    "cursor": {"type": "string", "pattern": "^[0-9]{1,15}$"},
}
"""What may stand in the query of the list of keys."""
TENANT_PAGING: Mapping[str, Mapping[str, Any]] = {
    "limit": _LIMIT_SCHEMA,
    "cursor": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"},
}
_KEY_CURSOR = re.compile(r"[0-9]{1,15}", re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,3}", re.ASCII)

_UNAVAILABLE = Refusal(503, "unavailable", "the store of keys does not answer", {"Retry-After": "1"})
B = TypeVar("B", bound=Prompt)
_TENANT_STAYS = FieldError(("tenant",), "the tenant of a key cannot be changed: make a new key", "frozen_field")
_NO_TENANT = FieldError(("tenant",), "there is no such tenant", "unknown_tenant")
_NO_POLICY = FieldError(("policy",), "there is no such policy", "unknown_policy")
_OF_THE_FILE = "this tenant is set by GATEWAY_CONFIG: change it there"

parse_new_key, parse_new_tenant = parser(NewKey), parser(NewTenant)
parse_tenant_change, parse_rotation = parser(TenantChange), parser(Rotation)
_parse_key_change = parser(KeyChange)


def parse_key_change(value: Any) -> KeyChange:
    """Says why a key stays with its tenant, instead of calling the field unknown."""
    if isinstance(value, dict) and "tenant" in value:
        raise InvalidBody(_TENANT_STAYS)
    return _parse_key_change(value)


class AdminEndpoint:
    """
    One operation of the admin API. `act` gets the ASGI scope and makes the answer.

    What the store says no with is answered here: 404, 409, 422, and 503 when it does not answer.
    """

    def __init__(self, act: Callable[[Scope], Awaitable[Response]]) -> None:
        self.act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response | Refusal
        try:
            answer = await self.act(scope)
        except InvalidBody as error:
            answer = Refusal(422, "validation_error", "invalid request", fields=error.fields)
        except UnknownTenant:
            answer = Refusal(422, "validation_error", "invalid request", fields=(_NO_TENANT,))
        except NotFound:
            answer = Refusal(404, "not_found", "not found")
        except Conflict as error:
            answer = Refusal(409, "conflict", str(error))
        except StoreUnavailable:
            answer = _UNAVAILABLE
        await answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Admin:
    """
    What an admin may do with keys and tenants. `file_tenants` are those of the configuration file, `policies` the
    names of those there are.
    """

    store: KeyStore
    file_tenants: Callable[[], Mapping[str, NewTenant]]
    policies: Callable[[], Collection[str]]

    async def create_key(self, scope: Scope) -> Response:
        body = _body(scope, NewKey)
        check_policy(body, self.policies())
        record, key = await self.store.create(body, file_tenants=self.file_tenants())
        response = json_response({**record.shown, "key": key}, 201)
        response.headers["Location"] = f"/admin/keys/{record.id}"
        return response

    async def list_keys(self, scope: Scope) -> Response:
        limit, cursor = _paging(scope, _KEY_CURSOR)
        page = await self.store.page(limit=limit, cursor=None if cursor is None else int(cursor))
        following = None if page.cursor is None else str(page.cursor)
        return json_response({"keys": [record.shown for record in page.keys], "next_cursor": following})

    async def show_key(self, scope: Scope) -> Response:
        return json_response((await self.store.get(_id(scope))).shown)

    async def change_key(self, scope: Scope) -> Response:
        body = _body(scope, KeyChange)
        check_policy(body, self.policies())
        return json_response((await self.store.change(_id(scope), body)).shown)

    async def rotate_key(self, scope: Scope) -> Response:
        record, key = await self.store.rotate(_id(scope), grace_s=_body(scope, Rotation).grace_s)
        return json_response({**record.shown, "key": key})

    async def revoke_key(self, scope: Scope) -> Response:
        await self.store.revoke(_id(scope))
        return Response(status_code=204)

    async def create_tenant(self, scope: Scope) -> Response:
        body = _body(scope, NewTenant)
        check_policy(body, self.policies())
        if body.id in self.file_tenants():
            raise Conflict("there is a tenant with this id already")
        tenant = await self.store.create_tenant(body)
        response = json_response(tenant.shown, 201)
        response.headers["Location"] = f"/admin/tenants/{tenant.id}"
        return response

    async def list_tenants(self, scope: Scope) -> Response:
        limit, cursor = _paging(scope, TENANT_ID)
        found = {tenant.id: tenant.shown for tenant in await self.store.tenants()}
        found |= {id: shown_file_tenant(tenant) for id, tenant in self.file_tenants().items()}
        ids = [id for id in sorted(found) if cursor is None or id >= cursor]
        following = ids[limit] if len(ids) > limit else None
        return json_response({"tenants": [found[id] for id in ids[:limit]], "next_cursor": following})

    async def show_tenant(self, scope: Scope) -> Response:
        id = _id(scope)
        of_file = self.file_tenants().get(id)
        return json_response((await self.store.tenant(id)).shown if of_file is None else shown_file_tenant(of_file))

    async def change_tenant(self, scope: Scope) -> Response:
        body = _body(scope, TenantChange)
        check_policy(body, self.policies())
        self._check_stored(scope)
        return json_response((await self.store.change_tenant(_id(scope), body)).shown)

    async def drop_tenant(self, scope: Scope) -> Response:
        self._check_stored(scope)
        await self.store.drop_tenant(_id(scope))
        return Response(status_code=204)

    def _check_stored(self, scope: Scope) -> None:
        if _id(scope) in self.file_tenants():
            raise Conflict(_OF_THE_FILE)


def _id(scope: Scope) -> str:
    found: str = scope["path_params"]["id"]
    return found


def _body(scope: Scope, kind: type[B]) -> B:
    body = PROMPT.require(scope)
    if not isinstance(body, kind):
        raise TypeError(f"this route must parse a {kind.__name__}")
    return body


def check_policy(fields: RightsFields, policies: Collection[str]) -> None:
    """Raises `InvalidBody` for a policy that is not there."""
    if fields.policy is not None and fields.policy not in policies:
        raise InvalidBody(_NO_POLICY)


def _paging(scope: Scope, form: re.Pattern[str]) -> tuple[int, str | None]:
    """`limit` and `cursor` of the query. Raises `InvalidBody`."""
    limit, cursor = DEFAULT_PAGE, None
    seen: set[str] = set()
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name in seen:
            raise InvalidBody(FieldError((name,), "must stand once", "too_many", "query"))
        if name == "limit":
            if not _LIMIT.fullmatch(value) or not 1 <= int(value) <= MAX_PAGE:
                why = f"must be a whole number from 1 to {MAX_PAGE}"
                raise InvalidBody(FieldError(("limit",), why, "int_parsing", "query"))
            limit = int(value)
        elif name == "cursor":
            if not form.fullmatch(value):
                why = "must be the next_cursor of an earlier answer"
                raise InvalidBody(FieldError(("cursor",), why, "value_error", "query"))
            cursor = value
        if name in KEY_PAGING:
            seen.add(name)
    return limit, cursor
