"""The exact sliding-window rate limiter, and the layer that asks it."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.address import ClientAddress
from middleware.record import RECORD, Decision
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL, PROMPT, ScopeKey

_SCRIPT = Path(__file__).with_suffix(".lua").read_text("utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
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
class WindowState:
    """`remaining` after this request, `wait_s` until a refused one fits, `reset_s` until the next entry leaves."""

    window: Window
    remaining: int
    wait_s: float
    reset_s: float


@dataclass(frozen=True, slots=True)
class Quota:
    """What the limiter decided. `stamp` names the admission, so that it can be taken back."""

    allowed: bool
    states: tuple[WindowState, ...]
    stamp: str = ""

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a refused request fits, at least 1."""
        return max(1, math.ceil(max((state.wait_s for state in self.states), default=0)))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """
        `X-RateLimit-*` of the tightest window and the IETF fields for all of them
        (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` with q and w, `RateLimit` with r and t).
        """
        tightest = max(self.states, key=lambda state: (state.wait_s, -state.remaining))
        policy = ", ".join(f'"{_name(s.window)}";q={s.window.limit};w={s.window.seconds}' for s in self.states)
        limits = ", ".join(f'"{_name(s.window)}";r={s.remaining};t={_reset(s)}' for s in self.states)
        return [
            (b"x-ratelimit-limit", b"%d" % tightest.window.limit),
            (b"x-ratelimit-remaining", b"%d" % tightest.remaining),
            (b"x-ratelimit-reset", b"%d" % _reset(tightest)),
            (b"ratelimit-policy", policy.encode()),
            (b"ratelimit", limits.encode()),
        ]


def _name(window: Window) -> str:
    return f"{window.limit}-per-{window.seconds}s"


def _reset(state: WindowState) -> int:
    return math.ceil(state.wait_s or state.reset_s)


class LimiterUnavailable(Exception):
    """The store did not answer, so nothing can be said."""


class Limiter(Protocol):
    """
    What the layer needs.

    `subject` names who is counted: our own id or a digest, never text of the caller. `undo` is the stamp of an earlier
    admission that is taken back when this one is refused. Raises `LimiterUnavailable`.
    """

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota: ...


class SlidingWindow:
    """
    The exact log in Redis: one list a subject, one script call a decision, timed by Redis.

    Keys: `{prefix}:{<subject>}:rate`, which expire with the longest window. Any `redis.asyncio` client will do; give it
    a timeout.
    """

    def __init__(self, redis: Redis, *, prefix: str = "gw") -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._prefix = prefix

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota:
        args: list[str | int] = [1, f"{self._prefix}:{{{subject}}}:rate", cost, undo]
        for window in windows:
            args += (window.limit, window.seconds * 1_000_000)
        try:
            try:
                # Not `register_script`: its wrappers cost as much as the call.
                reply = await self._redis.execute_command("EVALSHA", _SHA, *args)
            except NoScriptError:
                reply = await self._redis.execute_command("EVAL", _SCRIPT, *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailable from error
        states = tuple(
            WindowState(window, max(0, reply[i]), reply[i + 1] / 1e6, reply[i + 2] / 1e6)
            for window, i in zip(windows, range(2, len(reply), 3), strict=True)
        )
        return Quota(bool(reply[0]), states, _text(reply[1]))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


QUOTA: ScopeKey[Quota] = ScopeKey("quota", put_by="RateLimitMiddleware")


class RateLimitMiddleware:
    """
    Answer 429 to a caller who has spent a window's requests.

    Counts by PRINCIPAL, and by address (IPv6: by /64) where there is none: then `anonymous` windows hold if given, each
    `bucket` on its own. One Redis round trip; 503 when Redis does not answer. Puts QUOTA and adds its headers to every
    answer. Mounted a second time, inside BodyMiddleware, it charges the rest of a request that is worth several
    (`Prompt.units`), or takes the first unit back and refuses the whole.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: Limiter,
        windows: Sequence[Window],
        anonymous: Sequence[Window] | None = None,
        bucket: str = "any",
        address: ClientAddress | None = None,
    ) -> None:
        if not windows or anonymous == ():
            raise ValueError("at least one window is needed")
        self.app = app
        self.limiter = limiter
        self.windows = tuple(windows)
        self.anonymous = tuple(anonymous or windows)
        self.bucket = bucket
        self.address = address or ClientAddress()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        earlier = QUOTA.get(scope)
        cost = 1
        if earlier is not None:
            cost = PROMPT.require(scope).units - 1
            if cost < 1:
                await self.app(scope, receive, send)
                return
        subject, windows = self._subject(scope)
        record = RECORD.get(scope)
        try:
            quota = await self.limiter.hit(subject, windows, cost=cost, undo=earlier.stamp if earlier else "")
        except LimiterUnavailable:
            if record is not None:
                record.decisions.append(Decision("rate_limit", "error", "store_unavailable"))
            refusal = Refusal(503, "unavailable", "the rate limiter's store does not answer", {"Retry-After": "1"})
            await refusal(scope, receive, send)
            return
        QUOTA.put(scope, quota)

        async def send_with_quota(message: Message) -> None:
            if message["type"] == "http.response.start" and QUOTA.get(scope) is quota:
                message["headers"] = [*message.get("headers", ()), *quota.headers()]
            await send(message)

        if quota.allowed:
            if record is not None:
                record.decisions.append(Decision("rate_limit", "pass"))
            await self.app(scope, receive, send_with_quota)
            return
        if record is not None:
            record.decisions.append(Decision("rate_limit", "block", "rate_limited"))
        refusal = Refusal(429, "rate_limited", "too many requests", {"Retry-After": str(quota.retry_after_s)})
        await refusal(scope, receive, send_with_quota)

    def _subject(self, scope: Scope) -> tuple[str, tuple[Window, ...]]:
        principal = PRINCIPAL.get(scope)
        if principal is not None:
            return f"key-{principal.key_id}", self.windows
        return address_subject(self.address.of(scope), self.bucket), self.anonymous


def address_subject(address: str, bucket: str) -> str:
    """A digest, so that no address stands in a key name. Addresses are few: this hides them from a glance, no more."""
    return f"ip-{hashlib.blake2b(address.encode(), digest_size=12).hexdigest()}-{bucket}"


class WrongKeyLimit:
    """How many wrong keys an address may send; for `AuthMiddleware(failures=…)`. One round trip, on failures only."""

    def __init__(self, limiter: Limiter, *, window: Window) -> None:
        self._limiter = limiter
        self._window = window

    async def retry_after_s(self, address: str) -> int | None:
        """Count one wrong key; seconds to wait when there were too many. None also when the store does not answer."""
        try:
            quota = await self._limiter.hit(address_subject(address, "wrong-key"), (self._window,))
        except LimiterUnavailable:
            return None
        return None if quota.allowed else quota.retry_after_s
