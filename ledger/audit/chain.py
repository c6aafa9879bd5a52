"""One link of a stream's chain, as an audit looks at it."""

from dataclasses import dataclass

from ledger.audit.report import Code, Finding


@dataclass(slots=True)
class Segment:
    """The part of a stream that lies in one range: its first entry's claims on what came before, and its last entry."""

    first_index: int
    first_seq: int
    first_prev: str
    first_previous_index: int | None
    has_link: bool
    last_index: int
    last_seq: int
    last_leaf: bytes
    is_closed: bool


def follows(
    before: Segment, index: int, stream: str, seq: int, prev: str, previous_index: int | None, has_link: bool
) -> list[Finding]:
    """What is wrong with an entry as the follower of `before`; empty if nothing is."""
    found: list[Finding] = []
    expected = before.last_leaf.hex()
    place = {"index": index, "stream": stream, "seq": seq}
    if seq != before.last_seq + 1:
        found.append(
            Finding(
                code=Code.SEQ_GAP,
                detail="entries of the stream are missing, repeated or out of order",
                previous_index=before.last_index,
                expected=str(before.last_seq + 1),
                found=str(seq),
                **place,  # type: ignore[arg-type]
            )
        )
    elif prev != expected:
        found.append(
            Finding(
                code=Code.CHAIN_BROKEN,
                detail="the entry was written after other bytes than those that stand before it",
                previous_index=before.last_index,
                expected=expected,
                found=prev,
                **place,  # type: ignore[arg-type]
            )
        )
    if before.is_closed:
        found.append(
            Finding(
                code=Code.STREAM_MISCLOSED,
                detail="an entry follows the closing one",
                previous_index=before.last_index,
                **place,  # type: ignore[arg-type]
            )
        )
    if has_link and previous_index != before.last_index:
        found.append(
            Finding(
                code=Code.PROJECTION_DIFFERS,
                detail="the link to the stream's previous entry is wrong",
                expected=str(before.last_index),
                found=str(previous_index),
                table="entry.previous_idx",
                **place,  # type: ignore[arg-type]
            )
        )
    return found
