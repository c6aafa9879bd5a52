"""A backup is of one moment while the service writes, holds no key, and says what restoring it would mean."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from api.cli import init
from ledger.clock import SystemClock
from ledger.store.errors import RolledBack
from pki import ceremony
from tests.support import rulebook
from tests.unit.api.cli.test_doctor import SPEC
from tests.unit.api.cli.test_log_life import ORIGIN, Port, beside, run

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with a log of some entries, as it stands on its disk."""
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    folder = tmp_path_factory.mktemp("backup") / "svc"
    init.lay_out(folder, made, party="FI-NGC", origin=ORIGIN, clock_file=Path("clock"))
    (folder / "clock").write_text(str(now_ms))
    asyncio.run(written(Port(folder, folder / "clock")))
    return folder


async def written(port: Port) -> None:
    async with port.running() as service:
        await service.desk.say(rulebook.site(), "site/DEPOT-7")


@pytest.fixture
def port(pristine: Path, tmp_path: Path) -> Port:
    shutil.copytree(pristine, tmp_path / "svc")
    return Port(tmp_path / "svc", tmp_path / "svc" / "clock")


async def test_a_backup_of_a_service_that_writes_is_of_one_moment_and_can_be_restored(
    port: Port, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    async with port.running() as service:

        async def writing() -> None:
            for version in range(2, 60):
                await service.desk.say(rulebook.site(version=version), "site/DEPOT-7")

        task = asyncio.create_task(writing())
        await asyncio.sleep(0)
        code, text = await beside("backup", port.config, copy)
        await task
        assert code == 0, text
        grown = service.desk.appender.head.size
    manifest = msgspec.json.decode((copy / "manifest.json").read_bytes())
    assert 0 < manifest["entries"] <= grown
    assert {name.partition("/")[0] for name in manifest["files"]} == {"ledger.db", "pki.db", "vkey", "pki"}
    code, text = run("audit", copy, "--policy", port.policy())
    assert code == 0, text
    code, text = run("restore-check", port.config, copy)
    assert (code, "whole" in text) == (3 if manifest["entries"] < grown else 0, True)
    # Restored over what has been signed since, the log is not written, whatever the operator hopes for.
    if manifest["entries"] < grown:
        shutil.copy(copy / "ledger.db", port.folder / "data" / "ledger.db")
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (port.folder / "data" / name).unlink(missing_ok=True)
        with pytest.raises(RolledBack):
            async with port.running():
                raise AssertionError("it started")


def test_a_backup_that_is_as_new_as_the_signer_is_restored_without_a_loss(port: Port, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert run("backup", port.config, copy)[0] == 0
    assert run("restore-check", port.config, copy)[0] == 0
    shutil.rmtree(port.folder / "data")
    (port.folder / "data").mkdir()
    for name in ("ledger.db", "pki.db", "vkey"):
        shutil.copy(copy / name, port.folder / "data" / name)
    asyncio.run(grown(port))
    assert run("audit", port.config)[0] == 0


async def grown(port: Port) -> None:
    async with port.running() as service:
        assert service.publisher.stopped is None
        await service.desk.say(rulebook.site(version=2), "site/DEPOT-7")


def test_nothing_secret_and_nothing_of_a_person_is_in_a_backup_and_nobody_else_can_read_it(
    port: Port, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert run("backup", port.config, copy)[0] == 0
    *_, secret = port.key_file.read_text().split()[0].encode().split(b"+", 4)
    assert len(secret) > 40
    for path in [copy, *copy.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            data = path.read_bytes()
            assert secret not in data
            assert b"PRIVATE" not in data
    assert not {"log.state", "log.key", "vault.db", "keys.db", "kek.ring"} & {one.name for one in copy.iterdir()}


def test_without_the_authorities_an_audit_decides_nothing_about_signers(port: Port, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert run("backup", port.config, copy)[0] == 0
    policy = port.policy()
    shutil.rmtree(copy / "pki")
    code, text = run("audit", copy, "--policy", policy)
    assert (code, "verify/no-certificates" in text, "REFUTED" in text) == (3, True, False), text


def test_what_is_there_is_not_written_over_and_a_failure_leaves_nothing(port: Port, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("precious")
    code, text = run("backup", port.config, tmp_path / "taken")
    assert (code, "api/backup-target-taken" in text) == (2, True)
    (port.folder / "data" / "vkey").unlink()
    code, text = run("backup", port.config, tmp_path / "copy")
    assert (code, "Traceback" in text) == (2, False)
    (port.folder / "data" / "ledger.db").unlink()
    code, text = run("backup", port.config, tmp_path / "copy")
    assert (code, "ledger/store-absent" in text) == (2, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["svc", "taken"]


def cut(copy: Path) -> None:
    path = copy / "ledger.db"
    path.write_bytes(path.read_bytes()[:-4096])


def other_manifest(copy: Path, **changes: object) -> None:
    value = msgspec.json.decode((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_bytes(msgspec.json.encode({**value, **changes}))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "bit": lambda copy: (copy / "pki.db").write_bytes(b"\x00" + (copy / "pki.db").read_bytes()[1:]),
    "missing": lambda copy: (copy / "pki.db").unlink(),
    "more": lambda copy: (copy / "other").write_text("x"),
    "manifest": lambda copy: (copy / "manifest.json").write_text("{"),
    "other-log": lambda copy: other_manifest(copy, origin="other.example/log"),
    "count": lambda copy: other_manifest(copy, entries=99),
    "member": lambda copy: other_manifest(copy, extra=1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_backup_is_not_to_be_restored(port: Port, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    assert run("backup", port.config, copy)[0] == 0
    DAMAGE[damage](copy)
    code, text = run("restore-check", port.config, copy)
    assert (code, "api/backup-damaged" in text) == (1, True), text


def test_no_backup_at_all_is_unusable(port: Port, tmp_path: Path) -> None:
    assert run("restore-check", port.config, tmp_path / "none")[0] == 2
    assert run("backup", tmp_path / "none.toml", tmp_path / "copy")[0] == 2


def test_a_log_on_a_server_is_backed_up_there(port: Port, tmp_path: Path) -> None:
    port.config.write_text(port.config.read_text() + '\n[store]\nengine = "postgres"\ndsn_file = "keys/dsn"\n')
    code, text = run("backup", port.config, tmp_path / "copy")
    assert (code, "api/backup-elsewhere" in text) == (2, True)
