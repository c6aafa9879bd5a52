"""`Principal`: who is calling. Made from a verified credential and from nothing else; never from a body or a header."""

from dataclasses import dataclass
from typing import Final, Self

from pki.credential import Credential
from pki.roles import Role

ORGANISATIONS: Final = frozenset(Role) - {Role.EVU, Role.STATION}
"""The roles of organisations, whose names may stand in logs; an EV user is a person, and a station has an address."""


EVERY_SCOPE: Final = frozenset({"read", "write"})


@dataclass(frozen=True, slots=True)
class Principal:
    """The party that mTLS authenticated, in the one role that its certificate gives it."""

    party: str
    role: Role
    credential: Credential
    scopes: frozenset[str] = EVERY_SCOPE
    """What an access token leaves of what the certificate allows; all of it without a token."""

    @classmethod
    def from_credential(cls, credential: Credential) -> Self:
        """The principal that a validated credential speaks for."""
        return cls(party=credential.party_id, role=credential.role, credential=credential)

    @property
    def public_party(self) -> str | None:
        """The party where it is an organisation, None where naming it would name a person or a place."""
        return self.party if self.role in ORGANISATIONS else None
