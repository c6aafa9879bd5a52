"""How a log is shared among those who audit it: each has a part of it, and who is done takes half of what another has.

Parts of streams are joined wherever a part of the log ends, so the parts are few and long: everybody begins with one,
and goes on in it a few blocks at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """A part that begins: its first block, and the block before which it ends at the latest."""

    first_block: int
    stop_block: int


@dataclass(slots=True)
class _Left:
    """What one auditor still has before it: blocks that were not handed out."""

    next_block: int
    stop_block: int

    @property
    def count(self) -> int:
        return self.stop_block - self.next_block


class Shares:
    """Which blocks are whose, of `blocks` blocks among `auditors`."""

    def __init__(self, blocks: int, auditors: int, *, at_once: int, most_parts: int) -> None:
        """Everybody has a part of about the same length; there are never more than `most_parts` parts.

        Blocks are handed out `at_once`, and fewer than twice as many are not worth taking from another.
        """
        cuts = [blocks * at // auditors for at in range(auditors + 1)]
        self._left = [_Left(cuts[at], cuts[at + 1]) for at in range(auditors)]
        self._at_once = at_once
        self._more_parts = most_parts - auditors

    def parts(self) -> Iterator[Part]:
        """Everybody's first part."""
        for left in self._left:
            yield Part(left.next_block, left.stop_block)

    def go_on(self, auditor: int) -> int | None:
        """The block up to which this one goes on in its part; None if nothing of it is left."""
        left = self._left[auditor]
        if not left.count:
            return None
        left.next_block += min(self._at_once, left.count)
        return left.next_block

    def take_over(self, auditor: int) -> Part | None:
        """A new part for one that has nothing left: the second half of the longest that another has; None if none is
        worth it.
        """
        other = max(self._left, key=lambda one: one.count)
        if not self._more_parts or other.count < 2 * self._at_once:
            return None
        self._more_parts -= 1
        middle = other.stop_block - other.count // 2
        part = Part(middle, other.stop_block)
        other.stop_block = middle
        self._left[auditor] = _Left(*part)
        return part
