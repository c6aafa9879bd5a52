"""Every failure of `ledger` is one of four kinds, because a caller can react in four ways.

    LedgerError
    ├─ Refused   the caller, or the evidence shown to us, is wrong: a 4xx, never retried
    ├─ Absent    what was asked for is not there: 404
    ├─ Busy      try again later: 503 with Retry-After
    └─ Broken    our own evidence is wrong: writing stops until a person has looked

Each leaf class has a stable `code`; the message says what was expected and what was found. Neither ever carries
personal data, a key or a token. `docs/reference/errors.md` lists every code.
"""

from typing import ClassVar, Final

MAX_SHOWN: Final = 1_024
"""Characters of one part of a message: the rest of a longer one says nothing that a reader needs."""


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Words of whoever, as a message repeats them: on one line, nothing that moves a cursor, and not too many."""
    cut = text if len(text) <= limit else f"{text[:limit]}\N{HORIZONTAL ELLIPSIS}"
    if cut.isprintable():
        return cut
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut)


class LedgerError(Exception):
    """Base of all; `code` is stable, `expected` and `found` are safe to show to the caller."""

    code: ClassVar[str] = "ledger/error"
    title: ClassVar[str] = "Something failed"

    def __init__(
        self,
        detail: str,
        *,
        expected: object | None = None,
        found: object | None = None,
        **where: str | int,
    ) -> None:
        """`where` names the place in typed fields, such as `index=12` or `stream="fsr/..."`."""
        # Much of it was written by whoever is wrong, and it is printed and logged as it stands.
        self.detail = shown(detail)
        self.expected = None if expected is None else shown(str(expected))
        self.found = None if found is None else shown(str(found))
        self.where = {name: shown(value) if isinstance(value, str) else value for name, value in where.items()}
        super().__init__(self.message())

    def message(self) -> str:
        """One line: where, what, expected and found."""
        place = " ".join(f"{key}={value}" for key, value in self.where.items())
        text = f"{place}: {self.detail}" if place else self.detail
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.found is not None:
            text += f"{', found' if self.expected is not None else '; found'} {self.found}"
        return text


class Refused(LedgerError):
    """The caller is wrong, or the evidence shown to us is: never retried unchanged."""

    code = "ledger/refused"
    title = "Refused"


class Absent(LedgerError):
    """What was asked for is not there."""

    code = "ledger/absent"
    title = "Not found"


class Busy(LedgerError):
    """Try again later; nothing was changed."""

    code = "ledger/busy"
    title = "Busy"


class Broken(LedgerError):
    """Our own evidence is wrong; writing stops until a person has looked."""

    code = "ledger/broken"
    title = "Own evidence is broken"
