"""Whether a mandate is proven: a directive inside it that a system operator's credential verifiably signed."""

from api.errors import ApiError
from api.verification.actors import Directory
from ledger.errors import LedgerError
from ledger.records import statement
from ledger.records.requests import DirectiveGiven, RequestIssued
from ledger.rules.fact import OpenedDirective
from pki.errors import PkiError
from pki.roles import Role


def open_directive(directory: Directory, issued: RequestIssued, at_ms: int) -> OpenedDirective | None:
    """The directive, if a system operator's credential that was good at `at_ms` signed it; otherwise None.

    None proves nothing and is no verdict of its own: the rule that needs a proven mandate refuses what has none.
    """
    if issued.mandate is None:
        return None
    try:
        parsed = statement.parse_statement(issued.mandate.directive)
        actor = directory.actor(parsed.header.x5t, at_ms, roles=(Role.SO,))
        given = statement.open_statement(issued.mandate.directive, actor)
    except (LedgerError, PkiError, ApiError):
        return None
    return OpenedDirective(given.record, actor) if isinstance(given.record, DirectiveGiven) else None
