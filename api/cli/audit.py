"""`flexledger audit`: a whole log, derived again from its bytes: tree, chains, checkpoints, signatures, rules."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import typer

from api.cli import audit_places
from api.cli import verify as verify_command
from api.cli.audit_places import Place
from api.cli.audit_signers import Signers, SignerUnproven
from api.errors import ApiError
from api.verification.bundle import open_bundle
from api.verification.bundle import verify as verify_bundle
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_format import MAX_BYTES
from api.verification.bundle_policy import Policy
from api.verification.bundle_statements import is_relayed
from api.verification.mandates import open_directive
from api.verification.report import Lines, Report, Status
from ledger.audit import run as audits
from ledger.audit.report import Code
from ledger.audit.report import Report as LogReport
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.entry import Entry
from ledger.records.requests import RequestIssued
from ledger.records.statement import Statement
from ledger.rules.errors import MandateUnproven, RuleViolated
from ledger.rules.fact import Evidence, Fact
from ledger.rules.state import LogState
from ledger.tlog.tiles import TILE_WIDTH, width_at
from pki.errors import PkiError

BLOCK: Final = 1024
UNDECIDED_MANDATE: Final = "evidence: no certificates at hand"
WITHOUT_CERTIFICATES: Final = "verify/no-certificates"


def run(data_dir: Path, *, policy: Path | None, json: bool) -> int:
    """Exit code 0 clean, 1 findings, 2 unusable, 3 indeterminate."""
    try:
        report = audit(data_dir, verify_command.read_policy(policy))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        if isinstance(error, ApiError | LedgerError):
            verify_command.unusable(error, json=json)
        else:
            typer.echo(f"unusable: {error}", err=True)
        return verify_command.UNUSABLE
    if json:
        typer.echo(msgspec.json.encode(verify_command.shown(report)).decode())
    else:
        verify_command.show(report)
    return report.exit_code


def audit(data_dir: Path, policy: Policy | None) -> Report:
    """Everything that was found in a log; raises only where there is no log to look at."""
    place = audit_places.locate(data_dir, policy)
    lines = Lines()
    try:
        found = audit_places.credentials(data_dir, place.reader)
        stored = {} if place.reader is None else {one.x5t: one for one in place.reader.actors().values()}
        signers = Signers(found, policy, stored)
        _log(place, signers, lines)
        _rules(place, signers, lines)
    finally:
        place.source.close()
        if place.reader is not None:
            place.reader.close()
    for path in place.bundles:
        _bundle(path, policy, lines)
    return lines.report(f"log {place.origin}")


def _log(place: Place, signers: Signers, lines: Lines) -> None:
    """Bytes, tree, chains, checkpoints, derived tables and signatures."""
    jobs = os.cpu_count() or 1
    report = audits.audit(
        place.source,
        vkeys=[place.vkey],
        origin=place.origin,
        resolve=signers.resolve if signers.can_resolve else None,
        progress=_progress if sys.stderr.isatty() else None,
        jobs=jobs,
    )
    for finding in report.findings:
        where = {
            name: value
            for name, value in msgspec.structs.asdict(finding).items()
            if isinstance(value, int | str) and name not in ("code", "detail", "expected", "found")
        }
        detail = finding.detail
        if finding.expected is not None:
            detail += f"; expected {finding.expected}"
        if finding.found is not None:
            detail += f", found {finding.found}"
        unknown = finding.code is Code.SIGNER_UNKNOWN and finding.found == SignerUnproven.code
        status = Status.INDETERMINATE if unknown else Status.REFUTED
        lines.add("log", status, finding.code.value, detail, **where)
    if report.ok:
        lines.verified(
            "log",
            f"{report.size} entries, {report.checkpoints} signed checkpoints up to {report.signed_size}, "
            f"root {report.root[:16]}",
        )
    _signatures(report, signers, lines)


def _signatures(report: LogReport, signers: Signers, lines: Lines) -> None:
    if signers.directory is not None:
        wrong = report.counts.get(Code.SIGNER_UNKNOWN, 0) + report.counts.get(Code.SIGNATURE_INVALID, 0)
        lines.verified("signatures", f"{report.signatures - wrong} statements under credentials that were good then")
    elif report.signatures:
        lines.add(
            "signatures",
            Status.INDETERMINATE,
            WITHOUT_CERTIFICATES,
            f"{report.signatures} statements under the keys that the service wrote down; no roots to check those by",
        )
    else:
        lines.add("signatures", Status.INDETERMINATE, WITHOUT_CERTIFICATES, "no certificates to check signers by")


def _rules(place: Place, signers: Signers, lines: Lines) -> None:
    """The whole log once more through the rules; an entry that a rule refuses is named, and the replay goes on."""
    state = LogState(scope="log")
    kept = total = mandates = 0
    for index, data, tags in _entries(place):
        try:
            made = entries.decode(data)
            opened = statements.parse_statement(made.stmt)
        except LedgerError:
            continue  # named by the audit of the bytes
        total += 1
        fact = Fact(
            index, made, opened, signers.actor(opened, made), made.rec, tags, _evidence(opened, made, signers.directory)
        )
        where: dict[str, str | int] = {"index": index, "stream": made.stream, "seq": made.seq}
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
    if kept:
        lines.verified("rules", f"{kept} of {total} entries keep every rule that can be decided")
    if mandates:
        lines.add("rules", Status.UNDECIDED, MandateUnproven.code, f"{UNDECIDED_MANDATE} ({mandates} entries)")
    for one in state.undecided:
        lines.add(
            "rules", Status.UNDECIDED, one.code, f"{one.why} ({one.count} entries)", first=one.first, last=one.last
        )


def _evidence(opened: Statement, made: Entry, directory: BundleDirectory | None) -> Evidence | None:
    """The directive of a mandate, where it can be verified; a person's words are not here, so they stay undecided."""
    if is_relayed(opened.record):
        return None
    issued = opened.record
    if directory is None or not isinstance(issued, RequestIssued) or issued.mandate is None:
        return Evidence()
    return Evidence(directive=open_directive(directory, issued, made.rec))


def _entries(place: Place) -> Iterator[tuple[int, bytes, Mapping[str, str]]]:
    """Index, bytes and, from a service's database, the blind tags of every entry that is there."""
    size = place.source.size()
    tags: Mapping[int, Mapping[str, str]] = {}
    for block in range(-(-size // TILE_WIDTH)):
        start = block * TILE_WIDTH
        if place.reader is not None:
            tags = place.reader.tags(start, start + TILE_WIDTH)
        for index, data, *_ in place.source.block(block, width_at(0, block, size)).rows:
            if data is not None:
                yield index, data, tags.get(index, {})


def _bundle(path: Path, policy: Policy | None, lines: Lines) -> None:
    """One bundle beside the log, as a line."""
    try:
        report = verify_bundle(open_bundle(verify_command.read_file(path, MAX_BYTES)), anchors=policy)
    except (ApiError, LedgerError) as error:
        lines.failed("bundles", error, file=path.name)
        return
    worst = {1: Status.REFUTED, 3: Status.INDETERMINATE}.get(report.exit_code, Status.VERIFIED)
    first = next(iter(report.of(worst)), None) if worst is not Status.VERIFIED else None
    code = "verify/ok" if first is None else first.code
    detail = report.summary() if first is None else f"{report.summary()}; first: {first.check}: {first.detail}"
    lines.add("bundles", worst, code, detail, file=path.name)


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} entries", end="" if done < total else "\n", file=sys.stderr, flush=True)
