"""`/docs`, `/redoc`, `/openapi.json`, and the files in `pages/` that the two pages load; none is from elsewhere."""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.openapi import Walk, document
from gateway.routes import NOT_FOUND, Endpoint

PAGES = Path(__file__).parent / "pages"
FILES: Mapping[str, str] = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "swagger-ui.css": "text/css",
    "swagger-ui.LICENSE.txt": "text/plain",
    "swagger-ui.NOTICE.txt": "text/plain",
    "swagger-init.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
    "redoc.standalone.js.LICENSE.txt": "text/plain",
    "redoc.LICENSE.txt": "text/plain",
}
"""Everything below `/pages/`, by name: what is not here does not exist, however its path is spelt."""
ROUTES = ("/docs", "/redoc", "/openapi.json", "/pages/{name}")

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Both pages fill <style> elements through the CSSOM. This is the hash of an empty one.
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
_PAGE: Mapping[str, str] = {
    "Content-Security-Policy": CSP,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FRESH: Mapping[str, str] = {"Cache-Control": "no-cache"}
"""Kept by browsers, but asked for anew by ETag each time: a page and its document change with the configuration."""
_KEPT: Mapping[str, str] = {"Cache-Control": "public, max-age=3600"}

_CHUNK_BYTES = 64 * 1024
_GZIP_FROM_BYTES = 1024
_GZIP = re.compile(r"gzip\s*(?:;\s*q=(?:1(?:\.0{0,3})?|0?\.\d*[1-9]\d*))?", re.IGNORECASE)
"""An element of Accept-Encoding (RFC 9110, 12.5.3) that names gzip and does not refuse it."""


class Asset:
    """
    Bytes that do not change while the process runs; large ones are also kept in gzip, for whoever takes it.

    Answers GET and HEAD, and 304 to an `If-None-Match` that names what would be sent. Ranges are ignored.
    """

    def __init__(self, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        common = {"Content-Type": media_type, "Vary": "Accept-Encoding", **headers}
        self._plain = _Form(body, common, "")
        self._gzip = self._plain
        if len(body) >= _GZIP_FROM_BYTES:
            self._gzip = _Form(gzip.compress(body, 6, mtime=0), common, "gzip")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope)
        codings = ",".join(given.getlist("accept-encoding")).split(",")
        form = self._gzip if any(_GZIP.fullmatch(coding.strip()) for coding in codings) else self._plain
        tags = ",".join(given.getlist("if-none-match")).split(",")
        if any(tag.strip().removeprefix("W/") in (form.etag, "*") for tag in tags):
            unsent = (b"content-type", b"content-length", b"content-encoding")
            headers = [field for field in form.headers if field[0] not in unsent]
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": form.headers})
        if scope["method"] != "HEAD":
            # In pieces, so that the server holds no more than it can send.
            for start in range(0, len(form.body), _CHUNK_BYTES):
                piece = form.body[start : start + _CHUNK_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class _Form:
    """A body in one content coding, with its headers; each coding has its own ETag (RFC 9110, 8.8.3.3)."""

    def __init__(self, body: bytes, headers: Mapping[str, str], coding: str) -> None:
        self.body = body
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        fields = {**headers, "Content-Length": str(len(body)), "ETag": self.etag}
        if coding:
            fields["Content-Encoding"] = coding
        self.headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in fields.items()]


class Assets:
    """`GET /pages/{name}`: one of a closed set of files, all read at start."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._assets.get(scope["path_params"]["name"]) or NOT_FOUND)(scope, receive, send)


class Document(BaseModel):
    """An OpenAPI document, version 3.1."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


def documented(table: Sequence[Endpoint], *, version: str, walk: Walk) -> list[Endpoint]:
    """The table and the rows that document it, which the document lists too."""
    docs, redoc, listed, files = ROUTES
    rows = [
        _row(docs, _page("docs.html"), "Swagger UI", "text/html"),
        _row(redoc, _page("redoc.html"), "Redoc", "text/html"),
        _row(files, Assets(_files()), "The files of the two pages", *sorted(set(FILES.values()))),
    ]
    own = replace(_row(listed, NOT_FOUND, "This document"), answers={200: Document, 304: None})
    told = orjson.dumps(document([*table, *rows, own], version=version, walk=walk))
    return [*table, *rows, replace(own, app=Asset(told, "application/json", _FRESH))]


@cache
def _files() -> Mapping[str, Asset]:
    """Read and compressed once a process, which takes most of what all this costs at start."""
    return {name: Asset((PAGES / name).read_bytes(), media_type, _KEPT) for name, media_type in FILES.items()}


def _page(name: str) -> Asset:
    return Asset((PAGES / name).read_bytes(), "text/html", _PAGE)


def _row(path: str, app: ASGIApp, summary: str, *media: str) -> Endpoint:
    return Endpoint(
        path,
        ("GET",),
        "public",
        app,
        tag="Documentation",
        summary=summary,
        answers={200: None, 304: None},
        media=media,
    )
