"""Letting old backups die: keys under a new epoch, a copy that is known to restore, and the old epochs destroyed."""

from dataclasses import dataclass
from pathlib import Path

from ledger.privacy.database import SqliteDatabase
from ledger.privacy.keys import VERSIONS, Keys, Progress
from ledger.privacy.vault import Vault


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation came to."""

    epoch: int
    keys_in_backup: int | None
    """How many subject keys of the copy were unwrapped; None where no copy was made here."""
    destroyed: tuple[int, ...]


def back_up(vault: Vault, folder: Path, *, progress: Progress | None = None) -> int:
    """A copy of the wrapped keys is in `folder`, named after the epoch, and every key of it was unwrapped: how many.

    A copy of the same epoch is replaced once the new one was tested. Raises `BackupElsewhere`, OSError, and what
    `Keys.check` raises; then no new copy is under that name.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"keys-epoch-{vault.keys.epoch}.db"
    beside = folder / f"{name}.new"
    for left in folder.glob(f"{name}.new*"):
        left.unlink()
    vault.keys.backup(beside)
    copy = Keys(SqliteDatabase(beside, VERSIONS, create=False), vault.keys.provider(), clock=vault.clock)
    try:
        count = copy.check(progress)
    finally:
        copy.close()
    beside.replace(folder / name)
    return count
