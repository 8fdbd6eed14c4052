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
    "model_not_allowed",
    "conflict",
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
    "model_not_found",
    "unsupported_parameter",
    "context_length_exceeded",
    "insufficient_quota",
    "budget_exceeded",
]

_SCREENED: frozenset[Code] = frozenset(
    {"prompt_injection", "pii_detected", "secret_detected", "sql_injection", "content_policy_violation"}
)
"""Refusals of what the request says, as opposed to its form: their status depends on the dialect."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid place of a body or of the query: `loc` as in `("prompt",)`, `type` as in pydantic's error types."""

    loc: tuple[str | int, ...]
    msg: str
    type: str
    where: Literal["body", "query"] = "body"


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    `message` never holds what the caller sent. `fields` only with `validation_error`; `param` names the one field that
    another error is about. `written`: the endpoint's own body, in place of the dialect's.
    """

    status: int
    code: Code
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[FieldError] = ()
    param: str | None = None
    written: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the refusal as an ASGI response."""
        dialect = DIALECT.get(scope) or PLAIN
        body = orjson.dumps(dialect.body(self) if self.written is None else self.written)
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
    """One API's way to write an error. `request_id_names`: the headers in which its clients look for the id."""

    @property
    def request_id_names(self) -> Sequence[bytes]: ...

    def status(self, refusal: Refusal) -> int: ...

    def body(self, refusal: Refusal) -> object: ...


class PlainDialect:
    """`{"detail": "…"}`, and for validation FastAPI's list of `loc`, `msg`, `type`."""

    request_id_names = (b"x-request-id",)

    def status(self, refusal: Refusal) -> int:
        return refusal.status

    def body(self, refusal: Refusal) -> object:
        if refusal.fields:
            return {"detail": [{"loc": [f.where, *f.loc], "msg": f.msg, "type": f.type} for f in refusal.fields]}
        if refusal.code in _SCREENED:
            return {"detail": f"{refusal.code}: {refusal.message}"}
        return {"detail": refusal.message}


class OpenAIDialect:
    """`{"error": {"message", "type", "param", "code"}}` (OpenAI's OpenAPI document, schema Error)."""

    request_id_names = (b"x-request-id",)

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
        "bad_request": None,
    }
    _FIELD_CODES: Mapping[str, str] = {
        "missing": "missing_required_parameter",
        "forbidden": "unsupported_parameter",
        "extra_forbidden": "unknown_parameter",
    }

    def status(self, refusal: Refusal) -> int:
        return 400 if refusal.status == 422 else refusal.status

    def body(self, refusal: Refusal) -> object:
        param, message, code = refusal.param, refusal.message, self._CODES.get(refusal.code, refusal.code)
        if refusal.fields:
            field = refusal.fields[0]
            param = _path(field.loc) or None
            message = f"{param}: {field.msg}" if param else field.msg
            wrong_type = "invalid_type" if field.type.endswith("_type") else "invalid_value"
            code = self._FIELD_CODES.get(field.type, wrong_type)
        kind = self._TYPES.get(refusal.status, "invalid_request_error")
        if refusal.code == "insufficient_quota":
            kind = "insufficient_quota"
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class AnthropicDialect:
    """`{"type": "error", "error": {"type", "message"}}` (Claude API reference, errors)."""

    request_id_names = (b"x-request-id", b"request-id")

    _TYPES: Mapping[int, str] = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        502: "api_error",
        503: "overloaded_error",
        504: "timeout_error",
    }

    def status(self, refusal: Refusal) -> int:
        return 400 if refusal.status == 422 else refusal.status

    def body(self, refusal: Refusal) -> object:
        message = refusal.message
        if refusal.fields:
            field = refusal.fields[0]
            place = _path(field.loc)
            message = f"{place}: {field.msg}" if place else field.msg
        elif refusal.code in _SCREENED:
            message = f"{refusal.code}: {message}"
        kind = self._TYPES.get(refusal.status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}


def _path(loc: Sequence[str | int]) -> str:
    """`messages[0].content`, as OpenAI writes the place of a parameter."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


PLAIN = PlainDialect()
DIALECT: ScopeKey[Dialect] = ScopeKey("dialect", put_by="the route table")
