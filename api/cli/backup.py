"""`flexledger backup` and `restore-check`: a consistent copy of log and office, and what restoring it would mean.

The certificates and lists that the log is checked by are in it, so that it can be audited alone. Neither keys nor the
signer's memory are: a log that comes back from a backup must find the memory of what was signed since, or it would sign
a second history. The vault is backed up apart, away from its ring.
"""

import hashlib
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.cli.failures import told
from api.cli.files import read_file
from api.cli.words import counted
from api.errors import ApiError, Refused
from api.issuing import database_of
from api.key_files import read_log_keys
from api.settings import Settings, load
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.reader import VKEY_FILE, Reader
from ledger.store.errors import StoreAbsent
from ledger.store.signer_state import SignerState
from ledger.store.sqlite import SqliteReader
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint

FORMAT: Final = "flexledger-backup/1"
MANIFEST: Final = "manifest.json"
LOG: Final = "ledger.db"
OFFICE: Final = "pki.db"
PUBLIC: Final = "pki"
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_VKEY_BYTES: Final = 65_536
CHUNK_BYTES: Final = 1 << 20
DAMAGED: Final = 1
UNUSABLE: Final = 2
BEHIND: Final = 3


class BackupElsewhere(Refused):
    """The log is on a PostgreSQL server, which has better means than this command."""

    code = "api/backup-elsewhere"
    title = "Back it up at the server"


class BackupTaken(Refused):
    """There is something where the backup should go; nothing is written over."""

    code = "api/backup-target-taken"
    title = "Backup's folder is taken"


class BackupDamaged(Refused):
    """The copy is not what was written."""

    code = "api/backup-damaged"
    title = "Backup is damaged"


class Copied(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the backup."""

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    octets: Annotated[int, Meta(ge=0)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the backup holds, and how far its log reaches."""

    format: Annotated[str, Meta(pattern=r"^flexledger-backup/1$(?!\n)")]
    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    made_at_ms: int
    entries: Annotated[int, Meta(ge=0)]
    files: dict[str, Copied]


def make(config: Path, directory: Path) -> int:
    """Exit code 0 when the backup is there, whole and durable; 2 when nothing is. The service may run."""
    try:
        settings = load(config, os.environ)
        found = _made(settings, directory)
    except (ApiError, LedgerError, OSError, sqlite3.Error) as error:
        print(f"nothing was backed up: {told(error)}", file=sys.stderr)
        return UNUSABLE
    size = counted(found.entries, "entry", "entries")
    parts = sorted({name.partition("/")[0] for name in found.files})
    print(f"{found.origin}: {size} in {directory}, with {', '.join(parts)}")
    print(f"  not in it: keys, the signer's memory, the vault; next: flexledger restore-check {config} {directory}")
    return 0


def check(config: Path, directory: Path) -> int:
    """Exit code 0 for a backup that can be restored, 1 for a damaged one, 2 if nothing can be said.

    3 for a whole one that is behind what the log's key has signed since: restored, it is read and not written.
    """
    try:
        settings = load(config, os.environ)
        manifest = _manifest(directory)
        head = _whole(settings, directory, manifest)
        keys = [one.verifier for one in read_log_keys(settings.log_key).signers]
        signed = SignerState(settings.log_key.with_suffix(".state")).last(settings.origin, keys)
    except BackupDamaged as error:
        print(f"do not restore it: {told(error)}", file=sys.stderr)
        return DAMAGED
    except (ApiError, LedgerError, OSError, sqlite3.Error) as error:
        print(f"nothing can be said: {told(error)}", file=sys.stderr)
        return UNUSABLE
    print(f"{manifest.origin}: whole, {counted(manifest.entries, 'entry', 'entries')}, signed up to {head.size}")
    if signed is not None and signed.size > manifest.entries:
        lost = counted(signed.size - manifest.entries, "entry", "entries")
        print(f"  the log's key has signed {lost} more since: restored, this log is read and nothing is written")
        print("  (ledger/rolled-back); find the newer copy, a mirror or a standby, or begin a successor")
        return BEHIND
    return 0


def _made(settings: Settings, directory: Path) -> Manifest:
    if settings.store.dsn_file is not None:
        raise BackupElsewhere("the log is on a server", expected="pg_basebackup, or what your server offers")
    if directory.exists():
        raise BackupTaken("it is there already", expected="a new folder", found=directory.name)
    beside = directory.with_name(directory.name + ".part")
    os.umask(0o077)
    beside.mkdir(parents=True)
    try:
        # The log first: of what was issued in between the office then knows more than the log, and tells it when it
        # starts; the other way round there would be intents of which nobody knows the end.
        if not (settings.data_dir / LOG).is_file():
            raise StoreAbsent("no log in this place", found=LOG)
        _copy(settings.data_dir / LOG, beside / LOG)
        office = database_of(settings)
        if settings.issuing is not None and office.is_file():
            _copy(office, beside / OFFICE)
        shutil.copyfile(settings.data_dir / VKEY_FILE, beside / VKEY_FILE)
        _public(settings, beside / PUBLIC)
        reader = SqliteReader.open(beside / LOG)
        try:
            head = reader.head()
        finally:
            reader.close()
        files = {name: _copied(beside / name) for name in _names(beside)}
        manifest = Manifest(
            format=FORMAT,
            origin=head.origin,
            made_at_ms=SystemClock().now_ms(),
            entries=head.size,
            files=files,
        )
        (beside / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        for path in beside.rglob("*"):
            _sync(path)
        _sync(beside)
        # From here on the backup is there under its name; before, there is none.
        beside.rename(directory)
        _sync(directory.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return manifest


def _copy(source: Path, target: Path) -> None:
    """All of a database as it is at one moment; its writer goes on meanwhile."""
    place = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(place, uri=True)) as db, closing(sqlite3.connect(target)) as copy:
        # In one step: in several, each write of the service would begin it anew.
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _public(settings: Settings, target: Path) -> None:
    """Roots, issuing authorities and revocation lists, where an audit looks for them; no file with a key."""
    target.mkdir()
    shutil.copyfile(settings.pki.anchors, target / "root.pem")
    for folder, name in ((settings.pki.issuers_dir, "issuers"), (settings.pki.crl_dir, "crl")):
        for path in sorted(folder.rglob("*.pem")):
            if not path.name.endswith(".key.pem"):
                copy = target / name / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def _names(folder: Path) -> list[str]:
    """Every file in it, but what says which those are."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != MANIFEST)


def _copied(path: Path) -> Copied:
    digest, octets = hashlib.sha256(), 0
    with plain_file.opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            octets += len(chunk)
    return Copied(sha256=digest.hexdigest(), octets=octets)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _manifest(directory: Path) -> Manifest:
    data = read_file(directory / MANIFEST, MAX_MANIFEST_BYTES)
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BackupDamaged("the manifest cannot be read", expected=FORMAT, file=MANIFEST) from None


def _whole(settings: Settings, directory: Path, manifest: Manifest) -> Checkpoint:
    """The last checkpoint of the copy, once every file is what was written and the tree is the one that was signed."""
    if manifest.origin != settings.origin:
        raise BackupDamaged("a backup of another log", expected=settings.origin, found=manifest.origin)
    present = set(_names(directory))
    if present != set(manifest.files) or not {LOG, VKEY_FILE} <= present:
        raise BackupDamaged("other files", expected=", ".join(sorted(manifest.files)), found=", ".join(sorted(present)))
    for name, wanted in manifest.files.items():
        # A sparse file of terabytes is seen to differ before it is read.
        if (directory / name).stat().st_size != wanted.octets or _copied(directory / name) != wanted:
            raise BackupDamaged("the file has changed", expected=wanted.sha256, file=name)
    vkeys = read_file(directory / VKEY_FILE, MAX_VKEY_BYTES).decode("ascii", "replace").split()
    reader = SqliteReader.open(directory / LOG)
    try:
        stored = reader.checkpoint()
        if stored is None:
            raise BackupDamaged("no checkpoint was signed yet")
        head = checkpoint.open_checkpoint(
            stored.note, manifest.origin, [note.parse_vkey(vkey) for vkey in vkeys]
        ).checkpoint
        if reader.head().size != manifest.entries or head.size > manifest.entries:
            raise BackupDamaged("another number of entries", expected=manifest.entries, found=reader.head().size)
        if Reader(reader).root(head.size) != head.root:
            raise BackupDamaged("the tree is not the one that was signed", size=head.size)
    finally:
        reader.close()
    return head
