"""/v1/contracts: offers, acceptances, terminations, and who holds a contract."""

import msgspec

from api import wire
from api.flows import relay
from api.flows.desk import Opened
from api.flows.discover import answer
from api.flows.service import Service
from api.principals import Principal
from api.web.routes.taking import taking
from ledger.records.contracts import ContractAccepted, ContractOffered, ContractTerminated, HoldersAsked
from pki.roles import Role

PARTIES = (Role.FO, Role.CSO, Role.CSP)


async def _accept(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """A person's acceptance is relayed; an organisation's is an entry itself."""
    if principal.role is Role.EVU:
        return await relay.accept(service.desk, service.memory, opened, principal)
    return await service.desk.admit(opened, principal)


async def _discover(service: Service, opened: Opened, principal: Principal) -> wire.Accepted:
    """The question is on record before it is answered; the answer is an entry of the same stream."""
    asked = await service.desk.admit(opened, principal)
    answered = asked if asked.duplicate else await answer(service.desk, service.memory, opened)
    return msgspec.structs.replace(asked, tree_size=answered.tree_size)


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
        "/v1/contracts/{fsc_id:str}/termination",
        ContractTerminated,
        name="terminate_contract",
        summary="End a contract",
        roles=PARTIES,
    ),
    taking(
        "/v1/contracts/discovery",
        HoldersAsked,
        name="discover_holders",
        summary="Ask which of your own contracts hold at a site; the question is recorded",
        roles=(Role.FO,),
        flow=_discover,
    ),
)
