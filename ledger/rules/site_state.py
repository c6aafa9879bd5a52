"""`SiteState`: a site's configurations and claims, as the log tells them."""

import msgspec

from ledger.records.sites import (
    ClaimRegistered,
    ClaimWithdrawn,
    Evse,
    InstallationLinked,
    SiteAvailable,
    SiteConfigured,
)


class SiteState(msgspec.Struct):
    """A site: who operates it, and every version of its configuration."""

    site_id: str
    cso: str
    versions: list[tuple[int, SiteConfigured]] = msgspec.field(default_factory=list)
    """(recorded at, configuration), oldest first."""
    claims: list[ClaimRegistered | InstallationLinked] = msgspec.field(default_factory=list)
    """Claims and links, in the order in which they were registered."""
    withdrawn: dict[str, ClaimWithdrawn] = msgspec.field(default_factory=dict)
    """By claim or link."""
    available: list[SiteAvailable] = msgspec.field(default_factory=list)
    """Forecasts, oldest first."""
    places: list[int] = msgspec.field(default_factory=list)
    """Indices of the entries that made it what it is, among all that its stream holds."""

    @property
    def configured(self) -> SiteConfigured:
        """The newest configuration."""
        return self.versions[-1][1]

    def available_at(self, at_ms: int) -> SiteAvailable | None:
        """The newest forecast for that time, or None."""
        return next((one for one in reversed(self.available) if one.from_ms <= at_ms < one.until_ms), None)

    def executed(self, evse_id: str, start_at_ms: int) -> Evse | None:
        """The EVSE for a request that starts then: as configured at that time, or as it first was since, or None."""
        in_force = self.at(start_at_ms)
        since = [version for recorded_at_ms, version in self.versions if recorded_at_ms > start_at_ms]
        for version in since if in_force is None else [in_force, *since]:
            for evse in version.evses:
                if evse.evse_id == evse_id:
                    return evse
        return None

    def metered(self, evse_id: str, key_spki_sha256: str, start_at_ms: int) -> tuple[int, int | None]:
        """From when until when a meter's key is bound to an EVSE: None while it is; raises KeyError if it never was.

        A meter may be taken away and come back: told of is the time that a request which starts then has it in, or the
        first one after; where all were over by then, the last.
        """
        found: list[tuple[int, int | None]] = []
        since_ms = None
        for recorded_at_ms, version in self.versions:
            is_bound = any(
                (evse.evse_id, evse.meter.key_spki_sha256) == (evse_id, key_spki_sha256) for evse in version.evses
            )
            if since_ms is None and is_bound:
                since_ms = recorded_at_ms
            elif since_ms is not None and not is_bound:
                found.append((since_ms, recorded_at_ms))
                since_ms = None
        if since_ms is not None:
            found.append((since_ms, None))
        if not found:
            raise KeyError(evse_id)
        return next((one for one in found if one[1] is None or one[1] > start_at_ms), found[-1])

    def at(self, at_ms: int) -> SiteConfigured | None:
        """The configuration in force at that time, or None before the first."""
        for recorded_at_ms, version in reversed(self.versions):
            if recorded_at_ms <= at_ms:
                return version
        return None
