"""Identifiers with check characters, as the industry writes them: each is accepted whole and right, or refused.

None of the messages repeats what was found: it may be a person's.
"""

import re
from typing import Final

EIC_PATTERN: Final = r"^[0-9A-Z-]{15}[0-9A-Z]$(?!\n)"
"""Energy identification code of ENTSO-E: 16 characters, the last a check character."""
GSRN_PATTERN: Final = r"^[0-9]{18}$(?!\n)"
"""Global service relation number of GS1: a metering point; the last digit is a check digit."""
CONTRACT_ID_PATTERN: Final = r"^[A-Z]{2}-?[A-Z0-9]{3}-?[A-Z0-9]{9}-?[A-Z0-9]$(?!\n)"
"""Contract id of an EV user (eMAID, EMP id), with or without separators, always with its check character."""
LFDI_PATTERN: Final = r"^[0-9A-F]{40}$(?!\n)"
"""Long-form device identifier of IEEE 2030.5: the first 160 bits of the SHA-256 of a certificate."""
OPERATOR_PATTERN: Final = r"^[A-Z]{2}\*?[A-Z0-9]{3}$(?!\n)"
"""Country and operator, the beginning of every EVSE-ID of that operator (eMI3)."""

CURRENCIES: Final = frozenset(
    re.findall(
        "[A-Z]{3}",
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
        "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL "
        "HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD "
        "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
        "QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD "
        "TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG",
    )
)
"""The circulating currencies of ISO 4217."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
_SEPARATORS: Final = re.compile("-")


def eic_check(first: str) -> str:
    """The check character of the first 15 characters of an EIC; raises `ValueError` where there can be none."""
    total = sum(_ALPHABET.index(one) * (16 - at) for at, one in enumerate(first))
    check = _ALPHABET[36 - (total - 1) % 37]
    if check == "-":
        raise ValueError("no EIC begins so: its check character would be a hyphen")
    return check


def require_eic(text: str) -> None:
    """Raises `ValueError` unless the text is an EIC with its check character."""
    if re.fullmatch(EIC_PATTERN, text) is None or eic_check(text[:15]) != text[15]:
        raise ValueError("not an EIC: its check character is another")


def gsrn_check(first: str) -> str:
    """The check digit of 17 digits, by the modulo 10 of GS1."""
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(first)))
    return str(-total % 10)


def require_gsrn(text: str) -> None:
    """Raises `ValueError` unless the text is a GSRN with its check digit."""
    if re.fullmatch(GSRN_PATTERN, text) is None or gsrn_check(text[:17]) != text[17]:
        raise ValueError("not a GSRN: its check digit is another")


# The check character of a contract id (eMI3, "Check digit calculation for contract-IDs"): each character is a vector of
# two bits and one of two values modulo 3; at position n they are multiplied with the n-th power of a matrix. With the
# 15th character both sums vanish, so each single wrong character and each swap of two neighbours is noticed.
_P2: Final = ((0, 1), (1, 1))
_P3: Final = ((0, 1), (1, 2))
_Vector = tuple[int, int]
_Matrix = tuple[_Vector, _Vector]


def contract_check(first: str) -> str:
    """The check character of the 14 characters of a contract id, in capitals and without separators."""
    sums: tuple[_Vector, _Vector] = ((0, 0), (0, 0))
    powers: tuple[_Matrix, _Matrix] = (_P2, _P3)
    for one in first:
        sums = _with(sums, one, powers)
        powers = (_product(powers[0], _P2, 2), _product(powers[1], _P3, 3))
    return next(one for one in _ALPHABET[:36] if _with(sums, one, powers) == ((0, 0), (0, 0)))


def _with(sums: tuple[_Vector, _Vector], one: str, powers: tuple[_Matrix, _Matrix]) -> tuple[_Vector, _Vector]:
    value = _ALPHABET.index(one)
    bits, thirds = divmod(value // 9, 2), divmod(value % 9, 3)
    return _plus(sums[0], bits, powers[0], 2), _plus(sums[1], thirds, powers[1], 3)


def _plus(total: _Vector, row: _Vector, power: _Matrix, modulus: int) -> _Vector:
    return (
        (total[0] + row[0] * power[0][0] + row[1] * power[1][0]) % modulus,
        (total[1] + row[0] * power[0][1] + row[1] * power[1][1]) % modulus,
    )


def _product(left: _Matrix, right: _Matrix, modulus: int) -> _Matrix:
    return _plus((0, 0), left[0], right, modulus), _plus((0, 0), left[1], right, modulus)


def require_contract_id(text: str) -> None:
    """Raises `ValueError` unless the text is a contract id with its check character."""
    bare = _SEPARATORS.sub("", text)
    if re.fullmatch(CONTRACT_ID_PATTERN, text) is None or contract_check(bare[:14]) != bare[14]:
        raise ValueError("not a contract id: its check character is another")


def require_currency(text: str) -> None:
    """Raises `ValueError` unless the text is the code of a circulating currency."""
    if text not in CURRENCIES:
        raise ValueError("not a currency of ISO 4217")
