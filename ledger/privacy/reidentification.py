"""Who is behind one pseudonym: asked by one person, approved by another in another role, recorded, answered once.

    asked      the vault keeps the pseudonym; ReidentificationRequested commits to it under a salt
    approved   by somebody else: ReidentificationApproved
    closed     used up in the vault, then ReidentificationClosed in the log; only then is anything looked up

There is no table from pseudonyms to persons: the answer is found by making everybody's pseudonym again, so after an
erasure it is nobody.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from ledger.privacy.database import Row
from ledger.privacy.erasure import Recorder
from ledger.privacy.errors import (
    ReidentificationNotApproved,
    ReidentificationNotYours,
    ReidentificationTooOften,
    ReidentificationUnknown,
)
from ledger.privacy.keys import Progress, framed
from ledger.privacy.pseudonyms import PREFIX, Pseudonyms
from ledger.privacy.vault import Vault
from ledger.records.privacy import (
    Purpose,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationGround,
    ReidentificationOutcome,
    ReidentificationRequested,
)

LIFETIME_MS: Final = 24 * 3_600_000
"""A request that was not answered in a day is over."""
MAX_A_DAY: Final = 20
"""Requests in a day; more would be a way to undo an export, and a breach to be looked at (GDPR Art. 33)."""
PAUSE_EVERY: Final = 256
"""Subjects between two looks at what else there is to do."""
REQUEST_BYTES: Final = 16
SALT_BYTES: Final = 32
PSEUDONYM: Final = re.compile(rf"{PREFIX}[A-Z2-7]{{32}}")

_COLUMNS: Final = "request, recipient, purpose, epoch, ground, officer, approver, asked_at_ms"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is neither answered nor over; the pseudonym is in the vault alone."""

    request: str
    recipient: str
    purpose: Purpose
    epoch: str
    ground: ReidentificationGround
    officer: str
    approver: str | None
    asked_at_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The one answer to a request; `subject` is None where nobody living in the vault has that pseudonym."""

    request: str
    subject: str | None = field(repr=False)


class Reidentification:
    """The desk at which two persons in two roles learn whom one pseudonym stands for."""

    def __init__(self, vault: Vault, record: Recorder) -> None:
        """`record` appends to the log; durable when it returns."""
        self._vault = vault
        self._record = record
        self._lock = asyncio.Lock()

    async def ask(
        self,
        pseudonym: str,
        *,
        recipient: str,
        purpose: Purpose,
        epoch: str,
        ground: ReidentificationGround,
        officer: str,
    ) -> Asked:
        """The request is on record, and its pseudonym in nobody's hands but the vault's.

        Raises `ReidentificationUnknown` for what cannot be a pseudonym of ours, `ReidentificationTooOften`.
        """
        if not PSEUDONYM.fullmatch(pseudonym):
            raise ReidentificationUnknown("not a pseudonym of this service", expected="P1 and 32 characters")
        async with self._lock:
            await self._end_old()
            now_ms = self._vault.clock.now_ms()
            recent = self._vault.database.scalar(
                "SELECT count(*) FROM reidentification WHERE asked_at_ms > ?", (now_ms - LIFETIME_MS,)
            )
            if recent >= MAX_A_DAY:
                raise ReidentificationTooOften("too many requests in a day", expected=f"at most {MAX_A_DAY}")
            request, salt = secrets.token_hex(REQUEST_BYTES), secrets.token_bytes(SALT_BYTES)
            with self._vault.database.transaction():
                self._vault.database.execute(
                    "INSERT INTO reidentification VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, 0)",
                    (request, pseudonym, salt, recipient, purpose.value, epoch, ground.value, officer, now_ms),
                )
            await self._record(
                ReidentificationRequested(
                    request=request,
                    officer=officer,
                    recipient=recipient,
                    purpose=purpose,
                    ground=ground,
                    commitment=commitment(salt, pseudonym),
                )
            )
            return self._asked(request)

    async def approve(self, request: str, *, approver: str) -> Asked:
        """A second person agrees. Raises `ReidentificationUnknown`, `ReidentificationNotYours` for who asked."""
        async with self._lock:
            asked = await self._living(request)
            if asked.officer == approver:
                raise ReidentificationNotYours("who asks does not approve", expected="another person, another role")
            if asked.approver is None:
                await self._record(ReidentificationApproved(request=request, approver=approver))
                with self._vault.database.transaction():
                    self._vault.database.execute(
                        "UPDATE reidentification SET approver = ? WHERE request = ?", (approver, request)
                    )
            return self._asked(request)

    async def refuse(self, request: str) -> None:
        """The request is over, and the log says so. Raises `ReidentificationUnknown`."""
        async with self._lock:
            await self._living(request)
            await self._close(request, ReidentificationOutcome.REFUSED)

    async def answer(self, request: str, *, officer: str, progress: Progress | None = None) -> Answer:
        """The one answer, to who asked; it is on record, and the request used up, before anything is looked up.

        Raises `ReidentificationUnknown`, `ReidentificationNotYours`, `ReidentificationNotApproved`.
        """
        async with self._lock:
            asked = await self._living(request)
            if asked.officer != officer:
                raise ReidentificationNotYours("the answer is for who asked")
            if asked.approver is None:
                raise ReidentificationNotApproved("nobody has approved it yet", expected="a second person's approval")
            pseudonym = self._pseudonym(request)
            # From here on it is used up, whatever comes: a crash costs the answer, never gives a second one.
            await self._close(request, ReidentificationOutcome.ANSWERED)
        return Answer(request, await self._behind(pseudonym, asked, progress))

    def pending(self) -> tuple[Asked, ...]:
        """Every request that is neither answered nor over, oldest first."""
        now_ms = self._vault.clock.now_ms()
        return tuple(one for one in self._open() if _lives(one, now_ms))

    def _open(self) -> list[Asked]:
        sql = f"SELECT {_COLUMNS} FROM reidentification WHERE closed = 0 ORDER BY asked_at_ms, request"  # noqa: S608
        return [_read(row) for row in self._vault.database.rows(sql)]

    async def _behind(self, pseudonym: str, asked: Asked, progress: Progress | None) -> str | None:
        pseudonyms = Pseudonyms(self._vault.keys)
        make = pseudonyms.maker(recipient=asked.recipient, purpose=asked.purpose.value, epoch=asked.epoch)
        # Whose data is restricted is looked for in legal claims only (GDPR Art. 18(2)).
        despite = asked.ground is ReidentificationGround.LEGAL_CLAIMS
        subjects = [one for one in self._vault.subjects() if despite or not one.restricted]
        found: str | None = None
        for done, subject in enumerate(subjects):
            if done % PAUSE_EVERY == 0:
                if progress is not None:
                    progress(done, len(subjects))
                await asyncio.sleep(0)
            # Everybody is looked at, so that the time does not tell where somebody stands.
            if hmac.compare_digest(make(subject.uid), pseudonym):
                found = self._vault.name_of(subject.uid)
        if progress is not None:
            progress(len(subjects), len(subjects))
        return found

    async def _living(self, request: str) -> Asked:
        await self._end_old()
        return self._asked(request)

    async def _end_old(self) -> None:
        now_ms = self._vault.clock.now_ms()
        for one in self._open():
            if not _lives(one, now_ms):
                await self._close(one.request, ReidentificationOutcome.EXPIRED)
        # Closed ones stay for a day without their pseudonym: they are counted.
        with self._vault.database.transaction():
            self._vault.database.execute(
                "DELETE FROM reidentification WHERE closed = 1 AND asked_at_ms <= ?", (now_ms - LIFETIME_MS,)
            )

    async def _close(self, request: str, outcome: ReidentificationOutcome) -> None:
        with self._vault.database.transaction():
            self._vault.database.execute(
                "UPDATE reidentification SET closed = 1, pseudonym = '', salt = ? WHERE request = ?", (b"", request)
            )
        await self._record(ReidentificationClosed(request=request, outcome=outcome))

    def _asked(self, request: str) -> Asked:
        sql = f"SELECT {_COLUMNS} FROM reidentification WHERE request = ? AND closed = 0"  # noqa: S608
        row = self._vault.database.row(sql, (request,))
        if row is None:
            raise ReidentificationUnknown("no such request is open")
        return _read(row)

    def _pseudonym(self, request: str) -> str:
        sql = "SELECT pseudonym FROM reidentification WHERE request = ?"
        return str(self._vault.database.scalar(sql, (request,)))


def commitment(salt: bytes, pseudonym: str) -> str:
    """What the log says of the pseudonym: nothing, to who has not the salt."""
    return hashlib.sha256(framed(b"flexledger reidentification v1", salt, pseudonym.encode())).hexdigest()


def _lives(one: Asked, now_ms: int) -> bool:
    # A clock that was set back does not make a request older than it is; one set far back ends it.
    return -LIFETIME_MS < now_ms - one.asked_at_ms < LIFETIME_MS


def _read(row: Row) -> Asked:
    request, recipient, purpose, epoch, ground, officer, approver, asked_at_ms = row
    return Asked(
        request, recipient, Purpose(purpose), epoch, ReidentificationGround(ground), officer, approver, asked_at_ms
    )
