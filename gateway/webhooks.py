"""
Telling the operator's receiver about refused requests: signed, retried, kept in a file until they have arrived.

Signatures: Standard Webhooks 1.0.0 (HMAC-SHA256 over `id.timestamp.body`). No text of a prompt or an answer is told.
"""

import asyncio
import base64
import binascii
import hashlib
import heapq
import hmac
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.spool import Spool
from middleware.record import RECORD, Decision, Layer, Record
from middleware.scope import PRINCIPAL
from providers.base import HttpRequest
from providers.client import HttpClient
from providers.errors import ProviderError

log = logging.getLogger(__name__)

MIN_SECRET_BYTES = 32
TOLD: frozenset[Layer] = frozenset({"input_guard", "safety", "output"})
"""Layers whose refusals are told: those of what was said. Wrong keys and limits anybody could make by the million."""
QUEUE = 10_000
"""Events kept at once; further ones are dropped and counted."""
AT_ONCE = 4
TIMEOUT_S = 10.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 3_600.0
GIVEN_UP_S = 24 * 3_600.0

Event = dict[str, Any]


def signing_key(secret: str) -> bytes:
    """`whsec_` and base64, as Standard Webhooks writes a secret, or the bytes themselves. Raises `ValueError`."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ValueError("whsec_ is followed by base64") from None
    if len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"shorter than {MIN_SECRET_BYTES} bytes")
    return key


def signed(key: bytes, id: str, body: bytes, now: int) -> dict[str, str]:
    """The headers of one delivery. `now` in Unix seconds; receivers take five minutes to either side."""
    mac = hmac.digest(key, b"%b.%d.%b" % (id.encode(), now, body), hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def event_of(record: Record, decision: Decision, tenant: str | None) -> Event:
    """What is told of a refused request: words of closed sets and ids."""
    return {
        "event": "request.blocked",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": record.request_id,
        "layer": decision.layer,
        "reason": decision.reason,
        "rules": list(decision.detail),
        "route": record.route,
        "key_id": record.key_id,
        "tenant": tenant,
    }


@dataclass(slots=True)
class _Try:
    """When an event is due, and how often it has been sent in vain."""

    due: float
    failures: int = 0


class Webhooks:
    """
    Sends events to one URL. `add` may be called at any time; they leave while `delivering`.

    The file in `folder` is read again at the next start in the same folder: an event arrives at least once, with the
    same id. Nothing is sent to an address that `permits` refuses.
    """

    def __init__(self, url: str, key: bytes, folder: Path, *, permits: Callable[[str], bool] | None) -> None:
        self._url = url
        self._key = key
        self._folder = folder
        self._client = HttpClient(connect_timeout_s=5.0, permits=permits)
        self._spool: Spool | None = None
        self._tries: dict[str, _Try] = {}
        self._changed = asyncio.Event()
        self._unsynced = asyncio.Event()
        self.dropped = 0

    def add(self, event: Event) -> None:
        """Keep an event until it has arrived. Written before this returns; nothing is waited for."""
        if self._spool is None or len(self._tries) >= QUEUE:
            self.dropped += 1
            log.error("a webhook is dropped: %d so far", self.dropped)
            return
        id = f"msg_{secrets.token_hex(16)}"
        try:
            self._spool.add(id, event)
        except OSError as error:
            log.error("a webhook is kept in memory only: %s", type(error).__name__)
        self._tries[id] = _Try(time.time())
        self._changed.set()
        self._unsynced.set()

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver until the end; what has not arrived by then is delivered after the next start."""
        self._spool = await asyncio.to_thread(Spool, self._folder)
        self._tries = {id: _Try(time.time()) for id in self._spool.pending}
        async with self._client:
            tasks = [asyncio.create_task(self._deliver_for_ever()), asyncio.create_task(self._sync_for_ever())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                spool, self._spool = self._spool, None
                spool.close()

    async def _sync_for_ever(self) -> None:
        """Put on the disk what was written, all that came during the last time at once."""
        while self._spool is not None:
            await self._unsynced.wait()
            self._unsynced.clear()
            try:
                await asyncio.to_thread(self._spool.sync)
            except OSError as error:
                log.error("webhooks are not on the disk yet: %s", type(error).__name__)

    async def _deliver_for_ever(self) -> None:
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                self._changed.clear()
                running = {id: task for id, task in running.items() if not task.done()}
                now = time.time()
                idle = ((each.due, id) for id, each in self._tries.items() if id not in running)
                first = heapq.nsmallest(AT_ONCE - len(running), idle)
                due = [id for at, id in first if at <= now]
                running |= {id: asyncio.create_task(self._deliver(id)) for id in due}
                later = [at - now for at, id in first if id not in running]
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(later, default=None))
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _deliver(self, id: str) -> None:
        spool, tried = self._spool, self._tries[id]
        if spool is None:
            return
        event = spool.pending[id]
        try:
            outcome = await self._send(id, event)
            if outcome is None:
                self._forget(spool, id)
                return
            tried.failures += 1
            age_s = time.time() - datetime.fromisoformat(event["time"]).timestamp()
            if age_s > GIVEN_UP_S:
                log.error("a webhook is given up: id=%s request=%s reason=%s", id, event["request_id"], outcome)
                self._forget(spool, id)
                return
            log.warning("a webhook did not arrive: id=%s tries=%d reason=%s", id, tried.failures, outcome)
            tried.due = time.time() + pause_s(tried.failures)
        finally:
            self._changed.set()

    def _forget(self, spool: Spool, id: str) -> None:
        del self._tries[id]
        try:
            spool.done(id)
        except OSError as error:
            log.error("a webhook that has arrived may be sent again: %s", type(error).__name__)

    async def _send(self, id: str, event: Mapping[str, Any]) -> str | None:
        """None, or why it did not arrive."""
        body = orjson.dumps({"id": id, **event})
        request = HttpRequest(self._url, signed(self._key, id, body, int(time.time())), body)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await self._client.send(request)
        except (ProviderError, TimeoutError) as error:
            return error.reason if isinstance(error, ProviderError) else "timeout"
        return None if 200 <= reply.status < 300 else f"status {reply.status}"


def pause_s(failures: int) -> float:
    """Twice as long each time, up to an hour, more or less by half: receivers come back to a few calls at a time."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20))
    return longest * random.uniform(0.5, 1.5)  # noqa: S311


class WebhookMiddleware:
    """
    Add an event for each refusal in RECORD before the refusal leaves: who has seen it, it is told of, whatever comes.

    One event a layer. Stands outside the layers that refuse.
    """

    def __init__(self, app: ASGIApp, *, webhooks: Webhooks) -> None:
        self.app = app
        self.webhooks = webhooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        record = RECORD.require(scope)
        read = 0
        told = False

        def tell() -> None:
            nonlocal read, told
            for decision in record.decisions[read:]:
                if decision.outcome == "block" and decision.layer in TOLD and not told:
                    told = True
                    principal = PRINCIPAL.get(scope)
                    self.webhooks.add(event_of(record, decision, None if principal is None else principal.tenant))
            read = len(record.decisions)

        async def send_after_telling(message: Message) -> None:
            if len(record.decisions) != read:
                tell()
            await send(message)

        try:
            await self.app(scope, receive, send_after_telling)
        finally:
            tell()
