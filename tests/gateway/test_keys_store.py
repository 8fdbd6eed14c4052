"""The store of keys and its look-up: what Redis holds, what replicas remember, and for how long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.announcements import Announcements
from gateway.heartbeat import Heartbeat
from gateway.key_records import KeyChange, NewKey, NewTenant, TenantChange
from gateway.key_store import Conflict, KeyStore, NotFound, StoreUnavailable, UnknownTenant
from gateway.keys import id_of, new_id, new_key
from gateway.redis import GuardedRedis, connect
from gateway.stored_keys import MAX_UNKNOWN, POLL_S, StoredKeys
from middleware.auth import KeysUnavailable
from middleware.limits import Limits, Window
from middleware.scope import Principal
from tests.redis_server import RedisServer

NO_TENANTS: Mapping[str, NewTenant] = {}


@dataclass
class Side:
    """One replica's view: its own connections, its own memory. `file` are the tenants of its configuration file."""

    redis: Redis
    store: KeyStore
    announcements: Announcements
    keys: StoredKeys
    file: Mapping[str, NewTenant] = field(default_factory=dict)

    async def make(self, **fields: Any) -> tuple[str, bytes]:
        record, key = await self.store.create(NewKey(**fields), file_tenants=self.file)
        return record.id, key.encode()

    async def find(self, key: bytes) -> Principal | None:
        return await self.keys.find(key)


@asynccontextmanager
async def side(
    url: str | None, *, listening: bool = True, following: bool = True, prefix: str = "gw"
) -> AsyncIterator[Side]:
    """A replica's store, with the breaker and its watcher as the gateway joins them."""
    redis = connect(url, timeout_ms=1000)
    announcements = Announcements(redis, prefix=prefix)
    store = KeyStore(redis, prefix=prefix, announcements=announcements)
    made = Side(redis, store, announcements, keys=None)  # type: ignore[arg-type]
    made.keys = StoredKeys(store, announcements, file_tenants=lambda: made.file)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        if isinstance(redis, GuardedRedis):

            async def nothing() -> None: ...

            heart = Heartbeat(redis, prefix=prefix, replay=nothing)
            await stack.enter_async_context(heart.beating())
        if listening:
            await stack.enter_async_context(announcements.listening())
        if following:
            await stack.enter_async_context(made.keys.following())
        yield made


async def until(holds: Callable[[], Any], limit_s: float) -> float:
    """Seconds until it holds."""
    start = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not await holds():  # noqa: ASYNC110 - another replica's memory: only asking tells
            await asyncio.sleep(0.01)
    return time.monotonic() - start


async def lookups(redis: Redis) -> int:
    """How many keys were looked up: the script that does so is the only one to send HGET, and sends it once."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_hget", {}).get("calls", 0))


# A key


def test_the_form_of_a_key() -> None:
    """What we make is known by its form and checksum; a slip anywhere is known too, without a look-up."""
    key = new_key("abcDEF0123").encode()
    assert id_of(key) == "abcDEF0123"
    for place in range(len(key)):
        slip = key[:place] + (b"a" if key[place : place + 1] != b"a" else b"b") + key[place + 1 :]
        assert id_of(slip) is None, place
    for other in (b"", b"gw_", key[:-1], key + b"0", key + b"\n", key.upper(), key.replace(b"_", b"-"), b"\xff" * 46):
        assert id_of(other) is None


async def test_what_a_key_may(redis_url: str) -> None:
    """Every field of the record reaches the principal, money exactly."""
    async with side(redis_url) as one:
        key_id, key = await one.make(
            name="n",
            scopes=["chat", "admin"],
            rate_limit="60/minute;1000/day",
            tokens_per_minute=5000,
            concurrency=3,
            budget_usd={"day": "0.1", "month": 1.3},
            allowed_models=["a/b", "c"],
            strict=True,
        )
        assert await one.find(key) == Principal(
            key_id,
            tenant="default",
            admin=True,
            scopes=frozenset({"chat", "admin"}),
            allowed_models=frozenset({"a/b", "c"}),
            policy="default",
            limits=Limits((Window(60, 60), Window(1000, 86400)), 5000, 3, Decimal("0.1"), Decimal("1.3"), strict=True),
        )
        plain_id, plain = await one.make()
        every = frozenset({"query", "chat", "embeddings", "models", "checks", "status"})
        assert await one.find(plain) == Principal(plain_id, scopes=every)


async def test_tenants_stand_above_keys(redis_url: str) -> None:
    """Limits, models, strictness and policy of a tenant hold for its keys; the file's tenants win over stored ones."""
    async with side(redis_url) as one, side(redis_url) as two:
        with pytest.raises(UnknownTenant):
            await one.make(tenant="acme")
        await one.store.create_tenant(
            NewTenant(id="acme", rate_limit="5/minute", allowed_models=["m"], strict=True, policy="default")
        )
        with pytest.raises(Conflict):
            await one.store.create_tenant(NewTenant(id="acme"))
        key_id, key = await one.make(tenant="acme", allowed_models=["n"])
        for each in (one, two):
            found = await each.find(key)
            assert found is not None
            assert (found.tenant, found.allowed_models) == ("acme", frozenset({"n"}))
            assert found.tenant_models == frozenset({"m"})
            assert (found.limits.strict, found.tenant_limits) == (True, Limits((Window(5, 60),), strict=True))
        two.file = {"acme": NewTenant(id="acme", concurrency=7)}
        found = await two.find(key)
        assert found is not None
        assert (found.tenant_models, found.tenant_limits, found.limits.strict) == (None, Limits(concurrency=7), False)
        two.file = {"acme": NewTenant(id="acme", disabled=True)}
        assert await two.find(key) is None
        two.file = NO_TENANTS
        assert await two.find(key) is not None

        # a tenant that is disabled disables its keys, on every replica
        await one.store.change_tenant("acme", TenantChange(disabled=True))
        assert await one.find(key) is None
        assert await until(lambda: _is_none(two, key), 2) < 1
        await one.store.change_tenant("acme", TenantChange(disabled=False))
        await until(lambda: _is_some(two, key), 2)

        with pytest.raises(Conflict, match="has keys"):
            await one.store.drop_tenant("acme")
        await one.store.revoke(key_id)
        await one.store.drop_tenant("acme")
        with pytest.raises(NotFound):
            await one.store.tenant("acme")
        with pytest.raises(NotFound):
            await one.store.drop_tenant("acme")
        assert await one.redis.hgetall("gw:{keys}:counts") == {}


async def _is_none(where: Side, key: bytes) -> bool:
    return await where.find(key) is None


async def _is_some(where: Side, key: bytes) -> bool:
    return await where.find(key) is not None


async def test_a_key_of_a_tenant_that_is_gone(redis_url: str) -> None:
    """A tenant of the file that was taken out: its keys open nothing."""
    async with side(redis_url) as one:
        one.file = {"acme": NewTenant(id="acme")}
        _, key = await one.make(tenant="acme")
        assert await one.find(key) is not None
        one.file = {}
        assert await one.find(key) is None


# What is at rest


async def everything(redis: Redis) -> tuple[list[bytes], bytes]:
    """All names in Redis, and the bytes of all names and values: as RDB would hold them, and as they were written."""
    client: Any = redis  # its answers are typed for every way of decoding
    names = [name async for name in client.scan_iter()]
    parts = [*names]
    for name in names:
        parts.append(await client.dump(name))
        kind = await client.type(name)
        if kind == b"string":
            parts.append(await client.get(name))
        elif kind == b"hash":
            parts += [part for pair in (await client.hgetall(name)).items() for part in pair]
    return names, b"".join(parts)


async def text_of(redis: Redis, key_id: str) -> bytes:
    text = await redis.get(f"gw:{{keys}}:key:{key_id}")
    assert isinstance(text, bytes)
    return text


async def test_only_digests_are_stored(own_redis: RedisServer) -> None:
    """Nothing in all of Redis holds a secret, a replaced one neither; every key without expiry is a documented one."""
    async with side(own_redis.url) as one:
        key_id, first = await one.make(name="x", metadata={"team": "blue"})
        _, second = await one.store.rotate(key_id, grace_s=3600)
        assert await one.find(first) is not None
        assert await one.find(second.encode()) is not None
        await one.store.create_tenant(NewTenant(id="acme"))
        names, dump = await everything(one.redis)
        for key in (first, second.encode()):
            secret = key.split(b"_")[2]
            assert secret not in dump
            assert secret[:16] not in dump
        lasting = {name for name in names if await one.redis.pttl(name) == -1}
        assert lasting == {
            f"gw:{{keys}}:key:{key_id}".encode(),
            *(f"gw:{{keys}}:{name}".encode() for name in ("index", "tenants", "counts", "epoch")),
        }
        assert b'"v":1' in await text_of(one.redis, key_id)


async def test_pages(redis_url: str) -> None:
    """All keys once, the oldest first, whatever is revoked between two pages."""
    async with side(redis_url) as one:
        ids = [(await one.make(name=f"{number}"))[0] for number in range(7)]
        first = await one.store.page(limit=3)
        await one.store.revoke(ids[1])
        await one.store.revoke(ids[3])
        second = await one.store.page(limit=3, cursor=first.cursor)
        assert [[key.id for key in page.keys] for page in (first, second)] == [ids[:3], ids[4:]]
        assert second.cursor is None
        assert (await one.store.page(limit=7)).cursor is None


async def test_records_of_another_version(redis_url: str) -> None:
    """What a later version wrote beside ours is ignored; a form that we do not know is nobody's, and never 401."""
    async with side(redis_url) as one:
        key_id, key = await one.make()
        name = f"gw:{{keys}}:key:{key_id}"
        text = (await text_of(one.redis, key_id)).decode()
        await one.redis.set(name, text.replace('"v":1', '"v":1,"later":[1]'))
        assert await one.find(key) is not None
        for strange in (text.replace('"v":1', '"v":2'), "{", "[]", ""):
            await one.redis.set(name, strange)
            async with side(redis_url) as fresh:
                with pytest.raises(KeysUnavailable):
                    await fresh.find(key)
                with pytest.raises(StoreUnavailable):
                    await fresh.store.get(key_id)
                assert (await fresh.store.page(limit=10)).keys == []
        await one.store.revoke(key_id)


async def test_changes_at_once_lose_nothing(redis_url: str) -> None:
    """Two replicas change different fields of one key at the same time: both stay."""
    async with side(redis_url) as one, side(redis_url) as two:
        key_id, _ = await one.make()
        for number in range(10):
            await asyncio.gather(
                one.store.change(key_id, KeyChange(name=f"n{number}")),
                two.store.change(key_id, KeyChange(concurrency=number)),
            )
            record = await one.store.get(key_id)
            assert (record.name, record.concurrency) == (f"n{number}", number)


# Rotation, expiry


async def test_rotation(redis_url: str) -> None:
    """Old and new secret are good for the grace time, and no old one for longer; 0 ends them at once."""
    async with side(redis_url) as one:
        key_id, first = await one.make()
        _, text = await one.store.rotate(key_id, grace_s=3600)
        second = text.encode()
        assert id_of(second) == key_id
        found = [await one.find(key) for key in (first, second)]
        assert found[0] == found[1]
        assert found[0] is not None
        _, third = await one.store.rotate(key_id, grace_s=1)
        assert [await _is_some(one, key) for key in (first, second, third.encode())] == [True, True, True]
        # the shorter grace holds for those before it too
        await until(lambda: _is_none(one, first), 3)
        assert [await _is_some(one, key) for key in (second, third.encode())] == [False, True]
        _, fourth = await one.store.rotate(key_id, grace_s=0)
        assert [await _is_some(one, key) for key in (first, second, third.encode(), fourth.encode())] == [
            *(False, False, False),
            True,
        ]
        record = await one.store.get(key_id)
        assert record.retired == []
        for _ in range(12):
            await one.store.rotate(key_id, grace_s=60)
        assert len((await one.store.get(key_id)).retired) == 8


async def test_expiry_and_disabling(redis_url: str) -> None:
    """An expired or disabled key opens nothing, also when it is remembered; and does again when that is taken back."""
    async with side(redis_url) as one:
        key_id, key = await one.make(expires_at=(datetime.now(UTC) + timedelta(seconds=0.5)).isoformat())
        assert await one.find(key) is not None
        await until(lambda: _is_none(one, key), 3)
        await one.store.change(key_id, KeyChange(expires_at=None))
        assert await one.find(key) is not None
        await one.store.change(key_id, KeyChange(disabled=True))
        assert await one.find(key) is None
        await one.store.change(key_id, KeyChange(disabled=False))
        assert await one.find(key) is not None


# What is remembered


async def test_a_warm_key_costs_nothing(own_redis: RedisServer) -> None:
    """No command for a remembered key, for a wrong secret of it, nor for a malformed one; one script call when cold."""
    async with side(own_redis.url, following=False, listening=False) as one, Redis.from_url(own_redis.url) as other:
        key_id, key = await one.make()
        assert await lookups(other) == 0
        await one.find(key)
        assert await lookups(other) == 1
        wrong = new_key(key_id).encode()
        for _ in range(100):
            assert await one.find(key) is not None
            assert await one.find(wrong) is None
            assert await one.find(key[:-1] + b"-") is None
        assert await lookups(other) == 1


async def test_invented_ids_leave_nothing(own_redis: RedisServer) -> None:
    """10 000 well-formed keys that nobody made: no key more in Redis, a bounded memory, and known keys stay known."""
    async with side(own_redis.url) as one:
        _, key = await one.make()
        assert await one.find(key) is not None
        size = await one.redis.dbsize()
        for _ in range(100):
            found = await asyncio.gather(*(one.find(new_key().encode()) for _ in range(100)))
            assert found == [None] * 100
        assert await one.redis.dbsize() == size
        assert len(one.keys._unknown) == MAX_UNKNOWN
        assert len(one.keys._known) == 1


@pytest.mark.parametrize("told", ["announced", "unannounced"])
async def test_a_change_is_known_within_a_second(redis_url: str, told: str) -> None:
    """Revoked, rotated or changed here, it is known there: by the announcement, and without it by the epoch."""
    async with side(redis_url) as one, side(redis_url, listening=told == "announced") as two:
        key_id, key = await one.make()
        other_id, other = await one.make()
        assert await _is_some(two, key)
        assert await _is_some(two, other)
        await one.store.change(other_id, KeyChange(concurrency=9))

        async def knows() -> bool:
            found = await two.find(other)
            return found is not None and found.limits.concurrency == 9

        assert await until(knows, 3) < 1
        assert await _is_some(two, key)
        await one.store.revoke(key_id)
        assert await one.find(key) is None
        assert await until(lambda: _is_none(two, key), 3) < 1
        _, rotated = await one.store.rotate(other_id, grace_s=0)
        assert await until(lambda: _is_none(two, other), 3) < 1
        assert await _is_some(two, rotated.encode())


async def test_an_announcement_names_one_key(own_redis: RedisServer) -> None:
    """A change of one key makes a replica read that one again, and no other."""
    async with side(own_redis.url) as one, side(own_redis.url) as two:
        first_id, first = await one.make()
        _, second = await one.make()
        assert await _is_some(two, first)
        assert await _is_some(two, second)
        # until the epoch that `two` has seen is the newest
        await asyncio.sleep(POLL_S * 2)
        assert await _is_some(two, second)
        await one.store.change(first_id, KeyChange(concurrency=4))
        await asyncio.sleep(POLL_S * 2)
        before = await lookups(one.redis)
        assert await _is_some(two, second)
        assert await lookups(one.redis) == before
        found = await two.find(first)
        assert await lookups(one.redis) == before + 1
        assert found is not None
        assert found.limits.concurrency == 4


async def test_lost_data_is_noticed(own_redis: RedisServer) -> None:
    """A store that comes back empty has no keys: within a second of its return nobody's key is good."""
    async with side(own_redis.url) as one:
        _, key = await one.make()
        assert await _is_some(one, key)
        own_redis.kill()
        own_redis.start()
        await until(lambda: _is_refused(one, key), 5)


async def _is_refused(where: Side, key: bytes) -> bool:
    try:
        return await where.find(key) is None
    except KeysUnavailable:
        return False


async def test_without_redis(own_redis: RedisServer) -> None:
    """A remembered key is good while the clock says so; of an unknown key or secret nobody can tell."""
    async with side(own_redis.url) as one:
        key_id, key = await one.make()
        short_id, short = await one.make(expires_at=(datetime.now(UTC) + timedelta(seconds=2)).isoformat())
        disabled_id, disabled = await one.make(disabled=True)
        assert short_id != disabled_id
        for each in (key, short, disabled):
            await one.find(each)
        cold = new_key().encode()
        assert await one.find(cold) is None
        own_redis.kill()
        assert await _is_some(one, key)
        # an id that nobody had a moment ago may have been made since
        await until(lambda: _raises(one, cold), 3)
        for unknown in (new_key().encode(), new_key(key_id).encode(), new_key(new_id()).encode()):
            with pytest.raises(KeysUnavailable):
                await one.find(unknown)
        assert await one.find(b"gw_not_a_key") is None
        assert await one.find(disabled) is None
        await until(lambda: _is_none(one, short), 4)
        assert await _is_some(one, key)
        # ten minutes are the end of it: what is remembered is made older, not the clock
        one.keys._known[key_id].read_at -= 600
        with pytest.raises(KeysUnavailable):
            await one.find(key)
        for act in (one.store.get(key_id), one.store.revoke(key_id), one.store.page(limit=1), one.store.tenants()):
            with pytest.raises(StoreUnavailable):
                await act


async def _raises(where: Side, key: bytes) -> bool:
    try:
        await where.find(key)
    except KeysUnavailable:
        return True
    return False


async def test_frozen_and_back(own_redis: RedisServer) -> None:
    """What was revoked while this replica could not ask is refused within a second of its return."""
    async with side(own_redis.url) as one, Redis.from_url(own_redis.socket_url) as direct:
        key_id, key = await one.make()
        assert await _is_some(one, key)
        other: Any = direct
        await other.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        await asyncio.sleep(0.2)
        assert await _is_some(one, key)
        await other.execute_command("DEL", f"gw:{{keys}}:key:{key_id}")  # waits for the end of the pause
        assert await until(lambda: _is_refused(one, key), 5) < 3


async def test_the_embedded_store() -> None:
    """Without Redis the same store lives in the process: made, changed, rotated, revoked, at once."""
    async with side(None, listening=False, following=False, prefix="embedded") as one:
        await one.store.create_tenant(NewTenant(id="acme", concurrency=2))
        key_id, key = await one.make(tenant="acme")
        found = await one.find(key)
        assert found is not None
        assert found.tenant_limits.concurrency == 2
        await one.store.change_tenant("acme", TenantChange(concurrency=3))
        found = await one.find(key)
        assert found is not None
        assert found.tenant_limits.concurrency == 3
        _, rotated = await one.store.rotate(key_id, grace_s=0)
        assert [await _is_some(one, each) for each in (key, rotated.encode())] == [False, True]
        assert [tenant.id for tenant in await one.store.tenants()] == ["acme"]
        assert [record.id for record in (await one.store.page(limit=5)).keys] == [key_id]
        await one.store.revoke(key_id)
        assert await one.find(rotated.encode()) is None
        with pytest.raises(NotFound):
            await one.store.revoke(key_id)
        for hostile in ("*", "../x", "a" * 11, "{keys}", "", "é" * 10):
            with pytest.raises(NotFound):
                await one.store.get(hostile)
            with pytest.raises(NotFound):
                await one.store.tenant(hostile)
