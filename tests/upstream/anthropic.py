"""Anthropic's Messages API and the token count beside it."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import ClassVar, TypeVar

from pydantic import ValidationError

from tests.upstream.anthropic_schema import (
    AnyBlock,
    Base64Image,
    Base64Pdf,
    ChoiceAny,
    ChoiceTool,
    Counted,
    Create,
    CustomTool,
    Document,
    Image,
    RedactedThought,
    Text,
    ThinkingEnabled,
    Thought,
    ToolResult,
    ToolUse,
)
from tests.upstream.behaviours import Answer, Chat, Ordinary
from tests.upstream.recorded import Request
from tests.upstream.schema import Problem, deepest, is_base64, objects, words_in
from tests.upstream.signatures import signature
from tests.upstream.wire import (
    Call,
    Event,
    Json,
    Refused,
    Reply,
    Rules,
    Script,
    Turn,
    Wire,
    bearer,
    chat_of,
    fit,
    plain_of,
)

Body = TypeVar("Body", bound=Counted)
NOT_IN_SCHEMAS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"})
"""Constraints that structured outputs refuse."""


class AnthropicWire(Wire):
    """The Messages API, versions 2023-06-01 and 2026-10-21 (which refuses the sampling parameters)."""

    types: ClassVar[Mapping[int, tuple[str, str]]] = {
        400: ("invalid_request_error", "Invalid request."),
        401: ("authentication_error", "invalid x-api-key"),
        402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
        403: ("permission_error", "Your API key does not have permission to use the specified resource."),
        404: ("not_found_error", "Not found"),
        409: ("conflict_error", "Conflict"),
        413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
        429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
        500: ("api_error", "Internal server error"),
        504: ("timeout_error", "Request timed out"),
        529: ("overloaded_error", "Overloaded"),
    }
    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "x-api-key header is required"),
        "bad_key": (401, "", "invalid x-api-key"),
        "context": (400, "", "prompt is too long: 200001 tokens > 200000 maximum"),
        "quota": (429, "enforced_spend_limit_reached", "You have reached your specified API usage limits."),
        "model": (404, "", "model: {model}"),
    }
    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "refusal",
        "tool_calls": "tool_use",
    }

    # Reading.

    def sent_key(self, request: Request) -> str:
        # Both are taken, and x-api-key wins.
        return request.header("x-api-key") or bearer(request)

    def check_version(self, request: Request) -> str:
        version = request.header("anthropic-version")
        said = "header is required" if version is None else "unknown"
        self.require(version in {"2023-06-01", "2026-10-21"}, f"anthropic-version: {said}")
        assert version is not None
        return version

    def parse(self, shape: type[Body], request: Request) -> tuple[Body, Json]:
        """Read a body as that version of the API reads it."""
        version = self.check_version(request)
        body = self.load(request)
        for name, field in shape.model_fields.items():
            self.require(not field.is_required() or body.get(name) is not None, f"{name}: Field required")
        if version == "2026-10-21":
            for name in ("temperature", "top_k", "top_p"):
                self.require(name not in body, f"{name}: Extra inputs are not permitted")
        try:
            read = shape.model_validate(body)
        except ValidationError as error:
            raise Refused(self.misfit(deepest(error, body))) from error
        self.check_messages(read, version)
        self.check_turns(read)
        self.check_tools(read)
        self.check_thinking(read)
        return read, body

    def misfit(self, problem: Problem) -> Reply:
        """The API speaks as pydantic does, the names of blocks in the location included."""
        steps = [str(step) for step in problem.tagged if step != "str" and not str(step).startswith(("list[", "dict["))]
        return self.error(400, f"{'.'.join(steps)}: {problem.message}")

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        read, body = self.parse(Create, request)
        self.check_sampling(read)
        self.check_model(read.model, rules)
        last = read.messages[-1]
        prefill = (
            "".join(block.text for block in last.blocks if isinstance(block, Text)) if last.role == "assistant" else ""
        )
        if prefill:
            message = "This model does not support assistant message prefill. It must end with a user message."
            self.require(rules.prefill, message)
        message = "messages: final assistant content cannot end with trailing whitespace"
        self.require(prefill == prefill.rstrip(), message)
        return Call(
            number,
            read.model,
            stream=read.stream,
            limit=read.max_tokens,
            stop=tuple(read.stop_sequences),
            prefill=prefill,
            body=body,
        )

    def check_messages(self, read: Counted, version: str) -> None:
        self.require(read.messages, "messages: at least one message is required")
        for index, message in enumerate(read.messages):
            self.require(message.content, f"messages.{index}: all messages must have non-empty content")
            for at, block in enumerate(message.blocks):
                self.check_block(block, message.role, version, f"messages.{index}.content.{at}")
        self.require(read.messages[0].role == "user", "messages: first message must use the 'user' role")
        for text in read.system if isinstance(read.system, list) else []:
            self.require(text.text.strip(), "system: text content blocks must contain non-whitespace text")

    def check_block(self, block: AnyBlock, role: str, version: str, where: str) -> None:
        match block:
            case Text():
                self.require(block.text, "messages: text content blocks must be non-empty")
                message = "messages: text content blocks must contain non-whitespace text"
                self.require(block.text.strip(), message)
                cited = version == "2026-10-21" and role == "user" and block.citations
                self.require(not cited, f"{where}.text.citations: Extra inputs are not permitted")
            case Image() | Document():
                kind, source = block.type, block.source
                allowed = role == "user" or (isinstance(block, Document) and version == "2023-06-01")
                self.require(allowed, f"{where}: `{kind}` blocks are not permitted in `assistant` messages")
                if isinstance(source, Base64Image | Base64Pdf):
                    message = f"{where}.{kind}.source.base64: invalid base64 data"
                    self.require(is_base64(source.data), message)
            case ToolUse():
                self.require(role == "assistant", f"{where}: `tool_use` blocks can only be in `assistant` messages")
            case ToolResult():
                self.require(role == "user", f"{where}: `tool_result` blocks can only be in `user` messages")
                for inner in block.content if isinstance(block.content, list) else []:
                    self.check_inner(inner, version, where)
            case Thought():
                self.require(role == "assistant", f"{where}: `thinking` blocks can only be in `assistant` messages")
                genuine = block.signature == signature(block.thinking)
                self.require(genuine, f"{where}: Invalid `signature` in `thinking` block")
            case _:
                pass

    def check_inner(self, block: object, version: str, where: str) -> None:
        if isinstance(block, Text | Image | Document):
            self.check_block(block, "user", version, f"{where}.tool_result.content")

    def check_turns(self, read: Counted) -> None:
        """Each tool_use is answered by a tool_result that the next turn begins with. Neighbours of one role are one."""
        turns = [
            (role, [b for one in group for b in one.blocks])
            for role, group in groupby(read.messages, lambda one: one.role)
        ]
        uses: list[str] = []
        for index, (_, blocks) in enumerate(turns):
            results = [block.tool_use_id for block in blocks if isinstance(block, ToolResult)]
            for at, result in enumerate(results):
                message = (
                    f"messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {result}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
                self.require(result in uses, message)
                message = (
                    f"each tool_use must have a single result. Found multiple `tool_result` blocks with id: {result}"
                )
                self.require(results.count(result) == 1, f"messages.{index}.content.{at}: {message}")
            leading = [block.tool_use_id for block in blocks[: len(results)] if isinstance(block, ToolResult)]
            self.check_answered(index - 1, [use for use in uses if use not in leading])
            uses = [block.id for block in blocks if isinstance(block, ToolUse)]
            self.require(len(set(uses)) == len(uses), f"messages.{index}: `tool_use` ids must be unique")
        self.check_answered(len(turns) - 1, uses)

    def check_answered(self, index: int, missing: Sequence[str]) -> None:
        message = (
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )
        self.require(not missing, message)

    def check_tools(self, read: Counted) -> None:
        names = [tool.name for tool in read.tools]
        self.require(len(set(names)) == len(names), "tools: Tool names must be unique.")
        choice = read.tool_choice
        chosen = "tool_choice" in read.model_fields_set
        self.require(not chosen or names, "tool_choice: tool_choice may only be specified while providing tools")
        if isinstance(choice, ChoiceTool):
            self.require(
                choice.name in names, f"tool_choice.tool.name: Tool '{choice.name}' not found in provided tools"
            )
        for index, tool in enumerate(read.tools):
            if isinstance(tool, CustomTool) and tool.strict:
                self.check_schema(tool.input_schema.model_dump(), f"tools.{index}.custom.input_schema")
        output = read.output_config.format
        if output is not None:
            self.check_schema(output.schema_, "output_config.format.schema")

    def check_schema(self, schema: object, where: str) -> None:
        for one in objects(schema):
            message = f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            self.require(one.get("additionalProperties") is False, message)
            properties = one.get("properties")
            for inner in properties.values() if isinstance(properties, dict) else ():
                found = sorted(NOT_IN_SCHEMAS & set(inner)) if isinstance(inner, dict) else []
                message = f"{where}: For '{inner.get('type')}' type, properties {', '.join(found)} are not supported"
                self.require(not found, message)

    def check_thinking(self, read: Counted) -> None:
        if not isinstance(read.thinking, ThinkingEnabled):
            return
        forced = isinstance(read.tool_choice, ChoiceAny | ChoiceTool)
        self.require(not forced, "Thinking may not be enabled when tool_choice forces tool use.")
        # The assistant's last turn, its tool calls or a prefill, must begin with its thought.
        last = max((at for at, one in enumerate(read.messages) if one.role == "assistant"), default=None)
        if last is None:
            return
        blocks = read.messages[last].blocks
        bound = last == len(read.messages) - 1 or any(isinstance(block, ToolUse) for block in blocks)
        message = (
            f"messages.{last}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{blocks[0].type}`. When `thinking` is enabled, a final `assistant` message must start with a thinking "
            "block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
        self.require(not bound or isinstance(blocks[0], Thought | RedactedThought), message)

    def check_sampling(self, read: Create) -> None:
        for index, mark in enumerate(read.stop_sequences):
            message = f"stop_sequences.{index}: each stop sequence must contain non-whitespace"
            self.require(mark.strip(), message)
        if isinstance(read.thinking, ThinkingEnabled):
            budget = read.thinking.budget_tokens
            self.require(read.max_tokens > budget, "`max_tokens` must be greater than `thinking.budget_tokens`.")
            self.require(read.temperature == 1, "`temperature` may only be set to 1 when thinking is enabled.")
            self.require("top_k" not in read.model_fields_set, "`top_k` must be unset when thinking is enabled.")
            self.require(
                read.top_p >= 0.95, "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
            )

    # Refusing.

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        other = "api_error" if status >= 500 else "invalid_request_error"
        kind, text = self.types.get(status, (other, "The request failed."))
        error: Json = {"type": kind, "message": message or text}
        if code:
            error["details"] = {"error_code": code}
        body = {"type": "error", "error": error, "request_id": "req_0123456789abcdef"}
        return Reply(status, body, {"request-id": "req_0123456789abcdef"})

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            "request-id": f"req_{call.hex}",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
        }

    # Answering.

    def message(self, call: Call, turn: Turn, content: list[Json], usage: Json) -> Json:
        counts = {
            "input_tokens": turn.input_tokens - turn.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": turn.cached_tokens,
        }
        return {
            "id": f"msg_{call.hex}",
            "type": "message",
            "role": "assistant",
            "model": turn.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts | usage,
        }

    def usage(self, turn: Turn) -> Json:
        """Thinking is inside the output, and told apart beside it."""
        usage: Json = {"output_tokens": turn.output_tokens + turn.reasoning_tokens}
        if turn.reasoning_tokens:
            usage["output_tokens_details"] = {"thinking_tokens": turn.reasoning_tokens}
        return usage

    def stop(self, turn: Turn) -> Json:
        if turn.stopped_by is not None:
            return {"stop_reason": "stop_sequence", "stop_sequence": turn.stopped_by}
        return {"stop_reason": self.finishes[turn.finish], "stop_sequence": None}

    def blocks(self, call: Call, turn: Turn) -> list[tuple[Json, Json, list[Json]]]:
        """Each block of the answer: whole, as it opens in a stream, and the deltas that fill it."""
        found: list[tuple[Json, Json, list[Json]]] = []
        if turn.thoughts:
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            signed = signature(turn.thought)
            deltas: list[Json] = [{"type": "thinking_delta", "thinking": word} for word in turn.thoughts]
            deltas.append({"type": "signature_delta", "signature": signed})
            found.append(({**empty, "thinking": turn.thought, "signature": signed}, empty, deltas))
        if turn.words:
            deltas = [{"type": "text_delta", "text": word} for word in turn.words]
            found.append(({"type": "text", "text": turn.text}, {"type": "text", "text": ""}, deltas))
        for index, tool in enumerate(turn.calls):
            use: Json = {"type": "tool_use", "id": f"toolu_{call.number:020x}{index:04x}", "name": tool.name}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *tool.pieces)]
            found.append(({**use, "input": dict(tool.arguments)}, {**use, "input": {}}, deltas))
        return found

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        turn = fit(call, chat_of(ordinary))
        content = [block for block, _, _ in self.blocks(call, turn)]
        return {**self.message(call, turn, content, self.usage(turn)), **self.stop(turn)}

    def event(self, name: str, **data: object) -> Event:
        return Event({"type": name, **data}, name)

    def script(self, call: Call, chat: Chat) -> Script:
        """A block opens with its first token; the one before it is closed by then."""
        turn = fit(call, chat)
        head = [self.event("message_start", message=self.message(call, turn, [], {"output_tokens": 1}))]
        tail: list[Event] = []
        tokens: list[tuple[Event, ...]] = []
        for index, (_, empty, deltas) in enumerate(self.blocks(call, turn)):
            opening = [*tail, self.event("content_block_start", index=index, content_block=empty)]
            if index == 0:
                head, opening = [*head, *opening], []
            for delta in deltas:
                tokens.append((*opening, self.event("content_block_delta", index=index, delta=delta)))
                opening = []
            tail = [self.event("content_block_stop", index=index)]
        end = self.event("message_delta", delta=self.stop(turn), usage=self.usage(turn))
        return Script(
            head=(*head, self.event("ping")),
            tokens=tuple(tokens),
            tail=(*tail, end),
            end=(self.event("message_stop"),),
        )

    def blocked(self, call: Call) -> Reply:
        return Reply(200, self.whole(call, Answer(finish="content_filter")))

    def blocked_script(self, call: Call) -> Script:
        """An ordinary stream that ends so."""
        return self.script(call, Answer(finish="content_filter"))

    def empty(self, call: Call) -> Json:
        return self.whole(call, Answer(text=""))

    def empty_script(self, call: Call) -> Script:
        return self.script(call, Answer(text=""))

    def failure(self, call: Call) -> Event:
        body = self.error(529).body
        assert isinstance(body, dict)
        return Event(body, "error")


class AnthropicCount(AnthropicWire):
    """`/v1/messages/count_tokens`. A word is a token."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        read, body = self.parse(Counted, request)
        self.check_model(read.model, rules)
        said = [message["content"] for message in body["messages"]]
        tokens = words_in([said, body.get("system"), body.get("tools")])
        return Call(number, read.model, kind="count", body={"tokens": tokens})

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        plain_of(ordinary)
        return {"input_tokens": call.body["tokens"]}

    def blocked(self, call: Call) -> Reply:
        return self.error(400)

    def empty(self, call: Call) -> Json:
        return {}
