"""Watch stations for functions of the grid code that act in firmware, and put what they did on record.

An alarm's beginning and end are the function's times; the station's own log of them, and of the minute before, is the
evidence. Whether a request ran at that EVSE does not matter here; one that did is excused for that time by itself.
"""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final

import structlog
from msgspec import UNSET

from api.errors import ApiError
from api.execution.errors import QueueFull
from api.execution.port import Alarm, EvseAddress, ExecutionPort, FetchLog, LogFailed, LogUploaded, Telemetry, Verdict
from api.flows.desk import Desk
from api.flows.memory import Memory
from api.verification import embedded
from ledger.delivery import samples, work
from ledger.delivery.errors import SamplesMalformed
from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.records.embedded import EmbeddedActed, EmbeddedFunction, GridEvent
from ledger.records.marks import Category
from ledger.records.record import Part
from ledger.records.work import Verdict as Shown

MAX_OPEN: Final = 10_000
"""Functions that have begun and not ended; of more the oldest are forgotten."""
MAX_AN_HOUR: Final = 12
"""Acts of one EVSE that are recorded within an hour: a function that comes and goes must not fill the log."""
HOUR_MS: Final = 3_600_000
MAX_LENGTH_MS: Final = 24 * 3_600_000
"""Of a function that ruled for longer the last day is evidence."""
INTERVAL_MS: Final = 1_000
LOG_S: Final = 60.0
NOT_AFTER_MS: Final = 900_000

FUNCTIONS: Final[Mapping[str, EmbeddedFunction]] = {
    "FreqDroop": EmbeddedFunction.FREQUENCY_WATT,
    "FreqWatt": EmbeddedFunction.FREQUENCY_WATT,
    "VoltWatt": EmbeddedFunction.VOLT_WATT,
    "VoltVar": EmbeddedFunction.VOLT_VAR,
    "WattVar": EmbeddedFunction.WATT_VAR,
    "WattPF": EmbeddedFunction.POWER_FACTOR,
    "FixedPFAbsorb": EmbeddedFunction.POWER_FACTOR,
    "FixedPFInject": EmbeddedFunction.POWER_FACTOR,
    "FixedVar": EmbeddedFunction.FIXED_VAR,
    "LimitMaxDischarge": EmbeddedFunction.DISCHARGE_LIMIT,
    "Gradients": EmbeddedFunction.RAMP_RATE,
    "EnterService": EmbeddedFunction.ENTER_SERVICE,
    "HFMustTrip": EmbeddedFunction.FREQUENCY_TRIP,
    "LFMustTrip": EmbeddedFunction.FREQUENCY_TRIP,
    "HVMustTrip": EmbeddedFunction.VOLTAGE_TRIP,
    "LVMustTrip": EmbeddedFunction.VOLTAGE_TRIP,
    "HFMayTrip": EmbeddedFunction.RIDE_THROUGH,
    "HVMayTrip": EmbeddedFunction.RIDE_THROUGH,
    "HVMomCess": EmbeddedFunction.RIDE_THROUGH,
    "LVMayTrip": EmbeddedFunction.RIDE_THROUGH,
    "LVMomCess": EmbeddedFunction.RIDE_THROUGH,
    "PowerMonitoringMustTrip": EmbeddedFunction.POWER_MONITORING,
}
"""Every DER control of OCPP 2.1; a test compares the names."""
EVENTS: Final[Mapping[str, GridEvent]] = {one.value.replace("_", "").lower(): one for one in GridEvent}

log = structlog.get_logger()


class EmbeddedWatch:
    """Listens to a port from now on; `close` ends it."""

    def __init__(self, desk: Desk, memory: Memory, port: ExecutionPort) -> None:
        """Nothing that began before is known."""
        self._desk = desk
        self._memory = memory
        self._port = port
        self._since: OrderedDict[tuple[EvseAddress, str], Alarm] = OrderedDict()
        self._recent: OrderedDict[EvseAddress, deque[int]] = OrderedDict()
        self._awaited: dict[str, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe = port.subscribe(self._heard)

    async def close(self) -> None:
        """No more is recorded; what was under way is given up."""
        self._unsubscribe()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _heard(self, event: Telemetry) -> None:
        if isinstance(event, LogUploaded | LogFailed):
            waiting = self._awaited.get(event.command_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(event.samples if isinstance(event, LogUploaded) else b"")
        elif isinstance(event, Alarm):
            self._on_alarm(event)

    def _on_alarm(self, event: Alarm) -> None:
        place = (event.evse, event.control)
        if not event.ended:
            # A second alarm of the same function is the same act.
            self._since.setdefault(place, event)
            while len(self._since) > MAX_OPEN:
                self._since.popitem(last=False)
            return
        began = self._since.pop(place, None)
        if began is not None and began.at_ms < event.at_ms and self._is_admitted(event.evse):
            task = asyncio.create_task(self._watched(began, event.at_ms))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_admitted(self, evse: EvseAddress) -> bool:
        """Within an hour of our own clock an EVSE has at most `MAX_AN_HOUR` acts; those beyond are said in the log."""
        now_ms = self._desk.clock.now_ms()
        recent = self._recent.setdefault(evse, deque(maxlen=MAX_AN_HOUR))
        self._recent.move_to_end(evse)
        while len(self._recent) > MAX_OPEN:
            self._recent.popitem(last=False)
        if len(recent) == MAX_AN_HOUR and now_ms - recent[0] < HOUR_MS:
            log.warning("embedded function not recorded: too many within an hour", count=MAX_AN_HOUR)
            return False
        recent.append(now_ms)
        return True

    async def _watched(self, began: Alarm, until_ms: int) -> None:
        try:
            await self._record(began, until_ms)
        except (ApiError, LedgerError) as error:
            log.error("embedded function not recorded", control=began.control, code=error.code)

    async def _record(self, began: Alarm, until_ms: int) -> None:
        known = self._desk.evse_at(began.evse.station_id, began.evse.evse_id)
        function = FUNCTIONS.get(began.control)
        if known is None or function is None:
            log.warning("alarm of no configured EVSE or no known function", control=began.control)
            return
        site_id, evse = known
        from_ms = max(began.at_ms, until_ms - MAX_LENGTH_MS)
        body = await self._fetch(began.evse, from_ms - embedded.BEFORE_MS, until_ms)
        result = embedded.judge(from_ms, until_ms, body)
        person = self._memory.person_at(evse.evse_id)
        vault = self._desk.engines.vault
        kept = vault.attach(body, subject=person, category=Category.METER, retention="P2Y") if body else UNSET
        acted = EmbeddedActed(
            act_id=f"act-{secrets.token_hex(8)}",
            site_id=site_id,
            function=function,
            event=EVENTS.get((began.fault or "").lower()),
            verdict=Shown(result.verdict.value),
            algorithm=result.algorithm,
            n=samples.count(body) if body else 0,
            dt_ms=INTERVAL_MS,
            evse_id=evse.evse_id,
            from_ms=from_ms,
            until_ms=until_ms,
            root=samples.root(body).hex() if body else UNSET,
            body_sha256=kept,
            result=canonical.encode(canonical.decode(work.encode(result))).decode(),
        )

        def subject_of(_part: Part, _name: str) -> str | None:
            return person

        await self._desk.say(acted, f"site/{site_id}", subject_of=subject_of)

    async def _fetch(self, evse: EvseAddress, from_ms: int, until_ms: int) -> bytes:
        """The station's own record; b"" if it has none, does not answer in time, or sent what is no body."""
        command = FetchLog(
            command_id=f"embedded/{secrets.token_hex(8)}",
            evse=evse,
            not_after_ms=self._desk.clock.now_ms() + NOT_AFTER_MS,
            from_ms=from_ms,
            to_ms=until_ms,
            interval_ms=INTERVAL_MS,
        )
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[command.command_id] = waiting
        try:
            async with asyncio.timeout(LOG_S):
                outcome = await self._port.send(command)
                body = await waiting if outcome.verdict is Verdict.ACCEPTED else b""
            if body:
                samples.decode(body)
        except (TimeoutError, QueueFull, SamplesMalformed):
            return b""
        finally:
            self._awaited.pop(command.command_id, None)
        return body
