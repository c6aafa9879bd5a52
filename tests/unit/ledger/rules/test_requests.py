"""Requests: issued under contracts or a mandate, cancelled, aborted, moved, and what timers make of them."""

import hashlib

import msgspec
import pytest

from ledger.records.contracts import ContractTerminated, TerminationReason
from ledger.records.credentials import Status
from ledger.records.execution import ExecutionKind
from ledger.records.requests import (
    Answer,
    CancelReason,
    Ground,
    Mandate,
    Obligation,
    RejectReason,
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    SetpointBatch,
    SetpointStepMoved,
)
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    CurvePoint,
    Direction,
    DroopParams,
    PriceParams,
    PriceStep,
    ReserveParams,
    Service,
    SetpointParams,
    SetpointStep,
)
from ledger.rules.fact import Evidence
from ledger.rules.request_state import RequestStatus
from tests.support.rulebook import (
    AURORA,
    BOREALIS,
    CAP,
    GRID,
    NORTHGATE,
    SOUTHGATE,
    TERMS,
    Judge,
    answer,
    at,
    baseline,
    check,
    congestion,
    directive,
    mandate,
    mandatory,
    noted,
    pids,
    proof,
    refused,
    request,
    signed_directive,
    stated,
    subject,
)

CANCEL = RequestCancelled(fsr_id="fsr-1", reason=CancelReason.NO_LONGER_NEEDED)
END = ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.NOTICE)


def _abort(reason: CancelReason = CancelReason.SAFETY) -> RequestAborted:
    return RequestAborted(fsr_id="fsr-1", reason=reason)


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    return judge


def test_a_request_is_issued_once(judge: Judge) -> None:
    judge.request()
    with refused("already-recorded"):
        judge.try_it(request(), AURORA)


def test_a_voluntary_request_starts_in_the_future_and_its_deadlines_come_first(judge: Judge) -> None:
    judge.now_ms = at("17:00")
    with refused("start-in-past"):
        judge.try_it(request(), AURORA)
    judge.now_ms -= 1
    judge.try_it(request(), AURORA)
    for changes in (
        {"end_at_ms": at("17:00")},
        {"respond_by_ms": at("17:00") + 1},
        {"opt_deadline_ms": at("17:00") + 1},
    ):
        with refused("times-contradict"):
            judge.try_it(request(**changes), AURORA)
    judge.try_it(request(respond_by_ms=at("17:00"), opt_deadline_ms=at("17:00")), AURORA)


def test_a_voluntary_request_names_contracts_in_force_that_cover_it(judge: Judge) -> None:
    with refused("contract-missing"):
        judge.try_it(request(fsc_ids=()), AURORA)
    with refused("already-recorded"):
        judge.try_it(request(fsc_ids=("fsc-1", "fsc-1")), AURORA)
    with refused("contract-not-in-force"):
        judge.try_it(request(fsc_ids=("fsc-1", "fsc-9")), AURORA)
    down = CongestionParams(congestion_point="CP-1", direction=Direction.DOWN, series=congestion().series)
    with refused("contract-not-covering"):
        judge.try_it(request(params=down), AURORA)
    judge.site(("FI*NGC*E9",), site_id="DEPOT-8")
    with refused("contract-not-covering"):
        judge.try_it(request(site_id="DEPOT-8"), AURORA)
    with refused("site-unknown"):
        judge.try_it(request(site_id="DEPOT-9"), AURORA)


@pytest.mark.parametrize(("ordered_w", "is_allowed"), [(60_000, True), (60_001, False)])
def test_no_more_is_ordered_than_the_contracts_allow(judge: Judge, ordered_w: int, is_allowed: bool) -> None:
    what = request(params=congestion(ordered_w))
    if is_allowed:
        judge.try_it(what, AURORA)
    else:
        with refused("contract-limit"):
            judge.try_it(what, AURORA)


def test_an_ended_contract_carries_no_request(judge: Judge) -> None:
    judge.admit(END, AURORA)
    with refused("contract-not-in-force"):
        judge.try_it(request(), AURORA)


# Mandates


def test_a_proven_mandate_needs_neither_contract_nor_future_start() -> None:
    judge = Judge()
    judge.site()
    judge.now_ms = at("18:31")
    judge.admit(mandatory(), AURORA, evidence=proof())
    assert judge.state.request("fsr-1").status(judge.now_ms) is RequestStatus.SCHEDULED


@pytest.mark.parametrize(
    "changes",
    [
        {"mandate": None},
        {"params": congestion()},
        {"site_id": "DEPOT-8"},
        {"params": msgspec.structs.replace(CAP, import_cap_w=33_599)},
        {"mandate": mandate(ground=Ground.SAFETY)},
        {"mandate": mandate(legal_basis="EnWG 13")},
        {"mandate": mandate(issuer="aurora")},
        {"mandate": mandate(directive_sha256="0" * 64)},
        {"mandate": mandate(valid_until_ms=at("18:29"))},
        {"mandate": mandate(valid_until_ms=at("19:00") + 1)},
        {"start_at_ms": at("17:59")},
        {"end_at_ms": at("19:00") + 1},
    ],
    ids=[
        "no mandate",
        "no limit",
        "site",
        "cap",
        "ground",
        "law",
        "issuer",
        "digest",
        "run out",
        "outlives",
        "too early",
        "too late",
    ],
)
def test_a_mandate_that_differs_from_its_directive_is_not_proven(changes: dict[str, object]) -> None:
    judge = Judge()
    judge.site()
    judge.site(("FI*NGC*E9",), site_id="DEPOT-8")
    judge.now_ms = at("18:29")
    with refused("mandate-unproven"):
        judge.try_it(mandatory(**changes), AURORA, evidence=proof())


def test_without_a_verified_directive_there_is_no_mandate() -> None:
    judge = Judge()
    judge.site()
    judge.now_ms = at("18:29")
    for evidence in (None, Evidence(), proof(by=AURORA), proof(directive(directive_id="dir-2"))):
        with refused("mandate-unproven"):
            judge.try_it(mandatory(), AURORA, evidence=evidence)
    judge.try_it(mandatory(), AURORA, evidence=proof())


def test_a_directive_to_another_operator_or_signed_by_the_operator_itself_proves_nothing() -> None:
    judge = Judge()
    judge.site()
    judge.now_ms = at("18:29")
    with refused("mandate-unproven"):
        judge.try_it(mandatory(), BOREALIS, evidence=proof())
    forged = mandatory(mandate=mandate(by=AURORA, issuer="grid"))
    with refused("mandate-unproven"):
        judge.try_it(forged, AURORA, evidence=proof(by=AURORA))


def test_a_directive_that_cannot_be_read_proves_nothing() -> None:
    judge = Judge()
    judge.site()
    judge.now_ms = at("18:29")
    other = stated(CANCEL, GRID, "fsr/fsr-1", at("18:00"), "directive-0000001").raw
    for raw in ("no.such.thing", other):
        sha256 = hashlib.sha256(raw.encode()).hexdigest()
        with refused("mandate-unproven"):
            judge.try_it(mandatory(mandate=mandate(directive=raw, directive_sha256=sha256)), AURORA, evidence=proof())


def test_a_voluntary_request_carries_no_mandate_and_no_limit(judge: Judge) -> None:
    for changes in ({"mandate": mandate()}, {"params": CAP}):
        with refused("mandate-unproven"):
            judge.try_it(request(**changes), AURORA, evidence=proof())
    assert isinstance(mandate(), Mandate)
    assert signed_directive(directive()).count(".") == 2
    assert request().obligation is Obligation.VOLUNTARY


# Ends


def test_a_request_is_cancelled_by_its_operator_before_the_start(judge: Judge) -> None:
    judge.request()
    with refused("wrong-party"):
        judge.try_it(CANCEL, BOREALIS)
    judge.admit(CANCEL, AURORA)
    state = judge.state.request("fsr-1")
    assert state.status(at("15:00")) is RequestStatus.CANCELLED
    with refused("request-ended"):
        judge.try_it(CANCEL, AURORA)
    with refused("request-ended"):
        judge.try_it(check(names=pids(1), now_ms=judge.now_ms), NORTHGATE)


def test_after_the_start_nothing_is_cancelled() -> None:
    judge = Judge()
    judge.accepted()
    judge.now_ms = at("17:00") - 1
    judge.try_it(CANCEL, AURORA)
    judge.now_ms += 1
    with refused("cancel-late"):
        judge.try_it(CANCEL, AURORA)


def test_only_what_runs_is_aborted_and_each_for_reasons_of_its_own() -> None:
    judge = Judge()
    judge.accepted()
    with refused("wrong-order"):
        judge.try_it(_abort(), AURORA)
    judge = Judge()
    judge.started()
    with refused("wrong-party"):
        judge.try_it(_abort(), BOREALIS)
    with refused("wrong-party"):
        judge.try_it(_abort(), SOUTHGATE)
    with refused("abort-reason"):
        judge.try_it(_abort(CancelReason.NO_LONGER_NEEDED), NORTHGATE)
    judge.try_it(_abort(CancelReason.NO_LONGER_NEEDED), AURORA)
    judge.admit(_abort(), NORTHGATE)
    assert judge.state.request("fsr-1").status(judge.now_ms) is RequestStatus.ABORTED
    with refused("wrong-order"):
        judge.try_it(_abort(), AURORA)


# Setpoints

MOVING = SetpointParams(
    series=(SetpointStep(start_at_ms=at("17:00"), duration_ms=3_600_000, power_w=0),),
    ramp_w_per_s=1000,
    update_interval_s=4,
)


def _batch(number: int, *steps: int) -> SetpointBatch:
    return SetpointBatch(
        fsr_id="fsr-1", batch=number, steps=tuple(SetpointStepMoved(at_ms=at_ms, power_w=0) for at_ms in steps)
    )


def _moving() -> Judge:
    judge = Judge()
    judge.site()
    judge.contract(services=(msgspec.structs.replace(TERMS, service=Service.SETPOINT),))
    judge.now_ms = at("15:00")
    judge.request(params=MOVING)
    judge.admit(check(names=pids(1), now_ms=judge.now_ms, service=Service.SETPOINT), NORTHGATE)
    return judge


def test_setpoint_batches_follow_one_another_inside_the_window() -> None:
    judge = _moving()
    with refused("wrong-order"):
        judge.try_it(_batch(1, at("17:00")), AURORA)
    judge.admit(answer(names=pids(1)), NORTHGATE)
    with refused("setpoint-gap"):
        judge.try_it(_batch(2, at("17:00")), AURORA)
    with refused("wrong-party"):
        judge.try_it(_batch(1, at("17:00")), BOREALIS)
    for steps in ((at("17:00") - 1,), (at("18:00"),), (at("17:01"), at("17:00")), (at("17:01"), at("17:01"))):
        with refused("setpoint-outside"):
            judge.try_it(_batch(1, *steps), AURORA)
    judge.admit(_batch(1, at("17:00"), at("18:00") - 1), AURORA)
    judge.try_it(_batch(2, at("17:30")), AURORA)
    judge.try_it(_batch(2, at("17:30"), at("17:30") + 4_000), AURORA)
    with refused("setpoint-too-often"):
        judge.try_it(_batch(2, at("17:30"), at("17:30") + 3_999), AURORA)
    with refused("setpoint-gap"):
        judge.try_it(_batch(1, at("17:30")), AURORA)


def test_a_setpoint_is_moved_before_it_holds() -> None:
    judge = _moving()
    judge.admit(answer(names=pids(1)), NORTHGATE)
    judge.now_ms = at("17:30")
    with refused("setpoint-late"):
        judge.try_it(_batch(1, at("17:30") - 1), AURORA)
    judge.try_it(_batch(1, at("17:30")), AURORA)


def test_only_a_setpoint_request_has_setpoints(judge: Judge) -> None:
    judge.request()
    with refused("setpoint-not-asked"):
        judge.try_it(_batch(1, at("17:00")), AURORA)


# Series and curves


def _steps(*times: tuple[int, int]) -> CongestionParams:
    """Steps of (start, length), in minutes after 17:00."""
    return CongestionParams(
        congestion_point="CP-1",
        direction=Direction.UP,
        series=tuple(
            CongestionStep(start_at_ms=at("17:00") + start * 60_000, duration_ms=length * 60_000, ordered_w=8000)
            for start, length in times
        ),
    )


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(((0, 30), (20, 40)), id="overlap"),
        pytest.param(((0, 30), (31, 29)), id="gap"),
        pytest.param(((30, 30), (0, 30)), id="order"),
        pytest.param(((-30, 30), (0, 60)), id="before the start"),
        pytest.param(((0, 30), (30, 60)), id="after the end"),
        pytest.param(((0, 30),), id="too short"),
        pytest.param(((0, 20), (20, 40)), id="other lengths"),
    ],
)
def test_a_series_that_is_not_the_window_is_refused(judge: Judge, times: tuple[tuple[int, int], ...]) -> None:
    with refused("series-outside"):
        judge.try_it(request(params=_steps(*times)), AURORA)


def test_setpoints_may_differ_in_length_and_prices_may_not(judge: Judge) -> None:
    lengths = ((at("17:00"), 1_200_000), (at("17:20"), 2_400_000))
    steps = tuple(SetpointStep(start_at_ms=start, duration_ms=length, power_w=0) for start, length in lengths)
    moving = SetpointParams(series=steps, ramp_w_per_s=1000, update_interval_s=4)
    with refused("contract-not-covering"):  # the series is good, the contract is for another service
        judge.try_it(request(params=moving), AURORA)
    prices = tuple(
        PriceStep(start_at_ms=start, duration_ms=length, import_micro_per_kwh=300_000) for start, length in lengths
    )
    with refused("series-outside"):
        judge.try_it(request(params=PriceParams(tariff_ref="T-1", currency="EUR", series=prices)), AURORA)


@pytest.mark.parametrize(("interval_ms", "refusal"), [(7_000, "series-outside"), (60_000, "contract-not-covering")])
def test_a_reserve_is_whole_intervals(judge: Judge, interval_ms: int, refusal: str) -> None:
    reserve = ReserveParams(
        capacity_w=10_000, direction=Direction.UP, full_ms=750_000, interval_ms=interval_ms, energy_budget_wh=5_000
    )
    with refused(refusal):
        judge.try_it(request(params=reserve), AURORA)


@pytest.mark.parametrize("corners", [(50_000, 50_000), (50_200, 49_800)])
def test_a_curve_that_does_not_rise_is_refused(judge: Judge, corners: tuple[int, int]) -> None:
    points = tuple(CurvePoint(freq_millihertz=freq, power_w=0) for freq in corners)
    with refused("curve-unordered"):
        judge.try_it(
            request(params=DroopParams(points=points, response_time_ms=2000, base_w=0, tolerance_w=500)), AURORA
        )


# What timers do


def test_silence_expires_a_voluntary_request_and_never_a_mandate(judge: Judge) -> None:
    judge.request()
    state = judge.state.request("fsr-1")
    assert state.status(at("15:30") - 1) is RequestStatus.ISSUED
    assert state.status(at("15:30")) is RequestStatus.EXPIRED


def test_a_request_is_scheduled_once_the_deadline_passed_and_the_baseline_stands() -> None:
    judge = Judge()
    judge.accepted()
    state = judge.state.request("fsr-1")
    assert state.status(at("16:59")) is RequestStatus.ACCEPTED
    judge.admit(baseline(pids(2)), NORTHGATE)
    assert state.status(at("16:30") - 1) is RequestStatus.ACCEPTED
    assert state.status(at("16:30")) is RequestStatus.SCHEDULED


def test_timers_cancel_at_the_start_what_nothing_passes_or_no_contract_carries() -> None:
    failed = Judge()
    failed.accepted()
    failed.now_ms = at("16:59")
    failing = tuple(subject(name, Status.INDETERMINATE) for name in pids(2))
    failed.check("chk-2", subjects=failing, overall=Status.INDETERMINATE)
    state = failed.state.request("fsr-1")
    assert state.status(at("16:59")) is RequestStatus.ACCEPTED
    assert state.status(at("17:00")) is RequestStatus.CANCELLED
    ended = Judge()
    ended.accepted()
    ended.admit(END, NORTHGATE)
    assert ended.state.request("fsr-1").status(at("17:00")) is RequestStatus.CANCELLED


def test_a_request_runs_until_its_end_or_until_nothing_runs() -> None:
    judge = Judge()
    judge.started()
    state = judge.state.request("fsr-1")
    assert state.status(at("17:59")) is RequestStatus.ACTIVE
    assert state.status(at("18:00")) is RequestStatus.COMPLETED
    judge.now_ms = at("17:30")
    for name in pids(2):
        judge.admit(noted(name, ExecutionKind.COMPLETED), NORTHGATE)
    assert state.status(at("17:30")) is RequestStatus.COMPLETED
    assert state.status(at("17:29")) is RequestStatus.ACTIVE


def test_the_state_of_any_earlier_time_can_be_asked_for() -> None:
    judge = Judge()
    judge.ended()
    state = judge.state.request("fsr-1")
    assert [state.status(at(clock)) for clock in ("15:00", "15:20", "16:45", "17:30", "18:10")] == [
        RequestStatus.ISSUED,
        RequestStatus.ACCEPTED,
        RequestStatus.SCHEDULED,
        RequestStatus.ACTIVE,
        RequestStatus.COMPLETED,
    ]
    assert state.as_of(at("15:09")).answer is None


def test_a_rejection_is_an_end(judge: Judge) -> None:
    judge.request()
    judge.admit(RequestAnswered(fsr_id="fsr-1", answer=Answer.REJECTED, reason=RejectReason.NO_CAPACITY), NORTHGATE)
    assert judge.state.request("fsr-1").status(at("15:00")) is RequestStatus.REJECTED
    with refused("request-ended"):
        judge.try_it(CANCEL, AURORA)


def test_a_mandate_nobody_answered_ends_with_its_window() -> None:
    judge = Judge()
    judge.mandated()
    state = judge.state.request("fsr-1")
    assert state.status(at("18:44")) is RequestStatus.SCHEDULED
    assert state.status(at("18:45")) is RequestStatus.COMPLETED
    assert tuple(judge.state.requests()) == (state,)
