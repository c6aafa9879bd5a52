"""The responder answers what is in the store, for its own authorities, and says plainly when it does not."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library

from pki import ocsp, responder
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import CertStatus, ResponseStatus
from pki.errors import PkiError
from pki.infrastructure import Held, issue
from pki.keys import KeyFileAbsent
from pki.profiles import DAY_MS, OCSP_SIGNER
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.store.records import REASON_NUMBER, Reason

pytestmark = pytest.mark.slow  # takes seconds

CLIENT = Purpose.TLS_CLIENT
HOUR_MS = 3_600_000


@pytest.fixture
def answering(own_world: Any) -> Responder:
    made = Responder(own_world.made.hierarchy.authorities())
    made.rotate(own_world.tls_at_ms)
    return made


def _serial(world: Any, party: str = "FI-AUR") -> int:
    return int(world.made.parties[party].credentials[CLIENT].certificate.serial_number)


def _issuer(world: Any, group: Group = Group.FO) -> Any:
    return world.made.hierarchy.issuing[group].certificate


def test_a_client_that_reads_one_certificate_only_reads_the_answer(own_world: Any, answering: Responder) -> None:
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),))
    answer = answering.answer(asked.der, own_world.tls_at_ms)
    read = library.load_der_ocsp_response(answer.der)
    assert read.certificate_status is library.OCSPCertStatus.GOOD
    assert (read.serial_number, read.responder_key_hash) == (
        _serial(own_world),
        ocsp.responder_id(read.certificates[0]),
    )
    assert int(read.this_update_utc.timestamp()) * 1000 == answer.this_update_ms
    assert answer.next_update_ms == own_world.tls_at_ms // 1000 * 1000 + HOUR_MS


def test_a_request_that_the_library_makes_is_answered(own_world: Any, answering: Responder) -> None:
    leaf = own_world.made.parties["FI-AUR"].credentials[CLIENT].certificate
    builder = library.OCSPRequestBuilder().add_certificate(leaf, _issuer(own_world), hashes.SHA1())  # noqa: S303
    request = builder.add_extension(x509.OCSPNonce(b"\x07" * 16), critical=False).build().public_bytes(Encoding.DER)
    read = library.load_der_ocsp_response(answering.answer(request, own_world.tls_at_ms).der)
    assert read.certificate_status is library.OCSPCertStatus.GOOD
    assert read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x07" * 16


def test_several_certificates_of_one_authority_are_answered_in_one_response(
    own_world: Any, answering: Responder
) -> None:
    signing = own_world.made.parties["FI-AUR"].credentials[Purpose.SIGNING].certificate.serial_number
    own_world.made.hierarchy.issuing[Group.FO].revoke(signing, Reason.KEY_COMPROMISE, own_world.tls_at_ms)
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world), signing))
    found = ocsp.answered(asked, answering.answer(asked.der, own_world.tls_at_ms).der, own_world.tls_at_ms)
    assert found[_serial(own_world)].status is CertStatus.GOOD
    assert (found[signing].status, found[signing].reason) == (CertStatus.REVOKED, 1)


def test_certificates_of_two_authorities_in_one_request_are_unauthorized(own_world: Any, answering: Responder) -> None:
    ids = [
        octets.cert_id(issuer.subject.public_bytes(), ocsp.key_bits_of(issuer), 7)
        for issuer in (_issuer(own_world), _issuer(own_world, Group.CSO))
    ]
    answer = answering.answer(octets.encode_request(ids, None), own_world.tls_at_ms)
    assert (answer.status, answer.shared) == (ResponseStatus.UNAUTHORIZED, False)


def test_another_authority_is_unauthorized(own_world: Any, answering: Responder, world: Any) -> None:
    asked = ocsp.ask(_issuer(world), (_serial(world),))
    assert answering.answer(asked.der, own_world.tls_at_ms).status is ResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("request_der", [b"", b"\x30\x00", b"\x30\x80\x00\x00", bytes(octets.MAX_REQUEST_BYTES + 1)])
def test_what_is_no_request_is_malformed(own_world: Any, answering: Responder, request_der: bytes) -> None:
    assert answering.answer(request_der, own_world.tls_at_ms).status is ResponseStatus.MALFORMED_REQUEST


def test_too_many_certificates_in_one_request_are_malformed(own_world: Any, answering: Responder) -> None:
    asked = ocsp.ask(_issuer(own_world), tuple(range(1, octets.MAX_CERT_IDS + 1)))
    assert answering.answer(asked.der, own_world.tls_at_ms).status is ResponseStatus.SUCCESSFUL
    more = ocsp.ask(_issuer(own_world), tuple(range(1, octets.MAX_CERT_IDS + 2)))
    assert answering.answer(more.der, own_world.tls_at_ms).status is ResponseStatus.MALFORMED_REQUEST


def test_without_a_signer_it_is_try_later(own_world: Any) -> None:
    made = Responder(own_world.made.hierarchy.authorities())
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),))
    assert made.answer(asked.der, own_world.tls_at_ms).status is ResponseStatus.TRY_LATER
    made.rotate(own_world.tls_at_ms)
    assert made.answer(asked.der, own_world.tls_at_ms).status is ResponseStatus.SUCCESSFUL
    assert made.answer(asked.der, own_world.tls_at_ms + 8 * DAY_MS).status is ResponseStatus.TRY_LATER


def test_ocsp_key_nearly_expired_rotates(own_world: Any, answering: Responder) -> None:
    at_ms = own_world.tls_at_ms
    assert answering.rotate(at_ms + 5 * DAY_MS) == []
    fresh = answering.rotate(at_ms + 6 * DAY_MS)
    assert len(fresh) == len(own_world.made.hierarchy.authorities())
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),))
    later_ms = at_ms + 7 * DAY_MS + HOUR_MS
    read = library.load_der_ocsp_response(answering.answer(asked.der, later_ms).der)
    assert read.certificates[0] in fresh


def test_one_signer_that_cannot_be_made_does_not_keep_the_others_from_being_made(own_world: Any) -> None:
    def make(authority: Any, now_ms: int) -> Held:
        if authority.group is Group.CSO:
            raise KeyFileAbsent("the token is not there")
        return issue(authority, OCSP_SIGNER, now_ms=now_ms)

    made = Responder(own_world.made.hierarchy.authorities(), make=make)
    with pytest.raises(PkiError):
        made.rotate(own_world.tls_at_ms)
    for group, expected in ((Group.FO, ResponseStatus.SUCCESSFUL), (Group.CSO, ResponseStatus.TRY_LATER)):
        asked = ocsp.ask(_issuer(own_world, group), (7,))
        assert made.answer(asked.der, own_world.tls_at_ms).status is expected


def test_an_answer_without_nonce_is_signed_once_and_given_to_everybody(own_world: Any, answering: Responder) -> None:
    at_ms = own_world.tls_at_ms // 1000 * 1000
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),), with_nonce=False)
    first = answering.answer(asked.der, at_ms)
    assert first.shared
    assert answering.answer(asked.der, at_ms + responder.REUSE_MS - 1) is first
    assert answering.answer(asked.der, at_ms + responder.REUSE_MS) is not first
    nonced = ocsp.ask(_issuer(own_world), (_serial(own_world),))
    assert answering.answer(nonced.der, at_ms).der != answering.answer(nonced.der, at_ms).der


def test_after_a_revocation_no_answer_from_before_is_given(own_world: Any, answering: Responder) -> None:
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),), with_nonce=False)
    before = answering.answer(asked.der, own_world.tls_at_ms)
    own_world.made.hierarchy.issuing[Group.FO].revoke(_serial(own_world), Reason.SUPERSEDED, own_world.tls_at_ms)
    answering.forget()
    found = ocsp.answered(asked, answering.answer(asked.der, own_world.tls_at_ms).der, own_world.tls_at_ms)
    assert ocsp.answered(asked, before.der, own_world.tls_at_ms)[_serial(own_world)].status is CertStatus.GOOD
    assert found[_serial(own_world)].status is CertStatus.REVOKED


def test_what_strangers_ask_does_not_fill_the_memory(
    own_world: Any, answering: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder, "MAX_KEPT", 4)
    for serial in range(1, 10):
        answering.answer(ocsp.ask(_issuer(own_world), (serial,), with_nonce=False).der, own_world.tls_at_ms)
    assert len(answering._kept) <= 4


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told(own_world: Any, answering: Responder, reason: Reason) -> None:
    own_world.made.hierarchy.issuing[Group.FO].revoke(_serial(own_world), reason, own_world.tls_at_ms)
    asked = ocsp.ask(_issuer(own_world), (_serial(own_world),))
    answer = answering.answer(asked.der, own_world.tls_at_ms)
    assert ocsp.answered(asked, answer.der, own_world.tls_at_ms)[_serial(own_world)].reason == (REASON_NUMBER[reason])
    read = library.load_der_ocsp_response(answer.der)
    assert reason is Reason.UNSPECIFIED or read.revocation_reason is not None
    assert read.revocation_reason is None or read.revocation_reason.value == reason
