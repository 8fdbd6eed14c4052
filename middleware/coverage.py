"""The layer that lets nothing out without a verdict of every layer that should have given one."""

import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.record import RECORD, Decision, Layer, Record
from middleware.refusal import Refusal

log = logging.getLogger(__name__)

_NO_VERDICT = Refusal(503, "unavailable", "a security layer gave no verdict", {"Retry-After": "1"})


class CoverageMiddleware:
    """
    Answer 503 in place of a success for which the record lacks a decision of one of `layers`.

    Reads RECORD. A layer that judges the answer while it is sent says so in `watched`: its decision is then asked for
    before the end, and without it the answer is cut off, so that it cannot pass for a whole one. What is missing is put
    into the record as an error. Stands outside the layers it asks for and knows none of them: a layer that is not
    mounted, returns early or forgets to decide is noticed here.
    """

    def __init__(self, app: ASGIApp, *, layers: Sequence[Layer]) -> None:
        self.app = app
        self.layers = tuple(layers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        record = RECORD.require(scope)
        owed: frozenset[Layer] = frozenset()
        closed = False

        async def send_if_covered(message: Message) -> None:
            nonlocal owed, closed
            if closed:
                return
            if message["type"] == "http.response.start" and 200 <= message["status"] < 300:
                missing = self._missing(record)
                owed = missing & record.watched
                if missing - owed:
                    closed = True
                    _note(record, missing - owed)
                    await _NO_VERDICT(scope, receive, send)
                    return
            elif owed and not message.get("more_body", False) and (missing := self._missing(record)):
                closed = True
                _note(record, missing)
                raise UncoveredError("an answer ended without a verdict")
            await send(message)

        await self.app(scope, receive, send_if_covered)

    def _missing(self, record: Record) -> frozenset[Layer]:
        return frozenset(self.layers) - {decision.layer for decision in record.decisions}


class UncoveredError(RuntimeError):
    """The answer had begun: the server must close the connection."""


def _note(record: Record, missing: frozenset[Layer]) -> None:
    for layer in sorted(missing):
        log.error("no verdict, nothing leaves: layer=%s route=%s", layer, record.route)
        record.decisions.append(Decision(layer, "error", "no_verdict"))
