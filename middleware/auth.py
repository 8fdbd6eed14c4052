"""API-key authentication."""

from typing import Literal, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.address import ClientAddress
from middleware.record import RECORD, Decision, Outcome
from middleware.refusal import Refusal
from middleware.scope import PRINCIPAL, Principal

MAX_KEY_BYTES = 512
"""Longer than any key: refused before it is hashed."""

UNAUTHORIZED = Refusal(
    401, "unauthorized", "missing or invalid API key", {"WWW-Authenticate": 'Bearer realm="gateway"'}
)
"""One body for every reason, so that nobody learns which of their guesses came close."""
_AMBIGUOUS = Refusal(400, "ambiguous_key", "two different API keys in one request")
_FORBIDDEN = Refusal(403, "forbidden", "this key may not do that")
_UNAVAILABLE = Refusal(503, "unavailable", "the store of keys does not answer", {"Retry-After": "1"})


class KeysUnavailable(Exception):
    """The store did not answer, so nobody can tell whose key this is."""


class KeyStore(Protocol):
    async def find(self, key: bytes) -> Principal | None:
        """Whose key this is. Compares digests in constant time. Raises `KeysUnavailable`."""
        ...


class FailureLimit(Protocol):
    async def retry_after_s(self, address: str) -> int | None:
        """Count one wrong key from an address; whole seconds to wait if there were too many, else None."""
        ...


class AuthMiddleware:
    """
    Answer 401 to a caller without a valid key, 403 to one without the needed rights.

    Reads `X-API-Key`, `Authorization: Bearer` and, if named, one more header; two different keys are 400. Puts
    PRINCIPAL. `required="optional"` lets a request without any key pass as nobody; `scope` is the group of routes that
    a key must be made for, if it was made for some only. 503 when the store cannot tell. With `failures`, an address
    that sends wrong keys too fast gets 429 for further wrong ones; a valid key from there still works.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyStore,
        required: Literal["optional", "key", "admin"] = "key",
        scope: str | None = None,
        header_name: str = "Authorization",
        failures: FailureLimit | None = None,
        address: ClientAddress | None = None,
    ) -> None:
        if required not in ("optional", "key", "admin"):
            raise ValueError("required must be 'optional', 'key' or 'admin'")
        self.app = app
        self.keys = keys
        self.required = required
        self.scope = scope
        self.failures = failures
        self.address = address or ClientAddress()
        self._headers = frozenset({b"x-api-key", b"authorization", header_name.lower().encode("ascii")})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        presented = self._presented(scope)
        if len(presented) > 1:
            await self._refuse(_AMBIGUOUS, "ambiguous_key", scope, receive, send)
            return
        key = next(iter(presented), None)
        if key is None and self.required == "optional":
            await self.app(scope, receive, send)
            return
        try:
            principal = await self.keys.find(key) if key and len(key) <= MAX_KEY_BYTES else None
        except KeysUnavailable:
            await self._refuse(_UNAVAILABLE, "store_unavailable", scope, receive, send)
            return
        if principal is None:
            reason = "missing_key" if key is None else "invalid_key"
            await self._refuse(await self._unauthorized(scope, reason), reason, scope, receive, send)
            return
        if not self._may(principal):
            await self._refuse(_FORBIDDEN, "forbidden", scope, receive, send)
            return

        PRINCIPAL.put(scope, principal)
        record = RECORD.get(scope)
        if record is not None:
            record.key_id = principal.key_id
            record.decisions.append(Decision("auth", "pass"))
        await self.app(scope, receive, send)

    def _may(self, principal: Principal) -> bool:
        if self.required == "admin" and not principal.admin:
            return False
        return self.scope is None or principal.scopes is None or self.scope in principal.scopes

    def _presented(self, scope: Scope) -> set[bytes]:
        """The different keys in the request. An `Authorization` that is not Bearer presents an empty, invalid key."""
        presented: set[bytes] = set()
        for name, value in scope["headers"]:
            if name not in self._headers:
                continue
            scheme, _, rest = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                presented.add(rest.strip())
            else:
                presented.add(b"" if name == b"authorization" else value.strip())
        return presented

    async def _unauthorized(self, scope: Scope, reason: str) -> Refusal:
        if self.failures is None or reason == "missing_key":
            return UNAUTHORIZED
        wait_s = await self.failures.retry_after_s(self.address.of(scope))
        if wait_s is None:
            return UNAUTHORIZED
        return Refusal(429, "rate_limited", "too many invalid API keys", {"Retry-After": str(wait_s)})

    async def _refuse(self, refusal: Refusal, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
        record = RECORD.get(scope)
        if record is not None:
            outcome: Outcome = "error" if refusal is _UNAVAILABLE else "block"
            record.decisions.append(Decision("auth", outcome, reason))
        await refusal(scope, receive, send)
