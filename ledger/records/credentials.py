"""Credential checks, and the life of credentials.

A check has six dimensions, one for each purpose that the standard's abstract names. The certificate office states
what it is about to sign, what it has signed and what it has revoked, in one stream of its own.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import (
    CapacityVar,
    CapacityW,
    Id,
    Ms,
    PartyId,
    PersonalEvse,
    PersonalEvu,
    PublicFsc,
    PublicFsr,
    PublicMs,
    PublicParticipation,
    PublicParty,
    PublicReference,
)
from ledger.records.marks import Category, personal, public
from ledger.records.record import Part, Record
from ledger.records.requests import Revision
from ledger.records.statement_fields import Hash


class Dimension(StrEnum):
    """The five purposes of the abstract, the last of them split in two because two different documents answer it."""

    IDENTITY = "IDENTITY"
    AUTHENTICATION = "AUTHENTICATION"
    AUTHORIZATION = "AUTHORIZATION"
    CONTRACT = "CONTRACT"
    CAPABILITY = "CAPABILITY"
    CONFORMITY = "CONFORMITY"


class Status(StrEnum):
    """INDETERMINATE (say, a stale revocation list) is never PASS."""

    PASS = "PASS"  # noqa: S105 -- a verdict
    FAIL = "FAIL"
    INDETERMINATE = "INDETERMINATE"


class CheckPurpose(StrEnum):
    """Why the check was run."""

    ENROL = "ENROL"
    PRE_FSR = "PRE_FSR"
    PRE_ACTIVATION = "PRE_ACTIVATION"
    AUDIT = "AUDIT"


class DimensionResult(Part, frozen=True, kw_only=True):
    """The answer to one dimension."""

    dimension: Annotated[Dimension, public("which question")]
    status: Annotated[Status, public("its answer")]
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9-]{1,48}$(?!\n)"), public("a closed list of reasons")]


class CheckedSubject(Part, frozen=True, kw_only=True):
    """One EVSE and EV that might take part. The participation id is born here."""

    participation: PublicParticipation
    overall: Annotated[Status, public("PASS needs six PASSes")]
    dimensions: Annotated[
        tuple[DimensionResult, ...], msgspec.Meta(min_length=6, max_length=6), public("in the order of `Dimension`")
    ]
    amount_w: Annotated[CapacityW, public("what the participation was checked for")]
    amount_var: Annotated[CapacityVar, public("what the participation was checked for")] = 0
    fsc_id: PublicFsc | msgspec.UnsetType = msgspec.UNSET
    evse_id: PersonalEvse | msgspec.UnsetType = msgspec.UNSET
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    session_id: Annotated[Id, personal(Category.CONTRACT, "quasi")] | msgspec.UnsetType = msgspec.UNSET
    """The charging session that takes part: what relates a service record to a charge record."""
    evidence: (
        Annotated[tuple[Hash, ...], msgspec.Meta(max_length=32), personal(Category.VEHICLE, "direct")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """SHA-256 of what was used for this subject alone: its station's chain, claims, links, the chains behind them."""


class CheckRecorded(Record, frozen=True, kw_only=True):
    """The six questions, asked of every subject at one moment with stated evidence; the same answer years later."""

    TYPE = "check.recorded"
    STREAM = "fsr"

    check_id: PublicReference
    fsr_id: PublicFsr
    revision: Revision = 1
    """Of the request that was looked at."""
    purpose: Annotated[CheckPurpose, public("why it was run")]
    service: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{3,24}$(?!\n)"), public("class of service")]
    as_of_ms: PublicMs
    valid_until_ms: PublicMs
    """The earliest limit of any input."""
    requester: Annotated[PartyId, public("the organisation that asked for flexibility")]
    overall: Annotated[Status, public("PASS if at least one subject passes and the requester does")]
    requester_dimensions: Annotated[
        tuple[DimensionResult, ...], msgspec.Meta(min_length=4, max_length=4), public("identity to contract")
    ]
    subjects: Annotated[tuple[CheckedSubject, ...], msgspec.Meta(max_length=256), public("a list of parts")]
    evidence: Annotated[
        tuple[Hash, ...], msgspec.Meta(max_length=64), public("digests of certificates and CRLs of organisations")
    ]


CREDENTIAL_STREAM = "log/credentials"
"""The one stream in which the life of all credentials stands, so that it can be shown complete."""
MAX_ADOPTED = 64

SerialNumber = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}$(?!\n)")]
"""The serial number of a certificate, 20 octets in hex."""
PublicIssuer = Annotated[Hash, public("digest of an authority's public key")]
PublicSerial = Annotated[SerialNumber, public("random; says nothing of the holder")]
PublicTbs = Annotated[Hash, public("digest over a random key and serial number; names nobody")]
PublicProfile = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Z0-9_]{2,16}(/[A-Z0-9_]{2,16})?/v[1-9][0-9]{0,2}$(?!\n)"),
    public("role and purpose, one of a published list"),
]


class RevocationReason(StrEnum):
    """Why a certificate was revoked (RFC 5280 section 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


class CredentialIntended(Record, frozen=True, kw_only=True):
    """A certificate is about to be signed: these very bytes. Without `credential.issued` after it, it is a gap."""

    TYPE = "credential.intended"
    STREAM = "log"
    COARSE = True

    issuer_key_sha256: PublicIssuer
    serial: PublicSerial
    tbs_sha256: PublicTbs
    """SHA-256 of the to-be-signed part."""
    profile: PublicProfile


class CredentialIssued(Record, frozen=True, kw_only=True):
    """What was intended has been signed, checked and stored."""

    TYPE = "credential.issued"
    STREAM = "log"
    COARSE = True

    issuer_key_sha256: PublicIssuer
    serial: PublicSerial
    tbs_sha256: PublicTbs
    party: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation that it names; left out where it is a person's or a station's."""


class AdoptedCredential(Part, frozen=True, kw_only=True):
    """One certificate that this log did not see being issued."""

    issuer_key_sha256: PublicIssuer
    serial: PublicSerial
    tbs_sha256: PublicTbs
    profile: PublicProfile


class CredentialsAdopted(Record, frozen=True, kw_only=True):
    """Certificates that were issued elsewhere, in a ceremony or offline, and are the office's to revoke from now on."""

    TYPE = "credential.adopted"
    STREAM = "log"
    COARSE = True

    credentials: Annotated[
        tuple[AdoptedCredential, ...], msgspec.Meta(min_length=1, max_length=MAX_ADOPTED), public("a list of parts")
    ]


class CredentialRevoked(Record, frozen=True, kw_only=True):
    """The certificate is revoked for ever; lists and responders follow this entry."""

    TYPE = "credential.revoked"
    STREAM = "log"

    issuer_key_sha256: PublicIssuer
    serial: PublicSerial
    reason: Annotated[RevocationReason, public("one of a published list")]
    revoked_at_ms: Annotated[Ms, public("what every revocation list says")]
    invalid_from_ms: Annotated[Ms, public("what every revocation list says")] | msgspec.UnsetType = msgspec.UNSET
    """From when the key was not to be trusted any more, where that is known to be earlier (RFC 5280 section 5.3.2)."""


KINDS: tuple[type[Record], ...] = (
    CheckRecorded,
    CredentialIntended,
    CredentialIssued,
    CredentialsAdopted,
    CredentialRevoked,
)
