"""An administrator of both databases who has the log and no key: what is learnt from rows, and what comes of changing them.

On SQLite and on a PostgreSQL server; there is nothing in the statements that only an owner of the tables could not run.
"""

import hashlib
import re

import pytest

from ledger.privacy import disclosure_log, errors, keys, rights, tables
from ledger.privacy.disclosure_log import Disclosed
from ledger.privacy.erasure import Eraser
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records import disclosure
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis, RefusalGround
from tests.support.privacy import Log, digest_of, held

pytestmark = pytest.mark.slow  # takes seconds

ONE, TWO = "canary-person-one", "canary-person-two"
PLACE = "DE*CANARY*E1"


def every_row(vault: Vault) -> bytes:
    """All that both databases hold, as the tables' owner reads it."""
    found = []
    for database, versions in ((vault.database, tables.VERSIONS), (vault.keys._database, keys.VERSIONS)):
        names = re.findall(r"CREATE TABLE (\w+)", " ".join(versions))
        assert len(names) >= 5
        for name in names:
            for row in database.rows(f"SELECT * FROM {name}"):  # noqa: S608 -- names of our own
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\0".join(found)


async def test_who_reads_every_row_reads_no_value_no_name_and_no_salt(vault: Vault, log: Log) -> None:
    kept = [held(PLACE, ONE), held("11.5 kWh", TWO)]
    vault.keep(kept)
    sha256 = vault.attach(b"CANARY-PAPER", subject=ONE, category=Category.METER, retention="P2Y")
    await rights.hold(vault, log.record, ONE, ground=RefusalGround.LEGAL_CLAIMS)
    rows = every_row(vault)
    salts = [disclosure.parse(one.text).salt for one in kept]
    for needle in (ONE, TWO, PLACE, "11.5", "CANARY", sha256, *salts, *(one.text for one in kept)):
        assert needle.encode() not in rows
    assert bytes.fromhex(sha256) not in rows


async def test_what_rows_do_tell_is_who_is_the_same_and_who_was_told(vault: Vault) -> None:
    """A limit, documented: rows of one person share a random id, and the disclosure log is in clear beside it."""
    vault.keep([held("a", ONE), held("b", ONE), held("c", TWO)])
    uid = vault.uid_of(ONE)
    disclosure_log.add(vault, [Disclosed(uid, "0" * 64, "fo-1", "SETTLEMENT", "SETTLEMENT", "P1NAME", 1)])
    counts = vault.database.rows("SELECT count(*), min(period) FROM facet GROUP BY uid ORDER BY 1 DESC")
    assert [row[0] for row in counts] == [2, 1]
    assert vault.database.rows("SELECT recipient, pseudonym FROM disclosed WHERE uid = ?", (uid,)) == [
        ("fo-1", "P1NAME")
    ]


def state(vault: Vault, digest: str) -> State:
    return vault.open_many([digest])[digest].state


@pytest.mark.parametrize("columns", [("body",), ("uid",), ("uid", "body"), ("digest",), ("uid", "category", "body")])
async def test_what_is_swapped_between_two_persons_opens_for_neither(vault: Vault, columns: tuple[str, ...]) -> None:
    """A10: the ciphertext is bound to the person, the digest, the class and the month."""
    one, two = held("at home", ONE), held("away", TWO)
    vault.keep([one, two])
    table = vault.database.rows(f"SELECT digest, {', '.join(columns)} FROM facet ORDER BY digest")  # noqa: S608
    (first, *mine), (second, *theirs) = table
    vault.database.execute("UPDATE facet SET digest = ? WHERE digest = ?", (b"x" * 32, first))
    moved = [(second, theirs, mine), (b"x" * 32, mine, theirs)]
    for key, _, other in moved:
        for column, value in zip(columns, other, strict=True):
            if column != "digest":
                vault.database.execute(f"UPDATE facet SET {column} = ? WHERE digest = ?", (value, key))  # noqa: S608
    if "digest" in columns:
        vault.database.execute("UPDATE facet SET digest = ? WHERE digest = ?", (first, second))
        vault.database.execute("UPDATE facet SET digest = ? WHERE digest = ?", (second, b"x" * 32))
    else:
        vault.database.execute("UPDATE facet SET digest = ? WHERE digest = ?", (first, b"x" * 32))
    vault.keys.purge()
    assert {state(vault, digest_of(one)), state(vault, digest_of(two))} == {State.TAMPERED}


async def test_a_row_that_is_deleted_is_lost_whatever_is_written_beside_it(vault: Vault, eraser: Eraser) -> None:
    """A9: neither no tombstone, nor a made-up one, nor somebody else's real one makes a loss an erasure."""
    one = held("x", ONE)
    vault.keep([one, held("y", TWO)])
    receipt = await eraser.erase(TWO, basis=ErasureBasis.OBJECTION)
    key = disclosure_key(one.text)
    vault.database.execute("DELETE FROM facet WHERE digest = ?", (key,))
    assert state(vault, digest_of(one)) is State.LOST
    for handle in ("0" * 32, receipt.handle):
        vault.database.execute("DELETE FROM erased WHERE digest = ?", (key,))
        vault.database.execute("INSERT INTO erased VALUES (?, ?)", (key, handle))
        assert state(vault, digest_of(one)) is State.LOST
        with pytest.raises(errors.LostData):
            eraser.opening(digest_of(one))


async def test_a_key_that_is_exchanged_opens_nothing(vault: Vault) -> None:
    """A wrapped key is bound to whose it is: one person's under another's id does not unwrap."""
    one, two = held("x", ONE), held("y", TWO)
    vault.keep([one, two])
    vault.keys.purge()
    database = vault.keys._database
    (wrapped,) = database.rows("SELECT wrapped FROM subject_key WHERE uid = ?", (vault.uid_of(TWO),))
    database.execute("UPDATE subject_key SET wrapped = ? WHERE uid = ?", (wrapped[0], vault.uid_of(ONE)))
    assert state(vault, digest_of(one)) is State.TAMPERED
    assert state(vault, digest_of(two)) is State.TEXT


def disclosure_key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
