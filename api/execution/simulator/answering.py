"""How a simulated station carries out what a backend orders, and what it answers."""

from collections.abc import MutableSequence
from dataclasses import replace

from api.execution import port as neutral
from api.execution.ocpp import commands
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.plan import Envelope
from api.execution.port import Command, Outcome, Verdict
from api.execution.simulator import further, protocol
from api.execution.simulator.plant import Plant


class Answering:
    """The orders that are in force at one station, and the plant that obeys them."""

    def __init__(self, plant: Plant, reporter: protocol.Reporter, reports: MutableSequence[t.Wire]) -> None:
        """`reports` is where messages of our own wait until they are sent."""
        self._plant = plant
        self._reporter = reporter
        self._reports = reports
        self.profiles: dict[int, m.SetChargingProfileRequest] = {}
        self._thresholds: dict[int, int] = {}

    def respond(self, request: t.Wire) -> t.Wire:
        """The response to `request`, which has been carried out; what is to be reported of it waits in its reports."""
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
                self._reports.extend(told)
                # F06: there is nothing to send where nothing runs.
                return m.TriggerMessageResponse(status="Accepted" if told else "Rejected")
            case _:
                response, reports = further.respond(self._plant, self.profiles, request)
                self._reports.extend(reports)
                return response

    def _bare(self, evse_id: int) -> Envelope:
        return {
            "command_id": "",
            "evse": self._plant.address(evse_id),
            "not_after_ms": protocol.NEVER_MS,
            "duration_s": 1,
            "transaction_id": None,
        }

    def _execute(self, command: Command, max_offline_ms: int = protocol.NEVER_MS) -> Outcome:
        return self._plant.execute(command, max_offline_ms=max_offline_ms)

    def _install(self, request: m.SetChargingProfileRequest) -> t.Wire:
        try:
            command, max_offline_ms = protocol.command_of(request, self._plant.station_id)
        except protocol.Unsupported as unsupported:
            return _status(m.ProfileStatusResponse, Outcome(Verdict.REJECTED, unsupported.reason))
        if isinstance(command, neutral.BalanceLocally):
            command = replace(command, target_import_w=self._thresholds.get(request.evse_id, 0))
        outcome = self._execute(command, max_offline_ms)
        if outcome.verdict is Verdict.ACCEPTED:
            self.profiles[request.charging_profile.id] = request
        return _status(m.ProfileStatusResponse, outcome)

    def _update(self, request: m.UpdateDynamicScheduleRequest) -> t.Wire:
        """K28: the new values are checked like a new profile, and the profile's duration starts again."""
        installed = self.profiles.get(request.charging_profile_id)
        if installed is None or installed.charging_profile.charging_profile_kind != "Dynamic":
            return _status(m.ProfileStatusResponse, Outcome(Verdict.REJECTED, "InvalidProfile"))
        return self._install(protocol.updated(installed, request.schedule_update))

    def _clear(self, request: m.ClearChargingProfileRequest) -> t.Wire:
        installed = self.profiles.pop(request.charging_profile_id or 0, None)
        if installed is None:
            return m.ClearChargingProfileResponse(status="Unknown")
        self._execute(neutral.ClearService(**self._bare(installed.evse_id)))
        return m.ClearChargingProfileResponse(status="Accepted")

    def _composite(self, request: m.GetCompositeScheduleRequest) -> t.Wire:
        evse = self._plant.evses.get(request.evse_id)
        if evse is None:
            return m.GetCompositeScheduleResponse(status="Rejected")
        schedule = m.CompositeSchedule(
            evse_id=request.evse_id,
            duration=request.duration,
            schedule_start=t.from_ms(self._plant.clock_ms()),
            charging_rate_unit="W",
            charging_schedule_period=(protocol.composite_period(evse),),
        )
        return m.GetCompositeScheduleResponse(status="Accepted", schedule=schedule)

    def _der(self, request: m.SetDERControlRequest) -> t.Wire:
        command = protocol.der_command(request, self._plant.station_id)
        if command is None or command.evse.evse_id not in self._plant.evses:
            return m.DERControlResponse(status="NotSupported")
        outcome = self._execute(command)
        if outcome.reason == "NotSupported":
            return m.DERControlResponse(status="NotSupported")
        if outcome.verdict is Verdict.ACCEPTED:
            self._reports.append(self._der_changed(request.control_id, started=True))
        return _status(m.DERControlResponse, outcome)

    def _der_changed(self, control_id: str, *, started: bool) -> t.Wire:
        return m.NotifyDERStartStopRequest(
            control_id=control_id, started=started, timestamp=t.from_ms(self._plant.clock_ms())
        )

    def _set_variable(self, data: m.SetVariableData) -> m.SetVariableResult:
        """The threshold of local load balancing is kept, for the EVSE that it names; others are taken and not used."""
        status = "Accepted"
        if (data.component.name, data.variable.name) == protocol.THRESHOLD:
            evse_id = 0 if data.component.evse is None else data.component.evse.id
            if evse_id not in self._plant.evses or not data.attribute_value.isdecimal():
                status = "Rejected"
            else:
                self._thresholds[evse_id] = int(data.attribute_value)
        return m.SetVariableResult(attribute_status=status, component=data.component, variable=data.variable)

    def _clear_der(self, request: m.ClearDERControlRequest) -> t.Wire:
        evse_id = commands.parse_control_id(request.control_id or "")
        evse = None if evse_id is None else self._plant.evses.get(evse_id)
        if evse is None or not evse.has_control:
            return m.DERControlResponse(status="NotFound")
        self._reports.append(self._der_changed(commands.control_id(evse.config.evse_id), started=False))
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
        command = protocol.log_command(request, self._plant.station_id)
        if command is None:
            return m.GetLogResponse(status="Rejected")
        return _status(m.GetLogResponse, self._execute(command))


def _status(
    response: type[m.ProfileStatusResponse | m.DERControlResponse | m.GetLogResponse | m.TriggerMessageResponse],
    outcome: Outcome,
) -> t.Wire:
    if outcome.verdict is Verdict.ACCEPTED:
        return response(status="Accepted")
    return response(status="Rejected", status_info=t.StatusInfo(reason_code=outcome.reason[:20]))
