"""Client keys: how they look, and the store of those that the environment names."""

import re
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
_KEY = re.compile(rb"(gw_([0-9A-Za-z]{10})_[0-9A-Za-z]{26})([0-9A-Za-z]{6})")


def new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


def new_key(key_id: str | None = None) -> str:
    """
    A fresh `gw_<id>_<secret>` key, with a fresh id or a fresh secret for a known one.

    The last six characters of the secret are a CRC-32 of what stands before them, in base 62, so that a mistyped or
    invented key is known as such without a look-up (as GitHub's tokens do since 2021).
    """
    body = f"gw_{key_id or new_id()}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))
    return body + _checksum(body)


def id_of(key: bytes) -> str | None:
    """The id in a key of our form; None if its form or its checksum is wrong."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    body, key_id, checksum = (part.decode("ascii") for part in match.groups())
    return key_id if _checksum(body) == checksum else None


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
