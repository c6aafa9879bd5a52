"""A configuration that is changed in part: what comes out, what there cannot be, and what an accepted request holds."""

from typing import Any

import msgspec
import pytest

from ledger.records import registry
from ledger.records.record import conceal, read
from ledger.records.site_changes import (
    MAX_CHANGES,
    AvailabilityChanged,
    ConnectorAdded,
    ConnectorRemoved,
    ConnectorReplaced,
    EvseAdded,
    EvseRemoved,
    EvseReplaced,
    FirmwareReplaced,
    GridReplaced,
    Inverter,
    InverterReplaced,
    MeterReplaced,
    SiteChange,
    SiteChanged,
    meters,
)
from ledger.records.sites import Connector, CurrentKind, Evse, Operational, SiteConfigured
from ledger.rules import configuration
from tests.support.kept import Forgetful
from tests.support.rulebook import (
    AURORA,
    EVSES,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    answer,
    at,
    pids,
    refused,
    site,
    tag,
    tags,
)

FIFTH = "FI*NGC*E5"
PLUG = Connector(connector_id=1, standard="cCCS2", max_w=11_000)
INVERTER = Inverter(
    kind=CurrentKind.DC,
    max_charge_w=22_000,
    max_discharge_w=0,
    services=("CONGESTION", "PRICE"),
    response_time_ms=500,
    key_spki_sha256="4" * 64,
    firmware_sha256="5" * 64,
)


def evse(evse_id: str = FIFTH, **changes: Any) -> Evse:
    return msgspec.structs.replace(site((evse_id,)).evses[0], **changes)


def change(*changes: SiteChange, base: int = 1, site_id: str = SITE) -> SiteChanged:
    return SiteChanged(site_id=site_id, base_version=base, changes=changes)


def tagged(*names: str) -> dict[str, str]:
    return {name: tag(name) for name in names}


def now_of(judge: Judge) -> SiteConfigured:
    return judge.state.site(SITE).configured


def test_a_change_names_the_version_in_force_and_makes_the_next_one() -> None:
    judge = Judge()
    with refused("site-unknown"):
        judge.try_it(change(EvseRemoved(evse_id=EVSES[0])), NORTHGATE)
    judge.site()
    gone = change(EvseRemoved(evse_id=EVSES[0]))
    for base in (2, 7):
        with refused("version-gap"):
            judge.try_it(change(EvseRemoved(evse_id=EVSES[0]), base=base), NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(gone, SOUTHGATE)
    for by in (AURORA, VOLTWISE):
        with refused("writer-role"):
            judge.try_it(gone, by)
    judge.now_ms += 1
    judge.admit(gone, NORTHGATE, tags=tagged(EVSES[0]))
    found = judge.state.site(SITE)
    assert (found.configured.version, [one.evse_id for one in found.configured.evses]) == (2, list(EVSES[1:]))
    before = found.at(judge.now_ms - 1)
    assert before == site()
    with refused("version-gap"):
        judge.try_it(gone, NORTHGATE)
    judge.admit(site(version=3), NORTHGATE, tags=tagged(*EVSES))
    assert now_of(judge) == site(version=3)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ((EvseAdded(evse=evse()),), {FIFTH: evse()}),
        ((EvseReplaced(evse=evse(EVSES[0], max_charge_w=7_000)),), {EVSES[0]: evse(EVSES[0], max_charge_w=7_000)}),
        ((EvseRemoved(evse_id=EVSES[3]),), {EVSES[3]: None}),
        ((ConnectorAdded(evse_id=EVSES[0], connector=PLUG),), {EVSES[0]: {"connectors": (PLUG,)}}),
        (
            (
                ConnectorAdded(evse_id=EVSES[0], connector=PLUG),
                ConnectorReplaced(evse_id=EVSES[0], connector=Connector(connector_id=1, standard="sType2")),
            ),
            {EVSES[0]: {"connectors": (Connector(connector_id=1, standard="sType2"),)}},
        ),
        (
            (
                ConnectorAdded(evse_id=EVSES[0], connector=PLUG),
                ConnectorAdded(evse_id=EVSES[0], connector=msgspec.structs.replace(PLUG, connector_id=2)),
                ConnectorRemoved(evse_id=EVSES[0], connector_id=1),
            ),
            {EVSES[0]: {"connectors": (msgspec.structs.replace(PLUG, connector_id=2),)}},
        ),
        (
            (MeterReplaced(evse_id=EVSES[1], meter=msgspec.structs.replace(evse().meter, serial="M77")),),
            {EVSES[1]: {"meter": msgspec.structs.replace(evse().meter, serial="M77")}},
        ),
        (
            (InverterReplaced(evse_id=EVSES[1], inverter=INVERTER),),
            {EVSES[1]: {name: getattr(INVERTER, name) for name in INVERTER.__struct_fields__}},
        ),
        ((FirmwareReplaced(evse_id=EVSES[2], firmware_sha256="e" * 64),), {EVSES[2]: {"firmware_sha256": "e" * 64}}),
        (
            (AvailabilityChanged(evse_id=EVSES[2], operational=Operational.INOPERATIVE),),
            {EVSES[2]: {"operational": Operational.INOPERATIVE}},
        ),
    ],
)
def test_what_changes_is_what_is_named_and_all_else_stays(
    changes: tuple[SiteChange, ...], wanted: dict[str, Evse | dict[str, Any] | None]
) -> None:
    base = site()
    found = {one.evse_id: one for one in configuration.changed(base, change(*changes)).evses}
    expected: dict[str, Evse] = {one.evse_id: one for one in base.evses}
    for name, what in wanted.items():
        if what is None:
            del expected[name]
        else:
            expected[name] = what if isinstance(what, Evse) else msgspec.structs.replace(expected[name], **what)
    assert found == expected


def test_the_grid_connection_changes_and_no_evse_does() -> None:
    made = configuration.changed(
        site(), change(GridReplaced(import_limit_w=1, export_limit_w=2, congestion_point="CP-9"))
    )
    wanted = msgspec.structs.replace(
        site(), version=2, import_limit_w=1, export_limit_w=2, congestion_point="CP-9", grid=None
    )
    assert made == wanted


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ((EvseRemoved(evse_id=FIFTH),), "evse-unknown"),
        ((EvseReplaced(evse=evse()),), "evse-unknown"),
        ((MeterReplaced(evse_id=FIFTH, meter=evse().meter),), "evse-unknown"),
        ((InverterReplaced(evse_id=FIFTH, inverter=INVERTER),), "evse-unknown"),
        ((FirmwareReplaced(evse_id=FIFTH, firmware_sha256="e" * 64),), "evse-unknown"),
        ((AvailabilityChanged(evse_id=FIFTH, operational=Operational.INOPERATIVE),), "evse-unknown"),
        ((ConnectorAdded(evse_id=FIFTH, connector=PLUG),), "evse-unknown"),
        ((EvseRemoved(evse_id=EVSES[0]), EvseRemoved(evse_id=EVSES[0])), "evse-unknown"),
        ((EvseAdded(evse=evse(EVSES[0])),), "already-recorded"),
        ((ConnectorAdded(evse_id=EVSES[0], connector=PLUG),) * 2, "already-recorded"),
        ((ConnectorRemoved(evse_id=EVSES[0], connector_id=1),), "connector-unknown"),
        ((ConnectorReplaced(evse_id=EVSES[0], connector=PLUG),), "connector-unknown"),
        ((AvailabilityChanged(evse_id=EVSES[0], operational=Operational.OPERATIVE),), "already-recorded"),
        ((EvseRemoved(evse_id=FIFTH), EvseAdded(evse=evse())), "evse-unknown"),
        ((EvseAdded(evse=evse()), EvseRemoved(evse_id=FIFTH)), "already-recorded"),
        (tuple(EvseRemoved(evse_id=one) for one in EVSES), "site-size"),
        ((EvseReplaced(evse=evse(EVSES[0], min_charge_w=12_000)),), "capability-contradicts"),
        (
            (InverterReplaced(evse_id=EVSES[0], inverter=msgspec.structs.replace(INVERTER, min_discharge_w=1)),),
            "capability-contradicts",
        ),
    ],
)
def test_a_change_that_there_cannot_be_is_refused_and_folds_to_nothing(
    changes: tuple[SiteChange, ...], rule: str
) -> None:
    judge = Judge()
    judge.site()
    made = judge.fact(change(*changes), NORTHGATE, tags=tagged(*EVSES))
    with refused(rule):
        judge.state.check(made)
    judge.fold(made)
    assert now_of(judge) == site()


@pytest.mark.parametrize("more", [0, 1])
def test_a_site_has_at_most_512_evses_and_an_evse_8_connectors(more: int) -> None:
    many = site(tuple(f"FI*NGC*E{number}" for number in range(1, 513 - 2)))
    wanted = tuple(EvseAdded(evse=evse(f"FI*NGC*EX{number}")) for number in range(2 + more))
    plugs = tuple(
        ConnectorAdded(evse_id=EVSES[0], connector=msgspec.structs.replace(PLUG, connector_id=number))
        for number in range(1, 9 + more)
    )
    for base, changes in ((many, wanted), (site(), plugs)):
        if more:
            with refused("site-size"):
                configuration.changed(base, change(*changes))
        else:
            made = configuration.changed(base, change(*changes))
            assert len(made.evses) in (4, 512)


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, True), (MAX_CHANGES, True), (MAX_CHANGES + 1, False)])
def test_a_record_holds_1_to_256_changes(count: int, fits: bool) -> None:
    what = change(*(FirmwareReplaced(evse_id=EVSES[0], firmware_sha256="e" * 64),) * count)
    event = conceal(what, lambda: b"").event
    if fits:
        assert read(event, registry.kind("site.changed", 1)) == what
    else:
        with pytest.raises(Exception, match=r"length|RecordMalformed|records/"):
            read(event, registry.kind("site.changed", 1))


def test_an_evse_comes_from_no_other_site() -> None:
    judge = Judge()
    judge.site()
    judge.site((FIFTH,), SOUTHGATE, "DEPOT-8")
    with refused("evse-not-at-site"):
        judge.try_it(change(EvseAdded(evse=evse())), NORTHGATE)
    judge.admit(change(EvseAdded(evse=evse("FI*NGC*E9")), site_id="DEPOT-8"), SOUTHGATE, tags=tagged("FI*NGC*E9"))
    with refused("evse-not-at-site"):
        judge.try_it(change(EvseAdded(evse=evse("FI*NGC*E9"))), NORTHGATE)


@pytest.mark.parametrize("is_whole", [False, True])
def test_an_evse_that_an_accepted_request_holds_does_not_go(is_whole: bool) -> None:
    judge = Judge()
    judge.accepted(2)
    gone = site(EVSES[1:], version=2) if is_whole else change(EvseRemoved(evse_id=EVSES[0]))
    with refused("evse-committed"):
        judge.try_it(gone, NORTHGATE, tags=tagged(*EVSES))
    free = site(EVSES[:3], version=2) if is_whole else change(EvseRemoved(evse_id=EVSES[3]))
    judge.try_it(free, NORTHGATE, tags=tagged(*EVSES))
    judge.now_ms = at("17:59")
    with refused("evse-committed"):
        judge.try_it(gone, NORTHGATE, tags=tagged(*EVSES))
    judge.now_ms = at("18:00")
    judge.try_it(gone, NORTHGATE, tags=tagged(*EVSES))


def test_meter_and_key_change_before_and_after_a_request_and_not_while_it_runs() -> None:
    judge = Judge()
    judge.accepted(2)
    meter = change(MeterReplaced(evse_id=EVSES[0], meter=msgspec.structs.replace(evse().meter, serial="M77")))
    inverter = change(InverterReplaced(evse_id=EVSES[0], inverter=INVERTER))
    broken = change(AvailabilityChanged(evse_id=EVSES[0], operational=Operational.INOPERATIVE))
    judge.now_ms = at("17:00") - 1
    for what in (meter, inverter, broken):
        judge.try_it(what, NORTHGATE, tags=tagged(EVSES[0]))
    for now_ms in (at("17:00"), at("18:00") - 1):
        judge.now_ms = now_ms
        for what in (meter, inverter):
            with refused("evse-committed"):
                judge.try_it(what, NORTHGATE, tags=tagged(EVSES[0]))
        judge.try_it(broken, NORTHGATE, tags=tagged(EVSES[0]))
    judge.now_ms = at("18:00")
    judge.admit(meter, NORTHGATE, tags=tagged(EVSES[0]))
    # What ran before is measured with what was there before.
    found = judge.state.site(SITE)
    assert found.executed(EVSES[0], at("17:00")) == site().evses[0]
    later = found.executed(EVSES[0], at("18:00"))
    assert later is not None
    assert later.meter.serial == "M77"
    # What came since the start is as it first was; what never stood there is not.
    judge.admit(change(EvseAdded(evse=evse()), base=2), NORTHGATE, tags=tagged(FIFTH))
    assert found.executed(FIFTH, at("17:00")) == evse()
    assert found.executed("FI*NGC*E99", at("17:00")) is None
    assert judge.state.site(SITE).metered(EVSES[0], "1" * 64, at("09:00")) == (at("09:00"), None)


def test_a_meters_key_is_bound_from_the_version_that_brought_it_to_the_one_that_took_it() -> None:
    judge = Judge()
    judge.site()
    key = msgspec.structs.replace(evse().meter, key_spki_sha256="9" * 64)
    judge.now_ms = at("10:00")
    judge.admit(change(MeterReplaced(evse_id=EVSES[0], meter=key)), NORTHGATE, tags=tagged(EVSES[0]))
    found = judge.state.site(SITE)
    assert found.metered(EVSES[0], "1" * 64, at("09:30")) == (at("09:00"), at("10:00"))
    assert found.metered(EVSES[0], "9" * 64, at("10:00")) == (at("10:00"), None)
    with pytest.raises(KeyError):
        found.metered(EVSES[1], "9" * 64, at("10:00"))


def test_a_meter_that_was_away_and_came_back_is_bound_again_from_then_on() -> None:
    judge = Judge()
    judge.site()
    lent = msgspec.structs.replace(evse().meter, key_spki_sha256="9" * 64)
    for base, (when, meter) in enumerate((("10:00", lent), ("11:00", evse().meter)), 1):
        judge.now_ms = at(when)
        judge.admit(change(MeterReplaced(evse_id=EVSES[0], meter=meter), base=base), NORTHGATE, tags=tagged(EVSES[0]))
    found = judge.state.site(SITE)
    for start, since, until in (
        ("08:00", "09:00", "10:00"),  # before the site was known: as it first was
        ("09:59", "09:00", "10:00"),
        ("10:00", "11:00", None),
        ("12:00", "11:00", None),
    ):
        assert found.metered(EVSES[0], "1" * 64, at(start)) == (at(since), None if until is None else at(until))
    assert found.metered(EVSES[0], "9" * 64, at("12:00")) == (at("10:00"), at("11:00"))


def test_what_is_out_of_service_or_gone_is_not_sold_and_what_is_new_is() -> None:
    judge = Judge()
    judge.ready(2)
    broken = change(AvailabilityChanged(evse_id=EVSES[0], operational=Operational.INOPERATIVE))
    judge.admit(broken, NORTHGATE, tags=tagged(EVSES[0]))
    what = answer(check_id="chk-1", names=pids(2))
    with refused("double-selling"):
        judge.try_it(what, NORTHGATE, tags=tags(2))
    again = change(AvailabilityChanged(evse_id=EVSES[0], operational=Operational.OPERATIVE), base=2)
    judge.admit(again, NORTHGATE, tags=tagged(EVSES[0]))
    judge.try_it(what, NORTHGATE, tags=tags(2))
    judge.admit(change(EvseRemoved(evse_id=EVSES[0]), base=3), NORTHGATE, tags=tagged(EVSES[0]))
    with refused("evse-not-at-site"):
        judge.try_it(what, NORTHGATE, tags=tags(2))
    judge.admit(change(EvseAdded(evse=evse(EVSES[0])), base=4), NORTHGATE, tags=tagged(EVSES[0]))
    judge.try_it(what, NORTHGATE, tags=tags(2))


def test_an_audit_without_tags_says_that_it_cannot_tell_what_is_held() -> None:
    judge = Judge()
    judge.site()
    made = judge.fact(change(EvseRemoved(evse_id=EVSES[0])), NORTHGATE, tags={}, evidence=None)
    assert judge.state.undecidable(made) == (("rules/evse-committed", "tags: kept by the service, see its own audit"),)


def test_a_state_that_forgot_tells_every_version_again() -> None:
    judge, kept = Judge(), Forgetful()
    judge.site()
    judge.now_ms += 1000
    judge.admit(change(EvseRemoved(evse_id=EVSES[0])), NORTHGATE, tags=tagged(EVSES[0]))
    judge.now_ms += 1000
    judge.admit(change(EvseAdded(evse=evse()), base=2), NORTHGATE, tags=tagged(FIFTH))
    for fact in judge.facts:
        kept.fold(fact)
    assert kept.state.site(SITE).versions == judge.state.site(SITE).versions
    kept.require_same(judge.state)


def test_the_meters_that_are_new_are_named() -> None:
    meter = msgspec.structs.replace(evse().meter, serial="M9")
    what = change(EvseAdded(evse=evse()), MeterReplaced(evse_id=EVSES[0], meter=meter), EvseRemoved(evse_id=EVSES[1]))
    assert meters(what) == (evse().meter, meter)
