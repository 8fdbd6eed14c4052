"""
`POST /v1/messages`: the answer, whole and streamed; `/v1/messages/count_tokens`.

Source: Claude API reference, Messages and streaming; the types of Anthropic's Python SDK
(`types/raw_message_stream_event.py`).
"""

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from gateway.disconnect import ClientLeft, while_client_stays
from gateway.exchange import Asked, Exchange, UnsupportedField, account, no_target, refusal_of, session_of, unsupported
from gateway.explain import explain, wants_explanation
from gateway.json_response import json_response
from gateway.live import LiveConfig
from gateway.permitted import plan_for
from gateway.surfaces.messages_body import CountTokensRequest, MessagesRequest, chat_request
from gateway.surfaces.prompt import ApiPrompt
from middleware.record import RECORD
from middleware.refusal import AnthropicDialect, Refusal
from middleware.scope import PROMPT
from providers.base import CountsTokens, Target
from providers.breaker import Breakers
from providers.cascade import Answer, Cascade, CascadeFailed, Journey
from providers.chat import ChatRequest, Chunk, Completion, Thinking, ToolCall, ToolCallPiece, Usage
from providers.fields import is_deep, is_object
from providers.routing import Wish

DIALECT = AnthropicDialect()

CHARS_PER_TOKEN = 4
"""Of English prose, by OpenAI's rule of thumb; for models whose vendor has no way to count."""

_NAMES: Mapping[str, str] = {
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "output_config.effort",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
}

_STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class MessagesSurface:
    """Anthropic's Messages. `max_tokens`: the most anybody may ask for."""

    withheld_is_answer = True
    shows_thoughts = True

    def __init__(self, *, max_tokens: int | None = None) -> None:
        self._max_tokens = max_tokens

    def asked(self, prompt: ApiPrompt[MessagesRequest]) -> Asked:
        body = prompt.body
        request = chat_request(body, max_tokens=self._max_tokens)
        return Asked(request, body.model, body.stream is True, names=_NAMES)

    def whole(self, answer: Answer, exchange: Exchange) -> object:
        done = answer.completion
        thoughts = [_thought(thought) for thought in done.thinking]
        text = [{"type": "text", "text": done.text}] if done.text else []
        message = _message(done.model)
        message["content"] = [*thoughts, *text, *map(_tool_use, done.tool_calls)]
        message |= _stopped(done)
        message["usage"] = usage(done.usage or Usage(0, 0))
        return message

    def stream(self, exchange: Exchange) -> "MessagesStream":
        return MessagesStream()

    def failed(self, failure: CascadeFailed, exchange: Exchange) -> object | None:
        return None


def _message(model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(Usage(0, 0)),
    }


def _stopped(done: Completion) -> dict[str, Any]:
    reason = "stop_sequence" if done.stop_sequence is not None else _STOP_REASONS[done.finish_reason]
    stopped: dict[str, Any] = {"stop_reason": reason, "stop_sequence": done.stop_sequence}
    if done.withheld:
        stopped["stop_details"] = {"type": "refusal", "category": None, "explanation": done.withheld}
    return stopped


def _thought(thought: Thinking) -> dict[str, Any]:
    if thought.redacted:
        return {"type": "redacted_thinking", "data": thought.redacted}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {**call.extra, "type": "tool_use", "id": call.id or _new_call(), "name": call.name, "input": _input(call)}


def _new_call() -> str:
    return f"toolu_{secrets.token_hex(12)}"


def _input(call: ToolCall) -> object:
    """The arguments as an object. A model that wrote something else is not corrected: its words stand under a name."""
    try:
        value = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return {"arguments": call.arguments}
    if is_deep(value):
        return {"arguments": call.arguments}
    return value if isinstance(value, dict) else {"arguments": value}


def usage(counted: Usage) -> dict[str, Any]:
    """`input_tokens` is what neither came from a cache nor went into it."""
    details = {"output_tokens_details": {"thinking_tokens": counted.reasoning_tokens}}
    return {
        "input_tokens": counted.input_tokens - counted.cached_input_tokens - counted.cache_write_tokens,
        "output_tokens": counted.output_tokens,
        "cache_creation_input_tokens": counted.cache_write_tokens,
        "cache_read_input_tokens": counted.cached_input_tokens,
        **(details if counted.reasoning_tokens else {}),
    }


class MessagesStream:
    """
    Writes one stream: one block is closed before the next one opens.

    Pieces of several tool calls may come in turns, and text and thoughts between them, which this API cannot say: what
    comes later waits until the open call's arguments are whole.
    """

    def __init__(self) -> None:
        self._started = False
        self._index = -1
        self._kind: str | None = None
        self._call = -1
        self._begun: set[int] = set()
        self._arguments = ""
        self._waiting: dict[int, list[ToolCallPiece]] = {}
        self._late: list[Chunk] = []

    def chunks(self, chunks: Sequence[Chunk], target: Target) -> bytes:
        frames: list[bytes] = []
        for chunk in chunks:
            if not self._started:
                self._started = True
                frames.append(_event("message_start", {"message": _message(chunk.model or target.model)}))
            if chunk.text or chunk.thinking is not None:
                if self._kind == "tool_use" and not is_object(self._arguments):
                    self._late.append(chunk)
                else:
                    frames += self._said(chunk)
            for piece in chunk.tool_calls:
                frames += self._piece(piece)
        return b"".join(frames)

    def _said(self, chunk: Chunk) -> list[bytes]:
        """Thought and text of a chunk, after those that had to wait."""
        frames: list[bytes] = []
        late, self._late = self._late, []
        for each in (*late, chunk):
            if each.thinking is not None:
                frames += self._thinking(each.thinking)
            if each.text:
                if self._kind != "text":
                    frames += self._open("text", {"type": "text", "text": ""})
                frames.append(self._delta({"type": "text_delta", "text": each.text}))
        return frames

    def _thinking(self, thought: Thinking) -> list[bytes]:
        if thought.redacted:
            return self._open("redacted", {"type": "redacted_thinking", "data": thought.redacted})
        frames: list[bytes] = []
        if self._kind != "thinking":
            frames += self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        if thought.text:
            frames.append(self._delta({"type": "thinking_delta", "thinking": thought.text}))
        if thought.signature:
            frames.append(self._delta({"type": "signature_delta", "signature": thought.signature}))
        return frames

    def _piece(self, piece: ToolCallPiece) -> list[bytes]:
        if self._kind == "tool_use" and piece.index == self._call:
            self._arguments += piece.arguments
            return [self._json(piece.arguments)] if piece.arguments else []
        if piece.index in self._begun:
            return []  # its arguments were whole when another block followed: this is white space
        self._waiting.setdefault(piece.index, []).append(piece)
        if self._kind == "tool_use" and not is_object(self._arguments):
            return []
        return self._next_call()

    def _next_call(self) -> list[bytes]:
        """Open the block of the first call that waits."""
        index = min(self._waiting)
        pieces = self._waiting.pop(index)
        self._begun.add(index)
        name = "".join(piece.name for piece in pieces)
        extra: dict[str, object] = {}
        for piece in pieces:
            extra.update(piece.extra)
        id = next((piece.id for piece in pieces if piece.id), "") or _new_call()
        frames = self._open("tool_use", {**extra, "type": "tool_use", "id": id, "name": name, "input": {}})
        self._call, self._arguments = index, "".join(piece.arguments for piece in pieces)
        return [*frames, self._json(self._arguments)] if self._arguments else frames

    def _json(self, piece: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": piece})

    def _open(self, kind: str, block: dict[str, Any]) -> list[bytes]:
        frames = self._close()
        self._index += 1
        self._kind = kind
        return [*frames, _event("content_block_start", {"index": self._index, "content_block": block})]

    def _close(self) -> list[bytes]:
        if self._kind is None:
            return []
        self._kind = None
        return [_event("content_block_stop", {"index": self._index})]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def end(self, answer: Answer) -> bytes:
        done = answer.completion
        frames: list[bytes] = []
        if not self._started:
            frames.append(_event("message_start", {"message": _message(done.model)}))
        while self._waiting:
            frames += self._next_call()
        frames += self._said(Chunk())
        frames += self._close()
        delta = {"delta": _stopped(done), "usage": usage(done.usage or Usage(0, 0))}
        return b"".join((*frames, _event("message_delta", delta), _event("message_stop", {})))

    def failed(self, failure: CascadeFailed) -> bytes:
        return b"event: error\ndata: %b\n\n" % orjson.dumps(DIALECT.body(refusal_of(failure)))


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **fields}))


class CountTokens:
    """
    `POST /v1/messages/count_tokens`: how many tokens a request would be, as its provider counts them.

    A provider without a way to count is not asked: the answer is then an estimate, and a header says so.
    """

    def __init__(self, *, cascade: Cascade, live: LiveConfig, breakers: Breakers) -> None:
        self.cascade = cascade
        self.live = live
        self.breakers = breakers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prompt = PROMPT.require(scope)
        if not isinstance(prompt, ApiPrompt) or not isinstance(prompt.body, CountTokensRequest):
            raise TypeError("the route of CountTokens must parse a CountTokensRequest")
        try:
            request = chat_request(prompt.body)
        except UnsupportedField as error:
            await unsupported(error.param, str(error))(scope, receive, send)
            return
        wish = Wish(prompt.body.model, None, request, session_of(scope))
        plan = plan_for(scope, self.live.current.router, wish)
        if isinstance(plan, Refusal):
            await plan(scope, receive, send)
            return
        if wants_explanation(scope):
            await explain(scope, prompt.body.model, plan, self.breakers)(scope, receive, send)
            return
        if not plan.targets:
            await no_target(plan.unsupported)(scope, receive, send)
            return
        counting = [target for target in plan.targets if isinstance(target.adapter, CountsTokens)]
        if not counting:
            response = json_response({"input_tokens": estimated_tokens(request)})
            response.headers["X-Gateway-Estimated"] = "input_tokens"
            await response(scope, receive, send)
            return
        record, journey = RECORD.require(scope), Journey()
        try:
            async with while_client_stays(receive):
                tokens = await self.cascade.count_tokens(request, counting, journey)
        except CascadeFailed as failure:
            await refusal_of(failure, journey)(scope, receive, send)
            return
        except ClientLeft:
            record.status = 499
            return
        finally:
            account(record, journey)
        await json_response({"input_tokens": tokens})(scope, receive, send)


def estimated_tokens(request: ChatRequest) -> int:
    """From the characters of all messages and tools, at least 1."""
    chars = sum(len(message.text) for message in request.messages)
    chars += sum(len(call.arguments) for message in request.messages for call in message.tool_calls)
    chars += sum(len(orjson.dumps(tool.parameters)) + len(tool.description or "") for tool in request.tools)
    return max(1, math.ceil(chars / CHARS_PER_TOKEN))
