"""A person's own words, relayed by an organisation that signs for the log."""

from collections.abc import Callable
from typing import Any, Final

from ledger.records.actor import Role
from ledger.records.contracts import ContractAccepted, ContractTerminated
from ledger.records.opt import OptActor, OptDecided, OptOrigin, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked
from ledger.records.record import Record
from ledger.rules.errors.contracts import PersonUnproven
from ledger.rules.errors.writing import PersonUncalled
from ledger.rules.fact import Fact


def require_acceptance(fact: Fact, record: ContractAccepted) -> None:
    """Raises unless an EV user verifiably accepted the same offer."""
    inner = _person_record(fact, record)
    if inner is None:
        return
    if not isinstance(inner, ContractAccepted):
        raise PersonUnproven("the person said something else", expected=record.TYPE, found=inner.TYPE)
    if (inner.fsc_id, inner.version, inner.offer_sha256) != (record.fsc_id, record.version, record.offer_sha256):
        raise PersonUnproven("the person accepted another offer", expected="the same contract, version and digest")


def require_decision(fact: Fact, record: OptDecided) -> None:
    """Raises unless an EV user verifiably made the same decision."""
    inner = _person_record(fact, record)
    if inner is None:
        return
    if not isinstance(inner, OptDecided):
        raise PersonUnproven("the person said something else", expected=record.TYPE, found=inner.TYPE)
    said = (inner.fsr_id, inner.revision, inner.participation, inner.choice)
    if said != (record.fsr_id, record.revision, record.participation, record.choice):
        raise PersonUnproven("the person decided otherwise", expected="the same request, participation and choice")
    if inner.actor is not OptActor.EVU:
        raise PersonUnproven("the person spoke in another right", expected=OptActor.EVU, found=inner.actor)


def require_words(fact: Fact, record: Record, *fields: str) -> None:
    """Raises unless an EV user verifiably said the same, as far as it is public: the fields of this name are equal."""
    inner = _person_record(fact, record)
    if inner is None:
        return
    if type(inner) is not type(record):
        raise PersonUnproven("the person said something else", expected=record.TYPE, found=inner.TYPE)
    for name in fields:
        if getattr(inner, name) != getattr(record, name):
            raise PersonUnproven("the person said otherwise", expected=f"the same {name}")


def _person_record(fact: Fact, record: Record) -> Record | None:
    """What the person said, for this log and stream; None where evidence cannot be had any more."""
    if not record.sd:
        raise PersonUnproven("the relay commits to nothing", expected="a digest of the person's statement")
    if fact.evidence is None:
        return None
    person, said = fact.evidence.person, fact.evidence.person_statement
    if person is None or said is None:
        raise PersonUnproven("the person's statement is not shown", expected="a verified statement of an EV user")
    if person.role is not Role.EVU:
        raise PersonUnproven("another role signed it", expected=Role.EVU, found=person.role)
    if said.claims.iss != person.party:
        raise PersonUnproven("the statement names another person than its credential")
    ours = fact.statement.claims
    if (said.claims.aud, said.claims.stream) != (ours.aud, ours.stream):
        raise PersonUnproven("it was said elsewhere", expected="the relay's log and stream")
    return said.record


def require_called_for(fact: Fact) -> None:
    """Raises `PersonUncalled` if a person's words come with what an organisation says in its own right.

    The port's key signs what it relays: in its own right that would let a person use the port's. Whoever takes
    statements in sees the words; an audit sees whether an organisation's delegation hides anything, and it may not.
    """
    record = fact.statement.record
    if is_relayed(record):
        return
    is_shown = fact.evidence is not None and (
        fact.evidence.person is not None or fact.evidence.person_statement is not None
    )
    if is_shown or (isinstance(record, DelegationGiven) and record.sd):
        raise PersonUncalled(
            "an organisation says it in its own right", expected="no words of a person", type=record.TYPE
        )


def is_undecided(fact: Fact) -> bool:
    """Whether a relayed statement's person can no longer be asked for."""
    return fact.evidence is None and is_relayed(fact.statement.record)


def is_relayed(record: Record) -> bool:
    """Whether the record rests on a person's own words, which it commits to."""
    # By type, for every entry is asked and few types are among them.
    answer = _RELAYED.get(type(record))
    return answer is not None and answer(record)


def _is_decided_by_person(record: OptDecided) -> bool:
    return record.actor is OptActor.EVU and record.origin is OptOrigin.EXPLICIT and not record.by_delegate


def _is_scheduled_by_person(record: OptScheduled) -> bool:
    return record.actor is OptActor.EVU


def _is_given_by_person(record: DelegationGiven) -> bool:
    return record.grantor_role is Role.EVU


def _shows_words(record: ContractAccepted | ContractTerminated | OptScheduleEnded | DelegationRevoked) -> bool:
    return bool(record.sd) or isinstance(record.evu_statement, str)


_RELAYED: Final[dict[type[Record], Callable[[Any], bool]]] = {
    OptDecided: _is_decided_by_person,
    OptScheduled: _is_scheduled_by_person,
    DelegationGiven: _is_given_by_person,
    ContractAccepted: _shows_words,
    ContractTerminated: _shows_words,
    OptScheduleEnded: _shows_words,
    DelegationRevoked: _shows_words,
}
"""For each record that a person can have asked for: whether one did."""
