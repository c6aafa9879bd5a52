"""Every checkpoint that a client sees is kept, and must agree with those that it saw before.

A log that shows one history to us and another to others, or forgets, is found out here, and the two signed notes in the
store are the proof. No I/O but the store's: the caller fetches the consistency proof that `wanted_proof` names.

Each checkpoint that is taken extends the largest one before, or is a prefix of it, so the newest few say all that the
older ones said: no more are kept.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from api.errors import Busy, Refused
from api.verification import evidence_file
from ledger import plain_file
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from ledger.tlog.errors import Forked, NotContradictory, ProofInvalid
from ledger.tlog.note import KeyKind

try:
    import fcntl
except ImportError:  # pragma: no cover -- without file locks a folder is for one process
    fcntl = None  # type: ignore[assignment]

MAX_KEPT: Final = 1_000
MAX_REFUSED: Final = 100
"""Notes that were refused, and as many evidence files: a log that signs one lie after another fills no disk."""

_NAME: Final = re.compile(r"[0-9]{19}-[0-9a-f]{16}\.checkpoint")
_LOCK: Final = ".lock"


class CheckpointsMoved(Busy):
    """Somebody else who keeps checkpoints in the same place saw a larger tree meanwhile; ask again."""

    code = "api/checkpoints-moved"
    title = "Kept checkpoints have moved"


class CheckpointsUnusable(Refused):
    """What is kept cannot be read, or is not of this log. It says nothing against the log; nothing is believed."""

    code = "api/checkpoints-unusable"
    title = "Kept checkpoints cannot be used"


class ProofWanted(NamedTuple):
    """The consistency proof that is needed before a checkpoint may be believed."""

    old_size: int
    new_size: int


_UNASKED: Final = ProofWanted(-1, -1)


class CheckpointStore(Protocol):
    """Where signed checkpoints are kept."""

    def turn(self) -> AbstractContextManager[None]:
        """Nobody else keeps anything here until the block ends."""
        ...

    def latest(self) -> bytes | None:
        """The kept note of the largest tree, None if there is none; raises `CheckpointsUnusable`."""
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

    def turn(self) -> AbstractContextManager[None]:
        """One process alone has it."""
        return nullcontext()

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
        """Keeps the note in `refused`, the first `MAX_REFUSED`."""
        del size, root
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(signed)

    def keep_evidence(self, size: int, root: bytes, evidence: bytes) -> None:
        """Keeps the file in `evidence`, the first `MAX_REFUSED`."""
        del size, root
        if len(self.evidence) < MAX_REFUSED:
            self.evidence.append(evidence)


class FileCheckpoints:
    """Keeps one file a checkpoint in a folder, each written in one step: it is there whole, or not at all.

    Several clients may share the folder, in one process or in several: each sees what the others kept.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else keeps anything in this folder until the block ends."""
        with (self._folder / _LOCK).open("a") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Closing the file gives the lock back.
            yield

    def latest(self) -> bytes | None:
        """The kept note of the largest tree, None if there is none; raises `CheckpointsUnusable`."""
        # The size comes first in the name, with leading zeros, so the largest tree's name sorts last.
        name = max(self._names(), default=None)
        if name is None:
            return None
        try:
            with plain_file.opened(self._folder / name) as file:
                return file.read(note.MAX_NOTE_OCTETS + 1)
        except OSError as error:
            raise CheckpointsUnusable("a kept checkpoint cannot be read", found=error.strerror, file=name) from None

    def keep(self, size: int, root: bytes, signed: bytes) -> None:
        """Writes the file durably; of more than `MAX_KEPT` the smallest trees' files go."""
        self._write(_name(size, root), signed)
        for name in sorted(self._names())[:-MAX_KEPT]:
            (self._folder / name).unlink(missing_ok=True)

    def keep_refused(self, size: int, root: bytes, signed: bytes) -> None:
        """Writes the file durably, under a name that `latest` never takes; the first `MAX_REFUSED`."""
        self._write_few(f"{_name(size, root)}.refused", signed)

    def keep_evidence(self, size: int, root: bytes, evidence: bytes) -> None:
        """Writes the file durably, for `flexledger verify` anywhere; the first `MAX_REFUSED`."""
        self._write_few(f"{_name(size, root)}.evidence.json", evidence)

    def _names(self) -> list[str]:
        return [file.name for file in os.scandir(self._folder) if _NAME.fullmatch(file.name)]

    def _write_few(self, name: str, data: bytes) -> None:
        ending = name[name.index(".checkpoint") :]
        if sum(file.name.endswith(ending) for file in os.scandir(self._folder)) < MAX_REFUSED:
            self._write(name, data)

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
        self._known: tuple[bytes, OpenedCheckpoint] | None = None

    def latest(self) -> OpenedCheckpoint | None:
        """The largest tree seen, by whoever shares the store.

        Raises `CheckpointsUnusable` if the store was damaged or tampered with, or is another log's.
        """
        signed = self._store.latest()
        if signed is None:
            return None
        if self._known is None or self._known[0] != signed:
            try:
                self._known = signed, self._open(signed)
            except LedgerError as error:
                raise CheckpointsUnusable("a kept checkpoint does not open", found=error.code) from error
        return self._known[1]

    def wanted_proof(self, signed: bytes) -> ProofWanted | None:
        """The proof to fetch before `accept`, None if none is needed. Raises for a note that is not the log's."""
        return _wanted(self.latest(), self._open(signed).checkpoint)

    def accept(
        self, signed: bytes, proof: Sequence[bytes] = (), *, wanted: ProofWanted | None = _UNASKED
    ) -> OpenedCheckpoint:
        """The checkpoint, now kept, once it is known to agree with the largest one seen.

        `wanted` is what `wanted_proof` asked for: if that is no longer the question, because somebody else who shares
        the store saw more, CheckpointsMoved is raised and nothing is held against the log.
        Raises Forked for two roots of one size, ProofInvalid when the two trees do not extend one another; the note is
        then kept as evidence, for with the one seen before it convicts the log, and nothing of it is believed.
        """
        opened = self._open(signed)
        found = opened.checkpoint
        with self._store.turn():
            latest = self.latest()
            if wanted is not _UNASKED and wanted != _wanted(latest, found):
                raise CheckpointsMoved("a larger tree was seen meanwhile")
            if latest is not None:
                try:
                    _refuse_other_history(latest.checkpoint, found, proof)
                except (Forked, ProofInvalid) as error:
                    self._store.keep_refused(found.size, found.root, signed)
                    if isinstance(error, Forked):
                        self.convict(signed)
                    raise
            self._keep(opened, signed, latest)
        return opened

    def _keep(self, opened: OpenedCheckpoint, signed: bytes, latest: OpenedCheckpoint | None) -> None:
        """The note is kept; of the largest tree with every cosignature that was ever shown with it."""
        found = opened.checkpoint
        if latest is not None and latest.checkpoint.size == found.size:
            known = {(line.name, line.key_id) for line in latest.note.verified}
            fresh = [line for line in opened.note.verified if (line.name, line.key_id) not in known]
            if not fresh:
                return
            # Lines of strangers are left out, or a log could fill a note with them until ours find no room.
            lines = "".join(line.line() for line in (*latest.note.verified, *fresh))
            signed = f"{opened.note.text}\n{lines}".encode()
        self._store.keep(found.size, found.root, signed)

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


def _wanted(latest: OpenedCheckpoint | None, found: Checkpoint) -> ProofWanted | None:
    if latest is None or 0 in {latest.checkpoint.size, found.size} or latest.checkpoint.size == found.size:
        return None
    return ProofWanted(*sorted((latest.checkpoint.size, found.size)))


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
