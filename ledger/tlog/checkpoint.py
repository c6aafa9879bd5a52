"""c2sp.org/tlog-checkpoint: the signed statement of a log about its size and root."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.tlog import hashing, merkle, note, notekeys
from ledger.tlog.errors import CheckpointMalformed, Forked, NoteUnverified, OriginMismatch
from ledger.tlog.notekeys import KeyKind, Signature, Signer, Verifier

MAX_EXTENSIONS: Final = 16

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of log `origin` has `size` leaves and this root. Extension lines are opaque, and best left away."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises CheckpointMalformed."""
        if not self.origin or "\n" in self.origin:
            raise CheckpointMalformed("the origin is not one line")
        if not 0 <= self.size <= merkle.MAX_SIZE:
            raise CheckpointMalformed("size out of range", expected=f"<= {merkle.MAX_SIZE}", found=self.size)
        if len(self.root) != hashing.HASH_SIZE:
            raise CheckpointMalformed("not a hash", expected=hashing.HASH_SIZE, found=len(self.root))
        if len(self.extensions) > MAX_EXTENSIONS:
            raise CheckpointMalformed(
                "too many extensions", expected=f"<= {MAX_EXTENSIONS}", found=len(self.extensions)
            )
        if any(not line or "\n" in line for line in self.extensions):
            raise CheckpointMalformed("an extension is not one line")

    def text(self) -> str:
        """The text of the note: origin, size, root in base64, extensions, a line each."""
        encoded = base64.b64encode(self.root).decode("ascii")
        return "\n".join([self.origin, str(self.size), encoded, *self.extensions, ""])


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that its log signed; `note` says who else did."""

    checkpoint: Checkpoint
    note: note.OpenedNote

    @property
    def cosignatures(self) -> tuple[Signature, ...]:
        """The verified cosignatures, each with the time that its witness stated."""
        return tuple(line for line in self.note.verified if line.cosigned_at_ms is not None)


def parse_size(text: str) -> int | None:
    """The tree size or index that `text` is the only decimal of, or None if it is none up to MAX_SIZE."""
    if not _DECIMAL.fullmatch(text):
        return None
    size = int(text)
    return size if size <= merkle.MAX_SIZE else None


def parse(text: str) -> Checkpoint:
    """The checkpoint that the text of a note encodes, and no other text encodes it; raises CheckpointMalformed."""
    if not text.endswith("\n"):
        raise CheckpointMalformed("the text does not end in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3:
        raise CheckpointMalformed("too few lines", expected=">= 3", found=len(lines))
    origin, decimal, encoded, *extensions = lines
    size = parse_size(decimal)
    if size is None:
        raise CheckpointMalformed("not a tree size", expected=f"a decimal <= {merkle.MAX_SIZE}", line=2)
    root = notekeys.decode_base64(encoded)
    if root is None:
        raise CheckpointMalformed("the root is not base64", line=3)
    return Checkpoint(origin, size, root, tuple(extensions))


def sign(checkpoint: Checkpoint, signers: Sequence[Signer]) -> bytes:
    """The signed note of the checkpoint, a line by each signer; the log's own comes first by custom."""
    return note.sign(checkpoint.text(), signers)


def open_checkpoint(signed: bytes, origin: str, verifiers: Sequence[Verifier]) -> OpenedCheckpoint:
    """The checkpoint of log `origin`, signed by the log itself: by a key of type 0x01 whose name is the origin.

    `verifiers` are the log's keys and those of the cosigners that matter here. A checkpoint that only cosigners
    signed is refused: they vouch for what they saw, not for the log. Raises NoteMalformed, NoteUnverified,
    CheckpointMalformed, OriginMismatch.
    """
    opened = note.open(signed, verifiers)
    found = parse(opened.text)
    if found.origin != origin:
        raise OriginMismatch("checkpoint of another log", expected=origin, found=found.origin)
    own = {(key.name, key.key_id) for key in verifiers if key.kind is KeyKind.ED25519}
    if not any(line.name == origin and (line.name, line.key_id) in own for line in opened.verified):
        raise NoteUnverified("the log itself has not signed its checkpoint", expected=origin)
    return OpenedCheckpoint(found, opened)


def refuse_fork(first: Checkpoint, second: Checkpoint) -> None:
    """Raises Forked when these are two roots for one size of one log.

    Other sizes need a consistency proof; other logs have nothing to agree about (OriginMismatch).
    """
    if first.origin != second.origin:
        raise OriginMismatch("checkpoints of two logs", expected=first.origin, found=second.origin)
    if first.size == second.size and first.root != second.root:
        raise Forked(
            "one log, one size, two roots",
            expected=first.root.hex(),
            found=second.root.hex(),
            size=first.size,
        )
