"""The whole log through the rules once more: one entry after the other, in a process of its own beside the others."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from api.cli import audit_places
from api.cli.audit_places import Place
from api.cli.audit_signers import Signers
from api.cli.stored import Stored
from api.cli.words import counted
from api.verification import log_roots
from api.verification.bundle_policy import Policy
from api.verification.mandates import open_directive
from api.verification.report import Lines, Report, Status
from ledger.audit.processes import WorkerLost
from ledger.audit.report import Code
from ledger.audit.seen import Seen
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.entry import Entry
from ledger.records.log import RootAdopted, RootRetired
from ledger.records.requests import RequestIssued
from ledger.records.statement import Statement
from ledger.rules.errors.requests import MandateUnproven
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Evidence, Fact
from ledger.rules.persons import is_relayed
from ledger.rules.state import LogState
from ledger.store import rebuild
from ledger.store.errors import ProjectionsOther
from ledger.store.reads import SqlReads
from ledger.tlog.tiles import TILE_WIDTH, width_at

UNDECIDED_MANDATE: Final = "evidence: no certificates at hand"
STOP_TIMEOUT_S: Final = 5.0
TELL_EVERY: Final = 4_096
"""Entries between two words about progress."""

Show = Callable[[int, int], None]


@contextmanager
def beside(place: Path | Stored, policy: Policy | None, signers: Signers, size: int) -> Iterator["Replay"]:
    """A replay that goes on in another process while the body runs; none is left when the body has ended."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, place, policy, signers, size), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Replay(ours)
    finally:
        ours.close()
        process.terminate()
        process.join(STOP_TIMEOUT_S)
        if process.is_alive():
            process.kill()
            process.join()


class Replay:
    """What another process finds out."""

    def __init__(self, ours: Connection) -> None:
        """Waits for nothing yet."""
        self._ours = ours

    def report(self, show: Show | None) -> Report:
        """All of it, once it is done; raises WorkerLost."""
        try:
            while True:
                said: tuple[int, int] | Report = self._ours.recv()
                if isinstance(said, Report):
                    return said
                if show is not None:
                    show(*said)
        except (EOFError, OSError):
            raise WorkerLost("the replay of the rules ended too early") from None


def _serve(theirs: Connection, where: Path | Stored, policy: Policy | None, signers: Signers, size: int) -> None:
    # An interrupt from the keyboard goes to the whole group; who started us ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    place = audit_places.locate(where, policy)
    try:
        theirs.send(replay(place, signers, size, lambda done, total: theirs.send((done, total))))
    finally:
        place.close()
        theirs.close()


GAP: Final = "rules/credential-gap"
"""No breach: an intent of which nobody can say whether it was signed; it is shown until it is revoked."""


def replay(place: Place, signers: Signers, size: int, show: Show | None = None) -> Report:
    """The first `size` entries once more through the rules, in order; what a rule refuses is named, and it goes on."""
    lines = Lines()
    state = LogState(scope="log")
    kept = total = mandates = unread = 0
    with Seen() as seen:
        for index, data, tags in _entries(place, size):
            if show is not None and index % TELL_EVERY == 0:
                show(index, size)
            try:
                made = entries.decode(data)
                opened = statements.parse_statement(made.stmt)
            except LedgerError:
                unread += 1
                continue  # named by the audit of the bytes
            total += 1
            where: dict[str, str | int] = {"index": index, "stream": made.stream, "seq": made.seq}
            if place.reader is None:
                # A database has a table of statements, which the audit of the bytes compares.
                _refuse_replay(seen.before(opened.claims.iss, opened.claims.jti, index), lines, where)
            actor, evidence = signers.actor(opened, made), _evidence(opened, made, signers)
            fact = Fact(index, made, opened, actor, made.rec, tags, evidence)
            try:
                state.check(fact)
            except RuleViolated as violated:
                if isinstance(violated, MandateUnproven) and signers.directory is None:
                    mandates += 1
                else:
                    lines.failed("rules", violated, **where)
            else:
                kept += 1
            state.apply(fact)
    if place.reader is not None and not unread:
        # The rows of a log that cannot be read whole are compared with nothing; the log is refuted already.
        _rows(place.reader, state, size, lines)
    if kept:
        lines.verified("rules", f"{kept} of {counted(total, 'entry', 'entries')} keep every rule that can be decided")
    if mandates:
        lines.add(
            "rules",
            Status.UNDECIDED,
            MandateUnproven.code,
            f"{UNDECIDED_MANDATE} ({counted(mandates, 'entry', 'entries')})",
        )
    _undecided(state, lines)
    if show is not None:
        show(size, size)
    return lines.report("the rules")


def _rows(reader: SqlReads, state: LogState, size: int, lines: Lines) -> None:
    """What the service keeps of this state, row by row; the log may have grown meanwhile."""
    with reader.moment():
        head = reader.head()
        if not head.size:
            return
        if head.projected != state.version:
            lines.add(
                "projections",
                Status.UNDECIDED,
                ProjectionsOther.code,
                f"kept by {head.projected or 'none'}, and not used by {state.version}",
            )
            return
        try:
            now = state if head.size == size else rebuild.fold(reader, deepcopy(state), size, head.size)
            wrong = list(rebuild.differences(reader, now))
        except LedgerError as error:
            lines.failed("projections", error)
            return
    for row in wrong:
        where = {"table": "projection", "kind": row.kind, "key": row.key}
        detail = f"the row is not what the log says: expected {row.expected}, found {row.found}"
        lines.add("projections", Status.REFUTED, Code.PROJECTION_DIFFERS.value, detail, **where)
    if not wrong:
        lines.verified("projections", "every row of the rules' state is what the log says")


def _undecided(state: LogState, lines: Lines) -> None:
    """What no replay can decide, and what was begun and never ended."""
    for one in state.undecided:
        lines.add(
            "rules",
            Status.UNDECIDED,
            one.code,
            f"{one.why} ({counted(one.count, 'entry', 'entries')})",
            first=one.first,
            last=one.last,
        )
    for gap in state.credentials.gaps():
        lines.add(
            "credentials",
            Status.UNDECIDED,
            GAP,
            f"{gap.profile} was about to be signed, and neither issued nor revoked afterwards",
            index=gap.index,
        )


def _refuse_replay(first: int | None, lines: Lines, where: dict[str, str | int]) -> None:
    if first is not None:
        detail = "the statement is in the log already"
        code = Code.STATEMENT_REPLAYED.value
        lines.add("log", Status.REFUTED, code, detail, **where, previous_index=first)


def _evidence(opened: Statement, made: Entry, signers: Signers) -> Evidence | None:
    """The directive of a mandate, where it can be verified, and whose word a change of roots is.

    A person's words are not here, so they stay undecided, and so do roots where no certificates are at hand.
    """
    issued, directory = opened.record, signers.directory
    if is_relayed(issued):
        return None
    if isinstance(issued, RootAdopted | RootRetired):
        vouched = log_roots.evidence_of(signers.roots, issued, made.rec)
        return None if directory is None else Evidence(root=vouched)
    if directory is None or not isinstance(issued, RequestIssued) or issued.mandate is None:
        return Evidence()
    return Evidence(directive=open_directive(directory, issued, made.rec))


def _entries(place: Place, size: int) -> Iterator[tuple[int, bytes, Mapping[str, str]]]:
    """Index, bytes and, from a service's database, the blind tags of every entry that is there."""
    tags: Mapping[int, Mapping[str, str]] = {}
    for block in range(-(-size // TILE_WIDTH)):
        start = block * TILE_WIDTH
        if place.reader is not None:
            tags = place.reader.tags(start, start + TILE_WIDTH)
        for index, data, *_ in place.source.block(block, width_at(0, block, size)).rows:
            if data is not None:
                yield index, data, tags.get(index, {})
