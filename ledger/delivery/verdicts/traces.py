"""The power of a sampled resource at an instant, exactly as the samples say it, or None."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from ledger.delivery.samples import AnySample, is_usable


class Trace:
    """Samples with lookup by time; a sample stands until the next one, at most for `max_hold_ms`.

    An unusable sample ends the one before it and stands for nothing.
    """

    def __init__(self, samples: Sequence[AnySample], max_hold_ms: int) -> None:
        """`samples` as `samples.decode` gives them: times strictly rising."""
        self._samples = samples
        self._times = [sample.t_ms for sample in samples]
        self._usable = [is_usable(sample) for sample in samples]
        self.max_hold_ms = max_hold_ms

    def power_w(self, at_ms: int) -> int | None:
        """W at this instant; None where no usable sample stands for it."""
        place = bisect_right(self._times, at_ms) - 1
        if place < 0 or at_ms - self._times[place] >= self.max_hold_ms or not self._usable[place]:
            return None
        return self._samples[place].power_w

    def between(self, start_at_ms: int, end_at_ms: int) -> Sequence[AnySample]:
        """The usable samples with start <= t < end."""
        first, last = bisect_left(self._times, start_at_ms), bisect_left(self._times, end_at_ms)
        return [self._samples[place] for place in range(first, last) if self._usable[place]]

    def is_whole(self, start_at_ms: int, end_at_ms: int, *, max_hold_ms: int | None = None) -> bool:
        """Every instant of start <= t < end has a usable sample that stands for it, here for `max_hold_ms`."""
        hold_ms = self.max_hold_ms if max_hold_ms is None else max_hold_ms
        at, place = start_at_ms, bisect_right(self._times, start_at_ms) - 1
        while at < end_at_ms:
            if not 0 <= place < len(self._times) or not self._usable[place]:
                return False
            following = self._times[place + 1] if place + 1 < len(self._times) else end_at_ms
            stands_until = min(following, self._times[place] + hold_ms)
            if stands_until <= at:
                return False
            at, place = stands_until, place + 1
            if at < end_at_ms and at < following:
                return False
        return True
