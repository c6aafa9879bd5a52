"""Requests that are revised, left and superseded, through the real desk, and what a bundle shows of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.execution.port import EvseAddress
from api.flows import check, prove
from api.flows.execute import Executions
from api.flows.view import view
from api.verification import bundle
from api.verification.report import Status
from ledger.records.credentials import CheckPurpose
from ledger.records.execution import Cause, ExecutionKind
from ledger.records.opt import Choice
from ledger.records.requests import Evidence, RequestRevised
from ledger.records.work import ExcludedReason
from ledger.rules.errors.requests import RevisionOther
from ledger.rules.participation_state import ParticipationStatus
from tests.support import world as stage
from tests.support.world import DAWN_MS, EVSES, FO, HOUR_MS, MINUTE_MS, PERSONS, STEP_MS, World

START_MS = DAWN_MS + 5 * HOUR_MS
END_MS = START_MS + 2 * STEP_MS


class Stations:
    """An adapter that keeps what it is asked, and commands nothing."""

    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.released: list[tuple[str, EvseAddress, str]] = []

    def running(self) -> frozenset[str]:
        """What runs."""
        return frozenset(self.runs)

    def release(self, fsr_id: str, evse: EvseAddress, cause: str) -> None:
        """One leaves."""
        self.released.append((fsr_id, evse, cause))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


async def _never(_at_ms: int) -> None:
    await asyncio.Event().wait()


async def test_a_revised_request_is_checked_anew_left_superseded_proven_and_shown(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    stations = Stations()
    executions = Executions(world.desk, world.memory, stations, _never)  # type: ignore[arg-type]
    executions.begin()
    early = START_MS - HOUR_MS
    world.at(early - 2 * HOUR_MS)
    fsr_id = await stage.issue(world, fsc_ids, stage.congestion(early), early, early + 2 * STEP_MS)
    _, first = await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    await world.states(FO, _later(fsr_id), f"fsr/{fsr_id}")
    # The person decides about what was asked for before: that is no decision about this.
    with pytest.raises(RevisionOther):
        await stage.opts(world, PERSONS[0], fsr_id, first.subjects[0].participation, Choice.OUT)
    _, checked = await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    assert checked.revision == 2
    assert [one.participation for one in checked.subjects] == [one.participation for one in first.subjects]
    await stage.answer(world, fsr_id, checked, 8000, revision=2)
    parts = {person: subject.participation for person, subject in zip(PERSONS, checked.subjects, strict=True)}
    world.at(START_MS - 10 * MINUTE_MS)
    await stage.commit_baseline(world, fsr_id, (12_000, 12_000))
    world.at(START_MS)
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_ACTIVATION)
    stations.runs.add(fsr_id)
    for person in PERSONS:
        await stage.note(world, fsr_id, parts[person], ExecutionKind.DISPATCHED, ExecutionKind.STARTED)
    request = world.desk.state.request(fsr_id)

    # A mandate takes the second EVSE from the fifth to the tenth minute.
    world.at(START_MS + 5 * MINUTE_MS)
    of = stage.mandate(world, START_MS + 5 * MINUTE_MS, START_MS + 10 * MINUTE_MS, 30_000)
    cap = await _mandated(world, of)
    for _ in range(200):
        if request.participations[parts[PERSONS[1]]].superseded:
            break
        await asyncio.sleep(0)
    assert request.participations[parts[PERSONS[1]]].superseded == [
        (START_MS + 5 * MINUTE_MS, START_MS + 10 * MINUTE_MS)
    ]
    assert request.executions[-1].by_fsr_id == cap
    assert request.executions[-1].cause is Cause.MANDATORY_LIMIT

    # The first person leaves in the sixteenth minute.
    world.at(START_MS + 16 * MINUTE_MS)
    await stage.opts(world, PERSONS[0], fsr_id, parts[PERSONS[0]], Choice.OUT, revision=2)
    assert [(one, cause) for one, _, cause in stations.released] == [(fsr_id, "OptedOut")]
    shown = view(request, world.clock.now_ms())
    assert shown.revision == 2
    assert {one.participation: one.status for one in shown.participations} == {
        parts[PERSONS[0]]: ParticipationStatus.PARTIAL_OPT_OUT,
        parts[PERSONS[1]]: ParticipationStatus.EXECUTING,
    }

    world.at(END_MS)
    for person, evse in zip(PERSONS, EVSES, strict=True):
        if person != PERSONS[0]:
            await stage.note(world, fsr_id, parts[person], ExecutionKind.COMPLETED)
        await stage.leave_evidence(world, fsr_id, parts[person], evse, 2_000)
    world.at(END_MS + MINUTE_MS)
    await prove.prove(world.desk, world.memory, fsr_id)
    assert request.work is not None
    assert [(one.participation, one.reason, one.start_at_ms, one.end_at_ms) for one in request.work.excluded] == [
        (
            parts[PERSONS[1]],
            ExcludedReason.SUPERSEDED,
            START_MS + 5 * MINUTE_MS,
            START_MS + 10 * MINUTE_MS,
        )
    ]
    report = bundle.verify(bundle.open_bundle(await world.bundle(fsr_id)))
    assert [line for line in report.lines if line.status is Status.REFUTED] == []
    assert "proof of work" in {line.check for line in report.lines if line.status is Status.VERIFIED}
    await executions.close()


def _later(fsr_id: str) -> RequestRevised:
    return RequestRevised(
        fsr_id=fsr_id,
        revision=2,
        params=stage.congestion(START_MS),
        respond_by_ms=START_MS - 30 * MINUTE_MS,
        opt_deadline_ms=START_MS - 20 * MINUTE_MS,
        start_at_ms=START_MS,
        end_at_ms=END_MS,
        evidence=Evidence(resolution_ms=60_000),
    )


async def _mandated(world: World, of: object) -> str:
    start_at_ms = START_MS + 5 * MINUTE_MS
    cap = stage.LimitMandatoryParams(import_cap_w=30_000, floor_w_per_evse=0, t_comply_ms=60_000)
    fsr_id = await stage.issue(world, (), cap, start_at_ms, start_at_ms + 5 * MINUTE_MS, of)  # type: ignore[arg-type]
    _, checked = await check.run(world.desk, world.memory, fsr_id, EVSES[1:], CheckPurpose.PRE_FSR)
    # The limit's own baseline is committed by the execution that waits for its start.
    for _ in range(200):
        if world.desk.state.request(fsr_id).baseline is not None:
            break
        await asyncio.sleep(0)
    await stage.note(world, fsr_id, checked.subjects[0].participation, ExecutionKind.STARTED)
    return fsr_id
