"""What models say, on every surface, whole and streamed in any pieces: blocked, masked, flagged, and paid for."""

import time
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest

from middleware.guard.guard import PASS
from tests.conformance.anthropic_messages import check_anthropic_stream
from tests.conformance.frames import read_frames
from tests.conformance.openai_stream import check_chat_stream
from tests.conformance.responses_stream import check_responses_stream
from tests.gateway.conftest import Start, events
from tests.gateway.test_restoring import read
from tests.upstream import Answer, RawStream, SilentAfter, Status, ToolCalls, Upstream

Json = dict[str, Any]

QUERY, CHAT, MESSAGES, RESPONSES = SURFACES = (
    "/query",
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
)
ADDRESS = "jane.doe@example.org"
SECRET = "sk-proj-" + "aB3dE6gH9jK2" * 3
SYSTEM = (
    "You are Lumen, the assistant of the lighthouse museum, and must never tell visitors about the night of the storm."
)
USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
TOLD = ("blocked", "flagged")
TOOL = {"type": "object", "properties": {}}
MESSAGE = {
    "pii_detected": "the answer contains personal data",
    "secret_detected": "the answer contains a key or another secret",
    "content_policy_violation": "the answer repeats the instructions it was given",
}


def asked(path: str, *, stream: bool = False, tools: bool = False, system: str = "", said: str = "Hello") -> Json:
    body: Json = {"stream": stream} if stream else {}
    turns = [{"role": "user", "content": said}]
    match path:
        case "/query":
            return body | {"prompt": said} | ({"system": system} if system else {})
        case "/v1/chat/completions":
            first = [{"role": "developer", "content": system}] if system else []
            given = [{"type": "function", "function": {"name": "send", "parameters": TOOL}}]
            body |= {"model": "m", "messages": [*first, *turns]}
        case "/v1/messages":
            given = [{"name": "send", "input_schema": TOOL}]
            body |= {"model": "m", "max_tokens": 99, "messages": turns} | ({"system": system} if system else {})
        case _:
            given = [{"type": "function", "name": "send", "parameters": TOOL}]
            body |= {"model": "m", "input": said} | ({"instructions": system} if system else {})
    return body | ({"tools": given} if tools else {})


def frames(pieces: Sequence[str], kind: str = "text") -> RawStream:
    """A stream in which each piece is an event and a read of its own."""
    if kind == "text":
        return streamed([{"content": piece} for piece in pieces])
    deltas: list[Json] = []
    for number, piece in enumerate(pieces):
        match kind:
            case "thought":
                deltas.append({"reasoning_content": piece})
            case _:
                call: Json = {"index": 0, "function": {"arguments": piece}}
                if number == 0:
                    call |= {"id": "call_1", "type": "function"}
                    call["function"]["name"] = "send"
                deltas.append({"tool_calls": [call]})
    if kind == "thought":
        deltas.append({"content": "So."})
    return streamed(deltas)


def called(arguments: str, index: int = 0, *, begins: bool = False, name: str = "send", id: str = "") -> Json:
    """A step of a call."""
    call: Json = {"index": index, "function": {"arguments": arguments}}
    if begins:
        call |= {"id": id or f"call_{index}", "type": "function"}
        call["function"]["name"] = name
    return {"tool_calls": [call]}


def streamed(deltas: Sequence[Json]) -> RawStream:
    finish = "tool_calls" if any("tool_calls" in delta for delta in deltas) else "stop"
    chunks = [
        *({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": USAGE},
    ]
    return RawStream((*(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks), b"data: [DONE]\n\n"))


def in_two(text: str) -> list[tuple[str, ...]]:
    return [(text[:place], text[place:]) for place in range(len(text) + 1)] + [tuple(text)]


def refusal(path: str, code: str) -> tuple[int, object]:
    """Status and body of a refused answer."""
    message = MESSAGE[code]
    match path:
        case "/query":
            return 422, {"detail": f"{code}: {message}"}
        case "/v1/messages":
            told = {"type": "invalid_request_error", "message": f"{code}: {message}"}
            return 400, {"type": "error", "error": told}
        case _:
            return 400, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def refused(path: str, reply: httpx.Response) -> tuple[int, object]:
    body = reply.json()
    body.pop("request_id", None)
    return reply.status_code, body


def broken_off(path: str, reply: httpx.Response, code: str) -> str:
    """What a stream said before its error event, which is its last."""
    assert reply.status_code == 200
    blocks = reply.text.strip().split("\n\n")
    if "event: response.failed" in blocks[-1]:  # here a failure is told twice: the event, and what became of it
        assert '"status":"failed"' in blocks.pop()
    last = blocks[-1]
    assert code in last
    assert "error" in last
    for end in ("[DONE]", "message_stop", "response.completed", "event: done", '"finish_reason":"'):
        assert end not in reply.text
    return "\n\n".join(blocks[:-1])


async def tokens(client: httpx.AsyncClient) -> tuple[float, float]:
    """Counted so far: input, output."""
    lines = (await client.get("/metrics")).text.splitlines()
    counts = {
        way: sum(float(x.split()[-1]) for x in lines if x.startswith("gateway_tokens_total{") and f'"{way}"' in x)
        for way in ("input", "output")
    }
    return counts["input"], counts["output"]


# Every cut


@pytest.mark.parametrize("kind", ["text", "thought", "call"])
@pytest.mark.parametrize("path", SURFACES)
async def test_every_cut_is_caught(gateway: Start, upstream: Any, path: str, kind: str) -> None:
    """A value cut at every place over two events, and into single characters: refused before any of it has left."""
    if path == QUERY and kind != "text":
        pytest.skip("this API shows words only")
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    value = ADDRESS if kind != "call" else orjson.dumps({"to": ADDRESS}).decode()
    for pieces in in_two(value):
        up.answers.push(frames([piece for piece in pieces if piece], kind))
        reply = await client.post(path, json=asked(path, stream=True, tools=kind == "call"))
        if reply.status_code == 200:
            said = broken_off(path, reply, "pii_detected")
            assert kind != "text"  # the place is open by then
            assert "jane" not in said, pieces
        else:
            assert refused(path, reply) == refusal(path, "pii_detected"), pieces


@pytest.mark.parametrize("path", SURFACES)
async def test_every_cut_is_masked(gateway: Start, upstream: Any, path: str) -> None:
    """In text, thoughts and arguments: a placeholder stands there, the rest is as it was, the shape is sound."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="mask")
    text = f"Write to {ADDRESS}, not to {SECRET}; or to {ADDRESS}."
    masked = "Write to [EMAIL_1], not to [API_KEY_1]; or to [EMAIL_1]."
    arguments = orjson.dumps({"to": [ADDRESS], "body": text}).decode()
    for kind in ("text", "thought", "call") if path != QUERY else ("text",):
        for pieces in in_two(arguments if kind == "call" else text)[:: 1 if kind == "text" else 5]:
            up.answers.push(frames([piece for piece in pieces if piece], kind))
            reply = await client.post(path, json=asked(path, stream=True, tools=kind == "call"))
            expected: dict[str, Any] = {
                "text": (masked, "", []),
                "thought": ("So.", masked, []),
                "call": ("", "", [("send", {"to": ["[EMAIL_1]"], "body": masked})]),
            }
            found = read(path, reply)
            if path == RESPONSES and kind == "thought":
                found = (found[0], masked if masked in reply.text else "", found[2])
            assert found == expected[kind], pieces


# Parts that come in turns


def check_stream(path: str, reply: httpx.Response) -> None:
    """The events are such as the API's own clients expect."""
    match path:
        case "/v1/chat/completions":
            check_chat_stream(read_frames(reply.content), include_usage=False, failed=False)
        case "/v1/messages":
            check_anthropic_stream(read_frames(reply.content))
        case "/v1/responses":
            check_responses_stream(read_frames(reply.content), failed=False)


CUTS = [(ADDRESS[:place], ADDRESS[place:]) for place in range(1, len(ADDRESS))]


@pytest.mark.parametrize("action", ["block", "mask"])
@pytest.mark.parametrize("path", SURFACES)
async def test_words_and_thoughts_in_turns(gateway: Start, upstream: Any, path: str, action: str) -> None:
    """A value ends neither where a thought comes between nor, of a thought, where words do."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION=action)
    content, thought = "content", "reasoning_content"
    for kind, other in ((content, thought), (thought, content)) if path != QUERY else ((content, thought),):
        deltas = [delta for char in f"ok {ADDRESS} bye" for delta in ({kind: char}, {other: "."})]
        up.answers.push(streamed(deltas))
        reply = await client.post(path, json=asked(path, stream=True))
        if action == "block":
            said = broken_off(path, reply, "pii_detected") if reply.status_code == 200 else reply.text
            assert ".do" not in "".join(deltas_of(path, said, kind))
            assert "j" not in "".join(deltas_of(path, said, kind))
            continue
        check_stream(path, reply)
        shown = ("ok [EMAIL_1] bye", "." * 20)
        text, thoughts, _ = read(path, reply)
        assert text == (shown[0] if kind == content else "." * len(deltas[::2]))
        if path != QUERY:
            assert thoughts == (shown[0] if kind == thought else "." * len(deltas[::2]))


@pytest.mark.parametrize("action", ["block", "mask"])
@pytest.mark.parametrize("path", SURFACES[1:])
async def test_words_around_a_call(gateway: Start, upstream: Any, path: str, action: str) -> None:
    """A value cut in two by a call is whole: nothing of it leaves, and the words are joined before the call."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION=action)
    for before, after in CUTS:
        call = called('{"a":1}', begins=True)
        up.answers.push(streamed([{"content": f"mail {before}"}, call, {"content": f"{after} ok"}]))
        reply = await client.post(path, json=asked(path, stream=True, tools=True))
        assert "jane" not in reply.text, before
        if action == "block":
            assert "pii_detected" in reply.text
        else:
            check_stream(path, reply)
            assert read(path, reply) == ("mail [EMAIL_1] ok", "", [("send", {"a": 1})])
            assert reply.text.index("[EMAIL_1]") < reply.text.index("call_0")


@pytest.mark.parametrize("path", SURFACES[1:])
async def test_calls_around_words(gateway: Start, upstream: Any, path: str) -> None:
    """Of arguments nothing leaves either because words come between; several calls stay apart and in order."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="mask")
    arguments = orjson.dumps({"to": ADDRESS}).decode()
    for place in range(1, len(arguments)):
        between = [{"content": "Well, "}, called("{", 1, begins=True), {"content": "so it is."}]
        first, last = called(arguments[:place], begins=True), called(arguments[place:])
        up.answers.push(streamed([first, *between, last, called("}", 1), {"content": " Bye"}]))
        reply = await client.post(path, json=asked(path, stream=True, tools=True))
        assert "jane" not in reply.text
        if path != RESPONSES:  # whose calls are open side by side, which the check does not know
            check_stream(path, reply)
        text, _, calls = read(path, reply)
        assert (text, calls) == ("Well, so it is. Bye", [("send", {"to": "[EMAIL_1]"}), ("send", {})])


@pytest.mark.parametrize("path", SURFACES[1:])
async def test_the_usual_order_stays(gateway: Start, upstream: Any, path: str) -> None:
    """A thought, words, two calls: each one part, in this order, the first call streamed before the second begins."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="mask")
    calls = [called(piece, i, begins=not n) for i in (0, 1) for n, piece in enumerate(("", '{"a":', " [1, 2]}"))]
    up.answers.push(
        streamed([{"reasoning_content": "Let me think."}, {"content": "I will look."}, *calls]),
        streamed(calls),
    )
    for thought, text in (("Let me think.", "I will look."), ("", "")):
        reply = await client.post(path, json=asked(path, stream=True, tools=True))
        check_stream(path, reply)
        assert read(path, reply) == (text, thought, [("send", {"a": [1, 2]})] * 2)
        kinds = [block["content_block"]["type"] for block in blocks_of(reply)] if path == MESSAGES else []
        assert kinds == ([*["thinking", "text"] * bool(text), "tool_use", "tool_use"] if path == MESSAGES else [])


@pytest.mark.parametrize("label", ["name", "id"])
@pytest.mark.parametrize("path", SURFACES[1:])
async def test_names_and_ids(gateway: Start, upstream: Any, path: str, label: str) -> None:
    """A value in the name or the id of a call is refused, also where others are masked, and in a name cut anywhere."""
    up: Upstream = await upstream()
    for action in ("block", "mask", "flag"):
        client = await gateway({"openai": up}, OUTPUT_ACTION=action)
        for value, code in ((SECRET, "secret_detected"), (ADDRESS, "pii_detected")):
            function = {"name": value if label == "name" else "send", "arguments": "{}"}
            call: Json = {"id": value if label == "id" else "call_1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            up.answers.push(Status(200, {"id": "x", "model": "m", "choices": [choice], "usage": USAGE}))
            begun = called("", begins=True, name=function["name"], id=call["id"])
            pieces = [begun, called("{}")]
            if label == "name":
                pieces = [called("", begins=True, name=value[0])]
                pieces += [{"tool_calls": [{"index": 0, "function": {"name": char}}]} for char in value[1:]]
                pieces.append(called("{}"))
            up.answers.push(streamed(pieces))
            for stream in (False, True):
                reply = await client.post(path, json=asked(path, stream=stream, tools=True))
                if action == "flag":
                    assert reply.status_code == 200
                else:
                    assert refused(path, reply) == refusal(path, code)
        metrics = (await client.get("/metrics")).text
        told = TOLD[action == "flag"]
        for reason in ("secret", "pii"):
            assert f'gateway_{told}_total{{layer="output",reason="{reason}"}} 2.0' in metrics


@pytest.mark.parametrize("path", SURFACES[1:])
async def test_usual_names_and_ids(gateway: Start, upstream: Any, path: str) -> None:
    """Ids that vendors make, digits and dashes among them, are no findings; nor are names that speak of secrets."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    ids = ["call_1699999999", "toolu_01A09q90qw90lq917835lq9", "4111111111111111", "303-344-2420", "9Vw1q0ZxK"]
    ids += ["chatcmpl-tool-0a3c4f5b6d7e8f901a2b3c4d5e6f7081", "c3d945da-0174-0757-4029-45996d3ba7ee"]
    for id in ids:
        for name in ("send_email", "set_api_key", "get_password-reset"):
            up.answers.push(streamed([called("", begins=True, name=name, id=id), called("{}")]))
            reply = await client.post(path, json=asked(path, stream=True, tools=True))
            assert read(path, reply)[2] == [(name, {})]
    assert 'gateway_blocked_total{layer="output"' not in (await client.get("/metrics")).text


def blocks_of(reply: httpx.Response) -> list[Json]:
    return [data for name, data in events(reply.text) if name == "content_block_start"]


def deltas_of(path: str, text: str, kind: str) -> list[str]:
    """What a stream that broke off says of its text, or its thoughts."""
    names = {"content": ("text", "content"), "reasoning_content": ("thinking", "reasoning_content")}[kind]
    found: list[str] = []
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        data = orjson.loads(line.removeprefix("data: "))
        delta = data.get("delta", data)
        if path == RESPONSES:
            reasons = "reasoning" in data["type"]
            if isinstance(delta, str) and reasons is (kind != "content"):
                found.append(delta)
            continue
        if path == CHAT and data.get("choices"):
            delta = data["choices"][0]["delta"]
        if isinstance(delta, dict):
            found += [delta[name] for name in names if isinstance(delta.get(name), str)]
    return found


# Refused at once


@pytest.mark.parametrize("sound", [0, 40], ids=["nothing sent", "begun"])
@pytest.mark.parametrize("path", SURFACES)
async def test_a_refusal_waits_for_nobody(gateway: Start, upstream: Any, path: str, sound: int) -> None:
    """The caller is told as soon as the guard knows, and the call to the provider ends, which would go on for ever."""
    up: Upstream = await upstream()
    text = "word " * sound + "bob@example.org is it. and more words here and there to go on with"
    up.default = SilentAfter(sound + 9, answer=Answer(text))
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    started = time.monotonic()
    reply = await client.post(path, json=asked(path, stream=True))
    assert time.monotonic() - started < 5
    if sound:
        assert "bob" not in broken_off(path, reply, "pii_detected")
    else:
        assert refused(path, reply) == refusal(path, "pii_detected")
        assert reply.headers["x-gateway-attempts"] == "1"
    await up.wait_for_disconnect()
    assert 'gateway_blocked_total{layer="output",reason="pii"} 1.0' in (await client.get("/metrics")).text
    assert (await client.get("/providers")).json()["providers"][0]["breaker"] == "closed"


# Policy


@pytest.mark.parametrize("action", ["block", "mask", "flag", "off"])
@pytest.mark.parametrize("path", SURFACES)
async def test_actions(gateway: Start, upstream: Any, path: str, action: str) -> None:
    """Refused, masked, noted or let be; counted by layer and reason; what was used is accounted for in each case."""
    up: Upstream = await upstream()
    up.default = Answer(f"Write to {ADDRESS} today.", input_tokens=12, output_tokens=7)
    client = await gateway({"openai": up}, OUTPUT_ACTION=action)
    for count, stream in enumerate((False, True), 1):
        reply = await client.post(path, json=asked(path, stream=stream))
        if action == "block" and reply.status_code == 200:
            assert stream
            assert "jane" not in broken_off(path, reply, "pii_detected")
        elif action == "block":
            assert refused(path, reply) == refusal(path, "pii_detected")
            assert reply.headers["x-gateway-attempts"] == "1"
        else:
            shown = "[EMAIL_1]" if action == "mask" else ADDRESS
            assert read(path, reply) == (f"Write to {shown} today.", "", [])
        assert await tokens(client) == (12 * count, 7 * count)
        metrics = (await client.get("/metrics")).text
        blocked, flagged = (f'gateway_{name}_total{{layer="output",reason="pii"}} {count}.0' for name in TOLD)
        assert (blocked in metrics) is (action == "block")
        assert (flagged in metrics) is (action in ("mask", "flag"))
        assert ADDRESS not in metrics
        assert len(up.chats) == count


HARM = "You stupid worthless bitch, I will rape you and kill your whole fucking family."
LOCAL = {"ENABLE_SAFETY": "true", "SAFETY_PROVIDERS": "local"}


@pytest.mark.parametrize("action", ["block", "mask", "flag", "off"])
@pytest.mark.parametrize("path", SURFACES)
async def test_harm(gateway: Start, upstream: Any, path: str, action: str) -> None:
    """An unsafe answer is refused where anything is; it cannot be masked. Of a stream, little has left by then."""
    up: Upstream = await upstream()
    text = f"Good morning. {HARM}" + " And so on." * 22
    client = await gateway({"openai": up}, OUTPUT_ACTION=action, **LOCAL)
    for stream in (False, True):
        up.default = Answer(text)
        reply = await client.post(path, json=asked(path, stream=stream))
        if action in ("flag", "off"):
            assert read(path, reply) == (text, "", [])
        elif stream:
            assert text[:260] not in broken_off(path, reply, "content_policy_violation")
        else:
            status, body = refused(path, reply)
            told = orjson.dumps(body).decode()
            assert (status, "the answer was judged unsafe" in told) == (422 if path == QUERY else 400, True)
            assert "kill" not in told
    metrics = (await client.get("/metrics")).text
    blocked, flagged = (f'gateway_{name}_total{{layer="output",reason="unsafe"}} 2.0' for name in TOLD)
    assert (blocked in metrics) is (action in ("block", "mask"))
    assert (flagged in metrics) is (action == "flag")


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_harm_in_escaped_arguments(gateway: Start, upstream: Any, path: str) -> None:
    """What JSON spells otherwise is read as what it says, whole and streamed in any pieces."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION="block", **LOCAL)
    arguments = '{"body":"' + "".join(f"\\u{ord(char):04x}" for char in HARM) + '"}'
    for pieces in ([arguments], [*arguments]):
        up.answers.push(frames(pieces, "call"))
        reply = await client.post(path, json=asked(path, stream=True, tools=True))
        assert "the answer was judged unsafe" in reply.text
        assert HARM[-20:] not in reply.text
    up.answers.push(ToolCalls((("send", {"body": HARM}),)))
    status, body = refused(path, await client.post(path, json=asked(path, tools=True)))
    assert (status, "the answer was judged unsafe" in orjson.dumps(body).decode()) == (400, True)


@pytest.mark.parametrize("providers", ["gemini", "local"])
async def test_harm_without_safety(gateway: Start, upstream: Any, providers: str) -> None:
    """Where safety is off, or the local classifier left out, nobody is asked about answers."""
    up: Upstream = await upstream()
    up.default = Answer(HARM)
    safety = {"ENABLE_SAFETY": str(providers == "gemini").lower(), "SAFETY_PROVIDERS": providers}
    client = await gateway({"openai": up}, OUTPUT_ACTION="block", **safety)
    assert (await client.post(QUERY, json=asked(QUERY))).json()["response"] == HARM


async def test_the_default_is_to_flag(gateway: Start, upstream: Any) -> None:
    """Nothing is held back or changed, and the finding is counted."""
    up: Upstream = await upstream()
    up.default = Answer(f"Write to {ADDRESS}.")
    client = await gateway({"openai": up})
    assert (await client.post(QUERY, json=asked(QUERY))).json()["response"] == f"Write to {ADDRESS}."
    assert 'gateway_flagged_total{layer="output",reason="pii"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("path", SURFACES)
async def test_a_long_stream_is_broken_off(gateway: Start, upstream: Any, path: str) -> None:
    """What was sound has left; then one error event and no end mark. Its end is not waited for."""
    up: Upstream = await upstream()
    words = "The keeper of the lighthouse wrote a letter every morning. "
    up.default = Answer(words * 9 + f"Key: {SECRET} " + words * 9, input_tokens=12, output_tokens=70)
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    reply = await client.post(path, json=asked(path, stream=True))
    said = broken_off(path, reply, "secret_detected")
    assert "lighthouse" in said
    assert "sk-proj" not in reply.text
    assert reply.headers["x-gateway-provider"] == "openai"
    assert await tokens(client) == (0, 0)  # of an answer that came to its end: see test_budgets
    assert 'gateway_blocked_total{layer="output",reason="secret"} 1.0' in (await client.get("/metrics")).text
    # The provider was sound, whatever it said.
    assert (await client.get("/providers")).json()["providers"][0]["breaker"] == "closed"


async def test_repeated_instructions(gateway: Start, upstream: Any) -> None:
    """A dozen words of the system prompt in a row are refused; the same words without such a prompt are none."""
    up: Upstream = await upstream()
    up.default = Answer(f"I was told this: {SYSTEM.upper()}")
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    for path in SURFACES:
        for stream in (False, True):
            reply = await client.post(path, json=asked(path, stream=stream, system=SYSTEM))
            if reply.status_code == 200:
                assert stream
                assert "LUMEN" not in broken_off(path, reply, "content_policy_violation")
            else:
                assert refused(path, reply) == refusal(path, "content_policy_violation")
            assert "STORM" in (await client.post(path, json=asked(path, stream=stream))).text
    assert 'gateway_blocked_total{layer="output",reason="prompt_leak"} 8.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("action", ["block", "mask", "flag"])
async def test_what_the_caller_sent_is_no_leak(gateway: Start, upstream: Any, action: str) -> None:
    """A masked value of the request comes back, beside one of the model's own, which does not share its placeholder."""
    up: Upstream = await upstream()
    up.default = Answer("Dear [EMAIL_1], greetings." + (" From joe@example.net here." if action == "mask" else ""))
    client = await gateway({"openai": up}, OUTPUT_ACTION=action, PII_ACTION="mask")
    for path in SURFACES:
        for stream in (False, True):
            reply = await client.post(path, json=asked(path, stream=stream, said=f"I am {ADDRESS}"))
            rest = " From [EMAIL_2] here." if action == "mask" else ""
            assert read(path, reply) == (f"Dear {ADDRESS}, greetings.{rest}", "", [])
    assert 'gateway_blocked_total{layer="output"' not in (await client.get("/metrics")).text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", SURFACES[1:])
async def test_tool_arguments(gateway: Start, upstream: Any, path: str, stream: bool) -> None:
    """JSON inside JSON, however deep, in every call of an answer."""
    up: Upstream = await upstream()
    inner = orjson.dumps({"to": ADDRESS}).decode()
    up.default = ToolCalls((("send", {"a": [{"b": ADDRESS}]}), ("send", {"json": inner, "n": 4111111111111111})))
    client = await gateway({"openai": up}, OUTPUT_ACTION="mask")
    found = read(path, await client.post(path, json=asked(path, stream=stream, tools=True)))[2]
    assert [name for name, _ in found] == ["send", "send"]
    assert [arguments for _, arguments in found] == [
        {"a": [{"b": "[EMAIL_1]"}]},
        {"json": '{"to":"[EMAIL_1]"}', "n": "[CREDIT_CARD_1]"},
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_every_choice(gateway: Start, upstream: Any, stream: bool) -> None:
    """The second answer of two is judged like the first; log probabilities do not spell out what is masked."""
    up: Upstream = await upstream()
    said = ["All is well.", f"Write to {ADDRESS}."]
    logprobs: Json = {
        "content": [{"token": ADDRESS, "logprob": -1.0, "bytes": None, "top_logprobs": []}],
        "refusal": None,
    }
    if stream:
        chunks: list[Json] = [
            {"model": "m", "choices": [{"index": i, "delta": {"content": text[a:b]}, "logprobs": logprobs}]}
            for a, b in ((0, 12), (12, 99))
            for i, text in enumerate(said)
            if text[a:b]
        ]
        ends = [{"index": i, "delta": {}, "finish_reason": "stop"} for i in range(2)]
        chunks.append({"model": "m", "choices": ends, "usage": USAGE})
        up.default = RawStream((*(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks), b"data: [DONE]\n\n"))
    else:
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            | {"logprobs": logprobs}
            for i, text in enumerate(said)
        ]
        up.default = Status(200, {"id": "x", "model": "m", "choices": choices, "usage": USAGE})
    client = await gateway({"openai": up}, OUTPUT_ACTION="mask")
    reply = await client.post(CHAT, json=asked(CHAT, stream=stream) | {"n": 2, "logprobs": True})
    found = ["", ""]
    if stream:
        for event in reply.text.strip().split("\n\n")[:-1]:
            for choice in orjson.loads(event.removeprefix("data: "))["choices"]:
                found[choice["index"]] += choice["delta"].get("content") or ""
    else:
        found = [choice["message"]["content"] for choice in reply.json()["choices"]]
    assert found == ["All is well.", "Write to [EMAIL_1]."]
    if stream:
        assert ADDRESS not in reply.text
    else:
        assert reply.json()["choices"][1]["logprobs"] is None


async def test_batches(gateway: Start, upstream: Any) -> None:
    """One refused answer of several is a failed result, and the others stand."""
    up: Upstream = await upstream()
    up.answers.push(Answer("Fine."), Answer(f"Write to {ADDRESS}."))
    client = await gateway({"openai": up}, OUTPUT_ACTION="block")
    body = (await client.post("/batch/resilience", json={"prompts": ["Hello", "Hello"]})).json()
    assert (body["total"], body["successful"], body["failed"]) == (2, 1, 1)
    assert sorted(str(result["response"]) for result in body["results"]) == ["Fine.", "None"]
    [error] = [result["error"] for result in body["results"] if result["error"]]
    assert error == "pii_detected: the answer contains personal data"
    up.default = Status(500)
    assert (await client.post("/batch/resilience", json={"prompts": ["Hello"]})).json()["failed"] == 1


def raises(self: object, text: str) -> object:
    raise RuntimeError


def nothing(self: object, text: str) -> object:
    return None


@pytest.mark.parametrize("broken", [raises, nothing])
@pytest.mark.parametrize("action", ["block", "mask", "flag"])
async def test_a_guard_that_breaks_lets_nothing_out(
    gateway: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch, action: str, broken: Any
) -> None:
    """An exception, or a guard that returns nothing, is no verdict: 503 or a broken stream, never a whole 200."""
    up: Upstream = await upstream()
    client = await gateway({"openai": up}, OUTPUT_ACTION=action)
    monkeypatch.setattr("middleware.guard.guard.Guard.scan", broken)
    monkeypatch.setattr("middleware.guard.guard.Guard.inspect", lambda self, *given: PASS)
    for path in SURFACES:
        for stream in (False, True):
            reply = await client.post(path, json=asked(path, stream=stream))
            if reply.status_code == 200:
                assert stream
                broken_off(path, reply, "error")
            else:
                assert reply.status_code == 503
                assert "the output guard gave no verdict" in reply.text
    metrics = (await client.get("/metrics")).text
    assert 'gateway_layer_errors_total{layer="output",reason="no_verdict"} 8.0' in metrics


async def test_time_to_first_token(gateway: Start, upstream: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Flagging adds nothing to the first token; blocking waits for two words of prose. Printed."""
    up: Upstream = await upstream()
    up.default = Answer("Every morning the old keeper climbs ninety steps. " * 5, pause_s=0.02)
    first: dict[str, float] = {}
    for action in ("off", "flag", "block", "mask"):
        client = await gateway({"openai": up}, OUTPUT_ACTION=action)
        waits = []
        for _ in range(3):
            started = time.perf_counter()
            async with client.stream("POST", CHAT, json=asked(CHAT, stream=True)) as reply:
                async for line in reply.aiter_lines():
                    if '"content":"E' in line:
                        waits.append(time.perf_counter() - started)
                        break
        first[action] = min(waits) * 1000
    with capsys.disabled():
        told = ", ".join(f"{action} {first[action] - first['off']:+.1f} ms" for action in ("flag", "block", "mask"))
        print(f"\nS11 added time to first token, words 20 ms apart: {told}")  # noqa: T201
    assert first["flag"] < first["off"] + 60
    assert first["block"] < first["off"] + 200
