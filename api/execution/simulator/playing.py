"""A fleet on a virtual clock without a server: the same seed and scenario give the same lines, byte for byte."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from api.execution import plan
from api.execution.port import EvseAddress, FollowSetpoint, Telemetry
from api.execution.services import Participant
from api.execution.simulator import scenario as scenarios
from api.execution.simulator.plant import Plant
from api.execution.simulator.port import SimulatorPort
from api.execution.simulator.protocol import NEVER_MS
from ledger.clock import SetClock
from ledger.delivery import samples
from ledger.delivery.samples import RECORD_BYTES

SECOND_MS = 1000
DEAD_MAN_S = 3600
_ENCODER = msgspec.json.Encoder(order="sorted")


class Playing:
    """One play; `lines` is its whole life.

    Setpoints are the fleet's, split as the service splits them; the newest waits for a station that is away.
    """

    def __init__(self, plants: Sequence[Plant], setpoints: Sequence[scenarios.Setpoint], *, start_ms: int) -> None:
        """Nothing has happened yet."""
        self._plants = plants
        self._setpoints = list(setpoints)
        self._start_ms = start_ms
        self._clock = SetClock(start_ms)
        self._port = SimulatorPort(plants, clock=self._clock)
        self._heard: list[Telemetry] = []
        self._waiting: dict[EvseAddress, int] = {}
        self._sent = 0

    async def lines(self, duration_s: int) -> list[bytes]:
        """JSON lines: what was reported and answered, in order of time, and what each EVSE's own record comes to."""
        found: list[bytes] = []
        unsubscribe = self._port.subscribe(self._heard.append)
        try:
            self._port.connect_all()
            found += self._told()
            for second in range(1, duration_s + 1):
                found += await self._orders(second - 1)
                at_ms = self._start_ms + second * SECOND_MS
                self._port.advance_to(at_ms)
                self._clock.set_ms(at_ms)
                found += self._told()
            found += self._records()
        finally:
            unsubscribe()
        return found

    def _told(self) -> Iterator[bytes]:
        heard, self._heard[:] = tuple(self._heard), []
        for event in heard:
            yield line(type(event).__name__, msgspec.to_builtins(event))

    async def _orders(self, second: int) -> list[bytes]:
        while self._setpoints and self._setpoints[0].at_s <= second:
            total_w = self._setpoints.pop(0).power_w
            self._waiting.update(plan.split_setpoint(total_w, self._participants()))
        found = []
        for evse, power_w in sorted(self._waiting.items()):
            if evse.station_id not in self._port.connected():
                continue
            del self._waiting[evse]
            found.append(await self._order(evse, power_w))
        return found

    async def _order(self, evse: EvseAddress, power_w: int) -> bytes:
        self._sent += 1
        command = FollowSetpoint(
            command_id=f"setpoint-{self._sent}",
            evse=evse,
            not_after_ms=NEVER_MS,
            duration_s=DEAD_MAN_S,
            transaction_id=self._port.transaction(evse),
            setpoint_w=power_w,
        )
        outcome = await self._port.send(command)
        return line(
            "Outcome",
            {
                "at_ms": self._clock.now_ms(),
                "command_id": command.command_id,
                "evse": msgspec.to_builtins(evse),
                "setpoint_w": power_w,
                "verdict": outcome.verdict.value,
                "reason": outcome.reason,
            },
        )

    def _participants(self) -> list[Participant]:
        return [
            Participant(
                ref=str(plant.address(evse_id)),
                evse=plant.address(evse_id),
                max_charge_w=evse.config.max_charge_w,
                max_discharge_w=evse.config.max_discharge_w,
            )
            for plant in self._plants
            for evse_id, evse in plant.evses.items()
        ]

    def _records(self) -> Iterator[bytes]:
        """The station's own one-second record of each EVSE under its root, as a proof of work commits to it."""
        for plant in self._plants:
            for evse_id, evse in plant.evses.items():
                body = bytes(evse.recorders[SECOND_MS].records)
                yield line(
                    "Record",
                    {
                        "evse": msgspec.to_builtins(plant.address(evse_id)),
                        "samples": len(body) // RECORD_BYTES,
                        "root": samples.root(body).hex() if body else "",
                        "meter": evse.meter.serial,
                        "meter_key_der": evse.meter.public_key_der().hex(),
                        "import_milliwh": evse.meter.import_milliwh,
                        "export_milliwh": evse.meter.export_milliwh,
                        "soc_permille": evse.battery.permille(),
                    },
                )


def line(kind: str, said: dict[str, Any]) -> bytes:
    """One line of JSON with sorted members; `kind` says what it is."""
    return _ENCODER.encode({"kind": kind, **said}) + b"\n"
