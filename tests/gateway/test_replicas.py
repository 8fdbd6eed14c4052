"""Several replicas on one real Redis behave as one."""

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from tests.serving import CLIENT_KEY, Replica, environment

PROCESSES = 10
LIMIT, WINDOW_S, ROUNDS = 20, 2, 3


@contextmanager
def admissions(url: str) -> Iterator[list[int]]:
    """Every admission as Redis itself saw it: the stamps that the script pushed, in microseconds."""
    stamps: list[int] = []
    with Redis.from_url(url) as redis, Redis.from_url(url) as other, redis.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                words = command["command"].split()
                if words[0] == "LPUSH":
                    stamps.append(int(words[2].strip('"')))
                elif words == ["ECHO", "end"]:
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield stamps
        finally:
            other.echo("end")
            listener.join(timeout=10)


async def hammer(ports: list[int], seconds: float) -> Counter[int]:
    script = str(Path(__file__).with_name("hammer.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, CLIENT_KEY, str(seconds), *map(str, ports), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return Counter({int(status): count for status, count in json.loads(output).items()})


async def test_ten_processes_hammer_two_replicas(single_redis_url: str) -> None:
    """In every span of the window's length exactly the limit is admitted: none over it, and none kept from it."""
    # Twelve processes share the machine: that Redis may be late is not this test's subject.
    variables = environment({}, redis_url=single_redis_url, RATE_LIMIT=f"{LIMIT}/{WINDOW_S}s", REDIS_TIMEOUT_MS="5000")
    async with Replica(variables) as one, Replica(variables) as two:
        with admissions(single_redis_url) as stamps:
            ports = [one.port, two.port]
            tallies = await asyncio.gather(
                *(hammer(ports[n % 2 :] + ports[: n % 2], ROUNDS * WINDOW_S + 0.5) for n in range(PROCESSES))
            )
    total = sum(tallies, Counter[int]())
    assert set(total) == {200, 429}, total
    assert total[429] > total[200], "the hammer was too slow to prove anything"
    assert total[200] == len(stamps)
    # brute force: how many admissions lie in the window that begins with each of them
    window = WINDOW_S * 1_000_000
    most = max(sum(first <= stamp < first + window for stamp in stamps) for first in stamps)
    assert most == LIMIT
    # nobody is kept out while there is room: the next admission follows at once when the window has passed
    late = [later - earlier - window for earlier, later in zip(stamps, stamps[LIMIT:], strict=False)]
    assert min(late) >= 0
    assert max(late) < 500_000
    assert len(stamps) >= ROUNDS * LIMIT
