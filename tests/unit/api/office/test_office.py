"""The certificate office inside a service: what it does is in the log first, and everything else follows from there."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from api import issuing
from api.cli.demo import cast
from api.flows import office_adopt
from api.flows.office import Office
from api.flows.office_errors import JournalLate, JournalMisused, OfficeBusy
from api.flows.office_journal import LedgerJournal, serial_text
from api.flows.office_start import said_in
from api.flows.service import open_service
from ledger.clock import SetClock, SystemClock
from ledger.privacy.errors import SubjectUnknown
from ledger.records import statement
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.records.privacy import ErasureBasis
from pki import csr as requests
from pki import keys, names
from pki.authority import Subscriber
from pki.blocklist import BadBlocklist, KeyBlocked
from pki.ceremony import Ceremony
from pki.csr import OpenedCsr
from pki.journal import Intent
from pki.profiles import DAY_MS
from pki.roles import Purpose, Role
from pki.status import Revoked
from pki.store.listing import Listing
from pki.store.records import Followed, Issued, Reason, Revocation
from pki.store.sqlite import SqliteStore
from tests.support import house as houses
from tests.support.house import House

pytestmark = pytest.mark.slow  # takes seconds

NEWCOMER = Subscriber(party_id="FI-NEW", organisation="Newcomer Oy")


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest.fixture
async def door(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    async with House.open(tmp_path, made) as opened:
        yield opened


@asynccontextmanager
async def again(door: House) -> AsyncIterator[Office]:
    """The next start over the files of a service that was closed."""
    async with open_service(door.settings, houses.open_engines(door.settings, door.clock), None) as service:
        assert service.office is not None
        yield service.office


def office_of(door: House) -> Office:
    assert door.service.office is not None
    return door.service.office


def request(key: ec.EllipticCurvePrivateKey | None = None) -> OpenedCsr:
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key or keys.generate(), hashes.SHA256())
    )
    return requests.open_csr(made.public_bytes(Encoding.DER))


async def issue(office: Office, role: Role = Role.FO, purpose: Purpose = Purpose.TLS_CLIENT) -> Issued:
    subscriber = NEWCOMER if role is not Role.EVU else Subscriber(party_id=names.new_pseudonym())
    certificate = await office.issue(request(), role, purpose, subscriber)
    return office.store.get(office.authority_of(role).key_sha256, certificate.serial_number)


def told(door: House, *kinds: type[Any]) -> list[Any]:
    """What the log says of credentials, in order."""
    found = []
    for index in range(door.size()):
        entry = door.entry(index)
        if entry.stream == CREDENTIAL_STREAM:
            record = statement.parse_statement(entry.stmt).record
            if not kinds or isinstance(record, kinds):
                found.append(record)
    return found


async def test_what_the_ceremony_made_is_adopted_once(door: House, made: Ceremony) -> None:
    adopted = [one for batch in told(door, CredentialsAdopted) for one in batch.credentials]
    issued = office_of(door).listing.all()
    assert {one.serial for one in adopted} == {serial_text(one.issued.serial) for one in issued}
    assert len(adopted) == len(issued) > len(made.parties)


async def test_an_issuance_is_intended_and_then_told(door: House) -> None:
    held = await issue(office_of(door))
    intended, issued = told(door, CredentialIntended, CredentialIssued)
    assert isinstance(intended, CredentialIntended)
    assert isinstance(issued, CredentialIssued)
    assert intended.tbs_sha256 == issued.tbs_sha256 == held.tbs_sha256
    assert (intended.profile, issued.party) == ("FO/TLS_CLIENT/v1", "FI-NEW")
    assert door.service.desk.state.credentials.gaps() == ()


async def test_the_log_never_says_who_a_persons_credential_is_for(door: House) -> None:
    held = await issue(office_of(door), Role.EVU)
    (issued,) = told(door, CredentialIssued)
    assert not isinstance(issued.party, str)
    assert held.party_id is not None
    log = b"".join(door.service.reader.entry(index) for index in range(door.size()))
    assert held.party_id.encode() not in log


async def test_a_revocation_is_in_the_log_the_store_and_the_lists_and_refuses_at_once(door: House) -> None:
    office = office_of(door)
    held = await issue(office)
    directory = door.service.directory
    directory.validate(held.der, office.now_ms(Purpose.TLS_CLIENT), purpose=Purpose.TLS_CLIENT)
    epoch = directory.epoch
    standing = await office.revoke(held, Reason.KEY_COMPROMISE)
    (revoked,) = told(door, CredentialRevoked)
    assert (revoked.serial, revoked.reason.value, revoked.revoked_at_ms) == (
        serial_text(held.serial),
        "keyCompromise",
        standing.revoked_at_ms,
    )
    assert directory.epoch > epoch
    with pytest.raises(Revoked):
        directory.validate(held.der, office.now_ms(Purpose.TLS_CLIENT), purpose=Purpose.TLS_CLIENT)
    authority = office.authority_of(Role.FO).certificate
    now_ms = office.now_ms(Purpose.TLS_CLIENT)
    assert held.serial in directory.status.crl_for(authority, now_ms).revoked_at_ms


async def test_an_invalidity_date_survives_in_log_store_and_list(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        invalid_ms = office.now_ms(Purpose.TLS_CLIENT) - 60_000
        standing = await office.revoke(held, Reason.KEY_COMPROMISE, invalid_from_ms=invalid_ms)
        assert standing.invalid_from_ms == invalid_ms
        (said,) = told(door, CredentialRevoked)
        assert said.invalid_from_ms == invalid_ms
    async with again(door) as later:
        assert later.store.revocation_of(held.issuer_key_sha256, held.serial) == standing
        (known,) = later.desk.state.credentials.revocations()
        assert said_in(known) == standing


async def test_a_second_revocation_changes_nothing(door: House) -> None:
    office = office_of(door)
    held = await issue(office)
    first = await office.revoke(held, Reason.KEY_COMPROMISE)
    assert await office.revoke(held, Reason.SUPERSEDED) == first
    assert len(told(door, CredentialRevoked)) == 1


async def test_a_person_without_revocation_status_is_refused_here_at_once(door: House) -> None:
    office = office_of(door)
    held = await issue(office, Role.EVU)
    await office.revoke(held, Reason.CESSATION)
    with pytest.raises(Revoked):
        door.service.directory.validate(held.der, office.now_ms(Purpose.TLS_CLIENT), purpose=Purpose.TLS_CLIENT)


async def test_a_revocation_that_only_the_log_knows_is_completed_at_the_start(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        said = CredentialRevoked(
            issuer_key_sha256=held.issuer_key_sha256,
            serial=serial_text(held.serial),
            reason="keyCompromise",  # type: ignore[arg-type]
            revoked_at_ms=office.now_ms(Purpose.TLS_CLIENT),
        )
        await office.journal.say(said)
    async with again(door) as later:
        standing = later.store.revocation_of(held.issuer_key_sha256, held.serial)
        assert standing is not None
        directory = later.desk.directory
        now_ms = later.now_ms(Purpose.TLS_CLIENT)
        with pytest.raises(Revoked):
            directory.validate(held.der, now_ms, purpose=Purpose.TLS_CLIENT)
        assert held.serial in directory.status.crl_for(later.authority_of(Role.FO).certificate, now_ms).revoked_at_ms


async def test_a_revocation_that_only_the_store_knows_is_told_at_the_start(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        now_ms = office.now_ms(Purpose.TLS_CLIENT)
        office.store.revoke(Revocation(held.issuer_key_sha256, held.serial, now_ms, Reason.KEY_COMPROMISE))
    async with again(door) as later:
        state = later.desk.state.credentials.find(held.issuer_key_sha256, serial_text(held.serial))
        assert state is not None
        assert state.revoked is not None


async def test_an_intent_whose_issuance_the_store_knows_is_completed_at_the_start(
    tmp_path: Path, made: Ceremony
) -> None:
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        other = await issue(office)
        # A certificate that reached the store, of which the log knows the intent alone.
        tbs = "ab" * 32
        lost = replace(held, serial=held.serial ^ 1, tbs_sha256=tbs)
        await asyncio.to_thread(
            office.journal.intent, Intent(tbs, held.profile, held.issuer_key_sha256, lost.serial, held.issued_at_ms)
        )
        assert [gap.tbs_sha256 for gap in office.desk.state.credentials.gaps()] == [tbs]
        office.store.put(lost)
    async with again(door) as later:
        assert later.desk.state.credentials.gaps() == ()
        assert other.tbs_sha256 in {one.tbs_sha256 for one in later.desk.state.credentials.all()}


class Counted:
    """A listing that counts the rows that it gives."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.rows = 0

    def page(self, *given: Any, **more: Any) -> Any:
        found = self._listing.page(*given, **more)
        self.rows += len(found)
        return found

    def revocations(self, **given: Any) -> Any:
        found = self._listing.revocations(**given)
        self.rows += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listing, name)


async def _rows_read_by_a_start(door: House, monkeypatch: pytest.MonkeyPatch) -> int:
    """By everything that the office does between two starts of the service."""
    made: list[Counted] = []

    def counted(path: Path) -> Any:
        made.append(Counted(Listing(path)))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(issuing, "Listing", counted)
        async with again(door) as office:
            assert office.desk.state.credentials.gaps() == ()
    return sum(one.rows for one in made)


async def test_a_start_reads_what_is_new_and_not_what_was_issued_before(
    tmp_path: Path, made: Ceremony, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office_adopt, "AGAIN", 3)
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        await office.revoke(held, Reason.SUPERSEDED)
    settled = await _rows_read_by_a_start(door, monkeypatch)
    store = SqliteStore(issuing.database_of(door.settings))
    more = [replace(held, serial=held.serial ^ number, tbs_sha256=f"{number:064x}") for number in range(1, 41)]
    for one in more:
        store.put(one)  # by a command, beside the service
    store.close()
    adopting = await _rows_read_by_a_start(door, monkeypatch)
    assert adopting >= 40
    later = await _rows_read_by_a_start(door, monkeypatch)
    assert later <= settled <= 8
    async with again(door) as office:
        for one in more:
            assert office.desk.state.credentials.find(one.issuer_key_sha256, serial_text(one.serial)) is not None


@pytest.mark.parametrize("lost", ["an issuance", "a revocation"])
async def test_a_start_over_a_log_that_does_not_know_the_last_looks_at_everything(
    tmp_path: Path, made: Ceremony, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """As after a restore of an older log: the store says that all was followed, and the log has not heard of it."""
    monkeypatch.setattr(office_adopt, "AGAIN", 3)
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        held = await issue(office)
        now_ms = office.now_ms(Purpose.TLS_CLIENT)
        told_before = [one for batch in told(door, CredentialsAdopted) for one in batch.credentials]
    store = SqliteStore(issuing.database_of(door.settings))
    if lost == "an issuance":
        unheard = [replace(held, serial=held.serial ^ number, tbs_sha256=f"{number:064x}") for number in range(1, 10)]
        for one in unheard:
            store.put(one)
    else:
        unheard = [held]
        store.revoke(Revocation(held.issuer_key_sha256, held.serial, now_ms, Reason.SUPERSEDED))
    store.follow(Followed(len(told_before) + 1 + (len(unheard) if lost == "an issuance" else 0), 1))
    store.close()
    async with again(door) as later:
        states = [later.desk.state.credentials.find(one.issuer_key_sha256, serial_text(one.serial)) for one in unheard]
        assert all(state is not None for state in states)
        assert lost == "an issuance" or all(state is not None and state.revoked is not None for state in states)


async def test_an_orphaned_intent_stays_a_gap_until_it_is_revoked(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as door:
        office = office_of(door)
        authority = office.authority_of(Role.FO)
        intent = Intent("cd" * 32, "FO/TLS_CLIENT/v1", authority.key_sha256, 7, 0)
        await asyncio.to_thread(office.journal.intent, intent)
    async with again(door) as later:
        assert [gap.tbs_sha256 for gap in later.desk.state.credentials.gaps()] == [intent.tbs_sha256]


async def test_nothing_is_signed_when_the_log_does_not_confirm(door: House) -> None:
    office = office_of(door)
    impatient = LedgerJournal(office.desk, wait_s=0.0)
    authority = office.authority_of(Role.FO)
    before = len(office.listing.all())
    with pytest.raises(JournalLate):
        await asyncio.to_thread(impatient.intent, Intent("ef" * 32, "FO/TLS_CLIENT/v1", authority.key_sha256, 9, 0))
    assert len(office.listing.all()) == before


async def test_the_journal_is_never_asked_on_the_loop_that_it_waits_for(door: House) -> None:
    with pytest.raises(JournalMisused):
        office_of(door).journal.intent(Intent("ef" * 32, "FO/TLS_CLIENT/v1", "ab" * 32, 9, 0))


async def test_sixty_four_callers_at_once_get_sixty_four_serial_numbers(door: House) -> None:
    office = office_of(door)
    issued = await asyncio.gather(*(issue(office) for _ in range(64)))
    assert len({one.serial for one in issued}) == 64
    assert len(told(door, CredentialIssued)) == 64


async def test_issuances_overlap_and_a_revocation_is_alone(door: House) -> None:
    """Each of the two waits for the other before it issues: one after the other would wait for ever."""
    office = office_of(door)
    both = threading.Barrier(2, timeout=30)
    under_way: list[str] = []

    def guard() -> None:
        under_way.append("issue")
        both.wait()

    def alone() -> list[str]:
        return list(under_way)

    issued = [
        asyncio.ensure_future(office.issue(request(), Role.FO, Purpose.TLS_CLIENT, NEWCOMER, guard=guard))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    seen = asyncio.ensure_future(office.work(alone))
    await asyncio.sleep(0)
    after = asyncio.ensure_future(
        office.issue(request(), Role.FO, Purpose.TLS_CLIENT, NEWCOMER, guard=lambda: under_way.append("later"))
    )
    first, second = await asyncio.gather(*issued)
    assert first.serial_number != second.serial_number
    assert await seen == ["issue", "issue"]
    await after
    assert under_way == ["issue", "issue", "later"]


@pytest.mark.parametrize("what", ["issue", "revoke"])
async def test_an_act_that_waited_has_the_time_of_its_turn(door: House, what: str) -> None:
    """What was asked for first and done last says a time that is not before what was done meanwhile."""
    office = office_of(door)
    clock = office.machine_clock = SetClock(SystemClock().now_ms())
    asked_ms = clock.now_ms()
    held = await issue(office)
    may_end = threading.Event()
    before = asyncio.ensure_future(office.work(may_end.wait))
    await asyncio.sleep(0)
    act = issue(office) if what == "issue" else office.revoke(held, Reason.SUPERSEDED)
    waiting: asyncio.Future[Any] = asyncio.ensure_future(act)
    await asyncio.sleep(0)
    clock.set_ms(asked_ms + 5_000)
    may_end.set()
    await before
    done = await waiting
    if what == "issue":
        assert done.not_before_ms - held.not_before_ms == 5_000
    else:
        assert done.revoked_at_ms == asked_ms + 5_000


async def test_an_office_that_closes_finishes_what_was_asked_for_and_takes_no_more(door: House) -> None:
    issuing_again = door.service.engines.issuing
    assert issuing_again is not None
    office = Office(door.service.desk, issuing_again, crl_dir=door.settings.pki.crl_dir, queue=8)
    asked = [asyncio.ensure_future(issue(office)) for _ in range(3)]
    await asyncio.sleep(0)
    await office.close()
    assert all(one.serial for one in await asyncio.gather(*asked))
    with pytest.raises(OfficeBusy):
        await issue(office)


async def test_who_would_wait_too_long_is_told_to_come_back(door: House) -> None:
    office = Office(door.service.desk, door.service.engines.issuing, crl_dir=door.settings.pki.crl_dir, queue=1)  # type: ignore[arg-type]
    try:
        outcomes = await asyncio.gather(*(issue(office) for _ in range(3)), return_exceptions=True)
    finally:
        await office.close()
    assert [type(one) for one in outcomes] == [Issued, OfficeBusy, OfficeBusy]


async def test_one_key_is_never_given_to_two_parties_however_fast_they_are(door: House) -> None:
    office = office_of(door)
    key = keys.generate()
    names_of = [Subscriber(party_id=f"FI-N{number}", organisation="Newcomer Oy") for number in range(8)]
    outcomes = await asyncio.gather(
        *(office.issue(request(key), Role.FO, Purpose.TLS_CLIENT, one) for one in names_of), return_exceptions=True
    )
    assert sum(isinstance(one, x509.Certificate) for one in outcomes) == 1
    assert {getattr(one, "code", "") for one in outcomes if isinstance(one, Exception)} == {"pki/key-reused"}


async def test_a_key_on_the_operators_list_of_blocked_keys_gets_no_certificate(tmp_path: Path, made: Ceremony) -> None:
    key = keys.generate()
    listed = tmp_path / "blocked.txt"
    listed.write_text(f"{keys.spki_sha256(key.public_key())}  # found in a firmware image\n")
    async with House.open(tmp_path, made) as first:
        assert first.settings.issuing is not None
        issuing = msgspec.structs.replace(first.settings.issuing, blocked_keys=listed)
        first.settings = msgspec.structs.replace(first.settings, issuing=issuing)
    async with again(first) as office:
        with pytest.raises(KeyBlocked):
            await office.issue(request(key), Role.FO, Purpose.TLS_CLIENT, NEWCOMER)
        assert await office.issue(request(), Role.FO, Purpose.TLS_CLIENT, NEWCOMER)
        assert office.desk.state.credentials.gaps() == ()
    listed.write_text("not a digest\n")
    with pytest.raises(BadBlocklist):
        houses.open_engines(first.settings, first.clock)


async def test_lists_that_grow_old_are_made_anew_on_their_own(door: House) -> None:
    office = office_of(door)
    authority = office.authority_of(Role.CSO).certificate
    before = office.desk.directory.status.crl_for(authority, door.clock.now_ms()).number
    door.clock.set_ms(cast.at(9, day=4))
    await office.renew_lists()
    assert office.desk.directory.status.crl_for(authority, door.clock.now_ms()).number > before


async def test_a_person_who_is_erased_is_in_no_file_of_the_office(door: House) -> None:
    office = office_of(door)
    held = await issue(office, Role.EVU)
    assert held.party_id is not None
    # The vault knows nothing of this one, who never did more than enrol; the office forgets all the same.
    with pytest.raises(SubjectUnknown):
        await door.service.privacy.erase(held.party_id, ErasureBasis.CONSENT_WITHDRAWN)
    assert office.store.find(party_id=held.party_id) == []
    files = [path for path in door.settings.data_dir.iterdir() if path.is_file()]
    assert [path.name for path in files if held.party_id.encode() in path.read_bytes()] == []


async def test_what_was_issued_to_a_person_is_forgotten_a_week_after_its_end(door: House) -> None:
    office = office_of(door)
    purpose = Purpose.SIGNING
    held = await issue(office, Role.EVU, purpose)
    kept = await issue(office, Role.FO, purpose)
    door.clock.set_ms(held.not_after_ms + 8 * DAY_MS)
    office.forget_ended()
    assert office.store.find(party_id=held.party_id) == []
    assert office.store.get(kept.issuer_key_sha256, kept.serial) == kept


async def test_an_issuance_that_the_log_did_not_confirm_is_settled_afterwards(
    door: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = office_of(door)

    def late(_issued: Issued) -> None:
        raise JournalLate("the log did not confirm in time")

    with monkeypatch.context() as patched:
        patched.setattr(office.journal, "issued", late)
        with pytest.raises(JournalLate):
            await issue(office)
    assert (len(office.desk.state.credentials.gaps()), len(office.store.gaps())) == (1, 1)
    await office.settle()
    assert (office.desk.state.credentials.gaps(), office.store.gaps()) == ((), [])
    size = door.size()
    await office.settle()
    assert door.size() == size
