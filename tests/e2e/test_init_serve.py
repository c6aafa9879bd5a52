"""The operator's commands as processes: init, doctor, serve; what they refuse, and that a restart loses nothing."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli import doctor_checks
from api.cli.init import CONFIG, MAX_ORIGIN_CHARS
from tests.support.serving import CEREMONY, ORIGIN, PAGE, Serving, flexledger, lay_out

pytestmark = pytest.mark.slow  # each test starts processes


def init(folder: Path, ceremony: Path, party: str = "FI-NGC", origin: str = ORIGIN) -> subprocess.CompletedProcess[str]:
    return flexledger("init", folder, "--ceremony", ceremony, "--party", party, "--origin", origin)


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ceremony") / "ceremony.toml"
    path.write_text(CEREMONY)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service that was laid out, on ports that the system chooses."""
    return lay_out(tmp_path_factory.mktemp("service"))


@pytest.fixture
def serving(config: Path, tmp_path: Path) -> Iterator[Serving]:
    running = Serving(config, tmp_path)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


def test_init_makes_a_service_that_the_doctor_finds_fine(config: Path) -> None:
    found = flexledger("doctor", config, "--json")
    report = json.loads(found.stdout)
    assert (found.returncode, report["failures"]) == (0, 0), found.stdout
    assert {one["check"] for one in report["findings"]} >= {"settings", "keys", "trust", "crl", "log", "vault", "disk"}


def test_init_leaves_no_key_that_others_can_read(config: Path) -> None:
    keys = [path for path in config.parent.rglob("*") if path.suffix == ".ring" or "key" in path.name.split(".")]
    assert len(keys) > 10
    assert [path.name for path in keys if path.is_file() and path.stat().st_mode & doctor_checks.OTHERS] == []


def test_init_refuses_a_directory_with_something_in_it(ceremony: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    refused = init(tmp_path, ceremony)
    assert refused.returncode == 2
    assert "api/init-target-taken" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("party", ["FI-AUR", "FI-NOBODY", ""])
def test_init_refuses_a_party_that_cannot_operate_a_port(ceremony: Path, tmp_path: Path, party: str) -> None:
    refused = init(tmp_path / "svc", ceremony, party)
    assert refused.returncode == 2
    assert "api/init-party" in refused.stderr
    assert not (tmp_path / "svc").exists()


@pytest.mark.parametrize("origin", ["", "Ledger.example", "ledger.example/a\nb", "l" * (MAX_ORIGIN_CHARS + 1)])
def test_init_refuses_what_is_no_origin(ceremony: Path, tmp_path: Path, origin: str) -> None:
    refused = init(tmp_path / "svc", ceremony, origin=origin)
    assert refused.returncode == 2
    assert "api/init-party" in refused.stderr
    assert not (tmp_path / "svc").exists()


def test_the_longest_origin_makes_a_service_that_can_start(ceremony: Path, tmp_path: Path) -> None:
    assert init(tmp_path / "svc", ceremony, origin="l" * MAX_ORIGIN_CHARS).returncode == 0
    assert flexledger("doctor", tmp_path / "svc" / CONFIG).returncode == 0


def test_init_refuses_a_ceremony_file_that_contradicts_itself(tmp_path: Path) -> None:
    path = tmp_path / "ceremony.toml"
    path.write_text(CEREMONY.replace('operator = "FI-NGC"', 'operator = "FI-AUR"'))
    refused = init(tmp_path / "svc", path)
    assert refused.returncode == 2
    assert "pki/ceremony-spec" in refused.stderr


def test_an_unknown_setting_is_refused_by_serve_and_by_the_doctor(config: Path, tmp_path: Path) -> None:
    path = tmp_path / CONFIG
    path.write_text("colour = 1\n" + config.read_text())
    refused = flexledger("serve", path)
    assert refused.returncode == 2
    assert "api/settings-invalid" in refused.stderr
    assert "key=colour" in refused.stderr
    looked = flexledger("doctor", path)
    assert looked.returncode == 1
    assert "api/settings-invalid" in looked.stdout


def test_an_unknown_variable_is_refused(config: Path) -> None:
    refused = flexledger("serve", config, FLEXLEDGER_COLOUR="1")
    assert refused.returncode == 2
    assert "api/settings-invalid" in refused.stderr


def test_the_service_answers_and_stops_cleanly_and_goes_on_where_it_stopped(config: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = Serving(config, tmp_path / "first")
    try:
        before = first.checkpoint()
        assert before.size > 0
    finally:
        assert first.stop() == 0, first.log.read_text()
    second = Serving(config, tmp_path / "second")
    try:
        after = second.checkpoint()
    finally:
        assert second.stop() == 0, second.log.read_text()
    assert (after.size, after.root) == (before.size, before.root)
    assert second.where["vkey"] == first.where["vkey"]
    assert flexledger("doctor", config).returncode == 0


def test_the_lists_that_the_page_makes_are_taken(config: Path, tmp_path: Path) -> None:
    service = tmp_path / "svc"
    shutil.copytree(config.parent, service)
    for path in (service / "pki" / "crl").iterdir():
        path.unlink()
    assert flexledger("doctor", service / CONFIG).returncode == 1
    (block,) = PAGE.blocks("python")
    names: dict[str, Any] = {}
    exec(compile(block, PAGE.name, "exec"), names)  # noqa: S102 -- our own page
    credentials = service / "credentials"
    names["publish"](credentials / "authorities", credentials / "root", tmp_path / "issued.db", service / "pki" / "crl")
    found = flexledger("doctor", service / CONFIG)
    assert found.returncode == 0, found.stdout


def test_everyone_may_ask_whether_it_lives_and_who_it_is(serving: Serving) -> None:
    assert serving.http.get("/livez").json() == {"status": "alive"}
    assert serving.http.get("/readyz").json() == {"status": "ready"}
    about = serving.http.get("/.well-known/flexledger").json()
    assert (about["origin"], about["vkey"], about["party"]) == (ORIGIN, serving.where["vkey"], "FI-NGC")
    assert serving.http.get("/v1/requests").status_code == 401


def test_the_operations_listener_answers_metrics_and_health_and_nothing_else(serving: Serving) -> None:
    metrics = serving.ops("/metrics")
    assert metrics.status_code == 200
    assert "flexledger_" in metrics.text
    assert serving.ops("/readyz").json() == {"status": "ready"}
    assert serving.ops("/checkpoint").status_code == 404


def test_a_second_service_on_the_same_data_is_refused(serving: Serving) -> None:
    second = flexledger("serve", serving.config)
    assert second.returncode == 2
    assert "ledger/store-locked" in second.stderr
    assert serving.http.get("/readyz").status_code == 200


def test_the_doctor_may_look_while_the_service_runs(serving: Serving) -> None:
    found = flexledger("doctor", serving.config, "--json")
    assert found.returncode == 0, found.stdout
    (log,) = [one for one in json.loads(found.stdout)["findings"] if one["check"] == "log"]
    assert "verifies" in log["detail"]


def test_a_port_that_is_taken_is_an_error_and_not_a_crash(config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = flexledger("serve", config, FLEXLEDGER_LISTEN__PORT=port)
    assert refused.returncode == 2
    assert "cannot start" in refused.stderr
