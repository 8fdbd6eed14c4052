"""Client keys: how they look, and the store of those that the environment names."""

import hashlib
import hmac
import secrets
import string
import zlib
from collections.abc import Mapping

from pydantic import SecretStr

from middleware.scope import Principal

_ALPHABET = string.digits + string.ascii_letters
_SECRET_CHARS = 26
"""62^26 is more than 2^154."""


def new_key() -> str:
    """
    A fresh `gw_<id>_<secret>` key.

    The last six characters of the secret are a CRC-32 of what stands before them, in base 62, so that a mistyped or
    invented key is known as such without a look-up (as GitHub's tokens do since 2021).
    """
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    body = f"gw_{key_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))
    return body + _checksum(body)


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _ALPHABET[digit] + digits
    return digits


class EnvironmentKeys:
    """
    Keys from the environment, held as keyed digests only.

    The id of a key is the name of its variable in lower case; `ADMIN_API_KEY` may do everything. A secret that stands
    in two variables belongs to the first, and to the admin if one of them is `ADMIN_API_KEY`.
    """

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._digest_key = secrets.token_bytes(32)
        self._principals: dict[bytes, Principal] = {}
        for name, key in keys.items():
            digest = self._digest(key.get_secret_value().encode("ascii"))
            admin = name == "ADMIN_API_KEY"
            if admin or digest not in self._principals:
                self._principals[digest] = Principal(name.lower().replace("_", "-"), admin=admin)

    async def find(self, key: bytes) -> Principal | None:
        """Look-up by digest: the time it takes says nothing about how much of a guess was right."""
        digest = self._digest(key)
        found = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._digest_key, digest_size=32).digest()
