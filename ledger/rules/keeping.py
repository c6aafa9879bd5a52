"""Rules of the log's own records: policies, closing records, order inside a stream."""

from ledger.records.actor import Role
from ledger.records.log import PolicyAdopted, StreamClosed
from ledger.rules.errors import PolicyMissing, PolicyOther, RulesUnknown, StreamCount, StreamIsClosed, WrongParty
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.rules_version import RULES_KNOWN

OWN_STREAMS = frozenset({"log", "privacy", "*"})
"""Streams of records that the log keeps about itself and about personal data."""


def require_policy(seen: Projection, fact: Fact) -> None:
    """Raises unless the entry stands under the policy in force; entry 0 is the first policy itself."""
    if not seen.sees_log:
        return
    if seen.policy_index is None:
        if not isinstance(fact.statement.record, PolicyAdopted):
            raise PolicyMissing("a log begins with a policy", found=fact.statement.claims.type, index=fact.index)
        wanted = fact.index
    else:
        wanted = seen.policy_index
    if fact.entry.pol != wanted:
        raise PolicyOther("the entry names another policy", expected=wanted, found=fact.entry.pol, index=fact.index)


def require_keeper(seen: Projection, fact: Fact) -> None:
    """Raises unless a record of the log's own comes from the party that keeps it, or from its OPS or DPO."""
    if fact.statement.record.STREAM not in OWN_STREAMS or fact.actor.role not in (Role.CSO, Role.CSP):
        return
    if seen.keeper is not None and not fact.speaks_for(seen.keeper):
        raise WrongParty("another party keeps this log", expected=seen.keeper, found=fact.actor.party)


def require_stream_open(seen: Projection, fact: Fact) -> None:
    """Raises if the stream has ended."""
    stream = seen.streams.get(fact.entry.stream)
    if stream is not None and stream.is_closed:
        raise StreamIsClosed("nothing follows its closing record", stream=fact.entry.stream)


def policy_adopted(_seen: Projection, _fact: Fact, record: PolicyAdopted) -> None:
    """A policy names rules that are known."""
    if record.rules not in RULES_KNOWN:
        raise RulesUnknown("other rules", expected=" or ".join(sorted(RULES_KNOWN)), found=record.rules)


def stream_closed(seen: Projection, fact: Fact, record: StreamClosed) -> None:
    """A closing record counts what it closes."""
    stream = seen.streams.get(fact.entry.stream)
    count = stream.count if stream is not None else 0
    if record.n != count:
        raise StreamCount("miscounted", expected=count, found=record.n, stream=fact.entry.stream)
