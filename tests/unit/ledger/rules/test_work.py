"""Service records, proofs of work (of flexibility delivered, which is not mining), disputes, settlement."""

import pytest

from ledger.records.actor import Role
from ledger.records.credentials import Status
from ledger.records.execution import ExecutionKind
from ledger.records.log import StreamClosed
from ledger.records.requests import RequestAborted
from ledger.records.work import (
    CounterResult,
    DisputeReason,
    DisputeResolved,
    Excluded,
    ExcludedReason,
    Resolution,
    Settled,
    SettlementLine,
    Verdict,
    WorkCountered,
    WorkPart,
)
from ledger.rules.request_state import RequestStatus
from tests.support.rulebook import (
    AUDITOR,
    AURORA,
    BOREALIS,
    NORTHGATE,
    SOUTHGATE,
    Judge,
    at,
    decided,
    dsr,
    noted,
    pids,
    proven,
    refused,
    samples,
    subject,
)


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.ended()
    return judge


@pytest.fixture
def done(judge: Judge) -> Judge:
    judge.admit(proven(), NORTHGATE)
    return judge


def _status(judge: Judge) -> RequestStatus:
    return judge.state.request("fsr-1").status(judge.now_ms)


# Service records


def test_a_service_record_follows_the_end_and_names_its_own_batches() -> None:
    judge = Judge()
    judge.started()
    for name in pids(2):
        judge.admit(samples(name), NORTHGATE, tags={"root": name})
    with refused("work-early"):
        judge.try_it(dsr("p-1"), NORTHGATE)
    judge.admit(noted("p-1", ExecutionKind.COMPLETED), NORTHGATE)
    for batch_ids in ((), ("batch-p-2-1",), ("batch-p-1-1", "batch-p-1-2")):
        with refused("batch-missing"):
            judge.try_it(dsr("p-1", batch_ids=batch_ids), NORTHGATE)
    judge.admit(dsr("p-1"), NORTHGATE)
    with refused("work-early"):
        judge.try_it(dsr("p-2"), NORTHGATE)


def test_a_service_record_is_corrected_by_reversing_it_only(judge: Judge) -> None:
    for again in (dsr("p-1"), dsr("p-1", "dsr-new")):
        with refused("already-recorded"):
            judge.try_it(again, NORTHGATE)
    for wrong in ("dsr-p-2", "dsr-none"):
        with refused("reverses-unknown"):
            judge.try_it(dsr("p-1", "dsr-new", reverses=wrong), NORTHGATE)
    judge.admit(dsr("p-1", "dsr-new", reverses="dsr-p-1"), NORTHGATE)
    with refused("work-incomplete"):
        judge.try_it(proven(), NORTHGATE)
    parts = (WorkPart(participation="p-1", dsr_id="dsr-new"), WorkPart(participation="p-2", dsr_id="dsr-p-2"))
    judge.try_it(proven(parts=parts), NORTHGATE)


# Proofs


def test_a_proof_follows_the_end_or_the_abort() -> None:
    judge = Judge()
    judge.started()
    for name in pids(2):
        judge.admit(samples(name), NORTHGATE, tags={"root": name})
    with refused("work-early"):
        judge.try_it(proven(), NORTHGATE)
    judge.admit(RequestAborted(fsr_id="fsr-1", reason="SAFETY"), NORTHGATE)  # type: ignore[arg-type]
    for name in pids(2):
        judge.admit(dsr(name), NORTHGATE)
    judge.try_it(proven(), NORTHGATE)


def test_what_never_ran_is_not_proven() -> None:
    judge = Judge()
    judge.ready()
    judge.now_ms = at("18:05")
    with refused("wrong-order"):
        judge.try_it(proven(), NORTHGATE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"check_id": "chk-9"}, "check-missing"),
        ({"baseline_id": "base-9"}, "work-inconsistent"),
        ({"batch_ids": ("batch-p-1-1", "batch-p-9-1")}, "batch-missing"),
        ({"batch_ids": ("batch-p-1-1", "batch-p-1-1")}, "batch-reused"),
        ({"batch_ids": ("batch-p-1-1",)}, "work-incomplete"),
        ({"parts": (WorkPart(participation="p-1", dsr_id="dsr-p-1"),)}, "work-incomplete"),
        ({"parts": (WorkPart(participation="p-1", dsr_id="dsr-p-1"),) * 2}, "work-incomplete"),
        ({"excluded": (Excluded(participation="p-1", reason=ExcludedReason.NO_EVIDENCE),)}, "work-incomplete"),
        ({"excluded": (Excluded(participation="p-9", reason=ExcludedReason.NO_EVIDENCE),)}, "not-a-participant"),
        ({"group": '{"score_ppm":1,"verdict":"PARTIAL"}'}, "work-inconsistent"),
        ({"group": '{"score_ppm":925000,"verdict":"FAILED"}'}, "work-inconsistent"),
        ({"group": '{"score_ppm":925000}'}, "work-inconsistent"),
        ({"group": '{"verdict":"PARTIAL","score_ppm":925000}'}, "work-inconsistent"),
        ({"group": "925000"}, "work-inconsistent"),
        ({"reverses": "pow-0"}, "reverses-unknown"),
    ],
)
def test_a_proof_that_contradicts_the_record_is_refused(judge: Judge, changes: dict[str, object], code: str) -> None:
    with refused(code):
        judge.try_it(proven(**changes), NORTHGATE)


def test_a_proof_that_fits_is_admitted_and_read_as_proven_or_unprovable(judge: Judge) -> None:
    judge.admit(proven(), NORTHGATE)
    assert _status(judge) is RequestStatus.PROVEN
    judge.admit(proven(pow_id="pow-2", reverses="pow-1", verdict=Verdict.UNPROVABLE), NORTHGATE)
    assert _status(judge) is RequestStatus.UNPROVABLE


def test_a_proof_is_corrected_by_reversing_it_only(done: Judge) -> None:
    for again in (proven(), proven(pow_id="pow-2")):
        with refused("already-recorded"):
            done.try_it(again, NORTHGATE)
    with refused("already-recorded"):
        done.try_it(proven(reverses="pow-1"), NORTHGATE)
    done.admit(proven(pow_id="pow-2", reverses="pow-1"), NORTHGATE)
    with refused("reverses-unknown"):
        done.try_it(proven(pow_id="pow-3", reverses="pow-1"), NORTHGATE)


def _excluded(reason: ExcludedReason, start: int = 0, end: int = 0) -> Excluded:
    return Excluded(participation="p-2", reason=reason, start_at_ms=start, end_at_ms=end)


@pytest.mark.parametrize("reason", [ExcludedReason.OPTED_OUT, ExcludedReason.INELIGIBLE, ExcludedReason.SUPERSEDED])
def test_nobody_is_excluded_for_a_reason_that_the_record_does_not_show(judge: Judge, reason: ExcludedReason) -> None:
    with refused("excluded-without-cause"):
        judge.try_it(proven(("p-1",), excluded=(_excluded(reason),)), NORTHGATE)


def test_who_opted_out_after_the_answer_is_excluded_and_not_a_part() -> None:
    judge = Judge()
    judge.accepted()
    judge.admit(decided("p-2"), NORTHGATE)
    _finish_alone(judge)
    with refused("work-incomplete"):
        judge.try_it(proven(("p-1",)), NORTHGATE)
    both = proven(parts=(*proven(("p-1",)).parts, WorkPart(participation="p-2", dsr_id="dsr-p-2")))
    with refused("batch-missing"):
        judge.try_it(both, NORTHGATE)
    with refused("not-a-participant"):
        judge.try_it(proven(("p-1",), parts=both.parts), NORTHGATE)
    judge.try_it(proven(("p-1",), excluded=(_excluded(ExcludedReason.OPTED_OUT),)), NORTHGATE)


def _finish_alone(judge: Judge) -> None:
    """p-1 runs by itself from 17:00 to 18:00."""
    from tests.support.rulebook import baseline

    judge.admit(baseline(judge.state.request("fsr-1").taking_part(judge.now_ms)), NORTHGATE)
    judge.now_ms = at("17:00")
    state = judge.state.request("fsr-1")
    failing = tuple(
        subject(name, Status.PASS if name == "p-1" else Status.FAIL) for name in sorted(state.participations)
    )
    judge.check("chk-2", subjects=failing)
    judge.admit(noted("p-1", ExecutionKind.STARTED), NORTHGATE)
    judge.now_ms = at("18:05")
    judge.admit(samples("p-1"), NORTHGATE, tags={"root": "p-1"})
    judge.admit(dsr("p-1"), NORTHGATE)


def test_who_failed_the_check_at_the_start_is_excluded_as_ineligible() -> None:
    judge = Judge()
    judge.accepted()
    _finish_alone(judge)
    judge.try_it(proven(("p-1",), excluded=(_excluded(ExcludedReason.INELIGIBLE),)), NORTHGATE)


def test_a_part_may_be_excluded_for_an_interval_of_the_request(judge: Judge) -> None:
    def fact(start: int, end: int) -> object:
        return proven(excluded=(_excluded(ExcludedReason.GRID_CODE_OVERRIDE, start, end),))

    with refused("excluded-without-cause"):  # no alarm is on record: samples alone excuse nobody
        judge.try_it(fact(at("17:00"), at("18:00")), NORTHGATE)  # type: ignore[arg-type]
    judge.admit(noted("p-2", ExecutionKind.ALARM), NORTHGATE)
    judge.try_it(fact(at("17:00"), at("18:00")), NORTHGATE)  # type: ignore[arg-type]
    for start, end in ((at("16:59"), at("17:10")), (at("17:50"), at("18:01")), (at("17:10"), at("17:10"))):
        with refused("times-contradict"):
            judge.try_it(fact(start, end), NORTHGATE)  # type: ignore[arg-type]


# Disputes


def _counter(result: CounterResult, pow_id: str = "pow-1", **more: object) -> WorkCountered:
    return WorkCountered(fsr_id="fsr-1", pow_id=pow_id, result=result, **more)  # type: ignore[arg-type]


AGREED = _counter(CounterResult.AGREED)
DISPUTED = _counter(CounterResult.DISPUTED, reason=DisputeReason.RESOURCE_BELOW_ORDER, contested=("p-2",))


def _end(resolution: Resolution = Resolution.DISMISSED, ground: str = "GROUP_SCORING") -> DisputeResolved:
    return DisputeResolved(fsr_id="fsr-1", pow_id="pow-1", resolution=resolution, ground=ground)


def _settled(net_micro: int = 9_750_000, pow_id: str = "pow-1") -> Settled:
    lines = tuple(
        SettlementLine(
            start_at_ms=at("17:00"),
            duration_ms=900_000,
            delivered_milliwh=1,
            deficiency_milliwh=1,
            pay_micro=pay,
            penalty_micro=penalty,
        )
        for pay, penalty in ((2_760_000, 360_000), (3_000_000, 0), (3_000_000, 0), (2_340_000, 990_000))
    )
    return Settled(fsr_id="fsr-1", pow_id=pow_id, currency="EUR", lines=lines, net_micro=net_micro)


def test_the_operator_answers_the_proof_that_stands_once(judge: Judge) -> None:
    with refused("wrong-order"):
        judge.try_it(AGREED, AURORA)
    judge.admit(proven(), NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(AGREED, BOREALIS)
    with refused("wrong-order"):
        judge.try_it(_counter(CounterResult.AGREED, "pow-9"), AURORA)
    judge.admit(AGREED, AURORA)
    assert _status(judge) is RequestStatus.AGREED
    with refused("already-recorded"):
        judge.try_it(DISPUTED, AURORA)


@pytest.mark.parametrize(
    "counter",
    [
        _counter(CounterResult.DISPUTED),
        _counter(CounterResult.AGREED, reason=DisputeReason.TIMING),
        _counter(CounterResult.AGREED, contested=("p-1",)),
        _counter(CounterResult.DISPUTED, reason=DisputeReason.TIMING, contested=("p-9",)),
    ],
)
def test_a_dispute_has_a_reason_and_contests_parts_of_the_proof(done: Judge, counter: WorkCountered) -> None:
    with refused("dispute-reason"):
        done.try_it(counter, AURORA)


def test_a_dispute_ends_when_both_sides_sign_the_same_end(done: Judge) -> None:
    with refused("wrong-order"):
        done.try_it(_end(), AURORA)
    done.admit(DISPUTED, AURORA)
    assert _status(done) is RequestStatus.DISPUTED
    for stranger in (BOREALIS, SOUTHGATE):
        with refused("wrong-party"):
            done.try_it(_end(), stranger)
    done.admit(_end(Resolution.UPHELD), AURORA)
    done.admit(_end(), NORTHGATE)
    assert _status(done) is RequestStatus.DISPUTED
    done.admit(_end(ground="OTHER_RULE"), AURORA)
    assert _status(done) is RequestStatus.DISPUTED
    done.admit(_end(), AURORA)
    assert _status(done) is RequestStatus.RESOLVED
    assert done.state.request("fsr-1").resolution("pow-1") is Resolution.DISMISSED
    with refused("wrong-order"):
        done.try_it(_end(Resolution.UPHELD), NORTHGATE)


def test_an_auditor_s_finding_ends_a_dispute(done: Judge) -> None:
    done.admit(DISPUTED, AURORA)
    assert done.state.request("fsr-1").resolution("pow-1") is None
    done.admit(_end(Resolution.UPHELD), AUDITOR)
    assert _status(done) is RequestStatus.RESOLVED
    assert set(done.state.request("fsr-1").resolutions["pow-1"]) == {Role.AUD}


def test_what_is_agreed_is_settled_and_adds_up(done: Judge) -> None:
    with refused("wrong-order"):
        done.try_it(_settled(), AURORA)
    done.admit(AGREED, AURORA)
    with refused("wrong-party"):
        done.try_it(_settled(), BOREALIS)
    with refused("wrong-order"):
        done.try_it(_settled(pow_id="pow-9"), AURORA)
    with refused("settlement-sum"):
        done.try_it(_settled(9_750_001), AURORA)
    done.admit(_settled(), AURORA)
    assert _status(done) is RequestStatus.SETTLED
    with refused("wrong-order"):
        done.try_it(_settled(), AURORA)
    with refused("wrong-order"):
        done.try_it(proven(pow_id="pow-2", reverses="pow-1"), NORTHGATE)
    count = sum(fact.entry.stream == "fsr/fsr-1" for fact in done.facts)
    done.admit(StreamClosed(closed="fsr/fsr-1", n=count), NORTHGATE, "fsr/fsr-1")


def test_a_dismissed_dispute_is_settled_and_an_upheld_one_needs_a_new_proof(done: Judge) -> None:
    done.admit(DISPUTED, AURORA)
    done.admit(_end(Resolution.UPHELD), AUDITOR)
    with refused("wrong-order"):
        done.try_it(_settled(), AURORA)
    done.admit(proven(pow_id="pow-2", reverses="pow-1"), NORTHGATE)
    assert _status(done) is RequestStatus.PROVEN
    done.admit(_counter(CounterResult.AGREED, "pow-2"), AURORA)
    done.admit(_settled(pow_id="pow-2"), AURORA)


def test_a_dismissed_dispute_is_settled_as_it_stands(done: Judge) -> None:
    done.admit(DISPUTED, AURORA)
    done.admit(_end(), AURORA)
    done.admit(_end(), NORTHGATE)
    done.admit(_settled(), AURORA)
