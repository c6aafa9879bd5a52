"""`flexledger verify`: one bundle, offline; a table for people or JSON for machines."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from api.cli.files import read_file
from api.errors import ApiError
from api.verification import bundle_format
from api.verification.bundle import Verification, open_bundle, verify
from api.verification.bundle_format import MAX_BYTES, sha256
from api.verification.bundle_policy import MAX_POLICY_BYTES, Policy, parse_policy, policy_of
from api.verification.errors import BundleUnusable
from api.verification.report import EXIT_CODES, Exit, Report, Status, words
from ledger.errors import LedgerError
from ledger.records.entry import MAX_ENTRY_BYTES
from pki.errors import PkiError

__all__ = ["policy_of", "read_file", "read_policy", "run", "show"]

UNUSABLE: Final = EXIT_CODES[Exit.UNUSABLE]
COLOURS: Final = {  # ECMA-48, select graphic rendition
    Status.VERIFIED: 32,
    Status.REFUTED: 31,
    Status.INDETERMINATE: 33,
    Status.ERASED: 34,
    Status.UNDECIDED: 36,
}
SHOWN_OF_A_KIND: Final = 40
"""Lines of one group that a person is shown; all of them with --json."""


def run(
    file: Path, *, policy: Path | None, entry: Path | None = None, report_to: Path | None = None, json: bool
) -> int:
    """Exit code 0 verified, 1 refuted, 2 unusable, 3 indeterminate.

    With `report_to` a page for people is written there as well, whatever the answer is, unless the file is unusable.
    """
    try:
        trusted = read_policy(policy)
        data = read_file(file, MAX_BYTES)
        if report_to is None:
            report = verified(data, trusted, None if entry is None else read_file(entry, MAX_ENTRY_BYTES))
        else:
            report, text = with_page(data, trusted, policy)
            write_new(report_to, text.encode())
    except (ApiError, LedgerError, PkiError) as error:
        unusable(error, json=json)
        return UNUSABLE
    if json:
        print(msgspec.json.encode(shown(report)).decode())
    else:
        show(report)
    return report.exit_code


def verified(data: bytes, policy: Policy | None, entry: bytes | None) -> Report:
    """What holds of a file, which says itself what it is; raises what reading it raises."""
    named = _format(data)
    if named == bundle_format.FORMAT and entry is None:
        return verify(open_bundle(data), anchors=policy)
    # Who verifies a bundle does not wait for the readers of everything else.
    from api.verification import cose_receipt, evidence_file, json_receipt, receipt

    if receipt.is_tlog_proof(data):
        return receipt.verify_tlog_proof(data, policy=policy, entry=entry)
    if data.startswith(cose_receipt.MARK):
        return receipt.verify_cose(data, policy=policy, entry=entry)
    if entry is not None:
        raise BundleUnusable("only a receipt is for an entry", expected="no --entry")
    if named == evidence_file.FORMAT:
        return evidence_file.verify(evidence_file.read(data), policy=policy)
    if named == json_receipt.FORMAT:
        return json_receipt.verify(json_receipt.read(data), policy=policy)
    return verify(open_bundle(data), anchors=policy)


def with_page(data: bytes, policy: Policy | None, policy_file: Path | None) -> tuple[Report, str]:
    """What holds of a bundle, and the auditor's page that shows it; raises what reading it raises."""
    # Who asks for no page does not wait for its writer to be loaded.
    from api.verification import cose_receipt, evidence_file, page, receipt

    if receipt.is_tlog_proof(data) or data.startswith(cose_receipt.MARK) or _format(data) == evidence_file.FORMAT:
        raise BundleUnusable("only a bundle has a page", expected="a bundle, or no --report")

    verification = Verification(open_bundle(data), policy)
    report = verification.run()
    digest = None if policy_file is None else sha256(read_file(policy_file, MAX_POLICY_BYTES))
    return report, page.render(verification, report, digest=sha256(data), policy_digest=digest)


def write_new(path: Path, data: bytes) -> None:
    """The file is there, readable by its owner only, and was not there before. Raises `BundleUnusable`."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise BundleUnusable("the report cannot be written", found=error.strerror, file=path.name) from error


class _Named(msgspec.Struct):
    """The one member by which a JSON file says what it is."""

    format: str = ""


def _format(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Named).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def read_policy(path: Path | None) -> Policy | None:
    """The policy in a file, TOML by its suffix and JSON otherwise; None without one. Raises `BundleUnusable`."""
    if path is None:
        return None
    return parse_policy(read_file(path, MAX_POLICY_BYTES), toml=path.suffix == ".toml")


def unusable(error: ApiError | LedgerError | PkiError | OSError, *, json: bool) -> None:
    """Says why nothing was verified."""
    if isinstance(error, OSError):
        file = {} if error.filename is None else {"file": Path(str(error.filename)).name}
        error = BundleUnusable("it cannot be read", found=error.strerror, **file)
    if json:
        found = {"outcome": Exit.UNUSABLE, "code": error.code, "detail": words(error), "where": error.where}
        print(msgspec.json.encode(found).decode())
    else:
        print(f"unusable: {error.code}: {error}", file=sys.stderr)


def shown(report: Report) -> dict[str, object]:
    """What --json prints."""
    return {"outcome": report.outcome, "exit_code": report.exit_code, **msgspec.to_builtins(report)}


def show(report: Report) -> None:
    """The report as a table, a group for each kind of check, then one sentence."""
    for text in table(report, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ):
        print(text)


def table(report: Report, *, colour: bool) -> Iterator[str]:
    """The lines of the table."""
    width = max(len(status) for status in Status)
    for check, lines in report.groups():
        yield f"{check}"
        for line in lines[:SHOWN_OF_A_KIND]:
            status = line.status.ljust(width)
            if colour:
                status = f"\x1b[{'1;' * (line.status is Status.REFUTED)}{COLOURS[line.status]}m{status}\x1b[0m"
            place = f"  [{line.place}]" if line.where else ""
            code = "" if line.status is Status.VERIFIED else f"{line.code}: "
            yield f"  {status}  {code}{line.detail}{place}"
        if len(lines) > SHOWN_OF_A_KIND:
            yield f"  and {len(lines) - SHOWN_OF_A_KIND} more"
    yield ""
    yield report.summary()
