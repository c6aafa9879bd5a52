"""Many simulated stations, and the demo's depot: eight EVSEs, all that follows from one seed."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from websockets.exceptions import WebSocketException

from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import Demand
from api.execution.simulator.evse import Evse, EvseConfig, Kind
from api.execution.simulator.faults import Faults
from api.execution.simulator.frequency import Frequency, Steady
from api.execution.simulator.inverter import House, Voltage, steady_voltage
from api.execution.simulator.meter import Meter, seeded_key
from api.execution.simulator.plant import REPORT_MS, Plant
from api.execution.simulator.protocol import RootSigner
from api.execution.simulator.response import ResponseTraits
from api.execution.simulator.station import BackOff, LineLost, SimulatedStation

CONNECT_AT_ONCE = 50
BATTERY_WH = 75_000
MIN_AC_W = 4140  # 6 A on three phases

# The depot of the demo day: E1-E4 DC both ways, E5 and E6 AC charging only, E7 and E8 AC both ways.
# E4's response is the weak one; `E4_FAILING` misses the activation time.
E4_FAILING = ResponseTraits(delay_ms=450, ramp_ms=700, gain_permille=825)
DEPOT = (
    EvseConfig(evse_id=1, kind=Kind.DC, max_discharge_w=22_000, response=ResponseTraits(delay_ms=220, ramp_ms=350)),
    EvseConfig(evse_id=2, kind=Kind.DC, max_discharge_w=22_000, response=ResponseTraits(delay_ms=250, ramp_ms=400)),
    EvseConfig(evse_id=3, kind=Kind.DC, max_discharge_w=22_000, response=ResponseTraits(delay_ms=200, ramp_ms=300)),
    EvseConfig(
        evse_id=4,
        kind=Kind.DC,
        max_discharge_w=22_000,
        response=ResponseTraits(delay_ms=400, ramp_ms=550, gain_permille=825),
    ),
    EvseConfig(evse_id=5, min_charge_w=MIN_AC_W),
    EvseConfig(evse_id=6, min_charge_w=MIN_AC_W),
    EvseConfig(evse_id=7, max_charge_w=11_000, max_discharge_w=11_000),
    EvseConfig(evse_id=8, max_charge_w=11_000, max_discharge_w=11_000),
)


def build_plant(
    station_id: str,
    configs: Sequence[EvseConfig],
    *,
    seed: int,
    start_ms: int,
    frequency: Frequency | None = None,
    demands: Mapping[int, Demand] | None = None,
    batteries: Mapping[int, Battery] | None = None,
    meter_keys: Mapping[int, ec.EllipticCurvePrivateKey] | None = None,
    charge_points: Mapping[int, str] | None = None,
    faults: Faults | None = None,
    report_ms: int = REPORT_MS,
    voltage: Voltage = steady_voltage,
    houses: Mapping[int, House] | None = None,
) -> Plant:
    """A plant; its meters have serials `{station_id}-M{evse_id}`, and keys from the seed where none are given."""
    evses = []
    for config in configs:
        serial = f"{station_id}-M{config.evse_id}"
        key = (meter_keys or {}).get(config.evse_id) or seeded_key(seed, serial)
        place = (charge_points or {}).get(config.evse_id, f"{station_id}-{config.evse_id}")
        evses.append(
            Evse(
                config,
                meter=Meter(serial=serial, key=key, charge_point=place),
                battery=(batteries or {}).get(config.evse_id) or Battery(capacity_wh=BATTERY_WH),
                demand=(demands or {}).get(config.evse_id),
                house=(houses or {}).get(config.evse_id),
                seed=seed,
                start_ms=start_ms,
            )
        )
    return Plant(
        station_id,
        evses,
        frequency=frequency or Steady(),
        start_ms=start_ms,
        seed=seed,
        faults=faults,
        report_ms=report_ms,
        voltage=voltage,
    )


ContextOf = Callable[[str], ssl.SSLContext | None]
SignerOf = Callable[[str], RootSigner | None]


class Fleet:
    """Stations that are driven together. `ssl_of` gives each its own TLS context, with its own certificate.

    `signer_of` gives each what it signs the roots of its logs with.
    """

    def __init__(
        self,
        plants: Sequence[Plant],
        url: str,
        *,
        ssl_of: ContextOf | None = None,
        password: str | None = None,
        back_off: BackOff | None = None,
        compression: str | None = None,
        signer_of: SignerOf | None = None,
    ) -> None:
        self.stations = {
            plant.station_id: SimulatedStation(
                plant,
                url,
                ssl_context=None if ssl_of is None else ssl_of(plant.station_id),
                password=password,
                back_off=back_off,
                compression=compression,
                signer=None if signer_of is None else signer_of(plant.station_id),
            )
            for plant in plants
        }

    @classmethod
    def of_size(
        cls,
        count: int,
        url: str,
        *,
        seed: int,
        start_ms: int,
        frequency: Frequency | None = None,
        configs: Sequence[EvseConfig] = (EvseConfig(evse_id=1, max_discharge_w=22_000),),
        ssl_of: ContextOf | None = None,
    ) -> "Fleet":
        """`count` stations CS-0001, CS-0002, ... that differ by their seed only."""
        plants = [
            build_plant(f"CS-{n:04d}", configs, seed=seed + n, start_ms=start_ms, frequency=frequency)
            for n in range(1, count + 1)
        ]
        return cls(plants, url, ssl_of=ssl_of)

    async def connect(self, *, patient: bool = False) -> None:
        """All stations are connected, booted, and have an EV at every EVSE.

        Raises what a handshake raises; a `patient` fleet goes on instead, and those try again as it is driven.
        """
        at_once = asyncio.Semaphore(CONNECT_AT_ONCE)

        async def one(station: SimulatedStation) -> None:
            async with at_once:
                try:
                    await station.connect()
                except (OSError, WebSocketException, LineLost, TimeoutError) as error:
                    if not patient:
                        raise
                    station.refused(f"connect: {type(error).__name__}: {error}")
                    station.plug_in()

        await asyncio.gather(*(one(station) for station in self.stations.values()))

    async def advance_to(self, at_ms: int) -> None:
        """Every station has reached `at_ms` and the backend has acknowledged its reports."""
        await asyncio.gather(*(station.advance_to(at_ms) for station in self.stations.values()))

    async def close(self) -> None:
        """All stations are disconnected."""
        await asyncio.gather(*(station.close() for station in self.stations.values()))
