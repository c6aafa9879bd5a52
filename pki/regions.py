"""What a region's grid code asks of a conformity claim before equipment may feed in there.

Every region gets the general profile unless a stricter one stands here. The profiles are part of the rules that a log
was kept under: changing one changes what a check answers, so it is another version of the rules.
"""

from dataclasses import dataclass

from pki.asn1.claims import DerFunction, Scheme
from pki.roles import Service


@dataclass(frozen=True, slots=True)
class RegionProfile:
    """The weakest scheme that is enough, and the grid codes of which one must be named; none named: any will do."""

    weakest_scheme: Scheme
    grid_codes: tuple[str, ...] = ()

    def accepts_code(self, found: str | None) -> bool:
        """Whether a claim against the grid code `found` counts here; a code covers its editions."""
        if not self.grid_codes:
            return True
        return found is not None and any(found == code or found.startswith(f"{code}:") for code in self.grid_codes)


GENERAL = RegionProfile(Scheme.TYPE_TEST)
"""A maker's own word is not enough to feed in; somebody tested the type at least."""

PROFILES: dict[str, RegionProfile] = {
    # VDE-AR-N 4105 asks for a unit certificate by an accredited body (tests of VDE V 0124-100).
    "DE": RegionProfile(Scheme.PRODUCT_CERTIFICATION, ("VDE-AR-N 4105",)),
    # ENA Engineering Recommendations: G98 up to 16 A a phase, G99 above; both know type-tested equipment.
    "GB": RegionProfile(Scheme.TYPE_TEST, ("ENA EREC G98", "ENA EREC G99")),
}

FUNCTIONS_OF_SERVICE: dict[Service, frozenset[DerFunction]] = {
    Service.DROOP: frozenset({DerFunction.FREQUENCY_WATT}),
    Service.FFR: frozenset({DerFunction.FAST_FREQUENCY_RESPONSE}),
    Service.SETPOINT: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
    Service.RESERVE: frozenset({DerFunction.ACTIVE_POWER_SETPOINT}),
}
"""What must have been tested for equipment to serve; the other services ask for no function of a generator."""


def profile_of(region: str) -> RegionProfile:
    """The profile of a country, which holds in its parts too ("DE" for "DE-BY")."""
    return PROFILES.get(region.partition("-")[0], GENERAL)


def functions_of(service: Service) -> frozenset[DerFunction]:
    """The DER functions that equipment must have been tested for to provide `service`."""
    return FUNCTIONS_OF_SERVICE.get(service, frozenset())
