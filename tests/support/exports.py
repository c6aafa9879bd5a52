"""Exports of a vault's test ledger, as their recipients have them."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from ledger.privacy.exports import archive
from ledger.privacy.exports.policy import SETTLEMENT, Column, Hierarchy, UnlinkablePolicy
from ledger.privacy.exports.writer import Exporter, Terms
from ledger.records.privacy import LegalBasis, Purpose
from tests.support.privacy import Ledger, saved

KEY = ed25519.Ed25519PrivateKey.generate()
FIGURES = {"energy_import_milliwh": 11_500_000, "evse_id": "DE*ABC*E1", "evu": "evu-secret"}
RESEARCH = UnlinkablePolicy(
    version=3,
    k=3,
    columns=(
        Column(name="recorded", path="@recorded_at_ms", hierarchy=Hierarchy.TIME, least=3),
        Column(name="place", path="evse_id", hierarchy=Hierarchy.PLACE),
        Column(name="energy", path="energy_import_milliwh", hierarchy=Hierarchy.ENERGY, divisor=1000),
    ),
)
PLACES = {f"DE*ABC*E{n}": (f"site {n}", "zone 1" if n < 4 else "zone 2", "DE") for n in range(9)}


@dataclass(frozen=True)
class Made:
    """An export that has left."""

    path: Path
    manifest_sha256: str
    rows: int


async def made(exporter: Exporter, rows: Any, path: Path, terms: Terms, **other: Any) -> Made:
    released = await exporter.make(rows, terms, **other)
    return Made(saved(released, path), released.manifest_sha256, released.rows)


async def settle(exporter: Exporter, ledger: Ledger, path: Path, **other: Any) -> Made:
    terms = Terms(SETTLEMENT, "fo-1", Purpose.SETTLEMENT, LegalBasis.CONTRACT)
    changed = {name: other.pop(name) for name in list(other) if name in Terms.__dataclass_fields__}
    rows = other.pop("rows", None) or ledger.rows()
    arguments = {"checkpoint": ledger.checkpoint(), **other}
    return await made(exporter, rows, path, replace(terms, **changed), **arguments)


async def research(exporter: Exporter, ledger: Ledger, path: Path, **other: Any) -> Made:
    terms = Terms(RESEARCH, "uni-1", Purpose.RESEARCH, LegalBasis.PUBLIC_TASK)
    rows = other.pop("rows", None) or ledger.rows()
    return await made(exporter, rows, path, terms, **{"places": PLACES, **other})


def load(path: Path) -> dict[str, bytes]:
    """The files of an archive, whole."""
    return archive.read(path.read_bytes())


def self_signed(key: ed25519.Ed25519PrivateKey) -> bytes:
    """A certificate (PEM) of the exporter's key, as its recipients have it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exporter")])
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + dt.timedelta(days=400))
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)
