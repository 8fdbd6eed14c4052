"""What a key or a tenant may ask for, in requests, tokens, at once and in money."""

import re
from dataclasses import dataclass
from decimal import Decimal

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "second": 1, "minute": 60, "hour": 3600, "day": 86400}
_WINDOW = re.compile(r"\s*(\d{1,9})\s*/\s*(?:(\d{1,6})\s*([smhd])|(second|minute|hour|day))\s*")


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in any span of `seconds`."""

    limit: int
    seconds: int

    def __post_init__(self) -> None:
        if self.limit < 0 or not 1 <= self.seconds <= 366 * 86400:
            raise ValueError("a window needs a limit of at least 0 and a length from 1 second to 366 days")


def parse_windows(text: str) -> tuple[Window, ...]:
    """
    Read `10/minute`, `40/4s`, or several separated by `;`.

    Raises `ValueError` (without quoting the text).
    """
    windows = []
    for part in text.split(";"):
        match = _WINDOW.fullmatch(part)
        if match is None:
            raise ValueError("expected N/second|minute|hour|day or N/<k>s|m|h|d, several separated by ';'")
        limit, count, unit, name = match.groups()
        windows.append(Window(int(limit), int(count or 1) * _UNITS[unit or name]))
    return tuple(windows)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The limits of one subject, a key or a tenant; None: no limit of that kind.

    `windows` None: for a key, the layer's own windows; for a tenant, none. `tokens_per_minute` counts prompt and answer
    in any 60 seconds, `concurrency` requests under way, the budgets US dollars in a UTC day and a UTC month. `strict`:
    never decided without the store.
    """

    windows: tuple[Window, ...] | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    budget_day_usd: Decimal | None = None
    budget_month_usd: Decimal | None = None
    strict: bool = False

    @property
    def has_budget(self) -> bool:
        return self.budget_day_usd is not None or self.budget_month_usd is not None

    @property
    def reserves(self) -> bool:
        """Whether something must be reserved before a request and settled after it."""
        return self.tokens_per_minute is not None or self.concurrency is not None or self.has_budget


UNLIMITED = Limits()
