"""Vectors that a test can compute, too."""

import base64
import hashlib
import math
import struct


def embedding(text: str, dimensions: int = 8) -> list[float]:
    """The unit vector of a text: always the same one, and another text's is another. As exact as float32 is."""
    raw = struct.unpack(f"<{dimensions}I", hashlib.shake_256(text.encode()).digest(4 * dimensions))
    values = [number / 2**31 - 1 for number in raw]
    length = math.hypot(*values)
    return list(struct.unpack(f"<{dimensions}f", packed([value / length for value in values])))


def packed(vector: list[float]) -> bytes:
    """Little-endian float32."""
    return struct.pack(f"<{len(vector)}f", *vector)


def encoded(vector: list[float]) -> str:
    """As OpenAI sends it for `encoding_format: base64`."""
    return base64.b64encode(packed(vector)).decode()
