"""How far long work is, for whoever asks meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work under way: what is done, and how much of it."""

    what: str
    done: int
    total: int


class Doing:
    """Where a piece of work says how far it is."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._done = 0
        self._total = total

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done."""
        self._done = done
        self._total = self._total if total is None else total

    def step(self) -> Step:
        """How far it is now."""
        return Step(what=self._what, done=self._done, total=self._total)


class Work:
    """All long work of one office; it names kinds of work, never anybody."""

    def __init__(self) -> None:
        self._doing: list[Doing] = []

    @contextmanager
    def doing(self, what: str, total: int = 0) -> Iterator[Doing]:
        """A piece of work, for as long as the block runs."""
        one = Doing(what, total)
        self._doing.append(one)
        try:
            yield one
        finally:
            self._doing.remove(one)

    def steps(self) -> tuple[Step, ...]:
        """Everything under way."""
        return tuple(one.step() for one in self._doing)
