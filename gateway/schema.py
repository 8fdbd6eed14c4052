"""The public contract: what the gateway's own routes take."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from middleware.body import InvalidBody
from middleware.refusal import FieldError

B = TypeVar("B", bound="Body")

MAX_PROBLEMS = 20
"""Problems told of one body: enough to mend it, too few to make the answer large."""

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Body(BaseModel):
    """A JSON object; with `texts` and `with_texts` of its own, a `Prompt` for the screening layers."""

    model_config = _STRICT

    @property
    def units(self) -> int:
        return 1

    @property
    def unread(self) -> Sequence[str]:
        return ()

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.model_dump(exclude_unset=True))


Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]
"""Of a model or a service: what could stand in a header, and no more."""


class QueryBody(Body):
    """`POST /query`."""

    prompt: Annotated[str, Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] = 256
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.7
    model: Name | None = None
    provider: Name | None = None
    system: str | None = None
    stream: bool = False

    @property
    def texts(self) -> Sequence[str]:
        return (self.prompt,) if self.system is None else (self.prompt, self.system)

    def with_texts(self, texts: Sequence[str]) -> Self:
        return self.model_copy(update=dict(zip(("prompt", "system"), texts, strict=False)))


class ToxicityBody(Body):
    """`POST /check-toxicity`."""

    text: Annotated[str, Field(min_length=1)]

    @property
    def texts(self) -> Sequence[str]:
        return (self.text,)

    def with_texts(self, texts: Sequence[str]) -> Self:
        return self.model_copy(update={"text": texts[0]})


class BatchBody(Body):
    """`POST /batch/security` and `/batch/resilience`: a batch is worth as many requests as it has prompts."""

    prompts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]

    @property
    def texts(self) -> Sequence[str]:
        return self.prompts

    @property
    def units(self) -> int:
        return len(self.prompts)

    def with_texts(self, texts: Sequence[str]) -> Self:
        return self.model_copy(update={"prompts": list(texts)})


@lru_cache(maxsize=8)
def query_body(*, max_prompt_chars: int, max_tokens: int) -> type[QueryBody]:
    """`QueryBody` with the operator's limits. The default of `max_tokens` stays within them."""
    prompt = Annotated[str, Field(min_length=1, max_length=max_prompt_chars)]
    return create_model(
        "QueryRequest",
        __base__=QueryBody,
        prompt=(prompt, ...),
        system=(Annotated[str, Field(max_length=max_prompt_chars)] | None, None),
        max_tokens=(Annotated[int, Field(ge=1, le=max_tokens)], min(256, max_tokens)),
    )


@lru_cache(maxsize=8)
def toxicity_body(*, max_chars: int) -> type[ToxicityBody]:
    text = Annotated[str, Field(min_length=1, max_length=max_chars)]
    return create_model("ToxicityRequest", __base__=ToxicityBody, text=(text, ...))


@lru_cache(maxsize=8)
def batch_body(name: str, *, max_prompts: int, max_chars: int) -> type[BatchBody]:
    prompt = Annotated[str, Field(min_length=1, max_length=max_chars)]
    prompts = Annotated[list[prompt], Field(min_length=1, max_length=max_prompts)]
    return create_model(name, __base__=BatchBody, prompts=(prompts, ...))


def parser(body: type[B]) -> Callable[[Any], B]:
    """A `parse` for BodyMiddleware: strict types, no unknown fields, many problems at once, no echo of values."""

    def parse(value: Any) -> B:
        try:
            return body.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_input=False, include_url=False, include_context=False)
            fields = [
                _field_error(item["loc"], item["msg"].removeprefix("Value error, "), item["type"])
                for item in details[:MAX_PROBLEMS]
            ]
            raise InvalidBody(*fields) from None

    return parse


def _field_error(loc: tuple[str | int, ...], msg: str, kind: str) -> FieldError:
    """The name of an unknown field is the caller's text: it is cut."""
    return FieldError(tuple(part[:64] if isinstance(part, str) else part for part in loc), msg, kind)
