"""Who has sold what: for each EVSE and instant, accepted capacity against capability.

EVSEs are known here by blind tags only. A booking whose end has passed is forgotten: no new one can overlap it.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ledger.records.sites import SiteConfigured
from ledger.rules.errors.answers import BaselineShared, DoubleSelling, EvseNotAtSite
from ledger.rules.tables import Plain, Row, Shape, Source, Table, Tables

Holder = tuple[str, str]
"""(request, participation)."""


class Booking(msgspec.Struct, frozen=True):
    """Capacity of one EVSE, bound from `start_at_ms` until just before `end_at_ms`."""

    holder: Holder
    tag: str
    start_at_ms: int
    end_at_ms: int
    up_w: int
    down_w: int
    sets_reactive: bool = False
    is_counted: bool = False
    """Whether what it delivers is the difference to a baseline."""

    def overlaps(self, other: "Booking") -> bool:
        """Whether both hold the same EVSE at some instant."""
        is_same = self.tag == other.tag and self.holder != other.holder
        return is_same and self.start_at_ms < other.end_at_ms and other.start_at_ms < self.end_at_ms


_decode = msgspec.json.Decoder(list[Booking]).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Bookings(Shape[dict[Holder, Booking]]):
    """By holder; written down as a list, in the order in which they were made."""

    def read(self, source: Source, key: str) -> tuple[dict[Holder, Booking] | None, bytes | None]:
        octets = source.value(self.kind, key)
        if octets is None:
            return None, None
        return {one.holder: one for one in _decode(octets)}, octets

    def row(self, key: str, value: dict[Holder, Booking]) -> Row:
        return Row(self.kind, key, _encode(list(value.values())) if value else None)


class Capacity:
    """Capabilities and bookings of all EVSEs whose tags are known."""

    def __init__(self, tables: Tables) -> None:
        """Its tables are among these."""
        new = tables.new
        self._can_w: Table[int] = new(Plain("can-w", int))
        self._site_of: Table[str] = new(Plain("site-of-tag", str))
        self._tags_at: Table[frozenset[str]] = new(Plain("tags-at", frozenset[str]))
        self._active: Table[dict[Holder, Booking]] = new(Bookings("booked"))
        """By tag."""
        self._made: Table[dict[Holder, Booking]] = new(Bookings("booked-by"))
        """By request."""
        self._withdrawn: Table[set[str]] = new(Plain("opted-out", set[str]))
        """Participations by request."""

    def knows_site(self, site_id: str) -> bool:
        """Whether the tags of that site's EVSEs are known."""
        return bool(self._tags_at.get(site_id))

    def configure(self, site: SiteConfigured, tags: Mapping[str, str]) -> None:
        """From here on the site's EVSEs can do what this configuration says."""
        for tag in self._tags_at.get(site.site_id, frozenset()):
            self._site_of.pop(tag, None)
            self._can_w.pop(tag, None)
        known = {tags[evse.evse_id]: evse for evse in site.evses if evse.evse_id in tags}
        for tag, evse in known.items():
            self._can_w[tag] = evse.can_w
            self._site_of[tag] = site.site_id
        self._tags_at[site.site_id] = frozenset(known)

    def change(self, site: SiteConfigured, tags: Mapping[str, str]) -> None:
        """From here on the tagged ones of the site's EVSEs can do what this configuration says; the others stay."""
        evses = {evse.evse_id: evse for evse in site.evses}
        there = set(self._tags_at.get(site.site_id, frozenset()))
        for evse_id, tag in tags.items():
            if evse_id in evses:
                there.add(tag)
                self._can_w[tag] = evses[evse_id].can_w
                self._site_of[tag] = site.site_id
            else:
                there.discard(tag)
                self._can_w.pop(tag, None)
                self._site_of.pop(tag, None)
        self._tags_at[site.site_id] = frozenset(there)

    def held_until(self, tag: str, at_ms: int, *, running: bool) -> int | None:
        """When the last booking of the EVSE ends, after `at_ms`; with `running`, of those that run at that time."""
        ends = [
            one.end_at_ms
            for one in self._active.get(tag, {}).values()
            if at_ms < one.end_at_ms and (not running or one.start_at_ms <= at_ms)
        ]
        return max(ends, default=None)

    def require_at_site(self, tag: str, site_id: str, participation: str) -> None:
        """Raises `EvseNotAtSite` unless the EVSE belongs to the site."""
        if self._site_of.get(tag) != site_id:
            raise EvseNotAtSite("an EVSE of another site is offered", expected=site_id, participation=participation)

    def require_free(self, wanted: Iterable[Booking]) -> None:
        """Raises `DoubleSelling` unless all of `wanted` fits beside what is booked, at every instant, both ways.

        Raises `BaselineShared` where one EVSE would be measured against a baseline for two requests at once.
        """
        wanted = tuple(wanted)
        for new in wanted:
            beside = [*self._active.get(new.tag, {}).values(), *(other for other in wanted if other != new)]
            at_once = [other for other in beside if new.overlaps(other)]
            self._require_fits(new, at_once)
            _require_counted_once(new, at_once)

    def _require_fits(self, new: Booking, others: list[Booking]) -> None:
        can_w = self._can_w.get(new.tag, 0)
        for at_ms in {new.start_at_ms, *(max(new.start_at_ms, other.start_at_ms) for other in others)}:
            holding = [new, *(other for other in others if other.start_at_ms <= at_ms < other.end_at_ms)]
            for way, sold_w in (("up", sum(b.up_w for b in holding)), ("down", sum(b.down_w for b in holding))):
                if sold_w > can_w:
                    raise DoubleSelling(
                        f"more {way} than the EVSE can do is accepted for one instant",
                        expected=f"at most {can_w} W",
                        found=f"{sold_w} W",
                        participation=new.holder[1],
                        at_ms=at_ms,
                    )
            if sum(b.sets_reactive for b in holding) > 1:
                raise DoubleSelling(
                    "an inverter follows one curve of reactive power at a time",
                    expected="one such service",
                    found=sum(b.sets_reactive for b in holding),
                    participation=new.holder[1],
                    at_ms=at_ms,
                )

    def book(self, bookings: Iterable[Booking], now_ms: int) -> None:
        """The capacity is bound."""
        for booking in bookings:
            held = self._active.setdefault(booking.tag, {})
            for holder in [holder for holder, old in held.items() if old.end_at_ms <= now_ms]:
                del held[holder]
            held[booking.holder] = booking
            self._made.setdefault(booking.holder[0], {})[booking.holder] = booking

    def withdrawn(self, holder: Holder) -> Booking | None:
        """What this participation held before it opted out."""
        if holder[1] not in self._withdrawn.get(holder[0], ()):
            return None
        return self._made.get(holder[0], {}).get(holder)

    def withdraw(self, holder: Holder) -> None:
        """The participation opted out: its capacity is free, and remembered in case it comes back."""
        booking = self._made.get(holder[0], {}).get(holder)
        if booking is not None:
            self._active.get(booking.tag, {}).pop(holder, None)
            self._withdrawn.setdefault(holder[0], set()).add(holder[1])

    def restore(self, holder: Holder, now_ms: int) -> None:
        """The participation is in again."""
        booking = self.withdrawn(holder)
        if booking is not None:
            self._withdrawn[holder[0]].discard(holder[1])
            self.book((booking,), now_ms)

    def release(self, fsr_id: str) -> None:
        """The request is over: nothing is bound by it any more."""
        for holder, booking in self._made.pop(fsr_id, {}).items():
            self._active.get(booking.tag, {}).pop(holder, None)
        self._withdrawn.pop(fsr_id, None)


def _require_counted_once(new: Booking, at_once: Iterable[Booking]) -> None:
    for other in at_once:
        if new.is_counted and other.is_counted and new.holder[0] != other.holder[0]:
            raise BaselineShared(
                "the same saved watts would count twice",
                expected="one request against a baseline at a time",
                participation=new.holder[1],
                at_ms=max(new.start_at_ms, other.start_at_ms),
            )
