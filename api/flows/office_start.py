"""Before the office opens: log and store are brought in step, whichever of them a crash left behind.

Only what is open or new is read: gaps, revocations, and what the store got since it was last followed. How much was
issued in all does not matter. The log leads. What it says was revoked is revoked in the store and in the lists; what
the store holds and the log does not was done elsewhere, in a ceremony or offline, and is adopted. Done again, nothing
changes.
"""

import structlog
from msgspec import UNSET

from api import telemetry
from api.flows.office import Office
from api.flows.office_adopt import Adoption
from api.flows.office_journal import issuance_of
from ledger.records.credentials import CredentialRevoked
from ledger.rules.credential_state import CredentialState
from pki import issuance
from pki.store.records import CertificateAbsent, Issued, Reason, Revocation

log = structlog.get_logger()


async def catch_up(office: Office, adoption: Adoption) -> None:
    """Log, store, lists and this process's own memory tell the same of every credential.

    What was interrupted is settled: told to the log, or revoked as a precaution. An intent that only the log knows
    stays a gap, and is reported.
    """
    # First of all, so that what was left half done is settled before it is compared.
    repaired = await office.work(
        lambda: issuance.repair(office.store, office.journal, now_ms=office.desk.clock.now_ms(), patience_ms=None)
    )
    if repaired.recorded or repaired.revoked:
        log.warning("issuances were repaired", count=len(repaired.recorded) + len(repaired.revoked))
    book = office.desk.state.credentials
    for gap in book.gaps():
        held = _held(office, gap)
        if held is not None:
            await office.journal.say(issuance_of(held))
    await adoption.look()
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


def _held(office: Office, gap: CredentialState) -> Issued | None:
    """The certificate that the store has of what the log knows as intended alone; None if it has none."""
    try:
        found = office.store.get(gap.name.issuer_key_sha256, int(gap.name.serial, 16))
    except CertificateAbsent:
        return None
    return found if found.tbs_sha256 == gap.tbs_sha256 else None


async def _apply(office: Office, said: CredentialRevoked) -> None:
    """The store says what the log says, and the lists will."""
    revocation = said_in(said)
    was_behind = office.store.revocation_of(said.issuer_key_sha256, revocation.serial) is None
    try:
        if was_behind:
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
