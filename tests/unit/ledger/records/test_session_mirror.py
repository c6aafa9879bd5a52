"""What a session's mirror says of authorization, roaming, tariff and metering: digests in the log, words beside it."""

import base64
import copy
from typing import Any

import msgspec
import pytest

from ledger.records import canonical, statement
from ledger.records.errors import RecordMalformed
from ledger.records.record import reveal
from ledger.records.sites import SessionMirrored
from tests.support.rulebook import EVSES, NORTHGATE, ORIGIN, SITE, key_of

SESSION: dict[str, Any] = {
    "session_id": "s-1",
    "site_id": SITE,
    "evse_id": EVSES[0],
    "evu": "driver",
    "discharge_allowed": True,
    "authorization": {
        "by": "CONTRACT_CERTIFICATE",
        "at_ms": 1_768_914_000_000,
        "contract_id": "DE83DUIEN83QGZD",
    },
    "roaming": {"provider": "voltwise", "platform": "hub-of-roaming", "session_ref": "ocpi-4711"},
    "tariff": {"tariff_ref": "night-tariff", "currency": "EUR", "import_micro_per_kwh": 291_000},
    "metering": {"serial": "METER-7788", "import_milliwh": 12_345_678, "export_milliwh": 90},
}
HIDDEN = ("DE83DUIEN83QGZD", "hub-of-roaming", "ocpi-4711", "night-tariff", "291000", "METER-7788", "12345678")


def _read(members: dict[str, Any]) -> SessionMirrored:
    found = canonical.convert(members, SessionMirrored, "session")
    assert isinstance(found, SessionMirrored)
    return found


def test_authorization_roaming_tariff_and_metering_are_digests_in_the_log_and_whole_beside_it() -> None:
    session = _read(SESSION)
    signed = statement.sign(
        session,
        key=key_of(NORTHGATE.party),
        x5t=NORTHGATE.x5t,
        party=NORTHGATE.party,
        audience=ORIGIN,
        stream=f"site/{SITE}",
        now_ms=1_768_914_000_000,
        jti="jti-of-the-session",
    )
    payload = base64.urlsafe_b64decode(signed.raw.split(".")[1] + "==")
    assert [text for text in HIDDEN if text.encode() in payload] == []
    told = {one.name: one.value for one in signed.disclosures}
    assert set(told) == set(SESSION) - {"session_id", "site_id"}
    opened = statement.open_statement(signed.raw, NORTHGATE, audience=ORIGIN)
    assert opened.record.roaming != session.roaming  # type: ignore[attr-defined]
    event = msgspec.json.decode(payload)["event"]
    whole = reveal(event, signed.disclosures)
    assert _read({name: whole[name] for name in SESSION}) == session


@pytest.mark.parametrize(
    ("part", "member", "wrong"),
    [
        ("authorization", "contract_id", "DE83DUIEN83QGZE"),
        ("authorization", "by", "GUESS"),
        ("roaming", "platform", "a platform"),
        ("roaming", "session_ref", "x" * 65),
        ("tariff", "currency", "XXQ"),
        ("tariff", "import_micro_per_kwh", 0.29),
        ("tariff", "import_micro_per_kwh", 10**15 + 1),
        ("metering", "import_milliwh", -1),
        ("metering", "serial", ""),
    ],
)
def test_a_session_with_what_there_cannot_be_is_malformed(part: str, member: str, wrong: object) -> None:
    members = copy.deepcopy(SESSION)
    members[part][member] = wrong
    with pytest.raises(RecordMalformed):
        _read(members)
