"""Stage 1: a chain of certificates from a leaf to a trusted root, built by the verifier of `cryptography`.

Caps come first, because a certificate with a huge list of names costs a third of a second to look at. Then the
library's path building with its budget of signatures, then what it leaves out and every certificate must have. What a
chain means (role, policy, purpose) and whether it is revoked is stage 2: `binding` and `status`.
"""

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from pki import keys
from pki.errors import Refused
from pki.opened import MAX_SERIAL_BITS, Malformed, OpenedCertificate, Oversize, open_certificate, opened, reopened

__all__ = [
    "MAX_SERIAL_BITS",
    "Anchored",
    "Expired",
    "Malformed",
    "NotYetValid",
    "Oversize",
    "Rules",
    "Untrusted",
    "anchored",
    "build",
    "load",
    "not_after_ms",
    "not_before_ms",
    "require_valid",
    "require_window",
]


MAX_INTERMEDIATES = 4
MIN_RSA_BITS = 2048
_POLICY_RULES = (ExtensionOID.POLICY_MAPPINGS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY)
_KEPT = 16


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
    """The certificate in `data` (DER); raises what `open_certificate` raises."""
    return open_certificate(data).certificate


def build(
    leaf: bytes | OpenedCertificate,
    intermediates: Sequence[bytes],
    roots: Sequence[x509.Certificate],
    *,
    at_ms: int,
    rules: Rules = ROLES,
    server_name: x509.DNSName | x509.IPAddress | None = None,
) -> tuple[OpenedCertificate, ...]:
    """The chain from leaf to root, valid at `at_ms`; with `server_name`, the leaf is a server's of that name.

    Without it the path is a client's, and the caller compares the names. Raises Oversize, Malformed, Expired,
    NotYetValid, Untrusted, or `keys.WeakKey`.
    """
    if len(intermediates) > rules.max_intermediates:
        raise Oversize(
            "too many intermediates", expected=f"at most {rules.max_intermediates}", found=len(intermediates)
        )
    subject = opened(leaf)
    between = [open_certificate(data) for data in intermediates]
    anchors = anchored(tuple(roots))
    require_valid(subject, at_ms)
    _require_a_valid_issuer(subject, [*between, *anchors.roots], at_ms)
    rules.require_leaf_key(subject.certificate.public_key())
    given = [one.certificate for one in between]
    found = verified(subject.certificate, given, anchors.store, at_ms, rules, server_name)
    candidates = (subject, *between, *anchors.roots)
    chain = tuple(next(one for one in candidates if one.certificate == each) for each in found)
    for authority in chain[1:]:
        rules.require_authority_key(authority.certificate.public_key())
        _require_binding_constraints(authority)
    for certificate in chain:
        _require_sound_usages(certificate)
        _require_plain_policies(certificate)
    for place, certificate in enumerate(chain):
        _require_key_identifiers(certificate, signs=place > 0, is_signed=place < len(chain) - 1)
    _require_sound_root(chain[-1])
    return chain


class Anchored(NamedTuple):
    """Roots that are believed, ready to be built to."""

    roots: tuple[OpenedCertificate, ...]
    store: verification.Store


@functools.lru_cache(maxsize=_KEPT)  # who believes in roots believes in them again and again
def anchored(roots: tuple[x509.Certificate, ...]) -> Anchored:
    """`roots`, taken apart."""
    return Anchored(tuple(reopened(root) for root in roots), verification.Store(list(roots)))


def require_sound_leaf(subject: OpenedCertificate, rules: Rules) -> None:
    """What `build` asks of a leaf under an authority beyond the library: WeakKey or Untrusted."""
    rules.require_leaf_key(subject.certificate.public_key())
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
    _require_between(not_before_ms(certificate), not_after_ms(certificate), at_ms)


def require_valid(certificate: OpenedCertificate, at_ms: int) -> None:
    """As `require_window`."""
    _require_between(certificate.not_before_ms, certificate.not_after_ms, at_ms)


def _require_between(first_ms: int, last_ms: int, at_ms: int) -> None:
    if at_ms < first_ms:
        raise NotYetValid("not yet valid", expected=f"not before {first_ms}", found=at_ms)
    if at_ms // 1000 * 1000 > last_ms:
        raise Expired("expired", expected=f"not after {last_ms}", found=at_ms)


def _require_a_valid_issuer(subject: OpenedCertificate, candidates: Sequence[OpenedCertificate], at_ms: int) -> None:
    """If every certificate that could be the issuer is out of its window, say that rather than "untrusted"."""
    problem: Refused | None = None
    for issuer in candidates:
        if issuer.subject != subject.issuer:
            continue
        try:
            require_valid(issuer, at_ms)
        except (Expired, NotYetValid) as error:
            problem = error
        else:
            return
    if problem is not None:
        raise problem


def _require_sound_usages(certificate: OpenedCertificate) -> None:
    """Extended key usages, where given, name something, and never "any"."""
    found = certificate.get(x509.ExtendedKeyUsage)
    if found is None:
        return
    usages = list(found)
    if not usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        raise Untrusted("a certificate on the path may be used for anything, or for nothing")


def _require_plain_policies(certificate: OpenedCertificate) -> None:
    """No rules about policies, critical or not: we follow none, and to skip one would be to accept what it forbids."""
    if not certificate.extensions.keys().isdisjoint(_POLICY_RULES):
        raise Untrusted("a certificate on the path maps or constrains policies")


def _require_binding_constraints(authority: OpenedCertificate) -> None:
    """Name constraints, where given, are critical (RFC 5280 section 4.2.1.10): else half of all verifiers skip them."""
    found = authority.extensions.get(x509.NameConstraints.oid)
    if found is not None and not found.critical:
        raise Untrusted("the name constraints of an authority are not critical")


def _require_key_identifiers(certificate: OpenedCertificate, *, signs: bool, is_signed: bool) -> None:
    """Each authority names its key, and whatever it signed names it back; none is critical (RFC 5280 4.2.1.1, 4.2.1.2).

    The library asks for less of authorities than of leaves.
    """
    for oid, is_wanted in ((x509.SubjectKeyIdentifier.oid, signs), (x509.AuthorityKeyIdentifier.oid, is_signed)):
        found = certificate.extensions.get(oid)
        if (is_wanted and found is None) or (found is not None and found.critical):
            raise Untrusted("a certificate on the path lacks a key identifier, or has a critical one")


def _require_sound_root(root: OpenedCertificate) -> None:
    """A root's key identifiers agree and it has no extended key usage; or Untrusted."""
    if x509.ExtendedKeyUsage.oid in root.extensions:
        raise Untrusted("the root has extended key usages")
    issuer_id, own_id = root.get(x509.AuthorityKeyIdentifier), root.get(x509.SubjectKeyIdentifier)
    if issuer_id is not None:
        same = own_id is not None and own_id.digest == issuer_id.key_identifier
        if not same or issuer_id.authority_cert_issuer or issuer_id.authority_cert_serial_number is not None:
            raise Untrusted("the root's authority key identifier is not its own key identifier")
