"""Yesterday's backup does not bring back who was erased since, and is not served before it has forgotten them."""

import shutil
from pathlib import Path

import pytest

from api.cli.demo import cast, story
from api.flows.service import open_service
from ledger.privacy.errors import SubjectUnknown
from ledger.privacy.opened import State
from ledger.records.privacy import ErasureBasis
from ledger.store.errors import RolledBack
from pki.ceremony import Ceremony
from tests.support import house as houses
from tests.support.house import House


def files_with(folder: Path, needle: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]


async def test_a_restored_vault_forgets_before_anything_is_served(tmp_path: Path, made: Ceremony) -> None:
    """A6: vault and keys as of yesterday, under a ring that still opens them; the log is today's."""
    yesterday = tmp_path / "yesterday"
    async with House.open(tmp_path, made) as house:
        await story.open_the_day(house.play())
        settings, clock = house.settings, house.clock
        vault = house.service.engines.vault
        person, other = house.party(cast.BAYS[0].person), house.party(cast.BAYS[1].person)
        theirs, others = vault.digests_of(person), vault.digests_of(other)
        vault.database.empty_log()
        vault.keys.empty_log()
        shutil.copytree(settings.vault.dir, yesterday)
        reply = await house.post(cast.DPO, "/v1/subjects/erasure", {"subject": person, "basis": "OBJECTION"})
        assert reply.status == 201
    for path in settings.vault.dir.iterdir():
        if path.name.partition(".")[0] in {"vault", "keys"}:
            path.unlink()
    for path in yesterday.glob("*.db"):
        shutil.copy2(path, settings.vault.dir / path.name)
    # The person is in the copy: this is what the next start has to undo.
    before = houses.open_engines(settings, clock)
    assert {one.state for one in before.vault.open_many(theirs).values()} == {State.TEXT}
    before.vault.close()
    before.store.close()
    async with open_service(settings, houses.open_engines(settings, clock), None) as service:
        again = service.engines.vault
        assert {one.state for one in again.open_many(theirs).values()} == {State.ERASED}
        assert {one.state for one in again.open_many(others).values()} == {State.TEXT}
        with pytest.raises(SubjectUnknown):
            again.uid_of(person)
        assert service.memory.person_at(cast.BAYS[0].evse_id) != person
    assert files_with(settings.vault.dir, person) == files_with(settings.data_dir, person) == []


async def test_a_log_that_is_behind_what_was_signed_is_not_served(tmp_path: Path, made: Ceremony) -> None:
    """A29: a restored log would not know of the erasure; the signer remembers that there was more."""
    old = tmp_path / "older"
    async with House.open(tmp_path, made) as house:
        await story.open_the_day(house.play())
        settings, clock = house.settings, house.clock
    shutil.copytree(settings.data_dir, old)
    async with open_service(settings, houses.open_engines(settings, clock), None) as service:
        await service.privacy.erase(house.party(cast.BAYS[0].person), ErasureBasis.OBJECTION)
        await service.publisher.publish()
    shutil.rmtree(settings.data_dir)
    shutil.copytree(old, settings.data_dir)

    async def serve() -> None:
        async with open_service(settings, houses.open_engines(settings, clock), None):
            pass

    with pytest.raises(RolledBack):
        await serve()
