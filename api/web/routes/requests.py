"""/v1/requests and what hangs below it: the life of a flexibility-service request."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Response

from api import wire
from api.flows import baseline, check, prove, relay
from api.flows.desk import Opened
from api.flows.service import Service
from api.flows.standing import concerns, require_concerned, require_evses, require_holder
from api.flows.view import Participation, RequestView, participations_of, view
from api.principals import Principal
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, PageSize
from api.web.routes import body
from api.web.routes.taking import taking, with_receipt
from ledger.records.credentials import CheckPurpose
from ledger.records.evidence import BaselineCommitted
from ledger.records.opt import OptDecided
from ledger.records.requests import (
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    SetpointBatch,
)
from ledger.records.work import DisputeResolved, Settled, WorkCountered
from ledger.rules.request_state import RequestState, RequestStatus
from pki.roles import Role

PORT = (Role.CSO, Role.CSP)
READERS = (Role.FO, Role.CSO, Role.CSP, Role.AUD, Role.DPO)
MAX_CHECKED = 256


After = Annotated[str | None, QueryParameter(max_length=64, description="The request that the page before ended with.")]
OfStatus = Annotated[RequestStatus | None, QueryParameter(description="Only requests in this state.")]
OfSite = Annotated[str | None, QueryParameter(max_length=64, description="Only requests for this site.")]


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


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The entry and what it says."""

    accepted: wire.Accepted
    check_id: str
    overall: str
    valid_until_ms: int
    participations: tuple[CheckedParticipation, ...]


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the requests that concern the caller, and the tree size for which it holds."""

    tree_size: int
    requests: tuple[RequestView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


class ParticipationList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own participations, and the tree size for which the list holds."""

    tree_size: int
    participations: tuple[Participation, ...]


async def _decide(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's decision is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.opt(service.desk, service.memory, opened, principal)
    if principal.role is Role.CSP and isinstance(opened.whole, OptDecided):
        request = require_concerned(service.desk, opened.whole.fsr_id, principal)
        require_holder(request, opened.whole.participation, principal)
    return await service.desk.admit(opened, principal)


async def _settle(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """After the settlement nothing follows: the closing record makes the stream complete for whoever holds it."""
    settled = await service.desk.admit(opened, principal)
    if not settled.duplicate:
        await service.desk.close(settled.stream, settled.seq)
    return settled


async def _baseline(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A counterfactual without its inputs could never be computed again, so it is not taken."""
    baseline.require_inputs(service.desk, opened)
    return await service.desk.admit(opened, principal)


@post("/v1/checks", operation_id="check", tags=["checks"], guards=[require(*PORT)], status_code=201)
async def run_check(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Checked:
    """Ask the six questions of these EVSEs for a request; the answer is an entry."""
    service.witnessing.require_signing()
    asked = await body.read(request, CheckAsked)
    principal = principal_of(request.scope)
    found = require_concerned(service.desk, asked.fsr_id, principal)
    require_evses(service.desk, service.memory, found.issued.site_id, asked.evse_ids, principal)
    accepted, result = await check.run(service.desk, service.memory, asked.fsr_id, asked.evse_ids, CheckPurpose.PRE_FSR)
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
            )
            for subject in result.subjects
        ),
    )


@get("/v1/requests", operation_id="list_requests", tags=["requests"], guards=[require(*READERS)])
async def list_requests(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
    status: OfStatus = None,
    site_id: OfSite = None,
) -> RequestList:
    """The requests that concern the caller, in the order in which they were issued, a page at a time."""
    principal = principal_of(request.scope)
    now_ms = service.desk.clock.now_ms()
    found: list[RequestView] = []
    for one in _issued_after(service, after, principal):
        if site_id in (None, one.issued.site_id) and status in (None, one.status(now_ms)):
            if len(found) == limit:
                return RequestList(
                    tree_size=service.desk.appender.head.size, requests=tuple(found), next=found[-1].fsr_id
                )
            found.append(view(one, now_ms))
    return RequestList(tree_size=service.desk.appender.head.size, requests=tuple(found), next=None)


def _issued_after(service: Service, after: str | None, principal: Principal) -> Iterator[RequestState]:
    """Those that concern the caller and were issued after `after`; it must be the caller's own, or nothing is told."""
    if after is not None:
        require_concerned(service.desk, after, principal)
    is_behind = after is None
    for one in service.desk.state.requests():
        if is_behind and concerns(service.desk, one, principal):
            yield one
        is_behind = is_behind or one.fsr_id == after


@get("/v1/requests/{fsr_id:str}", operation_id="read_request", tags=["requests"], guards=[require(*READERS)])
async def read_request(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> RequestView:
    """One request: its state, participations and proof."""
    found = require_concerned(service.desk, fsr_id, principal_of(request.scope))
    return view(found, service.desk.clock.now_ms())


@get("/v1/participations", operation_id="my_participations", tags=["requests"], guards=[require(Role.EVU)])
async def my_participations(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> ParticipationList:
    """The caller's own participations, so that they can decide about them."""
    found = participations_of(service, principal_of(request.scope).party)
    return ParticipationList(tree_size=service.desk.appender.head.size, participations=found)


@post(
    "/v1/requests/{fsr_id:str}/proof",
    operation_id="prove_work",
    tags=["requests"],
    guards=[require(Role.CSO)],
    status_code=201,
)
async def prove_work(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> Response[wire.Accepted]:
    """Make the proof of work of an ended request from the evidence, and write it down."""
    service.witnessing.require_signing()
    require_concerned(service.desk, fsr_id, principal_of(request.scope))
    accepted = await prove.prove(service.desk, service.memory, fsr_id)
    if wire.PREFER_RECEIPT in request.headers.get("prefer", ""):
        accepted = await with_receipt(service, accepted)
    return Response(accepted, status_code=201)


def _below(tail: str) -> str:
    return f"/v1/requests/{{fsr_id:str}}/{tail}"


HANDLERS = (
    taking("/v1/requests", RequestIssued, name="issue_request", summary="Ask for flexibility", roles=(Role.FO,)),
    taking(
        _below("response"), RequestAnswered, name="answer_request", summary="Accept all or part, or reject", roles=PORT
    ),
    taking(
        _below("setpoints"), SetpointBatch, name="move_setpoints", summary="Move a dynamic setpoint", roles=(Role.FO,)
    ),
    taking(
        _below("cancellation"),
        RequestCancelled,
        name="cancel_request",
        summary="Cancel before the start",
        roles=(Role.FO,),
    ),
    taking(
        _below("abort"), RequestAborted, name="abort_request", summary="End while it runs", roles=(Role.FO, Role.CSO)
    ),
    taking(
        _below("decisions"),
        OptDecided,
        name="decide",
        summary="Opt a participation in or out",
        roles=(Role.EVU, Role.CSP, Role.CSO, Role.FO),
        flow=_decide,
    ),
    taking(
        _below("baseline"),
        BaselineCommitted,
        name="commit_baseline",
        summary="Fix the counterfactual before the start",
        roles=PORT,
        flow=_baseline,
    ),
    taking(
        _below("counter"),
        WorkCountered,
        name="counter_work",
        summary="Agree to a proof or dispute it",
        roles=(Role.FO,),
    ),
    taking(
        _below("resolution"),
        DisputeResolved,
        name="resolve_dispute",
        summary="Sign the end of a dispute",
        roles=(Role.FO, Role.CSO, Role.AUD),
    ),
    taking(
        _below("settlement"),
        Settled,
        name="settle",
        summary="Say what it was worth; the request's stream is closed behind it",
        roles=(Role.FO,),
        flow=_settle,
    ),
    run_check,
    list_requests,
    read_request,
    my_participations,
    prove_work,
)
