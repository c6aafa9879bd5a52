"""Under which roots of trust a log admits statements, and when: what its own records say."""

import msgspec

from ledger.records.log import RootAdopted, RootRetired


class RootLife(msgspec.Struct):
    """From when until when (exclusive) statements under a root are admitted; `by` is the root that vouched for it."""

    from_ms: int = 0
    until_ms: int | None = None
    by: str | None = None

    def is_in_force(self, at_ms: int) -> bool:
        """Whether it counts at that time."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


def fold(lives: dict[str, RootLife], record: RootAdopted | RootRetired) -> None:
    """The record stands in the log; what no rule admits begins no root anew and ends none twice."""
    if isinstance(record, RootAdopted):
        lives.setdefault(record.root, RootLife(record.from_ms, by=record.by))
    elif record.root in lives and lives[record.root].until_ms is None:
        lives[record.root].until_ms = record.until_ms
