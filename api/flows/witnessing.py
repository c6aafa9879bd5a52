"""Our checkpoints and those who cosign them: asked after every signature, and what is shown is what enough cosigned."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from api import telemetry
from ledger.errors import Broken, LedgerError
from ledger.reader import Reader
from ledger.store.log_keys import LogKeys
from ledger.store.publisher import Publisher
from ledger.tlog import checkpoint, note
from ledger.tlog.errors import QuorumMissing
from ledger.tlog.policy import Policy
from ledger.witness.gather import Gatherer, Post, WitnessAhead, WitnessDiffers

WAIT_S: Final = 3.0
"""How long a caller who wants a receipt waits for witnesses, before the log's own signature has to do."""

log = structlog.get_logger()


class Witnessing:
    """The publisher with its witnesses. Without a policy, whatever the log signed is what is shown."""

    def __init__(
        self,
        publisher: Publisher,
        reader: Reader,
        *,
        origin: str,
        keys: LogKeys,
        policy: Policy | None = None,
        post: Post | None = None,
        timeout_ms: int = 5_000,
    ) -> None:
        """Asks nobody yet. `keys` are the log's own."""
        self._publisher = publisher
        self._reader = reader
        self._origin = origin
        self._keys = keys
        self._policy = policy
        self._asking = asyncio.Lock()
        self._gatherer: Gatherer | None = None
        if policy is not None and post is not None:
            self._gatherer = Gatherer(policy, post, self._consistency, timeout_s=timeout_ms / 1000)
        self._witnessed: tuple[int, bytes] | None = None

    @property
    def policy(self) -> Policy | None:
        """Whose cosignatures are gathered; None where nobody's are."""
        return self._policy

    def newest(self) -> bytes:
        """The newest note that meets the quorum, or the newest signed one as long as none does."""
        return self._publisher.latest() if self._witnessed is None else self._witnessed[1]

    def require_signing(self) -> None:
        """Raises why nothing is signed any longer; a statement taken then would be a promise that nobody can prove."""
        if self._publisher.stopped is not None:
            raise self._publisher.stopped

    async def publish(self) -> bytes:
        """The newest note to show, after signing what the log has grown by; raises what the publisher raises."""
        signed = await self._sign()
        return signed if self._gatherer is None else self.newest()

    async def shown(self) -> bytes:
        """What readers are shown: as `publish`, and what was published last while nothing more may be signed.

        Raises CheckpointAbsent if nothing ever was.
        """
        try:
            return await self.publish()
        except Broken:
            return self.newest()

    async def covering(self, index: int) -> bytes:
        """A note over a tree with entry `index`: a witnessed one, if enough witnesses answer within WAIT_S.

        While nothing more may be signed, a note that was published before serves as long as it covers the entry; else
        it raises why.
        """
        try:
            signed = await self._sign()
        except Broken:
            last = self.newest()
            if checkpoint.parse(note.parse_text(last)).size <= index:
                raise
            return last
        if self._gatherer is None:
            return signed
        if self._witnessed is None or self._witnessed[0] <= index:
            try:
                # The round goes on for those who come after, also when this caller waits no longer.
                await asyncio.wait_for(asyncio.shield(self.round()), WAIT_S)
            except TimeoutError:
                log.warning("witnesses are slow", index=index)
            except (WitnessAhead, WitnessDiffers):
                # Said in `round`; what the log signed before it knew is all there is.
                return signed
        return signed if self._witnessed is None or self._witnessed[0] <= index else self._witnessed[1]

    async def round(self) -> None:
        """Asks every witness that has not cosigned the newest checkpoint; keeps their lines.

        Raises WitnessAhead or WitnessDiffers, after which nothing more is signed: one of them remembers what we
        forgot.
        """
        if self._gatherer is None:
            return
        async with self._asking:
            signed = self._publisher.latest()
            try:
                got = await self._gatherer.gather(signed, self._publisher.signed_size())
            except (WitnessAhead, WitnessDiffers) as error:
                self._publisher.stop(error)
                telemetry.SIGNING_STOPPED.set(1)
                log.error("a witness remembers more than this log", code=error.code, **error.where)
                raise
            for name in got.cosigned:
                telemetry.COSIGNATURES.labels(name, "ok").inc()
            for name, failure in got.failed.items():
                telemetry.COSIGNATURES.labels(name, "failed").inc()
                log.warning("no cosignature", code=failure.code, witness=name, reason=failure.detail)
            size = checkpoint.parse(note.parse_text(got.signed)).size
            if got.cosigned:
                self._publisher.add_cosignatures(size, got.signed)
            self._accept(size, got.signed)

    async def _sign(self) -> bytes:
        try:
            signed = await self._publisher.publish()
        except Broken:
            telemetry.SIGNING_STOPPED.set(1)
            raise
        telemetry.SIGNING_STOPPED.set(0)
        return signed

    def _accept(self, size: int, signed: bytes) -> None:
        """The note is shown from now on if it meets the quorum."""
        if self._policy is None or (self._witnessed is not None and self._witnessed[0] > size):
            return
        try:
            opened = checkpoint.open_checkpoint(signed, self._origin, [*self._keys.verifiers, *self._policy.verifiers])
            self._policy.require_quorum(opened)
        except QuorumMissing as missing:
            log.warning("quorum not met", code=missing.code, tree_size=size)
        except LedgerError as error:
            log.error("witnessed checkpoint does not open", code=error.code, tree_size=size)
        else:
            self._witnessed = (size, signed)
            telemetry.WITNESSED_SIZE.set(size)

    def _consistency(self, old: int, new: int) -> Sequence[bytes]:
        return self._reader.consistency(old, new)
