"""Whole runs of the adapter on the simulator, and its table of failures."""

import asyncio
import hashlib
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution import port as neutral
from api.execution.adapter import Adapter
from api.execution.errors import PlanRefused, RunUnknown
from api.execution.evidence import EvidenceRule, Execution, ExecutionFact, FactKind, Span
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.plan import schedule
from api.execution.port import FrequencyPoint
from api.execution.services import (
    CongestionService,
    DroopService,
    FfrService,
    Interval,
    MandatoryLimitService,
    SetpointService,
)
from api.execution.simulator import faults as f
from api.execution.simulator.demand import DemandStep, ScriptedDemand, shared
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import DEPOT, E4_FAILING, build_plant
from api.execution.simulator.frequency import EventDay, LossEvent
from api.execution.simulator.protocol import RootSigner
from api.execution.simulator.station import SimulatedStation
from api.execution.waiting import polling
from ledger.clock import SetClock
from ledger.delivery import samples as bodies
from ledger.delivery import station_root
from ledger.delivery.ocmf import open_ocmf
from ledger.records.jws import encode_base64url
from tests.support.depot import (
    HOUR,
    MINUTE,
    START,
    STATION,
    Depot,
    address,
    cap,
    every,
    evidence_of,
    participants,
    request,
)

pytestmark = pytest.mark.slow  # takes seconds


async def test_a_congestion_service_leaves_exactly_the_scripted_power_per_settlement_period() -> None:
    group = (1, 2, 3, 4, 5, 7, 8)
    totals = (51313, 47800, 44301, 54653)
    steps: dict[int, list[DemandStep]] = {evse_id: [] for evse_id in group}
    for period, total_w in enumerate(totals):
        for evse_id, power_w in zip(group, shared(total_w, len(group)), strict=True):
            steps[evse_id].append(DemandStep(from_ms=START + period * 15 * MINUTE, power_w=power_w, overrides=True))
    depot = Depot(demands={evse_id: ScriptedDemand(script) for evse_id, script in steps.items()})
    execution = await depot.play(request(cap(48_000), participants(*group)), every(15 * MINUTE))
    means = [0, 0, 0, 0]
    for part in execution.evidence:
        decoded = bodies.decode(part.samples)
        assert (part.source, part.sample_count, part.unproven) == ("LIVE", 60, ())
        for period in range(4):
            from_ms = START + period * 15 * MINUTE
            means[period] += bodies.mean_power_w(decoded, from_ms, from_ms + 15 * MINUTE)
    assert tuple(means) == totals
    assert depot.kinds(1)[:2] == [FactKind.DISPATCHED, FactKind.STARTED]
    assert depot.kinds(1)[-1] is FactKind.COMPLETED
    assert FactKind.DEVIATION in depot.kinds(7)
    assert depot.kinds(6) == []


async def test_the_signed_readings_at_both_ends_close_with_the_samples() -> None:
    depot = Depot()
    execution = await depot.play(request(cap(77_000), participants(1, 7)), every(15 * MINUTE))
    part = evidence_of(execution, 1)
    meter = depot.plant.evses[1].meter
    assert part.ocmf_start is not None
    assert part.ocmf_end is not None
    first, last = (open_ocmf(text, meter.public_key_der()).record for text in (part.ocmf_start, part.ocmf_end))
    assert first.pagination is not None
    assert last.pagination is not None
    assert (first.pagination.number, last.pagination.number) == (2, 3)
    at = [record.readings[0].at_ms for record in (first, last)]
    assert at == [START, START + HOUR]
    energies = [record.readings[0].energy_milliwh for record in (first, last)]
    assert energies[0] is not None
    assert energies[1] is not None
    closure = bodies.closure(
        bodies.decode(part.samples), energies[0], energies[1], 10_000, 1, start_at_ms=START, end_at_ms=START + HOUR
    )
    assert closure.verdict is bodies.ClosureVerdict.PROVES


async def test_a_mandatory_cap_is_never_exceeded_after_it_took_hold() -> None:
    noisy = tuple(EvseConfig(**{n: getattr(c, n) for n in c.__slots__} | {"noise_w": 60}) for c in DEPOT)
    depot = Depot(configs=noisy)
    service = MandatoryLimitService(start_at_ms=START, import_cap_w=33_600, floor_w_per_evse=4200)
    who = participants(1, 2, 3, 4, 5, 6, 7, 8)
    rule = EvidenceRule(interval_ms=1000)
    execution = await depot.play(
        request(service, who, end_ms=START + 15 * MINUTE, evidence=rule),
        every(5 * MINUTE, until_ms=START + 15 * MINUTE),
    )
    totals: dict[int, int] = {}
    for part in execution.evidence:
        assert (part.source, part.sample_count) == ("LOG", 900)
        for sample in bodies.decode(part.samples):
            totals[sample.t_ms] = totals.get(sample.t_ms, 0) + sample.power_w
    after = [power_w for t, power_w in totals.items() if t >= START + MINUTE]
    assert len(after) == 14 * 60
    assert max(after) <= 33_600
    assert min(after) > 32_000


EVENT = START + 12 * MINUTE + 5_830


def ffr() -> FfrService:
    return FfrService(
        start_at_ms=START,
        trigger_millihertz=49_600,
        capacity_w=60_000,
        full_ms=1000,
        support_ms=30_000,
        dispatch_w={address(n): 16_000 for n in (1, 2, 3, 4)},
        base_w={address(n): 10_000 for n in (1, 2, 3, 4)},
    )


FFR_RULE = EvidenceRule(interval_ms=100, trigger_millihertz=49_600)


async def play_ffr(configs: tuple[EvseConfig, ...]) -> tuple[Execution, dict[int, int], int]:
    """The run, the group's power at each moment, and the moment of the trigger."""
    depot = Depot(frequency=EventDay([LossEvent(at_ms=EVENT)], seed=1), configs=configs)
    execution = await depot.play(
        request(ffr(), participants(1, 2, 3, 4), evidence=FFR_RULE), [START, START + 10 * MINUTE, START + HOUR]
    )
    group: dict[int, int] = {}
    for part in execution.evidence:
        for sample in bodies.decode(part.samples):
            group[sample.t_ms] = group.get(sample.t_ms, 0) + sample.power_w
    t0 = execution.evidence[0].event_at_ms
    assert t0 is not None
    return execution, group, t0


def noisy_depot(**change: object) -> tuple[EvseConfig, ...]:
    configs = []
    for config in DEPOT:
        fields = {name: getattr(config, name) for name in config.__slots__} | {"noise_w": 60}
        configs.append(EvseConfig(**(fields | (change if config.evse_id == 4 else {}))))
    return tuple(configs)


async def test_a_fast_reserve_answers_in_time_holds_and_releases_slowly() -> None:
    execution, group, t0 = await play_ffr(noisy_depot())
    for part in execution.evidence:
        assert (part.source, part.sample_count, part.interval_ms) == ("LOG", 9101, 100)
        assert part.window == Span(t0 - 10_000, t0 + 900_000)
        assert part.unproven == ()
        decoded = bodies.decode(part.samples)
        assert bodies.lost(decoded) == 0
        assert 49_400 < min(s.freq_millihertz for s in decoded) < 49_460
    base_w = sum(group[t0 - 10_000 + n * 100] for n in range(100)) // 100
    assert abs(base_w - 40_000) < 50
    assert base_w - group[t0 + 1000] >= 60_000
    assert min(base_w - group[t0 + n * 100] for n in range(10, 311)) >= 60_000
    delivered = [base_w - group[t0 + n * 100] for n in range(330, 420)]
    steepest = max(before - after for before, after in zip(delivered, delivered[10:], strict=False))
    assert steepest <= 60_000 // 5
    assert abs(group[t0 + 60_000] - 40_000) < 500


async def test_a_slower_evse_makes_the_group_miss_its_time() -> None:
    _, group, t0 = await play_ffr(noisy_depot(response=E4_FAILING))
    base_w = sum(group[t0 - 10_000 + n * 100] for n in range(100)) // 100
    assert base_w - group[t0 + 1000] < 59_000


async def test_a_fast_reserve_without_an_event_leaves_the_quiet_log_of_the_whole_service() -> None:
    depot = Depot()
    execution = await depot.play(
        request(ffr(), participants(1, 2, 3, 4), end_ms=START + 10 * MINUTE, evidence=FFR_RULE),
        [START, START + 10 * MINUTE],
    )
    for part in execution.evidence:
        assert (part.source, part.interval_ms, part.event_at_ms) == ("LOG", 1000, None)
        assert part.sample_count == 600


DROOP = tuple(
    FrequencyPoint(freq_millihertz=mhz, power_w=w)
    for mhz, w in ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000))
)


async def test_a_droop_follows_its_curve_second_by_second() -> None:
    depot = Depot(frequency=EventDay([LossEvent(at_ms=EVENT)], seed=1))
    rule = EvidenceRule(interval_ms=1000, trigger_millihertz=49_600)
    execution = await depot.play(
        request(DroopService(start_at_ms=START, points=DROOP), participants(7, 8), evidence=rule),
        [START, START + HOUR],
    )
    for part in execution.evidence:
        decoded = bodies.decode(part.samples)
        assert len(decoded) == 911
        missed = [s for s in decoded if abs(s.power_w - s.setpoint_w) > 550]
        assert len(missed) <= 3
        assert min(s.power_w for s in decoded) >= -11_000


async def test_steps_of_a_setpoint_series_are_applied_each_at_its_time() -> None:
    depot = Depot()
    series = tuple(
        Interval(start_at_ms=START + n * 20 * MINUTE, duration_ms=20 * MINUTE, value=w)
        for n, w in enumerate((-30_000, 12_000, 0))
    )
    execution = await depot.play(request(SetpointService(series=series), participants(1, 2)), every(10 * MINUTE))
    decoded = bodies.decode(evidence_of(execution, 1).samples)
    assert {s.power_w for s in decoded if START + MINUTE < s.t_ms < START + 20 * MINUTE} == {-15_000}
    assert {s.power_w for s in decoded if START + 21 * MINUTE < s.t_ms < START + 40 * MINUTE} == {6_000}
    assert {s.power_w for s in decoded if s.t_ms > START + 41 * MINUTE} == {0}
    assert depot.kinds(1).count(FactKind.SETPOINT_APPLIED) == 2


async def test_fed_steps_move_a_running_setpoint() -> None:
    depot = Depot()
    service = SetpointService(series=(Interval(start_at_ms=START, duration_ms=MINUTE, value=0),))
    running = asyncio.create_task(depot.adapter.run(request(service, participants(1)), depot.record))
    await asyncio.sleep(0)
    await depot.move(START)
    moved = SetpointService(series=(Interval(start_at_ms=START + 10 * MINUTE, duration_ms=MINUTE, value=-5000),))
    depot.adapter.feed("FSR-1", schedule(moved, participants(1)))
    for at_ms in every(10 * MINUTE):
        await depot.move(at_ms)
    execution = await running
    decoded = bodies.decode(evidence_of(execution, 1).samples)
    assert decoded[-1].power_w == -5000
    with pytest.raises(RunUnknown, match="no execution"):
        depot.adapter.feed("FSR-1", ())


async def test_a_plan_that_cannot_be_kept_sends_nothing() -> None:
    depot = Depot()
    with pytest.raises(PlanRefused):
        await depot.adapter.run(request(SetpointService(series=()), participants(1)), depot.record)
    assert depot.facts == []
    assert depot.adapter.running() == frozenset()


async def test_a_run_over_ocpp_leaves_byte_for_byte_what_a_run_in_process_leaves() -> None:
    direct, _, _ = await play_ffr(noisy_depot())
    clock = SetClock(START - MINUTE)
    plant = build_plant(
        STATION,
        noisy_depot(),
        seed=63382,
        start_ms=START - MINUTE,
        frequency=EventDay([LossEvent(at_ms=EVENT)], seed=1),
    )
    facts: list[ExecutionFact] = []

    async def record(fact: ExecutionFact) -> None:
        facts.append(fact)

    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock)
        key = ec.derive_private_key(7, ec.SECP256R1())
        signer = RootSigner(key, b"certificate")
        station = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp", signer=signer)
        await station.connect()
        adapter = Adapter(port, clock=clock, sleep_until_ms=polling(clock))
        running = asyncio.create_task(adapter.run(request(ffr(), participants(1, 2, 3, 4), evidence=FFR_RULE), record))
        await asyncio.sleep(0)
        for at_ms in (START, START + 10 * MINUTE, START + HOUR):
            await station.advance_to(at_ms)
            clock.set_ms(at_ms)
            async with asyncio.timeout(5):
                while sum(fact.kind is FactKind.STARTED for fact in facts) < 4:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        execution = await running
        await station.close()
        assert (station.refusals, port.sequence_gaps) == ([], 0)
    assert [part.samples for part in execution.evidence] == [part.samples for part in direct.evidence]
    assert [part.ocmf_end for part in execution.evidence] == [part.ocmf_end for part in direct.evidence]
    # Each body, the quiet one before the event too, is exactly one that the station signed.
    x5t = encode_base64url(hashlib.sha256(b"certificate").digest())
    for part in execution.evidence:
        for body, jws in ((part.samples, part.samples_jws), (part.quiet_before, part.quiet_jws)):
            assert jws is not None
            said = station_root.open_root(jws, key.public_key(), x5t).root
            station_root.require_of(said, body, station_id=STATION, evse_id=part.evse.evse_id)
    assert {part.samples_jws for part in direct.evidence} == {None}
    assert [part.ocmf_start for part in execution.evidence] == [part.ocmf_start for part in direct.evidence]


# ---------------------------------------------------------------------- the table of failures
async def test_offline_silence_is_unproven_and_the_return_sends_the_same_value_again() -> None:
    away = f.Offline(from_ms=START + 10 * MINUTE, to_ms=START + 30 * MINUTE)
    lost = f.PacketLoss(from_ms=START + 10 * MINUTE, to_ms=START + 30 * MINUTE, permille=1000)
    depot = Depot(faults=(away, lost))
    execution = await depot.play(request(cap(10_000), participants(1)), every(5 * MINUTE))
    part = evidence_of(execution, 1)
    assert part.unproven == (Span(START + 9 * MINUTE, START + 30 * MINUTE),)
    kinds = depot.kinds(1)
    assert kinds.index(FactKind.COMMS_LOST) < kinds.index(FactKind.RESUMED)
    assert kinds.count(FactKind.DISPATCHED) == 1
    assert FactKind.SETPOINT_APPLIED in kinds[kinds.index(FactKind.RESUMED) :]
    assert kinds[-1] is FactKind.COMPLETED


async def test_queued_readings_of_an_offline_time_fill_the_gap() -> None:
    away = f.Offline(from_ms=START + 10 * MINUTE, to_ms=START + 12 * MINUTE)
    depot = Depot(faults=(away,))
    execution = await depot.play(request(cap(10_000), participants(1)), every(5 * MINUTE))
    assert evidence_of(execution, 1).unproven == ()


async def test_a_rejected_evse_is_given_up_and_not_asked_again() -> None:
    depot = Depot(faults=(f.RejectCommands(from_ms=START, evse_id=1, reason="InvalidSchedule"),))
    execution = await depot.play(request(cap(20_000), participants(1, 2)), every(20 * MINUTE))
    rejected = [fact for fact in depot.facts if fact.kind is FactKind.REJECTED]
    assert [(fact.evse, fact.cause) for fact in rejected] == [(address(1), "InvalidSchedule")]
    assert depot.kinds(1) == [FactKind.DISPATCHED, FactKind.REJECTED]
    assert depot.kinds(2)[-1] is FactKind.COMPLETED
    assert len(execution.evidence) == 2


async def test_a_duplicate_profile_is_cleared_and_sent_once_more() -> None:
    fault = f.RejectCommands(from_ms=START, evse_id=1, reason="DuplicateProfile", times=2)
    depot = Depot(faults=(fault,))
    # The first rejection meets the meter reading, the second the profile.
    await depot.play(request(cap(20_000), participants(1)), every(20 * MINUTE))
    assert depot.kinds(1) == [FactKind.DISPATCHED, FactKind.REJECTED, FactKind.STARTED, FactKind.COMPLETED]


async def test_a_late_answer_counts_as_the_answer() -> None:
    late = f.LateAnswer(from_ms=START, to_ms=START + 1000, delay_s=10.0)
    depot = Depot(faults=(late,), timeout_ms=5_000)
    await depot.play(request(cap(20_000), participants(1)), [START, START + 10_000, *every(20 * MINUTE)])
    facts = [(fact.kind, fact.cause) for fact in depot.facts]
    assert facts[1:3] == [(FactKind.UNKNOWN, "Timeout"), (FactKind.STARTED, "LateAnswer")]
    assert depot.kinds(1).count(FactKind.DISPATCHED) == 1


async def test_an_unknown_command_is_sent_again_after_a_back_off_and_then_left_to_the_evidence() -> None:
    depot = Depot(faults=(f.LateAnswer(from_ms=START, delay_s=10**6),), timeout_ms=5_000)
    execution = await depot.play(request(cap(10_000), participants(1)), every(MINUTE))
    assert depot.kinds(1) == [FactKind.DISPATCHED, FactKind.UNKNOWN, FactKind.UNKNOWN, FactKind.UNKNOWN]
    # Nobody answered, and yet it was delivered: UNKNOWN is never FAILED.
    decoded = bodies.decode(evidence_of(execution, 1).samples)
    assert {s.power_w for s in decoded if s.t_ms > START + MINUTE} == {10_000}


async def test_an_answer_after_the_last_attempt_is_still_recorded() -> None:
    late = f.LateAnswer(from_ms=START, to_ms=START + 5 * MINUTE, delay_s=600.0)
    depot = Depot(faults=(late,), timeout_ms=5_000)
    await depot.play(request(cap(10_000), participants(1)), every(MINUTE))
    assert depot.kinds(1)[:5] == [FactKind.DISPATCHED, *[FactKind.UNKNOWN] * 3, FactKind.STARTED]
    assert next(fact for fact in depot.facts if fact.kind is FactKind.STARTED).cause == "LateAnswer"
    assert depot.kinds(1)[-1] is FactKind.COMPLETED


async def test_a_step_fed_before_the_start_does_not_start_early() -> None:
    depot = Depot()
    service = SetpointService(series=(Interval(start_at_ms=START, duration_ms=MINUTE, value=0),))
    running = asyncio.create_task(depot.adapter.run(request(service, participants(1)), depot.record))
    await asyncio.sleep(0)
    depot.adapter.feed("FSR-1", ())
    await depot.move(START - 1000)
    assert depot.facts == []
    depot.adapter.abort("FSR-1", "CANCELLED")
    execution = await running
    assert (execution.evidence, depot.facts) == ((), [])


async def test_a_command_that_could_not_be_sent_in_time_expires() -> None:
    away = f.Offline(from_ms=START - 1000, to_ms=START + 2 * HOUR)
    depot = Depot(faults=(away,))
    series = tuple(
        Interval(start_at_ms=START + n * 30 * MINUTE, duration_ms=30 * MINUTE, value=10_000) for n in range(2)
    )
    execution = await depot.play(request(CongestionService(series=series), participants(1)), every(10 * MINUTE))
    assert sorted(kind.value for kind in depot.kinds(1)) == ["DISPATCHED", "EXPIRED", "EXPIRED"]
    assert evidence_of(execution, 1).samples == b""


async def test_an_ev_that_leaves_ends_its_obligation_and_not_the_others() -> None:
    depot = Depot(faults=(f.EvLeaves(from_ms=START + 20 * MINUTE, evse_id=1, reason="EVDisconnected"),))
    execution = await depot.play(request(cap(20_000), participants(1, 2)), every(5 * MINUTE))
    part = evidence_of(execution, 1)
    assert part.ended_at_ms == START + 20 * MINUTE
    assert part.window.to_ms == START + 20 * MINUTE
    assert part.unproven == ()
    assert part.ocmf_end is not None
    assert '"TX":"E"' in part.ocmf_end
    aborted = [fact for fact in depot.facts if fact.kind is FactKind.ABORTED]
    assert [(fact.evse, fact.cause, fact.station_clock) for fact in aborted] == [(address(1), "EVDisconnected", True)]
    assert depot.kinds(2)[-1] is FactKind.COMPLETED


async def test_a_grid_code_function_that_takes_over_is_flagged_and_not_a_deviation() -> None:
    override = f.GridCodeOverride(from_ms=START + 10 * MINUTE, to_ms=START + 20 * MINUTE, evse_id=1, power_w=0)
    depot = Depot(faults=(override,))
    execution = await depot.play(request(cap(20_000), participants(1)), every(5 * MINUTE))
    part = evidence_of(execution, 1)
    assert part.overridden == (Span(START + 10 * MINUTE, START + 20 * MINUTE),)
    flagged = [s for s in bodies.decode(part.samples) if s.status & bodies.Status.GRID_CODE_OVERRIDE]
    assert len(flagged) == 10
    assert depot.kinds(1).count(FactKind.ALARM) == depot.kinds(1).count(FactKind.ALARM_CLEARED) == 1


async def test_an_ev_that_cannot_follow_is_a_deviation_and_goes_on() -> None:
    # It wants nothing, so a setpoint of 10 kW is met, and then it stops: scripted disobedience.
    script = ScriptedDemand([DemandStep(from_ms=START + 10 * MINUTE, power_w=500, overrides=True)])
    depot = Depot(demands={1: script})
    service = SetpointService(series=(Interval(start_at_ms=START, duration_ms=HOUR, value=10_000),))
    await depot.play(request(service, participants(1)), every(5 * MINUTE))
    deviation = next(fact for fact in depot.facts if fact.kind is FactKind.DEVIATION)
    assert dict(deviation.values) == {"setpoint_w": 10_000, "power_w": 500}
    assert depot.kinds(1)[-1] is FactKind.COMPLETED


async def test_the_dead_man_ends_a_service_that_nobody_renews() -> None:
    depot = Depot()
    await depot.play(request(cap(10_000), participants(1), dead_man_s=600), every(5 * MINUTE))
    assert depot.plant.evses[1].service is None
    log = neutral.FetchLog(
        command_id="x", evse=address(1), not_after_ms=2**53, from_ms=START, to_ms=START + HOUR, interval_ms=1000
    )
    powers = {s.t_ms: s.power_w for s in bodies.decode(depot.plant.log(log))}
    assert powers[START + 9 * MINUTE] == 10_000
    assert powers[START + 11 * MINUTE] == 22_000


async def test_those_told_together_are_told_again_in_time_and_not_all_at_once() -> None:
    depot = Depot()
    told: dict[int, list[int]] = {}
    send = depot.port.send

    async def noted(command: neutral.Command) -> neutral.Outcome:
        if isinstance(command, neutral.LimitCharging):
            told.setdefault(command.evse.evse_id, []).append(depot.clock.now_ms())
        return await send(command)

    depot.port.send = noted  # type: ignore[method-assign]
    who = participants(1, 2, 3, 4, 5, 6, 7, 8)
    end_ms = START + 8 * MINUTE
    service = MandatoryLimitService(start_at_ms=START, import_cap_w=40_000, floor_w_per_evse=4200)
    asked = request(service, who, end_ms=end_ms, dead_man_s=240, renewed=True)
    await depot.play(asked, every(5_000, until_ms=end_ms))
    assert len({moments[1] for moments in told.values()}) >= 5, "a quarter of a dead-man apart"
    for moments in told.values():
        apart = [after - before for before, after in itertools.pairwise(moments)]
        assert all(gap_ms <= 2 * MINUTE + 5_000 for gap_ms in apart), (
            "half a dead-man, and one step of the test's clock"
        )


async def test_an_abort_clears_the_service_and_brings_back_what_there_is() -> None:
    depot = Depot()
    running = asyncio.create_task(depot.adapter.run(request(cap(10_000), participants(1)), depot.record))
    await asyncio.sleep(0)
    for at_ms in (START, START + 10 * MINUTE):
        await depot.move(at_ms)
    depot.adapter.abort("FSR-1", "SAFETY")
    execution = await running
    assert (execution.aborted, execution.ended_at_ms) == ("SAFETY", START + 10 * MINUTE)
    assert depot.kinds(1)[-1] is FactKind.ABORTED
    assert evidence_of(execution, 1).sample_count == 10
    assert depot.plant.evses[1].service is None


async def test_a_released_participation_ends_and_the_rest_go_on() -> None:
    depot = Depot()
    running = asyncio.create_task(depot.adapter.run(request(cap(10_000), participants(1, 2)), depot.record))
    await asyncio.sleep(0)
    for at_ms in (START, START + 10 * MINUTE):
        await depot.move(at_ms)
    depot.adapter.release("FSR-1", address(1), "OPT_OUT")
    for at_ms in every(20 * MINUTE):
        await depot.move(max(at_ms, START + 10 * MINUTE))
    execution = await running
    assert evidence_of(execution, 1).ended_at_ms == START + 10 * MINUTE
    assert depot.plant.evses[1].service is None
    assert depot.kinds(2)[-1] is FactKind.COMPLETED


async def test_what_cannot_be_recorded_is_not_sent() -> None:
    depot = Depot()

    async def refuse(fact: ExecutionFact) -> None:
        raise RuntimeError(fact.kind.value)

    running = asyncio.create_task(depot.adapter.run(request(cap(10_000), participants(1)), refuse))
    await depot.move(START)
    with pytest.raises(RuntimeError, match="DISPATCHED"):
        await running
    assert depot.plant.evses[1].service is None


async def test_a_record_that_fails_later_clears_what_was_dispatched() -> None:
    depot = Depot(faults=(f.EvLeaves(from_ms=START + MINUTE, evse_id=2),))

    async def fail_late(fact: ExecutionFact) -> None:
        if fact.kind is FactKind.ABORTED:
            raise RuntimeError("the ledger is gone")

    running = asyncio.create_task(depot.adapter.run(request(cap(30_000), participants(1, 2)), fail_late))
    await depot.move(START)
    assert depot.plant.evses[1].service is not None
    await depot.move(START + 2 * MINUTE)
    with pytest.raises(RuntimeError, match="the ledger is gone"):
        await running
    assert depot.plant.evses[1].service is None
