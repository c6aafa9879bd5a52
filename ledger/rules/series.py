"""What a request's parameters must be besides within their bounds: a series that is its window, a curve that rises."""

from collections.abc import Sequence
from itertools import pairwise

from ledger.records.requests import RequestIssued
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    DroopParams,
    FfrParams,
    PriceParams,
    PriceStep,
    ReserveParams,
    SetpointParams,
    SetpointStep,
    V2hParams,
    VoltVarParams,
    VoltWattParams,
    WattVarParams,
)
from ledger.rules.errors.checks import MagnitudeImplausible
from ledger.rules.errors.requests import CurveUnordered, SeriesOutside

MIN_MILLIHERTZ, MAX_MILLIHERTZ = 40_000, 70_000
MAX_PERIODS = 96
"""As many as a baseline or a settlement has."""


def require_sound(record: RequestIssued) -> None:
    """Raises `SeriesOutside` or `CurveUnordered` for parameters that nobody could execute or settle as they stand."""
    params = record.params
    if isinstance(params, SetpointParams | CongestionParams | PriceParams | V2hParams):
        _require_window(record, params.series)
    if isinstance(params, CongestionParams | PriceParams | V2hParams):
        _require_equal(params.series)
    if isinstance(params, ReserveParams):
        _require_intervals(record.end_at_ms - record.start_at_ms, params.interval_ms)
    if isinstance(params, FfrParams):
        _require_frequency(params.f_trigger_millihertz)
    if isinstance(params, DroopParams):
        for point in params.points:
            _require_frequency(point.freq_millihertz)
        _require_rising([point.freq_millihertz for point in params.points], "mHz")
    elif isinstance(params, VoltWattParams | VoltVarParams):
        _require_rising([point.volt_centipct for point in params.points], "hundredths of a percent")
    elif isinstance(params, WattVarParams):
        _require_rising([point.power_w for point in params.points], "W")


def _require_frequency(millihertz: int) -> None:
    if not MIN_MILLIHERTZ <= millihertz <= MAX_MILLIHERTZ:
        raise MagnitudeImplausible(
            "no grid has this frequency", expected=f"{MIN_MILLIHERTZ} to {MAX_MILLIHERTZ} mHz", found=millihertz
        )


def _require_rising(corners: Sequence[int], unit: str) -> None:
    for before, after in pairwise(corners):
        if before >= after:
            raise CurveUnordered(
                "a corner is not after the one before", expected=f"more than {before} {unit}", found=after
            )


def _require_intervals(window_ms: int, interval_ms: int) -> None:
    count, rest = divmod(window_ms, interval_ms)
    if rest or count > MAX_PERIODS:
        raise SeriesOutside(
            "the window is not so many whole intervals",
            expected=f"1 to {MAX_PERIODS} intervals of {interval_ms} ms",
            found=f"{window_ms} ms",
        )


def _require_window(
    record: RequestIssued, steps: Sequence[SetpointStep] | Sequence[CongestionStep] | Sequence[PriceStep]
) -> None:
    wanted_ms = record.start_at_ms
    for step in steps:
        if step.start_at_ms != wanted_ms:
            raise SeriesOutside("a step leaves a gap or overlaps", expected=wanted_ms, found=step.start_at_ms)
        wanted_ms = step.start_at_ms + step.duration_ms
    if wanted_ms != record.end_at_ms:
        raise SeriesOutside("the series ends at another time", expected=record.end_at_ms, found=wanted_ms)


def _require_equal(steps: Sequence[CongestionStep] | Sequence[PriceStep]) -> None:
    for step in steps:
        if step.duration_ms != steps[0].duration_ms:
            raise SeriesOutside(
                "settled steps are of one length", expected=steps[0].duration_ms, found=step.duration_ms
            )
