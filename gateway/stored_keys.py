"""Whose key is this: the keys of the store, remembered here for as long as they are certain to be unchanged."""

import asyncio
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.announcements import Announcements
from gateway.key_records import DEFAULT_TENANT, NewTenant, Rights, StoredKey, StoredTenant, principal_of, under
from gateway.key_store import ANNOUNCED, KeyStore, StoreUnavailable, digest_of
from gateway.keys import id_of
from middleware.auth import KeyStore as Keys
from middleware.auth import KeysUnavailable
from middleware.scope import Principal

POLL_S = 0.3
"""So often the epoch is looked at: a change is known within this and one answer of Redis, announced or not."""
FRESH_S = 60.0
"""However certain: after this a record is read again."""
STALE_S = 600.0
"""While Redis is away, a record that was read this long ago is still good."""
RECHECK_S = 1.0
"""A key whose secret is wrong may have been rotated just now: so often its record is read again for that."""
UNKNOWN_FRESH_S = 5.0
MAX_KEYS = 10_000
MAX_UNKNOWN = 4096
"""Ids that no key has are kept apart: inventing them pushes no key out."""


@dataclass(slots=True)
class _Known:
    """
    A key as it was read, at `read_at` of the monotonic clock, while nothing was known to have changed since `state`.

    Times in Unix seconds; `secrets` are digests with the time at which each ends.
    """

    read_at: float
    state: int
    secrets: tuple[tuple[bytes, float | None], ...]
    expires_at: float | None
    disabled: bool
    own: Principal
    stored_tenant: Rights | None
    principal: Principal | None = None
    composed_with: Mapping[str, NewTenant] | None = None

    def has(self, digest: bytes) -> bool:
        """Whether the key of this digest is good now. Compares with every secret in constant time."""
        now = time.time()
        found = False
        for known, until in self.secrets:
            if hmac.compare_digest(known, digest) and (until is None or now < until):
                found = True
        return found

    def is_usable(self) -> bool:
        return not self.disabled and (self.expires_at is None or time.time() < self.expires_at)


class StoredKeys:
    """
    The look-up of the store's keys for AuthMiddleware.

    A key of the wrong form costs nothing; one that is remembered and certain costs no round trip; else it is one script
    call. What is remembered is certain until an announcement names it, the epoch has moved unannounced, or
    announcements may have been missed. `file_tenants` are those of the configuration file, which win over stored ones.
    """

    def __init__(
        self, store: KeyStore, announcements: Announcements, *, file_tenants: Callable[[], Mapping[str, NewTenant]]
    ) -> None:
        self._store = store
        self._file_tenants = file_tenants
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._state = 0
        """Counts up whenever something may have changed: what was read in an earlier state must be read again."""
        self._changes = 0
        """Counts the changes of single keys that were heard of."""
        self._epoch: int | None = None
        """All changes up to this one are accounted for."""
        self._away = False
        """What the newest look at the epoch has shown."""
        announcements.on(ANNOUNCED, self._heard)
        announcements.on_gap(self._doubt_all)

    async def find(self, key: bytes) -> Principal | None:
        key_id = id_of(key)
        if key_id is None:
            return None
        digest = digest_of(key)
        now = time.monotonic()
        known = self._known.get(key_id)
        fits = known is not None and known.has(digest)
        usable = known is not None and fits and now - known.read_at < STALE_S
        if not (usable and self._away) and not self._is_certain(key_id, known, fits, now):
            try:
                known = await self._read(key_id)
                fits = known is not None and known.has(digest)
            except StoreUnavailable:
                if not usable or self._known.get(key_id) is not known:  # or it was heard meanwhile that it has changed
                    raise KeysUnavailable from None
        return self._principal(known) if known is not None and fits else None

    def _is_certain(self, key_id: str, known: _Known | None, fits: bool, now: float) -> bool:
        if self._away:
            return False
        if known is None:
            read_at, state = self._unknown.get(key_id, (0.0, -1))
            return state == self._state and now - read_at < UNKNOWN_FRESH_S
        fresh_s = FRESH_S if fits else RECHECK_S
        return known.state == self._state and now - known.read_at < fresh_s

    async def _read(self, key_id: str) -> _Known | None:
        state, changes, now = self._state, self._changes, time.monotonic()
        found = await self._store.find(key_id)
        known = None if found is None else _known(*found, state=state, read_at=now)
        # A change heard of meanwhile may or may not be in what was read: it answers this request, and is not kept.
        if self._changes == changes:
            self._keep(key_id, known, state, now)
        return known

    def _keep(self, key_id: str, known: _Known | None, state: int, now: float) -> None:
        if known is None:
            self._known.pop(key_id, None)
            self._unknown[key_id] = now, state
            self._unknown.move_to_end(key_id)
            if len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popitem(last=False)
            return
        self._unknown.pop(key_id, None)
        self._known[key_id] = known
        self._known.move_to_end(key_id)
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)

    def _principal(self, known: _Known) -> Principal | None:
        """Whose key it is, if it may be used at all."""
        if not known.is_usable():
            return None
        tenants = self._file_tenants()
        if known.composed_with is not tenants:
            rights = _tenant_rights(known, tenants)
            known.principal = None if rights is None or rights.disabled else under(known.own, rights)
            known.composed_with = tenants
        return known.principal

    def _heard(self, text: str) -> None:
        number, _, key_id = text.partition(" ")
        epoch = int(number) if re.fullmatch(r"[0-9]{1,18}", number) else None
        if epoch is None:
            self._doubt_all()  # whoever said it, something has changed
            return
        if self._epoch is not None and epoch <= self._epoch:
            return  # known already: a change made here is also heard from Redis
        if key_id == "*":
            self._doubt_all()
        else:
            self._changes += 1
            self._known.pop(key_id, None)
            self._unknown.pop(key_id, None)
        # In turn, so nothing was missed in between; else the look at the epoch finds that it has moved.
        if self._epoch is not None and epoch == self._epoch + 1:
            self._epoch = epoch

    def _doubt_all(self) -> None:
        self._state += 1

    async def look(self) -> None:
        """See whether something has changed."""
        try:
            epoch = await self._store.epoch()
        except StoreUnavailable:
            self._away = True
            return
        if self._away:
            self._away = False
            self._doubt_all()
        if epoch != self._epoch:
            self._epoch = epoch
            self._doubt_all()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look every `POLL_S`, the first time before this returns."""
        await self.look()
        task = asyncio.create_task(self._look_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.look()


def _known(record: StoredKey, tenant: StoredTenant | None, *, state: int, read_at: float) -> _Known:
    retired = ((bytes.fromhex(each.digest), each.until.timestamp()) for each in record.retired)
    return _Known(
        read_at=read_at,
        state=state,
        secrets=((bytes.fromhex(record.digest), None), *retired),
        expires_at=None if record.expires_at is None else record.expires_at.timestamp(),
        disabled=record.disabled,
        own=principal_of(record),
        stored_tenant=None if tenant is None else tenant.rights,
    )


def _tenant_rights(known: _Known, file_tenants: Mapping[str, NewTenant]) -> Rights | None:
    """None: the tenant is no more."""
    name = known.own.tenant
    if name in file_tenants:
        return file_tenants[name].rights
    return Rights() if name == DEFAULT_TENANT else known.stored_tenant


class InOrder:
    """Several stores as one: the first that knows a key."""

    def __init__(self, *stores: Keys) -> None:
        self._stores = stores

    async def find(self, key: bytes) -> Principal | None:
        for store in self._stores:
            principal = await store.find(key)
            if principal is not None:
                return principal
        return None
