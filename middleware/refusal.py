"""
How a layer says no: one `Refusal`, written in the dialect of the route.

The dialect is put by whoever owns the route table; without one the plain form `{"detail": "…"}` is used, so a layer
mounted alone in a foreign app still answers well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import orjson
from starlette.types import Receive, Scope, Send

from middleware.scope import ScopeKey

Code = Literal[
    "bad_request",
    "ambiguous_key",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "body_too_large",
    "unsupported_media_type",
    "headers_too_large",
    "validation_error",
    "prompt_injection",
    "pii_detected",
    "secret_detected",
    "sql_injection",
    "content_policy_violation",
    "rate_limited",
    "internal_error",
    "upstream_error",
    "unavailable",
    "timeout",
]

_SCREENED: frozenset[Code] = frozenset(
    {"prompt_injection", "pii_detected", "secret_detected", "sql_injection", "content_policy_violation"}
)
"""Refusals of what the request says, as opposed to its form: their status depends on the dialect."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid place of a body: `loc` as in `("prompt",)`, `type` as in pydantic's error types."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """`message` never holds what the caller sent. `fields` only with `validation_error`."""

    status: int
    code: Code
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[FieldError] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the refusal as an ASGI response."""
        dialect = DIALECT.get(scope) or PLAIN
        body = orjson.dumps(dialect.body(self))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": dialect.status(self), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def screened(code: Code, message: str, *, fields: Sequence[FieldError] = ()) -> Refusal:
    """A refusal of what the request says; the dialect chooses the status."""
    return Refusal(422, code, message, fields=fields)


def closing(status: int, code: Code, message: str) -> Refusal:
    """A refusal after which the connection is not reused: what follows on it cannot be trusted, or is not wanted."""
    return Refusal(status, code, message, {"Connection": "close"})


def body_too_large(max_bytes: int) -> Refusal:
    return closing(413, "body_too_large", f"the body is larger than {max_bytes} bytes")


class Dialect(Protocol):
    """One API's way to write an error."""

    def status(self, refusal: Refusal) -> int: ...

    def body(self, refusal: Refusal) -> object: ...


class PlainDialect:
    """`{"detail": "…"}`, and for validation FastAPI's list of `loc`, `msg`, `type`."""

    def status(self, refusal: Refusal) -> int:
        return refusal.status

    def body(self, refusal: Refusal) -> object:
        if refusal.fields:
            return {"detail": [{"loc": ["body", *f.loc], "msg": f.msg, "type": f.type} for f in refusal.fields]}
        if refusal.code in _SCREENED:
            return {"detail": f"{refusal.code}: {refusal.message}"}
        return {"detail": refusal.message}


class OpenAIDialect:
    """`{"error": {"message", "type", "param", "code"}}` (OpenAI's OpenAPI document, schema Error)."""

    _TYPES: Mapping[int, str] = {
        401: "invalid_request_error",
        402: "insufficient_quota",
        403: "permission_error",
        429: "rate_limit_error",
        500: "server_error",
        502: "upstream_error",
        503: "service_unavailable_error",
        504: "timeout_error",
    }
    _CODES: Mapping[str, str | None] = {
        "unauthorized": "invalid_api_key",
        "rate_limited": "rate_limit_exceeded",
        "validation_error": "invalid_value",
        "bad_request": None,
    }

    def status(self, refusal: Refusal) -> int:
        return 400 if refusal.status == 422 else refusal.status

    def body(self, refusal: Refusal) -> object:
        param = ".".join(map(str, refusal.fields[0].loc)) if refusal.fields else None
        message = f"{param}: {refusal.fields[0].msg}" if refusal.fields else refusal.message
        return {
            "error": {
                "message": message,
                "type": self._TYPES.get(refusal.status, "invalid_request_error"),
                "param": param,
                "code": self._CODES.get(refusal.code, refusal.code),
            }
        }


PLAIN = PlainDialect()
DIALECT: ScopeKey[Dialect] = ScopeKey("dialect", put_by="the route table")
