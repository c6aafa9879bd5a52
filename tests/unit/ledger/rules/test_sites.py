"""Sites, claims, sessions."""

import msgspec
import pytest

from ledger.records.embedded import EmbeddedActed, EmbeddedFunction, GridEvent
from ledger.records.record import Record
from ledger.records.sites import (
    ClaimKind,
    ClaimRegistered,
    ClaimWithdrawn,
    InstallationLinked,
    SessionMirrored,
    Withdrawal,
)
from ledger.records.work import Verdict
from tests.support.rulebook import AURORA, EVSES, NORTHGATE, SITE, SOUTHGATE, VOLTWISE, Judge, at, refused, site, tag

CLAIM = ClaimRegistered(
    claim_id="claim-1",
    site_id=SITE,
    subject=ClaimKind.EVSE,
    standard="EN 50549-1:2019",
    functions=("FFR",),
    region="FI",
    issuer="lab",
    not_before_ms=at("00:00"),
    not_after_ms=at("23:00"),
)
SESSION = SessionMirrored(session_id="s-1", site_id=SITE, evse_id=EVSES[0], evu="driver", discharge_allowed=True)


def test_versions_of_a_site_count_up_by_one_and_come_from_its_cso() -> None:
    judge = Judge()
    with refused("version-gap"):
        judge.try_it(site(version=2), NORTHGATE)
    judge.site()
    with refused("version-gap"):
        judge.try_it(site(version=1), NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(site(version=2), SOUTHGATE)
    judge.now_ms += 1
    judge.admit(site(version=2), NORTHGATE)
    found = judge.state.site(SITE)
    assert (found.cso, found.configured.version) == ("northgate", 2)
    before, first = found.at(judge.now_ms - 1), found.at(judge.now_ms)
    assert before is not None
    assert first is not None
    assert (before.version, first.version) == (1, 2)
    assert found.at(at("08:00")) is None


def test_an_evse_stands_at_one_site_and_once() -> None:
    judge = Judge()
    judge.site()
    with refused("evse-not-at-site"):
        judge.try_it(site(EVSES[:1], site_id="DEPOT-8"), SOUTHGATE)
    with refused("already-recorded"):
        judge.try_it(site((EVSES[0], EVSES[0]), version=2), NORTHGATE)
    judge.admit(site(EVSES[1:], version=2), NORTHGATE, tags={evse: tag(evse) for evse in EVSES[1:]})
    judge.try_it(site(EVSES[:1], site_id="DEPOT-8"), SOUTHGATE)


def test_a_claim_is_registered_once_and_is_valid_for_some_time() -> None:
    judge = Judge()
    judge.site()
    judge.admit(CLAIM, NORTHGATE)
    assert judge.state.site(SITE).claims == [CLAIM]
    with refused("already-recorded"):
        judge.try_it(CLAIM, NORTHGATE)
    never = ClaimRegistered(**{**_fields(CLAIM), "claim_id": "claim-2", "not_after_ms": CLAIM.not_before_ms})
    with refused("times-contradict"):
        judge.try_it(never, NORTHGATE)


LINK = InstallationLinked(
    claim_id="link-1",
    site_id=SITE,
    subject=ClaimKind.EVSE,
    issuer="northgate",
    not_before_ms=at("00:00"),
    not_after_ms=at("23:00"),
)
WITHDRAWN = ClaimWithdrawn(claim_id="claim-1", site_id=SITE, reason=Withdrawal.SUPERSEDED)


@pytest.mark.parametrize("record", [CLAIM, LINK])
def test_claims_and_links_are_registered_by_the_operator_of_a_configured_site(record: Record) -> None:
    judge = Judge()
    with refused("site-unknown"):
        judge.try_it(record, NORTHGATE)
    judge.site()
    for other in (SOUTHGATE, VOLTWISE):
        with refused("wrong-party"):
            judge.try_it(record, other)
    judge.admit(record, NORTHGATE)
    with refused("already-recorded"):
        judge.try_it(record, NORTHGATE)


def test_one_stream_alone_decides_who_registers_a_claim() -> None:
    judge = Judge(scope="stream")
    judge.site()
    with refused("wrong-party"):
        judge.try_it(CLAIM, SOUTHGATE)


@pytest.mark.parametrize("subject", [ClaimKind.PAIR, ClaimKind.TYPE])
def test_a_link_is_of_one_thing(subject: ClaimKind) -> None:
    judge = Judge()
    judge.site()
    with refused("link-subject"):
        judge.try_it(msgspec.structs.replace(LINK, subject=subject), NORTHGATE)


def test_what_is_registered_is_withdrawn_once_and_by_the_operator() -> None:
    judge = Judge()
    judge.site()
    with refused("claim-unknown"):
        judge.try_it(WITHDRAWN, NORTHGATE)
    judge.admit(CLAIM, NORTHGATE)
    judge.admit(LINK, NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(WITHDRAWN, SOUTHGATE)
    judge.admit(WITHDRAWN, NORTHGATE)
    assert list(judge.state.site(SITE).withdrawn) == ["claim-1"]
    with refused("already-recorded"):
        judge.try_it(WITHDRAWN, NORTHGATE)
    judge.admit(msgspec.structs.replace(WITHDRAWN, claim_id="link-1"), NORTHGATE)


def _fields(claim: ClaimRegistered) -> dict[str, object]:
    return {name: getattr(claim, name) for name in claim.__struct_fields__ if name != "sd"}


def test_a_session_is_mirrored_for_a_known_site_by_its_cso_or_a_csp() -> None:
    judge = Judge()
    with refused("site-unknown"):
        judge.try_it(SESSION, NORTHGATE)
    judge.site()
    judge.try_it(SESSION, NORTHGATE)
    judge.try_it(SESSION, VOLTWISE)
    with refused("wrong-party"):
        judge.try_it(SESSION, SOUTHGATE)


ACTED = EmbeddedActed(
    act_id="act-1",
    site_id=SITE,
    function=EmbeddedFunction.FREQUENCY_WATT,
    event=GridEvent.UNDER_FREQUENCY,
    verdict=Verdict.INFORMATIVE,
    algorithm="EMBEDDED_LOG/1",
    n=240,
    dt_ms=1000,
)


def test_what_an_embedded_function_did_is_recorded_by_the_sites_port() -> None:
    judge = Judge()
    with refused("site-unknown"):
        judge.try_it(ACTED, NORTHGATE)
    judge.site()
    judge.try_it(ACTED, NORTHGATE)
    with refused("wrong-party"):
        judge.try_it(ACTED, SOUTHGATE)
    with refused("writer-role"):
        judge.try_it(ACTED, AURORA)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("n", [0, 1])
def test_nothing_that_nobody_asked_for_is_delivered_or_missed(verdict: Verdict, n: int) -> None:
    judge = Judge()
    judge.site()
    what = msgspec.structs.replace(ACTED, verdict=verdict, n=n)
    if verdict is Verdict.UNPROVABLE or (verdict is Verdict.INFORMATIVE and n):
        judge.try_it(what, NORTHGATE)
    else:
        with refused("embedded-verdict"):
            judge.try_it(what, NORTHGATE)
