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

MAX_FORECASTS = 192
"""That hold at once, for a site: two days in quarters of an hour."""


class Forecast(msgspec.Struct, frozen=True):
    """One word about what a site can do in a time to come."""

    index: int
    """Of its entry."""
    recorded_at_ms: int
    said: SiteAvailable


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
    available: list[Forecast] = msgspec.field(default_factory=list)
    """Those that still said something of a time to come when the newest was recorded, oldest first."""
    places: list[int] = msgspec.field(default_factory=list)
    """Indices of the entries that made it what it is, among all that its stream holds."""

    @property
    def configured(self) -> SiteConfigured:
        """The newest configuration."""
        return self.versions[-1][1]

    def available_at(self, at_ms: int) -> SiteAvailable | None:
        """The newest forecast for that time, or None; the log tells of earlier ones."""
        return next(
            (one.said for one in reversed(self.available) if one.said.from_ms <= at_ms < one.said.until_ms), None
        )

    def forecasts(self, at_ms: int) -> tuple[SiteAvailable, ...]:
        """The forecasts that held at or after that time, oldest first; none for one before the newest forecast came."""
        if not self.available or at_ms < self.available[-1].recorded_at_ms:
            return ()
        return tuple(one.said for one in self.available if one.said.until_ms > at_ms)

    def forecasts_with(self, record: SiteAvailable, now_ms: int) -> int:
        """How many forecasts would still say something if this one was recorded; one too many counts as all."""
        return len(_that_say_something([*self.available, Forecast(-1, now_ms, record)], now_ms))

    def forecast(self, index: int, now_ms: int, record: SiteAvailable) -> None:
        """A forecast was recorded; older ones that are over, or of which later ones have said all, are let go."""
        told = [*self.available, Forecast(index, now_ms, record)]
        self.available = _that_say_something(told, now_ms)
        gone = {one.index for one in told} - {one.index for one in self.available}
        self.places = [place for place in (*self.places, index) if place not in gone]

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


def _that_say_something(told: list[Forecast], now_ms: int) -> list[Forecast]:
    """Those that are the newest word about some instant from now on, oldest first; at most one too many."""
    kept: list[Forecast] = []
    spoken_of: list[tuple[int, int]] = []
    """Times of which newer ones speak, apart and in order."""
    for one in reversed(told):
        if len(kept) > MAX_FORECASTS:
            break
        from_ms, until_ms = max(one.said.from_ms, now_ms), one.said.until_ms
        if from_ms >= until_ms or any(begin <= from_ms and until_ms <= end for begin, end in spoken_of):
            continue
        kept.append(one)
        spoken_of = _joined(spoken_of, (from_ms, until_ms))
    return kept[::-1]


def _joined(apart: list[tuple[int, int]], another: tuple[int, int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for begin, end in sorted([*apart, another]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
