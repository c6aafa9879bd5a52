"""What a region's grid code asks of equipment before it may feed in there, and what it may sell.

One reviewed data file a country (`pki/gridcodes/*.toml`), in the format of `pki.gridcode`. A country without a file is
not known: nothing covers feeding in there until somebody has looked. The files are part of the rules that a log was
kept under: changing one changes what a check answers, so it is another version of the rules.
"""

from collections.abc import Mapping
from functools import cache

from pki.asn1.claims import DerFunction
from pki.gridcode import GridCode, parse
from pki.roles import Service

FOLDER = "gridcodes"

FUNCTIONS_OF_SERVICE: dict[Service, frozenset[DerFunction]] = {
    Service.DROOP: frozenset({DerFunction.FREQUENCY_WATT}),
    Service.FFR: frozenset({DerFunction.FAST_FREQUENCY_RESPONSE}),
    Service.SETPOINT: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
    Service.RESERVE: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
}
"""What must have been tested for equipment to serve; the other services ask for no function of a generator."""


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
