"""Contracts, conflicts, and questions about their holders."""

import msgspec
import pytest

from ledger.records import blinding
from ledger.records.actor import Actor, Role
from ledger.records.contracts import (
    ContractAccepted,
    ContractKind,
    ContractTerminated,
    CountBucket,
    Held,
    HeldStatus,
    HoldersAnswered,
    HoldersAsked,
    TerminationReason,
)
from ledger.records.services import Service
from ledger.rules.contract_state import ContractStatus
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Evidence
from tests.support.rulebook import (
    AMPERE,
    AURORA,
    BOREALIS,
    DRIVER,
    EVSES,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    TERMS,
    VOLTWISE,
    Judge,
    acceptance,
    actor,
    at,
    contract,
    decided,
    refused,
    request,
    tag,
    words,
)

EVU_CHANGES = {"kind": ContractKind.FO_EVU, "counterparty": msgspec.UNSET, "evu": "driver"}


def _end(fsc_id: str = "fsc-1") -> ContractTerminated:
    return ContractTerminated(fsc_id=fsc_id, reason=TerminationReason.NOTICE)


def _offered(judge: Judge, **changes: object) -> ContractAccepted:
    """An offer of aurora stands; its acceptance is returned."""
    made = judge.admit(contract(**changes), AURORA)
    return acceptance("fsc-1", made, **({"evu_statement": "words"} if "evu" in changes else {}))


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.site()
    return judge


def test_a_contract_is_in_force_from_acceptance_within_its_validity_until_it_is_ended(judge: Judge) -> None:
    accepted = _offered(judge, valid_from_ms=at("10:00"), valid_to_ms=at("20:00"))
    state = judge.state.contract("fsc-1")
    assert state.status(judge.now_ms) is ContractStatus.DRAFT
    judge.admit(accepted, NORTHGATE)
    assert [state.status(at(clock)) for clock in ("09:30", "10:00", "19:59", "20:00")] == [
        ContractStatus.SIGNED,
        ContractStatus.ACTIVE,
        ContractStatus.ACTIVE,
        ContractStatus.EXPIRED,
    ]
    judge.now_ms = at("12:00")
    judge.admit(_end(), NORTHGATE)
    assert state.status(at("11:59")) is ContractStatus.ACTIVE
    assert state.status(at("12:00")) is ContractStatus.TERMINATED


def test_only_the_other_party_accepts(judge: Judge) -> None:
    accepted = _offered(judge)
    for stranger in (AURORA, SOUTHGATE, VOLTWISE, BOREALIS):
        with refused("contract-not-counterparty"):
            judge.try_it(accepted, stranger)
    judge.try_it(accepted, NORTHGATE)


def test_an_offer_of_the_counterparty_is_accepted_by_the_operator(judge: Judge) -> None:
    made = judge.admit(contract(), NORTHGATE)
    accepted = acceptance("fsc-1", made)
    for stranger in (NORTHGATE, BOREALIS):
        with refused("contract-not-counterparty"):
            judge.try_it(accepted, stranger)
    judge.admit(accepted, AURORA)
    assert judge.state.contracts_of("northgate") == judge.state.contracts_of("aurora") == judge.state.contracts()
    assert judge.state.contracts_of("borealis") == ()


def test_what_is_accepted_is_the_latest_offer_by_its_digest(judge: Judge) -> None:
    first = _offered(judge)
    with refused("contract-offer-other"):
        judge.try_it(msgspec.structs.replace(first, offer_sha256="0" * 64), NORTHGATE)
    judge.admit(contract(version=2), AURORA)
    with refused("contract-offer-other"):
        judge.try_it(first, NORTHGATE)


def test_nothing_is_accepted_twice_or_after_it_ran_out_or_ended_or_before_it_was_offered(judge: Judge) -> None:
    with refused("wrong-order"):
        judge.try_it(ContractAccepted(fsc_id="fsc-1", version=1, offer_sha256="0" * 64), NORTHGATE)
    accepted = _offered(judge, valid_to_ms=at("10:00"))
    judge.now_ms = at("10:00")
    with refused("times-contradict"):
        judge.try_it(accepted, NORTHGATE)
    judge.now_ms = at("09:59")
    judge.admit(accepted, NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(accepted, NORTHGATE)
    judge.admit(_end(), AURORA)
    with refused("wrong-order"):
        judge.try_it(accepted, NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(contract(version=2), AURORA)


def test_versions_count_up_and_keep_their_parties_and_site(judge: Judge) -> None:
    _offered(judge)
    for version in (1, 3):
        with refused("version-gap"):
            judge.try_it(contract(version=version), AURORA)
    with refused("contract-kind"):
        judge.try_it(contract(version=2, counterparty="southgate"), AURORA)
    with refused("times-contradict"):
        judge.try_it(contract(version=2, valid_to_ms=at("00:00")), AURORA)


def test_a_later_version_binds_only_once_it_is_accepted(judge: Judge) -> None:
    judge.contract()
    richer = msgspec.structs.replace(TERMS, max_w=99_000)
    judge.now_ms = at("10:00")
    made = judge.admit(contract(version=2, services=(richer,)), AURORA)
    state = judge.state.contract("fsc-1")
    before = state.terms(Service.CONGESTION, at("10:00"))
    judge.now_ms = at("11:00")
    judge.admit(acceptance("fsc-1", made), NORTHGATE)
    after = state.terms(Service.CONGESTION, at("11:00"))
    assert before is not None
    assert after is not None
    assert (before.max_w, after.max_w) == (60_000, 99_000)
    assert state.terms(Service.CONGESTION, at("10:59")) == before
    assert state.terms(Service.FFR, at("11:00")) is None
    assert state.terms(Service.CONGESTION, at("08:00")) is None


@pytest.mark.parametrize(
    ("changes", "by"),
    [({"counterparty": msgspec.UNSET}, AURORA), ({**EVU_CHANGES, "counterparty": "northgate"}, AURORA)],
)
def test_the_kind_says_who_the_parties_are(judge: Judge, changes: dict[str, object], by: Actor) -> None:
    with refused("contract-kind"):
        judge.try_it(contract(**changes), by)


def test_an_offer_comes_from_one_of_its_parties(judge: Judge) -> None:
    with refused("wrong-party"):
        judge.try_it(contract(), SOUTHGATE)
    with refused("wrong-party"):
        judge.try_it(contract(), VOLTWISE)
    with refused("wrong-party"):
        judge.try_it(contract(**EVU_CHANGES), NORTHGATE)
    with refused("site-unknown"):
        judge.try_it(contract(site_id="DEPOT-9"), AURORA)


def test_a_person_s_acceptance_is_relayed_with_their_own_words(judge: Judge) -> None:
    relayed = _offered(judge, **EVU_CHANGES)
    said = words(msgspec.structs.replace(relayed, evu_statement=msgspec.UNSET))
    with refused("contract-not-counterparty"):
        judge.try_it(relayed, AURORA, evidence=said)
    with refused("person-unproven"):
        judge.try_it(relayed, VOLTWISE)
    with refused("person-unproven"):
        judge.try_it(msgspec.structs.replace(relayed, evu_statement=msgspec.UNSET), VOLTWISE, evidence=said)
    other = words(msgspec.structs.replace(relayed, offer_sha256="0" * 64))
    with refused("person-unproven"):
        judge.try_it(relayed, VOLTWISE, evidence=other)
    with refused("person-unproven"):
        judge.try_it(relayed, VOLTWISE, evidence=words(decided("p-1"), stream="fsr/fsr-1"))
    judge.admit(relayed, VOLTWISE, evidence=said)
    state = judge.state.contract("fsc-1")
    assert (state.relay, state.counterparty) == ("voltwise", None)
    assert judge.state.contracts_of("voltwise") == (state,)
    with refused("wrong-party"):
        judge.try_it(_end(), AMPERE)
    judge.admit(_end(), VOLTWISE)


def test_words_of_another_role_log_stream_or_name_prove_nothing(judge: Judge) -> None:
    relayed = _offered(judge, **EVU_CHANGES)
    said = msgspec.structs.replace(relayed, evu_statement=msgspec.UNSET)
    impostor = Evidence(person=actor("driver", Role.CSP), person_statement=words(said).person_statement)
    renamed = Evidence(person=actor("passenger", Role.EVU), person_statement=words(said).person_statement)
    elsewhere = words(said, audience="log.example/other")
    astray = words(said, stream="fsc/fsc-2")
    for evidence in (impostor, renamed, elsewhere, astray, Evidence(person=DRIVER)):
        with refused("person-unproven"):
            judge.try_it(relayed, VOLTWISE, evidence=evidence)


def test_an_audit_without_the_person_s_words_says_that_it_cannot_tell(judge: Judge) -> None:
    relayed = _offered(judge, **EVU_CHANGES)
    made = judge.fact(relayed, VOLTWISE, evidence=None)
    assert ("rules/person-unproven", "evidence: the person's statement is not shown") in judge.state.undecidable(made)
    judge.state.check(made)
    judge.fold(made)
    assert "rules/person-unproven" in {one.code for one in judge.state.undecided}


def test_a_contract_is_ended_once_and_by_a_party(judge: Judge) -> None:
    with refused("wrong-order"):
        judge.try_it(_end(), AURORA)
    judge.contract()
    for stranger in (BOREALIS, SOUTHGATE):
        with refused("wrong-party"):
            judge.try_it(_end(), stranger)
    judge.admit(_end(), NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(_end(), AURORA)


def _rival(judge: Judge, **changes: object) -> ContractAccepted:
    fields = {"fo": "borealis", **changes}
    tags = fields.pop("tags", {})
    made = judge.admit(contract("fsc-2", **fields), BOREALIS, tags=tags)
    return acceptance("fsc-2", made)


def test_two_operators_cannot_hold_the_same_site_class_and_direction(judge: Judge) -> None:
    judge.contract()
    with refused("contract-conflict"):
        judge.try_it(_rival(judge), NORTHGATE)


def test_two_stackable_contracts_stand_side_by_side(judge: Judge) -> None:
    judge.contract(stackable=True)
    judge.try_it(_rival(judge, stackable=True), NORTHGATE)


def test_one_that_is_not_stackable_is_enough_for_a_conflict(judge: Judge) -> None:
    judge.contract(stackable=True)
    with refused("contract-conflict"):
        judge.try_it(_rival(judge), NORTHGATE)


def test_other_classes_directions_times_or_ended_contracts_do_not_conflict(judge: Judge) -> None:
    judge.contract(valid_to_ms=at("12:00"))
    judge.try_it(_rival(judge, valid_from_ms=at("12:00")), NORTHGATE)
    judge.admit(_end(), AURORA)
    again = judge.admit(contract("fsc-3", fo="borealis"), BOREALIS)
    judge.try_it(acceptance("fsc-3", again), NORTHGATE)


def test_another_class_of_service_does_not_conflict(judge: Judge) -> None:
    judge.contract(services=(TERMS,))
    other = msgspec.structs.replace(TERMS, service=Service.FFR)
    judge.try_it(_rival(judge, services=(other,)), NORTHGATE)


def test_contracts_for_other_evses_of_one_site_do_not_conflict_and_the_same_one_does(judge: Judge) -> None:
    first, second = EVSES[:2]
    made = judge.admit(contract(evse_ids=(first,)), AURORA, tags={"evse-0": tag(first)})
    judge.admit(acceptance("fsc-1", made), NORTHGATE)
    judge.try_it(_rival(judge, evse_ids=(second,), tags={"evse-0": tag(second)}), NORTHGATE)
    made = judge.admit(contract("fsc-3", fo="borealis", evse_ids=(first,)), BOREALIS, tags={"evse-0": tag(first)})
    with refused("contract-conflict"):
        judge.try_it(acceptance("fsc-3", made), NORTHGATE)
    made = judge.admit(contract("fsc-4", fo="borealis"), BOREALIS)
    with refused("contract-conflict"):
        judge.try_it(acceptance("fsc-4", made), NORTHGATE)


def test_a_contract_whose_evses_nobody_knows_leaves_the_conflict_undecided(judge: Judge) -> None:
    made = judge.admit(contract(evse_ids=EVSES[:1]), AURORA, evidence=None)
    accepted = judge.fact(acceptance("fsc-1", made), NORTHGATE)
    assert [code for code, _ in judge.state.undecidable(accepted)] == ["rules/contract-conflict"]


def _question(**changes: object) -> HoldersAsked:
    asked = HoldersAsked(
        query_id="q-1", site_id=SITE, service=Service.CONGESTION, start_at_ms=at("17:00"), end_at_ms=at("18:00")
    )
    return msgspec.structs.replace(asked, **changes)


def _match(judge: Judge, name: str, **changes: object) -> Held:
    offer = judge.state.contract(name).latest.sha256
    made = Held(blinded=blinding.blinded(offer, "q-1"), status=HeldStatus.ACTIVE, available_w=60_000, evse_count=4)
    return msgspec.structs.replace(made, **changes)


def _told(*matches: Held, count: CountBucket | None = None) -> HoldersAnswered:
    return HoldersAnswered(query_id="q-1", matches=matches, count=count)


def test_a_question_is_asked_once_of_a_known_site_about_some_time(judge: Judge) -> None:
    with refused("site-unknown"):
        judge.try_it(_question(site_id="DEPOT-9"), AURORA)
    with refused("times-contradict"):
        judge.try_it(_question(end_at_ms=at("17:00")), AURORA)
    judge.admit(_question(), AURORA)
    assert judge.state.query("q-1") == _question()
    with refused("already-recorded"):
        judge.try_it(_question(), AURORA)


def test_the_answer_tells_of_the_asking_operator_s_contracts_that_it_meant_and_of_all_of_them(judge: Judge) -> None:
    judge.contract(stackable=True)
    judge.contract("fsc-2", fo=BOREALIS, stackable=True)
    judge.contract("fsc-3", stackable=True)
    mine, theirs, unmeant = (_match(judge, name) for name in ("fsc-1", "fsc-2", "fsc-3"))
    with refused("wrong-order"):
        judge.try_it(_told(mine), NORTHGATE)
    judge.admit(_question(candidates=(mine.blinded, theirs.blinded, "0" * 64)), AURORA)
    for one in (theirs, unmeant, msgspec.structs.replace(mine, blinded="0" * 64)):
        with refused("discovery-foreign"):
            judge.try_it(_told(mine, one), NORTHGATE)
    for told in (
        _told(),
        _told(mine, mine),
        _told(msgspec.structs.replace(mine, status=HeldStatus.SUSPENDED)),
        _told(msgspec.structs.replace(mine, available_w=1)),
        _told(mine, count=CountBucket.UNDER_5),
    ):
        with refused("discovery-incomplete"):
            judge.try_it(told, NORTHGATE)
    assert judge.state.held(_question(candidates=(mine.blinded,)), "aurora", judge.now_ms) == (mine,)
    judge.admit(_told(mine), NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(_told(mine), NORTHGATE)


def test_who_means_no_contract_learns_a_rough_number(judge: Judge) -> None:
    for number in range(4):
        judge.contract(f"fsc-{number}", stackable=True)
    judge.admit(_question(), AURORA)
    judge.try_it(_told(count=CountBucket.UNDER_5), NORTHGATE)
    for told in (_told(), _told(count=CountBucket.UNDER_50), _told(_match(judge, "fsc-1"), count=CountBucket.UNDER_5)):
        with pytest.raises(RuleViolated):
            judge.try_it(told, NORTHGATE)
    judge.contract("fsc-5", fo=BOREALIS, stackable=True)
    judge.try_it(_told(count=CountBucket.UNDER_50), NORTHGATE)


def test_a_question_means_each_contract_once(judge: Judge) -> None:
    with refused("already-recorded"):
        judge.try_it(_question(candidates=("0" * 64, "0" * 64)), AURORA)


def test_a_request_cannot_use_another_operator_s_contract(judge: Judge) -> None:
    judge.contract(fo=BOREALIS)
    with refused("wrong-party"):
        judge.try_it(request(), AURORA)
    judge.try_it(request(), BOREALIS)
