"""`flexledger rebuild`: a row that somebody changed is named, by the check and by the audit, and can be made anew."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api import engines
from api.cli import init
from api.cli.main import app
from api.flows.service import open_service
from api.settings import load
from ledger.clock import SystemClock
from ledger.store.errors import ProjectionsOther, StoreLocked
from ledger.store.sqlite import SqliteStore
from pki import ceremony
from pki.ceremony import CeremonySpec, PartySpec
from pki.roles import Role

pytestmark = pytest.mark.slow  # takes seconds

SPEC = CeremonySpec(
    organisation="Testing",
    development=True,
    parties=(PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),),
)
TAMPERED = {
    "a value is changed": "UPDATE projection SET value = x'7b7d' WHERE kind = 'log'",
    "a row is deleted": "DELETE FROM projection WHERE kind = 'log'",
    "a row is emptied": "UPDATE projection SET value = NULL WHERE kind = 'log'",
    "a row is born elsewhere": "UPDATE projection SET born = 7 WHERE kind = 'log'",
    "a row is made up": "INSERT INTO projection VALUES ('batch', 'b-1', x'2261', 0, NULL, NULL)",
    "a value is no text": "UPDATE projection SET value = x'ff00' WHERE kind = 'log'",
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    now_ms = SystemClock().now_ms()
    folder = tmp_path_factory.mktemp("rebuild") / "svc"
    init.lay_out(
        folder,
        ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms),
        party="FI-NGC",
        origin="ledger.example/rebuild",
    )
    asyncio.run(begin(folder))
    return folder


async def begin(folder: Path) -> None:
    """The service runs once, and leaves its first policy."""
    settings = load(folder / init.CONFIG, {})
    async with open_service(settings, engines.open_engines(settings, create=True), None):
        pass


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "svc"))


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in words])
    return result.exit_code, result.output


def check(folder: Path) -> tuple[int, list[dict[str, str]]]:
    code, text = run("rebuild", folder / init.CONFIG, "--check", "--json")
    return code, msgspec.json.decode(text)["findings"]


def tamper(folder: Path, sql: str) -> None:
    db = sqlite3.connect(folder / "data" / "ledger.db")
    db.execute(sql)
    db.commit()
    db.close()


def test_the_rows_of_a_service_are_those_of_its_log(folder: Path) -> None:
    assert check(folder) == (0, [])
    code, text = run("rebuild", folder / init.CONFIG)
    assert (code, text) == (0, "0 rows not what the log says\n")


@pytest.mark.parametrize("sql", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_row_that_was_changed_is_named_and_made_anew(folder: Path, sql: str) -> None:
    tamper(folder, sql)
    code, findings = check(folder)
    assert code == 1
    (found,) = findings
    assert (found["code"], found["kind"]) in {("ledger/projection-differs", kind) for kind in ("log", "batch")}
    code, text = run("audit", folder / "data", "--json")
    lines = [line for line in msgspec.json.decode(text)["lines"] if line["status"] == "REFUTED"]
    assert [(line["code"], line["where"]["kind"]) for line in lines] == [(found["code"], found["kind"])]
    assert code == 1
    code, text = run("rebuild", folder / init.CONFIG)
    assert code == 0
    assert text.endswith("1 row not what the log says, and made anew\n")
    assert check(folder) == (0, [])


def test_rows_of_another_version_are_not_judged(folder: Path) -> None:
    tamper(folder, "UPDATE head SET projected = 'rules/0'")
    code, text = run("rebuild", folder / init.CONFIG, "--check")
    assert code == 2
    assert ProjectionsOther.code in text
    code, text = run("audit", folder / "data")
    assert ProjectionsOther.code in text
    assert code != 1
    assert run("rebuild", folder / init.CONFIG)[0] == 0
    assert check(folder) == (0, [])


def test_nothing_is_made_anew_under_a_service_that_runs(folder: Path) -> None:
    tamper(folder, TAMPERED["a row is made up"])
    store = SqliteStore.open(folder / "data" / "ledger.db")
    try:
        code, text = run("rebuild", folder / init.CONFIG)
        assert code == 2
        assert StoreLocked.code in text
        assert check(folder)[0] == 1, "the check may look all the same"
    finally:
        store.close()
