"""The demo's depot in process, an adapter over it, and the requests that tests make of it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from api.execution.adapter import Adapter
from api.execution.evidence import EvseEvidence, Execution, ExecutionFact, FactKind
from api.execution.port import EvseAddress
from api.execution.request import AcceptedRequest, Patience
from api.execution.services import CongestionService, Interval, Participant, Service
from api.execution.simulator import faults as f
from api.execution.simulator.demand import Demand
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import DEPOT, build_plant
from api.execution.simulator.frequency import Frequency, Steady
from api.execution.simulator.port import SimulatorPort
from api.execution.waiting import polling
from ledger.clock import SetClock

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_768_921_200_000  # 2026-01-20T15:00:00Z, 17:00 in Helsinki
STATION = "DEPOT-7"


def address(evse_id: int) -> EvseAddress:
    return EvseAddress(station_id=STATION, evse_id=evse_id)


def participants(*evse_ids: int, offered_w: int = 0) -> tuple[Participant, ...]:
    by_id = {config.evse_id: config for config in DEPOT}
    return tuple(
        Participant(
            ref=f"P{evse_id}",
            evse=address(evse_id),
            max_charge_w=by_id[evse_id].max_charge_w,
            max_discharge_w=by_id[evse_id].max_discharge_w,
            min_charge_w=by_id[evse_id].min_charge_w,
            offered_w=offered_w,
        )
        for evse_id in evse_ids
    )


@dataclass
class Depot:
    """The demo's depot on the simulator port, one adapter, and all facts."""

    frequency: Frequency = field(default_factory=Steady)
    faults: tuple[f.Fault, ...] = ()
    demands: dict[int, Demand] = field(default_factory=dict)
    configs: tuple[EvseConfig, ...] = DEPOT
    facts: list[ExecutionFact] = field(default_factory=list)
    timeout_ms: int = 30_000

    def __post_init__(self) -> None:
        self.clock = SetClock(START - MINUTE)
        self.plant = build_plant(
            STATION,
            self.configs,
            seed=63382,
            start_ms=START - MINUTE,
            frequency=self.frequency,
            demands=self.demands,
            faults=f.Faults(self.faults),
        )
        self.port = SimulatorPort([self.plant], clock=self.clock, timeout_ms=self.timeout_ms)
        self.port.connect_all()
        self.adapter = Adapter(
            self.port,
            clock=self.clock,
            sleep_until_ms=polling(self.clock, 0.0005),
            patience=Patience(reading_s=0.5, log_s=0.5),
        )

    async def record(self, fact: ExecutionFact) -> None:
        self.facts.append(fact)

    async def move(self, at_ms: int) -> None:
        self.port.advance_to(at_ms)
        self.clock.set_ms(at_ms)
        for _ in range(4):
            await asyncio.sleep(0.002)

    async def play(self, request: AcceptedRequest, moments: Iterable[int]) -> Execution:
        running = asyncio.create_task(self.adapter.run(request, self.record))
        await asyncio.sleep(0)
        for at_ms in moments:
            await self.move(at_ms)
        async with asyncio.timeout(5):
            return await running

    def kinds(self, evse_id: int) -> list[FactKind]:
        return [fact.kind for fact in self.facts if fact.evse == address(evse_id)]


def request(
    service: Service, who: tuple[Participant, ...], *, end_ms: int = START + HOUR, **more: object
) -> AcceptedRequest:
    return AcceptedRequest(
        fsr_id="FSR-1",
        service=service,
        participants=who,
        start_at_ms=START,
        end_at_ms=end_ms,
        **more,  # type: ignore[arg-type]
    )


def cap(total_w: int, *, minutes: int = 60) -> CongestionService:
    return CongestionService(series=(Interval(start_at_ms=START, duration_ms=minutes * MINUTE, value=total_w),))


def every(step_ms: int, *, until_ms: int = START + HOUR) -> Iterable[int]:
    return range(START, until_ms + 1, step_ms)


def evidence_of(execution: Execution, evse_id: int) -> EvseEvidence:
    return next(e for e in execution.evidence if e.evse == address(evse_id))
