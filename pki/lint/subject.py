"""What a rule looks at, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509

from pki.profiles import AuthorityProfile
from pki.tbs import InfrastructureOrder, LeafOrder


@dataclass(frozen=True, slots=True)
class Examined:
    """A certificate signed by a throw-away key, its issuer-to-be (None for a root), and what was asked for.

    `asked` is the order of a leaf or of a key of the house, the profile of an issuing authority, or None for a root.
    """

    certificate: x509.Certificate
    issuer: x509.Certificate | None
    asked: LeafOrder | InfrastructureOrder | AuthorityProfile | None
    development: bool

    def value(self, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
        """The extension's value, None if it is absent."""
        return next((found.value for found in self.certificate.extensions if found.oid == oid), None)


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` yields what is wrong; `citation` says who wants it so."""

    name: str
    citation: str
    check: Callable[[Examined], Iterator[str]]
