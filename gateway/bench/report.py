"""
`llm-gateway bench`: the gateway beside bare pass-through proxies, measured in one run on one machine.

CPU is what the kernel charged to the measured process (user and system), divided by requests. It is the figure to
compare: requests per second on a small machine measure the load generator and the upstream as well.
"""

import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from gateway.bench import passthrough, upstream
from gateway.bench.load import paced, saturate

KEY = "bench-key-0123456789abcdef"
PROMPT = ("The quarterly report of the harbour authority lists tonnage, berth hours and pilot fees for each terminal; "
          "please say in one paragraph what changed most since last year and which terminal grew.")  # fmt: skip
CONNECTIONS = 16
PACED_PER_S = 50.0
EVERY_LAYER = "gateway, every layer, verdicts cached"
CHAT = "the same gateway, /v1/chat/completions"
ROUNDS = 3
"""Every subject is measured this often, in turn with the others, and the median is shown: timings drift."""


@dataclass(frozen=True)
class Subject:
    name: str
    process: "subprocess.Popen[str]"
    port: int
    repeat: int
    """How many different prompts there are; 0: every request has its own."""
    path: str = "/query"


@dataclass(frozen=True)
class Figures:
    """Of one subject. Times in µs or ms as named, memory in MB (PSS)."""

    name: str
    cpu_us_per_request: float
    ratio_to_httpx: float
    requests_per_s: float
    cpu_us_per_event: float
    paced_p50_ms: float
    paced_p99_ms: float
    redis_calls_per_request: float | None
    memory_mb: float


def run(*, requests: int, as_json: bool) -> None:
    """Measure and print. Needs `redis-server` or `valkey-server` on PATH, or BENCH_REDIS_URL."""
    with ExitStack() as stack:
        redis_url = os.environ.get("BENCH_REDIS_URL") or stack.enter_context(_redis())
        provider, port = stack.enter_context(_child(Path(upstream.__file__)))
        subjects = [
            Subject(
                f"bare uvicorn + {client}", *stack.enter_context(_child(Path(passthrough.__file__), client, port)), 1
            )
            for client in ("httpx", "aiohttp")
        ]
        off = {"ENABLE_SAFETY": "false", "ENABLE_PROMPT_INJECTION_CHECK": "false"}
        off |= dict.fromkeys(("PII_ACTION", "SECRETS_ACTION", "SQL_ACTION"), "off")
        for name, repeat, extra in (
            ("gateway, guards off", 1, off),
            (EVERY_LAYER, 100, {}),
            ("gateway, every layer, each prompt classified", 0, {}),
        ):
            child = stack.enter_context(_gateway(port, redis_url, extra))
            subjects.append(Subject(name, *child, repeat))
            if name == EVERY_LAYER:
                subjects.append(Subject(CHAT, *child, repeat, "/v1/chat/completions"))
        del provider
        figures = asyncio.run(_measure(subjects, requests, redis_url))
    if not as_json:
        _print_table(figures)
    sys.stdout.write(orjson.dumps({"machine": _machine(), "figures": [asdict(f) for f in figures]}).decode() + "\n")


async def _measure(subjects: list[Subject], requests: int, redis_url: str) -> list[Figures]:
    redis = Redis.from_url(redis_url)
    for subject in subjects:
        await saturate(subject.port, _builder(subject, "warm"), requests=500, connections=CONNECTIONS)
    rounds = [
        {s.name: await _one_round(s, requests // ROUNDS, redis, str(number)) for s in subjects}
        for number in range(ROUNDS)
    ]
    latencies = {
        s.name: await paced(s.port, _builder(s, "paced"), requests=250, per_second=PACED_PER_S) for s in subjects
    }
    await redis.aclose()
    base = subjects[0].name
    return [
        _figures(
            subject,
            {key: statistics.median(r[subject.name][key] for r in rounds) for key in rounds[0][subject.name]},
            statistics.median(r[subject.name]["cpu"] / r[base]["cpu"] for r in rounds),
            latencies[subject.name],
        )
        for subject in subjects
    ]


def _figures(subject: Subject, middle: dict[str, float], ratio: float, latencies_s: list[float]) -> Figures:
    return Figures(
        subject.name,
        round(middle["cpu"], 1),
        round(ratio, 3),
        round(middle["rps"]),
        round(middle["event"], 2),
        round(statistics.median(latencies_s) * 1e3, 2),
        round(statistics.quantiles(latencies_s, n=100)[98] * 1e3, 2),
        None if subject.name.startswith("bare") else round(middle["redis"], 2),
        round(_memory_mb(subject.process.pid), 1),
    )


async def _one_round(subject: Subject, requests: int, redis: Redis, label: str) -> dict[str, float]:
    calls, cpu = await _calls(redis), _cpu_s(subject.process.pid)
    elapsed = await saturate(subject.port, _builder(subject, label), requests=requests, connections=CONNECTIONS)
    cpu_us = (_cpu_s(subject.process.pid) - cpu) / requests * 1e6
    calls = await _calls(redis) - calls
    streams = max(1, requests // 10)
    cpu = _cpu_s(subject.process.pid)
    build = _builder(subject, "s" + label, stream=True)
    await saturate(subject.port, build, requests=streams, connections=CONNECTIONS)
    event_us = (_cpu_s(subject.process.pid) - cpu) / streams / upstream.TOKENS * 1e6
    return {"cpu": cpu_us, "rps": requests / elapsed, "event": event_us, "redis": calls / requests}


def _builder(subject: Subject, label: str, *, stream: bool = False) -> Callable[[int], bytes]:
    def build(number: int) -> bytes:
        mark = f"{number % subject.repeat}" if subject.repeat else f"{label} {number}"
        prompt = f"{PROMPT} ({mark})"
        body: dict[str, Any] = {"prompt": prompt}
        if subject.path != "/query":
            body = {"model": "bench", "messages": [{"role": "user", "content": prompt}], "max_tokens": 256}
        if stream:
            body["stream"] = True
        data = orjson.dumps(body)
        return (
            b"POST %b HTTP/1.1\r\nhost: bench\r\nx-api-key: %b\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (subject.path.encode(), KEY.encode(), len(data), data)
        )

    return build


@contextmanager
def _child(script: Path, *arguments: object) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Start a Python script that prints its port as its first line."""
    command = [sys.executable, str(script), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own files)
    try:
        if process.stdout is None:
            raise RuntimeError("no output to read the port from")
        yield process, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _gateway(
    upstream_port: int, redis_url: str, extra: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The gateway as an operator runs it, with Groq for answers and Gemini for verdicts, both the same stand-in."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "SERVICE_API_KEY": KEY,
            "RATE_LIMIT": "1000000/hour",
            "REDIS_URL": redis_url,
            "GROQ_API_KEY": "bench",
            "GROQ_BASE_URL": f"http://127.0.0.1:{upstream_port}",
            "GEMINI_API_KEY": "bench",
            "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
            "PROVIDER_ORDER": "groq",
            "LOG_LEVEL": "WARNING",
            **extra,
        }
        command = [sys.executable, "-m", "gateway", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, cwd=folder, text=True)  # noqa: S603 (our own module)
        try:
            asyncio.run(_until_open(port))
            yield process, port
        finally:
            process.terminate()
            process.wait()


async def _until_open(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@contextmanager
def _redis() -> Iterator[str]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise SystemExit("bench needs redis-server or valkey-server on PATH, or BENCH_REDIS_URL")
    port = _free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 (found on PATH by name)
    try:
        asyncio.run(_until_open(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def _calls(redis: Redis) -> int:
    """What requests wait for: calls of the limiter's script. Counts leave in the background, once a second."""
    stats = await redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"]) if "cmdstat_evalsha" in stats else 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _machine() -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}


def _print_table(figures: list[Figures]) -> None:
    machine = _machine()
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; median of {ROUNDS} rounds",
        "",
        "| | CPU µs/request | ratio to httpx | requests/s | CPU µs/streamed event | p50 ms at 50/s | p99 ms at 50/s "
        "| Redis calls/request | memory MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for f in figures:
        redis = "" if f.redis_calls_per_request is None else f"{f.redis_calls_per_request:.2f}"
        lines.append(
            f"| {f.name} | {f.cpu_us_per_request:.0f} | {f.ratio_to_httpx:.2f} | {f.requests_per_s:.0f} "
            f"| {f.cpu_us_per_event:.1f} | {f.paced_p50_ms} | {f.paced_p99_ms} | {redis} | {f.memory_mb} |"
        )
    sys.stdout.write("\n".join(lines) + "\n\n")
