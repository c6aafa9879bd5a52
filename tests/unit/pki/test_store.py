"""The certificate store: pages in a stable order, writes of many at once, files of earlier versions."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pki.roles import Purpose, Role
from pki.store import commit, schema
from pki.store.records import (
    BadCursor,
    CeremonyRecord,
    CeremonyReplayed,
    CertificateAbsent,
    Followed,
    Intent,
    Issued,
    Noted,
    OrderUnderWay,
    Query,
    Reason,
    Revocation,
    SerialReused,
    StoreUnavailable,
    StoreUnreadable,
)
from pki.store.sqlite import SqliteStore

CA = "aa" * 32
DAY_MS = 86_400_000


def _issued(serial: int, **changes: Any) -> Issued:
    made = Issued(
        issuer_key_sha256=CA,
        serial=serial,
        der=b"certificate %d" % serial,
        profile="FO/TLS_CLIENT/v1",
        role=Role.FO,
        purpose=Purpose.TLS_CLIENT,
        party_id="FI-AUR",
        station_id=None,
        spki_sha256=f"{serial:064x}",
        tbs_sha256=f"{serial:064x}",
        not_before_ms=0,
        not_after_ms=serial * DAY_MS,
        issued_at_ms=serial,
    )
    return replace(made, **changes)


def _intent(serial: int, at_ms: int = 0) -> Intent:
    return Intent(f"{serial:064x}", "FO/TLS_CLIENT/v1", CA, serial, at_ms, spki_sha256="bb" * 32)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "issued.db" if request.param == "file" else None)
    yield made
    made.close()


def _pages(store: SqliteStore, query: Query, limit: int) -> list[list[int]]:
    found, cursor = [], None
    while True:
        page = store.page(query, cursor=cursor, limit=limit)
        found.append([listed.issued.serial for listed in page.found])
        cursor = page.cursor
        if cursor is None:
            return found


def test_pages_hold_everything_once_in_the_order_of_issuance(store: SqliteStore) -> None:
    for serial in (5, 3, 9, 1, 7):
        store.put(_issued(serial))
    assert _pages(store, Query(), 2) == [[5, 3], [9, 1], [7]]
    assert _pages(store, Query(), 5) == [[5, 3, 9, 1, 7]]
    assert _pages(store, Query(party_id="nobody"), 5) == [[]]
    first = store.page(Query(), limit=2)
    store.put(_issued(2))
    rest = store.page(Query(), cursor=first.cursor)
    assert [listed.issued.serial for listed in rest.found] == [9, 1, 7, 2]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "9" * 19, "١"])
def test_a_cursor_that_no_page_gave_is_refused(store: SqliteStore, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.page(Query(), cursor=cursor)


def test_every_filter_is_a_filter(store: SqliteStore) -> None:
    store.put(_issued(1))
    other = _issued(
        2,
        issuer_key_sha256="cc" * 32,
        profile="STATION/SIGNING/v1",
        role=Role.STATION,
        purpose=Purpose.SIGNING,
        party_id="FI-NGC",
        station_id="E1",
        not_before_ms=DAY_MS,
        not_after_ms=5 * DAY_MS,
        issued_at_ms=7,
    )
    store.put(other)
    store.revoke(Revocation("cc" * 32, 2, 9, Reason.SUPERSEDED))
    for query in (
        Query(issuer_key_sha256="cc" * 32),
        Query(serial=2),
        Query(spki_sha256=f"{2:064x}"),
        Query(profile="STATION/SIGNING/v1"),
        Query(role=Role.STATION),
        Query(purpose=Purpose.SIGNING),
        Query(party_id="FI-NGC"),
        Query(station_id="E1"),
        Query(valid_at_ms=2 * DAY_MS),
        Query(ends_from_ms=2 * DAY_MS),
        Query(issued_from_ms=7),
        Query(revoked=True),
    ):
        assert _pages(store, query, 10) == [[2]], query
    for query in (Query(ends_before_ms=DAY_MS + 1), Query(issued_before_ms=7), Query(revoked=False)):
        assert _pages(store, query, 10) == [[1]], query
    assert store.page(Query(serial=2)).found[0].revocation == Revocation("cc" * 32, 2, 9, Reason.SUPERSEDED)


def test_expiring_is_what_nothing_has_followed(store: SqliteStore) -> None:
    now_ms = DAY_MS // 2
    store.put(_issued(1))
    store.put(_issued(2, party_id="FI-TWO"))
    store.put(_issued(3, party_id="FI-TWO", not_after_ms=9 * DAY_MS))
    store.put(_issued(4, party_id="FI-GONE", not_after_ms=DAY_MS))
    store.revoke(Revocation(CA, 4, 0, Reason.KEY_COMPROMISE))
    store.put(_issued(5, party_id="FI-BAD", not_after_ms=DAY_MS))
    store.put(_issued(6, party_id="FI-BAD", not_after_ms=9 * DAY_MS))
    store.revoke(Revocation(CA, 6, 0, Reason.KEY_COMPROMISE))
    store.put(_issued(8, party_id=None, role=None, profile="FO/AUTHORITY/v1", not_after_ms=2 * DAY_MS))
    signer = _issued(10, party_id=None, role=None, profile="OCSP/v1", not_after_ms=2 * DAY_MS)
    store.put(signer)
    store.put(replace(signer, serial=11, not_after_ms=9 * DAY_MS, der=b"next"))
    found = store.expiring(3 * DAY_MS, now_ms=now_ms)
    assert [issued.serial for issued in found] == [1, 5, 8]
    assert [issued.serial for issued in store.expiring(3 * DAY_MS, now_ms=now_ms, limit=1)] == [1]
    assert store.expiring(DAY_MS, now_ms=now_ms) == []


def test_a_name_is_given_once(store: SqliteStore) -> None:
    store.put(_issued(1))
    store.put(_issued(1))
    with pytest.raises(SerialReused):
        store.put(_issued(1, der=b"other"))
    with pytest.raises(SerialReused):
        store.plan(_intent(1))
    store.plan(_intent(2), order_id="one")
    with pytest.raises(SerialReused):
        store.plan(_intent(2))
    with pytest.raises(OrderUnderWay):
        store.plan(_intent(3), order_id="one")
    assert [gap.intent.serial for gap in store.gaps()] == [2]
    with pytest.raises(CertificateAbsent):
        store.require_named(CA, 3)
    with pytest.raises(CertificateAbsent):
        store.revoke(Revocation(CA, 3, 0, Reason.UNSPECIFIED))


def test_a_write_that_fails_takes_nothing_of_its_neighbours_along(store: SqliteStore) -> None:
    store.put(_issued(1))

    def one(serial: int) -> bool:
        try:
            store.put(_issued(serial, der=b"new %d" % serial))
        except SerialReused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(one, [1, 2, 1, 3, 4, 1, 5, 6]))
    assert kept == [False, True, False, True, True, False, True, True]
    assert len(store.page(Query()).found) == 6


def test_of_writes_that_share_a_transaction_one_that_fails_leaves_nothing_and_the_others_are_done_once() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE number (one INTEGER)")
    writer = commit.GroupWriter(database)

    def insert(one: int) -> Callable[[sqlite3.Connection], None]:
        return lambda given: given.execute("INSERT INTO number VALUES (?)", (one,)) and None

    def fail(given: sqlite3.Connection) -> None:
        insert(2)(given)
        raise LookupError("after its write")

    writer.later(insert(1))
    writer.later(fail)
    writer.run(insert(3))
    assert database.execute("SELECT one FROM number").fetchall() == [(1,), (3,)]
    writer.later(insert(4))
    with pytest.raises(LookupError):
        writer.run(fail)
    assert database.execute("SELECT one FROM number").fetchall() == [(1,), (3,), (4,)]
    writer.close()


def test_more_writes_than_share_a_transaction_all_come_through(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "MAX_TOGETHER", 2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda serial: store.put(_issued(serial)), range(1, 33)))
    assert len(store.page(Query()).found) == 32


def test_a_store_that_cannot_write_is_busy_and_unchanged(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "issued.db")
    store.put(_issued(1))
    other = sqlite3.connect(tmp_path / "issued.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._writer._database.execute("PRAGMA busy_timeout=1")
    with pytest.raises(StoreUnavailable) as caught:
        store.put(_issued(2))
    assert caught.value.code == "pki/store-unavailable"
    assert len(store.page(Query()).found) == 1
    other.execute("ROLLBACK")
    other.close()
    store.put(_issued(2))
    assert len(store.page(Query()).found) == 2
    store.close()


_FIRST = """
CREATE TABLE issued (
    issuer_key_sha256 TEXT NOT NULL, serial TEXT NOT NULL, der BLOB NOT NULL, profile TEXT NOT NULL, role TEXT,
    purpose TEXT, party_id TEXT, station_id TEXT, spki_sha256 TEXT NOT NULL, tbs_sha256 TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL, not_after_ms INTEGER NOT NULL, issued_at_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_sha256, serial)) STRICT;
CREATE INDEX issued_by_party ON issued (party_id, role);
CREATE INDEX issued_by_key ON issued (spki_sha256);
CREATE TABLE revoked (issuer_key_sha256 TEXT NOT NULL, serial TEXT NOT NULL, revoked_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (issuer_key_sha256, serial)) STRICT;
CREATE TABLE crl (issuer_key_sha256 TEXT NOT NULL, number INTEGER NOT NULL, this_update_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_sha256, number)) STRICT;
"""


def test_a_file_of_the_first_version_is_taken_over_whole(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    old = sqlite3.connect(path)
    old.executescript(_FIRST)
    for serial in (4, 2, 3):
        row = (CA, f"{serial:040x}", b"x", "FO/TLS_CLIENT/v1", "FO", "TLS_CLIENT", "FI-AUR", None, "k", "t", 0, 1, 2)
        old.execute("INSERT INTO issued VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
    old.execute("INSERT INTO revoked VALUES (?,?,?,?)", (CA, f"{2:040x}", 5, "superseded"))
    old.execute("INSERT INTO crl VALUES (?,?,?)", (CA, 7, 7))
    old.commit()
    old.close()
    store = SqliteStore(path)
    assert _pages(store, Query(), 2) == [[4, 2], [3]]
    assert store.revocation_of(CA, 2) == Revocation(CA, 2, 5, Reason.SUPERSEDED)
    assert store.next_crl_number(CA, 7, allow_earlier=False) == 8
    store.plan(_intent(9))
    store.close()
    again = SqliteStore(path)
    assert [gap.intent.serial for gap in again.gaps()] == [9]
    assert len(again.page(Query()).found) == 3
    again.close()


def test_a_file_of_a_later_version_or_of_something_else_is_not_touched(tmp_path: Path) -> None:
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    later.close()
    (tmp_path / "other.db").write_bytes(b"this is not a database, and it is long enough to be looked at" * 20)
    for name in ("later.db", "other.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StoreUnreadable) as caught:
            SqliteStore(tmp_path / name)
        assert caught.value.code == "pki/store-unreadable"
        assert (tmp_path / name).read_bytes() == before or name == "later.db"
    with pytest.raises(StoreUnreadable):
        SqliteStore(tmp_path / "no such folder" / "store.db")


def test_a_ceremony_is_recorded_once_by_id_and_by_file(store: SqliteStore) -> None:
    record = CeremonyRecord("2026 first", "dd" * 32, 5, b"{}")
    assert store.ceremony("2026 first") is None
    store.add_ceremony(record)
    assert store.ceremony("2026 first") == record
    for again in (record, replace(record, spec_sha256="ee" * 32), replace(record, ceremony_id="other")):
        with pytest.raises(CeremonyReplayed):
            store.add_ceremony(again)


def test_a_file_of_the_second_version_learns_of_invalidity_dates_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    made = SqliteStore(path)
    made.put(_issued(1))
    made.put(_issued(2))
    made.revoke(Revocation(CA, 1, 5, Reason.SUPERSEDED))
    made.close()
    older = sqlite3.connect(path)
    older.execute("ALTER TABLE revoked DROP COLUMN invalid_from_ms")
    older.execute("PRAGMA user_version = 2")
    older.close()
    store = SqliteStore(path)
    assert store.revocation_of(CA, 1) == Revocation(CA, 1, 5, Reason.SUPERSEDED)
    later = Revocation(CA, 2, 9, Reason.KEY_COMPROMISE, 7)
    assert store.revoke(later) == later
    assert store.revocations(CA, 9) == [Revocation(CA, 1, 5, Reason.SUPERSEDED), later]
    store.close()


def test_how_far_the_store_was_followed_is_there_at_the_next_start_and_in_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    made = SqliteStore(path)
    assert made.followed() == Followed(0, 0)
    for place in (3, 5):
        made.follow(Followed(place, place - 1))
    made.close()
    again = SqliteStore(path)
    assert again.followed() == Followed(5, 4)
    again.close()
    older = sqlite3.connect(path)
    older.execute("DROP TABLE followed")
    older.execute("PRAGMA user_version = 3")
    older.close()
    taken_over = SqliteStore(path)
    assert taken_over.followed() == Followed(0, 0)
    taken_over.close()


def test_what_is_noted_of_a_name_is_told_in_one_look(store: SqliteStore) -> None:
    store.put(_issued(1))
    assert store.noted(CA, 1) == Noted(issued=True, revocation=None)
    assert store.noted(CA, 2) == Noted(issued=False, revocation=None)
    store.plan(_intent(3))
    precaution = store.revoke(Revocation(CA, 3, 4, Reason.SUPERSEDED))
    assert store.noted(CA, 3) == Noted(issued=False, revocation=precaution)
