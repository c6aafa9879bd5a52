"""Whether a station says that it can do what a request asks for, before anybody offers it: a hint, and no evidence."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from api.execution.port import Capabilities
from ledger.records.services import Service

ASK_S: Final = 3.0
"""How long an offer waits for stations, in real seconds."""


class Ability(StrEnum):
    """UNKNOWN: the station is not connected here, did not answer in time, or does not know its own modes."""

    ABLE = "ABLE"
    UNABLE = "UNABLE"
    UNKNOWN = "UNKNOWN"


MODES: Final[Mapping[Service, str]] = {
    Service.CONGESTION: "ChargingOnly",
    Service.LIMIT_MANDATORY: "ChargingOnly",
    Service.PRICE: "ChargingOnly",
    Service.SETPOINT: "CentralSetpoint",
    Service.RESERVE: "CentralSetpoint",
    Service.DROOP: "LocalFrequency",
    Service.FFR: "LocalFrequency",
    Service.V2H: "LocalLoadBalancing",
}
"""OCPP's operation mode in which a service is executed (Q01.FR.31 and following)."""
CURVES: Final[Mapping[Service, str]] = {
    Service.VOLT_WATT: "VoltWatt",
    Service.VOLT_VAR: "VoltVar",
    Service.WATT_VAR: "WattVar",
}


def ability(service: Service, said: Capabilities | None) -> Ability:
    """What `said` means for `service`."""
    if said is None:
        return Ability.UNKNOWN
    can = CURVES[service] in said.curves if service in CURVES else MODES.get(service) in said.modes
    return Ability.ABLE if can else Ability.UNABLE
