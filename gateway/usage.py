"""The ledger as an admin reads it: `GET /admin/usage`, by key, day and model."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from gateway.json_response import json_response
from gateway.live import LiveConfig, Routing
from middleware.accounts import NANO, index_key, ledger_key
from middleware.record import Served
from middleware.refusal import FieldError, Refusal
from middleware.settlements import SLOTS

MAX_DAYS = 400
MAX_READS = 5000
"""Hashes read for one answer, at most: keys times days."""
AT_ONCE = 100
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
A = TypeVar("A")
R = TypeVar("R")

_AWAY = Refusal(503, "unavailable", "the store does not answer", {"Retry-After": "1"})


class LedgerNames:
    """`service/model` as configured; `service/other` where callers may name models that nobody lists."""

    def __init__(self, live: LiveConfig) -> None:
        self._live = live
        self._routing: Routing | None = None
        self._names: frozenset[str] = frozenset()

    def __call__(self, served: Served) -> str:
        routing = self._live.current
        if routing is not self._routing:
            self._routing = routing
            self._names = frozenset(
                target.name
                for service in routing.router.services
                for name in (None, *service.models)
                for target in service.targets(name)[:1]
            )
        name = f"{served.provider}/{served.model}"
        return name if name in self._names else f"{served.provider}/other"


class TooMuch(ValueError):
    """More than one answer may read."""


@dataclass(frozen=True, slots=True)
class Query:
    """Whose usage, and of which days, both included. None: of all."""

    key: str | None
    tenant: str | None
    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(n) for n in range((self.last - self.first).days + 1)]

    def slots(self, all_slots: Sequence[str]) -> list[str]:
        """The hash tags that may hold it: a tenant's, or those of the default tenant's keys."""
        if self.tenant is not None and self.tenant != "default":
            return [f"t-{self.tenant}"]
        if self.tenant is None:
            return list(all_slots)
        return [slot for slot in all_slots if slot == "t-default" or slot.startswith("key-")]


class UsageReader:
    """Reads the ledger of `Accounts`. `flush` sends what this process has not told yet."""

    def __init__(self, redis: Redis, flush: Callable[[], Awaitable[object]], *, prefix: str) -> None:
        self._redis: Any = redis  # its commands are declared to return two things
        self._flush = flush
        self._prefix = prefix

    async def read(self, query: Query) -> list[dict[str, Any]]:
        """Rows as in the answer. Raises `TooMuch`, and `RedisError` or `OSError` when Redis does not answer."""
        await self._flush()
        slots = query.slots(sorted(map(_text, await self._redis.smembers(f"{self._prefix}:{SLOTS}"))))
        if len(slots) > MAX_READS:
            raise TooMuch
        found = await _all(self._keys, slots)
        owners = [
            (slot, key)
            for slot, keys in zip(slots, found, strict=True)
            for key in sorted(keys)
            if query.key in (None, key)
        ]
        if len(owners) * len(query.days) > MAX_READS:
            raise TooMuch
        wanted = [(slot, key, day) for slot, key in owners for day in query.days]
        ledgers = await _all(self._ledger, wanted)
        return [
            {"key": key, "tenant": _tenant(slot), "day": day.isoformat(), "model": model, **told(counts)}
            for (slot, key, day), ledger in zip(wanted, ledgers, strict=True)
            for model, counts in sorted(_by_model(ledger).items())
        ]

    async def _keys(self, slot: str) -> list[str]:
        return sorted(map(_text, await self._redis.hkeys(index_key(self._prefix, slot))))

    async def _ledger(self, wanted: tuple[str, str, date]) -> Mapping[bytes | str, bytes | str]:
        slot, key, day = wanted
        found: Mapping[bytes | str, bytes | str] = await self._redis.hgetall(
            ledger_key(self._prefix, slot, key, day.strftime("%Y%m%d"))
        )
        return found


async def _all(read: Callable[[A], Awaitable[R]], wanted: Sequence[A]) -> list[R]:
    """In order, not too many at a time."""
    found: list[R] = []
    for start in range(0, len(wanted), AT_ONCE):
        found += await asyncio.gather(*map(read, wanted[start : start + AT_ONCE]))
    return found


def _tenant(slot: str) -> str:
    return slot.removeprefix("t-") if slot.startswith("t-") else "default"


def _by_model(ledger: Mapping[bytes | str, bytes | str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for name, amount in ledger.items():
        model, _, what = _text(name).rpartition("|")
        found.setdefault(model, Counter())[what] += int(amount)
    return found


def told(counts: Mapping[str, int]) -> dict[str, Any]:
    """Counts in the answer's units."""
    return {
        **{name: counts.get(name, 0) for name in ("requests", "input_tokens", "output_tokens")},
        "cost_usd": counts.get("cost_nano_usd", 0) / NANO,
        "unheard_requests": counts.get("unheard_requests", 0),
        "unheard_usd": counts.get("unheard_nano_usd", 0) / NANO,
    }


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


class UsageReport:
    """`GET /admin/usage?key=&tenant=&from=2026-11-01&to=2026-11-30`: this month unless told otherwise. One reading."""

    def __init__(self, reader: UsageReader) -> None:
        self.reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            query = _query(scope["query_string"])
            rows = await self.reader.read(query)
        except _Invalid as error:
            refusal = Refusal(422, "validation_error", "invalid query", fields=tuple(error.fields))
            await refusal(scope, receive, send)
        except TooMuch:
            refusal = Refusal(422, "bad_request", f"more than {MAX_READS} days of keys: name a key or fewer days")
            await refusal(scope, receive, send)
        except (RedisError, OSError, TimeoutError):
            await _AWAY(scope, receive, send)
        else:
            total = {name: sum(row[name] for row in rows) for name in told({})}
            await json_response({"usage": rows, "total": total})(scope, receive, send)


class _Invalid(ValueError):
    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__("invalid query")
        self.fields = fields


def _query(text: bytes) -> Query:
    """Raises `_Invalid` naming each wrong parameter, and no value."""
    wrong: list[FieldError] = []
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError:
        raise _Invalid([FieldError((), "not a query string", "value_error")]) from None
    for name, value in pairs:
        if name not in ("key", "tenant", "from", "to") or name in given:
            wrong.append(FieldError((name[:64],), "unknown, or given twice", "extra_forbidden"))
        given[name] = value
    ids = {"key", "tenant"} & given.keys()
    wrong += [FieldError((name,), "not an id", "value_error") for name in ids if not _ID.fullmatch(given[name])]
    today = datetime.now(UTC).date()
    days = _days(given, wrong)
    last = days.get("to", today)
    first = days.get("from", last.replace(day=1))
    if not wrong and not 0 <= (last - first).days < MAX_DAYS:
        wrong.append(FieldError(("from",), f"must be at most {MAX_DAYS} days before the end", "value_error"))
    if wrong:
        raise _Invalid(wrong)
    return Query(given.get("key"), given.get("tenant"), first, last)


def _days(given: Mapping[str, str], wrong: list[FieldError]) -> Mapping[str, date]:
    days = {}
    for name in {"from", "to"} & given.keys():
        try:
            if not _DAY.fullmatch(given[name]):
                raise ValueError
            days[name] = date.fromisoformat(given[name])
        except ValueError:
            wrong.append(FieldError((name,), "expected YYYY-MM-DD", "date_parsing"))
    return days
