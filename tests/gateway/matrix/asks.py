"""What is asked of a model and what it told, in no API's words: the form that surfaces and vendors are compared in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = dict[str, Any]
Finish = Literal["stop", "length", "tool_calls", "content_filter"]

QUESTION = "Tell me about lighthouses."
SYSTEM = "Be brief."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
PAGE = "JVBERi0xLjQKJSVFT0YK"
PHOTO = "https://pictures.example/lighthouse.png"
SCHEMA: JSON = {
    "type": "object",
    "properties": {"height_m": {"type": "integer"}},
    "required": ["height_m"],
    "additionalProperties": False,
}
PARAMETERS: JSON = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"weather": "The weather in a city.", "tides": "The tides at a city."}
"""Names and descriptions; both take `PARAMETERS`."""


@dataclass(frozen=True, slots=True)
class Image:
    url: str


@dataclass(frozen=True, slots=True)
class Pdf:
    name: str
    data: str


Part = str | Image | Pdf
Turn = tuple[Literal["user", "assistant"], tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all tokens. None: this API does not show it."""

    input: int
    output: int
    cached: int | None = 0
    reasoning: int | None = 0


@dataclass(frozen=True, slots=True)
class Told:
    """
    A whole answer. `finish` None: this API does not show it. `likely`: each token, and how many were told beside it.

    `turn` is the answer as this API wants it sent back.
    """

    text: str
    usage: Usage
    finish: Finish | None = "stop"
    calls: tuple[Call, ...] = ()
    thought: str = ""
    refusal: str = ""
    stopped_by: str | None = None
    others: tuple[str, ...] = ()
    likely: tuple[tuple[str, int], ...] = ()
    turn: list[JSON] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """
    One request. `think`: a little, which is `low` or 1024 tokens. `likely`: so many tokens beside each one.

    `said` and `results`: the answer before, whose calls the tools have answered, by id.
    """

    turns: tuple[Turn, ...] = (("user", (QUESTION,)),)
    system: str | None = None
    max_tokens: int = 300
    temperature: float | None = None
    top_p: float | None = None
    stop: str | None = None
    tools: bool = False
    forced: str | None = None
    one_call: bool = False
    schema: bool = False
    any_json: bool = False
    think: bool = False
    n: int = 1
    likely: int | None = None
    said: Told | None = None
    results: Mapping[str, str] = field(default_factory=dict)
