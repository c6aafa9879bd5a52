"""What would have been drawn without the request: versioned pure functions over integers.

Each method has an id with its version; a change of any result is a new version. Definitions and worked numbers:
`docs/spec/delivery.md`. A series has one W value per interval (ISP); division rounds half to even.
"""

import hashlib
import itertools
from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum

import msgspec

from ledger.delivery import curves
from ledger.delivery.curves import Corner
from ledger.delivery.errors import BaselineDaysRefused, BaselineRefused
from ledger.delivery.rounding import PPM, half_even

MAX_DAYS = 90
# 31 days of quarter hours.
MAX_INTERVALS = 2_976
MAX_POWER_W = 1_000_000_000


class ExcludedBecause(StrEnum):
    """Why a calendar day is no reference day."""

    EVENT_DAY = "EVENT_DAY"
    PUBLIC_HOLIDAY = "PUBLIC_HOLIDAY"
    OTHER_DAY_TYPE = "OTHER_DAY_TYPE"
    DATA_MISSING = "DATA_MISSING"
    METER_FAULT = "METER_FAULT"


class HistoryDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reference day: ISO date (local), mean W of each ISP of the part of the day that is looked at."""

    date: str
    isp_mean_w: tuple[int, ...]


class ExcludedDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One day that is not used, and why."""

    date: str
    reason: ExcludedBecause


class HighXOfY(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="HIGH_X_OF_Y/1"
):
    """The X reference days with the highest mean in the event window, scaled to the same day.

    `history` has exactly Y days, ascending, the last Y qualifying ones: every calendar day from the first of them to
    the day before `event_date` is either in it or in `excluded`. Indices count ISPs within `isp_mean_w`.
    """

    event_date: str
    history: tuple[HistoryDay, ...]
    excluded: tuple[ExcludedDay, ...]
    x: int
    y: int
    event_isps: tuple[int, ...]
    adjustment_isps: tuple[int, ...]
    adjustment_actual_w: tuple[int, ...]
    min_factor_ppm: int = 800_000
    max_factor_ppm: int = 1_200_000


class MeterBeforeMeterAfter(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="MBMA/1"
):
    """A straight line from the mean before (the notice) to the mean after the event."""

    before_w: int
    after_w: int
    isp_count: int


class PreEvent(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="PRE_EVENT/1"
):
    """The mean of the samples in the `window_ms` before the trigger, for the whole event."""

    window_ms: int
    samples_w: tuple[int, ...]
    isp_count: int = 1


class Nomination(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="NOMINATION/1"
):
    """The schedule that was committed beforehand."""

    series_w: tuple[int, ...]


class Zero(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="ZERO/1"):
    """0 W: for pure discharge."""

    isp_count: int


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="LIMIT/1"):
    """The cap itself; no counterfactual."""

    cap_w: int
    isp_count: int


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One corner of a piecewise-linear curve; x in mHz, mV or W as the service class says."""

    x: int
    power_w: int


class Curve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method", tag="CURVE/1"):
    """`base_w` plus the curve at each x."""

    points: tuple[CurvePoint, ...]
    base_w: int
    x: tuple[int, ...]


BaselineInputs = HighXOfY | MeterBeforeMeterAfter | PreEvent | Nomination | Zero | Limit | Curve


class BaselineResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The series, and what led to it. `unadjusted_w` equals `series_w` for methods without a same-day factor."""

    method: str
    series_w: tuple[int, ...]
    unadjusted_w: tuple[int, ...]
    selected_days: tuple[str, ...] = ()
    factor_ppm: int = PPM


def compute(inputs: BaselineInputs) -> BaselineResult:
    """The baseline of these inputs. Raises BaselineRefused or BaselineDaysRefused."""
    if isinstance(inputs, HighXOfY):
        return _high_x_of_y(inputs)
    series = _series(inputs)
    _require_powers(series)
    return BaselineResult(method=method_id(inputs), series_w=series, unadjusted_w=series)


def method_id(inputs: BaselineInputs) -> str:
    """Such as `HIGH_X_OF_Y/1`."""
    return str(type(inputs).__struct_config__.tag)


def inputs_digest(inputs: BaselineInputs) -> str:
    """Hex SHA-256 of the canonical JSON of the inputs: what a commitment names before the event."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()


def _series(inputs: MeterBeforeMeterAfter | PreEvent | Nomination | Zero | Limit | Curve) -> tuple[int, ...]:
    match inputs:
        case Nomination():
            _require_count(len(inputs.series_w))
            return inputs.series_w
        case Curve():
            _require_count(len(inputs.x))
            corners = _corners(inputs.points)
            curves.require(corners)
            _require_powers((inputs.base_w,))
            return tuple(half_even(*curves.ratio(corners, inputs.base_w, x, 1)) for x in inputs.x)
        case MeterBeforeMeterAfter():
            count = _require_count(inputs.isp_count)
            _require_powers((inputs.before_w, inputs.after_w))
            rise = inputs.after_w - inputs.before_w
            return tuple(
                half_even(inputs.before_w * 2 * count + rise * (2 * place + 1), 2 * count) for place in range(count)
            )
        case PreEvent():
            return (mean_w(inputs.samples_w),) * _require_count(inputs.isp_count)
        case Zero():
            return (0,) * _require_count(inputs.isp_count)
        case Limit():
            return (inputs.cap_w,) * _require_count(inputs.isp_count)


def mean_w(powers_w: Sequence[int]) -> int:
    """The mean of these samples, half to even. Raises BaselineRefused for none."""
    if not powers_w:
        raise BaselineRefused("no samples before the trigger")
    return half_even(sum(powers_w), len(powers_w))


def _corners(points: Sequence[CurvePoint]) -> tuple[Corner, ...]:
    return tuple(Corner(x=point.x, y=point.power_w) for point in points)


def _high_x_of_y(inputs: HighXOfY) -> BaselineResult:
    _require_days(inputs)
    width = _require_windows(inputs)
    # A sum orders as the mean does; of two equal days the earlier one is taken.
    ranked = sorted(inputs.history, key=lambda day: (-sum(day.isp_mean_w[isp] for isp in inputs.event_isps), day.date))
    selected = sorted(ranked[: inputs.x], key=lambda day: day.date)
    means = [half_even(sum(day.isp_mean_w[isp] for day in selected), inputs.x) for isp in range(width)]
    over, under = _factor(inputs, means)
    unadjusted = tuple(means[isp] for isp in inputs.event_isps)
    return BaselineResult(
        method=method_id(inputs),
        series_w=tuple(half_even(value * over, under) for value in unadjusted),
        unadjusted_w=unadjusted,
        selected_days=tuple(day.date for day in selected),
        factor_ppm=half_even(over * PPM, under),
    )


def _factor(inputs: HighXOfY, means: Sequence[int]) -> tuple[int, int]:
    """The same-day factor as an exact ratio, kept within its caps; 1 where no adjustment is asked for."""
    if not inputs.adjustment_isps:
        return 1, 1
    over, under = sum(inputs.adjustment_actual_w), sum(means[isp] for isp in inputs.adjustment_isps)
    if under <= 0:
        raise BaselineRefused("no factor over a window without import", expected="a sum > 0 W", found=under)
    if over * PPM < under * inputs.min_factor_ppm:
        return inputs.min_factor_ppm, PPM
    if over * PPM > under * inputs.max_factor_ppm:
        return inputs.max_factor_ppm, PPM
    return over, under


def _require_days(inputs: HighXOfY) -> None:
    """Every calendar day is accounted for, so that none can be left out quietly."""
    if not 1 <= inputs.x <= inputs.y <= MAX_DAYS:
        raise BaselineRefused("X of Y", expected=f"1 <= X <= Y <= {MAX_DAYS}", found=f"{inputs.x} of {inputs.y}")
    if len(inputs.history) != inputs.y:
        raise BaselineDaysRefused("number of reference days", expected=inputs.y, found=len(inputs.history))
    if len(inputs.excluded) > 4 * MAX_DAYS:
        raise BaselineDaysRefused(
            "number of excluded days", expected=f"at most {4 * MAX_DAYS}", found=len(inputs.excluded)
        )
    used = [_day(day.date) for day in inputs.history]
    if any(later <= earlier for earlier, later in itertools.pairwise(used)):
        raise BaselineDaysRefused("reference days are not in rising order")
    left_out = [_day(day.date) for day in inputs.excluded]
    span = (_day(inputs.event_date) - used[0]).days
    if span > 4 * MAX_DAYS or span <= 0:
        raise BaselineDaysRefused("days before the event", expected=f"1..{4 * MAX_DAYS}", found=span)
    wanted = [used[0] + timedelta(days=ahead) for ahead in range(span)]
    named = sorted(used + left_out)
    if named != wanted:
        odd = sorted(set(wanted) ^ set(named)) or [day for day in named if named.count(day) > 1]
        raise BaselineDaysRefused(
            "each day from the first reference day to the event must be named once", found=odd[0].isoformat()
        )


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise BaselineDaysRefused("not a date", expected="YYYY-MM-DD", found=text[:16]) from error
    if day.isoformat() != text:
        raise BaselineDaysRefused("not a date", expected="YYYY-MM-DD", found=text[:16])
    return day


def _require_windows(inputs: HighXOfY) -> int:
    width = len(inputs.history[0].isp_mean_w)
    for day in inputs.history:
        if len(day.isp_mean_w) != width:
            raise BaselineRefused("days of different length", expected=width, found=len(day.isp_mean_w))
        _require_powers(day.isp_mean_w)
    _require_powers(inputs.adjustment_actual_w)
    _require_count(width)
    _require_count(len(inputs.event_isps))
    for window in (inputs.event_isps, inputs.adjustment_isps):
        if any(not 0 <= isp < width for isp in window) or len(set(window)) != len(window):
            raise BaselineRefused("ISP indices", expected=f"distinct, 0..{width - 1}")
    if len(inputs.adjustment_actual_w) != len(inputs.adjustment_isps):
        raise BaselineRefused(
            "same-day values",
            expected=len(inputs.adjustment_isps),
            found=len(inputs.adjustment_actual_w),
        )
    if not 0 < inputs.min_factor_ppm <= inputs.max_factor_ppm <= 10 * PPM:
        raise BaselineRefused("caps of the factor", expected="0 < min <= max <= 10,000,000 ppm")
    return width


def _require_count(count: int) -> int:
    if not 1 <= count <= MAX_INTERVALS:
        raise BaselineRefused("number of intervals", expected=f"1..{MAX_INTERVALS}", found=count)
    return count


def _require_powers(powers_w: Sequence[int]) -> None:
    for power_w in powers_w:
        if abs(power_w) > MAX_POWER_W:
            raise BaselineRefused("a power beyond the limit", expected=f"|W| <= {MAX_POWER_W}", found=power_w)
