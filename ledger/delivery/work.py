"""Proof of flexibility delivered (this is not mining): from inputs to the result that anyone recomputes.

`recompute` is deterministic, and `encode` gives canonical bytes of integers and strings only: two parties with the
same inputs have the same bytes, or one of them is wrong.
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch

import msgspec

from ledger.delivery import baselines, samples
from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.errors import WorkRefused
from ledger.delivery.evidence import Prepared, actuals, covers_of, group_means, mean_w, prepare
from ledger.delivery.rounding import PPM, apportion, half_even
from ledger.delivery.samples import Cover
from ledger.delivery.verdicts import congestion, droop, embedded, ffr, informative, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.droop import Axes
from ledger.delivery.verdicts.outcome import Direction, Exclusion, Period, Score, Verdict
from ledger.delivery.work_inputs import (
    CongestionWork,
    DroopWork,
    EmbeddedWork,
    FfrWork,
    LimitWork,
    Participation,
    PriceWork,
    ReserveWork,
    SetpointWork,
    V2hWork,
    VoltVarWork,
    VoltWattWork,
    WattVarWork,
    Work,
    WorkInputs,
)

__all__ = [
    "CongestionWork",
    "DroopWork",
    "EmbeddedWork",
    "FfrWork",
    "LimitWork",
    "Participation",
    "ParticipationResult",
    "PriceWork",
    "ReserveWork",
    "SetpointWork",
    "V2hWork",
    "VoltVarWork",
    "VoltWattWork",
    "WattVarWork",
    "Work",
    "WorkInputs",
    "WorkResult",
    "decode_inputs",
    "encode",
    "recompute",
]


class ParticipationResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One participation's part. Its rows add up to the group's rows exactly; `coverage_ppm` is over the window.

    `mean_w`, `max_w` and `min_w` are 0 where nothing is covered.
    """

    participation_id: str
    batch_roots: tuple[str, ...]
    samples: int
    lost: int
    coverage_ppm: int
    import_milliwh: int
    export_milliwh: int
    mean_w: int
    max_w: int
    min_w: int
    periods: tuple[Period, ...]
    figures: dict[str, int]


class WorkResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result for one request. `baseline` is the method's id, `baseline_digest` that of its inputs; "" for none."""

    service_class: str
    algorithm: str
    baseline: str
    baseline_digest: str
    start_at_ms: int
    end_at_ms: int
    verdict: Verdict
    score_ppm: int
    periods: tuple[Period, ...]
    figures: dict[str, int]
    participations: tuple[ParticipationResult, ...]
    excluded: tuple[Exclusion, ...]


def encode(result: WorkResult) -> bytes:
    """Canonical bytes: sorted member names, integers and strings only."""
    return msgspec.json.encode(result, order="sorted")


def decode_inputs(data: bytes) -> WorkInputs:
    """The inputs from JSON (bodies in base64). Raises WorkRefused."""
    try:
        inputs: WorkInputs = _INPUTS.decode(data)
    except msgspec.MsgspecError as error:
        raise WorkRefused("not the inputs of a piece of work", found=str(error)[:200]) from error
    return inputs


def recompute(inputs: WorkInputs) -> WorkResult:
    """The result of these inputs, bit for bit the same everywhere.

    Raises WorkRefused, SamplesMalformed, BaselineRefused or BaselineDaysRefused.
    """
    prepared = prepare(inputs)
    if prepared.counted:
        score, rows = _score(inputs, prepared)
    else:
        score, rows = _nothing_counts(inputs), {}
    baseline: BaselineInputs | None = getattr(inputs, "baseline", None)
    return WorkResult(
        service_class=str(inputs.__struct_config__.tag),
        algorithm=score.algorithm,
        baseline="" if baseline is None else baselines.method_id(baseline),
        baseline_digest="" if baseline is None else baselines.inputs_digest(baseline),
        start_at_ms=inputs.start_at_ms,
        end_at_ms=inputs.end_at_ms,
        verdict=score.verdict,
        score_ppm=score.score_ppm,
        periods=score.periods,
        figures=score.figures,
        participations=tuple(
            _participation(prepared, name, rows.get(name, ()), score.parts.get(name, {})) for name in prepared.counted
        ),
        excluded=prepared.excluded,
    )


Rows = Mapping[str, tuple[Period, ...]]


@singledispatch
def _score(inputs: Work, prepared: Prepared) -> tuple[Score, Rows]:
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
_INPUTS = msgspec.json.Decoder(WorkInputs)


def _nothing_counts(inputs: Work) -> Score:
    """Everyone is excluded: nothing was due and nothing is judged."""
    return Score(
        algorithm=_ALGORITHMS[type(inputs)],
        verdict=Verdict.INFORMATIVE,
        score_ppm=0,
        periods=(),
        figures={},
        parts={},
    )


@_score.register
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
    return score, _rows(prepared, covers, score.periods, is_up)


@_score.register
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
    return score, _rows(prepared, covers, score.periods, is_up)


@_score.register
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


@_score.register
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
        return _nothing_counts(inputs), {}
    resources = {name: (prepared.trace(name, hold_ms), prepared.shares_w[name]) for name in taking_part}
    score = ffr.score(
        start_at_ms=inputs.start_at_ms,
        end_at_ms=inputs.end_at_ms,
        frequency=frequency,
        resources=resources,
        terms=inputs.terms,
    )
    return score, {}


@_score.register
def _(inputs: DroopWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.P_OF_F)


@_score.register
def _(inputs: VoltWattWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.P_OF_U)


@_score.register
def _(inputs: VoltVarWork, prepared: Prepared) -> tuple[Score, Rows]:
    return _curve(inputs, prepared, inputs.terms, Axes.Q_OF_U)


@_score.register
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


@_score.register
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


@_score.register
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
    return score, _rows(prepared, covers, score.periods, is_up=True)


@_score.register
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


@_score.register
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


def _rows(prepared: Prepared, covers: Mapping[str, Sequence[Cover]], periods: Sequence[Period], is_up: bool) -> Rows:
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


def _participation(
    prepared: Prepared, name: str, rows: tuple[Period, ...], figures: dict[str, int]
) -> ParticipationResult:
    work, evidence = prepared.work, prepared.evidence[name]
    part = samples.cover(evidence.samples, work.start_at_ms, work.end_at_ms, max_hold_ms=work.max_hold_ms)
    powers = [sample.power_w for sample in prepared.trace(name).between(work.start_at_ms, work.end_at_ms)]
    imported, exported = (part.absolute_watt_ms + part.watt_ms) // 2, (part.absolute_watt_ms - part.watt_ms) // 2
    return ParticipationResult(
        participation_id=name,
        batch_roots=evidence.roots,
        samples=len(evidence.samples),
        lost=evidence.lost,
        coverage_ppm=part.covered_ms * PPM // (work.end_at_ms - work.start_at_ms),
        import_milliwh=half_even(imported, samples.WATT_MS_PER_MILLIWH),
        export_milliwh=half_even(exported, samples.WATT_MS_PER_MILLIWH),
        mean_w=mean_w(part),
        max_w=max(powers, default=0),
        min_w=min(powers, default=0),
        periods=rows,
        figures=figures,
    )
