"""Fast frequency response: activation time, support, release slope and over-delivery of one event.

t0 is the first sample of the frequency channel beyond the trigger; each resource's base is the mean of its samples in
the `base_ms` before t0 (PRE_EVENT/1); delivered is base - power for UP and power - base for DOWN. The instants that
are looked at are t0 + t_full_ms and the frequency channel's own sample times.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from ledger.delivery import baselines
from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import PPM, half_even, ppm, up
from ledger.delivery.verdicts.outcome import (
    MAX_PARTICIPATIONS,
    Direction,
    Score,
    Verdict,
    require_count,
    require_positive,
    require_ppm,
)
from ledger.delivery.verdicts.traces import Trace

ALGORITHM = "FFR_EVENT/1"
SLOPE_MS = 1_000
# An event of 20 minutes at 10 Hz.
MAX_INSTANTS = 12_000


class Scoring(StrEnum):
    """Whether the group is judged, or each resource for its own share."""

    GROUP = "GROUP"
    PER_RESOURCE = "PER_RESOURCE"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The product. `tolerance_ppm` of the capacity may be missing; release and over-delivery are caps."""

    direction: Direction = Direction.UP
    trigger_millihertz: int
    t_full_ms: int
    support_ms: int
    release_ms: int = 10_000
    base_ms: int = 10_000
    tolerance_ppm: int = 0
    max_release_ppm_per_s: int = 200_000
    max_over_ppm: int = 350_000
    scoring: Scoring = Scoring.GROUP
    max_hold_ms: int = 200
    # Away from an event the frequency may be logged more coarsely; a longer gap could hide a trigger.
    quiet_hold_ms: int = 1_500


class _Event(msgspec.Struct, frozen=True):
    t0: int
    instants: tuple[int, ...]
    full_at: int
    support_until: int
    release_until: int


def score(
    *, start_at_ms: int, end_at_ms: int, frequency: Trace, resources: Mapping[str, tuple[Trace, int]], terms: Terms
) -> Score:
    """The verdict on the first event in start <= t < end; `resources` are (trace, capacity W) by participation.

    INFORMATIVE where the trigger was never passed; UNPROVABLE where a sample that decides is missing, or a gap in the
    frequency could hide an earlier trigger.
    """
    _require(start_at_ms, end_at_ms, resources, terms)
    t0 = find_trigger(frequency, start_at_ms, end_at_ms, terms)
    watched_until = end_at_ms if t0 is None else t0
    if not _is_watched(frequency, start_at_ms, watched_until, terms):
        return _empty(Verdict.UNPROVABLE, {})
    if t0 is None:
        return _empty(Verdict.INFORMATIVE, {})
    event = _event(t0, frequency, terms)
    names = sorted(resources)
    if not frequency.is_whole(t0 - terms.base_ms, event.release_until):
        return _empty(Verdict.UNPROVABLE, {"t0_at_ms": t0})
    curves: dict[str, tuple[int, list[int]]] = {}
    for name in names:
        curve = _delivered(resources[name][0], event, terms)
        if curve is None:
            return _empty(Verdict.UNPROVABLE, {"t0_at_ms": t0})
        curves[name] = curve
    group = [sum(values) for values in zip(*(curves[name][1] for name in names), strict=True)]
    capacity = sum(resources[name][1] for name in names)
    parts = {name: _judge(curves[name][1], resources[name][1], event, terms) for name in names}
    for name in names:
        parts[name]["base_w"] = curves[name][0]
    figures = _judge(group, capacity, event, terms) | {"t0_at_ms": t0, "capacity_w": capacity}
    figures["nadir_millihertz"] = min(sample.freq_millihertz for sample in frequency.between(t0, event.release_until))
    return Score(
        algorithm=ALGORITHM,
        verdict=_verdict(figures, parts, terms),
        score_ppm=ppm(min(figures["at_full_w"], figures["min_support_w"]), capacity),
        periods=(),
        figures=figures,
        parts=parts,
    )


def _is_watched(frequency: Trace, start_at_ms: int, until_ms: int, terms: Terms) -> bool:
    """The frequency was measured all the time before `until_ms`."""
    if any(sample.freq_millihertz == 0 for sample in frequency.between(start_at_ms, until_ms)):
        return False
    if until_ms <= start_at_ms:
        return True
    # What was logged before the window counts, and so does a first sample soon after its start.
    return frequency.is_whole(
        min(until_ms, start_at_ms + terms.quiet_hold_ms), until_ms, max_hold_ms=terms.quiet_hold_ms
    )


def find_trigger(frequency: Trace, start_at_ms: int, end_at_ms: int, terms: Terms) -> int | None:
    """The time of the first sample strictly beyond the trigger; 0 mHz means not measured."""
    for sample in frequency.between(start_at_ms, end_at_ms):
        if sample.freq_millihertz == 0:
            continue
        if terms.direction is Direction.UP and sample.freq_millihertz < terms.trigger_millihertz:
            return sample.t_ms
        if terms.direction is Direction.DOWN and sample.freq_millihertz > terms.trigger_millihertz:
            return sample.t_ms
    return None


def span_ms(terms: Terms) -> tuple[int, int]:
    """How far before and after t0 samples decide."""
    return terms.base_ms, terms.t_full_ms + terms.support_ms + terms.release_ms + SLOPE_MS


def _event(t0: int, frequency: Trace, terms: Terms) -> _Event:
    full_at = t0 + terms.t_full_ms
    support_until = full_at + terms.support_ms
    release_until = t0 + span_ms(terms)[1]
    own = {sample.t_ms for sample in frequency.between(t0, release_until)} | {t0, full_at, support_until}
    # Each instant of the release needs its fellow one second later, whatever the rhythm of the samples.
    falling = {at for at in own if support_until <= at <= release_until - SLOPE_MS}
    instants = tuple(sorted(own | {at + SLOPE_MS for at in falling}))
    if len(instants) > MAX_INSTANTS:
        raise WorkRefused("too many instants", expected=f"at most {MAX_INSTANTS}", found=len(instants))
    return _Event(t0, instants, full_at, support_until, release_until)


def _delivered(trace: Trace, event: _Event, terms: Terms) -> tuple[int, list[int]] | None:
    """(base W, delivered W at each instant); None where a sample is missing."""
    if not trace.is_whole(event.t0 - terms.base_ms, event.t0):
        return None
    before = [sample.power_w for sample in trace.between(event.t0 - terms.base_ms, event.t0)]
    if not before:
        return None
    base = baselines.mean_w(before)
    sign = 1 if terms.direction is Direction.UP else -1
    curve: list[int] = []
    for at in event.instants:
        power_w = trace.power_w(at)
        if power_w is None:
            return None
        curve.append(sign * (base - power_w))
    return base, curve


def _judge(curve: Sequence[int], capacity: int, event: _Event, terms: Terms) -> dict[str, int]:
    """The figures of one curve; `passed` is 1 where all four conditions of the product hold."""
    at_full = curve[event.instants.index(event.full_at)]
    support = [
        value for at, value in zip(event.instants, curve, strict=True) if event.full_at <= at <= event.support_until
    ]
    until_release = [value for at, value in zip(event.instants, curve, strict=True) if at <= event.support_until]
    reached = [at for at, value in zip(event.instants, curve, strict=True) if value >= capacity]
    figures = {
        "at_full_w": at_full,
        "min_support_w": min(support),
        "mean_support_w": half_even(sum(support), len(support)),
        "max_w": max(until_release),
        "over_ppm": max(0, up((max(until_release) - capacity) * PPM, capacity)),
        "release_ppm_per_s": _steepest_release(curve, capacity, event),
        "share_ppm": ppm(min(at_full, *support), capacity),
    }
    if reached:
        figures["activated_after_ms"] = reached[0] - event.t0
    # In integers: value >= capacity x (1 - tolerance).
    need = capacity * (PPM - terms.tolerance_ppm)
    figures["passed"] = int(
        figures["at_full_w"] * PPM >= need
        and figures["min_support_w"] * PPM >= need
        and figures["over_ppm"] <= terms.max_over_ppm
        and figures["release_ppm_per_s"] <= terms.max_release_ppm_per_s
    )
    return figures


def _steepest_release(curve: Sequence[int], capacity: int, event: _Event) -> int:
    """The largest fall within one second that starts in the support's end .. release window, ppm of capacity per s."""
    by_time = dict(zip(event.instants, curve, strict=True))
    falls = [
        value - by_time[at + SLOPE_MS]
        for at, value in by_time.items()
        if at >= event.support_until and at + SLOPE_MS in by_time
    ]
    return max(0, up(max(falls) * PPM, capacity))


def _verdict(figures: Mapping[str, int], parts: Mapping[str, Mapping[str, int]], terms: Terms) -> Verdict:
    if terms.scoring is Scoring.GROUP:
        return Verdict.DELIVERED if figures["passed"] else Verdict.FAILED
    passed = sum(part["passed"] for part in parts.values())
    if passed == len(parts):
        return Verdict.DELIVERED
    return Verdict.PARTIAL if passed else Verdict.FAILED


def _empty(verdict: Verdict, figures: dict[str, int]) -> Score:
    return Score(algorithm=ALGORITHM, verdict=verdict, score_ppm=0, periods=(), figures=figures, parts={})


def _require(start: int, end: int, resources: Mapping[str, tuple[Trace, int]], terms: Terms) -> None:
    require_count(len(resources), MAX_PARTICIPATIONS, "resources")
    require_positive(
        start_at_ms=start,
        trigger_millihertz=terms.trigger_millihertz,
        t_full_ms=terms.t_full_ms,
        support_ms=terms.support_ms,
        release_ms=terms.release_ms,
        base_ms=terms.base_ms,
        max_hold_ms=terms.max_hold_ms,
        quiet_hold_ms=terms.quiet_hold_ms,
    )
    require_ppm(tolerance_ppm=terms.tolerance_ppm)
    if end <= start:
        raise WorkRefused("an empty window", expected=f"> {start}", found=end)
    if terms.max_release_ppm_per_s < 0 or terms.max_over_ppm < 0:
        raise WorkRefused("caps of release and over-delivery", expected=">= 0 ppm")
    for _, capacity in resources.values():
        require_positive(capacity_w=capacity)
