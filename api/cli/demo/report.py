"""What the day shows while it runs, and the table at its end: what was verified, and what each attack got."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that had to hold."""

    what: str
    holds: bool
    found: str
    kind: str


@dataclass(slots=True)
class Report:
    """Collects expectations; `holds` only if there are some and all of them do."""

    expectations: list[Expectation] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)
    is_shown: bool = True
    """Whether what happens is printed while it does."""

    @property
    def holds(self) -> bool:
        """Everything that had to hold does."""
        return bool(self.expectations) and all(one.holds for one in self.expectations)

    def scene(self, when: str, what: str) -> None:
        """A new scene begins."""
        self._echo(f"[{time.monotonic() - self.started:5.1f} s] {when:>9}  {what}", bold=True)

    def line(self, text: str) -> None:
        """Something happened."""
        self._echo(f"{'':22}{text}")

    def expect(self, what: str, holds: bool, found: object, kind: str = "story") -> None:
        """Something had to hold; it is shown at once and again at the end."""
        one = Expectation(what, holds, str(found), kind)
        self.expectations.append(one)
        mark = typer.style("ok", fg="green") if holds else typer.style("NOT SO", fg="red", bold=True)
        self._echo(f"{'':22}{mark}  {what}: {found}")

    def _echo(self, text: str = "", *, bold: bool = False) -> None:
        if self.is_shown:
            typer.secho(text, bold=bold)

    def print(self, seconds: float, out: Path | None) -> None:
        """The table."""
        self._echo()
        for kind, title in (
            ("story", "What happened"),
            ("attack", "What each attack got"),
            ("verified", "What was verified offline"),
            ("privacy", "Erasure and exports"),
        ):
            rows = [one for one in self.expectations if one.kind == kind]
            if rows:
                self._echo(title, bold=True)
                for one in rows:
                    mark = "ok    " if one.holds else "NOT SO"
                    self._echo(f"  {mark} {one.what:<62} {one.found}")
        failed = sum(not one.holds for one in self.expectations)
        self._echo()
        self._echo(f"{len(self.expectations) - failed} of {len(self.expectations)} hold, in {seconds:.0f} s")
        if out is not None:
            self._echo(f"left in {out}: log/ bundles/ reports/ exports/ ca/ policy.json report.json")

    def document(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "holds": self.holds,
            "expectations": [
                {"kind": one.kind, "what": one.what, "holds": one.holds, "found": one.found}
                for one in self.expectations
            ],
            **self.facts,
        }
