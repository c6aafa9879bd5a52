"""A small PKI in a folder, made with `cryptography` alone, so that the transport is tested without our own `pki`."""

import datetime as dt
import hashlib
import ipaddress
import itertools
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.credential import Credential
from pki.roles import Purpose, Role

DAY = dt.timedelta(days=1)
_numbers = itertools.count(1)


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


@dataclass(frozen=True)
class Pair:
    """PEM files of a certificate and its key."""

    cert: Path
    key: Path


@dataclass
class Authority:
    """A root that issues leaves into `folder`."""

    folder: Path
    name: str = "root"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._subject = _name(self.name, "test")
        ski = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        builder = _builder(self._subject, self._subject, self.key.public_key(), -1, 30)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(ski, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.folder / f"{self.name}.pem"
        self.pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "server") -> Pair:
        """A certificate for 127.0.0.1 and localhost."""
        return self._issue(name, "test", ExtendedKeyUsageOID.SERVER_AUTH, -1, 30)

    def client(self, party: str, role: str, *, from_days: float = -1, to_days: float = 30) -> Pair:
        """A client certificate; the role stands in the organisation, for `credential_of`."""
        return self._issue(party, role, ExtendedKeyUsageOID.CLIENT_AUTH, from_days, to_days)

    def _issue(self, common: str, organisation: str, eku: x509.ObjectIdentifier, start: float, end: float) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(_loopback())])
        certificate = (
            _builder(_name(common, organisation), self._subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
            .add_extension(aki, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(names, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        stem = self.folder / f"{common}-{next(_numbers)}"
        pair = Pair(stem.with_suffix(".crt.pem"), stem.with_suffix(".key.pem"))
        pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def credential_of(der: bytes, *, status_valid_until_ms: int = 2**60) -> Credential:
    """What our validation would say of a certificate of `Authority.client`."""
    leaf = x509.load_der_x509_certificate(der)
    organisation, common = (str(attribute.value) for attribute in leaf.subject)
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return Credential(
        role=Role(organisation),
        party_id=common,
        purpose=Purpose.TLS_CLIENT,
        services=frozenset(),
        delegated_by=None,
        station_id=None,
        organisation=organisation,
        public_key=key,
        spki_sha256="",
        x5t_s256="",
        tbs_sha256=hashlib.sha256(leaf.tbs_certificate_bytes).hexdigest(),
        issuer_key_sha256="",
        serial=leaf.serial_number,
        not_before_ms=round(leaf.not_valid_before_utc.timestamp() * 1000),
        not_after_ms=round(leaf.not_valid_after_utc.timestamp() * 1000),
        chain=(der,),
        status_digests=(),
        status_valid_until_ms=status_valid_until_ms,
        development=True,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: float, end: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start * DAY)
        .not_valid_after(now + end * DAY)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _loopback() -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address("127.0.0.1")
