"""For tests of the rules: records beyond the small day of `rulebook`."""

from typing import Any

from ledger.records.actor import Role
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.opt import Choice, OptActor, OptScheduled
from ledger.records.parties import DelegationGiven, Scope
from ledger.records.requests import RequestRevised
from tests.support.parameters import at
from tests.support.rulebook import noted, request


def superseded(name: str, by: str, until_ms: int, fsr_id: str = "fsr-1") -> ExecutionNoted:
    """The participation gives way to a request of higher rank until then."""
    return noted(name, ExecutionKind.SUPERSEDED, fsr_id, by_fsr_id=by, until_ms=until_ms)


def revision(number: int = 2, fsr_id: str = "fsr-1", **changes: Any) -> RequestRevised:
    """The request of `request()`, an hour later in the evening."""
    meant = request(fsr_id, **{"start_at_ms": at("18:00"), "end_at_ms": at("19:00"), **changes})
    return RequestRevised(
        fsr_id=fsr_id,
        revision=number,
        params=meant.params,
        respond_by_ms=meant.respond_by_ms,
        opt_deadline_ms=meant.opt_deadline_ms,
        start_at_ms=meant.start_at_ms,
        end_at_ms=meant.end_at_ms,
        priority=meant.priority,
        evidence=meant.evidence,
    )


def delegation(name: str = "del-1", **changes: Any) -> DelegationGiven:
    """The driver lets the fleet manager opt until the evening, by relayed words; nobody is named in clear."""
    fields: dict[str, Any] = {
        "delegation_id": name,
        "grantor_role": Role.EVU,
        "scopes": (Scope.OPT,),
        "until_ms": at("20:00"),
        "evu_statement": "words",
    }
    return DelegationGiven(**{**fields, **changes})


def handover(name: str = "del-org", delegate: str = "ampere", **changes: Any) -> DelegationGiven:
    """The CSO lets another organisation opt for its EVSEs until the evening."""
    fields: dict[str, Any] = {
        "delegation_id": name,
        "grantor_role": Role.CSO,
        "grantor": "northgate",
        "delegate": delegate,
        "scopes": (Scope.OPT,),
        "until_ms": at("20:00"),
    }
    return DelegationGiven(**{**fields, **changes})


def scheduled(name: str = "sch-1", who: OptActor = OptActor.EVU, **changes: Any) -> OptScheduled:
    """Whoever has the right wants to be out for a time that the log does not tell."""
    fields: dict[str, Any] = {"schedule_id": name, "actor": who, "choice": Choice.OUT}
    if who is OptActor.EVU:
        fields["evu_statement"] = "words"
    else:
        fields["party"] = "northgate" if who is OptActor.CSO else "voltwise"
    return OptScheduled(**{**fields, **changes})
