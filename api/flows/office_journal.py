"""The journal of the certificate office: every intent, issuance and revocation is in the log before it has an effect.

`pki` works in a thread of its own and waits here, a bounded time, for the event loop to have the entry committed.
"""

import asyncio
import concurrent.futures
import hashlib
from typing import Final

from msgspec import UNSET

from api.flows.desk import Desk
from api.flows.office_errors import JournalLate, JournalMisused
from api.principals import ORGANISATIONS
from ledger.records import canonical, jws
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    RevocationReason,
)
from ledger.records.record import Record
from pki.journal import Intent
from pki.store.records import Issued, Revocation

WAIT_S: Final = 20.0


class LedgerJournal:
    """`pki.journal.Journal` over the desk; made on the event loop, used on any other thread."""

    def __init__(self, desk: Desk, *, wait_s: float = WAIT_S) -> None:
        self._desk = desk
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()

    def intent(self, intent: Intent) -> None:
        """The intent is in the log. Raises `JournalLate`, or what refused it; then nothing may be signed."""
        self._post(
            CredentialIntended(
                issuer_key_sha256=intent.issuer_key_sha256,
                serial=serial_text(intent.serial),
                tbs_sha256=intent.tbs_sha256,
                profile=intent.profile,
            )
        )

    def issued(self, issued: Issued) -> None:
        """The issuance is in the log; a person's or a station's does not say whose."""
        self._post(issuance_of(issued))

    def revoked(self, revocation: Revocation) -> None:
        """The revocation is in the log, and stands from there on."""
        self._post(revocation_of(revocation))

    def _post(self, said: Record) -> None:
        if _running_loop() is self._loop:
            raise JournalMisused("the event loop cannot wait for itself", expected="a thread of the office")
        waiting = asyncio.run_coroutine_threadsafe(self.say(said), self._loop)
        try:
            waiting.result(self._wait_s)
        except concurrent.futures.TimeoutError:
            waiting.cancel()
            raise JournalLate("the log did not confirm in time", expected=f"within {self._wait_s:g} s") from None

    async def say(self, said: Record) -> None:
        """`said` stands in the log; the same words again are the entry that is there."""
        jti = jws.encode_base64url(hashlib.sha256(canonical.encode(said)).digest())
        if self._desk.said(jti) is None:
            await self._desk.say(said, CREDENTIAL_STREAM, jti=jti)


def serial_text(serial: int) -> str:
    """A serial number as the log writes it."""
    return f"{serial:040x}"


def issuance_of(issued: Issued) -> CredentialIssued:
    """What the log says of an issuance."""
    return CredentialIssued(
        issuer_key_sha256=issued.issuer_key_sha256,
        serial=serial_text(issued.serial),
        tbs_sha256=issued.tbs_sha256,
        party=issued.party_id if issued.party_id is not None and issued.role in ORGANISATIONS else UNSET,
    )


def revocation_of(revocation: Revocation) -> CredentialRevoked:
    """What the log says of a revocation."""
    return CredentialRevoked(
        issuer_key_sha256=revocation.issuer_key_sha256,
        serial=serial_text(revocation.serial),
        reason=RevocationReason(revocation.reason.value),
        revoked_at_ms=revocation.revoked_at_ms,
        invalid_from_ms=UNSET if revocation.invalid_from_ms is None else revocation.invalid_from_ms,
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
