"""What schemathesis is told of this gateway beyond its document; loaded by the process of test_schemathesis.py."""

import re
from itertools import count
from typing import Any

import orjson
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

MODEL = "demo"
"""The model that the gateway has."""
_LARGEST = 2**53
_SETTLED = re.compile(
    # a screen's verdict
    rb"prompt_injection|pii_detected|secret_detected|sql_injection|content_policy_violation"
    # what one field says of another
    rb"|names a tool that is not among the tools|needs one of (?:image_url and file_id|file_data, file_url and file_id)"
    # what a stateless gateway, or the service that has the model, cannot do
    rb"|unsupported_parameter|files kept at a provider are not supported|no service that has this model can do what"
    rb"|the demo has at most 1536 dimensions"
    # what is there and what is not
    rb"|there is no such tenant|there is no such policy|there is a tenant with this id already"
    rb"|must be a time as in RFC 3339"  # the year 0
)
"""Refusals of sound data that no JSON Schema foretells."""
_OFTEN_REFUSED = frozenset({"previous_response_id", "conversation", "background", "tools", "tool_choice"})
"""Three of four bodies come without, or few would reach a model."""
_callers = count(1)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """
    Every request comes from an address of its own, so that the limit on wrong keys never hides a 401.

    Sound bodies ask for a model there is and keep within strict JSON, which is narrower than JSON Schema: no NUL, no
    number beyond ±2^53, and 256.0 is no integer (JSON Schema says it is; OpenAI refuses it too).
    """
    number = next(_callers)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    sound = case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
    if sound and isinstance(case.body, dict):
        body = _strict(case.body)
        if isinstance(body.get("model"), str):
            body["model"] = MODEL
        if isinstance(body.get("provider"), str):
            body["provider"] = MODEL
        if number % 4:
            body = {name: value for name, value in body.items() if name not in _OFTEN_REFUSED}
            if "input" in body:
                body.pop("prompt", None)  # a template of OpenAI's, not the prompt of /query
        case.body = body


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.replace("\0", ""): _strict(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        value = max(-_LARGEST, min(_LARGEST, value))
        return int(value) if value == int(value) else value
    return value.replace("\0", "") if isinstance(value, str) else value


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """Sound data may be refused for what it asks or says, never for its form."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    return _SETTLED.search(orjson.dumps(response.json())) is None
