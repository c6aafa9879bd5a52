"""Asking for one's own contracts without naming them: blinded ids, and which contract an answer's one is."""

from collections.abc import Iterable, Mapping

from ledger.records.blinding import blinded


def candidates(offers: Iterable[str], query_id: str) -> tuple[str, ...]:
    """The blinded ids of contracts for one question, sorted; `offers` are the SHA-256 of their newest signed offers."""
    return tuple(sorted(blinded(offer, query_id) for offer in offers))


def recognised(offers: Mapping[str, str], query_id: str) -> dict[str, str]:
    """Contract id by blinded id, for reading an answer; `offers` is the SHA-256 of the offer by contract id."""
    return {blinded(offer, query_id): fsc_id for fsc_id, offer in offers.items()}
