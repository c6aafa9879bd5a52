"""Before the office opens: log and store are brought in step, whichever of them a crash left behind.

The log leads. What it says was revoked is revoked in the store and in the lists; what the store holds and the log does
not was done elsewhere, in a ceremony or offline, and is adopted. Done again, nothing changes.
"""

from collections.abc import Iterator, Sequence

import structlog
from msgspec import UNSET

from api import telemetry
from api.flows.office import Office
from api.flows.office_journal import issuance_of, revocation_of, serial_text
from ledger.records.credentials import MAX_ADOPTED, AdoptedCredential, CredentialRevoked, CredentialsAdopted
from ledger.rules.credential_state import CredentialBook, CredentialState
from pki import issuance
from pki.store.records import CertificateAbsent, Issued, Reason, Revocation

log = structlog.get_logger()


async def catch_up(office: Office) -> None:
    """Log, store, lists and this process's own memory tell the same of every credential.

    What was interrupted is settled: told to the log, or revoked as a precaution. An intent that only the log knows
    stays a gap, and is reported.
    """
    # First of all, so that what was left half done is settled before it is compared.
    repaired = await office.work(
        lambda: issuance.repair(office.store, office.journal, now_ms=office.desk.clock.now_ms(), patience_ms=None)
    )
    if repaired.recorded or repaired.revoked:
        log.warning("issuances were repaired", recorded=len(repaired.recorded), revoked=len(repaired.revoked))
    book = office.desk.state.credentials
    listed = office.listing.all()
    held = [one.issued for one in listed]
    known_tbs = {one.tbs_sha256: one for one in held}
    for gap in book.gaps():
        issued = known_tbs.get(gap.tbs_sha256)
        if issued is not None:
            await office.journal.say(issuance_of(issued))
    for batch in _batches([one for one in held if _state(book, one.issuer_key_sha256, one.serial) is None]):
        await office.journal.say(CredentialsAdopted(credentials=batch))
    for revocation in [one.revocation for one in listed if one.revocation is not None]:
        state = _state(book, revocation.issuer_key_sha256, revocation.serial)
        if state is not None and state.revoked is None:
            await office.journal.say(revocation_of(revocation))
    await office.settle()
    for said in book.revocations():
        await _apply(office, said)
    report(office)
    await office.renew_lists()


def report(office: Office) -> tuple[CredentialState, ...]:
    """The gaps, counted and logged."""
    gaps = office.desk.state.credentials.gaps()
    telemetry.CREDENTIAL_GAPS.set(len(gaps))
    if gaps:
        log.warning("credentials were intended and never issued", count=len(gaps), index=gaps[0].index)
    return gaps


async def _apply(office: Office, said: CredentialRevoked) -> None:
    """The store says what the log says, and the lists will."""
    revocation = said_in(said)
    try:
        was_behind = office.store.revocation_of(said.issuer_key_sha256, revocation.serial) is None
        office.store.revoke(revocation)
    except CertificateAbsent:
        # A gap that was closed: nobody knows whether it was ever signed, and here it counts as revoked all the same.
        was_behind = False
    office.desk.directory.revoke(said.issuer_key_sha256, revocation.serial, revocation.revoked_at_ms)
    if was_behind:
        log.warning("a revocation was completed from the log", count=1)
        issuers = [one for one in office.hierarchy.issuing.values() if one.key_sha256 == said.issuer_key_sha256]
        await office.publish(issuers, list(office.moments_ms()))


def said_in(said: CredentialRevoked) -> Revocation:
    """The revocation that the log tells of."""
    return Revocation(
        issuer_key_sha256=said.issuer_key_sha256,
        serial=int(said.serial, 16),
        revoked_at_ms=said.revoked_at_ms,
        reason=Reason(said.reason.value),
        invalid_from_ms=None if said.invalid_from_ms is UNSET else said.invalid_from_ms,
    )


def _state(book: CredentialBook, issuer_key_sha256: str, serial: int) -> CredentialState | None:
    return book.find(issuer_key_sha256, serial_text(serial))


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
