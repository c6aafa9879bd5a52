"""The vault keeps what the log commits to, byte for byte, and says what became of it."""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.errors import LedgerError
from ledger.privacy import errors, openings, rights
from ledger.privacy.erasure import Eraser
from ledger.privacy.held import Held, facet_label
from ledger.privacy.opened import State
from ledger.privacy.taking import MAX_ATTACHMENT_BYTES
from ledger.privacy.vault import Vault
from ledger.records.errors import DisclosureMalformed
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis, RestrictionGround
from tests.support.privacy import Log, digest_of, held

pytestmark = pytest.mark.slow  # takes seconds


def raw(folder: Path, sql: str, *parameters: object) -> None:
    """What somebody with access to the file can do."""
    connection = sqlite3.connect(folder / "vault.db", isolation_level=None)
    try:
        connection.execute(sql, parameters)
    finally:
        connection.close()


def test_a_disclosure_comes_back_byte_for_byte(vault: Vault) -> None:
    one = held("DE*ABC*E1", "evu-7")
    vault.keep([one])
    assert vault.open_digest(digest_of(one)) == one.text
    assert vault.digests_of("evu-7") == (digest_of(one),)


def test_keeping_twice_keeps_once(vault: Vault) -> None:
    one = held("x", "evu-7")
    vault.keep([one])
    vault.keep([one, one])
    assert vault.digests_of("evu-7") == (digest_of(one),)


def test_a_batch_is_kept_whole_or_not_at_all(vault: Vault) -> None:
    good = held("x", "evu-7")
    with pytest.raises(errors.RetentionMalformed):
        vault.keep([good, held("y", "evu-7", retention="for ever")])
    assert vault.open_many([digest_of(good)])[digest_of(good)].state is State.LOST


def test_what_is_nobodys_in_particular_has_no_subject(vault: Vault) -> None:
    one = held("operator-3", None, category=Category.STAFF)
    vault.keep([one])
    assert vault.open_digest(digest_of(one)) == one.text
    assert vault.subjects() == ()
    assert vault.open_many([digest_of(one)])[digest_of(one)].uid is None


def test_a_disclosure_has_a_greatest_size(vault: Vault) -> None:
    vault.keep([Held("A" * 65_536, "evu-7", Category.TIME, "P2Y")])
    assert len(vault.digests_of("evu-7")) == 1


@pytest.mark.parametrize("text", ["é" * 10, "A" * 65_537])
def test_what_is_no_disclosure_is_refused(vault: Vault, text: str) -> None:
    with pytest.raises(DisclosureMalformed):
        vault.keep([Held(text, "evu-7", Category.TIME, "P2Y")])


async def test_erased_lost_tampered_and_undisclosed_are_four_codes(vault: Vault, eraser: Eraser, folder: Path) -> None:
    """A9, A10: a missing row without a tombstone is a loss, a changed row is tampering, neither is erasure."""
    erased, lost, tampered, restricted = (held(number, f"evu-{number}") for number in range(4))
    vault.keep([erased, lost, tampered, restricted])
    decoy = digest_of(held("decoy", None))
    vault.note_undisclosed([decoy])
    await eraser.erase("evu-0", basis=ErasureBasis.OBJECTION)
    raw(folder, "DELETE FROM facet WHERE uid = ?", vault.uid_of("evu-1"))
    raw(folder, "UPDATE facet SET body = zeroblob(92) WHERE uid = ?", vault.uid_of("evu-2"))
    await rights.restrict(vault, Log().record, "evu-3", ground=RestrictionGround.ACCURACY_CONTESTED)
    codes = {}
    for one in (erased, lost, tampered, restricted):
        with pytest.raises(LedgerError) as caught:
            vault.open_digest(digest_of(one))
        codes[one.text] = caught.value.code
    assert list(codes.values()) == ["ledger/erased", "ledger/lost", "ledger/tampered", "ledger/restricted"]
    with pytest.raises(errors.UndisclosedData):
        vault.open_digest(decoy)
    found = vault.open_many([digest_of(one) for one in (erased, lost, tampered, restricted)] + [decoy])
    assert [one.state for one in found.values()] == [
        State.ERASED,
        State.LOST,
        State.TAMPERED,
        State.RESTRICTED,
        State.UNDISCLOSED,
    ]
    assert vault.open_digest(digest_of(restricted), despite_restriction=True) == restricted.text


@pytest.mark.parametrize("column", ["category", "retention", "uid", "body", "period"])
def test_swapping_any_column_of_two_rows_is_tampering_or_loss_never_erasure(
    vault: Vault, folder: Path, column: str
) -> None:
    """A10: swapped ciphertexts, classes or owners do not open."""
    one = held("x", "evu-1", retention="P1Y", category=Category.TIME)
    two = held("y", "evu-2", retention="P2Y", category=Category.METER)
    vault.keep([one, two])
    if column == "period":
        raw(folder, "UPDATE facet SET period = '2026-01'")
    else:
        other = f"SELECT {column} FROM facet o WHERE o.rowid != facet.rowid"  # noqa: S608 -- a constant of this test
        raw(folder, f"UPDATE facet SET {column} = ({other}) WHERE rowid = 1")  # noqa: S608
    state = vault.open_many([digest_of(one)])[digest_of(one)].state
    assert state in {State.TAMPERED, State.LOST}


def test_an_insider_with_all_keys_cannot_replace_a_value(vault: Vault, folder: Path) -> None:
    """A10: a ciphertext made with the right key still has to open the digest that is in the log."""
    true, other = held("12 kWh", "evu-1"), held("99 kWh", "evu-1")
    vault.keep([true])
    row = vault.database.row("SELECT uid, category, retention, period FROM facet")
    assert row is not None
    uid, category, retention, period = row
    label = facet_label(uid, openings.digest_bytes(digest_of(true)), category, retention, period)
    raw(folder, "UPDATE facet SET body = ?", vault.seal(uid, (retention, period), label, other.text.encode()))
    with pytest.raises(errors.TamperedData):
        vault.open_digest(digest_of(true))


def test_a_destroyed_key_without_tombstone_is_a_loss(vault: Vault) -> None:
    """A9: who destroys a key behind our back has not erased anybody."""
    one = held("x", "evu-1")
    vault.keep([one])
    vault.keys.destroy_subject_key(vault.uid_of("evu-1"))
    assert vault.open_many([digest_of(one)])[digest_of(one)].state is State.LOST


@pytest.mark.parametrize("spelling", ["evu-7", "EVU-7", " evu-7 ", "ｅｖｕ－７", "evu\u200b-7", "evu\u00ad-7"])
def test_spellings_of_one_identifier_are_one_subject(vault: Vault, spelling: str) -> None:
    """A31: case, width, blanks and invisible characters make no second person."""
    vault.keep([held("x", "evu-7")])
    assert vault.uid_of(spelling) == vault.subjects()[0].uid


@pytest.mark.parametrize("name", ["", " ", "\u200b", "еvu-7", "evu-7\n8", "a" * 257, "Müller"])
def test_what_could_be_confused_with_another_subject_is_refused(vault: Vault, name: str) -> None:
    """A31: a Cyrillic letter does not make a second person; it is refused, and not repeated."""
    with pytest.raises(errors.SubjectNameRefused) as caught:
        vault.keep([held("x", name)])
    assert not name.strip() or name not in str(caught.value)
    assert vault.subjects() == ()


def test_names_of_up_to_256_characters_are_taken(vault: Vault) -> None:
    vault.keep([held("x", "a" * 256)])
    assert len(vault.subjects()) == 1


def test_the_name_is_nowhere_in_clear_and_comes_back_for_those_who_may_know(vault: Vault, folder: Path) -> None:
    vault.keep([held("x", "canary-subject-17")])
    assert vault.name_of(vault.uid_of("canary-subject-17")) == "canary-subject-17"
    assert all(b"canary-subject-17" not in file.read_bytes() for file in folder.iterdir())


def test_small_values_have_one_size(vault: Vault) -> None:
    """A19: a yes and a no, a 1 and a 1000, cannot be told apart by their length."""
    vault.keep([held(value, "evu-1", name="v") for value in (True, False, 1, 1000, "x", "xxxxxxxxxx")])
    sizes = {row[0] for row in vault.database.rows("SELECT length(body) FROM facet")}
    assert len(sizes) == 1


def test_orphans_are_collected_at_start_and_only_once_asked_about(vault: Vault) -> None:
    known, orphan = held("x", "evu-1"), held("y", "evu-1")
    vault.keep([known, orphan])
    assert vault.forget_orphans(lambda digest: digest == digest_of(known)) == 1
    asked: list[str] = []
    assert vault.forget_orphans(lambda digest: bool(asked.append(digest))) == 0
    assert asked == []
    assert vault.open_digest(digest_of(known)) == known.text
    assert vault.open_many([digest_of(orphan)])[digest_of(orphan)].state is State.LOST


def test_an_attachment_comes_back_and_its_digest_is_not_stored(vault: Vault, folder: Path) -> None:
    data = b"OCMF|canary-meter-record"
    sha256 = vault.attach(data, subject="evu-1", category=Category.METER, retention="P2Y")
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert vault.attach(data, subject="evu-1", category=Category.METER, retention="P2Y") == sha256
    assert vault.attachment(sha256) == data
    assert vault.attachments_of("evu-1") == (sha256,)
    for file in folder.iterdir():
        content = file.read_bytes()
        assert bytes.fromhex(sha256) not in content
        assert sha256.encode() not in content
        assert b"canary-meter-record" not in content


def test_an_attachment_is_absent_erased_lost_or_tampered(vault: Vault, folder: Path) -> None:
    sha256 = vault.attach(b"data", subject="evu-1", category=Category.METER, retention="P2Y")
    with pytest.raises(errors.AttachmentAbsent):
        vault.attachment("0" * 64)
    raw(folder, "UPDATE attachment SET body = zeroblob(92)")
    with pytest.raises(errors.TamperedData):
        vault.attachment(sha256)
    vault.keys.destroy_subject_key(vault.uid_of("evu-1"))
    with pytest.raises(errors.LostData):
        vault.attachment(sha256)


def test_an_attachment_has_a_greatest_size(vault: Vault) -> None:
    data = bytes(MAX_ATTACHMENT_BYTES)
    sha256 = vault.attach(data, subject=None, category=Category.METER, retention="P2Y")
    assert vault.attachment(sha256) == data
    with pytest.raises(errors.AttachmentTooLarge):
        vault.attach(data + b"x", subject=None, category=Category.METER, retention="P2Y")


async def test_an_attachment_of_a_restricted_subject_is_closed(vault: Vault) -> None:
    sha256 = vault.attach(b"data", subject="evu-1", category=Category.METER, retention="P2Y")
    await rights.restrict(vault, Log().record, "evu-1", ground=RestrictionGround.OBJECTION_PENDING)
    with pytest.raises(errors.RestrictedData):
        vault.attachment(sha256)
    assert vault.attachment(sha256, despite_restriction=True) == b"data"


def test_unknown_subjects_are_absent(vault: Vault) -> None:
    for ask in (vault.uid_of, vault.digests_of, vault.attachments_of):
        with pytest.raises(errors.SubjectUnknown):
            ask("nobody")
    with pytest.raises(errors.SubjectUnknown):
        vault.name_of(b"n" * 16)


def test_a_second_process_reads_what_the_first_wrote(vault: Vault, reopen: Callable[[], Vault]) -> None:
    one = held("x", "evu-1")
    vault.keep([one])
    assert reopen().open_digest(digest_of(one)) == one.text


def test_a_vault_that_is_not_there_is_absent(tmp_path: Path, clock: SetClock) -> None:
    with pytest.raises(errors.KekEpochAbsent):
        Vault.open(tmp_path / "nowhere", clock=clock)


def test_a_ring_without_its_databases_is_no_vault(vault: Vault, folder: Path, tmp_path: Path, clock: SetClock) -> None:
    vault.close()
    (folder / "vault.db").unlink()
    with pytest.raises(errors.VaultAbsent):
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")


def test_create_opens_an_existing_vault_and_never_makes_a_new_ring_for_old_keys(
    vault: Vault, folder: Path, tmp_path: Path, clock: SetClock
) -> None:
    one = held("x", "evu-1")
    vault.keep([one])
    vault.close()
    again = Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring", create=True)
    assert again.open_digest(digest_of(one)) == one.text
    again.close()
    (tmp_path / "kek.ring").unlink()
    with pytest.raises(errors.KekEpochAbsent):
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring", create=True)


def test_a_file_that_is_not_ours_is_refused(vault: Vault, folder: Path, tmp_path: Path, clock: SetClock) -> None:
    vault.close()
    (folder / "vault.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(errors.VaultMalformed):
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")
    (folder / "vault.db").unlink()
    connection = sqlite3.connect(folder / "vault.db")
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(errors.VaultMalformed):
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")


def test_a_vault_of_another_version_is_refused(vault: Vault, folder: Path, tmp_path: Path, clock: SetClock) -> None:
    vault.close()
    raw(folder, "PRAGMA user_version = 99")
    with pytest.raises(errors.VaultMalformed) as caught:
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")
    assert caught.value.found == "99"


def test_files_are_for_their_owner_alone(vault: Vault, folder: Path) -> None:
    vault.keep([held("x", "evu-1")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "vault.db-wal" in modes


@pytest.mark.sqlite_only
def test_sqlite_overwrites_what_it_deletes(vault: Vault) -> None:
    assert vault.database.scalar("PRAGMA secure_delete") == 1
    assert vault.database.scalar("PRAGMA journal_mode") == "wal"


def test_a_loss_cannot_be_made_to_look_lawful(vault: Vault, folder: Path) -> None:
    """A9: a row that says "erased" and points at no tombstone is a loss."""
    one = held("x", "evu-1")
    vault.keep([one])
    sha256 = vault.attach(b"data", subject="evu-1", category=Category.METER, retention="P2Y")
    raw(folder, "INSERT INTO erased VALUES (?, ?)", openings.digest_bytes(digest_of(one)), "0" * 32)
    raw(folder, "INSERT INTO erased_attachment VALUES (?, ?)", vault.attachment_tag(sha256), "0" * 32)
    with pytest.raises(errors.LostData):
        vault.open_digest(digest_of(one))
    with pytest.raises(errors.LostData):
        vault.attachment(sha256)


def test_keys_of_an_absent_epoch_are_a_loss_and_nothing_new_is_kept_under_them(vault: Vault, folder: Path) -> None:
    """A7: what a dead backup of keys.db holds opens nothing."""
    one = held("x", "evu-1")
    vault.keep([one])
    connection = sqlite3.connect(folder / "keys.db", isolation_level=None)
    connection.execute("UPDATE subject_key SET epoch = 99 WHERE uid = ?", (vault.uid_of("evu-1"),))
    connection.close()
    vault.keys.purge()
    assert vault.open_many([digest_of(one)])[digest_of(one)].state is State.LOST
    with pytest.raises(errors.KekEpochAbsent):
        vault.keep([held("y", "evu-1")])
    vault.keys.destroy_subject_key(vault.uid_of("evu-1"))
    with pytest.raises(errors.LostData):
        vault.keep([held("y", "evu-1")])


def test_a_swapped_attachment_is_tampering(vault: Vault, folder: Path) -> None:
    """A10: two attachments of one person changed places."""
    one = vault.attach(b"one", subject="evu-1", category=Category.METER, retention="P2Y")
    two = vault.attach(b"two", subject="evu-1", category=Category.METER, retention="P2Y")
    raw(folder, "UPDATE attachment SET tag = x'00' WHERE tag = ?", vault.attachment_tag(one))
    raw(folder, "UPDATE attachment SET tag = ? WHERE tag = ?", vault.attachment_tag(one), vault.attachment_tag(two))
    with pytest.raises(errors.TamperedData):
        vault.attachment(one)


@pytest.mark.parametrize("table", ["service_key", "state"])
def test_a_key_database_with_a_hole_is_refused(
    vault: Vault, folder: Path, tmp_path: Path, clock: SetClock, table: str
) -> None:
    vault.close()
    connection = sqlite3.connect(folder / "keys.db", isolation_level=None)
    connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- a constant of this test
    connection.close()
    with pytest.raises(errors.VaultMalformed):
        Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring").keep([held("x", "evu-1")])


@pytest.mark.sqlite_only
def test_a_log_that_is_in_use_is_not_called_empty(vault: Vault) -> None:
    """A23: a checkpoint inside an open transaction of our own does not count as done."""
    with vault.database.transaction():
        assert not vault.database.empty_log()
    assert vault.database.empty_log()
