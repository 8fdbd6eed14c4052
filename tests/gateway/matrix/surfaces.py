"""The four APIs as a client sees them: each writes an `Ask` as a request and reads an answer into a `Told`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from tests.conformance.anthropic_messages import (
    check_anthropic_error,
    check_anthropic_message,
    check_anthropic_stream,
)
from tests.conformance.checker import check_openai
from tests.conformance.frames import Frame
from tests.conformance.openai_stream import check_openai_stream
from tests.gateway.matrix.asks import JSON, PARAMETERS, SCHEMA, TOOLS, Ask, Call, Finish, Image, Part, Pdf, Told, Usage


class Error(NamedTuple):
    """What a client learns. `code` and `param` None: this API does not show them."""

    message: str
    code: str | None = None
    param: str | None = None


class Surface(Protocol):
    """
    One API.

    `names`: what it calls the fields that are refused or dropped, by their name in OpenAI's chat. `withholds`: an
    answer that a provider withheld is an answer that says so.
    """

    path: str
    names: Mapping[str, str]
    withholds: bool

    def body(self, ask: Ask, model: str, *, stream: bool) -> JSON: ...

    def whole(self, value: Any) -> Told:
        """Checks that the API itself would have sent it."""
        ...

    def streamed(self, frames: Sequence[Frame]) -> Told:
        """Checks that the API itself would have sent it, and that it came to its end."""
        ...

    def broken(self, frames: Sequence[Frame]) -> Error:
        """Checks that the stream ended with one error, and with nothing that says it is whole."""
        ...

    def text(self, frames: Sequence[Frame]) -> str:
        """The text of a stream, whole or not."""
        ...

    def error(self, value: Any) -> Error: ...

    def shows(self, told: Told) -> Told:
        """What of an answer this API can show."""
        ...


def given(fields: Mapping[str, object]) -> JSON:
    """Without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


class Chat:
    """OpenAI's chat completions."""

    path = "/v1/chat/completions"
    names: Mapping[str, str] = {}
    withholds = False

    def body(self, ask: Ask, model: str, *, stream: bool) -> JSON:
        messages: list[JSON] = [{"role": "system", "content": ask.system}] if ask.system else []
        messages += [{"role": role, "content": self._content(parts)} for role, parts in ask.turns]
        if ask.said is not None:
            messages += ask.said.turn
            messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, text in ask.results.items()]
        schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
        return given(
            {
                "model": model,
                "messages": messages,
                "max_completion_tokens": ask.max_tokens,
                "temperature": ask.temperature,
                "top_p": ask.top_p,
                "stop": ask.stop,
                "tools": [self._tool(name) for name in TOOLS] if ask.tools else None,
                "tool_choice": {"type": "function", "function": {"name": ask.forced}}
                if ask.forced
                else ("auto" if ask.one_call else None),
                "parallel_tool_calls": False if ask.one_call else None,
                "response_format": schema if ask.schema else {"type": "json_object"} if ask.any_json else None,
                "reasoning_effort": "low" if ask.think else None,
                "n": ask.n if ask.n > 1 else None,
                "logprobs": True if ask.likely else None,
                "top_logprobs": ask.likely,
                "stream": True if stream else None,
                "stream_options": {"include_usage": True} if stream else None,
            }
        )

    def _tool(self, name: str) -> JSON:
        function = {"name": name, "description": TOOLS[name], "parameters": PARAMETERS}
        return {"type": "function", "function": function}

    def _content(self, parts: Sequence[Part]) -> object:
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(map(self._part, parts))

    def _part(self, part: Part) -> JSON:
        match part:
            case Image(url):
                return {"type": "image_url", "image_url": {"url": url}}
            case Pdf(name, data):
                file = {"filename": name, "file_data": f"data:application/pdf;base64,{data}"}
                return {"type": "file", "file": file}
            case str(text):
                return {"type": "text", "text": text}

    def whole(self, value: Any) -> Told:
        check_openai("CreateChatCompletionResponse", value)
        assert [choice["index"] for choice in value["choices"]] == list(range(len(value["choices"])))
        return self._told(value["choices"], value["usage"])

    def streamed(self, frames: Sequence[Frame]) -> Told:
        check_openai_stream("/v1/chat/completions", frames, include_usage=True)
        *chunks, last = [frame.json() for frame in frames[:-1]]
        choices: dict[int, JSON] = {}
        for chunk in chunks:
            for each in chunk["choices"]:
                self._add(choices.setdefault(each["index"], self._empty(each["index"])), each)
        return self._told([choice for _, choice in sorted(choices.items())], last["usage"])

    def _empty(self, index: int) -> JSON:
        message = {"role": "assistant", "content": None, "refusal": None}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": None}

    def _add(self, choice: JSON, piece: JSON) -> None:
        message, delta = choice["message"], piece["delta"]
        for name in ("content", "reasoning_content", "refusal"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for call in delta.get("tool_calls", ()):
            calls = message.setdefault("tool_calls", [])
            if call["index"] == len(calls):
                calls.append({**call, "function": {**call["function"]}})
                del calls[-1]["index"]
            else:
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        if piece["logprobs"]:
            choice["logprobs"] = choice["logprobs"] or {"content": []}
            choice["logprobs"]["content"] += piece["logprobs"]["content"]
        choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]

    def _told(self, choices: Sequence[JSON], usage: JSON) -> Told:
        first, *others = choices
        message = first["message"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        return Told(
            message["content"] or "",
            Usage(
                usage["prompt_tokens"],
                usage["completion_tokens"],
                usage["prompt_tokens_details"]["cached_tokens"],
                usage["completion_tokens_details"]["reasoning_tokens"],
            ),
            first["finish_reason"],
            tuple(
                Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls", ())
            ),
            message.get("reasoning_content", ""),
            message["refusal"] or "",
            others=tuple(other["message"]["content"] for other in others),
            likely=tuple(
                (entry["token"], len(entry["top_logprobs"])) for entry in (first["logprobs"] or {}).get("content", ())
            ),
            turn=[message],
        )

    def broken(self, frames: Sequence[Frame]) -> Error:
        check_openai_stream("/v1/chat/completions", frames, include_usage=True, failed=True)
        assert not any(choice["finish_reason"] for frame in frames[:-1] for choice in frame.json()["choices"])
        return self.error(frames[-1].json())

    def text(self, frames: Sequence[Frame]) -> str:
        values = [frame.json() for frame in frames if frame.data != "[DONE]"]
        choices = [choice for value in values for choice in value.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    def error(self, value: Any) -> Error:
        check_openai("ErrorResponse", value)
        error = value["error"]
        return Error(error["message"], error["code"], error["param"])

    def shows(self, told: Told) -> Told:
        return replace(told, stopped_by=None)


class Responses:
    """OpenAI's Responses."""

    path = "/v1/responses"
    names: Mapping[str, str] = {
        "messages": "input",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
    }
    withholds = False

    def body(self, ask: Ask, model: str, *, stream: bool) -> JSON:
        items: list[JSON] = [{"role": role, "content": self._content(parts)} for role, parts in ask.turns]
        if ask.said is not None:
            items += ask.said.turn
            items += [
                {"type": "function_call_output", "call_id": id, "output": text} for id, text in ask.results.items()
            ]
        tools = [
            {"type": "function", "name": name, "description": description, "parameters": PARAMETERS}
            for name, description in TOOLS.items()
        ]
        schema = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        shape = schema if ask.schema else {"type": "json_object"} if ask.any_json else None
        return given(
            {
                "model": model,
                "instructions": ask.system,
                "input": items,
                "max_output_tokens": ask.max_tokens,
                "temperature": ask.temperature,
                "top_p": ask.top_p,
                "tools": tools if ask.tools else None,
                "tool_choice": {"type": "function", "name": ask.forced}
                if ask.forced
                else ("auto" if ask.one_call else None),
                "parallel_tool_calls": False if ask.one_call else None,
                "text": {"format": shape} if shape else None,
                "reasoning": {"effort": "low"} if ask.think else None,
                "include": ["message.output_text.logprobs"] if ask.likely else None,
                "top_logprobs": ask.likely,
                "stream": True if stream else None,
            }
        )

    def _content(self, parts: Sequence[Part]) -> object:
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(map(self._part, parts))

    def _part(self, part: Part) -> JSON:
        match part:
            case Image(url):
                return {"type": "input_image", "image_url": url}
            case Pdf(name, data):
                return {"type": "input_file", "filename": name, "file_data": f"data:application/pdf;base64,{data}"}
            case str(text):
                return {"type": "input_text", "text": text}

    def whole(self, value: Any) -> Told:
        check_openai("Response", value)
        usage = value["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        items: dict[str, list[JSON]] = {}
        for item in value["output"]:
            items.setdefault(item["type"], []).append(item)
        calls = items.get("function_call", [])
        parts = [part for message in items.get("message", ()) for part in message["content"]]
        summary = [part for item in items.get("reasoning", ()) for part in item["summary"]]
        return Told(
            "".join(part.get("text", "") for part in parts),
            Usage(
                usage["input_tokens"],
                usage["output_tokens"],
                usage["input_tokens_details"]["cached_tokens"],
                usage["output_tokens_details"]["reasoning_tokens"],
            ),
            self._finish(value, called=bool(calls)),
            tuple(Call(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls),
            "".join(part["text"] for part in summary),
            "".join(part.get("refusal", "") for part in parts),
            likely=tuple(
                (entry["token"], len(entry["top_logprobs"])) for part in parts for entry in part.get("logprobs", ())
            ),
            turn=value["output"],
        )

    def _finish(self, value: JSON, *, called: bool) -> Finish:
        if value["status"] == "completed":
            assert value["incomplete_details"] is None
            return "tool_calls" if called else "stop"
        assert value["status"] == "incomplete"
        return "length" if value["incomplete_details"]["reason"] == "max_output_tokens" else "content_filter"

    def streamed(self, frames: Sequence[Frame]) -> Told:
        check_openai_stream("/v1/responses", frames)
        return self.whole(frames[-1].json()["response"])

    def broken(self, frames: Sequence[Frame]) -> Error:
        check_openai_stream("/v1/responses", frames[:-1], failed=True)
        *_, told, last = frames
        check_openai("ResponseStreamEvent", last.json())
        assert [frame.event for frame in frames].count("error") == 1
        assert (told.event, last.event) == ("error", "response.failed")
        error = told.json()
        assert last.json()["response"]["error"]["message"] == error["message"]
        return Error(error["message"], error["code"], error["param"])

    def text(self, frames: Sequence[Frame]) -> str:
        return "".join(frame.json()["delta"] for frame in frames if frame.event == "response.output_text.delta")

    def error(self, value: Any) -> Error:
        return Chat().error(value)

    def shows(self, told: Told) -> Told:
        return replace(told, stopped_by=None)


class Messages:
    """Anthropic's Messages."""

    path = "/v1/messages"
    names: Mapping[str, str] = {
        "response_format": "output_config.format",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    }
    withholds = True

    def body(self, ask: Ask, model: str, *, stream: bool) -> JSON:
        messages: list[JSON] = [{"role": role, "content": self._content(parts)} for role, parts in ask.turns]
        if ask.said is not None:
            results = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in ask.results.items()]
            messages += [{"role": "assistant", "content": ask.said.turn}, {"role": "user", "content": results}]
        tools = [
            {"name": name, "description": description, "input_schema": PARAMETERS}
            for name, description in TOOLS.items()
        ]
        choice = {"type": "tool", "name": ask.forced} if ask.forced else None
        schema = {"type": "json_schema", "schema": SCHEMA}
        return given(
            {
                "model": model,
                "system": ask.system,
                "messages": messages,
                "max_tokens": ask.max_tokens,
                "temperature": ask.temperature,
                "top_p": ask.top_p,
                "stop_sequences": [ask.stop] if ask.stop else None,
                "tools": tools if ask.tools else None,
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True} if ask.one_call else choice,
                "output_config": {"format": schema} if ask.schema else None,
                "thinking": {"type": "enabled", "budget_tokens": 1024} if ask.think else None,
                "stream": True if stream else None,
            }
        )

    def _content(self, parts: Sequence[Part]) -> object:
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(map(self._part, parts))

    def _part(self, part: Part) -> JSON:
        match part:
            case Image(url) if url.startswith("data:"):
                kind, _, data = url.removeprefix("data:").partition(";base64,")
                return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
            case Image(url):
                return {"type": "image", "source": {"type": "url", "url": url}}
            case Pdf(name, data):
                source = {"type": "base64", "media_type": "application/pdf", "data": data}
                return {"type": "document", "source": source, "title": name}
            case str(text):
                return {"type": "text", "text": text}

    def whole(self, value: Any) -> Told:
        check_anthropic_message(value)
        blocks: list[JSON] = value["content"]
        usage = value["usage"]
        cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        finishes: Mapping[str, Finish] = {
            "end_turn": "stop",
            "stop_sequence": "stop",
            "max_tokens": "length",
            "tool_use": "tool_calls",
            "refusal": "content_filter",
        }
        return Told(
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            Usage(
                usage["input_tokens"] + cached + written,
                usage["output_tokens"],
                cached,
                (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0),
            ),
            finishes[value["stop_reason"]],
            tuple(Call(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"),
            "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
            stopped_by=value["stop_sequence"],
            turn=blocks,
        )

    def streamed(self, frames: Sequence[Frame]) -> Told:
        check_anthropic_stream(frames)
        message: JSON = {}
        for event in (frame.json() for frame in frames):
            match event:
                case {"type": "message_start", "message": begun}:
                    message = begun
                case {"type": "content_block_start", "content_block": block}:
                    message["content"].append(block)
                case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}}:
                    message["content"][-1].setdefault("json", []).append(piece)
                case {"type": "content_block_delta", "delta": {"type": _, **pieces}}:
                    for name, piece in pieces.items():
                        message["content"][-1][name] += piece
                case {"type": "message_delta", "delta": delta, "usage": usage}:
                    message |= {**delta, "usage": usage}
        for block in message["content"]:
            if "json" in block:
                block["input"] = json.loads("".join(block.pop("json")))
        return self.whole(message)

    def broken(self, frames: Sequence[Frame]) -> Error:
        check_anthropic_stream(frames, failed=True)
        names = [frame.event for frame in frames]
        assert names.count("error") == 1
        assert "message_delta" not in names
        assert "message_stop" not in names
        return self.error(frames[-1].json())

    def text(self, frames: Sequence[Frame]) -> str:
        deltas = [frame.json()["delta"] for frame in frames if frame.event == "content_block_delta"]
        return "".join(delta.get("text", "") for delta in deltas)

    def error(self, value: Any) -> Error:
        check_anthropic_error(value)
        return Error(value["error"]["message"])

    def shows(self, told: Told) -> Told:
        """A refusal is what the model says, in words."""
        return replace(told, text=told.text or told.refusal, refusal="", likely=())


class Query:
    """The gateway's own: text alone."""

    path = "/query"
    names: Mapping[str, str] = {}
    withholds = False
    FIELDS = frozenset(
        {
            *("response", "provider", "model", "latency_ms", "status", "error", "cascade_path"),
            *("cost_estimate_usd", "usage", "request_id"),
        }
    )

    def body(self, ask: Ask, model: str, *, stream: bool) -> JSON:
        [(_, (prompt,))] = ask.turns
        return given(
            {
                "prompt": prompt,
                "system": ask.system,
                "model": model,
                "max_tokens": ask.max_tokens,
                "temperature": 1.0,
                "stream": True if stream else None,
            }
        )

    def whole(self, value: Any) -> Told:
        assert value.keys() == self.FIELDS
        assert (value["status"], value["error"]) == ("success", None)
        usage = value["usage"]
        assert usage.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        return Told(value["response"], Usage(usage["prompt_tokens"], usage["completion_tokens"], None, None), None)

    def streamed(self, frames: Sequence[Frame]) -> Told:
        *tokens, last = frames
        assert {frame.event for frame in tokens} <= {"token"}
        assert last.event == "done"
        told = self.whole(last.json())
        assert told.text == self.text(frames)
        return told

    def broken(self, frames: Sequence[Frame]) -> Error:
        *tokens, last = frames
        assert {frame.event for frame in tokens} <= {"token"}
        assert last.event == "error"
        value = last.json()
        assert value.keys() == self.FIELDS
        assert (value["status"], value["response"]) == ("error", None)
        return Error(value["error"])

    def text(self, frames: Sequence[Frame]) -> str:
        return "".join(frame.json()["text"] for frame in frames if frame.event == "token")

    def error(self, value: Any) -> Error:
        assert value.keys() == {"detail"}
        code, _, message = value["detail"].partition(": ")
        return Error(message, code)

    def shows(self, told: Told) -> Told:
        usage = replace(told.usage, cached=None, reasoning=None)
        return Told(told.text or told.refusal, usage, None)


CHAT, RESPONSES, MESSAGES, QUERY = Chat(), Responses(), Messages(), Query()
SURFACES: Mapping[str, Surface] = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "query": QUERY}
