"""`Projection`: the fold of a log's entries into everything that the rules remember of it.

The same entries give the same projection, in the service after a restart and in an audit. Folding never refuses; an
auditor goes on past an entry that a rule refuses.
"""

from ledger.records.credentials import CheckRecorded
from ledger.records.requests import RequestIssued
from ledger.rules.fact import Fact
from ledger.rules.folding import FOLDS, tag_participations
from ledger.rules.kept_state import StreamState
from ledger.rules.known import Known, Scope


class Projection(Known):
    """What is known, and what folds further entries into it."""

    def __init__(self, scope: Scope = "log") -> None:
        """Nothing was folded yet."""
        super().__init__(scope, Projection)

    def fold(self, fact: Fact) -> None:
        """The fact was written."""
        self.tables.is_folding = True
        try:
            self._fold(fact)
        finally:
            self.tables.is_folding = False

    def _fold(self, fact: Fact) -> None:
        stream = self.streams.get(fact.entry.stream)
        if stream is None:
            stream = self.streams[fact.entry.stream] = StreamState()
        stream.count += 1
        record = fact.statement.record
        self.remembered.fold(fact, record)
        step = FOLDS.get(type(record))
        if step is not None:
            step(self, fact, record)
        if fact.entry.stream.startswith("fsr/") and not isinstance(record, RequestIssued):
            request = self.requests.get(fact.entry.stream.removeprefix("fsr/"))
            if request is not None:
                request.fold(record, fact.actor, fact.now_ms)
                if isinstance(record, CheckRecorded):
                    tag_participations(request, record, fact)
