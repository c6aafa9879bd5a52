"""The one table of record types. A class that leaves a field unmarked is never handed out.

That is looked at when a type is first asked for, not at the import: whoever verifies one bundle needs few of them.
"""

from functools import cache

from ledger.records import (
    contracts,
    credentials,
    embedded,
    evidence,
    execution,
    log,
    opt,
    parties,
    privacy,
    record,
    requests,
    site_changes,
    sites,
    work,
)
from ledger.records.errors import PersonalInClear, RecordTypeUnknown
from ledger.records.record import Record

FAMILIES = (
    log,
    credentials,
    parties,
    sites,
    site_changes,
    contracts,
    requests,
    opt,
    execution,
    evidence,
    embedded,
    work,
    privacy,
)


def _table() -> dict[tuple[str, int], type[Record]]:
    table: dict[tuple[str, int], type[Record]] = {}
    for family in FAMILIES:
        for found in family.KINDS:
            table[found.TYPE, found.VERSION] = found
    return table


_kinds = _table()
_marked: set[type[Record]] = set()


def kind(type_name: str, version: int) -> type[Record]:
    """The class of a type and version, every field marked; raises `RecordTypeUnknown`."""
    try:
        found = _kinds[type_name, version]
    except KeyError:
        raise RecordTypeUnknown("no such record type", expected="a registered type", version=version) from None
    if found not in _marked:
        record.require_marked(found)
        _marked.add(found)
    return found


def kinds() -> tuple[type[Record], ...]:
    """Every registered class, in order of type and version."""
    return tuple(_kinds[key] for key in sorted(_kinds))


@cache
def require_not_overtaken(kind: type[Record]) -> None:
    """Raises `PersonalInClear` for a version of which a later one marks personal what stands in clear here.

    What was written under it can be read for ever; nothing more is taken under it.
    """
    for later in kinds():
        if later.TYPE == kind.TYPE and later.VERSION > kind.VERSION:
            for name in record.public_members(kind) & set(record.personal_marks(later)):
                raise PersonalInClear(
                    "a later version of this record keeps the member out of the log",
                    expected=f"version {later.VERSION} or later",
                    member=name,
                )
