"""Sound answers, in the shapes the vendors document."""

import json
from typing import Any

from tests.conformance.frames import Frame

JSON = dict[str, Any]


def frame(data: JSON, *, named: bool = True) -> Frame:
    """The data as a frame, under its own type as its name unless told otherwise."""
    return Frame(data["type"] if named else None, json.dumps(data))


# OpenAI: chat completions

CHAT_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def completion() -> JSON:
    """A chat completion with text and a tool call."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    message = {"role": "assistant", "content": "One moment.", "refusal": None, "annotations": [], "tool_calls": [call]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-5.4-mini",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}],
        "usage": CHAT_USAGE,
    }


def chunk(*choices: JSON, **more: object) -> JSON:
    """One chunk of a chat completion."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764000000, "model": "gpt-5.4-mini"}
    return {**head, "choices": list(choices), **more}


def choice(delta: JSON, finish_reason: str | None = None, index: int = 0) -> JSON:
    """One choice of a chunk."""
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def piece(index: int, arguments: str, **first: str) -> JSON:
    """A delta with a piece of a tool call; with id and name, its first."""
    function = {"arguments": arguments}
    if not first:
        return {"tool_calls": [{"index": index, "function": function}]}
    return {
        "tool_calls": [
            {"index": index, "id": first["id"], "type": "function", "function": {"name": first["name"], **function}}
        ]
    }


def text_chunks() -> list[JSON]:
    """Two words."""
    return [
        chunk(choice({"role": "assistant", "content": ""})),
        chunk(choice({"content": "Hello"})),
        chunk(choice({"content": " there"})),
        chunk(choice({}, "stop")),
    ]


def usage_chunks() -> list[JSON]:
    """The same with usage."""
    return [*({**each, "usage": None} for each in text_chunks()), chunk(usage=CHAT_USAGE)]


def tool_chunks() -> list[JSON]:
    """Two parallel tool calls."""
    return [
        chunk(choice({"role": "assistant", "content": None})),
        chunk(choice(piece(0, "", id="call_1", name="weather"))),
        chunk(choice(piece(0, '{"city": '))),
        chunk(choice(piece(0, '"Oslo"}'))),
        chunk(choice(piece(1, "{}", id="call_2", name="clock"))),
        chunk(choice({}, "tool_calls")),
    ]


def chat_frames(chunks: list[JSON], *, end: str = "[DONE]") -> list[Frame]:
    """The chunks as frames, and the end."""
    return [*(frame(each, named=False) for each in chunks), Frame(None, end)]


ERROR = {"error": {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}


# OpenAI: Responses


def response(status: str, output: list[JSON], **more: object) -> JSON:
    """A response in a state."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1764000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": "gpt-5.4-mini",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        **more,
    }


RESPONSE_USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 13,
}


def reasoning(summary: list[JSON]) -> JSON:
    """A reasoning item."""
    return {"id": "rs_1", "type": "reasoning", "summary": summary}


def message(status: str, content: list[JSON]) -> JSON:
    """A message item."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}


def text_part(text: str) -> JSON:
    """A text part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call(status: str, arguments: str) -> JSON:
    """A function call item."""
    ids = {"id": "fc_1", "call_id": "call_1"}
    return {**ids, "type": "function_call", "status": status, "name": "weather", "arguments": arguments}


def whole_response() -> JSON:
    """A completed response of reasoning, text and a call."""
    items = [
        reasoning([{"type": "summary_text", "text": "Hm."}]),
        message("completed", [text_part("Hello there")]),
        call("completed", '{"city": "Oslo"}'),
    ]
    return response("completed", items, usage=RESPONSE_USAGE)


def response_events() -> list[JSON]:
    """The stream of `whole_response`."""
    whole = whole_response()
    thought, said, called = whole["output"]
    summary = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    text = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    arguments = {"item_id": "fc_1", "output_index": 2}
    done = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    return numbered(
        {"type": "response.created", "response": response("in_progress", [])},
        {"type": "response.in_progress", "response": response("in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": reasoning([])},
        {
            "type": "response.reasoning_summary_part.added",
            **summary,
            "part": {"type": "summary_text", "text": ""},
        },
        {"type": "response.reasoning_summary_text.delta", **summary, "delta": "Hm."},
        {"type": "response.reasoning_summary_text.done", **summary, "text": "Hm."},
        {"type": "response.reasoning_summary_part.done", **summary, "part": thought["summary"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": message("in_progress", [])},
        {"type": "response.content_part.added", **text, "part": text_part("")},
        {"type": "response.output_text.delta", **text, "delta": "Hello", "logprobs": []},
        {"type": "response.output_text.delta", **text, "delta": " there", "logprobs": []},
        {"type": "response.output_text.done", **text, "text": "Hello there", "logprobs": []},
        {"type": "response.content_part.done", **text, "part": said["content"][0]},
        {"type": "response.output_item.done", "output_index": 1, "item": said},
        {"type": "response.output_item.added", "output_index": 2, "item": call("in_progress", "")},
        {"type": "response.function_call_arguments.delta", **arguments, "delta": '{"city": '},
        {"type": "response.function_call_arguments.delta", **arguments, "delta": '"Oslo"}'},
        {"type": "response.function_call_arguments.done", **arguments, **done},
        {"type": "response.output_item.done", "output_index": 2, "item": called},
        {"type": "response.completed", "response": whole},
    )


def incomplete_events() -> list[JSON]:
    """A stream that ran out of tokens after a refusal had begun."""
    part = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    refused = {"type": "refusal", "refusal": "I can"}
    item = message("incomplete", [refused])
    cut = response("incomplete", [item], incomplete_details={"reason": "max_output_tokens"}, usage=RESPONSE_USAGE)
    return numbered(
        {"type": "response.created", "response": response("in_progress", [])},
        {"type": "response.in_progress", "response": response("in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": message("in_progress", [])},
        {"type": "response.content_part.added", **part, "part": {"type": "refusal", "refusal": ""}},
        {"type": "response.refusal.delta", **part, "delta": "I can"},
        {"type": "response.refusal.done", **part, "refusal": "I can"},
        {"type": "response.content_part.done", **part, "part": refused},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.incomplete", "response": cut},
    )


def failed_events() -> list[JSON]:
    """A stream whose provider failed inside a text."""
    failure = {"code": "server_error", "message": "The provider failed."}
    return numbered(
        *response_events()[:11], {"type": "response.failed", "response": response("failed", [], error=failure)}
    )


def error_events() -> list[JSON]:
    """The same, told by the bare error event."""
    failure = {"code": "server_error", "message": "The provider failed.", "param": None}
    return numbered(*response_events()[:11], {"type": "error", **failure})


def numbered(*events: JSON) -> list[JSON]:
    """The events with sequence numbers from 0."""
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def named_frames(events: list[JSON]) -> list[Frame]:
    """The events as frames."""
    return [frame(event) for event in events]


# OpenAI: the rest


def model() -> JSON:
    """An entry of the list of models."""
    return {"id": "gpt-5.4-mini", "object": "model", "created": 1764000000, "owned_by": "openai"}


def embeddings(*vectors: list[float] | str) -> JSON:
    """Embeddings as numbers or base64."""
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}


# Anthropic


def anthropic_message() -> JSON:
    """A Message with thinking, text and a tool's use."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Hello there"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "output_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def anthropic_events() -> list[JSON]:
    """The stream of `anthropic_message`, with a ping."""
    start = {**anthropic_message(), "content": [], "stop_reason": None}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    return [
        {"type": "message_start", "message": start},
        block_start(0, {"type": "thinking", "thinking": "", "signature": ""}),
        {"type": "ping"},
        block_delta(0, type="thinking_delta", thinking="Hm."),
        block_delta(0, type="signature_delta", signature="c2ln"),
        {"type": "content_block_stop", "index": 0},
        block_start(1, {"type": "text", "text": ""}),
        block_delta(1, type="text_delta", text="Hello"),
        block_delta(1, type="text_delta", text=" there"),
        {"type": "content_block_stop", "index": 1},
        block_start(2, tool),
        block_delta(2, type="input_json_delta", partial_json='{"city": '),
        block_delta(2, type="input_json_delta", partial_json='"Oslo"}'),
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
        {"type": "message_stop"},
    ]


def block_start(index: int, block: JSON) -> JSON:
    """A block begins."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index: int, **delta: str) -> JSON:
    """A piece of a block."""
    return {"type": "content_block_delta", "index": index, "delta": delta}


def anthropic_error(kind: str = "overloaded_error") -> JSON:
    """An error body, and the data of an error event."""
    return {"type": "error", "error": {"type": kind, "message": "Overloaded"}, "request_id": "req_1"}
