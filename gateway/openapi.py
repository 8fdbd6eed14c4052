"""The OpenAPI 3.1 document of a route table: what the rows and their layers say, and nothing beside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema
from starlette.routing import compile_path

from gateway.routes import Endpoint
from middleware.refusal import AnthropicDialect, Code, Dialect, OpenAIDialect, PlainDialect, Refusal


class Error(BaseModel):
    detail: str


class Problem(BaseModel):
    """One invalid place of the body."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequest(BaseModel):
    """Either the places that are not valid, or why the text was refused: `code: reason`."""

    detail: list[Problem] | str


class OpenAIErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    error: OpenAIErrorDetail


class AnthropicErrorDetail(BaseModel):
    type: str
    message: str


class AnthropicError(BaseModel):
    type: Literal["error"]
    error: AnthropicErrorDetail


@dataclass(frozen=True, slots=True)
class Forms:
    """The bodies of a dialect's refusals: `invalid` for what the request's body says, `error` for all else."""

    error: type[BaseModel]
    invalid: type[BaseModel]


FORMS: Mapping[type[Dialect], Forms] = {
    PlainDialect: Forms(Error, InvalidRequest),
    OpenAIDialect: Forms(OpenAIError, OpenAIError),
    AnthropicDialect: Forms(AnthropicError, AnthropicError),
}
"""A new dialect is one row here."""

_DESCRIPTIONS: Mapping[int, str] = {
    200: "Success",
    201: "Created",
    202: "Accepted",
    204: "Done",
    304: "Not modified",
    400: "Ambiguous framing, malformed JSON or two different keys",
    401: "Missing or invalid API key",
    402: "Budget spent",
    403: "This key may not do that",
    404: "Not found",
    405: "Method not allowed",
    408: "The body came too slowly",
    409: "Conflict",
    413: "The body is too large",
    415: "The body is not JSON, or coded",
    422: "Not a valid request, or refused by a screen",
    429: "Too many requests",
    431: "The headers are too large",
    500: "A fault of the gateway",
    502: "Every provider failed",
    503: "Not available now",
    504: "Every provider timed out",
}
_CODES: Mapping[int, Code] = {
    400: "bad_request",
    401: "unauthorized",
    402: "budget_exceeded",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    408: "timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    502: "upstream_error",
    503: "unavailable",
    504: "timeout",
}
"""What a refusal is called, as a dialect may choose the status by it."""

_EDGE = (400, 404, 413, 415, 431)
"""What EdgeMiddleware answers, before any route is looked for."""
_CASCADE = (404, 422, 429, 502, 503, 504)
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})

_TEXT: Mapping[str, Any] = {"type": "string"}
_MEDIA: Mapping[str, Mapping[str, Any]] = {"text/event-stream": {"description": "Server-sent events"}}
"""No type: readers differ in whether it would be that of the whole stream or of an event."""
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_HEADERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "X-Request-ID": (
        "The request's id: the caller's own, if it has this form.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    ),
    "X-Gateway-Overhead-Ms": ("The gateway's own share of the time to the first byte.", {"type": "number"}),
    "X-RateLimit-Limit": ("Requests in the tightest window.", _COUNT),
    "X-RateLimit-Remaining": ("Requests left in it.", _COUNT),
    "X-RateLimit-Reset": ("Seconds until one more fits.", _COUNT),
    "X-RateLimit-Mode": ("`degraded` while Redis is away and each replica holds its share; else absent.", _TEXT),
    "RateLimit-Policy": ("All windows (draft-ietf-httpapi-ratelimit-headers).", _TEXT),
    "RateLimit": ("What is left in all windows (draft-ietf-httpapi-ratelimit-headers).", _TEXT),
    "X-Gateway-Provider": ("Who answered.", _TEXT),
    "X-Gateway-Model": ("The model that answered.", _TEXT),
    "X-Gateway-Attempts": ("Calls made to providers.", _COUNT),
    "X-Gateway-Cost-USD": ("The answer's cost, where it is known before the answer begins.", {"type": "number"}),
    "X-Gateway-Cache": ("Whether the answer came from the cache.", _TEXT),
    "Retry-After": ("Seconds to wait.", _COUNT),
    "WWW-Authenticate": ("How to show a key.", _TEXT),
    "Location": ("Where the new one is.", _TEXT),
    "Allow": ("The methods of this path.", _TEXT),
}
_OF_STATUS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "IntegerConvertor": {"type": "integer", "minimum": 0},
    "FloatConvertor": {"type": "number", "minimum": 0},
    "UUIDConvertor": {"type": "string", "format": "uuid"},
}
"""JSON schemas of Starlette's path convertors; any other is a string."""


class _Schemas(GenerateJsonSchema):
    """
    Pydantic's schemas less the titles that only repeat the names; and strings have no NUL, as strict JSON demands.

    As `not`, since pages make up their examples from a `pattern`.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        made = super().str_schema(schema)
        if self.mode == "validation" and "pattern" not in made:
            made["not"] = {"pattern": r"\u0000"}
        return made


@dataclass(frozen=True, slots=True)
class Walk:
    """
    The switches of the configuration that put layers into the walk or leave them out.

    `key_header` is the header that may carry a key beside `X-API-Key` and `Authorization`.
    """

    auth: bool = True
    safety: bool = True
    key_header: str = "Authorization"


def document(table: Sequence[Endpoint], *, version: str, walk: Walk) -> dict[str, Any]:
    """The whole document, ready for JSON. Rows with one path are told together."""
    answers = {(row.path, method): _answers(row, method, walk) for row in table for method in row.methods}
    models: set[tuple[type[BaseModel], JsonSchemaMode]] = {(row.body, "validation") for row in table if row.body}
    models |= {(model, "serialization") for of in answers.values() for found in of.values() for model in found}
    ordered = sorted(models, key=lambda item: (item[0].__name__, item[0].__module__, item[1]))
    refs, schemas = _schemas(tuple(ordered))
    writer = _Writer(refs, _schemes(walk))
    paths: dict[str, dict[str, Any]] = {}
    for row in table:
        _, path, _ = compile_path(row.path)
        for method in row.methods:
            operation = writer.operation(row, method, answers[row.path, method], walk)
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM secure gateway",
            "version": version,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(row.tag for row in table if row.tag)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": dict(sorted(writer.responses.items())),
            "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()},
            "securitySchemes": writer.schemes,
        },
    }


@lru_cache(maxsize=8)
def _schemas(
    models: tuple[tuple[type[BaseModel], JsonSchemaMode], ...],
) -> tuple[Mapping[tuple[Any, JsonSchemaMode], JsonSchemaValue], Mapping[str, Any]]:
    """References to the models' schemas, and these. Kept: it takes most of the time that a document does."""
    refs, found = models_json_schema(models, ref_template="#/components/schemas/{model}", schema_generator=_Schemas)
    return refs, found.get("$defs", {})


def _schemes(walk: Walk) -> dict[str, dict[str, str]]:
    if not walk.auth:
        return {}
    schemes = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    if walk.key_header.lower() not in ("x-api-key", "authorization"):
        schemes["OwnHeader"] = {"type": "apiKey", "in": "header", "name": walk.key_header}
    return schemes


def _answers(row: Endpoint, method: str, walk: Walk) -> dict[int, list[type[BaseModel]]]:
    """Every status the row's layers and its endpoint can answer, with the forms of its JSON; none: no JSON."""
    found: dict[int, list[type[BaseModel]]] = {}
    for status, model in (row.answers or {200: None}).items():
        found[status] = [] if model is None else [model]
    for status, form in _refusals(row, method, walk):
        forms = found.setdefault(status, [])
        if form not in forms:
            forms.append(form)
    return dict(sorted(found.items()))


def _refusals(row: Endpoint, method: str, walk: Walk) -> Iterator[tuple[int, type[BaseModel]]]:
    own = next((FORMS[kind] for kind in type(row.dialect).__mro__ if kind in FORMS), None)
    if own is None:
        raise LookupError(f"FORMS has no row for {type(row.dialect).__name__}")
    yield from ((status, own.error) for status in _EDGE)

    statuses = [405, 500]  # RouteMiddleware, CrashMiddleware
    if row.auth != "public":
        statuses += [429, 503]  # RateLimitMiddleware
        if walk.auth and row.estimate is not None:
            statuses.append(402)
        if walk.auth:
            statuses += [400, 401, 429]  # AuthMiddleware
        if walk.auth and (row.auth == "admin" or row.scope is not None):
            statuses.append(403)
    if row.parse is not None and method not in _WITHOUT_BODY:
        statuses += [400, 408, 413, 422]  # BodyMiddleware
    if "guard" in row.screens or ("safety" in row.screens and walk.safety):
        statuses += [422, 503]
    statuses += row.refuses
    if row.asks:
        statuses += [status for status in _CASCADE if row.answers.get(status) is None]
    for status in statuses:
        refusal = Refusal(status, _CODES.get(status, "bad_request"), "")
        yield row.dialect.status(refusal), own.invalid if status == 422 else own.error


class _Writer:
    """Writes operations and keeps the responses they share."""

    def __init__(
        self,
        refs: Mapping[tuple[Any, JsonSchemaMode], JsonSchemaValue],
        schemes: dict[str, dict[str, str]],
    ) -> None:
        self.refs = refs
        self.schemes = schemes
        self.responses: dict[str, dict[str, Any]] = {}

    def operation(
        self, row: Endpoint, method: str, answers: Mapping[int, Sequence[type[BaseModel]]], walk: Walk
    ) -> dict[str, Any]:
        _, path, convertors = compile_path(row.path)
        words = [word.strip("{}") for word in path.split("/") if word] or ["index"]
        operation: dict[str, Any] = {
            "operationId": "_".join((method.lower(), *words)).replace("-", "_").replace(".", "_"),
            "responses": {
                str(status): self._success(row, status, models) if status < 400 else self._failure(row, status, models)
                for status, models in answers.items()
            },
        }
        if row.tag:
            operation["tags"] = [row.tag]
        if row.summary:
            operation["summary"] = row.summary
        parameters = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": dict(_PARAMETERS.get(type(convertor).__name__, _TEXT)),
            }
            for name, convertor in convertors.items()
        ]
        parameters += [{"name": name, "in": "query", "schema": dict(each)} for name, each in row.parameters.items()]
        if parameters:
            operation["parameters"] = parameters
        if row.parse is not None and method not in _WITHOUT_BODY:
            schema = self.refs[row.body, "validation"] if row.body else {"type": "object"}
            required = not row.optional_body
            operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
        if self.schemes and row.auth != "public":
            operation["security"] = [*([{}] if row.auth == "optional" else []), *({name: []} for name in self.schemes)]
        return operation

    def _success(self, row: Endpoint, status: int, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
        names = _headers(row) + (["Location"] if status == 201 else [])
        if row.asks:
            names += [name for name in _HEADERS if name.startswith("X-Gateway-") and name not in names]
        response = _response(status, names)
        content: dict[str, Any] = {}
        if models or not (row.media or row.answers):
            content["application/json"] = {"schema": self._schema(models)}
        if status < 300 and status != 204:
            content |= {media: {"schema": dict(_MEDIA.get(media, _TEXT))} for media in row.media}
        return response | ({"content": content} if content else {})

    def _failure(self, row: Endpoint, status: int, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
        names = [*_headers(row), *_OF_STATUS.get(status, ())]
        forms = "Or".join(str(self.refs[model, "serialization"]["$ref"]).rpartition("/")[2] for model in models)
        name = f"{forms}{status}{'' if row.auth == 'public' else 'Limited'}"
        self.responses[name] = _response(status, names) | {
            "content": {"application/json": {"schema": self._schema(models)}}
        }
        return {"$ref": f"#/components/responses/{name}"}

    def _schema(self, models: Sequence[type[BaseModel]]) -> Mapping[str, Any]:
        schemas = [self.refs[model, "serialization"] for model in models]
        return {"anyOf": schemas} if len(schemas) > 1 else next(iter(schemas), {})


def _headers(row: Endpoint) -> list[str]:
    """Those of every answer; where requests are counted, also the limiter's."""
    names = ["X-Request-ID", "X-Gateway-Overhead-Ms"]
    if row.auth != "public":
        names += [name for name in _HEADERS if "RateLimit" in name]
    return names


def _response(status: int, headers: Iterable[str]) -> dict[str, Any]:
    return {
        "description": _DESCRIPTIONS.get(status, str(status)),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
