"""Recording times beside time stamps of others: what can be proven of a clock that only its owner reads.

A stamp over a tree of so many entries was made at a time that somebody else said. Each of those entries was there then,
so none was recorded later. The entry that tells of the stamp holds its digest, so it was not recorded earlier; nor was
any entry behind it, for recording times never go back in a log. Nothing more can be said: an entry outside the stamped
tree may be older than the stamp, because it came in while the stamp was on its way.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ledger.audit.report import Code, Finding
from ledger.audit.source import LogSource
from ledger.tlog.tiles import TILE_WIDTH

TOLERANCE_MS: Final = 60_000
"""By how much the clocks of a log and of an authority may differ, beside what the authority says of its own."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """A verified stamp, and the entry that tells of it."""

    index: int
    rec_ms: int
    """When the entry says that it was recorded."""
    size: int
    """Of the stamped tree."""
    at_ms: int
    accuracy_ms: int


class _SaidTime(msgspec.Struct, frozen=True, gc=False):
    """An entry of which only the recording time matters."""

    rec: int


_decode = msgspec.json.Decoder(_SaidTime).decode


def compare(source: LogSource, stamps: Iterable[Stamp]) -> Iterator[Finding]:
    """What contradicts the stamps, each entry once: the first that is too late under each, and who tells too early."""
    late: set[int] = set()
    for stamp in stamps:
        margin_ms = stamp.accuracy_ms + TOLERANCE_MS
        if stamp.rec_ms < stamp.at_ms - margin_ms:
            yield Finding(
                code=Code.RECORDED_BEFORE_STAMP,
                detail="recorded, it says, before the time stamp that it tells of was made",
                index=stamp.index,
                expected=f"at least {stamp.at_ms - margin_ms}",
                found=str(stamp.rec_ms),
            )
        latest_ms = stamp.at_ms + margin_ms
        index = _first_later(source, stamp.size, latest_ms)
        if index is not None and index not in late:
            late.add(index)
            yield Finding(
                code=Code.RECORDED_AFTER_STAMP,
                detail=f"recorded, it says, after a time stamp over the first {stamp.size} entries",
                index=index,
                window_end=stamp.size,
                expected=f"at most {latest_ms}",
                found=str(_recorded_ms(source, index)),
            )


def _first_later(source: LogSource, size: int, latest_ms: int) -> int | None:
    """The first of `size` entries that says it was recorded after that; None if the last of them does not.

    Times that go back are another finding, so halving finds the first.
    """
    last = _recorded_ms(source, size - 1)
    if last is None or last <= latest_ms:
        return None
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        found = _recorded_ms(source, middle)
        if found is not None and found > latest_ms:
            high = middle
        else:
            low = middle + 1
    return low


def _recorded_ms(source: LogSource, index: int) -> int | None:
    """When the entry says that it was recorded; None if it is not there or cannot be read, which others name."""
    data = entry_at(source, index)
    try:
        return None if data is None else _decode(data).rec
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def entry_at(source: LogSource, index: int) -> bytes | None:
    """The stored bytes of an entry, or None if there are none."""
    block, at = divmod(index, TILE_WIDTH)
    data = source.block(block, at + 1).rows[at][1]
    return data if isinstance(data, bytes) else None
