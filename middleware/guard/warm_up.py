"""
Texts to be read before the first that counts: RE2 makes the states of its automata as texts call for them, and without
these the first text of 4 KB takes 12 ms where later ones take 2.
"""

import random
import string
from collections import deque
from collections.abc import Iterator
from functools import cache

from middleware.guard import corpus
from middleware.guard.decode import forms

_NUMBER = 300
"""Texts of each sort: twice as many gain little more."""

_NAMES = ("api_key", "password", "Authorization: Bearer", "client-secret", "token", "IBAN", "card", "phone", "id")
_JOINS = ("=", ": ", '": "', " = '", " ", "(")
_LINES = ("{0}{1}{2}", "curl -H '{0}: {2}' https://{2}.example/{0}?{2}", "SELECT {0} FROM {2} WHERE {0} = '{2}'; --")
_ALPHABETS = (
    string.hexdigits[:16],
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "+/-_.",
    string.digits + " -./",
    string.digits + "-",
    string.ascii_lowercase + "@.-",
    "аеиклмнорстяαεικλνορ的是在有我一كلمةهذا日本語한국어",
)


def texts() -> Iterator[str]:
    """Prose that speaks of instructions, and lines that look as if they held keys, numbers and addresses."""
    yield from corpus.attacks(_NUMBER, 1)
    yield from corpus.harmless(_NUMBER, 1)
    draw = random.Random(1)  # noqa: S311
    for _ in range(_NUMBER):
        value = "".join(draw.choices(draw.choice(_ALPHABETS), k=draw.randint(4, 60)))
        yield draw.choice(_LINES).format(draw.choice(_NAMES), draw.choice(_JOINS), value)


@cache
def decoding() -> None:
    """Looks for disguises in them, once a process."""
    for text in texts():
        deque(forms(text), maxlen=0)
