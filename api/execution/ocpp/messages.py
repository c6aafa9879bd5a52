"""The actions of OCPP 2.1 that flexibility needs: one door to both sides' messages, and the registry of actions."""

from dataclasses import dataclass

import msgspec

from api.execution.ocpp.backend_messages import (
    ClearChargingProfileRequest,
    ClearChargingProfileResponse,
    ClearDERControlRequest,
    CompositeSchedule,
    DERControlResponse,
    GetCompositeScheduleRequest,
    GetCompositeScheduleResponse,
    GetLogRequest,
    GetLogResponse,
    GetVariableData,
    GetVariableResult,
    GetVariablesRequest,
    GetVariablesResponse,
    ProfileCriteria,
    ProfileStatusResponse,
    SetChargingProfileRequest,
    SetDERControlRequest,
    SetVariableData,
    SetVariableResult,
    SetVariablesRequest,
    SetVariablesResponse,
    TriggerMessageRequest,
    TriggerMessageResponse,
    UpdateDynamicScheduleRequest,
)
from api.execution.ocpp.datatypes import Wire
from api.execution.ocpp.further_messages import (
    AFRRSignalRequest,
    ChangeTransactionTariffRequest,
    ChangeTransactionTariffResponse,
    ChargingLimit,
    GenericResponse,
    GetChargingProfilesRequest,
    GetChargingProfilesResponse,
    GetDERControlRequest,
    NotifyAllowedEnergyTransferRequest,
    NotifyChargingLimitRequest,
    NotifyEventRequest,
    NotifyReportRequest,
    ProfileCriterion,
    PullDynamicScheduleUpdateRequest,
    PullDynamicScheduleUpdateResponse,
    ReportChargingProfilesRequest,
    ReportDERControlRequest,
    RequestStartTransactionRequest,
    RequestStartTransactionResponse,
    RequestStopTransactionRequest,
    SetDefaultTariffRequest,
    SetDefaultTariffResponse,
    UsePriorityChargingRequest,
    UsePriorityChargingResponse,
)
from api.execution.ocpp.station_messages import (
    BootNotificationRequest,
    BootNotificationResponse,
    ChargingNeeds,
    ChargingStation,
    DataTransferRequest,
    DataTransferResponse,
    Empty,
    HeartbeatResponse,
    LogStatusNotificationRequest,
    MeterValuesRequest,
    NotifyDERAlarmRequest,
    NotifyDERStartStopRequest,
    NotifyEVChargingNeedsRequest,
    NotifyEVChargingNeedsResponse,
    NotifyPeriodicEventStream,
    SecurityEventNotificationRequest,
    SignedDataTransfer,
    StatusNotificationRequest,
    StreamElement,
    Transaction,
    TransactionEventRequest,
    TransactionEventResponse,
)

__all__ = [
    "ACTIONS",
    "SENDS",
    "STREAM_DECODER",
    "AFRRSignalRequest",
    "Action",
    "BootNotificationRequest",
    "BootNotificationResponse",
    "ChangeTransactionTariffRequest",
    "ChangeTransactionTariffResponse",
    "ChargingLimit",
    "ChargingNeeds",
    "ChargingStation",
    "ClearChargingProfileRequest",
    "ClearChargingProfileResponse",
    "ClearDERControlRequest",
    "CompositeSchedule",
    "DERControlResponse",
    "DataTransferRequest",
    "DataTransferResponse",
    "Empty",
    "GenericResponse",
    "GetChargingProfilesRequest",
    "GetChargingProfilesResponse",
    "GetCompositeScheduleRequest",
    "GetCompositeScheduleResponse",
    "GetDERControlRequest",
    "GetLogRequest",
    "GetLogResponse",
    "GetVariableData",
    "GetVariableResult",
    "GetVariablesRequest",
    "GetVariablesResponse",
    "HeartbeatResponse",
    "LogStatusNotificationRequest",
    "MeterValuesRequest",
    "NotifyAllowedEnergyTransferRequest",
    "NotifyChargingLimitRequest",
    "NotifyDERAlarmRequest",
    "NotifyDERStartStopRequest",
    "NotifyEVChargingNeedsRequest",
    "NotifyEVChargingNeedsResponse",
    "NotifyEventRequest",
    "NotifyPeriodicEventStream",
    "NotifyReportRequest",
    "ProfileCriteria",
    "ProfileCriterion",
    "ProfileStatusResponse",
    "PullDynamicScheduleUpdateRequest",
    "PullDynamicScheduleUpdateResponse",
    "ReportChargingProfilesRequest",
    "ReportDERControlRequest",
    "RequestStartTransactionRequest",
    "RequestStartTransactionResponse",
    "RequestStopTransactionRequest",
    "SecurityEventNotificationRequest",
    "SetChargingProfileRequest",
    "SetDERControlRequest",
    "SetDefaultTariffRequest",
    "SetDefaultTariffResponse",
    "SetVariableData",
    "SetVariableResult",
    "SetVariablesRequest",
    "SetVariablesResponse",
    "SignedDataTransfer",
    "StatusNotificationRequest",
    "StreamElement",
    "Transaction",
    "TransactionEventRequest",
    "TransactionEventResponse",
    "TriggerMessageRequest",
    "TriggerMessageResponse",
    "UpdateDynamicScheduleRequest",
    "UsePriorityChargingRequest",
    "UsePriorityChargingResponse",
    "action_of",
]


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
    (NotifyEventRequest, Empty),
    (NotifyReportRequest, Empty),
    (NotifyChargingLimitRequest, Empty),
    (ReportChargingProfilesRequest, Empty),
    (ReportDERControlRequest, Empty),
    (PullDynamicScheduleUpdateRequest, PullDynamicScheduleUpdateResponse),
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
    (GetChargingProfilesRequest, GetChargingProfilesResponse),
    (GetDERControlRequest, DERControlResponse),
    (AFRRSignalRequest, GenericResponse),
    (NotifyAllowedEnergyTransferRequest, GenericResponse),
    (UsePriorityChargingRequest, UsePriorityChargingResponse),
    (SetDefaultTariffRequest, SetDefaultTariffResponse),
    (ChangeTransactionTariffRequest, ChangeTransactionTariffResponse),
    (RequestStartTransactionRequest, RequestStartTransactionResponse),
    (RequestStopTransactionRequest, GenericResponse),
)


def _named(request: type[Wire]) -> str:
    return request.__name__.removesuffix("Request")


SIGNED = "DataTransfer-Signed"
ACTIONS: dict[str, Action] = {
    "Heartbeat": Action("Heartbeat", Empty, HeartbeatResponse, from_station=True),
    SIGNED: Action(SIGNED, SignedDataTransfer, DataTransferResponse, from_station=True),
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
    """The action whose request this is; an empty one is a heartbeat."""
    if isinstance(request, SignedDataTransfer):
        return ACTIONS[SIGNED]
    return ACTIONS["Heartbeat" if isinstance(request, Empty) else _named(type(request))]
