"""A request in somebody else's API: its body checked, its words laid open to the layers that judge them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from gateway.schema import MAX_PROBLEMS
from gateway.texts import Words, with_texts, words_of
from middleware.body import InvalidBody
from middleware.refusal import FieldError

REFUSED_FIELDS = frozenset(
    {
        *("api_base", "base_url", "api_key", "api_type", "api_version", "azure_endpoint", "endpoint", "host"),
        *("headers", "extra_headers", "default_headers", "proxy", "proxies", "organization", "custom_llm_provider"),
    }
)
"""Where a request goes and with which key is the operator's to say, whatever other gateways let callers write."""

ModelName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]
"""What could stand in a header, and no more. `a|b` is a list of alternatives, `service/model` names a service."""


class Api(BaseModel):
    """An object of somebody else's API: strict types, and fields not known here kept for whoever knows them."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, hide_input_in_errors=True)

    @property
    def unknown(self) -> Mapping[str, object]:
        """Fields this object was sent with beyond those it declares."""
        return self.model_extra or {}


T = TypeVar("T")
Items = Annotated[list[T], Field(fail_fast=True)]
"""A list that is read no further than its first wrong item: a million of them would cost a kilobyte each to tell."""


class Request(Api):
    """The body of a request for a model."""

    model: ModelName

    def problems(self) -> Iterable[FieldError]:
        """What is wrong between fields each of which is right."""
        return ()


B = TypeVar("B", bound=Request)


@dataclass(frozen=True)
class ApiPrompt(Generic[B]):
    """A `Prompt`: the body as it was sent in `value`, and checked in `body`."""

    model: type[B]
    body: B
    value: Mapping[str, Any]
    units: int = 1

    @cached_property
    def _words(self) -> Words:
        return words_of(self.value)

    @property
    def texts(self) -> Sequence[str]:
        return self._words.texts

    @property
    def unread(self) -> Sequence[str]:
        return self._words.unread

    def with_texts(self, texts: Sequence[str]) -> Self:
        return type(self)(self.model, *_checked(self.model, with_texts(self.value, texts)))

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.value)


def parser(model: type[B]) -> Callable[[Any], ApiPrompt[B]]:
    """A `parse` for BodyMiddleware: many problems at once, places as OpenAI writes them, no echo of values."""

    def parse(value: Any) -> ApiPrompt[B]:
        return ApiPrompt(model, *_checked(model, value))

    return parse


def _checked(model: type[B], value: Any) -> tuple[B, Mapping[str, Any]]:
    if not isinstance(value, dict):
        raise InvalidBody(FieldError((), "the body must be an object", "dict_type"))
    refused = sorted(REFUSED_FIELDS & value.keys())
    if refused:
        message = "must not be sent: where a request goes is configured at the gateway"
        raise InvalidBody(*(FieldError((name,), message, "forbidden") for name in refused))
    try:
        body = model.model_validate(value)
    except ValidationError as error:
        found = _problems(error.errors(include_input=False, include_url=False), value)
        raise InvalidBody(*found[:MAX_PROBLEMS]) from None
    wrong = tuple(body.problems())
    if wrong:
        raise InvalidBody(*wrong)
    return body, value


def _problems(details: Sequence[ErrorDetails], value: Any) -> list[FieldError]:
    """
    One problem for each place. Pydantic tells one for every branch of a union: those that have read on in the value
    know what was meant, and after them those that found its type right.
    """
    found: dict[tuple[str | int, ...], FieldError] = {}
    for detail in details:
        problem = _problem(detail, value)
        known = found.get(problem.loc)
        if known is None or (known.type.endswith("_type") and not problem.type.endswith("_type")):
            found[problem.loc] = problem
    above = {place[:length] for place in found for length in range(len(place))}
    return [problem for place, problem in found.items() if place not in above]


def _problem(detail: ErrorDetails, value: Any) -> FieldError:
    """In words that are ours: pydantic's may hold what was sent, or names of classes."""
    kind, message, context = detail["type"], detail["msg"], detail.get("ctx", {})
    place = _place(detail["loc"], value, missing=kind == "missing")
    tag = str(context.get("discriminator", "")).strip("'")
    if kind == "union_tag_not_found" and tag.isidentifier():
        return FieldError((*place, tag), "Field required", "missing")
    if kind == "union_tag_invalid":
        return FieldError((*place, tag), f"Input should be one of {context['expected_tags']}", "literal_error")
    if kind in ("union_tag_not_found", "model_type", "model_attributes_type", "dict_type"):
        return FieldError(place, "Input should be a valid object", "dict_type")
    return FieldError(place, message.removeprefix("Value error, "), kind)


def _place(loc: tuple[str | int, ...], value: Any, *, missing: bool) -> tuple[str | int, ...]:
    """
    Where in the body it is: pydantic's path without the names it gives to the branches of a union.

    Such a name may also be one that the body has: the path is read so that its last part is found, and most others.
    Names are the caller's text: cut.
    """
    readings = _readings(loc, value, missing=missing)
    place = max(readings, key=lambda reading: (reading[-1:] == loc[-1:], len(reading)), default=())
    return tuple(part[:64] if isinstance(part, str) else part for part in place)


def _readings(loc: tuple[str | int, ...], value: Any, *, missing: bool) -> Iterator[tuple[str | int, ...]]:
    """Every way to read a path. With `missing`, its last part is a field that the body lacks."""
    if not loc:
        yield ()
        return
    part, rest = loc[0], loc[1:]
    if part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value)):
        for reading in _readings(rest, value[part], missing=missing):
            yield (part, *reading)
    elif missing and not rest and isinstance(value, dict):
        yield (part,)
    yield from _readings(rest, value, missing=missing)
