"""The arithmetic done here for speed says what python-stdnum and libphonenumber say."""

import ipaddress
import string

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum import luhn, verhoeff
from stdnum.br import cpf
from stdnum.es import nie, nif
from stdnum.gb import nhs
from stdnum.iso7064 import mod_97_10

from middleware.guard import check_digits, pii, telephone


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=size, max_size=size)


_LETTERS = st.sampled_from("TRWAGMYFPDXBNJZSQVHLCKE")


@given(st.text("0123456789", min_size=2, max_size=19))
@example("4111111111111111")
def test_luhn(number: str) -> None:
    assert check_digits.luhn(number) == luhn.is_valid(number)


@given(digits(12), digits(10), digits(11))
@example("234567890124", "9434765919", "12345678909")
@example("000000000000", "0000000000", "00000000000")
def test_national_numbers(aadhaar: str, health: str, taxpayer: str) -> None:
    assert check_digits.verhoeff(aadhaar) == verhoeff.is_valid(aadhaar)
    assert check_digits.nhs(health) == nhs.is_valid(health)
    assert check_digits.cpf(taxpayer) == cpf.is_valid(taxpayer)


@given(digits(8), digits(7), st.sampled_from("XYZ"), _LETTERS)
@example("12345678", "1234567", "X", "Z")
def test_spain(dni: str, rest: str, first: str, letter: str) -> None:
    assert check_digits.nif(dni + letter) == nif.is_valid(dni + letter)
    assert check_digits.nif(f"{first}{rest}{letter}".lower()) == nie.is_valid(f"{first}{rest}{letter}")


@given(digits(2), st.text(string.ascii_uppercase + string.digits, min_size=18, max_size=18))
@example("82", "WEST12345698765432")
def test_iban(check: str, rest: str) -> None:
    number = f"GB{check}{rest}"
    assert check_digits.mod_97(number) == mod_97_10.is_valid(number[4:] + number[:4])


@pytest.mark.parametrize(
    "value",
    [
        "8.8.8.8",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.1.1.1",
        "2001:db8::1",
        "::1",
        "ff02::1",
        "fe80::1",
        "1::2::3",
    ],
)
def test_addresses_of_somebody(value: str) -> None:
    """As the standard library sorts them."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        assert not pii._address(value)
    else:
        nobody = address.is_loopback or address.is_unspecified or address.is_multicast or value.startswith("255.")
        assert pii._address(value) == (not nobody)


@given(
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)), st.text("0123456789", min_size=4, max_size=12)
)
@example(44, "2079460958")
@settings(max_examples=200)
def test_international_lengths(code: int, national: str) -> None:
    """As libphonenumber, but for what can be dialled from next door only."""
    number = phonenumbers.PhoneNumber(country_code=code, national_number=int("1" + national[1:]))
    reason = phonenumbers.is_possible_number_with_reason(number)
    possible = reason == phonenumbers.ValidationResult.IS_POSSIBLE
    assert telephone.is_international(f"{code}1{national[1:]}") == possible


@pytest.mark.parametrize("region", telephone._REGIONS)
def test_national_plans(region: str) -> None:
    """The example numbers of each region, as dialled at home."""
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(region, kind)
        assert number is not None
        dialled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert telephone.is_national("".join(c for c in dialled if c.isdigit()))


@pytest.mark.parametrize("digits", ["", "0", "00000000000", "999", "12345678901234567890"])
def test_no_numbers(digits: str) -> None:
    assert not telephone.is_national(digits)
    assert not telephone.is_british(digits)
    assert not telephone.is_international(digits)
