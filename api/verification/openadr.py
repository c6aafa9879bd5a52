"""A request and its proof as OpenADR 3.1 JSON: an event and reports, and what of the request did not fit into them.

For showing to programs that know OpenADR; evidence is the bundle. Numbers are decimals, for JSON and for nothing that
is signed or hashed. docs/reference/mappings/openadr.md has the table.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api.errors import Absent
from api.verification.bundle_work import GroupPeriods
from ledger.delivery.verdicts.outcome import Period
from ledger.records import canonical
from ledger.records.record import Record
from ledger.records.requests import (
    Obligation,
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
    SetpointBatch,
)
from ledger.records.services import (
    CongestionParams,
    Direction,
    DroopParams,
    FfrParams,
    LimitMandatoryParams,
    Params,
    PriceParams,
    PriceStep,
    ReserveParams,
    SetpointParams,
    V2hParams,
    VoltVarParams,
    VoltWattParams,
    WattVarParams,
    service_of,
)
from ledger.records.work import WorkProven

VERSION: Final = "3.1.0"
PRIVATE_FFR: Final = "x-FFR_CAPACITY"
"""OpenADR names no payload for an armed reserve; a private one says so instead of pretending to be a dispatch."""
SIGNED_SETPOINT: Final = "x-DISPATCH_SETPOINT_SIGNED"
SIGNED_RELATIVE: Final = "x-DISPATCH_SETPOINT_RELATIVE_SIGNED"
"""OpenADR's setpoints are amounts of consumption from 0 up; what goes below is told under a private name."""
PRIVATE_EXPORT: Final = "x-DEMAND_EXPORT"
"""OpenADR's demand is from 0 up; what was fed in stands beside it."""
MAX_ID: Final = 128
MAX_TEXT: Final = 128


class NothingToExport(Absent):
    """The entries hold no request."""

    code = "api/nothing-to-export"
    title = "Nothing to export"


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of the request that OpenADR has no place for."""

    what: str
    why: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A program, its event and the reports as they would be posted to a VTN, and what was lost."""

    openadr: str = VERSION
    program: dict[str, Any]
    event: dict[str, Any]
    reports: tuple[dict[str, Any], ...]
    lossy: tuple[Lost, ...]


ALWAYS: Final = (
    Lost(what="obligation, mandate", why="an event cannot show that it is mandatory, nor by whose signed directive"),
    Lost(what="opt_deadline_ms, decisions, silence", why="3.x has no opt"),
    Lost(what="respond_by_ms, the answer", why="an event is not answered"),
    Lost(what="checks, verdict, score, disputes, settlement", why="there is no place for them"),
    Lost(what="signatures, digests, proofs of inclusion", why="there is no place for them"),
    Lost(what="participations", why="a report has the group; the figures of each are personal"),
)


@dataclass(slots=True)
class _Event:
    """The moving part of an event."""

    intervals: list[dict[str, Any]] = field(default_factory=list)
    descriptors: dict[str, dict[str, Any]] = field(default_factory=dict)
    lossy: list[Lost] = field(default_factory=list)

    def add(self, start_at_ms: int, duration_ms: int, **payloads: Any) -> None:
        """One more interval; payload types with their values."""
        self.intervals.append(
            {
                "id": len(self.intervals),
                "intervalPeriod": _period(start_at_ms, duration_ms),
                "payloads": [
                    {"type": kind, "values": values if isinstance(values, list) else [values]}
                    for kind, values in payloads.items()
                ],
            }
        )

    def describe(self, kind: str, units: str | None = None, currency: str | None = None) -> None:
        """What the values of a payload type are; a text has no units."""
        said = {"units": units, "currency": currency}
        described = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind}
        self.descriptors[kind] = {**described, **{name: value for name, value in said.items() if value is not None}}

    def lose(self, what: str, why: str) -> None:
        """It does not fit."""
        self.lossy.append(Lost(what=what, why=why))


def export(said: Iterable[Record]) -> Export:
    """The request as its stream's records tell it, in their order; raises `NothingToExport`."""
    records = list(said)
    issued = next((one for one in records if isinstance(one, RequestIssued)), None)
    if issued is None:
        raise NothingToExport("the entries hold no request", expected=RequestIssued.TYPE)
    revised = [one for one in records if isinstance(one, RequestRevised)]
    stands: RequestIssued | RequestRevised = revised[-1] if revised else issued
    made = _Event()
    _fill(made, stands.params, stands.start_at_ms, stands.end_at_ms, _moved(records))
    _note(made, issued, revised, records)
    if issued.obligation is Obligation.MANDATORY and issued.mandate is not None:
        made.describe("ALERT_GRID_EMERGENCY")
        for interval in made.intervals:
            text = f"{issued.mandate.ground.value} {issued.mandate.legal_basis}"[:MAX_TEXT]
            interval["payloads"].append({"type": "ALERT_GRID_EMERGENCY", "values": [text]})
    belongs_to = issued.fsc_ids[0] if issued.fsc_ids else issued.site_id
    if _object_id(belongs_to) != belongs_to or _object_id(issued.fsr_id) != issued.fsr_id:
        made.lose("full stops in ids", "OpenADR's ids have none; the names have the ids as they are")
    descriptors = list(made.descriptors.values())
    program = {
        "objectType": "PROGRAM",
        "programName": belongs_to,
        "payloadDescriptors": descriptors,
        "targets": [issued.site_id],
    }
    event = {
        "objectType": "EVENT",
        "programID": _object_id(belongs_to),
        "eventName": issued.fsr_id,
        "priority": stands.priority,
        "targets": [issued.site_id],
        "payloadDescriptors": descriptors,
        "reportDescriptors": _wanted(),
        "intervalPeriod": _period(
            stands.start_at_ms, stands.end_at_ms - stands.start_at_ms, spread_s=stands.start_spread_s
        ),
        "intervals": made.intervals,
    }
    works = [one for one in records if isinstance(one, WorkProven)]
    reports = (_report(issued, works[-1]),) if works else ()
    return Export(
        program=program, event=event, reports=tuple(one for one in reports if one), lossy=(*ALWAYS, *made.lossy)
    )


def _note(made: _Event, issued: RequestIssued, revised: Sequence[RequestRevised], records: Sequence[Record]) -> None:
    """What of the request as a whole does not fit."""
    if len(issued.fsc_ids) > 1:
        made.lose("fsc_ids beyond the first", "an event belongs to one program")
    if revised:
        made.lose("earlier revisions", "an event is edited in place; the one that stands is shown")
    if any(isinstance(one, RequestCancelled | RequestAborted) for one in records):
        made.lose("cancellation or abort", "an event is deleted; this one was, and is shown as it stood")
    if any(isinstance(one, RequestAnswered) for one in records):
        made.lose("offers", "an event is not answered")


def _moved(records: Sequence[Record]) -> list[tuple[int, int]]:
    """(from, W) of every moved setpoint, in order of time; a later word about one instant is the one that stands."""
    steps = {step.at_ms: step.power_w for one in records if isinstance(one, SetpointBatch) for step in one.steps}
    return sorted(steps.items())


def _fill(made: _Event, params: Params, start_at_ms: int, end_at_ms: int, moved: list[tuple[int, int]]) -> None:
    """The intervals and what their values are, by class of service."""
    whole_ms = end_at_ms - start_at_ms
    if isinstance(params, SetpointParams):
        _setpoint(made, params, end_at_ms, moved)
    elif isinstance(params, CongestionParams):
        kind = _relative(made, params.direction)
        made.lose("baseline of a relative order", "OpenADR does not say what a relative setpoint is relative to")
        for step in params.series:
            made.add(step.start_at_ms, step.duration_ms, **{kind: _kilo(_signed(step.ordered_w, params.direction))})
    elif isinstance(params, ReserveParams):
        kind = _relative(made, params.direction)
        made.lose("full_ms, interval_ms, energy_budget_wh", "there is no place for activation times and budgets")
        made.add(start_at_ms, whole_ms, **{kind: _kilo(_signed(params.capacity_w, params.direction))})
    elif isinstance(params, LimitMandatoryParams):
        made.describe("IMPORT_CAPACITY_LIMIT", "KW")
        made.lose("floor_w_per_evse, t_comply_ms", "a capacity limit has neither a floor nor a time to comply")
        made.add(start_at_ms, whole_ms, IMPORT_CAPACITY_LIMIT=_kilo(params.import_cap_w))
    elif isinstance(params, PriceParams | V2hParams):
        _prices(made, params.series, params.currency)
        if isinstance(params, V2hParams):
            made.lose("house target, reserve and budget of batteries, discharge", "a price asks for nothing")
        else:
            made.lose("floor_w_per_evse", "a price asks for nothing")
    elif isinstance(params, FfrParams):
        made.describe(PRIVATE_FFR, "KW")
        made.lose("trigger, full activation, support, release", "a private payload has the capacity alone")
        made.add(start_at_ms, whole_ms, **{PRIVATE_FFR: _kilo(_signed(params.capacity_w, params.direction))})
    else:
        _curve(made, params, start_at_ms, whole_ms)


def _relative(made: _Event, direction: Direction) -> str:
    """The payload of a relative order: OpenADR's for more consumption, a private one for less."""
    kind = SIGNED_RELATIVE if direction is Direction.UP else "DISPATCH_SETPOINT_RELATIVE"
    made.describe(kind, "KW")
    if direction is Direction.UP:
        made.lose("OpenADR's name for the order", "a relative setpoint is from 0 up; a reduction has a private name")
    return kind


def _setpoint(made: _Event, params: SetpointParams, end_at_ms: int, moved: list[tuple[int, int]]) -> None:
    made.lose("ramp_w_per_s, update_interval_s", "there is no place for ramps")
    planned = [(step.start_at_ms, step.power_w) for step in params.series]
    # A moved setpoint holds until the next word, planned or moved.
    steps = sorted({**dict(planned), **dict(moved)}.items())
    ends = [*(at for at, _ in steps[1:]), end_at_ms]
    discharges = any(power_w < 0 for _, power_w in steps)
    kind = SIGNED_SETPOINT if discharges else "DISPATCH_SETPOINT"
    made.describe(kind, "KW")
    if discharges:
        made.lose("OpenADR's name for the order", "a setpoint is from 0 up; one that discharges has a private name")
    for (at_ms, power_w), until_ms in zip(steps, ends, strict=True):
        if until_ms > at_ms:
            made.add(at_ms, until_ms - at_ms, **{kind: _kilo(power_w)})


def _prices(made: _Event, series: Sequence[PriceStep], currency: str) -> None:
    pays = any(step.export_micro_per_kwh for step in series)
    made.describe("PRICE", "KWH", currency)
    if pays:
        made.describe("EXPORT_PRICE", "KWH", currency)
    for step in series:
        said: dict[str, Any] = {"PRICE": _decimal(step.import_micro_per_kwh, 1_000_000)}
        if pays:
            said["EXPORT_PRICE"] = _decimal(step.export_micro_per_kwh, 1_000_000)
        made.add(step.start_at_ms, step.duration_ms, **said)


def _curve(
    made: _Event,
    params: DroopParams | VoltWattParams | VoltVarParams | WattVarParams,
    start_at_ms: int,
    whole_ms: int,
) -> None:
    made.describe("CURVE", "KVAR" if isinstance(params, VoltVarParams | WattVarParams) else "KW")
    made.lose(
        "what the curve is of, response time, tolerance",
        f"a CURVE is pairs of numbers; this one is {service_of(params).value}",
    )
    made.add(start_at_ms, whole_ms, CURVE=[{"x": x, "y": y} for x, y in _corners(params)])


def _corners(params: DroopParams | VoltWattParams | VoltVarParams | WattVarParams) -> list[tuple[float, float]]:
    """Hz, % of the reference voltage or kW, against kW or kvar."""
    if isinstance(params, DroopParams):
        return [(_kilo(one.freq_millihertz), _kilo(one.power_w)) for one in params.points]
    if isinstance(params, VoltWattParams):
        return [(_decimal(one.volt_centipct, 100), _kilo(one.power_w)) for one in params.points]
    if isinstance(params, VoltVarParams):
        return [(_decimal(one.volt_centipct, 100), _kilo(one.power_var)) for one in params.points]
    return [(_kilo(one.power_w), _kilo(one.power_var)) for one in params.points]


_MEASURED: Final = ("DEMAND", PRIVATE_EXPORT, "BASELINE", "SETPOINT")
"""Power; USAGE would be energy."""


def _wanted() -> list[dict[str, Any]]:
    return [
        {"payloadType": kind, "readingType": "MEAN", "units": "KW", "aggregate": True, "historical": True}
        for kind in _MEASURED
    ]


def _report(issued: RequestIssued, work: WorkProven) -> dict[str, Any] | None:
    """The group's periods as the proof has them; None where the class has no periods."""
    whole = canonical.decode(work.group.encode())
    if not whole.get("periods"):
        return None
    group = canonical.convert(whole, GroupPeriods, "group")
    return {
        "objectType": "REPORT",
        "eventID": _object_id(issued.fsr_id),
        "clientName": issued.site_id,
        "reportName": work.pow_id,
        "payloadDescriptors": [
            {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "readingType": "MEAN", "units": "KW"}
            for kind in _MEASURED
        ],
        "resources": [
            {
                "resourceName": "AGGREGATED_REPORT",
                "intervals": [
                    {
                        "id": number,
                        "intervalPeriod": _period(one.start_at_ms, one.duration_ms),
                        "payloads": [
                            {"type": kind, "values": [_kilo(value)]}
                            for kind, value in zip(_MEASURED, _figures(one), strict=True)
                        ],
                    }
                    for number, one in enumerate(group.periods)
                ],
            }
        ],
    }


def _figures(one: Period) -> tuple[int, int, int, int]:
    """Drawn, fed in, baseline, and what the order made of it."""
    return max(one.actual_w, 0), max(-one.actual_w, 0), one.baseline_w, one.baseline_w - one.ordered_w


def _object_id(value: str) -> str:
    """An id in the letters that OpenADR's ids have."""
    return value.replace(".", "_")[:MAX_ID]


def _period(start_at_ms: int, duration_ms: int, *, spread_s: int = 0) -> dict[str, str]:
    period = {"start": _time(start_at_ms), "duration": _duration(duration_ms)}
    return {**period, "randomizeStart": _duration(spread_s * 1000)} if spread_s else period


def _time(at_ms: int) -> str:
    """RFC 3339, UTC; milliseconds only where there are some."""
    whole = dt.datetime.fromtimestamp(at_ms // 1000, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = at_ms % 1000
    return f"{whole}.{rest:03d}Z" if rest else f"{whole}Z"


def _duration(duration_ms: int) -> str:
    """ISO 8601, in seconds."""
    rest = duration_ms % 1000
    return f"PT{duration_ms // 1000}" + (f".{rest:03d}S" if rest else "S")


def _signed(amount: int, direction: Direction) -> int:
    """UP is less import or more export, so it is negative where W > 0 is import."""
    return -amount if direction is Direction.UP else amount


def _kilo(value: int) -> float:
    return _decimal(value, 1_000)


def _decimal(value: int, unit: int) -> float:
    """The exact decimal of an integer in thousandths, hundredths or millionths, as JSON writes it."""
    return value / unit
