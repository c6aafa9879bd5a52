"""Who holds a contract: an operator learns of its own contracts only, and every question is on record."""

from api import wire
from api.flows.desk import Desk, Opened
from api.flows.errors import TypeNotTaken
from api.flows.memory import Memory
from ledger.records.contracts import Holder, HoldersAnswered, HoldersAsked
from ledger.rules.contract_state import ContractStatus


async def answer(desk: Desk, memory: Memory, opened: Opened) -> wire.Accepted:
    """The asking operator's contracts in force at the site for the class of service, need to know and nothing else."""
    asked = opened.whole
    if not isinstance(asked, HoldersAsked):
        raise TypeNotTaken("this flow answers questions about holders", expected=HoldersAsked.TYPE)
    holders = []
    for contract in desk.state.contracts_at(asked.site_id):
        offer = memory.offer(contract.fsc_id)
        if offer is None or offer.fo != opened.actor.party or offer.site_id != asked.site_id:
            continue
        terms = contract.terms(asked.service, asked.start_at_ms)
        if terms is not None and contract.status(asked.start_at_ms) is ContractStatus.ACTIVE:
            holders.append(Holder(fsc_id=contract.fsc_id, kind=contract.kind, available_w=terms.max_w))
    result = HoldersAnswered(query_id=asked.query_id, holders=tuple(holders))
    return await desk.say(result, f"discovery/{asked.query_id}")
