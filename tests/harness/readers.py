"""What a client hears, whole or streamed, put together as each vendor's reference says."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from tests.harness.vendors import Json


@dataclass(slots=True)
class Call:
    id: str | None
    name: str
    arguments: str = ""
    pieces: int = 1
    signature: str | None = None

    @property
    def given(self) -> tuple[str, Json]:
        return self.name, orjson.loads(self.arguments)


@dataclass(slots=True)
class Heard:
    text: str = ""
    thought: str = ""
    signature: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    usage: Json = field(default_factory=dict)

    @property
    def given(self) -> list[tuple[str, Json]]:
        return [call.given for call in self.calls]


def _google(body: Json, heard: Heard) -> None:
    heard.usage = body["usageMetadata"]
    [candidate] = body["candidates"]
    heard.finish = candidate.get("finishReason", heard.finish)
    for part in candidate.get("content", {}).get("parts", []):
        if call := part.get("functionCall"):
            arguments = orjson.dumps(call["args"]).decode()
            heard.calls.append(Call(call.get("id"), call["name"], arguments, 1, part.get("thoughtSignature")))
        elif part.get("thought"):
            heard.thought += part["text"]
        else:
            heard.text += part["text"]


def _openai(body: Json, heard: Heard, choice: int) -> None:
    heard.usage = body.get("usage") or body.get("x_groq", {}).get("usage") or heard.usage
    for one in body["choices"]:
        if one["index"] != choice:
            continue
        said = one.get("message") or one["delta"]
        heard.finish = one["finish_reason"] or heard.finish
        heard.text += said.get("content") or ""
        heard.thought += said.get("reasoning_content") or said.get("reasoning") or ""
        for at, call in enumerate(said.get("tool_calls", [])):
            function = call["function"]
            if call.get("index", at) == len(heard.calls):
                google = call.get("extra_content", {}).get("google", {})
                arguments, signature = function["arguments"], google.get("thought_signature")
                heard.calls.append(Call(call["id"], function["name"], arguments, 1, signature))
            else:
                # Only the first piece of a call says whose it is.
                assert set(call) == {"index", "function"}
                assert set(function) == {"arguments"}
                heard.calls[call["index"]].arguments += function["arguments"]
                heard.calls[call["index"]].pieces += 1


def _message(body: Json, heard: Heard) -> None:
    heard.usage |= body["usage"]
    heard.finish = body["stop_reason"]
    for block in body["content"]:
        match block["type"]:
            case "text":
                heard.text += block["text"]
            case "thinking":
                heard.thought, heard.signature = block["thinking"], block["signature"]
            case "tool_use":
                heard.calls.append(Call(block["id"], block["name"], orjson.dumps(block["input"]).decode()))


class _Events:
    """Anthropic's stream: blocks open and close in turn, and a delta fills the one that is open."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.open: Json | None = None
        self.closed = 0

    def read(self, body: Json) -> None:
        match body["type"]:
            case "message_start":
                assert body["message"]["content"] == []
                self.heard.usage |= body["message"]["usage"]
            case "content_block_start":
                assert self.open is None
                assert body["index"] == self.closed
                self.open = body["content_block"]
                if self.open["type"] == "tool_use":
                    assert self.open["input"] == {}
                    self.heard.calls.append(Call(self.open["id"], self.open["name"], "", 0))
            case "content_block_delta":
                assert self.open is not None
                assert body["index"] == self.closed
                self.fill(self.open["type"], body["delta"])
            case "content_block_stop":
                assert body["index"] == self.closed
                self.open, self.closed = None, self.closed + 1
            case "message_delta":
                assert self.open is None
                self.heard.finish = body["delta"]["stop_reason"]
                self.heard.usage |= body["usage"]

    def fill(self, kind: str, delta: Json) -> None:
        match kind, delta["type"]:
            case "text", "text_delta":
                self.heard.text += delta["text"]
            case "thinking", "thinking_delta":
                self.heard.thought += delta["thinking"]
            case "thinking", "signature_delta":
                self.heard.signature += delta["signature"]
            case "tool_use", "input_json_delta":
                self.heard.calls[-1].arguments += delta["partial_json"]
                self.heard.calls[-1].pieces += 1
            case _:
                raise AssertionError(f"a {delta['type']} in a {kind} block")


def hear(body: Json, choice: int = 0) -> Heard:
    """A whole answer."""
    heard = Heard()
    if "candidates" in body:
        _google(body, heard)
    elif "choices" in body:
        _openai(body, heard, choice)
    else:
        _message(body, heard)
    return heard


def hear_stream(events: Iterable[str], choice: int = 0) -> Heard:
    """A streamed answer."""
    heard, named = Heard(), _Events()
    for event in events:
        if event == "[DONE]":
            continue
        body = orjson.loads(event)
        if "candidates" in body:
            _google(body, heard)
        elif "choices" in body:
            _openai(body, heard, choice)
        else:
            named.read(body)
    return named.heard if named.closed else heard
