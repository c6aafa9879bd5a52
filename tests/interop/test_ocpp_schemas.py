"""Every OCPP 2.1 message that either side of ours emits is valid under the schemas that the `ocpp` package ships."""

import asyncio
import importlib.resources
import json
from dataclasses import replace
from functools import cache

import jsonschema  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution import port as neutral
from api.execution.ocpp import codec, commands
from api.execution.ocpp import messages as m
from api.execution.ocpp.datatypes import (
    ChargingProfile,
    ChargingSchedule,
    Component,
    SchedulePeriod,
    Variable,
    Wire,
    from_ms,
)
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.mailbox import Answered, Letter
from api.execution.ocpp.port import OcppPort
from api.execution.plan import Envelope
from api.execution.port import ControlPoint, EvseAddress, FrequencyPoint
from api.execution.simulator import faults as f
from api.execution.simulator.fleet import DEPOT, build_plant
from api.execution.simulator.frequency import EventDay, LossEvent
from api.execution.simulator.protocol import RootSigner
from api.execution.simulator.station import SimulatedStation
from ledger.clock import SetClock
from ledger.records.jws import decode_base64url

START = 1_768_921_200_000


@cache
def validator(name: str) -> object:
    text = importlib.resources.files("ocpp").joinpath(f"v21/schemas/{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema.Draft6Validator(json.loads(text))


def judge(frames: list[bytes]) -> set[str]:
    """The names of the schemas under which frames were found valid; the frames of both directions, in order."""
    asked: dict[str, str] = {}
    names = set()
    for raw in frames:
        frame = codec.decode(raw)
        match frame:
            case codec.Call():
                asked[frame.message_id] = frame.action
                name = f"{frame.action}Request"
            case codec.CallResult():
                name = f"{asked[frame.message_id]}Response"
            case codec.Send():
                name = frame.action
            case _:
                raise AssertionError(raw)
        said = json.loads(frame.payload)
        if isinstance(frame, codec.Call) and frame.action == m.SIGNED:
            # Nobody ships a schema of the signed form; what was signed is the plain request.
            said = json.loads(decode_base64url(said["payload"]))
        validator(name.replace("-Signed", "")).validate(said)  # type: ignore[attr-defined]
        names.add(name)
    return names


def tapped(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    frames: list[bytes] = []

    def keep(frame: list[object]) -> bytes:
        data = encode(frame)
        frames.append(data)
        return data

    encode = codec._bytes
    monkeypatch.setattr(codec, "_bytes", keep)
    return frames


async def test_every_message_we_emit_is_valid_under_a_strangers_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = tapped(monkeypatch)
    clock = SetClock(START)
    plant = build_plant(
        "DEPOT-7",
        (*DEPOT[:3], replace(DEPOT[3], max_inject_var=9_000, max_absorb_var=9_000), *DEPOT[4:]),
        seed=1,
        start_ms=START,
        frequency=EventDay([LossEvent(at_ms=START + 600_000)], seed=1),
        faults=f.Faults(
            (
                f.GridCodeOverride(from_ms=START + 700_000, to_ms=START + 710_000, evse_id=2),
                f.EvLeaves(from_ms=START + 800_000, evse_id=8),
                f.RejectCommands(from_ms=START + 900_000),
            )
        ),
    )
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock)
        signer = RootSigner(ec.derive_private_key(7, ec.SECP256R1()), b"certificate")
        station = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp", signer=signer)
        uploaded = asyncio.Event()
        port.subscribe(lambda event: uploaded.set() if isinstance(event, neutral.LogUploaded) else None)
        await station.connect()

        def to(evse_id: int) -> Envelope:
            evse = EvseAddress(station_id="DEPOT-7", evse_id=evse_id)
            return {
                "command_id": "c",
                "evse": evse,
                "not_after_ms": 2**53,
                "duration_s": 3600,
                "transaction_id": port.transaction(evse),
            }

        curve = (
            FrequencyPoint(freq_millihertz=49_599, power_w=-16_000),
            FrequencyPoint(freq_millihertz=49_600, power_w=0),
        )
        corners = (
            ControlPoint(x_millipercent=92_000, y_millipercent=1),
            ControlPoint(x_millipercent=99_000, y_millipercent=0),
        )
        for command in (
            neutral.LimitCharging(**to(5), limit_w=6000),
            neutral.LimitCharging(**to(7), limit_w=6000, export_limit_w=100),
            neutral.FollowSetpoint(**to(1), setpoint_w=-7000),
            neutral.FollowSetpoint(**to(1), setpoint_w=-7500),
            neutral.ArmFrequencyResponse(
                **to(2), curve=curve, base_w=10_000, hold_ms=34_000, release_permille_per_s=166
            ),
            neutral.BalanceLocally(**to(3), reserve_soc_permille=300, energy_budget_wh=9_000),
            neutral.HoldReactive(**to(4), reactive_millipercent=-5500),
            neutral.ClearService(**to(4), curve=True),
            neutral.ArmInverterCurve(**to(4), curve_type="VoltVar", points=corners, reference_millivolt=230_000),
            neutral.ArmInverterCurve(**to(4), curve_type="VoltWatt", points=corners, reference_millivolt=230_000),
            neutral.ArmInverterCurve(**to(4), curve_type="WattVar", points=corners),
            neutral.ReadMeter(**to(1)),
        ):
            assert await port.send(command) == neutral.ACCEPTED
        await station.advance_to(START + 850_000)
        fetch = neutral.FetchLog(**to(2), from_ms=START, to_ms=START + 850_000, interval_ms=100)
        assert await port.send(fetch) == neutral.ACCEPTED
        await asyncio.wait_for(uploaded.wait(), 5)
        await port.send(neutral.ClearService(**to(2)))
        await station.advance_to(START + 900_000)
        rejected = await port.send(neutral.LimitCharging(**to(5), limit_w=1))
        assert rejected.verdict is neutral.Verdict.REJECTED
        reading = neutral.SampleReading(evse=fetch.evse, at_ms=START, power_w=1, freq_millihertz=2, setpoint_w=3)
        await station.stream([reading])
        for question in QUESTIONS:
            await asked(listener, question)
        for report in REPORTS:
            await station._call(report)
        await station.close()
        assert station.refusals == []
    names = judge(frames)
    # A new action without a sample here fails: what nobody judged may be anything.
    expected = {f"{name}{end}" for name in m.ACTIONS for end in ("Request", "Response")} | set(m.SENDS)
    assert expected - names == set()


async def asked(listener: StationListener, request: Wire) -> None:
    """A request that no service of ours sends is answered with what belongs to it."""
    letter = Letter(action=m.action_of(request), request=request, not_after_ms=2**53, timeout_s=5, reference="q")
    reply = await listener.post("DEPOT-7", letter)
    assert isinstance(reply, Answered), (request, reply)
    assert isinstance(reply.response, m.action_of(request).response)


NOW = from_ms(START)
PROFILE = ChargingProfile(
    id=1,
    stack_level=1,
    charging_profile_purpose="TxDefaultProfile",
    charging_profile_kind="Relative",
    charging_schedule=(
        ChargingSchedule(
            id=1, charging_rate_unit="W", charging_schedule_period=(SchedulePeriod(start_period=0, limit=11_000.0),)
        ),
    ),
)
TARIFF = {"tariffId": "T1", "currency": "EUR"}
QUESTIONS: tuple[Wire, ...] = (
    m.GetVariablesRequest(
        get_variable_data=(m.GetVariableData(component=Component(name="X"), variable=Variable(name="Y")),)
    ),
    commands.read_capabilities(1),
    m.GetCompositeScheduleRequest(duration=60, evse_id=1),
    m.GetCompositeScheduleRequest(duration=60, evse_id=99),
    m.GetChargingProfilesRequest(request_id=1, charging_profile=m.ProfileCriterion()),
    m.GetChargingProfilesRequest(request_id=2, evse_id=99, charging_profile=m.ProfileCriterion(stack_level=5)),
    m.GetDERControlRequest(request_id=3, control_type="VoltVar"),
    m.AFRRSignalRequest(timestamp=NOW, signal=-20),
    m.NotifyAllowedEnergyTransferRequest(transaction_id="nobody", allowed_energy_transfer=("AC_BPT", "DC")),
    m.UsePriorityChargingRequest(transaction_id="nobody", activate=True),
    m.SetDefaultTariffRequest(evse_id=1, tariff=TARIFF),
    m.ChangeTransactionTariffRequest(transaction_id="nobody", tariff=TARIFF),
    m.RequestStartTransactionRequest(remote_start_id=1, id_token={"idToken": "", "type": "NoAuthorization"}),
    m.RequestStartTransactionRequest(remote_start_id=2, evse_id=1, id_token={"idToken": "", "type": "Central"}),
    m.RequestStopTransactionRequest(transaction_id="nobody"),
)
"""One of each that the service itself never sends; our simulated station answers each as its schema says."""

REPORTS: tuple[Wire, ...] = (
    m.Empty(),  # a heartbeat
    m.NotifyEVChargingNeedsRequest(
        evse_id=1, charging_needs=m.ChargingNeeds(requested_energy_transfer="DC_BPT", departure_time=NOW)
    ),
    m.SecurityEventNotificationRequest(type="InvalidMessages", timestamp=NOW),
    m.NotifyEventRequest(
        generated_at=NOW,
        seq_no=0,
        event_data=(
            {
                "eventId": 1,
                "timestamp": "2026-01-20T15:00:00Z",
                "trigger": "Delta",
                "actualValue": "1",
                "eventNotificationType": "CustomMonitor",
                "component": {"name": "V2XChargingCtrlr"},
                "variable": {"name": "Enabled"},
            },
        ),
    ),
    m.NotifyReportRequest(request_id=1, generated_at=NOW, seq_no=0),
    m.NotifyChargingLimitRequest(charging_limit=m.ChargingLimit(charging_limit_source="EMS"), evse_id=1),
    m.ReportChargingProfilesRequest(request_id=1, charging_limit_source="CSO", evse_id=1, charging_profile=(PROFILE,)),
    m.ReportDERControlRequest(request_id=1),
    m.PullDynamicScheduleUpdateRequest(charging_profile_id=1001),
    m.PullDynamicScheduleUpdateRequest(charging_profile_id=7),
)
"""One of each that the simulated station never sends by itself; our listener answers each as its schema says."""
