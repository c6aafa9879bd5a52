"""An audit across two logs, of which the second continues the first (`flexledger audit --predecessor`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from api.cli.stored import Stored, stored
from api.verification import succession
from api.verification.bundle_policy import Policy
from api.verification.report import Lines, Report, Status, counted
from api.verification.succession import CHECK, PredecessorUnnamed
from ledger.audit.source import LogSource
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.log import FreezeReason, LogFrozen, PolicyAdopted, Predecessor
from ledger.records.record import Record
from ledger.rules.keeping import PRIVACY, last_checkpoint
from ledger.tlog import hashing
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier
from ledger.tlog.tiles import TILE_WIDTH, width_at


@dataclass(frozen=True, slots=True)
class Ended:
    """A log as it was found: where it ended, and what it was when the newer one named it."""

    origin: str
    size: int
    end: LogFrozen | None
    """The record that ended it, where nothing follows but records of what was done with personal data."""
    end_index: int
    """Where that stands; of the last entry that is neither, where there is none."""
    named_size: int
    """As many of its entries as the newer log names, or all if they are fewer."""
    named_root: str
    """The root over these, in hex."""


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


def ended(source: LogSource, origin: str, size: int, root: str, named: Checkpoint) -> Ended:
    """Where the log ended, and its root at the size that is named; both are read again from its entries."""
    index, found = -1, None
    for index, data in _backwards(source, size):  # noqa: B007 -- the last one is looked at
        found = _record(data)
        if found is None or found.STREAM != PRIVACY:
            break
    named_size = min(named.size, size)
    if named_size != size:
        frontier = Frontier()
        for block in range(-(-named_size // TILE_WIDTH)):
            rows = source.block(block, width_at(0, block, size)).rows
            for row in rows[: named_size - frontier.size]:
                frontier.append(hashing.leaf(row[1] or b""))
        root = frontier.root().hex()
    return Ended(origin, size, found if isinstance(found, LogFrozen) else None, index, named_size, root)


def _backwards(source: LogSource, size: int) -> Iterator[tuple[int, bytes | None]]:
    """Index and bytes of each entry, the last one first."""
    for block in reversed(range(-(-size // TILE_WIDTH))):
        for row in reversed(source.block(block, width_at(0, block, size)).rows):
            yield row[0], row[1]


def end(old: Old, told: Report, ended: Ended, lines: Lines) -> None:
    """What was found in the older log, and whether it is the one that is continued, whole and at its end."""
    for line in told.lines:
        lines.add(f"{CHECK}: {line.check}", line.status, line.code, line.detail, **line.where)
    where = {"log": ended.origin}
    # What was done with personal data may follow the end, and so the size that was named; anything else may not.
    may_follow = ended.end is not None and ended.end.reason is not FreezeReason.KEY_STOLEN
    is_grown = may_follow and ended.end_index < old.named.size
    size = ended.named_size if is_grown else ended.size
    lines.attempt(
        CHECK,
        lambda: succession.require_same(old.named, origin=ended.origin, size=size, root=ended.named_root),
        **where,
    )
    if is_grown and ended.size > size:
        more = counted(ended.size - size, "record")
        lines.verified(CHECK, f"{more} of what was done with personal data since, and nothing else, follow there")
    if ended.end is None:
        detail = "its last entry does not end it, so what it may say elsewhere is not bound"
        lines.add(CHECK, Status.UNDECIDED, succession.UNFROZEN, detail, **where)


def _record(data: bytes | None) -> Record | None:
    if data is None:
        return None
    try:
        return statement.parse_statement(entries.decode(data).stmt).record
    except (LedgerError, msgspec.MsgspecError):
        return None
