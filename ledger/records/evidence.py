"""Commitments: to a baseline before the start, to measured samples after it."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.contracts import BaselineMethod
from ledger.records.fields import (
    MAX_COUNT,
    CapacityW,
    Id,
    PersonalHash,
    PublicFsr,
    PublicHash,
    PublicParticipation,
    PublicReference,
)
from ledger.records.marks import Category, personal, public
from ledger.records.record import Record

MAX_SIGNED_ROOT_CHARS = 4_096
"""A station's signed message with a root; it needs less than a quarter of it."""


class BaselineCommitted(Record, frozen=True, kw_only=True):
    """The counterfactual, fixed before the first execution entry: nobody can pick the best method afterwards."""

    TYPE = "baseline.committed"
    STREAM = "fsr"

    baseline_id: PublicReference
    fsr_id: PublicFsr
    method: Annotated[BaselineMethod, public("as the contract says")]
    version: Annotated[int, msgspec.Meta(ge=1, le=1000), public("version of the method")]
    participants: Annotated[tuple[Id, ...], msgspec.Meta(max_length=256), public("random participation ids")]
    inputs_sha256: PublicHash
    """SHA-256 of the canonical inputs, which are kept as an attachment: a group's history, no person's."""
    baseline_w: Annotated[tuple[CapacityW, ...], msgspec.Meta(max_length=96), public("of the group, one a period")] = ()


class SampleSchema(StrEnum):
    """The formats of a sample body."""

    NARROW = "samples/1"
    WIDE = "samples/2"


class SamplesCommitted(Record, frozen=True, kw_only=True):
    """The evidence of one participation: body in the vault, its digests hidden, its existence on record."""

    TYPE = "samples.committed"
    STREAM = "fsr"

    batch_id: PublicReference
    fsr_id: PublicFsr
    participation: PublicParticipation
    seq: Annotated[int, msgspec.Meta(ge=1, le=10_000), public("counts batches of this participation")]
    n: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT), public("number of samples")]
    dt_ms: Annotated[int, msgspec.Meta(ge=10, le=3_600_000), public("resolution")]
    root: PersonalHash | msgspec.UnsetType = msgspec.UNSET
    """RFC 6962 root over one-second leaves (docs/spec/samples.md)."""
    body_sha256: PersonalHash | msgspec.UnsetType = msgspec.UNSET
    ocmf_start: (
        Annotated[str, msgspec.Meta(max_length=32_768), personal(Category.METER, "direct")] | msgspec.UnsetType
    ) = msgspec.UNSET
    """The meter's signed record at the start, byte for byte."""
    ocmf_end: (
        Annotated[str, msgspec.Meta(max_length=32_768), personal(Category.METER, "direct")] | msgspec.UnsetType
    ) = msgspec.UNSET
    meter_key_spki_sha256: PersonalHash | msgspec.UnsetType = msgspec.UNSET
    schema: Annotated[SampleSchema, public("format of the body")] = SampleSchema.NARROW
    """The format of the body (docs/spec/samples.md)."""
    station_jws: (
        Annotated[str, msgspec.Meta(max_length=MAX_SIGNED_ROOT_CHARS), personal(Category.METER, "direct")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """What the station itself signed of this body, a flattened JWS; absent where only its connection vouches."""


KINDS: tuple[type[Record], ...] = (BaselineCommitted, SamplesCommitted)
