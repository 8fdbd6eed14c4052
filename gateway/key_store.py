"""Keys and tenants in Redis: made, listed, changed, rotated, revoked."""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from gateway.announcements import Announcements
from gateway.key_records import (
    DEFAULT_TENANT,
    TENANT_ID,
    KeyChange,
    NewKey,
    NewTenant,
    Retired,
    StoredKey,
    StoredTenant,
    TenantChange,
)
from gateway.keys import new_id, new_key

log = logging.getLogger(__name__)

ANNOUNCED = "keys"
"""The kind of the announcements: the epoch of a change, and the id of the key or `*` for a tenant's."""
RETIRED_KEPT = 8
"""Secrets that a key may have beside its newest; of more the oldest end at once."""
_TRIES = 5
_KEY_ID = re.compile(r"[0-9A-Za-z]{10}", re.ASCII)

R = TypeVar("R", StoredKey, StoredTenant)


class StoreUnavailable(Exception):
    """Redis does not answer, or answers with nothing that can be used."""


class NotFound(Exception):
    """There is no such key or tenant."""


class UnknownTenant(Exception):
    """A key must belong to a tenant that exists."""


class Conflict(Exception):
    """The store is not in the state that the change needs. The message is for the caller."""


class _Script:
    def __init__(self, name: str) -> None:
        self.text = (files("gateway") / name).read_text("utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_KEY_PUT, _KEY_DROP, _KEY_FIND = _Script("key_put.lua"), _Script("key_drop.lua"), _Script("key_find.lua")
_TENANT_PUT, _TENANT_DROP = _Script("tenant_put.lua"), _Script("tenant_drop.lua")


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys, the oldest first. `cursor`: where the next page begins, None at the end."""

    keys: Sequence[StoredKey]
    cursor: int | None


class KeyStore:
    """
    What Redis holds of keys and tenants.

    Keys, all in one slot of a cluster and all without expiry, as this is the only place where they are kept:
    `{prefix}:{keys}:key:<id>`, a record in JSON for each key; `{prefix}:{keys}:index`, their ids in the order they were
    made; `{prefix}:{keys}:tenants`, a hash of tenants in JSON; `{prefix}:{keys}:counts`, how many keys each tenant has;
    `{prefix}:{keys}:epoch`, the number of changes so far. Each record says which version of its form it has (`v`).

    Each change is one script call, is announced, and moves the epoch, by which a replica that has missed the
    announcement learns of it. Every method raises `StoreUnavailable` when Redis does not answer.
    """

    def __init__(self, redis: Redis, *, prefix: str, announcements: Announcements) -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._announcements = announcements
        self._records = f"{prefix}:{{keys}}:key:"
        self._index, self._tenants, self._counts, self._epoch = (
            f"{prefix}:{{keys}}:{name}" for name in ("index", "tenants", "counts", "epoch")
        )

    # Keys

    async def create(self, fields: NewKey, *, file_tenants: Mapping[str, NewTenant]) -> tuple[StoredKey, str]:
        """
        A new key: its record, and the key itself, which is told this once. Raises `UnknownTenant`.

        `file_tenants` are those that exist without being stored.
        """
        key_id, now = new_id(), _now()
        key = new_key(key_id)
        record = StoredKey(**fields.model_dump(), id=key_id, digest=_hex(key), created_at=now, updated_at=now)
        stored = fields.tenant != DEFAULT_TENANT and fields.tenant not in file_tenants
        if not await self._put(record, "", must_have_tenant=stored):
            raise Conflict("the new key's id is taken: try again")  # 1 in 10^17
        return record, key

    async def get(self, key_id: str) -> StoredKey:
        """Raises `NotFound`."""
        return _record(StoredKey, await self._read(key_id))

    async def page(self, *, limit: int, cursor: int | None = None) -> Page:
        """Up to `limit` keys from `cursor` on. Records that cannot be read are left out, and named in the log."""
        try:
            found = await self._redis.zrange(
                self._index, cursor or 0, "+inf", byscore=True, offset=0, num=limit + 1, withscores=True
            )
            ids = [_text(member) for member, _ in found[:limit]]
            texts = await self._redis.mget([self._records + id for id in ids]) if ids else []
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable from error
        keys = []
        for key_id, text in zip(ids, texts, strict=True):
            if text is None:
                continue  # revoked between the two commands
            try:
                keys.append(_record(StoredKey, text))
            except StoreUnavailable:
                log.exception("the record of key %s cannot be read", key_id)
        return Page(keys, int(found[limit][1]) if len(found) > limit else None)

    async def change(self, key_id: str, change: KeyChange) -> StoredKey:
        """Raises `NotFound`, and `Conflict` when others change it all the time."""
        return await self._update(key_id, lambda record: record.changed_by(change))

    async def rotate(self, key_id: str, *, grace_s: int) -> tuple[StoredKey, str]:
        """
        A new secret: the record and the key. Older ones are good for `grace_s` more, and no longer than they were.

        Raises as `change` does.
        """
        key = new_key(key_id)
        now = _now()
        end = now + timedelta(seconds=grace_s)

        def rotated(record: StoredKey) -> dict[str, Any]:
            old = [Retired(digest=each.digest, until=min(each.until, end)) for each in record.retired]
            old.append(Retired(digest=record.digest, until=end))
            alive = [each.model_dump() for each in old if each.until > now]
            return record.model_dump() | {"digest": _hex(key), "retired": alive[-RETIRED_KEPT:]}

        return await self._update(key_id, rotated), key

    async def revoke(self, key_id: str) -> None:
        """Forget a key for good. Raises `NotFound`."""
        self._check(key_id)
        keys = (self._records + key_id, self._index, self._counts, self._epoch)
        epoch = await self._run(_KEY_DROP, keys, key_id)
        if not epoch:
            raise NotFound
        await self._announce(epoch, key_id)

    async def find(self, key_id: str) -> tuple[StoredKey, StoredTenant | None] | None:
        """A key with its tenant, if that is stored; None: there is no such key. One script call."""
        self._check(key_id)
        found = await self._run(_KEY_FIND, (self._records + key_id, self._tenants))
        if not found:
            return None
        record, tenant = found
        return _record(StoredKey, record), _record(StoredTenant, tenant) if tenant else None

    async def epoch(self) -> int:
        """The number of the newest change."""
        try:
            return int(await self._redis.get(self._epoch) or 0)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            raise StoreUnavailable from error

    # Tenants

    async def create_tenant(self, fields: NewTenant) -> StoredTenant:
        """Raises `Conflict` if the id is taken."""
        now = _now()
        tenant = StoredTenant(**fields.model_dump(), created_at=now, updated_at=now)
        if fields.id == DEFAULT_TENANT or not await self._put_tenant(tenant, ""):
            raise Conflict("there is a tenant with this id already")
        return tenant

    async def tenant(self, tenant_id: str) -> StoredTenant:
        """Raises `NotFound`."""
        return _record(StoredTenant, await self._read_tenant(tenant_id))

    async def tenants(self) -> Sequence[StoredTenant]:
        """All of them, by id."""
        try:
            found = await self._redis.hgetall(self._tenants)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable from error
        return [_record(StoredTenant, text) for _, text in sorted((_text(id), text) for id, text in found.items())]

    async def change_tenant(self, tenant_id: str, change: TenantChange) -> StoredTenant:
        """Raises `NotFound` and `Conflict`."""
        for _ in range(_TRIES):
            before = await self._read_tenant(tenant_id)
            fields = _record(StoredTenant, before).changed_by(change)
            tenant = StoredTenant(**{**fields, "updated_at": _now()})
            if await self._put_tenant(tenant, before):
                return tenant
        raise Conflict("others are changing this tenant: try again")

    async def drop_tenant(self, tenant_id: str) -> None:
        """Raises `NotFound`, and `Conflict` while it has keys."""
        if not TENANT_ID.fullmatch(tenant_id):
            raise NotFound
        epoch = await self._run(_TENANT_DROP, (self._tenants, self._counts, self._epoch), tenant_id)
        if not epoch:
            raise NotFound
        if epoch < 0:
            raise Conflict("this tenant has keys: revoke them first")
        await self._announce(epoch, "*")

    # Redis

    async def _update(self, key_id: str, changed: Callable[[StoredKey], dict[str, Any]]) -> StoredKey:
        for _ in range(_TRIES):
            before = await self._read(key_id)
            fields = changed(_record(StoredKey, before))
            record = StoredKey(**{**fields, "updated_at": _now()})
            if await self._put(record, before):
                return record
        raise Conflict("others are changing this key: try again")

    async def _put(self, record: StoredKey, before: str, *, must_have_tenant: bool = False) -> bool:
        """False: it was changed since `before` was read."""
        keys = (self._records + record.id, self._index, self._counts, self._tenants, self._epoch)
        args = (before, record.model_dump_json(), record.id, record.tenant, int(must_have_tenant))
        epoch = await self._run(_KEY_PUT, keys, *args)
        if epoch < 0:
            raise UnknownTenant
        if epoch:
            await self._announce(epoch, record.id)
        return bool(epoch)

    async def _put_tenant(self, tenant: StoredTenant, before: str) -> bool:
        keys = (self._tenants, self._epoch)
        epoch = await self._run(_TENANT_PUT, keys, tenant.id, before, tenant.model_dump_json())
        if epoch:
            await self._announce(epoch, "*")
        return bool(epoch)

    async def _read(self, key_id: str) -> str:
        self._check(key_id)
        try:
            text = await self._redis.get(self._records + key_id)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable from error
        if text is None:
            raise NotFound
        return _text(text)

    async def _read_tenant(self, tenant_id: str) -> str:
        try:
            text = await self._redis.hget(self._tenants, tenant_id) if TENANT_ID.fullmatch(tenant_id) else None
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable from error
        if text is None:
            raise NotFound
        return _text(text)

    async def _announce(self, epoch: int, what: str) -> None:
        """Whoever does not hear it sees the epoch move."""
        await self._announcements.announce(ANNOUNCED, f"{epoch} {what}")

    async def _run(self, script: _Script, keys: Sequence[str], *args: str | int) -> Any:
        try:
            try:
                return await self._redis.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._redis.execute_command("EVAL", script.text, len(keys), *keys, *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable from error

    def _check(self, key_id: str) -> None:
        """An id becomes part of a name in Redis, so it must look like ours."""
        if not _KEY_ID.fullmatch(key_id):
            raise NotFound


def digest_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _hex(key: str) -> str:
    return digest_of(key.encode("ascii")).hex()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _record(kind: type[R], text: str | bytes) -> R:
    """Raises `StoreUnavailable` for what no version known here has written."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise StoreUnavailable(f"a record is no {kind.__name__}") from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
