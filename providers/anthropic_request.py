"""
A conversation in the words of Anthropic's Messages.

Source: Claude API reference (Messages, count tokens) and `anthropic` 2.11.0 (`types/message_create_params.py`); what
each model takes: Anthropic's pages on thinking, effort and migration (Opus 4.7, 5.5, Sonnet 5, Haiku 5.5, Fable 5).
"""

import base64
import re
from collections.abc import Iterable, Sequence

from providers.base import Target
from providers.chat import (
    Audio,
    ChatRequest,
    Extra,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from providers.errors import RejectedRequest, UnsupportedParameter
from providers.fields import count, mapping
from providers.translation import Plan, arguments_object, media, media_type, payload
from providers.turns import Piece, ToolResult, Turn, alternating

DEFAULT_MAX_TOKENS = 4096
"""`max_tokens` is required; this is what every Claude model since 3 can write."""
THINKING_ROOM = 12_288
"""Added to the default for a model that decides itself how much it thinks: thoughts are taken out of `max_tokens`."""

_RESERVED = frozenset({"model", "max_tokens", "messages", "system", "stream"})
COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)
"""The fields `count_tokens` knows."""

# What a model takes. Names may carry a date (`claude-opus-4-20250514`), which is no version.
_VERSION_5 = r"claude-(?:fable|mythos|[a-z]+-(?:[5-9]|\d\d)(?!\d))"
_THINKS_UNASKED = re.compile(_VERSION_5)
_THINKS_ALWAYS = re.compile(r"claude-(?:fable|mythos|(?:opus|sonnet)-5-[5-9](?!\d))")
"""Refuse `thinking: {type: disabled}`."""
_THINKS_ADAPTIVELY = re.compile(rf"{_VERSION_5}|claude-[a-z]+-4-(?:[6-9]|\d\d)(?!\d)")
"""Know `adaptive`, and most of them nothing else. All others that think take a budget."""
_THINKS_NEVER = re.compile(r"claude-(?:2|instant|3-(?:5|haiku|sonnet|opus))")
_CANNOT_BE_FORCED = re.compile(r"claude-(?:opus-5-[5-9]|(?:fable|mythos)-5-[1-9])(?!\d)")
"""Refuse `tool_choice` of `any` and `tool`."""
_NOT_SAMPLED = re.compile(rf"{_VERSION_5}|claude-opus-4-[7-9](?!\d)")
"""Refuse `temperature`, `top_p` and `top_k` unless they have their default value."""

_BUDGETS = {"low": 1024, "medium": 4096, "high": 8192, "xhigh": 16_384, "max": 32_000}
"""Tokens of thought where the model wants to be told; 1024 is the least the API takes."""
_QUIET = frozenset({"none", "minimal"})

_OPTIONS = {
    "top_p": "top_p",
    "top_k": "top_k",
    "thinking": "thinking",
    "service_tier": "service_tier",
    "cache_control": "cache_control",
    "safety_identifier": "metadata",
    "user": "metadata",
}
"""Which field says an option. What is not here is dropped."""

_TOOL_KEYS = ("cache_control", "allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_FILE_TYPES = _IMAGE_TYPES | {"application/pdf", "text/plain"}


def plan_for(request: ChatRequest, target: Target) -> Plan:
    """All but the conversation itself. Its fields leave out what `Plan.fit` names as dropped."""
    plan = Plan()
    fields = plan.fields
    model = target.model
    if request.n != 1:
        plan.refuse("n")
    if not all(takes(part) for part in media(request)):
        plan.refuse("messages")
    _add_tools(plan, request, model)
    thinks = _add_thinking(plan, request, model)
    stop = [sequence for sequence in request.stop if sequence.strip()]
    if stop:
        fields["stop_sequences"] = stop
    if len(stop) < len(request.stop):
        plan.drop("stop")  # sequences of white space only are refused
    barred = _barred(request, model, thinks=thinks)
    if request.temperature is not None:
        if "temperature" not in barred:
            fields["temperature"] = min(request.temperature, 1.0)  # their range is 0..1, our callers' 0..2
        elif request.temperature != 1:  # which is what it is when nothing is said
            plan.drop("temperature")
    for name, value in request.options.items():
        if value is None:
            continue
        said = None if name in barred else _said(name, value)
        if said is None:
            plan.drop(name)
        else:
            fields[_OPTIONS[name]] = said
    if request.output is not None:
        if request.output.schema is None:
            plan.refuse("response_format")  # there is no "any JSON object" here
        else:
            shape = {"type": "json_schema", "schema": request.output.schema}
            fields["output_config"] = {**mapping(fields.get("output_config")), "format": shape}
    plan.add_unknown(request.unknown, target, _RESERVED)
    return plan


def _said(name: str, value: object) -> object:
    """The value of an option in Anthropic's words, None where they have none."""
    match name:
        case "top_p" | "top_k":
            return value
        case "thinking" | "cache_control":
            return mapping(value) or None
        case "service_tier":
            return value if value in ("auto", "standard_only") else None
        case "user" | "safety_identifier":
            return {"user_id": value} if isinstance(value, str) and value else None
    return None


def _barred(request: ChatRequest, model: str, *, thinks: bool) -> set[str]:
    """Options that this model refuses, alone or beside others."""
    barred = {"user"} if request.options.get("safety_identifier") else set()
    top_p = request.options.get("top_p")
    if _NOT_SAMPLED.search(model):
        return barred | {"temperature", "top_p", "top_k"}
    if thinks:
        barred |= {"temperature", "top_k"}
        if not isinstance(top_p, int | float) or top_p < 0.95:
            barred.add("top_p")
    elif request.temperature is not None:
        barred.add("top_p")  # since 4.1 the API takes one of the two
    return barred


# Thinking


def _add_thinking(plan: Plan, request: ChatRequest, model: str) -> bool:
    """Say how much to think, and return whether the model will. The caller's own `thinking` goes as it is."""
    effort = request.reasoning_effort
    own = mapping(request.options.get("thinking"))
    thinks = own.get("type") != "disabled" if own else bool(_THINKS_UNASKED.search(model))
    if effort is None:
        return thinks
    adaptive = _THINKS_ADAPTIVELY.search(model) is not None
    quiet = effort in _QUIET
    if not (quiet or effort in _BUDGETS) or (own and (quiet or not adaptive)):
        plan.drop("reasoning_effort")
        return thinks
    if adaptive:
        if quiet and not _THINKS_ALWAYS.search(model):
            plan.fields["thinking"] = {"type": "disabled"}
            return False
        plan.fields["output_config"] = {"effort": "low" if quiet else effort}
        if own or quiet or _is_forced(request):  # forced calls and thinking exclude each other
            return thinks
        plan.fields["thinking"] = {"type": "adaptive"}
        return True
    if quiet:
        return False  # nothing to say: these think only when told to
    budget = _budget(effort, request, model)
    if budget is None:
        plan.drop("reasoning_effort")
        return False
    plan.fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


def _budget(effort: str, request: ChatRequest, model: str) -> int | None:
    """At most half of `max_tokens`, so that an answer remains. None where thinking would be refused."""
    if _THINKS_NEVER.search(model) or _is_forced(request) or _has_lost_its_thoughts(request.messages):
        return None
    if request.max_tokens is None:
        return _BUDGETS[effort]
    return min(_BUDGETS[effort], max(1024, request.max_tokens // 2)) if request.max_tokens > 1024 else None


def _is_forced(request: ChatRequest) -> bool:
    return bool(request.tools) and request.tool_choice is not None and request.tool_choice.mode == "required"


def _has_lost_its_thoughts(messages: Sequence[Message]) -> bool:
    """
    With a budget, an assistant turn that is to go on must begin with its thoughts, signed.

    That is a prefill, or one that awaits the results of its calls. OpenAI's clients do not keep thoughts.
    """
    for message in reversed(messages):
        if message.role == "assistant":
            goes_on = bool(message.tool_calls) or message is messages[-1]
            return goes_on and not any(
                isinstance(part, Thinking) and (part.signature or part.redacted) for part in message.parts
            )
    return False


def _max_tokens(request: ChatRequest, fields: dict[str, object], model: str) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    thinking = mapping(fields.get("thinking"))
    if thinking.get("type") == "disabled" or not (thinking or _THINKS_UNASKED.search(model)):
        return DEFAULT_MAX_TOKENS
    return DEFAULT_MAX_TOKENS + (count(thinking.get("budget_tokens")) or THINKING_ROOM)


# Tools


def _add_tools(plan: Plan, request: ChatRequest, model: str) -> None:
    tools, choice = request.tools, request.tool_choice
    if any(tool.native is not None and tool.native[0] != "anthropic" for tool in tools):
        plan.refuse("tools")
        return
    if not tools:
        if choice is not None and choice.mode != "none":
            plan.drop("tool_choice")
        if request.parallel_tool_calls is False:
            plan.drop("parallel_tool_calls")
        return
    if choice is not None and choice.names and (choice.mode != "required" or len(choice.names) > 1):
        tools = tuple(tool for tool in tools if tool.name in choice.names)  # no field holds several names
    if not tools or (_is_forced(request) and _CANNOT_BE_FORCED.search(model)):
        plan.refuse("tool_choice")
        return
    plan.fields["tools"] = [_tool(tool) for tool in tools]
    said = _tool_choice(choice)
    if request.parallel_tool_calls is False and said != {"type": "none"}:
        said = {**(said or {"type": "auto"}), "disable_parallel_tool_use": True}
    if said is not None:
        plan.fields["tool_choice"] = said


def _tool(tool: Tool) -> dict[str, object]:
    if tool.native is not None:
        return dict(tool.native[1])
    found: dict[str, object] = {"name": tool.name, "input_schema": {**(tool.parameters or {}), "type": "object"}}
    if tool.description:
        found["description"] = tool.description
    if tool.strict:
        found["strict"] = True
    return {**found, **_kept(tool.extra, _TOOL_KEYS)}


def _tool_choice(choice: ToolChoice | None) -> dict[str, object] | None:
    if choice is None:
        return None
    if choice.mode == "required":
        return {"type": "tool", "name": choice.names[0]} if len(choice.names) == 1 else {"type": "any"}
    return {"type": choice.mode}


# The conversation


def takes(part: Part) -> bool:
    """Whether there is a block for it."""
    match part:
        case Image(url=url):
            return url.startswith("https://") or media_type(url) in _IMAGE_TYPES
        case File(url=str(url)):
            return url.startswith("https://") or media_type(url) in _FILE_TYPES
        case File() | Audio():
            return False
    return True


def body_for(request: ChatRequest, target: Target, plan: Plan) -> dict[str, object]:
    """Raises `RejectedRequest` for an empty conversation or an unreadable file."""
    system, turns = alternating(request.messages, thoughts=True)
    *before, last = turns[-1].pieces
    if turns[-1].role == "assistant" and isinstance(last, Text):
        # A prefill that ends in white space is refused.
        turns[-1] = Turn("assistant", (*before, Text(last.text.rstrip(), last.extra)))
    body: dict[str, object] = {
        "model": target.model,
        "max_tokens": _max_tokens(request, plan.fields, target.model),
        "messages": [{"role": turn.role, "content": _content(turn.pieces)} for turn in turns],
    }
    if system:
        plain = not any(text.extra for text in system)
        body["system"] = "\n\n".join(text.text for text in system) if plain else [_block(text) for text in system]
    return {**body, **plan.fields}


def _content(pieces: Sequence[Piece]) -> str | list[dict[str, object]]:
    """A text alone is a string, as most callers wrote it."""
    if len(pieces) == 1 and isinstance(pieces[0], Text) and not pieces[0].extra:
        return pieces[0].text
    return [_block(piece) for piece in pieces]


def _block(piece: Piece) -> dict[str, object]:
    match piece:
        case Text():
            return {"type": "text", "text": piece.text, **_kept(piece.extra)}
        case Image():
            return {"type": "image", "source": _source(piece.url), **_kept(piece.extra)}
        case File():
            return _document(piece)
        case Thinking():
            if piece.redacted:
                return {"type": "redacted_thinking", "data": piece.redacted}
            return {"type": "thinking", "thinking": piece.text, "signature": piece.signature}
        case ToolCall():
            arguments = arguments_object(piece.arguments)
            said = {"type": "tool_use", "id": _tool_id(piece.id), "name": piece.name, "input": arguments}
            return {**said, **_kept(piece.extra)}
        case ToolResult():
            return _tool_result(piece)
    raise UnsupportedParameter("this model takes no audio")


def _document(file: File) -> dict[str, object]:
    if file.url is None:
        raise UnsupportedParameter("this model takes no file kept elsewhere")
    if media_type(file.url) in _IMAGE_TYPES:
        return {"type": "image", "source": _source(file.url), **_kept(file.extra)}
    title = {"title": file.filename} if file.filename else {}
    source = _source(file.url)
    return {"type": "document", "source": source, **title, **_kept(file.extra, ("cache_control", "citations"))}


def _source(url: str) -> dict[str, object]:
    kind = media_type(url)
    if not kind:
        return {"type": "url", "url": url}
    if kind != "text/plain":
        return {"type": "base64", "media_type": kind, "data": payload(url)}
    try:
        text = base64.b64decode(payload(url), validate=True).decode()
    except ValueError as error:
        raise RejectedRequest("a text file is not UTF-8 in base64") from error
    return {"type": "text", "media_type": kind, "data": text}


def _tool_result(result: ToolResult) -> dict[str, object]:
    said: dict[str, object] = {"type": "tool_result", "tool_use_id": _tool_id(result.call_id)}
    if result.parts:
        said["content"] = _content(result.parts)
    if result.failed:
        said["is_error"] = True
        said.setdefault("content", "failed")  # an error without words is refused
    return {**said, **_kept(result.extra)}


def _tool_id(id: str) -> str:
    """Calls may have been made by another vendor's model, whose ids hold dots and colons: those are refused here."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", id) or "call"


def _kept(extra: Extra, names: Iterable[str] = ("cache_control",)) -> dict[str, object]:
    """Anthropic's own keys of this place."""
    return {name: extra[name] for name in names if name in extra} if extra else {}
