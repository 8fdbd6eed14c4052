"""Client keys: how they look, and the store of those that the environment names."""

import secrets
import string
import zlib
from collections.abc import Mapping

from pydantic import SecretStr

from middleware.scope import Principal
from middleware.static_keys import StaticKeys

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


def environment_keys(keys: Mapping[str, SecretStr]) -> StaticKeys:
    """
    A store of the keys that variables hold.

    The id of a key is the name of its variable in lower case. `ADMIN_API_KEY` may do everything, also when the same
    secret stands in another variable.
    """
    names = sorted(keys, key=lambda name: name != "ADMIN_API_KEY")
    return StaticKeys(
        (keys[name].get_secret_value(), Principal(name.lower().replace("_", "-"), admin=name == "ADMIN_API_KEY"))
        for name in names
    )
