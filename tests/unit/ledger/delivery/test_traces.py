import pytest

from ledger.delivery.samples import Sample, Status
from ledger.delivery.verdicts.traces import Trace


def trace(*times: int, bad: int | None = None, max_hold_ms: int = 100) -> Trace:
    return Trace([Sample(t, t, 0, 0, int(Status.BAD) if t == bad else 0, 0) for t in times], max_hold_ms)


@pytest.mark.parametrize(
    ("at", "power"), [(999, None), (1_000, 1_000), (1_049, 1_000), (1_050, 1_050), (1_149, 1_050), (1_150, None)]
)
def test_a_sample_stands_until_the_next_one_or_the_hold(at: int, power: int | None) -> None:
    assert trace(1_000, 1_050).power_w(at) == power


def test_an_unusable_sample_stands_for_nothing_and_ends_the_one_before() -> None:
    broken = trace(1_000, 1_050, 1_100, bad=1_050)
    assert [broken.power_w(at) for at in (1_049, 1_050, 1_099, 1_100)] == [1_000, None, None, 1_100]
    assert [sample.t_ms for sample in broken.between(0, 2_000)] == [1_000, 1_100]
    assert not broken.is_whole(1_000, 1_100)


@pytest.mark.parametrize(
    ("start", "end", "whole"),
    [
        (1_000, 1_200, True),
        (1_050, 1_199, True),
        (999, 1_100, False),
        (1_000, 1_201, False),
        (1_200, 1_201, False),
        (1_250, 1_300, False),
        (1_300, 1_400, True),
        (1_000, 1_400, False),
        (5, 5, True),
    ],
)
def test_a_span_is_whole_where_a_sample_stands_for_each_instant(start: int, end: int, whole: bool) -> None:
    assert trace(1_000, 1_100, 1_300).is_whole(start, end) is whole


def test_a_longer_hold_bridges_a_gap() -> None:
    assert trace(1_000, 1_100, 1_300).is_whole(1_000, 1_400, max_hold_ms=200)
