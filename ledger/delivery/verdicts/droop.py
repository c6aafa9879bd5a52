"""Droop: the share of one-second samples within tolerance of a piecewise-linear curve, after the response time.

The curve is read at the mean of x over the `response_ms` up to and including the sample: that is what the resource
must have answered by then. x is measured at the EVSE itself: `freq_millihertz` of its own samples.
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from math import isqrt

import msgspec

from ledger.delivery import baselines
from ledger.delivery.baselines import CurvePoint
from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import half_even, ppm
from ledger.delivery.verdicts.outcome import (
    MAX_PARTICIPATIONS,
    Score,
    Thresholds,
    Verdict,
    require_count,
    require_positive,
    require_powers,
    require_thresholds,
)
from ledger.delivery.verdicts.traces import Trace

ALGORITHM = "DROOP_SHARE/1"
MAX_SECONDS = 90_000


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One curve for each EVSE; `tolerance_w` on either side of it."""

    points: tuple[CurvePoint, ...]
    base_w: int = 0
    tolerance_w: int
    response_ms: int = 1_000
    thresholds: Thresholds = Thresholds()


def score(
    *,
    start_at_ms: int,
    end_at_ms: int,
    resources: Mapping[str, Trace],
    silences: Mapping[str, tuple[tuple[int, int], ...]],
    terms: Terms,
) -> Score:
    """The share over all resources and whole Unix seconds of start <= t < end that `silences` do not excuse.

    A second without a usable sample, or without the whole response time before it, is unproven.
    """
    _require(start_at_ms, end_at_ms, resources, terms)
    parts = {
        name: _judge(resources[name], start_at_ms, end_at_ms, silences.get(name, ()), terms)
        for name in sorted(resources)
    }
    seconds, within, unproven = (
        sum(part[figure] for part in parts.values()) for figure in ("seconds", "within", "unproven")
    )
    figures = {"seconds": seconds, "within": within, "unproven": unproven}
    if not seconds:
        return Score(
            algorithm=ALGORITHM, verdict=Verdict.INFORMATIVE, score_ppm=0, periods=(), figures=figures, parts=parts
        )
    low, high = ppm(within, seconds), ppm(within + unproven, seconds)
    return Score(
        algorithm=ALGORITHM,
        verdict=terms.thresholds.between(low, high),
        score_ppm=low,
        periods=(),
        figures=figures,
        parts=parts,
    )


def _judge(
    trace: Trace, start_at_ms: int, end_at_ms: int, silences: tuple[tuple[int, int], ...], terms: Terms
) -> dict[str, int]:
    measured = trace.between(start_at_ms - terms.response_ms, end_at_ms)
    samples = [sample for sample in measured if sample.freq_millihertz]
    times = [sample.t_ms for sample in samples]
    sums = [0, *accumulate(sample.freq_millihertz for sample in samples)]
    within = unproven = squares = seconds = 0
    powers: list[int] = []
    for second in range(-(-start_at_ms // 1000), -(-end_at_ms // 1000)):
        if any(start < (second + 1) * 1000 and second * 1000 < end for start, end in silences):
            continue
        seconds += 1
        place = bisect_left(times, second * 1000)
        first = bisect_left(times, times[place] - terms.response_ms) if place < len(times) else 0
        if (
            place == len(times)
            or times[place] >= (second + 1) * 1000
            or not trace.is_whole(times[place] - terms.response_ms, times[place])
        ):
            unproven += 1
            continue
        count = place + 1 - first
        over, under = baselines.curve_ratio(terms.points, terms.base_w, sums[place + 1] - sums[first], count)
        # |power - over / under| <= tolerance, in integers.
        error = samples[place].power_w * under - over
        within += abs(error) <= terms.tolerance_w * under
        squares += half_even(error, under) ** 2
        powers.append(samples[place].power_w)
    figures = {"seconds": seconds, "within": within, "unproven": unproven}
    if powers:
        figures |= {"rmse_w": isqrt(squares // len(powers)), "min_w": min(powers), "max_w": max(powers)}
    return figures


def _require(start_at_ms: int, end_at_ms: int, resources: Mapping[str, Trace], terms: Terms) -> None:
    require_count(len(resources), MAX_PARTICIPATIONS, "resources")
    require_thresholds(terms.thresholds)
    require_positive(start_at_ms=start_at_ms, response_ms=terms.response_ms)
    require_powers((terms.base_w, terms.tolerance_w), "droop terms")
    baselines.require_curve(terms.points)
    if terms.tolerance_w < 0:
        raise WorkRefused("a negative tolerance", found=terms.tolerance_w)
    if not 1_000 <= end_at_ms - start_at_ms <= MAX_SECONDS * 1_000:
        raise WorkRefused("length of the window", expected=f"1..{MAX_SECONDS} s", found=end_at_ms - start_at_ms)
