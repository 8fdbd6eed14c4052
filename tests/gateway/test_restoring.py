"""Masked values come back wherever a model writes a placeholder, whole and in chunks cut anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.restoring import Restoring
from providers.base import Target
from providers.cascade import Answer
from providers.chat import Choice, Chunk, Completion, Thinking, ToolCall, ToolCallPiece
from providers.openai_compatible import OpenAICompatible
from tests import upstream as fake
from tests.gateway.conftest import Start, events
from tests.upstream import RawStream, SplitBytes, ToolCalls, Upstream

Json = dict[str, Any]

MASKED = {
    "[EMAIL_1]": "ada@example.org",
    "[EMAIL_11]": '"ada \\ \n"@example.org',
    "[API_KEY_1]": "sk-[EMAIL_1]",
    "[IBAN_1]": "",
}
"""With what JSON must escape, with what looks like another placeholder, and with nothing."""
TARGET = Target("s", "m", OpenAICompatible(), "http://127.0.0.1:1")


def restored(text: str, originals: Mapping[str, str] = MASKED) -> str:
    """By one pass from left to right, as a reader would."""
    done = ""
    while text:
        found = next((placeholder for placeholder in originals if text.startswith(placeholder)), None)
        done += text[0] if found is None else originals[found]
        text = text[1 if found is None else len(found) :]
    return done


TEXTS = st.lists(
    st.sampled_from([*MASKED, "[EMAIL_2]", "[EMAIL_1", "[[", "]", "[", "EMAIL_1]", "[email_1]", "a", " ", "é"]),
    max_size=8,
).map("".join)


def cut(text: str, places: Sequence[int]) -> list[str]:
    """In pieces, at these places, some of them empty."""
    ends = [*sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


CUTS = st.lists(st.integers(0, 200), max_size=12)


def joined(chunks: Sequence[Chunk]) -> tuple[str, str, dict[int, str]]:
    """Text, thoughts and the arguments of each call, as a client puts them together."""
    arguments: dict[int, str] = {}
    for chunk in chunks:
        for piece in chunk.tool_calls:
            arguments[piece.index] = arguments.get(piece.index, "") + piece.arguments
    thoughts = "".join(chunk.thinking.text for chunk in chunks if chunk.thinking is not None)
    return "".join(chunk.text for chunk in chunks), thoughts, arguments


@given(TEXTS, CUTS, CUTS)
def test_any_cut_of_a_text(text: str, places: list[int], groups: list[int]) -> None:
    """However it is cut and grouped, the text is that of the whole answer."""
    restoring = Restoring(MASKED)
    pieces = [Chunk(piece) for piece in cut(text, places)]
    bounds = [*sorted(place % (len(pieces) + 1) for place in groups), len(pieces)]
    found: list[Chunk] = []
    for start, end in zip([0, *bounds], bounds, strict=False):
        found += restoring.chunks(pieces[start:end])
    found += restoring.close()
    assert joined(found)[0] == restored(text)
    assert all(chunk.says for chunk in found)
    whole = Restoring(MASKED).answer(Answer(TARGET, Completion(text, "m", "stop"), None))
    assert whole.completion.text == restored(text)


def arguments_of(value: object) -> str:
    return orjson.dumps(value).decode()


VALUES = st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=2) | st.integers(-9, 9), max_size=3)


def restored_value(value: Any) -> Any:
    if isinstance(value, str):
        return restored(value)
    if isinstance(value, list):
        return [restored_value(item) for item in value]
    if isinstance(value, dict):
        return {restored(name): restored_value(item) for name, item in value.items()}
    return value


@given(st.lists(st.tuples(VALUES, CUTS), min_size=1, max_size=3), st.booleans())
def test_any_cut_of_arguments(calls: list[tuple[Json, list[int]]], named_first: bool) -> None:
    """Arguments stay JSON, and hold what the placeholders stand for, whatever it is made of."""
    restoring = Restoring(MASKED)
    found: list[Chunk] = []
    for index, (value, places) in enumerate(calls):
        pieces = [ToolCallPiece(index, piece) for piece in cut(arguments_of(value), places)]
        first = ToolCallPiece(index, "" if named_first else pieces[0].arguments, id=f"call_{index}", name="f")
        for piece in [first, *pieces[0 if named_first else 1 :]]:
            found += restoring.chunks([Chunk(tool_calls=(piece,))])
    found += restoring.close()
    arguments = joined(found)[2]
    pieces = [piece for chunk in found for piece in chunk.tool_calls]
    assert [piece.id for piece in pieces if piece.id] == [f"call_{index}" for index in range(len(calls))]
    for index, (value, _) in enumerate(calls):
        assert orjson.loads(arguments[index]) == restored_value(value)
    whole = tuple(ToolCall(f"call_{i}", "f", arguments_of(value)) for i, (value, _) in enumerate(calls))
    answer = Answer(TARGET, Completion("", "m", "tool_calls", tool_calls=whole), None)
    done = Restoring(MASKED).answer(answer).completion
    assert [call.arguments for call in done.tool_calls] == [arguments[index] for index in range(len(calls))]


@given(TEXTS, CUTS)
def test_custom_calls_are_no_json(text: str, places: list[int]) -> None:
    """The input of a custom call is any text: nothing is escaped, whole or streamed."""
    restoring = Restoring(MASKED)
    found: list[Chunk] = []
    for piece in cut(text, places):
        found += restoring.chunks([Chunk(tool_calls=(ToolCallPiece(0, piece, custom=True),))])
    found += restoring.close()
    assert joined(found)[2].get(0, "") == restored(text)
    call = ToolCall("call_0", "f", text, custom=True)
    whole = Restoring(MASKED).answer(Answer(TARGET, Completion("", "m", "tool_calls", tool_calls=(call,)), None))
    assert whole.completion.tool_calls == (replace(call, arguments=restored(text)),)


PLACES = ("text", "thought", "call 0", "call 1")


@given(st.lists(TEXTS, min_size=4, max_size=4), st.lists(st.sampled_from(PLACES), max_size=99))
def test_parts_in_turns(texts: list[str], turns: list[str]) -> None:
    """However the pieces of thoughts, text and calls come in turns, each part is restored by itself."""
    restoring = Restoring(MASKED)
    left = dict(zip(PLACES, texts, strict=True))
    found: list[Chunk] = []
    for place, size in [*((turn, 1) for turn in turns), *((place, None) for place in PLACES)]:
        piece, left[place] = left[place][:size], left[place][size:] if size else ""
        match place:
            case "text":
                chunk = Chunk(piece)
            case "thought":
                chunk = Chunk(thinking=Thinking(piece))
            case _:
                chunk = Chunk(tool_calls=(ToolCallPiece(int(place[-1]), piece, custom=True),))
        found += restoring.chunks([chunk])
    found += restoring.close()
    text, thoughts, calls = joined(found)
    assert [text, thoughts, calls[0], calls[1]] == [restored(text) for text in texts]


TAILLESS = TEXTS.filter(lambda text: text.rfind("[") <= text.rfind("]"))
"""That do not end inside what could be a placeholder."""


@given(st.lists(st.tuples(st.sampled_from(["text", "thought", "call"]), TAILLESS, CUTS), max_size=6))
def test_parts_keep_their_order(parts: list[tuple[str, str, list[int]]]) -> None:
    """Thoughts, text and calls follow one another: nothing of one is left to leave when the next begins."""
    restoring = Restoring(MASKED)
    found: list[Chunk] = []
    calls = 0
    for kind, text, places in parts:
        for piece in cut(text, places):
            match kind:
                case "text":
                    chunk = Chunk(piece)
                case "thought":
                    chunk = Chunk(thinking=Thinking(piece))
                case _:
                    chunk = Chunk(tool_calls=(ToolCallPiece(calls, piece, custom=True),))
            found += restoring.chunks([chunk])
        calls += kind == "call"
        if kind == "thought":
            found += restoring.chunks([Chunk(thinking=Thinking(signature="proof"))])
    found += restoring.close()
    shown = "".join(
        chunk.text
        + (chunk.thinking.text if chunk.thinking else "")
        + "".join(piece.arguments for piece in chunk.tool_calls)
        for chunk in found
    )
    # Neighbours of one kind are one part.
    expected, gathered, last = "", "", ""
    for kind, text, _ in parts:
        if kind != last or kind != "text":
            expected += restored(gathered)
            gathered = ""
        gathered, last = gathered + text, kind
    assert shown == expected + restored(gathered)


@given(TEXTS, CUTS)
def test_what_was_held_back_is_what_it_was(text: str, places: list[int]) -> None:
    """A piece that leaves late is a custom call's if the others of its call are."""
    for custom in (True, False):
        restoring = Restoring(MASKED)
        found: list[Chunk] = []
        for piece in cut(text, places):
            found += restoring.chunks([Chunk(tool_calls=(ToolCallPiece(0, piece, custom=custom),))])
        found += restoring.chunks([Chunk("then")])
        found += restoring.close()
        assert all(piece.custom is custom for chunk in found for piece in chunk.tool_calls)


def test_why_an_answer_was_withheld_stays() -> None:
    """In the provider's own sentence, with all else that is told of the answer."""
    done = Completion("", "m", "content_filter", withheld="[EMAIL_1] is not answered.", stop_sequence="x")
    assert Restoring(MASKED).answer(Answer(TARGET, done, None)) == Answer(TARGET, done, None)


def test_several_choices() -> None:
    """Each answer of `n` is its own: what one holds back is not the other's."""
    restoring = Restoring(MASKED)
    found: list[Chunk] = []
    for piece in ("To [EM", "AIL_", "1]."):
        for choice in (0, 1, 2):
            found += restoring.chunks([Chunk(piece, choice=choice)])
    found += restoring.close()
    for choice in (0, 1, 2):
        assert joined([chunk for chunk in found if chunk.choice == choice])[0] == "To ada@example.org."
    others = (Choice("[EMAIL_1]", "stop"), Choice("-", "length"))
    whole = Restoring(MASKED).answer(Answer(TARGET, Completion("a [IBAN_1]b", "m", "stop", others=others), None))
    assert [choice.text for choice in whole.completion.choices] == ["a b", "ada@example.org", "-"]


def test_what_else_is_told_stays() -> None:
    """Model, usage, signatures, extras, refusals: all but the words."""
    call = ToolCall("call_1", "[EMAIL_1]", "{}", extra={"sign": "[EMAIL_1]"})
    thoughts = (Thinking("[EMAIL_1]", "[EMAIL_1]"), Thinking(redacted="[EMAIL_1]"))
    done = Completion(
        "[EMAIL_1]", "m", "tool_calls", tool_calls=(call,), thinking=thoughts, refused=True, logprobs={"content": []}
    )
    answer = Restoring(MASKED).answer(Answer(TARGET, done, None))
    expected = replace(
        done, text="ada@example.org", thinking=(replace(thoughts[0], text="ada@example.org"), thoughts[1])
    )
    assert answer == Answer(TARGET, expected, None)


# Over HTTP


ADDRESS, QUOTED = "ada@example.org", '" lovelace"@example.org'
"""The second is what the guard takes for an address in `"ada\\" lovelace"@example.org`: it must be escaped in JSON."""
PROMPT = f'Write to {ADDRESS} and "x{QUOTED}. Answer in JSON if asked for it.'
TEXT = "Dear [EMAIL_1], not [EMAIL_3] but [EMAIL_2] and [EMAIL_1]."
PLAIN = f"Dear {ADDRESS}, not [EMAIL_3] but {QUOTED} and {ADDRESS}."
CALLS = (("send", {"to": ["[EMAIL_2]", "[EMAIL_1]"], "[EMAIL_1]": "x"}), ("note", {"text": TEXT}))
PLAIN_CALLS: list[tuple[str, Json]] = [("send", {"to": [QUOTED, ADDRESS], ADDRESS: "x"}), ("note", {"text": PLAIN})]
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name, _ in CALLS]

Read = tuple[str, str, list[tuple[str, Any]]]
"""Text, thoughts, calls."""


def asked(path: str) -> Json:
    names = [name for name, _ in CALLS]
    match path:
        case "/v1/chat/completions":
            return {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "tools": FUNCTIONS}
        case "/v1/messages":
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
            return {
                "model": "m",
                "max_tokens": 99,
                "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
                "tools": tools,
            }
        case "/v1/responses":
            return {"model": "m", "input": PROMPT, "tools": [{"type": "function", "name": name} for name in names]}
        case _:
            return {"prompt": PROMPT}


def read(path: str, reply: httpx.Response) -> Read:
    """A whole answer or the events of a stream, as a client reads them."""
    assert reply.status_code == 200, reply.text
    streamed = reply.headers["content-type"].startswith("text/event-stream")
    match path:
        case "/v1/chat/completions" if streamed:
            return _chat_stream(reply.text)
        case "/v1/chat/completions":
            message = reply.json()["choices"][0]["message"]
            calls = [call["function"] for call in message.get("tool_calls", ())]
            named = [(call["name"], orjson.loads(call["arguments"])) for call in calls]
            return message["content"] or "", message.get("reasoning_content", ""), named
        case "/v1/messages" if streamed:
            return _messages_stream(reply.text)
        case "/v1/messages":
            blocks = reply.json()["content"]
            return (
                "".join(block["text"] for block in blocks if block["type"] == "text"),
                "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
                [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
            )
        case "/v1/responses" if streamed:
            *steps, (last, done) = events(reply.text)
            assert last == "response.completed"
            text = "".join(data["delta"] for name, data in steps if name == "response.output_text.delta")
            arguments: dict[int, str] = {}
            for name, data in steps:
                if name == "response.function_call_arguments.delta":
                    arguments[data["output_index"]] = arguments.get(data["output_index"], "") + data["delta"]
                if name == "response.function_call_arguments.done":
                    assert arguments[data["output_index"]] == data["arguments"]
            found = _responses(done["response"])
            assert text == found[0]
            assert [orjson.loads(each) for _, each in sorted(arguments.items())] == [value for _, value in found[2]]
            return found
        case "/v1/responses":
            return _responses(reply.json())
        case _ if streamed:
            *tokens, (_, done) = events(reply.text)
            assert done["response"] == "".join(data["text"] for _, data in tokens)
            return done["response"], "", []
        case _:
            return reply.json()["response"], "", []


def _chat_stream(text: str) -> Read:
    words, thoughts = "", ""
    calls: dict[int, list[str]] = {}
    for event in text.strip().split("\n\n")[:-1]:
        for choice in orjson.loads(event.removeprefix("data: "))["choices"]:
            delta = choice["delta"]
            words += delta.get("content") or ""
            thoughts += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls", ()):
                call = calls.setdefault(piece["index"], ["", ""])
                call[0] += piece["function"].get("name", "")
                call[1] += piece["function"]["arguments"]
    return words, thoughts, [(name, orjson.loads(arguments)) for name, arguments in calls.values()]


def _messages_stream(text: str) -> Read:
    words, thoughts = "", ""
    calls: dict[int, list[str]] = {}
    for name, data in events(text):
        if name == "content_block_start" and data["content_block"]["type"] == "tool_use":
            calls[data["index"]] = [data["content_block"]["name"], ""]
        if name == "content_block_delta":
            words += data["delta"].get("text", "")
            thoughts += data["delta"].get("thinking", "")
            if "partial_json" in data["delta"]:
                calls[data["index"]][1] += data["delta"]["partial_json"]
    return words, thoughts, [(name, orjson.loads(arguments)) for name, arguments in calls.values()]


def _responses(response: Json) -> Read:
    output = response["output"]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    thoughts = [part for item in output if item["type"] == "reasoning" for part in item["summary"]]
    return (
        "".join(part["text"] for part in parts),
        "".join(part["text"] for part in thoughts),
        [(item["name"], orjson.loads(item["arguments"])) for item in output if item["type"] == "function_call"],
    )


def nothing_left(up: Upstream) -> bool:
    """No request that the provider saw holds a value."""
    return not any(b"example.org" in request.body for request in up.requests)


SIZES = (None, 1, 2, 3, 5, 7, 64)


@pytest.mark.parametrize("wire", ["openai", "groq", "anthropic", "gemini"])
@pytest.mark.parametrize("path", ["/query", "/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_over_http(gateway: Start, upstream: Any, path: str, wire: str) -> None:
    """Placeholders go to the provider, values come back: text, thoughts and arguments, whole and however it is cut."""
    up: Upstream = await upstream()
    client = await gateway({wire: up}, PII_ACTION="mask", **{f"{wire.upper()}_MODEL": "m"})
    body = asked(path)
    answers: list[tuple[Any, Read]] = [
        (fake.Answer(TEXT), (PLAIN, "", [])),
        (fake.Thinking(f"Hm: {TEXT}", TEXT), (PLAIN, f"Hm: {PLAIN}", [])),
    ]
    if path != "/query":
        answers.append((ToolCalls(CALLS, text=TEXT), (PLAIN, "", PLAIN_CALLS)))
    for answer, (text, thoughts, calls) in answers:
        for size in SIZES:
            for stream in (False, True):
                up.default = answer if size is None else SplitBytes(size, answer)
                found = read(path, await client.post(path, json={**body, "stream": stream}))
                expected = (text, "" if path == "/query" else thoughts, calls)
                assert found == expected, (type(answer).__name__, size, stream)
    assert up.refused == []
    assert nothing_left(up)
    assert b'Write to [EMAIL_1] and \\"x[EMAIL_2].' in up.chats[0].body


def stream_of(deltas: Sequence[Json], finish: str) -> RawStream:
    """A stream in which each delta is an event."""
    choices: list[Json] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    frames = [b"data: %b\n\n" % orjson.dumps({"model": "m", "choices": [choice]}) for choice in choices]
    return RawStream((*frames, b"data: [DONE]\n\n"))


@pytest.mark.parametrize("together", [False, True], ids=["chunk by chunk", "in one chunk"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_calls_in_turns(gateway: Start, upstream: Any, path: str, together: bool) -> None:
    """Two calls written at once, character by character: a placeholder of one does not end where the other goes on."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    functions: list[Json] = [
        {"name": "send", "arguments": ""},
        *({"arguments": char} for char in '{"to": "[EMAIL_2]"}'),
    ]
    ids: list[Json] = [{"id": f"call_{i}", "type": "function"} for i in range(2)]
    pieces: list[list[Json]] = [
        [{"index": i, "function": function} | (ids[i] if "name" in function else {}) for i in range(2)]
        for function in functions
    ]
    groups = pieces if together else [[piece] for pair in pieces for piece in pair]
    up.default = stream_of([{"tool_calls": group} for group in groups], "tool_calls")
    found = read(path, await client.post(path, json={**asked(path), "stream": True}))
    assert found == ("", "", [("send", {"to": QUOTED})] * 2)


SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}},
    "required": ["to"],
    "additionalProperties": False,
}
NAMED = {"name": "x", "schema": SCHEMA}
FORMATS: list[tuple[str, Json]] = [
    ("/v1/chat/completions", {"response_format": {"type": "json_object"}}),
    ("/v1/chat/completions", {"response_format": {"type": "json_schema", "json_schema": NAMED}}),
    ("/v1/messages", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    ("/v1/responses", {"text": {"format": {"type": "json_object"}}}),
    ("/v1/responses", {"text": {"format": {"type": "json_schema", **NAMED}}}),
]


@pytest.mark.parametrize(("path", "wanted"), FORMATS)
async def test_json_stays_json(gateway: Start, upstream: Any, path: str, wanted: Json) -> None:
    """Where the text is to be JSON, a value stands in it as in any string of JSON; in a thought it stands as it is."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    body = asked(path) | wanted
    body.pop("tools")
    for size in (None, 1):
        for stream in (False, True):
            answer = fake.Thinking("[EMAIL_2]", '{"to": "[EMAIL_2]"}')
            up.default = answer if size is None else SplitBytes(size, answer)
            text, thoughts, _ = read(path, await client.post(path, json={**body, "stream": stream}))
            assert orjson.loads(text) == {"to": QUOTED}
            assert thoughts == QUOTED
    assert nothing_left(up)


async def test_a_refusal_is_no_json(gateway: Start, upstream: Any) -> None:
    """A model that refuses does so in prose, whatever was asked for, and what it held back is a refusal still."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    path, wanted = FORMATS[0]
    refusal = "Not [EMAIL_2] [EM"
    message = {"role": "assistant", "content": None, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    up.answers.push(
        fake.Status(200, {"id": "x", "model": "m", "choices": [choice]}),
        stream_of([{"refusal": char} for char in refusal], "stop"),
    )
    body = asked(path) | wanted
    whole = (await client.post(path, json=body)).json()["choices"][0]["message"]
    assert (whole["content"], whole["refusal"]) == (None, f"Not {QUOTED} [EM")
    reply = await client.post(path, json={**body, "stream": True})
    steps = [orjson.loads(event.removeprefix("data: ")) for event in reply.text.strip().split("\n\n")[:-1]]
    deltas = [choice["delta"] for step in steps for choice in step["choices"]]
    assert "".join(delta.get("refusal") or "" for delta in deltas) == f"Not {QUOTED} [EM"
    assert not any(delta.get("content") for delta in deltas)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_was_asked_is_told_as_sent(gateway: Start, upstream: Any, stream: bool) -> None:
    """Of what a response tells of its request nothing is masked; the provider saw none of it."""
    up: Upstream = await upstream()
    up.default = fake.Answer("Done.")
    client = await gateway({"openai": up}, PII_ACTION="mask")
    schema = {"type": "object", "properties": {"to": {"type": "string", "description": f"as {ADDRESS}"}}}
    sent: Json = {
        "instructions": f"You serve {ADDRESS} only.",
        "metadata": {"who": ADDRESS},
        "user": ADDRESS,
        "prompt_cache_key": ADDRESS,
        "tools": [
            {"type": "function", "name": "send", "description": f"to {ADDRESS}", "parameters": schema, "strict": False}
        ],
        "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}},
    }
    body = {"model": "m", "input": f"I am {ADDRESS}", "stream": stream, **sent}
    reply = await client.post("/v1/responses", json=body)
    assert reply.status_code == 200, reply.text
    told = [data["response"] for _, data in events(reply.text) if "response" in data] if stream else [reply.json()]
    for response in told:
        assert {name: response[name] for name in sent} == sent
    assert len(told) == (3 if stream else 1)
    assert nothing_left(up)


async def test_a_conversation(gateway: Start, upstream: Any) -> None:
    """In later turns the values stand in calls and results: masked in JSON inside JSON too, by the same placeholder."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    up.default = fake.Answer("[EMAIL_1] has it.")
    arguments = '{"to": "ada\\u0040example.org", "n": 1.50}'
    call = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": arguments}}
    messages = [
        {"role": "user", "content": f"Write to {ADDRESS}."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": f'{{"sent": "{ADDRESS}"}}'},
    ]
    for stream in (False, True):
        body = {"model": "m", "messages": messages, "tools": FUNCTIONS, "stream": stream}
        reply = await client.post("/v1/chat/completions", json=body)
        assert read("/v1/chat/completions", reply) == (f"{ADDRESS} has it.", "", [])
        sent = up.chats[-1].json["messages"]
        assert [message["content"] for message in sent] == ["Write to [EMAIL_1].", None, '{"sent": "[EMAIL_1]"}']
        assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"to": "[EMAIL_1]", "n": 1.50}'
    assert nothing_left(up)


async def test_placeholders_of_the_callers_own(gateway: Start, upstream: Any) -> None:
    """A text that has one already keeps it: it stands for itself, in question and answer."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, PII_ACTION="mask")
    up.default = fake.Answer("[EMAIL_1] and [EMAIL_2].")
    body = {"model": "m", "messages": [{"role": "user", "content": f"What is [EMAIL_1], {ADDRESS}?"}]}
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.json()["choices"][0]["message"]["content"] == f"[EMAIL_1] and {ADDRESS}."
    assert up.chats[0].json["messages"][0]["content"] == "What is [EMAIL_1], [EMAIL_2]?"
