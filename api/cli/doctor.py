"""`flexledger doctor`: looks at everything that a service needs before it fails for want of it; changes nothing."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import typer

from api.cli import doctor_checks as checks
from api.cli import doctor_office, doctor_roots
from api.cli.doctor_checks import Finding, Level
from api.errors import ApiError
from api.settings import load
from ledger.clock import Clock, SystemClock
from ledger.errors import LedgerError
from ledger.store.errors import StoreDenied, StoreUnreachable
from ledger.store.postgres_address import AddressUnfit
from pki.errors import PkiError

Check = Callable[[], Iterator[Finding]]


def run(config: Path, *, json: bool) -> int:
    """Exit code 0 without a failure, 1 with one."""
    findings = list(examine(config, os.environ, SystemClock(), free_bytes))
    failures = sum(one.level is Level.FAILURE for one in findings)
    warnings = sum(one.level is Level.WARNING for one in findings)
    if json:
        document = {"failures": failures, "warnings": warnings, "findings": findings}
        typer.echo(msgspec.json.encode(document).decode())
    else:
        for one in findings:
            code = "" if one.level is Level.OK else f"{one.code}: "
            typer.echo(f"{one.level:<8} {one.check:<12} {code}{one.detail}")
            if one.advice:
                typer.echo(f"{'':<21} -> {one.advice}")
        typer.echo(f"\n{failures} failures, {warnings} warnings, {len(findings)} looked at")
    return 1 if failures else 0


def _advice(error: Exception) -> str:
    """What to do about a server that was not asked at all, whatever was to be asked; empty for anything else."""
    if isinstance(error, AddressUnfit):
        return "correct the file with the server's address (dsn_file); a password in it is percent-encoded"
    if isinstance(error, StoreDenied):
        return "grant the role of the address what docs/how-to/run-on-postgresql.md lists"
    if isinstance(error, StoreUnreachable):
        return "see that the database server runs, takes writes and lets us in; nothing was found out about the log"
    return ""


def free_bytes(folder: Path) -> int:
    """Free space on the medium of a folder, or of the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def examine(config: Path, environ: Mapping[str, str], clock: Clock, free: Callable[[Path], int]) -> Iterator[Finding]:
    """Every finding about the service of a settings file, in a fixed order; raises nothing that a service can cause."""
    try:
        settings = load(config, environ)
    except ApiError as error:
        yield checks.failure("settings", error, "flexledger config schema lists every key")
        return
    yield checks.ok("settings", f"origin {settings.origin}, party {settings.signing.party}")
    looked_at: Sequence[tuple[str, Check, str]] = (
        ("keys", lambda: checks.key_files(settings), "chmod 600, and ask who could have read it"),
        ("clock", lambda: checks.clocks(settings, clock), "set the machine's clock, and keep it set with NTP"),
        (
            "trust",
            lambda: checks.credentials(settings, clock),
            "renew the credential, or correct [pki] and the file names",
        ),
        ("crl", lambda: checks.revocation_lists(settings, clock), "fetch the authority's current list into crl_dir"),
        (
            "office",
            lambda: doctor_office.office(settings, clock),
            "give the office its keys and its password, or take [issuing] away",
        ),
        ("sqlite", lambda: checks.sqlite_version(sqlite3.sqlite_version_info), ""),
        ("log", lambda: checks.the_log(settings), "do not start the service; restore the newest backup and compare"),
        (
            "roots",
            lambda: doctor_roots.roots(settings),
            "keep every root that the log ever had in the file `anchors`, also those that ended",
        ),
        ("standby", lambda: checks.standby(settings), "set synchronous_standby_names at the server"),
        ("stations", lambda: checks.stations(settings), "see that the server answers: who serves the stations asks it"),
        ("vault", lambda: checks.vault(settings), "restore the vault and its key ring; they are backed up apart"),
        ("disk", lambda: checks.disk(settings, free), "make room before the service stops taking statements"),
    )
    for name, check, advice in looked_at:
        try:
            yield from check()
        except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
            yield checks.failure(name, error, _advice(error) or advice)
    if settings.development:
        yield checks.warning(
            "development", "doctor/development", "development credentials are accepted", "never do so in production"
        )
