"""V2H at a dynamic price: no export beyond the house, and what the EVSE saved against the published price."""

from collections.abc import Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import half_even, ppm
from ledger.delivery.verdicts.outcome import (
    MAX_PERIODS,
    Period,
    Score,
    Thresholds,
    require_count,
    require_positive,
    require_powers,
    require_ppm,
    require_thresholds,
)

ALGORITHM = "V2H_COST/1"
# W x ms per kWh.
WATT_MS_PER_KWH = 3_600_000_000


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_export_w` at the house's grid connection; `prices_micro_per_kwh` as published, one per interval."""

    max_export_w: int
    prices_micro_per_kwh: tuple[int, ...]
    thresholds: Thresholds = Thresholds()
    min_coverage_ppm: int = 900_000


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Means of one interval: at the house's grid connection and at the EVSEs; the coverage of the worse of both."""

    grid_w: int
    evse_w: int
    coverage_ppm: int


def score(*, start_at_ms: int, isp_ms: int, intervals: Sequence[Interval], terms: Terms) -> Score:
    """The share of intervals without export; `saved_micro` is minus the price times the EVSEs' energy.

    A row shows the house without its EVSEs as the baseline, the grid connection as the actual value and the export
    beyond the bound as the deficiency.
    """
    _require(start_at_ms, isp_ms, intervals, terms)
    periods = tuple(
        Period(
            start_at_ms=start_at_ms + place * isp_ms,
            duration_ms=isp_ms,
            baseline_w=interval.grid_w - interval.evse_w,
            ordered_w=0,
            actual_w=interval.grid_w,
            delivered_w=0,
            deficiency_w=max(0, -interval.grid_w - terms.max_export_w) if _is_proven(interval, terms) else 0,
            excused_w=0,
            coverage_ppm=interval.coverage_ppm,
        )
        for place, interval in enumerate(intervals)
    )
    unproven = sum(not _is_proven(interval, terms) for interval in intervals)
    kept = sum(period.deficiency_w == 0 for period in periods) - unproven
    saved = sum(
        half_even(-price * interval.evse_w * isp_ms, WATT_MS_PER_KWH)
        for price, interval in zip(terms.prices_micro_per_kwh, intervals, strict=True)
        if _is_proven(interval, terms)
    )
    low, high = ppm(kept, len(intervals)), ppm(kept + unproven, len(intervals))
    return Score(
        algorithm=ALGORITHM,
        verdict=terms.thresholds.between(low, high),
        score_ppm=low,
        periods=periods,
        figures={"intervals": len(intervals), "kept": kept, "unproven": unproven, "saved_micro": saved},
        parts={},
    )


def _is_proven(interval: Interval, terms: Terms) -> bool:
    return interval.coverage_ppm >= terms.min_coverage_ppm


def _require(start_at_ms: int, isp_ms: int, intervals: Sequence[Interval], terms: Terms) -> None:
    require_thresholds(terms.thresholds)
    require_ppm(min_coverage_ppm=terms.min_coverage_ppm)
    require_positive(start_at_ms=start_at_ms, isp_ms=isp_ms)
    require_count(len(intervals), MAX_PERIODS, "intervals")
    require_powers((terms.max_export_w,), "bound of export")
    if terms.max_export_w < 0:
        raise WorkRefused("a negative bound of export", found=terms.max_export_w)
    if len(terms.prices_micro_per_kwh) != len(intervals):
        raise WorkRefused("prices", expected=len(intervals), found=len(terms.prices_micro_per_kwh))
    if max(map(abs, terms.prices_micro_per_kwh)) > 2**40:
        raise WorkRefused("a price beyond the limit", expected="|micro| <= 2^40")
