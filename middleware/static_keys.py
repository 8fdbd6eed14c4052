"""A key store for keys that are known at start."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from middleware.scope import Principal


class StaticKeys:
    """
    Keys and whose they are, held as digests keyed with a secret of this process.

    Of a key given twice the first principal counts. Raises `ValueError` for an empty key.
    """

    def __init__(self, keys: Iterable[tuple[str, Principal]]) -> None:
        self._digest_key = secrets.token_bytes(32)
        self._principals: dict[bytes, Principal] = {}
        for key, principal in keys:
            if not key:
                raise ValueError("a key must not be empty")
            self._principals.setdefault(self._digest(key.encode()), principal)

    @property
    def principals(self) -> tuple[Principal, ...]:
        """Whose keys there are, each once."""
        return tuple(dict.fromkeys(self._principals.values()))

    async def find(self, key: bytes) -> Principal | None:
        """Compare with every digest in constant time: how long it takes says nothing about how close a guess was."""
        digest = self._digest(key)
        found = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._digest_key, digest_size=32).digest()
