"""Delegates, schedules and withdrawn consent, through the desk and the vault."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from api.flows import check, relay
from api.flows.errors import NotConcerned
from api.flows.view import view
from api.verification import bundle
from api.verification.report import Status
from ledger.records.actor import Role
from ledger.records.contracts import ContractTerminated, TerminationReason
from ledger.records.credentials import CheckPurpose
from ledger.records.opt import Choice, OptActor, OptOrigin, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, Scope
from ledger.records.privacy import ErasureBasis
from ledger.rules.contract_state import ContractStatus
from ledger.rules.errors.contracts import DelegationAbsent
from ledger.rules.participation_state import ParticipationStatus
from tests.support import world as stage
from tests.support.world import CSO, DAWN_MS, EVSES, HOUR_MS, MINUTE_MS, PERSONS, STEP_MS, World

pytestmark = pytest.mark.slow  # takes seconds

START_MS = DAWN_MS + 5 * HOUR_MS
GRANTOR, FLEET = PERSONS


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


async def _checked(world: World, fsc_ids: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """A request whose two participations were just checked: its id, and whose is which."""
    world.at(max(world.clock.now_ms(), START_MS - 2 * HOUR_MS))
    fsr_id = await stage.issue(world, fsc_ids, stage.congestion(START_MS), START_MS, START_MS + 2 * STEP_MS)
    _, result = await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    return fsr_id, {who: one.participation for who, one in zip(PERSONS, result.subjects, strict=True)}


def _given(world: World, name: str = "del-1") -> DelegationGiven:
    return DelegationGiven(
        delegation_id=name,
        grantor_role=Role.EVU,
        scopes=(Scope.OPT,),
        until_ms=START_MS,
        evu=world.party(GRANTOR),
        evu_delegate=world.party(FLEET),
    )


async def _delegates(world: World, who: str, what: DelegationGiven | DelegationRevoked) -> None:
    opened = world.opened(who, what, f"delegation/{what.delegation_id}")
    await relay.delegate(world.desk, world.memory, opened, world.principal(who))


async def test_a_delegate_opts_with_its_own_credential_while_the_delegation_lasts(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    fsr_id, parts = await _checked(world, fsc_ids)
    with pytest.raises(NotConcerned):
        await stage.opts(world, FLEET, fsr_id, parts[GRANTOR], Choice.OUT)
    with pytest.raises(NotConcerned):
        await _delegates(world, FLEET, _given(world))
    await _delegates(world, GRANTOR, _given(world))
    assert (fsr_id, parts[GRANTOR]) in world.memory.participations_of(world.party(FLEET))
    await stage.opts(world, FLEET, fsr_id, parts[GRANTOR], Choice.OUT)
    request = world.desk.state.request(fsr_id)
    assert request.participations[parts[GRANTOR]].has_decided_out()
    # The log names neither of them, and what the bundle holds of it verifies.
    raw = b"".join(row.data for row in world.engines.store.entries(0, world.desk.appender.head.size))
    assert world.party(GRANTOR).encode() not in raw
    assert world.party(FLEET).encode() not in raw
    report = bundle.verify(bundle.open_bundle(await world.bundle(fsr_id)))
    assert [line for line in report.lines if line.status is Status.REFUTED] == []
    await _delegates(world, FLEET, DelegationRevoked(delegation_id="del-1"))
    with pytest.raises(NotConcerned):
        await stage.opts(world, FLEET, fsr_id, parts[GRANTOR], Choice.IN)


async def test_a_port_cannot_relay_one_persons_words_for_another(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    fsr_id, parts = await _checked(world, fsc_ids)
    # The flow's own guard is not asked: the rule has to see it.
    world.memory._participants(fsr_id).persons[parts[GRANTOR]] = world.party(FLEET)
    with pytest.raises(DelegationAbsent):
        await stage.opts(world, FLEET, fsr_id, parts[GRANTOR], Choice.OUT)
    refused = world.desk.state.request(fsr_id).refusals
    assert [(one.code, one.participation) for one in refused] == [("rules/delegation-absent", parts[GRANTOR])]


async def test_a_schedule_becomes_a_decision_when_a_check_finds_its_time(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    world.at(START_MS - 3 * HOUR_MS)
    wanted = OptScheduled(
        schedule_id="sch-1",
        actor=OptActor.EVU,
        choice=Choice.OUT,
        from_ms=START_MS + 10 * MINUTE_MS,
        until_ms=START_MS + HOUR_MS,
    )
    person = world.party(GRANTOR)
    opened = world.opened(GRANTOR, wanted, "schedule/sch-1", subject=person)
    await relay.schedule(world.desk, world.memory, opened, world.principal(GRANTOR))
    later = msgspec.structs.replace(
        wanted,
        schedule_id="sch-2",
        actor=OptActor.CSO,
        party=world.party(CSO),
        evse_ids=EVSES[1:],
        from_ms=START_MS + HOUR_MS,
    )
    await world.states(CSO, later, "schedule/sch-2")
    fsr_id, parts = await _checked(world, fsc_ids)
    request = world.desk.state.request(fsr_id)
    statuses = {one.participation: one.status for one in view(request, world.clock.now_ms()).participations}
    # The operator's schedule begins after the request: it says nothing of it.
    assert statuses == {
        parts[GRANTOR]: ParticipationStatus.OPTED_OUT,
        parts[FLEET]: ParticipationStatus.PROPOSED,
    }
    assert request.participations[parts[GRANTOR]].origins == {OptActor.EVU: OptOrigin.SCHEDULED}
    await stage.opts(world, GRANTOR, fsr_id, parts[GRANTOR], Choice.IN)
    assert request.participations[parts[GRANTOR]].status(world.clock.now_ms()) is ParticipationStatus.OPTED_IN
    # Another check does not bring the schedule back over what was decided.
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    assert request.participations[parts[GRANTOR]].status(world.clock.now_ms()) is ParticipationStatus.OPTED_IN
    ended = world.opened(GRANTOR, OptScheduleEnded(schedule_id="sch-1"), "schedule/sch-1")
    await relay.schedule(world.desk, world.memory, ended, world.principal(GRANTOR))
    second, again = await _checked(world, fsc_ids)
    assert not world.desk.state.request(second).participations[again[GRANTOR]].choices


async def test_withdrawn_consent_ends_the_persons_contract_and_an_erased_grantor_delegates_nothing(
    world: World,
) -> None:
    fsc_ids = await stage.prepare(world)
    ends = ContractTerminated(fsc_id=fsc_ids[1], reason=TerminationReason.CONSENT_WITHDRAWN)
    opened = world.opened(FLEET, ends, f"fsc/{fsc_ids[1]}")
    with pytest.raises(NotConcerned):
        await relay.withdraw(world.desk, world.memory, opened, world.principal(FLEET))
    opened = world.opened(GRANTOR, ends, f"fsc/{fsc_ids[1]}")
    await relay.withdraw(world.desk, world.memory, opened, world.principal(GRANTOR))
    assert world.desk.state.contract(fsc_ids[1]).status(world.clock.now_ms()) is ContractStatus.TERMINATED
    await _delegates(world, GRANTOR, _given(world))
    assert world.memory.rights.grantors(world.party(FLEET), Scope.OPT) == {world.party(GRANTOR)}
    before = world.desk.person_tags({"person": world.party(GRANTOR)})
    assert before
    await world.privacy.erase(world.party(GRANTOR), ErasureBasis.CONSENT_WITHDRAWN)
    assert world.memory.rights.grantors(world.party(FLEET), Scope.OPT) == set()
    # Nor can the operator find out any more which blind names were theirs.
    assert world.desk.person_tags({"person": world.party(GRANTOR)}) == {}
