"""Limits without the store: each replica holds its share, and tells the store about it afterwards."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import islice

from middleware.limits import Window
from middleware.rate_limit import LimiterUnavailable, Quota, SlidingWindow, WindowState

MAX_SUBJECTS = 10_000
"""Logs kept at most. The one that was asked for longest ago is forgotten: its subject begins anew."""
REPLAY_S = 0.5
"""How often admissions that the store does not have are offered to it."""
LOCAL = "local-"
"""What the stamps begin with that no store knows."""


class LocalLog:
    """
    The exact sliding-window log of one subject in memory: decides as `rate_limit.lua` does.

    Times are integer microseconds of any clock that does not go back.
    """

    __slots__ = ("_entries", "unsent", "windows")

    def __init__(self) -> None:
        self._entries: deque[int] = deque()
        """Newest first, at most the largest limit."""
        self.unsent = 0
        """How many of the newest the store does not have."""
        self.windows: tuple[Window, ...] = ()
        """The limits for the whole fleet, as they were last asked for."""

    def hit(self, windows: Sequence[Window], *, cost: int, undo: int | None, now: int) -> Quota:
        """One decision: all windows, all or nothing."""
        entries = self._entries
        if entries:
            now = max(now, entries[0])
            oldest = now - max(window.seconds for window in windows) * 1_000_000
            while entries and entries[-1] <= oldest:
                entries.pop()
            self.unsent = min(self.unsent, len(entries))
        allowed = True
        states = []
        for window in windows:
            length = window.seconds * 1_000_000
            used = self._younger_than(now - length)
            reset = entries[used - 1] + length - now if used else 0
            wait = 0
            if used + cost > window.limit:
                allowed = False
                wait = length if cost > window.limit else entries[window.limit - cost] + length - now
            states.append((window, window.limit - used, wait, reset))
        if allowed:
            entries.extendleft([now] * cost)
            self.unsent += cost
            self._trim(max(window.limit for window in windows))
            states = [
                (window, left - cost, wait, reset or window.seconds * 1_000_000) for window, left, wait, reset in states
            ]
        elif not allowed and undo is not None:
            self.take_back(undo)
        told = tuple(WindowState(window, max(0, left), wait / 1e6, reset / 1e6) for window, left, wait, reset in states)
        return Quota(allowed, told, f"{LOCAL}{now}", degraded=True)

    def take_back(self, stamp: int) -> None:
        """Forget one admission of that time, if there is one."""
        entries = self._entries
        for place, entry in enumerate(entries):
            if entry <= stamp:
                if entry == stamp:
                    del entries[place]
                    self.unsent -= place < self.unsent
                return

    def ages_unsent(self, now: int) -> list[int]:
        """How long ago the admissions were that the store does not have, the youngest first."""
        return [max(0, now - entry) for entry in islice(self._entries, self.unsent)]

    def __len__(self) -> int:
        return len(self._entries)

    def _younger_than(self, since: int) -> int:
        entries = self._entries
        if not entries or entries[-1] > since:
            return len(entries)
        # The longest window, whose entries alone are kept, ends above. A deque's middle is too slow to reach to search.
        used = 0
        for entry in entries:
            if entry <= since:
                break
            used += 1
        return used

    def _trim(self, length: int) -> None:
        while len(self._entries) > length:
            self._entries.pop()
        self.unsent = min(self.unsent, len(self._entries))


class DegradingLimiter:
    """
    Ask the store; when it cannot be asked, decide here, at this replica's share of each limit.

    The share is floor(limit / replicas), at least 1: over all replicas no more than the limit, if it is not below their
    number. What was admitted here is written into the store's log when it is back; until then its subject is decided
    here, so that the store never decides without it. A window in which the store goes away, or comes back, even empty,
    admits at most twice the limit.

    Healthy: one look into an empty dict more than the store's own round trip. Memory: `max_subjects` logs of at most
    the share.
    """

    def __init__(
        self, store: SlidingWindow, *, replicas: Callable[[], int] = lambda: 1, max_subjects: int = MAX_SUBJECTS
    ) -> None:
        if max_subjects < 1:
            raise ValueError("at least one subject must be remembered")
        self._store = store
        self._replicas = replicas
        self._max_subjects = max_subjects
        self._logs: OrderedDict[str, LocalLog] = OrderedDict()
        """Kept after they are sent: a store that comes and goes must not renew the share each time."""
        self._unsent: dict[str, LocalLog] = {}
        self._replaying = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota:
        if subject not in self._unsent:
            try:
                quota = await self._store.hit(subject, windows, cost=cost, undo=undo)
            except LimiterUnavailable:
                pass
            else:
                if undo.startswith(LOCAL) and not quota.allowed:
                    self.take_back(subject, undo)
                return quota
        return self.decide(subject, windows, cost, undo)

    def knows_more(self, subject: str) -> bool:
        """Whether something was admitted here that the store does not have: it must not decide without it."""
        return subject in self._unsent

    def decide(self, subject: str, windows: Sequence[Window], cost: int, undo: str = "") -> Quota:
        """Decide without the store."""
        log = self._logs.get(subject)
        if log is None:
            log = self._logs[subject] = LocalLog()
            if len(self._logs) > self._max_subjects:
                self._unsent.pop(self._logs.popitem(last=False)[0], None)
        else:
            self._logs.move_to_end(subject)
        log.windows = tuple(windows)
        replicas = max(1, self._replicas())
        shares = [Window(min(w.limit, max(1, w.limit // replicas)), w.seconds) for w in windows]
        quota = log.hit(shares, cost=cost, undo=_local_time(undo), now=_now())
        if log.unsent:
            self._unsent[subject] = log
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._replay_when_possible())
        return quota

    def take_back(self, subject: str, undo: str) -> None:
        """Forget one admission with this stamp."""
        log = self._logs.get(subject)
        stamp = _local_time(undo)
        if log is not None and stamp is not None:
            log.take_back(stamp)

    async def replay(self) -> bool:
        """
        Offer the store what it does not have; whether it has everything now.

        Nobody needs to call this: it is tried again and again in the background. Whoever knows when the store comes
        back can save the wait.
        """
        async with self._replaying:
            for subject, log in list(self._unsent.items()):
                if self._unsent.get(subject) is not log:
                    continue  # forgotten meanwhile
                count = log.unsent
                try:
                    await self._store.replay(subject, log.windows, log.ages_unsent(_now()))
                except LimiterUnavailable:
                    # Others have their turn first: it may be this one's key that is at fault.
                    if self._unsent.pop(subject, None) is log:
                        self._unsent[subject] = log
                    return False
                log.unsent = max(0, log.unsent - count)
                if not log.unsent and self._unsent.get(subject) is log:
                    del self._unsent[subject]
        return not self._unsent

    async def _replay_when_possible(self) -> None:
        while self._unsent:
            await asyncio.sleep(REPLAY_S)
            await self.replay()

    async def aclose(self) -> None:
        """Offer what is left once more, and end the background task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.replay()


def _now() -> int:
    return time.monotonic_ns() // 1000


def _local_time(stamp: str) -> int | None:
    return int(stamp.removeprefix(LOCAL)) if stamp.startswith(LOCAL) else None
