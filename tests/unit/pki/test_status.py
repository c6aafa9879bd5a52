"""Revocation counts from its date on; evidence that is missing, stale or rolled back is never good."""

import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pki import crl, ocsp, revocation, status, tbs
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.status import Scope, StatusSet
from pki.store.records import CrlTimeWentBack, Reason, Revocation, SerialReused
from pki.store.sqlite import SqliteStore

CLIENT = Purpose.TLS_CLIENT
HOUR_MS = 3_600_000
FO = "FI-AUR"


def _revoke_fo(world: Any, at_ms: int) -> Any:
    certificate = world.made.parties[FO].credentials[CLIENT].certificate
    authority = world.made.hierarchy.issuing[Group.FO]
    return authority.revoke(certificate.serial_number, Reason.KEY_COMPROMISE, at_ms)


def test_a_revocation_counts_from_its_date_on(own_world: Any) -> None:
    world, at_ms = own_world, own_world.tls_at_ms
    _revoke_fo(world, at_ms + HOUR_MS)
    status_set = StatusSet([*world.made.crls, *world.made.crls_at(at_ms + 2 * HOUR_MS)])
    chain = world.chain(FO, CLIENT)
    assert world.check(chain, CLIENT, at_ms=at_ms, status=status_set)
    assert world.check(chain, CLIENT, at_ms=at_ms + HOUR_MS, status=status_set)  # what could be known then
    with pytest.raises(status.Revoked):
        world.check(chain, CLIENT, at_ms=at_ms + 2 * HOUR_MS, status=status_set)


def test_a_crl_lists_only_what_was_revoked_by_then(own_world: Any) -> None:
    _revoke_fo(own_world, own_world.tls_at_ms + HOUR_MS)
    authority = own_world.made.hierarchy.issuing[Group.FO]
    early = StatusSet([authority.crl(own_world.tls_at_ms + HOUR_MS - 1000)])
    late = StatusSet([authority.crl(own_world.tls_at_ms + HOUR_MS)])
    at_ms = own_world.tls_at_ms + HOUR_MS
    assert early.crl_for(authority.certificate, at_ms).revoked_at_ms == {}
    assert len(late.crl_for(authority.certificate, at_ms).revoked_at_ms) == 1


def test_a_revoked_authority_takes_its_leaves_along(own_world: Any) -> None:
    world = own_world
    issuing = world.made.hierarchy.issuing[Group.EVU].certificate
    world.made.hierarchy.root.revoke(issuing.serial_number, Reason.CA_COMPROMISE, world.tls_at_ms)
    status_set = StatusSet([*world.made.crls, *world.made.crls_at(world.tls_at_ms)])
    with pytest.raises(status.Revoked):
        world.check(world.chain("evu-1", CLIENT), CLIENT, status=status_set)


def test_revoking_twice_changes_nothing_and_is_recorded_once() -> None:
    journal, store = MemoryJournal(), SqliteStore()
    made = Hierarchy.create(organisation="T", zone="x.example", now_ms=1_767_225_600_000, store=store, journal=journal)
    serial = made.issuing[Group.FO].certificate.serial_number
    first = made.root.revoke(serial, Reason.SUPERSEDED, 1_767_225_700_000)
    assert made.root.revoke(serial, Reason.KEY_COMPROMISE, 1_767_225_800_000) == first
    assert journal.revocations == [first]


def test_a_revoked_signing_key_keeps_what_it_signed_before(own_world: Any) -> None:
    world = own_world
    certificate = world.made.parties[FO].credentials[Purpose.SIGNING].certificate
    at_ms = world.signing_at_ms + 6 * HOUR_MS
    world.made.hierarchy.issuing[Group.FO].revoke(certificate.serial_number, Reason.KEY_COMPROMISE, at_ms)
    status_set = StatusSet([*world.made.crls, *world.made.crls_at(at_ms)])
    chain = world.chain(FO, Purpose.SIGNING)
    assert world.check(chain, Purpose.SIGNING, at_ms=at_ms - 1000, status=status_set)
    with pytest.raises(status.Revoked):
        world.check(chain, Purpose.SIGNING, at_ms=at_ms, status=status_set)
    assert world.check(world.chain(FO, CLIENT), CLIENT, status=status_set)  # the other time, the other key


def _crl(world: Any, at_ms: int, number: int | None, **changes: Any) -> bytes:
    authority = changes.get("authority", world.made.hierarchy.issuing[Group.FO])
    own_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    scope = changes.get("scope", "only_contains_user_certs")
    flags = {
        name: name == scope
        for name in ("only_contains_user_certs", "only_contains_ca_certs", "only_contains_attribute_certs")
    }
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(world.made.hierarchy.issuing[Group.FO].certificate.subject)
        .last_update(tbs.moment(at_ms))
        .next_update(tbs.moment(at_ms) + dt.timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=changes.get("critical_number", False))
    if scope is not None:
        point = x509.IssuingDistributionPoint(
            full_name=None,
            relative_name=None,
            only_some_reasons=changes.get("reasons"),
            indirect_crl=changes.get("indirect", False),
            **flags,
        )
        builder = builder.add_extension(point, critical=changes.get("critical_point", True))
    for extra, critical in changes.get("extra", ()):
        builder = builder.add_extension(extra, critical=critical)
    return builder.sign(authority.signer, hashes.SHA256()).public_bytes(Encoding.DER)


UNUSABLE: dict[str, dict[str, Any]] = {
    "no number": {"number": None},
    "critical number": {"critical_number": True},
    "of authorities": {"scope": "only_contains_ca_certs"},
    "of attributes": {"scope": "only_contains_attribute_certs"},
    "indirect": {"indirect": True},
    "of some reasons": {"reasons": frozenset({x509.ReasonFlags.key_compromise})},
    "scope not critical": {"critical_point": False},
    "delta": {"extra": ((x509.DeltaCRLIndicator(1), True),)},
    "unknown extension": {
        "extra": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)
    },
}


@pytest.mark.parametrize("what", sorted(UNUSABLE))
def test_a_crl_outside_the_profile_is_no_evidence(world: Any, what: str) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    at_ms = world.tls_at_ms
    good = StatusSet([_crl(world, at_ms, 7)])
    assert good.crl_for(issuer, at_ms).number == 7
    changes = {"number": 7, **UNUSABLE[what]}
    with pytest.raises(status.StatusIndeterminate):
        StatusSet([_crl(world, at_ms, **changes)]).crl_for(issuer, at_ms)


def test_a_crl_without_scope_speaks_of_certificates_but_not_of_claims(world: Any) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    held = StatusSet([_crl(world, world.tls_at_ms, 7, scope=None)])
    assert held.crl_for(issuer, world.tls_at_ms)
    with pytest.raises(status.StatusIndeterminate):
        held.crl_for(issuer, world.tls_at_ms, Scope.ATTRIBUTE)


def test_a_crl_of_another_key_with_the_same_name_is_passed_over(world: Any) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    at_ms = world.tls_at_ms
    foreign = _crl(world, at_ms + 1000, 99, authority=world.made.hierarchy.issuing[Group.CSO])
    assert StatusSet([_crl(world, at_ms, 7), foreign]).crl_for(issuer, at_ms + 1000).number == 7
    with pytest.raises(status.StatusIndeterminate):
        StatusSet([foreign]).crl_for(issuer, at_ms + 1000)


def test_numbers_that_go_back_are_a_roll_back(world: Any) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    at_ms = world.tls_at_ms
    held = StatusSet([_crl(world, at_ms, 9), _crl(world, at_ms + HOUR_MS, 8)])
    assert held.crl_for(issuer, at_ms).number == 9
    with pytest.raises(status.StatusIndeterminate):
        held.crl_for(issuer, at_ms + HOUR_MS)


def test_size_and_number_of_crls_are_capped(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _crl(world, world.tls_at_ms, 1), _crl(world, world.tls_at_ms, 2)
    monkeypatch.setattr(crl, "MAX_CRL_BYTES", len(first))
    held = StatusSet([first])
    with pytest.raises(status.BadCrl):
        held.add(first + b"\x00")
    monkeypatch.setattr(status, "MAX_CRLS", 1)
    assert held.add(first) in held.digests()
    with pytest.raises(status.BadCrl):
        held.add(second if len(second) <= len(first) else second[: len(first)])
    with pytest.raises(status.BadCrl):
        StatusSet([b"\x30\x03\x02\x01\x01"])


def test_crl_numbers_follow_time_and_never_go_back() -> None:
    store = SqliteStore()
    assert store.next_crl_number("aa", 1000, allow_earlier=False) == 1000
    assert store.next_crl_number("aa", 1000, allow_earlier=False) == 1001
    assert store.next_crl_number("aa", 5000, allow_earlier=False) == 5000
    with pytest.raises(CrlTimeWentBack):
        store.next_crl_number("aa", 4000, allow_earlier=False)
    assert store.next_crl_number("aa", 4000, allow_earlier=True) == 4000
    assert store.next_crl_number("bb", 4000, allow_earlier=False) == 4000


def test_one_serial_number_is_never_two_certificates(own_world: Any) -> None:
    from dataclasses import replace

    store = own_world.made.store
    held = store.find(party_id=FO)[0]
    store.put(held)
    with pytest.raises(SerialReused):
        store.put(replace(held, der=b"another"))
    assert store.get(held.issuer_key_sha256, held.serial) == held
    assert store.find(spki_sha256=held.spki_sha256, limit=1) == [held]


def test_every_entry_of_a_long_crl_is_found(world: Any) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    many = [Revocation(authority.key_sha256, serial, world.tls_at_ms, Reason.UNSPECIFIED) for serial in range(1, 2001)]
    data = revocation.crl(
        issuer=authority.certificate,
        signer=authority.signer,
        scope=Scope.USER,
        revocations=many,
        number=1,
        this_update_ms=world.tls_at_ms,
        lifetime_ms=HOUR_MS,
    )
    checked = StatusSet([data]).crl_for(authority.certificate, world.tls_at_ms)
    assert len(checked.revoked_at_ms) == 2000
    with pytest.raises(status.Revoked):
        checked.require_not_revoked(2000, world.tls_at_ms)
    checked.require_not_revoked(2001, world.tls_at_ms)


def test_an_invalidity_date_is_published_by_list_and_responder(own_world: Any) -> None:
    world, at_ms = own_world, own_world.tls_at_ms
    certificate = world.made.parties[FO].credentials[CLIENT].certificate
    authority = world.made.hierarchy.issuing[Group.FO]
    revoked_ms, invalid_ms = at_ms + 2 * HOUR_MS, at_ms + HOUR_MS
    authority.revoke(certificate.serial_number, Reason.KEY_COMPROMISE, revoked_ms, invalid_from_ms=invalid_ms)
    later_ms = revoked_ms + HOUR_MS
    entry = x509.load_der_x509_crl(der := authority.crl(later_ms)).get_revoked_certificate_by_serial_number(
        certificate.serial_number
    )
    assert entry is not None
    said = entry.extensions.get_extension_for_class(x509.InvalidityDate).value
    assert said.invalidity_date_utc == dt.datetime.fromtimestamp(invalid_ms // 1000, tz=dt.UTC)
    answering = Responder([authority])
    answering.rotate(later_ms)
    question = ocsp.ask(authority.certificate, (certificate.serial_number,))
    single = ocsp.answered(question, answering.answer(question.der, later_ms).der, later_ms)[certificate.serial_number]
    assert (single.revoked_at_ms, single.invalid_from_ms) == (revoked_ms, invalid_ms)
    # What was decided by the key between the two dates is to be looked at again; what was before stands.
    found = StatusSet([der])
    assert found.crl_for(authority.certificate, later_ms).revoked_at_ms[certificate.serial_number] == invalid_ms
    held = StatusSet([*world.made.crls, *world.made.crls_at(at_ms), authority.crl(later_ms)])
    with pytest.raises(status.Voided):
        held.standing(authority.certificate, certificate.serial_number, invalid_ms, known_ms=later_ms)
    assert held.standing(authority.certificate, certificate.serial_number, invalid_ms - 1000, known_ms=later_ms)


@pytest.mark.parametrize("off_ms", [1, 10**9])
def test_an_invalidity_date_after_the_revocation_is_refused(own_world: Any, off_ms: int) -> None:
    authority, at_ms = own_world.made.hierarchy.issuing[Group.FO], own_world.tls_at_ms
    serial = own_world.made.parties[FO].credentials[CLIENT].certificate.serial_number
    for wrong in (at_ms + off_ms, -off_ms):
        with pytest.raises(revocation.InvalidityRefused):
            authority.revoke(serial, Reason.KEY_COMPROMISE, at_ms, invalid_from_ms=wrong)
    assert authority.store.revocation_of(authority.key_sha256, serial) is None
    assert authority.revoke(serial, Reason.KEY_COMPROMISE, at_ms, invalid_from_ms=at_ms).invalid_from_ms == at_ms
