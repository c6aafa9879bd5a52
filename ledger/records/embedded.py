"""Functions of the grid code that act in an inverter's firmware: recorded, never requested.

Nobody asks for them, nobody opts, nobody is paid; what they did is on record, with its evidence, so that it is told
apart from a market service that ran at the same time.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.evidence import SampleSchema
from ledger.records.fields import MAX_COUNT, PersonalEvse, PersonalHash, PersonalMs, PublicReference, PublicSite
from ledger.records.marks import Category, personal, public
from ledger.records.record import Record
from ledger.records.work import Verdict


class EmbeddedFunction(StrEnum):
    """What acted; the DER controls of OCPP 2.1 in groups."""

    FREQUENCY_WATT = "FREQUENCY_WATT"
    VOLT_WATT = "VOLT_WATT"
    VOLT_VAR = "VOLT_VAR"
    WATT_VAR = "WATT_VAR"
    POWER_FACTOR = "POWER_FACTOR"
    FIXED_VAR = "FIXED_VAR"
    DISCHARGE_LIMIT = "DISCHARGE_LIMIT"
    RAMP_RATE = "RAMP_RATE"
    ENTER_SERVICE = "ENTER_SERVICE"
    FREQUENCY_TRIP = "FREQUENCY_TRIP"
    VOLTAGE_TRIP = "VOLTAGE_TRIP"
    RIDE_THROUGH = "RIDE_THROUGH"
    POWER_MONITORING = "POWER_MONITORING"


class GridEvent(StrEnum):
    """What it answered, where the station said so (OCPP 2.1, GridEventFaultEnumType)."""

    CURRENT_IMBALANCE = "CURRENT_IMBALANCE"
    LOCAL_EMERGENCY = "LOCAL_EMERGENCY"
    LOW_INPUT_POWER = "LOW_INPUT_POWER"
    OVER_CURRENT = "OVER_CURRENT"
    OVER_FREQUENCY = "OVER_FREQUENCY"
    OVER_VOLTAGE = "OVER_VOLTAGE"
    PHASE_ROTATION = "PHASE_ROTATION"
    REMOTE_EMERGENCY = "REMOTE_EMERGENCY"
    UNDER_FREQUENCY = "UNDER_FREQUENCY"
    UNDER_VOLTAGE = "UNDER_VOLTAGE"
    VOLTAGE_IMBALANCE = "VOLTAGE_IMBALANCE"


class EmbeddedActed(Record, frozen=True, kw_only=True):
    """A function embedded in firmware took over one EVSE, and let go again. Which EVSE, and when, is personal."""

    TYPE = "embedded.acted"
    STREAM = "site"
    COARSE = True

    act_id: PublicReference
    site_id: PublicSite
    function: Annotated[EmbeddedFunction, public("a closed list; neither the EVSE nor the moment stands beside it")]
    event: Annotated[GridEvent, public("a closed list; the grid's state, no person's")] | None = None
    verdict: Annotated[Verdict, public("INFORMATIVE: the samples show it; UNPROVABLE: they do not")]
    algorithm: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{3,24}/[0-9]{1,3}$(?!\n)"), public("id and version")]
    n: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT), public("number of samples")]
    dt_ms: Annotated[int, msgspec.Meta(ge=10, le=3_600_000), public("resolution")]
    schema: Annotated[SampleSchema, public("format of the body")] = SampleSchema.NARROW
    evse_id: PersonalEvse | msgspec.UnsetType = msgspec.UNSET
    from_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    until_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    root: PersonalHash | msgspec.UnsetType = msgspec.UNSET
    """RFC 6962 root over one-second leaves (docs/spec/samples.md); unset where the station had no record of it."""
    body_sha256: PersonalHash | msgspec.UnsetType = msgspec.UNSET
    result: Annotated[str, msgspec.Meta(max_length=32_768), personal(Category.METER, "quasi")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """Canonical JSON of the figures, as `ledger.delivery.work` computes them of the body and the two times."""


KINDS: tuple[type[Record], ...] = (EmbeddedActed,)
