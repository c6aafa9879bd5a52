"""/v1/requests and what hangs below it: the life of a flexibility-service request."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Response

from api import wire
from api.flows import baseline, paging, prove, relay
from api.flows.decisions import Decision, decisions_of
from api.flows.desk import Opened
from api.flows.service import Service
from api.flows.standing import concerns, require_concerned, require_delegate, require_holder
from api.flows.view import Participation, RequestView, participations_of, view
from api.principals import Principal
from api.verification import openadr
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, After, PageSize
from api.web.routes.taking import taking, with_receipt
from ledger.records.evidence import BaselineCommitted
from ledger.records.opt import OptDecided
from ledger.records.requests import (
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
    SetpointBatch,
)
from ledger.records.work import DisputeResolved, Settled, WorkCountered
from ledger.rules.request_state import RequestState, RequestStatus
from pki.roles import Role

PORT = (Role.CSO, Role.CSP)
READERS = (Role.FO, Role.CSO, Role.CSP, Role.AUD, Role.DPO)

OfStatus = Annotated[RequestStatus | None, QueryParameter(description="Only requests in this state.")]
OfSite = Annotated[str | None, QueryParameter(max_length=64, description="Only requests for this site.")]


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the requests that concern the caller, and the tree size for which it holds."""

    tree_size: int
    requests: tuple[RequestView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


class DecisionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the decisions about a request's participations, and the tree size for which it holds."""

    tree_size: int
    decisions: tuple[Decision, ...]
    next: str | None


class ParticipationList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own participations, and the tree size for which the list holds."""

    tree_size: int
    participations: tuple[Participation, ...]


def _below(tail: str) -> str:
    return f"/v1/requests/{{fsr_id:str}}/{tail}"


async def _decide(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's decision is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.opt(service.desk, service.memory, opened, principal)
    if isinstance(opened.whole, OptDecided) and opened.whole.by_delegate:
        require_delegate(service.desk, service.memory, opened.whole, principal)
    elif principal.role is Role.CSP and isinstance(opened.whole, OptDecided):
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

    def wanted(one: RequestState) -> bool:
        return site_id in (None, one.issued.site_id) and status in (None, one.status(now_ms))

    found, following = paging.page(
        (one for one in service.desk.state.requests() if concerns(service.desk, one, principal)),
        name=lambda one: one.fsr_id,
        after=after,
        limit=limit,
        wanted=wanted,
    )
    return RequestList(
        tree_size=service.desk.appender.head.size,
        requests=tuple(view(one, now_ms) for one in found),
        next=following,
    )


@get("/v1/requests/{fsr_id:str}", operation_id="read_request", tags=["requests"], guards=[require(*READERS)])
async def read_request(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> RequestView:
    """One request: its state, participations and proof."""
    found = require_concerned(service.desk, fsr_id, principal_of(request.scope))
    return view(found, service.desk.clock.now_ms())


@get(_below("openadr"), operation_id="export_openadr", tags=["requests"], guards=[require(Role.FO, Role.CSO, Role.AUD)])
async def export_openadr(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> openadr.Export:
    """The request and its proof as OpenADR 3.1 JSON, with a list of what did not fit."""
    found = require_concerned(service.desk, fsr_id, principal_of(request.scope))
    return openadr.export([found.issued, *(record for record, _, _ in found.history)])


@get(_below("decisions"), operation_id="list_decisions", tags=["requests"], guards=[require(*READERS, Role.EVU)])
async def list_decisions(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    fsr_id: FromPath[str],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
) -> DecisionList:
    """Who opted what in or out, in the order of the log; an EV user sees its own participations only."""
    principal = principal_of(request.scope)
    found = decisions_of(service.desk, service.memory, fsr_id, principal)
    page, following = paging.page(found, name=lambda one: one.opt_id, after=after, limit=limit)
    return DecisionList(tree_size=service.desk.appender.head.size, decisions=page, next=following)


@get("/v1/participations", operation_id="my_participations", tags=["requests"], guards=[require(Role.EVU, Role.CSP)])
async def my_participations(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> ParticipationList:
    """The caller's own participations, and those of whoever it is a delegate of, so that it can decide about them."""
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


HANDLERS = (
    taking("/v1/requests", RequestIssued, name="issue_request", summary="Ask for flexibility", roles=(Role.FO,)),
    taking(
        _below("response"), RequestAnswered, name="answer_request", summary="Accept all or part, or reject", roles=PORT
    ),
    taking(
        _below("setpoints"), SetpointBatch, name="move_setpoints", summary="Move a dynamic setpoint", roles=(Role.FO,)
    ),
    taking(
        _below("revision"),
        RequestRevised,
        name="revise_request",
        summary="Ask for something else instead, before the answer; checks and opts start anew",
        roles=(Role.FO,),
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
    list_decisions,
    export_openadr,
    list_requests,
    read_request,
    my_participations,
    prove_work,
)
