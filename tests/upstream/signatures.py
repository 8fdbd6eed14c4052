"""Thought signatures: opaque to whoever passes them on, and noticed when they come back changed."""

import base64
import hashlib

_MARK = b"upstream:"
_STAND_INS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
DUMMIES = frozenset({*_STAND_INS, *(base64.b64encode(one.encode()).decode() for one in _STAND_INS)})
"""What Google's documentation lets stand in for a signature that another model's call never had; SDKs encode it."""


def signature(text: str) -> str:
    """The signature over a thought, or over a function's name."""
    return base64.b64encode(_MARK + hashlib.sha256(text.encode()).digest()).decode()


def is_signed(model: str) -> bool:
    """Gemini 3 signs its function calls."""
    return model.removeprefix("models/").startswith("gemini-3")
