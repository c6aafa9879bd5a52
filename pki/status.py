"""Revocation status from CRLs, at a stated time (RFC 5280 section 6.3, the subset that our authorities publish).

A `StatusSet` holds CRLs of any times. Asked about a moment, it takes the newest that existed then; evidence that is
missing, stale or contradicts itself is INDETERMINATE, which is never "good". Indirect CRLs, CRLs partitioned by reason
and delta CRLs are not evidence here.
"""

import datetime as dt
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from pki import keys, oids
from pki.errors import Refused

MAX_CRL_BYTES = 4 * 1024 * 1024
MAX_CRLS = 1024
_KNOWN = {
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}
FOREVER_MS = 2**53 - 1
_KNOWN_ENTRY = {CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE}


class StatusIndeterminate(Refused):
    """There is no good evidence whether the credential was revoked: not a pass, and not a failure either."""

    code = "pki/status-indeterminate"
    title = "Revocation status not known"


class Revoked(Refused):
    """The credential, or the authority that issued it, was revoked at or before the time asked about."""

    code = "pki/revoked"
    title = "Credential revoked"


class BadCrl(Refused):
    """Not a CRL that can be read, or too large, or too many."""

    code = "pki/crl-malformed"
    title = "CRL cannot be read"


_UNUSABLE = (
    BadCrl,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)


@dataclass(frozen=True, slots=True)
class Signing:
    """The keys and the signature algorithms that CRLs are believed by; `require_key` raises `keys.WeakKey`."""

    require_key: Callable[[object], ec.EllipticCurvePublicKey | rsa.RSAPublicKey]
    algorithms: frozenset[x509.ObjectIdentifier]


# Ours. Test suites that strangers wrote have others.
AUTHORITIES = Signing(keys.require_authority_key, frozenset({oids.ECDSA_WITH_SHA256, oids.ECDSA_WITH_SHA384}))


class Scope(StrEnum):
    """What a CRL speaks about."""

    USER = "USER"
    AUTHORITY = "AUTHORITY"
    ATTRIBUTE = "ATTRIBUTE"


@dataclass(frozen=True, slots=True)
class CheckedCrl:
    """A CRL signed by the issuer asked about; `revoked_at_ms` by serial number; `digest` is its SHA-256 (hex)."""

    digest: str
    number: int
    this_update_ms: int
    next_update_ms: int
    revoked_at_ms: dict[int, int]

    def require_not_revoked(self, serial: int, at_ms: int) -> None:
        """Passes if `serial` was not revoked at `at_ms`; a revocation counts from its own date on."""
        revoked_at_ms = self.revoked_at_ms.get(serial)
        if revoked_at_ms is not None and revoked_at_ms <= at_ms:
            raise Revoked("the credential was revoked", revoked_at_ms=revoked_at_ms)


@dataclass(frozen=True, slots=True)
class _Held:
    crl: x509.CertificateRevocationList
    digest: str
    der: bytes


class StatusSet:
    """CRLs as they were given; each is checked when, and against whom, it is used."""

    def __init__(self, crls: Iterable[bytes] = (), *, signing: Signing = AUTHORITIES) -> None:
        self._signing = signing
        self._held: dict[bytes, dict[str, _Held]] = {}
        self._checked: dict[tuple[str, bytes, Scope], CheckedCrl | None] = {}
        self._count = 0
        self._moments: list[int] = []
        for data in crls:
            self.add(data)

    def add(self, data: bytes) -> str:
        """Hold the CRL in `data` (DER); its SHA-256 (hex). Adding it again changes nothing."""
        if len(data) > MAX_CRL_BYTES:
            raise BadCrl("the CRL is too large", expected=f"at most {MAX_CRL_BYTES} bytes", found=len(data))
        digest = hashlib.sha256(data).hexdigest()
        try:
            crl = x509.load_der_x509_crl(data)
            issuer = crl.issuer.public_bytes()
            moments = {_ms(revoked.revocation_date_utc) for revoked in crl} | {_ms(crl.last_update_utc)}
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
            raise BadCrl("not a CRL that can be read") from error
        same_issuer = self._held.setdefault(issuer, {})
        if digest not in same_issuer:
            if self._count >= MAX_CRLS:
                raise BadCrl("there are too many CRLs", expected=f"at most {MAX_CRLS}")
            same_issuer[digest] = _Held(crl, digest, bytes(data))
            self._count += 1
            self._moments = sorted(moments.union(self._moments))
        return digest

    def next_moment(self, at_ms: int) -> int:
        """When a question asked at `at_ms` may next have another answer: a list appears, or a revocation begins."""
        place = bisect_right(self._moments, at_ms)
        return self._moments[place] if place < len(self._moments) else FOREVER_MS

    def digests(self) -> tuple[str, ...]:
        """The SHA-256 (hex) of every CRL held, sorted."""
        return tuple(sorted(digest for same_issuer in self._held.values() for digest in same_issuer))

    def ders(self) -> tuple[bytes, ...]:
        """Every CRL held (DER), as it was given, in the order of `digests`."""
        held = (one for same_issuer in self._held.values() for one in same_issuer.values())
        return tuple(one.der for one in sorted(held, key=lambda one: one.digest))

    def crl_for(self, issuer: x509.Certificate, at_ms: int, scope: Scope = Scope.USER) -> CheckedCrl:
        """The newest CRL of `issuer` with this_update <= `at_ms`, in force then; StatusIndeterminate if there is none.

        CRLs that `issuer` did not sign or that break the CRL profile are passed over: anyone can make those. If the
        numbers of the signed ones go back while time goes on, somebody rolled something back, and nothing is known.
        """
        usable = [
            checked
            for held in tuple(self._held.get(issuer.subject.public_bytes(), {}).values())
            if (checked := self._check(held, issuer, scope)) is not None and checked.this_update_ms <= at_ms
        ]
        if not usable:
            raise StatusIndeterminate("there is no CRL of this issuer from before this time", found=at_ms)
        usable.sort(key=lambda crl: (crl.this_update_ms, crl.number))
        newest = usable[-1]
        if any(crl.number > newest.number for crl in usable):
            raise StatusIndeterminate("the CRL numbers of this issuer go back", found=newest.number)
        if at_ms > newest.next_update_ms:
            raise StatusIndeterminate(
                "the newest CRL of this issuer is stale",
                expected=f"next update after {at_ms}",
                found=newest.next_update_ms,
            )
        return newest

    def _check(self, held: _Held, issuer: x509.Certificate, scope: Scope) -> CheckedCrl | None:
        key = self._signing.require_key(issuer.public_key())
        # The certificate, not its key: what the issuer may sign and how its key is called is read from there.
        name = (held.digest, issuer.fingerprint(hashes.SHA256()), scope)
        if name not in self._checked:
            try:
                if held.crl.signature_algorithm_oid not in self._signing.algorithms:
                    raise BadCrl("the CRL is signed with an algorithm that is not allowed")
                if not held.crl.is_signature_valid(key):
                    raise BadCrl("the CRL is not signed by this issuer")
                self._checked[name] = _checked(held.crl, held.digest, issuer, scope)
            except _UNUSABLE:
                self._checked[name] = None
        return self._checked[name]


def _checked(crl: x509.CertificateRevocationList, digest: str, issuer: x509.Certificate, scope: Scope) -> CheckedCrl:
    """What `crl`, whose signature is good, says; BadCrl if it breaks the profile of CRLs."""
    usage = issuer.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE).value
    if not isinstance(usage, x509.KeyUsage) or not usage.crl_sign:
        raise BadCrl("this issuer may not sign CRLs")
    extensions = {extension.oid: extension for extension in crl.extensions}
    if set(extensions) - _KNOWN or crl.next_update_utc is None:
        raise BadCrl("the CRL has an unknown extension or no next update")
    _require_scope(extensions.get(ExtensionOID.ISSUING_DISTRIBUTION_POINT), scope)
    _require_key_id(extensions.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER), issuer)
    number = extensions.get(ExtensionOID.CRL_NUMBER)
    if number is None or number.critical or not isinstance(number.value, x509.CRLNumber):
        raise BadCrl("the CRL has no proper number")  # RFC 5280 section 5.2.3
    return CheckedCrl(
        digest=digest,
        number=number.value.crl_number,
        this_update_ms=int(crl.last_update_utc.timestamp()) * 1000,
        next_update_ms=int(crl.next_update_utc.timestamp()) * 1000,
        revoked_at_ms=_entries(crl),
    )


def _entries(crl: x509.CertificateRevocationList) -> dict[int, int]:
    """By serial number; the library's own search is linear, and slow at ten thousand entries."""
    revoked: dict[int, int] = {}
    for entry in crl:
        if {extension.oid for extension in entry.extensions} - _KNOWN_ENTRY:
            raise BadCrl("an entry of the CRL has an unknown extension")
        at_ms = int(entry.revocation_date_utc.timestamp()) * 1000
        revoked[entry.serial_number] = min(at_ms, revoked.get(entry.serial_number, at_ms))
    return revoked


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
