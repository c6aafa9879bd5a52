"""Energies by period: the sum of what was measured, each sample once, and nothing from which one person could be told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.flows import energy
from api.flows.energy import EnergyReport, ReportTooLarge, WindowUnfit
from api.principals import Principal
from ledger.records.privacy import ErasureBasis
from ledger.records.work import WorkProven
from ledger.rules.request_state import RequestState
from pki.roles import Role
from tests.support import world as worlds
from tests.support.world import CSO, DAWN_MS, FO, HOUR_MS, PERSONS, SITE, World

pytestmark = pytest.mark.slow  # takes seconds

QUARTER_MS = energy.QUARTER_MS
START_MS = DAWN_MS + 4 * HOUR_MS


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """One request of half an hour: the cars draw 2,000 and 2,100 W throughout."""
    opened = await World.open(tmp_path)
    try:
        await worlds.play(opened, await worlds.prepare(opened), start_at_ms=START_MS)
        yield opened
    finally:
        await opened.close()


async def _report(world: World, who: Principal, **window: int) -> EnergyReport:
    wanted: dict[str, Any] = {
        "from_ms": START_MS - QUARTER_MS,
        "to_ms": START_MS + 3 * QUARTER_MS,
        "period_ms": QUARTER_MS,
        **window,
    }
    return await energy.report(world.desk, world.memory, world.desk.state.site(SITE), who, **wanted)


async def test_the_operator_is_told_what_was_measured_by_period(world: World) -> None:
    told = await _report(world, world.principal(CSO))
    assert [one.start_at_ms for one in told.periods] == [START_MS, START_MS + QUARTER_MS]
    for one in told.periods:
        # 4,100 W for a quarter of an hour are 1,025 Wh.
        assert one.import_milliwh is not None
        assert abs(one.import_milliwh - 1_025_000) <= 1_025_000 // 100
        assert (one.export_milliwh, one.evses, one.is_withheld) == (0, 2, False)
        assert one.covered_ppm is not None
        assert 990_000 <= one.covered_ppm <= 1_000_000
    assert (told.batches, told.not_opened, told.least_persons) == (2, 0, 1)
    assert told.tree_size == world.desk.appender.head.size
    (hour,) = (await _report(world, world.principal(CSO), period_ms=4 * QUARTER_MS)).periods
    assert hour.import_milliwh == sum(one.import_milliwh or 0 for one in told.periods)


async def test_a_sum_over_few_persons_is_told_to_nobody_but_the_operator_and_auditors(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await _report(world, world.principal(FO))
    assert [(one.is_withheld, one.import_milliwh, one.evses) for one in told.periods] == [(True, None, None)] * 2
    monkeypatch.setattr(energy, "LEAST_PERSONS", len(PERSONS))
    enough = await _report(world, world.principal(FO))
    assert all(one.import_milliwh for one in enough.periods)
    monkeypatch.setattr(energy, "LEAST_PERSONS", len(PERSONS) + 1)
    assert all(one.is_withheld for one in (await _report(world, world.principal(FO))).periods)


async def test_a_longer_period_tells_no_quarter_that_is_withheld(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "LEAST_PERSONS", 2)
    quarters = {
        0: energy._Quarter(import_watt_ms=9, persons={"a", "b", "c"}, evses={"1", "2", "3"}),
        1: energy._Quarter(import_watt_ms=9, persons={"a"}, evses={"1"}),
        4: energy._Quarter(import_watt_ms=9, persons={"a", "b"}, evses={"1", "2"}),
    }
    told = energy._Told(from_ms=0, period_ms=4 * QUARTER_MS, least=2, gaps=())
    assert [one.is_withheld for one in energy._periods(quarters, told)] == [True, False]


async def test_after_an_erasure_the_difference_is_told_to_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "LEAST_PERSONS", 1 + 1)
    assert not any(one.is_withheld for one in (await _report(world, world.principal(FO))).periods)
    await world.privacy.erase(world.party(PERSONS[0]), ErasureBasis.CONSENT_WITHDRAWN)
    monkeypatch.setattr(energy, "LEAST_PERSONS", 2)
    assert all(one.is_withheld for one in (await _report(world, world.principal(FO))).periods)
    left = await _report(world, world.principal(CSO))
    assert left.not_opened == 1
    # What is left is the other car's: 2,100 W.
    assert all(abs((one.import_milliwh or 0) - 525_000) <= 5_250 for one in left.periods)


async def test_a_gap_alone_withholds_a_period_that_enough_persons_stand_behind(world: World) -> None:
    quarters = {0: energy._Quarter(import_watt_ms=9, persons={"a", "b"}, evses={"1", "2"})}
    told = energy._Told(from_ms=0, period_ms=QUARTER_MS, least=2, gaps=((0, 1),))
    assert [one.is_withheld for one in energy._periods(quarters, told)] == [True]


async def test_a_request_of_others_and_one_without_proof_add_nothing(world: World) -> None:
    operator = world.principal(FO)
    stranger = Principal(party="FI-OTHER", role=Role.FO, credential=operator.credential)
    assert (await _report(world, stranger)).periods == ()
    world.desk.state.request(next(world.desk.state.requests()).fsr_id).work = None
    assert (await _report(world, operator)).periods == ()
    assert len((await _report(world, world.principal(CSO))).periods) == 2


async def test_a_quarter_is_not_told_while_another_request_in_it_may_yet_be_proven(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the few persons of the second request would be the difference of the answers before and after its proof."""
    monkeypatch.setattr(energy, "LEAST_PERSONS", len(PERSONS))
    operator = world.principal(FO)
    settled = world.desk.state.request(next(world.desk.state.requests()).fsr_id)
    late = RequestState(settled.issued, settled.fo, settled.issued_at_ms, settled.contracts)
    for record, actor, at_ms in settled.history:
        if not isinstance(record, WorkProven):
            late.fold(record, actor, at_ms)
    late.issued = msgspec.structs.replace(late.issued, end_at_ms=START_MS + QUARTER_MS)
    beside = [settled, late]
    monkeypatch.setattr(type(world.desk.state), "requests_until", lambda _, after_ms: iter(beside))
    told = (await _report(world, operator)).periods
    assert [one.is_withheld for one in told] == [True, False]
    assert not any(one.is_withheld for one in (await _report(world, world.principal(CSO))).periods)
    beside.remove(late)
    assert not any(one.is_withheld for one in (await _report(world, operator)).periods)
    world.clock.set_ms(START_MS + QUARTER_MS + 1)
    told = (await _report(world, operator)).periods
    assert [one.is_withheld for one in told] == [False, True]


@pytest.mark.parametrize(
    "window",
    [
        {"period_ms": QUARTER_MS - 1},
        {"period_ms": QUARTER_MS + 1},
        {"from_ms": START_MS + 1},
        {"to_ms": START_MS - QUARTER_MS},
        {"period_ms": 3 * QUARTER_MS},
        {"to_ms": START_MS - QUARTER_MS + (energy.MAX_QUARTERS + 1) * QUARTER_MS},
    ],
)
def test_a_window_that_does_not_fit_is_refused(window: dict[str, int]) -> None:
    good = {"from_ms": START_MS - QUARTER_MS, "to_ms": START_MS + 3 * QUARTER_MS, "period_ms": QUARTER_MS}
    energy.require_window(**good)
    with pytest.raises(WindowUnfit):
        energy.require_window(**{**good, **window})


async def test_more_evidence_than_one_answer_is_made_from_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "MAX_BODIES", 2)
    await _report(world, world.principal(CSO))
    monkeypatch.setattr(energy, "MAX_BODIES", 1)
    with pytest.raises(ReportTooLarge):
        await _report(world, world.principal(CSO))
