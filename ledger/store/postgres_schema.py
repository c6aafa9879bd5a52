"""The tables of a log on PostgreSQL, one script a version; each log has a schema of its own.

The same columns in the same order as on SQLite (`schema.py`), so that the same rows go into either. Nothing here needs
more than tables, unnest, ON CONFLICT, FOR UPDATE and row triggers, so that engines that speak PostgreSQL can be judged
by it (docs/spec/storage.md).
"""

from typing import Final

from ledger.store.schema import APPEND_ONLY

APPLICATION: Final = "flexledger"

_TABLES: Final = """
-- One row: the sequencer's state, and the lock between replicas. It moves in the same transaction as the entries.
CREATE TABLE head (
  id integer PRIMARY KEY CHECK (id = 1),
  origin text NOT NULL, size bigint NOT NULL, frontier bytea NOT NULL, rec_ms bigint NOT NULL
);
CREATE TABLE entry (
  idx bigint PRIMARY KEY, data bytea NOT NULL, leaf bytea NOT NULL, previous_idx bigint, actor bigint NOT NULL
);
-- Signed statements hardly compress; to try costs more than it saves.
ALTER TABLE entry ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE tile (place bigint PRIMARY KEY, hashes bytea NOT NULL, root bytea NOT NULL);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TABLE checkpoint (size bigint PRIMARY KEY, note bytea NOT NULL, at_ms bigint NOT NULL, cosigned bytea);
CREATE TABLE stream_head (
  stream text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL, leaf bytea NOT NULL, idx bigint NOT NULL,
  closed smallint NOT NULL
) WITH (fillfactor = 80);
CREATE TABLE idempotency (
  party text COLLATE "C" NOT NULL, jti text COLLATE "C" NOT NULL, idx bigint NOT NULL, PRIMARY KEY (party, jti)
);
CREATE TABLE actor_counter (
  party text COLLATE "C" NOT NULL, x5t text COLLATE "C" NOT NULL, seq bigint NOT NULL, PRIMARY KEY (party, x5t)
) WITH (fillfactor = 50);
CREATE TABLE actor (id bigint PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE tag (
  idx bigint NOT NULL, name text COLLATE "C" NOT NULL, tag text COLLATE "C" NOT NULL, PRIMARY KEY (idx, name)
);
CREATE TABLE certificate (x5t text COLLATE "C" PRIMARY KEY, der bytea NOT NULL);
CREATE TABLE evidence_blob (sha256 text COLLATE "C" PRIMARY KEY, kind text NOT NULL, data bytea NOT NULL);
-- Moved and committed to learn whether the standby has everything before it.
CREATE TABLE settled (id integer PRIMARY KEY CHECK (id = 1), times bigint NOT NULL);
INSERT INTO settled VALUES (1, 0);
"""

_FENCES: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE FUNCTION refuse_other_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.size <> old.size OR new.note <> old.note OR new.at_ms <> old.at_ms THEN
    RAISE EXCEPTION 'checkpoint is append-only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN new;
END $$;
CREATE FUNCTION refuse_shrinking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.size < old.size OR new.origin <> old.origin THEN
    RAISE EXCEPTION 'head never goes back' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER checkpoint_no_update BEFORE UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION refuse_other_note();
CREATE TRIGGER head_no_shrinking BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION refuse_shrinking();
"""


_PROJECTIONS: Final = """
-- As on SQLite; the index by idx is how a replica learns what the others changed.
ALTER TABLE head ADD COLUMN projected text COLLATE "C";
CREATE TABLE projection (
  kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value bytea, idx bigint NOT NULL, born bigint,
  until_ms bigint, PRIMARY KEY (kind, key)
) WITH (fillfactor = 80);
CREATE INDEX projection_born ON projection (kind, born, key) WHERE born IS NOT NULL AND value IS NOT NULL;
CREATE INDEX projection_until ON projection (kind, until_ms, key) WHERE until_ms IS NOT NULL AND value IS NOT NULL;
CREATE INDEX projection_changed ON projection (idx);
"""


def _fence(table: str, acts: str) -> str:
    # Per statement: it costs nothing where nothing is changed, and TRUNCATE has no rows.
    return (
        f"CREATE TRIGGER {table}_fence BEFORE {acts} ON {table}\nFOR EACH STATEMENT EXECUTE FUNCTION refuse_change();\n"
    )


VERSIONS: Final = (
    _TABLES
    + _FENCES
    + "".join(_fence(table, "UPDATE OR DELETE OR TRUNCATE") for table in APPEND_ONLY)
    + "".join(_fence(table, "DELETE OR TRUNCATE") for table in ("checkpoint", "stream_head", "head"))
    + "CREATE TABLE about (application text NOT NULL, version integer NOT NULL);\n",
    _PROJECTIONS,
)
"""What makes version n + 1 out of version n, from an empty schema on. A script that was released is never edited."""

SCHEMA_VERSION: Final = len(VERSIONS)
