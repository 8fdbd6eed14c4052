"""The exact sliding-window rate limiter, and the layer that asks it."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.accounts import NOTHING, Reservation, Used
from middleware.address import ClientAddress
from middleware.claim import Claim, Estimate, claim_of, is_plain, redis_name, subject_of, windows_of
from middleware.limits import Window
from middleware.quota import LimiterUnavailable as LimiterUnavailable
from middleware.quota import Quota as Quota
from middleware.quota import WindowState as WindowState
from middleware.record import RECORD, Decision
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL, PROMPT, Principal, ScopeKey
from middleware.scripts import Script

REPLAYED_AT_ONCE = 1000
"""Admissions that one call writes back: 2 ms of Redis's time at most, among as many younger ones."""


class Limiter(Protocol):
    """
    What the layer needs.

    `subject` names who is counted: our own id or a digest, never text of the caller. `undo` is the stamp of an earlier
    admission that is taken back when this one is refused. Raises `LimiterUnavailable`.
    """

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota: ...


_HIT = Script("sliding_log.lua", "rate_limit.lua")
_REPLAY = Script("rate_limit_replay.lua")


class SlidingWindow:
    """
    The exact log in Redis: one list a subject, one script call a decision, timed by Redis.

    Keys: `{prefix}:{<subject>}:rate`, which expire with the longest window; a subject that begins with a hash tag in
    braces keeps it. Any `redis.asyncio` client will do; give it a timeout.
    """

    def __init__(self, redis: Redis, *, prefix: str = "gw") -> None:
        self._redis: Any = redis  # `execute_command` is untyped
        self._prefix = prefix

    async def hit(self, subject: str, windows: Sequence[Window], *, cost: int = 1, undo: str = "") -> Quota:
        args: list[str | int] = [1, self._key(subject), cost, undo]
        for window in windows:
            args += (window.limit, window.seconds * 1_000_000)
        reply = await _HIT.run(self._redis, args)
        states = tuple(
            WindowState(window, max(0, reply[i]), reply[i + 1] / 1e6, reply[i + 2] / 1e6)
            for window, i in zip(windows, range(2, len(reply), 3), strict=True)
        )
        return Quota(bool(reply[0]), states, _text(reply[1]))

    async def replay(self, subject: str, windows: Sequence[Window], ages_us: Sequence[int]) -> None:
        """
        Write admissions that were decided elsewhere into the log, by their ages, the youngest first.

        Raises `LimiterUnavailable`; what was sent may then have arrived all the same.
        """
        longest = max(window.seconds for window in windows) * 1_000_000
        largest = max(window.limit for window in windows)
        for start in range(0, len(ages_us), REPLAYED_AT_ONCE):
            ages = ages_us[start : start + REPLAYED_AT_ONCE]
            await _REPLAY.run(self._redis, [1, self._key(subject), longest, largest, *ages])

    def _key(self, subject: str) -> str:
        return f"{redis_name(self._prefix, subject)}:rate"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


class Accountant(Protocol):
    """
    Who decides, and keeps the books, where windows of requests are not all: `Accounts`.

    `reserve` raises `LimiterUnavailable`.
    """

    async def reserve(self, claim: Claim, *, cost: int = 1, reservation: Reservation | None = None) -> Quota: ...

    def settle(self, claim: Claim, reservation: Reservation | None, used: Used, *, stamp: str = "") -> None: ...


QUOTA: ScopeKey[Quota] = ScopeKey("quota", put_by="RateLimitMiddleware")


@dataclass(slots=True)
class _Deferred:
    """A request that is not counted yet: what it is worth is known when its body is."""

    claim: Claim
    counted: bool = False


_DEFERRED: ScopeKey[_Deferred] = ScopeKey("deferred", put_by="RateLimitMiddleware")


class RateLimitMiddleware:
    """
    Answer 429 to a caller who has spent a limit, 402 to one who has spent a budget.

    Counts by PRINCIPAL, and by address (IPv6: by /64) where there is none: then `anonymous` windows hold if given, each
    `bucket` on its own. One Redis round trip; 503 when the limiter cannot tell, as `SlidingWindow` alone cannot without
    Redis. Puts QUOTA and adds its headers to every answer.

    `windows` hold for keys without any of their own. Their tenants' limits, and those of tokens, requests at once and
    money, need `accounts`: there the request is settled when it is over, with what RECORD says was used, and so is what
    plain keys use.

    Mounted a second time, inside BodyMiddleware, it charges the rest of a request that is worth several
    (`Prompt.units`), or takes the first unit back and refuses the whole. With `body`, which says that there is such a
    second one, what needs `accounts` is decided there, at once: `estimate` says what the request may come to, None that
    it asks for nothing that costs. A request refused on the way there counts as one all the same.
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
        accounts: Accountant | None = None,
        estimate: Callable[[Scope], Estimate] | None = None,
        body: bool = False,
    ) -> None:
        if not windows or anonymous == ():
            raise ValueError("at least one window is needed")
        self.app = app
        self.limiter = limiter
        self.windows = tuple(windows)
        self.anonymous = tuple(anonymous or windows)
        self.bucket = bucket
        self.address = address or ClientAddress()
        self.accounts = accounts
        self.estimate = estimate
        self.body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        principal = PRINCIPAL.get(scope)
        if principal is None or is_plain(principal):
            await self._plain(principal, scope, receive, send)
            return
        if self.accounts is None:
            raise RuntimeError("this key has limits that need accounts: give them to RateLimitMiddleware")
        deferred = _DEFERRED.get(scope)
        if deferred is not None:
            deferred.counted = True
            await self._claimed(self.accounts, deferred.claim, scope, receive, send)
            return
        claim = claim_of(principal, self.windows)
        if self.body:
            await self._later(self.accounts, claim, scope, receive, send)
        else:
            await self._claimed(self.accounts, claim, scope, receive, send)

    async def _plain(self, principal: Principal | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Windows of requests and nothing else."""
        earlier = QUOTA.get(scope)
        cost = 1
        if earlier is not None:
            prompt = PROMPT.get(scope)
            cost = 0 if prompt is None else prompt.units - 1
            if cost < 1:
                await self.app(scope, receive, send)
                return
        if principal is None:
            subject, windows = address_subject(self.address.of(scope), self.bucket), self.anonymous
        else:
            subject, windows = subject_of(principal), windows_of(principal, self.windows)
        try:
            quota = await self.limiter.hit(subject, windows, cost=cost, undo=earlier.stamp if earlier else "")
        except LimiterUnavailable:
            await _unavailable(scope, receive, send)
            return
        try:
            await self._answer(quota, scope, receive, send)
        finally:
            if earlier is None and principal is not None and self.accounts is not None:
                used = _used(scope)
                if used.anything:
                    self.accounts.settle(claim_of(principal, self.windows), None, used, stamp=quota.stamp)

    async def _claimed(self, accounts: Accountant, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything that holds for the caller, reserved at once and settled when the request is over."""
        prompt = PROMPT.get(scope)
        asks = self.estimate is not None and prompt is not None
        reservation = Reservation.of(claim, self.estimate(scope)) if asks and self.estimate is not None else None
        try:
            quota = await accounts.reserve(claim, cost=prompt.units if prompt else 1, reservation=reservation)
        except LimiterUnavailable:
            await _unavailable(scope, receive, send)
            return
        try:
            await self._answer(quota, scope, receive, send)
        finally:
            if quota.allowed:
                accounts.settle(claim, reservation, _used(scope), stamp=quota.stamp)

    async def _later(self, accounts: Accountant, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave it to the second instance; whoever answers before it does not make the request count for nothing."""
        deferred = _Deferred(claim)
        _DEFERRED.put(scope, deferred)
        refused = False

        async def send_counted(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and not deferred.counted:
                deferred.counted = True
                try:
                    quota = await accounts.reserve(claim)
                except LimiterUnavailable:
                    refused = True
                    await _unavailable(scope, receive, _closing(message, send))
                    return
                if quota.allowed:
                    message["headers"] = [*message.get("headers", ()), *quota.headers()]
                else:
                    refused = True
                    await self._answer(quota, scope, receive, _closing(message, send))
                    return
            if not refused:
                await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            if not deferred.counted:  # the client left, or a layer crashed
                with suppress(LimiterUnavailable):
                    await accounts.reserve(claim)

    async def _answer(self, quota: Quota, scope: Scope, receive: Receive, send: Send) -> None:
        """Go inward, or refuse; either way with the quota's headers."""
        QUOTA.put(scope, quota)

        async def send_with_quota(message: Message) -> None:
            if message["type"] == "http.response.start" and QUOTA.get(scope) is quota:
                message["headers"] = [*message.get("headers", ()), *quota.headers()]
            await send(message)

        record = RECORD.get(scope)
        if quota.allowed:
            if record is not None:
                record.decisions.append(Decision("rate_limit", "pass"))
            await self.app(scope, receive, send_with_quota)
            return
        refusal = _refusal(quota)
        if record is not None:
            reason = refusal.code if refusal.status == 402 else "rate_limited"
            record.decisions.append(Decision("rate_limit", "block", reason))
        await refusal(scope, receive, send_with_quota)


def _closing(instead_of: Message, send: Send) -> Send:
    """Close the connection after the answer that is sent in place of one that would have closed it."""
    close = (b"connection", b"close")
    if close not in [(name.lower(), value.lower()) for name, value in instead_of.get("headers", ())]:
        return send

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], close]
        await send(message)

    return send_closing


def _refusal(quota: Quota) -> Refusal:
    spent = quota.spent
    if spent is not None:
        # No Retry-After: it would be the end of the day or of the month, which the headers tell.
        return Refusal(402, "budget_exceeded", f"what is left of {_BUDGETS[spent.name]} does not cover this request")
    limit = next((figure for figure in quota.figures if figure.wait_s > 0), None)
    message = "too many requests" if limit is None or _limited(quota) else _MESSAGES[limit.name]
    return Refusal(429, "rate_limited", message, {"Retry-After": str(quota.retry_after_s)})


def _limited(quota: Quota) -> bool:
    return any(state.wait_s > 0 for state in quota.states)


_BUDGETS = {
    "budget-day": "this key's budget for the day",
    "budget-month": "this key's budget for the month",
    "tenant-budget-day": "the tenant's budget for the day",
    "tenant-budget-month": "the tenant's budget for the month",
}
_MESSAGES = {
    "tokens": "too many tokens per minute",
    "concurrency": "too many requests at once",
    "tenant-tokens": "too many tokens per minute for the tenant",
    "tenant-concurrency": "too many requests at once for the tenant",
    **dict.fromkeys(_BUDGETS, "requests under way hold the rest of the budget"),
}


async def _unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    record = RECORD.get(scope)
    if record is not None:
        record.decisions.append(Decision("rate_limit", "error", "store_unavailable"))
    refusal = Refusal(503, "unavailable", "the rate limiter's store does not answer", {"Retry-After": "1"})
    await refusal(scope, receive, send)


def _used(scope: Scope) -> Used:
    record = RECORD.get(scope)
    return NOTHING if record is None else Used(tuple(record.served), record.unheard)


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
