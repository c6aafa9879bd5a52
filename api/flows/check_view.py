"""What a party may see of credential checks: every answer with its code, never which EVSE or person was asked about."""

from collections.abc import Iterator, Sequence

import msgspec

from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.standing import concerns
from api.principals import Principal
from ledger.records.credentials import CheckPurpose, CheckRecorded, Dimension, DimensionResult, Status


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one of the questions."""

    dimension: Dimension
    status: Status
    code: str


class CheckedView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One participation, under its random id."""

    participation: str
    overall: Status
    amount_w: int
    fsc_id: str | None = None
    dimensions: tuple[Answer, ...]


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """A check as the log says it; the bundle of its request has the evidence to ask the questions again."""

    check_id: str
    fsr_id: str
    purpose: CheckPurpose
    service: str
    as_of_ms: int
    valid_until_ms: int
    requester: str
    overall: Status
    requester_dimensions: tuple[Answer, ...]
    participations: tuple[CheckedView, ...]


def own(desk: Desk, principal: Principal) -> Iterator[CheckRecorded]:
    """The checks of the requests that concern the caller, by request, in order."""
    for request in desk.state.requests():
        if concerns(desk, request, principal):
            yield from tuple(request.checks.values())


def require_own(desk: Desk, check_id: str, principal: Principal) -> CheckRecorded:
    """The check; raises `NotConcerned`, the same for one that is not there and one that is not the caller's."""
    for request in desk.state.requests():
        if check_id in request.checks and concerns(desk, request, principal):
            return request.checks[check_id]
    raise NotConcerned("no such check of yours")


def view(check: CheckRecorded) -> CheckView:
    """The check, without what is personal in it."""
    return CheckView(
        check_id=check.check_id,
        fsr_id=check.fsr_id,
        purpose=check.purpose,
        service=check.service,
        as_of_ms=check.as_of_ms,
        valid_until_ms=check.valid_until_ms,
        requester=check.requester,
        overall=check.overall,
        requester_dimensions=_answers(check.requester_dimensions),
        participations=tuple(
            CheckedView(
                participation=one.participation,
                overall=one.overall,
                amount_w=one.amount_w,
                fsc_id=one.fsc_id if isinstance(one.fsc_id, str) else None,
                dimensions=_answers(one.dimensions),
            )
            for one in check.subjects
        ),
    )


def _answers(results: Sequence[DimensionResult]) -> tuple[Answer, ...]:
    return tuple(Answer(dimension=one.dimension, status=one.status, code=one.code) for one in results)
