"""
The issuers' arithmetic for numbers that are common enough to be sent in floods; the rest is python-stdnum's.

Each function takes digits alone, and each costs a few microseconds: a text of near misses must not buy time.
"""

_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, digits of the products summed."""
    return (sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


def mod_97(iban: str) -> bool:
    """ISO 13616, by ISO/IEC 7064 MOD 97-10. `iban`: capital letters and digits, in one run."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def verhoeff(digits: str) -> bool:
    """J. Verhoeff, Error Detecting Decimal Codes (1969): the dihedral group of order ten."""
    check = "0"
    for place, digit in enumerate(reversed(digits)):
        check = _DIHEDRAL[int(check)][int(_PERMUTED[place % 8][int(digit)])]
    return check == "0"


def nhs(digits: str) -> bool:
    """Ten digits of the British health service: weights 10 to 1, the sum divisible by eleven."""
    return sum(int(digit) * weight for digit, weight in zip(digits, range(10, 0, -1), strict=True)) % 11 == 0


def cpf(digits: str) -> bool:
    """Eleven digits of Receita Federal: two check digits by eleven; not one digit eleven times."""
    if len(set(digits)) == 1:
        return False
    for size in (9, 10):
        total = sum(int(digit) * weight for digit, weight in zip(digits, range(size + 1, 1, -1), strict=False))
        if total * 10 % 11 % 10 != int(digits[size]):
            return False
    return True


def nif(number: str) -> bool:
    """Spain's DNI and NIE, without separators: the letter is the number modulo 23 (Orden INT/2058/2008)."""
    number = number.upper()
    head = number[:-1].translate(_NIE)
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(head) % 23] == number[-1]


_NIE = str.maketrans("XYZ", "012")
