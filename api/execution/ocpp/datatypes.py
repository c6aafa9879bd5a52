"""The data types of OCPP 2.1 (part 2, section 3) that our messages use, within the bounds of its JSON schemas."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_ITEMS = 1024

DateTime = Annotated[datetime, Meta(tz=True)]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Natural = Annotated[int, Meta(ge=0, le=2**53)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Negative = Annotated[float, Meta(le=0)]
Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text36 = Annotated[str, Meta(max_length=36)]
Text50 = Annotated[str, Meta(max_length=50)]
Text200 = Annotated[str, Meta(max_length=200)]
Text255 = Annotated[str, Meta(max_length=255)]
Text1024 = Annotated[str, Meta(max_length=1024)]
Text2000 = Annotated[str, Meta(max_length=2000)]
Text2500 = Annotated[str, Meta(max_length=2500)]
SignedText = Annotated[str, Meta(max_length=32768)]
Untyped = dict[str, object]


def from_ms(at_ms: int) -> datetime:
    """The moment of a Unix time in milliseconds."""
    return EPOCH + timedelta(milliseconds=at_ms)


def to_ms(moment: datetime) -> int:
    """The Unix time in milliseconds of a moment, exactly; finer digits are dropped."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What every message and data type of OCPP has: camel-case names, no unknown fields, and room for vendors."""

    custom_data: Untyped | None = None


RateUnit = Literal["W", "A"]
OperationMode = Literal[
    "Idle",
    "ChargingOnly",
    "CentralSetpoint",
    "ExternalSetpoint",
    "ExternalLimits",
    "CentralFrequency",
    "LocalFrequency",
    "LocalLoadBalancing",
]
ProfilePurpose = Literal[
    "ChargingStationExternalConstraints",
    "ChargingStationMaxProfile",
    "TxDefaultProfile",
    "TxProfile",
    "PriorityCharging",
    "LocalGeneration",
]
ProfileKind = Literal["Absolute", "Recurring", "Relative", "Dynamic"]
DerControl = Literal[
    "EnterService",
    "FreqDroop",
    "FreqWatt",
    "FixedPFAbsorb",
    "FixedPFInject",
    "FixedVar",
    "Gradients",
    "HFMustTrip",
    "HFMayTrip",
    "HVMustTrip",
    "HVMomCess",
    "HVMayTrip",
    "LimitMaxDischarge",
    "LFMustTrip",
    "LVMustTrip",
    "LVMomCess",
    "LVMayTrip",
    "PowerMonitoringMustTrip",
    "VoltVar",
    "VoltWatt",
    "WattPF",
    "WattVar",
]
DerUnit = Literal["Not_Applicable", "PctMaxW", "PctMaxVar", "PctWAvail", "PctVarAvail", "PctEffectiveV"]
GridEventFault = Literal[
    "CurrentImbalance",
    "LocalEmergency",
    "LowInputPower",
    "OverCurrent",
    "OverFrequency",
    "OverVoltage",
    "PhaseRotation",
    "RemoteEmergency",
    "UnderFrequency",
    "UnderVoltage",
    "VoltageImbalance",
]
ReadingContext = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]
EnergyTransferMode = Literal[
    "AC_single_phase",
    "AC_two_phase",
    "AC_three_phase",
    "DC",
    "AC_BPT",
    "AC_BPT_DER",
    "AC_DER",
    "DC_BPT",
    "DC_ACDP",
    "DC_ACDP_BPT",
    "WPT",
]


class StatusInfo(Wire, frozen=True, kw_only=True):
    """Why a status is what it is."""

    reason_code: Text20
    additional_info: Text1024 | None = None


class Evse(Wire, frozen=True, kw_only=True):
    """An EVSE, and perhaps one of its connectors."""

    id: Natural
    connector_id: Natural | None = None


class UnitOfMeasure(Wire, frozen=True, kw_only=True):
    """The unit of a sampled value, times ten to the multiplier."""

    unit: Text20 = "Wh"
    multiplier: Annotated[int, Meta(ge=-12, le=12)] = 0


class SignedMeterValue(Wire, frozen=True, kw_only=True):
    """A signed meter value as the meter gave it (base64)."""

    signed_meter_data: SignedText
    encoding_method: Text50
    signing_method: Text50 | None = None
    public_key: Text2500 | None = None


class SampledValue(Wire, frozen=True, kw_only=True):
    """One measured value; without a measurand it is the import register."""

    value: float
    measurand: Text50 = "Energy.Active.Import.Register"
    context: ReadingContext = "Sample.Periodic"
    phase: Text20 | None = None
    location: Text20 | None = None
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Wire, frozen=True, kw_only=True):
    """What was measured at one moment."""

    timestamp: DateTime
    sampled_value: Annotated[tuple[SampledValue, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class FreqWattPoint(Wire, frozen=True, kw_only=True):
    """Power (W, + charges) at a frequency (Hz), added to the period's v2xBaseline."""

    frequency: float
    power: float


class SignalWattPoint(Wire, frozen=True, kw_only=True):
    """Power at an aFRR signal value."""

    signal: Whole
    power: float


class SchedulePeriod(Wire, frozen=True, kw_only=True):
    """One period of a charging schedule. Positive power charges."""

    start_period: Whole
    limit: float | None = None
    limit_l2: float | None = msgspec.field(name="limit_L2", default=None)
    limit_l3: float | None = msgspec.field(name="limit_L3", default=None)
    number_phases: Annotated[int, Meta(ge=0, le=3)] | None = None
    phase_to_use: Annotated[int, Meta(ge=0, le=3)] | None = None
    discharge_limit: Negative | None = None
    discharge_limit_l2: Negative | None = msgspec.field(name="dischargeLimit_L2", default=None)
    discharge_limit_l3: Negative | None = msgspec.field(name="dischargeLimit_L3", default=None)
    setpoint: float | None = None
    setpoint_l2: float | None = msgspec.field(name="setpoint_L2", default=None)
    setpoint_l3: float | None = msgspec.field(name="setpoint_L3", default=None)
    setpoint_reactive: float | None = None
    setpoint_reactive_l2: float | None = msgspec.field(name="setpointReactive_L2", default=None)
    setpoint_reactive_l3: float | None = msgspec.field(name="setpointReactive_L3", default=None)
    preconditioning_request: bool | None = None
    evse_sleep: bool | None = None
    v2x_baseline: float | None = None
    operation_mode: OperationMode | None = None
    v2x_freq_watt_curve: Annotated[tuple[FreqWattPoint, ...], Meta(min_length=1, max_length=20)] | None = None
    v2x_signal_watt_curve: Annotated[tuple[SignalWattPoint, ...], Meta(min_length=1, max_length=20)] | None = None


class LimitAtSoC(Wire, frozen=True, kw_only=True):
    """A limit that holds from a state of charge on."""

    soc: Percent
    limit: float


class ChargingSchedule(Wire, frozen=True, kw_only=True):
    """A schedule of periods."""

    id: Whole
    charging_rate_unit: RateUnit
    charging_schedule_period: Annotated[tuple[SchedulePeriod, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    limit_at_so_c: LimitAtSoC | None = msgspec.field(name="limitAtSoC", default=None)
    start_schedule: DateTime | None = None
    duration: Whole | None = None
    min_charging_rate: float | None = None
    power_tolerance: float | None = None
    signature_id: Natural | None = None
    digest_value: Annotated[str, Meta(max_length=88)] | None = None
    use_local_time: bool | None = None
    randomized_delay: Natural | None = None
    sales_tariff: Untyped | None = None
    absolute_price_schedule: Untyped | None = None
    price_level_schedule: Untyped | None = None


class ChargingProfile(Wire, frozen=True, kw_only=True):
    """A charging profile; the higher stack level wins."""

    id: Whole
    stack_level: Natural
    charging_profile_purpose: ProfilePurpose
    charging_profile_kind: ProfileKind
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], Meta(min_length=1, max_length=3)]
    recurrency_kind: Literal["Daily", "Weekly"] | None = None
    valid_from: DateTime | None = None
    valid_to: DateTime | None = None
    transaction_id: Text36 | None = None
    max_offline_duration: Whole | None = None
    invalid_after_offline_duration: bool | None = None
    dyn_update_interval: Whole | None = None
    dyn_update_time: DateTime | None = None
    price_schedule_signature: Annotated[str, Meta(max_length=256)] | None = None


class ScheduleUpdate(Wire, frozen=True, kw_only=True):
    """The moving values of a Dynamic profile."""

    limit: float | None = None
    limit_l2: float | None = msgspec.field(name="limit_L2", default=None)
    limit_l3: float | None = msgspec.field(name="limit_L3", default=None)
    discharge_limit: Negative | None = None
    discharge_limit_l2: Negative | None = msgspec.field(name="dischargeLimit_L2", default=None)
    discharge_limit_l3: Negative | None = msgspec.field(name="dischargeLimit_L3", default=None)
    setpoint: float | None = None
    setpoint_l2: float | None = msgspec.field(name="setpoint_L2", default=None)
    setpoint_l3: float | None = msgspec.field(name="setpoint_L3", default=None)
    setpoint_reactive: float | None = None
    setpoint_reactive_l2: float | None = msgspec.field(name="setpointReactive_L2", default=None)
    setpoint_reactive_l3: float | None = msgspec.field(name="setpointReactive_L3", default=None)


class CurvePoint(Wire, frozen=True, kw_only=True):
    """A corner of a DER curve."""

    x: float
    y: float


class DerCurve(Wire, frozen=True, kw_only=True):
    """A DER curve."""

    curve_data: Annotated[tuple[CurvePoint, ...], Meta(min_length=1, max_length=10)]
    priority: Natural
    y_unit: DerUnit
    hysteresis: Untyped | None = None
    reactive_power_params: Untyped | None = None
    voltage_params: Untyped | None = None
    response_time: float | None = None
    start_time: DateTime | None = None
    duration: float | None = None


class FixedVar(Wire, frozen=True, kw_only=True):
    """A fixed reactive power; here, unlike in profiles, positive means discharging (injected)."""

    priority: Natural
    setpoint: float
    unit: DerUnit
    start_time: DateTime | None = None
    duration: float | None = None


class FreqDroop(Wire, frozen=True, kw_only=True):
    """A frequency droop; we take over- and underFreq as absolute Hz, which the standard leaves open."""

    priority: Natural
    over_freq: float
    under_freq: float
    over_droop: float
    under_droop: float
    response_time: float
    start_time: DateTime | None = None
    duration: float | None = None


class LimitMaxDischarge(Wire, frozen=True, kw_only=True):
    """A cap on discharging, in percent of the maximum."""

    priority: Natural
    pct_max_discharge_power: float | None = None
    power_monitoring_must_trip: DerCurve | None = None
    start_time: DateTime | None = None
    duration: float | None = None


class Component(Wire, frozen=True, kw_only=True):
    """A component of the device model."""

    name: Text50
    instance: Text50 | None = None
    evse: Evse | None = None


class Variable(Wire, frozen=True, kw_only=True):
    """A variable of a component."""

    name: Text50
    instance: Text50 | None = None


class LogParameters(Wire, frozen=True, kw_only=True):
    """Which log, and where to put it."""

    remote_location: Text2000
    oldest_timestamp: DateTime | None = None
    latest_timestamp: DateTime | None = None
