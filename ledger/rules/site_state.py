"""`SiteState`: a site's configurations and claims, as the log tells them."""

from dataclasses import dataclass, field

from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SiteAvailable, SiteConfigured


@dataclass(slots=True)
class SiteState:
    """A site: who operates it, and every version of its configuration."""

    site_id: str
    cso: str
    versions: list[tuple[int, SiteConfigured]] = field(default_factory=list)
    """(recorded at, configuration), oldest first."""
    claims: list[ClaimRegistered | InstallationLinked] = field(default_factory=list)
    """Claims and links, in the order in which they were registered."""
    withdrawn: dict[str, ClaimWithdrawn] = field(default_factory=dict)
    """By claim or link."""
    available: list[SiteAvailable] = field(default_factory=list)
    """Forecasts, oldest first."""
    places: list[int] = field(default_factory=list)
    """Indices of the entries that made it what it is, among all that its stream holds."""

    @property
    def configured(self) -> SiteConfigured:
        """The newest configuration."""
        return self.versions[-1][1]

    def available_at(self, at_ms: int) -> SiteAvailable | None:
        """The newest forecast for that time, or None."""
        return next((one for one in reversed(self.available) if one.from_ms <= at_ms < one.until_ms), None)

    def at(self, at_ms: int) -> SiteConfigured | None:
        """The configuration in force at that time, or None before the first."""
        for recorded_at_ms, version in reversed(self.versions):
            if recorded_at_ms <= at_ms:
                return version
        return None
