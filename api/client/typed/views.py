"""What the service answers with, and takes.

Generated from the routes of the service (`python -m tests.support.client_source --write`); a test compares.
"""

from typing import Any

import msgspec

from api.subscriptions import State
from api.wire import Accepted
from ledger.records.contracts import ContractKind, OptPolicy, ServiceTerms, TerminationReason
from ledger.records.credentials import CheckPurpose, Dimension, Status
from ledger.records.opt import Choice, OptActor
from ledger.records.sites import Evse, GridConnection
from ledger.rules.contract_state import ContractStatus
from pki.roles import Purpose, Role, Service
from pki.store.records import Reason


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole site could give in that time, and for how long."""

    from_ms: int
    until_ms: int
    up_w: int
    down_w: int
    duration_s: int


class SiteView(msgspec.Struct, frozen=True, kw_only=True):
    """A site as its operator had declared it at `at_ms`."""

    site_id: str
    cso: str
    at_ms: int
    version: int
    declared_at_ms: int
    latest_version: int
    region: str
    congestion_point: str
    import_limit_w: int
    export_limit_w: int
    grid: GridConnection | None
    evses: tuple[Evse, ...]
    forecasts: tuple[ForecastView, ...] = ()


class SiteList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the sites that concern the caller, and the tree size for which it holds."""

    tree_size: int
    sites: tuple[SiteView, ...]
    next: str | None


class EnergyPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One period. Without energies, fewer persons stand behind a part of it than may be told apart."""

    start_at_ms: int
    import_milliwh: int | None = None
    export_milliwh: int | None = None
    covered_ppm: int | None = None
    evses: int | None = None
    is_withheld: bool = False


class EnergyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Energies at a site while it took part in requests, W > 0 being import; not what its grid connection
    measured.
    """

    tree_size: int
    site_id: str
    from_ms: int
    to_ms: int
    period_ms: int
    least_persons: int
    periods: tuple[EnergyPeriod, ...]
    batches: int
    not_opened: int


class StationView(msgspec.Struct, frozen=True, kw_only=True):
    """A charging station: the EVSEs that share its controller."""

    station_id: str
    site_id: str
    cso: str
    at_ms: int
    evses: tuple[Evse, ...]


class StationList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the stations that concern the caller, and the tree size for which it holds."""

    tree_size: int
    stations: tuple[StationView, ...]
    next: str | None


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A registration as the log says it: which thing it is about stands in the document alone."""

    claim_id: str
    kind: str
    site_id: str
    subject: str
    issuer: str
    not_before_ms: int
    not_after_ms: int
    standard: str | None = None
    functions: tuple[str, ...] = ()
    region: str | None = None
    is_withdrawn: bool = False


class ClaimList(msgspec.Struct, frozen=True, kw_only=True):
    """The registrations that concern the caller, at a size of the log."""

    tree_size: int
    claims: tuple[ClaimView, ...]


class ClaimWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A registration with its document (base64 of the DER), where the vault still has it."""

    claim: ClaimView
    document: bytes | None


class ClaimStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the document now; `valid_until_ms` is when that must be asked again."""

    claim_id: str
    status: str
    as_of_ms: int
    code: str | None
    valid_until_ms: int | None


class ContractVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the text: who offered it when, and who accepted it when."""

    version: int
    offer_sha256: str
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


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it stood at `at_ms`. Who the person is in a contract with a person, it does not say."""

    fsc_id: str
    kind: ContractKind
    fo: str
    counterparty: str | None = None
    site_id: str
    at_ms: int
    status: ContractStatus
    in_force: int | None = None
    versions: tuple[ContractVersion, ...]
    terminated_at_ms: int | None = None
    reason: TerminationReason | None = None


class ContractList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the contracts that concern the caller, and the tree size for which it holds."""

    tree_size: int
    contracts: tuple[ContractView, ...]
    next: str | None


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """One question about contract holders, and its answer once there is one; what was asked is what the log
    says.
    """

    query_id: str
    asked_by: str
    asked_at_ms: int
    question: dict[str, Any]
    answer: dict[str, Any] | None = None


class DiscoveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the questions about contract holders that concern the caller."""

    tree_size: int
    questions: tuple[Discovery, ...]
    next: str | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about one participation."""

    opt_id: str
    participation: str
    actor: OptActor
    said_by: str
    choice: Choice
    recorded_at_ms: int


class DecisionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the decisions about a request's participations, and the tree size for which it holds."""

    tree_size: int
    decisions: tuple[Decision, ...]
    next: str | None


class Participation(msgspec.Struct, frozen=True, kw_only=True):
    """One participation under its random id."""

    fsr_id: str
    participation: str
    status: str
    offered_w: int
    opt_deadline_ms: int
    start_at_ms: int
    end_at_ms: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of work that stands."""

    pow_id: str
    verdict: str
    score_ppm: int
    delivered_wh: int
    group: str


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands at one moment."""

    fsr_id: str
    fo: str
    site_id: str
    service: str
    obligation: str
    status: str
    revision: int
    priority: int
    cancelled_because: str | None
    start_at_ms: int
    end_at_ms: int
    participations: tuple[Participation, ...]
    batches: int
    service_records: int
    proof: Proof | None
    refusals: tuple[str, ...]


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the requests that concern the caller, and the tree size for which it holds."""

    tree_size: int
    requests: tuple[RequestView, ...]
    next: str | None


class ParticipationList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own participations, and the tree size for which the list holds."""

    tree_size: int
    participations: tuple[Participation, ...]


class CheckAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which EVSEs might take part in which request."""

    fsr_id: str
    evse_ids: tuple[str, ...]


class CheckedParticipation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a check, with the EVSE behind the participation, for the operator of the EVSE only."""

    participation: str
    evse_id: str
    overall: str
    failed: tuple[str, ...]
    amount_w: int
    fsc_id: str | None
    station: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The entry and what it says."""

    accepted: Accepted
    check_id: str
    overall: str
    valid_until_ms: int
    participations: tuple[CheckedParticipation, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one of the questions."""

    dimension: Dimension
    status: Status
    code: str


class CheckedView(msgspec.Struct, frozen=True, kw_only=True):
    """One participation, under its random id."""

    participation: str
    overall: Status
    amount_w: int
    fsc_id: str | None = None
    dimensions: tuple[Answer, ...]


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """A check as the log says it; the bundle of its request has the evidence to ask the questions again."""

    check_id: str
    fsr_id: str
    purpose: CheckPurpose
    service: str
    as_of_ms: int
    valid_until_ms: int
    requester: str
    overall: Status
    requester_dimensions: tuple[Answer, ...]
    participations: tuple[CheckedView, ...]


class CheckList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the checks that concern the caller, and the tree size for which it holds."""

    tree_size: int
    checks: tuple[CheckView, ...]
    next: str | None


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One stream and its last entry."""

    stream: str
    entries: int
    is_closed: bool
    last_index: int
    last_leaf_hash: str


class StreamList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the streams that concern the caller, and the tree size for which it holds."""

    tree_size: int
    streams: tuple[StreamView, ...]
    next: str | None


class LoggedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as the log holds it. Personal members are absent; their salted digests stand under `_sd`."""

    index: int
    seq: int
    type: str
    version: int
    rec_ms: int
    leaf_hash: str
    party: str
    submitted_by: str
    submitted_as: str
    jti: str
    event: dict[str, Any]


class StreamWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A page of one stream's entries, newest first, and the tree size for which it holds."""

    tree_size: int
    stream: StreamView
    entries: tuple[LoggedEntry, ...]
    next: int | None


class DisclosureList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the exports that left the house, newest first; whose data was in one, only the vault knows."""

    tree_size: int
    disclosures: tuple[LoggedEntry, ...]
    next: int | None


class WebhookAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a party wants to be told, and of what."""

    url: str
    types: tuple[str, ...] = ()
    stream: str = ""
    after: int | None = None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription and how it stands. `UNCONFIRMED` until the receiver repeated the challenge that it was
    sent.
    """

    id: str
    url: str
    types: tuple[str, ...] = ()
    stream: str = ""
    state: State
    position: int
    behind: int
    attempts: int = 0
    failing_since_ms: int | None = None
    next_attempt_ms: int | None = None
    last_code: str | None = None
    created_at_ms: int


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's subscriptions, oldest first; a party has few, so they all come at once."""

    tree_size: int
    webhooks: tuple[WebhookView, ...]


class WebhookResumed(msgspec.Struct, frozen=True, kw_only=True):
    """From where on it goes on."""

    after: int | None = None


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """One credential. `name` is its issuer's key and its serial number; a fingerprint would not be one name."""

    name: str
    profile: str
    role: str
    purpose: str
    party: str | None = None
    station: str | None = None
    tbs_sha256: str
    not_before_ms: int
    not_after_ms: int
    issued_at_ms: int
    entry: int | None = None
    is_gap: bool = False
    revoked_at_ms: int | None = None
    reason: str | None = None
    invalid_from_ms: int | None = None
    certificate: str | None = None


class CredentialPage(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials in the order of their issuance, and the tree size for which the page holds."""

    tree_size: int
    credentials: tuple[CredentialView, ...]
    next: str | None = None


class RevocationAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Why a credential is to be revoked, for ever."""

    reason: Reason
    invalid_from_ms: int | None = None


class InvitationAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be invited, and for how long the code is good."""

    role: Role
    party_id: str = ""
    purposes: tuple[Purpose, ...]
    organisation: str = ""
    services: tuple[Service, ...] = ()
    delegated_by: str | None = None
    dns_names: tuple[str, ...] = ()
    station_id: str | None = None
    lifetime_hours: int | None = None


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """The code, which is shown this once, and what it is good for."""

    code: str
    role: Role
    party_id: str
    purposes: tuple[Purpose, ...]
    expires_at_ms: int


class OpenInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """A code that is still good. `id` is its half before the colon, which alone is worth nothing."""

    id: str
    role: Role
    party_id: str
    station_id: str | None
    purposes: tuple[Purpose, ...]
    expires_at_ms: int


class OpenInvitations(msgspec.Struct, frozen=True, kw_only=True):
    """The codes that are still good for something, in the order of their ends."""

    invitations: tuple[OpenInvitation, ...]
