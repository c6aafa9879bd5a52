"""The search for persons' data that closes every house would find it, wherever it was."""

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.demo import cast, story
from ledger.records import disclosure
from pki.ceremony import Ceremony
from tests.support import canaries
from tests.support.house import House
from tests.support.vectors import REPOSITORY


def test_a_value_in_clear_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "ledger.db-wal").write_bytes(b"\0" * 5000 + b"EVU-4711-x" + b"\0")
    (tmp_path / "pki.db").write_bytes(b"evu-4711-x")
    needles = ["evu-4711-X", "short"]
    assert canaries.found_in([tmp_path], ["nothing", "a line of Evu-4711-x"], needles) == ["ledger.db-wal", "lines"]
    with pytest.raises(AssertionError, match="in clear"):
        canaries.require_silent([tmp_path], [], needles)
    canaries.require_silent([], ["shortly"], needles)


def test_every_person_of_a_session_is_a_canary(made: Ceremony) -> None:
    persons = [holder.party_id for holder in made.parties.values() if holder.id.startswith("EVU-")]
    assert len(persons) == len(set(persons)) >= 8
    assert all(re.fullmatch(f"{canaries.MARK}[0-9a-f]{{12}}", one) for one in persons)


WAYS = {
    "in clear": lambda person: person.encode(),
    "in capitals": lambda person: person.upper().encode(),
    "in a disclosure": lambda person: disclosure.make(b"s" * 32, "evu", person).text.encode(),
    "in base64, one octet on": lambda person: base64.b64encode(b"x" + person.encode()),
    "in base64url, two octets on": lambda person: base64.urlsafe_b64encode(b"xx" + person.encode()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["data/ledger.db-wal", "vault/vault.db", "server.log", "settlement.tar", "backup/a.db"]
)
def test_a_canary_in_a_file_would_be_found_at_the_end_of_a_session(tmp_path: Path, name: str, way: str) -> None:
    place = tmp_path / "test_something0" / name
    place.parent.mkdir(parents=True)
    # The sweep of this very session must not see it: the mark is put together in a file that is gone again.
    place.write_bytes(b"\0" * 4_097 + WAYS[way](canaries.marked_pseudonym()) + b"\0")
    found = list(canaries.swept(tmp_path, canaries.MAY_HOLD))
    place.unlink()
    assert found == [f"test_something0/{name}"]
    assert list(canaries.swept(tmp_path, canaries.MAY_HOLD)) == []


@pytest.mark.parametrize("name", ["service/credentials/parties/EVU-E1/party.toml", "out/bundles/fsr-1.json", "pki.db"])
def test_where_a_person_may_stand_is_passed_over(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(canaries.MARK)
    assert list(canaries.swept(tmp_path, canaries.MAY_HOLD)) == []
    assert list(canaries.swept(tmp_path, {})) == [name]


def test_a_session_that_leaves_a_person_in_a_file_fails(tmp_path: Path) -> None:
    """The whole way: a run of pytest over a test that writes who somebody is."""
    case = tmp_path / "test_leak.py"
    case.write_text(
        "from pki import names\n\n\n"
        "def test_leaks(tmp_path):\n"
        "    (tmp_path / 'debug.log').write_text(names.new_pseudonym())\n",
        encoding="utf-8",
    )
    left = tmp_path / "left"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={left}"]
    options = [f"--rootdir={REPOSITORY}", "-c", str(REPOSITORY / "pyproject.toml"), "-p", "tests.conftest"]
    ran = subprocess.run(
        [*command, *options, str(case)], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    shutil.rmtree(left)
    assert ran.returncode == 1
    assert "persons in clear, in files that the tests left" in ran.stdout
    assert "debug.log" in ran.stdout
    assert "1 passed, 1 error" in ran.stdout


def forget(folder: Path) -> None:
    """The leak is gone: the sweep of this very session would find it."""
    (leak,) = folder.rglob("debug.log")
    leak.unlink()


async def test_a_house_whose_log_names_a_person_does_not_close_quietly(tmp_path: Path, made: Ceremony) -> None:
    """A26: the search runs at the end of every house, over what the service really wrote."""

    async def live() -> None:
        async with House.open(tmp_path, made) as house:
            await story.open_the_day(house.play())
            leak = house.settings.data_dir / "debug.log"
            leak.write_text(f"plugged in: {house.party(cast.BAYS[0].person)}")

    with pytest.raises(AssertionError, match=r"debug\.log"):
        await live()
    forget(tmp_path)
