"""What could not be decided, and why: never silently passed."""

from collections.abc import Iterator

import msgspec

from ledger.records.actor import Role
from ledger.records.contracts import (
    ContractAccepted,
    ContractKind,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    HoldersAnswered,
)
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.log import RootAdopted, RootRetired
from ledger.records.opt import OptActor, OptDecided, OptOrigin
from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationRequested,
)
from ledger.records.record import Record
from ledger.records.requests import RequestAnswered, RequestCancelled, RequestIssued, RequestRevised
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import SessionMirrored, SiteConfigured
from ledger.records.work import WorkProven
from ledger.rules import orders, persons
from ledger.rules.errors.answers import BaselineShared, DoubleSelling, EvseNotAtSite
from ledger.rules.errors.contracts import (
    ContractConflict,
    ContractLimit,
    ContractNotice,
    ContractNotInForce,
    DelegationAbsent,
    DiscoveryForeign,
    DiscoveryIncomplete,
    PersonUnproven,
)
from ledger.rules.errors.execution import BaselineMethodOther, BatchReused
from ledger.rules.errors.log import RootUnvouched
from ledger.rules.errors.opting import OptLimit, OptUnscheduled
from ledger.rules.errors.privacy import FourEyes, HoldUnknown, ReidentificationUnasked
from ledger.rules.errors.requests import CancelLate, SiteUnknown, SupersededWithoutCause
from ledger.rules.errors.sites import EvseCommitted
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.errors.writing import PolicyMissing, WrongParty
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.writers import WRITERS

SCOPE = "scope: log, see audit"
TAGS = "tags: kept by the service, see its own audit"
PERSON = "evidence: the person's statement is not shown"
TERMS = "contract: not named by the check"
ROOTS = "evidence: the certificate of the root that vouches is not at hand"


class Undecided(msgspec.Struct, frozen=True):
    """One rule that was not decided for `count` entries, of which `first` and `last` are the outermost."""

    code: str
    why: str
    count: int
    first: int
    last: int


ACROSS: dict[type, tuple[type[RuleViolated], ...]] = {
    SiteConfigured: (EvseNotAtSite, EvseCommitted),
    SiteChanged: (EvseNotAtSite, EvseCommitted),
    SessionMirrored: (SiteUnknown,),
    ContractOffered: (SiteUnknown,),
    ContractAccepted: (ContractConflict,),
    HoldersAnswered: (DiscoveryForeign, DiscoveryIncomplete),
    RequestIssued: (SiteUnknown, ContractNotInForce, ContractLimit, ContractNotice),
    RequestRevised: (ContractNotInForce, ContractLimit, ContractNotice),
    RequestCancelled: (CancelLate,),
    RequestAnswered: (ContractNotInForce, ContractLimit, DoubleSelling, BaselineShared),
    OptDecided: (OptLimit, DelegationAbsent, OptUnscheduled),
    BaselineCommitted: (BaselineMethodOther,),
    SamplesCommitted: (BatchReused,),
    ContractSuspended: (WrongParty,),
    ContractResumed: (WrongParty,),
    WorkProven: (BatchReused,),
    ReidentificationRequested: (ReidentificationUnasked,),
    ReidentificationApproved: (ReidentificationUnasked, FourEyes),
    ReidentificationClosed: (ReidentificationUnasked, FourEyes),
    HoldPlaced: (HoldUnknown,),
    HoldLifted: (HoldUnknown,),
}
"""Rules that need other streams than the record's own."""

_SPOKEN_FOR = frozenset({"fsr", "*"})
"""Streams of records whose writer depends on who operates the site or keeps the log."""


def found(seen: Projection, fact: Fact) -> Iterator[tuple[str, str]]:
    """(code, why) of every rule that cannot be decided for this fact, before it is folded."""
    record = fact.statement.record
    if persons.is_undecided(fact):
        yield PersonUnproven.code, PERSON
    if fact.evidence is None and isinstance(record, RootAdopted | RootRetired):
        yield RootUnvouched.code, ROOTS
    if not seen.sees_log:
        yield PolicyMissing.code, SCOPE
        for rule in ACROSS.get(type(record), ()):
            yield rule.code, SCOPE
        if _tells_of_rank(record):
            yield SupersededWithoutCause.code, SCOPE
        if record.STREAM in _SPOKEN_FOR and not WRITERS.get(type(record), frozenset()).isdisjoint({Role.CSO, Role.CSP}):
            yield WrongParty.code, SCOPE
        return
    yield from _for_want_of_tags(seen, fact)


def _for_want_of_tags(seen: Projection, fact: Fact) -> Iterator[tuple[str, str]]:
    record = fact.statement.record
    if isinstance(record, SiteConfigured | SiteChanged):
        if not fact.tags and record.site_id in seen.sites:
            yield EvseCommitted.code, TAGS
    elif isinstance(record, RequestAnswered):
        request = seen.requests.get(record.fsr_id)
        is_sold = request is not None and not request.is_mandatory and bool(record.offers)
        tagged = all(offer.participation in fact.tags for offer in record.offers)
        if request is not None and is_sold and not (tagged and seen.capacity.knows_site(request.issued.site_id)):
            yield DoubleSelling.code, TAGS
            if orders.periods(request.issued) is not None:
                yield BaselineShared.code, TAGS
    elif isinstance(record, SamplesCommitted) and "root" not in fact.tags:
        yield BatchReused.code, TAGS
    elif isinstance(record, ContractAccepted):
        if _hides_evses(seen, record):
            yield ContractConflict.code, TAGS
    elif isinstance(record, OptDecided):
        if _hides_person(seen, fact, record):
            yield DelegationAbsent.code, TAGS
        request = seen.requests.get(record.fsr_id)
        if request is not None and not request.is_mandatory and request.contract_of(record.participation) is None:
            yield OptLimit.code, TERMS


def _tells_of_rank(record: Record) -> bool:
    """Whether it says that a request of higher rank came between."""
    return isinstance(record, ExecutionNoted) and record.kind is ExecutionKind.SUPERSEDED


def _hides_person(seen: Projection, fact: Fact, record: OptDecided) -> bool:
    """Whether nobody can tell whose session it is, or who speaks for them."""
    request = seen.requests.get(record.fsr_id)
    part = request.participations.get(record.participation) if request is not None else None
    if record.actor is not OptActor.EVU or part is None:
        return False
    says_who = record.by_delegate or record.origin is OptOrigin.SCHEDULED or "person" in fact.tags
    return part.evse_tag is None or not says_who


def _hides_evses(seen: Projection, record: ContractAccepted) -> bool:
    """Whether the contract is for some EVSEs or one car, and nobody can tell which."""
    contract = seen.contracts.get(record.fsc_id)
    if contract is None or contract.latest.is_whole_site:
        return False
    return contract.kind is ContractKind.FO_EVU or not contract.latest.evse_tags
