"""Which of the suites that others wrote were run, and with how many cases: said at the end of every run of them."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import vectors

SUITES = (
    "merkle",
    "note",
    "tessera-log",
    "skylight-mirror",
    "litewitness",
    "jcs",
    "ocmf",
    "x509-limbo",
    "pkits",
)
RAN = "vectors"
HERE = "tests/conformance/"


def _reports(reporter: pytest.TerminalReporter) -> Iterator[pytest.TestReport]:
    for reports in reporter.stats.values():
        yield from (report for report in reports if isinstance(report, pytest.TestReport))


def _fate(suite: str, cases: int) -> str:
    folder = vectors.root() / suite
    if cases:
        return f"{cases} cases"
    if not folder.is_dir():
        return "ABSENT, skipped"
    return "there, but no test of it ran" if any(folder.iterdir()) else "EMPTY, skipped"


def summarise(terminalreporter: pytest.TerminalReporter) -> None:
    """Also with several processes: a test's counts travel with its report."""
    reports = [report for report in _reports(terminalreporter) if HERE in report.nodeid]
    if not reports:
        return
    cases: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if report.when == "call" and name == RAN and isinstance(value, list | tuple):
                cases[str(value[0])] += int(value[1])
    root = vectors.root()
    terminalreporter.section(f"vectors that others wrote, in {root}" + ("" if root.is_dir() else " (no such folder)"))
    for suite in SUITES:
        terminalreporter.line(f"{suite:<16} {_fate(suite, cases[suite])}")
    strangers = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for name in strangers:
        if name not in SUITES:
            terminalreporter.line(f"{name:<16} UNKNOWN: no test reads this folder")
