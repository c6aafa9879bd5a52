"""Writes `docs/reference/services.md` from the classes: `python -m tests.support.services_reference > that page`."""

import sys
from collections.abc import Iterator
from typing import get_args

from msgspec import inspect

from ledger.delivery.verdicts import congestion, droop, ffr, informative, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.droop import ALGORITHMS, Axes
from ledger.records.services import Params, Service
from tests.support.records_reference import shown

HEAD = """\
# Flexibility-service classes

Generated from `ledger/records/services.py`; a test compares this page with it.

A class stands here only if all six of its sides exist: parameters with bounds, what the charging station and the car
must be able to do, the timing that must hold, the resolution of evidence, the function that judges, and the OCPP 2.1
messages (`ocpp.md`). A request carries the parameters of one class as a union, told apart by the member `class`.

Powers are watts, positive for import (charging). UP is less import or more export, DOWN the opposite. Whether EV and
station can do it as a system is the credential check's fifth dimension (CAPABILITY), whether they may is its sixth
(CONFORMITY): generator claims are needed only where the class can make an EVSE export, or sets reactive power.
Reactive power is var, positive for absorbed; voltages are hundredths of a percent of a reference, between phase and
neutral. What a car said of itself (`site.session-mirrored`, `ev`) bounds what it is asked for: power, energy and state
of charge, departure, and in AC, where the inverter is the car's, its reactive power.

A **grid-code function embedded in firmware** is no class: nobody requests it, nobody opts, nothing is paid. What it did is
recorded (`embedded.acted`): which function, which grid event, the station's own samples of it and of the minute before, and
`EMBEDDED_LOG/1` over them. A market service that ran at that EVSE meanwhile is excused for that time.
"""

SIDES: dict[Service, dict[str, str]] = {
    Service.SETPOINT: {
        "what it is": "Follow a power value; its moving part comes as `fsr.setpoints` batches.",
        "needs": "SETPOINT among the EVSE's services, the largest setpoint within reach, claims if it exports.",
        "timing": "a new value every 1 to 60 s (`update_interval_s`), reached with `ramp_w_per_s`",
        "evidence": "at least as fine as the request's `resolution_ms`, 4 s or finer for balancing products",
        "judged by": f"`{setpoint.ALGORITHM}`: tracking error and share in band after the ramp",
        "baseline": "NOMINATION",
        "OCPP 2.1": "Dynamic profile `CentralSetpoint`, then UpdateDynamicSchedule",
    },
    Service.DROOP: {
        "what it is": "P(f): power around `base_w` as a curve of the frequency that the EVSE itself measures.",
        "needs": "DROOP among the EVSE's services; response within `response_time_ms`; claims if the curve exports.",
        "timing": "`response_time_ms` to 90 % of a change",
        "evidence": "1 s, power and frequency sampled together",
        "judged by": f"`{droop.ALGORITHM}`: share of samples within `tolerance_w` of the curve",
        "baseline": "CURVE",
        "OCPP 2.1": "Absolute profile `LocalFrequency` with `v2xBaseline` and `v2xFreqWattCurve`",
    },
    Service.VOLT_WATT: {
        "what it is": "P(U): the power of each EVSE as a curve of the voltage that it measures itself.",
        "needs": "VOLT_WATT among the EVSE's services and VoltWatt among its control modes; every power of the curve "
        "within reach of EVSE and car; consent and claims if the curve exports.",
        "timing": "`response_time_ms` to 90 % of a change",
        "evidence": "1 s, voltage and power sampled together (`samples/2`)",
        "judged by": f"`{ALGORITHMS[Axes.P_OF_U]}`: share of seconds within `tolerance_w` of the curve",
        "baseline": "CURVE",
        "OCPP 2.1": "SetDERControl `VoltWatt`, x in percent of `reference_millivolt`, y in `PctMaxW` with the sign turned",
    },
    Service.VOLT_VAR: {
        "what it is": "Q(U): the reactive power of each EVSE as a curve of the voltage that it measures itself.",
        "needs": "VOLT_VAR among the EVSE's services and VoltVar among its control modes; the reactive power of the "
        "EVSE in DC, of the car in AC; a claim for VOLT_VAR. No energy is taken, so no consent.",
        "timing": "`response_time_ms` to 90 % of a change; EN 50549-1 lets Q(U) be set from 3 s to 60 s",
        "evidence": "1 s, voltage and reactive power sampled together (`samples/2`)",
        "judged by": f"`{ALGORITHMS[Axes.Q_OF_U]}`: share of seconds within `tolerance_var` of the curve",
        "baseline": "CURVE",
        "OCPP 2.1": "SetDERControl `VoltVar`, x in percent of `reference_millivolt`, y in `PctMaxVar` with the sign turned",
    },
    Service.WATT_VAR: {
        "what it is": "Q(P): the reactive power of each EVSE as a curve of its own power.",
        "needs": "WATT_VAR among the EVSE's services and WattVar among its control modes; the reactive power of the "
        "EVSE in DC, of the car in AC; a claim for WATT_VAR. No energy is taken, so no consent.",
        "timing": "`response_time_ms` to 90 % of a change",
        "evidence": "1 s, power and reactive power sampled together (`samples/2`)",
        "judged by": f"`{ALGORITHMS[Axes.Q_OF_P]}`: share of seconds within `tolerance_var` of the curve",
        "baseline": "CURVE",
        "OCPP 2.1": "SetDERControl `WattVar`, both axes with the sign turned, y in `PctMaxVar`",
    },
    Service.PRICE: {
        "what it is": "A published price; those who take part react, nothing is owed and nothing is scored.",
        "needs": "PRICE among the EVSE's services; no claims, for it only lowers what is charged.",
        "timing": "published before the start; periods of `series` of one length, usually 15 min",
        "evidence": "energy per period; samples at the request's `resolution_ms`",
        "judged by": f"`{informative.ALGORITHM}`: what was drawn beside the baseline; always INFORMATIVE",
        "baseline": "the contract's: HIGH_X_OF_Y, MBMA or NOMINATION",
        "OCPP 2.1": "Dynamic profile `ChargingOnly` with `limit`: full power up to the mean price, the floor above it",
    },
    Service.FFR: {
        "what it is": "Fast frequency response: full power soon after the trigger, held, then released slowly.",
        "needs": "FFR among the EVSE's services; response within `t_full_ms`; generator claims.",
        "timing": "full within `t_full_ms`, held for `support_ms`, released no faster than `release_ppm_per_s`",
        "evidence": "100 ms from 10 s before to 15 min after the event, 1 s otherwise",
        "judged by": f"`{ffr.ALGORITHM}`: power at t0 + `t_full_ms`, minimum while held, slope, over-delivery",
        "baseline": "PRE_EVENT",
        "OCPP 2.1": "Absolute profile `LocalFrequency`; hold and release, which the standard lacks, as vendor data",
    },
    Service.RESERVE: {
        "what it is": "Tertiary reserve, activated: a capacity off the baseline, up by discharging or down by charging.",
        "needs": "RESERVE among the EVSE's services; its share within reach in `full_ms`; generator claims for UP.",
        "timing": "full `full_ms` after the start, then until the end; nothing is due before",
        "evidence": "means of `interval_ms`, usually a minute, and signed registers at start and end",
        "judged by": f"`{reserve.ALGORITHM}`: delivered and deficient power per interval, energy budget per EVSE",
        "baseline": "the contract's: NOMINATION, or ZERO for pure discharge",
        "OCPP 2.1": "Dynamic profile `CentralSetpoint`, then UpdateDynamicSchedule",
    },
    Service.V2H: {
        "what it is": "Vehicle to home at a dynamic price: in dear periods the cars carry the house, in cheap ones "
        "they charge.",
        "needs": "V2H among the EVSE's services, power to discharge, the car's consent (`discharge_allowed`) and its "
        "state of charge, above `reserve_soc_permille`; generator claims.",
        "timing": "published before the start; periods of `series` of one length, usually 15 min",
        "evidence": "means per period at the EVSE and at the house's connection, state of charge (`samples/2`)",
        "judged by": f"`{v2h.ALGORITHM}`: share of periods without export beyond `max_export_w`; PARTIAL at best if a "
        "battery gave below its reserve or beyond its budget; what was saved is told",
        "baseline": "none is needed: the house without its EVSEs is measured",
        "OCPP 2.1": "dear: SetVariables `LocalLoadBalancing[UpperThreshold]`, then a profile `LocalLoadBalancing`, "
        "reserve and budget as vendor data; cheap: profile `ChargingOnly`",
    },
    Service.CONGESTION: {
        "what it is": "Relieve a congestion point: less (UP) or more (DOWN) than the baseline, period by period.",
        "needs": "CONGESTION among the EVSE's services; its share of the order within reach.",
        "timing": "settlement periods of `series`, usually 15 min",
        "evidence": "15 min energy; samples at the request's `resolution_ms`",
        "judged by": f"`{congestion.ALGORITHM}`: delivered and deficient energy per period",
        "baseline": "the contract's: HIGH_X_OF_Y, MBMA, NOMINATION or ZERO",
        "OCPP 2.1": "Dynamic profile `ChargingOnly` with `limit`",
    },
    Service.LIMIT_MANDATORY: {
        "what it is": "Keep the site's import at or below a cap, on a directive; the one mandatory class.",
        "needs": "a verified mandate (`rules.md`, R-31); no contract and no consent",
        "timing": "complied with within `t_comply_ms`",
        "evidence": "1 min mean, from samples at the request's `resolution_ms`",
        "judged by": f"`{limit.ALGORITHM}`: share of intervals within the cap after `t_comply_ms`",
        "baseline": "LIMIT",
        "OCPP 2.1": "Dynamic profile `ChargingOnly` with `limit`, as an external constraint where export is capped",
    },
}


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for kind in get_args(Params):
        service = Service(str(kind.__struct_config__.tag))
        lines += [f"## `{service.value}`\n", f"{SIDES[service]['what it is']}\n"]
        lines += _parameters(kind)
        lines += ["| side | |", "|---|---|"]
        lines += [f"| {name} | {text} |" for name, text in SIDES[service].items() if name != "what it is"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _parameters(kind: type) -> Iterator[str]:
    yield "| parameter | type and bounds |"
    yield "|---|---|"
    yield from _rows(kind, "")
    yield ""


def _rows(kind: type, before: str) -> Iterator[str]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        name = f"{before}{field.encode_name}"
        inner = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
        if isinstance(inner, inspect.VarTupleType) and isinstance(inner.item_type, inspect.StructType):
            yield f"| `{name}` | list of {inner.min_length} to {inner.max_length} |"
            yield from _rows(inner.item_type.cls, f"{name}[].")
        else:
            yield f"| `{name}` | {shown(field.type)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
