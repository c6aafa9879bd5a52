"""Copies of a log's tiles that an auditor brings along (`flexledger audit --mirror`), and what they come to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.cli.words import counted
from api.verification.errors import BundleUnusable
from api.verification.report import Lines
from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import Report

CHECK: Final = "mirror"


def opened(folders: Sequence[Path]) -> list[KeptTiles]:
    """The copies, none of which is believed yet; raises BundleUnusable for two of one name, and OSError."""
    found = [KeptTiles(folder) for folder in folders]
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise BundleUnusable("two mirrors have one name", expected="folders whose names differ")
    return found


def tell(report: Report, lines: Lines) -> None:
    """One line for each copy that agrees with the log; whatever one disagrees on is a finding already."""
    for name, size in report.agreeing.items():
        lines.verified(CHECK, f"{counted(size, 'entry', 'entries')} from the first on are those of {name}")
