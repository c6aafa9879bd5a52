"""Starts that are spread: who is due when follows from ids, and nothing starts, counts or is excused otherwise."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records import canonical, registry
from ledger.records.errors import RecordMalformed
from ledger.records.execution import ExecutionKind
from ledger.records.record import conceal, read
from ledger.records.requests import RequestIssued
from ledger.records.services import (
    CurvePoint,
    Direction,
    DroopParams,
    Params,
    ReserveParams,
    SetpointParams,
    SetpointStep,
)
from ledger.records.work import Excluded, ExcludedReason
from ledger.rules.starts import require_spread, starts_at_ms
from tests.support.acts import revision
from tests.support.parameters import armed, at, congestion
from tests.support.rulebook import (
    AURORA,
    NORTHGATE,
    Judge,
    baseline,
    mandatory,
    noted,
    pids,
    proof,
    proven,
    refused,
    request,
)

SPREAD_S = 600
START_MS = at("17:00")
DROOP = DroopParams(
    points=(CurvePoint(freq_millihertz=49_800, power_w=-1), CurvePoint(freq_millihertz=50_200, power_w=1)),
    response_time_ms=2_000,
    base_w=0,
    tolerance_w=500,
)
SETPOINT = SetpointParams(
    series=(SetpointStep(start_at_ms=START_MS, duration_ms=3_600_000, power_w=1_000),),
    ramp_w_per_s=1_000,
    update_interval_s=4,
)
RESERVE = ReserveParams(
    capacity_w=6_000, direction=Direction.UP, full_ms=300_000, interval_ms=300_000, energy_budget_wh=1_500
)


def test_the_offset_is_what_the_specification_computes() -> None:
    issued = request(start_spread_s=SPREAD_S)
    digest = hashlib.sha256(b"flexledger start v1\x00fsr-1\x00p-1").digest()
    wanted = int.from_bytes(digest[:8], "big") % 601
    assert starts_at_ms(issued, "p-1") == START_MS + wanted * 1000 == START_MS + 330_000
    assert starts_at_ms(issued, "p-2") != starts_at_ms(issued, "p-1")
    assert starts_at_ms(request(), "p-1") == START_MS


@given(spread_s=st.integers(0, 600), fsr=st.integers(0, 10**6), name=st.integers(0, 10**6))
def test_nobody_starts_before_the_request_or_after_the_spread(spread_s: int, fsr: int, name: int) -> None:
    issued = request(f"fsr-{fsr}", start_spread_s=spread_s)
    offset_ms = starts_at_ms(issued, f"p-{name}") - START_MS
    assert 0 <= offset_ms <= spread_s * 1000
    assert offset_ms % 1000 == 0


def test_the_offsets_are_spread_over_the_whole_time() -> None:
    issued = request(start_spread_s=9)
    found = [starts_at_ms(issued, f"p-{n}") - START_MS for n in range(2_000)]
    assert set(found) == {n * 1000 for n in range(10)}
    assert all(140 < found.count(n * 1000) < 260 for n in range(10))


@pytest.mark.parametrize(("spread_s", "fits"), [(0, True), (600, True), (601, False), (-1, False)])
def test_starts_are_spread_over_ten_minutes_at_most(spread_s: int, fits: bool) -> None:
    event: Any = conceal(request(start_spread_s=spread_s), lambda: b"").event
    kind = registry.kind("fsr.issued", 1)
    if fits:
        found = read(canonical.decode(canonical.encode(event)), kind)
        assert isinstance(found, RequestIssued)
        assert found.start_spread_s == spread_s
    else:
        with pytest.raises(RecordMalformed):
            read(event, kind)


@pytest.mark.parametrize(
    ("params", "spread_s", "fits"),
    [
        (congestion(), 600, True),
        (DROOP, 600, True),
        (SETPOINT, 600, True),
        (armed(), 1, False),
        (armed(), 0, True),
        (RESERVE, 300, True),
        (RESERVE, 301, False),
    ],
)
def test_what_has_to_be_there_at_once_is_not_spread(params: Params, spread_s: int, fits: bool) -> None:
    issued = request(params=params, start_spread_s=spread_s)
    if fits:
        require_spread(issued)
    else:
        with refused("start-spread"):
            require_spread(issued)


@pytest.mark.parametrize(("minutes", "fits"), [(20, True), (19, False)])
def test_at_least_half_of_the_window_is_left(minutes: int, fits: bool) -> None:
    issued = request(start_spread_s=600, end_at_ms=START_MS + minutes * 60_000)
    if fits:
        require_spread(issued)
    else:
        with refused("start-spread"):
            require_spread(issued)


def test_a_request_and_a_revision_are_refused_alike() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    with refused("start-spread"):
        judge.try_it(request(params=armed(), start_spread_s=60), AURORA)
    judge.request()
    short = {"start_at_ms": START_MS, "end_at_ms": at("17:12"), "params": congestion(20_000, START_MS, at("17:12"))}
    with refused("start-spread"):
        judge.try_it(msgspec.structs.replace(revision(2, **short), start_spread_s=361), AURORA)
    judge.admit(msgspec.structs.replace(revision(2, **short), start_spread_s=360), AURORA)
    assert judge.state.request("fsr-1").issued.start_spread_s == 360


def test_a_mandate_is_not_spread() -> None:
    judge = Judge()
    judge.site()
    judge.now_ms = at("18:29")
    with refused("start-spread"):
        judge.try_it(msgspec.structs.replace(mandatory("fsr-1"), start_spread_s=60), AURORA, evidence=proof())


def _begun() -> Judge:
    judge = Judge()
    judge.accepted(2, start_spread_s=SPREAD_S)
    judge.now_ms = at("15:12")
    judge.admit(baseline(pids(2)), NORTHGATE)
    judge.now_ms = START_MS
    judge.check("chk-2", count=2)
    return judge


def test_nobody_starts_before_their_own_start() -> None:
    judge = _begun()
    issued = judge.state.request("fsr-1").issued
    for name in pids(2):
        judge.now_ms = starts_at_ms(issued, name) - 1
        judge.admit(noted(name, ExecutionKind.DISPATCHED), NORTHGATE)
        with refused("execution-early"):
            judge.try_it(noted(name, ExecutionKind.STARTED), NORTHGATE)
        judge.now_ms += 1
        judge.try_it(noted(name, ExecutionKind.STARTED), NORTHGATE)


def _before_its_start(until_ms: int) -> Excluded:
    return Excluded(participation="p-1", reason=ExcludedReason.START_SPREAD, start_at_ms=START_MS, end_at_ms=until_ms)


def test_a_proof_excuses_the_time_before_ones_own_start_and_no_other() -> None:
    judge = Judge()
    judge.ended(2, start_spread_s=SPREAD_S)
    for off_ms in (-1000, 1000):
        with refused("excluded-without-cause"):
            judge.try_it(proven(pids(2), excluded=(_before_its_start(START_MS + 330_000 + off_ms),)), NORTHGATE)
    judge.try_it(proven(pids(2), excluded=(_before_its_start(START_MS + 330_000),)), NORTHGATE)


def test_where_nothing_is_spread_no_start_excuses_anything() -> None:
    judge = Judge()
    judge.ended(2)
    with refused("excluded-without-cause"):
        judge.try_it(proven(pids(2), excluded=(_before_its_start(START_MS + 330_000),)), NORTHGATE)
