"""
The breakers of a whole fleet: each replica's own, kept in step through Redis.

Asking is a look at this replica's own breakers. What they see is told in the background by one script call
(`breaker.lua`), whose answer holds what the fleet has come to think since; a change is told at once and announced, so
that the others look at once. Only a probe of a target that is down asks Redis first: there is one for the fleet.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from providers.base import Target
from providers.breaker import (
    MAX_ASIDE_S,
    MAX_BREAKERS,
    PROBE_LEASE_S,
    Aside,
    BreakerSettings,
    Denied,
    LocalBreakers,
    Outcome,
    Permit,
    Reason,
    State,
    breaker_ids,
    jitter,
)
from providers.errors import BadCredentials, Overloaded, RateLimited

FLUSH_S = 1.0
PAUSE_S = 0.02
"""Between two script calls, however much there is to tell: a target that answers 429 to everybody is no reason to
keep Redis busy."""
MAX_REPORTED = 256
"""Breakers whose calls one script call reports. It takes some 20 µs for each, and Redis does nothing else meanwhile."""
ANNOUNCEMENT = "breakers"

_SCRIPT = (files("providers") / "breaker.lua").read_text()
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

T = TypeVar("T")

_News = Literal["trip", "close", "leave", "aside", "lift"]


class Announcements(Protocol):
    """A word to all replicas at once. It may be lost."""

    def on(self, kind: str, handler: Callable[[str], None]) -> None: ...

    def on_gap(self, handler: Callable[[], None]) -> None: ...

    async def announce(self, kind: str, text: str) -> bool: ...


@dataclass(slots=True)
class _Calls:
    """Of one breaker, since they were last told. `in_a_row`: failures after the last good one."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    in_a_row: int = 0
    none_good: bool = True

    def add(self, *, failed: bool, slow: bool) -> None:
        self.calls += 1
        self.failures += failed
        self.slow += slow
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.none_good = self.none_good and failed


class _Record(NamedTuple):
    """What the fleet thinks of a breaker, or of what is put aside. `generation` tells two states apart."""

    name: str
    word: State | Reason
    generation: int
    remaining_s: float
    times: int


class SharedBreakers(LocalBreakers):
    """
    Breakers that N replicas have in common.

    Keys: `{prefix}:{breakers}:states` and `{prefix}:{breakers}:calls`, hashes of at most `MAX_BREAKERS` entries, named
    by digests, that expire. A replica's own breakers open at once, whatever Redis says; besides, the fleet's rates
    count, over calls that come in with each flush (and are dropped when they cannot be told: they are old by the next
    one). Without Redis each replica goes on alone. On its return open wins: what is open anywhere is open everywhere,
    until the fleet's next probe. Whoever finds that Redis has forgotten a pause tells it again.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        redis: Redis,
        *,
        prefix: str,
        announcements: Announcements,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, clock=clock)
        self._redis: Any = redis  # `execute_command` is untyped
        self._keys = (f"{prefix}:{{breakers}}:states", f"{prefix}:{{breakers}}:calls")
        self._announcements = announcements
        self._calls: dict[str, _Calls] = {}
        self._news: dict[str, tuple[_News, int]] = {}
        """By breaker or place: what happened last, and the generation it speaks of."""
        self._version = ""
        self._generations: dict[str, int] = {}
        """Of the fleet's records, as last read."""
        self._talking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        announcements.on(ANNOUNCEMENT, lambda text: self._wake.set())
        announcements.on_gap(self._wake.set)

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator[None]:
        """Keep in step with the fleet until the end: read once before this returns, tell once after."""
        await self.sync()
        task = asyncio.create_task(self._sync_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.sync()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sync_for_ever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._wake.wait()
            self._wake.clear()
            await self.sync()
            await asyncio.sleep(PAUSE_S)

    # What the cascade asks and tells

    async def admit(self, target: Target) -> Permit | Denied:
        """No round trip, except before a probe: one, which claims it for this replica."""
        for _ in range(2):
            admission = self._decide(target)
            if isinstance(admission, Denied):
                return admission
            probed = [name for name in breaker_ids(target) if self._breaker(name).state == "half_open"]
            if not probed:
                return admission
            task = self._in_background(self._claimed(admission, probed))
            try:
                # Once asked, the answer is needed, even if nobody waits for it: the lease may be ours.
                permit = await asyncio.shield(task)
            except asyncio.CancelledError:
                task.add_done_callback(self._give_back)
                raise
            if permit is not None:
                return permit
        return Denied("open", FLUSH_S)

    async def _claimed(self, permit: Permit, names: Sequence[str]) -> Permit | None:
        """Leave for the probe that `permit` would be; None: another replica probes, or the fleet knows better."""
        if await self.sync(names) is False:
            return None
        of_target, of_service = breaker_ids(permit.target)
        return Permit(
            permit.target,
            self._breaker(of_target).generation if of_target in names else permit.generation,
            self._breaker(of_service).generation if of_service in names else permit.service_generation,
        )

    def _give_back(self, task: "asyncio.Task[Permit | None]") -> None:
        permit = None if task.cancelled() else task.result()
        if permit is not None:
            self.abandoned(permit)

    def _report(self, name: str, generation: int, *, failed: bool, slow: bool) -> Outcome | None:
        breaker = self._breaker(name)
        probe = breaker.state == "half_open"
        outcome = super()._report(name, generation, failed=failed, slow=slow)
        if outcome == "counted":
            self._calls.setdefault(name, _Calls()).add(failed=failed, slow=slow)
        elif outcome == "tripped":
            self._calls.pop(name, None)
            self._tell(name, "trip", self._generations.get(name, 0) if probe else 0)
        elif outcome == "closed":
            self._tell(name, "close", self._generations.get(name, 0))
        return outcome

    def _leave(self, name: str, generation: int) -> bool:
        left = super()._leave(name, generation)
        if left:
            self._tell(name, "leave", self._generations.get(name, 0))
        return left

    def _put_aside(self, place: str, error: RateLimited | Overloaded | BadCredentials) -> None:
        before = self._asides.get(place)
        super()._put_aside(place, error)
        if self._asides.get(place) is not before:
            self._tell(place, "aside")

    def _forgive(self, place: str) -> None:
        super()._forgive(place)
        self._tell(place, "lift")

    def _tell(self, name: str, news: _News, generation: int = 0) -> None:
        self._news[name] = news, generation
        self._wake.set()

    # What Redis is told and tells

    async def sync(self, claims: Sequence[str] = ()) -> bool | None:
        """
        Tell what happened here, and learn what happened elsewhere: one round trip.

        With `claims`, one or two names: whether a probe of these may be made. None: Redis does not answer.
        """
        async with self._talking:
            news, self._news = self._news, {}
            calls, self._calls = self._calls, {}
            arguments = [*self._terms(), *self._told(news), *_counted(calls)]
            if claims:
                arguments += ["claim", claims[0], *(claims[1:] or ("",))]
            try:
                version, changed, granted, *records = await self._eval(*arguments)
            except BaseException as error:
                self._news = news | self._news
                if isinstance(error, RedisError | OSError | TimeoutError):
                    return None
                raise
            version = _text(version)
            if version != self._version or (claims and not granted):
                self._version = version
                self._take_in(list(_records(records)), claims, granted=bool(granted))
        if changed:
            self._in_background(self._announcements.announce(ANNOUNCEMENT, "changed"))
        return bool(granted)

    async def _eval(self, *arguments: object) -> list[Any]:
        keys = (2, *self._keys)
        try:
            reply = await self._redis.execute_command("EVALSHA", _SHA, *keys, *arguments)
        except NoScriptError:
            reply = await self._redis.execute_command("EVAL", _SCRIPT, *keys, *arguments)
        return cast("list[Any]", reply)

    def _terms(self) -> tuple[object, ...]:
        settings = self._settings
        slowest = settings.slow_call_rate if settings.slow_call_s is not None else 2.0
        life_s = MAX_ASIDE_S + 2 * settings.max_open_s
        return (
            *(self._version, jitter()),
            *(_ms(settings.open_s), _ms(settings.max_open_s), _ms(settings.window_s), _ms(PROBE_LEASE_S)),
            *(settings.min_calls, settings.failure_rate, slowest, MAX_BREAKERS, _ms(life_s)),
        )

    def _told(self, news: Mapping[str, tuple[_News, int]]) -> Iterator[object]:
        """The news as events of the script, with the times of now."""
        now = self._clock()
        for name, (event, generation) in news.items():
            breaker, aside = self._breakers.get(name), self._asides.get(name)
            if event == "trip" and breaker is not None:
                yield from (event, name, _ms(breaker.wait_s(now)), breaker.trips, generation)
            elif event == "aside" and aside is not None and aside.until > now:
                yield from (event, name, aside.reason, _ms(aside.until - now), aside.times)
            elif event in ("close", "leave"):
                yield from (event, name, generation)
            elif event == "lift":
                yield from (event, name)

    def _take_in(self, records: Sequence[_Record], claims: Sequence[str], *, granted: bool) -> None:
        """Think what the fleet thinks, save where this replica has news for it."""
        now = self._clock()
        known, self._generations = self._generations, {}
        for record in records:
            name = record.name
            if name in self._news and name not in claims:
                # Told next time, and then answered; until then the fleet's state of before stays unread.
                self._version = ""
                self._generations[name] = known.get(name, 0)
                continue
            self._generations[name] = record.generation
            if name in claims and granted:
                self._breaker(name).probed(now, PROBE_LEASE_S)
            elif name in claims or known.get(name) != record.generation:
                self._think(record, now)
        for name, breaker in self._breakers.items():
            if breaker.state != "closed" and name not in self._generations and name not in self._news:
                self._tell(name, "trip")
        for name, aside in list(self._asides.items()):
            if name not in self._generations and name not in self._news:
                if aside.until > now:
                    self._tell(name, "aside")
                else:
                    del self._asides[name]

    def _think(self, record: _Record, now: float) -> None:
        name, word = record.name, record.word
        if word == "open":
            self._breaker(name).open(now, record.remaining_s, record.times)
        elif word == "half_open":
            breaker = self._breaker(name)
            breaker.probed(now, record.remaining_s)
            breaker.trips = record.times
        elif word == "closed":
            if name in self._breakers and self._breakers[name].state != "closed":
                self._breakers[name].close()
        else:
            until, own = now + record.remaining_s, self._asides.get(name)
            if own is None or own.until < until:
                self._asides[name] = Aside(until, word, record.times)

    def _in_background(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _counted(calls: Mapping[str, _Calls]) -> Iterator[object]:
    for name, seen in islice(calls.items(), MAX_REPORTED):
        yield from ("calls", name, seen.calls, seen.failures, seen.slow, seen.in_a_row, int(seen.none_good))


def _records(reply: Sequence[Any]) -> Iterator[_Record]:
    for name, word, generation, remaining_ms, times in zip(*[iter(reply)] * 5, strict=True):
        yield _Record(_text(name), _text(word), int(generation), int(remaining_ms) / 1000, int(times))  # type: ignore[arg-type]


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
