"""The host: what a test tells it and sees of it, and what it does with a request."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Self

import orjson

from tests.upstream.behaviours import (
    Answer,
    BadKey,
    Behaviour,
    Blocked,
    ContextTooLong,
    DieAfter,
    EmptyCandidates,
    ErrorEventAfter,
    ErrorIn200,
    Garbage,
    HeadersThenSilence,
    Html502,
    LateFirstToken,
    MalformedEvent,
    NoDone,
    Ordinary,
    Plain,
    Queue,
    QuotaSpent,
    RawStream,
    Reset,
    Silence,
    SilentAfter,
    SlowFirstByte,
    SplitBytes,
    Status,
    Thinking,
    ToolCalls,
    TruncatedBody,
    Vectors,
    Verdict,
)
from tests.upstream.connection import Connection
from tests.upstream.recorded import Kind, Refusal, Request
from tests.upstream.routes import wire_for
from tests.upstream.wire import Call, Event, Framing, Refused, Reply, Rules, Script, Wire, chat_of


class Upstream:
    """
    One provider's host.

    `key` None takes any key, but one must be sent unless `requires_key` is False (a local model server). `models` None
    takes any name. `prefill` False refuses a request whose last turn is the assistant's.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        requires_key: bool = True,
        models: Iterable[str] | None = None,
        prefill: bool = True,
    ) -> None:
        self.rules = Rules(key, requires_key, None if models is None else frozenset(models), prefill)
        self.answers = Queue()
        self.default: Behaviour = Answer()
        self.verdicts = Queue()
        self.default_verdict: Behaviour = Verdict()
        self.embeddings = Queue()
        self.default_embedding: Behaviour = Vectors()
        self.lookups = Queue()
        """For lists of models and counts of tokens."""
        self.default_lookup: Behaviour = Plain()
        self.requests: list[Request] = []
        """Every request, refused ones too."""
        self.refused: list[Refusal] = []
        self.disconnects: list[Request] = []
        """Requests whose client left while they were being answered."""
        self.broken: list[str] = []
        """What went wrong in the fake itself or in its use; closing raises if there is anything."""
        self.connections_made = 0
        self.port = 0
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._released = asyncio.Event()

    # Life.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if error is None:
            assert not self.broken, self.broken

    async def start(self) -> None:
        """Listen; after a `close`, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection. Requests seen so far stay on record."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.closed_here = True
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wait_for_connections(0)
        await self._server.wait_closed()
        self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # What was seen.

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.kind == "chat"]

    @property
    def verdict_requests(self) -> list[Request]:
        return [request for request in self.requests if request.kind == "verdict"]

    @property
    def embedding_requests(self) -> list[Request]:
        return [request for request in self.requests if request.kind == "embedding"]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def wait_for_requests(self, count: int, timeout_s: float = 5.0, *, kind: Kind | None = None) -> list[Request]:
        """Wait until that many requests (of that kind) have come, and return them."""

        def seen() -> list[Request]:
            return [request for request in self.requests if kind in (None, request.kind)]

        await self._until(lambda: len(seen()) >= count, timeout_s, f"{count} requests")
        return seen()

    async def wait_for_disconnect(self, timeout_s: float = 5.0, *, count: int = 1) -> Request:
        """Wait until so many clients have left in the middle of an answer, and return the last one's request."""
        await self._until(lambda: len(self.disconnects) >= count, timeout_s, f"{count} disconnects")
        return self.disconnects[count - 1]

    async def wait_for_connections(self, count: int, timeout_s: float = 5.0) -> None:
        """Wait until exactly so many connections are open."""
        await self._until(lambda: self.open_connections == count, timeout_s, f"{count} open connections")

    async def _until(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            seen = f"{len(self.requests)} requests, {len(self.disconnects)} disconnects, {self.open_connections} open"
            raise AssertionError(f"no {what} within {timeout_s:g} s: {seen}") from None

    def release(self) -> None:
        """Let every answer that is held now go on; later ones are held again."""
        held, self._released = self._released, asyncio.Event()
        held.set()

    # Called by connections.

    def notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.connections_made += 1
        self.notify()

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection.current is not None and not connection.closed_here:
            self.disconnects.append(connection.current)
        self.notify()

    def running(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answer(self, connection: Connection, request: Request) -> None:
        """Record a request, check it as the vendor does, and do what the queue says."""
        wire = wire_for(request)
        call, refusal = None, None
        try:
            if wire is None:
                message = f"Invalid URL ({request.method} {request.path})"
                raise Refused(Reply(404, {"error": {"message": message, "type": "invalid_request_error"}}))
            call = wire.read(request, self.rules, len(self.requests) + 1)
            request = replace(request, kind=call.kind)
        except Refused as error:
            refusal = error
        except Exception as error:
            self._fail(connection, request, error)
            return
        connection.current = request
        self.requests.append(request)
        if refusal is not None:
            self.refused.append(Refusal(request, refusal.reply.status, str(refusal)))
        self.notify()
        try:
            if wire is None or call is None or refusal is not None:
                assert refusal is not None
                await self._reply(connection, refusal.reply)
            else:
                await self._perform(connection, wire, call, self._next(call.kind))
        except Exception as error:
            self._fail(connection, request, error)

    def _fail(self, connection: Connection, request: Request, error: Exception) -> None:
        """A fake that fails must not look like a provider that fails: closing reports it."""
        self.broken.append(f"{request.method} {request.path}: {error!r}")
        connection.reset()

    def _next(self, kind: Kind) -> Behaviour:
        match kind:
            case "verdict":
                return self.verdicts.take(self.default_verdict)
            case "embedding":
                return self.embeddings.take(self.default_embedding)
            case "models" | "count":
                return self.lookups.take(self.default_lookup)
            case _:
                return self.answers.take(self.default)

    # The behaviours.

    async def _reply(self, connection: Connection, reply: Reply, kind: str = "application/json") -> None:
        await connection.start(reply.status, {"content-type": kind, **reply.headers}, len(reply.content))
        await connection.send(reply.content)
        await connection.finish()

    async def _perform(self, connection: Connection, wire: Wire, call: Call, behaviour: Behaviour) -> None:
        match behaviour:
            case Status(code, None, headers, None):
                reply = wire.error(code)
                await self._reply(connection, replace(reply, headers={**reply.headers, **headers}))
            case Status(code, None, headers, float() | int() as seconds):
                reply = wire.limited(code, seconds)
                await self._reply(connection, replace(reply, headers={**reply.headers, **headers}))
            case Status(code, body, headers, seconds):
                wait = {} if seconds is None else {"retry-after": f"{seconds:g}"}
                await self._reply(connection, Reply(code, body, {**wait, **headers}))
            case BadKey():
                await self._reply(connection, wire.fault("bad_key", call))
            case ContextTooLong():
                await self._reply(connection, wire.fault("context", call))
            case QuotaSpent():
                await self._reply(connection, wire.fault("quota", call))
            case Blocked():
                reply = wire.blocked(call)
                if call.stream and reply.status == 200:
                    await self._events(connection, wire, call, wire.blocked_script(call))
                else:
                    await self._reply(connection, reply)
            case EmptyCandidates():
                if call.stream:
                    await self._events(connection, wire, call, wire.empty_script(call))
                else:
                    await self._reply(connection, Reply(200, wire.empty(call), wire.headers(call)))
            case Garbage():
                await self._reply(connection, Reply(200, b"upstream connect error or disconnect/reset before headers"))
            case Html502():
                page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
                await self._reply(connection, Reply(502, page), "text/html")
            case Reset():
                connection.reset()
            case RawStream(frames):
                await connection.start(200, {"content-type": "text/event-stream"}, None)
                for frame in frames:
                    await connection.send(frame)
                await connection.finish()
            case Silence():
                await self._released.wait()
                await self._deliver(connection, wire, call, self._ordinary(call), behaviour)
            case SlowFirstByte(seconds, answer):
                await asyncio.sleep(seconds)
                await self._deliver(connection, wire, call, answer or self._ordinary(call), behaviour)
            case Answer() | ToolCalls() | Thinking() | Verdict() | Vectors() | Plain():
                await self._deliver(connection, wire, call, behaviour, behaviour)
            case ErrorIn200() | HeadersThenSilence():
                await self._deliver(connection, wire, call, self._ordinary(call), behaviour)
            case _:
                await self._deliver(connection, wire, call, behaviour.answer or self._ordinary(call), behaviour)

    def _ordinary(self, call: Call) -> Ordinary:
        match call.kind:
            case "verdict":
                return Verdict()
            case "embedding":
                return Vectors()
            case "models" | "count":
                return Plain()
            case _:
                return Answer()

    async def _deliver(
        self, connection: Connection, wire: Wire, call: Call, answer: Ordinary, fault: Behaviour
    ) -> None:
        if not call.stream:
            await self._body(connection, wire, call, answer, fault)
            return
        chat = chat_of(answer)
        await self._events(connection, wire, call, wire.script(call, chat), fault, chat.pause_s)

    async def _body(self, connection: Connection, wire: Wire, call: Call, answer: Ordinary, fault: Behaviour) -> None:
        """A whole answer, and the faults that one can have."""
        headers = {"content-type": "application/json", **wire.headers(call)}
        if isinstance(fault, ErrorIn200 | ErrorEventAfter):
            # OpenRouter's 502 from a provider behind it is the well-known case.
            await self._reply(connection, Reply(200, wire.error(502).body, headers))
            return
        if isinstance(fault, MalformedEvent):
            await self._perform(connection, wire, call, Garbage())
            return
        body = orjson.dumps(wire.whole(call, answer))
        await connection.start(200, headers, len(body))
        match fault:
            case HeadersThenSilence():
                await self._released.wait()
            case LateFirstToken(seconds):
                await asyncio.sleep(seconds)
            case TruncatedBody() | DieAfter(reset=False):
                await connection.send(body[: len(body) // 2])
                connection.close()
                return
            case DieAfter():
                await connection.send(body[: len(body) // 2])
                connection.reset()
                return
            case SilentAfter():
                await connection.send(body[: len(body) // 2])
                await self._released.wait()
                body = body[len(body) // 2 :]
            case _:
                pass
        await connection.send(body, fault.size if isinstance(fault, SplitBytes) else None)
        await connection.finish()

    async def _events(
        self,
        connection: Connection,
        wire: Wire,
        call: Call,
        script: Script,
        fault: Behaviour | None = None,
        pause_s: float = 0.0,
    ) -> None:
        """A stream, and the faults that one can have."""
        kind = "application/json" if call.array else "text/event-stream"
        await connection.start(200, {"content-type": kind, **wire.headers(call)}, None)
        framing = Framing(array=call.array)
        split = fault.size if isinstance(fault, SplitBytes) else None

        async def send(*events: Event) -> None:
            for event in events:
                await connection.send(framing.encode(event), split)

        match fault:
            case HeadersThenSilence():
                await self._released.wait()
            case LateFirstToken(seconds, preamble=True):
                await send(*script.head)
                await asyncio.sleep(seconds)
                script = replace(script, head=())
            case LateFirstToken(seconds):
                await asyncio.sleep(seconds)
            case ErrorIn200():
                await send(wire.failure(call))
                await connection.send(framing.close())
                await connection.finish()
                return
            case _:
                pass
        await send(*script.head)
        # One step more than there are tokens: a fault may come after the last one, before the tail.
        for count in range(len(script.tokens) + 1):
            match fault:
                case DieAfter(tokens=tokens, reset=reset) if tokens == count:
                    if reset:
                        connection.reset()
                    else:
                        connection.close()
                    return
                case SilentAfter(tokens=tokens) if tokens == count:
                    await self._released.wait()
                case ErrorEventAfter(tokens=tokens) if tokens == count:
                    await send(wire.failure(call))
                    await connection.send(framing.close())
                    await connection.finish()
                    return
                case MalformedEvent(at=at) if at == count + 1:
                    await send(Event(b'{"choices": [{"delta": {"cont'))
                case TruncatedBody() if count == len(script.tokens) // 2:
                    await connection.write(b'1000\r\ndata: {"')
                    connection.close()
                    return
                case _:
                    pass
            if count < len(script.tokens):
                if pause_s:
                    await asyncio.sleep(pause_s)
                await send(*script.tokens[count])
        await send(*script.tail)
        if isinstance(fault, NoDone):
            if fault.hold_open:
                await self._released.wait()
        else:
            await send(*script.end)
        await connection.send(framing.close(), split)
        await connection.finish()
