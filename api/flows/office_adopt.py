"""What is done to the office's files beside the service: by command, in a ceremony, or before a crash.

The log is told of it, and this process acts by it, within seconds. Done again, nothing changes.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from pki.store.records import Followed, Issued, Revocation

LOOK_S: Final = 1.0
AGAIN: Final = 1_000
"""So many places before the last are looked at again at a start: if the log knows these, it knows what came before."""

log = structlog.get_logger()


class Adoption:
    """Follows one office's store, which remembers how far: what came later is looked at in the first look."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._version: int | None = None
        self._at: Followed | None = None

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
        begun = self._at or self._begin()
        # Some revocations were forgotten, and their places may be taken again?
        at = replace(begun, revoked=0) if listing.last_revoked() < begun.revoked else begun
        while page := listing.page(Sought(), after=at.issued):
            await self._adopt([one.issued for one in page])
            at = replace(at, issued=page[-1].number)
        while found := listing.revocations(after=at.revoked):
            for _, revocation in found:
                await self._tell(revocation)
            at = replace(at, revoked=found[-1][0])
        if at != begun:
            self._office.store.follow(at)
        self._at, self._version = at, version

    def _begin(self) -> Followed:
        """From where: not the beginning, if this log knows the last that the store says was followed.

        Another log, or one that was restored from an older copy, does not know all of them, and everything is looked
        at.
        """
        listing, until = self._office.listing, self._office.store.followed()
        page = listing.page(Sought(), after=until.issued - AGAIN, limit=AGAIN)
        last = [one.issued for one in page if one.number <= until.issued]
        if not last or any(self._state(one.issuer_key_sha256, one.serial) is None for one in last):
            return Followed()
        place = max(0, until.revoked - AGAIN)
        revoked = [one for number, one in listing.revocations(after=place, limit=AGAIN) if number <= until.revoked]
        known = [self._state(one.issuer_key_sha256, one.serial) for one in revoked]
        is_behind = any(state is not None and state.revoked is None for state in known)
        return Followed(until.issued, 0 if is_behind else until.revoked)

    async def _adopt(self, held: Sequence[Issued]) -> None:
        """Those of which the log never heard. What is under way here is none of them: its intent is in the log."""
        for batch in _batches([one for one in held if self._state(one.issuer_key_sha256, one.serial) is None]):
            await self._office.journal.say(CredentialsAdopted(credentials=batch))
            # The first log that follows the store hears of what the ceremony issued; any other missed something.
            is_first = self._office.store.followed() == Followed()
            tell = log.info if is_first else log.warning
            tell("credentials were adopted from the office's store", count=len(batch))

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
