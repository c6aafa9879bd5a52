"""The actions of OCPP 2.1 that flexibility needs: requests and responses (part 2), and the registry of both."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.execution.ocpp.datatypes import (
    MAX_ITEMS,
    ChargingProfile,
    Component,
    DateTime,
    DerControl,
    DerCurve,
    EnergyTransferMode,
    Evse,
    FixedVar,
    FreqDroop,
    GridEventFault,
    LimitMaxDischarge,
    LogParameters,
    MeterValue,
    Natural,
    OperationMode,
    RateUnit,
    SchedulePeriod,
    ScheduleUpdate,
    StatusInfo,
    Text20,
    Text25,
    Text36,
    Text50,
    Text200,
    Text255,
    Text2500,
    Untyped,
    Variable,
    Whole,
    Wire,
)


class Empty(Wire, frozen=True, kw_only=True):
    """A message without fields."""


# ---------------------------------------------------------------------- station to backend
class ChargingStation(Wire, frozen=True, kw_only=True):
    """Who boots."""

    model: Text20
    vendor_name: Text50
    serial_number: Text25 | None = None
    firmware_version: Text50 | None = None
    modem: Untyped | None = None


class BootNotificationRequest(Wire, frozen=True, kw_only=True):
    """The station started."""

    charging_station: ChargingStation
    reason: Text50


class BootNotificationResponse(Wire, frozen=True, kw_only=True):
    """The time, and the heartbeat interval in seconds."""

    current_time: DateTime
    interval: Whole
    status: Literal["Accepted", "Pending", "Rejected"]
    status_info: StatusInfo | None = None


class HeartbeatResponse(Wire, frozen=True, kw_only=True):
    """The time."""

    current_time: DateTime


class StatusNotificationRequest(Wire, frozen=True, kw_only=True):
    """The state of a connector."""

    timestamp: DateTime
    connector_status: Literal["Available", "Occupied", "Reserved", "Unavailable", "Faulted"]
    evse_id: Natural
    connector_id: Natural


class Transaction(Wire, frozen=True, kw_only=True):
    """A charging transaction."""

    transaction_id: Text36
    charging_state: Text20 | None = None
    time_spent_charging: Whole | None = None
    stopped_reason: Text50 | None = None
    remote_start_id: Whole | None = None
    operation_mode: OperationMode | None = None
    tariff_id: Annotated[str, Meta(max_length=60)] | None = None
    transaction_limit: Untyped | None = None


class TransactionEventRequest(Wire, frozen=True, kw_only=True):
    """Something happened to a transaction; `seqNo` has no gaps. What identifies a person is not looked into."""

    event_type: Literal["Ended", "Started", "Updated"]
    timestamp: DateTime
    trigger_reason: Text50
    seq_no: Natural
    transaction_info: Transaction
    meter_value: Annotated[tuple[MeterValue, ...], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    offline: bool | None = None
    evse: Evse | None = None
    number_of_phases_used: Annotated[int, Meta(ge=0, le=3)] | None = None
    cable_max_current: Whole | None = None
    reservation_id: Natural | None = None
    preconditioning_status: Text20 | None = None
    evse_sleep: bool | None = None
    id_token: Untyped | None = None
    cost_details: Untyped | None = None


class MeterValuesRequest(Wire, frozen=True, kw_only=True):
    """Measurements of one EVSE."""

    evse_id: Natural
    meter_value: Annotated[tuple[MeterValue, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class ChargingNeeds(Wire, frozen=True, kw_only=True):
    """What the EV wants and can do."""

    requested_energy_transfer: EnergyTransferMode
    available_energy_transfer: Annotated[tuple[EnergyTransferMode, ...], Meta(min_length=1, max_length=20)] | None = (
        None
    )
    control_mode: Literal["ScheduledControl", "DynamicControl"] | None = None
    mobility_needs_mode: Literal["EVCC", "EVCC_SECC"] | None = None
    departure_time: DateTime | None = None
    v2x_charging_parameters: Untyped | None = None
    ac_charging_parameters: Untyped | None = None
    dc_charging_parameters: Untyped | None = None
    der_charging_parameters: Untyped | None = None
    ev_energy_offer: Untyped | None = None


class NotifyEVChargingNeedsRequest(Wire, frozen=True, kw_only=True):
    """The EV's needs, as the station heard them."""

    evse_id: Annotated[int, Meta(ge=1)]
    charging_needs: ChargingNeeds
    max_schedule_tuples: Natural | None = None
    timestamp: DateTime | None = None


class NotifyEVChargingNeedsResponse(Wire, frozen=True, kw_only=True):
    """Heard."""

    status: Literal["Accepted", "Rejected", "Processing", "NoChargingProfile"]
    status_info: StatusInfo | None = None


class NotifyDERAlarmRequest(Wire, frozen=True, kw_only=True):
    """A grid-code function took over or let go. The standard names no EVSE; ours say it in `customData`."""

    control_type: DerControl
    timestamp: DateTime
    grid_event_fault: GridEventFault | None = None
    alarm_ended: bool | None = None
    extra_info: Text200 | None = None


class NotifyDERStartStopRequest(Wire, frozen=True, kw_only=True):
    """A scheduled DER control started or stopped."""

    control_id: Text36
    started: bool
    timestamp: DateTime
    superseded_ids: Annotated[tuple[Text36, ...], Meta(min_length=1, max_length=24)] | None = None


class SecurityEventNotificationRequest(Wire, frozen=True, kw_only=True):
    """A security event of the station."""

    type: Text50
    timestamp: DateTime
    tech_info: Text255 | None = None


class LogStatusNotificationRequest(Wire, frozen=True, kw_only=True):
    """How the upload of a log goes."""

    status: Text25
    request_id: Whole | None = None
    status_info: StatusInfo | None = None


class StreamElement(Wire, frozen=True, kw_only=True):
    """A value, `t` seconds after the stream message's base time."""

    t: float
    v: Text2500


class NotifyPeriodicEventStream(Wire, frozen=True, kw_only=True):
    """Values of a periodic stream; a SEND, not answered."""

    id: Natural
    pending: Natural
    basetime: DateTime
    data: Annotated[tuple[StreamElement, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class DataTransferRequest(Wire, frozen=True, kw_only=True):
    """A vendor's own message; ours carries blocks of a DataCollector log (`docs/reference/ocpp.md`)."""

    vendor_id: Text255
    message_id: Text50 | None = None
    data: object = None


class DataTransferResponse(Wire, frozen=True, kw_only=True):
    """What became of it."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    status_info: StatusInfo | None = None
    data: object = None


# ---------------------------------------------------------------------- backend to station
class SetChargingProfileRequest(Wire, frozen=True, kw_only=True):
    """Install a profile."""

    evse_id: Natural
    charging_profile: ChargingProfile


class UpdateDynamicScheduleRequest(Wire, frozen=True, kw_only=True):
    """Move the values of a Dynamic profile."""

    charging_profile_id: Whole
    schedule_update: ScheduleUpdate


class ProfileStatusResponse(Wire, frozen=True, kw_only=True):
    """The answer to both."""

    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | None = None


class ProfileCriteria(Wire, frozen=True, kw_only=True):
    """Which profiles to clear."""

    evse_id: Natural | None = None
    charging_profile_purpose: Text50 | None = None
    stack_level: Natural | None = None


class ClearChargingProfileRequest(Wire, frozen=True, kw_only=True):
    """Remove a profile."""

    charging_profile_id: Whole | None = None
    charging_profile_criteria: ProfileCriteria | None = None


class ClearChargingProfileResponse(Wire, frozen=True, kw_only=True):
    """Unknown: there was none."""

    status: Literal["Accepted", "Unknown"]
    status_info: StatusInfo | None = None


class GetCompositeScheduleRequest(Wire, frozen=True, kw_only=True):
    """Which schedule results from all profiles?"""

    duration: Whole
    evse_id: Natural
    charging_rate_unit: RateUnit | None = None


class CompositeSchedule(Wire, frozen=True, kw_only=True):
    """The schedule that results."""

    evse_id: Natural
    duration: Whole
    schedule_start: DateTime
    charging_rate_unit: RateUnit
    charging_schedule_period: Annotated[tuple[SchedulePeriod, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class GetCompositeScheduleResponse(Wire, frozen=True, kw_only=True):
    """It, or why not."""

    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | None = None
    schedule: CompositeSchedule | None = None


class SetDERControlRequest(Wire, frozen=True, kw_only=True):
    """Install a DER control: exactly one of the control fields (R04.FR.12 and following)."""

    is_default: bool
    control_id: Text36
    control_type: DerControl
    curve: DerCurve | None = None
    fixed_var: FixedVar | None = None
    freq_droop: FreqDroop | None = None
    limit_max_discharge: LimitMaxDischarge | None = None


class DERControlResponse(Wire, frozen=True, kw_only=True):
    """The answer to setting and clearing a DER control."""

    status: Literal["Accepted", "Rejected", "NotSupported", "NotFound"]
    status_info: StatusInfo | None = None
    superseded_ids: Annotated[tuple[Text36, ...], Meta(min_length=1, max_length=24)] | None = None


class ClearDERControlRequest(Wire, frozen=True, kw_only=True):
    """Remove DER controls."""

    is_default: bool
    control_type: DerControl | None = None
    control_id: Text36 | None = None


class SetVariableData(Wire, frozen=True, kw_only=True):
    """One variable to set."""

    attribute_value: Text2500
    component: Component
    variable: Variable
    attribute_type: Text20 | None = None


class SetVariablesRequest(Wire, frozen=True, kw_only=True):
    """Set variables."""

    set_variable_data: Annotated[tuple[SetVariableData, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class SetVariableResult(Wire, frozen=True, kw_only=True):
    """What became of one."""

    attribute_status: Text50
    component: Component
    variable: Variable
    attribute_type: Text20 | None = None
    attribute_status_info: StatusInfo | None = None


class SetVariablesResponse(Wire, frozen=True, kw_only=True):
    """What became of each."""

    set_variable_result: Annotated[tuple[SetVariableResult, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class GetVariableData(Wire, frozen=True, kw_only=True):
    """One variable to read."""

    component: Component
    variable: Variable
    attribute_type: Text20 | None = None


class GetVariablesRequest(Wire, frozen=True, kw_only=True):
    """Read variables."""

    get_variable_data: Annotated[tuple[GetVariableData, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class GetVariableResult(Wire, frozen=True, kw_only=True):
    """One variable."""

    attribute_status: Text50
    component: Component
    variable: Variable
    attribute_value: Text2500 | None = None
    attribute_type: Text20 | None = None
    attribute_status_info: StatusInfo | None = None


class GetVariablesResponse(Wire, frozen=True, kw_only=True):
    """All of them."""

    get_variable_result: Annotated[tuple[GetVariableResult, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class GetLogRequest(Wire, frozen=True, kw_only=True):
    """Upload a log."""

    log: LogParameters
    log_type: Literal["DiagnosticsLog", "SecurityLog", "DataCollectorLog"]
    request_id: Whole
    retries: Natural | None = None
    retry_interval: Whole | None = None


class GetLogResponse(Wire, frozen=True, kw_only=True):
    """Whether it will."""

    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    status_info: StatusInfo | None = None
    filename: Text255 | None = None


class TriggerMessageRequest(Wire, frozen=True, kw_only=True):
    """Send this message now."""

    requested_message: Text50
    evse: Evse | None = None
    custom_trigger: Text50 | None = None


class TriggerMessageResponse(Wire, frozen=True, kw_only=True):
    """Whether it will."""

    status: Literal["Accepted", "Rejected", "NotImplemented"]
    status_info: StatusInfo | None = None


class TransactionEventResponse(Wire, frozen=True, kw_only=True):
    """Heard; what concerns prices and tokens is not ours."""

    total_cost: float | None = None
    charging_priority: Whole | None = None
    id_token_info: Untyped | None = None
    transaction_limit: Untyped | None = None
    updated_personal_message: Untyped | None = None
    updated_personal_message_extra: tuple[Untyped, ...] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its name, its two messages with their decoders, and who may ask."""

    name: str
    request: type[Wire]
    response: type[Wire]
    from_station: bool

    @property
    def request_decoder(self) -> msgspec.json.Decoder[Wire]:
        """Reads the request."""
        return _decoders[self.request]

    @property
    def response_decoder(self) -> msgspec.json.Decoder[Wire]:
        """Reads the response."""
        return _decoders[self.response]


_FROM_STATION: tuple[tuple[type[Wire], type[Wire]], ...] = (
    (BootNotificationRequest, BootNotificationResponse),
    (StatusNotificationRequest, Empty),
    (TransactionEventRequest, TransactionEventResponse),
    (MeterValuesRequest, Empty),
    (NotifyEVChargingNeedsRequest, NotifyEVChargingNeedsResponse),
    (NotifyDERAlarmRequest, Empty),
    (NotifyDERStartStopRequest, Empty),
    (SecurityEventNotificationRequest, Empty),
    (LogStatusNotificationRequest, Empty),
    (DataTransferRequest, DataTransferResponse),
)
_FROM_BACKEND: tuple[tuple[type[Wire], type[Wire]], ...] = (
    (SetChargingProfileRequest, ProfileStatusResponse),
    (UpdateDynamicScheduleRequest, ProfileStatusResponse),
    (ClearChargingProfileRequest, ClearChargingProfileResponse),
    (GetCompositeScheduleRequest, GetCompositeScheduleResponse),
    (SetDERControlRequest, DERControlResponse),
    (ClearDERControlRequest, DERControlResponse),
    (SetVariablesRequest, SetVariablesResponse),
    (GetVariablesRequest, GetVariablesResponse),
    (GetLogRequest, GetLogResponse),
    (TriggerMessageRequest, TriggerMessageResponse),
)


def _named(request: type[Wire]) -> str:
    return request.__name__.removesuffix("Request")


ACTIONS: dict[str, Action] = {
    "Heartbeat": Action("Heartbeat", Empty, HeartbeatResponse, from_station=True),
    **{_named(req): Action(_named(req), req, res, from_station=True) for req, res in _FROM_STATION},
    **{_named(req): Action(_named(req), req, res, from_station=False) for req, res in _FROM_BACKEND},
}
SENDS: dict[str, type[Wire]] = {"NotifyPeriodicEventStream": NotifyPeriodicEventStream}
_decoders: dict[type[Wire], msgspec.json.Decoder[Wire]] = {
    message: msgspec.json.Decoder(message)
    for action in ACTIONS.values()
    for message in (action.request, action.response)
}
STREAM_DECODER = msgspec.json.Decoder(NotifyPeriodicEventStream)


def action_of(request: Wire) -> Action:
    """The action whose request this is."""
    return ACTIONS[_named(type(request))]
