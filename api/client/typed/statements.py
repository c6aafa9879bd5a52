"""One method for each route that takes a signed statement.

Generated from the routes of the service (`python -m tests.support.client_source --write`); a test compares.
"""

from typing import Unpack

from api.client.receipts import Receipt
from api.client.typed.caller import Caller, Handing
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


class Statements(Caller):
    """One method for each route that takes a signed statement; raises `RemoteProblem`."""

    def forecast_availability(self, said: SiteAvailable, **more: Unpack[Handing]) -> Receipt:
        """Forecast what the site could give."""
        return self.state("/v1/sites/{site_id}/availability", said, more)

    def configure_site(self, said: SiteConfigured, **more: Unpack[Handing]) -> Receipt:
        """Declare a site: grid connection, EVSEs, meters."""
        return self.state("/v1/sites", said, more)

    def change_site(self, said: SiteChanged, **more: Unpack[Handing]) -> Receipt:
        """Change part of a site's configuration: an EVSE, its parts, its availability, the grid connection."""
        return self.state("/v1/sites/{site_id}/changes", said, more)

    def mirror_session(self, said: SessionMirrored, **more: Unpack[Handing]) -> Receipt:
        """Say which car is plugged in where, and whether its user allows discharging."""
        return self.state("/v1/sites/{site_id}/sessions", said, more)

    def register_claim(self, said: ClaimRegistered | InstallationLinked, **more: Unpack[Handing]) -> Receipt:
        """Register a conformity claim or an installation link with its attribute certificate."""
        return self.state("/v1/sites/{site_id}/claims", said, more)

    def withdraw_claim(self, said: ClaimWithdrawn, **more: Unpack[Handing]) -> Receipt:
        """Stop relying on a registered claim or link."""
        return self.state("/v1/claims/{claim_id}/withdrawal", said, more)

    def offer_contract(self, said: ContractOffered, **more: Unpack[Handing]) -> Receipt:
        """Offer a contract, or a version of it."""
        return self.state("/v1/contracts", said, more)

    def accept_contract(self, said: ContractAccepted, **more: Unpack[Handing]) -> Receipt:
        """Accept exactly the text that was offered."""
        return self.state("/v1/contracts/{fsc_id}/acceptance", said, more)

    def withdraw_offer(self, said: ContractWithdrawn, **more: Unpack[Handing]) -> Receipt:
        """Take your latest offer back before it is accepted."""
        return self.state("/v1/contracts/{fsc_id}/withdrawal", said, more)

    def suspend_contract(self, said: ContractSuspended, **more: Unpack[Handing]) -> Receipt:
        """Let a contract rest: nothing starts under it."""
        return self.state("/v1/contracts/{fsc_id}/suspension", said, more)

    def resume_contract(self, said: ContractResumed, **more: Unpack[Handing]) -> Receipt:
        """Take your suspension back."""
        return self.state("/v1/contracts/{fsc_id}/resumption", said, more)

    def terminate_contract(self, said: ContractTerminated, **more: Unpack[Handing]) -> Receipt:
        """End a contract; an EV user withdraws consent."""
        return self.state("/v1/contracts/{fsc_id}/termination", said, more)

    def discover_holders(self, said: HoldersAsked, **more: Unpack[Handing]) -> Receipt:
        """Ask which of your own contracts hold at a site; the question is recorded."""
        return self.state("/v1/contracts/discovery", said, more)

    def declare_party(self, said: PartyDeclared, **more: Unpack[Handing]) -> Receipt:
        """Say by which identifiers others know you."""
        return self.state("/v1/parties", said, more)

    def delegate(self, said: DelegationGiven, **more: Unpack[Handing]) -> Receipt:
        """Let another party act for you, for a time."""
        return self.state("/v1/delegations", said, more)

    def revoke_delegation(self, said: DelegationRevoked, **more: Unpack[Handing]) -> Receipt:
        """Take a delegation back, or give it up."""
        return self.state("/v1/delegations/{delegation_id}/revocation", said, more)

    def schedule_opt(self, said: OptScheduled, **more: Unpack[Handing]) -> Receipt:
        """Opt in or out ahead of any request, for a time."""
        return self.state("/v1/schedules", said, more)

    def end_schedule(self, said: OptScheduleEnded, **more: Unpack[Handing]) -> Receipt:
        """End a schedule."""
        return self.state("/v1/schedules/{schedule_id}/end", said, more)

    def issue_request(self, said: RequestIssued, **more: Unpack[Handing]) -> Receipt:
        """Ask for flexibility."""
        return self.state("/v1/requests", said, more)

    def answer_request(self, said: RequestAnswered, **more: Unpack[Handing]) -> Receipt:
        """Accept all or part, or reject."""
        return self.state("/v1/requests/{fsr_id}/response", said, more)

    def move_setpoints(self, said: SetpointBatch, **more: Unpack[Handing]) -> Receipt:
        """Move a dynamic setpoint."""
        return self.state("/v1/requests/{fsr_id}/setpoints", said, more)

    def revise_request(self, said: RequestRevised, **more: Unpack[Handing]) -> Receipt:
        """Ask for something else instead, before the answer; checks and opts start anew."""
        return self.state("/v1/requests/{fsr_id}/revision", said, more)

    def cancel_request(self, said: RequestCancelled, **more: Unpack[Handing]) -> Receipt:
        """Cancel before the start."""
        return self.state("/v1/requests/{fsr_id}/cancellation", said, more)

    def abort_request(self, said: RequestAborted, **more: Unpack[Handing]) -> Receipt:
        """End while it runs."""
        return self.state("/v1/requests/{fsr_id}/abort", said, more)

    def decide(self, said: OptDecided, **more: Unpack[Handing]) -> Receipt:
        """Opt a participation in or out."""
        return self.state("/v1/requests/{fsr_id}/decisions", said, more)

    def commit_baseline(self, said: BaselineCommitted, **more: Unpack[Handing]) -> Receipt:
        """Fix the counterfactual before the start."""
        return self.state("/v1/requests/{fsr_id}/baseline", said, more)

    def counter_work(self, said: WorkCountered, **more: Unpack[Handing]) -> Receipt:
        """Agree to a proof or dispute it."""
        return self.state("/v1/requests/{fsr_id}/counter", said, more)

    def resolve_dispute(self, said: DisputeResolved, **more: Unpack[Handing]) -> Receipt:
        """Sign the end of a dispute."""
        return self.state("/v1/requests/{fsr_id}/resolution", said, more)

    def settle(self, said: Settled, **more: Unpack[Handing]) -> Receipt:
        """Say what it was worth; the request's stream is closed behind it."""
        return self.state("/v1/requests/{fsr_id}/settlement", said, more)
