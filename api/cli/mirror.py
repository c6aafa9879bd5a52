"""`flexledger mirror`: a log as static files, new or brought up to date; the service may go on meanwhile."""

import sys
from pathlib import Path
from typing import Final

from api.cli.audit_places import LOG_FILE
from api.cli.files import read_file
from api.cli.words import counted
from api.errors import ApiError
from ledger import mirror
from ledger.errors import LedgerError
from ledger.reader import VKEY_FILE, Reader
from ledger.store.sqlite import SqliteReader

UNUSABLE: Final = 2
MAX_VKEY_OCTETS: Final = 65_536


def run(data_dir: Path, directory: Path) -> int:
    """Exit code 0 when the copy is as new as the log's last checkpoint, 2 when nothing was changed."""
    try:
        vkeys = read_file(data_dir / VKEY_FILE, MAX_VKEY_OCTETS).decode("utf-8")
        store = SqliteReader.open(data_dir / LOG_FILE)
        try:
            # Everything is read at one moment, however long the files take.
            with store.snapshot():
                done = mirror.update(Reader(store), directory, origin=store.head().origin, vkeys=vkeys)
        finally:
            store.close()
    except (ApiError, LedgerError) as error:
        print(f"nothing was mirrored: {error.code}: {error}", file=sys.stderr)
        return UNUSABLE
    except (OSError, UnicodeDecodeError) as error:
        print(f"nothing was mirrored: {getattr(error, 'strerror', None) or 'not text'}", file=sys.stderr)
        return UNUSABLE
    entries, files = counted(done.size, "entry", "entries"), counted(done.written, "file", "files")
    print(f"{entries}, {done.before} before; {files} written")
    return 0
