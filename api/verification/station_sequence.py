"""What the numbers of the roots that a station signed say: which of its words are not shown, and whether any is twice.

A station numbers what it signs. What lies between two numbers was signed too, for another request, or as a first answer
that was asked for again; or somebody keeps it back. A verifier cannot tell these apart, so it says that it is so.
"""

import itertools
from collections.abc import Iterator, Sequence

from ledger.delivery.grading import Grade

MAX_TOLD = 3
"""Gaps that are named; of more only the number is told."""


def judge(numbers: Sequence[int]) -> Iterator[tuple[Grade, str]]:
    """How far the roots of one station carry by their numbers alone, in the order of the log. Nothing for no roots."""
    seen = sorted(set(numbers))
    if len(seen) < len(numbers):
        yield (
            Grade.WEAK,
            f"samples: sequence SEQ_REPEATED, {len(numbers) - len(seen)} signed roots have another's number",
        )
    gaps = [(low + 1, high - 1) for low, high in itertools.pairwise(seen) if high - low > 1]
    if gaps:
        missing = sum(high - low + 1 for low, high in gaps)
        named = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in gaps[:MAX_TOLD])
        more = f" and {len(gaps) - MAX_TOLD} more gaps" if len(gaps) > MAX_TOLD else ""
        yield Grade.WEAK, f"samples: sequence SEQ_GAP, {missing} signed roots are not shown here: {named}{more}"
