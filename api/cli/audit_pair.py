"""An audit across two logs, of which the second continues the first (`flexledger audit --predecessor`)."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from api.cli.stored import Stored, stored
from api.verification import succession
from api.verification.bundle_policy import Policy
from api.verification.report import Lines, Report, Status
from api.verification.succession import CHECK, PredecessorUnnamed
from ledger.audit.source import LogSource
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.log import LogFrozen, PolicyAdopted, Predecessor
from ledger.records.record import Record
from ledger.rules.keeping import last_checkpoint
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.tiles import TILE_WIDTH, width_at


@dataclass(frozen=True, slots=True)
class Ended:
    """A log as it was found: its size, its root in hex, and its last entry."""

    origin: str
    size: int
    root: str
    last: bytes | None


@dataclass(frozen=True, slots=True)
class Old:
    """The log that is continued: where it is, whom to believe about it, and what is said of its end."""

    where: Path | Stored
    policy: Policy | None
    named: Checkpoint


def entry_at(source: LogSource, index: int, size: int) -> bytes | None:
    """The bytes of one entry, None where there is none."""
    if not 0 <= index < size:
        return None
    block = index // TILE_WIDTH
    rows = source.block(block, width_at(0, block, size)).rows
    return next((row[1] for row in rows if row[0] == index), None)


def begin(place: Path, first: bytes | None, policy: Policy | None, lines: Lines) -> Old | None:
    """What the first entry of the newer log says; None, with a line that says why, where it names no predecessor."""
    adopted = _record(first)
    if not isinstance(adopted, PolicyAdopted) or not isinstance(adopted.predecessor, Predecessor):
        lines.failed(CHECK, PredecessorUnnamed("its first entry names no other log", found=place.name))
        return None
    succession.tell(adopted, policy, lines, index=0)
    try:
        named = last_checkpoint(adopted.predecessor)
    except LedgerError:
        return None  # `tell` said why
    trust = None if policy is None else succession.policy_of_predecessor(policy, named.origin)
    return Old(stored(place) or place, trust, named)


def end(old: Old, told: Report, ended: Ended, lines: Lines) -> None:
    """What was found in the older log, and whether it is the one that is continued, whole and at its end."""
    for line in told.lines:
        lines.add(f"{CHECK}: {line.check}", line.status, line.code, line.detail, **line.where)
    where = {"log": ended.origin}
    lines.attempt(
        CHECK,
        lambda: succession.require_same(old.named, origin=ended.origin, size=ended.size, root=ended.root),
        **where,
    )
    if not isinstance(_record(ended.last), LogFrozen):
        detail = "its last entry does not end it, so what it may say elsewhere is not bound"
        lines.add(CHECK, Status.UNDECIDED, succession.UNFROZEN, detail, **where)


def _record(data: bytes | None) -> Record | None:
    if data is None:
        return None
    try:
        return statement.parse_statement(entries.decode(data).stmt).record
    except (LedgerError, msgspec.MsgspecError):
        return None
