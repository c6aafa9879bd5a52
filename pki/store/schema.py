"""The tables of the SQLite store, and how a file of an earlier version becomes one of this version."""

import sqlite3

from pki.store.records import StoreUnreadable

VERSION = 4
"""`PRAGMA user_version`; 0 is an empty file or one of the first version, which did not say."""
_WITH_INTENTS = 2

ISSUED = (
    "issuer_key_sha256, serial, der, profile, role, purpose, party_id, station_id, spki_sha256, tbs_sha256,"
    " not_before_ms, not_after_ms, issued_at_ms"
)
# `seq` is the order of issuance that pages follow: an INTEGER PRIMARY KEY survives VACUUM, a bare rowid does not.
_ISSUED_TABLE = """
CREATE TABLE issued (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL,
    der BLOB NOT NULL,
    profile TEXT NOT NULL,
    role TEXT,
    purpose TEXT,
    party_id TEXT,
    station_id TEXT,
    spki_sha256 TEXT NOT NULL,
    tbs_sha256 TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    UNIQUE (issuer_key_sha256, serial)
) STRICT
"""
_REST = (
    "CREATE INDEX issued_by_party ON issued (party_id, role)",
    "CREATE INDEX issued_by_key ON issued (spki_sha256)",
    "CREATE INDEX issued_by_end ON issued (not_after_ms)",
    """
CREATE TABLE IF NOT EXISTS revoked (
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL,
    revoked_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    invalid_from_ms INTEGER,
    PRIMARY KEY (issuer_key_sha256, serial)
) STRICT
""",
    """
CREATE TABLE IF NOT EXISTS crl (
    issuer_key_sha256 TEXT NOT NULL,
    number INTEGER NOT NULL,
    this_update_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_sha256, number)
) STRICT
""",
    # Only issuances that are not complete, and serial numbers that were revoked as a precaution: it stays small.
    """
CREATE TABLE intent (
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL,
    tbs_sha256 TEXT NOT NULL,
    profile TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    spki_sha256 TEXT NOT NULL,
    role TEXT,
    purpose TEXT,
    party_id TEXT,
    station_id TEXT,
    state TEXT NOT NULL,
    PRIMARY KEY (issuer_key_sha256, serial)
) STRICT
""",
    "CREATE INDEX intent_by_key ON intent (spki_sha256)",
    """
CREATE TABLE ordered (
    order_id TEXT PRIMARY KEY,
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX ordered_by_name ON ordered (issuer_key_sha256, serial)",
    """
CREATE TABLE last_intent (
    issuer_key_sha256 TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE ceremony (
    ceremony_id TEXT PRIMARY KEY,
    spec_sha256 TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    transcript BLOB NOT NULL
) STRICT
""",
)

_FOLLOWED = """
CREATE TABLE IF NOT EXISTS followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    issued INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT
"""


def prepare(database: sqlite3.Connection) -> None:
    """Make or migrate the tables, in one transaction; StoreUnreadable if the file is not one we can read."""
    try:
        database.execute("BEGIN IMMEDIATE")
        try:
            _prepare(database)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise StoreUnreadable("not a certificate store") from error


def _prepare(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreUnreadable("the file is of a later version", expected=f"at most {VERSION}", found=version)
    if version == VERSION:
        return
    if version < _WITH_INTENTS:
        _from_the_first(database)
    if "invalid_from_ms" not in {row[1] for row in database.execute("PRAGMA table_info(revoked)")}:
        database.execute("ALTER TABLE revoked ADD COLUMN invalid_from_ms INTEGER")
    database.execute(_FOLLOWED)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _from_the_first(database: sqlite3.Connection) -> None:
    """An empty file, or one of the first version, gets the tables of the second."""
    old = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'issued'").fetchone()
    if old is not None:
        for index in ("issued_by_party", "issued_by_key"):
            database.execute(f"DROP INDEX IF EXISTS {index}")
        database.execute("ALTER TABLE issued RENAME TO issued_1")
    database.execute(_ISSUED_TABLE)
    if old is not None:
        database.execute(f"INSERT INTO issued ({ISSUED}) SELECT {ISSUED} FROM issued_1 ORDER BY rowid")  # noqa: S608  # constants only
        database.execute("DROP TABLE issued_1")
    for statement in _REST:
        database.execute(statement)
