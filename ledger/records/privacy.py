"""What the log says of personal data: that it was erased, disclosed, restricted; never whose it was.

Every handle is random and is kept beside the subject in the vault only, so the log alone links it to nobody, and two
records about one person share no value.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import PublicParty
from ledger.records.marks import Category, personal, public
from ledger.records.record import Record
from ledger.records.statement_fields import Hash

MAX_TREE_SIZE = 2**32
MAX_EPOCH = 2**31 - 1
MAX_VALUE_CHARS = 32_768

Handle = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
RetentionClass = Annotated[str, msgspec.Meta(pattern=r"^P[1-9][0-9]{0,3}[DMY]$(?!\n)")]
"""How long a value is kept, as an ISO 8601 duration in days, months or years."""
Period = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")]
"""A month, UTC."""

MemberName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]

PublicHandle = Annotated[Handle, public("random; only the vault knows whose it is, and forgets")]
PublicRequest = Annotated[Handle, public("random id of one request")]
PublicEpoch = Annotated[int, msgspec.Meta(ge=1, le=MAX_EPOCH), public("number of a key epoch of the whole vault")]
PublicVersion = Annotated[int, msgspec.Meta(ge=1, le=MAX_EPOCH), public("version of a published export policy")]


class ErasureBasis(StrEnum):
    """Why data was erased: the grounds of GDPR Art. 17(1), and Art. 5(1)(e) for what was kept long enough."""

    NO_LONGER_NECESSARY = "NO_LONGER_NECESSARY"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    OBJECTION = "OBJECTION"
    UNLAWFUL = "UNLAWFUL"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"
    CHILD = "CHILD"
    STORAGE_LIMITATION = "STORAGE_LIMITATION"


class RefusalGround(StrEnum):
    """Why data was not erased: the exceptions of GDPR Art. 17(3) that can apply here."""

    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"
    LEGAL_CLAIMS = "LEGAL_CLAIMS"
    PUBLIC_INTEREST = "PUBLIC_INTEREST"
    FREEDOM_OF_EXPRESSION = "FREEDOM_OF_EXPRESSION"


class RestrictionGround(StrEnum):
    """Why processing is restricted: GDPR Art. 18(1) (a) to (d)."""

    ACCURACY_CONTESTED = "ACCURACY_CONTESTED"
    UNLAWFUL_BUT_KEPT = "UNLAWFUL_BUT_KEPT"
    NEEDED_FOR_CLAIMS = "NEEDED_FOR_CLAIMS"
    OBJECTION_PENDING = "OBJECTION_PENDING"


class LegalBasis(StrEnum):
    """GDPR Art. 6(1) (a) to (f), and Art. 15 and 20 where the subject itself is the recipient."""

    CONSENT = "CONSENT"
    CONTRACT = "CONTRACT"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"
    VITAL_INTERESTS = "VITAL_INTERESTS"
    PUBLIC_TASK = "PUBLIC_TASK"
    LEGITIMATE_INTERESTS = "LEGITIMATE_INTERESTS"
    ACCESS_RIGHT = "ACCESS_RIGHT"
    PORTABILITY_RIGHT = "PORTABILITY_RIGHT"


class Profile(StrEnum):
    """What kind of export: provable ones carry proofs, the research one is unlinkable; the two never mix."""

    SETTLEMENT = "SETTLEMENT"
    RESEARCH = "RESEARCH"
    ACCESS = "ACCESS"
    PORTABILITY = "PORTABILITY"


class Purpose(StrEnum):
    """What the recipient may use an export for."""

    SETTLEMENT = "SETTLEMENT"
    AUDIT = "AUDIT"
    DISPUTE = "DISPUTE"
    GRID_PLANNING = "GRID_PLANNING"
    REGULATION = "REGULATION"
    RESEARCH = "RESEARCH"
    SUBJECT_RIGHTS = "SUBJECT_RIGHTS"


class ReidentificationGround(StrEnum):
    """Why somebody may have to learn who is behind a pseudonym: a closed list."""

    SAFETY = "SAFETY"
    LEGAL_CLAIMS = "LEGAL_CLAIMS"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"
    DISPUTE = "DISPUTE"
    SUBJECT_RIGHTS = "SUBJECT_RIGHTS"


class ReidentificationOutcome(StrEnum):
    """How a request for re-identification ended."""

    ANSWERED = "ANSWERED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"


class ErasureRequested(Record, frozen=True, kw_only=True):
    """Somebody asked that the data behind a handle be erased. Nothing is erased yet."""

    TYPE = "privacy.erasure-requested"
    STREAM = "privacy"

    request: PublicRequest
    handle: PublicHandle
    basis: Annotated[ErasureBasis, public("a ground of the law, not a reason of the person")]


class ErasureRefused(Record, frozen=True, kw_only=True):
    """The data stays: a legal hold or an exception of Art. 17(3) stands against the request."""

    TYPE = "privacy.erasure-refused"
    STREAM = "privacy"

    request: PublicRequest
    ground: Annotated[RefusalGround, public("an exception of the law")]


class ErasureExecuted(Record, frozen=True, kw_only=True):
    """The tombstone: keys and rows are gone. What fell under it is a Merkle root, never a list.

    One digest's place in that tree is shown by an opening (`ledger.privacy.openings`), for that digest alone.
    """

    TYPE = "privacy.erasure-executed"
    STREAM = "privacy"

    handle: PublicHandle
    basis: Annotated[ErasureBasis, public("a ground of the law")]
    manifest_root: Annotated[Hash, public("root over salted leaves and as many random ones as fill the tree")]
    manifest_size: Annotated[
        int, msgspec.Meta(ge=1, le=MAX_TREE_SIZE), public("a power of two: hides how many leaves are real")
    ]
    retention: Annotated[RetentionClass, public("class of data that expired, of all persons")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    period: Annotated[Period, public("month of data that expired, of all persons")] | msgspec.UnsetType = msgspec.UNSET


class DataDisclosed(Record, frozen=True, kw_only=True):
    """An export was released to a recipient. Recorded before the file exists under its name."""

    TYPE = "privacy.data-disclosed"
    STREAM = "privacy"

    manifest_sha256: Annotated[Hash, public("digest of the export's manifest, which holds no personal value")]
    profile: Annotated[Profile, public("kind of export")]
    recipient: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation that received it; left out where the subject itself did."""
    purpose: Annotated[Purpose, public("purpose of the processing")]
    legal_basis: Annotated[LegalBasis, public("legal basis of the disclosure")]
    policy_version: PublicVersion
    rows: Annotated[int, msgspec.Meta(ge=0, le=2**32), public("size of the export")] | msgspec.UnsetType = msgspec.UNSET
    """Left out where it would say how many entries one person has."""
    k: Annotated[int, msgspec.Meta(ge=2, le=10_000), public("least number of persons behind each row")] | (
        msgspec.UnsetType
    ) = msgspec.UNSET


class RestrictionSet(Record, frozen=True, kw_only=True):
    """From here on exports leave somebody out; the handle is this restriction's own."""

    TYPE = "privacy.restriction-set"
    STREAM = "privacy"

    handle: PublicHandle
    ground: Annotated[RestrictionGround, public("a ground of the law")]


class RestrictionLifted(Record, frozen=True, kw_only=True):
    """The restriction with this handle is over."""

    TYPE = "privacy.restriction-lifted"
    STREAM = "privacy"

    handle: PublicHandle


class HoldPlaced(Record, frozen=True, kw_only=True):
    """Neither erasure nor the end of retention touches somebody's data; the handle is this hold's own."""

    TYPE = "privacy.hold-placed"
    STREAM = "privacy"

    handle: PublicHandle
    ground: Annotated[RefusalGround, public("an exception of the law")]


class HoldLifted(Record, frozen=True, kw_only=True):
    """The hold with this handle is over."""

    TYPE = "privacy.hold-lifted"
    STREAM = "privacy"

    handle: PublicHandle


class KekEpochDestroyed(Record, frozen=True, kw_only=True):
    """The key of an epoch is destroyed: whatever backup holds keys wrapped under it is dead."""

    TYPE = "privacy.kek-epoch-destroyed"
    STREAM = "privacy"

    epoch: PublicEpoch


class ReidentificationRequested(Record, frozen=True, kw_only=True):
    """A privacy officer asks who is behind one pseudonym. Nobody has been told anything yet."""

    TYPE = "privacy.reidentification-requested"
    STREAM = "privacy"

    request: PublicRequest
    officer: PublicParty
    recipient: PublicParty
    """Who was given the pseudonym."""
    purpose: Annotated[Purpose, public("purpose of the export that the pseudonym is from")]
    ground: Annotated[ReidentificationGround, public("a closed list, not a reason of the person")]
    commitment: Annotated[Hash, public("of the pseudonym under a random salt, which the vault keeps and forgets")]


class ReidentificationApproved(Record, frozen=True, kw_only=True):
    """A second person in another role agrees."""

    TYPE = "privacy.reidentification-approved"
    STREAM = "privacy"

    request: PublicRequest
    approver: PublicParty


class ReidentificationClosed(Record, frozen=True, kw_only=True):
    """The request is used up: it is recorded before the one answer is given, or when it is refused or out of time."""

    TYPE = "privacy.reidentification-closed"
    STREAM = "privacy"

    request: PublicRequest
    outcome: Annotated[ReidentificationOutcome, public("how it ended, not what the answer was")]


class EntryRectified(Record, frozen=True, kw_only=True):
    """One member of an earlier entry is wrong, and this is right (GDPR Art. 16). The earlier entry stays as it is."""

    TYPE = "privacy.entry-rectified"
    STREAM = "privacy"

    corrects: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1), public("index of the entry that is corrected")]
    member: Annotated[
        str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)"), public("name of a member, not its value")
    ]
    value: Annotated[
        str, msgspec.Meta(max_length=32_768), personal(Category.BEHAVIOUR, "sensitive", retention="P3Y")
    ] | (msgspec.UnsetType) = msgspec.UNSET
    """Canonical JSON of the right value."""


KINDS: tuple[type[Record], ...] = (
    ErasureRequested,
    ErasureRefused,
    ErasureExecuted,
    DataDisclosed,
    RestrictionSet,
    RestrictionLifted,
    HoldPlaced,
    HoldLifted,
    KekEpochDestroyed,
    ReidentificationRequested,
    ReidentificationApproved,
    ReidentificationClosed,
    EntryRectified,
)
