"""For tests of bundles: what one small world left, and bundles changed on purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from api.verification.bundle import open_bundle, verify
from api.verification.bundle_policy import Policy
from api.verification.report import Report, Status

Change = Callable[[Any], object]


@dataclass(frozen=True)
class Story:
    """Bundles of one small world, and its log as it was left."""

    settled: bytes
    mandatory: bytes
    droop: bytes
    erased: bytes
    droop_erased: bytes
    folder: Path
    """A service's data directory: `ledger.db` and `vkey`."""
    output: Path
    """As a demo leaves it: `log/`, `ca/`, `bundles/`."""


def changed(data: bytes, change: Change) -> bytes:
    """The bundle with its JSON changed, encoded canonically again."""
    value = msgspec.json.decode(data)
    change(value)
    return msgspec.json.encode(value, order="sorted")


def report_of(data: bytes, policy: Policy | None = None) -> Report:
    """What verification says of these bytes."""
    return verify(open_bundle(data), anchors=policy)


def codes(report: Report, status: Status = Status.REFUTED) -> set[str]:
    """The codes of the lines of one status."""
    return {line.code for line in report.of(status)}
