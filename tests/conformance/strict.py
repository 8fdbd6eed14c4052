"""Reading JSON through an SDK's pydantic types without their lenience."""

import json
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

T = TypeVar("T")


def strictly(adapter: TypeAdapter[T], value: object) -> T:
    """
    The value as the SDK's type.

    The SDKs build their models unchecked; here every required key, literal and JSON type counts: no "1" or 1.0 for 1.
    AssertionError lists each path that fails. Keys the type does not know are allowed, as the SDKs allow them.
    """
    try:
        return adapter.validate_json(json.dumps(value, allow_nan=False), strict=True)
    except ValidationError as error:
        problems = [f"  ${'.'.join(['', *map(str, found['loc'])])}: {found['msg']}" for found in told(error.errors())]
        raise AssertionError("not as the SDK's type:\n" + "\n".join(problems)) from None
    except (TypeError, ValueError) as error:
        raise AssertionError(f"not JSON: {error}") from None


def told(found: list[ErrorDetails]) -> list[ErrorDetails]:
    """What was found, without the members of a union whose `type` is another one; all of it, if that is all."""
    other = {
        error["loc"][:-1] for error in found if error["type"] == "literal_error" and error["loc"][-1:] == ("type",)
    }
    meant = [error for error in found if not any(error["loc"][:end] in other for end in range(len(error["loc"])))]
    return meant or found
