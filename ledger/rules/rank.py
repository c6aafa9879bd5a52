"""Rank: which request comes before another at the same place."""

from ledger.records.execution import ExecutionNoted
from ledger.rules.errors.requests import SupersededWithoutCause
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus

_HOLDS = frozenset({RequestStatus.SCHEDULED, RequestStatus.ACTIVE, RequestStatus.SUPERSEDED})


def outranks(other: RequestState, request: RequestState, part: ParticipationState) -> bool:
    """Whether `other` goes before `request` at the participation's EVSE: a mandate, or a lower number of priority.

    Where either EVSE is not known, the site counts; a mandate's limit is the whole site's.
    """
    if other is request or request.is_mandatory or other.issued.site_id != request.issued.site_id:
        return False
    if other.is_mandatory:
        return True
    tags = {one.evse_tag for one in other.bound().values()}
    is_there = None in tags or part.evse_tag is None or part.evse_tag in tags
    return is_there and other.issued.priority < request.issued.priority


def require_superior(
    seen: Projection, request: RequestState, part: ParticipationState, record: ExecutionNoted, now_ms: int
) -> None:
    """Raises `SupersededWithoutCause` unless the request that the fact names outranks this one, holds now, and holds
    until the time that the fact gives.
    """
    if record.by_fsr_id is None or record.until_ms is None:
        raise SupersededWithoutCause("it does not say by what and until when", participation=part.participation)
    if not seen.sees_log:
        return
    other = seen.requests.get(record.by_fsr_id)
    if other is None or not outranks(other, request, part):
        raise SupersededWithoutCause(
            "that request is of no higher rank here", found=record.by_fsr_id, participation=part.participation
        )
    status = other.status(now_ms)
    if status not in _HOLDS or now_ms < other.issued.start_at_ms:
        raise SupersededWithoutCause("that request does not hold now", expected="in its window", found=status)
    if not now_ms < record.until_ms <= other.issued.end_at_ms:
        raise SupersededWithoutCause(
            "it ends at another time", expected=f"at most {other.issued.end_at_ms}", found=record.until_ms
        )
