"""`flexledger audit`: a whole log, derived again from its bytes: tree, chains, checkpoints, signatures, rules."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from api.cli import audit_copies, audit_pair, audit_places, audit_rules, audit_stamps
from api.cli import verify as verify_command
from api.cli.audit_places import Place
from api.cli.audit_signers import Signers, SignerUnproven
from api.cli.files import read_file
from api.cli.progress import Bar
from api.cli.stored import SCHEMA, Stored, stored
from api.cli.words import counted
from api.errors import ApiError
from api.verification import log_roots
from api.verification.bundle import open_bundle
from api.verification.bundle import verify as verify_bundle
from api.verification.bundle_format import MAX_BYTES
from api.verification.bundle_policy import Policy
from api.verification.report import Lines, Report, Status
from ledger import verify
from ledger.audit import run as audits
from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import Code, Finding
from ledger.audit.report import Report as LogReport
from ledger.audit.source import SignedNote
from ledger.errors import LedgerError
from ledger.store.errors import StreamAbsent
from ledger.tlog import note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.tiles import TILE_WIDTH, width_at
from pki.errors import PkiError

WITHOUT_CERTIFICATES: Final = "verify/no-certificates"
INTERRUPTED: Final = 130
"""What shells say of a program that SIGINT ended."""
BESIDE_ENTRIES: Final = 8_192
"""A shorter log is through the rules before another process has begun."""

Show = Callable[[int, int], None]


def run(
    place: Path,
    *,
    policy: Path | None,
    json: bool,
    dsn_file: Path | None = None,
    schema: str = SCHEMA,
    checkpoints: Sequence[Path] = (),
    mirrors: Sequence[Path] = (),
    request: str | None = None,
    predecessor: Path | None = None,
    jobs: int | None = None,
) -> int:
    """Exit code 0 clean, 1 findings, 2 unusable, 3 indeterminate; 130 if somebody interrupted it."""
    try:
        held = [SignedNote(read_file(path, note.MAX_NOTE_OCTETS), None, path.name) for path in checkpoints]
        report = audit(
            stored(place, dsn_file, schema) or place,
            verify_command.read_policy(policy),
            held=held,
            copies=audit_copies.opened(mirrors),
            fsr_id=request,
            predecessor=predecessor,
            jobs=jobs or os.cpu_count() or 1,
            is_watched=sys.stderr.isatty() and not json,
        )
    except (ApiError, LedgerError, PkiError, OSError) as error:
        verify_command.unusable(error, json=json)
        return verify_command.UNUSABLE
    except KeyboardInterrupt:
        # Not 1, which would say that something was found.
        print("interrupted: nothing was found out", file=sys.stderr)
        return INTERRUPTED
    if json:
        print(msgspec.json.encode(verify_command.shown(report)).decode())
    else:
        verify_command.show(report)
    return report.exit_code


def audit(
    where: Path | Stored,
    policy: Policy | None,
    *,
    held: Sequence[SignedNote] = (),
    copies: Sequence[KeptTiles] = (),
    fsr_id: str | None = None,
    predecessor: Path | None = None,
    jobs: int = 1,
    is_watched: bool = False,
) -> Report:
    """Everything that was found in a log, and in the one that it continues; raises only where there is none."""
    report, first, _ = _audit(where, policy, held=held, copies=copies, fsr_id=fsr_id, jobs=jobs, is_watched=is_watched)
    if predecessor is None:
        return report
    lines = Lines()
    lines.take(report)
    old = audit_pair.begin(predecessor, first, policy, lines)
    if old is not None:
        told, _, ended = _audit(old.where, old.policy, named=old.named, jobs=jobs, is_watched=is_watched)
        if ended is not None:
            audit_pair.end(old, told, ended, lines)
    return lines.report(report.subject, caveat=report.caveat)


def _audit(
    where: Path | Stored,
    policy: Policy | None,
    *,
    held: Sequence[SignedNote] = (),
    copies: Sequence[KeptTiles] = (),
    fsr_id: str | None = None,
    named: Checkpoint | None = None,
    jobs: int,
    is_watched: bool,
) -> tuple[Report, bytes | None, audit_pair.Ended | None]:
    """The report, the bytes of the first entry, and how the log ends where another one names it."""
    place = audit_places.locate(where, policy)
    lines = Lines()
    try:
        signers = _signers(place, policy, lines)
        size = place.source.size()

        def checking() -> LogReport:
            show = _bar(is_watched, "entries")
            return _log(place, signers, lines, held=held, copies=copies, jobs=jobs, show=show)

        if jobs > 1 and size >= BESIDE_ENTRIES:
            with audit_rules.beside(where, policy, signers, size) as replay:
                checked = checking()
                rules = replay.report(_bar(is_watched, "entries through the rules"))
        else:
            checked = checking()
            rules = audit_rules.replay(place, signers, size, _bar(is_watched, "entries through the rules"))
        lines.take(rules)
        for finding in audit_stamps.check(place, policy, checked, lines):
            _finding(finding, lines)
        if fsr_id is not None:
            _request(place, fsr_id, checked, lines)
        first = audit_pair.entry_at(place.source, 0, size)
        ended = None
        if named is not None:
            ended = audit_pair.ended(place.source, place.origin, checked.size, checked.root, named)
    finally:
        place.close()
    for path in place.bundles:
        _bundle(path, policy, lines)
    return lines.report(f"log {place.origin}"), first, ended


def _bar(is_watched: bool, what: str) -> Show | None:
    return Bar(sys.stderr, time.monotonic, what).show if is_watched else None


def _signers(place: Place, policy: Policy | None, lines: Lines) -> Signers:
    """Who signed; roots that cannot be trusted are a line, as they are in `verify`, and then nobody vouches."""
    found = audit_places.credentials(place.folder, place.reader)
    kept = {} if place.reader is None else {one.x5t: one for one in place.reader.actors().values()}
    try:
        size = place.source.size()
        changes = log_roots.changes(lambda index: audit_pair.entry_at(place.source, index, size), size)
        signers = Signers(found, policy, kept, place.origin, changes)
    except (PkiError, ApiError) as error:
        lines.failed("anchors", error)
        return Signers(None, None, kept)
    for life in signers.roots.lives():
        if life.by is not None:
            words = f"{life.digest[:16]} counts from {life.from_ms} on, by the word of {life.by[:16]}"
            lines.verified("roots", words, index=life.index)
        if life.until_ms is not None:
            lines.verified("roots", f"{life.digest[:16]} counts until {life.until_ms}")
    return signers


def _log(
    place: Place,
    signers: Signers,
    lines: Lines,
    *,
    held: Sequence[SignedNote],
    copies: Sequence[KeptTiles],
    jobs: int,
    show: Show | None,
) -> LogReport:
    """Bytes, tree, chains, checkpoints, derived tables and signatures."""
    report = audits.audit(
        place.source,
        vkeys=place.vkeys,
        origin=place.origin,
        resolve=signers.resolve if signers.can_resolve else None,
        progress=show,
        jobs=jobs,
        held=[*place.held, *held],
        copies=copies,
    )
    for finding in report.findings:
        _finding(finding, lines)
    unlisted = sum(report.counts.values()) - len(report.findings)
    if unlisted:
        lines.add("log", Status.REFUTED, Code.MORE_FINDINGS.value, f"{unlisted} more findings are not listed")
    if report.ok:
        lines.verified(
            "log",
            f"{counted(report.size, 'entry', 'entries')}, "
            f"{counted(report.checkpoints, 'signed checkpoint', 'signed checkpoints')} up to {report.signed_size}, "
            f"root {report.root[:16]}",
        )
    audit_copies.tell(report, lines)
    _signatures(report, signers, lines)
    return report


def _finding(finding: Finding, lines: Lines) -> None:
    where = {
        name: value
        for name, value in msgspec.structs.asdict(finding).items()
        if isinstance(value, int | str) and name not in ("code", "detail", "expected", "found")
    }
    detail = finding.detail
    if finding.expected is not None:
        detail += f"; expected {finding.expected}"
    if finding.found is not None:
        detail += f"{', found' if finding.expected is not None else '; found'} {finding.found}"
    unknown = finding.code is Code.SIGNER_UNKNOWN and finding.found == SignerUnproven.code
    unknown = unknown or finding.code is Code.COPY_UNUSABLE
    lines.add("log", Status.INDETERMINATE if unknown else Status.REFUTED, finding.code.value, detail, **where)


def _signatures(report: LogReport, signers: Signers, lines: Lines) -> None:
    statements = counted(report.signatures, "statement", "statements")
    if signers.directory is not None:
        lines.verified("signatures", f"{statements} under credentials that were good then")
    elif report.signatures:
        lines.add(
            "signatures",
            Status.INDETERMINATE,
            WITHOUT_CERTIFICATES,
            f"{statements} under the keys that the service wrote down; no roots to check those by",
        )
    else:
        lines.add("signatures", Status.INDETERMINATE, WITHOUT_CERTIFICATES, "no certificates to check signers by")


def _request(place: Place, fsr_id: str, report: LogReport, lines: Lines) -> None:
    """Whether the log can hide anything of one request: its stream is closed, whole, and under a signed checkpoint."""
    stream = f"fsr/{fsr_id}"
    mark = f'"stream":"{stream}"'.encode()
    found: list[tuple[int, bytes]] = []
    for block in range(-(-report.size // TILE_WIDTH)):
        rows = place.source.block(block, width_at(0, block, report.size)).rows
        found += [(row[0], row[1]) for row in rows if isinstance(row[1], bytes) and mark in row[1]]
    where = {"stream": stream}
    if not found:
        detail = f"{StreamAbsent.title}: no entry of the log belongs to this request"
        lines.add("completeness", Status.INDETERMINATE, StreamAbsent.code, detail, **where)
        return
    try:
        chain = verify.verify_chain(found)
    except LedgerError as error:
        lines.failed("completeness", error, **where)
        return
    ends = verify.completeness(chain)
    last = found[-1][0]
    if not ends.is_complete:
        detail = f"{counted(len(chain), 'entry', 'entries')} so far; the stream is open, so later ones may exist"
        lines.add("completeness", Status.INDETERMINATE, Code.STREAM_OPEN.value, detail, index=last, **where)
    elif last >= report.signed_size:
        detail = "the closing entry is not under a signed checkpoint yet"
        lines.add("completeness", Status.INDETERMINATE, Code.STREAM_OPEN.value, detail, index=last, **where)
    else:
        lines.verified(
            "completeness",
            f"{counted(ends.closed_n or 0, 'entry', 'entries')} and the closing one: nothing of it is hidden",
            index=last,
            **where,
        )


def _bundle(path: Path, policy: Policy | None, lines: Lines) -> None:
    """One bundle beside the log, as a line."""
    try:
        report = verify_bundle(open_bundle(verify_command.read_file(path, MAX_BYTES)), anchors=policy)
    except (ApiError, LedgerError, PkiError) as error:
        lines.failed("bundles", error, file=path.name)
        return
    worst = {1: Status.REFUTED, 3: Status.INDETERMINATE}.get(report.exit_code, Status.VERIFIED)
    first = next(iter(report.of(worst)), None) if worst is not Status.VERIFIED else None
    code = "verify/ok" if first is None else first.code
    detail = report.summary() if first is None else f"{report.summary()}; first: {first.check}: {first.detail}"
    lines.add("bundles", worst, code, detail, file=path.name)
