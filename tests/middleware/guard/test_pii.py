"""Personal data by type: what the arithmetic accepts and what it refuses."""

import pytest

from middleware.guard.guard import Guard

GUARD = Guard(injection="off", pii="mask", secrets="off", sql="off")


@pytest.mark.parametrize(
    ("type", "value", "text"),
    [
        # e-mail
        ("email", "john@example.com", "Write to {}, please"),
        ("email", "John.DOE+tag@mail.Example.co.uk", "<{}>"),
        ("email", "José.García@empresa.es", "Señor {}."),
        ("email", "john (at) example (dot) com", "mail {} now"),
        ("email", "john DOT doe AT example DOT com", "{}"),
        ("email", "user@[203.0.113.9]", "{}"),
        ("email", "foo@example.com", "from='{}'"),
        # cards: Luhn and issuer
        ("credit_card", "4111 1111 1111 1111", "card {} exp 12/30"),
        ("credit_card", "4111111111111111", "{}"),
        ("credit_card", "5555-5555-5555-4444", "card {}."),
        ("credit_card", "378282246310005", "amex {}"),
        ("credit_card", "3782 822463 10005", "{}"),
        ("credit_card", "6011111111111117", "{}"),
        ("credit_card", "3530111333300000", "jcb {}"),
        ("credit_card", "30569309025904", "diners card {}"),
        ("credit_card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "say {} ok"),
        # social security
        ("ssn", "123-45-6789", "My SSN is {}"),
        ("ssn", "078-05-1120", "{}"),
        ("ssn", "536 90 4399", "it is {} here"),
        # as word processors set a dash
        ("ssn", "536\u201390\u20134399", "it is {} here"),
        ("ssn", "536\u201190\u20114399", "it is {} here"),
        ("credit_card", "4111\u20131111\u20131111\u20131111", "card {}"),
        ("phone", "555\u2013234\u20135678", "call {}"),
        ("ssn", "536904399", "social security number: {}"),
        ("ssn", "987-65-4320", "{}"),
        ("ssn", "987654321", 'ssn_field="{}"'),
        # tax and national numbers
        ("tax_id", "12-3456789", "EIN: {}"),
        ("tax_id", "912-70-1234", "{}"),
        ("tax_id", "12345678Z", "DNI {}"),
        ("tax_id", "X1234567L", "NIE {}"),
        ("tax_id", "RSSMRA85M01H501Q", "codice {}"),
        ("tax_id", "AB 12 34 56 C", "{}"),
        ("tax_id", "AB123456C", "National Insurance {}"),
        ("tax_id", "36574261809", "Steuer-ID {}"),
        ("tax_id", "2 95 10 99 126 111 93", "{}"),
        ("tax_id", "529.982.247-25", "{}"),
        ("tax_id", "11.222.333/0001-81", "{}"),
        ("tax_id", "756.9217.0769.85", "{}"),
        ("tax_id", "943 476 5919", "{}"),
        ("tax_id", "S1234567D", "NRIC {}"),
        ("tax_id", "A123456(3)", "{}"),
        ("tax_id", "850101-1234567", "{}"),
        ("tax_id", "850101-14-1234", "{}"),
        ("tax_id", "131052-308T", "{}"),
        ("tax_id", "110101199003074518", "{}"),
        ("tax_id", "HEGG560427MVZRRL04", "{}"),
        ("tax_id", "2345 6789 0124", "{}"),
        ("driver_license", "F162823540116", "My driver's license number is {}."),
        ("driver_license", "2270-66-1551", "drivers licence no: {} thanks"),
        ("passport", "C01234567", "passport number {}"),
        # telephone
        ("phone", "+44 20 7946 0958", "ring {} today"),
        ("phone", "+12025550123", "{}"),
        ("phone", "555-123-4567", "{}"),
        ("phone", "(212) 555-0199", "at {}!"),
        ("phone", "07700 900123", "phone {}"),
        ("phone", "0494 92 82 32", "call me at {} I would"),
        ("phone", "+1 (555) 123-4567 ext. 890", "{}"),
        ("phone", "555-123-4567x1234", "{}"),
        ("phone", "001-555-123-4567", "{}"),
        ("phone", "1-800-555-0199", "on {}"),
        ("phone", "+234 1 234 5678", "{}"),
        ("phone", "+33 (0)1 42 68 53 00", "{}"),
        ("phone", "02071234567", "{}"),
        ("phone", "030/1234567", "Tel. {}"),
        ("phone", "780 6326", "Phone:\n{}\n\nE-mail:"),
        ("phone", "(72) 754-186", "Phone: {}"),
        ("phone", "60-56-85-91", "phone:\n{}"),
        ("phone", "5551234567", "{} is my cell"),
        ("phone", "0176 12345678", "Handynummer: {}"),
        # bank accounts: the country's length ends the number
        ("iban", "GB29 NWBK 6016 1331 9268 19", "pay {} USD"),
        ("iban", "DE89370400440532013000", "IBAN:{}"),
        ("iban", "FR14 2004 1010 0505 0001 3M02 606", "{}"),
        # network addresses
        ("ip_address", "203.0.113.7", "host {} is down"),
        ("ip_address", "192.168.1.1", "{}"),
        ("ip_address", "2001:db8::8a2e:370:7334", "at {} now"),
    ],
)
def test_values_are_found_whole(type: str, value: str, text: str) -> None:
    """One value of its type, masked from its first character to its last."""
    full = text.format(value)
    report = GUARD.scan(full)
    assert report.pii == {type: 1}
    assert report.masked(full) == text.format(f"[{type.upper()}_1]")
    verdict = GUARD.inspect([full])
    assert (verdict.outcome, verdict.code, verdict.reasons, verdict.types) == ("mask", None, ("pii",), {type: 1})
    assert verdict.texts == (text.format(f"[{type.upper()}_1]"),)
    assert verdict.replacements == {f"[{type.upper()}_1]": value}


@pytest.mark.parametrize(
    "text",
    [
        # e-mail
        "@decorator and user@host",
        "logo@2x.png",
        "git clone git@github.com:owner/repo.git",
        # cards: wrong check digit, wrong issuer, one digit repeated
        "4111 1111 1111 1112",
        "9999999999999995",
        "0000 0000 0000 0000",
        "timestamp 1700000000000",
        # social security: areas 000, 666, 9xx, group 00, serial 0000; no name
        "000-12-3456",
        "666-12-3456",
        "SSN 999-93-9999",
        "123-00-4567",
        "123-45-0000",
        "order 536904399",
        # tax and national numbers
        "part 12-3456789",
        "12345678A",
        "529.982.247-26",
        "11.222.333/0001-82",
        "Steuer-ID 36574261808",
        "model AB123456C",
        "943 476 5918",
        "S1234567A",
        "851301-1234567",
        "110101199013074518",
        "the driver's license costs 50 dollars",
        "passport to 2024",
        "1234 5678 9012",
        # telephone
        "2020-2021 and 100 200",
        "the years 1984 1985 1986",
        "it costs 1,234,567.89",
        "contact us before 2024-01-15 10:30",
        "Call me at 5pm on 12.03.2024",
        "ISBN 978-3-16-148410-0",
        "02110-1335, USA",
        "phone number of employees: 12 500",
        "0123456789",
        "tracking 9400 1000 0000 0000 0000 00",
        # bank accounts
        "GB29 NWBK 6016 1331 9268 18",
        "DE8937040044053201300",
        # versions, networks, nobody's addresses
        "version 1.2.3.4",
        "v1.2.3.4",
        "pip install x==1.2.3.4",
        "127.0.0.1 and 0.0.0.0 and ::1",
        "10.0.0.0/8",
        "255.255.255.0",
        "256.1.1.1",
        "at 12:30:45 std::vector a::b",
    ],
)
def test_near_misses_pass(text: str) -> None:
    """What fails its arithmetic, or lacks its name, is no personal data."""
    assert GUARD.scan(text).pii == {}


def test_a_card_behind_other_digits() -> None:
    """A refused candidate does not swallow the value that begins inside it."""
    assert GUARD.scan("5555 4111 1111 1111 1111").pii == {"credit_card": 1}


def test_several_types_are_counted() -> None:
    """Each type with its number of values."""
    report = GUARD.scan("a@example.com, b@example.com, 123-45-6789, 203.0.113.7")
    assert report.pii == {"email": 2, "ssn": 1, "ip_address": 1}
