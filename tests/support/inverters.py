"""The world's site with inverters: 11 kW both ways and 4,800 var, cars that speak, claims and terms for their services."""

from collections.abc import Callable

import msgspec

from api.execution.simulator.demand import ConstantDemand
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.faults import Faults
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.inverter import steady_voltage
from api.execution.simulator.plant import Plant
from ledger.records.contracts import BaselineMethod, ServiceTerms
from ledger.records.services import Service
from ledger.records.sites import EvLimits
from pki.asn1.claims import DerFunction
from pki.roles import Service as PkiService
from tests.support import world as stage
from tests.support.world import CAN_W, DAWN_MS, EVSES, HOUR_MS, MINUTE_MS, STATIONS, World

START_MS = DAWN_MS + 4 * HOUR_MS
END_MS = START_MS + 15 * MINUTE_MS
VAR = 4_800
SERVICES = (Service.SETPOINT, Service.VOLT_WATT, Service.VOLT_VAR, Service.WATT_VAR, Service.V2H)
METHODS = {Service.SETPOINT: BaselineMethod.CURVE, Service.V2H: BaselineMethod.ZERO}
INVERTER = EvseConfig(evse_id=1, max_charge_w=CAN_W, max_discharge_w=CAN_W, max_inject_var=VAR, max_absorb_var=VAR)
CAR = EvLimits(usable_energy_wh=60_000, soc_permille=500)


def plants(
    of_voltage: Callable[[int], int] = steady_voltage, faults: Faults | None = None, config: EvseConfig = INVERTER
) -> list[Plant]:
    """Both stations; cars that would charge with 7 kW."""
    return [
        build_plant(
            station,
            (config,),
            seed=5,
            start_ms=START_MS - HOUR_MS,
            voltage=of_voltage,
            demands={1: ConstantDemand(7_000)},
            faults=faults if station == STATIONS[0] else None,
            charge_points={1: evse},
        )
        for station, evse in zip(STATIONS, EVSES, strict=True)
    ]


def terms(service: Service) -> ServiceTerms:
    """What the contract says of one class."""
    return msgspec.structs.replace(
        stage.TERMS[0],
        service=service,
        max_w=2 * CAN_W,
        max_var=2 * VAR,
        baseline=METHODS.get(service, BaselineMethod.CURVE),
        tolerance_w=600,
    )


async def prepare(world: World, ev: EvLimits = CAR) -> str:
    """The site with its inverters, cars that speak, claims, and a contract for everything here."""
    await stage.configure(
        world,
        services=tuple(service.value for service in SERVICES),
        control_modes=("VoltWatt", "VoltVar", "WattVar"),
        max_inject_var=VAR,
        max_absorb_var=VAR,
    )
    await stage.plug_in(world, ev)
    await stage.certify(
        world,
        frozenset({PkiService.DROOP, PkiService.SETPOINT, PkiService.V2H}),
        frozenset(
            {DerFunction.VOLT_WATT, DerFunction.VOLT_VAR, DerFunction.WATT_VAR, DerFunction.ACTIVE_POWER_SETPOINT}
        ),
    )
    return await stage.contract(world, services=tuple(terms(service) for service in SERVICES))
