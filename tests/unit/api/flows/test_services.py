"""The classes that are judged against a baseline: what is dispatched, what is proven, and that a bundle shows it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from api.execution.port import EvseAddress
from api.execution.services import CongestionService, Interval, Participant, PriceService, SetpointService
from api.flows import dispatch
from api.verification import asked, bundle
from api.verification.report import Status
from ledger.records import canonical
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    Direction,
    Params,
    PriceParams,
    PriceStep,
    ReserveParams,
)
from ledger.records.work import ExcludedReason, Verdict
from ledger.rules.request_state import RequestState
from ledger.rules.starts import starts_at_ms
from tests.support import played
from tests.support import world as stage
from tests.support.world import DAWN_MS, HOUR_MS, MINUTE_MS, PERSONS, STEP_MS, World

pytestmark = pytest.mark.slow  # takes seconds

START_MS = DAWN_MS + 4 * HOUR_MS
GROUP = [
    Participant(ref=f"p-{n}", evse=EvseAddress(station_id=f"S{n}", evse_id=1), max_charge_w=22_000, offered_w=4000)
    for n in (1, 2)
]
RESERVE = ReserveParams(
    capacity_w=6_000, direction=Direction.UP, full_ms=750_000, interval_ms=5 * MINUTE_MS, energy_budget_wh=1_500
)
PRICE = PriceParams(
    tariff_ref="DAY-AHEAD-FI",
    currency="EUR",
    series=(
        PriceStep(start_at_ms=START_MS, duration_ms=STEP_MS, import_micro_per_kwh=400_000),
        PriceStep(start_at_ms=START_MS + STEP_MS, duration_ms=STEP_MS, import_micro_per_kwh=-20_000),
    ),
    floor_w_per_evse=1_400,
)


class _Figures(msgspec.Struct):
    figures: dict[str, int]
    periods: list[dict[str, int]]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


def _figures(request: RequestState) -> _Figures:
    assert request.work is not None
    return msgspec.convert(canonical.decode(request.work.group.encode()), _Figures)


async def _played(
    world: World, params: Params, series: tuple[int, ...], *powers_w: int, start_spread_s: int = 0
) -> RequestState:
    fsc_ids = await stage.prepare(world)
    powers = dict(zip(PERSONS, powers_w, strict=True))
    fsr_id = await played.play_service(world, fsc_ids, params, series, powers, start_spread_s)
    return world.desk.state.request(fsr_id)


async def test_a_reserve_owes_from_full_activation_on_and_is_proven(world: World) -> None:
    # Due are the intervals that start 12.5 minutes after the start or later: at 15, 20 and 25 minutes, 6 kW each.
    # 3,000 W + 2,900 W = 5,900 W out of the batteries: 3 x 5,900 of 3 x 6,000 W.
    request = await _played(world, RESERVE, (0,) * 6, -3_000, -2_900)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == ("RESERVE_ISP/1", Verdict.DELIVERED)
    assert request.work.score_ppm == 3 * 5_900 * 1_000_000 // (3 * 6_000)
    found = _figures(request)
    assert [row["ordered_w"] for row in found.periods] == [0, 0, 0, 6_000, 6_000, 6_000]
    assert [row["deficiency_w"] for row in found.periods] == [0, 0, 0, 100, 100, 100]
    report = bundle.verify(bundle.open_bundle(await world.bundle(request.fsr_id)))
    assert [line for line in report.lines if line.status is Status.REFUTED] == []
    assert "proof of work" in {line.check for line in report.lines if line.status is Status.VERIFIED}


async def test_before_its_own_start_nobody_owes_and_anybody_computes_when_that_was(world: World) -> None:
    # 12 kW are the baseline, 8 kW less are ordered, 4 kW of each; both draw 4 kW all the time: 4 kW are missing.
    params = CongestionParams(
        congestion_point="CP-1",
        direction=Direction.UP,
        series=tuple(
            CongestionStep(start_at_ms=START_MS + n * STEP_MS, duration_ms=STEP_MS, ordered_w=8_000) for n in range(2)
        ),
    )
    request = await _played(world, params, (12_000, 12_000), 4_000, 4_000, start_spread_s=600)
    own = {pid: starts_at_ms(request.issued, pid) for pid in request.bound()}
    assert request.work is not None
    assert {(one.participation, one.reason, one.start_at_ms, one.end_at_ms) for one in request.work.excluded} == {
        (pid, ExcludedReason.START_SPREAD, START_MS, at_ms) for pid, at_ms in own.items() if at_ms > START_MS
    }
    excused_w = sum(4_000 * (at_ms - START_MS) // STEP_MS for at_ms in own.values())
    rows = _figures(request).periods
    assert [row["excused_w"] for row in rows] == [min(4_000, excused_w), 0]
    assert [row["deficiency_w"] + row["excused_w"] for row in rows] == [4_000, 4_000]
    report = bundle.verify(bundle.open_bundle(await world.bundle(request.fsr_id)))
    assert [line for line in report.lines if line.status is Status.REFUTED] == []
    assert "proof of work" in {line.check for line in report.lines if line.status is Status.VERIFIED}


async def test_energy_beyond_the_budget_is_partial_at_best(world: World) -> None:
    # 3,000 W for half an hour are 1,500 Wh; with a budget of 1,499 Wh one battery gave more than it should.
    tight = msgspec.structs.replace(RESERVE, energy_budget_wh=1_499)
    request = await _played(world, tight, (0,) * 6, -3_000, -2_900)
    assert request.work is not None
    assert request.work.verdict is Verdict.PARTIAL
    assert _figures(request).figures["over_budget"] == 1


async def test_a_price_owes_nothing_and_its_reaction_is_measured(world: World) -> None:
    # The baseline is 12 kW; 2 x 1,400 W were drawn in both quarters of an hour: 2 x 9,200 W of reaction.
    request = await _played(world, PRICE, (12_000, 12_000), 1_400, 1_400)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == ("PRICE_REACTION/1", Verdict.INFORMATIVE)
    assert request.work.delivered_wh == 0
    assert _figures(request).figures["reaction_w_sum"] == 2 * 9_200


async def test_what_is_dispatched_follows_from_the_committed_baseline(world: World) -> None:
    request = await _played(world, RESERVE, (4_000, 4_000, 4_000, 1_000, 1_000, 1_000), -1_000, -1_000)
    half_ms = 15 * MINUTE_MS
    assert dispatch.service(request, GROUP) == SetpointService(
        series=(
            Interval(start_at_ms=START_MS, duration_ms=half_ms, value=-2_000),
            Interval(start_at_ms=START_MS + half_ms, duration_ms=half_ms, value=-5_000),
        )
    )


async def test_a_price_is_dispatched_with_its_floor(world: World) -> None:
    request = await _played(world, PRICE, (12_000, 12_000), 1_400, 1_400)
    assert dispatch.service(request, GROUP) == PriceService(
        series=(
            Interval(start_at_ms=START_MS, duration_ms=STEP_MS, value=400_000),
            Interval(start_at_ms=START_MS + STEP_MS, duration_ms=STEP_MS, value=-20_000),
        ),
        floor_w_per_evse=1_400,
    )


@pytest.mark.parametrize(("direction", "value"), [(Direction.UP, 4_000), (Direction.DOWN, 20_000)])
async def test_less_than_the_baseline_is_a_limit_and_more_is_a_setpoint(
    world: World, direction: Direction, value: int
) -> None:
    params = CongestionParams(
        congestion_point="CP-1",
        direction=direction,
        series=(CongestionStep(start_at_ms=START_MS, duration_ms=2 * STEP_MS, ordered_w=8_000),),
    )
    request = await _played(world, params, (12_000,), 2_000, 2_000)
    interval = Interval(start_at_ms=START_MS, duration_ms=2 * STEP_MS, value=value)
    kind = CongestionService if direction is Direction.UP else SetpointService
    assert dispatch.service(request, GROUP) == kind(series=(interval,))


@pytest.mark.parametrize(
    ("params", "discharges", "amount_w", "powers_w"),
    [
        pytest.param(RESERVE, True, 1_500, (0, 1_500), id="reserve up"),
        pytest.param(
            msgspec.structs.replace(RESERVE, direction=Direction.DOWN), False, 1_500, (1_500, 0), id="reserve down"
        ),
        pytest.param(PRICE, False, 0, (0, 0), id="price"),
    ],
)
def test_what_is_checked_for(params: Params, *, discharges: bool, amount_w: int, powers_w: tuple[int, int]) -> None:
    assert asked.discharges(params) is discharges
    assert asked.amount_w(params, 22_000, 88_000) == amount_w
    assert asked.powers_w(params, amount_w) == powers_w
