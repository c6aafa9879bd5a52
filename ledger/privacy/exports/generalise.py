"""Steps by which times, places and energies become coarser; the last step of each says nothing at all."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ledger.privacy.exports.policy import Hierarchy

ANY: Final = "*"
MS_PER_S: Final = 1000

TIME_STEPS: Final = ("quarter-hour", "hour", "four-hours", "day", "week", "month", "year", "any")
ENERGY_BANDS_WH: Final = (1_000, 5_000, 10_000, 25_000, 50_000)
_MINUTES: Final = {"quarter-hour": 15, "hour": 60, "four-hours": 240}

Places = Mapping[str, tuple[str, ...]]
"""For each place the ever larger ones around it, smallest first, all of one depth: site, zone, country."""


def levels(hierarchy: Hierarchy, places: Places) -> int:
    """How many levels a hierarchy has; the last one is `ANY`."""
    if hierarchy is Hierarchy.TIME:
        return len(TIME_STEPS)
    if hierarchy is Hierarchy.ENERGY:
        return len(ENERGY_BANDS_WH) + 1
    if hierarchy is Hierarchy.PLACE:
        return max((len(around) for around in places.values()), default=0) + 1
    return 1


def generalise(value: Any, hierarchy: Hierarchy, level: int, places: Places) -> Any:
    """`value` at `level`; what does not fit its hierarchy says nothing."""
    if hierarchy is Hierarchy.EXACT:
        return value if isinstance(value, str | int) else ANY
    if level >= levels(hierarchy, places) - 1:
        return ANY
    if hierarchy is Hierarchy.PLACE:
        around = places.get(value, ()) if isinstance(value, str) else ()
        return around[level] if level < len(around) else ANY
    if not isinstance(value, int) or isinstance(value, bool):
        return ANY
    return _time(value, TIME_STEPS[level]) if hierarchy is Hierarchy.TIME else _energy(value, ENERGY_BANDS_WH[level])


def _time(at_ms: int, step: str) -> str:
    try:
        at = datetime.fromtimestamp(at_ms // MS_PER_S, UTC)
    except (ValueError, OverflowError, OSError):
        # Records may name moments that no calendar has; one must not keep everybody's rows from being exported.
        return ANY
    if step in _MINUTES:
        minutes = at.hour * 60 + at.minute
        start = minutes - minutes % _MINUTES[step]
        return f"{at:%Y-%m-%d}T{start // 60:02}:{start % 60:02}Z"
    if step == "week":
        monday = at - timedelta(days=at.weekday())
        return f"week of {monday:%Y-%m-%d}"
    return at.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[step])


def _energy(energy_wh: int, band_wh: int) -> str:
    low = energy_wh // band_wh * band_wh
    return f"{low}..{low + band_wh - 1} Wh"
