"""k-anonymity over distinct subjects, and l-diversity: the least generalisation that hides everyone, or a refusal.

One level a column for the whole table (full-domain generalisation): rows generalised differently could be compared.
Rows wait in a database of no name on disk, and groups are counted there, so that memory does not grow with them. It
has values and internal ids and nobody's name; whatever the process comes to, nothing of it is found afterwards.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ledger.privacy.database import listed
from ledger.privacy.errors import AnonymityUnreachable, ExportPolicyInvalid, ExportTooLarge
from ledger.privacy.exports import aside
from ledger.privacy.exports.generalise import Places, generalise, levels
from ledger.privacy.exports.policy import PERMILLE, Column, UnlinkablePolicy

MAX_ROWS: Final = 200_000
MAX_NODES: Final = 4_096
REMEMBERED: Final = 16_384
"""Generalised values of one column that are remembered."""


@dataclass(frozen=True, slots=True)
class Anonymised:
    """The levels at which rows may leave, how many do, and how many do not."""

    levels: dict[str, int]
    kept: int
    suppressed: int


class Crowd:
    """Everybody's rows, waiting until it is known how coarse they must be. Close it."""

    def __init__(self, policy: UnlinkablePolicy, places: Places) -> None:
        """Nobody yet; raises `ExportPolicyInvalid` for more combinations of levels than can be tried."""
        self._policy = policy
        self._nodes = _nodes(policy, places)
        self._count = 0
        names = [column.name for column in policy.columns]
        self._values = [f"v{number}" for number in range(len(names))]
        self._sensitive = None if policy.sensitive is None else self._values[names.index(policy.sensitive)]
        # Of a policy whose only column is the sensitive one, all rows are one group.
        self._grouped = [one for one in self._values if one != self._sensitive] or ["uid IS NULL"]
        self._db = aside.database()
        self._db.execute(f"CREATE TABLE fact (uid BLOB, {', '.join(f'{one} TEXT' for one in self._values)}) STRICT")
        for one, column in zip(self._values, policy.columns, strict=True):
            self._db.create_function(f"coarse_{one}", 2, _coarser(column, places), deterministic=True)

    def add(self, uid: bytes, values: Mapping[str, Any]) -> None:
        """One more row, of the subject `uid`; raises `ExportTooLarge` beyond `MAX_ROWS`."""
        if self._count >= MAX_ROWS:
            raise ExportTooLarge("too many rows to anonymise at once", expected=f"at most {MAX_ROWS}")
        exact = [msgspec.json.encode(values.get(column.name)).decode() for column in self._policy.columns]
        self._db.execute(f"INSERT INTO fact VALUES ({listed(1 + len(exact))})", (uid, *exact))  # noqa: S608 -- places
        self._count += 1

    def anonymise(self) -> Anonymised:
        """The least loss at which at least k subjects, and l values, stand behind each row; `rows` has them then.

        Rows of smaller groups are left out, as far as the policy allows; raises `AnonymityUnreachable` where that is
        not enough. Takes seconds of computation, and no event loop.
        """
        for node in self._nodes:
            kept = self._kept(node)
            suppressed = self._count - kept
            if kept and suppressed * PERMILLE <= self._policy.max_suppressed_permille * self._count:
                self._coarsen(node)
                names = (column.name for column in self._policy.columns)
                return Anonymised(dict(zip(names, node, strict=True)), kept, suppressed)
        raise AnonymityUnreachable("too few distinct subjects behind the rows", expected=f"k = {self._policy.k}")

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows that may leave, in the order of their values, which says nothing of the log's order."""
        names = [column.name for column in self._policy.columns]
        values = ", ".join(self._values)
        grouped = ", ".join(self._grouped)
        large = f"SELECT {grouped} FROM shown {self._large_enough}"  # noqa: S608 -- our own names
        sql = f"SELECT {values} FROM shown WHERE ({grouped}) IN ({large}) ORDER BY {values}"  # noqa: S608
        for row in self._db.execute(sql, self._wanted):
            yield dict(zip(names, map(msgspec.json.decode, row), strict=True))

    def subjects(self) -> Iterator[bytes]:
        """Everybody of whom a row came, each once."""
        return (row[0] for row in self._db.execute("SELECT DISTINCT uid FROM fact ORDER BY uid"))

    def close(self) -> None:
        """Everything is gone."""
        self._db.close()

    @property
    def _large_enough(self) -> str:
        diverse = "" if self._sensitive is None else f" AND count(DISTINCT {self._sensitive}) >= ?"
        return f"GROUP BY {', '.join(self._grouped)} HAVING count(DISTINCT uid) >= ?{diverse}"

    @property
    def _wanted(self) -> tuple[int, ...]:
        return (self._policy.k,) if self._sensitive is None else (self._policy.k, self._policy.l)

    def _coarse(self, node: tuple[int, ...]) -> str:
        """The facts at these levels; levels are our own numbers."""
        made = (f"coarse_{one}({level}, {one}) AS {one}" for one, level in zip(self._values, node, strict=True))
        return f"SELECT uid, {', '.join(made)} FROM fact"  # noqa: S608 -- our own names

    def _kept(self, node: tuple[int, ...]) -> int:
        groups = f"SELECT count(*) AS rows FROM ({self._coarse(node)}) {self._large_enough}"  # noqa: S608
        sql = f"SELECT coalesce(sum(rows), 0) FROM ({groups})"  # noqa: S608
        (found,) = self._db.execute(sql, self._wanted).fetchone()
        return int(found)

    def _coarsen(self, node: tuple[int, ...]) -> None:
        self._db.execute("DROP TABLE IF EXISTS shown")
        self._db.execute(f"CREATE TABLE shown AS {self._coarse(node)}")


def _coarser(column: Column, places: Places) -> Callable[[int, str], str]:
    @functools.lru_cache(REMEMBERED)
    def coarser(level: int, exact: str) -> str:
        found = generalise(msgspec.json.decode(exact), column.hierarchy, level, places)
        return msgspec.json.encode(found).decode()

    return coarser


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
