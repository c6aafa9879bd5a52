"""`Clock`: the only way anything here learns the time, so that tests and the demo day can say what time it is."""

import time
from typing import Protocol

MS_PER_S = 1000


class Clock(Protocol):
    """A source of time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z, as the machine believes."""
        return time.time_ns() // 1_000_000


class SetClock:
    """A clock that says what it was told; for tests, replays and the demo day."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """What it was told last."""
        return self._now_ms

    def set_ms(self, now_ms: int) -> None:
        """From now on it is `now_ms`; a clock may be set back, and those who mind must notice."""
        self._now_ms = now_ms
