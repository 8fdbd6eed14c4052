"""Redis frozen and killed while three replicas serve: RELIABILITY's H2 and H3, and the first rows of its §3.2."""

import asyncio
import json
import time
from dataclasses import dataclass

import pytest

from tests.chaos.figures import Figures
from tests.chaos.load import Log, cpu_s, rss_mb, steady
from tests.redis_server import RedisServer
from tests.serving import Replica, environment

PER_SECOND = 90.0
HEALTHY_S = 20.0
CHANGES = ("Redis is away", "Redis is back")


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of a run, with what the replicas cost in it."""

    log: Log
    cpu_ms: float
    rss_mb: float


class Watch:
    """Cuts a run into phases."""

    def __init__(self, replicas: list[Replica], log: Log) -> None:
        self._replicas, self._log = replicas, log
        self._start, self._cpu = time.monotonic(), self._cpu_s()

    def _cpu_s(self) -> float:
        return sum(map(cpu_s, self._replicas))

    def next(self) -> None:
        self._start, self._cpu = time.monotonic(), self._cpu_s()

    def phase(self, after_s: float = 0.0) -> Phase:
        """What happened since the last `next`; answers sent in the first `after_s` seconds are left out."""
        log = self._log.between(self._start + after_s, time.monotonic())
        sent = self._log.between(self._start, time.monotonic()).answers
        return Phase(log, (self._cpu_s() - self._cpu) / len(sent) * 1000, max(map(rss_mb, self._replicas)))


@pytest.mark.parametrize(("how", "away_s"), [("frozen", 60.0), ("killed", 30.0)])
async def test_away(own_redis: RedisServer, figures: Figures, how: str, away_s: float) -> None:
    """No 5xx for ordinary keys; what an outage costs in time, CPU, memory and log; normal again at once."""
    variables = environment({}, redis_url=own_redis.url, ENABLE_SAFETY="false")
    async with Replica(variables) as one, Replica(variables) as two, Replica(variables) as three:
        replicas = [one, two, three]
        async with steady(replicas, per_second=PER_SECOND) as log:
            await asyncio.sleep(3)  # every replica knows the others, and every connection stands
            watch = Watch(replicas, log)
            await asyncio.sleep(HEALTHY_S)
            healthy = watch.phase()
            watch.next()
            own_redis.pause() if how == "frozen" else own_redis.kill()
            await asyncio.sleep(away_s)
            away = watch.phase()
            watch.next()
            await asyncio.to_thread(own_redis.resume if how == "frozen" else own_redis.start)
            back = time.monotonic()
            await asyncio.sleep(8)
        statuses = log.statuses()
        what = f"Redis {how} {away_s:.0f} s"
        figures.at_most("H2", f"{what}: answers other than 200", statuses.total() - statuses[200], 0)
        for quantile, name, bound in ((0.5, "p50", 2.0), (0.99, "p99", 25.0), (1.0, "longest", 150.0)):
            added = away.log.took_ms(quantile) - (healthy.log.took_ms(quantile) if quantile < 1 else 0.0)
            figures.at_most("H2", f"{what}: added latency, {name}", max(0.0, added), bound, "ms")
        late = max((seen.sent - back for seen in log.answers if seen.sent > back and seen.degraded), default=0.0)
        figures.at_most("H2", f"{what}: last degraded answer after its return", late, 2, "s")
        figures.at_most("H3", f"{what}: CPU per request beside healthy", away.cpu_ms / healthy.cpu_ms, 1.3, "×")
        figures.at_most("H3", f"{what}: memory beside healthy", away.rss_mb / healthy.rss_mb, 1.2, "×")
        for number, replica in enumerate(replicas, 1):
            lines = [json.loads(line)["message"] for line in replica.stderr.splitlines() if line.startswith("{")]
            changes = [line for line in lines if line.startswith(CHANGES)]
            figures.at_most("H3", f"{what}: lines of log per change of state, replica {number}", len(changes) / 2, 1)
            assert "Traceback" not in replica.stderr
