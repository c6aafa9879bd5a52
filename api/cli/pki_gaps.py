"""`flexledger pki gaps`: certificates that the log says were about to be signed, and nothing more."""

import os
from pathlib import Path
from typing import Any

from api import engines
from api.cli.pki_offline import DONE, FOUND, answered, say
from api.settings import Settings, load
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.rules.credential_state import CredentialBook
from ledger.store.errors import StoreAbsent
from ledger.store.sqlite import SqliteReader

KINDS = (CredentialIntended, CredentialIssued, CredentialsAdopted, CredentialRevoked)


def run(config: Path, *, json: bool) -> int:
    """Exit code 0 without a gap, 1 with one, 2 if the log cannot be read."""

    def act() -> int:
        found = book_of(load(config, os.environ)).gaps()
        rows: list[dict[str, Any]] = [
            {"name": ".".join(one.name), "profile": one.profile, "tbs_sha256": one.tbs_sha256, "entry": one.index}
            for one in found
        ]
        lines = [f"entry {row['entry']}: {row['profile']} {row['name']}" for row in rows]
        if rows:
            lines.append("  a start of the service settles those that its store knows")
        say({"gaps": rows}, "\n".join([*lines, f"{len(rows)} gaps"]), json=json)
        return FOUND if rows else DONE

    return answered(act, json=json)


def book_of(settings: Settings) -> CredentialBook:
    """The life of every credential as the log on SQLite tells it; empty where there is no log yet."""
    book = CredentialBook()
    try:
        reader = SqliteReader.open(settings.data_dir / engines.LOG_FILE)
    except StoreAbsent:
        return book
    try:
        with reader.snapshot():
            for row in reader.entries_at(reader.stream_indices(CREDENTIAL_STREAM)):
                record = statement.parse_statement(entries.decode(row.data).stmt).record
                if isinstance(record, KINDS):
                    book.fold(record, row.index)
    finally:
        reader.close()
    return book
