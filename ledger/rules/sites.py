"""Rules of sites, claims and sessions."""

from ledger.records.actor import Role
from ledger.records.sites import ClaimRegistered, SessionMirrored, SiteConfigured
from ledger.rules.errors import AlreadyRecorded, EvseNotAtSite, SiteUnknown, TimesContradict, VersionGap
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.standing import require_party


def site_configured(seen: Projection, fact: Fact, record: SiteConfigured) -> None:
    """One CSO configures a site, version after version; an EVSE stands at one site."""
    site = seen.sites.get(record.site_id)
    if site is not None:
        require_party(fact, site.cso)
    wanted = site.configured.version + 1 if site is not None else 1
    if record.version != wanted:
        raise VersionGap("versions count up by one", expected=wanted, found=record.version)
    names = [evse.evse_id for evse in record.evses]
    if len(set(names)) != len(names):
        raise AlreadyRecorded("an EVSE is listed twice", expected=len(names), found=len(set(names)))
    for evse_id in names:
        other = seen.site_of_evse.get(evse_id, record.site_id)
        if other != record.site_id:
            raise EvseNotAtSite("an EVSE stands at another site", expected=record.site_id, found=other)


def claim_registered(seen: Projection, _fact: Fact, record: ClaimRegistered) -> None:
    """A claim is registered once and is valid for some time."""
    if record.claim_id in seen.claims:
        raise AlreadyRecorded("the claim is registered", claim_id=record.claim_id)
    if record.not_before_ms >= record.not_after_ms:
        raise TimesContradict("it is never valid", expected="not_before_ms < not_after_ms")


def session_mirrored(seen: Projection, fact: Fact, record: SessionMirrored) -> None:
    """A session is mirrored for a known site; a CSO mirrors its own."""
    if not seen.sees_log:
        return
    site = require_site(seen, record.site_id)
    if fact.actor.role is Role.CSO:
        require_party(fact, site)


def require_site(seen: Projection, site_id: str) -> str:
    """The CSO of a configured site; raises `SiteUnknown`."""
    site = seen.sites.get(site_id)
    if site is None:
        raise SiteUnknown("the site is not configured", site_id=site_id)
    return site.cso
