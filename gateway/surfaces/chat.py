"""
`POST /v1/chat/completions`: the answer, whole and streamed.

Sources: OpenAI's OpenAPI document, schemas `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`.
`reasoning_content` is what DeepSeek, vLLM and others call a model's thoughts; `router` is ours.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.exchange import Asked, Exchange, calls, refusal_of
from gateway.surfaces.chat_body import ChatCompletionRequest, chat_request
from gateway.surfaces.prompt import ApiPrompt
from middleware.refusal import OpenAIDialect
from providers.base import Target
from providers.cascade import Answer, CascadeFailed
from providers.chat import Choice, Chunk, FinishReason, ToolCall, ToolCallPiece, Usage

DIALECT = OpenAIDialect()


class ChatSurface:
    """OpenAI's chat completions. `max_tokens`: the limit for those who name none, and the most anybody may ask for."""

    withheld_is_answer = False
    shows_thoughts = True

    def __init__(self, *, max_tokens: int | None = None) -> None:
        self._max_tokens = max_tokens

    def asked(self, prompt: ApiPrompt[ChatCompletionRequest]) -> Asked:
        body = prompt.body
        return Asked(chat_request(body, max_tokens=self._max_tokens), body.model, body.stream is True)

    def whole(self, answer: Answer, exchange: Exchange) -> object:
        body = _body(exchange)
        completion = answer.completion
        whole = {
            "id": _new_id(),
            "object": "chat.completion",
            "created": exchange.created,
            "model": completion.model,
            "choices": [_choice(index, choice, body) for index, choice in enumerate(completion.choices)],
            "router": {
                "service": answer.target.service,
                "requested_model": body.model,
                "actual_model": completion.model,
                "attempts": calls(exchange.journey),
            },
        }
        if completion.usage is not None:
            whole["usage"] = usage(completion.usage)
        return whole

    def stream(self, exchange: Exchange) -> "ChatStream":
        return ChatStream(exchange)

    def failed(self, failure: CascadeFailed, exchange: Exchange) -> object | None:
        return None


def _body(exchange: Exchange) -> ChatCompletionRequest:
    if not isinstance(exchange.prompt, ApiPrompt) or not isinstance(exchange.prompt.body, ChatCompletionRequest):
        raise TypeError("the route of ChatSurface must parse a ChatCompletionRequest")
    return exchange.prompt.body


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


def _choice(index: int, choice: Choice, body: ChatCompletionRequest) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.refused or not (choice.text or not choice.tool_calls) else choice.text,
        "refusal": choice.text if choice.refused else None,
        "annotations": [],
    }
    if choice.thinking:
        message["reasoning_content"] = "".join(thought.text for thought in choice.thinking)
    finish: str = choice.finish_reason
    if choice.tool_calls and body.legacy:
        call = choice.tool_calls[0]
        message["function_call"] = {"name": call.name, "arguments": call.arguments}
        finish = "function_call"
    elif choice.tool_calls:
        message["tool_calls"] = [_call(call) for call in choice.tool_calls]
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": finish}


def _call(call: ToolCall) -> dict[str, Any]:
    kind = "custom" if call.custom else "function"
    inner = {"name": call.name, "input" if call.custom else "arguments": call.arguments}
    return {**call.extra, "id": call.id, "type": kind, kind: inner}


def usage(counted: Usage) -> dict[str, Any]:
    """`CompletionUsage`: details only of what some provider counts."""
    return {
        "prompt_tokens": counted.input_tokens,
        "completion_tokens": counted.output_tokens,
        "total_tokens": counted.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counted.cached_input_tokens,
            "cache_write_tokens": counted.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": counted.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class ChatStream:
    """
    Writes one stream.

    Frames are put together from bytes: a token's frame differs from the last one's in its text alone.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._body = _body(exchange)
        self._created = exchange.created
        options = self._body.stream_options
        self._include_usage = options is not None and options.include_usage is True
        self._tail = b',"usage":null}\n\n' if self._include_usage else b"}\n\n"
        self._head = b""
        self._begun: set[int] = set()

    def chunks(self, chunks: Sequence[Chunk], target: Target) -> bytes:
        if not self._head and chunks:
            model = next((chunk.model for chunk in chunks if chunk.model), target.model)
            self._head = self._head_for(model)
        return b"".join(map(self._chunk, chunks))

    def _head_for(self, model: str) -> bytes:
        head = orjson.dumps(
            {"id": _new_id(), "object": "chat.completion.chunk", "created": self._created, "model": model}
        )
        return b"data: " + head[:-1] + b',"choices":['

    def _chunk(self, chunk: Chunk) -> bytes:
        index = chunk.choice
        begin = b"" if index in self._begun else self._begin(index)
        if chunk.text and not chunk.tool_calls and chunk.thinking is None and chunk.logprobs is None:
            name = b"refusal" if chunk.refused else b"content"
            return begin + b'%b{"index":%d,"delta":{"%b":%b},"logprobs":null,"finish_reason":null}]%b' % (
                self._head,
                index,
                name,
                orjson.dumps(chunk.text),
                self._tail,
            )
        delta: dict[str, Any] = {}
        if chunk.thinking is not None and chunk.thinking.text:
            delta["reasoning_content"] = chunk.thinking.text
        if chunk.text:
            delta["refusal" if chunk.refused else "content"] = chunk.text
        if chunk.tool_calls:
            delta |= self._calls(chunk.tool_calls)
        return begin + self._frame(index, delta, logprobs=chunk.logprobs) if delta else begin

    def _begin(self, index: int) -> bytes:
        self._begun.add(index)
        return self._frame(index, {"role": "assistant", "content": "", "refusal": None})

    def _calls(self, pieces: Sequence[ToolCallPiece]) -> Mapping[str, Any]:
        if not self._body.legacy:
            return {"tool_calls": [_piece(piece) for piece in pieces]}
        legacy = [piece for piece in pieces if piece.index == 0]
        fields = {"name": "".join(p.name for p in legacy), "arguments": "".join(p.arguments for p in legacy)}
        return {"function_call": {name: value for name, value in fields.items() if value}} if legacy else {}

    def _frame(
        self, index: int, delta: Mapping[str, Any], *, finish: str | None = None, logprobs: object = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return b"%b%b]%b" % (self._head, orjson.dumps(choice), self._tail)

    def end(self, answer: Answer) -> bytes:
        frames = []
        for index, choice in enumerate(answer.completion.choices):
            finish: FinishReason | str = choice.finish_reason
            if choice.tool_calls and self._body.legacy:
                finish = "function_call"
            frames.append(self._frame(index, {}, finish=finish))
        counted = answer.completion.usage
        if self._include_usage and counted is not None:
            frames.append(self._head + b'],"usage":%b}\n\n' % orjson.dumps(usage(counted)))
        frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    def failed(self, failure: CascadeFailed) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(DIALECT.body(refusal_of(failure)))


def _piece(piece: ToolCallPiece) -> dict[str, Any]:
    inner: dict[str, str] = {"name": piece.name} if piece.name else {}
    inner["input" if piece.custom else "arguments"] = piece.arguments
    kind = "custom" if piece.custom else "function"
    written: dict[str, Any] = {**piece.extra, "index": piece.index, kind: inner}
    if piece.id:
        written |= {"id": piece.id, "type": kind}
    return written
