"""What a region's grid code asks of equipment before it may feed in there, and what it may sell.

One reviewed data file a country (`pki/gridcodes/*.toml`), with its sources; what was not read in them is UNCERTAIN. A
country without a file is not known: nothing covers feeding in there until somebody has looked. The files are part of
the rules that a log was kept under: changing one changes what a check answers, so it is another version of the rules.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

import msgspec

from pki.asn1.claims import DerFunction, Scheme
from pki.errors import Broken
from pki.roles import Service

FORMAT = 1
FOLDER = "gridcodes"
MAX_FILE_BYTES = 64 * 1024
MAX_ROWS = 64

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
SourceId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{2,40}$(?!\n)")]
Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]
When = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$(?!\n)")]
"""A year, a month or a day."""
Sources = Annotated[tuple[SourceId, ...], msgspec.Meta(min_length=1, max_length=8)]


class GridCodeMalformed(Broken):
    """A packaged grid-code file does not say what it must, or contradicts itself."""

    code = "pki/grid-code-malformed"
    title = "A grid-code file is wrong"


class Obligation(StrEnum):
    """MANDATORY: it acts wherever one feeds in. OPERATOR: where the grid operator asks for it."""

    MANDATORY = "MANDATORY"
    OPERATOR = "OPERATOR"


class Certainty(StrEnum):
    """SOURCED: a named public source says it. UNCERTAIN: the source was not read, or says it only in part."""

    SOURCED = "SOURCED"
    UNCERTAIN = "UNCERTAIN"


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is left over and nothing is missing."""


class Source(_Strict, frozen=True, kw_only=True):
    """A public document; `address` says where it is found, and is never fetched."""

    id: SourceId
    title: Text
    publisher: Name
    date: When
    address: Name


class ClaimsAsked(_Strict, frozen=True, kw_only=True):
    """The weakest scheme that is enough, and the grid codes of which one must be named; none named: any will do."""

    weakest_scheme: str
    grid_codes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)]
    says: Text
    sources: Sources
    certainty: Certainty


class FunctionAsked(_Strict, frozen=True, kw_only=True):
    """A grid function: nobody requests it as a service, and nobody is paid for it."""

    name: str
    obligation: Obligation
    says: Text
    sources: Sources
    certainty: Certainty


class MarketKnown(_Strict, frozen=True, kw_only=True):
    """A class of service that is sold there, and the functions that equipment must have been tested for to serve."""

    service: Service
    functions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    says: Text
    sources: Sources
    certainty: Certainty


class GridCode(_Strict, frozen=True, kw_only=True):
    """One country's file."""

    format: int
    region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)")]
    name: Name
    reviewed: Day
    claims: ClaimsAsked
    source: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
    function: Annotated[tuple[FunctionAsked, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()
    market: Annotated[tuple[MarketKnown, ...], msgspec.Meta(max_length=MAX_ROWS)] = ()

    @property
    def weakest_scheme(self) -> Scheme:
        """The weakest scheme that is enough."""
        return Scheme[self.claims.weakest_scheme]

    def accepts_code(self, found: str | None) -> bool:
        """Whether a claim against the grid code `found` counts here; a code covers its editions."""
        codes = self.claims.grid_codes
        if not codes:
            return True
        return found is not None and any(found == code or found.startswith(f"{code}:") for code in codes)

    def functions_for(self, service: Service) -> frozenset[DerFunction]:
        """What its market rows ask of equipment to provide `service`, beside what every region asks."""
        rows = [row for row in self.market if row.service is service]
        return frozenset(DerFunction[name] for row in rows for name in row.functions)


FUNCTIONS_OF_SERVICE: dict[Service, frozenset[DerFunction]] = {
    Service.DROOP: frozenset({DerFunction.FREQUENCY_WATT}),
    Service.FFR: frozenset({DerFunction.FAST_FREQUENCY_RESPONSE}),
    Service.SETPOINT: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
    Service.RESERVE: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
}
"""What must have been tested for equipment to serve; the other services ask for no function of a generator."""


def parse(data: bytes, name: str) -> GridCode:
    """The file `name` (such as `FI.toml`), whole. Raises `GridCodeMalformed`."""
    import tomllib  # who asks about no region does not wait for it

    if len(data) > MAX_FILE_BYTES:
        raise GridCodeMalformed("too long", expected=f"at most {MAX_FILE_BYTES} bytes", found=len(data), file=name)
    try:
        value: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        code = msgspec.convert(value, GridCode)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise GridCodeMalformed("not a grid-code file", found=str(error)[:200], file=name) from error
    _require_sound(code, name)
    return code


def _require_sound(code: GridCode, name: str) -> None:
    if code.format != FORMAT:
        raise GridCodeMalformed("another format", expected=FORMAT, found=code.format, file=name)
    if name != f"{code.region}.toml":
        raise GridCodeMalformed("the file of another region", expected=f"{code.region}.toml", found=name, file=name)
    known = [source.id for source in code.source]
    if len(set(known)) != len(known):
        raise GridCodeMalformed("a source is listed twice", expected=len(set(known)), found=len(known), file=name)
    rows: tuple[ClaimsAsked | FunctionAsked | MarketKnown, ...] = (code.claims, *code.function, *code.market)
    used = {one for row in rows for one in row.sources}
    if used != set(known):
        raise GridCodeMalformed(
            "sources that nobody names, or names of none", found=", ".join(sorted(used ^ set(known))), file=name
        )
    if code.claims.weakest_scheme not in Scheme.__members__:
        raise GridCodeMalformed("no such scheme", found=code.claims.weakest_scheme, file=name)
    functions = [row.name for row in code.function]
    if len(set(functions)) != len(functions):
        raise GridCodeMalformed("a function is listed twice", found=len(functions), file=name)
    for function in (*functions, *(one for row in code.market for one in row.functions)):
        if function not in DerFunction.__members__:
            raise GridCodeMalformed("no such function", found=function, file=name)


@cache
def grid_codes() -> Mapping[str, GridCode]:
    """All packaged files by region, in order. Raises `GridCodeMalformed`: a wrong file is no smaller rule book."""
    from importlib import resources

    folder = resources.files("pki").joinpath(FOLDER)
    found = [parse(file.read_bytes(), file.name) for file in folder.iterdir() if file.name.endswith(".toml")]
    return {code.region: code for code in sorted(found, key=lambda code: code.region)}


def grid_code_of(region: str) -> GridCode | None:
    """The file of a country, which holds in its parts too ("DE" for "DE-BY"); None where nobody has looked."""
    return grid_codes().get(region.partition("-")[0])


def functions_of(service: Service) -> frozenset[DerFunction]:
    """The DER functions that equipment must have been tested for to provide `service` anywhere."""
    return FUNCTIONS_OF_SERVICE.get(service, frozenset())
