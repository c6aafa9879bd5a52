"""A start opens nothing of what the log says of persons, however much that is, and what was remembered is there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api import engines
from api.cli import init
from api.flows.service import Service, open_service
from api.settings import load
from ledger.clock import SystemClock
from ledger.privacy.held import Held
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records import disclosure, record, statement
from ledger.records import entry as entries
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis
from ledger.records.sites import SessionMirrored
from ledger.store import rebuild
from ledger.store.sqlite import SqliteReader
from pki import ceremony
from tests.support import rulebook
from tests.unit.api.cli.test_doctor import SPEC

pytestmark = pytest.mark.slow  # takes seconds

SITE = "DEPOT-7"
EVSE = "FI*ABC*E1"
STREAM = f"site/{SITE}"
MEMBERS_SAID = ("evse_id", "evu", "discharge_allowed", "from_ms", "until_ms")
MEMBERS = 8
"""With decoys."""
ORIGIN = "ledger.example/start"


class Asked:
    """What was read while the block ran."""

    def __init__(self) -> None:
        self.opened = 0
        """Digests that the vault was asked to open."""
        self.read = 0
        """Entries that were read."""


@contextmanager
def counted() -> Iterator[Asked]:
    asked = Asked()
    with pytest.MonkeyPatch.context() as patched:
        open_many, entries_at, entry = Vault.open_many, SqliteReader.entries_at, SqliteReader.entry

        def opening(vault: Vault, digests: Any) -> Any:
            digests = list(digests)
            asked.opened += len(digests)
            return open_many(vault, digests)

        def several(store: SqliteReader, indices: Any) -> Any:
            asked.read += len(indices)
            return entries_at(store, indices)

        def one(store: SqliteReader, index: int) -> Any:
            asked.read += 1
            return entry(store, index)

        patched.setattr(Vault, "open_many", opening)
        patched.setattr(SqliteReader, "entries_at", several)
        patched.setattr(SqliteReader, "entry", one)
        yield asked


@pytest.fixture
def config(tmp_path: Path) -> Path:
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    init.lay_out(tmp_path / "svc", made, party="FI-NGC", origin=ORIGIN)
    return tmp_path / "svc" / init.CONFIG


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Service]:
    settings = load(config, {})
    opened = engines.open_engines(settings, create=not engines.is_begun(settings))
    async with open_service(settings, opened, None) as service:
        yield service


async def plugged_in(service: Service, number: int) -> None:
    """The person of this number is at the EVSE from now on."""
    session = SessionMirrored(
        session_id=f"session-{number}",
        site_id=SITE,
        evse_id=EVSE,
        evu=f"person-{number}",
        discharge_allowed=True,
        from_ms=1_000,
        until_ms=2**47,
    )
    await service.desk.say(session, STREAM, subject_of=lambda _part, _name: f"person-{number}")


async def test_a_start_opens_and_reads_no_more_after_forty_sessions_than_after_four(config: Path) -> None:
    costs = []
    for numbers in (range(4), range(4, 40)):
        async with running(config) as service:
            if not numbers.start:
                await service.desk.say(rulebook.site(site_id=SITE), STREAM)
            for number in numbers:
                await plugged_in(service, number)
        with counted() as asked:
            async with running(config) as service:
                costs.append((asked.opened, asked.read))
                last = service.memory.session_at(SITE, EVSE, 5_000)
                assert last is not None
                assert last.evu == f"person-{numbers.stop - 1}"
                assert service.memory.person_at(EVSE) == last.evu
                # Only what was asked for was opened: the newest session, once.
                assert (asked.opened, asked.read - costs[-1][1]) == (MEMBERS, 1)
    assert costs[0] == costs[1]
    assert costs[0][0] == 0


async def test_what_is_found_by_key_is_what_the_log_says_and_is_made_anew_from_it(config: Path) -> None:
    async with running(config) as service:
        await service.desk.say(rulebook.site(site_id=SITE), STREAM)
        for number in range(3):
            await plugged_in(service, number)
    store = SqliteReader.open(load(config, {}).data_dir / "ledger.db")
    rows = [(kind, key) for kind, key, *_ in store.projections() if kind == "found-at"]
    assert rows
    # A blind tag and an index: nothing of a person, an EVSE or a car stands there.
    assert all(EVSE not in key and "person" not in key.partition("/")[2] for _, key in rows)
    assert rebuild.check(store) == []
    store.close()


async def test_an_erased_person_is_not_found_again_before_or_after_a_restart(config: Path) -> None:
    async with running(config) as service:
        await service.desk.say(rulebook.site(site_id=SITE), STREAM)
        await plugged_in(service, 1)
        assert service.memory.person_at(EVSE) == "person-1"
        await service.privacy.erase("person-1", ErasureBasis.CONSENT_WITHDRAWN)
        assert service.memory.person_at(EVSE) is None
    async with running(config) as service:
        assert service.memory.person_at(EVSE) is None
        assert service.memory.session_at(SITE, EVSE, 5_000) is None


async def test_what_a_crash_left_loose_goes_if_no_entry_has_it_and_stays_if_one_does(config: Path) -> None:
    lost = disclosure.make(statement.new_salt(), "evse_id", "FI*ABC*E9")
    async with running(config) as service:
        await service.desk.say(rulebook.site(site_id=SITE), STREAM)
        await plugged_in(service, 1)
        service.engines.vault.keep([Held(lost.text, "person-1", Category.LOCATION, "P2Y")])
        # As a process that dies: nobody tells the vault which entries were written.
        service.desk.settle = lambda: None  # type: ignore[method-assign]
        entry = entries.decode(service.reader.stream(STREAM)[-1][1])
    digests = list(record.digests(statement.parse_statement(entry.stmt).claims.event))
    async with running(config) as service:
        found = service.engines.vault.open_many([*digests, lost.digest])
        assert {found[one].state for one in digests} == {State.TEXT, State.UNDISCLOSED}
        assert sum(found[one].state is State.TEXT for one in digests) == len(MEMBERS_SAID)
        assert found[lost.digest].state is State.LOST
        assert service.engines.vault.database.scalar("SELECT count(*) FROM facet WHERE settled = 0") == 0
        # What was settled is never looked at again.
        assert service.engines.vault.settled(ORIGIN) >= service.reader.stream(STREAM)[-1][0]
