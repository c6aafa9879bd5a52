"""Charging stations as their operator declares them, and the conformity claims made of them."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records import identifiers
from ledger.records.fields import (
    CapacityVar,
    CapacityW,
    ContractId,
    Currency,
    DurationS,
    EvseId,
    Gsrn,
    Id,
    Micro,
    Ms,
    PartyId,
    Permille,
    PersonalEvse,
    PersonalEvu,
    PersonalMs,
    Ppm,
    PublicMs,
    PublicReference,
    PublicSite,
)
from ledger.records.marks import Category, personal, public
from ledger.records.record import Record, Value
from ledger.records.statement_fields import Hash


class CurrentKind(StrEnum):
    """Where the inverter is: in the EVSE (DC) or in the car (AC)."""

    AC = "AC"
    DC = "DC"


class Meter(Value, frozen=True, kw_only=True):
    """The meter of one EVSE; its key is bound here, never taken from a value."""

    serial: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$(?!\n)")]
    key_spki_sha256: Hash
    accuracy_ppm: Ppm
    """Largest error that the meter's class allows."""
    resolution_milliwh: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    sample_period_ms: Annotated[int, msgspec.Meta(ge=10, le=3_600_000)]


class Connector(Value, frozen=True, kw_only=True):
    """One outlet of an EVSE; one of them is in use at a time."""

    connector_id: Annotated[int, msgspec.Meta(ge=1, le=64)]
    standard: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{2,40}$(?!\n)")]
    """As OCPP and OCPI name it, such as `cCCS2`."""
    max_w: CapacityW | None = None


class GridConnection(Value, frozen=True, kw_only=True):
    """Where the site is connected; its limits stand in the configuration."""

    gsrn: Gsrn
    """Metering point."""
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)]
    nominal_mv: Annotated[int, msgspec.Meta(ge=100_000, le=1_000_000_000)]
    """Line to line, in millivolts."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a metering point with another check digit."""
        identifiers.require_gsrn(self.gsrn)


class Operational(StrEnum):
    """Whether an EVSE can be used at all, as OCPP says it (`OperationalStatusEnumType`)."""

    OPERATIVE = "OPERATIVE"
    INOPERATIVE = "INOPERATIVE"


class Evse(Value, frozen=True, kw_only=True):
    """One EVSE: what it can do."""

    evse_id: EvseId
    station_id: Id
    """OCPP identity of the charging station; equals the one in its certificate."""
    connector: Annotated[int, msgspec.Meta(ge=1, le=64)]
    """OCPP evseId inside the station."""
    kind: CurrentKind
    max_charge_w: CapacityW
    max_discharge_w: CapacityW
    services: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]
    response_time_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
    """Time to 90 % of a commanded change."""
    meter: Meter
    key_spki_sha256: Hash
    """SHA-256 of the EVSE's public key: what conformity claims are made of."""
    firmware_sha256: Hash
    max_inject_var: CapacityVar = 0
    """Reactive power that its inverter can inject; 0 where the inverter is in the car."""
    max_absorb_var: CapacityVar = 0
    control_modes: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)] = ()
    """The DER controls that it takes, as OCPP 2.1 names them (`DERControlEnumType`)."""
    energy_transfer_modes: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()
    """As OCPP 2.1 names them (`EnergyTransferModeEnumType`), such as `DC_BPT`."""
    min_charge_w: CapacityW = 0
    """Below this it stops rather than charges more slowly."""
    min_discharge_w: CapacityW = 0
    ramp_w_per_s: Annotated[int, msgspec.Meta(ge=1, le=10**7)] | None = None
    """How fast its power changes at most; left out where nobody measured it."""
    connectors: Annotated[tuple[Connector, ...], msgspec.Meta(max_length=8)] = ()
    operational: Operational = Operational.OPERATIVE
    """Whoever is out of service sells nothing, whatever it could do."""

    @property
    def can_w(self) -> int:
        """From full discharge to full charge; nothing while it is out of service."""
        return self.max_charge_w + self.max_discharge_w if self.operational is Operational.OPERATIVE else 0


class SiteConfigured(Record, frozen=True, kw_only=True):
    """The CSO declares a site: grid connection, EVSEs, meters. The latest version before an instant is in force."""

    TYPE = "site.configured"
    STREAM = "site"

    site_id: PublicSite
    version: Annotated[int, msgspec.Meta(ge=1, le=10**6), public("counts up")]
    import_limit_w: Annotated[CapacityW, public("of the site's grid connection")]
    export_limit_w: Annotated[CapacityW, public("of the site's grid connection")]
    congestion_point: Annotated[Id, public("name of the grid element")]
    grid: Annotated[GridConnection, public("of the site, an organisation's")] | None = None
    region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)"), public("country whose grid code holds")]
    evses: Annotated[
        tuple[Evse, ...],
        msgspec.Meta(min_length=1, max_length=512),
        public("infrastructure of an organisation; says nothing of a charging session"),
    ]


class SiteAvailable(Record, frozen=True, kw_only=True):
    """The CSO forecasts what the whole site could give; a later forecast for the same time counts more."""

    TYPE = "site.available"
    STREAM = "site"

    site_id: PublicSite
    from_ms: PublicMs
    until_ms: PublicMs
    up_w: Annotated[CapacityW, public("of the whole site: less import or more export")]
    down_w: Annotated[CapacityW, public("of the whole site: more import or less export")]
    duration_s: Annotated[DurationS, public("how long it could hold that")]


class ClaimKind(StrEnum):
    """What a conformity claim is made of; a type counts for the things that installation links make instances of it."""

    EVSE = "EVSE"
    EV = "EV"
    PAIR = "PAIR"
    TYPE = "TYPE"


class ClaimRegistered(Record, frozen=True, kw_only=True):
    """A conformity body's attribute certificate was presented and found good; the document itself is in the vault."""

    TYPE = "site.claim-registered"
    STREAM = "site"

    claim_id: PublicReference
    site_id: PublicSite
    subject: Annotated[ClaimKind, public("kind of thing, not which thing")]
    standard: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 :./-]{1,64}$(?!\n)"), public("name of a standard")]
    functions: Annotated[tuple[str, ...], msgspec.Meta(max_length=9), public("functions covered")]
    region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)"), public("country whose grid code it meets")]
    issuer: Annotated[PartyId, public("a conformity body")]
    not_before_ms: Annotated[Ms, public("validity of a document between organisations")]
    not_after_ms: Annotated[Ms, public("validity of a document between organisations")]
    claim_sha256: Annotated[Hash, personal(Category.VEHICLE, "direct")] | msgspec.UnsetType = msgspec.UNSET
    things: (
        Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=2), personal(Category.VEHICLE, "direct")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """SHA-256 of the public key of the thing, or of the two things of a pair; of its reference where it is a type."""


class InstallationLinked(Record, frozen=True, kw_only=True):
    """A signed link that makes one thing an instance of a type was presented and found good; the vault has it."""

    TYPE = "site.installation-linked"
    STREAM = "site"

    claim_id: PublicReference
    site_id: PublicSite
    subject: Annotated[ClaimKind, public("kind of thing, not which thing")]
    """EVSE or EV."""
    issuer: Annotated[PartyId, public("the site's operator or a conformity body")]
    not_before_ms: Annotated[Ms, public("validity of a document between organisations")]
    not_after_ms: Annotated[Ms, public("validity of a document between organisations")]
    link_sha256: Annotated[Hash, personal(Category.VEHICLE, "direct")] | msgspec.UnsetType = msgspec.UNSET
    thing: Annotated[Hash, personal(Category.VEHICLE, "direct")] | msgspec.UnsetType = msgspec.UNSET
    """SHA-256 of the public key of the thing."""


class Withdrawal(StrEnum):
    """Why a claim or a link no longer counts."""

    SUPERSEDED = "SUPERSEDED"
    THING_CHANGED = "THING_CHANGED"
    THING_GONE = "THING_GONE"
    ERROR = "ERROR"


class ClaimWithdrawn(Record, frozen=True, kw_only=True):
    """The operator no longer relies on a registered claim or link: from this entry on no check looks at it."""

    TYPE = "site.claim-withdrawn"
    STREAM = "site"

    claim_id: PublicReference
    site_id: PublicSite
    reason: Annotated[Withdrawal, public("a closed list")]


class EvLimits(Value, frozen=True, kw_only=True):
    """What a car says of itself in this session (OCPP NotifyEVChargingNeeds); what it does not say is not known.

    In AC the inverter is the car's: these are its powers, and reactive power is its own too.
    """

    max_charge_w: CapacityW | None = None
    max_discharge_w: CapacityW | None = None
    max_inject_var: CapacityVar | None = None
    max_absorb_var: CapacityVar | None = None
    usable_energy_wh: Annotated[int, msgspec.Meta(ge=1, le=10**7)] | None = None
    """Of the whole battery, from empty to full."""
    soc_permille: Permille | None = None
    discharge_budget_wh: Annotated[int, msgspec.Meta(ge=0, le=10**7)] | None = None
    """What it may give in the whole session (`evSessionTotalDischargeEnergyAvailable`)."""
    departure_at_ms: Ms | None = None


class AuthorizedBy(StrEnum):
    """How the session was authorized."""

    CONTRACT_CERTIFICATE = "CONTRACT_CERTIFICATE"
    TOKEN = "TOKEN"  # noqa: S105 -- a kind
    APP = "APP"
    AD_HOC = "AD_HOC"


class Authorization(Value, frozen=True, kw_only=True):
    """Under which contract the session was authorized, how and when; the token itself is nobody's business here."""

    by: AuthorizedBy
    at_ms: Ms
    contract_id: ContractId | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for a contract id with another check character."""
        if self.contract_id is not None:
            identifiers.require_contract_id(self.contract_id)


class Roaming(Value, frozen=True, kw_only=True):
    """The session of another provider's customer: whose, over which platform, and under which reference there."""

    provider: PartyId
    platform: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{2,32}$(?!\n)")]
    session_ref: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$(?!\n)")]


class Tariff(Value, frozen=True, kw_only=True):
    """What the user pays; millionths of the currency for a kWh."""

    tariff_ref: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)")]
    currency: Currency
    import_micro_per_kwh: Micro
    export_micro_per_kwh: Micro = 0
    """What is paid to the user for discharging."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a currency that there is not."""
        identifiers.require_currency(self.currency)


class Metering(Value, frozen=True, kw_only=True):
    """The registers of the session's meter when it began, so that a service record can be found in a charge record."""

    serial: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$(?!\n)")]
    import_milliwh: Annotated[int, msgspec.Meta(ge=0, le=2**50)]
    export_milliwh: Annotated[int, msgspec.Meta(ge=0, le=2**50)] = 0


class SessionMirrored(Record, frozen=True, kw_only=True):
    """A car is plugged in: whose contract, which EVSE, and whether its user allows discharging (OCPI's only V2G flag).

    All of it is personal. A missing or false consent makes every discharging participation ineligible.
    """

    TYPE = "site.session-mirrored"
    STREAM = "site"
    COARSE = True

    session_id: PublicReference
    site_id: PublicSite
    evse_id: PersonalEvse | msgspec.UnsetType = msgspec.UNSET
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    discharge_allowed: Annotated[bool, personal(Category.BEHAVIOUR, "quasi", portable=True)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    ev_key_spki_sha256: Annotated[Hash, personal(Category.VEHICLE, "direct")] | msgspec.UnsetType = msgspec.UNSET
    ev_firmware_sha256: Annotated[Hash, personal(Category.VEHICLE, "quasi")] | msgspec.UnsetType = msgspec.UNSET
    from_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    until_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    ev: Annotated[EvLimits, personal(Category.VEHICLE, "quasi", portable=True)] | msgspec.UnsetType = msgspec.UNSET
    """What the car said it can do; unset where it said nothing."""
    authorization: (
        Annotated[Authorization, personal(Category.CONTRACT, "direct", retention="P3Y")] | msgspec.UnsetType
    ) = msgspec.UNSET
    roaming: Annotated[Roaming, personal(Category.CONTRACT, "direct")] | msgspec.UnsetType = msgspec.UNSET
    tariff: Annotated[Tariff, personal(Category.CONTRACT, "quasi", portable=True)] | msgspec.UnsetType = msgspec.UNSET
    metering: Annotated[Metering, personal(Category.METER, "quasi", portable=True)] | msgspec.UnsetType = msgspec.UNSET


KINDS: tuple[type[Record], ...] = (
    SiteConfigured,
    ClaimRegistered,
    InstallationLinked,
    ClaimWithdrawn,
    SessionMirrored,
    SiteAvailable,
)
