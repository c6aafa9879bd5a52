"""One link of a stream's chain, as an audit looks at it."""

from collections.abc import Iterator
from typing import Any

from ledger.audit.report import Code, Finding
from ledger.audit.segments import Segment
from ledger.records.entry import NO_PREVIOUS


def follows(before: Segment, after: Segment, stream: str, *, has_links: bool) -> Iterator[Finding]:
    """What is wrong with the first entry of `after` as the follower of the last one of `before`."""
    place: dict[str, Any] = {"index": after.first_index, "stream": stream, "seq": after.first_seq}
    expected = before.last_leaf.hex()
    if after.first_seq != before.last_seq + 1:
        yield Finding(
            code=Code.SEQ_GAP,
            detail="entries of the stream are missing, repeated or out of order",
            previous_index=before.last_index,
            expected=str(before.last_seq + 1),
            found=str(after.first_seq),
            **place,
        )
    elif after.first_prev != expected:
        yield Finding(
            code=Code.CHAIN_BROKEN,
            detail="the entry was written after other bytes than those that stand before it",
            previous_index=before.last_index,
            expected=expected,
            found=after.first_prev,
            **place,
        )
    if before.is_closed:
        yield Finding(
            code=Code.STREAM_MISCLOSED,
            detail="an entry follows the closing one",
            previous_index=before.last_index,
            **place,
        )
    if has_links and after.first_previous_index != before.last_index:
        yield Finding(
            code=Code.PROJECTION_DIFFERS,
            detail="the link to the stream's previous entry is wrong",
            expected=str(before.last_index),
            found=str(after.first_previous_index),
            table="entry.previous_idx",
            **place,
        )


def begins(first: Segment, stream: str, *, has_links: bool) -> Iterator[Finding]:
    """What is wrong with the first entry of a stream."""
    place: dict[str, Any] = {"index": first.first_index, "stream": stream, "seq": first.first_seq}
    if first.first_seq != 1:
        yield Finding(
            code=Code.SEQ_GAP,
            detail="the stream's beginning is missing",
            expected="1",
            found=str(first.first_seq),
            **place,
        )
    elif first.first_prev != NO_PREVIOUS:
        yield Finding(
            code=Code.CHAIN_BROKEN,
            detail="the first entry of a stream has no previous one",
            expected=NO_PREVIOUS,
            found=first.first_prev,
            **place,
        )
    if has_links and first.first_seq == 1 and first.first_previous_index is not None:
        yield Finding(
            code=Code.PROJECTION_DIFFERS,
            detail="the first entry of a stream has no previous one",
            found=str(first.first_previous_index),
            table="entry.previous_idx",
            **place,
        )
