"""What is JSON to the gateway, and what is not."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.strict_json import MAX_DEPTH, InvalidJSON, loads

REFUSED = {
    # not JSON at all
    "empty": b"",
    "trailing text": b'{"a":1} x',
    "two values": b"{}{}",
    "single quotes": b"{'a':1}",
    # numbers no other parser agrees on
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "1e999": b'{"a":1e999}',
    "beyond 2^53": b'{"a":9007199254740994}',
    "beyond -2^53": b'{"a":-9007199254740994}',
    "4300 digits": b'{"a":' + b"9" * 4300 + b"}",
    # encodings
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "bad UTF-8": b'{"a":"\xff"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    # characters
    "raw NUL": b'{"a":"\x00"}',
    "escaped NUL": b'{"a":"\\u0000"}',
    "escaped NUL in a name": b'{"a\\u0000":1}',
    # names
    "duplicate": b'{"a":1,"a":2}',
    "duplicate by escape": b'{"a":1,"\\u0061":2}',
    "duplicate with colons in strings": b'{"a":"x:y:z","a":"::"}',
    "duplicate made up for by an escaped colon": b'{"b":"\\u003A","a":1,"a":2}',
    "duplicate with a colon dropped": b'{"a":"::","a":":"}',
    "duplicate deep inside": b'{"a":[{"b":{"c":1,"c":1}}]}',
    "duplicate around escaped quotes": b'{"a":"\\":","a":1}',
    # size
    "depth": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "depth far beyond the stack": b"[" * 100_000 + b"]" * 100_000,
    "names": orjson.dumps({str(number): 0 for number in range(10_001)}),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(body: bytes) -> None:
    """The message tells what is wrong and nothing of what was sent."""
    with pytest.raises(InvalidJSON) as caught:
        loads(body)
    assert len(str(caught.value)) < 80
    assert "9007" not in str(caught.value)


def test_accepts_the_bounds() -> None:
    """The deepest, widest and largest that is allowed."""
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert len(loads(orjson.dumps({str(number): 0 for number in range(10_000)}))) == 10_000
    assert loads(b"9007199254740992") == 2**53


CHARACTERS = st.characters(exclude_characters="\0", codec="utf-8")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS), inner),
    max_leaves=20,
)


@given(JSON)
def test_reads_what_another_writer_wrote(value: object) -> None:
    """Strictness costs no valid document, colons, quotes and escapes in strings included."""
    assert loads(orjson.dumps(value)) == value
