"""
schemathesis over our own `/openapi.json`: what the gateway serves is what the document says (RELIABILITY I8).

Its command line runs against a gateway process over HTTP: coverage of every keyword and boundary, random sound and
unsound data, and chains of calls, with all its checks. The same examples every time, unless `FUZZ_S` gives the seconds
for a longer run with others (`make fuzz`).
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.gateway.schemathesis_hooks import MODEL
from tests.serving import ROOT, Replica, environment
from tests.upstream import Upstream

ADMIN_KEY = "admin-key-of-the-tests-0123456789"
FUZZ_S = os.environ.get("FUZZ_S")
LIMIT_S = 240 if FUZZ_S is None else int(FUZZ_S) + 600
"""A run of `FUZZ_S` seconds tries each operation at least once before it looks at the clock."""
ASKS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings")


async def fuzz(url: str, folder: Path, *options: str, examples: int) -> dict[str, Any]:
    """Run schemathesis and return its report; its whole output is the message of a failure."""
    (folder / "schemathesis.toml").write_text('hooks = "tests.gateway.schemathesis_hooks"\n')
    effort = ["--seed", "1", "--max-examples", str(examples)] if FUZZ_S is None else ["--max-time", FUZZ_S]
    # One key in both places: the document has two schemes, and for one left out schemathesis makes up a second key,
    # which is 400.
    keys = ["--header", f"X-API-Key: {ADMIN_KEY}", "--header", f"Authorization: Bearer {ADMIN_KEY}"]
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
        *("run", f"{url}/openapi.json", "--report", "json", "--report-json-path", str(report)),
        *("--continue-on-failure", "--checks", "all", *effort, *keys, *options),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        pytest.fail(output.decode(), pytrace=False)
    found: dict[str, Any] = orjson.loads(report.read_bytes())
    return found


def variables(upstreams: dict[str, Upstream] | None = None) -> dict[str, str]:
    """A gateway as it comes: auth, guard and safety as by default. Proxies may name the caller's address."""
    return environment(upstreams or {}, ADMIN_API_KEY=ADMIN_KEY, TRUSTED_PROXIES="127.0.0.1/32")


async def test_the_document_is_what_is_served(tmp_path: Path) -> None:
    """Every operation, every check: no 5xx, no undocumented status, header, type or form; sound data is accepted."""
    async with Replica(variables()) as replica:
        report = await fuzz(replica.url, tmp_path, examples=15)
        assert "crashed" not in replica.stderr
    assert report["operations"]["tested"] == report["operations"]["total"] >= 30
    assert report["phases"]["coverage"]["status"] == report["phases"]["fuzzing"]["status"] == "success"
    assert report["phases"]["stateful"]["status"] == "success"
    assert report["test_cases"]["with_failures"] == 0
    assert report["test_cases"]["generated"] > 3000
    # What is asked of a model reached it; a run by the clock may have little time for each.
    enough = 10 if FUZZ_S is None else 1
    for path in ("/query", *ASKS):
        rates = report["valid_rates"][f"POST {path}"]
        assert sum(phase["accepted"] for phase in rates.values()) >= enough, (path, rates)


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "gemini"])
async def test_every_wire_takes_what_the_document_allows(vendor: str, tmp_path: Path) -> None:
    """Sound bodies go through each adapter to a vendor as strict as the real one: no 5xx, nothing undocumented."""
    async with Upstream() as up, Replica(variables({vendor: up}) | {f"{vendor.upper()}_MODEL": MODEL}) as replica:
        # A vendor may refuse what the document allows, so only here acceptance is not asked for.
        await fuzz(
            replica.url,
            tmp_path,
            *("--exclude-checks", "positive_data_acceptance", "--mode", "positive", "--phases", "coverage,fuzzing"),
            *(option for path in ASKS for option in ("--include-path", path)),
            examples=5,
        )
        assert "crashed" not in replica.stderr
        assert len(up.requests) > 30
