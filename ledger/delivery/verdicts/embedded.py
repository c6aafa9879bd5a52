"""A grid-code function that acted in firmware: what the EVSEs did while it ruled, beside what they did just before.

Nothing was requested, so nothing is owed: the verdict is INFORMATIVE where the samples show the function at work, and
UNPROVABLE where they do not.
"""

from collections.abc import Mapping

import msgspec

from ledger.delivery.rounding import PPM
from ledger.delivery.verdicts.outcome import (
    MAX_PARTICIPATIONS,
    Period,
    Score,
    Verdict,
    require_count,
    require_positive,
    require_powers,
)

ALGORITHM = "EMBEDDED_LOG/1"
MIN_COVERAGE_PPM = 900_000


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One EVSE: mean W before and during, how much of both was measured, and how many samples carry the flag."""

    before_w: int
    during_w: int
    coverage_ppm: int
    samples: int
    flagged: int


def score(*, start_at_ms: int, end_at_ms: int, resources: Mapping[str, Shown]) -> Score:
    """One row for the whole time. Shown is a function whose time was measured, on every EVSE, with flagged samples.

    `reaction_w` is before - during: > 0 helped a grid that lacked power. Raises WorkRefused.
    """
    require_count(len(resources), MAX_PARTICIPATIONS, "resources")
    require_positive(start_at_ms=start_at_ms, length_ms=end_at_ms - start_at_ms)
    require_powers([shown.before_w for shown in resources.values()], "power before")
    before = sum(shown.before_w for shown in resources.values())
    during = sum(shown.during_w for shown in resources.values())
    coverage = min(shown.coverage_ppm for shown in resources.values())
    samples = sum(shown.samples for shown in resources.values())
    flagged = sum(shown.flagged for shown in resources.values())
    is_shown = coverage >= MIN_COVERAGE_PPM and all(shown.flagged for shown in resources.values())
    row = Period(
        start_at_ms=start_at_ms,
        duration_ms=end_at_ms - start_at_ms,
        baseline_w=before,
        ordered_w=0,
        actual_w=during,
        delivered_w=0,
        deficiency_w=0,
        excused_w=0,
        coverage_ppm=coverage,
    )
    return Score(
        algorithm=ALGORITHM,
        verdict=Verdict.INFORMATIVE if is_shown else Verdict.UNPROVABLE,
        score_ppm=0,
        periods=(row,),
        figures={"reaction_w": before - during, "flagged_ppm": flagged * PPM // samples if samples else 0},
        parts={
            name: {"before_w": shown.before_w, "during_w": shown.during_w, "flagged": shown.flagged}
            for name, shown in sorted(resources.items())
        },
    )
