"""By which identifiers parties are known, and what sites say that they can do."""

from typing import Any

import msgspec
import pytest

from ledger.records import canonical, registry
from ledger.records.actor import Role
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    RevocationReason,
)
from ledger.records.errors import RecordMalformed
from ledger.records.parties import PARTY_STREAM, PartyDeclared
from ledger.records.record import Record
from ledger.records.sites import Connector, GridConnection, SiteAvailable
from ledger.rules.site_state import MAX_FORECASTS
from tests.support.kept import Forgetful
from tests.support.parameters import at
from tests.support.rulebook import AURORA, BOREALIS, CAN_W, EVSES, NORTHGATE, SITE, SOUTHGATE, Judge, refused, site

EIC = "10X1001A1001A450"


def _aurora(**changes: Any) -> PartyDeclared:
    made = PartyDeclared(party_id="aurora", version=1, role=Role.FO, eic=EIC, operator_id="FI*AUR", lfdi="A" * 40)
    return msgspec.structs.replace(made, **changes)


def _says(judge: Judge, what: Record, by: Any = AURORA) -> None:
    judge.try_it(what, by, PARTY_STREAM)


def test_a_party_declares_itself_under_its_own_role_version_after_version() -> None:
    judge = Judge()
    with refused("wrong-party"):
        _says(judge, _aurora(), BOREALIS)
    with refused("identifier-taken"):
        _says(judge, _aurora(role=Role.CSO))
    with refused("version-gap"):
        _says(judge, _aurora(version=2))
    judge.admit(_aurora(), AURORA, PARTY_STREAM)
    with refused("version-gap"):
        _says(judge, _aurora())
    _says(judge, _aurora(version=2))


@pytest.mark.parametrize("name", [{"eic": EIC}, {"operator_id": "FIAUR"}, {"lfdi": "A" * 40}])
def test_an_identifier_is_one_partys_until_it_gives_it_up(name: dict[str, str]) -> None:
    judge = Judge()
    judge.admit(_aurora(), AURORA, PARTY_STREAM)
    rival = PartyDeclared(party_id="borealis", version=1, role=Role.FO, **name)
    with refused("identifier-taken"):
        _says(judge, rival, BOREALIS)
    judge.admit(PartyDeclared(party_id="aurora", version=2, role=Role.FO), AURORA, PARTY_STREAM)
    _says(judge, rival, BOREALIS)


def test_what_somebody_declared_who_had_no_right_to_it_is_free_once_all_its_credentials_are_revoked() -> None:
    """Anybody can be the first to declare an EIC; its holder comes to it by way of the operator."""
    judge = Judge()
    judge.admit(_aurora(), AURORA, PARTY_STREAM)
    holder = PartyDeclared(party_id="borealis", version=1, role=Role.FO, eic=EIC)
    name = {"issuer_key_sha256": "a" * 64, "serial": "b" * 40}
    intended = CredentialIntended(**name, tbs_sha256="c" * 64, profile="FO/SIGNING/v1")
    issued = CredentialIssued(**name, tbs_sha256="c" * 64, party="aurora")
    for what in (intended, issued):
        judge.admit(what, NORTHGATE, CREDENTIAL_STREAM)
        with refused("identifier-taken"):
            _says(judge, holder, BOREALIS)
    reason = RevocationReason.PRIVILEGE_WITHDRAWN
    judge.admit(CredentialRevoked(**name, reason=reason, revoked_at_ms=judge.now_ms), NORTHGATE, CREDENTIAL_STREAM)
    judge.admit(holder, BOREALIS, PARTY_STREAM)
    # It is the holder's now: who comes back with another credential does not get it back.
    with refused("identifier-taken"):
        _says(judge, _aurora(version=2))


def _read(record: Record, **changes: Any) -> Record:
    """The record with other members, as it comes in."""
    event = canonical.decode(canonical.encode(record)) | changes
    return canonical.convert(event, registry.kind(record.TYPE, record.VERSION), record.TYPE)


def test_an_identifier_with_another_check_character_is_no_record() -> None:
    assert _read(_aurora()) == _aurora()
    for changes in ({"eic": "10X1001A1001A451"}, {"lfdi": "a" * 40}, {"operator_id": "FINLAND"}):
        with pytest.raises(RecordMalformed):
            _read(_aurora(), **changes)
    grid = {"gsrn": "871685900012636543", "phases": 3, "nominal_mv": 400_000}
    assert msgspec.convert(grid, GridConnection).phases == 3
    for changes in ({"gsrn": "871685900012636544"}, {"phases": 4}, {"phases": 0}, {"nominal_mv": 99_999}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(grid | changes, GridConnection)


# Capability


def _site(**changes: Any) -> Record:
    made = site()
    first = msgspec.structs.replace(made.evses[0], **changes)
    return msgspec.structs.replace(made, evses=(first, *made.evses[1:]))


def test_an_evses_least_power_is_not_more_than_its_greatest() -> None:
    judge = Judge()
    judge.try_it(_site(min_charge_w=CAN_W // 2, min_discharge_w=CAN_W // 2), NORTHGATE)
    for changes in ({"min_charge_w": CAN_W // 2 + 1}, {"min_discharge_w": CAN_W // 2 + 1}):
        with refused("capability-contradicts"):
            judge.try_it(_site(**changes), NORTHGATE)


def test_the_connectors_of_an_evse_differ() -> None:
    judge = Judge()
    one, other = (Connector(connector_id=number, standard="cCCS2") for number in (1, 2))
    judge.try_it(_site(connectors=(one, other)), NORTHGATE)
    with refused("capability-contradicts"):
        judge.try_it(_site(connectors=(one, one)), NORTHGATE)


def _forecast(**changes: Any) -> SiteAvailable:
    made = SiteAvailable(
        site_id=SITE, from_ms=at("17:00"), until_ms=at("18:00"), up_w=CAN_W, down_w=CAN_W, duration_s=1800
    )
    return msgspec.structs.replace(made, **changes)


def test_a_site_forecasts_no_more_than_its_evses_can_do_for_a_time_to_come() -> None:
    judge = Judge()
    with refused("site-unknown"):
        judge.try_it(_forecast(), NORTHGATE)
    judge.site()
    with refused("wrong-party"):
        judge.try_it(_forecast(), SOUTHGATE)
    most = CAN_W * len(EVSES)
    judge.try_it(_forecast(up_w=most, down_w=most), NORTHGATE)
    for changes in ({"up_w": most + 1}, {"down_w": most + 1}):
        with refused("capability-contradicts"):
            judge.try_it(_forecast(**changes), NORTHGATE)
    with refused("times-contradict"):
        judge.try_it(_forecast(until_ms=at("17:00")), NORTHGATE)
    judge.now_ms = at("18:00")
    with refused("times-contradict"):
        judge.try_it(_forecast(), NORTHGATE)


def test_after_a_thousand_forecasts_a_site_keeps_what_still_holds_and_its_row_stays_small() -> None:
    judge, kept = Judge(), Forgetful()
    judge.site()
    quarter_ms = 900_000
    sizes = []
    for number in range(1_000):
        judge.now_ms = at("09:00") + number * quarter_ms
        from_ms = judge.now_ms + quarter_ms
        judge.admit(_forecast(from_ms=from_ms, until_ms=from_ms + 4 * quarter_ms, up_w=number), NORTHGATE)
        if number % 250 == 249:
            (row,) = [row for row in judge.state.tables.rows() if row.kind == "site"]
            sizes.append(len(row.value or b""))
    known = judge.state.site(SITE)
    # Each says something of the quarter that the next one no longer speaks of, until that is over.
    assert [one.up_w for one in known.forecasts(judge.now_ms)] == [998, 999]
    assert len(known.places) == 3
    assert max(sizes) < 20
    for fact in judge.facts:
        kept.fold(fact)
    kept.require_same(judge.state)


def test_at_most_192_forecasts_of_a_site_hold_at_once() -> None:
    judge = Judge()
    judge.site()
    quarter_ms = 900_000
    for number in range(MAX_FORECASTS):
        from_ms = at("17:00") + number * quarter_ms
        judge.admit(_forecast(from_ms=from_ms, until_ms=from_ms + quarter_ms), NORTHGATE)
    from_ms = at("17:00") + MAX_FORECASTS * quarter_ms
    with refused("site-size"):
        judge.try_it(_forecast(from_ms=from_ms, until_ms=from_ms + quarter_ms), NORTHGATE)
    judge.admit(_forecast(from_ms=at("17:00"), until_ms=from_ms), NORTHGATE)
    assert len(judge.state.site(SITE).available) == 1


def test_the_newest_forecast_for_a_time_counts_and_the_configuration_of_any_past_instant_is_known() -> None:
    judge = Judge()
    judge.site()
    judge.admit(_forecast(), NORTHGATE)
    judge.admit(_forecast(from_ms=at("17:30"), up_w=1), NORTHGATE)
    known = judge.state.site(SITE)
    found = [known.available_at(at(clock)) for clock in ("16:59", "17:29", "17:30", "18:00")]
    assert [one.up_w if one else None for one in found] == [None, CAN_W, 1, None]
    told_at = at("09:00")
    assert judge.now_ms == told_at
    assert [one.up_w for one in known.forecasts(told_at)] == [CAN_W, 1]
    assert known.forecasts(told_at - 1) == ()
    assert [one.up_w for one in known.forecasts(at("17:59"))] == [CAN_W, 1]
    judge.now_ms = at("10:00")
    judge.admit(site(EVSES[:1], version=2), NORTHGATE)
    before, after = known.at(at("10:00") - 1), known.at(at("10:00"))
    assert before is not None
    assert after is not None
    assert [len(before.evses), len(after.evses)] == [len(EVSES), 1]
    assert known.at(at("08:59")) is None
