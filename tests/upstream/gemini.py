"""Gemini's generateContent, the token count beside it, and what its other endpoints share with it."""

import re
from collections.abc import Mapping
from typing import ClassVar, TypeVar
from urllib.parse import unquote

import orjson
from pydantic import ValidationError

from tests.upstream import google_errors
from tests.upstream.behaviours import Answer, Chat, Ordinary, Verdict
from tests.upstream.gemini_schema import (
    Content,
    CountTokens,
    FunctionCall,
    FunctionResponse,
    GenerateContent,
    GoogleShape,
    Part,
    Schema,
)
from tests.upstream.recorded import Request
from tests.upstream.schema import deepest, dotted, is_base64, words_in
from tests.upstream.signatures import is_signed, signature
from tests.upstream.wire import Call, Event, Json, Refused, Reply, Rules, Script, Turn, Wire, chat_of, fit, plain_of

PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<action>\w+)")
CATEGORIES = ("sexual", "hate", "harassment", "dangerous", "civic")
MEDIA = re.compile(r"image/(png|jpeg|webp|heic|heif)|(audio|video)/[\w.+-]+|application/pdf|text/[\w.+-]+")
"""What models read. Notably not image/gif."""

Body = TypeVar("Body", bound=GoogleShape)


def model_in(request: Request) -> str:
    """The model that the path names."""
    found = PATH.fullmatch(request.path)
    assert found, request.path
    return unquote(found["model"])


class GoogleWire(Wire):
    """What Gemini's endpoints have in common: the key's header, the errors, the way a body is read."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = google_errors.FAULTS
    message: ClassVar[str] = "GenerateContentRequest"

    def sent_key(self, request: Request) -> str:
        # A key in the query works at Google and leaks into every log on the way: here it is no key.
        return request.header("x-goog-api-key") or ""

    def parse(self, shape: type[Body], request: Request) -> Body:
        body = self.load(request)
        try:
            return shape.model_validate(body)
        except ValidationError as error:
            problem = deepest(error, body)
            where = re.sub(r"(?<=[a-z])[A-Z]", lambda letter: f"_{letter[0].lower()}", dotted(problem.path))
            if problem.kind == "extra_forbidden":
                raise Refused(self.error(400, google_errors.unknown(where))) from error
            if problem.kind == "missing":
                raise Refused(self.error(400, f"* {self.message}.{where}: {where} is not specified")) from error
            given = orjson.dumps(problem.given, default=str).decode()
            message = f"Invalid value at '{where}', {given}: {problem.message}"
            raise Refused(self.error(400, message)) from error

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return Reply(status, google_errors.body(status, message, code=code))

    def limited(self, status: int, retry_after_s: float) -> Reply:
        return Reply(status, google_errors.limited(status, retry_after_s))


class GeminiWire(GoogleWire):
    """generateContent, whole and streamed."""

    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "STOP",
        "length": "MAX_TOKENS",
        "content_filter": "SAFETY",
        "tool_calls": "STOP",
    }

    # Reading.

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        model = model_in(request)
        body = self.parse(GenerateContent, request)
        self.check_body(body, model)
        self.check_model(model, rules)
        last = body.contents[-1]
        prefill = "".join(part.text or "" for part in last.parts) if last.role == "model" else ""
        if prefill:
            self.require(rules.prefill, "Please ensure that multiturn requests end with a user turn.")
        config = body.generation_config
        stream = request.path.endswith(":streamGenerateContent")
        return Call(
            number,
            model,
            kind="verdict" if is_verdict(config.response_schema) else "chat",
            stream=stream,
            limit=config.max_output_tokens,
            stop=tuple(config.stop_sequences),
            prefill=prefill,
            choices=config.candidate_count or 1,
            array=stream and request.query.get("alt") != ("sse",),
            body=body.model_dump(by_alias=True, exclude_none=True),
        )

    def check_body(self, body: GenerateContent, model: str) -> None:
        self.check_contents(body.contents)
        if body.system_instruction is not None:
            self.check_parts(body.system_instruction, "system_instruction")
        self.check_turns(body.contents, signed=is_signed(model))
        self.check_tools(body, model)
        self.check_config(body, model)

    def check_contents(self, contents: list[Content]) -> None:
        self.require(contents, "* GenerateContentRequest.contents: contents is not specified")
        for index, content in enumerate(contents):
            self.require(content.role in {None, "user", "model"}, "Please use a valid role: user, model.")
            self.check_parts(content, f"contents[{index}]")

    def check_parts(self, content: Content, where: str) -> None:
        self.require(content.parts, f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
        for index, part in enumerate(content.parts):
            at = f"{where}.parts[{index}]"
            self.require(len(part.data) <= 1, f"Invalid value at '{at}': oneof field 'data' is already set.")
            # An empty text stands only where it carries a signature, as the last chunk of a stream does.
            message = f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
            self.require(any(part.data) or part.thought_signature, message)
            self.check_media(part, at)

    def check_media(self, part: Part, at: str) -> None:
        kind = None
        if part.inline_data is not None:
            message = f"Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
            either = part.inline_data.data.replace("-", "+").replace("_", "/")
            self.require(is_base64(either), message)
            kind = part.inline_data.mime_type
        elif part.file_data is not None:
            self.require(
                part.file_data.file_uri, f"* GenerateContentRequest.{at}.file_data.file_uri: must not be empty"
            )
            kind = part.file_data.mime_type
        self.require(kind is None or MEDIA.fullmatch(kind), f"Unsupported MIME type: {kind}")

    def check_turns(self, contents: list[Content], *, signed: bool) -> None:
        """Calls come from the model, and the next turn answers each of them by name."""
        calls: list[FunctionCall] = []
        speech = [at for at, one in enumerate(contents) if one.role != "model" and not _responses(one)]
        for index, content in enumerate(contents):
            responses = _responses(content)
            message = (
                "Please ensure that the number of function response parts is equal to the number of function call "
            )
            self.require(len(responses) == len(calls), f"{message}parts of the function call turn.")
            for call in calls:
                same = [r for r in responses if r.name == call.name and (not r.id or not call.id or r.id == call.id)]
                message = f"* GenerateContentRequest.contents[{index}]: no function_response answers '{call.name}'."
                self.require(same, message)
                responses.remove(same[0])
            sent = [part for part in content.parts if part.function_call is not None]
            calls = [part.function_call for part in sent if part.function_call is not None]
            message = (
                "Please ensure that function call turn comes immediately after a user turn or a function response."
            )
            previous = contents[index - 1].role if index else "model"
            self.require(not calls or (content.role == "model" and previous != "model"), message)
            message = "Please ensure that function response turn comes immediately after a function call turn."
            self.require(content.role != "model" or not _responses(content), message)
            # Turns before the user last spoke are not looked at, nor any but the first of parallel calls.
            if calls and signed and index > max(speech, default=-1):
                problem = google_errors.signature_problem(sent[0].thought_signature, calls[0].name)
                self.require(problem is None, problem or "")
        message = "Please ensure that function call turn is followed by a function response turn."
        self.require(not calls, message)

    def check_tools(self, body: GenerateContent, model: str) -> None:
        declared = [function for tool in body.tools for function in tool.function_declarations]
        names = [function.name for function in declared]
        twice = next((name for name in names if names.count(name) > 1), None)
        self.require(twice is None, f"Duplicate function declaration found: {twice}")
        for function in declared:
            both = function.parameters is not None and function.parameters_json_schema is not None
            message = f"parameters and parameters_json_schema must not both be set for function '{function.name}'."
            self.require(not both, message)
        config = body.tool_config.function_calling_config if body.tool_config else None
        if config is not None:
            self.require(declared, "Function calling config is set without function_declarations.")
            allowed = config.allowed_function_names
            message = "Allowed function names should only be set when the function calling mode is ANY or VALIDATED."
            self.require(not allowed or config.mode in {"ANY", "VALIDATED"}, message)
            missing = next((name for name in allowed if name not in names), None)
            self.require(missing is None, f"Allowed function name '{missing}' is not declared.")
        kind = body.generation_config.response_mime_type
        message = f"Function calling with a response mime type: '{kind}' is unsupported"
        self.require(not declared or kind in {None, "text/plain"} or is_signed(model), message)

    def check_config(self, body: GenerateContent, model: str) -> None:
        config = body.generation_config
        schemas = (config.response_schema, config.response_json_schema)
        self.require(None in schemas, "response_schema and response_json_schema must not both be set.")
        shaped = config.response_mime_type in {"application/json", "text/x.enum"}
        message = "response_mime_type must be application/json or text/x.enum when a response schema is set."
        self.require(schemas == (None, None) or shaped, message)
        message = "logprobs must only be set when response_logprobs is true."
        self.require(config.logprobs is None or config.response_logprobs, message)
        thinking = config.thinking_config
        if thinking is not None:
            both = thinking.thinking_budget is not None and thinking.thinking_level is not None
            self.require(not both, "You can only set only one of thinking budget and thinking level.")
            old = re.match(r"gemini-[12]\.", model) is not None and thinking.thinking_level is not None
            self.require(not old, "Thinking level is not supported for this model.")
        categories = [setting.category for setting in body.safety_settings]
        message = "* GenerateContentRequest.safety_settings: element predicate failed: no more than one per category"
        self.require(len(set(categories)) == len(categories), message)

    # Answering.

    def chunk(self, call: Call, turn: Turn, parts: list[Json], finish: str | None, sent: int, thought: int) -> Json:
        """One GenerateContentResponse: the whole answer, or a piece whose usage counts what has been sent so far."""
        candidate: Json = {"content": {"role": "model", "parts": parts}} if parts else {}
        if finish is not None:
            candidate["finishReason"] = finish
        usage: Json = {"promptTokenCount": turn.input_tokens}
        # Google leaves out counts of zero.
        for name, count in (
            ("candidatesTokenCount", sent * call.choices),
            ("thoughtsTokenCount", thought),
            ("cachedContentTokenCount", turn.cached_tokens),
        ):
            if count:
                usage[name] = count
        usage["totalTokenCount"] = turn.input_tokens + sent * call.choices + thought
        return {
            "candidates": [{"index": index, **candidate} for index in range(call.choices)],
            "usageMetadata": usage,
            "modelVersion": turn.model,
            "responseId": call.hex,
        }

    def calls(self, call: Call, turn: Turn) -> list[Json]:
        parts: list[Json] = []
        for index, tool in enumerate(turn.calls):
            name = {"id": f"{call.number:06x}{index:02x}"} if turn.with_ids else {}
            part: Json = {"functionCall": {**name, "name": tool.name, "args": dict(tool.arguments)}}
            # Of parallel calls only the first is signed.
            if index == 0 and is_signed(call.model):
                part["thoughtSignature"] = signature(tool.name)
            parts.append(part)
        return parts

    def turn(self, call: Call, ordinary: Ordinary) -> Turn:
        if isinstance(ordinary, Verdict):
            assert call.kind == "verdict", "a chat was given a verdict"
            ordinary = filled(call.body["generationConfig"]["responseSchema"], ordinary)
        return fit(call, chat_of(ordinary))

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        turn = self.turn(call, ordinary)
        parts: list[Json] = [{"text": turn.thought, "thought": True}] if turn.thought else []
        parts += [{"text": turn.text}] if turn.text else []
        finish = self.finishes[turn.finish]
        return self.chunk(call, turn, parts + self.calls(call, turn), finish, turn.output_tokens, turn.reasoning_tokens)

    def script(self, call: Call, chat: Chat) -> Script:
        turn = fit(call, chat)
        said: list[Json] = [{"text": word} for word in turn.words] + self.calls(call, turn)
        hidden = turn.reasoning_tokens - len(turn.thoughts)
        thoughts = [
            self.chunk(call, turn, [{"text": word, "thought": True}], None, 0, hidden + count)
            for count, word in enumerate(turn.thoughts, 1)
        ]
        spoken = [
            self.chunk(call, turn, [part], None, count, turn.reasoning_tokens) for count, part in enumerate(said, 1)
        ]
        # The last chunk has an empty text only if there was some before.
        last: list[Json] = [{"text": ""}] if turn.text and not turn.calls else []
        finish = self.finishes[turn.finish]
        end = self.chunk(call, turn, last, finish, turn.output_tokens, turn.reasoning_tokens)
        return Script(head=(), tokens=tuple((Event(one),) for one in (*thoughts, *spoken)), tail=(Event(end),))

    def blocked(self, call: Call) -> Reply:
        ratings = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
        body = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}, **self.empty(call)}
        return Reply(200, body)

    def empty(self, call: Call) -> Json:
        body = self.chunk(call, fit(call, Answer(text="")), [], None, 0, 0)
        del body["candidates"]
        return body

    def empty_script(self, call: Call) -> Script:
        return Script((), (), (Event(self.empty(call)),))


def _responses(content: Content) -> list[FunctionResponse]:
    return [part.function_response for part in content.parts if part.function_response is not None]


def is_verdict(schema: Schema | None) -> bool:
    """A schema that asks for all five of the gateway's categories."""
    names = " ".join((schema.properties if schema else None) or {}).lower()
    return all(category in names for category in CATEGORIES)


def filled(schema: Json, verdict: Verdict) -> Answer:
    """Fill in the schema that was asked for: a number per category, a string for the reason."""
    properties: Json = schema["properties"]
    found: Json = {}
    for name, kind in properties.items():
        wanted = str(kind.get("type", "")).upper()
        word = next((category for category in CATEGORIES if category in name.lower()), None)
        if wanted in {"NUMBER", "INTEGER"} and word:
            found[name] = getattr(verdict, word)
        elif wanted == "BOOLEAN":
            found[name] = verdict.is_flagged
        elif wanted == "STRING":
            found[name] = verdict.reason
    return Answer(text=orjson.dumps(found).decode())


class GeminiCount(GeminiWire):
    """`:countTokens`: bare contents, or a whole request under `generateContentRequest`. A word is a token."""

    message: ClassVar[str] = "CountTokensRequest"

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        model = model_in(request)
        body = self.parse(CountTokens, request)
        whole = body.generate_content_request
        message = "* CountTokensRequest: contents and generate_content_request must not both be set"
        self.require(not (body.contents and whole), message)
        if whole is not None:
            named = (whole.model or "").removeprefix("models/")
            self.require(named == model, "* CountTokensRequest.generate_content_request.model: unexpected model name")
            self.check_body(whole, model)
        else:
            self.check_contents(body.contents)
        self.check_model(model, rules)
        contents = [*whole.contents, *filter(None, [whole.system_instruction])] if whole else body.contents
        said = {"text", "function_call", "function_response"}
        words = sum(words_in(part.model_dump(include=said)) for content in contents for part in content.parts)
        tools = words_in([tool.model_dump() for tool in whole.tools]) if whole else 0
        return Call(number, model, kind="count", body={"tokens": words + tools})

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        plain_of(ordinary)
        count = call.body["tokens"]
        return {"totalTokens": count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}]}
