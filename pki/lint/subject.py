"""What a rule looks at, and what it finds."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki import profiles
from pki.opened import Extension, OpenedCertificate
from pki.profiles import AuthorityProfile, KeyKind, RootProfile
from pki.tbs import InfrastructureOrder, LeafOrder

_AUTHORITIES: Final = 64

Kind = TypeVar("Kind", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Signer:
    """What rules compare with in the certificate of who signs: an authority is the same for many certificates."""

    name: bytes
    key: str
    key_bits: bytes
    key_id: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    zones: tuple[str, ...]
    """Host names, with all below them, for which it may sign."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "Signer":
        """Of an authority's certificate; the library says so if it has no key identifier."""
        extensions = certificate.extensions
        constraints = [found.value for found in extensions if isinstance(found.value, x509.NameConstraints)]
        zones = [name for one in constraints for name in one.permitted_subtrees or () if isinstance(name, x509.DNSName)]
        return cls(
            name=certificate.subject.public_bytes(),
            key=kind_of(certificate.public_key()),
            key_bits=key_bits(certificate.public_key()),
            key_id=extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            zones=tuple(str(name.value) for name in zones),
        )


_of_issuer = lru_cache(maxsize=_AUTHORITIES)(Signer.of)


@dataclass(frozen=True, slots=True)
class Examined:
    """A certificate whose signature is none yet, its issuer-to-be (None for a root), and what was asked for.

    `asked` is the order of a leaf or of a key of the house, the profile of an issuing authority, or None for a root.
    What several rules look at is read once for all of them.
    """

    certificate: x509.Certificate
    issuer: x509.Certificate | None
    asked: LeafOrder | InfrastructureOrder | AuthorityProfile | None
    development: bool
    opened: OpenedCertificate | None = field(default=None, repr=False)
    """The same certificate, where it was taken apart; else the library takes it apart here."""
    octets: bytes = field(init=False, repr=False)
    extensions: Mapping[x509.ObjectIdentifier, Extension] = field(init=False, repr=False)
    subject: tuple[x509.NameAttribute[str | bytes], ...] = field(init=False, repr=False)
    key: str = field(init=False)
    key_bits: bytes = field(init=False, repr=False)
    signer: Signer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reads the certificate; one that has an extension twice cannot be examined, and the library says so."""
        key = self.certificate.public_key()
        if self.opened is None:
            subject, octets = self.certificate.subject, self.certificate.public_bytes(Encoding.DER)
            extensions: Mapping[x509.ObjectIdentifier, Extension] = {
                one.oid: one for one in self.certificate.extensions
            }
        else:
            subject, octets, extensions = self.opened.subject_name, self.opened.der, self.opened.extensions
        put = object.__setattr__
        put(self, "extensions", extensions)
        put(self, "subject", tuple(subject))
        put(self, "octets", octets)
        put(self, "key", kind_of(key))
        put(self, "key_bits", key_bits(key))
        put(self, "signer", Signer.of(self.certificate) if self.issuer is None else _of_issuer(self.issuer))

    def value(self, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
        """The extension's value, None if it is absent."""
        found = self.extensions.get(oid)
        return None if found is None else found.value

    def get(self, kind: type[Kind]) -> Kind | None:
        """The value of the extension of this kind, None if it is absent."""
        value = self.value(kind.oid)
        return value if isinstance(value, kind) else None

    @property
    def longest_ms(self) -> int:
        """The longest life that the profile allows."""
        if isinstance(self.asked, LeafOrder):
            return self.asked.profile.max_lifetime_ms
        return self._profile().lifetime_ms

    @property
    def keys_allowed(self) -> tuple[KeyKind, ...]:
        """The kinds of key that the profile allows."""
        return self.asked.profile.keys if isinstance(self.asked, LeafOrder) else self._profile().keys

    def _profile(self) -> RootProfile | AuthorityProfile | profiles.InfrastructureProfile:
        if isinstance(self.asked, InfrastructureOrder):
            return self.asked.profile
        return self.asked if isinstance(self.asked, AuthorityProfile) else profiles.ROOT


def kind_of(key: object) -> str:
    """The curve of a key, or what else it is."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    return key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def key_bits(key: CertificatePublicKeyTypes) -> bytes:
    """What stands in the BIT STRING of the key's SubjectPublicKeyInfo (RFC 5280 section 4.1)."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


Check = Callable[[Examined], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` yields what is wrong; `citation` says who wants it so."""

    name: str
    citation: str
    check: Check


def registrar(rules: list[Rule]) -> Callable[[str, str], Callable[[Check], Check]]:
    """A decorator that puts a check with its name and citation into `rules`."""

    def rule(name: str, citation: str) -> Callable[[Check], Check]:
        def register(check: Check) -> Check:
            rules.append(Rule(name, citation, check))
            return check

        return register

    return rule
