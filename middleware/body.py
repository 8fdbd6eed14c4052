"""The body, read once and parsed once."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.record import RECORD, Decision
from middleware.refusal import FieldError, Refusal, body_too_large, closing
from middleware.scope import PROMPT, Prompt
from middleware.strict_json import InvalidJSON, loads


class InvalidBody(ValueError):
    """What `parse` raises for JSON that is not what the route takes."""

    def __init__(self, *fields: FieldError) -> None:
        super().__init__("invalid body")
        self.fields = fields


@dataclass(frozen=True, slots=True)
class JsonBody:
    """Any JSON: every string in it, names included, is a text. The default prompt for foreign endpoints."""

    value: Any
    texts: Sequence[str]
    units: int = 1
    unread: Sequence[str] = ()

    @classmethod
    def parse(cls, value: Any) -> Self:
        return cls(value, tuple(_strings(value)))

    def with_texts(self, texts: Sequence[str]) -> Self:
        replaced = dict(zip(self.texts, texts, strict=True))
        return type(self).parse(_replace(self.value, replaced))

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.value)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, item in value.items() for text in (name, *_strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def _replace(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        return texts[value]
    if isinstance(value, dict):
        return {texts[name]: _replace(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, texts) for item in value]
    return value


class BodyMiddleware:
    """
    Answer 413 to a body above `max_bytes`, 400 to one that is not strict JSON, 422 to one the route does not take.

    Calls `parse` with the parsed JSON (it raises `InvalidBody`) and puts the result under PROMPT. Inward, `receive`
    replays the prompt's own bytes once, never the caller's spelling, and then the client's messages. A body that comes
    in more slowly than `timeout_s` seconds in all is 408. With `optional` no body is as good as `{}`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        parse: Callable[[Any], Prompt] = JsonBody.parse,
        max_bytes: int = 1024 * 1024,
        timeout_s: float = 30.0,
        optional: bool = False,
    ) -> None:
        if max_bytes < 1 or timeout_s <= 0:
            raise ValueError("max_bytes must be at least 1 and timeout_s positive")
        self.app = app
        self.parse = parse
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.optional = optional

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return

        try:
            async with asyncio.timeout(self.timeout_s):
                body = await self._read(receive)
        except TimeoutError:
            await self._refuse(closing(408, "timeout", "the body came too slowly"), scope, receive, send)
            return
        if body is None:
            return
        if isinstance(body, Refusal):
            await self._refuse(body, scope, receive, send)
            return
        try:
            prompt = self.parse(loads(body or b"{}" if self.optional else body))
        except InvalidJSON as error:
            await self._refuse(Refusal(400, "bad_request", str(error)), scope, receive, send)
        except InvalidBody as error:
            refusal = Refusal(422, "validation_error", "invalid request", fields=error.fields)
            await self._refuse(refusal, scope, receive, send)
        else:
            PROMPT.put(scope, prompt)
            await self.app(scope, replaying(scope, receive), send)

    async def _read(self, receive: Receive) -> bytes | Refusal | None:
        """The body; a refusal when it is too large; None when the client left first."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self.max_bytes:
                return body_too_large(self.max_bytes)
            if not message.get("more_body", False):
                return part if not parts else b"".join((*parts, part))
            parts.append(part)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        record = RECORD.get(scope)
        if record is not None:
            record.decisions.append(Decision("body", "block", refusal.code))
        await refusal(scope, receive, send)


def replaying(scope: Scope, receive: Receive) -> Receive:
    """A `receive` that gives the prompt's bytes once, as they are by then, and afterwards what the client sends."""
    replayed = False

    async def receive_replayed() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": PROMPT.require(scope).to_bytes(), "more_body": False}

    return receive_replayed
