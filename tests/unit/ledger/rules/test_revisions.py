"""A request is revised before its answer, and everybody starts anew."""

import msgspec
import pytest

from ledger.records.opt import Choice
from ledger.records.requests import Answer, CancelReason, RejectReason, RequestAnswered, RequestCancelled
from ledger.records.services import SetpointParams, SetpointStep
from ledger.rules.participation_state import ParticipationStatus
from ledger.rules.request_state import RequestStatus
from tests.support.acts import revision
from tests.support.parameters import at, congestion
from tests.support.rulebook import (
    AURORA,
    BOREALIS,
    NORTHGATE,
    TERMS,
    Judge,
    answer,
    check,
    decided,
    pids,
    refused,
    request,
)


@pytest.fixture
def judge() -> Judge:
    """A request at 15:01, checked."""
    made = Judge()
    made.ready()
    return made


def test_a_revision_replaces_what_is_asked_for_and_every_check_and_opt_starts_anew(judge: Judge) -> None:
    judge.admit(decided("p-1"), NORTHGATE)
    contract = judge.state.contract("fsc-1")
    assert contract.out == {("fsr-1", "p-1")}
    judge.admit(revision(), AURORA)
    state = judge.state.request("fsr-1")
    assert (state.revision, state.issued.start_at_ms, state.issued.end_at_ms) == (2, at("18:00"), at("19:00"))
    assert state.participations == {}
    assert contract.out == set()
    with refused("check-missing"):
        judge.try_it(msgspec.structs.replace(answer(), revision=2), NORTHGATE)
    judge.admit(check("chk-2", names=pids(2), now_ms=judge.now_ms, revision=2), NORTHGATE)
    assert state.participations["p-1"].status(judge.now_ms) is ParticipationStatus.PROPOSED
    judge.admit(msgspec.structs.replace(answer(check_id="chk-2"), revision=2), NORTHGATE)
    assert state.status(judge.now_ms) is RequestStatus.ACCEPTED


def test_whoever_meant_the_revision_before_is_told_that_another_stands(judge: Judge) -> None:
    judge.admit(revision(), AURORA)
    for what in (
        answer(),
        decided("p-1", Choice.IN),
        check("chk-2", names=pids(2), now_ms=judge.now_ms),
        RequestAnswered(fsr_id="fsr-1", answer=Answer.REJECTED, reason=RejectReason.NO_CAPACITY),
    ):
        with refused("revision-other"):
            judge.try_it(what, NORTHGATE)
    with refused("revision-other"):
        judge.try_it(msgspec.structs.replace(answer(), revision=3), NORTHGATE)


def test_revisions_count_up_by_one_from_the_issue(judge: Judge) -> None:
    for number in (3, 4):
        with refused("revision-other"):
            judge.try_it(revision(number), AURORA)
    judge.admit(revision(2), AURORA)
    with refused("revision-other"):
        judge.try_it(revision(2), AURORA)
    judge.try_it(revision(3), AURORA)


def test_only_the_operator_of_the_request_revises_it(judge: Judge) -> None:
    with refused("wrong-party"):
        judge.try_it(revision(), BOREALIS)
    with refused("writer-role"):
        judge.try_it(revision(), NORTHGATE)


def test_what_is_answered_expired_or_cancelled_is_not_revised(judge: Judge) -> None:
    judge.admit(answer(), NORTHGATE)
    with refused("revision-late"):
        judge.try_it(revision(), AURORA)
    other = Judge()
    other.ready()
    other.now_ms = at("15:31")
    with refused("request-ended"):
        other.try_it(revision(respond_by_ms=at("16:00")), AURORA)
    other = Judge()
    other.ready()
    other.admit(RequestCancelled(fsr_id="fsr-1", reason=CancelReason.NO_LONGER_NEEDED), AURORA)
    with refused("request-ended"):
        other.try_it(revision(), AURORA)


def test_a_mandate_is_not_revised_but_followed_by_another_request() -> None:
    judge = Judge()
    judge.mandated()
    with refused("revision-late"):
        judge.try_it(revision(), AURORA)


def test_a_revision_keeps_the_rules_of_an_issue(judge: Judge) -> None:
    with refused("times-contradict"):
        judge.try_it(revision(opt_deadline_ms=at("18:01")), AURORA)
    with refused("times-contradict"):
        judge.try_it(revision(end_at_ms=at("18:00"), params=congestion(1_000)), AURORA)
    with refused("start-in-past"):
        judge.try_it(revision(start_at_ms=at("15:01"), end_at_ms=at("16:00")), AURORA)
    with refused("series-outside"):
        judge.try_it(revision(params=congestion(1_000)), AURORA)
    with refused("contract-limit"):
        judge.try_it(revision(params=congestion(60_001, at("18:00"), at("19:00"))), AURORA)
    moving = SetpointParams(
        series=(SetpointStep(start_at_ms=at("18:00"), duration_ms=3_600_000, power_w=0),),
        ramp_w_per_s=1,
        update_interval_s=4,
    )
    with refused("revision-other"):
        judge.try_it(revision(params=moving), AURORA)


def test_a_revision_that_was_never_issued_is_refused() -> None:
    judge = Judge()
    judge.site()
    with refused("wrong-order"):
        judge.try_it(revision(), AURORA)


def test_the_request_of_an_earlier_time_is_the_one_before_the_revision(judge: Judge) -> None:
    judge.now_ms = at("15:05")
    judge.admit(revision(), AURORA)
    state = judge.state.request("fsr-1")
    before = state.as_of(at("15:04"))
    assert (before.revision, before.issued) == (1, request())
    assert set(before.participations) == set(pids(2))
    assert state.as_of(at("15:05")).issued == state.issued


def _notice(seconds: int) -> Judge:
    judge = Judge()
    judge.site()
    judge.contract(services=(msgspec.structs.replace(TERMS, cancel_notice_s=seconds),))
    judge.now_ms = at("15:00")
    judge.request()
    judge.check()
    return judge


def test_an_accepted_request_is_cancelled_with_the_notice_of_its_contract() -> None:
    what = RequestCancelled(fsr_id="fsr-1", reason=CancelReason.NO_LONGER_NEEDED)
    judge = _notice(3600)
    judge.admit(answer(), NORTHGATE)
    judge.now_ms = at("16:00")
    judge.try_it(what, AURORA)
    judge.now_ms += 1
    with refused("cancel-late"):
        judge.try_it(what, AURORA)


def test_what_nobody_accepted_is_cancelled_without_notice() -> None:
    judge = _notice(7200)
    judge.now_ms = at("15:10")
    judge.try_it(RequestCancelled(fsr_id="fsr-1", reason=CancelReason.NO_LONGER_NEEDED), AURORA)


def test_why_a_request_was_cancelled_is_told_by_its_operator_or_by_the_timer_that_did_it() -> None:
    judge = Judge()
    judge.accepted()
    assert judge.state.request("fsr-1").cancel_reason(judge.now_ms) is None
    judge.check("chk-2", subjects=(), overall="FAIL")
    assert judge.state.request("fsr-1").cancel_reason(at("17:00")) is None
    judge.admit(RequestCancelled(fsr_id="fsr-1", reason=CancelReason.NO_LONGER_NEEDED), AURORA)
    assert judge.state.request("fsr-1").cancel_reason(judge.now_ms) is CancelReason.NO_LONGER_NEEDED
