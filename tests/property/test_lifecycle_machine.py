"""Operator, port and relay play one afternoon, honestly and not; whatever is admitted keeps the tables of states.

Every record that a party writes is said by whoever may say it and by everybody else: what requests need here, what
stands beside them in `tests/support/beside.py`. Not played: the office's credentials, the keeping of the log and the
privacy officer's entries, which are no party's, and a whole configuration after the first (`site.changed` is).

The model knows no rules. It keeps what was admitted and checks, with code of its own, what must then be true.
"""

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from ledger.records.actor import Actor, Role
from ledger.records.contracts import (
    BaselineMethod,
    ContractResumed,
    ContractSuspended,
    SuspensionCause,
)
from ledger.records.credentials import Status
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.records.parties import DelegationGiven, DelegationRevoked
from ledger.records.record import Record
from ledger.records.requests import (
    Answer,
    CancelReason,
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestRevised,
)
from ledger.records.services import Service
from ledger.records.site_changes import EvseAdded, EvseRemoved, SiteChanged
from ledger.records.work import (
    CounterResult,
    DisputeReason,
    DisputeResolved,
    Excluded,
    ExcludedReason,
    Resolution,
    Settled,
    WorkCountered,
    WorkProven,
)
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Fact
from ledger.rules.request_state import RequestStatus
from ledger.rules.starts import starts_at_ms
from ledger.rules.state import LogState
from tests.support.acts import handover, revision
from tests.support.beside import EVERYONE, OTHERS, Beside
from tests.support.kept import Forgetful
from tests.support.parameters import armed, congestion
from tests.support.rulebook import (
    AMPERE,
    ARMED,
    AURORA,
    BOREALIS,
    CAN_W,
    EVSES,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    TERMS,
    VOLTWISE,
    Judge,
    answer,
    at,
    baseline,
    check,
    decided,
    dsr,
    mandatory,
    noted,
    offer,
    proof,
    proven,
    request,
    samples,
    site,
    subject,
    tag,
    words,
)

S = RequestStatus
STEPS: dict[S, set[S]] = {
    S.ISSUED: {S.REJECTED, S.EXPIRED, S.ACCEPTED, S.PARTIAL, S.CANCELLED},
    S.ACCEPTED: {S.SCHEDULED, S.CANCELLED, S.COMPLETED},
    S.PARTIAL: {S.SCHEDULED, S.CANCELLED, S.COMPLETED},
    S.SCHEDULED: {S.ACTIVE, S.CANCELLED, S.COMPLETED, S.REJECTED},
    S.ACTIVE: {S.SUPERSEDED, S.ABORTED, S.COMPLETED},
    S.SUPERSEDED: {S.ACTIVE, S.ABORTED, S.COMPLETED},
    S.COMPLETED: {S.PROVEN, S.UNPROVABLE},
    S.ABORTED: {S.PROVEN, S.UNPROVABLE},
    S.PROVEN: {S.AGREED, S.DISPUTED},
    S.UNPROVABLE: {S.AGREED, S.DISPUTED},
    S.DISPUTED: {S.RESOLVED, S.PROVEN},
    S.RESOLVED: {S.SETTLED, S.PROVEN},
    S.AGREED: {S.SETTLED, S.PROVEN},
}
"""The transition table 6.1, and the two ways in which a new proof reopens what a dispute or an agreement closed."""


def _reachable() -> dict[S, set[S]]:
    """What may be seen later, for timers may have moved on unseen."""
    found = {state: {state, *STEPS.get(state, ())} for state in S}
    for _ in S:
        for state in S:
            found[state] |= {far for near in found[state] for far in found[near]}
    return found


REACHABLE = _reachable()
FSRS = ("fsr-1", "fsr-2", "fsr-3")
SERVICE = {"fsr-1": Service.CONGESTION, "fsr-2": Service.FFR, "fsr-3": Service.LIMIT_MANDATORY}

fsrs = st.sampled_from(FSRS)
numbers = st.integers(1, 2)
honest_or_not = st.one_of(st.just(None), st.just(None), st.sampled_from(EVERYONE))


def _pid(fsr_id: str, number: int) -> str:
    return f"{fsr_id}-p-{number}"


def _names(fsr_id: str) -> tuple[str, ...]:
    return tuple(_pid(fsr_id, number) for number in (1, 2))


def _refusal(state: LogState, made: Fact) -> str | None:
    """The code of the rule that refuses it, or None."""
    try:
        state.check(made)
    except RuleViolated as violated:
        return violated.code
    return None


class Afternoon(Beside):
    """fsr-1 and fsr-2 are voluntary and overlap on the same two EVSEs; fsr-3 is mandatory."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = Judge()
        self.kept = Forgetful()
        for fact in self.judge.facts:
            self.kept.fold(fact)
        self.seen: dict[str, S] = {}
        self.count = 0

    @initialize(
        beside=st.sets(st.sampled_from([name for name, (_, may) in OTHERS.items() if may])),
        rests=st.sets(st.sampled_from(list(SuspensionCause))),
        honest=st.lists(st.tuples(fsrs, st.booleans()), max_size=16),
    )
    def morning(self, beside: set[str], rests: set[SuspensionCause], honest: list[tuple[str, bool]]) -> None:
        """The day begins, and some of it is honest: what stands beside the requests, contracts that rested before."""
        self.judge.site()
        self.judge.contract(services=(TERMS,))
        self.judge.contract("fsc-2", services=(ARMED,))
        self.judge.now_ms = at("15:00")
        self.judge.admit(request("fsr-1", start_spread_s=60), AURORA)
        later = {"start_at_ms": at("17:30"), "end_at_ms": at("18:30")}
        self.judge.admit(request("fsr-2", params=armed(), fsc_ids=("fsc-2",), **later), AURORA)
        for fsr_id in FSRS[:2]:
            what = check(f"{fsr_id}-c-0", fsr_id, names=_names(fsr_id), now_ms=at("15:00"), service=SERVICE[fsr_id])
            self.judge.admit(what, NORTHGATE)
        for fact in self.judge.facts[1:]:
            self.kept.fold(fact)
        self.was_said(beside)
        self.rested(rests)
        for fsr_id, agrees in honest:
            self.the_day_goes_on(fsr_id, agrees)

    def tell(self, what: Record, by: Actor, liar: Actor | None = None, **more: Any) -> bool:
        """Somebody says it; True if it was admitted. Asking changes nothing, whatever the answer."""
        self.count += 1
        made = self.judge.fact(what, liar or by, **more)
        before = pickle.dumps(self.judge.state)
        refusal = _refusal(self.judge.state, made)
        assert pickle.dumps(self.judge.state) == before
        assert _refusal(self.kept.state, made) == refusal, "a state that forgot judges otherwise"
        if refusal is not None:
            return False
        self.judge.fold(made)
        self.kept.fold(made)
        return True

    @rule(fsr_id=fsrs, agrees=st.booleans())
    def the_day_goes_on(self, fsr_id: str, agrees: bool) -> None:
        """Everybody does the next honest thing for this request."""
        known = [one for one in self.judge.state.requests() if one.fsr_id == fsr_id]
        if not known:
            self.judge.now_ms = max(self.judge.now_ms, at("18:29"))
            self.the_grid_operator_directs(forged=False)
            return
        state = known[0]
        now = state.status(self.judge.now_ms)
        if not state.participations or (now is S.ISSUED and self._check_is_stale(fsr_id)):
            self.the_port_checks(fsr_id, Status.PASS, None)
        elif now is S.ISSUED:
            self.the_port_answers(fsr_id, 10_000, True, None)
        elif state.baseline is None and now in (S.ACCEPTED, S.PARTIAL, S.SCHEDULED):
            self.the_port_commits_a_baseline(fsr_id, False, None)
        elif now in (S.ACCEPTED, S.PARTIAL):
            self.judge.now_ms = max(self.judge.now_ms, at("16:30"))
        elif now in (S.SCHEDULED, S.ACTIVE):
            self._run(fsr_id)
        else:
            self._close(fsr_id, now, agrees)

    def _close(self, fsr_id: str, now: S, agrees: bool) -> None:
        """What is over is proven, answered, resolved, settled."""
        if now in (S.COMPLETED, S.ABORTED):
            for number in (1, 2):
                self.the_port_commits_samples(fsr_id, number, None)
                self.the_port_records_the_service(fsr_id, number)
            self.the_port_proves(fsr_id, False, ExcludedReason.NO_EVIDENCE, None)
        elif now is S.PROVEN:
            self.the_operator_counters(fsr_id, agrees, None)
        elif now is S.DISPUTED:
            for by in (AURORA, NORTHGATE):
                self.somebody_resolves(fsr_id, by, agrees)
        elif now in (S.AGREED, S.RESOLVED):
            self.the_operator_settles(fsr_id, 0, None)

    def _check_is_stale(self, fsr_id: str) -> bool:
        found = self.judge.state.request(fsr_id).check
        return found is None or self.judge.now_ms >= found.valid_until_ms

    def _run(self, fsr_id: str) -> None:
        """The start comes, everything is checked again and starts; then the end comes."""
        state = self.judge.state.request(fsr_id)
        if state.has_started:
            self.judge.now_ms = max(self.judge.now_ms, state.issued.end_at_ms)
            return
        self.judge.now_ms = max(self.judge.now_ms, state.issued.start_at_ms)
        self.the_port_checks(fsr_id, Status.PASS, None)
        for number in sorted((1, 2), key=lambda one: starts_at_ms(state.issued, _pid(fsr_id, one))):
            self.judge.now_ms = max(self.judge.now_ms, starts_at_ms(state.issued, _pid(fsr_id, number)))
            self.the_port_starts(fsr_id, number)

    @rule(minutes=st.sampled_from([1, 5, 14]))
    def time_passes(self, minutes: int) -> None:
        self.judge.now_ms += minutes * 60_000

    @rule(clock=st.sampled_from(["15:30", "16:30", "17:00", "17:30"]))
    def the_clock_strikes(self, clock: str) -> None:
        self.judge.now_ms = max(self.judge.now_ms, at(clock))

    @rule(by=st.sampled_from(EVERYONE), revokes=st.booleans())
    def somebody_delegates_the_ports_right(self, by: Actor, revokes: bool) -> None:
        if revokes:
            self.tell(DelegationRevoked(delegation_id=f"del-{self.count % 3}"), by)
        else:
            self.tell(handover(f"del-{self.count % 3}", until_ms=self.judge.now_ms + 600_000), by)

    @rule(fsr_id=fsrs, number=numbers, by=st.sampled_from((AMPERE, VOLTWISE, SOUTHGATE, BOREALIS)))
    def a_delegate_opts(self, fsr_id: str, number: int, by: Actor) -> None:
        what = decided(_pid(fsr_id, number), fsr_id=fsr_id, revision=self._revision(fsr_id))
        given = [
            fact.statement.record
            for fact in self.said(DelegationGiven)
            if fact.now_ms <= self.judge.now_ms < fact.statement.record.until_ms  # type: ignore[attr-defined]
        ]
        gone = {fact.statement.record.delegation_id for fact in self.said(DelegationRevoked)}  # type: ignore[attr-defined]
        may = any(one.delegation_id not in gone and one.delegate == by.party for one in given)  # type: ignore[attr-defined]
        if self.tell(msgspec.structs.replace(what, by_delegate=True), by):
            assert may

    @rule(number=st.integers(1, 3), gone=st.booleans(), stale=st.booleans(), by=st.sampled_from(EVERYONE))
    def somebody_changes_the_site(self, number: int, gone: bool, stale: bool, by: Actor) -> None:
        """EVSEs 1 and 2 are sold, 3 never is: it goes and comes."""
        before = self.judge.state.site(SITE).configured
        evse_id = EVSES[number - 1]
        is_there = any(evse.evse_id == evse_id for evse in before.evses)
        new = site((evse_id,)).evses[0]
        what = EvseRemoved(evse_id=evse_id) if gone else EvseAdded(evse=new)
        held = self._held(evse_id)
        base = before.version - 1 if stale else before.version
        if base and self.tell(
            SiteChanged(site_id=SITE, base_version=base, changes=(what,)), by, tags={evse_id: tag(evse_id)}
        ):
            assert by is NORTHGATE
            assert (stale, is_there) == (False, gone)
            assert not (gone and held)
            assert self.judge.state.site(SITE).configured.version == before.version + 1

    def _held(self, evse_id: str) -> bool:
        """Whether an accepted request that is not over binds it."""
        for state in self.judge.state.requests():
            answered = [
                fact for fact in self.said(RequestAnswered) if fact.tags and state.answer is fact.statement.record
            ]
            is_over = self.judge.now_ms >= state.issued.end_at_ms or state.cancelled or state.aborted or state.works
            for fact in answered:
                for one in state.answer.offers if state.answer is not None else ():
                    is_out = state.participations[one.participation].has_decided_out()
                    if fact.tags.get(one.participation) == tag(evse_id) and not (
                        is_out or is_over or state.is_mandatory
                    ):
                        return True
        return False

    @rule(forged=st.booleans())
    def the_grid_operator_directs(self, forged: bool) -> None:
        evidence = proof(by=AURORA) if forged else proof()
        assert not (self.tell(mandatory("fsr-3"), AURORA, evidence=evidence) and forged)

    @rule(fsr_id=fsrs, passed=st.sampled_from(list(Status)), liar=honest_or_not)
    def the_port_checks(self, fsr_id: str, passed: Status, liar: Actor | None) -> None:
        subjects = (subject(_pid(fsr_id, 1)), subject(_pid(fsr_id, 2), passed))
        what = check(
            f"{fsr_id}-c-{self.count}",
            fsr_id,
            now_ms=self.judge.now_ms,
            subjects=subjects,
            service=SERVICE[fsr_id],
            revision=self._revision(fsr_id),
        )
        self.tell(what, NORTHGATE, liar)

    @rule(fsr_id=fsrs, watts=st.sampled_from([5_000, 10_000, 15_000]), whole=st.booleans(), liar=honest_or_not)
    def the_port_answers(self, fsr_id: str, watts: int, whole: bool, liar: Actor | None) -> None:
        names = _names(fsr_id) if whole else _names(fsr_id)[:1]
        state = self.judge.state
        known = [one for one in state.requests() if one.fsr_id == fsr_id]
        check_id = known[0].check.check_id if known and known[0].check else "none"
        enough = whole and 2 * watts >= 20_000
        what = answer(
            fsr_id,
            check_id=check_id,
            revision=self._revision(fsr_id),
            offers=tuple(offer(name, watts) for name in names),
            answer=Answer.ACCEPTED if enough or (fsr_id == "fsr-3" and whole) else Answer.PARTIAL,
        )
        tags = {name: tag(evse) for name, evse in zip(names, EVSES, strict=False)}
        self.tell(what, NORTHGATE, liar, tags=tags)

    @rule(fsr_id=fsrs, number=st.integers(1, 4), watts=st.sampled_from([15_000, 20_000]), liar=honest_or_not)
    def the_operator_revises(self, fsr_id: str, number: int, watts: int, liar: Actor | None) -> None:
        before = self._revision(fsr_id)
        window = (at("17:30"), at("18:30")) if fsr_id == "fsr-2" else (at("17:00"), at("18:00"))
        times = {"start_at_ms": window[0], "end_at_ms": window[1]}
        what = (
            revision(number, fsr_id, **times, params=armed(watts) if fsr_id == "fsr-2" else congestion(watts, *window))
            if number > 1
            else None
        )
        if what is not None and self.tell(what, AURORA, liar):
            state = self.judge.state.request(fsr_id)
            assert number == before + 1
            assert not state.participations
            assert state.answer is None
            assert fsr_id != "fsr-3"

    def _revision(self, fsr_id: str) -> int:
        known = [one.revision for one in self.judge.state.requests() if one.fsr_id == fsr_id]
        return known[0] if known else 1

    @rule(fsr_id=fsrs, number=numbers, by=fsrs, clock=st.sampled_from(["17:45", "18:30", "18:45"]), liar=honest_or_not)
    def the_port_gives_way(self, fsr_id: str, number: int, by: str, clock: str, liar: Actor | None) -> None:
        what = noted(
            _pid(fsr_id, number), ExecutionKind.SUPERSEDED, fsr_id, f"n-{self.count}", by_fsr_id=by, until_ms=at(clock)
        )
        # fsr-1 and fsr-2 are of one rank: only the mandate goes before them, in its own window.
        if self.tell(what, NORTHGATE, liar):
            assert (by, fsr_id == "fsr-3") == ("fsr-3", False)
            assert at("18:30") <= self.judge.now_ms < at(clock) <= at("18:45")

    @rule(fsr_id=fsrs, number=numbers, choice=st.sampled_from(list(Choice)), liar=honest_or_not)
    def the_port_opts(self, fsr_id: str, number: int, choice: Choice, liar: Actor | None) -> None:
        what = decided(_pid(fsr_id, number), choice, fsr_id=fsr_id, revision=self._revision(fsr_id))
        self.tell(what, NORTHGATE, liar)

    @rule(fsr_id=fsrs, number=numbers, choice=st.sampled_from(list(Choice)), lies=st.booleans())
    def the_relay_speaks_for_a_person(self, fsr_id: str, number: int, choice: Choice, lies: bool) -> None:
        relayed = decided(_pid(fsr_id, number), choice, OptActor.EVU, fsr_id, revision=self._revision(fsr_id))
        meant = Choice.IN if (choice is Choice.OUT) is lies else Choice.OUT
        inner = msgspec.structs.replace(relayed, choice=meant, evu_statement=msgspec.UNSET)
        assert not (self.tell(relayed, VOLTWISE, evidence=words(inner)) and lies)

    @rule(fsr_id=fsrs, everybody=st.booleans(), method=st.sampled_from([None, BaselineMethod.ZERO]))
    def the_port_commits_a_baseline(self, fsr_id: str, everybody: bool, method: BaselineMethod | None) -> None:
        names = _names(fsr_id)
        if not everybody and fsr_id in {one.fsr_id for one in self.judge.state.requests()}:
            names = tuple(sorted(self.judge.state.request(fsr_id).taking_part(self.judge.now_ms)))
        fitting = {
            "fsr-1": BaselineMethod.HIGH_X_OF_Y,
            "fsr-2": BaselineMethod.PRE_EVENT,
            "fsr-3": BaselineMethod.LIMIT,
        }
        what = baseline(names, f"base-{self.count}", fsr_id=fsr_id, method=method or fitting[fsr_id])
        self.tell(what, NORTHGATE)

    @rule(fsr_id=fsrs, number=numbers, kind=st.sampled_from(list(ExecutionKind)), liar=honest_or_not)
    def the_port_notes(self, fsr_id: str, number: int, kind: ExecutionKind, liar: Actor | None) -> None:
        self.tell(noted(_pid(fsr_id, number), kind, fsr_id, f"n-{self.count}"), NORTHGATE, liar)

    @rule(fsr_id=fsrs, number=numbers)
    def the_port_starts(self, fsr_id: str, number: int) -> None:
        self.tell(noted(_pid(fsr_id, number), ExecutionKind.STARTED, fsr_id, f"n-{self.count}"), NORTHGATE)

    @rule(fsr_id=fsrs, number=numbers, stolen=st.sampled_from([None, "fsr-1", "fsr-2"]))
    def the_port_commits_samples(self, fsr_id: str, number: int, stolen: str | None) -> None:
        name = _pid(fsr_id, number)
        batch_id = f"batch-{_pid(stolen or fsr_id, number)}-1"
        self.tell(samples(name, 1, batch_id, fsr_id), NORTHGATE, tags={"root": f"root-{batch_id}"})

    @rule(fsr_id=fsrs, number=numbers)
    def the_port_records_the_service(self, fsr_id: str, number: int) -> None:
        name = _pid(fsr_id, number)
        self.tell(dsr(name, fsr_id=fsr_id), NORTHGATE)

    @rule(fsr_id=fsrs, stolen=st.booleans(), reason=st.sampled_from(list(ExcludedReason)), liar=honest_or_not)
    def the_port_proves(self, fsr_id: str, stolen: bool, reason: ExcludedReason, liar: Actor | None) -> None:
        known = [one for one in self.judge.state.requests() if one.fsr_id == fsr_id]
        if not known or known[0].check is None or known[0].baseline is None:
            return
        state = known[0]
        done = tuple(name for name, part in sorted(state.bound().items()) if part.dsr_id)
        left = tuple(name for name in sorted(state.bound()) if name not in done)
        batches = tuple(f"batch-{name}-1" for name in done)
        what = proven(
            done,
            pow_id=f"pow-{self.count}",
            fsr_id=fsr_id,
            check_id=known[0].check.check_id,
            baseline_id=known[0].baseline.baseline_id,
            batch_ids=(*batches, *self.judge.state.request("fsr-1").batches) if stolen else batches,
            excluded=tuple(Excluded(participation=name, reason=reason) for name in left),
            reverses=state.work.pow_id if state.work else None,
        )
        self.tell(what, NORTHGATE, liar)

    @rule(fsr_id=fsrs, agrees=st.booleans(), liar=honest_or_not)
    def the_operator_counters(self, fsr_id: str, agrees: bool, liar: Actor | None) -> None:
        result = CounterResult.AGREED if agrees else CounterResult.DISPUTED
        reason = None if agrees else DisputeReason.TIMING
        self.tell(WorkCountered(fsr_id=fsr_id, pow_id=self._work(fsr_id), result=result, reason=reason), AURORA, liar)

    @rule(fsr_id=fsrs, by=st.sampled_from(EVERYONE), upheld=st.booleans())
    def somebody_resolves(self, fsr_id: str, by: Actor, upheld: bool) -> None:
        end = Resolution.UPHELD if upheld else Resolution.DISMISSED
        what = DisputeResolved(fsr_id=fsr_id, pow_id=self._work(fsr_id), resolution=end, ground="TOLERANCE")
        self.tell(what, by)

    @rule(fsr_id=fsrs, net_micro=st.sampled_from([0, 0, 1]), liar=honest_or_not)
    def the_operator_settles(self, fsr_id: str, net_micro: int, liar: Actor | None) -> None:
        what = Settled(fsr_id=fsr_id, pow_id=self._work(fsr_id), currency="EUR", lines=(), net_micro=net_micro)
        assert not (self.tell(what, AURORA, liar) and net_micro)

    @rule(fsr_id=fsrs, by=st.sampled_from(EVERYONE))
    def somebody_cancels(self, fsr_id: str, by: Actor) -> None:
        self.tell(RequestCancelled(fsr_id=fsr_id, reason=CancelReason.NO_LONGER_NEEDED), by)

    @rule(fsr_id=fsrs, by=st.sampled_from(EVERYONE))
    def somebody_aborts(self, fsr_id: str, by: Actor) -> None:
        self.tell(RequestAborted(fsr_id=fsr_id, reason=CancelReason.SAFETY), by)

    def _work(self, fsr_id: str) -> str:
        known = [one.work for one in self.judge.state.requests() if one.fsr_id == fsr_id]
        return known[0].pow_id if known and known[0] is not None else "pow-none"

    # What must be true of whatever was admitted

    @invariant()
    def no_state_is_reached_that_the_table_forbids(self) -> None:
        for state in self.judge.state.requests():
            now = state.status(self.judge.now_ms)
            first = S.SCHEDULED if state.is_mandatory else S.ISSUED
            before = self.seen.get(state.fsr_id, first)
            assert now in REACHABLE[before], f"{state.fsr_id}: {before} to {now}"
            self.seen[state.fsr_id] = now

    @invariant()
    def everything_was_said_by_who_may_say_it(self) -> None:
        for fact in self.judge.facts:
            record = fact.statement.record
            assert fact.actor.role is not Role.EVU
            if isinstance(record, OptDecided | ExecutionNoted | BaselineCommitted | SamplesCommitted | WorkProven):
                delegated = isinstance(record, OptDecided) and record.by_delegate
                assert fact.actor.party in ("northgate", "voltwise") or (delegated and fact.actor.party == "ampere")
            if isinstance(record, RequestCancelled | WorkCountered | Settled):
                assert fact.actor.party == "aurora"

    @invariant()
    def nothing_starts_while_its_contract_rests(self) -> None:
        resting: set[tuple[str, str, SuspensionCause]] = set()
        under = {"fsr-1": "fsc-1", "fsr-2": "fsc-2"}
        for fact in self.judge.facts:
            record = fact.statement.record
            if isinstance(record, ContractSuspended | ContractResumed):
                why = (record.fsc_id, fact.actor.party, record.cause)
                (resting.add if isinstance(record, ContractSuspended) else resting.discard)(why)
            elif isinstance(record, ExecutionNoted) and record.kind is ExecutionKind.STARTED:
                assert under.get(record.fsr_id) not in {fsc_id for fsc_id, _, _ in resting}

    @invariant()
    def opts_come_in_time_and_never_under_a_mandate(self) -> None:
        began: set[str] = set()
        for fact in self.judge.facts:
            record = fact.statement.record
            if isinstance(record, ExecutionNoted):
                (began.add if record.kind is ExecutionKind.STARTED else set().add)(record.participation)
            elif isinstance(record, OptDecided):
                assert record.fsr_id != "fsr-3"
                # Afterwards only who takes part already may leave.
                assert fact.now_ms < at("16:30") or (record.choice is Choice.OUT and record.participation in began)

    @invariant()
    def what_executes_is_in_and_counted_by_an_earlier_baseline(self) -> None:
        counted: dict[str, tuple[str, ...]] = {}
        out: dict[str, set[OptActor]] = {}
        began: set[str] = set()
        for fact in self.judge.facts:
            record = fact.statement.record
            if isinstance(record, ExecutionNoted) and record.kind is ExecutionKind.STARTED:
                began.add(record.participation)
            elif isinstance(record, RequestRevised):
                for name in _names(record.fsr_id):
                    out.pop(name, None)
            if isinstance(record, BaselineCommitted):
                assert record.fsr_id == "fsr-3" or fact.now_ms < at("17:30")
                counted[record.fsr_id] = record.participants
            elif isinstance(record, OptDecided) and record.participation not in began:
                actors = out.setdefault(record.participation, set())
                (actors.add if record.choice is Choice.OUT else actors.discard)(record.actor)
            elif isinstance(record, ExecutionNoted):
                assert record.participation in counted.get(record.fsr_id, ())
                assert not out.get(record.participation)

    @invariant()
    def no_evse_is_sold_beyond_what_it_can_do(self) -> None:
        ended = {fact.statement.record.fsr_id for fact in self.said(RequestCancelled)}  # type: ignore[attr-defined]
        ended |= {fact.statement.record.fsr_id for fact in self.said(RequestAborted, WorkProven)}  # type: ignore[attr-defined]
        sold: dict[str, int] = {}
        for fact in self.said(RequestAnswered):
            record = fact.statement.record
            assert isinstance(record, RequestAnswered)
            if record.fsr_id in ended or record.fsr_id == "fsr-3":
                continue
            for one in record.offers:
                part = self.judge.state.request(record.fsr_id).participations[one.participation]
                if not part.has_decided_out():
                    at_evse = fact.tags[one.participation]
                    sold[at_evse] = sold.get(at_evse, 0) + one.up_w
        assert all(watts <= CAN_W for watts in sold.values())

    @invariant()
    def nobody_starts_before_their_own_start(self) -> None:
        for fact in self.said(ExecutionNoted):
            record = fact.statement.record
            if isinstance(record, ExecutionNoted) and record.kind is ExecutionKind.STARTED:
                issued = self.judge.state.request(record.fsr_id).issued
                assert fact.now_ms >= starts_at_ms(issued, record.participation)

    @invariant()
    def no_batch_is_committed_or_proven_twice(self) -> None:
        batches = [fact.statement.record.batch_id for fact in self.said(SamplesCommitted)]  # type: ignore[attr-defined]
        assert len(set(batches)) == len(batches)
        for state in self.judge.state.requests():
            for work in state.works.values():
                assert set(work.batch_ids) <= set(state.batches)

    def teardown(self) -> None:
        """A state that forgot everything after each entry knows the same as one that never forgot."""
        self.kept.require_same(self.judge.state)


Afternoon.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAfternoon = pytest.mark.slow(Afternoon.TestCase)
