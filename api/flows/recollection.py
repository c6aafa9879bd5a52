"""Which entries a start has to look at again: found in the one pass in which the rules are folded."""

from ledger.records import record
from ledger.records.privacy import ErasureExecuted
from ledger.records.requests import RequestIssued, RequestRevised
from ledger.rules.fact import Fact


class Recollection:
    """Sees every entry once, and remembers the places of those that matter beside the rules."""

    def __init__(self, types: frozenset[str], pending: frozenset[str]) -> None:
        """`types` are those of the memory; `pending` are digests in the vault that may be in no entry."""
        self._types = types | {ErasureExecuted.TYPE, RequestIssued.TYPE, RequestRevised.TYPE}
        self._pending = pending
        self.places: list[int] = []

    def see(self, fact: Fact) -> None:
        """One entry."""
        if fact.entry.type in self._types or self._settles(fact):
            self.places.append(fact.index)

    def _settles(self, fact: Fact) -> bool:
        return bool(self._pending) and not self._pending.isdisjoint(record.digests(fact.statement.claims.event))
