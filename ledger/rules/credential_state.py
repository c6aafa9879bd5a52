"""`CredentialBook`: the life of each credential as the log tells it, by issuer and serial number."""

from typing import NamedTuple

import msgspec

from ledger.records.credentials import (
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.rules.tables import Plain, Table, Tables


class CredentialName(NamedTuple):
    """What a certificate is known by: never a fingerprint, for an ECDSA certificate has two."""

    issuer_key_sha256: str
    serial: str


class CredentialState(msgspec.Struct):
    """One credential. It was intended, and then issued, or neither was seen here and it was adopted."""

    name: CredentialName
    tbs_sha256: str
    profile: str
    index: int
    """Of the entry that first named it."""
    is_issued: bool
    revoked: CredentialRevoked | None = None
    party: str | None = None
    """The organisation that it names, where its issuance said so."""

    @property
    def is_gap(self) -> bool:
        """Whether it was intended, and nobody knows what became of it: no issuance and no revocation followed."""
        return not self.is_issued and self.revoked is None


class Barred(msgspec.Struct, frozen=True):
    """An organisation that can sign nothing any more, and the entry that made it so."""

    party: str
    index: int


class CredentialBook:
    """All of them, in the order in which the log first named them."""

    def __init__(self, tables: Tables | None = None) -> None:
        """Its tables are among these; by itself it has all in memory."""
        new = (tables or Tables()).new
        self._known: Table[CredentialState] = new(Plain("credential", CredentialState, is_walked=True))
        """By issuer and serial number, with a slash between."""
        self._gaps: Table[CredentialState] = new(Plain("credential-gap", CredentialState, is_walked=True))
        """Those of them that are gaps, so that nobody has to look through all to find these few."""
        self._revoked: Table[CredentialState] = new(Plain("credential-revoked", CredentialState, is_walked=True))
        """Those of them that are revoked: few, too."""
        self._revoked_tbs: Table[int] = new(Plain("credential-revoked-tbs", int))
        """The index of the entry that revoked it, by the hash of what was signed: so are actors known."""
        self._of_party: Table[list[str]] = new(Plain("credentials-of", list[str]))
        """Keys of what was issued, by the organisation that it names."""
        self._barred: Table[Barred] = new(Plain("barred", Barred, is_walked=True))
        """Organisations whose every signing credential is revoked."""

    def barred(self) -> tuple[str, ...]:
        """Every organisation that `is_barred`, in the order in which they became so."""
        return tuple(one.party for one in sorted(self._barred.values(), key=lambda one: (one.index, one.party)))

    def is_barred(self, party: str) -> bool:
        """Whether signing credentials of the party are on record, and every one of them is revoked."""
        return party in self._barred

    def revoked_in(self, tbs_sha256: str) -> int | None:
        """Index of the entry that revoked the certificate with this hash of what was signed; None while none did."""
        return self._revoked_tbs.get(tbs_sha256)

    def find(self, issuer_key_sha256: str, serial: str) -> CredentialState | None:
        """The credential of this name, or None."""
        return self._known.get(_key(issuer_key_sha256, serial))

    def all(self) -> tuple[CredentialState, ...]:
        """Every credential that the log named, by the entry that first did, and by name among those of one entry."""
        return tuple(sorted(self._known.values(), key=lambda one: (one.index, one.name)))

    def gaps(self) -> tuple[CredentialState, ...]:
        """Every intent that no issuance and no revocation followed."""
        return tuple(self._gaps.values())

    def revocations(self) -> tuple[CredentialRevoked, ...]:
        """Every revocation that is on record."""
        return tuple(one.revoked for one in self._revoked.values() if one.revoked is not None)

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
                    self._gaps.pop(_key(*state.name), None)
                    if isinstance(record.party, str) and state.party is None:
                        state.party = record.party
                        self._of_party.setdefault(record.party, []).append(_key(*state.name))
                        self._weigh(record.party, index)
            case CredentialRevoked():
                state = self.find(record.issuer_key_sha256, record.serial)
                if state is not None and state.revoked is None:
                    state.revoked = record
                    self._revoked[_key(*state.name)] = state
                    self._revoked_tbs[state.tbs_sha256] = index
                    self._gaps.pop(_key(*state.name), None)
                    if state.party is not None:
                        self._weigh(state.party, index)

    def _weigh(self, party: str, index: int) -> None:
        """The party has a signing credential, or has none left."""
        known = [self._known[key] for key in self._of_party.get(party, ())]
        signing = [one for one in known if "/SIGNING/" in one.profile]
        if signing and all(one.revoked is not None for one in signing):
            self._barred.setdefault(party, Barred(party, index))
        else:
            self._barred.pop(party, None)

    def _begin(
        self, issuer: str, serial: str, tbs_sha256: str, profile: str, index: int, *, is_issued: bool = False
    ) -> None:
        key = _key(issuer, serial)
        if key in self._known:
            return
        state = CredentialState(CredentialName(issuer, serial), tbs_sha256, profile, index, is_issued)
        self._known[key] = state
        if state.is_gap:
            self._gaps[key] = state


def _key(issuer: str, serial: str) -> str:
    return f"{issuer}/{serial}"
