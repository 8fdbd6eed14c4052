"""
What can be asked of a model, row by row: the request, the answer, and what each vendor is sent in its own words.

A vendor that a row names no words for cannot do it: `REFUSED` says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.gateway.matrix.asks import (
    PAGE,
    PARAMETERS,
    PHOTO,
    PIXEL,
    QUESTION,
    SCHEMA,
    SYSTEM,
    TOOLS,
    Ask,
    Call,
    Image,
    Pdf,
    Told,
    Turn,
    Usage,
)
from tests.upstream import SIXTY_WORDS, Answer, Behaviour, Thinking, ToolCalls

LIGHT = "The light turns — über all waters."
ONCE = {"city": "Brest"}
TWICE = {"city": "Kiel"}
FORECAST = "Calls begin: "


@dataclass(frozen=True, slots=True)
class Sent:
    """Fields laid over the plain request, and the names of those that were dropped."""

    fields: Mapping[str, object] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feature:
    """
    One row. `told` is what the answer comes to; ids of calls are the vendor's own.

    `vendors`: what the answer comes to where one vendor tells more or less than the others.
    """

    ask: Ask
    answer: Behaviour
    told: Told
    sent: Mapping[str, Sent]
    vendors: Mapping[str, Told] = field(default_factory=dict)


def answer(text: str, tokens: int) -> Answer:
    return Answer(text, output_tokens=tokens)


def everywhere(fields: Mapping[str, object]) -> Mapping[str, Sent]:
    return dict.fromkeys(("openai", "groq", "gemini", "anthropic"), Sent(fields))


PLAIN = Told(LIGHT, Usage(12, 6))
ANSWER = answer(LIGHT, 6)

_FUNCTIONS = [
    {"type": "function", "function": {"name": name, "description": description, "parameters": PARAMETERS}}
    for name, description in TOOLS.items()
]
_DECLARATIONS = [
    {
        "functionDeclarations": [
            {"name": name, "description": description, "parametersJsonSchema": PARAMETERS}
            for name, description in TOOLS.items()
        ]
    }
]
_TOOLS = [{"name": name, "description": description, "input_schema": PARAMETERS} for name, description in TOOLS.items()]
TOOLS_SENT: Mapping[str, Sent] = {
    "openai": Sent({"tools": _FUNCTIONS}),
    "groq": Sent({"tools": _FUNCTIONS}),
    "gemini": Sent({"tools": _DECLARATIONS}),
    "anthropic": Sent({"tools": _TOOLS}),
}


def with_tools(more: Mapping[str, Sent]) -> Mapping[str, Sent]:
    return {name: Sent({**TOOLS_SENT[name].fields, **sent.fields}, sent.dropped) for name, sent in more.items()}


_ASKED: Turn = ("user", (QUESTION, Image(f"data:image/png;base64,{PIXEL}")))
_LINKED: Turn = ("user", (QUESTION, Image(PHOTO)))
_FILED: Turn = ("user", (QUESTION, Pdf("report.pdf", PAGE)))


def _user(*parts: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(parts)}]


def _contents(*parts: object) -> list[dict[str, object]]:
    return [{"role": "user", "parts": list(parts)}]


_TEXT = {"type": "text", "text": QUESTION}

FEATURES: Mapping[str, Feature] = {
    # Words.
    "text": Feature(Ask(), ANSWER, PLAIN, everywhere({})),
    "system": Feature(
        Ask(system=SYSTEM),
        ANSWER,
        PLAIN,
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent({"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]}),
            ),
            "gemini": Sent({"systemInstruction": {"parts": [{"text": SYSTEM}]}}),
            "anthropic": Sent({"system": SYSTEM}),
        },
    ),
    "turns": Feature(
        Ask((("user", ("Hello.",)), ("assistant", ("Good evening.",)), ("user", (QUESTION,))), SYSTEM),
        ANSWER,
        PLAIN,
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent(
                    {
                        "messages": [
                            {"role": "system", "content": SYSTEM},
                            {"role": "user", "content": "Hello."},
                            {"role": "assistant", "content": "Good evening."},
                            {"role": "user", "content": QUESTION},
                        ]
                    }
                ),
            ),
            "gemini": Sent(
                {
                    "systemInstruction": {"parts": [{"text": SYSTEM}]},
                    "contents": [
                        {"role": "user", "parts": [{"text": "Hello."}]},
                        {"role": "model", "parts": [{"text": "Good evening."}]},
                        {"role": "user", "parts": [{"text": QUESTION}]},
                    ],
                }
            ),
            "anthropic": Sent(
                {
                    "system": SYSTEM,
                    "messages": [
                        {"role": "user", "content": "Hello."},
                        {"role": "assistant", "content": "Good evening."},
                        {"role": "user", "content": QUESTION},
                    ],
                }
            ),
        },
    ),
    # How the answer is drawn, and where it ends.
    "sampling": Feature(
        Ask(temperature=0.5, top_p=0.75),
        ANSWER,
        PLAIN,
        {
            "openai": Sent({"top_p": 0.75}, ("temperature",)),
            "groq": Sent({"temperature": 0.5, "top_p": 0.75}),
            "gemini": Sent({"generationConfig": {"temperature": 0.5, "topP": 0.75}}),
            "anthropic": Sent({"temperature": 0.5}, ("top_p",)),
        },
    ),
    "stop": Feature(
        Ask(stop="FIN"),
        answer("One two three FIN four", 4),
        Told("One two three ", Usage(12, 4)),
        {
            **dict.fromkeys(("openai", "groq"), Sent({"stop": ["FIN"]})),
            "gemini": Sent({"generationConfig": {"stopSequences": ["FIN"]}}),
            "anthropic": Sent({"stop_sequences": ["FIN"]}),
        },
        {"anthropic": Told("One two three ", Usage(12, 4), stopped_by="FIN")},
    ),
    "length": Feature(
        Ask(max_tokens=3),
        Answer(SIXTY_WORDS),
        Told("Every morning the", Usage(12, 3), "length"),
        {
            "openai": Sent({"max_completion_tokens": 3}),
            "groq": Sent({"max_tokens": 3}),
            "gemini": Sent({"generationConfig": {"maxOutputTokens": 3}}),
            "anthropic": Sent({"max_tokens": 3}),
        },
    ),
    # Tools.
    "call": Feature(
        Ask(tools=True),
        ToolCalls((("weather", ONCE),), output_tokens=9),
        Told("", Usage(12, 9), "tool_calls", (Call("", "weather", ONCE),)),
        TOOLS_SENT,
    ),
    "calls": Feature(
        Ask(tools=True),
        ToolCalls((("weather", ONCE), ("tides", TWICE), ("weather", {})), text=FORECAST, output_tokens=9),
        Told(
            FORECAST,
            Usage(12, 9),
            "tool_calls",
            (Call("", "weather", ONCE), Call("", "tides", TWICE), Call("", "weather", {})),
        ),
        TOOLS_SENT,
    ),
    "forced": Feature(
        Ask(tools=True, forced="tides"),
        ToolCalls((("tides", ONCE),), output_tokens=9),
        Told("", Usage(12, 9), "tool_calls", (Call("", "tides", ONCE),)),
        with_tools(
            {
                **dict.fromkeys(
                    ("openai", "groq"), Sent({"tool_choice": {"type": "function", "function": {"name": "tides"}}})
                ),
                "gemini": Sent(
                    {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["tides"]}}}
                ),
                "anthropic": Sent({"tool_choice": {"type": "tool", "name": "tides"}}),
            }
        ),
    ),
    "one_call": Feature(
        Ask(tools=True, one_call=True),
        ToolCalls((("tides", ONCE),), output_tokens=9),
        Told("", Usage(12, 9), "tool_calls", (Call("", "tides", ONCE),)),
        with_tools(
            {
                **dict.fromkeys(("openai", "groq"), Sent({"tool_choice": "auto", "parallel_tool_calls": False})),
                "gemini": Sent({"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}, ("parallel_tool_calls",)),
                "anthropic": Sent({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
            }
        ),
    ),
    # Shapes.
    "schema": Feature(
        Ask(schema=True),
        answer('{"height_m": 42}', 6),
        Told('{"height_m": 42}', Usage(12, 6)),
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent(
                    {
                        "response_format": {
                            "type": "json_schema",
                            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
                        }
                    }
                ),
            ),
            "gemini": Sent(
                {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}}
            ),
            "anthropic": Sent({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        },
    ),
    "any_json": Feature(
        Ask((("user", ("Tell me about lighthouses, in JSON.",)),), any_json=True),
        answer('{"height_m": 42}', 6),
        Told('{"height_m": 42}', Usage(12, 6)),
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent(
                    {
                        "messages": [{"role": "user", "content": "Tell me about lighthouses, in JSON."}],
                        "response_format": {"type": "json_object"},
                    }
                ),
            ),
            "gemini": Sent(
                {
                    "contents": _contents({"text": "Tell me about lighthouses, in JSON."}),
                    "generationConfig": {"responseMimeType": "application/json"},
                }
            ),
        },
    ),
    # More than words.
    "image": Feature(
        Ask((_ASKED,)),
        ANSWER,
        PLAIN,
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent(
                    {
                        "messages": _user(
                            _TEXT, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
                        )
                    }
                ),
            ),
            "gemini": Sent(
                {"contents": _contents({"text": QUESTION}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}})}
            ),
            "anthropic": Sent(
                {
                    "messages": _user(
                        _TEXT,
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                        },
                    )
                }
            ),
        },
    ),
    "linked_image": Feature(
        Ask((_LINKED,)),
        ANSWER,
        PLAIN,
        {
            **dict.fromkeys(
                ("openai", "groq"),
                Sent({"messages": _user(_TEXT, {"type": "image_url", "image_url": {"url": PHOTO}})}),
            ),
            "anthropic": Sent({"messages": _user(_TEXT, {"type": "image", "source": {"type": "url", "url": PHOTO}})}),
        },
    ),
    "pdf": Feature(
        Ask((_FILED,)),
        ANSWER,
        PLAIN,
        {
            "openai": Sent(
                {
                    "messages": _user(
                        _TEXT,
                        {
                            "type": "file",
                            "file": {"file_data": f"data:application/pdf;base64,{PAGE}", "filename": "report.pdf"},
                        },
                    )
                }
            ),
            "gemini": Sent(
                {
                    "contents": _contents(
                        {"text": QUESTION}, {"inlineData": {"mimeType": "application/pdf", "data": PAGE}}
                    )
                }
            ),
            "anthropic": Sent(
                {
                    "messages": _user(
                        _TEXT,
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": PAGE},
                            "title": "report.pdf",
                        },
                    )
                }
            ),
        },
    ),
    # Thoughts, choices, likelihoods, counts.
    "thinking": Feature(
        Ask(max_tokens=4096, think=True),
        Thinking("Lamps need height.", answer(LIGHT, 6)),
        Told(LIGHT, Usage(12, 9, reasoning=3), thought="Lamps need height."),
        {
            "openai": Sent({"max_completion_tokens": 4096, "reasoning_effort": "low"}),
            "groq": Sent({"max_tokens": 4096, "reasoning_effort": "low"}),
            "gemini": Sent({"generationConfig": {"maxOutputTokens": 4096, "thinkingConfig": {"thinkingLevel": "LOW"}}}),
            "anthropic": Sent({"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        },
    ),
    "two_answers": Feature(
        Ask(n=2),
        ANSWER,
        Told(LIGHT, Usage(12, 12), others=(LIGHT,)),
        {"openai": Sent({"n": 2}), "gemini": Sent({"generationConfig": {"candidateCount": 2}})},
    ),
    "logprobs": Feature(
        Ask(likely=2),
        answer("A tall lamp", 3),
        Told("A tall lamp", Usage(12, 3)),
        {
            "openai": Sent({"logprobs": True, "top_logprobs": 2}),
            **dict.fromkeys(("groq", "gemini", "anthropic"), Sent({}, ("logprobs", "top_logprobs"))),
        },
        {"openai": Told("A tall lamp", Usage(12, 3), likely=(("A", 2), (" tall", 2), (" lamp", 2)))},
    ),
    "usage": Feature(
        Ask(),
        Answer(LIGHT, input_tokens=1040, cached_tokens=1024, output_tokens=6, reasoning_tokens=7),
        Told(LIGHT, Usage(1040, 13, 1024, 7)),
        everywhere({}),
    ),
}

# The cells that cannot be said.

REFUSED: Mapping[tuple[str, str], tuple[str, str]] = {
    # vendor, feature: the field in OpenAI's words, why
    ("groq", "two_answers"): ("n", "Groq answers 400 to any n but 1"),
    ("anthropic", "two_answers"): ("n", "Messages have one answer"),
    ("anthropic", "any_json"): ("response_format", "there is no JSON without a schema"),
    ("gemini", "linked_image"): ("messages", "Google fetches only from places of its own"),
    ("groq", "pdf"): ("messages", "Groq's messages hold texts and images"),
}

NOT_IN_API: Mapping[str, Mapping[str, str]] = {
    # surface: feature, the field it is asked with elsewhere and that is dropped here
    "chat": {},
    "responses": {"two_answers": "n", "stop": "stop"},
    "messages": {"two_answers": "n", "logprobs": "logprobs", "any_json": "response_format"},
    # /query takes texts, a limit and a temperature, and refuses any other field with 422.
    "query": dict.fromkeys(FEATURES.keys() - {"text", "system", "length", "usage"}, ""),
}
