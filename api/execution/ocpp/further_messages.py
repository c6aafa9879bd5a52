"""OCPP 2.1 messages that no service of ours depends on: reports, tariffs, consent, starting and stopping.

A station may send them and is answered; a backend may send them to a simulated station and is answered. What is only
passed on is left untyped, within the bounds of a frame.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.execution.ocpp.datatypes import (
    MAX_ITEMS,
    ChargingProfile,
    ChargingSchedule,
    DateTime,
    DerControl,
    EnergyTransferMode,
    Natural,
    ScheduleUpdate,
    StatusInfo,
    Text20,
    Text36,
    Untyped,
    Whole,
    Wire,
)

Reports = Annotated[tuple[Untyped, ...], Meta(min_length=1, max_length=24)]


class NotifyEventRequest(Wire, frozen=True, kw_only=True):
    """Events of the device model."""

    generated_at: DateTime
    seq_no: Natural
    event_data: Annotated[tuple[Untyped, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    tbc: bool | None = None


class NotifyReportRequest(Wire, frozen=True, kw_only=True):
    """Variables of the device model, as they were asked for."""

    request_id: Whole
    generated_at: DateTime
    seq_no: Natural
    report_data: Annotated[tuple[Untyped, ...], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    tbc: bool | None = None


class ChargingLimit(Wire, frozen=True, kw_only=True):
    """Where a limit that is not ours comes from."""

    charging_limit_source: Text20
    is_local_generation: bool | None = None
    is_grid_critical: bool | None = None


class NotifyChargingLimitRequest(Wire, frozen=True, kw_only=True):
    """An energy manager at the site limits charging."""

    charging_limit: ChargingLimit
    evse_id: Natural | None = None
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None


class ReportChargingProfilesRequest(Wire, frozen=True, kw_only=True):
    """The profiles that were asked for."""

    request_id: Whole
    charging_limit_source: Text20
    evse_id: Natural
    charging_profile: Annotated[tuple[ChargingProfile, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    tbc: bool | None = None


class ReportDERControlRequest(Wire, frozen=True, kw_only=True):
    """The DER controls that were asked for."""

    request_id: Whole
    tbc: bool | None = None
    curve: Reports | None = None
    enter_service: Reports | None = None
    fixed_pf_absorb: Reports | None = msgspec.field(name="fixedPFAbsorb", default=None)
    fixed_pf_inject: Reports | None = msgspec.field(name="fixedPFInject", default=None)
    fixed_var: Reports | None = None
    freq_droop: Reports | None = None
    gradient: Reports | None = None
    limit_max_discharge: Reports | None = None


class PullDynamicScheduleUpdateRequest(Wire, frozen=True, kw_only=True):
    """The station asks for the moving values of a Dynamic profile (K28, pull variant)."""

    charging_profile_id: Whole


class PullDynamicScheduleUpdateResponse(Wire, frozen=True, kw_only=True):
    """They, or why not."""

    status: Literal["Accepted", "Rejected"]
    schedule_update: ScheduleUpdate | None = None
    status_info: StatusInfo | None = None


class ProfileCriterion(Wire, frozen=True, kw_only=True):
    """Which profiles are asked for."""

    charging_profile_purpose: Text20 | None = None
    stack_level: Natural | None = None
    charging_profile_id: Annotated[tuple[Whole, ...], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    charging_limit_source: Annotated[tuple[Text20, ...], Meta(min_length=1, max_length=4)] | None = None


class GetChargingProfilesRequest(Wire, frozen=True, kw_only=True):
    """Report profiles."""

    request_id: Whole
    charging_profile: ProfileCriterion
    evse_id: Natural | None = None


class GetChargingProfilesResponse(Wire, frozen=True, kw_only=True):
    """Whether there are any."""

    status: Literal["Accepted", "NoProfiles"]
    status_info: StatusInfo | None = None


class GetDERControlRequest(Wire, frozen=True, kw_only=True):
    """Report DER controls."""

    request_id: Whole
    is_default: bool | None = None
    control_type: DerControl | None = None
    control_id: Text36 | None = None


class AFRRSignalRequest(Wire, frozen=True, kw_only=True):
    """The signal of automatic frequency restoration; the profile's curve says what it means in W."""

    timestamp: DateTime
    signal: Whole


class NotifyAllowedEnergyTransferRequest(Wire, frozen=True, kw_only=True):
    """What the driver's contract allows, after consent."""

    transaction_id: Text36
    allowed_energy_transfer: Annotated[tuple[EnergyTransferMode, ...], Meta(min_length=1, max_length=20)]


class GenericResponse(Wire, frozen=True, kw_only=True):
    """Accepted or rejected."""

    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | None = None


class UsePriorityChargingRequest(Wire, frozen=True, kw_only=True):
    """Let a priority profile take effect, or no longer."""

    transaction_id: Text36
    activate: bool


class UsePriorityChargingResponse(Wire, frozen=True, kw_only=True):
    """NoProfile: there is none to take effect."""

    status: Literal["Accepted", "Rejected", "NoProfile"]
    status_info: StatusInfo | None = None


class SetDefaultTariffRequest(Wire, frozen=True, kw_only=True):
    """The price for who has none of his own."""

    evse_id: Natural
    tariff: Untyped


class SetDefaultTariffResponse(Wire, frozen=True, kw_only=True):
    """Whether it is taken."""

    status: Literal["Accepted", "Rejected", "TooManyElements", "ConditionNotSupported", "DuplicateTariffId"]
    status_info: StatusInfo | None = None


class ChangeTransactionTariffRequest(Wire, frozen=True, kw_only=True):
    """Another price for a running transaction."""

    transaction_id: Text36
    tariff: Untyped


class ChangeTransactionTariffResponse(Wire, frozen=True, kw_only=True):
    """Whether it is taken."""

    status: Literal[
        "Accepted", "Rejected", "TooManyElements", "ConditionNotSupported", "TxNotFound", "NoCurrencyChange"
    ]
    status_info: StatusInfo | None = None


class RequestStartTransactionRequest(Wire, frozen=True, kw_only=True):
    """Start a transaction for somebody; who, is not looked into."""

    remote_start_id: Whole
    id_token: Untyped
    evse_id: Annotated[int, Meta(ge=1)] | None = None
    group_id_token: Untyped | None = None
    charging_profile: ChargingProfile | None = None


class RequestStartTransactionResponse(Wire, frozen=True, kw_only=True):
    """Whether it will."""

    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | None = None
    transaction_id: Text36 | None = None


class RequestStopTransactionRequest(Wire, frozen=True, kw_only=True):
    """End a transaction."""

    transaction_id: Text36
