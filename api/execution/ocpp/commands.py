"""Our commands as OCPP 2.1 requests (reference/ocpp.md), and back: what a station reads out of a profile.

Every profile is Dynamic or carries a `duration`, has `maxOfflineDuration` and is invalid after it, so that an EVSE that
hears nothing more leaves the service by itself and falls to the stack level below (K28.FR.13, Q11).
"""

from datetime import datetime

from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.port import (
    ArmFrequencyResponse,
    ArmInverterCurve,
    BalanceLocally,
    Capabilities,
    CommandBase,
    FetchLog,
    FollowSetpoint,
    HoldReactive,
    LimitCharging,
)
from ledger.delivery import station_root

VENDOR = station_root.VENDOR
LOG_MESSAGE = "DataCollectorLog"
WIDE_SUFFIX = "/wide"
SERVICE_STACK_LEVEL = 5
PROFILE_BASE = 1000
CONTROL_PREFIX = "flex-"
DER_PRIORITY = 10
MAX_OFFLINE_S = 300
MS_PER_S = 1000
MILLIPERCENT = 1000


def profile_id(evse_id: int) -> int:
    """The id of the one profile that we keep per EVSE; installing it again replaces it."""
    return PROFILE_BASE + evse_id


def control_id(evse_id: int) -> str:
    """The id of the one DER control that we keep per EVSE."""
    return f"{CONTROL_PREFIX}{evse_id}"


def parse_control_id(name: str) -> int | None:
    """The EVSE of a control of ours, or None."""
    evse = name.removeprefix(CONTROL_PREFIX)
    return int(evse) if name.startswith(CONTROL_PREFIX) and evse.isdecimal() else None


def _profile(command: CommandBase, period: t.SchedulePeriod, kind: t.ProfileKind, now: datetime) -> t.Wire:
    bound = command.transaction_id is not None
    purpose: t.ProfilePurpose = "TxProfile" if bound else "TxDefaultProfile"
    if period.operation_mode == "ExternalLimits":
        purpose = "ChargingStationExternalConstraints"
    schedule = t.ChargingSchedule(
        id=1,
        charging_rate_unit="W",
        duration=command.duration_s,
        start_schedule=None if kind == "Dynamic" else now,
        charging_schedule_period=(period,),
    )
    profile = t.ChargingProfile(
        id=profile_id(command.evse.evse_id),
        stack_level=SERVICE_STACK_LEVEL,
        charging_profile_purpose=purpose,
        charging_profile_kind=kind,
        transaction_id=command.transaction_id if purpose == "TxProfile" else None,
        max_offline_duration=min(MAX_OFFLINE_S, command.duration_s),
        invalid_after_offline_duration=True,
        charging_schedule=(schedule,),
    )
    return m.SetChargingProfileRequest(evse_id=command.evse.evse_id, charging_profile=profile)


def limit(command: LimitCharging, now: datetime) -> t.Wire:
    """A ChargingOnly limit, or external limits in both directions."""
    export_w = command.export_limit_w
    period = t.SchedulePeriod(
        start_period=0,
        limit=command.limit_w,
        discharge_limit=None if export_w is None else -export_w,
        operation_mode="ChargingOnly" if export_w is None else "ExternalLimits",
    )
    return _profile(command, period, "Dynamic", now)


def setpoint(command: FollowSetpoint, now: datetime) -> t.Wire:
    """A central setpoint; no limit beside it (Q03.FR.02)."""
    period = t.SchedulePeriod(start_period=0, setpoint=command.setpoint_w, operation_mode="CentralSetpoint")
    return _profile(command, period, "Dynamic", now)


def setpoint_update(command: FollowSetpoint) -> t.Wire:
    """The moving value of an installed central setpoint (K28)."""
    return m.UpdateDynamicScheduleRequest(
        charging_profile_id=profile_id(command.evse.evse_id),
        schedule_update=t.ScheduleUpdate(setpoint=command.setpoint_w),
    )


def frequency_response(command: ArmFrequencyResponse, now: datetime) -> t.Wire:
    """A local P(f) curve around a baseline (Q08); hold and release, which the standard lacks, as vendor data."""
    custom: t.Untyped | None = None
    if command.hold_ms:
        custom = {
            "vendorId": VENDOR,
            "holdMs": command.hold_ms,
            "releasePermillePerS": command.release_permille_per_s,
        }
    period = t.SchedulePeriod(
        start_period=0,
        operation_mode="LocalFrequency",
        v2x_baseline=command.base_w,
        v2x_freq_watt_curve=tuple(
            t.FreqWattPoint(frequency=point.freq_millihertz / 1000, power=point.power_w) for point in command.curve
        ),
        custom_data=custom,
    )
    return _profile(command, period, "Absolute", now)


def balance(command: BalanceLocally, now: datetime) -> t.Wire:
    """Local load balancing; its threshold is set by `balance_threshold` first.

    The standard knows no least charge and no budget of a discharge, nor a building with several EVSEs: they are vendor
    data.
    """
    custom: t.Untyped = {
        "vendorId": VENDOR,
        "reserveSocPermille": command.reserve_soc_permille,
        "sharePermille": command.share_permille,
    }
    if command.energy_budget_wh is not None:
        custom["energyBudgetWh"] = command.energy_budget_wh
    period = t.SchedulePeriod(start_period=0, operation_mode="LocalLoadBalancing", custom_data=custom)
    return _profile(command, period, "Absolute", now)


def balance_threshold(command: BalanceLocally) -> t.Wire:
    """The import at which local load balancing begins."""
    data = m.SetVariableData(
        attribute_value=str(command.target_import_w),
        component=t.Component(name="V2XChargingCtrlr", evse=t.Evse(id=command.evse.evse_id)),
        variable=t.Variable(name="LocalLoadBalancing", instance="UpperThreshold"),
    )
    return m.SetVariablesRequest(set_variable_data=(data,))


def inverter_curve(command: ArmInverterCurve, now: datetime) -> t.Wire:
    """A DER curve. OCPP's DER controls count injection as positive: powers flip, on both axes; others do not.

    A control that is no default must say when it begins and how long it lasts (R04).
    """
    unit: dict[str, t.DerUnit] = {"VoltWatt": "PctMaxW", "VoltVar": "PctMaxVar", "WattVar": "PctMaxVar"}
    custom: t.Untyped | None = None
    if command.reference_millivolt:
        custom = {"vendorId": VENDOR, "referenceMillivolt": command.reference_millivolt}
    points = [t.CurvePoint(x=x / MILLIPERCENT, y=y / MILLIPERCENT) for x, y in _flipped(command)]
    curve = t.DerCurve(
        priority=DER_PRIORITY,
        y_unit=unit.get(command.curve_type, "Not_Applicable"),
        response_time=command.response_ms / MS_PER_S,
        start_time=now,
        duration=command.duration_s,
        curve_data=tuple(points),
        custom_data=custom,
    )
    return m.SetDERControlRequest(
        is_default=False,
        control_id=control_id(command.evse.evse_id),
        control_type=command.curve_type,
        curve=curve,
    )


def _flipped(command: ArmInverterCurve) -> list[tuple[int, int]]:
    """The corners with powers flipped, x rising."""
    flip_x = -1 if command.curve_type in ("WattVar", "WattPF") else 1
    flip_y = -1 if command.curve_type != "WattPF" else 1
    return sorted((flip_x * point.x_millipercent, flip_y * point.y_millipercent) for point in command.points)


def hold_reactive(command: HoldReactive, now: datetime) -> t.Wire:
    """A fixed reactive power. FixedVar says "negative refers to charging, positive to discharging": the sign flips."""
    fixed = t.FixedVar(
        priority=DER_PRIORITY,
        setpoint=-command.reactive_millipercent / MILLIPERCENT,
        unit="PctMaxVar",
        start_time=now,
        duration=command.duration_s,
    )
    return m.SetDERControlRequest(
        is_default=False, control_id=control_id(command.evse.evse_id), control_type="FixedVar", fixed_var=fixed
    )


MODES_VARIABLE = ("V2XChargingCtrlr", "SupportedOperationModes")
CURVES_VARIABLES = (("ACDERCtrlr", "ModesSupported"), ("DCDERCtrlr", "ModesSupported"))


def read_capabilities(evse_id: int) -> t.Wire:
    """Which operation modes and curves the station has at this EVSE."""
    asked = tuple(
        m.GetVariableData(
            component=t.Component(name=component, evse=t.Evse(id=evse_id)), variable=t.Variable(name=variable)
        )
        for component, variable in (MODES_VARIABLE, *CURVES_VARIABLES)
    )
    return m.GetVariablesRequest(get_variable_data=asked)


def parse_capabilities(response: t.Wire) -> Capabilities | None:
    """What the answer says; None where it does not know the modes at all, as a station without V2X may not."""
    if not isinstance(response, m.GetVariablesResponse):
        return None
    said = {
        (one.component.name, one.variable.name): frozenset(
            word.strip() for word in (one.attribute_value or "").split(",") if word.strip()
        )
        for one in response.get_variable_result
        if one.attribute_status == "Accepted"
    }
    if MODES_VARIABLE not in said:
        return None
    curves = frozenset(word for name in CURVES_VARIABLES for word in said.get(name, ()))
    return Capabilities(modes=said[MODES_VARIABLE], curves=curves)


def log_location(evse_id: int, interval_ms: int, *, wide: bool = False) -> str:
    """Where the station shall put a log: into DataTransfer messages over the connection it has."""
    return f"flexledger:data-transfer/{evse_id}/{interval_ms}{WIDE_SUFFIX if wide else ''}"


def parse_log_location(location: str) -> tuple[int, int, bool] | None:
    """(EVSE, interval in ms, whether wide records) of a location of ours, or None."""
    scheme, slash, rest = location.partition("/")
    evse, second, interval = rest.removesuffix(WIDE_SUFFIX).partition("/")
    if scheme != "flexledger:data-transfer" or not slash or not second:
        return None
    if not evse.isdecimal() or not interval.isdecimal():
        return None
    return int(evse), int(interval), rest.endswith(WIDE_SUFFIX)


def get_log(command: FetchLog, request_id: int) -> t.Wire:
    """Fetch the DataCollector's log of a span, both ends included."""
    return m.GetLogRequest(
        log_type="DataCollectorLog",
        request_id=request_id,
        log=t.LogParameters(
            remote_location=log_location(command.evse.evse_id, command.interval_ms, wide=command.wide),
            oldest_timestamp=t.from_ms(command.from_ms),
            latest_timestamp=t.from_ms(command.to_ms),
        ),
    )
