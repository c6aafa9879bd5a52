"""Retention classes and months: when what was kept has been kept long enough."""

import re
from datetime import MAXYEAR, UTC, datetime
from typing import Final

from ledger.privacy.errors import RetentionMalformed

MS_PER_S: Final = 1000
MS_PER_DAY: Final = 86_400_000
MONTHS_PER_YEAR: Final = 12

_RETENTION: Final = re.compile(r"P([1-9][0-9]{0,3})([DMY])", re.ASCII)


def require_retention(retention: str) -> str:
    """`retention` if it is a class such as P90D, P18M or P2Y; raises `RetentionMalformed`."""
    if not _RETENTION.fullmatch(retention):
        raise RetentionMalformed("not a retention class", expected="P, a number, and D, M or Y")
    return retention


def month_of(at_ms: int) -> str:
    """The month, UTC, of a moment: `2026-11`."""
    return datetime.fromtimestamp(at_ms // MS_PER_S, UTC).strftime("%Y-%m")


def due_at_ms(retention: str, month: str) -> int:
    """The moment at which whatever was kept in `month` has been kept for `retention`: counted from the month's end."""
    found = _RETENTION.fullmatch(require_retention(retention))
    assert found is not None  # noqa: S101 -- require_retention matched the same expression
    count, unit = int(found[1]), found[2]
    months = {"D": 0, "M": count, "Y": count * MONTHS_PER_YEAR}[unit]
    year, number = (int(part) for part in month.split("-"))
    after = year * MONTHS_PER_YEAR + number + months
    year_after = after // MONTHS_PER_YEAR
    if year_after > MAXYEAR:
        raise RetentionMalformed("kept beyond the calendar", expected=f"until {MAXYEAR} at most")
    end = datetime(year_after, after % MONTHS_PER_YEAR + 1, 1, tzinfo=UTC)
    return int(end.timestamp()) * MS_PER_S + (count * MS_PER_DAY if unit == "D" else 0)
