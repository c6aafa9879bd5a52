"""What all tests share."""

import fcntl
import json
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from api import telemetry
from pki import names
from tests.support import canaries, marked, postgres, suites

DAY_LIMIT_S = 300
# How fast examples are made says something of the machine and nothing of what is tested.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


@dataclass(frozen=True, slots=True)
class PlayedDay:
    """The demo day, played once a session: what it left, and what it said."""

    folder: Path
    """log/ bundles/ reports/ exports/ ca/ policy.json report.json; shared, so read it and change nothing."""
    said: str
    exit_code: int


@pytest.fixture(scope="session")
def played_day(tmp_path_factory: pytest.TempPathFactory) -> PlayedDay:
    """`flexledger demo --out DIR`, as a process of its own; played once, whichever worker needs it first."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "played-day"
    place.mkdir(exist_ok=True)
    folder, said = place / "day", place / "said.json"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            done = subprocess.run(
                [*marked.COMMAND, "demo", "--out", str(folder)],
                capture_output=True,
                text=True,
                check=False,
                timeout=DAY_LIMIT_S,
            )
            said.write_text(json.dumps([done.stdout + done.stderr, done.returncode]), encoding="utf-8")
    words, exit_code = json.loads(said.read_text(encoding="utf-8"))
    return PlayedDay(folder=folder, said=words, exit_code=exit_code)


@pytest.fixture(scope="session", autouse=True)
def nobody_in_clear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every person whom a test makes up is a canary; what the session leaves has none where nobody may stand (A26)."""
    real, names.new_pseudonym = names.new_pseudonym, canaries.marked_pseudonym
    yield
    names.new_pseudonym = real
    places = list(canaries.swept(tmp_path_factory.getbasetemp(), canaries.MAY_HOLD))
    assert places == [], f"persons in clear, in files that the tests left: {places}"
    assert canaries.MARK not in telemetry.render().decode(), "a person in the metrics"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for the whole session, quick and not durable; each log takes a schema of its own."""
    cluster = postgres.Cluster()
    try:
        server = cluster.server("server")
        server.initialise()
        yield server.start(**postgres.QUICK)
        server.kill()
        # Tables, indexes, write-ahead log and the server's own log: vaults keep persons there, and only ciphered.
        places = list(canaries.swept(server.data, {}))
        assert places == [], f"persons in clear, in files of the server: {places}"
    finally:
        cluster.close()


@pytest.fixture(scope="module", autouse=True)
def lines_go_nowhere_in_particular() -> Iterator[None]:
    """A file whose tests configured the log lines, in a command for one, leaves no closed stream to the next file."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, telemetry.Bridge)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which of the suites that others wrote were run."""
    suites.summarise(terminalreporter)
