"""What hostile or mistaken parties try with contracts, sites and requests: each is refused by the rule that names it."""

import hashlib
from typing import Any

import msgspec
import pytest

from ledger.records import blinding, canonical, registry
from ledger.records.contracts import ContractOffered
from ledger.records.errors import RecordMalformed, RecordTypeUnknown
from ledger.records.record import Record, conceal, read
from ledger.records.requests import RequestIssued
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    CurvePoint,
    Direction,
    DroopParams,
    Params,
    SetpointParams,
    SetpointStep,
)
from ledger.records.site_changes import SiteChanged
from ledger.rules import configuration
from tests.support.acts import revision
from tests.support.parameters import armed, at, congestion
from tests.support.rulebook import (
    AURORA,
    EVSES,
    NORTHGATE,
    TERMS,
    Judge,
    acceptance,
    answer,
    contract,
    pids,
    refused,
    request,
    site,
    tags,
)

START_MS, END_MS = at("17:00"), at("18:00")


# Both sides at once


def test_of_two_versions_that_cross_the_first_stands_and_its_maker_cannot_accept_it() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    dearer = msgspec.structs.replace(TERMS, price_micro_per_kwh=900_000)
    theirs = judge.admit(contract(version=2, services=(dearer,)), NORTHGATE)
    ours = contract(version=2, services=(TERMS,))
    with refused("version-gap"):
        judge.try_it(ours, AURORA)
    with refused("contract-not-counterparty"):
        judge.try_it(acceptance("fsc-1", theirs), NORTHGATE)
    state = judge.state.contract("fsc-1")
    assert state.signed(judge.now_ms).record.version == 1  # type: ignore[union-attr]
    # A later version overtakes the one that nobody accepted; an acceptance of that one means another text.
    judge.admit(contract(version=3, services=(TERMS,)), AURORA)
    with refused("contract-offer-other"):
        judge.try_it(acceptance("fsc-1", theirs), AURORA)


def test_of_a_revision_and_an_answer_that_cross_only_one_stands() -> None:
    judge = Judge()
    judge.ready(2)
    said = answer(check_id="chk-1", names=pids(2))
    changed = revision(2, start_at_ms=START_MS, end_at_ms=END_MS, params=congestion(15_000))
    first = Judge()
    first.ready(2)
    first.admit(said, NORTHGATE, tags=tags(2))
    with refused("revision-late"):
        first.try_it(changed, AURORA)
    judge.admit(changed, AURORA)
    with refused("revision-other"):
        judge.try_it(said, NORTHGATE, tags=tags(2))


def test_of_two_revisions_that_cross_the_second_is_refused() -> None:
    judge = Judge()
    judge.ready(2)
    window = {"start_at_ms": START_MS, "end_at_ms": END_MS}
    judge.admit(revision(2, **window, params=congestion(15_000)), AURORA)
    with refused("revision-other"):
        judge.try_it(revision(2, **window, params=congestion(12_000)), AURORA)


# Blinded ids


def test_a_blinded_id_is_found_with_the_offer_and_by_no_dictionary_of_ids_and_terms() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    offered = judge.facts[-2].statement
    wanted = blinding.blinded(judge.state.contract("fsc-1").latest_signed_sha256(judge.now_ms), "query-1")
    whole = hashlib.sha256(offered.raw.encode()).hexdigest()
    assert blinding.blinded(whole, "query-1") == wanted
    # What can be guessed of a contract: its id, its terms, even every signed byte but the signature.
    head, _, _ = offered.raw.rpartition(".")
    body = canonical.encode(conceal(contract(), lambda: b"").event)
    for guess in (b"fsc-1", body, head.encode(), hashlib.sha256(body).hexdigest().encode()):
        assert blinding.blinded(hashlib.sha256(guess).hexdigest(), "query-1") != wanted


# Units and magnitudes


def _open() -> Judge:
    judge = Judge()
    judge.site()
    judge.contract()
    judge.now_ms = at("15:00")
    return judge


DROOP = DroopParams(
    points=(CurvePoint(freq_millihertz=49_800, power_w=-1000), CurvePoint(freq_millihertz=50_200, power_w=1000)),
    response_time_ms=2_000,
    base_w=0,
    tolerance_w=500,
)


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        pytest.param(congestion(20), "magnitude-implausible", id="kW as W"),
        pytest.param(congestion(500), "magnitude-implausible", id="as much as is tolerated"),
        pytest.param(congestion(20_000_000), "contract-limit", id="mW as W"),
        pytest.param(armed(20), "magnitude-implausible", id="reserve in kW"),
        pytest.param(
            msgspec.structs.replace(armed(), f_trigger_millihertz=49), "magnitude-implausible", id="Hz as mHz"
        ),
        pytest.param(
            msgspec.structs.replace(armed(), f_trigger_millihertz=39_999), "magnitude-implausible", id="under 40 Hz"
        ),
        pytest.param(
            msgspec.structs.replace(armed(), f_trigger_millihertz=70_001), "magnitude-implausible", id="over 70 Hz"
        ),
    ],
)
def test_a_unit_that_was_mixed_up_is_noticed_when_it_is_asked(params: Params, rule: str) -> None:
    judge = _open()
    with refused(rule):
        judge.try_it(request(params=params), AURORA)
    judge.try_it(request(params=congestion(501)), AURORA)


def test_a_curve_of_hertz_is_no_curve_of_millihertz() -> None:
    judge = Judge()
    judge.site()
    judge.contract(services=(msgspec.structs.replace(TERMS, service="DROOP"),))
    judge.now_ms = at("15:00")
    mixed = msgspec.structs.replace(DROOP.points[0], freq_millihertz=50)
    with refused("magnitude-implausible"):
        judge.try_it(request(params=msgspec.structs.replace(DROOP, points=(mixed, DROOP.points[1]))), AURORA)


@pytest.mark.parametrize(
    ("power_w", "fits"), [(22, False), (499, False), (500, True), (0, True), (10_000_000, True), (10_000_001, False)]
)
def test_an_evse_of_no_power_is_noticed_when_it_is_declared(power_w: int, fits: bool) -> None:
    for name in ("max_charge_w", "max_discharge_w"):
        evse = msgspec.structs.replace(site().evses[0], **{name: power_w})
        declared = msgspec.structs.replace(site(), evses=(evse,))
        if fits:
            configuration.require_capabilities(declared)
        else:
            with refused("magnitude-implausible"):
                configuration.require_capabilities(declared)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"start_at_ms": START_MS // 1000, "end_at_ms": END_MS // 1000}, "start-in-past"),
        ({"start_at_ms": END_MS, "end_at_ms": START_MS}, "times-contradict"),
        ({"start_at_ms": START_MS, "end_at_ms": START_MS}, "times-contradict"),
    ],
)
def test_seconds_are_no_milliseconds(changes: dict[str, int], rule: str) -> None:
    judge = _open()
    window = (changes["start_at_ms"], changes["end_at_ms"])
    with refused(rule):
        judge.try_it(request(params=congestion(20_000, START_MS, END_MS), **changes), AURORA)
    assert window != (START_MS, END_MS)


@pytest.mark.parametrize("start_at_ms", [-1, START_MS * 1000, 2**63])
def test_microseconds_and_what_is_no_time_are_no_record(start_at_ms: int) -> None:
    event: Any = conceal(request(), lambda: b"").event
    event["start_at_ms"] = start_at_ms
    with pytest.raises(RecordMalformed):
        read(event, RequestIssued)


# Intervals


@pytest.mark.parametrize(
    "steps",
    [
        [(0, 1800), (1799, 1801)],
        [(0, 1800), (1801, 1799)],
        [(1800, 1800), (0, 1800)],
        [(0, 1800), (0, 1800)],
        [(0, 3599)],
        [(0, 3601)],
    ],
)
def test_intervals_that_overlap_leave_a_gap_or_end_elsewhere_are_refused(steps: list[tuple[int, int]]) -> None:
    judge = _open()
    series = tuple(
        CongestionStep(start_at_ms=START_MS + at_s * 1000, duration_ms=for_s * 1000, ordered_w=20_000)
        for at_s, for_s in steps
    )
    with refused("series-outside"):
        judge.try_it(
            request(params=CongestionParams(congestion_point="CP-1", direction=Direction.UP, series=series)), AURORA
        )
    moving = SetpointParams(
        series=tuple(
            SetpointStep(start_at_ms=step.start_at_ms, duration_ms=step.duration_ms, power_w=1000) for step in series
        ),
        ramp_w_per_s=1000,
        update_interval_s=4,
    )
    judge = Judge()
    judge.site()
    judge.contract(services=(msgspec.structs.replace(TERMS, service="SETPOINT"),))
    judge.now_ms = at("15:00")
    with refused("series-outside"):
        judge.try_it(request(params=moving), AURORA)


# 2026-03-29T00:45Z to 01:45Z holds the change to summer time in Europe; 2016-12-31T23:30Z to 00:30Z a leap second.
@pytest.mark.parametrize("start_ms", [1_774_745_100_000, 1_483_227_000_000])
def test_an_hour_is_an_hour_whatever_clocks_on_walls_do(start_ms: int) -> None:
    judge = Judge()
    judge.now_ms = start_ms - 8 * 3_600_000
    judge.site()
    judge.contract(valid_from_ms=judge.now_ms, valid_to_ms=start_ms + 86_400_000)
    end_ms = start_ms + 3_600_000
    times = {"respond_by_ms": start_ms - 60_000, "opt_deadline_ms": start_ms - 30_000}
    asked = request(params=congestion(20_000, start_ms, end_ms), start_at_ms=start_ms, end_at_ms=end_ms, **times)
    judge.try_it(asked, AURORA)
    longer = msgspec.structs.replace(asked, end_at_ms=end_ms + 1000)
    with refused("series-outside"):
        judge.try_it(longer, AURORA)


# Versions


@pytest.mark.parametrize("kind", [SiteChanged, RequestIssued, ContractOffered])
@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_version_that_nobody_knows_is_refused_and_never_guessed(kind: type[Record], version: int) -> None:
    with pytest.raises(RecordTypeUnknown):
        registry.kind(kind.TYPE, version)


def test_a_member_that_nobody_knows_is_refused() -> None:
    event: Any = conceal(request(), lambda: b"").event
    event["start_spread_ms"] = 1
    with pytest.raises(RecordMalformed):
        read(event, RequestIssued)
    assert EVSES
