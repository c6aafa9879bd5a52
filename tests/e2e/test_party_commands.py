"""The commands of a party against a running service: what is said, and what each exit code means."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api import wire
from ledger.records import statement
from tests.e2e.test_gateway import SITE, party_file
from tests.support.serving import Serving, flexledger, lay_out

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CSO, FO = "FI-NGC", "FI-AUR"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("party")
    running = Serving(lay_out(folder), folder)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def cso(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return party_file(serving, tmp_path_factory.mktemp("cso") / CSO, CSO)


@pytest.fixture(scope="module")
def fo(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return party_file(serving, tmp_path_factory.mktemp("fo") / FO, FO)


def _file(folder: Path, record: Any) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(record))
    return path


def test_a_record_is_stated_proven_and_refused_the_second_time(cso: Path, tmp_path: Path) -> None:
    record = _file(tmp_path, SITE)
    done = flexledger("state", cso, "site.configured", record)
    assert done.returncode == 0, done.stderr
    assert "proven by the log" in done.stdout
    again = flexledger("state", cso, "site.configured", record)
    assert (again.returncode, "refused: rules/version-gap" in again.stderr) == (1, True), again.stderr
    as_json = flexledger("state", cso, "site.configured", record, "--json")
    assert as_json.returncode == 1
    assert msgspec.json.decode(as_json.stdout, type=wire.Problem).code == "rules/version-gap"


def test_what_is_signed_is_sent_by_nobody_and_can_be_handed_in(cso: Path, tmp_path: Path) -> None:
    record = _file(tmp_path, {**SITE, "version": 2})
    out = tmp_path / "signed.json"
    done = flexledger("sign", cso, "site.configured", record, "--out", out)
    assert done.returncode == 0, done.stderr
    made = msgspec.json.decode(out.read_bytes(), type=wire.Submission)
    assert statement.parse_statement(made.statement).claims.iss == CSO
    printed = flexledger("sign", cso, "site.configured", record)
    assert msgspec.json.decode(printed.stdout, type=wire.Submission).certificates == made.certificates
    assert flexledger("sign", cso, "site.configured", record, "--out", out).returncode == 2


def test_an_operator_lists_asks_and_is_refused(fo: Path, tmp_path: Path) -> None:
    empty = flexledger("request", "list", fo)
    assert (empty.returncode, empty.stdout) == (0, "no requests\n"), empty.stderr
    listed = flexledger("request", "list", fo, "--status", "ACTIVE", "--limit", "1", "--json")
    assert json.loads(listed.stdout)["requests"] == []
    for arguments in (
        ("request", "show", fo, "fsr-none"),
        ("request", "log", fo, "fsr-none"),
        ("request", "bundle", fo, "fsr-none", "--out", tmp_path / "bundle.json"),
    ):
        done = flexledger(*arguments)
        assert (done.returncode, "api/not-concerned" in done.stderr) == (1, True), (arguments, done.stderr)
    assert not (tmp_path / "bundle.json").exists()
    cancelled = flexledger("request", "cancel", fo, "fsr-none")
    assert (cancelled.returncode, "refused: rules/" in cancelled.stderr) == (1, True), cancelled.stderr
    assert flexledger("request", "issue", fo, _file(tmp_path, {"fsr_id": "fsr-1"})).returncode == 2


def test_a_party_without_a_right_to_opt_sends_nothing_and_others_are_judged(fo: Path, cso: Path) -> None:
    without = flexledger("opt", fo, "fsr-none", "p-none", "out")
    assert (without.returncode, "api/party-file" in without.stderr) == (2, True), without.stderr
    judged = flexledger("opt", cso, "fsr-none", "p-none", "out", "--reason", "local-safety")
    assert (judged.returncode, "refused: rules/wrong-order" in judged.stderr) == (1, True), judged.stderr
    assert flexledger("opt", cso, "fsr-none", "p-none", "perhaps").returncode == 2
    proof = flexledger("prove", cso, "fsr-none")
    assert (proof.returncode, "api/not-concerned" in proof.stderr) == (1, True), proof.stderr


def test_what_cannot_be_sent_is_2_and_what_nobody_knows_is_3(cso: Path, tmp_path: Path) -> None:
    for arguments in (
        ("request", "list", tmp_path / "absent.toml"),
        ("state", cso, "site.configured", tmp_path / "absent.json"),
        ("state", cso, "site.invented", _file(tmp_path, {})),
        ("state", cso, "site.configured", _file(tmp_path, SITE), "--subject", "nobody"),
        ("respond", cso, _file(tmp_path, [1])),
    ):
        done = flexledger(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    away = tmp_path / "away"
    away.mkdir()
    for name in cso.parent.iterdir():
        if name.is_file():
            (away / name.name).write_bytes(name.read_bytes())
            (away / name.name).chmod(0o600)
    text = (away / "party.toml").read_text()
    port = text.partition("localhost:")[2].partition('"')[0]
    (away / "party.toml").write_text(text.replace(port, "1"))
    gone = flexledger("request", "list", away / "party.toml")
    assert (gone.returncode, "unknown: api/unreachable" in gone.stderr) == (3, True), gone.stderr
