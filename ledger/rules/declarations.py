"""Rules of declarations: by which identifiers a party says it is known; each is one party's."""

from ledger.records.parties import PartyDeclared
from ledger.rules.errors.writing import IdentifierTaken, VersionGap
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.standing import require_party


def party_declared(seen: Projection, fact: Fact, record: PartyDeclared) -> None:
    """A party declares itself, version after version; an EIC or operator id that another one has is not its own."""
    require_party(fact, record.party_id)
    if record.role is not fact.actor.role:
        raise IdentifierTaken("not the role of its credential", expected=fact.actor.role, found=record.role)
    known = seen.parties.get(record.party_id)
    wanted = known.version + 1 if known is not None else 1
    if record.version != wanted:
        raise VersionGap("versions count up by one", expected=wanted, found=record.version)
    for name in record.names():
        owner = seen.declared.get(name, record.party_id)
        # Who declared what is another's is revoked whole; then the name is free for the one whose it is.
        if owner != record.party_id and not seen.credentials.is_barred(owner):
            raise IdentifierTaken("another party declared it", found=name, expected=owner)
