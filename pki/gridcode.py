"""One country's grid-code file: its format, and what must hold in it before anybody relies on it.

A line says one thing, names what it rests on by clause, and how that was read. CONFIRMED: what was read says it.
UNCERTAIN: it was not read, or not far enough, and the line says what would settle it. Nothing here is fetched.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from pki.asn1.claims import DerFunction, Scheme
from pki.errors import Broken
from pki.roles import Service

FORMAT = 2
MAX_FILE_BYTES = 64 * 1024
MAX_ROWS = 64

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
SourceId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{2,40}$(?!\n)")]
Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]
When = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?|undated)$(?!\n)")]
"""A year, a month or a day; `undated` where the copy that was read bears none."""
Codes = Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)]


class GridCodeMalformed(Broken):
    """A packaged grid-code file does not say what it must, or contradicts itself."""

    code = "pki/grid-code-malformed"
    title = "A grid-code file is wrong"


class Obligation(StrEnum):
    """MANDATORY: it acts wherever one feeds in. OPERATOR: where the grid operator asks for it."""

    MANDATORY = "MANDATORY"
    OPERATOR = "OPERATOR"


class Status(StrEnum):
    """What the review of a line found."""

    CONFIRMED = "CONFIRMED"
    UNCERTAIN = "UNCERTAIN"


class Read(StrEnum):
    """How a clause was read, best first; always in a stored copy."""

    TEXT = "TEXT"
    """The provision itself."""
    PART = "PART"
    """The provision in part, its heading, or another provision of the same text that cites it."""
    PAGE = "PAGE"
    """A page, a form or a summary by its publisher, or by an operator who applies it."""
    SECONDARY = "SECONDARY"
    """Somebody else's account of it."""
    UNREAD = "UNREAD"
    """Named, and not read."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is left over and nothing is missing."""


class Source(_Strict, frozen=True, kw_only=True):
    """A document; `address` says where it is found, and is never fetched."""

    id: SourceId
    title: Text
    publisher: Name
    date: When
    address: Name


class Citation(_Strict, frozen=True, kw_only=True):
    """Where in a source it stands, and how that was read."""

    source: SourceId
    clause: Text
    read: Read


class _Line(_Strict, frozen=True, kw_only=True):
    """What every line has."""

    says: Text
    cites: Annotated[tuple[Citation, ...], msgspec.Meta(min_length=1, max_length=8)]
    status: Status
    reviewed_on: Day
    settled_by: Text | None = None
    """What would settle it; of an UNCERTAIN line only, and of each."""

    @property
    def best_read(self) -> Read:
        """How the best-read clause was read."""
        order = list(Read)
        return min((one.read for one in self.cites), key=order.index)


class ClaimsAsked(_Line, frozen=True, kw_only=True):
    """The weakest scheme that is enough, and the grid codes and standards of which a claim must name one."""

    weakest_scheme: str
    grid_codes: Codes = ()
    standards: Codes = ()


class FunctionAsked(_Line, frozen=True, kw_only=True):
    """A grid function: nobody requests it as a service, and nobody is paid for it."""

    name: str
    obligation: Obligation


class MarketKnown(_Line, frozen=True, kw_only=True):
    """A class of service that is sold there, and the functions that equipment must have been tested for to serve."""

    service: Service
    functions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]


class DutyKnown(_Line, frozen=True, kw_only=True):
    """What somebody must do or equipment must have beside a claim; told to readers, and never checked here."""

    name: Name


class Removed(_Strict, frozen=True, kw_only=True):
    """What a review struck out, and why."""

    said: Text
    why: Text
    removed_on: Day


class GridCode(_Strict, frozen=True, kw_only=True):
    """One country's file."""

    format: int
    region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)")]
    name: Name
    reviewed_on: Day
    reviewed: Text
    """What the review covered, and how it was made."""
    open_points: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)] = ()
    """What the review left open beside the uncertain lines."""
    claims: ClaimsAsked
    source: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
    function: Annotated[tuple[FunctionAsked, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()
    market: Annotated[tuple[MarketKnown, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()
    duty: Annotated[tuple[DutyKnown, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()
    removed: Annotated[tuple[Removed, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()

    @property
    def lines(self) -> tuple[ClaimsAsked | FunctionAsked | MarketKnown | DutyKnown, ...]:
        """Every line that was reviewed, in the order of the file's kinds."""
        return (self.claims, *self.function, *self.market, *self.duty)

    @property
    def weakest_scheme(self) -> Scheme:
        """The weakest scheme that is enough."""
        return Scheme[self.claims.weakest_scheme]

    def accepts(self, grid_code: str | None, standard: str) -> bool:
        """Whether a claim against this grid code, or by this standard, counts here; a name covers its editions."""
        named = ((grid_code, self.claims.grid_codes), (standard, self.claims.standards))
        return any(
            found is not None and (found == name or found.startswith(f"{name}:"))
            for found, names in named
            for name in names
        )

    def functions_for(self, service: Service) -> frozenset[DerFunction]:
        """What its market lines ask of equipment to provide `service`, beside what every region asks."""
        rows = [row for row in self.market if row.service is service]
        return frozenset(DerFunction[name] for row in rows for name in row.functions)


def parse(data: bytes, name: str) -> GridCode:
    """The file `name` (such as `FI.toml`), whole. Raises `GridCodeMalformed`."""
    import tomllib  # who asks about no region does not wait for it

    if len(data) > MAX_FILE_BYTES:
        raise GridCodeMalformed("too long", expected=f"at most {MAX_FILE_BYTES} bytes", found=len(data), file=name)
    try:
        value: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        code = msgspec.convert(value, GridCode)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise GridCodeMalformed("not a grid-code file", found=str(error)[:200], file=name) from error
    _require_sound(code, name)
    return code


def _require_sound(code: GridCode, name: str) -> None:
    if code.format != FORMAT:
        raise GridCodeMalformed("another format", expected=FORMAT, found=code.format, file=name)
    if name != f"{code.region}.toml":
        raise GridCodeMalformed("the file of another region", expected=f"{code.region}.toml", found=name, file=name)
    _require_sources(code, name)
    _require_names(code, name)
    _require_days(code, name)
    for line in code.lines:
        _require_reviewed(line, name)


def _require_sources(code: GridCode, name: str) -> None:
    known = [source.id for source in code.source]
    if len(set(known)) != len(known):
        raise GridCodeMalformed("a source is listed twice", expected=len(set(known)), found=len(known), file=name)
    used = {one.source for line in code.lines for one in line.cites}
    if used != set(known):
        raise GridCodeMalformed(
            "sources that nobody names, or names of none", found=", ".join(sorted(used ^ set(known))), file=name
        )


def _require_names(code: GridCode, name: str) -> None:
    if code.claims.weakest_scheme not in Scheme.__members__:
        raise GridCodeMalformed("no such scheme", found=code.claims.weakest_scheme, file=name)
    if not code.claims.grid_codes and not code.claims.standards:
        raise GridCodeMalformed("any claim would do", expected="a grid code or a standard", found="none", file=name)
    functions = [row.name for row in code.function]
    if len(set(functions)) != len(functions):
        raise GridCodeMalformed("a function is listed twice", found=len(functions), file=name)
    for function in (*functions, *(one for row in code.market for one in row.functions)):
        if function not in DerFunction.__members__:
            raise GridCodeMalformed("no such function", found=function, file=name)


def _require_days(code: GridCode, name: str) -> None:
    """Every day exists, and nothing was reviewed or removed after the file says that it was."""
    days = [code.reviewed_on, *(line.reviewed_on for line in code.lines), *(one.removed_on for one in code.removed)]
    for day in days:
        try:
            dt.date.fromisoformat(day)
        except ValueError as error:
            raise GridCodeMalformed("no such day", found=day, file=name) from error
        if day > code.reviewed_on:
            raise GridCodeMalformed(
                "a line that is newer than its review", expected=code.reviewed_on, found=day, file=name
            )


def _require_reviewed(line: _Line, name: str) -> None:
    """CONFIRMED rests on something that was read; UNCERTAIN says what would settle it."""
    uncertain = line.status is Status.UNCERTAIN
    if uncertain is (line.settled_by is None):
        expected = "what would settle it" if uncertain else "nothing that is still to settle"
        raise GridCodeMalformed("a status without its reason", expected=expected, found=line.says[:80], file=name)
    if not uncertain and line.best_read is Read.UNREAD:
        raise GridCodeMalformed("confirmed by nothing that was read", found=line.says[:80], file=name)
