"""Commands in the words of OCPP 2.1: signs, units, and the dead-man in every profile."""

import msgspec
import pytest

from api.execution.ocpp import commands
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.plan import Envelope
from api.execution.port import (
    ArmFrequencyResponse,
    ArmInverterCurve,
    BalanceLocally,
    ControlPoint,
    DerCurve,
    EvseAddress,
    FollowSetpoint,
    FrequencyPoint,
    HoldReactive,
    LimitCharging,
)
from api.execution.simulator import protocol

NOW = t.from_ms(1_768_921_200_000)
ENVELOPE: Envelope = {
    "command_id": "",
    "evse": EvseAddress(station_id="CS", evse_id=3),
    "not_after_ms": protocol.NEVER_MS,
    "duration_s": 600,
    "transaction_id": "tx",
}
CURVE = (FrequencyPoint(freq_millihertz=49_599, power_w=-16_000), FrequencyPoint(freq_millihertz=49_600, power_w=0))

COMMANDS = [
    (LimitCharging(**ENVELOPE, limit_w=6000), commands.limit),
    (FollowSetpoint(**ENVELOPE, setpoint_w=-7000), commands.setpoint),
    (
        ArmFrequencyResponse(**ENVELOPE, curve=CURVE, base_w=10_000, hold_ms=34_000, release_permille_per_s=166),
        commands.frequency_response,
    ),
    (BalanceLocally(**ENVELOPE), commands.balance),
]


@pytest.mark.parametrize(("command", "build"), COMMANDS)
def test_every_profile_carries_a_dead_man_and_survives_the_wire(command: object, build: object) -> None:
    request = build(command, NOW)  # type: ignore[operator]
    profile = request.charging_profile
    assert profile.charging_schedule[0].duration == 600
    assert profile.max_offline_duration == 300
    assert profile.invalid_after_offline_duration is True
    assert (profile.transaction_id, profile.charging_profile_purpose) == ("tx", "TxProfile")
    back = msgspec.json.decode(msgspec.json.encode(request), type=m.SetChargingProfileRequest)
    read, max_offline_ms = protocol.command_of(back, "CS")
    assert (read, max_offline_ms) == (command, 300_000)


def test_a_setpoint_is_sent_without_a_limit_beside_it() -> None:
    request = commands.setpoint(FollowSetpoint(**ENVELOPE, setpoint_w=-7000), NOW)
    assert isinstance(request, m.SetChargingProfileRequest)
    period = request.charging_profile.charging_schedule[0].charging_schedule_period[0]
    assert (period.setpoint, period.limit, period.discharge_limit) == (-7000, None, None)


def test_an_export_limit_is_a_negative_discharge_limit_outside_the_transaction() -> None:
    command = LimitCharging(**ENVELOPE, limit_w=6000, export_limit_w=4000)
    request = commands.limit(command, NOW)
    assert isinstance(request, m.SetChargingProfileRequest)
    profile = request.charging_profile
    assert profile.charging_schedule[0].charging_schedule_period[0].discharge_limit == -4000
    assert (profile.charging_profile_purpose, profile.transaction_id) == ("ChargingStationExternalConstraints", None)


def test_frequencies_keep_their_millihertz() -> None:
    command = ArmFrequencyResponse(
        **ENVELOPE,
        base_w=0,
        curve=tuple(FrequencyPoint(freq_millihertz=f, power_w=0) for f in (49_985, 49_999, 50_015)),
    )
    assert b'"frequency":49.985' in msgspec.json.encode(commands.frequency_response(command, NOW))


@pytest.mark.parametrize("reactive", [-100_000, -12_345, 0, 1, 50_000])
def test_fixed_var_counts_injection_as_positive_so_the_sign_flips(reactive: int) -> None:
    command = HoldReactive(**ENVELOPE, reactive_millipercent=reactive)
    request = commands.hold_reactive(command, NOW)
    assert isinstance(request, m.SetDERControlRequest)
    assert request.fixed_var is not None
    assert request.fixed_var.setpoint == -reactive / 1000
    back = protocol.der_command(request, "CS")
    assert isinstance(back, HoldReactive)
    assert back.reactive_millipercent == reactive


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        # Load convention: 60 % of the charging power, or of what is absorbed, is -60 % where injection counts.
        ("VoltWatt", ((92.0, -60.0), (108.0, 95.0))),
        ("VoltVar", ((92.0, -60.0), (108.0, 95.0))),
        # Here x is a power as well: both axes turn, and x still rises.
        ("WattVar", ((-108.0, 95.0), (-92.0, -60.0))),
        # A power factor has no direction of power: > 0 absorbs on both sides.
        ("WattPF", ((-108.0, -95.0), (-92.0, 60.0))),
    ],
)
def test_der_curves_flip_powers_on_both_axes(kind: DerCurve, wire: tuple[tuple[float, float], ...]) -> None:
    points = (
        ControlPoint(x_millipercent=92_000, y_millipercent=60_000),
        ControlPoint(x_millipercent=108_000, y_millipercent=-95_000),
    )
    command = ArmInverterCurve(
        **{**ENVELOPE, "transaction_id": None}, curve_type=kind, points=points, reference_millivolt=230_000
    )
    request = commands.inverter_curve(command, NOW)
    assert isinstance(request, m.SetDERControlRequest)
    assert request.curve is not None
    assert tuple((point.x, point.y) for point in request.curve.curve_data) == wire
    assert (request.curve.start_time, request.curve.duration, request.curve.response_time) == (NOW, 600, 10)
    back = msgspec.json.decode(msgspec.json.encode(request), type=m.SetDERControlRequest)
    assert protocol.der_command(back, "CS") == command


@pytest.mark.parametrize(
    ("kind", "unit"), [("VoltWatt", "PctMaxW"), ("VoltVar", "PctMaxVar"), ("WattVar", "PctMaxVar")]
)
def test_a_der_curve_says_what_its_percents_are_of(kind: DerCurve, unit: str) -> None:
    points = (ControlPoint(x_millipercent=0, y_millipercent=0), ControlPoint(x_millipercent=1, y_millipercent=1))
    request = commands.inverter_curve(ArmInverterCurve(**ENVELOPE, curve_type=kind, points=points), NOW)
    assert isinstance(request, m.SetDERControlRequest)
    assert request.curve is not None
    assert request.curve.y_unit == unit


@pytest.mark.parametrize("name", ["flex-", "flex-x", "flex", "other-3", "3", ""])
def test_a_control_of_somebody_else_is_not_ours(name: str) -> None:
    assert commands.parse_control_id(name) is None
    assert commands.parse_control_id(commands.control_id(3)) == 3


def test_the_reserve_and_the_budget_of_a_battery_travel_as_vendor_data() -> None:
    command = BalanceLocally(**ENVELOPE, share_permille=400, reserve_soc_permille=300, energy_budget_wh=5_000)
    request = commands.balance(command, NOW)
    assert isinstance(request, m.SetChargingProfileRequest)
    period = request.charging_profile.charging_schedule[0].charging_schedule_period[0]
    assert period.custom_data == {
        "vendorId": commands.VENDOR,
        "reserveSocPermille": 300,
        "sharePermille": 400,
        "energyBudgetWh": 5_000,
    }
    assert protocol.command_of(request, "CS")[0] == command


def test_exactly_one_control_field_is_set_and_a_market_control_is_never_a_default() -> None:
    request = commands.hold_reactive(HoldReactive(**ENVELOPE, reactive_millipercent=1), NOW)
    assert isinstance(request, m.SetDERControlRequest)
    assert request.is_default is False
    fields = (request.curve, request.fixed_var, request.freq_droop, request.limit_max_discharge)
    assert sum(field is not None for field in fields) == 1


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere/log",
        "flexledger:data-transfer/x/1",
        "flexledger:data-transfer/1",
        "flexledger:data-transfer/1/wide",
        "flexledger:data-transfer/1/1000/narrow",
        "",
    ],
)
def test_a_log_location_that_is_not_ours_is_not_understood(location: str) -> None:
    assert commands.parse_log_location(location) is None
    assert commands.parse_log_location(commands.log_location(3, 100)) == (3, 100, False)
    assert commands.parse_log_location(commands.log_location(3, 1000, wide=True)) == (3, 1000, True)
