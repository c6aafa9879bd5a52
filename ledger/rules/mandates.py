"""The proof of a mandate: a system operator's directive, for this operator, site, ground, law, window and cap."""

import hashlib
from typing import NoReturn

from ledger.errors import LedgerError
from ledger.records import statement
from ledger.records.actor import Role
from ledger.records.requests import DirectiveGiven, Mandate, RequestIssued
from ledger.records.services import LimitMandatoryParams
from ledger.rules.errors.requests import MandateUnproven
from ledger.rules.fact import Fact, OpenedDirective


def require_mandate(fact: Fact, record: RequestIssued) -> None:
    """Raises `MandateUnproven` unless the directive that the request carries proves its mandate."""
    mandate = record.mandate
    if mandate is None:
        _unproven("there is no mandate", expected="a system operator's directive")
    if not isinstance(record.params, LimitMandatoryParams):
        _unproven("only a limit can be mandated", expected="LIMIT_MANDATORY")
    opened = _opened(fact, mandate)
    directive = opened.record
    if not fact.speaks_for(directive.to):
        _unproven("it is addressed to another operator", expected=directive.to, found=fact.actor.party)
    if mandate.issuer != opened.actor.party:
        _unproven("another party signed it", expected=mandate.issuer, found=opened.actor.party)
    asked = (record.site_id, mandate.ground, mandate.legal_basis, record.params.import_cap_w)
    given = (directive.site_id, directive.ground, directive.legal_basis, directive.import_cap_w)
    for name, wanted, found in zip(("site", "ground", "legal basis", "cap"), given, asked, strict=True):
        if wanted != found:
            _unproven(f"another {name} than the directive's", expected=wanted, found=found)
    _require_time(fact.now_ms, record, mandate, directive)


def _opened(fact: Fact, mandate: Mandate) -> OpenedDirective:
    """The directive that the caller verified, which is the very one that the request carries."""
    digest = hashlib.sha256(mandate.directive.encode()).hexdigest()
    if digest != mandate.directive_sha256:
        _unproven("the digest is another directive's", expected=digest, found=mandate.directive_sha256)
    opened = fact.evidence.directive if fact.evidence is not None else None
    if opened is None:
        _unproven("no credential verifies the directive", expected="the signature of a system operator")
    if opened.actor.role is not Role.SO:
        _unproven("no system operator signed it", expected=Role.SO, found=opened.actor.role)
    try:
        carried = statement.parse_statement(mandate.directive).record
    except LedgerError as error:
        raise MandateUnproven("the directive cannot be read", found=error.code) from error
    if carried != opened.record:
        _unproven("another directive was verified", expected="the one that the request carries")
    return opened


def _require_time(now_ms: int, record: RequestIssued, mandate: Mandate, directive: DirectiveGiven) -> None:
    if now_ms >= mandate.valid_until_ms:
        _unproven("the mandate has run out", expected=f"before {mandate.valid_until_ms}", found=now_ms)
    if mandate.valid_until_ms > directive.not_after_ms:
        _unproven("it outlives its directive", expected=f"at most {directive.not_after_ms}")
    if record.start_at_ms < directive.not_before_ms or record.end_at_ms > directive.not_after_ms:
        _unproven(
            "the directive covers another time",
            expected=f"{directive.not_before_ms} to {directive.not_after_ms}",
            found=f"{record.start_at_ms} to {record.end_at_ms}",
        )


def _unproven(detail: str, *, expected: object = None, found: object = None) -> NoReturn:
    raise MandateUnproven(detail, expected=expected, found=found)
