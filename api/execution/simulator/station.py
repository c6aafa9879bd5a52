"""A simulated charging station: an OCPP 2.1 client over WebSocket, with a plant behind it that is driven in jumps."""

import asyncio
import base64
import contextlib
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from api.execution import port as neutral
from api.execution.errors import FrameRefused
from api.execution.ocpp import codec, commands
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.ocpp.listener import SUBPROTOCOL
from api.execution.plan import Envelope
from api.execution.port import Command, Outcome, Verdict
from api.execution.simulator import faults as f
from api.execution.simulator import further, noise, protocol
from api.execution.simulator.plant import Plant

CALL_TIMEOUT_S = 30.0
MAX_BACKLOG = 20_000
MAX_REFUSALS = 100
MODEL, VENDOR_NAME = "simulated", "flexledger"


class LineLost(Exception):
    """The connection ended before an answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How a station waits before it connects again (part 4, 5.4): a minimum and a random part, the whole doubling.

    Times are of the plant's clock. The default is not to wait, which suits a clock that jumps.
    """

    minimum_ms: int = 0
    random_ms: int = 0
    doublings: int = 5

    def wait_ms(self, key: int, attempt: int) -> int:
        """How long before the attempt, counted from 0; `key` makes stations differ, and a run repeatable."""
        spread = noise.bits(key, attempt) % (self.random_ms + 1)
        return (self.minimum_ms + spread) << min(attempt, self.doublings)


class SimulatedStation:
    """One station. `url` is the backend's, without the station's id, such as `wss://localhost:9443/ocpp`."""

    def __init__(
        self,
        plant: Plant,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        password: str | None = None,
        call_timeout_s: float = CALL_TIMEOUT_S,
        back_off: BackOff | None = None,
        compression: str | None = None,
        signer: protocol.RootSigner | None = None,
    ) -> None:
        self.plant = plant
        self.url = f"{url.rstrip('/')}/{plant.station_id}"
        self._ssl = ssl_context
        self._password = password
        self._call_timeout_s = call_timeout_s
        self._reporter = protocol.Reporter(plant)
        self._connection: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._orders: asyncio.Queue[codec.Call] = asyncio.Queue()
        self._uploads: set[asyncio.Task[None]] = set()
        self._answers: dict[str, asyncio.Future[codec.CallResult | codec.CallError]] = {}
        self._line = asyncio.Lock()
        self._reporting = asyncio.Lock()
        self._backlog: deque[t.Wire] = deque(maxlen=MAX_BACKLOG)
        self._profiles: dict[int, m.SetChargingProfileRequest] = {}
        self._thresholds: dict[int, int] = {}
        self._count = 0
        self._back_off = back_off or BackOff()
        self._compression = compression
        self._signer = signer
        self._retry_key = noise.channel(0, f"retry/{plant.station_id}")
        self._retries = 0
        self._retry_at_ms: int | None = None
        self.refusals: list[str] = []

    @property
    def station_id(self) -> str:
        """Its id."""
        return self.plant.station_id

    @property
    def online(self) -> bool:
        """Connected now."""
        return self._connection is not None

    # ------------------------------------------------------------------ connection
    async def connect(self) -> None:
        """Connect, boot, and plug an EV in at every EVSE that has none. Raises what the handshake raises."""
        await self._open()
        self.plug_in()
        await self._report()

    def plug_in(self) -> None:
        """An EV is at every EVSE that had none; it is reported when there is a connection."""
        for evse_id, evse in self.plant.evses.items():
            if evse.transaction_id is None:
                self.plant.start_transaction(evse_id)

    async def close(self) -> None:
        """Disconnect for good."""
        for task in tuple(self._uploads):
            task.cancel()
        await self._hang_up()

    async def _open(self) -> None:
        headers = {}
        if self._password is not None:
            token = base64.b64encode(f"{self.station_id}:{self._password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        self._connection = await connect(
            self.url,
            ssl=self._ssl,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=self._compression,
            max_size=codec.MAX_FRAME_BYTES,
            additional_headers=headers,
            ping_interval=None,
            proxy=None,
            close_timeout=1,
        )
        await self._stop_working()
        self.plant.offline_since_ms = None
        self._orders = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(self._connection))
        self._working = asyncio.create_task(self._work(self._connection, self._orders))
        await self._call(
            m.BootNotificationRequest(
                reason="PowerUp",
                charging_station=m.ChargingStation(
                    model=MODEL, vendor_name=VENDOR_NAME, serial_number=self.station_id[:25]
                ),
            )
        )
        now = t.from_ms(self.plant.clock_ms())
        for evse_id, evse in self.plant.evses.items():
            status = m.StatusNotificationRequest(
                timestamp=now,
                connector_status="Available" if evse.transaction_id is None else "Occupied",
                evse_id=evse_id,
                connector_id=1,
            )
            await self._call(status)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        await self._stop_working()
        self._lost()

    async def _stop_working(self) -> None:
        """Nothing reads or carries out orders of an older connection any longer."""
        for task in (self._reading, self._working):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._reading = self._working = None

    def _lost(self) -> None:
        """The connection is gone: who waits for an answer hears that there is none, and the dead-man starts."""
        self._connection = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LineLost())
        if self.plant.offline_since_ms is None:
            self.plant.offline_since_ms = self.plant.at_ms

    # ------------------------------------------------------------------ time
    async def advance_to(self, at_ms: int) -> None:
        """Everything up to `at_ms` has happened in the plant, and the backend has acknowledged the reports."""
        for edge in self.plant.faults.moments(self.plant.at_ms, at_ms):
            self.plant.advance(edge)
            await self._follow_connection()
            await self._report()

    async def _follow_connection(self) -> None:
        faults, at_ms = self.plant.faults, self.plant.at_ms
        if faults.active(f.Offline, at_ms) is not None:
            if self.online:
                await self._hang_up()
            return
        if self.online and faults.starting(f.Reboot, at_ms):
            self._profiles.clear()
            await self._hang_up()
        if not self.online:
            await self._reconnect(at_ms)

    async def _reconnect(self, at_ms: int) -> None:
        """The backend may be gone: the plant goes on, the dead-man does its work, a later jump tries again."""
        if self._retry_at_ms is None:
            self._retry_at_ms = at_ms + self._back_off.wait_ms(self._retry_key, self._retries)
        if at_ms < self._retry_at_ms:
            return
        self._retry_at_ms = None
        self._retries += 1
        try:
            await self._open()
        except (OSError, WebSocketException, LineLost, TimeoutError) as error:
            self.refused(f"connect: {type(error).__name__}: {error}")
            return
        self._retries = 0

    async def _report(self) -> None:
        """Send what the plant has to report; what cannot be sent waits, and goes out marked as late."""
        async with self._reporting:
            events = self.plant.drain()
            self._backlog.extend(self._reporter.requests(events, offline=not self.online))
            while self._backlog and self.online:
                try:
                    await self._call(self._backlog[0])
                except LineLost:
                    return
                self._backlog.popleft()

    # ------------------------------------------------------------------ calls to the backend
    async def _call(self, request: t.Wire) -> codec.CallResult | codec.CallError:
        """One call at a time; the answer, whatever it says. Raises `LineLost`, or `TimeoutError`."""
        async with self._line:
            connection = self._connection
            if connection is None:
                raise LineLost
            self._count += 1
            message_id = f"{self.station_id[:20]}-{self._count}"
            answer: asyncio.Future[codec.CallResult | codec.CallError] = asyncio.get_running_loop().create_future()
            self._answers[message_id] = answer
            try:
                await connection.send(codec.encode_call(message_id, m.action_of(request).name, request), text=True)
                async with asyncio.timeout(self._call_timeout_s):
                    reply = await answer
            except ConnectionClosed as error:
                raise LineLost from error
            finally:
                self._answers.pop(message_id, None)
        if isinstance(reply, codec.CallError):
            self.refused(f"{m.action_of(request).name}: {reply.code}: {reply.description}")
        return reply

    def refused(self, what: str) -> None:
        """The backend refused something; the first `MAX_REFUSALS` are kept."""
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(what[:200])

    async def stream(self, events: Sequence[neutral.SampleReading]) -> None:
        """Send samples of one EVSE as a SEND (NotifyPeriodicEventStream): fast, and never acknowledged."""
        connection = self._connection
        if connection is None or not events:
            return
        first = events[0]
        message = m.NotifyPeriodicEventStream(
            id=first.evse.evse_id,
            pending=0,
            basetime=t.from_ms(first.at_ms),
            data=tuple(
                m.StreamElement(
                    t=(event.at_ms - first.at_ms) / 1000,
                    v=f"{event.power_w};{event.freq_millihertz or 0};{event.setpoint_w or 0}",
                )
                for event in events
            ),
        )
        self._count += 1
        frame = codec.encode_send(f"{self.station_id[:20]}-{self._count}", "NotifyPeriodicEventStream", message)
        await connection.send(frame, text=True)

    # ------------------------------------------------------------------ calls from the backend
    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for raw in connection:
                frame_bytes = raw.encode() if isinstance(raw, str) else raw
                try:
                    frame = codec.decode(frame_bytes)
                except FrameRefused as refused:
                    await connection.send(codec.encode_error(refused.message_id, refused.ocpp_code), text=True)
                    continue
                if isinstance(frame, codec.Call):
                    self._orders.put_nowait(frame)
                elif isinstance(frame, codec.CallResult | codec.CallError):
                    answer = self._answers.get(frame.message_id)
                    if answer is not None and not answer.done():
                        answer.set_result(frame)
        except ConnectionClosed:
            pass
        finally:
            if self._connection is connection:
                self._lost()

    async def _work(self, connection: ClientConnection, orders: asyncio.Queue[codec.Call]) -> None:
        """Carry out orders one after another, as stations do: a slow answer delays the ones behind it."""
        while True:
            call = await orders.get()
            with contextlib.suppress(ConnectionClosed):
                frame, request = self._carry_out(call)
                delay_s = self._delay_s()
                if delay_s:
                    await asyncio.sleep(delay_s)
                await connection.send(frame, text=True)
                await self._follow_up(request)

    def _delay_s(self) -> float:
        late = self.plant.faults.active(f.LateAnswer, self.plant.at_ms)
        slow = self.plant.faults.active(f.SlowResponse, self.plant.at_ms)
        return max(late.delay_s if late else 0.0, slow.delay_s if slow else 0.0)

    def _carry_out(self, call: codec.Call) -> tuple[bytes, t.Wire | None]:
        action = m.ACTIONS.get(call.action)
        if action is None or action.from_station:
            return codec.encode_error(call.message_id, "NotImplemented"), None
        try:
            request = codec.open_payload(call.payload, action.request_decoder, call.message_id)
        except FrameRefused as refused:
            return codec.encode_error(call.message_id, refused.ocpp_code, refused.detail), None
        return codec.encode_result(call.message_id, self._respond(request)), request

    def _respond(self, request: t.Wire) -> t.Wire:
        match request:
            case m.SetChargingProfileRequest():
                return self._install(request)
            case m.UpdateDynamicScheduleRequest():
                return self._update(request)
            case m.ClearChargingProfileRequest():
                return self._clear(request)
            case m.GetCompositeScheduleRequest():
                return self._composite(request)
            case m.SetDERControlRequest():
                return self._der(request)
            case m.ClearDERControlRequest():
                return self._clear_der(request)
            case m.SetVariablesRequest():
                return m.SetVariablesResponse(
                    set_variable_result=tuple(self._set_variable(data) for data in request.set_variable_data)
                )
            case m.GetVariablesRequest():
                return m.GetVariablesResponse(
                    get_variable_result=tuple(self._variable(data) for data in request.get_variable_data)
                )
            case m.GetLogRequest():
                return self._log(request)
            case m.TriggerMessageRequest(requested_message="MeterValues", evse=t.Evse(id=evse_id)):
                return _status(m.TriggerMessageResponse, self._execute(neutral.ReadMeter(**self._bare(evse_id))))
            case m.TriggerMessageRequest(requested_message="TransactionEvent", evse=evse):
                told = list(self._reporter.running(None if evse is None else evse.id))
                self._backlog.extend(told)
                # F06: there is nothing to send where nothing runs.
                return m.TriggerMessageResponse(status="Accepted" if told else "Rejected")
            case _:
                response, reports = further.respond(self.plant, self._profiles, request)
                self._backlog.extend(reports)
                return response

    def _bare(self, evse_id: int) -> Envelope:
        return {
            "command_id": "",
            "evse": self.plant.address(evse_id),
            "not_after_ms": protocol.NEVER_MS,
            "duration_s": 1,
            "transaction_id": None,
        }

    def _execute(self, command: Command, max_offline_ms: int = protocol.NEVER_MS) -> Outcome:
        return self.plant.execute(command, max_offline_ms=max_offline_ms)

    def _install(self, request: m.SetChargingProfileRequest) -> t.Wire:
        try:
            command, max_offline_ms = protocol.command_of(request, self.station_id)
        except protocol.Unsupported as unsupported:
            return _status(m.ProfileStatusResponse, Outcome(Verdict.REJECTED, unsupported.reason))
        if isinstance(command, neutral.BalanceLocally):
            command = replace(command, target_import_w=self._thresholds.get(request.evse_id, 0))
        outcome = self._execute(command, max_offline_ms)
        if outcome.verdict is Verdict.ACCEPTED:
            self._profiles[request.charging_profile.id] = request
        return _status(m.ProfileStatusResponse, outcome)

    def _update(self, request: m.UpdateDynamicScheduleRequest) -> t.Wire:
        """K28: the new values are checked like a new profile, and the profile's duration starts again."""
        installed = self._profiles.get(request.charging_profile_id)
        if installed is None or installed.charging_profile.charging_profile_kind != "Dynamic":
            return _status(m.ProfileStatusResponse, Outcome(Verdict.REJECTED, "InvalidProfile"))
        return self._install(protocol.updated(installed, request.schedule_update))

    def _clear(self, request: m.ClearChargingProfileRequest) -> t.Wire:
        installed = self._profiles.pop(request.charging_profile_id or 0, None)
        if installed is None:
            return m.ClearChargingProfileResponse(status="Unknown")
        self._execute(neutral.ClearService(**self._bare(installed.evse_id)))
        return m.ClearChargingProfileResponse(status="Accepted")

    def _composite(self, request: m.GetCompositeScheduleRequest) -> t.Wire:
        evse = self.plant.evses.get(request.evse_id)
        if evse is None:
            return m.GetCompositeScheduleResponse(status="Rejected")
        schedule = m.CompositeSchedule(
            evse_id=request.evse_id,
            duration=request.duration,
            schedule_start=t.from_ms(self.plant.clock_ms()),
            charging_rate_unit="W",
            charging_schedule_period=(protocol.composite_period(evse),),
        )
        return m.GetCompositeScheduleResponse(status="Accepted", schedule=schedule)

    def _der(self, request: m.SetDERControlRequest) -> t.Wire:
        command = protocol.der_command(request, self.station_id)
        if command is None or command.evse.evse_id not in self.plant.evses:
            return m.DERControlResponse(status="NotSupported")
        outcome = self._execute(command)
        if outcome.reason == "NotSupported":
            return m.DERControlResponse(status="NotSupported")
        if outcome.verdict is Verdict.ACCEPTED:
            self._backlog.append(self._der_changed(request.control_id, started=True))
        return _status(m.DERControlResponse, outcome)

    def _der_changed(self, control_id: str, *, started: bool) -> t.Wire:
        return m.NotifyDERStartStopRequest(
            control_id=control_id, started=started, timestamp=t.from_ms(self.plant.clock_ms())
        )

    def _set_variable(self, data: m.SetVariableData) -> m.SetVariableResult:
        """The threshold of local load balancing is kept, for the EVSE that it names; others are taken and not used."""
        status = "Accepted"
        if (data.component.name, data.variable.name) == protocol.THRESHOLD:
            evse_id = 0 if data.component.evse is None else data.component.evse.id
            if evse_id not in self.plant.evses or not data.attribute_value.isdecimal():
                status = "Rejected"
            else:
                self._thresholds[evse_id] = int(data.attribute_value)
        return m.SetVariableResult(attribute_status=status, component=data.component, variable=data.variable)

    def _clear_der(self, request: m.ClearDERControlRequest) -> t.Wire:
        evse_id = commands.parse_control_id(request.control_id or "")
        evse = None if evse_id is None else self.plant.evses.get(evse_id)
        if evse is None or not evse.has_control:
            return m.DERControlResponse(status="NotFound")
        self._backlog.append(self._der_changed(commands.control_id(evse.config.evse_id), started=False))
        return _status(
            m.DERControlResponse, self._execute(neutral.ClearService(**self._bare(evse.config.evse_id), curve=True))
        )

    @staticmethod
    def _variable(data: m.GetVariableData) -> m.GetVariableResult:
        value = protocol.VARIABLES.get((data.component.name, data.variable.name))
        return m.GetVariableResult(
            attribute_status="UnknownVariable" if value is None else "Accepted",
            attribute_value=value,
            component=data.component,
            variable=data.variable,
        )

    def _log(self, request: m.GetLogRequest) -> t.Wire:
        command = protocol.log_command(request, self.station_id)
        if command is None:
            return m.GetLogResponse(status="Rejected")
        return _status(m.GetLogResponse, self._execute(command))

    async def _follow_up(self, request: t.Wire | None) -> None:
        """After the answer: report what follows from the order, and upload the log that was asked for."""
        work = self._upload(request) if isinstance(request, m.GetLogRequest) else self._report_changes()
        task = asyncio.create_task(work)
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def _report_changes(self) -> None:
        with contextlib.suppress(TimeoutError):
            await self._report()

    async def _upload(self, request: m.GetLogRequest) -> None:
        command = protocol.log_command(request, self.station_id)
        if command is None:
            return
        with contextlib.suppress(LineLost, TimeoutError):
            records = self.plant.log(command)
            for block in protocol.log_blocks(request.request_id, records, wide=command.wide):
                await self._call(block)
            if self._signer is not None and records:
                clock_ms = self.plant.clock_ms()
                await self._call(self._signer.root(request.request_id, command, records, clock_ms))
            await self._call(m.LogStatusNotificationRequest(status="Uploaded", request_id=request.request_id))


def _status(
    response: type[m.ProfileStatusResponse | m.DERControlResponse | m.GetLogResponse | m.TriggerMessageResponse],
    outcome: Outcome,
) -> t.Wire:
    if outcome.verdict is Verdict.ACCEPTED:
        return response(status="Accepted")
    return response(status="Rejected", status_info=t.StatusInfo(reason_code=outcome.reason[:20]))
