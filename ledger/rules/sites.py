"""Rules of sites, claims and sessions."""

from collections.abc import Iterable

from ledger.records.actor import Role
from ledger.records.embedded import EmbeddedActed
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import (
    ClaimKind,
    ClaimRegistered,
    ClaimWithdrawn,
    InstallationLinked,
    SessionMirrored,
    SiteAvailable,
    SiteConfigured,
)
from ledger.records.work import Verdict
from ledger.rules import configuration
from ledger.rules.errors.answers import EvseNotAtSite
from ledger.rules.errors.checks import CapabilityContradicts, ClaimUnknown, EmbeddedVerdict, LinkSubject
from ledger.rules.errors.requests import SiteUnknown
from ledger.rules.errors.sites import EvseCommitted, SiteSize
from ledger.rules.errors.writing import AlreadyRecorded, TimesContradict, VersionGap
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.site_state import MAX_FORECASTS
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
    configuration.require_capabilities(record)
    _require_here(seen, record.site_id, names)
    if site is not None:
        _require_uncommitted(seen, fact, site.configured, record)


def site_changed(seen: Projection, fact: Fact, record: SiteChanged) -> None:
    """The CSO of a configured site changes the version in force; what an accepted request holds stays."""
    require_party(fact, require_site(seen, record.site_id))
    before = seen.sites[record.site_id].configured
    after = configuration.changed(before, record)
    _require_here(seen, record.site_id, [evse.evse_id for evse in after.evses])
    _require_uncommitted(seen, fact, before, after)


def _require_here(seen: Projection, site_id: str, names: Iterable[str]) -> None:
    for evse_id in names:
        other = seen.site_of_evse.get(evse_id, site_id)
        if other != site_id:
            raise EvseNotAtSite("an EVSE stands at another site", expected=site_id, found=other)


def _require_uncommitted(seen: Projection, fact: Fact, before: SiteConfigured, after: SiteConfigured) -> None:
    """Power that is less than before is a fact and stays admissible; what no longer stands there cannot deliver."""
    there = {evse.evse_id: evse for evse in after.evses}
    for evse in before.evses:
        now = there.get(evse.evse_id)
        tag = fact.tags.get(evse.evse_id)
        if tag is None or not configuration.exchanged(evse, now):
            continue
        until_ms = seen.capacity.held_until(tag, fact.now_ms, running=now is not None)
        if until_ms is not None:
            raise EvseCommitted(
                "an accepted request holds it",
                expected=f"at or after {until_ms}",
                found=fact.now_ms,
                evse_id=evse.evse_id,
            )


def site_available(seen: Projection, fact: Fact, record: SiteAvailable) -> None:
    """The operator of a configured site forecasts what its EVSEs can do in a time to come, not too often."""
    require_party(fact, require_site(seen, record.site_id))
    if not fact.now_ms < record.until_ms or record.from_ms >= record.until_ms:
        raise TimesContradict("it forecasts no time to come", expected="from_ms < until_ms, after now")
    can_w = sum(evse.can_w for evse in seen.sites[record.site_id].configured.evses)
    if max(record.up_w, record.down_w) > can_w:
        raise CapabilityContradicts(
            "more than its EVSEs can do", expected=f"at most {can_w} W", found=f"{max(record.up_w, record.down_w)} W"
        )
    holding = seen.sites[record.site_id].forecasts_with(record, fact.now_ms)
    if holding > MAX_FORECASTS:
        raise SiteSize("too many forecasts hold at once", expected=f"at most {MAX_FORECASTS}", found=holding)


def claim_registered(seen: Projection, fact: Fact, record: ClaimRegistered) -> None:
    """The operator of a configured site registers a claim, once; the claim is valid for some time."""
    _require_registrable(seen, fact, record)


def installation_linked(seen: Projection, fact: Fact, record: InstallationLinked) -> None:
    """The operator of a configured site registers a link of one thing, once; the link is valid for some time."""
    _require_registrable(seen, fact, record)
    if record.subject not in (ClaimKind.EVSE, ClaimKind.EV):
        raise LinkSubject("a link is of one thing", expected="EVSE or EV", found=record.subject)


def claim_withdrawn(seen: Projection, fact: Fact, record: ClaimWithdrawn) -> None:
    """The operator of the site withdraws what is registered there and was not withdrawn before."""
    require_party(fact, require_site(seen, record.site_id))
    if seen.claims.get(record.claim_id) != record.site_id:
        raise ClaimUnknown("no such claim or link is registered at the site", claim_id=record.claim_id)
    if record.claim_id in seen.withdrawn:
        raise AlreadyRecorded("the claim is withdrawn", claim_id=record.claim_id)


def _require_registrable(seen: Projection, fact: Fact, record: ClaimRegistered | InstallationLinked) -> None:
    # The site's configuration stands in the same stream, so one stream alone decides this.
    require_party(fact, require_site(seen, record.site_id))
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


def embedded_acted(seen: Projection, fact: Fact, record: EmbeddedActed) -> None:
    """The port of a configured site records what a function did there. Nothing was asked for: it says so, or that
    nobody can tell, and the first needs samples.
    """
    site = seen.sites.get(record.site_id)
    if site is None:
        raise SiteUnknown("the site is not configured", site_id=record.site_id)
    if fact.actor.role is Role.CSO:
        require_party(fact, site.cso)
    wanted = {Verdict.UNPROVABLE} if record.n == 0 else {Verdict.INFORMATIVE, Verdict.UNPROVABLE}
    if record.verdict not in wanted:
        raise EmbeddedVerdict(
            "not a verdict about what nobody asked for", expected=" or ".join(sorted(wanted)), found=record.verdict
        )


def require_site(seen: Projection, site_id: str) -> str:
    """The CSO of a configured site; raises `SiteUnknown`."""
    site = seen.sites.get(site_id)
    if site is None:
        raise SiteUnknown("the site is not configured", site_id=site_id)
    return site.cso
