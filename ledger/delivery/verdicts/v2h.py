"""V2H at a dynamic price: no export beyond the house, the battery's owner's reserve kept, and what was saved.

A battery that gave more than its budget, or gave below its reserve, is a breach: the saving was made at the owner's
cost, and the verdict is PARTIAL at best. Where a reserve was agreed and the state of charge is not known while energy
was taken, nobody can say that it was kept.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import half_even, ppm
from ledger.delivery.samples import FULL_SOC_PERMILLE
from ledger.delivery.verdicts.outcome import (
    MAX_PERIODS,
    Period,
    Score,
    Thresholds,
    Verdict,
    require_count,
    require_positive,
    require_powers,
    require_ppm,
    require_thresholds,
)

ALGORITHM = "V2H_COST/2"
# W x ms per kWh.
WATT_MS_PER_KWH = 3_600_000_000


DISCHARGE_FROM_W = 100
"""Export below this is what the charger's electronics move, not the battery's energy put to use."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_export_w` at the house's grid connection; prices as published, one per interval, those of export 0 if none.

    `reserve_soc_permille` is what each battery keeps (0: nothing was agreed); `energy_budget_milliwh` the most that
    each may give, None without a bound.
    """

    max_export_w: int
    prices_micro_per_kwh: tuple[int, ...]
    export_prices_micro_per_kwh: tuple[int, ...] = ()
    reserve_soc_permille: int = 0
    energy_budget_milliwh: int | None = None
    thresholds: Thresholds = Thresholds()
    min_coverage_ppm: int = 900_000


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one battery gave: energy exported, and how many samples show it giving below its reserve, or give no state
    of charge while it gave."""

    exported_milliwh: int
    below_reserve: int
    soc_unknown: int


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Means of one interval: at the house's grid connection and at the EVSEs; the coverage of the worse of both."""

    grid_w: int
    evse_w: int
    coverage_ppm: int


def score(
    *, start_at_ms: int, isp_ms: int, intervals: Sequence[Interval], given: Mapping[str, Given], terms: Terms
) -> Score:
    """The share of intervals without export; `saved_micro` is what the house would have paid without its EVSEs, less
    what it paid.

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
    prices = zip(
        terms.prices_micro_per_kwh,
        terms.export_prices_micro_per_kwh or (0,) * len(intervals),
        strict=True,
    )
    saved = sum(
        half_even((_cost(one.grid_w - one.evse_w, price) - _cost(one.grid_w, price)) * isp_ms, WATT_MS_PER_KWH)
        for price, one in zip(prices, intervals, strict=True)
        if _is_proven(one, terms)
    )
    low, high = ppm(kept, len(intervals)), ppm(kept + unproven, len(intervals))
    parts = {name: _part(given[name], terms) for name in sorted(given)}
    figures = {"intervals": len(intervals), "kept": kept, "unproven": unproven, "saved_micro": saved}
    for name in ("over_budget", "below_reserve", "soc_unknown"):
        figures[name] = sum(part[name] for part in parts.values())
    return Score(
        algorithm=ALGORITHM,
        verdict=_kept(terms.thresholds.between(low, high), figures),
        score_ppm=low,
        periods=periods,
        figures=figures,
        parts=parts,
    )


def _part(given: Given, terms: Terms) -> dict[str, int]:
    budget = terms.energy_budget_milliwh
    return {
        "exported_milliwh": given.exported_milliwh,
        "over_budget": int(budget is not None and given.exported_milliwh > budget),
        "below_reserve": given.below_reserve,
        "soc_unknown": given.soc_unknown if terms.reserve_soc_permille else 0,
    }


def _kept(verdict: Verdict, figures: Mapping[str, int]) -> Verdict:
    """A breach of a battery's bounds takes DELIVERED away; so does not knowing whether there was one."""
    if verdict is not Verdict.DELIVERED:
        return verdict
    if figures["over_budget"] or figures["below_reserve"]:
        return Verdict.PARTIAL
    return Verdict.UNPROVABLE if figures["soc_unknown"] else verdict


def _cost(power_w: int, price: tuple[int, int]) -> int:
    """In W x micro per kWh; the second price is paid for what is fed in."""
    return power_w * (price[0] if power_w > 0 else price[1])


def _is_proven(interval: Interval, terms: Terms) -> bool:
    return interval.coverage_ppm >= terms.min_coverage_ppm


def _require(start_at_ms: int, isp_ms: int, intervals: Sequence[Interval], terms: Terms) -> None:
    require_thresholds(terms.thresholds)
    require_ppm(min_coverage_ppm=terms.min_coverage_ppm)
    require_positive(start_at_ms=start_at_ms, isp_ms=isp_ms)
    require_count(len(intervals), MAX_PERIODS, "intervals")
    require_powers((terms.max_export_w,), "bound of export")
    if not 0 <= terms.reserve_soc_permille <= FULL_SOC_PERMILLE:
        raise WorkRefused("a reserve", expected=f"0..{FULL_SOC_PERMILLE}", found=terms.reserve_soc_permille)
    if terms.energy_budget_milliwh is not None and terms.energy_budget_milliwh < 0:
        raise WorkRefused("a negative budget", found=terms.energy_budget_milliwh)
    if terms.max_export_w < 0:
        raise WorkRefused("a negative bound of export", found=terms.max_export_w)
    if len(terms.prices_micro_per_kwh) != len(intervals):
        raise WorkRefused("prices", expected=len(intervals), found=len(terms.prices_micro_per_kwh))
    if terms.export_prices_micro_per_kwh and len(terms.export_prices_micro_per_kwh) != len(intervals):
        raise WorkRefused("export prices", expected=len(intervals), found=len(terms.export_prices_micro_per_kwh))
    if max(map(abs, (*terms.prices_micro_per_kwh, *terms.export_prices_micro_per_kwh))) > 2**40:
        raise WorkRefused("a price beyond the limit", expected="|micro| <= 2^40")
