"""The route table: every path, who may call it, what it takes, and in which dialect it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.record import RECORD
from middleware.refusal import DIALECT, PLAIN, Dialect, Refusal
from middleware.scope import Prompt

AuthClass = Literal["public", "optional", "key", "admin"]
Screen = Literal["guard", "safety"]


SCREENS: tuple[Screen, ...] = ("guard", "safety")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One row. `parse` is the route's text extractor: it turns the JSON body into a `Prompt` (None: no body).

    `screens` are the layers that judge the texts before `app` sees them; `batch` says that a body may be worth several
    requests.
    """

    path: str
    methods: tuple[str, ...]
    auth: AuthClass
    app: ASGIApp
    parse: Callable[[Any], Prompt] | None = None
    screens: tuple[Screen, ...] = ()
    batch: bool = False
    dialect: Dialect = PLAIN


class RouteMiddleware:
    """Name the route in RECORD, put its DIALECT, and answer 405 to a method it does not have."""

    def __init__(self, app: ASGIApp, *, endpoint: Endpoint) -> None:
        self.app = app
        self.endpoint = endpoint
        self.methods = frozenset(endpoint.methods) | ({"HEAD"} if "GET" in endpoint.methods else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        DIALECT.put(scope, self.endpoint.dialect)
        RECORD.require(scope).route = self.endpoint.path
        if self.methods and scope["method"] not in self.methods:
            allow = {"Allow": ", ".join(sorted(self.methods))}
            await Refusal(405, "method_not_allowed", "method not allowed", allow)(scope, receive, send)
            return
        await self.app(scope, receive, send)


NOT_FOUND = Refusal(404, "not_found", "not found")
