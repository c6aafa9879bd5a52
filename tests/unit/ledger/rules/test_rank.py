"""Requests of higher rank take an EVSE for a while, and people leave while it runs: both are on record as what they are."""

import msgspec
import pytest

from ledger.records.contracts import BaselineMethod
from ledger.records.execution import ExecutionKind
from ledger.records.opt import Choice, OptActor
from ledger.records.record import Record
from ledger.records.requests import CancelReason, RequestAborted
from ledger.records.work import Excluded, ExcludedReason
from ledger.rules.participation_state import ParticipationStatus
from ledger.rules.request_state import RequestStatus
from tests.support.acts import superseded
from tests.support.parameters import armed, at
from tests.support.rulebook import (
    AURORA,
    EVSES,
    NORTHGATE,
    VOLTWISE,
    Judge,
    answer,
    baseline,
    check,
    decided,
    directive,
    dsr,
    mandate,
    mandatory,
    noted,
    offer,
    pids,
    proof,
    proven,
    refused,
    request,
    samples,
    tag,
    words,
)

WINDOW = {"start_at_ms": at("17:15"), "end_at_ms": at("17:45")}


def _mandated(judge: Judge, name: str = "fsr-2") -> None:
    """A mandate from 17:15 to 17:45 at the same site."""
    given = directive(not_before_ms=at("17:00"))
    judge.admit(mandatory(name, mandate=mandate(given), **WINDOW), AURORA, evidence=proof(given))


@pytest.fixture
def judge() -> Judge:
    """Two participations run from 17:00 to 18:00; a mandate holds from 17:15 to 17:45."""
    made = Judge()
    made.started()
    _mandated(made)
    return made


def _status(judge: Judge, name: str = "p-1") -> ParticipationStatus:
    return judge.state.request("fsr-1").participations[name].status(judge.now_ms)


def test_a_request_is_superseded_while_all_that_runs_is_and_no_longer(judge: Judge) -> None:
    judge.now_ms = at("17:20")
    state = judge.state.request("fsr-1")
    judge.admit(superseded("p-1", "fsr-2", at("17:45")), NORTHGATE)
    assert state.status(judge.now_ms) is RequestStatus.ACTIVE
    judge.admit(superseded("p-2", "fsr-2", at("17:45")), NORTHGATE)
    assert state.status(judge.now_ms) is RequestStatus.SUPERSEDED
    judge.try_it(RequestAborted(fsr_id="fsr-1", reason=CancelReason.SAFETY), NORTHGATE)
    judge.now_ms = at("17:30")
    judge.admit(noted("p-2", ExecutionKind.RESUMED), NORTHGATE)
    assert state.status(judge.now_ms) is RequestStatus.ACTIVE
    assert state.participations["p-2"].superseded == [(at("17:20"), at("17:30"))]


def test_supersession_ends_with_the_request_that_caused_it(judge: Judge) -> None:
    judge.now_ms = at("17:20")
    for name in pids(2):
        judge.admit(superseded(name, "fsr-2", at("17:45")), NORTHGATE)
    state = judge.state.request("fsr-1")
    assert state.status(at("17:45") - 1) is RequestStatus.SUPERSEDED
    assert state.status(at("17:45")) is RequestStatus.ACTIVE


@pytest.mark.parametrize(
    ("clock", "what"),
    [
        ("17:20", noted("p-1", ExecutionKind.SUPERSEDED)),
        ("17:20", superseded("p-1", "fsr-9", at("17:45"))),
        ("17:20", superseded("p-1", "fsr-1", at("17:45"))),
        ("17:20", superseded("p-1", "fsr-2", at("17:45") + 1)),
        ("17:20", superseded("p-1", "fsr-2", at("17:20"))),
        ("17:14", superseded("p-1", "fsr-2", at("17:45"))),
        ("17:45", superseded("p-1", "fsr-2", at("17:45"))),
        ("17:20", noted("p-1", ExecutionKind.DEVIATION, by_fsr_id="fsr-2")),
        ("17:20", noted("p-1", ExecutionKind.RESUMED, until_ms=at("17:45"))),
    ],
)
def test_a_port_does_not_excuse_itself_with_a_rank_that_nothing_has(judge: Judge, clock: str, what: Record) -> None:
    judge.now_ms = at(clock)
    with refused("superseded-without-cause"):
        judge.try_it(what, NORTHGATE)


def test_what_is_superseded_is_not_so_again_before_it_ends(judge: Judge) -> None:
    judge.now_ms = at("17:20")
    judge.admit(superseded("p-1", "fsr-2", at("17:40")), NORTHGATE)
    again = msgspec.structs.replace(superseded("p-1", "fsr-2", at("17:45")), n_id="n-again")
    with refused("wrong-order"):
        judge.try_it(again, NORTHGATE)
    judge.now_ms = at("17:40")
    judge.try_it(again, NORTHGATE)


def _voluntary(priority: int, evse: str) -> Judge:
    """fsr-2 runs at one EVSE from 17:15 on, beside fsr-1 at the first two; both were checked with blind tags."""
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    for fsr_id, names, places, more in (
        ("fsr-1", ("p-1", "p-2"), EVSES[:2], {}),
        ("fsr-2", ("q-1",), (evse,), {"priority": priority, "params": armed(), **WINDOW}),
    ):
        judge.admit(request(fsr_id, **more), AURORA)
        tags = {f"evse/{name}": tag(place) for name, place in zip(names, places, strict=True)}
        service = judge.state.request(fsr_id).service
        judge.admit(
            check(f"c-{fsr_id}", fsr_id, names=names, now_ms=judge.now_ms, service=service), NORTHGATE, tags=tags
        )
        offers = tuple(offer(name, 5_000) for name in names)
        told = {name: tag(place) for name, place in zip(names, places, strict=True)}
        partly = msgspec.structs.replace(answer(fsr_id, check_id=f"c-{fsr_id}", offers=offers), answer="PARTIAL")
        judge.admit(partly, NORTHGATE, tags=told)
        judge.now_ms = at("15:05")
        method = BaselineMethod.PRE_EVENT if more else BaselineMethod.HIGH_X_OF_Y
        judge.admit(baseline(names, f"b-{fsr_id}", fsr_id=fsr_id, method=method), NORTHGATE)
        judge.now_ms = at("15:00")
    judge.now_ms = at("17:00")
    judge.admit(check("c-again", names=pids(2), now_ms=judge.now_ms), NORTHGATE)
    for name in pids(2):
        judge.admit(noted(name, ExecutionKind.STARTED), NORTHGATE)
    judge.now_ms = at("17:20")
    return judge


def test_a_higher_priority_supersedes_at_the_same_evse_only() -> None:
    judge = _voluntary(10, EVSES[2])
    with refused("superseded-without-cause"):
        judge.try_it(superseded("p-1", "fsr-2", at("17:45")), NORTHGATE)
    judge = _voluntary(10, EVSES[1])
    judge.try_it(superseded("p-2", "fsr-2", at("17:45")), NORTHGATE)
    with refused("superseded-without-cause"):
        judge.try_it(superseded("p-1", "fsr-2", at("17:45")), NORTHGATE)


def test_an_equal_priority_supersedes_nothing() -> None:
    with refused("superseded-without-cause"):
        _voluntary(50, EVSES[0]).try_it(superseded("p-1", "fsr-2", at("17:45")), NORTHGATE)


def test_a_proof_excludes_exactly_what_was_superseded(judge: Judge) -> None:
    judge.now_ms = at("17:20")
    judge.admit(superseded("p-1", "fsr-2", at("17:45")), NORTHGATE)
    judge.now_ms = at("18:01")

    for name in pids(2):
        judge.admit(samples(name), NORTHGATE, tags={"root": f"root-{name}"})
        judge.admit(dsr(name), NORTHGATE)

    def left(name: str, start: str, end: str) -> Record:
        one = Excluded(participation=name, reason=ExcludedReason.SUPERSEDED, start_at_ms=at(start), end_at_ms=at(end))
        return proven(excluded=(one,))

    for name, start, end in (("p-1", "17:19", "17:45"), ("p-1", "17:20", "17:46"), ("p-2", "17:20", "17:45")):
        with refused("excluded-without-cause"):
            judge.try_it(left(name, start, end), NORTHGATE)
    judge.try_it(left("p-1", "17:20", "17:45"), NORTHGATE)


# Leaving while it runs


@pytest.fixture
def running() -> Judge:
    """Two participations run since 17:00."""
    made = Judge()
    made.started()
    made.now_ms = at("17:20")
    return made


def test_who_leaves_while_it_runs_has_opted_out_partially_and_is_commanded_no_further(running: Judge) -> None:
    running.admit(decided("p-1"), NORTHGATE)
    assert _status(running) is ParticipationStatus.PARTIAL_OPT_OUT
    assert _status(running, "p-2") is ParticipationStatus.EXECUTING
    assert running.state.contract("fsc-1").out == {("fsr-1", "p-1")}
    with refused("opted-out-dispatch"):
        running.try_it(noted("p-1", ExecutionKind.DISPATCHED, n_id="n-again"), NORTHGATE)
    running.try_it(noted("p-1", ExecutionKind.ABORTED, cause="OPTED_OUT"), NORTHGATE)  # type: ignore[arg-type]
    running.try_it(noted("p-1", ExecutionKind.DEVIATION), NORTHGATE)
    for choice in Choice:
        with refused("opt-late"):
            running.try_it(decided("p-1", choice), NORTHGATE)


def test_a_person_leaves_while_it_runs_by_their_own_words(running: Judge) -> None:
    said = decided("p-1", Choice.OUT, OptActor.EVU)
    inner = msgspec.structs.replace(said, evu_statement=msgspec.UNSET)
    running.admit(said, VOLTWISE, evidence=words(inner))
    assert running.state.request("fsr-1").participations["p-1"].left is OptActor.EVU


def test_nobody_leaves_what_has_not_started_or_is_completed(running: Judge) -> None:
    running.admit(noted("p-1", ExecutionKind.COMPLETED), NORTHGATE)
    with refused("opt-late"):
        running.try_it(decided("p-1"), NORTHGATE)
    early = Judge()
    early.accepted()
    early.now_ms = at("16:31")
    with refused("opt-late"):
        early.try_it(decided("p-1"), NORTHGATE)


def test_who_left_still_is_proven_and_not_excluded(running: Judge) -> None:
    running.admit(decided("p-1"), NORTHGATE)
    running.now_ms = at("18:01")

    for name in pids(2):
        running.admit(samples(name), NORTHGATE, tags={"root": f"root-{name}"})
        running.admit(dsr(name), NORTHGATE)
    running.try_it(proven(), NORTHGATE)
    whole = Excluded(participation="p-1", reason=ExcludedReason.OPTED_OUT)
    with refused("excluded-without-cause"):
        running.try_it(proven(("p-2",), excluded=(whole,)), NORTHGATE)
