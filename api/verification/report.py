"""What a verification found: a line for each thing that was looked at, and one of four answers for all of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from api.errors import ApiError
from api.verification.bundle_errors import EvidenceAbsent, EvidenceErased
from api.verification.errors import RootUnknown, SignerUnknown
from ledger.errors import LedgerError, shown
from pki.errors import PkiError
from pki.status import StatusIndeterminate

VERIFIED_CODE: Final = "verify/ok"
MAX_LINES: Final = 10_000
"""Lines that a report lists; the counts go on."""


class Status(StrEnum):
    """ERASED is not lost and not tampered; UNDECIDED is another tool's question; INDETERMINATE is never a pass."""

    VERIFIED = "VERIFIED"
    REFUTED = "REFUTED"
    INDETERMINATE = "INDETERMINATE"
    ERASED = "ERASED"
    UNDECIDED = "UNDECIDED"


class Exit(StrEnum):
    """The answers, in words."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    UNUSABLE = "unusable"
    INDETERMINATE = "indeterminate"


EXIT_CODES: Final = {Exit.VERIFIED: 0, Exit.REFUTED: 1, Exit.UNUSABLE: 2, Exit.INDETERMINATE: 3}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what, the answer with its stable code, and where it stands."""

    check: str
    status: Status
    code: str
    detail: str
    where: dict[str, str | int] = {}

    @property
    def place(self) -> str:
        """Where, in words."""
        return " ".join(f"{name}={value}" for name, value in self.where.items())


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All lines, in the order of the steps."""

    subject: str
    lines: tuple[Line, ...]
    counts: dict[str, int]
    """How many of each status, also of lines beyond `MAX_LINES`."""
    caveat: str = ""
    """What the answer must not be taken for."""

    @property
    def outcome(self) -> Exit:
        """One refuted line refutes the whole; one that cannot be known leaves the whole unknown."""
        if self.counts.get(Status.REFUTED):
            return Exit.REFUTED
        return Exit.INDETERMINATE if self.counts.get(Status.INDETERMINATE) else Exit.VERIFIED

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 3 indeterminate."""
        return EXIT_CODES[self.outcome]

    def of(self, status: Status) -> tuple[Line, ...]:
        """The lines of one status."""
        return tuple(line for line in self.lines if line.status is status)

    def groups(self) -> Iterator[tuple[str, tuple[Line, ...]]]:
        """The lines by what they are about, in the order of the steps."""
        by_check: dict[str, list[Line]] = {}
        for line in self.lines:
            by_check.setdefault(line.check, []).append(line)
        for check, lines in by_check.items():
            yield check, tuple(lines)

    def summary(self) -> str:
        """One sentence."""
        found = ", ".join(f"{self.counts[status]} {status.lower()}" for status in Status if self.counts.get(status))
        answer = f"{self.subject}: {self.outcome.upper()} ({found or 'nothing was looked at'})"
        return f"{answer}; {self.caveat}" if self.caveat else answer


def counted(count: int, noun: str) -> str:
    """The number with the noun in its own number: 1 entry, 2 entries."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


class Lines:
    """A report in the making."""

    def __init__(self) -> None:
        """Empty."""
        self._listed: list[Line] = []
        self._counts: Counter[str] = Counter()

    def add(self, check: str, status: Status, code: str, detail: str, **where: str | int) -> None:
        """One more line."""
        self._counts[status.value] += 1
        if len(self._listed) < MAX_LINES:
            # What was verified has words of its makers in it, and is printed as it stands.
            said = {name: shown(value) if isinstance(value, str) else value for name, value in where.items()}
            self._listed.append(Line(check=check, status=status, code=code, detail=shown(detail), where=said))

    def verified(self, check: str, detail: str, **where: str | int) -> None:
        """It was looked at and holds."""
        self.add(check, Status.VERIFIED, VERIFIED_CODE, detail, **where)

    def attempt(self, check: str, look: Callable[[], str], **where: str | int) -> bool:
        """Whether `look` found it good; its answer, or what it raised, is the line.

        Erased evidence is ERASED, evidence that is missing or stale is INDETERMINATE, everything else is REFUTED.
        """
        try:
            self.verified(check, look(), **where)
        except (LedgerError, PkiError, ApiError) as error:
            self.failed(check, error, **where)
            return False
        return True

    def take(self, other: Report) -> None:
        """All lines of another report, and what it counted."""
        self._counts.update(other.counts)
        self._listed += other.lines[: MAX_LINES - len(self._listed)]

    def failed(self, check: str, error: LedgerError | PkiError | ApiError, **where: str | int) -> None:
        """The line of an error."""
        self.add(check, status_of(error), error.code, words(error), **{**error.where, **where})

    def report(self, subject: str, *, caveat: str = "") -> Report:
        """All of it."""
        return Report(subject=shown(subject), lines=tuple(self._listed), counts=dict(self._counts), caveat=caveat)


def status_of(error: LedgerError | PkiError | ApiError) -> Status:
    """What an error says about the thing that was looked at."""
    if isinstance(error, EvidenceErased):
        return Status.ERASED
    if isinstance(error, EvidenceAbsent | SignerUnknown | StatusIndeterminate | RootUnknown):
        return Status.INDETERMINATE
    return Status.REFUTED


def words(error: LedgerError | PkiError | ApiError) -> str:
    """The message without the place, which has its own member."""
    text = error.detail
    if error.expected is not None:
        text += f"; expected {error.expected}"
    if error.found is not None:
        text += f"{', found' if error.expected is not None else '; found'} {error.found}"
    return text
