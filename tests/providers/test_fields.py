"""Untrusted JSON: any value in, the right type out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import fields

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(ANYTHING)
def test_readers_never_fail(value: object) -> None:
    """Each answers with its type for any JSON value, and for floats JSON cannot hold."""
    assert isinstance(fields.mapping(value), dict)
    assert isinstance(fields.first(value), dict)
    assert isinstance(fields.sequence(value), list)
    assert isinstance(fields.string(value), str)
    assert 0 <= fields.count(value) <= 10**12
    amount = fields.money(value)
    assert amount is None or (amount.is_finite() and amount >= 0)
    assert len(fields.sentence(value)) <= fields.MAX_SENTENCE


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (5.0, 5), (5.5, 0), (-1, 0), (True, 0), ("5", 0), (10**12, 10**12), (10**12 + 1, 0), (float("inf"), 0)],
)
def test_counts(value: object, expected: int) -> None:
    """Whole numbers that could be tokens."""
    assert fields.count(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, Decimal(0)),
        (0.1, Decimal("0.1")),
        ("0.25", Decimal("0.25")),
        (1e-7, Decimal("1E-7")),
        (-1, None),
        (True, None),
        (float("nan"), None),
        ("Infinity", None),
        ("x", None),
        ("9" * 100, None),
    ],
)
def test_money(value: object, expected: Decimal | None) -> None:
    """Amounts as written, without a float's error."""
    assert fields.money(value) == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"1", b"{", b"\xff", b"{}x"])
def test_only_objects_are_parsed(data: bytes) -> None:
    """Everything else is a `ValueError`."""
    with pytest.raises(ValueError):  # noqa: PT011 (some texts are the JSON library's)
        fields.parse(data)


@pytest.mark.parametrize(
    ("text", "whole"),
    [("{}", True), (' {"a": [1]} \n', True), ('{"a": 1', False), ("[1]", False), ("1", False), ("", False)],
)
def test_is_object(text: str, whole: bool) -> None:
    """Only an object that has ended: more of it cannot come."""
    assert fields.is_object(text) is whole
