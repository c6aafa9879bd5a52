"""Who the parties are, and who may act for whom; nobody acts for another without a delegation that is on record."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.actor import Role
from ledger.records.fields import PersonalEvu, PublicMs, PublicParty, PublicReference
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


KINDS: tuple[type[Record], ...] = (DelegationGiven, DelegationRevoked)
