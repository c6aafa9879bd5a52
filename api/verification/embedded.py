"""What an embedded function did, as a pure function of its sample body and its two times; a verifier does the same."""

from typing import Final

from ledger.delivery import work
from ledger.delivery.work import EmbeddedWork, Participation, WorkResult

BEFORE_MS: Final = 60_000
"""How much of the time before the function is compared with what it did."""
HOLD_MS: Final = 2_000
"""Stations keep a record a second: one that is lost is bridged, two are not."""
SELF: Final = "evse"
"""The one EVSE, which has no participation."""


def judge(from_ms: int, until_ms: int, body: bytes) -> WorkResult:
    """The result for one EVSE, bit for bit the same everywhere.

    Raises `WorkRefused` for times that are none, `SamplesMalformed` for a body that is none; b"" is no evidence.
    """
    return work.recompute(
        EmbeddedWork(
            start_at_ms=from_ms,
            end_at_ms=until_ms,
            participations=(Participation(participation_id=SELF),),
            bodies={SELF: (body,)} if body else {},
            max_hold_ms=HOLD_MS,
            before_ms=BEFORE_MS,
        )
    )
