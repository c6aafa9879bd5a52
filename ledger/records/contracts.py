"""Flexibility-service contracts (FSC): offered, accepted by the other party, ended by either; and who holds one."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records import identifiers
from ledger.records.fields import (
    CapacityVar,
    CapacityW,
    Currency,
    DurationS,
    EvseId,
    Micro,
    PersonalEvu,
    PublicFsc,
    PublicHash,
    PublicMs,
    PublicParty,
    PublicReference,
    PublicSite,
    Share,
)
from ledger.records.marks import Category, personal, public
from ledger.records.parties import Words
from ledger.records.record import Part, Record, Value
from ledger.records.services import Direction, Service


class ContractKind(StrEnum):
    """Who contracts with the flexibility operator."""

    FO_CSO = "FO_CSO"
    FO_CSP = "FO_CSP"
    FO_EVU = "FO_EVU"


class BaselineMethod(StrEnum):
    """How the counterfactual is found; fixed in the contract and committed before the start."""

    HIGH_X_OF_Y = "HIGH_X_OF_Y"
    MBMA = "MBMA"
    PRE_EVENT = "PRE_EVENT"
    NOMINATION = "NOMINATION"
    ZERO = "ZERO"
    LIMIT = "LIMIT"
    CURVE = "CURVE"


class Scoring(StrEnum):
    """Whether the group is judged as one or each resource by itself."""

    GROUP = "GROUP"
    RESOURCE = "RESOURCE"


class Silence(StrEnum):
    """What silence means until the opt deadline."""

    IN = "IN"
    OUT = "OUT"


class ServiceTerms(Value, frozen=True, kw_only=True):
    """The terms for one class of service."""

    service: Service
    direction: Direction
    max_w: CapacityW
    baseline: BaselineMethod
    scoring: Scoring
    tolerance_w: CapacityW
    """How far short of the order still counts as delivered; a 66 W miss decides a verdict where this is absent."""
    delivered_min_ppm: Share
    """At or above this score the verdict is DELIVERED."""
    partial_min_ppm: Share
    """At or above this score the verdict is PARTIAL; below it FAILED."""
    price_micro_per_kwh: Micro
    penalty_micro_per_kwh: Micro
    currency: Currency
    cancel_notice_s: DurationS = 0
    """How long before its start the operator may still cancel a request that was accepted."""
    notice_s: DurationS = 0
    """How long before its start a request must be issued or revised at the latest."""
    max_activations: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    """How many requests may be accepted under these terms; 0 is no limit."""
    recovery_s: DurationS = 0
    """How long there must be between the end of one accepted request and the start of another."""
    availability_micro_per_kw_h: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 0
    """What is paid for a kW that was ordered and stood by for an hour, beside what it delivered."""
    max_var: CapacityVar = 0
    """The most reactive power, for the classes that ask for it."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a currency that there is not."""
        identifiers.require_currency(self.currency)


class OptPolicy(Value, frozen=True, kw_only=True):
    """The holder's right to opt out, and its limits."""

    default_on_silence: Silence
    opt_deadline_s: DurationS
    """How long before the start an opt decision must be in, unless the request says otherwise."""
    max_opt_outs: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class SettlementTerms(Value, frozen=True, kw_only=True):
    """What silence means after a request; 0 is no deadline."""

    proof_within_s: DurationS = 0
    """How long after its end a request can be proven; then it is unprovable."""
    dispute_within_s: DurationS = 0
    """How long after a proof the operator can dispute it; then its silence agrees."""


class ContractOffered(Record, frozen=True, kw_only=True):
    """One party's signed offer, with every term. It binds nobody until the other party accepts exactly this text."""

    TYPE = "contract.offered"
    STREAM = "fsc"

    fsc_id: PublicFsc
    version: Annotated[int, msgspec.Meta(ge=1, le=10_000), public("counts up")]
    kind: Annotated[ContractKind, public("which parties")]
    fo: PublicParty
    counterparty: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation on the other side; left out where the other side is a person."""
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    site_id: PublicSite
    evse_ids: (
        Annotated[
            tuple[EvseId, ...], msgspec.Meta(max_length=512), personal(Category.LOCATION, "quasi", retention="P3Y")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """Where the contract holds, if not at the whole site."""
    services: Annotated[
        tuple[ServiceTerms, ...], msgspec.Meta(min_length=1, max_length=16), public("terms between organisations")
    ]
    opt: Annotated[OptPolicy, public("terms between organisations")]
    settlement: Annotated[SettlementTerms, public("terms between organisations")] = SettlementTerms()
    notice_s: Annotated[DurationS, public("terms between organisations")] = 0
    """How long after a notice the contract ends."""
    mandatory_ack: Annotated[bool, public("the holder was told of the two grounds on which opting out is refused")]
    stackable: Annotated[bool, public("may run beside another contract for the same EVSE")] = False
    valid_from_ms: PublicMs
    valid_to_ms: PublicMs
    purposes: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[a-z-]{3,32}$(?!\n)")], ...],
        msgspec.Meta(min_length=1, max_length=8),
        public("what the data may be used for"),
    ]


class ContractAccepted(Record, frozen=True, kw_only=True):
    """The other party's signature under an offer. From here on the contract is signed by both."""

    TYPE = "contract.accepted"
    STREAM = "fsc"

    fsc_id: PublicFsc
    version: Annotated[int, msgspec.Meta(ge=1, le=10_000), public("the offer's version")]
    offer_sha256: PublicHash
    """SHA-256 of the offer's statement."""
    evu_statement: Words = msgspec.UNSET
    """The person's own signed acceptance, where the relaying organisation signs for the log."""


class ContractWithdrawn(Record, frozen=True, kw_only=True):
    """Whoever made the latest offer takes it back, before the other party accepted it."""

    TYPE = "contract.withdrawn"
    STREAM = "fsc"

    fsc_id: PublicFsc
    version: Annotated[int, msgspec.Meta(ge=1, le=10_000), public("the offer's version")]


class SuspensionCause(StrEnum):
    """Why a contract rests: a party's notice, or what the port found of a party's credential or a claim."""

    NOTICE = "NOTICE"
    CREDENTIAL = "CREDENTIAL"
    CLAIM = "CLAIM"


class ContractSuspended(Record, frozen=True, kw_only=True):
    """From here on nothing starts under the contract; what runs goes on, and a mandate needs none."""

    TYPE = "contract.suspended"
    STREAM = "fsc"

    fsc_id: PublicFsc
    cause: Annotated[SuspensionCause, public("a closed list")]


class ContractResumed(Record, frozen=True, kw_only=True):
    """Whoever suspended the contract for this cause says that it is gone."""

    TYPE = "contract.resumed"
    STREAM = "fsc"

    fsc_id: PublicFsc
    cause: Annotated[SuspensionCause, public("a closed list")]


class TerminationReason(StrEnum):
    """Why a contract ended."""

    NOTICE = "NOTICE"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    BREACH = "BREACH"


class ContractTerminated(Record, frozen=True, kw_only=True):
    """Either party ended the contract; requests that have not started under it can no longer start."""

    TYPE = "contract.terminated"
    STREAM = "fsc"

    fsc_id: PublicFsc
    reason: Annotated[TerminationReason, public("a closed list")]
    evu_statement: Words = msgspec.UNSET
    """The person's own signed withdrawal of consent, where the relaying organisation signs for the log."""


class HoldersAsked(Record, frozen=True, kw_only=True):
    """A flexibility operator asks which of the contracts that it means hold at a site; every question is on record.

    It means them by blinded ids (docs/spec/streams.md), made under the question's own id, so that nobody else can tell
    which contracts they are, or that two questions mean the same one. Without any it learns a rough number.
    """

    TYPE = "discovery.asked"
    STREAM = "discovery"

    query_id: PublicReference
    site_id: PublicSite
    service: Annotated[Service, public("class of service")]
    start_at_ms: PublicMs
    end_at_ms: PublicMs
    candidates: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")], ...],
        msgspec.Meta(max_length=512),
        public("blinded; says nothing to who does not have the contract"),
    ] = ()


class HeldStatus(StrEnum):
    """How a contract stands at the beginning of the time that was asked about."""

    SIGNED = "SIGNED"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    TERMINATED = "TERMINATED"


class CountBucket(StrEnum):
    """How many, so roughly that no single contract can be made out."""

    UNDER_5 = "UNDER_5"
    UNDER_50 = "UNDER_50"
    FROM_50 = "FROM_50"


class Held(Part, frozen=True, kw_only=True):
    """One contract that the asking operator meant, and is a party to."""

    blinded: Annotated[
        str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)"), public("one of the question's; says nothing to others")
    ]
    status: Annotated[HeldStatus, public("as its holder knows it anyway")]
    available_w: Annotated[CapacityW, public("capacity under the contract")]
    evse_count: Annotated[int, msgspec.Meta(ge=0, le=512), public("how many EVSEs it is for, not which")]


class HoldersAnswered(Record, frozen=True, kw_only=True):
    """The answer: of the contracts that were meant, the asking operator's own; if none was meant, a rough number."""

    TYPE = "discovery.answered"
    STREAM = "discovery"

    query_id: PublicReference
    matches: Annotated[tuple[Held, ...], msgspec.Meta(max_length=512), public("a list of parts")] = ()
    count: Annotated[CountBucket, public("a rough number, of all operators' contracts")] | None = None


KINDS: tuple[type[Record], ...] = (
    ContractOffered,
    ContractAccepted,
    ContractWithdrawn,
    ContractSuspended,
    ContractResumed,
    ContractTerminated,
    HoldersAsked,
    HoldersAnswered,
)
