"""/v1/checks: the six questions of a credential check, asked and read again."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import wire
from api.flows import check, check_view, paging
from api.flows.ability import Ability
from api.flows.check_view import CheckView
from api.flows.service import Service
from api.flows.standing import require_concerned, require_evses
from api.web import schema
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, After, PageSize
from api.web.routes import body
from ledger.records.credentials import CheckPurpose
from pki.roles import Role

PORT = (Role.CSO, Role.CSP)
READERS = (Role.FO, Role.CSO, Role.CSP, Role.AUD, Role.DPO)
MAX_CHECKED = 256

OfRequest = Annotated[str | None, QueryParameter(max_length=64, description="Only checks for this request.")]


class CheckAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which EVSEs might take part in which request."""

    fsr_id: Annotated[str, msgspec.Meta(min_length=3, max_length=64)]
    evse_ids: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=40)], ...], msgspec.Meta(min_length=1, max_length=MAX_CHECKED)
    ]


class CheckedParticipation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a check, with the EVSE behind the participation, for the operator of the EVSE only."""

    participation: str
    evse_id: str
    overall: str
    failed: tuple[str, ...]
    """`DIMENSION code` of each question that was not answered with PASS."""
    amount_w: int
    fsc_id: str | None
    station: str
    """What the station says of itself: ABLE, UNABLE or UNKNOWN. A hint for the offer, not in the log."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The entry and what it says."""

    accepted: wire.Accepted
    check_id: str
    overall: str
    valid_until_ms: int
    participations: tuple[CheckedParticipation, ...]


class CheckList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the checks that concern the caller, and the tree size for which it holds."""

    tree_size: int
    checks: tuple[CheckView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


@post(
    "/v1/checks",
    operation_id="check",
    tags=["checks"],
    guards=[require(*PORT)],
    status_code=201,
    opt={schema.OPT_BODY: CheckAsked},
)
async def run_check(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Checked:
    """Ask the six questions of these EVSEs for a request; the answer is an entry."""
    service.witnessing.require_signing()
    asked = await body.read(request, CheckAsked)
    principal = principal_of(request.scope)
    found = require_concerned(service.desk, asked.fsr_id, principal)
    require_evses(service.desk, service.memory, found.issued.site_id, asked.evse_ids, principal)
    accepted, result = await check.run(service.desk, service.memory, asked.fsr_id, asked.evse_ids, CheckPurpose.PRE_FSR)
    says = {} if service.executions is None else await service.executions.abilities(found, asked.evse_ids)
    return Checked(
        accepted=accepted,
        check_id=result.check_id,
        overall=result.overall.value,
        valid_until_ms=result.valid_until_ms,
        participations=tuple(
            CheckedParticipation(
                participation=subject.participation,
                evse_id=str(subject.evse_id),
                overall=subject.overall.value,
                failed=tuple(f"{d.dimension} {d.code}" for d in subject.dimensions if d.status != "PASS"),
                amount_w=subject.amount_w,
                fsc_id=subject.fsc_id if isinstance(subject.fsc_id, str) else None,
                station=says.get(str(subject.evse_id), Ability.UNKNOWN),
            )
            for subject in result.subjects
        ),
    )


@get("/v1/checks", operation_id="list_checks", tags=["checks"], guards=[require(*READERS)])
async def list_checks(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
    fsr_id: OfRequest = None,
) -> CheckList:
    """The checks that concern the caller, by request, in the order in which they were run."""
    found, following = paging.page(
        check_view.own(service.desk, principal_of(request.scope)),
        name=lambda one: one.check_id,
        after=after,
        limit=limit,
        wanted=lambda one: fsr_id in (None, one.fsr_id),
    )
    checks = tuple(check_view.view(one) for one in found)
    return CheckList(tree_size=service.desk.appender.head.size, checks=checks, next=following)


@get("/v1/checks/{check_id:str}", operation_id="read_check", tags=["checks"], guards=[require(*READERS)])
async def read_check(
    request: Request[Any, Any, Any], service: NamedDependency[Service], check_id: FromPath[str]
) -> CheckView:
    """One check: each participation with its six answers, under its random id."""
    return check_view.view(check_view.require_own(service.desk, check_id, principal_of(request.scope)))


HANDLERS = (run_check, list_checks, read_check)
