"""What bounds a listener for stations: its limits, the pace of one station, and what it counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What a listener has seen since its start."""

    admitted: int = 0
    refused: int = 0
    turned_away: int = 0
    cut: int = 0
    slowed: int = 0
    ended: int = 0
    frames_in: int = 0
    frames_refused: int = 0
    frames_ignored: int = 0
    answers_unmatched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a listener; times in real seconds.

    `max_opening`: connections that have not yet said which station they are; the next is cut. `frames_per_s`: what a
    station may send in the long run, after `burst` frames at once; a faster one is read more slowly, and its own
    connection fills up.
    """

    max_connections: int = 2000
    max_opening: int = 500
    frames_per_s: float = 200.0
    burst: int = 2000
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 20.0
    open_timeout_s: float = 10.0
    close_timeout_s: float = 2.0


class Pace:
    """How long to wait before the next frame of one station is read: a bucket that fills steadily."""

    def __init__(self, per_s: float, burst: int) -> None:
        """Full at first."""
        self._per_s, self._burst = per_s, float(burst)
        self._left, self._at_s = float(burst), 0.0

    def wait_s(self, now_s: float) -> float:
        """One frame is taken; 0 while there is room for it. `now_s` is a clock that never goes back."""
        if self._at_s:
            self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        self._left -= 1
        return max(0.0, -self._left / self._per_s)
