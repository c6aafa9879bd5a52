"""What a party does with contracts, delegations and schedules from the command line."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.cli import failures
from api.cli.party_acts import read, run, say_after, state_record, whole
from api.cli.words import counted, one_of, utc
from api.client import discovery
from api.client.client import AsyncClient
from api.client.errors import AnswerMalformed
from api.client.party import PartyFile
from api.gateway import Gateway, Said
from ledger.records.contracts import (
    ContractAccepted,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    HoldersAsked,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.opt import OptScheduleEnded
from ledger.records.parties import DelegationRevoked
from ledger.records.services import Service


def accept(party_file: Path, fsc_id: str, offer_sha256: str, *, json: bool) -> int:
    """The party's signature under the offer of that digest; raises `InputUnfit` where there is no such offer."""

    async def make(_: PartyFile, client: AsyncClient) -> Said:
        offers = {one.offer_sha256: one.version for one in (await client.read_contract(fsc_id)).versions}
        if offer_sha256 not in offers:
            raise failures.InputUnfit("the contract has no such offer", expected="a digest of `contract show`")
        return whole(ContractAccepted(fsc_id=fsc_id, version=offers[offer_sha256], offer_sha256=offer_sha256))

    return say_after(party_file, make, json=json)


def withdraw(party_file: Path, fsc_id: str, version: int, *, json: bool) -> int:
    """The party's own offer is taken back."""
    return state_record(party_file, ContractWithdrawn(fsc_id=fsc_id, version=version), json=json)


def suspend(party_file: Path, fsc_id: str, *, json: bool) -> int:
    """Nothing starts under the contract."""
    return state_record(party_file, ContractSuspended(fsc_id=fsc_id, cause=SuspensionCause.NOTICE), json=json)


def resume(party_file: Path, fsc_id: str, *, json: bool) -> int:
    """The party's notice is over."""
    return state_record(party_file, ContractResumed(fsc_id=fsc_id, cause=SuspensionCause.NOTICE), json=json)


def terminate(party_file: Path, fsc_id: str, *, reason: str, json: bool) -> int:
    """The contract ends, after its notice."""
    record = ContractTerminated(fsc_id=fsc_id, reason=one_of(TerminationReason, reason))
    return state_record(party_file, record, json=json)


def revoke_delegation(party_file: Path, delegation_id: str, *, json: bool) -> int:
    """The delegate no longer acts."""
    return state_record(party_file, DelegationRevoked(delegation_id=delegation_id), json=json)


def end_schedule(party_file: Path, schedule_id: str, *, json: bool) -> int:
    """The schedule says nothing of requests to come."""
    return state_record(party_file, OptScheduleEnded(schedule_id=schedule_id), json=json)


def find(
    party_file: Path,
    site_id: str,
    service: str,
    from_ms: int,
    until_ms: int,
    *,
    contracts: Sequence[str],
    json: bool,
) -> int:
    """The question is on record, and so is the answer, which is shown."""
    wanted = one_of(Service, service)

    async def act(_: PartyFile, client: AsyncClient) -> Any:
        query_id = f"query-{secrets.token_hex(8)}"
        offers = {fsc_id: (await client.read_contract(fsc_id)).versions[-1].offer_sha256 for fsc_id in contracts}
        asked = HoldersAsked(
            query_id=query_id,
            site_id=site_id,
            service=wanted,
            start_at_ms=from_ms,
            end_at_ms=until_ms,
            candidates=discovery.candidates(offers.values(), query_id),
        )
        (told,) = await Gateway(client).state([whole(asked)])
        if told.problem is not None:
            return told
        answer = await client.get_json(f"/v1/contracts/discovery/{query_id}")
        if not isinstance(answer, dict):
            raise AnswerMalformed("the answer does not fit", expected="an object")
        return {**answer, "contracts": discovery.recognised(offers, query_id)}

    return run(party_file, act, _found, json=json)


def contracts(party_file: Path, *, status: str | None, limit: int, json: bool) -> int:
    """The contracts that concern the party."""
    query = "" if status is None else f"&status={status}"
    return read(party_file, f"/v1/contracts?limit={limit}{query}", _contracts, json=json)


def show(party_file: Path, fsc_id: str, *, json: bool) -> int:
    """One contract with its versions."""
    return read(party_file, f"/v1/contracts/{fsc_id}", _contract, json=json)


def _contracts(page: Mapping[str, Any]) -> str:
    lines = [f"{one['fsc_id']}  {one['status']}  {one['kind']}  {one['site_id']}" for one in page["contracts"]]
    more = [f"more after {page['next']}"] if page["next"] else []
    return "\n".join([*(lines or ["no contracts"]), *more])


def _contract(view: Mapping[str, Any]) -> str:
    versions = [
        f"  version {one['version']}  {utc(one['valid_from_ms'])} to {utc(one['valid_to_ms'])}  "
        f"offered by {one['offered_by']}, {'accepted' if one.get('accepted_at_ms') else 'not accepted'}  "
        f"{one['offer_sha256']}"
        for one in view["versions"]
    ]
    return "\n".join([f"{view['fsc_id']}  {view['status']}  {view['kind']}  {view['site_id']}", *versions])


def _found(told: Mapping[str, Any]) -> str:
    answer = told.get("answer")
    if answer is None:
        return f"{told['query_id']}: not answered yet"
    lines = [
        f"{told['contracts'].get(one['blinded'], one['blinded'])}  {one['status']}  {one['available_w']} W  "
        f"{counted(one['evse_count'], 'EVSE', 'EVSEs')}"
        for one in answer.get("matches", ())
    ]
    if answer.get("count") is not None:
        lines.append(f"contracts of all operators: {answer['count']}")
    return "\n".join(lines or ["none of them holds there"])
