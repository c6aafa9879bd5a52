"""Each participation's share of the group's rows."""

from collections.abc import Mapping, Sequence

from ledger.delivery.evidence import Prepared, mean_w
from ledger.delivery.rounding import PPM, apportion
from ledger.delivery.samples import Cover
from ledger.delivery.verdicts.outcome import Period

Rows = Mapping[str, tuple[Period, ...]]


def rows_of(prepared: Prepared, covers: Mapping[str, Sequence[Cover]], periods: Sequence[Period], is_up: bool) -> Rows:
    """Each participation's share of each group row; the shares add up to the row exactly.

    Baseline, order and excuse are shared by `ordered_w`; what was delivered goes to those who moved, what is missing
    to those who did not.
    """
    names = list(covers)
    weights = [prepared.shares_w[name] for name in names]
    rows: dict[str, list[Period]] = {name: [] for name in names}
    for place, period in enumerate(periods):
        actual = [mean_w(covers[name][place]) for name in names]
        baseline = apportion(period.baseline_w, weights)
        ordered = apportion(period.ordered_w, weights)
        flex = [(base - power) if is_up else (power - base) for base, power in zip(baseline, actual, strict=True)]
        missing = [max(0, order - moved) for order, moved in zip(ordered, flex, strict=True)]
        delivered = apportion(period.delivered_w, [max(0, moved) for moved in flex])
        deficiency = apportion(period.deficiency_w, missing)
        excused = apportion(period.excused_w, weights)
        for at, name in enumerate(names):
            rows[name].append(
                Period(
                    start_at_ms=period.start_at_ms,
                    duration_ms=period.duration_ms,
                    baseline_w=baseline[at],
                    ordered_w=ordered[at],
                    actual_w=actual[at],
                    delivered_w=delivered[at],
                    deficiency_w=deficiency[at],
                    excused_w=excused[at],
                    coverage_ppm=covers[name][place].covered_ms * PPM // period.duration_ms,
                )
            )
    return {name: tuple(found) for name, found in rows.items()}
