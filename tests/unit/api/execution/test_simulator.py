"""The simulated physics: seeded, independent of how time is cut, and signed with a real key."""

import asyncio
import time
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from api.execution import port as neutral
from api.execution.errors import TraceRefused
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import ArmFrequencyResponse, FrequencyPoint, LimitCharging
from api.execution.simulator import faults as f
from api.execution.simulator import noise
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import DemandStep, ScriptedDemand, shared
from api.execution.simulator.evse import EvseConfig, Mode, Recorder
from api.execution.simulator.fleet import DEPOT, Fleet, build_plant
from api.execution.simulator.frequency import EventDay, LossEvent, Steady, Trace, Wandering, from_csv, from_schedule
from api.execution.simulator.meter import Meter, seeded_key
from api.execution.simulator.plant import Plant
from api.execution.simulator.response import Latched, ResponseTraits, curve_w
from ledger.clock import SetClock
from ledger.delivery.samples import Status, decode

START = 1_768_921_200_000
MINUTE = 60_000
DROOP = tuple(
    FrequencyPoint(freq_millihertz=mhz, power_w=w)
    for mhz, w in ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000))
)


def depot(seed: int = 1, *faults: f.Fault) -> Plant:
    event = LossEvent(at_ms=START + 5 * MINUTE + 830)
    noisy = tuple(
        EvseConfig(
            evse_id=c.evse_id, max_discharge_w=c.max_discharge_w, noise_w=60, dead_time_ms=1500, ramp_w_per_s=900
        )
        for c in DEPOT
    )
    return build_plant(
        "DEPOT-7", noisy, seed=seed, start_ms=START, frequency=EventDay([event], seed=seed), faults=f.Faults(faults)
    )


def arm(plant: Plant, evse_id: int = 1) -> None:
    command = ArmFrequencyResponse(
        command_id="c", evse=plant.address(evse_id), not_after_ms=2**53, curve=DROOP, base_w=5000
    )
    assert plant.execute(command) == neutral.ACCEPTED


def played(seed: int, jumps: list[int]) -> tuple[list[neutral.Telemetry], bytes, bytes]:
    plant = depot(seed, f.PacketLoss(permille=300), f.EvLeaves(from_ms=START + 8 * MINUTE, evse_id=2))
    for evse_id in plant.evses:
        plant.start_transaction(evse_id)
    arm(plant)
    for jump in jumps:
        plant.advance(START + jump)
    plant.execute(neutral.ReadMeter(command_id="r", evse=plant.address(1), not_after_ms=2**53))
    logs = [bytes(plant.evses[1].recorders[interval].records) for interval in (1000, 100)]
    return plant.drain(), logs[0], logs[1]


def test_the_same_seed_gives_the_same_bytes_however_time_is_cut() -> None:
    whole = played(5, [10 * MINUTE])
    assert whole == played(5, [137, 4_001, MINUTE, 5 * MINUTE + 1, 5 * MINUTE + 777, 10 * MINUTE])
    assert whole[1:] != played(6, [10 * MINUTE])[1:]
    assert len(whole[2]) > 24 * 1000


def test_a_meters_text_is_signed_with_its_own_key() -> None:
    meter = Meter(serial="M1", key=seeded_key(1, "M1"), charge_point="FI*NGC*E1")
    meter.pass_energy(7000, 3_600_000)
    meter.pass_energy(-2000, 1_800_000)
    text = meter.sign_reading(START, "B")
    head, payload, signature = text.split("|")
    assert head == "OCMF"
    key = load_der_public_key(meter.public_key_der())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    der = bytes.fromhex(signature.split('"SD":"')[1].split('"')[0])
    key.verify(der, payload.encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(der, payload.replace("7.000000", "7.000001").encode(), ec.ECDSA(hashes.SHA256()))
    assert '"RV":7.000000,"RI":"01-00:B0.08.00*FF"' in payload
    assert '"RV":1.000000,"RI":"01-00:C0.08.00*FF"' in payload
    assert '"PG":"T1"' in payload
    assert '"TM":"2026-01-20T15:00:00,000+0000 S","TX":"B"' in payload
    assert '"PG":"T2"' in meter.sign_reading(START, "E")


def test_a_register_shows_cut_digits_and_never_energy_it_has_not_seen() -> None:
    meter = Meter(serial="M1", key=seeded_key(1, "M1"), decimals=2)
    meter.pass_energy(19_999, 3_600_000)
    assert '"RV":19.99,' in meter.sign_reading(START, "B")


def test_a_meters_error_is_registered_and_a_lie_is_only_shown() -> None:
    meter = Meter(serial="M1", key=seeded_key(1, "M1"), error_ppm=5000)
    assert (meter.measured_w(10_000), meter.shown_w(10_000)) == (10_050, 10_050)
    meter.lie_permille = 1200
    assert (meter.measured_w(10_000), meter.shown_w(10_000)) == (10_050, 12_060)


def test_keys_follow_from_seed_and_serial() -> None:
    def number(seed: int, serial: str) -> int:
        return seeded_key(seed, serial).private_numbers().private_value

    assert number(1, "a") == number(1, "a")
    assert len({number(1, "a"), number(2, "a"), number(1, "b")}) == 3


def test_a_battery_tapers_at_the_top_and_has_a_floor() -> None:
    battery = Battery(capacity_wh=10_000, soc_permille=900)
    assert battery.charge_limit_w(10_000) == 5000
    assert battery.discharge_limit_w(10_000) == 10_000
    battery.pass_energy(-100_000, 3_600_000)
    assert battery.permille() == 0
    assert battery.discharge_limit_w(10_000) == 0
    battery.pass_energy(1_000_000, 3_600_000)
    assert battery.permille() == 1000
    assert battery.charge_limit_w(10_000) == 0
    assert Battery(capacity_wh=10_000, soc_permille=225).discharge_limit_w(10_000) == 5000


def test_a_battery_loses_energy_in_both_directions() -> None:
    battery = Battery(capacity_wh=10_000, soc_permille=500)
    battery.pass_energy(1000, 3_600_000)
    assert battery.permille() == 595
    battery.pass_energy(-950, 3_600_000)
    assert battery.permille() == 495


def test_a_curve_is_straight_between_its_corners_and_flat_outside() -> None:
    assert [curve_w(DROOP, mhz) for mhz in (49_000, 49_500, 49_700, 49_900, 50_000, 50_300, 51_000)] == [
        -11_000,
        -11_000,
        -5_500,
        0,
        0,
        5_500,
        11_000,
    ]


def test_a_latched_response_ramps_holds_releases_and_arms_again() -> None:
    points = (
        FrequencyPoint(freq_millihertz=49_599, power_w=-16_000),
        FrequencyPoint(freq_millihertz=49_600, power_w=0),
    )
    response = Latched(points, ResponseTraits(delay_ms=200, ramp_ms=300, gain_permille=500), 10_000, 200)
    dip = Trace([(0, 49_700), (999, 49_700), (1000, 49_500), (3000, 49_500), (3001, 49_700), (60_000, 49_700)])
    at = {t: response.at(t, dip.millihertz)[0] for t in range(0, 20_000, 100)}
    assert [at[t] for t in (900, 1200, 1300, 1500, 5000, 11_000)] == [0, 0, -2664, -8000, -8000, -8000]
    assert [at[t] for t in (12_000, 14_000, 16_000, 19_000)] == [-6400, -3200, 0, 0]
    again = Trace([(0, 49_700), (29_999, 49_700), (30_000, 49_500), (90_000, 49_500)])
    assert [response.at(t, again.millihertz)[0] for t in (29_900, 30_000, 31_000)] == [0, 0, -8000]


def test_the_demo_event_falls_at_a_third_of_a_hertz_per_second_to_its_nadir() -> None:
    day = EventDay([LossEvent(at_ms=START)], seed=1)
    values = [day.millihertz(START + n * 100) for n in range(-100, 9000)]
    assert abs(min(values) - 49_456) <= 4
    assert values[:100] != [49_985] * 100
    assert abs(sum(values[:100]) / 100 - 49_985) < 1
    fall = day.millihertz(START + 1000) - day.millihertz(START)
    assert abs(fall + 330) <= 6
    assert day.millihertz(START + 500) == EventDay([LossEvent(at_ms=START)], seed=1).millihertz(START + 500)


def test_the_wandering_frequency_stays_near_nominal_and_repeats() -> None:
    one, other = (Wandering(seed=3, start_ms=START) for _ in range(2))
    late = [other.millihertz(START + 3_000_000)]
    values = [one.millihertz(START + n * 1000) for n in range(3001)]
    assert values[-1:] == late
    assert 49_850 < min(values) < max(values) < 50_150
    assert one.fast() == []
    with pytest.raises(TraceRefused):
        one.millihertz(START + 10**12)


def test_a_trace_comes_from_the_standards_json_or_from_a_file(tmp_path: Path) -> None:
    trace = from_schedule(b'[{"time":0,"freq":50.0},{"time":10,"freq":49.9}]', START)
    assert [trace.millihertz(START + t) for t in (-1, 0, 5000, 10_000, 99_999)] == [
        50_000,
        50_000,
        49_950,
        49_900,
        49_900,
    ]
    path = tmp_path / "f.csv"
    path.write_text("dtm,f\n100,50.01\n101,49.99\n")
    assert from_csv(path, START, time_column="dtm", value_column="f").millihertz(START + 500) == 50_000


@pytest.mark.parametrize("data", [b"", b"{}", b'[{"time":0}]', b"[]", b'[{"time":1,"freq":1},{"time":1,"freq":1}]'])
def test_a_schedule_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(TraceRefused):
        from_schedule(data, START)


@pytest.mark.parametrize(
    "text", ["time,freq\n", "time\n1\n", "time,freq\n1,x\n", "time,freq\n1,nan\n", f"time,freq\n1,{1:0200000}\n"]
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(text)
    with pytest.raises(TraceRefused):
        from_csv(path, START)


def test_noise_is_about_normal() -> None:
    values = [noise.gauss(noise.channel(1, "x"), n) for n in range(4000)]
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
    assert abs(mean) < 0.06
    assert abs(deviation - 1) < 0.05
    assert sum(noise.chance(7, n, 250) for n in range(4000)) in range(900, 1100)


def test_a_script_is_shared_exactly() -> None:
    assert shared(51_313, 7) == (7331, 7331, 7331, 7330, 7330, 7330, 7330)
    script = ScriptedDemand([DemandStep(from_ms=10, power_w=1, overrides=True), DemandStep(from_ms=20, power_w=2)])
    assert [script.at(t) for t in (9, 10, 19, 20)] == [(0, False), (1, True), (1, True), (2, False)]
    with pytest.raises(TraceRefused):
        ScriptedDemand([DemandStep(from_ms=0, power_w=0)] * 100_001)


def test_power_ramps_after_the_dead_time() -> None:
    config = EvseConfig(evse_id=1, ramp_w_per_s=2000, dead_time_ms=3000)
    plant = build_plant("CS", (config,), seed=1, start_ms=START)
    plant.start_transaction(1)
    plant.advance(START + MINUTE)
    plant.execute(LimitCharging(command_id="c", evse=plant.address(1), not_after_ms=2**53, limit_w=10_000))
    plant.advance(START + MINUTE + 15_000)
    powers = [s.power_w for s in decode(bytes(plant.evses[1].recorders[1000].records)) if s.t_ms >= START + MINUTE]
    assert powers == [22_000, 22_000, 22_000, 20_000, 18_000, 16_000, 14_000, 12_000, *[10_000] * 8]


def test_a_wrong_clock_dates_records_wrongly_and_says_so_if_it_is_honest() -> None:
    plant = depot(1, f.WrongClock(from_ms=START, offset_ms=3_600_000))
    plant.start_transaction(1)
    plant.advance(START + MINUTE)
    records = decode(bytes(plant.evses[1].recorders[1000].records))
    assert records[-1].t_ms == START + MINUTE + 3_600_000
    assert records[-1].status == Status.CLOCK_UNSYNCHRONISED
    sample = next(e for e in plant.drain() if isinstance(e, neutral.SampleReading))
    assert sample.at_ms == START + MINUTE + 3_600_000


def test_a_lying_meter_disagrees_with_its_registers() -> None:
    plant = build_plant("CS", (EvseConfig(evse_id=1),), seed=1, start_ms=START, faults=f.Faults((f.LyingMeter(),)))
    plant.start_transaction(1)
    plant.advance(START + 10 * MINUTE)
    samples = [e for e in plant.drain() if isinstance(e, neutral.SampleReading)]
    assert samples[-1].power_w == 26_400
    assert plant.evses[1].meter.import_milliwh < 22_000_000 // 6 + 1


def test_an_offline_service_ends_after_its_own_offline_limit() -> None:
    plant = build_plant("CS", (EvseConfig(evse_id=1),), seed=1, start_ms=START)
    plant.start_transaction(1)
    command = LimitCharging(command_id="c", evse=plant.address(1), not_after_ms=2**53, limit_w=6000, duration_s=9000)
    plant.execute(command, max_offline_ms=2 * MINUTE)
    plant.offline_since_ms = START
    plant.advance(START + 2 * MINUTE - 1)
    assert plant.evses[1].service is not None
    plant.advance(START + 2 * MINUTE)
    assert plant.evses[1].service is None


def test_a_recorder_forgets_the_oldest_and_goes_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.execution.simulator.evse.MAX_RECORDED", 10)
    recorder = Recorder()
    for n in range(21):
        recorder.keep(n, n, 0, 0, 0)
    kept = decode(recorder.between(0, 100))
    assert [s.seq for s in kept] == list(range(10, 21))


def test_a_service_that_is_told_again_does_not_disturb_a_running_response() -> None:
    plant = depot()
    plant.start_transaction(1)
    arm(plant)
    plant.advance(START + 6 * MINUTE)
    response = plant.evses[1]._response
    arm(plant)
    plant.advance(START + 6 * MINUTE + 5000)
    assert plant.evses[1]._response is response
    assert plant.evses[1].service is not None
    assert plant.evses[1].service.mode is Mode.FREQUENCY


async def test_a_fleet_over_one_listener_reports_every_station() -> None:
    clock = SetClock(START)
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock)
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        fleet = Fleet.of_size(
            20, f"ws://127.0.0.1:{listener.bound_port}/ocpp", seed=1, start_ms=START, frequency=Steady()
        )
        await fleet.connect()
        assert len(port.connected()) == 20
        await fleet.advance_to(START + 10 * MINUTE)
        samples = [e for e in heard if isinstance(e, neutral.SampleReading)]
        assert len(samples) == 200
        await fleet.close()
        await asyncio.sleep(0.05)
        assert port.connected() == frozenset()


@pytest.mark.slow
def test_four_hours_of_the_depot_with_two_events_take_seconds() -> None:
    events = [LossEvent(at_ms=START + hours * 60 * MINUTE) for hours in (1, 3)]
    plant = build_plant("DEPOT-7", DEPOT, seed=1, start_ms=START, frequency=EventDay(events, seed=1))
    for evse_id in plant.evses:
        plant.start_transaction(evse_id)
        command = ArmFrequencyResponse(
            command_id="c", evse=plant.address(evse_id), not_after_ms=2**53, duration_s=20_000, curve=DROOP, base_w=0
        )
        plant.execute(command)
    began = time.process_time()
    plant.advance(START + 240 * MINUTE)
    assert (
        time.process_time() - began < 60
    )  # 5 s on an idle core; a busy machine with coverage needs several times that
