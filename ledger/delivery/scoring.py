"""From the prepared evidence of one piece of work to its score: one way for each service class."""

from collections.abc import Mapping, Sequence
from functools import singledispatch

from ledger.delivery import baselines, samples
from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.errors import WorkRefused
from ledger.delivery.evidence import Prepared, actuals, covers_of, group_means, mean_w
from ledger.delivery.rounding import PPM
from ledger.delivery.rows import Rows, rows_of
from ledger.delivery.samples import Cover
from ledger.delivery.verdicts import congestion, droop, embedded, ffr, informative, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.droop import Axes
from ledger.delivery.verdicts.outcome import Direction, Score, Verdict
from ledger.delivery.work_inputs import (
    CongestionWork,
    DroopWork,
    EmbeddedWork,
    FfrWork,
    LimitWork,
    PriceWork,
    ReserveWork,
    SetpointWork,
    V2hWork,
    VoltVarWork,
    VoltWattWork,
    WattVarWork,
    Work,
)


@singledispatch
def score_of(inputs: Work, prepared: Prepared) -> tuple[Score, Rows]:
    """The score of one class, and each participation's rows where the class has any. Raises WorkRefused."""
    raise WorkRefused("unknown service class", found=str(inputs.__struct_config__.tag))


_ALGORITHMS: Mapping[type[Work], str] = {
    CongestionWork: congestion.ALGORITHM,
    LimitWork: limit.ALGORITHM,
    FfrWork: ffr.ALGORITHM,
    DroopWork: droop.ALGORITHMS[Axes.P_OF_F],
    VoltWattWork: droop.ALGORITHMS[Axes.P_OF_U],
    VoltVarWork: droop.ALGORITHMS[Axes.Q_OF_U],
    WattVarWork: droop.ALGORITHMS[Axes.Q_OF_P],
    SetpointWork: setpoint.ALGORITHM,
    ReserveWork: reserve.ALGORITHM,
    PriceWork: informative.ALGORITHM,
    EmbeddedWork: embedded.ALGORITHM,
    V2hWork: v2h.ALGORITHM,
}


def nothing_counts(inputs: Work) -> Score:
    """Everyone is excluded: nothing was due and nothing is judged."""
    return Score(
        algorithm=_ALGORITHMS[type(inputs)],
        verdict=Verdict.INFORMATIVE,
        score_ppm=0,
        periods=(),
        figures={},
        parts={},
    )


@score_of.register
def _(inputs: CongestionWork, prepared: Prepared) -> tuple[Score, Rows]:
    count = _count(inputs, inputs.isp_ms)
    covers = covers_of(prepared, prepared.counted, inputs.start_at_ms, inputs.isp_ms, count)
    score = congestion.score(
        start_at_ms=inputs.start_at_ms,
        isp_ms=inputs.isp_ms,
        baseline_w=_baseline(inputs.baseline, count),
        ordered_w=inputs.ordered_w,
        actual=actuals(prepared, covers, inputs.start_at_ms, inputs.isp_ms),
        terms=inputs.terms,
    )
    is_up = inputs.terms.direction is Direction.UP
    return score, rows_of(prepared, covers, score.periods, is_up)


@score_of.register
def _(inputs: ReserveWork, prepared: Prepared) -> tuple[Score, Rows]:
    count = _count(inputs, inputs.interval_ms)
    covers = covers_of(prepared, prepared.counted, inputs.start_at_ms, inputs.interval_ms, count)
    exported = {name: _exported_milliwh(parts) for name, parts in covers.items()}
    score = reserve.score(
        start_at_ms=inputs.start_at_ms,
        interval_ms=inputs.interval_ms,
        baseline_w=_baseline(inputs.baseline, count),
        ordered_w=inputs.ordered_w,
        actual=actuals(prepared, covers, inputs.start_at_ms, inputs.interval_ms),
        exported_milliwh=exported,
        terms=inputs.terms,
    )
    is_up = inputs.terms.direction is Direction.UP
    return score, rows_of(prepared, covers, score.periods, is_up)


@score_of.register
def _(inputs: LimitWork, prepared: Prepared) -> tuple[Score, Rows]:
    first = inputs.start_at_ms + inputs.t_comply_ms
    if not 0 <= inputs.t_comply_ms < inputs.end_at_ms - inputs.start_at_ms:
        raise WorkRefused("time to comply", expected="0..length of the window", found=inputs.t_comply_ms)
    count = _intervals(first, inputs.end_at_ms, inputs.interval_ms)
    covers = covers_of(prepared, prepared.counted, first, inputs.interval_ms, count)
    powers, coverage = group_means(covers, inputs.interval_ms)
    score = limit.score(
        first_at_ms=first,
        interval_ms=inputs.interval_ms,
        actual_w=powers,
        coverage_ppm=coverage,
        terms=inputs.terms,
    )
    return score, {}


@score_of.register
def _(inputs: FfrWork, prepared: Prepared) -> tuple[Score, Rows]:
    if inputs.frequency_of not in prepared.evidence:
        raise WorkRefused("the frequency is of no participation")
    hold_ms = inputs.terms.max_hold_ms
    frequency = prepared.trace(inputs.frequency_of, hold_ms)
    t0 = ffr.find_trigger(frequency, inputs.start_at_ms, inputs.end_at_ms, inputs.terms)
    before, after = ffr.span_ms(inputs.terms)
    silences = prepared.silences() if t0 is not None else {}
    taking_part = [
        name
        for name in prepared.counted
        if not any(start < (t0 or 0) + after and (t0 or 0) - before < end for start, end in silences.get(name, ()))
    ]
    if not taking_part:
        return nothing_counts(inputs), {}
    resources = {name: (prepared.trace(name, hold_ms), prepared.shares_w[name]) for name in taking_part}
    score = ffr.score(
        start_at_ms=inputs.start_at_ms,
        end_at_ms=inputs.end_at_ms,
        frequency=frequency,
        resources=resources,
        terms=inputs.terms,
    )
    return score, {}


@score_of.register
def _(inputs: DroopWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.P_OF_F)


@score_of.register
def _(inputs: VoltWattWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.P_OF_U)


@score_of.register
def _(inputs: VoltVarWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.Q_OF_U)


@score_of.register
def _(inputs: WattVarWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.Q_OF_P)


def _curve(inputs: Work, prepared: Prepared, terms: droop.Terms, axes: Axes) -> tuple[Score, Rows]:
    score = droop.score(
        start_at_ms=inputs.start_at_ms,
        end_at_ms=inputs.end_at_ms,
        resources={name: prepared.trace(name) for name in prepared.counted},
        silences=prepared.silences(),
        terms=terms,
        axes=axes,
    )
    return score, {}


@score_of.register
def _(inputs: SetpointWork, prepared: Prepared) -> tuple[Score, Rows]:
    if not set(prepared.counted) <= set(inputs.setpoints):
        raise WorkRefused(
            "setpoints", expected="a series for each participation that counts", found=len(inputs.setpoints)
        )
    score = setpoint.score(
        start_at_ms=inputs.start_at_ms,
        end_at_ms=inputs.end_at_ms,
        resources={name: (prepared.trace(name), inputs.setpoints[name]) for name in prepared.counted},
        silences=prepared.silences(),
        terms=inputs.terms,
    )
    return score, {}


@score_of.register
def _(inputs: PriceWork, prepared: Prepared) -> tuple[Score, Rows]:
    count = _count(inputs, inputs.isp_ms)
    covers = covers_of(prepared, prepared.counted, inputs.start_at_ms, inputs.isp_ms, count)
    powers, coverage = group_means(covers, inputs.isp_ms)
    score = informative.score(
        start_at_ms=inputs.start_at_ms,
        isp_ms=inputs.isp_ms,
        baseline_w=_baseline(inputs.baseline, count),
        actual_w=powers,
        coverage_ppm=coverage,
    )
    return score, rows_of(prepared, covers, score.periods, is_up=True)


@score_of.register
def _(inputs: EmbeddedWork, prepared: Prepared) -> tuple[Score, Rows]:
    if not 0 < inputs.before_ms < inputs.start_at_ms:
        raise WorkRefused("time before", expected="more than 0 ms, not before 1970", found=inputs.before_ms)
    length_ms = inputs.end_at_ms - inputs.start_at_ms
    during = covers_of(prepared, prepared.counted, inputs.start_at_ms, length_ms, 1)
    before = covers_of(prepared, prepared.counted, inputs.start_at_ms - inputs.before_ms, inputs.before_ms, 1)
    shown = {}
    for name in prepared.counted:
        inside = prepared.trace(name).between(inputs.start_at_ms, inputs.end_at_ms)
        shown[name] = embedded.Shown(
            before_w=mean_w(before[name][0]),
            during_w=mean_w(during[name][0]),
            coverage_ppm=min(
                before[name][0].covered_ms * PPM // inputs.before_ms, during[name][0].covered_ms * PPM // length_ms
            ),
            samples=len(inside),
            flagged=sum(bool(one.status & samples.Status.GRID_CODE_OVERRIDE) for one in inside),
        )
    return embedded.score(start_at_ms=inputs.start_at_ms, end_at_ms=inputs.end_at_ms, resources=shown), {}


@score_of.register
def _(inputs: V2hWork, prepared: Prepared) -> tuple[Score, Rows]:
    if inputs.house not in prepared.evidence:
        raise WorkRefused("the house's connection is of no participation")
    count = _count(inputs, inputs.isp_ms)
    covers = covers_of(prepared, prepared.counted, inputs.start_at_ms, inputs.isp_ms, count)
    house = samples.covers(
        samples.upstream(prepared.evidence[inputs.house].samples),
        inputs.start_at_ms,
        inputs.isp_ms,
        count,
        max_hold_ms=inputs.max_hold_ms,
    )
    evse_w, _ = group_means(covers, inputs.isp_ms)
    _, coverage = group_means({**covers, "": house}, inputs.isp_ms)
    score = v2h.score(
        start_at_ms=inputs.start_at_ms,
        isp_ms=inputs.isp_ms,
        intervals=[
            v2h.Interval(grid_w=mean_w(grid), evse_w=power_w, coverage_ppm=covered)
            for grid, power_w, covered in zip(house, evse_w, coverage, strict=True)
        ],
        given={name: _given(inputs, prepared, name, covers[name]) for name in prepared.counted},
        terms=inputs.terms,
    )
    return score, {}


def _given(inputs: V2hWork, prepared: Prepared, name: str, parts: Sequence[Cover]) -> v2h.Given:
    below = unknown = 0
    for one in prepared.trace(name).between(inputs.start_at_ms, inputs.end_at_ms):
        if one.power_w > -v2h.DISCHARGE_FROM_W:
            continue
        if isinstance(one, samples.WideSample) and one.measured & samples.Measured.SOC:
            below += one.soc_permille < inputs.terms.reserve_soc_permille
        else:
            unknown += 1
    return v2h.Given(exported_milliwh=_exported_milliwh(parts), below_reserve=below, soc_unknown=unknown)


def _exported_milliwh(parts: Sequence[Cover]) -> int:
    """Whole mWh, rounded down."""
    return sum((part.absolute_watt_ms - part.watt_ms) // 2 for part in parts) // samples.WATT_MS_PER_MILLIWH


def _count(inputs: Work, interval_ms: int) -> int:
    return _intervals(inputs.start_at_ms, inputs.end_at_ms, interval_ms)


def _intervals(start_at_ms: int, end_at_ms: int, interval_ms: int) -> int:
    """How many whole intervals the window has; it must have no rest."""
    if interval_ms <= 0 or (end_at_ms - start_at_ms) % interval_ms:
        raise WorkRefused(
            "the window is not whole intervals",
            expected=f"a multiple of {interval_ms} ms",
            found=end_at_ms - start_at_ms,
        )
    return (end_at_ms - start_at_ms) // interval_ms


def _baseline(inputs: BaselineInputs, count: int) -> tuple[int, ...]:
    series = baselines.compute(inputs).series_w
    if len(series) != count:
        raise WorkRefused("length of the baseline", expected=count, found=len(series))
    return series
