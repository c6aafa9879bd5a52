"""CRLs of any kind, complete and delta, good and bad, made by the library and not by us."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki import tbs
from pki.asn1 import crl as octets
from pki.asn1 import tlv
from pki.authority import Authority

HOUR_MS = 3_600_000
HOLD = x509.ReasonFlags.certificate_hold
REMOVE = x509.ReasonFlags.remove_from_crl
COMPROMISE = x509.ReasonFlags.key_compromise


@dataclass(frozen=True)
class Line:
    """One entry."""

    serial: int
    at_ms: int
    reason: x509.ReasonFlags | None = None
    invalid_from_ms: int | None = None
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    def built(self) -> x509.RevokedCertificate:
        """For the library's builder."""
        builder = x509.RevokedCertificateBuilder().serial_number(self.serial).revocation_date(tbs.moment(self.at_ms))
        if self.reason is not None:
            builder = builder.add_extension(x509.CRLReason(self.reason), critical=False)
        if self.invalid_from_ms is not None:
            moment = tbs.moment(self.invalid_from_ms).replace(tzinfo=None)
            builder = builder.add_extension(x509.InvalidityDate(moment), critical=False)
        for value, critical in self.more:
            builder = builder.add_extension(value, critical=critical)
        return builder.build()


def made(authority: Authority, at_ms: int, number: int | None, lines: Sequence[Line] = (), **changes: Any) -> bytes:
    """The DER of a CRL for users' certificates, in force for a day; `base` makes it a delta CRL."""
    certificate = changes.get("issuer", authority.certificate)
    own_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(tbs.moment(at_ms))
        .next_update(tbs.moment(at_ms) + dt.timedelta(hours=changes.get("hours", 24)))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    only = changes.get("only", "user")
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=only == "user",
        only_contains_ca_certs=only == "ca",
        only_contains_attribute_certs=only == "attribute",
        only_some_reasons=None,
        indirect_crl=changes.get("indirect", False),
    )
    builder = builder.add_extension(point, critical=True)
    if "base" in changes:
        delta = x509.DeltaCRLIndicator(changes["base"])
        builder = builder.add_extension(delta, critical=changes.get("critical", True))
    if "freshest" in changes:
        place = x509.DistributionPoint([x509.UniformResourceIdentifier("http://x.example/d.crl")], None, None, None)
        builder = builder.add_extension(x509.FreshestCRL([place]), critical=changes["freshest"])
    for value, critical in changes.get("more", ()):
        builder = builder.add_extension(value, critical=critical)
    for line in lines:
        builder = builder.add_revoked_certificate(line.built())
    return builder.sign(authority.signer, hashes.SHA256()).public_bytes(Encoding.DER)


def without_next_update(authority: Authority, at_ms: int) -> bytes:
    """The library's builder insists on one, so it is cut out and the rest signed again."""
    parts = octets.split(made(authority, at_ms, 7))
    members = tlv.children(tlv.only(parts.tbs, tlv.SEQUENCE, "CRL"), "CRL")
    times = [place for place, (tag, _, _) in enumerate(members) if tag in {tlv.UTC_TIME, tlv.GENERALIZED_TIME}]
    body = tlv.sequence(*(whole for place, (_, _, whole) in enumerate(members) if place != times[1]))
    return tlv.signed(body, "1.2.840.10045.4.3.2", authority.signer.sign(body, ec.ECDSA(hashes.SHA256())))
