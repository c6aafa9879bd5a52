"""`flexledger mirror`: a log as static files, new or brought up to date; the service may go on meanwhile."""

import sys
from pathlib import Path
from typing import Final

from api.cli.files import read_file
from api.cli.stored import DATA_FOLDER, LOG_FILE, SCHEMA, stored
from api.cli.words import counted
from api.errors import ApiError
from api.verification.errors import BundleUnusable
from ledger import mirror
from ledger.errors import LedgerError
from ledger.reader import VKEY_FILE, Reader

UNUSABLE: Final = 2
MAX_VKEY_OCTETS: Final = 65_536


def run(place: Path, directory: Path, *, dsn_file: Path | None = None, schema: str = SCHEMA) -> int:
    """Exit code 0 when the copy is as new as the log's last checkpoint, 2 when nothing was changed."""
    try:
        found = stored(place, dsn_file, schema)
        if found is None:
            raise BundleUnusable("no log here", expected=f"{LOG_FILE} or {DATA_FOLDER}/{LOG_FILE}", found=place.name)
        vkeys = read_file(found.folder / VKEY_FILE, MAX_VKEY_OCTETS).decode("utf-8")
        store = found.reader()
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
