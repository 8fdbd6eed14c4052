"""What came in, as tests read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Kind = Literal["chat", "verdict", "embedding", "models", "count", "unknown"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. `headers` have lower-case names and every value; `time` is `time.monotonic()`."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    time: float
    kind: Kind

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the only value of a header. Raises `AssertionError` if it was sent twice."""
        values = self.headers.get(name.lower(), ())
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request the vendor would not take, and what it was told."""

    request: Request
    status: int
    message: str
