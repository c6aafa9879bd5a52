"""`flexledger mirror`: a log as static files, brought up to date while the service runs, and served to anybody."""

import sys
from pathlib import Path
from typing import Final

from api.cli import failures, ready
from api.cli.files import read_file
from api.cli.stored import DATA_FOLDER, LOG_FILE, SCHEMA, stored
from api.cli.words import counted
from api.errors import ApiError
from api.verification.errors import BundleUnusable
from ledger import mirror
from ledger.errors import LedgerError
from ledger.reader import CHECKPOINT_FILE, VKEY_FILE, Reader
from ledger.tlog import note

UNUSABLE: Final = 2
MAX_PORT: Final = 65_535
MAX_VKEY_OCTETS: Final = 65_536


def update(place: Path, directory: Path, *, dsn_file: Path | None = None, schema: str = SCHEMA) -> int:
    """Exit code 0 when the copy is as new as the log's last checkpoint, 2 when nothing was changed."""
    try:
        found = stored(place, dsn_file, schema)
        if found is None:
            expected = f"{LOG_FILE}, {DATA_FOLDER}/{LOG_FILE} or a settings file"
            raise BundleUnusable("no log here", expected=expected, found=place.name)
        vkeys = read_file(found.folder / VKEY_FILE, MAX_VKEY_OCTETS).decode("utf-8")
        store = found.reader()
        try:
            # Everything is read at one moment, however long the files take.
            with store.snapshot():
                done = mirror.update(Reader(store), directory, origin=store.head().origin, vkeys=vkeys)
        finally:
            store.close()
    except (ApiError, LedgerError, OSError, UnicodeDecodeError) as error:
        failures.say("nothing was mirrored", error)
        return UNUSABLE
    entries, files = counted(done.size, "entry", "entries"), counted(done.written, "file", "files")
    print(f"{entries}, {done.before} before; {files} written")
    return 0


def serve(
    directory: Path, *, listen: str, certificate: Path | None, key: Path | None, ready_file: Path | None = None
) -> int:
    """Exit code 0 after a signal, 2 if the copy cannot be served."""
    from api import telemetry
    from api.web import server
    from api.web.static_log import static_app

    try:
        host, port = _address(listen)
        if (certificate is None) != (key is None):
            raise BundleUnusable("a certificate without its key, or the other way round", expected="both, or none")
        # Whatever is wrong with the folder is said now, not to the first who asks.
        read_file(directory / CHECKPOINT_FILE, note.MAX_NOTE_OCTETS)
        telemetry.configure()
        server.run(
            server.serve_plain(
                static_app(directory),
                host=host,
                port=port,
                certificate=certificate,
                key=key,
                on_started=lambda host, port: ready.tell({"host": host, "port": port}, ready_file),
            )
        )
    except (ApiError, LedgerError, OSError) as error:
        print(f"cannot start: {failures.told(error)}", file=sys.stderr)
        return UNUSABLE
    return 0


def _address(listen: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`; raises `BundleUnusable`."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not (port.isascii() and port.isdecimal() and len(port) <= len(str(MAX_PORT))):
        raise BundleUnusable("not an address to listen at", expected="host:port", found=listen)
    if int(port) > MAX_PORT or (":" in host and not listen.startswith("[")):
        raise BundleUnusable("not an address to listen at", expected="host:port, [::1]:port", found=listen)
    return host, int(port)
