"""The privacy officer's acts, each on record before it has an effect outside."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from api.flows.desk import Desk
from api.flows.errors import ReceiptAbsent
from api.flows.exporting import Exports
from api.flows.memory import Memory
from api.flows.progress import Work
from ledger.appender import JtiReused
from ledger.errors import LedgerError
from ledger.privacy import rights
from ledger.privacy.epochs import Rotated, back_up
from ledger.privacy.erasure import Appended, Eraser, ErasureReceipt
from ledger.privacy.erasure_receipt import EntryReceipt, Fallen
from ledger.privacy.errors import BackupElsewhere
from ledger.privacy.exports import policies
from ledger.privacy.exports.sealing import PublicKey
from ledger.privacy.exports.writer import Release
from ledger.privacy.opened import State
from ledger.privacy.rectification import correction
from ledger.privacy.reidentification import Answer, Reidentification
from ledger.reader import Reader
from ledger.records import canonical, jws, record, statement
from ledger.records import entry as entries
from ledger.records.privacy import ErasureBasis, ErasureExecuted, Profile, RefusalGround, RestrictionGround
from ledger.records.record import Record
from ledger.rules.errors.log import LogIsFrozen

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry that already says the same."""

    index: int


class PrivacyOffice:
    """Rights, erasure, retention, exports and re-identification over one log and one vault."""

    def __init__(
        self,
        desk: Desk,
        memory: Memory,
        reader: Reader,
        *,
        also_forget: Callable[[str], None] | None = None,
        own_policies: Path | None = None,
    ) -> None:
        """`also_forget` deletes what another store holds of a person; it is done first, and may be done again.

        `own_policies` is a folder of export policies beside the package's. Raises `ExportPolicyInvalid`.
        """
        self._also_forget = also_forget
        self._desk = desk
        self._memory = memory
        self._reader = reader
        self.work = Work()
        self._has_caught_up = False
        self.eraser = Eraser(desk.engines.vault, self._record)
        self.reidentification = Reidentification(desk.engines.vault, self._record)
        self.exports = Exports(desk, reader, self._record, policies=policies.load(own_policies), work=self.work)

    async def catch_up(self) -> None:
        """A vault restored from a backup is erased again, and what a crash interrupted is finished.

        Of the log the tombstones are read, and what was written since the last start, where the vault was given
        anything since: a crash may have left disclosures of which nobody knows whether their entry was written.
        """
        store = self._desk.engines.store
        stones = store.entries_at(store.stream_indices(f"privacy/{ErasureExecuted.TYPE.partition('.')[2]}"))
        said = (statement.parse_statement(entries.decode(row.data).stmt).record for row in stones)
        await self.eraser.reapply([one for one in said if isinstance(one, ErasureExecuted)])
        if not self._desk.state.is_sealed:
            await self.eraser.resume()
            with suppress(JtiReused):  # another replica does the same
                await rights.resume(self._desk.engines.vault, self._record)
        with self._desk.engines.store.is_alone() as alone:
            # Another replica may be about to append what it has just put into the vault.
            if alone:
                self._settle()
        self._has_caught_up = True

    def leave(self) -> None:
        """The service ends: what the vault was given since `catch_up` need not be looked for at the next start."""
        if self._has_caught_up:
            self._desk.settle()

    def _settle(self) -> None:
        """What no entry vouches for is gone from the vault; nothing is being appended meanwhile."""
        vault, head = self._desk.engines.vault, self._desk.appender.head
        known: set[str] = set()

        def is_known(digest: str) -> bool:
            if not known:
                known.add("")
                for row in self._desk.engines.store.entries(vault.settled(head.origin), head.size):
                    known.update(record.digests(statement.parse_statement(entries.decode(row.data).stmt).claims.event))
            return digest in known

        vault.forget_orphans(is_known, origin=head.origin, size=head.size)

    # Rights of one person

    async def erase(self, person: str, basis: ErasureBasis) -> ErasureReceipt:
        """Nothing of the person can be read any longer; every proof and signature in the log still verifies.

        A log that has ended takes the tombstone. One of which a key was stolen does not: raises `LogIsFrozen`, having
        erased nothing.
        """
        self._require_writable()
        if self._also_forget is not None:
            self._also_forget(person)
        receipt = await self.eraser.erase(person, basis=basis)
        self._memory.forget()
        return receipt

    def _require_writable(self) -> None:
        if self._desk.state.is_sealed:
            raise LogIsFrozen("a key of this log was stolen: nothing can be recorded in it")

    async def restrict(self, person: str, ground: RestrictionGround) -> str:
        """Nothing of the person is opened or exported until the restriction is lifted; its handle.

        Raises `LogIsFrozen`, having restricted nothing.
        """
        self._require_writable()
        handle = await rights.restrict(self._desk.engines.vault, self._record, person, ground=ground)
        # What was opened before is not to be seen any longer.
        self._memory.forget()
        return handle

    async def lift(self, person: str) -> str:
        """The restriction is over; its handle."""
        handle = await rights.lift_restriction(self._desk.engines.vault, self._record, person)
        self._memory.forget()
        return handle

    async def hold(self, person: str, ground: RefusalGround) -> str:
        """Neither erasure nor retention touches the person's data until `release_hold`; the hold's handle.

        Raises `LogIsFrozen`, having placed none.
        """
        self._require_writable()
        return await rights.hold(self._desk.engines.vault, self._record, person, ground=ground)

    async def release_hold(self, person: str) -> str | None:
        """The hold is over; its handle, where the log knows it."""
        return await rights.release(self._desk.engines.vault, self._record, person)

    async def rectify(self, person: str, index: int, member: str, value: Any) -> Appended:
        """What the entry says of the person under this name is put right by a later entry."""
        said = correction(self._desk.engines.vault, index, self._reader.entry(index), person, member, value)
        return await self._desk.say(
            said, f"privacy/{said.TYPE.partition('.')[2]}", subject_of=lambda _part, _name: person
        )

    async def copy_for(self, person: str, profile: Profile, *, seal_to: PublicKey | None = None) -> Release:
        """The person's own copy, or what it may take elsewhere, is ready, and on record."""
        return await self.exports.to_subject(person, profile, seal_to=seal_to)

    # Everybody's data

    async def expire(self) -> tuple[ErasureReceipt, ...]:
        """Whatever was kept for as long as its retention class says is gone, legal holds excepted."""
        self._require_writable()
        with self.work.doing("letting months expire"):
            receipts = await self.eraser.expire()
        if receipts:
            self._memory.forget()
        return receipts

    async def expire_every(self, every_s: float) -> None:
        """Lets months expire again and again; what fails is tried the next time."""
        while True:
            try:
                receipts = await self.expire()
                log.info("retention", count=len(receipts))
            except LedgerError as error:
                log.error("retention not finished", code=error.code)
                with suppress(LedgerError):
                    await self.eraser.resume()
            await asyncio.sleep(every_s)

    async def rotate_keys(self, *, backup: Path | None, is_backed_up: bool, destroy: bool) -> Rotated:
        """Every key is wrapped under a new epoch; with `destroy`, the older epochs are gone, and the log says so.

        They are destroyed only behind a copy that was tested: in the folder `backup`, or elsewhere, where
        `is_backed_up` says that somebody did. Raises `BackupElsewhere` before anything is rotated.
        """
        if destroy and backup is None and not is_backed_up:
            raise BackupElsewhere("no copy would be made and tested here", expected="vault.backup_dir, or your own")
        vault = self._desk.engines.vault
        with self.work.doing("re-wrapping keys") as doing:
            epoch = await self.eraser.rotate_kek(doing.at)
        count = None
        if backup is not None:
            with self.work.doing("testing the backup of the keys") as doing:
                count = await asyncio.to_thread(back_up, vault, backup, progress=doing.at)
        gone = [one for one in vault.keys.epochs() if one != epoch] if destroy else []
        for one in gone:
            await self.eraser.destroy_epoch(one)
        return Rotated(epoch, count, tuple(gone))

    def receipt(self, index: int) -> EntryReceipt:
        """What of one entry was erased, each digest with its opening. Raises `ReceiptAbsent`, EntryAbsent."""
        data = self._reader.entry(index)
        opened = statement.parse_statement(entries.decode(data).stmt)
        fallen = []
        for digest, found in self._desk.engines.vault.open_many(record.digests(opened.claims.event)).items():
            stone = found.tombstone
            if found.state is State.ERASED and stone is not None and stone.index is not None:
                fallen.append(Fallen(digest=digest, tombstone=stone.index, opening=stone.opening))
        if not fallen:
            raise ReceiptAbsent("nothing of this entry was erased", index=index)
        stones = {one.tombstone: jws.encode_base64url(self._reader.entry(one.tombstone)) for one in fallen}
        return EntryReceipt(
            origin=self._desk.origin,
            index=index,
            entry=jws.encode_base64url(data),
            erased=tuple(sorted(fallen, key=lambda one: one.digest)),
            tombstones=tuple(stones[one] for one in sorted(stones)),
        )

    async def reidentify(self, request: str, officer: str) -> Answer:
        """The one answer to an approved request."""
        with self.work.doing("looking for a pseudonym") as doing:
            return await self.reidentification.answer(request, officer=officer, progress=doing.at)

    async def release(self, policy: str, recipient: str, *, seal_to: PublicKey | None = None) -> Release:
        """The export is ready and the log says so; nothing of it can be read before that."""
        return await self.exports.release(self.exports.policy(policy), recipient, seal_to=seal_to)

    async def _record(self, said: Record) -> Appended:
        digest = hashlib.sha256(canonical.encode(said)).digest()
        # The same record again is the same statement: a resumed act finds the entry that it already made.
        jti = jws.encode_base64url(digest)
        known = self._desk.engines.store.find_statement(self._desk.me.party, jti)
        if known is not None:
            return _Known(known)
        return await self._desk.say(said, f"privacy/{said.TYPE.partition('.')[2]}", jti=jti)
