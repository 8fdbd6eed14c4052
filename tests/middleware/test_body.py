"""The body: read once, parsed once, replayed from what was parsed."""

import asyncio

import orjson
import pytest
from starlette.types import Message, Scope

from middleware.body import BodyMiddleware, InvalidBody, JsonBody
from middleware.refusal import FieldError
from middleware.scope import PROMPT
from tests.middleware.asgi import Inner, ask


async def test_puts_the_prompt_and_replays_it() -> None:
    """The layer's neighbour sees texts; the endpoint reads JSON again, written by us."""
    inner = Inner()
    reply = await ask(BodyMiddleware(inner), chunks=[b'{ "a" : ["x",', b' 1, {"b": "y"}] }'])
    assert reply.status == 200
    assert PROMPT.require(inner.scopes[0]).texts == ("a", "x", "b", "y")
    assert inner.bodies == [b'{"a":["x",1,{"b":"y"}]}']


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "the body is not valid JSON"),
        (b"{", 400, "the body is not valid JSON"),
        (b'{"a":1,"a":2}', 400, "the body has duplicate names"),
        (b'"' + b"x" * 99 + b'"', 413, "the body is larger than 100 bytes"),
    ],
)
async def test_refuses(body: bytes, status: int, detail: str) -> None:
    """What cannot be read is refused before the endpoint is called."""
    inner = Inner()
    reply = await ask(BodyMiddleware(inner, max_bytes=100), body=body)
    assert (reply.status, reply.json(), inner.calls) == (status, {"detail": detail}, 0)


async def test_stops_reading_at_the_limit() -> None:
    """A body without a length is counted as it comes: not one chunk more is asked for."""
    chunks = [b"x" * 60] * 10
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": chunks[asked - 1], "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "headers": []}
    await BodyMiddleware(Inner(), max_bytes=100)(scope, receive, send)
    assert asked == 2
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_slow_bodies() -> None:
    """A body that never ends in time is 408, with the connection closed."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await BodyMiddleware(Inner(), timeout_s=0.01)({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert sent[0]["status"] == 408
    assert orjson.loads(sent[1]["body"]) == {"detail": "the body came too slowly"}


async def test_a_client_that_leaves_is_answered_nothing() -> None:
    """No endpoint, no response."""
    inner, sent = Inner(), []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await BodyMiddleware(inner)({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert (inner.calls, sent) == (0, [])


async def test_invalid_bodies_name_their_fields() -> None:
    """Every field at once, in FastAPI's form."""

    def parse(value: object) -> JsonBody:
        raise InvalidBody(FieldError(("a",), "Field required", "missing"), FieldError(("b", 0), "Too long", "long"))

    reply = await ask(BodyMiddleware(Inner(), parse=parse), body=b"{}")
    assert reply.status == 422
    assert reply.json() == {
        "detail": [
            {"loc": ["body", "a"], "msg": "Field required", "type": "missing"},
            {"loc": ["body", "b", 0], "msg": "Too long", "type": "long"},
        ]
    }


def test_json_body_rewrites_names_and_values() -> None:
    """What masks see in names they can also mask there."""
    body = JsonBody.parse({"mail": ["me@example.org", 7, None], "me@example.org": True})
    masked = body.with_texts([text.replace("me@example.org", "[EMAIL_1]") for text in body.texts])
    assert masked.to_bytes() == b'{"mail":["[EMAIL_1]",7,null],"[EMAIL_1]":true}'


async def test_requests_without_a_body_pass() -> None:
    """GET has no prompt."""
    inner = Inner()
    assert (await ask(BodyMiddleware(inner), method="GET")).status == 200
    assert PROMPT.get(inner.scopes[0]) is None


async def test_no_body_where_it_is_optional() -> None:
    """It is as good as an empty object; half of one is still refused."""
    inner = Inner()
    layer = BodyMiddleware(inner, optional=True)
    assert [(await ask(layer, body=body)).status for body in (b"", b"{}", b"{")] == [200, 200, 400]
    assert inner.bodies == [b"{}", b"{}"]
