"""/v1/contracts: offers, acceptances, terminations, who holds a contract, and what is on record of them."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import wire
from api.flows import contract_view, paging, relay, stream_view
from api.flows.contract_view import ContractView, Discovery
from api.flows.desk import Opened
from api.flows.discover import answer
from api.flows.service import Service
from api.principals import Principal
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, After, AtMs, PageSize
from api.web.routes.taking import taking
from ledger.records.contracts import (
    ContractAccepted,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    HoldersAsked,
)
from ledger.rules.contract_state import ContractState, ContractStatus
from pki.roles import Role

PARTIES = (Role.FO, Role.CSO, Role.CSP)
READERS = (*PARTIES, Role.EVU, Role.AUD, Role.DPO)
ASKERS = (Role.FO, Role.CSO, Role.AUD, Role.DPO)

OfStatus = Annotated[ContractStatus | None, QueryParameter(description="Only contracts in this state.")]
OfSite = Annotated[str | None, QueryParameter(max_length=64, description="Only contracts for this site.")]


class ContractList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the contracts that concern the caller, and the tree size for which it holds."""

    tree_size: int
    contracts: tuple[ContractView, ...]
    next: str | None
    """For `after`, to have the next page; None on the last one."""


class DiscoveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the questions about contract holders that concern the caller."""

    tree_size: int
    questions: tuple[Discovery, ...]
    next: str | None


async def _accept(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's acceptance is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.accept(service.desk, service.memory, opened, principal)
    return await service.desk.admit(opened, principal)


async def _terminate(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's withdrawal is relayed; an organisation's termination is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.withdraw(service.desk, service.memory, opened, principal)
    return await service.desk.admit(opened, principal)


async def _discover(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """The question is on record before it is answered; the answer is an entry of the same stream."""
    asked = await service.desk.admit(opened, principal)
    answered = asked if asked.duplicate else await answer(service.desk, opened)
    return msgspec.structs.replace(asked, tree_size=answered.tree_size)


@get("/v1/contracts", operation_id="list_contracts", tags=["contracts"], guards=[require(*READERS)])
async def list_contracts(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
    status: OfStatus = None,
    site_id: OfSite = None,
) -> ContractList:
    """The contracts that concern the caller, in the order in which they were first offered, a page at a time."""
    now_ms = service.desk.clock.now_ms()

    def wanted(one: ContractState) -> bool:
        return status in (None, one.status(now_ms)) and site_id in (None, one.latest.record.site_id)

    found, following = paging.page(
        contract_view.own(service.desk, service.memory, principal_of(request.scope)),
        name=lambda one: one.fsc_id,
        after=after,
        limit=limit,
        wanted=wanted,
    )
    return ContractList(
        tree_size=service.desk.appender.head.size,
        contracts=tuple(contract_view.view(one, now_ms) for one in found),
        next=following,
    )


@get("/v1/contracts/{fsc_id:str}", operation_id="read_contract", tags=["contracts"], guards=[require(*READERS)])
async def read_contract(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsc_id: FromPath[str], at_ms: AtMs = None
) -> ContractView:
    """One contract with all its versions, as it stands or as it stood at a time."""
    found = contract_view.require_own(service.desk, service.memory, fsc_id, principal_of(request.scope))
    return contract_view.view(found, service.desk.clock.now_ms() if at_ms is None else at_ms)


@get("/v1/contracts/discovery", operation_id="list_discoveries", tags=["contracts"], guards=[require(*ASKERS)])
async def list_discoveries(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = None,
) -> DiscoveryList:
    """Who asked which contracts hold where: an operator its own questions, the port and auditors all of them."""
    principal = principal_of(request.scope)
    found, following = paging.page(
        stream_view.own(service.desk, service.memory, principal, "discovery/"),
        name=lambda stream: stream.partition("/")[2],
        after=after,
        limit=limit,
    )
    questions = tuple(
        contract_view.discovery(service.desk, service.memory, stream.partition("/")[2], principal) for stream in found
    )
    return DiscoveryList(tree_size=service.desk.appender.head.size, questions=questions, next=following)


@get(
    "/v1/contracts/discovery/{query_id:str}",
    operation_id="read_discovery",
    tags=["contracts"],
    guards=[require(*ASKERS)],
)
async def read_discovery(
    request: Request[Any, Any, Any], service: NamedDependency[Service], query_id: FromPath[str]
) -> Discovery:
    """One question about contract holders, and its answer."""
    return contract_view.discovery(service.desk, service.memory, query_id, principal_of(request.scope))


HANDLERS = (
    taking(
        "/v1/contracts",
        ContractOffered,
        name="offer_contract",
        summary="Offer a contract, or a version of it",
        roles=PARTIES,
    ),
    taking(
        "/v1/contracts/{fsc_id:str}/acceptance",
        ContractAccepted,
        name="accept_contract",
        summary="Accept exactly the text that was offered",
        roles=(*PARTIES, Role.EVU),
        flow=_accept,
    ),
    taking(
        "/v1/contracts/{fsc_id:str}/withdrawal",
        ContractWithdrawn,
        name="withdraw_offer",
        summary="Take your latest offer back before it is accepted",
        roles=PARTIES,
    ),
    taking(
        "/v1/contracts/{fsc_id:str}/suspension",
        ContractSuspended,
        name="suspend_contract",
        summary="Let a contract rest: nothing starts under it",
        roles=PARTIES,
    ),
    taking(
        "/v1/contracts/{fsc_id:str}/resumption",
        ContractResumed,
        name="resume_contract",
        summary="Take your suspension back",
        roles=PARTIES,
    ),
    taking(
        "/v1/contracts/{fsc_id:str}/termination",
        ContractTerminated,
        name="terminate_contract",
        summary="End a contract; an EV user withdraws consent",
        roles=(*PARTIES, Role.EVU),
        flow=_terminate,
    ),
    taking(
        "/v1/contracts/discovery",
        HoldersAsked,
        name="discover_holders",
        summary="Ask which of your own contracts hold at a site; the question is recorded",
        roles=(Role.FO,),
        flow=_discover,
    ),
    list_contracts,
    read_contract,
    list_discoveries,
    read_discovery,
)
