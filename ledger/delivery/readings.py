"""The readings of an OCMF record: inheritance, times, and energy with exactly the digits that the meter wrote."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec

from ledger.delivery.errors import OcmfMalformed

MAX_READINGS: Final = 256
MAX_LITERAL_CHARS: Final = 32
MAX_SHORT_CHARS: Final = 64
MAX_PAGINATION: Final = 2**53 - 1

# A JSON number, or the same digits with leading zeros in a string.
_LITERAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?")
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2}),([0-9]{3})([+-])([0-9]{2})([0-9]{2}) ([UISR])"
)
_PAGINATION: Final = re.compile(r"([TF])([0-9]{1,16})")
# What a reading inherits from the one before where it leaves it out.
_INHERITED: Final = frozenset({"TM", "TX", "RI", "RU", "RT", "EF", "ST"})
_POWERS_OF_TEN: Final = {"Wh": 3, "kWh": 6}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Literal(str):
    """The digits of a JSON number as they were written."""

    __slots__ = ()


class Pagination(msgspec.Struct, frozen=True):
    """`T` (transaction) or `F` (fiscal) and a counter that rises by one with each record of the kind."""

    kind: str
    number: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading after inheritance; `value` holds the meter's own digits. Times and energy are read when asked for."""

    time: str | None
    transaction: str | None
    value: str | None
    obis: str | None
    unit: str | None
    current: str | None
    error_flags: str
    meter_state: str | None

    @property
    def at_ms(self) -> int | None:
        """Unix ms; None where TM is absent or cannot be read."""
        return None if self.time is None else _at_ms(self.time)

    @property
    def time_state(self) -> str | None:
        """U unknown, I informative, S synchronised, R relative; None where TM cannot be read."""
        return self.time[-1] if self.time is not None and _TIME.fullmatch(self.time) else None

    @property
    def energy_milliwh(self) -> int | None:
        """Exact mWh; None where the unit is no energy or the digits are finer than 1 mWh."""
        return None if self.value is None or self.unit is None else energy_of(self.value, self.unit)[0]

    @property
    def resolution_milliwh(self) -> int | None:
        """The size of the last written digit in mWh; a writer that drops zeros makes it too large, never too small."""
        return None if self.value is None or self.unit is None else energy_of(self.value, self.unit)[1]


def parse_pagination(text: str | None) -> Pagination | None:
    """None for an absent or unreadable pagination: it is then no evidence, the signature may still hold."""
    match = _PAGINATION.fullmatch(text) if text else None
    if match is None or int(match[2]) > MAX_PAGINATION:
        return None
    return Pagination(match[1], int(match[2]))


def parse_readings(value: object) -> tuple[tuple[Reading, ...], bool]:
    """The readings, and whether one wrote its value as a string. Raises OcmfMalformed."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_READINGS:
        raise OcmfMalformed("no list of readings", expected=f"RD with 1..{MAX_READINGS} readings")
    readings: list[Reading] = []
    carried: dict[str, str] = {}
    as_string = False
    for place, item in enumerate(value):
        if not isinstance(item, dict):
            raise OcmfMalformed("a reading is not an object", reading=place)
        digits = None
        for name, text in item.items():
            if name == "RV" and text is not None:
                digits = _digits(text, place)
                as_string |= not isinstance(text, Literal)
            elif name in _INHERITED and text is not None:
                # Exactly a string, and short: no call for what nearly all of them are.
                is_short = type(text) is str and len(text) <= MAX_SHORT_CHARS
                carried[name] = text if is_short else _short(text, name, place)
        readings.append(
            Reading(
                time=carried.get("TM"),
                transaction=carried.get("TX"),
                value=digits,
                obis=carried.get("RI"),
                unit=carried.get("RU"),
                current=carried.get("RT"),
                error_flags=carried.get("EF", ""),
                meter_state=carried.get("ST"),
            )
        )
    return tuple(readings), as_string


def _short(value: object, name: str, place: int) -> str:
    if isinstance(value, str) and len(value) <= MAX_SHORT_CHARS and not isinstance(value, Literal):
        return value
    raise OcmfMalformed("a field is not a short text", expected=f"at most {MAX_SHORT_CHARS}", field=name, reading=place)


def _digits(value: object, place: int) -> str:
    """The digits of a value; a string may pad them with spaces on the left."""
    if isinstance(value, str) and len(value) <= MAX_LITERAL_CHARS:
        digits = str(value) if isinstance(value, Literal) else value.lstrip(" ")
        if _LITERAL.fullmatch(digits) is not None:
            return digits
    raise OcmfMalformed(
        "a value is not a decimal number",
        expected=f"at most {MAX_LITERAL_CHARS} characters",
        field="RV",
        reading=place,
    )


def energy_of(digits: str, unit: str) -> tuple[int | None, int | None]:
    """(mWh, size of the last written digit in mWh), both exact; None where the unit or the digits do not allow it."""
    match = _LITERAL.fullmatch(digits)
    if match is None or unit not in _POWERS_OF_TEN:
        return None, None
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    shift = _POWERS_OF_TEN[unit] + exponent - len(fraction)
    number = int(whole + fraction) * (-1 if sign else 1)
    if shift >= 0:
        return number * 10**shift, 10**shift
    quotient, rest = divmod(number, 10**-shift)
    return (quotient, 1) if rest == 0 else (None, None)


def _at_ms(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, milli = (int(part) for part in match.groups()[:7])
    offset = timedelta(hours=int(match[9]), minutes=int(match[10])) * (-1 if match[8] == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, milli * 1000, tzinfo=timezone(offset))
    except (ValueError, OverflowError):
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
