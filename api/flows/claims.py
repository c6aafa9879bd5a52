"""What a party may see of conformity claims and links, and what is known of them now."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from api.errors import ApiError
from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.principals import Principal
from api.verification.documents import Registered
from ledger.records.sites import ClaimRegistered
from ledger.rules.errors.absent import SiteAbsent
from ledger.rules.site_state import SiteState
from pki.conformity import ClaimExpired
from pki.errors import PkiError
from pki.roles import Role
from pki.status import Revoked, StatusIndeterminate

SEES_ALL: Final = frozenset({Role.AUD, Role.DPO})
"""Who sees the claims of every site."""


class Standing(StrEnum):
    """What is known of a registered document now."""

    GOOD = "GOOD"
    WITHDRAWN = "WITHDRAWN"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    """Its revocation status cannot be known now; it covers nothing meanwhile."""
    REFUSED = "REFUSED"
    """Its signer, signature or form is no longer good here."""
    GONE = "GONE"
    """The document was erased, or was never disclosed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A registration, as far as the log says it, and its site."""

    registered: Registered
    site: SiteState


def visible(desk: Desk, principal: Principal, site_id: str | None = None) -> list[Found]:
    """The registrations that concern the caller, in the order of the log; of one site if it is given.

    The operator of a site sees all that is registered there, a conformity body what it signed, auditors and privacy
    officers everything. Raises `NotConcerned` for a site of which the caller sees nothing, be it there or not.
    """
    sites = list(desk.state.sites()) if site_id is None else _one(desk, site_id)
    found = [Found(one, site) for site in sites for one in site.claims if _concerns(desk, one, site, principal)]
    if site_id is not None and not found and not any(_operates(desk, site, principal) for site in sites):
        raise NotConcerned("no such site of yours")
    return found


def require_visible(desk: Desk, principal: Principal, claim_id: str) -> Found:
    """The registration; raises `NotConcerned`, the same for one that is not there and one that is not the caller's."""
    for found in visible(desk, principal):
        if found.registered.claim_id == claim_id:
            return found
    raise NotConcerned("no such claim of yours")


def standing(desk: Desk, memory: Memory, found: Found, at_ms: int) -> tuple[Standing, str | None, int | None]:
    """What is known of the document at `at_ms`, the code of what is wrong with it, and until when it is good."""
    claim_id = found.registered.claim_id
    if claim_id in found.site.withdrawn:
        return Standing.WITHDRAWN, None, None
    held = memory.claim(claim_id)
    if held is None:
        return Standing.GONE, None, None
    try:
        return Standing.GOOD, None, desk.directory.document(held[1], at_ms).status_valid_until_ms
    except (PkiError, ApiError) as error:
        return _wrong(error), error.code, None


def _wrong(error: PkiError | ApiError) -> Standing:
    if isinstance(error, Revoked):
        return Standing.REVOKED
    if isinstance(error, ClaimExpired):
        return Standing.EXPIRED
    return Standing.UNKNOWN if isinstance(error, StatusIndeterminate) else Standing.REFUSED


def _one(desk: Desk, site_id: str) -> list[SiteState]:
    try:
        return [desk.state.site(site_id)]
    except SiteAbsent:
        return []


def _operates(desk: Desk, site: SiteState, principal: Principal) -> bool:
    return principal.role in SEES_ALL or (principal.role is Role.CSO and principal.party in (site.cso, desk.me.party))


def _concerns(desk: Desk, registered: Registered, site: SiteState, principal: Principal) -> bool:
    is_signer = principal.role is Role.CB and registered.issuer == principal.party
    return is_signer or _operates(desk, site, principal)


def kind_of(registered: Registered) -> str:
    """Claim or link, in a word."""
    return "claim" if isinstance(registered, ClaimRegistered) else "link"
