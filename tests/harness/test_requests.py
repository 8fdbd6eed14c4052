"""What each vendor takes and what it refuses: tools, parts, formats and the rest of a request."""

from typing import Any

import pytest

from tests.harness.vendors import ANTHROPIC_HEADERS, OLLAMA, VENDORS, Client, Json, openai
from tests.upstream import Upstream, Verdict, signature

DATA = "aGVsbG8="
OBJECT: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
STRICT: Json = {**OBJECT, "required": ["city"], "additionalProperties": False}
HELLO: Json = {"role": "user", "content": "hello"}


def user(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": list(parts)}]


def function(name: str = "get_weather", parameters: Json = OBJECT, **more: object) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def called(*ids: str, **more: object) -> Json:
    calls = [{"id": one, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": [{**call, **more} for call in calls]}


def result(id: str) -> Json:
    return {"role": "tool", "tool_call_id": id, "content": "sunny"}


def image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def json_schema(schema: Json = STRICT, **more: object) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema, **more}}


OPENAI_TAKES: dict[str, Json] = {
    "tools": {"tools": [function()], "tool_choice": "required", "parallel_tool_calls": False},
    "strict tool": {"tools": [function(parameters=STRICT, strict=True, description="x")]},
    "named tool": {
        "tools": [function()],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
    "custom tool": {
        "tools": [{"type": "custom", "custom": {"name": "run"}}],
        "tool_choice": {"type": "custom", "custom": {"name": "run"}},
    },
    "results in any order": {
        "messages": [HELLO, called("a", "b"), result("b"), result("a"), HELLO],
    },
    "old functions": {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
    "parts": {
        "messages": user(
            {"type": "text", "text": "what is this?"},
            image("https://example.com/cat.png"),
            image(f"data:image/png;base64,{DATA}"),
            {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        )
    },
    "text parts": {
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
            {**HELLO, "name": "ann"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            HELLO,
        ]
    },
    "json_schema": {"response_format": json_schema(strict=True)},
    "loose json_schema": {"response_format": json_schema(OBJECT)},
    "json_object": {"response_format": {"type": "json_object"}, "messages": [{**HELLO, "content": "in JSON, please"}]},
    "the rest": {
        "audio": None,
        "frequency_penalty": -2,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "metadata": {"k": "v"},
        "modalities": ["text"],
        "n": 128,
        "prediction": {"type": "content", "content": "x"},
        "presence_penalty": 2,
        "prompt_cache_key": "k",
        "reasoning_effort": "xhigh",
        "safety_identifier": "u" * 64,
        "seed": -(2**63),
        "service_tier": "flex",
        "stop": ["a", "b", "c", "d"],
        "store": False,
        "temperature": None,
        "top_logprobs": 20,
        "top_p": 0,
        "user": "u",
        "verbosity": "low",
        "web_search_options": {},
    },
}
OPENAI_REFUSES: list[tuple[Json, str]] = [
    # Tools
    ({"tools": []}, "'tools'"),
    ({"tools": None}, "'tools'"),
    ({"tools": [function("get weather")]}, "'tools[0].function.name'"),
    ({"tools": [function("g" * 65)]}, "'tools[0].function.name'"),
    ({"tools": [{"type": "function", "function": {}}]}, "Missing required parameter: 'tools[0].function.name'"),
    ({"tools": [{"type": "retrieval"}]}, "'tools[0].type'"),
    ({"tools": [function(parameters={"type": "string"})]}, "Invalid schema for function 'get_weather'"),
    ({"tools": [function(parameters=OBJECT, strict=True)]}, "'additionalProperties' is required"),
    ({"tools": [function(parameters={**STRICT, "required": []}, strict=True)]}, "'required' is required"),
    ({"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified"),
    ({"parallel_tool_calls": True}, "'parallel_tool_calls' is only allowed when 'tools' are specified"),
    ({"tools": [function()], "tool_choice": "any"}, "'tool_choice'"),
    ({"tools": [function()], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "'x' not found"),
    # Tool messages
    ({"messages": [HELLO, result("a")]}, "must be a response to a preceeding message"),
    ({"messages": [HELLO, called("a"), result("b")]}, "must be a response to a preceeding message"),
    ({"messages": [HELLO, called("a"), result("a"), result("a")]}, "must be a response to a preceeding message"),
    ({"messages": [HELLO, called("a"), HELLO, result("a")]}, "did not have response messages: a"),
    ({"messages": [HELLO, called("a", "b"), result("a")]}, "did not have response messages: b"),
    ({"messages": [HELLO, called("a")]}, "did not have response messages: a"),
    ({"messages": [HELLO, called("a", "a"), result("a")]}, "Duplicate"),
    ({"messages": [HELLO, called()]}, "'messages[1].tool_calls'"),
    ({"messages": [HELLO, called("a", index=0), result("a")]}, "Unknown parameter: 'messages[1].tool_calls[0].index'"),
    ({"messages": [HELLO, called("a", extra_content={"google": {}}), result("a")]}, "tool_calls[0].extra_content"),
    ({"messages": [HELLO, {"role": "tool", "content": "x"}]}, "'messages[1].tool_call_id'"),
    ({"messages": [HELLO, {"role": "assistant", "content": None}]}, "'messages[1].content'"),
    ({"messages": [{**HELLO, "reasoning_content": "x"}]}, "Unknown parameter: 'messages[0].reasoning_content'"),
    # Parts
    ({"messages": user()}, "'messages[0].content'"),
    ({"messages": user({"type": "video", "text": "x"})}, "'messages[0].content[0].type'"),
    ({"messages": user({"type": "text"})}, "'messages[0].content[0].text'"),
    ({"messages": user(image("data:image/png;base64,###"))}, "Invalid base64 image_url"),
    ({"messages": user(image(f"data:image/png,{DATA}"))}, "image_url.url'"),
    ({"messages": user(image(f"data:image/tiff;base64,{DATA}"))}, "unsupported image"),
    ({"messages": user(image("ftp://example.com/cat.png"))}, "image_url.url'"),
    ({"messages": user({"type": "image_url", "image_url": "https://example.com"})}, "image_url'"),
    ({"messages": user({"type": "input_audio", "input_audio": {"data": DATA, "format": "ogg"}})}, "format'"),
    ({"messages": user({"type": "input_audio", "input_audio": {"data": "#", "format": "wav"}})}, "data'"),
    ({"messages": user({"type": "file", "file": {}})}, "file.file_id'"),
    ({"messages": user({"type": "file", "file": {"file_data": DATA}})}, "file.file_data'"),
    ({"messages": [{"role": "system", "content": [image("https://example.com/x")]}]}, "'messages[0].content[0]"),
    # Formats
    ({"response_format": {"type": "json"}}, "'response_format.type'"),
    ({"response_format": {"type": "json_schema"}}, "'response_format.json_schema'"),
    ({"response_format": json_schema(OBJECT, strict=True)}, "'additionalProperties' is required"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    # The rest
    ({"n": 129}, "'n'"),
    ({"n": "2"}, "'n'"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "'stop'"),
    ({"model": "o3", "stop": "x"}, "unsupported_parameter"),
    ({"model": "gpt-4o", "reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort"),
    ({"reasoning_effort": "extreme"}, "'reasoning_effort'"),
    ({"top_logprobs": 2}, "'top_logprobs'"),
    ({"logprobs": True, "top_logprobs": 21}, "'top_logprobs'"),
    ({"logit_bias": {"1": 101}}, "'logit_bias.1'"),
    ({"seed": 2**63}, "'seed'"),
    ({"metadata": {"k" * 65: "v"}}, "'metadata"),
    ({"metadata": {"k": 1}}, "'metadata.k'"),
    ({"metadata": {str(n): "v" for n in range(17)}}, "'metadata'"),
    ({"safety_identifier": "u" * 65}, "'safety_identifier'"),
    ({"service_tier": "gold"}, "'service_tier'"),
    ({"verbosity": "loud"}, "'verbosity'"),
    ({"presence_penalty": 2.1}, "'presence_penalty'"),
    ({"temperature": "1"}, "'temperature'"),
    ({"stream": "yes"}, "'stream'"),
    ({"stream": True, "stream_options": {"usage": True}}, "Unknown parameter: 'stream_options.usage'"),
]


@pytest.mark.parametrize("changes", OPENAI_TAKES.values(), ids=OPENAI_TAKES.keys())
async def test_openai_takes(up: Upstream, client: Client, changes: Json) -> None:
    """OpenAI takes every field of its specification, and a test finds it as it was sent."""
    response = await client.ask(VENDORS["openai"], **changes)
    assert response.status_code == 200, response.text
    assert up.chats[0].json == {**VENDORS["openai"].body, **changes}


@pytest.mark.parametrize(("changes", "said"), OPENAI_REFUSES)
async def test_openai_refuses(up: Upstream, client: Client, changes: Json, said: str) -> None:
    """What its specification or the API itself forbids is refused, and the place named."""
    response = await client.ask(VENDORS["openai"], **changes)
    assert response.status_code == 400
    error = response.json()["error"]
    assert said in f"{error['message']} {error['code']}"
    assert error["type"] == "invalid_request_error"
    assert len(up.refused) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": 2}, "'n'"),
        ({"logprobs": True}, "'logprobs' is not supported"),
        ({"presence_penalty": 0.5}, "'presence_penalty' is not supported"),
        ({"messages": [{**HELLO, "name": "ann"}]}, "'name' is unsupported"),
        ({"reasoning_effort": "minimal"}, "'reasoning_effort'"),
        ({"service_tier": "priority"}, "'service_tier'"),
        ({"messages": user({"type": "file", "file": {"file_id": "f"}})}, "allowed types"),
        ({"surprise": 1}, "surprise"),
        ({"messages": [HELLO, called("a")]}, "did not have response messages"),
    ],
)
async def test_groq_refuses(client: Client, changes: Json, said: str) -> None:
    """Groq does not support some of OpenAI's fields and has other words for others."""
    response = await client.ask(VENDORS["groq"], **changes)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]


async def test_lenient_hosts(client: Client) -> None:
    """OpenRouter and Ollama pass over what they do not know, but not what breaks a conversation."""
    changes = {"provider": {"order": ["x"]}, "messages": [{**HELLO, "cache_control": {"type": "ephemeral"}}]}
    for vendor in (VENDORS["openrouter"], OLLAMA):
        assert (await client.ask(vendor, **changes)).status_code == 200
        assert (await client.ask(vendor, messages=[HELLO, result("a")])).status_code == 400
    groq = {"reasoning_effort": "default", "service_tier": "on_demand", "reasoning_format": "parsed"}
    assert (await client.ask(VENDORS["groq"], **groq)).status_code == 200


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "missing a thought_signature"),
        ({"extra_content": {"google": {"thought_signature": "Zm9v"}}}, "Thought signature is not valid"),
        ({"extra_content": {"google": {"thought_signature": signature("get_weather")}}}, None),
        ({"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}, None),
    ],
)
async def test_google_compatible_signatures(client: Client, more: Json, said: str | None) -> None:
    """Google's compatible endpoint wants the signature back where it put it, for Gemini 3 and the current turn only."""
    vendor = openai("/v1beta/openai/chat/completions")
    turn = [HELLO, called("a", **more), result("a")]
    new = await client.ask(vendor, model="gemini-3.5-flash", messages=turn)
    old = await client.ask(vendor, model="gemini-2.5-flash", messages=turn)
    past = await client.ask(vendor, model="gemini-3.5-flash", messages=[*turn, HELLO])
    assert (new.status_code, old.status_code) == (400 if said else 200, 200)
    assert past.status_code == 200
    if said:
        assert said in new.json()[0]["error"]["message"]
    unknown = await client.ask(vendor, surprise=1)
    assert 'Unknown name "surprise": Cannot find field' in unknown.json()[0]["error"]["message"]


# Gemini.


def content(role: str, *parts: Json) -> Json:
    return {"role": role, "parts": list(parts)}


def call(name: str = "f", **more: object) -> Json:
    return {"functionCall": {"name": name, "args": {}}, **more}


def response(name: str = "f", **more: object) -> Json:
    return {"functionResponse": {"name": name, "response": {"output": 1}, **more}}


ASK: Json = content("user", {"text": "hello"})
DECLARED: Json = {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}


def config(**fields: object) -> Json:
    return {"generationConfig": fields}


def calling(**fields: object) -> Json:
    return {"tools": [DECLARED], "toolConfig": {"functionCallingConfig": fields}}


GEMINI_TAKES: dict[str, Json] = {
    "tools": calling(mode="ANY", allowedFunctionNames=["f"]),
    "snake case": {
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"$ref": "#"}}]}],
        "tool_config": {"function_calling_config": {"mode": "AUTO"}},
    },
    "results": {
        "contents": [ASK, content("model", call("f"), call("g")), content("user", response("g"), response("f"))]
    },
    "ids": {
        "contents": [
            ASK,
            content("model", {"functionCall": {"id": "1", "name": "f"}}),
            content("user", response("f", id="1")),
        ]
    },
    "media": {
        "contents": [
            content(
                "user",
                {"inlineData": {"mimeType": "image/png", "data": DATA}},
                {"inline_data": {"mime_type": "audio/wav", "data": "-_-_"}},
                {"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}},
            )
        ]
    },
    "schemas": config(responseMimeType="application/json", responseJsonSchema={"$ref": "#"}),
    "the rest": {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "labels": {"a": "b"},
        **config(
            temperature=0,
            topP=1,
            topK=40,
            seed=7,
            presencePenalty=1,
            responseLogprobs=True,
            logprobs=3,
            thinkingConfig={"includeThoughts": True, "thinking_budget": -1},
            responseModalities=["TEXT"],
        ),
    },
}
GEMINI_REFUSES: list[tuple[Json, str]] = [
    # Fields
    ({"contents": [content("user", {"text": "x", "surprise": 1})]}, 'Unknown name "contents[0].parts[0].surprise"'),
    ({"tools": [{"functions": []}]}, 'Unknown name "tools[0].functions"'),
    (config(temperature="1"), "generation_config.temperature"),
    (config(topP=1.5), "generation_config.top_p"),
    (config(stopSequences=["x"] * 6), "generation_config.stop_sequences"),
    (config(candidateCount=9), "generation_config.candidate_count"),
    (config(logprobs=3), "response_logprobs"),
    # Parts
    ({"contents": [content("user")]}, "parts must not be empty"),
    ({"contents": [content("user", {})]}, "must have one initialized field"),
    ({"contents": [content("user", {"text": ""})]}, "must have one initialized field"),
    ({"contents": [content("user", {"text": "x", "fileData": {"fileUri": "x"}})]}, "already set"),
    ({"contents": [content("user", {"inlineData": {"mimeType": "image/png", "data": "#"}})]}, "Base64 decoding failed"),
    ({"contents": [content("user", {"inlineData": {"mimeType": "image/gif", "data": DATA}})]}, "Unsupported MIME type"),
    ({"contents": [content("user", {"inlineData": {"data": DATA}})]}, "mime_type"),
    ({"contents": [content("user", {"fileData": {"fileUri": ""}})]}, "file_uri"),
    ({"systemInstruction": {"parts": []}}, "parts must not be empty"),
    ({"systemInstruction": "be brief"}, "system_instruction"),
    # Turns
    ({"contents": [ASK, content("model", call(), call()), content("user", response())]}, "number of function response"),
    ({"contents": [ASK, content("model", call()), ASK]}, "number of function response parts is equal"),
    ({"contents": [ASK, content("user", response())]}, "number of function response parts is equal"),
    ({"contents": [ASK, content("model", call())]}, "followed by a function response turn"),
    ({"contents": [ASK, content("model", call("f")), content("user", response("g"))]}, "no function_response answers"),
    (
        {
            "contents": [
                ASK,
                content("model", {"functionCall": {"id": "1", "name": "f"}}),
                content("user", response("f", id="2")),
            ]
        },
        "no function_response answers",
    ),
    ({"contents": [content("user", call()), content("user", response())]}, "function call turn comes immediately"),
    ({"contents": [content("model", call()), content("user", response())]}, "function call turn comes immediately"),
    ({"contents": [ASK, content("model", call()), content("model", response())]}, "function response turn comes"),
    # Tools
    ({"tools": [DECLARED, DECLARED]}, "Duplicate function declaration found: f"),
    ({"tools": [{"functionDeclarations": [{"name": "1f"}]}]}, "function_declarations[0].name"),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "$ref": "#"}}]}]},
        "parameters.$ref",
    ),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"additionalProperties": False}}]}]},
        "parameters.additional_properties",
    ),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {}, "parametersJsonSchema": {}}]}]},
        "must not both be set",
    ),
    (calling(mode="AUTO", allowedFunctionNames=["f"]), "should only be set when"),
    (calling(mode="ANY", allowedFunctionNames=["g"]), "'g' is not declared"),
    (calling(mode="SOME"), "function_calling_config.mode"),
    ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
    # Formats and thinking
    ({"tools": [DECLARED], **config(responseMimeType="application/json")}, "response mime type"),
    (config(responseSchema={"type": "OBJECT"}), "response_mime_type"),
    (config(responseMimeType="application/json", responseSchema={}, responseJsonSchema={}), "must not both be set"),
    (config(responseMimeType="text/html"), "generation_config.response_mime_type"),
    (config(responseMimeType="application/json", responseSchema={"type": "date"}), "response_schema.type"),
    (config(thinkingConfig={"thinkingBudget": 0, "thinkingLevel": "LOW"}), "only set only one of"),
    (config(thinkingConfig={"thinkingLevel": "low"}), "thinking_level"),
    ({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}] * 2}, "no more than one"),
    ({"safetySettings": [{"category": "HARM_CATEGORY_FUN", "threshold": "OFF"}]}, "safety_settings[0].category"),
]


@pytest.mark.parametrize("changes", GEMINI_TAKES.values(), ids=GEMINI_TAKES.keys())
async def test_gemini_takes(up: Upstream, client: Client, changes: Json) -> None:
    """Gemini takes every field of its reference, in camel or snake case."""
    response = await client.ask(VENDORS["gemini"], **changes)
    assert response.status_code == 200, response.text
    assert up.chats[0].json == {**VENDORS["gemini"].body, **changes}


@pytest.mark.parametrize(("changes", "said"), GEMINI_REFUSES)
async def test_gemini_refuses(client: Client, changes: Json, said: str) -> None:
    """What Google refuses is INVALID_ARGUMENT, and the place named in snake case."""
    response = await client.ask(VENDORS["gemini"], **changes)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert said in error["message"]


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([call()], "Function call is missing a thought_signature in functionCall parts"),
        ([call(thoughtSignature="Zm9v")], "Thought signature is not valid"),
        ([call(), call(thoughtSignature=signature("f"))], "missing a thought_signature"),
        ([call(thoughtSignature=signature("f")), call()], None),
        ([call(thought_signature="skip_thought_signature_validator")], None),
        ([call(thoughtSignature="c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=")], None),
    ],
)
async def test_gemini_signatures(client: Client, calls: list[Json], said: str | None) -> None:
    """Gemini 3 wants the signature of the first call of each step back, or the documented dummy; 2.5 wants none."""
    contents = [ASK, content("model", *calls), content("user", *[response() for _ in calls])]
    path = "/v1beta/models/{}:generateContent"
    answers = [
        await client.http.post(path.format(model), headers=VENDORS["gemini"].headers, json={"contents": turns})
        for model, turns in (
            ("gemini-3.5-flash", contents),
            ("gemini-2.5-flash", contents),
            ("gemini-3.5-flash", [*contents, content("model", {"text": "done"}), ASK]),
        )
    ]
    assert [answer.status_code for answer in answers] == [400 if said else 200, 200, 200]
    assert (said or "") in answers[0].text


async def test_gemini_versions(client: Client) -> None:
    """Gemini 3 takes a thinking level and calls functions beside JSON; older models do neither."""
    bodies = (
        config(thinkingConfig={"thinkingLevel": "LOW"}),
        {"tools": [DECLARED], **config(responseMimeType="application/json")},
    )
    for body in bodies:
        for model, status in (("gemini-3.5-flash", 200), ("gemini-2.5-flash", 400)):
            path = f"/v1/models/{model}:generateContent"
            json = {**VENDORS["gemini"].body, **body}
            assert (await client.http.post(path, headers=VENDORS["gemini"].headers, json=json)).status_code == status


async def test_gemini_schema_is_chat(up: Upstream, client: Client) -> None:
    """Only a schema of all five categories asks for a verdict; any other is a chat."""
    up.default_verdict = Verdict(hate=0.9)
    properties = {name: {"type": "NUMBER"} for name in ("sexual", "hate", "harassment", "dangerous")}
    for more, kind in (({}, "chat"), ({"civic": {"type": "NUMBER"}}, "verdict")):
        schema = {"type": "OBJECT", "properties": {**properties, **more}}
        asked = config(responseMimeType="application/json", responseSchema=schema)
        assert (await client.ask(VENDORS["gemini"], **asked)).status_code == 200
        assert up.requests[-1].kind == kind


# Anthropic.


def use(id: str = "toolu_1", **more: object) -> Json:
    return {"type": "tool_use", "id": id, "name": "f", "input": {}, **more}


def used(id: str = "toolu_1", **more: object) -> Json:
    return {"type": "tool_result", "tool_use_id": id, **more}


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def source(block: str, **fields: object) -> list[Json]:
    return user({"type": block, "source": fields})


TEXT: Json = {"type": "text", "text": "x"}
TOOL: Json = {"name": "f", "input_schema": {"type": "object"}}
THOUGHT: Json = {"type": "thinking", "thinking": "hm", "signature": signature("hm")}
THINKING: Json = {"type": "enabled", "budget_tokens": 1024}
ANTHROPIC_TAKES: dict[str, Json] = {
    "tools": {
        "tools": [
            {**TOOL, "description": "x", "type": "custom", "strict": False, "cache_control": {"type": "ephemeral"}}
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    },
    "server tool": {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
    "strict tool": {"tools": [{"name": "f", "input_schema": STRICT, "strict": True}]},
    # Since February 2025 tool blocks need no tools beside them.
    "results": {
        "messages": [
            HELLO,
            said(TEXT, use("a"), use("b")),
            *user(used("b"), used("a", content="x", is_error=True), TEXT),
        ]
    },
    "results in two turns": {"messages": [HELLO, said(use("a"), use("b")), *user(used("a")), *user(used("b"))]},
    "result blocks": {
        "messages": [
            HELLO,
            said(use()),
            *user(used(content=[TEXT, {"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}])),
        ]
    },
    "repeated roles": {"messages": [HELLO, HELLO, said(TEXT), said(TEXT), HELLO]},
    "image": {"messages": source("image", type="base64", media_type="image/png", data=DATA)},
    "image by url": {"messages": source("image", type="url", url="https://example.com/cat.png")},
    "document": {"messages": source("document", type="base64", media_type="application/pdf", data=DATA)},
    "text document": {"messages": source("document", type="text", media_type="text/plain", data="x")},
    "system": {"system": [{**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    "format": {"output_config": {"effort": "max", "format": {"type": "json_schema", "schema": STRICT}}},
    "thinking": {
        "max_tokens": 2000,
        "thinking": THINKING,
        "temperature": 1,
        "messages": [HELLO, said(THOUGHT, use()), *user(used())],
    },
    "adaptive": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    "the rest": {
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "stop_sequences": ["x"],
        "temperature": 0,
        "top_k": 5,
        "top_p": 0.5,
        "cache_control": {"type": "ephemeral"},
    },
}
ANTHROPIC_REFUSES: list[tuple[Json, str]] = [
    # Turns
    ({"messages": [HELLO, said(use()), HELLO]}, "`tool_use` ids were found without `tool_result` blocks"),
    ({"messages": [HELLO, said(use())]}, "`tool_use` ids were found without `tool_result` blocks"),
    ({"messages": [HELLO, said(use("a"), use("b")), *user(used("a"))]}, "immediately after: b."),
    ({"messages": [HELLO, said(use()), *user(TEXT, used())]}, "`tool_use` ids were found without"),
    ({"messages": [HELLO, said(use()), *user(used(), used())]}, "must have a single result"),
    ({"messages": user(used())}, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    ({"messages": [HELLO, said(use("a"), use("a")), *user(used("a"))]}, "ids must be unique"),
    ({"messages": user(use())}, "can only be in `assistant` messages"),
    ({"messages": [HELLO, said(used())]}, "can only be in `user` messages"),
    ({"messages": [HELLO, said(use("a b")), *user(used("a b"))]}, "messages.1.content.0.tool_use.id"),
    ({"messages": [HELLO, said(use(input="{}")), *user(used())]}, "messages.1.content.0.tool_use.input"),
    # Blocks
    ({"messages": user({"type": "text", "text": ""})}, "text content blocks must be non-empty"),
    ({"messages": user({"type": "text", "text": " "})}, "non-whitespace"),
    ({"messages": user({"type": "text"})}, "messages.0.content.0.text.text: Field required"),
    ({"messages": user({"type": "video"})}, "does not match any of the expected tags"),
    ({"messages": user({**TEXT, "surprise": 1})}, "messages.0.content.0.text.surprise: Extra inputs are not permitted"),
    ({"messages": [{**HELLO, "name": "ann"}]}, "messages.0.name: Extra inputs are not permitted"),
    ({"messages": [HELLO, said(use()), *user(used(content=[{"type": "text", "text": ""}]))]}, "non-empty"),
    ({"messages": source("image", type="base64", media_type="image/tiff", data=DATA)}, "media_type"),
    ({"messages": source("image", type="base64", media_type="image/png", data="#")}, "invalid base64 data"),
    ({"messages": source("image", type="url", url="data:image/png;base64,")}, "image.source.url.url"),
    ({"messages": source("document", type="base64", media_type="image/png", data=DATA)}, "media_type"),
    ({"messages": [HELLO, said(*source("image", type="url", url="https://x.y")[0]["content"])]}, "not permitted in"),
    ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks"),
    # Tools
    ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
    ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice"),
    ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [{**TOOL, "name": "get weather"}]}, "tools.0.custom.name"),
    ({"tools": [{"name": "f", "input_schema": OBJECT, "strict": True}]}, "'additionalProperties' must be explicitly"),
    ({"tools": [{"type": "function", "function": TOOL}]}, "tools.0"),
    # Thinking and formats
    ({"max_tokens": 1024, "thinking": THINKING}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ({"thinking": {**THINKING, "budget_tokens": 1023}}, "thinking.enabled.budget_tokens"),
    ({"max_tokens": 2000, "thinking": THINKING, "temperature": 0.5}, "`temperature` may only be set to 1"),
    ({"max_tokens": 2000, "thinking": THINKING, "top_k": 5}, "`top_k` must be unset"),
    ({"max_tokens": 2000, "thinking": THINKING, "top_p": 0.5}, "`top_p` must be greater"),
    (
        {"max_tokens": 2000, "thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    (
        {"max_tokens": 2000, "thinking": THINKING, "messages": [HELLO, said(use()), *user(used())]},
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    ({"messages": [HELLO, said({**THOUGHT, "signature": "x"}), HELLO]}, "Invalid `signature` in `thinking` block"),
    ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "json_schema", "schema": OBJECT}}}, "must be explicitly set to false"),
    (
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {**STRICT, "properties": {"city": {"type": "integer", "minimum": 1}}},
                }
            }
        },
        "properties minimum are not supported",
    ),
    # The rest
    ({"stop_sequences": [" "]}, "non-whitespace"),
    ({"metadata": {"user": "u"}}, "metadata.user: Extra inputs are not permitted"),
    ({"metadata": {"user_id": "u" * 257}}, "metadata.user_id"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"top_p": 1.5}, "top_p"),
    ({"stream": None}, "stream"),
    ({"n": 2}, "n: Extra inputs are not permitted"),
]


@pytest.mark.parametrize("changes", ANTHROPIC_TAKES.values(), ids=ANTHROPIC_TAKES.keys())
async def test_anthropic_takes(up: Upstream, client: Client, changes: Json) -> None:
    """Anthropic takes every field of its SDK."""
    response = await client.ask(VENDORS["anthropic"], **changes)
    assert response.status_code == 200, response.text
    assert up.chats[0].json == {**VENDORS["anthropic"].body, **changes}


@pytest.mark.parametrize(("changes", "said"), ANTHROPIC_REFUSES)
async def test_anthropic_refuses(client: Client, changes: Json, said: str) -> None:
    """What Anthropic refuses is an invalid_request_error, and the place named with its dots."""
    response = await client.ask(VENDORS["anthropic"], **changes)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert said in error["message"]


async def test_anthropic_new_version(client: Client) -> None:
    """2026-10-21 refuses documents of the assistant's and citations of the user's; 2023-06-01 takes them."""
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    cited: dict[str, Any] = {**TEXT, "citations": [{"type": "char_location"}]}
    for messages in ([HELLO, said(document), HELLO], user(cited)):
        for version, status in (("2023-06-01", 200), ("2026-10-21", 400)):
            headers = {**ANTHROPIC_HEADERS, "anthropic-version": version}
            body = {**VENDORS["anthropic"].body, "messages": messages}
            assert (await client.http.post("/v1/messages", headers=headers, json=body)).status_code == status
