"""When each participation of a request starts, where its operator asked that the starts are spread over a time.

Nobody draws lots: the offset follows from the ids of request and participation, so whoever has the log knows when each
was due, without knowing which EVSE it is. A participation's id is the port's to choose before the request is answered:
the spread protects the grid from a step, it is no lottery between EVSEs (docs/spec/delivery.md).
"""

import hashlib
from typing import Final

from ledger.records.requests import Obligation, RequestIssued
from ledger.records.services import FfrParams, LimitMandatoryParams, ReserveParams, V2hParams, service_of
from ledger.rules.errors.requests import StartSpread

MS_PER_S: Final = 1000
_DOMAIN: Final = b"flexledger start v1"
_DRAWN: Final = 8
"""Octets of the digest; the remainder of so large a number favours no second."""


def starts_at_ms(issued: RequestIssued, participation: str) -> int:
    """When the participation is obliged from: the request's start, and whole seconds up to `start_spread_s` later."""
    if not issued.start_spread_s:
        return issued.start_at_ms
    name = b"\x00".join((_DOMAIN, issued.fsr_id.encode(), participation.encode()))
    drawn = int.from_bytes(hashlib.sha256(name).digest()[:_DRAWN])
    return issued.start_at_ms + MS_PER_S * (drawn % (issued.start_spread_s + 1))


def require_spread(issued: RequestIssued) -> None:
    """Raises `StartSpread` for a class that has to be there at once, or for a spread that leaves too little of it."""
    spread_ms = MS_PER_S * issued.start_spread_s
    if not spread_ms:
        return
    params = issued.params
    at_once = isinstance(params, FfrParams | LimitMandatoryParams | V2hParams)
    if at_once or issued.obligation is Obligation.MANDATORY:
        raise StartSpread("it starts at once", expected="no start_spread_s", found=service_of(params))
    most_ms = (issued.end_at_ms - issued.start_at_ms) // 2
    if isinstance(params, ReserveParams):
        most_ms = min(most_ms, params.full_ms)
    if spread_ms > most_ms:
        raise StartSpread("too little of it is left", expected=f"at most {most_ms} ms", found=f"{spread_ms} ms")
