"""
What the adapters share whose wire is not OpenAI's: the plan of a body, data URLs, arguments of tools as objects.
"""

from collections.abc import Iterator, Mapping

import orjson

from providers.base import Target
from providers.chat import FITS, ChatRequest, Fit, Part
from providers.errors import MalformedReply, UnsupportedParameter
from providers.fields import is_deep, parse


class Plan:
    """
    What a wire makes of a request: the fields of a body, and the names of what it refuses and of what it goes without.

    `fit` tells the names, `encode` sends the fields. Both make the same plan, so that they cannot disagree.
    """

    __slots__ = ("_dropped", "_refused", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, object] = {}
        self._refused: dict[str, None] = {}  # ordered sets
        self._dropped: dict[str, None] = {}

    def refuse(self, name: str) -> None:
        self._refused[name] = None

    def drop(self, name: str) -> None:
        self._dropped[name] = None

    def add_unknown(self, unknown: Mapping[str, object], target: Target, reserved: frozenset[str]) -> None:
        """Last of all: what this service's configuration lets pass, unless the adapter itself has a say in it."""
        for name, value in unknown.items():
            if name in target.allow_fields and name not in reserved and name not in self.fields:
                self.fields[name] = value
            else:
                self.drop(name)

    @property
    def fit(self) -> Fit:
        if not self._refused and not self._dropped:
            return FITS
        return Fit(tuple(self._refused), tuple(self._dropped))

    def check(self, *names: str) -> None:
        """Raise `UnsupportedParameter` where something is refused; `names` narrows it to those that matter."""
        refused = [name for name in self._refused if not names or name in names]
        if refused:
            raise UnsupportedParameter(f"this model cannot do what is asked with: {', '.join(refused)}")


def is_plain(request: ChatRequest) -> bool:
    """Whether texts are all it holds, with nothing but `max_tokens` and `temperature` said of the answer."""
    return not (
        request.tools
        or request.tool_choice
        or request.stop
        or request.output
        or request.options
        or request.unknown
        or request.reasoning_effort is not None
        or request.parallel_tool_calls is not None
        or request.n != 1
    ) and all(isinstance(message.content, str) for message in request.messages)


def media(request: ChatRequest) -> Iterator[Part]:
    """All parts of all messages that are not plain strings."""
    for message in request.messages:
        if not isinstance(message.content, str):
            yield from message.content


def media_type(url: str) -> str:
    """The media type of a `data:` URL in base64 (RFC 2397), an empty string for any other URL. Reads only its head."""
    head, comma, _ = url[:256].partition(",")
    if not comma or head[:5].lower() != "data:":
        return ""
    kind, *parameters = head[5:].lower().split(";")
    if "base64" not in (parameter.strip() for parameter in parameters):
        return ""
    return {"": "text/plain", "image/jpg": "image/jpeg"}.get(kind.strip(), kind.strip())


def payload(url: str) -> str:
    """The base64 of a URL that has a `media_type`."""
    return url.partition(",")[2]


def arguments_object(arguments: str) -> dict[str, object]:
    """
    The arguments of a call as both vendors take them: an object.

    A call without any has none; what is no JSON object (a model's slip, a custom tool's text) is wrapped, so that the
    model still reads what was called.
    """
    if not arguments.strip():
        return {}
    try:
        found = parse(arguments.encode("utf-8", "replace"))
    except ValueError:
        return {"arguments": arguments}
    return {"arguments": arguments} if is_deep(found) else found


def arguments_text(arguments: object) -> str:
    """An object as compact JSON; anything else a vendor may send there is no arguments. Raises `MalformedReply`."""
    if is_deep(arguments):
        raise MalformedReply("the arguments of a tool call are nested too deep")
    return orjson.dumps(arguments if isinstance(arguments, dict) else {}).decode()
