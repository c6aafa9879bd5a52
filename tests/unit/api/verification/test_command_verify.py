"""`flexledger verify`: exit codes, the table, JSON, and policies from files."""

import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli import verify as command
from api.cli.main import app
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import encode_policy, policy_of
from tests.support.bundles import Story, changed

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture
def bundle(story: Story, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_bytes(story.settled)
    return path


def run(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in args])
    return result.exit_code, result.output


def test_a_good_bundle_exits_0_and_shows_every_group(bundle: Path) -> None:
    code, text = run("verify", bundle)
    assert code == 0
    assert "proof of work" in text
    assert text.rstrip().splitlines()[-1].startswith("request fsr-")
    assert "\x1b[" not in text


def test_a_refuted_bundle_exits_1_and_names_the_entry(story: Story, bundle: Path) -> None:
    def edit(value: Any) -> None:
        value["entries"][3]["entry"]["rec"] += 1

    bundle.write_bytes(changed(story.settled, edit))
    code, text = run("verify", bundle)
    assert code == 1
    assert "ledger/entry-not-included" in text
    assert f"index={open_bundle(story.settled).entries[3].index}" in text


def test_what_a_bundle_says_moves_no_cursor(story: Story, bundle: Path) -> None:
    def edit(value: Any) -> None:
        value["entries"][3]["entry"]["type"] = "\x1b]0;title\x07"

    bundle.write_bytes(changed(story.settled, edit))
    code, text = run("verify", bundle)
    assert code == 1
    assert "found \ufffd]0;title\ufffd" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_an_unusable_file_exits_2(bundle: Path, tmp_path: Path) -> None:
    bundle.write_bytes(b"{")
    assert run("verify", bundle)[0] == 2
    assert run("verify", tmp_path / "absent.json")[0] == 2


def test_missing_evidence_exits_3(story: Story, bundle: Path) -> None:
    def without_baseline(value: Any) -> None:
        value["attachments"] = [one for one in value["attachments"] if b"NOMINATION" not in b64decode(one["data"])]

    bundle.write_bytes(changed(story.settled, without_baseline))
    code, text = run("verify", bundle)
    assert code == 3
    assert "verify/evidence-absent" in text


def test_json_says_the_same(bundle: Path) -> None:
    code, text = run("verify", bundle, "--json")
    found = msgspec.json.decode(text)
    assert (code, found["exit_code"], found["outcome"]) == (0, 0, "verified")
    assert {line["check"] for line in found["lines"]} >= {"inclusion", "settlement"}


def test_json_of_an_unusable_file_has_the_code_and_the_place(story: Story, bundle: Path) -> None:
    bundle.write_bytes(story.settled + b" ")
    code, text = run("verify", bundle, "--json")
    found = msgspec.json.decode(text)
    assert (code, found["code"]) == (2, "ledger/not-canonical")
    assert found["where"]["offset"] == len(story.settled)


def test_a_policy_file_is_used(story: Story, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(encode_policy(policy_of(open_bundle(story.settled))))
    assert run("verify", bundle, "--policy", path)[0] == 0
    path.write_bytes(encode_policy(msgspec.structs.replace(policy_of(open_bundle(story.settled)), development=False)))
    assert run("verify", bundle, "--policy", path)[0] == 1


def test_a_broken_policy_is_unusable(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("vkey = 1")
    assert run("verify", bundle, "--policy", path)[0] == 2


def test_colours_are_only_for_people(story: Story) -> None:
    report = command.verify(open_bundle(story.settled))
    assert not any("\x1b[" in line for line in command.table(report, colour=False))
    assert any("\x1b[" in line for line in command.table(report, colour=True))


def test_verifying_needs_no_database_network_or_web_framework() -> None:
    program = (
        "import sys, api.cli.verify\n"
        "wanted = {'sqlite3', 'asyncio', 'litestar', 'websockets', 'httpx2', 'structlog', 'asyncpg', 'jwt'}\n"
        "print(sorted(wanted & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
