"""A report keeps its answers apart: erased is not refuted, undecided not indeterminate, and one refuted line wins."""

import pytest

from api.verification import report as reports
from api.verification.bundle_errors import EvidenceAbsent, EvidenceErased, RecomputedOther
from api.verification.errors import SignerUnknown
from api.verification.report import Exit, Lines, Status
from ledger.errors import Refused as LedgerRefused
from pki.status import Revoked, StatusIndeterminate


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EvidenceErased("gone"), Status.ERASED),
        (EvidenceAbsent("missing"), Status.INDETERMINATE),
        (SignerUnknown("who"), Status.INDETERMINATE),
        (StatusIndeterminate("stale"), Status.INDETERMINATE),
        (Revoked("revoked"), Status.REFUTED),
        (RecomputedOther("other"), Status.REFUTED),
        (LedgerRefused("wrong"), Status.REFUTED),
    ],
)
def test_each_error_has_its_answer(error: LedgerRefused, status: Status) -> None:
    assert reports.status_of(error) is status


@pytest.mark.parametrize(
    ("statuses", "outcome", "code"),
    [
        ([Status.VERIFIED, Status.ERASED, Status.UNDECIDED], Exit.VERIFIED, 0),
        ([Status.VERIFIED, Status.INDETERMINATE], Exit.INDETERMINATE, 3),
        ([Status.INDETERMINATE, Status.REFUTED, Status.VERIFIED], Exit.REFUTED, 1),
        ([], Exit.VERIFIED, 0),
    ],
)
def test_the_worst_line_decides(statuses: list[Status], outcome: Exit, code: int) -> None:
    lines = Lines()
    for status in statuses:
        lines.add("check", status, "code/x", "words")
    report = lines.report("a thing")
    assert (report.outcome, report.exit_code) == (outcome, code)
    assert outcome.upper() in report.summary()


def test_an_attempt_names_what_it_looked_at() -> None:
    lines = Lines()

    def fails() -> str:
        raise RecomputedOther("another root", expected="a", found="b", period=3)

    assert lines.attempt("samples", lambda: "all well", index=1)
    assert not lines.attempt("samples", fails, index=2)
    good, bad = lines.report("x").lines
    assert (good.status, good.where) == (Status.VERIFIED, {"index": 1})
    assert (bad.code, bad.detail, bad.where) == (
        "verify/recomputed-other",
        "another root; expected a, found b",
        {"period": 3, "index": 2},
    )


def test_lines_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_LINES", 2)
    lines = Lines()
    for _ in range(2):
        lines.verified("a", "b")
    assert len(lines.report("x").lines) == 2
    lines.add("a", Status.REFUTED, "c/d", "e")
    report = lines.report("x")
    assert (len(report.lines), report.exit_code) == (2, 1)
