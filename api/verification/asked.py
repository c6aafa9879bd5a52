"""What a request asks of one EVSE: pure functions of its parameters, in W, var, ms and Wh."""

from typing import Final

from ledger.records.requests import RequestIssued
from ledger.records.services import (
    CongestionParams,
    Direction,
    DroopParams,
    FfrParams,
    LimitMandatoryParams,
    Params,
    ReserveParams,
    Service,
    SetpointParams,
    V2hParams,
    VoltVarParams,
    VoltWattParams,
    WattVarParams,
    service_of,
)
from ledger.rules import orders
from pki import regions
from pki.asn1.claims import DerFunction
from pki.roles import Service as PkiService

WATT_MS_PER_WH: Final = 3_600_000

_CURVES: Final = {
    Service.VOLT_WATT: ("VoltWatt", DerFunction.VOLT_WATT),
    Service.VOLT_VAR: ("VoltVar", DerFunction.VOLT_VAR),
    Service.WATT_VAR: ("WattVar", DerFunction.WATT_VAR),
}
"""The DER control of OCPP 2.1 that executes a curve, and the function that equipment must have been tested for."""


def claimed(service: Service) -> tuple[PkiService, frozenset[DerFunction]]:
    """The class that credentials and claims name, and what equipment must have been tested for.

    All curves are droops there, told apart by their functions.
    """
    curve = _CURVES.get(service)
    if curve is not None:
        return PkiService.DROOP, frozenset({curve[1]})
    named = PkiService(service.value)
    return named, regions.functions_of(named)


def credential_service(params: Params) -> PkiService:
    """The class that credentials and claims name for these parameters."""
    return claimed(service_of(params))[0]


def der_functions(params: Params) -> frozenset[DerFunction]:
    """What equipment must have been tested for to follow these parameters."""
    return claimed(service_of(params))[1]


def control_mode(params: Params) -> str | None:
    """The DER control that an EVSE must take, as OCPP 2.1 names it; None where a charging profile does it."""
    curve = _CURVES.get(service_of(params))
    return None if curve is None else curve[0]


def amount_w(params: Params, share: int, of: int) -> int:
    """What one EVSE is checked for: its share by power of what the group is asked for, rounded up; 0 for reactive."""
    if isinstance(params, CongestionParams):
        whole = max(step.ordered_w for step in params.series)
    elif isinstance(params, SetpointParams):
        whole = max(abs(step.power_w) for step in params.series)
    elif isinstance(params, FfrParams | ReserveParams):
        whole = params.capacity_w
    elif isinstance(params, DroopParams | VoltWattParams):
        return max(abs(point.power_w) for point in params.points)
    elif isinstance(params, V2hParams):
        # A house has no order: all that the EVSE can do may be used for it.
        return share
    else:
        return 0
    return -(-whole * share // of) if of else whole


def discharges(params: Params) -> bool:
    """Whether the service may take energy out of a car, so that its user has to allow it."""
    if isinstance(params, DroopParams):
        return any(point.power_w + params.base_w < 0 for point in params.points)
    if isinstance(params, VoltWattParams):
        return any(point.power_w < 0 for point in params.points)
    if isinstance(params, SetpointParams):
        return any(step.power_w < 0 for step in params.series)
    if isinstance(params, ReserveParams):
        return params.direction is Direction.UP
    return isinstance(params, FfrParams | V2hParams)


def needs_claim(params: Params) -> bool:
    """Whether grid codes for generators apply: it may feed in, or an inverter sets reactive power."""
    return discharges(params) or orders.is_reactive(params)


def powers_w(params: Params, amount_w: int) -> tuple[int, int]:
    """The greatest charging and discharging power that one EVSE may be told to hold; both are positive or 0.

    `amount_w` is its share, as `amount_w()` says. A step of a setpoint is for the group: whichever sign it has, the
    share is of the largest of them.
    """
    if isinstance(params, DroopParams):
        powers = [point.power_w + params.base_w for point in params.points]
    elif isinstance(params, VoltWattParams):
        powers = [point.power_w for point in params.points]
    elif isinstance(params, FfrParams):
        moved_w = params.base_w + (amount_w if params.direction is Direction.DOWN else -amount_w)
        powers = [params.base_w, moved_w]
    elif isinstance(params, SetpointParams):
        charges = any(step.power_w > 0 for step in params.series)
        powers = [amount_w if charges else 0, -amount_w if discharges(params) else 0]
    elif isinstance(params, ReserveParams):
        powers = [-amount_w if params.direction is Direction.UP else amount_w]
    elif isinstance(params, V2hParams):
        powers = [amount_w, -amount_w]
    else:
        powers = [0]
    return max(0, *powers), max(0, *(-power for power in powers))


def vars_of(params: Params) -> tuple[int, int]:
    """The greatest reactive power that one EVSE may be told to absorb and to inject; both are positive or 0."""
    if not isinstance(params, VoltVarParams | WattVarParams):
        return 0, 0
    asked = [point.power_var for point in params.points]
    return max(0, *asked), max(0, *(-power_var for power_var in asked))


def allowed_ms(params: Params) -> int | None:
    """The time in which a change must have been made, None where none is named."""
    if isinstance(params, FfrParams):
        return params.t_full_ms
    if isinstance(params, DroopParams | VoltWattParams | VoltVarParams | WattVarParams):
        return params.response_time_ms
    if isinstance(params, ReserveParams):
        return params.full_ms
    if isinstance(params, LimitMandatoryParams):
        return params.t_comply_ms
    return None


def energy_out_wh(request: RequestIssued, amount_w: int) -> int:
    """The most energy that the service is sure to take out of one car, rounded up; 0 where that cannot be said.

    A curve takes what the grid makes it take, and a house what it draws: their energy is bounded, not known.
    """
    params = request.params
    if isinstance(params, ReserveParams) and params.direction is Direction.UP:
        watt_ms = amount_w * (request.end_at_ms - request.start_at_ms - params.full_ms)
        return max(0, min(params.energy_budget_wh, -(-watt_ms // WATT_MS_PER_WH)))
    if isinstance(params, FfrParams) and params.direction is Direction.UP:
        watt_ms = max(0, amount_w - params.base_w) * (params.t_full_ms + params.support_ms)
        return -(-watt_ms // WATT_MS_PER_WH)
    if isinstance(params, SetpointParams):
        largest = max(abs(step.power_w) for step in params.series)
        watt_ms = sum(-step.power_w * step.duration_ms for step in params.series if step.power_w < 0)
        return -(-watt_ms * amount_w // (largest * WATT_MS_PER_WH)) if largest else 0
    return 0
