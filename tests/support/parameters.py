"""Parameters of requests for tests of the rules, and the one day on which they stand."""

from ledger.records.services import CongestionParams, CongestionStep, Direction, FfrParams, LimitMandatoryParams

MIDNIGHT_MS = 1_768_860_000_000
"""2026-01-20, the day's first instant at UTC+2."""


def at(clock: str) -> int:
    """The instant of the day, in Unix milliseconds, of "hh:mm"."""
    hours, minutes = clock.split(":")
    return MIDNIGHT_MS + (int(hours) * 60 + int(minutes)) * 60_000


def congestion(ordered_w: int = 20_000, start_ms: int = at("17:00"), end_ms: int = at("18:00")) -> CongestionParams:
    """Less import in four periods of equal length, quarters of an hour unless other times are given."""
    each_ms = max(1, (end_ms - start_ms) // 4)
    steps = [
        CongestionStep(start_at_ms=start_ms + n * each_ms, duration_ms=each_ms, ordered_w=ordered_w) for n in range(4)
    ]
    return CongestionParams(congestion_point="CP-1", direction=Direction.UP, series=tuple(steps))


def armed(capacity_w: int = 20_000) -> FfrParams:
    """Less import within a second of a fall of the frequency, whatever the baseline."""
    return FfrParams(
        f_trigger_millihertz=49_600,
        t_full_ms=1000,
        support_ms=30_000,
        release_ppm_per_s=200_000,
        capacity_w=capacity_w,
        max_over_ppm=350_000,
        direction=Direction.UP,
    )


CAP = LimitMandatoryParams(import_cap_w=33_600, floor_w_per_evse=4_200, t_comply_ms=60_000)
