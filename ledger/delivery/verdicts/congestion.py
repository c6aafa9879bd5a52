"""Congestion and demand response with an order: settled per ISP as in USEF.

delivered = clamp(baseline - actual, 0, ordered) and deficiency = max(0, actual - (baseline - ordered)) for UP; for
DOWN baseline and actual change places. An ISP without an order owes nothing.
"""

from collections.abc import Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import PPM, ppm
from ledger.delivery.verdicts.outcome import (
    MAX_PERIODS,
    Direction,
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

ALGORITHM = "CONGESTION_ISP/1"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the contract says about one order."""

    direction: Direction = Direction.UP
    thresholds: Thresholds = Thresholds()
    min_coverage_ppm: int = 900_000


class Actual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The group in one ISP: mean W, how much of it was measured, and what of the order is excused."""

    power_w: int
    coverage_ppm: int = PPM
    excused_w: int = 0


def score(
    *,
    start_at_ms: int,
    isp_ms: int,
    baseline_w: Sequence[int],
    ordered_w: Sequence[int],
    actual: Sequence[Actual],
    terms: Terms,
) -> Score:
    """One row per ISP and the verdict over all; ISPs that are not proven could hold anything from 0 to the order.

    Raises WorkRefused for series of different lengths, values beyond a limit, or an order of nothing.
    """
    _require(start_at_ms, isp_ms, baseline_w, ordered_w, actual, terms)
    periods = tuple(
        _period(start_at_ms + place * isp_ms, isp_ms, baseline, ordered, measured, terms)
        for place, (baseline, ordered, measured) in enumerate(zip(baseline_w, ordered_w, actual, strict=True))
    )
    due = sum(period.ordered_w - period.excused_w for period in periods)
    open_w = sum(period.ordered_w for period in periods if period.coverage_ppm < terms.min_coverage_ppm)
    delivered = sum(period.delivered_w for period in periods)
    # All of the order was excused: nothing was due, and nothing is judged.
    low = ppm(delivered, due) if due else 0
    high = ppm(delivered + open_w, due) if due else 0
    verdict = terms.thresholds.between(low, high) if due else Verdict.INFORMATIVE
    return Score(
        algorithm=ALGORITHM,
        verdict=verdict,
        score_ppm=low,
        periods=periods,
        figures={
            "delivered_w_sum": delivered,
            "due_w_sum": due,
            "unproven_isps": sum(period.coverage_ppm < terms.min_coverage_ppm for period in periods),
        },
        parts={},
    )


def _period(at_ms: int, isp_ms: int, baseline: int, ordered: int, actual: Actual, terms: Terms) -> Period:
    flex = baseline - actual.power_w if terms.direction is Direction.UP else actual.power_w - baseline
    is_proven = actual.coverage_ppm >= terms.min_coverage_ppm
    # Where nothing is ordered nothing is owed, whatever was drawn.
    shortfall = max(0, ordered - flex) if is_proven and ordered else 0
    # Excused is only what is missing: an excuse never lowers what was delivered in spite of it.
    excused = min(actual.excused_w, shortfall) if is_proven else 0
    return Period(
        start_at_ms=at_ms,
        duration_ms=isp_ms,
        baseline_w=baseline,
        ordered_w=ordered,
        actual_w=actual.power_w,
        delivered_w=max(0, min(ordered, flex)) if is_proven else 0,
        deficiency_w=shortfall - excused,
        excused_w=min(excused, ordered),
        coverage_ppm=actual.coverage_ppm,
    )


def _require(
    start_at_ms: int,
    isp_ms: int,
    baseline_w: Sequence[int],
    ordered_w: Sequence[int],
    actual: Sequence[Actual],
    terms: Terms,
) -> None:
    require_thresholds(terms.thresholds)
    require_ppm(min_coverage_ppm=terms.min_coverage_ppm)
    require_positive(start_at_ms=start_at_ms, isp_ms=isp_ms)
    require_count(len(ordered_w), MAX_PERIODS, "ISPs")
    if not len(baseline_w) == len(ordered_w) == len(actual):
        raise WorkRefused(
            "series of different lengths",
            expected=len(ordered_w),
            found=f"baseline {len(baseline_w)}, actual {len(actual)}",
        )
    require_powers(baseline_w, "baseline")
    require_powers(ordered_w, "order")
    if min(ordered_w) < 0 or sum(ordered_w) == 0:
        raise WorkRefused("an order of nothing", expected="orders >= 0 W, one > 0 W")
