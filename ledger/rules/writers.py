"""Who may state what: one row a record type (columns "who" of the transition tables)."""

from typing import Final

from ledger.records import (
    contracts,
    credentials,
    embedded,
    evidence,
    execution,
    log,
    opt,
    parties,
    privacy,
    requests,
    site_changes,
    sites,
    work,
)
from ledger.records.actor import Role
from ledger.records.record import Record
from ledger.rules.errors.opting import FoMayNotOpt
from ledger.rules.errors.writing import NeverAnEntry, PersonInLog, WriterRole
from ledger.rules.fact import Fact

_FO = frozenset({Role.FO})
_CSO = frozenset({Role.CSO})
_PORT = frozenset({Role.CSO, Role.CSP})
"""The port stands at a CSO's or a CSP's platform."""
_PARTIES = frozenset({Role.FO, Role.CSO, Role.CSP})
_KEEPER = _PORT | {Role.OPS}
"""Who keeps the log: the port's own statement key, or its operator's; `keeping.require_keeper` says which port."""
_OFFICER = _KEEPER | {Role.DPO}
_NOBODY: frozenset[Role] = frozenset()

WRITERS: dict[type[Record], frozenset[Role]] = {
    log.PolicyAdopted: _KEEPER,
    log.RootAdopted: _KEEPER,
    log.RootRetired: _KEEPER,
    log.KeyRotated: _KEEPER,
    log.TimeStamped: _KEEPER,
    log.LogFrozen: _KEEPER,
    log.Refused: _KEEPER,
    log.StreamClosed: _KEEPER,
    sites.SiteConfigured: _CSO,
    site_changes.SiteChanged: _CSO,
    sites.ClaimRegistered: _PORT,
    sites.InstallationLinked: _PORT,
    sites.ClaimWithdrawn: _PORT,
    sites.SessionMirrored: _PORT,
    contracts.ContractOffered: _PARTIES,
    contracts.ContractAccepted: _PARTIES,
    contracts.ContractWithdrawn: _PARTIES,
    contracts.ContractSuspended: _PARTIES,
    contracts.ContractResumed: _PARTIES,
    contracts.ContractTerminated: _PARTIES,
    contracts.HoldersAsked: _FO,
    contracts.HoldersAnswered: _PORT,
    requests.DirectiveGiven: _NOBODY,
    requests.RequestIssued: _FO,
    requests.RequestRevised: _FO,
    requests.RequestCancelled: _FO,
    requests.RequestAborted: _PARTIES,
    requests.SetpointBatch: _FO,
    requests.RequestAnswered: _PORT,
    credentials.CheckRecorded: _PORT,
    credentials.CredentialIntended: _PORT,
    credentials.CredentialIssued: _PORT,
    credentials.CredentialsAdopted: _PORT,
    credentials.CredentialRevoked: _PORT,
    opt.OptDecided: _PORT,
    opt.OptScheduled: _PORT,
    opt.OptScheduleEnded: _PORT,
    parties.PartyDeclared: _PARTIES,
    sites.SiteAvailable: _CSO,
    parties.DelegationGiven: _PORT,
    parties.DelegationRevoked: _PORT,
    evidence.BaselineCommitted: _PORT,
    evidence.SamplesCommitted: _PORT,
    execution.ExecutionNoted: _PORT,
    embedded.EmbeddedActed: _PORT,
    work.ServiceRecorded: _PORT,
    work.WorkProven: _PORT,
    work.WorkCountered: _FO,
    work.DisputeResolved: _PARTIES | {Role.AUD},
    work.Settled: _FO,
    privacy.ErasureRequested: _OFFICER,
    privacy.ErasureRefused: _OFFICER,
    privacy.ErasureExecuted: _OFFICER,
    privacy.DataDisclosed: _OFFICER,
    privacy.RestrictionSet: _OFFICER,
    privacy.RestrictionLifted: _OFFICER,
    privacy.HoldPlaced: _OFFICER,
    privacy.HoldLifted: _OFFICER,
    privacy.KekEpochDestroyed: _OFFICER,
    privacy.ReidentificationRequested: _OFFICER,
    privacy.ReidentificationApproved: _OFFICER,
    privacy.ReidentificationClosed: _OFFICER,
    privacy.EntryRectified: _OFFICER,
}
"""A record type that is not here can be written by nobody; a test compares this table with the registry."""


_ADMITTED: Final = frozenset(
    (kind, role, who)
    for kind, roles in WRITERS.items()
    for role in roles - {Role.EVU}
    for who in Role
    if who is not Role.EVU and not (role is Role.FO and kind is opt.OptDecided)
)
"""(record type, the actor's role, the role of who handed it in) of everything that the refusals below let through."""


def require_writer(fact: Fact) -> None:
    """Raises unless the actor's role may state this; a person never stands in the log, not even as who handed it in."""
    asked = (type(fact.statement.record), fact.actor.role, fact.entry.sub.role)
    if asked not in _ADMITTED:
        _require(*asked)


def _require(kind: type[Record], role: Role, who: str) -> None:
    if role is Role.EVU or who == Role.EVU:
        raise PersonInLog("an EV user's words are relayed", expected="an organisation", found=Role.EVU)
    allowed = WRITERS.get(kind, _NOBODY)
    if not allowed:
        raise NeverAnEntry("it only travels inside another record", type=kind.TYPE)
    if role is Role.FO and kind is opt.OptDecided:
        raise FoMayNotOpt("a flexibility operator never opts", expected=_shown(allowed), found=role)
    if role not in allowed:
        raise WriterRole("not for this role to state", expected=_shown(allowed), found=role, type=kind.TYPE)


def _shown(roles: frozenset[Role]) -> str:
    return " or ".join(sorted(roles))
