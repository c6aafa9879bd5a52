"""What leaves of rows whose everybody must be hidden, gathered for a test to look at."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ledger.privacy.exports.anonymity import Crowd
from ledger.privacy.exports.generalise import Places
from ledger.privacy.exports.policy import UnlinkablePolicy

Fact = tuple[bytes, dict[str, Any]]
"""A subject's internal id and the values by column name."""


@dataclass(frozen=True)
class Shown:
    """The rows that leave, at which levels, and how many do not."""

    rows: tuple[dict[str, Any], ...]
    levels: dict[str, int]
    suppressed: int


def anonymised(facts: Sequence[Fact], policy: UnlinkablePolicy, places: Places) -> Shown:
    with closing(Crowd(policy, places)) as crowd:
        for uid, values in facts:
            crowd.add(uid, values)
        found = crowd.anonymise()
        rows = tuple(crowd.rows())
    assert len(rows) == found.kept
    return Shown(rows, found.levels, found.suppressed)
