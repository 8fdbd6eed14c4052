"""
Hostile and mistaken bodies for the `/v1` routes (RELIABILITY I4, I6, I9).

Each is refused in the dialect of the route, in the place where it is wrong, at once, without repeating what was sent
and without a call to a provider.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from itertools import product
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.conftest import Start
from tests.gateway.test_input import raw, request
from tests.middleware.test_strict_json import REFUSED
from tests.serving import CLIENT_KEY
from tests.upstream import Upstream

JSON = dict[str, Any]

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
ANTHROPIC = (MESSAGES, COUNT)
JSON_TYPE = {"Content-Type": "application/json"}
LIMIT_S = 1.0
ECHO = 64
"""Characters of what was sent that an answer may repeat: a field's name."""
CALL: JSON = {"type": "function", "function": {"name": "f"}}

SOUND: Mapping[str, JSON] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "m", "input": "Hi"},
    EMBEDDINGS: {"model": "m", "input": "Hi"},
    MESSAGES: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    COUNT: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
}


@pytest.fixture
async def up() -> AsyncIterator[Upstream]:
    """A provider that must not be asked."""
    async with Upstream() as up:
        yield up
        assert up.requests == []


@pytest.fixture
async def client(gateway: Start, up: Upstream) -> httpx.AsyncClient:
    return await gateway({"openai": up, "anthropic": up, "gemini": up})


def check(path: str, reply: httpx.Response, status: int, sent: bytes = b"") -> tuple[str, str | None, str | None]:
    """Message, `param` and `code` of an error that is in the route's dialect and repeats nothing."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.content) < 600
    text, body = sent.decode("utf-8", "replace"), reply.text
    for start in range(len(body) - ECHO):
        assert body[start : start + ECHO + 1] not in text, body
    error = reply.json()["error"]
    if path in ANTHROPIC:
        assert reply.json().keys() - {"request_id"} == {"type", "error"}
        assert (reply.json()["type"], error.keys()) == ("error", {"type", "message"})
        return error["message"], None, None
    assert reply.json().keys() == {"error"}
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return error["message"], error["param"], error["code"]


async def refused(client: httpx.AsyncClient, path: str, body: object, param: str | None, code: str | None) -> None:
    """Send the body and check the whole answer."""
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    began = time.perf_counter()
    reply = await client.post(path, content=sent, headers=JSON_TYPE)
    assert time.perf_counter() - began < LIMIT_S
    found = check(path, reply, 400, sent)
    if path in ANTHROPIC:
        assert reply.json()["error"]["type"] == "invalid_request_error"
        if param is not None:
            assert found[0].startswith(f"{param}: ")
    else:
        assert found[1:] == (param, code), found
        assert param is None or found[0].startswith(f"{param}: ")
    assert reply.headers["x-ratelimit-limit"] == "100000"


# Top-level fields

TYPE, VALUE, MISSING = "invalid_type", "invalid_value", "missing_required_parameter"

TEXT = [5, True, [], {}]
NUMBER = ["9", True, [], {}]
WHOLE = [*NUMBER, 1.5, 1e15 + 0.5]
BOOLEAN = ["false", 0, 1, [], {}]
LIST = ["x", 5, {}, True]
OBJECT = ["x", 5, [], True]

MODEL: list[tuple[str, list[Any], str]] = [
    ("model", [None, *TEXT], TYPE),
    ("model", ["", " ", "a b", "m" * 10_000, "a\r\nX-Evil: 1", "modèle", "模型", "a\u2028b", "\x7f", "m\n"], VALUE),
]
"""Field, values, code. `null` is a value of every optional field."""
SAMPLING: list[tuple[str, list[Any], str]] = [
    ("temperature", NUMBER, TYPE),
    ("temperature", [-0.1, 2.1, -(2**53), 2**53], VALUE),
    ("top_p", NUMBER, TYPE),
    ("top_p", [-1, 1.1], VALUE),
    ("stream", BOOLEAN, TYPE),
]
FIELDS: Mapping[str, list[tuple[str, list[Any], str]]] = {
    CHAT: [
        *MODEL,
        *SAMPLING,
        ("messages", [None, *LIST], TYPE),
        ("messages", [[]], VALUE),
        ("max_tokens", WHOLE, TYPE),
        ("max_tokens", [0, -1, -(2**53)], VALUE),
        ("max_completion_tokens", ["9", True, 0.5], TYPE),
        ("max_completion_tokens", [0, -1], VALUE),
        ("frequency_penalty", ["x", [], True], TYPE),
        ("frequency_penalty", [-2.1, 2.1], VALUE),
        ("presence_penalty", ["x", {}], TYPE),
        ("presence_penalty", [-3, 3], VALUE),
        ("n", ["2", True, 1.5, []], TYPE),
        ("n", [0, -1, 129, 2**53], VALUE),
        ("seed", ["7", True, 0.5, []], TYPE),
        ("logit_bias", ["x", 5, []], TYPE),
        ("logprobs", BOOLEAN, TYPE),
        ("top_logprobs", ["3", True], TYPE),
        ("top_logprobs", [-1, 21], VALUE),
        ("stop", [5, True, {}], TYPE),
        ("stop", ["", [], list("abcde")], VALUE),
        ("stream_options", OBJECT, TYPE),
        ("tools", LIST, TYPE),
        ("tool_choice", ["sometimes", 5, True, []], VALUE),
        ("parallel_tool_calls", BOOLEAN, TYPE),
        ("response_format", OBJECT, TYPE),
        ("reasoning_effort", ["huge", 5, True, []], VALUE),
        ("verbosity", ["loud", 1], VALUE),
        ("service_tier", ["gold", {}], VALUE),
        ("metadata", OBJECT, TYPE),
        ("store", BOOLEAN, TYPE),
        ("user", TEXT, TYPE),
        ("safety_identifier", [5, []], TYPE),
        ("safety_identifier", ["x" * 65], VALUE),
        ("prompt_cache_key", TEXT, TYPE),
        ("modalities", ["text", 5, {}], TYPE),
        ("audio", OBJECT, TYPE),
        ("prediction", OBJECT, TYPE),
        ("web_search_options", OBJECT, TYPE),
        ("functions", LIST, TYPE),
        ("function_call", ["sometimes", 5], VALUE),
    ],
    RESPONSES: [
        *MODEL,
        *SAMPLING,
        ("input", [None, 5, True, {}], TYPE),
        ("input", [[]], VALUE),
        ("instructions", TEXT, TYPE),
        ("max_output_tokens", WHOLE, TYPE),
        ("max_output_tokens", [0, -1], VALUE),
        ("max_tool_calls", ["1", True], TYPE),
        ("top_logprobs", [-1, 21], VALUE),
        ("tools", LIST, TYPE),
        ("tool_choice", ["sometimes"], VALUE),
        ("tool_choice", [5, True, []], TYPE),
        ("text", OBJECT, TYPE),
        ("reasoning", OBJECT, TYPE),
        ("include", LIST, TYPE),
        ("store", BOOLEAN, TYPE),
        ("background", BOOLEAN, TYPE),
        ("previous_response_id", TEXT, TYPE),
        ("truncation", ["sometimes", 5], VALUE),
        ("metadata", OBJECT, TYPE),
        ("prompt", OBJECT, TYPE),
        ("safety_identifier", ["x" * 129], VALUE),
        ("service_tier", ["gold", 5], VALUE),
        ("parallel_tool_calls", BOOLEAN, TYPE),
    ],
    EMBEDDINGS: [
        *MODEL,
        ("input", [None, 5, True, {}], TYPE),
        ("input", ["", [], ["x"] * 2049, [[1]] * 2049], VALUE),
        ("encoding_format", ["hex", 5, True], VALUE),
        ("dimensions", WHOLE, TYPE),
        ("dimensions", [0, -1], VALUE),
        ("user", TEXT, TYPE),
    ],
    MESSAGES: [
        *MODEL,
        ("messages", [None, *LIST, []], TYPE),
        ("max_tokens", [None, *WHOLE, 0, -1], TYPE),
        ("system", [5, True, {}], TYPE),
        ("stop_sequences", [*LIST], TYPE),
        ("stream", BOOLEAN, TYPE),
        ("temperature", [*NUMBER, -0.1, 1.1], TYPE),
        ("top_p", [*NUMBER, -0.1, 1.1], TYPE),
        ("top_k", [*WHOLE, -1], TYPE),
        ("metadata", OBJECT, TYPE),
        ("service_tier", ["gold", 5], TYPE),
        ("tools", LIST, TYPE),
        ("tool_choice", OBJECT, TYPE),
        ("thinking", OBJECT, TYPE),
        ("output_config", OBJECT, TYPE),
        ("cache_control", OBJECT, TYPE),
    ],
    COUNT: [*MODEL, ("messages", [None, *LIST, []], TYPE), ("system", [5, {}], TYPE), ("tools", LIST, TYPE)],
}


@pytest.mark.parametrize("path", FIELDS)
async def test_fields(client: httpx.AsyncClient, path: str) -> None:
    """Every top-level field with every value it cannot have: the field is named, and what is wrong with it."""
    for field, values, code in FIELDS[path]:
        for value in values:
            await refused(client, path, SOUND[path] | {field: value}, field, code)


@pytest.mark.parametrize("path", SOUND)
async def test_missing_fields(client: httpx.AsyncClient, path: str) -> None:
    """A body that is no object, and one without a field that it must have."""
    for value in (None, True, 5, "text", [], [SOUND[path]]):
        await refused(client, path, value, None, TYPE)
    for field in SOUND[path]:
        body = {name: value for name, value in SOUND[path].items() if name != field}
        await refused(client, path, body, field, MISSING)


# Places within


def chat(*content: Any, **message: Any) -> JSON:
    """A user's message with these parts."""
    return {"messages": [{"role": "user", "content": list(content), **message}]}


def said(**message: Any) -> JSON:
    return {"messages": [{"role": "user", "content": "Hi"}, message]}


def function(name: Any = "f", **fields: Any) -> JSON:
    return {"type": "function", "function": {"name": name, **fields}}


def image(url: Any) -> JSON:
    return {"type": "image_url", "image_url": {"url": url}}


def block(**fields: Any) -> JSON:
    return {"messages": [{"role": "user", "content": [fields]}]}


def source(**fields: Any) -> JSON:
    return block(type="image", source=fields)


def schema(**fields: Any) -> JSON:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


TOOLS = {"tools": [function()]}
PLACES: Mapping[str, list[tuple[JSON, str, str]]] = {
    CHAT: [
        # messages
        ({"messages": [5]}, "messages[0]", TYPE),
        ({"messages": [None]}, "messages[0]", TYPE),
        ({"messages": [[]]}, "messages[0]", TYPE),
        ({"messages": [{}]}, "messages[0].role", MISSING),
        ({"messages": [{"role": "god", "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": "x" * 10_000, "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": "user"}]}, "messages[0].content", MISSING),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", TYPE),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", TYPE),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", TYPE),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", VALUE),
        ({"messages": [{"role": "user", "content": "x", "name": 5}]}, "messages[0].name", TYPE),
        ({"messages": [{"role": "system", "content": [image("https://x")]}]}, "messages[0].content[0].type", VALUE),
        ({"messages": [{"role": "user", "content": "x"}] * 3 + [5]}, "messages[3]", TYPE),
        # parts
        (chat("x"), "messages[0].content[0]", TYPE),
        (chat({}), "messages[0].content[0].type", MISSING),
        (chat({"type": "video"}), "messages[0].content[0].type", VALUE),
        (chat({"type": "x" * 10_000}), "messages[0].content[0].type", VALUE),
        (chat({"type": "text"}), "messages[0].content[0].text", MISSING),
        (chat({"type": "text", "text": 5}), "messages[0].content[0].text", TYPE),
        (chat({"type": "text", "text": "x"}, {"type": "text"}), "messages[0].content[1].text", MISSING),
        (chat({"type": "image_url", "image_url": "https://x"}), "messages[0].content[0].image_url", TYPE),
        (chat({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url", MISSING),
        (chat(image("file:///etc/passwd")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("gopher://x")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("data:image/png,hello")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("data:image/png;base64,")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("data:image/png;base64,!!!!")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("data:text/html;base64,AAAA")), "messages[0].content[0].image_url.url", VALUE),
        (chat(image("data:image/png;base64,AAAA\r\nX: 1")), "messages[0].content[0].image_url.url", VALUE),
        (
            chat({"type": "image_url", "image_url": {"url": "https://x", "detail": "max"}}),
            "messages[0].content[0].image_url.detail",
            VALUE,
        ),
        (
            chat({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "exe"}}),
            "messages[0].content[0].input_audio.format",
            VALUE,
        ),
        (chat({"type": "file", "file": {"file_id": 5}}), "messages[0].content[0].file.file_id", TYPE),
        # tools' messages
        (said(role="tool", content="x"), "messages[1].tool_call_id", MISSING),
        (said(role="tool", content="x", tool_call_id=None), "messages[1].tool_call_id", TYPE),
        (said(role="tool", content="x", tool_call_id=""), "messages[1].tool_call_id", VALUE),
        (said(role="tool", tool_call_id="a"), "messages[1].content", MISSING),
        (said(role="function", content="x"), "messages[1].name", MISSING),
        (said(role="assistant", tool_calls={}), "messages[1].tool_calls", TYPE),
        (said(role="assistant", tool_calls=["x"]), "messages[1].tool_calls[0]", TYPE),
        (said(role="assistant", tool_calls=[CALL]), "messages[1].tool_calls[0].id", MISSING),
        (said(role="assistant", tool_calls=[{"id": "a"}]), "messages[1].tool_calls[0].function", MISSING),
        (
            said(role="assistant", tool_calls=[{"id": "a", "type": "custom"}]),
            "messages[1].tool_calls[0].custom",
            MISSING,
        ),
        (
            said(role="assistant", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {}}}]),
            "messages[1].tool_calls[0].function.arguments",
            TYPE,
        ),
        # tools
        ({"tools": ["f"]}, "tools[0]", TYPE),
        ({"tools": [{}]}, "tools[0].type", MISSING),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type", VALUE),
        ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
        *(({"tools": [function(name)]}, "tools[0].function.name", VALUE) for name in ("", "a b", "a\r\nb", "x" * 65)),
        ({"tools": [function("naïve")]}, "tools[0].function.name", VALUE),
        ({"tools": [function(5)]}, "tools[0].function.name", TYPE),
        ({"tools": [function(parameters="x")]}, "tools[0].function.parameters", TYPE),
        ({"tools": [function(strict="yes")]}, "tools[0].function.strict", TYPE),
        ({"tool_choice": CALL}, "tool_choice", VALUE),
        (TOOLS | {"tool_choice": function("g")}, "tool_choice", VALUE),
        (TOOLS | {"tool_choice": {}}, "tool_choice.type", MISSING),
        (TOOLS | {"tool_choice": {"type": "function"}}, "tool_choice.function", MISSING),
        (
            TOOLS
            | {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [function("g")]},
                }
            },
            "tool_choice",
            VALUE,
        ),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call", VALUE),
        # the rest
        ({"response_format": {}}, "response_format.type", MISSING),
        ({"response_format": {"type": "xml"}}, "response_format.type", VALUE),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING),
        (schema(), "response_format.json_schema.name", MISSING),
        (schema(name="a b"), "response_format.json_schema.name", VALUE),
        (schema(name="a", schema="x"), "response_format.json_schema.schema", TYPE),
        (schema(name="a", schema=[]), "response_format.json_schema.schema", TYPE),
        (schema(name="a", schema={}, strict=1), "response_format.json_schema.strict", TYPE),
        ({"logit_bias": {"50256": 101}}, "logit_bias.50256", VALUE),
        ({"logit_bias": {"50256": -101}}, "logit_bias.50256", VALUE),
        ({"logit_bias": {"50256": "x"}}, "logit_bias.50256", TYPE),
        ({"logit_bias": {"a" + "y" * 10_000: True}}, "logit_bias.a" + "y" * 63, TYPE),
        ({"metadata": {"a": 5}}, "metadata.a", TYPE),
        ({"stop": ["a", 5]}, "stop[1]", TYPE),
        ({"stop": ["a", ""]}, "stop[1]", VALUE),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", TYPE),
        ({"modalities": ["smell"]}, "modalities[0]", VALUE),
    ],
    RESPONSES: [
        ({"input": [5]}, "input[0]", TYPE),
        ({"input": [{}]}, "input[0].id", MISSING),
        ({"input": [{"role": "god", "content": "x"}]}, "input[0].role", VALUE),
        ({"input": [{"role": "user"}]}, "input[0].content", MISSING),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content", TYPE),
        ({"input": [{"role": "user", "content": []}]}, "input[0].content", VALUE),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]", TYPE),
        ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "input[0].content[0].type", VALUE),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text", MISSING),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]", VALUE),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]", VALUE),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]}]},
            "input[0].content[0].image_url",
            VALUE,
        ),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id", MISSING),
        ({"input": [{"type": "function_call_output", "call_id": "a"}]}, "input[0].output", MISSING),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0].call_id", MISSING),
        ({"tools": [{}]}, "tools[0].type", MISSING),
        ({"tools": [5]}, "tools[0]", TYPE),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name", VALUE),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", VALUE),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", VALUE),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema", MISSING),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": 5}}}, "text.format.schema", TYPE),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", VALUE),
        ({"include": [5]}, "include[0]", TYPE),
    ],
    EMBEDDINGS: [
        ({"input": [""]}, "input[0]", VALUE),
        ({"input": ["a", 5]}, "input[1]", TYPE),
        ({"input": ["a", None]}, "input[1]", TYPE),
        ({"input": [1, "a"]}, "input[1]", TYPE),
        ({"input": [1, True]}, "input[1]", TYPE),
        ({"input": [1, 1.5]}, "input[1]", TYPE),
        ({"input": [-1]}, "input[0]", VALUE),
        ({"input": [[]]}, "input[0]", VALUE),
        ({"input": [[1], []]}, "input[1]", VALUE),
        ({"input": [[1], ["a"]]}, "input[1][0]", TYPE),
        ({"input": [[[1]]]}, "input[0][0]", TYPE),
        ({"input": [{}]}, "input[0]", TYPE),
    ],
    MESSAGES: [
        ({"messages": [5]}, "messages[0]", TYPE),
        ({"messages": [{}]}, "messages[0].role", MISSING),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": "x" * 10_000, "content": "x"}]}, "messages[0].role", VALUE),
        ({"messages": [{"role": "user"}]}, "messages[0].content", MISSING),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", TYPE),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]", TYPE),
        (block(), "messages[0].content[0].type", MISSING),
        (block(type="video"), "messages[0].content[0].type", VALUE),
        (block(type="x" * 10_000), "messages[0].content[0].type", VALUE),
        (block(type="text"), "messages[0].content[0].text", MISSING),
        (block(type="image"), "messages[0].content[0].source", MISSING),
        (source(), "messages[0].content[0].source.type", MISSING),
        (source(type="ftp"), "messages[0].content[0].source.type", VALUE),
        (source(type="url", url="file:///etc/passwd"), "messages[0].content[0].source.url", VALUE),
        (source(type="base64", media_type="text/html", data="AAAA"), "messages[0].content[0].source.media_type", VALUE),
        (source(type="base64", media_type="png", data="AAAA"), "messages[0].content[0].source.media_type", VALUE),
        (
            source(type="base64", media_type="image/png\r\nX: 1", data="AAAA"),
            "messages[0].content[0].source.media_type",
            VALUE,
        ),
        (source(type="base64", media_type="image/png", data="!!!!"), "messages[0].content[0].source.data", VALUE),
        (source(type="base64", media_type="image/png", data=""), "messages[0].content[0].source.data", VALUE),
        (block(type="tool_use", id="a", name="f"), "messages[0].content[0].input", MISSING),
        (block(type="tool_use", id="a", name="f", input="{}"), "messages[0].content[0].input", TYPE),
        (block(type="tool_result", content="x"), "messages[0].content[0].tool_use_id", MISSING),
        (block(type="tool_result", tool_use_id="a", content=5), "messages[0].content[0].content", TYPE),
        (
            block(type="tool_result", tool_use_id="a", content=[{"type": "video"}]),
            "messages[0].content[0].content[0].type",
            VALUE,
        ),
        (block(type="thinking", thinking="x", signature=5), "messages[0].content[0].signature", TYPE),
        ({"system": [{"type": "image"}]}, "system[0].type", VALUE),
        ({"tools": [{}]}, "tools[0].name", MISSING),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", MISSING),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name", VALUE),
        ({"tools": [{"name": "f", "input_schema": "x"}]}, "tools[0].input_schema", TYPE),
        ({"tools": [{"type": "Web Search", "name": "w"}]}, "tools[0].type", VALUE),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type", VALUE),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name", MISSING),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name", VALUE),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens", VALUE),
        ({"thinking": {"type": "hard"}}, "thinking.type", VALUE),
        ({"metadata": {"user_id": 5}}, "metadata.user_id", TYPE),
        ({"stop_sequences": ["a", 5]}, "stop_sequences[1]", TYPE),
        ({"output_config": {"effort": "huge"}}, "output_config.effort", VALUE),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema", MISSING),
    ],
    COUNT: [
        (block(type="video"), "messages[0].content[0].type", VALUE),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name", VALUE),
    ],
}


@pytest.mark.parametrize("path", PLACES)
async def test_places(client: httpx.AsyncClient, path: str) -> None:
    """Deep in a body, the exact place is named: fields and indices, no name of a branch or a class."""
    for fields, param, code in PLACES[path]:
        await refused(client, path, SOUND[path] | fields, param, code)


@pytest.mark.parametrize("path", SOUND)
async def test_where_a_request_goes_is_not_the_callers_to_say(client: httpx.AsyncClient, path: str) -> None:
    """Fields by which other gateways let callers choose addresses and keys are refused by name, whatever they hold."""
    for field in ("api_base", "base_url", "api_key", "headers", "extra_headers", "proxy", "api_type", "host"):
        for value in ("http://169.254.169.254/latest", {"Authorization": "Bearer x"}, None):
            await refused(client, path, SOUND[path] | {field: value}, field, "unsupported_parameter")


@pytest.mark.parametrize("path", SOUND)
async def test_json_that_is_not_strict(client: httpx.AsyncClient, path: str) -> None:
    """Malformed JSON is one sentence in the dialect of the route."""
    for body in REFUSED.values():
        await refused(client, path, body, None, None)


@pytest.mark.parametrize(
    "more",
    [b'"model":"n"', b'"stream":NaN', b'"n":1e999', b'"user":"\\ud800"', b'"user":"\\u0000"', b'"x":' + b"[" * 65],
    ids=["duplicate model", "NaN", "infinite", "surrogate", "NUL", "depth"],
)
async def test_sound_bodies_with_one_flaw(client: httpx.AsyncClient, more: bytes) -> None:
    """What would be taken but for one place that is not strict JSON."""
    more += b"]" * more.count(b"[")
    for path, body in SOUND.items():
        await refused(client, path, orjson.dumps(body)[:-1] + b"," + more + b"}", None, None)


# Size


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_a_million_wrong_items(client: httpx.AsyncClient, path: str) -> None:
    """However long a list of wrong items is, its first is told, at once; beyond half a million nothing is read."""
    field = b"input" if path == RESPONSES else b"messages"
    for item, number in product((b"0", b"[]", b'""', b"{}"), (9_000, 1_000_000)):
        items = b",".join([item] * number)
        body = b'{"model":"m","max_tokens":9,"%b":[%b]}' % (field, items)
        began = time.perf_counter()
        reply = await client.post(path, content=body, headers=JSON_TYPE)
        assert time.perf_counter() - began < LIMIT_S
        message, *_ = check(path, reply, 400)
        told = f"{field.decode()}[0]" if number < 500_000 else "the body has more than 500000 values"
        assert message.startswith(told)


@pytest.mark.parametrize("path", SOUND)
async def test_large_bodies(client: httpx.AsyncClient, path: str) -> None:
    """413 in the route's dialect, with a declared length before a byte is sent, and in pieces without."""
    size = (2 if path == EMBEDDINGS else 21) * 1024 * 1024
    declared = [f"Content-Length: {size}"], (b"{",)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    # What is sent beyond the limit fits into what the server has read already: it may close at once.
    chunked = ["Transfer-Encoding: chunked"], [chunk] * ((size // 65536) - 15)
    for headers, parts in (declared, chunked):
        if path == EMBEDDINGS and headers == declared[0]:
            parts = (b" " * (1024 * 1024 + 1),)
        head = request("Content-Type: application/json", *headers, target=path)
        answer = await raw(str(client.base_url), head, *parts)
        status, _, rest = answer.partition(b"\r\n")
        fields, _, body = rest.partition(b"\r\n\r\n")
        assert status == b"HTTP/1.1 413 Request Entity Too Large"
        assert b"connection: close" in fields.lower()
        reply = httpx.Response(413, content=body, headers={"Content-Type": "application/json"})
        message, param, code = check(path, reply, 413)
        assert message.startswith("the body is larger than")
        if path in ANTHROPIC:
            assert reply.json()["error"]["type"] == "request_too_large"
        else:
            assert (param, code) == (None, "body_too_large")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "demo"} | chat(image("data:image/png;base64,DATA"))),
        (
            RESPONSES,
            {
                "model": "demo",
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png;base64,DATA"}],
                    }
                ],
            },
        ),
        (
            MESSAGES,
            {"model": "demo", "max_tokens": 9} | source(type="base64", media_type="image/png", data="DATA"),
        ),
    ],
    ids=[CHAT, RESPONSES, MESSAGES],
)
async def test_a_large_image(gateway: Start, record_property: Any, path: str, body: JSON) -> None:
    """Five megabytes are taken, and nobody else waits long for them (measured: 0.04 s at the gateway)."""
    client = await gateway()
    sent = orjson.dumps(body).replace(b"DATA", b"A" * 5 * 1024 * 1024)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    beating = asyncio.create_task(beat())
    reply = await client.post(path, content=sent, headers=JSON_TYPE)
    beating.cancel()
    assert reply.status_code == 200, reply.text
    # Client, gateway and demo share this loop.
    record_property("event loop held, ms", round(longest * 1000, 1))
    assert longest < 0.3


# HTTP


@pytest.mark.parametrize("path", SOUND)
async def test_methods(client: httpx.AsyncClient, path: str) -> None:
    """405 with the one method there is, before the key is asked for."""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        for key in (CLIENT_KEY, "no-such-key"):
            reply = await client.request(method, path, headers={"X-API-Key": key})
            check(path, reply, 405)
            assert reply.headers["allow"] == "POST"


CODED = {**JSON_TYPE, "Content-Encoding": "gzip"}
MEDIA_TYPES = (
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
    *("application/json; charset=utf-16", "application/jsonp", ""),
)


@pytest.mark.parametrize("path", SOUND)
async def test_media_types(client: httpx.AsyncClient, path: str) -> None:
    """415 in the route's dialect for all but plain JSON."""
    for headers in (*({"Content-Type": media_type} for media_type in MEDIA_TYPES), {}, CODED):
        reply = await client.post(path, content=orjson.dumps(SOUND[path]), headers=headers)
        _, param, code = check(path, reply, 415)
        assert path in ANTHROPIC or (param, code) == (None, "unsupported_media_type")


@pytest.mark.parametrize("path", SOUND)
async def test_keys(client: httpx.AsyncClient, path: str) -> None:
    """No key and a wrong one are told apart by nobody; what the body holds makes no difference."""
    bodies = [orjson.dumps(SOUND[path]), b"{", b""]
    replies = [
        await client.post(path, content=body, headers={**JSON_TYPE, "X-API-Key": key})
        for body in bodies
        for key in ("", "x", CLIENT_KEY + "x")
    ]
    assert {reply.status_code for reply in replies} == {401}
    assert len({reply.content.replace(reply.headers["x-request-id"].encode(), b"") for reply in replies}) == 1
    error = replies[0].json()["error"]
    assert error["type"] == ("authentication_error" if path in ANTHROPIC else "invalid_request_error")


async def test_unknown_models(gateway: Start) -> None:
    """404 for what is no model, however it is spelt; no echo."""
    client = await gateway()
    spelt = (
        "nothing",
        "a/b/c",
        "m" * 10_000,
        "%0d%0aX:1",
        "%00",
        "mod%C3%A8le",
        "..",
        "a%2f..%2fb",
        "%ff",
        "a%20b",
        "|",
    )
    for id in spelt:
        # As it is: URLs are put in order by the client.
        reply = await client.get("/", extensions={"target": f"/v1/models/{id}".encode()})
        check("/v1/models", reply, 404, id.encode())
