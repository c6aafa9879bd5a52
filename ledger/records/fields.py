"""Field types that many records share, each with its bounds and, where the reason never varies, its mark."""

from typing import Annotated

import msgspec

from ledger.records import canonical, identifiers
from ledger.records.marks import Category, personal, public
from ledger.records.statement_fields import Hash

Ms = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
"""Unix milliseconds, UTC."""
DurationMs = Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400_000)]
DurationS = Annotated[int, msgspec.Meta(ge=0, le=366 * 86_400)]
PowerW = Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]
"""Watts; positive is import (charging), everywhere inside."""
CapacityW = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
PowerVar = Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]
"""Volt-amperes reactive; positive is absorbed, as watts are positive for import."""
CapacityVar = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
VoltCentipct = Annotated[int, msgspec.Meta(ge=0, le=20_000)]
"""Hundredths of a percent of the reference voltage."""
Permille = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
FreqMillihertz = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Ppm = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Share = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""Parts per million of the whole."""
Micro = Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]
"""Millionths of the currency's unit."""
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
"""ISO 4217 code."""
PartyId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9*._-]{0,63}$(?!\n)")]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$(?!\n)")]
EvseId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,31}$(?!\n)")]
"""EVSE-ID as eMI3 and OCPI write it."""
Eic = Annotated[str, msgspec.Meta(pattern=identifiers.EIC_PATTERN)]
"""Energy identification code; whoever has one checks its check character."""
Gsrn = Annotated[str, msgspec.Meta(pattern=identifiers.GSRN_PATTERN)]
"""GS1 number of a metering point; whoever has one checks its check digit."""
ContractId = Annotated[str, msgspec.Meta(pattern=identifiers.CONTRACT_ID_PATTERN)]
"""Contract id of an EV user (eMAID); whoever has one checks its check character."""
Lfdi = Annotated[str, msgspec.Meta(pattern=identifiers.LFDI_PATTERN)]
"""Device identifier of IEEE 2030.5, an alias: never what a credential is known by."""
OperatorId = Annotated[str, msgspec.Meta(pattern=identifiers.OPERATOR_PATTERN)]
"""Country and operator, as EVSE-IDs begin with."""
Sha256 = Hash

PublicFsr = Annotated[Id, public("the request's id is at organisation level")]
PublicFsc = Annotated[Id, public("the contract's id names organisations' terms, no person")]
PublicSite = Annotated[Id, public("a site is an organisation's")]
PublicParty = Annotated[PartyId, public("an organisation")]
PublicParticipation = Annotated[Id, public("random for each request; says nothing of the person or the EVSE behind it")]
PublicReference = Annotated[Id, public("an id that is used once")]
PublicMs = Annotated[Ms, public("a time that the organisations agreed, the same for every participant")]
PublicHash = Annotated[Sha256, public("digest of a document between organisations")]

PersonalEvse = Annotated[EvseId, personal(Category.LOCATION, "quasi")]
PersonalEvu = Annotated[PartyId, personal(Category.CONTRACT, "direct", retention="P3Y")]
PersonalMs = Annotated[Ms, personal(Category.TIME, "quasi")]
PersonalHash = Annotated[Sha256, personal(Category.METER, "quasi")]

MAX_COUNT = canonical.MAX_INT
