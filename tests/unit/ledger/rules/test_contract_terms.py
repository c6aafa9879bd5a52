"""What contracts say beside their prices: withdrawal, suspension, notice, limits, and what silence means."""

from typing import Any

import msgspec
import pytest

from ledger.records import blinding
from ledger.records.actor import Actor
from ledger.records.contracts import (
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    SettlementTerms,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.requests import CancelReason, RequestCancelled
from ledger.records.services import Direction, Service
from ledger.records.sites import ClaimKind, ClaimRegistered
from ledger.records.work import CounterResult, DisputeReason, Settled, SettlementLine, WorkCountered
from ledger.rules.contract_state import ContractStatus
from ledger.rules.errors.contracts import ContractConflict
from ledger.rules.orders import rests_on_claims
from ledger.rules.request_state import RequestStatus
from tests.support.acts import revision
from tests.support.kept import Forgetful
from tests.support.parameters import armed, at, congestion
from tests.support.rulebook import (
    ARMED,
    AURORA,
    BOREALIS,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    TERMS,
    VOLTWISE,
    Judge,
    acceptance,
    answer,
    check,
    contract,
    pids,
    proven,
    refused,
    request,
)

NOTICE = SuspensionCause.NOTICE
CLAIM = ClaimRegistered(
    claim_id="claim-1",
    site_id=SITE,
    subject=ClaimKind.EVSE,
    standard="EN 50549-1:2019",
    functions=("FFR",),
    region="FI",
    issuer="lab",
    not_before_ms=at("00:00"),
    not_after_ms=at("23:00"),
)


def _signed(**changes: Any) -> Judge:
    judge = Judge()
    judge.site()
    judge.contract(**changes)
    judge.now_ms = at("15:00")
    return judge


def _terms(**changes: Any) -> dict[str, Any]:
    return {"services": (msgspec.structs.replace(TERMS, **changes), ARMED)}


def _status(judge: Judge, fsc_id: str = "fsc-1") -> ContractStatus:
    return judge.state.contract(fsc_id).status(judge.now_ms)


# Drafts


def test_who_offered_takes_the_offer_back_before_it_is_accepted() -> None:
    judge = Judge()
    judge.site()
    made = judge.admit(contract(), AURORA)
    gone = ContractWithdrawn(fsc_id="fsc-1", version=1)
    with refused("wrong-party"):
        judge.try_it(gone, NORTHGATE)
    with refused("contract-offer-other"):
        judge.try_it(ContractWithdrawn(fsc_id="fsc-1", version=2), AURORA)
    with refused("wrong-order"):
        judge.try_it(ContractWithdrawn(fsc_id="fsc-9", version=1), AURORA)
    judge.admit(gone, AURORA)
    assert _status(judge) is ContractStatus.WITHDRAWN
    with refused("wrong-order"):
        judge.try_it(acceptance("fsc-1", made), NORTHGATE)
    with refused("wrong-order"):
        judge.try_it(gone, AURORA)
    judge.admit(acceptance("fsc-1", judge.admit(contract(version=2), AURORA)), NORTHGATE)
    assert _status(judge) is ContractStatus.ACTIVE
    with refused("wrong-order"):
        judge.try_it(ContractWithdrawn(fsc_id="fsc-1", version=2), AURORA)


def test_a_withdrawn_version_leaves_the_signed_one_in_force() -> None:
    judge = _signed()
    judge.admit(contract(version=2), AURORA)
    judge.admit(ContractWithdrawn(fsc_id="fsc-1", version=2), AURORA)
    assert _status(judge) is ContractStatus.ACTIVE
    assert judge.state.contract("fsc-1").signed(judge.now_ms).record.version == 1  # type: ignore[union-attr]


# Suspension


def _rests(cause: SuspensionCause = NOTICE, fsc_id: str = "fsc-1") -> ContractSuspended:
    return ContractSuspended(fsc_id=fsc_id, cause=cause)


def _goes_on(cause: SuspensionCause = NOTICE) -> ContractResumed:
    return ContractResumed(fsc_id="fsc-1", cause=cause)


@pytest.mark.parametrize(
    ("cause", "by", "stranger"),
    [
        (NOTICE, AURORA, BOREALIS),
        (NOTICE, NORTHGATE, VOLTWISE),
        (SuspensionCause.CREDENTIAL, NORTHGATE, AURORA),
    ],
)
def test_a_party_gives_notice_and_the_port_says_what_it_found(
    cause: SuspensionCause, by: Actor, stranger: Actor
) -> None:
    judge = _signed()
    with refused("wrong-party"):
        judge.try_it(_rests(cause), stranger)
    judge.admit(_rests(cause), by)
    assert _status(judge) is ContractStatus.SUSPENDED
    with refused("suspension-contradicts"):
        judge.try_it(_rests(cause), by)
    with refused("contract-not-in-force"):
        judge.try_it(request(), AURORA)
    with refused("wrong-party"):
        judge.try_it(_goes_on(cause), stranger)
    judge.now_ms = at("15:05")
    judge.admit(_goes_on(cause), by)
    assert _status(judge) is ContractStatus.ACTIVE
    assert judge.state.contract("fsc-1").status(at("15:04")) is ContractStatus.SUSPENDED
    judge.try_it(request(), AURORA)


def _on_claims() -> Judge:
    """A contract for fast response alone, at a site with a claim."""
    judge = Judge()
    judge.site()
    judge.contract(services=(ARMED,))
    judge.admit(CLAIM, NORTHGATE)
    return judge


def test_a_contract_rests_for_a_lost_claim_until_there_is_one_again() -> None:
    judge = _on_claims()
    lost = SuspensionCause.CLAIM
    with refused("wrong-party"):
        judge.try_it(_rests(lost), SOUTHGATE)
    judge.admit(_rests(lost), NORTHGATE)
    assert judge.state.resting("northgate") == ("fsc-1",)
    with refused("contract-not-in-force"):
        judge.try_it(request(params=armed()), AURORA)
    with refused("suspension-contradicts"):
        judge.try_it(_goes_on(), NORTHGATE)
    judge.admit(_goes_on(lost), NORTHGATE)
    assert _status(judge) is ContractStatus.ACTIVE
    assert judge.state.resting("northgate") == ()
    judge.try_it(request(params=armed()), AURORA)


def test_no_contract_rests_for_a_claim_that_it_does_not_need_or_that_never_was() -> None:
    with_congestion = _signed()
    with_congestion.admit(CLAIM, NORTHGATE)
    nothing_registered = Judge()
    nothing_registered.site()
    nothing_registered.contract(services=(ARMED,))
    for judge in (with_congestion, nothing_registered):
        with refused("suspension-contradicts"):
            judge.try_it(_rests(SuspensionCause.CLAIM), NORTHGATE)


@pytest.mark.parametrize("service", list(Service))
def test_which_services_rest_on_claims(service: Service) -> None:
    terms = msgspec.structs.replace(TERMS, service=service)
    free = {Service.SETPOINT, Service.PRICE, Service.CONGESTION, Service.LIMIT_MANDATORY}
    assert rests_on_claims((terms,)) is (service not in free)
    assert rests_on_claims((ARMED, terms)) is (service not in free)
    down = msgspec.structs.replace(terms, direction=Direction.DOWN)
    assert rests_on_claims((down,)) is (service not in free | {Service.RESERVE})


def test_two_causes_of_one_party_are_two_words_to_take_back() -> None:
    judge = _on_claims()
    judge.admit(_rests(SuspensionCause.CLAIM), NORTHGATE)
    judge.admit(_rests(SuspensionCause.CREDENTIAL), NORTHGATE)
    judge.admit(_goes_on(SuspensionCause.CLAIM), NORTHGATE)
    assert _status(judge) is ContractStatus.SUSPENDED
    assert judge.state.resting("northgate") == ("fsc-1",)
    kept = Forgetful()
    for fact in judge.facts:
        kept.fold(fact)
    kept.require_same(judge.state)
    assert kept.state.resting("northgate") == ("fsc-1",)


def test_one_partys_notice_is_not_the_others_to_take_back() -> None:
    judge = _signed()
    with refused("suspension-contradicts"):
        judge.try_it(_goes_on(), AURORA)
    judge.admit(_rests(), NORTHGATE)
    with refused("suspension-contradicts"):
        judge.try_it(_goes_on(), AURORA)
    judge.admit(_rests(), AURORA)
    judge.admit(_goes_on(), NORTHGATE)
    assert _status(judge) is ContractStatus.SUSPENDED


def test_what_is_not_signed_or_is_over_is_not_suspended() -> None:
    judge = Judge()
    judge.site()
    with refused("wrong-order"):
        judge.try_it(_rests(), AURORA)
    judge.admit(contract(), AURORA)
    with refused("suspension-contradicts"):
        judge.try_it(_rests(), AURORA)
    over = _signed()
    over.admit(ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.BREACH), AURORA)
    with refused("suspension-contradicts"):
        over.try_it(_rests(), NORTHGATE)


def test_what_has_not_started_is_cancelled_for_want_of_a_contract_and_what_runs_goes_on() -> None:
    judge = Judge()
    judge.accepted()
    judge.admit(_rests(), AURORA)
    state = judge.state.request("fsr-1")
    assert state.status(at("17:00")) is RequestStatus.CANCELLED
    assert state.cancel_reason(at("17:00")) is CancelReason.NO_CONTRACT
    running = Judge()
    running.started()
    running.now_ms = at("17:20")
    running.admit(_rests(), AURORA)
    assert running.state.request("fsr-1").status(at("17:30")) is RequestStatus.ACTIVE


# Termination


def test_a_notice_ends_the_contract_after_the_time_that_was_agreed_and_other_reasons_at_once() -> None:
    judge = _signed(notice_s=3600)
    judge.admit(ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.NOTICE), NORTHGATE)
    held = judge.state.contract("fsc-1")
    assert held.status(at("16:00") - 1) is ContractStatus.ACTIVE
    assert held.status(at("16:00")) is ContractStatus.TERMINATED
    with refused("wrong-order"):
        judge.try_it(contract(version=2), AURORA)
    at_once = _signed(notice_s=3600)
    at_once.admit(ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.BREACH), NORTHGATE)
    assert _status(at_once) is ContractStatus.TERMINATED


def test_a_rival_waits_for_the_end_of_the_notice() -> None:
    judge = _signed(notice_s=3600)
    judge.admit(ContractTerminated(fsc_id="fsc-1", reason=TerminationReason.NOTICE), NORTHGATE)
    other = judge.admit(contract("fsc-2", fo="borealis"), BOREALIS)
    with refused("contract-conflict"):
        judge.try_it(acceptance("fsc-2", other), NORTHGATE)
    later = judge.admit(contract("fsc-3", fo="borealis", valid_from_ms=at("16:00")), BOREALIS)
    judge.try_it(acceptance("fsc-3", later), NORTHGATE)


def test_a_conflict_names_the_earlier_contract_so_that_only_its_holder_recognises_it() -> None:
    judge = _signed()
    other = judge.admit(contract("fsc-2", fo="borealis"), BOREALIS)
    with pytest.raises(ContractConflict) as raised:
        judge.try_it(acceptance("fsc-2", other), NORTHGATE)
    earlier = judge.state.contract("fsc-1")
    assert raised.value.where["blinded"] == blinding.blinded(earlier.latest.sha256, "fsc-2")
    assert "fsc-1" not in raised.value.message()
    assert "aurora" not in raised.value.message()


# Limits


@pytest.mark.parametrize(("clock", "is_refused"), [("16:00", False), ("16:01", True)])
def test_a_request_comes_with_the_notice_of_its_contract(clock: str, is_refused: bool) -> None:
    judge = _signed(**_terms(notice_s=3600))
    judge.now_ms = at(clock)
    what = request(respond_by_ms=at("16:30"))
    if not is_refused:
        judge.try_it(what, AURORA)
        return
    with refused("contract-notice"):
        judge.try_it(what, AURORA)


def test_a_revision_comes_with_that_notice_too() -> None:
    judge = _signed(**_terms(notice_s=3600))
    judge.admit(request(respond_by_ms=at("16:50")), AURORA)
    judge.now_ms = at("16:20")
    with refused("contract-notice"):
        judge.try_it(revision(start_at_ms=at("17:10"), end_at_ms=at("18:10")), AURORA)
    judge.try_it(revision(start_at_ms=at("17:30"), end_at_ms=at("18:30")), AURORA)


def _accepted(judge: Judge, number: int, start: str, end: str) -> None:
    fsr_id, window = f"fsr-{number}", (at(start), at(end))
    judge.admit(request(fsr_id, start_at_ms=window[0], end_at_ms=window[1], params=congestion(20_000, *window)), AURORA)
    judge.admit(check(f"c-{number}", fsr_id, names=pids(2), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(answer(fsr_id, check_id=f"c-{number}"), NORTHGATE)


def test_no_more_activations_than_the_terms_allow_unless_one_is_cancelled() -> None:
    judge = _signed(**_terms(max_activations=2))
    _accepted(judge, 1, "17:00", "18:00")
    _accepted(judge, 2, "18:00", "19:00")
    third = request("fsr-3", start_at_ms=at("20:00"), end_at_ms=at("21:00"))
    with refused("contract-limit"):
        judge.try_it(third, AURORA)
    judge.admit(RequestCancelled(fsr_id="fsr-2", reason=CancelReason.NO_LONGER_NEEDED), AURORA)
    judge.try_it(third, AURORA)


def test_the_last_activation_goes_to_whichever_request_is_accepted_first() -> None:
    judge = _signed(**_terms(max_activations=1))
    for number, start, end in ((1, "17:00", "18:00"), (2, "18:00", "19:00")):
        what = request(f"fsr-{number}", start_at_ms=at(start), end_at_ms=at(end))
        judge.admit(what, AURORA)
        judge.admit(check(f"c-{number}", f"fsr-{number}", names=pids(2), now_ms=judge.now_ms), NORTHGATE)
    judge.admit(answer("fsr-2", check_id="c-2"), NORTHGATE)
    with refused("contract-limit"):
        judge.try_it(answer("fsr-1", check_id="c-1"), NORTHGATE)


@pytest.mark.parametrize(("start", "is_refused"), [("18:29", True), ("18:30", False), ("14:59", True)])
def test_there_is_the_agreed_rest_between_two_activations(start: str, is_refused: bool) -> None:
    judge = _signed(**_terms(recovery_s=1800))
    judge.now_ms = at("12:00")
    _accepted(judge, 1, "17:00", "18:00")
    begins = at(start)
    ends = begins + 3_600_000 if start != "14:59" else at("16:59")
    what = request("fsr-2", start_at_ms=begins, end_at_ms=ends, respond_by_ms=begins, opt_deadline_ms=begins)
    if not is_refused:
        judge.try_it(what, AURORA)
        return
    with refused("contract-limit"):
        judge.try_it(what, AURORA)


# Silence


def _silent(**times: int) -> Judge:
    judge = Judge()
    judge.site()
    judge.contract(settlement=SettlementTerms(**times))
    return judge


def _ended(judge: Judge) -> None:
    """The rest of `Judge.ended`, under the contract that is there."""
    site, contract_of = judge.site, judge.contract
    judge.site = judge.contract = lambda *_args, **_more: None  # type: ignore[method-assign]
    try:
        judge.ended()
    finally:
        judge.site, judge.contract = site, contract_of  # type: ignore[method-assign]


def test_what_is_not_proven_in_time_is_unprovable() -> None:
    judge = _silent(proof_within_s=3600)
    _ended(judge)
    state = judge.state.request("fsr-1")
    assert state.status(at("19:00") - 1) is RequestStatus.COMPLETED
    assert state.status(at("19:00")) is RequestStatus.UNPROVABLE
    judge.now_ms = at("19:00") - 1
    judge.try_it(proven(), NORTHGATE)
    judge.now_ms = at("19:00")
    with refused("work-late"):
        judge.try_it(proven(), NORTHGATE)


def test_a_correction_may_come_after_the_time_for_a_first_proof() -> None:
    judge = _silent(proof_within_s=3600)
    _ended(judge)
    judge.admit(proven(), NORTHGATE)
    judge.now_ms = at("20:00")
    judge.try_it(proven(pow_id="pow-2", reverses="pow-1"), NORTHGATE)


DISPUTE = WorkCountered(fsr_id="fsr-1", pow_id="pow-1", result=CounterResult.DISPUTED, reason=DisputeReason.BASELINE)


def test_silence_agrees_to_a_proof_and_is_settled() -> None:
    judge = _silent(dispute_within_s=3600)
    _ended(judge)
    judge.admit(proven(), NORTHGATE)
    state = judge.state.request("fsr-1")
    last = at("18:05") + 3_600_000
    assert state.status(last - 1) is RequestStatus.PROVEN
    assert state.status(last) is RequestStatus.AGREED
    judge.now_ms = last - 1
    judge.try_it(DISPUTE, AURORA)
    judge.now_ms = last
    with refused("counter-late"):
        judge.try_it(DISPUTE, AURORA)
    judge.try_it(Settled(fsr_id="fsr-1", pow_id="pow-1", currency="EUR", lines=(), net_micro=0), AURORA)


def test_without_a_time_in_every_contract_silence_means_nothing() -> None:
    judge = _silent()
    _ended(judge)
    judge.admit(proven(), NORTHGATE)
    state = judge.state.request("fsr-1")
    assert state.status(at("23:59")) is RequestStatus.PROVEN
    assert (state.prove_by_ms(), state.dispute_by_ms()) == (None, None)


def test_what_stood_by_is_paid_beside_what_was_delivered() -> None:
    judge = _silent(dispute_within_s=1)
    _ended(judge)
    judge.admit(proven(), NORTHGATE)
    judge.now_ms = at("18:10")
    line = SettlementLine(
        start_at_ms=at("17:00"),
        duration_ms=3_600_000,
        delivered_milliwh=0,
        deficiency_milliwh=0,
        pay_micro=5,
        penalty_micro=2,
        availability_micro=4,
    )
    what = Settled(fsr_id="fsr-1", pow_id="pow-1", currency="EUR", lines=(line,), net_micro=7)
    judge.try_it(what, AURORA)
    with refused("settlement-sum"):
        judge.try_it(msgspec.structs.replace(what, net_micro=3), AURORA)


def test_a_blinded_id_is_another_one_for_each_salt_and_needs_the_offer() -> None:
    one = blinding.blinded("0" * 64, "query-1")
    assert one == blinding.blinded("0" * 64, "query-1")
    assert len({one, blinding.blinded("0" * 64, "query-2"), blinding.blinded("1" * 64, "query-1")}) == 3
