"""One method for each route that takes a signed statement.

Generated from the routes of the service (`python -m tests.support.client_source --write`); a test compares.
"""

from typing import Unpack

from api.client.receipts import Receipt
from api.client.typed.caller import AsyncCaller, Handing
from ledger.records.contracts import (
    ContractAccepted,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    HoldersAsked,
)
from ledger.records.evidence import BaselineCommitted
from ledger.records.opt import OptDecided, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, PartyDeclared
from ledger.records.requests import (
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
    SetpointBatch,
)
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import (
    ClaimRegistered,
    ClaimWithdrawn,
    InstallationLinked,
    SessionMirrored,
    SiteAvailable,
    SiteConfigured,
)
from ledger.records.work import DisputeResolved, Settled, WorkCountered


class AsyncStatements(AsyncCaller):
    """One method for each route that takes a signed statement; raises `RemoteProblem`."""

    async def forecast_availability(self, said: SiteAvailable, **more: Unpack[Handing]) -> Receipt:
        """Forecast what the site could give."""
        return await self.state("/v1/sites/{site_id}/availability", said, more)

    async def configure_site(self, said: SiteConfigured, **more: Unpack[Handing]) -> Receipt:
        """Declare a site: grid connection, EVSEs, meters."""
        return await self.state("/v1/sites", said, more)

    async def change_site(self, said: SiteChanged, **more: Unpack[Handing]) -> Receipt:
        """Change part of a site's configuration: an EVSE, its parts, its availability, the grid connection."""
        return await self.state("/v1/sites/{site_id}/changes", said, more)

    async def mirror_session(self, said: SessionMirrored, **more: Unpack[Handing]) -> Receipt:
        """Say which car is plugged in where, and whether its user allows discharging."""
        return await self.state("/v1/sites/{site_id}/sessions", said, more)

    async def register_claim(self, said: ClaimRegistered | InstallationLinked, **more: Unpack[Handing]) -> Receipt:
        """Register a conformity claim or an installation link with its attribute certificate."""
        return await self.state("/v1/sites/{site_id}/claims", said, more)

    async def withdraw_claim(self, said: ClaimWithdrawn, **more: Unpack[Handing]) -> Receipt:
        """Stop relying on a registered claim or link."""
        return await self.state("/v1/claims/{claim_id}/withdrawal", said, more)

    async def offer_contract(self, said: ContractOffered, **more: Unpack[Handing]) -> Receipt:
        """Offer a contract, or a version of it."""
        return await self.state("/v1/contracts", said, more)

    async def accept_contract(self, said: ContractAccepted, **more: Unpack[Handing]) -> Receipt:
        """Accept exactly the text that was offered."""
        return await self.state("/v1/contracts/{fsc_id}/acceptance", said, more)

    async def withdraw_offer(self, said: ContractWithdrawn, **more: Unpack[Handing]) -> Receipt:
        """Take your latest offer back before it is accepted."""
        return await self.state("/v1/contracts/{fsc_id}/withdrawal", said, more)

    async def suspend_contract(self, said: ContractSuspended, **more: Unpack[Handing]) -> Receipt:
        """Let a contract rest: nothing starts under it."""
        return await self.state("/v1/contracts/{fsc_id}/suspension", said, more)

    async def resume_contract(self, said: ContractResumed, **more: Unpack[Handing]) -> Receipt:
        """Take your suspension back."""
        return await self.state("/v1/contracts/{fsc_id}/resumption", said, more)

    async def terminate_contract(self, said: ContractTerminated, **more: Unpack[Handing]) -> Receipt:
        """End a contract; an EV user withdraws consent."""
        return await self.state("/v1/contracts/{fsc_id}/termination", said, more)

    async def discover_holders(self, said: HoldersAsked, **more: Unpack[Handing]) -> Receipt:
        """Ask which of your own contracts hold at a site; the question is recorded."""
        return await self.state("/v1/contracts/discovery", said, more)

    async def declare_party(self, said: PartyDeclared, **more: Unpack[Handing]) -> Receipt:
        """Say by which identifiers others know you."""
        return await self.state("/v1/parties", said, more)

    async def delegate(self, said: DelegationGiven, **more: Unpack[Handing]) -> Receipt:
        """Let another party act for you, for a time."""
        return await self.state("/v1/delegations", said, more)

    async def revoke_delegation(self, said: DelegationRevoked, **more: Unpack[Handing]) -> Receipt:
        """Take a delegation back, or give it up."""
        return await self.state("/v1/delegations/{delegation_id}/revocation", said, more)

    async def schedule_opt(self, said: OptScheduled, **more: Unpack[Handing]) -> Receipt:
        """Opt in or out ahead of any request, for a time."""
        return await self.state("/v1/schedules", said, more)

    async def end_schedule(self, said: OptScheduleEnded, **more: Unpack[Handing]) -> Receipt:
        """End a schedule."""
        return await self.state("/v1/schedules/{schedule_id}/end", said, more)

    async def issue_request(self, said: RequestIssued, **more: Unpack[Handing]) -> Receipt:
        """Ask for flexibility."""
        return await self.state("/v1/requests", said, more)

    async def answer_request(self, said: RequestAnswered, **more: Unpack[Handing]) -> Receipt:
        """Accept all or part, or reject."""
        return await self.state("/v1/requests/{fsr_id}/response", said, more)

    async def move_setpoints(self, said: SetpointBatch, **more: Unpack[Handing]) -> Receipt:
        """Move a dynamic setpoint."""
        return await self.state("/v1/requests/{fsr_id}/setpoints", said, more)

    async def revise_request(self, said: RequestRevised, **more: Unpack[Handing]) -> Receipt:
        """Ask for something else instead, before the answer; checks and opts start anew."""
        return await self.state("/v1/requests/{fsr_id}/revision", said, more)

    async def cancel_request(self, said: RequestCancelled, **more: Unpack[Handing]) -> Receipt:
        """Cancel before the start."""
        return await self.state("/v1/requests/{fsr_id}/cancellation", said, more)

    async def abort_request(self, said: RequestAborted, **more: Unpack[Handing]) -> Receipt:
        """End while it runs."""
        return await self.state("/v1/requests/{fsr_id}/abort", said, more)

    async def decide(self, said: OptDecided, **more: Unpack[Handing]) -> Receipt:
        """Opt a participation in or out."""
        return await self.state("/v1/requests/{fsr_id}/decisions", said, more)

    async def commit_baseline(self, said: BaselineCommitted, **more: Unpack[Handing]) -> Receipt:
        """Fix the counterfactual before the start."""
        return await self.state("/v1/requests/{fsr_id}/baseline", said, more)

    async def counter_work(self, said: WorkCountered, **more: Unpack[Handing]) -> Receipt:
        """Agree to a proof or dispute it."""
        return await self.state("/v1/requests/{fsr_id}/counter", said, more)

    async def resolve_dispute(self, said: DisputeResolved, **more: Unpack[Handing]) -> Receipt:
        """Sign the end of a dispute."""
        return await self.state("/v1/requests/{fsr_id}/resolution", said, more)

    async def settle(self, said: Settled, **more: Unpack[Handing]) -> Receipt:
        """Say what it was worth; the request's stream is closed behind it."""
        return await self.state("/v1/requests/{fsr_id}/settlement", said, more)
