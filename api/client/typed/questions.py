"""One method for each route that is asked something, or told what is no statement.

Generated from the routes of the service (`python -m tests.support.client_source --write`); a test compares.
"""

from api.client.typed.caller import Caller
from api.client.typed.views import (
    CheckAsked,
    Checked,
    CheckList,
    CheckView,
    ClaimList,
    ClaimStatus,
    ClaimWhole,
    ContractList,
    ContractView,
    CredentialPage,
    CredentialView,
    DecisionList,
    DisclosureList,
    Discovery,
    DiscoveryList,
    EnergyReport,
    InvitationAsked,
    Invited,
    OpenInvitations,
    ParticipationList,
    RequestList,
    RequestView,
    RevocationAsked,
    SiteList,
    SiteView,
    StationList,
    StationView,
    StreamList,
    StreamWhole,
    WebhookAsked,
    WebhookList,
    WebhookResumed,
    WebhookView,
)
from api.verification.openadr import Export
from api.wire import Accepted
from ledger.rules.contract_state import ContractStatus
from ledger.rules.request_state import RequestStatus
from pki.roles import Purpose, Role


class Questions(Caller):
    """One method for each route that is asked something, or told what is no statement; raises `RemoteProblem`."""

    def list_sites(self, *, limit: int | None = None, after: str | None = None) -> SiteList:
        """The sites that concern the caller as they are declared now: its own, or those where it has a contract."""
        return (self.ask("GET", "/v1/sites", {}, {"limit": limit, "after": after})).decode(SiteList)

    def read_site(self, site_id: str, *, at_ms: int | None = None) -> SiteView:
        """One site with its EVSEs: what is in force, or was at a past time."""
        return (self.ask("GET", "/v1/sites/{site_id}", {"site_id": site_id}, {"at_ms": at_ms})).decode(SiteView)

    def read_energy(self, site_id: str, *, from_ms: int, to_ms: int, period: int | None = None) -> EnergyReport:
        """Energies that were measured while the site took part in requests that concern the caller, by period."""
        return (
            self.ask(
                "GET",
                "/v1/sites/{site_id}/energy",
                {"site_id": site_id},
                {"from": from_ms, "to": to_ms, "period": period},
            )
        ).decode(EnergyReport)

    def list_stations(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        at_ms: int | None = None,
        site_id: str | None = None,
    ) -> StationList:
        """The stations of the sites that concern the caller: what is in force, or was at a past time."""
        return (
            self.ask("GET", "/v1/stations", {}, {"limit": limit, "after": after, "at_ms": at_ms, "site_id": site_id})
        ).decode(StationList)

    def read_station(self, station_id: str, *, at_ms: int | None = None) -> StationView:
        """One station with its EVSEs: what is in force, or was at a past time."""
        return (self.ask("GET", "/v1/stations/{station_id}", {"station_id": station_id}, {"at_ms": at_ms})).decode(
            StationView
        )

    def list_claims(self, *, site_id: str | None = None) -> ClaimList:
        """The claims and links that concern the caller, of one site if it is given."""
        return (self.ask("GET", "/v1/claims", {}, {"site_id": site_id})).decode(ClaimList)

    def read_claim(self, claim_id: str) -> ClaimWhole:
        """One claim or link, with its document."""
        return (self.ask("GET", "/v1/claims/{claim_id}", {"claim_id": claim_id}, {})).decode(ClaimWhole)

    def read_claim_status(self, claim_id: str) -> ClaimStatus:
        """Whether the document is good now: withdrawn, revoked, over, or not to be known."""
        return (self.ask("GET", "/v1/claims/{claim_id}/status", {"claim_id": claim_id}, {})).decode(ClaimStatus)

    def list_contracts(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        status: ContractStatus | None = None,
        site_id: str | None = None,
    ) -> ContractList:
        """The contracts that concern the caller, in the order in which they were first offered, a page at a
        time.
        """
        return (
            self.ask("GET", "/v1/contracts", {}, {"limit": limit, "after": after, "status": status, "site_id": site_id})
        ).decode(ContractList)

    def read_contract(self, fsc_id: str, *, at_ms: int | None = None) -> ContractView:
        """One contract with all its versions, as it stands or as it stood at a time."""
        return (self.ask("GET", "/v1/contracts/{fsc_id}", {"fsc_id": fsc_id}, {"at_ms": at_ms})).decode(ContractView)

    def list_discoveries(self, *, limit: int | None = None, after: str | None = None) -> DiscoveryList:
        """Who asked which contracts hold where: an operator its own questions, the port and auditors all of
        them.
        """
        return (self.ask("GET", "/v1/contracts/discovery", {}, {"limit": limit, "after": after})).decode(DiscoveryList)

    def read_discovery(self, query_id: str) -> Discovery:
        """One question about contract holders, and its answer."""
        return (self.ask("GET", "/v1/contracts/discovery/{query_id}", {"query_id": query_id}, {})).decode(Discovery)

    def list_decisions(self, fsr_id: str, *, limit: int | None = None, after: str | None = None) -> DecisionList:
        """Who opted what in or out, in the order of the log; an EV user sees its own participations only."""
        return (
            self.ask("GET", "/v1/requests/{fsr_id}/decisions", {"fsr_id": fsr_id}, {"limit": limit, "after": after})
        ).decode(DecisionList)

    def export_openadr(self, fsr_id: str) -> Export:
        """The request and its proof as OpenADR 3.1 JSON, with a list of what did not fit."""
        return (self.ask("GET", "/v1/requests/{fsr_id}/openadr", {"fsr_id": fsr_id}, {})).decode(Export)

    def list_requests(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        status: RequestStatus | None = None,
        site_id: str | None = None,
    ) -> RequestList:
        """The requests that concern the caller, in the order in which they were issued, a page at a time."""
        return (
            self.ask("GET", "/v1/requests", {}, {"limit": limit, "after": after, "status": status, "site_id": site_id})
        ).decode(RequestList)

    def read_request(self, fsr_id: str) -> RequestView:
        """One request: its state, participations and proof."""
        return (self.ask("GET", "/v1/requests/{fsr_id}", {"fsr_id": fsr_id}, {})).decode(RequestView)

    def my_participations(self) -> ParticipationList:
        """The caller's own participations, and those of whoever it is a delegate of, so that it can decide about
        them.
        """
        return (self.ask("GET", "/v1/participations", {}, {})).decode(ParticipationList)

    def prove_work(self, fsr_id: str) -> Accepted:
        """Make the proof of work of an ended request from the evidence, and write it down."""
        return (self.ask("POST", "/v1/requests/{fsr_id}/proof", {"fsr_id": fsr_id}, {})).decode(Accepted)

    def check(self, asked: CheckAsked) -> Checked:
        """Ask the six questions of these EVSEs for a request; the answer is an entry."""
        return (self.ask("POST", "/v1/checks", {}, {}, asked)).decode(Checked)

    def list_checks(
        self, *, limit: int | None = None, after: str | None = None, fsr_id: str | None = None
    ) -> CheckList:
        """The checks that concern the caller, by request, in the order in which they were run."""
        return (self.ask("GET", "/v1/checks", {}, {"limit": limit, "after": after, "fsr_id": fsr_id})).decode(CheckList)

    def read_check(self, check_id: str) -> CheckView:
        """One check: each participation with its six answers, under its random id."""
        return (self.ask("GET", "/v1/checks/{check_id}", {"check_id": check_id}, {})).decode(CheckView)

    def bundle(self, fsr_id: str) -> bytes:
        """Everything to verify one request offline, with the disclosures that the vault has and the caller may
        see.
        """
        return (self.ask("GET", "/v1/requests/{fsr_id}/record", {"fsr_id": fsr_id}, {})).body

    def list_streams(
        self, *, limit: int | None = None, after: str | None = None, prefix: str | None = None
    ) -> StreamList:
        """The streams that concern the caller, in order of name, a page at a time."""
        return (self.ask("GET", "/v1/streams", {}, {"limit": limit, "after": after, "prefix": prefix})).decode(
            StreamList
        )

    def read_stream(self, kind: str, name: str, *, limit: int | None = None, before: int | None = None) -> StreamWhole:
        """One stream's head, and its entries as the log holds them, newest first, a page at a time."""
        return (
            self.ask(
                "GET", "/v1/streams/{kind}/{name}", {"kind": kind, "name": name}, {"limit": limit, "before": before}
            )
        ).decode(StreamWhole)

    def read_request_log(self, fsr_id: str, *, limit: int | None = None, before: int | None = None) -> StreamWhole:
        """Everything that was recorded of one request, refusals included, newest first, a page at a time."""
        return (
            self.ask("GET", "/v1/requests/{fsr_id}/log", {"fsr_id": fsr_id}, {"limit": limit, "before": before})
        ).decode(StreamWhole)

    def list_disclosures(
        self, *, limit: int | None = None, before: int | None = None, recipient: str | None = None
    ) -> DisclosureList:
        """Which exports left the house, to whom and for what: all for privacy officers and auditors, a party its
        own.
        """
        return (
            self.ask("GET", "/v1/disclosures", {}, {"limit": limit, "before": before, "recipient": recipient})
        ).decode(DisclosureList)

    def subscribe(self, asked: WebhookAsked) -> WebhookView:
        """Be told of entries that concern the caller at a URL of its own, once that has repeated a signed
        challenge.
        """
        return (self.ask("POST", "/v1/webhooks", {}, {}, asked)).decode(WebhookView)

    def list_webhooks(self) -> WebhookList:
        """The caller's webhooks, and how they stand."""
        return (self.ask("GET", "/v1/webhooks", {}, {})).decode(WebhookList)

    def read_webhook(self, webhook_id: str) -> WebhookView:
        """One webhook: its position, and what its last attempt met."""
        return (self.ask("GET", "/v1/webhooks/{webhook_id}", {"webhook_id": webhook_id}, {})).decode(WebhookView)

    def resume_webhook(self, webhook_id: str, asked: WebhookResumed) -> WebhookView:
        """Go on with one that was given up or suspended, under the caller's present certificate; or tell it
        again.
        """
        return (self.ask("POST", "/v1/webhooks/{webhook_id}/resumption", {"webhook_id": webhook_id}, {}, asked)).decode(
            WebhookView
        )

    def unsubscribe(self, webhook_id: str) -> None:
        """Be told no more."""
        self.ask("DELETE", "/v1/webhooks/{webhook_id}", {"webhook_id": webhook_id}, {})

    def list_credentials(
        self,
        *,
        limit: int | None = None,
        after: int | None = None,
        party: str | None = None,
        role: Role | None = None,
        purpose: Purpose | None = None,
        revoked: bool | None = None,
        ends_before_ms: int | None = None,
    ) -> CredentialPage:
        """The credentials that this office issued or adopted: all for the operator and auditors, a party its
        own.
        """
        return (
            self.ask(
                "GET",
                "/v1/credentials",
                {},
                {
                    "limit": limit,
                    "after": after,
                    "party": party,
                    "role": role,
                    "purpose": purpose,
                    "revoked": revoked,
                    "ends_before_ms": ends_before_ms,
                },
            )
        ).decode(CredentialPage)

    def read_credential(self, name: str) -> CredentialView:
        """One credential by `issuer key.serial number`, with its certificate and where the log tells of it."""
        return (self.ask("GET", "/v1/credentials/{name}", {"name": name}, {})).decode(CredentialView)

    def revoke_credential(self, name: str, asked: RevocationAsked) -> CredentialView:
        """Revoke it for ever: the operator any, a party its own. Its connections end, and nobody accepts it from
        now on.
        """
        return (self.ask("POST", "/v1/credentials/{name}/revocation", {"name": name}, {}, asked)).decode(CredentialView)

    def invite(self, asked: InvitationAsked) -> Invited:
        """A one-time code with which a party fetches its first credentials; it is shown in this answer and never
        again.
        """
        return (self.ask("POST", "/v1/credentials/invitations", {}, {}, asked)).decode(Invited)

    def list_invitations(self) -> OpenInvitations:
        """The codes that are still good for something: for whom, for what, until when; not the codes themselves."""
        return (self.ask("GET", "/v1/credentials/invitations", {}, {})).decode(OpenInvitations)

    def withdraw_invitation(self, name: str) -> None:
        """The code with this id, its half before the colon, is good for nothing any more."""
        self.ask("DELETE", "/v1/credentials/invitations/{name}", {"name": name}, {})
