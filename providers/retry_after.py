"""
How long a provider asks us to wait.

Sources: RFC 9110, 10.2.3 (`Retry-After`, seconds or a date); OpenAI's and Azure's `retry-after-ms`; OpenAI's rate limit
guide and Groq's (`x-ratelimit-reset-*`, Go durations such as `1m30.5s`); Cerebras's (the same headers, plain seconds);
google.rpc.RetryInfo (`retryDelay`, "34.07s"). All of it is untrusted: what cannot be read is None, never 0.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_WAIT_S = 3600.0
"""Longest wait believed. A provider that means longer is asked again after an hour, which costs one call."""

_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_DURATION_PART = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(h|ms|m|s)", re.ASCII)
_TRY_AGAIN = re.compile(r"[Tt]ry again in ((?:\d{1,15}(?:\.\d{1,15})?(?:h|ms|m|s)){1,4})", re.ASCII)
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_REMAINING = "x-ratelimit-remaining-"


def retry_after_s(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """
    Seconds from the headers made for it, 0 to `MAX_WAIT_S`. `headers` have lower-case names; `now` is Unix time.

    `retry-after-ms` is finer than `retry-after` and is read first, as OpenAI's SDK does.
    """
    wait_ms = _number(headers.get("retry-after-ms", ""))
    if wait_ms is not None:
        return _bounded(wait_ms / 1000)
    value = headers.get("retry-after", "").strip()
    wait_s = _number(value)
    if wait_s is None:
        wait_s = _until(value, time.time() if now is None else now)
    return None if wait_s is None else _bounded(wait_s)


def reset_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit that is spent (`x-ratelimit-remaining-…: 0`) is whole again; the longest of several."""
    waits = [
        duration_s(headers.get(f"x-ratelimit-reset-{name.removeprefix(_REMAINING)}", ""))
        for name, value in headers.items()
        if name.startswith(_REMAINING) and value.strip() == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def duration_s(value: str) -> float | None:
    """Seconds of a Go duration (`2m59.56s`, `120ms`) or a plain number, 0 to `MAX_WAIT_S`."""
    value = value.strip()
    number = _number(value)
    if number is not None:
        return _bounded(number)
    negative, value = value.startswith("-"), value.removeprefix("-")
    total, end = 0.0, 0
    for part in _DURATION_PART.finditer(value[:64]):
        if part.start() != end:
            return None
        total += float(part[1]) * _UNIT_S[part[2]]
        end = part.end()
    if end == 0 or end != len(value):
        return None
    return 0.0 if negative else _bounded(total)


def told_s(sentence: str) -> float | None:
    """Seconds of "Please try again in 11.455s", the only place where Groq and OpenAI sometimes say it."""
    found = _TRY_AGAIN.search(sentence)
    return duration_s(found[1]) if found else None


def _number(value: str) -> float | None:
    value = value.strip()
    return float(value) if _NUMBER.fullmatch(value) else None


def _until(value: str, now: float) -> float | None:
    if not value or len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value)
        # An HTTP date is always UTC; "-0000" makes the reader call it naive.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, 0.0), MAX_WAIT_S)
