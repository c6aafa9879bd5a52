"""What a request orders and what an offer binds, read from parameters of any class."""

from collections.abc import Iterable
from typing import Final

from ledger.records.contracts import ServiceTerms
from ledger.records.requests import Offer, RequestIssued
from ledger.records.services import (
    CongestionParams,
    Direction,
    FfrParams,
    Params,
    PriceParams,
    ReserveParams,
    Service,
    VoltVarParams,
    WattVarParams,
)

_OF_GENERATORS: Final = frozenset(
    {
        Service.DROOP,
        Service.VOLT_WATT,
        Service.VOLT_VAR,
        Service.WATT_VAR,
        Service.FFR,
        Service.RESERVE,
        Service.V2H,
    }
)
"""Classes that rest on what an inverter was tested for; the others can be had by charging less, or more."""


def rests_on_claims(services: Iterable[ServiceTerms]) -> bool:
    """Whether every service of a contract needs a conformity claim: without any, the contract gives nothing."""
    return all(
        terms.service in _OF_GENERATORS and (terms.service is not Service.RESERVE or terms.direction is Direction.UP)
        for terms in services
    )


def ordered_w(params: Params) -> int | None:
    """The most that is ordered of the group at any time; None for classes that follow a value or a curve."""
    if isinstance(params, CongestionParams):
        return max(step.ordered_w for step in params.series)
    return params.capacity_w if isinstance(params, FfrParams | ReserveParams) else None


def is_reactive(params: Params) -> bool:
    """Whether reactive power is asked for: such offers are in var, and bind no active power."""
    return isinstance(params, VoltVarParams | WattVarParams)


def most_var(params: Params) -> int:
    """The most reactive power, absorbed or injected, that the parameters ask of one EVSE; 0 if they ask for none."""
    if isinstance(params, VoltVarParams | WattVarParams):
        return max(abs(point.power_var) for point in params.points)
    return 0


def direction(params: Params) -> Direction | None:
    """The one direction that is asked for; None where both are."""
    return params.direction if isinstance(params, CongestionParams | FfrParams | ReserveParams) else None


def periods(issued: RequestIssued) -> int | None:
    """How many periods are settled or judged against the baseline; None for classes that have no such baseline."""
    if isinstance(issued.params, CongestionParams | PriceParams):
        return len(issued.params.series)
    if isinstance(issued.params, ReserveParams):
        return (issued.end_at_ms - issued.start_at_ms) // issued.params.interval_ms
    return None


def bound_w(offer: Offer, asked: Direction | None) -> tuple[int, int]:
    """(up, down) capacity that an offer binds, at least what it offers: silence about it sells nothing twice."""
    up_w, down_w = offer.up_w, offer.down_w
    if asked is Direction.UP:
        up_w = max(up_w, offer.offered_w)
    elif asked is Direction.DOWN:
        down_w = max(down_w, offer.offered_w)
    elif not up_w and not down_w:
        up_w = down_w = offer.offered_w
    return up_w, down_w
