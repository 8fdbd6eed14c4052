"""
`POST /v1/embeddings`: texts in, vectors out.

Source: OpenAI's OpenAPI document, schemas `CreateEmbeddingRequest` and `CreateEmbeddingResponse`.
"""

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import Discriminator, Field, Tag
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.estimate import embedding_usage, estimate
from gateway.exchange import (
    account,
    answer_headers,
    cost_header,
    dropped_header,
    no_target,
    refusal_of,
    session_of,
    undoable,
)
from gateway.explain import explain, wants_explanation
from gateway.live import LiveConfig
from gateway.permitted import plan_for
from gateway.surfaces.prompt import ApiPrompt, Items, Request
from middleware.claim import Estimate
from middleware.record import RECORD, Served
from middleware.refusal import Refusal
from middleware.scope import PROMPT
from providers.base import Target
from providers.breaker import Breakers
from providers.cascade import Cascade, CascadeFailed, Embedded, Journey
from providers.chat import EmbeddingRequest, Usage
from providers.routing import Wish

Tokens = Annotated[Items[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Words = Annotated[str, Field(min_length=1)]


def _kind(value: Any) -> str:
    """The branch that is meant, by the first item."""
    if not isinstance(value, list):
        return "text"
    first = value[0] if value else ""
    return "tokens" if isinstance(first, int) else "lists" if isinstance(first, list) else "texts"


Inputs = Annotated[
    Annotated[Words, Tag("text")]
    | Annotated[Tokens, Tag("tokens")]
    | Annotated[Items[Words], Field(min_length=1, max_length=2048), Tag("texts")]
    | Annotated[Items[Tokens], Field(min_length=1, max_length=2048), Tag("lists")],
    Discriminator(_kind),
]


class EmbeddingsRequest(Request):
    """`input` is one text, several, or the same already cut into tokens."""

    input: Inputs
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


def embedding_request(body: EmbeddingsRequest) -> EmbeddingRequest:
    inputs: Any = body.input
    if isinstance(inputs, str) or isinstance(inputs[0], int):
        inputs = [inputs]
    return EmbeddingRequest(tuple(inputs), body.dimensions, body.encoding_format == "base64", body.user, body.unknown)


def _dropped(body: EmbeddingsRequest, target: Target) -> list[str]:
    return [name for name in body.unknown if name not in target.allow_fields]


def _body(scope: Scope) -> EmbeddingsRequest:
    prompt = PROMPT.require(scope)
    if not isinstance(prompt, ApiPrompt) or not isinstance(prompt.body, EmbeddingsRequest):
        raise TypeError("the route of EmbeddingsEndpoint must parse an EmbeddingsRequest")
    return prompt.body


class EmbeddingsEndpoint:
    """Reads PROMPT and RECORD. Only targets whose wire has embeddings are asked."""

    def __init__(self, *, cascade: Cascade, live: LiveConfig, breakers: Breakers) -> None:
        self.cascade = cascade
        self.live = live
        self.breakers = breakers

    def estimate(self, scope: Scope) -> Estimate:
        """What the request may come to, for whoever must reserve it."""
        body = _body(scope)
        routing = self.live.current
        return estimate(routing, routing.router.standing_for(body.model), [embedding_usage(embedding_request(body))])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _body(scope)
        wish = Wish(body.model, session=session_of(scope), needs=frozenset({"embeddings"}))
        routing = self.live.current
        plan = plan_for(scope, routing.router, wish)
        if isinstance(plan, Refusal):
            await plan(scope, receive, send)
            return
        if wants_explanation(scope):
            await explain(scope, body.model, plan, self.breakers)(scope, receive, send)
            return
        targets: Sequence[Target] = plan.targets
        if routing.unsupported == "refuse":
            targets = [target for target in targets if not _dropped(body, target)]
        if not targets:
            refusal = undoable(_dropped(body, plan.targets[0])) if plan.targets else no_target(plan.unsupported)
            await refusal(scope, receive, send)
            return
        record, journey = RECORD.require(scope), Journey()
        try:
            async with while_client_stays(receive):
                embedded = await self.cascade.embed(embedding_request(body), targets, journey)
        except CascadeFailed as failure:
            await refusal_of(failure, journey)(scope, receive, send)
            return
        except ClientLeft:
            record.status = 499
            return
        finally:
            account(record, journey)
        record.served.append(_served(embedded))
        await _send(embedded, body, journey, send)


def _served(embedded: Embedded) -> Served:
    counted, target = embedded.embeddings.usage or Usage(0, 0), embedded.target
    return Served(target.service, target.model, counted.input_tokens, counted.output_tokens, embedded.cost_usd)


async def _send(embedded: Embedded, body: EmbeddingsRequest, journey: Journey, send: Send) -> None:
    found, target = embedded.embeddings, embedded.target
    write = _base64 if body.encoding_format == "base64" else _floats
    counted = found.usage or Usage(0, 0)
    payload = orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector)}
                for index, vector in enumerate(found.vectors)
            ],
            "model": found.model,
            "usage": {"prompt_tokens": counted.input_tokens, "total_tokens": counted.total_tokens},
        }
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(payload)),
        *answer_headers(target.service, found.model, journey),
        *cost_header(embedded.cost_usd),
        *dropped_header(_dropped(body, target)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


def _floats(vector: Sequence[float] | str) -> Sequence[float]:
    """Numbers, whichever way the provider wrote them. Raises `ValueError` for what is not float32 in base64."""
    if not isinstance(vector, str):
        return vector
    packed = base64.b64decode(vector, validate=True)
    return struct.unpack(f"<{len(packed) // 4}f", packed[: len(packed) // 4 * 4])


def _base64(vector: Sequence[float] | str) -> str:
    if isinstance(vector, str):
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
