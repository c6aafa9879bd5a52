"""OCSP responders that do what ours never does: every field of a response can be spoiled, and signed all the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import keys, ocsp, tbs
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import CertStatus, ResponseData, Single
from pki.authority import Authority, new_serial
from pki.trust import encoded

HOUR_MS = 3_600_000
ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
EVERY_USAGE = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*wanted: str) -> x509.KeyUsage:
    """Exactly these usages."""
    return x509.KeyUsage(**{name: name in wanted for name in EVERY_USAGE})


@dataclass(frozen=True)
class Delegate:
    """A responder's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def delegate(
    authority: Authority,
    at_ms: int,
    *,
    usages: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.OCSP_SIGNING,),
    nocheck: bool = True,
    usage: x509.KeyUsage | None = None,
    ca: bool = False,
    begins_ms: int | None = None,
    ends_ms: int | None = None,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Delegate:
    """A responder under `authority`, which asks no rule."""
    key = keys.generate()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "responder")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(new_serial())
        .not_valid_before(tbs.moment(at_ms - HOUR_MS if begins_ms is None else begins_ms))
        .not_valid_after(tbs.moment(at_ms + 24 * HOUR_MS if ends_ms is None else ends_ms))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage or key_usage("digital_signature"), critical=True)
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if nocheck:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    for value, critical in more:
        builder = builder.add_extension(value, critical=critical)
    return Delegate(builder.sign(authority.signer, tbs.digest_for(authority.signer)), key)


@dataclass(frozen=True)
class Forged:
    """What to say; what is left out is right."""

    authority: Authority
    at_ms: int
    serials: tuple[int, ...]
    by: Delegate | None = None
    """None: the authority itself."""
    status: CertStatus = CertStatus.GOOD
    revoked_at_ms: int | None = None
    reason: int | None = None
    invalid_from_ms: int | None = None
    this_ms: int | None = None
    next_ms: int | None = -1
    """-1: an hour after; None: not said."""
    produced_ms: int | None = None
    nonce: bytes | None = None
    issuer: x509.Certificate | None = None
    """Whom the certificate ids name."""
    sha1: bool = False
    included: bool = True
    statuses: Mapping[int, CertStatus] = field(default_factory=dict)

    def single(self, serial: int) -> Single:
        """About one certificate."""
        issuer = self.issuer or self.authority.certificate
        this_ms = self.at_ms if self.this_ms is None else self.this_ms
        return Single(
            cert_id=octets.cert_id(issuer.subject.public_bytes(), ocsp.key_bits_of(issuer), serial, sha1=self.sha1),
            status=self.statuses.get(serial, self.status),
            this_update_ms=this_ms,
            next_update_ms=this_ms + HOUR_MS if self.next_ms == -1 else self.next_ms,
            revoked_at_ms=self.revoked_at_ms,
            reason=self.reason,
            invalid_from_ms=self.invalid_from_ms,
        )

    def der(self, **changes: Any) -> bytes:
        """The response."""
        by = self.by or Delegate(self.authority.certificate, self.authority.signer)
        data = ResponseData(
            responder=changes.get("responder", ocsp.responder_id(by.certificate)),
            by_key=True,
            produced_at_ms=self.at_ms if self.produced_ms is None else self.produced_ms,
            singles=tuple(map(self.single, self.serials)),
            nonce=self.nonce,
        )
        signed = octets.encode_data(data)
        signature = changes.get("key", by.key).sign(signed, ec.ECDSA(hashes.SHA256()))
        certificates = (encoded(by.certificate),) if self.by is not None and self.included else ()
        return octets.assemble(signed, ECDSA_WITH_SHA256, signature, certificates)
