"""Whoever was revoked tries to go on, with evidence that is missing, stale, forged, replayed or about something else."""

import datetime as dt
from dataclasses import replace
from hashlib import sha256
from time import perf_counter
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pki import ocsp
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import CertStatus, ResponseStatus
from pki.authority import Authority
from pki.binding import BadProfile
from pki.errors import Refused
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.status import Revoked, Scope, Standing, StatusIndeterminate, StatusSet, Voided
from pki.validation import validate
from tests.support import crls
from tests.support import ocsp as forger
from tests.support.crls import COMPROMISE, HOLD, REMOVE, Line
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
    asked = msgspec.structs.replace(ocsp.ask(issuer, (_serial(world),), with_nonce=False), nonce=nonce)
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


# CRLs


def _authority(world: Any) -> Authority:
    found: Authority = world.made.hierarchy.issuing[Group.FO]
    return found


def _asked(world: Any, *evidence: bytes, at_ms: int | None = None, known_ms: int | None = None) -> Standing:
    """How the FO's certificate stands by this evidence."""
    held = StatusSet(evidence)
    when_ms = world.tls_at_ms if at_ms is None else at_ms
    return held.standing(_authority(world).certificate, _serial(world), when_ms, known_ms=known_ms)


def _crl(world: Any, number: int | None, *lines: Line, after_ms: int = 0, **changes: Any) -> bytes:
    return crls.made(_authority(world), world.tls_at_ms + after_ms, number, lines, **changes)


def _line(world: Any, **changes: Any) -> Line:
    return Line(**{"serial": _serial(world), "at_ms": world.tls_at_ms - HOUR_MS, "reason": COMPROMISE, **changes})


def test_expired_crl(world: Any) -> None:
    data = _crl(world, 7)
    until_ms = _asked(world, data).valid_until_ms
    assert _asked(world, data, at_ms=until_ms)
    with pytest.raises(StatusIndeterminate):
        _asked(world, data, at_ms=until_ms + 1)


def test_expired_crl_that_revokes_still_revokes(world: Any) -> None:
    data = _crl(world, 7, _line(world))
    with pytest.raises(Revoked):
        _asked(world, data, at_ms=world.tls_at_ms + 48 * HOUR_MS)


def test_crl_from_other_issuer_same_name(world: Any) -> None:
    other = world.made.hierarchy.issuing[Group.CSO]
    foreign = crls.made(other, world.tls_at_ms, 7, issuer=_authority(world).certificate)
    with pytest.raises(StatusIndeterminate):
        _asked(world, foreign)
    assert len(_asked(world, foreign, _crl(world, 7)).digests) == 1


def test_crl_without_next_update(world: Any) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, crls.without_next_update(_authority(world), world.tls_at_ms))


def test_crl_number_going_backwards_is_a_roll_back(world: Any) -> None:
    held = (_crl(world, 9), _crl(world, 8, after_ms=HOUR_MS))
    assert _asked(world, *held)
    with pytest.raises(StatusIndeterminate):
        _asked(world, *held, at_ms=world.tls_at_ms + HOUR_MS)


def test_crl_number_going_backwards_is_not_healed_by_a_good_ocsp_answer(world: Any) -> None:
    at_ms = world.tls_at_ms + HOUR_MS
    answer = _forged(world, at_ms=at_ms // 1000 * 1000, by=delegate(_authority(world), at_ms)).der()
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 9), _crl(world, 8, after_ms=HOUR_MS), answer, at_ms=at_ms)


def test_delta_without_base(world: Any) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 8, base=7))
    with pytest.raises(Revoked):  # what it does say is still said
        _asked(world, _crl(world, 8, _line(world), base=7))


def test_delta_with_a_base_too_old(world: Any) -> None:
    base, delta = _crl(world, 6), _crl(world, 8, base=7)
    assert _asked(world, base)
    with pytest.raises(StatusIndeterminate):
        _asked(world, base, delta)
    with pytest.raises(Revoked):
        _asked(world, base, _crl(world, 8, _line(world), base=7))


def test_delta_revokes_what_its_base_does_not(world: Any) -> None:
    base, delta = _crl(world, 7), _crl(world, 8, _line(world), base=7)
    assert _asked(world, base)
    with pytest.raises(Revoked):
        _asked(world, base, delta)


def test_delta_keeps_a_stale_base_alive_and_no_longer_than_itself(world: Any) -> None:
    base, delta = _crl(world, 7, hours=1), _crl(world, 8, base=7, hours=3)
    late_ms = world.tls_at_ms + 2 * HOUR_MS
    with pytest.raises(StatusIndeterminate):
        _asked(world, base, at_ms=late_ms)
    assert len(_asked(world, base, delta, at_ms=late_ms).digests) == 2
    with pytest.raises(StatusIndeterminate):
        _asked(world, base, delta, at_ms=late_ms + 2 * HOUR_MS)


def test_delta_remove_from_crl_ends_a_hold_and_takes_nothing_else_back(world: Any) -> None:
    back = _crl(world, 8, _line(world, reason=REMOVE), base=7)
    held = _crl(world, 7, _line(world, reason=HOLD))
    with pytest.raises(Revoked):
        _asked(world, held)
    assert _asked(world, held, back)
    with pytest.raises(Revoked):
        _asked(world, _crl(world, 7, _line(world, reason=COMPROMISE)), back)


def test_delta_older_than_the_complete_crl_counts_for_nothing(world: Any) -> None:
    old = _crl(world, 8, _line(world, reason=HOLD), base=7)
    assert _asked(world, old, _crl(world, 9, after_ms=1000), at_ms=world.tls_at_ms + 1000)


BAD_DELTAS: dict[str, dict[str, Any]] = {
    "indicator not critical": {"critical": False},
    "pointer to deltas in a delta": {"freshest": False},
    "for authorities": {"only": "ca"},
}


@pytest.mark.parametrize("what", sorted(BAD_DELTAS))
def test_delta_of_a_wrong_form_is_passed_over(world: Any, what: str) -> None:
    delta = _crl(world, 8, _line(world), base=7, **BAD_DELTAS[what])
    assert len(_asked(world, _crl(world, 7), delta).digests) == 1


def test_delta_pointer_in_a_complete_crl_is_no_obstacle_unless_it_is_critical(world: Any) -> None:
    assert _asked(world, _crl(world, 7, freshest=False))
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, freshest=True))


def test_remove_from_crl_in_a_complete_crl_makes_it_no_evidence(world: Any) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, _line(world, reason=REMOVE)))


@pytest.mark.parametrize("only", ["ca", "attribute"])
def test_idp_scope_mismatch(world: Any, only: str) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, only=only))
    for scope in (Scope.AUTHORITY, Scope.ATTRIBUTE):
        with pytest.raises(StatusIndeterminate):
            StatusSet([_crl(world, 7)]).crl_for(_authority(world).certificate, world.tls_at_ms, scope)


ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize("critical", [True, False])
def test_unknown_critical_crl_or_entry_extension(world: Any, critical: bool) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, more=((ODD, critical),)))
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, _line(world, serial=5, more=((ODD, critical),))))


def test_indirect_crl_refused(world: Any) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, indirect=True))
    name = x509.CertificateIssuer([x509.DirectoryName(_authority(world).certificate.subject)])
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7, _line(world, serial=5, more=((name, True),))))


def test_missing_crl_denies(world: Any) -> None:
    with pytest.raises(StatusIndeterminate):
        _asked(world)
    with pytest.raises(StatusIndeterminate):
        world.check(world.chain(FO, CLIENT), CLIENT, status=StatusSet())


def test_10k_entry_lookup_is_o1(world: Any) -> None:
    """A look-up in a CRL of ten thousand costs what one in a CRL of ten does, give or take the machine's mood."""
    spent = []
    for count in (10, 10_000):
        lines = tuple(Line(serial, world.tls_at_ms - HOUR_MS, COMPROMISE) for serial in range(1, count + 1))
        found = StatusSet([_crl(world, 7, *lines)]).crl_for(_authority(world).certificate, world.tls_at_ms)
        assert found.revoked_from_ms(count) == (world.tls_at_ms - HOUR_MS) // 1000 * 1000
        rounds = []
        for _ in range(5):
            started = perf_counter()
            for _ in range(2_000):
                found.require_not_revoked(_serial(world), world.tls_at_ms)
            rounds.append(perf_counter() - started)
        spent.append(min(rounds))
    assert spent[1] < 20 * spent[0]  # linear would be a thousand


def test_invalidity_date_in_the_past_voids_decisions_after_it(world: Any) -> None:
    at_ms = world.tls_at_ms
    later = _crl(world, 8, _line(world, at_ms=at_ms + HOUR_MS, invalid_from_ms=at_ms - HOUR_MS), after_ms=HOUR_MS)
    held = (_crl(world, 7), later)
    known_ms = at_ms + 2 * HOUR_MS
    assert _asked(world, *held, at_ms=at_ms)  # by what could be known then
    with pytest.raises(Voided):
        _asked(world, *held, at_ms=at_ms, known_ms=known_ms)
    before_ms = at_ms - 2 * HOUR_MS
    older = _crl(world, 6, after_ms=-2 * HOUR_MS)
    assert _asked(world, older, *held, at_ms=before_ms, known_ms=known_ms)  # decided while the key was still good


def test_a_revocation_published_late_voids_what_was_decided_since_it_began(world: Any) -> None:
    at_ms = world.tls_at_ms
    late = _crl(world, 8, _line(world, at_ms=at_ms - HOUR_MS), after_ms=HOUR_MS)
    answer = _forged(
        world,
        at_ms=(at_ms + HOUR_MS) // 1000 * 1000,
        by=delegate(_authority(world), at_ms),
        status=CertStatus.REVOKED,
        revoked_at_ms=at_ms // 1000 * 1000,
        invalid_from_ms=at_ms // 1000 * 1000 - HOUR_MS,
    ).der()
    for evidence in (late, answer):
        assert _asked(world, _crl(world, 7), evidence)
        assert _asked(world, _crl(world, 7), evidence, known_ms=at_ms + 1000)
        with pytest.raises(Voided):
            _asked(world, _crl(world, 7), evidence, known_ms=at_ms + 2 * HOUR_MS)


def test_a_voided_credential_is_told_from_one_that_never_passed(own_world: Any) -> None:
    world = own_world
    other = _crl(world, 2**50, _line(world, at_ms=world.tls_at_ms - 60_000), after_ms=HOUR_MS)
    held = StatusSet([*world.made.crls, other])
    leaf, issuing = world.chain(FO, CLIENT)
    arguments = {"anchors": world.made.anchors, "status": held, "at_ms": world.tls_at_ms, "purpose": CLIENT}
    assert validate(leaf, [issuing], **arguments)
    with pytest.raises(Voided):
        validate(leaf, [issuing], **arguments, known_ms=world.tls_at_ms + 2 * HOUR_MS)


# CRLs and OCSP side by side


def test_any_good_evidence_of_a_revocation_revokes(world: Any) -> None:
    revoked = _forged(world, status=CertStatus.REVOKED, revoked_at_ms=world.tls_at_ms - HOUR_MS, reason=1).der()
    good = _forged(world).der()
    with pytest.raises(Revoked):
        _asked(world, _crl(world, 7), revoked)
    with pytest.raises(Revoked):
        _asked(world, _crl(world, 7, _line(world)), good)
    with pytest.raises(Revoked):  # it is stale, and true for ever all the same
        _asked(world, _crl(world, 7, hours=48), revoked, at_ms=world.tls_at_ms + 24 * HOUR_MS)


def test_ocsp_hold_ends_with_the_newer_answer(world: Any) -> None:
    right = _forged(world)
    hold = replace(right, status=CertStatus.REVOKED, revoked_at_ms=right.at_ms - HOUR_MS, reason=6)
    later = replace(right, at_ms=right.at_ms + 60_000)
    with pytest.raises(Revoked):
        _asked(world, hold.der(), at_ms=right.at_ms)
    assert _asked(world, hold.der(), later.der(), at_ms=later.at_ms)


def test_ocsp_unknown_beside_a_good_crl_is_not_good(world: Any) -> None:
    unknown = _forged(world, status=CertStatus.UNKNOWN).der()
    assert _asked(world, _crl(world, 7))
    with pytest.raises(StatusIndeterminate):
        _asked(world, _crl(world, 7), unknown)


def test_ocsp_alone_is_evidence_and_its_digest_is_kept(world: Any) -> None:
    answer = _forged(world).der()
    standing = _asked(world, answer)
    assert standing.digests == (sha256(answer).hexdigest(),)
    assert standing.valid_until_ms == world.tls_at_ms // 1000 * 1000 + HOUR_MS
    with pytest.raises(StatusIndeterminate):
        _asked(world, answer, at_ms=standing.valid_until_ms + 1)
    leaf, issuing = world.chain(FO, CLIENT)
    root_lists = [data for data in world.made.crls if data not in _lists_of(world)]
    credential = world.check((leaf, issuing), CLIENT, status=StatusSet([*root_lists, answer]))
    assert sha256(answer).hexdigest() in credential.status_digests


def _lists_of(world: Any) -> list[bytes]:
    name = _authority(world).certificate.subject
    return [data for data in world.made.crls if x509.load_der_x509_crl(data).issuer == name]


def test_ocsp_that_cannot_be_believed_is_passed_over(world: Any) -> None:
    wrong = _forged(world, by=delegate(_authority(world), world.tls_at_ms, nocheck=False)).der()
    assert len(_asked(world, _crl(world, 7), wrong).digests) == 1
    with pytest.raises(StatusIndeterminate):
        _asked(world, wrong)


def test_ocsp_responses_without_answer_or_without_form_are_not_held(world: Any) -> None:
    held = StatusSet()
    for data in (octets.unsuccessful(ResponseStatus.TRY_LATER), b"\x30\x03\x0a\x01\x00", _forged(world).der()[:-1]):
        with pytest.raises(Refused):
            held.add(data)
    assert held.digests() == ()


# Short-lived credentials (RFC 9608)


def _pointed(pointer: x509.ExtensionType) -> dict[str, Any]:
    return {"added": ((pointer, False),)}


PLACE = x509.UniformResourceIdentifier("http://x.example/")
POINTERS = {
    "CRL distribution point": x509.CRLDistributionPoints([x509.DistributionPoint([PLACE], None, None, None)]),
    "OCSP": x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, PLACE)]),
}


@pytest.mark.parametrize("what", sorted(POINTERS))
def test_no_rev_avail_together_with_crldp_or_aia_ocsp_refused(world: Any, what: str) -> None:
    authority = world.made.hierarchy.issuing[Group.EVU]
    leaf = world.chain("evu-1", CLIENT)[0]
    assert world.check(world.forge(leaf, authority), CLIENT)
    with pytest.raises(BadProfile):
        world.check(world.forge(leaf, authority, **_pointed(POINTERS[what])), CLIENT)


def test_no_rev_avail_with_validity_over_7_days_refused(world: Any) -> None:
    authority = world.made.hierarchy.issuing[Group.EVU]
    leaf = world.chain("evu-1", CLIENT)[0]
    not_after = x509.load_der_x509_certificate(leaf).not_valid_after_utc
    assert world.check(world.forge(leaf, authority, not_after=not_after), CLIENT)
    longer = not_after + dt.timedelta(seconds=1)
    with pytest.raises(BadProfile):
        world.check(world.forge(leaf, authority, not_after=longer), CLIENT)
