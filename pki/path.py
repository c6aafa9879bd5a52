"""Stage 1: a chain of certificates from a leaf to a trusted root, built by the verifier of `cryptography`.

Caps come first, because a certificate with a huge list of names costs a third of a second to look at. Then the
library's path building with its budget of signatures, then what it leaves out and every certificate must have. What a
chain means (role, policy, purpose) and whether it is revoked is stage 2: `binding` and `status`.
"""

import datetime as dt
from collections.abc import Callable, Sequence

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from pki import keys
from pki.asn1 import der
from pki.errors import Refused
from pki.trust import MAX_CERTIFICATE_BYTES

MAX_INTERMEDIATES = 4
MAX_SERIAL_BITS = 159  # positive and at most 20 octets (RFC 5280 section 4.1.2.2)
MIN_RSA_BITS = 2048
_SPKI_PLACE = 6  # after version, serial number, algorithm, issuer, validity, subject
_POLICY_RULES = (ExtensionOID.POLICY_MAPPINGS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY)
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    UserWarning,  # a bad serial number or an overlong attribute of a name, where warnings are errors
)


class Oversize(Refused):
    """A certificate beyond the cap, or more intermediates than are looked at."""

    code = "pki/oversize"
    title = "Certificate or chain too large"


class Malformed(Refused):
    """Bytes that are not a certificate, or one that breaks RFC 5280 in form."""

    code = "pki/malformed"
    title = "Malformed certificate"


class Expired(Refused):
    """The leaf or its issuer was no longer valid at the time asked about."""

    code = "pki/expired"
    title = "Credential expired"


class NotYetValid(Refused):
    """The leaf or its issuer was not valid yet at the time asked about."""

    code = "pki/not-yet-valid"
    title = "Credential not yet valid"


class Untrusted(Refused):
    """No path that meets the rules leads to a trusted root."""

    code = "pki/untrusted"
    title = "No path to a trusted root"


class Rules(msgspec.Struct, frozen=True):
    """What certificates on a path must look like: the library's policies, and keys beyond them."""

    authority: ExtensionPolicy
    leaf: ExtensionPolicy
    max_depth: int
    require_authority_key: Callable[[object], object]
    require_leaf_key: Callable[[object], object]
    max_intermediates: int = MAX_INTERMEDIATES


def _web_key(key: object) -> None:
    """The keys of the web PKI: RSA of whole bytes from 2048 bits, P-256, P-384, P-521 (CA/B BR 6.1.5)."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS and key.key_size % 8 == 0:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP521R1):
        return
    keys.require_authority_key(key)


# Ours: every extension that must be there is demanded here; a critical one that nobody knows is refused by the library.
ROLES = Rules(
    authority=ExtensionPolicy.webpki_defaults_ca(),
    leaf=ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
    .require_present(x509.KeyUsage, Criticality.CRITICAL, None)
    .require_present(x509.ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
    .require_present(x509.SubjectAlternativeName, Criticality.NON_CRITICAL, None)
    .require_present(x509.SubjectKeyIdentifier, Criticality.NON_CRITICAL, None)
    .require_present(x509.AuthorityKeyIdentifier, Criticality.NON_CRITICAL, None)
    .require_present(x509.CertificatePolicies, Criticality.NON_CRITICAL, None)
    .require_not_present(x509.NameConstraints),
    max_depth=1,
    require_authority_key=keys.require_authority_key,
    require_leaf_key=keys.require_leaf_key,
)

# The web PKI's, for judging this stage with test suites that strangers wrote for it.
WEB = Rules(
    authority=ExtensionPolicy.webpki_defaults_ca(),
    leaf=ExtensionPolicy.webpki_defaults_ee(),
    max_depth=8,
    require_authority_key=_web_key,
    require_leaf_key=_web_key,
)


def load(data: bytes) -> x509.Certificate:
    """The certificate in `data` (DER, at most 16 kB): its extensions can be read, its serial number and key are proper.

    Raises Oversize, Malformed, `keys.KeyEncoding` or `keys.WeakKey`.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise Oversize("a certificate is too large", expected=f"at most {MAX_CERTIFICATE_BYTES}", found=len(data))
    try:
        certificate = x509.load_der_x509_certificate(data)
        serial = certificate.serial_number
        _ = certificate.extensions, certificate.subject, certificate.issuer
        key = certificate.public_key()
    except _UNREADABLE as error:
        raise Malformed("not a certificate that can be read") from error
    if certificate.version is not x509.Version.v3:
        raise Malformed("the certificate is not of version 3")
    if serial <= 0 or serial.bit_length() > MAX_SERIAL_BITS:
        raise Malformed("the serial number is not positive or too long")
    keys.require_plain(key, spki_of(certificate))
    return certificate


def spki_of(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate of version 3, as it stands there."""
    return der.child(certificate.tbs_certificate_bytes, _SPKI_PLACE, "certificate")


def build(
    leaf: bytes,
    intermediates: Sequence[bytes],
    roots: Sequence[x509.Certificate],
    *,
    at_ms: int,
    rules: Rules = ROLES,
    server_name: x509.DNSName | x509.IPAddress | None = None,
) -> tuple[x509.Certificate, ...]:
    """The chain from leaf to root, valid at `at_ms`; with `server_name`, the leaf is a server's of that name.

    Without it the path is a client's, and the caller compares the names. Raises Oversize, Malformed, Expired,
    NotYetValid, Untrusted, or `keys.WeakKey`.
    """
    if len(intermediates) > rules.max_intermediates:
        raise Oversize(
            "too many intermediates", expected=f"at most {rules.max_intermediates}", found=len(intermediates)
        )
    subject = load(leaf)
    between = [load(data) for data in intermediates]
    require_window(subject, at_ms)
    _require_a_valid_issuer(subject, [*between, *roots], at_ms)
    rules.require_leaf_key(subject.public_key())
    chain = verified(subject, between, verification.Store(list(roots)), at_ms, rules, server_name)
    for authority in chain[1:]:
        rules.require_authority_key(authority.public_key())
        _require_binding_constraints(authority)
    for certificate in chain:
        _require_sound_usages(certificate)
        _require_plain_policies(certificate)
    for place, certificate in enumerate(chain):
        _require_key_identifiers(certificate, signs=place > 0, is_signed=place < len(chain) - 1)
    _require_sound_root(chain[-1])
    return chain


def require_sound_leaf(subject: x509.Certificate, rules: Rules) -> None:
    """What `build` asks of a leaf under an authority beyond the library: WeakKey or Untrusted."""
    rules.require_leaf_key(subject.public_key())
    _require_sound_usages(subject)
    _require_plain_policies(subject)
    _require_key_identifiers(subject, signs=False, is_signed=True)


def verified(
    subject: x509.Certificate,
    between: list[x509.Certificate],
    store: verification.Store,
    at_ms: int,
    rules: Rules,
    server_name: x509.DNSName | x509.IPAddress | None,
) -> tuple[x509.Certificate, ...]:
    """The chain from `subject` to one of `store` by the library's rules and `rules`' policies alone; or Untrusted."""
    builder = (
        verification.PolicyBuilder()
        .time(dt.datetime.fromtimestamp(at_ms // 1000, tz=dt.UTC).replace(tzinfo=None))
        .store(store)
        .max_chain_depth(rules.max_depth)
        .extension_policies(ca_policy=rules.authority, ee_policy=rules.leaf)
    )
    try:
        if server_name is None:
            return tuple(builder.build_client_verifier().verify(subject, between).chain)
        return tuple(builder.build_server_verifier(server_name).verify(subject, between))
    except (verification.VerificationError, ValueError, UnsupportedAlgorithm) as error:
        raise Untrusted("no path leads to a trusted root") from error


def not_before_ms(certificate: x509.Certificate) -> int:
    """The first millisecond of validity."""
    return int(certificate.not_valid_before_utc.timestamp()) * 1000


def not_after_ms(certificate: x509.Certificate) -> int:
    """The last second of validity, as milliseconds; the whole of that second counts (RFC 5280 section 4.1.2.5)."""
    return int(certificate.not_valid_after_utc.timestamp()) * 1000


def require_window(certificate: x509.Certificate, at_ms: int) -> None:
    """Valid at `at_ms`, or NotYetValid, or Expired."""
    if at_ms < not_before_ms(certificate):
        raise NotYetValid("not yet valid", expected=f"not before {not_before_ms(certificate)}", found=at_ms)
    if at_ms // 1000 * 1000 > not_after_ms(certificate):
        raise Expired("expired", expected=f"not after {not_after_ms(certificate)}", found=at_ms)


def _require_a_valid_issuer(subject: x509.Certificate, candidates: Sequence[x509.Certificate], at_ms: int) -> None:
    """If every certificate that could be the issuer is out of its window, say that rather than "untrusted"."""
    issuers = [candidate for candidate in candidates if candidate.subject == subject.issuer]
    problem: Refused | None = None
    for issuer in issuers:
        try:
            require_window(issuer, at_ms)
        except (Expired, NotYetValid) as error:
            problem = error
        else:
            return
    if problem is not None:
        raise problem


def _require_sound_usages(certificate: x509.Certificate) -> None:
    """Extended key usages, where given, name something, and never "any"."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not list(usages) or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        raise Untrusted("a certificate on the path may be used for anything, or for nothing")


def _require_plain_policies(certificate: x509.Certificate) -> None:
    """No rules about policies, critical or not: we follow none, and to skip one would be to accept what it forbids."""
    if any(found.oid in _POLICY_RULES for found in certificate.extensions):
        raise Untrusted("a certificate on the path maps or constrains policies")


def _require_binding_constraints(authority: x509.Certificate) -> None:
    """Name constraints, where given, are critical (RFC 5280 section 4.2.1.10): else half of all verifiers skip them."""
    if any(found.oid == x509.NameConstraints.oid and not found.critical for found in authority.extensions):
        raise Untrusted("the name constraints of an authority are not critical")


def _require_key_identifiers(certificate: x509.Certificate, *, signs: bool, is_signed: bool) -> None:
    """Each authority names its key, and whatever it signed names it back; none is critical (RFC 5280 4.2.1.1, 4.2.1.2).

    The library asks for less of authorities than of leaves.
    """
    own, issuers = x509.SubjectKeyIdentifier.oid, x509.AuthorityKeyIdentifier.oid
    found = {extension.oid for extension in certificate.extensions if not extension.critical}
    critical = {extension.oid for extension in certificate.extensions if extension.critical}
    wanted = ({own} if signs else set()) | ({issuers} if is_signed else set())
    if wanted - found or critical & {own, issuers}:
        raise Untrusted("a certificate on the path lacks a key identifier, or has a critical one")


def _require_sound_root(root: x509.Certificate) -> None:
    """A root's key identifiers agree and it has no extended key usage; or Untrusted."""
    extensions = {extension.oid: extension.value for extension in root.extensions}
    if x509.ExtendedKeyUsage.oid in extensions:
        raise Untrusted("the root has extended key usages")
    issuer_id, own_id = extensions.get(x509.AuthorityKeyIdentifier.oid), extensions.get(x509.SubjectKeyIdentifier.oid)
    if isinstance(issuer_id, x509.AuthorityKeyIdentifier):
        same = isinstance(own_id, x509.SubjectKeyIdentifier) and own_id.digest == issuer_id.key_identifier
        if not same or issuer_id.authority_cert_issuer or issuer_id.authority_cert_serial_number is not None:
            raise Untrusted("the root's authority key identifier is not its own key identifier")
