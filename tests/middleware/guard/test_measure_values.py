"""The measuring module counts what it says it counts, and the checks stay cheap on texts made of candidates."""

import json
import time
from pathlib import Path

import pytest

from middleware.guard.guard import Guard
from middleware.guard.measure_values import FLOODS, Row, report, times

GUARD = Guard(injection="off", pii="block", secrets="block", sql="flag")


def _record(label: str, kind: str, text: str, *spans: tuple[int, int, str]) -> str:
    marked = [{"start": start, "end": end, "type": type} for start, end, type in spans]
    return json.dumps({"label": label, "kind": kind, "source": "s", "text": text, "spans": marked}, ensure_ascii=False)


def test_report(tmp_path: Path) -> None:
    """Spans by overlap and by both ends, texts by label; a text may hold U+2028, and a person is no span of ours."""
    (tmp_path / "pii.jsonl").write_text(
        "\n".join(
            [
                _record("attack", "pii", "mail a@example.com now", (0, 18, "email"), (19, 22, "person")),
                _record("attack", "pii", "123-45-6789\u2028", (0, 11, "ssn")),
                _record("attack", "pii", "call 999", (5, 8, "phone")),
                _record("benign", "pii", "b@example.com"),
            ]
        )
    )
    (tmp_path / "secrets.jsonl").write_text(
        _record("attack", "secret-bare", "ghp_" + "a1B2" * 9) + "\n" + _record("attack", "secret-bare", "nothing")
    )
    (tmp_path / "sqlcmd.jsonl").write_text(_record("attack", "sqli", "' OR 1=1 --"))
    (tmp_path / "injection.jsonl").write_text(
        _record("benign", "benign-prompt", "hello") + "\n" + _record("attack", "injection", "' OR 1=1 --")
    )
    rows = {(row.check, row.what, row.source, row.label): row for row in report(tmp_path)}
    assert rows["pii", "email", "s", "attack"] == Row("pii", "email", "s", "attack", 1, 1, 1)
    assert rows["pii", "email exact", "s", "attack"] == Row("pii", "email exact", "s", "attack", 1, 0, 2)
    assert rows["pii", "all", "all", "attack"] == Row("pii", "all", "all", "attack", 3, 2, 1)
    assert rows["pii", "all", "all", "attack"].f1 == pytest.approx(2 / 3)
    assert rows["secrets", "secret-bare", "all", "attack"].share == 0.5
    assert rows["sql", "sqli", "s", "attack"].share == 1.0
    assert rows["sql", "all", "all", "benign"] == Row("sql", "all", "all", "benign", 1, 0)


def test_times() -> None:
    """Every flood at every length asked for."""
    measured = times((100, 200))
    assert set(measured) == {(name, length) for name in FLOODS for length in (100, 200)}
    assert all(value >= 0 for value in measured.values())


@pytest.mark.parametrize(
    "piece",
    [
        *FLOODS.values(), "1", "4111111111111112 ", "123-45-6789 ", "GB82WEST12345698765433 ", "12345678Z ",
        "012 345 6789 ", "123.456.789-00 ", "nhs 123 456 7890 ", "1:2:3:4:", "1234 5678 9012 ", "S1234567D ",
        "850101-1234567 ", "phone 1 ", "twilio = abcdefghij12345 ", "sk-aaaaaaaaaaaaaaaaaaaaaaaa ",
        "-----BEGIN PRIVATE KEY-----", "drivers license is 1 ",
    ],
)  # fmt: skip
def test_floods_buy_no_time(piece: str) -> None:
    """Four kilobytes of candidates in milliseconds, sixty-four in their share of them (the bounds are wide)."""

    def cost(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[: size - 1]
        best = 1.0
        for attempt in range(3):
            fresh = f"{text}{attempt}"  # a text that was read is remembered
            started = time.process_time()
            GUARD.scan(fresh)
            best = min(best, time.process_time() - started)
        return best

    assert cost(4_096) < 0.05
    assert cost(65_536) < 4 * cost(32_768) + 0.02
