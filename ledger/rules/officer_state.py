"""`OfficerBook`: what the log tells of a privacy officer's acts: who asked and who agreed, and which holds stand."""

import msgspec

from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationRequested,
)
from ledger.rules.tables import Plain, Table, Tables

OfficerRecord = HoldLifted | HoldPlaced | ReidentificationApproved | ReidentificationClosed | ReidentificationRequested


class ReidentificationState(msgspec.Struct):
    """Who asked who is behind a pseudonym, who agreed, and whether it is over."""

    officer: str
    approver: str | None = None
    is_closed: bool = False


class OfficerBook:
    """Requests for re-identification by their ids, and holds by their handles."""

    def __init__(self, tables: Tables) -> None:
        """Its tables are among these."""
        self.reidentifications: Table[ReidentificationState] = tables.new(
            Plain("reidentification", ReidentificationState)
        )
        self.holds: Table[bool] = tables.new(Plain("hold", bool))
        """By handle, whether it stands."""

    def fold(self, record: OfficerRecord) -> None:
        """The record stands in the log; what no rule admits changes nothing that counts."""
        match record:
            case ReidentificationRequested():
                self.reidentifications.setdefault(record.request, ReidentificationState(record.officer))
            case ReidentificationApproved():
                asked = self.reidentifications.get(record.request)
                if asked is not None:
                    asked.approver = asked.approver or record.approver
            case ReidentificationClosed():
                asked = self.reidentifications.get(record.request)
                if asked is not None:
                    asked.is_closed = True
            case HoldPlaced() | HoldLifted():
                self.holds[record.handle] = isinstance(record, HoldPlaced)
