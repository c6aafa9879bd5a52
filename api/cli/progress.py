"""How far a long command is, for whoever looks at a terminal."""

from collections.abc import Callable
from typing import Final, TextIO

WIDTH: Final = 30
EVERY_S: Final = 0.2
"""How often the line is written again."""


class Bar:
    """One line that is written over: a bar, how much is done, and how long the rest will take at this speed."""

    def __init__(self, out: TextIO, now_s: Callable[[], float], what: str) -> None:
        """Writes nothing yet; `now_s` never goes back."""
        self._out = out
        self._now_s = now_s
        self._what = what
        self._began_s = now_s()
        self._shown_s: float | None = None

    def show(self, done: int, total: int) -> None:
        """So much is done; the last time, at the total, the line is ended."""
        now_s = self._now_s()
        is_done = done >= total
        if not is_done and self._shown_s is not None and now_s - self._shown_s < EVERY_S:
            return
        self._shown_s = now_s
        filled = WIDTH * done // total if total else WIDTH
        bar = "#" * filled + "." * (WIDTH - filled)
        text = f"[{bar}] {done:,} of {total:,} {self._what}"
        if not is_done and done:
            text += f", {_shown((now_s - self._began_s) * (total - done) / done)} left"
        self._out.write(f"\r{text}\x1b[K" + ("\n" if is_done else ""))
        self._out.flush()


def _shown(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
