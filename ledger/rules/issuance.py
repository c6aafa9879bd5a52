"""Rules of the life of credentials: intended, then issued, then perhaps revoked; each once."""

from ledger.records.credentials import (
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.rules.errors.credentials import CredentialEnded, CredentialUnintended, CredentialUnknown, SerialReused
from ledger.rules.errors.writing import AlreadyRecorded, SignerRevoked
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection


def credential_intended(seen: Projection, _fact: Fact, record: CredentialIntended) -> None:
    """Nothing of this issuer has the serial number yet."""
    _require_new(seen, record.issuer_key_sha256, record.serial)


def credentials_adopted(seen: Projection, _fact: Fact, record: CredentialsAdopted) -> None:
    """What is adopted is new here, every one of the list."""
    names = [(one.issuer_key_sha256, one.serial) for one in record.credentials]
    for issuer, serial in names:
        _require_new(seen, issuer, serial)
    if len(set(names)) != len(names):
        raise SerialReused("one credential is adopted twice in one list", found=len(names) - len(set(names)))


def credential_issued(seen: Projection, _fact: Fact, record: CredentialIssued) -> None:
    """The very same bytes were intended; they are issued once, and not after their revocation."""
    intended = seen.credentials.find(record.issuer_key_sha256, record.serial)
    if intended is None:
        raise CredentialUnintended("no intent has this serial number", serial=record.serial)
    if intended.tbs_sha256 != record.tbs_sha256:
        raise CredentialUnintended(
            "other bytes were intended", expected=intended.tbs_sha256, found=record.tbs_sha256, serial=record.serial
        )
    if intended.is_issued:
        raise AlreadyRecorded("the credential is on record as issued", serial=record.serial)
    if intended.revoked is not None:
        raise CredentialEnded("the credential was revoked before it was issued", serial=record.serial)


def credential_revoked(seen: Projection, _fact: Fact, record: CredentialRevoked) -> None:
    """The credential is on record, and was not revoked before."""
    state = seen.credentials.find(record.issuer_key_sha256, record.serial)
    if state is None:
        raise CredentialUnknown("nothing with this serial number is on record", serial=record.serial)
    if state.revoked is not None:
        raise CredentialEnded(
            "the credential was revoked before", found=state.revoked.revoked_at_ms, serial=record.serial
        )


def require_signer(seen: Projection, fact: Fact) -> None:
    """Neither who states it, nor the person or system operator whose words it holds, was revoked in an earlier entry.

    The place in the log decides and no clock: what was authentic at the door may have waited until its credential was
    gone. A bundle of one stream holds no revocations; there the status of its signers says the same.
    """
    index = seen.credentials.revoked_in(fact.actor.tbs_sha256)
    if index is None and fact.evidence is not None:
        person, directive = fact.evidence.person, fact.evidence.directive
        for other in (person, None if directive is None else directive.actor):
            if index is None and other is not None:
                index = seen.credentials.revoked_in(other.tbs_sha256)
    if index is not None:
        raise SignerRevoked("the credential's revocation is on record", expected="one that stands", found=index)


def _require_new(seen: Projection, issuer: str, serial: str) -> None:
    known = seen.credentials.find(issuer, serial)
    if known is not None:
        raise SerialReused("the serial number was given before", serial=serial, index=known.index)
