"""k-anonymity over distinct subjects, and l-diversity: the least generalisation that hides everyone, or a refusal.

One level a column for the whole table (full-domain generalisation): rows generalised differently could be compared.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.privacy.errors import AnonymityUnreachable, ExportPolicyInvalid, ExportTooLarge
from ledger.privacy.exports.generalise import Places, generalise, levels
from ledger.privacy.exports.policy import PERMILLE, UnlinkablePolicy

MAX_ROWS: Final = 200_000
MAX_NODES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Anonymised:
    """The rows that may leave, in the order of their values, which says nothing of the log's order."""

    rows: tuple[dict[str, Any], ...]
    levels: dict[str, int]
    suppressed: int


Fact = tuple[bytes, Mapping[str, Any]]
"""A subject's internal id and the values by column name."""


def anonymise(facts: Sequence[Fact], policy: UnlinkablePolicy, places: Places) -> Anonymised:
    """The facts at the least loss at which at least k subjects, and l values, stand behind each row.

    Rows of smaller groups are left out, as far as the policy allows; raises `AnonymityUnreachable` where that is not
    enough, `ExportTooLarge` beyond `MAX_ROWS`.
    """
    if len(facts) > MAX_ROWS:
        raise ExportTooLarge("too many rows to anonymise at once", expected=f"at most {MAX_ROWS}", found=len(facts))
    for node in _nodes(policy, places):
        kept, suppressed = _apply(facts, policy, node, places)
        if kept and suppressed * PERMILLE <= policy.max_suppressed_permille * len(facts):
            rows = sorted(kept, key=lambda row: [str(value) for value in row.values()])
            return Anonymised(tuple(rows), dict(zip((c.name for c in policy.columns), node, strict=True)), suppressed)
    raise AnonymityUnreachable("too few distinct subjects behind the rows", expected=f"k = {policy.k}")


def _nodes(policy: UnlinkablePolicy, places: Places) -> list[tuple[int, ...]]:
    """Every combination of levels, least loss first."""
    tops = [levels(column.hierarchy, places) - 1 for column in policy.columns]
    ranges = [range(min(column.least, top), top + 1) for column, top in zip(policy.columns, tops, strict=True)]
    count = 1
    for one in ranges:
        count *= len(one)
    if count > MAX_NODES:
        raise ExportPolicyInvalid("too many combinations of levels", expected=f"at most {MAX_NODES}", found=count)

    def loss(node: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        # In millionths of each column's whole height, so that high hierarchies do not outweigh low ones.
        return sum(level * 1_000_000 // top for level, top in zip(node, tops, strict=True) if top), node

    return sorted(itertools.product(*ranges), key=loss)


def _apply(
    facts: Sequence[Fact], policy: UnlinkablePolicy, node: tuple[int, ...], places: Places
) -> tuple[list[dict[str, Any]], int]:
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    rows: list[dict[str, Any]] = []
    for position, (_, values) in enumerate(facts):
        row = {
            column.name: generalise(values.get(column.name), column.hierarchy, level, places)
            for column, level in zip(policy.columns, node, strict=True)
        }
        rows.append(row)
        groups[tuple(value for name, value in row.items() if name != policy.sensitive)].append(position)
    kept: list[dict[str, Any]] = []
    for members in groups.values():
        subjects = {facts[position][0] for position in members}
        shown = {rows[position][policy.sensitive] for position in members} if policy.sensitive else set()
        if len(subjects) >= policy.k and (policy.sensitive is None or len(shown) >= policy.l):
            kept += [rows[position] for position in members]
    return kept, len(facts) - len(kept)
