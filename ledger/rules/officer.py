"""Rules of the privacy officer's acts: four eyes behind every answer, and holds that are placed and lifted once."""

from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationOutcome,
    ReidentificationRequested,
)
from ledger.rules.errors.privacy import FourEyes, HoldUnknown, ReidentificationUnasked
from ledger.rules.fact import Fact
from ledger.rules.officer_state import ReidentificationState
from ledger.rules.projection import Projection


def reidentification_requested(seen: Projection, _: Fact, record: ReidentificationRequested) -> None:
    """Its id is new."""
    if seen.sees_log and record.request in seen.officer.reidentifications:
        raise ReidentificationUnasked("it was asked before", expected="a new id", request=record.request)


def reidentification_approved(seen: Projection, _: Fact, record: ReidentificationApproved) -> None:
    """Somebody else than who asked agrees, once, while it is open."""
    if not seen.sees_log:
        return
    asked = _open(seen, record.request)
    if asked.approver is not None:
        raise ReidentificationUnasked("it is approved", request=record.request)
    if asked.officer == record.approver:
        raise FourEyes("who asks does not approve", expected="another party", found=record.approver)


def reidentification_closed(seen: Projection, _: Fact, record: ReidentificationClosed) -> None:
    """It is open; answered only if somebody else agreed."""
    if not seen.sees_log:
        return
    asked = _open(seen, record.request)
    if record.outcome is ReidentificationOutcome.ANSWERED and asked.approver in (None, asked.officer):
        raise FourEyes("nobody else has agreed", expected="an approval on record", request=record.request)


def hold_placed(seen: Projection, _: Fact, record: HoldPlaced) -> None:
    """Its handle is new."""
    if seen.sees_log and record.handle in seen.officer.holds:
        raise HoldUnknown("the hold was placed before", expected="a new handle", handle=record.handle)


def hold_lifted(seen: Projection, _: Fact, record: HoldLifted) -> None:
    """It stands."""
    if seen.sees_log and not seen.officer.holds.get(record.handle, False):
        raise HoldUnknown("it was never placed, or is over", handle=record.handle)


def _open(seen: Projection, request: str) -> ReidentificationState:
    asked = seen.officer.reidentifications.get(request)
    if asked is None or asked.is_closed:
        raise ReidentificationUnasked("it was never asked, or is over", request=request)
    return asked
