"""The signer's own memory: the last checkpoint that its key signed, in a file outside the database.

Who restores the database from a backup does not restore this file, so a log that went back is noticed before its key
signs a second history. The file is the signed note itself, so a forged one is noticed too.
"""

import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger import plain_file
from ledger.store.errors import SignerRaced, SignerStateAbsent, StoreFull, StoreIo
from ledger.store.lock import WriterLock
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import CheckpointMalformed, NoteMalformed, NoteUnverified, OriginMismatch

MAX_STATE_BYTES: Final = note.MAX_NOTE_OCTETS


class SignerState:
    """One file; moved by compare-and-swap, durable when `swap` returns."""

    def __init__(self, path: Path) -> None:
        """Touches nothing yet."""
        self._path = path

    def read(self) -> bytes | None:
        """The last signed note, or None if none was ever kept; raises SignerStateAbsent if it cannot be read."""
        try:
            with plain_file.opened(self._path) as file:
                return file.read(MAX_STATE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SignerStateAbsent("the signer's state cannot be read", found=type(error).__name__) from error

    def last(self, origin: str, verifiers: Sequence[note.Verifier]) -> Checkpoint | None:
        """The last checkpoint that a key of ours signed, or None; raises SignerStateAbsent for anything else."""
        signed = self.read()
        if signed is None:
            return None
        try:
            return checkpoint.open_checkpoint(signed, origin, verifiers).checkpoint
        except (NoteMalformed, NoteUnverified, CheckpointMalformed, OriginMismatch) as error:
            raise SignerStateAbsent("the signer's state is not a checkpoint of ours", found=error.code) from error

    def swap(self, expected: bytes | None, signed: bytes) -> None:
        """The file holds `signed` for good, if it held `expected`; raises SignerRaced if not, changing nothing.

        Raises StoreFull or StoreIo where it cannot be written: the file then holds the one or the other.
        """
        lock = WriterLock(self._path.with_name(self._path.name + ".lock"))
        try:
            if self.read() != expected:
                raise SignerRaced("the signer's state was moved by somebody else")
            self._replace(signed)
        finally:
            lock.release()

    def _replace(self, signed: bytes) -> None:
        try:
            self._write(signed)
        except OSError as error:
            # What was signed is shown to nobody then, so it does not matter which of the two the file holds.
            found = errno.errorcode.get(error.errno or 0, "unknown")
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull("no room for the signer's state", found=found) from error
            raise StoreIo("the signer's state cannot be written", found=found) from error

    def _write(self, signed: bytes) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(signed)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        # The new name is durable only when the directory is.
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
