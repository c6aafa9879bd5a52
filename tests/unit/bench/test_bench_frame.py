"""The benchmarks' own arithmetic, and that no row stands without a floor and a goal."""

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.bench import command, frame, machine, p02_neighbours, table
from tests.bench.frame import Goal, Measure, Pair, Result, Row, Scale
from tests.bench.registry import NOT_MEASURED, ROWS

pytestmark = pytest.mark.slow  # takes seconds

DESIGNED = {f"P{number}" for number in range(1, 26)}


@contextmanager
def nothing(_: Scale) -> Iterator[Pair]:
    yield Pair(lambda: 1.0, lambda: 1.0)


def row(goal: Goal, **more: object) -> Row:
    return Row(id="P0", what="a thing", floor="another", goal=goal, prepare=nothing, **more)  # type: ignore[arg-type]


def test_a_speed_is_the_floors_time_in_parts_of_the_operations() -> None:
    goal = frame.speed(0.5)
    assert goal.ratio(operation=4.0, floor=2.0) == 0.5
    assert goal.is_met(0.5)
    assert not goal.is_met(0.499)


@pytest.mark.parametrize("measure", [Measure.TIME, Measure.SIZE])
def test_a_time_or_a_size_is_a_multiple_of_the_floors(measure: Measure) -> None:
    goal = Goal(measure, 2.0)
    assert goal.ratio(operation=4.0, floor=2.0) == 2.0
    assert goal.is_met(2.0)
    assert not goal.is_met(2.001)


def test_a_budget_has_no_floor() -> None:
    goal = Goal(Measure.BUDGET, 60.0)
    assert goal.ratio(operation=59.0, floor=0.001) == 59.0
    assert goal.is_met(60.0)
    assert not goal.is_met(60.1)


def test_median_and_least_are_of_the_ratios_of_each_round() -> None:
    result = Result(row(frame.speed(0.5)), operations=(2.0, 10.0, 4.0), floors=(1.0, 9.0, 1.0))
    assert result.ratios == (0.5, 0.9, 0.25)
    assert result.median == 0.5
    assert result.least == 0.25
    assert result.is_met
    # The ratio of the medians (4 and 1) would be another figure, of no round that ever was.
    assert result.median != 1.0 / 4.0


def test_a_goal_is_held_against_the_median_and_not_the_best_round() -> None:
    result = Result(row(frame.time(2.0)), operations=(1.0, 3.0, 3.0), floors=(1.0, 1.0, 1.0))
    assert (result.least, result.median) == (1.0, 3.0)
    assert not result.is_met


def test_operation_and_floor_take_turns_after_a_round_that_does_not_count(tmp_path: Path) -> None:
    called: list[str] = []

    def noting(name: str, seconds: float) -> frame.Figure:
        def figure() -> float:
            called.append(name)
            return seconds

        return figure

    @contextmanager
    def prepare(_: Scale) -> Iterator[Pair]:
        yield Pair(noting("o", 2.0), noting("f", 1.0))

    measured = Row(id="P0", what="", floor="x", goal=frame.time(3.0), prepare=prepare)
    result = frame.measure(measured, Scale(quick=True, folder=tmp_path))
    assert "".join(called) == "of" + "of" + "fo" + "of" + "fo" + "of"
    assert result.operations == (2.0,) * frame.ROUNDS
    assert result.floors == (1.0,) * frame.ROUNDS


def test_what_several_rows_look_at_is_made_once(tmp_path: Path) -> None:
    scale = Scale(quick=True, folder=tmp_path)
    made: list[str] = []

    def make() -> str:
        made.append("the log")
        return made[-1]

    assert [scale.shared("log", make) for _ in range(3)] == ["the log"] * 3
    assert made == ["the log"]
    assert scale.fresh() != scale.fresh()
    assert (scale.of(1000, 10), Scale(quick=False, folder=tmp_path).of(1000, 10)) == (10, 1000)


def test_a_figure_is_for_one_of_many() -> None:
    done: list[int] = []
    assert frame.repeated(lambda: done.append(0), 10)() > 0
    assert frame.over(done.append, [1, 2, 3])() > 0
    assert done == [0] * 10 + [1, 2, 3]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.id} {row.what}")
def test_every_row_has_a_floor_and_a_goal(row: Row) -> None:
    assert row.goal.bound > 0
    if row.goal.measure is Measure.BUDGET:
        assert row.floor == ""
    else:
        assert row.floor
        assert row.rounds >= frame.ROUNDS == 5
    assert re.fullmatch(r"P\d+", row.id)
    assert 0 < len(row.what) <= 56, "the column's width"


def test_every_designed_row_is_measured_or_says_why_not() -> None:
    measured = {row.id for row in ROWS}
    assert measured | NOT_MEASURED.keys() == DESIGNED
    assert measured & NOT_MEASURED.keys() == set()
    assert all(NOT_MEASURED.values())
    assert len({(row.id, row.what) for row in ROWS}) == len(ROWS)


def test_a_goal_that_is_missed_is_printed_as_missed() -> None:
    missed = table.line(Result(row(frame.speed(0.9)), (2.0,), (1.0,)))
    assert "MISSED" in missed
    assert "0.50" in missed
    assert ">= 0.90 x" in missed
    assert "beside: another" in missed
    assert table.line(Result(row(frame.time(3.0)), (2.0,), (1.0,))).splitlines()[0].endswith(" met")
    closing = table.closing([Result(row(frame.speed(0.9)), (2.0,), (1.0,))], {"load_before": 1, "load_after": 2})
    assert "0 of 1 goals met" in closing
    assert "missed: P0 (a thing)" in closing


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 us"), (7.89e-7, "789 ns"), (0.0, "0 ns")]
)
def test_seconds_are_shown_in_the_unit_that_fits(value: float, text: str) -> None:
    assert table.seconds(value) == text


def test_an_unknown_row_is_refused() -> None:
    assert command.chosen("p8, P17") == {"P8", "P17"}
    assert command.chosen(None) == DESIGNED
    with pytest.raises(SystemExit, match="P99"):
        command.chosen("P8,P99")


def test_the_environment_is_said(tmp_path: Path) -> None:
    found = machine.finish(machine.look(tmp_path))
    assert found["cores"] >= 1
    assert found["fsync_p50_us"] > 0
    assert {"machine", "python", "sqlite", "durability", "commit", "load_before", "load_after"} <= found.keys()
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_breaks_is_named_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_: Scale) -> AbstractContextManager[Pair]:
        raise OSError("no room")

    broken = Row(id="P1", what="breaks", floor="x", goal=frame.time(1.0), prepare=breaks)
    sound = Row(id="P8", what="holds", floor="x", goal=frame.time(1.0), prepare=nothing)
    monkeypatch.setattr(command, "ROWS", (broken, sound))
    monkeypatch.setattr(command, "NOT_MEASURED", {"P3": "a reason"})
    path = tmp_path / "bench.json"
    assert command.main(["--quick", "--json", str(path)]) == 1
    report = json.loads(path.read_bytes())
    assert [(one["id"], one["median"], one["met"]) for one in report["rows"]] == [("P8", 1.0, True)]
    assert report["failed"] == {"P1": "OSError: no room"}
    assert report["not_measured"] == {"P3": "a reason"}
    assert report["method"] == frame.METHOD
    assert "P3   not measured: a reason" in capsys.readouterr().out


def test_a_neighbour_that_is_not_installed_is_left_out_with_the_reason_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(p02_neighbours, "INSTALLED", tmp_path)
    beside = next(row for row in p02_neighbours.ROWS if "64 writers, beside hypercore" in row.what)
    monkeypatch.setattr(command, "ROWS", (dataclasses.replace(beside, in_quick=True),))
    path = tmp_path / "bench.json"
    assert command.main(["--quick", "--only", "P2", "--json", str(path)]) == 0
    report = json.loads(path.read_bytes())
    assert (report["rows"], report["failed"]) == ([], {})
    (reason,) = report["not_measured"].values()
    assert reason.endswith(f"({p02_neighbours.INSTALL})")
    assert f"left out, {reason}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_quick_run_of_three_rows_measures_them(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert command.main(["--quick", "--only", "P8,P17,P20", "--json", str(path)]) == 0
    report = json.loads(path.read_bytes())
    assert {one["id"] for one in report["rows"]} == {"P8", "P17", "P20"}
    for one in report["rows"]:
        assert len(one["ratios"]) == frame.ROUNDS
        assert min(*one["operation"], *one["floor_figures"]) > 0
    assert report["failed"] == {}
