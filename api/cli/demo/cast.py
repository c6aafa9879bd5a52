"""Who plays in the demo day: parties, EVSEs, contracts, and the times of the story (Tuesday 2026-01-20, Helsinki)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import DEPOT
from api.execution.simulator.inverter import Voltage, steady_voltage
from ledger.records.contracts import BaselineMethod, OptPolicy, Scoring, ServiceTerms, Silence
from ledger.records.services import Direction, Service
from ledger.records.sites import CurrentKind, EvLimits
from pki.ceremony import CeremonySpec, PartySpec, StationSpec
from pki.roles import Role
from pki.roles import Service as PkiService

ORIGIN: Final = "ledger.example/northgate"
SITE: Final = "DEPOT-7"
CONGESTION_POINT: Final = "FI-HEL-0417"

FO: Final = "FI-AUR"
RIVAL: Final = "FI-BOR"
NEWCOMER: Final = "FI-CYG"
"""Is in no ceremony file: it enrols in the middle of the day."""
CSO: Final = "FI-NGC"
CSP: Final = "FI-VOL"
SO: Final = "FI-DSO"
CB: Final = "FI-CBX"
AUD: Final = "FI-AUD"
DPO: Final = "FI-NGP"
OPS: Final = "FI-NGO"
OTHER_CSO: Final = "FI-OTH"

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
MIDNIGHT_MS: Final = 1_768_860_000_000
"""2026-01-20T00:00 in Helsinki, which is 2026-01-19T22:00Z."""
SIGNING_START_MS: Final = MIDNIGHT_MS + 8 * HOUR_MS
CREATED_MS: Final = MIDNIGHT_MS - 19 * 24 * HOUR_MS
"""The authorities were made on the first of January."""


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 0) -> int:
    """A time of the day in Helsinki, in Unix milliseconds."""
    return MIDNIGHT_MS + day * 24 * HOUR_MS + hour * HOUR_MS + minute * MINUTE_MS + second * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bay:
    """One EVSE of the depot, the car at it, and its user."""

    name: str
    config: EvseConfig
    kind: CurrentKind
    services: tuple[Service, ...]
    control_modes: tuple[str, ...] = ()
    """OCPP's names of the curves that its inverter knows."""

    @property
    def evse_id(self) -> str:
        """Its EVSE-ID."""
        return f"FI*NGC*E{self.name[1:]}"

    @property
    def station_id(self) -> str:
        """The charging station that it is the only EVSE of."""
        return f"CS-{self.name}"

    @property
    def person(self) -> str:
        """The name under which the ceremony knows its user; certificates hold a random pseudonym instead."""
        return f"EVU-{self.name}"


_LIMITS = (Service.CONGESTION, Service.LIMIT_MANDATORY)
_FAST = (*_LIMITS, Service.FFR, Service.SETPOINT)
_DROOP = (*_LIMITS, Service.DROOP)

BAYS: Final = tuple(
    Bay(
        name=f"E{number}",
        config=DEPOT[number - 1],
        kind=CurrentKind.DC if number <= 4 else CurrentKind.AC,
        services=_FAST if number <= 4 else _LIMITS if number <= 6 else _DROOP,
    )
    for number in range(1, 9)
)
DC_BAYS: Final = BAYS[:4]
CSP_BAYS: Final = BAYS[4:6]
AC_V2G_BAYS: Final = BAYS[6:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A site: its connection to the grid, and the EVSEs behind it."""

    site_id: str
    congestion_point: str
    import_limit_w: int
    export_limit_w: int
    bays: tuple[Bay, ...]
    noise_w: int = 20
    """How much the simulated power of an EVSE wavers; 0 where figures are worked out by hand."""
    without_consent: tuple[str, ...] = ()
    """Bays whose car could discharge, but whose user does not allow it."""
    houses_w: Mapping[str, int] = field(default_factory=dict)
    """What the building behind an EVSE's own grid connection draws without it, by bay."""
    cars: Mapping[str, EvLimits] = field(default_factory=dict)
    """What cars say of themselves, by bay."""
    voltage: Voltage = steady_voltage
    """What every EVSE measures between phase and neutral."""
    holder: str | None = None
    """Whose car is at every bay, where it is one person's: a fleet manager's, by the name of a bay."""

    def person(self, bay: Bay) -> str:
        """Who has the session at a bay, by the name under which the ceremony knows them."""
        return f"EVU-{self.holder}" if self.holder else bay.person


DEPOT_7: Final = Place(
    site_id=SITE, congestion_point=CONGESTION_POINT, import_limit_w=160_000, export_limit_w=100_000, bays=BAYS
)


def ceremony(place: Place = DEPOT_7) -> CeremonySpec:
    """The development hierarchy of the day: every party with its own keys, every station with its own certificate."""
    # Curves of voltage and reactive power are DROOP to a credential (`api.verification.asked`).
    services = tuple(one for one in PkiService if one.value in set(Service))
    organisations = (
        (FO, Role.FO, "Aurora Flex Oy"),
        (RIVAL, Role.FO, "Borealis Flex Oy"),
        (CSO, Role.CSO, "Northgate Charging Oy"),
        (OTHER_CSO, Role.CSO, "Otherside Charging Oy"),
        (CSP, Role.CSP, "Voltwise Oy"),
        (SO, Role.SO, "Distribution System Operator"),
        (CB, Role.CB, "Conformity Body"),
        (AUD, Role.AUD, "Auditor"),
        (DPO, Role.DPO, "Privacy office of Northgate Charging"),
        (OPS, Role.OPS, "Operations of Northgate Charging"),
    )
    parties = tuple(
        PartySpec(
            id=party,
            role=role,
            organisation=organisation,
            services=services if role in (Role.FO, Role.CSO, Role.CSP) else (),
            dns_names=("localhost",) if party == CSO else (),
        )
        for party, role, organisation in organisations
    )
    persons = tuple(PartySpec(id=bay.person, role=Role.EVU) for bay in place.bays)
    stations = tuple(StationSpec(id=bay.station_id, operator=CSO) for bay in place.bays)
    return CeremonySpec(
        organisation="flexledger development",
        development=True,
        created_at_ms=CREATED_MS,
        parties=(*parties, *persons),
        stations=(*stations, StationSpec(id="CS-OTHER", operator=OTHER_CSO)),
    )


def terms(service: Service, max_w: int, **changes: int) -> ServiceTerms:
    """The terms of the day for one class of service."""
    methods = {
        Service.CONGESTION: BaselineMethod.HIGH_X_OF_Y,
        Service.FFR: BaselineMethod.PRE_EVENT,
        Service.DROOP: BaselineMethod.CURVE,
        Service.SETPOINT: BaselineMethod.NOMINATION,
    }
    return ServiceTerms(
        service=service,
        direction=Direction.UP,
        max_w=max_w,
        baseline=methods[service],
        scoring=Scoring.GROUP,
        tolerance_w=changes.get("tolerance_w", 0),
        delivered_min_ppm=changes.get("delivered_min_ppm", 900_000),
        partial_min_ppm=changes.get("partial_min_ppm", 500_000),
        price_micro_per_kwh=300_000,
        penalty_micro_per_kwh=450_000,
        currency="EUR",
    )


OPT: Final = OptPolicy(default_on_silence=Silence.IN, opt_deadline_s=1800, max_opt_outs=4)
