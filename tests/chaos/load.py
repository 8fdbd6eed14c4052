"""Callers at a steady rate, and what a process costs meanwhile."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.serving import CLIENT_KEY, Replica

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when it was asked for (`time.monotonic()`), how long it took, and what it was; 0: no answer."""

    sent: float
    took: float
    status: int
    degraded: bool


@dataclass(slots=True)
class Log:
    answers: list[Seen] = field(default_factory=list)

    def between(self, start: float, end: float) -> "Log":
        """Those sent in this span."""
        return Log([seen for seen in self.answers if start <= seen.sent < end])

    def statuses(self) -> Counter[int]:
        return Counter(seen.status for seen in self.answers)

    def took_ms(self, quantile: float) -> float:
        """1.0 is the longest."""
        times = sorted(seen.took for seen in self.answers)
        return times[min(len(times) - 1, int(len(times) * quantile))] * 1000


@asynccontextmanager
async def steady(
    replicas: Sequence[Replica], *, per_second: float, key: str = CLIENT_KEY, path: str = "/query"
) -> AsyncIterator[Log]:
    """
    Ask the replicas in turn at this rate, whether or not earlier answers have come: a slow gateway is not spared.

    On leaving, all answers are awaited.
    """
    log, stop = Log(), asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=30)
    headers = {"X-API-Key": key}
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(url: str) -> None:
            sent = time.monotonic()
            status, degraded = 0, False
            try:
                async with session.post(url + path, json={"prompt": "hello"}, headers=headers) as reply:
                    await reply.read()
                    status, degraded = reply.status, "X-RateLimit-Mode" in reply.headers
            except (aiohttp.ClientError, TimeoutError):
                pass  # an answer that did not come is one of status 0
            log.answers.append(Seen(sent, time.monotonic() - sent, status, degraded))

        async def pace() -> None:
            number, start = 0, time.monotonic()
            async with asyncio.TaskGroup() as asked:
                while not stop.is_set():
                    asked.create_task(ask(replicas[number % len(replicas)].url))
                    number += 1
                    await asyncio.sleep(max(0.0, start + number / per_second - time.monotonic()))

        pacing = asyncio.create_task(pace())
        try:
            yield log
        finally:
            stop.set()
            await pacing


def cpu_s(replica: Replica) -> float:
    """User and system time of the process since its start."""
    fields = Path(f"/proc/{replica.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(replica: Replica) -> float:
    [line] = [line for line in Path(f"/proc/{replica.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
