"""The bar of a long command."""

import io

import pytest

from api.cli.progress import Bar
from api.cli.words import counted


def test_the_bar_says_how_long_the_rest_takes() -> None:
    out, now = io.StringIO(), [0.0]
    bar = Bar(out, lambda: now[0], "entries")
    for at_s, done in ((10.0, 250), (10.1, 260), (40.0, 1000)):
        now[0] = at_s
        bar.show(done, 1000)
    first, last = out.getvalue().split("\r")[1:]
    assert first.startswith("[#######.......................] 250 of 1,000 entries, 30 s left")
    assert last.startswith("[##############################] 1,000 of 1,000 entries")
    assert last.endswith("\n")


@pytest.mark.parametrize(("seconds", "shown"), [(59, "59 s"), (61, "1 min 01 s"), (3_725, "1 h 02 min")])
def test_the_rest_is_told_in_units_that_people_use(seconds: int, shown: str) -> None:
    out, now = io.StringIO(), [0.0]
    bar = Bar(out, lambda: now[0], "entries")
    now[0] = float(seconds)
    bar.show(1, 2)
    assert f"{shown} left" in out.getvalue()


def test_nothing_to_do_is_done() -> None:
    out = io.StringIO()
    Bar(out, lambda: 0.0, "entries").show(0, 0)
    assert out.getvalue().endswith("0 of 0 entries\x1b[K\n")


def test_one_is_not_many() -> None:
    assert [counted(number, "entry", "entries") for number in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
