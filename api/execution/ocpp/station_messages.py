"""OCPP 2.1 messages that stations begin: their requests and our responses."""

from typing import Annotated, Literal

from msgspec import Meta

from api.execution.ocpp.datatypes import (
    MAX_ITEMS,
    DateTime,
    DerControl,
    EnergyTransferMode,
    Evse,
    GridEventFault,
    MeterValue,
    Natural,
    OperationMode,
    SignedText,
    StatusInfo,
    Text20,
    Text25,
    Text36,
    Text50,
    Text200,
    Text255,
    Text2500,
    Untyped,
    Whole,
    Wire,
)


class Empty(Wire, frozen=True, kw_only=True):
    """A message without fields."""


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


class SignedDataTransfer(Wire, frozen=True, kw_only=True):
    """DataTransfer in OCPP's signed form: a flattened JWS whose payload is the request (part 4, 7)."""

    payload: SignedText
    protected: SignedText
    signature: SignedText


class DataTransferResponse(Wire, frozen=True, kw_only=True):
    """What became of it."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    status_info: StatusInfo | None = None
    data: object = None


class TransactionEventResponse(Wire, frozen=True, kw_only=True):
    """Heard; what concerns prices and tokens is not ours."""

    total_cost: float | None = None
    charging_priority: Whole | None = None
    id_token_info: Untyped | None = None
    transaction_limit: Untyped | None = None
    updated_personal_message: Untyped | None = None
    updated_personal_message_extra: tuple[Untyped, ...] | None = None
