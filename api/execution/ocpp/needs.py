"""What a car said of itself, out of NotifyEVChargingNeeds: whole numbers in our units, or nothing.

A number that is none, negative, or beyond every car is left out: a station with broken firmware must not make a car
look better than it is.
"""

from typing import Final

from api.execution.ocpp import datatypes as t
from api.execution.ocpp.station_messages import ChargingNeeds
from api.execution.port import CarSaid, EvseAddress

MAX_W: Final = 10**7
MAX_WH: Final = 10**7
PERCENT_TO_PERMILLE: Final = 10


def read(evse: EvseAddress, needs: ChargingNeeds, at_ms: int) -> CarSaid:
    """Powers of the phases are added up; energies and charge as OCPP's table of ISO 15118's values has them."""
    v2x = needs.v2x_charging_parameters or {}
    dc = needs.dc_charging_parameters or {}
    der = needs.der_charging_parameters or {}
    charge_w = _phases(v2x, "maxChargePower")
    soc_percent = _whole(dc, "stateOfCharge", 100)
    return CarSaid(
        evse=evse,
        at_ms=at_ms,
        max_charge_w=charge_w if charge_w is not None else _whole(dc, "evMaxPower", MAX_W),
        max_discharge_w=_phases(v2x, "maxDischargePower"),
        usable_energy_wh=_whole(dc, "evEnergyCapacity", MAX_WH) or None,
        soc_permille=None if soc_percent is None else soc_percent * PERCENT_TO_PERMILLE,
        discharge_budget_wh=_whole(der, "evSessionTotalDischargeEnergyAvailable", MAX_WH),
        departure_at_ms=None if needs.departure_time is None else t.to_ms(needs.departure_time),
    )


def _phases(said: t.Untyped, name: str) -> int | None:
    """The sum over the phases; None where the first is not said."""
    first = _whole(said, name, MAX_W)
    if first is None:
        return None
    return min(MAX_W, first + sum(_whole(said, f"{name}_{phase}", MAX_W) or 0 for phase in ("L2", "L3")))


def _whole(said: t.Untyped, name: str, most: int) -> int | None:
    """Rounded down, so that nothing is promised that was not said."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return int(value)
