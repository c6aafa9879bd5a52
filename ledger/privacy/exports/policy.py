"""Export policies, as data. A policy is provable or it is unlinkable: a proof names the entry, so two holders of
provable rows can join them whatever the pseudonyms, and generalised values open no digest.
"""

from enum import StrEnum
from typing import Final

import msgspec

from ledger.privacy.errors import ExportPolicyInvalid
from ledger.records.privacy import Profile

MAX_LEVEL: Final = 16
MAX_COLUMNS: Final = 8
PERMILLE: Final = 1000

TO_SUBJECT: Final = frozenset({Profile.ACCESS, Profile.PORTABILITY})
"""Profiles whose recipient is the subject itself."""


class Epoch(StrEnum):
    """How long a pseudonym lives. Whatever lives longer than one transaction lets traces be linked."""

    TRANSACTION = "TRANSACTION"
    MONTH = "MONTH"


class Hierarchy(StrEnum):
    """How a column becomes coarser: steps are named in `ledger.privacy.exports.generalise`."""

    EXACT = "EXACT"
    TIME = "TIME"
    PLACE = "PLACE"
    ENERGY = "ENERGY"


class ProvablePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows with their entries, the permitted disclosures and proofs up to a signed checkpoint."""

    version: int
    profile: Profile
    disclose: frozenset[str] | None
    """Names of the fields whose disclosures are handed over; None for all."""
    epoch: Epoch = Epoch.TRANSACTION
    keep_days: int = 365
    despite_restriction: bool = False
    portable_only: bool = False
    """Only what is marked portable, which is what the subject provided or what was observed of it (Art. 20)."""

    def __post_init__(self) -> None:
        """Raises `ExportPolicyInvalid`."""
        if self.profile is Profile.RESEARCH:
            raise ExportPolicyInvalid("an unlinkable profile carries no proofs", expected="SETTLEMENT or ACCESS")
        if self.disclose is None and self.profile not in TO_SUBJECT:
            raise ExportPolicyInvalid("only the subject itself receives everything")
        if self.despite_restriction and self.profile not in TO_SUBJECT:
            raise ExportPolicyInvalid("a restricted subject is left out of every export but its own")
        if self.portable_only is not (self.profile is Profile.PORTABILITY):
            raise ExportPolicyInvalid("what is portable is for a portability export, and that has nothing else")
        _require_common(self.version, self.keep_days)


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of an unlinkable export: the value at `path` in the record, at least `least` steps coarser."""

    name: str
    path: str
    hierarchy: Hierarchy
    least: int = 0
    divisor: int = 1
    """Brings the value to the hierarchy's unit: 1000 where a record has milliwatt-hours."""


class UnlinkablePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Generalised rows: no index, no hash, no proof, no pseudonym; at least `k` distinct subjects behind each.

    Every column counts as known to an attacker, save `sensitive`, of which each group shows at least `l` values.
    """

    version: int
    columns: tuple[Column, ...]
    k: int = 10
    sensitive: str | None = None
    l: int = 1  # noqa: E741 -- the literature's own name
    max_suppressed_permille: int = 100
    keep_days: int = 365

    @property
    def profile(self) -> Profile:
        """Always RESEARCH."""
        return Profile.RESEARCH

    def __post_init__(self) -> None:
        """Raises `ExportPolicyInvalid`."""
        _require_common(self.version, self.keep_days)
        names = [column.name for column in self.columns]
        if self.k < 2 or self.l < 1:
            raise ExportPolicyInvalid("nobody hides in a group of one", expected="k >= 2, l >= 1")
        if not 1 <= len(names) <= MAX_COLUMNS or len(set(names)) != len(names):
            raise ExportPolicyInvalid("columns", expected=f"1 to {MAX_COLUMNS} with names of their own")
        if not all(0 <= column.least <= MAX_LEVEL for column in self.columns):
            raise ExportPolicyInvalid("a least level", expected=f"0 to {MAX_LEVEL}")
        if any(column.divisor < 1 for column in self.columns):
            raise ExportPolicyInvalid("a divisor", expected="at least 1")
        if any(column.hierarchy is Hierarchy.TIME and column.least < 1 for column in self.columns):
            raise ExportPolicyInvalid("an exact time singles out", expected="a time coarser than a quarter of an hour")
        if self.l > 1 and self.sensitive is None:
            raise ExportPolicyInvalid("l counts the values of a sensitive column", expected="`sensitive`")
        if self.sensitive is not None and self.sensitive not in names:
            raise ExportPolicyInvalid("the sensitive column is not a column")
        if not 0 <= self.max_suppressed_permille < PERMILLE:
            raise ExportPolicyInvalid("share of suppressed rows", expected=f"0 to {PERMILLE - 1} permille")


Policy = ProvablePolicy | UnlinkablePolicy


def _require_common(version: int, keep_days: int) -> None:
    if version < 1 or keep_days < 1:
        raise ExportPolicyInvalid("version and days to keep are at least 1")


ACCESS: Final = ProvablePolicy(version=1, profile=Profile.ACCESS, disclose=None, despite_restriction=True)
"""GDPR Art. 15: everything about the subject, with proofs, to the subject."""

PORTABILITY: Final = ProvablePolicy(
    version=1, profile=Profile.PORTABILITY, disclose=None, despite_restriction=True, portable_only=True
)
"""GDPR Art. 20: what the subject provided or what was observed of it, for another controller to read."""

SETTLEMENT: Final = ProvablePolicy(
    version=1,
    profile=Profile.SETTLEMENT,
    disclose=frozenset({"energy_import_milliwh", "energy_export_milliwh", "periods", "result"}),
)
"""What a counterparty needs to settle: the figures and their proofs; no EVSE, no person, no exact personal time."""

RESEARCH: Final = UnlinkablePolicy(
    version=1,
    columns=(
        Column(name="recorded", path="@recorded_at_ms", hierarchy=Hierarchy.TIME, least=3),
        Column(name="place", path="evse_id", hierarchy=Hierarchy.PLACE, least=1),
        Column(name="energy", path="energy_import_milliwh", hierarchy=Hierarchy.ENERGY, divisor=1000),
    ),
)
"""Service records for grid planning and research: at least ten persons a group, no finer than a day and a zone."""
