"""`flexledger simulate`: the same bytes for a seed, stations at a server, and what is refused before anything starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import simulate as command
from api.cli.main import app
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import SampleReading, SignedReading, Telemetry
from api.execution.simulator.scenario import Scenario
from ledger.clock import SystemClock

pytestmark = pytest.mark.slow  # takes seconds

FAULTS = '[[setpoint]]\nat_s = 5\npower_w = -9000\n[[fault]]\nkind = "offline"\nfrom_s = 10\nto_s = 20\nevery = 2\n'


def run(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["simulate", *(str(one) for one in args)])
    return result.exit_code, result.output


def order(**changes: object) -> command.Order:
    given: dict[str, object] = {
        "url": None,
        "stations": 3,
        "seed": 5,
        "faults": None,
        "trace": None,
        "ca": None,
        "credentials": None,
        "password_file": None,
        "for_s": 1,
        "report_s": 1,
        "out": None,
        "compress": False,
    }
    return command.Order(**(given | changes))  # type: ignore[arg-type]


def test_the_same_seed_and_scenario_write_the_same_bytes(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(FAULTS)
    written = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        options = ("--stations", "3", "--for", "40", "--report", "5", "--faults", faults, "--out", tmp_path / name)
        assert run("--seed", str(seed), *options) == (0, "")
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] != written[2]
    assert written[0].count(b'"kind":"Outcome"') == 3
    assert str(tmp_path).encode() not in written[0]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    code, said = run("--for", "1", "--out", tmp_path / "mine")
    assert (code, "api/file-unusable" in said, "Errno" in said) == (2, True, False)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_trace_gives_the_frequency(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('[{"time": 0, "freq": 49.5}, {"time": 100, "freq": 49.5}]')
    code, text = run("--stations", "1", "--for", "3", "--report", "1", "--frequency", trace)
    assert code == 0
    assert '"freq_millihertz":49500' in text
    trace.write_text('[{"time": 0, "freq": 1e999}]')
    assert run("--for", "1", "--frequency", trace)[0] == 2


@pytest.mark.parametrize(
    "options",
    [
        ("--stations", "0"),
        ("--stations", str(command.MAX_STATIONS + 1)),
        ("http://localhost:1/ocpp",),
        ("wss://localhost:1/ocpp",),
        ("ws://localhost:1/ocpp", "--ca", "root.pem"),
        ("ws://localhost:1/ocpp", "--out", "lines"),
        ("--ca", "root.pem"),
        ("--credentials", "nowhere"),
        ("--faults", "nowhere.toml"),
        ("--frequency", "nowhere.csv"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_before_anything_starts(options: tuple[str, ...]) -> None:
    code, text = run(*options)
    assert code == 2
    assert "nothing was started: " in text


async def test_stations_at_a_server_report_and_sign(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Telemetry] = []
    clock = SystemClock()
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock)
        port.subscribe(heard.append)
        url = f"ws://127.0.0.1:{listener.bound_port}/ocpp"
        assert await command._driven(order(url=url, for_s=3), url, Scenario()) == 0
    assert {one.evse.station_id for one in heard if isinstance(one, SampleReading)} == {"CS-0001", "CS-0002", "CS-0003"}
    assert sum(isinstance(one, SignedReading) for one in heard) == 3
    assert "3 of 3 stations connected" in capsys.readouterr().err


async def test_where_no_station_is_let_in_the_command_fails_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ws://127.0.0.1:9/ocpp"
    assert await command._driven(order(url=url), url, Scenario()) == 1
    said = capsys.readouterr().err
    assert "api/ocpp-nobody-let-in" in said
    assert "connect: " in said
