"""The life of credentials: an issuance follows its intent, a serial number is given once, a revocation is for ever."""

from typing import Any

import msgspec
import pytest

from ledger.records.actor import Actor
from ledger.records.contracts import HoldersAsked
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    AdoptedCredential,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
    RevocationReason,
)
from ledger.records.services import Service
from ledger.rules.credential_state import CredentialName
from ledger.rules.fact import Evidence, OpenedDirective
from ledger.rules.state import LogState
from tests.support.rulebook import (
    AURORA,
    BOREALIS,
    DRIVER,
    GRID,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    at,
    directive,
    refused,
)

ISSUER = "a1" * 32
OTHER_ISSUER = "a2" * 32
TBS = "b1" * 32
OTHER_TBS = "b2" * 32
SERIAL = f"{1:040x}"
OTHER_SERIAL = f"{2:040x}"


@pytest.fixture
def judge() -> Judge:
    made = Judge()
    made.ready()
    return made


def intended(**changes: Any) -> CredentialIntended:
    return CredentialIntended(
        **{"issuer_key_sha256": ISSUER, "serial": SERIAL, "tbs_sha256": TBS, "profile": "FO/TLS_CLIENT/v1", **changes}
    )


def issued(**changes: Any) -> CredentialIssued:
    return CredentialIssued(**{"issuer_key_sha256": ISSUER, "serial": SERIAL, "tbs_sha256": TBS, **changes})


def revoked(**changes: Any) -> CredentialRevoked:
    fields = {"issuer_key_sha256": ISSUER, "serial": SERIAL, "reason": RevocationReason.KEY_COMPROMISE}
    return CredentialRevoked(**{**fields, "revoked_at_ms": at("14:00"), **changes})


def adopted(*serials: str) -> CredentialsAdopted:
    return CredentialsAdopted(
        credentials=tuple(
            AdoptedCredential(issuer_key_sha256=ISSUER, serial=serial, tbs_sha256=TBS, profile="ROOT/v1")
            for serial in serials
        )
    )


def admit(judge: Judge, what: Any, by: Any = NORTHGATE, stream: str = CREDENTIAL_STREAM) -> None:
    judge.admit(what, by, stream)


def test_an_issuance_follows_its_intent(judge: Judge) -> None:
    with refused("credential-unintended"):
        admit(judge, issued())
    admit(judge, intended())
    assert [one.name for one in judge.state.credentials.gaps()] == [CredentialName(ISSUER, SERIAL)]
    admit(judge, issued())
    assert judge.state.credentials.gaps() == ()


@pytest.mark.parametrize(
    "change", [{"tbs_sha256": OTHER_TBS}, {"serial": OTHER_SERIAL}, {"issuer_key_sha256": OTHER_ISSUER}]
)
def test_an_issuance_is_of_what_was_intended_and_of_nothing_else(judge: Judge, change: dict[str, str]) -> None:
    admit(judge, intended())
    with refused("credential-unintended"):
        admit(judge, issued(**change))


def test_a_credential_is_issued_once(judge: Judge) -> None:
    admit(judge, intended())
    admit(judge, issued())
    with refused("already-recorded"):
        admit(judge, issued())


def test_a_serial_number_of_one_issuer_is_given_once(judge: Judge) -> None:
    admit(judge, intended())
    for again in (intended(), intended(tbs_sha256=OTHER_TBS), adopted(SERIAL), adopted(OTHER_SERIAL, OTHER_SERIAL)):
        with refused("serial-reused"):
            admit(judge, again)
    admit(judge, intended(issuer_key_sha256=OTHER_ISSUER))
    admit(judge, intended(serial=OTHER_SERIAL))


def test_what_was_adopted_is_issued_already(judge: Judge) -> None:
    admit(judge, adopted(SERIAL, OTHER_SERIAL))
    assert judge.state.credentials.gaps() == ()
    with refused("serial-reused"):
        admit(judge, intended())
    admit(judge, revoked())


def test_a_revocation_is_of_something_on_record(judge: Judge) -> None:
    with refused("credential-unknown"):
        admit(judge, revoked())
    admit(judge, intended())
    with refused("credential-unknown"):
        admit(judge, revoked(issuer_key_sha256=OTHER_ISSUER))


def test_a_revocation_is_said_once_and_stands(judge: Judge) -> None:
    admit(judge, intended())
    admit(judge, issued())
    admit(judge, revoked())
    with refused("credential-ended"):
        admit(judge, revoked(reason=RevocationReason.SUPERSEDED))
    (standing,) = judge.state.credentials.revocations()
    assert standing.reason is RevocationReason.KEY_COMPROMISE


def test_a_gap_that_is_revoked_is_closed_and_never_issued(judge: Judge) -> None:
    admit(judge, intended())
    admit(judge, revoked())
    assert judge.state.credentials.gaps() == ()
    with refused("credential-ended"):
        admit(judge, issued())


def test_only_the_keeper_of_the_log_tells_of_credentials(judge: Judge) -> None:
    for stranger in (SOUTHGATE, VOLTWISE):
        with refused("wrong-party"):
            admit(judge, intended(), stranger)
    with refused("writer-role"):
        admit(judge, intended(), AURORA)


def test_credentials_stand_in_their_one_stream(judge: Judge) -> None:
    for what in (intended(), adopted(SERIAL)):
        with refused("not-in-stream"):
            admit(judge, what, stream="log/policy")


def test_a_fold_refuses_nothing_and_believes_nothing_twice(judge: Judge) -> None:
    for what in (issued(), revoked(), intended(), intended(tbs_sha256=OTHER_TBS), issued(tbs_sha256=OTHER_TBS)):
        judge.fold(judge.fact(what, NORTHGATE, CREDENTIAL_STREAM))
    (gap,) = judge.state.credentials.gaps()
    assert (gap.tbs_sha256, gap.is_issued, gap.revoked) == (TBS, False, None)


def test_one_stream_decides_all_of_it_alone() -> None:
    alone = LogState("stream")
    judge = Judge()
    judge.ready()
    for what in (intended(), issued(), revoked()):
        fact = judge.fact(what, NORTHGATE, CREDENTIAL_STREAM)
        alone.check(fact)
        assert [code for code, _ in alone.undecidable(fact) if code.startswith("rules/credential")] == []
        alone.apply(fact)
        judge.fold(fact)


@pytest.mark.parametrize(
    ("revoked_one", "shown"),
    [
        (AURORA, Evidence()),
        (AURORA, None),
        (DRIVER, Evidence(person=DRIVER)),
        (GRID, Evidence(directive=OpenedDirective(directive(), GRID))),
    ],
    ids=["who states it", "who stated it, in an audit", "the person whose words it relays", "who signed the directive"],
)
def test_nothing_rests_on_a_credential_after_the_entry_that_revoked_it(
    judge: Judge, revoked_one: Actor, shown: Evidence | None
) -> None:
    admit(judge, intended(tbs_sha256=revoked_one.tbs_sha256))
    admit(judge, issued(tbs_sha256=revoked_one.tbs_sha256))
    asked = HoldersAsked(
        query_id="query-1", site_id=SITE, service=Service.CONGESTION, start_at_ms=at("15:00"), end_at_ms=at("16:00")
    )
    judge.try_it(asked, AURORA, "discovery/query-1")
    index = len(judge.facts)
    admit(judge, revoked())
    with refused("signer-revoked"):
        judge.try_it(asked, AURORA, "discovery/query-1", evidence=shown)
    judge.try_it(msgspec.structs.replace(asked, query_id="query-2"), BOREALIS, "discovery/query-2")
    assert judge.state.credentials.revoked_in(revoked_one.tbs_sha256) == index
    assert judge.state.credentials.revoked_in(BOREALIS.tbs_sha256) is None
