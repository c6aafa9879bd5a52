"""Four eyes are a rule that an audit asks again, and a hold is placed and lifted once."""

import pytest

from ledger.records.actor import Role
from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    Purpose,
    RefusalGround,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationGround,
    ReidentificationOutcome,
    ReidentificationRequested,
)
from ledger.rules.state import LogState
from tests.support.rulebook import NORTHGATE, Judge, actor, refused

ONE, TWO = "1" * 32, "2" * 32
OFFICER = actor("dpo", Role.DPO)


def asked(request: str = ONE, officer: str = "dpo") -> ReidentificationRequested:
    return ReidentificationRequested(
        request=request,
        officer=officer,
        recipient="aurora",
        purpose=Purpose.SETTLEMENT,
        ground=ReidentificationGround.LEGAL_CLAIMS,
        commitment="0" * 64,
    )


def approved(request: str = ONE, approver: str = "ops") -> ReidentificationApproved:
    return ReidentificationApproved(request=request, approver=approver)


def closed(outcome: ReidentificationOutcome, request: str = ONE) -> ReidentificationClosed:
    return ReidentificationClosed(request=request, outcome=outcome)


def held(handle: str = ONE) -> HoldPlaced:
    return HoldPlaced(handle=handle, ground=RefusalGround.LEGAL_CLAIMS)


def test_a_pseudonym_is_answered_for_when_two_have_said_so() -> None:
    judge = Judge()
    judge.admit(asked(), NORTHGATE, "privacy/a")
    with refused("four-eyes"):
        judge.try_it(closed(ReidentificationOutcome.ANSWERED), NORTHGATE, "privacy/c")
    with refused("four-eyes"):
        judge.try_it(approved(approver="dpo"), NORTHGATE, "privacy/b")
    judge.admit(approved(), NORTHGATE, "privacy/b")
    with refused("reidentification-unasked"):
        judge.try_it(approved(approver="other"), NORTHGATE, "privacy/b")
    judge.admit(closed(ReidentificationOutcome.ANSWERED), NORTHGATE, "privacy/c")
    for again in (closed(ReidentificationOutcome.ANSWERED), approved(), asked()):
        with refused("reidentification-unasked"):
            judge.try_it(again, NORTHGATE, "privacy/c")


@pytest.mark.parametrize("outcome", [ReidentificationOutcome.REFUSED, ReidentificationOutcome.EXPIRED])
def test_a_request_may_end_without_a_second_person(outcome: ReidentificationOutcome) -> None:
    judge = Judge()
    judge.admit(asked(), OFFICER, "privacy/a")
    judge.admit(closed(outcome), OFFICER, "privacy/c")


def test_nobody_approves_or_ends_what_was_not_asked() -> None:
    judge = Judge()
    judge.admit(asked(ONE), NORTHGATE, "privacy/a")
    for record in (approved(TWO), closed(ReidentificationOutcome.REFUSED, TWO)):
        with refused("reidentification-unasked"):
            judge.try_it(record, NORTHGATE, "privacy/b")


def test_an_approval_that_a_rule_refused_counts_for_nothing() -> None:
    """An audit folds an entry that should not be there, and still sees that the answer had no second person."""
    judge = Judge()
    judge.admit(asked(), NORTHGATE, "privacy/a")
    judge.fold(judge.fact(approved(approver="dpo"), NORTHGATE, "privacy/b"))
    with refused("four-eyes"):
        judge.try_it(closed(ReidentificationOutcome.ANSWERED), NORTHGATE, "privacy/c")


def test_a_hold_is_placed_once_and_lifted_once() -> None:
    judge = Judge()
    with refused("hold-unknown"):
        judge.try_it(HoldLifted(handle=ONE), NORTHGATE, "privacy/lifted")
    judge.admit(held(), NORTHGATE, "privacy/placed")
    with refused("hold-unknown"):
        judge.try_it(held(), NORTHGATE, "privacy/placed")
    judge.admit(HoldLifted(handle=ONE), NORTHGATE, "privacy/lifted")
    for again in (HoldLifted(handle=ONE), held()):
        with refused("hold-unknown"):
            judge.try_it(again, NORTHGATE, "privacy/again")
    judge.admit(held(TWO), NORTHGATE, "privacy/placed")


def test_one_stream_alone_does_not_decide_who_agreed_and_says_so() -> None:
    judge = Judge("stream")
    for record in (approved(), closed(ReidentificationOutcome.ANSWERED), HoldLifted(handle=ONE), asked(), held()):
        judge.admit(record, NORTHGATE, "privacy/one")
    assert isinstance(judge.state, LogState)
    told = {one.code for one in judge.state.undecided}
    assert {"rules/four-eyes", "rules/reidentification-unasked", "rules/hold-unknown"} <= told
