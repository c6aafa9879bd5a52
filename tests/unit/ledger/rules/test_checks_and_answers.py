"""Credential checks, answers, and capacity that is sold once."""

import msgspec
import pytest

from ledger.records.contracts import OptPolicy, Silence
from ledger.records.credentials import Status
from ledger.records.opt import Choice
from ledger.records.requests import Answer, RejectReason, RequestAborted, RequestAnswered, RequestCancelled
from ledger.records.services import Direction, service_of
from ledger.rules import orders
from ledger.rules.participation_state import ParticipationStatus
from tests.support.parameters import armed, congestion
from tests.support.rulebook import (
    AURORA,
    CAN_W,
    EVSES,
    NORTHGATE,
    TERMS,
    Judge,
    answer,
    at,
    check,
    decided,
    dimensions,
    offer,
    pids,
    refused,
    request,
    subject,
    tag,
    tags,
)


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.ready()
    return judge


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "FFR"},
        {"requester": "borealis"},
        {"as_of_ms": at("15:01") + 1},
        {"valid_until_ms": at("15:01") - 1},
        {"overall": Status.FAIL},
        {"requester_dimensions": dimensions()[2:]},
        {"requester_dimensions": dimensions((Status.INDETERMINATE,) + (Status.PASS,) * 5)[:4]},
        {"subjects": (subject("p-1"), subject("p-1"))},
        {"subjects": (msgspec.structs.replace(subject("p-1"), overall=Status.FAIL),)},
        {"subjects": (msgspec.structs.replace(subject("p-1", Status.INDETERMINATE), overall=Status.PASS),)},
        {"subjects": (msgspec.structs.replace(subject("p-1"), dimensions=tuple(reversed(dimensions()))),)},
        {"subjects": (subject("p-1", Status.FAIL),)},
        {"subjects": ()},
    ],
    ids=[
        "service",
        "requester",
        "future",
        "no validity",
        "overall",
        "requester order",
        "requester unsure",
        "twice",
        "falsely failed",
        "falsely passed",
        "order",
        "nobody passed",
        "nobody",
    ],
)
def test_a_check_that_contradicts_itself_or_its_request_is_refused(judge: Judge, changes: dict[str, object]) -> None:
    with refused("check-inconsistent"):
        judge.try_it(check("chk-2", names=pids(2), now_ms=judge.now_ms, **changes), NORTHGATE)


def test_one_subject_that_passes_is_enough_and_indeterminate_is_not_pass(judge: Judge) -> None:
    mixed = (subject("p-1"), subject("p-2", Status.INDETERMINATE))
    judge.admit(check("chk-2", now_ms=judge.now_ms, subjects=mixed), NORTHGATE)
    state = judge.state.request("fsr-1")
    assert state.participations["p-2"].status(judge.now_ms) is ParticipationStatus.INELIGIBLE
    assert state.participations["p-1"].status(judge.now_ms) is ParticipationStatus.PROPOSED
    none = (subject("p-1", Status.INDETERMINATE),)
    judge.try_it(check("chk-3", now_ms=judge.now_ms, subjects=none, overall=Status.INDETERMINATE), NORTHGATE)


def test_a_check_is_recorded_once_and_introduces_nobody_after_the_answer(judge: Judge) -> None:
    with refused("already-recorded"):
        judge.check()
    judge.check("chk-2", count=3)
    judge.answer(count=3, check_id="chk-2")
    judge.check("chk-3", count=3)
    with refused("not-a-participant"):
        judge.check("chk-4", count=4)


# Answers


def test_an_acceptance_rests_on_a_check_of_this_request_that_passed_and_holds(judge: Judge) -> None:
    for check_id in (None, "chk-9"):
        with refused("check-missing"):
            judge.try_it(answer(check_id=check_id), NORTHGATE)  # type: ignore[arg-type]
    judge.now_ms = at("15:16") - 1
    judge.try_it(answer(), NORTHGATE)
    judge.now_ms += 1
    with refused("check-expired"):
        judge.try_it(answer(), NORTHGATE)


def test_a_failed_check_carries_no_acceptance(judge: Judge) -> None:
    failing = tuple(subject(name, Status.FAIL) for name in pids(2))
    judge.check("chk-2", subjects=failing, overall=Status.FAIL)
    with refused("check-not-passed"):
        judge.try_it(answer(check_id="chk-2"), NORTHGATE)
    with refused("check-not-passed"):
        judge.try_it(answer(check_id="chk-1"), NORTHGATE)


def test_a_participation_that_failed_is_not_offered(judge: Judge) -> None:
    judge.check("chk-2", subjects=(subject("p-1"), subject("p-2", Status.FAIL)))
    with refused("check-not-passed"):
        judge.try_it(answer(check_id="chk-2"), NORTHGATE)
    one = answer(check_id="chk-2", names=("p-1",), answer=Answer.PARTIAL)
    judge.try_it(one, NORTHGATE)


def test_who_was_not_checked_is_not_offered(judge: Judge) -> None:
    with refused("not-a-participant"):
        judge.try_it(answer(names=pids(3)), NORTHGATE)
    judge.check("chk-2", count=3)
    with refused("not-a-participant"):
        judge.try_it(answer(check_id="chk-1", names=pids(3)), NORTHGATE)


def test_a_voluntary_request_is_answered_in_time_and_once(judge: Judge) -> None:
    judge.check("chk-2", valid_until_ms=at("16:00"))
    judge.now_ms = at("15:30")
    rejection = RequestAnswered(fsr_id="fsr-1", answer=Answer.REJECTED, reason=RejectReason.LATE)
    for late in (answer(check_id="chk-2"), rejection):
        with refused("response-late"):
            judge.try_it(late, NORTHGATE)
    judge.now_ms -= 1
    judge.answer(check_id="chk-2")
    with refused("wrong-order"):
        judge.try_it(rejection, NORTHGATE)


def test_what_opted_out_is_not_offered(judge: Judge) -> None:
    judge.admit(decided("p-2"), NORTHGATE)
    with refused("opted-out-offer"):
        judge.try_it(answer(), NORTHGATE)
    with refused("answer-inconsistent"):
        judge.try_it(answer(names=("p-1",)), NORTHGATE)
    judge.try_it(answer(offers=(offer("p-1", 20_000),), answer=Answer.PARTIAL), NORTHGATE)


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": Answer.PARTIAL},
        {"offers": (offer("p-1", 9_999), offer("p-2"))},
        {"offers": (offer("p-1", 20_000),)},
        {"offers": (offer("p-1"), offer("p-1"))},
        {"offers": ()},
        {"offers": (offer("p-1", 0), offer("p-2", 0)), "answer": Answer.PARTIAL},
        {"reason": RejectReason.LATE},
        {"answer": Answer.REJECTED, "reason": RejectReason.LATE},
        {"answer": Answer.REJECTED, "offers": ()},
    ],
    ids=[
        "partial",
        "short",
        "incomplete",
        "twice",
        "nothing",
        "zero",
        "reason",
        "rejected with offers",
        "rejected without reason",
    ],
)
def test_an_answer_says_what_its_offers_say(judge: Judge, changes: dict[str, object]) -> None:
    with refused("answer-inconsistent"):
        judge.try_it(answer(**changes), NORTHGATE)


def test_less_than_the_order_is_partial(judge: Judge) -> None:
    less = answer(offers=(offer("p-1", 9_999), offer("p-2")), answer=Answer.PARTIAL)
    judge.try_it(less, NORTHGATE)


def test_an_offer_stands_under_a_contract_of_the_request_within_its_terms() -> None:
    judge = Judge()
    judge.site()
    judge.contract("fsc-1", services=(msgspec.structs.replace(TERMS, max_w=20_000),))
    judge.now_ms = at("15:00")
    judge.request()
    judge.check()
    with refused("contract-not-covering"):
        judge.try_it(answer(offers=(offer("p-1", fsc_id="fsc-9"), offer("p-2"))), NORTHGATE)
    with refused("contract-limit"):
        judge.try_it(answer(offers=(offer("p-1", fsc_id="fsc-1"), offer("p-2", 10_001, fsc_id="fsc-1"))), NORTHGATE)
    judge.try_it(answer(offers=tuple(offer(name, fsc_id="fsc-1") for name in pids(2))), NORTHGATE)


def test_a_mandate_is_rejected_for_three_reasons_only() -> None:
    judge = Judge()
    judge.mandated()
    for reason in RejectReason:
        rejection = RequestAnswered(fsr_id="fsr-1", answer=Answer.REJECTED, reason=reason)
        if reason in (RejectReason.MANDATE_UNPROVEN, RejectReason.NOT_APPLICABLE, RejectReason.INABILITY):
            judge.try_it(rejection, NORTHGATE)
        else:
            with refused("reject-reason"):
                judge.try_it(rejection, NORTHGATE)


def test_a_mandate_may_be_answered_late_but_not_after_its_end() -> None:
    judge = Judge()
    judge.mandated()
    judge.now_ms = at("18:40")
    accepted = answer(offers=tuple(offer(name, 0) for name in pids(2)))
    judge.try_it(accepted, NORTHGATE)
    judge.now_ms = at("18:45")
    with refused("response-late"):
        judge.try_it(accepted, NORTHGATE)


# Double selling


def _second(judge: Judge, start: str = "17:30", end: str = "18:30", **changes: object) -> None:
    """Another request for the first EVSE, checked."""
    changes = {"params": armed(), **changes}
    what = request("fsr-2", start_at_ms=at(start), end_at_ms=at(end), **changes)
    judge.admit(what, AURORA)
    service = service_of(what.params)
    judge.admit(check("chk-a", "fsr-2", names=("q-1",), now_ms=judge.now_ms, service=service), NORTHGATE)


def _sell(judge: Judge, watts: int, evse: str = EVSES[0]) -> None:
    sold = answer("fsr-2", check_id="chk-a", offers=(offer("q-1", watts),), answer=Answer.PARTIAL)
    if watts >= 20_000:
        sold = msgspec.structs.replace(sold, answer=Answer.ACCEPTED)
    judge.try_it(sold, NORTHGATE, tags={"q-1": tag(evse)})


def test_capacity_is_not_sold_twice_for_one_instant() -> None:
    judge = Judge()
    judge.accepted()
    _second(judge)
    _sell(judge, CAN_W - 10_000)
    with refused("double-selling"):
        _sell(judge, CAN_W - 10_000 + 1)
    _sell(judge, CAN_W, EVSES[2])
    with refused("double-selling"):
        _sell(judge, CAN_W + 1, EVSES[2])


@pytest.mark.parametrize(("start", "end"), [("18:00", "19:00"), ("16:30", "17:00")])
def test_capacity_of_another_time_is_free(start: str, end: str) -> None:
    judge = Judge()
    judge.accepted()
    _second(judge, start, end)
    _sell(judge, CAN_W)


def test_one_answer_cannot_sell_an_evse_twice_to_itself() -> None:
    judge = Judge()
    judge.ready()
    both = answer(offers=(offer("p-1", 12_000), offer("p-2", 12_000)))
    with refused("double-selling"):
        judge.try_it(both, NORTHGATE, tags={"p-1": tag(EVSES[0]), "p-2": tag(EVSES[0])})
    judge.try_it(both, NORTHGATE, tags=tags(2))


def test_two_bookings_that_do_not_meet_each_other_are_not_added() -> None:
    judge = Judge()
    judge.accepted()
    judge.admit(request("fsr-3", start_at_ms=at("18:00"), end_at_ms=at("19:00")), AURORA)
    judge.admit(check("chk-b", "fsr-3", names=("r-1",), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(
        answer("fsr-3", check_id="chk-b", offers=(offer("r-1"),), answer=Answer.PARTIAL),
        NORTHGATE,
        tags={"r-1": tag(EVSES[0])},
    )
    _second(judge, "17:30", "18:30")
    _sell(judge, 12_000)
    with refused("double-selling"):
        _sell(judge, 12_001)


def test_the_two_directions_are_counted_apart() -> None:
    judge = Judge()
    judge.accepted()
    _second(judge)
    sold = offer("q-1", 100, down_w=CAN_W)
    what = answer("fsr-2", check_id="chk-a", offers=(sold,), answer=Answer.PARTIAL)
    judge.try_it(what, NORTHGATE, tags={"q-1": tag(EVSES[0])})
    more = msgspec.structs.replace(what, offers=(msgspec.structs.replace(sold, down_w=CAN_W + 1),))
    with refused("double-selling"):
        judge.try_it(more, NORTHGATE, tags={"q-1": tag(EVSES[0])})


def test_silence_about_bound_capacity_does_not_sell_it_twice() -> None:
    quiet = msgspec.structs.replace(offer("q-1", 7_000), up_w=0)
    assert orders.bound_w(quiet, Direction.UP) == (7_000, 0)
    assert orders.bound_w(quiet, Direction.DOWN) == (0, 7_000)
    assert orders.bound_w(quiet, None) == (7_000, 7_000)
    assert orders.bound_w(msgspec.structs.replace(quiet, up_w=8_000), Direction.UP) == (8_000, 0)


def test_an_ffr_request_orders_its_capacity() -> None:
    params = armed(60_000)
    assert (orders.ordered_w(params), orders.direction(params)) == (60_000, Direction.UP)


def test_the_same_saved_watts_do_not_count_twice() -> None:
    """Both are the difference to one baseline: 5 kW less would fill both orders."""
    judge = Judge()
    judge.accepted()
    _second(judge, params=congestion(20_000, at("17:30"), at("18:30")))
    with refused("baseline-shared"):
        _sell(judge, 5_000)
    _sell(judge, 5_000, EVSES[2])
    again = Judge()
    again.accepted()
    _second(again, "18:00", "19:00", params=congestion(20_000, at("18:00"), at("19:00")))
    _sell(again, 5_000)


def test_who_opted_out_is_free_for_another_baseline_and_does_not_come_back_beside_it() -> None:
    judge = Judge()
    judge.accepted()
    judge.admit(decided("p-1"), NORTHGATE)
    _second(judge, params=congestion(20_000, at("17:30"), at("18:30")))
    sold = answer("fsr-2", check_id="chk-a", offers=(offer("q-1", 5_000),), answer=Answer.PARTIAL)
    judge.admit(sold, NORTHGATE, tags={"q-1": tag(EVSES[0])})
    with refused("baseline-shared"):
        judge.try_it(decided("p-1", Choice.IN), NORTHGATE)


@pytest.mark.parametrize("end", ["out", "cancel"])
def test_what_opts_out_or_is_cancelled_frees_its_capacity(end: str) -> None:
    judge = Judge()
    judge.accepted()
    _second(judge)
    ended = decided("p-1") if end == "out" else RequestCancelled(fsr_id="fsr-1", reason="SAFETY")  # type: ignore[arg-type]
    judge.admit(ended, NORTHGATE if end == "out" else AURORA)
    _sell(judge, CAN_W)


def test_an_aborted_request_frees_its_capacity() -> None:
    judge = Judge()
    judge.started()
    judge.now_ms = at("17:10")
    judge.admit(RequestAborted(fsr_id="fsr-1", reason="SAFETY"), NORTHGATE)  # type: ignore[arg-type]
    _second(judge, respond_by_ms=at("17:20"), opt_deadline_ms=at("17:20"))
    _sell(judge, CAN_W)


def test_who_comes_back_in_finds_capacity_only_if_nobody_took_it() -> None:
    judge = Judge()
    judge.accepted()
    _second(judge)
    judge.admit(decided("p-1"), NORTHGATE)
    judge.try_it(decided("p-1", Choice.IN), NORTHGATE)
    sold = answer("fsr-2", check_id="chk-a", offers=(offer("q-1", CAN_W),))
    judge.admit(sold, NORTHGATE, tags={"q-1": tag(EVSES[0])})
    with refused("double-selling"):
        judge.try_it(decided("p-1", Choice.IN), NORTHGATE)
    judge.admit(decided("q-1", fsr_id="fsr-2"), NORTHGATE)
    judge.admit(decided("p-1", Choice.IN), NORTHGATE)
    with refused("double-selling"):
        judge.try_it(decided("q-1", Choice.IN, fsr_id="fsr-2"), NORTHGATE)


def test_an_evse_of_another_site_is_not_offered() -> None:
    judge = Judge()
    judge.ready()
    judge.site(("FI*NGC*E9",), site_id="DEPOT-8")
    for foreign in (tag("FI*NGC*E9"), tag("FI*OTH*E1")):
        with refused("evse-not-at-site"):
            judge.try_it(answer(), NORTHGATE, tags={"p-1": foreign, "p-2": tag(EVSES[1])})


def test_a_mandate_takes_no_market_capacity() -> None:
    judge = Judge()
    judge.mandated()
    huge = answer(offers=tuple(offer(name, 10 * CAN_W) for name in pids(2)))
    judge.admit(huge, NORTHGATE, tags=tags(2))
    assert judge.state.request("fsr-1").bound().keys() == set(pids(2))


def test_the_contract_s_silence_is_the_one_signed_when_the_request_was_issued() -> None:
    judge = Judge()
    judge.site()
    judge.contract(opt=OptPolicy(default_on_silence=Silence.OUT, opt_deadline_s=1800, max_opt_outs=2))
    judge.now_ms = at("15:00")
    judge.request()
    judge.check()
    part = judge.state.request("fsr-1").participations["p-1"]
    assert part.silence is Silence.OUT
    assert part.status(at("16:29")) is ParticipationStatus.PROPOSED
    assert part.status(at("16:30")) is ParticipationStatus.OPTED_OUT
    judge.admit(decided("p-1", Choice.IN), NORTHGATE)
    assert part.status(at("16:30")) is ParticipationStatus.OPTED_IN
