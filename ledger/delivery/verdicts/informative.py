"""Price signals: what happened, beside what would have; nothing is owed, nothing is scored."""

from collections.abc import Sequence

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts.outcome import (
    MAX_PERIODS,
    Period,
    Score,
    Verdict,
    require_count,
    require_positive,
    require_powers,
)

ALGORITHM = "PRICE_REACTION/1"


def score(
    *,
    start_at_ms: int,
    isp_ms: int,
    baseline_w: Sequence[int],
    actual_w: Sequence[int],
    coverage_ppm: Sequence[int],
) -> Score:
    """One row per ISP; `reaction_w_sum` is the sum of baseline - actual over the ISPs. Raises WorkRefused."""
    require_count(len(actual_w), MAX_PERIODS, "ISPs")
    require_positive(start_at_ms=start_at_ms, isp_ms=isp_ms)
    require_powers(baseline_w, "baseline")
    if not len(actual_w) == len(baseline_w) == len(coverage_ppm):
        raise WorkRefused("series of different lengths", expected=len(actual_w), found=len(baseline_w))
    periods = tuple(
        Period(
            start_at_ms=start_at_ms + place * isp_ms,
            duration_ms=isp_ms,
            baseline_w=baseline,
            ordered_w=0,
            actual_w=actual,
            delivered_w=0,
            deficiency_w=0,
            excused_w=0,
            coverage_ppm=covered,
        )
        for place, (baseline, actual, covered) in enumerate(zip(baseline_w, actual_w, coverage_ppm, strict=True))
    )
    reaction = sum(period.baseline_w - period.actual_w for period in periods)
    return Score(
        algorithm=ALGORITHM,
        verdict=Verdict.INFORMATIVE,
        score_ppm=0,
        periods=periods,
        figures={"reaction_w_sum": reaction},
        parts={},
    )
