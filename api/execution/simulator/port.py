"""The execution port without a protocol: plants on a virtual clock, no sockets; the same seed gives the same bytes."""

import asyncio
from collections.abc import Callable, Sequence

from api.execution import port as neutral
from api.execution.port import Command, EvseAddress, Outcome, Telemetry, Verdict
from api.execution.simulator import faults as f
from api.execution.simulator.plant import CURVES, MODES, Plant
from api.execution.waiting import POLL_S, Clock
from ledger.delivery import samples
from ledger.records.evidence import SampleSchema

TIMEOUT_MS = 30_000
MS_PER_S = 1000


class SimulatorPort:
    """Implements `ExecutionPort` on plants. `clock` is the backend's; the plants' own follow in `advance_to`."""

    def __init__(self, plants: Sequence[Plant], *, clock: Clock, timeout_ms: int = TIMEOUT_MS) -> None:
        self._plants = {plant.station_id: plant for plant in plants}
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._subscribers: list[neutral.Listener] = []
        self._late: list[tuple[int, neutral.LateAnswer]] = []
        self._online: set[str] = set()

    # ------------------------------------------------------------------ the simulation
    def connect_all(self) -> None:
        """Every station is there, and an EV at every EVSE."""
        for plant in self._plants.values():
            self._online.add(plant.station_id)
            self._publish(neutral.Connected(station_id=plant.station_id, at_ms=self._clock.now_ms()))
            for evse_id in plant.evses:
                plant.start_transaction(evse_id)
            self._flush(plant)

    def advance_to(self, at_ms: int) -> None:
        """Everything up to `at_ms` has happened, and was reported if the connection allowed."""
        for plant in self._plants.values():
            for edge in plant.faults.moments(plant.at_ms, at_ms):
                plant.advance(edge)
                self._follow_connection(plant)
                self._flush(plant)
        due = sorted((at for at in self._late if at[0] <= at_ms), key=lambda late: late[0])
        self._late = [late for late in self._late if late[0] > at_ms]
        for _, answer in due:
            self._publish(answer)

    def _follow_connection(self, plant: Plant) -> None:
        online = plant.faults.active(f.Offline, plant.at_ms) is None
        was_online = plant.station_id in self._online
        if was_online and not online:
            self._online.discard(plant.station_id)
            plant.offline_since_ms = plant.at_ms
            self._publish(neutral.Disconnected(station_id=plant.station_id, at_ms=plant.at_ms))
        elif (online and not was_online) or (online and plant.faults.starting(f.Reboot, plant.at_ms)):
            if was_online:
                self._publish(neutral.Disconnected(station_id=plant.station_id, at_ms=plant.at_ms))
            self._online.add(plant.station_id)
            plant.offline_since_ms = None
            self._publish(neutral.Connected(station_id=plant.station_id, at_ms=plant.at_ms))

    def _flush(self, plant: Plant) -> None:
        if plant.station_id in self._online:
            for event in plant.drain():
                self._publish(event)

    def _publish(self, event: Telemetry) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(event)

    # ------------------------------------------------------------------ the port
    async def send(self, command: Command) -> Outcome:
        """See `ExecutionPort.send`."""
        plant = self._plants.get(command.evse.station_id)
        while plant is None or plant.station_id not in self._online:
            if self._clock.now_ms() >= command.not_after_ms:
                return Outcome(Verdict.EXPIRED, "NotAfter")
            await asyncio.sleep(POLL_S)
        if self._clock.now_ms() >= command.not_after_ms:
            return Outcome(Verdict.EXPIRED, "NotAfter")
        running = self.transaction(command.evse)
        named = command.transaction_id if isinstance(command, neutral.FOR_ONE_EV) else None
        if named is not None and running not in (None, named):
            return neutral.OTHER_TRANSACTION
        outcome = plant.execute(command)
        delay_ms = self._delay_ms(plant, command.evse.evse_id)
        if delay_ms >= self._timeout_ms:
            due_ms = plant.at_ms + delay_ms
            answer = neutral.LateAnswer(evse=command.evse, at_ms=due_ms, command_id=command.command_id, outcome=outcome)
            self._late.append((due_ms, answer))
            self._flush(plant)
            return neutral.TIMED_OUT
        self._flush(plant)
        if isinstance(command, neutral.FetchLog) and outcome.verdict is Verdict.ACCEPTED:
            schema = SampleSchema.WIDE if command.wide else SampleSchema.NARROW
            records = samples.body_of(plant.log(command), schema)
            self._publish(
                neutral.LogUploaded(
                    evse=command.evse, at_ms=plant.at_ms, command_id=command.command_id, samples=records
                )
            )
        return outcome

    def _delay_ms(self, plant: Plant, evse_id: int) -> int:
        late = plant.faults.active(f.LateAnswer, plant.at_ms, evse_id)
        slow = plant.faults.active(f.SlowResponse, plant.at_ms, evse_id)
        return round(max(late.delay_s if late else 0.0, slow.delay_s if slow else 0.0) * MS_PER_S)

    def subscribe(self, listener: neutral.Listener) -> Callable[[], None]:
        """See `ExecutionPort.subscribe`."""
        self._subscribers.append(listener)
        return lambda: self._subscribers.remove(listener) if listener in self._subscribers else None

    def connected(self) -> frozenset[str]:
        """See `ExecutionPort.connected`."""
        return frozenset(self._online)

    async def capabilities(self, evse: EvseAddress) -> neutral.Capabilities | None:
        """See `ExecutionPort.capabilities`."""
        plant = self._plants.get(evse.station_id)
        if plant is None or evse.station_id not in self._online or evse.evse_id not in plant.evses:
            return None
        return neutral.Capabilities(modes=MODES, curves=CURVES)

    def transaction(self, evse: EvseAddress) -> str | None:
        """See `ExecutionPort.transaction`."""
        plant = self._plants.get(evse.station_id)
        return None if plant is None or evse.evse_id not in plant.evses else plant.evses[evse.evse_id].transaction_id
