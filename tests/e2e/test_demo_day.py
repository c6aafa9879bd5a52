"""The demo day, played once by the command that a new user runs, and what it leaves behind."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import audit
from api.cli import verify as verify_command
from api.errors import ApiError
from api.verification import bundle as bundles
from api.verification.report import Exit, Status
from ledger.errors import LedgerError
from tests.conftest import PlayedDay

pytestmark = [pytest.mark.day, pytest.mark.timeout(300)]

LEFT = {"log", "bundles", "reports", "exports", "ca", "policy.json", "report.json"}
REQUESTS = {"fsr-a-congestion", "fsr-b-mandatory", "fsr-c-ffr", "fsr-d-droop", "fsr-e-ffr-weak"}


def outcome(data: bytes) -> tuple[Exit, str]:
    try:
        report = bundles.verify(bundles.open_bundle(data))
    except (ApiError, LedgerError) as error:
        return Exit.UNUSABLE, f"{error.code} {error.message()}"
    wrong = [line for line in report.lines if line.status in (Status.REFUTED, Status.INDETERMINATE)]
    return report.outcome, f"{wrong[0].code} {wrong[0].detail} {wrong[0].place}" if wrong else ""


def test_the_day_holds_and_leaves_what_others_tools_read(played_day: PlayedDay) -> None:
    report = json.loads((played_day.folder / "report.json").read_bytes())
    assert report["holds"] is True
    assert len(report["expectations"]) >= 51
    assert {path.name for path in played_day.folder.iterdir()} == LEFT
    assert {path.stem for path in (played_day.folder / "bundles").iterdir()} == REQUESTS


def test_restoring_yesterdays_backup_does_not_bring_the_erased_person_back(played_day: PlayedDay) -> None:
    report = json.loads((played_day.folder / "report.json").read_bytes())
    found = {one["what"]: one["found"] for one in report["expectations"] if one["kind"] == "privacy"}
    assert int(found["yesterday's backup of the vault, opened with the keys"].split()[0]) > 0
    assert found["put back, and asked for that person"] == "ledger/subject-unknown"
    assert found["and for the neighbour, who is in it too"] == "known"
    assert found["what can be opened of that person now"] == "0 values"


def test_no_private_key_is_left(played_day: PlayedDay) -> None:
    for path in played_day.folder.rglob("*"):
        if path.is_file():
            assert b"PRIVATE" not in path.read_bytes(), path


@pytest.mark.parametrize("fsr_id", sorted(REQUESTS))
def test_every_bundle_verifies_alone_in_an_empty_folder(played_day: PlayedDay, tmp_path: Path, fsr_id: str) -> None:
    alone = tmp_path / "bundle.json"
    shutil.copy(played_day.folder / "bundles" / f"{fsr_id}.json", alone)
    done = subprocess.run(
        [sys.executable, "-m", "api", "verify", str(alone), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "verified"


@pytest.mark.parametrize("fsr_id", sorted(REQUESTS))
def test_a_byte_changed_anywhere_in_a_bundle_is_named(played_day: PlayedDay, fsr_id: str) -> None:
    data = (played_day.folder / "bundles" / f"{fsr_id}.json").read_bytes()
    chosen = random.Random(fsr_id)
    for _ in range(40):
        place = chosen.randrange(len(data))
        changed = data[:place] + bytes([data[place] ^ (1 << chosen.randrange(7))]) + data[place + 1 :]
        found, words = outcome(changed)
        assert found is not Exit.VERIFIED, place
        assert words, place


def test_a_byte_changed_in_any_file_of_the_log_is_named(played_day: PlayedDay, tmp_path: Path) -> None:
    copy = tmp_path / "left"
    shutil.copytree(played_day.folder, copy)
    shutil.rmtree(copy / "bundles")
    chosen = random.Random(7)
    files = sorted(path for path in (copy / "log").rglob("*") if path.is_file())
    assert len(files) >= 4
    for path in files:
        data = path.read_bytes()
        place = chosen.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            report = audit.audit(copy, None)
            found, words = report.outcome, " ".join(line.code + line.place for line in report.lines)
        except (ApiError, LedgerError) as error:
            found, words = Exit.UNUSABLE, error.message()
        assert found is not Exit.VERIFIED, path.name
        assert words, path.name
        path.write_bytes(data)


def test_the_policy_that_was_left_is_the_bundles_own_anchors(played_day: PlayedDay) -> None:
    policy = verify_command.read_policy(played_day.folder / "policy.json")
    data = (played_day.folder / "bundles" / "fsr-a-congestion.json").read_bytes()
    assert bundles.verify(bundles.open_bundle(data), anchors=policy).outcome is Exit.VERIFIED


def test_no_person_is_named_in_the_log_that_was_left(played_day: PlayedDay) -> None:
    """The bundles hold what an auditor may see; the log itself holds nobody."""
    persons = set()
    for path in (played_day.folder / "bundles").iterdir():
        bundle = bundles.open_bundle(path.read_bytes())
        for text in bundle.disclosures:
            name, value = bundles_disclosure(text)
            if name == "evu":
                persons.add(value)
    assert persons
    for path in (played_day.folder / "log").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [person for person in persons if str(person).encode() in data], path.name


def bundles_disclosure(text: str) -> tuple[str, object]:
    from ledger.records import disclosure

    opened = disclosure.parse(text)
    return opened.name, opened.value
