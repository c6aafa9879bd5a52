"""Scenario files, strictly read, and stations that come back after a storm one after another."""

import asyncio

import pytest

from api.execution.errors import ScenarioRefused
from api.execution.simulator import faults as f
from api.execution.simulator import scenario
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.playing import Playing
from api.execution.simulator.station import BackOff, SimulatedStation
from ledger.delivery.ocmf import open_ocmf

START = 1_768_921_200_000
KINDS = b"""
[[fault]]
kind = "offline"
stations = ["CS-1", "CS-3"]
from_s = 10
to_s = 20

[[fault]]
kind = "late-answer"
delay_s = 3.5

[[fault]]
kind = "slow"
delay_s = 1

[[fault]]
kind = "reject"
reason = "NoFreqWattCurve"
times = 2

[[fault]]
kind = "wrong-clock"
offset_ms = -5000
honest = false

[[fault]]
kind = "lying-meter"
permille = 1300
every = 2

[[fault]]
kind = "packet-loss"
permille = 250

[[fault]]
kind = "reboot"
from_s = 30

[[fault]]
kind = "ev-leaves"
evse = 1
from_s = 40
reason = "SOCLimitReached"

[[fault]]
kind = "grid-code"
from_s = 50
to_s = 55
power_w = -100
control = "VoltWatt"
fault = "OverVoltage"

[[loss]]
at_s = 60
nadir_millihertz = 49500

[[setpoint]]
at_s = 1
power_w = -7000
"""


def test_every_kind_of_fault_can_be_written() -> None:
    found = scenario.parse(KINDS)
    faults = scenario.faults_of(found, ["CS-1", "CS-2", "CS-3"], START)
    second = START + 50_000
    for kind in (f.LateAnswer, f.SlowResponse, f.RejectCommands, f.WrongClock, f.PacketLoss, f.Reboot):
        assert all(one.active(kind, second) is not None for one in faults.values()), kind
    assert [name for name, one in faults.items() if one.active(f.Offline, START + 10_000)] == ["CS-1", "CS-3"]
    assert not any(one.active(f.Offline, START + 20_000) for one in faults.values())
    assert [name for name, one in faults.items() if one.active(f.LyingMeter, second)] == ["CS-1", "CS-3"]
    (leaves,) = faults["CS-2"].starting(f.EvLeaves, START + 40_000)
    assert (leaves.evse_id, leaves.reason) == (1, "SOCLimitReached")
    (override,) = faults["CS-2"].starting(f.GridCodeOverride, second)
    assert (override.power_w, override.control, override.to_ms) == (-100, "VoltWatt", START + 55_000)
    (loss,) = scenario.losses_of(found, START)
    assert (loss.at_ms, loss.nadir_millihertz) == (START + 60_000, 49_500)


@pytest.mark.parametrize(
    "text",
    [
        "nothing = 1",
        '[[fault]]\nkind = "meteor"',
        '[[fault]]\nkind = "offline"\ndelay_s = 1',
        '[[fault]]\nkind = "offline"\nfrom_s = -1',
        '[[fault]]\nkind = "offline"\nfrom_s = 5\nto_s = 5',
        '[[fault]]\nkind = "offline"\nevery = 0',
        '[[fault]]\nkind = "offline"\nstations = []',
        '[[fault]]\nkind = "late-answer"\ndelay_s = nan',
        '[[fault]]\nkind = "late-answer"\ndelay_s = 3601',
        '[[fault]]\nkind = "packet-loss"\npermille = 1001',
        '[[fault]]\nkind = "reject"\nreason = "<script>"',
        "[[loss]]\nat_s = 1\nnadir_millihertz = 50001",
        "[[setpoint]]\nat_s = 5\npower_w = 1\n[[setpoint]]\nat_s = 5\npower_w = 2",
        "[[setpoint]]\nat_s = 1\npower_w = 1000000001",
        "[[setpoint]]\nat_s = 1.5\npower_w = 1",
        "\x00",
        "[[fault",
        "[[setpoint]]\nat_s = 1\npower_w = 1\n" * 2,
    ],
)
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ScenarioRefused):
        scenario.parse(text.encode())


def test_the_limits_of_a_scenario_hold_on_both_sides() -> None:
    one = '[[fault]]\nkind = "reboot"\n'
    assert len(scenario.parse((one * scenario.MAX_FAULTS).encode()).fault) == scenario.MAX_FAULTS
    with pytest.raises(ScenarioRefused):
        scenario.parse((one * (scenario.MAX_FAULTS + 1)).encode())
    assert scenario.parse(b"#" * scenario.MAX_SCENARIO_BYTES) == scenario.Scenario()
    with pytest.raises(ScenarioRefused):
        scenario.parse(b"#" * (scenario.MAX_SCENARIO_BYTES + 1))


def test_a_station_that_is_not_there_is_refused() -> None:
    found = scenario.parse(b'[[fault]]\nkind = "reboot"\nstations = ["CS-9"]')
    with pytest.raises(ScenarioRefused) as refused:
        scenario.faults_of(found, ["CS-1"], START)
    assert refused.value.where == {"fault": 0}


# A fleet on a virtual clock


def played(seed: int = 3) -> bytes:
    found = scenario.parse(KINDS)
    names = ["CS-1", "CS-2", "CS-3"]
    faults = scenario.faults_of(found, names, START)
    plants = [
        build_plant(
            name,
            (EvseConfig(evse_id=1, max_discharge_w=22_000, noise_w=20),),
            seed=seed + place,
            start_ms=START,
            faults=faults[name],
            report_ms=5_000,
        )
        for place, name in enumerate(names)
    ]
    return b"".join(asyncio.run(Playing(plants, found.setpoint, start_ms=START).lines(90)))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert played() == played()
    assert played() != played(seed=4)


def test_a_play_signs_its_meter_values_and_says_under_which_key() -> None:
    import msgspec

    lines = [msgspec.json.decode(one) for one in played().splitlines()]
    keys = {one["evse"]["station_id"]: bytes.fromhex(one["meter_key_der"]) for one in lines if one["kind"] == "Record"}
    signed = [one for one in lines if one["kind"] == "SignedReading"]
    assert len(signed) >= 3
    for one in signed:
        assert open_ocmf(one["ocmf"], keys[one["evse"]["station_id"]]).record.pagination is not None


def test_the_fleet_follows_a_setpoint_and_says_who_did_not() -> None:
    import msgspec

    lines = [msgspec.json.decode(one) for one in played().splitlines()]
    verdicts = [(one["verdict"], one["reason"]) for one in lines if one["kind"] == "Outcome"]
    assert verdicts == [("REJECTED", "NoFreqWattCurve")] * 3


# Coming back


def test_a_back_off_doubles_up_to_a_bound_and_differs_by_station() -> None:
    back_off = BackOff(minimum_ms=1_000, random_ms=500, doublings=3)
    waits = [back_off.wait_ms(7, attempt) for attempt in range(6)]
    for attempt, wait in enumerate(waits):
        factor = 2 ** min(attempt, 3)
        assert 1_000 * factor <= wait <= 1_500 * factor
    assert waits == [back_off.wait_ms(7, attempt) for attempt in range(6)]
    assert len({back_off.wait_ms(key, 0) for key in range(40)}) > 20


async def test_a_station_that_finds_nobody_waits_before_it_tries_again() -> None:
    plant = build_plant("CS-1", (EvseConfig(evse_id=1),), seed=1, start_ms=START)
    # Nothing listens on the discard port of the loopback interface.
    station = SimulatedStation(plant, "ws://127.0.0.1:9/ocpp", back_off=BackOff(minimum_ms=10_000))
    for second in range(1, 36):
        await station.advance_to(START + second * 1_000)
    # Seen at 1 s: tried at 11 s, and 20 s later.
    assert [text.split(":")[0] for text in station.refusals] == ["connect", "connect"]
