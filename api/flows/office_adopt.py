"""What is done to the office's files beside the service: by command, in a ceremony, or before a crash.

The log is told of it, and this process acts by it, within seconds. Done again, nothing changes.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from api import telemetry
from api.errors import ApiError
from api.flows.office import Office
from api.flows.office_journal import revocation_of, serial_text
from ledger.errors import LedgerError
from ledger.records.credentials import MAX_ADOPTED, AdoptedCredential, CredentialsAdopted
from ledger.rules.credential_state import CredentialState
from pki.errors import PkiError
from pki.store.listing import Sought
from pki.store.records import Issued, Revocation

LOOK_S: Final = 1.0

log = structlog.get_logger()


class Adoption:
    """Follows one office's store; what came before the first look is looked at in it."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._version: int | None = None
        self._issued = 0
        self._revoked = 0

    async def watch(self) -> None:
        """Looks every second, for as long as the service runs and the log goes on."""
        while self._office.desk.state.frozen_at is None:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except (ApiError, LedgerError, PkiError) as error:
                log.error("the office's store was not looked at", error=type(error).__name__)

    async def look(self) -> None:
        """The log knows every credential and every revocation that the store knows, and the revocations count here.

        Raises what the log raises; then the same is looked at again the next time.
        """
        listing = self._office.listing
        version = listing.version()
        if version == self._version:
            return
        if listing.last_revoked() < self._revoked:
            self._revoked = 0  # some were forgotten, and their places may be taken again
        while page := listing.page(Sought(), after=self._issued):
            await self._adopt([one.issued for one in page])
            self._issued = page[-1].number
        while found := listing.revocations(after=self._revoked):
            for _, revocation in found:
                await self._tell(revocation)
            self._revoked = found[-1][0]
        self._version = version

    async def _adopt(self, held: Sequence[Issued]) -> None:
        """Those of which the log never heard. What is under way here is none of them: its intent is in the log."""
        for batch in _batches([one for one in held if self._state(one.issuer_key_sha256, one.serial) is None]):
            await self._office.journal.say(CredentialsAdopted(credentials=batch))
            log.warning("credentials were adopted from the office's store", count=len(batch))

    async def _tell(self, revocation: Revocation) -> None:
        """A revocation that the log does not know is told to it, and refuses its credential here from then on."""
        name = (revocation.issuer_key_sha256, revocation.serial)
        state = self._state(*name)
        if state is None or state.revoked is not None:
            return
        await self._office.journal.say(revocation_of(revocation))
        self._office.desk.directory.revoke(*name, revocation.revoked_at_ms)
        telemetry.CREDENTIALS_REVOKED.labels(revocation.reason.value).inc()
        log.warning("a revocation was taken over from the office's store")

    def _state(self, issuer_key_sha256: str, serial: int) -> CredentialState | None:
        return self._office.desk.state.credentials.find(issuer_key_sha256, serial_text(serial))


def _batches(held: Sequence[Issued]) -> Iterator[tuple[AdoptedCredential, ...]]:
    for start in range(0, len(held), MAX_ADOPTED):
        yield tuple(
            AdoptedCredential(
                issuer_key_sha256=one.issuer_key_sha256,
                serial=serial_text(one.serial),
                tbs_sha256=one.tbs_sha256,
                profile=one.profile,
            )
            for one in held[start : start + MAX_ADOPTED]
        )
