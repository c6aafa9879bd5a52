"""V2G tertiary reserve: like congestion per interval after full activation, within an energy budget per resource.

A resource that gave more energy than its budget is a breach: the order was filled at the battery owner's cost, and
the verdict is PARTIAL at best.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import congestion
from ledger.delivery.verdicts.outcome import Direction, Score, Thresholds, Verdict

ALGORITHM = "RESERVE_ISP/1"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`full_ms` after the start nothing is due; `energy_budget_milliwh` is each resource's bound of export energy."""

    direction: Direction = Direction.UP
    full_ms: int
    energy_budget_milliwh: int
    thresholds: Thresholds = Thresholds()
    min_coverage_ppm: int = 900_000


def score(
    *,
    start_at_ms: int,
    interval_ms: int,
    baseline_w: Sequence[int],
    ordered_w: Sequence[int],
    actual: Sequence[congestion.Actual],
    exported_milliwh: Mapping[str, int],
    terms: Terms,
) -> Score:
    """One row per interval; the intervals that start before full activation owe nothing. Raises WorkRefused."""
    if terms.full_ms < 0 or terms.energy_budget_milliwh < 0:
        raise WorkRefused("full activation and energy budget", expected=">= 0")
    # An interval is due from its first moment or not at all.
    due_from = start_at_ms + terms.full_ms
    due = [order if start_at_ms + place * interval_ms >= due_from else 0 for place, order in enumerate(ordered_w)]
    judged = congestion.score(
        start_at_ms=start_at_ms,
        isp_ms=interval_ms,
        baseline_w=baseline_w,
        ordered_w=due,
        actual=actual,
        terms=congestion.Terms(
            direction=terms.direction,
            thresholds=terms.thresholds,
            min_coverage_ppm=terms.min_coverage_ppm,
        ),
    )
    parts = {
        name: {"exported_milliwh": energy, "over_budget": int(energy > terms.energy_budget_milliwh)}
        for name, energy in sorted(exported_milliwh.items())
    }
    breaches = sum(part["over_budget"] for part in parts.values())
    verdict = judged.verdict
    if breaches and verdict is Verdict.DELIVERED:
        verdict = Verdict.PARTIAL
    return msgspec.structs.replace(
        judged,
        algorithm=ALGORITHM,
        verdict=verdict,
        figures=judged.figures | {"over_budget": breaches},
        parts=parts,
    )
