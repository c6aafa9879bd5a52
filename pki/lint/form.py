"""Rules about what every certificate has: number, size, algorithm, time, keys, and which extensions."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from pki import oids
from pki.lint.subject import Examined, Rule, registrar
from pki.profiles import BACKDATE_MS
from pki.tbs import InfrastructureOrder, LeafOrder

RULES: list[Rule] = []
MIN_SERIAL_BITS = 64
MAX_SERIAL_BITS = 159
MAX_BYTES = 16_384
_SIGNATURES = {"secp256r1": oids.ECDSA_WITH_SHA256, "secp384r1": oids.ECDSA_WITH_SHA384}
_CRITICAL = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.NAME_CONSTRAINTS}
_BASIC = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
}
_COMMON = _BASIC | {ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.CERTIFICATE_POLICIES}
POINTERS = {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS}

_rule = registrar(RULES)


@_rule("version", "RFC 5280 section 4.1.2.1: certificates with extensions are of version 3")
def _version(examined: Examined) -> Iterator[str]:
    if examined.certificate.version is not x509.Version.v3:
        yield "the certificate is not of version 3"


@_rule("serial", "RFC 5280 section 4.1.2.2; CA/B BR 7.1")
def _serial(examined: Examined) -> Iterator[str]:
    serial = examined.certificate.serial_number
    if serial <= 0 or not MIN_SERIAL_BITS <= serial.bit_length() <= MAX_SERIAL_BITS:
        yield "the serial number is not positive with 64 to 159 bits"


@_rule("size", "pki design: certificates over 16 kB are not looked at")
def _size(examined: Examined) -> Iterator[str]:
    if len(examined.certificate.public_bytes(Encoding.DER)) > MAX_BYTES:
        yield "the certificate is larger than 16 kB"


@_rule("signature-algorithm", "RFC 5758 section 3.2; RFC 5480 section 4: SHA-256 with P-256, SHA-384 with P-384")
def _signature_algorithm(examined: Examined) -> Iterator[str]:
    issuer = examined.issuer or examined.certificate
    if examined.certificate.signature_algorithm_oid != _SIGNATURES.get(_kind(issuer.public_key())):
        yield "the signature algorithm is not the one of the issuer's key"


@_rule("issuer-name", "RFC 5280 section 6.1.3 (a)(4), compared byte for byte")
def _issuer_name(examined: Examined) -> Iterator[str]:
    issuer = examined.issuer or examined.certificate
    if examined.certificate.issuer.public_bytes() != issuer.subject.public_bytes():
        yield "the issuer name is not the issuer's subject"


@_rule("validity", "RFC 5280 section 4.1.2.5; RFC 9608 section 5; profile")
def _validity(examined: Examined) -> Iterator[str]:
    certificate = examined.certificate
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if before >= after:
        yield "the certificate ends before it starts"
    if examined.issuer is not None and (
        before < examined.issuer.not_valid_before_utc or after > examined.issuer.not_valid_after_utc
    ):
        yield "the certificate is valid when its issuer is not"
    if int((after - before).total_seconds()) * 1000 > examined.longest_ms + BACKDATE_MS:
        yield "the certificate lives longer than its profile allows"


@_rule("key", "NIST SP 800-57 part 1 section 5.6; pki design: P-384 roots, P-256 authorities, no RSA anywhere")
def _key(examined: Examined) -> Iterator[str]:
    found = _kind(examined.certificate.public_key())
    if found not in examined.keys:
        yield f"the key is {found}"


def _kind(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    return key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


@_rule("own-key", "RFC 5280 section 4.2.1.3: a key that signs certificates does nothing else, and belongs to one name")
def _own_key(examined: Examined) -> Iterator[str]:
    if examined.issuer is not None and _spki(examined.issuer) == _spki(examined.certificate):
        yield "the key is the issuer's own"


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@_rule("key-identifiers", "RFC 5280 sections 4.2.1.1 and 4.2.1.2, method 1")
def _key_identifiers(examined: Examined) -> Iterator[str]:
    own = examined.get(x509.SubjectKeyIdentifier)
    spki = x509.SubjectKeyIdentifier.from_public_key(examined.certificate.public_key())
    if own != spki:
        yield "the subject key identifier is not the SHA-1 of the key bits"
    issuer = examined.certificate if examined.issuer is None else examined.issuer
    of_issuer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    wanted = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer)
    if examined.get(x509.AuthorityKeyIdentifier) != wanted:
        yield "the authority key identifier is not just the issuer's key identifier"


@_rule("extensions", "RFC 5280 section 4.2: nothing unknown; critical only what every verifier understands")
def _extensions(examined: Examined) -> Iterator[str]:
    allowed = _BASIC
    if isinstance(examined.asked, LeafOrder):
        allowed = _COMMON | {ExtensionOID.SUBJECT_ALTERNATIVE_NAME, oids.FLEX_ROLE, oids.NO_REV_AVAIL} | POINTERS
    elif isinstance(examined.asked, InfrastructureOrder):
        allowed = _COMMON | ({ExtensionOID.OCSP_NO_CHECK} if examined.asked.profile.no_check else POINTERS)
    elif examined.asked is not None:
        allowed = _COMMON | {ExtensionOID.NAME_CONSTRAINTS} | POINTERS
    elif examined.development:
        allowed = _BASIC | {ExtensionOID.CERTIFICATE_POLICIES}
    for oid, extension in examined.extensions.items():
        if oid not in allowed:
            yield f"extension {oid.dotted_string} does not belong here"
        if extension.critical != (oid in _CRITICAL):
            yield f"extension {oid.dotted_string} has the wrong criticality"
