"""A Redis Cluster: which node a command goes to, and what to do when it has moved."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, RedisError

from gateway.redis_errors import FAILURES_TO_OPEN, StoreAway
from gateway.redis_pipe import Pipe
from gateway.redis_servers import Failed
from gateway.redis_url import Login, Place

REFRESH_PAUSE_S = 0.2
"""The map of slots is read no sooner after it was read."""
ASKED_FOR_MAP = 5
"""How many nodes are asked for it at once; the first answer counts."""

_COUNTED = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
"""Commands that say how many keys follow: `EVALSHA sha 1 key`."""
_BELOW = frozenset({"XGROUP", "XINFO", "OBJECT", "MEMORY", "BITOP"})
"""Commands whose key comes after a subcommand."""
_KEYLESS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "INFO", "PING", "PUBLISH", "SCRIPT", "TIME"}
)


def first_key(args: Sequence[Any]) -> str | bytes | None:
    """The key that decides where a command goes; None when any node will do."""
    name, *subcommand = str(args[0]).upper().split()
    if name in _KEYLESS:
        return None
    at = 1
    if name in _COUNTED:
        at = 3 if int(args[2]) else 0
    elif name in ("XREAD", "XREADGROUP"):
        at = 1 + next((i for i, arg in enumerate(args) if str(arg).upper() in ("STREAMS", "B'STREAMS'")), 0)
    elif name in _BELOW and not subcommand:
        at = 2
    if at == 0 or at >= len(args):
        return None
    key = args[at]
    return key if isinstance(key, str | bytes) else str(key)


class Cluster:
    """
    One pipe for each primary; a command goes to the one that holds the slot of its first key.

    MOVED corrects the map and is followed once, so is ASK; the map is read again (CLUSTER SLOTS) when a node fails or
    answers MOVED. Commands without a key go to any primary that answers.

    A node that fails three times in a row is not asked any more but by `probing`: a dead node costs nobody's time, and
    the keys of others nothing at all. `heart` is the node of the last command that probed, the heartbeat's: Redis as a
    whole is away when that one is. The cluster's own majority rule does the rest, as every node that has lost sight of
    the majority answers CLUSTERDOWN, which is a failure here.
    """

    def __init__(self, seeds: Sequence[Place], login: Login, *, timeout_s: float, failed: Failed) -> None:
        self.heart: Pipe | None = None
        self._seeds = seeds
        self._login = login
        self._timeout_s = timeout_s
        self._failed = failed
        self._pipes: dict[Place, Pipe] = {}
        self._slots: list[Place | None] = []
        """The primary of each slot; empty before it is known."""
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_after = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(self, args: Sequence[Any], *, probing: bool) -> Any:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        if not self._slots:
            async with asyncio.timeout_at(deadline):
                await self._read_map()
        key = first_key(args)
        pipe = self._any() if key is None else self._of(key_slot(key.encode() if isinstance(key, str) else key))
        if probing:
            self.heart = pipe
            self._probe()
        elif pipe.failures >= FAILURES_TO_OPEN:
            raise StoreAway("this node of Redis is away")
        try:
            return await pipe.ask(*args)
        except AskError as redirect:  # MOVED is one, too
            place = Place(redirect.host or (pipe.place.host if pipe.place else ""), redirect.port)
            moved = isinstance(redirect, MovedError)
            if moved:
                self._slots[redirect.slot_id] = place
                self._refresh()
            async with asyncio.timeout_at(deadline):
                return await self._pipe(place).ask(*args, asking=not moved)
        except ClusterDownError:
            self._refresh()
            raise

    def place(self) -> Place | None:
        return next((place for place, pipe in self._pipes.items() if pipe.failures == 0), self._seeds[0])

    async def aclose(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        await asyncio.gather(*(pipe.aclose() for pipe in self._pipes.values()), *self._closing)

    def _of(self, slot: int) -> Pipe:
        place = self._slots[slot]
        if place is None:
            self._refresh()
            raise ClusterDownError("no node has this slot")
        return self._pipe(place)

    def _any(self) -> Pipe:
        primaries = [self._pipe(place) for place in dict.fromkeys(self._slots) if place is not None]
        return min(primaries, key=lambda pipe: pipe.failures)

    def _pipe(self, place: Place) -> Pipe:
        pipe = self._pipes.get(place)
        if pipe is None:

            async def locate() -> Place:
                return place

            pipe = self._pipes[place] = Pipe(locate, self._login, timeout_s=self._timeout_s, failed=self._on_failure)
        return pipe

    def _on_failure(self, pipe: Pipe, error: Exception) -> None:
        self._refresh()
        self._failed(pipe, error)

    def _probe(self) -> None:
        """Ask the nodes that are away in the background: an answer makes them available again."""
        for pipe in self._pipes.values():
            if pipe.failures >= FAILURES_TO_OPEN and pipe is not self.heart:
                pipe.ask("PING").add_done_callback(_heard)

    def _refresh(self) -> None:
        """Read the map again in the background, unless that was done just now."""
        if self._refreshing is None and asyncio.get_running_loop().time() >= self._refresh_after:
            self._refreshing = asyncio.create_task(self._load())

    async def _read_map(self) -> None:
        """Raises `ConnectionError` when no node tells."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._load())
        await asyncio.shield(self._refreshing)
        if not self._slots:
            raise ConnectionError("no node of the cluster tells who holds which slot")

    async def _load(self) -> None:
        try:
            known = sorted(self._pipes, key=lambda place: self._pipes[place].failures)
            places = list(dict.fromkeys([*known, *self._seeds]))[:ASKED_FOR_MAP]
            asked = [asyncio.create_task(self._slots_of(place)) for place in places]
            try:
                for answer in asyncio.as_completed(asked):
                    slots = await answer
                    if slots:
                        self._learn(slots)
                        break
            finally:
                for task in asked:
                    task.cancel()
        finally:
            self._refreshing = None
            self._refresh_after = asyncio.get_running_loop().time() + REFRESH_PAUSE_S

    async def _slots_of(self, place: Place) -> list[Place | None]:
        """The map as one node sees it; empty when it does not tell."""
        slots: list[Place | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        try:
            for first, last, (host, port, *_), *_ in await self._pipe(place).ask("CLUSTER", "SLOTS"):
                holder = Place(host.decode() if host and host != b"?" else place.host, int(port))
                slots[first : last + 1] = [holder] * (last + 1 - first)
        except (RedisError, OSError, TypeError, ValueError):
            return []
        return slots if any(slots) else []

    def _learn(self, slots: list[Place | None]) -> None:
        self._slots = slots
        holders = set(slots)
        for place in [place for place in self._pipes if place not in holders]:
            pipe = self._pipes.pop(place)
            if pipe is self.heart:
                self.heart = None
            closing = asyncio.create_task(pipe.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _heard(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # fetched, or asyncio would log it; the pipe has counted it
