"""
Typed places in the ASGI scope: how one layer hands something to the next without knowing who that is.

The ASGI specification leaves names it does not define to whoever prefixes them; ours begin with `gateway.`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from starlette.types import Scope

from middleware.limits import UNLIMITED, Limits

T = TypeVar("T")


class ScopeKey(Generic[T]):
    """A named, typed entry of the scope. `put_by` is told to whoever misses it."""

    __slots__ = ("name", "put_by")

    def __init__(self, name: str, put_by: str) -> None:
        self.name = "gateway." + name
        self.put_by = put_by

    def put(self, scope: Scope, value: T) -> None:
        scope[self.name] = value

    def get(self, scope: Scope) -> T | None:
        value: T | None = scope.get(self.name)
        return value

    def require(self, scope: Scope) -> T:
        """Raises `LookupError` naming the layer that should have put the value."""
        value: T | None = scope.get(self.name)
        if value is None:
            raise LookupError(f"{self.name} is not in the scope: mount {self.put_by} outside this layer")
        return value


@dataclass(frozen=True, slots=True)
class Principal:
    """
    Who is asking. `key_id` is ours, never text of the caller; so is `tenant`.

    `scopes` name the groups of routes that the key may use, None: all that need no admin. `allowed_models` are the
    models it may ask for, as the caller writes them, None: all; what `tenant_models` leave out it may not ask for
    either. `limits` are the key's own, `tenant_limits` hold for
    all keys of the tenant together.
    """

    key_id: str
    tenant: str = "default"
    admin: bool = False
    scopes: frozenset[str] | None = None
    allowed_models: frozenset[str] | None = None
    tenant_models: frozenset[str] | None = None
    policy: str = "default"
    limits: Limits = UNLIMITED
    tenant_limits: Limits = UNLIMITED


class Prompt(Protocol):
    """
    A parsed body, as the screening layers see it.

    `texts` are all places a human or a model could have written to, in a fixed order; `with_texts` returns the same
    body with those places replaced (same order, same number) and raises `ValueError` where the body would no longer be
    sound; `to_bytes` is the JSON to hand to whoever reads the body
    again; `units` is how many requests it is worth to the rate limiter; `unread` are the kinds of its parts that no
    layer can read, such as "image".
    """

    @property
    def texts(self) -> Sequence[str]: ...

    @property
    def unread(self) -> Sequence[str]: ...

    @property
    def units(self) -> int: ...

    def with_texts(self, texts: Sequence[str]) -> Self: ...

    def to_bytes(self) -> bytes: ...


PRINCIPAL: ScopeKey[Principal] = ScopeKey("principal", put_by="AuthMiddleware")
PROMPT: ScopeKey[Prompt] = ScopeKey("prompt", put_by="BodyMiddleware")
