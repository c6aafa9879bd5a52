"""How a log is shared among auditors: every block once, in few parts, and nobody idles while much is left."""

import random

import pytest

from ledger.audit.shares import Part, Shares


def _share(shares: Shares, speeds: list[int], seed: int) -> list[tuple[Part, int, int]]:
    """(part, auditor, block before which it ended) when auditors come back in the order that chance has it."""
    order = random.Random(seed)
    parts = dict(enumerate(shares.parts()))
    reached = {auditor: part.first_block for auditor, part in parts.items()}
    done = []
    while parts:
        auditor = order.choices(list(parts), [speeds[one] for one in parts])[0]
        stop = shares.go_on(auditor)
        if stop is not None:
            assert reached[auditor] < stop <= parts[auditor].stop_block
            reached[auditor] = stop
            continue
        done.append((parts.pop(auditor), auditor, reached[auditor]))
        part = shares.take_over(auditor)
        if part is not None:
            parts[auditor], reached[auditor] = part, part.first_block
    return done


@pytest.mark.parametrize("auditors", [1, 2, 3, 8])
@pytest.mark.parametrize("blocks", [0, 1, 7, 64, 781])
@pytest.mark.parametrize("seed", range(5))
def test_every_block_is_handed_out_once_and_the_parts_are_few(auditors: int, blocks: int, seed: int) -> None:
    shares = Shares(blocks, auditors, at_once=4, most_parts=4 * auditors)
    done = _share(shares, [1 + 9 * (one == 0) for one in range(auditors)], seed)
    covered = sorted((part.first_block, stop) for part, _, stop in done)
    assert [block for first, stop in covered for block in range(first, stop)] == list(range(blocks))
    assert len(done) <= 4 * auditors


def test_who_is_done_takes_the_second_half_of_the_longest_rest() -> None:
    shares = Shares(300, 3, at_once=10, most_parts=4)
    assert list(shares.parts()) == [(0, 100), (100, 200), (200, 300)]
    while shares.go_on(0) is not None:
        pass
    assert shares.go_on(1) == 110
    assert shares.take_over(0) == Part(250, 300)
    assert shares.go_on(0) == 260
    assert shares.take_over(1) is None  # four parts there are


def test_what_is_nearly_done_is_left_to_who_has_it() -> None:
    shares = Shares(100, 2, at_once=10, most_parts=8)
    while shares.go_on(0) is not None:
        pass
    for _ in range(4):
        shares.go_on(1)
    assert shares.take_over(0) is None
