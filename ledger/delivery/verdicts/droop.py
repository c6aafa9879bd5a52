"""Droop: the share of one-second samples within tolerance of a piecewise-linear curve, after the response time.

The curve is read at the mean of x over the `response_ms` up to and including the sample: that is what the resource
must have answered by then. x and y are measured at the EVSE itself, in its own samples: P(f) is power over frequency,
P(U) power and Q(U) reactive power over voltage, Q(P) reactive power over power.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import accumulate
from math import isqrt

import msgspec

from ledger.delivery import curves
from ledger.delivery.curves import Corner
from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import half_even, ppm
from ledger.delivery.samples import AnySample, Measured, WideSample
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
CENTIPCT = 10_000
"""Hundredths of a percent in the whole of the reference voltage."""


class Axes(StrEnum):
    """What follows what: y is named after x's change."""

    P_OF_F = "P_OF_F"
    P_OF_U = "P_OF_U"
    Q_OF_U = "Q_OF_U"
    Q_OF_P = "Q_OF_P"


ALGORITHMS: dict[Axes, str] = {
    Axes.P_OF_F: ALGORITHM,
    Axes.P_OF_U: "VOLT_WATT_SHARE/1",
    Axes.Q_OF_U: "VOLT_VAR_SHARE/1",
    Axes.Q_OF_P: "WATT_VAR_SHARE/1",
}
_OVER_VOLTAGE = frozenset({Axes.P_OF_U, Axes.Q_OF_U})

Reader = Callable[[AnySample], int | None]
"""A value of a sample, None where it was not measured."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One curve for each EVSE, on either side of it `tolerance` in the unit of y (W or var).

    x of a corner is mHz, hundredths of a percent of `reference_millivolt`, or W; y is W or var, added to `base` (0 for
    reactive power).
    """

    points: tuple[Corner, ...]
    base: int = 0
    tolerance: int
    response_ms: int = 1_000
    reference_millivolt: int = 0
    thresholds: Thresholds = Thresholds()


def _frequency(sample: AnySample) -> int | None:
    return sample.freq_millihertz or None


def _power(sample: AnySample) -> int | None:
    return sample.power_w


def _voltage(sample: AnySample) -> int | None:
    """Times `CENTIPCT`, so that over the reference voltage it is in hundredths of a percent."""
    if isinstance(sample, WideSample) and sample.measured & Measured.VOLTAGE:
        return sample.voltage_millivolt * CENTIPCT
    return None


def _reactive(sample: AnySample) -> int | None:
    if isinstance(sample, WideSample) and sample.measured & Measured.REACTIVE:
        return sample.reactive_var
    return None


_READERS: dict[Axes, tuple[Reader, Reader]] = {
    Axes.P_OF_F: (_frequency, _power),
    Axes.P_OF_U: (_voltage, _power),
    Axes.Q_OF_U: (_voltage, _reactive),
    Axes.Q_OF_P: (_power, _reactive),
}


def score(
    *,
    start_at_ms: int,
    end_at_ms: int,
    resources: Mapping[str, Trace],
    silences: Mapping[str, tuple[tuple[int, int], ...]],
    terms: Terms,
    axes: Axes = Axes.P_OF_F,
) -> Score:
    """The share over all resources and whole Unix seconds of start <= t < end that `silences` do not excuse.

    A second without a usable sample, or without the whole response time before it, is unproven.
    """
    _require(start_at_ms, end_at_ms, resources, terms, axes)
    parts = {
        name: _judge(resources[name], start_at_ms, end_at_ms, silences.get(name, ()), terms, axes)
        for name in sorted(resources)
    }
    seconds, within, unproven = (
        sum(part[figure] for part in parts.values()) for figure in ("seconds", "within", "unproven")
    )
    figures = {"seconds": seconds, "within": within, "unproven": unproven}
    if not seconds:
        return Score(
            algorithm=ALGORITHMS[axes],
            verdict=Verdict.INFORMATIVE,
            score_ppm=0,
            periods=(),
            figures=figures,
            parts=parts,
        )
    low, high = ppm(within, seconds), ppm(within + unproven, seconds)
    return Score(
        algorithm=ALGORITHMS[axes],
        verdict=terms.thresholds.between(low, high),
        score_ppm=low,
        periods=(),
        figures=figures,
        parts=parts,
    )


def _judge(
    trace: Trace,
    start_at_ms: int,
    end_at_ms: int,
    silences: tuple[tuple[int, int], ...],
    terms: Terms,
    axes: Axes,
) -> dict[str, int]:
    x_of, y_of = _READERS[axes]
    x_under = terms.reference_millivolt if axes in _OVER_VOLTAGE else 1
    rows = [
        (sample.t_ms, x, y)
        for sample in trace.between(start_at_ms - terms.response_ms, end_at_ms)
        if (x := x_of(sample)) is not None and (y := y_of(sample)) is not None
    ]
    times = [time for time, _, _ in rows]
    sums = [0, *accumulate(x for _, x, _ in rows)]
    within = unproven = squares = seconds = 0
    found: list[int] = []
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
        over, under = curves.ratio(terms.points, terms.base, sums[place + 1] - sums[first], count * x_under)
        # |y - over / under| <= tolerance, in integers.
        error = rows[place][2] * under - over
        within += abs(error) <= terms.tolerance * under
        squares += half_even(error, under) ** 2
        found.append(rows[place][2])
    figures = {"seconds": seconds, "within": within, "unproven": unproven}
    if found:
        unit = "w" if y_of is _power else "var"
        figures |= {
            f"rmse_{unit}": isqrt(squares // len(found)),
            f"min_{unit}": min(found),
            f"max_{unit}": max(found),
        }
    return figures


def _require(start_at_ms: int, end_at_ms: int, resources: Mapping[str, Trace], terms: Terms, axes: Axes) -> None:
    require_count(len(resources), MAX_PARTICIPATIONS, "resources")
    require_thresholds(terms.thresholds)
    require_positive(start_at_ms=start_at_ms, response_ms=terms.response_ms)
    require_powers((terms.base, terms.tolerance), "droop terms")
    curves.require(terms.points)
    if terms.tolerance < 0:
        raise WorkRefused("a negative tolerance", found=terms.tolerance)
    if axes in _OVER_VOLTAGE:
        require_positive(reference_millivolt=terms.reference_millivolt)
    if not 1_000 <= end_at_ms - start_at_ms <= MAX_SECONDS * 1_000:
        raise WorkRefused("length of the window", expected=f"1..{MAX_SECONDS} s", found=end_at_ms - start_at_ms)
