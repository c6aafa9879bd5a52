"""The tables of vault.db, one script a version. Erasure leaves `erased`, `tombstone` and unsent `notice` rows only.

Written for SQLite; `ledger.privacy.postgres` reads the same scripts with PostgreSQL's names of the types.
"""

from typing import Final

_FIRST: Final = """
CREATE TABLE subject (
    uid BLOB NOT NULL PRIMARY KEY,
    tag BLOB UNIQUE,
    name BLOB NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    hold TEXT,
    restriction TEXT UNIQUE
) STRICT, WITHOUT ROWID;
CREATE TABLE facet (
    digest BLOB NOT NULL PRIMARY KEY,
    uid BLOB NOT NULL,
    category TEXT NOT NULL,
    retention TEXT NOT NULL,
    period TEXT NOT NULL,
    key_retention TEXT NOT NULL,
    key_period TEXT NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX facet_of_subject ON facet (uid);
CREATE INDEX facet_of_period ON facet (retention, period);
CREATE INDEX facet_of_key ON facet (key_retention, key_period);
CREATE INDEX facet_unsettled ON facet (digest) WHERE settled = 0;
CREATE TABLE attachment (
    id BLOB NOT NULL PRIMARY KEY,
    tag BLOB NOT NULL,
    uid BLOB NOT NULL,
    category TEXT NOT NULL,
    retention TEXT NOT NULL,
    period TEXT NOT NULL,
    key_retention TEXT NOT NULL,
    key_period TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (tag, uid)
) STRICT;
CREATE INDEX attachment_of_subject ON attachment (uid);
CREATE INDEX attachment_of_period ON attachment (retention, period);
CREATE INDEX attachment_of_key ON attachment (key_retention, key_period);
CREATE TABLE undisclosed (digest BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE erased (digest BLOB NOT NULL PRIMARY KEY, handle TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE erased_attachment (tag BLOB NOT NULL PRIMARY KEY, handle TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tombstone (
    handle TEXT NOT NULL PRIMARY KEY,
    leaves BLOB NOT NULL,
    root TEXT NOT NULL,
    size INTEGER NOT NULL,
    entry INTEGER
) STRICT;
CREATE TABLE erasure (
    handle TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    uid BLOB,
    basis TEXT NOT NULL,
    stage TEXT NOT NULL,
    retention TEXT,
    period TEXT
) STRICT;
CREATE TABLE disclosed (
    id INTEGER NOT NULL PRIMARY KEY,
    uid BLOB NOT NULL,
    manifest TEXT NOT NULL,
    recipient TEXT NOT NULL,
    purpose TEXT NOT NULL,
    profile TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX disclosed_of_subject ON disclosed (uid);
CREATE TABLE notice (
    id INTEGER NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL,
    recipient TEXT NOT NULL,
    purpose TEXT NOT NULL,
    manifest TEXT NOT NULL,
    pseudonym TEXT NOT NULL
) STRICT
"""

_REIDENTIFICATION: Final = """
CREATE TABLE reidentification (
    request TEXT NOT NULL PRIMARY KEY,
    pseudonym TEXT NOT NULL,
    salt BLOB NOT NULL,
    recipient TEXT NOT NULL,
    purpose TEXT NOT NULL,
    epoch TEXT NOT NULL,
    ground TEXT NOT NULL,
    officer TEXT NOT NULL,
    approver TEXT,
    asked_at_ms INTEGER NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0
) STRICT
"""

_FEWER_STAGES: Final = "UPDATE erasure SET stage = 'intended' WHERE stage = 'requested'"
"""An erasure whose request is on record is taken up where it was: the same request is recorded once."""

_HOLDS_ON_RECORD: Final = "ALTER TABLE subject ADD COLUMN hold_handle TEXT"
"""A hold that was placed before has none, and is lifted without an entry."""

_SETTLED: Final = "CREATE TABLE settled (origin TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL) STRICT"
"""Up to which size of a log everything that was kept is known to have an entry or none."""

_UNSETTLED_IN_ORDER: Final = """
DROP INDEX facet_unsettled;
CREATE INDEX facet_unsettled ON facet (settled) WHERE settled = 0
"""
"""What is not settled yet stands in the order of its coming: by digest, each was a page of the write-ahead log."""

_GROUNDS_KEPT: Final = "ALTER TABLE subject ADD COLUMN restriction_ground TEXT"
"""With it a restriction whose record a crash prevented is recorded later. One of before has none, and is on record."""

VERSIONS: Final = (
    _FIRST,
    _REIDENTIFICATION,
    _FEWER_STAGES,
    _HOLDS_ON_RECORD,
    _SETTLED,
    _UNSETTLED_IN_ORDER,
    _GROUNDS_KEPT,
)
