"""
Rules for personal data: a shape found by RE2, then the issuer's own arithmetic.

Where a number carries no check digit its name must stand near it ("EIN", "phone", "social security"). Types: email, credit_card,
ssn, tax_id (national numbers included), phone, iban, ip_address, and named driver_license and passport.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import socket
from collections.abc import Callable
from types import ModuleType

import re2
from stdnum.br import cnpj
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import utr
from stdnum.mx import curp
from stdnum.pl import pesel

from middleware.guard import check_digits, telephone
from middleware.guard.rule import Check, Rule

_DIGITS = frozenset("0123456789")


def _digits(value: str) -> str:
    return "".join(filter(_DIGITS.__contains__, value))


def _named(*words: str) -> Callable[[str, str], bool]:
    """Does one of the words stand in the text before the candidate, or shortly behind it?"""

    def near(before: str, after: str) -> bool:
        text = f"{before}|{after[:16]}".lower()
        return any(word in text for word in words)

    return near


def _both(*checks: Check) -> Check:
    return lambda value, before, after: all(check(value, before, after) for check in checks)


def _near(*words: str) -> Check:
    near = _named(*words)
    return lambda value, before, after: near(before, after)


def _checksum(module: ModuleType) -> Check:
    """The check digits of a python-stdnum module."""
    return lambda value, before, after: bool(module.is_valid(value))


# --- e-mail ---------------------------------------------------------------------------------------------------------

_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css", "ts", "py", "json", "html", "md", "zip", "gz", "so", "exe", "dll", "internal", "local"})  # fmt: skip


def _email(value: str, before: str, after: str) -> bool:
    """RFC 5321 §4.5.3.1: at most 64 octets before the at sign, 255 behind. `git@host:path` is an address of a repository."""
    local, _, domain = value.rpartition("@")
    if len(local) > 64 or len(domain) > 255 or ".." in value:
        return False
    if domain.rsplit(".", 1)[-1].lower() in _FILES:
        return False
    return not (local == "git" and after[:1] in ("/", ":"))


# --- cards ----------------------------------------------------------------------------------------------------------


def _issuer(number: str) -> bool:
    """
    Do the first digits belong to a network, and has the number one of its lengths?

    ISO/IEC 7812-1 and the networks' published ranges: Visa 4; Mastercard 51-55, 2221-2720; Amex 34, 37; Discover 6011, 644-649, 65; Diners 300-305, 3095,
    36, 38, 39; JCB 35 and, of 15 digits, 2131 and 1800; UnionPay 62, 81; Mir 2200-2204; Maestro 50, 56-58, 63, 67; RuPay 60, 81, 82.
    """
    size, two, three, four = len(number), int(number[:2]), int(number[:3]), int(number[:4])
    if number[0] == "4":
        return size in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return size == 16
    if two in (34, 37):
        return size == 15
    if 300 <= three <= 305 or four == 3095 or two in (36, 38, 39):
        return size in (14, 16, 19)
    if two == 35 or 2200 <= four <= 2204:
        return 16 <= size <= 19
    if four in (2131, 1800):
        return size == 15
    if two in (60, 62, 64, 65, 81, 82):
        return 16 <= size <= 19
    return two in (50, 56, 57, 58, 63, 67) and 12 <= size <= 19


def _card(value: str, before: str, after: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1 annex B) over a number its network could have issued."""
    number = _digits(value)
    return len(set(number)) > 1 and _issuer(number) and check_digits.luhn(number)


_CARD_NEAR = _near("card", "visa", "mastercard", "master card", "amex", "american express", "discover", "maestro", "diners", "jcb", "credit", "debit", "cc#", " cc ", "pan", "karte", "tarjeta", "carte", "carta")  # fmt: skip


def _bare_card(value: str, before: str, after: str) -> bool:
    """
    One run of digits: the two rarest lengths and the loosest ranges need a name beside them.

    A tenth of all numbers pass Luhn, and identifiers and timestamps of 13, 14 or 19 digits are common.
    """
    return _card(value, before, after) and (
        (len(value) in (14, 15, 16) and value[0] in "3456")
        or (value[:2] in ("22", "23", "24", "25", "26", "27") and len(value) == 16)
        or _CARD_NEAR(value, before, after)
    )


# --- social security and tax numbers --------------------------------------------------------------------------------


_SAID_SSN = _named("ssn", "ss#", "ss #", "social sec", "social-sec", "social_sec")


def _ssn(value: str, before: str, after: str) -> bool:
    """
    Social Security Administration, POMS RM 10201.035: no area 000, 666 or 900-999, no group 00, no serial 0000.

    Famous numbers (123-45-6789, 078-05-1120, and 987-65-4320 to -4329, which are set aside for advertisements) count: whoever types one shows
    that the field holds such numbers.
    """
    number = _digits(value)
    if number[:3] in ("000", "666") or number[3:5] == "00" or number[5:] == "0000":
        return False
    return number[0] != "9" or number.startswith(_ADVERTISED)


_ADVERTISED = "98765432"


def _itin(value: str, before: str, after: str) -> bool:
    """IRS Publication 4757: nine digits from 9, the fourth and fifth in 50-65, 70-88, 90-92 or 94-99."""
    number = _digits(value)
    group = int(number[3:5])
    if number.startswith(_ADVERTISED):
        return False
    return number[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99)


def _nino(value: str, before: str, after: str) -> bool:
    """HMRC, National Insurance Manual NIM39110: letters never used in the prefix, and prefixes not allocated. The sample prefix QQ counts."""
    prefix = value[:2].upper()
    if prefix == "QQ":
        return True
    return (
        not (set(prefix) & set("DFIQUV"))
        and prefix[1] != "O"
        and prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")
    )


def _aadhaar(value: str, before: str, after: str) -> bool:
    """UIDAI: twelve digits, not from 0 or 1, Verhoeff's check digit; named, for sample numbers are not well-formed."""
    number = _digits(value)
    if number[0] not in "01" and " " in value and check_digits.verhoeff(number):
        return True
    if (before[-2:-1].isdigit() and before[-1:] in " -") or (after[1:2].isdigit() and after[:1] in " -"):
        return False  # four digits of a card
    return _NAMED_AADHAAR(value, before, after)


_SAID_NHS, _SAID_CPF = _named("nhs"), _named("cpf")
_NAMED_AADHAAR = _near("aadhaar", "aadhar", "uidai", "आधार")
_NAMED_TAX = _near("ein", "employer id", "tax id", "taxpayer", "tax number", "federal id", "fein", "tin", "irs")


_CHINA = frozenset(("11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65"))  # fmt: skip
"""Provinces, GB/T 2260."""


def _born(day: str, month: str) -> bool:
    return 1 <= int(day) <= 31 and 1 <= int(month) <= 12


def _nric(value: str, before: str, after: str) -> bool:
    """Singapore: weights 2, 7, 6, 5, 4, 3, 2, four more for T and G, and a letter for the remainder by eleven."""
    total = sum(int(digit) * weight for digit, weight in zip(value[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    letters = "JZIHGFEDCBA" if value[0] in "ST" else "XWUTRQPNMLK"
    return letters[(total + 4 * (value[0] in "TG")) % 11] == value[8]


def _mostly_digits(value: str, before: str, after: str) -> bool:
    return 5 <= len(_digits(value)) <= 16


def _one_number(value: str) -> str:
    """The first of what stands behind a name; a word that follows is none of it."""
    pieces = value.split(" ")
    kept = next((i for i, piece in enumerate(pieces) if not any(c.isdigit() for c in piece)), len(pieces))
    return " ".join(pieces[: max(1, kept)])


# --- bank accounts --------------------------------------------------------------------------------------------------

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22,
    "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24,
    "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country: SWIFT, IBAN Registry, release 99 (ISO 13616-2)."""


def _iban_trim(value: str) -> str:
    """Cut at the country's length: "GB29 NWBK 6016 1331 9268 19 USD" is followed by a currency."""
    wanted, seen = _IBAN_LENGTHS.get(value[:2].upper(), 0), 0
    for i, c in enumerate(value):
        seen += c.isalnum()
        if seen == wanted:
            return value[: i + 1]
    return value


def _iban(value: str, before: str, after: str) -> bool:
    """ISO 13616 over ISO/IEC 7064 MOD 97-10. The national check digits inside are not asked: not every bank keeps them."""
    number = value.replace(" ", "").replace("-", "").upper()
    return len(number) == _IBAN_LENGTHS.get(number[:2], 0) and check_digits.mod_97(number)


# --- telephone ------------------------------------------------------------------------------------------------------


_SPACED = re2.compile(r"\d[ .-]\(?\d+\)?[ .-]\d")


def _international(value: str, before: str, after: str) -> bool:
    """
    ITU-T E.164: a country code that exists and a length that country uses.

    Lengths of today: older numbers of the right order of size are believed by the spaces they are written with.
    """
    digits = _digits(value.lower().partition("x")[0].partition("e")[0])
    digits = digits[2:] if value.startswith("00") else digits
    if telephone.is_international(digits):
        return True
    return 8 <= len(digits) <= 15 and bool(telephone.country_code(digits)) and bool(_SPACED.search(value))


def _national(value: str, before: str, after: str) -> bool:
    groups = [len(part) for part in value.split("-")]
    if groups in ([3, 2, 4], [3, 3, 3], [5, 4]):  # an SSN, a SIN, a ZIP code
        return False
    digits = _digits(value)
    return 9 <= len(digits) <= 12 and telephone.is_national(digits)


def _british(value: str, before: str, after: str) -> bool:
    """Eleven digits in one run, as forms take them: an area code that Ofcom has given out."""
    return value[1] in "1237" and telephone.is_british(value)


_PHONE_WORDS = r"(?i:phone|\btel\b|\btelef|télé|mobile|\bcell|\bfax\b|\bcall\b|whatsapp|\bsms\b|text me|contact|\bring\b|\bdial|messages? (?:to|on)|registered|my number|reach me|hotline|\bhandy|móvil|celular|手机|电话|電話|전화)"


def _is_date(value: str) -> bool:
    """A year and two short numbers, in any order ("2024-01-15 10" too)."""
    parts = "".join(c if c.isdigit() else " " for c in value).split()
    return (
        len(parts) in (3, 4)
        and sum(len(part) == 4 and part[:2] in ("19", "20") for part in parts) == 1
        and sum(len(part) <= 2 for part in parts) == len(parts) - 1
    )


def _named_phone(value: str, before: str, after: str) -> bool:
    """Seven to thirteen digits beside a word for telephone; a run without separators only from nine on (else it is an order number)."""
    if _is_date(value):
        return False
    count = len(_digits(value))
    return 7 <= count <= 13 and (count >= 9 or count < len(value))


# --- network addresses ----------------------------------------------------------------------------------------------


_NOBODY = ("0.", "127.", "255.")
_MULTICAST = range(224, 240)


def _address(value: str) -> bool:
    """Not loopback, unspecified or multicast (RFC 5735, RFC 4291 §2.4)."""
    if ":" not in value:
        return not value.startswith(_NOBODY) and int(value.partition(".")[0]) not in _MULTICAST
    try:
        packed = socket.inet_pton(socket.AF_INET6, value)
    except OSError:
        return False
    return packed[0] != 0xFF and packed[:-1] != bytes(15)


_VERSION = (
    "version",
    "ver.",
    "ver",
    "v",
    "release",
    "build",
    "firmware",
    "==",
    ">=",
    "<=",
    "~=",
    "section",
    "chapter",
    "clause",
    "§",
)


def _ipv4(value: str, before: str, after: str) -> bool:
    """Not a version number, not a network ("10.0.0.0/8"), not the start of a longer dotted number."""
    ahead = before.rstrip(" :=").lower()
    if ahead.endswith(_VERSION) or before.endswith(("==", ">=", "<=", "~=")):
        return False
    if before[-1:] in ("-", "/") and before[-2:-1].isalnum():
        return False
    return (
        _address(value)
        and not after.startswith(("/8", "/12", "/16", "/24", "/0"))
        and not (after[:1] in ".-" and after[1:2].isalnum() and after[:1] and after[1:2].isdigit())
    )


def _ipv6(value: str, before: str, after: str) -> bool:
    """RFC 4291 §2.2. Three groups and a digit at least: `a::b` is more often a name in C++ than a host."""
    groups = [group for group in value.split(":") if group]
    return len(groups) >= 3 and any(c.isdigit() for c in value) and _address(value) and not after.startswith("/")


def _row(
    slug: str,
    type: str,
    pattern: str,
    trigger: str = "",
    check: Check | None = None,
    trim: Callable[[str], str] | None = None,
) -> Rule:
    return Rule(f"pii-{slug}", "pii", pattern, trigger, type, check, trim)


_AT = r"\s?[\[({<]\s?(?i:at|@|\(at\))\s?[\])}>]\s?"
_DOT = r"(?:\.|\s?[\[({<]\s?(?i:dot|\.)\s?[\])}>]\s?)"

RULES: tuple[Rule, ...] = (
    _row("email", "email", r"(?:[\pL\pN_%+~-][\pL\pN_%+'&~.-]*)?[\pL\pN_%+&~-]@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+[A-Za-z]{2,24}", r"\S@\S", _email),
    _row("email-quoted", "email", r"\"[^\"@\n]{1,64}\"@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}", r"\"@[A-Za-z0-9]"),
    _row("email-literal", "email", r"[\w.+-]+@\[\d{1,3}(?:\.\d{1,3}){3}\]", r"@\[\d"),
    _row("email-disguised", "email", rf"[\w.+-]+(?:{_DOT}[\w+-]+)*(?:{_AT}|@)[\w-]+(?:{_DOT}[\w-]+)*(?:\s?[\[({{<]\s?(?i:dot|\.)\s?[\])}}>]\s?)[A-Za-z]{{2,24}}\b|[\w.+-]+{_AT}[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{{2,24}}\b|[\w.+-]+(?:\s(?:DOT|dot)\s[\w+-]+){{0,2}}\s(?:AT|at)\s[\w-]+\s(?:DOT|dot)\s[A-Za-z]{{2,24}}\b", r"(?i)[\[({<]\s?(?:at|@|dot|\.)\s?[\])}>]|\sdot\s"),
    _row("card-grouped", "credit_card", r"\b[2-6]\d{3}(?:[ .‐-―−-]\d{4}){3}(?:[ .‐-―−-]\d{3})?\b|\b3[47]\d\d[ .‐-―−-]\d{6}[ .‐-―−-]\d{5}\b|\b3[0689]\d\d[ .‐-―−-]\d{6}[ .‐-―−-]\d{4}\b|\b[2-6]\d{7}[ .‐-―−-]\d{8}\b", r"\d{4}[ .‐-―−-]\d{4}[ .‐-―−-]\d{4}|\d{4}[ .‐-―−-]\d{6}[ .‐-―−-]\d{4}|\d{8}[ .‐-―−-]\d{8}", _card),
    _row("card-spaced", "credit_card", r"\b[2-6](?:[ -]\d){12,18}\b", r"\d[ -]\d[ -]\d[ -]\d[ -]\d[ -]\d[ -]\d[ -]\d[ -]\d", _card),
    _row("card", "credit_card", r"(?:\b|_)([1-6]\d{11,18})(?:\b|_)", r"\d{12}", _bare_card),
    _row("ssn", "ssn", r"\b\d{3}([-. /\\‐-―−])\d{2}[-. /\\‐-―−]\d{4}\b".replace("(", "(?:"), r"\d{3}[-. /\\‐-―−]\d{2}[-. /\\‐-―−]\d{4}", _both(_ssn, lambda v, b, a: v[3] == v[6] and (v[3] in "- ‐‑–—−" or _digits(v).startswith(_ADVERTISED) or _SAID_SSN(b, a)))),
    _row("ssn-bare", "ssn", r"\b\d{9}\b", r"(?i)\bss ?#|\bssn|_ssn|social[\s_-]?sec", _both(_ssn, lambda v, b, a: _SAID_SSN(b, a))),
    _row("itin", "tax_id", r"\b9\d\d[- ]\d\d[- ]\d{4}\b", r"9\d\d[- ]\d\d[- ]\d{4}", _itin),
    _row("itin-bare", "tax_id", r"\b9\d{8}\b", r"(?i)\bitin\b", _both(_itin, _near("itin"))),
    _row("ein", "tax_id", r"\b\d{2}-?\d{7}\b", r"(?i)\bf?ein\b|employer id|tax\s?id|taxpayer|tax number|federal id|\btin\b", _NAMED_TAX),
    _row("codice-fiscale", "tax_id", r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", r"(?i)\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", None),
    _row("nif", "tax_id", r"(?i)\b(?:\d{8}[- ]?[A-HJ-NP-TV-Z]|[XYZ][- ]?\d{7}[- ]?[A-HJ-NP-TV-Z])\b", r"(?i)\d{8}[- ]?[A-HJ-NP-TV-Z]|[XYZ][- ]?\d{7}", lambda v, b, a: check_digits.nif(v.replace(" ", "").replace("-", ""))),
    _row("nino", "tax_id", r"(?i)\b[A-Z]{2} \d\d \d\d \d\d [A-D]\b", r"(?i)\d\d \d\d \d\d [A-D]", _nino),
    _row("nino-compact", "tax_id", r"\b[A-Z]{2}[ -]?\d{6}[ -]?[A-D]\b", r"\d{6}[ -]?[A-D]", _both(_nino, _near("nino", "national insurance", "ni number", "ni no", "insurance n"))),
    _row("utr", "tax_id", r"\b\d{10}K?\b", r"(?i)\butr\b|unique taxpayer", _both(_checksum(utr), _near("utr", "unique taxpayer"))),
    _row("nhs", "tax_id", r"\b\d{3}[ -]?\d{3}[ -]?\d{4}\b", r"(?i)\bnhs\b", lambda v, b, a: check_digits.nhs(_digits(v)) and _SAID_NHS(b, a)),
    _row("nhs-grouped", "tax_id", r"\b\d{3} \d{3} \d{4}\b", r"\b\d{3} \d{3} \d{4}\b", lambda v, b, a: check_digits.nhs(_digits(v))),
    _row("steuer-id", "tax_id", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", r"(?i)steuer|\bidnr|\btin\b|tax", _both(_checksum(idnr), _near("steuer", "idnr", "id-nr", "tin", "tax"))),
    _row("nir", "tax_id", r"\b[12] ?\d\d ?\d\d ?[\dAB]{2} ?\d{3} ?\d{3} ?\d\d\b", r"[12] ?\d\d ?\d\d ?[\dAB]{2} ?\d{3} ?\d{3} ?\d\d", _checksum(nir)),
    _row("cpf", "tax_id", r"\b\d{3}\.\d{3}\.\d{3}-\d\d\b", r"\d{3}\.\d{3}\.\d{3}-\d\d", lambda v, b, a: check_digits.cpf(_digits(v))),
    _row("cpf-bare", "tax_id", r"\b\d{11}\b", r"(?i)\bcpf\b", lambda v, b, a: check_digits.cpf(v) and _SAID_CPF(b, a)),
    _row("cnpj", "tax_id", r"\b\d\d\.\d{3}\.\d{3}/\d{4}-\d\d\b", r"\d\d\.\d{3}\.\d{3}/\d{4}-\d\d", _checksum(cnpj)),
    _row("cnpj-bare", "tax_id", r"\b\d{14}\b", r"(?i)\bcnpj\b", _both(_checksum(cnpj), _near("cnpj"))),
    _row("pesel", "tax_id", r"\b\d{11}\b", r"(?i)\bpesel\b", _both(_checksum(pesel), _near("pesel"))),
    _row("ric", "tax_id", r"\b[1-9]\d{5}(?:19|20)\d{9}[\dXx]\b", r"[1-9]\d{16}[\dXx]", lambda v, b, a: bool(ric.is_valid(v)) or (_born(v[12:14], v[10:12]) and v[:2] in _CHINA)),
    _row("ahv", "tax_id", r"\b756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d\b", r"756[. ]?\d{4}[. ]?\d{4}", _checksum(ahv)),
    _row("hetu", "tax_id", r"\b\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]\b", r"\d{6}[-+A]\d{3}[0-9A-Y]", _both(lambda v, b, a: hetu.is_valid(v) or (v[-1].isalpha() and _born(v[:2], v[2:4])), lambda v, b, a: v[-1].isalpha() or _near("hetu", "henkil")(v, b, a))),
    _row("curp", "tax_id", r"(?i)\b[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d\b", r"(?i)\d{6}[HM][A-Z]{5}", lambda v, b, a: bool(curp.is_valid(v)) or _born(v[8:10], v[6:8])),
    _row("aadhaar", "tax_id", r"\b\d{4}[ -]?\d{4}[ -]?\d{4}\b", r"\d{4}[ -]\d{4}[ -]\d{4}|(?i:aadhaa?r)|आधार", _aadhaar),
    _row("pan", "tax_id", r"\b[A-Z]{5}\d{4}[A-Z]\b", r"(?i)\bpan\b|permanent account", _near("pan", "permanent account")),
    _row("sin", "tax_id", r"\b\d{3}[- ]?\d{3}[- ]?\d{3}\b", r"(?i)\bsin\b|social insurance", _near("sin:", "sin ", "sin#", "social insurance")),
    _row("nric", "tax_id", r"\b[STFG]\d{7}[A-Z]\b", r"\b[STFG]\d{7}[A-Z]", _nric),
    _row("hkid", "tax_id", r"\b[A-Z]{1,2}\d{6}\([0-9A]\)", r"\d{6}\([0-9A]\)"),
    _row("rrn", "tax_id", r"\b\d{6}-[1-8]\d{6}\b", r"\d{6}-[1-8]\d{6}", lambda v, b, a: _born(v[4:6], v[2:4])),
    _row("mykad", "tax_id", r"\b\d{6}-\d\d-\d{4}\b", r"\d{6}-\d\d-\d{4}", lambda v, b, a: _born(v[4:6], v[2:4])),
    _row("cpr", "tax_id", r"\b\d{6}-\d{4}\b", r"(?i)\bcpr\b|personnummer", _near("cpr", "personnummer")),
    _row("driver-license", "driver_license", r"(?i)driv(?:er'?s?'?|ing)[ -]licen[sc]e(?:[ _-]?(?:number|no\.?|id|#))?[^\w\n]{0,4}(?:is[ :]+)?([A-Z]{0,3}\d[A-Z0-9 -]{3,16}[A-Z0-9])\b", r"(?i)driv(?:er'?s?'?|ing)[ -]licen[sc]e", _mostly_digits, _one_number),
    _row("passport", "passport", r"(?i)passport(?:[ _-]?(?:number|no\.?|id|#))?[^\w\n]{0,4}(?:is[ :]+)?([A-Z]{0,2}\d{6,9})\b", r"(?i)passport"),
    _row("iban", "iban", r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,31}|\b[a-z]{2}\d{2}[a-z0-9]{11,31}", r"\b[A-Z]{2}\d{2}[ -]?[A-Z0-9]|\b[a-z]{2}\d{2}[a-z0-9]{4}", _iban, _iban_trim),
    _row("phone-international", "phone", r"(?:\+|\b00)[1-9]\d{0,2}[ .\-/]?(?:\(\d{1,4}\)[ .\-/]?)?\d{1,5}(?:[ .\-/]?\d{1,5}){1,6}(?:,? ?(?i:x|ext\.?|extension) ?\d{1,5}\b)?", r"\+ ?\(?[1-9][\d (.-]|\b00[1-9]", _international),
    _row("phone-nanp", "phone", r"(?:\b1[ .‐-―−-]?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.‐-―−-])|\([2-9]\d\d\) ?|\b[2-9]\d\d[.‐-―−-])\d{3}[.‐-―−-]\d{4}(?:,? ?(?i:x|ext\.?|extension) ?\d{1,5})?\b", r"[2-9]\d\d[.)‐-―−-] ?\d{3}[.‐-―−-]\d{4}"),
    _row("phone-national", "phone", r"(?:\b|\()0\d{1,4}\)?(?:[ ./-]\d{2,8}){1,5}\b", r"\b0\d{1,4}\)?[ ./-]\d{2}", _national),
    _row("phone-british", "phone", r"\b0\d{10}\b", r"\b0\d{10}\b", _british),
    _row("phone-russia", "phone", r"\b8[ -]?\(\d{3,5}\)[ -]?\d{1,3}-?\d\d-?\d\d\b", r"\b8[ -]?\(\d{3}"),
    _row("phone-brazil", "phone", r"\(\d\d\) ?9?\d{4}-\d{4}\b", r"\(\d\d\) ?9?\d{4}-\d{4}"),
    _row("phone-named", "phone", rf"{_PHONE_WORDS}[^\d\n]{{0,24}}?\n{{0,2}}[^\d\n]{{0,8}}?(\(?\b\d{{1,5}}\)?(?:[ .\-/]?\(?\d{{1,5}}\)?){{1,6}}\b)|(\(?\b\d{{1,5}}\)?(?:[ .\-/]?\(?\d{{1,5}}\)?){{1,6}})(?:[ -]{{0,3}}\(?| is (?:my|our|the|his|her) )(?i:office|fax|mobile|home|cell|work|phone|number)\b", _PHONE_WORDS + r"|\d[ -]\(?(?i:office|fax|mobile|home|cell|work)\b|\d is (?:my|our|the|his|her) (?i:office|fax|mobile|home|cell|work|phone|number)\b", _named_phone),
    _row("ipv4", "ip_address", r"\b(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\b", r"\d\.\d{1,3}\.\d{1,3}\.\d", _ipv4),
    _row("ipv6", "ip_address", r"(?:\b|::)[0-9A-Fa-f]{1,4}(?:::?[0-9A-Fa-f]{1,4}){2,7}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){1,6}::", r"[0-9A-Fa-f]:[0-9A-Fa-f]{1,4}:|::[0-9A-Fa-f]", _ipv6),
)  # fmt: skip
