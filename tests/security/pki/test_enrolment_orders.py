"""Attacks on the way in, part two: renewal, orders given twice, and what comes at once.

Requests that ask for more are in `test_enrolment.py`, what comes over HTTP in `test_enrolment_http.py`.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pki import authority, csr, issuance, keys, path, renewal
from pki.authority import Subscriber
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Purpose, Role
from pki.store.records import OrderUnderWay, Reason
from pki.store.sqlite import SqliteStore

NOW_MS = 1_767_225_600_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")


@pytest.fixture
def made() -> Hierarchy:
    return Hierarchy.create(
        organisation="Test", zone="flexledger.example", now_ms=NOW_MS, store=SqliteStore(), journal=MemoryJournal()
    )


def _request(key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType, name: str | None = None) -> bytes:
    subject = x509.Name([] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _open(key: ec.EllipticCurvePrivateKey | None = None) -> csr.OpenedCsr:
    return csr.open_csr(_request(key or keys.generate()))


def _issue(made: Hierarchy, opened: csr.OpenedCsr, **changes: Any) -> x509.Certificate:
    given: dict[str, Any] = {"subscriber": FO, "now_ms": NOW_MS, **changes}
    return made.issue(given.pop("role", Role.FO), given.pop("purpose", Purpose.TLS_CLIENT), opened, **given)


def _renew(made: Hierarchy, old: x509.Certificate, opened: csr.OpenedCsr, **changes: Any) -> x509.Certificate:
    given: dict[str, Any] = {"subscriber": FO, "now_ms": renewal.renewable_from_ms(old), **changes}
    return renewal.renew(made, old, opened, **given)


def test_key_reuse_across_parties_is_refused_when_both_come_at_once(made: Hierarchy) -> None:
    opened = _open()
    together = threading.Barrier(2)

    def one(party: str) -> bool:
        together.wait(5)
        try:
            _issue(made, opened, subscriber=replace(FO, party_id=party))
        except authority.KeyReused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, ["FI-ONE", "FI-TWO"])) == [False, True]


def test_re_enrol_with_other_subject_is_refused(made: Hierarchy) -> None:
    old = _issue(made, _open())
    with pytest.raises(renewal.RenewalRefused) as caught:
        _renew(made, old, _open(), subscriber=replace(FO, party_id="FI-OTHER"))
    assert caught.value.code == "pki/renewal"
    assert len(made.root.store.find(role=Role.FO)) == 1


def test_renewal_after_revocation_is_refused(made: Hierarchy) -> None:
    old = _issue(made, _open())
    made.revoke(made.issuing[Group.FO].key_sha256, old.serial_number, Reason.CESSATION, NOW_MS)
    with pytest.raises(renewal.RenewalRefused):
        _renew(made, old, _open())
    assert len(made.root.store.find(role=Role.FO)) == 1


def test_renewal_with_revoked_key_is_refused(made: Hierarchy) -> None:
    stolen = keys.generate()
    lost = _issue(made, _open(stolen))
    old = _issue(made, _open())
    made.revoke(made.issuing[Group.FO].key_sha256, lost.serial_number, Reason.KEY_COMPROMISE, NOW_MS)
    with pytest.raises(authority.KeyReused):
        _renew(made, old, _open(stolen))


def test_renewal_of_what_has_ended_or_was_never_ours_is_refused(made: Hierarchy) -> None:
    old = _issue(made, _open())
    with pytest.raises(renewal.RenewalRefused):
        _renew(made, old, _open(), now_ms=path.not_after_ms(old) + 1000)
    other = Hierarchy.create(
        organisation="Test", zone="flexledger.example", now_ms=NOW_MS, store=SqliteStore(), journal=MemoryJournal()
    )
    with pytest.raises(renewal.RenewalRefused):
        _renew(made, _issue(other, _open()), _open())
    with pytest.raises(renewal.RenewalRefused):
        _renew(made, made.issuing[Group.FO].certificate, _open())


def test_renewal_is_in_the_last_third_or_when_asked_for(made: Hierarchy) -> None:
    key = keys.generate()
    old = _issue(made, _open(key))
    from_ms = renewal.renewable_from_ms(old)
    with pytest.raises(renewal.RenewalEarly) as caught:
        _renew(made, old, _open(key), now_ms=from_ms - 1)
    assert caught.value.code == "pki/renewal-early"
    assert _renew(made, old, _open(key), now_ms=from_ms - 1, early=True)
    renewed = _renew(made, old, _open(key), now_ms=from_ms)
    assert renewed.public_key() == old.public_key()
    assert renewed.subject == old.subject
    # The old one stays valid to its end: both are in use for a while.
    assert made.root.store.revocation_of(made.issuing[Group.FO].key_sha256, old.serial_number) is None


def test_re_key_supersedes_the_old_certificate_when_told_to(made: Hierarchy) -> None:
    old = _issue(made, _open())
    rekeyed = _renew(made, old, _open(), supersede=True)
    standing = made.root.store.revocation_of(made.issuing[Group.FO].key_sha256, old.serial_number)
    assert standing is not None
    assert standing.reason is Reason.SUPERSEDED
    assert rekeyed.public_key() != old.public_key()


def test_concurrent_double_issue_of_one_order_gives_one_certificate(made: Hierarchy) -> None:
    opened = _open()
    together = threading.Barrier(8)

    def one(_: int) -> int | None:
        together.wait(5)
        try:
            return _issue(made, opened, order_id="order-1").serial_number
        except OrderUnderWay:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = {serial for serial in pool.map(one, range(8)) if serial is not None}
    assert len(found) == 1
    assert [held.serial for held in made.root.store.find(role=Role.FO)] == list(found)
    assert _issue(made, opened, order_id="order-1").serial_number in found


def test_an_order_given_before_for_something_else_is_refused(made: Hierarchy) -> None:
    opened = _open()
    _issue(made, opened, order_id="order-1")
    for changes in ({"subscriber": replace(FO, party_id="FI-OTHER")}, {"purpose": Purpose.SIGNING}):
        with pytest.raises(issuance.OrderTaken) as caught:
            _issue(made, opened, order_id="order-1", **changes)
        assert caught.value.code == "pki/order-taken"
    with pytest.raises(issuance.OrderTaken):
        _issue(made, _open(), order_id="order-1")


@pytest.mark.parametrize("order_id", ["", "x" * (issuance.MAX_ORDER_ID + 1), "a\nb", "ä"])
def test_an_order_id_in_another_form_is_refused(made: Hierarchy, order_id: str) -> None:
    with pytest.raises(issuance.BadOrderId):
        _issue(made, _open(), order_id=order_id)
