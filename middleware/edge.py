"""The edge: what is no clean HTTP request for JSON goes no further."""

import re
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.record import RECORD, Decision
from middleware.refusal import DIALECT, PLAIN, Dialect, Refusal, body_too_large, closing

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_FIELDS = 100

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""RFC 9110, 7.2: uri-host and an optional port, without the sub-delims that only confuse parsers."""
_ALIAS = re.compile(rb"//|%2[ef]|%5c|%[01][0-9a-f]|%7f|\\|/\.\.?(?:/|$)", re.IGNORECASE)
"""Spellings of a path that some parser would fold into another path, and control characters."""
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_JSON = re.compile(rb'application/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

_FOR_ALL = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization"),
]


class EdgeMiddleware:
    """
    Refuse a request whose framing, headers, path or media type is not plainly what it must be.

    400 for ambiguous framing (RFC 9112, 6.3) and hosts, 404 for alias spellings of a path, 413 for a declared length
    above `max_body_bytes`, 415 for anything but JSON without a content coding, 431 for too many or too large headers.
    Below the paths of `names_below` the rest is a name, in which a slash may be encoded. `dialect_of` tells in which
    dialect a path is refused, as the route is not known yet.
    Adds `X-Content-Type-Options` and, unless the answer has its own, `Cache-Control` and `Vary`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        names_below: Sequence[str] = (),
        dialect_of: Callable[[str], Dialect] = lambda _: PLAIN,
    ) -> None:
        if max_body_bytes < 1:
            raise ValueError("max_body_bytes must be at least 1")
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.dialect_of = dialect_of
        self.names_below = tuple(path.encode() for path in names_below)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers += [field for field in _FOR_ALL if field[0] not in present]
                message["headers"] = headers
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
            return
        DIALECT.put(scope, self.dialect_of(scope["path"]))
        record = RECORD.get(scope)
        if record is not None:
            record.decisions.append(Decision("edge", "block", refusal.code))
        await refusal(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Refusal | None:
        fields: dict[bytes, list[bytes]] = {}
        size = 0
        headers = scope["headers"]
        for name, value in headers:
            size += len(name) + len(value) + 4
            fields.setdefault(name, []).append(value)
        if size > MAX_HEADER_BYTES or len(headers) > MAX_HEADER_FIELDS:
            return closing(431, "headers_too_large", "the request's headers are too large")

        hosts = fields.get(b"host", [])
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            return closing(400, "bad_request", "exactly one Host header is needed")
        if hosts and not _HOST.fullmatch(hosts[0]):
            return closing(400, "bad_request", "malformed Host header")
        path = scope.get("raw_path") or scope["path"].encode()
        if not path.startswith(b"/"):
            return closing(400, "bad_request", "the request target must be a path")
        spelling = _ENCODED_SLASH.sub(b"/", path) if path.startswith(self.names_below) else path
        if _ALIAS.search(spelling):
            return Refusal(404, "not_found", "not found")

        return self._body_refusal(scope["method"], fields)

    def _body_refusal(self, method: str, fields: dict[bytes, list[bytes]]) -> Refusal | None:
        codings = fields.get(b"transfer-encoding", [])
        lengths = fields.get(b"content-length", [])
        if codings and ([coding.strip().lower() for coding in codings] != [b"chunked"] or lengths):
            return closing(400, "bad_request", "ambiguous message framing")
        length = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        if length > self.max_body_bytes:
            return body_too_large(self.max_body_bytes)
        if not codings and not length:
            return None
        if any(coding.strip().lower() != b"identity" for coding in fields.get(b"content-encoding", [])):
            return closing(415, "unsupported_media_type", "content codings are not accepted")
        types = fields.get(b"content-type", [])
        if method in _WITH_BODY and (len(types) != 1 or not _JSON.fullmatch(types[0].strip())):
            return closing(415, "unsupported_media_type", "the body must be application/json in UTF-8")
        return None
