"""Rules about what every certificate has: number, size, algorithm, time, keys, and which extensions."""

import hashlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from pki import oids
from pki.asn1 import der
from pki.lint.subject import Examined, Rule, registrar
from pki.profiles import BACKDATE_MS
from pki.tbs import InfrastructureOrder, LeafOrder

RULES: list[Rule] = []
MIN_SERIAL_BITS = 64
MAX_SERIAL_BITS = 159
MAX_BYTES = 16_384
_SIGNED, _ISSUER = 0, 3  # of a certificate its signed part; of that, after version, serial number and algorithm
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
_LEAF = _COMMON | {ExtensionOID.SUBJECT_ALTERNATIVE_NAME, oids.FLEX_ROLE, oids.NO_REV_AVAIL} | POINTERS
_UNASKED = _COMMON | {ExtensionOID.OCSP_NO_CHECK}
_AUTHORITY = _COMMON | {ExtensionOID.NAME_CONSTRAINTS} | POINTERS

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
    if len(examined.octets) > MAX_BYTES:
        yield "the certificate is larger than 16 kB"


@_rule("signature-algorithm", "RFC 5758 section 3.2; RFC 5480 section 4: SHA-256 with P-256, SHA-384 with P-384")
def _signature_algorithm(examined: Examined) -> Iterator[str]:
    if examined.certificate.signature_algorithm_oid != _SIGNATURES.get(examined.signer.key):
        yield "the signature algorithm is not the one of the issuer's key"


@_rule("issuer-name", "RFC 5280 section 6.1.3 (a)(4), compared byte for byte")
def _issuer_name(examined: Examined) -> Iterator[str]:
    if der.child(der.child(examined.octets, _SIGNED, "certificate"), _ISSUER, "certificate") != examined.signer.name:
        yield "the issuer name is not the issuer's subject"


@_rule("validity", "RFC 5280 section 4.1.2.5; RFC 9608 section 5; profile")
def _validity(examined: Examined) -> Iterator[str]:
    certificate = examined.certificate
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if before >= after:
        yield "the certificate ends before it starts"
    if before < examined.signer.not_before or after > examined.signer.not_after:
        yield "the certificate is valid when its issuer is not"
    if int((after - before).total_seconds()) * 1000 > examined.longest_ms + BACKDATE_MS:
        yield "the certificate lives longer than its profile allows"


@_rule("key", "NIST SP 800-57 part 1 section 5.6; pki design: P-384 roots, P-256 authorities, no RSA anywhere")
def _key(examined: Examined) -> Iterator[str]:
    if examined.key not in examined.keys_allowed:
        yield f"the key is {examined.key}"


@_rule("own-key", "RFC 5280 section 4.2.1.3: a key that signs certificates does nothing else, and belongs to one name")
def _own_key(examined: Examined) -> Iterator[str]:
    if examined.issuer is not None and examined.signer.key_bits == examined.key_bits:
        yield "the key is the issuer's own"


@_rule("key-identifiers", "RFC 5280 sections 4.2.1.1 and 4.2.1.2, method 1")
def _key_identifiers(examined: Examined) -> Iterator[str]:
    own = examined.get(x509.SubjectKeyIdentifier)
    if own is None or own.digest != hashlib.sha1(examined.key_bits, usedforsecurity=False).digest():
        yield "the subject key identifier is not the SHA-1 of the key bits"
    named = examined.get(x509.AuthorityKeyIdentifier)
    alone = named is not None and named.authority_cert_issuer is None and named.authority_cert_serial_number is None
    if named is None or not alone or named.key_identifier != examined.signer.key_id:
        yield "the authority key identifier is not just the issuer's key identifier"


@_rule("extensions", "RFC 5280 section 4.2: nothing unknown; critical only what every verifier understands")
def _extensions(examined: Examined) -> Iterator[str]:
    allowed = _allowed(examined)
    for oid, extension in examined.extensions.items():
        if oid not in allowed:
            yield f"extension {oid.dotted_string} does not belong here"
        if extension.critical != (oid in _CRITICAL):
            yield f"extension {oid.dotted_string} has the wrong criticality"


def _allowed(examined: Examined) -> AbstractSet[x509.ObjectIdentifier]:
    if isinstance(examined.asked, LeafOrder):
        return _LEAF
    if isinstance(examined.asked, InfrastructureOrder):
        return _UNASKED if examined.asked.profile.no_check else _COMMON | POINTERS
    if examined.asked is not None:
        return _AUTHORITY
    return _BASIC | {ExtensionOID.CERTIFICATE_POLICIES} if examined.development else _BASIC
