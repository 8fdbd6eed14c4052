"""Is a JSON value what OpenAI's API would have sent? By the published document and by the official SDK's types."""

import base64
import binascii
import json
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from openai.types import CreateEmbeddingResponse, ErrorObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.conformance.strict import strictly

Schema = dict[str, Any]
Keyword = Callable[[Any, list[Schema], Any, Schema], Iterator[ValidationError]]

DOCUMENT: Schema = json.loads((Path(__file__).parent / "openai.json").read_text("utf-8"))
SDK_TYPES: dict[str, TypeAdapter[Any]] = {
    "CreateChatCompletionResponse": TypeAdapter(ChatCompletion),
    "CreateChatCompletionStreamResponse": TypeAdapter(ChatCompletionChunk),
    "CreateEmbeddingResponse": TypeAdapter(CreateEmbeddingResponse),
    "Error": TypeAdapter(ErrorObject),
    "Model": TypeAdapter(Model),
    "Response": TypeAdapter(Response),
    "ResponseStreamEvent": TypeAdapter(ResponseStreamEvent),
}


def check_openai(schema_name: str, value: object) -> None:
    """
    Pass if the value fits the named schema of the document, and the SDK's type of that meaning where there is one.

    Both, because each knows fields the other does not yet, or no longer, require (README.md). Unknown keys are allowed
    unless the schema forbids them. AssertionError lists the paths that fail; KeyError for a name not in the document.
    """
    if problems := against_document(schema_name, value):
        raise AssertionError(f"not a {schema_name} of the document:\n" + "\n".join(problems))
    if schema_name in SDK_TYPES:
        strictly(SDK_TYPES[schema_name], value)


def check_openai_embeddings(value: object, *, dimensions: int | None = None) -> None:
    """
    Pass if the value is a CreateEmbeddingResponse with vectors of one length, in either encoding, in index order.

    The document knows numbers only; `encoding_format: base64` (the Python SDK's default) is little-endian float32.
    With `dimensions`, the length is that.
    """
    plain = json.loads(json.dumps(value))
    for entry in plain["data"] if isinstance(plain, dict) and isinstance(plain.get("data"), list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("embedding"), str):
            entry["embedding"] = unpacked(entry["embedding"])
    check_openai("CreateEmbeddingResponse", plain)
    vectors = [entry["embedding"] for entry in plain["data"]]
    assert [entry["index"] for entry in plain["data"]] == list(range(len(vectors))), "indexes are not 0, 1, 2..."
    lengths = {len(vector) for vector in vectors}
    assert len(lengths) == 1, f"vectors of lengths {sorted(lengths)}"
    assert lengths == {dimensions} if dimensions is not None else 0 not in lengths, f"vectors of length {lengths}"


def unpacked(encoded: str) -> list[float]:
    """The numbers of one base64 embedding."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise AssertionError(f"not base64: {error}") from None
    assert len(raw) % 4 == 0, f"{len(raw)} bytes are not a row of float32"
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def against_document(schema_name: str, value: Any) -> list[str]:
    """The path and the reason of everything in the value that does not fit the named schema."""
    return [f"  {at(error)}" for error in validator(schema_name).iter_errors(value)]


@cache
def validator(schema_name: str) -> Validator:
    """The named schema, with the rest of the document at hand for its references."""
    schema = resolved({"$ref": f"#/components/schemas/{schema_name}"})
    return JudgingByTag({**schema, "components": DOCUMENT["components"]})


def resolved(schema: Schema) -> Schema:
    """The schema that a `$ref` names; any other as it is."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]
    return schema


def tags(schema: Schema, key: str) -> frozenset[str]:
    """The values the schema allows under the discriminating key."""
    schema = resolved(schema)
    if key in schema.get("properties", {}):
        return words(schema["properties"][key])
    return frozenset[str]().union(*(tags(branch, key) for branch in branches(schema)))


def words(schema: Schema) -> frozenset[str]:
    """The strings the schema lists."""
    schema = resolved(schema)
    return frozenset[str](schema.get("enum", [])).union(*map(words, branches(schema)))


def branches(schema: Schema) -> list[Schema]:
    """The schemas that the schema combines."""
    return [branch for word in ("allOf", "anyOf", "oneOf") for branch in schema.get(word, [])]


def judging_by_tag(keyword: Keyword) -> Keyword:
    """
    `anyOf` or `oneOf` that minds a `discriminator`: only the members naming the value's tag are tried.

    So an error tells what is wrong inside the one schema meant, and not that none of fifty fits.
    """

    def judge(validator: Any, members: list[Schema], instance: Any, schema: Schema) -> Iterator[ValidationError]:
        key = schema.get("discriminator", {}).get("propertyName")
        if key is None or not isinstance(instance, dict):
            yield from keyword(validator, members, instance, schema)
            return
        tag = instance.get(key)
        named = [member for member in members if isinstance(tag, str) and tag in tags(member, key)]
        if not named:
            yield ValidationError(f"{key} {tag!r} is unknown here")
        elif len(named) == 1:
            yield from validator.descend(instance, named[0])
        else:
            yield from keyword(validator, named, instance, schema)

    return judge


JudgingByTag: Callable[[Schema], Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {word: judging_by_tag(Draft202012Validator.VALIDATORS[word]) for word in ("anyOf", "oneOf")},
)


def at(error: ValidationError) -> str:
    """The path and the message of the deepest cause."""
    cause = best_match([error]) or error
    return f"{cause.json_path}: {cause.message[:300]}"
