"""Cut `openai.json` out of OpenAI's OpenAPI document: the command is in README.md, the steps are in `cut`."""

import json
import sys
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

ROOTS = [
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "CreateEmbeddingResponse",
    "ErrorResponse",
    "ListModelsResponse",
    "Model",
    "Response",
    "ResponseStreamEvent",
]
# Properties that are null in the document's own examples (`response.created` and others), and in its schemas are not.
NULL_IN_EXAMPLES = {("Response", "usage"), ("ModelResponseProperties", "user")}
PROSE = {"default", "deprecated", "description", "example", "examples", "title"}


def cut(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """
    Everything ROOTS reach, as plain JSON Schema 2020-12 without prose.

    1. Prose and `x-` keys go; the keys of `properties` are names, and stay.
    2. `nullable: true` becomes `anyOf: [..., {"type": "null"}]`.
    3. `$recursiveRef: "#"`, of an older draft, becomes a `$ref` to the schema it stands in.
    4. NULL_IN_EXAMPLES may be null.
    5. A schema with `properties` but no `type` (only `Model`) is given `type: object`, or a list would be a model.
    """
    kept: dict[str, Schema] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = plain(schemas[name], name)
            wanted += references(kept[name])
    return dict(sorted(kept.items()))


def plain(schema: Schema, name: str) -> Schema:
    """One schema and those inside it, by the steps of `cut`; `name` is the whole one's."""
    result: Schema = {}
    for word, value in schema.items():
        if word in PROSE or word.startswith("x-") or word in {"nullable", "$recursiveAnchor"}:
            continue
        if word == "$recursiveRef":
            result["$ref"] = f"#/components/schemas/{name}"
        elif word == "properties":
            result[word] = {
                key: plain({**inner, "nullable": True} if (name, key) in NULL_IN_EXAMPLES else inner, name)
                for key, inner in value.items()
            }
        elif word in {"allOf", "anyOf", "oneOf"}:
            result[word] = [plain(inner, name) for inner in value]
        elif word in {"items", "additionalProperties", "propertyNames"} and isinstance(value, dict):
            result[word] = plain(value, name)
        else:
            result[word] = value
    if "properties" in result and "type" not in result:
        result["type"] = "object"
    return {"anyOf": [result, {"type": "null"}]} if schema.get("nullable") else result


def references(node: object) -> Iterator[str]:
    """The names of the schemas a schema refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value.removeprefix("#/components/schemas/")
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


if __name__ == "__main__":
    document = json.load(sys.stdin)
    header = {
        "openapi": document["openapi"],
        "info": {key: document["info"][key] for key in ("title", "version", "license")},
    }
    lines = [
        f"{json.dumps(name)}:{json.dumps(schema)}" for name, schema in cut(document["components"]["schemas"]).items()
    ]
    schemas = ",\n".join(lines)
    sys.stdout.write(f'{json.dumps(header)[:-1]}, "components": {{"schemas": {{\n{schemas}\n}}}}}}\n')
