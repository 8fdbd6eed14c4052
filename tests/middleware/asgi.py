"""A tiny ASGI app and a client that speaks ASGI to a layer without a server between."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Inner:
    """Answers 200 and remembers what it was called with."""

    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        message = await receive()
        self.bodies.append(message.get("body", b""))
        headers = [(b"content-type", b"text/plain"), (b"x-inner", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"inner"})

    @property
    def calls(self) -> int:
        return len(self.scopes)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


async def ask(
    app: ASGIApp,
    *,
    method: str = "POST",
    path: str = "/",
    raw_path: bytes | None = None,
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    chunks: list[bytes] | None = None,
    client: tuple[str, int] | None = ("192.0.2.1", 1234),
    http_version: str = "1.1",
) -> Reply:
    """One request straight into an ASGI app. Asserts that the answer is well formed."""
    parts = chunks if chunks is not None else [body]
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    fields = [] if any(name.lower() == "host" for name, _ in headers or []) else [("host", "test")]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path if raw_path is not None else path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in [*fields, *(headers or [])]],
        "client": client,
        "server": ("test", 80),
    }
    await app(scope, receive, send)
    assert [message["type"] for message in sent][:1] == ["http.response.start"]
    assert all(message["type"] == "http.response.body" for message in sent[1:])
    names = [name for name, _ in sent[0]["headers"]]
    assert len(names) == len(set(names)), "a header was sent twice"
    return Reply(
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )
