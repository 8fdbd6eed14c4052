"""The layer that lets metrics see every request, whatever became of it."""

from collections.abc import Sequence
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.record import RECORD, Record


class Observer(Protocol):
    def observe(self, record: Record) -> None:
        """Count one finished request."""
        ...


class MetricsMiddleware:
    """Hand the RECORD of each request to every observer once it is over: answered, refused, crashed or left."""

    def __init__(self, app: ASGIApp, *, observers: Sequence[Observer]) -> None:
        self.app = app
        self.observers = tuple(observers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            record = RECORD.require(scope)
            for observer in self.observers:
                observer.observe(record)
