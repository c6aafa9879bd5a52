"""A run that goes on where another was broken off: what the stations kept is brought back, what nobody knows is said."""

import asyncio
import re

import pytest

from api.execution.evidence import FactKind, Span
from api.execution.hearing import MODE_CHANGED, SERVICE_MODES
from api.execution.port import OperationModeChanged
from api.execution.request import AcceptedRequest, Adopted, Patience
from api.execution.run import BROKEN_OFF
from api.execution.services import Interval, Setpoint, SetpointService, Step
from api.execution.simulator import faults as f
from api.execution.simulator.evse import Mode
from ledger.delivery import samples as bodies
from tests.support.depot import HOUR, MINUTE, START, Depot, address, cap, every, evidence_of, participants, request
from tests.support.pages import Page
from tests.support.vectors import REPOSITORY

pytestmark = pytest.mark.slow  # takes seconds


async def broken_off(depot: Depot, at_ms: int, **more: object) -> None:
    """A run that somebody killed: nothing was cleared, and what it knew is lost."""
    running = asyncio.create_task(depot.adapter.run(request(cap(20_000), participants(1, 2), **more), depot.record))
    await asyncio.sleep(0)
    for moment in range(START, at_ms + 1, MINUTE):
        await depot.move(moment)
    # As after SIGKILL: whatever the run would send to clear up does not reach a station any more.
    depot.port._online.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    depot.facts.clear()
    depot.port._online.add("DEPOT-7")


def going_on(**adopted: Adopted) -> AcceptedRequest:
    return request(cap(20_000), participants(1, 2), adopted=adopted)


async def test_a_run_that_is_taken_over_brings_back_the_stations_own_record_of_the_whole_service() -> None:
    depot = Depot()
    await broken_off(depot, START + 20 * MINUTE)
    depot.port.advance_to(START + 30 * MINUTE)
    depot.clock.set_ms(START + 30 * MINUTE)
    taken = going_on(P1=Adopted(has_started=True), P2=Adopted(has_started=True))
    execution = await depot.play(taken, range(START + 30 * MINUTE, START + HOUR + 1, 5 * MINUTE))
    for evse_id in (1, 2):
        part = evidence_of(execution, evse_id)
        assert (part.source, part.interval_ms, part.unproven) == ("LOG", 1000, ())
        assert part.sample_count == 3600
        # The register at the start died with the service: only one of two signed values is left.
        assert (part.ocmf_start, part.ocmf_end is None) == (None, False)
        assert max(s.power_w for s in bodies.decode(part.samples)[60:]) <= 10_000
        # Not dispatched again, not started again; since when nobody watched is on record.
        kinds = depot.kinds(evse_id)
        assert kinds == [FactKind.COMMS_LOST, FactKind.RESUMED, FactKind.SETPOINT_APPLIED, FactKind.COMPLETED]
    assert {fact.cause for fact in depot.facts if fact.kind is FactKind.COMMS_LOST} == {BROKEN_OFF}


async def test_after_the_end_nothing_is_commanded_and_the_evidence_still_comes() -> None:
    depot = Depot()
    await broken_off(depot, START + 20 * MINUTE)
    depot.port.advance_to(START + 2 * HOUR)
    depot.clock.set_ms(START + 2 * HOUR)
    taken = going_on(P1=Adopted(has_started=True), P2=Adopted(has_started=False))
    execution = await depot.play(taken, [START + 2 * HOUR])
    part = evidence_of(execution, 1)
    assert part.window == Span(START, START + HOUR)
    assert part.unproven == ()
    assert {s.power_w for s in bodies.decode(part.samples)[60:]} == {10_000}
    assert depot.kinds(1) == [FactKind.COMMS_LOST, FactKind.COMPLETED]
    # The second was told and never answered: that stays so.
    assert FactKind.COMPLETED not in depot.kinds(2)
    assert FactKind.STARTED not in depot.kinds(2)


async def test_a_station_that_is_never_heard_of_again_is_not_called_completed() -> None:
    depot = Depot(faults=(f.Offline(from_ms=START + 20 * MINUTE),))
    depot.adapter._patience = Patience(reading_s=0.1, log_s=0.1, return_s=0.1)
    await broken_off(depot, START + 15 * MINUTE)
    depot.port.advance_to(START + 2 * HOUR)
    depot.clock.set_ms(START + 2 * HOUR)
    execution = await depot.play(going_on(P1=Adopted(has_started=True)), [START + 2 * HOUR])
    part = evidence_of(execution, 1)
    assert (part.samples, part.unproven) == (b"", (Span(START, START + HOUR),))
    assert depot.kinds(1) == [FactKind.COMMS_LOST, FactKind.UNKNOWN]
    assert depot.kinds(2) == []


async def test_who_ended_early_keeps_that_end() -> None:
    depot = Depot()
    await broken_off(depot, START + 20 * MINUTE)
    depot.port.advance_to(START + 2 * HOUR)
    depot.clock.set_ms(START + 2 * HOUR)
    left = Adopted(has_started=True, is_closed=True, ended_at_ms=START + 10 * MINUTE)
    execution = await depot.play(going_on(P1=left), [START + 2 * HOUR])
    part = evidence_of(execution, 1)
    assert part.window == Span(START, START + 10 * MINUTE)
    assert part.sample_count == 600
    assert depot.kinds(1) == []


async def test_steps_that_were_ordered_before_a_run_began_are_kept() -> None:
    depot = Depot()
    service = SetpointService(series=(Interval(start_at_ms=START, duration_ms=HOUR, value=5_000),))
    moved = Step(at_ms=START + 10 * MINUTE, instructions={address(1): Setpoint(power_w=-3_000)})
    execution = await depot.play(request(service, participants(1), further=(moved,)), every(MINUTE))
    powers = {s.t_ms: s.power_w for s in bodies.decode(evidence_of(execution, 1).samples)}
    assert powers[START + 9 * MINUTE] == 5_000
    assert powers[START + 15 * MINUTE] == -3_000


async def test_an_evse_that_says_it_is_in_the_service_has_started_whoever_lost_the_answer() -> None:
    late = f.LateAnswer(from_ms=START, delay_s=10**6)
    depot = Depot(faults=(late,), timeout_ms=5_000)
    running = asyncio.create_task(depot.adapter.run(request(cap(10_000), participants(1)), depot.record))
    await asyncio.sleep(0)
    await depot.move(START)
    await depot.move(START + MINUTE)
    said = OperationModeChanged(evse=address(1), at_ms=START + 1000, mode="ChargingOnly")
    depot.port._publish(said)
    for moment in every(5 * MINUTE):
        await depot.move(max(moment, START + MINUTE))
    await running
    started = [fact for fact in depot.facts if fact.kind is FactKind.STARTED]
    assert [(fact.cause, fact.at_ms, fact.station_clock) for fact in started] == [(MODE_CHANGED, START + 1000, True)]
    assert depot.kinds(1)[-1] is FactKind.COMPLETED


def test_every_mode_of_a_service_counts_as_a_start_and_being_idle_does_not() -> None:
    assert {mode.value for mode in Mode} - {Mode.FREE.value} <= SERVICE_MODES
    assert Mode.FREE.value not in SERVICE_MODES


ROWS = {
    "EVSE offline": "test_offline_silence_is_unproven_and_the_return_sends_the_same_value_again",
    "rejected": "test_a_rejected_evse_is_given_up_and_not_asked_again",
    "no answer": "test_an_unknown_command_is_sent_again_after_a_back_off_and_then_left_to_the_evidence",
    "late answer": "test_an_answer_after_the_last_attempt_is_still_recorded",
    "too late to send": "test_a_command_that_could_not_be_sent_in_time_expires",
    "EV leaves": "test_an_ev_that_leaves_ends_its_obligation_and_not_the_others",
    "EV takes less": "test_an_ev_that_cannot_follow_is_a_deviation_and_goes_on",
    "grid-code function": "test_a_grid_code_function_that_takes_over_is_flagged_and_not_a_deviation",
    "slow station, flood": "test_one_call_at_a_time_is_outstanding_and_the_latest_setpoint_wins",
    "nothing moves for long": "test_a_setpoint_is_renewed_while_the_backend_lives_and_left_when_it_does_not",
    "another control": "test_a_curve_that_another_control_superseded_is_noted_as_a_deviation_by_the_grid_code",
    "backend dies": "test_when_the_listener_dies_the_evse_leaves_the_service_by_itself",
    "backend comes back": "test_a_run_that_is_taken_over_brings_back_the_stations_own_record_of_the_whole_service",
}
"""The rows of the table in docs/explanation/execution.md, each with the test that plays it."""


def test_every_row_of_the_table_of_failures_is_played_by_a_test() -> None:
    text = Page(REPOSITORY / "docs" / "explanation" / "execution.md").text
    table = text.split("## What can go wrong", 1)[1].split("##", 1)[0]
    rows = [row for row in re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE) if row not in ("event", "---")]
    assert rows == list(ROWS)
    source = "".join(path.read_text() for path in (REPOSITORY / "tests/unit/api").glob("*/test_*.py"))
    for test in ROWS.values():
        assert f"def {test}(" in source
