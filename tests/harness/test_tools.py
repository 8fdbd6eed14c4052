"""The fakes call tools and think aloud as each vendor does."""

import httpx
import orjson
import pytest

from tests.harness.readers import hear, hear_stream
from tests.harness.vendors import OLLAMA, VENDORS, Client, Json, Vendor, every_vendor, openai, read_into
from tests.upstream import Answer, DieAfter, Thinking, ToolCalls, Upstream, signature

CALLS: tuple[tuple[str, Json], ...] = (("get_weather", {"city": "Zürich", "days": 3}), ("get_time", {}))
GIVEN = list(CALLS)
FINISHES = {"gemini": "STOP", "anthropic": "tool_use"}
GEMINI_3 = Vendor(
    "/v1beta/models/gemini-3.5-flash:generateContent",
    "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse",
    VENDORS["gemini"].headers,
    VENDORS["gemini"].body,
    VENDORS["gemini"].stream_body,
)


@pytest.mark.parametrize("name", VENDORS)
async def test_calls(up: Upstream, client: Client, name: str) -> None:
    """Parallel calls after a text come whole and streamed, with the finish reason and ids of the vendor."""
    up.default = ToolCalls(CALLS, text="Let me see.")
    whole = hear((await client.ask(VENDORS[name])).json())
    streamed = hear_stream(await client.stream(VENDORS[name]))

    for heard in (whole, streamed):
        assert (heard.text, heard.given) == ("Let me see.", GIVEN)
        assert heard.finish == FINISHES.get(name, "tool_calls")
        ids = [call.id or "" for call in heard.calls]
        assert len(set(ids)) == 2
        prefix = {"gemini": "", "anthropic": "toolu_"}.get(name, "call_")
        assert all(one.startswith(prefix) and len(one) > len(prefix) for one in ids)
    # Three words, four pieces of the first call's arguments and two of the second's.
    key = {"gemini": "candidatesTokenCount", "anthropic": "output_tokens"}.get(name, "completion_tokens")
    assert whole.usage[key] == streamed.usage[key] == 9


@pytest.mark.parametrize(
    ("vendor", "pieces"),
    [
        (VENDORS["openai"], [4, 2]),
        (VENDORS["openrouter"], [4, 2]),
        (VENDORS["anthropic"], [5, 3]),  # the first is empty
        (VENDORS["groq"], [1, 1]),
        (VENDORS["google-compatible"], [1, 1]),
        (OLLAMA, [1, 1]),
    ],
)
async def test_pieces(up: Upstream, client: Client, vendor: Vendor, pieces: list[int]) -> None:
    """Arguments are cut where the vendor cuts them, and come in one delta where it does not."""
    up.default = ToolCalls(CALLS)
    heard = hear_stream(await client.stream(vendor))
    assert [call.pieces for call in heard.calls] == pieces
    assert heard.given == GIVEN


async def test_no_content(up: Upstream, client: Client) -> None:
    """Calls without a text have null content at OpenAI and no text part or block elsewhere."""
    up.default = ToolCalls(CALLS)
    message = (await client.ask(VENDORS["openai"])).json()["choices"][0]["message"]
    assert message["content"] is None
    parts = (await client.ask(VENDORS["gemini"])).json()["candidates"][0]["content"]["parts"]
    assert [list(part) for part in parts] == [["functionCall"], ["functionCall"]]
    blocks = (await client.ask(VENDORS["anthropic"])).json()["content"]
    assert [block["type"] for block in blocks] == ["tool_use", "tool_use"]


async def test_gemini_signs_the_first(up: Upstream, client: Client) -> None:
    """Gemini 3 signs the first of parallel calls, on its own wire and on the compatible one; older ones sign none."""
    up.default = ToolCalls(CALLS)
    compatible = openai("/v1beta/openai/chat/completions")
    answers = [
        hear((await client.ask(GEMINI_3)).json()),
        hear_stream(await client.stream(GEMINI_3)),
        hear((await client.ask(compatible, model="gemini-3.5-flash")).json()),
        hear_stream(await client.stream(compatible, model="models/gemini-3.5-flash")),
    ]
    for heard in answers:
        assert [call.signature for call in heard.calls] == [signature("get_weather"), None]
    assert [call.signature for call in hear((await client.ask(VENDORS["gemini"])).json()).calls] == [None, None]


async def test_gemini_without_ids(up: Upstream, client: Client) -> None:
    """Gemini may leave ids out, and then there is no such key."""
    up.default = ToolCalls(CALLS, with_ids=False)
    parts = (await client.ask(VENDORS["gemini"])).json()["candidates"][0]["content"]["parts"]
    assert all("id" not in part["functionCall"] for part in parts)


@pytest.mark.parametrize(
    ("limit", "text", "calls"), [(2, "Let me", 0), (3, "Let me see.", 0), (7, "Let me see.", 1), (9, "Let me see.", 2)]
)
async def test_limit_cuts_calls(up: Upstream, client: Client, limit: int, text: str, calls: int) -> None:
    """The token limit cuts text first and then whole calls, and the finish reason says so."""
    up.default = ToolCalls(CALLS, text="Let me see.")
    for heard in (
        hear((await client.ask(VENDORS["openai"], max_tokens=limit)).json()),
        hear_stream(await client.stream(VENDORS["openai"], max_tokens=limit)),
    ):
        assert (heard.text, len(heard.calls)) == (text, calls)
        assert heard.finish == ("tool_calls" if calls == 2 else "length")


async def test_die_within_a_call(up: Upstream, client: Client) -> None:
    """A stream can end in the middle of a call's arguments."""
    up.default = DieAfter(tokens=2, answer=ToolCalls(CALLS))
    events: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        await read_into(events, client.events(VENDORS["openai"]))
    [call] = hear_stream(events).calls
    assert call.pieces == 2
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(call.arguments)


# Thinking.


@every_vendor
async def test_thinking(up: Upstream, client: Client, vendor: Vendor) -> None:
    """The thought comes before the answer and apart from it, and is counted as the vendor counts."""
    up.default = Thinking("First this, then that.", "So be it.")
    whole = hear((await client.ask(vendor)).json())
    streamed = hear_stream(await client.stream(vendor))
    for heard in (whole, streamed):
        assert (heard.thought, heard.text) == ("First this, then that.", "So be it.")
        if vendor is VENDORS["gemini"]:
            assert (heard.usage["thoughtsTokenCount"], heard.usage["candidatesTokenCount"]) == (4, 3)
            assert heard.usage["totalTokenCount"] == 19
        elif vendor is VENDORS["anthropic"]:
            assert heard.signature == signature("First this, then that.")
            assert heard.usage["output_tokens"] == 7
            assert heard.usage["output_tokens_details"] == {"thinking_tokens": 4}
        else:
            assert heard.usage["completion_tokens"] == 7
            assert heard.usage["completion_tokens_details"]["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("vendor", "field"),
    [
        (VENDORS["openai"], "reasoning_content"),
        (VENDORS["groq"], "reasoning"),
        (VENDORS["openrouter"], "reasoning"),
        (OLLAMA, "reasoning"),
    ],
)
async def test_reasoning_field(up: Upstream, client: Client, vendor: Vendor, field: str) -> None:
    """The OpenAI family has two names for it; a test may ask for the other one."""
    up.answers.push(Thinking("Hm.", "Yes."), Thinking("Hm.", "Yes.", field="reasoning"))
    usual, told = [(await client.ask(vendor)).json()["choices"][0]["message"] for _ in range(2)]
    assert usual[field] == told["reasoning"] == "Hm."
    assert (
        len({"reasoning", "reasoning_content"} & set(usual)) == len({"reasoning", "reasoning_content"} & set(told)) == 1
    )


@every_vendor
async def test_thinking_before_calls(up: Upstream, client: Client, vendor: Vendor) -> None:
    """A thought may lead to calls, whose own counts and model then hold."""
    up.default = Thinking("Hm hm.", ToolCalls(CALLS, input_tokens=5, reasoning_tokens=20, model="thinker"))
    whole = (await client.ask(vendor)).json()
    assert "thinker" in (whole.get("model"), whole.get("modelVersion"))
    for heard in (hear(whole), hear_stream(await client.stream(vendor))):
        assert (heard.thought, heard.given) == ("Hm hm.", GIVEN)
        assert 20 in (
            heard.usage.get("thoughtsTokenCount"),
            heard.usage.get("output_tokens_details", {}).get("thinking_tokens"),
            heard.usage.get("completion_tokens_details", {}).get("reasoning_tokens"),
        )


async def test_thinking_uses_up_the_limit(up: Upstream, client: Client) -> None:
    """A limit that the thought alone reaches leaves no answer at all."""
    up.default = Thinking("one two three four", "So be it.")
    for limit, text in ((3, ""), (4, ""), (5, "So"), (7, "So be it.")):
        config = {"maxOutputTokens": limit}
        heard = hear((await client.ask(VENDORS["gemini"], generationConfig=config)).json())
        assert (heard.text, heard.finish) == (text, "STOP" if limit == 7 else "MAX_TOKENS")


# Choices, likelihoods, stop sequences.


async def test_choices(up: Upstream, client: Client) -> None:
    """`n` choices are paid for together and streamed interleaved, each with its own index and call ids."""
    up.default = ToolCalls(CALLS, text="Let me see.")
    body = (await client.ask(VENDORS["openai"], n=3)).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 27
    events = await client.stream(VENDORS["openai"], n=3)
    order = [choice["index"] for event in events[:-1] for choice in orjson.loads(event)["choices"]]
    assert order == [0, 1, 2] * 11  # a role, three words, six pieces, a finish
    heard = [hear_stream(events, choice) for choice in range(3)]
    assert all((one.text, one.given, one.finish) == ("Let me see.", GIVEN, "tool_calls") for one in heard)
    assert len({call.id for one in heard for call in one.calls}) == 6


async def test_candidates(up: Upstream, client: Client) -> None:
    """Gemini's candidates are its choices; Ollama knows neither choices nor likelihoods and says nothing."""
    up.default = Answer("one two")
    body = (await client.ask(VENDORS["gemini"], generationConfig={"candidateCount": 2})).json()
    assert [candidate["index"] for candidate in body["candidates"]] == [0, 1]
    assert body["usageMetadata"]["candidatesTokenCount"] == 4
    body = (await client.ask(OLLAMA, n=2, logprobs=True)).json()
    assert len(body["choices"]) == 1
    assert body["choices"][0]["logprobs"] is None
    assert body["system_fingerprint"] == "fp_ollama"


async def test_logprobs(up: Upstream, client: Client) -> None:
    """Likelihoods come with each word when asked for, and with as many rivals as asked for."""
    up.default = Answer("one two")
    whole = (await client.ask(VENDORS["openai"], logprobs=True, top_logprobs=2)).json()["choices"][0]["logprobs"]
    assert [entry["token"] for entry in whole["content"]] == ["one", " two"]
    assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] < 0 for entry in whole["content"])
    assert bytes(whole["content"][1]["bytes"]) == b" two"
    events = await client.stream(VENDORS["openai"], logprobs=True, stream_options=None)
    found = [orjson.loads(event)["choices"][0]["logprobs"] for event in events[:-1]]
    assert [one and one["content"][0]["token"] for one in found] == [None, "one", " two", None]
    assert found[1]["content"][0]["top_logprobs"] == []


async def test_stop_sequence_is_named(client: Client) -> None:
    """Anthropic says which stop sequence it met."""
    marks = ["narrow", " lighthouse"]
    body = (await client.ask(VENDORS["anthropic"], stop_sequences=marks)).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", " lighthouse")
    *_, delta, _ = await client.stream(VENDORS["anthropic"], stop_sequences=marks)
    assert orjson.loads(delta)["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": " lighthouse"}
