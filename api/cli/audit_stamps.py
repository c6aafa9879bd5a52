"""The time stamps that a log tells of, for the command `audit`: verified, and compared with its recording times."""

from collections.abc import Iterator
from typing import Final

from api.cli.audit_places import Place
from api.cli.words import counted
from api.errors import ApiError
from api.verification import timestamps
from api.verification.bundle_errors import EvidenceAbsent
from api.verification.bundle_policy import Policy
from api.verification.bundle_stamps import CHECK, UNVOUCHED
from api.verification.report import Lines, Status
from ledger.audit import stamps
from ledger.audit.report import MAX_STAMPS, Finding, Report
from ledger.audit.stamps import Stamp
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records.log import TimeStamped
from ledger.records.statement import parse_statement
from pki import timestamp
from pki.errors import PkiError

MS_PER_S: Final = 1000


def check(place: Place, policy: Policy | None, report: Report, lines: Lines) -> Iterator[Finding]:
    """A line for what holds of the stamps, and the findings of recording times that contradict them.

    Raises `BundleUnusable` if an authority of the policy is no certificate.
    """
    told = list(_told(place, report))
    if not told:
        return
    authorities = [] if policy is None else policy.timestamp_authorities()
    if place.reader is None or not authorities:
        why = "the tokens are not in a static log" if place.reader is None else "nobody says whose time counts"
        lines.add(CHECK, Status.UNDECIDED, UNVOUCHED, f"{counted(len(told), 'time stamp', 'time stamps')}: {why}")
        return
    good: list[Stamp] = []
    for index, rec_ms, said in told:
        try:
            found = timestamp.verify_token(
                _token(place, said), imprint=timestamps.imprint(_signed(place, said.size)), roots=authorities
            )
        except (LedgerError, PkiError, ApiError) as error:
            lines.failed(CHECK, error, index=index)
            continue
        good.append(Stamp(index=index, rec_ms=rec_ms, size=said.size, at_ms=found.at_ms, accuracy_ms=found.accuracy_ms))
    if len(told) == MAX_STAMPS:
        absent = EvidenceAbsent("more time stamps than are looked at", expected=f"at most {MAX_STAMPS}")
        lines.failed(CHECK, absent)
    findings = list(stamps.compare(place.source, good))
    yield from findings
    if good and not findings:
        lines.verified(
            CHECK,
            f"{counted(len(good), 'time stamp', 'time stamps')} up to entry {good[-1].size - 1}: "
            f"no recording time contradicts them by more than {stamps.TOLERANCE_MS // MS_PER_S} s",
        )


def _told(place: Place, report: Report) -> Iterator[tuple[int, int, TimeStamped]]:
    """Index, recording time and record of each entry that tells of a stamp; what cannot be read is named already."""
    for index in report.stamped:
        data = stamps.entry_at(place.source, index)
        if data is None:
            continue
        try:
            made = entries.decode(data)
            said = parse_statement(made.stmt).record
        except LedgerError:
            continue
        if isinstance(said, TimeStamped) and said.size <= index:
            yield index, made.rec, said


def _token(place: Place, said: TimeStamped) -> bytes:
    """The token that the entry tells of; raises EvidenceAbsent."""
    found = None if place.reader is None else place.reader.evidence(said.token_sha256)
    if found is None:
        raise EvidenceAbsent("the token of a time stamp is not at hand", expected=said.token_sha256)
    return found[1]


def _signed(place: Place, size: int) -> bytes:
    """The checkpoint that was stamped, which the audit has opened already; raises EvidenceAbsent."""
    found = None if place.reader is None else place.reader.checkpoint(size)
    if found is None:
        raise EvidenceAbsent("the checkpoint that was stamped is not at hand", expected=f"size {size}")
    return found.note
