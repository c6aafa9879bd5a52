"""What the desk spares itself, and that nothing is missing for it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.verification.actors import thumbprint
from ledger.appender import Appended, Submission
from ledger.privacy.opened import State
from ledger.records import disclosure
from ledger.records.contracts import HoldersAsked
from ledger.records.services import Service
from ledger.records.sites import SessionMirrored
from ledger.store.errors import OutcomeUnknown
from pki.roles import Purpose
from tests.support import world as stage
from tests.support.world import World

pytestmark = pytest.mark.slow  # takes seconds


def question(number: int) -> HoldersAsked:
    return HoldersAsked(
        query_id=f"query-{number}",
        site_id=stage.SITE,
        service=Service.CONGESTION,
        start_at_ms=stage.DAWN_MS,
        end_at_ms=stage.DAWN_MS + stage.HOUR_MS,
    )


def mirrored(world: World) -> SessionMirrored:
    return SessionMirrored(
        session_id="session-1",
        site_id=stage.SITE,
        evse_id=stage.EVSES[0],
        evu="evu-1",
        discharge_allowed=True,
        ev_key_spki_sha256=world.car_key("evu-1"),
        ev_firmware_sha256=stage.FIRMWARE,
        from_ms=stage.DAWN_MS,
        until_ms=stage.DAWN_MS + stage.HOUR_MS,
    )


async def test_what_came_with_nothing_beside_it_is_whole_as_far_as_anybody_told(tmp_path: Path) -> None:
    world = await World.open(tmp_path)
    try:
        session = mirrored(world)
        said = world.submission(stage.CSO, session, f"site/{stage.SITE}")
        bare = msgspec.structs.replace(said, disclosures=())
        opened = world.desk.open(bare, world.principal(stage.CSO))
        assert opened.whole == world.desk.reveal(opened.statement, []) == opened.statement.record
        assert len(opened.undisclosed) >= len(said.disclosures) > 0
        assert (opened.held, dict(opened.attachments)) == ((), {})
        told = world.desk.open(said, world.principal(stage.CSO))
        assert msgspec.structs.replace(told.whole, sd=()) == session
        assert len(told.held) == len(said.disclosures)
    finally:
        await world.close()


async def test_a_statement_about_nobody_costs_no_commit_of_the_vault_and_its_certificate_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.open(tmp_path)
    try:
        await stage.configure(world)
        kept: list[str] = []
        put = world.engines.store.put_certificate

        def counted(x5t: str, der: bytes) -> None:
            kept.append(x5t)
            put(x5t, der)

        def refused(*_: Any) -> None:
            raise AssertionError("the vault was asked to keep nothing")

        monkeypatch.setattr(world.engines.store, "put_certificate", counted)
        monkeypatch.setattr(world.engines.vault, "take_in", refused)
        for number in range(3):
            accepted = await world.states(stage.FO, question(number), f"discovery/query-{number}")
            assert accepted.seq == 1
        der = world.made.parties[stage.FO].credentials[Purpose.SIGNING].chain[0]
        assert kept == [thumbprint(der)]
        assert world.engines.store.certificate(thumbprint(der)) == der
    finally:
        await world.close()


async def test_what_came_along_is_kept_where_nobody_knows_whether_the_entry_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to COMMIT was lost. Taken back, the values of an entry that is there could be opened by nobody."""
    world = await World.open(tmp_path)
    try:
        await stage.configure(world)
        said = world.submission(stage.CSO, mirrored(world), f"site/{stage.SITE}")
        append = world.desk.appender.append

        async def cut(submission: Submission) -> Appended:
            await append(submission)
            raise OutcomeUnknown("the wire is cut after COMMIT")

        principal = world.principal(stage.CSO)
        opened = world.desk.open(said, principal)
        with monkeypatch.context() as patched:
            patched.setattr(world.desk.appender, "append", cut)
            with pytest.raises(OutcomeUnknown):
                await world.desk.admit(opened, principal)
        digests = [disclosure.digest(one.text) for one in said.disclosures]
        found = world.engines.vault.open_many(digests)
        assert [found[one].state for one in digests] == [State.TEXT] * len(digests)
        assert (await world.desk.admit(opened, principal)).duplicate
    finally:
        await world.close()
