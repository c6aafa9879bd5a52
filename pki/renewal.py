"""Another certificate for who has one: the same key again, or a new one (RFC 7030 section 4.2.2)."""

import hashlib

from cryptography import x509

from pki import path
from pki.authority import Subscriber
from pki.csr import OpenedCsr
from pki.errors import Refused
from pki.hierarchy import Hierarchy
from pki.store.records import Issued, Query, Reason

_THIRDS = 3


class RenewalRefused(Refused):
    """The certificate is not one that can be renewed: not ours, revoked, ended, or another party's."""

    code = "pki/renewal"
    title = "Renewal refused"


class RenewalEarly(Refused):
    """A certificate is renewed in the last third of its life, or when that is asked for."""

    code = "pki/renewal-early"
    title = "Too early to renew"


def renewable_from_ms(certificate: x509.Certificate) -> int:
    """When the last third of its life begins."""
    start_ms, end_ms = path.not_before_ms(certificate), path.not_after_ms(certificate)
    return end_ms - (end_ms - start_ms) // _THIRDS


def renew(
    hierarchy: Hierarchy,
    certificate: x509.Certificate,
    csr: OpenedCsr,
    *,
    subscriber: Subscriber,
    now_ms: int,
    early: bool = False,
    supersede: bool = False,
    order_id: str | None = None,
) -> x509.Certificate:
    """A certificate of the same role, purpose and party for the key in `csr`, from who issues for that role now.

    `subscriber` is the party as the register knows it today: services, organisation and hosts may have changed, the
    party may not. The old certificate stays valid to its end; with `supersede` it is revoked once the new one is there.
    Raises RenewalRefused, RenewalEarly (unless `early`), and what `Authority.issue` raises, as for a revoked key.
    """
    held = _held(hierarchy, certificate)
    if now_ms // 1000 * 1000 > held.not_after_ms:
        raise RenewalRefused("it has ended; its party is enrolled anew", expected=f"until {held.not_after_ms}")
    if hierarchy.root.store.revocation_of(held.issuer_key_sha256, held.serial) is not None:
        raise RenewalRefused("it was revoked")
    if (held.party_id, held.station_id) != (subscriber.party_id, subscriber.station_id):
        raise RenewalRefused("it is another party's")
    if held.role is None or held.purpose is None:
        raise RenewalRefused("it is no party's certificate")
    if not early and now_ms < renewable_from_ms(certificate):
        raise RenewalEarly("its last third has not begun", expected=f"from {renewable_from_ms(certificate)}")
    made = hierarchy.issue(held.role, held.purpose, csr, subscriber=subscriber, now_ms=now_ms, order_id=order_id)
    if supersede:
        hierarchy.revoke(held.issuer_key_sha256, held.serial, Reason.SUPERSEDED, now_ms)
    return made


def _held(hierarchy: Hierarchy, certificate: x509.Certificate) -> Issued:
    """The certificate as we issued it, by one of our authorities of any generation."""
    for authority in hierarchy.authorities():
        if authority.group is None or authority.certificate.subject != certificate.issuer:
            continue
        found = authority.store.page(Query(issuer_key_sha256=authority.key_sha256, serial=certificate.serial_number))
        # By what was signed: the bytes of a signature can be written in a second way.
        if found.found and found.found[0].issued.tbs_sha256 == _tbs_sha256(certificate):
            return found.found[0].issued
    raise RenewalRefused("it was issued by none of these authorities")


def _tbs_sha256(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()
