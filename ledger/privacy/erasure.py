"""Erasure that survives a crash at any point, a restored backup, and the question what happened to an entry.

    intended   the wish is in the vault, then ErasureRequested in the log; a hold stops it here with ErasureRefused
    fenced     nobody finds the subject any more, its digests answer ERASED, the tombstone's tree is fixed
    destroyed  key gone, rows gone; the write-ahead logs are emptied, and that is checked
    recorded   ErasureExecuted is in the log: exactly one, whatever happened on the way

The log learns a random handle, a ground of the law, and a Merkle root; never a list, never how much there was.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import UNSET

from ledger.privacy.errors import ErasureUnfinished, KekEpochAbsent, LostData, RestoredVaultOpen, SubjectHeld
from ledger.privacy.keys import Progress
from ledger.privacy.openings import ErasureOpening
from ledger.privacy.tombstone_jobs import Job, Jobs, Notice, Stage
from ledger.privacy.vault import Vault
from ledger.records.privacy import (
    ErasureBasis,
    ErasureExecuted,
    ErasureRefused,
    ErasureRequested,
    KekEpochDestroyed,
    RefusalGround,
)
from ledger.records.record import Record

CHECKPOINT_ATTEMPTS: Final = 20
CHECKPOINT_PAUSE_S: Final = 0.05
REQUEST_BYTES: Final = 16


class Appended(Protocol):
    """What appending a record answers."""

    @property
    def index(self) -> int:
        """The entry's index in the log."""
        ...


Recorder = Callable[[Record], Awaitable[Appended]]
"""Signs a record with the service's key and appends it; durable when it returns."""

Recorded = Callable[[Record], Awaitable[Appended | None]]
"""Finds the entry that already says exactly this record, or None. Asked only after a crash."""

LegalHoldCheck = Callable[[str], RefusalGround | None]
"""What stands against erasing the subject with this natural id, or None."""


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What was done: the tombstone, its entry, and the recipients that are to be told (GDPR Art. 19)."""

    handle: str
    request: str
    root: str
    size: int
    index: int
    notices: tuple[Notice, ...]


def no_hold(subject: str) -> RefusalGround | None:
    """Nothing stands against the erasure but the holds that the vault itself knows."""
    del subject
    return None


class Eraser:
    """Erases subjects and expired periods; one at a time."""

    def __init__(
        self, vault: Vault, record: Recorder, *, recorded: Recorded | None = None, pause_s: float = CHECKPOINT_PAUSE_S
    ) -> None:
        """`recorded` is how a resumed erasure learns that its tombstone already stands in the log.

        Without it `record` itself must answer the same record with the same entry.
        """
        self._vault = vault
        self._jobs = Jobs(vault)
        self._record = record
        self._recorded = recorded
        self._pause_s = pause_s
        self._lock = asyncio.Lock()

    async def erase(
        self, subject: str, *, basis: ErasureBasis, legal_hold_check: LegalHoldCheck = no_hold
    ) -> ErasureReceipt:
        """Nothing of the subject can be read by anyone, and the log says that something was erased.

        Raises `SubjectUnknown`; `SubjectHeld` after the refusal was recorded, and nothing was erased;
        `ErasureUnfinished` where a reader keeps old pages alive: keys are destroyed, `resume` finishes.
        """
        async with self._lock:
            uid = self._vault.uid_of(subject)
            request = secrets.token_hex(REQUEST_BYTES)
            job = self._jobs.intend(uid, basis, request)
            # A wish with another number was there before: its request may be in the log already.
            return await self._run(job, legal_hold_check, resumed=job.request != request)

    async def resume(self, legal_hold_check: LegalHoldCheck = no_hold) -> tuple[ErasureReceipt, ...]:
        """Finishes what a crash interrupted; call at start, after `reapply` and before anything is served."""
        done = []
        async with self._lock:
            for job in self._jobs.unfinished():
                try:
                    done.append(await self._run(job, legal_hold_check, resumed=True))
                except SubjectHeld:
                    continue
        return tuple(done)

    async def reapply(self, tombstones_in_log: Iterable[str | ErasureExecuted]) -> int:
        """Makes a restored vault forget again whatever the log says is erased; the number of tombstones that bit.

        Call at start, before `resume` and before anything is served, with every tombstone in the log. Where the
        records are given rather than their handles alone, expired periods are re-erased too, and openings are kept
        only if the restored data still leads to the recorded root.
        """
        known: dict[str, ErasureExecuted | None] = {}
        for one in tombstones_in_log:
            known[one if isinstance(one, str) else one.handle] = None if isinstance(one, str) else one
        async with self._lock:
            bitten = [handle for handle in known if self._jobs.refence(handle)]
            bitten += self._refence_periods(known)
            for job in self._jobs.unfinished():
                if job.handle in known:
                    self._destroy(job)
                    self._jobs.correct(job.handle, known[job.handle])
            if not bitten:
                return 0
            try:
                await self._empty_logs()
            except ErasureUnfinished as error:
                raise RestoredVaultOpen("erased subjects are still in the restored vault's write-ahead log") from error
            for handle in bitten:
                self._jobs.close(handle, None)
        return len(bitten)

    async def expire(self) -> tuple[ErasureReceipt, ...]:
        """Whatever was kept for as long as its retention class says is gone for everybody, legal holds excepted.

        One key of one class and month is destroyed, however many persons it covered.
        """
        receipts = []
        async with self._lock:
            for retention, period in self._jobs.due_periods(self._vault.clock.now_ms()):
                jobs = self._jobs.fence_period(retention, period)
                self._vault.keys.destroy_period_key(retention, period)
                for job in jobs:
                    # A job that is DESTROYED already was left by a crash: its tombstone may be in the log.
                    receipt = await self._run(job, no_hold, resumed=job.stage is Stage.DESTROYED)
                    receipts.append(receipt)
            if self._jobs.forget_empty():
                await self._empty_logs()
        return tuple(receipts)

    def opening(self, digest: str) -> ErasureOpening:
        """The proof that one digest fell under its tombstone; raises `LostData` where there is none to give."""
        found = self._vault.tombstone_of(digest)
        if found is None or found.opening is None:
            raise LostData("no tombstone has an opening for this digest", digest=digest)
        return found.opening

    def notices(self) -> tuple[Notice, ...]:
        """Who is still to be told of which erasure (Art. 19); each knows one recipient's own pseudonym only."""
        return self._jobs.notices()

    def notice_sent(self, number: int) -> None:
        """The recipient knows; the pseudonym is forgotten here too. Raises `NoticeUnknown`."""
        self._jobs.forget_notice(number)

    async def rotate_kek(self, progress: Progress | None = None) -> int:
        """Every key that survives is wrapped under a new epoch; the old epochs still exist. The new epoch.

        Then: back up keys.db, test that the backup restores, and only then `destroy_epoch` the old one.
        """
        async with self._lock:
            # Minutes of it, where there are millions: beside the event loop, one short transaction after another.
            epoch = await asyncio.to_thread(self._vault.keys.rotate, progress)
            await self._empty_logs()
        return epoch

    async def destroy_epoch(self, epoch: int) -> None:
        """Every backup of keys.db that was wrapped under this epoch is dead, and the log says so.

        Raises `KekEpochInUse` before a rotation, `KekEpochAbsent` for one that is gone.
        """
        async with self._lock:
            said = KekEpochDestroyed(epoch=epoch)
            try:
                self._vault.keys.destroy_epoch(epoch)
            except KekEpochAbsent:
                # A crash may have come between the destruction and its entry; then the entry is still owed.
                never_was = epoch < 1 or epoch > self._vault.keys.epoch
                if never_was or self._recorded is None or await self._recorded(said) is not None:
                    raise
            await self._record(said)

    async def _run(self, job: Job, hold: LegalHoldCheck, *, resumed: bool) -> ErasureReceipt:
        if job.stage is Stage.INTENDED:
            asked = ErasureRequested(request=job.request, handle=job.handle, basis=job.basis)
            await self._record_once(asked, resumed=resumed)
            ground = self._jobs.hold_on(job) or hold(self._jobs.name(job))
            if ground is not None or not self._jobs.fence(job):
                ground = ground or self._jobs.hold_on(job) or RefusalGround.LEGAL_CLAIMS
                await self._record_once(ErasureRefused(request=job.request, ground=ground), resumed=resumed)
                self._jobs.drop(job)
                raise SubjectHeld("the data is held", found=ground.value, request=job.request)
            job = self._jobs.reload(job)
        self._destroy(job)
        await self._empty_logs()
        root, size = self._jobs.tree(job.handle)
        said = ErasureExecuted(
            handle=job.handle,
            basis=job.basis,
            manifest_root=root,
            manifest_size=size,
            retention=UNSET if job.retention is None else job.retention,
            period=UNSET if job.period is None else job.period,
        )
        appended = await self._record_once(said, resumed=resumed)
        self._jobs.close(job.handle, appended.index)
        notices = tuple(one for one in self._jobs.notices() if one.handle == job.handle)
        return ErasureReceipt(job.handle, job.request, root, size, appended.index, notices)

    def _destroy(self, job: Job) -> None:
        """Keys first, then rows: whoever reads in between finds what nothing opens."""
        if job.stage is Stage.FENCED:
            if job.uid is not None:
                self._vault.keys.destroy_subject_key(job.uid)
            self._jobs.delete_rows(job)

    async def _record_once(self, said: Record, *, resumed: bool) -> Appended:
        if resumed and self._recorded is not None:
            found = await self._recorded(said)
            if found is not None:
                return found
        return await self._record(said)

    async def _empty_logs(self) -> None:
        """Both write-ahead logs are empty: the pages that held keys and rows are overwritten."""
        for _ in range(CHECKPOINT_ATTEMPTS):
            if self._vault.keys.empty_log() and self._vault.database.empty_log():
                return
            await asyncio.sleep(self._pause_s)
        raise ErasureUnfinished("a reader keeps old pages alive; close it and resume")

    def _refence_periods(self, known: Mapping[str, ErasureExecuted | None]) -> list[str]:
        """Expired periods of which a restored vault still has the key; a batch that changed gets its own tombstone."""
        bitten: list[str] = []
        places = {
            (one.retention, one.period)
            for one in known.values()
            if one is not None and isinstance(one.retention, str) and isinstance(one.period, str)
        }
        for retention, period in sorted(places):
            bitten += [job.handle for job in self._jobs.fence_period(retention, period) if job.handle in known]
            self._vault.keys.destroy_period_key(retention, period)
        return bitten
