"""Whoever was revoked tries to go on, with evidence that is missing, stale, forged, replayed or about something else."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import ocsp
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import CertStatus, ResponseStatus
from pki.errors import Refused
from pki.responder import Responder
from pki.roles import Group, Purpose
from tests.support import ocsp as forger
from tests.support.ocsp import HOUR_MS, Forged, delegate

CLIENT = Purpose.TLS_CLIENT
FO = "FI-AUR"


def _serial(world: Any) -> int:
    return int(world.made.parties[FO].credentials[CLIENT].certificate.serial_number)


def _forged(world: Any, **changes: Any) -> Forged:
    authority = world.made.hierarchy.issuing[Group.FO]
    right = Forged(
        authority, world.tls_at_ms // 1000 * 1000, (_serial(world),), by=delegate(authority, world.tls_at_ms)
    )
    return replace(right, **changes)


def _believed(world: Any, forged: Forged, *, nonce: bytes | None = None, at_ms: int | None = None) -> CertStatus:
    """What a client that asked about the FO's certificate believes after this response."""
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    asked = replace(ocsp.ask(issuer, (_serial(world),), with_nonce=False), nonce=nonce)
    when_ms = forged.at_ms if at_ms is None else at_ms
    return ocsp.answered(asked, forged.der(), when_ms)[_serial(world)].status


def test_ocsp_answer_that_is_right_in_every_field_is_believed(world: Any) -> None:
    assert _believed(world, _forged(world)) is CertStatus.GOOD
    assert _believed(world, _forged(world, sha1=True)) is CertStatus.GOOD
    assert _believed(world, _forged(world, by=None)) is CertStatus.GOOD  # the authority itself
    revoked = _forged(world, status=CertStatus.REVOKED, revoked_at_ms=world.tls_at_ms - HOUR_MS, reason=1)
    assert _believed(world, revoked) is CertStatus.REVOKED


def test_ocsp_nonce_missing(world: Any) -> None:
    with pytest.raises(ocsp.OcspNonce):
        _believed(world, _forged(world), nonce=bytes(32))


def test_ocsp_nonce_replayed(world: Any) -> None:
    with pytest.raises(ocsp.OcspNonce):
        _believed(world, _forged(world, nonce=b"\x01" * 32), nonce=b"\x02" * 32)
    assert _believed(world, _forged(world, nonce=b"\x01" * 32), nonce=b"\x01" * 32) is CertStatus.GOOD


@pytest.mark.parametrize("size", [1, 32, 128])
def test_ocsp_nonce_of_1_to_128_octets_is_echoed(own_world: Any, size: int) -> None:
    found = octets.parse_response(_answer(own_world, bytes(size)))
    assert found.data.nonce == bytes(size)


@pytest.mark.parametrize("size", [0, 129])
def test_ocsp_nonce_short_or_long_is_refused(own_world: Any, size: int) -> None:
    assert octets.status_of(_answer(own_world, bytes(size))) is ResponseStatus.MALFORMED_REQUEST
    with pytest.raises(ocsp.OcspMalformed):
        _believed(own_world, _forged(own_world, nonce=bytes(size)))


def test_ocsp_stale(world: Any) -> None:
    right = _forged(world)
    assert _believed(world, right, at_ms=right.at_ms + HOUR_MS) is CertStatus.GOOD
    with pytest.raises(ocsp.OcspNotInForce):
        _believed(world, right, at_ms=right.at_ms + HOUR_MS + 1)
    with pytest.raises(ocsp.OcspNotInForce):
        _believed(world, _forged(world, next_ms=None))


def test_ocsp_future_produced_at(world: Any) -> None:
    right = _forged(world)
    with pytest.raises(ocsp.OcspNotInForce):
        _believed(world, replace(right, produced_ms=right.at_ms + 1000))
    with pytest.raises(ocsp.OcspNotInForce):  # known before it was said: nobody could
        _believed(world, replace(right, this_ms=right.at_ms + 1000), at_ms=right.at_ms + 2000)
    with pytest.raises(ocsp.OcspNotInForce):
        _believed(world, replace(right, produced_ms=right.at_ms + 2 * HOUR_MS), at_ms=right.at_ms + 2 * HOUR_MS)


def test_ocsp_wrong_cert_id_hash(world: Any) -> None:
    other = world.made.hierarchy.issuing[Group.CSO].certificate
    with pytest.raises(ocsp.OcspOtherCertificate):
        _believed(world, _forged(world, issuer=other))


def test_ocsp_unknown_is_not_good(world: Any) -> None:
    with pytest.raises(ocsp.OcspUnknown):
        _believed(world, _forged(world, status=CertStatus.UNKNOWN))


def test_ocsp_unknown_serial_is_answered_unknown(own_world: Any) -> None:
    made = _responder(own_world)
    issuer = own_world.made.hierarchy.issuing[Group.FO].certificate
    for serial in (1, 7, 1 << 200):
        asked = ocsp.ask(issuer, (serial,))
        answer = made.answer(asked.der, own_world.tls_at_ms)
        assert octets.parse_response(answer.der).data.singles[0].status is CertStatus.UNKNOWN
        with pytest.raises(ocsp.OcspUnknown):
            ocsp.answered(asked, answer.der, own_world.tls_at_ms)


WRONG_RESPONDERS: dict[str, dict[str, Any]] = {
    "no usages": {"usages": None},
    "a client": {"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
    "more than OCSP": {"usages": (ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH)},
    "any usage": {"usages": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)},
    "an authority": {"ca": True},
    "may sign certificates": {"usage": forger.key_usage("digital_signature", "key_cert_sign")},
    "may not sign": {"usage": forger.key_usage("key_agreement")},
    "unknown critical extension": {
        "more": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)
    },
}


@pytest.mark.parametrize("what", sorted(WRONG_RESPONDERS))
def test_ocsp_responder_without_ocsp_signing(world: Any, what: str) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    wrong = delegate(authority, world.tls_at_ms, **WRONG_RESPONDERS[what])
    with pytest.raises(ocsp.OcspResponder):
        _believed(world, _forged(world, by=wrong))


def test_ocsp_responder_issued_by_other_ca(world: Any) -> None:
    for group in (Group.CSO, None):
        hierarchy = world.made.hierarchy
        other = hierarchy.root if group is None else hierarchy.issuing[group]
        with pytest.raises(ocsp.OcspResponder):
            _believed(world, _forged(world, by=delegate(other, world.tls_at_ms)))


def test_ocsp_responder_lacking_nocheck(world: Any) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    with pytest.raises(ocsp.OcspResponder):
        _believed(world, _forged(world, by=delegate(authority, world.tls_at_ms, nocheck=False)))


def test_ocsp_responder_out_of_its_window(world: Any) -> None:
    authority, right = world.made.hierarchy.issuing[Group.FO], _forged(world)
    for begins_ms, ends_ms in ((-2 * HOUR_MS, -HOUR_MS), (HOUR_MS, 2 * HOUR_MS)):
        other = delegate(authority, right.at_ms, begins_ms=right.at_ms + begins_ms, ends_ms=right.at_ms + ends_ms)
        with pytest.raises(ocsp.OcspResponder):
            _believed(world, replace(right, by=other))
    brief = delegate(authority, right.at_ms, ends_ms=right.at_ms + 60_000)
    assert _believed(world, replace(right, by=brief)) is CertStatus.GOOD
    with pytest.raises(ocsp.OcspNotInForce):  # nothing is known from a responder that has ended
        _believed(world, replace(right, by=brief), at_ms=right.at_ms + 61_000)


def test_ocsp_responder_that_does_not_show_its_certificate(world: Any) -> None:
    with pytest.raises(ocsp.OcspResponder):
        _believed(world, _forged(world, included=False))


def test_ocsp_signed_by_another_key_than_the_responders(world: Any) -> None:
    right, issuer = _forged(world), world.made.hierarchy.issuing[Group.FO].certificate
    asked = ocsp.ask(issuer, (_serial(world),), with_nonce=False)
    forged = right.der(key=delegate(right.authority, right.at_ms).key)
    with pytest.raises(ocsp.OcspSignature):
        ocsp.answered(asked, forged, right.at_ms)


@pytest.mark.parametrize("status", [one for one in ResponseStatus if one is not ResponseStatus.SUCCESSFUL])
def test_ocsp_try_later_and_every_other_refusal_is_no_answer(world: Any, status: ResponseStatus) -> None:
    asked = ocsp.ask(world.made.hierarchy.issuing[Group.FO].certificate, (_serial(world),))
    with pytest.raises(ocsp.OcspNotAnswered) as caught:
        ocsp.answered(asked, octets.unsuccessful(status), world.tls_at_ms)
    assert caught.value.found == status.name.lower()


def test_ocsp_several_singles(world: Any) -> None:
    mine = _serial(world)
    right = _forged(world, serials=(5, mine, 9), statuses={5: CertStatus.UNKNOWN, 9: CertStatus.UNKNOWN})
    assert _believed(world, right) is CertStatus.GOOD
    twice = _forged(world, serials=(mine, mine))
    assert _believed(world, twice) is CertStatus.GOOD
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    with pytest.raises(ocsp.OcspUnknown):  # one that is not known spoils the answer to a question about both
        ocsp.answered(ocsp.ask(issuer, (mine, 5), with_nonce=False), right.der(), right.at_ms)


def test_ocsp_response_for_other_serial(world: Any) -> None:
    with pytest.raises(ocsp.OcspOtherCertificate):
        _believed(world, _forged(world, serials=(_serial(world) + 1,)))


def _responder(world: Any) -> Responder:
    made = Responder(world.made.hierarchy.authorities())
    made.rotate(world.tls_at_ms)
    return made


def _answer(world: Any, nonce: bytes) -> bytes:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    named = octets.cert_id(issuer.subject.public_bytes(), ocsp.key_bits_of(issuer), _serial(world))
    return _responder(world).answer(octets.encode_request([named], nonce), world.tls_at_ms).der


def test_ocsp_never_raises_anything_of_pythons_for_octets_of_any_kind(world: Any) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    asked = ocsp.ask(issuer, (_serial(world),), with_nonce=False)
    right = _forged(world).der()
    for size in range(len(right)):
        with pytest.raises(Refused):
            ocsp.answered(asked, right[:size], world.tls_at_ms)
    with pytest.raises(ocsp.OcspMalformed):
        ocsp.answered(asked, right + b"\x00", world.tls_at_ms)
    with pytest.raises(ocsp.OcspMalformed):
        ocsp.answered(asked, bytes(octets.MAX_RESPONSE_BYTES + 1), world.tls_at_ms)
