"""Mandatory limit: the share of intervals after `t_comply_ms` in which the group kept within its caps."""

from collections.abc import Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import PPM, ppm
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

ALGORITHM = "LIMIT_SHARE/1"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps in W: import at most `import_cap_w`, export at most `export_cap_w`; None is no cap on that side."""

    import_cap_w: int | None = None
    export_cap_w: int | None = None
    thresholds: Thresholds = Thresholds()
    min_coverage_ppm: int = 900_000


def score(
    *, first_at_ms: int, interval_ms: int, actual_w: Sequence[int], coverage_ppm: Sequence[int], terms: Terms
) -> Score:
    """One row per interval from `first_at_ms`, which already is the start plus the time to comply.

    The score counts only proven intervals as kept; unproven ones could have been either.
    """
    _require(first_at_ms, interval_ms, actual_w, coverage_ppm, terms)
    rows = list(zip(actual_w, coverage_ppm, strict=True))
    periods = tuple(
        _period(first_at_ms + place * interval_ms, interval_ms, power_w, covered, terms)
        for place, (power_w, covered) in enumerate(rows)
    )
    proven = [power_w for power_w, covered in rows if covered >= terms.min_coverage_ppm]
    kept = sum(_excess_w(power_w, terms) == 0 for power_w in proven)
    unproven = len(rows) - len(proven)
    low, high = ppm(kept, len(rows)), ppm(kept + unproven, len(rows))
    figures = {"intervals": len(rows), "kept": kept, "unproven": unproven}
    if proven:
        figures |= {"max_w": max(proven), "min_w": min(proven)}
    return Score(
        algorithm=ALGORITHM,
        verdict=terms.thresholds.between(low, high),
        score_ppm=low,
        periods=periods,
        figures=figures,
        parts={},
    )


def _excess_w(power_w: int, terms: Terms) -> int:
    """How far beyond a cap, in W."""
    beyond = 0
    if terms.import_cap_w is not None:
        beyond = max(beyond, power_w - terms.import_cap_w)
    if terms.export_cap_w is not None:
        beyond = max(beyond, -power_w - terms.export_cap_w)
    return beyond


def _period(at_ms: int, interval_ms: int, power_w: int, covered: int, terms: Terms) -> Period:
    """No order in W exists here: the row shows the cap as baseline and the excess as deficiency."""
    excess = _excess_w(power_w, terms) if covered >= terms.min_coverage_ppm else 0
    cap = terms.import_cap_w if terms.import_cap_w is not None else -(terms.export_cap_w or 0)
    return Period(
        start_at_ms=at_ms,
        duration_ms=interval_ms,
        baseline_w=cap,
        ordered_w=0,
        actual_w=power_w,
        delivered_w=0,
        deficiency_w=excess,
        excused_w=0,
        coverage_ppm=covered,
    )


def _require(
    first_at_ms: int, interval_ms: int, actual_w: Sequence[int], coverage_ppm: Sequence[int], terms: Terms
) -> None:
    require_thresholds(terms.thresholds)
    require_ppm(min_coverage_ppm=terms.min_coverage_ppm)
    require_positive(first_at_ms=first_at_ms, interval_ms=interval_ms)
    require_count(len(actual_w), MAX_PERIODS, "intervals")
    caps = [cap for cap in (terms.import_cap_w, terms.export_cap_w) if cap is not None]
    if not caps or min(caps) < 0:
        raise WorkRefused("a limit without a cap", expected="one cap or two, >= 0 W")
    require_powers(caps, "cap")
    if len(actual_w) != len(coverage_ppm):
        raise WorkRefused("series of different lengths", expected=len(actual_w), found=len(coverage_ppm))
    for share in coverage_ppm:
        if not 0 <= share <= PPM:
            raise WorkRefused("a coverage out of range", expected="0..1,000,000 ppm", found=share)
