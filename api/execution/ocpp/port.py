"""The execution port over OCPP 2.1: commands become calls, what stations say becomes telemetry."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from api.execution import port as neutral
from api.execution.errors import FrameRefused
from api.execution.ocpp import commands, needs
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.ocpp.binding import MAX_EVSES, Bindings, Bound
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.mailbox import Answered, Letter, Reply
from api.execution.ocpp.outcomes import outcome_of
from api.execution.ocpp.readings import Dropped, LogBlock, Upload, is_body, read_meter_values, read_stream, signed_text
from api.execution.port import Command, EvseAddress, Outcome, Telemetry, Verdict
from api.execution.waiting import Clock
from ledger.delivery import station_root
from ledger.delivery.errors import StationRootMalformed
from ledger.records.evidence import SampleSchema

HEARTBEAT_S = 300
UPDATE_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 30.0
CAPABILITY_MS = 10_000
MAX_UPLOADS = 256
MAX_EVSE_ID = 100
"""A station numbers its EVSEs from 1; more than these no station has, and none may fill our memory with them."""
BESIDE_PROFILES = (neutral.ReadMeter, neutral.FetchLog, neutral.ArmInverterCurve, neutral.HoldReactive)
"""Commands that leave the profile of an EVSE as it is."""


class OcppPort:
    """Implements `ExecutionPort` on a `StationListener`, which it attaches itself to."""

    def __init__(
        self,
        listener: StationListener,
        *,
        clock: Clock,
        call_timeout_s: float = CALL_TIMEOUT_S,
        update_timeout_s: float = UPDATE_TIMEOUT_S,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._call_timeout_s = call_timeout_s
        self._update_timeout_s = update_timeout_s
        self._subscribers: list[neutral.Listener] = []
        self._bindings = Bindings()
        self._sequence: dict[EvseAddress, int] = {}
        self._setpoint_installed: dict[EvseAddress, int] = {}
        self._capabilities: dict[EvseAddress, neutral.Capabilities] = {}
        self._uploads: OrderedDict[tuple[str, int], Upload] = OrderedDict()
        self._uploads_started = 0
        self._sent: OrderedDict[str, EvseAddress] = OrderedDict()
        self.dropped = Dropped()
        self.sequence_gaps = 0
        listener.attach(self)

    # ------------------------------------------------------------------ the port
    async def send(self, command: Command) -> Outcome:
        """See `ExecutionPort.send`."""
        requests = self._requests(command)
        outcome = neutral.ACCEPTED
        for request in requests:
            outcome = await self._call(command, request)
            if outcome.verdict is not Verdict.ACCEPTED:
                break
        self._remember(command, outcome)
        return outcome

    def subscribe(self, listener: neutral.Listener) -> Callable[[], None]:
        """See `ExecutionPort.subscribe`."""
        self._subscribers.append(listener)
        return lambda: self._subscribers.remove(listener) if listener in self._subscribers else None

    def connected(self) -> frozenset[str]:
        """See `ExecutionPort.connected`."""
        return self._listener.connected()

    async def capabilities(self, evse: EvseAddress) -> neutral.Capabilities | None:
        """See `ExecutionPort.capabilities`; asked once in a connection."""
        if evse in self._capabilities or evse.station_id not in self._listener.connected():
            return self._capabilities.get(evse)
        request = commands.read_capabilities(evse.evse_id)
        letter = Letter(
            action=m.action_of(request),
            request=request,
            not_after_ms=self._clock.now_ms() + CAPABILITY_MS,
            timeout_s=self._update_timeout_s,
            reference=f"capabilities of {evse}",
        )
        reply = await self._listener.post(evse.station_id, letter)
        found = None
        if isinstance(reply, Answered) and isinstance(reply.response, m.GetVariablesResponse):
            found = commands.parse_capabilities(reply.response)
        if found is not None and len(self._capabilities) < MAX_EVSES:
            self._capabilities[evse] = found
        return found

    def transaction(self, evse: EvseAddress) -> str | None:
        """See `ExecutionPort.transaction`."""
        return self._bindings.running(evse)

    # ------------------------------------------------------------------ commands
    def _requests(self, command: Command) -> list[t.Wire]:
        now = t.from_ms(self._clock.now_ms())
        evse_id = command.evse.evse_id
        match command:
            case neutral.LimitCharging():
                return [commands.limit(command, now)]
            case neutral.FollowSetpoint():
                if command.evse in self._setpoint_installed:
                    return [commands.setpoint_update(command)]
                return [commands.setpoint(command, now)]
            case neutral.ArmFrequencyResponse():
                return [commands.frequency_response(command, now)]
            case neutral.BalanceLocally():
                return [commands.balance_threshold(command), commands.balance(command, now)]
            case neutral.ArmInverterCurve():
                return [commands.inverter_curve(command, now)]
            case neutral.HoldReactive():
                return [commands.hold_reactive(command, now)]
            case neutral.ClearService(curve=True):
                return [m.ClearDERControlRequest(is_default=False, control_id=commands.control_id(evse_id))]
            case neutral.ClearService():
                return [m.ClearChargingProfileRequest(charging_profile_id=commands.profile_id(evse_id))]
            case neutral.ReadMeter():
                return [m.TriggerMessageRequest(requested_message="MeterValues", evse=t.Evse(id=evse_id))]
            case neutral.FetchLog():
                return [commands.get_log(command, self._start_upload(command))]

    async def _call(self, command: Command, request: t.Wire) -> Outcome:
        update = isinstance(request, m.UpdateDynamicScheduleRequest)
        letter = Letter(
            action=m.action_of(request),
            request=request,
            not_after_ms=command.not_after_ms,
            timeout_s=self._update_timeout_s if update else self._call_timeout_s,
            reference=command.command_id,
            replaces=f"setpoint {command.evse.evse_id}" if update else None,
            before=self._before(command, request),
        )
        self._sent[command.command_id] = command.evse
        while len(self._sent) > MAX_EVSES:
            self._sent.popitem(last=False)
        return outcome_of(await self._listener.post(command.evse.station_id, letter))

    def _before(self, command: Command, request: t.Wire) -> Bound | None:
        """What is for an EV, and no question and no grid-code curve, is for the EV that is there when it is sent."""
        if not isinstance(command, neutral.FOR_ONE_EV) or isinstance(request, m.SetVariablesRequest):
            return None
        return Bound(self._bindings, command, patience_s=self._update_timeout_s)

    def _remember(self, command: Command, outcome: Outcome) -> None:
        """Which profile is in force decides whether the next setpoint is an update or a new profile."""
        if isinstance(command, BESIDE_PROFILES) or outcome.verdict is Verdict.EXPIRED:
            return
        if isinstance(command, neutral.ClearService) and command.curve:
            return
        if isinstance(command, neutral.FollowSetpoint) and outcome.verdict is Verdict.ACCEPTED:
            self._setpoint_installed[command.evse] = command.setpoint_w
        else:
            self._setpoint_installed.pop(command.evse, None)

    def _start_upload(self, command: neutral.FetchLog) -> int:
        self._uploads_started += 1
        schema = SampleSchema.WIDE if command.wide else SampleSchema.NARROW
        self._uploads[command.evse.station_id, self._uploads_started] = Upload(
            command.command_id, command.evse, schema, command.from_ms, command.to_ms
        )
        while len(self._uploads) > MAX_UPLOADS:
            self._uploads.popitem(last=False)
        return self._uploads_started

    # ------------------------------------------------------------------ what the listener hears
    async def on_call(self, station_id: str, action: str, request: t.Wire) -> t.Wire:
        """See `StationHandler.on_call`."""
        now = t.from_ms(self._clock.now_ms())
        match request:
            case m.BootNotificationRequest():
                self._forget_profiles(station_id)
                return m.BootNotificationResponse(current_time=now, interval=HEARTBEAT_S, status="Accepted")
            case m.Empty() if action == "Heartbeat":
                return m.HeartbeatResponse(current_time=now)
            case m.TransactionEventRequest():
                self._on_transaction(station_id, request)
                return m.TransactionEventResponse()
            case m.MeterValuesRequest():
                if request.evse_id > MAX_EVSE_ID:
                    self.dropped.values += 1
                    return m.Empty()
                evse = EvseAddress(station_id=station_id, evse_id=request.evse_id)
                self._on_meter_values(evse, request.meter_value)
            case m.NotifyEVChargingNeedsRequest():
                return self._on_needs(station_id, request)
            case m.NotifyDERAlarmRequest():
                self._on_alarm(station_id, request)
            case m.NotifyDERStartStopRequest():
                self._on_der(station_id, request)
            case m.LogStatusNotificationRequest():
                self._on_log_status(station_id, request)
            case m.DataTransferRequest() | m.SignedDataTransfer():
                return self._on_data(station_id, request)
            case m.PullDynamicScheduleUpdateRequest(charging_profile_id=profile_id):
                return self._on_pull(station_id, profile_id)
            case _:
                pass
        return m.Empty()

    def _on_needs(self, station_id: str, request: m.NotifyEVChargingNeedsRequest) -> t.Wire:
        if request.evse_id > MAX_EVSE_ID:
            self.dropped.values += 1
            return m.NotifyEVChargingNeedsResponse(status="Rejected")
        evse = EvseAddress(station_id=station_id, evse_id=request.evse_id)
        self._publish(needs.read(evse, request.charging_needs, self._clock.now_ms()))
        return m.NotifyEVChargingNeedsResponse(status="Accepted")

    def _on_pull(self, station_id: str, profile_id: int) -> t.Wire:
        """The value in force, to a station that asks for it by itself."""
        evse = EvseAddress(station_id=station_id, evse_id=profile_id - commands.PROFILE_BASE)
        setpoint_w = self._setpoint_installed.get(evse)
        if setpoint_w is None:
            return m.PullDynamicScheduleUpdateResponse(status="Rejected")
        return m.PullDynamicScheduleUpdateResponse(
            status="Accepted", schedule_update=t.ScheduleUpdate(setpoint=setpoint_w)
        )

    def on_send(self, station_id: str, message: t.Wire) -> None:
        """See `StationHandler.on_send`."""
        if isinstance(message, m.NotifyPeriodicEventStream):
            for reading in read_stream(station_id, message, self._clock.now_ms(), self.dropped):
                self._publish(reading)

    def on_connected(self, station_id: str) -> None:
        """See `StationHandler.on_connected`."""
        self._bindings.connected(station_id)
        self._forget_profiles(station_id)
        self._publish(neutral.Connected(station_id=station_id, at_ms=self._clock.now_ms()))

    def on_disconnected(self, station_id: str) -> None:
        """See `StationHandler.on_disconnected`."""
        self._publish(neutral.Disconnected(station_id=station_id, at_ms=self._clock.now_ms()))

    def on_late(self, station_id: str, reference: str, reply: Reply) -> None:
        """See `StationHandler.on_late`."""
        evse = self._sent.get(reference)
        if evse is not None:
            at_ms = self._clock.now_ms()
            outcome = outcome_of(reply)
            self._publish(neutral.LateAnswer(evse=evse, at_ms=at_ms, command_id=reference, outcome=outcome))

    def _forget_profiles(self, station_id: str) -> None:
        """After a reconnect or boot a station may have left its profile, and may be another than it was."""
        self._capabilities = {evse: can for evse, can in self._capabilities.items() if evse.station_id != station_id}
        self._setpoint_installed = {
            evse: power_w for evse, power_w in self._setpoint_installed.items() if evse.station_id != station_id
        }

    def _on_transaction(self, station_id: str, request: m.TransactionEventRequest) -> None:
        info, at_ms = request.transaction_info, t.to_ms(request.timestamp)
        evse = self._evse_of(station_id, request)
        if evse is None:
            return
        if request.seq_no != self._sequence.get(evse, -1) + 1:
            self.sequence_gaps += 1
        self._sequence[evse] = request.seq_no
        known = self._bindings.running(evse)
        if request.event_type == "Ended" and known not in (None, info.transaction_id):
            # Whatever ended, it is not what runs here.
            self.dropped.values += 1
            return
        if known not in (None, info.transaction_id):
            # Another one runs, so the one before is over, however that was missed.
            self._publish(
                neutral.TransactionEnded(
                    evse=evse, at_ms=at_ms, transaction_id=str(known), reason=neutral.TRANSACTION_REPLACED
                )
            )
            self._setpoint_installed.pop(evse, None)
        is_new = request.event_type != "Ended" and known != info.transaction_id
        if is_new and self._bindings.begin(evse, info.transaction_id):
            self._publish(neutral.TransactionStarted(evse=evse, at_ms=at_ms, transaction_id=info.transaction_id))
        if info.operation_mode is not None:
            self._publish(neutral.OperationModeChanged(evse=evse, at_ms=at_ms, mode=info.operation_mode))
        if request.event_type == "Ended":
            self._bindings.end(evse)
            self._sequence.pop(evse, None)
            self._setpoint_installed.pop(evse, None)
            reason = info.stopped_reason or "Local"
            self._publish(
                neutral.TransactionEnded(evse=evse, at_ms=at_ms, transaction_id=info.transaction_id, reason=reason)
            )
        if not request.offline:
            # What a station tells late of an earlier time says nothing of now.
            self._bindings.spoke(evse)
        self._on_meter_values(evse, request.meter_value or ())

    def _evse_of(self, station_id: str, request: m.TransactionEventRequest) -> EvseAddress | None:
        """The standard asks for the EVSE once per transaction only; later events are found by the transaction's id."""
        if request.evse is not None:
            if request.evse.id > MAX_EVSE_ID:
                self.dropped.values += 1
                return None
            return EvseAddress(station_id=station_id, evse_id=request.evse.id)
        return self._bindings.where(station_id, request.transaction_info.transaction_id)

    def _on_meter_values(self, evse: EvseAddress, values: tuple[t.MeterValue, ...]) -> None:
        now_ms = self._clock.now_ms()
        for reading in read_meter_values(evse, values, received_at_ms=now_ms, dropped=self.dropped):
            self._publish(reading)

    def _on_alarm(self, station_id: str, request: m.NotifyDERAlarmRequest) -> None:
        """A grid-code function concerns the EVSE named in our vendor data, or every EVSE with a transaction."""
        custom = request.custom_data or {}
        named = custom.get("evseId") if custom.get("vendorId") == commands.VENDOR else None
        evses = list(self._bindings.of_station(station_id))
        if isinstance(named, int):
            evses = [EvseAddress(station_id=station_id, evse_id=named)]
        for evse in evses:
            self._publish(
                neutral.Alarm(
                    evse=evse,
                    at_ms=t.to_ms(request.timestamp),
                    control=request.control_type,
                    fault=request.grid_event_fault,
                    ended=bool(request.alarm_ended),
                )
            )

    def _on_der(self, station_id: str, request: m.NotifyDERStartStopRequest) -> None:
        """A control of ours that another one superseded no longer rules."""
        for name in request.superseded_ids or ():
            evse_id = commands.parse_control_id(name)
            if evse_id is not None:
                evse = EvseAddress(station_id=station_id, evse_id=evse_id)
                self._publish(neutral.CurveSuperseded(evse=evse, at_ms=t.to_ms(request.timestamp)))

    # ------------------------------------------------------------------ logs
    def _on_data(self, station_id: str, request: m.DataTransferRequest | m.SignedDataTransfer) -> t.Wire:
        if isinstance(request, m.SignedDataTransfer):
            return self._on_signed(station_id, request)
        if request.vendor_id != commands.VENDOR:
            return m.DataTransferResponse(status="UnknownVendorId")
        if request.message_id != commands.LOG_MESSAGE:
            return m.DataTransferResponse(status="UnknownMessageId")
        try:
            block = msgspec.convert(request.data, LogBlock)
        except msgspec.ValidationError as error:
            raise FrameRefused(str(error), ocpp_code="FormatViolation") from error
        upload = self._uploads.get((station_id, block.request_id))
        if upload is None or not upload.take(block):
            self.dropped.blocks += 1
            return m.DataTransferResponse(status="Rejected")
        return m.DataTransferResponse(status="Accepted")

    def _on_signed(self, station_id: str, request: m.SignedDataTransfer) -> t.Wire:
        """A signed root goes with the log that it names, once; whoever knows the station's key proves it later."""
        try:
            root = station_root.read(signed_text(request)).root
        except StationRootMalformed as error:
            self.dropped.signed += 1
            raise FrameRefused(error.detail, ocpp_code="FormatViolation") from error
        upload = self._uploads.get((station_id, root.request_id))
        if upload is None or not upload.sign(request, root):
            self.dropped.signed += 1
            return m.DataTransferResponse(status="Rejected")
        return m.DataTransferResponse(status="Accepted")

    def _on_log_status(self, station_id: str, request: m.LogStatusNotificationRequest) -> None:
        if request.request_id is None or request.status in ("Uploading", "Idle"):
            return
        upload = self._uploads.pop((station_id, request.request_id), None)
        if upload is None:
            return
        at_ms = self._clock.now_ms()
        records = upload.whole() if request.status == "Uploaded" else None
        reason = "Incomplete" if request.status == "Uploaded" else request.status
        if records and not is_body(records):
            records, reason = None, "Malformed"
        if records is None:
            failed = neutral.LogFailed(evse=upload.evse, at_ms=at_ms, command_id=upload.command_id, reason=reason)
            self._publish(failed)
        else:
            self._publish(
                neutral.LogUploaded(
                    evse=upload.evse,
                    at_ms=at_ms,
                    command_id=upload.command_id,
                    samples=records,
                    station_jws=upload.signed,
                )
            )

    def _publish(self, event: Telemetry) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(event)
