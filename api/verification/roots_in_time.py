"""Roots that count for a time only, as a log that changes its roots says."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from api.errors import Refused
from pki import trust
from pki.trust import TrustAnchors


class RootNotInForce(Refused):
    """The credential leads to a root of the log that does not count at that time: not yet, or no more."""

    code = "verify/root-not-in-force"
    title = "The root is not in force"


@dataclass(frozen=True, slots=True)
class RootWindow:
    """A root that counts from `from_ms` until `until_ms` (exclusive), or for good."""

    certificate: x509.Certificate
    from_ms: int = 0
    until_ms: int | None = None

    def is_open(self, at_ms: int) -> bool:
        """Whether it counts at that time."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


class RootsInTime:
    """The roots to believe at a time: all of `anchors` always, or, with `windows`, those whose window is open."""

    def __init__(self, anchors: TrustAnchors, windows: Sequence[RootWindow] = ()) -> None:
        self.whole = anchors
        """Every root, whenever it counts."""
        self.windows = tuple(windows)
        if windows:
            self.whole = _anchors([one.certificate for one in windows], anchors)
        self._moments = sorted({at for one in windows for at in (one.from_ms, one.until_ms) if at is not None})
        self._at: dict[tuple[int, ...], TrustAnchors] = {}

    def at(self, at_ms: int) -> TrustAnchors:
        """The roots that count at that time; `RootNotInForce` if none does."""
        if not self.windows:
            return self.whole
        places = tuple(place for place, one in enumerate(self.windows) if one.is_open(at_ms))
        if not places:
            raise RootNotInForce("no root of the log counts at this time", found=at_ms)
        if places not in self._at:
            self._at[places] = _anchors([self.windows[place].certificate for place in places], self.whole)
        return self._at[places]

    def next_moment(self, at_ms: int) -> int | None:
        """The first time after `at_ms` at which other roots count; None if there is none."""
        return next((moment for moment in self._moments if moment > at_ms), None)


def _anchors(roots: Sequence[x509.Certificate], like: TrustAnchors) -> TrustAnchors:
    return TrustAnchors([trust.encoded(root) for root in roots], allow_development=like.allow_development)
