"""OCPP 2.1 messages that the backend begins: our requests and the stations' responses."""

from typing import Annotated, Literal

from msgspec import Meta

from api.execution.ocpp.datatypes import (
    MAX_ITEMS,
    ChargingProfile,
    Component,
    DateTime,
    DerControl,
    DerCurve,
    Evse,
    FixedVar,
    FreqDroop,
    LimitMaxDischarge,
    LogParameters,
    Natural,
    RateUnit,
    SchedulePeriod,
    ScheduleUpdate,
    StatusInfo,
    Text20,
    Text36,
    Text50,
    Text255,
    Text2500,
    Variable,
    Whole,
    Wire,
)


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
