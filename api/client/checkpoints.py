"""Every checkpoint that a client sees is kept, and must agree with those that it saw before.

A log that shows one history to us and another to others, or forgets, is found out here, and the two signed notes in the
store are the proof. No I/O but the store's: the caller fetches the consistency proof that `wanted_proof` names.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import OpenedCheckpoint
from ledger.tlog.errors import ProofInvalid

_NAME: Final = re.compile(r"([0-9]{16,19})-[0-9a-f]{16}\.checkpoint")


class ProofWanted(NamedTuple):
    """The consistency proof that is needed before a checkpoint may be believed."""

    old_size: int
    new_size: int


class CheckpointStore(Protocol):
    """Where signed checkpoints are kept."""

    def latest(self) -> bytes | None:
        """The signed note of the largest tree, None if there is none."""
        ...

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """From here on the note is kept durably; keeping it twice is keeping it once."""
        ...


class MemoryCheckpoints:
    """Keeps them as long as the process lives."""

    def __init__(self) -> None:
        self._notes: dict[tuple[int, bytes], bytes] = {}

    def latest(self) -> bytes | None:
        """The signed note of the largest tree, None if there is none."""
        return self._notes[max(self._notes)] if self._notes else None

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """Keeps the note, or its newer cosignatures."""
        self._notes[size, root] = signed


class FileCheckpoints:
    """Keeps one file a checkpoint in a folder; the largest tree's name sorts last."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def latest(self) -> bytes | None:
        """The signed note of the largest tree, None if there is none."""
        files = [file for file in self._folder.iterdir() if _NAME.fullmatch(file.name)]
        return max(files).read_bytes() if files else None

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """Writes the file in one step: it is there whole, or not at all."""
        name = f"{size:019d}-{root.hex()[:16]}.checkpoint"
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(signed)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


class Checkpoints:
    """What one client has seen of the log `origin`, whose keys and witnesses are `verifiers`."""

    def __init__(self, origin: str, verifiers: Sequence[note.Verifier], store: CheckpointStore) -> None:
        self.origin = origin
        self.verifiers = tuple(verifiers)
        self._store = store

    def latest(self) -> OpenedCheckpoint | None:
        """The largest tree seen; raises what `checkpoint.open_checkpoint` raises if the store was tampered with."""
        signed = self._store.latest()
        return None if signed is None else self._open(signed)

    def wanted_proof(self, signed: bytes) -> ProofWanted | None:
        """The proof to fetch before `accept`, None if none is needed. Raises for a note that is not the log's."""
        found = self._open(signed).checkpoint
        known = self.latest()
        if known is None or 0 in {known.checkpoint.size, found.size} or known.checkpoint.size == found.size:
            return None
        return ProofWanted(*sorted((known.checkpoint.size, found.size)))

    def accept(self, signed: bytes, proof: Sequence[bytes] = ()) -> OpenedCheckpoint:
        """The checkpoint, now kept, once it is known to agree with the largest one seen.

        Raises Forked for two roots of one size, ProofInvalid when the two trees do not extend one another. The note is
        kept in either case: with the one kept before, it convicts the log.
        """
        opened = self._open(signed)
        found = opened.checkpoint
        latest = self.latest()
        self._store.keep(found.size, found.root, signed)
        if latest is None:
            return opened
        known = latest.checkpoint
        checkpoint.refuse_fork(known, found)
        if known.size == found.size or known.size == 0:
            return opened
        if found.size == 0:
            raise ProofInvalid("the log shows an empty tree after a larger one", expected=f">= {known.size}", found=0)
        old, new = sorted((known, found), key=lambda head: head.size)
        merkle.verify_consistency(proof, old_size=old.size, new_size=new.size, old_root=old.root, new_root=new.root)
        return opened

    def _open(self, signed: bytes) -> OpenedCheckpoint:
        return checkpoint.open_checkpoint(signed, self.origin, self.verifiers)
