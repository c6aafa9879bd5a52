"""Nobody acts for another without a delegation that is on record; blind names tell whose right it is."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from ledger.records.actor import Actor, Role
from ledger.records.contracts import ContractKind, ContractTerminated, TerminationReason
from ledger.records.opt import Choice, OptActor, OptDecided, OptOrigin, OptScheduleEnded
from ledger.records.parties import DelegationRevoked, Scope
from ledger.records.record import Record
from ledger.rules.contract_state import ContractStatus
from ledger.rules.fact import Evidence
from ledger.rules.participation_state import ParticipationStatus
from tests.support.acts import delegation, handover, scheduled
from tests.support.parameters import at
from tests.support.rulebook import (
    AMPERE,
    AURORA,
    DRIVER,
    EVSES,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    acceptance,
    actor,
    check,
    contract,
    decided,
    mandatory,
    pids,
    proof,
    refused,
    request,
    tag,
    words,
)

FLEET = actor("fleet", Role.EVU)
STRANGER = actor("stranger", Role.EVU)


def person(who: Actor) -> str:
    """The blind name of a person."""
    return tag(f"evu/{who.party}")


def judge_with(count: int = 2) -> Judge:
    """p-1 is the driver's session, p-2 a stranger's; the check told so by blind names."""
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    judge.request()
    judge.now_ms = at("15:01")
    names = pids(count)
    told = {f"evse/{name}": tag(evse) for name, evse in zip(names, EVSES, strict=False)}
    told |= {"evu/p-1": person(DRIVER), "evu/p-2": person(STRANGER)}
    judge.admit(check(names=names, now_ms=judge.now_ms), NORTHGATE, tags=told)
    return judge


@pytest.fixture
def judge() -> Judge:
    """Two participations of two persons."""
    return judge_with()


def said(what: Record, by: Actor = DRIVER, **tags: str) -> dict[str, Any]:
    """What the relay knows of the person's own words, and the blind names."""
    inner = msgspec.structs.replace(what, evu_statement=msgspec.UNSET)
    return {"evidence": words(inner, by), "tags": {"person": person(by), **tags}}


def opted(name: str = "p-1", **changes: Any) -> OptDecided:
    """The EV user's opt-out, relayed."""
    return msgspec.structs.replace(decided(name, Choice.OUT, OptActor.EVU), **changes)


def by_delegate(name: str = "p-1", who: OptActor = OptActor.EVU) -> OptDecided:
    """An organisation's own statement for another's right."""
    return OptDecided(
        opt_id="opt-d", fsr_id="fsr-1", participation=name, actor=who, choice=Choice.OUT, by_delegate=True
    )


def test_a_person_opts_their_own_session_only(judge: Judge) -> None:
    judge.try_it(opted("p-1"), NORTHGATE, **said(opted("p-1")))
    with refused("delegation-absent"):
        judge.try_it(opted("p-2"), NORTHGATE, **said(opted("p-2")))
    with refused("delegation-absent"):
        judge.try_it(opted("p-1"), NORTHGATE, **said(opted("p-1"), STRANGER))


def test_a_relay_that_does_not_let_the_person_be_compared_is_refused(judge: Judge) -> None:
    with refused("not-disclosed"):
        judge.try_it(opted(), NORTHGATE, **{**said(opted()), "tags": {}})


def test_nobody_opts_a_session_that_is_nobodys() -> None:
    judge = judge_with(3)
    with refused("opt-no-standing"):
        judge.try_it(opted("p-3"), NORTHGATE, **said(opted("p-3")))
    with refused("opt-no-standing"):
        judge.try_it(by_delegate("p-3"), AMPERE)


@pytest.mark.parametrize("organisation", [True, False])
def test_a_delegate_opts_for_the_person_until_it_is_revoked_or_over(judge: Judge, organisation: bool) -> None:
    """A fleet manager's platform with its own role, or an app's backend with an EV user's credential."""
    given = delegation(delegate="ampere") if organisation else delegation()
    told = said(given) if organisation else said(given, delegate=person(FLEET))

    def opts(name: str = "p-1") -> None:
        if organisation:
            judge.try_it(by_delegate(name), AMPERE)
        else:
            judge.try_it(opted(name), NORTHGATE, **said(opted(name), FLEET))

    with refused("delegation-absent"):
        opts()
    judge.admit(given, NORTHGATE, **told)
    opts()
    with refused("delegation-absent"):
        opts("p-2")
    ends = DelegationRevoked(delegation_id="del-1", evu_statement="words")
    judge.admit(ends, NORTHGATE, **said(ends))
    with refused("delegation-absent"):
        opts()
    again = msgspec.structs.replace(given, delegation_id="del-2", until_ms=at("16:00"))
    judge.admit(again, NORTHGATE, **{**told, **said(again), "tags": told["tags"]})
    opts()
    judge.now_ms = at("16:00")
    with refused("delegation-absent"):
        opts()


def test_a_delegation_of_another_scope_is_none_for_opting(judge: Judge) -> None:
    given = delegation(delegate="ampere", scopes=(Scope.CONTRACT,))
    judge.admit(given, NORTHGATE, **said(given))
    with refused("delegation-absent"):
        judge.try_it(by_delegate(), AMPERE)


def test_a_delegate_cannot_delegate_further(judge: Judge) -> None:
    given = delegation(delegate="ampere")
    judge.admit(given, NORTHGATE, **said(given))
    with refused("delegation-contradicts"):
        judge.try_it(handover("del-2", "voltwise", grantor_role=Role.EVU, grantor="ampere"), AMPERE)
    with refused("wrong-party"):
        judge.try_it(handover("del-2", "voltwise", grantor_role=Role.CSP), AMPERE)


def test_an_organisation_delegates_its_right_to_opt(judge: Judge) -> None:
    with refused("opt-no-standing"):
        judge.try_it(by_delegate(who=OptActor.CSO), AMPERE)
    judge.admit(handover(), NORTHGATE)
    judge.try_it(by_delegate(who=OptActor.CSO), AMPERE)
    with refused("opt-no-standing"):
        judge.try_it(by_delegate(who=OptActor.CSO), VOLTWISE)
    with refused("opt-no-standing"):
        judge.try_it(by_delegate(who=OptActor.CSP), AMPERE)
    judge.admit(DelegationRevoked(delegation_id="del-org"), NORTHGATE)
    with refused("opt-no-standing"):
        judge.try_it(by_delegate(who=OptActor.CSO), AMPERE)


def test_whose_role_a_right_is_one_stream_decides_alone() -> None:
    alone = Judge("stream")
    alone.admit(request(), AURORA)
    alone.admit(check(names=pids(1), now_ms=alone.now_ms), NORTHGATE, tags={})
    with refused("opt-no-standing"):
        alone.try_it(decided("p-1", who=OptActor.CSP), NORTHGATE)
    alone.try_it(decided("p-1", who=OptActor.CSO), NORTHGATE)


def test_no_delegation_lets_an_operator_of_flexibility_opt(judge: Judge) -> None:
    judge.admit(handover(delegate="aurora"), NORTHGATE)
    with refused("fo-may-not-opt"):
        judge.try_it(by_delegate(who=OptActor.CSO), AURORA)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"grantor": "southgate"}, "wrong-party"),
        ({"grantor_role": Role.CSP}, "delegation-contradicts"),
        ({"grantor": msgspec.UNSET}, "delegation-contradicts"),
        ({"delegate": "northgate"}, "delegation-contradicts"),
        ({"delegate": msgspec.UNSET}, "delegation-contradicts"),
        ({"scopes": (Scope.OPT, Scope.OPT)}, "delegation-contradicts"),
        ({"until_ms": at("15:01")}, "times-contradict"),
    ],
)
def test_a_delegation_names_whose_right_goes_to_whom_and_until_when(
    judge: Judge, changes: dict[str, Any], rule: str
) -> None:
    with refused(rule):
        judge.try_it(handover(**changes), NORTHGATE)
    judge.try_it(handover(), NORTHGATE)


def test_a_person_is_never_named_in_a_delegation_and_speaks_for_nobody_else(judge: Judge) -> None:
    named = delegation(grantor="driver")
    with refused("delegation-contradicts"):
        judge.try_it(named, NORTHGATE, **said(named))
    with refused("person-unproven"):
        judge.try_it(delegation(), NORTHGATE)
    other = delegation(delegate="ampere")
    for changes in ({"delegate": "voltwise"}, {"scopes": (Scope.CONTRACT,)}, {"until_ms": at("19:00")}):
        with refused("person-unproven"):
            judge.try_it(msgspec.structs.replace(other, **changes), NORTHGATE, **said(other))
    mine = delegation()
    with refused("delegation-contradicts"):
        judge.try_it(mine, NORTHGATE, **said(mine, delegate=person(DRIVER)))


def test_a_delegation_is_given_once_and_revoked_once_by_whoever_has_part_in_it(judge: Judge) -> None:
    judge.admit(handover(), NORTHGATE)
    with refused("already-recorded"):
        judge.try_it(handover(), NORTHGATE)
    ends = DelegationRevoked(delegation_id="del-org")
    with refused("wrong-party"):
        judge.try_it(ends, SOUTHGATE)
    judge.try_it(ends, AMPERE)
    judge.admit(ends, NORTHGATE)
    for what in (ends, DelegationRevoked(delegation_id="del-none")):
        with refused("wrong-order"):
            judge.try_it(what, NORTHGATE)


ORGANISATIONS: Mapping[str, tuple[Record, Actor]] = {
    "delegation": (handover("del-2"), NORTHGATE),
    "schedule": (scheduled("sch-2", OptActor.CSO), NORTHGATE),
    "decision": (decided("p-1"), NORTHGATE),
    "delegate's decision": (msgspec.structs.replace(decided("p-1"), by_delegate=True), AMPERE),
    "followed schedule": (msgspec.structs.replace(decided("p-1"), origin=OptOrigin.SCHEDULED), NORTHGATE),
}


@pytest.mark.parametrize("name", ORGANISATIONS)
def test_no_persons_words_come_with_what_an_organisation_says_in_its_own_right(judge: Judge, name: str) -> None:
    what, by = ORGANISATIONS[name]
    judge.admit(handover(), NORTHGATE)
    judge.admit(scheduled(who=OptActor.CSO), NORTHGATE)
    judge.try_it(what, by)
    for words_of in (what, delegation()):
        with refused("person-uncalled"):
            judge.try_it(what, by, evidence=words(words_of))
    with refused("person-uncalled"):
        judge.try_it(what, by, evidence=Evidence(person=DRIVER))


def test_an_organisations_delegation_hides_nothing_and_an_audit_sees_that(judge: Judge) -> None:
    hidden = handover(evu_statement="words")
    made = judge.fact(hidden, NORTHGATE, evidence=None)
    with refused("person-uncalled"):
        judge.state.check(made)
    judge.try_it(handover(), NORTHGATE, evidence=None)


def test_another_person_does_not_revoke_a_delegation(judge: Judge) -> None:
    given = delegation(delegate="ampere")
    judge.admit(given, NORTHGATE, **said(given))
    ends = DelegationRevoked(delegation_id="del-1", evu_statement="words")
    with refused("delegation-contradicts"):
        judge.try_it(ends, NORTHGATE, **said(ends, STRANGER))
    with refused("person-unproven"):
        judge.try_it(DelegationRevoked(delegation_id="del-1"), NORTHGATE)


# Schedules


def followed(name: str = "p-1", choice: Choice = Choice.OUT, who: OptActor = OptActor.EVU) -> OptDecided:
    """What the port states of a schedule."""
    return OptDecided(
        opt_id=f"opt-s-{name}",
        fsr_id="fsr-1",
        participation=name,
        actor=who,
        choice=choice,
        origin=OptOrigin.SCHEDULED,
    )


def test_what_was_scheduled_is_decided_by_the_port_and_can_be_decided_anew(judge: Judge) -> None:
    with refused("opt-unscheduled"):
        judge.try_it(followed(), NORTHGATE)
    judge.admit(scheduled(), NORTHGATE, **said(scheduled()))
    with refused("opt-unscheduled"):
        judge.try_it(followed(choice=Choice.IN), NORTHGATE)
    with refused("opt-unscheduled"):
        judge.try_it(followed("p-2"), NORTHGATE)
    with refused("opt-unscheduled"):
        judge.try_it(followed(who=OptActor.CSO), NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(followed(), SOUTHGATE)
    judge.admit(followed(), NORTHGATE)
    part = judge.state.request("fsr-1").participations["p-1"]
    assert part.status(judge.now_ms) is ParticipationStatus.OPTED_OUT
    back = msgspec.structs.replace(opted(), choice=Choice.IN)
    judge.admit(back, NORTHGATE, **said(back))
    assert part.status(judge.now_ms) is ParticipationStatus.OPTED_IN
    with refused("opt-unscheduled"):
        judge.try_it(followed(), NORTHGATE)


def test_an_ended_schedule_says_nothing_any_more(judge: Judge) -> None:
    judge.admit(scheduled(), NORTHGATE, **said(scheduled()))
    ends = OptScheduleEnded(schedule_id="sch-1", evu_statement="words")
    with refused("delegation-absent"):
        judge.try_it(ends, NORTHGATE, **said(ends, STRANGER))
    judge.admit(ends, NORTHGATE, **said(ends))
    with refused("opt-unscheduled"):
        judge.try_it(followed(), NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(ends, NORTHGATE, **said(ends))


def test_an_organisation_schedules_its_own_right(judge: Judge) -> None:
    mine = scheduled(who=OptActor.CSO)
    for what, by in (
        (mine, SOUTHGATE),
        (mine, VOLTWISE),
        (scheduled(who=OptActor.CSP), NORTHGATE),
        (msgspec.structs.replace(mine, party=msgspec.UNSET), NORTHGATE),
        (scheduled(party="driver"), NORTHGATE),
    ):
        with refused("wrong-party"):
            judge.try_it(what, by)
    judge.admit(mine, NORTHGATE)
    with refused("already-recorded"):
        judge.try_it(mine, NORTHGATE)
    judge.try_it(followed(who=OptActor.CSO), NORTHGATE)
    ends = OptScheduleEnded(schedule_id="sch-1")
    with refused("wrong-party"):
        judge.try_it(ends, SOUTHGATE)
    judge.try_it(ends, NORTHGATE)


def test_a_schedule_is_no_way_out_of_a_mandate() -> None:
    judge = Judge()
    judge.site()
    judge.admit(scheduled(who=OptActor.CSO), NORTHGATE)
    judge.now_ms = at("18:29")
    judge.admit(mandatory("fsr-1"), AURORA, evidence=proof())
    judge.check(service="LIMIT_MANDATORY")
    with refused("opt-mandatory"):
        judge.try_it(followed(who=OptActor.CSO), NORTHGATE)


# Consent


def signed(judge: Judge) -> None:
    """The driver's contract with aurora, accepted in their own words."""
    offered = contract("fsc-9", kind=ContractKind.FO_EVU, counterparty=msgspec.UNSET, evu="driver")
    made = judge.admit(offered, AURORA, tags={"evu": person(DRIVER)})
    agreed = acceptance("fsc-9", made, evu_statement="words")
    with refused("delegation-absent"):
        judge.try_it(agreed, VOLTWISE, **said(agreed, STRANGER))
    judge.admit(agreed, VOLTWISE, **said(agreed))


def test_a_person_withdraws_consent_in_their_own_words_and_at_once() -> None:
    judge = Judge()
    judge.site(site_id=SITE)
    signed(judge)
    ends = ContractTerminated(fsc_id="fsc-9", reason=TerminationReason.CONSENT_WITHDRAWN, evu_statement="words")
    with refused("delegation-absent"):
        judge.try_it(ends, VOLTWISE, **said(ends, STRANGER))
    with refused("person-unproven"):
        judge.try_it(msgspec.structs.replace(ends, evu_statement=msgspec.UNSET), AURORA)
    judge.admit(ends, VOLTWISE, **said(ends))
    assert judge.state.contract("fsc-9").status(judge.now_ms) is ContractStatus.TERMINATED


def test_a_version_of_a_persons_contract_keeps_the_person() -> None:
    """Else whoever is named in a later offer could withdraw a consent that was never theirs."""
    judge = Judge()
    judge.site()
    signed(judge)
    again = contract("fsc-9", version=2, kind=ContractKind.FO_EVU, counterparty=msgspec.UNSET, evu="stranger")
    with refused("contract-kind"):
        judge.try_it(again, AURORA, tags={"evu": person(STRANGER)})
    judge.try_it(again, AURORA, tags={"evu": person(DRIVER)})


def test_an_organisations_contract_has_no_person_who_could_withdraw() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    ends = ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.CONSENT_WITHDRAWN, evu_statement="words")
    with refused("person-unproven"):
        judge.try_it(ends, VOLTWISE, **said(ends))
