"""Baselines, execution, samples: the order in which facts may come."""

import pytest

from ledger.records.contracts import BaselineMethod, ContractTerminated, OptPolicy, Silence, TerminationReason
from ledger.records.credentials import Status
from ledger.records.execution import Cause, ExecutionKind, ExecutionNoted
from ledger.records.opt import Choice
from ledger.records.requests import RequestAborted, RequestCancelled
from ledger.rules.execution import COMMANDING, RUNNING
from ledger.rules.participation_state import ParticipationStatus
from tests.support.rulebook import (
    AURORA,
    NORTHGATE,
    Judge,
    answer,
    at,
    baseline,
    check,
    decided,
    dsr,
    noted,
    offer,
    pids,
    proven,
    refused,
    request,
    samples,
    subject,
)

Kind = ExecutionKind


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.accepted()
    judge.now_ms = at("15:12")
    return judge


def _at_start(judge: Judge) -> None:
    """Baseline committed, start reached, checked again."""
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("17:00")
    judge.check("chk-2")


# Baselines


def test_a_baseline_follows_the_answer_and_counts_exactly_those_who_take_part() -> None:
    judge = Judge()
    judge.ready()
    with refused("wrong-order"):
        judge.try_it(baseline(pids(2)), NORTHGATE)
    judge.answer()
    for names in (("p-1",), ("p-1", "p-2", "p-3"), ("p-1", "p-2", "p-2"), ()):
        with refused("baseline-participants"):
            judge.try_it(baseline(names), NORTHGATE)
    judge.admit(decided("p-2"), NORTHGATE)
    with refused("baseline-participants"):
        judge.try_it(baseline(pids(2)), NORTHGATE)
    judge.try_it(baseline(pids(1)), NORTHGATE)


def test_a_baseline_is_the_contract_s_method(judge: Judge) -> None:
    for method in BaselineMethod:
        what = baseline(pids(2), method=method)
        if method is BaselineMethod.HIGH_X_OF_Y:
            judge.try_it(what, NORTHGATE)
        else:
            with refused("baseline-method"):
                judge.try_it(what, NORTHGATE)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_baseline_has_one_value_for_each_period(judge: Judge, count: int) -> None:
    with refused("baseline-length"):
        judge.try_it(baseline(pids(2), baseline_w=(80_000,) * count), NORTHGATE)
    judge.try_it(baseline(pids(2), baseline_w=(80_000,) * 4), NORTHGATE)


def test_under_a_mandate_the_baseline_is_the_limit_itself_even_after_the_start() -> None:
    judge = Judge()
    judge.mandated()
    judge.now_ms = at("18:31")
    with refused("baseline-method"):
        judge.try_it(baseline(pids(2)), NORTHGATE)
    judge.admit(baseline(pids(2), method=BaselineMethod.LIMIT), NORTHGATE)
    judge.admit(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    with refused("baseline-late"):
        judge.try_it(baseline(pids(2), "base-2", method=BaselineMethod.LIMIT), NORTHGATE)


def test_a_baseline_is_committed_before_the_start(judge: Judge) -> None:
    judge.now_ms = at("17:00")
    with refused("baseline-late"):
        judge.try_it(baseline(pids(2)), NORTHGATE)
    judge.now_ms -= 1
    judge.try_it(baseline(pids(2)), NORTHGATE)


def test_a_baseline_is_not_swapped_but_follows_who_takes_part(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    for again in (baseline(pids(2)), baseline(pids(2), "base-2")):
        with refused("already-recorded"):
            judge.try_it(again, NORTHGATE)
    judge.admit(decided("p-2"), NORTHGATE)
    judge.admit(baseline(pids(1), "base-2"), NORTHGATE)
    found = judge.state.request("fsr-1").baseline
    assert found is not None
    assert found.baseline_id == "base-2"


def test_a_baseline_comes_before_anything_is_dispatched(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("16:30")
    judge.admit(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    with refused("baseline-late"):
        judge.try_it(baseline(pids(1), "base-2"), NORTHGATE)


# Execution


def test_nothing_executes_without_a_baseline_that_counts_it(judge: Judge) -> None:
    judge.now_ms = at("17:00")
    judge.check("chk-2")
    for kind in Kind:
        with refused("baseline-missing"):
            judge.try_it(noted("p-1", kind), NORTHGATE)


def test_who_came_back_in_after_the_baseline_needs_another_one(judge: Judge) -> None:
    judge.admit(decided("p-2"), NORTHGATE)
    judge.admit(baseline(pids(1)), NORTHGATE)
    judge.admit(decided("p-2", Choice.IN), NORTHGATE)
    judge.now_ms = at("16:30")
    with refused("baseline-missing"):
        judge.try_it(noted("p-2", Kind.DISPATCHED), NORTHGATE)


def test_nothing_runs_before_the_start_and_no_command_goes_out_before_the_opt_deadline(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("16:30") - 1
    for kind in COMMANDING:
        with refused("execution-early"):
            judge.try_it(noted("p-1", kind), NORTHGATE)
    judge.now_ms += 1
    for kind in COMMANDING:
        judge.try_it(noted("p-1", kind), NORTHGATE)
    judge.now_ms = at("17:00") - 1
    judge.check("chk-2")
    for kind in set(Kind) - COMMANDING:
        with refused("execution-early"):
            judge.try_it(noted("p-1", kind), NORTHGATE)
    judge.now_ms += 1
    judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)


def test_a_mandate_is_dispatched_at_once(judge: Judge) -> None:
    judge = Judge()
    judge.mandated()
    judge.admit(baseline(pids(2), method=BaselineMethod.LIMIT), NORTHGATE)
    judge.admit(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    with refused("execution-early"):
        judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)
    judge.now_ms = at("18:44")
    judge.admit(noted("p-1", Kind.STARTED), NORTHGATE)


def test_nothing_is_dispatched_at_the_end(judge: Judge) -> None:
    _at_start(judge)
    judge.now_ms = at("18:00")
    with refused("execution-late"):
        judge.try_it(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    judge.now_ms -= 1
    judge.try_it(noted("p-1", Kind.DISPATCHED), NORTHGATE)


def test_what_opted_out_is_never_dispatched(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.admit(decided("p-2"), NORTHGATE)
    judge.now_ms = at("17:00")
    judge.check("chk-2")
    for kind in Kind:
        with refused("opted-out-dispatch"):
            judge.try_it(noted("p-2", kind), NORTHGATE)


def test_silence_is_out_where_the_contract_says_so() -> None:
    judge = Judge()
    judge.site()
    judge.contract(opt=OptPolicy(default_on_silence=Silence.OUT, opt_deadline_s=1800, max_opt_outs=2))
    judge.now_ms = at("15:00")
    judge.request()
    judge.check()
    judge.answer()
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.admit(decided("p-1", Choice.IN), NORTHGATE)
    judge.now_ms = at("16:30")
    judge.try_it(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    with refused("opted-out-dispatch"):
        judge.try_it(noted("p-2", Kind.DISPATCHED), NORTHGATE)


def test_what_was_not_accepted_or_introduced_does_not_execute() -> None:
    judge = Judge()
    judge.ready()
    judge.admit(answer(offers=(offer("p-1", 10_000),), answer="PARTIAL"), NORTHGATE)
    for name in ("p-2", "p-9"):
        with refused("not-a-participant"):
            judge.try_it(noted(name, Kind.STARTED), NORTHGATE)


def test_the_check_is_still_valid_at_the_start(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("17:00")
    with refused("check-expired"):
        judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)
    judge.check("chk-2")
    judge.now_ms = at("17:15") - 1
    judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)
    judge.now_ms += 1
    with refused("check-expired"):
        judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)


def test_what_fails_its_check_at_the_start_is_not_dispatched(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("17:00")
    judge.check("chk-2", subjects=(subject("p-1"), subject("p-2", Status.INDETERMINATE)))
    judge.try_it(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    for kind in (Kind.DISPATCHED, Kind.STARTED):
        with refused("check-not-passed"):
            judge.try_it(noted("p-2", kind), NORTHGATE)


def test_nothing_starts_under_a_contract_that_ended(judge: Judge) -> None:
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.admit(ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.NOTICE), AURORA)
    judge.now_ms = at("17:00")
    judge.fold(judge.fact(check("chk-2", names=pids(2), now_ms=judge.now_ms), NORTHGATE))
    with refused("contract-not-in-force"):
        judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)


def test_nothing_is_dispatched_once_the_request_has_ended() -> None:
    judge = Judge()
    judge.accepted()
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = at("16:31")
    judge.admit(noted("p-2", Kind.DISPATCHED), NORTHGATE)
    judge.admit(RequestCancelled(fsr_id="fsr-1", reason="SAFETY"), AURORA)  # type: ignore[arg-type]
    with refused("request-ended"):
        judge.try_it(noted("p-1", Kind.DISPATCHED), NORTHGATE)
    judge = Judge()
    judge.started()
    judge.admit(RequestAborted(fsr_id="fsr-1", reason="SAFETY"), NORTHGATE)  # type: ignore[arg-type]
    with refused("request-ended"):
        judge.try_it(noted("p-1", Kind.DISPATCHED, n_id="n-again"), NORTHGATE)
    judge.try_it(noted("p-1", Kind.ABORTED), NORTHGATE)


def test_facts_come_in_an_order_that_makes_sense(judge: Judge) -> None:
    _at_start(judge)
    for kind in RUNNING:
        with refused("not-started"):
            judge.try_it(noted("p-1", kind), NORTHGATE)
    judge.admit(noted("p-1", Kind.STARTED), NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(noted("p-1", Kind.STARTED, n_id="n-again"), NORTHGATE)
    with refused("already-recorded"):
        judge.try_it(noted("p-1", Kind.STARTED), NORTHGATE)
    judge.admit(noted("p-1", Kind.SETPOINT_APPLIED), NORTHGATE)
    judge.admit(noted("p-1", Kind.COMPLETED), NORTHGATE)
    for kind in (Kind.DISPATCHED, Kind.SETPOINT_APPLIED, Kind.COMPLETED):
        with refused("wrong-order"):
            judge.try_it(noted("p-1", kind, n_id="n-late"), NORTHGATE)
    judge.try_it(noted("p-1", Kind.ALARM_CLEARED), NORTHGATE)


@pytest.mark.parametrize(
    ("kind", "cause", "told", "started"),
    [
        (Kind.DISPATCHED, None, ParticipationStatus.DISPATCHED, ParticipationStatus.EXECUTING),
        (Kind.UNKNOWN, None, ParticipationStatus.DISPATCHED, ParticipationStatus.EXECUTING),
        (Kind.EXPIRED, None, ParticipationStatus.FAILED, ParticipationStatus.EXECUTING),
        (Kind.REJECTED, Cause.STATION_REJECTED, ParticipationStatus.FAILED, ParticipationStatus.EXECUTING),
        (Kind.COMMS_LOST, None, ParticipationStatus.DISPATCHED, ParticipationStatus.EXECUTING),
        (Kind.COMPLETED, None, None, ParticipationStatus.DONE),
        (Kind.ABORTED, Cause.FAULT, ParticipationStatus.FAILED, ParticipationStatus.FAILED),
        (Kind.ABORTED, Cause.EV_GONE, ParticipationStatus.UNABLE, ParticipationStatus.UNABLE),
        (Kind.UNABLE, Cause.EV_LIMIT, ParticipationStatus.UNABLE, ParticipationStatus.UNABLE),
    ],
)
def test_a_fact_says_where_a_participation_stands_and_a_time_out_is_no_failure(
    kind: Kind, cause: Cause | None, told: ParticipationStatus | None, started: ParticipationStatus
) -> None:
    for is_started, status in ((False, told), (True, started)):
        if status is None:
            continue
        judge = Judge()
        judge.accepted()
        _at_start(judge)
        judge.admit(noted("p-1", Kind.DISPATCHED), NORTHGATE)
        if is_started:
            judge.admit(noted("p-1", Kind.STARTED), NORTHGATE)
        fact = ExecutionNoted(n_id="n-x", fsr_id="fsr-1", participation="p-1", kind=kind, cause=cause)
        judge.admit(fact, NORTHGATE)
        part = judge.state.request("fsr-1").participations["p-1"]
        assert part.status(judge.now_ms) is status
        assert part.is_over is (kind in _OVER or (not is_started and kind is Kind.REJECTED))


_OVER = {Kind.COMPLETED, Kind.ABORTED, Kind.UNABLE}


# Samples


def test_samples_follow_the_start_and_are_numbered(judge: Judge) -> None:
    _at_start(judge)
    with refused("not-started"):
        judge.try_it(samples("p-1"), NORTHGATE)
    judge.admit(noted("p-1", Kind.STARTED), NORTHGATE)
    for seq in (2, 3):
        with refused("batch-gap"):
            judge.try_it(samples("p-1", seq), NORTHGATE)
    judge.admit(samples("p-1"), NORTHGATE, tags={"root": "one"})
    with refused("batch-reused"):
        judge.try_it(samples("p-1"), NORTHGATE, tags={"root": "two"})
    with refused("batch-reused"):
        judge.try_it(samples("p-1", 2), NORTHGATE, tags={"root": "one"})
    judge.admit(samples("p-1", 2), NORTHGATE, tags={"root": "two"})


def test_evidence_of_one_request_is_not_used_in_another() -> None:
    judge = Judge()
    judge.ended()
    judge.now_ms = at("19:00")
    judge.admit(
        request(
            "fsr-2",
            start_at_ms=at("20:00"),
            end_at_ms=at("21:00"),
            respond_by_ms=at("19:30"),
            opt_deadline_ms=at("19:30"),
        ),
        AURORA,
    )
    judge.admit(check("chk-a", "fsr-2", names=("q-1", "q-2"), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(answer("fsr-2", check_id="chk-a", names=("q-1", "q-2")), NORTHGATE)
    judge.admit(baseline(("q-1", "q-2"), "base-2", fsr_id="fsr-2"), NORTHGATE)
    judge.now_ms = at("20:00")
    judge.admit(check("chk-b", "fsr-2", names=("q-1", "q-2"), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(noted("q-1", Kind.STARTED, "fsr-2"), NORTHGATE)
    with refused("batch-reused"):
        judge.try_it(samples("q-1", batch_id="batch-p-1-1", fsr_id="fsr-2"), NORTHGATE, tags={"root": "new"})
    with refused("batch-reused"):
        judge.try_it(samples("q-1", fsr_id="fsr-2"), NORTHGATE, tags={"root": "root-p-1"})
    judge.admit(samples("q-1", fsr_id="fsr-2"), NORTHGATE, tags={"root": "new"})
    judge.now_ms = at("21:00")
    with refused("batch-missing"):
        judge.try_it(dsr("q-1", fsr_id="fsr-2", batch_ids=("batch-p-1-1",)), NORTHGATE)
    stolen = proven(
        fsr_id="fsr-2", check_id="chk-a", baseline_id="base-2", batch_ids=("batch-p-1-1",), parts=(), pow_id="pow-2"
    )
    with refused("batch-reused"):
        judge.try_it(stolen, NORTHGATE)
