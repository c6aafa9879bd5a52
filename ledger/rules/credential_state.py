"""`CredentialBook`: the life of each credential as the log tells it, by issuer and serial number."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.records.credentials import (
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)


class CredentialName(NamedTuple):
    """What a certificate is known by: never a fingerprint, for an ECDSA certificate has two."""

    issuer_key_sha256: str
    serial: str


@dataclass(slots=True)
class CredentialState:
    """One credential. It was intended, and then issued, or neither was seen here and it was adopted."""

    name: CredentialName
    tbs_sha256: str
    profile: str
    index: int
    """Of the entry that first named it."""
    is_issued: bool
    revoked: CredentialRevoked | None = None

    @property
    def is_gap(self) -> bool:
        """Whether it was intended, and nobody knows what became of it: no issuance and no revocation followed."""
        return not self.is_issued and self.revoked is None


@dataclass(slots=True)
class CredentialBook:
    """All of them, in the order in which the log first named them."""

    known: dict[CredentialName, CredentialState] = field(default_factory=dict)

    def find(self, issuer_key_sha256: str, serial: str) -> CredentialState | None:
        """The credential of this name, or None."""
        return self.known.get(CredentialName(issuer_key_sha256, serial))

    def gaps(self) -> tuple[CredentialState, ...]:
        """Every intent that no issuance and no revocation followed."""
        return tuple(one for one in self.known.values() if one.is_gap)

    def revocations(self) -> tuple[CredentialRevoked, ...]:
        """Every revocation that is on record."""
        return tuple(one.revoked for one in self.known.values() if one.revoked is not None)

    def fold(
        self, record: CredentialIntended | CredentialIssued | CredentialsAdopted | CredentialRevoked, index: int
    ) -> None:
        """The record stands in the log; what no rule admits changes nothing."""
        match record:
            case CredentialIntended():
                self._begin(record.issuer_key_sha256, record.serial, record.tbs_sha256, record.profile, index)
            case CredentialsAdopted():
                for one in record.credentials:
                    self._begin(one.issuer_key_sha256, one.serial, one.tbs_sha256, one.profile, index, is_issued=True)
            case CredentialIssued():
                state = self.find(record.issuer_key_sha256, record.serial)
                if state is not None and state.tbs_sha256 == record.tbs_sha256:
                    state.is_issued = True
            case CredentialRevoked():
                state = self.find(record.issuer_key_sha256, record.serial)
                if state is not None and state.revoked is None:
                    state.revoked = record

    def _begin(
        self, issuer: str, serial: str, tbs_sha256: str, profile: str, index: int, *, is_issued: bool = False
    ) -> None:
        name = CredentialName(issuer, serial)
        self.known.setdefault(name, CredentialState(name, tbs_sha256, profile, index, is_issued))
