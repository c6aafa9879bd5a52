"""The tables of a log on SQLite, one script a version.

Whoever opens a file to write brings it up to the newest version; a reader opens that version only.
"""

import re
from typing import Final

APPLICATION_ID = 0x464C584C
"""'FLXL' in the file's header."""

TILE_LEVEL_SHIFT = 48
"""A tile's key is level << 48 | index: both levels grow at their own end, and no index beside the key is needed."""

TABLES = """
-- One row: the sequencer's state. It moves in the same transaction as the entries.
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL, rec_ms INTEGER NOT NULL
) STRICT;
-- The log. A stream is read backwards along previous_idx: no index whose cost grows with the log.
CREATE TABLE entry (
  idx INTEGER PRIMARY KEY, data BLOB NOT NULL, leaf BLOB NOT NULL, previous_idx INTEGER, actor INTEGER NOT NULL
) STRICT;
-- Full tiles only, written once; the right edge is in entry.leaf and in the roots of the level below.
CREATE TABLE tile (place INTEGER PRIMARY KEY, hashes BLOB NOT NULL, root BLOB NOT NULL) STRICT;
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY, note BLOB NOT NULL, at_ms INTEGER NOT NULL, cosigned BLOB
) STRICT;
-- Projections: an audit makes them again from the entries and compares.
CREATE TABLE stream_head (
  stream TEXT PRIMARY KEY, seq INTEGER NOT NULL, leaf BLOB NOT NULL, idx INTEGER NOT NULL, closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
  party TEXT NOT NULL, jti TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (party, jti)
) STRICT, WITHOUT ROWID;
CREATE TABLE actor_counter (
  party TEXT NOT NULL, x5t TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (party, x5t)
) STRICT, WITHOUT ROWID;
-- What the rules need at a restart and the entry does not say: who the signer was, and keyed tags.
CREATE TABLE actor (id INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE tag (
  idx INTEGER NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (idx, name)
) STRICT, WITHOUT ROWID;
-- Public evidence, by digest: organisations' certificates, CA certificates, CRLs. Never a person's.
CREATE TABLE certificate (x5t TEXT PRIMARY KEY, der BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE evidence_blob (sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL) STRICT;
-- Written and emptied again to learn whether there is room.
CREATE TABLE room (data BLOB NOT NULL) STRICT;
"""

APPEND_ONLY = ("entry", "tile", "actor", "tag", "certificate", "evidence_blob", "idempotency")
"""Rows of these are never changed. The triggers are a second fence against our own mistakes: who owns the file can
drop them, and it is the audit that finds that out."""

SIGNED_ONCE = """
CREATE TRIGGER checkpoint_no_update BEFORE UPDATE OF size, note, at_ms ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only'); END;
CREATE TRIGGER checkpoint_no_delete BEFORE DELETE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only'); END;
CREATE TRIGGER head_no_shrinking BEFORE UPDATE ON head WHEN new.size < old.size OR new.origin <> old.origin
BEGIN SELECT RAISE(ABORT, 'head never goes back'); END;
CREATE TRIGGER stream_head_no_delete BEFORE DELETE ON stream_head
BEGIN SELECT RAISE(ABORT, 'stream_head never forgets'); END;
"""


PROJECTIONS: Final = """
-- By which rules the projections are kept up to the head's size; NULL where the last writer kept none.
ALTER TABLE head ADD COLUMN projected TEXT;
-- What the rules know, by key, as of the head. Never NULL but where a key stands for nothing any more.
CREATE TABLE projection (
  kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB, idx INTEGER NOT NULL, born INTEGER, until_ms INTEGER,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
-- Both grow at the end of each kind only.
CREATE INDEX projection_born ON projection (kind, born, key) WHERE born IS NOT NULL AND value IS NOT NULL;
CREATE INDEX projection_until ON projection (kind, until_ms, key) WHERE until_ms IS NOT NULL AND value IS NOT NULL;
"""


def _first() -> str:
    fences = "".join(
        f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}\n"
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
        for table in APPEND_ONLY
        for act in ("UPDATE", "DELETE")
    )
    return f"{TABLES}\n{fences}\n{SIGNED_ONCE}\nPRAGMA application_id = {APPLICATION_ID};\n"


VERSIONS: Final = (_first(), PROJECTIONS)
"""What makes version n + 1 out of version n, from an empty file on. A script that was released is never edited."""

SCHEMA_VERSION: Final = len(VERSIONS)

TABLE_NAMES: Final = tuple(re.findall(r"CREATE TABLE (\w+)", "".join(VERSIONS)))


def script(version: int = 0) -> str:
    """Everything that a store of this version lacks; a new one is of version 0."""
    return "\n".join(["BEGIN;", *VERSIONS[version:], f"PRAGMA user_version = {SCHEMA_VERSION};", "COMMIT;", ""])
