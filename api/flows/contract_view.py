"""What a party may see of contracts, and of the questions that were asked about their holders."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from api.flows import stream_view
from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.flows.standing import concerns_stream
from api.principals import Principal
from ledger.records.contracts import (
    ContractKind,
    HoldersAnswered,
    HoldersAsked,
    OptPolicy,
    ServiceTerms,
    TerminationReason,
)
from ledger.rules.contract_state import ContractState, ContractStatus, Offered
from ledger.rules.errors.absent import ContractAbsent

MAX_OF_DISCOVERY: Final = 32
"""Entries of one question that are looked at: the question, its answer, and what was refused between."""


class ContractVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of the text: who offered it when, and who accepted it when."""

    version: int
    offer_sha256: str
    """SHA-256 of the offer's statement; an acceptance names it."""
    offered_by: str
    offered_at_ms: int
    accepted_by: str | None = None
    accepted_at_ms: int | None = None
    valid_from_ms: int
    valid_to_ms: int
    services: tuple[ServiceTerms, ...]
    opt: OptPolicy
    is_stackable: bool
    is_whole_site: bool
    """True where it names no person and no single EVSE."""


class ContractView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contract as it stood at `at_ms`. Who the person is in a contract with a person, it does not say."""

    fsc_id: str
    kind: ContractKind
    fo: str
    counterparty: str | None = None
    """The organisation on the other side; absent where that is a person."""
    site_id: str
    at_ms: int
    status: ContractStatus
    in_force: int | None = None
    """The version that both had signed by then."""
    versions: tuple[ContractVersion, ...]
    terminated_at_ms: int | None = None
    reason: TerminationReason | None = None


def own(desk: Desk, memory: Memory, principal: Principal) -> Iterator[ContractState]:
    """The contracts that concern the caller, in the order in which they were first offered."""
    for contract in desk.state.contracts():
        if concerns_stream(desk, memory, f"fsc/{contract.fsc_id}", principal):
            yield contract


def require_own(desk: Desk, memory: Memory, fsc_id: str, principal: Principal) -> ContractState:
    """The contract; raises `NotConcerned`, the same for one that is not there and one that is not the caller's."""
    try:
        contract = desk.state.contract(fsc_id)
    except ContractAbsent:
        contract = None
    if contract is None or not concerns_stream(desk, memory, f"fsc/{fsc_id}", principal):
        raise NotConcerned("no such contract of yours")
    return contract


def view(contract: ContractState, at_ms: int) -> ContractView:
    """The contract as it stood at `at_ms`: what was offered, accepted or ended later is not in it.

    Raises `NotConcerned` where nothing had been offered by then.
    """
    known = [version for version in contract.versions if version.at_ms <= at_ms]
    if not known:
        raise NotConcerned("nothing had been offered at that time")
    signed = contract.signed(at_ms)
    ended = contract.terminated_at_ms is not None and contract.terminated_at_ms <= at_ms
    last = known[-1].record
    return ContractView(
        fsc_id=contract.fsc_id,
        kind=contract.kind,
        fo=contract.fo,
        counterparty=contract.counterparty,
        site_id=last.site_id,
        at_ms=at_ms,
        status=contract.status(at_ms),
        in_force=None if signed is None else signed.record.version,
        versions=tuple(_version(one, at_ms) for one in known),
        terminated_at_ms=contract.terminated_at_ms if ended else None,
        reason=contract.terminated.reason if ended and contract.terminated is not None else None,
    )


def _version(offered: Offered, at_ms: int) -> ContractVersion:
    accepted = offered.accepted_at_ms is not None and offered.accepted_at_ms <= at_ms
    return ContractVersion(
        version=offered.record.version,
        offer_sha256=offered.sha256,
        offered_by=offered.party,
        offered_at_ms=offered.at_ms,
        accepted_by=offered.accepted_by if accepted else None,
        accepted_at_ms=offered.accepted_at_ms if accepted else None,
        valid_from_ms=offered.record.valid_from_ms,
        valid_to_ms=offered.record.valid_to_ms,
        services=offered.record.services,
        opt=offered.record.opt,
        is_stackable=offered.record.stackable,
        is_whole_site=offered.is_whole_site,
    )


class Discovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question about contract holders, and its answer once there is one; what was asked is what the log says."""

    query_id: str
    asked_by: str
    asked_at_ms: int
    question: dict[str, Any]
    answer: dict[str, Any] | None = None


def discovery(desk: Desk, memory: Memory, query_id: str, principal: Principal) -> Discovery:
    """The question and its answer; raises `NotConcerned` unless the caller asked it, answers such, or audits."""
    stream = f"discovery/{query_id}"
    stream_view.require_own(desk, memory, stream, principal)
    said, _ = stream_view.page(desk, stream, before=None, limit=MAX_OF_DISCOVERY)
    by_type = {one.type: one for one in said}
    asked = by_type.get(HoldersAsked.TYPE)
    if asked is None:
        raise NotConcerned("no such question of yours")
    answered = by_type.get(HoldersAnswered.TYPE)
    return Discovery(
        query_id=query_id,
        asked_by=desk.state.asked_by(query_id) or asked.party,
        asked_at_ms=asked.rec_ms,
        question=asked.event,
        answer=None if answered is None else answered.event,
    )
