"""A request of any class that has a baseline, played in a world of tests from its issue to its proof."""

from collections.abc import Mapping, Sequence

from api.flows import check, prove
from ledger.records.credentials import CheckPurpose
from ledger.records.execution import ExecutionKind
from ledger.records.services import Params
from ledger.rules.starts import starts_at_ms
from tests.support.world import (
    DAWN_MS,
    EVSES,
    HOUR_MS,
    MINUTE_MS,
    PERSONS,
    STEP_MS,
    World,
    answer,
    commit_baseline,
    issue,
    leave_evidence,
    note,
)


async def play_service(
    world: World,
    fsc_ids: Sequence[str],
    params: Params,
    series: tuple[int, ...],
    powers_w: Mapping[str, int],
    start_spread_s: int = 0,
) -> str:
    """One request of any class that has a baseline, from its issue to its proof, a half hour long; all take part."""
    start_at_ms = DAWN_MS + 4 * HOUR_MS
    end_at_ms = start_at_ms + 2 * STEP_MS
    world.at(start_at_ms - 2 * HOUR_MS)
    fsr_id = await issue(world, fsc_ids, params, start_at_ms, end_at_ms, start_spread_s=start_spread_s)
    _, checked = await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    await answer(world, fsr_id, checked, 8000)
    parts = {person: subject.participation for person, subject in zip(PERSONS, checked.subjects, strict=True)}
    world.at(start_at_ms - 10 * MINUTE_MS)
    await commit_baseline(world, fsr_id, series)
    world.at(start_at_ms)
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_ACTIVATION)
    issued = world.desk.state.request(fsr_id).issued
    for person in sorted(PERSONS, key=lambda person: starts_at_ms(issued, parts[person])):
        world.at(starts_at_ms(issued, parts[person]))
        await note(world, fsr_id, parts[person], ExecutionKind.DISPATCHED, ExecutionKind.STARTED)
    world.at(end_at_ms)
    for person, evse in zip(PERSONS, EVSES, strict=True):
        await note(world, fsr_id, parts[person], ExecutionKind.COMPLETED)
        await leave_evidence(world, fsr_id, parts[person], evse, powers_w[person])
    world.at(end_at_ms + MINUTE_MS)
    await prove.prove(world.desk, world.memory, fsr_id)
    return fsr_id
