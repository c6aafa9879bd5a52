"""`Fact`: one statement at its place in the log, opened, with what the judge needs to know beside it."""

from collections.abc import Mapping

import msgspec

from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.requests import DirectiveGiven
from ledger.records.statement import Statement


class OpenedDirective(msgspec.Struct, frozen=True):
    """A system operator's directive, and the actor whose key verifiably signed it."""

    record: DirectiveGiven
    actor: Actor


class VouchedRoot(msgspec.Struct, frozen=True):
    """A root whose key verifiably signed the words of a change of roots, and the root that changes; both by digest."""

    root: str
    by: str


class Evidence(msgspec.Struct, frozen=True):
    """What the caller opened and verified for this statement; None where there was nothing to open."""

    directive: OpenedDirective | None = None
    """The directive inside the mandate of an `fsr.issued`."""
    person: Actor | None = None
    """The EV user whose own signed statement is relayed."""
    person_statement: Statement | None = None
    """That statement, verified under the key of `person`."""
    root: VouchedRoot | None = None
    """Of a `log.root-adopted` or `log.root-retired`."""


class Fact(msgspec.Struct, frozen=True):
    """An authentic statement, its actor and its place.

    `now_ms` is exact when the statement comes in and `entry.rec` in an audit. `tags` are blind names of personal
    values, equal where the values are: EVSE id to tag for `site.configured` and `contract.offered`, participation to
    its EVSE's tag for `fsr.answered`, "root" to tag for `samples.committed`; empty where nobody can know them.

    `evidence` is None only where evidence cannot be had any more, as in an offline audit: then what rests on a
    person's words is undecided. Whoever takes statements in always passes an `Evidence`.
    """

    index: int
    entry: Entry
    statement: Statement
    actor: Actor
    now_ms: int
    tags: Mapping[str, str]
    evidence: Evidence | None

    def speaks_for(self, party: str) -> bool:
        """Whether the actor is `party` or acts on its delegation."""
        return party in (self.actor.party, self.actor.delegated_by)
