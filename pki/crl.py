"""What one CRL says, complete or delta, once its signature and its form are good (RFC 5280 section 5).

Indirect CRLs, and CRLs partitioned by reason or place, are not evidence here.
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import ExtensionOID

from pki import keys, oids
from pki.asn1 import crl as octets
from pki.asn1.der import MalformedDer
from pki.errors import Refused

MAX_CRL_BYTES = 64 * 1024 * 1024
"""A million entries with a reason are 53 MB."""

_KNOWN: Final = {
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
    ExtensionOID.DELTA_CRL_INDICATOR,
    ExtensionOID.FRESHEST_CRL,
}


class Revoked(Refused):
    """The credential, or the authority that issued it, was revoked at or before the time asked about."""

    code = "pki/revoked"
    title = "Credential revoked"


class BadCrl(Refused):
    """Not a CRL that can be read, or too large, or too many."""

    code = "pki/crl-malformed"
    title = "CRL cannot be read"


_UNUSABLE: Final = (
    BadCrl,
    MalformedDer,
    InvalidSignature,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)


class Scope(StrEnum):
    """What a CRL speaks about."""

    USER = "USER"
    AUTHORITY = "AUTHORITY"
    ATTRIBUTE = "ATTRIBUTE"


class Signing(msgspec.Struct, frozen=True):
    """The keys and the signature algorithms that CRLs are believed by; `require_key` raises `keys.WeakKey`."""

    require_key: Callable[[object], ec.EllipticCurvePublicKey | rsa.RSAPublicKey]
    algorithms: frozenset[x509.ObjectIdentifier]


# Ours. Test suites that strangers wrote have others.
AUTHORITIES = Signing(keys.require_authority_key, frozenset({oids.ECDSA_WITH_SHA256, oids.ECDSA_WITH_SHA384}))


class CheckedCrl(msgspec.Struct, frozen=True):
    """A CRL signed by the issuer asked about; `digest` is its SHA-256 (hex).

    `revoked_at_ms` is, by serial number, the earlier of revocation and invalidity date. `base_number` is given in a
    delta CRL and nowhere else; `delta` is the delta CRL that completes this one.
    """

    digest: str
    number: int
    this_update_ms: int
    next_update_ms: int
    revoked_at_ms: dict[int, int]
    on_hold: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    base_number: int | None = None
    announced_ms: tuple[int, ...] = ()
    """When revocations begin that are in it ahead of their time."""
    delta: "CheckedCrl | None" = None

    @property
    def digests(self) -> tuple[str, ...]:
        """Of this CRL, and of the delta that completes it."""
        return (self.digest,) if self.delta is None else (self.digest, self.delta.digest)

    def until_ms(self, at_ms: int) -> int:
        """Until when it says what it says, as of `at_ms`: a delta in force makes its base as fresh as itself."""
        in_force = self.delta is not None and at_ms <= self.delta.next_update_ms
        return self.delta.next_update_ms if self.delta is not None and in_force else self.next_update_ms

    def revoked_from_ms(self, serial: int) -> int | None:
        """From when `serial` is revoked; None if it is not. A delta can end a hold, and take back nothing else."""
        found = self.revoked_at_ms.get(serial)
        if self.delta is None:
            return found
        if serial in self.delta.removed and serial in self.on_hold:
            return None
        later = self.delta.revoked_at_ms.get(serial)
        return min((one for one in (found, later) if one is not None), default=None)

    def require_not_revoked(self, serial: int, at_ms: int) -> None:
        """Passes if `serial` was not revoked at `at_ms`; a revocation counts from its own date on."""
        revoked_at_ms = self.revoked_from_ms(serial)
        if revoked_at_ms is not None and revoked_at_ms <= at_ms:
            raise Revoked("the credential was revoked", revoked_at_ms=revoked_at_ms)

    def completed_by(self, delta: "CheckedCrl") -> "CheckedCrl":
        """The same with `delta`, which counts from a complete CRL up to this one (RFC 5280 section 5.2.4)."""
        return msgspec.structs.replace(self, delta=delta)


class Held(msgspec.Struct, frozen=True):
    """A CRL as it was given; nothing of it is checked yet. `bare` has its head and its extensions."""

    der: bytes
    digest: str
    bare: x509.CertificateRevocationList
    issuer: bytes
    this_update_ms: int


def load(data: bytes) -> Held:
    """The CRL in `data` (DER, at most 64 MiB); BadCrl if it cannot be read."""
    if len(data) > MAX_CRL_BYTES:
        raise BadCrl("the CRL is too large", expected=f"at most {MAX_CRL_BYTES} bytes", found=len(data))
    try:
        bare = x509.load_der_x509_crl(octets.split(data).bare)
        issuer, begun_ms = bare.issuer.public_bytes(), _ms(bare.last_update_utc)
    except (*_UNUSABLE, x509.InvalidVersion) as error:
        raise BadCrl("not a CRL that can be read") from error
    return Held(bytes(data), hashlib.sha256(data).hexdigest(), bare, issuer, begun_ms)


def check(held: Held, issuer: x509.Certificate, scope: Scope, signing: Signing) -> CheckedCrl | None:
    """What the CRL says about what `issuer` issued; None if another signed it, or if it breaks the profile of CRLs.

    `keys.WeakKey` is raised if nothing that this issuer signs is believed.
    """
    key = signing.require_key(keys.key_of(issuer))
    try:
        parts = octets.split(held.der)
        _require_signature(held.bare, parts, key, signing)
        return _checked(held, parts, issuer, scope)
    except _UNUSABLE:
        return None


def _require_signature(
    bare: x509.CertificateRevocationList,
    parts: octets.Split,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signing: Signing,
) -> None:
    digest = bare.signature_hash_algorithm
    if bare.signature_algorithm_oid not in signing.algorithms or not parts.consistent or digest is None:
        raise BadCrl("the CRL is signed with an algorithm that is not allowed")
    # Hashed here: of megabytes, the library would let nobody else run meanwhile.
    hashed = hashlib.new(digest.name, parts.tbs).digest()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(parts.signature, hashed, padding.PKCS1v15(), Prehashed(digest))
    else:
        key.verify(parts.signature, hashed, ec.ECDSA(Prehashed(digest)))


def _checked(held: Held, parts: octets.Split, issuer: x509.Certificate, scope: Scope) -> CheckedCrl:
    """What the CRL, whose signature is good, says; BadCrl if it breaks the profile of CRLs."""
    usage = issuer.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE).value
    if not isinstance(usage, x509.KeyUsage) or not usage.crl_sign:
        raise BadCrl("this issuer may not sign CRLs")
    extensions = {extension.oid: extension for extension in held.bare.extensions}
    if set(extensions) - _KNOWN or held.bare.next_update_utc is None:
        raise BadCrl("the CRL has an unknown extension or no next update")
    _require_scope(extensions.get(ExtensionOID.ISSUING_DISTRIBUTION_POINT), scope)
    _require_key_id(extensions.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER), issuer)
    number = extensions.get(ExtensionOID.CRL_NUMBER)
    if number is None or number.critical or not isinstance(number.value, x509.CRLNumber):
        raise BadCrl("the CRL has no proper number")  # RFC 5280 section 5.2.3
    base_number = _base_number(extensions)
    entries = octets.read_entries(parts.entries)
    if entries.removed and base_number is None:
        raise BadCrl("a complete CRL takes something back")  # section 5.3.1: removeFromCRL is for delta CRLs
    return CheckedCrl(
        digest=held.digest,
        number=number.value.crl_number,
        this_update_ms=held.this_update_ms,
        next_update_ms=_ms(held.bare.next_update_utc),
        revoked_at_ms=entries.revoked_from_ms,
        on_hold=entries.on_hold,
        removed=entries.removed,
        base_number=base_number,
        announced_ms=tuple(
            sorted({at_ms for at_ms in entries.revoked_from_ms.values() if at_ms > held.this_update_ms})
        ),
    )


def _base_number(extensions: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]) -> int | None:
    """BaseCRLNumber of a delta CRL; None for a complete one, which may point to where its deltas are."""
    delta, freshest = extensions.get(ExtensionOID.DELTA_CRL_INDICATOR), extensions.get(ExtensionOID.FRESHEST_CRL)
    if freshest is not None and (freshest.critical or delta is not None):
        raise BadCrl("the pointer to delta CRLs is critical, or stands in one")  # section 5.2.6
    if delta is None:
        return None
    if not delta.critical or not isinstance(delta.value, x509.DeltaCRLIndicator):
        raise BadCrl("the delta CRL indicator is not critical")  # section 5.2.4
    return delta.value.crl_number


def _require_scope(extension: x509.Extension[x509.ExtensionType] | None, scope: Scope) -> None:
    """An issuing distribution point that covers `scope` wholly; none covers all public-key certificates."""
    if extension is None:
        if scope is Scope.ATTRIBUTE:
            raise BadCrl("the CRL does not speak about attribute certificates")
        return
    point = extension.value
    if not extension.critical or not isinstance(point, x509.IssuingDistributionPoint):
        raise BadCrl("the issuing distribution point is not critical")
    if point.indirect_crl or point.only_some_reasons or point.full_name or point.relative_name:
        raise BadCrl("the CRL is indirect or partial")
    only = {
        Scope.USER: point.only_contains_user_certs,
        Scope.AUTHORITY: point.only_contains_ca_certs,
        Scope.ATTRIBUTE: point.only_contains_attribute_certs,
    }
    if not only[scope] or sum(only.values()) != 1:
        raise BadCrl("the CRL speaks about something else", expected=scope)


def _require_key_id(extension: x509.Extension[x509.ExtensionType] | None, issuer: x509.Certificate) -> None:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if extension is None or not isinstance(extension.value, x509.AuthorityKeyIdentifier):
        raise BadCrl("the CRL has no authority key identifier")
    if extension.value.key_identifier != own:
        raise BadCrl("the CRL names another key of its issuer")


def _ms(moment: dt.datetime) -> int:
    """Unix milliseconds; CRLs have whole seconds."""
    return int(moment.timestamp()) * 1000
