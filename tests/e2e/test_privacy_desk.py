"""A privacy officer with the how-to page alone: every command of it, in its order, against a running service."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.client import party as parties
from api.client.client import Client
from api.client.http import Transport
from api.client.signer import StatementSigner
from ledger.clock import SystemClock
from ledger.records.sites import SessionMirrored
from tests.support import rulebook
from tests.support.pages import Page
from tests.support.serving import CEREMONY, ORIGIN, Serving, flexledger
from tests.support.vectors import REPOSITORY

pytestmark = pytest.mark.slow

PAGE = Page(REPOSITORY / "docs" / "how-to" / "run-the-privacy-desk.md")
PERSON = "evu-of-the-page-4711"
SITE = "depot-7"
OFFICERS = """
[[parties]]
id = "FI-DPO"
role = "DPO"
organisation = "Privacy office"

[[parties]]
id = "FI-OPS"
role = "OPS"
organisation = "Operations"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Path]]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "ceremony.toml").write_text(CEREMONY + OFFICERS)
    made = flexledger(
        "init", folder / "svc", "--ceremony", folder / "ceremony.toml", "--party", "FI-NGC", "--origin", ORIGIN
    )
    assert made.returncode == 0, made.stderr
    config = folder / "svc" / "flexledger.toml"
    text = re.sub(r"^port = \d+$", "port = 0", config.read_text(), flags=re.MULTILINE)
    config.write_text(text.replace("[vault]\n", '[vault]\nbackup_dir = "backups"\n'))
    running = Serving(config, folder)
    try:
        yield running, config.parent
    finally:
        running.stop()


def party_file(running: Serving, svc: Path, party: str, name: str, folder: Path) -> None:
    found = next(svc.rglob(f"parties/{party}/{parties.FILE}"))
    here = f'service = "https://localhost:{running.where["port"]}"'
    text = re.sub(r"^service = .*$", here, found.read_text(), flags=re.MULTILINE)
    (found.parent / parties.FILE).write_text(text)
    (folder / name).symlink_to(found.parent, target_is_directory=True)


def port_says(running: Serving, svc: Path) -> int:
    """The site and one session of the person; where the session stands."""
    keys = next(path for path in svc.rglob("parties/FI-NGC") if path.is_dir())
    transport = Transport(
        f"https://localhost:{running.where['port']}",
        ca=svc / "pki" / "root.pem",
        cert=keys / "tls_client.crt.pem",
        key=keys / "tls_client.key.pem",
    )
    signer = StatementSigner.load(
        party="FI-NGC", key=keys / "signing.key.pem", certificate=keys / "signing.crt.pem", audience=ORIGIN
    )
    now_ms = SystemClock().now_ms()
    session = SessionMirrored(
        session_id="session-of-the-page",
        site_id=SITE,
        evse_id=rulebook.EVSES[0],
        evu=PERSON,
        discharge_allowed=True,
        from_ms=now_ms,
        until_ms=now_ms + 3_600_000,
    )
    with Client(transport, signer=signer, clock=SystemClock()) as client:
        client.post_statement("/v1/sites", rulebook.site(site_id=SITE), f"site/{SITE}")
        return client.post_statement(f"/v1/sites/{SITE}/sessions", session, f"site/{SITE}").index


def test_every_task_of_the_page_is_done_by_its_commands(
    service: tuple[Serving, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, svc = service
    monkeypatch.chdir(tmp_path)
    party_file(running, svc, "FI-DPO", "dpo", tmp_path)
    party_file(running, svc, "FI-OPS", "ops", tmp_path)
    index = port_says(running, svc)
    exporter = next(path for path in svc.rglob("parties/FI-NGC/signing.crt.pem"))
    (tmp_path / "exporter.pem").write_bytes(exporter.read_bytes())
    words = {
        "PERSON": PERSON.upper(),
        "ENTRY": str(index),
        "PSEUDONYM": "P1" + "A" * 32,
        "VKEY": running.where["vkey"],
        "ORIGIN": ORIGIN,
        "NUMBER": "1",
    }
    said: dict[str, str] = {}
    for block in PAGE.blocks("sh"):
        for line in block.splitlines():
            arguments = [words.get(word, word) for word in shlex.split(line)[1:]]
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output)
            said[" ".join(shlex.split(line)[2:4])] = done.output
            if arguments[:3] == ["privacy", "reid", "ask"]:
                words["REQUEST"] = re.search(r"[0-9a-f]{32}", done.output)[0]  # type: ignore[index]
    assert "verified: ACCESS export of FI-NGC" in said["verify access.tar"]
    assert "values of entry" in said["receipt ENTRY"]
    assert re.search(r"epoch 2; \d+ keys? of the copy opened; epochs destroyed: 1", said["rotate-keys --destroy"])
    assert "nobody whose data is here" in said["reid answer"]
    assert PERSON.encode() in (tmp_path / "access.tar").read_bytes()
    # What is left of the person is what the officer fetched.
    left = [path for path in svc.rglob("*") if path.is_file() and PERSON.encode() in path.read_bytes()]
    assert left == []
    assert PERSON not in running.log.read_text()
    again = CliRunner().invoke(app, ["privacy", "access", PERSON, "--party", "dpo/party.toml", "--out", "again.tar"])
    assert again.exit_code == 2
    assert "ledger/subject-unknown" in again.output
    assert PERSON not in again.output
    (tmp_path / "not-a-key.pem").write_bytes(bytes(range(256)))
    for key, code in (("not-a-key.pem", "ledger/sealing-refused"), ("absent.pem", "api/bundle-unusable")):
        asked = ["privacy", "access", PERSON, "--party", "dpo/party.toml", "--out", "again.tar", "--seal-to", key]
        refused = CliRunner().invoke(app, asked)
        assert (refused.exit_code, refused.output.startswith(f"not done: {code}")) == (2, True), refused.output
    assert not (tmp_path / "again.tar").exists()
    wrong = CliRunner().invoke(app, ["privacy", "erase", PERSON, "--party", "ops/party.toml", "--basis", "OBJECTION"])
    assert (wrong.exit_code, "api/role-not-allowed" in wrong.output) == (2, True)


def test_a_changed_export_is_refuted_and_what_is_none_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not an archive")
    signer = tmp_path / "none.pem"
    signer.write_text("")
    done = CliRunner().invoke(app, ["export", "verify", str(tmp_path / "x.tar"), "--signer", str(signer)])
    assert done.exit_code == 2
