"""A bundle's certificates answer for the very moment asked about, and remember what was needed."""

import pytest

from api.verification.actors import thumbprint
from api.verification.bundle_directory import BundleDirectory
from api.verification.errors import SignerUnknown
from pki import ceremony
from pki.ceremony import Ceremony
from pki.path import Malformed
from pki.roles import Purpose
from pki.status import BadCrl, Revoked, StatusIndeterminate
from pki.store.records import Reason
from tests.support import world as stage

pytestmark = pytest.mark.slow  # takes seconds

AT_MS = stage.DAWN_MS


@pytest.fixture
def made() -> Ceremony:
    return ceremony.perform(stage.SPEC, tls_now_ms=stage.MADE_AT_MS, signing_now_ms=AT_MS)


def chain(made: Ceremony, party: str = stage.FO) -> tuple[bytes, ...]:
    return made.parties[party].credentials[Purpose.SIGNING].chain


def test_a_credential_is_proven_from_what_is_there(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made), made.crls)
    credential = directory.credential(thumbprint(chain(made)[0]), AT_MS)
    assert credential.party_id == stage.FO
    certificates, crls = directory.unused()
    assert certificates == []
    assert len(made.crls) - len(crls) == len(credential.status_digests)


def test_what_nobody_asked_for_is_unused(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made), made.crls)
    assert directory.unused() == ([0, 1], list(range(len(made.crls))))


def test_a_revocation_counts_from_the_list_that_says_it_although_an_older_one_was_asked_first(made: Ceremony) -> None:
    leaf = made.parties[stage.FO].credentials[Purpose.SIGNING].certificate
    issuer = made.hierarchy.authority_of(made.parties[stage.FO].role)
    made.hierarchy.revoke(issuer.key_sha256, leaf.serial_number, Reason.KEY_COMPROMISE, AT_MS + stage.HOUR_MS)
    later = made.crls_at(AT_MS + 2 * stage.HOUR_MS)
    directory = BundleDirectory(made.anchors, chain(made), [*made.crls, *later])
    x5t = thumbprint(chain(made)[0])
    assert directory.credential(x5t, AT_MS).party_id == stage.FO
    assert directory.credential(x5t, AT_MS + stage.HOUR_MS - 1).party_id == stage.FO
    with pytest.raises(Revoked):
        directory.credential(x5t, AT_MS + 2 * stage.HOUR_MS)
    assert directory.credential(x5t, AT_MS).party_id == stage.FO


def test_without_a_list_nothing_is_known(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made), [])
    with pytest.raises(StatusIndeterminate):
        directory.credential(thumbprint(chain(made)[0]), AT_MS)


def test_a_stale_list_was_needed_to_know_that_nothing_is_known(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made), made.crls)
    with pytest.raises(StatusIndeterminate):
        directory.credential(thumbprint(chain(made)[0]), AT_MS + 30 * 24 * stage.HOUR_MS)
    assert len(directory.unused()[1]) < len(made.crls)


def test_an_absent_certificate_is_unknown(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made)[1:], made.crls)
    with pytest.raises(SignerUnknown):
        directory.credential(thumbprint(chain(made)[0]), AT_MS)


def test_what_cannot_be_read_is_named_by_its_position(made: Ceremony) -> None:
    with pytest.raises(Malformed) as certificate:
        BundleDirectory(made.anchors, [chain(made)[0], b"junk"], [])
    assert certificate.value.where == {"list": "certificates", "position": 1}
    with pytest.raises(BadCrl) as crl:
        BundleDirectory(made.anchors, [], [b"junk"])
    assert crl.value.where["position"] == 0


def test_narrowed_to_no_list_the_answer_is_unknown_and_needs_nothing(made: Ceremony) -> None:
    directory = BundleDirectory(made.anchors, chain(made), made.crls)
    narrow = directory.narrowed(frozenset())
    with pytest.raises(StatusIndeterminate):
        narrow.credential(thumbprint(chain(made)[0]), AT_MS)
    assert directory.unused()[0] == [0, 1]
    directory.take(narrow)
    assert directory.unused()[0] == []
