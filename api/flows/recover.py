"""What a restart finds of executions that were broken off, and the causes by which facts are recorded: no I/O."""

from collections.abc import Mapping
from typing import Final

from api.execution.evidence import ExecutionFact, FactKind
from api.execution.hearing import MODE_CHANGED
from api.execution.port import OTHER_TRANSACTION, TRANSACTION_REPLACED
from api.execution.request import Adopted
from api.execution.run import BROKEN_OFF
from ledger.records.execution import Cause, ExecutionKind, ExecutionNoted
from ledger.rules.request_state import RequestState

OPTED_OUT: Final = "OptedOut"
RECOVER_WITHIN_MS: Final = 24 * 3_600_000
"""How long after its end the evidence of a request is still asked for: stations keep their records about as long."""
OVER: Final = frozenset({ExecutionKind.COMPLETED, ExecutionKind.ABORTED, ExecutionKind.UNABLE})
NO_CAUSE: Final = frozenset({"LateAnswer", MODE_CHANGED, "Superseded"})
"""Words of a fact that explain it and blame nobody."""
CAUSES: Final[Mapping[str, Cause]] = {
    OPTED_OUT: Cause.OPTED_OUT,
    BROKEN_OFF: Cause.FAULT,
    "Timeout": Cause.STATION_SILENT,
    "Disconnected": Cause.STATION_SILENT,
    "NotAfter": Cause.STATION_SILENT,
    "Withdrawn": Cause.STATION_SILENT,
    "ListenerClosed": Cause.FAULT,
    "QueueFull": Cause.STATION_SILENT,
    "EVDisconnected": Cause.EV_GONE,
    "StoppedByEV": Cause.EV_GONE,
    TRANSACTION_REPLACED: Cause.EV_GONE,
    OTHER_TRANSACTION.reason: Cause.EV_GONE,
    "SOCLimitReached": Cause.EV_LIMIT,
    "OtherControl": Cause.GRID_CODE,
}
BY_KIND: Final[Mapping[FactKind, Cause]] = {
    FactKind.REJECTED: Cause.STATION_REJECTED,
    FactKind.UNKNOWN: Cause.STATION_SILENT,
    FactKind.EXPIRED: Cause.STATION_SILENT,
    FactKind.ALARM: Cause.GRID_CODE,
    FactKind.ALARM_CLEARED: Cause.GRID_CODE,
}
"""Where the word itself is not known: what such a fact is caused by. Any other end is a fault, of whom nobody says."""


def cause_of(fact: ExecutionFact) -> Cause | None:
    """The recorded cause of a fact; None where there is none to name."""
    if fact.cause is None or fact.cause in NO_CAUSE:
        return None
    return CAUSES.get(fact.cause) or BY_KIND.get(fact.kind, Cause.FAULT)


def is_broken_off(request: RequestState, now_ms: int) -> bool:
    """Something was told to a station, nothing was proven, and evidence is missing that may still be had."""
    return (
        bool(request.bound())
        and request.work is None
        and request.issued.start_at_ms <= now_ms < request.issued.end_at_ms + RECOVER_WITHIN_MS
        and bool(adopted(request))
    )


def adopted(request: RequestState) -> dict[str, Adopted]:
    """Those that were dispatched and left no evidence yet, as the record has them.

    Whoever ended early did so when that was recorded, at the latest: the exact time is personal and not in the log.
    """
    ended = {
        record.participation: (record.kind, said_at_ms)
        for record, _, said_at_ms in request.history
        if isinstance(record, ExecutionNoted) and record.kind in OVER
    }
    found = {}
    for pid, part in request.bound().items():
        if not part.has_noted(ExecutionKind.DISPATCHED) or part.batch_ids:
            continue
        kind, at_ms = ended.get(pid, (None, None))
        if not part.has_started and (kind is not None or part.has_noted(ExecutionKind.REJECTED)):
            continue  # it is over, or it said no: there is nothing to prove, and nothing to ask again
        found[pid] = Adopted(
            has_started=part.has_started,
            is_closed=kind is not None,
            ended_at_ms=None if kind is ExecutionKind.COMPLETED else at_ms,
        )
    return found
