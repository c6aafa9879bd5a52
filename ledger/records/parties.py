"""Who the parties are, and who may act for whom; nobody acts for another without a delegation that is on record."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records import identifiers
from ledger.records.actor import Role
from ledger.records.fields import Eic, Lfdi, OperatorId, PersonalEvu, PublicMs, PublicParty, PublicReference
from ledger.records.marks import Category, personal, public
from ledger.records.record import Record

Words = (
    Annotated[str, msgspec.Meta(max_length=16_384), personal(Category.CONTRACT, "direct", retention="P3Y")]
    | msgspec.UnsetType
)
"""A person's own signed statement, where the relaying organisation signs for the log."""


class Scope(StrEnum):
    """What a delegate may do for the grantor."""

    OPT = "OPT"
    CONTRACT = "CONTRACT"


PARTY_STREAM = "party/declared"
"""The one stream in which all parties declare themselves."""


class PartyDeclared(Record, frozen=True, kw_only=True):
    """An organisation says by which identifiers others know it. Who it is its credential says, never this."""

    TYPE = "party.declared"
    STREAM = "party"

    party_id: PublicParty
    version: Annotated[int, msgspec.Meta(ge=1, le=10_000), public("counts up")]
    role: Annotated[Role, public("as in its credential")]
    eic: Annotated[Eic, public("a market participant")] | None = None
    operator_id: Annotated[OperatorId, public("an operator of stations or a provider")] | None = None
    lfdi: Annotated[Lfdi, public("an alias of the organisation's own device")] | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for an EIC with another check character."""
        if self.eic is not None:
            identifiers.require_eic(self.eic)

    def names(self) -> tuple[str, ...]:
        """What it claims, each under its kind and without separators."""
        named = (("eic", self.eic), ("operator", self.operator_id), ("lfdi", self.lfdi))
        return tuple(f"{kind} {value.replace('*', '')}" for kind, value in named if value is not None)


class DelegationGiven(Record, frozen=True, kw_only=True):
    """A fleet manager, an app's backend or another operator may act for the grantor, until then and for this alone.

    An EV user's words are relayed, and who it is stands in the log as a salted digest only. A delegate cannot delegate.
    """

    TYPE = "delegation.given"
    STREAM = "delegation"

    delegation_id: PublicReference
    grantor_role: Annotated[Role, public("whose right, not who")]
    grantor: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation whose right it is; left out where it is a person's."""
    delegate: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation that may act; left out where it acts with an EV user's credential."""
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=2), public("a closed list")]
    until_ms: PublicMs
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    """The person whose right it is."""
    evu_delegate: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    """Who may act, by the id in an EV user's credential."""
    evu_statement: Words = msgspec.UNSET


class DelegationRevoked(Record, frozen=True, kw_only=True):
    """From here on the delegate no longer acts for the grantor; what it said before stands."""

    TYPE = "delegation.revoked"
    STREAM = "delegation"

    delegation_id: PublicReference
    evu_statement: Words = msgspec.UNSET


KINDS: tuple[type[Record], ...] = (PartyDeclared, DelegationGiven, DelegationRevoked)
