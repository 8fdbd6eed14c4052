"""The route table: every path, who may call it, what it takes, and in which dialect it answers."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.key_records import KeyScope
from middleware.claim import Estimate
from middleware.record import RECORD
from middleware.refusal import DIALECT, PLAIN, Dialect, Refusal
from middleware.scope import Prompt

AuthClass = Literal["public", "optional", "key", "admin"]
Screen = Literal["guard", "safety", "output"]


SCREENS: tuple[Screen, ...] = ("guard", "safety")
ANSWERED: tuple[Screen, ...] = (*SCREENS, "output")
"""Of routes on which a model's words come back."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One row. `parse` is the route's text extractor: it turns the JSON body into a `Prompt` (None: no body).

    `screens` are the layers that judge the texts before `app` sees them, and with `output` that `app` has a model's
    words judged before they leave; `batch` says that a body may be worth several requests, `images` that it may hold
    some and so be large, `optional_body` that it may be left out. `scope` is the group of routes that a key may be made
    for (None: any key will do).

    What follows `dialect` is for the readers of the OpenAPI document and changes nothing of what is served. `body` is
    the model that `parse` was made from. `answers` are the endpoint's own bodies by status (None: no JSON; empty: 200
    with any JSON), `media` other types of a success, such as `text/event-stream`. `asks`: the cascade is asked, and its
    failure is the answer's status. `refuses`: statuses of the endpoint's own further refusals. What the layers answer
    is derived. `parameters` are schemas of what may stand in the query.
    """

    path: str
    methods: tuple[str, ...]
    auth: AuthClass
    app: ASGIApp
    parse: Callable[[Any], Prompt] | None = None
    screens: tuple[Screen, ...] = ()
    batch: bool = False
    dialect: Dialect = PLAIN
    images: bool = False
    optional_body: bool = False
    scope: KeyScope | None = None
    estimate: Callable[[Scope], Estimate] | None = None
    tag: str = ""
    summary: str = ""
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    media: tuple[str, ...] = ()
    asks: bool = False
    refuses: tuple[int, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class RouteMiddleware:
    """
    Name the route in RECORD, put its DIALECT, and answer 405 to a method it does not have.

    `allowed` are the methods of the whole path, if other rows share it.
    """

    def __init__(self, app: ASGIApp, *, endpoint: Endpoint, allowed: Collection[str] = ()) -> None:
        self.app = app
        self.endpoint = endpoint
        self.methods = _with_head(endpoint.methods)
        self.allow = ", ".join(sorted(self.methods | _with_head(allowed)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        DIALECT.put(scope, self.endpoint.dialect)
        RECORD.require(scope).route = self.endpoint.path
        if self.methods and scope["method"] not in self.methods:
            await Refusal(405, "method_not_allowed", "method not allowed", {"Allow": self.allow})(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _with_head(methods: Collection[str]) -> frozenset[str]:
    return frozenset(methods) | (frozenset({"HEAD"}) if "GET" in methods else frozenset())


NOT_FOUND = Refusal(404, "not_found", "not found")
