"""c2sp.org/tlog-proof: that an entry is in a log, in one text that verifies offline for ever."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.tlog import checkpoint, hashing, merkle, note, notekeys
from ledger.tlog.errors import ProofMalformed

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_EXTRA_OCTETS: Final = 2**20
MAX_TLOG_PROOF_OCTETS: Final = note.MAX_NOTE_OCTETS + 2 * MAX_EXTRA_OCTETS
MEDIA_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A well-formed proof; nothing of it is authentic yet."""

    index: int
    proof: tuple[bytes, ...]
    checkpoint_note: bytes
    extra: bytes | None = None


@dataclass(frozen=True, slots=True)
class OpenedProof:
    """The leaf stands at `index` of the log, as its signed checkpoint says. `extra` is not authenticated."""

    index: int
    leaf_hash: bytes
    checkpoint: checkpoint.OpenedCheckpoint
    extra: bytes | None = None


def encode(index: int, proof: Sequence[bytes], checkpoint_note: bytes, extra: bytes | None = None) -> bytes:
    """The text of the proof; raises ProofMalformed, and NoteMalformed if the checkpoint is no note."""
    if not 0 <= index <= merkle.MAX_SIZE:
        raise ProofMalformed("index out of range", expected=f"<= {merkle.MAX_SIZE}", found=index)
    if len(proof) > merkle.MAX_PROOF_HASHES:
        raise ProofMalformed("too many hashes", expected=f"<= {merkle.MAX_PROOF_HASHES}", found=len(proof))
    if any(len(item) != hashing.HASH_SIZE for item in proof):
        raise ProofMalformed("not a hash", expected=f"{hashing.HASH_SIZE} octets each")
    if extra is not None and not 1 <= len(extra) <= MAX_EXTRA_OCTETS:
        raise ProofMalformed("extra data of this length", expected=f"1 to {MAX_EXTRA_OCTETS}", found=len(extra))
    note.parse(checkpoint_note)
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {_base64(extra)}")
    lines.append(f"index {index}")
    lines.extend(_base64(item) for item in proof)
    return "\n".join([*lines, "", ""]).encode() + checkpoint_note


def parse(data: bytes) -> TlogProof:
    """The proof that the text encodes, and no other text encodes it; raises ProofMalformed, NoteMalformed."""
    if len(data) > MAX_TLOG_PROOF_OCTETS:
        raise ProofMalformed("too long", expected=f"<= {MAX_TLOG_PROOF_OCTETS} octets", found=len(data))
    head, divider, checkpoint_note = data.partition(b"\n\n")
    if not divider:
        raise ProofMalformed("no empty line before the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofMalformed("not ASCII before the checkpoint", octet=error.start) from None
    if lines[0] != HEADER:
        raise ProofMalformed("not this version of a tlog-proof", expected=HEADER)
    extra = None
    if len(lines) > 1 and lines[1].startswith("extra "):
        extra = notekeys.decode_base64(lines.pop(1).removeprefix("extra "))
        if not extra or len(extra) > MAX_EXTRA_OCTETS:
            raise ProofMalformed("extra data is not base64 or too long", expected=f"1 to {MAX_EXTRA_OCTETS} octets")
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise ProofMalformed("no index line")
    index = checkpoint.parse_size(lines[1].removeprefix("index "))
    if index is None:
        raise ProofMalformed("not an index", expected=f"a decimal <= {merkle.MAX_SIZE}")
    note.parse(checkpoint_note)
    return TlogProof(index, parse_hashes(lines[2:]), checkpoint_note, extra)


def parse_hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    """At most 63 hashes, each the base64 of 32 octets; raises ProofMalformed."""
    if len(lines) > merkle.MAX_PROOF_HASHES:
        raise ProofMalformed("too many hashes", expected=f"<= {merkle.MAX_PROOF_HASHES}", found=len(lines))
    hashes: list[bytes] = []
    for at, line in enumerate(lines):
        octets = notekeys.decode_base64(line)
        if octets is None or len(octets) != hashing.HASH_SIZE:
            raise ProofMalformed("not a hash", expected=f"{hashing.HASH_SIZE} octets in base64", hash=at)
        hashes.append(octets)
    return tuple(hashes)


def open_proof(data: bytes, *, leaf_hash: bytes, origin: str, verifiers: Sequence[note.Verifier]) -> OpenedProof:
    """The proof, once the log's signature is right and the leaf hash leads to the signed root.

    Whether enough witnesses cosigned is the caller's policy, over `checkpoint.cosignatures`. Raises what `parse`,
    `checkpoint.open_checkpoint` and `merkle.verify_inclusion` raise.
    """
    parsed = parse(data)
    opened = checkpoint.open_checkpoint(parsed.checkpoint_note, origin, verifiers)
    head = opened.checkpoint
    merkle.verify_inclusion(parsed.proof, index=parsed.index, size=head.size, leaf_hash=leaf_hash, root=head.root)
    return OpenedProof(parsed.index, leaf_hash, opened, parsed.extra)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
