"""The search for persons' data that closes every house would find it, wherever it was."""

from pathlib import Path

import pytest

from api.cli.demo import cast, story
from pki.ceremony import Ceremony
from tests.support import canaries
from tests.support.house import House


def test_a_value_in_clear_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "ledger.db-wal").write_bytes(b"\0" * 5000 + b"EVU-4711-x" + b"\0")
    (tmp_path / "pki.db").write_bytes(b"evu-4711-x")
    needles = ["evu-4711-X", "short"]
    assert canaries.found_in([tmp_path], ["nothing", "a line of Evu-4711-x"], needles) == ["ledger.db-wal", "lines"]
    with pytest.raises(AssertionError, match="in clear"):
        canaries.require_silent([tmp_path], [], needles)
    canaries.require_silent([], ["shortly"], needles)


async def test_a_house_whose_log_names_a_person_does_not_close_quietly(tmp_path: Path, made: Ceremony) -> None:
    """A26: the search runs at the end of every house, over what the service really wrote."""

    async def live() -> None:
        async with House.open(tmp_path, made) as house:
            await story.open_the_day(house.play())
            leak = house.settings.data_dir / "debug.log"
            leak.write_text(f"plugged in: {house.party(cast.BAYS[0].person)}")

    with pytest.raises(AssertionError, match=r"debug\.log"):
        await live()
