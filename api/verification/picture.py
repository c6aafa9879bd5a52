"""What a proof of work looks like: requested, baseline and delivered power over time, as plain series.

Everything comes from what the proof is computed from, so a picture shows nothing that the verdict does not rest on.
Proof of work is proof of flexibility delivered; it is not mining.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from ledger.delivery import curves, samples, work
from ledger.delivery.rounding import half_even
from ledger.delivery.samples import AnySample, WideSample
from ledger.delivery.verdicts import droop, ffr
from ledger.delivery.verdicts.outcome import Direction, Exclusion, Period
from ledger.delivery.work import WorkInputs, WorkResult

MAX_BUCKETS: Final = 480
"""Points of one line: about two for each millimetre of a printed page."""
MIN_BUCKET_MS: Final = 100
EVENT_MARGIN_MS: Final = 5_000

Reader = Callable[[AnySample], int | None]
"""A value of a sample, None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Point:
    """From `from_ms` to `to_ms` the value is `value`; `low` and `high` bound what was measured in between."""

    from_ms: int
    to_ms: int
    value: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line. `kind` is one of requested, baseline, delivered, frequency; spans without points are gaps."""

    kind: str
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A span in which something else counts: no evidence, or an exclusion with its reason."""

    kind: str
    label: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Lines over one axis; `unit` is W, var, mHz or mV, as the values are."""

    title: str
    unit: str
    from_ms: int
    to_ms: int
    series: tuple[Series, ...]
    shades: tuple[Shade, ...] = ()
    marks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Measured:
    """The samples of who counts, and the grid on which they are shown."""

    by_name: Mapping[str, tuple[AnySample, ...]]
    from_ms: int
    to_ms: int
    bucket_ms: int
    hold_ms: int

    def buckets(self) -> Iterator[tuple[int, int]]:
        """(start, end) of each; the last ends with the window."""
        for start in range(self.from_ms, self.to_ms, self.bucket_ms):
            yield start, min(start + self.bucket_ms, self.to_ms)


def panels(inputs: WorkInputs, result: WorkResult) -> tuple[Panel, ...]:
    """The group's power over the window (of a fast response: around its event), and the frequency where one counts.

    The inputs are those that `result` was recomputed from; nothing is raised for inputs that `recompute` took.
    """
    measured = _measured(inputs, result)
    if not measured.by_name:
        return ()
    delivered, missing = _sum(measured)
    asked = _asked(inputs, result, measured)
    power = Panel(
        title="Power of the group (positive is drawn from the grid)",
        unit="W",
        from_ms=measured.from_ms,
        to_ms=measured.to_ms,
        series=(*asked, Series(kind="delivered", label="Delivered (measured)", points=delivered)),
        shades=(*missing, *_exclusions(result.excluded, measured)),
        marks=_marks(inputs, result),
    )
    return power, *_further(inputs, result, measured, power)


def _further(inputs: WorkInputs, result: WorkResult, measured: _Measured, power: Panel) -> Iterator[Panel]:
    """What else the class looks at: frequency, voltage, reactive power, or the house's connection."""
    one_of = measured.by_name[min(measured.by_name)]
    match inputs:
        case work.FfrWork(frequency_of=name):
            points = _means(measured.by_name.get(name, ()), measured, _frequency)
            yield _beside(power, "Frequency, measured at the EVSE", "mHz", "Frequency", points)
        case work.DroopWork():
            points = _means(one_of, measured, _frequency)
            yield _beside(power, "Frequency, measured at the EVSE", "mHz", "Frequency", points)
        case work.VoltWattWork() | work.VoltVarWork() | work.WattVarWork():
            if not isinstance(inputs, work.VoltWattWork):
                read = _power if isinstance(inputs, work.WattVarWork) else _voltage
                yield replace(
                    power,
                    title="Reactive power of the group (positive is absorbed)",
                    unit="var",
                    series=(
                        Series(
                            kind="requested", label="Requested (curve)", points=_curve(inputs.terms, measured, read)
                        ),
                        Series(kind="delivered", label="Delivered (measured)", points=_total(measured, _reactive)),
                    ),
                )
            if not isinstance(inputs, work.WattVarWork):
                points = _means(one_of, measured, _voltage)
                yield _beside(power, "Voltage, measured at the first EVSE", "mV", "Voltage", points)
        case work.V2hWork():
            yield replace(
                power,
                title="The house's grid connection (positive is drawn from the grid)",
                series=(
                    Series(
                        kind="baseline",
                        label="House without its EVs",
                        points=_rows(result.periods, lambda row: row.baseline_w),
                    ),
                    Series(kind="delivered", label="Measured", points=_rows(result.periods, lambda row: row.actual_w)),
                ),
            )
        case _:
            return


def _beside(power: Panel, title: str, unit: str, label: str, points: tuple[Point, ...]) -> Panel:
    """A panel over the same time."""
    series = (Series(kind="frequency", label=label, points=points),)
    return replace(power, title=title, unit=unit, series=series, shades=())


def _measured(inputs: WorkInputs, result: WorkResult) -> _Measured:
    from_ms, to_ms = inputs.start_at_ms, inputs.end_at_ms
    hold_ms = inputs.max_hold_ms
    t0 = result.figures.get("t0_at_ms")
    if isinstance(inputs, work.FfrWork) and t0 is not None:
        before, after = ffr.span_ms(inputs.terms)
        from_ms, to_ms = t0 - before, t0 + after + EVENT_MARGIN_MS
        hold_ms = inputs.terms.max_hold_ms
    by_name = {
        part.participation_id: tuple(
            one for body in inputs.bodies.get(part.participation_id, ()) for one in samples.decode(body)
        )
        for part in result.participations
    }
    steps = [
        later.t_ms - earlier.t_ms
        for found in by_name.values()
        for earlier, later in pairwise(found)
        if from_ms <= earlier.t_ms < to_ms
    ]
    finest_ms = max(MIN_BUCKET_MS, min(steps, default=MIN_BUCKET_MS))
    # A whole multiple of the samples' own step: no bucket has more of them than another.
    bucket_ms = finest_ms * max(1, -(-(to_ms - from_ms) // (finest_ms * MAX_BUCKETS)))
    return _Measured(by_name, from_ms, to_ms, bucket_ms, hold_ms)


def _sum(measured: _Measured) -> tuple[tuple[Point, ...], tuple[Shade, ...]]:
    """The sum of everyone's means, bucket by bucket; where one of them is not covered at all there is a gap."""
    count = -(-(measured.to_ms - measured.from_ms) // measured.bucket_ms)
    covers = {
        name: samples.covers(found, measured.from_ms, measured.bucket_ms, count, max_hold_ms=measured.hold_ms)
        for name, found in measured.by_name.items()
    }
    bounds = {name: _bounds(found, measured, count) for name, found in measured.by_name.items()}
    points: list[Point] = []
    missing: list[tuple[int, int]] = []
    for place, (start, end) in enumerate(measured.buckets()):
        parts = [covers[name][place] for name in covers]
        if any(part.covered_ms == 0 for part in parts):
            missing.append((start, end))
            continue
        means = {name: half_even(cover[place].watt_ms, cover[place].covered_ms) for name, cover in covers.items()}
        between = [bounds[name][place] or (mean, mean) for name, mean in means.items()]
        low, high = sum(least for least, _ in between), sum(greatest for _, greatest in between)
        points.append(Point(start, end, sum(means.values()), low, high))
    shades = [Shade(kind="missing", label="no evidence", from_ms=a, to_ms=b) for a, b in _joined(missing)]
    return tuple(points), tuple(shades)


def _bounds(found: Sequence[AnySample], measured: _Measured, count: int) -> list[tuple[int, int] | None]:
    """Least and greatest sample of each bucket; None where none falls into it."""
    values: list[list[int]] = [[] for _ in range(count)]
    for one in found:
        if measured.from_ms <= one.t_ms < measured.to_ms and samples.is_usable(one):
            values[(one.t_ms - measured.from_ms) // measured.bucket_ms].append(one.power_w)
    return [(min(bucket), max(bucket)) if bucket else None for bucket in values]


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _exclusions(excluded: Sequence[Exclusion], measured: _Measured) -> Iterator[Shade]:
    for one in excluded:
        start, end = max(one.start_at_ms, measured.from_ms), min(one.end_at_ms, measured.to_ms)
        if not one.is_whole and start < end:
            yield Shade(kind="excluded", label=f"excluded: {one.reason.value}", from_ms=start, to_ms=end)


def _asked(inputs: WorkInputs, result: WorkResult, measured: _Measured) -> tuple[Series, ...]:
    """What was asked for, and what would have been without the request, where the class knows such a thing."""
    match inputs:
        case work.LimitWork():
            cap = inputs.terms.import_cap_w
            return _standing("requested", "Requested (cap)", cap, inputs.start_at_ms + inputs.t_comply_ms, measured)
        case work.FfrWork():
            return _reserve(inputs, result, measured)
        case work.DroopWork():
            base = inputs.terms.base * len(measured.by_name)
            return (
                *_standing("baseline", "Baseline", base, measured.from_ms, measured),
                Series(kind="requested", label="Requested (curve)", points=_curve(inputs.terms, measured, _frequency)),
            )
        case work.VoltWattWork():
            points = _curve(inputs.terms, measured, _voltage)
            return (Series(kind="requested", label="Requested (curve)", points=points),)
        case work.V2hWork():
            return ()
        case work.SetpointWork():
            return (Series(kind="requested", label="Requested (setpoint)", points=_setpoints(inputs, measured)),)
        case _:
            return _against(inputs, result.periods)


def _standing(kind: str, label: str, value: int | None, from_ms: int, measured: _Measured) -> tuple[Series, ...]:
    if value is None:
        return ()
    start = max(from_ms, measured.from_ms)
    return (Series(kind=kind, label=label, points=(Point(start, measured.to_ms, value, value, value),)),)


def _against(inputs: WorkInputs, periods: Sequence[Period]) -> tuple[Series, ...]:
    """The classes with rows: the baseline, and the baseline moved by what was ordered and not excused."""
    if not periods or getattr(inputs, "baseline", None) is None:
        return ()
    terms = getattr(inputs, "terms", None)
    sign = -1 if getattr(terms, "direction", Direction.UP) is Direction.UP else 1
    base = _rows(periods, lambda row: row.baseline_w)
    found = [Series(kind="baseline", label="Baseline", points=base)]
    if any(row.ordered_w for row in periods):
        moved = _rows(periods, lambda row: row.baseline_w + sign * (row.ordered_w - row.excused_w))
        found.insert(0, Series(kind="requested", label="Requested", points=moved))
    return tuple(found)


def _rows(periods: Sequence[Period], value_of: Callable[[Period], int]) -> tuple[Point, ...]:
    return tuple(
        Point(row.start_at_ms, row.start_at_ms + row.duration_ms, value, value, value)
        for row, value in ((row, value_of(row)) for row in periods)
    )


def _reserve(inputs: work.FfrWork, result: WorkResult, measured: _Measured) -> tuple[Series, ...]:
    t0 = result.figures.get("t0_at_ms")
    bases = [part.figures["base_w"] for part in result.participations if "base_w" in part.figures]
    if t0 is None or not bases:
        return ()
    base, terms = sum(bases), inputs.terms
    sign = -1 if terms.direction is Direction.UP else 1
    held = base + sign * result.figures.get("capacity_w", 0)
    full_at, until = t0 + terms.t_full_ms, t0 + terms.t_full_ms + terms.support_ms
    return (
        *_standing("baseline", "Baseline (before the event)", base, measured.from_ms, measured),
        Series(kind="requested", label="Requested", points=(Point(full_at, until, held, held, held),)),
    )


def _curve(terms: droop.Terms, measured: _Measured, read: Reader) -> tuple[Point, ...]:
    """The sum of the curves at what each EVSE measured itself; gaps where one of them did not measure it."""
    scale, over_x = (droop.CENTIPCT, terms.reference_millivolt) if read is _voltage else (1, 1)
    each = [{point.from_ms: point for point in _means(one, measured, read)} for one in measured.by_name.values()]
    asked = []
    for start, end in measured.buckets():
        if not all(start in points for points in each):
            continue
        total = 0
        for points in each:
            over, under = curves.ratio(terms.points, terms.base, points[start].value * scale, over_x)
            total += half_even(over, under)
        asked.append(Point(start, end, total, total, total))
    return tuple(asked)


def _setpoints(inputs: work.SetpointWork, measured: _Measured) -> tuple[Point, ...]:
    """The sum of everyone's ordered setpoints between any two changes, as far as the picture can show them apart."""
    ordered = [inputs.setpoints.get(name, ()) for name in measured.by_name]
    starts = [[step.start_at_ms for step in steps] for steps in ordered]
    edges = {start for start, _ in measured.buckets()} | {measured.to_ms}
    changes = {at for times in starts for at in times if measured.from_ms < at < measured.to_ms}
    if len(changes) <= MAX_BUCKETS:
        edges = {measured.from_ms, measured.to_ms} | changes
    points = []
    for start, end in pairwise(sorted(edges)):
        places = [bisect_right(times, start) - 1 for times in starts]
        if min(places) >= 0:
            total = sum(steps[place].power_w for steps, place in zip(ordered, places, strict=True))
            points.append(Point(start, end, total, total, total))
    return tuple(points)


def _means(found: Sequence[AnySample], measured: _Measured, read: Reader) -> tuple[Point, ...]:
    """The mean of what is read, bucket by bucket; gaps where it was not measured."""
    values: dict[int, list[int]] = {}
    for one in found:
        if measured.from_ms <= one.t_ms < measured.to_ms and samples.is_usable(one):
            value = read(one)
            if value is not None:
                values.setdefault((one.t_ms - measured.from_ms) // measured.bucket_ms, []).append(value)
    points = []
    for place, (start, end) in enumerate(measured.buckets()):
        bucket = values.get(place)
        if bucket:
            points.append(Point(start, end, half_even(sum(bucket), len(bucket)), min(bucket), max(bucket)))
    return tuple(points)


def _total(measured: _Measured, read: Reader) -> tuple[Point, ...]:
    """The sum of everyone's means; gaps where one of them did not measure it."""
    each = [{point.from_ms: point for point in _means(one, measured, read)} for one in measured.by_name.values()]
    return tuple(
        Point(start, end, *(sum(getattr(one[start], name) for one in each) for name in ("value", "low", "high")))
        for start, end in measured.buckets()
        if all(start in one for one in each)
    )


def _frequency(sample: AnySample) -> int | None:
    return sample.freq_millihertz or None


def _power(sample: AnySample) -> int | None:
    return sample.power_w


def _voltage(sample: AnySample) -> int | None:
    is_there = isinstance(sample, WideSample) and sample.measured & samples.Measured.VOLTAGE
    return sample.voltage_millivolt if is_there else None  # type: ignore[union-attr]


def _reactive(sample: AnySample) -> int | None:
    is_there = isinstance(sample, WideSample) and sample.measured & samples.Measured.REACTIVE
    return sample.reactive_var if is_there else None  # type: ignore[union-attr]


def _marks(inputs: WorkInputs, result: WorkResult) -> tuple[tuple[int, str], ...]:
    t0 = result.figures.get("t0_at_ms")
    if not isinstance(inputs, work.FfrWork) or t0 is None:
        return ()
    full_at = t0 + inputs.terms.t_full_ms
    return ((t0, "trigger"), (full_at, "full"), (full_at + inputs.terms.support_ms, "end of support"))
