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

from api.verification import evidence_file
from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from ledger.tlog.errors import Forked, NotContradictory, ProofInvalid
from ledger.tlog.note import KeyKind

MAX_KEPT: Final = 10_000

_NAME: Final = re.compile(r"[0-9]{19}-[0-9a-f]{16}\.checkpoint")


class ProofWanted(NamedTuple):
    """The consistency proof that is needed before a checkpoint may be believed."""

    old_size: int
    new_size: int


class CheckpointStore(Protocol):
    """Where signed checkpoints are kept."""

    def latest(self) -> bytes | None:
        """The kept note of the largest tree, None if there is none."""
        ...

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """From here on the note is kept; keeping it twice is keeping it once."""
        ...

    def keep_refused(self, size: int, root: bytes, signed: bytes) -> None:
        """From here on the note is kept as evidence against the log; it is never the latest."""
        ...

    def keep_evidence(self, size: int, root: bytes, evidence: bytes) -> None:
        """From here on the evidence file about the note of this size and root is kept."""
        ...


class MemoryCheckpoints:
    """Keeps the last `MAX_KEPT` of them, as long as the process lives."""

    def __init__(self) -> None:
        self._notes: dict[tuple[int, bytes], bytes] = {}
        self._latest: tuple[int, bytes] | None = None
        self.refused: list[bytes] = []
        self.evidence: list[bytes] = []

    def latest(self) -> bytes | None:
        """The kept note of the largest tree, None if there is none."""
        return None if self._latest is None else self._notes[self._latest]

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """Keeps the note, or its newer cosignatures."""
        if self._latest is None or self._latest[0] < size:
            self._latest = (size, root)
        self._notes[size, root] = signed
        if len(self._notes) > MAX_KEPT:
            del self._notes[next(key for key in self._notes if key != self._latest)]

    def keep_refused(self, size: int, root: bytes, signed: bytes) -> None:
        """Keeps the note in `refused`."""
        del size, root
        self.refused.append(signed)

    def keep_evidence(self, size: int, root: bytes, evidence: bytes) -> None:
        """Keeps the file in `evidence`."""
        del size, root
        self.evidence.append(evidence)


class FileCheckpoints:
    """Keeps one file a checkpoint in a folder, each written in one step: it is there whole, or not at all."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._latest = max((file.name for file in self._folder.iterdir() if _NAME.fullmatch(file.name)), default=None)

    def latest(self) -> bytes | None:
        """The kept note of the largest tree, None if there is none."""
        return None if self._latest is None else (self._folder / self._latest).read_bytes()

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """Writes the file durably."""
        name = _name(size, root)
        self._write(name, signed)
        # The size comes first in the name, with leading zeros, so the largest tree's name sorts last.
        self._latest = name if self._latest is None else max(self._latest, name)

    def keep_refused(self, size: int, root: bytes, signed: bytes) -> None:
        """Writes the file durably, under a name that `latest` never takes."""
        self._write(f"{_name(size, root)}.refused", signed)

    def keep_evidence(self, size: int, root: bytes, evidence: bytes) -> None:
        """Writes the file durably, for `flexledger verify` anywhere."""
        self._write(f"{_name(size, root)}.evidence.json", evidence)

    def _write(self, name: str, signed: bytes) -> None:
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
        self._known: OpenedCheckpoint | None = None

    def latest(self) -> OpenedCheckpoint | None:
        """The largest tree seen; raises what `checkpoint.open_checkpoint` raises if the store was tampered with."""
        if self._known is None:
            signed = self._store.latest()
            self._known = None if signed is None else self._open(signed)
        return self._known

    def wanted_proof(self, signed: bytes) -> ProofWanted | None:
        """The proof to fetch before `accept`, None if none is needed. Raises for a note that is not the log's."""
        found = self._open(signed).checkpoint
        latest = self.latest()
        if latest is None or 0 in {latest.checkpoint.size, found.size} or latest.checkpoint.size == found.size:
            return None
        return ProofWanted(*sorted((latest.checkpoint.size, found.size)))

    def accept(self, signed: bytes, proof: Sequence[bytes] = ()) -> OpenedCheckpoint:
        """The checkpoint, now kept, once it is known to agree with the largest one seen.

        Raises Forked for two roots of one size, ProofInvalid when the two trees do not extend one another; the note is
        then kept as evidence, for with the one seen before it convicts the log, and nothing of it is believed.
        """
        opened = self._open(signed)
        found = opened.checkpoint
        latest = self.latest()
        if latest is not None:
            try:
                _refuse_other_history(latest.checkpoint, found, proof)
            except (Forked, ProofInvalid) as error:
                self._store.keep_refused(found.size, found.root, signed)
                if isinstance(error, Forked):
                    self.convict(signed)
                raise
        self._store.keep(found.size, found.root, signed)
        if latest is None or latest.checkpoint.size <= found.size:
            self._known = opened
        return opened

    def larger(self, signed: bytes) -> Checkpoint:
        """The larger of the note's tree and the largest one seen; raises for a note that is not the log's."""
        latest, found = self.latest(), self._open(signed).checkpoint
        return found if latest is None or latest.checkpoint.size <= found.size else latest.checkpoint

    def convict(self, signed: bytes, prefix_root: bytes | None = None, proof: Sequence[bytes] = ()) -> bytes:
        """The evidence file that the note and the largest one seen cannot both be true, now kept.

        Where the sizes differ it needs the root and proof of the larger tree's prefix. Raises NotContradictory,
        ProofInvalid if it is evidence of nothing.
        """
        known, found = self._store.latest(), self._open(signed).checkpoint
        if known is None:
            raise NotContradictory("nothing was seen before", size=found.size)
        keys = [key.vkey for key in self.verifiers if key.name == self.origin and key.kind is KeyKind.ED25519]
        evidence = evidence_file.encode(
            known, signed, origin=self.origin, vkeys=keys, prefix_root=prefix_root, proof=proof
        )
        self._store.keep_evidence(found.size, found.root, evidence)
        return evidence

    def _open(self, signed: bytes) -> OpenedCheckpoint:
        return checkpoint.open_checkpoint(signed, self.origin, self.verifiers)


def _refuse_other_history(known: Checkpoint, found: Checkpoint, proof: Sequence[bytes]) -> None:
    checkpoint.refuse_fork(known, found)
    if known.size in {0, found.size}:
        return
    if found.size == 0:
        raise ProofInvalid("the log shows an empty tree after a larger one", expected=f">= {known.size}", found=0)
    old, new = sorted((known, found), key=lambda head: head.size)
    merkle.verify_consistency(proof, old_size=old.size, new_size=new.size, old_root=old.root, new_root=new.root)


def _name(size: int, root: bytes) -> str:
    return f"{size:019d}-{root.hex()[:16]}.checkpoint"
