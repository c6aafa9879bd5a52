"""The fifth dimension of a check: can this EVSE, with this car, do what is asked, in the time that is asked?

In DC the inverter is the EVSE's, in AC the car's: reactive power is the one's or the other's. What a car did not say
is not known. Where the answer depends on it, it is INDETERMINATE; where it only would narrow the answer, the EVSE's own
limits stand.
"""

from collections.abc import Iterator
from typing import Final

from api.verification import asked
from ledger.records.credentials import Status
from ledger.records.requests import RequestIssued
from ledger.records.services import V2hParams, service_of
from ledger.records.sites import CurrentKind, EvLimits, Evse, Operational, SessionMirrored

OK: Final = "check/ok"
PERMILLE: Final = 1_000
Answer = tuple[Status, str]


def judge(request: RequestIssued, evse: Evse, session: SessionMirrored | None, amount_w: int) -> Answer:
    """(PASS, `check/ok`), or what is first found to be missing. `amount_w` is what the EVSE is checked for."""
    car = session.ev if session is not None and isinstance(session.ev, EvLimits) else EvLimits()
    for code in _station_lacks(request, evse, amount_w):
        return Status.FAIL, code
    for code in _car_lacks(request, car, amount_w):
        return Status.FAIL, code
    for status, code in (_reactive(request, evse, car), _battery(request, car)):
        if status is not Status.PASS:
            return status, code
    return Status.PASS, OK


def _station_lacks(request: RequestIssued, evse: Evse, amount_w: int) -> Iterator[str]:
    params = request.params
    if evse.operational is not Operational.OPERATIVE:
        yield "check/out-of-service"
    if service_of(params).value not in evse.services:
        yield "check/service-not-supported"
    mode = asked.control_mode(params)
    if mode is not None and mode not in evse.control_modes:
        yield "check/control-mode-not-supported"
    reach_w = evse.max_charge_w + (evse.max_discharge_w if asked.discharges(params) else 0)
    if amount_w > reach_w or (isinstance(params, V2hParams) and not evse.max_discharge_w):
        yield "check/power-not-reached"
    if evse.meter.sample_period_ms > request.evidence.resolution_ms:
        yield "check/meter-too-slow"
    allowed_ms = asked.allowed_ms(params)
    if allowed_ms is not None and evse.response_time_ms > allowed_ms:
        yield "check/too-slow"


def _car_lacks(request: RequestIssued, car: EvLimits, amount_w: int) -> Iterator[str]:
    """Against what the car said of itself; what it did not say narrows nothing."""
    charge_w, discharge_w = asked.powers_w(request.params, amount_w)
    is_bounded = not isinstance(request.params, V2hParams)
    if is_bounded and car.max_charge_w is not None and charge_w > car.max_charge_w:
        yield "check/car-power-not-reached"
    if car.max_discharge_w is not None and (discharge_w if is_bounded else min(discharge_w, 1)) > car.max_discharge_w:
        yield "check/car-power-not-reached"
    if car.departure_at_ms is not None and car.departure_at_ms < request.end_at_ms:
        yield "check/car-departs"
    needed_wh = asked.energy_out_wh(request, amount_w)
    if car.discharge_budget_wh is not None and needed_wh > car.discharge_budget_wh:
        yield "check/energy-not-there"
    is_known = car.usable_energy_wh is not None and car.soc_permille is not None
    if is_known and needed_wh * PERMILLE > (car.usable_energy_wh or 0) * (car.soc_permille or 0):
        yield "check/energy-not-there"


def _reactive(request: RequestIssued, evse: Evse, car: EvLimits) -> Answer:
    """Where the inverter is decides whose reactive power counts."""
    absorb_var, inject_var = asked.vars_of(request.params)
    if not absorb_var and not inject_var:
        return Status.PASS, OK
    absorbs: int | None = evse.max_absorb_var
    injects: int | None = evse.max_inject_var
    if evse.kind is CurrentKind.AC:
        absorbs, injects = car.max_absorb_var, car.max_inject_var
    if absorbs is None or injects is None:
        return Status.INDETERMINATE, "check/car-reactive-unknown"
    if absorb_var > absorbs or inject_var > injects:
        return Status.FAIL, "check/reactive-not-reached"
    return Status.PASS, OK


def _battery(request: RequestIssued, car: EvLimits) -> Answer:
    """A reserve that was agreed can be kept only by a battery whose charge is known, and above it."""
    params = request.params
    if not isinstance(params, V2hParams) or not params.reserve_soc_permille:
        return Status.PASS, OK
    if car.soc_permille is None:
        return Status.INDETERMINATE, "check/soc-unknown"
    if car.soc_permille <= params.reserve_soc_permille:
        return Status.FAIL, "check/below-reserve"
    return Status.PASS, OK
