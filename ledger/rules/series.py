"""What a request's parameters must be besides within their bounds: a series that is its window, a curve that rises."""

from collections.abc import Sequence
from itertools import pairwise

from ledger.records.requests import RequestIssued
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    DroopParams,
    PriceParams,
    PriceStep,
    ReserveParams,
    SetpointParams,
    SetpointStep,
)
from ledger.rules.errors import CurveUnordered, SeriesOutside

MAX_PERIODS = 96
"""As many as a baseline or a settlement has."""


def require_sound(record: RequestIssued) -> None:
    """Raises `SeriesOutside` or `CurveUnordered` for parameters that nobody could execute or settle as they stand."""
    params = record.params
    if isinstance(params, SetpointParams | CongestionParams | PriceParams):
        _require_window(record, params.series)
    if isinstance(params, CongestionParams | PriceParams):
        _require_equal(params.series)
    if isinstance(params, ReserveParams):
        _require_intervals(record.end_at_ms - record.start_at_ms, params.interval_ms)
    if isinstance(params, DroopParams):
        for before, after in pairwise(params.points):
            if before.freq_millihertz >= after.freq_millihertz:
                raise CurveUnordered(
                    "a corner is not after the one before",
                    expected=f"more than {before.freq_millihertz} mHz",
                    found=after.freq_millihertz,
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
