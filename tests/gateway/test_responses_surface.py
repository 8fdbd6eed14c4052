"""`POST /v1/responses` without a server: what requests come to, and what OpenAI's types and client make of answers."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import ResponseFunctionToolCall, ResponseReasoningItem

from gateway.exchange import Exchange, UnsupportedField
from gateway.surfaces.prompt import ApiPrompt, parser
from gateway.surfaces.responses import ResponsesSurface
from gateway.surfaces.responses_body import ResponsesRequest, seal
from middleware.body import InvalidBody
from middleware.record import Record
from providers.base import Target
from providers.cascade import Answer, CascadeFailed, FailureKind
from providers.chat import (
    ChatRequest,
    Chunk,
    Completion,
    File,
    FinishReason,
    Image,
    Message,
    OutputFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolCallPiece,
    ToolChoice,
    Usage,
)
from providers.errors import ContentBlocked, ContextLengthExceeded, ProviderError
from providers.openai_compatible import OpenAICompatible
from tests.conformance.checker import check_openai
from tests.conformance.frames import read_frames
from tests.conformance.openai_stream import check_openai_stream

JSON = dict[str, Any]

TARGET = Target("openai", "gpt-5.4-mini", OpenAICompatible(), "https://upstream.test/v1")
USAGE = Usage(9, 4, 2, 1, 3)
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def prompt(**fields: Any) -> ApiPrompt[ResponsesRequest]:
    return parser(ResponsesRequest)({"model": "m", "input": "Hi", **fields})


def request(**fields: Any) -> ChatRequest:
    return ResponsesSurface().asked(prompt(**fields)).request


def exchange(**fields: Any) -> Exchange:
    asked = prompt(**fields)
    return Exchange(ResponsesSurface().asked(asked), asked, Record("r", time.perf_counter()), [TARGET])


def whole(completion: Completion, **fields: Any) -> JSON:
    """The whole answer, as OpenAI's document and types want it."""
    value: JSON = orjson.loads(
        orjson.dumps(ResponsesSurface().whole(Answer(TARGET, completion, None), exchange(**fields)))
    )
    check_openai("Response", value)
    return value


def stream(chunks: Sequence[Chunk], completion: Completion, **fields: Any) -> bytes:
    writer = ResponsesSurface().stream(exchange(stream=True, **fields))
    frames = [writer.chunks([chunk], TARGET) for chunk in chunks]
    return b"".join((*frames, writer.end(Answer(TARGET, completion, None))))


def done(text: str = "", *calls: ToolCall, finish: FinishReason = "stop", **more: Any) -> Completion:
    return Completion(text, "gpt-5.4-mini-2026-03-17", finish, USAGE, tool_calls=calls, **more)


# What is asked


REASONED = seal([(0, "sig", ""), (None, "", "redacted"), (None, "sig2", "")])

ITEMS: list[tuple[str, list[JSON], list[Message]]] = [
    ("the easy form", [{"role": "user", "content": "Hi"}], [Message("user", "Hi")]),
    (
        "instructions keep their place",
        [{"role": "developer", "content": "Be brief."}, {"type": "message", "role": "system", "content": "Now."}],
        [Message("system", "Be brief."), Message("system", "Now.")],
    ),
    (
        "every part of a user's message",
        [
            {
                "type": "message",
                "role": "user",
                "id": "msg_1",
                "status": "completed",
                "content": [
                    {"type": "input_text", "text": "Look", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "input_image", "image_url": PNG, "detail": "low"},
                    {"type": "input_image", "image_url": "https://example.com/a.png"},
                    {"type": "input_image", "file_id": "file-1", "detail": "auto"},
                    {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                    {"type": "input_file", "file_id": "file-2"},
                ],
            }
        ],
        [
            Message(
                "user",
                (
                    Text("Look", {"prompt_cache_breakpoint": {"mode": "explicit"}}),
                    Image(PNG, "low"),
                    Image("https://example.com/a.png"),
                    File(file_id="file-1"),
                    File(PDF, filename="a.pdf"),
                    File("https://example.com/a.pdf"),
                    File(file_id="file-2"),
                ),
            )
        ],
    ),
    ("an assistant's easy message", [{"role": "assistant", "content": "Hello"}], [Message("assistant", "Hello")]),
    (
        "an assistant's full message",
        [
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "phase": "final_answer",
                "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
                "reasoning_content": "Hm.",
            }
        ],
        [Message("assistant", "Hello", extra={"reasoning_content": "Hm."})],
    ),
    (
        "several parts and a refusal",
        [
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I "}, {"type": "refusal", "refusal": "can't."}],
            }
        ],
        [Message("assistant", (Text("I "), Text("can't.")))],
    ),
    (
        "words after words are messages of their own; an empty one is none",
        [
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "assistant", "content": ""},
        ],
        [Message("assistant", "a"), Message("assistant", "b")],
    ),
    (
        "words and calls are one message, outputs follow",
        [
            {"role": "assistant", "content": "Let me see."},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "f",
                "arguments": "{}",
                "status": "completed",
                "async": False,
                "caller": None,
                "extra_content": {"google": {"thought_signature": "s"}},
            },
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "g", "input": "x = 1"},
            {"type": "function_call_output", "call_id": "call_1", "output": "42"},
            {
                "type": "custom_tool_call_output",
                "call_id": "call_2",
                "output": [{"type": "input_text", "text": "ok"}, {"type": "input_image", "image_url": PNG}],
            },
        ],
        [
            Message(
                "assistant",
                "Let me see.",
                tool_calls=(
                    ToolCall("call_1", "f", "{}", extra={"extra_content": {"google": {"thought_signature": "s"}}}),
                    ToolCall("call_2", "g", "x = 1", custom=True),
                ),
            ),
            Message("tool", "42", tool_call_id="call_1"),
            Message("tool", (Text("ok"), Image(PNG)), tool_call_id="call_2"),
        ],
    ),
    (
        "words after a call stand with it, so that its output follows",
        [
            {"role": "assistant", "content": "One."},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
            {"role": "assistant", "content": "Two."},
            {"type": "function_call_output", "call_id": "c", "output": ""},
        ],
        [
            Message("assistant", (Text("One."), Text("Two.")), tool_calls=(ToolCall("c", "f", ""),)),
            Message("tool", "", tool_call_id="c"),
        ],
    ),
    (
        "thoughts that came from here go back",
        [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": REASONED,
            },
            {"role": "assistant", "content": "Hello"},
        ],
        [
            Message(
                "assistant",
                (Thinking("Hm.", "sig"), Thinking(redacted="redacted"), Thinking(signature="sig2"), Text("Hello")),
            )
        ],
    ),
    (
        "thoughts that did not, or that were changed, do not",
        [
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": REASONED},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAAABo"},
            {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "gateway.1.e30="},
            {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": "gateway.1.?"},
            {"type": "reasoning", "id": "rs_5", "summary": [{"type": "summary_text", "text": "Hm."}], "content": []},
        ],
        [Message("user", "Hi")],
    ),
]


@pytest.mark.parametrize(("claim", "items", "messages"), ITEMS, ids=[row[0] for row in ITEMS])
def test_items(claim: str, items: list[JSON], messages: list[Message]) -> None:
    """Each kind of item becomes the messages it means."""
    assert request(input=items) == ChatRequest(tuple(messages))


def test_every_field() -> None:
    """A request with every field that can be done becomes the whole internal form."""
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    asked = ResponsesSurface().asked(
        prompt(
            instructions="Be brief.",
            max_output_tokens=100,
            temperature=1,
            top_p=0.5,
            top_logprobs=2,
            tools=[
                {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True},
                {"type": "function", "name": "g", "defer_loading": False},
                {"type": "custom", "name": "code"},
                {
                    "type": "custom",
                    "name": "sum",
                    "description": "Adds.",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"},
                },
            ],
            tool_choice="required",
            parallel_tool_calls=False,
            text={
                "format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True, "description": "d"},
                "verbosity": "low",
            },
            reasoning={"effort": "high"},
            stream=True,
            stream_options={"include_obfuscation": False},
            include=["reasoning.encrypted_content", "message.output_text.logprobs"],
            store=False,
            previous_response_id=None,
            conversation=None,
            background=False,
            truncation="disabled",
            metadata={"a": "b"},
            user="u",
            safety_identifier="s",
            prompt_cache_key="k",
            prompt_cache_options={"mode": "implicit"},
            prompt_cache_retention="24h",
            service_tier="flex",
            moderation={"model": "omni-moderation-latest"},
            nobody_knows=1,
        )
    )
    assert (asked.model, asked.stream, asked.dropped, asked.service) == ("m", True, (), None)
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
    custom = {"name": "sum", "description": "Adds.", "format": grammar}
    assert asked.request == ChatRequest(
        (Message("system", "Be brief."), Message("user", "Hi")),
        100,
        1.0,
        tools=(
            Tool("f", "d", schema, True),
            Tool("g", extra={"defer_loading": False}),
            Tool("code", native=("openai", {"type": "custom", "custom": {"name": "code"}})),
            Tool("sum", native=("openai", {"type": "custom", "custom": custom})),
        ),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        output=OutputFormat(schema, "a", "d", True),
        reasoning_effort="high",
        options={
            "top_p": 0.5,
            "user": "u",
            "safety_identifier": "s",
            "prompt_cache_key": "k",
            "prompt_cache_options": {"mode": "implicit"},
            "prompt_cache_retention": "24h",
            "service_tier": "flex",
            "moderation": {"model": "omni-moderation-latest"},
            "verbosity": "low",
            "logprobs": True,
            "top_logprobs": 2,
        },
        unknown={"nobody_knows": 1},
    )


@pytest.mark.parametrize(
    ("asked", "limit", "found"), [(None, None, None), (5, None, 5), (None, 9, 9), (5, 9, 5), (50, 9, 9)]
)
def test_limit_of_tokens(asked: int | None, limit: int | None, found: int | None) -> None:
    """The operator's limit holds for those who name none, and for those who name a larger one."""
    surface = ResponsesSurface(max_tokens=limit)
    assert surface.asked(prompt(max_output_tokens=asked)).request.max_tokens == found


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "custom", "name": "f"}, ToolChoice("required", ("f",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("auto", ("f",)),
        ),
    ],
)
def test_tool_choice(choice: Any, found: ToolChoice) -> None:
    """Every way to choose among the caller's own tools."""
    tools = [{"type": "custom", "name": "f"}]
    assert request(tool_choice=choice, tools=tools).tool_choice == found


@pytest.mark.parametrize(
    ("format", "found"), [({"type": "text"}, None), ({"type": "json_object"}, OutputFormat()), (None, None)]
)
def test_plain_formats(format: Any, found: OutputFormat | None) -> None:
    """Text is what every model answers; any object of JSON has no schema."""
    assert request(text={"format": format}).output == found


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"include": ["file_search_call.results"]}, ["include"]),
        ({"store": True}, ["store"]),
        ({"truncation": "auto"}, ["truncation"]),
        ({"max_tool_calls": 1}, ["max_tool_calls"]),
        ({"reasoning": {"summary": "auto"}}, ["reasoning.summary"]),
        ({"reasoning": {"generate_summary": "auto"}}, ["reasoning.summary"]),
        ({"reasoning": {"context": "all_turns", "mode": "pro"}}, ["reasoning.context", "reasoning.mode"]),
        ({"reasoning": {"context": "auto", "mode": "standard"}}, []),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, ["stream_options.include_obfuscation"]),
        ({"context_management": [{"type": "compaction"}], "image": {"context_compression": "enabled"}}, None),
        ({"access_programs": {"cyber": "standard"}}, ["access_programs"]),
        ({"include": [], "store": None, "truncation": None, "context_management": []}, []),
    ],
)
def test_dropped(fields: JSON, dropped: list[str] | None) -> None:
    """What asks for an effect that cannot be had is named; what asks for none is not."""
    expected = ["context_management", "image"] if dropped is None else dropped
    assert ResponsesSurface().asked(prompt(**fields)).dropped == tuple(expected)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "mcp", "server_label": "x", "headers": {"a": "b"}}]}, "tools"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]}, "input[0]"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "input"),
    ],
)
def test_unsupported(fields: JSON, param: str) -> None:
    """What needs OpenAI's own store or tools is refused, and the caller told which field it is."""
    with pytest.raises(UnsupportedField) as refused:
        ResponsesSurface().asked(prompt(**fields))
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"input": []}, ("input",), "List should have at least 1 item after validation, not 0"),
        ({"input": ["Hi"]}, ("input", 0), "Input should be a valid object"),
        (
            {"input": [{"role": "tool", "content": "x"}]},
            ("input", 0, "role"),
            "Input should be 'user', 'system' or 'de",
        ),
        ({"input": [{"role": "user", "content": 1}]}, ("input", 0, "content"), "Input should be a valid list"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, ("input", 0, "call_id"), "Field req"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]}]},
            ("input", 0, "content", 0, "image_url"),
            "String should match pattern",
        ),
        ({"tools": [{"name": "f"}]}, ("tools", 0, "type"), "Field required"),
        ({"tool_choice": {"type": "function", "name": "f"}}, ("tool_choice",), "names a tool that is not among the"),
        ({"tools": [{"type": "function"}]}, ("tools", 0, "name"), "Field required"),
        ({"tool_choice": "any"}, ("tool_choice",), "Input should be 'none', 'auto' or 'required'"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, ("text", "format", "schema"), "Field required"),
        ({"temperature": "1"}, ("temperature",), "Input should be a valid number"),
    ],
)
def test_invalid(fields: JSON, place: tuple[str | int, ...], message: str) -> None:
    """The first problem told is the one of the branch that was meant."""
    with pytest.raises(InvalidBody) as refused:
        prompt(**fields)
    assert refused.value.fields[0].loc == place
    assert refused.value.fields[0].msg.startswith(message)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image"},
        {"type": "input_image", "image_url": PNG, "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf"},
        {"type": "input_file", "file_data": PDF, "file_id": "file-1"},
    ],
)
def test_parts_hold_one_thing(part: JSON) -> None:
    """An image or a file is said in one way."""
    with pytest.raises(InvalidBody) as refused:
        prompt(input=[{"role": "user", "content": [part]}])
    assert "needs one of" in refused.value.fields[0].msg


# Whole answers


def test_whole_text() -> None:
    """A plain answer: every field of the response."""
    value = whole(done("Hello"), metadata={"a": "b"}, user="u", safety_identifier="s", prompt_cache_key="k")
    identity = {name: value.pop(name) for name in ("id", "created_at", "completed_at")}
    assert identity["id"].startswith("resp_")
    assert identity["completed_at"] >= identity["created_at"] > time.time() - 60
    [message] = value.pop("output")
    assert message.pop("id").startswith("msg_")
    text = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    assert message == {"type": "message", "status": "completed", "role": "assistant", "content": [text]}
    assert value == {
        "object": "response",
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "model": "gpt-5.4-mini-2026-03-17",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 13,
        },
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }


def test_what_was_asked_is_told() -> None:
    """Fields come back as sent; what was dropped is not claimed to have been done."""
    sent = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 1,
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    dropped = {"store": True, "truncation": "auto", "max_tool_calls": 3}
    value = whole(done("Hello"), **sent, **dropped)
    assert {name: value[name] for name in sent} == sent
    assert (value["store"], value["truncation"], value["max_tool_calls"]) == (False, "disabled", None)


def test_function_tools_are_told_with_the_required_fields() -> None:
    """Callers may leave out what a response must have."""
    [tool] = whole(done("Hello"), tools=[{"type": "function", "name": "f"}])["tools"]
    assert tool == {"type": "function", "name": "f", "parameters": None, "strict": None}


def test_whole_of_everything() -> None:
    """Thoughts, words and calls are items in this order, each call with its vendor's own keys."""
    signature = {"extra_content": {"google": {"thought_signature": "s"}}}
    completion = done(
        "Hello",
        ToolCall("call_1", "f", '{"a":1}', extra=signature),
        ToolCall("", "code", "x = 1", custom=True),
        finish="tool_calls",
        thinking=(Thinking("Hm.", "sig"), Thinking(redacted="r")),
    )
    value = whole(completion)
    thoughts, message, call, custom = value["output"]
    assert thoughts["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert message["content"][0]["text"] == "Hello"
    assert call.pop("id").startswith("fc_")
    assert call == {
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "f",
        "arguments": '{"a":1}',
        **signature,
    }
    assert custom.pop("id").startswith("ctc_")
    assert custom.pop("call_id").startswith("call_")
    assert custom == {"type": "custom_tool_call", "name": "code", "input": "x = 1"}
    assert value["status"] == "completed"


def test_an_answer_goes_back_as_it_came() -> None:
    """The output of one turn is the input of the next, with all that its vendor wants back."""
    completion = done(
        "Hello",
        ToolCall("call_1", "f", "{}", extra={"extra_content": {"google": {"thought_signature": "s"}}}),
        ToolCall("call_2", "code", "x", custom=True),
        thinking=(Thinking("Hm.", "sig"), Thinking(redacted="r"), Thinking("", "sig2"), Thinking("So.", "sig3")),
    )
    output = whole(completion)["output"]
    expected = Message("assistant", (*completion.thinking, Text("Hello")), tool_calls=completion.tool_calls)
    assert request(input=output).messages == (expected,)


def test_thoughts_without_a_signature_are_told_and_not_sealed() -> None:
    """There is nothing that a vendor would want back."""
    thoughts, _ = whole(done("Hello", thinking=(Thinking("Hm."),)))["output"]
    assert thoughts.keys() == {"id", "type", "summary"}


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_cut_short(finish: FinishReason, reason: str) -> None:
    """An answer that was cut is incomplete, and so is its last item."""
    value = whole(done("Hel", ToolCall("c", "f", '{"a'), finish=finish))
    assert (value["status"], value["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert [item["status"] for item in value["output"]] == ["completed", "incomplete"]
    assert value["completed_at"] is None


def test_refusal_and_nothing() -> None:
    """A refusal is a part of its own; an answer of nothing is an empty message; calls alone are calls alone."""
    [message] = whole(done("No.", refused=True))["output"]
    assert message["content"] == [{"type": "refusal", "refusal": "No."}]
    [message] = whole(replace(done(), usage=None))["output"]
    assert message["content"][0]["text"] == ""
    [call] = whole(done("", ToolCall("c", "f", "{}")))["output"]
    assert call["type"] == "function_call"


LOGPROBS = {
    "content": [
        {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -1, "bytes": [97]}]},
        {"token": "!", "logprob": -0.25, "bytes": [33]},
    ],
    "refusal": None,
}
TOLD_LOGPROBS = [
    {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [{"token": "a", "logprob": -1, "bytes": [97]}],
    },
    {"token": "!", "logprob": -0.25, "bytes": [33], "top_logprobs": []},
]


def test_logprobs() -> None:
    """They stand on the text, whole and in deltas."""
    [message] = whole(done("é!", logprobs=LOGPROBS))["output"]
    assert message["content"][0]["logprobs"] == TOLD_LOGPROBS
    body = stream([Chunk("é!", logprobs=LOGPROBS), Chunk("?")], done("é!?"))
    check_openai_stream("/v1/responses", read_frames(body))
    deltas = [event["logprobs"] for event in events(body) if event["type"] == "response.output_text.delta"]
    assert deltas == [TOLD_LOGPROBS, []]
    [message] = events(body)[-1]["response"]["output"]
    assert message["content"][0]["logprobs"] == TOLD_LOGPROBS


# Streams


def events(body: bytes) -> list[JSON]:
    """The events, each checked against OpenAI's document and types, numbered from 0."""
    found = []
    for frame in read_frames(body):
        value = frame.json()
        check_openai("ResponseStreamEvent", value)
        assert frame.event == value["type"]
        found.append(value)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def heard(body: bytes) -> list[JSON]:
    """
    The output that a listener puts together, items being open side by side: it must be what the end says.

    Independent of the writer: by `output_index`, from deltas alone, each checked against its `done`.
    """
    told = events(body)
    assert [event["type"] for event in told[:2]] == ["response.created", "response.in_progress"]
    items: dict[int, JSON] = {}
    texts: dict[tuple[Any, ...], str] = {}
    closed: dict[int, JSON] = {}
    for event in told[2:-1]:
        at = event["output_index"]
        assert at not in closed, "an item is written to after it was done"
        family, _, step = event["type"].removeprefix("response.").rpartition(".")
        if family == "output_item" and step == "added":
            assert at == len(items)
            items[at] = event["item"]
            continue
        if family == "output_item":
            closed[at] = event["item"]
            assert event["item"]["id"] == items[at]["id"]
            continue
        assert event["item_id"] == items[at]["id"]
        place = (at, event.get("content_index", event.get("summary_index")))
        match step:
            case "added":
                assert place not in texts
                texts[place] = ""
            case "delta":
                texts[place] = texts.get(place, "") + event["delta"]
            case "done" if "part" in event:
                assert said(event["part"]) == texts[place]
            case "done":
                assert said(event) == texts.get(place, "")
    assert items.keys() == closed.keys()
    for at, item in closed.items():
        parts = item.get("content", item.get("summary"))
        whole = {None: said(item)} if parts is None else dict(enumerate(map(said, parts)))
        assert whole == {part: text for (index, part), text in texts.items() if index == at} or whole == {None: ""}
    output: list[JSON] = told[-1]["response"]["output"]
    assert output == [closed[at] for at in range(len(closed))]
    assert told[-1]["response"]["id"] == told[0]["response"]["id"]
    return output


def said(value: JSON) -> str:
    """The text of a part, of a call or of an event that ends one."""
    return next(
        str(value[name]) for name in ("text", "refusal", "arguments", "input") if isinstance(value.get(name), str)
    )


def test_stream_of_everything() -> None:
    """Thoughts, words and calls: the events of each, in order, and the same output as when it is sent whole."""
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    chunks = [
        Chunk(model="gpt-5.4-mini-2026-03-17"),
        Chunk(thinking=Thinking("H")),
        Chunk(thinking=Thinking("m.")),
        Chunk(thinking=Thinking(signature="sig")),
        Chunk(thinking=Thinking(redacted="r")),
        Chunk("Hel"),
        Chunk("lo"),
        Chunk(tool_calls=(ToolCallPiece(0, id="call_1", name="f", extra=extra),)),
        Chunk(tool_calls=(ToolCallPiece(0, '{"a"'), ToolCallPiece(0, ":1}"))),
        Chunk(tool_calls=(ToolCallPiece(1, "x = 1", "call_2", "code", custom=True),)),
        Chunk(finish_reason="tool_calls"),
    ]
    completion = done(
        "Hello",
        ToolCall("call_1", "f", '{"a":1}', extra=extra),
        ToolCall("call_2", "code", "x = 1", custom=True),
        finish="tool_calls",
        thinking=(Thinking("Hm.", "sig"), Thinking(redacted="r")),
    )
    body = stream(chunks, completion)
    output = heard(body)
    assert [event["type"].removeprefix("response.") for event in events(body)] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    sent_whole = whole(completion)["output"]
    assert [item | {"id": ""} for item in output] == [item | {"id": ""} for item in sent_whole]
    assert request(input=output) == request(input=sent_whole)


def test_the_response_in_the_first_and_the_last_event() -> None:
    """It has begun, empty, under the model that answers; it ends with its usage. Nothing ends with [DONE]."""
    body = stream([Chunk("Hi")], done("Hi"), instructions="Be brief.")
    first, *_, last = events(body)
    assert first["response"]["status"] == "in_progress"
    assert first["response"]["output"] == []
    assert first["response"]["instructions"] == "Be brief."
    assert (first["response"]["model"], last["response"]["model"]) == (TARGET.model, TARGET.model)
    assert last["response"]["usage"]["total_tokens"] == 13
    assert last["response"]["completed_at"] is not None
    assert b"[DONE]" not in body


def test_nothing_is_held_back() -> None:
    """Each chunk is on the wire when its call returns."""
    writer = ResponsesSurface().stream(exchange(stream=True))
    assert writer.chunks([], TARGET) == b""
    opening = writer.chunks([Chunk("a")], TARGET)
    assert opening.count(b"event: ") == 5
    assert opening.endswith(b'"delta":"a","logprobs":[],"sequence_number":4}\n\n')
    assert writer.chunks([Chunk('"\u2028\n')], TARGET).startswith(b"event: response.output_text.delta\ndata: {")
    piece = ToolCallPiece(0, '{"a":', "c", "f")
    assert writer.chunks([Chunk(tool_calls=(piece,))], TARGET).endswith(
        b'"delta":"{\\"a\\":","sequence_number":10}\n\n'
    )
    assert writer.chunks([Chunk(usage=USAGE)], TARGET) == b""


def test_text_becomes_a_refusal() -> None:
    """The refusal is the next part of the same message."""
    chunks = [Chunk("Well, "), Chunk("no", refused=True), Chunk(".", refused=True)]
    body = stream(chunks, done("Well, no.", refused=True))
    check_openai_stream("/v1/responses", read_frames(body))
    [message] = heard(body)
    assert message["content"] == [
        {"type": "output_text", "text": "Well, ", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "no."},
    ]


def test_words_after_a_call() -> None:
    """They are a message of their own; the call before it is done, as its arguments are whole."""
    chunks = [Chunk("a"), Chunk(tool_calls=(ToolCallPiece(0, "{}", "c", "f"),)), Chunk("b")]
    body = stream(chunks, done("ab", ToolCall("c", "f", "{}"), finish="tool_calls"))
    check_openai_stream("/v1/responses", read_frames(body))
    assert [item["type"] for item in heard(body)] == ["message", "function_call", "message"]


def test_calls_in_turns() -> None:
    """Pieces of several calls may alternate: the items are open side by side."""
    chunks = [
        Chunk(tool_calls=(ToolCallPiece(0, '{"a"', "c0", "f"), ToolCallPiece(1, "x", "c1", "g", custom=True))),
        Chunk(tool_calls=(ToolCallPiece(0, ":1}"), ToolCallPiece(1, "y"))),
        Chunk(tool_calls=(ToolCallPiece(2, "{}", "c2", "h", extra={"k": 1}), ToolCallPiece(0, " "))),
        Chunk(tool_calls=(ToolCallPiece(1, "z"), ToolCallPiece(2, "\n", extra={"k": 2, "l": 3, "name": "other"}))),
    ]
    calls = [ToolCall("c0", "f", '{"a":1}'), ToolCall("c1", "g", "xyz", custom=True), ToolCall("c2", "h", "{}\n")]
    output = heard(stream(chunks, done("", *calls, finish="tool_calls")))
    assert [(item["call_id"], said(item)) for item in output] == [("c0", '{"a":1}'), ("c1", "xyz"), ("c2", "{}\n")]
    assert {name: output[2][name] for name in ("k", "l", "name")} == {"k": 1, "l": 3, "name": "h"}


def test_streams_of_nothing() -> None:
    """An answer without words is an empty message, as it is when sent whole; even if no chunk came at all."""
    for chunks in ([], [Chunk(thinking=Thinking("Hm."))]):
        body = stream(chunks, done())
        check_openai_stream("/v1/responses", read_frames(body))
        assert heard(body)[-1]["content"][0]["text"] == ""


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_streams_cut_short(finish: FinishReason, reason: str) -> None:
    """They end incomplete, and so do the items that were open."""
    chunks = [Chunk("a"), Chunk(tool_calls=(ToolCallPiece(0, '{"a', "c", "f"),))]
    body = stream(chunks, done("a", ToolCall("c", "f", '{"a'), finish=finish))
    check_openai_stream("/v1/responses", read_frames(body))
    last = events(body)[-1]
    assert (last["type"], last["response"]["incomplete_details"]) == ("response.incomplete", {"reason": reason})
    assert [item["status"] for item in last["response"]["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize(
    ("kind", "error", "code", "response_code"),
    [
        ("broken", None, "upstream_error", "server_error"),
        ("timeout", None, "timeout", "server_error"),
        ("rate_limited", None, "rate_limit_exceeded", "rate_limit_exceeded"),
        ("rejected", ContentBlocked("no"), "content_policy_violation", "invalid_prompt"),
        ("rejected", ContextLengthExceeded("long"), "context_length_exceeded", "invalid_prompt"),
    ],
)
def test_streams_that_break(kind: FailureKind, error: ProviderError | None, code: str, response_code: str) -> None:
    """An error and a failed response with what was done; what was open is never said to be done."""
    writer = ResponsesSurface().stream(exchange(stream=True))
    chunks = [
        Chunk("a"),
        Chunk(tool_calls=(ToolCallPiece(0, "{}", "c", "f"),)),
        Chunk(tool_calls=(ToolCallPiece(1, '{"a', "d", "f"),)),
    ]
    body = writer.chunks(chunks, TARGET) + writer.failed(CascadeFailed(kind, error, None))
    *before, told, failed = events(body)
    assert (told["type"], told["code"], told["param"]) == ("error", code, None)
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": response_code, "message": told["message"]}
    assert [item["type"] for item in failed["response"]["output"]] == ["message", "function_call"]
    assert sum(event["type"] == "response.output_item.done" for event in before) == 2
    assert failed["response"]["id"] == before[0]["response"]["id"]


Segment = tuple[str, list[str]]


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    """What a model may write, piece by piece: thoughts, words, a refusal, calls."""
    words = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4)
    arguments = st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2).flatmap(
        lambda value: cut(orjson.dumps(value).decode())
    )
    kinds = st.sampled_from(["thought", "text", "refusal", "call"])
    return [(kind, draw(arguments if kind == "call" else words)) for kind in draw(st.lists(kinds, max_size=6))]


def cut(text: str) -> st.SearchStrategy[list[str]]:
    """A text in pieces."""
    places = st.lists(st.integers(0, len(text)), max_size=4).map(sorted)
    return places.map(
        lambda at: [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)],
    )


def chunks_of(parts: Sequence[Segment]) -> list[Chunk]:
    chunks: list[Chunk] = []
    number = -1
    for kind, pieces in parts:
        match kind:
            case "thought":
                chunks += [Chunk(thinking=Thinking(piece)) for piece in pieces]
                chunks.append(Chunk(thinking=Thinking(signature="sig")))
            case "text" | "refusal":
                chunks += [Chunk(piece, refused=kind == "refusal") for piece in pieces]
            case _:
                number += 1
                chunks.append(Chunk(tool_calls=(ToolCallPiece(number, id=f"c{number}", name="f"),)))
                chunks += [Chunk(tool_calls=(ToolCallPiece(number, piece),)) for piece in pieces]
    return chunks


def completion_of(chunks: Sequence[Chunk]) -> Completion:
    calls: dict[int, str] = {}
    for chunk in chunks:
        for piece in chunk.tool_calls:
            calls[piece.index] = calls.get(piece.index, "") + piece.arguments
    made = [ToolCall(f"c{index}", "f", arguments) for index, arguments in calls.items()]
    return done("".join(chunk.text for chunk in chunks), *made)


def text_of(output: Sequence[JSON], kind: str) -> str:
    """All texts of one kind of part, joined."""
    parts = [part for item in output for part in item.get("content") or item.get("summary") or ()]
    return "".join(said(part) for part in parts if part["type"] == kind)


@given(segments(), st.integers(1, 5))
def test_any_order_of_segments(parts: list[Segment], together: int) -> None:
    """Whatever comes, in whatever groups: a sound stream, one item at a time, of exactly these words."""
    chunks = chunks_of(parts)
    writer = ResponsesSurface().stream(exchange(stream=True))
    groups = [chunks[at : at + together] for at in range(0, len(chunks), together)]
    frames = [writer.chunks(group, TARGET) for group in groups]
    body = b"".join((*frames, writer.end(Answer(TARGET, completion_of(chunks), None))))
    check_openai_stream("/v1/responses", read_frames(body))
    output = heard(body)
    for kind, part in (("thought", "summary_text"), ("text", "output_text"), ("refusal", "refusal")):
        assert text_of(output, part) == "".join("".join(pieces) for each, pieces in parts if each == kind)
    calls = [item["arguments"] for item in output if item["type"] == "function_call"]
    assert calls == ["".join(pieces) for kind, pieces in parts if kind == "call"]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["text", "call", "custom"]), st.text(max_size=4))))
def test_any_turns_of_calls(steps: list[tuple[int, str, str]]) -> None:
    """Pieces of calls and words in any turns: each call gets its own pieces, save what follows whole arguments."""
    custom: dict[int, bool] = {}
    chunks = []
    for index, kind, text in steps:
        if kind == "text":
            chunks.append(Chunk(text))
        else:
            is_custom = custom.setdefault(index, kind == "custom")
            chunks.append(Chunk(tool_calls=(ToolCallPiece(index, text, f"c{index}", "f", is_custom),)))
    completion = completion_of(chunks)
    output = heard(stream(chunks, completion))
    assert text_of(output, "output_text") == completion.text
    found = {item["call_id"]: said(item) for item in output if "call_id" in item}
    wanted = {call.id: call.arguments for call in completion.tool_calls}
    assert found.keys() == wanted.keys()
    for id, arguments in found.items():
        assert arguments == wanted[id] or (
            wanted[id].startswith(arguments) and isinstance(orjson.loads(arguments), dict)
        )


# The official client


def client(completion: Completion, chunks: Sequence[Chunk] = ()) -> OpenAI:
    """OpenAI's SDK in front of the surface alone: what it sends is parsed, what it gets is written by us."""

    def answer(sent: httpx2.Request) -> httpx2.Response:
        asked = parser(ResponsesRequest)(orjson.loads(sent.content))
        surface = ResponsesSurface()
        going = Exchange(surface.asked(asked), asked, Record("r", time.perf_counter()), [TARGET])
        answered = Answer(TARGET, completion, None)
        if not going.asked.stream:
            return httpx2.Response(200, json=surface.whole(answered, going))
        writer = surface.stream(going)
        body = writer.chunks(chunks, TARGET) + writer.end(answered)
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})

    return OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def test_sdk_whole() -> None:
    """The SDK reads the answer, and what it read can be sent back as it is."""
    completion = done("Hello", ToolCall("call_1", "f", "{}"), thinking=(Thinking("Hm.", "sig"),))
    with client(completion) as sdk:
        answer = sdk.responses.create(model="m", input="Hi")
        assert answer.output_text == "Hello"
        assert isinstance(answer.output[2], ResponseFunctionToolCall)
        back: list[Any] = [item.model_dump(exclude_unset=True) for item in answer.output]
        assert request(input=back).messages == (
            Message("assistant", (Thinking("Hm.", "sig"), Text("Hello")), tool_calls=completion.tool_calls),
        )


def test_sdk_stream() -> None:
    """The SDK's accumulator comes to the same response, from deltas that it follows."""
    chunks = [
        Chunk(thinking=Thinking("Hm.")),
        Chunk("Hel"),
        Chunk("lo"),
        Chunk(tool_calls=(ToolCallPiece(0, '{"a"', "c0", "f"), ToolCallPiece(1, "{", "c1", "f"))),
        Chunk(tool_calls=(ToolCallPiece(1, "}"), ToolCallPiece(0, ":1}"))),
    ]
    completion = done("Hello", ToolCall("c0", "f", '{"a":1}'), ToolCall("c1", "f", "{}"), thinking=(Thinking("Hm."),))
    with client(completion, chunks) as sdk, sdk.responses.stream(model="m", input="Hi") as told:
        followed = [event.snapshot for event in told if event.type == "response.output_text.delta"]
        final = told.get_final_response()
    assert followed == ["Hel", "Hello"]
    thoughts, _, *calls = final.output
    assert isinstance(thoughts, ResponseReasoningItem)
    assert thoughts.summary[0].text == "Hm."
    assert final.output_text == "Hello"
    assert [call.arguments for call in calls if call.type == "function_call"] == ['{"a":1}', "{}"]
