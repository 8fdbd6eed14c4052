"""What Redis is told of requests that are under way or over, behind their backs: once, however often it is sent."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from middleware.quota import LimiterUnavailable
from middleware.scripts import Script

FLUSH_S = 1.0
REMEMBERED_S = 3600
"""How long a batch's number is known: a replica cut off for longer may count its last batch twice."""
LEDGER_S = 400 * 86400
MONEY_S = 62 * 86400
"""Longer than any month, with time for what is settled late."""
MAX_OPERATIONS = 500
"""Of one script call: some 1 ms of Redis's time."""
MAX_SETTLED = 20_000
"""Requests of one hash tag remembered one by one while Redis is away. What they cost is kept for all."""

SLOTS = "usage-slots"

_SETTLE = Script("reservations.lua", "settle.lua")


@dataclass(frozen=True, slots=True)
class Hold:
    """
    One entry of a subject's leases, `member`, at `name`, what the subject's Redis keys begin with.

    `admitted` on this process's monotonic clock.
    """

    slot: str
    name: str
    member: str
    admitted: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations as `settle.lua` takes them. `counts` are amounts by key and field."""

    number: int
    settled: Sequence[tuple[Hold, int]] = ()
    counts: Sequence[tuple[tuple[str, str], int]] = ()
    renewed: Sequence[Hold] = ()
    unsound: Sequence[str] = ()

    def arguments(self, batch_key: str, lease_us: int) -> list[str | int]:
        keys: dict[str, tuple[int, str]] = {}
        words: list[str | int] = []

        def place(key: str, kind: str) -> int:
            return keys.setdefault(key, (len(keys) + 2, kind))[0]

        now = time.monotonic()
        for hold, used in self.settled:
            leases, tokens = place(f"{hold.name}:leases", "z"), place(f"{hold.name}:tokens", "z")
            words += ("-", leases, hold.member, f"{used}:{tokens}", max(0, int((now - hold.admitted) * 1e6)))
        for hold in self.renewed:
            words += ("~", place(f"{hold.name}:leases", "z"), hold.member, lease_us, "")
        for (key, name), amount in self.counts:
            ttl_s = MONEY_S if key.endswith(":money") else LEDGER_S
            words += ("+", place(key, "h"), name, amount, ttl_s * 1000)
        for key in self.unsound:
            place(key, "h" if key.endswith(":money") else "z")
        kinds = "".join(kind for _, kind in keys.values())
        return [len(keys) + 1, batch_key, *keys, self.number, REMEMBERED_S, kinds, *words]


@dataclass(slots=True)
class _Slot:
    """What Redis has not heard of one hash tag. `batch` was sent and may have arrived; it stays as it is."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    settled: list[tuple[Hold, int]] = field(default_factory=list)
    unsound: set[str] = field(default_factory=set)
    batch: Batch | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sending: "asyncio.Task[bool] | None" = None

    @property
    def has_news(self) -> bool:
        return bool(self.batch or self.counts or self.settled or self.unsound)

    def next_batch(self, number: int) -> Batch:
        settled, self.settled = self.settled[:MAX_OPERATIONS], self.settled[MAX_OPERATIONS:]
        counts = list(self.counts.items())[: MAX_OPERATIONS - len(settled)]
        for name, _ in counts:
            del self.counts[name]
        unsound, self.unsound = tuple(self.unsound), set()
        return Batch(number, settled, counts, unsound=unsound)


class Settlements:
    """
    The outbox to Redis: settled reservations at once, counts within a second, renewals of leases.

    Keys: those it is told, and `{prefix}:{<slot>}:batch:<process>`, an hour. There is one batch under way for each
    slot; one that Redis may or may not have heard is sent again under its number. `{prefix}:usage-slots`, 400 days, are
    the slots that have counts. The background task lives while there is something to say.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        lease_s: float,
        running: Callable[[], Iterable[Hold]],
    ) -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._prefix = prefix
        self._lease_s = lease_s
        self._running = running
        self._known: dict[str, int] = {}
        """Slots that Redis has in its list, and the day on which it heard of them."""
        self._process = secrets.token_hex(8)
        self._number = 0
        self._slots: dict[str, _Slot] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def count(self, slot: str, amounts: Iterable[tuple[str, str, int]]) -> None:
        """Add to fields of hashes: key, field, amount."""
        counts = self._slot(slot).counts
        for key, name, amount in amounts:
            if amount:
                counts[key, name] += amount
        self.work()

    def settle(self, hold: Hold, used: int) -> None:
        """Give back what is held, and note the tokens that were used. Leaves at once."""
        slot = self._slot(hold.slot)
        slot.settled.append((hold, used))
        del slot.settled[:-MAX_SETTLED]
        if not self._closed and (slot.sending is None or slot.sending.done()):
            slot.sending = asyncio.create_task(self._send(hold.slot, slot))
        self.work()

    def mend(self, slot: str, keys: Iterable[str]) -> None:
        """Remove those of the keys that are of another type than ours."""
        self._slot(slot).unsound.update(keys)
        self.work()

    def work(self) -> None:
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work_while_needed())

    async def flush(self) -> bool:
        """Send what Redis has not heard; what cannot be sent is kept. Whether it has heard everything."""
        for name, slot in list(self._slots.items()):
            if not await self._send(name, slot):
                # Others have their turn first: it may be this one's key that is at fault.
                if self._slots.get(name) is slot:
                    self._slots[name] = self._slots.pop(name)
                return False
        return not self._slots

    async def aclose(self) -> None:
        """Send what is left, and end the background task."""
        self._closed = True
        tasks = [slot.sending for slot in self._slots.values() if slot.sending is not None]
        if self._task is not None:
            self._task.cancel()
            tasks.append(self._task)  # type: ignore[arg-type]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.flush()

    def _slot(self, name: str) -> _Slot:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = _Slot()
        return slot

    async def _work_while_needed(self) -> None:
        renewed = time.monotonic()
        while self._slots or any(True for _ in self._running()):
            await asyncio.sleep(min(FLUSH_S, self._lease_s / 3))
            await self.flush()
            if time.monotonic() - renewed >= self._lease_s / 3:
                renewed = time.monotonic()
                await self._renew()

    async def _send(self, name: str, slot: _Slot) -> bool:
        async with slot.lock:
            while slot.has_news:
                if slot.batch is None:
                    self._number += 1
                    slot.batch = slot.next_batch(self._number)
                if not await self._say(name, slot.batch):
                    return False
                counted, slot.batch = bool(slot.batch.counts), None
                if counted:
                    await self._list(name)
            if self._slots.get(name) is slot:
                del self._slots[name]
        return True

    async def _renew(self) -> None:
        by_slot: dict[str, list[Hold]] = {}
        for hold in self._running():
            by_slot.setdefault(hold.slot, []).append(hold)
        for name, holds in by_slot.items():
            slot = self._slot(name)
            async with slot.lock:
                # What was settled meanwhile must not come back.
                under_way = set(self._running())
                left = [hold for hold in holds if hold in under_way]
                for start in range(0, len(left), MAX_OPERATIONS):
                    if not await self._say(name, Batch(0, renewed=left[start : start + MAX_OPERATIONS])):
                        return
            if not slot.has_news and self._slots.get(name) is slot:
                del self._slots[name]

    async def _say(self, name: str, batch: Batch) -> bool:
        key = f"{self._prefix}:{{{name}}}:batch:{self._process}"
        try:
            await _SETTLE.run(self._redis, batch.arguments(key, int(self._lease_s * 1e6)))
        except LimiterUnavailable:
            return False
        return True

    async def _list(self, name: str) -> None:
        today = int(time.time() // 86400)
        if self._known.get(name) == today:
            return
        key = f"{self._prefix}:{SLOTS}"
        with suppress(RedisError, OSError, TimeoutError):  # the next counts will try again
            await self._redis.sadd(key, name)
            await self._redis.expire(key, LEDGER_S)
            self._known[name] = today
