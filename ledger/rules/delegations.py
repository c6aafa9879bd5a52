"""Rules of delegations: who may act for whom, given and revoked by whose right it is."""

from ledger.records.actor import Role
from ledger.records.parties import DelegationGiven, DelegationRevoked, Scope
from ledger.rules import persons
from ledger.rules.errors.contracts import DelegationAbsent, DelegationContradicts
from ledger.rules.errors.writing import AlreadyRecorded, NotDisclosed, TimesContradict, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.standing import require_party

_ORGANISATIONS = frozenset({Role.CSO, Role.CSP})


def delegation_given(seen: Projection, fact: Fact, record: DelegationGiven) -> None:
    """Whoever has a right gives it, once, to somebody else, for a time to come."""
    if record.delegation_id in seen.delegations:
        raise AlreadyRecorded("the delegation was given", delegation_id=record.delegation_id)
    if record.until_ms <= fact.now_ms:
        raise TimesContradict("it ends in the past", expected=f"after {fact.now_ms}", found=record.until_ms)
    if len(set(record.scopes)) != len(record.scopes):
        raise DelegationContradicts("a scope is named twice", expected=len(set(record.scopes)))
    named = record.grantor if isinstance(record.grantor, str) else None
    if record.grantor_role is Role.EVU:
        if named is not None:
            raise DelegationContradicts("a person is named in clear", expected="a digest")
        persons.require_words(fact, record, "delegation_id", "grantor_role", "delegate", "scopes", "until_ms")
        if fact.tags.get("person") is not None and fact.tags.get("person") == fact.tags.get("delegate"):
            raise DelegationContradicts("it is given to its grantor", expected="another party")
        return
    if named is None or record.grantor_role is not fact.actor.role or record.grantor_role not in _ORGANISATIONS:
        raise DelegationContradicts("not the grantor's role", expected=fact.actor.role, found=record.grantor_role)
    require_party(fact, named)
    if not isinstance(record.delegate, str) or record.delegate == named:
        raise DelegationContradicts("an organisation delegates to another one", found=record.delegation_id)


def delegation_revoked(seen: Projection, fact: Fact, record: DelegationRevoked) -> None:
    """Its grantor takes it back, or its delegate gives it up, once."""
    known = seen.delegations.get(record.delegation_id)
    if known is None:
        raise WrongOrder("nothing was delegated", delegation_id=record.delegation_id)
    if known.is_revoked:
        raise WrongOrder("it is revoked", delegation_id=record.delegation_id)
    if known.delegate is not None and known.delegate == fact.actor.party:
        return
    if known.record.grantor_role is not Role.EVU:
        require_party(fact, str(known.record.grantor))
        return
    persons.require_words(fact, record, "delegation_id")
    said = fact.tags.get("person")
    if said is not None and known.grantor is not None and said not in (known.grantor, known.delegate):
        raise DelegationContradicts("it is another person's", delegation_id=record.delegation_id)


def has(seen: Projection, scope: Scope, grantor: str | None, delegate: str | None, at_ms: int) -> bool:
    """Whether a delegation for that is in force from the one to the other, each by party id or blind tag."""
    return delegate is not None and any(
        one.delegate == delegate and scope in one.record.scopes and not one.is_revoked and at_ms < one.record.until_ms
        for one in seen.delegated_by(grantor or "")
    )


def require_person(seen: Projection, fact: Fact, owner: str | None, said: str | None, scope: Scope) -> None:
    """Raises `DelegationAbsent` unless who speaks is the person whose right it is, or has their delegation.

    `owner` is the blind tag of the person, `said` that of who speaks, or the party id of an organisation. Where tags
    are not known the rule is undecided; whoever takes statements in has them.
    """
    if not seen.sees_log or owner is None:
        return
    if said is None:
        if fact.evidence is not None:
            raise NotDisclosed("who speaks cannot be compared", expected="a blind name of the person")
        return
    if said != owner and not has(seen, scope, owner, said, fact.now_ms):
        raise DelegationAbsent("another person's right", expected=f"the person or a delegate for {scope}")
