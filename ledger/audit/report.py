"""What an audit found: every fault with its code and place, never just the first."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Self

import msgspec

from ledger.errors import Broken

MAX_FINDINGS: Final = 1_000
"""Findings that a report lists; the counts go on."""


MAX_STAMPS: Final = 100_000
"""Time stamps that are looked at: one an hour for eleven years."""


class Code(StrEnum):
    """What kind of fault: a stable code in the style of the error codes, and in `meaning` what it says."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """A member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    BODY_EDITED = "ledger/body-edited", "The entry's bytes are not those that were hashed."
    LEAF_MISMATCH = (
        "ledger/leaf-mismatch",
        "The stored leaf hash is not that of the entry's bytes, which are the signed ones.",
    )
    TILE_MISMATCH = "ledger/tile-mismatch", "A tile does not hold the hashes of what lies under it."
    CHAIN_BROKEN = (
        "ledger/chain-broken",
        "An entry does not follow from the bytes of the one before it in its stream, which stands at `previous_index`.",
    )
    SEQ_GAP = "ledger/seq-gap", "Entries of a stream are missing, repeated or out of order."
    TRUNCATED = "ledger/truncated", "The log is shorter than what was signed or committed: the tail is cut at `index`."
    ROOT_MISMATCH = (
        "ledger/root-mismatch",
        "The tree over the entries is not the signed one: `window_start` <= index of the first change < `window_end`.",
    )
    CHECKPOINT_UNVERIFIED = (
        "ledger/checkpoint-unverified",
        "A checkpoint is not signed by the log's key, or is not what it is filed as.",
    )
    CHECKPOINT_MISSING = (
        "ledger/checkpoint-missing",
        "Not one verified checkpoint: there is nothing signed to compare the entries with.",
    )
    CHECKPOINT_FORKED = (
        "ledger/checkpoint-forked",
        "The log's key signed two roots for one size: both notes together convict whoever holds it.",
    )
    SIGNER_STATE_BEHIND = (
        "ledger/signer-state-behind",
        "The signer remembers a smaller checkpoint than its key has signed: its memory was rolled back.",
    )
    REC_DECREASED = "ledger/rec-decreased", "An entry was recorded before the one in front of it."
    RECORDED_AFTER_STAMP = (
        "ledger/recorded-after-stamp",
        "An entry says that it was recorded later than a time stamp over a tree that holds it: so it was not.",
    )
    RECORDED_BEFORE_STAMP = (
        "ledger/recorded-before-stamp",
        "An entry that tells of a time stamp says that it was recorded before the stamp was made: so it was not.",
    )
    ENTRY_MALFORMED = (
        "ledger/entry-malformed",
        "The bytes are not an entry of this log in canonical form, or its statement cannot be read.",
    )
    ENTRY_MISSING = "ledger/entry-missing", "There is no entry at this index."
    STATEMENT_DIFFERS = (
        "ledger/statement-differs",
        "The entry says something else about its statement than the statement itself.",
    )
    STATEMENT_REPLAYED = (
        "ledger/statement-replayed",
        "The statement stands in the log twice, the first time at `previous_index`.",
    )
    STREAM_MISCLOSED = (
        "ledger/stream-misclosed",
        "A closing record miscounts its stream, or something follows it.",
    )
    SIGNATURE_INVALID = "ledger/signature-invalid", "The actor did not sign the statement."
    SIGNER_UNKNOWN = "ledger/signer-unknown", "Nobody vouches for the certificate that the statement names."
    PROJECTION_DIFFERS = (
        "ledger/projection-differs",
        "A row of `table`, which is derived from the log, says something else than the log, or is missing.",
    )
    ENTRY_REPLACED = (
        "ledger/entry-replaced",
        "Entries from `window_start` to before `window_end` are not those whose hashes a signed copy of the tiles has.",
    )
    COPY_UNUSABLE = (
        "ledger/copy-unusable",
        "A copy of the tiles lacks some, or does not add up to its checkpoint: it says nothing about these entries.",
    )
    STREAM_OPEN = (
        "ledger/stream-open",
        "The stream that was asked for is not closed under a signed checkpoint, so it cannot be called complete.",
    )
    MORE_FINDINGS = "ledger/more-findings", "More was found than is listed."
    ATTACHMENT_DIFFERS = (
        "ledger/attachment-differs",
        "A stored piece of evidence is not the one that its digest names.",
    )
    FILE_DIFFERS = (
        "ledger/file-differs",
        "A file of the log, or pages of its database, are missing, unreadable or not what was expected.",
    )


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault and where it is."""

    code: Code
    detail: str
    index: int | None = None
    stream: str | None = None
    seq: int | None = None
    previous_index: int | None = None
    expected: str | None = None
    found: str | None = None
    level: int | None = None
    tile: int | None = None
    window_start: int | None = None
    window_end: int | None = None
    file: str | None = None
    table: str | None = None


class AuditFailed(Broken):
    """The log is not what was signed, or cannot be shown to be."""

    code = "ledger/audit-failed"
    title = "Audit found faults"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one audit."""

    origin: str
    size: int
    """Entries that were looked at."""
    root: str
    """Hex root over their bytes."""
    checkpoints: int
    """Signed checkpoints that verified and whose root was derived again."""
    signed_size: int
    """The largest of those whose root was found: what is there below it is what was signed, byte for byte."""
    signatures: int
    """Statements whose signature was checked; 0 if nobody said who the signers are."""
    stamped: tuple[int, ...]
    """The entries that tell of time stamps, at most `MAX_STAMPS`, in order."""
    agreeing: dict[str, int]
    """How many entries are those of a copy of the tiles, by the name of each that disagrees on none."""
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    """How many of each code, also of those beyond `MAX_FINDINGS`."""

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.counts

    def raise_for_findings(self) -> None:
        """Raises AuditFailed naming the first fault if there is any."""
        if self.findings:
            first = self.findings[0]
            where = {} if first.index is None else {"index": first.index}
            raise AuditFailed(
                f"{first.code}: {first.detail}", expected="no findings", found=sum(self.counts.values()), **where
            )


class Findings:
    """A bounded list that counts on."""

    __slots__ = ("counts", "listed")

    def __init__(self) -> None:
        """Empty."""
        self.listed: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """Counts it, and lists it while there is room."""
        self.counts[finding.code.value] += 1
        if len(self.listed) < MAX_FINDINGS:
            self.listed.append(finding)

    def take(self, others: "Findings") -> None:
        """Adds those of another part of the log."""
        self.counts += others.counts
        self.listed += others.listed[: MAX_FINDINGS - len(self.listed)]

    def ordered(self) -> tuple[Finding, ...]:
        """By index; those of no one entry come first."""
        return tuple(sorted(self.listed, key=_place))


def _place(finding: Finding) -> tuple[int, str]:
    return (-1 if finding.index is None else finding.index, finding.code.value)


def listed(findings: Iterable[Finding], code: Code) -> list[Finding]:
    """The findings of one code."""
    return [finding for finding in findings if finding.code is code]
