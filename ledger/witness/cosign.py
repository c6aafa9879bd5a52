"""The pure core of a c2sp.org/tlog-witness: it cosigns a checkpoint only if it extends all that it cosigned before.

HTTP and storage come from outside. A witness remembers one tree head a log; the store's compare-and-set is what
keeps two requests at once from rolling it back.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ledger.errors import Refused
from ledger.tlog import checkpoint, hashing, merkle, note, proof
from ledger.tlog.errors import (
    CheckpointMalformed,
    KeyAmbiguous,
    NoteMalformed,
    NoteUnverified,
    ProofInvalid,
    ProofMalformed,
)

MAX_REQUEST_OCTETS: Final = 64 * 1024
"""The 63 hashes need 3 KiB, a post-quantum signature line 5 KiB."""

OK: Final = 200
BAD_REQUEST: Final = 400
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
UNPROCESSABLE: Final = 422

_OLD: Final = "old "


@dataclass(frozen=True, slots=True)
class Head:
    """The latest checkpoint cosigned for a log: size, root, and the log's own signed note as evidence."""

    size: int
    root: bytes
    signed: bytes


class StateStore(Protocol):
    """Where a witness remembers; it must be durable, and must never be restored from an older copy."""

    def latest(self, origin: str) -> Head | None:
        """The head stored last for the log, None if there never was one."""
        ...

    def compare_and_set(self, origin: str, expected: Head | None, new: Head) -> bool:
        """In one atomic step: `new` is stored durably if `expected` is still there; False if it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Fork:
    """Two notes, both signed by one log, with two roots for one size: they convict it before anyone."""

    origin: str
    cosigned: bytes
    refused: bytes


class Answer(NamedTuple):
    """The HTTP status and body of an answer."""

    status: int
    body: bytes

    @property
    def content_type(self) -> str:
        """`text/x.tlog.size` for a conflict, whose body is a tree size."""
        return "text/x.tlog.size" if self.status == CONFLICT else "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A well-formed add-checkpoint request; nothing of it is authentic yet."""

    old_size: int
    proof: tuple[bytes, ...]
    signed: bytes
    claimed: checkpoint.Checkpoint


class RequestMalformed(Refused):
    """The bytes are not the body of an add-checkpoint request."""

    code = "ledger/witness-request-malformed"
    title = "Malformed add-checkpoint request"


class Witness:
    """Cosigns checkpoints of the logs that it knows."""

    def __init__(
        self,
        signers: Sequence[note.Signer],
        logs: Mapping[str, Sequence[note.Verifier]],
        store: StateStore,
        *,
        on_fork: Callable[[Fork], None] | None = None,
    ) -> None:
        """`logs` gives the trusted keys of each origin; `on_fork` is told of every proven fork, before the answer."""
        self._signers = signers
        self._logs = logs
        self._store = store
        self._on_fork = on_fork

    def add_checkpoint(self, request: bytes) -> Answer:
        """The answer to the body of an add-checkpoint request; 200 carries the cosignature lines.

        400 malformed or old size too large, 403 not signed by a trusted key, 404 unknown log, 409 with the latest
        size when `old` is not that, 422 when the checkpoint does not extend the latest one. Status 200 is given
        only after the store has the new head. Raises only what the store or the signer raises.
        """
        try:
            asked = parse_request(request)
        except RequestMalformed as error:
            return _refusal(BAD_REQUEST, error.message())
        verifiers = self._logs.get(asked.claimed.origin)
        if verifiers is None:
            return _refusal(NOT_FOUND, "unknown log")
        try:
            opened = checkpoint.open_checkpoint(asked.signed, asked.claimed.origin, verifiers).checkpoint
        except (NoteMalformed, NoteUnverified, KeyAmbiguous) as error:
            # A signature line that cannot be read is one that does not verify.
            return _refusal(FORBIDDEN, f"invalid signature: {error.detail}")
        if asked.old_size > opened.size:
            return _refusal(BAD_REQUEST, "old size larger than the checkpoint's")
        latest = self._store.latest(opened.origin)
        if asked.old_size != (latest.size if latest else 0):
            return _conflict(latest)
        try:
            _refuse_inconsistent(asked, opened, latest)
        except ProofInvalid as error:
            self._tell_fork(opened, latest, asked.signed)
            return _refusal(UNPROCESSABLE, f"invalid consistency proof: {error.detail}")
        # Sign first, store second, answer third: a cosignature that the store does not know of never leaves.
        lines = "".join(signer.sign(opened.text()) for signer in self._signers)
        if not self._store.compare_and_set(opened.origin, latest, Head(opened.size, opened.root, asked.signed)):
            return _conflict(self._store.latest(opened.origin))
        return Answer(OK, lines.encode())

    def _tell_fork(self, opened: checkpoint.Checkpoint, latest: Head | None, signed: bytes) -> None:
        """A failed proof alone convicts nobody, as anyone can send one; two roots for one size do."""
        if self._on_fork and latest and latest.size == opened.size and latest.root != opened.root:
            self._on_fork(Fork(opened.origin, latest.signed, signed))


def encode_request(old_size: int, consistency: Sequence[bytes], signed: bytes) -> bytes:
    """The body with which a log asks for a cosignature; raises RequestMalformed for what no witness would read."""
    hashes = (base64.b64encode(item).decode("ascii") for item in consistency)
    request = "\n".join([f"{_OLD}{old_size}", *hashes, "", ""]).encode() + signed
    parse_request(request)
    return request


def parse_request(request: bytes) -> AddCheckpoint:
    """The request, of at most MAX_REQUEST_OCTETS; raises RequestMalformed."""
    if len(request) > MAX_REQUEST_OCTETS:
        raise RequestMalformed("too long", expected=f"<= {MAX_REQUEST_OCTETS} octets", found=len(request))
    head, divider, signed = request.partition(b"\n\n")
    if not divider:
        raise RequestMalformed("no empty line before the checkpoint")
    try:
        old, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise RequestMalformed("not ASCII before the checkpoint") from None
    old_size = checkpoint.parse_size(old.removeprefix(_OLD)) if old.startswith(_OLD) else None
    if old_size is None:
        raise RequestMalformed("no line with the old size", expected=f"{_OLD}and a decimal")
    try:
        claimed = checkpoint.parse(note.parse_text(signed))
        return AddCheckpoint(old_size, proof.parse_hashes(hashes), signed, claimed)
    except (ProofMalformed, NoteMalformed, CheckpointMalformed) as error:
        raise RequestMalformed(error.detail, expected=error.expected, found=error.found) from None


def _refuse_inconsistent(asked: AddCheckpoint, opened: checkpoint.Checkpoint, latest: Head | None) -> None:
    """Raises ProofInvalid unless the checkpoint extends the latest one, which has the old size."""
    if opened.size == 0 and opened.root != hashing.EMPTY_ROOT:
        raise ProofInvalid("not the root of the empty tree", expected=hashing.EMPTY_ROOT.hex())
    if latest is None or latest.size == 0:
        # The empty tree is a prefix of every tree, so there is nothing to prove.
        if asked.proof:
            raise ProofInvalid("a proof from the empty tree", expected=0, found=len(asked.proof))
        return
    merkle.verify_consistency(
        asked.proof,
        old_size=latest.size,
        new_size=opened.size,
        old_root=latest.root,
        new_root=opened.root,
    )


def _refusal(status: int, reason: str) -> Answer:
    return Answer(status, f"{reason}\n".encode())


def _conflict(latest: Head | None) -> Answer:
    return Answer(CONFLICT, f"{latest.size if latest else 0}\n".encode())
