"""Dynamic setpoint: how close each resource followed the ordered setpoints, second by second after the ramp.

tracking = 1 - mean(min(1, |power - setpoint| / reference)); in band where |power - setpoint| <= tolerance. The
setpoints are the ordered ones of the signed batches, never those that the station says it had.
"""

import itertools
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import isqrt

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import PPM, ppm
from ledger.delivery.verdicts.outcome import (
    MAX_PARTICIPATIONS,
    Score,
    Thresholds,
    Verdict,
    require_count,
    require_positive,
    require_powers,
    require_ppm,
    require_thresholds,
)
from ledger.delivery.verdicts.traces import Trace

ALGORITHM = "SETPOINT_TRACKING/1"
MAX_SETPOINTS = 100_000
MAX_INSTANTS = 90_000


class Setpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From this instant on, until the next one, this many W."""

    start_at_ms: int
    power_w: int


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reference_w` is each resource's rated step; `ramp_ms` after a change of setpoint nothing is judged."""

    reference_w: int
    tolerance_w: int
    ramp_ms: int
    interval_ms: int = 1_000
    min_in_band_ppm: int = 0
    thresholds: Thresholds = Thresholds()


def score(
    *,
    start_at_ms: int,
    end_at_ms: int,
    resources: Mapping[str, tuple[Trace, Sequence[Setpoint]]],
    silences: Mapping[str, tuple[tuple[int, int], ...]],
    terms: Terms,
) -> Score:
    """Tracking over all resources; an instant without a sample could be anything from 0 to 1."""
    _require(start_at_ms, end_at_ms, resources, terms)
    instants = range(start_at_ms, end_at_ms, terms.interval_ms)
    parts = {name: _judge(*resources[name], instants, silences.get(name, ()), terms) for name in sorted(resources)}
    total = {
        figure: sum(part[figure] for part in parts.values())
        for figure in ("judged", "unproven", "in_band", "error_ppm_sum")
    }
    due = total["judged"] + total["unproven"]
    if not due:
        return Score(
            algorithm=ALGORITHM, verdict=Verdict.INFORMATIVE, score_ppm=0, periods=(), figures=total, parts=parts
        )
    good = total["judged"] * PPM - total["error_ppm_sum"]
    low, high = good // due, (good + total["unproven"] * PPM) // due
    figures = total | {"tracking_ppm": low, "in_band_ppm": ppm(total["in_band"], due)}
    verdict = terms.thresholds.between(low, high)
    if verdict is Verdict.DELIVERED:
        verdict = _band_verdict(total["in_band"], total["unproven"], due, terms)
    return Score(algorithm=ALGORITHM, verdict=verdict, score_ppm=low, periods=(), figures=figures, parts=parts)


def _band_verdict(in_band: int, unproven: int, due: int, terms: Terms) -> Verdict:
    """A good mean may hide a bad share in band: that is PARTIAL at best."""
    if ppm(in_band, due) >= terms.min_in_band_ppm:
        return Verdict.DELIVERED
    return Verdict.UNPROVABLE if ppm(in_band + unproven, due) >= terms.min_in_band_ppm else Verdict.PARTIAL


def _judge(
    trace: Trace,
    setpoints: Sequence[Setpoint],
    instants: range,
    silences: tuple[tuple[int, int], ...],
    terms: Terms,
) -> dict[str, int]:
    starts = [setpoint.start_at_ms for setpoint in setpoints]
    changed_at = _changes(setpoints)
    judged = unproven = in_band = errors = squares = 0
    for at in instants:
        place = bisect_right(starts, at) - 1
        is_ramping = place < 0 or at - changed_at[place] < terms.ramp_ms
        if is_ramping or any(start <= at < end for start, end in silences):
            continue
        power_w = trace.power_w(at)
        if power_w is None:
            unproven += 1
            continue
        error = abs(power_w - setpoints[place].power_w)
        judged += 1
        in_band += error <= terms.tolerance_w
        errors += min(PPM, -(-error * PPM // terms.reference_w))
        squares += error * error
    figures = {"judged": judged, "unproven": unproven, "in_band": in_band, "error_ppm_sum": errors}
    if judged:
        figures |= {
            "tracking_ppm": (judged * PPM - errors) // (judged + unproven),
            "in_band_ppm": ppm(in_band, judged + unproven),
            "rmse_w": isqrt(squares // judged),
        }
    return figures


def _changes(setpoints: Sequence[Setpoint]) -> list[int]:
    """When the power of each setpoint was first ordered: repeating a setpoint starts no new ramp."""
    changes: list[int] = []
    for place, setpoint in enumerate(setpoints):
        is_repeat = place > 0 and setpoints[place - 1].power_w == setpoint.power_w
        changes.append(changes[-1] if is_repeat else setpoint.start_at_ms)
    return changes


def _require(
    start_at_ms: int,
    end_at_ms: int,
    resources: Mapping[str, tuple[Trace, Sequence[Setpoint]]],
    terms: Terms,
) -> None:
    require_count(len(resources), MAX_PARTICIPATIONS, "resources")
    require_thresholds(terms.thresholds)
    require_ppm(min_in_band_ppm=terms.min_in_band_ppm)
    require_positive(start_at_ms=start_at_ms, reference_w=terms.reference_w, interval_ms=terms.interval_ms)
    if terms.ramp_ms < 0 or terms.tolerance_w < 0:
        raise WorkRefused("ramp and tolerance", expected=">= 0")
    if not 0 < end_at_ms - start_at_ms <= MAX_INSTANTS * terms.interval_ms:
        raise WorkRefused("length of the window", expected=f"1..{MAX_INSTANTS} intervals")
    for _, setpoints in resources.values():
        require_count(len(setpoints), MAX_SETPOINTS, "setpoints")
        require_powers([setpoint.power_w for setpoint in setpoints], "setpoint")
        starts = [setpoint.start_at_ms for setpoint in setpoints]
        if any(later <= earlier for earlier, later in itertools.pairwise(starts)):
            raise WorkRefused("setpoints are not in rising order of time")
