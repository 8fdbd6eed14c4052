"""What people do with a chat API, through the official SDKs on the gateway's three surfaces, whoever is behind it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.serving import CLIENT_KEY

JSON = dict[str, Any]

PARAMETERS: JSON = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ANSWER: JSON = {**PARAMETERS, "additionalProperties": False}
"""The JSON Schema of an answer."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    An answer, in no API's words; a stream's pieces are put together.

    `calls` as id, name, arguments. `output_tokens` 0: not told.
    """

    text: str
    calls: Sequence[tuple[str, str, Any]]
    stopped: str
    output_tokens: int


class Surface(Protocol):
    """One API through its own SDK. `question` is the user's turn; `done` are calls of before, with their results."""

    stopped: str
    called: str

    async def __call__(
        self,
        url: str,
        model: str,
        question: str,
        *,
        stream: bool,
        tools: Sequence[str] = (),
        done: Sequence[tuple[tuple[str, str, Any], str]] = (),
        schema: bool = False,
    ) -> Said: ...


def openai_client(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=20)


def anthropic_client(url: str) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, api_key=CLIENT_KEY, max_retries=0, timeout=20)


def address(client: httpx.AsyncClient) -> str:
    return str(client.base_url).rstrip("/")


class Chat:
    """`/v1/chat/completions`."""

    stopped, called = "stop", "tool_calls"

    async def __call__(
        self,
        url: str,
        model: str,
        question: str,
        *,
        stream: bool,
        tools: Sequence[str] = (),
        done: Sequence[tuple[tuple[str, str, Any], str]] = (),
        schema: bool = False,
    ) -> Said:
        messages: list[JSON] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
        if done:
            made = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": orjson.dumps(given).decode()}}
                for (id, name, given), _ in done
            ]
            messages.append({"role": "assistant", "content": None, "tool_calls": made})
            messages += [{"role": "tool", "tool_call_id": id, "content": result} for (id, _, _), result in done]
        asked: JSON = {"model": model, "messages": messages}
        if tools:
            asked["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in tools
            ]
        if schema:
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": ANSWER, "strict": True},
            }
        async with openai_client(url) as sdk:
            if not stream:
                answer = await sdk.chat.completions.create(**asked)
                [choice] = answer.choices
                whole = [
                    (call.id, call.function.name, orjson.loads(call.function.arguments))
                    for call in choice.message.tool_calls or ()
                    if call.type == "function"
                ]
                counted = answer.usage.completion_tokens if answer.usage is not None else 0
                return Said(choice.message.content or "", whole, choice.finish_reason, counted)
            text, stopped, tokens = "", "", 0
            calls: dict[int, list[str]] = {}
            chunks = await sdk.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
            async for chunk in chunks:
                tokens = chunk.usage.completion_tokens if chunk.usage is not None else tokens
                for part in chunk.choices:
                    text += part.delta.content or ""
                    stopped = part.finish_reason or stopped
                    for piece in part.delta.tool_calls or ():
                        call = calls.setdefault(piece.index, [piece.id or "", "", ""])
                        assert piece.function is not None
                        call[1] += piece.function.name or ""
                        call[2] += piece.function.arguments or ""
            found = [(id, name, orjson.loads(arguments)) for id, name, arguments in calls.values()]
            return Said(text, found, stopped, tokens)


class Responses:
    """`/v1/responses`. Its status does not tell calls from words."""

    stopped = called = "completed"

    async def __call__(
        self,
        url: str,
        model: str,
        question: str,
        *,
        stream: bool,
        tools: Sequence[str] = (),
        done: Sequence[tuple[tuple[str, str, Any], str]] = (),
        schema: bool = False,
    ) -> Said:
        items: list[JSON] = [{"role": "user", "content": question}]
        for (id, name, given), _ in done:
            arguments = orjson.dumps(given).decode()
            items.append({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
        items += [{"type": "function_call_output", "call_id": id, "output": result} for (id, _, _), result in done]
        asked: JSON = {"model": model, "input": items, "instructions": "Be brief."}
        if tools:
            asked["tools"] = [
                {"type": "function", "name": name, "parameters": PARAMETERS, "strict": False} for name in tools
            ]
        if schema:
            asked["text"] = {"format": {"type": "json_schema", "name": "place", "schema": ANSWER, "strict": True}}
        async with openai_client(url) as sdk:
            if not stream:
                answer = await sdk.responses.create(**asked)
            else:
                text = ""
                pieces: dict[int, str] = {}
                async for event in await sdk.responses.create(**asked, stream=True):
                    if event.type == "response.output_text.delta":
                        text += event.delta
                    elif event.type == "response.function_call_arguments.delta":
                        pieces[event.output_index] = pieces.get(event.output_index, "") + event.delta
                    elif event.type == "response.completed":
                        answer = event.response
                assert answer.output_text == text
                made = [item.arguments for item in answer.output if item.type == "function_call"]
                assert made == list(pieces.values())
            calls = [
                (item.call_id, item.name, orjson.loads(item.arguments))
                for item in answer.output
                if item.type == "function_call"
            ]
            tokens = answer.usage.output_tokens if answer.usage is not None else 0
            return Said(answer.output_text, calls, answer.status or "", tokens)


class Messages:
    """`/v1/messages`."""

    stopped, called = "end_turn", "tool_use"

    async def __call__(
        self,
        url: str,
        model: str,
        question: str,
        *,
        stream: bool,
        tools: Sequence[str] = (),
        done: Sequence[tuple[tuple[str, str, Any], str]] = (),
        schema: bool = False,
    ) -> Said:
        messages: list[JSON] = [{"role": "user", "content": question}]
        if done:
            uses = [{"type": "tool_use", "id": id, "name": name, "input": given} for (id, name, given), _ in done]
            results = [{"type": "tool_result", "tool_use_id": id, "content": result} for (id, _, _), result in done]
            messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
        asked: JSON = {"model": model, "max_tokens": 200, "system": "Be brief.", "messages": messages}
        if tools:
            asked["tools"] = [{"name": name, "input_schema": PARAMETERS} for name in tools]
        if schema:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": ANSWER}}
        async with anthropic_client(url) as sdk:
            if stream:
                streaming: AbstractAsyncContextManager[Any] = sdk.messages.stream(**asked)
                async with streaming as events:
                    text = "".join([piece async for piece in events.text_stream])
                    answer = await events.get_final_message()
                assert text == "".join(block.text for block in answer.content if block.type == "text")
            else:
                answer = await sdk.messages.create(**asked)
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
        return Said(text, calls, answer.stop_reason or "", answer.usage.output_tokens)


SURFACES: dict[str, Surface] = {"chat": Chat(), "responses": Responses(), "messages": Messages()}
