"""
A conversation in the words of Google's generateContent.

Source: Gemini API reference (generateContent, function calling, thinking, thought signatures) and `google-genai` 3.4.0
(`models.py`, `types.py`).
"""

import re
from collections.abc import Mapping

from providers.base import Target
from providers.chat import Audio, ChatRequest, File, Image, Part, Text, Tool, ToolCall, ToolChoice
from providers.errors import UnsupportedParameter
from providers.fields import mapping, string
from providers.translation import Plan, arguments_object, media, media_type, payload
from providers.turns import Piece, ToolResult, Turn, alternating

_RESERVED = frozenset({"contents", "systemInstruction", "generationConfig"})

MAX_STOP_SEQUENCES = 5
MAX_CANDIDATES = 8

_OPTIONS = {
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""
Which field of `generationConfig` says an option. What is not here is dropped; `logprobs` could be asked for, but the
answer has another form than OpenAI's.
"""

_GENERATION_3 = re.compile(r"gemini-(?:[3-9]|[a-z-]+-latest)")
SKIP_SIGNATURE = "skip_thought_signature_validator"
"""
Stands in for the signature of a call that another model made, or whose signature the caller did not keep.

Source: Gemini API, "Thought signatures", FAQ. From generation 3 on, the first call of a step without one is a 400.
"""

# Thinking


_THINKS_IN_LEVELS = re.compile(r"gemini-3(?!.*(?:image|tts|audio|live))")
_THINKS_IN_TOKENS = re.compile(r"gemini-2\.5-(?:flash|pro)(?!.*(?:image|tts|audio|live))")
_LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
"""XHIGH is known to few models."""
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
_LEAST_OF_25_PRO = 128
"""Pro models cannot switch thinking off, and know no MINIMAL."""


def thinking_config(model: str, effort: str | None = None) -> dict[str, object] | None:
    """
    How much to think: without `effort`, the least a small model allows.

    Thinking tokens are taken out of maxOutputTokens: with a small limit the answer may otherwise be cut before its
    first word. Models of generation 3 know levels and cannot switch thinking off, those of 2.5 know budgets; Pro models
    keep their default unless an effort is asked for. None for models that do not think, or not to order.
    """
    name = model.removeprefix("models/")
    is_flash = "flash" in name
    if effort is None and is_flash:
        effort = "none"
    if effort not in _LEVELS:
        return None
    if _THINKS_IN_LEVELS.match(name):
        level = _LEVELS[effort]
        return {"thinkingLevel": level if is_flash or level != "MINIMAL" else "LOW"}
    if _THINKS_IN_TOKENS.match(name):
        return {"thinkingBudget": _BUDGETS[effort] or (0 if is_flash else _LEAST_OF_25_PRO)}
    return None


# The plan


def plan_for(request: ChatRequest, target: Target) -> Plan:
    """All but the conversation itself. Its fields leave out what `Plan.fit` names as dropped."""
    plan = Plan()
    config: dict[str, object] = {}
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.n > MAX_CANDIDATES:
        plan.refuse("n")
    elif request.n != 1:
        config["candidateCount"] = request.n
    if not all(takes(part) for part in media(request)):
        plan.refuse("messages")
    stop = [sequence for sequence in request.stop if sequence]
    if len(stop) > MAX_STOP_SEQUENCES:
        plan.refuse("stop")
    elif stop:
        config["stopSequences"] = stop
    for name, value in request.options.items():
        if value is None:
            continue
        if name in _OPTIONS and (name != "seed" or _is_int32(value)):
            config[_OPTIONS[name]] = value
        elif name != "thinking" or request.effort is None:  # the effort says what Anthropic's `thinking` does
            plan.drop(name)
    if request.output is not None:
        if request.tools and not _GENERATION_3.match(target.model.removeprefix("models/")):
            plan.refuse("response_format")  # older models do one or the other
        config["responseMimeType"] = "application/json"
        if request.output.schema is not None:
            config["responseJsonSchema"] = request.output.schema
    thinking = thinking_config(target.model, request.effort)
    if request.effort is not None and thinking is None:
        plan.drop("reasoning_effort")
        thinking = thinking_config(target.model)
    if thinking is not None:
        config["thinkingConfig"] = thinking
    _add_tools(plan, request)
    if config:
        plan.fields["generationConfig"] = config
    plan.add_unknown(request.unknown, target, _RESERVED)
    return plan


def _is_int32(value: object) -> bool:
    """Google's `seed` is narrower than OpenAI's."""
    return isinstance(value, int) and -(2**31) <= value < 2**31


def _add_tools(plan: Plan, request: ChatRequest) -> None:
    tools, choice = request.tools, request.tool_choice
    if request.parallel_tool_calls is False:
        plan.drop("parallel_tool_calls")
    if any(tool.native is not None for tool in tools):
        plan.refuse("tools")
        return
    if not tools:
        if choice is not None and choice.mode != "none":
            plan.drop("tool_choice")
        return
    if choice is not None and choice.mode == "auto" and choice.names:
        tools = tuple(tool for tool in tools if tool.name in choice.names)  # names go with ANY only
        if not tools:
            plan.refuse("tool_choice")
            return
    plan.fields["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
    if choice is not None:
        plan.fields["toolConfig"] = {"functionCallingConfig": _calling(choice)}


def _declaration(tool: Tool) -> dict[str, object]:
    found: dict[str, object] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.parameters is not None:
        found["parametersJsonSchema"] = tool.parameters
    return found


def _calling(choice: ToolChoice) -> dict[str, object]:
    if choice.mode != "required":
        return {"mode": choice.mode.upper()}
    return {"mode": "ANY", **({"allowedFunctionNames": list(choice.names)} if choice.names else {})}


# The conversation

_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_FILE_TYPES = re.compile(r"application/pdf|(?:text|image|audio|video)/")


def takes(part: Part) -> bool:
    """Whether it can be said: what is not at hand cannot, since Google fetches only from places of its own."""
    match part:
        case Image(url=url):
            return media_type(url).startswith("image/")
        case Audio(format=format):
            return format in _AUDIO_TYPES
        case File(url=url):
            return url is not None and _FILE_TYPES.match(media_type(url)) is not None
    return True


def body_for(request: ChatRequest, target: Target, plan: Plan) -> dict[str, object]:
    """Raises `RejectedRequest` for an empty conversation."""
    system, turns = alternating(request.messages)
    signed = _GENERATION_3.match(target.model.removeprefix("models/")) is not None
    body: dict[str, object] = {"contents": [_content(turn, signed=signed) for turn in turns]}
    if system:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(text.text for text in system)}]}
    return {**body, **plan.fields}


def _content(turn: Turn, *, signed: bool) -> dict[str, object]:
    parts: list[dict[str, object]] = []
    shown: list[dict[str, object]] = []
    called = False
    for piece in turn.pieces:
        match piece:
            case ToolCall():
                parts.append(_function_call(piece, signed=signed and not called))
                called = True
            case ToolResult():
                parts.append(_function_response(piece))
                # What is no text follows the results: inside of one, only some models read it.
                shown += [_part(part) for part in piece.parts if not isinstance(part, Text)]
            case _:
                parts += shown
                shown = []
                parts.append(_part(piece))
    return {"role": "user" if turn.role == "user" else "model", "parts": [*parts, *shown]}


def _part(piece: Piece) -> dict[str, object]:
    match piece:
        case Text():
            return {"text": piece.text}
        case Audio(format=format) if format in _AUDIO_TYPES:
            return _inline(_AUDIO_TYPES[format], piece.data)
        case Image(url=str(url)) | File(url=str(url)) if media_type(url):
            return _inline(media_type(url), payload(url))
    raise UnsupportedParameter("this model takes no files kept elsewhere")


def _inline(kind: str, data: str) -> dict[str, object]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _function_call(call: ToolCall, *, signed: bool) -> dict[str, object]:
    """`signed`: the model insists on a signature here."""
    function: dict[str, object] = {"name": call.name, "args": arguments_object(call.arguments)}
    if call.id:
        function["id"] = call.id
    signature = signature_of(call.extra) or (SKIP_SIGNATURE if signed else "")
    return {"functionCall": function, **({"thoughtSignature": signature} if signature else {})}


def signature_of(extra: Mapping[str, object]) -> str:
    """Where Google's own OpenAI-compatible endpoint puts it."""
    return string(mapping(mapping(extra.get("extra_content")).get("google")).get("thought_signature"))


def _function_response(result: ToolResult) -> dict[str, object]:
    """
    The text stays a string, JSON or not: `output` and `error` are the keys Google's reference names.

    An object of the tool's own might hold those keys, and then mean something else.
    """
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    response = {"error" if result.failed else "output": text}
    function: dict[str, object] = {"name": result.name or "unknown", "response": response}
    if result.call_id:
        function["id"] = result.call_id
    return {"functionResponse": function}
