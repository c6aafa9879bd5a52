"""/v1/parties, /v1/delegations, /v1/schedules: who is known as what, may act for whom, and wants what beforehand."""

from api import wire
from api.flows import relay
from api.flows.desk import Opened
from api.flows.service import Service
from api.principals import Principal
from api.web.routes.taking import taking
from ledger.records.opt import OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, PartyDeclared
from pki.roles import Role

HOLDERS = (Role.EVU, Role.CSP, Role.CSO)


async def _delegate(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's delegation is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.delegate(service.desk, service.memory, opened, principal)
    return await service.desk.admit(opened, principal)


async def _schedule(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's schedule is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.schedule(service.desk, service.memory, opened, principal)
    return await service.desk.admit(opened, principal)


HANDLERS = (
    taking(
        "/v1/parties",
        PartyDeclared,
        name="declare_party",
        summary="Say by which identifiers others know you",
        roles=(Role.FO, Role.CSO, Role.CSP),
    ),
    taking(
        "/v1/delegations",
        DelegationGiven,
        name="delegate",
        summary="Let another party act for you, for a time",
        roles=HOLDERS,
        flow=_delegate,
    ),
    taking(
        "/v1/delegations/{delegation_id:str}/revocation",
        DelegationRevoked,
        name="revoke_delegation",
        summary="Take a delegation back, or give it up",
        roles=HOLDERS,
        flow=_delegate,
    ),
    taking(
        "/v1/schedules",
        OptScheduled,
        name="schedule_opt",
        summary="Opt in or out ahead of any request, for a time",
        roles=HOLDERS,
        flow=_schedule,
    ),
    taking(
        "/v1/schedules/{schedule_id:str}/end",
        OptScheduleEnded,
        name="end_schedule",
        summary="End a schedule",
        roles=HOLDERS,
        flow=_schedule,
    ),
)
