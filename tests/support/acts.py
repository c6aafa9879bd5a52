"""For tests of the rules: records beyond the small day of `rulebook`."""

from typing import Any

from ledger.records.execution import ExecutionKind, ExecutionNoted
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
