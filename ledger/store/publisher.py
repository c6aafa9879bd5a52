"""The publisher: the only user of the log's key, who signs no tree that does not contain the last one it signed."""

import asyncio
from typing import Final

from ledger.clock import Clock
from ledger.errors import Broken
from ledger.store.errors import (
    CheckpointAbsent,
    HistoryDiffers,
    RolledBack,
    SignerRaced,
    SignerStateAbsent,
    StoreLocked,
)
from ledger.store.log_keys import LogKeys
from ledger.store.nodes import Nodes
from ledger.store.protocol import Store, StoredCheckpoint
from ledger.store.signer_state import SignerState
from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import ProofInvalid, SizeOutOfRange

NO_ENTRIES: Final = 0
TURNS: Final = 20
TURN_S: Final = 0.02
"""How often, and after which pause, it is tried again while another replica signs."""


class Publisher:
    """Signs checkpoints of the committed head of one log."""

    def __init__(self, store: Store, *, origin: str, keys: LogKeys, state: SignerState, clock: Clock) -> None:
        """Touches nothing yet; one of `keys` has signed what the state's file holds."""
        self._store = store
        self._origin = origin
        self._keys = keys
        self._state = state
        self._clock = clock
        self._nodes = Nodes(store)
        self._stopped: Broken | None = None
        self._halted: Broken | None = None

    @property
    def stopped(self) -> Broken | None:
        """Why the last attempt to sign was not allowed to; None while all is well."""
        return self._stopped

    def stop(self, reason: Broken) -> None:
        """Nothing more is signed: somebody outside, such as a witness, knows of a history that this log lost."""
        self._halted = reason
        self._stopped = reason

    def signed_size(self) -> int:
        """The size of the last tree that the log's key signed, as the signer remembers it; 0 before the first."""
        last = self._state.last(self._origin, self._keys.verifiers)
        return 0 if last is None else last.size

    def latest(self) -> bytes:
        """The last published note, with the witnesses' lines if there are any; raises CheckpointAbsent."""
        stored = self._store.checkpoint()
        if stored is None:
            raise CheckpointAbsent("nothing was published yet")
        return stored.best

    async def publish(self) -> bytes:
        """A signed note of the committed head, by every key in force, kept and safe to show.

        Raises RolledBack or HistoryDiffers, signing nothing, if the last signed checkpoint is not a prefix of this
        log; LogKeyMissing if the key in force is not at hand; SignerStateAbsent if the signer's memory is gone although
        it signed before; SignerRaced; StandbyMissing or StoreUnreachable if the synchronous standby did not confirm
        what would be signed; and the reason for which `stop` was called.
        """
        try:
            if self._halted is not None:
                raise self._halted
            signed = await self._in_turn()
        except Broken as error:
            self._stopped = error
            raise
        self._stopped = None
        return signed

    async def _in_turn(self) -> bytes:
        """Replicas that share the signer's memory sign one after the other."""
        for _ in range(TURNS):
            try:
                return await self._publish()
            except (SignerRaced, StoreLocked):
                await asyncio.sleep(TURN_S)
        return await self._publish()

    async def _publish(self) -> bytes:
        # The signer's memory first: another replica may sign what came after a head that was read before.
        before = self._state.read()
        last = self._state.last(self._origin, self._keys.verifiers)
        stored = self._store.checkpoint()
        # Who signs is asked together with the head: a new key signs no tree that does not announce it.
        signers = self._keys.signers()
        head = self._store.head()
        if last is None and stored is not None:
            raise SignerStateAbsent("checkpoints were signed, but the signer remembers none", found=stored.size)
        now = Checkpoint(self._origin, head.size, head.frontier.root())
        if last is not None:
            self._refuse_fork(last, now)
            if last.size == now.size and stored is not None and stored.size == now.size:
                return stored.best
        # No one may hold our signature under a tree that a failover would not find.
        await self._store.settle()
        signed = checkpoint.sign(now, signers)
        # The signer remembers before anyone can see the note: a crash in between costs nothing, for Ed25519 signs
        # the same text to the same bytes.
        if signed != before:
            self._state.swap(before, signed)
        self._store.put_checkpoint(StoredCheckpoint(now.size, signed, self._clock.now_ms()))
        return signed

    def sign_root(self, head: Checkpoint, octets: bytes) -> bytes:
        """The log key's signature over `octets`, which say in another format what the published checkpoint says.

        Nothing is signed for a root that was not published. Raises CheckpointAbsent.
        """
        stored = self._store.checkpoint(head.size)
        if stored is None or note.parse_text(stored.note) != head.text():
            raise CheckpointAbsent("no such checkpoint was published", size=head.size)
        return self._keys.signers()[0].sign_octets(octets)

    @property
    def root_key(self) -> note.Verifier:
        """The key by which `sign_root` signs: the older one while two overlap, which everybody knows."""
        return self._keys.signers()[0].verifier

    def add_cosignatures(self, size: int, cosigned: bytes) -> None:
        """Keeps the note with witnesses' lines; the caller has verified them. Raises CheckpointAbsent."""
        stored = self._store.checkpoint(size)
        if stored is None or note.parse(stored.note).text != note.parse(cosigned).text:
            raise CheckpointAbsent("no checkpoint of ours has this text", size=size)
        self._store.put_checkpoint(StoredCheckpoint(size, stored.note, stored.at_ms, cosigned))

    def _refuse_fork(self, last: Checkpoint, now: Checkpoint) -> None:
        if last.size > now.size:
            raise RolledBack(
                "the log is shorter than what was signed", expected=f"at least {last.size}", found=now.size
            )
        if last.size == NO_ENTRIES:
            return
        try:
            merkle.verify_consistency(
                merkle.consistency_proof(last.size, now.size, self._nodes.read),
                old_size=last.size,
                new_size=now.size,
                old_root=last.root,
                new_root=now.root,
            )
        except (ProofInvalid, SizeOutOfRange) as error:
            raise HistoryDiffers(
                "the log does not contain the tree that was signed last", size=last.size, found=error.detail
            ) from error
