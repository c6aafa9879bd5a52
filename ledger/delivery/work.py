"""Proof of flexibility delivered (this is not mining): from inputs to the result that anyone recomputes.

`recompute` is deterministic, and `encode` gives canonical bytes of integers and strings only: two parties with the
same inputs have the same bytes, or one of them is wrong.
"""

import msgspec

from ledger.delivery import baselines, samples
from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.errors import WorkRefused
from ledger.delivery.evidence import Prepared, mean_w, prepare
from ledger.delivery.rounding import PPM, half_even
from ledger.delivery.scoring import nothing_counts, score_of
from ledger.delivery.verdicts.outcome import Exclusion, Period, Verdict
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

_INPUTS = msgspec.json.Decoder(WorkInputs)


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
        score, rows = score_of(inputs, prepared)
    else:
        score, rows = nothing_counts(inputs), {}
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
