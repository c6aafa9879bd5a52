"""What a rule looks at, and what it finds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509

from pki import profiles
from pki.profiles import AuthorityProfile, KeyKind, RootProfile
from pki.tbs import InfrastructureOrder, LeafOrder

Kind = TypeVar("Kind", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Examined:
    """A certificate whose signature is none yet, its issuer-to-be (None for a root), and what was asked for.

    `asked` is the order of a leaf or of a key of the house, the profile of an issuing authority, or None for a root.
    `extensions` are read once, for all rules.
    """

    certificate: x509.Certificate
    issuer: x509.Certificate | None
    asked: LeafOrder | InfrastructureOrder | AuthorityProfile | None
    development: bool
    extensions: Mapping[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reads the extensions; a certificate that has one twice cannot be examined, and the library says so."""
        object.__setattr__(self, "extensions", {found.oid: found for found in self.certificate.extensions})

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
    def keys(self) -> tuple[KeyKind, ...]:
        """The kinds of key that the profile allows."""
        return self.asked.profile.keys if isinstance(self.asked, LeafOrder) else self._profile().keys

    def _profile(self) -> RootProfile | AuthorityProfile | profiles.InfrastructureProfile:
        if isinstance(self.asked, InfrastructureOrder):
            return self.asked.profile
        return self.asked if isinstance(self.asked, AuthorityProfile) else profiles.ROOT


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
