"""Opting: per actor, before the deadline, within limits, and refused under a verified mandate."""

import msgspec
import pytest

from ledger.records.contracts import OptPolicy, Silence
from ledger.records.log import Refused as RefusedRecord
from ledger.records.opt import Choice, OptActor
from ledger.records.requests import RequestCancelled
from ledger.rules.errors.opting import OptMandatory
from ledger.rules.fact import Evidence
from ledger.rules.participation_state import ParticipationStatus
from tests.support.rulebook import (
    AMPERE,
    AURORA,
    NORTHGATE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    answer,
    at,
    check,
    decided,
    offer,
    pids,
    refused,
    request,
    tag,
    words,
)


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.accepted()
    return judge


def _status(judge: Judge, name: str = "p-1") -> ParticipationStatus:
    return judge.state.request("fsr-1").participations[name].status(judge.now_ms)


def test_an_opt_comes_before_the_deadline(judge: Judge) -> None:
    judge.now_ms = at("16:30")
    with refused("opt-late"):
        judge.try_it(decided("p-1"), NORTHGATE)
    judge.now_ms -= 1
    judge.admit(decided("p-1"), NORTHGATE)
    assert _status(judge) is ParticipationStatus.OPTED_OUT


def test_one_out_suffices_whoever_else_is_in(judge: Judge) -> None:
    judge.admit(decided("p-1", Choice.OUT, OptActor.EVU), NORTHGATE, evidence=_said(Choice.OUT))
    judge.admit(decided("p-1", Choice.IN, OptActor.CSO), NORTHGATE)
    assert _status(judge) is ParticipationStatus.OPTED_OUT
    judge.admit(decided("p-1", Choice.IN, OptActor.EVU), NORTHGATE, evidence=_said(Choice.IN))
    assert _status(judge) is ParticipationStatus.OPTED_IN


def _said(choice: Choice, name: str = "p-1", who: OptActor = OptActor.EVU) -> Evidence:
    inner = msgspec.structs.replace(decided(name, choice, who), evu_statement=msgspec.UNSET)
    return words(inner)


def test_a_person_s_decision_is_relayed_with_their_own_words_of_the_same_thing(judge: Judge) -> None:
    relayed = decided("p-1", Choice.OUT, OptActor.EVU)
    for evidence in (
        Evidence(),
        _said(Choice.IN),
        _said(Choice.OUT, "p-2"),
        _said(Choice.OUT, who=OptActor.CSO),
        words(RequestCancelled(fsr_id="fsr-1", reason="SAFETY")),  # type: ignore[arg-type]
    ):
        with refused("person-unproven"):
            judge.try_it(relayed, NORTHGATE, evidence=evidence)
    for relay in (NORTHGATE, VOLTWISE):
        judge.try_it(relayed, relay, evidence=_said(Choice.OUT))


def test_a_relay_that_commits_to_no_words_is_refused(judge: Judge) -> None:
    bare = msgspec.structs.replace(
        decided("p-1", Choice.OUT, OptActor.EVU), evu_statement=msgspec.UNSET, reason=msgspec.UNSET
    )
    with refused("person-unproven"):
        judge.try_it(bare, NORTHGATE, evidence=_said(Choice.OUT))
    with refused("person-unproven"):
        judge.try_it(bare, NORTHGATE, evidence=None)


def test_without_evidence_an_audit_says_that_the_person_is_undecided(judge: Judge) -> None:
    made = judge.fact(
        decided("p-1", Choice.OUT, OptActor.EVU), NORTHGATE, evidence=None, tags={"person": tag("evu/driver")}
    )
    judge.state.check(made)
    assert [code for code, _ in judge.state.undecidable(made)] == ["rules/person-unproven"]
    whole = judge.fact(decided("p-1", Choice.OUT, OptActor.EVU), NORTHGATE, evidence=_said(Choice.OUT))
    assert judge.state.undecidable(whole) == ()


def test_each_actor_has_a_right_of_its_own(judge: Judge) -> None:
    cases = (
        (decided("p-1", who=OptActor.CSO), VOLTWISE),
        (decided("p-1", who=OptActor.CSO), SOUTHGATE),
        (decided("p-1", who=OptActor.CSP), NORTHGATE),
        (decided("p-1", who=OptActor.CSP), VOLTWISE),
    )
    for what, by in cases:
        with refused("opt-no-standing"):
            judge.try_it(what, by)
    judge.try_it(decided("p-1", who=OptActor.CSO), NORTHGATE)


def test_a_csp_opts_its_own_contract_holders_only() -> None:
    judge = Judge()
    judge.site()
    judge.contract("fsc-1")
    judge.contract("fsc-2", by=VOLTWISE)
    judge.request(fsc_ids=("fsc-1", "fsc-2"))
    judge.check()
    offers = (offer("p-1", fsc_id="fsc-1"), offer("p-2", fsc_id="fsc-2"))
    judge.admit(answer(offers=offers), NORTHGATE)
    judge.try_it(decided("p-2", who=OptActor.CSP), VOLTWISE)
    with refused("opt-no-standing"):
        judge.try_it(decided("p-2", who=OptActor.CSP), AMPERE)


def test_a_csp_of_another_contract_of_the_request_opts_nothing() -> None:
    """The participation stands under the operator's contract: no provider has a word in it."""
    judge = Judge()
    judge.site()
    judge.contract("fsc-1")
    judge.contract("fsc-2", by=VOLTWISE)
    judge.request(fsc_ids=("fsc-1", "fsc-2"))
    judge.check()
    offers = (offer("p-1", fsc_id="fsc-1"), offer("p-2", fsc_id="fsc-2"))
    judge.admit(answer(offers=offers), NORTHGATE)
    for name, by in (("p-1", VOLTWISE), ("p-1", AMPERE)):
        with refused("opt-no-standing"):
            judge.try_it(decided(name, who=OptActor.CSP), by)


def test_no_opt_for_what_no_check_introduced(judge: Judge) -> None:
    with refused("not-a-participant"):
        judge.try_it(decided("p-9"), NORTHGATE)


def test_no_opt_once_the_request_has_ended(judge: Judge) -> None:
    judge.admit(RequestCancelled(fsr_id="fsr-1", reason="SAFETY"), AURORA)  # type: ignore[arg-type]
    with refused("request-ended"):
        judge.try_it(decided("p-1"), NORTHGATE)


def test_opt_out_is_refused_while_a_verified_mandate_holds_and_the_refusal_names_its_ground() -> None:
    judge = Judge()
    judge.mandated()
    assert _status(judge) is ParticipationStatus.MANDATED
    with pytest.raises(OptMandatory) as raised:
        judge.try_it(decided("p-1", Choice.OUT, OptActor.EVU), NORTHGATE, evidence=_said(Choice.OUT))
    assert raised.value.found == "GRID_STABILITY"
    assert raised.value.where["ground"] == "GRID_STABILITY"
    with refused("opt-mandatory"):
        judge.try_it(decided("p-1"), NORTHGATE)


def test_a_refused_attempt_stays_visible(judge: Judge) -> None:
    refusal = RefusedRecord(
        code="rules/opt-late",
        refused_type="opt.decided",
        statement="0" * 64,
        refused_jti="j" * 20,
        role="EVU",  # type: ignore[arg-type]
        participation="p-1",
    )
    judge.admit(refusal, NORTHGATE, "fsr/fsr-1")
    assert judge.state.request("fsr-1").refusals == [refusal]
    assert _status(judge) is ParticipationStatus.PROPOSED


def _limited(count: int) -> Judge:
    judge = Judge()
    judge.site()
    judge.contract(opt=OptPolicy(default_on_silence=Silence.IN, opt_deadline_s=1800, max_opt_outs=count))
    judge.now_ms = at("15:00")
    judge.request()
    judge.check(count=3)
    return judge


def test_no_more_opt_outs_than_the_contract_allows_over_all_requests() -> None:
    judge = _limited(2)
    judge.admit(decided("p-1"), NORTHGATE)
    judge.admit(request("fsr-2"), AURORA)
    judge.admit(check("chk-a", "fsr-2", names=pids(2), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(decided("p-1", fsr_id="fsr-2"), NORTHGATE)
    for what in (decided("p-2"), decided("p-2", fsr_id="fsr-2")):
        with refused("opt-limit"):
            judge.try_it(what, NORTHGATE)
    judge.try_it(decided("p-1"), NORTHGATE)
    judge.admit(decided("p-1", Choice.IN), NORTHGATE)
    judge.try_it(decided("p-2"), NORTHGATE)


def test_a_contract_without_opt_outs_allows_none() -> None:
    with refused("opt-limit"):
        _limited(0).try_it(decided("p-1"), NORTHGATE)


def test_the_limit_is_undecided_where_the_participation_s_contract_is_not_known() -> None:
    judge = Judge()
    judge.site()
    judge.contract("fsc-1", stackable=True)
    judge.contract("fsc-2", by=VOLTWISE, stackable=True)
    judge.request(fsc_ids=("fsc-1", "fsc-2"))
    judge.check()
    made = judge.fact(decided("p-1"), NORTHGATE)
    assert [code for code, _ in judge.state.undecidable(made)] == ["rules/opt-limit"]
    judge.state.check(made)
