"""What every verdict consists of, whatever the service class: integers and short names only."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from ledger.delivery.errors import WorkRefused
from ledger.delivery.rounding import PPM

MAX_PARTICIPATIONS = 1_000
MAX_PERIODS = 2_976
MAX_POWER_W = 1_000_000_000


class Verdict(StrEnum):
    """The outcome of one request. UNPROVABLE is never FAILED; INFORMATIVE owes nothing."""

    DELIVERED = "DELIVERED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    UNPROVABLE = "UNPROVABLE"
    INFORMATIVE = "INFORMATIVE"


class Direction(StrEnum):
    """UP helps a grid that lacks power (less import, more export), DOWN one that has too much."""

    UP = "UP"
    DOWN = "DOWN"


class Reason(StrEnum):
    """Why a participation, or an interval of it, does not count."""

    OPTED_OUT = "OPTED_OUT"
    INELIGIBLE = "INELIGIBLE"
    SUPERSEDED = "SUPERSEDED"
    GRID_CODE_OVERRIDE = "GRID_CODE_OVERRIDE"
    INABILITY = "INABILITY"
    DEPARTED = "DEPARTED"
    ABORTED = "ABORTED"
    NO_EVIDENCE = "NO_EVIDENCE"
    START_SPREAD = "START_SPREAD"


class Exclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A participation that does not count: as a whole where both times are 0, else in start <= t < end."""

    participation_id: str
    reason: Reason
    start_at_ms: int = 0
    end_at_ms: int = 0

    @property
    def is_whole(self) -> bool:
        """It never counts."""
        return self.start_at_ms == 0 and self.end_at_ms == 0


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contract's tolerance: a score from `delivered_from_ppm` is DELIVERED, from `partial_from_ppm` PARTIAL."""

    delivered_from_ppm: int = 1_000_000
    partial_from_ppm: int = 0

    def verdict(self, score_ppm: int) -> Verdict:
        """DELIVERED, PARTIAL or FAILED. A score of 0 is FAILED unless the contract's first threshold is 0."""
        if score_ppm >= self.delivered_from_ppm:
            return Verdict.DELIVERED
        if score_ppm >= self.partial_from_ppm and score_ppm > 0:
            return Verdict.PARTIAL
        return Verdict.FAILED

    def between(self, low_ppm: int, high_ppm: int) -> Verdict:
        """The verdict of a score known only to lie in low..high: UNPROVABLE where the two ends differ."""
        low, high = self.verdict(low_ppm), self.verdict(high_ppm)
        return low if low == high else Verdict.UNPROVABLE


class Period(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One interval. `excused_w` is the part of the order that exclusions took away; `coverage_ppm` below the
    contract's minimum means: not proven, neither paid nor penalised."""

    start_at_ms: int
    duration_ms: int
    baseline_w: int
    ordered_w: int
    actual_w: int
    delivered_w: int
    deficiency_w: int
    excused_w: int
    coverage_ppm: int


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one verdict function yields. `figures` are named in the spec, with units, per class."""

    algorithm: str
    verdict: Verdict
    score_ppm: int
    periods: tuple[Period, ...]
    figures: dict[str, int]
    parts: dict[str, dict[str, int]]


def require_thresholds(thresholds: Thresholds) -> None:
    """Raises WorkRefused unless 0 <= partial <= delivered <= 1,000,000."""
    if not 0 <= thresholds.partial_from_ppm <= thresholds.delivered_from_ppm <= PPM:
        raise WorkRefused("thresholds", expected="0 <= partial <= delivered <= 1,000,000 ppm")


def require_count(count: int, limit: int, what: str) -> None:
    """Raises WorkRefused unless 1 <= count <= limit."""
    if not 1 <= count <= limit:
        raise WorkRefused(f"number of {what}", expected=f"1..{limit}", found=count)


def require_positive(**values: int) -> None:
    """Raises WorkRefused for a value that is not a positive integer below 2^53."""
    for name, value in values.items():
        if not 0 < value < 2**53:
            raise WorkRefused("a value out of range", expected="1..2^53-1", found=value, field=name)


def require_ppm(**values: int) -> None:
    """Raises WorkRefused for a share outside 0..1,000,000."""
    for name, value in values.items():
        if not 0 <= value <= PPM:
            raise WorkRefused("a share out of range", expected="0..1,000,000 ppm", found=value, field=name)


def require_powers(powers_w: Sequence[int], what: str) -> None:
    """Raises WorkRefused for a power beyond 1 GW."""
    for power_w in powers_w:
        if abs(power_w) > MAX_POWER_W:
            raise WorkRefused(f"{what} beyond the limit", expected=f"|W| <= {MAX_POWER_W}", found=power_w)
