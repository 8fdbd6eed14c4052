"""The benchmark runs for anyone who has a Redis, and prints what the README shows."""

import orjson

from tests.redis_server import RedisServer
from tests.serving import run_gateway


async def test_bench(redis_server: RedisServer) -> None:
    """A short run: every subject measured, one Redis call a request, our cost below that of a bare httpx proxy."""
    variables = {"BENCH_REDIS_URL": redis_server.url}
    finished = await run_gateway("bench", "--requests", "600", "--json", variables=variables, limit_s=120)
    assert finished.code == 0, finished.stderr[-2000:]
    report = orjson.loads(finished.stdout.splitlines()[-1])
    assert set(report) == {"machine", "figures"}
    figures = {figure["name"]: figure for figure in report["figures"]}
    assert list(figures) == [
        "bare uvicorn + httpx",
        "bare uvicorn + aiohttp",
        "gateway, guards off",
        "gateway, every layer, verdicts cached",
        "the same gateway, /v1/chat/completions",
        "gateway, every layer, each prompt classified",
    ]
    for name, figure in figures.items():
        assert figure["cpu_us_per_request"] > 0
        calls = figure["redis_calls_per_request"]
        # One each; what is flushed and beaten once a second is shared by all.
        assert calls is None if name.startswith("bare") else 1.0 <= calls < 1.2
    assert figures["gateway, every layer, verdicts cached"]["ratio_to_httpx"] < 0.8
