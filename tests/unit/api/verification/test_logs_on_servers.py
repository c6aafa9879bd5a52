"""A log on a PostgreSQL server for the commands that read one: its address comes from a file, and is shown nowhere."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.flows.self_audit import SelfAudit
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import policy_of
from api.verification.report import Exit
from ledger.audit import run as audits
from ledger.audit.report import AuditFailed
from ledger.audit.static_source import StaticSource
from tests.support import attacks, logs, tamper
from tests.support.bundles import Story
from tests.support.postgres import Server

pytestmark = pytest.mark.slow  # takes seconds

SIZE = 300
SECRET = "correct-horse-battery"


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Path:
    """The folder beside a log of 300 entries on a server: its key, and the file with the server's address."""
    folder = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "medium", logs.Postgres(postgres_server.dsn))
        asyncio.run(logs.build(folder, SIZE))
    (folder / "vkey").write_text(logs.signer().vkey + "\n")
    dsn = folder / "dsn"
    dsn.touch(mode=0o600)
    # The server trusts everybody on the loopback interface; the password is there to be looked for.
    dsn.write_text(postgres_server.dsn.replace("test@", f"test:{SECRET}@") + "\n")
    return folder


@pytest.fixture
def words(beside: Path) -> tuple[str, ...]:
    """What says where the log is."""
    return (str(beside), "--dsn-file", str(beside / "dsn"), "--schema", logs.Postgres("").schema(beside))


def of_the_log(*words: str | Path) -> list[tuple[str, str, int | None]]:
    """What the audit says of the bytes: status, code, index; these logs were not made to keep the rules."""
    _, text = run("audit", *words, "--json")
    lines = msgspec.json.decode(text)["lines"]
    return [(line["status"], line["code"], line["where"].get("index")) for line in lines if line["check"] == "log"]


def test_a_log_on_a_server_is_audited_whole(words: tuple[str, ...]) -> None:
    assert of_the_log(*words) == [("VERIFIED", "verify/ok", None)]
    assert "300 entries, 3 signed checkpoints up to 300" in run("audit", *words)[1]


def test_an_edited_row_of_a_server_is_named_by_the_command(
    words: tuple[str, ...], beside: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: Server
) -> None:
    monkeypatch.setattr(logs, "medium", logs.Postgres(postgres_server.dsn))
    with tamper.tampered(beside) as db:
        (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (110,)).fetchone()
        attacks.body(db, 110)
    try:
        found = of_the_log(*words)
    finally:
        with tamper.tampered(beside) as db:
            db.execute("UPDATE entry SET data = ? WHERE idx = ?", (data, 110))
    assert ("REFUTED", "ledger/body-edited", 110) in found
    assert of_the_log(*words) == [("VERIFIED", "verify/ok", None)]


def test_processes_beside_each_other_read_the_same_server(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run("audit", *words, "--jobs", "1", "--json")
    monkeypatch.setattr("api.cli.audit.BESIDE_ENTRIES", 1)
    monkeypatch.setattr("ledger.audit.run.MIN_SIGNED_BLOCKS", 0.1)
    assert run("audit", *words, "--jobs", "2", "--json") == alone


def test_a_log_on_a_server_is_mirrored_into_files_that_an_audit_accepts(words: tuple[str, ...], tmp_path: Path) -> None:
    code, text = run("mirror", "update", words[0], tmp_path / "copy", *words[1:])
    assert (code, text.startswith("300 entries, 0 before")) == (0, True), text
    report = audits.audit(StaticSource(tmp_path / "copy"), vkeys=[logs.signer().vkey], origin=logs.ORIGIN)
    assert (report.ok, report.size) == (True, SIZE), report.findings
    again = run("mirror", "update", words[0], tmp_path / "copy", *words[1:])
    assert again == (0, "300 entries, 300 before; 0 files written\n")


@pytest.mark.parametrize("command", [("audit",), ("mirror update", "OUT")])
def test_an_address_that_others_can_read_is_refused(
    command: tuple[str, ...], words: tuple[str, ...], beside: Path, tmp_path: Path
) -> None:
    exposed = tmp_path / "dsn"
    exposed.write_text((beside / "dsn").read_text())
    exposed.chmod(0o644)
    where = [str(exposed) if word == str(beside / "dsn") else word for word in words]
    out = [str(tmp_path / "out")] if "OUT" in command else []
    code, text = run(*command[0].split(), where[0], *out, *where[1:])
    assert code == 2
    assert "api/key-file-exposed" in text
    assert SECRET not in text


@pytest.mark.parametrize("command", [("audit",), ("mirror update", "OUT")])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (f"postgresql://r\u00f6le:{SECRET}@127.0.0.1/log".encode(), "api/key-file-unfit"),
        (b"", "api/key-file-unfit"),
        (b" \n", "api/key-file-unfit"),
        (SECRET.encode() * 2_000, "api/key-file-unfit"),
        (f"role:{SECRET}@127.0.0.1/log".encode(), "ledger/address-unfit"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_holds_no_address_is_unusable_and_nothing_of_it_is_said(
    command: tuple[str, ...], content: bytes | None, code: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    unfit = tmp_path / "dsn"
    if content is not None:
        unfit.touch(mode=0o600)
        unfit.write_bytes(content)
    out = [str(tmp_path / "out")] if "OUT" in command else []
    exit_code, text = run(*command[0].split(), words[0], *out, "--dsn-file", str(unfit))
    assert (exit_code, code in text) == (2, True), text
    assert SECRET not in text
    assert "Traceback" not in text


def test_what_is_unusable_says_what_was_expected_and_found_to_machines_too(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "dsn").touch(mode=0o600)
    code, text = run("audit", words[0], "--dsn-file", str(tmp_path / "dsn"), "--json")
    assert (code, json.loads(text)) == (
        2,
        {
            "outcome": "unusable",
            "code": "api/key-file-unfit",
            "detail": "the key file is empty; expected text in ASCII, found nothing",
            "where": {"file": "dsn"},
        },
    )


@pytest.mark.parametrize("command", [("audit",), ("mirror update", "OUT")])
def test_a_server_that_is_not_there_or_holds_no_log_is_unusable_and_its_password_is_not_said(
    command: tuple[str, ...], words: tuple[str, ...], beside: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "dsn"
    gone.touch(mode=0o600)
    gone.write_text(f"postgresql://test:{SECRET}@127.0.0.1:1/postgres")
    out = [str(tmp_path / "out")] if "OUT" in command else []
    for where in (
        [words[0], *out, "--dsn-file", str(gone)],
        [words[0], *out, "--dsn-file", str(beside / "dsn"), "--schema", "nothing_here"],
        [words[0], *out, "--dsn-file", str(tmp_path / "none")],
    ):
        code, text = run(*command[0].split(), *where)
        assert code == 2, text
        assert SECRET not in text
        assert "Traceback" not in text


async def test_a_service_audits_its_log_on_a_server_too(words: tuple[str, ...], beside: Path, story: Story) -> None:
    policy = msgspec.structs.replace(policy_of(open_bundle(story.settled)), vkey=logs.signer().vkey)
    audit = SelfAudit(beside, policy=lambda: policy, dsn_file=beside / "dsn", schema=words[-1])
    # It is read: what is found is what this log does wrong, not that there is none.
    assert await audit.once() is Exit.REFUTED
    with pytest.raises(AuditFailed, match="rules/"):
        audit.require_clean()


def test_a_settings_file_and_an_address_at_once_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "flexledger.toml").write_text("")
    code, text = run("audit", tmp_path / "flexledger.toml", *words[1:])
    assert code == 2
    assert "the settings say where the log is" in text
