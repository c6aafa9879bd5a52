"""Limits of contracts: how often, how soon one after another, and with how much notice."""

from ledger.records.contracts import ServiceTerms
from ledger.records.requests import RequestIssued
from ledger.records.services import Service
from ledger.rules.errors.contracts import ContractLimit, ContractNotice
from ledger.rules.projection import Projection

MS_PER_S = 1000


def require_notice(terms: ServiceTerms, record: RequestIssued, now_ms: int, fsc_id: str) -> None:
    """Raises `ContractNotice` unless the request comes as long before its start as the terms ask for."""
    last_ms = record.start_at_ms - terms.notice_s * MS_PER_S
    if now_ms > last_ms:
        raise ContractNotice("it comes too late", expected=f"at most {last_ms}", found=now_ms, fsc_id=fsc_id)


def require_room(seen: Projection, fsc_id: str, terms: ServiceTerms, record: RequestIssued) -> None:
    """Raises `ContractLimit` unless the terms allow one more activation, and this one so near to the others."""
    service = Service(terms.service)
    others = [
        one
        for name, one in seen.activations.get(fsc_id, {}).items()
        if one.service is service and name != record.fsr_id
    ]
    if terms.max_activations and len(others) >= terms.max_activations:
        raise ContractLimit(
            "all activations are used",
            expected=f"at most {terms.max_activations}",
            found=len(others) + 1,
            fsc_id=fsc_id,
        )
    rest_ms = terms.recovery_s * MS_PER_S
    for one in others if rest_ms else ():
        if record.start_at_ms < one.end_at_ms + rest_ms and one.start_at_ms < record.end_at_ms + rest_ms:
            raise ContractLimit(
                "too soon after or before another activation",
                expected=f"{terms.recovery_s} s between them",
                fsc_id=fsc_id,
            )
